"""Counted resources: `slot:gpu/2` has two places, and never more holders than that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import phase
from wavecrew.core.scheduler import LockWish, Policy, decide
from wavecrew.errors import InvalidValueError
from wavecrew.models import events as ev
from wavecrew.models.contention import ClaimTable
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.resources import Claim, ClaimIndex, ResourceKind, full, parse_resource


def claim(text: str) -> Claim:
    return Claim(parse_resource(text))


# -- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        ("slot:gpu/2", ("slot:gpu", 2)),
        ("slot:gpu", ("slot:gpu", 1)),
        ("slot:gpu/007", ("slot:gpu", 7)),
        ("slot:größe/3", ("slot:größe", 3)),
        ("port:8080", None),
        ("name:a/2", None),
        ("slots/2", None),
        ("src/slot:gpu/2", None),
    ],
)
def test_which_names_are_counted(text: str, pool: tuple[str, int] | None) -> None:
    assert parse_resource(text).pool == pool


@pytest.mark.parametrize(
    "text",
    ["slot:gpu/", "slot:gpu/0", "slot:gpu/-1", "slot:gpu/x", "slot:gpu/2/3", "slot:gpu/1.5", "slot:gpu/٣", "slot:/2"],
)
def test_what_does_not_tell_its_places_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        parse_resource(text)
    assert refused.value.fix == "write it as slot:gpu/2"
    assert repr(text) in refused.value.reason


def test_a_name_of_another_kind_may_hold_slashes() -> None:
    assert parse_resource("port:8080/x").kind is ResourceKind.NAME


# -- two alone --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "collide"),
    [
        ("slot:gpu", "slot:gpu", True),
        ("slot:gpu/2", "slot:gpu/2", False),
        ("slot:gpu/1", "slot:gpu", True),
        ("slot:gpu/9", "slot:gpu/1", True),
        ("slot:gpu/9", "slot:gpu/2", False),
        ("slot:gpu", "slot:tpu", False),
        ("slot:gpu", "name:gpu", False),
    ],
)
def test_two_collide_only_where_there_is_one_place(a: str, b: str, collide: bool) -> None:
    assert claim(a).collides(claim(b)) is collide
    assert claim(b).collides(claim(a)) is collide
    assert Claim(parse_resource(a), exclusive=False).collides(claim(b)) is collide, "a place is a place"


def test_on_paper_a_pool_of_several_places_holds_nobody_up() -> None:
    table = ClaimTable.of([phase("a", locks=("slot:gpu/2",)), phase("b", locks=("slot:gpu",))])
    assert table.meeting == ((1,), (1, 0))


# -- many -------------------------------------------------------------------------------------------------------


def test_a_pool_is_full_when_as_many_are_in_it_as_the_most_modest_believes() -> None:
    two, three = claim("slot:gpu/2"), claim("slot:gpu/3")
    assert not full(three, [])
    assert not full(three, [("a", three), ("b", three)])
    assert full(three, [("a", three), ("b", three), ("c", three)])
    assert full(three, [("a", two), ("b", three)])
    assert full(two, [("a", three), ("b", three)])
    assert not full(two, [("a", three), ("a", two)]), "one owner takes one place"


_NAMES = st.sampled_from(["slot:g", "slot:g/2", "slot:g/3", "slot:h/2", "f"])


@given(st.lists(st.tuples(st.integers(0, 5), _NAMES), max_size=12), st.integers(0, 5), _NAMES)
def test_the_index_agrees_with_counting(held: list[tuple[int, str]], me: int, wanted: str) -> None:
    index: ClaimIndex[int] = ClaimIndex()
    for owner, name in held:
        index.add(owner, [claim(name)])
    others = [(owner, claim(name)) for owner, name in held if owner != me]
    mine = claim(wanted)
    if mine.resource.pool is None:
        expected = [found for found in others if found[1] == mine]
    else:
        pool = mine.resource.pool[0]
        beside = [found for found in others if found[1].resource.pool and found[1].resource.pool[0] == pool]
        places = min([mine.places(theirs) for _, theirs in beside], default=1)
        expected = beside if len({owner for owner, _ in beside}) >= places else []
    assert sorted(index.in_the_way(me, [mine])) == sorted((*found, mine) for found in expected)


@given(st.lists(st.tuples(st.integers(0, 7), _NAMES, st.booleans()), max_size=40))
def test_there_are_never_more_holders_than_places(steps: list[tuple[int, str, bool]]) -> None:
    index: ClaimIndex[int] = ClaimIndex()
    held: dict[int, Claim] = {}
    for owner, name, leaves in steps:
        if leaves or owner in held:
            index.discard(owner)
            held.pop(owner, None)
        elif not list(index.in_the_way(owner, [claim(name)])):
            index.add(owner, [claim(name)])
            held[owner] = claim(name)
        for pool in ("slot:g", "slot:h"):
            inside = [one.resource.pool for one in held.values() if one.resource.pool and one.resource.pool[0] == pool]
            assert len(inside) <= min((places for _, places in inside), default=0)


# -- in a run ---------------------------------------------------------------------------------------------------


def _ready(*locks: str) -> tuple[ExecutionState, Policy]:
    phases = tuple(phase(f"p{number}", locks=(lock,)) for number, lock in enumerate(locks))
    started = ev.RunStarted(at=0.0, run="r", plan_name="", plan_path="", plan_digest="", phases=phases)
    names = [one.id for one in phases]
    rank = {name: place for place, name in enumerate(names)}
    return replay([started]), Policy(9, rank, {one.id: one.claims for one in phases})


@pytest.mark.parametrize(
    ("locks", "start", "waiting"),
    [
        (["slot:g/2"] * 4, ["p0", "p1"], ["p2", "p3"]),
        (["slot:g/3"] * 4, ["p0", "p1", "p2"], ["p3"]),
        (["slot:g"] * 3, ["p0"], ["p1", "p2"]),
        (["slot:g/3", "slot:g/2", "slot:g/3"], ["p0", "p1"], ["p2"]),
        (["slot:g/2", "slot:h/2", "slot:g/2", "slot:h/2"], ["p0", "p1", "p2", "p3"], []),
    ],
)
def test_so_many_phases_start_as_there_are_places(locks: list[str], start: list[str], waiting: list[str]) -> None:
    decision = decide(*_ready(*locks), 0.0)
    assert list(decision.start) == start
    assert [wish.phase for wish in decision.waiting] == waiting


def test_who_waits_for_a_place_is_told_who_has_one() -> None:
    assert decide(*_ready("slot:g/2", "slot:g/2", "slot:g/2"), 0.0).waiting == (LockWish("p2", "slot:g/2", "p0"),)
