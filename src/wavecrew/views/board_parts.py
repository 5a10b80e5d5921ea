"""The signs and styles of the board: the picture of a run that fills a terminal.

What it does: gives each standing of a phase and of a run a shape, a word and a style, so that nothing is told by colour
alone; turns pieces into what a terminal without UTF-8 can show; folds long lines.
What it does not know: where anything stands on the board, and how a style looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from wavecrew.views.run_region import Line, Piece, plain_text
from wavecrew.views.run_words import for_encoding, wrapped
from wavecrew.views.summary import PhaseRow, RunStatus, Standing
from wavecrew.views.terminal_text import cells, cut, one_line

__all__ = ["Line", "Piece", "Sign", "plain_text"]

STYLES: Final = ("good", "bad", "busy", "wait", "quiet", "head", "mark", "key", "add", "remove", "")
"""Every name that a piece of the board may have as its style."""
PACING: Final = "◆"
_OURS: Final = str.maketrans({PACING: "*", "│": "|", "↑": "^", "↓": "v", "↵": "<", "●": "*", "≡": "="})


class Sign(NamedTuple):
    """A shape, a word and a style that mean one thing."""

    shape: str
    word: str
    style: str


_STANDINGS: Final = {
    Standing.PASSED: Sign("✓", "passed", "good"),
    Standing.KEPT: Sign("=", "kept", "good"),
    Standing.SKIPPED: Sign("-", "skipped", "quiet"),
    Standing.RUNNING: Sign("▶", "running", "busy"),
    Standing.MERGING: Sign("→", "merging", "busy"),
    Standing.WAITING: Sign("◷", "waits", "wait"),
    Standing.HELD: Sign("◷", "held", "wait"),
    Standing.RETRYING: Sign("↻", "retry", "wait"),
    Standing.READY: Sign("·", "ready", ""),
    Standing.TO_COME: Sign("·", "to come", "quiet"),
    Standing.GONE: Sign("!", "gone", "bad"),
    Standing.FAILED: Sign("✗", "failed", "bad"),
    Standing.BLOCKED: Sign("✗", "blocked", "remove"),
    Standing.LEFT_OUT: Sign(" ", "left out", "quiet"),
}
_STATUSES: Final = {
    RunStatus.NOT_STARTED: Sign("·", "not started", "quiet"),
    RunStatus.RUNNING: Sign("▶", "running", "busy"),
    RunStatus.STOPPED: Sign("-", "stopped", "wait"),
    RunStatus.INTERRUPTED: Sign("!", "interrupted", "bad"),
    RunStatus.SUCCEEDED: Sign("✓", "succeeded", "good"),
    RunStatus.FAILED: Sign("✗", "failed", "bad"),
}
NEEDS_YOU: Final = Sign("!", "needs you", "mark")
SILENT: Final = Sign("!", "silent", "mark")
ASKS: Final = Sign("?", "asks", "mark")


def sign_of(row: PhaseRow) -> Sign:
    """The sign of a phase. What waits for a person has one of its own."""
    if row.standing is Standing.READY and row.gate:
        return NEEDS_YOU
    if row.asks:
        return ASKS
    if row.silent_since is not None:
        return SILENT
    return _STANDINGS[row.standing]


def sign_of_run(status: RunStatus) -> Sign:
    """The sign of a run as a whole."""
    return _STATUSES[status]


def shown(text: str, encoding: str) -> str:
    """A text as a terminal of this encoding can show it."""
    if text.isascii():
        return text
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return for_encoding(text.translate(_OURS), encoding)
    return text


def plain(text: str, style: str = "") -> Line:
    """A line of one piece."""
    return (Piece(text, style),)


def folded(text: str, width: int, *, at_blanks: bool = False) -> Iterator[str]:
    """A clean line in as many rows as it needs, broken wherever a row is full, so that joined rows are the line; or
    behind the last blank of a row that has one."""
    width = max(4, width)
    if not text:
        yield ""
    while text:
        end = len(text) if cells(text) <= width else _full(text, width)
        blank = text.rfind(" ", 0, end + 1) if at_blanks and end < len(text) else -1
        if blank > 0 and text[:blank].strip():
            end = blank + 1
        yield text[:end].rstrip(" ") if at_blanks else text[:end]
        text = text[end:]


def _full(text: str, width: int) -> int:
    """How many characters fill a row."""
    if text.isascii():
        return width
    taken = 0
    for place, character in enumerate(text):
        taken += cells(character)
        if taken > width:
            return max(1, place)
    return len(text)


def told(head: str, words: str, width: int, style: str = "") -> Iterator[Line]:
    """A sentence after a heading, in as many rows as it needs."""
    rows = wrapped(head, one_line(words).split(" "), max(20, width), between=" ")
    for place, row in enumerate(rows):
        if place == 0 and row.startswith(head):
            yield Piece(head, "quiet"), Piece(row[len(head) :], style)
        else:
            yield (Piece(row, style),)


def fitting(parts: Iterable[tuple[int, Line]], width: int, gap: int = 2) -> Line:
    """Those parts that fit into a width, in their order; the least important (the highest number) go first."""
    kept = list(parts)
    while len(kept) > 1 and _width(kept, gap) > width:
        worst = max(range(len(kept)), key=lambda place: (kept[place][0], place))
        del kept[worst]
    line: list[Piece] = []
    for _, part in kept:
        line += [Piece(" " * gap)] if line else []
        line += part
    if len(kept) == 1 and _width(kept, gap) > width:
        return (Piece(cut(plain_text(tuple(line)), width), line[0].style),)
    return tuple(line)


def _width(parts: list[tuple[int, Line]], gap: int) -> int:
    return sum(cells(piece.text) for _, part in parts for piece in part) + gap * (len(parts) - 1)
