"""The board: each key, both sizes, without colour and UTF-8, with hostile words, and with two hundred phases."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from run_stories import T0, bad_run, end, finish, good_run, held_run, opening, phase, start
from run_stories import until as upto
from tui_world import (
    Story,
    World,
    big_run,
    board_of,
    gated_run,
    press,
    rows_text,
    screen_lines,
    screen_text,
    screen_words,
    settled,
    until,
)
from wavecrew.errors import NotFoundError
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.tui import deeds
from wavecrew.tui.board import Board
from wavecrew.tui.dialogs import Page, Question, Words
from wavecrew.tui.full_log import FullLog
from wavecrew.tui.palette import DARK, LIGHT, PLAIN
from wavecrew.views.board_keys import Pane, Tab

SMALL, LARGE = (80, 24), (200, 60)
HALF = upto(good_run(), 6.5)
HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m [bold red]markup[/] \x1b]52;c;ZXZpbA==\x07\x9b1m \u202egnp.exe\n"
    "50 percent\rdone\nbell\x07 and nul\x00\n[link=https://evil.example]click[/link]\n"
)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes a workspace with a run."""
    made: list[World] = []

    def world(events: list[Event], **more: object) -> World:
        folder = tmp_path / f"workspace-{len(made)}"
        folder.mkdir()
        made.append(World(folder, events, **more))  # type: ignore[arg-type]
        return made[-1]

    yield world
    for one in made:
        one.close()


@pytest.fixture
def half(make: Callable[..., World]) -> World:
    """The small plan, half way through."""
    world = make(HALF, began=6.5)
    world.log("04", "$ python -m unittest tests.test_html\n......\nRan 6 tests in 0.412s\nOK\n")
    world.job(
        "04",
        {"kind": "agent", "title": "the agent", "argv": ["my-agent", "--task"], "given": "Write the page.\nWell."},
        {"kind": "check", "title": "python -m unittest", "argv": ["python", "-m", "unittest"]},
    )
    return world


def show(world: World, story: Story, size: tuple[int, int] = SMALL, theme: str = DARK, encoding: str = "utf-8") -> None:
    """Play a story on the board."""

    async def play() -> None:
        async with world.open(size, theme, encoding) as pilot:
            await settled(pilot)
            await story(pilot)

    asyncio.run(play())


class Commands:
    """Stands for the command line: notes what it is asked for."""

    def __init__(self, words: str = "done") -> None:
        self.asked: list[list[str]] = []
        self.words = words

    def make(self, words: list[str], folder: Path, environment: dict[str, str], width: int) -> Commands._Running:
        self.asked.append(list(words))
        return self._Running(self.words)

    class _Running:
        def __init__(self, text: str) -> None:
            self.text = text
            self.last_words = text

        async def work(self, told: Callable[[], None] = lambda: None) -> int:
            told()
            return 0

        def end(self) -> None:
            """Nothing is at work."""


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """No command is really run; what was asked for is in `asked`."""
    found = Commands()
    monkeypatch.setattr(deeds, "Running", found.make)
    return found


# -- what it shows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_the_board_shows_plan_phase_and_timeline(half: World, size: tuple[int, int]) -> None:
    async def story(pilot: Pilot[None]) -> None:
        text = screen_text(pilot)
        assert "minitable" in text
        assert "▶ running" in text
        for words in ("✓ 01 scaffold", "◷ 03 markdown", "▶ 05 stats", "· 07 cli", "waits", "to come"):
            assert words in text, words
        assert "Ran 6 tests in 0.412s" in text
        assert "step 1/2" in text
        assert "[Timeline]" in text
        assert "▒▒▒" in text
        assert "? help" in text
        assert all(len(line) == size[0] for line in screen_lines(pilot))
        assert len(screen_lines(pilot)) == size[1]

    show(half, story, size)


def test_the_large_board_says_more(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        text = screen_text(pilot)
        assert "2 done" in text
        assert "waits for minitable/registry.py, held by 04" in text.replace("  ", " ") or "waits for minitable" in text
        assert "█ passed" in text
        assert "cost unknown" in text

    show(half, story, LARGE)


def test_news_is_drawn_without_a_key(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        half.tell(end(7, "04", 1, "minitable/html.py"), start(7, "03"))
        await until(pilot, lambda: "▶ 03 markdown" in screen_text(pilot), "the start of 03")
        assert "✓ 04 html" in screen_text(pilot)
        (half.store.folder / "runs" / "3f2a" / "04" / "1" / "log").write_text("another line\n")
        await until(pilot, lambda: "another line" in screen_text(pilot), "the log")

    show(half, story)


def test_the_end_of_a_run_is_seen(make: Callable[..., World]) -> None:
    world = make(good_run()[:-1], began=23)

    async def story(pilot: Pilot[None]) -> None:
        world.tell(finish(23))
        await until(pilot, lambda: "✓ succeeded 23.0s" in screen_text(pilot), "the end")

    show(world, story)


def test_a_coordinator_that_died_is_told(half: World) -> None:
    half.leave()

    async def story(pilot: Pilot[None]) -> None:
        assert "! interrupted" in screen_text(pilot)
        assert "its coordinator is gone; nothing is lost" in screen_text(pilot)
        assert "G go on" in screen_lines(pilot)[-1]

    show(half, story, (100, 24))


def test_two_hundred_phases(make: Callable[..., World]) -> None:
    world = make(big_run(200), began=None)

    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        assert len(board.plan.lines) == 200
        await press(pilot, "home")
        assert "001" in screen_text(pilot)
        await press(pilot, "end")
        assert board.phase_pane.phase == "200"
        assert "200" in screen_text(pilot)
        await press(pilot, "pageup", "3", "z")
        assert all(len(line) == 80 for line in screen_lines(pilot))

    show(world, story)


# -- keys ---------------------------------------------------------------------------------------------------------


def test_the_numbers_lead_to_the_panes(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        for pane in Pane:
            await press(pilot, str(int(pane)))
            assert board.pane is pane
        assert "[Events]" in screen_text(pilot)
        await press(pilot, "4")
        assert "[Locks 0 held, 1 waiting]" in screen_text(pilot)
        assert re.search(r"phase 03 waits \S+ for minitable/registry.py, held by phase 04", screen_words(pilot))
        await press(pilot, "5")
        assert "nobody is needed" in screen_text(pilot)
        assert "next: wavecrew" in screen_text(pilot)

    show(half, story)


def test_tab_goes_round(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        seen = []
        for _ in Pane:
            await press(pilot, "tab")
            seen.append(board.pane)
        assert seen == [Pane.PHASE, Pane.TIMELINE, Pane.LOCKS, Pane.NEEDS_YOU, Pane.EVENTS, Pane.PLAN]
        await press(pilot, "shift+tab")
        assert board.pane is Pane.EVENTS

    show(half, story)


def test_the_arrows_choose_a_phase(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        await press(pilot, "home")
        assert board.phase_pane.phase == "01"
        await press(pilot, "down", "down")
        assert board.phase_pane.phase == "03"
        assert "2 03 markdown" in screen_text(pilot)
        await press(pilot, "enter")
        assert board.pane is Pane.PHASE
        await press(pilot, "escape")
        assert board.pane is Pane.PLAN
        await press(pilot, "3", "home", "enter")
        assert board.pane is Pane.PHASE
        assert board.phase_pane.phase == "04"

    show(half, story)


def test_each_tab_of_a_phase(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        await press(pilot, "e")
        assert board.phase_pane.tab is Tab.EVENTS
        assert "start" in rows_text(board.phase_pane.body)
        await press(pilot, "p")
        assert "$ my-agent --task" in rows_text(board.phase_pane.body)
        assert "Write the page." in rows_text(board.phase_pane.body)
        await press(pilot, "k")
        told = rows_text(board.phase_pane.body)
        assert "check    python -m unittest" in told.replace(" " * 5, " " * 4)
        assert "output   minitable/html.py" in told
        await press(pilot, "d")
        await until(pilot, lambda: "worked in one shared folder" in rows_text(board.phase_pane.body), "the difference")
        await press(pilot, "l")
        assert "Ran 6 tests" in rows_text(board.phase_pane.body)

    show(half, story)


def test_the_attempts_of_a_phase(make: Callable[..., World]) -> None:
    world = make(bad_run())
    world.log("06", "the first try\n")
    world.log("06", "the second try\n", attempt=2)

    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        await press(pilot, "slash", *"fuzz", "enter")
        assert board.phase_pane.phase == "06"
        assert "the second try" in screen_text(pilot)
        await press(pilot, "left_square_bracket")
        assert "the first try" in screen_text(pilot)
        assert "attempt 1 of 2" in screen_text(pilot)
        assert "its time limit passed" in screen_text(pilot)
        await press(pilot, "right_square_bracket")
        assert "the second try" in screen_text(pilot)

    show(world, story)


def test_each_tab_is_of_the_attempt_that_is_chosen(make: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    def work_of(*given: object) -> object:
        raise NotFoundError(f"the difference of attempt {given[-1]}")

    monkeypatch.setattr("wavecrew.tui.phase_pane.work_of", work_of)
    world = make(bad_run())
    for number in (1, 2):
        world.log("06", f"log of attempt {number}\n", attempt=number)
        world.job("06", {"kind": "agent", "title": "fuzz", "given": f"prompt of attempt {number}"}, attempt=number)
    expected = {
        1: {"l": "log of attempt 1", "e": "attempt=1", "p": "prompt of attempt 1", "d": "difference of attempt 1"},
        2: {"l": "log of attempt 2", "e": "attempt=2", "p": "prompt of attempt 2", "d": "difference of attempt 2"},
    }

    async def story(pilot: Pilot[None]) -> None:
        body = board_of(pilot).phase_pane.body
        await press(pilot, "slash", *"fuzz", "enter")
        for number, step in ((2, "right_square_bracket"), (1, "left_square_bracket")):
            await press(pilot, step)
            for key, words in expected[number].items():
                await press(pilot, key)
                await until(pilot, lambda words=words: words in rows_text(body), f"{key} of attempt {number}")
                other = expected[3 - number][key]
                assert other not in rows_text(body), (key, number)
            await press(pilot, "k")
            checks = rows_text(body)
            assert ("✓ output   tests/test_fuzz.py" in checks) == (number == 2)
            assert ("its time limit passed" in checks) == (number == 1)

    show(world, story, (120, 40))


def test_a_question_of_an_agent_is_answered(make: Callable[..., World], commands: Commands) -> None:
    world = make(HALF, began=6.5)
    text = "Which of the two date formats is meant, the one that the plan has, or the other that the tests want to see?"

    async def story(pilot: Pilot[None]) -> None:
        world.tell(ev.QuestionAsked(at=T0 + 6.5, phase="05", attempt=1, question=1, text=text))
        await until(pilot, lambda: "needs you 1" in screen_text(pilot), "the question")
        assert "? 05 stats    asks" in screen_text(pilot)
        await press(pilot, "5")
        assert "05 stats asks: Which of the two date formats" in screen_text(pilot)
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, Words)
        assert text in screen_words(pilot)
        await press(pilot, *"-the plan", "enter")
        await until(pilot, lambda: bool(commands.asked), "the answer")

    show(world, story)
    assert commands.asked == [["answer", "--run", "3f2a", "--", "05", "-the plan"]]


def test_a_small_terminal_shows_one_pane_at_a_time(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        assert "▶ 04 html" in screen_text(pilot)
        assert "[Log]" not in screen_text(pilot)
        for key, there in (("2", "[Log]"), ("3", "[Timeline]"), ("4", "[Locks]"), ("1", "1 Plan"), ("e", "[Events]")):
            await press(pilot, key)
            await until(pilot, lambda there=there: there in screen_text(pilot), f"the pane of {key}")
            sizes = [board_of(pilot).query_one(name).size.area for name in ("#left", "#phase", "#lists")]
            assert sum(size > 0 for size in sizes) == 1, (key, sizes)
            assert all(len(line) == 40 for line in screen_lines(pilot))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "1 Plan" in screen_text(pilot) and "Timeline" in screen_text(pilot), "all panes")

    show(half, story, (40, 10))


def test_the_plan_is_filtered_while_typing(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        await press(pilot, "slash", *"running")
        assert [row.id for row in board._rows] == ["04", "05", "06"]
        await press(pilot, "enter")
        assert "only: running" in screen_text(pilot)
        await press(pilot, "slash", "x", "escape")
        assert board.words == "running"
        await press(pilot, "escape")
        assert len(board._rows) == 10

    show(half, story)


def test_a_log_is_searched(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        board = board_of(pilot)
        await press(pilot, "2", "slash", *"tests", "enter")
        assert rows_text(board.phase_pane.body) == "$ python -m unittest tests.test_html\nRan 6 tests in 0.412s"
        await press(pilot, "escape")
        assert "OK" in rows_text(board.phase_pane.body)

    show(half, story, LARGE)


def test_a_pane_alone(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        for key, there, gone in (("1", "1 Plan", "[Timeline]"), ("2", "[Log]", "1 Plan"), ("6", "[Events]", "1 Plan")):
            await press(pilot, key, "z")
            await until(
                pilot, lambda there=there, gone=gone: there in screen_text(pilot) and gone not in screen_text(pilot)
            )
            await press(pilot, "z")
            await until(pilot, lambda: "1 Plan" in screen_text(pilot) and "[Log]" in screen_text(pilot))

    show(half, story)


def test_help_and_graph_open_and_close(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "question_mark")
        assert isinstance(pilot.app.screen, Page)
        for words in ("its log, events, prompt", "approve, reject", "any command of wavecrew"):
            assert words in rows_text(pilot.app.screen.query_one("#page")), words  # type: ignore[arg-type]
        await press(pilot, "escape", "g")
        graph = rows_text(pilot.app.screen.query_one("#page"))  # type: ignore[arg-type]
        assert "needs      01" in graph
        assert "07 cli" in graph
        await press(pilot, "q")
        assert isinstance(pilot.app.screen, Board)

    show(half, story)


def test_the_log_over_the_whole_screen(half: World) -> None:
    half.log("04", "".join(f"line {number} of the log\n" for number in range(300)))

    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "F")
        assert isinstance(pilot.app.screen, FullLog)
        lines = [line.rstrip() for line in screen_lines(pilot)]
        assert lines[22] == "line 299 of the log"
        assert lines[0] == "line 277 of the log"
        await press(pilot, "home")
        assert screen_lines(pilot)[0].startswith("line 0 of the log")
        await press(pilot, "slash", *"line 12", "enter")
        assert screen_lines(pilot)[0].startswith("line 12 of the log")
        assert screen_lines(pilot)[1].startswith("line 120 of the log")
        await press(pilot, "y")
        assert pilot.app.clipboard.startswith("line 12 of the log\nline 120")
        await press(pilot, "escape", "escape")
        assert isinstance(pilot.app.screen, Board)

    show(half, story)


def test_the_themes_go_round(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        seen = []
        for _ in range(3):
            await press(pilot, "T")
            seen.append(pilot.app.theme)
        assert seen == [LIGHT, PLAIN, DARK]

    show(half, story)


def test_leaving_changes_nothing(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await pilot.press("q")

    before = half.store.events("3f2a")
    show(half, story)
    assert half.store.events("3f2a") == before


# -- doing --------------------------------------------------------------------------------------------------------


def test_an_action_that_does_not_fit_says_so(half: World, commands: Commands) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "home", "x")
        assert "x does nothing here now" in screen_text(pilot)

    show(half, story)
    assert commands.asked == []


def test_cancelling_asks_first(half: World, commands: Commands) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "x")
        assert isinstance(pilot.app.screen, Question)
        assert "Cancel 04 html: its agent is ended" in screen_text(pilot)
        assert "$ wavecrew cancel --run 3f2a 04" in screen_text(pilot)
        for key in ("x", "enter", "space"):
            await press(pilot, key)
        assert isinstance(pilot.app.screen, Question)
        await press(pilot, "n")
        assert commands.asked == []
        await press(pilot, "x", "escape", "x", "y")
        await until(pilot, lambda: commands.asked == [["cancel", "--run", "3f2a", "04"]], "the command")

    show(half, story)


def test_a_command_in_question_can_be_copied(half: World, commands: Commands) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "x", "c")
        assert pilot.app.clipboard == "wavecrew cancel --run 3f2a 04"

    show(half, story)
    assert commands.asked == []


@pytest.mark.parametrize(("key", "flags"), [("r", []), ("R", ["--with-downstream"])])
def test_doing_a_phase_again(half: World, commands: Commands, key: str, flags: list[str]) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "home", key, "y")
        await until(pilot, lambda: bool(commands.asked), "the command")

    show(half, story)
    assert commands.asked == [["retry", *flags, "--run", "3f2a", "01"]]


def test_a_failed_phase_is_tried_again_without_a_question(make: Callable[..., World], commands: Commands) -> None:
    world = make(bad_run())

    async def story(pilot: Pilot[None]) -> None:
        assert board_of(pilot).phase_pane.phase == "05"
        await press(pilot, "r")
        await until(pilot, lambda: bool(commands.asked), "the command")

    show(world, story)
    assert commands.asked == [["retry", "--run", "3f2a", "05"]]


def test_skipping_wants_a_reason(half: World, commands: Commands) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "end", "s")
        assert isinstance(pilot.app.screen, Words)
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, Words)
        await press(pilot, *"not now", "enter")
        await until(pilot, lambda: bool(commands.asked), "the command")

    show(half, story)
    assert commands.asked == [["skip", "--reason", "not now", "--run", "3f2a", "10"]]


def test_pausing_and_going_on(half: World, commands: Commands) -> None:
    from run_stories import pause

    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "space")
        await until(pilot, lambda: commands.asked == [["pause", "--run", "3f2a"]], "the pause")
        half.tell(pause(6.6))
        await until(pilot, lambda: "paused by ann" in screen_text(pilot), "the pause")
        await press(pilot, "space")
        await until(pilot, lambda: commands.asked[-1] == ["continue", "--run", "3f2a"], "the end of it")

    show(half, story)


def test_gates_are_answered(make: Callable[..., World], commands: Commands) -> None:
    world = make(gated_run(), began=90)

    async def story(pilot: Pilot[None]) -> None:
        assert "needs you 1" in screen_text(pilot)
        assert "! 03 more  needs you" in screen_text(pilot)
        assert board_of(pilot).phase_pane.phase == "03"
        await press(pilot, "5")
        assert "wave 3 waits for approval" in screen_text(pilot)
        await press(pilot, "enter")
        await until(pilot, lambda: commands.asked == [["approve", "--run", "3f2a", "wave 3"]], "the approval")
        await press(pilot, "A", *"too early", "enter")
        await until(pilot, lambda: len(commands.asked) == 2, "the refusal")

    show(world, story)
    assert commands.asked[1] == ["reject", "--reason", "too early", "--run", "3f2a", "wave 3"]


def test_a_run_that_nobody_is_at_work_on_goes_on(half: World, commands: Commands) -> None:
    half.leave()

    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "G", "y")
        await until(pilot, lambda: bool(commands.asked), "the command")

    show(half, story)
    assert commands.asked == [["run", "--detach", "--", "plan"]]


@pytest.mark.parametrize("key", ["Q", "ctrl+c"])
def test_stop_or_leave(half: World, commands: Commands, key: str) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, key)
        assert "Stop run 3f2a: 3 agents at work are ended" in screen_words(pilot)
        await press(pilot, key)
        assert isinstance(pilot.app.screen, Board) == (key == "ctrl+c")
        if key == "Q":
            await press(pilot, "escape")
        await press(pilot, key, "s")
        await until(pilot, lambda: bool(commands.asked), "the command")
        await press(pilot, key)
        await pilot.press("l")

    show(half, story)
    assert commands.asked == [["cancel", "--run", "3f2a"]]


def test_copying_the_command_of_a_key(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "y")
        assert "Copy the command behind which key?" in screen_text(pilot)
        for words in ("x cancel", "space pause", "l log", "t status", "Q stop", "y what is shown", "esc back"):
            assert words in screen_text(pilot), words
        await press(pilot, "x")
        assert pilot.app.clipboard == "wavecrew cancel --run 3f2a 04"
        await press(pilot, "y", "l")
        assert pilot.app.clipboard == "wavecrew logs --run 3f2a --attempt 1 04"
        await press(pilot, "y", "y")
        assert "Ran 6 tests" in pilot.app.clipboard

    show(half, story)


def test_any_command_is_shown(half: World, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Commands(words="3 locks\nare held")
    monkeypatch.setattr(deeds, "Running", found.make)

    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "colon", *"locks list", "enter")
        await until(pilot, lambda: "wavecrew locks list   (ended with 0)" in screen_text(pilot), "the page")
        assert "are held" in screen_text(pilot)
        await press(pilot, "y")
        assert pilot.app.clipboard == "3 locks\nare held"
        await press(pilot, "escape", "colon", "up")
        assert pilot.app.screen.query_one(Input).value == "locks list"
        await press(pilot, "escape", "colon", *"ui", "enter")
        assert "you are in it already" in screen_text(pilot)
        await press(pilot, "colon", *"'", "enter")
        assert "this is no command line" in screen_text(pilot)

    show(half, story)
    assert found.asked == [["locks", "list"]]


def test_a_real_command_is_run(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "colon", *"runs list", "enter")
        await until(pilot, lambda: "ended with 0" in screen_text(pilot), "the command")
        assert "3f2a" in screen_text(pilot)

    show(half, story)


@pytest.mark.parametrize("key", ["v", "o"])
def test_a_terminal_that_cannot_be_lent_stays(half: World, key: str) -> None:
    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, key)
        assert "cannot be lent" in screen_text(pilot)

    show(half, story)


# -- hostile words, poor terminals --------------------------------------------------------------------------------


def test_hostile_words_do_nothing(make: Callable[..., World]) -> None:
    evil = "\x1b[2J[red]x[/] \u202eeil"
    world = make([*opening(phase("01 ok", "", 5, "a.py")), start(0, "01", agent=evil)], began=3)
    world.log("01", HOSTILE)
    world.job("01", {"kind": evil, "title": evil, "argv": [evil], "given": HOSTILE})

    async def story(pilot: Pilot[None]) -> None:
        text = screen_text(pilot)
        assert "red [bold red]markup[/]" in text
        assert "[link=https://evil.example]click[/link]" in text
        assert "done" in text
        assert "50 percent" not in text
        for key in ("e", "p", "k", "3", "5", "6", "F"):
            await press(pilot, key)
            shown = screen_text(pilot)
            assert all(one.isprintable() or one == "\n" for one in shown), (key, shown)

    show(world, story, (120, 40))


def test_a_terminal_without_utf8_and_colour(half: World) -> None:
    half.log("04", "naïve ✓ 你好\n")

    async def story(pilot: Pilot[None]) -> None:
        for key in (
            "1",
            "e",
            "p",
            "k",
            "l",
            "3",
            "4",
            "5",
            "6",
            "question_mark",
            "escape",
            "g",
            "escape",
            "F",
            "q",
            "x",
        ):
            await press(pilot, key)
            text = screen_text(pilot)
            assert text.isascii(), (key, [one for one in text if not one.isascii()])
        styles = {
            segment.style.color
            for strip in pilot.app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.style.color and not segment.style.color.is_default
        }
        assert not styles

    show(half, story, SMALL, PLAIN, "ascii")


@pytest.mark.parametrize("size", [(20, 6), (40, 12), (300, 100)])
def test_odd_sizes_are_survived(make: Callable[..., World], size: tuple[int, int]) -> None:
    world = make(held_run(), began=None)

    async def story(pilot: Pilot[None]) -> None:
        for key in (
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "e",
            "p",
            "k",
            "F",
            "escape",
            "question_mark",
            "escape",
            "x",
            "escape",
        ):
            await press(pilot, key)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "1 Plan" in screen_text(pilot)

    show(world, story, size)


def test_what_cannot_be_read_any_more_is_told(half: World) -> None:
    async def story(pilot: Pilot[None]) -> None:
        with half.store.transaction() as tx:
            record = json.dumps({"kind": "from the future"})
            tx.execute("INSERT INTO event(run, seq, version, record) VALUES('3f2a', 99, 99, ?)", (record,))
        await until(pilot, lambda: "written by a newer wavecrew" in screen_text(pilot), "the trouble")
        assert "▶ 05 stats" in screen_text(pilot)

    show(half, story)


def test_a_fault_in_the_board_is_told_to_whoever_started_it(
    half: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = half.app()

    async def play() -> None:
        async with app.run_test(size=SMALL) as pilot:
            await settled(pilot)

            def broken(*_: object) -> None:
                raise ValueError("secret words")

            monkeypatch.setattr("wavecrew.tui.board.plan_lines", broken)
            await pilot.press("down")
            await pilot.pause()

    with pytest.raises(ValueError, match="secret words"):
        asyncio.run(play())
    assert isinstance(app.fault, ValueError)
    said = capsys.readouterr()
    assert "secret words" not in said.out + said.err


def test_a_command_that_cannot_be_started_is_told(half: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavecrew.tui.commands.sys.executable", "/nowhere/python")

    async def story(pilot: Pilot[None]) -> None:
        await press(pilot, "space")
        await until(pilot, lambda: "it could not be started" in screen_text(pilot), "the reason")

    show(half, story)
