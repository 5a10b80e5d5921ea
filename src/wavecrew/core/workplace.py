"""Where an attempt may write: from the paths of a tool call to the keys that are locked.

What it does: follows links as the file system has them now, maps a path in the worktree of an attempt to the key of
the same path in the workspace, and refuses what lies outside, and what no attempt may ever write.
What it does not know: locks and who holds them. A link that is swapped after the look is the ceiling's concern.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.shell_state import Write, WriteKind
from wavecrew.errors import InvalidValueError
from wavecrew.models.resources import MAX_LENGTH, Resource, ResourceKind, meets, parse_resource

_CLOSED: Final = (".git", ".wavecrew")
_WHOLE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that will be written: its key, and where it lies on the disk (empty for what is no single file)."""

    resource: Resource
    file: str = ""


class Workplace:
    """The place of one attempt. `root` is where it works: a worktree, or the workspace itself. In `free` folders, such
    as its home and the one for temporary files, it may write what it likes; where one lies in another, the inner one
    counts. `documents` are those of the plan. `moved_on` tells which of some files in a worktree are others by now in
    what it will be merged with, as git shows them."""

    def __init__(
        self,
        workspace: Path,
        root: Path,
        *,
        free: Iterable[Path] = (),
        documents: Iterable[Path] = (),
        moved_on: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda files: (),
    ) -> None:
        self.moved_on = moved_on
        self.workspace = os.path.realpath(workspace)
        self.root = os.path.realpath(root)
        self._keys = ResourceKeys(Path(self.root))
        self._free = tuple(os.path.realpath(folder) for folder in free)
        self._own = tuple(folder for folder in self._free if self._is_within(folder))
        inside = (_below(os.path.realpath(document), self.workspace) for document in documents)
        self._documents = tuple(
            Resource(ResourceKind.FILE, self._keys.spelling(name)) for name in inside if name is not None
        )

    @property
    def is_shared(self) -> bool:
        """Whether others work in the same folder."""
        return self.root == self.workspace

    def _is_within(self, folder: str) -> bool:
        """Whether a free folder lies within what is else locked, or closed."""
        return any(_below(folder, outer) for outer in (self.workspace, self.root))

    def targets(self, writes: Iterable[Write]) -> tuple[Target, ...]:
        """What has to be held for these writes. Raises InvalidValueError, in words for the agent, for one that may not
        be."""
        try:
            return tuple(dict.fromkeys(target for write in writes for target in self._targets(write)))
        except OSError as error:
            raise InvalidValueError(f"{error.filename} cannot be looked at: {error.strerror}") from None

    def _targets(self, write: Write) -> Iterator[Target]:
        if not write.path.isprintable() or len(write.path) > MAX_LENGTH:
            raise InvalidValueError(f"the path {write.path[:200]!r} is too long or has characters that cannot be seen")
        if write.kind is WriteKind.GLOB:
            yield from self._pattern(write.path)
            return
        path = write.path
        if write.into and Path(path).is_dir():
            path = f"{path.rstrip('/')}/{write.into}"
        entry, file = _entry(path), os.path.realpath(path)
        if write.kind is not WriteKind.ENTRY and Path(file).is_symlink():
            raise InvalidValueError(f"{path} is a ring of links")
        places = [entry] if write.kind is WriteKind.ENTRY else [file, entry]
        for number, place in enumerate(dict.fromkeys(places)):
            name = self._allowed(place, optional=number > 0)
            if name is None or write.kind is WriteKind.FOLDER:
                continue
            is_tree = write.kind is WriteKind.TREE or (Path(place).is_dir() and not Path(place).is_symlink())
            if name or not is_tree:
                yield self._target(name, place, is_tree=is_tree)
            elif self.is_shared:
                raise InvalidValueError("this may write anywhere in the folder. Name the files, or a folder in it")

    def _target(self, name: str, place: str, *, is_tree: bool) -> Target:
        resource = Resource(ResourceKind.TREE if is_tree else ResourceKind.FILE, self._keys.spelling(name))
        if any(meets(resource, document) for document in self._documents):
            raise _is_closed(name, "is a document of the plan")
        return Target(resource, "" if is_tree else place)

    def _allowed(self, place: str, *, optional: bool = False) -> str | None:
        """The path below the root, or None where everybody may write. `optional`: it is the name of a link whose
        target is judged by itself."""
        name = _below(place, self.root)
        if any(_below(place, folder) is not None for folder in self._own):
            return None
        if name is not None:
            closed = [part for part in name.split("/") if self._keys.spelling(part).casefold() in _CLOSED]
            if closed:
                raise _is_closed(name, f"belongs to {closed[0].lstrip('.').lower()}")
            return name
        known = _below(place, self.workspace)
        if known is not None:
            raise InvalidValueError(f"{place} is not yours: you work in {self.root}. Write {self.root}/{known} instead")
        if optional or any(_below(place, folder) is not None for folder in self._free):
            return None
        raise InvalidValueError(f"{place} is outside of {self.root}, where you work. Write below that folder")

    def _pattern(self, path: str) -> Iterator[Target]:
        """A pattern of the shell; the part before its first wild card is a folder like any other."""
        parts = path.split("/")
        first = next(at for at, part in enumerate(parts) if any(character in "*?[" for character in part))
        name = self._allowed(os.path.realpath("/".join(parts[:first]) or "/"))
        if name is None:
            return
        pattern = "/".join(part for part in parts[first:] if part)
        if ".." in pattern.split("/"):
            raise InvalidValueError(f"the pattern {path} cannot be followed. Name the files")
        resource = parse_resource(self._keys.spelling(f"{name}/{pattern}" if name else pattern))
        for closed in _CLOSED:
            hidden = any(part.startswith(".") for part in pattern.split("/"))  # a star never means a hidden file
            if hidden and meets(resource, Resource(ResourceKind.TREE, closed)):
                raise _is_closed(path, f"could mean what belongs to {closed[1:]}")
        if any(meets(resource, document) for document in self._documents):
            raise _is_closed(path, "means a document of the plan")
        yield Target(resource)


def fingerprint(file: str) -> str:
    """What tells whether a file was changed; empty for one that is not there. Very large ones by size and time."""
    try:
        found = Path(file).stat()
        if found.st_size > _WHOLE_BYTES or not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
            return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
        with Path(file).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"error {error.errno}"


def _is_closed(name: str, why: str) -> InvalidValueError:
    return InvalidValueError(f"{name} {why}, and no phase may change it. Do your work without that")


def _entry(path: str) -> str:
    """The place of a name itself: links are followed up to its folder, but not the name."""
    head, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return os.path.realpath(path)
    return f"{os.path.realpath(head or '/').rstrip('/')}/{name}"


def _below(place: str, folder: str) -> str | None:
    """The path from a folder to what lies in it, empty for the folder itself; None for what lies elsewhere."""
    if place == folder:
        return ""
    start = folder.rstrip("/") + "/"
    return place[len(start) :] if place.startswith(start) else None
