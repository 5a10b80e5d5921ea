"""A log that may grow, as rows of a width.

What it does: keeps the rows of the lines that were there and folds only those that are new, so that an agent which
prints without end costs no more than what it prints; shows only the lines with certain words if that is wanted.
What it does not know: where rows are drawn.
"""

from __future__ import annotations

from pathlib import Path

from wavecrew.core.redaction import NOTHING_HIDDEN, Redaction
from wavecrew.tui.log_end import LogEnd
from wavecrew.views.board_lists import log_rows, nothing
from wavecrew.views.board_parts import Line, plain


class LogRows:
    """The rows of one log."""

    def __init__(self, path: Path, hide: Redaction = NOTHING_HIDDEN) -> None:
        self.end = LogEnd(path, hide)
        self.rows: list[Line] = []
        self._made: tuple[int, int, str] = (-1, 0, "")
        self._done = 0  # lines that are among the rows and will not change
        self._length = 0  # the rows of those lines

    def update(self, width: int, words: str = "") -> bool:
        """Read what has come and fold it; tells whether the rows are other ones now."""
        came = self.end.read()
        made = (self.end.fresh, width, words)
        if not came and made == self._made:
            return False
        if made != self._made:
            self._made, self._done, self._length = made, 0, 0
            self.rows.clear()
        self._fold(width, words)
        return True

    def _fold(self, width: int, words: str) -> None:
        del self.rows[self._length :]  # the last line may have grown since
        lines = self.end.lines
        if not lines:
            self.rows[:] = nothing("it has printed nothing yet", width)
            return
        if not self.rows and self.end.cut:
            self.rows.append(plain("... the beginning is left out here; o shows all of it", "quiet"))
        for place in range(self._done, len(lines)):
            if place == len(lines) - 1:
                self._done, self._length = place, len(self.rows)
            if not words or words.casefold() in lines[place].casefold():
                self.rows += log_rows(lines[place], width, words)

    @property
    def text(self) -> str:
        """All lines that are kept."""
        return "\n".join(self.end.lines)
