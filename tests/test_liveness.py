"""Who is alive: identities that survive reused pids, kernel locks, and processes known by their mark."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core_builders import dead, eventually, living, python
from wavecrew.core import liveness
from wavecrew.core.liveness import ATTEMPT_MARK, Liveness, ProcessIdentity, is_locked, marked_processes, start_ticks

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_this_process_is_alive() -> None:
    assert living().liveness() is Liveness.ALIVE


def test_a_process_that_ended_is_dead() -> None:
    with python("input()") as other:
        identity = ProcessIdentity.of(other.pid)
        assert identity.liveness() is Liveness.ALIVE

    assert identity.liveness() is Liveness.DEAD


@linux
def test_another_process_with_the_same_pid_is_not_the_same() -> None:
    assert dead().liveness() is Liveness.DEAD


@linux
def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: start_ticks(child.pid) is None)
        assert Path(f"/proc/{child.pid}").exists()
    finally:
        child.wait()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"host": "elsewhere"}, Liveness.UNKNOWN),
        ({"host": "elsewhere", "boot": "before"}, Liveness.UNKNOWN),
        ({"namespace": "pid:[1]"}, Liveness.UNKNOWN),
        ({"boot": "before"}, Liveness.DEAD),
        ({"boot": "before", "namespace": "pid:[1]"}, Liveness.DEAD),
        ({"ticks": 0}, Liveness.ALIVE),
        ({"pid": 2**22 + 1}, Liveness.DEAD),
    ],
)
def test_what_can_be_said_from_here(changes: dict[str, object], expected: Liveness) -> None:
    assert replace(living(), **changes).liveness() is expected  # type: ignore[arg-type]


def test_without_proc_a_pid_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_LINUX", False)
    liveness._here.cache_clear()
    try:
        me = ProcessIdentity.of()
        assert (me.boot, me.namespace, me.ticks) == ("", "", 0)
        assert me.liveness() is Liveness.ALIVE
        assert start_ticks(1) == 0
        assert start_ticks(2**22 + 1) is None
        assert marked_processes(Path("/x")) == []
        monkeypatch.setattr(os, "kill", _forbidden)
        assert start_ticks(1) == 0
    finally:
        liveness._here.cache_clear()


def _forbidden(pid: int, number: int) -> None:
    raise PermissionError


def test_a_kernel_lock_is_seen_and_looking_leaves_it_alone(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not is_locked(lock)
    holder = os.open(lock, os.O_RDWR | os.O_CREAT)
    assert not is_locked(lock)

    fcntl.flock(holder, fcntl.LOCK_EX)
    assert is_locked(lock)
    assert is_locked(lock)
    os.close(holder)

    assert not is_locked(lock)


def test_those_who_look_do_not_see_each_other(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    looking = os.open(lock, os.O_RDONLY | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)  # as is_locked does for an instant
    try:
        assert not is_locked(lock)
    finally:
        os.close(looking)


@linux
def test_processes_are_found_by_their_mark(tmp_path: Path) -> None:
    near = {"PATH": os.environ["PATH"], ATTEMPT_MARK: f"{tmp_path}0"}
    with (
        python("print(1, flush=True); input()", env={**near, ATTEMPT_MARK: str(tmp_path)}) as marked,
        python("print(1, flush=True); input()", env=near) as other,
    ):
        for process in (marked, other):
            assert process.stdout is not None
            process.stdout.readline()

        assert marked_processes(tmp_path) == [marked.pid]
    assert marked_processes(tmp_path) == []
