"""A run as seen from another process: its events are read as they come, and folded once for all who look.

What it does: reads what is new in the store, keeps state, history and waits for people, and gives one consistent look
at a moment.
What it does not know: who looks, how it is drawn, and how often.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from wavecrew.api.history import OpenedRun, run_is_alive
from wavecrew.api.plans import analyse_plan
from wavecrew.core.lock_registry import Picture
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.store import RunRow, Store
from wavecrew.errors import NotFoundError
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis
from wavecrew.views.run_history import History
from wavecrew.views.run_pacing import pacing_chain
from wavecrew.views.run_plain import lines_for
from wavecrew.views.summary import Summary, summarize

FACTS: Final = 200
"""How many facts are told at most; what is older is in the store."""


@dataclass(frozen=True, slots=True)
class GateWait:
    """How long a gate waited for a person; `until` is None while it still does."""

    gate: str
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One event in words: its number in the store, and the phase that it is about, if it is about one."""

    seq: int
    text: str
    phase: str


@dataclass(frozen=True, slots=True)
class Look:
    """A run at one moment. `seq` is the number of the last event in it."""

    seq: int
    row: RunRow
    state: ExecutionState
    summary: Summary
    history: History
    gate_waits: tuple[GateWait, ...]
    pacing: frozenset[tuple[str, int]]
    """The attempts that paced the run so far, by (phase, number)."""
    locks: Picture
    alive: bool


class RunWatch:
    """One run that is watched. Threads may share it."""

    def __init__(self, store: Store, row: RunRow, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.row = row
        self._clock = clock
        self._registry = LockRegistry(store, store.folder.parent)
        self._guard = threading.RLock()
        self._events: list[Event] = []
        self._state = ExecutionState()
        self._history = History()
        self._waits: list[GateWait] = []
        self._analysis: tuple[object, Analysis] | None = None

    @property
    def seq(self) -> int:
        """The number of the last event that was read."""
        return len(self._events)

    def is_stale(self) -> bool:
        """Whether there are events that were not read yet. Quick: one row of an index."""
        ((last,),) = self.store.query("SELECT coalesce(max(seq), 0) FROM event WHERE run = ?", self.row.id)
        return bool(last != len(self._events))

    def look(self) -> Look:
        """The run now. Raises StoreError when the store cannot be read, or holds what this version does not know."""
        with self._guard:
            self._read()
            now, alive = self._clock(), run_is_alive(self.store.folder, self.row.id)
            opened = OpenedRun(self.row, tuple(self._events), self._state, alive, self.store.folder)
            summary = summarize(
                self._state,
                now,
                alive=alive,
                progress=opened.progress(),
                history=self._history,
                signs=opened.signs(),
            )
            state = self._state
            chain = pacing_chain(state.graph, self._history, state.agent_limit, state.start_time or 0.0)
            pacing = frozenset((step.attempt.phase, step.attempt.number) for step in chain)
            waits, locks = tuple(self._waits), self._registry.picture()
            return Look(self.seq, self.row, state, summary, self._history, waits, pacing, locks, alive)

    def _read(self) -> None:
        new = [event for _, event in self.store.events(self.row.id, after=len(self._events))]
        if not new:
            return
        self._state = evolve(self._state, *new)
        self._history.add(new)
        self._events += new
        for event in new:
            self._wait_for_people(event)

    def _wait_for_people(self, event: Event) -> None:
        match event:
            case ev.ApprovalAsked(gate=gate, at=at):
                self._waits.append(GateWait(gate, at))
            case ev.GateApproved(gate=gate, at=at) | ev.GateRejected(gate=gate, at=at):
                self._waits = [
                    GateWait(one.gate, one.since, at) if one.gate == gate and one.until is None else one
                    for one in self._waits
                ]
            case ev.RunStopped(at=at) | ev.RunFinished(at=at):
                self._waits = [GateWait(one.gate, one.since, one.until or at) for one in self._waits]

    # -- beside the look

    def facts(self, after: int | None, most: int = FACTS, phase: str = "") -> list[Fact]:
        """What happened after an event, or lately, in words; only the last few if it is much."""
        with self._guard:
            chosen = [
                (seq, event)
                for seq, event in enumerate(self._events, 1)
                if seq > (after or 0) and (not phase or _phase_of(event) == phase)
            ]
            return list(self._in_words(chosen[-most:]))

    def _in_words(self, chosen: Iterable[tuple[int, Event]]) -> Iterable[Fact]:
        start = self._state.start_time or 0.0
        for seq, event in chosen:
            words = " ".join(lines_for(event, self._state, start, history=self._history))
            if words:
                yield Fact(seq, words, _phase_of(event))

    def analysis(self) -> Analysis:
        """Waves, critical path and conflicts of the plan as it is now; worked out once for each plan."""
        with self._guard:
            self._read()
            state = self._state
            if self._analysis is None or self._analysis[0] is not state.graph:
                phases = tuple(state.graph.nodes.values())
                plan = Plan(state.plan_name, state.plan_path, phases)
                self._analysis = (state.graph, analyse_plan(plan, max(1, state.agent_limit)))
            return self._analysis[1]

    def for_logs(self, phase: str) -> OpenedRun:
        """The run as what finds the logs of a phase. Raises NotFoundError for a phase that it does not have."""
        with self._guard:
            self._read()
            if phase not in self._state.phase_states:
                raise NotFoundError("there is no such phase in this run")
            return OpenedRun(self.row, (), self._state, False, self.store.folder)


def _phase_of(event: Event) -> str:
    found = getattr(event, "phase", "")
    return found if isinstance(found, str) else ""
