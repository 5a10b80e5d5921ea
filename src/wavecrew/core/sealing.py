"""From what stands in a worktree to a commit on its branch.

What it does: closes the work of an attempt with a commit of ours, keeps the work of one that failed, and makes a commit
of the user's own uncommitted files.
What it does not know: the result of the run, and whether the work is good.

Whatever an agent did with git there, nothing is thrown away: what cannot be judged is refused with a reason, and the
branch holds it. The agent and all that it started have ended before anything here is called.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.commits import (
    ATTEMPT,
    PHASE,
    RUN,
    Contents,
    changes,
    identity,
    make_commit,
    matches,
    message_of,
    seen_from,
    trailers_of,
    with_trailers,
)
from wavecrew.core.git import Git
from wavecrew.core.worktree_state import (
    STEPS,
    half_done,
    is_ancestor,
    private_folder,
    remove_locks,
    remove_marks,
    show_hidden,
    tip_of,
)
from wavecrew.core.worktrees import Place
from wavecrew.errors import GitError
from wavecrew.models.resources import Resource, ResourceKind, literal_prefix, parse_resource

_OURS: Final = (".git", ".wavecrew")


class UnsoundWorkError(GitError):
    """The work of an attempt cannot be closed as it stands. Nothing of it is lost: see the branch and the worktree."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The closing commit of an attempt. `changed`: files that are other than in `base`, both sides of a renaming, seen
    from the workspace (`../x` outside of it). `missing`: declared outputs that the commit does not have."""

    commit: str
    base: str
    changed: tuple[str, ...]
    missing: tuple[str, ...]


class Sealer:
    """Makes commits of worktrees in one repository, under the name of `author` (see `commits.identity`)."""

    def __init__(self, git: Git, author: str = "") -> None:
        self._git = git
        self._author = author
        self._name: dict[str, str] | None = None

    def commit(self, tree: str, parents: Iterable[str], message: str) -> str:
        """A commit under our author's name. It is on no branch yet."""
        if self._name is None:
            self._name = identity(self._git, self._author)
        return make_commit(self._git, tree, parents, message, self._name)

    # -- sealing ------------------------------------------------------------------------------------------------

    def seal(
        self, place: Place, base: str, message: str, outputs: Iterable[str], trailers: Mapping[str, str]
    ) -> Sealed:
        """Close the work of an attempt: see `Integration.seal`."""
        wanted = tuple(outputs)
        private = _private(self._git, place)
        tip = tip_of(self._git, place.ref)
        if not self._is_checked_out_proposal(place, tip):
            self._require_judgeable(place, private)
            head = self._take_over(place, base, tip)
            tree = self._stage(place, base, wanted)
            tip = self._close(place, head, tree, message, trailers)
            remove_marks(private)
        paths = changes(self._git, base, tip).paths
        missing = Contents(self._git, tip, place.prefix).missing(wanted)
        return Sealed(tip, base, tuple(seen_from(place.prefix, path) for path in paths), missing)

    def is_closing(self, commit: str, place: Place) -> bool:
        """Whether a commit closes this very attempt."""
        found = trailers_of(message_of(self._git, commit)) if commit else {}
        return _marks(place).items() <= found.items()

    def _is_checked_out_proposal(self, place: Place, tip: str) -> bool:
        """Whether the work is closed, and its worktree now shows what the checks of the merged tree run on: what they
        left there is no work of the attempt."""
        if not tip or _branch(self._git, place.folder) or not self.is_closing(tip, place):
            return False
        head = tip_of(self._git, "HEAD", place.folder)
        return bool(head) and is_ancestor(self._git, tip, head)

    def _require_judgeable(self, place: Place, private: Path) -> None:
        conflicts = show_hidden(self._git, place.folder)
        step = half_done(private, conflicts)
        if step:
            raise UnsoundWorkError(
                f"{step} was begun in {place.folder} and not ended", fix="end or abort it there, and try again"
            )
        if conflicts:
            raise UnsoundWorkError(f"files are in conflict: {_few(conflicts)}", fix="resolve them, and try again")
        nested = _nested(self._git, place.folder)
        if nested:
            raise UnsoundWorkError(
                f"a repository inside of the repository: {_few(nested)}",
                fix="its files cannot be part of a commit here: remove its .git folder, or ignore it",
            )

    def _take_over(self, place: Place, base: str, tip: str) -> str:
        """Put HEAD back on the attempt's branch, and the branch to where HEAD is, if that loses nothing."""
        head = tip_of(self._git, "HEAD", place.folder)
        if not head or (tip and not is_ancestor(self._git, tip, head)):
            raise UnsoundWorkError(
                f"{place.folder} is at another commit than its branch {place.branch}, and lacks what that holds",
                fix=f"merge one into the other, or point the branch to what counts: git branch -f {place.branch}",
            )
        self._settle(place, head, tip)
        if not is_ancestor(self._git, base, head):
            raise UnsoundWorkError(
                f"{place.branch} no longer holds the commit that it was started from: {base[:12]}",
                fix=f"rebase it on that commit: git rebase {base[:12]} {place.branch}",
            )
        return head

    def _settle(self, place: Place, commit: str, tip: str) -> None:
        """The branch is at `commit`, if it was at `tip`, and HEAD is on the branch."""
        with self._git.writing():
            if commit != tip:
                self._git.run("update-ref", "--no-deref", place.ref, commit, tip)
            if _branch(self._git, place.folder) != place.ref:
                self._git.run("symbolic-ref", "HEAD", place.ref, cwd=place.folder)

    def _stage(self, place: Place, base: str, outputs: tuple[str, ...]) -> str:
        """The tree of all that stands there, with the declared outputs, ignored or not."""
        self._git.run("add", "--all", "--sparse", cwd=place.folder)
        tree = self._git.text("write-tree", cwd=place.folder)
        missing = Contents(self._git, tree, place.prefix).missing(outputs)
        forced = [path for output in missing for path in _files_of(place, parse_resource(output))]
        lost: tuple[str, ...] = ()
        if forced:
            literally = {"GIT_LITERAL_PATHSPECS": "1"}
            options = ("--force", "--sparse", "--pathspec-from-file=-", "--pathspec-file-nul")
            given = b"\0".join(os.fsencode(path) for path in forced)
            self._git.run("add", *options, cwd=place.folder, given=given, environment=literally)
            tree = self._git.text("write-tree", cwd=place.folder)
            lost = Contents(self._git, tree, "").lacks(forced)
        nested = changes(self._git, base, tree).repositories or lost
        if nested:
            raise UnsoundWorkError(
                f"a repository inside of the repository: {_few(nested)}",
                fix="its files are in no commit here: remove its .git folder, and git's entry (git rm --cached)",
            )
        return tree

    def _close(self, place: Place, head: str, tree: str, message: str, trailers: Mapping[str, str]) -> str:
        if self.is_closing(head, place) and self._tree_of(head) == tree:
            return head
        commit = self.commit(tree, (head,), with_trailers(message, {**trailers, **_marks(place)}))
        self._settle(place, commit, head)
        return commit

    def _tree_of(self, commit: str) -> str:
        return self._git.text("rev-parse", "--verify", f"{commit}^{{tree}}")

    # -- keeping ------------------------------------------------------------------------------------------------

    def keep(self, place: Place, base: str, message: str) -> str:
        """Commit whatever stands there as unfinished work: see `Integration.keep`."""
        private = _private(self._git, place)
        tip = tip_of(self._git, place.ref)
        tips = [tip_of(self._git, "HEAD", place.folder), tip, *_tips_of_steps(private)]
        known = [commit for commit in dict.fromkeys(tips) if commit] or [base]
        parents = self._git.text("merge-base", "--independent", *known).split()
        parents.sort(key=known.index)
        show_hidden(self._git, place.folder)
        everything = _all_but(_nested(self._git, place.folder))
        self._git.run(
            *everything.words, "--ignore-errors", cwd=place.folder, given=everything.given, accept=(0, 1, 128)
        )
        tree = self._git.text("write-tree", cwd=place.folder)
        commit = parents[0]
        if len(parents) > 1 or tree != self._tree_of(commit):
            commit = self.commit(tree, parents, message)
        self._settle(place, commit, tip)
        _end_steps(private)
        return "" if is_ancestor(self._git, commit, base) else commit

    # -- the user's own work ------------------------------------------------------------------------------------

    def snapshot(self, message: str, without: Iterable[str]) -> str:
        """A commit of the user's uncommitted files: see `Integration.snapshot`."""
        head = tip_of(self._git, "HEAD")
        if not head:
            raise GitError("there is no commit yet to start from", fix="make a first commit")
        with _copy_of_index(self._git) as environment:
            if self._git.run("ls-files", "-z", "--unmerged", environment=environment).out:
                raise GitError("files are in conflict in your workspace", fix="end or abort the merge first")
            everything = _all_but((*without, *_nested(self._git, self._git.root, environment)))
            self._git.run(*everything.words, given=everything.given, environment=environment)
            tree = self._git.text("write-tree", environment=environment)
        return head if tree == self._tree_of(head) else self.commit(tree, (head,), message)


@dataclass(frozen=True, slots=True)
class _Adding:
    """A call of `git add` and its input."""

    words: tuple[str, ...]
    given: bytes


def _all_but(paths: Iterable[str]) -> _Adding:
    specs = [b".", *(b":(exclude,top,literal)" + os.fsencode(path.rstrip("/")) for path in paths)]
    return _Adding(("add", "--all", "--sparse", "--pathspec-from-file=-", "--pathspec-file-nul"), b"\0".join(specs))


@contextlib.contextmanager
def _copy_of_index(git: Git) -> Iterator[dict[str, str]]:
    """An environment in which git writes to a copy of the user's index."""
    with tempfile.TemporaryDirectory(prefix="wavecrew-") as folder:
        copy = Path(folder) / "index"
        environment = {"GIT_INDEX_FILE": os.fspath(copy)}
        own = git.root / git.text("rev-parse", "--git-path", "index")
        if own.exists():
            shutil.copy2(own, copy)  # with its time, by which git knows files that changed right after
        else:
            git.run("read-tree", "HEAD", environment=environment)
        yield environment


def _marks(place: Place) -> dict[str, str]:
    return {RUN: place.run, PHASE: place.phase, ATTEMPT: str(place.attempt)}


def _private(git: Git, place: Place) -> Path:
    """Git's own folder of the worktree, freed from locks: all processes of the attempt have ended."""
    try:
        private = private_folder(git, place.folder)
    except GitError as error:
        raise UnsoundWorkError(error.reason, fix=error.fix) from None
    remove_locks(git, place.ref, private)
    return private


def _branch(git: Git, folder: Path) -> str:
    """The branch that HEAD is on, by its full name; empty for none."""
    return git.text("symbolic-ref", "--quiet", "HEAD", cwd=folder, accept=(0, 1))


def _nested(git: Git, folder: Path, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Repositories that stand in the folder and are not known to git, ignored ones apart."""
    options = ("--others", "--exclude-standard", "-z")
    paths = git.run("ls-files", *options, cwd=folder, environment=environment).out.split(b"\0")
    return tuple(os.fsdecode(path) for path in paths if path.endswith(b"/"))


def _tips_of_steps(private: Path) -> Iterator[str]:
    """Commits that only a half-done operation holds: what was being merged, where a rebase began, what it set aside."""
    inner = ("orig-head", "autostash")
    for name in STEPS:
        for file in (private / name, *(private / name / one for one in inner)):
            if name != "BISECT_LOG" and file.is_file():
                yield from file.read_text("ascii", "replace").split()


def _end_steps(private: Path) -> None:
    """Forget half-done operations: all that they held has been committed."""
    for name in STEPS:
        path = private / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def _files_of(place: Place, resource: Resource) -> Iterator[str]:
    """The files that stand in the folder for one declared output, from the top of the worktree."""
    start = place.workspace / resource.key
    if resource.kind is ResourceKind.GLOB:
        start = place.workspace / literal_prefix(resource.key)
    way = start.relative_to(place.folder)
    if any((place.folder / one).is_symlink() for one in way.parents) or any(one.lower() in _OURS for one in way.parts):
        return  # behind a link git takes nothing, and nothing of git's own or ours
    if start.is_symlink() or not start.is_dir():
        if start.is_symlink() or start.is_file():
            yield way.as_posix()
        return
    for parent, folders, names in os.walk(start):
        folders[:] = [name for name in folders if name not in _OURS]
        for name in [*names, *(one for one in folders if Path(parent, one).is_symlink())]:
            path = Path(parent, name)
            key = path.relative_to(place.workspace).as_posix()
            wanted = resource.kind is not ResourceKind.GLOB or matches(resource, key)
            if wanted and (path.is_symlink() or path.is_file()):
                yield path.relative_to(place.folder).as_posix()


def _few(paths: Iterable[str]) -> str:
    """Some paths for a message."""
    found = [repr(path) if not path.isprintable() else path for path in paths]
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
