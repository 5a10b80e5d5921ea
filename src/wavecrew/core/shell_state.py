"""What somebody knows who reads a shell command without running it: what is written, and where it may be by now.

What it does: holds the writes that were found, and follows the folders that a command may run in through `cd`, `&&`
and `||`, where a step may fail.
What it does not know: the shell's language (`shell_words`) and its programs (`shell_writes`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from wavecrew.core.shell_words import AND, NEXT

_MOST: Final = 8


class WriteKind(StrEnum):
    """What is done at a path: a file is written, also through a link; a whole tree; the name itself goes or comes; the
    files that a pattern matches; a folder is made, which is nobody's content."""

    FILE = "file"
    TREE = "tree"
    ENTRY = "entry"
    GLOB = "glob"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Write:
    """One absolute path, as it was written (with `..` and links). With `into`, and if the path is a folder, it is the
    entry of that name in it."""

    path: str
    kind: WriteKind = WriteKind.FILE
    into: str = ""


@dataclass(slots=True)
class Writes:
    """What was found. `unread` has the words, or programs, of writes whose place cannot be read."""

    found: dict[Write, None] = field(default_factory=dict)
    unread: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Folders:
    """Where a command may be running: one of `now`, of which an empty one means any. `left` are those which may be the
    right ones again when the commands that are joined by `&&` and `||` end; `joined` is whether one stands before."""

    now: tuple[str, ...]
    left: tuple[str, ...] = ()
    joined: bool = False

    def go_on(self, joint: str) -> None:
        """To the next command, joined by this."""
        if joint != AND:
            self.now = together(self.now, self.left)
        if joint == NEXT:
            self.left = ()
        self.joined = joint != NEXT

    def change(self, folders: tuple[str, ...], *, certain: bool) -> None:
        """To other folders, by a command that does so for certain, or may not."""
        if not certain or self.joined:
            self.left = together(self.left, self.now)
        self.now = folders


def together(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """All of them; any folder, where they are too many to follow."""
    found = tuple(dict.fromkeys((*some, *others)))
    return found if len(found) <= _MOST else ("",)
