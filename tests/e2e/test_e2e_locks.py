"""Nobody writes what somebody else is writing: claims of phases that no dependency orders."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from sandbox import Sandbox, intervals, phase, wait_for

_SPAN = 'echo "+ {0} $(date +%s.%N)" >> spans; sleep 0.15; echo "- {0} $(date +%s.%N)" >> spans'


def _phase(name: str, **keys: Any) -> dict[str, Any]:
    return phase(name, _SPAN.format(name), **keys)


def _overlaps(box: Sandbox) -> bool:
    spans = sorted(intervals(box.read("spans")).values())
    return any(second[0] < first[1] for first, second in pairwise(spans))


@pytest.mark.parametrize(
    "claims",
    [
        ({"locks": ["f"]}, {"locks": ["f"]}),
        ({"locks": ["src/"]}, {"locks": ["src/deep/file.py"]}),
        ({"locks": ["src/*.py"]}, {"locks": ["src/a.py"]}),
        ({"locks": ["./src/../f"]}, {"locks": ["f"]}),
        ({"locks": ["port:8080"]}, {"locks": ["port:8080"]}),
        ({"locks": ["f"]}, {"reads": ["f"]}),
    ],
    ids=lambda pair: " ".join(value for claim in pair for values in claim.values() for value in values),
)
def test_those_that_want_one_thing_take_turns(box: Sandbox, claims: tuple[dict[str, Any], dict[str, Any]]) -> None:
    (box.folder / "f").touch()
    box.plan(*(_phase(name, **claim) for name, claim in zip("ab", claims, strict=True)))
    done = box.run()
    assert done.code == 0, done
    assert len(intervals(box.read("spans"))) == 2
    assert not _overlaps(box)
    assert "wait" in done.out


@pytest.mark.parametrize(
    "claims",
    [
        ({"locks": ["src/a/"]}, {"locks": ["src/b/"]}),
        ({"reads": ["f"]}, {"reads": ["f"]}),
        ({"locks": ["src/*.py"]}, {"locks": ["src/a.txt"]}),
    ],
    ids=["two folders", "two readers", "pattern and other file"],
)
def test_those_that_do_not_are_not_held_up(box: Sandbox, claims: tuple[dict[str, Any], dict[str, Any]]) -> None:
    meet = "touch {0}.here; until [ -e {1}.here ]; do sleep 0.02; done"
    (box.folder / "f").touch()
    box.plan(phase("a", meet.format("a", "b"), **claims[0]), phase("b", meet.format("b", "a"), **claims[1]))
    assert box.run("--timeout", "30").code == 0


def test_one_file_by_two_names(box: Sandbox) -> None:
    (box.folder / "real").mkdir()
    (box.folder / "alias").symlink_to("real")
    box.plan(_phase("a", locks=["real/f"]), _phase("b", locks=["alias/f"]))
    assert box.run().code == 0
    assert not _overlaps(box)


def test_who_holds_and_who_waits_is_shown(box: Sandbox) -> None:
    hold = "touch {0}.here; until [ -e go ]; do sleep 0.02; done"
    box.plan(phase("a", hold.format("a"), locks=["src/"]), phase("b", hold.format("b"), locks=["src/x.py"]))
    running = box.start_run()
    wait_for(lambda: (box.folder / "a.here").exists() or (box.folder / "b.here").exists())
    wait_for(lambda: " wait " in running.out)
    listed = box.wavecrew("locks", "list", "--json")
    assert listed.code == 0
    (lock,) = listed.json["locks"]
    holder, waiter = ("a", "b") if (box.folder / "a.here").exists() else ("b", "a")
    assert holder in lock["holder"]
    assert (lock["type"], lock["owner"], lock["owner_reason"]) == ("exclusive", "alive", "it is at work")
    shown = box.wavecrew("locks", "list").out
    assert "src" in shown
    waiting = next(one for one in box.status()["phases"] if one["id"] == waiter)
    assert waiting["lock"]["holder"] == holder
    assert waiting["status"] == "QUEUED"
    assert holder in waiting["reason"]
    explained = box.wavecrew("explain", waiter, "--plan", "plan.json")
    assert "held by " + holder in explained.out
    (box.folder / "go").touch()
    assert running.end().code == 0
    assert box.wavecrew("locks", "list", "--json").json == {"locks": [], "waiters": [], "broken": []}


def test_two_runs_of_different_plans_respect_each_other(box: Sandbox) -> None:
    box.plan(_phase("a", locks=["shared.txt"]), path="one.json")
    box.plan(_phase("b", locks=["shared.txt"]), path="two.json")
    for running in [box.start_run(plan="one.json"), box.start_run(plan="two.json")]:
        assert running.end().code == 0
    assert len(intervals(box.read("spans"))) == 2
    assert not _overlaps(box)
