"""A run played again from its events, faster or slower than it was.

What it does: cuts a history into steps with the pause before each, and tells for any moment of the play which moment of
the run is shown and how much of the history has happened by then. Long pauses are cut short. Pure: whoever plays waits.
What it does not know: clocks, screens and keys.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wavecrew.errors import InvalidValueError
from wavecrew.models.events import Event

LONGEST_PAUSE: Final = 2.0
"""No pause of a play is longer, in seconds, whatever the speed: nights in which nobody worked are not played."""


@dataclass(frozen=True, slots=True)
class Step:
    """Events that were recorded at one moment, `at` (seconds since 1970). They are shown `delay` seconds of the play
    after the step before."""

    delay: float
    at: float
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a moment of the play shows: the time in the run, and how many events of its history have happened."""

    now: float
    events: int


def steps(events: Iterable[Event], speed: float = 1.0, longest: float = LONGEST_PAUSE) -> Iterator[Step]:
    """The steps of a play, `speed` times as fast as the run was, the first without a pause.

    Raises InvalidValueError for a speed or a longest pause that is not above zero.
    """
    if not speed > 0 or not longest >= 0:
        raise InvalidValueError(f"the speed of a play must be above 0, not {speed:g}")
    together: list[Event] = []
    shown_at: float | None = None
    for event in events:
        if together and event.at != together[0].at:
            yield _step(together, shown_at, speed, longest)
            shown_at, together = together[0].at, []
        together.append(event)
    if together:
        yield _step(together, shown_at, speed, longest)


def _step(events: Sequence[Event], before: float | None, speed: float, longest: float) -> Step:
    at = events[0].at
    pause = 0.0 if before is None else max(0.0, at - before)  # a clock that was set back makes no pause
    return Step(min(longest, pause / speed), at, tuple(events))


class Tape:
    """A history to be played, stopped, and wound to any moment. All moments are seconds of the play, from 0 to
    `length`; to play at another speed, make another tape and go on at `taken_over`."""

    def __init__(self, events: Sequence[Event], speed: float = 1.0, longest: float = LONGEST_PAUSE) -> None:
        self.events = tuple(events)
        self.speed = speed
        self._steps = tuple(steps(self.events, speed, longest))
        self._begins: list[float] = []
        self._counts: list[int] = []
        played, count = 0.0, 0
        for step in self._steps:
            played += step.delay
            count += len(step.events)
            self._begins.append(played)
            self._counts.append(count)

    @property
    def length(self) -> float:
        """How long the play takes, in seconds; 0 for an empty history."""
        return self._begins[-1] if self._begins else 0.0

    def moment(self, played: float) -> Moment:
        """What is shown after so many seconds of the play. Between two steps the time of the run goes on evenly."""
        place = bisect_right(self._begins, max(0.0, played)) - 1
        if place < 0:
            return Moment(0.0, 0)
        step = self._steps[place]
        if place + 1 == len(self._steps):
            return Moment(step.at, self._counts[place])
        later = self._steps[place + 1]
        now = step.at + max(0.0, later.at - step.at) * self._share(place, played)
        return Moment(now, self._counts[place])

    def _share(self, place: int, played: float) -> float:
        """How much of the pause after a step is over, from 0 to 1."""
        delay = self._steps[place + 1].delay if place + 1 < len(self._steps) else 0.0
        return min(1.0, max(0.0, (played - self._begins[place]) / delay)) if delay > 0 else 0.0

    def position_of(self, events: int) -> float:
        """The moment of the play at which so many events have happened."""
        place = bisect_left(self._counts, events)
        return self._begins[place] if place < len(self._begins) else self.length

    def next_step(self, played: float) -> float | None:
        """When the next events come after a moment of the play; None after the last."""
        place = bisect_right(self._begins, played)
        return self._begins[place] if place < len(self._begins) else None

    def step_before(self, played: float) -> float:
        """When the events came that were shown before those of a moment of the play; 0 at its beginning."""
        place = bisect_right(self._begins, played) - 1
        earlier = bisect_left(self._begins, self._begins[place]) - 1 if place >= 0 else -1
        return self._begins[max(0, earlier)] if self._begins else 0.0

    def taken_over(self, other: Tape, played: float) -> float:
        """The moment of this play that shows what another play of the same history shows at one of its own, so that
        the speed can change in the middle."""
        place = bisect_right(other._begins, max(0.0, played)) - 1
        if place < 0:
            return 0.0
        delay = self._steps[place + 1].delay if place + 1 < len(self._steps) else 0.0
        return self._begins[place] + other._share(place, played) * delay
