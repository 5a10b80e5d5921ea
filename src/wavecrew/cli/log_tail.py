"""Reading log files: the last lines, and following one that grows.

What it does: reads from the end, in blocks, so that the size of a log does not matter.
What it does not know: whose log it is, and what may be shown on a terminal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

_BLOCK: Final = 64 * 1024
_MOST: Final = 4 * 1024 * 1024  # a log may be one endless line
_PAUSE_SECONDS: Final = 0.2


def last_lines(path: Path, count: int) -> str:
    """The last lines of a file as text; bytes that are no UTF-8 are replaced. Empty for a file that is not there."""
    try:
        with path.open("rb") as file:
            position = file.seek(0, 2)
            data = b""
            while position > 0 and data.count(b"\n") <= count and len(data) < _MOST:
                size = min(_BLOCK, position)
                position -= size
                file.seek(position)
                data = file.read(size) + data
    except OSError:
        return ""
    return "\n".join(data.decode("utf-8", errors="replace").splitlines()[-count:])


def follow(path: Path, is_over: Callable[[], bool]) -> Iterator[bytes]:
    """The content of a growing file in pieces, until `is_over` says that nothing more will come."""
    while not path.exists():
        if is_over():
            return
        time.sleep(_PAUSE_SECONDS)
    with path.open("rb") as file:
        while True:
            over = is_over()  # asked before reading, so that what came last is not missed
            _stay_inside(file)
            while piece := file.read(_BLOCK):
                yield piece
            if over:
                return
            time.sleep(_PAUSE_SECONDS)


def _stay_inside(file: BinaryIO) -> None:
    """A log with a limit becomes shorter when its middle is cut out; then go on at its end."""
    size = os.fstat(file.fileno()).st_size
    if file.tell() > size:
        file.seek(size)
