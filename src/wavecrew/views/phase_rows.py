"""One row for each phase: where it stands, and the reason beside it.

What it does: tells of every phase of a state what a person wants to know: at work since when, waiting for whom, held
up by which failure, to be tried again when. One pass over the plan.
What it does not know: totals (`summary` has them), widths, signs and colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from wavecrew.models.events import Cause
from wavecrew.models.execution_state import ExecutionState, LockWait, PhaseState, Waiver
from wavecrew.models.gates import over
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.questions import Question
from wavecrew.models.results import Sign
from wavecrew.models.usage import Spent
from wavecrew.views.question_words import asks_words, with_told
from wavecrew.views.run_forecast import WaveRules, approved
from wavecrew.views.run_words import ROOM_WORDS, label, reason_of, seconds
from wavecrew.views.usage_words import held_words, holding, silent_words

Progress = Mapping[str, tuple[int, int, str]]
"""The step at work of running phases: (step, of how many, title)."""
NOTHING: Final = Spent()
NO_PROGRESS: Final[Progress] = MappingProxyType({})


Signs = Mapping[str, Sign]
"""What can be seen of open attempts while nobody is in charge."""
NO_SIGNS: Final[Signs] = MappingProxyType({})


class Standing(StrEnum):
    """What a person wants to know of a phase: its status together with the reason beside it."""

    PASSED = "passed"
    KEPT = "kept"
    SKIPPED = "skipped"
    RUNNING = "running"
    MERGING = "merging"
    """Its agent is done, and its work is on the way into the result."""
    GONE = "gone"
    """Its agent is proven not to be at work any more, and nobody is in charge to say what that means."""
    WAITING = "waiting"
    """It is ready but for a lock that somebody holds."""
    HELD = "held"
    """It is ready but for the account of its agent, which is used up until a known time."""
    RETRYING = "retrying"
    """It failed and will be tried again by itself at a known time."""
    READY = "ready"
    """It waits for a free agent, for its wave, or for somebody who agrees."""
    TO_COME = "to come"
    FAILED = "failed"
    BLOCKED = "blocked"
    """A failure, a gate that was rejected, or a phase that this run leaves out, keeps it from ever starting."""
    LEFT_OUT = "left out"
    """This run is not meant to do it."""


DONE: Final = frozenset({Standing.PASSED, Standing.KEPT, Standing.SKIPPED})
AT_WORK: Final = (Standing.RUNNING, Standing.MERGING)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """One phase. Times are in seconds; `elapsed` is that of the latest attempt, so far if it is open.

    `lock` is what the phase waits for now, or its agent at the write gate, `lock_waited` since how long. `reason` is
    one sentence for people and may hold foreign text that was not cleaned.
    """

    id: str
    name: str
    wave: int
    status: PhaseStatus
    standing: Standing
    reason: str = ""
    attempts: int = 0
    elapsed: float | None = None
    left: float | None = None
    """Of a running phase, what its estimate leaves; None if that is used up or unknown."""
    agent: str = ""
    log: str = ""
    outputs: int = 0
    lock: LockWait | None = None
    lock_waited: float | None = None
    waits_for: tuple[str, ...] = ()
    """Dependencies that are neither completed nor waived."""
    blocked_by: tuple[str, ...] = ()
    retry_at: float | None = None
    progress: tuple[int, int, str] | None = None
    waiver: Waiver | None = None
    kept_from: str = ""
    undeclared: tuple[str, ...] = ()
    """Files that it may have changed without a claim."""
    gate: str = ""
    """The gate that keeps it from starting: it waits for an answer, or was rejected."""
    branch: str = ""
    """The branch that its work is kept on; empty where all work in one folder."""
    commit: str = ""
    """The commit that brought its work into the result."""
    silent_since: float | None = None
    """Since when nothing was heard of its agent."""
    last_words: str = ""
    """What a silent agent said last; foreign text."""
    held_by: str = ""
    """The account that holds it up."""
    held_until: float | None = None
    spent: Spent = NOTHING
    """What the agents of all its attempts have used."""
    asks: tuple[Question, ...] = ()
    """Its questions that a person has to answer."""
    conflict: bool = False
    """Whether its latest attempt failed because its work and that of others do not go together."""


def phase_rows(
    state: ExecutionState, now: float, *, going_on: bool, over: bool, progress: Progress, signs: Signs = NO_SIGNS
) -> tuple[PhaseRow, ...]:
    """The rows of all phases, in plan order. The run is `going_on`, `over`, or neither: left, with `signs` of those
    that were at work."""
    rows = _Rows(state, now, going_on, over, progress, {} if going_on else signs)
    return tuple(rows.row(name, found) for name, found in state.phase_states.items())


class _Rows:
    """Makes the rows of one state."""

    def __init__(
        self, state: ExecutionState, now: float, going_on: bool, over: bool, progress: Progress, signs: Signs
    ) -> None:
        self.state = state
        self.now = now
        self.going_on = going_on
        self.over = over
        self.progress = progress
        self.signs = signs
        self.pauses = _Pauses(state, now)
        self.blocked = _blocked(state)
        self.gates = frozenset(state.needs_you)

    def row(self, name: str, found: PhaseState) -> PhaseRow:
        standing = self._standing(name, found)
        held = holding(self.state, name, self.now) if standing is Standing.HELD else None
        silent = standing is Standing.RUNNING and self.going_on and found.silent_since is not None
        lock = found.lock_wait if standing is Standing.WAITING else None
        writes = standing is Standing.RUNNING and self.going_on and bool(found.write_waits)
        lock = found.write_waits[0] if writes else lock
        pending = found.status is PhaseStatus.NOT_STARTED and standing in (Standing.TO_COME, Standing.BLOCKED)
        states = self.state.phase_states
        waits_for = (
            tuple(other for other in self.state.graph.edges[name] if not states[other].satisfied) if pending else ()
        )
        return PhaseRow(
            id=name,
            name=self.state.graph.nodes[name].name,
            wave=self.state.graph.wave_of[name],
            status=found.status,
            standing=standing,
            reason=self._reason(name, found, standing, waits_for),
            attempts=found.attempts,
            elapsed=self._elapsed(name, found),
            left=self._left(name, found),
            agent=found.agent,
            log=found.log,
            outputs=len(found.outputs),
            lock=lock,
            lock_waited=max(0.0, self.now - lock.since) if lock else None,
            waits_for=waits_for,
            blocked_by=self.blocked.get(name, ()) if standing is Standing.BLOCKED else (),
            retry_at=found.retry_at if standing is Standing.RETRYING else None,
            progress=with_told(self.progress.get(name), found.told)
            if standing is Standing.RUNNING and not writes
            else None,
            waiver=found.waiver,
            kept_from=found.kept_from,
            undeclared=found.undeclared,
            gate=self._gate(name, standing),
            branch=found.branch,
            commit=found.commit,
            silent_since=found.silent_since if silent else None,
            last_words=found.last_words if silent else "",
            held_by=held[0] if held else "",
            held_until=held[1].until if held else None,
            spent=found.spent,
            asks=found.asks if not self.over else (),
            conflict=standing is Standing.FAILED and found.cause is Cause.MERGE,
        )

    def _gate(self, name: str, standing: Standing) -> str:
        if standing is Standing.READY and self.gates:
            return next((gate for gate in over(self.state.graph, name) if gate in self.gates), "")
        return self.state.rejected(name) if standing is Standing.BLOCKED else ""

    def _standing(self, name: str, found: PhaseState) -> Standing:
        if found.waiver is not None:
            return Standing.SKIPPED
        if found.status is PhaseStatus.IN_PROGRESS:
            sign = self.signs.get(name)
            at_work = Standing.RUNNING if sign is None or sign.alive else Standing.GONE
            return Standing.MERGING if found.sealed else at_work
        if found.status is PhaseStatus.COMPLETED:
            return Standing.KEPT if found.kept_from else Standing.PASSED
        if found.status is PhaseStatus.FAILED:
            return Standing.FAILED
        if not self.state.to_do(name):
            return Standing.LEFT_OUT
        if self.state.gates and self.state.rejected(name):
            return Standing.BLOCKED
        if found.status is PhaseStatus.QUEUED:
            return self._queued(name, found)
        return Standing.BLOCKED if name in self.blocked else Standing.TO_COME

    def _queued(self, name: str, found: PhaseState) -> Standing:
        if self.state.accounts and not self.over and holding(self.state, name, self.now):
            return Standing.HELD
        if not self.going_on:
            return Standing.READY
        if found.retry_at is not None and found.retry_at > self.now:
            return Standing.RETRYING
        if self.state.paused_by:
            return Standing.READY  # a run gives up its places in the queue for locks while it is paused
        return Standing.WAITING if found.lock_wait and self._holds(found.lock_wait.holder) else Standing.READY

    def _holds(self, holder: str) -> bool:
        """Whether a holder may still be in the way: it is at work, stands before us in line, or is none of ours."""
        found = self.state.phase_states.get(holder)
        if found is None:
            return True
        return found.waiver is None and found.status in (PhaseStatus.IN_PROGRESS, PhaseStatus.QUEUED)

    def _elapsed(self, name: str, found: PhaseState) -> float | None:
        if found.started_at is None:
            return None
        until = self.now if found.ended_at is None else found.ended_at - found.unattended
        sign = self.signs.get(name)
        if sign is not None and not sign.alive:
            until = min(until, sign.at or found.started_at)
        return max(0.0, until - found.started_at)

    def _left(self, name: str, found: PhaseState) -> float | None:
        hours = self.state.graph.nodes[name].estimated_time
        if hours is None or found.status is not PhaseStatus.IN_PROGRESS or found.started_at is None:
            return None
        left = hours * 3600 - (self.now - found.started_at)
        return left if left > 0 else None

    # -- why

    def _reason(  # noqa: C901 -- one line for each standing reads best as one table
        self, name: str, found: PhaseState, standing: Standing, waits_for: tuple[str, ...]
    ) -> str:
        match standing:
            case Standing.SKIPPED if found.waiver is not None:
                return f"skipped by {found.waiver.by}" + (f": {found.waiver.reason}" if found.waiver.reason else "")
            case Standing.KEPT:
                return f"kept from run {found.kept_from}"
            case Standing.RUNNING if name in self.signs:
                return "nobody is in charge; its agent is still at work"
            case Standing.RUNNING if not self.going_on:
                return "nobody is in charge; its agent may still be at work"
            case Standing.GONE if self.signs[name].result:
                return "its agent has ended; `wavecrew run` takes in what it left"
            case Standing.GONE:
                return "its agent is dead and left no result; `wavecrew run` sees to it"
            case Standing.RUNNING if found.write_waits:
                wait = found.write_waits[0]
                return f"waits to write {wait.resource}, held by {wait.holder}"
            case Standing.RUNNING | Standing.READY if found.asks and not self.over:
                return asks_words(found.asks[0])
            case Standing.RUNNING if found.silent_since is not None:
                return silent_words(found.silent_since, found.last_words, self.now)
            case Standing.HELD if held := holding(self.state, name, self.now):
                return held_words(*held, self.now)
            case Standing.MERGING if not self.going_on:
                return "nobody is in charge; its work is kept and waits to be merged"
            case Standing.MERGING:
                return "checking the merge" if found.merge else "its agent is done"
            case Standing.FAILED:
                return reason_of(found.cause, found.detail)
            case Standing.WAITING if found.lock_wait is not None:
                return self._lock_reason(found.lock_wait)
            case Standing.RETRYING if found.retry_at is not None:
                why = reason_of(found.cause, found.detail)
                return f"tries again in {seconds(found.retry_at - self.now)}: {why}"
            case Standing.READY:
                return self._ready_reason(name, found)
            case Standing.TO_COME:
                return f"needs {_some(waits_for)}"
            case Standing.BLOCKED:
                return self._blocked_reason(name)
            case Standing.LEFT_OUT:
                return "not among the phases that this run is to do"
            case _:
                return ""

    def _lock_reason(self, lock: LockWait) -> str:
        """What a phase waits for and who has it; a phase that stands before it in line has it not yet."""
        found = self.state.phase_states.get(lock.holder)
        if found is None:
            return f"waits for {lock.resource}, held by {lock.holder}"
        who = "held by" if found.status is PhaseStatus.IN_PROGRESS else "after"
        return f"waits for {lock.resource}, {who} {label(lock.holder, self.state.graph.nodes[lock.holder].name)}"

    def _blocked_reason(self, name: str) -> str:
        gate = self.state.rejected(name)
        if not gate:
            return f"blocked by {_some(self.blocked[name])}"
        told = self.state.gates[gate]
        return f"{gate} was rejected by {told.by}" + (f": {told.reason}" if told.reason else "")

    def _ready_reason(self, name: str, found: PhaseState) -> str:
        last = f"; before: {reason_of(found.cause, found.detail)}" if found.cause is not Cause.NONE else ""
        if self.over:
            return "not started: the run ended before its turn" + last
        gate = self._gate(name, Standing.READY)
        if gate and not self.state.paused_by:
            return f"needs approval: {gate}" + last
        if not self.going_on:
            return "starts when the run goes on" + last
        return self.pauses.reason(name) + last


class _Pauses:
    """Why a ready phase that no lock holds up has not started yet."""

    def __init__(self, state: ExecutionState, now: float) -> None:
        self.state = state
        self.now = now
        self.waves = WaveRules.of(state.settings)
        self.stopping = state.settings.get("fail_fast") is True and state.count(PhaseStatus.FAILED) > 0

    def reason(self, name: str) -> str:
        if self.state.budget_reached:
            return f"the budget of {self.state.budget_reached} is spent"
        if self.state.paused_by:
            return f"the run is paused by {self.state.paused_by}"
        if self.stopping:
            return "will not start: a phase failed, and fail_fast is on"
        wave = self.state.graph.wave_of[name]
        before = self.state.wave_starts.get(wave - 1)
        if self.waves.gate and wave > 1 and not approved(self.state, name):
            return f"waits for an agent, or for the end of wave {wave - 1}"
        if before is not None and before + self.waves.delay > self.now:
            return f"wave {wave} starts in {seconds(before + self.waves.delay - self.now)}"
        if len(self.state.running) >= self.state.agent_limit > 0:
            return f"waits for a free agent ({len(self.state.running)} of {self.state.agent_limit} at work)"
        if self.state.waits_for_room and self.state.running:
            return ROOM_WORDS
        return "starts next"


def _blocked(state: ExecutionState) -> Mapping[str, tuple[str, ...]]:
    """For each phase that can never start the dead ends behind it, in plan order. Sets are kept as bits of a number,
    so that a thousand phases behind a hundred failures cost no more than a few."""
    dead = [name for name, found in state.phase_states.items() if _dead_end(state, name, found)]
    if not dead:
        return {}
    bit = {name: 1 << place for place, name in enumerate(dead)}
    reach: dict[str, int] = {}
    named: dict[int, tuple[str, ...]] = {}
    blocked: dict[str, tuple[str, ...]] = {}
    for layer in state.graph.layers():
        for name in layer:
            bits = 0
            for other in state.graph.edges[name]:
                if not state.phase_states[other].satisfied:
                    bits |= reach[other] | bit.get(other, 0)
            reach[name] = bits
            if bits:
                if bits not in named:
                    named[bits] = tuple(dead[place] for place in _places(bits))
                blocked[name] = named[bits]
    return blocked


def _dead_end(state: ExecutionState, name: str, found: PhaseState) -> bool:
    given_up = found.status is PhaseStatus.FAILED or not state.to_do(name) or bool(state.gates and state.rejected(name))
    return given_up and not found.satisfied


def _places(bits: int) -> Iterable[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _some(names: tuple[str, ...], shown: int = 4) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return " ".join(names[:shown]) + more
