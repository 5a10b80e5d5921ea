"""What a person reads of a run that has ended, or was asked for more: the whole of it, and what comes next."""

from __future__ import annotations

from dataclasses import replace

from run_stories import T0, bad_run, end, fail, finish, opening, pause, phase, reset, start, stop
from wavecrew.models import events as ev
from wavecrew.models.events import Cause
from wavecrew.models.execution_state import replay
from wavecrew.views.earlier import earlier_attempts
from wavecrew.views.run_history import History
from wavecrew.views.run_plain import lines_for
from wavecrew.views.run_status import run_text, runs_table, status_data, status_text
from wavecrew.views.summary import Summary, summarize


def _summary(events: list) -> Summary:  # type: ignore[type-arg]
    return summarize(replay(events), T0 + 1000, alive=False, history=History(events))


def test_a_run_that_had_ended_and_is_wanted_again_was_stopped_by_nobody() -> None:
    """Nor did it take any time to be asked."""
    summary = _summary([*opening(phase("a")), start(0, "a"), end(5, "a"), finish(6), reset(500, "a")])
    told = " ".join(status_text(summary).split())
    assert told.startswith("run 3f2a open again after 6.0s")
    assert "it had ended, and what was asked for since is still to be done" in told
    assert "stopped" not in told
    assert "open again" in runs_table([summary])
    assert status_data(summary)["status"] == "stopped", "for programs it is what it was"


def test_no_reason_is_cut_where_one_run_is_shown_in_full() -> None:
    summary = _summary(bad_run())
    why = "a reason of many words " * 12 + "to its end"
    rows = tuple(replace(row, reason=why) if row.reason else row for row in summary.rows)
    told = run_text(replace(summary, rows=rows))
    assert "…" not in told
    assert told.split().count("end") >= 1
    assert all(len(line) <= 80 for line in told.splitlines())


# -- why a phase was tried more than once -------------------------------------------------------------------------


def test_each_attempt_before_the_latest_says_how_it_ended_and_why_there_was_another() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), start(0, "b")]
    events += [fail(1, "a", retry_at=2, cause=Cause.EXIT, detail="exit code 3"), start(2, "a", 2)]
    events += [end(3, "b"), end(4, "a", 2)]
    events += [reset(5, "a", by="ann", reason="other words"), start(6, "a", 3), end(7, "a", 3), reset(8, "a")]
    told = earlier_attempts(events, "a", 4)
    assert told == (
        "attempt 1 failed: exit code 3",
        "attempt 2 succeeded; asked for again by ann (other words)",
        "attempt 3 succeeded; asked for again by ann",
    )
    assert earlier_attempts(events, "a", 2) == told[:1]
    assert earlier_attempts(events, "b", 1) == ()


def test_a_wait_for_room_is_told_where_it_holds_something_up() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), ev.RoomAwaited(at=T0 + 1)]
    (line,) = lines_for(events[-1], replay(events), T0)
    assert line == "00:01.0 room   this machine has no room for one more agent (min_free_memory, max_load)"
    row = summarize(replay(events), T0 + 2, alive=True).by_id["b"]
    assert row.reason.startswith("this machine has no room")
    assert summarize(replay([*events, start(3, "b")]), T0 + 4, alive=True).by_id["b"].reason == ""


def test_a_run_that_was_left_while_it_was_paused_is_continued_first() -> None:
    told = status_text(_summary([*opening(phase("a")), pause(1), stop(2)]))
    assert "next: wavecrew continue · wavecrew run" in told
