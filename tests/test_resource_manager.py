"""Locks between threads, tasks and processes: who waits, who gets them next, and who never loses one."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core_builders import HOLDER, PATIENCE, dead, eventually, living, owner, python, soon
from wavecrew.core import attempts, lock_registry, resource_manager, shim
from wavecrew.core.bell import Bell
from wavecrew.core.liveness import Liveness, ProcessIdentity
from wavecrew.core.lock_owners import Judgement, judge, owner_liveness
from wavecrew.core.lock_registry import Grant, Waiter
from wavecrew.core.lock_table import Obstacle
from wavecrew.core.resource_manager import FileLock, LockRegistry
from wavecrew.core.store import STATE_FOLDER
from wavecrew.errors import InvalidValueError, LockError, LockLostError, LockTimeoutError
from wavecrew.models.parallel_execution import LockType, ResourceLock


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LockRegistry]:
    found = LockRegistry.open(tmp_path)
    yield found
    found.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as found:
        yield found


def hold(registry: LockRegistry, who: str, *texts: str, shared: bool = False) -> Grant:
    """Take locks at once, for an owner of this name."""
    mode = LockType.SHARED if shared else LockType.EXCLUSIVE
    return registry.acquire(owner(who), registry.claims(texts, mode), timeout=0)


def holders(registry: LockRegistry) -> list[str]:
    return [lock.owner_phase for lock in registry.locks()]


def waiting(registry: LockRegistry, count: int) -> tuple[Waiter, ...]:
    """Wait until so many wait."""
    eventually(lambda: len(registry.waiters()) == count, f"{count} waiting")
    return registry.waiters()


# -- taking and giving back -------------------------------------------------------------------------------------


def test_locks_and_waiters_can_be_seen(registry: LockRegistry, pool: ThreadPoolExecutor) -> None:
    grant = hold(registry, "A", "src/", "port:80")
    reading = hold(registry, "R", "docs/x.md", shared=True)
    later = pool.submit(registry.acquire, owner("B"), registry.claims(["src/a.py", "docs/x.md"]), timeout=PATIENCE)
    (found,) = waiting(registry, 1)

    assert [(lock.resource_path, lock.owner_phase, lock.lock_type) for lock in registry.locks()] == [
        ("port:80", "A", LockType.EXCLUSIVE),
        ("src/", "A", LockType.EXCLUSIVE),
        ("docs/x.md", "R", LockType.SHARED),
    ]
    assert registry.locks()[0].fence == grant.fence
    assert (found.label, found.resource, found.holder) == ("B", "src/a.py", "A")

    registry.release(grant)
    assert waiting(registry, 1)[0].holder == "R"
    registry.release(reading)
    assert later.result(PATIENCE).fence > reading.fence
    assert holders(registry) == ["B", "B"]
    assert registry.waiters() == ()


def test_conflicts_tell_what_keeps_somebody_new_out(registry: LockRegistry) -> None:
    hold(registry, "A", "src/")
    hold(registry, "B", "b.py", shared=True)

    def seen(text: str, mode: LockType) -> list[str]:
        return [lock.owner_phase for lock in registry.conflicts(registry.claims([text], mode))]

    assert seen("src/x", LockType.SHARED) == ["A"]
    assert seen("b.py", LockType.SHARED) == []
    assert seen("b.py", LockType.EXCLUSIVE) == ["B"]
    assert all(isinstance(lock, ResourceLock) for lock in registry.conflicts(registry.claims(["./"])))


def test_releasing_twice_is_fine_and_frees_nobody_else(registry: LockRegistry) -> None:
    first = hold(registry, "A", "x")
    registry.release(first)
    hold(registry, "B", "x")

    registry.release(first)

    assert holders(registry) == ["B"]


def test_a_lock_that_somebody_took_away_is_noticed(registry: LockRegistry) -> None:
    grant = hold(registry, "A", "x")
    registry.require_held(grant)

    with pytest.raises(LockLostError, match="no longer held"):
        registry.require_held(replace(grant, fence=grant.fence + 1))
    registry.release(grant)
    with pytest.raises(LockLostError, match="taken out of the queue"):
        registry.require_held(grant)


def test_a_claim_outside_the_workspace_is_refused(registry: LockRegistry) -> None:
    with pytest.raises(InvalidValueError, match="outside the workspace"):
        registry.claims(["/etc/passwd"])
    with pytest.raises(ValueError, match="borrowed"):
        registry.claims(["x"], "borrowed")  # type: ignore[arg-type]


def test_asking_inside_a_transaction_does_not_wait(registry: LockRegistry) -> None:
    with registry.store.transaction() as tx:
        grant, first = registry.request(tx, owner("A"), registry.claims(["x"]))
        nothing, second = registry.request(tx, owner("B"), registry.claims(["x"]))

    assert grant is not None
    assert nothing is None
    assert registry.granted(first) == grant
    assert registry.granted(second) is None
    with registry.store.transaction() as tx:
        assert registry.release_owner(tx, owner("A").name) == [second]
        assert registry.release_owner(tx, owner("A").name) == []
    found = registry.granted(second)
    assert found is not None
    assert found.claims == registry.claims(["x"])
    assert found.fence > grant.fence


# -- waiting ----------------------------------------------------------------------------------------------------


def test_a_timeout_names_the_holder(registry: LockRegistry) -> None:
    hold(registry, "phase build", "src/")

    with pytest.raises(LockTimeoutError, match=r"^src/a.py is held by phase build$") as caught:
        hold(registry, "B", "src/a.py")

    assert "locks list" in caught.value.fix
    assert registry.waiters() == ()


def test_a_timeout_tells_the_place_in_the_queue(registry: LockRegistry) -> None:
    hold(registry, "A", "x")
    with registry.store.transaction() as tx:
        for who in "BC":
            registry.request(tx, owner(who), registry.claims(["x"]))

    with pytest.raises(LockTimeoutError, match=r"x is held by A \(2 ahead in the queue\)"):
        hold(registry, "D", "x")


def test_a_timeout_names_whoever_asked_earlier_when_nobody_holds_it(registry: LockRegistry) -> None:
    hold(registry, "A", "x")
    with registry.store.transaction() as tx:
        registry.request(tx, owner("B"), registry.claims(["x", "y"]))

    with pytest.raises(LockTimeoutError, match=r"y was asked for earlier by B \(1 ahead in the queue\)"):
        hold(registry, "C", "y")


def test_who_gives_up_leaves_no_trace_and_frees_those_behind(registry: LockRegistry, pool: ThreadPoolExecutor) -> None:
    hold(registry, "R", "x", shared=True)
    with registry.store.transaction() as tx:
        _, writer = registry.request(tx, owner("W"), registry.claims(["x"]))
    reader = pool.submit(registry.acquire, owner("S"), registry.claims(["x"], LockType.SHARED), timeout=PATIENCE)
    waiting(registry, 2)

    registry.release(writer)

    reader.result(PATIENCE)
    assert holders(registry) == ["R", "S"]


def test_the_news_of_waiting_comes_once(registry: LockRegistry, pool: ThreadPoolExecutor) -> None:
    first, second = hold(registry, "A", "x"), hold(registry, "B", "y")
    told: list[Obstacle] = []
    later = pool.submit(
        registry.acquire, owner("C"), registry.claims(["x", "y"]), timeout=PATIENCE, on_wait=told.append
    )
    eventually(lambda: told)

    registry.release(first)
    registry.release(second)

    later.result(PATIENCE)
    assert [(found.label, str(found.wanted)) for found in told] == [("A", "x")]


def test_waiters_are_served_in_the_order_in_which_they_asked(registry: LockRegistry, pool: ThreadPoolExecutor) -> None:
    first = hold(registry, "A", "x")
    order: list[str] = []

    def take(who: str) -> None:
        grant = registry.acquire(owner(who), registry.claims(["x"]), timeout=PATIENCE)
        order.append(who)
        registry.release(grant)

    work = []
    for count, who in enumerate("BCDE", start=1):
        work.append(pool.submit(take, who))
        waiting(registry, count)
    registry.release(first)
    for one in work:
        one.result(PATIENCE)

    assert order == list("BCDE")


def test_a_large_set_does_not_starve_among_small_ones(registry: LockRegistry) -> None:
    small = [hold(registry, f"small {name}", name) for name in "xyz"]
    with registry.store.transaction() as tx:
        _, large = registry.request(tx, owner("large"), registry.claims(["x", "y", "z"]))
    for name, grant in zip("xyz", small, strict=True):
        with registry.store.transaction() as tx:  # each comes back at once, as an eager small one would
            registry.request(tx, owner(f"small {name} again"), registry.claims([name]))
        registry.release(grant)

    assert registry.granted(large) is not None
    assert len(registry.waiters()) == 3


def test_a_ring_of_waits_is_refused_with_the_name(registry: LockRegistry) -> None:
    hold(registry, "A", "a")
    hold(registry, "B", "b")
    with registry.store.transaction() as tx:
        registry.request(tx, owner("A"), registry.claims(["b"]))

    with pytest.raises(LockError, match="B would wait for A, which itself waits for B"):
        registry.acquire(owner("B"), registry.claims(["a"]), timeout=PATIENCE)

    assert len(registry.waiters()) == 1


def test_a_ring_through_somebody_dead_is_none(registry: LockRegistry) -> None:
    ghost = owner("ghost", dead())
    hold(registry, "A", "a")
    registry.acquire(ghost, registry.claims(["b"]), timeout=0)
    with registry.store.transaction() as tx:
        registry.request(tx, ghost, registry.claims(["a"]))

    registry.acquire(owner("A"), registry.claims(["b"]), timeout=0)

    assert holders(registry) == ["A", "A"]


def test_a_place_in_the_queue_that_was_removed_is_told(registry: LockRegistry, pool: ThreadPoolExecutor) -> None:
    hold(registry, "A", "x")
    later = pool.submit(registry.acquire, owner("B"), registry.claims(["x"]), timeout=PATIENCE)
    (found,) = waiting(registry, 1)

    registry.release(found.ticket)

    with pytest.raises(LockLostError, match="taken out of the queue"):
        later.result(PATIENCE)
    assert registry.in_the_way(found.ticket) == []
    with pytest.raises(LockLostError):
        registry.granted(found.ticket)


def test_a_grant_that_comes_between_two_looks_is_not_missed(
    registry: LockRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is granted after the look at the ticket and before the look at what is in the way; the time is over too."""
    held = hold(registry, "A", "x")
    look = registry.in_the_way

    def in_the_way(ticket: int) -> list[Obstacle]:
        registry.release(held)
        return look(ticket)

    monkeypatch.setattr(registry, "in_the_way", in_the_way)

    assert hold(registry, "B", "x").fence > held.fence


# -- the dead and the living --------------------------------------------------------------------------------------


def test_a_dead_owner_loses_what_it_held_and_its_place(registry: LockRegistry) -> None:
    ghost = owner("ghost", dead())
    registry.acquire(ghost, registry.claims(["x"]), timeout=0)
    with registry.store.transaction() as tx:
        registry.request(tx, ghost, registry.claims(["y"]))

    hold(registry, "B", "x", "y")

    assert holders(registry) == ["B", "B"]
    assert registry.waiters() == ()


def test_a_living_owner_is_never_robbed_however_old_its_lock_is(registry: LockRegistry) -> None:
    hold(registry, "A", "x")
    with registry.store.transaction() as tx:
        tx.execute("UPDATE request SET asked = 1, since = 1")

    with pytest.raises(LockTimeoutError):
        hold(registry, "B", "x")

    assert [(lock.owner_phase, lock.lock_time) for lock in registry.locks()] == [("A", 1.0)]


@pytest.mark.parametrize(
    "stranger",
    [
        ProcessIdentity("another-host", "another-boot", "pid:[1]", 1, 1),
        replace(dead(), host="another-host"),
        replace(dead(), namespace="pid:[1]"),
    ],
)
@pytest.mark.parametrize("attempt", [False, True])
def test_who_cannot_be_seen_from_here_is_never_judged_dead(
    registry: LockRegistry, tmp_path: Path, stranger: ProcessIdentity, attempt: bool
) -> None:
    folder = tmp_path / "attempt" if attempt else ""
    registry.acquire(owner("far", stranger, folder), registry.claims(["x"]), timeout=0)

    with pytest.raises(LockTimeoutError, match="far"):
        hold(registry, "B", "x")

    assert holders(registry) == ["far"]


def test_a_restart_of_the_machine_ends_all_owners(registry: LockRegistry) -> None:
    registry.acquire(owner("A", replace(living(), boot="before")), registry.claims(["x"]), timeout=0)

    hold(registry, "B", "x")

    assert holders(registry) == ["B"]


@pytest.mark.parametrize("files", [(), ("started",), ("started", "exit")])
@pytest.mark.parametrize("coordinator", ["alive", "dead"])
@pytest.mark.parametrize("locked", [False, True])
def test_an_attempt_lives_as_long_as_its_shim_or_as_one_can_still_come(
    tmp_path: Path, files: tuple[str, ...], coordinator: str, locked: bool
) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with ExitStack() as stack:
        if locked:
            stack.enter_context(_kernel_lock(tmp_path / "lock"))
        who = owner("phase p", living() if coordinator == "alive" else dead(), tmp_path)

        found = owner_liveness(who)

    still_to_come = not files and coordinator == "alive"
    assert found is (Liveness.ALIVE if locked or still_to_come else Liveness.DEAD)


class _kernel_lock:  # noqa: N801 -- reads like a function
    """Hold a kernel lock on a file, as a shim does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        import fcntl

        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def test_an_attempt_whose_coordinator_died_can_not_be_started_late_once_its_lock_is_given_away(
    registry: LockRegistry, tmp_path: Path
) -> None:
    """A nursery outlives its coordinator long enough to fork one more shim."""
    folder = tmp_path / "attempt"
    registry.acquire(owner("phase p", dead(), folder), registry.claims(["x"]), timeout=0)

    hold(registry, "B", "x")

    assert shim.run_attempt(str(folder)) == shim.REFUSED


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by their environment")
def test_an_attempt_lives_as_long_as_a_process_of_its_tree(tmp_path: Path) -> None:
    for name in ("started", "exit"):
        (tmp_path / name).write_text("{}")
    who = owner("phase p", dead(), tmp_path)

    with python("print('up', flush=True); input()", env={"WAVECREW_ATTEMPT": str(tmp_path)}) as stray:
        assert stray.stdout is not None
        stray.stdout.readline()
        assert owner_liveness(who) is Liveness.ALIVE

    assert owner_liveness(who) is Liveness.DEAD


def test_a_shim_that_starts_while_somebody_looks_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shim locks and says so between the look at its lock and the look at its files."""
    is_locked = attempts.is_locked
    descriptors: list[_kernel_lock] = []

    def look(path: Path) -> bool:
        found = is_locked(path)
        if not descriptors:
            descriptors.append(_kernel_lock(path))
            descriptors[0].__enter__()
            (tmp_path / "started").write_text("{}")
        return found

    monkeypatch.setattr(attempts, "is_locked", look)
    if hasattr(resource_manager, "is_locked"):
        monkeypatch.setattr(resource_manager, "is_locked", look)
    try:
        assert owner_liveness(owner("phase p", living(), tmp_path)) is Liveness.ALIVE
        assert attempts.fate_of(tmp_path) is attempts.Fate.ALIVE
    finally:
        for descriptor in descriptors:
            descriptor.__exit__()


def test_a_lock_is_broken_only_when_nobody_can_be_hurt(registry: LockRegistry) -> None:
    far = replace(living(), host="another-host")
    fences = [
        registry.acquire(owner(label, process), registry.claims([label]), timeout=0).fence
        for label, process in (("alive", living()), ("dead", dead()), ("far", far))
    ]
    by_whom: dict[str, str] = {"by": "ada", "reason": "it is gone"}

    with pytest.raises(LockError, match="alive is alive and keeps its lock"):
        registry.break_lock(fences[0], though_unknown=True, **by_whom)
    with pytest.raises(LockError, match=r"cannot be told from here .* another-host"):
        registry.break_lock(fences[2], **by_whom)
    for fence, label, force in ((fences[1], "dead", False), (fences[2], "far", True)):
        broken = registry.break_lock(fence, though_unknown=force, **by_whom)
        assert broken is not None
        assert (broken.label, broken.resources, broken.fence) == (label, (label,), fence)
    assert registry.break_lock(fences[2], **by_whom) is None
    assert holders(registry) == ["alive"]


def test_who_broke_a_lock_and_why_is_kept_and_told_to_its_owner(registry: LockRegistry) -> None:
    grant = registry.acquire(owner("far", replace(living(), host="b")), registry.claims(["x", "y"]), timeout=0)
    other = registry.acquire(owner("gone", dead()), registry.claims(["z"]), timeout=0)
    before = time.time()

    registry.break_lock(grant.fence, by="ada", reason="host b was switched off", though_unknown=True)
    registry.break_lock(other.fence, by="bob", reason="in a hurry")

    with pytest.raises(LockLostError, match=f"lock {grant.fence} of far was broken by ada: host b was switched off"):
        registry.require_held(grant)
    later = LockRegistry.open(registry.store.folder.parent)
    kept = later.picture().broken
    later.close()
    assert [(one.ticket, one.owner, one.resources, one.by, one.reason) for one in kept] == [
        (other.ticket, "owner gone", ("z",), "bob", "in a hurry"),
        (grant.ticket, "owner far", ("x", "y"), "ada", "host b was switched off"),
    ]
    assert all(before <= one.at <= time.time() for one in kept)


@pytest.mark.parametrize("reason", ["", "  "])
def test_no_lock_is_broken_without_a_reason(registry: LockRegistry, reason: str) -> None:
    grant = registry.acquire(owner("gone", dead()), registry.claims(["x"]), timeout=0)
    with pytest.raises(InvalidValueError, match="for a reason"):
        registry.break_lock(grant.fence, by="ada", reason=reason)
    assert holders(registry) == ["gone"]


def test_a_lock_that_is_given_back_while_somebody_breaks_it_was_not_broken(
    registry: LockRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = registry.acquire(owner("gone", dead()), registry.claims(["x"]), timeout=0)

    def look(_: object) -> Liveness:
        registry.release(grant)
        return Liveness.DEAD

    monkeypatch.setattr(lock_registry, "owner_liveness", look)

    assert registry.break_lock(grant.fence, by="ada", reason="why not") is None
    assert registry.picture().broken == ()


def test_a_state_of_an_earlier_version_tells_of_no_broken_lock(registry: LockRegistry) -> None:
    """On a read-only disk it stays as it was."""
    with registry.store.transaction() as tx:
        tx.execute("DROP TABLE lock_break")
    assert registry.picture().broken == ()


# -- what people are told -----------------------------------------------------------------------------------------


def test_a_picture_shows_every_lock_and_waiter_with_a_judgement_and_frees_nothing(registry: LockRegistry) -> None:
    hold(registry, "A", "a", "b")
    registry.acquire(owner("D", dead()), registry.claims(["d"]), timeout=0)
    with registry.store.transaction() as tx:
        registry.request(tx, owner("W", replace(living(), namespace="pid:[1]")), registry.claims(["d", "a"]))

    for _ in range(2):
        found = registry.picture()
        assert [(lock.resource_path, lock.owner_phase, one.word) for lock, one in found.held] == [
            ("a", "A", "alive"),
            ("b", "A", "alive"),
            ("d", "D", "dead"),
        ]
        assert [(waiter.label, one.word) for waiter, one in found.waiting] == [("W", "suspect")]


@pytest.mark.parametrize(
    ("process", "word", "reason"),
    [
        ({}, "alive", "process {pid} is there"),
        ({"host": "b"}, "suspect", "it is on host b, which cannot be seen from here"),
        (
            {"namespace": "pid:[1]"},
            "suspect",
            "it is in another container of this host, which cannot be seen from here",
        ),
        ({"boot": "before"}, "dead", "the machine was restarted"),
        ({"ticks": 1}, "dead", "process {pid} has ended"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="boots and pid namespaces are known on Linux")
def test_what_is_told_of_a_process(process: dict[str, Any], word: str, reason: str) -> None:
    assert judge(owner("A", replace(living(), **process))) == Judgement(word, reason.format(pid=os.getpid()))


@pytest.mark.parametrize(
    ("files", "locked", "in_charge", "coordinator", "word", "reason"),
    [
        (("started",), True, True, "alive", "alive", "it is at work"),
        (("started",), True, False, "dead", "alive", "it is at work, with nobody in charge of its run"),
        (("started",), False, True, "alive", "suspect", "its run has not yet recorded its end"),
        (("started", "exit"), False, True, "dead", "suspect", "its run has not yet recorded its end"),
        ((), False, True, "dead", "alive", "it is about to start"),
        ((), False, False, "alive", "alive", "it is about to start"),
        (("started",), False, False, "alive", "dead", "nobody is in charge of its run"),
        ((), False, False, "dead", "dead", "nobody is in charge of its run"),
    ],
)
def test_what_is_told_of_an_attempt(
    tmp_path: Path, files: tuple[str, ...], locked: bool, in_charge: bool, coordinator: str, word: str, reason: str
) -> None:
    folder = tmp_path / "phase" / "1"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("{}")
    with ExitStack() as stack:
        if locked:
            stack.enter_context(_kernel_lock(folder / "lock"))
        if in_charge:
            stack.enter_context(_kernel_lock(tmp_path / "coordinator"))

        found = judge(owner("phase p", living() if coordinator == "alive" else dead(), folder))

    assert found.word == word
    assert found.reason.endswith(reason)
    assert not (folder / "aborted").exists(), "looking gives nothing up"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by their environment")
def test_what_a_dead_shim_has_left_is_told_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "started").write_text("{}")
    with python("print('up', flush=True); input()", env={"WAVECREW_ATTEMPT": str(tmp_path)}) as stray:
        assert stray.stdout is not None
        stray.stdout.readline()
        found = judge(owner("phase p", dead(), tmp_path))
    assert found == Judgement("alive", f"process {stray.pid} of its tree is still there")


# -- processes --------------------------------------------------------------------------------------------------


def test_a_lock_passes_from_process_to_process(tmp_path: Path) -> None:
    with python(HOLDER, tmp_path, "src/a.py", "exclusive") as other:
        assert other.stdout is not None
        assert other.stdin is not None
        fence = int(other.stdout.readline().split()[1])
        with pytest.raises(LockTimeoutError, match=r"src/ is held by the other process"):
            FileLock("src/", 0, workspace=tmp_path).acquire()

        other.stdin.write("\n")
        other.stdin.flush()
        with FileLock("src/", PATIENCE, workspace=tmp_path) as lock:
            assert lock.fence > fence
            assert other.poll() is None  # it gave the lock back and did not only die


def test_a_killed_holder_makes_way_at_once(registry: LockRegistry, tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with python(HOLDER, tmp_path, "src/", "exclusive") as other:
        assert other.stdout is not None
        other.stdout.readline()
        later = pool.submit(registry.acquire, owner("B"), registry.claims(["src/a.py"]), timeout=PATIENCE)
        waiting(registry, 1)
        assert not later.done()

        other.kill()

        later.result(PATIENCE)
    assert holders(registry) == ["B"]


def test_readers_in_two_processes_go_together(tmp_path: Path) -> None:
    with python(HOLDER, tmp_path, "docs/", "shared") as other:
        assert other.stdout is not None
        other.stdout.readline()

        with FileLock("docs/x.md", 0, LockType.SHARED, workspace=tmp_path):
            pass
        with pytest.raises(LockTimeoutError):
            FileLock("docs/x.md", 0, workspace=tmp_path).acquire()


COUNTER = """
import sys
from pathlib import Path
from wavecrew.core.resource_manager import FileLock
folder, times = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    with FileLock("count", 60, workspace=folder):
        before = int((folder / "count").read_text())
        (folder / "count").write_text("")  # who reads now, reads nonsense
        (folder / "count").write_text(str(before + 1))
"""


def test_nothing_is_lost_between_threads_and_processes(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    (tmp_path / "count").write_text("0")

    def add() -> None:
        for _ in range(5):
            with FileLock("./count", PATIENCE, workspace=tmp_path):
                (tmp_path / "count").write_text(str(int((tmp_path / "count").read_text()) + 1))

    with python(COUNTER, tmp_path, 5) as one, python(COUNTER, tmp_path, 5) as two:
        for other in (one, two):
            assert other.stdout is not None
            other.stdout.readline()
        for other in (one, two):
            assert other.stdin is not None
            other.stdin.write("\n")
            other.stdin.flush()
        for work in [pool.submit(add) for _ in range(2)]:
            work.result(PATIENCE)
        assert [one.wait(PATIENCE), two.wait(PATIENCE)] == [0, 0]

    assert (tmp_path / "count").read_text() == "20"


def test_threads_share_a_registry(registry: LockRegistry, tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    count = [0]

    def add() -> None:
        for _ in range(5):
            with FileLock("count", PATIENCE, workspace=tmp_path, registry=registry):
                before = count[0]
                time.sleep(0)  # let the others have a try
                count[0] = before + 1

    for work in [pool.submit(add) for _ in range(4)]:
        work.result(PATIENCE)

    assert count == [20]
    assert registry.locks() == ()
    assert list((tmp_path / STATE_FOLDER / "bells").iterdir()) == []


# -- FileLock ---------------------------------------------------------------------------------------------------


def test_a_file_lock_cannot_be_taken_twice(tmp_path: Path) -> None:
    lock = FileLock("x", workspace=tmp_path)
    with lock:
        assert lock.locked
        with pytest.raises(LockError, match="already held"):
            lock.acquire()
        lock.require_held()

    assert not lock.locked
    for refused in (lock.release, lock.require_held, lambda: lock.fence):
        with pytest.raises(LockError, match="is not held"):
            refused()


def test_a_file_lock_can_be_taken_again_after_its_release(tmp_path: Path) -> None:
    lock = FileLock("x", workspace=tmp_path)
    with lock:
        first = lock.fence
    with lock:
        assert lock.fence > first


def test_a_file_lock_is_given_back_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FileLock("x", workspace=tmp_path):
        raise KeyError

    FileLock("x", 0, workspace=tmp_path).acquire().release()


def test_a_file_lock_whose_release_fails_is_still_held(registry: LockRegistry, tmp_path: Path) -> None:
    lock = FileLock("x", workspace=tmp_path, registry=registry).acquire()
    (tmp_path / STATE_FOLDER / "state.db").rename(tmp_path / "away")
    with pytest.raises(Exception, match="removed or replaced"):
        lock.release()
    (tmp_path / "away").rename(tmp_path / STATE_FOLDER / "state.db")

    lock.release()

    assert registry.locks() == ()


def test_a_file_lock_knows_when_it_was_taken_away(registry: LockRegistry, tmp_path: Path) -> None:
    lock = FileLock("x", workspace=tmp_path, registry=registry, owner="me").acquire()
    registry.release(1)

    with pytest.raises(LockLostError):
        lock.require_held()


@pytest.mark.parametrize("path", ["src/a.py", "./src/../src/a.py", "{workspace}/src/a.py", "lnk/a.py"])
def test_all_spellings_of_a_path_are_one_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "lnk").symlink_to("src")
    monkeypatch.chdir(tmp_path)

    with FileLock(path.format(workspace=tmp_path), owner="first"):
        with pytest.raises(LockTimeoutError, match=r"src/a\.py is held by first"):
            FileLock(Path("src/a.py"), 0, workspace=tmp_path).acquire()
        with pytest.raises(LockTimeoutError, match=r"src/ is held by first"):
            FileLock("src", 0).acquire()


def test_a_refused_path_leaves_the_lock_as_it_was(tmp_path: Path) -> None:
    lock = FileLock("../x", workspace=tmp_path)

    for _ in range(2):
        with pytest.raises(InvalidValueError):
            lock.acquire()
    assert not lock.locked


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
def test_a_timeout_that_cannot_be_waited_for_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidValueError, match="cannot be waited for"):
        FileLock("x", timeout)


def test_the_timeout_of_one_acquire_can_be_its_own(tmp_path: Path) -> None:
    with FileLock("x", workspace=tmp_path, owner="a"), pytest.raises(LockTimeoutError):
        FileLock("x", PATIENCE, workspace=tmp_path).acquire(timeout=0)


def test_a_file_lock_that_gave_up_keeps_no_connection_open(tmp_path: Path) -> None:
    with FileLock("x", workspace=tmp_path):
        before = len(os.listdir("/dev/fd"))
        second = FileLock("x", 0, workspace=tmp_path)
        for _ in range(3):
            with pytest.raises(LockTimeoutError):
                second.acquire()
        assert len(os.listdir("/dev/fd")) == before


# -- asyncio ----------------------------------------------------------------------------------------------------


def test_waiting_in_a_task_does_not_hold_up_the_loop(registry: LockRegistry, tmp_path: Path) -> None:
    async def story() -> list[str]:
        order: list[str] = []

        async def wait() -> None:
            async with FileLock("x", PATIENCE, workspace=tmp_path) as lock:
                order.append("taken")
                assert lock.locked

        async with FileLock("x", workspace=tmp_path):
            task = asyncio.create_task(wait())
            await soon(lambda: registry.waiters())
            order.append("the loop went on")
        await task
        return order

    assert asyncio.run(story()) == ["the loop went on", "taken"]
    assert registry.locks() == ()


def test_many_waiting_tasks_cannot_keep_the_holder_from_giving_back(registry: LockRegistry, tmp_path: Path) -> None:
    """More tasks than any shared pool of threads has places."""
    count = [0]

    async def take() -> None:
        async with FileLock("x", PATIENCE, workspace=tmp_path, registry=registry):
            count[0] += 1

    async def story() -> None:
        await asyncio.gather(*(take() for _ in range(40)))

    asyncio.run(story())

    assert count == [40]


def test_a_cancelled_task_leaves_the_queue(registry: LockRegistry, tmp_path: Path) -> None:
    async def story() -> None:
        lock = FileLock("x", 2 * PATIENCE, workspace=tmp_path, registry=registry)
        task = asyncio.create_task(lock.__aenter__())
        await soon(lambda: registry.waiters())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await soon(lambda: not registry.waiters(), "it left the queue")
        await soon(lambda: not [t for t in threading.enumerate() if t.name.startswith("wavecrew-lock")])
        await asyncio.sleep(0)  # the thread has ended; now the loop hears of it
        assert not lock.locked

    with FileLock("x", workspace=tmp_path):
        asyncio.run(story())


def test_a_lock_that_is_granted_to_a_cancelled_task_is_given_back(registry: LockRegistry, tmp_path: Path) -> None:
    may_go_on = threading.Event()

    class Slow(LockRegistry):
        def acquire(self, *arguments: object, **options: object) -> Grant:
            assert may_go_on.wait(PATIENCE)
            return super().acquire(*arguments, **options)  # type: ignore[arg-type]

    async def story() -> None:
        lock = FileLock("x", workspace=tmp_path, registry=Slow(registry.store, tmp_path))
        task = asyncio.create_task(lock.__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        may_go_on.set()
        await soon(lambda: registry.store.query("SELECT seq FROM sqlite_sequence"), "it was granted")
        await soon(lambda: not registry.locks() and not lock.locked, "it was given back")

    asyncio.run(story())


# -- the bell ---------------------------------------------------------------------------------------------------


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder whose sockets have names that the system does not take."""
    folder = tmp_path.joinpath(*["deep-in-the-woods"] * 8)
    folder.mkdir(parents=True)
    assert len(str(folder)) > 108
    return folder


@pytest.mark.parametrize("where", ["tmp_path", "deep"])
def test_a_bell_rings_in_any_folder(where: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(where)
    with Bell(folder) as bell:
        bell.hang(7)
        begun = time.monotonic()

        Bell.ring(folder, 7)
        bell.wait(2 * PATIENCE, [])

        assert time.monotonic() - begun < PATIENCE
        assert [path.name for path in (folder / "bells").iterdir()] == ["7"]
    assert list((folder / "bells").iterdir()) == []


def test_a_name_that_is_too_long_without_proc_means_looking_now_and_then(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda self: False)

    with Bell(deep) as bell:
        bell.hang(7)
        Bell.ring(deep, 7)
        bell.wait(0.0, [])


def test_ringing_where_nobody_waits_is_no_error(tmp_path: Path) -> None:
    Bell.ring(tmp_path, 1)
    with Bell(tmp_path) as bell:
        bell.wait(0.0, [])


def test_an_event_loop_can_listen_to_a_bell(tmp_path: Path) -> None:
    with Bell(tmp_path) as bell:
        with pytest.raises(ValueError, match="does not hang"):
            bell.fileno()
        bell.hush()
        bell.hang("run-1")
        ready = select.poll()
        ready.register(bell.fileno(), select.POLLIN)
        assert ready.poll(0) == []

        for _ in range(2):
            Bell.ring(tmp_path, "run-1")

        assert ready.poll(PATIENCE * 1000)
        bell.hush()
        assert ready.poll(0) == []


def test_a_bell_takes_the_place_of_one_that_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / "bells").mkdir()
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.bind(str(tmp_path / "bells" / "7"))
    left.close()
    with Bell(tmp_path) as bell:
        bell.hang(7)
        begun = time.monotonic()
        Bell.ring(tmp_path, 7)
        bell.wait(2 * PATIENCE, [])
        assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("where", ["tmp_path", "deep"])
def test_only_bells_that_nobody_listens_to_are_taken_down(where: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(where)
    Bell.remove_dead(folder)
    with Bell(folder) as living_bell, Bell(folder) as killed:
        living_bell.hang(1)
        killed.hang(2)
        assert killed._socket is not None
        killed._socket.close()  # as kill -9 would leave it

        Bell.remove_dead(folder)

        assert [path.name for path in (folder / "bells").iterdir()] == ["1"]


def test_the_end_of_a_holder_ends_the_wait(tmp_path: Path) -> None:
    with python("input()") as other, Bell(tmp_path) as bell:
        bell.hang(1)
        begun = time.monotonic()
        other.kill()

        bell.wait(2 * PATIENCE, [os.getpid(), other.pid, 2**22 + 1])  # nobody has the last one

        assert time.monotonic() - begun < PATIENCE


def test_a_bell_rings_in_a_process_with_very_many_open_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("so many files cannot be opened here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    many = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with FileLock("x", workspace=tmp_path, owner="a"), pytest.raises(LockTimeoutError):
            FileLock("x", 0.01, workspace=tmp_path).acquire()
    finally:
        for descriptor in many:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
