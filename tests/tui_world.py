"""Runs in a store on disk, as the terminal UI reads them: stories written down, with the files of their attempts.

What it does: makes a workspace whose store holds a history, adds further events as a coordinator would, writes logs,
and starts the board on it without a terminal.
What it does not know: how the board looks.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from textual.pilot import Pilot

from run_stories import (
    T0,
    approve,
    asked,
    clash,
    closed,
    end,
    fail,
    keep,
    merged,
    opening,
    phase,
    propose,
    seal,
    silence,
    skip,
    start,
    told,
    wait,
    work,
)
from wavecrew.core.attempts import attempt_folder
from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.store import Store
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.tui.app import BoardApp
from wavecrew.tui.board import Board
from wavecrew.tui.palette import DARK
from wavecrew.tui.rows import Rows
from wavecrew.tui.source import RunSource

PATIENCE = 30.0


class World:
    """A workspace with one run."""

    def __init__(
        self, folder: Path, events: Sequence[Event], *, alive: bool = True, began: float | None = None
    ) -> None:
        """`began` is how long ago the first event was, in seconds; None leaves the times as they are told."""
        self.folder = folder
        self.shift = 0.0 if began is None else time.time() - began - events[0].at
        self.store = Store.open(folder)
        self.run = next(event.run for event in events if isinstance(event, ev.RunStarted))
        self.store.create_run(self.run, at=T0, plan="plan", digest="7c1f", events=self._moved(events))
        self._lock = CoordinatorLock(self.store.folder / "runs" / self.run)
        if alive:
            self._lock.__enter__()
        self.alive = alive
        self.viewer = Store.open(folder)  # a connection of its own, as another process has

    def _moved(self, events: Sequence[Event]) -> list[Event]:
        if not self.shift:
            return list(events)
        moved = []
        for event in events:
            times = {"at": event.at + self.shift}
            times |= {
                name: getattr(event, name) + self.shift
                for name in ("since", "until", "retry_at")
                if getattr(event, name, None) is not None
            }
            moved.append(replace(event, **times))
        return moved

    def tell(self, *events: Event) -> None:
        """Record further events, as a coordinator does."""
        with self.store.transaction() as tx:
            self.store.append(tx, self.run, self._moved(events))

    def leave(self) -> None:
        """Nobody is in charge any more."""
        if self.alive:
            self._lock.__exit__()
            self.alive = False

    def log(self, name: str, text: str | bytes, attempt: int = 1) -> Path:
        """What the agent of an attempt printed."""
        folder = attempt_folder(self.store.folder, self.run, name, attempt)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def job(self, name: str, *steps: dict[str, object], attempt: int = 1, at: int = 1) -> None:
        """What was written for an attempt, and the step at work."""
        folder = attempt_folder(self.store.folder, self.run, name, attempt)
        folder.mkdir(parents=True, exist_ok=True)
        for number, step in enumerate(steps):
            if "given" in step:
                (folder / f"input-{number}").write_text(str(step.pop("given")))
                step["stdin"] = f"input-{number}"
        (folder / "job.json").write_text(json.dumps({"cwd": str(self.folder), "steps": steps}))
        titles = [str(step.get("title", "")) for step in steps]
        (folder / "progress").write_text(json.dumps({"step": at, "of": len(steps), "title": titles[at - 1]}))

    def app(self, theme: str = DARK, encoding: str = "utf-8") -> BoardApp:
        """The board on this run."""
        return BoardApp(RunSource(self.viewer, self.folder, self.run), theme_name=theme, encoding=encoding)

    def open(
        self, size: tuple[int, int] = (80, 24), theme: str = DARK, encoding: str = "utf-8"
    ) -> AbstractAsyncContextManager[Pilot[None]]:
        """The board without a terminal."""
        return self.app(theme, encoding).run_test(size=size)

    def close(self) -> None:
        self.leave()
        self.viewer.close()
        self.store.close()


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str = "") -> None:
    """Wait for a condition; reaching the end of patience is a failure."""
    over = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > over:
            raise AssertionError(f"waited {PATIENCE:g} s for {what or condition}:\n{screen_text(pilot)}")
        await pilot.pause(0.01)


async def settled(pilot: Pilot[None]) -> Board:
    """The board, drawn for the first time."""
    await until(pilot, lambda: isinstance(pilot.app.screen, Board) and bool(pilot.app.screen.plan.lines), "the board")
    await pilot.pause()
    return board_of(pilot)


def board_of(pilot: Pilot[None]) -> Board:
    """The board, whatever stands over it."""
    return next(screen for screen in pilot.app.screen_stack if isinstance(screen, Board))


def screen_lines(pilot: Pilot[None]) -> list[str]:
    """The lines of the screen as a terminal shows them."""
    screen = pilot.app.screen
    width, height = pilot.app.size
    found = ["".join(segment.text for segment in strip) for strip in screen._compositor.render_strips()]
    return [line[:width] for line in found[:height]]


def screen_text(pilot: Pilot[None]) -> str:
    """The screen as text."""
    return "\n".join(screen_lines(pilot))


def screen_words(pilot: Pilot[None]) -> str:
    """The words of the screen, one blank between them, whatever lines they stand in."""
    return " ".join(screen_text(pilot).split())


def rows_text(rows: Rows) -> str:
    """All lines of some rows, those out of sight, too."""
    return "\n".join("".join(piece.text for piece in line) for line in rows.lines)


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Press keys and let the board take them in."""
    await pilot.press(*keys)
    await pilot.pause()


Story = Callable[[Pilot[None]], Awaitable[None]]


# -- runs of any size ---------------------------------------------------------------------------------------------


def big_run(count: int, *, agents: int = 8, isolation: str = "worktree") -> list[Event]:
    """A run of many phases in all states, half way through: passed, kept, skipped, at work, merging, waiting, held,
    to be tried again, failed, blocked, behind a gate, to come."""
    dice = random.Random(count)
    verbs = ("read", "write", "check", "port", "split", "rename", "document", "test", "measure", "tidy")
    things = ("model", "parser", "store", "views", "locks", "api", "command line", "web page", "reports", "agents")
    layers = max(4, round(count**0.5))
    phases = []
    for number in range(count):
        layer = number * layers // count
        before = [one for one in range(number) if one * layers // count == layer - 1]
        needs = " ".join(f"{one + 1:03}" for one in sorted(dice.sample(before, min(len(before), dice.randint(1, 2)))))
        name = f"{number + 1:03} {dice.choice(verbs)} {dice.choice(things)}"
        phases.append(phase(name, needs, dice.randint(60, 900), f"src/part{number // 3}.py"))
    events = opening(*phases, agents=agents, settings={"budget": "20usd", "gate": "none"}, isolation=isolation)
    ended: dict[str, float] = {}
    at = 0.0
    for place, one in enumerate(phases[: count // 2]):
        if place % 17 == 3:
            events.append(keep(at, one.id))
            ended[one.id] = at
        elif place % 19 == 5:
            events.append(skip(at, one.id))
            ended[one.id] = at
        else:
            begin = max([at, *(ended[name] for name in one.dependencies)])
            happened, ended[one.id] = _one_phase(place, one.id, begin, phases[max(0, place - 1)].id)
            events += happened
            at = begin if place % 3 == 0 else begin + 12
    done = set(ended)
    events.sort(key=lambda event: event.at)
    return [*events, *_front(phases, done, max(event.at for event in events) - T0 + 5)]


def _one_phase(place: int, name: str, at: float, holder: str) -> tuple[list[Event], float]:
    """A phase that passes in the end, some at the second try or after a wait; and when that is."""
    found: list[Event] = []
    attempt = 1
    if place % 7 == 4:
        found += [work(at, name), fail(at + 20, name, retry_at=at + 25)]
        at, attempt = at + 26, 2
    if place % 5 == 2:
        found.append(wait(at, name, "src/shared.py", holder))
        at += 8
    found += [work(at, name, attempt), told(at + 30, name, attempt, 40_000 + place, 0.11)]
    found += [seal(at + 31, name, "src/a.py", attempt=attempt), propose(at + 32, name, attempt)]
    found.append(merged(at + 40, name, attempt))
    return found, at + 40


def _front(phases: list[PhaseInfo], done: set[str], at: float) -> list[Event]:
    """What goes on in the middle of the run."""
    ready = [one for one in phases if one.id not in done and set(one.dependencies) <= done]
    kinds = ("run", "gate", "wait", "fail", "waive", "retry", "merge", "silent", "held", "cancel", "ask")
    found: list[Event] = []
    for place, one in enumerate(ready):
        found += _happens(kinds[place % len(kinds)], at, one.id, ready[0].id)
    found.sort(key=lambda event: event.at)
    return found


def _happens(kind: str, at: float, name: str, runner: str) -> list[Event]:
    """What goes on with one phase, and has since `at`."""
    begun, meets = work(at, name), "it meets src/shared.py of 001"
    cancelled = ev.AttemptCancelled(at=T0 + at + 8, phase=name, attempt=1, by="ann")
    given_up = [begun, cancelled, fail(at + 9, name, cause=Cause.CANCELLED, detail="cancelled by ann")]
    question = "Which of the two date formats is meant, the one of the plan or that of the tests?"
    stories: dict[str, list[Event]] = {
        "run": [begun],
        "gate": [asked(at, f"phase {name}")],
        "wait": [wait(at, name, "src/shared.py", runner)],
        "merge": [begun, seal(at + 9, name, "src/b.py"), propose(at + 10, name)],
        "silent": [begun, silence(at + 70, name, at + 5, "Overwrite the file? [y/n]")],
        "ask": [begun, ev.QuestionAsked(at=T0 + at + 20, phase=name, attempt=1, question=1, text=question)],
        "fail": [
            *(begun, seal(at + 4, name, "src/shared.py"), clash(at + 5, name, meets, "src/shared.py")),
            fail(at + 6, name, cause=Cause.MERGE, detail=meets),
        ],
        "retry": [begun, fail(at + 6, name, retry_at=at + 600, detail="exit code 1 from: check pytest")],
        "cancel": given_up,
        "waive": [*given_up, skip(at + 30, name, reason="it is done by hand")],
        "held": [
            *(begun, closed(at + 7, at + 900, "claude", "the limit of the hour is reached")),
            fail(at + 7, name, outcome=ev.Outcome.STOPPED, cause=Cause.QUOTA, retry_at=at + 900),
        ],
    }
    return stories[kind]


def gated_run() -> list[Event]:
    """Two phases, a gate before the second wave that waits for a person, after one that was opened."""
    plan = (phase("01 model", "", 60, "a.py"), phase("02 words", "01", 60, "b.py"), phase("03 more", "02", 60, "c.py"))
    return [
        *opening(*plan, settings={"gate": "wave"}),
        start(0, "01"),
        end(30, "01", 1, "a.py"),
        asked(30, "wave 2"),
        approve(50, "wave 2"),
        start(50, "02"),
        end(80, "02", 1, "b.py"),
        asked(80, "wave 3"),
    ]
