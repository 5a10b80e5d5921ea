"""Logs with a limit: head and tail are kept, the cut is marked, and what is below the limit is left alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import PATIENCE, eventually, shell
from wavecrew.cli.log_tail import follow
from wavecrew.core import shim
from wavecrew.core.attempts import Job, read_result, write_job
from wavecrew.core.liveness import ATTEMPT_MARK, marked_processes
from wavecrew.models.invocation import JobStep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are followed to their end on Linux")

LIMIT = 65_536
MARK = re.compile(rb"\n\[wavecrew: about (\d+) bytes were cut out here\]\n")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "1"
    for pid in marked_processes(tmp_path / "1"):
        os.kill(pid, signal.SIGKILL)


def prepare(folder: Path, *scripts: str, limit: int | None = LIMIT) -> Path:
    """An attempt that runs lines of shell."""
    workspace = folder.parent / "ws"
    workspace.mkdir()
    steps: tuple[JobStep, ...] = tuple(map(shell, scripts))
    environment = {"PATH": os.environ["PATH"], ATTEMPT_MARK: str(folder)}
    write_job(folder, Job(str(workspace), steps, environment, None, 1.0, limit))
    return folder


def command(folder: Path) -> list[str]:
    return [sys.executable, "-I", "-S", shim.__file__, str(folder)]


def log_of(folder: Path) -> bytes:
    """The log after the shim has come to its end."""
    assert subprocess.run(command(folder), timeout=PATIENCE, check=False).returncode == 0
    return (folder / "log").read_bytes()


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_a_log_within_the_limit_is_left_byte_for_byte(folder: Path, size: int) -> None:
    assert log_of(prepare(folder, f"head -c {size} /dev/zero")) == bytes(size)


@pytest.mark.parametrize("limit", [None, 10 * LIMIT])
def test_without_a_limit_or_below_it_everything_is_kept(folder: Path, limit: int | None) -> None:
    log = log_of(prepare(folder, "seq 1 50000", limit=limit))
    assert log == b"".join(b"%d\n" % number for number in range(1, 50001))


def test_of_a_log_beyond_the_limit_head_and_tail_are_kept_with_a_mark_between(folder: Path) -> None:
    log = log_of(prepare(folder, "seq 1 200000"))
    assert len(log) <= LIMIT
    whole = b"".join(b"%d\n" % number for number in range(1, 200001))
    head, said, tail = MARK.split(log)
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) == LIMIT // 2
    assert len(tail) >= LIMIT // 4
    cut = len(whole) - len(head) - len(tail)
    assert cut <= int(said) <= cut + 100 * (cut // (LIMIT // 4) + 1), "about as many as there were"


def test_a_log_that_is_cut_again_and_again_has_one_mark_and_its_newest_end(folder: Path) -> None:
    script = "for i in 1 2 3 4; do head -c 60000 /dev/zero | tr '\\0' $i; sleep 0.25; done; echo the end"
    log = log_of(prepare(folder, script))
    assert len(log) <= LIMIT
    assert len(MARK.findall(log)) == 1
    assert log.startswith(b"1" * 30000)
    assert log.endswith(b"the end\n")


def test_the_limit_is_one_for_all_steps_together(folder: Path) -> None:
    log = log_of(prepare(folder, "head -c 60000 /dev/zero", "head -c 60000 /dev/zero", "echo the end"))
    assert len(log) <= LIMIT
    assert log.startswith(b"-- 1/3 ")
    assert log.endswith(b"the end\n")


def test_an_agent_that_never_ends_is_kept_within_the_limit_too(folder: Path) -> None:
    prepare(folder, "while :; do seq 1 2000; sleep 0.01; done")
    with subprocess.Popen(command(folder), start_new_session=True) as process:
        try:
            eventually(lambda: (folder / "log").exists() and MARK.search((folder / "log").read_bytes()), "a cut")
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            process.kill()
    assert (folder / "log").stat().st_size <= LIMIT
    found = read_result(folder)
    assert found is not None
    assert found.cause == "stopped"


@pytest.mark.parametrize("deed", ["rm", "rm -f {0}/log; ln -s /etc/passwd", "rm -f {0}/log; mkdir"])
def test_an_agent_that_takes_its_log_away_goes_on_and_is_judged_by_its_end(folder: Path, deed: str) -> None:
    script = f"{deed.format(folder)} {folder}/log; sleep 0.3; seq 1 100000; touch done"
    prepare(folder, script)
    subprocess.run(command(folder), timeout=PATIENCE, check=False)
    found = read_result(folder)
    assert found is not None
    assert (found.code, found.cause) == (0, "")
    assert (folder.parent / "ws/done").exists(), "it came to its end"


def test_who_follows_a_log_goes_on_after_a_cut(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a" * 1000)
    over = threading.Event()
    reader = follow(log, over.is_set)
    assert next(reader) == b"a" * 1000
    log.write_bytes(b"a" * 500)  # its middle and its end are gone
    rest: list[bytes] = []
    thread = threading.Thread(target=lambda: rest.extend(reader), daemon=True)
    thread.start()
    try:
        eventually(lambda: _position_of(log) == 500, "the reader to notice")
        with log.open("ab") as file:
            file.write(b"new")
    finally:
        over.set()
        thread.join(PATIENCE)
    assert b"".join(rest) == b"new"


def _position_of(log: Path) -> int | None:
    """Where this process reads a file."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if entry.readlink() == log:
                info = Path(f"/proc/self/fdinfo/{entry.name}").read_text()
                return int(info.split()[1])
        except OSError:
            continue
    return None


@given(st.integers(0, 300), st.integers(100, 200))
def test_the_cut_by_itself(tmp_path_factory: pytest.TempPathFactory, size: int, limit: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "log"
    content = bytes(number % 251 for number in range(size))
    path.write_bytes(content)
    attempt = object.__new__(shim.Attempt)
    attempt.folder, attempt.log_limit, attempt.cut = str(path.parent), limit, 0
    attempt._trim_log()
    after = path.read_bytes()
    if size <= limit:
        assert after == content
        return
    mark = b"\n[wavecrew: about %d bytes were cut out here]\n" % (size - limit // 2 - limit // 4)
    assert after == content[: limit // 2] + mark + content[size - limit // 4 :]
