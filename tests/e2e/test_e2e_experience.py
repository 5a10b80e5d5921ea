"""Times of earlier runs: kept from run to run, told by `plan`, and used by the next forecast."""

from __future__ import annotations

from sandbox import Sandbox, phase, wait_for


def test_what_phases_took_is_known_to_the_next_run_and_to_the_plan(box: Sandbox) -> None:
    names = ("a", "b", "c", "d")
    box.plan(*(phase(name, "true", estimate="1h") for name in names))
    assert box.wavecrew("plan", "plan.json", "--json").json["estimates_so_far"] == {"phases": 0, "factor": None}
    assert box.run().code == 0

    told = box.wavecrew("plan", "plan.json", "--json").json["estimates_so_far"]
    assert told["phases"] == 4
    assert 0 <= told["factor"]["low"] <= told["factor"]["typical"] <= told["factor"]["high"] < 1
    assert "so far half of 4 phases took" in box.wavecrew("plan", "plan.json").out

    box.plan(*(phase(name, "until [ -e go ]; do sleep 0.05; done", estimate="1h") for name in names))
    running = box.start_run("-j", "1")
    wait_for(lambda: "a" in box.statuses() and box.statuses()["a"] == "IN_PROGRESS", "a is at work")
    status = box.status()
    assert status["left_seconds"] is None or status["left_seconds"] < 3600  # not 4 h, as the estimates say
    box.write("go", "")
    assert running.end().code == 0
    assert box.wavecrew("plan", "plan.json", "--json").json["estimates_so_far"]["phases"] == 8
