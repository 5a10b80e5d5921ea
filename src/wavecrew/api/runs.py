"""From a wish to run a plan to an engine that does it.

What it does: decides whether an earlier run is taken up or a new one begins, which finished work is kept, puts jobs,
policy and engine together, and asks for consent before commands of a document are run.
What it does not know: how anything is shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from wavecrew.api.history import OpenedRun, open_run
from wavecrew.api.plans import load_agents
from wavecrew.api.rules import care_for, retry_rules
from wavecrew.api.selection import select
from wavecrew.api.users import who
from wavecrew.api.workspace import Workspace
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.attempts import Fate, attempt_folder, fate_of
from wavecrew.core.engine import Engine
from wavecrew.core.ledger import Observer
from wavecrew.core.jobs import JobMaker
from wavecrew.core.outputs import missing_outputs
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.scheduler import Policy
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import PlanError, RunBusyError, Severity
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.plan import Plan, digest_of
from wavecrew.models.schedule import Estimates, priorities


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for. `only`, `start` and `until` narrow the plan down; `force` keeps nothing from before.
    `attended` tells whether somebody may be there to approve what waits for that, from any terminal; if not, such a run
    is left and can be taken up."""

    plan: Plan
    only: Sequence[str] = ()
    start: Sequence[str] = ()
    until: Sequence[str] = ()
    force: bool = False
    attended: bool = True


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """Everything that is known before the first process starts; nothing has been written yet.

    `events` open the history of a new run, or are those that a run which is taken up will go on with; `taken_up` is
    its id, else empty. `state` is what they lead to.
    """

    workspace: Workspace
    request: RunRequest
    run: str
    taken_up: str
    events: tuple[Event, ...]
    history: tuple[Event, ...]
    """What the run that is taken up has behind it."""
    state: ExecutionState
    jobs: JobMaker
    policy: Policy
    newest: str = ""
    """The newest run of the plan when this was prepared; a new one is begun only while that holds."""

    @property
    def config(self) -> ParallelExecutionConfig:
        """The settings in force."""
        return self.workspace.loaded.config

    @property
    def nothing_to_do(self) -> bool:
        """Whether all that was asked for is done already, and its end recorded."""
        return self.state.succeeded and self.state.end_time is not None

    @property
    def open_phases(self) -> tuple[PhaseInfo, ...]:
        """The phases that are still to be done, in plan order."""
        return tuple(
            phase
            for name, phase in self.state.graph.nodes.items()
            if self.state.to_do(name) and not self.state.phase_states[name].satisfied
        )

    def fates(self) -> Mapping[str, Fate]:
        """What has become of the attempts that a dead coordinator left open, by phase. Looking changes nothing but
        that an attempt which has not started yet never will."""
        folder = self.workspace.folder / STATE_FOLDER
        open_ones = ((name, self.state.phase_states[name].attempts) for name in self.state.running)
        return {name: fate_of(attempt_folder(folder, self.run, name, number)) for name, number in open_ones}

    @property
    def commands(self) -> int:
        """How many commands documents of the project would have run."""
        own = sum(len(phase.steps) + len(phase.checks) + bool(phase.command) for phase in self.open_phases)
        return own + len(self.workspace.loaded.commands_from_project)

    @property
    def variables_from_project(self) -> tuple[str, ...]:
        """Environment variables that the project, and not the user, wants agents to see."""
        return self.config.env if self.workspace.loaded.from_project("env") else ()

    @property
    def needs_consent(self) -> bool:
        """Whether the user has to agree to something that the project brings along."""
        return bool(self.commands or self.variables_from_project)

    @property
    def consent_digest(self) -> str:
        """What a consent is about: the commands of the plan, and what the project's configuration adds to them."""
        commands = self.workspace.loaded.commands_from_project
        text = f"{self.request.plan.digest} {commands} {self.variables_from_project}"
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]

    def execute(
        self,
        observe: Observer = lambda events, state: None,
        on_signal: Callable[[str], None] = lambda name: None,
    ) -> ExecutionState:
        """Do it. `observe` is told all events after they were recorded. Ctrl-C and TERM end the agents and leave a
        state that can be continued; the state then has a `stop_reason`. `on_signal` is told their names.

        Raises RunBusyError when another coordinator is in charge of this run.
        """
        with self.workspace.open_store() as store:
            if not self.taken_up:
                observe(self._open_history(store), self.state)
            engine = Engine(
                store=store,
                registry=LockRegistry(store, self.workspace.folder),
                jobs=self.jobs,
                policy=self.policy,
                retry=retry_rules(self.config),
                care=care_for(self.jobs.keys, self.policy.claims, self.config),
                observe=observe,
                opening=partial(_ask_again, self.workspace.folder) if self.taken_up else lambda state: (),
            )
            return asyncio.run(_with_signals(engine, on_signal))

    def _open_history(self, store: Store) -> tuple[Event, ...]:
        """Begin the run now: since it was prepared, somebody may have thought for long about whether to agree."""
        plan, now = self.request.plan, time.time()
        events = tuple(replace(event, at=now) for event in self.events)
        key = _plan_key(self.workspace, plan)
        store.create_run(self.run, at=now, plan=key, digest=plan.digest, events=events, after=self.newest)
        return events


async def _with_signals(engine: Engine, on_signal: Callable[[str], None]) -> ExecutionState:
    def stop(name: str) -> None:
        engine.stop(name)
        on_signal(name)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, signal.Signals(number).name)
    return await engine.run()


def prepare_run(workspace: Workspace, request: RunRequest) -> PreparedRun:
    """Work out what `execute` would do. Nothing is written, so this is also the dry run.

    Raises PlanError for a faulty plan, NotFoundError for a selection of nothing, PreflightError when an agent cannot
    do a phase.
    """
    plan, config = request.plan, workspace.loaded.config
    _require_sound(plan)
    chosen = select(plan.graph, request.only, request.start, request.until)
    earlier = _latest_run(workspace, plan)
    if earlier is not None:
        _require_idle(earlier)
    if earlier is not None and _goes_on(earlier, plan) and not chosen and not request.force:
        run, taken_up = earlier.row.id, earlier.row.id
        events = _ask_again(workspace.folder, earlier.state)
        state = evolve(earlier.state, *events)
    else:
        run, taken_up = os.environ.get("WAVECREW_RUN_ID") or secrets.token_hex(3), ""
        if earlier is not None:
            _require_no_agents(earlier)
        kept = {} if request.force or earlier is None else _unchanged(workspace.folder, plan.graph, earlier.state)
        events, state = _begin(run, plan, config, chosen, kept)
    jobs = _job_maker(workspace, run)
    prepared = PreparedRun(
        workspace=workspace,
        request=request,
        run=run,
        taken_up=taken_up,
        events=events,
        history=earlier.events if earlier is not None and taken_up else (),
        state=state,
        jobs=jobs,
        policy=_policy(plan.graph, config, jobs, attended=request.attended),
        newest=earlier.row.id if earlier is not None else "",
    )
    jobs.require_agents(prepared.open_phases)
    return prepared


def _require_sound(plan: Plan) -> None:
    errors = [finding for finding in plan.diagnostics if finding.severity is Severity.ERROR]
    if errors:
        raise PlanError(
            f"the plan has {len(errors)} error{'s' if len(errors) > 1 else ''} and cannot be run",
            fix="see them with: wavecrew check",
            diagnostics=tuple(errors),
        )


def _latest_run(workspace: Workspace, plan: Plan) -> OpenedRun | None:
    """The newest run of the plan at this path, if there is one."""
    if not (workspace.folder / STATE_FOLDER / "state.db").exists():
        return None
    with workspace.open_store(create=False) as store:
        for row in store.runs():
            if row.plan == _plan_key(workspace, plan):
                return open_run(store, row.id)
    return None


def _plan_key(workspace: Workspace, plan: Plan) -> str:
    """The path of a plan in a form that does not depend on where the user stands."""
    path = Path(plan.path).resolve()
    return str(path.relative_to(workspace.folder)) if path.is_relative_to(workspace.folder) else str(path)


def _goes_on(earlier: OpenedRun, plan: Plan) -> bool:
    """Whether a run of this plan is the one that `run` means. One that was narrowed down to some phases and came to
    its end is not: the whole plan is more than that."""
    whole = not earlier.state.selected or earlier.state.end_time is None
    return whole and earlier.row.digest == plan.digest


def _require_idle(earlier: OpenedRun) -> None:
    if earlier.alive:
        raise RunBusyError(
            f"run {earlier.row.id} of this plan is at work ({earlier.state.coordinator})",
            fix="watch it with: wavecrew status --watch",
        )


def _require_no_agents(earlier: OpenedRun) -> None:
    """A new run must not start while agents of the run before it, left by a dead coordinator, are still at work."""
    at_work = [name for name in earlier.state.running if fate_of(earlier.log_file(name).parent) is Fate.ALIVE]
    if at_work:
        raise RunBusyError(
            f"agents of run {earlier.row.id} are still at work without a coordinator: phase {', '.join(at_work)}",
            fix="take that run up first: `wavecrew run` with the plan as it was, without --force or a selection",
        )


# -- taking up and beginning ------------------------------------------------------------------------------------


def _ask_again(folder: Path, state: ExecutionState) -> tuple[Event, ...]:
    """What a run that is taken up goes on with: what failed is done again, and so is completed work whose outputs
    have vanished, with all that rests on it."""
    again: dict[str, str] = {}
    for name, found in state.phase_states.items():
        if found.status is PhaseStatus.FAILED and found.waiver is None:
            again[name] = "run again"
        elif found.status is PhaseStatus.COMPLETED:
            gone = missing_outputs(folder, state.graph.nodes[name].outputs)
            if gone:
                again[name] = f"its output {gone[0]} is gone"
    for name in [name for name in again if state.status_of(name) is PhaseStatus.COMPLETED]:
        for other in state.graph.descendants(name):
            if state.status_of(other) is PhaseStatus.COMPLETED:
                again.setdefault(other, f"phase {name} is done again")
    now, by = time.time(), who()
    order = reversed(state.graph.topological_order())
    return tuple(ev.PhaseReset(at=now, phase=name, by=by, reason=again[name]) for name in order if name in again)


def _unchanged(folder: Path, graph: DependencyGraph, before: ExecutionState) -> Mapping[str, str]:
    """Phases that an earlier run completed and that still stand: they, and all they depend on, mean the same, and
    their outputs are there. Gives the run that did the work."""
    kept: dict[str, str] = {}
    for name in graph.topological_order():
        phase, found = graph.nodes[name], before.phase_states.get(name)
        if found is None or found.status is not PhaseStatus.COMPLETED:
            continue
        same = digest_of(phase) == digest_of(before.graph.nodes[name])
        if (
            same
            and all(other in kept for other in graph.dependencies(name))
            and not missing_outputs(folder, phase.outputs)
        ):
            kept[name] = found.kept_from or before.run
    return kept


def _begin(
    run: str, plan: Plan, config: ParallelExecutionConfig, chosen: frozenset[str], kept: Mapping[str, str]
) -> tuple[tuple[Event, ...], ExecutionState]:
    now, graph = time.time(), plan.graph
    events: list[Event] = [
        ev.RunStarted(
            at=now,
            run=run,
            plan_name=plan.name,
            plan_path=plan.path,
            plan_digest=plan.digest,
            phases=plan.phases,
            selected=tuple(name for name in graph.nodes if name in chosen),
            settings=config.model_dump(mode="json"),
        )
    ]
    order = graph.topological_order()
    events += [ev.PhaseKept(at=now, phase=name, from_run=kept[name]) for name in order if name in kept]
    left_out = {
        other
        for name in chosen
        if name not in kept
        for other in graph.dependencies(name)
        if other not in chosen and other not in kept
    }
    events += [
        ev.PhaseSkipped(at=now, phase=name, by=who(), reason="left out by the selection of phases")
        for name in order
        if name in left_out
    ]
    return tuple(events), evolve(ExecutionState(), *events)


# -- putting the parts together ---------------------------------------------------------------------------------


def _job_maker(workspace: Workspace, run: str) -> JobMaker:
    config = workspace.loaded.config
    return JobMaker(
        run=run,
        workspace=workspace.folder,
        state_folder=workspace.folder / STATE_FOLDER,
        agents=load_agents(),
        keys=ResourceKeys(workspace.folder),
        default_agent=config.agent,
        command=config.command,
        prompt_by_file=config.command_prompt == "file",
        timeout=config.phase_timeout_seconds,
        grace=config.grace_seconds,
        log_limit=config.log_limit_bytes,
        passed_on=config.env,
        environ=dict(os.environ),
    )


def _policy(graph: DependencyGraph, config: ParallelExecutionConfig, jobs: JobMaker, *, attended: bool) -> Policy:
    """The rules of the run. Urgency is the longest remaining chain by estimates; plan order settles ties."""
    remaining = priorities(graph, Estimates.of(graph).durations)
    place = {name: position for position, name in enumerate(graph.nodes)}
    order = sorted(graph.nodes, key=lambda name: (-remaining[name], place[name]))
    return Policy(
        agent_limit=config.max_parallel_agents,
        rank={name: position for position, name in enumerate(order)},
        claims={name: jobs.claims(phase) for name, phase in graph.nodes.items()},
        wave_delay_seconds=config.wave_delay_seconds,
        gate=config.gate,
        attended=attended,
        fail_fast=config.fail_fast,
    )
