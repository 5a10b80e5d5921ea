"""Wishes from another terminal while the coordinator lives, dies, or is not there at all."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest
from chaos_invariants import History, check, check_finished
from chaos_sizes import times
from chaos_world import World, Zygote, until, world_of
from test_chaos_kills import SEED, SLICES, _told, seeds

from wavecrew.models import events as ev
from wavecrew.models.phase_status import PhaseStatus

WISHES = (
    ("pause", [], False),
    ("pause", [], True),
    ("cancel", [], False),
    ("cancel", ["b"], False),
    ("cancel", ["e"], False),
    ("skip", ["c"], False),
    ("skip", ["d"], False),
    ("retry", ["a"], False),
    ("retry", ["e"], True),
)
REFUSED = 2


def wish(world: World, kind: str, phases: list[str], hard: bool) -> int:
    return world.start(str(world.workspace), kind, phases, hard, actor="wish_for").end()


def honoured(history: History, kind: str, phases: list[str]) -> bool:
    """Whether what was wished for is in the history."""
    events = history.events
    match kind:
        case "pause":
            return any(isinstance(event, ev.RunPaused) for event in events)
        case "skip":
            return any(isinstance(event, ev.PhaseSkipped) and event.phase == phases[0] for event in events)
        case "retry":
            return any(isinstance(event, ev.PhaseReset) and event.phase == phases[0] for event in events)
        case _:
            return True  # of a cancelled phase only its end is told, and it may have ended by itself first


@pytest.mark.parametrize("number", range(SLICES))
def test_wishes_race_with_death(zygote: Zygote, number: int, figure: Callable[..., None]) -> None:
    """A wish that was answered with yes is in the history; and whatever was wished for, the run can be finished."""
    seen: Counter[str] = Counter()
    for seed in seeds(number, times(36, 600)):
        chance = random.Random(seed)
        kind, phases, hard = chance.choice(WISHES)
        with _told(seed), world_of(zygote) as world:
            running = world.start()
            until(lambda world=world: world.lines("ran"), "a first agent")
            time.sleep(chance.uniform(0, 0.25))
            asker = world.start(str(world.workspace), kind, phases, hard, actor="wish_for")
            time.sleep(chance.uniform(0, 0.05))
            if chance.random() < 0.6:
                running.kill()
            code = asker.end()
            assert code in (0, REFUSED), f"{kind} {phases}: {code} {asker.told}"
            history = check(world)
            assert history is not None
            assert code == REFUSED or honoured(history, kind, phases), f"{kind} {phases} was promised, not done"
            seen[f"{kind} {'done' if code == 0 else 'refused'}"] += 1
            if kind == "pause":
                assert wish(world, "continue", [], False) == 0
            running.end()
            check(world)
            assert world.finish() == 0, world.started[-1].told
            check_finished(world)
    figure(seed=SEED, **seen)


def test_wishes_are_fulfilled_when_nobody_is_in_charge(zygote: Zygote) -> None:
    """And recovery, which each of them includes, gives the same state however often it is done (I9)."""
    with world_of(zygote) as world:
        running = world.start()
        until(lambda: len([line for line in world.lines("ran") if line[0] == "-"]) >= 2, "two phases done")
        running.kill()
        assert wish(world, "pause", [], False) == 0
        first = check(world)
        until(lambda: not world.processes(), "the agents to have ended")
        assert wish(world, "pause", [], False) == 0  # settles what has ended meanwhile
        second = check(world)
        assert wish(world, "pause", [], False) == 0
        third = check(world)
        assert first is not None
        assert second is not None
        assert third is not None
        assert second.events == third.events
        assert second.state.phase_states == third.state.phase_states
        assert not third.state.running
        assert wish(world, "skip", ["d"], False) == 0
        assert wish(world, "skip", ["d"], False) == REFUSED
        assert wish(world, "continue", [], False) == 0
        assert world.finish() == 0
        final = check_finished(world)
        assert final.state.status_of("d") is not PhaseStatus.COMPLETED
