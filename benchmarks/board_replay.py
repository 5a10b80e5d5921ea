"""What a jump costs in the recording of a long run: 1,000 phases with three attempts each, 24,000 events.

A history is made up, and a board without a terminal plays it: to both ends, to any place, from one event of note to the
next. Told is the processor time until all lines of the board are made, on a small screen and on a large one.
Run it with `python benchmarks/board_replay.py [--phases N]`.
It does not know what a terminal does with what it is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from wavecrew.core.store import Store
from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.tui.app import BoardApp
from wavecrew.tui.board import Board
from wavecrew.tui.palette import DARK
from wavecrew.tui.played_source import PlayedSource

RUN, BEGIN, ROUNDS = "3f2a", 1_700_000_000.0, 15


def history(count: int) -> list[Event]:
    """A run in which each phase waits, falls silent, fails twice and then passes."""
    names = [f"{number:04}" for number in range(count)]
    phases = [
        PhaseInfo(
            one, f"part {one}", tuple(names[place - 21 : place - 19]) if place > 20 else (), (f"src/{one}",), 0.01
        )
        for place, one in enumerate(names)
    ]
    opening: list[Event] = [
        ev.RunStarted(
            at=BEGIN,
            run=RUN,
            plan_name="long",
            plan_path="plan",
            plan_digest="7c",
            phases=tuple(phases),
            isolation="worktree",
        ),
        ev.CoordinatorStarted(at=BEGIN, epoch=1, pid=1, host="box", agents=20),
    ]
    later = [event for place, one in enumerate(names) for event in _phase(one, BEGIN + place // 20 * 200 + place % 20)]
    later.sort(key=lambda event: event.at)
    return [*opening, *later, ev.RunFinished(at=later[-1].at)]


def _phase(name: str, at: float) -> list[Event]:
    found: list[Event] = []
    for attempt in (1, 2, 3):
        words = "Overwrite? [y/n]"
        outcome, again = (Outcome.SUCCEEDED, None) if attempt == 3 else (Outcome.FAILED, at + 50)
        found += [
            ev.LockAwaited(at=at, phase=name, resource="src/shared.py", holder="0000"),
            ev.AttemptStarted(at=at + 1, phase=name, attempt=attempt, agent="runbook"),
            ev.AgentSilence(at=at + 10, phase=name, attempt=attempt, since=at + 5, words=words),
            ev.AgentSilence(at=at + 11, phase=name, attempt=attempt, since=None, words=""),
            ev.AgentReported(at=at + 30, phase=name, attempt=attempt, input_tokens=9, output_tokens=9, cost_usd=0.1),
            ev.WorkSealed(at=at + 31, phase=name, attempt=attempt, commit="5ea1ed0", changed=("a.py",)),
            ev.MergeProposed(at=at + 32, phase=name, attempt=attempt, onto="c0ffee0", commit="d0d0d0d"),
            ev.AttemptEnded(at=at + 40, phase=name, attempt=attempt, outcome=outcome, retry_at=again),
        ]
        at += 55
    return found


def timed(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


async def measure(folder: Path, size: tuple[int, int]) -> None:
    with Store.open(folder, create=False) as store:
        begin = time.process_time()
        source = PlayedSource(store, folder, RUN)
        print(f"opening, for {size[0]}x{size[1]:<4} {time.process_time() - begin:6.2f} s")
        player, dice = source.player, random.Random(1)
        assert player is not None
        player.go_to(0.0)
        async with BoardApp(source, theme_name=DARK).run_test(size=size) as pilot:
            await pilot.pause()
            board = pilot.app.screen
            assert isinstance(board, Board)

            def anywhere() -> None:
                player.go_to(dice.random() * player._tape.length)
                source.tick()
                board.draw()

            ways: dict[str, Callable[[], None]] = {"anywhere": anywhere}
            ways |= {f"key {key}": partial(board.action_play, key) for key in ("<", ">", "left", "right", ".")}
            for name, way in ways.items():
                times = [timed(way) for _ in range(ROUNDS)]
                print(f"  {name:<10} {statistics.median(times):6.3f} s   at most {max(times):6.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phases", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = history(options.phases)
        with Store.open(folder) as store:
            store.create_run(RUN, at=BEGIN, plan="plan", digest="7c", events=found)
        print(f"{options.phases:,} phases, {len(found):,} events")
        for size in ((80, 24), (200, 60)):
            asyncio.run(measure(folder, size))


if __name__ == "__main__":
    main()
