"""Which agent programs are installed here, where, and in which version.

What it does: looks for them on PATH and asks each for its version, in a clean environment with a home folder of its
own that goes away again. An answer is kept in the user's cache folder until the program file changes.
What it does not know: what a version can do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from wavecrew.core.jobs import Agent
from wavecrew.models.agent_programs import AgentProgram, InstalledProgram

PATIENCE: Final = 10.0
"""Seconds that a program has to tell its version."""
_NEEDED: Final = ("program", "version_argv", "oldest", "capabilities", "environment")
_VERSION: Final = re.compile(r"\d+\.\d+(?:\.\d+)*")
_MOST: Final = 65_536


def program_of(agent: Agent | AgentProgram) -> AgentProgram | None:
    """The same agent, if it stands for a program that has to be installed."""
    return agent if all(hasattr(agent, name) for name in _NEEDED) else None  # type: ignore[return-value]


def look_for(
    agents: Mapping[str, Agent], environ: Mapping[str, str] | None = None, patience: float = PATIENCE
) -> dict[str, InstalledProgram]:
    """What is installed of the programs of these agents, by the names of the agents. `patience` is in seconds."""
    known = {name: program for name, agent in agents.items() if (program := program_of(agent)) is not None}
    path = (os.environ if environ is None else environ).get("PATH", os.defpath)
    cache = _Cache()
    with ThreadPoolExecutor(max_workers=max(1, len(known))) as crew:
        found = dict(zip(known, crew.map(lambda one: _look(one, path, cache, patience), known.values()), strict=True))
    cache.save()
    return found


def _look(agent: AgentProgram, path: str, cache: _Cache, patience: float) -> InstalledProgram:
    where = shutil.which(agent.program, path=path)
    if where is None:
        return InstalledProgram(agent.program, agent.oldest, problem=f"there is no program {agent.program} on PATH")
    version = cache.version(where)
    problem = ""
    if not version:
        version, problem = _ask(agent, where, path, patience)
        cache.keep(where, version)
    return InstalledProgram(agent.program, agent.oldest, where, version, problem)


def _ask(agent: AgentProgram, where: str, path: str, patience: float) -> tuple[str, str]:
    """The version, or the problem."""
    shown = " ".join(agent.version_argv)
    # a file, not a pipe: what it leaves behind could keep a pipe open for ever
    with tempfile.TemporaryDirectory(prefix="wavecrew-") as home, tempfile.TemporaryFile() as answer:
        quiet = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1", **agent.environment}
        try:
            asked = subprocess.Popen(
                [where, *agent.version_argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                cwd=home,
                env=quiet,
                start_new_session=True,
            )
        except OSError as error:
            return "", f"{where} cannot be started: {error.strerror}"
        try:
            code = asked.wait(patience)
        except subprocess.TimeoutExpired:
            return "", f"{shown} did not answer within {patience:g} s"
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(asked.pid, signal.SIGKILL)
            asked.wait()
        answer.seek(0)
        text = answer.read(_MOST).decode(errors="replace")
    if code != 0:
        return "", f"{shown} ended with {code}"
    found = _VERSION.search(text)
    return (found[0], "") if found else ("", f"{shown} told no version")


class _Cache:
    """Versions by the path of the program, with what its file was like. It is a comfort: whatever is wrong with it, it
    is as if it were empty."""

    def __init__(self) -> None:
        import platformdirs

        self._file = Path(platformdirs.user_cache_dir("wavecrew", appauthor=False)) / "agent-programs.json"
        self._known: dict[str, Any] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            found = json.loads(self._file.read_text(encoding="utf-8"))
            self._known = found if isinstance(found, dict) else {}

    def version(self, path: str) -> str:
        match self._known.get(path):
            case [list() as stamp, str() as version] if stamp == _stamp(path):
                return version if _VERSION.fullmatch(version) else ""
        return ""

    def keep(self, path: str, version: str) -> None:
        if version:
            self._known[path] = [_stamp(path), version]
            self._changed = True

    def save(self) -> None:
        if not self._changed:
            return
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._file.parent, prefix=".", encoding="utf-8", delete=False
            ) as new:
                json.dump(self._known, new)
            Path(new.name).replace(self._file)


def _stamp(path: str) -> list[object]:
    """What changes with an update: the file that is really started, its time and its size."""
    real = os.path.realpath(path)
    try:
        found = Path(real).stat()
    except OSError:
        return []
    return [real, found.st_mtime_ns, found.st_size]
