"""From a wish to run a plan to an engine that does it.

What it does: prepares a run, so that everything about it can be shown before anything happens, and carries it out.
What it does not know: what becomes of earlier work (`again`), how a history opens (`opening`), and how anything is
shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from wavecrew.api.again import Judged, edited_since, judge, latest_run, plan_key
from wavecrew.api.experience import experience_for
from wavecrew.api.history import OpenedRun
from wavecrew.api.isolation import WORKTREE, Ground, documents_of, isolation_of, next_desk, survey, survey_again
from wavecrew.api.opening import LEFT_OUT, at_work, begin, foreseen, go_on, is_unsettled, settle
from wavecrew.api.parts import input_reader, job_maker, policy_for, session_ahead
from wavecrew.api.preflight import require_programs
from wavecrew.api.rules import care_for, oversight_rules, retry_rules, untold
from wavecrew.api.selection import select
from wavecrew.api.traces import require_traces, send_run, traced
from wavecrew.api.workspace import Workspace
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.attempts import Fate, attempt_folder, fate_of
from wavecrew.core.engine import Engine
from wavecrew.core.inputs import InputReader
from wavecrew.core.jobs import JobMaker, Prepared
from wavecrew.core.ledger import Observer
from wavecrew.core.machine import has_room
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.scheduler import Policy
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import PlanError, RunBusyError, Severity
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.plan import Plan


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for. `only`, `start` and `until` narrow the plan down; `force` does again what they choose.
    `attended` tells whether somebody may be there to approve what waits for that, from any terminal; if not, such a run
    is left and can be taken up."""

    plan: Plan
    only: Sequence[str] = ()
    start: Sequence[str] = ()
    until: Sequence[str] = ()
    force: bool = False
    attended: bool = True
    include_dirty: bool = False
    """Whether uncommitted work of the user is the first commit of the result."""
    agreed: bool = False
    """Whether the user has agreed to programs that the repository's own configuration names."""


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
    reader: InputReader
    """Who says what phases rest on."""
    ground: Ground = field(default_factory=Ground)
    """What a new run stands on."""
    again: Mapping[str, str] = field(default_factory=dict)
    """Why phases that an earlier run has begun or done are not kept as they are."""
    waived: tuple[str, ...] = ()
    """Phases that somebody had waived in the earlier run; a waiver holds for one run."""
    unsettled: bool = False
    """Whether agents are to be judged, or ended, by the plan as it was before it was edited."""
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

    def preview(self, phase: PhaseInfo) -> Prepared:
        """The next attempt of a phase, as it would be started alone and now."""
        found = self.state.phase_states[phase.id]
        desk = next_desk(self.state, self.workspace.folder, phase.id, self.run)
        inputs = self.reader.inputs(self.state, phase) if found.session else {}
        session = session_ahead(self.state, phase, self.jobs, self.config, inputs)
        number, answers = found.attempts + 1, found.replies
        return self.jobs.prepare(self.state.graph, phase, number, found.detail, desk, session=session, answers=answers)

    def fates(self) -> Mapping[str, Fate]:
        """What has become of the attempts that a dead coordinator left open, by phase. Looking changes nothing but
        that an attempt which has not started yet never will."""
        folder = self.workspace.folder / STATE_FOLDER
        open_ones = ((name, self.state.phase_states[name].attempts) for name in self.state.running)
        return {name: fate_of(attempt_folder(folder, self.run, name, number)) for name, number in open_ones}

    @property
    def budget_warnings(self) -> tuple[str, ...]:
        """What of its budget the run cannot keep, because agents are not known to tell what they use."""
        names = {name for phase in self.open_phases for name in self.jobs.agents_for(phase)}
        return untold(self.config, {name: self.jobs.agents[name] for name in names})

    @property
    def commands(self) -> int:
        """How many commands documents of the project would have run."""
        own = sum(len(phase.steps) + len(phase.checks) + bool(phase.command) for phase in self.open_phases)
        return own + len(self.workspace.loaded.commands_from_project)

    @property
    def variables_from_project(self) -> tuple[str, ...]:
        """Environment variables that the project, and not the user, wants agents to see."""
        loaded = self.workspace.loaded
        return tuple(
            text for name in ("env", "agent_env") if loaded.from_project(name) for text in getattr(self.config, name)
        )

    @property
    def needs_consent(self) -> bool:
        """Whether the user has to agree to something that the project brings along."""
        return bool(self.commands or self.variables_from_project or self.workspace.loaded.notices_from_project)

    @property
    def consent_digest(self) -> str:
        """What a consent is about: the commands of the plan, and what the project's configuration adds to them."""
        commands = self.workspace.loaded.commands_from_project
        text = f"{self.request.plan.digest} {commands} {self.variables_from_project}"
        text += "".join(f" news {where}" for where in self.workspace.loaded.notices_from_project)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]

    def execute(
        self,
        observe: Observer = lambda events, state: None,
        on_signal: Callable[[str], None] = lambda name: None,
        tell: Callable[[str], None] = lambda words: None,
    ) -> ExecutionState:
        """Do it. `observe` is told all events after they were recorded. Ctrl-C and TERM end the agents and leave a
        state that can be continued; the state then has a `stop_reason`. `on_signal` is told their names. `tell` is told
        what has to be said before anything starts, and after the end.

        Raises RunBusyError when another coordinator is in charge of this run, and PreflightError for an agent program
        that is missing, or does not ask before it writes.
        """
        require_programs(self.jobs, self.open_phases, self.config, tell)
        with self.workspace.open_store() as store:
            state = self.state
            if self.unsettled:
                settle(store, self.workspace.folder, self.run, self.request.plan, self.reader, observe)
            if not self.taken_up:
                events = self._open_history(store)
                state = evolve(ExecutionState(), *events)
                observe(events, state)
            engine = Engine(
                store=store,
                registry=LockRegistry(store, self.workspace.folder),
                jobs=traced(self.jobs, self.config, state),
                policy=self.policy,
                retry=retry_rules(self.config),
                care=care_for(self.jobs.keys, self.policy.claims, self.config),
                isolation=isolation_of(state, self.workspace.folder, self.config, documents_of(self.request.plan)),
                documents=documents_of(self.request.plan),
                edited=partial(edited_since, self.request.plan.path),
                has_room=partial(has_room, self.config.min_free_memory, self.config.max_load),
                oversight=oversight_rules(self.config),
                observe=observe,
                opening=partial(go_on, self.request.plan, self.reader) if self.taken_up else lambda state: (),
                inputs=self.reader.inputs,
            )
            ended = asyncio.run(_with_signals(engine, on_signal))
            send_run(store, self.run, self.config, os.environ, tell)
            return ended

    def _open_history(self, store: Store) -> tuple[Event, ...]:
        """Begin the run now: since it was prepared, somebody may have thought for long about whether to agree."""
        plan, now = self.request.plan, time.time()
        base = self.ground.base(self.workspace.folder, self.run, self.config.author)
        events = tuple(
            replace(event, at=now, base=base) if isinstance(event, ev.RunStarted) else replace(event, at=now)
            for event in self.events
        )
        key = plan_key(self.workspace, plan)
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
    do a phase, ConfigError for traces that cannot be sent, and RunBusyError while somebody is at work who would be in
    the way.
    """
    plan, config = request.plan, workspace.loaded.config
    _require_sound(plan)
    require_traces(config, os.environ)
    chosen = select(plan.graph, request.only, request.start, request.until)
    earlier = latest_run(workspace, plan)
    judged = _judged(workspace, request, earlier, chosen) if earlier is not None else None
    if judged is not None and judged.goes_on:
        survey_again(workspace.folder, judged.run.state, agreed=request.agreed)
    way = _take_up(plan, judged) if judged is not None and judged.goes_on else _anew(workspace, request, chosen, judged)
    jobs = traced(job_maker(workspace, way.run, worktrees=way.state.isolation == WORKTREE), config, way.state)
    prepared = PreparedRun(
        workspace=workspace,
        request=request,
        run=way.run,
        taken_up=way.run if way.history else "",
        events=way.events,
        history=way.history,
        state=way.state,
        jobs=jobs,
        policy=policy_for(plan.graph, config, jobs, attended=request.attended),
        reader=input_reader(workspace, way.state, jobs),
        ground=way.ground,
        again=_reasons(judged),
        waived=_waived(judged) if not way.history else (),
        unsettled=way.unsettled,
        newest=earlier.row.id if earlier is not None else "",
    )
    jobs.require_agents(prepared.open_phases)
    jobs.require_fallback()
    return prepared


@dataclass(frozen=True, slots=True)
class _Way:
    """How a run comes to be: what it opens or goes on with, what it has behind it, and where that leads."""

    run: str
    events: tuple[Event, ...]
    state: ExecutionState
    history: tuple[Event, ...] = ()
    unsettled: bool = False
    ground: Ground = field(default_factory=Ground)


def _take_up(plan: Plan, judged: Judged) -> _Way:
    before, verdicts = judged.run.state, judged.verdicts
    events = foreseen(judged.run.state_folder, plan, before, verdicts)
    unsettled = is_unsettled(plan.graph, before, verdicts)
    return _Way(before.run, events, evolve(before, *events), judged.run.events, unsettled)


def _anew(workspace: Workspace, request: RunRequest, chosen: frozenset[str], judged: Judged | None) -> _Way:
    run, config, plan = os.environ.get("WAVECREW_RUN_ID") or secrets.token_hex(3), workspace.loaded.config, request.plan
    if judged is not None:
        _require_no_agents(judged.run)
    kept = judged.kept if judged is not None else {}
    ground = survey(
        workspace.folder,
        config,
        result=judged.run.state.result if judged is not None and kept else "",
        exempt=(*documents_of(plan), *(file.path.resolve() for file in workspace.loaded.files if file.read)),
        include_dirty=request.include_dirty,
        agreed=request.agreed,
    )
    experience = experience_for(workspace, plan, judged.run if judged is not None else None)
    events = begin(run, plan, config, chosen, kept, (ground.isolation, ground.head), experience)
    return _Way(run, events, evolve(ExecutionState(), *events), ground=ground)


def _judged(workspace: Workspace, request: RunRequest, earlier: OpenedRun, chosen: frozenset[str]) -> Judged:
    """What becomes of the latest run; by force is done again what was chosen, or all."""
    _require_idle(earlier)
    look = input_reader(workspace, earlier.state, job_maker(workspace, earlier.row.id))
    forced = (chosen or request.plan.graph.nodes.keys()) if request.force else ()
    return judge(request.plan, earlier, look, anew=bool(chosen) or request.force, forced=forced)


def _reasons(judged: Judged | None) -> Mapping[str, str]:
    """Of phases that nobody has begun yet there is nothing to tell."""
    if judged is None:
        return {}
    states = judged.run.state.phase_states
    return {
        name: verdict.reason
        for name, verdict in judged.verdicts.items()
        if verdict.reason and (found := states.get(name)) and (found.attempts or found.kept_from or found.waiver)
    }


def _waived(judged: Judged | None) -> tuple[str, ...]:
    states = judged.run.state.phase_states if judged is not None else {}
    people = (name for name, found in states.items() if found.waiver is not None and found.waiver.reason != LEFT_OUT)
    return tuple(name for name in people if judged is not None and name in judged.verdicts)


def _require_sound(plan: Plan) -> None:
    errors = [finding for finding in plan.diagnostics if finding.severity is Severity.ERROR]
    if errors:
        raise PlanError(
            f"the plan has {len(errors)} error{'s' if len(errors) > 1 else ''} and cannot be run",
            fix="see them with: wavecrew check",
            diagnostics=tuple(errors),
        )


def _require_idle(earlier: OpenedRun) -> None:
    if earlier.alive:
        raise RunBusyError(
            f"run {earlier.row.id} of this plan is at work ({earlier.state.coordinator})",
            fix="watch it with: wavecrew status --watch",
        )


def _require_no_agents(earlier: OpenedRun) -> None:
    """A new run must not start while agents of the run before it, left by a dead coordinator, are still at work."""
    left = at_work(earlier.state_folder, earlier.state, earlier.state.running)
    if left:
        raise RunBusyError(
            f"agents of run {earlier.row.id} are still at work without a coordinator: phase {', '.join(left)}",
            fix="take that run up first: `wavecrew run` without --force or a selection",
        )
