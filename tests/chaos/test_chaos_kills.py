"""kill -9 at random instants: the coordinator, the nursery, shims, agents, or everything at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from chaos_invariants import check, check_finished
from chaos_sizes import times
from chaos_world import Coordinator, World, Zygote, world_of

from wavecrew.models.events import AttemptAdopted, AttemptEnded, Outcome

SLICES = 6
LONGEST = 0.45
"""A run takes about so long, in seconds."""
SEED = int(os.environ.get("WAVECREW_CHAOS_SEED", time.time_ns() % 1_000_000))


def seeds(number: int, count: int) -> list[int]:
    return [SEED + trial for trial in range(count) if trial % SLICES == number]


def killed_at(world: World, chance: random.Random, kill: Callable[[World, Coordinator], None]) -> None:
    running = world.start()
    end = time.monotonic() + chance.uniform(0, LONGEST)
    while time.monotonic() < end and not running.ended():
        time.sleep(0.002)
    kill(world, running)


@pytest.mark.parametrize("number", range(SLICES))
def test_the_coordinator_dies_at_any_instant(zygote: Zygote, number: int, figure: Callable[..., None]) -> None:
    """Once, or several times in a row, so that recoveries die as well; then the run is finished."""
    seen: Counter[str] = Counter()
    for seed in seeds(number, times(60, 2000)):
        chance = random.Random(seed)
        with _told(seed), world_of(zygote) as world:
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                killed_at(world, chance, lambda _, running: running.kill())
                check(world)
                seen["kills"] += 1
            assert world.finish() == 0, world.started[-1].told
            history = check_finished(world)
            seen["adopted"] += sum(isinstance(event, AttemptAdopted) for event in history.events)
            lost = [e for e in history.events if isinstance(e, AttemptEnded) and e.outcome is not Outcome.SUCCEEDED]
            assert all(event.detail == "its process never started" for event in lost), f"work was lost: {lost}"
            seen["never started"] += len(lost)
            seen["runs"] += 1
    figure(seed=SEED, **seen)


@pytest.mark.parametrize("number", range(SLICES))
def test_anything_dies_at_any_instant(zygote: Zygote, number: int, figure: Callable[..., None]) -> None:
    seen: Counter[str] = Counter()
    for seed in seeds(number, times(30, 1000)):
        chance = random.Random(seed)
        with _told(seed), world_of(zygote) as world:
            victims = chance.choice(("shims", "agents", "nursery", "all", "some"))
            killed_at(
                world, chance, lambda world, running, who=victims, by=chance: _kill(world, running, who, by, seen)
            )
            check(world)
            if world.started[-1].code is None:
                seen["survived"] += 1
                world.started[-1].end()
                check(world)
            assert world.finish() == 0, world.started[-1].told
            check_finished(world)
            seen[victims] += 1
    figure(seed=SEED, **seen)


def _kill(world: World, running: Coordinator, who: str, chance: random.Random, seen: Counter[str]) -> None:
    shims = set(world.shims())
    processes = world.processes()
    nursery = {pid for pid, words in processes.items() if "--serve" in words} - shims
    agents = set(processes) - shims - nursery
    victims = {"shims": shims, "agents": agents, "nursery": nursery}.get(who, set(processes))
    if who == "some":
        victims = {pid for pid in victims if chance.random() < 0.4}
    if who == "all" or (who == "some" and chance.random() < 0.5):
        running.kill()
    for pid in victims:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            seen["kills"] += 1


@contextlib.contextmanager
def _told(seed: int):  # type: ignore[no-untyped-def]
    """Whoever reads a failure needs its seed."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"seed {seed}; again with WAVECREW_CHAOS_SEED={seed}")
        raise
