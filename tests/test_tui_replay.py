"""A recorded run on the board: each key of the player, any moment at once, and nothing that acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from run_stories import (
    T0,
    asked,
    bad_run,
    charge,
    end,
    good_run,
    held_run,
    histories,
    new_plan,
    opening,
    pause,
    phase,
    silence,
    start,
    stop,
    told,
    wait,
)
from tui_world import Story, World, board_of, gated_run, press, rows_text, screen_lines, screen_text, settled, until
from wavecrew.core.store import Store
from wavecrew.errors import InvalidValueError, NotFoundError, UsageError
from wavecrew.models.events import Event
from wavecrew.models.execution_state import replay
from wavecrew.tui import deeds
from wavecrew.tui.app import BoardApp
from wavecrew.tui.board import Board
from wavecrew.tui.commands import parsed, replay_speed
from wavecrew.tui.palette import DARK
from wavecrew.tui.played_source import PlayedSource
from wavecrew.tui.player import FASTEST, SLOWEST, Player
from wavecrew.views.board_parts import STYLES, plain_text
from wavecrew.views.board_replay import Recording, is_of_note, play_line
from wavecrew.views.run_history import History
from wavecrew.views.terminal_text import cells


class Clock:
    """A clock that only a test moves on."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def player_of(events: list[Event], speed: float = 1.0) -> tuple[Player, Clock]:
    clock = Clock()
    return Player(events, speed, 100.0, clock), clock


# -- a recording --------------------------------------------------------------------------------------------------


@given(histories(), st.integers(0, 10_000))
def test_any_moment_is_what_the_events_so_far_make_of_it(events: list[Event], place: int) -> None:
    found = Recording(events)
    count = place % (len(events) + 1)
    assert found.state(count) == replay(events[:count])
    assert found.lines_after(len(events)) == found.lines
    shown = found.lines_after(count)
    assert found.lines[: len(shown)] == shown
    assert 0 <= found.elapsed(events[count - 1].at) <= found.length or count == 0


def test_a_moment_of_a_long_run_is_near_a_state_that_is_kept() -> None:
    plan = [phase(f"{number:04} part", "", 5) for number in range(1500)]
    events = [*opening(*plan)]
    for number, one in enumerate(plan):
        events += [start(number, one.id), end(number + 0.5, one.id, 1)]
    found = Recording(events)
    for count in (0, 1, 999, 1000, 1001, 2500, len(events)):
        assert found.state(count) == replay(events[:count]), count
    assert [found.state(count) is found.state(count) for count in (0, len(events))] == [True, True]


def test_the_words_of_an_event_are_those_of_its_moment() -> None:
    events = [*opening(phase("01 a", "", 5), phase("02 b", "", 5)), start(0, "01"), end(2, "01", 1), stop(3)]
    events += [charge(10, 2), start(10, "02"), end(12, "02", 1)]
    found = Recording(events)
    number = next(place for place, event in enumerate(events) if event.at == T0 + 3)
    assert "passed=1" in found.words_of(number)
    assert "passed=2" not in found.words_of(number)


def test_what_is_of_note_is_what_does_not_go_by_itself() -> None:
    events = bad_run()
    words = [Recording(events).words_of(number).split()[1] for number in Recording(events).notes]
    assert words[:2] == ["run", "skip"]
    assert set(words) == {"run", "skip", "fail", "retry", "done"}
    smooth = [one for one in good_run() if not is_of_note(one)]
    assert len(good_run()) - len(smooth) == 2  # the start of the run and its end
    for one in (asked(1, "wave 2"), pause(1), silence(1, "01", 0.5), charge(1, 2), new_plan(1)):
        assert is_of_note(one), one
    for one in (silence(1, "01", None), charge(1, 1), told(1, "01"), wait(1, "01", "a", "02")):
        assert not is_of_note(one), one


def test_time_in_which_nobody_was_at_work_is_no_part_of_the_bar() -> None:
    events = [*opening(phase("01 a", "", 5)), start(0, "01"), end(5, "01", 1), stop(6), charge(40_006, 2), stop(40_010)]
    assert Recording(events).length == pytest.approx(10)
    assert Recording(()).length == 0


@given(histories(), st.integers(10, 220), st.floats(0, 1), st.booleans())
def test_the_line_of_the_player_fits(events: list[Event], width: int, share: float, playing: bool) -> None:
    found = Recording(events)
    count = round(share * len(events))
    line = play_line(found, count, events[max(0, count - 1)].at, speed=12.5, playing=playing, width=width)
    assert cells(plain_text(line)) <= width
    assert all(piece.style in STYLES for piece in line)


def test_the_line_of_the_player_tells_where_it_stands() -> None:
    found = Recording(good_run())
    total = len(good_run())

    def line(count: int, at: float, playing: bool = True, width: int = 120) -> str:
        return plain_text(play_line(found, count, T0 + at, speed=10, playing=playing, width=width))

    half = line(9, 11.5)
    assert half.startswith(f" REPLAY   ▶ x10  00:11.5 of 00:23.0  event 9 of {total}  2023-11-14 22:13:31Z  █")
    assert half.count("█") == pytest.approx(half.count("░"), abs=1)
    assert "paused, x10" in line(9, 11.5, playing=False)
    over = line(total, 23, playing=False)
    assert "at the end, x10" in over
    assert "░" not in over
    assert "░" in line(total - 1, 23)
    assert line(9, 11.5, width=52).startswith(" REPLAY   ▶ x10  00:11.5 of 00:23.0  █")


# -- the player ---------------------------------------------------------------------------------------------------


def test_a_play_goes_by_its_clock_and_pauses_at_its_end() -> None:
    player, clock = player_of(good_run(), 2.0)
    assert player.moment.events == 3
    clock.now += 1.0
    assert player.moment.now == pytest.approx(T0 + 2)
    player.toggle()
    clock.now += 100
    assert player.moment.now == pytest.approx(T0 + 2)
    player.toggle()
    clock.now += 4
    assert player.moment.now == pytest.approx(T0 + 10)
    assert player.playing
    clock.now += 100
    assert player.moment.events == len(good_run())
    assert not player.playing
    player.toggle()
    assert player.playing
    assert player.moment.events == 3


def test_the_speed_changes_in_the_middle() -> None:
    player, clock = player_of(good_run(), 2.0)
    clock.now += 2.5
    before = player.moment
    player.change_speed(faster=True)
    assert player.speed == 4
    assert player.moment == before
    clock.now += 1
    assert player.moment.now == pytest.approx(before.now + 4)
    for _ in range(60):
        player.change_speed(faster=True)
    assert player.speed == FASTEST
    for _ in range(60):
        player.change_speed(faster=False)
    assert player.speed == SLOWEST


@given(histories(), st.floats(0.01, 1000), st.floats(0, 1), st.booleans())
def test_another_speed_shows_the_same_moment(events: list[Event], speed: float, share: float, faster: bool) -> None:
    player, _ = player_of(events, speed)
    player.go_to(share * player._tape.length)
    before = player.moment
    player.change_speed(faster=faster)
    after = player.moment
    assert after.now == pytest.approx(before.now, abs=1e-3)
    assert abs(after.events - before.events) <= sum(event.at == events[before.events - 1].at for event in events) + 3


@given(histories())
def test_steps_and_notes_lead_through_all_and_back(events: list[Event]) -> None:
    player, _ = player_of(events)
    player.to_end(-1)
    seen = [player.moment.events]
    while seen[-1] < len(events):
        player.step(1)
        assert player.moment.events > seen[-1]
        seen.append(player.moment.events)
    back = [player.moment.events]
    while back[-1] > seen[0]:
        player.step(-1)
        assert player.moment.events < back[-1]
        back.append(player.moment.events)
    assert back[::-1] == seen
    found = []
    player.to_end(-1)
    while (number := player.to_note(1)) is not None:
        assert player.moment.events > number
        found.append(number)
    assert all(is_of_note(events[number]) for number in found)
    assert len(set(found)) == len(found)
    player.to_end(1)
    while (number := player.to_note(-1)) is not None:
        assert is_of_note(events[number])
    assert not player.playing


def test_a_speed_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValueError):
        Player(good_run(), 0)


@pytest.mark.parametrize(("line", "speed"), [("replay", 10), ("replay 20", 20), ("status", None), ("", None)])
def test_command_lines_that_play(line: str, speed: float | None) -> None:
    assert replay_speed(line) == speed


@pytest.mark.parametrize("line", ["replay x", "replay 0", "replay 1 2", "replay nan"])
def test_command_lines_that_would_play_but_say_not_how_fast(line: str) -> None:
    with pytest.raises(UsageError, match="how many times"):
        replay_speed(line)
    with pytest.raises(UsageError, match="say replay"):
        parsed("runs replay")


# -- on the board -------------------------------------------------------------------------------------------------


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes a workspace with a run that is over."""
    made: list[World] = []

    def world(events: list[Event], **more: object) -> World:
        made.append(World(tmp_path, events, alive=False, **more))  # type: ignore[arg-type]
        return made[-1]

    yield world
    for one in made:
        one.close()


def show(world: World, story: Story, size: tuple[int, int] = (120, 40)) -> None:
    """Play a story on a board that is paused at the beginning of a run."""

    async def play() -> None:
        source = PlayedSource(world.viewer, world.folder, world.run, speed=1)
        assert source.player is not None
        source.player.go_to(0.0)
        async with BoardApp(source, theme_name=DARK).run_test(size=size) as pilot:
            await settled(pilot)
            await story(pilot)

    asyncio.run(play())


def play_text(pilot: Pilot[None]) -> str:
    return screen_lines(pilot)[1]


def test_each_key_of_the_player(make: Callable[..., World]) -> None:
    async def story(pilot: Pilot[None]) -> None:
        total = len(bad_run())
        assert f"event 3 of {total}" in play_text(pilot)
        assert "space play  ← → note  , . step  + - speed  < > ends" in screen_lines(pilot)[-1]
        await press(pilot, "full_stop")
        assert "▶ 02 reader" in screen_text(pilot)
        assert "· 05 stats" in screen_text(pilot)
        await press(pilot, "comma")
        assert "· 02 reader" in screen_text(pilot)
        await press(pilot, "right")
        assert "skip   03 markdown" in screen_lines(pilot)[-1]
        assert "2 03 markdown" in screen_text(pilot)
        await press(pilot, "right")
        assert "fail   05 stats" in screen_lines(pilot)[-1]
        assert "✗ 05 stats" in screen_text(pilot)
        assert "needs you 0" in screen_text(pilot)
        await press(pilot, "left")
        assert "skip   03 markdown" in screen_lines(pilot)[-1]
        assert "▶ 05 stats" not in screen_text(pilot)
        await press(pilot, "greater_than_sign")
        assert "at the end, x1" in play_text(pilot)
        assert "✗ failed" in screen_lines(pilot)[0]
        await press(pilot, "right")
        assert "nothing of note comes any more" in screen_lines(pilot)[-1]
        await press(pilot, "less_than_sign", "left", "left")
        assert "nothing of note was before" in screen_lines(pilot)[-1]
        await press(pilot, "plus", "equals_sign")
        assert "paused, x4" in play_text(pilot)
        await press(pilot, "minus")
        assert "paused, x2" in play_text(pilot)
        await press(pilot, *["plus"] * 20, "space")
        await until(pilot, lambda: "at the end" in play_text(pilot), "the end of the play")
        assert "space play" in screen_lines(pilot)[-1]

    show(make(bad_run()), story)


def test_nothing_can_be_done_to_a_run_that_is_played(
    make: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object) -> None:
        raise AssertionError("a command was started")

    monkeypatch.setattr(deeds, "Running", started)
    world = make(gated_run())

    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "greater_than_sign", "5")
        assert "wave 3 waits for approval" in screen_text(pilot)
        assert "a approve" not in screen_text(pilot)
        assert "next: wavecrew" not in screen_text(pilot)
        for key in ("enter", "a", "A", "r", "R", "s", "x", "G"):
            await press(pilot, key)
            said = "a" if key == "enter" else key
            assert f"{said} is off: this is a recording. As it is now: wavecrew ui 3f2a" in screen_lines(pilot)[-1], key
            assert isinstance(pilot.app.screen, Board), key
        await press(pilot, "y")
        assert "Q stop" not in screen_text(pilot)
        assert "space pause" not in screen_text(pilot)
        await press(pilot, "escape")
        await pilot.press("Q")

    show(world, story)
    assert [event for _, event in world.store.events("3f2a")] == gated_run()


def test_what_was_not_recorded_is_not_made_up(make: Callable[..., World]) -> None:
    world = make(good_run())
    world.log("04", "all that it said\n")
    world.job("04", {"kind": "check", "title": "the tests", "argv": ["true"]})

    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        await press(pilot, "full_stop", "4")
        assert "phase 03 waits 0.0s for minitable/registry.py, held by phase 04" in screen_text(pilot)
        assert "which locks were held is not recorded" in screen_text(pilot)
        assert "[Locks 1 waiting]" in screen_text(pilot)
        await press(pilot, "1", "home", "down", "down", "down", "l")
        assert "log and difference are those of its end" in screen_text(pilot)
        assert "all that it said" in screen_text(pilot)
        await press(pilot, "k")
        assert rows_text(board.phase_pane.body).startswith("· check")
        await press(pilot, "6")
        assert "pass   04 html" not in rows_text(board.lists.rows)
        await press(pilot, "greater_than_sign")
        assert "log and difference" not in screen_text(pilot)
        assert "pass   04 html" in rows_text(board.lists.rows)

    show(world, story)


def test_a_board_opens_a_recording_and_comes_back(make: Callable[..., World]) -> None:
    world = make(good_run())

    async def play() -> None:
        async with world.open((120, 40)) as pilot:
            board = await settled(pilot)
            await press(pilot, "plus")
            assert "+ is a key of a recording; to play this run: `: replay`" in screen_text(pilot)
            await press(pilot, "colon", *"replay 0", "enter")
            assert "how many times as fast?" in screen_text(pilot)
            await press(pilot, "colon", *"replay 1000000", "enter")
            await until(
                pilot, lambda: "REPLAY" in screen_text(pilot) and "at the end" in screen_text(pilot), "the play"
            )
            assert pilot.app.screen is not board
            await press(pilot, "ctrl+c")
            await until(pilot, lambda: pilot.app.screen is board, "the board from before")
            assert "REPLAY" not in screen_text(pilot)
            await press(pilot, "colon", *"replay", "enter")
            await until(pilot, lambda: "REPLAY" in screen_text(pilot), "the play")
            await press(pilot, "colon", "q", "enter")
            await until(pilot, lambda: pilot.app.screen is board, "the board from before")

    asyncio.run(play())


@pytest.mark.parametrize("story", [good_run(), bad_run(), held_run(), gated_run()])
def test_seeking_shows_what_playing_shows(make: Callable[..., World], story: list[Event]) -> None:
    world = make(story)
    played = PlayedSource(world.viewer, world.folder, world.run, speed=1)
    sought = PlayedSource(world.viewer, world.folder, world.run, speed=1)
    assert played.player is not None
    assert sought.player is not None
    for count in (*range(len(story) + 1), 3, len(story) // 2, len(story), 1):
        for source in (played, sought):
            source.player.go_to(source.player._tape.position_of(count))  # type: ignore[union-attr]
        played.tick()
        for _ in range(2):
            sought.player.to_end(1 if count % 2 else -1)
            sought.tick()
            sought.player.go_to(sought.player._tape.position_of(count))
            sought.tick()
        assert sought.summary == played.summary
        assert sought.event_lines == played.event_lines
        assert sought.waits == played.waits
        assert sought.history.attempts == History(played.events).attempts


def test_a_run_without_events_cannot_be_played(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.create_run("3f2a", at=T0, plan="plan", digest="7c1f", events=[])
        with pytest.raises(NotFoundError, match="no events to play"):
            PlayedSource(store, tmp_path, "3f2a")
