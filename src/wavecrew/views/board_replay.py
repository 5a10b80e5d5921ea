"""A recorded run on the board: any moment of it at once, which of its events are of note, and where the play stands.

What it does: keeps states along a history, so that a moment is some thousand events away at most, however long the run
was; the plain lines of all events; the line of the player, with the position as time and as bar.
What it does not know: clocks and keys (`tui.player`), and how a play is cut into steps (`replay`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.views.board_parts import Line, Piece, fitting, plain, plain_text
from wavecrew.views.run_history import History
from wavecrew.views.run_plain import lines_for
from wavecrew.views.run_words import clock, moment
from wavecrew.views.terminal_text import cells

_APART: Final = 1000
"""How many events lie between two states that are kept."""
_SMOOTH: Final = (
    *(ev.PhaseKept, ev.LockAwaited, ev.AttemptStarted, ev.AttemptAdopted, ev.WorkSealed, ev.MergeProposed),
    *(ev.AgentReported, ev.RoomAwaited, ev.WriteAwaited, ev.WriteJudged, ev.ProgressTold),
)
"""What happens all the time while all is well."""
_LEAST_BAR: Final = 12


class Recording:
    """A history, whole. `events` are all of it, `lines` their words, `notes` the numbers of those that are of note."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)
        self.lines: list[str] = []
        self._line_counts: list[int] = []
        self._kept = [(0, ExecutionState())]
        self._whole = History()
        begin = 0
        for end in _cuts(self.events):
            self._take(begin, end)
            begin = end
        self.notes = tuple(number for number, event in enumerate(self.events) if is_of_note(event))

    def _take(self, begin: int, end: int) -> None:
        """The next piece: the last of its events is the only one whose words look at the totals of the run."""
        piece = self.events[begin:end]
        state = evolve(self._kept[-1][1], *piece)
        self._kept.append((end, state))
        self._whole.add(piece)
        for event in piece:
            self.lines += lines_for(event, state, self.events[0].at, history=self._whole)
            self._line_counts.append(len(self.lines))

    def state(self, count: int) -> ExecutionState:
        """The state after so many events."""
        place = bisect_right(self._kept, count, key=lambda kept: kept[0]) - 1
        before, state = self._kept[place]
        return evolve(state, *self.events[before:count]) if count > before else state

    def lines_after(self, count: int) -> list[str]:
        """The lines of the first so many events."""
        return self.lines[: self._line_counts[count - 1]] if count else []

    def words_of(self, number: int) -> str:
        """The first line of one event, empty for one without words."""
        first = self._line_counts[number - 1] if number else 0
        return self.lines[first] if first < self._line_counts[number] else ""

    def note_after(self, count: int) -> int | None:
        """The first event of note that is not among the first so many."""
        place = bisect_left(self.notes, count)
        return self.notes[place] if place < len(self.notes) else None

    def notes_before(self, count: int) -> Iterator[int]:
        """The events of note among the first so many, the latest first."""
        return reversed(self.notes[: bisect_left(self.notes, count)])

    def elapsed(self, now: float) -> float:
        """A moment as seconds of the run; time in which nobody was at work on it is left out."""
        return max(0.0, self._whole.active(now, self.events[0].at)) if self.events else 0.0

    @property
    def length(self) -> float:
        """How long the run took, in seconds, measured alike."""
        return self.elapsed(self.events[-1].at) if self.events else 0.0


def _cuts(events: Sequence[Event]) -> Iterator[int]:
    """Where a history is cut: behind whatever tells totals, and often enough."""
    before = 0
    for number, event in enumerate(events, start=1):
        if number - before >= _APART or number == len(events) or isinstance(event, ev.RunStopped | ev.RunFinished):
            before = number
            yield number


def is_of_note(event: Event) -> bool:
    """Whether somebody who looks at a run again would stop there: not where all goes as it should."""
    match event:
        case ev.AttemptEnded(outcome=outcome):
            return outcome is not Outcome.SUCCEEDED
        case ev.AgentSilence(since=since):
            return since is not None
        case ev.CoordinatorStarted(epoch=epoch):
            return epoch > 1
        case _:
            return not isinstance(event, _SMOOTH)


# -- the line of the player -------------------------------------------------------------------------------------------


def play_line(recording: Recording, count: int, now: float, *, speed: float, playing: bool, width: int) -> Line:
    """`REPLAY  ▶ x10  00:06.5 of 00:23.0  event 12 of 45  1970-01-01 00:00:06Z  ████████░░░░░░`: the bar takes the room
    that is left, and for a least bar the least important goes."""
    total = len(recording.events)
    how = "▶" if playing else "at the end," if count >= total else "paused,"
    at, length = recording.elapsed(now), recording.length
    words = fitting(
        (
            (0, plain(" REPLAY ", "mark")),
            (1, plain(f"{how} x{speed:g}", "busy" if playing else "wait")),
            (0, plain(f"{clock(at)} of {clock(length)}", "head")),
            (2, plain(f"event {count:,} of {total:,}", "quiet")),
            (3, plain(moment(now), "quiet")),
        ),
        max(8, width - _LEAST_BAR - 3),
    )
    room = width - cells(plain_text(words)) - 3
    if room < _LEAST_BAR:
        return words
    full = room if count >= total else min(room - 1, int(room * at / length)) if length > 0 else 0
    return (*words, Piece("  "), Piece("█" * full, "busy"), Piece("░" * (room - full), "quiet"))
