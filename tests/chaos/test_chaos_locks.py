"""Locks under processes that are killed while they ask, hold and give back: no overlap, no leak, no starving."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chaos_actors import COVERS
from chaos_sizes import times
from chaos_world import PATIENCE, Coordinator, Phase, World, Zygote, until, world_of

from wavecrew.core.resource_manager import FileLock, LockRegistry

TAKERS = 8
KILLS_PER_SECOND = 10
FOREVER = 1e9


@dataclass(frozen=True)
class Held:
    """One grant, from the moment its taker knew of it to the moment before it gave it back, or was killed."""

    begin: float
    end: float
    ticket: int
    fence: int
    covers: dict[str, bool]
    """What it covers, and whether exclusively."""

    def collides(self, other: Held) -> bool:
        return any(exclusive or other.covers[name] for name, exclusive in self.covers.items() if name in other.covers)


def grants_of(diary: Path, killed: float) -> list[Held]:
    """The grants that a diary tells; one that has no end in it ended when its taker was killed."""
    open_one: list[Any] | None = None
    found = []
    for line in diary.read_text().splitlines() if diary.exists() else []:
        sign, at, ticket, fence, wanted = json.loads(line)
        if sign == "+":
            open_one = [at, ticket, fence, wanted]
        elif open_one is not None:
            found.append(_held(open_one, at))
            open_one = None
    if open_one is not None:
        found.append(_held(open_one, max(killed, open_one[0])))
    return found


def _held(begun: list[Any], end: float) -> Held:
    at, ticket, fence, wanted = begun
    covers: dict[str, bool] = {}
    for text, exclusive in wanted:
        for name in COVERS.get(text, text).split():
            covers[name] = covers.get(name, False) or exclusive
    return Held(at, end, ticket, fence, covers)


def overlaps(grants: Sequence[Held]) -> list[tuple[Held, Held]]:
    """Pairs of grants that collide and were in force at the same time."""
    found, still = [], []
    for one in sorted(grants, key=lambda grant: grant.begin):
        still = [other for other in still if other.end > one.begin]
        found += [(other, one) for other in still if other.collides(one)]
        still.append(one)
    return found


def out_of_order(grants: Sequence[Held]) -> list[tuple[Held, Held]]:
    """Pairs that collide of which the later ticket was granted first, or the later grant has the lower fence."""
    ordered = sorted(grants, key=lambda grant: grant.ticket)
    found = []
    for position, one in enumerate(ordered):
        found += [(one, other) for other in ordered[position + 1 :] if other.fence < one.fence and one.collides(other)]
    return found


class Stress:
    """Takers, and somebody who kills them."""

    def __init__(self, world: World, prologue: str = "") -> None:
        self.world = world
        self.prologue = prologue
        self.takers: list[tuple[Coordinator, Path]] = []
        self.grants: list[Held] = []
        self.kills = 0
        self.seed = int(os.environ.get("WAVECREW_CHAOS_SEED", time.time_ns() % 1_000_000))

    def spawn(self) -> None:
        self.seed += 1
        diary = self.world.base / "told" / f"diary-{self.seed}"
        arguments: list[Any] = [str(self.world.workspace), str(diary), self.seed, FOREVER]
        taker = self.world.start(*arguments, actor="take_at_random", prologue=self.prologue)
        self.takers.append((taker, diary))

    def kill(self, position: int) -> None:
        taker, diary = self.takers.pop(position)
        now = time.monotonic()
        taker.kill()
        self.kills += 1
        self.grants += grants_of(diary, now)
        for path in (diary, taker.out, taker.err):
            path.unlink(missing_ok=True)
        self.world.started.remove(taker)

    def run(self, seconds: float) -> None:
        chance = random.Random(self.seed)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while len(self.takers) < TAKERS:
                self.spawn()
            time.sleep(chance.uniform(0, 1.4 / KILLS_PER_SECOND))
            self.kill(chance.randrange(TAKERS))
        while self.takers:
            self.kill(0)


def test_no_two_hold_what_collides(zygote: Zygote, figure: Callable[..., None]) -> None:
    with world_of(zygote) as world:
        stress = Stress(world)
        stress.run(times(15, 600))
        overlapping, fences = overlaps(stress.grants), [grant.fence for grant in stress.grants]
        figure(grants=len(fences), kills=stress.kills, overlaps=len(overlapping), seed=stress.seed)
        assert not overlapping
        assert len(set(fences)) == len(fences), "I5: a fence was given twice"
        assert nothing_leaked(world)
        assert len(fences) > times(200, 10_000)


def nothing_leaked(world: World) -> bool:
    """Whether, with all takers dead, somebody who wants everything gets it, and nothing else is left."""
    registry = LockRegistry.open(world.workspace)
    try:
        grant = registry.acquire(registry.owner("all"), registry.claims(["./", "port:1"]), timeout=20)
        held, waiting = registry.locks(), registry.waiters()
        registry.release(grant)
    finally:
        registry.close()
    return {lock.owner_phase for lock in held} == {"all"} and not waiting


@pytest.mark.parametrize("broken", ["without_ancestors", "without_subtrees", "with_everybody_dead"])
def test_the_checker_sees_a_lock_table_that_is_broken(zygote: Zygote, broken: str, figure: Callable[..., None]) -> None:
    with world_of(zygote) as world:
        stress = Stress(world, broken)
        stress.run(4)
        figure(grants=len(stress.grants), overlaps=len(overlaps(stress.grants)))
        assert overlaps(stress.grants)


def test_bells_of_killed_waiters_are_taken_down_by_the_next_coordinator(zygote: Zygote) -> None:
    with world_of(zygote, [Phase("alone")]) as world:
        arguments: list[Any] = [str(world.workspace), str(world.base / "told" / "diary"), [["f", True]], 1]
        with FileLock("f", workspace=world.workspace):
            waiter = world.start(*arguments, str(world.workspace / "plan.json"), actor="take_in_turns")
            bells = world.state / "bells"
            until(lambda: bells.is_dir() and list(bells.iterdir()), "a bell")
            waiter.kill()
            assert list(bells.iterdir())
        assert world.finish() == 0
        assert not list(bells.iterdir())


# -- nobody starves, judged by the order of grants -----------------------------------------------------------------

MANY = 8
LARGE = [[[f"f{number}", True] for number in range(1, MANY)], *[[[f"f{number}", True]] for number in range(1, MANY)]]
WRITER = [[["f", True]], *[[["f", False]]] * (MANY - 1)]


def in_turns(zygote: Zygote, wanted: list[Any], count: int, prologue: str = "") -> list[list[Held]]:
    """Let processes take their sets so many times each, all at once; gives the grants of each."""
    with world_of(zygote) as world:
        begin = world.base / "begin"
        takers = []
        for number, one in enumerate(wanted):
            diary = world.base / "told" / f"diary-{number}"
            arguments: list[Any] = [str(world.workspace), str(diary), one, count, str(begin)]
            takers.append((world.start(*arguments, actor="take_in_turns", prologue=prologue), diary))
        begin.touch()
        assert [taker.end() for taker, _ in takers] == [0] * len(wanted)
        return [grants_of(diary, 0) for _, diary in takers]


@pytest.mark.parametrize(
    "wanted", [LARGE, WRITER], ids=["one large set against seven small", "a writer, seven readers"]
)
def test_nobody_is_overtaken(zygote: Zygote, wanted: list[Any], figure: Callable[..., None]) -> None:
    """Then a wait is never longer than the queue in front: whoever asked later gets it later."""
    count = times(25, 250)
    found = in_turns(zygote, wanted, count)
    together = [grant for grants in found for grant in grants]
    overtaken = out_of_order(together)
    longest = most_between(found[0], together)
    figure(grants=len(together), overtaken=len(overtaken), most_grants_between_two_of_the_weakest=longest)
    assert not overlaps(together)
    assert not overtaken
    assert [len(grants) for grants in found] == [count] * MANY


def most_between(mine: Sequence[Held], everybody: Sequence[Held]) -> int:
    """How many colliding grants of others came, at most, between two grants of one taker."""
    others = sorted(one.fence for one in everybody if one not in mine and one.collides(mine[0]))
    ends = [0, *(one.fence for one in mine)]
    return max(sum(low < fence < high for fence in others) for low, high in pairwise(ends))


def test_the_checker_sees_a_queue_without_order(zygote: Zygote) -> None:
    found = in_turns(zygote, WRITER, 25, "without_a_queue")
    assert out_of_order([grant for grants in found for grant in grants])


def test_rings_are_refused_and_everybody_gets_on(zygote: Zygote, figure: Callable[..., None]) -> None:
    """Four who take one lock and then another, in any order: some are told to give way, and nobody waits for ever."""
    rounds = times(25, 500)
    with world_of(zygote) as world:
        begin = world.base / "begin"
        takers = []
        for number in range(4):
            diary = world.base / "told" / f"diary-{number}"
            arguments: list[Any] = [str(world.workspace), str(diary), number, rounds, str(begin)]
            takers.append((world.start(*arguments, actor="take_more"), diary))
        begin.touch()
        assert [taker.end(PATIENCE * times(1, 10)) for taker, _ in takers] == [0] * 4
        told = [json.loads(diary.read_text()) for _, diary in takers]
        figure(rounds=sum(one["done"] for one in told), refused=sum(one["refused"] for one in told))
        assert [one["done"] for one in told] == [rounds] * 4
        assert sum(one["refused"] for one in told) > 0
        assert nothing_leaked(world)
