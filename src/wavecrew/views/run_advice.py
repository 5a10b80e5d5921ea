"""What would have made a run faster, tried on paper with the times that were measured.

What it does: runs the plan again in the simulation, each phase as long as it really took: with the agents there were,
with one more, one less, and without the turns that phases took at a resource of the pacing chain.
What it does not know: pauses, retries and start-up times, so it speaks of differences on paper only; and a run that did
not succeed, of which it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from wavecrew.errors import InvalidValueError
from wavecrew.models.events import Outcome
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.resources import Claim, parse_resource
from wavecrew.models.schedule import Estimates, priorities
from wavecrew.models.simulation import Workload, makespan
from wavecrew.views.run_history import History
from wavecrew.views.run_pacing import PacingStep, Waited

LARGEST: Final = 1_000
"""Of plans with more phases nothing is tried."""
_RESOURCES: Final = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """Lengths in seconds on paper: of the run as it was, with one agent more and one less (None if there was only
    one), and without turns at some resources."""

    as_it_was: float
    agents: int
    one_more: float
    one_less: float | None
    without: Mapping[str, float]


def advice(state: ExecutionState, history: History, chain: Sequence[PacingStep]) -> Advice | None:
    """The advice for a run that succeeded as a whole; None for any other."""
    graph, agents = state.graph, state.agent_limit
    if state.end_time is None or not state.succeeded or not chain or agents < 1 or len(graph.nodes) > LARGEST:
        return None
    took = {a.phase: a.lasted(a.started) for a in history.attempts if a.outcome is Outcome.SUCCEEDED}
    durations = [took.get(name, 0.0) for name in graph.nodes]
    urgency = priorities(graph, Estimates.of(graph).durations)
    load = Workload.of(graph, durations, [urgency[name] for name in graph.nodes])
    contested = dict.fromkeys(step.resource for step in chain if step.waited_for is Waited.LOCK)
    return Advice(
        as_it_was=makespan(load, agents)[0],
        agents=agents,
        one_more=makespan(load, agents + 1)[0],
        one_less=makespan(load, agents - 1)[0] if agents > 1 else None,
        without={
            resource: makespan(replace(load, table=Workload.of(free, durations, durations).table), agents)[0]
            for resource in list(contested)[:_RESOURCES]
            if (free := _without(graph, resource)) is not None
        },
    )


def _without(graph: DependencyGraph, resource: str) -> DependencyGraph | None:
    """The same plan, but nobody claims what touches a resource."""
    try:
        wanted = Claim(parse_resource(resource))
    except InvalidValueError:
        return None
    return DependencyGraph({name: _freed(phase, wanted) for name, phase in graph.nodes.items()}, graph.edges)


def _freed(phase: PhaseInfo, wanted: Claim) -> PhaseInfo:
    def kept(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text for text in texts if not _touches(text, wanted))

    return replace(phase, outputs=kept(phase.outputs), locks=kept(phase.locks), reads=kept(phase.reads))


def _touches(text: str, wanted: Claim) -> bool:
    try:
        return Claim(parse_resource(text)).collides(wanted)
    except InvalidValueError:
        return False
