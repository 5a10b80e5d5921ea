"""The shim beside an agent, with real processes: results, endings, files, and who may start."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core_builders import PATIENCE, eventually, prepared_attempt, shell
from wavecrew.core import shim
from wavecrew.core.attempts import Fate, Result, fate_of, read_progress, read_result, shim_pid
from wavecrew.core.liveness import is_locked, marked_processes, start_ticks
from wavecrew.models.invocation import JobStep, JobStepKind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are followed to their end on Linux")

CHECK = JobStepKind.CHECK


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A shim at work; whatever is left of its tree is killed at the end."""
    process = subprocess.Popen([sys.executable, "-I", "-S", shim.__file__, str(folder)], start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pid in marked_processes(folder):
            os.kill(pid, signal.SIGKILL)


def run(folder: Path) -> int:
    """Let a shim end by itself; gives its exit code."""
    return subprocess.run(
        [sys.executable, "-I", "-S", shim.__file__, str(folder)], timeout=PATIENCE, check=False
    ).returncode


def result_of(folder: Path) -> Result:
    found = read_result(folder)
    assert found is not None
    return found


def log(folder: Path) -> bytes:
    return (folder / "log").read_bytes()


# -- results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 126, 127, 137, 255])
def test_the_exit_code_of_the_agent_is_the_result(tmp_path: Path, code: int) -> None:
    folder = prepared_attempt(tmp_path / "1", shell(f"exit {code}"))

    assert run(folder) == 0

    assert (result_of(folder).code, result_of(folder).cause) == (code, "exit" if code else "")
    assert fate_of(folder) is Fate.ENDED
    assert {path.name for path in folder.iterdir()} == {"job.json", "lock", "started", "progress", "log", "exit"}


def test_an_agent_that_dies_of_a_signal_failed(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("kill -KILL $$"))

    run(folder)

    assert (result_of(folder).code, result_of(folder).cause) == (-signal.SIGKILL, "exit")


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("no-such-program-anywhere", "x"), "No such file"),
        (("/etc/passwd",), "Permission denied"),
        (("/bin/echo", "x" * 200_000), "Argument list too long"),
    ],
)
def test_a_program_that_cannot_be_started_is_told_apart(tmp_path: Path, argv: tuple[str, ...], reason: str) -> None:
    folder = prepared_attempt(tmp_path / "1", JobStep(JobStepKind.AGENT, "agent", argv))

    run(folder)

    found = result_of(folder)
    assert (found.code, found.cause) == (127, "start")
    assert reason in found.detail
    assert reason.encode() in log(folder)


def test_a_workspace_that_is_gone_is_a_failed_start(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("true"))
    (tmp_path / "ws").rmdir()

    run(folder)

    assert result_of(folder).cause == "start"


def test_steps_run_in_order_until_one_fails(tmp_path: Path) -> None:
    steps = [shell("echo one; echo 1 >> ran"), shell("echo 2 >> ran; exit 4", CHECK), shell("echo 3 >> ran")]
    folder = prepared_attempt(tmp_path / "1", *steps)

    run(folder)

    assert (tmp_path / "ws" / "ran").read_text() == "1\n2\n"
    found = result_of(folder)
    assert (found.code, found.cause, found.title) == (4, "check", steps[1].title)
    assert log(folder).splitlines()[:2] == [b"-- 1/3 run echo one; echo 1 >> ran", b"one"]
    progress = read_progress(folder)
    assert progress is not None
    assert (progress.step, progress.of) == (2, 3)


def test_input_arrives_and_output_of_both_kinds_is_kept_byte_by_byte(tmp_path: Path) -> None:
    text = "".join(map(chr, range(1, 0x300))) + "\udcff\udc80 no newline at the end"
    folder = prepared_attempt(tmp_path / "1", shell("cat; cat >&2 <<'E'\nerror\nE\nprintf '\\000\\377'", stdin=text))

    run(folder)

    assert log(folder) == text.encode(errors="surrogateescape") + b"error\n\x00\xff"


def test_a_flood_of_output_is_kept_whole(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("head -c 30000000 /dev/zero"))

    run(folder)

    assert (folder / "log").stat().st_size == 30_000_000
    assert result_of(folder).code == 0


def test_without_input_the_agent_reads_an_end(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("cat; echo read"))

    run(folder)

    assert log(folder) == b"read\n"


def test_the_environment_is_exactly_the_given_one_and_is_gone_from_the_disk(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("[ ! -e ../1/env.json ] && env"), env={"SECRET": "s3cret é"})

    run(folder)

    assert b"SECRET=s3cret \xc3\xa9\n" in log(folder)
    names = {line.partition(b"=")[0] for line in log(folder).splitlines()}
    assert names - {b"PWD", b"OLDPWD", b"SHLVL", b"_"} == {b"PATH", b"WAVECREW_ATTEMPT", b"SECRET"}
    assert not any(b"s3cret" in path.read_bytes() for path in folder.iterdir() if path.name != "log")


def test_no_descriptor_of_the_shim_reaches_the_agent(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("ls /proc/self/fd"))

    run(folder)

    # 3 is the folder that ls itself has open
    assert log(folder).split() == [b"0", b"1", b"2", b"3"]


# -- endings ----------------------------------------------------------------------------------------------------

DAEMONS = (
    "(setsid sh -c 'echo $$ >> pids; exec sleep 1000' &) ; sh -c 'sh -c \"echo \\$\\$ >> pids; exec sleep 1000\" &'"
)
"""Two processes that outlive their parents, one of them in a session of its own."""
BOTH_UP = "until [ $(cat pids 2> /dev/null | wc -l) = 2 ]; do sleep 0.01; done"


def daemons(folder: Path) -> list[int]:
    """The pids of both, as soon as they are known."""
    path = folder.parent / "ws" / "pids"
    lines = eventually(lambda: path.exists() and len(found := path.read_text().split()) == 2 and found)
    return [int(line) for line in lines]


def gone(pid: int) -> bool:
    return start_ticks(pid) is None


def test_what_an_agent_leaves_behind_is_ended_and_its_exit_code_kept(tmp_path: Path) -> None:
    script = f"{DAEMONS}; {BOTH_UP}; exit 3"
    folder = prepared_attempt(tmp_path / "1", shell(script))

    run(folder)

    assert (result_of(folder).code, result_of(folder).cause) == (3, "exit")
    assert result_of(folder).strays == 2
    assert all(map(gone, daemons(folder)))


def test_what_one_step_leaves_behind_is_gone_before_the_next(tmp_path: Path) -> None:
    wait = f"{DAEMONS}; {BOTH_UP}"
    folder = prepared_attempt(
        tmp_path / "1", shell(wait), shell("for p in $(cat pids); do kill -0 $p && exit 1; done; true")
    )

    run(folder)

    assert result_of(folder).code == 0


def test_a_time_limit_ends_the_whole_tree(tmp_path: Path) -> None:
    script = f"{DAEMONS}; exec sleep 1000"
    for limit in (0.5, 5.0, 50.0):  # on a slow machine the first may be over before there is much to end
        folder = prepared_attempt(tmp_path / str(limit) / "1", shell(script), shell("touch next"), timeout=limit)

        run(folder)

        assert (result_of(folder).code, result_of(folder).cause) == (-signal.SIGTERM, "timeout")
        assert marked_processes(folder) == []
        assert not (folder.parent / "ws" / "next").exists()
        pids = folder.parent / "ws" / "pids"
        if pids.exists() and len(pids.read_text().split()) == 2:
            break
    assert all(map(gone, daemons(folder)))


def test_a_time_limit_of_nothing_ends_at_once(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("exec sleep 1000"), timeout=0)

    run(folder)

    assert result_of(folder).cause == "timeout"


STUBBORN = "trap '' TERM; touch up; while :; do sleep 1000; done"


def test_an_agent_that_ignores_term_is_killed_after_the_grace_time(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell(STUBBORN), grace=0.1)
    with started(folder) as process:
        eventually((tmp_path / "ws" / "up").exists)

        process.terminate()

        assert process.wait(PATIENCE) == 0
    assert (result_of(folder).code, result_of(folder).cause) == (-signal.SIGKILL, "stopped")


def test_a_second_term_cuts_the_grace_time_short(tmp_path: Path) -> None:
    script = "trap 'touch asked' TERM; touch up; while :; do sleep 0.05; done"
    folder = prepared_attempt(tmp_path / "1", shell(script), grace=10 * PATIENCE)
    with started(folder) as process:
        eventually((tmp_path / "ws" / "up").exists)
        process.terminate()
        eventually((tmp_path / "ws" / "asked").exists)
        assert process.poll() is None

        process.terminate()

        assert process.wait(PATIENCE) == 0
    assert (result_of(folder).code, result_of(folder).cause) == (-signal.SIGKILL, "stopped")


def test_an_agent_that_ends_in_order_may_take_its_grace_time(tmp_path: Path) -> None:
    script = "trap 'echo saved > work; exit 0' TERM; touch up; while :; do sleep 0.02; done"
    folder = prepared_attempt(tmp_path / "1", shell(script), shell("touch next"), grace=10 * PATIENCE)
    with started(folder) as process:
        eventually((tmp_path / "ws" / "up").exists)
        process.terminate()
        assert process.wait(PATIENCE) == 0

    assert (tmp_path / "ws" / "work").read_text() == "saved\n"
    assert (result_of(folder).code, result_of(folder).cause) == (0, "stopped")  # so it is no success
    assert not (tmp_path / "ws" / "next").exists()


def test_a_stopped_agent_is_ended_as_well(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("touch up; kill -STOP $$"), grace=0.1)
    with started(folder) as process:
        eventually((tmp_path / "ws" / "up").exists)
        process.terminate()

        assert process.wait(PATIENCE) == 0
    assert result_of(folder).cause == "stopped"


def test_hangup_and_interrupt_are_not_for_the_agent(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("touch up; while [ ! -e go ]; do sleep 0.02; done; exit 7"))
    with started(folder) as process:
        eventually((tmp_path / "ws" / "up").exists)
        for number in (signal.SIGHUP, signal.SIGINT):
            process.send_signal(number)
        (tmp_path / "ws" / "go").touch()

        assert process.wait(PATIENCE) == 0
    assert (result_of(folder).code, result_of(folder).cause) == (7, "exit")


def test_a_killed_shim_leaves_a_lost_attempt_and_never_a_success(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("echo $$ > pid; exec sleep 1000"))
    with started(folder) as process:
        agent = int(eventually(lambda: (p := tmp_path / "ws" / "pid").exists() and p.read_text()))

        process.kill()
        process.wait(PATIENCE)

        eventually(lambda: gone(agent), "the agent dies with its shim")
    assert fate_of(folder) is Fate.LOST
    assert read_result(folder) is None


def test_a_shim_that_finds_no_job_leaves_no_success(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("true"))
    (folder / "job.json").write_text("{torn")
    with started(folder) as process:
        assert process.wait(PATIENCE) != 0

    assert fate_of(folder) is Fate.LOST


# -- files ------------------------------------------------------------------------------------------------------


def file(path: str, text: str = "new\n") -> JobStep:
    return JobStep(JobStepKind.FILE, f"write {path}", path=path, text=text)


def test_a_file_step_writes_a_file_and_its_folders(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", file("a/b/c.txt", "é\udcff"), file("top"))

    run(folder)

    assert result_of(folder).code == 0
    assert (tmp_path / "ws" / "a" / "b" / "c.txt").read_bytes() == b"\xc3\xa9\xff"
    assert [path.name for path in (tmp_path / "ws" / "a" / "b").iterdir()] == ["c.txt"]


def test_a_file_step_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", file("x"))
    (tmp_path / "victim").write_text("old")
    (tmp_path / "ws" / "x").symlink_to(tmp_path / "victim")

    run(folder)

    assert (tmp_path / "victim").read_text() == "old"
    assert (tmp_path / "ws" / "x").read_text() == "new\n"


@pytest.mark.parametrize("path", ["out/x", "out/new/deep/x", "../x", "../new/x", "/{tmp}/x", "in/../../x", "ws-like/x"])
def test_a_file_step_does_not_leave_the_workspace(tmp_path: Path, path: str) -> None:
    folder = prepared_attempt(tmp_path / "1", file(path.replace("/{tmp}", str(tmp_path))), shell("touch next"))
    (tmp_path / "ws-other").mkdir()
    (tmp_path / "ws" / "out").symlink_to(tmp_path)
    (tmp_path / "ws" / "ws-like").symlink_to(tmp_path / "ws-other")
    before = {path.name for path in tmp_path.iterdir()}

    run(folder)

    assert (result_of(folder).code, result_of(folder).cause) == (127, "start")
    assert "leads out of the workspace" in result_of(folder).detail
    assert {path.name for path in tmp_path.iterdir()} == before  # not even a folder was made
    assert list((tmp_path / "ws-other").iterdir()) == []
    assert not (tmp_path / "ws" / "next").exists()


# -- who may start ------------------------------------------------------------------------------------------------


def test_of_two_shims_on_one_attempt_one_runs(tmp_path: Path) -> None:
    script = "echo ran >> ran; while [ ! -e go ]; do sleep 0.02; done"
    folder = prepared_attempt(tmp_path / "1", shell(script))
    with started(folder) as first:
        eventually((tmp_path / "ws" / "ran").exists)

        assert run(folder) == shim.LOCKED

        (tmp_path / "ws" / "go").touch()
        assert first.wait(PATIENCE) == 0
    assert run(folder) == shim.REFUSED
    assert (tmp_path / "ws" / "ran").read_text() == "ran\n"
    assert result_of(folder).code == 0


def test_of_two_shims_that_start_at_once_one_runs(tmp_path: Path) -> None:
    for number in range(5):
        folder = prepared_attempt(tmp_path / f"{number}", shell(f"echo ran >> {number}"))
        with started(folder) as first, started(folder) as second:
            codes = {first.wait(PATIENCE), second.wait(PATIENCE)}
        assert 0 in codes
        assert codes <= {0, shim.LOCKED, shim.REFUSED}
        assert len(codes) == 2
        assert (tmp_path / "ws" / str(number)).read_text() == "ran\n"


def test_a_lost_attempt_is_never_started_again(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("touch ran"))
    (folder / "started").write_text("{}")

    assert run(folder) == shim.REFUSED

    assert not (tmp_path / "ws" / "ran").exists()


def test_somebody_who_only_looks_at_the_lock_does_not_keep_a_shim_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("true"))
    (folder / "aborted").touch()  # so that it goes no further than to the lock, in this process
    looking = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(shim.time, "sleep", lambda seconds: os.close(looking))

    assert shim.run_attempt(str(folder)) == shim.REFUSED


def test_a_shim_says_who_it_is_while_it_holds_its_lock(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("exec sleep 1000"))
    with started(folder) as process:
        eventually((folder / "started").exists)

        assert shim_pid(folder) == process.pid
        assert json.loads((folder / "started").read_text())["ticks"] == shim.start_ticks(process.pid)
        assert is_locked(folder / "lock")
        assert os.getsid(process.pid) == process.pid
    # a child that was forked a moment ago has the lock as well until it becomes the agent, or sees that it is alone
    eventually(lambda: not is_locked(folder / "lock"))
