"""The folder of an attempt: what the coordinator and the shim say to each other through files.

What it does: writes a job before its start, reads what the shim left, and judges what has become of an attempt. The
protocol itself is told in `shim`.
What it does not know: processes (`supervisor` starts and stops them), phases and the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from wavecrew.core.liveness import is_locked, marked_processes, start_ticks
from wavecrew.errors import StoreError
from wavecrew.models.invocation import JobStep, JobStepKind

LOG_NAME: Final = "log"


@dataclass(frozen=True, slots=True)
class Job:
    """What the shim is to do. `timeout` and `grace` are in seconds, `log_limit` in bytes; None is no limit."""

    workspace: str
    steps: tuple[JobStep, ...]
    environment: Mapping[str, str]
    timeout: float | None
    grace: float
    log_limit: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Text files that the agent reads beside its work, by their names below `files_folder`."""


class Fate(Enum):
    """What has become of an attempt that somebody finds."""

    ALIVE = "alive"
    ENDED = "ended"
    LOST = "lost"
    NEVER_STARTED = "never started"


@dataclass(frozen=True, slots=True)
class Result:
    """What the shim recorded: exit code (negative for a signal), the cause of a failure, and the step it came from,
    counted from 1."""

    code: int
    cause: str
    title: str
    detail: str
    strays: int
    step: int = 1
    of: int = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """The step at work, counted from 1."""

    step: int
    of: int
    title: str


def owner_name(run: str, phase: str, attempt: int) -> str:
    """The name under which an attempt holds its locks."""
    return f"{run}/{phase}/{attempt}"


def slug_of(phase: str) -> str:
    """A short, harmless name for a phase, for folders and git branches. No other id makes the same, and none makes a
    name of ours: `result` is the branch of the whole run, and `coordinator` the lock in its folder."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", phase)[:40].strip("-") or "phase"
    if slug != phase or slug.lower() in ("result", "coordinator") or re.search(r"-[0-9a-f]{8}$", slug):
        # every name that has or looks like it has a digest gets one, so that no id can be made up that shares another's
        slug = f"{slug}-{hashlib.sha256(phase.encode(errors='surrogatepass')).hexdigest()[:8]}"
    return slug


def attempt_folder(state: Path, run: str, phase: str, attempt: int) -> Path:
    """Where an attempt lives: a folder for each phase, and one for each attempt in it."""
    return state / "runs" / run / slug_of(phase) / str(attempt)


def files_folder(folder: Path) -> Path:
    """Where the files of an agent lie in the folder of an attempt."""
    return folder / "agent"


def write_job(folder: Path, job: Job) -> None:
    """Make the folder of an attempt with all that its shim needs. Raises OSError, also when there is such a folder:
    what somebody else left in it could be taken for the result of this attempt."""
    folder.mkdir(mode=0o700, parents=True)
    steps = []
    for number, step in enumerate(job.steps):
        record: dict[str, Any] = {"kind": step.kind.value, "title": step.title}
        if step.kind is JobStepKind.FILE:
            record.update(path=step.path, text=step.text)
        else:
            record["argv"] = list(step.argv)
            if step.stdin is not None:
                record["stdin"] = f"input-{number}"
                _write(folder / record["stdin"], step.stdin)
        steps.append(record)
    for name, text in job.files.items():
        path = files_folder(folder) / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, text)
    limits = {"timeout": job.timeout, "grace": job.grace, "log_limit": job.log_limit}
    content = {"cwd": job.workspace, "steps": steps, **limits}
    _write(folder / "env.json", json.dumps(dict(job.environment)))
    _write(folder / "job.json", json.dumps(content))


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode(errors="surrogateescape"))


def read_result(folder: Path) -> Result | None:
    """The result, or None while there is none. Raises StoreError for one that cannot be read: a torn or foreign file
    is never taken for an end."""
    record = _read(folder / "exit")
    if record is None:
        return None
    try:
        return Result(
            int(record["code"]),
            str(record["cause"]),
            str(record["title"]),
            str(record["detail"]),
            int(record["strays"]),
            int(record.get("step", 0)) + 1,
            int(record.get("of", 1)),
        )
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"{folder / 'exit'} is no result of ours") from None


def last_sign(folder: Path) -> float | None:
    """When an attempt that is over had ended, in seconds since 1970: as its result tells, else when it gave its last
    sign of life. None if nothing tells."""
    with contextlib.suppress(StoreError, KeyError, TypeError, ValueError):
        return float((_read(folder / "exit") or {})["at"])
    signs = []
    for name in ("exit", LOG_NAME, "progress", "started"):
        with contextlib.suppress(OSError):
            signs.append((folder / name).lstat().st_mtime)
    return max(signs, default=None)


def read_progress(folder: Path) -> Progress | None:
    """The step at work, if the shim has told."""
    try:
        record = _read(folder / "progress")
        return Progress(int(record["step"]), int(record["of"]), str(record["title"])) if record else None
    except (StoreError, KeyError, TypeError, ValueError):
        return None  # this is for people only, and the next step writes it anew


def shim_pid(folder: Path) -> int | None:
    """The pid that the shim had when it started, if that can be read and is still the same process."""
    try:
        record = _read(folder / "started")
        pid, ticks = (int(record["pid"]), int(record["ticks"])) if record else (0, None)
    except (StoreError, KeyError, TypeError, ValueError):
        return None  # its lock tells whether it lives
    return pid if ticks is not None and start_ticks(pid) == ticks else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise StoreError(f"{path} is no record of ours")
    return found


def fate_of(folder: Path) -> Fate:
    """What has become of an attempt: alive, ended with a result, lost, or never started.

    After `NEVER_STARTED` a late shim can no longer start: the attempt is marked as given up while its lock is held.
    """
    started = (folder / "started").exists()  # asked first: a shim that starts right now locks, and then says so
    if is_locked(folder / "lock"):
        return Fate.ALIVE
    if (folder / "exit").exists():
        return Fate.ENDED
    if started:
        return Fate.LOST
    return Fate.NEVER_STARTED if _give_up(folder) else Fate.ALIVE


def _give_up(folder: Path) -> bool:
    """Mark an attempt that has not started as given up; False when its shim was faster."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (folder / "started").exists():
            return False
        (folder / "aborted").touch(mode=0o600)
        tidy(folder)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def tidy(folder: Path) -> None:
    """Remove what a shim that is dead was about to remove or to finish: the environment, and half-written files."""
    for left in (folder / "env.json", *folder.glob("*.tmp")):
        with contextlib.suppress(OSError):
            left.unlink()


def strays_of(folder: Path) -> list[int]:
    """Processes of an attempt that are still alive although its shim is not."""
    return marked_processes(folder)
