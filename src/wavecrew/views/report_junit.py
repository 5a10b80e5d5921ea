"""The report as JUnit XML, which CI systems read: each phase is a test case.

What it does: writes what failed, what was not done and why, what was waived, how long it took, and a capped end of its
log; work that is not proven to be in the result is a failure.
What it does not know: which CI system reads it; it keeps to what all of them know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Final

from wavecrew.models.events import Cause
from wavecrew.models.outcomes import Outcome
from wavecrew.views.report_facts import PhaseFacts, Report
from wavecrew.views.report_words import LONGEST, name_of, outcome_words, proof_words, short, why
from wavecrew.views.run_words import seconds
from wavecrew.views.summary import DONE, Standing
from wavecrew.views.terminal_text import clean, one_line

MOST_OUTPUT: Final = 8_000
"""How many characters `system-out` of a phase has, at most."""
_NOT_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\ufdd0-\ufdef]")
_ERRORS: Final = frozenset({Cause.LOST, Cause.START, Cause.GIT, Cause.LOCK, Cause.QUOTA, Cause.SILENCE, Cause.SESSION})
"""What is no verdict on the work: the phase could not be carried out at all."""


def xml(text: str, most: int = LONGEST) -> str:
    """Foreign text on one line, harmless in XML content and in attributes."""
    return escape(_NOT_XML.sub("", short(text, most)))


def junit_of(report: Report) -> str:
    """The whole file."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    cases = [_Case(report, one) for one in report.phases]
    numbers = (
        f'tests="{len(cases)}" failures="{sum(case.tag == "failure" for case in cases)}" '
        f'errors="{sum(case.tag == "error" for case in cases)}"'
    )
    skipped = sum(case.tag == "skipped" for case in cases)
    time = f'time="{report.summary.elapsed or 0:.3f}"'
    plan = xml(report.summary.plan_name)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="wavecrew {plan}" {numbers} {time}>'
    stamp = _stamp(report.summary.started)
    yield f'  <testsuite name="{plan}" {numbers} skipped="{skipped}" {time}{stamp}>'
    yield "    <properties>"
    yield from (f'      <property name="{name}" value="{value}"/>' for name, value in _properties(report))
    yield "    </properties>"
    for case in cases:
        yield from case.lines()
    yield "  </testsuite>"
    yield "</testsuites>"


def _stamp(started: float | None) -> str:
    if started is None:
        return ""
    try:
        return f' timestamp="{datetime.fromtimestamp(started, UTC):%Y-%m-%dT%H:%M:%S}"'
    except (OverflowError, ValueError, OSError):
        return ""


def _properties(report: Report) -> Iterator[tuple[str, str]]:
    yield "run", xml(report.summary.run)
    yield "status", xml(report.summary.status.value)
    yield "proof", xml(proof_words(report.proof, report.proof_problem))
    if report.summary.forbidden:
        yield "forbidden changes", xml(", ".join(report.summary.forbidden))


class _Case:
    """One phase: `tag` is the element that tells why it did not pass, if it did not."""

    def __init__(self, report: Report, one: PhaseFacts) -> None:
        self.report = report
        self.one = one
        self.lacks = self._unproven()
        self.tag = self._tag()

    def _unproven(self) -> list[str]:
        proof = self.report.proof
        found = next((one for one in proof.phases if one.phase == self.one.row.id), None) if proof else None
        if found is None or proof is None:
            return []
        return [lack.what for lack in (*proof.lacks, *found.lacks)]

    def _tag(self) -> str:
        standing = self.one.row.standing
        if standing is Standing.FAILED:
            last = self.one.attempts[-1].attempt if self.one.attempts else None
            lost = last is None or last.outcome is Outcome.LOST or last.cause in _ERRORS
            return "error" if lost else "failure"
        if self.lacks:
            return "failure"
        return "skipped" if standing not in DONE or standing is Standing.SKIPPED else ""

    def lines(self) -> Iterator[str]:
        row, source = self.one.row, self.one.source
        place = f' file="{xml(source.file)}" line="{source.line}"' if source else ""
        yield (
            f'    <testcase classname="{xml(self.report.summary.plan_name)}.wave {row.wave}" '
            f'name="{xml(name_of(self.report, row.id))}" time="{self.one.work:.3f}"{place}>'
        )
        if self.tag:
            kind = f' type="{self._kind()}"' if self.tag != "skipped" else ""
            yield f'      <{self.tag} message="{xml(self._message())}"{kind}/>'
        out = self._output()
        if out:
            yield f"      <system-out>{out}</system-out>"
        yield "    </testcase>"

    def _kind(self) -> str:
        if self.one.row.standing is not Standing.FAILED:
            return "unproven"
        return self.one.attempts[-1].attempt.cause.value or "failed" if self.one.attempts else "refused"

    def _message(self) -> str:
        row = self.one.row
        if row.standing is Standing.SKIPPED and row.waiver is not None:
            return f"waived by {row.waiver.by}: {row.waiver.reason}"
        if self.tag == "skipped":
            return f"{row.standing.value}: {row.reason}" if row.reason else row.standing.value
        return row.reason if row.standing is Standing.FAILED else f"not proven: {'; '.join(self.lacks)}"

    def _output(self) -> str:
        lines = [
            f"attempt {one.attempt.number} by {one.attempt.agent}: {outcome_words(one)} after {seconds(one.seconds)}"
            + (f": {why(one)}" if why(one) else "")
            for one in self.one.attempts[-20:]
        ]
        lines += [f"kept from run {self.one.row.kept_from}"] if self.one.row.kept_from else []
        lines += [f"may have changed, undeclared: {path}" for path in self.one.row.undeclared[:20]]
        told = "\n".join(one_line(line) for line in lines)[:MOST_OUTPUT]
        log = clean(self.report.logs.get(self.one.row.id, ""))
        room = MOST_OUTPUT - len(told)
        if log and room > 100:
            told += f"\n--- the end of its log\n{log[-room:]}"
        return escape(_NOT_XML.sub("", told), quote=False)
