"""The report where GitHub Actions shows it: annotations beside the lines of phase documents, and a step summary.

What it does: one annotation for each phase that failed, for each waiver and each undeclared write, capped because a
workflow silently drops what is more than ten of a kind; makes text harmless that a runner would take for a command.
What it does not know: whether it is run there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from wavecrew.errors import Diagnostic, Place, Severity
from wavecrew.views.findings import ANNOTATIONS, github
from wavecrew.views.report_compare import Comparison
from wavecrew.views.report_facts import PhaseFacts, Report
from wavecrew.views.report_markdown import ROOM, markdown_of
from wavecrew.views.report_words import blocked, name_of, proof_words, short
from wavecrew.views.run_next import edited_words
from wavecrew.views.summary import Standing

_COMMAND: Final = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_WORDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def harmless(text: str) -> str:
    """A text in which no line is a command to the runner, in its present or its former notation."""
    return _COMMAND.sub(r"\1: ", text).replace("##[", "# #[")


def annotations_of(report: Report) -> str:
    """Workflow commands, at most nine of a kind and one that counts the rest."""
    found = list(_findings(report))
    lines: list[str] = []
    for severity, word in _WORDS.items():
        group = [one for one in found if one.severity is severity]
        lines.append(github(group[:ANNOTATIONS]))
        if len(group) > ANNOTATIONS:
            lines.append(f"::{word}::{len(group) - ANNOTATIONS:,} more; the summary of this step has them\n")
    return "".join(lines).replace("##[", "# #[")


def _findings(report: Report) -> Iterator[Diagnostic]:
    for one in report.of(Standing.FAILED):
        yield _finding(report, one, Severity.ERROR, "failed", one.row.reason)
    if report.proof is not None and not report.proof.holds:
        yield Diagnostic("not proven", Severity.ERROR, proof_words(report.proof, ""), fix="see: wavecrew verify")
    for path in report.summary.forbidden:
        yield Diagnostic("forbidden change", Severity.ERROR, f"changed although no agent may: {short(path)}")
    for path in report.summary.missing:
        yield Diagnostic("output is gone", Severity.ERROR, f"a declared output is not there any more: {short(path)}")
    if report.summary.edited:
        yield Diagnostic("out of date", Severity.WARNING, short(edited_words(report.summary)))
    for one in report.phases:
        if one.row.undeclared:
            paths = ", ".join(one.row.undeclared[:6])
            yield _finding(report, one, Severity.WARNING, "undeclared writes", f"may have changed: {paths}")
    for number, reason, which in blocked(report):
        yield Diagnostic("blocked", Severity.WARNING, short(f"{number} {reason}: {which}"))
    for one in report.of(Standing.SKIPPED):
        yield _finding(report, one, Severity.INFO, "waived", one.row.reason)


def _finding(report: Report, one: PhaseFacts, severity: Severity, what: str, why: str) -> Diagnostic:
    place = Place(short(one.source.file), one.source.line) if one.source else Place()
    name = name_of(report, one.row.id)
    return Diagnostic(f"{name}: {what}", severity, short(f"{name} {what}: {why}"), place)


def step_summary(report: Report, compared: Comparison | None, room: int) -> str:
    """Markdown for the summary of a step, where `room` bytes are left."""
    return markdown_of(report, compared, min(ROOM, room))
