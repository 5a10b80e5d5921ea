"""The keys of the board: the line at its foot, and the page behind `?`.

What it does: says which keys are of use right now, the most useful first, in as much room as there is.
What it does not know: how keys arrive. Which actions fit is told by `board_actions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final

from wavecrew.views.board_actions import Action
from wavecrew.views.board_parts import Line, Piece, told
from wavecrew.views.terminal_text import cells


class Pane(IntEnum):
    """The panes of the board, by the keys that lead to them."""

    PLAN = 1
    PHASE = 2
    TIMELINE = 3
    LOCKS = 4
    NEEDS_YOU = 5
    EVENTS = 6


class Tab(IntEnum):
    """What the pane of a phase shows."""

    LOG = 0
    EVENTS = 1
    PROMPT = 2
    DIFF = 3
    CHECKS = 4


TAB_KEYS: Final = {"l": Tab.LOG, "e": Tab.EVENTS, "p": Tab.PROMPT, "d": Tab.DIFF, "k": Tab.CHECKS}
TAB_NAMES: Final = {Tab.LOG: "Log", Tab.EVENTS: "Events", Tab.PROMPT: "Prompt", Tab.DIFF: "Diff", Tab.CHECKS: "Checks"}
PANE_NAMES: Final = {
    Pane.TIMELINE: "Timeline",
    Pane.LOCKS: "Locks",
    Pane.NEEDS_YOU: "Needs you",
    Pane.EVENTS: "Events",
}
_PLAYER: Final = (("← →", "note"), (", .", "step"), ("+ -", "speed"), ("< >", "ends"))
_ALWAYS: Final = ((":", "command"), ("?", "help"), ("q", "leave"))

HELP: Final = (
    ("Moving", ""),
    ("1 2", "the plan; the phase that is chosen in it"),
    ("3 4 5 6", "timeline, locks, who needs you, events"),
    ("tab shift+tab", "the next pane, the one before"),
    ("up down pgup pgdn", "move"),
    ("home end", "to both ends; in a log, end follows it again"),
    ("enter", "open: the log of the phase; the answer to what needs you; why a lock is held"),
    ("esc", "back: out of a list, a filter, the large pane"),
    ("/", "show only what has these words in it (plan, log, events)"),
    ("z", "this pane alone, and back"),
    ("A phase", ""),
    ("l e p d k", "its log, events, prompt, difference, checks"),
    ("[ ]", "the attempt before, the one after"),
    ("F", "its log over the whole screen, without a frame: select and copy with the terminal"),
    ("o", "its log in a pager ($PAGER)"),
    ("r R", "do it again; with everything that depends on it"),
    ("s", "skip it, with a reason that stands in every report"),
    ("x", "end its agent"),
    ("The run", ""),
    ("a A", "approve, reject what needs you; answer (a) what an agent asks"),
    ("space", "pause: start nothing new; once more to go on"),
    ("G", "go on with a run that nobody is at work on"),
    ("Q ctrl+c", "ask: stop the run, or leave it at work"),
    ("q", "leave; the run goes on"),
    ("A recording (wavecrew ui --replay)", ""),
    ("space", "pause, and play on"),
    ("+ -", "twice as fast, half as fast"),
    ("left right", "the event of note before, the next one: failures, gates, waits for you, pauses, the end"),
    (", .", "what was recorded before, and next"),
    ("< >", "the beginning, the end"),
    ("Everything else", ""),
    ("g", "what needs what, as text"),
    ("v", "leave the screen for plain lines, and come back with enter"),
    ("y", "copy the command behind an action, or what is shown"),
    (":", "any command of wavecrew, such as: locks why src/app.py"),
    ("T", "dark, light, the terminal's own colours"),
    ("?", "this page"),
)
_KEY_ROOM: Final = 20


def footer(found: Sequence[Action], pane: Pane, width: int, *, player: str = "") -> Line:
    """The keys that are of use now, in one line. `player` is what space does to a recording, if one is played."""
    acts = [("space", player), *_PLAYER] if player else [(one.key, one.word) for one in found]
    pairs = [*(acts if player else ()), *_moves(pane), *(() if player else acts), *_looks(pane)]
    rest = [*_ALWAYS[bool(player) :]]  # a player has many keys, and nothing is done to a run there
    room = width - _width(rest)
    kept: list[tuple[str, str]] = []
    for pair in pairs:
        if _width([*kept, pair]) <= room:
            kept.append(pair)
    pieces: list[Piece] = []
    for key, word in (*kept, *rest):
        pieces += [Piece(key, "key"), Piece(f" {word}  ", "quiet")]
    return tuple(pieces)


def _moves(pane: Pane) -> list[tuple[str, str]]:
    opens = {Pane.PLAN: "log", Pane.TIMELINE: "phase", Pane.LOCKS: "why", Pane.NEEDS_YOU: "answer"}
    return [("↵", opens[pane])] if pane in opens else []


def _looks(pane: Pane) -> list[tuple[str, str]]:
    if pane is Pane.PHASE:
        return [("F", "full screen"), ("o", "pager"), ("/", "find"), ("y", "copy"), ("[ ]", "attempt")]
    return [("/", "find"), ("z", "zoom"), ("g", "graph"), ("y", "copy"), ("v", "plain")]


def _width(pairs: Sequence[tuple[str, str]]) -> int:
    return sum(cells(key) + cells(word) + 3 for key, word in pairs)


def help_lines(width: int) -> Iterator[Line]:
    """The page behind `?`."""
    for key, words in HELP:
        if not words:
            yield ()
            yield (Piece(key, "head"),)
            continue
        for place, line in enumerate(told(f"  {key:<{_KEY_ROOM}}", words, width)):
            yield (Piece(line[0].text, "key"), *line[1:]) if place == 0 else line
