"""The log of an attempt from its end.

What it does: reads the last part of a log and then only what has come since, however large it is. What cannot be read
is empty.
What it does not know: runs, and how any of it is shown.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from wavecrew.api.attempt_folders import regular
from wavecrew.core.attempts import LOG_NAME, attempt_folder
from wavecrew.core.redaction import NOTHING_HIDDEN, Redaction
from wavecrew.views.board_lists import log_line

_END_BYTES: Final = 256 * 1024
"""How much of a log is read when it is opened, and at most at once later."""
LINES: Final = 5000
"""How many lines of a log are kept."""


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
            with regular(self.path) as file:
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
