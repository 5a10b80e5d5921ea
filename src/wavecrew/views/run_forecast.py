"""How long the rest of a run may take, by the estimates of its plan.

What it does: follows the longest chain of what is left, counts in what a phase waits for right now and the number of
agents, and names the chain that paces the rest.
What it does not know: how good the estimates are; where one is missing there is no forecast at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from wavecrew.models.execution_state import ExecutionState, PhaseState
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.simulation import ChainStep, Wait


@dataclass(frozen=True, slots=True)
class Forecast:
    """About how many seconds are left, and the chain of phases that takes them.

    `by_agents` says that there is more work than the chain: then the number of agents paces the run.
    """

    left: float
    chain: tuple[ChainStep, ...]
    by_agents: bool = False


def forecast(state: ExecutionState, now: float) -> Forecast | None:
    """The forecast for what can still be done; None if an estimate is missing or nothing is left by the estimates."""
    ends: dict[str, float] = {}
    before: dict[str, tuple[str, Wait, str]] = {}
    total = 0.0
    for layer in ((*state.running,), *state.graph.layers()):
        for name in layer:
            found = state.phase_states[name]
            if name in ends or not _left(state, name, found):
                continue
            rest = _rest(state, name, found, now)
            if rest is None:
                return None
            others = [other for other in state.graph.edges[name] if not state.phase_states[other].satisfied]
            if found.status is PhaseStatus.NOT_STARTED and any(other not in ends for other in others):
                continue  # a failure holds it up
            start, cause = max(0.0, (found.retry_at or now) - now), ("", Wait.NOTHING, "")
            for other in others if found.status is PhaseStatus.NOT_STARTED else ():
                if ends[other] >= start:
                    start, cause = ends[other], (other, Wait.DEPENDENCY, "")
            lock = found.lock_wait
            if lock is not None and found.status is PhaseStatus.QUEUED and ends.get(lock.holder, 0.0) > start:
                start, cause = ends[lock.holder], (lock.holder, Wait.LOCK, lock.resource)
            ends[name], before[name] = start + rest, cause
            total += rest
    return _told(ends, before, total / max(1, state.agent_limit))


def _left(state: ExecutionState, name: str, found: PhaseState) -> bool:
    return not found.satisfied and found.status is not PhaseStatus.FAILED and state.to_do(name)


def _rest(state: ExecutionState, name: str, found: PhaseState, now: float) -> float | None:
    hours = state.graph.nodes[name].estimated_time
    if hours is None:
        return None
    spent = now - found.started_at if found.status is PhaseStatus.IN_PROGRESS and found.started_at is not None else 0.0
    return max(0.0, hours * 3600 - max(0.0, spent))


def _told(ends: dict[str, float], before: dict[str, tuple[str, Wait, str]], shared: float) -> Forecast | None:
    last = max(ends, key=ends.__getitem__, default="")
    longest = ends.get(last, 0.0)
    if max(longest, shared) <= 0.0:
        return None
    steps: list[ChainStep] = []
    while last:
        other, cause, resource = before[last]
        steps.append(ChainStep(last, cause, resource))
        last = other
    return Forecast(max(longest, shared), tuple(reversed(steps)), by_agents=shared > longest)
