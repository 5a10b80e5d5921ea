"""The places of one run in the queue of the lock table.

What it does: asks for the locks of a phase when it is to start, keeps its ticket when somebody outside the run is in
the way, looks again, and gives up after the patience that is set.
What it does not know: scheduling and processes; it tells what it finds as events.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from wavecrew.core import lock_table
from wavecrew.core.attempts import owner_name
from wavecrew.core.jobs import Prepared
from wavecrew.core.lock_registry import Grant
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.store import Store
from wavecrew.core.verdicts import RetryRules
from wavecrew.errors import LockLostError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event
from wavecrew.models.execution_state import ExecutionState


@dataclass(slots=True)
class _Ticket:
    """A phase that stands in the queue. `asked` is in seconds of a clock that nobody puts."""

    number: int
    asked: float
    grant: Grant | None = None
    timeouts: int = 0


class LockQueue:
    """The lock side of one run. All its transactions are those of the caller, but for the ones that free a place."""

    def __init__(self, run: str, store: Store, registry: LockRegistry, rules: RetryRules) -> None:
        self._run = run
        self._store = store
        self._registry = registry
        self._rules = rules
        self._tickets: dict[str, _Ticket] = {}

    @property
    def granted(self) -> AbstractSet[str]:
        """Phases that have waited and have their locks now."""
        return {name for name, ticket in self._tickets.items() if ticket.grant is not None}

    @property
    def waiting(self) -> AbstractSet[str]:
        """Phases that somebody outside the run holds up."""
        return {name for name, ticket in self._tickets.items() if ticket.grant is None}

    def take(self, tx: sqlite3.Connection, one: Prepared) -> Grant | int:
        """Inside a transaction: the locks of a phase that is to start, or its new ticket if it has to wait for them.

        Tell `settle` after the commit. The grant of a phase that wants nothing has the fence 0.
        """
        name = one.phase.id
        ticket = self._tickets.get(name)
        if ticket is not None and ticket.grant is not None:
            return ticket.grant
        if not one.claims:
            return Grant(0, 0, ())
        owner = self._registry.owner(f"phase {name}", attempt=str(one.folder), name=self.owner(name, one.attempt))
        grant, number = self._registry.request(tx, owner, one.claims)
        return number if grant is None else grant

    def settle(self, started: Iterable[str], queued: Mapping[str, int]) -> None:
        """After the commit: who has started, and who stands in the queue. Not before, because a ticket number that
        was rolled back may be somebody else's next."""
        for name in started:
            self._tickets.pop(name, None)
        self._tickets.update({name: _Ticket(number, time.monotonic()) for name, number in queued.items()})

    def look(self, state: ExecutionState, now: float) -> list[Event]:
        """What has become of those who wait: the news, if there is any."""
        news: list[Event] = []
        for name, ticket in list(self._tickets.items()):
            if ticket.grant is not None:
                continue
            try:
                ticket.grant = self._registry.granted(ticket.number)
            except LockLostError:
                del self._tickets[name]  # somebody took it out of the queue: it will be asked for again
                continue
            if ticket.grant is None:
                news += self._still_waiting(state, name, ticket, now)
        return news

    def _still_waiting(self, state: ExecutionState, name: str, ticket: _Ticket, now: float) -> Iterator[Event]:
        in_the_way = self._registry.in_the_way(ticket.number)
        if not in_the_way or self._registry.release_dead(in_the_way):
            return
        first = in_the_way[0]
        waited = time.monotonic() - ticket.asked
        if waited >= self._rules.lock_timeout * (ticket.timeouts + 1):
            ticket.timeouts += 1
            if ticket.timeouts >= self._rules.lock_patience:
                self.leave(name)
                detail = f"{first.wanted} was held by {first.label} for longer than it could wait ({waited:.0f} s)"
                yield ev.PhaseRefused(at=now, phase=name, cause=Cause.LOCK, detail=detail)
                return
        event = awaited(state, name, str(first.wanted), first.label, now)
        if event is not None:
            yield event

    def leave(self, name: str) -> None:
        """Give up the place of a phase, if it has one."""
        ticket = self._tickets.pop(name, None)
        if ticket is not None:
            self._registry.release(ticket.number)

    def leave_all(self) -> None:
        """Give up every place."""
        for name in list(self._tickets):
            self.leave(name)

    def free(self, tx: sqlite3.Connection, ended: ev.AttemptEnded) -> list[int]:
        """Inside a transaction: give back what an attempt held. Ring the result after the commit."""
        return self._registry.release_owner(tx, self.owner(ended.phase, ended.attempt))

    def broken(self, name: str, attempt: int) -> str:
        """Who broke a lock of an attempt and why, for people; empty if nobody did. Its work must not count: others may
        have written there since."""
        with self._store.reading() as tx:
            found = next(lock_table.breaks(tx, "owner = ?", self.owner(name, attempt)), None)
        return f"its lock on {', '.join(found.resources)} was broken by {found.by}: {found.reason}" if found else ""

    def ring(self, tickets: list[int]) -> None:
        """Wake those who were granted something."""
        self._registry.ring(tickets)

    def forget_abandoned(self, state: ExecutionState) -> None:
        """An earlier coordinator of this run may have left places in the queue behind; open attempts keep theirs."""
        kept = {self.owner(name, state.phase_states[name].attempts) for name in state.running}
        with self._store.transaction() as tx:
            owners = [row[0] for row in tx.execute("SELECT DISTINCT owner FROM request")]
            abandoned = [name for name in owners if name.startswith(f"{self._run}/") and name not in kept]
            freed = [ticket for name in abandoned for ticket in self._registry.release_owner(tx, name)]
        self._registry.ring(freed)

    def owner(self, name: str, attempt: int) -> str:
        """The name under which an attempt holds its locks."""
        return owner_name(self._run, name, attempt)


def awaited(state: ExecutionState, name: str, resource: str, holder: str, now: float) -> Event | None:
    """The news that a phase waits for a lock, unless it is no news."""
    known = state.phase_states[name].lock_wait
    if known is not None and (known.resource, known.holder) == (resource, holder):
        return None
    return ev.LockAwaited(at=now, phase=name, resource=resource, holder=holder)
