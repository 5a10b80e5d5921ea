"""The loop of a run, and the only writer of its history.

What it does: performs what `decide` returns; when there is nothing to do, waits for one message (the end of an
attempt, a wish, a moment in time), records it, and goes on. The intent to start is on the disk before a process
exists; the end of an attempt, its status and its freed locks are one commit. Taking up a run that an earlier
coordinator left is the same loop after `_recover` has settled what happened meanwhile.
What it does not know: the rules of scheduling, how processes are kept, documents, and who watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wavecrew.core import wishes
from wavecrew.core.attempts import Fate, attempt_folder, fate_of, read_result, write_job
from wavecrew.core.bell import Bell
from wavecrew.core.care import AuditPolicy, Care
from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.jobs import JobMaker, Prepared
from wavecrew.core.lock_queue import LockQueue, awaited
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.scheduler import Decision, Policy, decide
from wavecrew.core.store import Store
from wavecrew.core.supervisor import Supervisor, sweep
from wavecrew.core.verdicts import Judge, RetryRules, cancelled
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import IllegalTransitionError, StoreError, UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve, replay

_TICKET_POLL_SECONDS: Final = 0.1
_WISH_POLL_SECONDS: Final = 2.0  # a wish rings; this is for the ring that was missed
_SWEEP_AGAIN_SECONDS: Final = 1.0

Observer = Callable[[Sequence[Event], ExecutionState], None]


class Engine:
    """One coordinator of one run. Make it, `await run()`, and read the final state; `stop` may be called meanwhile.

    `care` looks after the files of the workspace. `observe` is told what was recorded, after it was. `opening` gives
    the events that a run which is taken up shall go on with, from the state that it is found in.
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
        observe: Observer = lambda events, state: None,
        opening: Callable[[ExecutionState], Sequence[Event]] = lambda state: (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.run_id = jobs.run
        self.state = ExecutionState()
        self._store = store
        self._jobs = jobs
        self._policy = policy
        self._care = care or Care(jobs.keys, policy.claims)
        self._judge_of = Judge(jobs.workspace, retry, strict=self._care.policy is AuditPolicy.FAIL)
        self._locks = LockQueue(jobs.run, store, registry, retry)
        self._observe = observe
        self._opening = opening
        self._clock = clock
        self._epoch: int | None = None
        self._supervisor = Supervisor(lambda folder: self._inbox.put_nowait(folder))
        self._inbox: asyncio.Queue[Path | None] = asyncio.Queue()
        self._phase_of: dict[Path, str] = {}
        self._staged: list[Event] = []
        self._stop_reason = ""

    def stop(self, reason: str) -> None:
        """End all agents and leave; called a second time, do not wait for their grace time. Safe in the event loop."""
        self._stop_reason = self._stop_reason or reason
        self._end_agents(list(self._phase_of))
        self._inbox.put_nowait(None)

    async def run(self) -> ExecutionState:
        """Work until nothing can start any more, or until `stop`. Gives the final state.

        Raises RunBusyError when another coordinator is at work on this run, or takes it over meanwhile.
        """
        with self._in_charge():
            self._record(
                ev.CoordinatorStarted(
                    at=self._clock(),
                    epoch=self._epoch or 0,
                    pid=os.getpid(),
                    host=socket.gethostname(),
                    agents=self._policy.agent_limit,
                )
            )
            try:
                await self._recover()
                self._record(*self._opening(self.state))
                await self._loop()
            except StoreError:
                if self._store.is_gone():  # nobody will ever find them again
                    self.stop("the state is gone")
                raise
            finally:
                await self._leave()
        return self.state

    async def fulfil(self, wish: Wish) -> ExecutionState:
        """Be in charge just long enough to fulfil one wish, starting nothing.

        Raises RunBusyError when somebody is in charge, and UsageError for a wish that does not fit.
        """
        with self._in_charge():
            try:
                await self._recover()
                ending = [*self._grant_wish(wish), *self._take_wishes()]  # others may ask us meanwhile
                while any(folder in self._phase_of for folder in ending):
                    await self._next_message(None)
                    ending += self._take_wishes()
                self._commit()
                if self._stop_reason:
                    self._record(ev.RunStopped(at=self._clock(), reason=self._stop_reason))
            finally:
                await self._leave()
        return self.state

    @contextmanager
    def _in_charge(self) -> Iterator[None]:
        """Hold the coordinator's lock, listen for wishes, and start from the history as it is now."""
        with CoordinatorLock(self._store.folder / "runs" / self.run_id), Bell(self._store.folder) as bell:
            self._epoch = self._store.take_charge(self.run_id)
            self.state = replay(event for _, event in self._store.events(self.run_id))
            Bell.remove_dead(self._store.folder)
            bell.hang(f"run-{self.run_id}")
            loop = asyncio.get_running_loop()
            loop.add_reader(bell.fileno(), self._rung, bell)
            try:
                yield
            finally:
                loop.remove_reader(bell.fileno())

    def _rung(self, bell: Bell) -> None:
        bell.hush()
        self._inbox.put_nowait(None)

    async def _leave(self) -> None:
        await self._supervisor.close()
        self._locks.leave_all()

    # -- the loop

    async def _loop(self) -> None:
        while True:
            self._take_wishes()
            decision = Decision() if self._stop_reason else self._decide()
            if self._perform(decision):
                continue
            if self._stop_reason and not self.state.running:
                self._record(ev.RunStopped(at=self._clock(), reason=self._stop_reason))
                return
            if decision.finished:  # whatever still stands in the queue of the lock table will not be started
                self._record(ev.RunFinished(at=self._clock(), missing=self._judge_of.vanished(self.state)))
                return
            await self._next_message(decision.wake_at)

    def _decide(self) -> Decision:
        return decide(
            self.state, self._policy, self._clock(), elsewhere=self._locks.waiting, granted=self._locks.granted
        )

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
                if message is not None:
                    ended.append(message)
                message = self._inbox.get_nowait()
        except (TimeoutError, asyncio.QueueEmpty):
            pass
        if ended:
            await self._settle(ended)
        self._stage(*self._locks.look(self.state, self._clock()))

    def _perform(self, decision: Decision) -> bool:
        """Do what was decided, in one commit with what has happened since the last. Tells whether anything changed."""
        now = self._clock()
        prepared: list[Prepared] = []
        for name in decision.start:
            try:
                prepared.append(self._prepare(name))
            except Exception as error:  # an agent of somebody else may raise anything
                self._locks.leave(name)
                detail = f"it could not be prepared: {error}"
                self._stage(ev.PhaseRefused(at=now, phase=name, cause=Cause.START, detail=detail))
        told = (awaited(self.state, wish.phase, wish.resource, wish.holder, now) for wish in decision.waiting)
        waits = [event for event in told if event is not None]
        if not self._staged and not waits and not prepared:
            return False
        self._start(self._commit(prepared, waits))
        return True

    def _prepare(self, name: str) -> Prepared:
        state = self.state.phase_states[name]
        return self._jobs.prepare(self.state.graph, self.state.graph.nodes[name], state.attempts + 1, state.detail)

    def _start(self, ready: Sequence[Prepared]) -> None:
        """Only now, with the intent on the disk, processes come to be."""
        if ready:
            self._record(*self._care.look(self._phase_of.values(), self._clock()))
        failed: list[Event] = []
        for one in ready:
            self._phase_of[one.folder] = one.phase.id
            try:
                write_job(one.folder, one.job)
                self._care.before_start(self._store.folder, self.run_id, one)
                self._supervisor.start(one.folder)
            except (OSError, ValueError) as error:  # ValueError: text that no encoding can hold
                del self._phase_of[one.folder]
                with contextlib.suppress(OSError):
                    fate_of(one.folder)  # removes its environment, and nothing can start it late
                ended = self._end(one.phase.id, Outcome.FAILED, Cause.START, f"it could not be started: {error}")
                with contextlib.suppress(OSError):
                    self._care.after_end(one.folder, ended)
                failed.append(ended)
        self._record(*failed)

    # -- ends

    async def _settle(self, folders: Sequence[Path]) -> None:
        """Take in the ends of attempts. What left no result is swept first: no lock is freed without proof of death."""
        self._stage(*self._care.look(self._phase_of.values(), self._clock()))
        ends: list[Event] = []
        for folder in folders:
            name = self._phase_of.get(folder)
            if name is None:
                continue
            event = await self._judge(folder, name)
            if event is None:
                continue
            event = cancelled(event, self.state.phase_states[name].cancelled_by)
            with contextlib.suppress(OSError):  # a disk that refuses will say so again at the next start
                self._care.after_end(folder, event)
            del self._phase_of[folder]
            ends.append(event)
        self._stage(*ends)  # at once, because each call copies the state

    async def _judge(self, folder: Path, name: str) -> ev.AttemptEnded | None:
        """How an attempt ended; None while something of it is still alive, which will be judged again."""
        fate = fate_of(folder)
        if fate is Fate.ALIVE:  # its shim was only slow to take charge
            self._adopt(folder)
            return None
        if fate is Fate.NEVER_STARTED:
            return self._end(name, Outcome.LOST, Cause.START, "its process never started")
        try:
            result = read_result(folder)
        except StoreError as error:
            return self._end(name, Outcome.FAILED, Cause.LOST, error.reason) if await self._swept(folder) else None
        if result is not None:
            return self._judge_of.result(self.state, name, result, self._clock())
        if not await self._swept(folder):
            return None
        return self._end(name, Outcome.LOST, Cause.LOST, "it died without leaving a result")

    async def _swept(self, folder: Path) -> bool:
        if await sweep(folder):
            return True
        asyncio.get_running_loop().call_later(_SWEEP_AGAIN_SECONDS, self._inbox.put_nowait, folder)
        return False

    def _adopt(self, folder: Path) -> None:
        self._supervisor.adopt(folder)
        if self._stop_reason or self.state.phase_states[self._phase_of[folder]].cancelled_by:
            self._supervisor.stop(folder)

    def _end(self, name: str, outcome: Outcome, cause: Cause, detail: str) -> ev.AttemptEnded:
        return self._judge_of.end(self.state, name, self._clock(), outcome, cause, detail)

    def _end_agents(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            self._supervisor.stop(folder)

    # -- wishes of people

    def _take_wishes(self) -> list[Path]:
        """Answer all wishes that are there. Gives the attempts that are being ended for them."""
        ending: list[Path] = []
        with self._store.reading() as tx:
            waiting = wishes.waiting(tx, self.run_id)
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
        self._record(*wishes.events_for(wish, self.state, self._clock()))
        places = self._locks.waiting | self._locks.granted
        for name in places if self.state.paused_by else places - self.state.queued.keys():
            self._locks.leave(name)  # also of those whose dependency is to be done again
        if wish.kind is WishKind.CANCEL and not wish.phases:
            self.stop(f"cancelled by {wish.by}")
            return list(self._phase_of)
        everybody, cancel = wish.kind is WishKind.PAUSE and wish.hard, wish.kind is WishKind.CANCEL
        about = [folder for folder, name in self._phase_of.items() if everybody or (cancel and name in wish.phases)]
        self._end_agents(about)
        return about

    # -- taking up a run that was left

    async def _recover(self) -> None:
        """Settle what happened while nobody was in charge: adopt what lives, take results, sweep what was lost."""
        self._locks.forget_abandoned(self.state)
        with self._store.transaction() as tx:
            wishes.forget_old(tx, self.run_id, self._clock())
        over: list[Path] = []
        adopted: list[Event] = []
        for name in self.state.running:
            attempt = self.state.phase_states[name].attempts
            folder = attempt_folder(self._store.folder, self.run_id, name, attempt)
            self._phase_of[folder] = name
            if fate_of(folder) is Fate.ALIVE:
                self._adopt(folder)
                adopted.append(ev.AttemptAdopted(at=self._clock(), phase=name, attempt=attempt))
            else:
                over.append(folder)
        self._stage(*adopted)
        await self._settle(over)
        self._commit()

    # -- recording

    def _stage(self, *events: Event) -> None:
        """Take events into the state that the next commit will make true. Folded first, so that one which does not
        fit never reaches the disk."""
        self.state = evolve(self.state, *events)
        self._staged += events

    def _record(self, *events: Event) -> None:
        """Events that must be on the disk before anything else happens."""
        self._stage(*events)
        self._commit()

    def _commit(self, prepared: Sequence[Prepared] = (), waits: Sequence[Event] = ()) -> list[Prepared]:
        """Make everything staged true at once, with the locks that it frees, and the starts whose locks that allows.

        Gives the attempts that may be started now; the others stand in the queue of the lock table.
        """
        if not self._staged and not waits and not prepared:
            return []
        now = self._clock()
        ready: list[Prepared] = []
        starts: list[Event] = []
        queued: dict[str, int] = {}
        with self._store.transaction() as tx:
            ends = [event for event in self._staged if isinstance(event, ev.AttemptEnded)]
            freed = [ticket for ended in ends for ticket in self._locks.free(tx, ended)]
            for one in prepared:
                grant = self._locks.take(tx, one)
                if isinstance(grant, int):
                    queued[one.phase.id] = grant
                else:
                    ready.append(one)
                    starts.append(one.started(now, grant.fence, self._store.folder))
            self._stage(*starts, *waits)
            self._store.append(tx, self.run_id, self._staged, epoch=self._epoch)
        told, self._staged = self._staged, []
        self._locks.settle((one.phase.id for one in ready), queued)
        self._locks.ring(freed)
        if told:
            self._observe(told, self.state)
        return ready
