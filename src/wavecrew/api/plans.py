"""Plans for people and programs: read, checked, analysed.

What it does: joins agents, reader, checks, conflicts and analysis.
What it does not know: runs and the state folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from wavecrew.core.jobs import Agent
from wavecrew.errors import PreflightError
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
