"""Gates that people open: asked for, answered from another terminal, and a run that leaves when nobody is there."""

from __future__ import annotations

import json
import signal
from itertools import pairwise
from typing import Any

from sandbox import Outcome, Running, Sandbox, intervals, phase, wait_for

WAIT = "--wait-for-approval"


def two_waves(box: Sandbox) -> None:
    box.plan(
        phase("a"),
        phase("long", "sleep 0.5; touch long.done", writes=["long.done"]),
        phase("next", "[ -e long.done ]", needs=["a"]),
    )


def needs_you(box: Sandbox) -> list[str]:
    found: list[str] = box.status()["needs_you"]
    return found


def until_asked(box: Sandbox, running: Running, *gates: str) -> None:
    def asked() -> bool:
        assert running.process.poll() is None, running.out + running.err
        return (box.folder / ".wavecrew/state.db").exists() and _gates(box) == list(gates)

    wait_for(asked, f"{gates} to be asked for")


def _gates(box: Sandbox) -> list[str]:
    found = box.wavecrew("status", "--json")
    gates: list[str] = found.json["needs_you"] if found.code == 0 else []
    return gates


def row(box: Sandbox, name: str) -> dict[str, Any]:
    return next(one for one in box.status()["phases"] if one["id"] == name)


def refused(outcome: Outcome, words: str, code: int = 2) -> None:
    assert outcome.code == code, outcome
    assert words in outcome.err


# -- nobody is there ----------------------------------------------------------------------------------------------


def test_a_run_that_nobody_attends_is_left_for_approval_and_goes_on_after_it(box: Sandbox) -> None:
    two_waves(box)
    left = box.run("--gate", "wave", "--no-input")
    assert left.code == 5, left
    assert sorted(box.ran()) == ["a", "long"]
    assert 'ask    needs you: wave 2 · approve with: wavecrew approve "wave 2"' in left.out
    assert 'next: wavecrew approve "wave 2" · wavecrew run' in left.out
    assert "Traceback" not in left.err
    status = box.wavecrew("status", "--wait", "--exit-status")
    assert status.code == 5, status
    assert "· needs you 1 ·" in status.out
    assert 'needs you: wave 2 · approve with: wavecrew approve "wave 2"' in status.out
    assert box.wavecrew("status").code == 0
    explained = " ".join(box.wavecrew("explain", "next", "--plan", "plan.json").out.split())
    assert 'gate wave 2: needs you; agree with: wavecrew approve "wave 2"' in explained
    agreed = box.wavecrew("approve", "--reason", "looks good")
    assert agreed.code == 0, agreed
    assert agreed.out.splitlines() == [
        f"approve wave 2: done, run {box.status()['run']}",
        "next: wavecrew run",
    ]
    assert "looks good" in box.wavecrew("explain", "next", "--plan", "plan.json").out
    assert (needs_you(box), box.wavecrew("status", "--exit-status").code) == ([], 1)
    assert box.run("--gate", "wave", "--no-input").code == 0
    assert box.ran()[-1] == "next"
    assert box.wavecrew("status", "--exit-status").code == 0
    assert "approved" in box.wavecrew("report").out
    assert "looks good" in box.wavecrew("report").out


def test_asked_again_as_often_as_nobody_is_there(box: Sandbox) -> None:
    two_waves(box)
    for _ in range(3):
        assert box.run("--gate", "wave").code == 5  # without a terminal nobody can be asked either
        assert needs_you(box) == ["wave 2"]
    assert sorted(box.ran()) == ["a", "long"]


def test_json_lines_tell_it_too(box: Sandbox) -> None:
    two_waves(box)
    left = box.run("--gate", "phase", "--ui", "jsonl", "--no-input")
    assert left.code == 5, left
    events = [json.loads(line) for line in left.out.splitlines()]
    assert [one["gate"] for one in events if one["kind"] == "ApprovalAsked"] == ["phase a", "phase long"]
    assert (events[-1]["kind"], events[-1]["reason"]) == ("RunStopped", "needs approval: phase a, phase long")


# -- somebody answers ---------------------------------------------------------------------------------------------


def test_a_run_waits_for_approval_from_another_terminal(box: Sandbox) -> None:
    two_waves(box)
    running = box.start_run("--gate", "wave", WAIT)
    until_asked(box, running, "wave 2")
    assert row(box, "next")["reason"] == "needs approval: wave 2"
    agreed = box.wavecrew("approve", "wave", "2")
    assert agreed.code == 0, agreed
    assert "next:" not in agreed.out
    ended = running.end()
    assert ended.code == 0, ended
    assert box.ran()[-1] == "next"
    assert "open   wave 2 by=" in ended.out


def test_each_phase_by_its_gate(box: Sandbox) -> None:
    box.plan(phase("a"), phase("b"), phase("c", needs=["a", "b"]))
    running = box.start_run("--gate", "phase", WAIT)
    until_asked(box, running, "phase a", "phase b")
    refused(box.wavecrew("approve"), "2 gates wait for approval: phase a, phase b")
    refused(box.wavecrew("approve", "--all", "a"), "not both")
    refused(box.wavecrew("approve", "wave 2"), "has no gate 'wave 2'")
    refused(box.wavecrew("approve", "nobody"), "no phase is called 'nobody'", code=4)
    data = box.wavecrew("approve", "b", "--json").json
    assert (data["wish"], data["gates"], data["coordinator"]) == ("approve", ["phase b"], True)
    wait_for(lambda: box.ran() == ["b"], "b to have worked alone")
    assert box.wavecrew("approve", "--all").code == 0
    until_asked(box, running, "phase c")
    assert box.wavecrew("approve", "Phase c").code == 0
    assert running.end().code == 0
    assert box.ran() == ["b", "a", "c"]
    refused(box.wavecrew("approve"), "waits for approval")


def test_what_is_rejected_is_given_up_and_can_be_taken_back(box: Sandbox) -> None:
    box.plan(phase("a"), phase("b", needs=["a"]), phase("c", needs=["b"]))
    running = box.start_run("--gate", "wave", WAIT)
    until_asked(box, running, "wave 2")
    refused(box.wavecrew("reject", "wave 2"), "--reason")
    assert box.wavecrew("reject", "2", "--reason", "the API has to change first").code == 0
    ended = running.end()
    assert ended.code == 1, ended
    assert (box.ran(), box.statuses()) == (["a"], {"a": "COMPLETED", "b": "FAILED", "c": "NOT_STARTED"})
    assert row(box, "b")["reason"].endswith(": the API has to change first")
    assert "rejected" in box.wavecrew("report").out
    assert box.wavecrew("approve", "wave 2").code == 0
    assert box.statuses()["b"] == "QUEUED"
    assert box.run("--gate", "wave").code == 5
    assert (box.ran(), needs_you(box)) == (["a", "b"], ["wave 3"])


def test_a_rejected_phase_that_is_wanted_again_is_asked_for_again(box: Sandbox) -> None:
    box.plan(phase("a"))
    assert box.run("--gate", "phase").code == 5
    assert box.wavecrew("reject", "a", "--reason", "no").code == 0
    assert box.run("--gate", "phase").code == 5
    assert (box.ran(), needs_you(box)) == ([], ["phase a"])


def test_in_the_background_it_waits_unless_nobody_shall_be_asked(box: Sandbox) -> None:
    two_waves(box)
    begun = box.run("--gate", "wave", "--detach")
    assert begun.code == 0, begun
    wait_for(lambda: needs_you(box) == ["wave 2"])
    assert box.status()["status"] == "running"
    assert box.wavecrew("approve", "--all").code == 0
    assert box.wavecrew("status", "--wait", "--exit-status").code == 0
    assert box.run("--gate", "wave", "--force", "--detach", "--no-input").code == 0
    assert box.wavecrew("status", "--wait", "--exit-status").code == 5


# -- what else may happen meanwhile ---------------------------------------------------------------------------------


def test_ctrl_c_while_a_run_waits_for_approval(box: Sandbox) -> None:
    two_waves(box)
    running = box.start_run("--gate", "wave", WAIT)
    until_asked(box, running, "wave 2")
    running.send(signal.SIGINT)
    ended = running.end()
    assert ended.code == 130, ended
    assert box.wavecrew("approve").code == 0
    assert box.run("--gate", "wave").code == 0


def test_an_answer_outlives_the_coordinator(box: Sandbox) -> None:
    two_waves(box)
    running = box.start_run("--gate", "wave", WAIT)
    until_asked(box, running, "wave 2")
    running.kill()
    assert box.wavecrew("approve", "wave 2").code == 0
    assert box.run("--gate", "wave").code == 0
    assert box.ran()[-1] == "next"
    assert len(box.ran()) == 3


def test_without_room_on_the_machine_one_phase_after_the_other(box: Sandbox) -> None:
    span = 'echo "+ {0} $(date +%s.%N)" >> spans; sleep 0.2; echo "- {0} $(date +%s.%N)" >> spans'
    box.plan(*(phase(name, span.format(name)) for name in "abc"))
    assert box.run("-j3", "--min-free-memory", "16777216").code == 0
    spans = sorted(intervals(box.read("spans")).values())
    assert len(spans) == 3
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
