"""What the folder of an attempt tells to those who look: its steps, how far they are, and what was printed beside it.

What it does: reads the job that was written for an attempt, its progress and its result, and the logs of what was
carried out beside it. What cannot be read is empty, and a link or a pipe in the place of a file leads nowhere.
What it does not know: who looks, and how it is shown.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final

from wavecrew.core.attempts import attempt_folder, read_progress, read_result
from wavecrew.core.liveness import is_locked
from wavecrew.core.redaction import NOTHING_HIDDEN, Redaction
from wavecrew.errors import StoreError
from wavecrew.views.board_phase import AttemptTold, StepTold

_JOB_BYTES: Final = 4 * 1024 * 1024
_GIVEN_BYTES: Final = 256 * 1024
_BESIDE_BYTES: Final = 16 * 1024
_BESIDE: Final = 20
_TITLES: Final = {"gate": "checks of the merged tree", "teardown": "teardown"}


def attempt_told(
    state_folder: Path, run: str, phase: str, attempt: int, hide: Redaction = NOTHING_HIDDEN
) -> AttemptTold:
    """What the folder of an attempt tells; empty where there is none."""
    folder = attempt_folder(state_folder, run, phase, attempt)
    job: Any = None
    with contextlib.suppress(OSError, ValueError, RecursionError), regular(folder / "job.json") as file:
        job = json.loads(file.read(_JOB_BYTES))
    entries = job.get("steps") if isinstance(job, dict) else None
    steps = tuple(_step(folder, entry) for entry in _list(entries) if isinstance(entry, dict))
    progress, failed, over = read_progress(folder), 0, False
    with contextlib.suppress(StoreError):
        result = read_result(folder)
        if result is not None:
            over, failed = True, max(1, result.step) if result.cause else 0
    at = progress.step if progress is not None and not over and is_locked(folder / "lock") else 0
    beside = ((title, hide.text(_end(path))) for title, path in logs_beside(folder)[-_BESIDE:])
    return AttemptTold(steps, at, failed, over, tuple(beside))


def logs_beside(folder: Path) -> list[tuple[str, Path]]:
    """What was carried out beside an attempt and has printed something: a title and a log each, in order of time."""
    found: list[tuple[float, str, Path]] = []
    with contextlib.suppress(OSError):
        for path in folder.glob("*/log"):
            told = path.lstat()
            if stat.S_ISREG(told.st_mode) and told.st_size:
                name = path.parent.name
                found.append((told.st_mtime, _TITLES.get(name.partition("-")[0], name), path))
    return [(title, path) for _, title, path in sorted(found)]


def regular(path: Path) -> BinaryIO:
    """A file, opened so that neither a link nor a pipe that an agent put in its place leads astray or makes us wait.
    Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _step(folder: Path, entry: dict[str, Any]) -> StepTold:
    kind, title = str(entry.get("kind", "")), str(entry.get("title", ""))
    command = tuple(str(word) for word in _list(entry.get("argv")))
    given, name = str(entry.get("text") or ""), entry.get("stdin")
    if isinstance(name, str) and name.startswith("input-") and "/" not in name:
        given = _begin(folder / name)
    return StepTold(kind, title or str(entry.get("path", "")), command, given)


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _begin(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError), regular(path) as file:
        return file.read(_GIVEN_BYTES).decode("utf-8", errors="replace")
    return ""


def _end(path: Path) -> str:
    with contextlib.suppress(OSError), regular(path) as file:
        file.seek(max(0, file.seek(0, 2) - _BESIDE_BYTES))
        return file.read(_BESIDE_BYTES).decode("utf-8", errors="replace")
    return ""
