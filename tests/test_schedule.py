"""Critical path, slack, priorities, and runs on paper with agents and locks."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plan_strategies import sound_plans
from wavecrew.models import schedule
from wavecrew.models.contention import ClaimTable, Conflict, claims_of
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.schedule import Analysis, Estimates, analyse, priorities
from wavecrew.models.simulation import Schedule, Wait, Workload, simulate


def phase(name: str, needs: str = "", hours: float | None = 1.0, writes: str = "", reads: str = "") -> PhaseInfo:
    return PhaseInfo(
        name, name, tuple(needs.split()), tuple(writes.split()), estimated_time=hours, reads=tuple(reads.split())
    )


def analysis(*phases: PhaseInfo, agents: int = 3) -> Analysis:
    return analyse(DependencyGraph.of(phases), agents=agents)


def run(phases: list[PhaseInfo], agents: int) -> Schedule:
    graph = DependencyGraph.of(phases)
    estimates = Estimates.of(graph)
    urgency = priorities(graph, estimates.durations)
    names = list(graph.nodes)
    load = Workload.of(graph, [estimates.durations[name] for name in names], [urgency[name] for name in names])
    return simulate(load, agents)


def chain(found: Analysis | Schedule) -> list[tuple[str, str]]:
    return [(step.waited_for.value, step.phase) for step in found.pacing_chain]


# -- estimates


def test_a_missing_estimate_counts_the_median_of_the_known_ones_and_is_named() -> None:
    estimates = Estimates.of(DependencyGraph.of([phase("a", hours=1), phase("b", hours=None), phase("c", hours=4)]))
    assert estimates.durations == {"a": 1, "b": 2.5, "c": 4}
    assert (estimates.timed, estimates.assumed, estimates.median) == (True, ("b",), 2.5)


def test_a_plan_without_estimates_counts_phases_and_claims_no_hours() -> None:
    found = analysis(phase("a", hours=None), phase("b", "a", hours=None), phase("c", hours=None))
    assert found.critical_path == ("a", "b")
    assert found.critical_time == 2
    assert found.hours(found.critical_time) is None
    assert found.estimates.assumed == ()


def test_an_estimate_of_zero_is_an_estimate() -> None:
    found = analysis(phase("a", hours=0.0), phase("b", "a", hours=0.0))
    assert found.hours(found.critical_time) == 0
    assert found.makespans[1] == 0


# -- critical path and slack


def test_the_longest_chain_is_critical_and_the_other_side_of_a_diamond_has_slack() -> None:
    found = analysis(phase("a"), phase("b", "a", 2), phase("c", "a", 5), phase("d", "b c"))
    assert found.critical_path == ("a", "c", "d")
    assert found.critical_time == 7
    assert found.slack == {"a": 0, "b": 3, "c": 0, "d": 0}
    assert [found.is_critical(name) for name in "abcd"] == [True, False, True, True]


def test_ties_go_to_plan_order() -> None:
    assert analysis(phase("y"), phase("x"), phase("z", "x y")).critical_path == ("y", "z")


def test_the_priority_is_the_longest_chain_that_remains() -> None:
    graph = DependencyGraph.of([phase("a"), phase("b", "a", 2), phase("c", "a", 5), phase("d", "c")])
    assert priorities(graph) == {"a": 7, "b": 2, "c": 6, "d": 1}


def test_with_a_cycle_the_rest_is_layered_and_nothing_is_forecast() -> None:
    found = analysis(phase("a"), phase("b", "a c"), phase("c", "b"), phase("d", "a"))
    assert found.cyclic
    assert found.wave_of == {"a": 1, "d": 2}
    assert found.critical_path == ()
    assert (found.critical_time, found.schedule, found.useful_agents) == (None, None, None)
    assert found.pacing_chain == ()


def test_an_empty_plan_has_nothing_to_say() -> None:
    found = analysis()
    assert (found.waves, found.critical_path, found.schedule, dict(found.makespans)) == ((), (), None, {})
    assert found.serial_time == 0
    assert run([], 1).pacing_chain == ()


def test_one_agent_needs_the_sum() -> None:
    assert analysis(phase("a", hours=2), phase("b", hours=3)).serial_time == 5


def test_conflicts_are_handed_through() -> None:
    conflict = Conflict(("a", "b"), "x")
    found = analyse(DependencyGraph.of([phase("a"), phase("b")]), [conflict], more_conflicts=7)
    assert (found.conflicts, found.more_conflicts) == ((conflict,), 7)


# -- runs on paper


def test_two_writers_of_one_file_take_turns_and_the_chain_says_so() -> None:
    found = run([phase("a"), phase("b", "a", 2, "x"), phase("c", "a", 3, "x"), phase("d", "b c")], 3)
    assert found.makespan == 7
    assert chain(found) == [("nothing", "a"), ("dependency", "c"), ("lock", "b"), ("dependency", "d")]
    assert found.pacing_chain[2].resource == "x"


def test_too_few_agents_are_named_as_the_reason() -> None:
    found = run([phase("a", hours=3), phase("b", hours=2)], 1)
    assert chain(found) == [("nothing", "a"), ("agent", "b")]


def test_readers_go_together_and_keep_a_writer_out() -> None:
    found = run([phase("a", hours=2, reads="x"), phase("b", hours=2, reads="x"), phase("c", writes="x")], 3)
    assert (found.start["a"], found.start["b"], found.start["c"]) == (0, 0, 2)


def test_a_phase_that_waits_for_a_lock_is_not_overtaken() -> None:
    """`wide` wants the folder that `a` works in; the small ones, less urgent, must not slip in before it."""
    small = [phase(f"s{number}", "start", 0.5, f"src/{number}.py") for number in range(6)]
    phases = [
        phase("a", hours=12, writes="src/a.py"),
        phase("start"),
        phase("wide", "start", 8, "src/"),
        *small,
    ]
    found = run(phases, 3)
    assert found.start["wide"] == 12
    assert all(found.start[name.id] >= found.end["wide"] for name in small)


def test_a_resource_that_cannot_be_read_is_no_claim() -> None:
    assert claims_of(phase("a", writes="/etc/passwd x")) == ()
    assert run([phase("a", writes="/etc"), phase("b", writes="/etc")], 2).makespan == 1


def test_ten_thousand_writers_of_one_file_stand_in_one_line() -> None:
    found = run([phase(f"p{number}", writes="README.md") for number in range(10_000)], 50)
    assert found.makespan == 10_000
    assert found.busiest == 1
    assert len(found.pacing_chain) == 10_000


@given(sound_plans(), st.integers(1, 4))
def test_a_run_on_paper_is_possible(phases: list[PhaseInfo], agents: int) -> None:
    found = run(phases, agents)
    graph = DependencyGraph.of(phases)
    for name in graph.nodes:
        assert all(found.end[other] <= found.start[name] for other in graph.dependencies(name))
    for a, b in combinations(phases, 2):
        if any(mine.collides(theirs) for mine in a.claims for theirs in b.claims):
            assert found.end[a.id] <= found.start[b.id] or found.end[b.id] <= found.start[a.id]
    for moment in found.start.values():
        assert sum(found.start[name] <= moment < found.end[name] for name in graph.nodes) <= agents


@given(sound_plans(), st.integers(1, 4))
def test_nobody_overtakes_a_more_urgent_phase_that_wants_the_same(phases: list[PhaseInfo], agents: int) -> None:
    found = run(phases, agents)
    graph = DependencyGraph.of(phases)
    urgency = priorities(graph)
    for a, b in combinations(phases, 2):
        first, second = (a, b) if urgency[a.id] >= urgency[b.id] else (b, a)
        if any(mine.collides(theirs) for mine in a.claims for theirs in b.claims):
            ready = max((found.end[other] for other in graph.dependencies(first.id)), default=0.0)
            assert not ready < found.start[second.id] < found.start[first.id]


@given(sound_plans(), st.integers(1, 4))
def test_the_pacing_chain_covers_the_run_without_a_gap(phases: list[PhaseInfo], agents: int) -> None:
    found = run(phases, agents)
    graph = DependencyGraph.of(phases)
    moment = 0.0
    before = ""
    for step in found.pacing_chain:
        assert found.start[step.phase] == moment
        moment = found.end[step.phase]
        if step.waited_for is Wait.DEPENDENCY:
            assert before in graph.dependencies(step.phase)
        if step.waited_for is Wait.LOCK:
            pair = graph.nodes[before].claims, graph.nodes[step.phase].claims
            assert any(mine.collides(theirs) for mine in pair[0] for theirs in pair[1])
        assert (step.waited_for is Wait.NOTHING) == (before == "")
        before = step.phase
    assert moment == found.makespan


@given(sound_plans(), st.integers(1, 5))
def test_no_run_beats_its_bounds_and_one_agent_needs_the_sum(phases: list[PhaseInfo], agents: int) -> None:
    found = analyse(DependencyGraph.of(phases), agents=agents)
    assert found.schedule is not None
    assert found.critical_time is not None
    total = sum(found.estimates.durations.values())
    assert found.schedule.makespan >= max(found.critical_time, total / agents) - 1e-9
    assert found.makespans[1] == pytest.approx(total)
    assert run(phases, 1).makespan == pytest.approx(total)
    assert found.makespans[agents] == pytest.approx(found.schedule.makespan)


@given(sound_plans(claims=False))
def test_without_locks_enough_agents_reach_the_critical_path(phases: list[PhaseInfo]) -> None:
    found = run(phases, len(phases))
    graph = DependencyGraph.of(phases)
    assert found.makespan == pytest.approx(max(priorities(graph).values()))


@given(sound_plans())
def test_more_than_the_useful_agents_gain_nothing(phases: list[PhaseInfo]) -> None:
    found = analyse(DependencyGraph.of(phases))
    assert found.useful_agents is not None
    enough = min(found.makespans.values())
    assert found.makespans[found.useful_agents] <= enough * 1.005
    fewer = [time for agents, time in found.makespans.items() if agents < found.useful_agents]
    assert all(time > enough * 1.005 for time in fewer)


@given(sound_plans())
def test_slack_is_what_a_phase_can_be_late(phases: list[PhaseInfo]) -> None:
    found = analyse(DependencyGraph.of(phases))
    assert found.critical_time is not None
    for name, slack in found.slack.items():
        late = dict(found.estimates.durations)
        late[name] += slack
        assert max(priorities(found.graph, late).values()) == pytest.approx(found.critical_time)
        late[name] += 1
        assert max(priorities(found.graph, late).values()) > found.critical_time


def test_the_useful_number_of_agents_is_found_between_the_few_and_the_many() -> None:
    """Thirty phases must be over before the long one; thirty others find room beside it."""
    first = [phase(f"a{number}") for number in range(30)]
    others = [phase(f"z{number}") for number in range(30)]
    found = analysis(*first, phase("long", " ".join(name.id for name in first), 20), *others)
    assert found.useful_agents == 30
    assert found.makespans[30] == 21


def test_a_very_large_plan_is_tried_with_the_asked_number_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "LARGE", 3)
    found = analysis(*(phase(f"p{number}") for number in range(6)), agents=2)
    assert found.makespans == {1: 6, 2: 3}
    assert found.useful_agents is None


# -- the table of claims


def test_the_narrower_wish_names_the_meeting_point() -> None:
    table = ClaimTable.of([phase("a", writes="src/"), phase("b", writes="src/x.py"), phase("c", writes="./")])
    assert table.meeting_point(0, 1) == "src/x.py"
    assert table.meeting_point(0, 2) == "src/"
    assert table.meeting_point(2, 2) == "./"


@given(sound_plans())
def test_the_table_knows_exactly_the_resources_that_meet(phases: list[PhaseInfo]) -> None:
    from wavecrew.models.resources import meets

    table = ClaimTable.of(phases)
    for a, one in enumerate(table.resources):
        assert sorted(table.meeting[a]) == [b for b, other in enumerate(table.resources) if meets(one, other)]
