"""What attempts, waits and pauses a run was made of: the events seen along the time line.

What it does: keeps every attempt with its start and end, every stretch that a phase waited for a lock, and the idle
gaps during which nobody was at work on the run. Add events as they come, or all at once.
What it does not know: where a phase stands now (`ExecutionState` does), and how time is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.results import Sign


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. Times are in seconds since 1970; without `ended` and `outcome` it is still open."""

    phase: str
    number: int
    agent: str
    started: float
    log: str = ""
    ended: float | None = None
    outcome: Outcome | None = None
    cause: Cause = Cause.NONE
    detail: str = ""
    exit_code: int | None = None
    outputs: tuple[str, ...] = ()
    reported: ev.AgentReported | None = None
    """What its agent told of its work."""
    unattended: float = 0.0
    """For how many seconds before `ended` its agent was over already, with nobody in charge to see it."""

    def lasted(self, now: float) -> float:
        """Its length in seconds, without what was no work; of an open one, so far."""
        return max(0.0, (now if self.ended is None else self.ended) - self.started - self.unattended)


@dataclass(slots=True)
class _Gap:
    """Time without a coordinator, while these attempts were open: idle as soon as all that were at work were over."""

    since: float
    until: float
    open: set[str]


@dataclass(frozen=True, slots=True)
class LockStretch:
    """A stretch of time in which a phase waited for a resource; `until` is None while it still waits."""

    phase: str
    resource: str
    holder: str
    since: float
    until: float | None = None


class History:
    """The time line of one run. `attempts` and `waits` stand in the order of their beginnings."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.attempts: list[Attempt] = []
        self.waits: list[LockStretch] = []
        self.idle: list[tuple[float, float]] = []
        self.satisfied: dict[str, float] = {}
        """Since when the dependents of a phase may go on."""
        self.in_charge = False
        """Whether the last that was heard of a coordinator is that it took charge."""
        self.last: float | None = None
        self.left_at: float | None = None
        """When its coordinator left in good order; None while one is in charge, or was lost."""
        self._open: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._closed_work = 0.0
        self._gap: _Gap | None = None
        self.add(events)

    def add(self, events: Iterable[Event]) -> None:
        """Take in further events, in the order in which they were recorded."""
        for event in events:
            self._add(event)
            self.last = event.at if self.last is None else max(self.last, event.at)

    def work(self, now: float, signs: Mapping[str, Sign] = MappingProxyType({})) -> float:
        """How long all attempts together lasted, open ones so far: those of dead agents until their last sign."""
        ends = {name: sign.at for name, sign in signs.items() if not sign.alive}
        open_ones = ((self.attempts[place], ends.get(name, now)) for name, place in self._open.items())
        return self._closed_work + sum(attempt.lasted(end or attempt.started) for attempt, end in open_ones)

    def idle_time(self, until: float) -> float:
        """How long, up to a moment, nobody was at work on the run."""
        return sum(max(0.0, min(end, until) - begin) for begin, end in self.idle)

    def active(self, moment: float, start: float) -> float:
        """A moment as seconds of the run, idle gaps left out."""
        return moment - start - self.idle_time(moment)

    # -- one event

    def _add(self, event: Event) -> None:  # noqa: C901 -- one flat table of all events
        match event:
            case ev.CoordinatorStarted(at=at, epoch=epoch):
                since = self.last if self.left_at is None else self.left_at
                if epoch > 1 and since is not None and at > since:
                    self._gap = _Gap(since, at, set(self._open))
                    self._close_gap()
                self.left_at, self.in_charge = None, True
            case ev.LockAwaited(at=at, phase=phase):
                self._end_wait(phase, at)
                self._waiting[phase] = len(self.waits)
                self.waits.append(LockStretch(phase, event.resource, event.holder, at))
            case ev.AttemptStarted(at=at, phase=phase):
                self._end_wait(phase, at)
                self._open[phase] = len(self.attempts)
                self.attempts.append(Attempt(phase, event.attempt, event.agent, at, event.log))
            case ev.AttemptAdopted(phase=phase) if self._gap is not None and phase in self._gap.open:
                self._gap.until = self._gap.since  # it was at work all the time
            case ev.AgentReported(phase=phase) if phase in self._open:
                place = self._open[phase]
                self.attempts[place] = replace(self.attempts[place], reported=event)
            case ev.AttemptEnded():
                self._end_attempt(event)
            case ev.PhaseRefused(at=at, phase=phase):
                self._end_wait(phase, at)
            case ev.PhaseKept(at=at, phase=phase) | ev.PhaseSkipped(at=at, phase=phase):
                self._end_wait(phase, at)
                self.satisfied[phase] = at
            case ev.PhaseReset(phase=phase):
                self.satisfied.pop(phase, None)
            case ev.RunStopped(at=at) | ev.RunFinished(at=at):
                for phase in list(self._waiting):
                    self._end_wait(phase, at)
                self.left_at, self.in_charge = at, False

    def _end_attempt(self, event: ev.AttemptEnded) -> None:
        if event.outcome is Outcome.SUCCEEDED:
            self.satisfied[event.phase] = event.at
        place = self._open.pop(event.phase, None)
        if place is None:  # its start was not among the events that were given
            return
        self._end_in_gap(event)
        attempt = replace(
            self.attempts[place],
            ended=event.at,
            unattended=event.unattended,
            outcome=event.outcome,
            cause=event.cause,
            detail=event.detail,
            exit_code=event.exit_code,
            outputs=event.outputs,
        )
        self.attempts[place] = attempt
        self._closed_work += attempt.lasted(event.at)
        for phase, number in list(self._waiting.items()):
            if self.waits[number].holder == event.phase:
                self._end_wait(phase, event.at)  # from here on it waits for an agent, or for the next holder

    def _end_in_gap(self, event: ev.AttemptEnded) -> None:
        """An attempt that was found to be over when somebody took charge: until then, one was at work on the run."""
        if self._gap is None and event.unattended and self.last is not None:  # somebody is in charge for one wish only
            self._gap = _Gap(self.last, event.at, {event.phase, *self._open})
        if self._gap is not None and event.phase in self._gap.open:
            self._gap.since = max(self._gap.since, self._gap.until - event.unattended)
            self._gap.open.discard(event.phase)
            self._close_gap()

    def _close_gap(self) -> None:
        if self._gap is not None and not self._gap.open:
            if self._gap.until > self._gap.since:
                self.idle.append((self._gap.since, self._gap.until))
            self._gap = None

    def _end_wait(self, phase: str, at: float) -> None:
        place = self._waiting.pop(phase, None)
        if place is not None:
            self.waits[place] = replace(self.waits[place], until=at)
