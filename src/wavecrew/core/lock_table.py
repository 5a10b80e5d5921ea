"""The lock table: tickets, claims and who is next, as rows of the store.

What it does: answers, inside a transaction of the caller, whether a set of claims can be granted, queues it under a
ticket when not, and hands freed resources to the next tickets. A set is granted whole or not at all; among requests
that collide the lower ticket goes first, so nobody starves.
What it does not know: how a requester waits or wakes up, what proves an owner dead, and paths on a disk.

After the design of a sequenced ticket queue with conservative two-phase locking: everything a phase needs is asked
for at once, so rings of waiting cannot form between sets; only a request made while holding can close one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wavecrew.core.liveness import ProcessIdentity
from wavecrew.models.resources import Claim, Resource, ResourceKind, full, literal_prefix


@dataclass(frozen=True, slots=True)
class Owner:
    """Who asks. Requests of the same `name` never stand in each other's way; `label` is what people read.

    `attempt` is the attempt folder whose process tree works under the lock; empty when the process itself does.
    """

    name: str
    label: str
    process: ProcessIdentity
    attempt: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One row of the queue. Times are in seconds since 1970; `since` is None until it is granted."""

    ticket: int
    owner: Owner
    granted: bool
    fence: int
    asked: float
    since: float | None
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a request waits: somebody else's claim that collides with one of its own."""

    ticket: int
    owner: str
    label: str
    wanted: Resource
    granted: bool


@dataclass(frozen=True, slots=True)
class Break:
    """A lock that somebody took away from its owner: when (seconds since 1970), who, and why. It is kept for good."""

    ticket: int
    fence: int
    owner: str
    label: str
    resources: tuple[str, ...]
    at: float
    by: str
    reason: str


_BREAK_COLUMNS = "ticket, fence, owner, label, resources, at, by, reason"
_COLUMNS = "ticket, owner, label, host, boot, namespace, pid, ticks, attempt, granted, fence, asked, since"


def insert(tx: sqlite3.Connection, owner: Owner, claims: Iterable[Claim], now: float) -> int:
    """Queue a request and give its ticket. It is not granted yet."""
    process = owner.process
    cursor = tx.execute(
        "INSERT INTO request(owner, label, host, boot, namespace, pid, ticks, attempt, asked)"
        " VALUES(?,?,?,?,?,?,?,?,?)",
        (
            owner.name,
            owner.label,
            process.host,
            process.boot,
            process.namespace,
            process.pid,
            process.ticks,
            owner.attempt,
            now,
        ),
    )
    ticket = cursor.lastrowid or 0
    tx.executemany(
        "INSERT INTO claim(key, kind, exclusive, ticket, prefix) VALUES(?,?,?,?,?)"
        " ON CONFLICT DO UPDATE SET exclusive = max(exclusive, excluded.exclusive)",
        [
            (claim.resource.key, claim.resource.kind.value, claim.exclusive, ticket, _prefix(claim.resource))
            for claim in claims
        ],
    )
    return ticket


def _prefix(resource: Resource) -> str:
    """What the claim is found by: the path, the folder of a pattern, or the name out of reach of any path."""
    if resource.kind is ResourceKind.NAME:
        return f"\0{resource.pool[0] if resource.pool else resource.key}"
    return literal_prefix(resource.key) if resource.kind is ResourceKind.GLOB else resource.key


def claims_of(tx: sqlite3.Connection, ticket: int) -> tuple[Claim, ...]:
    """The claims of a request, in a fixed order."""
    rows = tx.execute("SELECT kind, key, exclusive FROM claim WHERE ticket = ? ORDER BY key, kind", (ticket,))
    return tuple(_claim(kind, key, exclusive) for kind, key, exclusive in rows)


def _claim(kind: str, key: str, exclusive: int) -> Claim:
    return Claim(Resource(ResourceKind(kind), key), bool(exclusive))


def requests(tx: sqlite3.Connection, where: str = "1", *values: object) -> list[Request]:
    """Requests in ticket order, granted and waiting."""
    rows = tx.execute(f"SELECT {_COLUMNS} FROM request WHERE {where} ORDER BY ticket", values).fetchall()  # noqa: S608 -- `where` is ours
    return [
        Request(
            ticket=row[0],
            owner=Owner(row[1], row[2], ProcessIdentity(*row[3:8]), row[8]),
            granted=bool(row[9]),
            fence=row[10],
            asked=row[11],
            since=row[12],
            claims=claims_of(tx, row[0]),
        )
        for row in rows
    ]


def obstacles(tx: sqlite3.Connection, ticket: int) -> Iterator[Obstacle]:
    """Everything that keeps a request from being granted: colliding claims that are held, or asked for before it."""
    (owner,) = tx.execute("SELECT owner FROM request WHERE ticket = ?", (ticket,)).fetchone()
    for mine in claims_of(tx, ticket):
        near = [
            (Obstacle(other, name, label, mine.resource, bool(granted)), _claim(kind, key, exclusive))
            for other, name, label, granted, kind, key, exclusive in _near(tx, mine.resource, ticket, owner)
        ]
        if mine.resource.pool is None:
            yield from (obstacle for obstacle, theirs in near if mine.collides(theirs))
        elif full(mine, ((obstacle.owner, theirs) for obstacle, theirs in near)):
            yield from (obstacle for obstacle, _ in near)


def _near(
    tx: sqlite3.Connection, resource: Resource, ticket: int, owner: str
) -> list[tuple[int, str, str, int, str, str, int]]:
    """Claims of others that could meet a resource: at its path, above it, and (unless it is a file) below it."""
    prefix = _prefix(resource)
    above = [prefix]
    while resource.kind is not ResourceKind.NAME and above[-1]:
        above.append(above[-1].rpartition("/")[0])
    where = f"c.prefix IN ({','.join('?' * len(above))})"
    values: list[object] = [*above]
    if resource.kind in (ResourceKind.TREE, ResourceKind.GLOB):
        # everything that starts with "prefix/" sorts before "prefix0", because 0 follows the slash
        where += " OR (c.prefix >= ? AND c.prefix < ?)"
        values += [f"{prefix}/", f"{prefix}0"] if prefix else ["\x01", "\U0010ffff"]
    sql = (
        "SELECT r.ticket, r.owner, r.label, r.granted, c.kind, c.key, c.exclusive"  # noqa: S608 -- only question marks
        f" FROM claim c JOIN request r ON r.ticket = c.ticket WHERE ({where})"
        " AND r.owner <> ? AND (r.granted = 1 OR r.ticket < ?) ORDER BY r.ticket"
    )
    return tx.execute(sql, (*values, owner, ticket)).fetchall()


def grant_if_free(tx: sqlite3.Connection, ticket: int, now: float) -> int | None:
    """Grant a request unless something is in its way. Gives its fence number, or None."""
    return grant(tx, ticket, now) if next(obstacles(tx, ticket), None) is None else None


def grant(tx: sqlite3.Connection, ticket: int, now: float) -> int:
    """Grant a request, whatever is in its way. Gives its fence number."""
    (fence,) = tx.execute("UPDATE counter SET value = value + 1 WHERE name = 'fence' RETURNING value").fetchone()
    tx.execute("UPDATE request SET granted = 1, fence = ?, since = ? WHERE ticket = ?", (fence, now, ticket))
    return int(fence)


def drop(tx: sqlite3.Connection, tickets: Iterable[int], now: float) -> list[int]:
    """Remove requests and hand what they held to those who wait, in ticket order. Gives the newly granted tickets."""
    for ticket in tickets:
        tx.execute("DELETE FROM claim WHERE ticket = ?", (ticket,))
        tx.execute("DELETE FROM request WHERE ticket = ?", (ticket,))
    waiting = [row[0] for row in tx.execute("SELECT ticket FROM request WHERE granted = 0 ORDER BY ticket").fetchall()]
    return [ticket for ticket in waiting if grant_if_free(tx, ticket, now) is not None]


def record_break(tx: sqlite3.Connection, request: Request, now: float, by: str, reason: str) -> Break:
    """Keep on record that the locks of a request are taken away. The caller drops it in the same transaction."""
    resources = tuple(str(claim.resource) for claim in request.claims)
    owner = request.owner
    done = Break(request.ticket, request.fence, owner.name, owner.label, resources, now, by, reason)
    tx.execute(
        f"INSERT INTO lock_break({_BREAK_COLUMNS}) VALUES(?,?,?,?,?,?,?,?)",
        (done.ticket, done.fence, done.owner, done.label, json.dumps(resources), now, by, reason),
    )
    return done


def breaks(tx: sqlite3.Connection, where: str = "1", *values: object) -> Iterator[Break]:
    """What was broken, newest first. A state that an earlier version left on a read-only disk has no such records."""
    if not tx.execute("SELECT 1 FROM sqlite_master WHERE name = 'lock_break'").fetchone():
        return
    rows = tx.execute(f"SELECT {_BREAK_COLUMNS} FROM lock_break WHERE {where} ORDER BY at DESC, ticket DESC", values)  # noqa: S608 -- `where` is ours
    for ticket, fence, owner, label, resources, at, by, reason in rows.fetchall():
        yield Break(ticket, fence, owner, label, tuple(json.loads(resources)), at, by, reason)


def closes_a_ring(tx: sqlite3.Connection, ticket: int) -> str | None:
    """Whether waiting with this ticket would close a ring of waits; gives the label of the one it would wait for."""
    (me,) = tx.execute("SELECT owner FROM request WHERE ticket = ?", (ticket,)).fetchone()
    first = {obstacle.owner: obstacle.label for obstacle in obstacles(tx, ticket)}
    origin = {name: name for name in first}
    stack = list(first)
    while stack:
        name = stack.pop()
        for (other,) in tx.execute("SELECT ticket FROM request WHERE owner = ? AND granted = 0", (name,)).fetchall():
            for obstacle in obstacles(tx, other):
                if obstacle.owner == me:
                    return first[origin[name]]
                if obstacle.owner not in origin:
                    origin[obstacle.owner] = origin[name]
                    stack.append(obstacle.owner)
    return None
