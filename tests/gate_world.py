"""A write gate with real hooks, for tests: a run in a workspace, attempts that hold locks, and agents that ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core_builders import PATIENCE, soon
from wavecrew.core.attempts import attempt_folder
from wavecrew.core.gate_calls import Decision, Wait
from wavecrew.core.gate_socket import hook_argv
from wavecrew.core.lock_registry import LockRegistry
from wavecrew.core.workplace import Workplace
from wavecrew.core.write_gate import WriteGate

RUN = "r1"
ALLOWED, REFUSED = 0, 2


@dataclass(frozen=True)
class Answer:
    """What an agent sees of its hook."""

    code: int
    out: str
    told: str

    @property
    def allowed(self) -> bool:
        if self.code == ALLOWED:
            assert (self.out, self.told) == ("", "")  # anything else could mean something to an agent
        return self.code == ALLOWED


class GateWorld:
    """One workspace, one run, one coordinator."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.workspace = folder / "ws"
        self.workspace.mkdir(exist_ok=True)
        self.registry = LockRegistry.open(self.workspace)
        self.state = self.registry.store.folder
        self.run_folder = self.state / "runs" / RUN
        if not self.registry.store.runs():
            self.registry.store.create_run(RUN, at=0.0, plan="plan", digest="")
        self.decisions: list[Decision] = []
        self.waited: list[Wait] = []
        self.gate = WriteGate(
            self.registry,
            self.run_folder,
            **{"on_decision": self.decisions.append, "on_wait": self.waited.append, **options},
        )

    async def open(self) -> None:
        """Become the coordinator, and open the gate."""
        await self.gate.start(self.registry.store.take_charge(RUN))

    def owner(self, phase: str, attempt: int = 1) -> str:
        return f"{RUN}/{phase}/{attempt}"

    def admit(self, phase: str, claims: Iterable[str] = (), root: Path | None = None, **options: Any) -> None:
        """An attempt that has started, with the locks of its phase."""
        label, name = f"phase {phase}", self.owner(phase)
        folder = attempt_folder(self.state, RUN, phase, 1)
        if claims:
            owner = self.registry.owner(label, name=name)
            self.registry.acquire(owner, self.registry.claims(claims), timeout=0)
        self.gate.admit(name, label, folder, Workplace(self.workspace, root or self.workspace, **options))

    def end(self, phase: str) -> None:
        """The attempt is over, and its locks are freed."""
        self.gate.dismiss(self.owner(phase))
        with self.registry.store.transaction() as tx:
            freed = self.registry.release_owner(tx, self.owner(phase))
        self.registry.ring(freed)

    def held(self, phase: str) -> set[str]:
        return {lock.resource_path for lock in self.registry.locks() if lock.owner_phase == f"phase {phase}"}

    # -- agents

    async def start_hook(self, phase: str, payload: object, *, seconds: float = PATIENCE) -> asyncio.subprocess.Process:
        """A hook at work, which has been told all."""
        argv = (*hook_argv(self.run_folder, self.owner(phase), 0)[:-1], str(seconds))
        hook = await asyncio.create_subprocess_exec(
            *argv,
            cwd=self.workspace,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert hook.stdin is not None
        text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            hook.stdin.write(text)
            hook.stdin.close()
        return hook

    async def ask(self, phase: str, payload: object, **options: Any) -> Answer:
        return await answer_of(await self.start_hook(phase, payload, **options))

    def write(self, path: str | Path, *, cwd: Path | None = None) -> dict[str, Any]:
        """The call of an agent that writes one file."""
        return call("Write", {"file_path": str(path), "content": "text"}, cwd or self.workspace)

    async def waiting(self, number: int = 1) -> None:
        """Until so many hooks wait for a lock."""
        await soon(lambda: len(self.gate.waits) == number, f"{number} waits")


async def answer_of(hook: asyncio.subprocess.Process) -> Answer:
    out, told = await hook.communicate()
    assert hook.returncode is not None
    return Answer(hook.returncode, out.decode(), told.decode())


def call(tool: str, arguments: object, cwd: Path, event: str = "PreToolUse") -> dict[str, Any]:
    """What an agent says of a tool call."""
    return {
        "session_id": "s",
        "hook_event_name": event,
        "tool_name": tool,
        "tool_input": arguments,
        "cwd": str(cwd),
    }


@contextlib.asynccontextmanager
async def gate_world(folder: Path, **options: Any) -> AsyncIterator[GateWorld]:
    """A world with its gate open; in the end nobody waits any more."""
    world = GateWorld(folder, **options)
    await world.open()
    try:
        yield world
    finally:
        await world.gate.close()
        assert not world.gate.waits
        world.registry.close()
