"""Runs in worktrees: what a coordinator and a git that died in the middle of a merge have left at work, or locked."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_git_invariants import check_finished
from chaos_git_world import CONFIG, PLAN, GitWorld, git_world
from chaos_invariants import read
from chaos_sizes import LONG
from chaos_world import Phase, Zygote, until

from wavecrew.models import events as ev

GATED = CONFIG.replace('sh -c ". $HOME/../gate.sh"', 'sh -c ". $HOME/../slow-gate.sh"')
SLOW_GATE = """
exec 7>>"$HOME/../live/gate"
flock -n 7 || echo "two at the gate, one is $WAVECREW_PHASE" >> "$HOME/../violations"
echo "$WAVECREW_PHASE" >> "$HOME/../at-gate"
touch built
if [ -e "$HOME/../slow-$WAVECREW_PHASE" ]; then until [ -e "$HOME/../open" ]; do sleep 0.01; done; fi
[ -e built ] || echo "files were changed under the gate of $WAVECREW_PHASE" >> "$HOME/../violations"
git rev-parse HEAD >> "$HOME/../gated"
"""
PAIR = (Phase("a", nap=0.01), Phase("b", nap=0.3), Phase("c", ("a", "b"), nap=0.01))
"""`a` is merged first, so that the work of `b` needs a merge commit."""


@pytest.fixture
def world(zygote: Zygote) -> Iterator[GitWorld]:
    """`b` waits at its gate until the file `open` is there."""
    with git_world(zygote, PAIR, config=GATED) as found:
        (found.base / "slow-gate.sh").write_text(SLOW_GATE)
        (found.base / "slow-b").touch()
        found.gated = True
        yield found


def at_the_gate(world: GitWorld) -> None:
    until(lambda: "b" in world.lines("at-gate"), "b at its gate")


def lock_of_result(world: GitWorld) -> Path:
    return world.common / f"{world.result}.lock"


def lock_of_index(world: GitWorld) -> Path:
    return world.common / "worktrees" / "b-1" / "index.lock"


def lock_of_head(world: GitWorld) -> Path:
    return world.common / "worktrees" / "b-1" / "HEAD.lock"


def lock_of_branch(world: GitWorld) -> Path:
    return world.common / "refs" / "heads" / "wavecrew" / "r1" / "b" / "1.lock"


LOCKS: list[Callable[[GitWorld], Path]] = [lock_of_result, lock_of_index, lock_of_head, lock_of_branch]


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("moved", [False, True] if LONG else [False])
def test_a_git_that_was_killed_with_its_coordinator_leaves_no_lock_for_ever(
    world: GitWorld, lock: Callable[[GitWorld], Path], moved: bool
) -> None:
    """The merge is taken up at its gate; `moved`: after the gate has ended without anybody who takes its answer."""
    running = world.start()
    at_the_gate(world)
    running.kill()
    lock(world).touch()
    if moved:
        (world.base / "open").touch()
        until(lambda: not world.processes(), "the gate to have ended")
    again = world.start()
    time.sleep(0.3)
    (world.base / "open").touch()
    assert again.end() == 0, again.told
    check_finished(world)


def test_a_gate_that_is_at_work_is_waited_for_and_not_begun_again(world: GitWorld) -> None:
    """Although a merge of the same two in another second would be another commit."""
    running = world.start()
    at_the_gate(world)
    running.kill()
    time.sleep(1.1)
    again = world.start()
    time.sleep(1.0)
    assert not world.lines("violations"), world.lines("violations")
    (world.base / "open").touch()
    assert again.end() == 0, again.told
    check_finished(world)
    assert world.lines("at-gate").count("b") == 1


def test_a_gate_whose_merge_is_out_of_date_is_ended_before_the_next(world: GitWorld) -> None:
    """While its coordinator was dead, somebody has added to the result."""
    running = world.start()
    at_the_gate(world)
    running.kill()
    tree = world.git("rev-parse", f"{world.tip}^{{tree}}").strip()
    more = world.git("commit-tree", "-m", "mine", "-p", world.tip, tree).strip()
    world.git("update-ref", world.result, more)
    again = world.start()
    until(lambda: world.lines("at-gate").count("b") == 2 or again.ended(), "b at its gate again")
    assert not world.lines("violations"), world.lines("violations")
    (world.base / "open").touch()
    assert again.end() == 0, again.told
    check_finished(world)


def test_what_is_cancelled_at_the_gate_of_a_dead_coordinator_is_ended(world: GitWorld) -> None:
    running = world.start()
    at_the_gate(world)
    running.kill()
    wish = world.start(str(world.workspace), "cancel", ["b"], False, actor="wish_for")
    assert wish.end() == 0, wish.told
    until(lambda: not world.processes(), "the gate to have been ended")
    (world.base / "open").touch()
    (world.base / "slow-b").unlink()
    assert world.start("retry", "b").end() == 0, world.started[-1].told
    assert world.finish() == 0, world.started[-1].told
    assert not world.lines("violations"), world.lines("violations")
    assert world.start("verify").end() == 0


def test_a_teardown_that_its_coordinator_did_not_outlive_is_done_by_the_next(zygote: Zygote) -> None:
    with git_world(zygote, PLAN[:1]) as world:
        (world.base / "agent.sh").write_text((world.base / "agent.sh").read_text() + "\ntouch $HOME/../ended")
        running = world.start()
        until(lambda: any(str(event) for event in world.refs() if event.endswith("/a/1")), "a worktree")
        until(lambda: (world.run_folder / "a" / "1" / "teardown").exists() or running.ended(), "a teardown")
        running.kill()
        assert world.finish() == 0, world.started[-1].told
        check_finished(world)


def test_half_a_job_at_the_gate_is_no_secret_left_behind(world: GitWorld) -> None:
    """The environment of a check was written, and then its coordinator died; the merge is out of date by then."""
    running = world.start()
    at_the_gate(world)
    running.kill()
    half = world.run_folder / "b" / "1" / "gate-000000000000"
    half.mkdir()
    (half / "env.json").write_text('{"SECRET": "x"}')
    (world.base / "open").touch()
    assert world.finish() == 0, world.started[-1].told
    check_finished(world)


def test_a_teardown_that_cannot_be_started_is_tried_again(zygote: Zygote) -> None:
    """And what was written of its job is not left: it has the environment in it."""
    with git_world(zygote, PLAN[:1]) as world:
        keys = _points_of_teardown(zygote)
        fired = world.base / "fired"
        first = world.start(faults={"key": keys[-1], "kind": "ENOSPC", "fired": str(fired)})
        assert first.end() == 0, first.told
        assert fired.exists()
        check_finished(world)


def _points_of_teardown(zygote: Zygote) -> list[str]:
    """The openings of files of jobs; the last is that of the last job, which clears up."""
    with git_world(zygote, PLAN[:1]) as world:
        assert world.start(faults={"trace": str(world.base / "trace")}).end() == 0
        return [key for key in world.lines("trace") if key.startswith("coordinator|open|attempts.py")]


@pytest.mark.parametrize("before", ["", "killed"])
def test_a_teardown_that_hangs_can_be_interrupted(zygote: Zygote, before: str) -> None:
    """Also one that another coordinator has begun."""
    hanging = "teardown = ['sh -c \"until [ -e $HOME/../open ]; do sleep 0.01; done; touch $HOME/../down\"']\n"
    with git_world(zygote, PLAN[:1], config=hanging) as world:
        running = world.start()
        until(lambda: (world.run_folder / "a" / "1" / "teardown" / "started").exists(), "a teardown")
        if before:
            running.kill()
            running = world.start()
            until(lambda: len(_coordinators(world)) == 2, "another in charge")
            time.sleep(0.3)
        running.signal(signal.SIGINT)
        assert running.end(20) == 130, running.told
        (world.base / "open").touch()
        assert world.finish() == 0, world.started[-1].told
        check_finished(world)
        assert (world.base / "down").exists(), "C6: it was never brought to its end"


def _coordinators(world: GitWorld) -> list[ev.Event]:
    history = read(world)
    return [] if history is None else [one for one in history.events if isinstance(one, ev.CoordinatorStarted)]
