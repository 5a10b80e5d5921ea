"""Plans for people and programs: read, checked, analysed, narrowed down.

What it does: joins reader, checks, conflicts and analysis, and turns `--only`, `--from` and `--until` into a set of
phases.
What it does not know: runs and the state folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from wavecrew.core.jobs import Agent
from wavecrew.errors import NotFoundError, PreflightError
from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis, analyse
from wavecrew.plans.checks import check
from wavecrew.plans.conflicts import find_conflicts
from wavecrew.plans.reader import read_plan


@cache
def load_agents() -> Mapping[str, Agent]:
    """All agents that are installed, by name. Raises PreflightError for a plug-in that cannot be loaded."""
    from importlib.metadata import entry_points  # costs as much as half of the other start-up work

    agents: dict[str, Agent] = {}
    for entry in entry_points(group="wavecrew.agents"):
        try:
            agent: Agent = entry.load()()
        except Exception as error:
            raise PreflightError(
                f"the agent {entry.name} ({entry.value}) cannot be loaded: {error}",
                fix="reinstall or remove its package",
            ) from error
        agents[entry.name] = agent
    return agents


def load_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan and check it; every finding is in its diagnostics.

    Raises NotFoundError and PlanError as `read_plan` does, when there is no plan to talk about at all.
    """
    plan = read_plan(path)
    return replace(plan, diagnostics=check(plan, load_agents().keys()))


def analyse_plan(plan: Plan, agents: int) -> Analysis:
    """Waves, critical path, conflicts and forecast of a plan, also of a faulty one."""
    found = find_conflicts(plan.graph)
    return analyse(plan.graph, found.found, agents, more_conflicts=found.more)


def select(
    graph: DependencyGraph, only: Sequence[str] = (), start: Sequence[str] = (), until: Sequence[str] = ()
) -> frozenset[str]:
    """The phases that all given conditions allow; empty when there is no condition.

    `only` names phases, `start` adds what depends on them, `until` what they depend on. Each word is an id, a name or
    a pattern. Raises NotFoundError for a word, or a combination, that selects nothing.
    """
    chosen: list[set[str]] = []
    if only:
        chosen.append(_matching(graph, only))
    if start:
        roots = _matching(graph, start)
        chosen.append(roots.union(*(graph.descendants(name) for name in roots)))
    if until:
        ends = _matching(graph, until)
        chosen.append(ends.union(*(graph.ancestors(name) for name in ends)))
    if not chosen:
        return frozenset()
    both = frozenset(set.intersection(*chosen))
    if not both:
        raise NotFoundError("no phase fulfils all of --only, --from and --until", fix="see: wavecrew plan")
    return both


def _matching(graph: DependencyGraph, words: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for word in words:
        hits = {word} & graph.nodes.keys() or {
            name
            for name, phase in graph.nodes.items()
            if fnmatchcase(name, word) or fnmatchcase(phase.name.casefold(), word.casefold())
        }
        if not hits:
            raise NotFoundError(f"no phase is called {word!r}", fix=_nearest(graph, word))
        found |= hits
    return found


def _nearest(graph: DependencyGraph, word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, [*graph.nodes, *(phase.name for phase in graph.nodes.values())], n=1)
    return f"did you mean {near[0]!r}?" if near else "see the ids with: wavecrew plan"


def phase_named(graph: DependencyGraph, word: str) -> str:
    """The one phase that a word names. Raises NotFoundError for none and for several."""
    hits = sorted(_matching(graph, [word]))
    if len(hits) > 1:
        raise NotFoundError(f"{word!r} fits several phases: {', '.join(hits[:8])}", fix="name one of them")
    return hits[0]


def default_plan_path(given: str | None, configured: Path) -> Path:
    """The plan to use: the one that was named, else the configured one."""
    return Path(given) if given else configured
