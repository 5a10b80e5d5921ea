"""`wavecrew lock` and `wavecrew locks`: locks for scripts, who holds what, and taking a lock from the dead."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from sandbox import Running, Sandbox, wait_for

HOLD = "touch held; until [ -e give ]; do sleep 0.02; done; echo end >> order"


@pytest.fixture
def holder(box: Sandbox) -> Running:
    """Somebody who holds `src/` until the file `give` is there."""
    running = box.start("lock", "src/", "--", "sh", "-c", HOLD)
    wait_for(lambda: (box.folder / "held").exists(), "the lock to be held")
    return running


def give(box: Sandbox) -> None:
    (box.folder / "give").touch()


def fence(box: Sandbox) -> str:
    (lock,) = box.wavecrew("locks", "list", "--json").json["locks"]
    return str(lock["fence"])


def locks(box: Sandbox) -> str:
    return box.wavecrew("locks", "list").out


# -- lock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 37"], 37),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["sh", "-c", "kill -9 $$"], 137),
    ],
    ids=["good", "exit code", "signal", "kill"],
)
def test_the_exit_code_is_that_of_the_command(box: Sandbox, command: Sequence[str], code: int) -> None:
    done = box.wavecrew("lock", "a", "b", "--", *command)
    assert done.code == code, done
    assert (done.out, done.err) == ("", "")
    assert locks(box) == "0 locks, 0 waiters\n"


def test_the_command_has_its_input_and_output_to_itself(box: Sandbox) -> None:
    done = box.wavecrew("lock", "a", "--", "cat", "-", text="what goes in\n")
    assert (done.code, done.out) == (0, "what goes in\n")
    assert box.wavecrew("lock", "a", "--", "echo", "--", "-x", "--timeout").out == "-- -x --timeout\n"


def test_those_who_want_one_thing_take_turns_and_say_so(box: Sandbox, holder: Running) -> None:
    waiter = box.start("lock", "src/deep/a.py", "other", "--", "sh", "-c", "echo begin >> order")
    wait_for(lambda: waiter.err, "the waiter to tell for whom it waits")
    assert waiter.err == "waiting for src/deep/a.py, other: held by command sh\n"
    table = locks(box)
    assert "src/" in table
    assert "command sh waits " in table
    assert table.endswith("1 lock, 1 waiter\n"), "nothing is held by halves"
    give(box)
    assert waiter.end().code == 0
    assert holder.end().code == 0
    assert box.read("order") == "end\nbegin\n"


def test_readers_go_together_and_keep_writers_out(box: Sandbox) -> None:
    reader = box.start("lock", "--shared", "f", "--", "sh", "-c", HOLD)
    wait_for(lambda: (box.folder / "held").exists())
    assert box.wavecrew("lock", "--shared", "--timeout", "0", "f", "--", "true").code == 0
    refused = box.wavecrew("lock", "--timeout", "0", "f", "--", "true")
    assert refused.code == 1
    give(box)
    assert reader.end().code == 0


def test_places_are_counted(box: Sandbox) -> None:
    first = box.start("lock", "slot:gpu/2", "--", "sh", "-c", HOLD)
    wait_for(lambda: (box.folder / "held").exists())
    second = box.start("lock", "slot:gpu/2", "--", "sh", "-c", HOLD.replace("held", "held2"))
    wait_for(lambda: (box.folder / "held2").exists())
    assert box.wavecrew("lock", "--timeout", "0", "slot:gpu/2", "--", "true").code == 1
    assert box.wavecrew("lock", "--timeout", "0", "slot:gpu/3", "--", "true").code == 1, "the smaller number counts"
    assert box.wavecrew("lock", "--timeout", "0", "slot:cpu/2", "--", "true").code == 0
    give(box)
    assert (first.end().code, second.end().code) == (0, 0)


def test_who_does_not_get_it_in_time_names_the_holder_and_starts_nothing(box: Sandbox, holder: Running) -> None:
    refused = box.wavecrew("lock", "--timeout", "0.2", "src/", "--", "touch", "started")
    assert refused.code == 1
    assert "src/ is held by command sh" in refused.err
    assert "wavecrew locks list" in refused.err
    assert not (box.folder / "started").exists()
    assert locks(box).endswith("1 lock, 0 waiters\n")
    quiet = box.wavecrew("--quiet", "lock", "--timeout", "0", "src/", "--", "true")
    assert "waiting for" not in quiet.err


@pytest.mark.parametrize(
    "words",
    [
        ["a"],
        ["--"],
        ["a", "--"],
        ["--", "true"],
        ["--timeout", "nan", "a", "--", "true"],
        ["--timeout", "-1", "a", "--", "true"],
        ["--timeout", "inf", "a", "--", "true"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(box: Sandbox, words: list[str]) -> None:
    assert box.wavecrew("lock", *words).code == 2
    assert not (box.folder / ".wavecrew").exists()


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "slot:gpu/0", ""])
def test_what_cannot_be_locked_is_refused(box: Sandbox, path: str) -> None:
    refused = box.wavecrew("lock", path, "--", "touch", "started")
    assert refused.code == 3, refused
    assert not (box.folder / "started").exists()


def test_a_command_that_cannot_be_started_leaves_no_lock(box: Sandbox) -> None:
    refused = box.wavecrew("lock", "a", "--", "no-such-program")
    assert refused.code == 8
    assert "no-such-program cannot be started" in refused.err
    assert locks(box) == "0 locks, 0 waiters\n"


# -- signals ----------------------------------------------------------------------------------------------------

TIDY = """trap 'until [ -e tidy ]; do sleep 0.02; done; echo tidied >> order; exit 5' {0}
touch held; while :; do sleep 0.02; done"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_lock_is_held_until_the_command_has_ended_in_good_order(box: Sandbox, number: signal.Signals) -> None:
    running = box.start("lock", "f", "--", "sh", "-c", TIDY.format(number.name[3:]))
    wait_for(lambda: (box.folder / "held").exists())
    running.send(number)
    waiter = box.start("lock", "f", "--", "sh", "-c", "echo next >> order")
    wait_for(lambda: waiter.err, "the next to wait")
    (box.folder / "tidy").touch()
    assert running.end().code == 5
    assert waiter.end().code == 0
    assert box.read("order") == "tidied\nnext\n"


def test_a_ctrl_c_reaches_the_command_and_its_lock_is_given_back_after_it(box: Sandbox) -> None:
    running = box.start("lock", "f", "--", "sh", "-c", TIDY.format("INT"))
    wait_for(lambda: (box.folder / "held").exists())
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does; it is the first of its group
    waiter = box.start("lock", "f", "--", "sh", "-c", "echo next >> order")
    wait_for(lambda: waiter.err)
    (box.folder / "tidy").touch()
    assert running.end().code == 5
    assert waiter.end().code == 0
    assert box.read("order") == "tidied\nnext\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_who_is_ended_while_it_waits_leaves_the_queue(
    box: Sandbox, holder: Running, number: signal.Signals, code: int
) -> None:
    waiter = box.start("lock", "src/", "--", "touch", "started")
    wait_for(lambda: waiter.err)
    waiter.send(number)
    assert waiter.end().code == code
    assert locks(box).endswith("1 lock, 0 waiters\n")
    give(box)
    holder.end()
    assert not (box.folder / "started").exists()


def test_a_killed_holder_takes_its_command_with_it_and_the_next_goes_on(box: Sandbox, holder: Running) -> None:
    waiter = box.start("lock", "src/", "--", "sh", "-c", "echo next >> order")
    wait_for(lambda: waiter.err)
    holder.kill()
    assert waiter.end().code == 0
    give(box)
    assert box.read("order") == "next\n"


# -- locks ------------------------------------------------------------------------------------------------------


def test_why_something_is_not_to_be_had(box: Sandbox, holder: Running) -> None:
    for path in ("src/", "src/a.py", "./src/../src/b", "src/*.py", "./"):
        told = box.wavecrew("locks", "why", path)
        assert told.code == 0
        assert told.out.startswith(f"{path} is not free:\n"), told
        assert "command sh" in told.out
    assert box.wavecrew("locks", "why", "other").out == "other is free\n"
    data = box.wavecrew("locks", "why", "src/x", "--json").json
    assert (data["free"], [one["resource"] for one in data["held_by"]]) == (False, ["src/"])
    assert box.wavecrew("locks", "why", "../x").code == 3


def test_a_full_pool_is_told_with_its_holders(box: Sandbox) -> None:
    first = box.start("lock", "slot:gpu/2", "--", "sh", "-c", HOLD)
    wait_for(lambda: (box.folder / "held").exists())
    assert box.wavecrew("locks", "why", "slot:gpu/2").out == "slot:gpu/2 is free\n"
    second = box.start("lock", "slot:gpu/2", "--", "sh", "-c", HOLD.replace("held", "held2"))
    wait_for(lambda: (box.folder / "held2").exists())
    assert "is not free" in box.wavecrew("locks", "why", "slot:gpu/2").out
    assert "2 locks" in box.wavecrew("locks", "why", "slot:gpu/2").out
    give(box)
    first.end()
    second.end()


WHY = ("--reason", "it hangs")


def test_a_living_owner_keeps_its_lock(box: Sandbox, holder: Running) -> None:
    for force in ([], ["--force"]):
        refused = box.wavecrew("locks", "break", fence(box), *WHY, *force)
        assert refused.code == 1, refused
        assert "command sh is alive" in refused.err
    assert locks(box).endswith("1 lock, 0 waiters\n")
    (shown,) = box.wavecrew("locks", "list", "--json").json["locks"]
    assert (shown["owner"], shown["owner_reason"]) == ("alive", f"process {holder.pid} is there")


def test_a_dead_owner_loses_it(box: Sandbox, holder: Running) -> None:
    holder.kill()
    number = fence(box)
    told = locks(box)
    assert f"command sh is dead: process {holder.pid} has ended; it loses the lock" in " ".join(told.split())
    assert max(len(line) for line in told.splitlines()) <= 80
    assert box.wavecrew("locks", "break", number, *WHY).out == f"took the lock {number} from command sh\n"
    again = box.wavecrew("locks", "break", number, *WHY)
    assert again.code == 4
    assert "wavecrew locks list" in again.err
    assert f"{number} of command sh was broken by" in locks(box)
    assert "it hangs" in locks(box)


@pytest.mark.parametrize("words", [[], ["--reason"], ["--reason", " "]], ids=repr)
def test_a_lock_is_not_broken_without_a_reason(box: Sandbox, holder: Running, words: list[str]) -> None:
    holder.kill()
    assert box.wavecrew("locks", "break", fence(box), *words).code in (2, 3)
    assert "1 lock" in locks(box)


def test_an_owner_that_cannot_be_seen_loses_it_only_by_force(box: Sandbox, holder: Running) -> None:
    with sqlite3.connect(box.folder / ".wavecrew/state.db") as db:
        db.execute("UPDATE request SET host = 'elsewhere'")
    number = fence(box)
    told = " ".join(locks(box).split())
    assert "command sh is suspect: it is on host elsewhere, which cannot be seen from here" in told
    assert f"wavecrew locks break {number} --force --reason WHY" in told
    assert box.wavecrew("locks", "why", "src/x", "--json").json["held_by"][0]["owner"] == "suspect"
    refused = box.wavecrew("locks", "break", number, *WHY)
    assert refused.code == 1
    assert "elsewhere" in refused.err
    assert "--force" in refused.err
    broken = box.wavecrew("locks", "break", number, *WHY, "--force", "--json").json
    assert (broken["holder"], broken["reason"]) == ("command sh", "it hangs")
    assert locks(box).endswith("0 locks, 0 waiters\n")
    (kept,) = box.wavecrew("locks", "list", "--json").json["broken"]
    assert (kept["fence"], kept["resources"], kept["reason"]) == (int(number), ["src/"], "it hangs")
    give(box)
    ended = holder.end()
    assert ended.code == 0, "giving back what is gone is no fault"
    assert "the lock was broken by" in ended.err, "but its command may have been trampled on"


def test_where_there_is_no_state_nothing_is_made(box: Sandbox) -> None:
    assert box.wavecrew("locks").code in (0, 4)
    assert not Path(box.folder / ".wavecrew").exists()


@pytest.mark.parametrize("words", [("a", "--timeout", "0"), ("--timeot", "0", "a"), ("a", "--shared")])
def test_an_option_in_the_wrong_place_is_not_taken_for_a_file(box: Sandbox, words: tuple[str, ...]) -> None:
    refused = box.wavecrew("lock", *words, "--", "touch", "done")
    assert refused.code == 2
    assert "options stand before the first PATH" in refused.err
    assert not (box.folder / "done").exists()
    assert box.wavecrew("lock", "./--shared", "--", "touch", "done").code == 0
