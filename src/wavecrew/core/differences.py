"""What differs between two states of the files, in git's words.

What it does: asks git which files changed and how, between two commits or from a commit to what stands in a folder, and
which files of a folder are in no commit yet.
What it does not know: whose work it is, and how it is shown. It changes nothing, not even an index.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from wavecrew.core.git import Git
from wavecrew.models.results import FileChange

_FORM: Final = ("--no-color", "--find-renames", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/")
"""Against what the user may have set for diffs, so that a patch can be applied and read by programs."""


def patch(git: Git, before: str, after: str = "", folder: Path | None = None) -> bytes:
    """The differences as a patch. Without `after`, from a commit to what stands in `folder` (only files that git knows
    there). Raises GitError, also when a commit is not there any more."""
    return git.run("diff", *_FORM, before, *_second(after), "--", cwd=folder).out


def changed_files(git: Git, before: str, after: str = "", folder: Path | None = None) -> tuple[FileChange, ...]:
    """The files that differ, both names of one that was renamed. Raises GitError like `patch`."""
    out = git.run("diff", *_FORM, "--numstat", "-z", before, *_second(after), "--", cwd=folder).out
    fields = [os.fsdecode(field) for field in out.split(b"\0")]
    found: list[FileChange] = []
    while len(fields) > 1:
        added, removed, path = fields.pop(0).split("\t", 2)
        earlier = ""
        if not path:  # a renaming: both names follow
            earlier, path = fields.pop(0), fields.pop(0)
        found.append(FileChange(path, _count(added), _count(removed), earlier))
    return tuple(found)


def _second(after: str) -> tuple[str, ...]:
    return (after,) if after else ()


def _count(text: str) -> int | None:
    return None if text == "-" else int(text)


def uncommitted(git: Git, folder: Path) -> tuple[str, ...]:
    """The files of a worktree that are in no commit yet, ignored ones apart: two letters of git, a blank, the path."""
    out = git.run("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", cwd=folder).out
    return tuple(os.fsdecode(entry) for entry in out.split(b"\0") if entry)


def new_commits(git: Git, before: str, after: str) -> int:
    """How many commits `after` has that `before` has not."""
    return int(git.text("rev-list", "--count", f"^{before}", after))
