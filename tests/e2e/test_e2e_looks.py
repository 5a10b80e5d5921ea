"""What people see of a run when they look at it: who is at work, what comes next, and colours where they are wanted."""

from __future__ import annotations

import os
import signal

from sandbox import Sandbox, phase, wait_for


def _standings(box: Sandbox) -> dict[str, str]:
    return {one["id"]: one["standing"] for one in box.status()["phases"]}


def _words(box: Sandbox, *command: str) -> str:
    """What a command prints, wherever its lines end."""
    return " ".join(box.wavecrew(*command).out.split())


def test_after_a_kill_of_everything_no_agent_is_said_to_be_running(box: Sandbox) -> None:
    """`status` says what `locks list` says of the same agent: at work as long as it lives, and dead after that."""
    box.plan(phase("a", "touch up; sleep 1000", writes=["up"]))
    running = box.start_run()
    wait_for(lambda: (box.folder / "up").exists(), "the agent to be at work")
    running.kill()
    assert _standings(box) == {"a": "running"}
    assert "its agent is still at work" in _words(box, "status")
    assert "alive" in box.wavecrew("locks", "list").out
    while left := box.alive():
        os.kill(left[0], signal.SIGKILL)
        wait_for(lambda pid=left[0]: pid not in box.alive(), "it to be dead")  # type: ignore[misc]
    assert _standings(box) == {"a": "gone"}
    told = _words(box, "status")
    assert "its agent is dead and left no result" in told
    assert "1 running" not in told
    assert "dead" in box.wavecrew("locks", "list").out
