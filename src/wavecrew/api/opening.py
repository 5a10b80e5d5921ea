"""The first events of a run: of one that begins, and of one that is taken up.

What it does: writes down what is kept, waived and done again, and how an edited plan takes the place of the old one.
Ends agents whose work nobody wants any more, because what they work on was edited.
What it does not know: how work is judged (`again`), and who carries the run out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from wavecrew.api.control import fulfil_alone
from wavecrew.api.evidence import Kept
from wavecrew.api.history import open_run
from wavecrew.api.users import who
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.attempts import Fate, attempt_folder, fate_of
from wavecrew.core.ledger import Observer
from wavecrew.core.store import Store
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import RunBusyError, UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.models.experience import Experience
from wavecrew.models.keeping import Look, Verdict, standing
from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.plan import Plan

_UNTOLD: Final = {"notify_command", "notify_webhook", "notify_headers"}
"""Settings that are not kept in a history, for an address can be a secret."""

LEFT_OUT: Final = "left out by the selection of phases"
"""Why a phase is waived that a selection needs and leaves out."""

# -- a new run --------------------------------------------------------------------------------------------------


def begin(
    run: str,
    plan: Plan,
    config: ParallelExecutionConfig,
    chosen: frozenset[str],
    kept: Mapping[str, Kept],
    place: tuple[str, str],
    experience: Experience,
) -> tuple[Event, ...]:
    """How a run begins: with what it keeps of an earlier one, and with waivers for what its selection leaves out."""
    now, graph = time.time(), plan.graph
    isolation, base = place
    started = ev.RunStarted(
        at=now,
        run=run,
        plan_name=plan.name,
        plan_path=plan.path,
        plan_digest=plan.digest,
        phases=plan.phases,
        selected=tuple(name for name in graph.nodes if name in chosen),
        settings=config.model_dump(mode="json", exclude=_UNTOLD),
        isolation=isolation,
        base=base,
        experience=experience.done,
    )
    keeping = [
        ev.PhaseKept(at=now, phase=name, from_run=one.from_run, commit=one.commit, inputs=one.inputs)
        for name in graph.topological_order()
        if (one := kept.get(name))
    ]
    state = evolve(ExecutionState(), started, *keeping)
    return (started, *keeping, *_waivers(state, now))


def _waivers(state: ExecutionState, now: float) -> Iterator[Event]:
    """What a selection needs but leaves out counts as done, on record and with a name."""
    graph = state.graph
    wanted = [name for name in state.selected if not state.phase_states[name].satisfied]
    needed = {other for name in wanted for other in graph.dependencies(name)} - state.selected
    for name in graph.topological_order():
        if name in needed and not state.phase_states[name].satisfied:
            yield ev.PhaseSkipped(at=now, phase=name, by=who(), reason=LEFT_OUT)


# -- a run that is taken up -------------------------------------------------------------------------------------


def go_on(plan: Plan, look: Look, state: ExecutionState) -> tuple[Event, ...]:
    """What a run that is taken up goes on with, from the state that it is found in: what failed is done again, and so
    is all that does not stand any more; then the plan as it is now takes the place of the one before.

    Raises RunBusyError while an agent is at work on a phase that the plan does not have any more.
    """
    require_no_orphans(plan.graph, state, state.running)
    return _go_on(plan, state, standing(plan.graph, state, look))


def _go_on(plan: Plan, state: ExecutionState, verdicts: Mapping[str, Verdict]) -> tuple[Event, ...]:
    now, by = time.time(), who()
    reasons = {name: reason for name, verdict in verdicts.items() if (reason := _again(state, verdict))}
    order = reversed(state.graph.topological_order())  # dependents first
    events: list[Event] = [
        ev.PhaseReset(at=now, phase=name, by=by, reason=reasons[name]) for name in order if name in reasons
    ]
    if plan.digest != state.plan_digest:
        events.append(ev.PlanChanged(at=now, by=by, plan_digest=plan.digest, phases=plan.phases))
    if state.selected:
        events += _waivers(evolve(state, *events), now)
    return tuple(events)


def _again(state: ExecutionState, verdict: Verdict) -> str:
    """Why a phase that has ended is done again; empty if it is not."""
    found = state.phase_states.get(verdict.phase)
    if found is None:
        return ""
    if found.status is PhaseStatus.FAILED and found.waiver is None:
        return verdict.reason if verdict.moved else "run again"
    return verdict.reason if found.status is PhaseStatus.COMPLETED else ""


def require_no_orphans(graph: DependencyGraph, state: ExecutionState, alive: Iterable[str]) -> None:
    """Raise RunBusyError if somebody is at work on a phase that is not in a plan."""
    orphans = [name for name in alive if name not in graph.nodes]
    if orphans:
        raise RunBusyError(
            f"phase {orphans[0]} is not in the plan any more, and its agent is still at work in run {state.run}",
            fix=f"end it with `wavecrew cancel {orphans[0]}`, or put its document back",
        )


def at_work(store_folder: Path, state: ExecutionState, names: Iterable[str]) -> list[str]:
    """Those of some running phases whose agents are alive."""
    numbers = ((name, state.phase_states[name].attempts) for name in names)
    return [
        name for name, number in numbers if fate_of(attempt_folder(store_folder, state.run, name, number)) is Fate.ALIVE
    ]


def unwanted(state: ExecutionState, verdicts: Mapping[str, Verdict]) -> Mapping[str, str]:
    """The running phases whose work does not count any more, and why."""
    found = ((name, verdicts.get(name)) for name in state.running)
    return {name: verdict.reason for name, verdict in found if verdict is not None and verdict.moved}


def foreseen(
    store_folder: Path, plan: Plan, state: ExecutionState, verdicts: Mapping[str, Verdict]
) -> tuple[Event, ...]:
    """What taking a run up will lead to, as far as that is known before it is done: agents may end meanwhile.

    Raises RunBusyError as `go_on` does.
    """
    now = time.time()
    gone = [name for name in state.running if name not in plan.graph.nodes]
    require_no_orphans(plan.graph, state, at_work(store_folder, state, gone))
    ends = [
        ev.AttemptEnded(
            at=now,
            phase=name,
            attempt=state.phase_states[name].attempts,
            outcome=Outcome.FAILED,
            cause=Cause.CANCELLED,
        )
        for name in (*unwanted(state, verdicts), *gone)
    ]
    return (*ends, *_go_on(plan, evolve(state, *ends), verdicts))


def is_unsettled(graph: DependencyGraph, state: ExecutionState, verdicts: Mapping[str, Verdict]) -> bool:
    """Whether attempts are open that the plan as it is now knows nothing of: those of edited phases, with other claims
    and outputs, and those of phases that are gone."""
    return bool(unwanted(state, verdicts)) or not state.running.keys() <= graph.nodes.keys()


def settle(store: Store, workspace: Path, run: str, plan: Plan, look: Look, observe: Observer) -> None:
    """Before an edited plan takes the place of the one that agents were started with: judge by the old one what has
    ended since, and end those agents whose work does not count any more. `observe` is told of it.

    Raises RunBusyError when somebody is in charge of the run.
    """
    while True:
        state = open_run(store, run).state
        verdicts = standing(plan.graph, state, look)
        if not is_unsettled(plan.graph, state, verdicts):
            return
        ending = unwanted(state, verdicts)
        try:
            fulfil_alone(store, workspace, run, _wish(ending), observe)
        except UsageError:
            continue  # one of them has just ended by itself: look again
        return


def _wish(ending: Mapping[str, str]) -> Wish:
    """To end some agents. To try nothing again is to wish for nothing: then it is only judged what has ended."""
    if not ending:
        return Wish(kind=WishKind.RETRY, by=who())
    reasons = set(ending.values())
    why = reasons.pop() if len(reasons) == 1 else "what they work on changed"
    return Wish(kind=WishKind.CANCEL, by=f"{who()}: {why}", phases=tuple(ending))
