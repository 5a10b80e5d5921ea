"""Logs of attempts in bounded pieces, as plain text.

What it does: reads the end of a log, or what was added to it since, takes out whatever could steer a terminal, and
cuts lines that are longer than anybody reads.
What it does not know: whose log it is, and who asks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.api.attempt_folders import regular
from wavecrew.views.terminal_text import clean

PIECE: Final = 64 * 1024
"""How many bytes of a log are given at once."""
LONGEST: Final = 256 * 1024
"""How many bytes of its end are given to somebody who wants more."""
_LINE: Final = 16 * 1024
_CUT: Final = " … (the rest of this line is left out)"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a log. `begin` and `end` are places in its file, in bytes; with `anew`, what was shown before is to
    be thrown away."""

    text: str
    begin: int
    end: int
    anew: bool


def read_piece(path: Path, after: int | None = None, most: int = PIECE) -> Piece:
    """What stands after a place in a log; without one, its end. Starts and ends at line breaks if there are any in
    reach, so that no character and no control sequence is torn. A log that became shorter is begun anew.

    Raises OSError for a log that is not there, or is no file.
    """
    with regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        anew = after is None or after > size or size - after > most
        begin = max(0, size - most) if anew else after or 0
        file.seek(begin)
        data = file.read(most)
    if anew and begin > 0:
        first = data.find(b"\n") + 1
        begin, data = begin + first, data[first:]
    whole = data.rfind(b"\n") + 1
    if whole and not (anew and begin + len(data) == size):  # an unfinished line comes with its end
        data = data[:whole]
    return Piece(_shown(data.decode("utf-8", errors="replace")), begin, begin + len(data), anew)


def _shown(text: str) -> str:
    lines = (line.rpartition("\r")[2] if "\r" in line else line for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(line if len(line) <= _LINE else line[:_LINE] + _CUT for line in map(clean, lines))
