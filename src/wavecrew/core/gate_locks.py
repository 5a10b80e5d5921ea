"""The locks that an attempt asks for while it works, in the terms of the lock table.

What it does: tells whether an attempt holds what it wants to write, asks for what it lacks in one transaction (given,
queued, or refused because waiting could never end), and only for the coordinator that is still in charge.
What it does not know: agents, files, and how somebody waits. Its calls block; they are made in threads.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from wavecrew.core import lock_table
from wavecrew.core.bell import Bell
from wavecrew.core.lock_registry import LockRegistry
from wavecrew.core.lock_table import Obstacle, Owner
from wavecrew.errors import LockError, RunBusyError
from wavecrew.models.resources import Claim, Resource, ResourceKind, meets


class RingError(LockError):
    """To wait would close a ring of waits. `holder` is the one that waits for us, `resource` what it has."""

    def __init__(self, holder: str, resource: str) -> None:
        super().__init__(f"{holder} waits for what this attempt holds")
        self.holder = holder
        self.resource = resource


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was made. Without an obstacle it was granted; a `ticket` of 0 means that all was held already."""

    ticket: int = 0
    obstacle: Obstacle | None = None


class GateLocks:
    """The requests of the attempts of one run, made by the coordinator of an epoch (0 is nobody's)."""

    def __init__(self, registry: LockRegistry, run: str) -> None:
        self._registry = registry
        self._run = run
        self.epoch = 0

    def holds(self, owner: str, wanted: Iterable[Claim]) -> bool:
        """Whether an owner holds all of this. Raises RunBusyError when another coordinator is in charge."""
        with self._registry.store.reading() as tx:
            self._require_in_charge(tx)
            return not _lacking(tx, owner, wanted)

    def ask(self, owner: Owner, wanted: Iterable[Claim], bell: Bell) -> Asked:
        """Ask for what an owner lacks. When it has to wait, the bell hangs for its ticket.

        Raises RingError when waiting would never end, and RunBusyError.
        """
        claims = tuple(wanted)
        try:
            return self._ask(owner, claims, bell)
        except RingError:
            with self._registry.store.reading() as tx:
                waiting = lock_table.requests(tx, "granted = 0")
            if not self._registry.release_dead(waiting):
                raise
            return self._ask(owner, claims, bell)  # the ring led through somebody dead

    def _ask(self, owner: Owner, claims: tuple[Claim, ...], bell: Bell) -> Asked:
        with self._registry.store.transaction() as tx:
            self._require_in_charge(tx)
            lacking = _lacking(tx, owner.name, claims)
            if not lacking:
                return Asked()
            grant, ticket = self._registry.request(tx, owner, lacking)
            if grant is not None:
                return Asked(ticket)
            in_the_way = sorted(lock_table.obstacles(tx, ticket), key=lambda found: (not found.granted, found.ticket))
            if all(_stands_behind(tx, owner.name, found) for found in in_the_way):
                lock_table.grant(tx, ticket, time.time())
                return Asked(ticket)
            holder = lock_table.closes_a_ring(tx, ticket)
            if holder is not None:
                wanted = next(found.wanted for found in in_the_way if found.label == holder)
                raise RingError(holder, str(wanted))
            bell.hang(ticket)
            return Asked(ticket, in_the_way[0])

    def is_granted(self, ticket: int) -> bool:
        """Whether a ticket has got what it waits for. Raises LockLostError when somebody took it out of the queue, and
        RunBusyError."""
        with self._registry.store.reading() as tx:
            self._require_in_charge(tx)
            return self._registry.granted(ticket) is not None

    def obstacle(self, ticket: int) -> Obstacle | None:
        """What a ticket waits for now; owners that are proven dead lose it. None when nothing is in the way."""
        in_the_way = self._registry.in_the_way(ticket)
        if not in_the_way or self._registry.release_dead(in_the_way):
            return None
        return in_the_way[0]

    def give_up(self, ticket: int) -> None:
        """Leave the queue, or give back what was granted at the last moment."""
        self._registry.release(ticket)

    def forget_waits(self, owner: str) -> None:
        """Take out of the queue what an earlier coordinator asked for: nobody waits for that any more."""
        with self._registry.store.transaction() as tx:
            freed = self._registry.release_in(tx, "owner = ? AND granted = 0", owner)
        self._registry.ring(freed)

    def _require_in_charge(self, tx: sqlite3.Connection) -> None:
        row = tx.execute("SELECT epoch FROM run WHERE id = ?", (self._run,)).fetchone()
        if row is None or row[0] != self.epoch:
            raise RunBusyError(f"another coordinator has taken over run {self._run}")


def _stands_behind(tx: sqlite3.Connection, owner: str, found: Obstacle) -> bool:
    """Whether an obstacle only waits, and for something that this owner holds: it cannot go on before the owner has
    ended, so it loses nothing when the owner takes more until then."""
    return not found.granted and any(
        theirs.owner == owner and theirs.granted for theirs in lock_table.obstacles(tx, found.ticket)
    )


def _lacking(tx: sqlite3.Connection, owner: str, wanted: Iterable[Claim]) -> tuple[Claim, ...]:
    """Those of the claims that no single lock of the owner covers."""
    held = [claim for found in lock_table.requests(tx, "owner = ? AND granted = 1", owner) for claim in found.claims]
    return tuple(claim for claim in wanted if not any(_covers(one, claim) for one in held))


def _covers(held: Claim, wanted: Claim) -> bool:
    if wanted.exclusive and not held.exclusive:
        return False
    if wanted.resource.kind is ResourceKind.FILE:
        return meets(held.resource, wanted.resource)
    folder = _folder(held.resource)
    key = wanted.resource.key
    return held.resource == wanted.resource or (
        folder is not None and (not folder or f"{key}/".startswith(f"{folder}/"))
    )


def _folder(held: Resource) -> str | None:
    """The folder of which everything is held, if it is one."""
    if held.kind is ResourceKind.TREE:
        return held.key
    if held.kind is ResourceKind.GLOB and held.key.endswith("/**") and not any(c in "*?[" for c in held.key[:-3]):
        return held.key[:-3]
    return None
