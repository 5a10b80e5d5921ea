"""The report as Markdown, for a pull request or the summary of a CI step.

What it does: the figures, what needs a look, where the time went, what would be faster, a table of phases, and the
graph as Mermaid; long tables are cut so that the whole fits where it is pasted.
What it does not know: how it is rendered. Foreign text stands in code spans, where no mark-up, link or mention works.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from wavecrew.views.question_words import asks_words
from wavecrew.views.report_compare import Comparison, Pair, Side
from wavecrew.views.report_facts import PhaseFacts, Report
from wavecrew.views.report_graph import fits_mermaid, mermaid_of
from wavecrew.views.report_words import (
    blocked,
    cost_of,
    lost_words,
    more_words,
    name_of,
    option_words,
    outcome_words,
    proof_words,
    saving_words,
    short,
    sign_of,
    step_words,
    tokens_of,
    vain_words,
    wait_words,
    waiter,
    why,
)
from wavecrew.views.run_next import edited_words
from wavecrew.views.run_words import UNKNOWN, moment, seconds
from wavecrew.views.summary import Standing
from wavecrew.views.words import counted

ROOM: Final = 60_000
"""Characters that a comment can hold, with room for a few words of others."""
_ROWS: Final = (200, 60, 20, 8, 3)
_MERMAID: Final = 100
_TICKS: Final = re.compile("`+")


def code(text: str, width: int = 160) -> str:
    """Foreign text as a code span that holds in a table, too: a fence longer than any in it, and no column marks."""
    line = short(text, width).replace("|", "¦")
    if not line:
        return ""
    fence = "`" * (1 + max((len(found) for found in _TICKS.findall(line)), default=0))
    blank = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{blank}{line}{blank}{fence}"


def markdown_of(report: Report, compared: Comparison | None = None, room: int = ROOM) -> str:
    """The whole text, with as many rows as fit; the last of all cuts is at the end of a line."""
    text = ""
    for rows in _ROWS:
        text = "\n".join(_Page(report, compared, rows).lines()) + "\n"
        if len(text.encode()) <= room:
            return text
    kept = text.encode()[: max(0, room - 40)].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n\n(cut here)\n" if room > 80 else ""


class _Page:
    def __init__(self, report: Report, compared: Comparison | None, rows: int) -> None:
        self.report = report
        self.compared = compared
        self.rows = rows

    def lines(self) -> Iterator[str]:
        yield "<!-- wavecrew report -->"
        yield from self.head()
        yield from self.trouble()
        if self.compared is not None:
            yield from self.comparison(self.compared)
        yield from self.time()
        yield from self.faster()
        yield from self.phases()
        yield from self.vain()
        yield from self.waits()
        yield from self.records()
        yield from self.graph()

    def head(self) -> Iterator[str]:
        summary = self.report.summary
        yield f"## {code(summary.title)}: {summary.status.value}, {summary.done:,} of {summary.total:,} phases"
        yield ""
        figures = [
            ("time", seconds(summary.elapsed)),
            ("work", seconds(summary.work)),
            ("agents", f"{summary.agents or UNKNOWN}"),
            ("attempts", f"{len(self.report.attempts):,}"),
            ("tried again", f"{summary.retries:,}"),
            ("cost", cost_of(self.report.spent)),
            ("tokens", tokens_of(self.report.spent)),
            ("waited for people", seconds(self.report.people)),
        ]
        yield from _table([name for name, _ in figures], [[value for _, value in figures]])
        yield f"run {code(summary.run)}, started {moment(summary.started)}, ended {moment(summary.ended)}"
        yield ""
        yield f"**Proof of the work:** {_plain(proof_words(self.report.proof, self.report.proof_problem))}"
        yield ""

    def trouble(self) -> Iterator[str]:
        report = self.report
        found = [
            f"{code(name_of(report, one.row.id))} **failed**: {code(one.row.reason)}"
            for one in report.of(Standing.FAILED)
        ]
        found += [f"{number} {code(reason)}: {code(which, 400)}" for number, reason, which in blocked(report)]
        found += [f"an output is gone: {code(path)}" for path in report.summary.missing]
        found += [f"not in the result: {code(name_of(report, name))}" for name in report.summary.unproven]
        found += [f"**changed although nobody may**: {code(path)}" for path in report.summary.forbidden]
        found += [code(edited_words(report.summary), 400)] if report.summary.edited else []
        found += [f"{code(gate)} waits for approval" for gate in report.summary.needs_you]
        found += [f"{code(row.id)} {code(asks_words(one), 400)}" for row in report.summary.rows for one in row.asks]
        asked = [(row.id, one) for row in report.summary.rows for one in row.asks]
        found += [f"the agent of {code(name_of(report, phase))} asks: {code(one.text, 400)}" for phase, one in asked]
        found += [f"the agent of {code(name_of(report, row.id))} is silent" for row in report.summary.silent]
        if found:
            yield "### Needs a look"
            yield ""
            yield from self.listed(found)

    def time(self) -> Iterator[str]:
        report, wall = self.report, self.report.summary.elapsed or 0.0
        if not report.shares:
            return
        yield "### Where the time went"
        yield ""
        rows = [[one.words, seconds(one.seconds), f"{one.seconds / wall:.0%}"] for one in report.shares]
        yield from _table(["", "time", "share"], rows)
        yield "<details><summary>the chain of phases that paced the run</summary>"
        yield ""
        chain = [
            [code(name_of(report, step.attempt.phase)), seconds(step.attempt.lasted(report.now)), _plain(words)]
            for step in report.chain
            if (words := step_words(report, step))
        ]
        yield from _table(["phase", "took", "before its start it"], chain[: self.rows])
        yield from self.more(chain)
        yield "</details>"
        yield ""

    def faster(self) -> Iterator[str]:
        told = self.report.faster
        yield "### What would have made it faster"
        yield ""
        if told.as_it_was is None:
            yield f"Nothing can be said: {told.why_not}."
            yield ""
            return
        rows = [[_plain(option_words(self.report, one)), saving_words(one, told.as_it_was)] for one in told.options[:8]]
        if rows:
            yield from _table(["change", "saves, on paper"], rows)
        yield from self.listed(
            [_plain(words) for words in (*vain_words(self.report), lost_words(self.report)) if words]
        )

    def phases(self) -> Iterator[str]:
        yield "### Phases"
        yield ""
        order = sorted(self.report.phases, key=lambda one: one.row.standing is not Standing.FAILED)
        shown = {id(one) for one in order[: self.rows]}
        rows = [self.row(one) for one in self.report.phases if id(one) in shown]
        yield from _table(["phase", "state", "estimated", "took", "tries", "waited", "cost", "tokens"], rows)
        yield from self.more(self.report.phases)

    def row(self, one: PhaseFacts) -> list[str]:
        return [
            code(name_of(self.report, one.row.id), 60),
            f"{sign_of(one.row.standing)} {one.row.standing.value}",
            seconds(one.estimate),
            seconds(one.actual) if one.actual is not None else "-",
            f"{len(one.attempts)}",
            seconds(one.waited) if one.waited else "-",
            cost_of(one.spent) if one.attempts else "-",
            tokens_of(one.spent) if one.attempts else "-",
        ]

    def vain(self) -> Iterator[str]:
        found = [
            f"{code(name_of(self.report, one.attempt.phase))} attempt {one.attempt.number} {outcome_words(one)} "
            f"after {seconds(one.seconds)}: {code(why(one))}"
            for one in self.report.vain
        ]
        if found:
            yield "### Tried again"
            yield ""
            yield from self.listed(found)

    def waits(self) -> Iterator[str]:
        report = self.report
        found = sorted(report.waits, key=lambda wait: -wait.lasted(report.now))
        rows = [
            [code(waiter(report, wait), 60), code(wait_words(report, wait)), seconds(wait.lasted(report.now))]
            for wait in found[: min(self.rows, 20)]
        ]
        if rows:
            yield "### Longest waits"
            yield ""
            yield from _table(["who", "for", "how long"], rows)

    def records(self) -> Iterator[str]:
        report = self.report
        found = [
            f"{code(name_of(report, one.row.id))} was waived by {code(waiver.by)}: {code(waiver.reason)}"
            for one in report.of(Standing.SKIPPED)
            if (waiver := one.row.waiver) is not None
        ]
        found += [
            f"undeclared: {code(', '.join(one.paths[:6]))}, perhaps by {code(', '.join(one.suspects[:6]))}"
            for one in report.undeclared
        ]
        found += [
            f"{code(name)} {gate.status.value} by {code(gate.by)}: {code(gate.reason)}".rstrip(": ")
            for name, gate in report.gates.items()
            if gate.by
        ]
        if found:
            yield "### On record"
            yield ""
            yield from self.listed(found)

    def graph(self) -> Iterator[str]:
        if not 0 < len(self.report.phases) <= min(_MERMAID, self.rows * 5):
            return
        drawn = mermaid_of(self.report)
        if fits_mermaid(drawn):
            yield "<details><summary>graph</summary>"
            yield ""
            yield "```mermaid"
            yield from drawn.rstrip().splitlines()
            yield "```"
            yield "</details>"

    def comparison(self, found: Comparison) -> Iterator[str]:
        yield f"### Compared with run {code(found.before)}"
        yield ""
        pairs = sorted(found.phases, key=lambda pair: -abs(pair.seconds or 0.0))[: min(self.rows, 40)]
        rows = [_pair("**whole run**", found.whole), _pair("**all work**", found.work)]
        rows += [_pair(code(f"{pair.id} {pair.name}" if pair.id != pair.name else pair.id, 60), pair) for pair in pairs]
        yield from _table(["", "before", "after", "time", "tries", "cost"], rows)
        yield from self.more(found.phases)

    def listed(self, found: Sequence[str]) -> Iterator[str]:
        yield from (f"- {line}" for line in found[: self.rows])
        if len(found) > self.rows:
            yield f"- and {len(found) - self.rows:,} more"
        yield ""

    def more(self, found: Sequence[object]) -> Iterator[str]:
        if len(found) > self.rows:
            yield f"and {len(found) - self.rows:,} more; the JSON report has all"
            yield ""


def _pair(name: str, pair: Pair) -> list[str]:
    return [
        name,
        _side(pair.before),
        _side(pair.after),
        *more_words(pair),
    ]


def _side(side: Side | None) -> str:
    if side is None:
        return "not in it"
    tries = f", {counted(side.attempts, 'attempt')}" if side.attempts else ""
    return f"{seconds(side.seconds)}{tries}" if side.seconds is not None else side.standing


def _plain(words: str) -> str:
    """Our words with foreign ones in them, as a code span if there is anything that could be mark-up."""
    return words if re.fullmatch(r"[\w ,.:;()%+-]*", words) and "_" not in words else code(words, 400)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
