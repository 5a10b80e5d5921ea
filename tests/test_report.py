"""The report of a run as a value and in all formats but HTML: facts, savings, waits, comparison; and what hostile words
become in each."""

from __future__ import annotations

import csv
import io
import json
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from report_stories import VECTORS, big_run, hostile_report, report, steering
from run_stories import (
    REGISTRY,
    T0,
    approve,
    asked,
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
    silence,
    skip,
    start,
    stop,
    told,
    wait,
)
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.proof import Fault, Lack, PhaseProof, Proof
from wavecrew.views.report_compare import compare
from wavecrew.views.report_csv import COLUMNS, cell, csv_of
from wavecrew.views.report_facts import Report
from wavecrew.views.report_faster import Change
from wavecrew.views.report_github import annotations_of, harmless, step_summary
from wavecrew.views.report_graph import mermaid_of, svg_of
from wavecrew.views.report_json import data_of, json_of
from wavecrew.views.report_junit import MOST_OUTPUT, junit_of
from wavecrew.views.report_markdown import code, markdown_of
from wavecrew.views.report_text import comparison_lines, text_of
from wavecrew.views.report_trace import trace_of
from wavecrew.views.report_waits import WaitKind

FORMATS = (text_of, markdown_of, json_of, junit_of, csv_of, trace_of, mermaid_of, svg_of, annotations_of)


def shares(found: Report) -> dict[str, float]:
    return {one.kind: round(one.seconds, 3) for one in found.shares}


# -- any history at all -------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(histories())
def test_any_history_has_a_report_whose_parts_make_up_the_whole(events: list[Event]) -> None:
    known = report(events)
    if known.shares:
        assert sum(one.seconds for one in known.shares) == pytest.approx(known.summary.elapsed)
    assert all(one.seconds > 0 for one in known.shares)
    for one in known.faster.options:
        assert 0 < one.saving <= (known.faster.as_it_was or 0)
    for lane in {one.lane for one in known.attempts}:
        spans = [(one.attempt.started, one.seconds) for one in known.attempts if one.lane == lane]
        assert all(begin + lasts <= after + 1e-6 for (begin, lasts), (after, _) in pairwise(spans))


@settings(max_examples=60, deadline=None)
@given(histories())
def test_any_history_can_be_written_in_all_formats(events: list[Event]) -> None:
    known = report(events)
    for form in FORMATS:
        text = form(known)
        assert steering(text) == []
        text.encode()
    sound_trace(json.loads(trace_of(known)))
    sound_mermaid(mermaid_of(known))
    ElementTree.fromstring(svg_of(known))  # noqa: S314 -- made here
    sound_junit(junit_of(known))


# -- where the time went --------------------------------------------------------------------------------------------


def test_the_time_of_a_run_by_what_it_was_spent_on() -> None:
    events = [*opening(phase("a"), phase("b", "a"), agents=1), asked(0, "wave 1"), approve(10, "wave 1")]
    events += [start(12, "a"), fail(20, "a", retry_at=25), start(25, "a", 2), silence(30, "a", 28, "ok?", 2)]
    events += [silence(31, "a", None, "", 2), end(35, "a", 2), pause(36), go_on(40), start(41, "b"), end(50, "b")]
    known = report([*events, finish(52)])
    assert shares(known) == {
        "work": 7 + 9,
        "vain": 8,
        "people": 10 + 3 + 4,
        "retry": 5,
        "pause": 2 + 1 + 1,
        "open": 2,
    }
    assert known.people == 10 + 3 + 4
    kinds = [(one.kind, one.phase, one.whom, one.lasted(known.now)) for one in known.waits]
    assert kinds == [
        (WaitKind.APPROVAL, "", "ann", 10),
        (WaitKind.RETRY, "a", "", 5),
        (WaitKind.SILENCE, "a", "", 3),
        (WaitKind.PAUSE, "", "ann", 4),
    ]


def test_idle_time_and_waits_for_an_account_and_for_foreign_locks() -> None:
    events = [*opening(phase("a"), phase("b", "a"), agents=1), closed(0, 30), start(40, "a"), end(50, "a")]
    events += [stop(51), charge(1051, 2), wait(1051, "b", "x.py", "another run"), start(1060, "b"), end(1070, "b")]
    known = report([*events, finish(1070)])
    assert shares(known) == {"work": 20, "account": 30, "lock": 9, "pause": 11}
    assert known.summary.elapsed == 70


def test_a_moment_that_two_waits_explain_is_shared_out_once_and_a_try_before_its_time_ends_the_pause() -> None:
    events = [*opening(phase("a"), agents=1), closed(0, 30), asked(0, "wave 1"), approve(10, "wave 1"), start(30, "a")]
    events += [fail(31, "a", retry_at=100), start(35, "a", 2), end(40, "a", 2), finish(40)]
    known = report(events)
    assert shares(known) == {"people": 10, "account": 20, "retry": 4, "vain": 1, "work": 5}
    assert [one.lasted(known.now) for one in known.waits] == [30, 10, 4]


def test_waits_that_overlap_are_counted_once() -> None:
    events = [*opening(phase("a"), phase("b")), asked(0, "wave 1"), pause(5), approve(10, "wave 1"), go_on(20)]
    known = report([*events, start(20, "a"), end(21, "a")])
    assert known.people == 20


def test_a_wait_at_the_gate_of_writes_is_a_wait_for_a_lock() -> None:
    judged = ev.WriteJudged(
        at=T0 + 9, phase="a", attempt=1, tool="Edit", paths=("x.py",), allowed=True, waited=4.0, holder="b"
    )
    known = report([*opening(phase("a"), phase("b")), start(0, "a"), judged, end(10, "a")])
    assert [(one.what, one.whom, one.since, one.until) for one in known.waits] == [("x.py", "b", T0 + 5, T0 + 9)]
    assert known.phases[0].waited == 4


def test_a_wait_that_ends_in_time_to_come_has_lasted_until_now() -> None:
    known = report(held_run(), alive=True)
    assert [(one.kind, one.lasted(known.now)) for one in known.waits] == [
        (WaitKind.ACCOUNT, 6),
        (WaitKind.SILENCE, 5),
    ]
    assert known.waited(WaitKind.ACCOUNT) == 6
    assert data_of(known)["waits"][0]["until"] == T0 + 63


def test_a_gate_that_nobody_answers_waits_until_now_and_outlives_the_coordinator() -> None:
    events = [*opening(phase("a"), phase("b", "a")), start(0, "a"), end(1, "a"), asked(1, "wave 2"), stop(2, "x")]
    assert report(events).people == 1
    assert report([*events, charge(100, 2), approve(101, "wave 2"), start(101, "b")]).people == 100


# -- what would have been faster ------------------------------------------------------------------------------------


def test_what_would_have_made_it_faster_is_computed() -> None:
    told_all = report(good_run()).faster
    assert told_all.as_it_was == pytest.approx(23)
    found = {(one.change, one.phase, one.what): round(one.saving, 6) for one in told_all.options}
    assert found[Change.SPLIT, "", REGISTRY] == 2
    assert found[Change.DROP, "10", "09"] == 3
    assert found[Change.HALVE, "09", ""] == 2.5
    assert (Change.AGENT, "", "4") not in found
    assert [(one.change, one.what) for one in told_all.in_vain] == [(Change.AGENT, "4")]
    assert told_all.fewer == 2
    savings = [one.saving for one in told_all.options]
    assert savings == sorted(savings, reverse=True)


def test_one_more_agent_is_told_when_it_would_have_helped() -> None:
    events = [*opening(phase("a"), phase("b"), agents=1), start(0, "a"), end(4, "a"), start(4, "b"), end(8, "b")]
    best = report([*events, finish(8)]).faster.best(Change.AGENT)
    assert best is not None
    assert (best.time, best.saving) == (4, 4)


@pytest.mark.parametrize(
    ("events", "why"),
    [(bad_run(), "did not succeed"), (good_run()[:-1], "not over"), ([*opening(phase("a")), finish(1)], "not succeed")],
)
def test_where_nothing_can_be_said_it_is_said_why(events: list[Event], why: str) -> None:
    assert why in report(events).faster.why_not
    assert why in data_of(report(events))["faster"]["why_not"]


# -- estimates, usage, lanes ----------------------------------------------------------------------------------------


def test_estimates_and_usage_of_phases_and_attempts() -> None:
    events = [
        *opening(phase("a", "", 10), phase("b")),
        start(0, "a"),
        told(4, "a", 1, 700, 0.5),
        fail(4, "a", retry_at=4),
    ]
    events += [start(4, "a", 2), end(9, "a", 2), start(9, "b"), told(10, "b", 1, 100, None), end(10, "b"), finish(10)]
    one, two = report(events).phases
    assert (one.estimate, one.actual, one.ratio, one.work) == (10, 5, 0.5, 9)
    assert (one.spent.cost_usd, one.spent.unknown_cost, one.spent.attempts) == (0.5, 1, 2)
    assert (two.estimate, two.ratio, two.spent.tokens, two.spent.unknown_cost) == (None, None, 200, 1)
    assert report(events).spent.unknown_cost == 2
    data = data_of(report(events))
    assert data["phases"][0]["cost_of_attempts"] == [
        {"tokens": 1400, "cost_usd": 0.5},
        {"tokens": None, "cost_usd": None},
    ]
    assert data["totals"]["estimated_seconds"] is None
    assert "| 0.50 usd + unknown of 2 attempts |" in markdown_of(report(events))


def test_an_estimate_of_nothing_is_not_compared_with() -> None:
    events = [*opening(phase("a", "", 5e-324 * 3600), phase("b", "", 0)), start(0, "a"), end(1, "a"), start(1, "b")]
    known = report([*events, end(2, "b"), finish(2)])
    assert [one.ratio for one in known.phases] == [None, None]
    assert data_of(known)["phases"][0]["actual_to_estimate"] is None


def test_lanes_are_the_slots_of_agents_where_they_are_known() -> None:
    plan = [phase("a"), phase("b"), phase("c")]
    slots = [
        ev.AttemptStarted(at=T0, phase="a", attempt=1, agent="x", slot=2),
        ev.AttemptStarted(at=T0, phase="b", attempt=1, agent="x", slot=1),
        ev.AttemptStarted(at=T0 + 1, phase="c", attempt=1, agent="x", slot=1),
    ]
    assert [one.lane for one in report([*opening(*plan), *slots]).attempts] == [1, 0, 2]  # 1 is taken: the next free
    assert [one.lane for one in report(good_run()).attempts][:4] == [0, 0, 1, 0]


# -- text -----------------------------------------------------------------------------------------------------------


def test_the_text_adds_savings_waits_proof_and_comparison() -> None:
    proof = Proof("3f2a", "worktree", "wavecrew/3f2a/result", "c0ffee0", (), (good_phase(),), (), ())
    known = report(good_run(), proof=proof)
    text = text_of(known, compare(report(bad_run()), known))
    assert "  also faster   let 10 accept not depend on 09 bench: saves 3.0s (13%)\n" in text
    assert "  proof         proven: the work of 1 completed phase is in" in text
    assert "  whole run      15.0s  23.0s    +8.0s     +2  unknown\n" in text
    assert "03 markdown  skipped   3.0s" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text_of(known, ascii_only=True).isascii()
    assert "waited for    people 5.0s" in text_of(report(held_run(), alive=True, now=T0 + 9))


def test_a_comparison_of_many_phases_shows_those_that_differ_most() -> None:
    before, after = report(big_run(60, good=True)), report(big_run(60, seed=1))
    lines = list(comparison_lines(compare(before, after)))
    assert lines[-1] == "  ... and 20 more phases; --format json has all"
    assert len(lines) == 1 + 1 + 2 + 40 + 1


def test_a_comparison_of_different_plans() -> None:
    one = report([*opening(phase("a"), phase("b")), start(0, "a"), told(3, "a", 1, 5, 0.25), end(3, "a"), finish(3)])
    other = report([*opening(phase("a"), phase("c")), start(0, "a"), told(5, "a", 1, 5, 0.75), end(5, "a"), finish(5)])
    found = compare(one, other)
    assert {pair.id: (pair.seconds, pair.cost) for pair in found.phases} == {
        "a": (2, 0.5),
        "c": (None, None),
        "b": (None, None),
    }
    rows = {row["id"]: row for row in data_of(other, found)["compared"]["phases"]}
    assert rows["b"]["after"] is None
    assert (rows["a"]["seconds_more"], rows["a"]["cost_usd_more"], rows["a"]["attempts_more"]) == (2, 0.5, 0)
    text = "\n".join(comparison_lines(found))
    assert "+0.50 usd" in text
    assert "not in it" in text
    assert "+0.50 usd" in markdown_of(other, found)


# -- JSON and CSV ---------------------------------------------------------------------------------------------------


def test_json_has_its_published_keys() -> None:
    data = json.loads(json_of(report(bad_run(), proof_problem="no git")))
    assert (data["kind"], data["format"], data["proof"], data["proof_problem"]) == (
        "wavecrew.report",
        1,
        None,
        "no git",
    )
    assert {"run", "status", "totals", "phases", "pacing_chain", "time_shares", "faster", "waits", "compared"} <= set(
        data
    )
    assert data["totals"]["human_wait_seconds"] == 0
    assert data["waits"][0] == {
        "kind": "lock",
        "for_a_person": False,
        "phase": "03",
        "what": REGISTRY,
        "whom": "04",
        "since": T0 + 2,
        "until": T0 + 3,
    }
    six = next(one for one in data["phases"] if one["id"] == "06")
    assert (six["estimated_seconds"], six["actual_seconds"], six["work_seconds"]) == (5.0, 5.0, 7.0)
    assert data["phases"][8]["actual_seconds"] is None


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_row_for_each_attempt_and_leaves_unknown_empty() -> None:
    found = rows(csv_of(report(bad_run())))
    assert len(found) == 8
    assert list(found[0]) == list(COLUMNS)
    sixth = [row for row in found if row["phase"] == "06"]
    assert [(row["attempt"], row["outcome"], row["seconds"]) for row in sixth] == [
        ("1", "failed", "2.0"),
        ("2", "succeeded", "5.0"),
    ]
    assert sixth[0]["reason"] == "its time limit passed during: run fuzz"
    assert (sixth[0]["cost_usd"], sixth[0]["waited_for"], sixth[1]["waited_for"]) == ("", "dependency", "retry")
    money = rows(csv_of(report(held_run(), alive=True)))[1]
    assert (money["cost_usd"], money["input_tokens"]) == ("0.75", "700")


@pytest.mark.parametrize("words", VECTORS)
def test_no_cell_is_a_formula_and_every_row_has_all_cells(words: str) -> None:
    text = csv_of(hostile_report(words))
    found = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in found}) == 1
    assert not [one for row in found for one in row if one.strip().startswith(("=", "+", "-", "@"))]
    assert steering(text) == []


def test_a_cell_that_would_be_a_formula_is_text() -> None:
    assert [cell(text) for text in ("=1", " -1", "a=1", "\t@x", "１")] == ["'=1", "'-1", "a=1", "'@x", "１"]


# -- JUnit ----------------------------------------------------------------------------------------------------------


def sound_junit(text: str) -> ElementTree.Element:
    """Parse it, and hold its numbers against its elements."""
    root = ElementTree.fromstring(text)  # noqa: S314 -- made here
    assert root.tag == "testsuites"
    for suite in root.findall("testsuite"):
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == sum(case.find(kind) is not None for case in cases)
        for case in cases:
            assert float(case.attrib["time"]) >= 0
            assert case.attrib["name"]
            assert sum(case.find(kind) is not None for kind in ("failure", "error", "skipped")) <= 1
    assert root.attrib["tests"] == str(len(root.findall("testsuite/testcase")))
    return root


def test_junit_tells_what_failed_what_was_waived_and_what_was_never_started() -> None:
    root = sound_junit(junit_of(report(bad_run(), logs={"05": "boom\nlast words"})))
    cases = {case.attrib["name"].split()[0]: case for case in root.iter("testcase")}
    failure = cases["05"].find("failure")
    assert failure is not None
    assert failure.attrib == {"message": "check: exit code 1 from: python -m unittest", "type": "check"}
    assert cases["05"].findtext("system-out", "").endswith("--- the end of its log\nboom\nlast words")
    assert [cases[name].find("skipped").attrib["message"] for name in ("03", "09")] == [  # type: ignore[union-attr]
        "waived by ann: done by hand",
        "blocked: blocked by 05",
    ]
    assert cases["06"].attrib["time"] == "7.000"
    assert root.find("testsuite").attrib["timestamp"] == "2023-11-14T22:13:20"  # type: ignore[union-attr]


def good_phase(*lacks: Lack) -> PhaseProof:
    return PhaseProof("01", "scaffold", "d0d0", "", ("pyproject.toml",), lacks)


def test_work_that_is_not_proven_is_a_failure_and_what_was_lost_is_an_error() -> None:
    lack = Lack(Fault.OUTPUT, "its output pyproject.toml is not there", "do it again")
    proof = Proof("3f2a", "shared", "", "", (), (good_phase(lack),), (), ())
    root = sound_junit(junit_of(report(good_run(), proof=proof)))
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.attrib["type"] == "unproven"
    events = [*opening(phase("a"), phase("b"), phase("c")), start(0, "a"), start(0, "b"), keep(0, "c")]
    events += [
        fail(1, "a", cause=Cause.LOST, outcome=Outcome.LOST, detail=""),
        fail(1, "b", cause=Cause.EXIT),
        finish(1),
    ]
    root = sound_junit(junit_of(report(events)))
    assert [(root.attrib["errors"], root.attrib["failures"])] == [("1", "1")]
    kept = next(case for case in root.iter("testcase") if case.attrib["name"] == "c")
    assert kept.findtext("system-out") == "kept from run 11aa"


def test_the_output_of_a_phase_is_capped() -> None:
    root = sound_junit(junit_of(report(bad_run(), logs={"05": "x" * 50_000 + "the end"})))
    out = max((case.findtext("system-out", "") for case in root.iter("testcase")), key=len)
    assert len(out) <= MOST_OUTPUT + 40
    assert out.endswith("the end")


# -- trace ----------------------------------------------------------------------------------------------------------


def sound_trace(data: dict[str, Any]) -> None:
    """The rules of the format: known phases, whole microseconds, slices of a thread beside or within each other, flows
    that begin and end within a slice, named threads."""
    assert set(data) == {"otherData", "displayTimeUnit", "traceEvents"}
    slices: dict[tuple[int, int], list[tuple[int, int]]] = {}
    names: set[tuple[int, int]] = set()
    flows: dict[int, list[str]] = {}
    for event in data["traceEvents"]:
        assert event["ph"] in ("X", "M", "s", "f", "C")
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["name"]
        if event["ph"] == "M":
            names.add((event["pid"], event["tid"]))
            continue
        assert isinstance(event["ts"], int)
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert isinstance(event["dur"], int)
            assert event["dur"] > 0
            slices.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] in "sf":
            flows.setdefault(event["id"], []).append(event["ph"])
        else:
            assert 0 <= event["args"]["agents"] <= 1000
    assert set(slices) <= names
    for spans in slices.values():
        ordered = sorted(spans, key=lambda span: (span[0], -span[1]))
        assert all(end <= begin or last <= end for (_, end), (begin, last) in pairwise(ordered))
    for event in data["traceEvents"]:
        if event["ph"] in ("s", "f"):
            assert any(a <= event["ts"] < b for a, b in slices[event["pid"], event["tid"]])
    assert all(sorted(ends) == ["f", "s"] for ends in flows.values())


def test_the_trace_of_a_good_run() -> None:
    data = json.loads(trace_of(report(good_run())))
    sound_trace(data)
    attempts = [event for event in data["traceEvents"] if event.get("cat") == "attempt"]
    assert [(one["name"], one["ts"], one["dur"], one["tid"]) for one in attempts[:3]] == [
        ("01 scaffold", 0, 2_000_000, 1),
        ("02 reader", 2_000_000, 4_000_000, 1),
        ("04 html", 2_000_000, 5_000_000, 2),
    ]
    (lock,) = [event for event in data["traceEvents"] if str(event.get("cat")).startswith("wait")]
    assert (lock["ts"], lock["dur"], lock["pid"]) == (2_000_000, 5_000_000, 2)
    arrows = [event["name"] for event in data["traceEvents"] if event["ph"] == "s"]
    assert (arrows.count("dependency"), arrows.count("lock")) == (14, 1)


@pytest.mark.parametrize("events", [bad_run(), held_run(), big_run(60), big_run(200, seed=2)])
def test_traces_keep_the_rules_of_the_format(events: list[Event]) -> None:
    sound_trace(json.loads(trace_of(report(events))))


def test_attempts_of_no_length_at_the_same_moment_do_not_overlap() -> None:
    plan = [phase("a"), phase("b", "a"), phase("c", "b")]
    events = [*opening(*plan, agents=1), start(0, "a"), end(0, "a"), start(0, "b"), end(0, "b"), start(0, "c")]
    sound_trace(json.loads(trace_of(report([*events, end(0, "c"), finish(0)]))))


# -- graph ----------------------------------------------------------------------------------------------------------

_WORD = r'"(?:[\w \-.,/+]|#\d+;|<br/>)*"'
_MERMAID = [
    r"%% wavecrew report of run [\w-]*",
    r"flowchart LR",
    r"  accTitle: [\w ]*",
    rf"  subgraph w\d+\[{_WORD}\]",
    r"    direction TB",
    rf"    p\d+\[{_WORD}\]",
    r"  end",
    r"  p\d+ (?:-->|==>) p\d+",
    rf"  p\d+ -\. {_WORD.replace('(?:', '! (?:', 1)} \.- p\d+",
    r"  classDef \w+ stroke(?:-width:3px|:#[0-9a-f]{6})",
    r"  class p\d+(?:,p\d+)* \w+",
]


def sound_mermaid(text: str) -> None:
    """Each line is one of the few forms of the grammar that are used; no foreign word comes out of its quotes."""
    for line in text.splitlines():
        assert any(re.fullmatch(form, line) for form in _MERMAID), line
    assert text.count("\n  subgraph ") == text.count("\n  end\n")


def test_mermaid_has_states_in_words() -> None:
    text = mermaid_of(report(bad_run()))
    sound_mermaid(text)
    assert 'p4["05 stats#58; failed, 1.2s"]' in text
    assert 'p2["03 markdown#58; skipped"]' in text
    assert "  class p4,p8,p9 bad\n" in text


def test_the_picture_shows_standings_and_what_paced_the_run() -> None:
    text = svg_of(report(bad_run()))
    found = ElementTree.fromstring(text)  # noqa: S314 -- made here
    space = "{http://www.w3.org/2000/svg}"
    states = [one.text for one in found.iter(f"{space}text") if one.attrib.get("class") == "small state"]
    assert states[2:5] == ["skipped", "passed · 5.0s", "failed · 1.2s"]
    assert states[-1] == "blocked"
    assert ">pacing chain</text>" in text
    assert "ritical path" not in text


@pytest.mark.parametrize("words", VECTORS)
def test_hostile_words_stay_within_graph_trace_and_junit(words: str) -> None:
    known = hostile_report(words)
    sound_mermaid(mermaid_of(known))
    sound_junit(junit_of(known))
    sound_trace(json.loads(trace_of(known)))
    drawn = ElementTree.fromstring(svg_of(known))  # noqa: S314 -- made here
    tags = {element.tag.rpartition("}")[2] for element in drawn.iter()}
    assert tags <= {"svg", "title", "desc", "style", "clipPath", "rect", "g", "path", "text", "circle"}
    for form in FORMATS:
        assert steering(form(known)) == []


# -- Markdown and GitHub --------------------------------------------------------------------------------------------

_OURS = {"<!-- wavecrew report -->", "</details>"}


@pytest.mark.parametrize("words", VECTORS)
def test_foreign_words_are_no_markup(words: str) -> None:
    known = hostile_report(words)
    text = markdown_of(known, compare(known, known))
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    for token in reader.parse(text):
        if token.type == "html_block":
            left = re.sub(r"<details><summary>[\w ]+</summary>", "", token.content).strip()
            assert left == "" or left in _OURS, left
        assert token.type not in ("blockquote_open", "code_block")
        if token.type == "fence":
            assert token.info == "mermaid"
            sound_mermaid(token.content)
        for child in token.children or ():
            assert child.type not in ("link_open", "image", "html_inline"), child
            if child.type == "text":
                assert not re.search(r"[@<>]|://|www\.|#\d", child.content), child.content
    columns = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert all(number >= 3 for number in columns)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("plain", "`plain`"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        ("``` x", "```` ``` x ````"),
        ("a|b", "`a¦b`"),
        ("two\nlines", "`two lines`"),
        ("", ""),
    ],
)
def test_code_spans(text: str, span: str) -> None:
    assert code(text) == span


def test_markdown_fits_into_a_comment_however_large_the_run_is() -> None:
    known = report(big_run(300, good=True))
    assert len(markdown_of(known).encode()) <= 60_000
    assert len(markdown_of(known, room=4_000).encode()) <= 4_000
    assert markdown_of(known, room=0) == ""


def test_annotations_stand_at_the_lines_of_documents_and_are_capped() -> None:
    lines = annotations_of(report(hostile_many(30))).splitlines()
    errors = [line for line in lines if line.startswith("::error ")]
    assert len(errors) == 9
    assert errors[0] == "::error file=plan/00.md,line=4,title=00%3A failed::00 failed: exit code 1"
    assert [line for line in lines if line not in errors] == ["::error::21 more; the summary of this step has them"]


def hostile_many(number: int) -> list[Event]:
    from wavecrew.models.parallel_execution import Source

    plan = [phase(f"{place:02}", source=Source(f"plan/{place:02}.md", 4)) for place in range(number)]
    events = opening(*plan, agents=number)
    events += [start(0, one.id) for one in plan]
    return [*events, *(fail(1, one.id, cause=Cause.EXIT, detail="exit code 1") for one in plan), finish(1)]


def test_waivers_and_undeclared_writes_are_annotations_too() -> None:
    events = [*opening(phase("a"), phase("b")), skip(0, "a"), start(0, "b")]
    events += [ev.UndeclaredWrites(at=T0 + 1, suspects=("b",), paths=("x.py",)), end(2, "b"), finish(2)]
    text = annotations_of(report(events))
    assert "::warning title=b%3A undeclared writes::b undeclared writes: may have changed: x.py\n" in text
    assert "::notice title=a%3A waived::a waived: skipped by ann: done by hand\n" in text


@pytest.mark.parametrize("words", VECTORS)
def test_no_foreign_word_is_a_command_to_the_runner(words: str) -> None:
    known = hostile_report(words)
    for line in harmless(text_of(known)).splitlines():
        assert not line.lstrip().startswith("::"), line
        assert "##[" not in line
    for line in annotations_of(known).splitlines():
        assert re.match(r"::(?:error|warning|notice)(?: [^:]*)?::", line), line
        assert line.count("\r") == 0
        assert "##[" not in line


def test_phases_that_are_out_of_date_are_told() -> None:
    events = [*opening(phase("a")), start(0, "a"), end(1, "a"), ev.RunFinished(at=T0 + 2, edited=("a",))]
    known = report(events)
    assert "::warning title=out of date::OUT OF DATE: a was edited" in annotations_of(known)
    assert "- ``OUT OF DATE: a was edited" in markdown_of(known)


def test_the_summary_of_a_step_is_no_larger_than_there_is_room() -> None:
    known = report(big_run(60))
    assert step_summary(known, None, 1024 * 1024) == markdown_of(known)
    assert len(step_summary(known, None, 5_000).encode()) <= 5_000
