"""What has a beginning and an end in a history, and is no wait of a report: how work came home, what agents asked.

What it does: folds the events of the merge queue, and questions with their answers, into stretches of time.
What it does not know: spans, and how a merge or an answer comes about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.views import trace_names as names


@dataclass(frozen=True, slots=True)
class Merging:
    """A part of the way home of an attempt. `until` is None while it goes on, `result` empty where it has none, and
    `beside` the phase beside whose attempt a tree was checked, if that was another one."""

    phase: str
    attempt: int
    kind: str
    since: float
    until: float | None
    result: str
    beside: str


@dataclass(frozen=True, slots=True)
class Asking:
    """A question of an agent; without an answer `until` is None, and `by` empty."""

    phase: str
    text: str
    since: float
    until: float | None = None
    by: str = ""


def mergings(events: Sequence[Event]) -> Iterator[Merging]:
    """Each merge from the moment that work was sealed, the time in the queue included, and each check of a merged tree.
    A check that the end of the attempt finds open has passed if that was a success."""
    open_ones: dict[tuple[str, int], tuple[str, float, str]] = {}
    for event in events:
        match event:
            case ev.WorkSealed():
                open_ones[event.phase, event.attempt] = (names.MERGE_SPAN, event.at, "")
            case ev.MergeProposed() | ev.MergeRefused() | ev.AttemptEnded():
                key = event.phase, event.attempt
                if key in open_ones:
                    kind, since, beside = open_ones.pop(key)
                    yield Merging(*key, kind, since, event.at, _result(event, kind), beside)
                if isinstance(event, ev.MergeProposed):
                    beside = event.beside if event.beside != event.phase else ""
                    open_ones[key] = (names.CHECK_SPAN, event.at, beside)
    for key, (kind, since, beside) in open_ones.items():
        yield Merging(*key, kind, since, None, "", beside)


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


def askings(events: Sequence[Event]) -> Iterator[Asking]:
    """Each question of an agent until its first answer."""
    open_ones: dict[tuple[str, int], Asking] = {}
    for event in events:
        match event:
            case ev.QuestionAsked():
                open_ones[event.phase, event.question] = Asking(event.phase, event.text, event.at)
            case ev.QuestionAnswered():
                asked = open_ones.pop((event.phase, event.question), None)
                if asked is not None:
                    yield Asking(asked.phase, asked.text, asked.since, event.at, event.by)
    yield from open_ones.values()
