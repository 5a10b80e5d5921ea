"""Who waited for what, and how long: every wait of a run as a stretch of time.

What it does: folds events into waits for a lock, for a person (a gate, a pause, an agent that fell silent), for an
account, and for the next try of a phase; adds stretches up without counting a moment twice.
What it does not know: what paced the run, and how a stretch is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event
from wavecrew.views.run_history import History


class WaitKind(StrEnum):
    """For what something waited."""

    LOCK = "lock"
    APPROVAL = "approval"
    """A gate waited for somebody to agree."""
    PAUSE = "pause"
    """Somebody wanted nothing new to start."""
    SILENCE = "silence"
    """An agent said nothing; somebody had to look."""
    ACCOUNT = "account"
    """The account of an agent was used up."""
    RETRY = "retry"
    """A phase had failed, and was to be tried again at a known time."""


FOR_PEOPLE: Final = frozenset({WaitKind.APPROVAL, WaitKind.PAUSE, WaitKind.SILENCE})


@dataclass(frozen=True, slots=True)
class Stretch:
    """One wait, in seconds since 1970. `phase` is who waited (empty: the run as a whole), `what` the resource, the gate
    or the account, `whom` the holder of a lock or the person who answered. `until` is None while it goes on, and may
    lie ahead where it is known."""

    kind: WaitKind
    phase: str
    what: str
    whom: str
    since: float
    until: float | None = None

    def lasted(self, now: float) -> float:
        """Its length in seconds; of one that goes on, so far."""
        return max(0.0, (now if self.until is None else min(now, self.until)) - self.since)


def stretches(events: Sequence[Event], history: History) -> tuple[Stretch, ...]:
    """All waits of a run, in the order of their beginnings."""
    fold = _Fold()
    for event in events:
        fold.add(event)
    locks = [Stretch(WaitKind.LOCK, one.phase, one.resource, one.holder, one.since, one.until) for one in history.waits]
    return tuple(sorted([*locks, *fold.found], key=lambda one: one.since))


def together(found: Iterable[Stretch], now: float, since: float = float("-inf"), until: float = float("inf")) -> float:
    """How long at least one of some stretches went on, between two moments."""
    last = min(now, until)
    spans = ((max(one.since, since), last if one.until is None else min(last, one.until)) for one in found)
    return sum(end - begin for begin, end in joined(spans))


def joined(spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The same time in spans that do not overlap."""
    last: tuple[float, float] | None = None
    for begin, end in sorted(span for span in spans if span[1] > span[0]):
        if last is not None and begin <= last[1]:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (begin, end)
    if last is not None:
        yield last


class _Fold:
    def __init__(self) -> None:
        self.found: list[Stretch] = []
        self._open: dict[tuple[WaitKind, str], int] = {}

    def add(self, event: Event) -> None:  # noqa: C901 -- one flat table of all events
        """Take in one more event."""
        match event:
            case ev.ApprovalAsked(at=at, gate=gate):
                self._begin(Stretch(WaitKind.APPROVAL, "", gate, "", at))
            case ev.GateApproved(at=at, gate=gate, by=by) | ev.GateRejected(at=at, gate=gate, by=by):
                self._end(WaitKind.APPROVAL, gate, at, by)
            case ev.RunPaused(at=at, by=by):
                self._begin(Stretch(WaitKind.PAUSE, "", "the run was paused", by, at))
            case ev.RunContinued(at=at):
                self._end(WaitKind.PAUSE, "the run was paused", at)
            case ev.AgentSilence(at=at, phase=phase, since=since):
                self._end(WaitKind.SILENCE, phase, at)
                if since is not None:
                    self._begin(Stretch(WaitKind.SILENCE, phase, event.words, "", since), phase)
            case ev.WriteJudged(at=at, phase=phase, waited=waited) if waited > 0:
                what = ", ".join(event.paths)
                self.found.append(Stretch(WaitKind.LOCK, phase, what, event.holder, at - waited, at))
            case ev.AccountClosed(at=at, account=account, until=until):
                self._end(WaitKind.ACCOUNT, account, at)
                self._open[WaitKind.ACCOUNT, account] = len(self.found)
                self.found.append(Stretch(WaitKind.ACCOUNT, "", account, "", at, max(at, until)))
            case ev.AccountReopened(at=at, account=account, by=by):
                self._end(WaitKind.ACCOUNT, account, at, by)
            case ev.AttemptEnded() | ev.AttemptStarted():
                self._attempt(event)
            case ev.RunStopped(at=at) | ev.RunFinished(at=at):
                self._over(at)

    def _begin(self, one: Stretch, name: str = "") -> None:
        key = one.kind, name or one.what
        if key not in self._open:
            self._open[key] = len(self.found)
            self.found.append(one)

    def _end(self, kind: WaitKind, name: str, at: float, whom: str = "") -> None:
        place = self._open.pop((kind, name), None)
        if place is not None:
            one = self.found[place]
            until = at if one.until is None else min(at, one.until)
            self.found[place] = replace(one, until=max(one.since, until), whom=whom or one.whom)

    def _attempt(self, event: ev.AttemptEnded | ev.AttemptStarted) -> None:
        self._end(WaitKind.RETRY, event.phase, event.at)
        self._end(WaitKind.SILENCE, event.phase, event.at)
        retry_at = event.retry_at if isinstance(event, ev.AttemptEnded) and event.cause is not Cause.QUOTA else None
        if retry_at is not None and retry_at > event.at:
            self._open[WaitKind.RETRY, event.phase] = len(self.found)
            self.found.append(Stretch(WaitKind.RETRY, event.phase, "a pause after a failure", "", event.at, retry_at))

    def _over(self, at: float) -> None:
        """Nobody waits for anything but an answer any more: gates and pauses outlive a coordinator."""
        for kind, name in list(self._open):
            if kind not in (WaitKind.APPROVAL, WaitKind.PAUSE):
                self._end(kind, name, at)
