"""Runs whose work is brought in several phases at once: anything is killed at random instants while that goes on."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from chaos_git_invariants import check, check_finished
from chaos_git_world import CONFIG, GitWorld, git_world
from chaos_invariants import read
from chaos_sizes import times
from chaos_world import Phase, Zygote
from test_chaos_kills import SEED, _told
from test_chaos_worktrees_kills import finish, kill, wait_a_while

from wavecrew.models import events as ev

CONFIG_OF_SIX = "max_parallel_agents = 6\n" + CONFIG.replace("gate.sh", "patient-gate.sh")
PATIENT_GATE = """
n=0
until [ $(grep -c ^- $HOME/../ran) -ge 5 ] || [ $n -ge 100 ]; do sleep 0.02; n=$((n+1)); done
. $HOME/../gate.sh
"""
"""The first tree waits until the others have ended, so that their work waits for its merge."""
PLAN = (*(Phase(name, nap=0.01) for name in "abcde"), Phase("z", tuple("abcde"), nap=0.01))


def together(world: GitWorld) -> int:
    """How much work was checked as one tree with that of others."""
    events = read(world).events
    return sum(isinstance(event, ev.MergeProposed) and bool(event.beside) for event in events)


@contextlib.contextmanager
def world_of_six(zygote: Zygote) -> Iterator[GitWorld]:
    with git_world(zygote, PLAN, config=CONFIG_OF_SIX) as world:
        (world.base / "patient-gate.sh").write_text(PATIENT_GATE)
        world.gated = True
        yield world


@pytest.fixture(scope="session")
def tree(zygote: Zygote) -> str:
    """The tree that an undisturbed run comes to."""
    with world_of_six(zygote) as world:
        assert world.start().end() == 0
        check_finished(world)
        assert together(world) == 4
        return world.git("rev-parse", f"{world.result}^{{tree}}").strip()


def test_anything_dies_while_several_come_in_at_once(zygote: Zygote, tree: str, figure: Callable[..., None]) -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEED, SEED + times(6, 300)):
        chance = random.Random(seed)
        with _told(seed), world_of_six(zygote) as world:
            for _ in range(chance.choice((1, 2))):
                running = world.start()
                wait_a_while(running, chance, 1.5)
                seen["killed"] += kill(world, running, chance.choice(("coordinator", "coordinator", "gate", "all")))
                check(world)
                if running.code is None:
                    assert running.end() in (0, 1, 8), running.told
                    check(world)
            finish(world, tree)
            seen["together"] += together(world)
            seen["runs"] += 1
    figure(seed=SEED, **seen)
