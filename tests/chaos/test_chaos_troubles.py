"""What a machine can do to a run: no room, no state, another time, another process, another coordinator."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_invariants import check, check_finished, read
from chaos_sizes import times
from chaos_world import DIAMOND, Phase, World, Zygote, until, world_of

from wavecrew.core.attempts import Fate, fate_of, read_progress, read_result, shim_pid
from wavecrew.core.liveness import ProcessIdentity
from wavecrew.core.resource_manager import FileLock
from wavecrew.errors import ExitCode, StoreError
from wavecrew.models import events as ev
from wavecrew.models.phase_status import PhaseStatus

HOLD = ("/bin/sh", "-c", 'echo "$WAVECREW_PHASE" >> here; until [ -e go ]; do sleep 0.01; done; echo done > "$0"')


def holding(name: str, *needs: str, **more: Any) -> Phase:
    """A phase that works until the file `go` is there."""
    return Phase(name, needs, command=(*HOLD, f"{name}.txt"), **more)


def at_work(world: World, count: int = 1) -> None:
    here = world.workspace / "here"
    until(lambda: here.exists() and len(here.read_text().split()) >= count, f"{count} agents at work")


def some_done(world: World, count: int = 2) -> None:
    until(lambda: sum(line.startswith("-") for line in world.lines("ran")) >= count, f"{count} phases done")


@pytest.fixture
def small_disk(zygote: Zygote) -> Iterator[Callable[[int], World]]:
    """Worlds whose state lies on a small disk of its own, where the system lets us mount one."""
    mounted: list[World] = []

    def make(size: int) -> World:
        world = World(zygote)
        world.state.mkdir(mode=0o700)
        options = f"size={size}k,mode=0700,uid={os.getuid()}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "chaos", str(world.state)], capture_output=True)
        if done.returncode != 0:
            world.close()
            pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
        mounted.append(world)
        return world

    yield make
    for world in mounted:
        for one in world.started:
            one.kill()
        until(lambda world=world: _unmounted(world.state), "the disk to be free")
        world.close()


def _unmounted(folder: Path) -> bool:
    return subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0


# -- no room ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_a_full_disk_stops_the_run_and_loses_nothing(small_disk: Callable[[int], World], after: int) -> None:
    """Filled to the last byte when so many phases are done; then some room is made."""
    world = small_disk(1024)
    running = world.start()
    if after:
        some_done(world, after)
    ballast = world.state / "ballast"
    _fill(ballast)
    code = running.end()
    assert code in (ExitCode.OK, ExitCode.PHASE_FAILED, ExitCode.PREFLIGHT), running.told
    assert "Traceback" not in running.told
    assert "bug" not in running.told
    check(world)
    assert world.start("status").end() in (
        ExitCode.OK,
        ExitCode.NOT_FOUND,
        *([ExitCode.PREFLIGHT] if not after else []),
    )
    ballast.unlink()
    assert world.finish() == 0, world.started[-1].told
    check_finished(world)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (4096, 512, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@pytest.mark.parametrize("limit", range(65_000, 140_000, 15_000))
def test_files_that_may_not_grow(zygote: Zygote, limit: int) -> None:
    """The same by a limit that needs no rights: the database, and all else of a coordinator, stops growing."""
    with world_of(zygote) as world:
        running = world.start(prologue="small_files", env={"CHAOS_LIMIT": str(limit)})
        assert running.end() in (ExitCode.OK, ExitCode.PHASE_FAILED, ExitCode.PREFLIGHT), running.told
        assert "Traceback" not in running.told
        check(world)
        assert world.finish() == 0, world.started[-1].told
        check_finished(world)


def test_state_that_can_only_be_read(small_disk: Callable[[int], World]) -> None:
    world = small_disk(4096)
    running = world.start()
    some_done(world)
    running.kill()
    until(lambda: not world.processes(), "the agents to have ended")
    subprocess.run(["mount", "-o", "remount,ro", str(world.state)], check=True)
    refused, looked = world.start(), world.start("status")
    assert refused.end() == ExitCode.PREFLIGHT, refused.told
    assert "only be read" in refused.told or "Read-only" in refused.told
    assert looked.end() == ExitCode.OK, looked.told
    subprocess.run(["mount", "-o", "remount,rw", str(world.state)], check=True)
    assert world.finish() == 0
    check_finished(world)


@pytest.mark.parametrize(("prologue", "codes"), [("few_files", {0}), ("very_few_files", {0, 1, 8})])
def test_few_file_descriptors(zygote: Zygote, prologue: str, codes: set[int]) -> None:
    with world_of(zygote) as world:
        running = world.start(prologue=prologue)
        assert running.end() in codes, running.told
        assert "Traceback" not in running.told
        check(world)
        assert world.finish() == 0, world.started[-1].told
        check_finished(world)


# -- no state, no workspace ---------------------------------------------------------------------------------------


def test_a_database_that_is_removed_in_mid_run_stops_it(zygote: Zygote) -> None:
    """And what lies about from before is no evidence for a run that comes later, even if it has the same id."""
    with world_of(zygote) as world:
        running = world.start()
        some_done(world)
        (world.state / "state.db").unlink()
        assert running.end() == ExitCode.PREFLIGHT, running.told
        assert "removed or replaced" in running.told
        until(lambda: not world.processes(), "the agents to have ended")
        (world.base / "ran").rename(world.base / "ran-before")
        again = world.start()
        again.end()
        history = read(world)
        assert history is not None
        ran = {line.split()[1] for line in world.lines("ran")}
        proven = {name for name in world.phases if history.state.status_of(name) is PhaseStatus.COMPLETED}
        assert proven <= ran, f"I8: {proven - ran} completed without having run"


def test_a_workspace_that_is_removed_in_mid_run(zygote: Zygote) -> None:
    with world_of(zygote, [holding("a"), holding("b"), Phase("c", ("a", "b"))]) as world:
        running = world.start()
        at_work(world, 2)
        shutil.rmtree(world.workspace)
        assert running.end() != 0, running.told
        assert "Traceback" not in running.told
        assert "bug" not in running.told, running.told
        assert "removed or replaced" in running.told
        until(lambda: not world.processes(), "its agents to have been ended")


# -- another time -------------------------------------------------------------------------------------------------

JUMPS = (3600.0, -3600.0, -315_000_000.0)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_is_put(zygote: Zygote, jump: float) -> None:
    """In the middle of a run with pauses between waves, with a lock that somebody outside holds for a while."""
    with world_of(zygote) as world:
        mark = world.base / "jump"
        with FileLock("shared.txt", workspace=world.workspace):
            running = world.start(
                "run", "plan.json", "--yes", "--ui", "none", "--wave-delay-seconds", "0.3",
                "--lock-timeout-seconds", "30",
                prologue="jumping_clock",
                env={"CHAOS_JUMP": str(jump), "CHAOS_JUMP_AT": str(mark)},
            )  # fmt: skip
            some_done(world, 1)
            mark.touch()
            until(lambda: _waits_for_lock(world), "a phase to wait for the lock")
            time.sleep(0.5)  # long enough for several looks at the queue
        assert running.end() == 0, running.told
        check_finished(world)


def _waits_for_lock(world: World) -> bool:
    history = read(world)
    return history is not None and any(isinstance(event, ev.LockAwaited) for event in history.events)


# -- another process ----------------------------------------------------------------------------------------------


@pytest.fixture
def foreigner() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def test_the_pid_of_a_lost_attempt_may_belong_to_somebody_else(
    zygote: Zygote, foreigner: subprocess.Popen[bytes]
) -> None:
    with world_of(zygote, [holding("a"), holding("b"), Phase("c", ("a", "b"))]) as world:
        running = world.start()
        at_work(world, 2)
        running.kill()
        for pid in world.shims():
            os.kill(pid, signal.SIGKILL)
        until(lambda: not world.shims(), "the shims to be dead")
        theirs = ProcessIdentity.of(foreigner.pid)
        for name, ticks in (("a", theirs.ticks), ("b", theirs.ticks + 1)):
            (world.attempt(name) / "started").write_text(json.dumps({"pid": theirs.pid, "ticks": ticks}))
        assert [shim_pid(world.attempt(name)) for name in "ab"] == [theirs.pid, None]
        (world.workspace / "go").touch()
        assert world.finish() == 0, world.started[-1].told
        check_finished(world)
        assert foreigner.poll() is None


@pytest.mark.parametrize(
    ("change", "freed"),
    [
        ({"ticks": 1}, True),
        ({"boot": "another boot"}, True),
        ({}, False),
        ({"host": "another host"}, False),
        ({"namespace": "pid:[1]"}, False),
    ],
)
def test_locks_of_owners_that_are_gone_alive_or_unknown(
    zygote: Zygote, foreigner: subprocess.Popen[bytes], change: dict[str, Any], freed: bool
) -> None:
    """Only the proven dead lose their lock; a pid alone proves nothing."""
    with world_of(zygote, [Phase("a", resource="shared.txt")]) as world:
        with FileLock("other.txt", workspace=world.workspace, owner="somebody"):
            pass
        me = ProcessIdentity.of(foreigner.pid)
        fields = {"host": me.host, "boot": me.boot, "namespace": me.namespace, "pid": me.pid, "ticks": me.ticks}
        row = {
            **fields,
            **change,
            "owner": "x",
            "label": "somebody",
            "granted": 1,
            "fence": 999,
            "asked": 1.0,
            "since": 1.0,
        }
        with sqlite3.connect(world.state / "state.db") as database:
            ticket = database.execute(
                f"INSERT INTO request({','.join(row)}) VALUES({','.join('?' * len(row))})",
                (*row.values(),),
            ).lastrowid
            database.execute("INSERT INTO claim VALUES('shared.txt', 'file', 1, ?, 'shared.txt')", (ticket,))
        database.close()
        running = world.start("run", "plan.json", "--yes", "--ui", "none", "--lock-timeout-seconds", "0.2")
        assert (running.end() == 0) is freed, running.told
        assert bool(world.lines("ran")) is freed
        assert foreigner.poll() is None


# -- another coordinator ------------------------------------------------------------------------------------------


def test_of_two_coordinators_one_works(zygote: Zygote, figure: Callable[..., None]) -> None:
    """They begin at the same instant; the one that comes too late says who is in charge and leaves."""
    slowest, refused = 0.0, 0
    for trial in range(times(8, 300)):
        with world_of(zygote, [Phase(one.name, one.needs, one.resource, 0.3) for one in DIAMOND[:2]]) as world:
            if trial % 2:
                first = world.start()
                until(lambda world=world: world.lines("ran"), "a first agent")
                first.kill()
            began = time.monotonic()
            both = [world.start(env={"WAVECREW_RUN_ID": ""}), world.start(env={"WAVECREW_RUN_ID": ""})]
            until(lambda both=both: any(one.ended() for one in both), "one to leave")
            if any(one.code == ExitCode.BUSY for one in both):
                slowest, refused = max(slowest, time.monotonic() - began), refused + 1
            codes = sorted(one.end() for one in both)
            told = "".join(one.told for one in both)
            assert codes == [0, ExitCode.BUSY], f"{codes} {told}"
            starts = [line.split()[1] for line in world.lines("ran") if line.startswith("+")]
            assert sorted(starts) == ["a", "b"], f"I2: {starts}"
            assert not world.lines("violations")
    figure(trials=times(8, 300), turned_away=refused, slowest_to_leave_seconds=round(slowest, 2))


def test_a_coordinator_that_was_replaced_while_it_slept_writes_nothing_more(zygote: Zygote) -> None:
    with world_of(zygote, [holding("a"), holding("b"), Phase("c", ("a", "b"), nap=0.01)]) as world:
        first = world.start()
        at_work(world, 2)
        first.signal(signal.SIGSTOP)
        (world.run_folder / "coordinator").unlink()  # a careless administrator
        second = world.start()
        until(
            lambda: len([e for e in _events(world) if isinstance(e, ev.AttemptAdopted)]) == 2, "a second one in charge"
        )
        (world.workspace / "go").touch()
        until(lambda: world.lines("ran"), "the last phase at work")
        first.signal(signal.SIGCONT)
        assert first.end() == ExitCode.BUSY, first.told
        assert "taken over" in first.told
        assert second.end() == 0, second.told
        history = check_finished(world)
        assert {event.epoch for event in history.events if isinstance(event, ev.CoordinatorStarted)} == {1, 2}


def _events(world: World) -> tuple[Any, ...]:
    history = read(world)
    return () if history is None else history.events


# -- torn files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["exit", "started", "progress", "job.json"])
def test_own_files_cut_anywhere_are_never_taken_for_an_end(
    zygote: Zygote, name: str, figure: Callable[..., None]
) -> None:
    """Each cut is judged; some of them are also taken up by a whole coordinator."""
    with world_of(zygote, [holding("a")]) as world:
        running = world.start()
        at_work(world)
        running.kill()
        (world.workspace / "go").touch()
        until(lambda: not world.processes(), "the agent to have ended")
        folder = world.attempt("a")
        whole = (folder / name).read_bytes()
        for cut in range(len(whole)):
            (folder / name).write_bytes(whole[:cut])
            _judge(folder, name)
        figure(file=name, cuts=len(whole))
    parts = times(3, len(whole) // 3)
    for part in range(parts):
        with world_of(zygote, [holding("a"), Phase("b", ("a",), nap=0.01)]) as world:
            running = world.start()
            at_work(world)
            running.kill()
            (world.workspace / "go").touch()
            until(lambda world=world: not world.processes(), "the agent to have ended")
            path = world.attempt("a") / name
            whole = path.read_bytes()  # times are in it, so each is as long as it likes
            path.write_bytes(whole[: len(whole) * part // parts])
            assert world.finish() == 0, world.started[-1].told
            history = check_finished(world)
            again = name == "exit"
            assert history.state.phase_states["a"].attempts == 1 + again


def _judge(folder: Path, name: str) -> None:
    if name == "exit":
        with pytest.raises(StoreError):
            read_result(folder)
    elif name == "started":
        assert shim_pid(folder) is None
    elif name == "progress":
        assert read_progress(folder) is None
    else:
        assert fate_of(folder) is Fate.ENDED


def test_a_shim_with_half_a_job_starts_nothing(zygote: Zygote) -> None:
    with world_of(zygote, [holding("a")]) as world:
        running = world.start()
        at_work(world)
        running.kill()
        (world.workspace / "go").touch()
        until(lambda: not world.processes(), "the agent to have ended")
        whole = (world.attempt("a") / "job.json").read_bytes()
        from wavecrew.core import shim

        for cut in range(0, len(whole), times(60, 4)):
            folder = world.base / f"attempt-{cut}"
            folder.mkdir()
            (folder / "job.json").write_bytes(whole[:cut])
            (folder / "env.json").write_text("{}")
            done = subprocess.run([sys.executable, "-I", "-S", shim.__file__, str(folder)], capture_output=True)
            assert done.returncode != 0
            assert fate_of(folder) is Fate.LOST
        assert (world.workspace / "here").read_text().split() == ["a"]
