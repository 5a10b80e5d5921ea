"""From an agent that ended in its worktree to work that is in the result, or kept on its branch.

What it does: takes each attempt through the same steps. What stands in the worktree becomes a commit (sealed), its
files are held against the claims and the declared outputs, it is merged (`merge_queue`), and its place is cleared up.
Every step can be done again: whoever takes a run up asks for the same and goes on where it stood.
What it does not know: how git does it (`integration`, `worktrees`), how processes are kept (`side_jobs`), and
scheduling. Nothing that it does ever removes work that is not in the result.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

from wavecrew.core.audit import told, unclaimed
from wavecrew.core.care import AuditPolicy
from wavecrew.core.file_system import is_full
from wavecrew.core.jobs import Desk, Prepared, command_steps
from wavecrew.core.merge_queue import MergeQueue
from wavecrew.core.proof import prove
from wavecrew.core.side_jobs import STOPPED
from wavecrew.core.way_home import Over, WayHome
from wavecrew.core.worktrees import Place
from wavecrew.errors import GitError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Outcome
from wavecrew.models.execution_state import PhaseState
from wavecrew.models.invocation import JobStepKind
from wavecrew.models.resources import Claim, parse_resource


class Homecoming:
    """The way home of all attempts of one coordinator. Its methods are called in the event loop; git works in threads.

    Raises, out of any of them, GitError when git or the disk refuses: then nothing was recorded, and the same can be
    asked for again.
    """

    def __init__(self, way: WayHome) -> None:
        self._way = way
        self._merges = MergeQueue(way)

    # -- the result

    async def take_charge(self) -> None:
        """Find the result of the run as the history tells, or make it. Raises ResultError when it is not there."""
        await self._merges.take_charge()

    def root(self, name: str) -> Path:
        """The workspace of the latest attempt of a phase, in its worktree."""
        return self._way.place(name).workspace

    def desk(self, phase: str, attempt: int, slot: int) -> Desk:
        """Where the next attempt of a phase will work: on top of everything that was merged so far."""
        place = self._way.has.worktrees.place(phase, attempt)
        with contextlib.suppress(GitError):  # it is said in a prompt, and nothing else rests on it
            earlier = self._way.has.worktrees.earlier_branch(phase, attempt, self._merges.tip)
            return Desk(place.workspace, slot, self._merges.tip, place.branch, earlier)
        return Desk(place.workspace, slot, self._merges.tip, place.branch)

    def moved_on(self, name: str, files: tuple[str, ...]) -> tuple[str, ...]:
        """Those of some files in the worktree of a phase that others have changed in the result since its attempt
        began, as git shows them. Blocks."""
        with contextlib.suppress(GitError):  # it is said to an agent, and the merge finds it in any case
            base, tip = self._way.phase(name).base, self._merges.tip
            return self._way.has.worktrees.moved_on(self._way.place(name), base, tip, files)
        return ()

    async def prove(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """From git alone: the outputs of completed phases that are not in the result, and the phases that are not."""
        with contextlib.suppress(GitError):  # nobody is at work any more, so half a worktree is nobody's
            await asyncio.to_thread(self._way.has.worktrees.tidy)
        proof = await asyncio.to_thread(prove, self._way.has.integration, self._way.state)
        return proof.missing, proof.unproven

    # -- the way out

    async def open(self, one: Prepared) -> None:
        """Make the worktree of an attempt that is about to start. Raises GitError."""
        self._way.look_after_repository()
        place = self._way.has.worktrees.place(one.phase.id, one.attempt)
        await asyncio.to_thread(self._way.has.worktrees.open, place, one.desk.base)

    # -- the way home

    async def bring(self, name: str) -> None:
        """Bring the work of a phase whose agent ended well into the result, and record how that ended. Raises Rest
        when the run is coming to a stop before that."""
        try:
            await self._seal(name)
            await self._merges.merge(name)
        except Over as over:
            await self.leave(over.ended)
        else:
            await self.clear_up(name)

    def standing(self) -> list[str]:
        """Phases in the result whose worktree is still there: somebody died before clearing up."""
        home = [name for name, found in self._way.state.phase_states.items() if found.commit]
        return [name for name in home if self._way.place(name).folder.exists()]

    async def clear_up(self, name: str) -> None:
        """The last step after the work of a phase came into the result."""
        await self._clear_up(name, self._way.phase(name), go=True)

    async def leave(self, ended: ev.AttemptEnded) -> None:
        """Record an end that is no success. What the attempt has left is on its branch before."""
        state, place = self._way.phase(ended.phase), self._way.place(ended.phase)
        await self._way.side.end(self._way.folder(ended.phase))
        try:
            if state.sealed:  # all is on the branch; what checks have left behind is nobody's work
                await asyncio.to_thread(self._way.has.integration.check_out, place, state.sealed)
            else:
                words = f"Unfinished: {ended.detail}"
                await asyncio.to_thread(self._way.has.integration.keep, place, state.base, words)
        except GitError:
            if place.folder.exists() and not state.sealed:  # nobody removes it
                ended = replace(ended, detail=f"{ended.detail} (what it left is only in {place.folder})")
        again = ended.retry_at is not None or ended.outcome is Outcome.STOPPED
        await self._clear_up(ended.phase, state, go=again)
        self._way.ledger.record(ended)

    async def _clear_up(self, name: str, state: PhaseState, *, go: bool) -> None:
        """Run the teardown, and with `go` remove the worktree if all that is in it is on its branch."""
        steps, place = command_steps(JobStepKind.TEARDOWN, self._way.has.teardown), self._way.place(name)
        with contextlib.suppress(OSError, GitError):  # tried again at the end of the run, if its work came home
            if steps and place.folder.exists():
                result = await self._way.beside(name, state, "teardown", steps)
                if result.cause == STOPPED and state.commit:
                    return  # whoever takes the run up sees the worktree, and does it then
            if go:
                await asyncio.to_thread(self._close, place, state.sealed)

    def _close(self, place: Place, sealed: str) -> None:
        """Remove a worktree, unless that would lose something. What checks have left behind is no loss."""
        if not self._way.has.worktrees.close(place) and sealed:
            self._way.has.integration.check_out(place, sealed)
            self._way.has.worktrees.close(place)

    # -- sealing

    async def _seal(self, name: str) -> None:
        """The files of the worktree as one commit, held against claims and outputs."""
        self._way.require_going_on(name)
        state, phase = self._way.phase(name), self._way.info(name)
        if state.sealed:
            return
        place = self._way.place(name)
        try:
            sealed = await asyncio.to_thread(
                self._way.has.integration.seal,
                place,
                state.base,
                self._way.message(phase),
                phase.outputs,
                trailers=self._way.trailers(name),
            )
        except GitError as error:
            if is_full(place.folder):
                raise
            raise Over(self._way.end(name, Cause.GIT, error.reason)) from None
        self._look_at(name, sealed.changed)
        if sealed.missing:
            raise Over(self._way.end(name, Cause.OUTPUTS, f"declared outputs are missing: {told(sealed.missing)}"))
        now = self._way.ledger.clock()
        self._way.ledger.record(
            ev.WorkSealed(at=now, phase=name, attempt=state.attempts, commit=sealed.commit, changed=sealed.changed)
        )

    def _look_at(self, name: str, changed: tuple[str, ...]) -> None:
        """The audit: in a worktree it is certain who has written what."""
        if self._way.has.audit is AuditPolicy.OFF:
            return
        given = (Claim(parse_resource(text)) for text in self._way.phase(name).claimed)
        claims = (*self._way.jobs.claims(self._way.info(name)), *given)
        paths = unclaimed(self._way.jobs.keys, changed, claims)
        if not paths:
            return
        if set(paths) - set(self._way.phase(name).undeclared):
            self._way.ledger.record(ev.UndeclaredWrites(at=self._way.ledger.clock(), suspects=(name,), paths=paths))
        if self._way.has.audit is AuditPolicy.FAIL:
            raise Over(self._way.end(name, Cause.AUDIT, f"files changed outside its claims: {told(paths)}"))
