"""Whole runs with an agent that speaks the Agent Client Protocol: scripted, but with the real library on both sides."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from repo import Repo
from sandbox import Sandbox, wait_for

AGENT = Path(__file__).parents[1] / "acp_agent.py"


@pytest.fixture
def repo(box: Sandbox) -> Repo:
    found = Repo(box)
    found.begin()
    command = [sys.executable, str(AGENT), "--log", str(box.home / "heard")]
    box.write("wavecrew.toml", f'agent = "acp"\ncommand = {json.dumps(command)}\n')
    return found


def task(name: str, script: str, *, writes: tuple[str, ...] = (), **keys: Any) -> dict[str, Any]:
    return {"id": name, "name": f"Phase {name}", "description": script, "writes": writes, **keys}


def test_a_run_whose_agents_ask_over_the_protocol(repo: Repo) -> None:
    repo.plan(
        task("a", "WRITE a: 1\nWRITE b/c: 2\nCOST 0.25\nSAY all done", writes=("a",)),
        task("b", "READ a\nWRITE d: 3\nSAY done, too", writes=("d",), needs=["a"]),
    )

    done = repo.run("--gate-proof", "once")

    assert done.code == 0, done
    assert "asks before it writes is not proven" in done.out + done.err
    assert (repo.text("a"), repo.text("b/c"), repo.text("d")) == ("1\n", "2\n", "3\n")
    [judged] = repo.events("WriteJudged")
    assert (judged["allowed"], judged["claimed"]) == (True, ["b/c"])
    told = {one["phase"]: one for one in repo.events("AgentReported")}
    assert (told["a"]["session"], told["a"]["cost_usd"], told["a"]["tool_calls"]) == ("s-1", 0.25, 2)
    assert (told["b"]["input_tokens"], told["b"]["output_tokens"], told["b"]["cost_usd"]) == (120, 10, None)
    assert "mode careful" in (repo.box.home / "heard").read_text()


def test_who_wants_what_another_phase_holds_is_refused_with_the_reason_and_goes_on(repo: Repo) -> None:
    home = repo.box.home
    repo.plan(
        task("a", f"WRITE x: a\nTOUCH {home}/a\nWAIT {home}/go", writes=("x",)),
        task("b", f"WAIT {home}/a\nONCE x: b\nWRITE y: b\nSAY without x", writes=("y",)),
    )
    running = repo.box.start_run("--lock-timeout-seconds", "1")
    wait_for(lambda: (home / "a").exists(), "the first is at work")
    wait_for(lambda: [one for one in repo.events("WriteJudged") if not one["allowed"]], "it is refused")
    (home / "go").touch()

    done = running.end()

    assert done.code == 0, done
    assert (repo.text("x"), repo.text("y")) == ("a\n", "b\n")
    [refused] = [one for one in repo.events("WriteJudged") if not one["allowed"]]
    assert (refused["phase"], refused["holder"]) == ("b", "phase a")
    assert "x is held by phase a" in (home / "heard").read_text()


def test_an_agent_that_fails_fails_its_phase_with_its_words(repo: Repo) -> None:
    repo.plan(task("a", "WRITE a: 1\nERROR -32603 strange", writes=("a",), retries=0))

    done = repo.run()

    assert done.code == 1, done
    [ended] = repo.events("AttemptEnded")
    assert (ended["cause"], ended["detail"]) == ("agent", "strange")


def test_who_is_at_work_when_the_coordinator_dies_goes_on_to_ask_the_next_one(repo: Repo) -> None:
    home = repo.box.home
    repo.plan(task("a", f"TOUCH {home}/up\nWAIT {home}/go\nWRITE a: 1\nWRITE free: 2", writes=("a",), retries=0))
    running = repo.box.start_run()
    wait_for(lambda: (home / "up").exists(), "the agent is at work")
    running.kill()
    again = repo.box.start_run()
    wait_for(lambda: repo.events("AttemptAdopted"), "it is adopted")
    (home / "go").touch()

    done = again.end()

    assert done.code == 0, done
    assert (repo.text("a"), repo.text("free")) == ("1\n", "2\n")
    assert [one["claimed"] for one in repo.events("WriteJudged")] == [["free"]]


_WITHOUT = """
import importlib.metadata as metadata
found = metadata.distribution
def distribution(name):
    if name == "agent-client-protocol":
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.distribution = distribution
"""


def test_without_the_library_nothing_is_started_and_the_way_to_it_is_told(repo: Repo) -> None:
    (repo.box.home / "sitecustomize.py").write_text(_WITHOUT)
    repo.box.extra["PYTHONPATH"] = str(repo.box.home)
    repo.plan(task("a", "WRITE a: 1"))

    refused = repo.run()

    assert refused.code == 8, refused
    assert "the library agent-client-protocol is not installed" in refused.err
    assert 'pip install "wavecrew[acp]"' in " ".join(refused.err.split())
    assert repo.branches() == set()


def test_without_a_command_nothing_is_started(repo: Repo) -> None:
    repo.box.write("wavecrew.toml", 'agent = "acp"\n')
    repo.plan(task("a", "WRITE a: 1"))

    refused = repo.run()

    assert refused.code == 8, refused
    assert "no command is set" in refused.err
    assert repo.branches() == set()
