"""Real agents that do their work: every kind of tool, errors of the model, tokens and costs."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from agent_world import World, holder, task, unknown_tools

from wavecrew.stub_model import NO_MODEL, Tokens

MakeWorld = Callable[..., World]
TELLS_NOTHING_OF_SUB_AGENTS = ("codex", "opencode")
PRICES = {"input": 3.0, "output": 15.0}
"""Dollars for a million tokens, as the settings of opencode say."""


def test_it_writes_edits_reads_and_runs_commands_and_tells_what_it_used(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    steps = ("write a.txt: one\\ntwo", "edit a.txt: one => 1", "read a.txt", "shell echo hi > b.txt", "both")
    world.repo.plan(task("p", agent, *steps, "write c.txt: c", "write d/d.txt: d", "say all good", writes=["a.txt"]))

    done = world.run()

    assert done.code == 0, (done, world.told())
    assert world.repo.text("a.txt").rstrip("\n") == "1\ntwo"
    assert [world.repo.text(name).strip() for name in ("b.txt", "c.txt", "d/d.txt")] == ["hi", "c", "d"]
    assert {path for one in world.events("WriteJudged") for path in one["claimed"]} == {"b.txt", "c.txt", "d/d.txt"}
    assert world.events("UndeclaredWrites") == []
    [told] = world.events("AgentReported")
    spent = world.spent("p")
    assert _tokens(told) == spent
    assert told["tool_calls"] == 6
    assert told["session"]
    report = world.box.wavecrew("report", "--json").json
    assert report["usage"]["tokens"] == spent.input + spent.output
    _check_cost(agent, told["cost_usd"], spent)


def _tokens(told: dict[str, Any]) -> Tokens:
    return Tokens(told["input_tokens"], told["output_tokens"], told["cached_tokens"])


def _check_cost(agent: str, cost: float | None, spent: Tokens) -> None:
    if agent in ("codex", "gemini"):
        assert cost is None  # they tell none, and unknown is never 0
    elif agent == "opencode":
        fresh = spent.input - spent.cached
        assert cost == pytest.approx((fresh * PRICES["input"] + spent.output * PRICES["output"]) / 1e6)
    else:
        assert cost is not None
        assert cost > 0


def test_a_sub_agent_writes_and_is_asked_too(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    inner = "agent write held.txt: stolen ;; write free.txt: by a sub-agent ;; say it is there"
    world.repo.plan(holder("held.txt"), task("p", agent, "wait held", inner, "write own.txt: own"))
    running = world.start("--lock-timeout-seconds", "0", "--isolation", "shared")
    world.up()
    world.stub.open("held")
    world.until(lambda: world.events("AttemptEnded", "p"), "the agent ends", running)
    assert not world.path("held.txt").exists()
    world.release()
    done = running.end()

    assert done.code == 0, (done, world.told())
    assert world.read("free.txt").strip() == "by a sub-agent"
    assert world.read("own.txt").strip() == "own"
    [reported] = world.events("AgentReported")
    told = _tokens(reported)
    unknown = Tokens(None, None, None)  # type: ignore[arg-type]
    assert told == (unknown if agent in TELLS_NOTHING_OF_SUB_AGENTS else world.spent("p"))
    refused = [one for one in world.events("WriteJudged") if not one["allowed"]]
    assert [(one["paths"], one["holder"]) for one in refused] == [(["held.txt"], "phase holder")]


def test_a_limit_that_goes_away_is_no_failure(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    world.repo.plan(task("p", agent, "fail 429 2", "write a.txt: hello", writes=["a.txt"]))

    done = world.run()

    assert done.code == 0, (done, world.told())
    assert [one.status for one in world.stub.requests if not one.side][:3] == [429, 429, 200]
    assert len(world.events("AttemptStarted")) == 1
    assert world.events("AccountClosed") == []
    assert world.repo.text("a.txt").strip() == "hello"


def test_a_limit_that_stays_closes_the_account_and_costs_no_retry(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    world.repo.plan(task("p", agent, "fail 429", "write a.txt: hello", writes=["a.txt"], retries=0))

    running = world.start()
    [closed] = world.until(lambda: world.events("AccountClosed"), "its account is closed", running)
    world.until(lambda: world.events("AttemptEnded"), "the attempt ends", running)

    [ended] = world.events("AttemptEnded")
    assert (closed["account"], ended["outcome"], ended["cause"]) == (agent, "stopped", "quota"), world.told()
    assert closed["until"] > closed["at"]
    [phase] = world.box.status()["phases"]
    assert (phase["status"], phase["standing"]) == ("QUEUED", "held")
    running.kill()


def test_a_server_that_is_not_there_is_told_and_costs_no_retry(agent: str, make_world: MakeWorld) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused, and nobody else gets it
        world = make_world(agent, url=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        world.repo.plan(task("p", agent, "write a.txt: hello", writes=["a.txt"], retries=0))
        limits = ("--timeout", "10") if agent == "codex" else ()  # it waits for the network for ever

        running = world.start(*limits)
        [ended] = world.until(lambda: world.events("AttemptEnded"), "the attempt ends", running)

        assert (ended["outcome"], ended["cause"]) == (
            ("failed", "timeout") if agent == "codex" else ("stopped", "quota")
        ), (ended, world.told())
        if agent == "codex":
            assert running.end().code == 1
        else:
            [closed] = world.events("AccountClosed")
            assert closed["account"] == agent
        running.kill()


@pytest.mark.parametrize(("how", "words"), [({"key": "another"}, "log in"), ({"model": NO_MODEL}, "model")])
def test_what_only_a_person_can_mend_fails_at_once(
    agent: str, make_world: MakeWorld, how: dict[str, str], words: str
) -> None:
    world = make_world(agent, **how)
    world.repo.plan(task("p", agent, "write a.txt: hello", writes=["a.txt"], retries=3))

    done = world.run()

    assert done.code == 1, (done, world.told())
    assert len(world.events("AttemptStarted")) == 1
    [ended] = world.events("AttemptEnded")
    assert words in ended["detail"].lower() + " ".join(done.out.lower().split()), (ended, world.told())
    assert world.events("AccountClosed") == []


def test_all_tools_that_it_offers_are_known_to_the_gate(agent: str, make_world: MakeWorld) -> None:
    """One that is not known is refused as a rule, and an agent that is refused its ways to look around is lost."""
    world = make_world(agent)
    world.repo.plan(task("p", agent, "shell true"))

    assert world.run().code == 0, world.told()
    assert unknown_tools(world) <= {"Workflow"}  # one that starts dozens of agents is refused
