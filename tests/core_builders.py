"""Short ways to owners, attempts, phases and engines, and to other processes, for the tests of the core."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wavecrew.agents.command import CommandAgent
from wavecrew.agents.runbook import RunbookAgent
from wavecrew.core.attempts import Job, write_job
from wavecrew.core.engine import Engine, RetryRules
from wavecrew.core.jobs import JobMaker
from wavecrew.core.liveness import ATTEMPT_MARK, ProcessIdentity
from wavecrew.core.lock_table import Owner
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.scheduler import Policy
from wavecrew.core.store import Store
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.invocation import JobStep, JobStepKind
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo

PATIENCE = 60.0
"""Seconds after which a condition that must come true is taken to be broken. Nothing is expected to be this slow."""


def eventually(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until a condition is true and give what it gave; fail when it does not come true at all."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"it never came true: {what or condition}"
        time.sleep(0.005)
    return found


async def soon(condition: Callable[[], Any], what: str = "") -> Any:
    """As `eventually`, with the event loop going on meanwhile."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"it never came true: {what or condition}"
        await asyncio.sleep(0.005)
    return found


@contextlib.contextmanager
def python(source: str, *arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Another Python that runs some source, with pipes for text; it is ended by its pid, whatever happens."""
    program = subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


HOLDER = """
import sys
from wavecrew.core.resource_manager import FileLock
workspace, path, mode = sys.argv[1:4]
lock = FileLock(path, 60, mode, workspace=workspace, owner="the other process")
lock.acquire()
print("held", lock.fence, flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""
"""Takes a lock, says so, gives it back at the first line of input and lives until the second."""


# -- owners -----------------------------------------------------------------------------------------------------


def living() -> ProcessIdentity:
    """This process."""
    return ProcessIdentity.of()


def dead() -> ProcessIdentity:
    """A process that had the pid of this one before it."""
    me = living()
    return ProcessIdentity(me.host, me.boot, me.namespace, me.pid, me.ticks + 1)


def owner(label: str, process: ProcessIdentity | None = None, attempt: Path | str = "") -> Owner:
    return Owner(f"owner {label}", label, process or living(), str(attempt))


# -- attempts ---------------------------------------------------------------------------------------------------


def shell(script: str, kind: JobStepKind = JobStepKind.RUN, stdin: str | None = None) -> JobStep:
    return JobStep(kind, f"{kind} {script.splitlines()[0][:40]}", ("/bin/sh", "-c", script), stdin)


def prepared_attempt(
    folder: Path, *steps: JobStep, timeout: float | None = None, grace: float = 5.0, env: Mapping[str, str] = {}
) -> Path:
    """The folder of an attempt, ready for a shim. It works in the folder `ws` beside it."""
    workspace = folder.parent / "ws"
    workspace.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], ATTEMPT_MARK: str(folder), **env}
    write_job(folder, Job(str(workspace), tuple(steps), environment, timeout, grace))
    return folder


# -- runs -------------------------------------------------------------------------------------------------------


def phase(name: str, *after: str, sh: str = "true", **rest: Any) -> PhaseInfo:
    """A phase that runs a line of shell."""
    return PhaseInfo(name, f"Phase {name}", after, command=("/bin/sh", "-c", sh), **rest)


class Bench:
    """A workspace with one run in it. Every engine that it makes has a connection of its own, as after a restart."""

    def __init__(self, workspace: Path, *phases: PhaseInfo, run: str = "r1") -> None:
        self.workspace = workspace
        self.run_id = run
        workspace.mkdir(parents=True, exist_ok=True)
        self.store = Store.open(workspace)
        if phases:
            self.store.create_run(run, at=0.0, plan="plan", digest="")
            begun = ev.RunStarted(at=0.0, run=run, plan_name="", plan_path="", plan_digest="", phases=phases)
            with self.store.transaction() as tx:
                self.store.append(tx, run, [begun])

    @property
    def events(self) -> list[Event]:
        return [event for _, event in self.store.events(self.run_id)]

    def of(self, kind: type[Event], name: str | None = None) -> list[Any]:
        """The events of a kind, of one phase if it is named."""
        return [e for e in self.events if isinstance(e, kind) and name in (None, getattr(e, "phase", None))]

    def attempt(self, name: str, number: int = 1) -> Path:
        return self.store.folder / "runs" / self.run_id / name / str(number)

    def lines(self, name: str) -> list[str]:
        """The lines of a file in the workspace."""
        path = self.workspace / name
        return path.read_text().splitlines() if path.exists() else []

    def registry(self) -> LockRegistry:
        return LockRegistry.open(self.workspace)

    def engine(
        self,
        *,
        agents: Mapping[str, Any] | None = None,
        limit: int = 3,
        retry: RetryRules | None = None,
        observe: Callable[[Sequence[Event], ExecutionState], None] = lambda events, state: None,
        policy: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
        has_room: Callable[[], bool] = lambda: True,
        **job_settings: Any,
    ) -> Engine:
        store = Store.open(self.workspace)
        started = next(e for e in self.events if isinstance(e, ev.RunStarted))
        graph = DependencyGraph.of(started.phases)
        known = {"command": CommandAgent(), "runbook": RunbookAgent(), **(agents or {})}
        settings = {"grace": 0.5, "environ": os.environ, **job_settings}
        keys = ResourceKeys(self.workspace)
        jobs = JobMaker(self.run_id, self.workspace.resolve(), store.folder, known, keys, "command", **settings)
        rank = {name: position for position, name in enumerate(graph.topological_order())}
        claims = {name: jobs.claims(found) for name, found in graph.nodes.items()}
        return Engine(
            store=store,
            registry=LockRegistry(store, self.workspace),
            jobs=jobs,
            policy=Policy(limit, rank, claims, **(policy or {})),
            retry=retry or RetryRules(),
            observe=observe,
            clock=clock,
            has_room=has_room,
        )

    def run(self, **settings: Any) -> ExecutionState:
        """Let an engine work until it is done."""
        return asyncio.run(asyncio.wait_for(self.engine(**settings).run(), PATIENCE))
