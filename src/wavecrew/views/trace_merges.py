"""How work came home, as stretches of time: from sealing to the merge, and the checks of the merged tree.

What it does: folds the events of the merge queue into stretches with their results.
What it does not know: spans, and how a merge is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.views import trace_names as names

Merging: TypeAlias = tuple[str, int, str, float, float | None, str]
"""Phase, attempt, kind, begin, end (None while it goes on), and result (empty: unknown)."""


def merge_stretches(events: Sequence[Event]) -> Iterator[Merging]:
    """Each merge from the moment that work was sealed, the time in the queue included, and each check of a merged tree.
    A check that the end of the attempt finds open has passed if that was a success."""
    open_ones: dict[tuple[str, int], tuple[str, float]] = {}
    for event in events:
        match event:
            case ev.WorkSealed():
                open_ones[event.phase, event.attempt] = (names.MERGE_SPAN, event.at)
            case ev.MergeProposed() | ev.MergeRefused() | ev.AttemptEnded():
                key = event.phase, event.attempt
                if key in open_ones:
                    kind, since = open_ones.pop(key)
                    yield *key, kind, since, event.at, _result(event, kind)
                if isinstance(event, ev.MergeProposed):
                    open_ones[key] = (names.CHECK_SPAN, event.at)
    for key, (kind, since) in open_ones.items():
        yield *key, kind, since, None, ""


def _result(event: ev.MergeProposed | ev.MergeRefused | ev.AttemptEnded, kind: str) -> str:
    """A proposal ends a merge well; one that ends a check says only that the result had moved."""
    match event:
        case ev.MergeProposed():
            return names.SUCCESS if kind == names.MERGE_SPAN else ""
        case ev.MergeRefused():
            return names.FAILURE
        case ev.AttemptEnded(outcome=Outcome.SUCCEEDED):
            return names.SUCCESS
        case _:
            return names.FAILURE if event.cause in (Cause.GATE, Cause.MERGE) else ""
