"""Which phases want the same resource although nothing orders them."""

from __future__ import annotations

from itertools import combinations
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plan_strategies import sound_plans
from wavecrew.models.contention import Conflict
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.resources import meets, parse_resource
from wavecrew.plans import conflicts as module
from wavecrew.plans.conflicts import conflicts, find_conflicts


def phase(name: str, needs: str = "", writes: str = "", reads: str = "", locks: str = "") -> PhaseInfo:
    return PhaseInfo(
        name, name, tuple(needs.split()), tuple(writes.split()), reads=tuple(reads.split()), locks=tuple(locks.split())
    )


def found(*phases: PhaseInfo) -> tuple[Conflict, ...]:
    return conflicts(DependencyGraph.of(phases))


def test_two_writers_of_one_file_conflict() -> None:
    assert found(phase("a", writes="x.py"), phase("b", writes="./x.py")) == (Conflict(("a", "b"), "x.py"),)


def test_a_dependency_settles_it_even_over_others() -> None:
    assert found(phase("a", writes="x"), phase("b", "a"), phase("c", "b", writes="x")) == ()


def test_phases_of_different_waves_can_conflict() -> None:
    (conflict,) = found(phase("a", writes="x"), phase("r"), phase("b", "r", writes="x"))
    assert conflict == Conflict(("a", "b"), "x", same_wave=False)


@pytest.mark.parametrize(
    ("one", "other", "resource"),
    [
        ({"reads": "x"}, {"reads": "x"}, None),
        ({"reads": "x"}, {"writes": "x"}, "x"),
        ({"writes": "src/"}, {"writes": "src/api/x.py"}, "src/api/x.py"),
        ({"writes": "src/*.py"}, {"reads": "src/"}, "src/*.py"),
        ({"writes": "src/*.py"}, {"writes": "src/x.js"}, None),
        ({"locks": "port:8080"}, {"locks": "port:8080"}, "port:8080"),
        ({"locks": "port:8080"}, {"locks": "port:8081"}, None),
        ({"writes": "./"}, {"writes": "x"}, "x"),
        ({"writes": "/absolute"}, {"writes": "/absolute"}, None),
    ],
)
def test_what_can_be_the_same(one: dict[str, str], other: dict[str, str], resource: str | None) -> None:
    result = found(phase("a", **one), phase("b", **other))
    assert [conflict.resource for conflict in result] == ([] if resource is None else [resource])


def test_each_file_of_a_pair_is_one_conflict_and_each_pair_of_a_file() -> None:
    result = found(phase("a", writes="x y"), phase("b", writes="y x"), phase("c", writes="y"))
    assert [(conflict.phases, conflict.resource) for conflict in result] == [
        (("a", "b"), "x"),
        (("a", "b"), "y"),
        (("a", "c"), "y"),
        (("b", "c"), "y"),
    ]


def test_phases_in_a_ring_are_left_out() -> None:
    ring = (phase("a", "b", writes="x"), phase("b", "a", writes="x"))
    assert found(*ring, phase("c", writes="x"), phase("d", writes="x")) == (Conflict(("c", "d"), "x"),)


def test_one_file_wanted_by_all_is_counted_and_does_not_hide_the_others() -> None:
    phases = [phase(f"p{number}", writes="README.md") for number in range(5_000)]
    phases += [phase("x", writes="z"), phase("y", writes="z")]
    result = find_conflicts(DependencyGraph.of(phases))
    assert len(result.found) + result.more == 5_000 * 4_999 // 2 + 1
    assert len(result.found) <= module.LIMIT
    assert Conflict(("x", "y"), "z") in result.found


def test_the_limit_is_kept() -> None:
    result = find_conflicts(DependencyGraph.of(phase(f"p{number}", writes="x") for number in range(10)), limit=8)
    assert (len(result.found), result.more) == (2, 43)


def brute_force(graph: DependencyGraph) -> set[tuple[str, str]]:
    pairs = set()
    for a, b in combinations(graph.nodes.values(), 2):
        ordered = a.id in graph.ancestors(b.id) or b.id in graph.ancestors(a.id)
        if not ordered and any(mine.collides(theirs) for mine in a.claims for theirs in b.claims):
            pairs.add((a.id, b.id))
    return pairs


@given(sound_plans(), st.sampled_from([1, 2, 5, 4096]))
def test_the_same_pairs_are_found_as_by_looking_at_every_pair(phases: list[PhaseInfo], block: int) -> None:
    graph = DependencyGraph.of(phases)
    with mock.patch.object(module, "_BLOCK", block):
        result = find_conflicts(graph)
    assert {conflict.phases for conflict in result.found} == brute_force(graph)
    assert result.more == 0
    for conflict in result.found:
        place = parse_resource(conflict.resource)
        for name in conflict.phases:
            assert any(meets(claim.resource, place) for claim in graph.nodes[name].claims)
