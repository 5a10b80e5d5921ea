"""The configuration files: where they are looked for, and what stands in them.

What it does: finds the user's file and the nearest project file, reads their TOML, and knows the line of every key.
What it does not know: which keys are settings and which values they can have (`sources` has them checked).
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import platformdirs

from wavecrew.config.toml_lines import KeyLines
from wavecrew.errors import ConfigError, Place

OWN_NAME: Final = "wavecrew.toml"
SHARED_NAME: Final = "pyproject.toml"
_TABLE: Final = ("tool", "wavecrew")
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file that was looked at. `read` tells whether it holds settings; `shown` is its name as people read it.

    `hidden_by` names a file beside it that is used in its place although this one holds settings too.
    """

    path: Path
    kind: str
    shown: str
    read: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: KeyLines = field(default_factory=lambda: KeyLines(""), compare=False)
    hidden_by: str = ""

    @classmethod
    def look_at(cls, path: Path, kind: str, start: Path) -> ConfigFile:
        """Read a file. One that is not there has no settings, nor has a `pyproject.toml` without our table."""
        file = cls(path, kind, _shown(path, start))
        text = _text(file)
        shared = path.name == SHARED_NAME
        if text is None or (shared and "wavecrew" not in text):
            return file
        table = _TABLE if shared else ()
        values: Any = _parsed(text, file.shown)
        for name in table:
            values = values.get(name) if isinstance(values, dict) else None
        if values is None:
            return file
        if not isinstance(values, dict):
            place = Place(file.shown, KeyLines(text, _TABLE[:-1])[_TABLE[-1]])
            raise ConfigError("tool.wavecrew must be a table", place=place, fix="write [tool.wavecrew]")
        return replace(file, read=True, values=values, lines=KeyLines(text, table))


def read_user_files(start: Path) -> Iterator[ConfigFile]:
    """The user's file; the first of its two names that is there counts."""
    folder = Path(platformdirs.user_config_dir("wavecrew", appauthor=False))
    for name in (OWN_NAME, "config.toml"):
        file = ConfigFile.look_at(folder / name, "user", start)
        yield file
        if file.read:
            return


def is_public(folder: Path) -> bool:
    """Whether everybody on this machine may put files into a folder, as into the one for temporary files."""
    try:
        return bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def read_project_files(start: Path) -> Iterator[ConfigFile]:
    """The nearest project file, from `start` up to the top of the git repository, the home folder or the disk. What
    lies in a folder for everybody was put there by anybody."""
    home = Path.home()
    for folder in (start, *start.parents):
        if folder != start and is_public(folder):
            return
        own = ConfigFile.look_at(folder / OWN_NAME, "project", start)
        yield own
        shared = _shared_file(folder / SHARED_NAME, start, needed=not own.read)
        yield shared
        if own.read or shared.read or folder == home or (folder / ".git").exists():
            return


def _shared_file(path: Path, start: Path, *, needed: bool) -> ConfigFile:
    """The file of other tools. Where ours stands beside it, nothing in it may stop us: it is only told of."""
    try:
        file = ConfigFile.look_at(path, "project", start)
    except ConfigError:
        if needed:
            raise
        return ConfigFile(path, "project", _shown(path, start))
    return file if needed or not file.read else replace(file, read=False, values={}, hidden_by=OWN_NAME)


def _text(file: ConfigFile) -> str | None:
    """The text of a file, None where there is none."""
    try:
        return file.path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except UnicodeDecodeError as broken:
        raise ConfigError(
            f"this is not UTF-8 (byte {broken.start})", place=Place(file.shown), fix="save it as UTF-8"
        ) from None
    except OSError as refused:
        raise ConfigError(f"it cannot be read: {refused.strerror}", place=Place(file.shown)) from None


def _parsed(text: str, shown: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as broken:
        reason = "it is nested too deeply" if isinstance(broken, RecursionError) else str(broken)
        where = _WHERE.search(reason)
        line, column = (int(part or 0) for part in where.groups()) if where else (0, 0)
        if where and not line:
            line = text.count("\n") + 1
        raise ConfigError(
            f"this is not TOML: {_WHERE.sub('', reason)}",
            place=Place(shown, line, column),
            fix="correct this line, or leave configuration files out with --no-config",
        ) from None


def _shown(path: Path, start: Path) -> str:
    """Near `start` the relative path, below the home folder one from `~`, else the whole one."""
    relative = os.path.relpath(path, start)
    if not relative.startswith("../../.."):
        return relative
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
