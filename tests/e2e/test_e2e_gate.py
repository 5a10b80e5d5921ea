"""Agents that ask before they write, and the ceiling above them: by a program that behaves as Claude Code does."""

from __future__ import annotations

from typing import Any

import pytest
from repo import Repo
from sandbox import Sandbox, wait_for

from wavecrew.core.ceiling import probe


@pytest.fixture
def repo(claude_repo: Repo) -> Repo:
    return claude_repo


def task(name: str, script: str, *, writes: tuple[str, ...] = (), **keys: Any) -> dict[str, Any]:
    return {"id": name, "name": f"Phase {name}", "agent": "claude", "description": script, "writes": writes, **keys}


@pytest.mark.parametrize("name", ["a", "coordinator"])
def test_what_is_claimed_is_written_and_what_is_free_is_claimed_on_the_way(repo: Repo, name: str) -> None:
    repo.plan(task(name, "WRITE a: 1\nWRITE b/c: 2", writes=("a",)))

    done = repo.run()

    assert done.code == 0, done
    assert (repo.text("a"), repo.text("b/c")) == ("1\n", "2\n")
    [judged] = repo.events("WriteJudged")
    assert (judged["allowed"], judged["claimed"]) == (True, ["b/c"])
    assert repo.events("UndeclaredWrites") == []  # what was given on the way is claimed


@pytest.mark.parametrize("isolation", ["shared", "worktree"])
def test_who_wants_what_another_phase_holds_waits_for_it(repo: Repo, isolation: str) -> None:
    """In one folder the file is another one after the wait, and the agent has to read it again first."""
    repo.plan(
        task("a", "WRITE x: a\nSHELL touch $HOME/a\nWAIT $HOME/go", writes=("x",)),
        task("b", "WAIT $HOME/a\nWRITE x: b", writes=("y",)),
        task("c", "WRITE y: c", needs=["a"]),
    )
    repo.box.write("y", "y\n")
    repo.commit()
    running = repo.box.start_run("--isolation", isolation, "--conflict-retry-attempts", "2", "--ceiling", "off")
    wait_for(lambda: (repo.box.home / "a").exists(), "a is at work")
    wait_for(lambda: repo.box.wavecrew("locks", "list", "--json").json["waiters"], "b stands in the queue")
    wait_for(lambda: repo.events("WriteAwaited"), "it is told")
    told = repo.phase("b")
    assert told["reason"] == "waits to write x, held by phase a"
    assert (told["lock"]["resource"], told["lock"]["holder"]) == ("x", "phase a")
    assert "waits to write x, held by phase a" in " ".join(repo.box.wavecrew("status").out.split())
    assert "waits   to write x, held by phase a" in repo.box.wavecrew("explain", "b", "--plan", "plan.json").out
    assert [one["label"] for one in repo.box.wavecrew("locks", "why", "x", "--json").json["asked_by"]] == ["phase b"]
    assert "phase b waits" in repo.box.wavecrew("locks", "why", "x").out
    (repo.box.home / "go").touch()

    done = running.end()

    assert done.code == 0, done
    waited = [one for one in repo.events("WriteJudged") if one["phase"] == "b" and one["waited"] > 0]
    assert waited
    assert waited[0]["holder"] == "phase a"
    assert waited[0]["claimed"] == ["x"]  # also where it is refused once: the next try goes on
    assert waited[0]["allowed"] is (isolation == "shared")
    if isolation == "worktree":  # there, the file is still the one from before
        assert "phase a has changed this while you waited" in waited[0]["reason"]
        shown = waited[0]["reason"].partition("git show ")[2].partition(")")[0]
        assert repo.git("show", shown) == "a\n"
    awaited = repo.events("WriteAwaited")[0]
    assert (awaited["phase"], awaited["resource"], awaited["holder"]) == ("b", "x", "phase a")
    assert awaited["at"] >= awaited["since"]
    assert 'b Phase b write=x holder="phase a"' in done.out
    assert "b Phase b write=x waited=" in done.out


@pytest.mark.parametrize("path", ["$WAVECREW_ROOT/.git/config", "../outside", "$WAVECREW_ROOT/README.md"])
def test_what_no_agent_may_write_is_refused(repo: Repo, path: str) -> None:
    repo.plan(task("a", f"WRITE {path}: x\nWRITE a: 1", writes=("a",)))
    before = (repo.box.folder / ".git" / "config").read_text()

    done = repo.run("--ceiling", "off")

    assert done.code == 0, done
    assert (repo.box.folder / ".git" / "config").read_text() == before
    assert repo.box.read("README.md") == "# Here\n"
    assert not any(one["allowed"] for one in repo.events("WriteJudged"))
    assert repo.text("a") == "1\n"


@pytest.mark.skipif(not probe().available, reason=f"NO CEILING ON THIS KERNEL: {probe().reason}")
def test_what_a_shell_writes_outside_is_refused_by_the_kernel(repo: Repo) -> None:
    temporary = repo.box.home / "tmp"  # what agents may use as such does not hold the workspace then
    temporary.mkdir()
    repo.box.extra["TMPDIR"] = str(temporary)
    repo.plan(task("a", "SHELL echo x > $WAVECREW_ROOT/stolen; echo y > inside; git commit -qam own\nWRITE a: 1"))

    done = repo.run("--audit", "off")

    assert done.code == 0, done
    assert not (repo.box.folder / "stolen").exists()
    assert repo.text("inside") == "y\n"


@pytest.mark.skipif(not probe().available, reason=f"NO CEILING ON THIS KERNEL: {probe().reason}")
def test_below_the_ceiling_an_agent_picks_and_commits_without_a_name_and_has_its_folder_elsewhere(repo: Repo) -> None:
    temporary, own = repo.box.home / "tmp", repo.box.home / "own"
    temporary.mkdir()
    repo.box.extra |= {"TMPDIR": str(temporary), "CLAUDE_CONFIG_DIR": str(own)}
    side = "git checkout -q --detach; echo b > b; git add b; git commit -qm side; git checkout -q -"
    repo.plan(task("a", f"SHELL {side}; git cherry-pick HEAD@{{1}}\nWRITE a: 1", writes=("a", "b")))
    (repo.box.home / ".gitconfig").write_text("")

    done = repo.run("--ceiling", "on", "--env", "CLAUDE_CONFIG_DIR")

    assert done.code == 0, done
    assert (repo.text("a"), repo.text("b")) == ("1\n", "b\n")
    assert "side" in repo.git("log", "--format=%s by %an", repo.result)
    assert "side by wavecrew" in repo.git("log", "--format=%s by %an", repo.result)
    assert (own / "prompts" / "a-1").exists()


def test_an_agent_program_that_is_missing_is_told_before_anything_starts(box: Sandbox) -> None:
    repo = Repo(box)
    repo.begin()
    repo.plan(task("a", "WRITE a: 1"))

    refused = repo.run()

    assert refused.code == 8, refused
    assert "there is no program claude on PATH" in refused.err
    assert repo.branches() == set()


def test_tools_that_write_no_file_can_be_named(repo: Repo) -> None:
    script = "TOOL mcp__notes__add\nTOOL mcp__files__put\nTOOL Write"
    repo.plan(task("a", f"{script}\nWRITE a: 1", writes=("a",)))
    done = repo.run("--harmless-tools", "mcp__notes__*,W*")

    assert done.code == 0, done
    said = {path.name: path.read_text() for path in (repo.box.home / ".claude" / "tools").iterdir()}
    assert said["mcp__notes__add"] == ""
    assert "it is not known what the tool mcp__files__put writes" in said["mcp__files__put"]
    assert said["Write"]  # what is known to write is asked about, whatever somebody says


def test_models_and_variables_of_single_agents(repo: Repo) -> None:
    """The document counts most; what only Claude may see is not handed to checks beside it, and never shown."""
    script = "SHELL echo my key is $FAKE_KEY\nSHELL env > $HOME/.claude/seen\nWRITE a: 1"
    repo.plan(
        task("a", script, writes=("a",), model="opus"),
        task("b", "WRITE b: 1", writes=("b",)),
        task("c", "", command=["sh", "-c", "env > c"], agent="command", writes=("c",)),
    )
    repo.box.write("wavecrew.toml", 'agent_models = ["claude:sonnet"]\nagent_env = ["claude:FAKE_KEY"]\n')
    repo.box.extra["FAKE_KEY"] = "sk-0123456789"
    shown = repo.run("--dry-run")
    assert "agent claude, model opus" in shown.out
    assert "agent claude, model sonnet" in shown.out
    models = {one["phase"]: one["model"] for one in repo.run("--dry-run", "--json").json["jobs"]}
    assert (models["a"], models["b"]) == ("opus", "sonnet")

    done = repo.run()

    assert done.code == 0, done
    assert {one["phase"]: one["model"] for one in repo.events("AgentReported")} == {"a": "opus", "b": "sonnet"}
    assert "FAKE_KEY=sk-0123456789" in (repo.box.home / ".claude" / "seen").read_text()
    assert "FAKE_KEY" not in repo.text("c")
    told = repo.box.wavecrew("logs", "a").out
    assert "my key is [FAKE_KEY]" in told
    assert "sk-0123456789" not in told + done.out
    assert "sk-0123456789" in repo.box.wavecrew("logs", "a", "--raw").out
    shown_plan = repo.box.wavecrew("plan", "plan.json", "--json").json
    assert [one["model"] for one in shown_plan["phases"]] == ["opus", None, None]
    repo.box.write("wavecrew.toml", 'agent_models = ["claude:haiku"]\nagent_env = ["claude:FAKE_KEY"]\n')
    why = {one["phase"]: one["reason"] for one in repo.run("--dry-run", "--json").json["jobs"]}
    assert why == {"b": "the setting model changed"}  # what the document says has not


def test_an_agent_that_says_that_it_failed_has_failed(repo: Repo) -> None:
    repo.plan(task("a", "WRITE a: 1\nFAIL", writes=("a",)))

    done = repo.run()

    assert done.code == 1
    [ended] = repo.events("AttemptEnded")
    assert ended["cause"] in ("agent", "exit")
    [told] = repo.events("AgentReported")
    assert (told["cost_usd"], told["session"]) == (0.25, "s-1")


def test_who_asks_goes_on_to_ask_after_the_coordinator_was_killed(repo: Repo) -> None:
    repo.plan(task("a", "SHELL touch $HOME/up\nWAIT $HOME/go\nWRITE free: 1", writes=("a",), retries=0))
    running = repo.box.start_run()
    wait_for(lambda: (repo.box.home / "up").exists(), "the agent is at work")
    running.kill()
    again = repo.box.start_run()
    wait_for(lambda: repo.events("AttemptAdopted"), "it is adopted")
    (repo.box.home / "go").touch()

    done = again.end()

    assert done.code == 1  # its output is missing: nobody wrote `a`
    assert [one["claimed"] for one in repo.events("WriteJudged")] == [["free"]]
    assert repo.text("free", repo.branch("a")) == "1\n"
