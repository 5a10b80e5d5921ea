"""What people may wish of a run, which events it leads to, and what is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from run_stories import T0, charge, end, fail, finish, go_on, opening, pause, phase, skip, start, stop
from wavecrew.core import wishes
from wavecrew.core.scheduler import Decision, Policy, decide
from wavecrew.core.store import Store
from wavecrew.core.verdicts import cancelled
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve, replay
from wavecrew.models.phase_status import PhaseStatus

NOW = T0 + 100
PLAN = (phase("a"), phase("b", "a"), phase("c", "b"), phase("d", "a"))
"""c rests on b, b and d rest on a."""
ALL_DONE: list[Event] = [event for name in "abcd" for event in (start(1, name), end(2, name))]


def wish(kind: str, *phases: str, hard: bool = False, reason: str = "") -> Wish:
    return Wish(kind=WishKind(kind), by="ann", phases=phases, hard=hard, reason=reason)


def after(*events: Event) -> ExecutionState:
    return replay([*opening(*PLAN), *events])


def wished(state: ExecutionState, what: Wish) -> ExecutionState:
    """The state after the events of a wish, which must fit it."""
    return evolve(state, *wishes.events_for(what, state, NOW))


def statuses(state: ExecutionState) -> str:
    """`a` NOT_STARTED as `-`, QUEUED `q`, IN_PROGRESS `>`, COMPLETED `+`, FAILED `x`."""
    signs = dict(zip(PhaseStatus, "-q>+x", strict=True))
    return "".join(signs[state.status_of(name)] for name in "abcd")


# -- retry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hard", "left"),
    [
        ("a", False, "q+++"),
        ("a", True, "q---"),
        ("b", False, "+q++"),
        ("b", True, "+q-+"),
        ("c", True, "++q+"),
    ],
)
def test_what_is_done_again(name: str, hard: bool, left: str) -> None:
    assert statuses(wished(after(*ALL_DONE), wish("retry", name, hard=hard))) == left


def test_ready_phases_step_back_behind_what_is_done_again() -> None:
    state = after(start(1, "a"), end(2, "a"))
    assert statuses(state) == "+q-q"
    assert statuses(wished(state, wish("retry", "a"))) == "q---"


def test_several_are_done_again_in_one_wish_whatever_their_order() -> None:
    for names in ("ab", "ba"):
        assert statuses(wished(after(*ALL_DONE), wish("retry", *names))) == "q-++"


def test_a_retry_starts_counting_failures_anew_and_keeps_its_name_and_reason() -> None:
    state = after(start(1, "a"), fail(2, "a"))
    (event,) = wishes.events_for(wish("retry", "a", reason="mended"), state, NOW)
    assert event == ev.PhaseReset(at=NOW, phase="a", by="ann", reason="mended")
    found = evolve(state, event).phase_states["a"]
    assert (found.failures, found.attempts) == (0, 1)


def test_a_retry_takes_a_waiver_back() -> None:
    state = after(skip(1, "a"))
    assert statuses(state) == "qq-q"
    assert statuses(wished(state, wish("retry", "a"))) == "q---"


def test_what_is_at_work_further_down_is_not_pulled_away_from_under_its_agent() -> None:
    state = after(start(1, "a"), end(2, "a"), start(3, "b"))
    assert statuses(wished(state, wish("retry", "a"))) == "q>--", "alone it may be done again"
    with pytest.raises(UsageError, match="phase b is at work"):
        wishes.events_for(wish("retry", "a", hard=True), state, NOW)


# -- skip -------------------------------------------------------------------------------------------------------


def test_a_waiver_lets_dependents_go_on_and_bears_a_name() -> None:
    for state in (after(), after(start(1, "a"), fail(2, "a"))):
        left = wished(state, wish("skip", "a", reason="by hand"))
        assert statuses(left)[1::2] == "qq"
        waiver = left.phase_states["a"].waiver
        assert waiver is not None
        assert (waiver.by, waiver.reason, waiver.at) == ("ann", "by hand", NOW)


# -- pause and continue -----------------------------------------------------------------------------------------


def test_pausing_and_continuing_twice_is_once() -> None:
    state = wished(after(), wish("pause", reason="lunch"))
    assert state.paused_by == "ann"
    assert wishes.events_for(wish("pause"), state, NOW) == ()
    again = wished(state, wish("continue"))
    assert again.paused_by == ""
    assert wishes.events_for(wish("continue"), again, NOW) == ()


def test_a_paused_run_starts_nothing_and_is_not_finished_by_that() -> None:
    policy = Policy(3, {name: place for place, name in enumerate("abcd")}, dict.fromkeys("abcd", ()))
    assert decide(after(pause(1)), policy, NOW) == Decision()
    assert decide(after(pause(1), go_on(2)), policy, NOW).start == ("a",)
    assert decide(after(pause(1)), policy, NOW, granted={"a"}) == Decision()
    assert decide(after(start(1, "a"), pause(2)), policy, NOW) == Decision()
    over = after(start(1, "a"), pause(2), fail(3, "a"))
    assert decide(over, policy, NOW).finished, "a failure that leaves nothing to start ends a paused run, too"


def test_a_pause_outlives_its_coordinator() -> None:
    state = after(pause(1), stop(2), charge(3, 2))
    assert state.paused_by == "ann"


# -- cancel -----------------------------------------------------------------------------------------------------


def test_a_ready_phase_is_given_up_and_an_agent_at_work_is_marked() -> None:
    state = after(start(1, "a"), end(2, "a"), start(3, "b"))
    marked, refused = wishes.events_for(wish("cancel", "b", "d"), state, NOW)
    assert marked == ev.AttemptCancelled(at=NOW, phase="b", attempt=1, by="ann")
    assert refused == ev.PhaseRefused(at=NOW, phase="d", cause=Cause.CANCELLED, detail="cancelled by ann")
    then = evolve(state, marked, refused)
    assert statuses(then) == "+>-x"
    assert then.phase_states["b"].cancelled_by == "ann"


def test_a_cancellation_is_forgotten_with_its_attempt() -> None:
    state = after(start(1, "a"), ev.AttemptCancelled(at=2, phase="a", attempt=1, by="ann"))
    lost = ev.AttemptEnded(at=3, phase="a", attempt=1, outcome=Outcome.LOST, retry_at=3.0)
    again = evolve(state, lost, ev.AttemptStarted(at=4, phase="a", attempt=2, agent="x"))
    assert again.phase_states["a"].cancelled_by == ""


def _ended(outcome: Outcome, cause: Cause = Cause.EXIT, retry_at: float | None = None) -> ev.AttemptEnded:
    return ev.AttemptEnded(at=NOW, phase="a", attempt=1, outcome=outcome, cause=cause, retry_at=retry_at, exit_code=1)


@pytest.mark.parametrize(
    "ended",
    [
        _ended(Outcome.STOPPED, Cause.STOPPED),
        _ended(Outcome.FAILED, retry_at=NOW + 3),
        _ended(Outcome.FAILED, Cause.TIMEOUT),
        _ended(Outcome.LOST, Cause.LOST, retry_at=NOW),
    ],
    ids=["stopped", "failed", "timeout", "lost"],
)
def test_a_cancelled_attempt_is_over_for_good_however_it_ended(ended: ev.AttemptEnded) -> None:
    told = cancelled(ended, "ann")
    assert (told.outcome, told.cause, told.detail) == (Outcome.FAILED, Cause.CANCELLED, "cancelled by ann")
    assert statuses(evolve(after(start(1, "a")), told)) == "x---"


def test_an_agent_that_was_faster_than_its_cancellation_has_done_its_work() -> None:
    ended = _ended(Outcome.SUCCEEDED, Cause.NONE)
    assert cancelled(ended, "ann") is ended


# -- what does not fit ------------------------------------------------------------------------------------------

MIXED = (start(1, "a"), end(2, "a"), start(3, "b"))
OVER = (*ALL_DONE, finish(3))


@pytest.mark.parametrize(
    ("what", "history", "reason"),
    [
        (wish("retry", "zz"), MIXED, "there is no phase 'zz'"),
        (wish("cancel", "b", "zz"), MIXED, "there is no phase 'zz'"),
        (wish("retry", "b"), MIXED, "phase b is IN_PROGRESS; only what has ended"),
        (wish("retry", "c"), MIXED, "phase c is NOT_STARTED"),
        (wish("retry", "d"), MIXED, "phase d is QUEUED"),
        (wish("retry", "a", "c"), MIXED, "phase c is NOT_STARTED"),
        (wish("skip", "a"), MIXED, "phase a is completed; there is nothing to skip"),
        (wish("skip", "b"), MIXED, "phase b is at work"),
        (wish("skip", "a"), (skip(1, "a"),), "phase a is skipped already"),
        (wish("cancel", "a"), MIXED, "phase a is COMPLETED"),
        (wish("cancel", "c"), MIXED, "phase c is NOT_STARTED"),
        (wish("cancel", "b", "c"), MIXED, "phase c is NOT_STARTED"),
        (wish("cancel"), OVER, "run 3f2a is over; there is nothing to cancel"),
        (wish("pause"), OVER, "run 3f2a is over; there is nothing to pause"),
        (wish("cancel"), (stop(1),), r"run 3f2a was stopped already \(SIGINT\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(what: Wish, history: tuple[Event, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        wishes.events_for(what, after(*history), NOW)


def test_a_run_that_was_stopped_with_an_agent_left_can_be_cancelled() -> None:
    state = after(start(1, "a"), stop(2))
    assert wishes.events_for(wish("cancel"), state, NOW) == ()


def test_what_a_run_leaves_out_is_not_done_again_in_it() -> None:
    history = [*opening(*PLAN, selected=("b",)), skip(0, "a"), start(1, "b"), end(2, "b")]
    with pytest.raises(UsageError, match="phase a is not among those that this run is to do") as refused:
        wishes.events_for(wish("retry", "a"), replay(history), NOW)
    assert "--only a" in refused.value.fix
    assert wished(replay(history), wish("retry", "b")).status_of("b") is PhaseStatus.QUEUED


def test_every_wish_that_is_granted_gives_events_that_fit() -> None:
    histories = [(), MIXED, OVER, ALL_DONE, (start(1, "a"), fail(2, "a")), (skip(1, "a"), start(2, "b")), (pause(1),)]
    granted = 0
    for history in histories:
        for kind in WishKind:
            for names in ((), ("a",), ("b",), ("a", "d"), ("c", "b")):
                if bool(names) is (kind in (WishKind.PAUSE, WishKind.CONTINUE)):
                    continue
                for hard in (False, True):
                    try:
                        wished(after(*history), wish(kind.value, *names, hard=hard))
                        granted += 1
                    except UsageError:
                        continue
    assert granted > 40


# -- in the store -----------------------------------------------------------------------------------------------


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with Store.open(tmp_path) as store, store.transaction() as found:
        yield found


def test_a_wish_waits_for_its_answer_and_is_forgotten_then(tx: sqlite3.Connection) -> None:
    first, other = wish("retry", "a", reason="r", hard=True), wish("pause")
    number = wishes.put(tx, "r1", first)
    second = wishes.put(tx, "r1", other)
    wishes.put(tx, "r2", other)
    assert wishes.waiting(tx, "r1") == [(number, first), (second, other)]
    assert wishes.answer_to(tx, number) is None
    wishes.answer(tx, number, "")
    wishes.answer(tx, second, "no\nfix")
    assert wishes.waiting(tx, "r1") == []
    assert (wishes.answer_to(tx, number), wishes.answer_to(tx, second)) == ("", "no\nfix")
    wishes.withdraw(tx, number)
    assert wishes.answer_to(tx, number) is None
    assert wishes.answer_to(tx, second) == "no\nfix"


def test_a_wish_that_was_taken_back_is_not_fulfilled(tx: sqlite3.Connection) -> None:
    wishes.withdraw(tx, wishes.put(tx, "r1", wish("cancel")))
    assert wishes.waiting(tx, "r1") == []


def test_old_wishes_are_forgotten_and_those_of_others_are_not(
    tx: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wishes.time, "time", lambda: 100.0)
    wishes.put(tx, "r1", wish("cancel"))
    wishes.put(tx, "r2", wish("cancel"))
    wishes.forget_old(tx, "r1", 100.0 + wishes.PATIENCE_SECONDS)
    assert len(wishes.waiting(tx, "r1")) == 1, "whoever asked may still be waiting"
    wishes.forget_old(tx, "r1", 100.5 + wishes.PATIENCE_SECONDS)
    assert len(wishes.waiting(tx, "r1")) == 0
    assert len(wishes.waiting(tx, "r2")) == 1


@pytest.mark.parametrize("record", ["", "{", "[]", '{"kind": "fly", "by": "x"}', '{"kind": "pause", "speed": 3}'])
def test_a_wish_in_an_unknown_form_is_found_and_not_understood(tx: sqlite3.Connection, record: str) -> None:
    tx.execute("INSERT INTO wish(run, asked, record) VALUES('r1', 0, ?)", (record,))
    number = wishes.put(tx, "r1", wish("pause"))
    (_, unknown), known = wishes.waiting(tx, "r1")
    assert unknown is None
    assert known == (number, wish("pause"))
