"""Attempts that go on in the session of the one before, with the real command and a program that keeps sessions."""

from __future__ import annotations

import shutil
import signal
from typing import Any

import pytest
from repo import Repo
from sandbox import wait_for

QUIET = ("--isolation", "shared", "--ceiling", "off")
SHARED = (*QUIET, "--ui", "jsonl")


@pytest.fixture
def repo(claude_repo: Repo) -> Repo:
    return claude_repo


def plan(repo: Repo, *script: str, **keys: Any) -> None:
    task = {"id": "a", "name": "Phase a", "agent": "claude", "description": "\n".join(script), "writes": ["a"]}
    repo.plan({**task, **keys})


def sessions(repo: Repo) -> list[str]:
    """In which session each attempt began to go on; empty for a new one."""
    return [one["session"] for one in repo.events("AttemptStarted")]


def causes(repo: Repo) -> list[str]:
    return [one["cause"] for one in repo.events("AttemptEnded")]


def test_a_used_up_account_is_waited_for_and_then_the_same_session_goes_on(repo: Repo) -> None:
    """Through two deaths of the coordinator: while it waits, and while the agent goes on."""
    box = repo.box
    plan(repo, "FIRST WRITE a: 1", "FIRST LIMIT 2", "THEN WAIT $HOME/go", "THEN WRITE a: 2")
    running = box.start_run(*SHARED)
    wait_for(lambda: "AccountClosed" in running.out)
    running.kill()

    assert box.read("a") == ""  # who comes between must not find half of the work
    assert "goes on with session s-1" in box.wavecrew("explain", "a", "--plan", "plan.json").out
    shown = box.run(*QUIET, "--dry-run")
    assert "session goes on with session s-1" in shown.out
    assert "--resume s-1" in shown.out

    running = box.start_run(*SHARED)
    wait_for(lambda: (box.home / ".claude" / "prompts" / "a-2").exists(), "it goes on")
    running.kill()
    running = box.start_run(*SHARED)
    wait_for(lambda: repo.events("AttemptAdopted"), "it is adopted")
    assert "goes on with session s-1" in box.wavecrew("explain", "a", "--plan", "plan.json").out
    (box.home / "go").touch()
    done = running.end()

    assert done.code == 0, done
    assert box.read("a") == "1\n2\n"
    assert (sessions(repo), causes(repo)) == (["", "s-1"], ["quota", ""])
    prompt = (box.home / ".claude" / "prompts" / "a-2").read_text()
    assert "You have worked on this phase before, in this conversation" in prompt
    assert "-- goes on with session s-1" in box.wavecrew("logs", "a").out
    assert "-- goes on" not in box.wavecrew("logs", "a", "--attempt", "1").out
    usage = box.status()["usage"]
    assert (usage["attempts"], usage["cost_usd"], usage["unknown_cost"]) == (2, 0.25, 1)


def test_a_session_that_is_not_known_any_more_costs_one_attempt_and_no_retry(repo: Repo) -> None:
    plan(repo, "WRITE a: 1", "FIRST LIMIT 1", retries=0)
    running = repo.box.start_run(*SHARED)
    wait_for(lambda: "AccountClosed" in running.out)
    running.kill()
    shutil.rmtree(repo.box.home / ".claude" / "sessions")

    done = repo.box.run(*QUIET)

    assert done.code == 0, done
    assert (sessions(repo), causes(repo)) == (["", "s-1", ""], ["quota", "session", ""])
    assert repo.box.read("a") == "1\n"
    assert "could not go on in its session" in " ".join(done.out.split())


@pytest.mark.parametrize("edited", [False, True])
def test_who_was_stopped_goes_on_unless_somebody_has_changed_its_files(repo: Repo, edited: bool) -> None:
    box = repo.box
    plan(repo, "FIRST WRITE a: 1", "FIRST SHELL touch $HOME/up", "FIRST WAIT $HOME/go", "THEN WRITE a: 2")
    running = box.start_run(*SHARED)
    wait_for(lambda: (box.home / "up").exists(), "it has written")
    running.send(signal.SIGTERM)
    running.end()
    assert box.read("a") == ""
    if edited:
        box.write("a", "mine\n")
    (box.home / "go").touch()

    done = box.run(*QUIET)

    assert done.code == 0, done
    assert sessions(repo) == ["", "" if edited else "s-1"]
    assert box.read("a") == ("mine\n1\n" if edited else "1\n2\n")


@pytest.mark.parametrize("put_back", [False, True])
def test_after_a_failed_check_the_session_goes_on_only_if_the_files_stay(repo: Repo, put_back: bool) -> None:
    plan(repo, "FIRST WRITE a: 1", "THEN WRITE a: 2", checks=[["grep", "2", "a"]], retries=1)
    repo.box.write("wavecrew.toml", f"put_back = {str(put_back).lower()}\n")

    done = repo.box.run(*QUIET)

    assert done.code == (1 if put_back else 0), done
    assert sessions(repo) == ["", "" if put_back else "s-1"]
    assert repo.box.read("a") == ("1\n" if put_back else "1\n2\n")


def test_in_a_worktree_a_new_session_begins_and_is_told_where_the_work_is(repo: Repo) -> None:
    plan(repo, "FIRST WRITE a: 1", "FIRST LIMIT 1")

    done = repo.run()

    assert done.code == 0, done
    assert sessions(repo) == ["", ""]
    branch = repo.events("AttemptStarted")[0]["branch"]
    assert f"What it left is on the branch {branch}." in (repo.box.home / ".claude" / "prompts" / "a-2").read_text()
    assert repo.text("a", branch) == "1\n"
