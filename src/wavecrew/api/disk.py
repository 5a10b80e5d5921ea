"""What the state of a workspace takes on the disk.

What it does: counts the bytes of its state folder by kind, and stops counting before that takes long.
What it does not know: settings and runs; looking must be quick.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.store import STATE_FOLDER
from wavecrew.models.results import DiskUse

_MOST_FILES: Final = 200_000
_BLOCK: Final = 512


@dataclass(slots=True)
class _Count:
    files_left: int


def disk_use(workspace: Path, most_files: int = _MOST_FILES) -> DiskUse:
    """What the state folder of a workspace takes, in bytes on the disk. Not more than `most_files` are looked at, so
    that it stays quick; what vanishes meanwhile counts nothing."""
    state, count = workspace / STATE_FOLDER, _Count(most_files)
    logs = _bytes_below(state / "runs", count)
    worktrees = _bytes_below(state / "worktrees", count)
    history = sum(_bytes(path) for path in state.glob("state.db*"))
    return DiskUse(worktrees, logs, history, whole=count.files_left > 0)


def _bytes_below(folder: Path, count: _Count) -> int:
    total, todo = 0, [os.fspath(folder)]
    while todo and count.files_left > 0:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                count.files_left -= 1
                total += _bytes(entry)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                if count.files_left <= 0:
                    break
    return total


def _bytes(found: os.DirEntry[str] | Path) -> int:
    try:
        return found.stat(follow_symlinks=False).st_blocks * _BLOCK
    except OSError:
        return 0
