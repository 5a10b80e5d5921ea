"""Real agents that are ended: by a person, by a signal from outside, and with their shim. Nothing of them survives."""

from __future__ import annotations

import signal
from collections.abc import Callable

from agent_world import World, task
from sandbox import Running, wait_for

MakeWorld = Callable[..., World]
SLEEPER = "import time; time.sleep(3600)"
TOOL = f"shell python3 -c '{SLEEPER}'"


def _in_a_tool(world: World, agent: str, **keys: object) -> Running:
    """A run whose agent is within a shell command that does not end by itself."""
    world.repo.plan(task("p", agent, "write a.txt: a", TOOL, **keys))
    running = world.start("--grace", "5", "--isolation", "shared")
    world.until(lambda: _sleepers(world), "its tool is at work", running)
    return running


def _sleepers(world: World) -> list[int]:
    return [pid for pid in world.of_command(SLEEPER) if pid not in world.shim_pids()]


def test_a_cancelled_agent_leaves_no_process(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    running = _in_a_tool(world, agent)

    assert world.box.wavecrew("cancel", "p").code == 0
    done = running.end()

    assert done.code == 1
    [ended] = world.events("AttemptEnded")
    assert ended["cause"] == "cancelled", ended
    assert world.box.alive() == []


def test_an_agent_that_waits_for_its_model_can_be_cancelled(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    world.repo.plan(task("p", agent, "wait never", "write a.txt: a"))
    running = world.start("--grace", "5")
    world.until(lambda: world.stub.waiting("never"), "it asks the model", running)

    assert world.box.wavecrew("cancel", "p").code == 0

    assert running.end().code == 1
    assert [one["cause"] for one in world.events("AttemptEnded")] == ["cancelled"]
    assert world.box.alive() == []


def test_an_agent_that_is_killed_has_failed_and_leaves_no_process(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    running = _in_a_tool(world, agent, retries=0)

    world.kill(world.agent_pids())
    done = running.end()

    assert done.code == 1, (done, world.told())
    [ended] = world.events("AttemptEnded")
    assert (ended["outcome"], len(world.events("AttemptStarted"))) == ("failed", 1), ended
    assert world.box.alive() == []


def test_an_agent_whose_shim_is_killed_is_tried_again_when_nothing_of_it_lives(
    agent: str, make_world: MakeWorld
) -> None:
    world = make_world(agent)
    again = world.base / "again"
    world.repo.plan(task("p", agent, "write a.txt: a", f"shell test -e {again} || python3 -c '{SLEEPER}'", retries=0))
    running = world.start("--grace", "5", "--isolation", "shared")
    world.until(lambda: _sleepers(world), "its tool is at work", running)
    lived = {*world.agent_pids(), *_sleepers(world)}
    again.touch()

    world.kill(world.shim_pids())
    world.until(lambda: len(world.events("AttemptStarted")) == 2, "it is tried again", running)
    assert not lived & set(world.box.alive())
    done = running.end()

    assert done.code == 0, (done, world.told())
    assert [one["outcome"] for one in world.events("AttemptEnded")] == ["lost", "succeeded"]
    assert world.box.alive() == []


def test_an_interrupted_run_ends_its_agents_and_goes_on_later(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    world.repo.plan(task("p", agent, "write a.txt: a", "wait go", "write b.txt: b"))
    running = world.start("--grace", "5")
    world.until(lambda: world.stub.waiting("go"), "it is at work", running)
    running.send(signal.SIGTERM)
    running.end()
    wait_for(lambda: not world.box.alive(), "nothing is alive")
    world.stub.open("go")

    done = world.run()

    assert done.code == 0, (done, world.told())
    assert world.repo.files() >= {"a.txt", "b.txt"}


def test_an_interrupted_agent_goes_on_in_its_session_and_nothing_is_counted_twice(
    agent: str, make_world: MakeWorld
) -> None:
    world = make_world(agent)
    world.repo.plan(task("p", agent, "write a.txt: a", "wait go", "write b.txt: b", "say all there"))
    running = world.start("--grace", "5", "--isolation", "shared")
    world.until(lambda: world.stub.waiting("go"), "it is at work", running)
    running.send(signal.SIGTERM)
    running.end()
    wait_for(lambda: not world.box.alive(), "nothing is alive")
    heard = max(one.heard for one in world.stub.requests)
    before = len(world.stub.requests)
    world.stub.open("go")

    done = world.run("--isolation", "shared")

    assert done.code == 0, (done, world.told())
    assert (world.read("a.txt").strip(), world.read("b.txt").strip()) == ("a", "b")
    later = [one for one in world.stub.requests[before:] if not one.side]
    assert later[0].heard > heard, world.told()  # it remembers all that was said
    reports = world.events("AgentReported")
    assert {one["session"] for one in reports} == {reports[0]["session"]}
    told = [one["input_tokens"] for one in reports if one["input_tokens"] is not None]
    assert 0 < sum(told) <= world.spent("p").input  # nothing is counted twice
