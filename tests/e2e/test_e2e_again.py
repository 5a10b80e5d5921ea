"""Running a plan a second time: what is kept, what is made again, and what a selection leaves out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from sandbox import Sandbox, phase


@pytest.fixture
def done(box: Sandbox) -> Sandbox:
    """A sandbox whose plan (1 -> 2 -> 4, 1 -> 3) has been carried out."""
    box.plan(*_chain())
    assert box.run().code == 0
    (box.folder / "ran").unlink()
    return box


def _chain(**scripts: str) -> list[dict[str, object]]:
    return [
        phase("1", scripts.get("one", "echo 1 > one"), writes=["one"]),
        phase("2", scripts.get("two", "cat one > two"), needs=["1"], writes=["two"]),
        phase("3", scripts.get("three", "cat one > three"), needs=["1"], writes=["three"]),
        phase("4", scripts.get("four", "cat two > four"), needs=["2"], writes=["four"]),
    ]


def test_there_is_nothing_to_do(done: Sandbox) -> None:
    again = done.run()
    assert again.code == 0
    assert "nothing to do" in again.out
    assert done.ran() == []
    assert len(done.wavecrew("runs", "list", "--json").json["runs"]) == 1


def test_a_changed_phase_is_done_again_with_all_that_rests_on_it(done: Sandbox) -> None:
    done.plan(*_chain(two="tr 1 2 < one > two"))
    again = done.run()
    assert again.code == 0, again
    assert done.ran() == ["2", "4"]
    assert done.read("four") == "2\n"
    kept = [line for line in again.out.splitlines() if " keep " in line]
    assert len(kept) == 2
    assert "Phase 1" in kept[0]
    assert "Phase 3" in kept[1]
    phases = {one["id"]: one for one in done.status()["phases"]}
    first = done.wavecrew("runs", "list", "--json").json["runs"][-1]["run"]
    assert [phases[name]["kept_from"] for name in "1234"] == [first, None, first, None]


def test_editing_one_document_changes_one_phase(box: Sandbox) -> None:
    for number, needs in ((1, ""), (2, "1"), (3, "")):
        box.write(
            f"plan/0{number}-step.md",
            f"---\nneeds: [{needs}]\nwrites: [out{number}]\n---\n# Phase {number}: Step {number}\n\n"
            f"```sh run\necho {number} >> ran\ntouch out{number}\n```\n",
        )
    assert box.run(plan="plan").code == 0
    path = box.folder / "plan" / "01-step.md"
    path.write_text(path.read_text().replace("touch out1", "echo new > out1"))
    assert box.run(plan="plan").code == 0
    assert sorted(box.ran()) == ["1", "1", "2", "2", "3"]


def test_a_vanished_output_is_made_again(done: Sandbox) -> None:
    (done.folder / "two").unlink()
    again = done.run()
    assert again.code == 0
    assert done.ran() == ["2", "4"]
    assert "two is gone" in again.out


def test_force_keeps_nothing(done: Sandbox) -> None:
    assert done.run("--force").code == 0
    assert sorted(done.ran()) == ["1", "2", "3", "4"]
    assert len(done.wavecrew("runs", "list", "--json").json["runs"]) == 2


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--only", "2"), ["2"]),
        (("--only", "Phase 2"), ["2"]),
        (("--only", "2", "--only", "3"), ["2", "3"]),
        (("--from", "2"), ["2", "4"]),
        (("--until", "2"), ["1", "2"]),
        (("--from", "2", "--until", "2"), ["2"]),
    ],
)
def test_selections(box: Sandbox, flags: tuple[str, ...], expected: list[str]) -> None:
    scripts = {"two": "touch two", "three": "touch three", "four": "touch four"}
    box.plan(*_chain(**scripts))
    ended = box.run(*flags)
    assert ended.code == 0, ended
    assert sorted(box.ran()) == expected


def test_what_a_selection_leaves_out_is_waived_on_record(box: Sandbox) -> None:
    box.plan(*_chain(two="touch two"))
    ended = box.run("--only", "2")
    assert ended.code == 0
    assert "skip" in ended.out
    first = box.status()["phases"][0]
    assert first["status"] == "NOT_STARTED" or first["status"] == "QUEUED"
    assert first["waiver"]["by"]
    assert "selection" in first["waiver"]["reason"]
    assert "Phase 1" in box.wavecrew("status").out
    report = box.wavecrew("report", "--format", "json")
    assert report.code == 0
    assert first["waiver"]["reason"] in report.out
    assert "left out by the selection" in " ".join(box.wavecrew("report").out.split())


def test_a_selection_of_nothing_is_refused(box: Sandbox) -> None:
    box.plan(*_chain())
    refused = box.run("--only", "nonsense")
    assert refused.code == 4
    assert "nonsense" in refused.err
    assert box.run("--from", "3", "--until", "2").code == 4
    assert not (box.folder / ".wavecrew").exists()


def test_a_whole_run_after_a_partial_one_does_the_rest(box: Sandbox) -> None:
    box.plan(*_chain())
    assert box.run("--until", "2").code == 0
    assert box.run().code == 0
    assert sorted(box.ran()) == ["1", "2", "3", "4"]


def test_two_plans_of_one_workspace_do_not_mix(box: Sandbox) -> None:
    box.plan(phase("a", "touch a", writes=["a"]), path="one.json")
    box.plan(phase("a", "touch b", writes=["b"]), path="two.json")
    assert box.run(plan="one.json").code == 0
    assert box.run(plan="two.json").code == 0
    assert "nothing to do" in box.run(plan="one.json").out
    assert box.ran() == ["a", "a"]


def test_a_plan_is_the_same_from_wherever_one_stands(done: Sandbox) -> None:
    below: Path = done.folder / "sub"
    below.mkdir()
    again = done.wavecrew("run", "../plan.json", "--yes", cwd=below)
    assert again.code == 0, again
    assert "nothing to do" in again.out
    from_outside = done.wavecrew("-C", str(done.folder), "status", "--json", cwd=done.home)
    assert json.loads(from_outside.out)["status"] == done.status()["status"]


def test_force_with_a_selection_keeps_the_rest(done: Sandbox) -> None:
    assert done.run("--force", "--only", "3").code == 0
    assert done.ran() == ["3"]
    assert done.run().code == 0
    assert done.ran() == ["3"], "the whole plan is done, and nothing of it was forgotten"
    assert done.run("--force", "--only", "1").code == 0
    assert done.run().code == 0
    assert done.ran()[:2] == ["3", "1"]
    assert sorted(done.ran()) == ["1", "2", "3", "3", "4"]


# -- what work rests on -----------------------------------------------------------------------------------------


@pytest.fixture
def readers(box: Sandbox) -> Sandbox:
    """A finished plan in which `a` reads a file, `b` a folder, `c` neither; `d` comes after `a`."""
    box.write("notes.txt", "one")
    box.write("src/x.py", "x = 1")
    box.plan(*_readers())
    assert box.run().code == 0
    (box.folder / "ran").unlink()
    return box


def _readers(**more: Any) -> list[dict[str, Any]]:
    return [
        phase("a", "touch a.out", reads=["notes.txt"], writes=["a.out"]),
        phase("b", "touch src/made", reads=["src/"], writes=["src/made"]),
        phase("c", "touch c.out", writes=["c.out"], **more),
        phase("d", "touch d.out", needs=["a"], writes=["d.out"]),
    ]


def test_a_file_that_changed_is_done_again_by_its_readers(readers: Sandbox) -> None:
    readers.write("notes.txt", "two")
    told = readers.wavecrew("explain", "a", "--plan", "plan.json")
    assert "again?  yes: it reads notes.txt, which changed" in told.out
    rehearsed = readers.run("--dry-run")
    assert "again   it reads notes.txt, which changed" in rehearsed.out
    assert "again   phase a is done again" in rehearsed.out
    assert readers.run().code == 0
    assert readers.ran() == ["a", "d"]
    assert len(readers.wavecrew("runs", "list", "--json").json["runs"]) == 2, "the first one had done all it was to do"
    assert "nothing to do" in readers.run().out
    readers.write("src/new.py", "")
    assert readers.run().code == 0
    assert readers.ran() == ["a", "d", "b"]


def test_touching_changes_nothing_and_neither_do_limits_and_views(readers: Sandbox) -> None:
    for name in ("notes.txt", "src/x.py", "plan.json"):
        os.utime(readers.folder / name, (1, 1))
    again = readers.run("-j1", "--timeout", "1000", "--retries", "2", "--ui", "plain")
    assert "nothing to do" in again.out
    readers.plan(*_readers(estimate="3h"))
    assert readers.run().code == 0
    assert readers.ran() == []
    told = readers.wavecrew("explain", "a", "--plan", "plan.json")
    assert "again?  no: nothing that it rests on has changed" in told.out


def test_another_command_for_all_is_more_than_a_limit(box: Sandbox) -> None:
    box.write("wavecrew.toml", 'agent = "command"\ncommand = ["sh", "-c", "echo $WAVECREW_PHASE >> ran"]\n')
    own = phase("own", "true", needs=["2"])
    box.plan({"id": "1", "name": "One"}, {"id": "2", "name": "Two", "needs": ["1"]}, own)
    assert box.run().code == 0
    box.write("wavecrew.toml", 'agent = "command"\ncommand = ["sh", "-c", "echo $WAVECREW_PHASE! >> ran"]\n')
    told = box.wavecrew("explain", "1", "--plan", "plan.json", "--json").json
    assert told["run"]["reason"] == "the setting command changed"
    assert told["run"]["changed"] == ["setting:command"]
    (changed,) = [one for one in told["run"]["inputs"] if one["then"] != one["now"]]
    assert changed["name"] == "setting:command"
    told = box.wavecrew("explain", "own", "--plan", "plan.json", "--json").json
    assert (told["run"]["again"], told["run"]["reason"]) == (True, "phase 2 is done again"), "it has its own command"
    assert box.run().code == 0
    assert box.ran() == ["1", "2", "own", "1!", "2!", "own"]
    assert box.run("--agent", "runbook").code == 8, "another agent would have to do all of it, and cannot"


def test_explain_tells_of_every_phase_whether_it_stands(readers: Sandbox) -> None:
    answer = readers.wavecrew("explain", "b", "--plan", "plan.json", "--json").json
    assert answer["needs"] == []
    assert answer["run"]["again"] is False
    assert {one["name"] for one in answer["run"]["inputs"]} == {"agent", "document", "reads:src/"}
    assert all(one["then"] == one["now"] for one in answer["run"]["inputs"])
    readers.plan(*_readers(), phase("new", needs=["b"]))
    told = readers.wavecrew("explain", "new", "--plan", "plan.json")
    assert "again?  yes: it is new" in told.out
    (readers.folder / "a.out").unlink()
    told = readers.wavecrew("explain", "a", "--plan", "plan.json")
    assert "again?  yes: its output a.out is gone" in told.out
    assert "again?  yes: phase a is done again" in readers.wavecrew("explain", "d", "--plan", "plan.json").out


def test_explain_before_any_run(box: Sandbox) -> None:
    box.plan(*_readers())
    assert box.wavecrew("explain", "a", "--plan", "plan.json", "--json").json["run"] is None
    assert "again?" not in box.wavecrew("explain", "a", "--plan", "plan.json").out
    assert "  slack     unknown\n" in box.wavecrew("explain", "b", "--plan", "plan.json").out


def test_failed_phases_and_an_edit_elsewhere_are_one_run(done: Sandbox) -> None:
    done.plan(*_chain(four="false"))
    assert done.run().code == 1
    done.plan(*_chain(three="echo 3 > three", four="touch four"))
    told = done.wavecrew("resume", "plan.json", "--yes")
    assert told.code == 0, told
    assert "again  3 Phase 3  its document changed" in told.out
    assert sorted(done.ran()) == ["3", "4", "4"]
    assert len(done.wavecrew("runs", "list", "--json").json["runs"]) == 2
