"""The files of a shared workspace in real runs: undeclared writes, and what the next attempt starts from."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sandbox import Outcome, Running, Sandbox, phase, wait_for


def events(box: Sandbox, kind: str) -> list[dict[str, Any]]:
    lines = (line for line in box.read("log.jsonl").splitlines() if line)
    return [found for line in lines if (found := json.loads(line))["kind"] == kind]


def run(box: Sandbox, *flags: str) -> Outcome:
    """Run, and keep the events in a file that no phase is accused of."""
    done = box.run("--ui", "jsonl", *flags)
    box.write("log.jsonl", done.out)
    return done


def undeclared(box: Sandbox) -> dict[str, list[str]]:
    """Path -> suspects."""
    return {path: found["suspects"] for found in events(box, "UndeclaredWrites") for path in found["paths"]}


def quiet(name: str, script: str, **keys: Any) -> dict[str, Any]:
    """A phase that leaves no trace of its own."""
    entry = phase(name, script, **keys)
    entry["command"] = ["sh", "-c", script]
    return entry


# -- undeclared writes ------------------------------------------------------------------------------------------


def test_one_at_work_is_the_only_suspect(box: Sandbox) -> None:
    box.plan(
        quiet("first", "echo x > first; echo x > stray", writes=["first"]),
        quiet("second", "echo x > second; rm stray; mkdir -p d; echo x > d/new", writes=["second"], needs=["first"]),
    )
    assert run(box).code == 0
    assert [(found["suspects"], found["paths"]) for found in events(box, "UndeclaredWrites")] == [
        (["first"], ["stray"]),
        (["second"], ["d/new", "stray"]),
    ]


def test_several_at_work_are_all_suspected(box: Sandbox) -> None:
    meet = "touch .git/{0}; until [ -e .git/{1} ]; do sleep 0.02; done"
    (box.folder / ".git").mkdir()
    box.plan(
        quiet("a", meet.format("a", "b") + "; echo x > stray; touch .git/done", writes=["a.out"]),
        quiet("b", meet.format("b", "a") + "; until [ -e .git/done ]; do sleep 0.02; done", writes=["b.out"]),
    )
    run(box)
    assert undeclared(box)["stray"] == ["a", "b"]


@pytest.mark.parametrize("claim", ["out/deep/x.py", "out/", "out/*/*.py", "out/**", "./"])
def test_what_was_claimed_is_nobodys_fault(box: Sandbox, claim: str) -> None:
    box.plan(quiet("a", "mkdir -p out/deep; echo x > out/deep/x.py", locks=[claim]))
    assert run(box).code == 0
    assert not events(box, "UndeclaredWrites")
    assert "undeclared writes 0" in box.wavecrew("report").out


def test_what_may_only_be_read_is_not_to_be_written(box: Sandbox) -> None:
    box.write("f", "x")
    box.plan(quiet("a", "echo y > f", reads=["f"]))
    run(box)
    assert undeclared(box) == {"f": ["a"]}


def test_it_is_told_in_every_view(box: Sandbox) -> None:
    box.plan(quiet("a", "echo x > stray"))
    done = box.run()
    assert done.code == 0, "a warning is no failure"
    assert any(" audit " in line and "stray" in line for line in done.out.splitlines()), done.out
    assert "stray" in box.wavecrew("status").out
    assert box.status()["phases"][0]["undeclared"] == ["stray"]
    text = box.wavecrew("report").out
    assert "undeclared writes 1" in text
    assert "stray" in text
    data = box.wavecrew("report", "--json").json
    assert [(one["suspects"], one["paths"]) for one in data["undeclared_writes"]] == [(["a"], ["stray"])]


def test_nothing_is_looked_at_when_nobody_wants_it(box: Sandbox) -> None:
    box.plan(quiet("a", "echo x > stray"))
    assert run(box, "--audit", "off").code == 0
    assert not events(box, "UndeclaredWrites")
    assert "undeclared" not in box.wavecrew("report").out


def test_a_strict_audit_fails_the_phase_although_its_agent_ended_well(box: Sandbox) -> None:
    box.plan(quiet("a", "echo x > a.out; echo x > stray", writes=["a.out"]), quiet("b", "true", needs=["a"]))
    assert run(box, "--audit", "fail").code == 1
    (ended,) = events(box, "AttemptEnded")
    assert (ended["outcome"], ended["cause"]) == ("failed", "audit")
    assert "stray" in ended["detail"]
    assert box.statuses() == {"a": "FAILED", "b": "NOT_STARTED"}


def test_a_strict_audit_lets_the_next_attempt_be_judged_by_itself(box: Sandbox) -> None:
    box.plan(quiet("a", "test $WAVECREW_ATTEMPT_NUMBER = 2 || echo x > stray", retries=1))
    assert run(box, "--audit", "fail").code == 0


def test_what_tools_leave_behind_is_nobodys_fault(box: Sandbox) -> None:
    script = "for d in .git __pycache__ src/__pycache__ node_modules/x .venv; do mkdir -p $d; echo x > $d/f; done"
    box.plan(quiet("a", script))
    assert run(box, "--audit", "fail").code == 0


def test_a_file_name_that_is_no_text_does_no_harm(box: Sandbox) -> None:
    box.plan(quiet("a", """printf x > "$(printf 'odd\\377\\033[31m')" """))
    done = box.run()
    assert done.code == 0, done
    assert "\x1b" not in done.out
    for view in ("status", "report"):
        told = box.wavecrew(view)
        assert told.code == 0
        assert "\x1b" not in told.out


def test_what_is_put_back_is_nobodys_undeclared_write(box: Sandbox) -> None:
    (box.folder / ".git").mkdir()
    box.write("f", "as it was")
    box.plan(
        quiet(
            "a",
            "touch .git/here; test $WAVECREW_ATTEMPT_NUMBER = 2 && exit; until [ -e .git/b ]; do sleep 0.02; done;"
            " echo half > f; echo x > new; exit 1",
            locks=["f", "new"],
            retries=1,
        ),
        quiet("b", "touch .git/b; until [ -e .git/go ]; do sleep 0.02; done", writes=[]),
        quiet("c", "touch .git/go", needs=["a"]),
    )
    done = run(box, "--audit", "fail")
    assert done.code == 0, done
    assert not events(box, "UndeclaredWrites")
    assert box.read("f") == "as it was"


# -- what the next attempt starts from --------------------------------------------------------------------------

WRECK = """
if [ -e .git/mended ]; then sh -c "$1"; exit; fi
echo broken > src/a; rm src/b; echo x > src/new; mkdir -p src/d/e; echo x > src/d/e/f; rm src/link; ln -s b src/link
chmod 755 src/c; {0}
"""


def wreck(box: Sandbox, ending: str, claims: list[str], **keys: Any) -> None:
    """A phase that wrecks `src/` and ends in some way, unless it finds it mended."""
    (box.folder / ".git").mkdir()
    for name in "abc":
        box.write(f"src/{name}", name)
    (box.folder / "src/link").symlink_to("a")
    script = "ls -R src > .git/seen.$WAVECREW_ATTEMPT_NUMBER; cat src/a >> .git/seen.$WAVECREW_ATTEMPT_NUMBER\n"
    box.plan(quiet("a", script + WRECK.format(ending), locks=claims, **keys))


def picture(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else (path.is_file() and path.read_text(), path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
    }


TREE, FILES = ["src/"], ["src/a", "src/b", "src/c", "src/new", "src/d/e/f", "src/link"]


@pytest.mark.parametrize("claims", [TREE, ["src/**"], FILES], ids=["folder", "pattern", "files"])
@pytest.mark.parametrize("ending", ["exit 1", "kill -9 $PPID; sleep 60"], ids=["failed", "lost"])
def test_the_next_attempt_starts_from_the_files_as_they_were(box: Sandbox, ending: str, claims: list[str]) -> None:
    wreck(box, f"test $WAVECREW_ATTEMPT_NUMBER = 2 || {{ {ending}; }}", claims, retries=1)
    assert run(box).code == 0
    assert len(events(box, "AttemptStarted")) == 2
    first, second = box.read(".git/seen.1"), box.read(".git/seen.2")
    if claims == TREE:
        assert second == first
    else:  # folders that came to be around claimed files are left
        assert "new" not in second
        assert second.endswith("\na")


def test_a_success_is_not_undone(box: Sandbox) -> None:
    wreck(box, "true", TREE)
    assert run(box).code == 0
    assert box.read("src/a") == "broken\n"
    assert not list(box.folder.glob(".wavecrew/runs/*/a/1/before*")), "its copies are of no use any more"


def test_a_stopped_attempt_is_put_back_at_once(box: Sandbox) -> None:
    wreck(box, "touch .git/here; while :; do sleep 0.02; done", TREE)
    before = picture(box.folder / "src")
    running = box.start_run()
    _here(box, running)
    assert picture(box.folder / "src") != before
    box.wavecrew("cancel")
    assert running.end().code == 130
    assert picture(box.folder / "src") == before


def test_a_final_failure_stays_to_be_looked_at_until_somebody_tries_again(box: Sandbox) -> None:
    wreck(box, "exit 1", TREE)
    before = picture(box.folder / "src")
    assert run(box).code == 1
    assert box.read("src/a") == "broken\n"
    box.write(".git/mended", "")
    assert box.run().code == 0
    assert picture(box.folder / "src") == before


def test_what_somebody_mended_by_hand_is_not_undone(box: Sandbox) -> None:
    wreck(box, "exit 1", TREE)
    assert run(box).code == 1
    box.write("src/a", "mended by hand")
    box.write(".git/mended", "")
    assert box.run().code == 0
    assert box.read("src/a") == "mended by hand"
    assert box.read("src/new") == "x\n"


def test_nothing_is_put_back_when_nobody_wants_it(box: Sandbox) -> None:
    wreck(box, "test $WAVECREW_ATTEMPT_NUMBER = 2", TREE, retries=1)
    box.write("wavecrew.toml", "put_back = false\n")
    run(box)
    assert "new" in box.read(".git/seen.2")


def test_the_work_of_another_in_a_shared_file_is_never_undone(box: Sandbox) -> None:
    (box.folder / ".git").mkdir()
    box.write("shared", "")
    box.plan(
        quiet("a", "echo a$WAVECREW_ATTEMPT_NUMBER >> shared; test $WAVECREW_ATTEMPT_NUMBER = 3", locks=["shared"]),
        quiet("b", "echo b >> shared", locks=["shared"]),
    )
    assert run(box, "--retries", "2", "--retry-delay-seconds", "0.3").code == 0
    assert box.read("shared").split() in (["b", "a3"], ["a3", "b"])


def test_another_coordinator_puts_back_what_a_killed_one_left(box: Sandbox) -> None:
    wreck(box, "touch .git/here; test $WAVECREW_ATTEMPT_NUMBER = 2 || while :; do sleep 0.02; done", TREE)
    running = box.start_run()
    _here(box, running)
    running.kill()
    for pid in box.alive():
        with contextlib.suppress(ProcessLookupError):  # the shim takes its agent along
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not box.alive())
    assert box.read("src/a") == "broken\n"
    assert box.run().code == 0
    assert box.read(".git/seen.2") == box.read(".git/seen.1")


def _here(box: Sandbox, running: Running) -> None:
    def here() -> bool:
        assert running.process.poll() is None, running.out + running.err
        return (box.folder / ".git/here").exists()

    wait_for(here)
