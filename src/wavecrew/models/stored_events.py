"""The stored form of events.

What it does: turns each event into a record for JSON and back, and knows all kinds by name.
What it does not know: what events mean, and where they are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from wavecrew.errors import InvalidValueError
from wavecrew.models.events import Event
from wavecrew.models.records import plain, rebuild

EVENT_VERSION: Final = 1
"""Version of the stored form as a whole; a store that holds a newer one is refused."""

EVENT_TYPES: Final[Mapping[str, type[Event]]] = {kind.__name__: kind for kind in get_args(Event)}


def to_record(event: Event) -> dict[str, Any]:
    """The stored form of an event: its kind beside its fields, ready for JSON."""
    return {"kind": type(event).__name__, **plain(event)}


def from_record(record: Mapping[str, Any]) -> Event:
    """The event of a stored form. Raises InvalidValueError for an unknown kind or fields that do not fit."""
    kind = EVENT_TYPES.get(str(record.get("kind")))
    if kind is None:
        raise InvalidValueError(
            f"unknown event {record.get('kind')!r}", fix="a newer wavecrew may have written it: upgrade"
        )
    return rebuild(kind, {name: value for name, value in record.items() if name != "kind"})
