"""What git and the disk say about the work of a run, for the proof that nothing of it is lost.

What it does: asks git alone which commits of a run are there and in its result, which commits say that they close a
phase, and which declared outputs the result has; the verdict on that is `models.proof.judge`. The same at the end of
a run as years later.
What it does not know: how work came into the result, and what is done about a lack. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from wavecrew.core.git import Git
from wavecrew.core.integration import Integration
from wavecrew.core.outputs import missing_outputs
from wavecrew.core.worktree_state import is_ancestor
from wavecrew.core.worktrees import BRANCHES
from wavecrew.errors import GitError
from wavecrew.models.phase_state import PhaseState
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.proof import Facts, Proof, judge
from wavecrew.models.run_state import ExecutionState

_OURS: Final = f"{BRANCHES}wavecrew/"
_COMMIT: Final = " commit"


def prove(integration: Integration, state: ExecutionState) -> Proof:
    """The proof of a run in worktrees. Raises GitError when git cannot be asked at all; what it cannot read of the
    history is part of the verdict."""
    return judge(state, _facts(integration, state))


def prove_shared(workspace: Path, state: ExecutionState) -> Proof:
    """The proof of a run in a shared folder: the declared outputs exist, more is not to be had there."""
    made = {path: None for found in _completed(state) for path in found.outputs}
    return judge(state, Facts(missing=frozenset(missing_outputs(workspace, made))))


def _completed(state: ExecutionState) -> list[PhaseState]:
    return [found for found in state.phase_states.values() if found.status is PhaseStatus.COMPLETED]


def _facts(integration: Integration, state: ExecutionState) -> Facts:
    git, done = integration.git, _completed(state)
    home = integration.ref.removeprefix(BRANCHES)
    commits = {commit for found in done for commit in (found.commit, found.sealed)} | {state.result, state.base}
    present = _present(git, commits - {""})
    facts = Facts(home=home, branch=home, present=present)
    tip = integration.tip()
    if not tip and state.result in present:
        branch = _holder(git, state)
        tip, facts = (state.result, replace(facts, branch=branch)) if branch else ("", facts)
    if not tip:
        return replace(facts, branch="")
    facts = replace(facts, tip=tip)
    made = {path: None for found in done for path in found.outputs}
    since = "" if any(found.kept_from for found in done) or state.base not in present else state.base
    try:
        facts = replace(facts, missing=frozenset(integration.missing_outputs(tip, made)))
        behind = state.result in present and is_ancestor(git, tip, state.result)
        closing = integration.closing_commits(tip, since)
        return replace(facts, held=_held(git, present, tip), closing=closing, behind=behind)
    except GitError as error:
        return replace(facts, unreadable=error.reason)


def _present(git: Git, commits: Iterable[str]) -> frozenset[str]:
    """Those of the commits that the repository has."""
    asked = "".join(f"{commit}\n" for commit in sorted(commits)).encode()
    lines = git.text("cat-file", "--batch-check=%(objectname) %(objecttype)", given=asked).splitlines()
    return frozenset(line.partition(" ")[0] for line in lines if line.endswith(_COMMIT))


def _held(git: Git, commits: frozenset[str], tip: str) -> frozenset[str]:
    """Those of the commits that are in `tip`, in one call however many they are."""
    asked = "".join(f"{commit}\n" for commit in (f"^{tip}", *sorted(commits))).encode()
    return commits - set(git.text("rev-list", "--stdin", given=asked).splitlines())


def _holder(git: Git, state: ExecutionState) -> str:
    """A branch of the user that holds the result; the one it was landed on, if it still does. Empty for none."""
    refs = git.text("for-each-ref", "--format=%(refname)", f"--contains={state.result}", BRANCHES).splitlines()
    names = [ref.removeprefix(BRANCHES) for ref in refs if not ref.startswith(_OURS)]
    return state.landed_on if state.landed_on in names else next(iter(names), "")
