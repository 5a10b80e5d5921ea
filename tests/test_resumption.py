"""What taking up a run means, in words."""

from __future__ import annotations

from run_stories import MINITABLE, bad_run, end, fail, opening, phase, reset, skip, start
from wavecrew.core.attempts import Fate
from wavecrew.models.events import Cause, PlanChanged
from wavecrew.models.execution_state import evolve, replay
from wavecrew.views.resumption import resumption_text


def test_every_phase_that_is_not_simply_kept_or_to_come_has_a_line() -> None:
    events = [*opening(*MINITABLE), start(0, "01"), end(2, "01"), start(2, "02"), start(2, "03"), start(2, "04")]
    fates = {"02": "alive", "03": "ended", "04": "lost"}
    assert resumption_text(replay(events), (), fates) == (
        "run 3f2a: 1 phase kept\n"
        "  adopt  02 reader  its agent is still at work\n"
        "  take   03 markdown  its agent has ended meanwhile\n"
        "  again  04 html  its agent died without a result\n"
        "  6 phases to come"
    )


def test_what_failed_and_what_has_vanished_is_done_again_with_its_reason() -> None:
    again = [reset(20, "05", reason="run again"), reset(20, "02", reason="its output\nis \x1b[31mgone")]
    before = replay(bad_run())
    text = resumption_text(evolve(before, again[0]), again, {})
    assert "  again  05 stats  run again\n" in text
    assert "  again  02 reader  its output is " in text
    assert "\x1b" not in text
    assert text.splitlines()[0] == "run 3f2a: 7 phases kept", "a waived phase is kept, too"
    assert text.splitlines()[-1] == "  2 phases to come"


def test_a_waived_phase_is_not_to_come() -> None:
    events = [*opening(*MINITABLE), skip(0, "01")]
    assert resumption_text(replay(events), (), {}) == "run 3f2a: 1 phase kept\n  9 phases to come"


def test_an_edited_plan_and_agents_that_are_ended_for_it_are_told() -> None:
    cancelled = fail(9, "02", cause=Cause.CANCELLED)
    again = [reset(9, "02", reason="its document changed"), reset(9, "01", reason="its document changed")]
    edited = PlanChanged(at=9, by="ann", plan_digest="new", phases=(*MINITABLE, phase("11 more")))
    before = replay([*opening(*MINITABLE), start(0, "01"), end(2, "01"), start(2, "02")])
    events = [cancelled, *again, edited]
    assert resumption_text(evolve(before, *events), events, {}) == (
        "run 3f2a: 0 phases kept, the plan was edited\n"
        "  again  01 scaffold  its document changed\n"
        "  again  02 reader  its document changed; its agent is ended\n"
        "  9 phases to come"
    )


def test_there_are_words_for_every_fate() -> None:
    events = [*opening(*MINITABLE), start(0, "01")]
    for fate in Fate:
        assert "01 scaffold  its agent " in resumption_text(replay(events), (), {"01": fate.value})
