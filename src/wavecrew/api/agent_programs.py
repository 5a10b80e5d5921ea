"""Which agent programs are installed here, where, and in which version.

What it does: looks for them on PATH and asks each for its version, in a clean environment with a home folder of its
own that goes away again. An answer is kept in the user's cache folder until the program file changes. Whether somebody
is logged in is asked in the environment that agents see, each time.
What it does not know: what a version can do.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Final

from wavecrew.api.program_cache import ProgramCache
from wavecrew.core.jobs import Agent
from wavecrew.models.agent_programs import (
    AgentProgram,
    AnswersForItsGate,
    AnswersForItsLogin,
    InstalledProgram,
    NeedsLibrary,
)
from wavecrew.models.agent_report import Known

PATIENCE: Final = 60.0
"""Seconds that a program has to tell its version."""
_NEEDED: Final = ("program", "version_argv", "oldest", "capabilities", "environment")
_VERSION: Final = re.compile(r"\d+\.\d+(?:\.\d+)*")
_MOST: Final = 262_144
_LOOK_SECONDS: Final = 0.05


def program_of(agent: Agent | AgentProgram) -> AgentProgram | None:
    """The same agent, if it stands for a program that has to be installed."""
    return agent if all(hasattr(agent, name) for name in _NEEDED) else None  # type: ignore[return-value]


def look_for(
    agents: Mapping[str, Agent], environ: Mapping[str, str] | None = None, patience: float = PATIENCE
) -> dict[str, InstalledProgram]:
    """What is installed of the programs of these agents, by the names of the agents. `patience` is in seconds."""
    known = {name: program for name, agent in agents.items() if (program := program_of(agent)) is not None}
    path = (os.environ if environ is None else environ).get("PATH", os.defpath)
    cache = ProgramCache("agent-programs")
    with ThreadPoolExecutor(max_workers=max(1, len(known))) as crew:
        found = dict(zip(known, crew.map(lambda one: _look(one, path, cache, patience), known.values()), strict=True))
    cache.save()
    return found


def _look(agent: AgentProgram, path: str, cache: ProgramCache, patience: float) -> InstalledProgram:
    if isinstance(agent, NeedsLibrary):
        return _library(agent, agent.oldest)
    where = shutil.which(agent.program, path=path)
    if where is None:
        return InstalledProgram(agent.program, agent.oldest, problem=f"there is no program {agent.program} on PATH")
    kept = _kept(cache, where)
    if kept is None:
        version, problem = _ask_version(agent, where, path, patience)
        if problem:
            return InstalledProgram(agent.program, agent.oldest, where, problem=problem)
        kept = version, _ask_gate(agent, where, path, patience)
        if kept[1] is not None or not isinstance(agent, AnswersForItsGate):
            cache.keep(where, *kept)
    return InstalledProgram(agent.program, agent.oldest, where, kept[0], gate_works=kept[1])


def _library(agent: NeedsLibrary, oldest: str) -> InstalledProgram:
    """What is installed of a library, which lies beside us and not on PATH."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(agent.library)
        return InstalledProgram(agent.library, oldest, str(found.locate_file("")), found.version)
    except PackageNotFoundError:
        problem = f'the library {agent.library} is not installed: pip install "wavecrew[{agent.extra}]"'
        return InstalledProgram(agent.library, oldest, problem=problem)


def _kept(cache: ProgramCache, where: str) -> tuple[str, bool | None] | None:
    """Version, and whether the gate works; None if that is not known of this file."""
    match cache.found(where):
        case [str() as version, None | bool() as gate] if _VERSION.fullmatch(version):
            return version, gate
    return None


def _ask_version(agent: AgentProgram, where: str, path: str, patience: float) -> tuple[str, str]:
    """The version, or the problem."""
    shown = " ".join(agent.version_argv)
    argv = [where, *agent.version_argv[1:]]
    try:
        code, answer = _answer(argv, path, agent.environment, patience)
    except OSError as error:
        return "", f"{where} cannot be started: {error.strerror}"
    if code is None:
        return "", f"{shown} did not answer within {patience:g} s"
    if code != 0:
        return "", f"{shown} ended with {code}"
    found = _VERSION.search(answer.decode(errors="replace"))
    return (found[0], "") if found else ("", f"{shown} told no version")


def _ask_gate(agent: AgentProgram, where: str, path: str, patience: float) -> bool | None:
    """Whether it would ask our gate, if it can tell."""
    if not isinstance(agent, AnswersForItsGate):
        return None
    argv, text = agent.gate_question()
    try:
        _, answer = _answer([where, *argv[1:]], path, agent.environment, patience, text, agent.gate_answer)
    except OSError:
        return None
    return agent.gate_answer(answer)


def ask_logins(
    agents: Mapping[str, Agent],
    found: Mapping[str, InstalledProgram],
    visible_to: Callable[[str], Mapping[str, str]],
    patience: float = PATIENCE,
) -> dict[str, Known]:
    """What the programs of these agents say of their logins, by the names of agents; who says nothing is left out.
    `visible_to` gives the variables that an agent sees. Asked anew each time: logins come and go."""
    able = {name: agent for name, agent in agents.items() if isinstance(agent, AnswersForItsLogin)}
    with ThreadPoolExecutor(max_workers=max(1, len(able))) as crew:
        answers = crew.map(lambda name: _ask_login(able[name], found[name].path, visible_to(name), patience), able)
        return {name: answer for name, answer in zip(able, answers, strict=True) if answer is not None}


def _ask_login(agent: AnswersForItsLogin, where: str, seen: Mapping[str, str], patience: float) -> Known | None:
    program = program_of(agent)  # type: ignore[arg-type]  # it is looked at from another side
    environment = {**seen, **(program.environment if program else {})}
    try:
        code, answer = _answer([where, *agent.login_argv[1:]], seen.get("PATH", os.defpath), environment, patience)
    except OSError:
        return None
    return agent.login_answer(code, answer)


def _answer(
    argv: list[str],
    path: str,
    environment: Mapping[str, str],
    patience: float,
    text: str = "",
    enough: Callable[[bytes], object] = lambda output: None,
) -> tuple[int | None, bytes]:
    """Exit code and output of a program, with a home folder of its own. It is ended when it has told `enough` (not
    None), and when it takes too long: its code is None then. Raises OSError when it cannot be started."""
    # files, not pipes: what the program leaves behind could keep a pipe open for ever
    with tempfile.TemporaryDirectory(prefix="wavecrew-") as home, tempfile.TemporaryFile() as output:
        quiet = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1", **environment}
        asked = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if text else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env=quiet,
            start_new_session=True,
        )
        try:
            if asked.stdin is not None:
                with suppress(OSError):
                    asked.stdin.write(text.encode())
                    asked.stdin.flush()  # and it stays open: some end with their input, before they answer
            code = _wait(asked, output, patience, enough)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(asked.pid, signal.SIGKILL)
            asked.wait()
            if asked.stdin is not None:
                with suppress(OSError):
                    asked.stdin.close()
        return code, _head(output)


def _wait(
    asked: subprocess.Popen[bytes], output: IO[bytes], patience: float, enough: Callable[[bytes], object]
) -> int | None:
    end = time.monotonic() + patience
    while (code := asked.poll()) is None and time.monotonic() < end and enough(_head(output)) is None:
        with suppress(subprocess.TimeoutExpired):
            asked.wait(_LOOK_SECONDS)
    return code


def _head(output: IO[bytes]) -> bytes:
    return os.pread(output.fileno(), _MOST, 0)
