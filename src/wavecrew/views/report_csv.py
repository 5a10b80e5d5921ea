"""The report as CSV: one row for each attempt.

What it does: writes times, outcomes, reasons and usage for spreadsheets and scripts. What is not known is empty.
What it does not know: anything that is not an attempt.
"""

from __future__ import annotations

import csv
import io
from typing import Final

from wavecrew.views.report_facts import AttemptFacts, Report
from wavecrew.views.report_words import outcome_words, why
from wavecrew.views.terminal_text import one_line

COLUMNS: Final = (
    "run",
    "phase",
    "name",
    "wave",
    "attempt",
    "agent",
    "model",
    "lane",
    "started",
    "ended",
    "seconds",
    "estimated_seconds",
    "outcome",
    "cause",
    "reason",
    "exit_code",
    "waited_for",
    "on_pacing_chain",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost_usd",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def csv_of(report: Report) -> str:
    """The whole table, attempts in the order of their starts. Times are seconds since 1970."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    facts = {one.row.id: one for one in report.phases}
    for one in report.attempts:
        phase = facts.get(one.attempt.phase)
        name, wave = (phase.row.name, phase.row.wave) if phase else ("", None)
        writer.writerow(_row(report, one, name, wave, phase.estimate if phase else None))
    return out.getvalue()


def _row(
    report: Report, one: AttemptFacts, name: str, wave: int | None, estimate: float | None
) -> tuple[str | int | float | None, ...]:
    attempt, told = one.attempt, one.attempt.reported
    return (
        cell(report.summary.run),
        cell(attempt.phase),
        cell(name),
        wave,
        attempt.number,
        cell(attempt.agent),
        cell(told.model) if told else None,
        one.lane + 1,
        round(attempt.started, 3),
        None if attempt.ended is None else round(attempt.ended, 3),
        round(one.seconds, 3),
        None if estimate is None else round(estimate, 3),
        outcome_words(one),
        attempt.cause.value or None,
        cell(why(one)),
        attempt.exit_code,
        one.step.waited_for.value if one.step else None,
        "yes" if one.step else "no",
        told.input_tokens if told else None,
        told.output_tokens if told else None,
        told.cached_tokens if told else None,
        told.cost_usd if told else None,
    )


def cell(text: str) -> str:
    """Foreign text as a cell that no spreadsheet takes for a formula."""
    line = one_line(text)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) else line
