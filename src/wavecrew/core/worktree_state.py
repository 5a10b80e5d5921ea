"""What git and the disk say about one worktree.

What it does: lists worktrees, proves that a folder is still the worktree that git knows there, and looks whether it
holds anything that is on no branch.
What it does not know: attempts, and what is done about what it finds. It changes nothing but flags in the index of a
worktree that would hide changes, and removes locks that nobody holds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.git import Git
from wavecrew.errors import GitError

STEPS: Final = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "sequencer": "a cherry-pick",
    "BISECT_LOG": "a bisection",
}
"""What git leaves in its own folder of a worktree while an operation is half done."""


_MARKS: Final = ("CHERRY_PICK_HEAD", "REVERT_HEAD")
"""Marks of operations that bring one commit in. Without files in conflict its content stands there whole; below the
kernel limit, git cannot even take the mark away that it has left."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One worktree as git lists it. `head` and `branch` (a full name) are empty where there is none; `locked` is the
    reason of a lock, None without one; `gone` tells that git does not find its folder."""

    folder: Path
    head: str
    branch: str
    locked: str | None
    gone: bool


def listed(git: Git) -> tuple[Listed, ...]:
    """All worktrees of the repository, the user's own first."""
    with git.writing():  # reading too: git fails on a worktree that another process is just making
        records = git.run("worktree", "list", "--porcelain", "-z").out.split(b"\0\0")
    return tuple(_listed(record) for record in records if record)


def _listed(record: bytes) -> Listed:
    fields = dict(os.fsdecode(line).partition(" ")[::2] for line in record.split(b"\0") if line)
    head = fields.get("HEAD", "")
    return Listed(
        folder=Path(fields["worktree"]),
        head=head if head.strip("0") else "",
        branch=fields.get("branch", ""),
        locked=fields.get("locked"),
        gone="prunable" in fields,
    )


def private_folder(git: Git, folder: Path) -> Path:
    """Git's own folder for one worktree. Raises GitError when the folder is not, or not any more, the worktree that
    git knows there: without its `.git` file, git would work on the repository around it."""
    link = folder / ".git"
    try:
        if folder.is_symlink() or link.is_symlink() or not link.is_file():
            raise GitError(f"{folder} is no worktree any more", fix="look at it: its files are still there")
        private = folder / os.fsdecode(link.read_bytes()).removeprefix("gitdir: ").removesuffix("\n")
        back = private / os.fsdecode((private / "gitdir").read_bytes()).removesuffix("\n")
        ours = (private.parent.resolve(), back.resolve()) == ((git.common / "worktrees").resolve(), link.resolve())
    except OSError as error:
        raise GitError(f"{folder} cannot be looked at: {error.strerror}", fix="look at it") from None
    except ValueError:  # a NUL in a path
        raise GitError(f"{folder} is no worktree any more", fix="look at it: its files are still there") from None
    if not ours:
        raise GitError(f"{folder} belongs to another repository now", fix="look at it: its files are still there")
    return private


def remove_locks(git: Git, ref: str, private: Path | None = None) -> None:
    """Remove the locks that a killed git has left on a branch and in git's own folder of its worktree. Nobody may be
    at work there any more."""
    inner = (private / "index.lock", private / "HEAD.lock") if private is not None else ()
    for lock in (git.common / f"{ref}.lock", *inner):
        lock.unlink(missing_ok=True)


def half_done(private: Path, conflicts: Sequence[str]) -> str:
    """The operation that was begun in a worktree and not ended, for people; empty if there is none. `conflicts` are the
    files in conflict there."""
    found = (name for name in STEPS if os.path.lexists(private / name))
    return next((STEPS[name] for name in found if conflicts or name not in _MARKS), "")


def remove_marks(private: Path) -> None:
    """Take away what operations have left that are over, as `half_done` judges."""
    for name in _MARKS:
        (private / name).unlink(missing_ok=True)


def show_hidden(git: Git, folder: Path) -> tuple[str, ...]:
    """Take the flags off that hide changes of files that are there (`--assume-unchanged`, `--skip-worktree`). Returns
    the files in conflict."""
    tags = [(line[:1], line[2:]) for line in git.run("ls-files", "-z", "-v", cwd=folder).out.split(b"\0") if line]
    assumed = [path for tag, path in tags if tag.islower()]
    skipped = [path for tag, path in tags if tag in b"Ss" and os.path.lexists(os.fsencode(folder) + b"/" + path)]
    for flag, paths in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)):
        if paths:
            git.run("update-index", flag, "-z", "--stdin", cwd=folder, given=b"\0".join(paths) + b"\0")
    return tuple(dict.fromkeys(os.fsdecode(path) for tag, path in tags if tag == b"M"))


def holds_work(git: Git, folder: Path, head: str = "") -> bool:
    """Whether a worktree holds anything that would be lost with it: uncommitted files that are not ignored, a half-done
    operation, other repositories, or a HEAD that is on no branch. `head` is what git lists, if the folder is gone."""
    if os.path.lexists(folder):
        try:
            private = private_folder(git, folder)
        except GitError:
            return True  # not ours any more: somebody's work, for all we know
        conflicts = show_hidden(git, folder)
        if half_done(private, conflicts) or _uncommitted(git, folder) or _inner_repositories(git, folder):
            return True
        head = tip_of(git, "HEAD", folder)
    if not head:
        return False
    return not git.text("for-each-ref", "--count=1", f"--contains={head}", "refs/heads/", "refs/tags/")


def _uncommitted(git: Git, folder: Path) -> bool:
    return bool(git.run("status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames", cwd=folder).out)


def _inner_repositories(git: Git, folder: Path) -> bool:
    """Whether a repository that is entered as such (a submodule) has been filled here: its commits are its own."""
    lines = git.run("ls-files", "-z", "--stage", cwd=folder).out.split(b"\0")
    paths = [line.partition(b"\t")[2] for line in lines if line.startswith(b"160000 ")]
    return any(os.path.lexists(os.fsencode(folder) + b"/" + path + b"/.git") for path in paths)


def tip_of(git: Git, ref: str, folder: Path | None = None) -> str:
    """The commit that a reference stands at; empty if there is none."""
    return git.text("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", cwd=folder, accept=(0, 1))


def is_ancestor(git: Git, commit: str, of: str) -> bool:
    """Whether everything in `commit` is also in `of`."""
    return git.run("merge-base", "--is-ancestor", commit, of, accept=(0, 1)).code == 0
