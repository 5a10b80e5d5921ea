"""The files that a phase may write, as they were before an attempt, so that the next attempt starts where it did.

What it does: keeps copies of the claimed files beside the attempt, and puts them back while the locks are still held.
What it does not know: why an attempt is repeated. Claims on more than a limit of bytes are not copied, and then
nothing is put back: half a state would be worse than the one that is there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from wavecrew.models.resources import Claim, Resource, ResourceKind, literal_prefix, meets

LIMIT_BYTES: Final = 64 * 1024 * 1024
_COPIES: Final = "before"
_INDEX: Final = "before.json"
_LEFT: Final = "left.json"


def keep(workspace: Path, folder: Path, claims: Iterable[Claim]) -> bool:
    """Copy what the exclusive claims cover into the attempt folder. Tells whether it did. Raises OSError."""
    present = sorted(set(_files(workspace, _written(claims))))
    if sum((workspace / name).lstat().st_size for name in present) > LIMIT_BYTES:
        return False
    for name in present:
        copy = folder / _COPIES / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(workspace / name, copy, follow_symlinks=False)
    # the index comes last: without it the copies do not count
    (folder / _INDEX).write_text(json.dumps(present), encoding="utf-8")
    return True


def put_back(workspace: Path, folder: Path, claims: Iterable[Claim]) -> bool:
    """Make what the claims cover as it was. Tells whether it did; doing it twice is the same as once.

    Raises OSError when the disk refuses.
    """
    try:
        present = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    for name in set(_files(workspace, _written(claims))) - set(present):
        (workspace / name).unlink(missing_ok=True)
    for name in present:
        copy, target = folder / _COPIES / name, workspace / name
        if _same(copy, target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.wavecrew")
        shutil.copy2(copy, temporary, follow_symlinks=False)
        temporary.replace(target)
    return True


def note_left(workspace: Path, folder: Path, claims: Iterable[Claim]) -> None:
    """Write down what an attempt that was given up left behind, so that it is known later whether others have been
    there since."""
    (folder / _LEFT).write_text(json.dumps(_signature(workspace, claims)), encoding="utf-8")


def is_as_left(workspace: Path, folder: Path, claims: Iterable[Claim]) -> bool:
    """Whether nobody has touched what a given-up attempt left behind."""
    try:
        left = json.loads((folder / _LEFT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(left == _signature(workspace, claims))


def _signature(workspace: Path, claims: Iterable[Claim]) -> dict[str, list[int]]:
    found = {}
    for name in sorted(set(_files(workspace, _written(claims)))):
        file = (workspace / name).lstat()
        found[name] = [file.st_size, file.st_mtime_ns, file.st_ino]
    return found


def _written(claims: Iterable[Claim]) -> list[Resource]:
    return [claim.resource for claim in claims if claim.exclusive and claim.resource.kind is not ResourceKind.NAME]


def forget(folder: Path) -> None:
    """The copies are not needed any more."""
    (folder / _INDEX).unlink(missing_ok=True)
    shutil.rmtree(folder / _COPIES, ignore_errors=True)


def _same(copy: Path, target: Path) -> bool:
    try:
        a, b = copy.lstat(), target.lstat()
    except OSError:
        return False
    return (a.st_size, a.st_mtime_ns, a.st_mode) == (b.st_size, b.st_mtime_ns, b.st_mode)


def _files(workspace: Path, wanted: Iterable[Resource]) -> Iterator[str]:
    """The files below a workspace that some resources cover, as paths relative to it."""
    for resource in wanted:
        if resource.kind is ResourceKind.FILE:
            if os.path.lexists(workspace / resource.key) and not (workspace / resource.key).is_dir():
                yield resource.key
            continue
        start = resource.key if resource.kind is ResourceKind.TREE else literal_prefix(resource.key)
        for folder, folders, files in os.walk(workspace / start):
            folders[:] = [name for name in folders if name not in (".git", ".wavecrew")]
            for name in files:
                key = (Path(folder) / name).relative_to(workspace).as_posix()
                if resource.kind is ResourceKind.TREE or meets(resource, Resource(ResourceKind.FILE, key)):
                    yield key
