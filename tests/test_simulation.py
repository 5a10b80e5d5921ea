"""Whole runs on paper: `decide` and `evolve` with a clock that jumps. How fast, how fair, and never stuck."""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan_strategies import sound_plans
from wavecrew.core.scheduler import Policy, decide
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, PhaseStatus, evolve
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.schedule import priorities

PLANS = 200


@dataclass
class Paper:
    """A run without processes. Whatever starts lasts as long as `durations` says; `fates` may make attempts fail."""

    phases: Sequence[PhaseInfo]
    durations: Mapping[str, float]
    agents: int
    rules: Mapping[str, Any] = field(default_factory=dict)
    failing: Mapping[str, int] = field(default_factory=dict)
    """How many attempts of a phase fail; those beyond two have no retry."""
    suspicious: bool = False
    """Whether every decision is held against the promises; that takes its time."""
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    state: ExecutionState = field(default_factory=ExecutionState)

    def run(self) -> float:
        """Gives the time of the last end. Fails when the run gets stuck or breaks one of its promises."""
        graph = DependencyGraph.of(self.phases)
        urgency = priorities(graph, self.durations)
        rank = {name: at for at, name in enumerate(sorted(graph.nodes, key=lambda name: -urgency[name]))}
        claims = {name: found.claims for name, found in graph.nodes.items()}
        policy = Policy(self.agents, rank, claims, **self.rules)
        now = 0.0
        begun = ev.RunStarted(at=now, run="r", plan_name="", plan_path="", plan_digest="", phases=tuple(self.phases))
        state = evolve(ExecutionState(), begun)
        ends: list[tuple[float, str]] = []
        while True:
            decision = decide(state, policy, now)
            if decision.finished:
                assert not ends
                self.state = state
                return now
            if self.suspicious:
                assert decide(state, policy, now) == decision
                self._check(state, policy, decision.start)
            if decision.ask:  # somebody is there who always agrees
                state = evolve(state, *(ev.ApprovalAsked(at=now, gate=gate) for gate in decision.ask))
                state = evolve(state, *(ev.GateApproved(at=now, gate=gate, by="me") for gate in decision.ask))
                if not decision.start:
                    continue
            started = [
                ev.AttemptStarted(at=now, phase=name, attempt=state.phase_states[name].attempts + 1, agent="x")
                for name in decision.start
            ]
            state = evolve(state, *started)
            for name in decision.start:
                self.order.append(name)
                heapq.heappush(ends, (now + self.durations[name], name))
                self.spans[name] = (now, now + self.durations[name])
            moments = [at for at in (ends[0][0] if ends else None, decision.wake_at) if at is not None]
            assert moments or decision.start, "it is stuck: nothing is at work and nothing will ever wake it"
            assert decision.wake_at is None or decision.wake_at > now
            now = min(moments)
            ended: list[Event] = []
            while ends and ends[0][0] <= now:
                ended.append(self._end(state, heapq.heappop(ends)[1], now))
            state = evolve(state, *ended)

    def _end(self, state: ExecutionState, name: str, now: float) -> Event:
        attempt = state.phase_states[name].attempts
        if attempt > self.failing.get(name, 0):
            return ev.AttemptEnded(at=now, phase=name, attempt=attempt, outcome=Outcome.SUCCEEDED)
        return ev.AttemptEnded(
            at=now,
            phase=name,
            attempt=attempt,
            outcome=Outcome.FAILED,
            cause=Cause.EXIT,
            retry_at=now + 0.5 if attempt <= 2 else None,
        )

    def _check(self, state: ExecutionState, policy: Policy, start: Sequence[str]) -> None:
        working = [*state.running, *start]
        assert len(working) <= self.agents
        assert len(set(working)) == len(working)
        for position, name in enumerate(working):
            assert all(state.phase_states[other].satisfied for other in state.graph.dependencies(name))
            for other in working[:position]:
                assert not any(a.collides(b) for a in policy.claims[name] for b in policy.claims[other])


def random_plan(seed: int) -> tuple[list[PhaseInfo], dict[str, float]]:
    """Three to eight layers of two to fourteen phases, each on one to three of the one above; log-normal times."""
    chance = random.Random(seed)
    phases: list[PhaseInfo] = []
    above: list[str] = []
    for layer in range(chance.randint(3, 8)):
        names = [f"{layer}.{number}" for number in range(chance.randint(2, 14))]
        for name in names:
            needs = chance.sample(above, min(len(above), chance.randint(1, 3)))
            phases.append(PhaseInfo(name, name, tuple(needs)))
        above = names
    return phases, {found.id: chance.lognormvariate(0.0, 0.8) for found in phases}


def bound(phases: Sequence[PhaseInfo], durations: Mapping[str, float], agents: int) -> float:
    """No schedule can be shorter than the longest chain, nor than all the work shared evenly."""
    longest: dict[str, float] = {}
    for found in phases:  # they are listed after all that they need
        longest[found.id] = durations[found.id] + max((longest[name] for name in found.dependencies), default=0.0)
    return max(max(longest.values()), sum(durations.values()) / agents)


@pytest.mark.parametrize("agents", [3, 8])
def test_runs_are_nearly_as_short_as_can_be_and_never_longer_than_wave_by_wave(agents: int) -> None:
    ratios = []
    for seed in range(PLANS):
        phases, durations = random_plan(seed)
        least = bound(phases, durations, agents)

        eager = Paper(phases, durations, agents).run()
        waves = Paper(phases, durations, agents, {"gate": "wave"}).run()

        assert least <= eager * (1 + 1e-9)
        assert eager <= least * (2 - 1 / agents) * (1 + 1e-9)  # what Graham proved for every list schedule
        assert eager <= waves * (1 + 1e-9), f"plan {seed}"
        ratios.append(eager / least)

    assert 1.0 < mean(ratios) <= 1.05


DIAMOND = [PhaseInfo("a", "a"), PhaseInfo("b", "b", ("a",)), PhaseInfo("c", "c", ("a",)), PhaseInfo("d", "d", ("b",))]


def test_a_wave_gate_waits_for_the_slowest_of_a_wave() -> None:
    durations = {"a": 1.0, "b": 1.0, "c": 5.0, "d": 1.0}

    assert Paper(DIAMOND, durations, 3).run() == 6.0
    assert Paper(DIAMOND, durations, 3, {"gate": "wave"}).run() == 7.0


def test_a_wave_delay_counts_from_the_start_of_the_wave_before_it_and_behind_a_gate_from_its_end() -> None:
    durations = dict.fromkeys("abcd", 1.0)
    eager = Paper(DIAMOND, durations, 3, {"wave_delay_seconds": 3.0})
    gated = Paper(DIAMOND, durations, 3, {"wave_delay_seconds": 3.0, "gate": "wave"})
    eager.run()
    gated.run()

    assert [eager.spans[name][0] for name in "abcd"] == [0.0, 3.0, 3.0, 6.0]
    assert [gated.spans[name][0] for name in "abcd"] == [0.0, 4.0, 4.0, 8.0]


def test_one_that_wants_much_is_not_overtaken_by_less_urgent_ones_that_want_little() -> None:
    """There are always small ones ready that could have what is free; from its turn on they stand behind it."""
    small = [PhaseInfo(f"{lane}.{number}", "s", (), (f"{lane}.py",)) for number in range(20) for lane in "xyz"]
    large = PhaseInfo("large", "l", ("first",), ("x.py", "y.py", "z.py"))
    durations = {found.id: 1.0 + ord(found.id[0]) / 1000 for found in small} | {"large": 5.0, "first": 0.5}
    run = Paper([*small, PhaseInfo("first", "f"), large], durations, 8, suspicious=True)

    run.run()

    assert run.spans["large"][0] == max(end for begin, end in run.spans.values() if begin == 0.0)


@settings(max_examples=150)
@given(
    phases=sound_plans(most=14),
    agents=st.integers(1, 5),
    rules=st.fixed_dictionaries(
        {},
        optional={
            "gate": st.sampled_from(["none", "wave", "phase"]),
            "wave_delay_seconds": st.sampled_from([0.0, 0.5, 3.0]),
            "fail_fast": st.booleans(),
        },
    ),
    seed=st.integers(0, 1000),
)
def test_every_run_keeps_its_promises_and_comes_to_an_end(
    phases: list[PhaseInfo], agents: int, rules: dict[str, Any], seed: int
) -> None:
    chance = random.Random(seed)
    durations = {found.id: chance.choice([0.0, 0.5, 1.0, 2.0]) for found in phases}
    failing = {found.id: chance.choice([0, 0, 0, 1, 2, 3]) for found in phases}
    run = Paper(phases, durations, agents, rules, failing, suspicious=True)

    run.run()

    for name, found in run.state.phase_states.items():
        if found.status is PhaseStatus.QUEUED:
            assert rules.get("fail_fast")
        elif found.status is PhaseStatus.NOT_STARTED:
            assert rules.get("fail_fast") or run.state.blockers(name)
        else:
            assert found.status is (PhaseStatus.FAILED if failing[name] > 2 else PhaseStatus.COMPLETED)
            assert found.attempts == min(failing[name] + 1, 3)
    stops = [found for found in run.state.phase_states.values() if found.status is PhaseStatus.FAILED]
    assert bool(stops) or run.state.succeeded


@settings(max_examples=60)
@given(phases=sound_plans(most=14, claims=False), agents=st.integers(1, 4), seed=st.integers(0, 1000))
def test_no_agent_is_idle_while_something_is_ready(phases: list[PhaseInfo], agents: int, seed: int) -> None:
    chance = random.Random(seed)
    durations = {found.id: chance.choice([0.5, 1.0, 2.0]) for found in phases}
    run = Paper(phases, durations, agents)
    run.run()
    for found in phases:
        start = run.spans[found.id][0]
        ready = max((run.spans[name][1] for name in found.dependencies), default=0.0)
        for moment in {end for _, end in run.spans.values() if ready <= end < start} | (
            {ready} if ready < start else set()
        ):
            assert sum(begin <= moment < end for begin, end in run.spans.values()) == agents
