"""How long the rest of a run may take, by the estimates of its plan.

What it does: runs what is left on paper, from where each phase stands now, with its locks and the number of agents, and
names the chain that paces the rest. Estimates are corrected by what phases really took so far; from enough of those
comes a range, too.
What it does not know: what was never done and has no estimate; where there is such a phase, there is no forecast.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wavecrew.models.contention import ClaimTable
from wavecrew.models.execution_state import ExecutionState, GateStatus, PhaseState
from wavecrew.models.experience import Span
from wavecrew.models.gates import over
from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.schedule import Estimates, priorities
from wavecrew.models.simulation import ChainStep, Wait, Workload, simulate
from wavecrew.views.run_words import chain_words, seconds
from wavecrew.views.usage_words import holding


@dataclass(frozen=True, slots=True)
class Forecast:
    """About how many seconds are left, and the chain of phases that takes them. If the pauses before the waves take
    longer than that chain, `wave_delay` is how long such a pause is. `soonest` and `latest` frame the seconds that are
    left, if each phase does as well as the better or as badly as the worse half of those before it; None without
    enough of those."""

    left: float
    chain: tuple[ChainStep, ...]
    wave_delay: float | None = None
    soonest: float | None = None
    latest: float | None = None


@dataclass(frozen=True, slots=True)
class WaveRules:
    """The pause before each wave in seconds, and whether a wave waits for the end of the one before it."""

    delay: float
    gate: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> WaveRules:
        """The rules in the settings that a run was started with; without a setting there is no pause."""
        delay = settings.get("wave_delay_seconds")
        return cls(float(delay) if isinstance(delay, int | float) else 0.0, settings.get("gate") == "wave")


def held_by_wave(state: ExecutionState, now: float) -> Mapping[int, tuple[float, tuple[str, ...]]]:
    """For each wave that has not begun: when it may, and its ready phases, while an agent is free for one of them and
    nothing but the pause before the wave holds it up."""
    rules = WaveRules.of(state.settings)
    if state.paused_by or rules.gate or len(state.running) >= state.agent_limit:
        return {}
    held: dict[int, tuple[float, tuple[str, ...]]] = {}
    by_phase = state.settings.get("gate") == "phase"
    for name in state.queued:
        if by_phase and not approved(state, name):
            continue
        wave = state.graph.wave_of[name]
        before = state.wave_starts.get(wave - 1)
        opens = 0.0 if before is None else before + rules.delay
        retry_at = state.phase_states[name].retry_at or 0.0
        if state.to_do(name) and max(now, retry_at) < opens:
            held[wave] = (opens, (*held.get(wave, (opens, ()))[1], name))
    return held


def approved(state: ExecutionState, name: str) -> bool:
    """Whether somebody has agreed to the start of a phase, or of its wave."""
    found = (state.gates.get(gate) for gate in over(state.graph, name))
    return any(gate is not None and gate.status is GateStatus.APPROVED for gate in found)


def left_words(told: Forecast | None) -> str:
    """How long it will take, in words; empty where nothing is known."""
    if told is None:
        return ""
    if told.soonest is None or told.latest is None:
        return f"about {seconds(told.left)}"
    soonest, latest = seconds(told.soonest), seconds(told.latest)
    return f"about {soonest}" if soonest == latest else f"{soonest} to {latest}"


def pacing_words(told: Forecast) -> str:
    """What paces the rest, in words."""
    if told.wave_delay is not None:
        return f"the pause of {told.wave_delay:g}s before each wave"
    return chain_words(told.chain)


def forecast(state: ExecutionState, now: float) -> Forecast | None:
    """The forecast for what can still be done; None if a phase is unknown or nothing is left by what is known."""
    spans: dict[str, Span] = {}
    for layer in state.graph.layers():
        for name in layer:
            if _can_be_done(state, name, state.phase_states[name], spans):
                span = _expected(state, name)
                if span is None:
                    return None
                spans[name] = span
    likely = _forecast(state, {name: span.likely for name, span in spans.items()}, now)
    if likely is None or all(span.low == span.high for span in spans.values()):
        return likely
    soonest, latest = (
        _forecast(state, {name: getattr(span, end) for name, span in spans.items()}, now) for end in ("low", "high")
    )
    return replace(likely, soonest=soonest.left if soonest else 0.0, latest=latest.left if latest else likely.left)


def _expected(state: ExecutionState, name: str) -> Span | None:
    """How long a phase will take in all, in seconds."""
    phase = state.graph.nodes[name]
    default = "command" if phase.command else str(state.settings.get("agent", ""))
    at_work = state.phase_states[name].agent if name in state.running else ""
    estimate = None if phase.estimated_time is None else phase.estimated_time * 3600
    return state.experience.expect(name, at_work or phase.agent or default, estimate)


def _forecast(state: ExecutionState, times: Mapping[str, float], now: float) -> Forecast | None:
    """The same by the times, in seconds, that phases will take in all."""
    rests = {name: _rest(time, state.phase_states[name], now) for name, time in times.items()}
    if not rests:
        return None
    result = simulate(_workload(state, rests), max(state.agent_limit, len(state.running), 1))
    by_waves = _with_pauses(state, rests, now)
    left = max(result.makespan, by_waves)
    if left <= 0:
        return None
    left = _with_holds(state, rests, left, now)
    late = by_waves > result.makespan * 1.01
    chain = _known(state, result.pacing_chain)
    return Forecast(left, chain, WaveRules.of(state.settings).delay if late else None)


def _with_holds(state: ExecutionState, rests: Mapping[str, float], left: float, now: float) -> float:
    """With the time that accounts of agents stay closed: nobody who is held starts before, and if all are, nobody."""
    ready = [name for name in state.queued if name in rests]
    holds = [found[1].until - now if (found := holding(state, name, now)) else 0.0 for name in ready]
    if not any(holds):
        return left
    waits = 0.0 if state.running else min(holds)
    return max(left + waits, *(hold + rests[name] for name, hold in zip(ready, holds, strict=True)))


def _with_pauses(state: ExecutionState, rests: Mapping[str, float], now: float) -> float:
    """When the last phase would end with any number of agents and the pauses or barriers between waves."""
    rules = WaveRules.of(state.settings)
    if not rules.delay and not rules.gate:
        return 0.0
    ends: dict[str, float] = {}
    opens = 0.0
    for number, layer in enumerate(state.graph.layers(), start=1):
        names = [name for name in layer if name in rests]
        starts: list[float] = []
        for name in names:
            ready = max((ends.get(other, 0.0) for other in state.graph.edges[name]), default=0.0)
            starts.append(0.0 if name in state.running else max(ready, opens))
            ends[name] = starts[-1] + rests[name]
        if rules.gate:
            opens = max([ends[name] + rules.delay for name in names], default=opens)
        else:
            known = state.wave_starts.get(number)
            first = known - now if known is not None else min(starts, default=None)
            opens = max(0.0, first + rules.delay) if first is not None else 0.0
    return max(ends.values(), default=0.0)


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


def _can_be_done(state: ExecutionState, name: str, found: PhaseState, rests: Container[str]) -> bool:
    """Whether a phase is still to be done and nothing keeps it from it; what it depends on has been looked at."""
    if found.satisfied or found.status is PhaseStatus.FAILED or not state.to_do(name):
        return False
    if state.gates and state.rejected(name):
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
    running = [name for name in state.running if name in rests]
    names = (*running, *sorted(rests.keys() - state.running.keys(), key=whole.rank_of.__getitem__))
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
