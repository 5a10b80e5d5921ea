"""Who is needed, how work comes into the result, where it is kept, and what is loud: in the words of all views."""

from __future__ import annotations

import json
from typing import Any

import pytest

from run_stories import (
    T0,
    approve,
    asked,
    charge,
    clash,
    end,
    fail,
    finish,
    forbidden,
    land,
    merged,
    new_plan,
    opening,
    pause,
    phase,
    propose,
    reject,
    seal,
    skip,
    start,
    stop,
    until,
    wait,
    work,
)
from wavecrew.models.events import Cause, Event, PhaseRefused
from wavecrew.models.execution_state import ExecutionState, evolve, replay
from wavecrew.views.run_history import History
from wavecrew.views.run_next import argument, needs_you_words, next_lines
from wavecrew.views.run_plain import PlainView, final_lines, heartbeat
from wavecrew.views.run_region import Region, plain_text
from wavecrew.views.run_report import report_data, report_text
from wavecrew.views.run_status import run_text, status_data, status_text
from wavecrew.views.summary import Standing, Summary, summarize
from wavecrew.views.terminal_text import cells

PLAN = (phase("a", "", 2), phase("b", "a", 2), phase("c", "a", 2))


def seen(events: list[Event], at: float, **more: Any) -> Summary:
    known = until(events, at)
    told: dict[str, Any] = {"alive": True, "history": History(known)} | more
    return summarize(replay(known), T0 + at, **told)


def plain(events: list[Event]) -> list[str]:
    view, state, lines = PlainView(), ExecutionState(), []
    for event in events:
        state = evolve(state, event)
        lines += view.event([event], state)
    return lines


def region(summary: Summary, width: int = 80, height: int = 20) -> list[str]:
    layout = Region([row.id for row in summary.rows], width)
    return [plain_text(line) for line in layout.region(summary, height)]


def news(events: list[Event], width: int = 80) -> list[str]:
    return [plain_text(line) for line in Region(["a", "b"], width).news(events, replay(events))]


def gated(*more: Event, gate: str = "wave") -> list[Event]:
    return [*opening(*PLAN, settings={"gate": gate}), start(0, "a"), end(2, "a"), *more]


def treed(*more: Event) -> list[Event]:
    return [*opening(*PLAN, isolation="worktree"), work(0, "a"), *more]


# -- needs you --------------------------------------------------------------------------------------------------


def test_who_is_needed_is_told_once_as_a_line_with_the_command_that_answers() -> None:
    assert plain(gated(asked(2, "wave 2")))[-1] == (
        '00:02.0 ask    needs you: wave 2 · approve with: wavecrew approve "wave 2"'
    )
    story = gated(asked(2, "wave 2"), approve(4, "wave 2", reason="fine"), reject(5, "phase b", "b ob"))
    assert plain(story)[-2:] == ["00:04.0 open   wave 2 by=ann fine", '00:05.0 reject phase b by="b ob" too early']


def test_status_counts_it_and_shows_the_command() -> None:
    text = status_text(seen(gated(asked(2, "wave 2")), 3))
    assert (
        text
        == """\
run 3f2a  running 3.0s  1 of 3 done · needs you 1 · 2 ready · 0 failed
  needs you: wave 2 · approve with: wavecrew approve "wave 2"
  ready    b  needs approval: wave 2
  ready    c  needs approval: wave 2
  left     about 2.0s  pacing: b
next: wavecrew approve "wave 2" · wavecrew status --watch
"""
    )


def test_several_gates_are_counted_and_answered_together() -> None:
    gates = tuple(f"phase {number}" for number in range(6))
    assert needs_you_words(gates) == [
        "phase 0, phase 1, phase 2, phase 3 +2",
        "approve with: wavecrew approve --all",
    ]
    summary = seen(gated(asked(2, "phase b"), asked(2, "phase c"), gate="phase"), 3)
    assert "needs you 2" in status_text(summary)
    assert [row.gate for row in summary.rows] == ["", "phase b", "phase c"]


@pytest.mark.parametrize(
    ("gate", "command"),
    [
        ("wave 2", 'wavecrew approve "wave 2"'),
        ("phase a$(x)", "wavecrew approve 'phase a$(x)'"),
        ('phase a"b', "wavecrew approve 'phase a\"b'"),
        ("phase x\x1b[2J", 'wavecrew approve "phase x"'),
    ],
)
def test_a_gate_in_a_command_is_one_word_for_a_shell(gate: str, command: str) -> None:
    assert needs_you_words((gate,))[1] == f"approve with: {command}"


def test_the_heartbeat_and_the_live_view_say_it() -> None:
    summary = seen(gated(asked(2, "wave 2")), 3)
    assert "1/3 done · needs you 1: wave 2 · 0 running · 2 ready" in heartbeat(summary, T0)
    shown = region(summary)
    assert shown[-2] == '  ! needs you: wave 2 · approve with: wavecrew approve "wave 2"'
    assert shown[-1].endswith("  1/3   3.0s   needs you 1")
    at_work = seen(gated(asked(2, "phase b"), approve(2, "phase c"), start(2, "c"), gate="phase"), 3)
    assert region(at_work)[-1].endswith("about 2.0s left")


@pytest.mark.parametrize("width", [30, 45, 80])
def test_however_narrow_the_command_is_whole(width: int) -> None:
    summary = seen(gated(asked(2, "wave 2")), 3)
    shown = region(summary, width)
    assert all(cells(line) <= width for line in shown)
    assert 'wavecrew approve "wave 2"' in " ".join(line.strip() for line in shown)
    assert len(region(summary, width, 1)) == 1
    assert region(summary, width, 1)[0].strip().endswith("needs you 1")


def test_a_run_that_was_left_for_approval_says_how_it_goes_on() -> None:
    events = gated(asked(2, "wave 2"), stop(3, "needs approval: wave 2"))
    assert plain(events)[-2] == (
        '00:03.0 stop   run reason="needs approval: wave 2" passed=1 failed=0 open=2 needs-you=1'
    )
    summary = seen(events, 4, alive=False)
    assert final_lines(summary, {}) == [
        'needs you: wave 2 · approve with: wavecrew approve "wave 2"',
        'next: wavecrew approve "wave 2" · wavecrew run',
    ]
    assert "needs you 1" in "".join(plain_text(line) for line in Region([], 80).ending(summary))
    assert "b  needs approval: wave 2" in status_text(summary)
    assert (status_data(summary)["needs_you"], status_data(summary)["phases"][1]["gate"]) == (["wave 2"], "wave 2")


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (gated(), "waits for an agent, or for the end of wave 1"),
        (gated(asked(2, "wave 2"), approve(2, "wave 2")), "starts next"),
        (gated(asked(2, "wave 2"), pause(2)), "the run is paused by ann"),
        (gated(asked(2, "phase b"), gate="phase"), "needs approval: phase b"),
    ],
)
def test_a_ready_phase_says_whether_it_waits_for_somebody(events: list[Event], reason: str) -> None:
    assert seen(events, 3).by_id["b"].reason == reason


def test_nothing_holds_a_wave_up_but_approval() -> None:
    settings = {"gate": "phase", "wave_delay_seconds": 9}
    story = [*opening(*PLAN, settings=settings), start(0, "a"), end(2, "a"), asked(2, "phase b"), asked(2, "phase c")]
    assert not any(" hold " in line for line in plain(story))
    assert plain([*story, approve(3, "phase c")])[-1] == (
        "00:03.0 hold   wave 2 starts in 6.0s (wave_delay_seconds=9): c"
    )


# -- rejected ---------------------------------------------------------------------------------------------------


def test_what_is_behind_a_rejected_gate_is_blocked_and_the_way_back_is_shown() -> None:
    events = gated(reject(2, "phase b"), start(3, "c"), end(5, "c"), finish(5), gate="phase")
    events[:2] = opening(*PLAN, phase("d", "b"), settings={"gate": "phase"})
    summary = seen(events, 6)
    assert {row.id: (row.standing, row.reason) for row in summary.rows if row.standing is Standing.BLOCKED} == {
        "b": (Standing.BLOCKED, "phase b was rejected by ann: too early"),
        "d": (Standing.BLOCKED, "blocked by b"),
    }
    assert "  blocked  b  phase b was rejected by ann: too early" in status_text(summary)
    assert final_lines(summary, {}) == [
        "",
        "not started because of a failure: d",
        "",
        "not started because of a rejected gate: b",
        'next: wavecrew approve "phase b" · wavecrew run',
    ]
    assert "  ✗ blocked b d  by b · rejected: phase b" in region(seen(events, 4.5))
    assert summary.left is None


def test_the_report_names_who_agreed_and_who_did_not() -> None:
    story = gated(asked(2, "wave 2"), approve(3, "wave 2", "bob", "fine"), reject(4, "phase c"), gate="wave")
    refused = PhaseRefused(at=T0 + 4, phase="c", cause=Cause.REJECTED, detail="")
    events = [*story, refused, start(4, "b"), end(5, "b"), finish(5)]
    text = report_text(replay(events), events)
    assert "  approved      wave 2 by bob 2023-11-14 22:13:23Z: fine\n" in text
    assert "  rejected      phase c by ann 2023-11-14 22:13:24Z: too early\n" in text
    assert "  failed        c  somebody rejected its start\n" in text
    data = report_data(replay(events), events)
    assert data["gates"][0] == {"gate": "wave 2", "status": "approved", "at": T0 + 3, "by": "bob", "reason": "fine"}
    many = [*story, *(approve(4, f"phase {n}") for n in range(12))]
    assert "  gates         ... and 4 more; --json has all" in report_text(replay(many), many)
    asking = gated(asked(2, "wave 2"))
    assert "needs you 1" in report_text(replay(asking), asking)
    assert '  needs you     wave 2 · approve with: wavecrew approve "wave 2"' in report_text(replay(asking), asking)


# -- the way home -----------------------------------------------------------------------------------------------


def test_sealed_work_shows_as_merging_and_then_as_being_checked() -> None:
    events = treed(seal(2, "a", "x", "y"), propose(3, "a"), merged(5, "a"))
    assert plain(events)[-2:] == ["00:02.0 merge  a files=2", "00:05.0 pass   a 5.0s commit=d0d0d0d"]
    first, then = seen(events, 2.5), seen(events, 4)
    assert (first.by_id["a"].standing, first.by_id["a"].reason) == (Standing.MERGING, "its agent is done")
    assert then.by_id["a"].reason == "checking the merge"
    assert "0 of 3 done · 1 merging · 2 to come" in status_text(then)
    assert "  merging  a  4.0s  checking the merge\n" in status_text(then)
    assert "0 running · 1 merging: a" in heartbeat(then, T0)
    assert region(then)[0] == "  ▶ merging a       4.0s   checking the merge"
    assert next_lines(then)[0] == "next: wavecrew logs a · wavecrew status --watch"
    assert seen(events, 4, alive=False).by_id["a"].reason == (
        "nobody is in charge; its work is kept and waits to be merged"
    )


DETAIL = "its work and that of phase b both change x.py"


def conflict(retry_at: float | None) -> list[Event]:
    refused = clash(3, "a", DETAIL, "x.py")
    return treed(seal(2, "a", "x.py"), refused, fail(3, "a", cause=Cause.MERGE, detail=DETAIL, retry_at=retry_at))


def test_a_conflict_tells_its_paths_where_the_work_is_and_what_comes_next() -> None:
    assert plain(conflict(3.0))[-2:] == [
        f"00:03.0 clash  a {DETAIL} paths=x.py kept=wavecrew/3f2a/a/1",
        f"00:03.0 retry  a 3.0s next=2 in=0.0s {DETAIL}",
    ]
    assert news(conflict(3.0), 120)[0] == f"  ↻ clash   a       {DETAIL}; kept on wavecrew/3f2a/a/1"
    unfit = treed(seal(2, "a"), clash(3, "a", "green alone, red together"))
    assert plain(unfit)[-1] == "00:03.0 clash  a green alone, red together kept=wavecrew/3f2a/a/1"


def test_a_conflict_that_nobody_tries_again_shows_the_ways_out() -> None:
    events = [*conflict(None), finish(4)]
    assert final_lines(seen(events, 5), {"a": "log"})[1:9] == [
        f"failed a: {DETAIL}",
        "  | log",
        "  its work is kept on the branch wavecrew/3f2a/a/1",
        "  see it:            wavecrew diff a",
        "  do it again:       wavecrew retry a   (it starts from what was merged since)",
        "  go on without it:  wavecrew skip a --reason '...'",
        "  merge it by hand:  git switch wavecrew/3f2a/result && git merge wavecrew/3f2a/a/1",
        "                     wavecrew skip a --reason 'merged by hand' && wavecrew run",
    ]
    text = report_text(replay(events), events)
    assert "conflicts 1" in text
    data = report_data(replay(events), events)
    assert (data["totals"]["conflicts"], data["phases"][0]["branch"]) == (1, "wavecrew/3f2a/a/1")


def test_other_failures_in_worktrees_tell_where_the_work_is() -> None:
    events = treed(fail(3, "a", cause=Cause.GATE, detail=""), finish(4))
    lines = final_lines(seen(events, 5), {})
    assert "failed a: the merged tree failed the checks" in lines
    assert lines[3:5] == [
        "  its work is kept on the branch wavecrew/3f2a/a/1",
        "  see it:            wavecrew diff a",
    ]
    assert not any("retry" in line for line in lines)


# -- the result -------------------------------------------------------------------------------------------------


def done(*more: Event) -> list[Event]:
    return treed(seal(1, "a"), merged(2, "a"), skip(2, "b"), skip(2, "c"), *more)


def test_the_end_shows_the_branch_of_the_result_and_what_to_do_with_it() -> None:
    summary = seen(done(finish(3)), 4)
    assert final_lines(summary, {}) == [
        "result: branch wavecrew/3f2a/result (d0d0d0d)",
        "next: wavecrew land · git merge wavecrew/3f2a/result · wavecrew report",
    ]
    assert "  result   branch wavecrew/3f2a/result (d0d0d0d)\n" in status_text(summary)
    events = done(finish(3), land(4))
    assert final_lines(seen(events, 5), {}) == [
        "result: branch wavecrew/3f2a/result (d0d0d0d), landed on main",
        "next: wavecrew report",
    ]
    assert plain(events)[-1] == "00:04.0 land   main commit=d0d0d0d by=ann"
    text = report_text(replay(events), events)
    assert "  result        branch wavecrew/3f2a/result (d0d0d0d), landed on main\n" in text
    assert "  isolation worktree, branch wavecrew/3f2a/result\n" in run_text(summary)


def test_without_worktrees_and_before_the_first_merge_there_is_no_result() -> None:
    for events in (treed(), gated(start(3, "b"))):
        assert not any(line.startswith("result") for line in final_lines(seen(events, 4), {}))
    data = status_data(seen(gated(), 4))
    assert (data["isolation"], data["result_branch"], data["result_commit"]) == ("shared", None, None)
    data = status_data(seen(done(finish(3)), 4))
    assert (data["isolation"], data["result_branch"], data["result_commit"], data["landed_on"]) == (
        "worktree",
        "wavecrew/3f2a/result",
        "d0d0d0d0",
        None,
    )


def test_what_is_not_in_the_result_is_told_everywhere() -> None:
    events = done(finish(3, unproven=("a",)))
    summary = seen(events, 4)
    assert "unproven=1" in plain(events)[-1] + plain(events)[-2]
    assert "  not in the result: a\n" in status_text(summary)
    assert final_lines(summary, {})[0] == "not in the result: a"
    assert next_lines(summary) == ["next: wavecrew verify · wavecrew run"]
    assert "1 not in the result" in "".join(plain_text(line) for line in Region([], 80).ending(summary))
    assert "  not in result a\n" in report_text(replay(events), events)
    assert (status_data(summary)["unproven"], report_data(replay(events), events)["unproven"]) == (["a"], ["a"])


def test_many_that_are_not_in_the_result_are_counted() -> None:
    plan = [phase(f"{n:02}") for n in range(12)]
    works = [event for one in plan for event in (start(0, one.id), end(1, one.id))]
    events = [*opening(*plan, isolation="worktree"), *works, finish(2, unproven=tuple(one.id for one in plan))]
    lines = final_lines(seen(events, 3), {})
    assert lines[0] == "not in the result: 00"
    assert lines[10] == "                   ... and 2 more"


# -- what is loud, and what changes -----------------------------------------------------------------------------


def test_a_forbidden_change_is_loud_everywhere() -> None:
    events = treed(forbidden(1, ".git/config", suspects=("a",)))
    words = ".git/config was changed by a or somebody outside: nothing new starts"
    words += "; look at it, then go on with: wavecrew run"
    assert plain(events)[-1] == f"00:01.0 ALARM  {words}"
    assert " ".join(line.strip() for line in news(events)).endswith(f"! ALARM   {words}")
    alarm = ".git/config was changed: nothing new starts; look at it, then go on with: wavecrew run"
    assert f"ALARM: {alarm}" in " ".join(status_text(seen(events, 2)).split())
    assert f"ALARM: {alarm}" in final_lines(seen(events, 2), {})
    assert f"ALARM {alarm}" in " ".join(report_text(replay(events), events).split())
    assert status_data(seen(events, 2))["forbidden"] == [".git/config"]
    several = treed(forbidden(1, *"pqrst"), charge(2, 2))
    assert plain(several)[-2].startswith("00:01.0 ALARM  p, q, r and 2 more were changed: nothing")
    assert "ALARM" not in status_text(seen(several, 3))


def test_a_changed_plan_is_one_line_and_what_left_it_keeps_its_time() -> None:
    story = [*opening(*PLAN), start(0, "a"), end(2, "a"), wait(2, "b", "x", "c"), start(2, "b"), fail(4, "b")]
    events = [*story, new_plan(5, phase("a"), phase("c", "a"))]
    assert plain(events)[-1] == "00:05.0 plan   changed by=ann plan=9988776 phases=2"
    assert news(events)[-1] == "  ↻ plan    changed by ann: 2 phases"
    assert "  b (left)" in report_text(replay(events), events)
    data = json.loads(json.dumps(report_data(replay(events), events)))
    assert [one["id"] for one in data["phases"]] == ["a", "c"]
    assert [one["attempt"] for one in data["left_the_plan"]["b"]] == [1]
    late = [*story[:-1], fail(4, "b", retry_at=4), new_plan(5, phase("a"))]
    view = PlainView()
    assert any("retry  b" in line for line in view.event(late, replay(late)))
    assert any("b" in line for line in news(late))


def test_an_id_that_looks_like_a_flag_is_an_argument() -> None:
    assert (argument("-x"), argument("a b")) == ("-- -x", "'a b'")
