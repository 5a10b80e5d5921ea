"""The result of a run: a branch that all finished work is merged into.

What it does: begins that branch, proposes merges without a checkout, moves the branch by compare-and-swap, proves from
git alone what it holds, and brings the result to a branch of the user.
What it does not know: events, scheduling, checks, and what an agent did (`sealing`).

Nothing is ever dropped: a merge takes no side, a branch moves only to a commit that holds what it had, and what does
not merge is handed back as a conflict.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wavecrew.core.commits import Contents, closing_commits, seen_from, with_trailers
from wavecrew.core.git import Git
from wavecrew.core.landing import Step, land_files
from wavecrew.core.sealing import Sealed, Sealer, UnsoundWorkError
from wavecrew.core.worktree_state import Listed, is_ancestor, listed, private_folder, remove_locks, tip_of
from wavecrew.core.worktrees import BRANCHES, Place
from wavecrew.errors import GitError

__all__ = ["Conflict", "Integration", "Proposal", "Sealed", "UnsoundWorkError"]

_CONFLICT: Final = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A commit that the result can move to. `fast_forward`: it is the sealed commit itself (or the tip, which has it
    already). `tree_is_new`: nobody has seen these files together yet, so checks are worth running."""

    commit: str
    fast_forward: bool
    tree_is_new: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Work that does not merge by itself: the files, seen from the workspace, and git's words about each."""

    paths: tuple[str, ...]
    detail: str


class Integration:
    """The result of one run. Calls block; several threads may make them at once.

    `author` is `Name <mail>`; empty: the user's own name in git, else `wavecrew <wavecrew@localhost>`. Declared outputs
    and conflicts are seen from `workspace`, by default the top of the repository. All methods raise GitError.
    """

    def __init__(
        self, git: Git, run: str, author: str = "", *, workspace: Path | None = None, state_folder: Path | None = None
    ) -> None:
        self.ref = f"{BRANCHES}wavecrew/{run}/result"
        self._git = git
        self._run = run
        self._author = author
        self._sealer = Sealer(git, author)
        prefix = _below(git.root, workspace or git.root)
        self._prefix = "" if prefix in (None, ".") else str(prefix)
        self._state = _below(git.root, state_folder) if state_folder is not None else None

    @property
    def git(self) -> Git:
        """The repository that the result is in."""
        return self._git

    # -- the branch ---------------------------------------------------------------------------------------------

    def begin(self, start: str) -> str:
        """Make the result branch at a commit, and return that. Raises GitError when it stands somewhere else."""
        with self._git.writing():
            tip = self.tip()
            if tip and tip != start:
                raise GitError(f"{self.ref} is there already, at {tip[:12]}", fix="go on with it, or start a new run")
            if not tip:
                self._move("wavecrew: begin", start, "")
        return start

    def tip(self) -> str:
        """Where the result stands; empty before it has begun."""
        return tip_of(self._git, self.ref)

    def advance(self, old: str, new: str) -> None:
        """Move the result from `old` to `new`. Raises GitError when it is not at `old`, or `new` lacks what it has."""
        if not is_ancestor(self._git, old, new):
            raise GitError(f"{new[:12]} does not hold what the result has: {old[:12]}", fix="propose it again")
        with self._git.writing():
            tip = self.tip()
            if tip != old:
                raise GitError(f"the result has moved from {old[:12]} to {tip[:12]}", fix="propose it again")
            self._move("wavecrew: advance", new, old)

    def _move(self, why: str, new: str, old: str) -> None:
        """Move the branch in one step. Whoever of ours writes holds `writing`, so a lock that outlasts all tries was
        left by a git that was killed."""
        words = ("update-ref", "--no-deref", "-m", why, self.ref, new, old)
        try:
            self._git.run(*words)
        except GitError:
            lock = self._git.common / f"{self.ref}.lock"
            if not lock.exists():
                raise
            lock.unlink(missing_ok=True)
            self._git.run(*words)

    # -- what stands in a worktree ------------------------------------------------------------------------------

    def snapshot(self, message: str) -> str:
        """A commit with the user's uncommitted work (not ignored, not the state folder) on top of HEAD; HEAD itself
        when there is none. Neither index nor files of the user are touched."""
        return self._sealer.snapshot(message, [self._state] if self._state else [])

    def seal(
        self,
        place: Place,
        base: str,
        message: str,
        outputs: Iterable[str],
        *,
        trailers: Mapping[str, str] | None = None,
    ) -> Sealed:
        """Close the work of an attempt that started at `base`: one commit of ours on its branch, empty if need be, with
        everything that stands there, on top of commits of the agent. Declared outputs are in it even if ignored.

        Sealing again gives the same commit as long as nothing changes. Every process of the attempt has ended before.
        Raises UnsoundWorkError for work that cannot be judged; the branch and the worktree keep it.
        """
        return self._sealer.seal(place, base, message, outputs, trailers or {})

    def keep(self, place: Place, base: str, message: str) -> str:
        """Commit whatever stands there as unfinished work on the attempt's branch, with all that half-done operations
        held. Returns the commit, or "" when there is nothing beyond `base`. Repositories that stand inside are in no
        commit, so their worktree cannot be closed. Raises UnsoundWorkError if this is no worktree any more."""
        return self._sealer.keep(place, base, message)

    def check_out(self, place: Place, commit: str) -> None:
        """Show a commit in the worktree of a sealed attempt, for checks. Its branch and ignored files stay; what
        earlier checks left there goes. Raises GitError when the work is not sealed."""
        remove_locks(self._git, place.ref, private_folder(self._git, place.folder))
        if not self._sealer.is_closing(tip_of(self._git, place.ref), place):
            raise GitError(f"the work on {place.branch} is not sealed", fix="seal it first")
        on = self._git.text("symbolic-ref", "--quiet", "HEAD", cwd=place.folder, accept=(0, 1))
        if on:
            if self._git.run("status", "--porcelain", "-z", cwd=place.folder).out:
                raise GitError(f"{place.folder} was changed after it was sealed", fix="seal it again")
        else:
            self._git.run("reset", "--hard", "--quiet", cwd=place.folder)
            self._git.run("clean", "-d", "--force", "--quiet", cwd=place.folder)
        self._git.run("checkout", "--quiet", "--detach", commit, cwd=place.folder)

    # -- merging ------------------------------------------------------------------------------------------------

    def propose(
        self,
        tip: str,
        sealed_commit: str,
        message: str,
        trailers: Mapping[str, str] | None = None,
        *,
        known: str = "",
    ) -> Proposal | Conflict:
        """The commit that joins sealed work to the result at `tip`, or why there is none. Nothing is moved. `known` is
        one that was proposed before: it is taken again if it joins these two."""
        if is_ancestor(self._git, tip, sealed_commit):
            return Proposal(sealed_commit, fast_forward=True, tree_is_new=False)
        if is_ancestor(self._git, sealed_commit, tip):
            return Proposal(tip, fast_forward=True, tree_is_new=self._tree(tip) != self._tree(sealed_commit))
        if known and self._parents(known) == [tip, sealed_commit]:
            return Proposal(known, fast_forward=False, tree_is_new=self._tree(known) != self._tree(sealed_commit))
        merged = self._merge(tip, sealed_commit)
        if isinstance(merged, Conflict):
            return merged
        whole = with_trailers(message, trailers) if trailers else message
        commit = self._sealer.commit(merged, (tip, sealed_commit), whole)
        return Proposal(commit, fast_forward=False, tree_is_new=merged != self._tree(sealed_commit))

    def _merge(self, ours: str, theirs: str) -> str | Conflict:
        """The merged tree, made without a checkout."""
        answer = self._git.run("merge-tree", "--write-tree", "--messages", "-z", ours, theirs, accept=(0, 1))
        fields = [os.fsdecode(field) for field in answer.out.split(b"\0")]
        return fields[0] if answer.code == 0 else self._conflict(fields[1:])

    def _conflict(self, fields: list[str]) -> Conflict:
        """Read entries (`mode object stage TAB path`) up to an empty one, then messages: number of paths, the paths,
        kind, words."""
        end = fields.index("")
        paths = [entry.partition("\t")[2] for entry in fields[:end]]
        rest, told = fields[end + 1 :], []
        while rest and rest[0]:
            count = int(rest[0])
            kind, words = rest[count + 1 : count + 3]
            if kind.startswith(_CONFLICT):
                paths += rest[1 : count + 1]
                told.append(words.strip())
            rest = rest[count + 3 :]
        return Conflict(tuple(dict.fromkeys(seen_from(self._prefix, path) for path in paths)), "\n".join(told))

    def _parents(self, commit: str) -> list[str]:
        """The parents of a commit; none where the repository does not have it any more."""
        return self._git.text("rev-parse", "--quiet", f"{commit}^@", accept=(0, 1, 128)).split()

    def _tree(self, commit: str) -> str:
        return self._git.text("rev-parse", "--verify", f"{commit}^{{tree}}")

    # -- proofs -------------------------------------------------------------------------------------------------

    def contains(self, commit: str, within: str | None = None) -> bool:
        """Whether a commit is in the result, or in `within`."""
        holder = self.tip() if within is None else within
        return bool(holder) and is_ancestor(self._git, commit, holder)

    def missing_outputs(self, commit: str, outputs: Iterable[str]) -> tuple[str, ...]:
        """The declared outputs that a commit does not have."""
        return Contents(self._git, commit, self._prefix).missing(outputs)

    def closing_commits(self, within: str, since: str = "") -> Mapping[tuple[str, str], tuple[str, ...]]:
        """The commits that closed a phase, by (run, phase), the oldest first, in all that `within` holds and `since`
        does not: found by their trailers, from git alone."""
        return closing_commits(self._git, within, since)

    # -- landing ------------------------------------------------------------------------------------------------

    def land(self, branch_ref: str, tip: str, message: str, *, start: str = "", exempt: Collection[Path] = ()) -> str:
        """Bring the result to a branch (full name) of the user, with a merge commit if that has gone on, and return its
        new commit. Where the branch is checked out, its files follow. `start` is the commit that the result began at:
        uncommitted work that went into it is lost by nothing. `exempt` are files that may stay uncommitted.

        Raises GitError, and changes nothing, when that place has uncommitted changes that are not in the result, a file
        stands in the way, or the two do not merge.
        """
        with self._git.writing():
            old = tip_of(self._git, branch_ref)
            if not branch_ref.startswith(BRANCHES) or not old:
                raise GitError(f"there is no branch {branch_ref}", fix="name a branch that exists")
            if is_ancestor(self._git, tip, old):
                return old
            new = tip if is_ancestor(self._git, old, tip) else self._joined(branch_ref, old, tip, message)
            places = [one for one in listed(self._git) if one.branch == branch_ref and not one.gone]
            if not places:
                self._git.run("update-ref", "--no-deref", "-m", "wavecrew: land", branch_ref, new, old)
            else:
                known = start if start and not is_ancestor(self._git, start, old) else ""
                self._move_with_files(places, Step(old, new, known), exempt)
            return new

    def _joined(self, branch_ref: str, old: str, tip: str, message: str) -> str:
        name = branch_ref.removeprefix(BRANCHES)
        merged = self._merge(old, tip)
        if isinstance(merged, Conflict):
            raise GitError(
                f"the result does not merge into {name}: {', '.join(merged.paths)}",
                fix=f"merge it by hand: git switch {name} && git merge {self.ref.removeprefix(BRANCHES)}",
            )
        return self._sealer.commit(merged, (old, tip), message)

    def _move_with_files(self, places: list[Listed], step: Step, exempt: Collection[Path]) -> None:
        if len(places) > 1:
            folders = " and ".join(str(one.folder) for one in places)
            raise GitError(f"the branch is checked out twice: {folders}", fix="switch one of them to another branch")
        folder = places[0].folder
        here = folder.resolve() == self._git.root.resolve()
        sealer, without = (self._sealer, self._state) if here else (Sealer(Git.open(folder), self._author), None)
        free = [found for path in exempt if (found := _below(folder, path))]
        land_files(
            self._git,
            folder,
            replace(step, exempt=free),
            self._run,
            lambda: sealer.snapshot("What stands where a result lands", [without] if without else []),
        )


def _below(root: Path, folder: Path) -> str | None:
    """A folder as seen from the top; None for one that lies elsewhere."""
    real, top = folder.resolve(), root.resolve()
    return real.relative_to(top).as_posix() if real.is_relative_to(top) else None
