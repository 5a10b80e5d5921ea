"""What people want of a run from another terminal: retry, skip, pause, continue, cancel.

What it does: keeps wishes in the store until the coordinator has answered them, and says which events a wish leads to.
What it does not know: whether a coordinator is alive, and how agents are stopped.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum

from wavecrew.errors import UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.records import plain, rebuild


class WishKind(StrEnum):
    """What can be wished for."""

    RETRY = "retry"
    SKIP = "skip"
    PAUSE = "pause"
    CONTINUE = "continue"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One wish. `hard` means: with all that depends on it (retry), or at once (pause). No phases means the run."""

    kind: WishKind
    by: str
    phases: tuple[str, ...] = ()
    reason: str = ""
    hard: bool = False


def events_for(wish: Wish, state: ExecutionState, now: float) -> tuple[Event, ...]:
    """What has to be recorded for a wish. Ending agents is no event: their ends are, when they come.

    Raises UsageError for a wish that does not fit where the run stands.
    """
    match wish.kind:
        case WishKind.RETRY:
            return _retry(wish, state, now)
        case WishKind.SKIP:
            return tuple(_skip(wish, name, state, now) for name in wish.phases)
        case WishKind.PAUSE:
            return () if state.paused_by else (ev.RunPaused(at=now, by=wish.by, reason=wish.reason),)
        case WishKind.CONTINUE:
            return (ev.RunContinued(at=now, by=wish.by),) if state.paused_by else ()
        case _:
            return tuple(event for name in wish.phases if (event := _cancel(wish, name, state, now)) is not None)


def _retry(wish: Wish, state: ExecutionState, now: float) -> tuple[Event, ...]:
    wanted = set(wish.phases)
    for name in wish.phases:
        found = state.phase_states[name]
        if found.status not in (PhaseStatus.COMPLETED, PhaseStatus.FAILED) and found.waiver is None:
            raise UsageError(f"phase {name} is {found.status}; only what has ended can be tried again")
    if wish.hard:
        below = {other for name in wish.phases for other in state.graph.descendants(name)}
        busy = sorted(name for name in below if state.status_of(name) is PhaseStatus.IN_PROGRESS)
        if busy:
            raise UsageError(f"phase {busy[0]} is at work; cancel it first, or wait for it")
        ended = (PhaseStatus.COMPLETED, PhaseStatus.FAILED)
        wanted |= {name for name in below if state.status_of(name) in ended}
    order = reversed(state.graph.topological_order())
    return tuple(ev.PhaseReset(at=now, phase=name, by=wish.by, reason=wish.reason) for name in order if name in wanted)


def _skip(wish: Wish, name: str, state: ExecutionState, now: float) -> Event:
    found = state.phase_states[name]
    if found.satisfied:
        raise UsageError(
            f"phase {name} is {'skipped already' if found.waiver else 'completed'}; there is nothing to skip"
        )
    if found.status is PhaseStatus.IN_PROGRESS:
        raise UsageError(f"phase {name} is at work", fix=f"cancel it first: wavecrew cancel {name}")
    return ev.PhaseSkipped(at=now, phase=name, by=wish.by, reason=wish.reason)


def _cancel(wish: Wish, name: str, state: ExecutionState, now: float) -> Event | None:
    status = state.status_of(name)
    if status is PhaseStatus.IN_PROGRESS:
        return None  # its agent is ended, and that end is the event
    if status is PhaseStatus.QUEUED:
        return ev.PhaseRefused(at=now, phase=name, cause=Cause.CANCELLED, detail=f"cancelled by {wish.by}")
    raise UsageError(f"phase {name} is {status}; only what is ready or at work can be cancelled")


# -- in the store -----------------------------------------------------------------------------------------------


def put(tx: sqlite3.Connection, run: str, wish: Wish) -> int:
    """Leave a wish for the coordinator. Gives its number."""
    record = json.dumps(plain(wish))
    cursor = tx.execute("INSERT INTO wish(run, asked, record) VALUES(?,?,?)", (run, time.time(), record))
    return cursor.lastrowid or 0


def waiting(tx: sqlite3.Connection, run: str) -> list[tuple[int, Wish]]:
    """Wishes that nobody has answered yet, oldest first."""
    rows = tx.execute("SELECT id, record FROM wish WHERE run = ? AND answer IS NULL ORDER BY id", (run,)).fetchall()
    return [(number, rebuild(Wish, json.loads(record))) for number, record in rows]


def answer(tx: sqlite3.Connection, number: int, text: str) -> None:
    """Say what became of a wish: nothing when it was fulfilled, else why not."""
    tx.execute("UPDATE wish SET answer = ? WHERE id = ?", (text, number))


def take_answer(tx: sqlite3.Connection, number: int) -> str | None:
    """The answer to a wish, which is then forgotten; None while there is none."""
    row = tx.execute("SELECT answer FROM wish WHERE id = ?", (number,)).fetchone()
    if row is None or row[0] is None:
        return None
    tx.execute("DELETE FROM wish WHERE id = ?", (number,))
    return str(row[0])


def withdraw(tx: sqlite3.Connection, number: int) -> None:
    """Take a wish back that nobody has answered."""
    tx.execute("DELETE FROM wish WHERE id = ? AND answer IS NULL", (number,))
