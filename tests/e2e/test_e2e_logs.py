"""What agents print: kept whole, shown harmless, and never a burden for the coordinator."""

from __future__ import annotations

import re

import pytest
from sandbox import MARK, PATIENCE, Sandbox, phase, wait_for

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _printing(box: Sandbox, data: bytes, *, code: int = 0) -> None:
    (box.folder / "data").write_bytes(data)
    box.plan(phase("p", f"cat data; exit {code}"))


def _raw(box: Sandbox) -> bytes:
    (log,) = box.folder.glob(".wavecrew/runs/*/p/1/log")
    return log.read_bytes()


def test_what_an_agent_prints_is_in_its_log(box: Sandbox) -> None:
    box.plan(phase("p", "echo to stdout; echo to stderr >&2"))
    assert box.run().code == 0
    assert box.wavecrew("logs", "p").out == "to stdout\nto stderr\n"
    assert box.wavecrew("logs", "Phase p", "-n", "1").out == "to stderr\n"


def test_the_task_is_on_standard_input(box: Sandbox) -> None:
    box.plan(phase("p", "cat", description="Build the thing.", writes=["made"], checks=["touch made"]))
    box.run()
    shown = box.wavecrew("logs", "p").out
    assert "Build the thing." in shown
    assert "made" in shown


def test_logs_of_one_phase_do_not_reach_another(box: Sandbox) -> None:
    box.plan(phase("a", "echo from a"), phase("b", "echo from b"))
    box.run()
    assert box.wavecrew("logs", "a").out == "from a\n"
    assert box.wavecrew("logs", "b").out == "from b\n"


HOSTILE = (
    b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m \x9b1mbold \x1b]52;c;cGFzc3dk\x07clip\n"
    b"\xff\xfe not utf-8 \x80\n"
    b"\x1bP$q\x1b\\device \x08\x08\x08back\n"
)


def test_control_sequences_and_broken_text_are_shown_harmless(box: Sandbox) -> None:
    _printing(box, HOSTILE, code=1)
    done = box.run()
    assert done.code == 1
    for shown in (
        done.out,
        box.wavecrew("logs", "p").out,
        box.wavecrew("logs", "p", "-n", "5").out,
        box.wavecrew("logs", "--failed").out,
        box.wavecrew("status").out,
    ):
        assert not _CONTROL.search(shown)
        assert "owned" not in shown
        assert "cGFzc3dk" not in shown
    assert "red bold" in box.wavecrew("logs", "p").out.replace("\ufffd1m", "")


def test_raw_gives_every_byte(box: Sandbox) -> None:
    _printing(box, HOSTILE)
    box.run()
    assert _raw(box) == HOSTILE
    shown = box.start("logs", "p", "--raw")
    assert shown.process.wait(PATIENCE) == 0
    assert shown.out_file.read_bytes() == HOSTILE


@pytest.mark.parametrize("lines", [(), ("-n", "3")], ids=["all", "the last lines"])
def test_what_lies_across_the_blocks_of_a_long_log_stays_whole(box: Sandbox, lines: tuple[str, ...]) -> None:
    # every block size of a power of two up to 1 MiB falls into one of these sequences and letters
    unit = "\x1b[38;5;208mä€\U0001f600\x1b]0;title\x07".encode()
    _printing(box, unit * (2_000_000 // len(unit) // 40) + b"\n")
    box.run()
    shown = box.wavecrew("logs", "p", *lines).out
    assert not _CONTROL.search(shown)
    assert set(shown) == set("ä€\U0001f600\n")


def test_a_flood_does_not_burden_the_coordinator(box: Sandbox) -> None:
    size = 100
    flood = f"{MARK}\ntouch here; until [ -e go ]; do sleep 0.02; done; head -c {size}000000 /dev/zero | tr '\\0' 'x'"
    box.plan({"id": "flood", "command": ["sh", "-c", flood]}, phase("other", "until [ -e go ]; do sleep 0.02; done"))
    running = box.start_run()
    wait_for(lambda: (box.folder / "here").exists())
    before = _memory(running.pid)
    (box.folder / "go").touch()
    most = before

    def over() -> bool:
        nonlocal most
        most = max(most, _memory(running.pid))
        return running.process.poll() is not None

    wait_for(over)
    assert running.end().code == 0
    (log,) = box.folder.glob(".wavecrew/runs/*/flood/1/log")
    assert log.stat().st_size == size * 1_000_000
    assert most < 120, f"{most:.0f} MB"
    assert most - before < 20, f"grew by {most - before:.0f} MB"
    log.unlink()


def _memory(pid: int) -> float:
    """Resident megabytes; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            found = re.search(r"VmRSS:\s+(\d+) kB", status.read())
    except OSError:
        return 0.0
    return int(found.group(1)) / 1000 if found else 0.0


def test_a_failed_phase_with_a_flood_is_told_in_few_lines(box: Sandbox) -> None:
    box.plan(phase("p", "head -c 5000000 /dev/zero | tr '\\0' 'x'; seq 1 1000; exit 3"))
    done = box.run()
    assert done.code == 1
    assert len(done.out) < 10_000
    assert "  | 1000" in done.out


def test_following_a_log_ends_with_the_attempt(box: Sandbox) -> None:
    box.plan(phase("p", "echo begin; touch here; until [ -e go ]; do sleep 0.02; done; echo end"))
    running = box.start_run()
    wait_for(lambda: (box.folder / "here").exists())
    follower = box.start("logs", "p", "--follow")
    wait_for(lambda: "begin" in follower.out)
    (box.folder / "go").touch()
    assert follower.end().out == "begin\nend\n"
    assert running.end().code == 0


def test_a_phase_that_has_not_started_has_no_log(box: Sandbox) -> None:
    box.plan(phase("a", "exit 1"), phase("b", needs=["a"]))
    box.run()
    none = box.wavecrew("logs", "b")
    assert none.code == 4
    assert "not been started" in none.err
    assert box.wavecrew("logs", "a", "--attempt", "9").code == 4
