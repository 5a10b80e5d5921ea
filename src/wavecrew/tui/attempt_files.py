"""The files of an attempt, as far as people want to see them: its log from the end, its steps, and logs beside it.

What it does: reads the last part of a log and then only what has come since, however large it is; reads the job that
was written for an attempt. What cannot be read is empty.
What it does not know: runs, and how any of it is shown.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final

from wavecrew.core.attempts import LOG_NAME, attempt_folder, read_progress, read_result
from wavecrew.core.liveness import is_locked
from wavecrew.core.redaction import NOTHING_HIDDEN, Redaction
from wavecrew.errors import StoreError
from wavecrew.views.board_lists import log_line
from wavecrew.views.board_phase import AttemptTold, StepTold

_END_BYTES: Final = 256 * 1024
"""How much of a log is read when it is opened, and at most at once later."""
LINES: Final = 5000
"""How many lines of a log are kept."""
_GIVEN_BYTES: Final = 512 * 1024
_BESIDE_BYTES: Final = 16 * 1024
_TITLES: Final = {"gate": "checks of the merged tree", "teardown": "teardown"}


class LogEnd:
    """The last lines of a log that may grow, become shorter (its middle is cut out at a limit), or not be there yet.

    `lines` are clean; the last is what has come of a line that is not ended. `cut` says that there is more before the
    first. `fresh` counts up whenever the lines are other ones, and not only more.
    """

    def __init__(self, path: Path, hide: Redaction = NOTHING_HIDDEN) -> None:
        self.path = path
        self._hide = hide
        self.lines: list[str] = []
        self.cut = False
        self.fresh = 0
        self._place = 0
        self._inode = 0
        self._rest = b""
        self._open = False

    def read(self) -> bool:
        """Read what has come; tells whether anything has."""
        try:
            with _regular(self.path) as file:
                found = os.fstat(file.fileno())
                if found.st_size == self._place and found.st_ino == self._inode:
                    return False
                grown = found.st_size - self._place
                if found.st_ino != self._inode or grown < 0 or grown > _END_BYTES:
                    self._begin(found)
                file.seek(self._place)
                self._take(file.read(_END_BYTES))
        except OSError:
            return False
        return True

    def _begin(self, found: os.stat_result) -> None:
        """From the end of a file that is new, another one, or far ahead."""
        self.lines.clear()
        self._inode, self._rest, self._open = found.st_ino, b"", False
        self._place = max(0, found.st_size - _END_BYTES)
        self.cut = self._place > 0
        self.fresh += 1

    def _take(self, data: bytes) -> None:
        self._place += len(data)
        if self.cut and not self.lines and not self._rest:  # it begins somewhere in a line
            data = data.partition(b"\n")[2] or data
        whole = self._rest + data
        *ended, self._rest = whole.split(b"\n")
        if len(self._rest) > _END_BYTES:  # an endless line
            ended.append(self._rest)
            self._rest = b""
        if self._open and self.lines:
            self.lines.pop()
        self.lines += map(self._line, ended)
        self._open = bool(self._rest)
        if self._open:
            self.lines.append(self._line(self._rest))
        if len(self.lines) > LINES * 6 // 5:
            del self.lines[:-LINES]
            self.cut = True
            self.fresh += 1

    def _line(self, line: bytes) -> str:
        return log_line(self._hide.text(line.decode("utf-8", errors="replace")))


def log_path(state_folder: Path, run: str, phase: str, attempt: int) -> Path:
    """Where the log of an attempt is."""
    return attempt_folder(state_folder, run, phase, attempt) / LOG_NAME


def attempt_told(
    state_folder: Path, run: str, phase: str, attempt: int, hide: Redaction = NOTHING_HIDDEN
) -> AttemptTold:
    """What the folder of an attempt tells; empty where there is none."""
    folder = attempt_folder(state_folder, run, phase, attempt)
    job: Any = None
    with contextlib.suppress(OSError, ValueError), _regular(folder / "job.json") as file:
        job = json.loads(file.read())
    entries = job.get("steps") if isinstance(job, dict) else None
    steps = tuple(_step(folder, entry) for entry in _list(entries) if isinstance(entry, dict))
    progress, failed, over = read_progress(folder), 0, False
    with contextlib.suppress(StoreError):
        result = read_result(folder)
        if result is not None:
            over, failed = True, max(1, result.step) if result.cause else 0
    at = progress.step if progress is not None and not over and is_locked(folder / "lock") else 0
    return AttemptTold(steps, at, failed, over, tuple((title, hide.text(text)) for title, text in _beside(folder)))


def _step(folder: Path, entry: dict[str, Any]) -> StepTold:
    kind, title = str(entry.get("kind", "")), str(entry.get("title", ""))
    command = tuple(str(word) for word in _list(entry.get("argv")))
    given = str(entry.get("text") or "")
    name = entry.get("stdin")
    if isinstance(name, str) and "/" not in name:
        given = _text(folder / name, _GIVEN_BYTES)
    return StepTold(kind, title or str(entry.get("path", "")), command, given)


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _beside(folder: Path) -> list[tuple[str, str]]:
    """What was carried out beside the attempt and has printed something, oldest first."""
    found: list[tuple[float, str, str]] = []
    with contextlib.suppress(OSError):
        for path in folder.glob("*/log"):
            told = path.lstat()
            if stat.S_ISREG(told.st_mode) and told.st_size:
                title = _TITLES.get(path.parent.name.partition("-")[0], path.parent.name)
                found.append((told.st_mtime, title, _tail(path, told.st_size)))
    return [(title, text) for _, title, text in sorted(found)]


def _regular(path: Path) -> BinaryIO:
    """A file, opened so that neither a link nor a pipe in its place leads astray or makes us wait. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _tail(path: Path, size: int) -> str:
    with contextlib.suppress(OSError), _regular(path) as file:
        file.seek(max(0, size - _BESIDE_BYTES))
        return file.read(_BESIDE_BYTES).decode("utf-8", errors="replace")
    return ""


def _text(path: Path, most: int) -> str:
    with contextlib.suppress(OSError), _regular(path) as file:
        return file.read(most).decode("utf-8", errors="replace")
    return ""
