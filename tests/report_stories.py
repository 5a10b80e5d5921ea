"""Histories of runs of any size, with everything in them that a report can tell.

What it does: plans some layers of phases, runs them on paper with a few agents, and writes what happened as events:
lock waits, further tries, gates, silence, usage, a waiver, undeclared writes.
What it does not know: how a report is written.
"""

from __future__ import annotations

import heapq
import random
from typing import Any

from run_stories import T0, approve, asked, end, fail, finish, opening, phase, silence, skip, start, told, wait
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import replay
from wavecrew.models.parallel_execution import PhaseInfo, Source
from wavecrew.views.report_facts import Report, build_report

_VERBS = ("Build", "Write", "Test", "Move", "Describe", "Measure", "Join", "Translate")
_THINGS = ("the reader", "the table of locks", "the command line", "the store", "all pages", "the importer", "the log")


def plan_of(size: int, seed: int = 1) -> tuple[PhaseInfo, ...]:
    """So many phases in layers; some of them want the same file."""
    chance = random.Random(seed)
    found: list[PhaseInfo] = []
    for place in range(size):
        name = f"{place + 1:03} {chance.choice(_VERBS)} {chance.choice(_THINGS)}"
        before = [one.id for one in found[max(0, place - 14) : max(0, place - 3)]]
        needs = sorted(chance.sample(before, min(len(before), chance.choice((1, 1, 2, 3)))))
        outputs = [f"src/part_{place + 1}.py"]
        if chance.random() < 0.2:
            outputs.append("src/registry.py")
        lasts = chance.choice((240, 600, 900, 1800, None))
        source = Source(f"plan/{place + 1:03}.md", 3)
        found.append(phase(name, " ".join(needs), lasts, *outputs, source=source))
    return tuple(found)


def big_run(size: int = 60, seed: int = 1, agents: int = 5, *, good: bool = False) -> list[Event]:
    """A run with a bit of everything; `good` leaves out what does not succeed for good."""
    return _Story(plan_of(size, seed), random.Random(seed), agents, good).events


class _Story:
    def __init__(self, plan: tuple[PhaseInfo, ...], chance: random.Random, agents: int, good: bool) -> None:
        self.plan = {one.id: one for one in plan}
        self.chance = chance
        self.agents = agents
        self.good = good
        self.events = opening(*plan, agents=agents, settings={"audit": "warn", "agent": "claude"})
        self.running: list[tuple[float, str, int]] = []
        self.done: set[str] = set()
        self.dead: set[str] = set()
        self.tries: dict[str, int] = {}
        self.waiting: dict[str, str] = {}
        self.clock = 5.0
        self.run()

    def run(self) -> None:
        names = list(self.plan)
        self.events += [asked(5, "wave 1"), approve(95, "wave 1", reason="looks good")]
        self.clock = 95.0
        if not self.good and len(names) > 8:
            self.events.append(skip(96, names[0], "ann", "was there before"))
            self.done.add(names[0])
        while True:
            self.start_what_can()
            if not self.running:
                break
            self.clock, name, number = heapq.heappop(self.running)
            self.finish(name, number)
        self.events.append(finish(self.clock + 2))

    def start_what_can(self) -> None:
        busy = {name for _, name, _ in self.running}
        for name, info in self.plan.items():
            if len(self.running) >= self.agents or name in self.done | self.dead | busy:
                continue
            if not set(info.dependencies) <= self.done:
                continue
            holder = next((one for one in busy if set(self.plan[one].outputs) & set(info.outputs)), "")
            if holder:
                if self.waiting.get(name) != holder:
                    self.events.append(wait(self.clock, name, "src/registry.py", holder))
                    self.waiting[name] = holder
                continue
            self.begin(name)
            busy.add(name)

    def begin(self, name: str) -> None:
        number = self.tries[name] = self.tries.get(name, 0) + 1
        self.waiting.pop(name, None)
        agent = self.chance.choice(("claude", "claude", "codex", "runbook"))
        self.events.append(start(self.clock, name, number, agent))
        expected = (self.plan[name].estimated_time or 0.2) * 3600
        heapq.heappush(self.running, (self.clock + expected * self.chance.uniform(0.4, 2.2), name, number))

    def finish(self, name: str, number: int) -> None:
        luck = self.chance.random()
        if luck < 0.08:
            self.events.append(silence(self.clock - 40, name, self.clock - 100, "Overwrite? [y/n]", number))
        if luck < 0.6:
            cost = None if luck < 0.15 else round(self.chance.uniform(0.05, 2.4), 4)
            self.events.append(told(self.clock, name, number, self.chance.randrange(2_000, 90_000), cost))
        if luck > 0.94 and number == 1:
            cause, detail = Cause.CHECK, "exit code 1 from: check python -m unittest"
            self.events.append(fail(self.clock, name, number, retry_at=self.clock, cause=cause, detail=detail))
        elif luck > 0.925 and number == 1 and not self.good:
            self.events.append(fail(self.clock, name, number, cause=Cause.TIMEOUT, detail="its time limit passed"))
            self.dead.add(name)
        elif 0.9 < luck <= 0.91 and number == 1:
            lost: dict[str, Any] = {"cause": Cause.LOST, "outcome": Outcome.LOST, "detail": ""}
            self.events.append(fail(self.clock, name, number, retry_at=self.clock, **lost))
        else:
            if luck < 0.03:
                paths = (f"src/other_{name}.py",)
                self.events.append(ev.UndeclaredWrites(at=T0 + self.clock, suspects=(name,), paths=paths))
            self.events.append(end(self.clock, name, number, *self.plan[name].outputs))
            self.done.add(name)


def report(events: list[Event], **more: Any) -> Report:
    """The report of a history, as the command would make it."""
    from wavecrew.plans.conflicts import find_conflicts

    state = replay(events)
    found = find_conflicts(state.graph, 200)
    return build_report(state, events, conflicts=found.found, more_conflicts=found.more, **more)
