"""A plan that is edited before its run is done: that run goes on, and only what rests on the edit is done again."""

from __future__ import annotations

import signal
from typing import Any

from sandbox import Running, Sandbox, phase, wait_for

HOLD = "touch {0}.here; until [ -e go ]; do sleep 0.02; done; touch {0}"


def _five(**scripts: str) -> list[dict[str, Any]]:
    """`1 -> 2 -> last` and `1 -> x -> last`, `1 -> y -> last`; x and y wait to be told to go on."""
    return [
        phase("1", scripts.get("one", "touch 1"), writes=["1"]),
        phase("2", scripts.get("two", "touch 2"), needs=["1"], writes=["2"]),
        phase("x", scripts.get("x", HOLD.format("x")), needs=["1"], writes=["x"]),
        phase("y", scripts.get("y", HOLD.format("y")), needs=["1"], writes=["y"]),
        phase("last", "touch last", needs=["2", "x", "y"], writes=["last"]),
    ]


def _leave(box: Sandbox, how: signal.Signals) -> None:
    """Run until x and y are at work and all else that can be is done, then stop or kill the coordinator."""
    box.plan(*_five())
    running: Running = box.start_run("-j4")
    names = ("x.here", "y.here")
    wait_for(lambda: all((box.folder / name).exists() for name in names), "both agents to be at work")
    wait_for(lambda: box.statuses()["2"] == "COMPLETED", "phase 2 to be done")
    running.send(how)
    running.process.wait(60)


def _go(box: Sandbox, *flags: str) -> str:
    """Take the run up, and let x and y come to their end as soon as it is in charge."""
    again = box.start_run("-j4", *flags)
    wait_for(lambda: " resume " in again.out or again.process.poll() is not None, "the next coordinator")
    (box.folder / "go").touch()
    ended = again.end()
    assert ended.code == 0, ended
    assert len(box.wavecrew("runs", "list", "--json").json["runs"]) == 1, "it is the same run"
    assert "nothing to do" in box.run().out
    assert not box.alive()
    return ended.out


def test_an_edit_after_a_kill_leaves_the_agents_of_others_at_work(box: Sandbox) -> None:
    _leave(box, signal.SIGKILL)
    box.plan(*_five(two="touch 2 two"))
    shown = box.wavecrew("run", "plan.json", "--dry-run")
    assert "again   its document changed" in shown.out
    assert shown.out.count("  again ") == 1, "of what nobody has begun yet there is nothing to tell"
    out = _go(box)
    assert sorted(box.ran()) == ["1", "2", "2", "last", "x", "y"]
    assert "its document changed" in out
    assert " adopt  x " in " ".join(line for line in out.splitlines() if " adopt " in line)


def test_an_edit_after_a_stop_costs_the_edited_phase_alone(box: Sandbox) -> None:
    _leave(box, signal.SIGTERM)
    box.plan(*_five(two="touch 2 two"))
    _go(box)
    assert sorted(box.ran()) == ["1", "2", "2", "last", "x", "x", "y", "y"], "x and y were ended by the stop"


def test_an_agent_at_work_on_what_was_edited_is_ended_and_its_phase_done_again(box: Sandbox) -> None:
    _leave(box, signal.SIGKILL)
    box.plan(*_five(x="touch x new"))
    out = _go(box)
    assert sorted(box.ran()) == ["1", "2", "last", "x", "x", "y"]
    assert (box.folder / "new").exists()
    told = [line.split()[1:3] for line in out.splitlines() if "its document changed" in line]
    assert told == [["cancel", "x"], ["fail", "x"], ["reset", "x"]], out


def test_an_edit_at_the_root_ends_all_that_is_at_work_behind_it(box: Sandbox) -> None:
    _leave(box, signal.SIGKILL)
    box.plan(*_five(one="touch 1 one"))
    _go(box)
    assert sorted(box.ran()) == ["1", "1", "2", "2", "last", "x", "x", "y", "y"]


def test_phases_come_and_go_while_a_run_is_not_done(box: Sandbox) -> None:
    _leave(box, signal.SIGTERM)
    one, two, x, _, last = _five()
    last = {**last, "needs": ["2", "x", "z"]}
    box.plan(one, two, x, phase("z", "touch z", needs=["1"], writes=["z"]), last)
    out = _go(box)
    assert sorted(box.ran()) == ["1", "2", "last", "x", "x", "y", "z"]
    assert box.statuses().keys() == {"1", "2", "x", "z", "last"}
    assert "done" in out


def test_a_phase_that_is_at_work_cannot_leave_the_plan(box: Sandbox) -> None:
    _leave(box, signal.SIGKILL)
    one, two, x, _, last = _five()
    box.plan(one, two, x, {**last, "needs": ["2", "x"]})
    assert box.run("--dry-run").code == 7
    refused = box.run()
    assert refused.code == 7
    assert "phase y is not in the plan any more" in refused.err
    assert "wavecrew cancel y" in refused.err
    assert box.wavecrew("cancel", "y").code == 0
    _go(box)
    assert sorted(box.ran()) == ["1", "2", "last", "x", "y"]


def test_another_name_for_a_phase_is_another_phase(box: Sandbox) -> None:
    _leave(box, signal.SIGTERM)
    one, two, x, y, last = _five()
    box.plan(one, {**two, "id": "two"}, x, y, {**last, "needs": ["two", "x", "y"]})
    _go(box)
    assert sorted(box.ran()) == ["1", "2", "last", "two", "x", "x", "y", "y"]


def test_a_phase_that_was_taken_out_comes_back_as_a_new_attempt(box: Sandbox) -> None:
    def plan(*more: dict[str, Any], ends: str = "false") -> None:
        box.plan(phase("1", "touch 1", writes=["1"]), *more, phase("end", ends, needs=["1"]))

    two = phase("2", "touch 2", writes=["2"])
    plan(two)
    assert box.run().code == 1
    plan()
    assert box.run().code == 1
    plan(two, ends="true")
    assert box.run().code == 0
    assert sorted(box.ran()) == ["1", "2", "2", "end", "end", "end"]


def test_a_run_of_some_phases_goes_on_with_these_and_waives_what_they_newly_need(box: Sandbox) -> None:
    one, x = phase("1"), phase("x", HOLD.format("x"), needs=["1"], writes=["x"])
    box.plan(one, x)
    running = box.start_run("--only", "x")
    wait_for(lambda: (box.folder / "x.here").exists(), "the agent to be at work")
    running.kill()
    box.plan(one, phase("new"), {**x, "needs": ["1", "new"]}, phase("rest"))
    (box.folder / "go").touch()
    assert box.run().code == 0
    assert box.ran() == ["x", "x"]
    waived = {one["id"]: one["waiver"] for one in box.status()["phases"]}
    assert [name for name, waiver in waived.items() if waiver] == ["1", "new"]
    assert box.run().code == 0
    assert sorted(box.ran()[2:]) == ["1", "new", "rest", "x"], "what was waived is done, and what rests on it"


def test_killing_again_and_again_while_a_plan_is_edited_loses_nothing(box: Sandbox) -> None:
    _leave(box, signal.SIGKILL)
    for number in range(3):
        box.plan(*_five(two=f"echo {number} > 2"))
        running = box.start_run("-j4")
        wait_for(lambda: box.read("2").strip() == str(number), "the edited phase to be done")  # noqa: B023 -- at once
        running.kill()
    _go(box)
    assert sorted(box.ran()) == ["1", *["2"] * 4, "last", "x", "y"]
    assert box.read("2") == "2\n"


def test_an_edit_in_mid_run_is_told_at_the_end_and_done_again_by_the_next(box: Sandbox) -> None:
    """In a shared folder nobody stops for it: the run works from the text that it began with, and says so."""
    box.plan(*_five())
    running = box.start_run("-j4", "--isolation", "shared")
    wait_for(lambda: (box.folder / "x.here").exists() and (box.folder / "y.here").exists(), "both to be at work")
    box.plan(*_five(one="touch 1 one"), phase("new", "touch new", writes=["new"]))
    (box.folder / "go").touch()
    ended = running.end()
    assert ended.code == 0, ended
    told = " ".join(ended.out.split())
    assert "OUT OF DATE: 1 Phase 1, new were edited while the run was at work from the older text" in told
    assert "next: wavecrew run" in told
    assert "OUT OF DATE: 1 Phase 1, new" in " ".join(box.wavecrew("status").out.split())
    assert box.status()["edited"] == ["1", "new"]
    again = box.run("-j4", "--isolation", "shared")
    assert again.code == 0, again
    assert "OUT OF DATE" not in again.out
    assert (box.folder / "one").exists()
    assert (box.folder / "new").exists()
    assert box.status()["edited"] == []
    assert box.run("--isolation", "shared").out.startswith("nothing to do")
