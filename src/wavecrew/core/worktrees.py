"""Where an attempt works when it works alone: a git worktree and a branch of its own.

What it does: names them, opens a worktree at a commit, closes it when nothing in it would be lost, and tells what is
left over from runs.
What it does not know: what the attempt does there, how its work becomes a commit (`sealing`), and the result.

A worktree that is being filled or removed is locked (`git worktree lock`) with our reason. What bears such a mark has
never been, or is no longer, handed out: after a crash it is made anew or removed. What bears none belongs to its
attempt, and is never overwritten.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.attempts import slug_of
from wavecrew.core.commits import changes
from wavecrew.core.git import Git
from wavecrew.core.worktree_state import Listed, holds_work, is_ancestor, listed, remove_locks, tip_of
from wavecrew.errors import GitError

BRANCHES: Final = "refs/heads/"
_LOOK_BACK: Final = 5
_FILLING: Final = "wavecrew fills it"
_REMOVING: Final = "wavecrew removes it"
_UNFINISHED: Final = (_FILLING, _REMOVING, "initializing")  # the last is git's own, while it makes one


@dataclass(frozen=True, slots=True)
class Place:
    """Where one attempt works: its branch, the top of its worktree, and the user's workspace in it."""

    run: str
    phase: str
    attempt: int
    branch: str
    folder: Path
    workspace: Path

    @property
    def ref(self) -> str:
        """The branch by its full name."""
        return BRANCHES + self.branch

    @property
    def prefix(self) -> str:
        """The workspace as seen from the top of the repository; empty when it is the top."""
        prefix = self.workspace.relative_to(self.folder).as_posix()
        return "" if prefix == "." else prefix


@dataclass(frozen=True, slots=True)
class Remain:
    """What is left of an attempt: a branch, a folder, or both.

    `size` is in bytes on the disk. `merged`: its commit is in the commit that was asked about. `unsaved`: its folder
    holds something that is on no branch. A folder without a branch (`branch` empty) is always unsaved.
    """

    run: str
    branch: str
    commit: str
    folder: Path | None
    size: int
    merged: bool
    unsaved: bool


class Worktrees:
    """The worktrees of one run. All of them lie in `<state folder>/worktrees/<run>/`.

    Calls block; several threads may make them at once, for different places.
    """

    def __init__(self, git: Git, workspace: Path, state_folder: Path, run: str) -> None:
        self._git = git
        self._prefix = workspace.resolve().relative_to(git.root.resolve())
        self._root = state_folder.resolve() / "worktrees"
        self._run = run

    def place(self, phase: str, attempt: int) -> Place:
        """The place of an attempt. Nothing is made."""
        slug = slug_of(phase)
        folder = self._root / self._run / f"{slug}-{attempt}"
        branch = f"wavecrew/{self._run}/{slug}/{attempt}"
        return Place(self._run, phase, attempt, branch, folder, folder / self._prefix)

    def earlier_branch(self, phase: str, attempt: int, within: str) -> str:
        """The branch of the latest attempt before this one that holds what is not in the commit `within`; empty for
        none. Raises GitError."""
        for number in range(attempt - 1, max(0, attempt - 1 - _LOOK_BACK), -1):
            place = self.place(phase, number)
            tip = tip_of(self._git, place.ref)
            if tip and not is_ancestor(self._git, tip, within):
                return place.branch
        return ""

    def moved_on(self, place: Place, base: str, tip: str, files: Iterable[str]) -> tuple[str, ...]:
        """Those of some files of a worktree that are others in the commit `tip` than in `base`, as `COMMIT:PATH` by
        which git shows them. Raises GitError."""
        inside = [Path(file) for file in files if Path(file).is_relative_to(place.folder)]
        wanted = {file.relative_to(place.folder).as_posix() for file in inside}
        if not wanted or base == tip:
            return ()
        return tuple(f"{tip[:12]}:{path}" for path in changes(self._git, base, tip).paths if path in wanted)

    # -- opening ------------------------------------------------------------------------------------------------

    def open(self, place: Place, base: str) -> None:
        """Make branch and worktree at commit `base`, with all files. Done again after a crash, it ends the same.

        Raises GitError when git refuses, and when there is already work at this place.
        """
        with self._git.writing():
            opened = self._register(place, base)
        if opened:
            return
        try:
            self._git.run("read-tree", "-m", "-u", "HEAD", cwd=place.folder)  # outside of the lock: many at once
            self._make_workspace(place)
            with self._git.writing():
                self._git.run("worktree", "unlock", os.fspath(place.folder))
        except GitError:
            with contextlib.suppress(GitError):  # half a worktree is of no use, and takes room
                self._remove(place.folder)
            raise

    def _register(self, place: Place, base: str) -> bool:
        """Branch and worktree without files; True when the place had been opened before and nothing happened since."""
        self._make_parents(place)
        entry = self._entry(place.folder)
        if entry is not None and os.path.lexists(place.folder) and entry.locked not in _UNFINISHED:
            if (entry.branch, entry.head) == (place.ref, base) and not holds_work(self._git, place.folder):
                return True
            raise GitError(f"{place.folder} holds work of an attempt", fix="start the phase with another attempt")
        remove_locks(self._git, place.ref)  # nobody but a git that was killed has been at this branch
        self._clear(place, base, entry)
        tip = tip_of(self._git, place.ref)
        self._require_part_of(base, tip, place.branch)
        if tip and tip != base:
            self._git.run("update-ref", "--no-deref", place.ref, base, tip)
        branch = (os.fspath(place.folder), place.branch) if tip else ("-b", place.branch, os.fspath(place.folder), base)
        self._git.run("worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason", _FILLING, *branch)
        return False

    def _make_parents(self, place: Place) -> None:
        """The folders above the worktree, ours alone: through a planted link, git would write somewhere else."""
        for folder in (self._root.parent, self._root, place.folder.parent):
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                found = folder.lstat()
            except OSError as error:
                raise GitError(f"{folder} cannot be made: {error.strerror}", fix="look what stands there") from None
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise GitError(f"{folder} is a link or belongs to somebody else", fix="look at it, and remove it")

    def _clear(self, place: Place, base: str, entry: Listed | None) -> None:
        """Take away what an unfinished `open` or `close` left, and nothing else."""
        if entry is not None:
            if entry.locked not in _UNFINISHED:  # handed out, and its folder is gone
                tip = tip_of(self._git, place.ref)
                if not (tip and entry.head and is_ancestor(self._git, entry.head, tip)):
                    self._require_part_of(base, entry.head, f"the worktree {place.folder}, which is gone,")
            self._delete_files(place.folder)
            self._git.run("worktree", "remove", "--force", "--force", os.fspath(place.folder))
        elif os.path.lexists(place.folder):
            if place.folder.is_symlink() or not place.folder.is_dir() or _names(place.folder) - {".git"}:
                raise GitError(f"{place.folder} is no worktree of ours, and not empty", fix="look at it, and move it")
            self._delete_files(place.folder)

    def _require_part_of(self, base: str, commit: str, whose: str) -> None:
        if commit and not is_ancestor(self._git, commit, base):
            raise GitError(
                f"{whose} holds work that is not in its start: {commit[:12]}",
                fix=f"keep it on a branch of yours (git branch NAME {commit[:12]}), or use another attempt",
            )

    def _make_workspace(self, place: Place) -> None:
        """The workspace is there even where git has no file in it, and never outside of the worktree."""
        try:
            inside = place.workspace.resolve().is_relative_to(place.folder.resolve())
            if inside:
                place.workspace.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GitError(f"{place.workspace} cannot be made: {error.strerror}") from None
        if not inside:
            raise GitError(f"{place.workspace} is a link that leads out of the worktree", fix="remove the link")

    # -- closing ------------------------------------------------------------------------------------------------

    def close(self, place: Place) -> bool:
        """Remove the worktree, if nothing in it would be lost: no uncommitted file but ignored ones, and its HEAD is
        on a branch. Otherwise, False, and nothing is touched. The branch stays in any case.

        Nobody may be at work there any more, or just opening it. Raises GitError when git or the disk refuse.
        """
        remove_locks(self._git, place.ref)
        return self._remove(place.folder)

    def tidy(self) -> None:
        """Remove what a failure of git has left of worktrees of this run that were being opened or closed, and forget
        those whose folder is gone. Nobody may be at work in this run. Raises GitError like `close`."""
        mine = self._root / self._run
        known = [one for one in listed(self._git) if one.folder.parent == mine]
        for folder in [one.folder for one in known if one.gone or one.locked in _UNFINISHED]:
            self._remove(folder)

    def _remove(self, folder: Path) -> bool:
        entry = self._entry(folder)
        if entry is None:
            return not os.path.lexists(folder)
        if entry.locked not in _UNFINISHED:
            if entry.locked is not None or holds_work(self._git, folder, entry.head):
                return False
            with self._git.writing():
                self._git.run("worktree", "lock", "--reason", _REMOVING, os.fspath(folder))
        self._delete_files(folder)  # outside of the lock, because this can be many
        with self._git.writing():
            self._git.run("worktree", "remove", "--force", "--force", os.fspath(folder))
            _remove_if_empty(folder.parent)
        return True

    def _entry(self, folder: Path) -> Listed | None:
        return next((entry for entry in listed(self._git) if entry.folder == folder), None)

    @staticmethod
    def _delete_files(folder: Path) -> None:
        try:
            if os.path.lexists(folder):
                _delete_tree(folder)
        except OSError as error:
            raise GitError(f"{error.filename} cannot be removed: {error.strerror}", fix="make it writable") from None

    # -- what is left -------------------------------------------------------------------------------------------

    def remains(self, within: str, *, everywhere: bool = False) -> tuple[Remain, ...]:
        """What is left of the attempts of this run, or of all runs, and whether its work is in commit `within`."""
        start = "wavecrew/" if everywhere else f"wavecrew/{self._run}/"
        merged = self._branches(start, f"--merged={within}")
        known = {entry.folder: entry for entry in listed(self._git)}
        found = []
        folders = set(self._folders(everywhere))
        for branch, commit in sorted(self._branches(start).items()):
            run, slug, attempt = branch.split("/")[1:]
            folder = self._root / run / f"{slug}-{attempt}"
            unsaved = folder in folders and self._is_unsaved(folder, known.get(folder))
            there = folder if folder in folders else None
            found.append(Remain(run, branch, commit, there, _size(there), branch in merged, unsaved))
            folders.discard(folder)
        found += [Remain(f.parent.name, "", "", f, _size(f), merged=False, unsaved=True) for f in sorted(folders)]
        return tuple(found)

    def _is_unsaved(self, folder: Path, entry: Listed | None) -> bool:
        try:
            return entry is None or (entry.locked not in _UNFINISHED and holds_work(self._git, folder))
        except GitError:
            return True  # somebody is just at work there, or it is broken

    def _branches(self, start: str, *conditions: str) -> dict[str, str]:
        """Branches of attempts, with their commits. That of a whole run has one part less in its name."""
        lines = self._git.text(
            "for-each-ref", "--format=%(refname) %(objectname)", *conditions, BRANCHES + start
        ).splitlines()
        pairs = (line.removeprefix(BRANCHES).split(" ") for line in lines)
        return {branch: commit for branch, commit in pairs if branch.count("/") == 3}

    def _folders(self, everywhere: bool) -> Iterator[Path]:
        for run in self._root.glob("*") if everywhere else (self._root / self._run,):
            if run.is_dir() and not run.is_symlink():
                with contextlib.suppress(FileNotFoundError):  # closed by somebody since
                    yield from run.iterdir()

    def discard(self, remain: Remain) -> None:
        """Remove a branch with its worktree. Raises GitError, and removes nothing, unless its work is merged, nothing
        in the folder would be lost, and another branch or tag holds its commit."""
        if not remain.branch or not remain.merged or remain.unsaved:
            raise GitError(
                f"{remain.branch or remain.folder} holds work that is nowhere else",
                fix="merge it or keep what you need, then remove it by hand",
            )
        ref = BRANCHES + remain.branch
        holders = self._git.text("for-each-ref", "--format=%(refname)", f"--contains={remain.commit}").splitlines()
        if not set(holders) - {ref}:
            raise GitError(f"no other branch holds the work of {remain.branch}", fix="merge it before it is removed")
        if remain.folder is not None and not self._remove(remain.folder):
            raise GitError(f"{remain.folder} holds work that is nowhere else", fix="look at it, and commit what counts")
        with self._git.writing():
            self._git.run("update-ref", "--no-deref", "-d", ref, remain.commit)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # others are still there
        folder.rmdir()


def _delete_tree(folder: Path) -> None:
    """Like rmtree, also for folders that were made read-only, as some package caches are."""
    try:
        shutil.rmtree(folder)
    except PermissionError:
        folder.chmod(0o700)
        for parent, names, _ in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(folder)


def _size(folder: Path | None) -> int:
    """Bytes on the disk; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder) if folder else ():
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118 - many, and bytes survive
            except OSError:
                continue
    return total
