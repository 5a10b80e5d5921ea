"""The state of a run: what its events add up to.

What it does: folds events into an immutable state, with one setter through which every change of a status goes.
`evolve` is the only way to a new state; an event that does not fit raises before anybody has written it down.
What it does not know: where events come from, what should happen next (`core.scheduler`), and how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar, assert_never

from wavecrew.errors import IllegalTransitionError
from wavecrew.models import events as ev
from wavecrew.models.accounts import Closure, turned_account, worked
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.experience import Experience
from wavecrew.models.gates import Gate, GateStatus, answered, forgiven, turned
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.phase_state import AgentInfo, AgentStatus, LockWait, Merge, PhaseState, Waiver, done_in
from wavecrew.models.phase_status import TRANSITIONS, PhaseStatus
from wavecrew.models.run_state import ExecutionState
from wavecrew.models.usage import Spent

__all__ = ["TRANSITIONS", "AgentInfo", "AgentStatus", "ExecutionState", "Gate", "GateStatus", "LockWait", "Merge"]
__all__ += ["PhaseState", "PhaseStatus", "Waiver", "evolve", "replay"]

_K = TypeVar("_K")
_V = TypeVar("_V")


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
        self.phases = _copied(state.phase_states)
        self.queued = _copied(state.queued)
        self.running = _copied(state.running)
        self.open = _copied(state.open_dependencies)
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

    @property
    def gates(self) -> Mapping[str, Gate]:
        gates: Mapping[str, Gate] = self.changes.get("gates", self.base.gates)
        return gates

    @property
    def accounts(self) -> Mapping[str, Closure]:
        accounts: Mapping[str, Closure] = self.changes.get("accounts", self.base.accounts)
        return accounts

    @property
    def _experience(self) -> Experience:
        experience: Experience = self.changes.get("experience", self.base.experience)
        return experience

    # -- one event

    def apply(self, event: Event) -> None:  # noqa: C901 -- one flat table of all events reads better than two halves
        match event:
            case ev.RunStarted():
                self._start(event)
            case ev.PlanChanged():
                self._change_plan(event)
            case ev.CoordinatorStarted():
                self._take_charge(event)
            case ev.PhaseKept(phase=phase):
                self._require(event, phase, PhaseStatus.NOT_STARTED, PhaseStatus.QUEUED)
                made = self.graph.nodes[phase].outputs
                kept: dict[str, Any] = {"kept_from": event.from_run, "commit": event.commit, "inputs": event.inputs}
                self._set(phase, PhaseStatus.COMPLETED, event.at, outputs=made, **kept)
            case ev.LockAwaited(phase=phase):
                self._require(event, phase, PhaseStatus.QUEUED)
                wait = LockWait(event.resource, event.holder, event.at)
                self.phases[phase] = replace(self.phases[phase], lock_wait=wait)
            case ev.AttemptStarted():
                self._start_attempt(event)
            case ev.WriteAwaited(phase=phase) | ev.WriteJudged(phase=phase):
                self.phases[phase] = self._require_attempt(event, phase, event.attempt).asked(event)
            case ev.ProgressTold(phase=phase) | ev.QuestionAsked(phase=phase):
                self.phases[phase] = self._require_attempt(event, phase, event.attempt).said(event)
            case ev.QuestionAnswered(phase=phase):
                self.phases[phase] = self._known(phase).answered(event)
            case ev.AttemptAdopted(phase=phase, attempt=attempt):
                self._require_attempt(event, phase, attempt)
            case ev.AttemptCancelled(phase=phase, by=by):
                self.phases[phase] = replace(self._require_attempt(event, phase, event.attempt), cancelled_by=by)
            case ev.UndeclaredWrites(suspects=suspects, paths=paths):
                for name in suspects:
                    found = self._known(name)
                    self.phases[name] = replace(found, undeclared=tuple(dict.fromkeys((*found.undeclared, *paths))))
            case ev.WorkSealed() | ev.MergeProposed() | ev.MergeRefused():
                self._bring_home(event)
            case ev.AttemptEnded():
                self._end_attempt(event)
            case ev.PhaseRefused(phase=phase):
                self._require(event, phase, PhaseStatus.QUEUED)
                self._set(phase, PhaseStatus.FAILED, event.at, cause=event.cause, detail=event.detail)
            case ev.PhaseSkipped():
                self._skip(event)
            case ev.PhaseReset(phase=phase):
                self._reset(phase, event.at)
            case ev.RunPaused() | ev.RunContinued():
                self.changes["paused_by"] = event.by if isinstance(event, ev.RunPaused) else ""
            case ev.AgentReported() | ev.AgentSilence():
                self._hear(event)
            case ev.AccountClosed() | ev.AccountReopened():
                self.changes["accounts"] = turned_account(self.accounts, event)
            case ev.BudgetReached(budget=budget):
                self.changes["budget_reached"] = budget
            case ev.RoomAwaited():
                self.changes["waits_for_room"] = True
            case ev.ApprovalAsked() | ev.GateApproved() | ev.GateRejected():
                self.changes["gates"] = turned(self.gates, event)
            case ev.ForbiddenChange(what=what):
                known = self.changes.get("forbidden", self.base.forbidden)
                self.changes["forbidden"] = tuple(dict.fromkeys((*known, *what)))
            case ev.ResultLanded(branch=branch):
                self.changes["landed_on"] = branch
            case ev.RunStopped(reason=reason):
                self.changes["stop_reason"] = reason
            case ev.RunFinished(at=at, missing=missing, unproven=unproven, edited=edited):
                self.changes.update(end_time=at, missing_outputs=missing, unproven=unproven, edited=edited)
            case _:
                assert_never(event)

    def _start(self, event: ev.RunStarted) -> None:
        if self.changes.get("start_time", self.base.start_time) is not None:
            raise IllegalTransitionError(f"run {event.run} was already started")
        graph = _ordered(event.phases)
        if any(name not in graph.nodes for name in event.selected):
            raise IllegalTransitionError(f"run {event.run} was started with a selection that is not in its plan")
        self.changes.update(
            graph=graph,
            start_time=event.at,
            run=event.run,
            plan_name=event.plan_name,
            plan_path=event.plan_path,
            plan_digest=event.plan_digest,
            selected=frozenset(event.selected),
            settings=dict(event.settings),
            isolation=event.isolation,
            base=event.base,
            result=event.base,
            experience=Experience(event.experience),
            imported=event.imported,
        )
        self.phases = dict.fromkeys(graph.nodes, PhaseState())
        self.open = {name: len(found) for name, found in graph.edges.items()}
        for name in graph.roots():
            self._set(name, PhaseStatus.QUEUED, event.at)

    def _change_plan(self, event: ev.PlanChanged) -> None:
        graph = _ordered(event.phases)
        at_work = [name for name in self.running if name not in graph.nodes]
        if at_work:
            raise IllegalTransitionError(f"phase {at_work[0]} is at work and cannot leave the plan")
        selected: frozenset[str] = self.changes.get("selected", self.base.selected)
        if selected and not selected & graph.nodes.keys():  # an empty selection would mean all
            raise IllegalTransitionError("nothing of what this run is to do is left in the plan")
        self.changes.update(graph=graph, plan_digest=event.plan_digest, selected=selected & graph.nodes.keys())
        self.changes.update(end_time=None, unproven=(), missing_outputs=(), edited=())
        self.changes.update(gates=answered(self.gates), wave_starts=self._wave_starts(graph))
        gone = {name: found.attempts for name, found in self.phases.items() if name not in graph.nodes}
        retired = self.changes["retired"] = {**self.changes.get("retired", self.base.retired), **gone}
        self.phases = {name: self.phases.get(name, PhaseState(attempts=retired.get(name, 0))) for name in graph.nodes}
        self.queued = {name: None for name in self.queued if name in graph.nodes}
        self.open = {
            name: sum(not self.phases[other].satisfied for other in graph.dependencies(name)) for name in graph.nodes
        }
        for name, state in self.phases.items():
            if self.open[name] == 0 and state.status is PhaseStatus.NOT_STARTED:
                self._set(name, PhaseStatus.QUEUED, event.at)
            elif self.open[name] > 0 and state.status is PhaseStatus.QUEUED:
                self._set(name, PhaseStatus.NOT_STARTED, event.at)

    def _wave_starts(self, graph: DependencyGraph) -> dict[int, float]:
        """When the first phase of each wave of another plan started."""
        starts: dict[int, float] = {}
        for name, wave in graph.wave_of.items():
            began = self.phases[name].started_at if name in self.phases else None
            if began is not None:
                starts[wave] = min(began, starts.get(wave, began))
        return starts

    def _take_charge(self, event: ev.CoordinatorStarted) -> None:
        if event.epoch <= self.changes.get("epoch", self.base.epoch):
            raise IllegalTransitionError(f"coordinator epoch {event.epoch} is not newer than the one in charge")
        self.phases.update(
            {name: replace(self.phases[name], write_waits=()) for name in self.running}
        )  # they were refused
        self.changes.update(
            epoch=event.epoch,
            coordinator=f"pid {event.pid} on {event.host}",
            agent_limit=event.agents,
            stop_reason="",
            **dict.fromkeys(("missing_outputs", "unproven", "edited", "forbidden"), ()),
            budget_reached="",
            gates=answered(self.gates),
            end_time=None,
        )

    def _start_attempt(self, event: ev.AttemptStarted) -> None:
        state = self._known(event.phase)
        if event.attempt != state.attempts + 1:
            raise IllegalTransitionError(f"phase {event.phase}: attempt {event.attempt} after {state.attempts}")
        starts = self.changes.setdefault("wave_starts", dict(self.base.wave_starts))
        starts.setdefault(self.graph.wave_of[event.phase], event.at)
        self.changes["waits_for_room"] = False
        self._set(event.phase, PhaseStatus.IN_PROGRESS, event.at, **state.begun(event))

    def _bring_home(self, event: ev.WorkSealed | ev.MergeProposed | ev.MergeRefused) -> None:
        state = self._require_attempt(event, event.phase, event.attempt)
        match event:
            case ev.WorkSealed():
                changes: dict[str, Any] = {"sealed": event.commit, "changed": event.changed}
            case ev.MergeProposed():
                changes = {"merge": Merge(event.onto, event.commit, event.beside)}
            case _:
                changes = {"merge": None}
        if not (state.sealed or isinstance(event, ev.WorkSealed)):
            raise IllegalTransitionError(f"{type(event).__name__} for phase {event.phase}, whose work is not sealed")
        self.phases[event.phase] = replace(state, **changes)

    def _hear(self, event: ev.AgentReported | ev.AgentSilence) -> None:
        state = self._require_attempt(event, event.phase, event.attempt)
        if isinstance(event, ev.AgentReported):
            used = (event.input_tokens, event.output_tokens, event.cost_usd)
            spent: Spent = self.changes.get("spent", self.base.spent)
            self.changes["spent"] = spent.plus(*used)
            state = state.heard(event)
        else:
            state = replace(state, silent_since=event.since, last_words=event.words)
        self.phases[event.phase] = state

    def _end_attempt(self, event: ev.AttemptEnded) -> None:
        state = self._require_attempt(event, event.phase, event.attempt)
        result: dict[str, Any] = {
            "ended_at": event.at,
            "unattended": event.unattended,
            "cause": event.cause,
            "detail": event.detail,
            "exit_code": event.exit_code,
            "outputs": event.outputs,
            "commit": event.commit or state.commit,
            "stalls": state.stalls + (event.cause is Cause.SILENCE),
            "merge": None,
            "write_waits": (),
        }
        if event.commit:
            self.changes["result"] = event.commit
        if event.outcome is Outcome.SUCCEEDED:
            self.changes["accounts"] = worked(self.accounts, state.agent)
            done = done_in(self.graph.nodes[event.phase], state, event)
            self.changes["experience"] = self._experience.with_more([done])
            self._set(event.phase, PhaseStatus.COMPLETED, event.at, **result)
            return
        if event.outcome is Outcome.STOPPED:
            self._set(event.phase, PhaseStatus.QUEUED, event.at, **result)
        else:
            lost, conflict = event.outcome is Outcome.LOST, event.cause is Cause.MERGE
            result.update(
                failures=state.failures + (not lost and not conflict),
                losses=state.losses + lost,
                conflicts=state.conflicts + conflict,
                retry_at=event.retry_at,
            )
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
            counts = PhaseState(attempts=state.attempts, spent=state.spent, reported=state.reported)
            self._set(phase, PhaseStatus.NOT_STARTED, at, **counts.fields_but_status())
            if self.open[phase] == 0:
                self._set(phase, PhaseStatus.QUEUED, at)
        elif state.waiver is None:
            raise IllegalTransitionError(f"phase {phase} is {state.status}: there is nothing to reset")
        elif state.status is PhaseStatus.QUEUED:
            self.queued[phase] = None
        self.changes.update(end_time=None, gates=forgiven(self.gates, self.graph, phase))

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


def _copied(found: Mapping[_K, _V]) -> dict[_K, _V]:
    """A copy that may be changed. Twenty times faster than dict() where the mapping is a view of a dict."""
    copy: dict[_K, _V] = found | {}  # type: ignore[operator]  # views of dicts know this operator, too
    return copy


def _ordered(phases: Iterable[PhaseInfo]) -> DependencyGraph:
    graph = DependencyGraph.of(phases)
    if graph.missing or graph.cycle():
        raise IllegalTransitionError("a run cannot go on with a plan that has no order")
    return graph
