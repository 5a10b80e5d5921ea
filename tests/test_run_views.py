"""What people and programs read of a run: plain lines, live region, status, report, JSON; and the cleaner before."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from itertools import pairwise
from typing import Any
from unicodedata import category

import pytest
from hypothesis import example, given, settings
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
    held_run,
    histories,
    keep,
    opening,
    pause,
    phase,
    reset,
    silence,
    skip,
    spent,
    start,
    stop,
    told,
    until,
    wait,
)
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve, replay
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.stored_events import from_record
from wavecrew.views.run_history import History
from wavecrew.views.run_jsonl import json_lines
from wavecrew.views.run_live import LiveView
from wavecrew.views.run_pacing import Waited, pacing_chain
from wavecrew.views.run_plain import PlainView, final_lines, heartbeat, lines_for
from wavecrew.views.run_region import Region, plain_text
from wavecrew.views.run_report import report_data, report_text
from wavecrew.views.run_status import run_text, runs_table, status_json, status_text
from wavecrew.views.run_words import clock, for_encoding, in_ascii, label, moment, seconds
from wavecrew.views.summary import Standing, Summary, summarize
from wavecrew.views.terminal_text import cells, clean, cut, one_line, pad, safe_json, tail


def seen(events: list[Event], at: float, **more: Any) -> Summary:
    known = until(events, at)
    told: dict[str, Any] = {"alive": True, "history": History(known)} | more
    return summarize(replay(known), T0 + at, **told)


def steers(text: str, allowed: str = "\n") -> list[str]:
    """What could steer a terminal, reorder a line or break an encoder."""
    return [
        c
        for c in text
        if c not in allowed
        and (category(c) in ("Cc", "Cs") or c in "\u061c\u200e\u200f\u2028\u2029" or "\u202a" <= c <= "\u202e")
    ] + [c for c in text if "\u2066" <= c <= "\u2069"]


HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\x1b\x9b\x9d\x90\x07\x9c[];?0123mHJKPX^_\\#(\r\n\t\x08\x7f\u202e\u2066\u2028"),
        st.characters(),
    ),
    max_size=60,
)

# -- the cleaner ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1;2|data\x1b\\after", "after"),
        ("\x9b31mred \x9d0;t\x9cx", "red x"),
        ("\x1b(Bplain\x1b7\x1b8\x1bc", "plain"),
        ("never ended \x1b]0;swallows this line\nbut not the next", "never ended \nbut not the next"),
        ("\x1b\x1b[0m[31m", "[31m"),
        ("a\x08b\x00c\x7fd\x85e", "abcde"),
        ("abc\u202edef\u2066g\u200fh\u061ci", "abcdefghi"),
        ("a\u2067b\u2069c\u2068d", "abcd"),
        ("lone \ud83d surrogate", "lone  surrogate"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("tab\tstays", "tab\tstays"),
        ("zażółć 漢字 العربية 👩‍💻 é", "zażółć 漢字 العربية 👩‍💻 é"),
    ],
)
def test_what_the_cleaner_leaves(text: str, left: str) -> None:
    assert clean(text) == left


@settings(max_examples=400)
@given(HOSTILE)
@example("\x1b]0;\x1b]0;\x07\x07")
def test_nothing_that_steers_survives_the_cleaner(text: str) -> None:
    found = clean(text)
    assert steers(found, "\n\t") == []
    assert clean(found) == found
    assert steers(one_line(text), "") == []
    found.encode()


@given(HOSTILE, st.integers(0, 30))
def test_a_cut_text_fits_and_a_padded_one_fills(text: str, width: int) -> None:
    assert cells(cut(text, width)) <= width
    assert cells(pad(text, width)) == width
    if cells(one_line(text)) <= width:
        assert cut(text, width) == one_line(text)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("漢字", 4),
        ("e\u0301", 1),
        ("👩", 2),
        ("❤\ufe0f", 2),
        ("❤\ufe0f\ufe0f", 2),
        ("a \ufe0f", 2),
        ("👩\ufe0f", 2),
        ("ก\u0e31", 1),
        ("한", 2),
        ("a\u200db", 2),
    ],
)
def test_cells_are_columns_of_a_terminal(text: str, width: int) -> None:
    assert cells(text) == width


def test_a_wide_letter_is_not_cut_in_half() -> None:
    assert cut("漢字漢字", 6) == "漢字…"
    assert cut("漢字漢字", 4) == "漢…"
    assert cut("abc", 0) == ""


def test_the_tail_of_a_log_is_what_a_terminal_would_show_at_the_end() -> None:
    assert tail("a\nb\nc\n", 2) == ["b", "c"]
    assert tail(" 10%\r 50%\r100%\r\ndone\r\n") == ["100%", "done"]
    assert tail("\x1b[1m  bold\x1b[0m\tx") == ["  bold  x"]
    assert tail("\n\n") == []
    assert tail("    indented and long", 20, 12) == ["    indente…"]
    assert all(cells(line) <= 12 for line in tail("    indented and long\n" + "x" * 99, 20, 12))


@given(HOSTILE)
def test_json_is_harmless_and_still_the_same_value(text: str) -> None:
    written = safe_json({"text": text})
    assert steers(written, "") == []
    assert json.loads(written) == {"text": text}
    written.encode()


# -- words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        (0, "0.0s"),
        (4.04, "4.0s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (125, "2m05s"),
        (3599.6, "1h00m"),
        (3725, "1h02m"),
        (50 * 3600, "2d02h"),
        (-1, "0.0s"),
    ],
)
def test_lengths_of_time(amount: float | None, text: str) -> None:
    assert seconds(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "00:00.0"), (2, "00:02.0"), (59.96, "01:00.0"), (3599.9, "59:59.9"), (3723.4, "1:02:03.4"), (-3, "00:00.0")],
)
def test_clock(amount: float, text: str) -> None:
    assert clock(amount) == text


def test_other_words() -> None:
    assert moment(T0) == "2023-11-14 22:13:20Z"
    assert moment(None) == moment(1e300) == "unknown"
    assert (label("02", "reader"), label("02", "02"), label("a\x1b[31m", "b\nc")) == ("02 reader", "02", "a b c")
    assert in_ascii("✓ ✗ → …é") == "+ x > .é"
    assert for_encoding("✓ Ł", "latin-1") == "+ ?"
    assert for_encoding("✓ Ł", "utf-8") == "✓ Ł"
    assert for_encoding("✓", None) == for_encoding("✓", "no such encoding") == "+"


# -- plain lines ------------------------------------------------------------------------------------------------


def plain(events: list[Event], **more: Any) -> list[str]:
    view, state, lines = PlainView(**more), ExecutionState(), []
    for event in events:
        state = evolve(state, event)
        lines += view.event([event], state)
    return lines


def test_a_good_run_in_plain_lines() -> None:
    assert plain(good_run())[:9] == [
        "00:00.0 run    3f2a plan=7c1f9a2 phases=10 jobs=3 agent=runbook",
        "00:00.0 start  01 scaffold attempt=1",
        "00:02.0 pass   01 scaffold 2.0s files=1",
        "00:02.0 start  02 reader attempt=1",
        "00:02.0 start  04 html attempt=1",
        "00:02.0 wait   03 markdown lock=minitable/registry.py holder=04",
        "00:06.0 pass   02 reader 4.0s files=1",
        "00:06.0 start  05 stats attempt=1",
        "00:06.0 start  06 fuzz attempt=1",
    ]
    assert plain(good_run())[-1] == "00:23.0 done   passed=10 failed=0 wall=23.0s work=40.0s ratio=1.74"


def test_what_goes_wrong_in_plain_lines() -> None:
    lines = plain(bad_run())
    assert "00:03.0 skip   03 markdown by=ann done by hand" in lines
    assert "00:07.2 fail   05 stats 1.2s check: exit code 1 from: python -m unittest" in lines
    assert "00:08.0 retry  06 fuzz 2.0s next=2 in=2.0s its time limit passed during: run fuzz" in lines
    assert lines[-2:] == [  # too wide for one line
        "00:15.0 done   passed=6 failed=1 blocked=2 skipped=1 retries=1",
        "00:15.0 time   wall=15.0s work=25.2s ratio=1.68",
    ]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (fail(1.5, "a", retry_at=1.5, outcome=Outcome.LOST, cause=Cause.LOST, detail=""),
         "00:01.5 lost   a 1.5s next=2 in=0.0s it died without leaving a result"),
        (fail(1.5, "a", outcome=Outcome.LOST, cause=Cause.LOST, detail="it died"), "00:01.5 fail   a 1.5s it died"),
        (fail(1.5, "a", outcome=Outcome.STOPPED), "00:01.5 stop   a 1.5s starts again when the run goes on"),
        (end(1.5, "a"), "00:01.5 pass   a 1.5s"),
        (ev.AttemptAdopted(at=T0 + 1, phase="a", attempt=1), "00:01.0 adopt  a attempt=1"),
        (charge(3, 2, 5), "00:03.0 resume 3f2a done=0/2 jobs=5"),
        (pause(3, "ann b"), '00:03.0 pause  run by="ann b"'),
        (go_on(3), "00:03.0 resume run by=ann"),
        (skip(3, "b", "ann", ""), "00:03.0 skip   b two by=ann"),
        (ev.PhaseRefused(at=T0 + 3, phase="b", cause=Cause.LOCK, detail="x was held"),
         "00:03.0 fail   b two not started: x was held"),
        (start(3, "b", agent="claude"), "00:03.0 start  b two attempt=1 agent=claude"),
        (ev.UndeclaredWrites(at=T0 + 3, suspects=("a",), paths=("x.py", "y.py")),
         '00:03.0 audit  a undeclared="x.py y.py"'),
        (silence(61, "a", 1, "Go on? [y/n]\x1b[2J"),
         "01:01.0 silent a silent for 1m00s; it seems to ask: Go on? [y/n]"),
        (silence(61, "a", None), "01:01.0 heard  a is heard again"),
        (closed(3, 63, why="runbook is used up: try later"),
         "00:03.0 held   runbook is used up until 22:14Z (in 1m00s)"),
        (fail(3, "a", outcome=Outcome.STOPPED, cause=Cause.QUOTA, detail="runbook is used up: try later", retry_at=63),
         "00:03.0 stop   a 3.0s next in=1m00s costs no retry: runbook is used up: try later"),
        (fail(3, "a", outcome=Outcome.STOPPED, cause=Cause.SILENCE, detail="nothing was heard"),
         "00:03.0 stop   a 3.0s costs no retry: nothing was heard"),
        (spent(3), "00:03.0 budget the budget of 1usd is spent (1.25 usd): nothing new starts; agents at work may "
         "still use more"),
        (wait(3723.4, "b", "a \x1b[31mb", "x\ny"), '1:02:03.4 wait   b two lock="a b" holder="x y"'),
    ],
)  # fmt: skip
def test_each_fact_is_one_line(event: Event, line: str) -> None:
    before = [*opening(phase("a"), phase("b two")), start(0, "a")]
    assert lines_for(event, replay([*before, event]), T0) == [line]


def test_the_length_of_an_attempt_is_left_out_if_the_state_knows_a_later_one_only() -> None:
    ended = fail(1, "a", retry_at=1)
    state = replay([*opening(phase("a")), start(0, "a"), ended, start(5, "a", 2)])
    assert lines_for(ended, state, T0)[0].startswith("00:01.0 retry  a next=2 in=0.0s")


def test_kept_reset_and_stopped_in_plain_lines() -> None:
    events = [*opening(phase("a"), phase("b")), keep(0, "a"), start(0, "b"), fail(1, "b", outcome=Outcome.STOPPED)]
    lines = plain([*events, stop(2), reset(3, "a", reason="again")])
    assert lines[1] == "00:00.0 keep   a from=11aa"
    assert lines[-3:-1] == [
        "00:02.0 stop   run reason=SIGINT passed=0 failed=0 kept=1 open=1",
        "00:02.0 time   wall=2.0s work=1.0s ratio=0.50",
    ]
    assert lines[-1] == "00:03.0 reset  a by=ann again"


def test_a_run_that_is_taken_up_counts_its_time_from_zero_and_its_work_from_the_beginning() -> None:
    before = [*opening(phase("a"), phase("b", "a")), start(0, "a"), end(4, "a"), stop(4)]
    after = [charge(100, 2), start(100, "b"), end(106, "b"), finish(106)]
    view, state, lines = PlainView(before), replay(before), []
    for event in after:
        state = evolve(state, event)
        lines += view.event([event], state)
    assert lines[0] == "00:00.0 resume 3f2a done=1/2 jobs=3"
    assert lines[-1] == "00:06.0 done   passed=2 failed=0 wall=10.0s work=10.0s ratio=1.00"


def test_heartbeat() -> None:
    assert heartbeat(seen(good_run(), 6.5), T0) == (
        "00:06.5 beat   2/10 done · 3 running: 04 05 06 · 1 waiting: 03 on registry.py (04)"
        " · 4 to come · about 16.5s left"
    )
    assert heartbeat(seen(bad_run(), 9), T0) == (
        "00:09.0 beat   4/10 done · 1 running: 07 · 1 to retry · 1 to come · 1 failed · 2 blocked · about 6.0s left"
    )
    idle = seen([*opening(phase("a")), pause(1)], 2)
    assert heartbeat(idle, T0) == "00:02.0 beat   0/1 done · paused by ann · 0 running · 1 ready"


def test_a_long_heartbeat_counts_what_it_does_not_name() -> None:
    plan = [phase(f"{number:02}") for number in range(30)]
    events = [*opening(*plan, agents=20), *(start(0, f"{n:02}") for n in range(12))]
    events += [wait(0, f"{n:02}", "src/a.py", "00") for n in range(12, 20)]
    line = heartbeat(seen(events, 1), T0)
    assert "12 running: 00 01 02 03 04 05 +6 · 8 waiting: 12 on a.py (00), " in line
    assert " +4 · 10 ready" in line


def test_the_end_shows_each_failure_once_with_the_end_of_its_log_and_what_to_do() -> None:
    log = "".join(f"line {number}\n" for number in range(40)) + "\x1b[31mAssertionError\x1b[0m: 3 != 4\n"
    lines = final_lines(seen(bad_run(), 15), {"05": log})
    assert lines[:3] == ["", "failed 05 stats: check: exit code 1 from: python -m unittest", "  | line 21"]
    assert lines[21:] == [
        "  | AssertionError: 3 != 4",
        "",
        "not started because of a failure: 09 10",
        "next: wavecrew logs 05 · wavecrew run",
    ]


def test_the_end_of_runs_without_a_failed_attempt() -> None:
    assert final_lines(seen(good_run(), 23), {}) == ["next: wavecrew report"]
    stopped = [*opening(phase("a")), stop(1)]
    assert final_lines(seen(stopped, 1), {}) == ["next: wavecrew run"]
    refused = [*opening(phase("a")), ev.PhaseRefused(at=T0, phase="a", cause=Cause.LOCK, detail="")]
    lines = final_lines(seen(refused, 1), {})
    assert lines[1:3] == ["failed a: a lock could not be had", "  (it was never started, so it has no log)"]
    gone = [*opening(phase("a")), ev.RunFinished(at=T0, missing=("a.py", "b.py"))]
    assert final_lines(seen(gone, 1), {})[:2] == ["gone at the end: a.py", "                 b.py"]


def test_held_phases_silent_agents_and_usage_are_told_everywhere() -> None:
    """One moment of one run, in every view: who is held until when, who asks what, and what was used."""
    found = seen(held_run(), 23)
    held, asks = (
        "runbook is used up until 22:14Z (in 40.0s)",
        "silent for 19.0s; it seems to ask: Overwrite html.py? [y/n]",
    )
    used = "cost 0.75 usd + unknown of 1 attempt, tokens 1.4ktok + unknown of 1 attempt"
    status, beat = " ".join(status_text(found).split()), heartbeat(found, T0)
    for words in (
        "needs you 1",
        "2 held",
        f"held 02 reader {held}",
        f"running 04 html 21.0s {asks}",
        used,
        "budget 2usd",
    ):
        assert words in status, words
    assert "look: wavecrew logs 04" in status
    assert "needs you 1: 04 is silent" in beat
    assert f"2 held: {held}" in beat
    screen = [plain_text(line) for line in Region([row.name for row in found.rows], 110).region(found, 20)]
    assert f"  ◷ held    02 03  {held}" in screen
    assert any(asks in line and "needs you" in line for line in screen)
    report = " ".join(report_text(replay(held_run()), held_run(), now=T0 + 23, alive=True).split())
    for words in ("needs you 1", used, held):
        assert words in report, words
    data = json.loads(status_json(found))
    assert (data["silent"], data["budget"], data["budget_reached"]) == (["04"], "2usd", None)
    assert data["accounts"] == {"runbook": {"closed_until": T0 + 63, "detail": "runbook is used up: try again later"}}
    assert data["usage"] == {"attempts": 2, "tokens": 1400, "cost_usd": 0.75, "unknown_tokens": 1, "unknown_cost": 1}
    rows = {row["id"]: row for row in data["phases"]}
    assert (rows["02"]["standing"], rows["02"]["held_by"], rows["02"]["held_until"]) == ("held", "runbook", T0 + 63)
    assert (rows["04"]["silent_since"], rows["04"]["last_words"]) == (T0 + 4, "Overwrite html.py? [y/n]")
    assert rows["01"]["usage"]["cost_usd"] is None
    phases = {one["id"]: one for one in report_data(replay(held_run()), held_run())["phases"]}
    assert phases["02"]["attempts"][0]["usage"]["cost_usd"] == 0.75
    assert phases["04"]["attempts"][0]["usage"] is None
    assert final_lines(found, {})[-2].startswith("used: cost 0.75 usd")


def test_an_account_that_opens_holds_nobody_up_and_a_stand_in_helps() -> None:
    later = seen(held_run(), 64)
    assert later.counts[Standing.HELD] == 0
    assert dict(later.accounts) == {}
    others = [*opening(phase("a"), settings={"fallback_agent": "x"}), closed(1, 60)]
    assert seen(others, 2).counts[Standing.HELD] == 0
    assert "account runbook is used up until 22:14Z" in " ".join(status_text(seen(others, 2)).split())
    assert seen([*others, closed(1, 30, "x")], 2).by_id["a"].held_by == "runbook"


def test_a_run_that_has_spent_its_budget_says_how_to_go_on() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), told(1, "a", 1, 5, 1.25), end(1, "a"), spent(1)]
    words = "the budget of 1usd is spent (1.25 usd): nothing new starts"
    assert words in " ".join(status_text(seen(events, 2)).split())
    assert "the budget of 1usd is spent" in seen(events, 2).by_id["b"].reason
    found = seen([*events, stop(2, "its budget of 1usd is spent")], 3, alive=False)
    assert "next: wavecrew run --budget MORE" in status_text(found)
    assert any(line.startswith(words) for line in final_lines(found, {}))
    assert "budget of 1usd spent" in heartbeat(seen(events, 2), T0)
    assert words in " ".join(report_text(replay(events), events).split())


def test_many_silent_agents_are_counted() -> None:
    phases = [phase(name) for name in "abcdefg"]
    events = [*opening(*phases, agents=9), *(start(0, name) for name in "abcdefg")]
    events += [silence(60, name, 0) for name in "abcdefg"]
    status = " ".join(status_text(seen(events, 61)).split())
    assert "needs you 7" in status
    assert "3 more silent agents" in status


def test_many_failures_are_counted() -> None:
    plan = [phase(f"{n:02}") for n in range(14)]
    events = opening(*plan, agents=14)
    for n in range(14):
        events += [start(0, f"{n:02}"), fail(1, f"{n:02}")]
    lines = final_lines(seen(events, 1), {})
    assert sum(line.startswith("failed ") for line in lines) == 10
    assert "... and 4 more failed phases" in lines


def test_a_phase_id_in_a_command_is_quoted() -> None:
    events = [*opening(phase("a;rm")), start(0, "a;rm"), fail(1, "a;rm"), finish(1)]
    assert final_lines(seen(events, 1), {})[-1] == "next: wavecrew logs 'a;rm' · wavecrew run"


# -- JSON lines -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(histories())
def test_json_lines_are_the_history(events: list[Event]) -> None:
    lines = list(json_lines(events, "3f2a"))
    records = [json.loads(line) for line in lines]
    assert [record.pop("seq") for record in records] == list(range(1, len(events) + 1))
    assert {record["run"] for record in records} == {"3f2a"}
    for record in records[1:]:
        record.pop("run")
    assert [from_record(record) for record in records] == events
    assert not any("\n" in line or steers(line) for line in lines)


# -- status -----------------------------------------------------------------------------------------------------


def test_status_of_a_run_at_work() -> None:
    steps = {"04": (3, 4, "python -m unittest tests.test_html")}
    assert (
        status_text(seen(good_run(), 6.5, progress=steps))
        == """\
run 3f2a  running 6.5s  2 of 10 done · 3 running · 1 waiting · 4 to come
                        0 failed
  running  04 html      4.5s  step 3/4  python -m unittest tests.test_html
  running  05 stats     0.5s
  running  06 fuzz      0.5s
  waiting  03 markdown  4.5s  waits for minitable/registry.py, held by 04 html;
                        free in about 0.5s
  left     about 16.5s  pacing: 04 ⇢ 03 → 07 → 09 → 10
next: wavecrew logs 04 · wavecrew status --watch
"""
    )


def test_status_of_a_run_in_which_something_failed() -> None:
    assert (
        status_text(seen(bad_run(), 9))
        == """\
run 3f2a  running 9.0s  4 of 10 done · 1 running · 1 to retry · 1 to come
                        1 failed · 2 blocked · 1 skipped
  failed   05 stats     check: exit code 1 from: python -m unittest
  blocked  09 bench     by 05
  blocked  10 accept    by 05
  running  07 cli       1.0s
  retry    06 fuzz      tries again in 1.0s: its time limit passed during: run
                        fuzz
  skipped  03 markdown  by ann: done by hand
  left     about 6.0s  pacing: 06
next: wavecrew logs 05 · wavecrew logs 07 · wavecrew status --watch
"""
    )


def test_status_of_a_run_whose_coordinator_is_gone() -> None:
    lines = status_text(seen(bad_run(), 9, alive=False)).splitlines()
    assert lines[0].startswith("run 3f2a  interrupted after 8.0s  4 of 10 done")
    assert lines[2:4] == [
        "  its coordinator (pid 4711 on box) is gone; nothing is lost, and `wavecrew run`",
        "  goes on with it",
    ]
    assert lines[-1] == "next: wavecrew logs 05 · wavecrew run"


def test_status_says_that_time_is_unknown_and_that_a_run_is_paused_or_stopped() -> None:
    events = [*opening(phase("a"), phase("b", "a"))]
    assert "  left     unknown (what is left has no estimate, or has used it up)" in status_text(seen(events, 1))
    late = [*opening(phase("a", "", 5)), start(0, "a")]
    assert "  left     unknown (what is left has no estimate, or has used it up)" in status_text(seen(late, 9))
    assert "paused by ann: nothing new starts" in status_text(seen([*events, pause(1)], 1))
    assert "it was stopped (SIGINT); `wavecrew run` goes on" in status_text(seen([*events, stop(1)], 1))
    gone = [*events, ev.RunFinished(at=T0, missing=("a.py",))]
    assert "  gone at the end: a.py" in status_text(seen(gone, 1))
    assert status_text(summarize(ExecutionState(), T0)).startswith("no run  not started")


def test_status_of_many_phases_shows_some_and_counts_the_rest() -> None:
    plan = [phase(f"{n:03}", "", None, f"{n}.py") for n in range(100)]
    events = [*opening(*plan, agents=50), *(start(0, f"{n:03}") for n in range(50))]
    text = status_text(seen(events, 1))
    assert text.count("\n  running ") == 13
    assert "  running  ... and 38 more; --json has all" in text


def test_a_long_reason_takes_three_lines_at_most() -> None:
    events = [*opening(phase("a")), start(0, "a"), fail(1, "a", cause=Cause.EXIT, detail="word " * 200)]
    lines = status_text(seen(events, 2)).splitlines()
    assert sum("word" in line for line in lines) == 3
    assert lines[4].strip() == "…"


def test_status_json_has_the_published_keys() -> None:
    data = json.loads(status_json(seen(bad_run(), 9)))
    assert (data["run"], data["status"]) == ("3f2a", "running")
    rows = {row["id"]: row for row in data["phases"]}
    assert list(rows) == [one.id for one in MINITABLE]
    assert {key: rows["05"][key] for key in ("id", "status", "reason", "attempts")} == {
        "id": "05",
        "status": "FAILED",
        "reason": "check: exit code 1 from: python -m unittest",
        "attempts": 1,
    }
    assert (rows["06"]["status"], rows["06"]["attempts"], rows["01"]["reason"]) == ("QUEUED", 1, None)
    waiting = json.loads(status_json(seen(good_run(), 6.5)))
    assert waiting["phases"][2]["lock"] == {"resource": REGISTRY, "holder": "04", "since": T0 + 2}
    assert (waiting["left_seconds"], waiting["pacing"]) == (16.5, ["04", "03", "07", "09", "10"])


def test_the_table_of_runs() -> None:
    rows = [seen(bad_run(), 99, alive=False), seen(good_run(), 99, alive=False), seen(good_run(), 9)]
    assert (
        runs_table(rows)
        == """\
RUN   STATUS     DONE   FAILED  STARTED            TOOK   PLAN
3f2a  failed     7/10   1       2023-11-14 22:13Z  15.0s  minitable
3f2a  succeeded  10/10  0       2023-11-14 22:13Z  23.0s  minitable
3f2a  running    3/10   0       2023-11-14 22:13Z  9.0s   minitable
"""
    )
    assert runs_table([]) == "no runs yet\nnext: wavecrew run\n"


def test_one_run_in_full() -> None:
    text = run_text(seen(bad_run(), 99, alive=False))
    assert "  work      25.2s, 1.68x\n" in text
    assert "     3  06 fuzz      passed        2     5.0s\n" in text
    assert "     4  09 bench     blocked       0        -  blocked by 05\n" in text


def test_who_was_in_charge_of_a_run_that_is_over_is_not_in_charge_of_it() -> None:
    over = run_text(seen(bad_run(), 99, alive=False))
    assert "  in charge nobody any more; last " in over
    at_work = run_text(seen([*opening(phase("a")), start(0, "a")], 1, alive=True))
    assert "nobody any more" not in at_work


def test_a_stopped_run_counts_every_phase_once() -> None:
    sealed = ev.WorkSealed(at=T0 + 2, phase="a", attempt=1, commit="c" * 40)
    stopped = plain([*opening(phase("a"), phase("b")), start(0, "a"), sealed, stop(3)])
    assert "passed=0 failed=0 open=2" in stopped[-2]


def test_undeclared_writes_are_told_of_everywhere() -> None:
    found = ev.UndeclaredWrites(at=T0 + 1, suspects=("a",), paths=("x.py", "y.py", "z.py", "w.py"))
    events = [*opening(phase("a")), start(0, "a"), found]
    summary = seen(events, 2)
    told = "may have changed, undeclared: x.py, y.py, z.py and 1 more"
    assert f"  audit    a  {told}" in status_text(summary)
    assert json.loads(status_json(summary))["phases"][0]["undeclared"] == ["x.py", "y.py", "z.py", "w.py"]
    assert f"  audit         a  {told}" in report_text(replay(events), events)
    news = [plain_text(line) for line in Region(["a"], 80).news([found], replay(events))]
    assert news == ["  ! audit   a or somebody outside changed: x.py y.py z.py w.py"]
    over = seen([*events, end(3, "a"), finish(4)], 5)
    assert f"  audit    a  {told}" in status_text(over)  # also when no other line names the phase


# -- what paced it ----------------------------------------------------------------------------------------------


def chain(events: list[Event], agents: int = 3) -> list[tuple[str, str]]:
    state = replay(events)
    steps = pacing_chain(state.graph, History(events), agents, T0)
    return [(step.attempt.phase, step.waited_for.value) for step in steps]


def test_a_run_is_paced_by_dependencies_and_locks() -> None:
    assert chain(good_run()) == [
        ("01", "nothing"),
        ("04", "dependency"),
        ("03", "lock"),
        ("07", "dependency"),
        ("09", "dependency"),
        ("10", "dependency"),
    ]


def test_a_run_is_paced_by_agents() -> None:
    events = [*opening(phase("a"), phase("b"), phase("c"), agents=2), start(0, "a"), start(0, "b")]
    events += [end(3, "b"), start(3, "c"), end(4, "a"), end(9, "c")]
    assert chain(events, 2) == [("b", "nothing"), ("c", "agent")]
    assert chain(events, 3) == [("c", "nothing")]


def test_a_run_is_paced_by_retries_and_pauses() -> None:
    events = [*opening(phase("a")), start(1, "a"), fail(3, "a", retry_at=8), start(8, "a", 2), end(9, "a", 2)]
    steps = pacing_chain(replay(events).graph, History(events), 3, T0)
    assert [(step.attempt.number, step.waited_for, step.gap) for step in steps] == [
        (1, Waited.NOTHING, 1.0),
        (2, Waited.RETRY, 5.0),
    ]


def test_an_idle_gap_is_no_pause() -> None:
    events = [*opening(phase("a"), phase("b", "a")), start(0, "a"), end(2, "a"), stop(2), charge(50, 2)]
    events += [start(51, "b"), end(52, "b")]
    steps = pacing_chain(replay(events).graph, History(events), 3, T0)
    assert [step.gap for step in steps] == [0.0, 1.0]


@settings(deadline=None, max_examples=120)
@given(histories())
def test_every_step_of_a_pacing_chain_follows_the_one_before(events: list[Event]) -> None:
    state, history = replay(events), History(events)
    steps = pacing_chain(state.graph, history, state.agent_limit, T0)
    closed = [attempt for attempt in history.attempts if attempt.ended is not None]
    assert bool(steps) == bool(closed)
    if steps:
        assert steps[-1].attempt.ended == max(attempt.ended or 0 for attempt in closed)
    for before, after in pairwise(steps):
        assert (before.attempt.ended or 0) <= after.attempt.started
        assert after.waited_for is not Waited.NOTHING


# -- report -----------------------------------------------------------------------------------------------------


def test_the_report_of_a_good_run() -> None:
    assert (
        report_text(replay(good_run()), good_run(), width=72)
        == """\
run 3f2a  SUCCEEDED 10/10  wall 23.0s · work 40.0s · 1.74x
                           agents busy 58% · retries 0
  01 scaffold |█████                                                   |
  02 reader   |     ▒▒▒▒▒▒▒▒▒▒                                         |
  04 html     |     ████████████                                       |
  03 markdown |     ············███████                                |
  05 stats    |               ▒▒▒▒▒▒▒▒▒▒▒▒▒▒                           |
  06 fuzz     |               ▒▒▒▒▒▒▒▒▒▒▒▒                             |
  07 cli      |                        ██████████                      |
  09 bench    |                                  ████████████          |
  08 readme   |                                  ▒▒▒▒▒                 |
  10 accept   |                                              ██████████|
               0s          5s          10s          15s         20s
  █ pacing chain   ▒ other work   · waiting for a lock
  pacing chain  01 → 04 ⇢lock 03 → 07 → 09 → 10
  to go faster  on paper, with the times measured here: 23.0s
                if nobody waits for minitable/registry.py: 21.0s
                4 agents: no gain · 2 agents would do as well
"""
    )


def test_the_report_of_a_run_that_failed() -> None:
    text = report_text(replay(bad_run()), bad_run())
    assert text.startswith("run 3f2a  FAILED 7/10  wall 15.0s · work 25.2s · 1.68x · agents busy 56%\n")
    assert text.endswith("""\
  █ pacing chain   ▒ other work   ░ did not succeed   · waiting for a lock
  pacing chain  01 → 02 → 06 ↻ 06 (after a pause of 2.0s)
  failed        05 stats  check: exit code 1 from: python -m unittest
  blocked       09 10
  tried again   06 fuzz  attempt 1 failed after 2.0s: its time limit passed
                         during: run fuzz
  waived        03 markdown  by ann: done by hand
""")


def test_the_report_says_what_was_kept_and_leaves_idle_time_out() -> None:
    events = [*opening(phase("a"), phase("b")), keep(0, "a"), start(0, "b"), fail(5, "b", outcome=Outcome.STOPPED)]
    events += [stop(5), charge(1000, 2), start(1000, "b", 2), end(1005, "b", 2), finish(1005)]
    text = report_text(replay(events), events)
    assert "wall 10.0s" in text
    assert "idle 16m35s left out" in text
    assert "  kept          a from run 11aa\n" in text
    row = next(line for line in text.splitlines() if line.startswith("  b "))
    inside = row.partition("|")[2].rstrip("|")
    assert inside.replace("░", "").replace("█", "") == ""
    assert abs(inside.count("░") - inside.count("█")) <= 1


def test_advice_is_given_for_runs_that_succeeded_alone_and_tells_of_time_lost_to_pauses() -> None:
    assert report_data(replay(bad_run()), bad_run())["advice"] is None
    told = report_data(replay(good_run()), good_run())["advice"]
    assert told["on_paper_seconds"] == pytest.approx(23)
    assert told["without_turns_seconds"] == {REGISTRY: pytest.approx(21)}
    assert told["one_agent_more_seconds"] == pytest.approx(23)
    slow = [*opening(phase("a"), phase("b", "a")), start(0, "a"), end(2, "a"), start(7, "b"), end(9, "b"), finish(9)]
    assert "pauses, start-up and retries took 5.0s more" in report_text(replay(slow), slow)
    assert "→ b (after a pause of 5.0s)" in report_text(replay(slow), slow)


def test_advice_says_when_one_more_agent_would_have_helped() -> None:
    events = [*opening(phase("a"), phase("b"), agents=1), start(0, "a"), end(4, "a"), start(4, "b"), end(8, "b")]
    told = report_data(replay([*events, finish(8)]), [*events, finish(8)])["advice"]
    assert (told["on_paper_seconds"], told["one_agent_more_seconds"], told["one_agent_less_seconds"]) == (8, 4, None)
    assert "2 agents: 4.0s" in report_text(replay([*events, finish(8)]), [*events, finish(8)])


def test_whatever_happened_takes_a_column_of_the_time_line() -> None:
    events = [*opening(phase("a"), phase("b")), start(0, "a"), end(0, "a"), start(0, "b"), end(900, "b"), finish(900)]
    rows = report_text(replay(events), events).splitlines()
    assert next(row for row in rows if row.startswith("  a ")).count("▒") == 1


def test_the_report_as_data() -> None:
    data = report_data(replay(bad_run()), bad_run())
    assert (data["format"], data["run"], data["status"]) == (1, "3f2a", "failed")
    rows = {row["id"]: row for row in data["phases"]}
    assert [attempt["outcome"] for attempt in rows["06"]["attempts"]] == ["failed", "succeeded"]
    assert rows["06"]["outputs"] == ["tests/test_fuzz.py"]
    assert rows["03"]["waits"] == [{"resource": REGISTRY, "holder": "04", "since": T0 + 2, "until": T0 + 3}]
    assert rows["03"]["waiver"] == {"by": "ann", "reason": "done by hand", "at": T0 + 3}
    assert rows["09"]["blocked_by"] == ["05"]
    assert rows["05"]["estimated_seconds"] == 6.0
    totals = data["totals"]
    assert (totals["wall_seconds"], totals["retries"], totals["lock_wait_seconds"]) == (15.0, 1, 1.0)
    assert [step["phase"] for step in data["pacing_chain"]] == ["01", "02", "06", "06"]


def test_the_report_of_a_large_run_shows_the_rows_that_matter() -> None:
    plan = [*(phase(f"{n:03}") for n in range(99)), phase("099", "050")]
    events = opening(*plan, agents=100)
    events += [start(0, f"{n:03}") for n in range(99)]
    events += [end(0.5, "050"), start(0.5, "099"), fail(1, "007")]
    events += [*(end(2, f"{n:03}") for n in range(99) if n not in (7, 50)), end(90, "099"), finish(90)]
    text = report_text(replay(events), events)
    assert "  ... and 60 more phases; --json has all\n" in text
    assert "\n  007 |" in text
    assert "\n  050 |█" in text
    assert "\n  099 |" in text


def test_a_run_of_which_nothing_was_started() -> None:
    events = opening(phase("a"))
    assert "no phase has been started" in report_text(replay(events), events)


# -- live region ------------------------------------------------------------------------------------------------


def region(summary: Summary, width: int = 80, height: int = 23) -> list[str]:
    found = Region([label(row.id, row.name) for row in summary.rows], width)
    return [plain_text(line) for line in found.region(summary, height)]


STEPS = {"04": (3, 4, "python -m unittest tests.test_html"), "05": (1, 3, "python tools/gen_rows.py 200000")}


def test_the_region_of_a_run_at_work() -> None:
    assert region(seen(good_run(), 6.5, progress=STEPS)) == [
        "  ▶ running 04 html      4.5s   step 3/4  python -m unittest tests.test_html",
        "  ▶ running 05 stats     0.5s   step 1/3  python tools/gen_rows.py 200000",
        "  ▶ running 06 fuzz      0.5s",
        "  ◷ waits   03 markdown  4.5s   for minitable/registry.py, held by 04 html",
        "  · to come 07 cli ← 03 04   08 readme ← 07   09 bench ← 05 07   +1 more",
        "  ⇢ pacing  04 ⇢ 03 → 07 → 09 → 10",
        "  ━━━━━━━━━─────────────────────────────────────  2/10   6.5s   about 16.5s left",
    ]


def test_the_region_at_60_columns_keeps_the_holder() -> None:
    lines = region(seen(good_run(), 6.5, progress=STEPS), 60)
    assert "  ◷ waits   03 markdown  4.5s   for registry.py (04)" in lines
    assert all(cells(line) <= 60 for line in lines)


def test_the_region_of_a_run_in_which_something_failed() -> None:
    lines = region(seen(bad_run(), 9))
    assert "  ✗ blocked 09 10  by 05" in lines
    assert any(line.startswith("  ↻ retry   06 fuzz      tries again in 1.0s") for line in lines)


def test_what_does_not_fit_is_counted() -> None:
    plan = [phase(f"{n:02}", "", 5) for n in range(60)]
    events = [*opening(*plan, agents=40), *(start(0, f"{n:02}") for n in range(40))]
    events += [wait(0, f"{n:02}", "x", "00") for n in range(40, 60)]
    lines = region(seen(events, 1), height=20)
    assert len(lines) == 20
    assert "  + 29 more running" in lines
    assert "  + 15 more waiting" in lines
    assert sum("▶ running" in line for line in lines) == 11
    assert region(seen(events, 1), height=1) == lines[-1:]


def test_the_bar_says_unknown_and_paused() -> None:
    assert region(seen(opening(phase("a")), 1))[-1].endswith("  0/1   1.0s   time left unknown")
    assert region(seen([*opening(phase("a")), pause(1)], 1))[-1].endswith("  0/1   1.0s   paused")


@settings(deadline=None, max_examples=120)
@given(histories(), st.integers(30, 90), st.integers(1, 12), st.floats(0, 90))
def test_the_views_of_any_history_keep_to_their_width_and_steer_nothing(
    events: list[Event], width: int, height: int, later: float
) -> None:
    state, history = replay(events), History(events)
    steps = dict.fromkeys(state.running, (1, 2, "\x1b[2Jnasty\u202e"))
    summary = summarize(state, events[-1].at + later, alive=True, history=history, progress=steps)
    layout = Region([label(row.id, row.name) for row in summary.rows], width)
    lines = [
        *layout.region(summary, height),
        layout.header(state),
        *layout.news(events, state),
        *layout.ending(summary),
    ]
    assert len(layout.region(summary, height)) <= height
    shown = [plain_text(line) for line in lines]
    assert [line for line in shown if cells(line) > width] == []
    texts = [status_text(summary, width=width), run_text(summary, width=width), *shown]
    texts.append(report_text(state, events, width=width))
    texts += plain(events) + final_lines(summary, dict.fromkeys(state.graph.nodes, "\x1b]0;x"))
    assert [text for text in texts if steers(text)] == []
    for text, least in ((texts[0], 40), (texts[1], 60), (report_text(state, events, width=width), 40)):
        lines_ = [line for line in text.splitlines() if not line.startswith(("next:", "      wavecrew"))]
        assert [line for line in lines_ if cells(line) > max(width, least)] == []
    for text in (status_json(summary), safe_json(report_data(state, events))):
        assert steers(text) == []
        json.loads(text)


# -- on a terminal ----------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says it is a terminal with some encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


def live(events: list[Event], monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    for name, value in {"COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color", "NO_COLOR": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR")
    stream = Terminal(more.pop("encoding", "utf-8"))
    for name, value in more.pop("env", {}).items():
        monkeypatch.setenv(name, value)
    view, state = LiveView(stream, **more), ExecutionState()
    view.start()
    for event in events:
        state = evolve(state, event)
        view.event([event], state)
        view.tick(event.at, STEPS)
    view.stop()
    view.stop()
    return stream.getvalue()


def test_finished_lines_stay_above_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    text = clean(live(good_run(), monkeypatch))
    assert "minitable · run 3f2a · 3 agents (runbook) · Ctrl-C stops cleanly and keeps state" in text
    assert text.count("✓ passed  02 reader") == 1
    assert "▶ running 04 html" not in text.splitlines()[-1]
    assert "◷ waits   03 markdown  4.0s   for minitable/registry.py, held by 04 html" in text
    assert text.rstrip().endswith("succeeded  10/10 done · wall 23.0s · work 40.0s · 1.74x")


def test_the_cursor_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    text = live(good_run(), monkeypatch)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_colour_is_left_out_where_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[32m" in live(good_run(), monkeypatch)
    assert "\x1b[32m" not in live(good_run(), monkeypatch, env={"NO_COLOR": "1"})
    assert "\x1b[32m" not in live(good_run(), monkeypatch, color=False)
    assert "\x1b[32m" in live(good_run(), monkeypatch, color=True, env={"NO_COLOR": "1"})


def test_a_terminal_without_utf_8_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    text = live(good_run(), monkeypatch, encoding="ascii")
    assert text.isascii()
    assert "+ passed  02 reader" in clean(text)
    assert live(good_run(), monkeypatch, ascii_only=True).isascii()


def test_a_run_that_breaks_off_is_not_called_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "interrupted  2/10 done" in clean(live(until(good_run(), 6.5), monkeypatch))


def test_the_end_of_a_live_view_names_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    view = LiveView(Terminal())
    assert view.end({}) == []
    view.event(bad_run(), replay(bad_run()))
    assert view.end({"05": "boom"})[1:3] == [
        "failed 05 stats: check: exit code 1 from: python -m unittest",
        "  | boom",
    ]
    view.stop()


def test_nothing_is_drawn_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    view = LiveView(stream)
    view.start()
    view.event(good_run(), replay(good_run()))
    view.stop()
    drawn = stream.getvalue()
    view.tick(T0 + 99)
    view.stop()
    assert stream.getvalue() == drawn


def test_many_kept_phases_share_a_line() -> None:
    plan = [phase(f"{n:02}") for n in range(9)]
    events = [*opening(*plan), *(keep(0, f"{n:02}") for n in range(9))]
    state = replay(events)
    lines = [plain_text(line) for line in Region(["00"], 80).news(events, state)]
    assert lines == ["  = kept    9 phases from run 11aa: 00 01 02 03 04 05 +3"]


def test_looking_at_a_run_does_not_load_the_terminal_library() -> None:
    code = (
        "import sys, wavecrew.views.run_live, wavecrew.views.run_status, wavecrew.views.run_report;"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_many_kept_phases_are_one_line() -> None:
    phases = tuple(PhaseInfo(f"{number:02}", f"part {number}") for number in range(30))
    opened = ev.RunStarted(
        at=T0, run="r2", plan_name="p", plan_path="p", plan_digest="d" * 16, phases=phases, settings={}
    )
    kept = [ev.PhaseKept(at=T0, phase=one.id, from_run="r1") for one in phases]
    lines = PlainView().event([opened, *kept], replay([opened, *kept]))
    assert [line for line in lines if "keep" in line] == ["00:00.0 keep   30 phases from=r1"]
    few = PlainView().event([opened, *kept[:3]], replay([opened, *kept[:3]]))
    assert sum("keep" in line for line in few) == 3
