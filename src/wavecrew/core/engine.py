"""The loop of a run, and the only writer of its history.

What it does: performs what `decide` returns; when there is nothing to do, waits for one message (the end of an
attempt, a wish to stop, a moment in time), records it, and goes on. The intent to start is on the disk before a
process exists; the end of an attempt, its status and its freed locks are one commit. Taking up a run that an earlier
coordinator left is the same loop after `recover` has settled what happened meanwhile.
What it does not know: the rules of scheduling, how processes are kept, documents, and who watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.attempts import Fate, Result, attempt_folder, fate_of, read_result, write_job
from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.jobs import JobMaker, Prepared
from wavecrew.core.lock_table import Obstacle
from wavecrew.core.outputs import missing_outputs
from wavecrew.core.resource_manager import Grant, LockRegistry
from wavecrew.core.scheduler import Decision, Policy, decide
from wavecrew.core.store import Store
from wavecrew.core.supervisor import Supervisor, sweep
from wavecrew.errors import LockLostError, StoreError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve, replay

MAX_LOSSES: Final = 3
"""How often a phase may die without a result before it is given up."""
_TICKET_POLL_SECONDS: Final = 0.1
_SWEEP_AGAIN_SECONDS: Final = 1.0

_CAUSES: Final = {cause.value: cause for cause in Cause}

Observer = Callable[[Sequence[Event], ExecutionState], None]


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often and when a phase is tried again, and how long it may wait for a lock. Times are in seconds."""

    retries: int = 0
    delay: float = 0.0
    lock_timeout: float = 300.0
    lock_patience: int = 3
    """How many times in a row the lock timeout may pass before the phase is given up."""


@dataclass(slots=True)
class _Ticket:
    """A phase that stands in the queue of the lock table."""

    number: int
    asked: float
    grant: Grant | None = None
    timeouts: int = 0


class Engine:
    """One coordinator of one run. Make it, `await run()`, and read the final state; `stop` may be called meanwhile.

    `observe` is told what was recorded, after it was. `opening` gives the events that a run which is taken up shall
    go on with, from the state that it is found in.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: LockRegistry,
        jobs: JobMaker,
        policy: Policy,
        retry: RetryRules,
        observe: Observer = lambda events, state: None,
        opening: Callable[[ExecutionState], Sequence[Event]] = lambda state: (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.run_id = jobs.run
        self.state = ExecutionState()
        self._store = store
        self._registry = registry
        self._jobs = jobs
        self._policy = policy
        self._retry = retry
        self._observe = observe
        self._opening = opening
        self._clock = clock
        self._epoch: int | None = None
        self._supervisor = Supervisor(lambda folder: self._inbox.put_nowait(folder))
        self._inbox: asyncio.Queue[Path | None] = asyncio.Queue()
        self._phase_of: dict[Path, str] = {}
        self._tickets: dict[str, _Ticket] = {}
        self._stop_reason = ""

    def stop(self, reason: str) -> None:
        """End all agents and leave; called a second time, do not wait for their grace time. Safe in the event loop."""
        self._stop_reason = self._stop_reason or reason
        for folder in self._phase_of:
            self._supervisor.stop(folder)
        self._inbox.put_nowait(None)

    async def run(self) -> ExecutionState:
        """Work until nothing can start any more, or until `stop`. Gives the final state.

        Raises RunBusyError when another coordinator is at work on this run, or takes it over meanwhile.
        """
        with CoordinatorLock(self._store.folder / "runs" / self.run_id):
            self._epoch = self._store.take_charge(self.run_id)
            self.state = replay(event for _, event in self._store.events(self.run_id))
            started = ev.CoordinatorStarted(
                at=self._clock(),
                epoch=self._epoch,
                pid=os.getpid(),
                host=socket.gethostname(),
                agents=self._policy.agent_limit,
            )
            self._record(started)
            try:
                await self._recover()
                self._record(*self._opening(self.state))
                await self._loop()
            finally:
                await self._supervisor.close()
                self._leave_queue(*self._tickets)
            return self.state

    # -- the loop

    async def _loop(self) -> None:
        while True:
            decision = Decision() if self._stop_reason else self._decide()
            if self._perform(decision):
                continue
            if self._stop_reason and not self.state.running:
                self._record(ev.RunStopped(at=self._clock(), reason=self._stop_reason))
                return
            if decision.finished:  # whatever still stands in the queue of the lock table will not be started
                self._record(ev.RunFinished(at=self._clock(), missing=self._missing_at_the_end()))
                return
            await self._next_message(decision.wake_at)

    def _decide(self) -> Decision:
        granted = {name for name, ticket in self._tickets.items() if ticket.grant is not None}
        return decide(
            self.state, self._policy, self._clock(), elsewhere=self._tickets.keys() - granted, granted=granted
        )

    async def _next_message(self, wake_at: float | None) -> None:
        """Wait for one message, then take all that are there: their ends become one commit."""
        pauses = [max(0.0, wake_at - self._clock())] if wake_at is not None else []
        if any(ticket.grant is None for ticket in self._tickets.values()):
            pauses.append(_TICKET_POLL_SECONDS)
        ended: list[Path] = []
        try:
            message = await asyncio.wait_for(self._inbox.get(), min(pauses, default=None))
            while True:
                if message is not None:
                    ended.append(message)
                message = self._inbox.get_nowait()
        except (TimeoutError, asyncio.QueueEmpty):
            pass
        if ended:
            await self._settle(ended)
        self._look_at_tickets()

    def _perform(self, decision: Decision) -> bool:
        """Do what was decided. Tells whether anything changed."""
        awaited = [self._awaited(wish.phase, wish.resource, wish.holder) for wish in decision.waiting]
        news: list[Event] = [event for event in awaited if event is not None]
        prepared: list[Prepared] = []
        for name in decision.start:
            try:
                prepared.append(self._prepare(name))
            except Exception as error:
                self._leave_queue(name)
                news.append(self._refused(name, Cause.START, f"it could not be prepared: {error}"))
        if not news and not prepared:
            return False
        ready: list[Prepared] = []
        queued: dict[str, _Ticket] = {}
        with self._store.transaction() as tx:
            for one in prepared:
                found = self._take_locks(tx, one)
                if isinstance(found, _Ticket):
                    queued[one.phase.id] = found
                else:
                    ready.append(one)
                    news.append(found)
            state = self._append(tx, news)
        for one in ready:
            self._tickets.pop(one.phase.id, None)
        self._tickets.update(queued)  # only now: a number that was rolled back may be somebody else's next
        self._publish(news, state)
        self._start(ready)
        return True

    def _prepare(self, name: str) -> Prepared:
        state = self.state.phase_states[name]
        return self._jobs.prepare(self.state.graph, self.state.graph.nodes[name], state.attempts + 1, state.detail)

    def _take_locks(self, tx: sqlite3.Connection, one: Prepared) -> Event | _Ticket:
        """Inside the transaction: the start of an attempt if its locks were granted, else its place in the queue."""
        name = one.phase.id
        ticket = self._tickets.get(name)
        grant = ticket.grant if ticket else None
        if grant is None and one.claims:
            owner = self._registry.owner(f"phase {name}", attempt=str(one.folder), name=self._owner(name, one.attempt))
            grant, number = self._registry.request(tx, owner, one.claims)
            if grant is None:
                return _Ticket(number, self._clock())
        return ev.AttemptStarted(
            at=self._clock(),
            phase=name,
            attempt=one.attempt,
            agent=one.agent,
            fence=grant.fence if grant else 0,
            log=str((one.folder / "log").relative_to(self._store.folder)),
        )

    def _start(self, ready: Sequence[Prepared]) -> None:
        """Only now, with the intent on the disk, processes come to be."""
        failed: list[Event] = []
        for one in ready:
            self._phase_of[one.folder] = one.phase.id
            try:
                write_job(one.folder, one.job)
                self._supervisor.start(one.folder)
            except (OSError, ValueError) as error:  # ValueError: text that no encoding can hold
                del self._phase_of[one.folder]
                with contextlib.suppress(OSError):
                    fate_of(one.folder)  # removes its environment, and nothing can start it late
                failed.append(
                    self._ended(one.phase.id, Outcome.FAILED, Cause.START, f"it could not be started: {error}")
                )
        if failed:
            self._record(*failed)

    # -- ends

    async def _settle(self, folders: Sequence[Path]) -> None:
        """Record the ends of attempts. What left no result is swept first: no lock is freed without proof of death."""
        news: list[Event] = []
        for folder in folders:
            name = self._phase_of.get(folder)
            if name is None:
                continue
            event = await self._judge(folder, name)
            if event is None:
                continue
            del self._phase_of[folder]
            news.append(event)
        if news:
            self._record(*news)

    async def _judge(self, folder: Path, name: str) -> Event | None:
        """How an attempt ended; None while something of it is still alive, which will be judged again."""
        fate = fate_of(folder)
        if fate is Fate.ALIVE:  # its shim was only slow to take charge
            self._adopt(folder)
            return None
        if fate is Fate.NEVER_STARTED:
            return self._ended(name, Outcome.LOST, Cause.START, "its process never started")
        try:
            result = read_result(folder)
        except StoreError as error:
            return self._ended(name, Outcome.FAILED, Cause.LOST, error.reason) if await self._swept(folder) else None
        if result is None:
            if not await self._swept(folder):
                return None
            return self._ended(name, Outcome.LOST, Cause.LOST, "it died without leaving a result")
        if result.cause == "stopped":
            return self._ended(name, Outcome.STOPPED, Cause.STOPPED, "stopped", result.code)
        if result.code == 0 and not result.cause:
            return self._judge_outputs(name)
        return self._ended(name, Outcome.FAILED, _CAUSES.get(result.cause, Cause.EXIT), _told(result), result.code)

    async def _swept(self, folder: Path) -> bool:
        if await sweep(folder):
            return True
        asyncio.get_running_loop().call_later(_SWEEP_AGAIN_SECONDS, self._inbox.put_nowait, folder)
        return False

    def _judge_outputs(self, name: str) -> Event:
        outputs = self.state.graph.nodes[name].outputs
        missing = missing_outputs(self._jobs.workspace, outputs)
        if missing:
            shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            return self._ended(name, Outcome.FAILED, Cause.OUTPUTS, f"declared outputs are missing: {shown}", 0)
        state = self.state.phase_states[name]
        return ev.AttemptEnded(
            at=self._clock(),
            phase=name,
            attempt=state.attempts,
            outcome=Outcome.SUCCEEDED,
            exit_code=0,
            outputs=outputs,
        )

    def _missing_at_the_end(self) -> tuple[str, ...]:
        """The proof of the whole run: what completed phases had made must still be there, whoever came after them."""
        made = {path: None for found in self.state.phase_states.values() for path in found.outputs}
        return missing_outputs(self._jobs.workspace, made)

    def _ended(self, name: str, outcome: Outcome, cause: Cause, detail: str, code: int | None = None) -> Event:
        state = self.state.phase_states[name]
        allowed = self.state.graph.nodes[name].retries
        retries = self._retry.retries if allowed is None else allowed
        retry_at = None
        if (outcome is Outcome.LOST and state.losses + 1 < MAX_LOSSES) or (
            outcome is Outcome.FAILED and state.failures < retries
        ):
            retry_at = self._clock() + (self._retry.delay if outcome is Outcome.FAILED else 0.0)
        return ev.AttemptEnded(
            at=self._clock(),
            phase=name,
            attempt=state.attempts,
            outcome=outcome,
            cause=cause,
            detail=detail,
            exit_code=code,
            retry_at=retry_at,
        )

    # -- locks that somebody outside this run holds

    def _look_at_tickets(self) -> None:
        for name, ticket in list(self._tickets.items()):
            if ticket.grant is not None:
                continue
            try:
                ticket.grant = self._registry.granted(ticket.number)
            except LockLostError:
                del self._tickets[name]  # somebody removed it from the queue: ask again
                continue
            if ticket.grant is None:
                self._still_waiting(name, ticket)

    def _still_waiting(self, name: str, ticket: _Ticket) -> None:
        in_the_way = self._registry.in_the_way(ticket.number)
        if not in_the_way or self._registry.release_dead(in_the_way):
            return
        first: Obstacle = in_the_way[0]
        event = self._awaited(name, str(first.wanted), first.label)
        if self._clock() >= ticket.asked + self._retry.lock_timeout * (ticket.timeouts + 1):
            ticket.timeouts += 1
            if ticket.timeouts >= self._retry.lock_patience:
                self._give_up_waiting(name, ticket, first)
                return
        if event is not None:
            self._record(event)

    def _give_up_waiting(self, name: str, ticket: _Ticket, first: Obstacle) -> None:
        self._leave_queue(name)
        waited = round(self._clock() - ticket.asked)
        detail = f"{first.wanted} was held by {first.label} for longer than it could wait ({waited} s)"
        self._record(self._refused(name, Cause.LOCK, detail))

    def _awaited(self, name: str, resource: str, holder: str) -> Event | None:
        """The news that a phase waits, unless it is no news."""
        known = self.state.phase_states[name].lock_wait
        if known is not None and (known.resource, known.holder) == (resource, holder):
            return None
        return ev.LockAwaited(at=self._clock(), phase=name, resource=resource, holder=holder)

    def _refused(self, name: str, cause: Cause, detail: str) -> Event:
        return ev.PhaseRefused(at=self._clock(), phase=name, cause=cause, detail=detail)

    def _leave_queue(self, *names: str) -> None:
        for name in names:
            ticket = self._tickets.pop(name, None)
            if ticket is not None:
                self._registry.release(ticket.number)

    def _owner(self, name: str, attempt: int) -> str:
        return f"{self.run_id}/{name}/{attempt}"

    # -- taking up a run that was left

    async def _recover(self) -> None:
        """Settle what happened while nobody was in charge: adopt what lives, take results, sweep what was lost."""
        self._forget_abandoned_requests()
        over: list[Path] = []
        for name in self.state.running:
            folder = attempt_folder(self._store.folder, self.run_id, name, self.state.phase_states[name].attempts)
            self._phase_of[folder] = name
            if fate_of(folder) is Fate.ALIVE:
                self._adopt(folder)
            else:
                over.append(folder)
        if over:
            await self._settle(over)

    def _adopt(self, folder: Path) -> None:
        self._supervisor.adopt(folder)
        if self._stop_reason:
            self._supervisor.stop(folder)

    def _forget_abandoned_requests(self) -> None:
        """An earlier coordinator of this run may have left places in the queue behind; attempts keep theirs."""
        kept = {self._owner(name, self.state.phase_states[name].attempts) for name in self.state.running}
        with self._store.transaction() as tx:
            owners = [row[0] for row in tx.execute("SELECT DISTINCT owner FROM request")]
            abandoned = [name for name in owners if name.startswith(f"{self.run_id}/") and name not in kept]
            freed = [ticket for name in abandoned for ticket in self._registry.release_owner(tx, name)]
        self._registry.ring(freed)

    # -- recording

    def _record(self, *events: Event) -> None:
        """One commit: the facts, and the locks that they free."""
        if not events:
            return
        with self._store.transaction() as tx:
            state = self._append(tx, events)
            freed = [
                ticket
                for event in events
                if isinstance(event, ev.AttemptEnded)
                for ticket in self._registry.release_owner(tx, self._owner(event.phase, event.attempt))
            ]
        self._publish(events, state)
        self._registry.ring(freed)

    def _append(self, tx: sqlite3.Connection, events: Sequence[Event]) -> ExecutionState:
        """Fold first, so that an event that does not fit never reaches the disk."""
        state = evolve(self.state, *events)
        if events:
            self._store.append(tx, self.run_id, events, epoch=self._epoch)
        return state

    def _publish(self, events: Sequence[Event], state: ExecutionState) -> None:
        self.state = state
        if events:
            self._observe(events, state)


def _told(result: Result) -> str:
    """Why an attempt failed, in one line for people."""
    if result.cause == "timeout":
        return f"its time limit passed during: {result.title}"
    if result.cause == "start":
        return result.detail
    code = f"signal {-result.code}" if result.code < 0 else f"exit code {result.code}"
    return f"{code} from: {result.title}"
