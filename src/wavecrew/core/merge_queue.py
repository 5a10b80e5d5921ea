"""The merge queue of a run: sealed work and the result, one at a time, or all that waits at once.

What it does: puts the work of a phase together with the result (proposed), has the checks run on the merged tree, finds
out whose fault it is if they fail, and moves the result in the transaction that records the end. What has come in while
a tree was checked is put together and checked as one tree; if that fails, each goes alone, so that blame is never
shared.
What it does not know: how work came to be sealed and what is cleared up after it (`homecoming`), and how git does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from wavecrew.core.attempts import Result
from wavecrew.core.audit import told
from wavecrew.core.integration import Conflict, Proposal
from wavecrew.core.jobs import check_steps, command_steps
from wavecrew.core.side_jobs import STOPPED
from wavecrew.core.verdicts import failing_step
from wavecrew.core.way_home import Over, Rest, WayHome
from wavecrew.core.worktrees import BRANCHES
from wavecrew.errors import GitError, ResultError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause
from wavecrew.models.execution_state import PhaseState
from wavecrew.models.invocation import JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_state import Merge

_SHORT: Final = 12


class MergeQueue:
    """The result of one run in the hands of its coordinator, who alone moves it."""

    def __init__(self, way: WayHome) -> None:
        self._way = way
        self._queue = asyncio.Lock()  # first come, first merged
        self._waiting: list[str] = []
        self._home: set[str] = set()  # who waits, and was merged together with another one
        self._alone: set[str] = set()  # who was in a tree that failed, and must be judged by itself
        self.tip = ""
        """The commit that holds all work that was merged so far."""

    async def take_charge(self) -> None:
        """Find the result of the run as the history tells, or make it. Raises ResultError when it is not there."""
        self.tip = await self._read_tip()

    async def merge(self, name: str) -> None:
        """Bring the sealed work of a phase into the result, as soon as those before it are through, and record that.

        Raises Over for an end that is no success, Rest when the run is coming to a stop, and GitError.
        """
        self._waiting.append(name)
        try:
            async with self._queue:
                if name not in self._home and not await self._merge_together(name):
                    await self._merge(name)
        finally:
            self._waiting.remove(name)
            self._home.discard(name)
            self._alone.discard(name)

    async def _read_tip(self) -> str:
        state, integration = self._way.state, self._way.has.integration
        tip = await asyncio.to_thread(integration.tip)
        if not tip and state.result == state.base:
            return await asyncio.to_thread(integration.begin, state.base)
        known = self.tip or state.result
        if not tip or not await self._is_in(known, tip):
            branch = integration.ref.removeprefix(BRANCHES)
            raise ResultError(
                f"{branch} does not hold what was merged into it (commit {known[:_SHORT]})",
                fix=f"put it back with: git branch -f {branch} {known[:_SHORT]}",
            )
        return tip

    async def _merge(self, name: str) -> None:
        moved = True
        while moved:
            self._way.require_going_on(name)
            state, phase = self._way.phase(name), self._way.info(name)
            self.tip = await self._read_tip()
            if state.merge and await self._is_in(state.merge.commit, self.tip):
                self._way.ledger.record(
                    self._way.success(name, state.merge.commit)
                )  # we were killed right after the step
                return
            proposal = await self._propose(name, state, phase, self.tip)
            await self._check(name, state, phase, proposal)
            self._way.require_going_on(name)
            moved = not await self._advance({name: proposal.commit}, self.tip)

    async def _advance(self, commits: Mapping[str, str], tip: str) -> bool:
        """Move the result to the last of these commits, which holds the others, and record the end of each phase in
        the same transaction. False when somebody else has moved it."""
        integration, commit = self._way.has.integration, [*commits.values()][-1]
        ends = [self._way.success(name, its) for name, its in commits.items()]
        try:
            self._way.ledger.record(*ends, step=lambda: integration.advance(tip, commit))
        except GitError:
            if await asyncio.to_thread(integration.tip) == tip:
                raise
            return False
        self.tip = commit
        return True

    async def _propose(self, name: str, state: PhaseState, phase: PhaseInfo, tip: str) -> Proposal:
        """The work and the result, put together. The one that was recorded before a crash is taken again."""
        proposal = await self._join(name, tip)
        if isinstance(proposal, Conflict):
            others = self._who_changed(name, proposal.paths)
            raise self._refused(
                name, tip, f"its work and that of {others} both change {told(proposal.paths)}", proposal
            )
        lacking = await self._lacking(phase, proposal)
        if lacking:
            raise self._refused(name, tip, f"in the merged tree its outputs are missing: {told(lacking)}")
        if state.merge != Merge(tip, proposal.commit):
            self._way.ledger.record(self._proposed(name, tip, proposal.commit))
        return proposal

    async def _join(self, name: str, tip: str) -> Proposal | Conflict:
        """The work of a phase on top of a commit. Nothing is recorded."""
        state = self._way.phase(name)
        return await asyncio.to_thread(
            self._way.has.integration.propose,
            tip,
            state.sealed,
            self._way.message(self._way.info(name)),
            trailers=self._way.trailers(name),
            known=state.merge.commit if state.merge and state.merge.onto == tip else "",
        )

    async def _lacking(self, phase: PhaseInfo, proposal: Proposal) -> tuple[str, ...]:
        return await asyncio.to_thread(self._way.has.integration.missing_outputs, proposal.commit, phase.outputs)

    def _proposed(self, name: str, onto: str, commit: str, beside: str = "") -> ev.MergeProposed:
        attempt, now = self._way.phase(name).attempts, self._way.ledger.clock()
        return ev.MergeProposed(at=now, phase=name, attempt=attempt, onto=onto, commit=commit, beside=beside)

    def _refused(self, name: str, onto: str, detail: str, conflict: Conflict | None = None) -> Over:
        """Work that does not go together with that of others: it stays on its branch."""
        attempt, now = self._way.phase(name).attempts, self._way.ledger.clock()
        paths = conflict.paths if conflict else ()
        self._way.ledger.record(
            ev.MergeRefused(at=now, phase=name, attempt=attempt, onto=onto, detail=detail, paths=paths)
        )
        return Over(self._way.end(name, Cause.MERGE, detail))

    def _who_changed(self, name: str, paths: Iterable[str]) -> str:
        """The phases that came home since this one started and have changed one of these files."""
        wanted = set(paths)
        others = [other for other in self._met(name) if wanted & set(self._way.state.phase_states[other].changed)]
        return f"phase {', '.join(others)}" if others else "others"

    def _met(self, name: str) -> list[str]:
        """Phases whose work came into the result while this one was at work."""
        since = self._way.phase(name).started_at or 0.0
        states = self._way.state.phase_states.items()
        return [other for other, found in states if found.commit and (found.ended_at or 0.0) >= since and other != name]

    # -- all that waits, at once

    async def _merge_together(self, first: str) -> bool:
        """Bring in the work of a phase and of those that wait behind it, as one tree that is checked once. False when
        there are no others, or it fails: then nothing has changed, and each must go alone. Raises what `merge` does."""
        if len(self._waiting) < 2 or first in self._alone:
            return False
        self._way.require_going_on(first)
        self.tip = await self._read_tip()
        chain = await self._chain(first, self.tip)
        steps = self._steps_for(chain)
        if len(chain) < 2 or not steps:
            return False
        onto = (self.tip, *chain.values())
        self._way.ledger.record(*(self._proposed(name, onto[n], chain[name], first) for n, name in enumerate(chain)))
        failed = await self._fails(first, self._way.phase(first), onto[-1], steps)
        if failed is not None or any(self._way.phase(name).cancelled_by for name in chain):
            self._alone.update(chain)
            return False
        self._way.require_going_on(first)
        if not await self._advance(chain, self.tip):
            return False
        self._home.update(chain)
        return True

    async def _chain(self, first: str, tip: str) -> dict[str, str]:
        """By phase, the commit that holds its work and that of those before it; `first` comes first. Whoever does not
        go together with those before is not in it. Empty when `first` has nothing to be checked."""
        chain: dict[str, str] = {}
        for name in (first, *(other for other in self._waiting if other != first)):
            proposal = await self._fitting(name, tip)
            if proposal is not None and (chain or proposal.tree_is_new or self._gate):
                chain[name] = tip = proposal.commit
            if not chain:
                break
        return chain

    async def _fitting(self, name: str, tip: str) -> Proposal | None:
        """The work of a phase on top of a commit; None when it must go alone, where its end will be told."""
        state = self._way.phase(name)
        if name in self._alone or name in self._home or state.cancelled_by:
            return None
        try:
            if state.merge and await self._is_in(state.merge.commit, self.tip):
                return None  # it is in the result already, and only its end is not recorded
            proposal = await self._join(name, tip)
            if isinstance(proposal, Conflict) or await self._lacking(self._way.info(name), proposal):
                return None
        except GitError:
            return None  # what git refuses one of them is no fault of the others
        return proposal

    def _steps_for(self, names: Iterable[str]) -> tuple[JobStep, ...]:
        """What must hold in a tree that has the work of these phases, each step once."""
        together = dict.fromkeys(names)
        met = dict.fromkeys(other for name in together for other in self._met(name))
        checks = (step for name in together | met for step in check_steps(self._way.info(name)))
        return tuple(_each_once((*self._gate, *checks)))

    # -- checks of the merged tree

    @property
    def _gate(self) -> tuple[JobStep, ...]:
        return command_steps(JobStepKind.CHECK, self._way.has.gate_commands)

    async def _check(self, name: str, state: PhaseState, phase: PhaseInfo, proposal: Proposal) -> None:
        """Run the checks that could be true of each side alone and not of both together."""
        alone = tuple(_each_once((*self._gate, *check_steps(phase))))
        steps = self._steps_for([name]) if proposal.tree_is_new else self._gate
        failed = await self._fails(name, state, proposal.commit, steps)
        if failed is None:
            return
        if not proposal.tree_is_new or await self._fails(name, state, state.sealed, alone) is not None:
            raise Over(self._way.end(name, Cause.GATE, f"the merged tree fails: {failing_step(failed)}"))
        others = ", ".join(self._met(name)) or "others"
        raise self._refused(
            name, self.tip, f"green alone, red together with {others}: {failing_step(failed)} in the merged tree"
        )

    async def _fails(self, name: str, state: PhaseState, commit: str, steps: tuple[JobStep, ...]) -> Result | None:
        """How the checks fail in the tree of a commit; None when they do not."""
        if not steps:
            return None
        folder = self._way.folder(name) / f"gate-{commit[:_SHORT]}"
        await self._way.side.end(folder.parent, but=folder)  # two at once would see each other's files
        if not self._way.side.is_at_work(folder):
            await asyncio.to_thread(self._way.has.integration.check_out, self._way.place(name), commit)
        result = await self._way.beside(name, state, folder.name, steps)
        if result.cause == STOPPED:
            self._way.require_going_on(name)
            raise Rest
        return None if result.code == 0 and not result.cause else result

    async def _is_in(self, commit: str, within: str) -> bool:
        return await asyncio.to_thread(self._way.has.integration.contains, commit, within)


def _each_once(steps: Iterable[JobStep]) -> Iterable[JobStep]:
    """Equal commands say the same of one tree."""
    return {(step.argv, step.stdin): step for step in steps}.values()
