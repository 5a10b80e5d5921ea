"""The player of a recorded run: playing or paused, how fast, and at which moment.

What it does: turns the time that goes by into a moment of the play; goes to either end, from step to step, and from one
event of note to the next, at once and however long the run was.
What it does not know: keys, and how a moment is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from wavecrew.models.events import Event
from wavecrew.views.board_replay import Recording
from wavecrew.views.replay import LONGEST_PAUSE, Moment, Tape

SPEED: Final = 10.0
SLOWEST: Final = 0.01
FASTEST: Final = 1_000_000.0
_FACTOR: Final = 2.0


class Player:
    """One play, which begins at once. Raises InvalidValueError for a speed that is not above zero."""

    def __init__(
        self,
        events: Sequence[Event],
        speed: float = SPEED,
        longest: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recording = Recording(events)
        self.playing = True
        self._tape = Tape(events, speed, longest)
        self._longest = longest
        self._clock = clock
        self._played = 0.0
        self._since = clock()

    @property
    def speed(self) -> float:
        """How many times as fast as the run was."""
        return self._tape.speed

    @property
    def moment(self) -> Moment:
        """What is shown now. At its end a play pauses by itself."""
        if self.playing and self._position() >= self._tape.length:
            self.go_to(self._tape.length)
        return self._tape.moment(self._position())

    def _position(self) -> float:
        return self._played + (self._clock() - self._since if self.playing else 0.0)

    # -- what a key does

    def go_to(self, played: float, *, playing: bool = False) -> None:
        """Another moment of the play."""
        self._played, self._since, self.playing = played, self._clock(), playing

    def toggle(self) -> None:
        """Pause, and play on; from the beginning where it is over."""
        at = self._position()
        over = at >= self._tape.length
        self.go_to(0.0 if over and not self.playing else min(at, self._tape.length), playing=not self.playing or over)

    def change_speed(self, *, faster: bool) -> None:
        """Twice as fast, or half; the moment stays."""
        speed = self.speed * _FACTOR if faster else self.speed / _FACTOR
        before, at = self._tape, min(self._position(), self._tape.length)
        self._tape = Tape(before.events, min(FASTEST, max(SLOWEST, speed)), self._longest)
        self.go_to(self._tape.taken_over(before, at), playing=self.playing)

    def to_end(self, by: int) -> None:
        """The beginning (-1), or the end (1); paused."""
        self.go_to(self._tape.length if by > 0 else 0.0)

    def step(self, by: int) -> None:
        """What was recorded next, or before; paused."""
        at = self._position()
        later = self._tape.next_step(at)
        self.go_to(self._tape.step_before(at) if by < 0 else self._tape.length if later is None else later)

    def to_note(self, by: int) -> int | None:
        """The next event of note, or the one before, paused there; gives its number, None where there is none."""
        at = self._position()
        shown = self._tape.moment(at).events
        if by > 0:
            found = self.recording.note_after(shown)
        else:
            before = self.recording.notes_before(shown)
            found = next((one for one in before if self._tape.position_of(one + 1) < at), None)
        if found is None:
            self.go_to(at)
        else:
            self.go_to(self._tape.position_of(found + 1))
        return found
