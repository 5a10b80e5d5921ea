"""One call of an agent at the write gate: from what it says to whether it may be made.

What it does: finds out what the call writes, sees that the attempt holds it, and lets it wait for what it lacks. It is
refused, with a sentence that tells the model what to do instead, when waiting takes too long, when it would never end,
and once when a file was changed meanwhile.
What it does not know: sockets, tokens, and who is told of the decision (`write_gate`).
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, TypeVar

from wavecrew.core.bell import Bell
from wavecrew.core.gate_locks import Asked, GateLocks, RingError
from wavecrew.core.hook import HARMLESS, TRY_LATER
from wavecrew.core.lock_registry import LockRegistry
from wavecrew.core.lock_table import Obstacle, Owner
from wavecrew.core.phase_messages import LOCK_REQUEST, paths_in, seconds_in
from wavecrew.core.tool_calls import WRITERS, ToolWrites, tool_writes
from wavecrew.core.workplace import Target, Workplace, fingerprint
from wavecrew.errors import LockLostError
from wavecrew.models.resources import Claim

_T = TypeVar("_T")

_POLL_SECONDS: Final = 0.5  # a bell rings; this is for the ring that was missed
_LOOK_SECONDS: Final = 2.0  # how often somebody is asked for who may have died
_THREADS: Final = 4


class Verdict(StrEnum):
    """What an agent is told."""

    ALLOWED = "allow"
    REFUSED = "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer. `attempt` is the name under which it holds locks; `claimed` are the resources that were given to it
    now; `unread` is what the call writes at places that cannot be read. `reason` is the sentence for the agent."""

    attempt: str
    tool: str
    paths: tuple[str, ...]
    verdict: Verdict
    waited_seconds: float = 0.0
    holder: str = ""
    reason: str = ""
    claimed: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody who waits at the gate: for what, held by whom, since when (seconds since 1970)."""

    attempt: str
    tool: str
    resource: str
    holder: str
    since: float


@dataclass(frozen=True, slots=True)
class Visitor:
    """An attempt that may ask: as what it holds locks, the token that it shows, and where it works."""

    owner: Owner
    token: str
    place: Workplace


@dataclass(slots=True)
class Call:
    """A call under way, as much of it as is known by now. `given` are the arguments of the tool."""

    visitor: Visitor
    tool: str
    given: object
    cwd: str
    paths: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()
    holder: str = ""
    waited: float = 0.0

    def decision(self, verdict: Verdict, reason: str = "") -> Decision:
        """What has become of it."""
        return Decision(
            attempt=self.visitor.owner.name,
            tool=self.tool,
            paths=self.paths,
            verdict=verdict,
            waited_seconds=self.waited,
            holder=self.holder,
            reason=reason,
            claimed=self.claimed,
            unread=self.unread,
        )


class Refused(Exception):  # noqa: N818 -- a way out of all steps
    """The sentence for the agent."""


class GateCalls:
    """Judges the calls of one run, for the coordinator of an epoch. `on_wait` is told when somebody begins to wait, and
    when somebody else is in the way; `clock` gives seconds since 1970."""

    def __init__(
        self,
        registry: LockRegistry,
        locks: GateLocks,
        *,
        wait_seconds: float,
        harmless: Collection[str],
        home: str,
        on_wait: Callable[[Wait], None],
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._locks = locks
        self._wait_seconds = wait_seconds
        self._harmless = tuple(harmless)
        self._home = home
        self._on_wait = on_wait
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gate")
        self._waits: dict[int, Wait] = {}

    @property
    def waits(self) -> tuple[Wait, ...]:
        """Who waits now, longest first."""
        return tuple(self._waits.values())

    def close(self) -> None:
        """Let the threads go. No call may be under way."""
        self._threads.shutdown()

    async def judge(self, call: Call) -> None:
        """Return when the call may be made. Raises Refused, InvalidValueError for a path that may not be written, and
        what the store raises."""
        if call.tool in HARMLESS or (call.tool not in WRITERS and self._is_harmless(call.tool)):
            return
        found, patience = await self._in_thread(lambda: self._writes(call)), self._wait_seconds
        if call.tool == LOCK_REQUEST:
            patience = seconds_in(call.given if isinstance(call.given, Mapping) else {})
        place = call.visitor.place
        call.unread = found.unread
        call.paths = tuple(dict.fromkeys(write.path for write in found.writes))
        _require_readable(call, found, strict=place.is_shared)
        targets = await self._in_thread(lambda: place.targets(found.writes))
        call.paths = tuple(str(target.resource) for target in targets)
        await self._lock(call, targets, patience)

    def _writes(self, call: Call) -> ToolWrites:
        """What a call writes, or will write once it has been granted the locks that it asks for by themselves."""
        if call.tool == LOCK_REQUEST:
            return ToolWrites(paths_in(call.given, call.cwd))
        return tool_writes(call.tool, call.given, call.cwd, home=self._home, is_folder=_is_folder)

    def _is_harmless(self, tool: str) -> bool:
        return any(fnmatchcase(tool, pattern) for pattern in self._harmless)

    async def _lock(self, call: Call, targets: tuple[Target, ...], patience: float) -> None:
        """See that the attempt holds all of this; it is made to wait for that as many seconds."""
        owner, claims = call.visitor.owner, tuple(Claim(target.resource) for target in targets)
        if await self._in_thread(lambda: self._locks.holds(owner.name, claims)):
            return
        with Bell(self._registry.store.folder) as bell:
            try:
                asked = await self._ask(owner, claims, bell)
            except RingError as ring:
                call.holder = ring.holder
                raise Refused(
                    f"{ring.resource} is with {ring.holder}, which itself waits for what you hold. Leave it as it is,"
                    " do the rest of your work, and say at the end what is missing."
                ) from None
            if asked.obstacle is not None:
                await self._wait(call, asked.ticket, asked.obstacle, bell, targets, patience)
            call.claimed = call.paths if asked.ticket else ()

    async def _ask(self, owner: Owner, claims: tuple[Claim, ...], bell: Bell) -> Asked:
        """Ask for the locks. A hook that goes away in that instant leaves no place in the queue behind."""
        asking = asyncio.ensure_future(self._in_thread(lambda: self._locks.ask(owner, claims, bell)))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asked = await asking
            if asked.obstacle is not None:
                await self._in_thread(lambda: self._locks.give_up(asked.ticket))
            raise

    async def _wait(
        self, call: Call, ticket: int, obstacle: Obstacle, bell: Bell, targets: tuple[Target, ...], patience: float
    ) -> None:
        """Until what is asked for has been granted. Raises Refused when that takes too long, and when a file is no
        longer what the agent has read."""
        began, granted = time.monotonic(), False
        try:
            before = await self._in_thread(lambda: _fingerprints(targets))
            self._tell(call, ticket, obstacle)
            granted = await self._until_granted(call, ticket, bell, began + patience)
        except LockLostError:
            raise Refused(f"somebody took the request for {obstacle.wanted} away. {TRY_LATER}") from None
        finally:
            call.waited = time.monotonic() - began
            self._waits.pop(ticket, None)
            if not granted:
                await asyncio.shield(self._in_thread(lambda: self._locks.give_up(ticket)))
        if not granted:
            raise Refused(
                f"{obstacle.wanted} is held by {call.holder}, for longer than you can wait. Do other work first, and"
                " try again later. If nothing else is left, end your turn and say what is missing."
            )
        after = await self._in_thread(lambda: _fingerprints(targets))
        changed = [file for file in before if before[file] != after[file]]
        if changed:
            call.claimed = call.paths
            raise Refused(
                f"{', '.join(changed)} was changed by {call.holder} while you waited. Read it again, and make your"
                " change to what is in it now."
            )
        newer = await self._in_thread(lambda: call.visitor.place.moved_on(tuple(before)))
        if newer:
            call.claimed = call.paths
            raise Refused(
                f"{call.holder} has changed this while you waited, and your work will be merged with that; what you"
                f" have is from before. Read it (git show {shlex.quote(newer[0])}), make your change so that both go"
                " together, in other places of the file where you can, and try again."
            )

    async def _until_granted(self, call: Call, ticket: int, bell: Bell, deadline: float) -> bool:
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(bell.fileno(), rung.set)
        next_look = 0.0
        try:
            while not await self._in_thread(lambda: self._locks.is_granted(ticket)):
                now = time.monotonic()
                if now >= deadline:
                    return False
                if now >= next_look:
                    obstacle = await self._in_thread(lambda: self._locks.obstacle(ticket))
                    if obstacle is None:
                        continue  # it was granted a moment ago, or may be now
                    self._tell(call, ticket, obstacle)
                    next_look = now + _LOOK_SECONDS
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(rung.wait(), min(deadline - now, _POLL_SECONDS))
                bell.hush()
                rung.clear()
        finally:
            loop.remove_reader(bell.fileno())
        return True

    def _tell(self, call: Call, ticket: int, obstacle: Obstacle) -> None:
        """The news of who waits for whom, unless it is no news."""
        known = self._waits.get(ticket)
        resource = str(obstacle.wanted)
        call.holder = obstacle.label
        if known is None or (known.resource, known.holder) != (resource, obstacle.label):
            since = known.since if known else self._clock()
            self._waits[ticket] = Wait(call.visitor.owner.name, call.tool, resource, obstacle.label, since)
            self._on_wait(self._waits[ticket])

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _require_readable(call: Call, found: ToolWrites, *, strict: bool) -> None:
    """Where others work in the same folder, each place that is written must be known; in a worktree nobody else is hit
    by what a shell does, and the look at its end finds it."""
    if not found.known and not found.writes:
        raise Refused(
            f"it is not known what the tool {call.tool} writes. Use your tool for editing files, or a shell command"
            " with the paths written out."
        )
    if found.unread and (strict or found.unread == (call.tool,)):
        raise Refused(
            f"it cannot be read where this call writes ({', '.join(found.unread)}). Write each path out, without"
            " variables, or use your tool for editing files."
        )


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _fingerprints(targets: tuple[Target, ...]) -> dict[str, str]:
    return {target.file: fingerprint(target.file) for target in targets if target.file}
