"""Faults at the door to git: before a call, while that git is at work, after it, and a git that fails.

What it does: stands in front of `wavecrew.core.git_calls.call`, and gives each start of git a name: the verb, and the
lines of wavecrew that it comes from.
What it does not know: what git is called for. Calls below that door are named by `chaos_faults`; see `is_inside`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos_faults import Faults

from wavecrew.core import git, git_calls
from wavecrew.core.git_calls import Answer

KINDS = ("kill-before", "kill-meanwhile", "kill-after", "ENOSPC", "EIO")
_WORDS = {"ENOSPC": "No space left on device", "EIO": "Input/output error"}
_DOOR = ("git.py", "git_calls.py")
_FRAMES = 3


def is_git(key: str) -> bool:
    """Whether a point is a start of git."""
    return key.split("|")[1].startswith("git:")


def is_inside(key: str) -> bool:
    """Whether a point is part of a start of git: the start itself is a point already."""
    return key.split("|")[2].startswith("git_calls.py")


def stand_before_git(faults: Faults) -> None:
    """From now on, each start of git by the door is a point."""
    call, lock = git_calls.call, threading.Lock()

    def watched(
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        given: bytes | None = None,
        descriptors: tuple[int, ...] = (),
    ) -> Answer:
        with lock:
            kind = faults.at(f"git:{command[1]}", _lines())
        if kind == "kill-before":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "kill-meanwhile":
            _start(command, folder, environment, given, descriptors)
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in _WORDS:
            return Answer(128, b"", f"fatal: unable to write: {_WORDS[kind]}\n")
        answer = call(command, folder, environment, given, descriptors)
        if kind == "kill-after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    git.call = git_calls.call = watched


def _start(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    given: bytes | None,
    descriptors: tuple[int, ...],
) -> None:
    """A git that works on when we are dead."""
    process: subprocess.Popen[Any] = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, pass_fds=descriptors, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(given or b"")
    process.stdin.close()


def _lines() -> str:
    """The last lines of wavecrew that lead to the door, the innermost first."""
    found: list[str] = []
    frame = sys._getframe(2)
    while frame is not None and len(found) < _FRAMES:
        folder, _, name = frame.f_code.co_filename.rpartition("/")
        if "/wavecrew/" in folder and name not in _DOOR:
            found.append(f"{name}:{frame.f_lineno}")
        frame = frame.f_back  # type: ignore[assignment]
    return "<".join(found) or "elsewhere"
