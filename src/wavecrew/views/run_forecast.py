"""How long the rest of a run may take, by the estimates of its plan.

What it does: runs what is left on paper, from where each phase stands now, with its locks and the number of agents, and
names the chain that paces the rest.
What it does not know: how good the estimates are; where one is missing there is no forecast at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wavecrew.models.contention import ClaimTable
from wavecrew.models.execution_state import ExecutionState, PhaseState
from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.schedule import Estimates, priorities
from wavecrew.models.simulation import ChainStep, Wait, Workload, simulate


@dataclass(frozen=True, slots=True)
class Forecast:
    """About how many seconds are left, and the chain of phases that takes them."""

    left: float
    chain: tuple[ChainStep, ...]


def forecast(state: ExecutionState, now: float) -> Forecast | None:
    """The forecast for what can still be done; None if an estimate is missing or nothing is left by the estimates."""
    rests: dict[str, float] = {}
    for layer in state.graph.layers():
        for name in layer:
            found = state.phase_states[name]
            if not _can_be_done(state, name, found, rests):
                continue
            hours = state.graph.nodes[name].estimated_time
            if hours is None:
                return None
            rests[name] = _rest(hours * 3600, found, now)
    if not rests:
        return None
    result = simulate(_workload(state, rests), max(state.agent_limit, len(state.running), 1))
    return Forecast(result.makespan, _known(state, result.pacing_chain)) if result.makespan > 0 else None


def _known(state: ExecutionState, chain: tuple[ChainStep, ...]) -> tuple[ChainStep, ...]:
    """The chain, with a lock as the reason where a phase is known to wait for it: on paper the free agent that comes
    with the lock would do as well."""
    told: list[ChainStep] = []
    for step in chain:
        lock = state.phase_states[step.phase].lock_wait
        if told and lock is not None and lock.holder == told[-1].phase:
            step = ChainStep(step.phase, Wait.LOCK, lock.resource)
        told.append(step)
    return tuple(told)


def _can_be_done(state: ExecutionState, name: str, found: PhaseState, rests: Mapping[str, float]) -> bool:
    """Whether a phase is still to be done and nothing keeps it from it; what it depends on has been looked at."""
    if found.satisfied or found.status is PhaseStatus.FAILED or not state.to_do(name):
        return False
    return found.status is not PhaseStatus.NOT_STARTED or all(
        other in rests or state.phase_states[other].satisfied for other in state.graph.edges[name]
    )


def _rest(estimate: float, found: PhaseState, now: float) -> float:
    if found.status is PhaseStatus.IN_PROGRESS and found.started_at is not None:
        return max(0.0, estimate - max(0.0, now - found.started_at))
    pause = max(0.0, found.retry_at - now) if found.retry_at is not None else 0.0
    return estimate + pause


def _workload(state: ExecutionState, rests: Mapping[str, float]) -> Workload:
    """What is left as a plan of its own; phases at work stand first in every line, for they have what they need."""
    whole = _whole(state.graph)
    names = (*state.running, *sorted(rests.keys() - state.running.keys(), key=whole.rank_of.__getitem__))
    number = {name: place for place, name in enumerate(names)}
    return Workload(
        phases=names,
        durations=tuple(rests[name] for name in names),
        rank=tuple(range(len(names))),
        dependency_counts=tuple(
            0 if name in state.running else sum(other in number for other in state.graph.edges[name]) for name in names
        ),
        dependents=tuple(
            tuple(
                number[other]
                for other in state.graph.dependents(name)
                if other in number and other not in state.running
            )
            for name in names
        ),
        table=replace(whole.table, claims=tuple(whole.table.claims[whole.place_of[name]] for name in names)),
    )


@dataclass(frozen=True, slots=True)
class _Whole:
    """What does not change during a run: the claims of all phases and their order of urgency."""

    graph: DependencyGraph
    table: ClaimTable
    place_of: Mapping[str, int]
    rank_of: Mapping[str, int]


_kept: list[_Whole] = []  # of the graph that was asked for last: a view asks for the same one again and again


def _whole(graph: DependencyGraph) -> _Whole:
    if not _kept or _kept[0].graph is not graph:
        urgency = priorities(graph, Estimates.of(graph).durations)
        place = {name: position for position, name in enumerate(graph.nodes)}
        order = sorted(graph.nodes, key=lambda name: (-urgency[name], place[name]))
        rank = {name: position for position, name in enumerate(order)}
        _kept[:] = [_Whole(graph, ClaimTable.of(graph.nodes.values()), place, rank)]
    return _kept[0]
