"""What `explain PHASE` prints: why a phase is where it is, and what it waits for or why it would run again.

What it does: tells, with the line that each answer rests on.
What it does not know: codes.
"""

from __future__ import annotations

from wavecrew.api.history import open_run
from wavecrew.api.plans import analyse_plan
from wavecrew.api.selection import phase_named
from wavecrew.cli.globals import Globals
from wavecrew.core.store import STATE_FOLDER
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.plan import digest_of
from wavecrew.models.schedule import Analysis
from wavecrew.views.run_words import wrapped
from wavecrew.views.terminal_text import one_line
from wavecrew.views.words import duration


def explain_phase(settings: Globals, word: str, plan_path: str | None) -> str:
    """The whole text. Raises NotFoundError for a word that names no phase, or several."""
    workspace = settings.workspace()
    plan = settings.plan(workspace, plan_path)
    name = phase_named(plan.graph, word)
    phase = plan.graph.nodes[name]
    lines = [f"phase {phase.id}: {phase.name}"]
    if phase.source:
        lines.append(f"  from      {phase.source.file}:{phase.source.line}")
    lines += _place(phase, analyse_plan(plan, workspace.loaded.config.max_parallel_agents))
    if (workspace.folder / STATE_FOLDER / "state.db").exists():
        with workspace.open_store(create=False) as store:
            opened = open_run(store)
            if name in opened.state.phase_states:
                lines += _standing(phase, opened.state, opened.row.id)
    return "\n".join(lines)


def _place(phase: PhaseInfo, analysis: Analysis) -> list[str]:
    graph = analysis.graph
    wave = analysis.wave_of.get(phase.id)
    if wave is None:
        why = "none: it waits in a ring of dependencies, or behind one"
    elif wave == 1:
        why = "1: it depends on nothing"
    else:
        last = [other for other in graph.dependencies(phase.id) if analysis.wave_of.get(other) == wave - 1]
        why = f"{wave}: it comes after {', '.join(last)} of wave {wave - 1}"
    lines = [f"  wave      {why}"]
    lines.append(f"  needs     {', '.join(graph.dependencies(phase.id)) or 'nothing'}")
    lines.append(f"  needed by {', '.join(graph.dependents(phase.id)) or 'nobody'}")
    lines.append(f"  estimate  {duration(phase.estimated_time, 'unknown')}")
    slack = analysis.hours(analysis.slack.get(phase.id))
    if phase.id in analysis.slack:
        late = (
            "on the critical path" if analysis.is_critical(phase.id) else f"may be late by {duration(slack, 'unknown')}"
        )
        lines.append(f"  slack     {late}")
    for conflict in analysis.conflicts:
        if phase.id in conflict.phases:
            other = next(found for found in conflict.phases if found != phase.id)
            lines.append(f"  conflict  takes turns with {other} on {conflict.resource}")
    return lines


def _standing(phase: PhaseInfo, state: ExecutionState, run: str) -> list[str]:
    found = state.phase_states[phase.id]
    lines = [f"  in run {run}", f"    status  {found.status}"]
    if found.detail:
        lines += wrapped("    last    ", one_line(found.detail).split(" "), 80, between=" ")
    if found.lock_wait and found.status is PhaseStatus.QUEUED:
        lines.append(f"    waits   for {found.lock_wait.resource}, held by {found.lock_wait.holder}")
    if found.waiver:
        lines.append(f"    waived  by {found.waiver.by}: {found.waiver.reason}")
    if found.status is PhaseStatus.NOT_STARTED:
        waiting = [other for other in state.graph.dependencies(phase.id) if not state.phase_states[other].satisfied]
        lines.append(f"    waits   for phase {', '.join(waiting)}")
        stuck = state.blockers(phase.id)
        if stuck:
            lines.append(f"    stuck   behind {', '.join(stuck)}")
    same = digest_of(phase) == digest_of(state.graph.nodes[phase.id])
    if found.status is PhaseStatus.COMPLETED:
        again = "no: its document has not changed since" if same else "yes: its document has changed since"
        lines.append(f"    again?  {again}")
    return lines
