"""Used up accounts, budgets and silent agents, with the real command and a program that speaks as `claude` does."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from repo import Repo
from sandbox import Sandbox, wait_for

LIMIT, PHASE_FAILED = 6, 1

CLAUDE = """#!{python}
import json, os, pathlib, sys, time

if sys.argv[1:] == ["--version"]:
    print("2.9.9")
    sys.exit(0)
folder, phase, attempt = pathlib.Path({folder!r}), os.environ["WAVECREW_PHASE"], os.environ["WAVECREW_ATTEMPT_NUMBER"]
sys.stdin.read()
with open(folder / "ran", "a") as ran:
    ran.write(f"{{phase}}.{{attempt}} {{time.time()}}\\n")


def say(**event):
    print(json.dumps({{"session_id": f"{{phase}}-{{attempt}}", **event}}), flush=True)


def words(text):
    say(type="assistant", message={{"content": [{{"type": "text", "text": text}}]}})


def ends(error="", status=None, cost=0.5, code=0):
    used = dict(inputTokens=900, outputTokens=100, cacheReadInputTokens=0, cacheCreationInputTokens=0, costUSD=cost)
    told = {{}} if cost is None else {{"model_usage_since_last_result": {{"m": used}}}}
    say(type="result", subtype="success", is_error=bool(error), result=error or "done", api_error_status=status, **told)
    sys.exit(code)


def until(name):
    while not (folder / name).exists():
        time.sleep(0.02)


say(type="system", subtype="init", model="m", claude_code_version="2.2.0")
{script}
ends()
"""


@pytest.fixture
def crew(box: Sandbox, tmp_path: Path) -> Sandbox:
    """A workspace whose user has a program called `claude`, and a plan of three phases for it."""
    box.extra["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    teach(box)
    plan(box)
    return box


def teach(box: Sandbox, script: str = "", name: str = "claude") -> None:
    """Say what the program does before it ends well."""
    import sys

    program = Path(box.extra["PATH"].split(os.pathsep)[0]) / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(CLAUDE.format(python=sys.executable, folder=str(box.home), script=script))
    program.chmod(0o755)


def plan(box: Sandbox, **keys: Any) -> None:
    box.plan(*({"id": name, "name": name, "description": f"Do {name}.", "agent": "claude", **keys} for name in "abc"))


def ran(box: Sandbox) -> list[str]:
    """`a.1`, `b.1`: attempts whose agents were started, in order."""
    found = box.home / "ran"
    return [line.split()[0] for line in found.read_text().splitlines()] if found.exists() else []


def of(lines: str, kind: str) -> list[dict[str, Any]]:
    """The events of a kind among the lines of `--ui jsonl`."""
    records = [json.loads(line) for line in lines.splitlines()]
    return [record for record in records if record["kind"] == kind]


# -- used up accounts -----------------------------------------------------------------------------------------------

ONCE_LIMITED = """
try:
    (folder / "limited").touch(exist_ok=False)  # exactly one, however many come at once
except FileExistsError:
    pass
else:
    say(type="rate_limit_event", rate_limit_info={"status": "rejected", "resetsAt": time.time() + 15})
    ends("You have hit your limit", 429, None, 1)
"""


def test_a_used_up_account_holds_all_back_costs_no_retry_and_goes_on_by_itself(crew: Sandbox) -> None:
    teach(crew, ONCE_LIMITED)
    run = crew.start_run("--max-parallel-agents", "1", "--ui", "jsonl")
    wait_for(lambda: "AccountClosed" in run.out)
    told = crew.status()
    assert {one["standing"] for one in told["phases"]} == {"held"}
    assert all("held: claude is used up until" in one["reason"] for one in told["phases"])
    assert told["accounts"]["claude"]["closed_until"] > time.time()
    shown = crew.wavecrew("status").out
    assert "3 held" in shown
    assert "claude is used up until" in shown
    assert "held    claude is used up until" in crew.wavecrew("explain", "b", "--plan", "plan.json").out
    assert ran(crew) == ["a.1"]
    done = run.end()
    assert done.code == 0
    assert ran(crew) == ["a.1", "a.2", "b.1", "c.1"]
    (closed,) = of(done.out, "AccountClosed")
    starts = of(done.out, "AttemptStarted")
    assert starts[1]["at"] >= closed["until"] > starts[0]["at"]
    found = crew.wavecrew("report", "--json").json
    assert found["usage"] == {
        "attempts": 4, "tokens": 3000, "cost_usd": 1.5, "unknown_tokens": 1, "unknown_cost": 1}  # fmt: skip
    first, second = next(one for one in found["phases"] if one["id"] == "a")["attempts"]
    assert (first["usage"]["cost_usd"], second["usage"]["cost_usd"]) == (None, 0.5)
    assert (first["outcome"], first["cause"]) == ("stopped", "quota")


def test_another_agent_stands_in_for_one_that_is_used_up(crew: Sandbox) -> None:
    teach(crew, ONCE_LIMITED.replace("+ 15", "+ 3600"))
    flags = ("--fallback-agent", "command", "--max-parallel-agents", "1", "--ui", "jsonl")
    crew.write("wavecrew.toml", f'command = ["sh", "-c", "echo $WAVECREW_PHASE >> {crew.home}/others"]\n')
    done = crew.run(*flags)
    assert done.code == 0, done
    assert (crew.home / "others").read_text().split() == ["a", "b", "c"]
    assert [one["agent"] for one in of(done.out, "AttemptStarted")] == ["claude", "command", "command", "command"]
    refused = crew.run("--force", "--fallback-agent", "comand")
    assert refused.code == 8
    assert "there is no agent comand" in refused.err


def test_an_account_stays_closed_for_the_next_coordinator(crew: Sandbox) -> None:
    teach(crew, ONCE_LIMITED.replace("+ 15", "+ 5"))
    run = crew.start_run("--max-parallel-agents", "1", "--ui", "jsonl")
    wait_for(lambda: "AccountClosed" in run.out)
    run.kill()
    done = crew.run("--max-parallel-agents", "1", "--ui", "jsonl")
    assert done.code == 0
    (closed,) = of(run.out, "AccountClosed")
    assert min(one["at"] for one in of(done.out, "AttemptStarted")) >= closed["until"]


def test_a_used_up_account_is_opened_by_hand_with_and_without_a_coordinator(crew: Sandbox) -> None:
    teach(crew, ONCE_LIMITED.replace("+ 15", "+ 3600"))
    run = crew.start_run("--only", "a", "--ui", "jsonl")
    wait_for(lambda: "AccountClosed" in run.out)
    refused = crew.wavecrew("agents", "reopen", "codex")
    assert refused.code == 2
    assert "the account codex is not closed" in refused.err
    assert "closed are: claude" in refused.err
    assert crew.wavecrew("agents", "reopen", "claude", "--reason", "more was bought").code == 0
    done = run.end()
    assert done.code == 0
    assert ran(crew) == ["a.1", "a.2"]
    (opened,) = of(done.out, "AccountReopened")
    assert (opened["account"], opened["reason"]) == ("claude", "more was bought")
    assert opened["by"]

    (crew.home / "limited").unlink()
    run = crew.start_run("--only", "b", "--ui", "jsonl")
    wait_for(lambda: "AccountClosed" in run.out)
    run.kill()
    assert crew.wavecrew("agents", "reopen", "claude").code == 0
    assert crew.status()["phases"][1]["standing"] != "held"
    assert crew.run().code == 0
    assert ran(crew)[:4] == ["a.1", "a.2", "b.1", "b.2"]


def test_in_worktrees_nothing_of_a_used_up_attempt_is_lost(crew: Sandbox) -> None:
    """Whichever attempt it was that found the account used up: the result holds the work of all phases."""
    repo = Repo(crew)
    repo.begin()
    write = 'pathlib.Path(f"{phase}.txt").write_text(f"by {attempt}")\n'
    teach(crew, write + ONCE_LIMITED)
    repo.plan(*({"id": name, "name": name, "description": "Do it.", "agent": "claude", "writes": [f"{name}.txt"]}
                for name in "abc"))  # fmt: skip
    done = repo.run("--ui", "jsonl")
    assert done.code == 0, done
    assert repo.files() >= {"a.txt", "b.txt", "c.txt"}
    assert len(ran(crew)) == 4
    told = [(one["phase"], one["attempt"]) for one in of(done.out, "AgentReported")]
    assert len(told) == len(set(told)) == 4
    (limited,) = [one for one in of(done.out, "AttemptEnded") if one["outcome"] == "stopped"]
    assert repo.text(f"{limited['phase']}.txt") == "by 2"
    assert crew.status()["usage"]["unknown_cost"] == 1


def test_what_only_a_person_can_mend_is_told_and_not_tried_again(crew: Sandbox) -> None:
    teach(crew, 'ends("Please run /login", 401, None, 1)')
    done = crew.run("--only", "a", "--retries", "3")
    assert done.code == PHASE_FAILED
    assert ran(crew) == ["a.1"]
    assert "log in to claude" in " ".join(done.out.split())


def test_no_final_word_is_no_success(crew: Sandbox) -> None:
    teach(crew, "sys.exit(0)")
    done = crew.run("--only", "a")
    assert done.code == PHASE_FAILED
    assert "without telling how its work ended" in " ".join(done.out.split())


def test_a_check_that_prints_an_end_is_not_the_agent(crew: Sandbox) -> None:
    teach(crew, "sys.exit(0)")
    lie = json.dumps({"session_id": "a-1", "type": "result", "subtype": "success", "is_error": False, "result": "x"})
    plan(crew, checks=[["echo", lie]])
    assert crew.run("--only", "a").code == PHASE_FAILED


# -- budgets --------------------------------------------------------------------------------------------------------


def test_a_spent_budget_stops_the_run_with_its_own_code_and_a_larger_one_goes_on(crew: Sandbox) -> None:
    done = crew.run("--budget", "0.8usd", "--max-parallel-agents", "1")
    assert done.code == crew.wavecrew("status", "--exit-status").code == LIMIT, done
    assert ran(crew) == ["a.1", "b.1"]
    assert "the budget of 0.8usd is spent (1.00 usd" in " ".join(done.out.split())
    told = crew.status()
    assert (told["budget_reached"], told["usage"]["cost_usd"], told["usage"]["tokens"]) == ("0.8usd", 1.0, 2000)
    assert crew.run("--budget", "0.9usd").code == LIMIT
    assert len(ran(crew)) == 2
    done = crew.run("--budget", "5usd")
    assert done.code == 0
    assert ran(crew) == ["a.1", "b.1", "c.1"]


def test_a_hard_budget_ends_agents_that_are_at_work(crew: Sandbox) -> None:
    used = "dict(inputTokens=900, outputTokens=100, cacheReadInputTokens=0, cacheCreationInputTokens=0, costUSD=9)"
    result = f'say(type="result", subtype="success", is_error=False, model_usage_since_last_result={{"m": {used}}})'
    teach(crew, f"{result}\nuntil('never')")
    done = crew.run("--only", "a", "--budget", "1usd", "--budget-hard", "--ui", "jsonl")
    assert done.code == LIMIT, done
    (ended,) = of(done.out, "AttemptEnded")
    assert ended["outcome"] == "stopped"
    assert crew.alive() == []


def test_a_budget_that_agents_may_not_tell_of_is_warned_about(crew: Sandbox) -> None:
    plan(crew, fallback="codex")
    done = crew.run("--only", "a", "--budget", "5usd")
    assert "warning: the budget of 5usd counts what agents tell, and codex may not tell any cost" in " ".join(
        done.err.split()
    )
    assert "warning" not in crew.run("--only", "b", "--budget", "5Mtok").err


def test_a_budget_that_cannot_be_read_is_refused(crew: Sandbox) -> None:
    done = crew.run("--budget", "5 euros")
    assert done.code in (2, 3)
    assert "budget must be like 5usd, 200ktok or 2Mtok" in " ".join(done.err.split())
    assert ran(crew) == []


# -- silence --------------------------------------------------------------------------------------------------------

ASKS = 'words("May I write to a.txt? [y/n]")\nuntil("answer")\n'


def test_a_silent_agent_is_named_with_its_question_and_heard_again(crew: Sandbox) -> None:
    teach(crew, ASKS)
    run = crew.start_run("--only", "a", "--silent-after-seconds", "2", "--ui", "jsonl")
    wait_for(lambda: "AgentSilence" in run.out)
    (silence,) = of(run.out, "AgentSilence")
    assert silence["words"] == "May I write to a.txt? [y/n]"
    assert silence["at"] - silence["since"] < 2 + 10  # on a machine that has nothing else to do it is one heartbeat
    assert crew.status()["silent"] == ["a"]
    shown = " ".join(crew.wavecrew("status").out.split())
    assert "needs you 1" in shown
    assert "it seems to ask: May I write to a.txt? [y/n]" in shown
    (crew.home / "answer").write_text("y")
    done = run.end()
    assert done.code == 0
    assert crew.status()["silent"] == []


def test_a_silent_agent_can_be_ended_and_tried_again_but_not_for_ever(crew: Sandbox) -> None:
    teach(crew, ASKS)
    flags = ("--only", "a", "--silent-after-seconds", "1", "--ui", "jsonl")
    done = crew.run(*flags, "--stall", "restart")
    assert done.code == PHASE_FAILED
    assert ran(crew) == ["a.1", "a.2", "a.3"]
    ends = of(done.out, "AttemptEnded")
    assert [one["outcome"] for one in ends] == ["stopped", "stopped", "failed"]
    assert {one["cause"] for one in ends} == {"silence"}
    assert "it seems to ask: May I write" in ends[-1]["detail"]
    assert crew.alive() == []


def test_silence_can_be_a_failure(crew: Sandbox) -> None:
    teach(crew, ASKS)
    done = crew.run("--only", "a", "--silent-after-seconds", "1", "--stall", "fail")
    assert done.code == PHASE_FAILED
    assert ran(crew) == ["a.1"]
    assert "nothing was heard of it for" in " ".join(done.out.split())


def test_what_ended_while_nobody_was_in_charge_is_judged_by_what_it_said_whoever_looks(crew: Sandbox) -> None:
    teach(crew, "until('answer')\nsys.exit(0)")
    run = crew.start_run("--max-parallel-agents", "1")
    wait_for(lambda: ran(crew))
    run.kill()
    (crew.home / "answer").write_text("y")
    wait_for(lambda: not crew.alive())
    assert crew.wavecrew("skip", "b", "--reason", "done by hand").code == 0  # a command that is in charge for a moment
    assert crew.statuses()["a"] == "FAILED"


def test_a_new_coordinator_hears_a_whole_log(crew: Sandbox) -> None:
    teach(crew, 'words("half way")\nuntil("answer")')
    run = crew.start_run("--only", "a")
    wait_for(lambda: ran(crew))
    run.kill()
    again = crew.start_run()
    wait_for(lambda: "adopt" in again.out)
    (crew.home / "answer").write_text("y")
    assert again.end().code == 0
    assert ran(crew) == ["a.1"]
    assert crew.status()["usage"]["cost_usd"] == 0.5
