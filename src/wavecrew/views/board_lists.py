"""The lists of the board: who needs you, what happened, and what a log says.

What it does: one line for each thing that waits for a person, with the keys that answer it; events with the colour of
their verb; a line of a log as a terminal would leave it, without anything that could steer one.
What it does not know: which list is shown, and where events and logs come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wavecrew.views.board_parts import Line, Piece, folded, plain, told
from wavecrew.views.question_words import asks_words
from wavecrew.views.run_next import next_lines
from wavecrew.views.run_words import label
from wavecrew.views.summary import Standing, Summary
from wavecrew.views.terminal_text import cells, clean, cut, one_line

LINE_LIMIT: Final = 16 * 1024
"""How many characters of a line of a log are shown."""
_VERBS: Final = {
    **dict.fromkeys(("pass", "done", "open", "land", "keep", "merge"), "good"),
    **dict.fromkeys(("fail", "lost", "ALARM", "clash", "reject", "audit", "cancel"), "bad"),
    **dict.fromkeys(("start", "adopt", "resume", "run"), "busy"),
    **dict.fromkeys(("wait", "retry", "held", "hold", "stop", "pause", "budget", "silent"), "wait"),
    "ask": "mark",
    "answer": "good",
}
_CLOCK: Final = 8
_VERB: Final = 7
_LEAST_NEED: Final = 20


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a person is needed for: a gate that waits, or a phase to be looked at."""

    line: Line
    gate: str = ""
    phase: str = ""


def needs(summary: Summary, width: int, *, keys: bool = True) -> list[Need]:
    """What a person is needed for, most urgent first; then what failed for good and waits for a decision. With the
    `keys` that answer it, where there is anything to answer."""
    found = []
    for gate in summary.needs_you:
        behind = sum(row.gate == gate for row in summary.rows)
        words = f"{one_line(gate)} waits for approval: {behind} ready behind it"
        found.append(Need(_need(words, "mark", width, "a approve   A reject" * keys), gate=gate))
    for row in summary.rows:
        for question in row.asks:
            words = f"{label(row.id, row.name)} {asks_words(question)}"
            found.append(Need(_need(words, "mark", width, "a answer" * keys), phase=row.id))
    for row in summary.silent:
        words = f"{label(row.id, row.name)} {one_line(row.reason)}"
        found.append(Need(_need(words, "mark", width, "l log   x cancel" * keys), phase=row.id))
    for row in summary.of(Standing.FAILED):
        words = f"{label(row.id, row.name)} failed: {one_line(row.reason)}"
        found.append(Need(_need(words, "bad", width, "r retry   s skip" * keys), phase=row.id))
    return found


def _need(words: str, style: str, width: int, keys: str) -> Line:
    """What it is about, as long as there is room beside the keys, and the keys."""
    if not keys:
        return Piece("!", style), Piece(f" {cut(words, width - 2)}")
    room = width - 5 - cells(keys)
    if room < _LEAST_NEED:
        return Piece("!", style), Piece(f" {cut(f'{words}   {keys}', width - 2)}")
    return Piece("!", style), Piece(f" {cut(words, room)}   "), Piece(keys, "key")


def next_rows(summary: Summary, width: int) -> list[Line]:
    """The likeliest next commands."""
    return [plain(line, "quiet") for line in next_lines(summary, width)]


def event_line(text: str, width: int = LINE_LIMIT) -> Line:
    """A line of the plain view with the colour of its verb, cut at a width."""
    moment, _, rest = text.partition(" ")
    verb, _, words = rest.partition(" ")
    if not moment[:1].isdigit():
        return plain(cut(text, width))
    gap = " " * max(1, _VERB - cells(verb))
    room = max(4, width - max(_CLOCK, cells(moment)) - 1 - cells(verb) - len(gap))
    style = _VERBS.get(verb, "")
    return Piece(f"{moment:>{_CLOCK}} ", "quiet"), Piece(verb, style), Piece(f"{gap}{cut(words.lstrip(), room)}")


def log_line(raw: str) -> str:
    """A line of a log as a terminal would leave it: what it overwrote of itself is gone, and so is all that steers."""
    text = clean(raw.rstrip("\r\n").rpartition("\r")[2]).expandtabs(8).replace("\n", " ").rstrip()
    return text if len(text) <= LINE_LIMIT else f"{text[:LINE_LIMIT]} ... {len(text) - LINE_LIMIT:,} more characters"


def log_rows(text: str, width: int, words: str = "") -> list[Line]:
    """A clean line of a log in as many rows as it needs, words kept whole, with what was searched for made visible."""
    rows = list(folded(text, width, at_blanks=True))
    if not words:
        return [plain(row) for row in rows]
    return [_marked(row, words) for row in rows]


def _marked(row: str, words: str) -> Line:
    pieces: list[Piece] = []
    lower, wanted, place = row.casefold(), words.casefold(), 0
    if len(lower) != len(row):  # letters that are longer in lower case: the places would not be the same
        return plain(row)
    while (hit := lower.find(wanted, place)) >= 0:
        pieces += [Piece(row[place:hit]), Piece(row[hit : hit + len(wanted)], "mark")]
        place = hit + len(wanted)
    return (*pieces, Piece(row[place:]))


def nothing(words: str, width: int) -> list[Line]:
    """A list that is empty, and why."""
    return list(told("", words, width, "quiet"))
