"""The table of locks for a terminal.

What it does: one row a lock with what is known of its holder, those who wait, and what was broken.
What it does not know: the lock table, and how an owner is judged; it is given all of that as values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wavecrew.models.parallel_execution import ResourceLock
from wavecrew.views.run_words import wrapped
from wavecrew.views.words import counted, fit, printable

_BROKEN_SHOWN: Final = 3
_MEANING: Final = {
    "suspect": "if you know that it is gone: wavecrew locks break {id} --force --reason WHY",
    "dead": "it loses the lock as soon as somebody wants it",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A lock and what is known of its holder: `alive`, `suspect` or `dead`, and why."""

    lock: ResourceLock
    owner: str = "alive"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """What is waited for, who waits, who is in the way, since when (seconds since 1970), and what is known of the one
    who waits."""

    resource: str
    waiter: str
    holder: str
    since: float
    owner: str = "alive"


@dataclass(frozen=True, slots=True)
class Broken:
    """A lock that was taken from its holder: its number, when (seconds since 1970), by whom, and why."""

    fence: int
    holder: str
    at: float
    by: str
    reason: str


def lock_table(
    held: Sequence[Held], waits: Sequence[Wait], now: float, *, broken: Sequence[Broken] = (), width: int = 80
) -> str:
    """Locks with their holders and waiters, the locks that were broken last, and a line that counts what is held."""
    lines = [*_rows(held, now, max(20, width - 52))] if held else []
    lines += _doubts(held, width)
    for one in waits:
        text = f"{printable(one.waiter)} waits {_age(now - one.since)} for {printable(one.resource)}"
        text += f", held by {printable(one.holder)}" + (f"; it is {one.owner}" if one.owner != "alive" else "")
        lines.append(f"  {fit(text, width - 2)}".rstrip())
    for gone in broken[:_BROKEN_SHOWN]:
        head = f"  {_age(now - gone.at)} ago  "
        what = f"{gone.fence} of {printable(gone.holder)} was broken by {printable(gone.by)}: {printable(gone.reason)}"
        lines += wrapped(head, what.split(" "), width, between=" ")
    return "\n".join([*lines, f"{counted(len(held), 'lock')}, {counted(len(waits), 'waiter')}"])


def _rows(held: Sequence[Held], now: float, room: int) -> Iterator[str]:
    yield f"{'ID':>6} {'FILE OR NAME':<{room}} {'MODE':<9} {'HOLDER':<16} {'HELD':>7} OWNER"
    for one in held:
        lock = one.lock
        path, holder = fit(lock.resource_path, room), fit(lock.owner_phase, 16)
        yield f"{lock.fence:>6} {path} {lock.lock_type.value:<9} {holder} {_age(now - lock.lock_time):>7} {one.owner}"


def _doubts(held: Sequence[Held], width: int) -> Iterator[str]:
    """Once for each set of locks: why its owner is not taken to be alive, and what that means."""
    told: set[int] = set()
    for one in held:
        if one.owner in _MEANING and one.lock.fence not in told:
            told.add(one.lock.fence)
            why = f"{printable(one.lock.owner_phase)} is {one.owner}: {printable(one.why)};"
            meaning = _MEANING[one.owner].format(id=one.lock.fence)
            yield from wrapped(f"{one.lock.fence:>6} ", [*why.split(" "), *meaning.split(" ")], width, between=" ")


def _age(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{seconds / 60:.0f}m" if seconds < 3600 else f"{seconds / 3600:.1f}h"
