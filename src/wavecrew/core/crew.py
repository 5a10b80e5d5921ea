"""The attempts that are open: started, taken over, judged at their end.

What it does: starts what the ledger has granted, in the shared folder at once and in a worktree as soon as that is
made, finds out what became of each attempt, and hands good work of a worktree on to the merge queue. What takes time
is an errand beside the loop of the engine; the loop hears of it by a message.
What it does not know: which phases start, who asked for what, and how the run goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from wavecrew.core.attempts import Fate, Result, fate_of, last_sign, read_result, write_job
from wavecrew.core.care import Care
from wavecrew.core.gate_keeping import GateKeeping
from wavecrew.core.homecoming import Homecoming
from wavecrew.core.jobs import JobMaker, Prepared
from wavecrew.core.ledger import Ledger
from wavecrew.core.lock_queue import LockQueue
from wavecrew.core.supervisor import Supervisor, sweep
from wavecrew.core.verdicts import Judge, cancelled, closure, reported
from wavecrew.core.watch import Watch
from wavecrew.core.way_home import Rest
from wavecrew.errors import GitError, StoreError
from wavecrew.models import events as ev
from wavecrew.models.agent_report import AgentReport, Judgement
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.sessions import INTERRUPTED

_SWEEP_AGAIN_SECONDS: Final = 1.0


class Crew:
    """The open attempts of one coordinator. `home` is there when they work in worktrees, else `care` looks after the
    shared folder. `post` wakes the engine: with the folder of an attempt that is to be judged, with an error that ends
    it, or with nothing. `stopping` tells whether agents are to end. `watch` hears what agents say."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        jobs: JobMaker,
        judge: Judge,
        locks: LockQueue,
        care: Care,
        home: Homecoming | None,
        supervisor: Supervisor,
        post: Callable[[Path | Exception | None], None],
        stopping: Callable[[], bool],
        watch: Watch | None = None,
        gate: GateKeeping | None = None,
    ) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._judge_of = judge
        self._locks = locks
        self._care = care
        self._home = home
        self._supervisor = supervisor
        self._post = post
        self._stopping = stopping
        self._watch = watch or Watch()
        self._gate = gate
        self._silent: dict[Path, str] = {}
        """Why attempts are being ended of whose agents nothing was heard."""
        self._phase_of: dict[Path, str] = {}
        self._errands: dict[Path, asyncio.Task[None]] = {}
        self._resting: set[str] = set()

    @property
    def at_work(self) -> Mapping[Path, str]:
        """The folder of each open attempt, and its phase."""
        return MappingProxyType(self._phase_of)

    @property
    def errands(self) -> AbstractSet[Path]:
        """The folders of attempts for which something is being done beside the loop."""
        return self._errands.keys()

    @property
    def is_busy(self) -> bool:
        """Whether something is being done beside the loop."""
        return bool(self._errands)

    @property
    def resting(self) -> AbstractSet[str]:
        """Phases whose work waits, sealed or in its worktree, for the next coordinator."""
        return self._resting

    @property
    def _state(self) -> ExecutionState:
        return self._ledger.state

    # -- starts

    def start(self, ready: Sequence[Prepared]) -> None:
        """Only now, with the intent on the disk, processes come to be."""
        for one in ready:
            self._phase_of[one.folder] = one.phase.id
        if self._home is not None:
            for one in ready:
                self._send(one.folder, self._open(self._home, one))
            return
        if ready:
            self._ledger.record(*self._care.look(self._claimed(), self._ledger.clock()))
        failed: list[Event] = []
        for one in ready:
            try:
                self._let_in(one.phase.id)
                write_job(one.folder, one.job)
                self._care.before_start(self._jobs.state_folder, self._jobs.run, one)
                self._supervisor.start(one.folder)
                self._listen_to(one.folder)
            except (OSError, ValueError) as error:  # ValueError: text that no encoding can hold
                ended = self._not_started(one.folder, error)
                with contextlib.suppress(OSError):
                    self._care.after_end(one.folder, ended)
                failed.append(ended)
        self._ledger.record(*failed)

    def _claimed(self) -> dict[str, tuple[str, ...]]:
        """What was claimed on the way for each phase at work."""
        return {name: self._state.phase_states[name].claimed for name in self._phase_of.values()}

    def _let_in(self, name: str) -> None:
        """Let the attempt of a phase ask at the write gate."""
        if self._gate is not None:
            found = self._state.phase_states[name]
            root = self._home.root(name) if self._home else self._jobs.workspace
            folder = self._jobs.folder(name, found.attempts)
            moved_on = partial(self._home.moved_on, name) if self._home else lambda files: ()
            self._gate.admit(found.agent, name, found.attempts, folder, root, moved_on)

    def _not_started(self, folder: Path, error: Exception) -> ev.AttemptEnded:
        with contextlib.suppress(OSError):
            fate_of(folder)  # removes its environment, and nothing can start it late
        name = self._phase_of.pop(folder)
        return self._end(name, Outcome.FAILED, Cause.START, f"it could not be started: {error}")

    def _listen_to(self, folder: Path) -> None:
        found = self._state.phase_states[name := self._phase_of[folder]]
        since = self._ledger.clock() if found.started_at is None else found.started_at
        earlier = AgentReport(session=found.resumed, session_usage=found.session_usage) if found.resumed else None
        self._watch.open(folder, name, self._jobs.agents.get(found.agent), since, earlier)

    # -- attempts in worktrees

    def _send(self, folder: Path, errand: Coroutine[Any, Any, None]) -> None:
        """Do something for an attempt beside the loop. What it raises ends the loop."""

        async def go() -> None:
            try:
                await errand
            except Rest:
                self._resting.add(self._phase_of[folder])
            except Exception as error:
                self._post(error)
            finally:
                self._errands.pop(folder, None)
                self._post(None)

        self._errands[folder] = asyncio.create_task(go())

    async def _open(self, home: Homecoming, one: Prepared) -> None:
        """Make the worktree of an attempt, and start its agent in it."""
        try:
            await home.open(one)
            if self._stopping() or self._state.forbidden or self._state.phase_states[one.phase.id].cancelled_by:
                self._phase_of.pop(one.folder)
                ended = self._end(one.phase.id, Outcome.STOPPED, Cause.STOPPED, "stopped before it was started")
                await home.leave(cancelled(ended, self._state.phase_states[one.phase.id].cancelled_by))
                return
            self._let_in(one.phase.id)
            write_job(one.folder, one.job)
            self._supervisor.start(one.folder)
            self._listen_to(one.folder)
        except (OSError, ValueError, GitError) as error:
            await home.leave(self._not_started(one.folder, error))

    async def _bring_home(self, home: Homecoming, folder: Path, ended: ev.AttemptEnded | None) -> None:
        """Take the work of an attempt that is over into the result, or, if it has `ended` badly, onto its branch."""
        name = self._phase_of[folder]
        if ended is None:
            await home.bring(name)
        else:
            await home.leave(ended)
        del self._phase_of[folder]

    # -- ends

    async def settle(self, folders: Sequence[Path]) -> None:
        """Take in the ends of attempts. What left no result is swept first: no lock is freed without proof of death."""
        if self._home is None:
            self._ledger.stage(*self._care.look(self._claimed(), self._ledger.clock()))
        ends: list[Event] = []
        for folder in folders:
            name = self._phase_of.get(folder)
            if name is None or folder in self._errands:
                continue
            event = await self._judge(folder, name)
            if event is None:
                continue
            if self._gate is not None:
                self._gate.dismiss(name, event.attempt)
            self._watch.drop(folder)
            self._silent.pop(folder, None)
            if closed := closure(self._state, event):
                self._ledger.stage(*closed)
            event = self._unless_broken(cancelled(event, self._state.phase_states[name].cancelled_by))
            if self._home is not None:
                good = event.outcome is Outcome.SUCCEEDED
                self._send(folder, self._bring_home(self._home, folder, None if good else event))
                continue
            with contextlib.suppress(OSError):  # a disk that refuses will say so again at the next start
                self._care.after_end(folder, event, may_go_on=self._may_go_on(event))
            del self._phase_of[folder]
            ends.append(event)
        self._ledger.stage(*ends)  # at once, because each call copies the state

    def _may_go_on(self, ended: ev.AttemptEnded) -> bool:
        """Whether the next attempt can go on in the session of one that was interrupted."""
        found = self._state.phase_states[ended.phase]
        interrupted = ended.outcome is Outcome.STOPPED and ended.cause in INTERRUPTED
        return interrupted and bool(found.session) and self._jobs.resumes(found.agent)

    def _unless_broken(self, ended: ev.AttemptEnded) -> ev.AttemptEnded:
        """The fence: a success under a lock that somebody has broken meanwhile is none."""
        broken = self._locks.broken(ended.phase, ended.attempt) if ended.outcome is Outcome.SUCCEEDED else ""
        return self._end(ended.phase, Outcome.FAILED, Cause.LOCK, broken) if broken else ended

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
            told, silent, in_place = (
                await self._told(folder, name, result),
                self._silent.get(folder, ""),
                not self._home,
            )
            now = self._ledger.clock()
            return self._judge_of.result(self._state, name, result, now, in_place=in_place, told=told, silent=silent)
        if not await self._swept(folder):
            return None
        await self._told(folder, name, None)
        return self._end(name, Outcome.LOST, Cause.LOST, "it died without leaving a result")

    async def _told(self, folder: Path, name: str, result: Result | None) -> Judgement | None:
        """Hear an agent out, and keep what it tells of its work. Gives how that and its exit code are judged."""
        for _ in self._watch.rest(folder):
            await asyncio.sleep(0)
        told = self._watch.told(folder, result)
        if told is None:
            return None
        if told.judgement is not None or result is None:
            self._ledger.stage(*reported(self._state, name, told.report, self._ledger.clock()))
        return told.judgement

    async def _swept(self, folder: Path) -> bool:
        if await sweep(folder):
            return True
        asyncio.get_running_loop().call_later(_SWEEP_AGAIN_SECONDS, self._post, folder)
        return False

    def _adopt(self, folder: Path) -> None:
        self._supervisor.adopt(folder)
        if self._stopping() or self._state.phase_states[self._phase_of[folder]].cancelled_by:
            self._supervisor.stop(folder)

    def _end(self, name: str, outcome: Outcome, cause: Cause, detail: str) -> ev.AttemptEnded:
        return self._judge_of.end(self._state, name, self._ledger.clock(), outcome, cause, detail)

    def stop(self, folder: Path) -> None:
        """End the agent of an attempt; asked for twice, without its grace time. Work that only waits for the next
        coordinator is looked at again: it may have been cancelled."""
        self._supervisor.stop(folder)
        name = self._phase_of.get(folder, "")
        if self._home is not None and name in self._resting and self._state.phase_states[name].cancelled_by:
            self._resting.discard(name)
            self._send(folder, self._bring_home(self._home, folder, None))

    def end_silent(self, folder: Path, why: str) -> None:
        """End an agent of which nothing is heard, and judge it by that."""
        self._silent[folder] = why
        self.stop(folder)

    def is_open(self, folder: Path) -> bool:
        """Whether the end of an attempt is still to come, as far as this coordinator goes."""
        return folder in self._phase_of and self._phase_of[folder] not in self._resting

    async def close(self) -> None:
        """Let go of everything: agents that are at work go on, and errands are taken up by the next coordinator."""
        for errand in self._errands.values():
            errand.cancel()
        await asyncio.gather(*self._errands.values(), return_exceptions=True)
        await self._supervisor.close()

    # -- taking over what an earlier coordinator has left

    def take_over(self) -> tuple[list[Event], list[Path]]:
        """Adopt the attempts that live, and clear up after those that came home when somebody died. Gives the news of
        that, and the attempts that are over."""
        adopted: list[Event] = []
        over: list[Path] = []
        for name in self._state.running:
            attempt = self._state.phase_states[name].attempts
            folder = self._jobs.folder(name, attempt)
            self._phase_of[folder] = name
            self._listen_to(folder)
            if fate_of(folder) is Fate.ALIVE:
                self._let_in(name)
                self._adopt(folder)
                adopted.append(ev.AttemptAdopted(at=self._ledger.clock(), phase=name, attempt=attempt))
            else:
                self._ledger.found_over(name, attempt, last_sign(folder))
                over.append(folder)
        self.clear_up()
        return adopted, over

    def clear_up(self) -> None:
        """Clear up after attempts that came home, where somebody died before that or it has failed."""
        home = self._home
        for name in home.standing() if home is not None else ():
            folder = self._jobs.folder(name, self._state.phase_states[name].attempts)
            if home is not None and folder not in self._errands:
                self._send(folder, home.clear_up(name))
