"""What an agent at work can say through the gate's socket beside its tool calls: the names, and limits of each part.

What it does: reads the arguments of such a message, and refuses what is none in words for the model.
What it does not know: sockets, and what becomes of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wavecrew.core.shell_state import Write, WriteKind
from wavecrew.errors import InvalidValueError

PROGRESS: Final = "wavecrew:progress"
ASK_HUMAN: Final = "wavecrew:ask_human"
LOCK_REQUEST: Final = "wavecrew:lock_request"
"""Names that no tool of an agent program has: theirs hold no colon in this place."""
LONGEST_WAIT: Final = 3600.0
"""Seconds that one message may wait for its answer."""
MOST_PATHS: Final = 100


def words_in(given: Mapping[Any, Any], name: str, most: int, *, cut: bool = False) -> str:
    """A text among the arguments, without blanks at its ends and without what steers a terminal. Raises
    InvalidValueError for one that is empty, or longer than that many characters unless it may be `cut`."""
    value = given.get(name)
    text = _visible(value).strip() if isinstance(value, str) else ""
    if not text:
        raise InvalidValueError(f"{name} has to be a text that says something")
    if len(text) > most and not cut:
        raise InvalidValueError(f"{name} is longer than {most} characters. Say it shorter")
    return text[:most]


def seconds_in(given: Mapping[Any, Any]) -> float:
    """How long an answer may take. Raises InvalidValueError."""
    value = given.get("wait_seconds", 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_WAIT:
        raise InvalidValueError(f"wait_seconds has to be a number from 0 to {LONGEST_WAIT:g}")
    return float(value)


def paths_in(given: object, cwd: str) -> tuple[Write, ...]:
    """The paths that somebody wants the locks of: a slash at the end means all below a folder, and `*`, `?` or `[` a
    pattern. Raises InvalidValueError."""
    paths = given.get("paths") if isinstance(given, Mapping) else None
    if not isinstance(paths, list) or not 0 < len(paths) <= MOST_PATHS:
        raise InvalidValueError(f"paths has to be a list of 1 to {MOST_PATHS} paths")
    if not all(isinstance(path, str) and path.strip() for path in paths):
        raise InvalidValueError("each path has to be a text that is not empty")
    return tuple(dict.fromkeys(_write(path, cwd) for path in paths))


def _write(path: str, cwd: str) -> Write:
    place = path if path.startswith("/") else f"{cwd.rstrip('/')}/{path}"
    if any(character in "*?[" for character in path):
        return Write(place, WriteKind.GLOB)
    return Write(place.rstrip("/") or "/", WriteKind.TREE) if path.endswith("/") else Write(place, WriteKind.FILE)


def _visible(text: str) -> str:
    """Lines stay lines; what cannot be seen is left out."""
    return "".join(one if one.isprintable() or one == "\n" else " " if one == "\t" else "" for one in text)
