"""What to do next: a pure function from the state of a run to the phases that start now.

What it does: applies the gates in order (dependencies, stop, budget, free slot, approval, account, retry time, wave,
locks) to the ready phases, the one with the longest remaining chain first. A phase that is held up by a lock reserves
what it wants, so that no phase behind it can overtake it on the same resource and it cannot starve.
What it does not know: the clock (it is told the time), disks and processes, and whether the machine has room (it is
told). The lock table has the last word about locks, because other runs and scripts hold some too: what it refused is
passed in as `elsewhere`, and what it granted after a wait as `granted`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

from wavecrew.models.execution_state import ExecutionState, GateStatus, PhaseState
from wavecrew.models.gates import phase_gate, wave_gate
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.resources import Claim, ClaimIndex


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a run, worked out once from its plan and its configuration.

    `rank` orders the phases, the most urgent first. `claims` are the keys of the locks of each phase. `gate` tells
    before what a person has to agree, `attended` whether somebody may be there who can. `agents` are the accounts that
    a phase can be worked on with, the wanted one first; a phase that is not in it needs none.
    """

    agent_limit: int
    rank: Mapping[str, int]
    claims: Mapping[str, tuple[Claim, ...]]
    wave_delay_seconds: float = 0.0
    gate: Literal["none", "wave", "phase"] = "none"
    attended: bool = True
    fail_fast: bool = False
    agents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_rank: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_rank", tuple(sorted(self.rank, key=self.rank.__getitem__)))

    def agent_for(self, state: ExecutionState, phase: str, now: float) -> str | None:
        """The agent that may start on a phase now: the wanted one, or its stand-in while that one's account is closed.
        Empty where it does not matter, and None while all are closed."""
        wanted = self.agents.get(phase, ("",))
        return next((name for name in wanted if opening_of(state, name) <= now), None)

    def opens_at(self, state: ExecutionState, phase: str) -> float:
        """When the first account opens that a phase can be worked on with."""
        return min((opening_of(state, name) for name in self.agents.get(phase, ())), default=0.0)


def opening_of(state: ExecutionState, account: str) -> float:
    """When an account opens, or has opened."""
    found = state.accounts.get(account)
    return 0.0 if found is None else found.until


@dataclass(frozen=True, slots=True)
class LockWish:
    """A phase that only a lock keeps from starting: for what it waits and which phase has it."""

    phase: str
    resource: str
    holder: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What should happen now. `wake_at` is when time alone would change the decision; `finished` means that nothing
    is at work and nothing can ever start. `ask` are gates that somebody must be asked to open; `unattended` means that
    nothing is at work but agents that wait for an answer, only that or such a gate keeps all from going on, and nobody
    is there; `spent` that nothing is at work, and the budget keeps all from starting."""

    start: tuple[str, ...] = ()
    waiting: tuple[LockWish, ...] = ()
    wake_at: float | None = None
    finished: bool = False
    ask: tuple[str, ...] = ()
    unattended: bool = False
    spent: bool = False


def decide(
    state: ExecutionState,
    policy: Policy,
    now: float,
    *,
    elsewhere: AbstractSet[str] = frozenset(),
    granted: AbstractSet[str] = frozenset(),
    asking: AbstractSet[str] = frozenset(),
    room: bool = True,
) -> Decision:
    """The decision for this moment. The same arguments always give the same answer.

    `elsewhere` are ready phases that stand in the queue of the lock table because somebody outside this run is in
    their way; they take no slot. Those of `granted` have their locks since, and get the next free slot. The agents of
    `asking` wait for the answer of a person. Without `room` on the machine nothing starts beside what is at work; one
    phase may always be at work, or nothing would ever change.
    """
    stuck = not policy.attended and bool(state.running) and state.running.keys() <= asking
    if policy.fail_fast and any(_failed(found) for found in state.phase_states.values()):
        return Decision(finished=not state.running, unattended=stuck)
    free = policy.agent_limit - len(state.running)
    if not room:
        free = min(free, 0 if state.running else 1)
    ready = _startable(state)
    if not ready:
        return Decision(finished=not state.running, unattended=stuck)
    if state.budget_reached:
        return Decision(spent=not state.running, unattended=stuck)
    if state.paused_by:
        return Decision()
    gates = _Gates(state, policy, now)
    ask = gates.to_ask(ready)
    candidates = [policy.rank[name] for name in ready]
    heapq.heapify(candidates)
    held: ClaimIndex[str] = ClaimIndex()
    for name in (*state.running, *sorted(elsewhere | granted)):
        held.add(name, policy.claims[name])
    start = sorted(granted, key=policy.rank.__getitem__)[: max(0, free)]
    waiting: list[LockWish] = []
    while candidates and len(start) < free:
        name = policy.by_rank[heapq.heappop(candidates)]
        if name in elsewhere or name in granted or not gates.open(name):
            continue
        obstacle = next(held.in_the_way(name, policy.claims[name]), None)
        if obstacle is None:
            start.append(name)
        else:
            waiting.append(LockWish(name, str(obstacle[1].resource), obstacle[0]))
        held.add(name, policy.claims[name])
    at_work = bool(state.running) and not stuck
    idle = not (at_work or start or ask or elsewhere or granted) and gates.opens_at is None
    unattended = idle and not policy.attended and bool(state.needs)
    return Decision(tuple(start), tuple(waiting), gates.opens_at, ask=ask, unattended=unattended)


def _startable(state: ExecutionState) -> list[str]:
    """The ready phases that this run is to do and that nobody has closed a gate on for good."""
    names = [name for name in state.queued if state.to_do(name)]
    if any(gate.status is GateStatus.REJECTED for gate in state.gates.values()):
        return [name for name in names if not state.rejected(name)]
    return names


def _failed(found: PhaseState) -> bool:
    return found.status is PhaseStatus.FAILED and not found.satisfied  # a failure that was waived stops nobody


class _Gates:
    """The gates of people, and those of time: the pause before a retry, and the pause or barrier before a wave.

    What has begun or ended in the future tells that the clock was put back; nobody waits until it has caught up.
    """

    def __init__(self, state: ExecutionState, policy: Policy, now: float) -> None:
        self._state = state
        self._policy = policy
        self._now = now
        self._waves: dict[int, float | None] = {}
        self.opens_at: float | None = None
        """The earliest moment at which a gate that is closed now opens by itself."""

    def to_ask(self, ready: Iterable[str]) -> tuple[str, ...]:
        """The gates before ready phases that nobody has been asked to open yet."""
        match self._policy.gate:
            case "phase":
                wanted = [phase_gate(name) for name in ready]
            case "wave":
                waves = sorted({self._state.graph.wave_of[name] for name in ready})
                wanted = [wave_gate(wave) for wave in waves if wave > 1 and self._end_of(wave - 1) is not None]
            case _:
                wanted = []
        return tuple(name for name in wanted if name not in self._state.gates)

    def open(self, name: str) -> bool:
        if self._policy.gate == "phase" and not self._approved(phase_gate(name)):
            return False
        found = self._state.phase_states[name]
        if found.asks and not self._policy.attended:
            return False  # its agent would only ask once more
        moment = 0.0 if (found.ended_at or 0.0) > self._now else found.retry_at or 0.0
        wave = self._wave_opens(self._state.graph.wave_of[name])
        if wave is None:
            return False
        moment = max(moment, wave)
        if self._state.accounts and self._policy.agent_for(self._state, name, self._now) is None:
            moment = max(moment, self._policy.opens_at(self._state, name))
        if moment > self._now:
            self.opens_at = moment if self.opens_at is None else min(self.opens_at, moment)
            return False
        return True

    def _approved(self, gate: str) -> bool:
        found = self._state.gates.get(gate)
        return found is not None and found.status is GateStatus.APPROVED

    def _wave_opens(self, wave: int) -> float | None:
        """When phases of a wave may start: a time, or None while the wave before it, or a person, holds the barrier."""
        if wave == 1:
            return 0.0
        if wave not in self._waves:
            self._waves[wave] = self._opening_of(wave)
        return self._waves[wave]

    def _opening_of(self, wave: int) -> float | None:
        if self._policy.gate != "wave":
            return self._start_of(wave - 1)
        return self._end_of(wave - 1) if self._approved(wave_gate(wave)) else None

    def _start_of(self, wave: int) -> float:
        started = self._state.wave_starts.get(wave)
        return 0.0 if started is None or started > self._now else started + self._policy.wave_delay_seconds

    def _end_of(self, wave: int) -> float | None:
        """The end of all waves up to this one; None while one of their phases can still move."""
        ended = 0.0
        for layer in self._state.graph.layers()[:wave]:
            for name in layer:
                found = self._state.phase_states[name]
                if not self._settled(name, found):
                    return None
                ended = max(ended, found.ended_at or 0.0)
        return ended + self._policy.wave_delay_seconds if 0.0 < ended <= self._now else 0.0

    def _settled(self, name: str, found: PhaseState) -> bool:
        if found.satisfied or found.status is PhaseStatus.FAILED or not self._state.to_do(name):
            return True
        if self._state.rejected(name):
            return True
        return found.status is PhaseStatus.NOT_STARTED and bool(self._state.blockers(name))
