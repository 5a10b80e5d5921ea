"""A run played again: every event once and in order, at any speed, whatever the clock of the run did."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_stories import MINITABLE, T0, bad_run, charge, good_run, histories, opening, start, stop
from wavecrew.cli.replay_commands import play
from wavecrew.errors import InvalidValueError
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.views.replay import Moment, Tape, steps

speeds = st.floats(0.01, 1e6)


def test_what_was_recorded_at_one_moment_is_one_step() -> None:
    found = list(steps(good_run(), 2.0))
    assert [(step.delay, step.at - T0, len(step.events)) for step in found[:4]] == [
        (0, 0, 3),
        (1, 2, 4),
        (2, 6, 3),
        (0.5, 7, 2),
    ]


def test_long_pauses_are_cut_and_a_clock_that_was_set_back_makes_none() -> None:
    night = [*opening(*MINITABLE), start(0, "01"), stop(40_000), charge(39_000, 2)]
    assert [step.delay for step in steps(night, 1.0)] == [0, 2.0, 0]
    assert [step.delay for step in steps(night, 1.0, 7)] == [0, 7, 0]
    assert [step.delay for step in steps(night, 10_000, 7)] == [0, 4, 0]


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(InvalidValueError, match="the speed of a play must be above 0"):
        list(steps(good_run(), speed))
    with pytest.raises(InvalidValueError):
        Tape(good_run(), 1, -1)


@given(histories(), speeds, st.floats(0, 100))
def test_all_events_come_once_and_in_order(events: list[Event], speed: float, longest: float) -> None:
    found = list(steps(events, speed, longest))
    assert [event for step in found for event in step.events] == events
    assert all(0 <= step.delay <= longest for step in found)
    assert len({event.at for step in found for event in step.events}) <= len(found)


@given(histories(), speeds, st.lists(st.floats(0, 1), max_size=20))
def test_a_tape_shows_more_the_later_it_is(events: list[Event], speed: float, places: list[float]) -> None:
    tape = Tape(events, speed)
    moments = [tape.moment(share * tape.length) for share in sorted(places)]
    assert [one.events for one in moments] == sorted(one.events for one in moments)
    assert tape.moment(tape.length) == Moment(events[-1].at, len(events))
    assert tape.moment(tape.length + 99) == Moment(events[-1].at, len(events))
    assert tape.moment(-5).events <= len(events)
    for one in moments:
        assert min(event.at for event in events) <= one.now <= max(event.at for event in events)


@given(histories(), speeds)
def test_a_tape_can_be_followed_from_step_to_step(events: list[Event], speed: float) -> None:
    tape, played, seen = Tape(events, speed), 0.0, 0
    while True:
        moment = tape.moment(played)
        assert moment.events > seen
        assert tape.position_of(moment.events) == played
        seen = moment.events
        later = tape.next_step(played)
        if later is None:
            break
        assert later > played
        played = later
    assert seen == len(events)


def test_between_two_steps_the_time_of_the_run_goes_on() -> None:
    tape = Tape(good_run(), 2.0)
    assert tape.moment(0.5) == Moment(T0 + 1, 3)
    assert tape.moment(1.0) == Moment(T0 + 2, 7)
    assert tape.length == pytest.approx(11.5)
    assert tape.position_of(1) == 0
    assert tape.position_of(4) == 1
    assert tape.position_of(999) == tape.length


def test_a_tape_of_nothing_shows_nothing() -> None:
    tape = Tape(())
    assert (tape.length, tape.moment(3), tape.next_step(0), tape.position_of(0)) == (0, Moment(0, 0), None, 0)


# -- the player -------------------------------------------------------------------------------------------------


class Audience:
    """Sees a play, with a clock that only the waiting moves on; a slow machine takes time by itself."""

    def __init__(self, slow: float = 0.0) -> None:
        self.now = 100.0
        self.slow = slow
        self.pieces: list[Sequence[Event]] = []
        self.states: list[ExecutionState] = []
        self.ticks: list[float] = []

    def clock(self) -> float:
        self.now += self.slow
        return self.now

    def wait(self, seconds: float) -> None:
        assert 0 <= seconds <= 0.25
        self.now += seconds + 1e-9

    def event(self, events: Sequence[Event], state: ExecutionState) -> None:
        self.pieces.append(events)
        self.states.append(state)

    def tick(self, now: float) -> None:
        self.ticks.append(now)


@pytest.mark.parametrize("slow", [0.0, 0.4, 60.0])
@pytest.mark.parametrize("story", [good_run(), bad_run()])
def test_a_play_shows_every_event_however_slow_the_machine(story: list[Event], slow: float) -> None:
    seen = Audience(slow)
    state = play(Tape(story, 4), seen, seen.clock, seen.wait)
    assert [event for piece in seen.pieces for event in piece] == story
    assert state == replay(story) == seen.states[-1]
    assert all(len({event.at for event in piece}) == 1 for piece in seen.pieces)
    assert seen.ticks == sorted(seen.ticks)


def test_a_play_takes_the_time_that_it_should() -> None:
    seen = Audience()
    tape = Tape(good_run(), 4)
    play(tape, seen, seen.clock, seen.wait)
    assert seen.now - 100 == pytest.approx(tape.length, abs=0.01)
    assert len(seen.ticks) >= tape.length / 0.25
