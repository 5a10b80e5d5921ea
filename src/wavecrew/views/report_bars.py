"""Time as bars for the HTML report: the time line of a run, phase by phase, and shares of a whole.

What it does: places attempts and waits in percent of the time that the run was at work (idle gaps are folded), with
words for whoever cannot see them; kinds of bars differ by height and pattern as well as by colour.
What it does not know: colours, and how wide the page is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from wavecrew.models.events import Outcome
from wavecrew.views.report_cells import text
from wavecrew.views.report_facts import AttemptFacts, PhaseFacts, Report, Share
from wavecrew.views.report_waits import FOR_PEOPLE, Stretch, WaitKind
from wavecrew.views.report_words import KINDS, name_of, outcome_words, short
from wavecrew.views.run_words import seconds

PATTERNS: Final = (
    '<svg class="defs" aria-hidden="true"><defs>'
    '<pattern id="p-vain" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" fill="var(--bg)"/><rect width="3.4" height="6" fill="var(--fail)"/></pattern>'
    '<pattern id="p-lock" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">'
    '<rect width="6" height="6" fill="var(--band)"/><rect width="2" height="6" fill="var(--wait)"/></pattern>'
    '<pattern id="p-people" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" fill="var(--band)"/><circle cx="2.5" cy="2.5" r="1.5" fill="var(--clash)"/></pattern>'
    '<pattern id="p-retry" width="7" height="8" patternUnits="userSpaceOnUse">'
    '<rect width="7" height="8" fill="var(--band)"/><rect y="3" width="4" height="2" fill="var(--soft)"/></pattern>'
    "</defs></svg>"
)
"""What drawings of the page refer to."""
LEGEND: Final = (
    ("chain", "paced the run"),
    ("other", "other work"),
    ("vain", "did not succeed"),
    ("lock", "waited for a lock"),
    ("people", "waited for a person"),
    ("retry", "waited for another try or an account"),
)
_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200)
_TICKS: Final = 8
_DRAWN_AS: Final = {"account": "retry"}
_LEAST: Final = 0.3  # percent: whatever happened is seen


def timeline(report: Report) -> Iterator[str]:
    """The table of all phases that did or waited for anything, in the order of their beginnings."""
    wall = report.summary.elapsed or 0.0
    if report.summary.started is None or wall <= 0 or not (report.attempts or report.waits):
        yield "<p>No phase has been started.</p>"
        return
    scale = _Scale(report, wall)
    rows = sorted((row for row in _rows(report, scale) if row[0] is not None), key=lambda row: row[0] or 0.0)
    used = {kind for _, _, _, kinds in rows for kind in kinds}
    kinds = {_DRAWN_AS.get(kind, kind) for kind in used}
    yield legend((kind, words) for kind, words in LEGEND if kind in kinds)
    yield '<div class="scroll tall" tabindex="0" role="region" aria-label="Time line"><table class="time filtered">'
    yield "<thead><tr><th scope=col>phase</th><th scope=col>" + _axis(wall) + "</th></tr></thead><tbody>"
    for _, name, bars, _ in rows:
        yield f"<tr><th>{name}<td><svg>{bars}</svg>"
    yield "</tbody></table></div>"


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """What kinds of bars mean, in words of ours."""
    keys = (f"<span><svg class=key><rect class=f-{kind} /></svg>{words}</span>" for kind, words in entries)
    return f'<p class="legend">{"".join(keys)}</p>'


class _Scale:
    """Moments as percent of the time at work."""

    def __init__(self, report: Report, wall: float) -> None:
        self.report = report
        self.wall = wall
        self.start = report.summary.started or 0.0

    def span(self, since: float, until: float) -> tuple[float, float]:
        """Left edge and width."""
        begin, end = self.at(since), self.at(until)
        return min(begin, 100 - _LEAST), max(_LEAST, end - begin)

    def at(self, moment: float) -> float:
        """One moment."""
        return max(0.0, min(100.0, 100 * self.report.history.active(moment, self.start) / self.wall))


_Row = tuple[float | None, str, str, set[str]]


def _rows(report: Report, scale: _Scale) -> Iterator[_Row]:
    yield from _whole_run(report, scale)
    for one in report.phases:
        yield _row(name_of(report, one.row.id), _marks(report, scale, one.attempts, one.waits))
    known = {one.row.id for one in report.phases}
    gone: dict[str, list[AttemptFacts]] = {}
    for made in report.attempts:
        if made.attempt.phase not in known:
            gone.setdefault(made.attempt.phase, []).append(made)
    for name, attempts in gone.items():
        yield _row(f"{name_of(report, name)} (left the plan)", _marks(report, scale, attempts, ()))


_Mark = tuple[float, str, str]
"""When it began, its kind, and its drawing."""


def _row(name: str, marks: Iterable[_Mark]) -> _Row:
    found = list(marks)
    first = min((at for at, _, _ in found), default=None)
    return first, text(name), "".join(drawing for _, _, drawing in found), {kind for _, kind, _ in found}


def _whole_run(report: Report, scale: _Scale) -> Iterator[_Row]:
    waits = [wait for wait in report.waits if not wait.phase]
    if waits:
        first, name, bars, kinds = _row("the run", _waits(report, scale, waits))
        yield min(first or 0.0, scale.start), name, bars, kinds


def _marks(
    report: Report, scale: _Scale, attempts: Sequence[AttemptFacts], waits: Sequence[Stretch]
) -> Iterator[_Mark]:
    yield from _waits(report, scale, [wait for wait in waits if wait.kind is not WaitKind.SILENCE])
    for one in attempts:
        kind = "vain" if not one.good else "chain" if one.step is not None else "other"
        began = one.attempt.started
        ended = "" if one.attempt.outcome is Outcome.SUCCEEDED else f"{outcome_words(one)}, "
        number = f"attempt {one.attempt.number}: " if len(attempts) > 1 else ""
        words = f"{number}{ended}{seconds(one.seconds)}"
        yield began, kind, _bar(kind, scale.span(began, began + one.seconds), words)
    yield from _waits(report, scale, [wait for wait in waits if wait.kind is WaitKind.SILENCE])


def _waits(report: Report, scale: _Scale, waits: Iterable[Stretch]) -> Iterator[_Mark]:
    for wait in waits:
        until = wait.since + wait.lasted(report.now)
        kind = "people" if wait.kind in FOR_PEOPLE else wait.kind.value
        words = f"{seconds(wait.lasted(report.now))} for {KINDS[wait.kind]}"  # the table of waits has the rest
        words += f": {short(wait.what, 60)}" if wait.kind is WaitKind.LOCK else ""
        yield wait.since, kind, _bar(kind, scale.span(wait.since, until), words)


def _bar(kind: str, span: tuple[float, float], words: str) -> str:
    place = f"x={_cent(span[0])} width={_cent(span[1])}"
    return f"<rect class=f-{kind} {place}><title>{text(words)}</title></rect>"


def _cent(value: float) -> str:
    """In percent, to about a dot of the screen."""
    return f"{value:.1f}".removesuffix(".0") + "%"


def step_of(wall: float) -> float:
    """How many seconds lie between two marks of the scale."""
    return next((step for step in _STEPS if wall / step <= _TICKS), 86400.0 * max(1, round(wall / 86400 / _TICKS)))


def _axis(wall: float) -> str:
    step = step_of(wall)
    marks = []
    for number in range(int(wall / step) + 1):
        place = 100 * number * step / wall
        if place <= 94:
            words = "0" if not number else seconds(number * step).replace("m00s", "m").replace("h00m", "h")
            marks.append(f"<text x={_cent(place)} y=12>{words.replace('.0s', 's')}</text>")
    return f'<svg class="axis" role="img" aria-label="time since the start">{"".join(marks)}</svg>'


# -- parts of a whole -------------------------------------------------------------------------------------------


def shares_bar(shares: Sequence[Share]) -> str:
    """All parts of the time in one bar, largest and smallest side by side in order."""
    whole = sum(one.seconds for one in shares) or 1.0
    bars, left = [], 0.0
    for one in shares:
        wide = 100 * one.seconds / whole
        words = text(f"{one.words}: {seconds(one.seconds)}")
        place = f"x={left:.2f}% width={wide:.2f}%"
        bars.append(f"<rect class=f-{one.kind} {place}><title>{words}</title></rect>")
        left += wide
    told = ", ".join(f"{one.words} {one.seconds / whole:.0%}" for one in shares)
    return f'<svg class="share" role="img" aria-label="{text(told)}">{"".join(bars)}</svg>'


def part(amount: float, whole: float, kind: str = "chain") -> str:
    """A small bar for a part of a whole; the number stands beside it."""
    wide = 100 * min(1.0, amount / whole) if whole > 0 else 0.0
    return f"<svg class=part><rect class=f-{kind} width={_cent(wide)} /></svg>"


def paced(one: PhaseFacts) -> str:
    """A mark for phases of the pacing chain; words beside the table say what it means."""
    return " ◆" if one.paced else ""
