"""The files of the user, where a result lands on a branch that is checked out.

What it does: says of each uncommitted file whether a landing would lose something of it, and brings files, index and
branch to the new commit in one go, or leaves all three as they were.
What it does not know: which commit is to land, and how it came about.

A file whose content is in the commit that lands, or in the history below it, is no loss: that is so for all that a run
took in with `--include-dirty`. Documents of the plan may stay as they are, as they may for a run.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wavecrew.core.git import Git
from wavecrew.core.git_calls import printable
from wavecrew.errors import GitError

_FAST_FORWARD: Final = ("--no-squash", "--no-autostash", "--no-stat", "--no-verify-signatures", "--no-overwrite-ignore")
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Step:
    """What is to happen in a checkout: from commit `old` to `new`. `known` is a commit whose content is in the history
    of `new` (or empty), `exempt` are files that may differ, seen from the top."""

    old: str
    new: str
    known: str = ""
    exempt: Collection[str] = ()
    work: str = ""
    """A commit of what stands there now, ignored files apart."""


def land_files(git: Git, folder: Path, step: Step, run: str, picture: Callable[[], str]) -> None:
    """Bring the branch that is checked out in a folder, and its files, to the new commit. `picture` makes a commit of
    what stands there now. Raises GitError, with all as it was, for files whose content would be nowhere else, and when
    git refuses."""
    if not _unstaged(git, folder) and not any(os.path.lexists(folder / path) for path in _added(git, step)):
        _fast_forward(git, folder, step.new)
        return
    step = replace(step, work=picture())
    standing = _paths(git, step.old, step.work) | _unstaged(git, folder)
    taken = standing - _paths(git, step.work, step.new)
    if step.known:
        taken |= standing - _paths(git, step.work, step.known)
    taken -= _staged_otherwise(git, folder, step)
    lost = _lost(git, folder, step, standing - taken)
    if lost:
        raise _refusal(folder, lost, run)
    if not taken:
        _fast_forward(git, folder, step.new)
        return
    index = git.text("write-tree", cwd=folder)
    try:
        _show(git, folder, taken, step.new)
        _fast_forward(git, folder, step.new)
    except GitError:
        _show(git, folder, taken, step.work)
        git.run("read-tree", index, cwd=folder)
        git.run("update-index", "-q", "--refresh", cwd=folder, accept=(0, 1))
        raise


def _fast_forward(git: Git, folder: Path, new: str) -> None:
    git.run("merge", "--ff-only", "--quiet", *_FAST_FORWARD, new, cwd=folder)


def _lost(git: Git, folder: Path, step: Step, standing: Collection[str]) -> list[str]:
    """Those of some files that cannot stay and cannot go. What git does not know may stay if nothing comes there."""
    touched, tracked = _paths(git, step.old, step.new), _unstaged(git, folder)
    may_stay = {path for path in standing if path not in touched and (path in step.exempt or path not in tracked)}
    return sorted(set(standing) - may_stay)


def _refusal(folder: Path, lost: list[str], run: str) -> GitError:
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    named = ", ".join(map(printable, lost[:_NAMED])) + more
    aside = f" -- {' '.join(map(shlex.quote, lost))}" if len(lost) <= _NAMED else ""
    where = "" if folder == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    return GitError(
        f"{folder} has uncommitted changes that are not in the result: {named}",
        fix=f"commit or stash them: {where}git stash push -u{aside} && wavecrew land {run} && git stash pop",
    )


def _paths(git: Git, before: str, after: str) -> set[str]:
    """The files that differ between two commits, seen from the top."""
    return _split(git.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", before, after).out)


def _added(git: Git, step: Step) -> set[str]:
    words = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A")
    return _split(git.run(*words, step.old, step.new).out)


def _unstaged(git: Git, folder: Path) -> set[str]:
    """Files that git knows and that are not as in HEAD, here or in the index."""
    out = git.run("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", cwd=folder).out
    return {os.fsdecode(entry[3:]) for entry in out.split(b"\0") if entry}


def _staged_otherwise(git: Git, folder: Path, step: Step) -> set[str]:
    """Files of which the index holds something that is neither in their folder nor in any of the commits."""
    commits = [commit for commit in (step.old, step.new, step.work, step.known) if commit]
    words = ("diff-index", "--cached", "-z", "--no-renames", "--name-only")
    return set.intersection(*(_split(git.run(*words, commit, cwd=folder).out) for commit in commits))


def _show(git: Git, folder: Path, paths: Iterable[str], commit: str) -> None:
    """Some files as a commit has them, in the folder and in the index."""
    wanted = sorted(paths)
    has = _split(git.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit).out)
    here = [path for path in wanted if path in has]
    gone = [path for path in wanted if path not in has]
    if gone:
        git.run("update-index", "--force-remove", "-z", "--stdin", given=_joined(gone), cwd=folder)
        for path in gone:
            _unlink(folder / path)
    if here:
        options = ("--pathspec-from-file=-", "--pathspec-file-nul")
        literally = {"GIT_LITERAL_PATHSPECS": "1"}
        git.run("checkout", "--quiet", commit, *options, given=_joined(here), cwd=folder, environment=literally)


def _unlink(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise GitError(f"{file} cannot be removed: {error.strerror}", fix="remove it, then land again") from None


def _split(out: bytes) -> set[str]:
    return {os.fsdecode(path) for path in out.split(b"\0") if path}


def _joined(paths: Iterable[str]) -> bytes:
    return b"\0".join(os.fsencode(path) for path in paths)
