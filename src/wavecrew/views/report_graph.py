"""The graph of a run: the picture of its plan with where each phase stands, as SVG and as Mermaid text.

What it does: has `plan_svg` and `plan_graph` draw the plan, with the pacing chain of what really happened in place of
the critical path, and with standings and measured times in place of bare statuses.
What it does not know: where boxes and lines go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis, analyse
from wavecrew.views.plan_graph import mermaid
from wavecrew.views.plan_layout import needed_edges
from wavecrew.views.plan_svg import Shown, plan_svg
from wavecrew.views.report_facts import PhaseFacts, Report
from wavecrew.views.report_picture import PagePicture
from wavecrew.views.run_words import seconds
from wavecrew.views.summary import Standing

_COLOURS: Final = {
    "good": ("#1a7336", (Standing.PASSED, Standing.KEPT)),
    "bad": ("#b42525", (Standing.FAILED, Standing.BLOCKED, Standing.GONE)),
    "waived": ("#7a5a00", (Standing.SKIPPED,)),
    "now": ("#1b62b5", (Standing.RUNNING, Standing.MERGING)),
}


ARROWS: Final = 500
"""How many lines Mermaid draws unless it is told otherwise; what shows a pull request cannot be told."""
LETTERS: Final = 50_000
"""How long a text it reads."""


def fits_mermaid(text: str) -> bool:
    """Whether Mermaid draws a text of ours, with the settings that it comes with."""
    return len(text) <= LETTERS and sum(map(text.count, (" --> ", " ==> ", " .- "))) <= ARROWS


def svg_of(report: Report) -> str:
    """The picture, in a file of its own."""
    return plan_svg(_plan(report), _analysis(report), shown=_shown(report))


def picture_of(report: Report) -> PagePicture:
    """The picture as a part of the HTML report."""
    return PagePicture(_plan(report), _analysis(report), _shown(report))


def _shown(report: Report) -> Shown:
    return Shown(
        {one.row.id: one.row.status for one in report.phases},
        {one.row.id: state_words(one) for one in report.phases},
        "pacing chain",
        ("in a box at the right: the estimate",) if any(one.estimate is not None for one in report.phases) else (),
    )


def state_words(one: PhaseFacts, between: str = " · ") -> str:
    """`passed · 2.0s`, `blocked`."""
    time = one.actual if one.actual is not None else (one.row.elapsed if one.attempts else None)
    return f"{one.row.standing.value}{between}{seconds(time)}" if time is not None else one.row.standing.value


def mermaid_of(report: Report) -> str:
    """A flowchart for READMEs and pull requests; states are words in the boxes and colours of their rims. As in our own
    picture, dependencies that follow from others are left out: Mermaid refuses more than `ARROWS`."""
    named = {one.row.id: _named(report.state.graph.nodes[one.row.id], one) for one in report.phases}
    analysis = _analysis(report)
    needed: dict[str, list[str]] = {name: [] for name in named}
    for before, after in needed_edges(report.state.graph, pairwise(analysis.critical_path)):
        needed[after].append(before)
    room = max(0, ARROWS - sum(map(len, needed.values())))
    graph = DependencyGraph(named, {name: tuple(found) for name, found in needed.items()})
    plan = Plan(report.summary.plan_name or "plan", "", tuple(named.values()))
    text = mermaid(plan, replace(analysis, graph=graph, conflicts=analysis.conflicts[:room]))
    run = "".join(letter for letter in report.summary.run if letter.isalnum() or letter in "-_")
    return f"%% wavecrew report of run {run}\n{text.rstrip()}\n" + "".join(f"  {line}\n" for line in _classes(report))


def _named(info: PhaseInfo, one: PhaseFacts) -> PhaseInfo:
    """The phase with its state in its name; where the name is its id, the id says it already."""
    state = state_words(one, ", ")
    return replace(info, name=f"{info.name}: {state}" if info.name != info.id else state, estimated_time=None)


def _classes(report: Report) -> Iterator[str]:
    node = {name: f"p{number}" for number, name in enumerate(report.state.graph.nodes)}
    for kind, (colour, standings) in _COLOURS.items():
        names = [node[one.row.id] for one in report.of(*standings)]
        if names:
            yield f"classDef {kind} stroke:{colour}"
            yield f"class {','.join(names)} {kind}"


def _plan(report: Report) -> Plan:
    return Plan(report.summary.plan_name or "plan", report.summary.plan_path, tuple(report.state.graph.nodes.values()))


def _analysis(report: Report) -> Analysis:
    """The plan with the chain that paced the run in place of the critical path."""
    found = analyse(
        report.state.graph, report.conflicts, max(1, report.summary.agents), more_conflicts=report.more_conflicts
    )
    chain = dict.fromkeys(step.attempt.phase for step in report.chain if step.attempt.phase in report.state.graph.nodes)
    return replace(found, critical_path=tuple(chain), critical_time=None)
