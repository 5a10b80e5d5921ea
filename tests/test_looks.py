"""What a person reads of a run that has ended, or was asked for more: the whole of it, and what comes next."""

from __future__ import annotations

from dataclasses import replace

from run_stories import T0, bad_run, end, finish, opening, phase, reset, start
from wavecrew.models.execution_state import replay
from wavecrew.views.run_history import History
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
