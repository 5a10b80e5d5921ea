"""Why a phase was tried more than once.

What it does: tells of each attempt before the one that is looked at how it ended, and what had it done again.
What it does not know: how work is shown, and what comes next.
"""

from __future__ import annotations

from collections.abc import Iterable

from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.views.run_words import reason_of


def earlier_attempts(events: Iterable[Event], phase: str, before: int) -> tuple[str, ...]:
    """A sentence for each attempt of a phase with a number below `before`, in order: `attempt 1 failed: exit code 3`.
    It may hold foreign text that was not cleaned."""
    ends: dict[int, ev.AttemptEnded] = {}
    again: dict[int, ev.PhaseReset] = {}
    for event in events:
        match event:
            case ev.AttemptEnded() if event.phase == phase:
                ends[event.attempt] = event
            case ev.PhaseReset() if event.phase == phase and ends:
                again[max(ends)] = event
    return tuple(_words(ended, again.get(number)) for number, ended in sorted(ends.items()) if number < before)


def _words(ended: ev.AttemptEnded, reset: ev.PhaseReset | None) -> str:
    why = "" if ended.outcome is Outcome.SUCCEEDED else f": {reason_of(ended.cause, ended.detail)}"
    words = f"attempt {ended.attempt} {ended.outcome}{why}"
    if reset is None:
        return words
    return f"{words}; asked for again by {reset.by}" + (f" ({reset.reason})" if reset.reason else "")
