"""A plan that is edited while a run is at work: what the end of the run knows of it, and what people are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from run_stories import T0, charge, end, opening, phase, start
from wavecrew.api.again import edited_since
from wavecrew.models import events as ev
from wavecrew.models.execution_state import evolve, replay
from wavecrew.plans.reader import read_plan
from wavecrew.views.run_plain import final_lines
from wavecrew.views.run_report import report_data, report_text
from wavecrew.views.run_status import status_data, status_text
from wavecrew.views.summary import summarize

DONE = [*opening(phase("a Alpha")), start(0, "a"), end(5, "a")]


def test_the_end_says_that_work_was_done_from_an_older_text() -> None:
    events = [*DONE, ev.RunFinished(at=T0 + 6, edited=("a", "new"))]
    state = replay(events)
    summary = summarize(state, T0 + 9)
    for text in (status_text(summary), "\n".join(final_lines(summary, {})), report_text(state, events)):
        told = " ".join(text.split())
        assert "OUT OF DATE" in told
        assert "a Alpha, new were edited while the run was at work from the older text" in told
    assert "next: wavecrew run" in status_text(summary)
    assert status_data(summary)["edited"] == ["a", "new"]
    assert report_data(state, events)["edited"] == ["a", "new"]


def test_of_many_edits_some_are_named_and_the_others_counted() -> None:
    edited = tuple(f"p{number}" for number in range(9))
    told = status_text(summarize(replay([*DONE, ev.RunFinished(at=T0 + 6, edited=edited)]), T0 + 9))
    assert "and 3 more were edited" in " ".join(told.split())


def test_whoever_takes_the_run_up_or_edits_it_again_begins_anew_with_that() -> None:
    state = replay([*DONE, ev.RunFinished(at=T0 + 6, edited=("a",))])
    assert evolve(state, charge(7, epoch=2)).edited == ()
    changed = ev.PlanChanged(at=T0 + 7, by="ada", plan_digest="x", phases=(phase("a Other"),))
    assert evolve(state, changed).edited == ()
    assert "OUT OF DATE" not in status_text(summarize(replay([*DONE, ev.RunFinished(at=T0 + 6)]), T0 + 9))


def test_what_counts_is_the_meaning_of_the_documents(tmp_path: Path) -> None:
    """Another text, another phase, one that is gone; a phase that the run is not to do is none of its business."""
    folder = tmp_path / "plan"
    folder.mkdir()
    for name in ("1", "2", "3"):
        (folder / f"{name}.md").write_text(f"# Phase {name}: P{name}\n\nDo it.\n")
    state = replay([*opening(*read_plan(folder).phases), start(0, "1")])
    assert edited_since(str(folder), state) == ()
    (folder / "1.md").write_text("# Phase 1: P1\n\nDo it well.\n")
    (folder / "2.md").rename(folder / "4.md")
    (folder / "4.md").write_text("# Phase 4: P4\n")
    assert edited_since(str(folder), state) == ("1", "2", "4")
    assert edited_since(str(folder), replace(state, selected=frozenset({"3"}))) == ()
    assert edited_since(str(tmp_path / "nowhere"), state) == ("1", "2", "3")
