"""Time in which nobody was in charge of a run: what views of it count as work, and what they say of agents then."""

from __future__ import annotations

from dataclasses import replace

from run_stories import T0, charge, end, opening, phase, start
from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.execution_state import replay
from wavecrew.models.results import Sign
from wavecrew.views.run_history import History
from wavecrew.views.run_plain import lines_for
from wavecrew.views.run_report import report_data, report_text
from wavecrew.views.run_status import status_text
from wavecrew.views.summary import Standing, summarize


def _over(at: float, name: str, unattended: float) -> Event:
    ended = ev.AttemptEnded(at=T0 + at, phase=name, attempt=1, outcome=Outcome.SUCCEEDED)
    return replace(ended, unattended=unattended)


def test_what_was_over_before_anybody_took_charge_again_lasted_until_its_end() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), start(0, "b"), charge(1000, epoch=2)]
    events += [_over(1001, "a", 990), _over(1001, "b", 980)]
    history = History(events)
    assert [attempt.lasted(T0 + 1001) for attempt in history.attempts] == [11, 21]
    assert history.work(T0 + 1001) == 32
    assert history.idle == [(T0 + 20, T0 + 1000)]
    summary = summarize(replay(events), T0 + 1001, alive=True, history=history)
    assert (summary.elapsed, summary.work, [row.elapsed for row in summary.rows]) == (21, 32, [11, 21])
    assert "wall 21.0s  work 32.0s" in report_text(replay(events), events, alive=True).replace(" · ", "  ")
    (first,) = report_data(replay(events), events)["phases"][0]["attempts"]
    assert (first["ended"] - first["started"], first["unattended_seconds"]) == (1001, 990)


def test_nobody_was_idle_while_one_agent_went_on_alone() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), start(0, "b"), charge(1000, epoch=2)]
    events += [ev.AttemptAdopted(at=T0 + 1000, phase="b", attempt=1), _over(1001, "a", 990), end(1100, "b")]
    history = History(events)
    assert history.idle == []
    assert [attempt.lasted(T0 + 1100) for attempt in history.attempts] == [11, 1100]


def test_time_before_a_wish_that_found_nobody_in_charge_is_idle_too() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), start(0, "b"), _over(1000, "a", 990)]
    events += [_over(1000, "b", 980), charge(1000, epoch=2)]
    assert History(events).idle == [(T0 + 20, T0 + 1000)]


def test_plain_lines_tell_how_long_an_agent_was_at_work_and_not_when_that_was_found_out() -> None:
    events = [*opening(phase("a")), start(0, "a"), charge(1000, epoch=2), _over(1001, "a", 990)]
    (line,) = lines_for(events[-1], replay(events), T0)
    assert line.split()[-1] == "11.0s"


# -- agents that nobody is in charge of ---------------------------------------------------------------------------


def test_an_agent_that_is_proven_dead_is_not_running() -> None:
    """Without a coordinator it is looked at what each agent has left: dead, ended, and at work are told apart."""
    events = [*opening(phase("a"), phase("b"), phase("c")), start(0, "a"), start(0, "b"), start(0, "c")]
    signs = {"a": Sign(False, T0 + 10, False), "b": Sign(False, T0 + 20, True), "c": Sign(True, T0 + 30, False)}
    state = replay(events)
    summary = summarize(state, T0 + 1000, alive=False, history=History(events), signs=signs)
    rows = summary.by_id
    assert [rows[name].standing for name in "abc"] == [Standing.GONE, Standing.GONE, Standing.RUNNING]
    assert [rows[name].elapsed for name in "abc"] == [10, 20, 1000]
    assert summary.work == 1030
    assert "dead and left no result" in rows["a"].reason
    assert "takes in what it left" in rows["b"].reason
    assert "still at work" in rows["c"].reason
    assert "2 gone" in status_text(summary)
    still = summarize(state, T0 + 1000, alive=False, history=History(events), signs={**signs, "c": signs["a"]})
    assert (still.elapsed, still.work) == (20, 40)


def test_signs_of_a_run_that_somebody_is_in_charge_of_are_not_asked() -> None:
    state = replay([*opening(phase("a")), start(0, "a")])
    summary = summarize(state, T0 + 9, alive=True, signs={"a": Sign(False, T0 + 1, False)})
    assert summary.by_id["a"].standing is Standing.RUNNING
