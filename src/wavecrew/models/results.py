"""What can be told of the work of a run: which files changed, what was landed, what is left
over, which agents nobody looks after.

What it does: holds these as values, for those who find them out and those who show them.
What it does not know: git and the disk; how it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs, seen from the top of the repository. `added` and `removed` count lines; None: it is no text.
    `before` is its name before, if it was renamed."""

    path: str
    added: int | None
    removed: int | None
    before: str = ""


class WorkStage(StrEnum):
    """How far the work of an attempt has come."""

    MERGED = "merged"
    SEALED = "sealed"
    """It is a commit, and not in the result (yet)."""
    UNFINISHED = "unfinished"
    """The attempt has ended, and not well."""
    AT_WORK = "at work"


@dataclass(frozen=True, slots=True)
class Met:
    """A phase whose work came into the result while another was at work, and the files that both changed."""

    phase: str
    name: str
    both: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the work of one attempt began and what became of it, as the history tells. `commit` is the one that holds
    it (empty: nothing is sealed), `refused` why it could not be merged, `before` how the attempts before it ended."""

    run: str
    phase: str
    name: str
    attempt: int
    base: str
    branch: str
    stage: WorkStage
    commit: str = ""
    met: tuple[Met, ...] = ()
    refused: str = ""
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """What an attempt has changed. `uncommitted` are files of its folder that are in no commit yet, as git's two
    letters, a blank and the path. `patch` is what `git diff` says, in bytes as they are."""

    trail: Trail
    files: tuple[FileChange, ...]
    uncommitted: tuple[str, ...]
    patch: bytes


@dataclass(frozen=True, slots=True)
class Landed:
    """The result was brought to a branch of the user: from commit `before` to `after`. `result` is the commit of the
    result. `commits` counts those that are new there, `open` are phases that are not in it."""

    run: str
    branch: str
    before: str
    after: str
    result: str
    phases: tuple[str, ...]
    commits: int
    files: tuple[FileChange, ...]
    open: tuple[str, ...]

    @property
    def already(self) -> bool:
        """Whether the branch had everything before."""
        return self.before == self.after

    @property
    def fast_forward(self) -> bool:
        """Whether the branch is now just where the result is."""
        return self.after == self.result


@dataclass(frozen=True, slots=True)
class Sign:
    """What can be seen of the agent of an open attempt that nobody is in charge of: whether it is `alive`, when its
    last sign of life was (seconds since 1970, None if unknown), and whether it left a result."""

    alive: bool
    at: float | None
    result: bool


class Fate(StrEnum):
    """What happens, or has happened, to something that is left over."""

    REMOVABLE = "removable"
    REMOVED = "removed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that a run has left: a branch, a worktree, or both. `size` is in bytes on the disk. `reason` tells why
    it is kept or can go, `look` is a command that shows what is in it, and `remove` one by which a person lets go of
    what is kept. Without a phase it is the result of the run, or the run as a whole."""

    run: str
    branch: str
    fate: Fate
    reason: str
    look: str = ""
    size: int = 0
    folder: str = ""
    phase: str = ""
    attempt: int = 0
    remove: str = ""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Bytes on the disk: worktrees of attempts, logs with all else that belongs to attempts, and the history. `whole`:
    everything was counted, else there is more."""

    worktrees: int = 0
    logs: int = 0
    history: int = 0
    whole: bool = True
