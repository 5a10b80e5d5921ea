"""What is printed, for people and for programs."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from sandbox import PATIENCE, Sandbox, phase, wait_for

from wavecrew.models.execution_state import replay
from wavecrew.models.stored_events import from_record

_PUBLISHED = {"run", "status", "phases"}
_PUBLISHED_OF_PHASES = {"id", "status", "reason", "attempts"}
LOOKS = (
    ("plan", "plan.json"),
    ("check", "plan.json"),
    ("status",),
    (),
    ("report",),
    ("runs", "list"),
    ("runs", "show"),
    ("locks", "list"),
    ("agents", "list"),
    ("config", "show", "--origin"),
    ("doctor",),
    ("explain", "c", "--plan", "plan.json"),
    ("explain", "WC104"),
    ("logs", "--failed"),
    ("run", "plan.json", "--dry-run"),
    ("--help",),
    ("run", "--help"),
)


@pytest.fixture
def mixed(box: Sandbox) -> Sandbox:
    """A sandbox with a run that has everything: done, failed, held up, tried twice."""
    box.plan(
        _job("a", "Lay the foundations", "mkdir -p src; touch src/one.py", writes=["src/one.py"], estimate="2h"),
        _job("b", "Build the reader of plans", "touch src/two.py", needs=["a"], writes=["src/two.py"], estimate="3h"),
        _job("c", "Write the documentation", "echo no idea; exit 3", needs=["a"], estimate="90m", retries=1),
        _job("d", "Ship", "true", needs=["b", "c"], estimate="15m"),
    )
    assert box.run().code == 1
    return box


def _job(name: str, title: str, script: str, **keys: Any) -> dict[str, Any]:
    return {**phase(name, **keys), "name": title, "command": ["sh", "-c", script]}


def test_json_lines_are_events_that_replay(box: Sandbox) -> None:
    box.plan(phase("a", "touch a", writes=["a"]), phase("b", "exit 1", needs=["a"], retries=1), phase("c", needs=["b"]))
    done = box.run("--ui", "jsonl")
    assert done.code == 1
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [record.pop("seq") for record in records] == list(range(1, len(records) + 1))
    assert len({record.pop("run") for record in records[1:]}) == 1
    state = replay(map(from_record, records))
    assert {name: str(found.status) for name, found in state.phase_states.items()} == box.statuses()
    assert state.end_time is not None


def test_json_lines_of_a_run_that_goes_on_are_numbered_on(box: Sandbox) -> None:
    box.plan(phase("a", "exit 1"))
    first = box.run("--ui", "jsonl").out.splitlines()
    second = [json.loads(line)["seq"] for line in box.run("--json").out.splitlines()]
    assert second == list(range(len(first) + 1, len(first) + 1 + len(second)))


def test_status_has_its_published_keys(mixed: Sandbox) -> None:
    status = mixed.status()
    assert status.keys() >= _PUBLISHED
    assert all(one.keys() >= _PUBLISHED_OF_PHASES for one in status["phases"])
    assert {one["id"]: one["status"] for one in status["phases"]} == {
        "a": "COMPLETED",
        "b": "COMPLETED",
        "c": "FAILED",
        "d": "NOT_STARTED",
    }
    assert [one["attempts"] for one in status["phases"]] == [1, 1, 2, 0]


def test_runs_are_listed_and_shown(mixed: Sandbox) -> None:
    (run,) = mixed.wavecrew("runs", "list", "--json").json["runs"]
    assert run["status"] == "failed"
    assert (run["done"], run["total"]) == (2, 4)
    assert run["run"] in mixed.wavecrew("runs", "list").out
    for reference in (run["run"], run["run"][:3], str(run["number"]), "latest"):
        shown = mixed.wavecrew("runs", "show", reference)
        assert shown.code == 0
        assert "Write the documentation" in shown.out
        assert mixed.wavecrew("runs", "show", reference, "--json").json["run"] == run["run"]


def test_report_for_people_and_programs(mixed: Sandbox) -> None:
    report = mixed.wavecrew("report", "--format", "json")
    assert report.code == 0
    assert isinstance(report.json, dict)
    text = mixed.wavecrew("report")
    assert text.code == 0
    assert "documentation" in text.out
    assert mixed.wavecrew("report", "-o", "report.txt").code == 0
    assert mixed.read("report.txt").strip() == text.out.strip()


def test_explain(mixed: Sandbox) -> None:
    told = mixed.wavecrew("explain", "d", "--plan", "plan.json").out
    assert "Ship" in told
    assert "stuck" in told
    assert "c" in told
    cycle = mixed.wavecrew("explain", "wc104")
    assert cycle.code == 0
    assert "WC104" in cycle.out
    assert mixed.wavecrew("explain", "WC999").code == 4


def test_no_line_is_wider_than_eighty_columns_and_none_has_colour(mixed: Sandbox) -> None:
    wide = []
    for arguments in LOOKS:
        shown = mixed.wavecrew(*arguments, env={"COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm-256color"})
        assert "\x1b" not in shown.out + shown.err, arguments
        lines = [line for line in shown.out.splitlines() if str(mixed.folder) not in line]
        wide += [f"{' '.join(arguments)}: {line}" for line in lines if _columns(line) > 80]
    assert not wide, "\n".join(wide)


def test_no_line_of_a_run_is_wider_than_eighty_columns(mixed: Sandbox) -> None:
    done = mixed.run("--force")
    wide = [line for line in done.out.splitlines() if _columns(line) > 80]
    assert not wide, "\n".join(wide)


def _columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def test_output_into_head(mixed: Sandbox) -> None:
    for arguments in (("plan", "plan.json"), ("status",), ("report",), ("logs", "c"), ("--help",)):
        done = _shell(mixed, f'"{sys.executable}" -m wavecrew "$@" | head -n 1', *arguments)
        for word in ("Traceback", "rokenPipe", "bug"):
            assert word not in done.stderr, (arguments, done.stderr)


def _shell(box: Sandbox, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command, "sh", *arguments],
        cwd=box.folder,
        env=box.environment(),
        capture_output=True,
        timeout=PATIENCE,
        text=True,
        check=False,
    )


def test_a_reader_who_goes_away_does_not_end_a_run(box: Sandbox) -> None:
    many = [phase(f"p{number}", f"touch f{number}", needs=[f"p{number - 1}"] if number else []) for number in range(8)]
    box.plan(*many)
    command = f'("{sys.executable}" -m wavecrew run plan.json --yes --wave-delay-seconds 0; echo $? > code) | head -n 1'
    done = _shell(box, command)
    wait_for(lambda: box.read("code"))
    assert box.read("code").strip() == "0"
    assert "Traceback" not in done.stderr
    assert set(box.statuses().values()) == {"COMPLETED"}


@pytest.mark.parametrize("closed", [">&-", "<&-", ">&- 2>&- <&-", ">/dev/full"])
def test_closed_and_full_streams(box: Sandbox, closed: str) -> None:
    box.plan(phase("a", "echo hello; touch a", writes=["a"]), phase("b", "touch b", needs=["a"]))
    command = f'"{sys.executable}" -m wavecrew run plan.json --yes --wave-delay-seconds 0 {closed}'
    done = _shell(box, command)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done
    assert set(box.statuses().values()) == {"COMPLETED"}
    assert box.wavecrew("logs", "a").out == "hello\n"
    looked = _shell(box, f'"{sys.executable}" -m wavecrew status {closed}')
    assert "Traceback" not in looked.stderr
    assert "bug" not in looked.stderr


def test_a_terminal_that_knows_ascii_only(mixed: Sandbox) -> None:
    mixed.plan(_job("ä", "Prüfung 漢字", "echo ü"), path="other.json")
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert mixed.run(plan="other.json", env=env).code == 0
    for arguments in (
        ("plan", "other.json"),
        ("status",),
        ("report",),
        ("runs", "show"),
        ("run", "--dry-run", "--force"),
    ):
        shown = mixed.wavecrew(*arguments, env=env)
        assert (shown.out + shown.err).isascii(), (arguments, shown)


def test_a_live_view_on_a_terminal_ends_with_the_same_words(box: Sandbox) -> None:
    box.plan(phase("a", "touch a", writes=["a"]), phase("b", "exit 1", needs=["a"]))
    text, code = _on_a_terminal(box, "run", "plan.json", "--yes", "--wave-delay-seconds", "0")
    assert code == 1
    assert "Traceback" not in text
    assert "next: wavecrew logs b" in re.sub(r"\x1b\[\d+m", "", text), "the word may have a colour"
    assert "\x1b[?25l" not in text or "\x1b[?25h" in text.rpartition("\x1b[?25l")[2]


def test_somebody_who_can_be_asked_is_asked(box: Sandbox) -> None:
    box.plan(phase("a", "touch a"))
    text, code = _on_a_terminal(box, "run", "plan.json", "--wave-delay-seconds", "0", typed="n\n")
    assert "Run them?" in text
    assert code == 5
    assert box.ran() == []
    _, code = _on_a_terminal(box, "run", "plan.json", "--wave-delay-seconds", "0", typed="y\n")
    assert code == 0
    assert box.ran() == ["a"]


def _on_a_terminal(box: Sandbox, *arguments: str, typed: str = "") -> tuple[str, int]:
    """The command on a terminal of 80 columns, and what it wrote there."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "wavecrew", *arguments],
        cwd=box.folder,
        env=box.environment({"TERM": "xterm-256color"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    found = b""
    try:
        while piece := _piece(ours):
            found += piece
        code = process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return found.decode("utf-8", errors="replace"), code


def _piece(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the last one on the other side has closed it
        return b""


def _obey_permissions() -> None:
    """Root may write everywhere; without these two capabilities the program that comes next may not."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def test_looking_at_a_state_folder_that_cannot_be_written(mixed: Sandbox) -> None:
    folders = [mixed.folder, *(path for path in mixed.folder.rglob("*") if path.is_dir())]
    for path in (*mixed.folder.rglob("*"), mixed.folder):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        for arguments in (["status"], ["runs", "list"], ["logs", "c"], ["report"], ["run", "plan.json", "--yes"]):
            done = subprocess.run(
                [sys.executable, "-m", "wavecrew", *arguments],
                cwd=mixed.folder,
                env=mixed.environment(),
                capture_output=True,
                timeout=PATIENCE,
                text=True,
                check=False,
                preexec_fn=_obey_permissions if os.geteuid() == 0 else None,
            )
            assert "Traceback" not in done.stderr, done.stderr
            assert done.returncode in (0, 8), (arguments, done)
            assert done.returncode == 0 or "fix:" in done.stderr, (arguments, done)
            assert arguments[0] != "run" or done.returncode == 8
    finally:
        for path in folders:
            path.chmod(0o700)


def test_json_is_printed_where_it_is_asked_for(box: Sandbox) -> None:
    file = box.write("wavecrew.toml", "retries = 1\n")
    assert box.wavecrew("explain", "WC104", "--json").json["code"] == "WC104"
    assert {"path": str(file), "read": True} in box.wavecrew("config", "path", "--json").json["files"]
    valid = {"valid": True, "read": ["wavecrew.toml"], "diagnostics": []}
    assert box.wavecrew("config", "validate", "--json").json == valid


def test_json_lines_have_no_words_for_people_among_them(box: Sandbox) -> None:
    box.plan(phase("a", "test -e here"))
    box.run()
    box.write("here", "")
    taken = box.wavecrew("resume", "plan.json", "--yes", "--json")
    assert taken.code == 0
    assert "again" in taken.err
    assert [json.loads(line)["kind"] for line in taken.out.splitlines()][-1] == "RunFinished"
    done = box.wavecrew("run", "plan.json", "--json")
    assert (done.code, done.out) == (0, "")
    assert "nothing to do" in done.err


@pytest.mark.parametrize("group", ["", "agents", "config", "locks", "runs"])
def test_what_a_command_is_for_is_not_cut_in_the_list_of_commands(box: Sandbox, group: str) -> None:
    shown = box.wavecrew(*group.split(), "--help").out
    head = "Commands:" if group else "Have a say in a run:"
    assert head in shown
    assert "..." not in shown.partition(head)[2]
