"""What was found out about program files, kept in the user's cache folder until a file changes.

What it does: remembers values by the path of a program, with what its file was like then. It is a comfort: whatever is
wrong with it, it is as if it were empty.
What it does not know: what the values mean.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """Where the user's cached things of wavecrew are; it may not be there yet."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("wavecrew", appauthor=False))


class ProgramCache:
    """Lists of plain values by program; `name` is that of the file. It is read once, and written by `save` alone."""

    def __init__(self, name: str) -> None:
        self._file = cache_folder() / f"{name}.json"
        self._known: dict[str, Any] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            found = json.loads(self._file.read_text(encoding="utf-8"))
            self._known = found if isinstance(found, dict) else {}

    def found(self, path: str) -> list[Any]:
        """The values that were kept for this program file as it is now; empty if there are none."""
        match self._known.get(path):
            case [list() as stamp, *values] if stamp and stamp == _stamp(path):
                return values
        return []

    def keep(self, path: str, *values: object) -> None:
        """Remember values: texts, numbers, truth values, None."""
        self._known[path] = [_stamp(path), *values]
        self._changed = True

    def save(self) -> None:
        """Write what is new, whole or not at all."""
        if not self._changed:
            return
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._file.parent, prefix=".", encoding="utf-8", delete=False
            ) as new:
                json.dump(self._known, new)
            Path(new.name).replace(self._file)


def _stamp(path: str) -> list[object]:
    """What changes with an update: the file that is really started, its time and its size."""
    real = os.path.realpath(path)
    try:
        found = Path(real).stat()
    except OSError:
        return []
    return [real, found.st_mtime_ns, found.st_size]
