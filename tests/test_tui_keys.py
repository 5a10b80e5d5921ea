"""The keys of the board: one table in the code, on its help page and in docs/tui.md; and each does what it says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Input

from run_stories import asked, bad_run, end
from run_stories import until as upto
from tui_world import World, press, screen_lines, screen_text, settled, until
from wavecrew.tui import deeds
from wavecrew.tui.app import BoardApp
from wavecrew.tui.board import Board
from wavecrew.tui.dialogs import Page, Question, Words
from wavecrew.tui.full_log import FullLog
from wavecrew.tui.palette import DARK, LIGHT
from wavecrew.tui.played_source import PlayedSource
from wavecrew.tui.player import Player
from wavecrew.views.board_keys import HELP, Pane, Tab

DOCS = Path(__file__).parent.parent / "docs" / "tui.md"
NAMES = {
    "esc": "escape",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "/": "slash",
    ":": "colon",
    "?": "question_mark",
    "[": "left_square_bracket",
    "]": "right_square_bracket",
    "+": "plus",
    "-": "minus",
    ",": "comma",
    ".": "full_stop",
    "<": "less_than_sign",
    ">": "greater_than_sign",
}
"""How textual calls the keys that people call otherwise."""
MOVES = {"up", "down", "pageup", "pagedown", "home", "end"}
ALIASES = {"equals_sign"}
ROWS = [key.split() for key, words in HELP if words]
FIRST = next(place for place, (key, _) in enumerate(HELP) if key.startswith("A recording"))
LAST = next(place for place, (key, _) in enumerate(HELP) if key == "Everything else")
RECORDED = {one for key, _ in HELP[FIRST + 1 : LAST] for one in key.split()}
OTHERS = {one for key, words in (*HELP[:FIRST], *HELP[LAST:]) if words for one in key.split()}


def test_the_table_in_the_docs_is_the_one_on_the_help_page() -> None:
    section = DOCS.read_text(encoding="utf-8").split("\n## Keys\n")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    assert [re.findall(r"`([^`]+)`", cell) for cell in cells] == ROWS


def test_every_key_that_is_bound_is_on_the_help_page_and_every_key_there_is_bound() -> None:
    bound = {one.key for one in Board.BINDINGS if isinstance(one, Binding)}
    told = {NAMES.get(key, key) for row in ROWS for key in row}
    assert bound - ALIASES == told - MOVES


class Place:
    """A board at the same place before each key, and what the commands were that it has asked for."""

    def __init__(self, pilot: Pilot[None], board: Board, commands: list[list[str]]) -> None:
        self.pilot = pilot
        self.board = board
        self.commands = commands
        self.left = 0

    def screen(self) -> object:
        return self.pilot.app.screen

    def foot(self) -> str:
        return screen_lines(self.pilot)[-1]


Check = Callable[[Place], bool]
LIVE: dict[str, tuple[tuple[str, ...], Check]] = {
    "1": (("2", "1"), lambda w: w.board.pane is Pane.PLAN),
    **{str(n): ((), lambda w, n=n: w.board.pane is Pane(n)) for n in range(2, 7)},  # type: ignore[misc]
    "tab": ((), lambda w: w.board.pane is Pane.PHASE),
    "shift+tab": ((), lambda w: w.board.pane is Pane.EVENTS),
    "up": ((), lambda w: w.board.phase_pane.phase == "05"),
    "down": ((), lambda w: w.board.phase_pane.phase == "07"),
    "pgup": ((), lambda w: w.board.phase_pane.phase == "01"),
    "pgdn": ((), lambda w: w.board.phase_pane.phase == "10"),
    "home": ((), lambda w: w.board.phase_pane.phase == "01"),
    "end": ((), lambda w: w.board.phase_pane.phase == "10"),
    "enter": (("e", "1", "enter"), lambda w: (w.board.pane, w.board.phase_pane.tab) == (Pane.PHASE, Tab.LOG)),
    "esc": (("2", "esc"), lambda w: w.board.pane is Pane.PLAN),
    "/": ((), lambda w: isinstance(w.screen(), Words) and "only what has these words" in screen_text(w.pilot)),
    "z": ((), lambda w: w.board.has_class("zoom-plan")),
    "l": (("e", "l"), lambda w: w.board.phase_pane.tab is Tab.LOG),
    "e": ((), lambda w: w.board.phase_pane.tab is Tab.EVENTS),
    "p": ((), lambda w: w.board.phase_pane.tab is Tab.PROMPT),
    "d": ((), lambda w: w.board.phase_pane.tab is Tab.DIFF),
    "k": ((), lambda w: w.board.phase_pane.tab is Tab.CHECKS),
    "[": ((), lambda w: "attempt 1 of 2" in screen_text(w.pilot)),
    "]": (("[", "]"), lambda w: "attempt 2 of 2" in screen_text(w.pilot)),
    "F": ((), lambda w: isinstance(w.screen(), FullLog)),
    "o": ((), lambda w: "cannot be lent" in w.foot()),
    "r": (("home", "r", "y"), lambda w: w.commands == [["retry", "--run", "3f2a", "01"]]),
    "R": (("home", "R", "y"), lambda w: w.commands == [["retry", "--with-downstream", "--run", "3f2a", "01"]]),
    "s": (
        ("end", "s", "n", "o", "enter"),
        lambda w: w.commands == [["skip", "--reason", "no", "--run", "3f2a", "10"]],
    ),
    "x": (("x", "y"), lambda w: w.commands == [["cancel", "--run", "3f2a", "06"]]),
    "a": ((), lambda w: w.commands == [["approve", "--run", "3f2a", "phase 08"]]),
    "A": (
        ("A", "n", "o", "enter"),
        lambda w: w.commands == [["reject", "--reason", "no", "--run", "3f2a", "phase 08"]],
    ),
    "space": ((), lambda w: w.commands == [["pause", "--run", "3f2a"]]),
    "Q": ((), lambda w: isinstance(w.screen(), Question) and "leave or stop?" in screen_text(w.pilot)),
    "ctrl+c": ((), lambda w: isinstance(w.screen(), Question) and "leave or stop?" in screen_text(w.pilot)),
    "g": ((), lambda w: isinstance(w.screen(), Page) and "what needs what" in screen_text(w.pilot)),
    "v": ((), lambda w: "cannot be lent" in w.foot()),
    "y": ((), lambda w: isinstance(w.screen(), Question) and "Copy the command" in screen_text(w.pilot)),
    ":": ((":", "w"), lambda w: isinstance(w.screen(), Words) and w.screen().query_one(Input).value == "w"),  # type: ignore[attr-defined]
    "T": ((), lambda w: w.pilot.app.theme == LIGHT),
    "?": ((), lambda w: isinstance(w.screen(), Page) and "twice as fast" in screen_text(w.pilot)),
    "q": ((), lambda w: w.left == 1),
    "G": (("G", "y"), lambda w: w.commands == [["run", "--detach", "--", "plan"]]),
}
"""For each key what is pressed (the key alone, if nothing is told), and how it shows that it was."""


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """No command is really run; what was asked for is noted."""
    found: list[list[str]] = []

    class Running:
        text = last_words = "done"

        def __init__(self, words: tuple[str, ...], *_: object) -> None:
            found.append(list(words))

        async def work(self, told: Callable[[], None] = lambda: None) -> int:
            return 0

        def end(self) -> None:
            """Nothing is at work."""

    monkeypatch.setattr(deeds, "Running", Running)
    return found


async def at_the_same_place(w: Place) -> None:
    while not isinstance(w.screen(), Board):
        await press(w.pilot, "escape")
    w.board.phase_pane.step(9)
    for _ in range(3):
        w.board.action_back()
    w.board.action_pane(Pane.PLAN)
    w.board._choose("06")
    w.pilot.app.theme = DARK
    w.board.say("")
    w.commands.clear()
    await until(w.pilot, lambda: w.board.pane is Pane.PLAN and w.board.plan.place == 5, "the same place")
    await w.pilot.pause()


def test_each_key_does_what_it_says(tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(LIVE) == OTHERS
    events = [*upto(bad_run(), 11), end(12, "07", 1, "minitable/cli.py"), asked(12, "phase 08")]
    world = World(tmp_path, events, began=12.5)

    async def story() -> None:
        async with world.open((120, 60)) as pilot:
            w = Place(pilot, await settled(pilot), commands)
            monkeypatch.setattr(pilot.app, "exit", lambda *_: setattr(w, "left", w.left + 1))
            for key, (keys, check) in LIVE.items():
                if key == "G":
                    world.leave()
                    w.board.source.tick()
                await at_the_same_place(w)
                assert not check(w) or key in ("1", "esc", "l", "]", "G"), f"{key}: it is so already"
                await press(pilot, *(NAMES.get(one, one) for one in (keys or (key,))))
                await until(pilot, lambda check=check: check(w), f"what {key} does")  # type: ignore[misc]

    try:
        asyncio.run(story())
    finally:
        world.close()


PLAYER: dict[str, Callable[[Player, Player], bool]] = {
    "space": lambda old, new: new.playing,
    "+": lambda old, new: new.speed == 0.2,
    "-": lambda old, new: new.speed == 0.05,
    "left": lambda old, new: new.recording.words_of(new.moment.events - 1).split()[1] == "skip",
    "right": lambda old, new: new.recording.words_of(new.moment.events - 1).split()[1] == "fail",
    ",": lambda old, new: new.moment.events == old.moment.events - 1,
    ".": lambda old, new: new.moment.events == old.moment.events + 1,
    "<": lambda old, new: new.moment.events == 3,
    ">": lambda old, new: new.moment.events == len(bad_run()),
}
"""For each key of a player what is so then, and was not before."""


def test_each_key_of_a_recording_does_what_it_says(tmp_path: Path) -> None:
    assert set(PLAYER) == RECORDED
    world = World(tmp_path, bad_run(), alive=False)

    async def story() -> None:
        source = PlayedSource(world.viewer, world.folder, world.run, speed=1)
        async with BoardApp(source, theme_name=DARK).run_test(size=(120, 40)) as pilot:
            board = await settled(pilot)
            for key, check in PLAYER.items():
                old, new = Player(bad_run(), 0.1, 1000.0), Player(bad_run(), 0.1, 1000.0)  # too slow to end by itself
                for one in (old, new):
                    one.go_to(one._tape.position_of(12))
                source.player = source._player = new
                source.tick()
                board.draw()
                assert not check(old, new), key
                await press(pilot, NAMES.get(key, key))
                assert check(old, new), f"{key}: {new.moment}"
                assert new.moment.events == len(source.events) or new.playing, key

    try:
        asyncio.run(story())
    finally:
        world.close()
