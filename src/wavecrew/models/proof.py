"""The proof that nothing of a run is lost: from what git or the disk said to a verdict on every phase.

What it does: holds what was found out (`Facts`) against what a run has on record, and names for each completed phase
what is missing and what would bring it back. Waived phases are no proof of anything, so they are told apart.
What it does not know: git, the disk, and how the facts came about (`core.proof` asks for them).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from wavecrew.models.phase_state import PhaseState
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.run_state import ExecutionState

SHARED: Final = "shared"
_SHORT: Final = 12


class Fault(StrEnum):
    """What keeps something from being proven."""

    BRANCH = "branch"
    """No branch holds the result any more."""
    HISTORY = "history"
    """Git cannot read the history of the result."""
    RECORD = "record"
    """A phase was completed, and no commit is on record for it."""
    OBJECT = "object"
    """The repository does not have the commit any more."""
    COMMIT = "commit"
    """The commit is there, and not in the result."""
    CLOSING = "closing"
    """The commit is in the result, and the one that closed the phase is not found by its trailers."""
    OUTPUT = "output"
    """A declared output is not there."""


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that is missing: what, and what would bring it back. `about` is the commit or the output."""

    kind: Fault
    what: str
    fix: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found at one moment. In a shared folder only `missing` is of interest.

    `home` is the branch where the result belongs, `branch` the one that holds it (short names), `tip` the commit that
    was looked at; both are empty when there is none. `present` are the commits that the repository has, `held` those
    that are in `tip`, `closing` the commits that closed a phase, by (run, phase). `missing` are declared outputs that
    are not there. `behind`: putting the branch where the last merge left it loses nothing. `unreadable` has git's words
    when it cannot read the history.
    """

    home: str = ""
    branch: str = ""
    tip: str = ""
    present: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    closing: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    behind: bool = False
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class PhaseProof:
    """The verdict on one completed phase. `kept_from` is the run that has made it, if it was an earlier one."""

    phase: str
    name: str
    commit: str
    kept_from: str
    outputs: tuple[str, ...]
    lacks: tuple[Lack, ...]


@dataclass(frozen=True, slots=True)
class Waived:
    """A phase that was let go, by whom and why. There is nothing of it to prove."""

    phase: str
    name: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What is proven of a run, and what is not. `open` are the phases that it is still to do, or has failed to."""

    run: str
    isolation: str
    branch: str
    tip: str
    lacks: tuple[Lack, ...]
    """What is wrong with the result as a whole; then no phase is proven."""
    phases: tuple[PhaseProof, ...]
    waived: tuple[Waived, ...]
    open: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the work of every completed phase was found."""
        return not self.lacks and not any(found.lacks for found in self.phases)

    @property
    def missing(self) -> tuple[str, ...]:
        """Declared outputs of completed phases that were not found."""
        if any(lack.kind is Fault.BRANCH for lack in self.lacks):
            found = [path for one in self.phases for path in one.outputs]
        else:
            found = [lack.about for one in self.phases for lack in one.lacks if lack.kind is Fault.OUTPUT]
        return tuple(dict.fromkeys(found))

    @property
    def unproven(self) -> tuple[str, ...]:
        """Completed phases whose commit was not found in the result."""
        return tuple(
            found.phase
            for found in self.phases
            if self.lacks or any(lack.kind is not Fault.OUTPUT for lack in found.lacks)
        )


def judge(state: ExecutionState, facts: Facts) -> Proof:
    """The verdict on a run."""
    nodes = state.graph.nodes
    done: list[PhaseProof] = []
    waived: list[Waived] = []
    still: list[str] = []
    for name, found in state.phase_states.items():
        if found.status is PhaseStatus.COMPLETED:
            lacks = tuple(_lacks(name, found, state, facts))
            done.append(PhaseProof(name, nodes[name].name, found.commit, found.kept_from, found.outputs, lacks))
        elif found.waiver is not None:
            waived.append(Waived(name, nodes[name].name, found.waiver.by, found.waiver.reason))
        elif state.to_do(name):
            still.append(name)
    whole = tuple(_lacks_of_all(state, facts)) if done else ()
    return Proof(state.run, state.isolation, facts.branch, facts.tip, whole, tuple(done), tuple(waived), tuple(still))


def _lacks_of_all(state: ExecutionState, facts: Facts) -> Iterator[Lack]:
    if state.isolation == SHARED:
        return
    if not facts.tip:
        last = state.result
        fix = f"put it back: git branch {facts.home} {last[:_SHORT]}"
        if last not in facts.present:
            fix = f"fetch commit {last[:_SHORT]} from a clone that has it, or begin anew: wavecrew run --force"
        yield Lack(Fault.BRANCH, f"there is no branch {facts.home}, and no other one holds the result", fix)
    elif facts.unreadable:
        what = f"git cannot read the history of {facts.branch}: {facts.unreadable}"
        yield Lack(Fault.HISTORY, what, "see what is missing: git fsck; then fetch it from a clone that has it")


def _lacks(name: str, found: PhaseState, state: ExecutionState, facts: Facts) -> Iterator[Lack]:
    again = f"wavecrew retry {_argument(name)}"
    if state.isolation != SHARED:
        lack = _lack_of_commit(name, found, state, facts, again)
        if lack is not None:
            yield lack
        if not facts.tip:
            return  # of outputs nothing is known
    for path in found.outputs:
        if path in facts.missing:
            where = f"in {facts.branch}" if state.isolation != SHARED else "in the workspace"
            fix = f"do it again: {again} && wavecrew run"
            if found.commit in facts.present:
                fix += (
                    f"; or take it from its commit: git restore --source={found.commit[:_SHORT]} -- {_argument(path)}"
                )
            yield Lack(Fault.OUTPUT, f"its output {path} is not {where}", fix, path)


def _lack_of_commit(name: str, found: PhaseState, state: ExecutionState, facts: Facts, again: str) -> Lack | None:
    commit, short = found.commit, found.commit[:_SHORT]
    closed = facts.closing.get((found.kept_from or state.run, name), ())
    if not commit:
        if found.kept_from:
            return None  # it was made in a shared folder, where there are no commits: its outputs are all there is
        return Lack(Fault.RECORD, "no commit is on record for it", f"do it again: {again} && wavecrew run")
    if commit not in facts.present:
        fix = "fetch it from a clone that has it, or begin anew: wavecrew run --force"  # a retry would rest on it
        return Lack(Fault.OBJECT, f"commit {short} is not in this repository any more", fix, commit)
    if not facts.tip or facts.unreadable:
        return None  # told once, for all
    if commit not in facts.held:
        what = f"commit {short} is not in {facts.branch}"
        if closed:
            what += f"; a commit that says it closes it is there ({closed[-1][:_SHORT]}): the history was rewritten"
        return Lack(Fault.COMMIT, what, _way_back(commit, state, facts), commit)
    if found.sealed not in closed if found.sealed else not closed:
        sealed = found.sealed or commit
        what = f"the commit that closed it is not found in {facts.branch} ({sealed[:_SHORT]})"
        return Lack(Fault.CLOSING, what, f"do it again: {again} && wavecrew run", sealed)
    return None


def _way_back(commit: str, state: ExecutionState, facts: Facts) -> str:
    if facts.behind:
        return f"put the result back to its last merge: git branch -f {facts.home} {state.result[:_SHORT]}"
    return f"merge it into the result: git switch {facts.branch} && git merge {commit[:_SHORT]}"


def _argument(text: str) -> str:
    """A foreign name as one word of a command line."""
    return shlex.quote(text)
