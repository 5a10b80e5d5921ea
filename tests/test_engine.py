"""The engine with real agents: what it records, what it survives, and that nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core_builders import PATIENCE, Bench, eventually, phase, python, soon
from wavecrew.core import wishes
from wavecrew.core.attempts import Fate, fate_of, shim_pid
from wavecrew.core.bell import Bell
from wavecrew.core.engine import Engine, RetryRules
from wavecrew.core.liveness import is_locked, marked_processes
from wavecrew.core.resource_manager import FileLock
from wavecrew.core.store import Store
from wavecrew.core.supervisor import Supervisor
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import RunBusyError, StoreError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, PhaseStatus, replay
from wavecrew.models.invocation import JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo, Step, StepKind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are followed to their end on Linux")

RAN = "echo $WAVECREW_PHASE $WAVECREW_ATTEMPT_NUMBER >> ran"
"""One line per execution, in one write."""


def gate(name: str) -> str:
    """Shell that says that it is up, and waits until somebody opens the gate."""
    return f"{RAN}; touch up-{name}; while [ ! -e gate-{name} ]; do sleep 0.02; done"


def open_gate(bench: Bench, *names: str) -> None:
    for name in names:
        (bench.workspace / f"gate-{name}").touch()


async def is_up(bench: Bench, *names: str) -> None:
    for name in names:
        await soon((bench.workspace / f"up-{name}").exists, f"{name} is up")


def statuses(state: ExecutionState) -> dict[str, str]:
    return {name: str(found.status) for name, found in state.phase_states.items()}


def all_completed(state: ExecutionState) -> bool:
    return set(statuses(state).values()) == {"COMPLETED"}


def nothing_left(bench: Bench) -> None:
    """No lock, no place in a queue, no process, no socket, no temporary file and no environment on the disk."""
    assert bench.store.query("SELECT count(*) FROM request")[0][0] == 0
    assert bench.store.query("SELECT count(*) FROM claim")[0][0] == 0
    names = [path for path in bench.store.folder.rglob("*") if path.is_file() or path.is_socket()]
    assert not [path for path in names if path.name.endswith(".tmp") or path.name == "env.json" or path.is_socket()]
    attempts = {path.parent for path in names if path.name == "lock"}
    assert not [pid for folder in attempts for pid in marked_processes(folder)]


# -- one run ----------------------------------------------------------------------------------------------------


def test_a_plan_is_carried_out_in_the_order_of_its_dependencies(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        phase("a", sh=f"{RAN}; echo > x", outputs=("x",)),
        phase("b", "a", sh=RAN),
        phase("c", "a", sh=RAN),
        phase("d", "b", "c", sh=f"{RAN}; test -e x"),
    )

    state = bench.run()

    assert all_completed(state)
    assert state.end_time is not None
    ran = bench.lines("ran")
    assert (ran[0], sorted(ran[1:3]), ran[3]) == ("a 1", ["b 1", "c 1"], "d 1")
    assert replay(bench.events) == state
    nothing_left(bench)


def test_the_intent_is_recorded_before_and_the_end_after_the_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=f"{RAN}; exit 3"))
    seen: list[tuple[str, bool, bool]] = []

    def observe(events: Sequence[Event], state: ExecutionState) -> None:
        folder = bench.attempt("a")
        seen.extend((type(event).__name__, folder.exists(), (folder / "exit").exists()) for event in events)

    state = bench.run(observe=observe)

    assert seen == [
        ("CoordinatorStarted", False, False),
        ("AttemptStarted", False, False),
        ("AttemptEnded", True, True),
        ("RunFinished", True, True),
    ]
    (end,) = bench.of(ev.AttemptEnded)
    assert (end.outcome, end.cause, end.exit_code) == (Outcome.FAILED, Cause.EXIT, 3)
    assert end.detail == "exit code 3"
    assert state.status_of("a") is PhaseStatus.FAILED


def test_conflicting_phases_never_overlap(tmp_path: Path) -> None:
    script = "mkdir busy && sleep 0.02 && rmdir busy"  # mkdir fails for the second of two
    names = [f"p{number}" for number in range(6)]
    bench = Bench(tmp_path, *[phase(name, sh=script, locks=("src/",), reads=(f"{name}.md",)) for name in names])

    state = bench.run(limit=6)

    assert all_completed(state)
    fences = [started.fence for started in bench.of(ev.AttemptStarted)]
    assert fences == sorted(set(fences))
    assert {wait.resource for wait in bench.of(ev.LockAwaited)} == {"src/"}


def test_a_phase_without_its_outputs_is_not_completed(tmp_path: Path) -> None:
    missing = ("nope", "empty/", "*.none", "n" * 300)
    bench = Bench(
        tmp_path,
        phase("a", sh="mkdir empty", outputs=missing[:3]),
        phase("b", sh="mkdir -p full; touch full/x y.some z", outputs=("full/", "*.some", "z")),
    )

    state = bench.run()

    assert statuses(state) == {"a": "FAILED", "b": "COMPLETED"}
    (end,) = bench.of(ev.AttemptEnded, "a")
    assert end.cause is Cause.OUTPUTS
    assert all(name in end.detail for name in missing[:3])


def test_a_runbook_writes_runs_and_checks(tmp_path: Path) -> None:
    steps = (
        Step(StepKind.FILE, "hello\n", path="made/x"),
        Step(StepKind.RUN, "cat made/x > y\n"),
        Step(StepKind.CHECK, "import pathlib; assert pathlib.Path('y').read_text() == 'other'", language="python"),
        Step(StepKind.RUN, "touch never"),
    )
    bench = Bench(tmp_path, PhaseInfo("a", "A", steps=steps, agent="runbook"))

    state = bench.run()

    assert state.phase_states["a"].cause is Cause.CHECK
    assert bench.lines("y") == ["hello"]
    assert not (tmp_path / "never").exists()


def test_checks_of_a_phase_come_after_its_agent(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, checks=(("grep", "a 1", "ran"), ("false",))))

    assert bench.run().phase_states["a"].cause is Cause.CHECK


@pytest.mark.parametrize(
    ("rest", "cause", "detail"),
    [
        ({"command": ("no-such-program",)}, Cause.START, "cannot be started"),
        ({"command": ("sleep", "1000"), "timeout_seconds": 0.05}, Cause.TIMEOUT, "its time limit passed during: sleep"),
        ({"command": ("sh", "-c", "kill -SEGV $$")}, Cause.EXIT, "signal 11"),
        ({"command": ("true",), "description": "\ud800"}, Cause.START, "could not be started"),
    ],
)
def test_a_failure_tells_its_cause(tmp_path: Path, rest: dict[str, Any], cause: Cause, detail: str) -> None:
    bench = Bench(tmp_path, PhaseInfo("a", "A", **rest), phase("b", "a", sh=RAN))

    state = bench.run()

    assert (state.phase_states["a"].cause, statuses(state)) == (cause, {"a": "FAILED", "b": "NOT_STARTED"})
    assert detail in state.phase_states["a"].detail
    assert state.end_time is not None
    nothing_left(bench)


def test_a_failed_phase_is_tried_again_as_often_as_allowed(tmp_path: Path) -> None:
    third_time = f"{RAN}; test $WAVECREW_ATTEMPT_NUMBER = 3"
    bench = Bench(
        tmp_path,
        phase("a", sh=third_time, locks=("x",)),
        phase("b", sh=third_time, retries=1),
        phase("c", sh="false", retries=0),
    )

    state = bench.run(retry=RetryRules(retries=2, delay=0.01))

    assert statuses(state) == {"a": "COMPLETED", "b": "FAILED", "c": "FAILED"}
    assert sorted(bench.lines("ran")) == ["a 1", "a 2", "a 3", "b 1", "b 2"]
    nothing_left(bench)


class Moody:
    """An agent that cannot prepare some phases, or not always."""

    name = summary = "moody"

    def __init__(self, *good_attempts: str) -> None:
        self.good = list(good_attempts)

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        return ""

    def prepare(self, phase: PhaseInfo, context: Any) -> Any:
        from wavecrew.models.invocation import Invocation

        if phase.id not in self.good:
            raise RuntimeError("not today")
        self.good.remove(phase.id)
        return Invocation((JobStep(JobStepKind.AGENT, "true", ("true",)),))


def test_a_phase_that_cannot_be_prepared_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, PhaseInfo("a", "A", agent="moody", locks=("x",)), phase("b", "a"), phase("c", locks=("x",), sh=RAN)
    )

    state = bench.run(agents={"moody": Moody()})

    assert statuses(state) == {"a": "FAILED", "b": "NOT_STARTED", "c": "COMPLETED"}
    assert "not today" in state.phase_states["a"].detail
    assert state.phase_states["a"].attempts == 0
    nothing_left(bench)


def test_the_work_of_completed_phases_must_still_be_there_at_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh="touch x", outputs=("x",)), phase("b", "a", sh="rm x"))

    state = bench.run()

    assert bench.of(ev.RunFinished)[-1].missing == ("x",)
    assert not state.succeeded


# -- locks that others hold -----------------------------------------------------------------------------------------


def test_a_phase_waits_for_a_lock_of_somebody_else_and_says_for_whom(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, outputs=(), locks=("src/x.py",)), phase("b", sh=RAN))
    lock = FileLock("src/", workspace=tmp_path, owner="a script").acquire()

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine(limit=1).run())
        await soon(lambda: bench.of(ev.LockAwaited) and bench.of(ev.AttemptEnded, "b"))
        assert bench.lines("ran") == ["b 1"]  # a took no slot
        lock.release()
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())

    assert all_completed(state)
    assert [(wait.phase, wait.resource, wait.holder) for wait in bench.of(ev.LockAwaited)] == [
        ("a", "src/x.py", "a script")
    ]
    nothing_left(bench)


def test_a_phase_behind_a_waiting_one_does_not_overtake_it_on_the_same_lock(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x", "y")), phase("b", sh=RAN, locks=("y",)))
    lock = FileLock("x", workspace=tmp_path, owner="a script").acquire()

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine().run())
        await soon(lambda: len(bench.of(ev.LockAwaited)) == 2)
        lock.release()
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())

    assert all_completed(state)
    assert bench.lines("ran") == ["a 1", "b 1"]


def test_when_patience_ends_the_phase_fails_with_the_name_of_the_holder(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x",)), phase("b", "a"), phase("c", sh=RAN))

    with FileLock("x", workspace=tmp_path, owner="a script"):
        state = bench.run(retry=RetryRules(lock_timeout=0.01, lock_patience=2))
        assert len(bench.registry().locks()) == 1

    assert statuses(state) == {"a": "FAILED", "b": "NOT_STARTED", "c": "COMPLETED"}
    (refused,) = bench.of(ev.PhaseRefused)
    assert (refused.cause, "x was held by a script" in refused.detail) == (Cause.LOCK, True)
    nothing_left(bench)


def test_a_dead_holder_holds_up_nobody(tmp_path: Path) -> None:
    holder = "import sys\nfrom wavecrew.core.lock_registry import FileLock\n"
    holder += "FileLock('x', workspace=sys.argv[1], owner='ghost').acquire(); print(1, flush=True); input()"
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x",)))
    with python(holder, tmp_path) as other:
        assert other.stdout is not None
        other.stdout.readline()

    assert all_completed(bench.run())


def test_a_run_that_ends_at_the_first_failure_does_not_wait_for_a_lock(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x",)), phase("b", sh="false"))

    with FileLock("x", workspace=tmp_path, owner="a script"):
        state = bench.run(policy={"fail_fast": True})

    assert statuses(state) == {"a": "QUEUED", "b": "FAILED"}
    assert state.end_time is not None
    nothing_left(bench)


def test_a_phase_that_gets_its_lock_and_cannot_be_prepared_any_more_is_refused(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, PhaseInfo("a", "A", agent="moody", locks=("x",)), phase("b", sh=gate("b")), phase("c", "b", sh=RAN)
    )
    lock = FileLock("x", workspace=tmp_path, owner="a script").acquire()

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine(agents={"moody": Moody("a")}).run())
        await soon(lambda: bench.of(ev.LockAwaited))
        lock.release()
        await soon(lambda: bench.of(ev.PhaseRefused) or task.done())
        assert bench.registry().locks() == ()  # while the run goes on
        open_gate(bench, "b")
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())

    assert statuses(state) == {"a": "FAILED", "b": "COMPLETED", "c": "COMPLETED"}
    nothing_left(bench)


def test_a_place_in_the_queue_that_somebody_removed_is_asked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x",)))
    lock = FileLock("x", workspace=tmp_path, owner="a script").acquire()
    registry = bench.registry()

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine().run())
        first = (await soon(registry.waiters))[0].ticket
        registry.release(first)
        await soon(lambda: [w for w in registry.waiters() if w.ticket > first])
        lock.release()
        return await asyncio.wait_for(task, PATIENCE)

    assert all_completed(asyncio.run(story()))
    nothing_left(bench)


def test_two_runs_in_one_workspace_share_its_locks(tmp_path: Path) -> None:
    script = "mkdir busy && sleep 0.02 && rmdir busy"
    benches = [
        Bench(tmp_path, *[phase(f"p{number}", sh=script, locks=("x",)) for number in range(3)], run=run)
        for run in ("r1", "r2")
    ]

    async def story() -> list[ExecutionState]:
        both = asyncio.gather(*(bench.engine().run() for bench in benches))
        return await asyncio.wait_for(both, PATIENCE)

    assert all(map(all_completed, asyncio.run(story())))
    nothing_left(benches[0])


# -- stopping -----------------------------------------------------------------------------------------------------


def test_stop_ends_the_agents_and_a_later_engine_goes_on(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, phase("a", sh=gate("a"), locks=("x",)), phase("b", sh=RAN, locks=("x",)), phase("c", "a", sh=RAN)
    )

    async def story() -> ExecutionState:
        engine = bench.engine()
        task = asyncio.create_task(engine.run())
        await is_up(bench, "a")
        engine.stop("SIGINT")
        return await asyncio.wait_for(task, PATIENCE)

    stopped = asyncio.run(story())

    assert statuses(stopped) == {"a": "QUEUED", "b": "QUEUED", "c": "NOT_STARTED"}
    assert (stopped.stop_reason, stopped.end_time) == ("SIGINT", None)
    (end,) = bench.of(ev.AttemptEnded)
    assert (end.outcome, end.retry_at) == (Outcome.STOPPED, None)
    nothing_left(bench)
    open_gate(bench, "a")
    assert all_completed(bench.run())
    assert sorted(bench.lines("ran")) == ["a 1", "a 2", "b 1", "c 1"]


def test_stopping_a_second_time_does_not_wait_for_the_grace_time(tmp_path: Path) -> None:
    stubborn = "trap 'touch asked' TERM; touch up-a; while :; do sleep 0.05; done"
    bench = Bench(tmp_path, phase("a", sh=stubborn))

    async def story() -> ExecutionState:
        engine = bench.engine(grace=10 * PATIENCE)
        task = asyncio.create_task(engine.run())
        await is_up(bench, "a")
        engine.stop("once")
        await soon((tmp_path / "asked").exists)
        engine.stop("twice")
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())

    assert (state.stop_reason, statuses(state)) == ("once", {"a": "QUEUED"})


def test_a_stop_that_comes_before_the_run_takes_the_run_up_ends_its_agents_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=gate("a")))
    _leave_alive(bench, "a")

    engine = bench.engine()
    engine.stop("early")
    state = asyncio.run(asyncio.wait_for(engine.run(), PATIENCE))

    assert statuses(state) == {"a": "QUEUED"}
    nothing_left(bench)


def test_a_stop_while_waiting_for_a_lock_leaves_the_queue(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x",)))

    async def story() -> ExecutionState:
        engine = bench.engine()
        task = asyncio.create_task(engine.run())
        await soon(lambda: bench.of(ev.LockAwaited))
        engine.stop("enough")
        return await asyncio.wait_for(task, PATIENCE)

    with FileLock("x", workspace=tmp_path, owner="a script"):
        assert statuses(asyncio.run(story())) == {"a": "QUEUED"}
    nothing_left(bench)


def test_a_wait_for_room_on_the_machine_is_told_once_for_each_time(tmp_path: Path) -> None:
    """One phase may always be at work; the next has to wait, and the history says for what."""
    bench = Bench(tmp_path, phase("a", sh=gate("a")), phase("b", sh=RAN), phase("c", sh=RAN))
    room: list[None] = []

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine(has_room=lambda: bool(room)).run())
        await soon(lambda: bench.of(ev.RoomAwaited))
        assert [started.phase for started in bench.of(ev.AttemptStarted)] == ["a"]
        assert replay(bench.events).waits_for_room
        room.append(None)
        open_gate(bench, "a")
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())
    assert all_completed(state)
    assert not state.waits_for_room
    assert len(bench.of(ev.RoomAwaited)) == 1


def test_with_nothing_to_start_nobody_waits_for_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN), phase("b", "a", sh=RAN))
    assert all_completed(bench.run(has_room=lambda: False))
    assert bench.of(ev.RoomAwaited) == []


# -- taking up --------------------------------------------------------------------------------------------------


def _leave_alive(bench: Bench, *names: str) -> None:
    """A coordinator that is gone, while agents of these phases are at work: its loop is torn down around it."""

    async def story() -> None:
        task = asyncio.create_task(bench.engine().run())
        await is_up(bench, *names)
        await soon(lambda: all(shim_pid(bench.attempt(name)) for name in names))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert all(is_locked(bench.attempt(name) / "lock") for name in names)


def test_living_agents_are_adopted_and_end_once_under_the_next_coordinator(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, phase("a", sh=gate("a"), locks=("x",)), phase("b", sh=RAN, locks=("x",)), phase("c", "a", sh=RAN)
    )
    _leave_alive(bench, "a")
    begun = (bench.attempt("a") / "started").read_bytes()

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine().run())
        await soon(lambda: bench.of(ev.AttemptAdopted))
        assert bench.of(ev.AttemptStarted, "b") == []  # the lock goes on as the agent does
        open_gate(bench, "a")
        return await asyncio.wait_for(task, PATIENCE)

    assert all_completed(asyncio.run(story()))
    assert sorted(bench.lines("ran")) == ["a 1", "b 1", "c 1"]
    assert (bench.attempt("a") / "started").read_bytes() == begun
    assert len(bench.of(ev.AttemptEnded, "a")) == 1
    assert [started.epoch for started in bench.of(ev.CoordinatorStarted)] == [1, 2]
    nothing_left(bench)


def test_a_result_that_came_meanwhile_is_taken(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=gate("a")), phase("b", sh=f"{gate('b')}; exit 5"))
    _leave_alive(bench, "a", "b")
    open_gate(bench, "a", "b")
    eventually(lambda: {fate_of(bench.attempt(name)) for name in "ab"} == {Fate.ENDED})

    state = bench.run()

    assert statuses(state) == {"a": "COMPLETED", "b": "FAILED"}
    assert state.phase_states["b"].exit_code == 5
    assert sorted(bench.lines("ran")) == ["a 1", "b 1"]


def test_time_in_which_nobody_was_in_charge_is_no_work(tmp_path: Path) -> None:
    """An hour after both were over somebody takes charge: one had left a result, and one only its last sign of life."""
    bench = Bench(tmp_path, phase("a", sh=gate("a")), phase("b", sh=gate("b")))
    _leave_alive(bench, "a", "b")
    open_gate(bench, "a")
    eventually(lambda: fate_of(bench.attempt("a")) is Fate.ENDED)
    os.kill(shim_pid(bench.attempt("b")) or 0, signal.SIGKILL)
    eventually(lambda: fate_of(bench.attempt("b")) is Fate.LOST)
    started = {name: bench.of(ev.AttemptStarted, name)[0].at for name in ("a", "b")}

    open_gate(bench, "b")
    bench.run(clock=lambda: time.time() + 3600)

    for name in ("a", "b"):
        (first, *others) = bench.of(ev.AttemptEnded, name)
        assert first.at - started[name] >= 3600
        assert 0 <= first.at - started[name] - first.unattended < 3600
        assert not any(end.unattended for end in others)


def test_an_end_is_never_dated_before_its_beginning_nor_later_than_now(tmp_path: Path) -> None:
    """Whatever the clock was set to meanwhile: what an attempt lasted is neither negative nor longer than it can be."""
    bench = Bench(tmp_path, phase("a", sh=gate("a")), phase("b", sh=gate("b")))
    _leave_alive(bench, "a", "b")
    open_gate(bench, "a", "b")
    eventually(lambda: {fate_of(bench.attempt(name)) for name in "ab"} == {Fate.ENDED})
    _date(bench.attempt("a"), 1.0)
    _date(bench.attempt("b"), 9e12)
    started = bench.of(ev.AttemptStarted, "a")[0].at

    bench.run()

    (a,), (b,) = bench.of(ev.AttemptEnded, "a"), bench.of(ev.AttemptEnded, "b")
    assert 0 <= a.at - started - a.unattended < 30
    assert b.unattended == 0


def _date(folder: Path, at: float) -> None:
    record = json.loads((folder / "exit").read_bytes())
    (folder / "exit").write_text(json.dumps(record | {"at": at}))


def test_a_lost_attempt_is_swept_and_tried_again_and_given_up_at_last(tmp_path: Path) -> None:
    """Each shim is killed as soon as its agent is up; what the agent left behind is gone before the next begins."""
    script = f"{RAN}; (setsid sleep 1000 &); touch up-$WAVECREW_ATTEMPT_NUMBER; exec sleep 1000"
    bench = Bench(tmp_path, phase("a", sh=script, locks=("x",)))

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine().run())
        for number in (1, 2, 3):
            await soon((tmp_path / f"up-{number}").exists)
            pid = shim_pid(bench.attempt("a", number))
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await soon(lambda n=number: len(bench.of(ev.AttemptEnded)) == n)
            assert marked_processes(bench.attempt("a", number)) == []
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())

    assert statuses(state) == {"a": "FAILED"}
    assert [end.outcome for end in bench.of(ev.AttemptEnded)] == [Outcome.LOST] * 3
    assert state.phase_states["a"].losses == 3
    nothing_left(bench)


def test_an_intent_without_a_process_is_given_up_and_made_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x",)))
    with pytest.raises(KeyboardInterrupt):
        bench.run(observe=_crash_at("AttemptStarted"))
    assert bench.lines("ran") == []

    assert all_completed(bench.run())

    assert bench.lines("ran") == ["a 2"]
    (lost, won) = bench.of(ev.AttemptEnded)
    assert (lost.outcome, lost.cause, won.outcome) == (Outcome.LOST, Cause.START, Outcome.SUCCEEDED)
    nothing_left(bench)


def _crash_at(kind: str) -> Any:
    def observe(events: Sequence[Event], state: ExecutionState) -> None:
        if any(type(event).__name__ == kind for event in events):
            raise KeyboardInterrupt

    return observe


def test_taking_up_twice_in_a_row_changes_nothing_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN), phase("b", "a", sh="false"))
    first = bench.run()

    for _ in range(2):
        again = bench.run()
        assert {n: s.status for n, s in again.phase_states.items()} == {
            n: s.status for n, s in first.phase_states.items()
        }

    assert bench.lines("ran") == ["a 1"]
    assert len(bench.of(ev.AttemptStarted)) == 2


def test_a_torn_result_is_a_failure_and_never_a_success(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=gate("a")))
    _leave_alive(bench, "a")
    open_gate(bench, "a")
    eventually(lambda: fate_of(bench.attempt("a")) is Fate.ENDED)
    (bench.attempt("a") / "exit").write_text('{"code": 0')

    state = bench.run()

    assert state.phase_states["a"].cause is Cause.LOST
    assert statuses(state) == {"a": "FAILED"}


def test_a_shim_that_is_slow_to_take_charge_is_not_swept(tmp_path: Path) -> None:
    """The nursery is taken for dead; the shim that it forked at the last moment carries on and its result counts."""
    bench = Bench(tmp_path, phase("a", sh=gate("a")))

    async def story() -> ExecutionState:
        engine = bench.engine()
        task = asyncio.create_task(engine.run())
        await is_up(bench, "a")
        engine._supervisor._end(bench.attempt("a"))  # as when its lock was not taken yet
        await soon(lambda: bench.attempt("a") in engine._supervisor._attempts)
        open_gate(bench, "a")
        return await asyncio.wait_for(task, PATIENCE)

    assert all_completed(asyncio.run(story()))
    assert bench.lines("ran") == ["a 1"]
    assert len(bench.of(ev.AttemptEnded)) == 1


def test_what_an_earlier_coordinator_left_in_the_queue_is_forgotten(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x",)), phase("b", sh=RAN))
    registry = bench.registry()
    with registry.store.transaction() as tx:
        for name in ("r1/a/1", "r2/a/1"):
            registry.request(tx, registry.owner(name, name=name), registry.claims([name]))

    assert all_completed(bench.run())

    assert [lock.owner_phase for lock in registry.locks()] == ["r2/a/1"]


def test_a_killed_nursery_costs_nothing_that_was_at_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=gate("a")), phase("b", "a", sh=RAN))

    async def story() -> ExecutionState:
        engine = bench.engine()
        task = asyncio.create_task(engine.run())
        await is_up(bench, "a")
        nursery = engine._supervisor._nursery
        assert nursery is not None
        nursery.kill()
        open_gate(bench, "a")
        return await asyncio.wait_for(task, PATIENCE)

    assert all_completed(asyncio.run(story()))
    assert bench.lines("ran") == ["a 1", "b 1"]


# -- one coordinator ------------------------------------------------------------------------------------------------


def test_a_second_coordinator_leaves_with_the_name_of_the_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=gate("a")))

    async def story() -> None:
        task = asyncio.create_task(bench.engine().run())
        await is_up(bench, "a")
        with pytest.raises(RunBusyError, match=f"pid {os.getpid()} on "):
            await bench.engine().run()
        open_gate(bench, "a")
        assert all_completed(await asyncio.wait_for(task, PATIENCE))

    asyncio.run(story())
    assert len(bench.of(ev.CoordinatorStarted)) == 1


def test_a_replaced_coordinator_records_nothing_more_and_its_agent_lives_on(tmp_path: Path) -> None:
    """It slept, say, on a disk whose kernel locks were lost."""
    bench = Bench(tmp_path, phase("a", sh=gate("a"), locks=("x",)), phase("b", "a", sh=RAN))

    async def story() -> None:
        task = asyncio.create_task(bench.engine().run())
        await is_up(bench, "a")
        bench.store.take_charge("r1")
        open_gate(bench, "a")
        with pytest.raises(RunBusyError, match="taken over"):
            await asyncio.wait_for(task, PATIENCE)

    asyncio.run(story())
    assert bench.of(ev.AttemptEnded) == []
    assert all_completed(bench.run())
    assert bench.lines("ran") == ["a 1", "b 1"]
    nothing_left(bench)


def test_somebody_who_only_looks_does_not_keep_a_coordinator_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    from wavecrew.core import coordinator_lock

    bench = Bench(tmp_path, phase("a"))
    folder = bench.store.folder / "runs" / "r1"
    folder.mkdir(parents=True)
    looking = os.open(folder / "coordinator", os.O_RDONLY | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(coordinator_lock.time, "sleep", lambda seconds: os.close(looking))

    assert all_completed(bench.run())


def test_a_ticket_of_a_transaction_that_failed_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number goes to the next who asks, and they must not lose their lock by it."""
    bench = Bench(tmp_path, phase("a", sh=RAN, locks=("x",)), phase("b", sh=RAN))
    registry = bench.registry()
    FileLock("x", workspace=tmp_path, owner="a script", registry=registry).acquire()
    append, close = Store.append, Supervisor.close

    def full(store: Store, tx: Any, run: str, events: Any, **options: Any) -> None:
        if tx.execute("SELECT count(*) FROM request").fetchone()[0] == 2:
            raise StoreError("the disk is full")
        append(store, tx, run, events, **options)

    async def somebody_asks(found: Supervisor) -> None:
        registry.acquire(registry.owner("another"), registry.claims(["y"]), timeout=0)
        await close(found)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "append", full)
        patch.setattr(Supervisor, "close", somebody_asks)
        with pytest.raises(StoreError, match="disk is full"):
            bench.run()

    assert [lock.owner_phase for lock in registry.locks()] == ["a script", "another"]


# -- wishes -----------------------------------------------------------------------------------------------------


def _wish(bench: Bench, kind: WishKind, *phases: str, hard: bool = False) -> int:
    with bench.store.transaction() as tx:
        number = wishes.put(tx, bench.run_id, Wish(kind=kind, by="me", phases=phases, hard=hard))
    Bell.ring(bench.store.folder, f"run-{bench.run_id}")
    return number


async def _answer(bench: Bench, number: int) -> str:
    def look() -> str | None:
        with bench.store.transaction() as tx:
            found = wishes.answer_to(tx, number)
        return None if found is None else found or "done"

    found = await soon(look)
    assert isinstance(found, str)
    return found


def test_a_dependency_that_is_done_again_takes_its_dependents_out_of_the_queue(tmp_path: Path) -> None:
    """Else the lock would come to a phase that must not start yet."""
    bench = Bench(tmp_path, phase("a", sh=gate("a")), phase("b", "a", sh=RAN, locks=("x",)))
    open_gate(bench, "a")
    lock = FileLock("x", workspace=bench.workspace, owner="a script").acquire()

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine().run())
        await soon(lambda: bench.of(ev.LockAwaited, "b"))
        (bench.workspace / "gate-a").unlink()
        assert await _answer(bench, _wish(bench, WishKind.RETRY, "a")) == "done"
        await soon(lambda: len(bench.of(ev.AttemptStarted, "a")) == 2)
        lock.release()
        await soon(lambda: not bench.registry().waiters())
        open_gate(bench, "a")
        return await asyncio.wait_for(task, PATIENCE)

    assert all_completed(asyncio.run(story()))
    assert bench.lines("ran") == ["a 1", "a 2", "b 1"]
    nothing_left(bench)


def test_a_cancelled_phase_fails_and_the_others_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=gate("a")), phase("b", sh=gate("b")))

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine(retry=RetryRules(retries=5)).run())
        await is_up(bench, "a", "b")
        assert await _answer(bench, _wish(bench, WishKind.CANCEL, "a")) == "done"
        assert "no phase" in await _answer(bench, _wish(bench, WishKind.CANCEL, "nope"))
        await soon(lambda: bench.of(ev.AttemptEnded, "a"))
        open_gate(bench, "b")
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())

    assert statuses(state) == {"a": "FAILED", "b": "COMPLETED"}
    assert state.phase_states["a"].cause is Cause.CANCELLED


def test_a_success_under_a_lock_that_was_broken_meanwhile_is_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=gate("a"), outputs=("gate-a",)))

    async def story() -> ExecutionState:
        task = asyncio.create_task(bench.engine().run())
        await is_up(bench, "a")
        with bench.store.transaction() as tx:  # an owner on another host cannot be judged from here
            tx.execute("UPDATE request SET host = 'elsewhere'")
            (fence,) = tx.execute("SELECT fence FROM request").fetchone()
        assert bench.registry().break_lock(fence, by="me", reason="that host is gone", though_unknown=True)
        open_gate(bench, "a")
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())

    assert statuses(state) == {"a": "FAILED"}
    found = state.phase_states["a"]
    assert (found.cause, found.detail) == (Cause.LOCK, "its lock on gate-a was broken by me: that host is gone")


# -- killed at any moment -------------------------------------------------------------------------------------------

DRIVER = """
import asyncio, os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from core_builders import Bench
from wavecrew.core import crew
from wavecrew.core.store import Store
from wavecrew.core.supervisor import Supervisor

left = int(sys.argv[3])  # how many points are passed before it dies; negative: it lives

def point():
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1

def around(function):
    def inner(*arguments, **options):
        point()
        found = function(*arguments, **options)
        point()
        return found
    return inner

bench = Bench(Path(sys.argv[2]))
engine = bench.engine(limit=4)
Store.append = around(Store.append)  # inside of a transaction: nothing of it may have happened
Supervisor.start = around(Supervisor.start)
Supervisor.adopt = around(Supervisor.adopt)
crew.write_job = around(crew.write_job)
engine._ledger._observe = around(engine._ledger._observe)  # right behind a commit
print("ready", flush=True)
asyncio.run(engine.run())
"""
"""A coordinator that can be told where to die."""


def _diamonds(levels: int) -> list[PhaseInfo]:
    """Diamonds in a row with conflicts; every phase appends one line and leaves a file of its own."""
    found = []
    above: tuple[str, ...] = ()
    for level in range(levels):
        names = [f"{level}{letter}" for letter in "abc"]
        for name in names:
            script = f"{RAN}; sleep 0.01; echo $WAVECREW_ATTEMPT_NUMBER > out-{name}"
            found.append(phase(name, *above, sh=script, outputs=(f"out-{name}",), locks=(f"lock-{level}/",)))
        join = f"{level}z"
        found.append(phase(join, *names, sh=f"{RAN}; echo 1 > out-{join}", outputs=(f"out-{join}",)))
        above = (join,)
    return found


@pytest.mark.parametrize("first", range(0, 45, 5))
def test_a_coordinator_that_dies_at_any_step_loses_nothing_and_repeats_nothing(tmp_path: Path, first: int) -> None:
    """Dead at one step, then dead again while taking up, then through."""
    bench = Bench(tmp_path, *_diamonds(1))
    for steps in (first, first % 7):
        with python(DRIVER, Path(__file__).parent, tmp_path, steps) as driver:
            assert driver.wait(PATIENCE) in (0, -signal.SIGKILL)

    state = bench.run(limit=4)

    assert all_completed(state)
    _exactly_once(bench)
    nothing_left(bench)


@pytest.mark.parametrize("seed", range(2))
def test_a_coordinator_killed_from_outside_loses_nothing_and_repeats_nothing(tmp_path: Path, seed: int) -> None:
    """kill -9 after a random number of events, again and again, wherever that hits it."""
    chance = random.Random(seed)
    bench = Bench(tmp_path, *_diamonds(2))
    for _ in range(4):
        wanted = len(bench.events) + chance.randint(1, 8)
        with python(DRIVER, Path(__file__).parent, tmp_path, -1) as driver:
            eventually(lambda: driver.poll() is not None or len(bench.events) >= wanted)  # noqa: B023
            driver.kill()
            driver.wait()

    state = bench.run(limit=4)

    assert all_completed(state)
    _exactly_once(bench)
    nothing_left(bench)


def _exactly_once(bench: Bench) -> None:
    """An attempt ran at most once; of a phase, exactly one attempt succeeded, and it ran; none ran after that."""
    ran = [tuple(line.split()) for line in bench.lines("ran")]
    assert len(ran) == len(set(ran))
    for name in replay(bench.events).phase_states:
        numbers = [int(number) for phase_name, number in ran if phase_name == name]
        good = [end.attempt for end in bench.of(ev.AttemptEnded, name) if end.outcome is Outcome.SUCCEEDED]
        assert len(good) == 1
        assert numbers[-1] == good[0]
        # an attempt that never got a process was given up before; one that ran is only repeated if it was lost
        lost = [end for end in bench.of(ev.AttemptEnded, name) if end.outcome is Outcome.LOST]
        assert len(numbers) <= 1 + len([end for end in lost if end.cause is Cause.LOST])
        assert not [end for end in lost if end.cause is Cause.LOST], "no shim was killed, so none may be lost"


def test_the_engine_can_be_made_outside_of_a_loop(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN))
    engine = bench.engine()

    assert isinstance(engine, Engine)
    assert all_completed(asyncio.run(engine.run()))


def test_the_history_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh=RAN), phase("b", "a", sh=RAN))
    seen: list[ExecutionState] = []

    def observe(events: Sequence[Event], state: ExecutionState) -> None:
        with Store.open(tmp_path, create=False) as store:
            assert replay(event for _, event in store.events("r1")) == state
        seen.append(state)

    bench.run(observe=observe)

    assert len(seen) >= 4
