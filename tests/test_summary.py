"""The summary of a run: what every view shows, folded from its history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from run_stories import (
    MINITABLE,
    REGISTRY,
    T0,
    bad_run,
    charge,
    closed,
    end,
    fail,
    finish,
    go_on,
    good_run,
    histories,
    keep,
    opening,
    pause,
    phase,
    reset,
    skip,
    start,
    state_at,
    stop,
    until,
    wait,
)
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome, RunStarted
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.experience import Done
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.simulation import Wait
from wavecrew.views.run_forecast import left_words
from wavecrew.views.run_history import History
from wavecrew.views.summary import AT_WORK, DONE, RunStatus, Standing, Summary, summarize


def seen(events: list[Event], at: float, **more: Any) -> Summary:
    """The summary with all that was known at a moment."""
    known = until(events, at)
    told: dict[str, Any] = {"alive": True, "history": History(known)} | more
    return summarize(replay(known), T0 + at, **told)


def standings(summary: Summary) -> dict[str, str]:
    return {row.id: row.standing.value for row in summary.rows}


# -- rows -------------------------------------------------------------------------------------------------------


def test_each_phase_stands_where_the_history_left_it() -> None:
    assert standings(seen(good_run(), 6.5)) == {
        "01": "passed",
        "02": "passed",
        "03": "waiting",
        "04": "running",
        "05": "running",
        "06": "running",
        "07": "to come",
        "08": "to come",
        "09": "to come",
        "10": "to come",
    }
    assert standings(seen(bad_run(), 9)) == {
        "01": "passed",
        "02": "passed",
        "03": "skipped",
        "04": "passed",
        "05": "failed",
        "06": "retrying",
        "07": "running",
        "08": "to come",
        "09": "blocked",
        "10": "blocked",
    }


def test_a_waiting_phase_names_what_it_waits_for_who_holds_it_and_since_when() -> None:
    row = seen(good_run(), 6.5).by_id["03"]
    assert row.lock is not None
    assert (row.lock.resource, row.lock.holder, row.lock_waited) == (REGISTRY, "04", 4.5)
    assert row.reason == "waits for minitable/registry.py, held by 04 html"
    assert row.status is PhaseStatus.QUEUED


def test_a_lock_that_was_given_back_is_not_waited_for_any_more() -> None:
    events = [*until(good_run(), 6), end(7, "04")]
    assert seen(events, 7.5).by_id["03"].standing is Standing.READY


def test_a_phase_that_stands_before_another_in_line_holds_nothing_yet() -> None:
    events = [
        *opening(phase("a"), phase("b"), phase("c")),
        start(0, "a"),
        wait(0, "b", "x", "a"),
        wait(0, "c", "x", "b"),
    ]
    assert seen(events, 1).by_id["c"].reason == "waits for x, after b"


def test_a_holder_outside_the_run_is_named_as_it_is() -> None:
    events = [*opening(phase("a")), wait(0, "a", "x", "make (pid 7)")]
    assert seen(events, 2).by_id["a"].reason == "waits for x, held by make (pid 7)"


def test_steps_and_times_of_running_phases() -> None:
    summary = seen(good_run(), 6.5, progress={"04": (3, 4, "tests"), "02": (1, 1, "old")})
    row = summary.by_id["04"]
    assert (row.progress, row.elapsed, row.attempts, row.agent) == ((3, 4, "tests"), 4.5, 1, "runbook")
    assert row.left == pytest.approx(0.5)
    assert row.log == "runs/3f2a/04.1/log"
    assert summary.by_id["02"].progress is None
    assert summary.by_id["02"].elapsed == 4.0


def test_what_an_estimate_leaves_is_unknown_once_it_is_used_up() -> None:
    assert seen(until(good_run(), 6), 9).by_id["04"].left is None


def test_a_phase_that_is_to_come_names_the_open_dependencies_alone() -> None:
    row = seen(good_run(), 6.5).by_id["07"]
    assert (row.waits_for, row.reason) == (("03", "04"), "needs 03 04")


def test_a_failed_phase_tells_why_and_what_it_holds_up() -> None:
    summary = seen(bad_run(), 9)
    assert summary.by_id["05"].reason == "check: exit code 1 from: python -m unittest"
    assert summary.by_id["10"].blocked_by == ("05",)
    assert summary.by_id["10"].reason == "blocked by 05"
    assert summary.by_id["10"].waits_for == ("06", "08", "09")


def test_a_waived_phase_lets_nobody_wait_for_a_failure_behind_it() -> None:
    events = [*opening(phase("a"), phase("b", "a"), phase("c", "b")), start(0, "a"), fail(1, "a"), skip(2, "b")]
    assert standings(seen(events, 3)) == {"a": "failed", "b": "skipped", "c": "ready"}
    assert seen(events, 3).by_id["b"].reason == "skipped by ann: done by hand"


def test_a_phase_that_waits_for_others_is_not_blocked_by_a_failure_behind_a_waived_one() -> None:
    plan = (phase("a"), phase("b", "a"), phase("d"), phase("c", "b d"))
    events = [*opening(*plan), start(0, "a"), fail(1, "a"), skip(2, "b")]
    assert seen(events, 3).by_id["c"].standing is Standing.TO_COME


def test_a_retry_tells_when_and_why() -> None:
    row = seen(bad_run(), 9).by_id["06"]
    assert row.retry_at == T0 + 10
    assert row.reason == "tries again in 1.0s: its time limit passed during: run fuzz"
    assert seen(until(bad_run(), 9), 10.5).by_id["06"].standing is Standing.READY


def test_a_kept_phase_names_the_run_that_did_it() -> None:
    summary = seen([*opening(phase("a"), phase("b", "a")), keep(0, "a")], 1)
    assert (summary.by_id["a"].standing, summary.by_id["a"].reason) == (Standing.KEPT, "kept from run 11aa")


def test_phases_outside_the_selection_are_left_out_and_not_counted() -> None:
    plan = (phase("a"), phase("b", "a"), phase("c"))
    summary = seen([*opening(*plan, selected=("b",)), skip(0, "a", reason="left out")], 1)
    assert standings(summary) == {"a": "skipped", "b": "ready", "c": "left out"}
    assert (summary.done, summary.total) == (0, 1)


@pytest.mark.parametrize(
    ("settings_", "events", "at", "reason"),
    [
        ({}, [start(0, "a"), start(0, "b")], 1, "waits for a free agent (2 of 2 at work)"),
        ({"wave_delay_seconds": 5}, [start(0, "a"), end(1, "a")], 2, "wave 2 starts in 3.0s"),
        ({"wave_delay_seconds": 5}, [start(0, "a"), end(1, "a")], 6, "starts next"),
        ({"gate": "wave"}, [start(0, "a"), end(1, "a")], 2, "waits for an agent, or for the end of wave 1"),
        (
            {"fail_fast": True},
            [start(0, "a"), start(0, "b"), end(1, "a"), fail(1, "b")],
            2,
            "will not start: a phase failed, and fail_fast is on",
        ),
        ({}, [start(0, "a"), end(1, "a"), pause(1)], 2, "the run is paused by ann"),
        ({}, [start(0, "a"), end(1, "a"), pause(1), go_on(2)], 2, "starts next"),
    ],
)
def test_a_ready_phase_tells_what_it_still_waits_for(
    settings_: dict[str, Any], events: list[Event], at: float, reason: str
) -> None:
    plan = (
        phase("a"),
        phase("b"),
        phase("c", "a") if reason != "waits for a free agent (2 of 2 at work)" else phase("c"),
    )
    row = seen([*opening(*plan, agents=2, settings=settings_), *events], at).by_id["c"]
    assert (row.standing, row.reason) == (Standing.READY, reason)


def test_a_phase_that_ready_again_remembers_why_it_was_stopped() -> None:
    events = [
        *opening(phase("a")),
        start(0, "a"),
        fail(1, "a", outcome=Outcome.STOPPED, cause=Cause.STOPPED, detail=""),
    ]
    assert seen([*events, stop(1)], 2).by_id["a"].reason == "starts when the run goes on; before: stopped"


def test_every_cause_has_words_of_its_own_when_no_detail_was_recorded() -> None:
    reasons = set()
    for cause in Cause:
        events = [*opening(phase("a")), start(0, "a"), fail(1, "a", cause=cause, detail="")]
        reasons.add(seen(events, 2).by_id["a"].reason)
    assert len(reasons) == len(Cause)
    assert "" not in reasons


# -- the run as a whole -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "alive", "status"),
    [
        ([], None, RunStatus.NOT_STARTED),
        (opening(phase("a"))[:1], None, RunStatus.NOT_STARTED),
        (opening(phase("a")), True, RunStatus.RUNNING),
        (opening(phase("a")), None, RunStatus.RUNNING),
        (opening(phase("a")), False, RunStatus.INTERRUPTED),
        ([*opening(phase("a")), stop(1)], False, RunStatus.STOPPED),
        ([*opening(phase("a")), stop(1), charge(2, 2)], True, RunStatus.RUNNING),
        ([*opening(phase("a")), start(0, "a"), end(1, "a"), finish(1)], False, RunStatus.SUCCEEDED),
        ([*opening(phase("a")), start(0, "a"), fail(1, "a"), finish(1)], False, RunStatus.FAILED),
        ([*opening(phase("a")), ev.RunFinished(at=T0, missing=("a.py",))], False, RunStatus.FAILED),
    ],
)
def test_the_word_for_a_run(events: list[Event], alive: bool | None, status: RunStatus) -> None:
    assert summarize(replay(events), T0 + 5, alive=alive).status is status
    assert summarize(replay(events), T0 + 5, alive=alive, history=History(events)).status is status


def test_a_finished_run_in_which_something_was_asked_for_again_is_not_interrupted() -> None:
    events = [*opening(phase("a")), start(0, "a"), fail(1, "a"), finish(1), reset(9, "a")]
    assert seen(events, 9, alive=False).status is RunStatus.STOPPED


def test_totals() -> None:
    summary = seen(good_run(), 23)
    assert (summary.done, summary.total, summary.elapsed, summary.work) == (10, 10, 23.0, 40.0)
    assert summary.ratio == pytest.approx(1.74, abs=0.005)
    assert (summary.forecast, summary.retries) == (None, 0)
    assert sum(summary.counts.values()) == 10


def test_what_costs_no_retry_is_not_counted_as_one() -> None:
    stopped: dict[str, Any] = {"outcome": Outcome.STOPPED, "cause": Cause.QUOTA}
    events = [*opening(phase("a")), start(0, "a"), fail(1, "a", **stopped), start(2, "a", 2)]
    assert seen(events, 1.5).retries == 0
    assert seen(events, 3).retries == 0
    assert seen([*events, fail(3, "a", 2, retry_at=3), start(3, "a", 3)], 4).retries == 1


def test_work_counts_every_attempt_and_is_unknown_when_only_the_last_is_known() -> None:
    assert seen(bad_run(), 15).work == pytest.approx(2 + 4 + 5 + 1.2 + 2 + 5 + 4 + 2)
    assert seen(bad_run(), 15).retries == 1
    assert seen(bad_run(), 15, history=None).work is None
    assert seen(good_run(), 6.5).work == pytest.approx(2 + 4 + 4.5 + 0.5 + 0.5)
    assert seen(good_run(), 6.5, history=None).work == pytest.approx(11.5)


def test_time_in_which_nobody_was_in_charge_is_not_part_of_the_run() -> None:
    events = [*opening(phase("a"), phase("b", "a")), start(0, "a"), end(4, "a"), stop(4)]
    events += [reset(90, "a"), charge(100, 2), start(100, "a", 2), end(105, "a", 2)]
    assert (seen(events, 4).elapsed, seen(events, 90, alive=False).idle) == (4.0, 0.0)
    summary = seen(events, 106)
    assert (summary.elapsed, summary.idle) == (10.0, 96.0)


def test_after_a_crash_time_goes_on_as_long_as_an_agent_may_have_been_at_work() -> None:
    crashed = [*opening(phase("a")), start(0, "a"), charge(50, 2), end(60, "a")]
    assert seen(crashed, 60).elapsed == 60.0
    nobody = [*opening(phase("a"), phase("b")), start(0, "a"), end(5, "a"), charge(50, 2), start(50, "b")]
    assert seen(nobody, 60).elapsed == 15.0


def test_a_run_that_was_left_lasts_until_the_last_that_is_known_of_it() -> None:
    assert seen(until(good_run(), 9), 5000, alive=False).elapsed == 7.0
    assert seen(until(good_run(), 9), 5000, alive=False, history=None).elapsed == 7.0
    assert seen(until(good_run(), 9), 5000, alive=False).by_id["03"].reason.startswith("nobody is in charge")


def test_a_wait_for_a_lock_ends_with_its_holder_even_if_no_agent_is_free_yet() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), wait(1, "b", "x", "a"), end(4, "a"), start(9, "b")]
    (stretch,) = History(events).waits
    assert (stretch.since, stretch.until) == (T0 + 1, T0 + 4)


# -- the forecast -----------------------------------------------------------------------------------------------


def test_the_forecast_counts_in_locks_and_names_the_chain_that_paces_the_rest() -> None:
    summary = seen(good_run(), 6.5)
    assert summary.left == pytest.approx(16.5)
    assert summary.forecast is not None
    assert [step.phase for step in summary.forecast.chain] == ["04", "03", "07", "09", "10"]
    assert summary.forecast.chain[1].waited_for is Wait.LOCK


def test_the_forecast_holds_at_every_moment_of_a_run_that_goes_as_expected() -> None:
    for at in (0.5, 2.5, 6.5, 7.5, 10.5, 14.5, 22.5):
        assert seen(good_run(), at).left == pytest.approx(23 - at)


def test_without_an_estimate_there_is_no_forecast_unless_that_phase_is_done() -> None:
    plan = (phase("a"), phase("b", "a", 5))
    assert seen([*opening(*plan), start(0, "a")], 1).left is None
    assert seen([*opening(*plan), start(0, "a"), end(1, "a")], 1).left == pytest.approx(5)


def test_a_forecast_is_never_zero() -> None:
    assert seen([*opening(phase("a", "", 5)), start(0, "a")], 5).left is None
    assert seen([*opening(phase("a", "", 0))], 0).left is None


def test_the_forecast_counts_agents() -> None:
    plan = [phase(name, "", 10) for name in "abcdef"]
    assert seen(opening(*plan, agents=2), 0).left == pytest.approx(30)
    assert seen(opening(*plan, agents=6), 0).left == pytest.approx(10)


def test_phases_that_want_one_file_take_turns_in_the_forecast() -> None:
    plan = [phase(name, "", 10, "shared.txt") for name in "abcdef"]
    assert seen([*opening(*plan, agents=6), start(0, "a")], 4).left == pytest.approx(56)


def test_what_a_failure_holds_up_and_what_is_left_out_takes_no_time() -> None:
    plan = (phase("a", "", 3), phase("b", "a", 1000), phase("c", "", 7), phase("d", "", 500))
    events = [*opening(*plan, selected=("a", "b", "c")), start(0, "a"), start(0, "c"), fail(1, "a")]
    assert seen(events, 1).left == pytest.approx(6)


def after(events: list[Event], *done: Done) -> list[Event]:
    """The same run with some experience."""
    return [replace(one, experience=done) if isinstance(one, RunStarted) else one for one in events]


def test_with_enough_experience_the_forecast_is_a_range() -> None:
    done = [Done(f"p{number}", "runbook", 10 * factor, 10) for number, factor in enumerate((1, 2, 3, 4, 5))]
    plan = (phase("a", "", 10), phase("b", "a", 20))

    told = seen(after(opening(*plan), *done), 0).forecast

    assert told is not None
    assert (told.soonest, told.left, told.latest) == pytest.approx((60, 90, 120))
    assert left_words(told) == "1m00s to 2m00s"
    few = seen(after(opening(*plan), *done[:2]), 0).forecast
    assert few is not None
    assert (few.soonest, few.left, few.latest) == (None, 30, None)
    assert left_words(few) == "about 30.0s"
    assert left_words(None) == ""


def test_what_a_run_has_done_corrects_what_it_still_has_to_do() -> None:
    plan = [phase(name, "", 10) for name in "abcd"]
    events = opening(*plan, agents=1)
    for number, name in enumerate("abc"):
        events += [start(number * 20, name), end(number * 20 + 20, name)]

    assert seen(events, 60).left == pytest.approx(20)


def test_a_phase_without_an_estimate_takes_what_it_took_before() -> None:
    plan = (phase("a"), phase("b", "a", 5))

    told = seen(after(opening(*plan), Done("a", "runbook", 7)), 0).forecast

    assert told is not None
    assert (told.soonest, told.left, told.latest) == (None, 12, None)
    assert seen(after(opening(*plan), Done("a", "codex", 7)), 0).forecast is None


def test_time_in_which_nobody_was_in_charge_is_no_experience() -> None:
    ended = replace(end(30, "a"), unattended=20.0)

    assert state_at([*opening(phase("a", "", 5)), start(0, "a"), ended], 30).experience.done == (
        Done("a", "runbook", 10, 5),
    )


def test_nothing_may_be_left_at_best() -> None:
    done = [Done(f"p{number}", "runbook", 10 * factor, 10) for number, factor in enumerate((1, 1, 3, 3, 9))]

    told = seen(after([*opening(phase("a", "", 10)), start(0, "a")], *done), 15).forecast

    assert told is not None
    assert (told.soonest, told.left, told.latest) == pytest.approx((0, 15, 15))


def test_a_phase_at_work_that_the_run_leaves_out_is_no_part_of_the_forecast() -> None:
    events = [*opening(phase("a", "", 9), phase("b", "", 4), selected=("b",)), start(0, "a"), start(0, "b")]
    assert seen(events, 1).left == pytest.approx(3)


def test_the_forecast_counts_the_pause_before_a_retry() -> None:
    events = [*opening(phase("a", "", 10)), start(0, "a"), fail(2, "a", retry_at=7)]
    assert seen(events, 4).left == pytest.approx(13)


def test_the_forecast_counts_the_time_that_an_account_is_closed() -> None:
    events = [*opening(phase("a", "", 4), phase("b", "", 4), agents=1), closed(0, 60)]
    assert seen(events, 0).left == pytest.approx(68)  # both wait for it, and then they take turns
    assert seen(events, 61).left == pytest.approx(8)
    others = [*opening(phase("a", "", 4), phase("b", "", 4, agent="x"), agents=1), closed(0, 60)]
    assert seen(others, 0).left == pytest.approx(64)


def test_the_forecast_counts_the_pauses_between_waves() -> None:
    plan = (phase("a", "", 1), phase("b", "a", 1), phase("c", "b", 1), phase("d", "c", 9))
    slow = seen([*opening(*plan, settings={"wave_delay_seconds": 5}), start(0, "a")], 0.5)
    assert slow.left == pytest.approx(23.5)
    assert slow.forecast is not None
    assert slow.forecast.wave_delay == 5
    assert seen([*opening(*plan, settings={"wave_delay_seconds": 0.5}), start(0, "a")], 0.5).left == pytest.approx(11.5)
    gated = [*opening(*plan, phase("e", "", 20), settings={"gate": "wave", "wave_delay_seconds": 2}), start(0, "e")]
    assert seen(gated, 0).left == pytest.approx(20 + 2 + 1 + 2 + 1 + 2 + 9)


def test_more_agents_at_work_than_the_new_coordinator_allows_are_all_counted() -> None:
    plan = [phase(name, "", 10) for name in "abc"]
    events = [*opening(*plan, agents=3), *(start(0, name) for name in "abc"), charge(5, 2, agents=1)]
    assert seen(events, 5).left == pytest.approx(5)


# -- any history ------------------------------------------------------------------------------------------------


def _blocked_the_slow_way(state: ExecutionState, name: str) -> tuple[str, ...]:
    """Walk back through what is not satisfied; every failed or left out phase on the way is in the way."""
    found: set[str] = set()
    stack = [other for other in state.graph.edges[name] if not state.phase_states[other].satisfied]
    while stack:
        other = stack.pop()
        if state.phase_states[other].status is PhaseStatus.FAILED or not state.to_do(other) or state.rejected(other):
            found.add(other)
        stack += [more for more in state.graph.edges[other] if not state.phase_states[more].satisfied]
    return tuple(one for one in state.graph.nodes if one in found)


@settings(deadline=None, max_examples=150)
@given(histories(), st.sampled_from([True, False, None]), st.floats(0, 5000))
def test_the_summary_of_any_history_adds_up(events: list[Event], alive: bool | None, later: float) -> None:
    state, now = replay(events), events[-1].at + later
    summary = summarize(state, now, alive=alive, history=History(events))
    assert [row.id for row in summary.rows] == list(state.graph.nodes)
    assert sum(summary.counts.values()) == len(summary.rows)
    assert 0 <= summary.done <= summary.total
    assert (summary.status is RunStatus.SUCCEEDED) == (state.end_time is not None and state.succeeded)
    assert summary.left is None or summary.left > 0
    assert summary.elapsed is not None
    assert summary.elapsed >= 0
    for row in summary.rows:
        assert (row.standing in DONE) == state.phase_states[row.id].satisfied
        assert (row.standing in AT_WORK) == (row.status is PhaseStatus.IN_PROGRESS and row.waiver is None)
        assert bool(row.lock) == (row.standing is Standing.WAITING)
        assert row.reason or row.standing in (Standing.PASSED, Standing.RUNNING)
        if row.standing in (Standing.BLOCKED, Standing.TO_COME):
            assert row.blocked_by == _blocked_the_slow_way(state, row.id)
            assert (row.standing is Standing.BLOCKED) == bool(row.blocked_by or state.rejected(row.id))


@settings(deadline=None, max_examples=60)
@given(histories())
def test_a_history_is_the_same_whether_it_is_read_at_once_or_bit_by_bit(events: list[Event]) -> None:
    whole, bits = History(events), History()
    for event in events:
        bits.add([event])
    assert (whole.attempts, whole.waits, whole.idle) == (bits.attempts, bits.waits, bits.idle)
    now = events[-1].at
    assert whole.work(now) == pytest.approx(sum(attempt.lasted(now) for attempt in whole.attempts))
    assert all(wait.until is None or wait.until >= wait.since for wait in whole.waits)
    assert whole.idle_time(now) <= now - T0 + 1e-6


def test_a_small_plan_has_the_same_rows_at_the_end_however_it_is_folded() -> None:
    assert summarize(state_at(good_run(), 23), T0 + 23).rows == seen(good_run(), 23).rows
    assert len(MINITABLE) == 10


def test_who_waits_for_the_machine_says_so_until_something_starts() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), ev.RoomAwaited(at=1)]

    assert state_at(events, 1).waits_for_room
    assert not state_at([*events, start(2, "b")], 2).waits_for_room
