"""The time line of a run that goes on: attempts, waits for locks and waits for people, as bars up to now.

What it does: one row for each phase that was started or waits, and one for each gate and pause, scaled to a width; time
in which nobody was at work on the run is left out. Shape and colour mean the same.
What it does not know: the rest of the board; the time line of a report is `run_timeline`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from wavecrew.models.events import Outcome
from wavecrew.views.board_parts import Line, Piece, plain
from wavecrew.views.report_waits import FOR_PEOPLE, Stretch, WaitKind
from wavecrew.views.run_history import History
from wavecrew.views.run_words import label, seconds
from wavecrew.views.summary import PhaseRow, Summary
from wavecrew.views.terminal_text import cells, cut, one_line, pad

_GOOD, _OPEN, _VAIN, _LOCK, _HUMAN, _OTHER = "█", "▒", "░", "·", "?", "~"
_STYLE: Final = {_GOOD: "good", _OPEN: "busy", _VAIN: "bad", _LOCK: "wait", _HUMAN: "mark", _OTHER: "quiet", " ": ""}
LEGEND: Final = (
    (_GOOD, "passed"),
    (_OPEN, "at work"),
    (_VAIN, "in vain"),
    (_LOCK, "waits for a lock"),
    (_HUMAN, "waits for a person"),
    (_OTHER, "waits otherwise"),
)
_RANK: Final = {" ": 0, _OTHER: 1, _LOCK: 2, _GOOD: 3, _VAIN: 3, _OPEN: 3, _HUMAN: 4}
_TIMES: Final = 9


class _Bar(NamedTuple):
    begin: float
    end: float
    sign: str
    open: bool


class Row(NamedTuple):
    """A row of the time line: the phase it is about (empty for a gate or a pause), and how it is drawn."""

    phase: str
    line: Line


def time_rows(summary: Summary, history: History, waits: Iterable[Stretch], width: int) -> list[Row]:
    """The rows: what goes on now stands first, then what ended last."""
    if summary.started is None or not summary.elapsed:
        return []
    scale = _Scale(summary, history, width)
    bars = _bars(history, waits, scale)
    order = sorted(bars, key=lambda name: (not any(bar.open for bar in bars[name]), -max(b.end for b in bars[name])))
    rows = summary.by_id
    names = {name: label(name, rows[name].name) if name in rows else one_line(name.lstrip("\0")) for name in order}
    wide = min(max((cells(name) for name in names.values()), default=8), max(8, width // 4))
    room = max(10, width - wide - _TIMES - 3)
    return [_row(name, names[name], bars[name], rows.get(name), room, wide, scale) for name in order]


def legend(width: int) -> Line:
    """What the shapes mean, as far as there is room."""
    pieces: list[Piece] = []
    taken = 0
    for sign, meaning in LEGEND:
        taken += cells(meaning) + 4
        if taken > width:
            break
        pieces += [Piece(sign, _STYLE[sign]), Piece(f" {meaning}  ", "quiet")]
    return tuple(pieces) or plain("")


class _Scale:
    """Moments of the run as seconds at work, between its start and now."""

    def __init__(self, summary: Summary, history: History, width: int) -> None:
        self.history = history
        self.start = summary.started or 0.0
        self.wall = summary.elapsed or 1.0

    def at(self, moment: float | None) -> float:
        if moment is None:
            return self.wall
        return max(0.0, min(self.wall, self.history.active(moment, self.start)))


def _bars(history: History, waits: Iterable[Stretch], scale: _Scale) -> dict[str, list[_Bar]]:
    bars: dict[str, list[_Bar]] = {}
    for attempt in history.attempts:
        open_now = attempt.ended is None
        sign = _OPEN if open_now else _GOOD if attempt.outcome is Outcome.SUCCEEDED else _VAIN
        begin, end = scale.at(attempt.started), scale.at(attempt.ended)
        bars.setdefault(attempt.phase, []).append(_Bar(begin, end, sign, open_now))
    for wait in waits:
        name = wait.phase or _owner(wait)
        sign = _LOCK if wait.kind is WaitKind.LOCK else _HUMAN if wait.kind in FOR_PEOPLE else _OTHER
        begin, end = scale.at(wait.since), scale.at(wait.until)
        bars.setdefault(name, []).append(_Bar(begin, max(begin, end), sign, wait.until is None))
    return bars


def _owner(wait: Stretch) -> str:
    """In whose row a wait of no phase is drawn: that of the phase behind a gate, or one of its own."""
    if wait.kind is WaitKind.APPROVAL and wait.what.startswith("phase "):
        return wait.what.removeprefix("phase ")
    return f"\0{wait.what}"  # no phase has an id like that


def _row(name: str, title: str, bars: list[_Bar], row: PhaseRow | None, room: int, wide: int, scale: _Scale) -> Row:
    drawn = _drawn(bars, room / scale.wall, room)
    runs = ("".join(group) for _, group in groupby(drawn))
    worked = sum(bar.end - bar.begin for bar in bars if bar.sign in (_GOOD, _OPEN, _VAIN))
    waited = sum(bar.end - bar.begin for bar in bars if bar.sign in (_LOCK, _HUMAN, _OTHER))
    words = seconds(worked) if worked or not waited else f"◷ {seconds(waited)}"
    pieces = [Piece(f"{pad(title, wide)} "), *(Piece(run, _STYLE[run[0]]) for run in runs)]
    pieces.append(Piece(f" {cut(words, _TIMES):>{_TIMES}}", "quiet"))
    return Row(name if row is not None else "", tuple(pieces))


def _drawn(bars: list[_Bar], scale: float, room: int) -> str:
    drawn = [" "] * room
    for bar in bars:
        first = min(room - 1, int(bar.begin * scale))
        last = max(first + 1, min(room, round(bar.end * scale)))
        for place in range(first, last):
            if _RANK[bar.sign] >= _RANK[drawn[place]]:
                drawn[place] = bar.sign
    return "".join(drawn)


def now_line(summary: Summary, width: int) -> Iterator[Piece]:
    """The length of the whole line, for its heading."""
    if summary.elapsed is not None:
        idle = f", {seconds(summary.idle)} idle left out" if summary.idle else ""
        yield Piece(cut(f"0s to {seconds(summary.elapsed)}{idle}", width), "quiet")
