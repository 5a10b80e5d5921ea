"""The table of locks for a terminal.

What it does: one row a lock with those who wait for it.
What it does not know: the lock table; it is given locks and waits as values.
"""

from __future__ import annotations

from collections.abc import Sequence

from wavecrew.models.parallel_execution import ResourceLock
from wavecrew.views.words import counted, fit, printable

Wait = tuple[str, str, str, float]
"""What is waited for, who waits, who is in the way, since when (seconds since 1970)."""


def lock_table(locks: Sequence[ResourceLock], waits: Sequence[Wait], now: float, width: int = 80) -> str:
    """Locks with their holders and waiters, and a line that counts them."""
    summary = f"{counted(len(locks), 'lock')}, {counted(len(waits), 'waiter')}"
    if not locks and not waits:
        return summary
    room = max(20, width - 53)
    lines = [f"{'FENCE':>6} {'FILE OR NAME':<{room}} {'MODE':<9} {'HOLDER':<16} {'HELD':>7}"]
    for lock in locks:
        row = (lock.lock_type.value, fit(printable(lock.owner_phase), 16), _age(now - lock.lock_time))
        path = fit(printable(lock.resource_path), room)
        lines.append(f"{lock.fence:>6} {path:<{room}} {row[0]:<9} {row[1]:<16} {row[2]:>7}")
    for resource, waiter, holder, since in waits:
        text = f"{printable(waiter)} waits {_age(now - since)} for {printable(resource)}, held by {printable(holder)}"
        lines.append(f"  {fit(text, width - 2)}".rstrip())
    return "\n".join([*lines, summary])


def _age(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{seconds / 60:.0f}m" if seconds < 3600 else f"{seconds / 3600:.1f}h"
