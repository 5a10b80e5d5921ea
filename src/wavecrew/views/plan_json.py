"""A plan and its analysis as JSON, for programs. The keys are published and stay.

What it does: writes every phase as it was read (both of a repeated id), waves, paths, conflicts and findings. What is
not known is null, never zero.
What it does not know: how any of it was worked out, and how people like to see it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from wavecrew.errors import Diagnostic
from wavecrew.models.experience import Experience
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis
from wavecrew.views.experience_words import estimates_data
from wavecrew.views.findings import as_data


def plan_data(
    plan: Plan, analysis: Analysis, diagnostics: Sequence[Diagnostic] = (), experience: Experience | None = None
) -> dict[str, object]:
    """The document as plain values. `experience` tells how good estimates were so far."""
    return {
        "plan": {"name": plan.name, "digest": plan.digest},
        "phases": [_phase(phase, analysis) for phase in plan.phases],
        "waves": [{"wave_number": wave.wave_number, "phases": list(wave.phases)} for wave in analysis.waves],
        "critical_path": list(analysis.critical_path),
        "pacing_chain": [step.phase for step in analysis.pacing_chain],
        "conflicts": [
            {"phases": list(conflict.phases), "resource": conflict.resource, "same_wave": conflict.same_wave}
            for conflict in analysis.conflicts
        ],
        "more_conflicts": analysis.more_conflicts,
        "diagnostics": [as_data(finding) for finding in diagnostics],
        "assumed_estimates": list(analysis.estimates.assumed),
        "assumed_order": plan.assumed_order,
        "critical_path_hours": analysis.hours(analysis.critical_time),
        "pacing_waits": [
            {"phase": step.phase, "waited_for": step.waited_for.value, "resource": step.resource or None}
            for step in analysis.pacing_chain
        ],
        "makespan": _makespan(analysis),
        "makespans": [{"agents": agents, "hours": analysis.hours(time)} for agents, time in analysis.makespans.items()],
        "useful_agents": analysis.useful_agents,
        "estimates_so_far": estimates_data(experience or Experience()),
    }


def plan_json(
    plan: Plan, analysis: Analysis, diagnostics: Sequence[Diagnostic] = (), experience: Experience | None = None
) -> str:
    """The document as text."""
    return json.dumps(plan_data(plan, analysis, diagnostics, experience), indent=2, ensure_ascii=False) + "\n"


def _makespan(analysis: Analysis) -> dict[str, object]:
    time = analysis.schedule.makespan if analysis.schedule else None
    return {"agents": analysis.agents, "hours": analysis.hours(time)}


def _phase(phase: PhaseInfo, analysis: Analysis) -> dict[str, object]:
    source = {"file": phase.source.file, "line": phase.source.line} if phase.source else {"file": None, "line": None}
    return {
        "id": phase.id,
        "name": phase.name,
        "dependencies": list(phase.dependencies),
        "outputs": list(phase.outputs),
        "reads": list(phase.reads),
        "locks": list(phase.locks),
        "estimated_time": phase.estimated_time,
        "agent": phase.agent or None,
        "model": phase.model or None,
        "wave": analysis.wave_of.get(phase.id),
        "slack": analysis.hours(analysis.slack.get(phase.id)),
        "source": source,
    }
