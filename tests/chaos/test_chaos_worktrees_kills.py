"""Runs in worktrees: anything is killed, stopped or interrupted at random instants, and the run is finished then."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from chaos_git_invariants import check, check_finished
from chaos_git_world import CONFIG, GitWorld, git_world
from chaos_sizes import times
from chaos_world import Coordinator, Phase, Zygote, until
from test_chaos_kills import SEED, SLICES, _told, seeds

from wavecrew.errors import ExitCode
from wavecrew.models import events as ev

LONGEST = 2.5
"""A run takes about so long, in seconds."""


@pytest.fixture(scope="session")
def tree(zygote: Zygote) -> str:
    """The tree that an undisturbed run comes to."""
    with git_world(zygote) as world:
        assert world.start().end() == 0
        check_finished(world)
        return world.git("rev-parse", f"{world.result}^{{tree}}").strip()


def wait_a_while(running: Coordinator, chance: random.Random, longest: float = LONGEST) -> None:
    end = time.monotonic() + chance.uniform(0, longest)
    while time.monotonic() < end and not running.ended():
        time.sleep(0.002)


def finish(world: GitWorld, tree: str, *, refused: bool = False) -> None:
    code = world.finish()
    assert code == 0, f"it did not finish: {code} {world.started[-1].told}"
    check_finished(world, tree, refused=refused)


# -- kill -9 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(SLICES))
def test_anything_dies_at_any_instant_in_worktrees(
    zygote: Zygote, tree: str, number: int, figure: Callable[..., None]
) -> None:
    """Up to three times in a row, so that recoveries die as well."""
    seen: Counter[str] = Counter()
    for seed in seeds(number, times(8, 500)):
        chance = random.Random(seed)
        with _told(seed), git_world(zygote) as world:
            victims = set()
            for _ in range(chance.choice((1, 1, 2, 3))):
                running = world.start()
                wait_a_while(running, chance)
                who = chance.choice(("coordinator", "coordinator", "gate", "agents", "git", "all"))
                victims.add(who)
                seen[who] += kill(world, running, who)
                check(world)
                if running.code is None:
                    seen["survived"] += 1
                    assert running.end() in (0, 1, 8), running.told
                    check(world)
                assert "Traceback" not in running.told, running.told
            finish(world, tree, refused="git" in victims)  # one that died while it closed a worktree has not closed it
            seen["runs"] += 1
    figure(seed=SEED, **seen)


def kill(world: GitWorld, running: Coordinator, who: str) -> int:
    """Kill one kind of processes, or all. Gives how many were killed."""
    if who in ("coordinator", "all"):
        running.kill()
    if who == "coordinator":
        return 1
    victims = [pid for pid, words in world.processes().items() if who == "all" or is_one(who, pid, words)]
    for pid in victims:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return len(victims) + (who == "all")


def is_one(who: str, pid: int, words: str) -> bool:
    """Whether a process is a git (of ours or of an agent), a job at the gate, or an agent."""
    if who == "git":
        return words.split(" ")[0].rpartition("/")[2] == "git"
    with contextlib.suppress(OSError):
        environment = f"/proc/{pid}/environ"
        with open(environment, "rb") as file:
            mark = next((one for one in file.read().split(b"\0") if one.startswith(b"WAVECREW_ATTEMPT=")), b"")
        beside = mark.rpartition(b"/")[2]
        return bool(mark) and (beside.startswith((b"gate", b"teardown")) if who == "gate" else beside.isdigit())
    return False


# -- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(SLICES))
def test_interruptions_at_any_instant_in_worktrees(
    zygote: Zygote, tree: str, number: int, figure: Callable[..., None]
) -> None:
    seen: Counter[str] = Counter()
    for seed in seeds(number, times(10, 200)):
        chance = random.Random(seed)
        with _told(seed), git_world(zygote) as world:
            running = world.start()
            until(lambda world=world, running=running: world.refs().get(world.result) or running.ended(), "a result")
            wait_a_while(running, chance)
            for number_of in range(chance.choice((1, 1, 2))):
                running.signal(chance.choice((signal.SIGINT, signal.SIGTERM)))
                seen["signals"] += 1
                time.sleep(0.05 * number_of)
            code = running.end()
            assert code in (0, 130, 143), f"{code}: {running.told}"
            assert "Traceback" not in running.told, running.told
            seen[f"code {code}"] += 1
            check(world)
            until(lambda world=world: not world.processes(), "nobody is at work any more")
            finish(world, tree)
    figure(seed=SEED, **seen)


# -- two coordinators -------------------------------------------------------------------------------------------------


def test_of_two_coordinators_one_works_in_worktrees(zygote: Zygote, tree: str, figure: Callable[..., None]) -> None:
    trials, refused = times(2, 50), 0
    for _ in range(trials):
        with git_world(zygote) as world:
            both = [world.start(), world.start()]
            codes = sorted(one.end() for one in both)
            assert codes[0] == 0, f"{codes} {both[0].told}{both[1].told}"
            assert codes[1] in (0, ExitCode.BUSY), f"{codes} {both[0].told}{both[1].told}"
            refused += codes[1] == ExitCode.BUSY
            finish(world, tree)
    figure(trials=trials, turned_away=refused)


SLOW_GATE = CONFIG.replace(". $HOME/../gate.sh", "until [ -e $HOME/../open ]; do sleep 0.01; done; . $HOME/../gate.sh")


@pytest.mark.parametrize("other", ["has merged", "has not merged"])
def test_a_coordinator_that_was_replaced_at_the_gate_cannot_move_the_result(zygote: Zygote, other: str) -> None:
    """It sleeps in the middle of a merge; another takes over; then it wakes up, and its merge has passed the gate."""
    with git_world(zygote, [Phase("a"), Phase("b", ("a",))], config=SLOW_GATE) as world:
        first = world.start()
        at_gate = world.run_folder / "a" / "1"
        until(lambda: list(at_gate.glob("gate-*/started")), "a merge at its gate")
        begin = world.tip
        first.signal(signal.SIGSTOP)
        (world.run_folder / "coordinator").unlink()  # a careless administrator
        second = world.start()
        until(lambda: len([e for e in events(world) if isinstance(e, ev.CoordinatorStarted)]) == 2, "another in charge")
        assert world.tip == begin
        if other == "has not merged":
            second.signal(signal.SIGSTOP)
        (world.base / "open").touch()
        if other == "has merged":
            until(lambda: world.tip != begin, "the second one has merged")
        else:
            until(lambda: list(at_gate.glob("gate-*/exit")), "the gate has ended")
        tip = world.tip
        first.signal(signal.SIGCONT)
        assert first.end() == ExitCode.BUSY, first.told
        assert "taken over" in first.told
        if other == "has not merged":
            assert world.tip == begin, "C1: a coordinator that was replaced has moved the result"
            second.signal(signal.SIGCONT)
        assert second.end() == 0, second.told
        assert world.git("merge-base", "--is-ancestor", tip, world.result) == ""
        history = check_finished(world)
        assert {event.epoch for event in history.events if isinstance(event, ev.CoordinatorStarted)} == {1, 2}


def events(world: GitWorld) -> tuple[ev.Event, ...]:
    from chaos_invariants import read

    history = read(world)
    return () if history is None else history.events
