"""What people want of a run from another terminal: retry, skip, pause, cancel, approve, answer, and so on.

What it does: keeps wishes in the store until the coordinator has answered them, and says which events a wish leads to.
What it does not know: whether a coordinator is alive, and how agents are stopped.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wavecrew.errors import InvalidValueError, UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event
from wavecrew.models.execution_state import ExecutionState, GateStatus
from wavecrew.models.gates import behind, wave_gate
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.records import plain, rebuild

NOT_UNDERSTOOD: Final = "the coordinator does not know such a wish\nboth must be of one version of wavecrew"
MOST_ANSWER: Final = 4000
"""Characters of an answer to an agent."""
PATIENCE_SECONDS: Final = 15.0
"""How long somebody waits for the answer to a wish."""


class WishKind(StrEnum):
    """What can be wished for."""

    RETRY = "retry"
    SKIP = "skip"
    PAUSE = "pause"
    CONTINUE = "continue"
    CANCEL = "cancel"
    APPROVE = "approve"
    REJECT = "reject"
    REOPEN = "reopen"
    ANSWER = "answer"
    LANDED = "landed"
    """No wish for something to happen, but to have it on record: a branch of the user was moved to the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One wish. `hard` means: with all that depends on it (retry), or at once (pause). No phases means the run.
    `gates` are approved or rejected, `accounts` opened; `branch` was moved to `commit`. `text` is the answer to a
    `question` of a phase, by its number; 0 is the one that is open."""

    kind: WishKind
    by: str
    phases: tuple[str, ...] = ()
    reason: str = ""
    hard: bool = False
    gates: tuple[str, ...] = ()
    branch: str = ""
    commit: str = ""
    accounts: tuple[str, ...] = ()
    text: str = ""
    question: int = 0


def events_for(wish: Wish, state: ExecutionState, now: float) -> tuple[Event, ...]:  # noqa: C901 -- one flat table
    """What has to be recorded for a wish. Ending agents is no event: their ends are, when they come.

    Raises UsageError for a wish that does not fit where the run stands.
    """
    for name in wish.phases:
        if name not in state.phase_states:
            raise UsageError(f"there is no phase {name!r} in this run", fix="see the phases with: wavecrew status")
    if not wish.phases and wish.kind in (WishKind.PAUSE, WishKind.CANCEL):
        _require_going_on(wish, state)
    match wish.kind:
        case WishKind.RETRY:
            return _retry(wish, state, now)
        case WishKind.SKIP:
            return tuple(_skip(wish, name, state, now) for name in wish.phases)
        case WishKind.PAUSE:
            return () if state.paused_by else (ev.RunPaused(at=now, by=wish.by, reason=wish.reason),)
        case WishKind.CONTINUE:
            return (ev.RunContinued(at=now, by=wish.by),) if state.paused_by else ()
        case WishKind.APPROVE | WishKind.REJECT:
            reply = _approve if wish.kind is WishKind.APPROVE else _reject
            return tuple(event for gate in wish.gates for event in reply(wish, gate, state, now))
        case WishKind.REOPEN:
            return tuple(_reopen(wish, account, state, now) for account in wish.accounts)
        case WishKind.ANSWER:
            return tuple(_answer(wish, name, state, now) for name in wish.phases)
        case WishKind.LANDED:
            return (ev.ResultLanded(at=now, by=wish.by, branch=wish.branch, commit=wish.commit),)
        case _:
            return tuple(_cancel(wish, name, state, now) for name in wish.phases)


def _require_going_on(wish: Wish, state: ExecutionState) -> None:
    """What has ended can be neither paused nor cancelled: it would look as if it were still to go on."""
    if state.end_time is not None:
        raise UsageError(f"run {state.run} is over; there is nothing to {wish.kind}")
    if wish.kind is WishKind.CANCEL and state.stop_reason and not state.running:
        raise UsageError(f"run {state.run} was stopped already ({state.stop_reason})")


def _retry(wish: Wish, state: ExecutionState, now: float) -> tuple[Event, ...]:
    wanted = set(wish.phases)
    for name in wish.phases:
        found = state.phase_states[name]
        if not state.to_do(name):
            raise UsageError(
                f"phase {name} is not among those that this run is to do",
                fix=f"run it with: wavecrew run --only {name}",
            )
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


def _cancel(wish: Wish, name: str, state: ExecutionState, now: float) -> Event:
    status = state.status_of(name)
    if status is PhaseStatus.IN_PROGRESS:  # on record at once: whoever takes the run up must end it, too
        return ev.AttemptCancelled(at=now, phase=name, attempt=state.phase_states[name].attempts, by=wish.by)
    if status is PhaseStatus.QUEUED:
        return ev.PhaseRefused(at=now, phase=name, cause=Cause.CANCELLED, detail=f"cancelled by {wish.by}")
    raise UsageError(f"phase {name} is {status}; only what is ready or at work can be cancelled")


def _reopen(wish: Wish, account: str, state: ExecutionState, now: float) -> Event:
    found = state.accounts.get(account)
    if found is None or found.until <= now:
        closed = [name for name, one in state.accounts.items() if one.until > now]
        fix = f"closed are: {', '.join(sorted(closed))}" if closed else "no account of this run is closed"
        raise UsageError(f"the account {account} is not closed", fix=fix)
    return ev.AccountReopened(at=now, account=account, by=wish.by, reason=wish.reason)


def _answer(wish: Wish, name: str, state: ExecutionState, now: float) -> Event:
    waiting = {one.number: one for one in state.phase_states[name].asks}
    if not waiting:
        raise UsageError(f"phase {name} asks nothing", fix="see what needs you with: wavecrew status")
    if wish.question not in waiting and (wish.question or len(waiting) > 1):
        what = (
            f"no question {wish.question} that is open" if wish.question else f"{len(waiting)} questions that are open"
        )
        fix = f"say --question N; open are: {', '.join(map(str, waiting))}"
        raise UsageError(f"phase {name} has {what}", fix=fix)
    number = wish.question or next(iter(waiting))
    return ev.QuestionAnswered(at=now, phase=name, question=number, by=wish.by, text=wish.text)


# -- gates


def _approve(wish: Wish, gate: str, state: ExecutionState, now: float) -> tuple[Event, ...]:
    """A gate that was rejected can be opened after all: what was given up for it is done again."""
    found = state.gates.get(gate)
    if found is not None and found.status is GateStatus.APPROVED:
        return ()
    again: list[Event] = []
    if found is not None and found.status is GateStatus.REJECTED:
        why = wish.reason or f"{gate} was approved"
        for name in behind(state.graph, gate):
            given_up = state.phase_states[name]
            if given_up.status is PhaseStatus.FAILED and given_up.cause is Cause.REJECTED and not given_up.waiver:
                again.append(ev.PhaseReset(at=now, phase=name, by=wish.by, reason=why))
    else:
        _require_held(gate, state)
    return (*again, ev.GateApproved(at=now, gate=gate, by=wish.by, reason=wish.reason))


def _reject(wish: Wish, gate: str, state: ExecutionState, now: float) -> tuple[Event, ...]:
    found = state.gates.get(gate)
    if found is not None and found.status is GateStatus.REJECTED:
        return ()
    if found is not None and found.status is GateStatus.APPROVED:
        raise UsageError(f"{gate} was approved already, by {found.by}", fix="end its phases with: wavecrew cancel")
    _require_held(gate, state)
    ready = [name for name in behind(state.graph, gate) if name in state.queued and state.to_do(name)]
    why = f"{gate} was rejected by {wish.by}" + (f": {wish.reason}" if wish.reason else "")
    refused = (ev.PhaseRefused(at=now, phase=name, cause=Cause.REJECTED, detail=why) for name in ready)
    return (ev.GateRejected(at=now, gate=gate, by=wish.by, reason=wish.reason), *refused)


def _require_held(gate: str, state: ExecutionState) -> None:
    """A gate that is asked for, or will be, and behind which there is something to do."""
    names = behind(state.graph, gate)
    comes = gate.partition(" ")[0] == state.settings.get("gate") and gate != wave_gate(1)
    if not names or not (comes or gate in state.gates):
        raise UsageError(f"run {state.run} has no gate {gate!r}", fix="see what needs you with: wavecrew status")
    waiting = (PhaseStatus.NOT_STARTED, PhaseStatus.QUEUED)
    if not any(state.status_of(name) in waiting and not state.phase_states[name].waiver for name in names):
        raise UsageError(f"nothing waits behind {gate} any more")


# -- in the store -----------------------------------------------------------------------------------------------


def put(tx: sqlite3.Connection, run: str, wish: Wish) -> int:
    """Leave a wish for the coordinator. Gives its number."""
    record = json.dumps(plain(wish))
    cursor = tx.execute("INSERT INTO wish(run, asked, record) VALUES(?,?,?)", (run, time.time(), record))
    return cursor.lastrowid or 0


def waiting(tx: sqlite3.Connection, run: str) -> list[tuple[int, Wish | None]]:
    """Wishes that nobody has answered yet, oldest first; None for one that is not in a form that we know."""
    rows = tx.execute("SELECT id, record FROM wish WHERE run = ? AND answer IS NULL ORDER BY id", (run,)).fetchall()
    return [(number, _read(record)) for number, record in rows]


def _read(record: str) -> Wish | None:
    try:
        return rebuild(Wish, json.loads(record))
    except (ValueError, InvalidValueError):
        return None


def answer(tx: sqlite3.Connection, number: int, text: str) -> None:
    """Say what became of a wish: nothing when it was fulfilled, else why not, and on a second line what to do."""
    tx.execute("UPDATE wish SET answer = ? WHERE id = ?", (text, number))


def answer_to(tx: sqlite3.Connection, number: int) -> str | None:
    """The answer to a wish; None while there is none."""
    row = tx.execute("SELECT answer FROM wish WHERE id = ?", (number,)).fetchone()
    return None if row is None or row[0] is None else str(row[0])


def withdraw(tx: sqlite3.Connection, number: int) -> None:
    """Take a wish back, answered or not."""
    tx.execute("DELETE FROM wish WHERE id = ?", (number,))


def forget_old(tx: sqlite3.Connection, run: str, now: float) -> None:
    """Wishes whose askers were killed before they could take them back. Nobody waits for them any more, and who comes
    later must not be surprised by them. `now` is in seconds since 1970."""
    tx.execute("DELETE FROM wish WHERE run = ? AND asked < ?", (run, now - PATIENCE_SECONDS))
