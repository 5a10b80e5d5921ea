"""A plan as text for other people's drawing programs: Mermaid (for READMEs and pull requests) and Graphviz.

What it does: writes waves, dependencies, the critical path and conflicts. Names of phases never reach the other
program unescaped, and never serve as its identifiers.
What it does not know: how these programs place things; our own drawing is `plan_svg`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis
from wavecrew.views.words import duration, printable

_PLAIN: Final = frozenset(" -_.,/+")
_LIST_MARKS: Final = frozenset("-.+")  # before a blank they would make a list of a label
_CONFLICTS: Final = 200


def mermaid(plan: Plan, analysis: Analysis) -> str:
    """A flowchart from left to right; thick arrows are the critical path, dotted lines are conflicts."""
    return "\n".join(_mermaid(plan, analysis)) + "\n"


def _mermaid(plan: Plan, analysis: Analysis) -> Iterator[str]:
    node = _numbered(analysis, "p")
    yield "flowchart LR"
    yield f"  accTitle: {''.join(c if c.isalnum() else ' ' for c in plan.name)}"
    for wave in analysis.waves:
        yield f'  subgraph w{wave.wave_number}["wave {wave.wave_number}"]'
        yield "    direction TB"
        for name in wave.phases:
            yield f'    {node[name]}["{_mermaid_label(analysis, name)}"]'
        yield "  end"
    for name in _without_wave(analysis):
        yield f'  {node[name]}["{_mermaid_label(analysis, name)}"]'
    key = frozenset(pairwise(analysis.critical_path))
    for name in analysis.graph.nodes:
        for other in analysis.graph.dependencies(name):
            yield f"  {node[other]} {'==>' if (other, name) in key else '-->'} {node[name]}"
    for conflict in analysis.conflicts[:_CONFLICTS]:
        a, b = conflict.phases
        yield f'  {node[a]} -. "! {_mermaid_text(conflict.resource)}" .- {node[b]}'
    if analysis.critical_path:
        yield "  classDef critical stroke-width:3px"
        yield f"  class {','.join(node[name] for name in analysis.critical_path)} critical"


def _mermaid_label(analysis: Analysis, name: str) -> str:
    return "<br/>".join(_mermaid_text(line) for line in _lines(analysis, name))


def _mermaid_text(text: str) -> str:
    """Letters and digits of any script as they are, everything else as a numbered entity."""
    clean = printable(text)
    return "".join(
        c if c.isalnum() or (c in _PLAIN and not (c in _LIST_MARKS and after == " ")) else f"#{ord(c)};"
        for c, after in zip(clean, clean[1:] + " ", strict=True)
    )


def dot(plan: Plan, analysis: Analysis) -> str:
    """A Graphviz digraph, one rank per wave."""
    return "\n".join(_dot(plan, analysis)) + "\n"


def _dot(plan: Plan, analysis: Analysis) -> Iterator[str]:
    node = _numbered(analysis, "p")
    critical = frozenset(analysis.critical_path)
    yield "digraph plan {"
    yield f"  graph [rankdir=LR, label={_quoted(plan.name)}, labelloc=t, fontname=sans]"
    yield '  node [shape=box, style=rounded, fontname="sans", fontsize=11]'
    for wave in analysis.waves:
        yield f"  {{ rank=same // wave {wave.wave_number}"
        for name in wave.phases:
            yield f"    {node[name]} [{_dot_box(analysis, name, name in critical)}]"
        yield "  }"
    for name in _without_wave(analysis):
        yield f"  {node[name]} [{_dot_box(analysis, name, False)}]"
    key = frozenset(pairwise(analysis.critical_path))
    for name in analysis.graph.nodes:
        for other in analysis.graph.dependencies(name):
            yield f"  {node[other]} -> {node[name]}{' [penwidth=3]' if (other, name) in key else ''}"
    for conflict in analysis.conflicts[:_CONFLICTS]:
        a, b = conflict.phases
        words = _quoted(f"! {conflict.resource}")
        yield f"  {node[a]} -> {node[b]} [dir=none, style=dashed, constraint=false, label={words}]"
    yield "}"


def _dot_box(analysis: Analysis, name: str, critical: bool) -> str:
    label = "\\n".join(_escaped(line) for line in _lines(analysis, name))
    return f'label="{label}"' + (", penwidth=3" if critical else "")


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')


# -- common to both ---------------------------------------------------------------------------------------------


def _numbered(analysis: Analysis, letter: str) -> Mapping[str, str]:
    return {name: f"{letter}{number}" for number, name in enumerate(analysis.graph.nodes)}


def _without_wave(analysis: Analysis) -> Iterator[str]:
    return (name for name in analysis.graph.nodes if name not in analysis.wave_of)


def _lines(analysis: Analysis, name: str) -> list[str]:
    """What stands in a box: id and name, then the estimate if there is one."""
    phase = analysis.graph.nodes[name]
    first = phase.id if phase.name == phase.id else f"{phase.id} {phase.name}"
    time = [] if phase.estimated_time is None else [duration(phase.estimated_time)]
    return [printable(first), *time]
