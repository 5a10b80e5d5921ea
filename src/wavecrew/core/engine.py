"""The loop of a run, and the only writer of its history.

What it does: performs what `decide` returns; when there is nothing to do, waits for one message (the end of an
attempt, a wish, a moment in time), records it, and goes on. The intent to start is on the disk before a process
exists; the end of an attempt, its status and its freed locks are one commit (`ledger`). Taking up a run that an
earlier coordinator left is the same loop after `_recover` has settled what happened meanwhile.
What it does not know: the rules of scheduling, how processes are kept, how work in a worktree comes into the result
(`homecoming`), documents, and who watches.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from wavecrew.core import wishes
from wavecrew.core.bell import Bell
from wavecrew.core.care import AuditPolicy, Care
from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.crew import Crew
from wavecrew.core.gate_keeping import GateKeeping
from wavecrew.core.homecoming import Homecoming
from wavecrew.core.jobs import Desk, JobMaker, Prepared
from wavecrew.core.ledger import Ledger, Observer
from wavecrew.core.lock_queue import LockQueue, awaited
from wavecrew.core.oversight import Oversight, OversightRules
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.scheduler import Decision, Policy, decide
from wavecrew.core.side_jobs import SideJobs
from wavecrew.core.store import Store
from wavecrew.core.supervisor import Supervisor
from wavecrew.core.verdicts import Judge, RetryRules
from wavecrew.core.watch import Watch
from wavecrew.core.way_home import Isolation, WayHome
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import IllegalTransitionError, StoreError, UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.usage import BUDGET_SPENT

_TICKET_POLL_SECONDS: Final = 0.1
_WISH_POLL_SECONDS: Final = 2.0  # a wish rings; this is for the ring that was missed


class Engine:
    """One coordinator of one run. Make it, `await run()`, and read the final state; `stop` may be called meanwhile.

    `care` looks after the files of a shared workspace, `isolation` is there when attempts work in worktrees instead.
    `observe` is told what was recorded, after it was. `opening` gives the events that a run which is taken up shall go
    on with, from the state that it is found in. `inputs` tells what the work of a phase rests on. `has_room` tells
    whether the machine can bear one more agent.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: LockRegistry,
        jobs: JobMaker,
        policy: Policy,
        retry: RetryRules,
        care: Care | None = None,
        isolation: Isolation | None = None,
        observe: Observer = lambda events, state: None,
        opening: Callable[[ExecutionState], Sequence[Event]] = lambda state: (),
        inputs: Callable[[ExecutionState, PhaseInfo], Mapping[str, str]] = lambda state, phase: {},
        has_room: Callable[[], bool] = lambda: True,
        oversight: OversightRules = OversightRules(),  # noqa: B008 -- it is frozen
        documents: Sequence[Path] = (),
        edited: Callable[[ExecutionState], tuple[str, ...]] = lambda state: (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._policy = policy
        self._care = care = care or Care(jobs.keys, policy.claims)
        self._judge = Judge(jobs.workspace, retry, strict=care.policy is AuditPolicy.FAIL)
        self._locks = LockQueue(jobs.run, store, registry, retry)
        self._ledger = Ledger(jobs.run, store, self._locks, observe=observe, clock=clock)
        self._opening = opening
        self._inputs = inputs
        self._has_room = has_room
        self._edited = edited
        self._clock = clock
        self._inbox: asyncio.Queue[Path | Exception | None] = asyncio.Queue()
        self._stop_reason = ""
        self._supervisor = Supervisor(self._inbox.put_nowait)
        self._side = SideJobs(self._supervisor)
        self._home = (
            Homecoming(
                WayHome(
                    isolation,
                    ledger=self._ledger,
                    jobs=jobs,
                    judge=self._judge,
                    side=self._side,
                    stopping=lambda: self._is_leaving,
                )
            )
            if isolation
            else None
        )
        bounds = jobs.bounds
        self._gate = (
            GateKeeping(bounds, registry, self._ledger, jobs.workspace, documents, jobs.redacted)
            if bounds is not None and bounds.has_door
            else None
        )
        self._crew = Crew(
            ledger=self._ledger,
            jobs=jobs,
            judge=self._judge,
            locks=self._locks,
            care=care,
            home=self._home,
            supervisor=self._supervisor,
            post=self._inbox.put_nowait,
            stopping=lambda: bool(self._stop_reason),
            watch=(watch := Watch(oversight.silent_after, jobs.redacted)),
            gate=self._gate,
        )
        self._oversight = Oversight(
            oversight,
            ledger=self._ledger,
            watch=watch,
            at_work=lambda: self._crew.at_work,
            end_silent=self._crew.end_silent,
            end_all=lambda: self._end(self._crew.at_work, checks=False),
            excused=lambda: self._gate.waiting if self._gate is not None else frozenset(),
        )
        self._is_leaving = False
        """Whether work on its way home shall wait for the next coordinator."""

    @property
    def state(self) -> ExecutionState:
        """The run as it stands."""
        return self._ledger.state

    def stop(self, reason: str) -> None:
        """End all agents and leave; called a second time, do not wait for their grace time. Safe in the event loop."""
        self._stop_reason = self._stop_reason or reason
        self._is_leaving = True
        self._end({*self._crew.at_work, *self._crew.errands}, checks=True)
        self._inbox.put_nowait(None)

    async def run(self) -> ExecutionState:
        """Work until nothing can start any more, or until `stop`. Gives the final state.

        Raises RunBusyError when another coordinator is at work on this run, or takes it over meanwhile.
        """
        with self._in_charge() as epoch:
            self._ledger.record(
                ev.CoordinatorStarted(
                    at=self._clock(),
                    epoch=epoch,
                    pid=os.getpid(),
                    host=socket.gethostname(),
                    agents=self._policy.agent_limit,
                )
            )
            try:
                await self._open_gate(epoch)
                await self._recover()
                self._ledger.record(*self._opening(self.state))
                await self._open_gate(epoch)  # an edited plan may have brought somebody who asks
                await self._loop()
            except StoreError:
                if self._store.is_gone():  # nobody will ever find them again
                    self.stop("the state is gone")
                raise
            finally:
                await self._leave()
        return self.state

    async def _open_gate(self, epoch: int) -> None:
        """Open the write gate if an agent of this run can ask before it writes, or tell us something there."""
        bounds, names = self._jobs.bounds, map(self._jobs.agents_for, self.state.graph.nodes.values())
        asks = bounds is not None and any(bounds.is_heard(name) for able in names for name in able)
        if self._gate is not None and asks:
            await self._gate.open(epoch)

    async def fulfil(self, wish: Wish) -> ExecutionState:
        """Be in charge just long enough to fulfil one wish, starting nothing.

        Raises RunBusyError when somebody is in charge, and UsageError for a wish that does not fit.
        """
        with self._in_charge():
            try:
                self._is_leaving = True
                await self._recover()
                ending = [*self._grant_wish(wish), *self._take_wishes()]  # others may ask us meanwhile
                while self._crew.is_busy or any(self._crew.is_open(folder) for folder in ending):
                    await self._next_message(None)
                    ending += self._take_wishes()
                self._ledger.commit()
                if self._stop_reason:
                    self._ledger.record(ev.RunStopped(at=self._clock(), reason=self._stop_reason))
            finally:
                await self._leave()
        return self.state

    @contextmanager
    def _in_charge(self) -> Iterator[int]:
        """Hold the coordinator's lock, listen for wishes, and start from the history as it is now. Gives the epoch."""
        with CoordinatorLock(self._store.folder / "runs" / self._jobs.run), Bell(self._store.folder) as bell:
            epoch = self._ledger.take_charge()
            Bell.remove_dead(self._store.folder)
            bell.hang(f"run-{self._jobs.run}")
            loop = asyncio.get_running_loop()
            loop.add_reader(bell.fileno(), self._rung, bell)
            try:
                yield epoch
            finally:
                loop.remove_reader(bell.fileno())

    def _rung(self, bell: Bell) -> None:
        bell.hush()
        self._inbox.put_nowait(None)

    async def _leave(self) -> None:
        await self._crew.close()
        if self._gate is not None:
            await self._gate.close()
        self._locks.leave_all()

    # -- the loop

    async def _loop(self) -> None:
        cleared_up = False
        while True:
            self._take_wishes()
            self._oversight.look()
            decision = Decision() if self._is_closing else self._decide()
            if self._perform(decision):
                continue
            if decision.finished and not cleared_up and not self._crew.is_busy:
                self._crew.clear_up()  # once more, where it has failed
                cleared_up = True
            if self._crew.is_busy and (decision.finished or decision.unattended):
                await self._next_message(decision.wake_at)  # somebody is clearing up
                continue
            if self._is_closing and self.state.running.keys() <= self._crew.resting and not self._crew.is_busy:
                reason = self._stop_reason or f"{self.state.forbidden[0]} was changed"
                self._ledger.record(ev.RunStopped(at=self._clock(), reason=reason))
                return
            if decision.unattended and self.state.running:  # all who are at work wait for an answer
                self.stop(self.state.needs)
            elif decision.unattended:
                self._ledger.record(ev.RunStopped(at=self._clock(), reason=self.state.needs))
                return
            if decision.spent and not self._crew.is_busy:
                budget = self.state.budget_reached
                self._ledger.record(ev.RunStopped(at=self._clock(), reason=f"{BUDGET_SPENT}{budget} is spent"))
                return
            if decision.finished:  # whatever still stands in the queue of the lock table will not be started
                await self._finish()
                return
            await self._next_message(decision.wake_at)

    @property
    def _is_closing(self) -> bool:
        """Whether nothing new starts any more: somebody said stop, or what no agent may change was changed."""
        return bool(self._is_leaving or self.state.forbidden)

    def _decide(self) -> Decision:
        now = self._clock()
        for name in self._locks.waiting | self._locks.granted:
            if self.state.budget_reached or self._policy.agent_for(self.state, name, now) is None:
                self._locks.leave(name)  # who cannot start is in nobody's way
        room = not self.state.queued or self._has_room()
        asking = self._gate.asking if self._gate is not None else frozenset()
        see = partial(decide, self.state, self._policy, now, elsewhere=self._locks.waiting, asking=asking)
        see = partial(see, granted=self._locks.granted)
        decision = see(room=room)
        if not (room or decision.start or self.state.waits_for_room) and see(room=True).start:
            self._ledger.stage(ev.RoomAwaited(at=now))
        return decision

    async def _finish(self) -> None:
        """The proof of the whole run, and its end."""
        missing, unproven = await self._home.prove() if self._home else (self._judge.vanished(self.state), ())
        edited = await asyncio.to_thread(self._edited, self.state)
        self._ledger.record(ev.RunFinished(at=self._clock(), missing=missing, unproven=unproven, edited=edited))

    async def _next_message(self, wake_at: float | None) -> None:
        """Wait for one message, then take all that are there: their ends become one commit."""
        pauses = [_WISH_POLL_SECONDS]
        if wake_at is not None:
            pauses.append(max(0.0, wake_at - self._clock()))
        if self._locks.waiting:
            pauses.append(_TICKET_POLL_SECONDS)
        ended: list[Path] = []
        try:
            message = await asyncio.wait_for(self._inbox.get(), min(pauses))
            while True:
                if isinstance(message, BaseException):
                    raise message
                if message is not None and not self._side.has_ended(message):
                    ended.append(message)
                message = self._inbox.get_nowait()
        except (TimeoutError, asyncio.QueueEmpty):
            pass
        if ended:
            await self._crew.settle(ended)
        self._ledger.stage(*self._locks.look(self.state, self._clock()))

    def _perform(self, decision: Decision) -> bool:
        """Do what was decided, in one commit with what has happened since the last. Tells whether anything changed."""
        now = self._clock()
        prepared: list[Prepared] = []
        for name in decision.start:
            try:
                prepared.append(self._prepare(name, prepared))
            except Exception as error:  # an agent of somebody else may raise anything
                self._locks.leave(name)
                detail = f"it could not be prepared: {error}"
                self._ledger.stage(ev.PhaseRefused(at=now, phase=name, cause=Cause.START, detail=detail))
        told = (awaited(self.state, wish.phase, wish.resource, wish.holder, now) for wish in decision.waiting)
        waits: list[Event] = [event for event in told if event is not None]
        waits += [ev.ApprovalAsked(at=now, gate=gate) for gate in decision.ask]
        if not self._ledger.has_news and not waits and not prepared:
            return False
        self._crew.start(self._ledger.commit(prepared, waits))
        return True

    def _prepare(self, name: str, beside: Sequence[Prepared]) -> Prepared:
        state, phase = self.state.phase_states[name], self.state.graph.nodes[name]
        taken = {self.state.phase_states[other].slot for other in self.state.running} | {
            one.desk.slot for one in beside
        }
        slot = next(number for number in range(1, len(taken) + 2) if number not in taken)
        desk = self._home.desk(name, state.attempts + 1, slot) if self._home else Desk(self._jobs.workspace, slot)
        inputs = self._inputs(self.state, phase)
        agent = self._policy.agent_for(self.state, name, self._clock()) or ""
        session = self._care.session_for(self.state, self._store.folder, name, agent, inputs)
        number, graph = state.attempts + 1, self.state.graph
        session = session if self._jobs.resumes(agent) else ""
        return self._jobs.prepare(graph, phase, number, state.detail, desk, inputs, agent, session, state.replies)

    # -- wishes of people

    def _take_wishes(self) -> list[Path]:
        """Answer all wishes that are there. Gives the attempts that are being ended for them."""
        ending: list[Path] = []
        with self._store.reading() as tx:
            waiting = wishes.waiting(tx, self._jobs.run)
        for number, wish in waiting:
            refusal = wishes.NOT_UNDERSTOOD if wish is None else ""
            try:
                ending += self._grant_wish(wish) if wish is not None else []
            except (UsageError, IllegalTransitionError) as error:
                refusal = f"{error.reason}\n{error.fix}"
            with self._store.transaction() as tx:
                wishes.answer(tx, number, refusal)
        return ending

    def _grant_wish(self, wish: Wish) -> list[Path]:
        """Record what a wish leads to, and end the agents that it is about. Gives the attempts that are being ended."""
        self._ledger.record(*wishes.events_for(wish, self.state, self._clock()))
        places = self._locks.waiting | self._locks.granted
        for name in places if self.state.paused_by else places - self.state.queued.keys():
            self._locks.leave(name)  # also of those whose dependency is to be done again
        if wish.kind is WishKind.CANCEL and not wish.phases:
            self.stop(f"cancelled by {wish.by}")
            return list(self._crew.at_work)
        everybody, cancel = wish.kind is WishKind.PAUSE and wish.hard, wish.kind is WishKind.CANCEL
        about = [folder for folder, name in self._crew.at_work.items() if everybody or (cancel and name in wish.phases)]
        self._end(about, checks=cancel)
        return about

    def _end(self, folders: Iterable[Path], *, checks: bool) -> None:
        """End agents, and with `checks` also what is carried out beside their attempts."""
        for folder in list(folders):
            self._crew.stop(folder)
            if checks:
                self._side.stop(folder)

    # -- taking up a run that was left

    async def _recover(self) -> None:
        """Settle what happened while nobody was in charge: adopt what lives, take results, sweep what was lost."""
        self._locks.forget_abandoned(self.state)
        with self._store.transaction() as tx:
            wishes.forget_old(tx, self._jobs.run, self._clock())
        if self._home is not None:
            await self._home.take_charge()
        adopted, over = self._crew.take_over()
        self._ledger.stage(*adopted)
        await self._crew.settle(over)
        self._ledger.commit()
