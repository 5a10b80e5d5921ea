"""Whether the declared outputs of a phase exist.

What it does: looks for files, non-empty folders and at least one match of a pattern, in one workspace.
What it does not know: who made them, and what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from wavecrew.core.commits import matches
from wavecrew.models.resources import Resource, ResourceKind, literal_prefix, parse_resource


def missing_outputs(workspace: Path, outputs: Iterable[str]) -> tuple[str, ...]:
    """Those of the outputs that are not there."""
    return tuple(output for output in outputs if not _exists(workspace, parse_resource(output)))


def _exists(workspace: Path, resource: Resource) -> bool:
    path = workspace / resource.key
    try:
        match resource.kind:
            case ResourceKind.TREE:
                return path.is_dir() and next(path.iterdir(), None) is not None
            case ResourceKind.GLOB:
                return _any_match(workspace, resource)
            case ResourceKind.NAME:
                return True
            case _:
                return path.exists()
    except OSError:
        return False  # what cannot be looked at is not proven


def _any_match(workspace: Path, pattern: Resource) -> bool:
    """Judged by the same rule as lock conflicts, so that a pattern means one thing everywhere."""
    for folder, folders, files in os.walk(workspace / literal_prefix(pattern.key)):
        folders[:] = [name for name in folders if name not in (".git", ".wavecrew")]
        for name in files:
            key = (Path(folder) / name).relative_to(workspace).as_posix()
            if matches(pattern, key):
                return True
    return False
