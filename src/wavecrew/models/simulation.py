"""A run of a plan on paper: who starts when, with so many agents and with the locks that the plan declares.

What it does: list scheduling by priority. A phase that meets a taken lock reserves what it wants, so that nobody of
lower priority overtakes it. The result explains itself: the pacing chain leads from the start to the end of the run
without a gap, each step waiting for exactly the one before it.
What it does not know: how long phases really take, the waits of a real run (quota, retries, people), and where
durations and priorities come from (`schedule` does).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import heapify, heappop, heappush

from wavecrew.models.contention import ClaimTable
from wavecrew.models.parallel_execution import DependencyGraph


class Wait(StrEnum):
    """What the start of a phase waited for last."""

    NOTHING = "nothing"
    DEPENDENCY = "dependency"
    LOCK = "lock"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class ChainStep:
    """One phase of a pacing chain: it started the moment the phase before it ended, for the reason `waited_for`.

    `resource` is what both want, if a lock was the reason.
    """

    phase: str
    waited_for: Wait = Wait.NOTHING
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """A plan without its words: phases numbered in plan order, what they last, and who goes first.

    `rank[p]` is the place of phase p in the line of all phases: 0 goes first.
    """

    phases: tuple[str, ...]
    durations: tuple[float, ...]
    rank: tuple[int, ...]
    dependency_counts: tuple[int, ...]
    dependents: tuple[tuple[int, ...], ...]
    table: ClaimTable

    @classmethod
    def of(cls, graph: DependencyGraph, durations: Sequence[float], priorities: Sequence[float]) -> Workload:
        """Number a graph. Both lists follow plan order; among equal priorities the plan order decides."""
        phases = tuple(graph.nodes)
        number = {name: place for place, name in enumerate(phases)}
        rank = [0] * len(phases)
        for place, phase in enumerate(sorted(range(len(phases)), key=lambda phase: -priorities[phase])):
            rank[phase] = place
        return cls(
            phases,
            tuple(durations),
            tuple(rank),
            tuple(len(graph.dependencies(name)) for name in phases),
            tuple(tuple(number[other] for other in graph.dependents(name)) for name in phases),
            ClaimTable.of(graph.nodes.values()),
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each phase starts and ends if all goes as expected. Times count from the start of the run."""

    agents: int
    start: dict[str, float]
    end: dict[str, float]
    makespan: float
    busiest: int
    """The greatest number of phases that were at work together; more agents than that change nothing."""
    pacing_chain: tuple[ChainStep, ...]


def simulate(load: Workload, agents: int) -> Schedule:
    """Run an acyclic plan on paper with a number of agents (at least 1)."""
    run = _Simulation(load, max(1, agents))
    run.run()
    return Schedule(
        agents,
        dict(zip(load.phases, run.start, strict=True)),
        dict(zip(load.phases, run.end, strict=True)),
        max(run.end, default=0.0),
        run.busiest,
        _pacing_chain(load, run),
    )


def makespan(load: Workload, agents: int) -> tuple[float, int]:
    """Only the length of such a run, and how many phases were at work together at most."""
    run = _Simulation(load, max(1, agents))
    run.run()
    return max(run.end, default=0.0), run.busiest


def _pacing_chain(load: Workload, run: _Simulation) -> tuple[ChainStep, ...]:
    """Back from the phase that ends last; every step was started by the end of the one before it."""
    if not load.phases:
        return ()
    phase = min(range(len(load.phases)), key=lambda phase: (-run.end[phase], load.rank[phase]))
    steps: list[ChainStep] = []
    while phase >= 0:
        reason, before, resource = run.cause[phase]
        steps.append(ChainStep(load.phases[phase], reason, resource))
        phase = before
    return tuple(reversed(steps))


_NOBODY = -1


class _Simulation:
    """The state of one run on paper.

    A phase that is ready stands in `ready`, by rank. One that meets a lock is parked behind a single other phase:
    the nearest in line that wants the same, else the holder that ends last. It is looked at again only when that one
    ends, which keeps ten thousand phases that want one file linear.
    """

    def __init__(self, load: Workload, agents: int) -> None:
        count = len(load.phases)
        self.load = load
        self.free = agents
        self.now = 0.0
        self.busiest = 0
        self.start = [0.0] * count
        self.end = [0.0] * count
        self.cause: list[tuple[Wait, int, str]] = [(Wait.NOTHING, _NOBODY, "")] * count
        self._released_at = [0.0] * count
        self._last_ended = _NOBODY
        self._open = list(load.dependency_counts)
        self._by_rank = [0] * count
        for phase, rank in enumerate(load.rank):
            self._by_rank[rank] = phase
        self._ready = [load.rank[phase] for phase in range(count) if not self._open[phase]]
        heapify(self._ready)
        self._running: list[tuple[float, int]] = []
        self._parked: dict[int, list[tuple[int, str]]] = {}
        self._lines = _Lines(load)

    def run(self) -> None:
        while self._ready or self._running:
            while self.free and self._ready:
                self._try(self._by_rank[heappop(self._ready)])
            self.now = self._running[0][0]
            while self._running and self._running[0][0] == self.now:
                self._finish(self._by_rank[heappop(self._running)[1]])

    def _try(self, phase: int) -> None:
        """Start a phase, or park it behind the one it has to wait for."""
        if self.load.table.claims[phase]:
            before, resource = self._lines.obstacle(phase, self.end)
            if before != _NOBODY:
                self._lines.join(phase)
                self._parked.setdefault(before, []).append((phase, resource))
                return
            self._lines.take(phase)
        if self._released_at[phase] < self.now:
            self.cause[phase] = (Wait.AGENT, self._last_ended, "")
        self.free -= 1
        self.start[phase] = self.now
        self.end[phase] = self.now + self.load.durations[phase]
        heappush(self._running, (self.end[phase], self.load.rank[phase]))
        self.busiest = max(self.busiest, len(self._running))

    def _finish(self, phase: int) -> None:
        self.free += 1
        self._last_ended = phase
        self._lines.give_back(phase)
        for waiter, resource in self._parked.pop(phase, ()):
            self._lines.leave(waiter)
            self._release(waiter, (Wait.LOCK, phase, resource))
        for dependent in self.load.dependents[phase]:
            self._open[dependent] -= 1
            if not self._open[dependent]:
                self._release(dependent, (Wait.DEPENDENCY, phase, ""))

    def _release(self, phase: int, cause: tuple[Wait, int, str]) -> None:
        self.cause[phase] = cause
        self._released_at[phase] = self.now
        heappush(self._ready, self.load.rank[phase])


class _Lines:
    """For each resource who holds it and who stands in line for it, exclusive and shared wishes apart."""

    def __init__(self, load: Workload) -> None:
        self._table = load.table
        self._rank = load.rank
        self._by_rank: dict[int, int] = {}
        count = len(self._table.resources)
        self._held: tuple[list[dict[int, None] | None], ...] = ([None] * count, [None] * count)
        self._line: tuple[list[list[int] | None], ...] = ([None] * count, [None] * count)

    def obstacle(self, phase: int, end: Sequence[float]) -> tuple[int, str]:
        """The phase to wait for and the resource that both want, or nobody."""
        ahead, ahead_at = -1, (0, 0)
        holder, holder_at = _NOBODY, (0, 0)
        for resource, exclusive in self._table.claims[phase]:
            for other in self._table.meeting[resource]:
                for theirs in (True, False) if exclusive else (True,):
                    line = self._line[theirs][other]
                    place = bisect_left(line, self._rank[phase]) if line else 0
                    if line and place and line[place - 1] > ahead:
                        ahead, ahead_at = line[place - 1], (resource, other)
                    for found in self._held[theirs][other] or ():
                        if holder == _NOBODY or end[found] > end[holder]:
                            holder, holder_at = found, (resource, other)
        if ahead >= 0:
            return self._by_rank[ahead], self._table.meeting_point(*ahead_at)
        return holder, self._table.meeting_point(*holder_at) if holder != _NOBODY else ""

    def join(self, phase: int) -> None:
        """Stand in line for everything that a phase wants."""
        rank = self._rank[phase]
        self._by_rank[rank] = phase
        for resource, exclusive in self._table.claims[phase]:
            line = self._line[exclusive][resource]
            if line is None:
                line = self._line[exclusive][resource] = []
            insort(line, rank)

    def leave(self, phase: int) -> None:
        """Step out of all lines, to start or to be looked at again."""
        rank = self._rank[phase]
        for resource, exclusive in self._table.claims[phase]:
            line = self._line[exclusive][resource] or []  # there is one, since `join`
            del line[bisect_left(line, rank)]

    def take(self, phase: int) -> None:
        """Hold everything that a phase wants."""
        for resource, exclusive in self._table.claims[phase]:
            held = self._held[exclusive][resource]
            if held is None:
                held = self._held[exclusive][resource] = {}
            held[phase] = None

    def give_back(self, phase: int) -> None:
        """Hold nothing any more."""
        for resource, exclusive in self._table.claims[phase]:
            held = self._held[exclusive][resource] or {}  # there is one, since `take`
            held.pop(phase, None)
