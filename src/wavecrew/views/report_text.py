"""The report for a terminal.

What it does: the report of the run as `run_report` draws it, with the proof of its work and a comparison below.
What it does not know: how bars are drawn, and how two runs are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from wavecrew.views.report_compare import Comparison, Pair, Side
from wavecrew.views.report_facts import Report
from wavecrew.views.report_faster import Change
from wavecrew.views.report_waits import FOR_PEOPLE, WaitKind
from wavecrew.views.report_words import cost_of, more_money, more_words, proof_words, saving_words
from wavecrew.views.report_words import option_words as words_of
from wavecrew.views.run_report import report_text
from wavecrew.views.run_words import in_ascii, label, seconds, wrapped
from wavecrew.views.terminal_text import cells, cut, pad

_MOST: Final = 40
_WORTH: Final = 0.05  # seconds and shares below which a difference is none


def text_of(report: Report, compared: Comparison | None = None, *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole text."""
    whole = report_text(
        report.state,
        report.events,
        now=report.summary.now,
        alive=report.alive,
        signs=report.signs,
        width=width,
        ascii_only=ascii_only,
    )
    lines = [*_more_options(report, width), *_waits(report, width), *_proof(report, width)]
    if compared is not None:
        lines += ["", *comparison_lines(compared, width)]
    more = "".join(f"{line}\n" for line in lines)
    return whole + (in_ascii(more) if ascii_only else more)


def _more_options(report: Report, width: int) -> Iterator[str]:
    """What the text above does not try: dependencies and long phases."""
    base = report.faster.as_it_was or 0.0
    shown = [one for one in report.faster.options if one.change in (Change.DROP, Change.HALVE)][:3]
    for number, one in enumerate(shown):
        head = "also faster" if not number else ""
        yield from wrapped(f"  {head:<14}", [f"{words_of(report, one)}: saves {saving_words(one, base)}"], width)


def _waits(report: Report, width: int) -> Iterator[str]:
    told = [(name, report.waited(*kinds)) for name, kinds in (("people", FOR_PEOPLE), ("accounts", {WaitKind.ACCOUNT}))]
    words = [f"{name} {seconds(time)}" for name, time in told if time > _WORTH]
    if words:
        yield from wrapped(f"  {'waited for':<14}", words, width)


def _proof(report: Report, width: int) -> Iterator[str]:
    if report.proof is not None or report.proof_problem:
        told = proof_words(report.proof, report.proof_problem)
        yield from wrapped(f"  {'proof':<14}", told.split(" "), width, between=" ")


# -- two runs ---------------------------------------------------------------------------------------------------


def comparison_lines(found: Comparison, width: int = 80) -> Iterator[str]:
    """The comparison as a table; of many phases those that differ most."""
    yield cut(f"run {found.after} compared with {found.before}", width)
    rows = [_row("whole run", found.whole), _row("all work", found.work)]
    pairs = sorted(found.phases, key=lambda pair: -abs(pair.seconds or 0.0))[:_MOST]
    kept = {id(pair) for pair in pairs}
    rows += [_row(label(pair.id, pair.name), pair) for pair in found.phases if id(pair) in kept]
    head = ("", "before", "after", "time", "tries", "cost")
    widths = [max(cells(row[place]) for row in (head, *rows)) for place in range(1, 6)]
    wide = max(10, min(max(cells(row[0]) for row in rows), width - sum(widths) - 2 * 6))
    for row in (head, *rows):
        rest = "  ".join(" " * (room - cells(cell)) + cell for cell, room in zip(row[1:], widths, strict=True))
        yield f"  {pad(row[0], wide)}  {rest}".rstrip()
    if len(pairs) < len(found.phases):
        yield f"  ... and {len(found.phases) - len(pairs):,} more phases; --format json has all"


def _row(name: str, pair: Pair) -> tuple[str, ...]:
    cost = more_money(pair.cost) if pair.cost is not None else _costs(pair)
    time, tries, _ = more_words(pair)
    return name, _time(pair.before), _time(pair.after), time, tries, cost


def _time(side: Side | None) -> str:
    if side is None:
        return "not in it"
    return seconds(side.seconds) if side.seconds is not None else side.standing


def _costs(pair: Pair) -> str:
    known = [side for side in (pair.before, pair.after) if side is not None and side.cost is not None]
    return cost_of(known[0].spent) if len(known) == 1 and None in (pair.before, pair.after) else "unknown"
