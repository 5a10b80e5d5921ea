"""The state of a run: what its events add up to.

What it does: folds events into an immutable state, with one setter through which every change of a status goes.
`evolve` is the only way to a new state; an event that does not fit raises before anybody has written it down.
What it does not know: where events come from, what should happen next (`core.scheduler`), and how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, assert_never

from wavecrew.errors import IllegalTransitionError
from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.parallel_execution import DependencyGraph, ExecutionWave
from wavecrew.models.phase_state import AgentInfo, AgentStatus, LockWait, PhaseState, Waiver
from wavecrew.models.phase_status import TRANSITIONS, PhaseStatus

__all__ = [
    "TRANSITIONS",
    "AgentInfo",
    "AgentStatus",
    "ExecutionState",
    "LockWait",
    "PhaseState",
    "PhaseStatus",
    "Waiver",
    "evolve",
    "replay",
]


@dataclass(frozen=True)
class ExecutionState:
    """A run at one moment.

    `phase_states` tells where each phase stands, `waves` groups them, `start_time` and `end_time` (seconds since
    1970) frame the run. The rest is what the run was started with, and who is in charge of it. Give only `graph` to
    have waves worked out. Never change one: `evolve` makes the next.
    """

    phase_states: Mapping[str, PhaseState] = field(default_factory=dict)
    graph: DependencyGraph = field(default_factory=lambda: DependencyGraph({}, {}))
    start_time: float | None = None
    end_time: float | None = None
    run: str = ""
    plan_name: str = ""
    plan_path: str = ""
    plan_digest: str = ""
    selected: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    coordinator: str = ""
    agent_limit: int = 0
    stop_reason: str = ""
    paused_by: str = ""
    """Who wants nothing new to start; empty when the run is not paused."""
    missing_outputs: tuple[str, ...] = ()
    """Outputs of completed phases that were gone when the run finished; such a run has not succeeded."""
    queued: Mapping[str, None] = field(default_factory=dict)
    """Ids of the QUEUED phases."""
    running: Mapping[str, None] = field(default_factory=dict)
    """Ids of the IN_PROGRESS phases, in the order of their starts."""
    open_dependencies: Mapping[str, int] = field(default_factory=dict)
    """How many dependencies of each phase are not satisfied yet."""
    wave_starts: Mapping[int, float] = field(default_factory=dict)
    """When the first phase of each wave started."""

    def __post_init__(self) -> None:
        for name in ("phase_states", "settings", "queued", "running", "open_dependencies", "wave_starts"):
            found = getattr(self, name)
            if not isinstance(found, MappingProxyType):  # a view made by evolve is nobody else's any more
                object.__setattr__(self, name, MappingProxyType(dict(found)))

    @cached_property
    def waves(self) -> tuple[ExecutionWave, ...]:
        """The waves of the plan, each with the status that follows from its phases and the time it first started."""
        statuses = {name: state.status for name, state in self.phase_states.items()}
        return tuple(
            replace(wave.with_statuses(statuses), start_time=self.wave_starts.get(wave.wave_number))
            for wave in self.graph.waves()
        )

    @cached_property
    def agents(self) -> tuple[AgentInfo, ...]:
        """The agents that are at work."""
        return tuple(
            AgentInfo(f"{state.agent}/{name}.{state.attempts}", name, AgentStatus.RUNNING, (state.log,))
            for name in self.running
            if (state := self.phase_states[name])
        )

    def status_of(self, phase: str) -> PhaseStatus:
        """The status of a phase. Raises KeyError for an unknown id."""
        return self.phase_states[phase].status

    def to_do(self, phase: str) -> bool:
        """Whether this run is meant to do this phase."""
        return not self.selected or phase in self.selected

    def blockers(self, phase: str) -> tuple[str, ...]:
        """The failed phases, and those that this run leaves out, that keep a phase from ever starting."""
        return tuple(name for name in self.graph.nodes if name in self.graph.ancestors(phase) and self._dead_end(name))

    def _dead_end(self, name: str) -> bool:
        state = self.phase_states[name]
        return not state.satisfied and (state.status is PhaseStatus.FAILED or not self.to_do(name))

    def count(self, status: PhaseStatus) -> int:
        """How many phases have this status."""
        return sum(state.status is status for state in self.phase_states.values())

    @property
    def succeeded(self) -> bool:
        """Whether everything that this run is to do is completed or waived."""
        return not self.missing_outputs and all(
            state.satisfied for name, state in self.phase_states.items() if self.to_do(name)
        )


def replay(events: Iterable[Event]) -> ExecutionState:
    """The state after a whole history. Raises IllegalTransitionError at the first event that does not fit."""
    return evolve(ExecutionState(), *events)


def evolve(state: ExecutionState, *events: Event) -> ExecutionState:
    """The state after some more events; the given state is untouched.

    Raises IllegalTransitionError for an event that names an unknown phase or attempt, or asks for a step that is
    not in TRANSITIONS. Cost: one copy of the state, however many events there are.
    """
    fold = _Fold(state)
    for event in events:
        fold.apply(event)
    return fold.result()


class _Fold:
    """A state that is being worked on: the only place where a status changes."""

    def __init__(self, state: ExecutionState) -> None:
        self.base = state
        self.phases = dict(state.phase_states)
        self.queued = dict(state.queued)
        self.running = dict(state.running)
        self.open = dict(state.open_dependencies)
        self.changes: dict[str, Any] = {}

    def result(self) -> ExecutionState:
        return replace(
            self.base,
            phase_states=MappingProxyType(self.phases),
            queued=MappingProxyType(self.queued),
            running=MappingProxyType(self.running),
            open_dependencies=MappingProxyType(self.open),
            **self.changes,
        )

    @property
    def graph(self) -> DependencyGraph:
        graph: DependencyGraph = self.changes.get("graph", self.base.graph)
        return graph

    # -- one event

    def apply(self, event: Event) -> None:  # noqa: C901 -- one flat table of all events reads better than two halves
        match event:
            case ev.RunStarted():
                self._start(event)
            case ev.CoordinatorStarted():
                self._take_charge(event)
            case ev.PhaseKept(phase=phase):
                self._require(event, phase, PhaseStatus.NOT_STARTED, PhaseStatus.QUEUED)
                self._known(phase)
                made = self.graph.nodes[phase].outputs
                self._set(phase, PhaseStatus.COMPLETED, event.at, kept_from=event.from_run, outputs=made)
            case ev.LockAwaited(phase=phase):
                self._require(event, phase, PhaseStatus.QUEUED)
                wait = LockWait(event.resource, event.holder, event.at)
                self.phases[phase] = replace(self.phases[phase], lock_wait=wait)
            case ev.AttemptStarted():
                self._start_attempt(event)
            case ev.AttemptAdopted(phase=phase, attempt=attempt):
                self._require_attempt(event, phase, attempt)
            case ev.AttemptCancelled(phase=phase, by=by):
                self.phases[phase] = replace(self._require_attempt(event, phase, event.attempt), cancelled_by=by)
            case ev.UndeclaredWrites(suspects=suspects, paths=paths):
                for name in suspects:
                    found = self._known(name)
                    known = dict.fromkeys((*found.undeclared, *paths))
                    self.phases[name] = replace(found, undeclared=tuple(known))
            case ev.AttemptEnded():
                self._end_attempt(event)
            case ev.PhaseRefused(phase=phase):
                self._require(event, phase, PhaseStatus.QUEUED)
                self._set(phase, PhaseStatus.FAILED, event.at, cause=event.cause, detail=event.detail)
            case ev.PhaseSkipped():
                self._skip(event)
            case ev.PhaseReset(phase=phase):
                self._reset(phase, event.at)
            case ev.RunPaused(by=by):
                self.changes["paused_by"] = by
            case ev.RunContinued():
                self.changes["paused_by"] = ""
            case ev.RunStopped(reason=reason):
                self.changes["stop_reason"] = reason
            case ev.RunFinished(at=at, missing=missing):
                self.changes.update(end_time=at, missing_outputs=missing)
            case _:
                assert_never(event)

    def _start(self, event: ev.RunStarted) -> None:
        if self.changes.get("start_time", self.base.start_time) is not None:
            raise IllegalTransitionError(f"run {event.run} was already started")
        graph = DependencyGraph.of(event.phases)
        unknown = [name for name in event.selected if name not in graph.nodes]
        if unknown or graph.missing or graph.cycle():
            raise IllegalTransitionError(f"run {event.run} was started with a plan that has no order")
        self.changes.update(
            graph=graph,
            start_time=event.at,
            run=event.run,
            plan_name=event.plan_name,
            plan_path=event.plan_path,
            plan_digest=event.plan_digest,
            selected=frozenset(event.selected),
            settings=dict(event.settings),
        )
        self.phases = dict.fromkeys(graph.nodes, PhaseState())
        self.open = {name: len(found) for name, found in graph.edges.items()}
        for name in graph.roots():
            self._set(name, PhaseStatus.QUEUED, event.at)

    def _take_charge(self, event: ev.CoordinatorStarted) -> None:
        if event.epoch <= self.changes.get("epoch", self.base.epoch):
            raise IllegalTransitionError(f"coordinator epoch {event.epoch} is not newer than the one in charge")
        self.changes.update(
            epoch=event.epoch,
            coordinator=f"pid {event.pid} on {event.host}",
            agent_limit=event.agents,
            stop_reason="",
            missing_outputs=(),
            end_time=None,
        )

    def _start_attempt(self, event: ev.AttemptStarted) -> None:
        state = self._known(event.phase)
        if event.attempt != state.attempts + 1:
            raise IllegalTransitionError(f"phase {event.phase}: attempt {event.attempt} after {state.attempts}")
        starts = self.changes.setdefault("wave_starts", dict(self.base.wave_starts))
        starts.setdefault(self.graph.wave_of[event.phase], event.at)
        self._set(
            event.phase,
            PhaseStatus.IN_PROGRESS,
            event.at,
            attempts=event.attempt,
            agent=event.agent,
            fence=event.fence,
            log=event.log,
            started_at=event.at,
            ended_at=None,
            retry_at=None,
            lock_wait=None,
            undeclared=(),
            cancelled_by="",
        )

    def _end_attempt(self, event: ev.AttemptEnded) -> None:
        state = self._require_attempt(event, event.phase, event.attempt)
        result: dict[str, Any] = {
            "ended_at": event.at,
            "cause": event.cause,
            "detail": event.detail,
            "exit_code": event.exit_code,
            "outputs": event.outputs,
        }
        if event.outcome is Outcome.SUCCEEDED:
            self._set(event.phase, PhaseStatus.COMPLETED, event.at, **result)
            return
        if event.outcome is Outcome.STOPPED:
            self._set(event.phase, PhaseStatus.QUEUED, event.at, **result)
        else:
            lost = event.outcome is Outcome.LOST
            result.update(failures=state.failures + (not lost), losses=state.losses + lost, retry_at=event.retry_at)
            if event.retry_at is None:
                self._set(event.phase, PhaseStatus.FAILED, event.at, **result)
                return
            self._set(event.phase, PhaseStatus.QUEUED, event.at, **result)
        if self.open[event.phase]:  # a dependency was reset meanwhile
            self._set(event.phase, PhaseStatus.NOT_STARTED, event.at)

    def _skip(self, event: ev.PhaseSkipped) -> None:
        state = self._known(event.phase)
        if state.satisfied or state.status is PhaseStatus.IN_PROGRESS:
            raise IllegalTransitionError(f"phase {event.phase} is {state.status} and cannot be skipped")
        self.phases[event.phase] = replace(state, waiver=Waiver(event.by, event.reason, event.at))
        self.queued.pop(event.phase, None)
        self._tell_dependents(event.phase, -1, event.at)

    def _reset(self, phase: str, at: float) -> None:
        state = self._known(phase)
        if state.waiver is not None:
            self.phases[phase] = replace(state, waiver=None)
            if state.status is not PhaseStatus.COMPLETED:  # else they are told when it stops being completed
                self._tell_dependents(phase, +1, at)
        if state.status in (PhaseStatus.COMPLETED, PhaseStatus.FAILED):
            fresh = PhaseState(status=state.status, attempts=state.attempts)
            self._set(phase, PhaseStatus.NOT_STARTED, at, **_cleared(fresh))
            if self.open[phase] == 0:
                self._set(phase, PhaseStatus.QUEUED, at)
        elif state.waiver is None:
            raise IllegalTransitionError(f"phase {phase} is {state.status}: there is nothing to reset")
        elif state.status is PhaseStatus.QUEUED:
            self.queued[phase] = None
        self.changes["end_time"] = None

    # -- the one setter

    def _known(self, phase: str) -> PhaseState:
        try:
            return self.phases[phase]
        except KeyError:
            raise IllegalTransitionError(f"an event names the phase {phase!r}, which is not in the run") from None

    def _require(self, event: Event, phase: str, *statuses: PhaseStatus) -> PhaseState:
        state = self._known(phase)
        if state.status not in statuses:
            raise IllegalTransitionError(f"{type(event).__name__} for phase {phase}, which is {state.status}")
        return state

    def _require_attempt(self, event: Event, phase: str, attempt: int) -> PhaseState:
        state = self._require(event, phase, PhaseStatus.IN_PROGRESS)
        if attempt != state.attempts:
            kind = type(event).__name__
            raise IllegalTransitionError(f"{kind} for attempt {attempt} of phase {phase}, which is at {state.attempts}")
        return state

    def _set(self, phase: str, status: PhaseStatus, at: float, **changes: Any) -> None:
        """Take one step of TRANSITIONS and let the dependents know."""
        state = self._known(phase)
        if status not in TRANSITIONS[state.status] or (state.waiver and status is PhaseStatus.IN_PROGRESS):
            raise IllegalTransitionError(f"phase {phase} cannot go from {state.status} to {status}")
        if status is PhaseStatus.QUEUED:
            changes["queued_at"] = at
        self.phases[phase] = replace(state, status=status, **changes)
        self._index(phase, status)
        if state.waiver is None:
            was, now = state.status is PhaseStatus.COMPLETED, status is PhaseStatus.COMPLETED
            if was != now:
                self._tell_dependents(phase, -1 if now else +1, at)

    def _index(self, phase: str, status: PhaseStatus) -> None:
        self.queued.pop(phase, None)
        self.running.pop(phase, None)
        if status is PhaseStatus.QUEUED and self.phases[phase].waiver is None:
            self.queued[phase] = None
        elif status is PhaseStatus.IN_PROGRESS:
            self.running[phase] = None

    def _tell_dependents(self, phase: str, change: int, at: float) -> None:
        for dependent in self.graph.dependents(phase):
            self.open[dependent] += change
            status = self.phases[dependent].status
            if self.open[dependent] == 0 and status is PhaseStatus.NOT_STARTED:
                self._set(dependent, PhaseStatus.QUEUED, at)
            elif self.open[dependent] > 0 and status is PhaseStatus.QUEUED:
                self._set(dependent, PhaseStatus.NOT_STARTED, at)


def _cleared(fresh: PhaseState) -> dict[str, Any]:
    """All fields of a phase that a reset puts back, beside its status."""
    return {name: getattr(fresh, name) for name in PhaseState.__slots__ if name != "status"}
