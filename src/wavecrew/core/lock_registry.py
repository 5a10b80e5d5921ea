"""All locks of a workspace: asking, waiting, handing over, and what proves an owner dead.

What it does: grants whole sets of claims, keeps a queue, waits, hands over, and takes a lock away from nobody but an
owner that is proven dead.
What it does not know: phases and runs (an owner is a name and a label), and how long anything should take.

A lock is never broken because it is old. `timeout` is how long the requester is willing to wait.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from wavecrew.core import lock_table
from wavecrew.core.bell import Bell
from wavecrew.core.liveness import Liveness, ProcessIdentity
from wavecrew.core.lock_owners import Judgement, judge, owner_liveness
from wavecrew.core.lock_table import Break, Obstacle, Owner, Request
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.store import Store
from wavecrew.errors import InvalidValueError, LockError, LockLostError, LockTimeoutError
from wavecrew.models.parallel_execution import LockType, ResourceLock
from wavecrew.models.resources import Claim, ClaimIndex

_T = TypeVar("_T")

DEFAULT_TIMEOUT_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.2  # correct even if every wake-up is missed
_WATCHED_HOLDERS: Final = 16


@dataclass(frozen=True, slots=True)
class Grant:
    """A set of claims that is held. `fence` rises with every grant in the workspace."""

    ticket: int
    fence: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody who waits: for what, held by whom, since when (seconds since 1970)."""

    ticket: int
    label: str
    resource: str
    holder: str
    since: float


@dataclass(frozen=True, slots=True)
class Picture:
    """The locks of one moment: what is held and asked for, with a judgement of each owner, and what was broken,
    newest first."""

    held: tuple[tuple[ResourceLock, Judgement], ...]
    waiting: tuple[tuple[Waiter, Judgement], ...]
    broken: tuple[Break, ...]


class LockRegistry:
    """All locks of a workspace. Threads may share one; make it from an open store or with `LockRegistry.open`."""

    def __init__(self, store: Store, workspace: Path) -> None:
        self.store = store
        self.keys = ResourceKeys(workspace)
        self._me = ProcessIdentity.of()

    @classmethod
    def open(cls, workspace: str | os.PathLike[str] = ".") -> LockRegistry:
        """The registry of a workspace, with a connection of its own. Raises StoreError as `Store.open` does."""
        folder = Path(workspace).resolve()
        return cls(Store.open(folder), folder)

    def close(self) -> None:
        """Close the connection. Locks that are held stay held until they are released or this process ends."""
        self.store.close()

    # -- asking

    def owner(self, label: str, *, attempt: str = "", name: str = "") -> Owner:
        """An owner in this process; with an attempt folder, one whose life is the life of that attempt."""
        return Owner(name or uuid.uuid4().hex, label, self._me, attempt)

    def claims(self, texts: Iterable[str], lock_type: LockType = LockType.EXCLUSIVE) -> tuple[Claim, ...]:
        """Claims on resources as people write them. Raises InvalidValueError for one outside the workspace."""
        exclusive = LockType(lock_type) is LockType.EXCLUSIVE
        return tuple(Claim(self.keys.key(text), exclusive) for text in texts)

    def acquire(
        self,
        owner: Owner,
        claims: Iterable[Claim],
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        on_wait: Callable[[Obstacle], None] | None = None,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> Grant:
        """Take a set of claims, all or none, waiting at most `timeout` seconds.

        `on_wait` is called once, with what is in the way, when it has to wait; `abandoned` is asked now and then
        whether the wait still has a point. Raises LockTimeoutError with the holder's name, and LockError when it was
        abandoned or when waiting would close a ring of waits (only possible while holding others).
        """
        wanted = tuple(claims)
        with Bell(self.store.folder) as bell:
            try:
                grant, ticket = self._ask(owner, wanted, bell)
            except LockError:
                if not self.release_dead(self._requests("granted = 0")):
                    raise
                grant, ticket = self._ask(owner, wanted, bell)  # the ring led through somebody dead
            if grant is not None:
                return grant
            try:
                return self._wait(ticket, wanted, bell, time.monotonic() + timeout, on_wait, abandoned)
            except BaseException:
                self.release(ticket)
                raise

    def _ask(self, owner: Owner, claims: tuple[Claim, ...], bell: Bell) -> tuple[Grant | None, int]:
        with self.store.transaction() as tx:
            ticket = lock_table.insert(tx, owner, claims, time.time())
            fence = lock_table.grant_if_free(tx, ticket, time.time())
            if fence is None:
                in_ring = lock_table.closes_a_ring(tx, ticket)
                if in_ring is not None:
                    raise LockError(
                        f"{owner.label} would wait for {in_ring}, which itself waits for {owner.label}",
                        fix="release what is held first, or ask for everything at once",
                    )
                bell.hang(ticket)
                return None, ticket
        return Grant(ticket, fence, claims), ticket

    def _wait(
        self,
        ticket: int,
        claims: tuple[Claim, ...],
        bell: Bell,
        deadline: float,
        on_wait: Callable[[Obstacle], None] | None,
        abandoned: Callable[[], bool],
    ) -> Grant:
        told = False
        while True:
            fence = self._fence_of(ticket)
            if fence:
                return Grant(ticket, fence, claims)
            in_the_way = self.in_the_way(ticket)
            if in_the_way and on_wait is not None and not told:
                on_wait(in_the_way[0])
                told = True
            if not in_the_way or self.release_dead(in_the_way):
                continue  # it was granted a moment ago, or may be now
            if abandoned():
                raise LockError("the wait for the lock was abandoned")
            left = deadline - time.monotonic()
            if left <= 0:
                raise _timeout(in_the_way)
            bell.wait(min(left, _POLL_SECONDS), self._holders(in_the_way))

    def _fence_of(self, ticket: int) -> int:
        rows = self.store.query("SELECT granted, fence FROM request WHERE ticket = ?", ticket)
        if not rows:
            found = self.broken(ticket)
            raise LockLostError(
                f"lock {found.fence} of {found.label} was broken by {found.by}: {found.reason}"
                if found
                else f"ticket {ticket} was taken out of the queue by somebody else"
            )
        return int(rows[0][1]) if rows[0][0] else 0

    def request(self, tx: sqlite3.Connection, owner: Owner, claims: Iterable[Claim]) -> tuple[Grant | None, int]:
        """Inside a transaction of the caller: ask without waiting. Gives the grant, or None and the ticket that now
        stands in the queue."""
        wanted = tuple(claims)
        ticket = lock_table.insert(tx, owner, wanted, time.time())
        fence = lock_table.grant_if_free(tx, ticket, time.time())
        return (Grant(ticket, fence, wanted) if fence else None), ticket

    def granted(self, ticket: int) -> Grant | None:
        """What a queued ticket has become. Raises LockLostError when it is in the queue no more."""
        fence = self._fence_of(ticket)
        with self.store.reading() as tx:
            return Grant(ticket, fence, lock_table.claims_of(tx, ticket)) if fence else None

    # -- giving back

    def release(self, grant: Grant | int) -> None:
        """Give a set back, or leave the queue; the next in the queue get it in the same transaction. Twice is fine."""
        ticket = grant if isinstance(grant, int) else grant.ticket
        with self.store.transaction() as tx:
            freed = self.release_in(tx, f"ticket = {ticket:d}")
        self.ring(freed)

    def release_owner(self, tx: sqlite3.Connection, owner: str) -> list[int]:
        """Inside a transaction of the caller: give back all that an owner holds or waits for. Ring the result after
        the commit."""
        return self.release_in(tx, "owner = ?", owner)

    @staticmethod
    def release_in(tx: sqlite3.Connection, where: str, *values: object) -> list[int]:
        """Remove the requests that a condition selects; gives the tickets that were granted by that."""
        tickets = [row[0] for row in tx.execute(f"SELECT ticket FROM request WHERE {where}", values)]  # noqa: S608 -- ours
        return lock_table.drop(tx, tickets, time.time()) if tickets else []

    def ring(self, tickets: Iterable[int]) -> None:
        """Wake those whose tickets were granted. They would notice by themselves, only later."""
        for ticket in tickets:
            Bell.ring(self.store.folder, ticket)

    def require_held(self, grant: Grant) -> None:
        """Raise LockLostError unless this very grant is still in force."""
        if self._fence_of(grant.ticket) != grant.fence:
            raise LockLostError(f"ticket {grant.ticket} is no longer held")

    # -- the dead

    def release_dead(self, in_the_way: Iterable[Obstacle | Request]) -> bool:
        """Free what proven-dead owners hold or wait for. Tells whether anything was freed."""
        dead = []
        for ticket in {obstacle.ticket for obstacle in in_the_way}:
            found = self._requests("ticket = ?", ticket)
            if found and owner_liveness(found[0].owner) is Liveness.DEAD:
                dead.append(found[0].owner.name)
        for name in dead:
            with self.store.transaction() as tx:
                freed = self.release_owner(tx, name)
            self.ring(freed)
        return bool(dead)

    def break_lock(self, fence: int, *, by: str, reason: str, though_unknown: bool = False) -> Break | None:
        """Free the set that was granted with this number, if its owner is proven dead, and record who did so and why.
        None when nobody holds it.

        `though_unknown` also frees it from an owner that cannot be judged from here (another host, another pid
        namespace): whoever says so must know that it is gone. Raises LockError for an owner that is alive, and
        InvalidValueError without a reason.
        """
        if not reason.strip():
            raise InvalidValueError("a lock is broken for a reason", fix="say why with --reason")
        found = self._requests("granted = 1 AND fence = ?", fence)
        if not found:
            return None
        owner = found[0].owner
        liveness = owner_liveness(owner)
        if liveness is Liveness.ALIVE:
            raise LockError(
                f"{owner.label} is alive and keeps its lock", fix="cancel its phase, or end its process, first"
            )
        if liveness is Liveness.UNKNOWN and not though_unknown:
            raise LockError(
                f"whether {owner.label} is alive cannot be told from here (it is on {owner.process.host})",
                fix="make sure that it is gone, then say so with --force",
            )
        with self.store.transaction() as tx:
            if not lock_table.requests(tx, "ticket = ?", found[0].ticket):
                return None  # it was given back while we looked at its owner, or somebody else broke it
            broken = lock_table.record_break(tx, found[0], time.time(), by, reason)
            freed = self.release_in(tx, f"ticket = {found[0].ticket:d}")
        self.ring(freed)
        return broken

    def broken(self, ticket: int) -> Break | None:
        """Who broke the lock that was granted under this ticket, if anybody did."""
        with self.store.reading() as tx:
            return next(iter(lock_table.breaks(tx, "ticket = ?", ticket)), None)

    def _holders(self, in_the_way: Iterable[Obstacle]) -> list[int]:
        """Pids whose end would change something."""
        tickets = {obstacle.ticket for obstacle in in_the_way}
        found = [self._requests("ticket = ?", ticket) for ticket in sorted(tickets)[:_WATCHED_HOLDERS]]
        return [
            rows[0].owner.process.pid
            for rows in found
            if rows and not rows[0].owner.attempt and rows[0].owner.process.liveness() is Liveness.ALIVE
        ]

    # -- looking

    def _requests(self, where: str = "1", *values: object) -> list[Request]:
        with self.store.reading() as tx:
            return lock_table.requests(tx, where, *values)

    def in_the_way(self, ticket: int) -> list[Obstacle]:
        """What a waiting ticket waits for; the holder that blocks it longest comes first."""
        with self.store.reading() as tx:
            if not tx.execute("SELECT 1 FROM request WHERE ticket = ?", (ticket,)).fetchone():
                return []
            return sorted(lock_table.obstacles(tx, ticket), key=lambda found: (not found.granted, found.ticket))

    def locks(self) -> tuple[ResourceLock, ...]:
        """All locks that are held now, oldest grant first."""
        return tuple(_lock(request, claim) for request in self._held() for claim in request.claims)

    def _held(self) -> list[Request]:
        return sorted(self._requests("granted = 1"), key=lambda found: found.fence)

    def waiters(self) -> tuple[Waiter, ...]:
        """Everybody who waits, in ticket order, with the first thing in the way."""
        return tuple(waiter for _, waiter in self._waiting())

    def _waiting(self) -> list[tuple[Owner, Waiter]]:
        return [
            (
                request.owner,
                Waiter(request.ticket, request.owner.label, str(obstacle.wanted), obstacle.label, request.asked),
            )
            for request in self._requests("granted = 0")
            for obstacle in self.in_the_way(request.ticket)[:1]
        ]

    def picture(self) -> Picture:
        """Everything for people: each owner is judged as it is now, and nothing is freed by looking."""
        held, waiting = self._held(), self._waiting()
        owners = {owner.name: owner for owner in (*(one.owner for one in held), *(owner for owner, _ in waiting))}
        judged = {name: judge(owner) for name, owner in owners.items()}
        with self.store.reading() as tx:
            broken = tuple(lock_table.breaks(tx))
        return Picture(
            tuple((_lock(one, claim), judged[one.owner.name]) for one in held for claim in one.claims),
            tuple((waiter, judged[owner.name]) for owner, waiter in waiting),
            broken,
        )

    def conflicts(self, claims: Iterable[Claim]) -> tuple[ResourceLock, ...]:
        """The locks that would keep somebody new from having these claims right now."""
        held, index = self._held(), ClaimIndex[str]()
        for request in held:
            index.add(request.owner.name, request.claims)
        found = {(owner, theirs) for owner, theirs, _ in index.in_the_way("", claims)}
        return tuple(
            _lock(request, claim)
            for request in held
            for claim in request.claims
            if (request.owner.name, claim) in found
        )


def _lock(request: Request, claim: Claim) -> ResourceLock:
    return ResourceLock(
        str(claim.resource),
        request.owner.label,
        request.since or request.asked,
        LockType.EXCLUSIVE if claim.exclusive else LockType.SHARED,
        request.fence,
    )


def _timeout(in_the_way: list[Obstacle]) -> LockTimeoutError:
    first = in_the_way[0]
    verb = "is held by" if first.granted else "was asked for earlier by"
    ahead = len({obstacle.ticket for obstacle in in_the_way if not obstacle.granted})
    queue = f" ({ahead} ahead in the queue)" if ahead else ""
    return LockTimeoutError(
        f"{first.wanted} {verb} {first.label}{queue}",
        fix="wait longer, or see who holds what with: wavecrew locks list",
    )
