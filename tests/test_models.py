"""The founding test file: phases, graph, waves, locks, events and state, as values that keep their promises."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wavecrew
from wavecrew import (
    AgentInfo,
    DependencyGraph,
    ExecutionState,
    ExecutionWave,
    FileLock,
    LockRegistry,
    LockType,
    ParallelExecutionConfig,
    PhaseInfo,
    PhaseStatus,
    Plan,
    ResourceLock,
)
from wavecrew.errors import (
    CycleError,
    Diagnostic,
    IllegalTransitionError,
    InvalidValueError,
    LockTimeoutError,
    Place,
    PlanError,
    Severity,
    WavecrewError,
)
from wavecrew.models import events as ev
from wavecrew.models.accounts import Closure
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import AgentStatus, LockWait, Merge, PhaseState, Waiver, evolve, replay
from wavecrew.models.experience import Done
from wavecrew.models.gates import Gate, GateStatus, behind, over, phase_gate, wave_gate
from wavecrew.models.invocation import INTERPRETERS, Invocation, JobStep, JobStepKind, script_step
from wavecrew.models.parallel_execution import MAX_ID_LENGTH, Source, Step, StepKind
from wavecrew.models.phase_status import TRANSITIONS
from wavecrew.models.plan import digest_of
from wavecrew.models.records import plain, rebuild
from wavecrew.models.resources import Claim, parse_resource
from wavecrew.models.stored_events import EVENT_TYPES, from_record, to_record
from wavecrew.models.usage import Budget, Spent

S = PhaseStatus


def _any(value: Any) -> Any:
    """A value that no type checker would let through."""
    return value


def phase(name: str, *dependencies: str, **more: Any) -> PhaseInfo:
    return PhaseInfo(name, name, dependencies, **more)


def graph_of(arrows: Mapping[str, str]) -> DependencyGraph:
    """A graph from texts such as `{"a": "", "b": "a"}`: each letter is a phase."""
    return DependencyGraph.of(phase(name, *found) for name, found in arrows.items())


# -- the founding names -----------------------------------------------------------------------------------------


def _fields(kind: Any) -> list[str]:
    return list(inspect.signature(kind).parameters)


def test_the_founding_names_have_their_founding_fields() -> None:
    assert _fields(PhaseInfo)[:5] == ["id", "name", "dependencies", "outputs", "estimated_time"]
    assert _fields(ExecutionWave) == ["wave_number", "phases", "start_time", "status"]
    assert _fields(ResourceLock)[:4] == ["resource_path", "owner_phase", "lock_time", "lock_type"]
    assert _fields(DependencyGraph)[:2] == ["nodes", "edges"]
    assert _fields(AgentInfo) == ["agent_id", "assigned_phase", "status", "logs"]
    state = ExecutionState()
    assert (dict(state.phase_states), state.waves, state.start_time, state.end_time) == ({}, (), None, None)


def test_the_founding_defaults() -> None:
    one = PhaseInfo("1", "One")
    assert (one.dependencies, one.outputs, one.estimated_time) == ((), (), None)
    wave = ExecutionWave(1, ("a",))
    assert (wave.start_time, wave.status) == (None, S.NOT_STARTED)
    assert ResourceLock("a", "b", 0.0).lock_type is LockType.EXCLUSIVE
    agent = AgentInfo("a", "p")
    assert (agent.status, agent.logs) == (AgentStatus.RUNNING, ())


def test_the_founding_values() -> None:
    assert [status.value for status in PhaseStatus] == ["NOT_STARTED", "QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED"]
    assert [kind.value for kind in LockType] == ["shared", "exclusive"]
    config = ParallelExecutionConfig()
    assert config.max_parallel_agents == 3
    assert config.lock_timeout_seconds == 300
    assert config.wave_delay_seconds == 5
    assert config.conflict_retry_attempts == 3
    assert config.monitoring_update_interval == 2


def test_the_public_face() -> None:
    assert set(wavecrew.__all__) <= set(dir(wavecrew))
    assert wavecrew.WavecrewError is WavecrewError
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = wavecrew.Nothing


def test_the_table_of_legal_steps() -> None:
    assert {(before.name, after.name) for before, found in TRANSITIONS.items() for after in found} == {
        ("NOT_STARTED", "QUEUED"),
        ("NOT_STARTED", "COMPLETED"),
        ("QUEUED", "IN_PROGRESS"),
        ("QUEUED", "NOT_STARTED"),
        ("QUEUED", "FAILED"),
        ("QUEUED", "COMPLETED"),
        ("IN_PROGRESS", "COMPLETED"),
        ("IN_PROGRESS", "FAILED"),
        ("IN_PROGRESS", "QUEUED"),
        ("COMPLETED", "NOT_STARTED"),
        ("FAILED", "NOT_STARTED"),
    }
    with pytest.raises(TypeError):
        _any(TRANSITIONS)[S.QUEUED] = frozenset()


VALUES = [
    phase("a"),
    ExecutionWave(1, ("a",)),
    ResourceLock("a", "p", 1.0),
    graph_of({"a": ""}),
    ExecutionState(),
    PhaseState(),
    AgentInfo("x", "p"),
    Step(StepKind.RUN, "true"),
    Source("plan.md"),
    Plan("p", "p.md", ()),
    ev.RunFinished(at=1.0),
    JobStep(JobStepKind.RUN, "t", ("true",)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_cannot_be_changed(value: Any) -> None:
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)


def test_mappings_inside_values_cannot_be_changed() -> None:
    given_nodes = {"a": phase("a")}
    graph = DependencyGraph(given_nodes, {"a": ()})
    given_nodes["b"] = phase("b")
    assert list(graph.nodes) == ["a"]
    state = replay([started(phase("a"))])
    of_state = (
        state.phase_states,
        state.queued,
        state.running,
        state.settings,
        state.gates,
        state.wave_starts,
        state.retired,
    )
    for mapping in (graph.nodes, graph.edges, *of_state):
        with pytest.raises(TypeError):
            _any(mapping)["x"] = None


# -- phases -----------------------------------------------------------------------------------------------------


def test_lists_are_accepted_where_tuples_are_kept() -> None:
    made = PhaseInfo(
        "1", "One", _any(["0"]), _any(["a/"]), checks=_any([["true"]]), command=_any(["x"]), steps=_any([])
    )
    assert (made.dependencies, made.outputs, made.checks, made.command, made.steps) == (
        ("0",), ("a/",), (("true",),), ("x",), ())  # fmt: skip
    assert hash(made) == hash(PhaseInfo("1", "One", ("0",), ("a/",), checks=(("true",),), command=("x",)))


BAD_PHASES: list[tuple[dict[str, Any], str]] = [
    ({"id": ""}, "phase: id must not be empty"),
    ({"id": " "}, "phase: id must not be empty"),
    ({"id": 1}, "phase: id must not be empty"),
    ({"id": "x" * (MAX_ID_LENGTH + 1)}, "phase: id has 201 characters (at most 200)"),
    ({"id": "a\n"}, "phase: id 'a\\n' holds characters that cannot be seen"),
    ({"name": ""}, "phase 'p': name must not be empty"),
    ({"name": "\u202ea"}, "phase 'p': name '\\u202ea' holds characters that cannot be seen"),
    ({"dependencies": "a"}, "phase 'p': dependencies must be a list of texts, not the text 'a'"),
    ({"dependencies": [1]}, "phase 'p': dependencies holds 1, which is no text"),
    ({"outputs": [" "]}, "phase 'p': outputs holds ' ', which is no text"),
    ({"reads": [None]}, "phase 'p': reads holds None, which is no text"),
    ({"locks": "x"}, "phase 'p': locks must be a list"),
    ({"command": "make"}, "phase 'p': command must be a list"),
    ({"checks": ["make"]}, "phase 'p': checks must be a list"),
    ({"estimated_time": -1}, "phase 'p': estimated_time must be a number that is not negative, not -1"),
    ({"estimated_time": float("nan")}, "phase 'p': estimated_time must be a number that is not negative, not nan"),
    ({"estimated_time": "2h"}, "phase 'p': estimated_time must be a number that is not negative, not '2h'"),
    ({"timeout_seconds": float("inf")}, "phase 'p': timeout_seconds must be a number that is not negative, not inf"),
    ({"retries": -1}, "phase 'p': retries must not be negative"),
]


@pytest.mark.parametrize(("values", "reason"), BAD_PHASES, ids=[str(values)[:30] for values, _ in BAD_PHASES])
def test_what_no_phase_can_be(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        PhaseInfo(**{"id": "p", "name": "P", **values})
    assert refused.value.reason.startswith(reason)


def test_the_limits_that_a_phase_may_reach() -> None:
    made = PhaseInfo("x" * MAX_ID_LENGTH, "1", estimated_time=0, timeout_seconds=0.0, retries=0)
    assert (made.estimated_time, made.retries) == (0, 0)


def test_only_a_file_step_has_a_path() -> None:
    assert Step(StepKind.FILE, "text", path="a").path == "a"
    for kind, path in ((StepKind.FILE, ""), (StepKind.RUN, "a"), (StepKind.CHECK, "a")):
        with pytest.raises(InvalidValueError, match="a file step, and only a file step"):
            Step(kind, "text", path=path)


def test_claims_of_a_phase() -> None:
    made = phase("p", outputs=("src/", "a"), reads=("a", "docs/"), locks=("port:1", "src"))
    assert set(made.claims) == {
        Claim(parse_resource("src/")),
        Claim(parse_resource("src")),
        Claim(parse_resource("a")),  # read and written: written
        Claim(parse_resource("docs/"), exclusive=False),
        Claim(parse_resource("port:1")),
    }
    assert len(made.claims) == 5
    assert made.claims == phase("p", outputs=("a", "src/"), reads=("docs/", "a"), locks=("src", "port:1")).claims
    with pytest.raises(InvalidValueError, match="leaves the workspace"):
        _ = phase("p", outputs=("../x",)).claims


# -- locks and waves --------------------------------------------------------------------------------------------


def test_a_lock_is_a_claim_with_an_owner() -> None:
    mine = ResourceLock("src/", "a", 1.0, LockType.SHARED)
    assert mine.claim == Claim(parse_resource("src/"), exclusive=False)
    assert not mine.conflicts_with(ResourceLock("src/x", "b", 1.0, LockType.SHARED))
    assert mine.conflicts_with(ResourceLock("src/x", "b", 1.0))
    assert not mine.conflicts_with(ResourceLock("src/x", "a", 1.0))
    assert not mine.conflicts_with(ResourceLock("docs/x", "b", 1.0))
    assert ResourceLock("x", "a", 1, _any("shared")).lock_type is LockType.SHARED


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("x", "", 1.0), "a lock needs an owner"),
        (("x", "a", float("nan")), "a lock time must be a number, not nan"),
        (("x", "a", 1.0, "greedy"), "'greedy' is not a valid LockType"),
    ],
)
def test_what_no_lock_can_be(values: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(ValueError, match="^" + reason + "$"):
        ResourceLock(*values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((0, ("a",)), "waves count from 1, not from 0"),
        ((1, "ab"), "wave 1: phases must be a list of texts, not the text 'ab'"),
        ((1, ("a",), None, "DONE"), "'DONE' is not a valid PhaseStatus"),
    ],
)
def test_what_no_wave_can_be(values: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(ValueError, match="^" + reason + "$"):
        ExecutionWave(*values)


@pytest.mark.parametrize(
    ("statuses", "joint"),
    [
        ("", S.NOT_STARTED),
        ("N", S.NOT_STARTED),
        ("NQ", S.QUEUED),
        ("QI", S.IN_PROGRESS),
        ("IF", S.IN_PROGRESS),
        ("IC", S.IN_PROGRESS),
        ("CQ", S.IN_PROGRESS),
        ("CN", S.IN_PROGRESS),
        ("FQ", S.IN_PROGRESS),
        ("FC", S.FAILED),
        ("FN", S.FAILED),
        ("F", S.FAILED),
        ("C", S.COMPLETED),
        ("CC", S.COMPLETED),
    ],
)
def test_the_status_of_a_wave_follows_from_its_phases(statuses: str, joint: PhaseStatus) -> None:
    names = {status.name[0]: status for status in PhaseStatus}
    found = {str(position): names[letter] for position, letter in enumerate(statuses)}
    wave = ExecutionWave(3, tuple(found), 7.0, S.QUEUED)
    assert wave.with_statuses(found) == ExecutionWave(3, tuple(found), 7.0, joint)


def test_a_phase_that_nothing_is_known_of_has_not_started() -> None:
    assert ExecutionWave(1, ("a",)).with_statuses({}).status is S.NOT_STARTED


# -- the graph --------------------------------------------------------------------------------------------------

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc", "e": ""}


def test_neighbours_and_reach() -> None:
    graph = graph_of(DIAMOND)
    assert list(graph.nodes) == list("abcde")
    assert dict(graph.edges) == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}
    assert (graph.dependencies("d"), graph.dependents("a")) == (("b", "c"), ("b", "c"))
    assert graph.ancestors("d") == set("abc")
    assert graph.descendants("a") == set("bcd")
    assert (graph.ancestors("a"), graph.descendants("e")) == (frozenset(), frozenset())
    assert (graph.roots(), graph.leaves()) == (("a", "e"), ("d", "e"))


def test_order_and_waves() -> None:
    graph = graph_of(DIAMOND)
    assert graph.layers() == (("a", "e"), ("b", "c"), ("d",))
    assert graph.topological_order() == tuple("aebcd")
    assert graph.waves() == (
        ExecutionWave(1, ("a", "e")),
        ExecutionWave(2, ("b", "c")),
        ExecutionWave(3, ("d",)),
    )
    assert graph.wave_of == {"a": 1, "e": 1, "b": 2, "c": 2, "d": 3}
    assert graph.cycle() is None


def test_a_plan_may_be_empty() -> None:
    graph = DependencyGraph.of([])
    assert (graph.waves(), graph.topological_order(), graph.roots(), graph.cycle()) == ((), (), (), None)


@pytest.mark.parametrize("question", ["dependencies", "dependents", "ancestors", "descendants"])
def test_unknown_phases_are_key_errors(question: str) -> None:
    with pytest.raises(KeyError, match="zz"):
        getattr(graph_of(DIAMOND), question)("zz")


def test_phases_of_one_id_are_one_node() -> None:
    first, second = phase("a", "b", outputs=("x",)), phase("a", "c", "b")
    graph = DependencyGraph.of([first, phase("b"), second, phase("c")])
    assert graph.nodes["a"] is first
    assert graph.dependencies("a") == ("b", "c")


def test_references_to_nowhere_and_to_oneself_are_kept_apart() -> None:
    graph = DependencyGraph.of([phase("a", "x", "a"), phase("b", "a", "x", "y")])
    assert graph.missing == (("a", "x"), ("b", "x"), ("b", "y"))
    assert graph.self_dependent == ("a",)
    assert dict(graph.edges) == {"a": (), "b": ("a",)}
    assert graph.layers() == (("a",), ("b",))
    assert list(graph.cycles()) == [("a", "a")]
    with pytest.raises(CycleError, match="a -> a"):
        graph.waves()


def test_a_graph_made_by_hand_is_checked() -> None:
    made = DependencyGraph({"a": phase("a"), "b": phase("b")}, {"b": _any(["a"])})
    assert made.dependencies("a") == ()
    assert made.dependents("a") == ("b",)
    with pytest.raises(InvalidValueError, match=r"^phase 'a' depends on 'b', which is not in the graph$"):
        DependencyGraph({"a": phase("a")}, {"a": ("b",)})
    with pytest.raises(InvalidValueError, match=r"^phase 'a' depends on itself"):
        DependencyGraph({"a": phase("a")}, {"a": ("a",)})


def test_a_cycle_is_told_with_its_path() -> None:
    graph = graph_of({"x": "", "a": "xc", "b": "a", "c": "b", "d": "c"})
    assert graph.cycle() == ("a", "c", "b", "a")
    assert graph.layers() == (("x",),)
    for question in (graph.waves, graph.topological_order, graph.require_acyclic):
        with pytest.raises(CycleError) as refused:
            question()
        assert refused.value.cycle == ("a", "c", "b", "a")
        assert str(refused.value) == "phases wait for each other: a -> c -> b -> a"
        assert isinstance(refused.value, PlanError)


def test_every_knot_of_phases_gives_one_ring() -> None:
    graph = graph_of({"a": "b", "b": "a", "c": "d", "d": "ec", "e": "c", "f": "a"})
    rings = {frozenset(ring) for ring in graph.cycles()}
    assert rings == {frozenset("ab"), frozenset("cd")}  # the shortest through each knot


@st.composite
def _arrows(draw: st.DrawFn) -> dict[str, str]:
    """Any directed graph of up to seven phases, rings and references to nowhere included."""
    names = "abcdefg"[: draw(st.integers(0, 7))]
    order = draw(st.permutations(names))
    return {name: "".join(draw(st.lists(st.sampled_from(names + "z"), max_size=3))) for name in order}


def _layers_by_brute_force(arrows: Mapping[str, str]) -> list[set[str]]:
    """Layer by layer: whatever has all its dependencies in earlier layers."""
    wanted = {name: set(found) & set(arrows) - {name} for name, found in arrows.items()}
    layers: list[set[str]] = []
    done: set[str] = set()
    while layer := {name for name, found in wanted.items() if name not in done and found <= done}:
        layers.append(layer)
        done |= layer
    return layers


@given(_arrows())
def test_the_graph_agrees_with_brute_force(arrows: dict[str, str]) -> None:
    graph = graph_of(arrows)
    edges = {
        (name, found) for name, several in arrows.items() for found in several if found in arrows and found != name
    }
    assert {(name, found) for name, several in graph.edges.items() for found in several} == edges
    reach = set(edges)
    while more := {(a, d) for a, b in reach for c, d in reach if b == c} - reach:
        reach |= more
    for name in arrows:
        assert set(graph.dependents(name)) == {a for a, b in edges if b == name}
        assert graph.ancestors(name) == {b for a, b in reach if a == name}
        assert graph.descendants(name) == {a for a, b in reach if b == name}
    assert list(graph.roots()) == [name for name in arrows if not any(a == name for a, _ in edges)]
    assert list(graph.leaves()) == [name for name in arrows if not any(b == name for _, b in edges)]
    layers = _layers_by_brute_force(arrows)
    assert [set(layer) for layer in graph.layers()] == layers
    for layer in graph.layers():
        assert list(layer) == [name for name in arrows if name in layer]
    _check_rings(graph, arrows, reach)
    if graph.cycle() is None:
        order = graph.topological_order()
        assert sorted(order) == sorted(arrows)
        assert all(order.index(a) > order.index(b) for a, b in edges)


def _check_rings(graph: DependencyGraph, arrows: Mapping[str, str], reach: set[tuple[str, str]]) -> None:
    rings = [ring for ring in graph.cycles() if len(ring) > 2]
    knots = {frozenset(b for b in arrows if (a, b) in reach and (b, a) in reach) for a in arrows if (a, a) in reach}
    assert len(rings) == len(knots)
    for ring in rings:
        assert ring[0] == ring[-1]
        assert len(set(ring)) == len(ring) - 1
        assert all(after in arrows[before] for before, after in pairwise(ring))
        assert sum(set(ring) <= knot for knot in knots) == 1
    assert (graph.cycle() is not None) == bool(rings or any(name in found for name, found in arrows.items()))


def test_a_hundred_thousand_phases() -> None:
    count = 100_000
    chain = [PhaseInfo(f"p{i}", "p", (f"p{i - 1}",) if i else ()) for i in range(count)]
    graph = DependencyGraph.of(chain)
    assert len(graph.waves()) == count
    assert len(graph.ancestors(f"p{count - 1}")) == count - 1
    ring = DependencyGraph.of([PhaseInfo("p0", "p", (f"p{count - 1}",)), *chain[1:]])
    assert len(ring.cycle() or ()) == count + 1


# -- plans ------------------------------------------------------------------------------------------------------


def test_a_plan_knows_its_graph_and_its_faults() -> None:
    faults = tuple(Diagnostic("WC1", severity, "x") for severity in (Severity.WARNING, Severity.INFO))
    plan = Plan("p", "p.md", (phase("a"), phase("b", "a"), phase("a", "b")), faults)
    assert not plan.faulty
    assert plan.graph.cycle() is not None
    assert Plan("p", "p.md", (), (*faults, Diagnostic("WC2", Severity.ERROR, "y"))).faulty


# -- events -----------------------------------------------------------------------------------------------------

_text = st.text(max_size=6)
_seen = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6)
_amount = st.none() | st.floats(0, 1e9)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_text, inner, max_size=2),
    max_leaves=4,
)
_steps = st.builds(
    Step, st.sampled_from([StepKind.RUN, StepKind.CHECK]), _text, _text, line=st.integers(0)
) | st.builds(Step, st.just(StepKind.FILE), _text, path=_seen)
_seen_list = st.lists(_seen, max_size=2).map(tuple)
_phases = st.builds(
    PhaseInfo,
    id=_seen,
    name=_seen,
    dependencies=_seen_list,
    outputs=_seen_list,
    estimated_time=_amount,
    description=_text,
    reads=_seen_list,
    locks=_seen_list,
    checks=st.lists(_seen_list, max_size=2).map(tuple),
    command=_seen_list,
    steps=st.lists(_steps, max_size=2).map(tuple),
    agent=_text,
    fallback=_text,
    model=_text,
    timeout_seconds=_amount,
    retries=st.none() | st.integers(0),
    source=st.none() | st.builds(Source, _text, st.integers(), st.integers()),
)
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: _text,
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    bool: st.booleans(),
    PhaseInfo: _phases,
    Done: st.builds(Done, _text, _text, st.floats(0, 1e9), st.none() | st.floats(0, 1e9)),
    Outcome: st.sampled_from(Outcome),
    Cause: st.sampled_from(Cause),
}


def _of_type(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is tuple:
        return st.lists(_of_type(get_args(hint)[0]), max_size=2).map(tuple)
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of([st.none() if option is type(None) else _of_type(option) for option in get_args(hint)])
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        return st.dictionaries(_text, _json, max_size=2)
    return _PLAIN[hint]


def _any_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Every value that the types of an event allow."""
    return st.builds(kind, **{name: _of_type(hint) for name, hint in get_type_hints(kind).items()})


@pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_every_event_returns_from_its_stored_form(kind: type[Event]) -> None:
    @given(_any_of(kind))
    def returns(event: Event) -> None:
        record = to_record(event)
        assert record["kind"] == kind.__name__
        assert from_record(json.loads(json.dumps(record))) == event

    returns()


def test_the_set_of_events_is_closed() -> None:
    assert set(EVENT_TYPES.values()) == set(get_args(Event))
    assert all(name == kind.__name__ for name, kind in EVENT_TYPES.items())
    for kind in EVENT_TYPES.values():
        assert next(iter(get_type_hints(kind))) == "at"


def test_records_of_older_versions_lack_fields_that_have_defaults() -> None:
    assert from_record({"kind": "AttemptStarted", "at": 1, "phase": "a", "attempt": 1, "agent": "x"}) == (
        ev.AttemptStarted(at=1.0, phase="a", attempt=1, agent="x")
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "Moved"}, "unknown event 'Moved'"),
        ({"kind": None}, "unknown event None"),
        ({"colour": 1}, "a record of AttemptEnded has no field 'colour'"),
        ({"at": "now"}, "float was expected, not 'now'"),
        ({"at": True}, "float was expected, not True"),
        ({"attempt": 1.5}, "int was expected, not 1.5"),
        ({"attempt": False}, "int was expected, not False"),
        ({"phase": None}, "str was expected, not None"),
        ({"exit_code": "1"}, "int was expected, not '1'"),
        ({"outcome": "won"}, "'won' is not a valid Outcome"),
        ({"outputs": "a"}, "a list was expected, not 'a'"),
        ({"outputs": [1]}, "str was expected, not 1"),
    ],
)
def test_records_that_fit_no_event_are_refused(change: dict[str, Any], reason: str) -> None:
    record = to_record(ev.AttemptEnded(at=1, phase="a", attempt=1, outcome=Outcome.FAILED))
    with pytest.raises(InvalidValueError) as refused:
        from_record({**record, **change})
    assert refused.value.reason == reason


def test_records_that_lack_a_field_or_an_object_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"^a record of RunFinished does not fit: .*'at'"):
        from_record({"kind": "RunFinished"})
    record = to_record(started(phase("a")))
    with pytest.raises(InvalidValueError, match=r"^a record of PhaseInfo must be an object, not int$"):
        from_record({**record, "phases": [3]})
    with pytest.raises(InvalidValueError, match=r"^phase: id must not be empty$"):
        from_record({**record, "phases": [{"id": "", "name": "x"}]})


@given(_phases, _phases)
def test_a_digest_tells_meanings_apart(a: PhaseInfo, b: PhaseInfo) -> None:
    def meaning(one: PhaseInfo) -> str:
        return json.dumps(plain(one, without=frozenset({"source", "line"})))

    assert (digest_of(a) == digest_of(b)) == (meaning(a) == meaning(b))
    steps = tuple(dataclasses.replace(step, line=step.line + 7) for step in a.steps)
    elsewhere = dataclasses.replace(a, source=Source("other.md", 7), steps=steps)
    assert digest_of(elsewhere) == digest_of(a) == Plan("x", "y", (a,)).digest
    assert len(digest_of(a)) == 16
    assert digest_of(a, b) != digest_of(a)
    assert rebuild(PhaseInfo, plain(a)) == a


# -- state ------------------------------------------------------------------------------------------------------


def started(*phases: PhaseInfo, at: float = 0.0, **more: Any) -> ev.RunStarted:
    values = {"run": "r1", "plan_name": "plan", "plan_path": "plan/", "plan_digest": "d", **more}
    return ev.RunStarted(at=at, phases=phases, **values)


def attempt(name: str, number: int = 1, at: float = 1.0) -> ev.AttemptStarted:
    return ev.AttemptStarted(at=at, phase=name, attempt=number, agent="x", log=f"{name}.{number}.log", fence=number)


def ended(name: str, outcome: Outcome = Outcome.SUCCEEDED, number: int = 1, **more: Any) -> ev.AttemptEnded:
    return ev.AttemptEnded(**{"at": 2.0, "phase": name, "attempt": number, "outcome": outcome, **more})


def reset(name: str, at: float = 3.0) -> ev.PhaseReset:
    return ev.PhaseReset(at=at, phase=name, by="me")


def skip(name: str, at: float = 3.0) -> ev.PhaseSkipped:
    return ev.PhaseSkipped(at=at, phase=name, by="me", reason="why")


def kept(name: str) -> ev.PhaseKept:
    return ev.PhaseKept(at=3.0, phase=name, from_run="r0")


def refused_phase(name: str) -> ev.PhaseRefused:
    return ev.PhaseRefused(at=3.0, phase=name, cause=Cause.START, detail="no such program")


def waits(name: str) -> ev.LockAwaited:
    return ev.LockAwaited(at=3.0, phase=name, resource="src/", holder="z")


def in_charge(epoch: int = 1) -> ev.CoordinatorStarted:
    return ev.CoordinatorStarted(at=1.0, epoch=epoch, pid=7, host="h", agents=3)


def sealed(name: str, number: int = 1) -> ev.WorkSealed:
    return ev.WorkSealed(at=2.0, phase=name, attempt=number, commit=f"s{number}", changed=("x.py",))


def proposed(name: str, number: int = 1) -> ev.MergeProposed:
    return ev.MergeProposed(at=3.0, phase=name, attempt=number, onto="base", commit=f"m{number}")


def unmerged(name: str, number: int = 1) -> ev.MergeRefused:
    return ev.MergeRefused(at=3.0, phase=name, attempt=number, onto="base", detail="both changed x.py", paths=("x.py",))


def new_plan(*phases: PhaseInfo, at: float = 5.0) -> ev.PlanChanged:
    return ev.PlanChanged(at=at, by="me", plan_digest="d2", phases=phases)


def asked(gate: str) -> ev.ApprovalAsked:
    return ev.ApprovalAsked(at=1.0, gate=gate)


def approved(gate: str) -> ev.GateApproved:
    return ev.GateApproved(at=2.0, gate=gate, by="ann", reason="fine")


def rejected(gate: str) -> ev.GateRejected:
    return ev.GateRejected(at=2.0, gate=gate, by="ann", reason="too early")


def reported(name: str, number: int = 1, **more: Any) -> ev.AgentReported:
    return ev.AgentReported(at=2.0, phase=name, attempt=number, **more)


def silence(name: str, since: float | None, words: str = "", number: int = 1) -> ev.AgentSilence:
    return ev.AgentSilence(at=2.0, phase=name, attempt=number, since=since, words=words)


def closed(at: float, until: float, account: str = "x", detail: str = "") -> ev.AccountClosed:
    return ev.AccountClosed(at=at, account=account, until=until, detail=detail)


def statuses(state: ExecutionState) -> str:
    """The first letter of each status, in plan order."""
    return "".join(found.status.name[0] for found in state.phase_states.values())


CHAIN = started(phase("a"), phase("b", "a"), phase("c", "b"))


def test_a_run_from_start_to_end() -> None:
    state = replay([CHAIN, in_charge(), attempt("a")])
    assert statuses(state) == "INN"
    assert (state.start_time, state.end_time, state.run, state.plan_name) == (0.0, None, "r1", "plan")
    assert (state.plan_path, state.plan_digest, state.epoch, state.agent_limit) == ("plan/", "d", 1, 3)
    assert state.coordinator == "pid 7 on h"
    assert state.agents == (AgentInfo("x/a.1", "a", AgentStatus.RUNNING, ("a.1.log",)),)
    state = evolve(state, ended("a", outputs=("out",), exit_code=0), attempt("b", at=5.0), ended("b"))
    assert statuses(state) == "CCQ"
    assert state.phase_states["a"].outputs == ("out",)
    assert [(wave.status, wave.start_time) for wave in state.waves] == [
        (S.COMPLETED, 1.0), (S.COMPLETED, 5.0), (S.QUEUED, None)]  # fmt: skip
    assert not state.succeeded
    state = evolve(state, attempt("c"), ended("c"), ev.RunFinished(at=9.0))
    assert (statuses(state), state.succeeded, state.end_time, state.agents) == ("CCC", True, 9.0, ())
    assert (state.count(S.COMPLETED), state.count(S.FAILED), state.status_of("c")) == (3, 0, S.COMPLETED)


def test_a_failure_holds_up_what_depends_on_it_and_is_explained() -> None:
    failure = ended("a", Outcome.FAILED, cause=Cause.CHECK, detail="2 checks failed", exit_code=1)
    state = replay([CHAIN, attempt("a"), failure])
    assert statuses(state) == "FNN"
    found = state.phase_states["a"]
    assert (found.cause, found.detail, found.exit_code, found.failures) == (Cause.CHECK, "2 checks failed", 1, 1)
    assert (found.attempts, found.started_at, found.ended_at, found.log, found.fence) == (1, 1.0, 2.0, "a.1.log", 1)
    assert state.blockers("c") == ("a",)
    assert state.blockers("a") == ()
    assert not state.succeeded


def test_another_attempt() -> None:
    state = replay([CHAIN, attempt("a"), ended("a", Outcome.FAILED, retry_at=7.0)])
    assert (statuses(state), state.phase_states["a"].retry_at) == ("QNN", 7.0)
    state = evolve(state, attempt("a", 2), ended("a", Outcome.FAILED, 2))
    assert (statuses(state), state.phase_states["a"].failures, state.phase_states["a"].retry_at) == ("FNN", 2, None)


def test_a_lost_attempt_is_counted_by_itself() -> None:
    state = replay([CHAIN, attempt("a"), ended("a", Outcome.LOST, retry_at=7.0), attempt("a", 2)])
    assert (state.phase_states["a"].failures, state.phase_states["a"].losses) == (0, 1)
    state = evolve(state, ended("a", Outcome.LOST, 2))
    assert (statuses(state), state.phase_states["a"].failures, state.phase_states["a"].losses) == ("FNN", 0, 2)


def test_a_stopped_attempt_costs_no_retry() -> None:
    state = replay([CHAIN, attempt("a"), ended("a", Outcome.STOPPED, cause=Cause.STOPPED)])
    assert (statuses(state), state.phase_states["a"].failures, list(state.queued)) == ("QNN", 0, ["a"])


def test_an_agent_that_was_found_alive_changes_nothing() -> None:
    before = replay([CHAIN, attempt("a")])
    assert evolve(before, ev.AttemptAdopted(at=2.0, phase="a", attempt=1)) == before
    with pytest.raises(IllegalTransitionError, match="AttemptAdopted for attempt 2 of phase a, which is at 1"):
        evolve(before, ev.AttemptAdopted(at=2.0, phase="a", attempt=2))


def test_who_wants_an_attempt_to_end_is_kept_until_the_next_one() -> None:
    state = replay([CHAIN, attempt("a"), ev.AttemptCancelled(at=2.0, phase="a", attempt=1, by="ann")])
    assert state.phase_states["a"].cancelled_by == "ann"
    state = evolve(state, ended("a", Outcome.STOPPED), attempt("a", 2))
    assert state.phase_states["a"].cancelled_by == ""


def test_undeclared_writes_are_laid_to_all_suspects_until_their_next_attempt() -> None:
    def found(*paths: str) -> ev.UndeclaredWrites:
        return ev.UndeclaredWrites(at=2.0, suspects=("a", "b"), paths=paths)

    state = replay([started(phase("a"), phase("b"), phase("c")), attempt("a"), attempt("b"), found("x", "y")])
    state = evolve(state, found("y", "z"))
    assert [one.undeclared for one in state.phase_states.values()] == [("x", "y", "z"), ("x", "y", "z"), ()]
    state = evolve(state, ended("a", Outcome.FAILED, retry_at=3.0), attempt("a", 2))
    assert [one.undeclared for one in state.phase_states.values()] == [(), ("x", "y", "z"), ()]
    with pytest.raises(IllegalTransitionError, match="not in the run"):
        evolve(state, ev.UndeclaredWrites(at=2.0, suspects=("q",), paths=("x",)))


def test_a_pause_lasts_until_somebody_ends_it() -> None:
    state = replay([CHAIN, ev.RunPaused(at=1.0, by="ann", reason="lunch")])
    assert (state.paused_by, statuses(state)) == ("ann", "QNN")
    state = evolve(state, ev.RunStopped(at=2.0, reason="SIGINT"), in_charge())
    assert state.paused_by == "ann"
    assert evolve(state, ev.RunContinued(at=3.0, by="bob")).paused_by == ""


def test_waiting_for_a_lock_is_data_beside_the_status() -> None:
    state = replay([CHAIN, waits("a")])
    assert state.phase_states["a"].lock_wait == LockWait("src/", "z", 3.0)
    assert statuses(state) == "QNN"
    assert evolve(state, attempt("a")).phase_states["a"].lock_wait is None


def test_a_waiver_that_is_taken_back_leaves_a_phase_that_is_not_ready_where_it_was() -> None:
    state = replay([CHAIN, skip("b"), reset("b")])
    assert (state.status_of("b"), state.phase_states["b"].waiver, list(state.queued)) == (S.NOT_STARTED, None, ["a"])


def test_a_waiver_satisfies_dependents_and_keeps_the_status() -> None:
    state = replay([CHAIN, skip("a")])
    assert statuses(state) == "QQN"
    assert state.phase_states["a"].waiver == Waiver("me", "why", 3.0)
    assert list(state.queued) == ["b"]
    state = evolve(state, attempt("b"), ended("b"), attempt("c"), ended("c"))
    assert state.succeeded
    assert statuses(evolve(replay([CHAIN, skip("a")]), reset("a"))) == "QNN"


def test_a_kept_phase_was_done_by_an_earlier_run() -> None:
    state = replay([CHAIN, kept("a"), kept("c")])
    assert statuses(state) == "CQC"
    assert state.phase_states["a"].kept_from == "r0"


def test_a_refused_phase_has_failed_without_an_attempt() -> None:
    state = replay([CHAIN, refused_phase("a")])
    found = state.phase_states["a"]
    assert (found.status, found.attempts, found.cause, found.detail) == (S.FAILED, 0, Cause.START, "no such program")


def test_a_phase_that_is_reset_while_what_it_needs_is_not_done_waits_for_it() -> None:
    done = [CHAIN, attempt("a"), ended("a"), attempt("b"), ended("b")]
    state = replay([*done, reset("a"), reset("b")])
    assert (state.status_of("a"), state.status_of("b"), list(state.queued)) == (S.QUEUED, S.NOT_STARTED, ["a"])


def test_a_reset_takes_readiness_back_from_dependents() -> None:
    state = replay([CHAIN, attempt("a"), ended("a"), ev.RunFinished(at=4.0), reset("a")])
    assert (statuses(state), list(state.queued), state.end_time) == ("QNN", ["a"], None)
    assert (state.phase_states["a"].attempts, state.phase_states["a"].outputs) == (1, ())
    running = evolve(replay([CHAIN, attempt("a"), ended("a")]), attempt("b"), reset("a"))
    assert statuses(running) == "QIN"
    assert statuses(evolve(running, ended("b", Outcome.STOPPED))) == "QNN"
    assert statuses(evolve(running, ended("b", Outcome.FAILED, retry_at=3.0))) == "QNN"
    assert statuses(evolve(running, ended("b"))) == "QCQ"


def test_a_phase_waived_and_kept_satisfies_its_dependents_once() -> None:
    state = evolve(replay([CHAIN, skip("a"), kept("a")]), reset("a"))
    assert statuses(state) == "QNN"
    assert statuses(evolve(state, attempt("a"), ended("a"))) == "CQN"


def test_a_run_of_some_phases() -> None:
    state = replay([started(phase("a"), phase("b", "a"), phase("c"), selected=("b", "c"), settings={"x": 1})])
    assert (state.to_do("a"), state.to_do("b"), dict(state.settings)) == (False, True, {"x": 1})
    assert state.blockers("b") == ("a",)
    assert evolve(state, kept("a")).blockers("b") == ()
    assert evolve(state, kept("a"), kept("b"), kept("c")).succeeded
    assert replay([started(phase("a"))]).to_do("a")


def test_a_run_that_was_left_can_be_taken_over() -> None:
    state = replay([CHAIN, in_charge(), ev.RunStopped(at=4.0, reason="Ctrl-C")])
    assert state.stop_reason == "Ctrl-C"
    state = evolve(state, in_charge(2))
    assert (state.stop_reason, state.epoch, state.end_time) == ("", 2, None)


def test_the_way_of_good_work_into_the_result_is_told_step_by_step() -> None:
    start = dataclasses.replace(attempt("a"), base="c0", branch="wavecrew/r1/a/1", slot=2, inputs={"b": "x"})
    state = replay([dataclasses.replace(CHAIN, isolation="worktree", base="c0"), start, sealed("a")])
    found = state.phase_states["a"]
    assert (state.isolation, state.base, state.result) == ("worktree", "c0", "c0")
    assert (found.slot, found.base, found.branch, found.inputs) == (2, "c0", "wavecrew/r1/a/1", {"b": "x"})
    assert (found.status, found.sealed, found.changed, found.merge) == (S.IN_PROGRESS, "s1", ("x.py",), None)
    state = evolve(state, proposed("a"))
    assert state.phase_states["a"].merge == Merge("base", "m1")
    merged = evolve(state, ended("a", commit="m1"))
    found = merged.phase_states["a"]
    assert (statuses(merged), found.commit, found.merge, merged.result) == ("CQN", "m1", None, "m1")
    assert replay([CHAIN, attempt("a"), ended("a")]).phase_states["a"].commit == ""


def test_a_conflict_is_counted_by_itself_and_the_next_attempt_begins_afresh() -> None:
    state = replay([CHAIN, attempt("a"), sealed("a"), proposed("a"), unmerged("a")])
    assert (state.phase_states["a"].merge, state.phase_states["a"].sealed) == (None, "s1")
    state = evolve(state, ended("a", Outcome.FAILED, cause=Cause.MERGE, retry_at=4.0))
    found = state.phase_states["a"]
    assert (found.conflicts, found.failures, found.losses, found.sealed) == (1, 0, 0, "s1")
    again = evolve(state, attempt("a", 2)).phase_states["a"]
    assert (again.sealed, again.changed, again.conflicts) == ("", (), 1)
    state = evolve(state, attempt("a", 2), sealed("a", 2), ended("a", Outcome.FAILED, 2, cause=Cause.GATE))
    assert (state.phase_states["a"].conflicts, state.phase_states["a"].failures) == (1, 1)


def test_a_phase_that_was_kept_keeps_its_commit_and_what_it_rests_on() -> None:
    found = replay([CHAIN, dataclasses.replace(kept("a"), commit="c9", inputs={"x": "1"})]).phase_states["a"]
    assert (found.commit, found.inputs) == ("c9", {"x": "1"})


def test_a_run_whose_work_is_not_in_its_result_has_not_succeeded() -> None:
    state = replay([started(phase("a")), attempt("a"), ended("a"), ev.RunFinished(at=3.0, unproven=("a",))])
    assert (state.unproven, state.succeeded) == (("a",), False)
    assert evolve(state, in_charge()).succeeded


@pytest.mark.parametrize(
    ("end", "isolation", "lacks"),
    [
        (ev.RunFinished(at=3.0), "worktree", False),
        (ev.RunFinished(at=3.0, unproven=("a",)), "worktree", True),
        (ev.RunFinished(at=3.0, missing=("x",)), "worktree", True),
        (ev.RunFinished(at=3.0, missing=("x",)), "shared", False),
    ],
)
def test_a_run_in_worktrees_has_to_be_proven(end: Event, isolation: str, lacks: bool) -> None:
    state = replay([started(phase("a"), isolation=isolation), attempt("a"), ended("a"), end])
    assert state.lacks_proof is lacks
    assert not evolve(state, reset("a")).lacks_proof


def test_what_nobody_may_change_is_remembered_until_somebody_takes_charge() -> None:
    found = ev.ForbiddenChange(at=2.0, what=(".git/config",), suspects=("a",))
    state = replay([CHAIN, found, dataclasses.replace(found, what=(".git/config", "plan/a.md"))])
    assert state.forbidden == (".git/config", "plan/a.md")
    assert evolve(state, in_charge()).forbidden == ()


def test_where_the_result_was_landed_last() -> None:
    landed = ev.ResultLanded(at=9.0, by="me", branch="main", commit="m1")
    assert replay([CHAIN, landed, dataclasses.replace(landed, branch="next")]).landed_on == "next"


# -- a plan that changes


def test_a_changed_plan_keeps_what_is_done_and_orders_the_rest_anew() -> None:
    begun = replay([CHAIN, attempt("a"), ended("a"), attempt("b", at=4.0), ev.RunFinished(at=4.5)])
    state = evolve(begun, new_plan(phase("n"), phase("a"), phase("b", "a"), phase("d", "n", "b")))
    assert (list(state.graph.nodes), statuses(state), state.plan_digest) == (["n", "a", "b", "d"], "QCIN", "d2")
    assert (list(state.queued), list(state.running), state.end_time) == (["n"], ["b"], None)
    assert dict(state.open_dependencies) == {"n": 0, "a": 0, "b": 0, "d": 2}
    assert evolve(state, ended("b"), attempt("n"), ended("n")).status_of("d") is S.QUEUED


def test_a_changed_plan_takes_readiness_back_and_gives_it() -> None:
    state = evolve(replay([started(phase("a"), phase("b"), phase("c", "b"))]), new_plan(
        phase("a", "b"), phase("b"), phase("c")))  # fmt: skip
    assert (statuses(state), list(state.queued)) == ("NQQ", ["b", "c"])
    state = evolve(replay([CHAIN, skip("a")]), new_plan(phase("a"), phase("b", "a")))
    assert (statuses(state), list(state.queued)) == ("QQ", ["b"])
    state = evolve(state, new_plan(phase("z"), phase("a", "z"), phase("b")))
    assert (statuses(state), list(state.queued)) == ("QNQ", ["b", "z"])
    assert statuses(evolve(state, reset("a"))) == "QNQ"


def test_a_phase_that_comes_back_into_the_plan_counts_its_attempts_on() -> None:
    state = replay([CHAIN, attempt("a"), ended("a"), attempt("b"), ended("b", Outcome.FAILED)])
    state = evolve(state, new_plan(phase("a")), new_plan(phase("a")), new_plan(phase("a"), phase("b", "a")))
    assert (state.status_of("b"), state.phase_states["b"].attempts) == (S.QUEUED, 1)
    assert evolve(state, attempt("b", 2)).status_of("b") is S.IN_PROGRESS


def test_the_starts_of_waves_follow_a_changed_plan() -> None:
    state = replay([started(phase("a"), phase("b"), phase("c", "a")), attempt("b", at=2.0), attempt("a", at=1.0)])
    assert dict(state.wave_starts) == {1: 2.0}
    state = evolve(state, new_plan(phase("z"), phase("a"), phase("c", "a"), phase("b", "z")))
    assert dict(state.wave_starts) == {1: 1.0, 2: 2.0}
    state = evolve(state, ended("a"), ended("b"), new_plan(phase("a"), phase("b")))
    assert dict(state.wave_starts) == {1: 1.0}


def test_what_is_at_work_or_chosen_cannot_leave_the_plan() -> None:
    with pytest.raises(IllegalTransitionError, match="phase a is at work and cannot leave the plan"):
        replay([CHAIN, attempt("a"), new_plan(phase("b"))])
    with pytest.raises(IllegalTransitionError, match="a plan that has no order"):
        replay([CHAIN, new_plan(phase("a", "b"), phase("b", "a"))])
    chosen = started(phase("a"), phase("b"), selected=("a", "b"))
    assert replay([chosen, new_plan(phase("b"), phase("c"))]).selected == {"b"}
    with pytest.raises(IllegalTransitionError, match="nothing of what this run is to do is left in the plan"):
        replay([chosen, new_plan(phase("c"))])


# -- gates


def test_gates_and_what_stands_behind_them() -> None:
    graph = graph_of({"a": "", "b": "a", "c": "a", "wave 1": ""})
    assert (wave_gate(2), phase_gate("b"), over(graph, "b")) == ("wave 2", "phase b", ("wave 2", "phase b"))
    assert behind(graph, "wave 2") == ("b", "c")
    assert behind(graph, "phase wave 1") == ("wave 1",)
    for name in (
        "wave 0",
        "wave 3",
        "wave x",
        "wave -1",
        "wave ²",
        "wave ",
        "phase z",
        "b",
        "",
        "wave 02",
        "wave " + "1" * 9999,
    ):
        assert behind(graph, name) == ()


def test_a_gate_is_asked_for_and_answered() -> None:
    state = replay([CHAIN, asked("phase a")])
    assert state.gates == {"phase a": Gate(GateStatus.ASKED, 1.0)}
    assert state.needs_you == ("phase a",)
    state = evolve(state, approved("phase a"), rejected("wave 2"))
    assert state.gates["phase a"] == Gate(GateStatus.APPROVED, 2.0, "ann", "fine")
    assert state.gates["wave 2"] == Gate(GateStatus.REJECTED, 2.0, "ann", "too early")
    assert state.needs_you == ()


def test_a_run_that_was_left_for_approval_waits_for_it_until_somebody_has_agreed() -> None:
    state = replay([CHAIN, asked("phase a"), ev.RunStopped(at=2.0, reason="needs approval: phase a")])
    assert state.left_for_approval
    assert not evolve(state, approved("phase a")).left_for_approval
    assert not evolve(state, ev.RunStopped(at=3.0, reason="SIGINT")).left_for_approval


def test_nobody_is_needed_for_a_gate_behind_which_nothing_is_ready() -> None:
    state = replay([CHAIN, asked("wave 1"), asked("wave 3"), asked("wave 4")])
    assert state.needs_you == ("wave 1",)
    assert evolve(state, skip("a")).needs_you == ()
    assert replay([dataclasses.replace(CHAIN, selected=("b",)), asked("wave 1")]).needs_you == ()


def test_open_questions_end_with_who_asked_them_and_with_the_plan_they_are_about() -> None:
    state = replay([CHAIN, asked("wave 1"), approved("wave 2"), rejected("wave 3")])
    for after in (evolve(state, in_charge()), evolve(state, new_plan(phase("a"), phase("b")))):
        assert list(after.gates) == ["wave 2", "wave 3"]


def test_a_rejected_gate_is_a_dead_end_until_somebody_wants_its_phases_again() -> None:
    state = replay([CHAIN, rejected("phase b")])
    assert [state.rejected(name) for name in "abc"] == ["", "phase b", ""]
    assert (state.blockers("b"), state.blockers("c")) == ((), ("b",))
    assert evolve(state, skip("b")).blockers("c") == ()
    assert evolve(state, approved("phase b")).blockers("c") == ()
    begun = evolve(replay([CHAIN, attempt("a")]), rejected("wave 1"))
    assert (begun.rejected("a"), begun.blockers("b")) == ("", ())  # what has begun is not held up any more
    state = replay([CHAIN, approved("phase a"), rejected("wave 1"), refused_phase("a"), reset("a")])
    assert list(state.gates) == ["phase a"]


ILLEGAL: list[tuple[list[Event], str]] = [
    ([attempt("z")], "an event names the phase 'z', which is not in the run"),
    ([attempt("b")], "phase b cannot go from NOT_STARTED to IN_PROGRESS"),
    ([attempt("a"), attempt("a", 2)], "phase a cannot go from IN_PROGRESS to IN_PROGRESS"),
    ([attempt("a", 2)], "phase a: attempt 2 after 0"),
    ([ended("a")], "AttemptEnded for phase a, which is QUEUED"),
    ([attempt("a"), ended("a", number=2)], "AttemptEnded for attempt 2 of phase a, which is at 1"),
    ([attempt("a"), ended("a"), ended("a")], "AttemptEnded for phase a, which is COMPLETED"),
    ([attempt("a"), kept("a")], "PhaseKept for phase a, which is IN_PROGRESS"),
    ([kept("a"), kept("a")], "PhaseKept for phase a, which is COMPLETED"),
    ([attempt("a"), refused_phase("a")], "PhaseRefused for phase a, which is IN_PROGRESS"),
    ([waits("b")], "LockAwaited for phase b, which is NOT_STARTED"),
    ([refused_phase("b")], "PhaseRefused for phase b, which is NOT_STARTED"),
    ([attempt("a"), skip("a")], "phase a is IN_PROGRESS and cannot be skipped"),
    ([skip("a"), skip("a")], "phase a is QUEUED and cannot be skipped"),
    ([kept("a"), skip("a")], "phase a is COMPLETED and cannot be skipped"),
    ([skip("a"), attempt("a")], "phase a cannot go from QUEUED to IN_PROGRESS"),
    ([reset("a")], "phase a is QUEUED: there is nothing to reset"),
    ([in_charge(2), in_charge(2)], "coordinator epoch 2 is not newer than the one in charge"),
    ([CHAIN], "run r1 was already started"),
    ([sealed("a")], "WorkSealed for phase a, which is QUEUED"),
    ([attempt("a"), sealed("a", 2)], "WorkSealed for attempt 2 of phase a, which is at 1"),
    ([attempt("a"), proposed("a")], "MergeProposed for phase a, whose work is not sealed"),
    ([attempt("a"), unmerged("a")], "MergeRefused for phase a, whose work is not sealed"),
    ([reported("a")], "AgentReported for phase a, which is QUEUED"),
    ([attempt("a"), silence("a", 1.0, number=2)], "AgentSilence for attempt 2 of phase a, which is at 1"),
    ([new_plan(phase("b"), phase("c", "b")), attempt("a")], "an event names the phase 'a', which is not in the run"),
]


@pytest.mark.parametrize(("events", "reason"), ILLEGAL, ids=[reason[:50] for _, reason in ILLEGAL])
def test_an_event_that_does_not_fit_is_refused(events: list[Event], reason: str) -> None:
    before = evolve(replay([CHAIN]), *events[:-1])
    remembered = dataclasses.replace(before)
    for state, following in ((before, events[-1:]), (ExecutionState(), [CHAIN, *events])):
        with pytest.raises(IllegalTransitionError) as refused:
            evolve(state, *following)
        assert refused.value.reason == reason
    assert before == remembered


def test_a_plan_without_an_order_is_never_started() -> None:
    for phases, more in (
        ((phase("a", "b"), phase("b", "a")), {}),
        ((phase("a", "a"),), {}),
        ((phase("a", "z"),), {}),
        ((phase("a"),), {"selected": ("z",)}),
    ):
        with pytest.raises(IllegalTransitionError, match=r"a plan that has no order|a selection that is not in"):
            replay([started(*phases, **_any(more))])


def test_a_run_of_nothing_is_started_once() -> None:
    with pytest.raises(IllegalTransitionError, match="already started"):
        evolve(replay([started()]), started())
    with pytest.raises(IllegalTransitionError, match="already started"):
        replay([started(), started()])


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(AssertionError, match="PhaseInfo"):
        evolve(replay([CHAIN]), _any(phase("a")))


def test_an_agent_has_a_name_and_a_known_status() -> None:
    assert AgentInfo("x", "p", _any("ended"), _any(["a.log"])) == AgentInfo("x", "p", AgentStatus.ENDED, ("a.log",))
    with pytest.raises(InvalidValueError, match="an agent needs an id"):
        AgentInfo("", "p")
    with pytest.raises(ValueError, match="'asleep' is not a valid AgentStatus"):
        AgentInfo("x", "p", _any("asleep"))


def test_unknown_phases_have_no_status() -> None:
    with pytest.raises(KeyError):
        replay([CHAIN]).status_of("z")


_WAITING = {S.NOT_STARTED, S.QUEUED}
_OVER = {S.COMPLETED, S.FAILED}
_Maker = Callable[[str, int, Outcome, float | None], Event]
_MOVES: list[tuple[set[PhaseStatus], _Maker]] = [
    ({S.QUEUED}, lambda name, made, outcome, again: attempt(name, made + 1)),
    ({S.QUEUED}, lambda name, made, outcome, again: attempt(name, made + 1)),
    ({S.IN_PROGRESS}, lambda name, made, outcome, again: ended(name, outcome, made, retry_at=again)),
    ({S.IN_PROGRESS}, lambda name, made, outcome, again: ended(name, Outcome.SUCCEEDED, made)),
    ({S.IN_PROGRESS}, lambda name, made, outcome, again: ended(name, outcome, made + 1, retry_at=again)),
    (_OVER, lambda name, made, outcome, again: reset(name)),
    (_WAITING, lambda name, made, outcome, again: reset(name)),
    (_WAITING, lambda name, made, outcome, again: skip(name)),
    (_WAITING, lambda name, made, outcome, again: kept(name)),
    ({S.QUEUED}, lambda name, made, outcome, again: refused_phase(name)),
    ({S.QUEUED}, lambda name, made, outcome, again: waits(name)),
    ({S.IN_PROGRESS}, lambda name, made, outcome, again: sealed(name, made)),
    ({S.IN_PROGRESS}, lambda name, made, outcome, again: proposed(name, made)),
    ({S.IN_PROGRESS}, lambda name, made, outcome, again: unmerged(name, made)),
    ({S.IN_PROGRESS}, lambda name, made, outcome, again: reported(name, made, input_tokens=1, cost_usd=again)),
    ({S.IN_PROGRESS}, lambda name, made, outcome, again: silence(name, again, number=made)),
    (set(S), lambda name, made, outcome, again: closed(2.0, again or 1.0)),
    (_WAITING, lambda name, made, outcome, again: asked(f"phase {name}")),
    (_WAITING, lambda name, made, outcome, again: approved(f"phase {name}")),
    (_WAITING, lambda name, made, outcome, again: rejected("wave 1")),
    (set(S), lambda name, made, outcome, again: in_charge(made + 1)),
    (set(S), lambda name, made, outcome, again: ev.RunStopped(at=4.0, reason="x")),
    (set(S), lambda name, made, outcome, again: ev.RunFinished(at=5.0)),
]


@dataclasses.dataclass(frozen=True)
class _Choice:
    """What to try next, whatever the state is by then: mostly something that fits it, sometimes something wild."""

    move: int
    which: int
    outcome: Outcome
    again: float | None
    wild: bool

    def event(self, state: ExecutionState) -> Event:
        fitting, make = _MOVES[self.move]
        names = list(state.phase_states)
        if not self.wild:
            names = [name for name in names if state.status_of(name) in fitting] or names
        name = names[self.which % len(names)]
        return make(name, state.phase_states[name].attempts, self.outcome, self.again)


_choices = st.builds(
    _Choice,
    st.integers(0, len(_MOVES) - 1),
    st.integers(0, 4),
    st.sampled_from(Outcome),
    st.none() | st.just(9.0),
    st.integers(0, 7).map(lambda chance: chance == 7),
)


@st.composite
def _plans(draw: st.DrawFn) -> ev.RunStarted:
    names = "abcde"[: draw(st.integers(1, 5))]
    return started(
        *(phase(name, *draw(st.sets(st.sampled_from(names[:i]), max_size=3) if i else st.just(set())))
          for i, name in enumerate(names))
    )  # fmt: skip


def _allowed_after(move: Event, before: PhaseState) -> set[PhaseStatus]:  # noqa: C901 -- one flat table
    """The statuses that the phase of an accepted event can be in afterwards, told once more without the table."""
    waiting = {S.NOT_STARTED, S.QUEUED}
    match move, before.status:
        case ev.PhaseKept(), S.NOT_STARTED | S.QUEUED:
            return {S.COMPLETED}
        case ev.AttemptStarted(), S.QUEUED:
            return {S.IN_PROGRESS}
        case ev.AttemptEnded(outcome=Outcome.SUCCEEDED), S.IN_PROGRESS:
            return {S.COMPLETED}
        case ev.AttemptEnded(outcome=outcome, retry_at=again), S.IN_PROGRESS:
            return waiting if outcome is Outcome.STOPPED or again is not None else {S.FAILED}
        case ev.PhaseRefused(), S.QUEUED:
            return {S.FAILED}
        case ev.PhaseReset(), S.COMPLETED | S.FAILED:
            return waiting
        case ev.PhaseReset(), status if before.waiver:
            return {status}
        case ev.LockAwaited(), S.QUEUED:
            return {S.QUEUED}
        case ((ev.WorkSealed() | ev.MergeProposed() | ev.MergeRefused()), S.IN_PROGRESS):
            return {S.IN_PROGRESS}
        case ((ev.AgentReported() | ev.AgentSilence()), S.IN_PROGRESS):
            return {S.IN_PROGRESS}
        case ev.PhaseSkipped(), (S.NOT_STARTED | S.QUEUED | S.FAILED) as status:
            return {status}
    return set()


def _check_state(state: ExecutionState) -> None:
    """What must hold in every state, worked out from the statuses alone."""
    for name, found in state.phase_states.items():
        open_ones = [d for d in state.graph.dependencies(name) if not state.phase_states[d].satisfied]
        assert state.open_dependencies[name] == len(open_ones)
        if found.status in (S.NOT_STARTED, S.QUEUED):
            assert (found.status is S.NOT_STARTED) == bool(open_ones)
    of_status = {s: {n for n, found in state.phase_states.items() if found.status is s} for s in S}
    assert set(state.running) == of_status[S.IN_PROGRESS]
    assert set(state.queued) == {name for name in of_status[S.QUEUED] if not state.phase_states[name].waiver}
    assert {agent.assigned_phase for agent in state.agents} == of_status[S.IN_PROGRESS]
    for name in state.phase_states:
        dead = any(state.status_of(other) is S.FAILED or state.rejected(other) for other in state.blockers(name))
        assert dead == bool(state.blockers(name))


@settings(max_examples=200)
@given(_plans(), st.lists(_choices, min_size=10, max_size=40))
def test_no_sequence_of_events_leaves_the_table(plan: ev.RunStarted, choices: list[_Choice]) -> None:
    history: list[Event] = [plan]
    state = replay(history)
    _check_state(state)
    for choice in choices:
        move = choice.event(state)
        try:
            after = evolve(state, move)
        except IllegalTransitionError:
            continue
        for name, was in state.phase_states.items():
            now = after.phase_states[name].status
            if name == getattr(move, "phase", None):
                assert now in _allowed_after(move, was), (move, was)
            else:
                assert now is was.status or {now, was.status} == {S.NOT_STARTED, S.QUEUED}
        _check_state(after)
        history.append(move)
        state = after
    again = replay(history)
    assert again == state
    assert (list(again.running), list(again.queued)) == (list(state.running), list(state.queued))
    assert replay([from_record(json.loads(json.dumps(to_record(event)))) for event in history]) == state


# -- one attempt ------------------------------------------------------------------------------------------------


def test_steps_of_an_attempt() -> None:
    made = Invocation(
        (JobStep(JobStepKind.AGENT, "agent", ("x",), stdin="task"), JobStep(JobStepKind.FILE, "f", path="a"))
    )
    assert made.environment == {}
    for kind, argv in ((JobStepKind.FILE, ("x",)), (JobStepKind.RUN, ()), (JobStepKind.CHECK, ())):
        with pytest.raises(InvalidValueError, match="a file step has no command, and every other one has"):
            JobStep(kind, "t", argv)
    with pytest.raises(InvalidValueError, match="no argument can hold a NUL character"):
        JobStep(JobStepKind.RUN, "t", ("a\0",))


def test_places_are_shown_as_editors_read_them() -> None:
    assert [str(place) for place in (Place(), Place("a"), Place("a", 2), Place("a", 2, 3), Place("a", 0, 3))] == [
        "<input>", "a", "a:2", "a:2:3", "a"]  # fmt: skip


# -- what agents use, and what they have left -----


def test_what_agents_have_used_adds_up_for_the_phase_and_the_run() -> None:
    state = replay([
        CHAIN, attempt("a"), reported("a", session="s1", input_tokens=100, output_tokens=20, cost_usd=0.5),
        ended("a", Outcome.FAILED, retry_at=2.0), attempt("a", 2), reported("a", 2, input_tokens=7),
    ])  # fmt: skip
    assert state.spent == Spent(tokens=127, cost_usd=0.5, attempts=2, unknown_tokens=1, unknown_cost=1)
    found = state.phase_states["a"]
    assert (found.spent, found.reported, found.session) == (state.spent, 2, "")  # it began a new session
    again = evolve(state, ended("a", number=2), reset("a")).phase_states["a"]
    assert (again.spent, again.reported, again.session) == (state.spent, 2, "")


def test_an_agent_is_silent_until_it_is_heard_again() -> None:
    state = replay([CHAIN, attempt("a"), silence("a", 1.0, "Continue? [y/n]")])
    found = state.phase_states["a"]
    assert (state.silent, found.silent_since, found.last_words) == (("a",), 1.0, "Continue? [y/n]")
    assert evolve(state, silence("a", None)).silent == ()
    again = evolve(state, ended("a", Outcome.STOPPED))
    assert again.silent == ()
    again = evolve(again, attempt("a", 2))
    assert (again.silent, again.phase_states["a"].last_words) == ((), "")


def test_attempts_that_were_ended_for_silence_are_counted_by_themselves() -> None:
    state = replay([CHAIN, attempt("a"), ended("a", Outcome.STOPPED, cause=Cause.SILENCE, detail="silent")])
    found = state.phase_states["a"]
    assert (found.status, found.stalls, found.failures, found.detail) == (S.QUEUED, 1, 0, "silent")
    failed = evolve(state, attempt("a", 2), ended("a", Outcome.FAILED, 2, cause=Cause.SILENCE)).phase_states["a"]
    assert (failed.status, failed.stalls, failed.failures) == (S.FAILED, 2, 1)


def test_an_account_is_closed_until_its_time_and_counts_how_often_in_a_row() -> None:
    state = replay([CHAIN, attempt("a"), closed(1.0, 60.0, detail="used up")])
    assert dict(state.accounts) == {"x": Closure(60.0, "used up", 1)}
    state = evolve(state, closed(2.0, 30.0), closed(3.0, 70.0))  # found by others at the same time
    assert state.accounts["x"] == Closure(70.0, "", 1)
    state = evolve(state, closed(70.0, 200.0), closed(70.0, 90.0, "y"))
    assert state.accounts == {"x": Closure(200.0, "", 2), "y": Closure(90.0, "", 1)}
    state = evolve(state, ended("a"))  # by an agent that was at work on x when it was closed
    assert state.accounts == {"x": Closure(200.0, "", 0), "y": Closure(90.0, "", 1)}
    assert evolve(state, closed(100.0, 150.0)).accounts["x"] == Closure(200.0, "", 1)
    assert evolve(state, closed(300.0, 310.0)).accounts["x"] == Closure(310.0, "", 1)


def test_an_account_that_nobody_closed_is_not_opened_by_a_success() -> None:
    assert replay([CHAIN, attempt("a"), ended("a")]).accounts == {}


def test_a_budget_is_spent_until_somebody_takes_charge() -> None:
    state = replay([CHAIN, in_charge(1), ev.BudgetReached(at=2.0, budget="5usd", cost_usd=5.1, tokens=0)])
    assert state.budget_reached == "5usd"
    assert not state.left_for_budget
    left = evolve(state, ev.RunStopped(at=3.0, reason="its budget of 5usd is spent"))
    assert left.left_for_budget
    assert not evolve(state, ev.RunStopped(at=3.0, reason="SIGINT")).left_for_budget
    assert evolve(left, in_charge(2)).budget_reached == ""


@pytest.mark.parametrize(
    ("text", "cost", "tokens"),
    [("5usd", 5.0, None), ("0.50 usd", 0.5, None), (" 200ktok ", None, 200_000), ("2Mtok", None, 2_000_000),
     ("1.5Gtok", None, 1_500_000_000), ("7tok", None, 7)],
)  # fmt: skip
def test_a_budget_is_money_or_tokens(text: str, cost: float | None, tokens: int | None) -> None:
    budget = Budget.parse(text)
    assert (budget.text, budget.cost_usd, budget.tokens) == (text.strip(), cost, tokens)


@pytest.mark.parametrize("text", ["", "5", "usd", "-1usd", "5eur", "1,5usd", "5mtok", "5usd!", "0usd", "0.0tok"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="no budget"):
        Budget.parse(text)


def test_a_budget_is_spent_as_far_as_it_is_known() -> None:
    spent = Spent().plus(900, 99, 4.99)
    assert not Budget.parse("5usd").is_spent(spent)
    assert not Budget.parse("1ktok").is_spent(spent)
    spent = spent.plus(None, 1, 0.01)
    assert Budget.parse("5usd").is_spent(spent)
    assert Budget.parse("1ktok").is_spent(spent)
    assert not Budget.parse("1001tok").is_spent(spent)
    assert not Budget("nothing").is_spent(spent)
    assert (spent.attempts, spent.unknown_tokens, spent.unknown_cost) == (2, 1, 0)


def test_sums_of_two_runs_of_attempts_add_up() -> None:
    one, other = Spent().plus(1, 2, None), Spent().plus(None, 4, 0.5).plus(3, 0, 0.25)
    assert one.and_(other) == Spent(tokens=10, cost_usd=0.75, attempts=3, unknown_tokens=1, unknown_cost=1)
    assert Spent().and_(other) == other


# -- all founding names together --------------------------------------------------------------------------------


def test_a_plan_is_worked_wave_by_wave_under_its_locks(tmp_path: Path) -> None:
    """Two writers of one file share a wave: the locks keep them apart, the waves come out complete."""
    phases = [
        PhaseInfo("draft", "Draft", (), ("text.md",), 1.0),
        PhaseInfo("title", "Title", (), ("text.md",), 0.5),
        PhaseInfo("print", "Print", ("draft", "title"), ("book/",), reads=("text.md",)),
    ]
    config = ParallelExecutionConfig(max_parallel_agents=2, lock_timeout_seconds=0)
    graph = DependencyGraph.of(phases)
    assert [wave.phases for wave in graph.waves()] == [("draft", "title"), ("print",)]
    registry = LockRegistry.open(tmp_path)
    state = replay([started(*phases, at=1.0), in_charge()])
    held = _lock(registry, "draft", config).acquire()
    assert [(lock.resource_path, lock.owner_phase, lock.lock_type) for lock in registry.locks()] == [
        ("text.md", "draft", LockType.EXCLUSIVE)
    ]
    assert ResourceLock("text.md", "title", 0.0).conflicts_with(registry.locks()[0])
    with pytest.raises(LockTimeoutError, match="draft"):
        _lock(registry, "title", config).acquire()
    state = evolve(state, attempt("draft"), ev.LockAwaited(at=1.0, phase="title", resource="text.md", holder="draft"))
    assert state.agents == (AgentInfo("x/draft.1", "draft", AgentStatus.RUNNING, ("draft.1.log",)),)
    held.release()
    state = evolve(state, ended("draft", outputs=("text.md",)))
    with _lock(registry, "title", config) as second:
        assert second.fence > 0
        state = evolve(state, attempt("title"))
        assert state.waves[0] == ExecutionWave(1, ("draft", "title"), 1.0, S.IN_PROGRESS)
    assert registry.locks() == ()
    state = evolve(state, ended("title"), attempt("print"), ended("print"), ev.RunFinished(at=9.0))
    registry.close()
    assert {wave.status for wave in state.waves} == {S.COMPLETED}
    assert (state.succeeded, state.start_time, state.end_time) == (True, 1.0, 9.0)


def _lock(registry: LockRegistry, name: str, config: ParallelExecutionConfig) -> FileLock:
    return FileLock("text.md", timeout=config.lock_timeout_seconds, registry=registry, owner=name)


def test_what_was_claimed_on_the_way_is_known_until_the_next_attempt() -> None:
    asked = ev.WriteJudged(at=3, phase="a", attempt=1, tool="Write", paths=("x",), allowed=True, claimed=("x", "y"))
    state = replay([CHAIN, attempt("a"), asked, asked])
    assert state.phase_states["a"].claimed == ("x", "y")
    again = evolve(state, ev.AttemptEnded(at=4, phase="a", attempt=1, outcome=Outcome.STOPPED), attempt("a", 2))
    assert again.phase_states["a"].claimed == ()
    with pytest.raises(IllegalTransitionError):
        evolve(state, dataclasses.replace(asked, attempt=2))


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# why\n\n  make all\nmake more\n", "run make all"),
        ("", "run "),
        ("# only words\n", "run "),
        ("x" * 60, f"run {'x' * 60}"),
        ("x" * 61, f"run {'x' * 59}…"),
    ],
)
def test_a_script_is_called_by_its_first_command(text: str, title: str) -> None:
    for language, argv in INTERPRETERS.items():
        assert script_step(JobStepKind.RUN, language, text) == JobStep(JobStepKind.RUN, title, argv, text)
    with pytest.raises(KeyError):
        script_step(JobStepKind.RUN, "cobol", text)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "./a", "a/../b", "a\0"])
def test_a_file_beside_the_work_stays_beside_it(name: str) -> None:
    with pytest.raises(InvalidValueError, match="beside the work"):
        Invocation((), files={name: ""})
