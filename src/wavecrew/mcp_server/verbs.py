"""The verbs of the command line, carried out for an assistant.

What it does: runs the real command in a process of its own, without a terminal, as anybody would type it, and gives its
JSON or its refusal. So an assistant can do nothing that the command line cannot, and is told the same.
What it does not know: what a verb means, and protocols.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.api.users import VIA_VARIABLE
from wavecrew.views.terminal_text import clean

_MOST_BYTES: Final = 32 << 20
_PATIENCE_SECONDS: Final = 120.0
_NAME: Final = re.compile(r"[^A-Za-z0-9 ._/@+-]+")
_LONGEST_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left: its exit code and its words, which were not cleaned."""

    code: int
    out: str
    err: str

    @property
    def refused(self) -> str:
        """The refusal, with reason and fix as the command line words it; empty where it gave an answer."""
        if self.out.strip():
            return ""
        return clean(self.err).strip() or f"the command ended with exit code {self.code} and said nothing"


class Verbs:
    """Carries verbs out in one folder. `prefix` are options that go with every command."""

    def __init__(self, folder: Path, prefix: Sequence[str] = ()) -> None:
        self._folder = folder
        self._prefix = tuple(prefix)

    async def run(self, verb: str, words: Sequence[str], client: str = "", *, as_json: bool = True) -> Said:
        """Run one to its end. `client` is the assistant that asks, and stands in the history. A command that takes too
        long, or whose asker has gone, is ended."""
        options = ("--json",) if as_json else ()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the folder may hold what agents wrote, and a module of theirs must not be taken for one of ours
            "-m",
            "wavecrew",
            verb,
            *self._prefix,
            *options,
            *words,
            cwd=self._folder,
            env=self._environment(client),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_MOST_BYTES,
        )
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                out, err = await process.communicate()
        except TimeoutError:
            return Said(1, "", f"wavecrew {verb} took longer than {_PATIENCE_SECONDS:g} s and was ended")
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        return Said(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    @staticmethod
    def _environment(client: str) -> dict[str, str]:
        told = {"NO_COLOR": "1", "WAVECREW_NO_INPUT": "1", "PYTHONIOENCODING": "utf-8", "COLUMNS": "120"}
        return {**os.environ, **told, VIA_VARIABLE: f"mcp ({named(client)})"}


def named(client: str) -> str:
    """The name of a client, as far as it can stand in a history."""
    return _NAME.sub("", client).strip()[:_LONGEST_NAME] or "unnamed"
