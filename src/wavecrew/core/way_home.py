"""What every step of work on its way home has at hand.

What it does: holds the parts that a step needs, says between two steps whether there is to be a next, and makes the
events by which a way ends.
What it does not know: the steps (`homecoming`, `merge_queue`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wavecrew.core.attempts import Result
from wavecrew.core.care import AuditPolicy
from wavecrew.core.integration import Integration
from wavecrew.core.jobs import Desk, JobMaker
from wavecrew.core.ledger import Ledger
from wavecrew.core.side_jobs import SideJobs
from wavecrew.core.verdicts import Judge, cancelled
from wavecrew.core.worktrees import Place, Worktrees
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Outcome
from wavecrew.models.execution_state import ExecutionState, PhaseState
from wavecrew.models.invocation import JobStep
from wavecrew.models.parallel_execution import PhaseInfo

if TYPE_CHECKING:
    from wavecrew.core.guard import Guard

_REPOSITORY: Final = ".git/"
_SUBJECT: Final = 72


class Rest(Exception):  # noqa: N818 -- no error: the work waits, sealed, for the next coordinator
    """The run is coming to a stop; what is on its way stays where it is."""


class Over(Exception):  # noqa: N818 -- the way out of all steps
    """An end that is no success."""

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


class WayHome:
    """The parts, for one coordinator."""

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
        self.has = isolation
        self.ledger = ledger
        self.jobs = jobs
        self.side = side
        self._judge = judge
        self._stopping = stopping

    def require_going_on(self, name: str) -> None:
        """Between two steps: whether there is to be a next. Raises Rest, or the end of a phase that was cancelled."""
        by = self.phase(name).cancelled_by
        if by:
            raise Over(self.end(name, Cause.CANCELLED, f"cancelled by {by}"))
        if self._stopping():
            raise Rest
        self.look_after_repository()
        if any(what.startswith(_REPOSITORY) for what in self.state.forbidden):
            raise Rest  # an edited plan is no danger for work that is done

    def look_after_repository(self) -> None:
        """Nothing of git is called again before a person has looked at what may start programs in it."""
        what = self.has.guard.look()
        if what:
            self.ledger.record(
                ev.ForbiddenChange(at=self.ledger.clock(), what=what, suspects=tuple(self.state.running))
            )

    def end(self, name: str, cause: Cause, detail: str) -> ev.AttemptEnded:
        """The end of an attempt that failed on its way."""
        ended = self._judge.end(self.state, name, self.ledger.clock(), Outcome.FAILED, cause, detail)
        return cancelled(ended, self.phase(name).cancelled_by)

    def success(self, name: str, commit: str) -> ev.AttemptEnded:
        """The end of an attempt whose work is in the result with this commit."""
        return ev.AttemptEnded(
            at=self.ledger.clock(),
            phase=name,
            attempt=self.phase(name).attempts,
            outcome=Outcome.SUCCEEDED,
            exit_code=0,
            outputs=self.info(name).outputs,
            commit=commit,
        )

    @property
    def state(self) -> ExecutionState:
        """The run as it stands."""
        return self.ledger.state

    def phase(self, name: str) -> PhaseState:
        """Where a phase stands."""
        return self.state.phase_states[name]

    def info(self, name: str) -> PhaseInfo:
        """What the plan says of a phase."""
        return self.state.graph.nodes[name]

    def place(self, name: str) -> Place:
        """Where the latest attempt of a phase works."""
        return self.has.worktrees.place(name, self.phase(name).attempts)

    def folder(self, name: str) -> Path:
        """Where that attempt keeps its log and its result."""
        return self.jobs.folder(name, self.phase(name).attempts)

    def message(self, phase: PhaseInfo) -> str:
        """The first line of our commits for a phase."""
        return " ".join(phase.name.split())[:_SUBJECT]

    def trailers(self, name: str) -> dict[str, str]:
        """By which our commits are found in git."""
        attempt = str(self.phase(name).attempts)
        return {"Wavecrew-Run": self.state.run, "Wavecrew-Phase": name, "Wavecrew-Attempt": attempt}

    async def beside(self, name: str, state: PhaseState, what: str, steps: tuple[JobStep, ...]) -> Result:
        """Carry out commands in the worktree of an attempt, under a shim of their own. Raises OSError."""
        folder = self.folder(name) / what
        desk = Desk(self.place(name).workspace, state.slot, state.base, state.branch)
        return await self.side.run(folder, self.jobs.beside(name, state.attempts, desk, folder, steps))
