"""Control of a run from other terminals: retry, skip, pause, continue, cancel; with a coordinator and without."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest
from sandbox import Outcome, Running, Sandbox, phase, wait_for

HOLD = "touch {0}.here; until [ -e {0}.go ]; do sleep 0.02; done"


def held(name: str, **keys: Any) -> dict[str, Any]:
    """A phase that works until the file NAME.go is there."""
    return phase(name, HOLD.format(name), **keys)


def at_work(box: Sandbox, running: Running, *names: str) -> None:
    def all_here() -> bool:
        assert running.process.poll() is None, running.out + running.err
        return all((box.folder / f"{name}.here").exists() for name in names)

    wait_for(all_here, f"{names} to be at work")


def let(box: Sandbox, *names: str) -> None:
    for name in names:
        (box.folder / f"{name}.go").touch()


def row(box: Sandbox, name: str) -> dict[str, Any]:
    return next(one for one in box.status()["phases"] if one["id"] == name)


def kinds(box: Sandbox, name: str = "") -> list[str]:
    """The kinds of events that were recorded, of one phase if it is named, as the store has them."""
    with sqlite3.connect(box.folder / ".wavecrew/state.db") as db:
        records = [json.loads(text) for (text,) in db.execute("SELECT record FROM event ORDER BY seq")]
    return [record["kind"] for record in records if name in ("", record.get("phase"))]


@pytest.fixture(params=["with a coordinator", "after its death"])
def leave(request: pytest.FixtureRequest) -> Callable[[Running], bool]:
    """Kills the coordinator, or does not. Tells whether it lives."""

    def do(running: Running) -> bool:
        if request.param == "after its death":
            running.kill()
            return False
        return True

    return do


def done(outcome: Outcome, words: str) -> None:
    assert outcome.code == 0, outcome
    assert outcome.out.splitlines()[0].startswith(f"{words}: done, run ")


def finish(box: Sandbox, running: Running, lives: bool, code: int = 0) -> Outcome:
    """Let the run come to its end, in the coordinator that lives or in a new one."""
    ended = running.end() if lives else box.run()
    assert ended.code == code, ended
    return ended


# -- retry ------------------------------------------------------------------------------------------------------


def test_a_failed_phase_is_tried_again_while_others_work(box: Sandbox, leave: Callable[[Running], bool]) -> None:
    box.plan(phase("bad", "test -e mended"), held("slow"), phase("after", needs=["bad"]))
    running = box.start_run()
    at_work(box, running, "slow")
    wait_for(lambda: row(box, "bad")["status"] == "FAILED")
    lives = leave(running)
    box.write("mended", "")
    told = box.wavecrew("retry", "bad", "--reason", "it was mended")
    done(told, "retry bad")
    assert ("wavecrew run" in told.out) is not lives
    let(box, "slow")
    finish(box, running, lives)
    assert sorted(box.ran()) == ["after", "bad", "bad", "slow"]
    assert row(box, "slow")["attempts"] == 1


@pytest.mark.parametrize("downstream", [False, True])
def test_finished_work_is_done_again_with_or_without_what_rests_on_it(
    box: Sandbox, leave: Callable[[Running], bool], downstream: bool
) -> None:
    box.plan(phase("a"), phase("b", needs=["a"]), phase("c", needs=["b"]), held("slow"))
    running = box.start_run()
    at_work(box, running, "slow")
    wait_for(lambda: row(box, "c")["status"] == "COMPLETED")
    lives = leave(running)
    done(box.wavecrew("retry", "a", *["--with-downstream"] * downstream), "retry a")
    let(box, "slow")
    finish(box, running, lives)
    assert sorted(box.ran()) == sorted(["slow", "a", "b", "c", "a", *["b", "c"] * downstream])


def test_a_retry_after_the_end_waits_for_the_next_run(box: Sandbox) -> None:
    box.plan(phase("a"), phase("b", needs=["a"]))
    box.run()
    told = box.wavecrew("retry", "b")
    assert "next: wavecrew run" in told.out
    assert row(box, "b")["status"] == "QUEUED"
    assert box.run().code == 0
    assert box.ran() == ["a", "b", "b"]


# -- skip -------------------------------------------------------------------------------------------------------


def test_a_waiver_lets_dependents_go_on_and_is_shown(box: Sandbox, leave: Callable[[Running], bool]) -> None:
    box.plan(phase("bad", "exit 3"), held("slow"), phase("after", needs=["bad"]))
    running = box.start_run()
    at_work(box, running, "slow")
    wait_for(lambda: row(box, "bad")["status"] == "FAILED")
    lives = leave(running)
    done(box.wavecrew("skip", "bad", "--reason", "done by hand"), "skip bad")
    let(box, "slow")
    ended = finish(box, running, lives)
    assert "skipped=1" in ended.out
    found = row(box, "bad")
    assert (found["status"], found["standing"]) == ("FAILED", "skipped")
    assert found["waiver"]["reason"] == "done by hand"
    assert sorted(box.ran()) == ["after", "bad", "slow"]
    assert "waived" in box.wavecrew("report").out


def test_a_waiver_is_taken_back_by_a_retry(box: Sandbox) -> None:
    box.plan(phase("a", "exit 3"), phase("b", needs=["a"]))
    box.run()
    box.wavecrew("skip", "a", "--reason", "x")
    box.wavecrew("retry", "a")
    assert box.statuses() == {"a": "QUEUED", "b": "NOT_STARTED"}


# -- pause and continue -----------------------------------------------------------------------------------------


def test_a_pause_lets_what_is_at_work_end_and_starts_nothing(box: Sandbox, leave: Callable[[Running], bool]) -> None:
    box.plan(held("a"), phase("b", needs=["a"]), phase("c", needs=["b"]))
    running = box.start_run()
    at_work(box, running, "a")
    lives = leave(running)
    done(box.wavecrew("pause", "--reason", "lunch"), "pause")
    if not lives:
        running = box.start_run()
    let(box, "a")
    wait_for(lambda: row(box, "a")["status"] == "COMPLETED")
    done(box.wavecrew("retry", "a"), "retry a")  # answered by the loop, so it has come round since
    assert row(box, "a")["status"] == "QUEUED"
    assert "paused" in row(box, "a")["reason"]
    assert box.ran() == ["a"]
    assert running.process.poll() is None
    assert "paused by" in box.wavecrew("status").out
    done(box.wavecrew("continue"), "continue")
    assert running.end().code == 0
    assert box.ran() == ["a", "a", "b", "c"]
    assert box.status()["paused_by"] is None


def test_a_hard_pause_ends_the_agents_and_costs_no_retry(box: Sandbox, leave: Callable[[Running], bool]) -> None:
    box.plan(held("a", writes=["a.out"], retries=0), phase("b", needs=["a"]))
    running = box.start_run()
    at_work(box, running, "a")
    lives = leave(running)
    done(box.wavecrew("pause", "--now"), "pause")
    wait_for(lambda: row(box, "a")["status"] == "QUEUED")
    assert not box.alive()
    box.write("a.out", "x")
    let(box, "a")
    if not lives:
        running = box.start_run()
        wait_for(lambda: box.status()["coordinator"] == f"pid {running.pid} on {os.uname().nodename}")
    done(box.wavecrew("continue"), "continue")
    assert running.end().code == 0
    assert row(box, "a")["attempts"] == 2
    assert box.ran() == ["a", "a", "b"]


def test_a_pause_outlives_its_coordinator(box: Sandbox) -> None:
    box.plan(phase("a"), held("b", needs=["a"]), phase("c", needs=["b"]))
    running = box.start_run()
    at_work(box, running, "b")
    box.wavecrew("pause")
    let(box, "b")
    wait_for(lambda: row(box, "b")["status"] == "COMPLETED")
    running.send(signal.SIGINT)
    assert running.end().code == 130
    again = box.start_run()
    wait_for(lambda: "paused-by=" in again.out, "the new coordinator to say why it starts nothing")
    assert "c" not in box.ran()
    box.wavecrew("continue")
    assert again.end().code == 0


def test_a_place_in_the_queue_for_a_lock_is_given_up_by_a_pause(box: Sandbox) -> None:
    box.plan(phase("a", locks=["f"]), held("other"))
    holder = box.start("lock", "f", "--", "sh", "-c", "touch held; until [ -e give ]; do sleep 0.02; done")
    wait_for(lambda: (box.folder / "held").exists())
    running = box.start_run()
    at_work(box, running, "other")
    wait_for(lambda: row(box, "a")["standing"] == "waiting")
    assert "waits" in box.wavecrew("locks", "list").out
    box.wavecrew("pause")
    assert "waits" not in box.wavecrew("locks", "list").out
    assert "paused" in row(box, "a")["reason"]
    box.write("give", "")
    assert holder.end().code == 0
    again = box.wavecrew("pause")  # answered by the loop, which has come round by then
    assert again.out.startswith("pause: nothing to do, run"), again
    assert box.wavecrew("locks", "why", "f").out == "f is free\n"
    assert box.ran() == ["other"]
    let(box, "other")
    box.wavecrew("continue")
    assert running.end().code == 0


# -- cancel -----------------------------------------------------------------------------------------------------


def test_a_cancelled_phase_has_failed_for_good(box: Sandbox, leave: Callable[[Running], bool]) -> None:
    box.plan(held("a", retries=5), phase("after", needs=["a"]), held("b"))
    running = box.start_run()
    at_work(box, running, "a", "b")
    lives = leave(running)
    done(box.wavecrew("cancel", "a"), "cancel a")
    wait_for(lambda: row(box, "a")["status"] == "FAILED")
    assert row(box, "a")["reason"].startswith("cancelled by ")
    assert row(box, "a")["attempts"] == 1
    assert row(box, "after")["standing"] == "blocked"
    assert row(box, "b")["status"] == "IN_PROGRESS"
    assert len(box.alive()) > 0, "b goes on"
    let(box, "a", "b")
    if lives:
        finish(box, running, lives, code=1)
        assert box.ran().count("a") == 1
        assert box.run().code == 0
    else:
        finish(box, running, lives)  # a new run tries again what has failed
    assert sorted(box.ran()) == ["a", "a", "after", "b"]


def test_a_cancelled_phase_whose_agent_fails_on_the_way_out_is_not_tried_again(
    box: Sandbox, leave: Callable[[Running], bool]
) -> None:
    script = "trap 'kill -9 $PPID' TERM; touch a.here; while :; do sleep 0.02; done"  # its parent is the shim
    box.plan(phase("a", script, retries=5), held("b"))
    running = box.start_run()
    at_work(box, running, "a", "b")
    lives = leave(running)
    box.wavecrew("cancel", "a")
    wait_for(lambda: row(box, "a")["status"] == "FAILED", "no other attempt although its shim died")
    assert row(box, "a")["attempts"] == 1
    let(box, "b")
    if lives:
        finish(box, running, lives, code=1)


def test_a_ready_phase_can_be_cancelled(box: Sandbox) -> None:
    box.plan(held("a"), phase("b"))
    running = box.start_run("-j", "1")
    at_work(box, running, "a")
    done(box.wavecrew("cancel", "b"), "cancel b")
    assert row(box, "b")["reason"].startswith("cancelled by ")
    let(box, "a")
    assert running.end().code == 1
    assert box.ran() == ["a"]


def test_a_cancelled_run_ends_its_agents_and_can_be_taken_up(box: Sandbox, leave: Callable[[Running], bool]) -> None:
    box.plan(held("a"), held("b"), phase("c", needs=["a", "b"]))
    running = box.start_run()
    at_work(box, running, "a", "b")
    lives = leave(running)
    done(box.wavecrew("cancel"), "cancel")
    if lives:
        assert running.end().code == 130
    assert not box.alive()
    found = box.status()
    assert found["status"] == "stopped"
    assert found["stop_reason"].startswith("cancelled by ")
    let(box, "a", "b")
    assert box.run().code == 0
    assert sorted(box.ran()) == ["a", "a", "b", "b", "c"]


# -- wishes that do not fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["retry", "slow"], "phase slow is IN_PROGRESS"),
        (["retry", "last"], "phase last is NOT_STARTED"),
        (["retry", "done", "--with-downstream"], "phase slow is at work"),
        (["skip", "slow", "--reason", "x"], "phase slow is at work"),
        (["skip", "done", "--reason", "x"], "phase done is completed"),
        (["cancel", "done"], "phase done is COMPLETED"),
        (["cancel", "last"], "phase last is NOT_STARTED"),
        (["cancel", "slow", "last"], "phase last is NOT_STARTED"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wish_that_does_not_fit_changes_nothing(
    box: Sandbox, leave: Callable[[Running], bool], words: list[str], reason: str
) -> None:
    box.plan(phase("done"), held("slow", needs=["done"]), phase("last", needs=["slow"]))
    running = box.start_run()
    at_work(box, running, "slow")
    lives = leave(running)
    before = [kind for kind in kinds(box) if kind != "AttemptAdopted"]
    refused = box.wavecrew(*words)
    assert refused.code == 2, refused
    assert reason in refused.err
    assert [kind for kind in kinds(box) if kind != "AttemptAdopted"] == before
    let(box, "slow")
    finish(box, running, lives)
    assert box.ran() == ["done", "slow", "last"]


@pytest.mark.parametrize("words", [["cancel"], ["pause"], ["pause", "--now"]], ids=" ".join)
def test_what_is_over_cannot_be_ended(box: Sandbox, words: list[str]) -> None:
    box.plan(phase("a"))
    box.run()
    refused = box.wavecrew(*words)
    assert refused.code == 2
    assert "is over" in refused.err
    assert box.status()["status"] == "succeeded"


def test_what_was_stopped_cannot_be_stopped(box: Sandbox) -> None:
    box.plan(held("a"))
    running = box.start_run()
    at_work(box, running, "a")
    running.send(signal.SIGINT)
    running.end()
    refused = box.wavecrew("cancel")
    assert refused.code == 2
    assert "stopped already (SIGINT)" in refused.err


def test_what_a_narrowed_run_leaves_out_is_not_tried_again_in_it(box: Sandbox) -> None:
    box.plan(phase("a"), phase("b", needs=["a"]), phase("c"))
    box.run("--only", "b")
    refused = box.wavecrew("retry", "a")
    assert refused.code == 2
    assert "not among those that this run is to do" in refused.err
    assert "wavecrew run --only a" in refused.err


def test_an_unknown_phase_is_not_found(box: Sandbox) -> None:
    box.plan(phase("first"))
    box.run()
    refused = box.wavecrew("retry", "frist")
    assert refused.code == 4
    assert "frist" in refused.err


def test_where_nothing_was_run_nothing_is_found(box: Sandbox) -> None:
    assert box.wavecrew("pause").code == 4


# -- several terminals, and deaths in between -------------------------------------------------------------------


def test_many_terminals_at_once_are_all_answered(box: Sandbox, leave: Callable[[Running], bool]) -> None:
    names = [f"p{number}" for number in range(6)]
    box.plan(*(phase(name, "exit 1") for name in names), held("slow"))
    running = box.start_run()
    at_work(box, running, "slow")
    wait_for(lambda: all(row(box, name)["status"] == "FAILED" for name in names))
    lives = leave(running)
    terminals = [box.start("skip", name, "--reason", name) for name in names]
    for terminal in terminals:
        assert terminal.end().code == 0, terminal.err
    assert {row(box, name)["waiver"]["reason"] for name in names} == set(names)
    let(box, "slow")
    finish(box, running, lives)


def test_a_wish_that_meets_a_dying_coordinator_is_fulfilled_once(box: Sandbox) -> None:
    box.plan(phase("bad", "exit 1"), held("slow"))
    running = box.start_run()
    at_work(box, running, "slow")
    wait_for(lambda: row(box, "bad")["status"] == "FAILED")
    running.send(signal.SIGSTOP)  # it is in charge, and does not answer
    terminal = box.start("skip", "bad", "--reason", "x")
    wait_for(lambda: _wishes(box) == 1, "the wish to be in the store")
    running.kill()
    assert terminal.end().code == 0, terminal.err
    assert kinds(box, "bad").count("PhaseSkipped") == 1
    assert _wishes(box) == 0
    let(box, "slow")
    assert box.run().code == 0


def test_who_stops_waiting_for_an_answer_takes_the_wish_back(box: Sandbox) -> None:
    box.plan(held("slow"))
    running = box.start_run()
    at_work(box, running, "slow")
    running.send(signal.SIGSTOP)
    terminal = box.start("cancel")
    wait_for(lambda: _wishes(box) == 1)
    terminal.send(signal.SIGINT)
    assert terminal.end().code == 130
    assert _wishes(box) == 0
    running.send(signal.SIGCONT)
    let(box, "slow")
    assert running.end().code == 0


def test_an_old_wish_of_somebody_who_was_killed_surprises_nobody(box: Sandbox) -> None:
    box.plan(phase("a"))
    box.run()
    run = box.status()["run"]
    record = json.dumps({"kind": "cancel", "by": "ghost", "phases": [], "reason": "", "hard": False})
    box.wavecrew("retry", "a")
    with sqlite3.connect(box.folder / ".wavecrew/state.db") as db:
        asked = time.time() - 60
        db.execute("INSERT INTO wish(run, asked, record) VALUES(?,?,?)", (run, asked, record))
    assert box.run().code == 0
    assert _wishes(box) == 0


@pytest.mark.parametrize("record", ['{"kind": "fly", "by": "x"}', "{", "[]"])
def test_a_wish_that_nobody_understands_is_refused(box: Sandbox, record: str) -> None:
    box.plan(held("slow"))
    running = box.start_run()
    at_work(box, running, "slow")
    with sqlite3.connect(box.folder / ".wavecrew/state.db") as db:
        run = db.execute("SELECT id FROM run").fetchone()[0]
        db.execute("INSERT INTO wish(run, asked, record) VALUES(?,?,?)", (run, time.time(), record))
    done(box.wavecrew("pause"), "pause")  # and those that come after it are fulfilled
    with sqlite3.connect(box.folder / ".wavecrew/state.db") as db:
        assert "does not know such a wish" in db.execute("SELECT answer FROM wish").fetchone()[0]
    box.wavecrew("continue")
    let(box, "slow")
    assert running.end().code == 0


def _wishes(box: Sandbox) -> int:
    with sqlite3.connect(box.folder / ".wavecrew/state.db") as db:
        found: int = db.execute("SELECT count(*) FROM wish").fetchone()[0]
    return found


# -- judged by whoever comes first ------------------------------------------------------------------------------


def test_who_only_fulfils_a_wish_judges_by_the_rules_of_the_run(box: Sandbox) -> None:
    box.write("f", "as it was")
    script = f"echo half > f; {HOLD.format('a')}; test $WAVECREW_ATTEMPT_NUMBER -gt 1"
    box.plan(phase("a", script, writes=["f"]), phase("b", needs=["a"]))
    running = box.start_run("--retries", "1")
    at_work(box, running, "a")
    running.kill()
    let(box, "a")
    wait_for(lambda: not box.alive(), "the agent to end without a coordinator")
    done(box.wavecrew("pause"), "pause")
    found = row(box, "a")
    assert (found["status"], found["attempts"]) == ("QUEUED", 1), "its retry is still due"
    assert box.read("f") == "as it was", "and it starts from where the first attempt did"


# -- in the background ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("exit 1", 1)])
def test_a_run_in_the_background_can_be_waited_for(box: Sandbox, script: str, code: int) -> None:
    box.plan(held("a"), phase("b", script, needs=["a"]))
    started = box.run("--detach")
    assert started.code == 0, started
    assert "in the background" in started.out
    wait_for(lambda: (box.folder / "a.here").exists())
    assert box.wavecrew("status", "--exit-status").code == 1, "it is not done yet"
    waiting = box.start("status", "--wait", "--exit-status")
    let(box, "a")
    assert waiting.end().code == code
    assert box.ran() == ["a", "b"]
    assert box.run().code == code


def test_a_run_in_the_background_can_be_cancelled(box: Sandbox) -> None:
    box.plan(held("a"))
    box.run("--detach")
    wait_for(lambda: (box.folder / "a.here").exists())
    done(box.wavecrew("cancel"), "cancel")
    assert box.wavecrew("status", "--wait", "--exit-status").code == 1
    assert not box.alive()


def test_a_faulty_plan_is_told_before_anything_goes_to_the_background(box: Sandbox) -> None:
    box.plan(phase("a", needs=["b"]), phase("b", needs=["a"]))
    refused = box.run("--detach")
    assert refused.code == 3
    assert "wait for each other" in refused.err + refused.out
    assert not list(box.folder.glob(".wavecrew/coordinator-*"))


def test_the_plan_may_stand_behind_two_dashes(box: Sandbox) -> None:
    box.plan(phase("a"))
    started = box.wavecrew("run", "--yes", "--detach", "--", "plan.json")
    assert started.code == 0, started
    assert box.wavecrew("status", "--wait", "--exit-status").code == 0


# -- resume -----------------------------------------------------------------------------------------------------


def test_taking_up_tells_what_becomes_of_every_phase(box: Sandbox) -> None:
    box.plan(
        phase("done", "touch made", writes=["made"]),
        held("alive", needs=["done"]),
        held("ended", needs=["done"]),
        phase("bad", "test -e mended", needs=["done"]),
        phase("last", needs=["alive", "ended", "bad"]),
    )
    running = box.start_run()
    at_work(box, running, "alive", "ended")
    wait_for(lambda: row(box, "bad")["status"] == "FAILED")
    running.kill()
    let(box, "ended")
    wait_for(lambda: len(list(box.folder.glob(".wavecrew/runs/*/ended/1/exit"))) == 1)
    box.write("mended", "")
    let(box, "alive")
    taken = box.wavecrew("resume", "plan.json", "--yes", "--wave-delay-seconds", "0")
    assert taken.code == 0, taken
    head = taken.out.splitlines()[:7]
    assert head[0].endswith(": 1 phase kept")
    assert any(line.split()[:2] == ["take", "ended"] for line in head)
    assert any(line.split()[:2] == ["again", "bad"] for line in head)
    assert any(line.split()[0] in ("adopt", "take") and "alive" in line for line in head)
    assert "  1 phase to come" in head
    assert sorted(box.ran()) == ["alive", "bad", "bad", "done", "ended", "last"]


def test_there_must_be_something_to_take_up(box: Sandbox) -> None:
    box.plan(phase("a"))
    refused = box.wavecrew("resume", "plan.json", "--yes")
    assert refused.code == 4
    assert "wavecrew run" in refused.err
    assert not box.ran()
