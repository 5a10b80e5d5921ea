"""Which folder is the workspace of somebody who stands in a folder.

What it does: looks for the marks of a project, from the folder upwards.
What it does not know: settings; looking must be quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from wavecrew.config.config_files import is_public
from wavecrew.core.store import STATE_FOLDER
from wavecrew.errors import NotFoundError

_MARKS: Final = (STATE_FOLDER, "wavecrew.toml")


def find_workspace(start: Path, root: Path | None = None) -> Path:
    """The folder itself: the nearest one above with a mark of a project. `root` is where a project's settings are."""
    if not start.is_dir():
        raise NotFoundError(f"there is no folder {start}")
    start, home = start.absolute(), Path.home()
    for folder in (start, *start.parents):
        if folder != start and (folder == home or is_public(folder)):
            break  # a repository of dot files is not a project, and what anybody has put down is not ours
        if folder == root or any((folder / mark).exists() for mark in _MARKS) or _is_repository(folder):
            return folder
    return start


def _is_repository(folder: Path) -> bool:
    """Whether this is the top of a repository, or of a worktree of one. Sandboxes of agents leave empty folders named
    `.git` behind, which are neither."""
    link = folder / ".git"
    return link.is_file() or (link / "HEAD").exists()
