"""A run in worktrees with its history, made by hand in a real repository: what the tests of results tell each other
about.

What it does: does what a coordinator does for a phase (worktree, sealing, merge) and records it, step by step.
What it does not know: engines, processes, and the commands that are tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from git_world import World
from wavecrew.api.history import OpenedRun, open_run
from wavecrew.core.commits import RUN, with_trailers
from wavecrew.core.integration import Conflict
from wavecrew.core.proof import prove
from wavecrew.core.store import Store
from wavecrew.core.worktrees import Place
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.proof import Proof


def phase(name: str, *after: str, outputs: tuple[str, ...] = (), title: str = "") -> PhaseInfo:
    return PhaseInfo(name, title or f"Phase {name}", after, outputs)


class Told:
    """One run in a repository, and its history. Each step is recorded as it is done."""

    def __init__(self, folder: Path, *phases: PhaseInfo, run: str = "r1", prefix: str = "") -> None:
        self.world = World(folder, prefix, run)
        self.world.state.chmod(0o700)
        self.git = self.world.git()
        self.store = Store.open(self.world.workspace)
        self.run = run
        self.at = 1000.0
        self.places: dict[str, Place] = {}
        self.begin(*phases)

    def begin(self, *phases: PhaseInfo, run: str = "r1", base: str = "", isolation: str = "worktree") -> None:
        """Start a run, with its result at `base`."""
        self.run = self.world.run = run
        base = base or self.world.start
        started = ev.RunStarted(
            at=self.at, run=run, plan_name="A plan", plan_path="plan", plan_digest="", phases=phases,
            isolation=isolation, base=base if isolation == "worktree" else "",
        )  # fmt: skip
        self.store.create_run(run, at=self.at, plan="plan", digest="", events=[started])
        epoch = self.store.take_charge(run)
        self.tell(ev.CoordinatorStarted(at=self.at, epoch=epoch, pid=1, host="box", agents=3))
        if isolation == "worktree":
            self.world.integration(self.git).begin(base)

    def tell(self, *events: Event) -> None:
        with self.store.transaction() as tx:
            self.store.append(tx, self.run, events)

    def now(self) -> float:
        self.at += 1
        return self.at

    # -- one attempt

    def start(self, name: str, attempt: int = 1) -> Place:
        base = self.world.integration(self.git).tip()
        place = self.world.worktrees(self.git).place(name, attempt)
        self.tell(
            ev.AttemptStarted(
                at=self.now(), phase=name, attempt=attempt, agent="x", base=base, branch=place.branch
            )
        )  # fmt: skip
        self.world.worktrees(self.git).open(place, base)
        self.places[name] = place
        return place

    def seal(self, name: str, attempt: int = 1) -> str:
        found = self.state.phase_states[name]
        info = self.state.graph.nodes[name]
        sealed = self.world.integration(self.git).seal(self.places[name], found.base, info.name, info.outputs)
        self.tell(
            ev.WorkSealed(
                at=self.now(), phase=name, attempt=attempt, commit=sealed.commit, changed=sealed.changed
            )
        )  # fmt: skip
        return sealed.commit

    def merge(self, name: str, attempt: int = 1) -> str:
        integration, found = self.world.integration(self.git), self.state.phase_states[name]
        tip = integration.tip()
        proposal = integration.propose(tip, found.sealed, with_trailers(name, {RUN: self.run}))
        assert not isinstance(proposal, Conflict)
        self.tell(ev.MergeProposed(at=self.now(), phase=name, attempt=attempt, onto=tip, commit=proposal.commit))
        integration.advance(tip, proposal.commit)
        self.end(name, attempt, commit=proposal.commit, outputs=self.state.graph.nodes[name].outputs)
        return proposal.commit

    def end(self, name: str, attempt: int = 1, *, cause: Cause = Cause.NONE, **rest: Any) -> None:
        outcome = Outcome.FAILED if cause else Outcome.SUCCEEDED
        self.tell(ev.AttemptEnded(at=self.now(), phase=name, attempt=attempt, outcome=outcome, cause=cause, **rest))

    def do(self, name: str, files: Mapping[str, str], attempt: int = 1) -> str:
        """A whole attempt that ends well. Gives the commit that brought it into the result."""
        place = self.start(name, attempt)
        self.world.write(files, place.workspace)
        self.seal(name, attempt)
        return self.merge(name, attempt)

    def close(self, name: str, attempt: int = 1) -> None:
        """Remove the worktree, as is done with that of work that is in the result."""
        assert self.world.worktrees(self.git).close(self.world.worktrees(self.git).place(name, attempt))

    def finish(self) -> None:
        proof = self.proof
        self.tell(ev.RunFinished(at=self.now(), missing=proof.missing, unproven=proof.unproven))

    # -- looking

    @property
    def state(self) -> ExecutionState:
        return replay(event for _, event in self.store.events(self.run))

    @property
    def opened(self) -> OpenedRun:
        return open_run(self.store, self.run)

    @property
    def proof(self) -> Proof:
        return prove(self.world.integration(self.git), self.state)

    @property
    def result(self) -> str:
        return self.world.integration(self.git).tip()

    def on_result(self, change: Callable[[Path], object], message: str = "by hand") -> str:
        """A commit that somebody makes on the result by hand."""
        folder = self.world.top.parent / "by-hand"
        self.world.sh("git", "worktree", "add", "-q", str(folder), f"wavecrew/{self.run}/result")
        change(folder)
        commit = self.world.commit(folder, message)
        self.world.sh("git", "worktree", "remove", "--force", str(folder))
        return commit
