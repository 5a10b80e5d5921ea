"""What paced a run that has happened: the chain of attempts without which it would have been shorter.

What it does: walks back from the attempt that ended last; each step asks what the start of an attempt waited for last:
an earlier try of the same phase, a dependency, the holder of a lock, or a free agent.
What it does not know: estimates, and what would have happened otherwise (`run_advice` tries that on paper).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.views.run_history import Attempt, History, LockStretch

_SLACK: Final = 0.05  # a lock that was freed this long before is taken to be what a start waited for


class Waited(StrEnum):
    """What the start of an attempt waited for last."""

    NOTHING = "nothing"
    RETRY = "retry"
    DEPENDENCY = "dependency"
    LOCK = "lock"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class PacingStep:
    """An attempt of the chain. `gap` is the time in seconds between the end of the step before (or the start of the
    run) and its own start: a pause before a wave or a retry, or time that nobody can account for."""

    attempt: Attempt
    waited_for: Waited = Waited.NOTHING
    resource: str = ""
    gap: float = 0.0


def pacing_chain(graph: DependencyGraph, history: History, agents: int, start: float) -> tuple[PacingStep, ...]:
    """The chain from the beginning of a run to the attempt that ended last; empty without a finished attempt."""
    closed = [attempt for attempt in history.attempts if attempt.ended is not None]
    if not closed:
        return ()
    search = _Search(graph, history, closed, agents)
    current: Attempt | None = max(closed, key=lambda attempt: (_end(attempt), -attempt.started))
    steps: list[PacingStep] = []
    while current is not None:
        before, cause, resource = search.before(current)
        free_at = start if before is None else _end(before)
        idle = history.idle_time(current.started) - history.idle_time(free_at)
        gap = max(0.0, current.started - free_at - idle)
        steps.append(PacingStep(current, cause, resource, gap))
        current = before
    return tuple(reversed(steps))


_Found = tuple[Attempt | None, Waited, str]


class _Search:
    """Looks for what came before an attempt: always one that was recorded earlier, so every walk back comes to an
    end even where all times are equal."""

    def __init__(self, graph: DependencyGraph, history: History, closed: Sequence[Attempt], agents: int) -> None:
        self.graph = graph
        self.agents = agents
        self.place = {(found.phase, found.number): place for place, found in enumerate(history.attempts)}
        self.waits: dict[str, list[LockStretch]] = {}
        for wait in history.waits:
            self.waits.setdefault(wait.phase, []).append(wait)
        self.of: dict[str, list[Attempt]] = {}
        for attempt in closed:
            self.of.setdefault(attempt.phase, []).append(attempt)
        self.by_end = sorted(closed, key=_end)
        self.ends = [_end(attempt) for attempt in self.by_end]
        self.starts = sorted(attempt.started for attempt in history.attempts)

    def before(self, attempt: Attempt) -> _Found:
        candidates = [*self.own(attempt), *self.dependencies(attempt), *self.locks(attempt)]
        latest: _Found = max(candidates, key=lambda found: _end(found[0]), default=(None, Waited.NOTHING, ""))
        slot = self.slot(attempt, _end(latest[0]))
        return latest if slot is None else (slot, Waited.AGENT, "")

    def own(self, attempt: Attempt) -> Iterator[_Found]:
        earlier = self.last_end(attempt.phase, attempt)
        if earlier is not None:
            yield earlier, Waited.RETRY, ""

    def dependencies(self, attempt: Attempt) -> Iterator[_Found]:
        for name in self.graph.edges.get(attempt.phase, ()):  # it may have left the plan
            earlier = self.last_end(name, attempt)
            if earlier is not None:
                yield earlier, Waited.DEPENDENCY, ""

    def locks(self, attempt: Attempt) -> Iterator[_Found]:
        """Holders that the phase waited for since its last attempt, if they are phases of this run."""
        for wait in self.waits.get(attempt.phase, ()):
            if wait.since > attempt.started or wait.until is None:
                continue
            holder = self.last_end(wait.holder, attempt)
            if holder is not None and (holder.ended or 0.0) >= wait.until - _SLACK:
                yield holder, Waited.LOCK, wait.resource

    def last_end(self, phase: str, attempt: Attempt) -> Attempt | None:
        """The last attempt of a phase that was over when another one began."""
        over = [found for found in self.of.get(phase, ()) if self.precedes(found, attempt)]
        return max(over, key=_end, default=None)

    def precedes(self, found: Attempt, attempt: Attempt) -> bool:
        mine, other = self.place[attempt.phase, attempt.number], self.place[found.phase, found.number]
        return other < mine and found.ended is not None and found.ended <= attempt.started

    def slot(self, attempt: Attempt, ready: float) -> Attempt | None:
        """The attempt that had to end first because all agents were at work, if there was one after `ready`."""
        if self.agents <= 0:
            return None
        place = bisect_right(self.ends, attempt.started) - 1
        while place >= 0 and self.ends[place] > ready:
            found = self.by_end[place]
            if self.precedes(found, attempt) and self.at_work_before(self.ends[place]) >= self.agents:
                return found
            place -= 1
        return None

    def at_work_before(self, moment: float) -> int:
        """How many attempts were open just before a moment."""
        return bisect_left(self.starts, moment) - bisect_left(self.ends, moment)


def _end(attempt: Attempt | None) -> float:
    """When its agent was over, which somebody may have seen only later."""
    return float("-inf") if attempt is None or attempt.ended is None else attempt.ended - attempt.unattended
