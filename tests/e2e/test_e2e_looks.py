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


def test_colours_are_where_they_are_wanted_whatever_the_command(box: Sandbox) -> None:
    """`--color` beats NO_COLOR beats FORCE_COLOR beats what standard output is, which is no terminal here."""
    box.plan(phase("a", "true"))
    ran = box.run("--color", "always")
    assert "\x1b[" in ran.out
    commands = (
        ("status",),
        ("runs", "show"),
        ("runs", "list"),
        ("check", "plan.json"),
        ("plan", "plan.json"),
        ("doctor",),
        ("status", "nobody"),
    )
    for command in commands:
        for flags, env, wanted in (
            ((), {}, False),
            (("--color", "always"), {"NO_COLOR": "1"}, True),
            (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        ):
            found = box.wavecrew(*command, *flags, env=env)
            assert ("\x1b[" in found.out + found.err) == wanted, (command, flags, found)
    for env, wanted in (
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0"}, False),
    ):
        assert ("\x1b[" in box.wavecrew("status", env=env).out) == wanted
        assert "\x1b" not in box.wavecrew("status", "--json", env=env).out


def test_what_is_said_to_come_next_fits_where_the_run_stands(box: Sandbox) -> None:
    """Somebody who continues what is over, or was never paused, is not sent to run it again."""
    box.plan(phase("a", "true"), phase("b", "exit 3"))
    assert box.run().code == 1
    run = box.status()["run"]
    assert _words(box, "continue") == f"continue: nothing to do, run {run} is over next: wavecrew logs b · wavecrew run"
    skipped = _words(box, "skip", "b", "--reason", "by hand")
    assert skipped == f"skip b: done, run {run} next: wavecrew report"
    assert box.run().out.startswith("nothing to do")
    assert _words(box, "continue") == f"continue: nothing to do, run {run} is over next: wavecrew report"
    assert _words(box, "retry", "a").endswith("next: wavecrew run")
    assert _words(box, "status").startswith(f"run {run} open again")


def test_a_waiver_holds_for_one_run_and_the_next_says_who_had_given_it(box: Sandbox) -> None:
    box.plan(phase("a", "true"), phase("b", "[ -e mended ]"), phase("c", "true", needs=["b"]))
    box.run()
    box.wavecrew("skip", "b", "--reason", "by hand")
    assert box.run().code == 0
    box.plan(phase("a", "true; true"), phase("b", "[ -e mended ]"), phase("c", "true", needs=["b"]))
    box.write("mended", "")
    shown = box.run("--dry-run")
    again = box.run()
    assert again.code == 0, again
    for told in (shown.err, again.err):
        assert "phase b is to be done: it was waived by" in " ".join(told.split())
        assert ": by hand; that held for its run alone" in " ".join(told.split())
    assert sorted(box.ran()) == ["a", "a", "b", "b", "c", "c"]


def test_help_says_first_what_is_a_commands_own(box: Sandbox) -> None:
    """Of what every command and every setting has, there is much; it comes after that."""
    shown = box.wavecrew("run", "--help").out
    places = [
        shown.index(head) for head in ("\nOptions:", "--only", "\nSettings,", "--retries", "\nFor every", "--json")
    ]
    assert places == sorted(places)
    assert box.wavecrew("config", "path", "--help").out.count("\nOptions:") == 1
    every = box.wavecrew("--help").out
    places = [every.index(head) for head in ("\nPlan:", " init ", "\nRun:", " run ", "\nLook at a run:", " status ")]
    assert places == sorted(places)
    assert all(len(line) <= 80 for line in (shown + every).splitlines())


def test_a_first_plan_can_be_a_whole_example(box: Sandbox) -> None:
    made = box.wavecrew("init", "tool", "--example", "minitable")
    assert made.code == 0, made
    found = box.wavecrew("-C", "tool", "plan", "--json").json
    assert len(found["phases"]) == 10
    assert box.wavecrew("init", "tool").code == 2, "nothing that exists is changed"
    assert box.wavecrew("init", "other", "--example", "nothing").code == 2
