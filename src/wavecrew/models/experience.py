"""How long phases really took, and what that says about those that are still to come.

What it does: keeps what was done with the estimate it had, and turns an estimate into a range: where the middle half of
comparable phases ended. A phase that was done before tells more than its estimate; without cases nothing is said.
What it does not know: which phases are to be done, and in which order (`simulation` plays that through).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

ENOUGH: Final = 3
"""From so many cases on, something is said."""
MOST: Final = 400
"""So many of the newest cases are kept."""
_LOW, _HALF, _HIGH = 0.25, 0.5, 0.75


@dataclass(frozen=True, slots=True)
class Done:
    """A phase that was completed: who did it, how many seconds it took, and how many were estimated (None: none)."""

    phase: str
    agent: str
    seconds: float
    estimate: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds: half of all comparable cases lie between `low` and `high`, half below `likely`."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True)
class Experience:
    """What was done so far, oldest first."""

    done: tuple[Done, ...] = ()

    def with_more(self, done: Iterable[Done]) -> Experience:
        """With newer cases; the oldest go when there are too many."""
        return Experience((*self.done, *done)[-MOST:])

    def expect(self, phase: str, agent: str, estimate: float | None) -> Span | None:
        """How long a phase will take that has this estimate in seconds; None if neither tells anything.

        Without enough cases an estimate stands for itself: a span without width.
        """
        again = [one.seconds for one in self.done if one.phase == phase and one.agent == agent]
        factors = self.factors(agent)
        if again:
            likely = quantile(again, _HALF)
            if factors is None or factors.likely <= 0:
                return Span(min(again), likely, max(again))
            spread = Span(likely * factors.low / factors.likely, likely, likely * factors.high / factors.likely)
            return Span(min(spread.low, *again), likely, max(spread.high, *again))
        if estimate is not None:
            if factors is None:
                return Span(estimate, estimate, estimate)
            return Span(estimate * factors.low, estimate * factors.likely, estimate * factors.high)
        return self._of_agent.get(agent)

    def factors(self, agent: str) -> Span | None:
        """By what the estimates of an agent's phases have to be multiplied, by those of all agents if its own are too
        few; None without enough cases."""
        return self._factors.get(agent) or self._factors.get("")

    @cached_property
    def _factors(self) -> dict[str, Span]:
        """By agent; the empty name stands for all."""
        found: dict[str, list[float]] = {}
        for one in self.done:
            if one.estimate:
                for name in {one.agent, ""}:
                    found.setdefault(name, []).append(one.seconds / one.estimate)
        return {name: span for name, ratios in found.items() if (span := _span(ratios))}

    @cached_property
    def _of_agent(self) -> dict[str, Span]:
        """What phases of an agent take that have no estimate."""
        found: dict[str, list[float]] = {}
        for one in self.done:
            found.setdefault(one.agent, []).append(one.seconds)
        return {name: span for name, times in found.items() if (span := _span(times))}

    @cached_property
    def estimated(self) -> int:
        """How many of the cases had an estimate."""
        return sum(bool(one.estimate) for one in self.done)


def _span(values: Sequence[float]) -> Span | None:
    if len(values) < ENOUGH:
        return None
    return Span(quantile(values, _LOW), quantile(values, _HALF), quantile(values, _HIGH))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of some values lies, between two of them if need be (Hyndman and Fan's 7th
    definition). There must be one."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
