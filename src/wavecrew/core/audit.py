"""What was really written: the files of a workspace before and after, held against what was claimed.

What it does: takes pictures of a shared workspace (size, time and inode of every file), and says which files changed
between two of them that nobody who was at work had claimed for writing.
What it does not know: what happens to a phase for it, and content (a file that was rewritten with the same size
within the resolution of the clock and in place is not noticed).

In one shared folder nobody can say for certain which of several agents wrote a file. So pictures are taken whenever an
attempt starts or ends, and what changed in between is laid to those who were at work in between: often that is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.git_calls import printable
from wavecrew.core.resource_keys import ResourceKeys, is_temporary
from wavecrew.models.resources import Claim, ClaimIndex, Resource, ResourceKind

TOOL_FOLDERS: Final = frozenset(
    {".git", ".wavecrew", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "node_modules", ".venv"}
)
"""Folders that tools fill by themselves; what is in them is nobody's work."""
_SHOWN: Final = 5

_Picture = dict[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Undeclared:
    """Files that changed without a claim, and the phases that were at work then; one of them did it."""

    suspects: tuple[str, ...]
    paths: tuple[str, ...]


class Audit:
    """Watches the files of one workspace for one coordinator. Nothing is known of what happens while it is away."""

    def __init__(self, keys: ResourceKeys) -> None:
        self._keys = keys
        self._picture: _Picture | None = None

    def look(self, at_work: Mapping[str, tuple[Claim, ...]]) -> Undeclared | None:
        """Take a picture, and hold what changed since the one before against the claims of those who were at work
        since then."""
        before, self._picture = self._picture, _photograph(self._keys.workspace)
        if before is None or not at_work:
            return None
        changed = sorted(
            name for name in before.keys() | self._picture.keys() if before.get(name) != self._picture.get(name)
        )
        if not changed:
            return None
        paths = unclaimed(self._keys, changed, (claim for claims in at_work.values() for claim in claims))
        return Undeclared(tuple(at_work), paths) if paths else None

    def know(self, names: Iterable[str]) -> None:
        """Take these files as they are now: it was us who changed them."""
        if self._picture is None:
            return
        for name in names:
            try:
                self._picture[name] = _seen((self._keys.workspace / name).lstat())
            except OSError:
                self._picture.pop(name, None)


def unclaimed(keys: ResourceKeys, names: Iterable[str], claims: Iterable[Claim]) -> tuple[str, ...]:
    """Those of some changed files that no claim allows to be written."""
    allowed: ClaimIndex[str] = ClaimIndex()
    allowed.add("", (claim for claim in claims if claim.exclusive))
    asked = ((name, Claim(Resource(ResourceKind.FILE, keys.spelling(name)))) for name in names)
    return tuple(name for name, claim in asked if next(allowed.in_the_way("?", (claim,)), None) is None)


def told(paths: tuple[str, ...]) -> str:
    """Some paths, and how many more there are. Agents choose names, and they go to terminals and into prompts."""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(map(printable, paths[:_SHOWN])) + more


def _photograph(workspace: Path) -> _Picture:
    picture: _Picture = {}
    root = str(workspace)
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue  # removed meanwhile, or closed to us: then nobody of ours wrote there
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in TOOL_FOLDERS:
                    folders.append(entry.path)
                continue
            if is_temporary(entry.name):
                continue  # it will be in its place in an instant, under its own name
            try:
                picture[entry.path[len(root) + 1 :]] = _seen(entry.stat(follow_symlinks=False))
            except OSError:
                continue
    return picture


def _seen(file: os.stat_result) -> tuple[int, int, int]:
    return file.st_size, file.st_mtime_ns, file.st_ino
