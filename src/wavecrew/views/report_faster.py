"""What would have made a run faster, each with the saving that the simulation predicts.

What it does: takes what `run_advice` tried on paper (agents, and resources that nobody takes turns at), and tries more
in the same way: the phases of the chain without one of their dependencies, or cut in half.
What it does not know: whether a change makes sense. A saving is a difference on paper, with times that were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Final

from wavecrew.models.events import Outcome
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.schedule import Estimates, priorities
from wavecrew.models.simulation import Schedule, Wait, Workload, makespan, simulate
from wavecrew.views.run_advice import LARGEST, advice
from wavecrew.views.run_history import History
from wavecrew.views.run_pacing import PacingStep, Waited

WORTH: Final = 0.01
"""A share of the run below which a saving is none."""
_TRIED: Final = 24
"""How many dependencies, and how many halves, are tried; of large plans fewer."""
_WORK: Final = 4_000


class Change(StrEnum):
    """What would be done otherwise."""

    SPLIT = "split resource"
    """Nobody takes turns at a resource any more."""
    AGENT = "one more agent"
    DROP = "drop dependency"
    """`phase` does not wait for `what` any more."""
    HALVE = "halve phase"
    """`phase` takes half of its time."""


@dataclass(frozen=True, slots=True)
class Option:
    """One change, and how long the run would take with it on paper, in seconds."""

    change: Change
    phase: str
    what: str
    time: float
    saving: float


@dataclass(frozen=True, slots=True)
class Faster:
    """What was tried: `as_it_was` is the run on paper, to compare with. `options` are worth something, the best first;
    `in_vain` are not. `fewer` is a smaller number of agents that would have done as well. If nothing could be tried,
    `why_not` says why."""

    as_it_was: float | None = None
    agents: int = 0
    options: tuple[Option, ...] = ()
    in_vain: tuple[Option, ...] = ()
    fewer: int | None = None
    why_not: str = ""

    def best(self, change: Change) -> Option | None:
        """The best of one kind."""
        return next((one for one in self.options if one.change is change), None)


def faster(state: ExecutionState, history: History, chain: Sequence[PacingStep]) -> Faster:
    """What would have made a run faster; of a run that did not succeed as a whole, only why nothing can be said."""
    told = advice(state, history, _with_contested(history, chain))
    if told is None:
        return Faster(why_not=_why_not(state, chain))
    base = told.as_it_was
    paper = _Paper(state, history, base)
    tried = [Option(Change.SPLIT, "", name, time, base - time) for name, time in told.without.items()]
    tried.append(Option(Change.AGENT, "", str(told.agents + 1), told.one_more, base - told.one_more))
    if base > 0:
        tried += [*paper.dropped(), *paper.halved()]
    tried.sort(key=lambda one: -one.saving)
    worth = [one for one in tried if one.saving > base * WORTH]
    less = told.one_less
    return Faster(
        as_it_was=base,
        agents=told.agents,
        options=tuple(worth),
        in_vain=tuple(one for one in tried if one not in worth and one.change in (Change.SPLIT, Change.AGENT)),
        fewer=told.agents - 1 if less is not None and less <= base * (1 + WORTH) else None,
    )


def _why_not(state: ExecutionState, chain: Sequence[PacingStep]) -> str:
    if state.end_time is None:
        return "the run is not over"
    if not state.succeeded:
        return "the run did not succeed, so the plan cannot be run again on paper with measured times"
    return "the plan is too large to be tried" if len(state.graph.nodes) > LARGEST else "nothing was run"


def _with_contested(history: History, chain: Sequence[PacingStep]) -> list[PacingStep]:
    """The chain, and after it the resources that were waited for longest, for the advice to look at."""
    waited: dict[str, float] = {}
    for wait in history.waits:
        waited[wait.resource] = waited.get(wait.resource, 0.0) + (wait.until or wait.since) - wait.since
    longest = sorted(waited, key=lambda name: -waited[name])
    return [*chain, *(PacingStep(chain[-1].attempt, Waited.LOCK, name) for name in longest if chain)]


class _Paper:
    """The run on paper, as `run_advice` has it, with changes that need no new table of claims."""

    def __init__(self, state: ExecutionState, history: History, base: float) -> None:
        took = {a.phase: a.lasted(a.started) for a in history.attempts if a.outcome is Outcome.SUCCEEDED}
        names = tuple(state.graph.nodes)
        urgency = priorities(state.graph, Estimates.of(state.graph).durations)
        self.load = Workload.of(state.graph, [took.get(n, 0.0) for n in names], [urgency[n] for n in names])
        self.number = {name: place for place, name in enumerate(names)}
        self.agents = state.agent_limit
        self.base = base
        self.tries = max(4, min(_TRIED, _WORK // max(1, len(names))))
        self.run: Schedule = simulate(self.load, self.agents)

    def dropped(self) -> Iterator[Option]:
        """Each dependency of the chain on paper, taken away."""
        steps = self.run.pacing_chain
        pairs = [(a.phase, b.phase) for a, b in pairwise(steps) if b.waited_for is Wait.DEPENDENCY]
        for other, phase in self._longest(pairs):
            one, two = self.number[other], self.number[phase]
            counts, dependents = list(self.load.dependency_counts), list(self.load.dependents)
            counts[two] -= 1
            dependents[one] = tuple(found for found in dependents[one] if found != two)
            changed = replace(self.load, dependency_counts=tuple(counts), dependents=tuple(dependents))
            yield self._option(Change.DROP, phase, other, changed)

    def halved(self) -> Iterator[Option]:
        """Each phase of the chain on paper, half as long."""
        steps = [(step.phase, step.phase) for step in self.run.pacing_chain]
        for phase, _ in self._longest(steps):
            durations = list(self.load.durations)
            durations[self.number[phase]] /= 2
            yield self._option(Change.HALVE, phase, "", replace(self.load, durations=tuple(durations)))

    def _longest(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those whose phases took longest: they can save most."""

        def most(pair: tuple[str, str]) -> float:
            return -min(self.load.durations[self.number[name]] for name in pair)

        return sorted(dict.fromkeys(pairs), key=most)[: self.tries]

    def _option(self, change: Change, phase: str, what: str, load: Workload) -> Option:
        time = makespan(load, self.agents)[0]
        return Option(change, phase, what, time, self.base - time)
