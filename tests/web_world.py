"""Runs to look at on the page: histories in a real store, with a coordinator that seems to be there, locks and logs.

What it does: makes plans of any size whose phases stand in every state, writes logs, holds locks, and adds events while
somebody looks. No engine and no agent is started.
What it does not know: pages and browsers.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from run_stories import phase
from wavecrew.core.attempts import attempt_folder
from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.store import Store
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus

RUN = "3f2a77"
NAME = "Rebuild the table tool"
_PARTS = ("scaffold", "reader", "markdown", "html", "stats", "fuzz", "cli", "readme", "bench", "accept")
_WORDS = (
    "parser",
    "writer",
    "store",
    "index",
    "search",
    "export",
    "import",
    "login",
    "mail",
    "report",
    "queue",
    "cache",
)


def plan(size: int, seed: int = 5) -> tuple[PhaseInfo, ...]:
    """A plan with waves, conflicts, and names of some variety."""
    chance = random.Random(seed)
    phases = []
    for number in range(size):
        name = f"{number + 1:0{len(str(size))}}"
        reach = range(max(0, number - max(6, size // 5)), number)
        wanted = chance.sample(list(reach), min(len(reach), chance.choice((1, 1, 2, 2, 3)))) if number > 2 else []
        needs = " ".join(f"{one + 1:0{len(str(size))}}" for one in sorted(wanted))
        title = _PARTS[number] if size <= len(_PARTS) else f"{chance.choice(_WORDS)} {chance.choice(_PARTS)}"
        shared = ("src/registry.py",) if number % 7 == 3 else ()
        estimate = chance.choice((30, 60, 120, 240))
        phases.append(phase(f"{name} {title}", needs, estimate, f"src/part_{name}.py", *shared))
    return tuple(phases)


class World:
    """One workspace with one run that seems to be at work."""

    def __init__(
        self,
        folder: Path,
        phases: tuple[PhaseInfo, ...],
        *,
        run: str = RUN,
        age: float = 600,
        name: str = NAME,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.run = run
        folder.mkdir(parents=True, exist_ok=True)
        self.store = Store.open(folder)
        self.state = ExecutionState()
        self._stack = contextlib.ExitStack()
        self._batch: list[Event] | None = None
        self.begun = time.time() - age
        known = {"max_parallel_agents": 4, "agent": "runbook", "wave_delay_seconds": 0} | settings
        opening: list[Event] = [
            ev.RunStarted(
                at=self.begun,
                run=run,
                plan_name=name,
                plan_path="plan",
                plan_digest="7c1f9a2b00112233",
                phases=phases,
                settings=known,
            ),
            ev.CoordinatorStarted(at=self.begun, epoch=1, pid=4711, host="box", agents=4),
        ]
        self.store.create_run(run, at=self.begun, plan="plan", digest="7c1f9a2b00112233")
        self.add(*opening)

    def add(self, *events: Event) -> None:
        """Record events as a coordinator does."""
        self.state = evolve(self.state, *events)
        if self._batch is not None:
            self._batch += events
            return
        with self.store.transaction() as tx:
            self.store.append(tx, self.run, events)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Record what follows in one transaction."""
        self._batch = []
        try:
            yield
        finally:
            batch, self._batch = self._batch, None
            with self.store.transaction() as tx:
                self.store.append(tx, self.run, batch)

    def come_alive(self) -> None:
        """Seem to be in charge."""
        self._stack.enter_context(CoordinatorLock(self.store.folder / "runs" / self.run))

    def close(self) -> None:
        """Let go of everything."""
        self._stack.close()
        self.store.close()

    # -- what phases do; times in seconds since the beginning

    def start(self, name: str, at: float) -> None:
        number = self.state.phase_states[name].attempts + 1
        log = f"runs/{self.run}/{name}/{number}/log"
        self.add(ev.AttemptStarted(at=self.begun + at, phase=name, attempt=number, agent="runbook", log=log))

    def end(self, name: str, at: float, outcome: Outcome = Outcome.SUCCEEDED, **more: Any) -> None:
        number = self.state.phase_states[name].attempts
        if outcome is not Outcome.SUCCEEDED and "cause" not in more:
            more |= {"cause": Cause.CHECK, "detail": "exit code 1 from: check python -m unittest"}
        self.add(ev.AttemptEnded(at=self.begun + at, phase=name, attempt=number, outcome=outcome, **more))

    def log(self, name: str, text: str | bytes, attempt: int | None = None) -> Path:
        """Add to the log of an attempt."""
        number = attempt or self.state.phase_states[name].attempts
        folder = attempt_folder(self.store.folder, self.run, name, number)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("ab") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        return folder / "log"

    def hold(self, label: str, *paths: str) -> None:
        """Hold locks in this process, or wait for them if somebody has them."""
        registry = LockRegistry(self.store, self.folder)
        with self.store.transaction() as tx:
            registry.request(tx, registry.owner(label), registry.claims(paths))


def busy(world: World, share: float = 0.4) -> float:
    """Bring a run somewhere into its middle, with phases in as many states as there are. Gives how far that is, in
    seconds since its beginning."""
    chance = random.Random(3)
    at, order = 1.0, list(world.state.graph.topological_order())
    goal = max(2, int(len(order) * share))
    done = 0
    while world.state.queued and (done < goal or (len(world.state.queued) < 7 and done < 0.7 * len(order))):
        for name in list(world.state.queued)[:4]:
            world.start(name, at)
            at += 0.4
        for name in list(world.state.running):
            at += chance.choice((12.0, 30.0, 75.0)) * 10 / (5 + len(order))
            if chance.random() < 0.12 and world.state.phase_states[name].attempts == 1:
                world.end(name, at, Outcome.FAILED, retry_at=world.begun + at)
                continue
            world.end(name, at)
            done += 1
    return at


def many_states(world: World, at: float) -> None:
    """At the front of the run: at work, waiting, failed, silent, to be tried again, skipped, held by a gate."""
    ready = list(world.state.queued)
    now = time.time() - world.begun
    world.start(ready[0], at + 1)
    world.log(ready[0], "$ python -m unittest tests.test_table\n......\nRan 6 tests in 0.412s\n\nOK\n")
    world.hold(ready[0], "src/registry.py")
    deeds = (_waits, _fails, _falls_silent, _is_retried, _is_skipped, _needs_approval)
    for name, deed in zip(ready[1:], deeds, strict=False):
        deed(world, name, ready[0], at, now)


def _waits(world: World, name: str, holder: str, at: float, now: float) -> None:
    world.hold(name, "src/registry.py")
    world.add(ev.LockAwaited(at=world.begun + now - 31, phase=name, resource="src/registry.py", holder=holder))


def _fails(world: World, name: str, holder: str, at: float, now: float) -> None:
    world.start(name, at + 2)
    world.log(name, "Traceback (most recent call last):\nAssertionError: 3 != 4\n")
    world.end(name, at + 20, Outcome.FAILED)


def _falls_silent(world: World, name: str, holder: str, at: float, now: float) -> None:
    world.start(name, now - 200)
    world.log(name, "Overwrite html.py? [y/n] ")
    since, number = world.begun + now - 90, world.state.phase_states[name].attempts
    world.add(ev.AgentSilence(at=since + 61, phase=name, attempt=number, since=since, words="Overwrite? [y/n]"))


def _is_retried(world: World, name: str, holder: str, at: float, now: float) -> None:
    world.start(name, at + 3)
    world.end(name, at + 32, Outcome.FAILED, retry_at=time.time() + 900)


def _is_skipped(world: World, name: str, holder: str, at: float, now: float) -> None:
    world.add(ev.PhaseSkipped(at=world.begun + at + 3, phase=name, by="ann", reason="done by hand"))


def _needs_approval(world: World, name: str, holder: str, at: float, now: float) -> None:
    world.add(ev.ApprovalAsked(at=world.begun + now - 60, gate=f"phase {name}"))


@contextlib.contextmanager
def busy_world(folder: Path, size: int) -> Iterator[World]:
    """A run of a size in its middle."""
    trial = World(folder / "trial", plan(size))
    with trial.at_once():
        age = busy(trial) + 240
    trial.close()
    world = World(folder, plan(size), age=age)
    try:
        world.come_alive()
        with world.at_once():
            at = busy(world)
        many_states(world, at)
        yield world
    finally:
        world.close()


def finished(world: World, at: float = 300.0) -> None:
    """Let everything that is left succeed, and the run end."""
    while any(found.status is not PhaseStatus.COMPLETED for found in world.state.phase_states.values()):
        for name in list(world.state.queued):
            world.start(name, at)
        for name in list(world.state.running):
            at += 2
            world.end(name, at)
    world.add(ev.RunFinished(at=world.begun + at))
