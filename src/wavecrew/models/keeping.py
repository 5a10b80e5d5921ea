"""Which work of an earlier run still stands, and why the rest does not.

What it does: holds what each attempt was made from against how it is now, and follows every change to all that rests
on it, for a run that goes on (`standing`) and for a new one (`worth_keeping`).
What it does not know: files and settings (a `Look` sees them), and what is done about it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.inputs import AFTER, DOCUMENT, changes, document_digest, told, work_digest
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.phase_state import PhaseState
from wavecrew.models.phase_status import PhaseStatus


class Look(Protocol):
    """How things are now."""

    def own(self, graph: DependencyGraph, phase: PhaseInfo) -> Mapping[str, str]:
        """What a phase rests on, but for the work of others."""

    def missing(self, outputs: Iterable[str]) -> tuple[str, ...]:
        """Those of some declared outputs that are not there."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the work of one phase. `reason` tells why it is done again, or only now; empty if it stands.

    `changed` names the inputs that are not what they were. `moved` tells whether what rests on it is to be done again.
    """

    phase: str
    reason: str = ""
    changed: tuple[str, ...] = ()
    moved: bool = False


def standing(graph: DependencyGraph, before: ExecutionState, look: Look) -> Mapping[str, Verdict]:
    """For a run that goes on, with a plan that may have been edited meanwhile.

    A phase that somebody asked for alone is no reason to do again what rests on it: whoever wants that says so.
    """
    verdicts: dict[str, Verdict] = {}
    for name in graph.topological_order():
        phase, found = graph.nodes[name], before.phase_states.get(name)
        if found is None:
            verdicts[name] = Verdict(name, "it is new")
        elif found.waiver is not None and found.status is not PhaseStatus.COMPLETED:
            verdicts[name] = Verdict(name)
        else:
            changed = _own_changes(graph, before, phase, look)
            reason = told(changed[0]) if changed else _gone(phase, found, look)
            if not reason:
                moved = (other for other in graph.dependencies(name) if verdicts[other].moved)
                reason = next((f"phase {other} is done again" for other in moved), "")
            failed = "it failed" if found.status is PhaseStatus.FAILED else ""
            verdicts[name] = Verdict(name, reason or failed, changed, moved=bool(reason))
    return verdicts


def worth_keeping(
    graph: DependencyGraph, before: ExecutionState, look: Look, forced: Collection[str] = ()
) -> Mapping[str, Verdict]:
    """For a new run: kept is what an earlier one completed, if it and all it depends on is as it was. What is `forced`
    is done again whatever it is like."""
    verdicts: dict[str, Verdict] = {}
    for name in graph.topological_order():
        phase, found = graph.nodes[name], before.phase_states.get(name)
        if found is None or found.status is not PhaseStatus.COMPLETED:
            verdicts[name] = Verdict(name, _never_done(found), moved=True)
            continue
        changed = _own_changes(graph, before, phase, look)
        reason = told(changed[0]) if changed else _gone(phase, found, look)
        if name in forced:
            reason = "it was asked for"
        if not reason:
            reason = next((_first(before, other) for other in graph.dependencies(name) if verdicts[other].moved), "")
        if not reason and found.inputs:
            changed = tuple(other for other in _after_changes(graph, before, phase))
            reason = told(changed[0]) if changed else ""
        verdicts[name] = Verdict(name, reason, changed, moved=bool(reason))
    return verdicts


def _own_changes(graph: DependencyGraph, before: ExecutionState, phase: PhaseInfo, look: Look) -> tuple[str, ...]:
    then = before.phase_states[phase.id].inputs
    if not then:  # never started, or by a version that did not write it down
        same = document_digest(phase) == document_digest(before.graph.nodes[phase.id])
        return () if same else (DOCUMENT,)
    own = {name: value for name, value in then.items() if not name.startswith(AFTER)}
    return changes(own, look.own(graph, phase))


def _after_changes(graph: DependencyGraph, before: ExecutionState, phase: PhaseInfo) -> tuple[str, ...]:
    then = {name: value for name, value in before.phase_states[phase.id].inputs.items() if name.startswith(AFTER)}
    now = {AFTER + other: work_digest(before, other) for other in graph.dependencies(phase.id)}
    return changes(then, now)


def _gone(phase: PhaseInfo, found: PhaseState, look: Look) -> str:
    gone = look.missing(phase.outputs) if found.status is PhaseStatus.COMPLETED else ()
    return f"its output {gone[0]} is gone" if gone else ""


def _never_done(found: PhaseState | None) -> str:
    if found is None:
        return "it is new"
    if found.waiver is not None:
        why = f": {found.waiver.reason}" if found.waiver.reason else ""
        return f"it was waived by {found.waiver.by}{why}; that held for its run alone"
    return "it failed" if found.status is PhaseStatus.FAILED else "it was not done"


def _first(before: ExecutionState, other: str) -> str:
    found = before.phase_states.get(other)
    done = found is not None and found.status is PhaseStatus.COMPLETED
    return f"phase {other} is done again" if done else f"phase {other} is done only now"
