"""A run as JSON lines, for programs: one line for each event, in its stored form.

What it does: puts the id of the run and the place of the event in its history beside the fields of the event.
What it does not know: what events mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wavecrew.models.events import Event
from wavecrew.models.stored_events import to_record
from wavecrew.views.terminal_text import safe_json


def json_line(event: Event, run: str, seq: int) -> str:
    """One line without its newline. `seq` counts the events of a run from 1."""
    return safe_json({"run": run, "seq": seq, **to_record(event)})


def json_lines(events: Iterable[Event], run: str, first: int = 1) -> Iterator[str]:
    """The lines of events that follow each other."""
    for seq, event in enumerate(events, start=first):
        yield json_line(event, run, seq)
