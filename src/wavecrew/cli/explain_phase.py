"""What `explain PHASE` prints: why a phase is where it is, what it waits for, and whether it would be kept.

What it does: tells, with the line that each answer rests on, as text or as JSON.
What it does not know: codes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from wavecrew.api.again import Explained, explain_again
from wavecrew.api.plans import analyse_plan
from wavecrew.api.selection import phase_named
from wavecrew.cli.globals import Globals
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.gates import GateStatus, over, wave_gate
from wavecrew.models.inputs import ATTEMPT, told
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.schedule import Analysis
from wavecrew.views.earlier import earlier_attempts
from wavecrew.views.question_words import question_words
from wavecrew.views.run_next import approve_command
from wavecrew.views.run_words import wrapped
from wavecrew.views.terminal_text import one_line
from wavecrew.views.usage_words import held_words, holding
from wavecrew.views.words import duration

_WIDTH = 80


def explain_phase(settings: Globals, word: str, plan_path: str | None) -> str:
    """The whole text, or JSON. Raises NotFoundError for a word that names no phase, or several."""
    workspace = settings.workspace()
    plan = settings.plan(workspace, plan_path)
    if plan.settings:
        workspace = settings.workspace(document=plan.settings)
    name = phase_named(plan.graph, word)
    phase = plan.graph.nodes[name]
    analysis = analyse_plan(plan, workspace.loaded.config.max_parallel_agents)
    found = explain_again(workspace, plan, name)
    if settings.json:
        return json.dumps(_data(phase, analysis, found), indent=2)
    lines = [f"phase {phase.id}: {phase.name}"]
    if phase.source:
        lines.append(f"  from      {phase.source.file}:{phase.source.line}")
    lines += _place(phase, analysis)
    if found is not None:
        lines += _standing(phase, found)
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
        late = "unknown" if slack is None else f"may be late by {duration(slack)}" if slack else "none"
        late = "on the critical path" if analysis.is_critical(phase.id) else late
        lines.append(f"  slack     {late}")
    for conflict in analysis.conflicts:
        if phase.id in conflict.phases:
            other = next(found for found in conflict.phases if found != phase.id)
            lines.append(f"  conflict  takes turns with {other} on {conflict.resource}")
    return lines


def _standing(phase: PhaseInfo, explained: Explained) -> list[str]:
    run = explained.judged.run
    lines = [f"  in run {run.row.id}"]
    if phase.id in run.state.phase_states:
        lines += _where(phase, run.state, explained)
    answer = one_line(_answer(explained, run.state))
    lines += wrapped("    again?  ", answer.split(" "), _WIDTH, between=" ")
    if len(explained.verdict.changed) > 1:
        changes = [one_line(told(name)) for name in explained.verdict.changed]
        lines += wrapped("    changed ", changes, _WIDTH)
    return lines


def _where(phase: PhaseInfo, state: ExecutionState, explained: Explained) -> list[str]:
    found = state.phase_states[phase.id]
    lines = [f"    status  {found.status}"]
    lines += _rows("before", earlier_attempts(explained.judged.run.events, phase.id, found.attempts))
    if found.detail:
        lines += wrapped("    last    ", one_line(found.detail).split(" "), _WIDTH, between=" ")
    if found.resumed and found.status is PhaseStatus.IN_PROGRESS:
        lines.append(f"    session goes on with session {one_line(found.resumed)}")
    elif explained.session:
        lines.append(f"    session the next attempt goes on with session {one_line(explained.session)}")
    if found.lock_wait and found.status is PhaseStatus.QUEUED:
        lines.append(f"    waits   for {found.lock_wait.resource}, held by {found.lock_wait.holder}")
    for wait in found.write_waits:
        lines.append(f"    waits   to write {one_line(wait.resource)}, held by {one_line(wait.holder)}")
    held = holding(state, phase.id, time.time()) if found.status is PhaseStatus.QUEUED else None
    if held:
        words = one_line(held_words(*held, time.time())).removeprefix("held: ")
        lines += wrapped("    held    ", words.split(" "), _WIDTH, between=" ")
    lines += _rows("gate", _gates(phase, state))
    lines += _rows("asked", (question_words(one) for one in found.questions))
    if found.waiver:
        lines.append(f"    waived  by {found.waiver.by}: {found.waiver.reason}")
    if found.status is PhaseStatus.NOT_STARTED:
        lines.append(f"    waits   for phase {', '.join(_waits_for(phase, state))}")
        stuck = state.blockers(phase.id)
        if stuck:
            lines.append(f"    stuck   behind {', '.join(stuck)}")
    return lines


def _rows(head: str, sentences: Iterable[str]) -> Iterator[str]:
    for words in sentences:
        yield from wrapped(f"    {head:<7} ", one_line(words).split(" "), _WIDTH, between=" ")


def _gates(phase: PhaseInfo, state: ExecutionState) -> Iterator[str]:
    """The gates that a person opens before this phase: where each stands, and who has answered."""
    waits = state.status_of(phase.id) in (PhaseStatus.NOT_STARTED, PhaseStatus.QUEUED)
    for name in over(state.graph, phase.id):
        gate = state.gates.get(name)
        if gate is None:
            comes = name.partition(" ")[0] == state.settings.get("gate") and name != wave_gate(1)
            if comes and waits:
                yield f"{name}: somebody will be asked, once all before it is done"
        elif gate.status is GateStatus.ASKED:
            yield f"{name}: needs you; agree with: {approve_command((name,))}"
        else:
            yield f"{name}: {gate.status} by {gate.by}" + (f": {gate.reason}" if gate.reason else "")


def _waits_for(phase: PhaseInfo, state: ExecutionState) -> list[str]:
    return [other for other in state.graph.dependencies(phase.id) if not state.phase_states[other].satisfied]


def _answer(explained: Explained, state: ExecutionState) -> str:
    """Whether the next `run` would do the phase, and why."""
    reason, found = explained.verdict.reason, state.phase_states.get(explained.verdict.phase)
    if found is not None and not (found.attempts or found.kept_from or found.waiver):
        return "yes: it has not been done yet"
    if found is not None and not reason:
        if found.status is PhaseStatus.COMPLETED:
            return "no: nothing that it rests on has changed"
        if found.waiver is not None:
            return "no: it is waived"
        if found.status is PhaseStatus.IN_PROGRESS:
            return "no: it is at work, and nothing that it rests on has changed"
        return "yes: it has not been done yet"
    return f"yes: {reason}"


# -- for programs -----------------------------------------------------------------------------------------------


def _data(phase: PhaseInfo, analysis: Analysis, explained: Explained | None) -> dict[str, Any]:
    source = phase.source
    return {
        "phase": phase.id,
        "name": phase.name,
        "source": {"file": source.file, "line": source.line} if source else None,
        "wave": analysis.wave_of.get(phase.id),
        "needs": list(analysis.graph.dependencies(phase.id)),
        "needed_by": list(analysis.graph.dependents(phase.id)),
        "estimate_hours": phase.estimated_time,
        "slack_hours": analysis.hours(analysis.slack.get(phase.id)),
        "critical": phase.id in analysis.slack and analysis.is_critical(phase.id),
        "conflicts": [
            {"with": next(other for other in conflict.phases if other != phase.id), "resource": str(conflict.resource)}
            for conflict in analysis.conflicts
            if phase.id in conflict.phases
        ],
        "run": None if explained is None else _run_data(phase, explained),
    }


def _run_data(phase: PhaseInfo, explained: Explained) -> dict[str, Any]:
    state = explained.judged.run.state
    found = state.phase_states.get(phase.id)
    again = _answer(explained, state).startswith("yes")
    return {
        "run": state.run,
        "goes_on": explained.judged.goes_on,
        "status": found.status.value if found else None,
        "detail": found.detail if found else "",
        "before": list(earlier_attempts(explained.judged.run.events, phase.id, found.attempts)) if found else [],
        "gates": list(_gates(phase, state)) if found else [],
        "questions": [
            {"question": one.number, "text": one.text, "answer": one.answer or None, "by": one.by or None}
            for one in (found.questions if found else ())
        ],
        "session": explained.session or None,
        "waits_for": _waits_for(phase, state) if found else [],
        "stuck_behind": list(state.blockers(phase.id)) if found else [],
        "again": again,
        "reason": explained.verdict.reason,
        "changed": list(explained.verdict.changed),
        "inputs": [
            {"name": name, "then": explained.then.get(name), "now": explained.now.get(name)}
            for name in dict.fromkeys((*explained.then, *explained.now))
            if name != ATTEMPT
        ],
    }
