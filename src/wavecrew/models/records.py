"""Values as JSON records and back, driven by the types of dataclass fields.

What it does: turns a frozen dataclass into plain dicts, lists, texts and numbers, and rebuilds an equal value.
What it does not know: which classes those are (events and phases today), and where records are kept.
"""

from __future__ import annotations

import types
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from wavecrew.errors import InvalidValueError

_V = TypeVar("_V")


def plain(value: object, *, without: frozenset[str] = frozenset()) -> Any:
    """A value as dicts, lists, texts and numbers, ready for JSON. Fields named in `without` are left out."""
    if is_dataclass(value):
        return {
            part.name: plain(getattr(value, part.name), without=without)
            for part in fields(value)
            if part.name not in without
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(found, without=without) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [plain(found, without=without) for found in value]
    return value


def rebuild(wanted: type[_V], record: object) -> _V:
    """The value of a dataclass from its record. Raises InvalidValueError for a record that does not fit it."""
    if not isinstance(record, Mapping):
        raise InvalidValueError(f"a record of {wanted.__name__} must be an object, not {type(record).__name__}")
    hints = _hints(wanted)  # type: ignore[arg-type]  # a class is hashable, whatever mypy thinks of type[_V]
    unknown = sorted(set(record) - set(hints))
    if unknown:
        raise InvalidValueError(f"a record of {wanted.__name__} has no field {unknown[0]!r}")
    try:
        return wanted(**{name: _value(hints[name], found) for name, found in record.items()})
    except TypeError as error:
        raise InvalidValueError(f"a record of {wanted.__name__} does not fit: {error}") from None


@lru_cache(maxsize=64)
def _hints(wanted: Hashable) -> dict[str, Any]:
    hints = get_type_hints(wanted)
    return {part.name: hints[part.name] for part in fields(wanted)}  # type: ignore[arg-type]


def _value(hint: Any, found: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if found is None:
            return None
        return _value(next(option for option in get_args(hint) if option is not type(None)), found)
    if origin is tuple:
        if not isinstance(found, list):
            raise InvalidValueError(f"a list was expected, not {found!r}")
        return tuple(_value(get_args(hint)[0], member) for member in found)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(found)
        except ValueError as error:
            raise InvalidValueError(str(error)) from None
    if is_dataclass(hint):
        return rebuild(hint, found)  # type: ignore[arg-type]
    return _scalar(hint, found)


def _scalar(hint: Any, found: Any) -> Any:
    """Texts, numbers and free-form objects; a whole number serves where a number with a point is meant."""
    expected = {float: (int, float)}.get(hint, hint) if hint in (str, int, float, bool) else object
    if not isinstance(found, expected) or (isinstance(found, bool) and hint in (int, float)):
        raise InvalidValueError(f"{hint.__name__} was expected, not {found!r}")
    return found
