"""The report as JSON. The schema is published in docs/report.md; a key is only ever added.

What it does: the data of `run_report`, and beside them estimates, shares of the time, waits, savings, proof and
comparison.
What it does not know: how the facts were found.
"""

from __future__ import annotations

from typing import Any, Final

from wavecrew.models.usage import Spent
from wavecrew.views.report_compare import Comparison, compared_data
from wavecrew.views.report_facts import PhaseFacts, Report
from wavecrew.views.report_faster import Faster, Option
from wavecrew.views.report_waits import FOR_PEOPLE, Stretch
from wavecrew.views.result_text import proof_data
from wavecrew.views.run_report import report_data
from wavecrew.views.terminal_text import safe_json
from wavecrew.views.usage_words import spent_data

KIND: Final = "wavecrew.report"
"""By which a program, and we ourselves, know such a file."""


def json_of(report: Report, compared: Comparison | None = None) -> str:
    """The document as text."""
    return safe_json(data_of(report, compared), indent=2) + "\n"


def data_of(report: Report, compared: Comparison | None = None) -> dict[str, Any]:
    """The document as plain values. Times are seconds since 1970, lengths are seconds; what is not known is null."""
    data = report_data(report.state, report.events, now=report.summary.now, alive=report.alive, signs=report.signs)
    facts = {one.row.id: one for one in report.phases}
    for phase in data["phases"]:
        phase |= _phase_data(facts[phase["id"]])
    data["totals"] |= {
        "human_wait_seconds": report.people,
        "estimated_seconds": _estimated(report),
        "usage": spent_data(report.spent),
    }
    return {
        "kind": KIND,
        "wavecrew": report.version or None,
        **data,
        "time_shares": [{"kind": one.kind, "words": one.words, "seconds": one.seconds} for one in report.shares],
        "faster": _faster_data(report.faster),
        "waits": [_wait_data(wait) for wait in report.waits],
        "audited": report.audited,
        "proof": None if report.proof is None else proof_data(report.proof),
        "proof_problem": report.proof_problem or None,
        "compared": None if compared is None else compared_data(compared),
    }


def _estimated(report: Report) -> float | None:
    """The sum of all estimates; unknown as soon as one is missing."""
    known = [one.estimate for one in report.phases]
    return None if None in known else sum(time for time in known if time is not None)


def _phase_data(found: PhaseFacts) -> dict[str, Any]:
    source = found.source
    return {
        "actual_seconds": found.actual,
        "actual_to_estimate": None if found.ratio is None else round(found.ratio, 4),
        "work_seconds": found.work if found.attempts else None,
        "lock_wait_seconds": found.waited,
        "on_pacing_chain": found.paced,
        "source": None if source is None else {"file": source.file, "line": source.line},
        "cost_of_attempts": [_used(one.spent) for one in found.attempts],
    }


def _used(spent: Spent) -> dict[str, Any]:
    data = spent_data(spent)
    return {"tokens": data["tokens"], "cost_usd": data["cost_usd"]}


def _faster_data(found: Faster) -> dict[str, Any]:
    return {
        "on_paper_seconds": found.as_it_was,
        "agents": found.agents or None,
        "fewer_agents_would_do": found.fewer,
        "options": [_option_data(one) for one in found.options],
        "no_gain": [_option_data(one) for one in found.in_vain],
        "why_not": found.why_not or None,
    }


def _option_data(option: Option) -> dict[str, Any]:
    return {
        "change": option.change.value,
        "phase": option.phase or None,
        "what": option.what or None,
        "seconds": option.time,
        "saving_seconds": option.saving,
    }


def _wait_data(wait: Stretch) -> dict[str, Any]:
    return {
        "kind": wait.kind.value,
        "for_a_person": wait.kind in FOR_PEOPLE,
        "phase": wait.phase or None,
        "what": wait.what or None,
        "whom": wait.whom or None,
        "since": wait.since,
        "until": wait.until,
    }
