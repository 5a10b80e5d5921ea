"""The files that a phase may write, as they were before an attempt, so that the next attempt starts where it did.

What it does: keeps copies of the claimed files beside the attempt, and puts them back while the locks are still held.
What it does not know: why an attempt is repeated. Claims on more than a limit of bytes, or on what cannot be read,
are not copied, and then nothing is put back: half a state would be worse than the one that is there.

In a claimed folder everything is put back, folders included, because nobody else works there. Beside a claimed file
others may be at work, so the folders around it are left alone. Nothing is ever reached through a link that an agent
put in the place of a folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wavecrew.core.resource_keys import is_temporary
from wavecrew.models.resources import Claim, Resource, ResourceKind, literal_prefix, meets

LIMIT_BYTES: Final = 64 * 1024 * 1024
BEFORE: Final = "before"
"""Copies of the files as an attempt found them."""
ASIDE: Final = "aside"
"""Copies of the files as an attempt that was interrupted left them."""
_LEFT: Final = "left.json"
_SKIPPED_FOLDERS: Final = frozenset({".git", ".wavecrew"})


@dataclass(slots=True)
class _Covered:
    """What some claims cover: files (links, pipes and the like too), and folders that nobody else may change."""

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)


def keep(workspace: Path, folder: Path, claims: Iterable[Claim], copies: str = BEFORE) -> bool:
    """Copy what the exclusive claims cover into the attempt folder. Tells whether it did.

    Raises OSError when the disk refuses the copies.
    """
    try:
        found = _covered(workspace, claims)
        found.files = {name for name in found.files if not is_temporary(Path(name).name)}
        sizes = {name: (workspace / name).lstat() for name in found.files}
        if sum(file.st_size for file in sizes.values()) > LIMIT_BYTES:
            return False
        for name, file in sizes.items():
            if stat.S_ISREG(file.st_mode) or stat.S_ISLNK(file.st_mode):  # a pipe or a socket has nothing to copy
                copy = folder / copies / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(workspace / name, copy, follow_symlinks=False)
    except (PermissionError, FileNotFoundError):
        _forget(folder, copies)
        return False
    # the index comes last: without it the copies do not count
    index = {"files": sorted(found.files), "folders": sorted(found.folders)}
    _write(_index(folder, copies), index)
    return True


def has(folder: Path, copies: str) -> bool:
    """Whether there are such copies, whole."""
    return _index(folder, copies).exists()


def put_back(workspace: Path, folder: Path, claims: Iterable[Claim], copies: str = BEFORE) -> tuple[str, ...] | None:
    """Make what the claims cover as it was when the copies were made. Gives the files that it touched, or None when
    there are no copies.

    Doing it twice is the same as once, and doing it half and then again, too. Raises OSError when the disk refuses;
    what could be put back is in its place then.
    """
    before = _read(_index(folder, copies))
    if before is None:
        return None
    files, folders = set(before["files"]), set(before["folders"])
    found = _covered(workspace, claims)
    touched = sorted(found.files - files)
    for name in touched:
        (workspace / name).unlink(missing_ok=True)
    for name in sorted(found.folders - folders, reverse=True):
        with contextlib.suppress(OSError):  # not empty: something in it is none of ours, such as a repository
            (workspace / name).rmdir()
    refused: OSError | None = None
    for name in sorted(folders):
        if _is_reached(workspace, name):
            (workspace / name).mkdir(parents=True, exist_ok=True)
    for name in sorted(files):
        try:
            touched += [name] * _replace(workspace, folder / copies / name, name)
        except OSError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return tuple(touched)


def _replace(workspace: Path, copy: Path, name: str) -> bool:
    """Put one file back, whole or not at all. Tells whether it had changed."""
    target = workspace / name
    if not os.path.lexists(copy) or not _is_reached(workspace, name) or _same(copy, target):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.wavecrew")
    temporary.unlink(missing_ok=True)  # of one who was killed here, or a link that would lead our writing elsewhere
    shutil.copy2(copy, temporary, follow_symlinks=False)
    temporary.replace(target)
    return True


def hand_on(last: Path, folder: Path) -> bool:
    """Give the copies of one attempt to the next, which is to start from the same state. Tells whether there were any.

    From then on they are those of the next attempt, so that whoever is killed while putting them back is followed
    by somebody who does it again.
    """
    if not has(last, BEFORE):
        return False
    with contextlib.suppress(FileNotFoundError):  # there were no files to copy
        (last / BEFORE).replace(folder / BEFORE)
    _index(last, BEFORE).replace(_index(folder, BEFORE))
    return True


def note_left(workspace: Path, folder: Path, claims: Iterable[Claim]) -> None:
    """Write down what an attempt that was given up left behind, so that it is known later whether others have been
    there since."""
    _write(folder / _LEFT, _signature(workspace, claims))


def is_as_left(workspace: Path, folder: Path, claims: Iterable[Claim]) -> bool:
    """Whether nobody has touched what a given-up attempt left behind."""
    left = _read(folder / _LEFT)
    return left is not None and bool(left == _signature(workspace, claims))


def forget(folder: Path) -> None:
    """The copies are not needed any more."""
    for copies in (BEFORE, ASIDE):
        _forget(folder, copies)


def _forget(folder: Path, copies: str) -> None:
    _index(folder, copies).unlink(missing_ok=True)
    shutil.rmtree(folder / copies, ignore_errors=True)


def _index(folder: Path, copies: str) -> Path:
    return folder / f"{copies}.json"


def _signature(workspace: Path, claims: Iterable[Claim]) -> dict[str, list[int]]:
    signature = {}
    for name in sorted(_covered(workspace, claims).files):
        file = (workspace / name).lstat()
        signature[name] = [file.st_size, file.st_mtime_ns, file.st_ino]
    return signature


def _same(copy: Path, target: Path) -> bool:
    try:
        a, b = copy.lstat(), target.lstat()
    except OSError:
        return False
    if (a.st_size, a.st_mtime_ns, a.st_mode) != (b.st_size, b.st_mtime_ns, b.st_mode):
        return False
    if stat.S_ISLNK(a.st_mode):
        return copy.readlink() == target.readlink()
    # two writes within one tick of the clock have one time
    return not stat.S_ISREG(a.st_mode) or copy.read_bytes() == target.read_bytes()


# -- what the claims cover --------------------------------------------------------------------------------------


def _covered(workspace: Path, claims: Iterable[Claim]) -> _Covered:
    found = _Covered()
    for claim in claims:
        if claim.exclusive and claim.resource.kind is not ResourceKind.NAME:
            _cover(workspace, claim.resource, found)
    return found


def _cover(workspace: Path, resource: Resource, found: _Covered) -> None:
    if resource.kind is ResourceKind.GLOB:
        below = _walk(workspace, literal_prefix(resource.key), _Covered())
        found.files.update(name for name in below if meets(resource, Resource(ResourceKind.FILE, name)))
    elif not _is_reached(workspace, resource.key) or not os.path.lexists(workspace / resource.key):
        return
    elif not _is_folder(workspace / resource.key):
        found.files.add(resource.key)  # also a file, or a link, that has taken the place of a claimed folder
    elif resource.kind is ResourceKind.TREE:
        found.files.update(_walk(workspace, resource.key, found))


def _walk(workspace: Path, start: str, found: _Covered) -> Iterator[str]:
    """The files below a folder, as paths relative to the workspace; its folders are noted. Links are not followed."""
    if not _is_reached(workspace, start) or (start and not _is_folder(workspace / start)):
        return
    for folder, folders, files in os.walk(workspace / start):
        place = os.path.relpath(folder, workspace)
        found.folders.update({place} - {"."})
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        for name in (*files, *links):
            yield name if place == "." else f"{place}/{name}"


def _is_reached(workspace: Path, name: str) -> bool:
    """Whether a path leads where it says: keys are free of links, so a link above one was made since, by an agent."""
    parent = (workspace / name).parent if name else workspace
    return os.path.realpath(parent) == str(parent)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


# -- records beside the attempt ---------------------------------------------------------------------------------


def _write(path: Path, record: object) -> None:
    path.write_text(json.dumps(record), encoding="utf-8")  # in ASCII, so that any file name can be written


def _read(path: Path) -> Any:
    """A record, or None where there is none: a torn one was never finished."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
