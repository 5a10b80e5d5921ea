"""Attempts and waits as bars over the time of a run.

What it does: gives each phase one row of characters and a scale below; time in which nobody was at work on the run is
left out. Of large plans it shows the rows that matter most: the pacing chain, what failed, what took longest.
What it does not know: which attempts paced the run, and what stands around the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from wavecrew.models.events import Outcome
from wavecrew.views.run_history import History
from wavecrew.views.run_words import wrapped
from wavecrew.views.terminal_text import cells, pad

ROWS: Final = 40
"""How many phases are drawn."""
PACING, WORK, VAIN, WAIT = "█", "▒", "░", "·"
_LEGEND: Final = {
    PACING: "pacing chain",
    WORK: "other work",
    VAIN: "did not succeed",
    WAIT: "waiting for a lock",
}
_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000)
_TICK: Final = 9  # columns that a number of the scale needs at least

Bar = tuple[float, float, str]


def timeline(
    history: History,
    labels: Mapping[str, str],
    pacing: Collection[tuple[str, int]],
    started: float,
    wall: float,
    width: int,
) -> Iterator[str]:
    """The rows, the scale and what the characters mean. `pacing` names attempts by (phase, number)."""
    bars = _bars(history, pacing, started, wall)
    shown = _chosen(bars)
    wide = min(max(cells(labels[name]) for name in shown), max(8, width // 4))
    room = max(10, width - wide - 5)
    used: set[str] = set()
    for name in shown:
        drawn = _drawn(bars[name], room / wall, room)
        used.update(drawn)
        yield f"  {pad(labels[name], wide)} |{drawn}|"
    yield f"  {' ' * wide}  {_scale(wall, room)}".rstrip()
    if len(shown) < len(bars):
        yield f"  ... and {len(bars) - len(shown):,} more phases; --json has all"
    legend = [f"{sign} {meaning}" for sign, meaning in _LEGEND.items() if sign in used]
    yield from wrapped("  ", legend, width, between="   ")


def _bars(history: History, pacing: Collection[tuple[str, int]], started: float, wall: float) -> dict[str, list[Bar]]:
    """What each phase did, in seconds of the run, in the order of first appearance."""

    def span(since: float, until: float | None) -> tuple[float, float]:
        begin = max(0.0, min(wall, history.active(since, started)))
        return begin, wall if until is None else max(begin, min(wall, history.active(until, started)))

    found: list[tuple[float, int, str, Bar]] = []
    for wait in history.waits:
        begin, end = span(wait.since, wait.until)
        found.append((begin, 1, wait.phase, (begin, end, WAIT)))
    for attempt in history.attempts:
        begin, end = span(attempt.started, attempt.ended)
        end = end if attempt.ended is None else min(end, begin + attempt.lasted(attempt.ended))
        on_chain = (attempt.phase, attempt.number) in pacing
        good = attempt.outcome in (None, Outcome.SUCCEEDED)
        found.append((begin, 0, attempt.phase, (begin, end, (PACING if on_chain else WORK) if good else VAIN)))
    bars: dict[str, list[Bar]] = {}
    for _, _, phase, bar in sorted(found, key=lambda one: one[:2]):
        bars.setdefault(phase, []).append(bar)
    return bars


def _chosen(bars: Mapping[str, list[Bar]]) -> list[str]:
    if len(bars) <= ROWS:
        return list(bars)

    def weight(name: str) -> tuple[bool, bool, float]:
        signs = {sign for _, _, sign in bars[name]}
        return PACING in signs, VAIN in signs, sum(end - begin for begin, end, _ in bars[name])

    best = set(sorted(bars, key=weight, reverse=True)[:ROWS])
    return [name for name in bars if name in best]


def _drawn(bars: list[Bar], scale: float, room: int) -> str:
    """One row. Whatever happened takes at least one column; work is drawn over waiting."""
    row = [" "] * room
    for begin, end, sign in bars:
        first = min(room - 1, round(begin * scale))
        last = max(first + 1, min(room, round(end * scale)))
        row[first:last] = sign * (last - first)
    return "".join(row)


def _scale(wall: float, room: int) -> str:
    step = next((step for step in _STEPS if step / wall * room >= _TICK), None)
    if step is None:
        step = 86400.0 * max(1, round(wall / 86400 / max(1, room // _TICK)))
    line = ""
    for number in range(int(wall / step) + 1):
        place = round(number * step / wall * room)
        if place < len(line) + (number > 0) or place >= room - 1:
            continue
        line = line.ljust(place) + _tick(number * step, step)
    return line


def _tick(amount: float, step: float) -> str:
    if amount == 0:
        return "0s" if step < 60 else "0"
    if step < 1:
        return f"{amount:.1f}s"
    if amount < 60 or step < 60:
        return f"{amount:.0f}s"
    if step < 3600:
        return f"{amount / 60:.0f}m" if amount < 3600 else f"{int(amount // 3600)}h{round(amount % 3600 / 60):02d}"
    return f"{amount / 3600:.0f}h" if step < 86400 else f"{amount / 86400:.0f}d"
