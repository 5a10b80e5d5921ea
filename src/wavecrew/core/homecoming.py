"""From an agent that ended well in its worktree to work that is in the result: the merge queue of a run.

What it does: takes each attempt through the same steps, one merge at a time. What stands in the worktree becomes a
commit (sealed), its files are held against the claims and the declared outputs, it is put together with the result
(proposed), checks run on the merged tree, and only then the result moves, in the transaction that records the end.
Every step can be done again: whoever takes a run up asks for the same and goes on where it stood.
What it does not know: how git does it (`integration`, `worktrees`), how processes are kept (`side_jobs`), and
scheduling. Nothing that it does ever removes work that is not in the result.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wavecrew.core.attempts import Result
from wavecrew.core.audit import told, unclaimed
from wavecrew.core.care import AuditPolicy
from wavecrew.core.file_system import is_full
from wavecrew.core.integration import Conflict, Integration, Proposal
from wavecrew.core.jobs import Desk, JobMaker, Prepared, check_steps, command_steps
from wavecrew.core.ledger import Ledger
from wavecrew.core.proof import prove
from wavecrew.core.side_jobs import STOPPED, SideJobs
from wavecrew.core.verdicts import Judge, cancelled, failing_step
from wavecrew.core.worktrees import BRANCHES, Place, Worktrees
from wavecrew.errors import GitError, ResultError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Outcome
from wavecrew.models.execution_state import ExecutionState, PhaseState
from wavecrew.models.invocation import JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo

if TYPE_CHECKING:
    from wavecrew.core.guard import Guard

_REPOSITORY: Final = ".git/"
_SUBJECT: Final = 72
_SHORT: Final = 12


class Rest(Exception):  # noqa: N818 -- no error: the work waits, sealed, for the next coordinator
    """The run is coming to a stop; what is on its way stays where it is."""


class _Over(Exception):  # noqa: N818 -- the way out of all steps with an end that is no success
    def __init__(self, ended: ev.AttemptEnded) -> None:
        self.ended = ended


@dataclass(frozen=True, slots=True)
class Isolation:
    """What a run needs for attempts that work alone. `gate_commands` and `teardown` are command lines."""

    worktrees: Worktrees
    integration: Integration
    guard: Guard
    audit: AuditPolicy = AuditPolicy.WARN
    gate_commands: tuple[str, ...] = ()
    teardown: tuple[str, ...] = ()


class Homecoming:
    """The merge queue of one coordinator. Its methods are called in the event loop; git works in threads.

    Raises, out of any of them, GitError when git or the disk refuses: then nothing was recorded, and the same can be
    asked for again.
    """

    def __init__(
        self,
        isolation: Isolation,
        *,
        ledger: Ledger,
        jobs: JobMaker,
        judge: Judge,
        side: SideJobs,
        stopping: Callable[[], bool],
    ) -> None:
        self._has = isolation
        self._ledger = ledger
        self._jobs = jobs
        self._judge = judge
        self._side = side
        self._stopping = stopping
        self._queue = asyncio.Lock()  # first come, first merged
        self._tip = ""

    # -- the result

    async def take_charge(self) -> None:
        """Find the result of the run as the history tells, or make it. Raises ResultError when it is not there."""
        self._tip = await self._read_tip()

    async def _read_tip(self) -> str:
        state, integration = self._state, self._has.integration
        tip = await asyncio.to_thread(integration.tip)
        if not tip and state.result == state.base:
            return await asyncio.to_thread(integration.begin, state.base)
        known = self._tip or state.result
        if not tip or not await self._is_in(known, tip):
            branch = integration.ref.removeprefix(BRANCHES)
            raise ResultError(
                f"{branch} does not hold what was merged into it (commit {known[:_SHORT]})",
                fix=f"put it back with: git branch -f {branch} {known[:_SHORT]}",
            )
        return tip

    def root(self, name: str) -> Path:
        """The workspace of the latest attempt of a phase, in its worktree."""
        return self._place(name).workspace

    def desk(self, phase: str, attempt: int, slot: int) -> Desk:
        """Where the next attempt of a phase will work: on top of everything that was merged so far."""
        place = self._has.worktrees.place(phase, attempt)
        return Desk(place.workspace, slot, self._tip, place.branch)

    async def prove(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """From git alone: the outputs of completed phases that are not in the result, and the phases that are not."""
        with contextlib.suppress(GitError):  # nobody is at work any more, so half a worktree is nobody's
            await asyncio.to_thread(self._has.worktrees.tidy)
        proof = await asyncio.to_thread(prove, self._has.integration, self._state)
        return proof.missing, proof.unproven

    # -- the way out

    async def open(self, one: Prepared) -> None:
        """Make the worktree of an attempt that is about to start. Raises GitError."""
        self._look_after_repository()
        place = self._has.worktrees.place(one.phase.id, one.attempt)
        await asyncio.to_thread(self._has.worktrees.open, place, one.desk.base)

    # -- the way home

    async def bring(self, name: str) -> None:
        """Bring the work of a phase whose agent ended well into the result, and record how that ended. Raises Rest
        when the run is coming to a stop before that."""
        try:
            await self._seal(name)
            async with self._queue:
                await self._merge(name)
        except _Over as over:
            await self.leave(over.ended)
        else:
            await self.clear_up(name)

    def standing(self) -> list[str]:
        """Phases in the result whose worktree is still there: somebody died before clearing up."""
        home = [name for name, found in self._state.phase_states.items() if found.commit]
        return [name for name in home if self._place(name).folder.exists()]

    async def clear_up(self, name: str) -> None:
        """The last step after the work of a phase came into the result."""
        await self._clear_up(name, self._phase(name), go=True)

    async def leave(self, ended: ev.AttemptEnded) -> None:
        """Record an end that is no success. What the attempt has left is on its branch before."""
        state, place = self._phase(ended.phase), self._place(ended.phase)
        await self._side.end(self._folder(ended.phase))
        with contextlib.suppress(GitError):  # then it stays in its folder, which nobody removes
            if state.sealed:  # all is on the branch; what checks have left behind is nobody's work
                await asyncio.to_thread(self._has.integration.check_out, place, state.sealed)
            else:
                words = f"Unfinished: {ended.detail}"
                await asyncio.to_thread(self._has.integration.keep, place, state.base, words)
        again = ended.retry_at is not None or ended.outcome is Outcome.STOPPED
        await self._clear_up(ended.phase, state, go=again)
        self._ledger.record(ended)

    async def _clear_up(self, name: str, state: PhaseState, *, go: bool) -> None:
        """Run the teardown, and with `go` remove the worktree if all that is in it is on its branch."""
        steps, place = command_steps(JobStepKind.TEARDOWN, self._has.teardown), self._place(name)
        with contextlib.suppress(OSError, GitError):  # tried again at the end of the run, if its work came home
            if steps and place.folder.exists():
                result = await self._beside(name, state, "teardown", steps)
                if result.cause == STOPPED and state.commit:
                    return  # whoever takes the run up sees the worktree, and does it then
            if go:
                await asyncio.to_thread(self._close, place, state.sealed)

    def _close(self, place: Place, sealed: str) -> None:
        """Remove a worktree, unless that would lose something. What checks have left behind is no loss."""
        if not self._has.worktrees.close(place) and sealed:
            self._has.integration.check_out(place, sealed)
            self._has.worktrees.close(place)

    # -- sealing

    async def _seal(self, name: str) -> None:
        """The files of the worktree as one commit, held against claims and outputs."""
        self._require_going_on(name)
        state, phase = self._phase(name), self._info(name)
        if state.sealed:
            return
        place = self._place(name)
        try:
            sealed = await asyncio.to_thread(
                self._has.integration.seal,
                place,
                state.base,
                self._message(phase),
                phase.outputs,
                trailers=self._trailers(name),
            )
        except GitError as error:
            if is_full(place.folder):
                raise
            raise _Over(self._end(name, Cause.GIT, error.reason)) from None
        self._look_at(name, sealed.changed)
        if sealed.missing:
            raise _Over(self._end(name, Cause.OUTPUTS, f"declared outputs are missing: {told(sealed.missing)}"))
        now = self._ledger.clock()
        self._ledger.record(
            ev.WorkSealed(at=now, phase=name, attempt=state.attempts, commit=sealed.commit, changed=sealed.changed)
        )

    def _look_at(self, name: str, changed: tuple[str, ...]) -> None:
        """The audit: in a worktree it is certain who has written what."""
        if self._has.audit is AuditPolicy.OFF:
            return
        claims = self._jobs.claims(self._info(name))
        paths = unclaimed(self._jobs.keys, changed, claims)
        if not paths:
            return
        if set(paths) - set(self._phase(name).undeclared):
            self._ledger.record(ev.UndeclaredWrites(at=self._ledger.clock(), suspects=(name,), paths=paths))
        if self._has.audit is AuditPolicy.FAIL:
            raise _Over(self._end(name, Cause.AUDIT, f"files changed outside its claims: {told(paths)}"))

    # -- merging

    async def _merge(self, name: str) -> None:
        moved = True
        while moved:
            self._require_going_on(name)
            state, phase = self._phase(name), self._info(name)
            self._tip = await self._read_tip()
            if state.merge and await self._is_in(state.merge.commit, self._tip):
                self._ledger.record(self._success(name, state.merge.commit))  # we were killed right after the step
                return
            proposal = await self._propose(name, state, phase, self._tip)
            await self._check(name, state, phase, proposal)
            self._require_going_on(name)
            moved = not await self._advance(name, self._tip, proposal.commit)

    async def _advance(self, name: str, tip: str, commit: str) -> bool:
        """Move the result, and record the end in the same transaction. False when somebody else has moved it."""
        integration = self._has.integration
        try:
            self._ledger.record(self._success(name, commit), step=lambda: integration.advance(tip, commit))
        except GitError:
            if await asyncio.to_thread(integration.tip) == tip:
                raise
            return False
        self._tip = commit
        return True

    async def _is_in(self, commit: str, within: str) -> bool:
        return await asyncio.to_thread(self._has.integration.contains, commit, within)

    async def _propose(self, name: str, state: PhaseState, phase: PhaseInfo, tip: str) -> Proposal:
        """The work and the result, put together. The one that was recorded before a crash is taken again."""
        integration = self._has.integration
        known = state.merge.commit if state.merge and state.merge.onto == tip else ""
        proposal = await asyncio.to_thread(
            integration.propose, tip, state.sealed, self._message(phase), trailers=self._trailers(name), known=known
        )
        if isinstance(proposal, Conflict):
            others = self._who_changed(name, proposal.paths)
            raise self._refused(
                name, tip, f"its work and that of {others} both change {told(proposal.paths)}", proposal
            )
        lacking = await asyncio.to_thread(integration.missing_outputs, proposal.commit, phase.outputs)
        if lacking:
            raise self._refused(name, tip, f"in the merged tree its outputs are missing: {told(lacking)}")
        if state.merge is None or (state.merge.onto, state.merge.commit) != (tip, proposal.commit):
            now = self._ledger.clock()
            self._ledger.record(
                ev.MergeProposed(at=now, phase=name, attempt=state.attempts, onto=tip, commit=proposal.commit)
            )
        return proposal

    def _refused(self, name: str, onto: str, detail: str, conflict: Conflict | None = None) -> _Over:
        """Work that does not go together with that of others: it stays on its branch."""
        attempt, now = self._phase(name).attempts, self._ledger.clock()
        paths = conflict.paths if conflict else ()
        self._ledger.record(ev.MergeRefused(at=now, phase=name, attempt=attempt, onto=onto, detail=detail, paths=paths))
        return _Over(self._end(name, Cause.MERGE, detail))

    def _who_changed(self, name: str, paths: Iterable[str]) -> str:
        """The phases that came home since this one started and have changed one of these files."""
        wanted = set(paths)
        others = [other for other in self._met(name) if wanted & set(self._state.phase_states[other].changed)]
        return f"phase {', '.join(others)}" if others else "others"

    def _met(self, name: str) -> list[str]:
        """Phases whose work came into the result while this one was at work."""
        since = self._phase(name).started_at or 0.0
        states = self._state.phase_states.items()
        return [other for other, found in states if found.commit and (found.ended_at or 0.0) >= since and other != name]

    # -- checks of the merged tree

    async def _check(self, name: str, state: PhaseState, phase: PhaseInfo, proposal: Proposal) -> None:
        """Run the checks that could be true of each side alone and not of both together."""
        gate = command_steps(JobStepKind.CHECK, self._has.gate_commands)
        alone = (*gate, *check_steps(phase))
        met = [step for other in self._met(name) for step in check_steps(self._info(other))]
        steps = (*alone, *met) if proposal.tree_is_new else gate
        failed = await self._fails(name, state, proposal.commit, steps)
        if failed is None:
            return
        if not proposal.tree_is_new or await self._fails(name, state, state.sealed, alone) is not None:
            raise _Over(self._end(name, Cause.GATE, f"the merged tree fails: {failing_step(failed)}"))
        others = ", ".join(self._met(name)) or "others"
        raise self._refused(
            name, self._tip, f"green alone, red together with {others}: {failing_step(failed)} in the merged tree"
        )

    async def _fails(self, name: str, state: PhaseState, commit: str, steps: tuple[JobStep, ...]) -> Result | None:
        """How the checks fail in the tree of a commit; None when they do not."""
        if not steps:
            return None
        folder = self._folder(name) / f"gate-{commit[:_SHORT]}"
        await self._side.end(folder.parent, but=folder)  # two at once would see each other's files
        if not self._side.is_at_work(folder):
            await asyncio.to_thread(self._has.integration.check_out, self._place(name), commit)
        result = await self._beside(name, state, folder.name, steps)
        if result.cause == STOPPED:
            self._require_going_on(name)
            raise Rest
        return None if result.code == 0 and not result.cause else result

    async def _beside(self, name: str, state: PhaseState, what: str, steps: tuple[JobStep, ...]) -> Result:
        folder = self._folder(name) / what
        desk = Desk(self._place(name).workspace, state.slot, state.base, state.branch)
        return await self._side.run(folder, self._jobs.beside(name, state.attempts, desk, folder, steps))

    # -- small things

    def _require_going_on(self, name: str) -> None:
        """Between two steps: whether there is to be a next. Raises Rest, or the end of a phase that was cancelled."""
        by = self._phase(name).cancelled_by
        if by:
            raise _Over(self._end(name, Cause.CANCELLED, f"cancelled by {by}"))
        if self._stopping():
            raise Rest
        self._look_after_repository()
        if any(what.startswith(_REPOSITORY) for what in self._state.forbidden):
            raise Rest  # an edited plan is no danger for work that is done

    def _look_after_repository(self) -> None:
        """Nothing of git is called again before a person has looked at what may start programs in it."""
        what = self._has.guard.look()
        if what:
            self._ledger.record(
                ev.ForbiddenChange(at=self._ledger.clock(), what=what, suspects=tuple(self._state.running))
            )

    def _end(self, name: str, cause: Cause, detail: str) -> ev.AttemptEnded:
        ended = self._judge.end(self._state, name, self._ledger.clock(), Outcome.FAILED, cause, detail)
        return cancelled(ended, self._phase(name).cancelled_by)

    def _success(self, name: str, commit: str) -> ev.AttemptEnded:
        return ev.AttemptEnded(
            at=self._ledger.clock(),
            phase=name,
            attempt=self._phase(name).attempts,
            outcome=Outcome.SUCCEEDED,
            exit_code=0,
            outputs=self._info(name).outputs,
            commit=commit,
        )

    @property
    def _state(self) -> ExecutionState:
        return self._ledger.state

    def _phase(self, name: str) -> PhaseState:
        return self._state.phase_states[name]

    def _info(self, name: str) -> PhaseInfo:
        return self._state.graph.nodes[name]

    def _place(self, name: str) -> Place:
        return self._has.worktrees.place(name, self._phase(name).attempts)

    def _folder(self, name: str) -> Path:
        return self._jobs.folder(name, self._phase(name).attempts)

    def _message(self, phase: PhaseInfo) -> str:
        return " ".join(phase.name.split())[:_SUBJECT]

    def _trailers(self, name: str) -> dict[str, str]:
        attempt = str(self._phase(name).attempts)
        return {"Wavecrew-Run": self._state.run, "Wavecrew-Phase": name, "Wavecrew-Attempt": attempt}
