"""What becomes of a run when somebody stops it, kills it, or starts it twice."""

from __future__ import annotations

import json
import os
import signal

import pytest
from sandbox import Running, Sandbox, phase, wait_for

HOLD = "touch {0}.here; until [ -e go ]; do sleep 0.02; done; touch {0}.done"


def _plan(box: Sandbox) -> None:
    box.plan(
        phase("first", "touch first", writes=["first"]),
        phase("x", HOLD.format("x"), needs=["first"], writes=["x.done"]),
        phase("y", HOLD.format("y"), needs=["first"], writes=["y.done"]),
        phase("last", "touch last", needs=["x", "y"], writes=["last"]),
    )


def _until_at_work(box: Sandbox, running: Running) -> None:
    def both() -> bool:
        assert running.process.poll() is None, running.err + running.out
        return (box.folder / "x.here").exists() and (box.folder / "y.here").exists()

    wait_for(both, "both agents to be at work")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on(box: Sandbox, number: signal.Signals, code: int) -> None:
    _plan(box)
    running = box.start_run()
    _until_at_work(box, running)
    running.send(number)
    ended = running.end()
    assert ended.code == code
    assert not box.alive()
    assert "wavecrew run" in ended.out.splitlines()[-1]
    assert box.status()["stop_reason"] == number.name
    (box.folder / "go").touch()
    assert box.run().code == 0
    assert sorted(box.ran()) == ["first", "last", "x", "x", "y", "y"]
    assert set(box.statuses().values()) == {"COMPLETED"}


def test_stopping_costs_no_retry(box: Sandbox) -> None:
    _plan(box)
    running = box.start_run()
    _until_at_work(box, running)
    running.send(signal.SIGINT)
    running.end()
    assert {one["status"] for one in box.status()["phases"] if one["id"] in "xy"} == {"QUEUED"}


STUBBORN = "trap '' TERM INT; touch here; while :; do sleep 0.05; done"


def test_an_agent_that_ignores_term_is_gone_after_the_grace(box: Sandbox) -> None:
    box.plan(phase("stubborn", STUBBORN))
    running = box.start_run("--grace", "0.3")
    wait_for(lambda: (box.folder / "here").exists())
    running.send(signal.SIGINT)
    assert running.end().code == 130
    assert not box.alive()


def test_a_second_ctrl_c_does_not_wait_for_the_grace(box: Sandbox) -> None:
    box.plan(phase("stubborn", "trap 'touch told' TERM; touch here; while :; do sleep 0.05; done"))
    running = box.start_run("--grace", "3000")
    wait_for(lambda: (box.folder / "here").exists())
    running.send(signal.SIGINT)
    wait_for(lambda: (box.folder / "told").exists(), "the agent to be told")
    assert box.alive()
    running.send(signal.SIGINT)
    assert running.end().code == 130
    assert not box.alive()


def test_living_agents_are_adopted_after_kill_9(box: Sandbox) -> None:
    _plan(box)
    running = box.start_run()
    _until_at_work(box, running)
    running.kill()
    assert len(box.alive()) >= 2
    assert "gone" in box.wavecrew("status").out
    again = box.start_run()
    wait_for(lambda: " resume " in again.out, "the second coordinator to take over")
    (box.folder / "go").touch()
    assert again.end().code == 0
    assert sorted(box.ran()) == ["first", "last", "x", "y"]
    assert not box.alive()


def test_agents_that_finish_without_a_coordinator_are_believed(box: Sandbox) -> None:
    _plan(box)
    running = box.start_run()
    _until_at_work(box, running)
    running.kill()
    (box.folder / "go").touch()
    wait_for(lambda: not box.alive(), "the agents to finish by themselves")
    assert box.run().code == 0
    assert sorted(box.ran()) == ["first", "last", "x", "y"]


def test_a_shim_that_is_killed_takes_its_agent_along_and_is_started_anew(box: Sandbox) -> None:
    box.plan(phase("x", HOLD.format("x")))
    running = box.start_run()
    wait_for(lambda: (box.folder / "x.here").exists())
    (started,) = box.folder.glob(".wavecrew/runs/*/x/1/started")
    os.kill(json.loads(started.read_bytes())["pid"], signal.SIGKILL)
    wait_for(lambda: box.ran() == ["x", "x"], "another attempt")
    (box.folder / "go").touch()
    ended = running.end()
    assert ended.code == 0
    assert "lost" in ended.out
    assert not box.alive()


def test_the_second_coordinator_is_turned_away(box: Sandbox) -> None:
    _plan(box)
    running = box.start_run()
    _until_at_work(box, running)
    second = box.run()
    assert second.code == 7
    assert f"pid {running.pid}" in second.err or f"/{running.pid}" in second.err or str(running.pid) in second.err
    assert box.run("--force").code == 7
    (box.folder / "go").touch()
    assert running.end().code == 0
    assert sorted(box.ran()) == ["first", "last", "x", "y"]


def test_two_coordinators_at_the_same_moment(box: Sandbox) -> None:
    _plan(box)
    (box.folder / "go").touch()
    codes = sorted(one.end().code for one in [box.start_run(), box.start_run()])
    assert codes in ([0, 0], [0, 7])
    assert set(box.statuses().values()) == {"COMPLETED"}
    for name in ("first", "x", "y", "last"):
        assert box.ran().count(name) == 1, box.ran()


def test_a_new_run_waits_for_agents_that_lost_their_coordinator(box: Sandbox) -> None:
    _plan(box)
    running = box.start_run()
    _until_at_work(box, running)
    running.kill()
    refused = box.run("--force")
    assert refused.code == 7
    assert "still at work" in refused.err
    (box.folder / "go").touch()
    assert box.run().code == 0


def test_a_closed_terminal_stops_or_keeps_the_run_but_loses_nothing(box: Sandbox) -> None:
    _plan(box)
    running = box.start_run()
    _until_at_work(box, running)
    running.send(signal.SIGHUP)
    running.end()
    (box.folder / "go").touch()
    assert box.run().code == 0
    assert set(box.statuses().values()) == {"COMPLETED"}
    assert box.ran().count("first") == 1
