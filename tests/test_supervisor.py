"""Starting, adopting and ending attempts through the nursery, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core_builders import PATIENCE, eventually, prepared_attempt, shell, soon
from wavecrew.core import shim, supervisor
from wavecrew.core.attempts import Fate, fate_of, read_result
from wavecrew.core.liveness import is_locked, marked_processes, start_ticks
from wavecrew.core.supervisor import Supervisor, sweep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are followed to their end on Linux")


class Watch:
    """A supervisor and the ends that it has told."""

    def __init__(self) -> None:
        self.ended: list[Path] = []
        self.supervisor = Supervisor(self.ended.append)

    async def all_ended(self, *folders: Path) -> None:
        await soon(lambda: set(folders) <= set(self.ended), f"the ends of {[folder.name for folder in folders]}")
        assert len(self.ended) == len(set(self.ended)), "an end was told twice"

    @property
    def nursery(self) -> subprocess.Popen[bytes]:
        found = self.supervisor._nursery
        assert found is not None
        return found


@asynccontextmanager
async def watching() -> AsyncIterator[Watch]:
    watch = Watch()
    try:
        yield watch
    finally:
        await watch.supervisor.close()


def story(tell: Callable[[Watch], Awaitable[None]]) -> None:
    async def main() -> None:
        async with watching() as watch:
            await asyncio.wait_for(tell(watch), PATIENCE)

    asyncio.run(main())


def up(folder: Path) -> bool:
    """Whether the agent that makes the file `up` has got so far."""
    return (folder.parent / "ws" / f"up-{folder.name}").exists()


def waiting_agent(tmp_path: Path, name: str = "1", then: str = "exit 7") -> Path:
    """An attempt whose agent says that it is up, and goes on when the file `go` is there."""
    script = f"echo ran >> up-{name}; while [ ! -e go ]; do sleep 0.02; done; {then}"
    return prepared_attempt(tmp_path / name, shell(script), grace=0.2)


def go(tmp_path: Path) -> None:
    (tmp_path / "ws" / "go").touch()


def code_of(folder: Path) -> int | None:
    found = read_result(folder)
    return None if found is None else found.code


def test_the_end_of_every_attempt_is_told_once(tmp_path: Path) -> None:
    async def tell(watch: Watch) -> None:
        folders = [prepared_attempt(tmp_path / str(code), shell(f"exit {code}")) for code in range(6)]
        for folder in folders:
            watch.supervisor.start(folder)
        await watch.all_ended(*folders)
        assert [code_of(folder) for folder in folders] == [0, 1, 2, 3, 4, 5]

    story(tell)


def test_the_log_is_whole_although_the_nursery_has_few_descriptors(tmp_path: Path) -> None:
    """A log that took the number of standard input would be closed under the agent."""

    async def tell(watch: Watch) -> None:
        folder = prepared_attempt(tmp_path / "1", shell("cat; echo out; echo err >&2", stdin="in\n"))
        watch.supervisor.start(folder)
        await watch.all_ended(folder)
        assert (folder / "log").read_bytes() == b"in\nout\nerr\n"

    story(tell)


def test_attempts_outlive_the_supervisor_and_can_be_adopted(tmp_path: Path) -> None:
    folder = waiting_agent(tmp_path)

    async def begin(watch: Watch) -> None:
        watch.supervisor.start(folder)
        await soon(lambda: up(folder))

    story(begin)
    begun = (folder / "started").read_bytes()
    assert is_locked(folder / "lock")

    async def finish(watch: Watch) -> None:
        watch.supervisor.adopt(folder)
        assert watch.ended == []
        go(tmp_path)
        await watch.all_ended(folder)

    story(finish)
    assert (code_of(folder), (folder / "started").read_bytes()) == (7, begun)
    assert (tmp_path / "ws" / "up-1").read_text() == "ran\n"


def test_what_was_asked_for_just_before_the_supervisor_left_is_carried_out(tmp_path: Path) -> None:
    folders = [prepared_attempt(tmp_path / str(number), shell("true")) for number in range(4)]

    async def begin(watch: Watch) -> None:
        for folder in folders:
            watch.supervisor.start(folder)

    story(begin)

    eventually(lambda: all((folder / "exit").exists() for folder in folders))


def test_an_attempt_that_ended_before_its_adoption_is_told_too(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("exit 3"))
    shim_process = [sys.executable, "-I", "-S", shim.__file__, str(folder)]
    subprocess.run(shim_process, check=True, timeout=PATIENCE)

    async def tell(watch: Watch) -> None:
        watch.supervisor.adopt(folder)
        assert watch.ended == [folder]

    story(tell)


def test_stop_ends_the_tree(tmp_path: Path) -> None:
    async def tell(watch: Watch) -> None:
        folder = waiting_agent(tmp_path)
        watch.supervisor.start(folder)
        await soon(lambda: up(folder))

        watch.supervisor.stop(folder)
        await watch.all_ended(folder)

        watch.supervisor.stop(folder)  # too late is no error
        result = read_result(folder)
        assert result is not None
        assert result.cause == "stopped"
        assert marked_processes(folder) == []

    story(tell)


def test_stop_right_after_start_is_not_lost(tmp_path: Path) -> None:
    async def tell(watch: Watch) -> None:
        folder = waiting_agent(tmp_path)
        watch.supervisor.start(folder)
        watch.supervisor.stop(folder)

        await watch.all_ended(folder)

        result = read_result(folder)
        assert result is not None
        assert result.cause == "stopped"

    story(tell)


def test_a_refused_attempt_is_told_as_an_end(tmp_path: Path) -> None:
    async def tell(watch: Watch) -> None:
        given_up = prepared_attempt(tmp_path / "1", shell("touch ran"))
        assert fate_of(given_up) is Fate.NEVER_STARTED

        watch.supervisor.start(given_up)
        await watch.all_ended(given_up)

        assert not (tmp_path / "ws" / "ran").exists()

    story(tell)


def test_a_shim_that_cannot_even_take_its_lock_is_told_as_an_end(tmp_path: Path) -> None:
    """As on a full disk. Nobody may wait for it for ever."""

    async def tell(watch: Watch) -> None:
        broken = prepared_attempt(tmp_path / "1", shell("touch ran"))
        (broken / "lock").mkdir()
        gone = tmp_path / "2"
        for folder in (broken, gone):
            watch.supervisor.start(folder)

        await soon(lambda: gone in watch.ended)
        (broken / "lock").rmdir()

    story(tell)


def test_an_attempt_that_somebody_else_carries_out_is_watched_to_its_end(tmp_path: Path) -> None:
    folder = waiting_agent(tmp_path)
    other = subprocess.Popen([sys.executable, "-I", "-S", shim.__file__, str(folder)])

    async def tell(watch: Watch) -> None:
        await soon(lambda: up(folder))
        watch.supervisor.start(folder)  # its shim is refused, because another one is at work
        await soon(lambda: watch.supervisor._attempts[folder].poll is not None)
        go(tmp_path)
        await watch.all_ended(folder)

    try:
        story(tell)
    finally:
        other.kill()
        other.wait()
    assert (tmp_path / "ws" / "up-1").read_text() == "ran\n"


# -- the nursery dies ---------------------------------------------------------------------------------------------


def test_a_killed_nursery_takes_nothing_with_it(tmp_path: Path) -> None:
    async def tell(watch: Watch) -> None:
        first = waiting_agent(tmp_path, "1")
        watch.supervisor.start(first)
        await soon(lambda: up(first))

        watch.nursery.kill()
        watch.nursery.wait()
        second = waiting_agent(tmp_path, "2")
        watch.supervisor.start(second)
        await soon(lambda: up(second))
        go(tmp_path)

        await watch.all_ended(first, second)
        assert [code_of(first), code_of(second)] == [7, 7]

    story(tell)


def test_what_a_dying_nursery_was_asked_for_is_told_and_never_done_twice(tmp_path: Path) -> None:
    """Asked of a nursery that is asleep and then killed, and again of its successor in the same breath."""

    async def tell(watch: Watch) -> None:
        before = prepared_attempt(tmp_path / "before", shell("true"))
        watch.supervisor.start(before)
        await watch.all_ended(before)
        first, second = (prepared_attempt(tmp_path / name, shell(f"echo ran >> {name}")) for name in "ab")
        watch.nursery.send_signal(signal.SIGSTOP)
        watch.supervisor.start(first)
        watch.nursery.kill()
        watch.nursery.wait()

        watch.supervisor.start(second)
        await watch.all_ended(first, second)

        assert code_of(second) == 0
        assert fate_of(first) is Fate.NEVER_STARTED
        assert shim.run_attempt(str(first)) == shim.REFUSED

    story(tell)


def test_a_nursery_that_dies_while_nothing_happens_is_noticed(tmp_path: Path) -> None:
    async def tell(watch: Watch) -> None:
        sleeping = prepared_attempt(tmp_path / "1", shell("true"))
        watch.supervisor._open_channel()
        watch.nursery.send_signal(signal.SIGSTOP)
        watch.supervisor.start(sleeping)

        watch.nursery.kill()
        await watch.all_ended(sleeping)

        assert fate_of(sleeping) is Fate.NEVER_STARTED

    story(tell)


def test_a_nursery_that_cannot_be_started_is_an_error_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    async def tell(watch: Watch) -> None:
        monkeypatch.setattr(supervisor.subprocess, "Popen", refuse)
        with pytest.raises(OSError, match="no more processes"):
            watch.supervisor.start(prepared_attempt(tmp_path / "1", shell("true")))
        assert watch.ended == []

    story(tell)


def test_more_starts_at_once_than_a_channel_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nursery sleeps while they are asked for, so that the channel runs full, and wakes up then."""
    given_up_on: list[int] = []
    nursery_gone = Supervisor._nursery_gone

    def wake_up(found: Supervisor) -> None:
        assert found._nursery is not None
        given_up_on.append(found._nursery.pid)
        found._nursery.send_signal(signal.SIGCONT)
        nursery_gone(found)

    async def tell(watch: Watch) -> None:
        monkeypatch.setattr(Supervisor, "_nursery_gone", wake_up)
        watch.supervisor._open_channel().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        watch.nursery.send_signal(signal.SIGSTOP)
        folders = [prepared_attempt(tmp_path / f"{number}", shell(f"echo ran >> ran-{number}")) for number in range(12)]
        for folder in folders:
            watch.supervisor.start(folder)
        await watch.all_ended(*folders)

        assert len(given_up_on) == 1
        for folder in folders:
            ran = tmp_path / "ws" / f"ran-{folder.name}"
            eventually(lambda f=folder: fate_of(f) is not Fate.ALIVE)
            assert (fate_of(folder) is Fate.ENDED) is ran.exists()
            assert not ran.exists() or ran.read_text() == "ran\n"

    story(tell)


# -- without pidfds -----------------------------------------------------------------------------------------------


def test_without_pidfds_the_lock_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)

    async def tell(watch: Watch) -> None:
        ending, stopped = (
            waiting_agent(tmp_path, "1"),
            prepared_attempt(tmp_path / "2", shell("touch up-2; exec sleep 1000"), grace=0.2),
        )
        for folder in (ending, stopped):
            watch.supervisor.start(folder)
        await soon(lambda: up(ending) and up(stopped))
        watch.supervisor.stop(stopped)
        await watch.all_ended(stopped)
        go(tmp_path)
        await watch.all_ended(ending)
        assert [code_of(ending), code_of(stopped)] == [7, -signal.SIGTERM]

    story(tell)


def test_a_stop_that_comes_before_a_shim_has_said_who_it_is_reaches_it_later(tmp_path: Path) -> None:
    import fcntl

    folder = tmp_path / "1"
    folder.mkdir()
    program = subprocess.Popen(["sleep", "1000"])
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    async def tell(watch: Watch) -> None:
        watch.supervisor.adopt(folder)
        watch.supervisor.stop(folder)
        shim.publish(str(folder), "started", {"pid": program.pid, "ticks": start_ticks(program.pid)}, sync=False)
        await soon(lambda: program.poll() is not None)
        os.close(descriptor)
        await watch.all_ended(folder)

    try:
        story(tell)
    finally:
        program.kill()
        program.wait()
    assert program.returncode == -signal.SIGTERM


# -- sweeping -----------------------------------------------------------------------------------------------------


def test_what_a_lost_attempt_left_behind_is_swept(tmp_path: Path) -> None:
    script = "(setsid sh -c 'echo $$ > pid; exec sleep 1000' &); touch up-1; exec sleep 1000"
    folder = prepared_attempt(tmp_path / "1", shell(script))
    process = subprocess.Popen([sys.executable, "-I", "-S", shim.__file__, str(folder)])
    try:
        eventually(lambda: up(folder) and (tmp_path / "ws" / "pid").exists())
        (folder / "env.json").write_text("left over")
    finally:
        process.kill()
        process.wait()
    assert marked_processes(folder)

    assert asyncio.run(sweep(folder, patience=PATIENCE))

    assert marked_processes(folder) == []
    assert not (folder / "env.json").exists()
    assert asyncio.run(sweep(folder))


def test_what_cannot_be_swept_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "started").touch()
    monkeypatch.setattr(supervisor, "strays_of", lambda folder: [2**22 + 1])

    assert not asyncio.run(sweep(tmp_path, patience=0.0))
