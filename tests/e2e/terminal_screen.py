"""What a terminal would show of what was written to it: enough of one to read a board or a live region.

What it does: follows cursor movements, clearing and scrolling, and keeps the characters in their places.
What it does not know: colours, modes, and anything that has no place on a screen.
"""

from __future__ import annotations

import re
import unicodedata

_PIECE = re.compile(
    r"\x1b\[(?P<args>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]P_^][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and the like
    r"|\x1b(?![\[\]P_^])[ -/]*[0-~]"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f])|(?P<text>[^\x00-\x1f\x1b]+)"
)


class Screen:
    """A screen of a size. `feed` it all that is written, in pieces of any size."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._cells = [[" "] * columns for _ in range(rows)]
        self._row = self._column = 0
        self._rest = b""

    @property
    def lines(self) -> list[str]:
        """The lines, without the blanks at their ends."""
        return ["".join(cells).rstrip() for cells in self._cells]

    @property
    def words(self) -> str:
        """All words, one blank between them."""
        return " ".join(" ".join(self.lines).split())

    def feed(self, written: bytes) -> None:
        """Take in what was written."""
        raw = self._rest + written
        last = raw.rfind(b"\x1b")
        broken = last >= 0 and _PIECE.match(raw[last:].decode("utf-8", "ignore")) is None
        text, taken = _decoded(raw[:last] if broken else raw)
        self._rest = raw[taken:]
        for piece in _PIECE.finditer(text):
            if piece["final"]:
                self._command(piece["final"], piece["args"])
            elif piece["control"]:
                self._control(piece["control"])
            elif piece["text"]:
                self._write(piece["text"])

    def _write(self, text: str) -> None:
        for sign in text:
            width = 0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
            if not width:
                continue
            if self._column + width > self.columns:
                self._column = 0
                self._down()
            self._cells[self._row][self._column : self._column + width] = [sign, ""][:width]
            self._column += width

    def _down(self) -> None:
        if self._row + 1 < self.rows:
            self._row += 1
        else:
            self._cells = [*self._cells[1:], [" "] * self.columns]

    def _control(self, sign: str) -> None:
        if sign == "\r":
            self._column = 0
        elif sign == "\n":
            self._down()
            self._column = 0  # a terminal adds the return by itself
        elif sign == "\b":
            self._column = max(0, self._column - 1)

    def _command(self, final: str, arguments: str) -> None:
        numbers = [int(one) if one.isdigit() else 0 for one in arguments.split(";")]
        first = max(1, numbers[0])
        if final in "Hf":
            second = max(1, numbers[1]) if len(numbers) > 1 else 1
            self._row, self._column = min(first, self.rows) - 1, min(second, self.columns) - 1
        elif final == "A":
            self._row = max(0, self._row - first)
        elif final == "B":
            self._row = min(self.rows - 1, self._row + first)
        elif final == "C":
            self._column = min(self.columns - 1, self._column + first)
        elif final == "D":
            self._column = max(0, self._column - first)
        elif final == "G":
            self._column = min(first, self.columns) - 1
        elif final == "K":
            begin, end = {0: (self._column, self.columns), 1: (0, self._column + 1)}.get(numbers[0], (0, self.columns))
            self._cells[self._row][begin:end] = [" "] * (min(end, self.columns) - begin)
        elif final == "J":
            self._clear(numbers[0])

    def _clear(self, which: int) -> None:
        if which == 0:
            self._command("K", "0")
        first, last = {0: (self._row + 1, self.rows), 1: (0, self._row)}.get(which, (0, self.rows))
        for row in range(first, last):
            self._cells[row] = [" "] * self.columns


def _decoded(raw: bytes) -> tuple[str, int]:
    """The text of some bytes, but for a character at their end that is not whole; and how many bytes that is."""
    for cut in range(4):
        try:
            return raw[: len(raw) - cut].decode("utf-8"), len(raw) - cut
        except UnicodeDecodeError as error:
            if error.start < len(raw) - 4:
                break
    return raw.decode("utf-8", "replace"), len(raw)
