"""Real agents that are driven over the Agent Client Protocol: by themselves where they speak it, else by their bridges.

The bridges are no part of the pinned programs: WAVECREW_ACP_BRIDGES names a folder with them. Without it, Claude Code
and Codex are not tried here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_world import World, holder, task

MakeWorld = Callable[..., World]
SHARED = ("--isolation", "shared")
COMMANDS = {
    "claude": ("claude-agent-acp",),
    "codex": ("codex-acp",),
    "gemini": ("gemini", "--acp", "--skip-trust"),
    "opencode": ("opencode", "acp"),
}
BRIDGED = ("claude", "codex")
BRIDGES = os.environ.get("WAVECREW_ACP_BRIDGES", "")


@pytest.fixture
def over_acp(agent: str, make_world: MakeWorld) -> Callable[..., tuple[World, dict[str, Any]]]:
    """Makes a workspace, and what a phase needs to be done over the protocol."""
    command = list(COMMANDS[agent])
    if agent in BRIDGED:
        program = Path(BRIDGES, "node_modules", ".bin", command[0])
        if not BRIDGES or not program.exists():
            pytest.skip(f"THE BRIDGE {command[0]} IS NOT INSTALLED: WAVECREW_ACP_BRIDGES has to name its folder")
        command[0] = str(program)

    def make() -> tuple[World, dict[str, Any]]:
        return make_world(agent), {"command": command}

    return make


def test_a_task_is_done_and_what_it_used_is_told(agent: str, over_acp: Any) -> None:
    world, how = over_acp()
    steps = ("write a.txt: a", "write free.txt: b", "say all done")
    world.repo.plan(task("p", "acp", *steps, writes=["a.txt"], **how))

    done = world.run()

    assert done.code == 0, (done, world.told())
    assert (world.repo.text("a.txt").strip(), world.repo.text("free.txt").strip()) == ("a", "b")
    assert [one["claimed"] for one in world.events("WriteJudged", "p")] == [["free.txt"]]
    [told] = world.events("AgentReported", "p")
    assert told["session"]
    assert told["tool_calls"] == 2
    spent = world.spent("p")
    if agent == "opencode":
        assert told["input_tokens"] is None  # it tells those of its last step alone
    elif agent == "claude":  # what it asks beside its work may end later than the turn that tells of it
        assert 0 < told["input_tokens"] <= spent.input, world.told()
        assert 0 < told["output_tokens"] <= spent.output
    else:
        assert (told["input_tokens"], told["output_tokens"]) == (spent.input, spent.output), world.told()
    assert (told["cost_usd"] is not None) == (agent in ("claude", "opencode"))


def test_who_writes_what_is_held_waits_and_writes_when_it_is_free(agent: str, over_acp: Any) -> None:
    world, how = over_acp()
    world.repo.plan(holder("x.txt"), task("p", "acp", "wait held", "write y.txt: y", "write x.txt: mine", **how))
    running = world.start("--isolation", "worktree")
    world.up()
    world.stub.open("held")
    world.until(world.waiters, "it stands in the queue", running)
    [place] = world.folder.glob(".wavecrew/worktrees/*/p-1")
    assert (place / "y.txt").exists()
    assert not (place / "x.txt").exists()
    world.release()
    world.until(lambda: world.events("AttemptEnded", "p"), "the agent ends", running)

    [judged] = [one for one in world.events("WriteJudged", "p") if one["paths"] == ["x.txt"]]
    assert (judged["allowed"], judged["holder"]) == (True, "phase holder")
    assert judged["waited"] > 0
    running.end()  # both have made the same file, which is for the merge to tell


def test_what_is_refused_is_not_written_and_the_work_goes_on(agent: str, over_acp: Any) -> None:
    world, how = over_acp()
    steps = ("wait held", "write x.txt: stolen", "shell echo stolen > x.txt", "write y.txt: y", "say went on")
    world.repo.plan(holder("x.txt"), task("p", "acp", *steps, **how))
    running = world.start(*SHARED, "--lock-timeout-seconds", "1")
    world.up()
    world.stub.open("held")
    world.until(lambda: world.events("AttemptEnded", "p"), "the agent ends", running)
    assert not world.path("x.txt").exists(), world.told()
    assert world.read("y.txt").strip() == "y", world.told()
    world.release()
    done = running.end()

    assert done.code == 0, (done, world.told())
    refused = [one for one in world.events("WriteJudged", "p") if not one["allowed"]]
    assert refused
    assert {(tuple(one["paths"]), one["holder"]) for one in refused} == {(("x.txt",), "phase holder")}


def test_who_is_cancelled_leaves_no_process(agent: str, over_acp: Any) -> None:
    world, how = over_acp()
    world.repo.plan(task("p", "acp", "write a.txt: a", "wait never", "write b.txt: b", writes=["a.txt"], **how))
    running = world.start(*SHARED)
    world.until(lambda: world.path("a.txt").exists(), "it is at work", running)
    assert world.box.alive()

    cancelled = world.box.wavecrew("cancel", "p")

    assert cancelled.code == 0, cancelled
    running.end()
    assert world.box.alive() == []
    assert not world.path("b.txt").exists()
