"""The arithmetic of time: critical path, slack, priorities, and how long N agents would take.

What it does: turns a dependency graph with estimates (hours) into one `Analysis` that every view can show. Where an
estimate is missing it says what it assumed; where all are missing, phases count 1 each and no hours are claimed.
What it does not know: documents, how conflicts are found (`plans.conflicts` does), and what really happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Final

from wavecrew.models.contention import Conflict
from wavecrew.models.parallel_execution import DependencyGraph, ExecutionWave
from wavecrew.models.simulation import ChainStep, Schedule, Workload, makespan, simulate

TOLERANCE: Final = 0.005
"""A run that is longer by less than this share counts as equally long."""
LARGE: Final = 20_000
"""Above this many phases only the number of agents that was asked for is tried."""
_EXHAUSTIVE: Final = 300


@dataclass(frozen=True, slots=True)
class Estimates:
    """A duration for every phase. `timed` tells whether they are hours or merely 1 each; `assumed` names the phases
    that got the median of the known estimates because they have none of their own."""

    durations: Mapping[str, float]
    timed: bool
    assumed: tuple[str, ...] = ()
    median: float | None = None

    @classmethod
    def of(cls, graph: DependencyGraph) -> Estimates:
        """Read the estimates of a graph and fill the gaps."""
        known = {
            name: float(phase.estimated_time) for name, phase in graph.nodes.items() if phase.estimated_time is not None
        }
        if not known:
            return cls(dict.fromkeys(graph.nodes, 1.0), timed=False)
        median = _median(sorted(known.values()))
        durations = {name: known.get(name, median) for name in graph.nodes}
        return cls(durations, True, tuple(name for name in graph.nodes if name not in known), median)


def _median(values: Sequence[float]) -> float:
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else values[middle - 1] / 2 + values[middle] / 2


# -- chains -----------------------------------------------------------------------------------------------------


def priorities(graph: DependencyGraph, durations: Mapping[str, float] | None = None) -> Mapping[str, float]:
    """For each phase the longest chain from its start to the end of the plan, itself included: the urgency that the
    scheduler goes by. What a cycle holds up is left out."""
    lasting = Estimates.of(graph).durations if durations is None else durations
    remaining: dict[str, float] = {}
    for layer in reversed(graph.layers()):
        for name in layer:
            after = [remaining[other] for other in graph.dependents(name) if other in remaining]
            remaining[name] = lasting[name] + max(after, default=0.0)
    return remaining


def earliest_starts(graph: DependencyGraph, durations: Mapping[str, float]) -> Mapping[str, float]:
    """When each phase could start if agents and locks were free at once."""
    starts: dict[str, float] = {}
    for layer in graph.layers():
        for name in layer:
            starts[name] = max((starts[other] + durations[other] for other in graph.dependencies(name)), default=0.0)
    return starts


def critical_path(graph: DependencyGraph, remaining: Mapping[str, float]) -> tuple[str, ...]:
    """The chain that takes longest, given what remains from each phase on; ties go to plan order."""
    path: list[str] = []
    choice: Iterable[str] = graph.roots()
    while step := max(choice, key=remaining.__getitem__, default=None):
        path.append(step)
        choice = graph.dependents(step)
    return tuple(path)


# -- the whole --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Analysis:
    """All that can be said about a plan before it runs.

    Times are hours if `estimates.timed`; else they count phases, and `hours` turns them into None. With a cycle,
    what could be layered is layered and there is neither a path nor a forecast.
    """

    graph: DependencyGraph
    estimates: Estimates
    waves: tuple[ExecutionWave, ...]
    wave_of: Mapping[str, int]
    """Phases that a cycle holds up are not in it."""
    slack: Mapping[str, float]
    """By how much a phase may be late without delaying the end, as far as dependencies go."""
    critical_path: tuple[str, ...]
    critical_time: float | None
    agents: int
    schedule: Schedule | None
    """The run on paper with `agents`, locks included; None with a cycle or without phases."""
    makespans: Mapping[int, float]
    """How long a run takes, by number of agents, for those that were tried."""
    useful_agents: int | None
    """The smallest number of agents beyond which nothing is gained; None if it was not looked for."""
    conflicts: tuple[Conflict, ...] = ()
    more_conflicts: int = 0
    """How many further conflicts there are beside those listed."""

    @property
    def pacing_chain(self) -> tuple[ChainStep, ...]:
        """What keeps the run with `agents` from being shorter: dependencies, locks and agents, without a gap."""
        return self.schedule.pacing_chain if self.schedule else ()

    @property
    def serial_time(self) -> float:
        """How long one agent would take."""
        return sum(self.estimates.durations.values())

    @cached_property
    def cyclic(self) -> bool:
        """Whether some phases wait for each other."""
        return len(self.wave_of) < len(self.graph.nodes)

    def hours(self, time: float | None) -> float | None:
        """A time of this analysis in hours, or None if no phase has an estimate."""
        return time if self.estimates.timed else None

    def is_critical(self, phase: str) -> bool:
        """Whether a phase lies on the critical path. One phase alone is no path unless its hours say so."""
        return phase in self._critical

    @cached_property
    def _critical(self) -> frozenset[str]:
        telling = self.estimates.timed or len(self.critical_path) > 1
        return frozenset(self.critical_path if telling else ())


def analyse(
    graph: DependencyGraph, conflicts: Sequence[Conflict] = (), agents: int = 3, *, more_conflicts: int = 0
) -> Analysis:
    """Work out everything about a graph for a number of agents. Conflicts are passed through to the views."""
    estimates = Estimates.of(graph)
    layers = graph.layers()
    waves = tuple(ExecutionWave(number, layer) for number, layer in enumerate(layers, start=1))
    wave_of = {name: wave.wave_number for wave in waves for name in wave.phases}
    remaining = priorities(graph, estimates.durations)
    sound = bool(layers) and len(wave_of) == len(graph.nodes)
    path = critical_path(graph, remaining) if sound else ()
    total = remaining[path[0]] if path else None
    slack = _slack(earliest_starts(graph, estimates.durations), remaining, total) if total is not None else {}
    forecast = _Forecast(graph, estimates, remaining, agents) if sound else None
    return Analysis(
        graph=graph,
        estimates=estimates,
        waves=waves,
        wave_of=wave_of,
        slack=slack,
        critical_path=path,
        critical_time=total,
        agents=agents,
        schedule=forecast.schedule if forecast else None,
        makespans=forecast.makespans if forecast else {},
        useful_agents=forecast.useful if forecast else None,
        conflicts=tuple(conflicts),
        more_conflicts=more_conflicts,
    )


def _slack(starts: Mapping[str, float], remaining: Mapping[str, float], total: float) -> Mapping[str, float]:
    """The rest between a phase's earliest and latest start; what is only rounding counts as nothing."""
    least = max(total, 1.0) * 1e-9
    rests = {name: total - (start + remaining[name]) for name, start in starts.items()}
    return {name: rest if rest > least else 0.0 for name, rest in rests.items()}


class _Forecast:
    """Runs on paper with several numbers of agents, as few as tell where more agents stop to help."""

    def __init__(
        self, graph: DependencyGraph, estimates: Estimates, remaining: Mapping[str, float], agents: int
    ) -> None:
        names = tuple(graph.nodes)
        durations = [estimates.durations[name] for name in names]
        self._load = Workload.of(graph, durations, [remaining[name] for name in names])
        self.makespans: dict[int, float] = {1: sum(durations)}
        self.schedule = simulate(self._load, max(1, agents))
        self.makespans[self.schedule.agents] = self.schedule.makespan
        self.useful: int | None = None
        if len(names) <= LARGE:
            self.useful = self._search()
        self.makespans = dict(sorted(self.makespans.items()))

    def _time(self, agents: int) -> float:
        if agents not in self.makespans:
            self.makespans[agents] = makespan(self._load, agents)[0]
        return self.makespans[agents]

    def _search(self) -> int:
        """Bisect between the fewest agents that could do (all of them always at work) and as many as ever have work;
        then try the small numbers that people think in."""
        shortest, busiest = makespan(self._load, len(self._load.phases))
        self.makespans.setdefault(busiest, shortest)
        enough = shortest * (1 + TOLERANCE)
        low = max(1, ceil(self.makespans[1] / enough)) if enough > 0 else 1
        high = max(low, busiest)
        while low < high:
            middle = (low + high) // 2
            if self._time(middle) <= enough:
                high = middle
            else:
                low = middle + 1
        for agents in self._ladder(high):
            self._time(agents)
        enough = min(self.makespans.values()) * (1 + TOLERANCE)
        return min(agents for agents, time in self.makespans.items() if time <= enough)

    def _ladder(self, last: int) -> list[int]:
        """Numbers of agents up to one past the last useful one: all of them for small plans, else 2, 3, 4, 6, 8, 12."""
        if len(self._load.phases) <= _EXHAUSTIVE:
            return list(range(1, min(last + 1, 16) + 1))
        return [agents for agents in (2, 3, 4, 6, 8, 12) if agents <= last + 1]
