"""Commands of wavecrew, carried out for the board: each key is one, and `:` takes any.

What it does: runs the real command in a process of its own without a terminal, as anybody would type it, and gives its
words, cleaned. So the board can do nothing that the command line cannot.
What it does not know: what a command means.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from wavecrew.errors import UsageError
from wavecrew.tui.player import FASTEST, SLOWEST, SPEED
from wavecrew.views.terminal_text import clean

_MOST: Final = 512 * 1024
_PIECE: Final = 16 * 1024


def parsed(line: str) -> list[str]:
    """The words of a command line, without `wavecrew` itself. Raises UsageError for one that makes no sense here."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"this is no command line: {error}") from None
    if words[:1] == ["wavecrew"]:
        words = words[1:]
    if not words:
        raise UsageError("which command?", fix="such as: status, locks list, retry 04")
    verb = words[0]
    if verb == "ui":
        raise UsageError("you are in it already")
    if words[:2] == ["runs", "replay"]:
        raise UsageError("in here, say replay, or replay 20 for twenty times as fast as it was")
    if verb == "resume":
        raise UsageError("in here, say run: it takes the run up again, in the background")
    if verb == "run" and not {"--detach", "--dry-run", "--help", "-h"} & set(words):
        words.insert(1, "--detach")  # a run that were part of the board would end with it
    return words


def replay_speed(line: str) -> float | None:
    """How fast a run is to be played, if a command line asks for that: `replay`, or `replay 20`. Raises UsageError."""
    words = line.split()
    if words[:1] != ["replay"]:
        return None
    try:
        speed = float(words[1]) if len(words) == 2 else SPEED if len(words) == 1 else 0.0
    except ValueError:
        speed = 0.0
    if not SLOWEST <= speed <= FASTEST:
        raise UsageError("how many times as fast?", fix="such as: replay 20")
    return speed


class Running:
    """One command that was started; `text` is what it has said so far, `code` how it ended."""

    def __init__(self, words: Sequence[str], folder: Path, environment: Mapping[str, str], width: int) -> None:
        self.words = tuple(words)
        self.text = ""
        self.code: int | None = None
        self._folder = folder
        self._environment = {
            **environment,
            "NO_COLOR": "1",
            "WAVECREW_NO_INPUT": "1",
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": str(width),
        }
        self._process: asyncio.subprocess.Process | None = None

    async def work(self, told: Callable[[], None] = lambda: None) -> int:
        """Run it to its end; `told` is called whenever it has said something. Gives its exit code, 127 for a command
        that could not be started."""
        try:
            self._process = process = await self._start()
        except OSError as error:
            self.text, self.code = f"error: it could not be started: {error.strerror}", 127
            return self.code
        try:
            await self._listen(process, told)
            self.code = await process.wait()
        finally:
            self.end()
        return self.code

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the folder may hold what agents wrote, and a module of theirs must not be taken for one of ours
            "-m",
            "wavecrew",
            *self.words,
            cwd=self._folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def _listen(self, process: asyncio.subprocess.Process, told: Callable[[], None]) -> None:
        stream, data = process.stdout, b""
        while stream is not None and (piece := await stream.read(_PIECE)):
            data = (data + piece)[-_MOST:]
            self.text = clean(data.decode("utf-8", errors="replace"))
            told()

    def end(self) -> None:
        """End it if it is still at work."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    @property
    def last_words(self) -> str:
        """The line that says most: what went wrong, or what was done."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        wrong = next((line for line in lines if line.startswith("error")), "")
        return wrong or (lines[0] if lines else f"{' '.join(self.words)}: done")


def environment(no_color: str | None) -> dict[str, str]:
    """The environment of this process, with what textual took out of it."""
    return dict(os.environ) | ({"NO_COLOR": no_color} if no_color else {})
