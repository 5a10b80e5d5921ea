"""The coordinator's side of the write gate: agents ask here before they write, and wait until they may.

What it does: answers the hooks of the attempts of one run on a Unix socket, and tells of each answer. What cannot be
judged is refused, and so is whoever does not show the token of an attempt that is under way.
What it does not know: how a call is judged (`gate_calls`), and what is done with the decisions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from wavecrew.core.gate_calls import Call, Decision, GateCalls, Refused, Verdict, Visitor, Wait
from wavecrew.core.gate_locks import GateLocks
from wavecrew.core.gate_socket import GateSocket, pass_file, read_pass, write_pass
from wavecrew.core.hook import MAX_BYTES, TRY_LATER
from wavecrew.core.lock_registry import LockRegistry
from wavecrew.core.phase_messages import ASK_HUMAN, PROGRESS
from wavecrew.core.workplace import Workplace
from wavecrew.errors import InvalidValueError, RunBusyError, WavecrewError

DEFAULT_WAIT_SECONDS: Final = 300.0
_ASK_SECONDS: Final = 10.0
Desk: TypeAlias = Callable[[str, str, object, Callable[[], bool]], Awaitable[Mapping[str, Any]]]
"""What answers an agent that tells or asks something else: it gets the name of the message, who asks, the arguments,
and what tells whether that attempt is still under way. Raises Refused and InvalidValueError."""
_OVER: Final = "this attempt is not, or no longer, part of the run. Stop: nothing that you write now counts."


class WriteGate:
    """The gate of one run. All methods are called in the event loop, which never waits for the disk or the database:
    they are looked at in threads, and who waits for a lock sleeps until a bell rings.

    `folder` is that of the run; `wait_seconds` is how long an agent is made to wait; `harmless` are patterns of names
    of tools that write no file; `home` is what `~` means to agents. `on_decision` is told of each answer before it is
    given, and if it raises, the answer is a refusal. `on_wait` is told when somebody begins to wait, and when
    somebody else is in the way. `desk` answers what is no tool call.
    """

    def __init__(
        self,
        registry: LockRegistry,
        folder: Path,
        *,
        wait_seconds: float = DEFAULT_WAIT_SECONDS,
        harmless: Collection[str] = (),
        home: str = "",
        on_decision: Callable[[Decision], None] = lambda decision: None,
        on_wait: Callable[[Wait], None] = lambda wait: None,
        desk: Desk | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._desk = desk
        self._registry = registry
        self._folder = folder
        self._locks = GateLocks(registry, folder.name)
        self._calls = GateCalls(
            registry,
            self._locks,
            wait_seconds=wait_seconds,
            harmless=harmless,
            home=home,
            on_wait=on_wait,
            clock=clock,
        )
        self._on_decision = on_decision
        self._visitors: dict[str, Visitor] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._socket: GateSocket | None = None

    @property
    def waits(self) -> tuple[Wait, ...]:
        """Who waits now, longest first."""
        return self._calls.waits

    # -- open and closed

    async def start(self, epoch: int) -> None:
        """Listen, as the coordinator of this epoch. From an earlier one the socket is taken over. Raises OSError."""
        self._locks.epoch = epoch
        self._socket = await GateSocket.open(self._folder, self._connected)

    async def close(self) -> None:
        """Answer nobody any more: who still waits sees the line go dead, and does not write."""
        if self._socket is not None:
            self._socket.close()
        answering = list(self._answering)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)
        self._calls.close()

    def admit(self, owner: str, label: str, attempt: Path, place: Workplace) -> Path:
        """Let an attempt ask: the name under which it holds locks, what people call it, its folder, and where it works.
        Gives the file that its hook needs. An attempt that is taken over keeps the one that it has. Raises OSError, and
        StoreError."""
        file = pass_file(self._folder, owner)
        token = read_pass(file, owner)
        if token:
            self._locks.forget_waits(owner)
        token = token or secrets.token_hex(16)
        write_pass(file, owner, token)
        known = self._registry.owner(label, attempt=str(attempt), name=owner)
        self._visitors[owner] = Visitor(known, token, place)
        return file

    def dismiss(self, owner: str) -> None:
        """The attempt is over: nothing is granted to it any more. Its locks are freed by whoever records its end."""
        self._visitors.pop(owner, None)
        with contextlib.suppress(OSError):
            pass_file(self._folder, owner).unlink(missing_ok=True)

    # -- one connection

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            message = await asyncio.wait_for(_message(reader), _ASK_SECONDS)
            answer = asyncio.ensure_future(self._answer(message))
            gone = asyncio.ensure_future(reader.read(1))  # a hook says one thing; more is its end
            try:
                await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
                answer.cancel()
                await asyncio.gather(gone, answer, return_exceptions=True)
            if not answer.cancelled():
                writer.write(json.dumps(answer.result()).encode())
                await writer.drain()
        except (OSError, EOFError, ValueError, TimeoutError):
            pass  # it went away, or talks of something else: no answer is a refusal
        finally:
            writer.close()

    async def _answer(self, message: bytes) -> dict[str, Any]:
        try:
            call = self._known(message)
            if self._desk is not None and call.tool in (PROGRESS, ASK_HUMAN):
                return await self._said(call, self._desk)
        except (Refused, InvalidValueError) as refused:
            return {"verdict": Verdict.REFUSED, "reason": str(refused)}
        try:
            decision = await self._decide(call)
            self._on_decision(decision)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):  # nobody hears the answer, whatever becomes of the record
                self._on_decision(call.decision(Verdict.REFUSED, "nobody waited for the answer"))
            raise
        except Exception as error:  # a bug here must not let anybody write
            told = {"message": f"the write gate failed at a call of {call.tool}", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
            decision = call.decision(Verdict.REFUSED, f"wavecrew failed ({type(error).__name__}). {TRY_LATER}")
        return {"verdict": decision.verdict, "reason": decision.reason}

    async def _said(self, call: Call, desk: Desk) -> dict[str, Any]:
        owner = call.visitor.owner.name
        told = await desk(call.tool, owner, call.given, lambda: self._visitors.get(owner) is call.visitor)
        return {"verdict": Verdict.ALLOWED, "reason": "", **told}

    async def _decide(self, call: Call) -> Decision:
        try:
            await self._calls.judge(call)
        except (Refused, InvalidValueError) as refused:
            return call.decision(Verdict.REFUSED, str(refused))
        except RunBusyError as error:
            return call.decision(Verdict.REFUSED, f"{error}. {TRY_LATER}")
        except WavecrewError as error:
            return call.decision(Verdict.REFUSED, f"it cannot be told who holds what: {error}. {TRY_LATER}")
        if self._visitors.get(call.visitor.owner.name) is not call.visitor:
            return call.decision(Verdict.REFUSED, _OVER)
        return call.decision(Verdict.ALLOWED)

    def _known(self, message: bytes) -> Call:
        """The call, if it comes from one of ours. Raises Refused."""
        try:
            asked = json.loads(message)
            owner, token, tool, cwd = (asked[name] for name in ("owner", "token", "tool", "cwd"))
            given = asked["input"]
            readable = all(isinstance(one, str) for one in (owner, token, tool, cwd)) and cwd.startswith("/")
        except (ValueError, TypeError, KeyError, RecursionError):
            readable = False
        if not readable:
            raise Refused(f"the tool call could not be read. {TRY_LATER}")
        visitor = self._visitors.get(owner)
        if visitor is None or not secrets.compare_digest(visitor.token.encode(), token.encode(errors="replace")):
            raise Refused(_OVER)
        return Call(visitor, tool, given, cwd)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """What a hook says. Raises EOFError for less than that, and ValueError for more than anybody needs."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > 2 * MAX_BYTES:  # it writes what it has read more carefully than it was written
        raise ValueError("too large")
    return await reader.readexactly(size)
