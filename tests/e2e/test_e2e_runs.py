"""Runs from start to end: order, failures, retries, time limits, outputs, many phases."""

from __future__ import annotations

import random

from sandbox import Sandbox, phase


def _diamond() -> list[dict[str, object]]:
    return [
        phase("a", "echo 1 > a.txt", writes=["a.txt"]),
        phase("b", "cat a.txt > b.txt", needs=["a"], writes=["b.txt"]),
        phase("c", "cat a.txt > c.txt", needs=["a"], writes=["c.txt"]),
        phase("d", "cat b.txt c.txt > d.txt", needs=["b", "c"], writes=["d.txt"]),
    ]


def test_diamond(box: Sandbox) -> None:
    box.plan(*_diamond())
    done = box.run()
    assert done.code == 0, done
    assert box.read("d.txt") == "1\n1\n"
    assert sorted(box.ran()) == ["a", "b", "c", "d"]
    assert box.ran()[0] == "a"
    assert box.ran()[-1] == "d"
    assert set(box.statuses().values()) == {"COMPLETED"}
    assert "passed=4 failed=0" in done.out
    assert done.out.splitlines()[-1] == "next: wavecrew report"
    assert not box.alive()


def test_independent_phases_work_at_the_same_time(box: Sandbox) -> None:
    meet = "touch {0}.here; until [ -e {1}.here ]; do sleep 0.02; done"
    box.plan(phase("a", meet.format("a", "b")), phase("b", meet.format("b", "a")))
    assert box.run("--timeout", "30").code == 0


def test_no_more_agents_than_allowed(box: Sandbox) -> None:
    # each agent would wait for another one for a short while and says whether it saw one
    script = "mkdir at-work || touch trampled; sleep 0.02; rmdir at-work"
    box.plan(*(phase(name, script) for name in "abcde"))
    assert box.run("-j1").code == 0
    assert not (box.folder / "trampled").exists()


def _failing() -> list[dict[str, object]]:
    return [
        phase("first"),
        phase("bad", "echo what went wrong; exit 7", needs=["first"]),
        phase("after", needs=["bad"]),
        phase("later", needs=["after"]),
        phase("aside", needs=["first"]),
    ]


def test_failure_holds_up_its_dependents_only(box: Sandbox) -> None:
    box.plan(*_failing())
    done = box.run()
    assert done.code == 1
    assert sorted(box.ran()) == ["aside", "bad", "first"]
    phases = {one["id"]: one for one in box.status()["phases"]}
    assert phases["bad"]["status"] == "FAILED"
    assert "7" in phases["bad"]["reason"]
    for name in ("after", "later"):
        assert phases[name]["status"] == "NOT_STARTED"
        assert "bad" in phases[name]["reason"]
        assert phases[name]["blocked_by"] == ["bad"]
    assert "  | what went wrong" in done.out
    assert "after" in done.out.partition("not started because of a failure")[2]
    assert done.out.splitlines()[-1] == "next: wavecrew logs bad · wavecrew run"
    shown = box.wavecrew("status")
    assert shown.code == 0
    assert "bad" in shown.out
    assert "after" in shown.out


def test_the_commands_of_the_next_line_work(box: Sandbox) -> None:
    box.plan(*_failing())
    box.run()
    assert "what went wrong" in box.wavecrew("logs", "bad").out
    again = box.run()
    assert again.code == 1
    assert sorted(box.ran()) == ["aside", "bad", "bad", "first"]


def test_fail_fast_starts_nothing_more(box: Sandbox) -> None:
    box.plan(phase("bad", "exit 1"), phase("x", estimate="1m"), phase("y", estimate="1m"))
    assert box.run("-j1", "--only", "bad", "--only", "x", "--fail-fast").code == 1
    assert box.run("-j1", "--force", "--keep-going").code == 1
    assert sorted(box.ran()[-3:]) == ["bad", "x", "y"]


def test_fail_fast_lets_those_at_work_finish(box: Sandbox) -> None:
    box.plan(
        phase("bad", "until [ -e started ]; do sleep 0.02; done; exit 1"),
        phase("working", "touch started; sleep 0.3; touch finished"),
        phase("third", "touch third"),
    )
    done = box.run("-j2", "--fail-fast")
    assert done.code == 1
    assert (box.folder / "finished").exists()
    assert not (box.folder / "third").exists()
    assert box.statuses() == {"bad": "FAILED", "working": "COMPLETED", "third": "QUEUED"}


def test_a_failed_attempt_is_tried_again(box: Sandbox) -> None:
    flaky = "[ $WAVECREW_ATTEMPT_NUMBER -ge 3 ] || { echo try $WAVECREW_ATTEMPT_NUMBER; exit 1; }"
    box.plan(phase("flaky", flaky, retries=2), phase("after", needs=["flaky"]))
    done = box.run()
    assert done.code == 0, done
    assert box.ran() == ["flaky"] * 3 + ["after"]
    assert box.status()["phases"][0]["attempts"] == 3
    assert box.wavecrew("logs", "flaky", "--attempt", "2").out == "try 2\n"


def test_retries_have_an_end(box: Sandbox) -> None:
    box.plan(phase("hopeless", "exit 1"))
    assert box.run("--retries", "2").code == 1
    assert box.ran() == ["hopeless"] * 3


def test_a_time_limit_ends_the_attempt(box: Sandbox) -> None:
    box.plan(phase("slow", "sleep 600", timeout_seconds=0.2), phase("quick"))
    done = box.run("--grace", "0.2")
    assert done.code == 1
    slow = box.status()["phases"][0]
    assert slow["status"] == "FAILED"
    assert "time" in slow["reason"]
    assert not box.alive()


def test_missing_outputs_are_a_failure(box: Sandbox) -> None:
    box.plan(phase("careless", "touch made", writes=["made", "src/forgotten.py", "docs/"]))
    done = box.run()
    assert done.code == 1
    reason = box.status()["phases"][0]["reason"]
    assert "src/forgotten.py" in reason
    assert "docs/" in reason
    assert "made" not in reason.replace("src/forgotten.py", "").split()
    assert "src/forgotten.py" in done.out


def test_a_failing_check_is_a_failure(box: Sandbox) -> None:
    box.plan(phase("a", "echo 1 > n", writes=["n"], checks=["grep 2 n"]), phase("b", needs=["a"]))
    done = box.run()
    assert done.code == 1
    assert "check" in box.status()["phases"][0]["reason"]
    assert box.ran() == ["a"]


def test_outputs_that_a_later_phase_deletes_make_the_run_fail(box: Sandbox) -> None:
    box.plan(
        phase("maker", "touch precious", writes=["precious"]),
        phase("cleaner", "rm precious", needs=["maker"]),
    )
    done = box.run()
    assert done.code == 1
    assert "precious" in done.out
    shown = box.wavecrew("status")
    assert "precious" in shown.out
    assert "succeeded" not in shown.out


def test_two_hundred_phases_in_order(box: Sandbox) -> None:
    chance = random.Random(1)
    layers, width = 10, 20
    names = [[f"p{layer}-{place}" for place in range(width)] for layer in range(layers)]
    needs = {
        name: chance.sample(names[layer - 1], 2) if layer else [] for layer, row in enumerate(names) for name in row
    }
    box.plan(*(phase(name, f"touch {name}", needs=before, writes=[name]) for name, before in needs.items()))
    done = box.run("-j8", "--ui", "none")
    assert done.code == 0, done
    place = {name: at for at, name in enumerate(box.ran())}
    assert len(place) == len(box.ran()) == layers * width
    assert all(place[before] < place[name] for name, row in needs.items() for before in row)
    assert box.status()["done"] == 200


def test_a_runbook_document_is_carried_out(box: Sandbox) -> None:
    box.write(
        "plan/01-greet.md",
        "---\nwrites: [greeting.txt, conf.ini]\n---\n# Phase 1: Greet\n\n"
        "```sh run\nprintf hello > greeting.txt\n```\n\n```ini file=conf.ini\n[a]\n```\n\n"
        "```sh check\ngrep -q hello greeting.txt\n```\n",
    )
    done = box.run(plan="plan")
    assert done.code == 0, done
    assert box.read("greeting.txt") == "hello"
    assert box.read("conf.ini").strip() == "[a]"
