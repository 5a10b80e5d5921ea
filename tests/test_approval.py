"""Gates that people open or close: which words mean which gate, which events an answer leads to, what is refused."""

from __future__ import annotations

import pytest

from run_stories import T0, charge, end, fail, finish, opening, phase, skip, start
from wavecrew.cli.control_commands import gates_named
from wavecrew.core import wishes
from wavecrew.core.scheduler import Decision, Policy, decide
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import NotFoundError, UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event
from wavecrew.models.execution_state import ExecutionState, GateStatus, evolve, replay
from wavecrew.models.phase_status import PhaseStatus

NOW = T0 + 100
PLAN = (phase("a"), phase("b", "a"), phase("c", "a"), phase("d", "b"))


def wish(kind: WishKind, *gates: str, reason: str = "") -> Wish:
    return Wish(kind=kind, by="ann", gates=gates, reason=reason)


def approve(*gates: str) -> Wish:
    return wish(WishKind.APPROVE, *gates)


def reject(*gates: str, reason: str = "too early") -> Wish:
    return wish(WishKind.REJECT, *gates, reason=reason)


def after(*events: Event, gate: str = "wave") -> ExecutionState:
    return replay([*opening(*PLAN, settings={"gate": gate}), *events])


def asked(gate: str) -> Event:
    return ev.ApprovalAsked(at=T0 + 5, gate=gate)


WAVE_2: list[Event] = [start(1, "a"), end(2, "a"), asked("wave 2")]


def wished(state: ExecutionState, what: Wish) -> ExecutionState:
    return evolve(state, *wishes.events_for(what, state, NOW))


def decision(state: ExecutionState, gate: str = "wave") -> Decision:
    rank = {found.id: place for place, found in enumerate(PLAN)}
    claims = {found.id: found.claims for found in PLAN}
    return decide(state, Policy(3, rank, claims, gate=gate), NOW)  # type: ignore[arg-type]


# -- answers ----------------------------------------------------------------------------------------------------


def test_who_approves_opens_the_gate_under_their_name() -> None:
    state = after(*WAVE_2)
    assert (decision(state).start, state.needs_you) == ((), ("wave 2",))
    events = wishes.events_for(wish(WishKind.APPROVE, "wave 2", reason="looks good"), state, NOW)
    assert events == (ev.GateApproved(at=NOW, gate="wave 2", by="ann", reason="looks good"),)
    assert decision(evolve(state, *events)).start == ("b", "c")


def test_several_gates_are_answered_in_one_wish_and_an_answer_given_twice_is_given_once() -> None:
    state = wished(after(asked("phase a"), gate="phase"), approve("phase a", "phase b"))
    assert {name: gate.status for name, gate in state.gates.items()} == {
        "phase a": GateStatus.APPROVED,
        "phase b": GateStatus.APPROVED,
    }
    assert wishes.events_for(approve("phase a"), state, NOW) == ()
    state = wished(after(*WAVE_2), reject("wave 2"))
    assert wishes.events_for(reject("wave 2"), state, NOW) == ()


def test_who_rejects_gives_up_what_is_ready_behind_the_gate() -> None:
    state = after(*WAVE_2, skip(6, "c"))
    first, *refused = wishes.events_for(reject("wave 2"), state, NOW)
    assert first == ev.GateRejected(at=NOW, gate="wave 2", by="ann", reason="too early")
    why = "wave 2 was rejected by ann: too early"
    assert refused == [ev.PhaseRefused(at=NOW, phase="b", cause=Cause.REJECTED, detail=why)]
    state = evolve(state, first, *refused)
    assert (decision(state).finished, state.blockers("d"), state.needs_you) == (True, ("b",), ())


def test_a_rejection_in_advance_holds_when_its_time_comes() -> None:
    state = wished(after(asked("phase a"), gate="phase"), reject("phase d", reason=""))
    assert (state.status_of("d"), state.rejected("d")) == (PhaseStatus.NOT_STARTED, "phase d")


def test_who_approves_after_all_has_done_again_what_was_given_up_for_that_alone() -> None:
    failed = [start(1, "a"), end(2, "a"), asked("wave 2"), start(6, "c"), fail(7, "c")]
    state = wished(after(*failed), reject("wave 2"))
    assert [state.status_of(name).name for name in "bc"] == ["FAILED", "FAILED"]
    events = wishes.events_for(approve("wave 2"), state, NOW)
    assert events == (
        ev.PhaseReset(at=NOW, phase="b", by="ann", reason="wave 2 was approved"),
        ev.GateApproved(at=NOW, gate="wave 2", by="ann"),
    )
    state = evolve(state, *events)
    assert (decision(state).start, state.gates["wave 2"].status) == (("b",), GateStatus.APPROVED)


def test_who_wants_a_rejected_phase_again_is_asked_again() -> None:
    state = wished(after(*WAVE_2), reject("wave 2"))
    state = evolve(state, finish(101), *wishes.events_for(Wish(kind=WishKind.RETRY, by="bob", phases=("b",)), state, 1))
    assert (decision(state).ask, decision(state).start) == (("wave 2",), ())


def test_a_new_coordinator_asks_anew_and_keeps_answers() -> None:
    state = after(*WAVE_2, charge(7, 2))
    assert (state.needs_you, decision(state).ask) == ((), ("wave 2",))
    state = evolve(wished(after(*WAVE_2), approve("wave 2")), charge(200, 2))
    assert decision(state).start == ("b", "c")


@pytest.mark.parametrize(
    ("events", "what", "gate", "reason"),
    [
        ([], approve("wave 9"), "wave", "run 3f2a has no gate 'wave 9'"),
        ([], approve("wave 1"), "wave", "run 3f2a has no gate 'wave 1'"),
        ([], approve("phase a"), "wave", "run 3f2a has no gate 'phase a'"),
        ([], approve("wave 2"), "none", "run 3f2a has no gate 'wave 2'"),
        ([], reject("wave 2"), "phase", "run 3f2a has no gate 'wave 2'"),
        ([start(1, "a")], approve("phase a"), "phase", "nothing waits behind phase a any more"),
        ([skip(1, "a")], approve("phase a"), "phase", "nothing waits behind phase a any more"),
        ([*WAVE_2, skip(6, "b"), skip(6, "c")], reject("wave 2"), "wave", "nothing waits behind wave 2 any more"),
        (
            [*WAVE_2, ev.GateApproved(at=NOW, gate="wave 2", by="bob")],
            reject("wave 2"),
            "wave",
            "wave 2 was approved already, by bob",
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(events: list[Event], what: Wish, gate: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        wishes.events_for(what, after(*events, gate=gate), NOW)
    assert refused.value.reason == reason


def test_a_gate_that_is_asked_for_can_be_answered_whatever_the_run_was_started_with() -> None:
    assert wished(after(asked("phase a"), gate="none"), approve("phase a")).needs_you == ()


# -- words ------------------------------------------------------------------------------------------------------


NUMBERED = (phase("1 scaffold"), phase("2 reader", "1"), phase("3 wave", "2"), phase("wave", "2"))


@pytest.mark.parametrize(
    ("words", "gate", "means"),
    [
        ("wave 2", "wave", "wave 2"),
        ("Wave  02", "wave", "wave 2"),
        ("2", "wave", "wave 2"),
        ("2", "phase", "phase 2"),
        ("9", "wave", None),
        ("3 2 3", "wave", "wave 3, wave 2"),
        ("phase 2", "wave", "phase 2"),
        ("phase reader", "phase", "phase 2"),
        ("reader", "phase", "phase 2"),
        ("Phase SCAFFOLD", "phase", "phase 1"),
        ("phase nobody", "phase", None),
        ("*", "phase", None),
    ],
)
def test_words_for_gates(words: str, gate: str, means: str | None) -> None:
    state = replay(opening(*NUMBERED[:3], settings={"gate": gate}))
    forms = [tuple(words.split())] + [(words,)] * (words.count(" ") == 1 or words.startswith("Wave"))
    for form in forms:
        if means is None:
            with pytest.raises(NotFoundError):
                gates_named(state, form)
        else:
            assert ", ".join(gates_named(state, form)) == means


def test_a_phase_may_be_called_wave() -> None:
    state = replay(opening(*NUMBERED, settings={"gate": "phase"}))
    assert gates_named(state, ("wave", "2")) == ("phase wave", "phase 2")
    assert gates_named(state, ("wave 2",)) == ("wave 2",)
    assert gates_named(state, ("phase wave",)) == ("phase wave",)


def test_a_number_is_a_wave_where_waves_are_asked_for() -> None:
    state = replay([*opening(*NUMBERED), asked("wave 1")])
    assert gates_named(state, ("2",)) == ("wave 2",)
    assert gates_named(replay(opening(*NUMBERED)), ("2",)) == ("phase 2",)
