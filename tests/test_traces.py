"""Runs as traces: the spans of any history, their names, OTLP/JSON, and sending them to a collector."""

from __future__ import annotations

import inspect
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
import requests
from hypothesis import given, settings

from report_stories import VECTORS, big_run, hostile_report, report, steering
from run_stories import (
    MINITABLE,
    T0,
    approve,
    asked,
    bad_run,
    charge,
    clash,
    end,
    fail,
    finish,
    forbidden,
    good_run,
    held_run,
    histories,
    keep,
    merged,
    opening,
    phase,
    propose,
    reset,
    seal,
    silence,
    skip,
    start,
    stop,
    told,
    until,
    work,
)
from trace_world import Collector, collector, from_json, spans_in
from trace_world import told as said
from wavecrew.api import trace_export
from wavecrew.api.trace_export import require_collector, send
from wavecrew.api.traces import send_run, spans_for
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.errors import ConfigError, ExitCode
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.views import trace_names as names
from wavecrew.views.run_words import reason_of
from wavecrew.views.trace_ids import attempt_id, trace_id, traceparent
from wavecrew.views.trace_json import otlp_of
from wavecrew.views.trace_spans import spans_of
from wavecrew.views.trace_values import Span

_NAMES = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}


def trace(events: list[Event], **more: Any) -> tuple[Span, ...]:
    return spans_of(report(events, **more))


def attempt(spans: tuple[Span, ...], name: str, number: int = 1) -> Span:
    wanted = attempt_id(spans[0].trace_id, name, number)
    return next(one for one in spans if one.span_id == wanted)


def named(spans: tuple[Span, ...], name: str) -> list[Span]:
    return [one for one in spans if one.name == name]


def at(seconds: float) -> int:
    return round((T0 + seconds) * 1e9)


# -- any history ----------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(histories())
def test_any_history_is_one_sound_trace(events: list[Event]) -> None:
    found = report(events)
    spans = spans_of(found)
    root, by_id = spans[0], {one.span_id: one for one in spans}
    assert len(by_id) == len(spans)
    assert {one.trace_id for one in spans} == {root.trace_id}
    assert [one for one in spans if not one.parent_id] == [root]
    assert sum(names.TASK_RUN_ID in one.attributes for one in spans) == len(found.attempts)
    for one in spans:
        assert one.begin <= one.end
        assert one is root or one.parent_id in by_id
        assert one.attributes.keys() <= _NAMES
        assert all(event.name in _NAMES and event.attributes.keys() <= _NAMES for event in one.events)
        assert (one.error is not None) == (one.attributes.get(names.ERROR) is not None)
        for link in one.links:
            before = by_id[link.span_id]
            assert before.end <= one.begin
            assert before.attributes[names.TASK_RESULT] == names.SUCCESS
    assert spans == spans_of(found)
    json_spans = [one for line in otlp_of(spans, "1").splitlines() for one in spans_in(from_json(line))]
    assert {one.span_id.hex() for one in json_spans} == by_id.keys()


def test_a_run_is_the_root_and_its_attempts_are_linked_to_what_they_rest_on() -> None:
    spans = trace(good_run())
    root = spans[0]
    assert (root.name, root.begin, root.end, root.error) == ("RUN minitable", at(0), at(23), None)
    assert root.attributes[names.RUN_RESULT] == "success"
    assert (root.attributes[names.PIPELINE], root.attributes[names.RUN_ID]) == ("minitable", "3f2a")
    assert (root.attributes[names.PHASES], root.attributes[names.PHASES_DONE]) == (10, 10)
    one = attempt(spans, "07")
    assert (one.name, one.begin, one.end, one.parent_id) == ("07 cli", at(10), at(14), root.span_id)
    assert one.attributes[names.TASK_RUN_ID] == "3f2a/07/1"
    assert [link.span_id for link in one.links] == [attempt(spans, name).span_id for name in ("02", "03", "04")]
    [lock] = named(spans, "wait for a lock")
    assert (lock.parent_id, lock.begin, lock.end) == (root.span_id, at(2), at(7))
    assert (lock.attributes[names.WAIT_WHOM], lock.attributes[names.WAIT_PEOPLE]) == ("04", False)


@pytest.mark.parametrize(("second", "links"), [(end(5, "1", 2), [[1], [2]]), (fail(5, "1", 2), [[1], [1]])])
def test_links_lead_to_the_success_that_was_there_at_the_time(second: Event, links: list[list[int]]) -> None:
    before = [start(0, "1"), end(1, "1"), start(1, "2"), fail(2, "2", retry_at=20), reset(3, "1"), start(3, "1", 2)]
    waived = [skip(6, "1")] if links[1] == [1] else []
    events = [*opening(phase("1 a"), phase("2 b", "1")), *before, second, *waived, start(20, "2", 2)]
    spans = trace(events)
    number = {attempt(spans, "1", one).span_id: one for one in (1, 2)}
    assert [[number[link.span_id] for link in attempt(spans, "2", one).links] for one in (1, 2)] == links


# -- how runs and attempts end --------------------------------------------------------------------------------------


def test_a_further_try_is_a_span_of_its_own_and_a_waiver_is_told() -> None:
    spans = trace(bad_run())
    root, first, again = spans[0], attempt(spans, "06"), attempt(spans, "06", 2)
    assert (root.attributes[names.RUN_RESULT], root.attributes[names.ERROR]) == ("failure", "phase_failed")
    assert root.error == "3 of 10 phases are not done"
    assert (first.attributes[names.TASK_RESULT], first.attributes[names.ERROR]) == ("timeout", "timeout")
    assert first.error == "its time limit passed during: run fuzz"
    assert (again.attributes[names.TASK_RESULT], again.error, again.begin) == ("success", None, at(10))
    [pause] = named(spans, "wait for the next try")
    assert (pause.begin, pause.end) == (at(8), at(10))
    assert attempt(spans, "05").attributes[names.EXIT_CODE] == 1
    waived = next(event for event in root.events if event.name == names.PHASE_WAIVED)
    assert waived.attributes == {names.PHASE: "03", names.BY: "ann", names.REASON: "done by hand"}
    links = [link.attributes[names.PHASE] for link in attempt(spans, "07").links]
    assert links == ["02", "04"]  # what was waived has no attempt


def test_a_run_that_was_left_and_taken_up_is_one_trace() -> None:
    left = [*opening(*MINITABLE[:2]), start(0, "01"), end(2, "01"), stop(3)]
    taken_up = [*left, charge(13, 2), start(13, "02"), end(17, "02"), finish(17)]
    before, after = trace(left), trace(taken_up)
    assert before[0].attributes[names.RUN_RESULT] == "cancellation"
    assert (before[0].attributes[names.STOP_REASON], before[0].error) == ("SIGINT", None)
    assert (before[0].end, after[0].end) == (at(3), at(17))
    assert before[0].span_id == after[0].span_id
    assert attempt(before, "01") == attempt(after, "01")
    assert after[0].attributes[names.RUN_RESULT] == "success"
    [gap] = named(after, names.IDLE_NAME)
    assert (gap.begin, gap.end) == (at(3), at(13))
    assert [event.name for event in after[0].events] == [names.TOOK_CHARGE, names.STOPPED, names.TOOK_CHARGE]


def test_what_has_not_ended_has_no_result() -> None:
    events = until(good_run(), 9)
    alive, dead = trace(events, now=T0 + 9.5, alive=True), trace(events, alive=False)
    for spans, last in ((alive, 9.5), (dead, 7)):
        for one in (spans[0], attempt(spans, "05"), attempt(spans, "03")):
            assert one.attributes[names.OPEN] is True
            assert one.end == at(last)
            assert not one.attributes.keys() & {names.RUN_RESULT, names.TASK_RESULT, names.ERROR}
        assert names.OPEN not in attempt(spans, "02").attributes
    assert (alive[0].attributes.get(names.RUN_STATE), dead[0].attributes.get(names.RUN_STATE)) == ("executing", None)


def test_a_run_that_waits_for_an_approval_has_no_result_and_one_that_somebody_tampered_with_has_failed() -> None:
    plan = (phase("1 a"), phase("2 b", "1"))
    left = [*opening(*plan, settings={"gate": "wave"}), start(0, "1"), end(2, "1"), asked(2, "wave 2")]
    waiting = trace([*left, stop(5, "needs approval: wave 2")])
    assert names.RUN_RESULT not in waiting[0].attributes
    assert named(waiting, "wait for approval")[0].attributes[names.OPEN] is True
    going_on = [*left, stop(5, "needs approval: wave 2"), approve(9, "wave 2"), charge(9, 2)]
    [asked_for] = named(trace([*going_on, start(10, "2"), end(11, "2"), finish(11)]), "wait for approval")
    assert (asked_for.begin, asked_for.end) == (at(2), at(9))
    assert (asked_for.attributes[names.WAIT_WHOM], asked_for.attributes[names.WAIT_PEOPLE]) == ("ann", True)
    [root, *_] = trace([*left, forbidden(3, ".git/hooks", suspects=("1",)), stop(4, "forbidden")])
    assert (root.attributes[names.RUN_RESULT], root.attributes[names.ERROR]) == ("failure", "forbidden_change")
    [root, *_] = trace([*left[:-1], start(3, "2"), end(4, "2"), finish(4, ("1",))])
    assert (root.attributes[names.RUN_RESULT], root.attributes[names.ERROR]) == ("failure", "unproven")


@pytest.mark.parametrize(
    ("outcome", "cause", "result"),
    [
        (Outcome.FAILED, Cause.CHECK, "failure"),
        (Outcome.FAILED, Cause.TIMEOUT, "timeout"),
        (Outcome.FAILED, Cause.START, "error"),
        (Outcome.FAILED, Cause.CANCELLED, "cancellation"),
        (Outcome.LOST, Cause.LOST, "error"),
        (Outcome.STOPPED, Cause.STOPPED, "cancellation"),
        (Outcome.STOPPED, Cause.QUOTA, "error"),
        (Outcome.STOPPED, Cause.SILENCE, "timeout"),
    ],
)
def test_attempts_end_in_the_words_of_the_conventions(outcome: Outcome, cause: Cause, result: str) -> None:
    events = [*opening(MINITABLE[0]), start(0, "01"), fail(2, "01", outcome=outcome, cause=cause, detail="why")]
    one = attempt(trace(events), "01")
    assert one.attributes[names.TASK_RESULT] == result
    bad = result != "cancellation"
    assert (one.error, one.attributes.get(names.ERROR)) == (
        (reason_of(cause, "why"), cause.value) if bad else (None, None)
    )
    assert one.attributes[names.CAUSE] == cause.value


def test_what_somebody_cancelled_says_who() -> None:
    events = [*opening(MINITABLE[0]), start(0, "01"), ev.AttemptCancelled(at=T0 + 1, phase="01", attempt=1, by="ann")]
    [event] = attempt(trace([*events, fail(2, "01", cause=Cause.CANCELLED)]), "01").events
    assert (event.name, event.at, event.attributes) == (names.CANCELLED, at(1), {names.BY: "ann"})


# -- what is known --------------------------------------------------------------------------------------------------


def test_unknown_cost_is_left_out_and_known_zero_is_not() -> None:
    spans = trace(held_run())
    used = (names.COST, names.INPUT_TOKENS, names.OUTPUT_TOKENS, names.TOKENS)
    assert not set(used) & (spans[0].attributes.keys() | attempt(spans, "01").attributes.keys())
    known = attempt(spans, "02").attributes
    assert [known.get(name) for name in used] == [0.75, 700, 700, None]
    free = [*opening(*MINITABLE[:2]), start(0, "01"), told(1, "01", 1, 0, 0.0), end(2, "01")]
    assert [attempt(trace(free), "01").attributes[name] for name in used[:3]] == [0.0, 0, 0]
    both = trace([*free, start(2, "02"), told(3, "02", 1, 5, 0.25), end(4, "02")])
    assert (both[0].attributes[names.COST], both[0].attributes[names.TOKENS]) == (0.25, 10)


def test_waits_in_an_attempt_are_part_of_it() -> None:
    spans = trace([*held_run(), silence(11, "04", None)])
    [silent] = named(spans, "silent agent")
    assert (silent.parent_id, silent.begin, silent.end) == (attempt(spans, "04").span_id, at(4), at(11))
    [used_up] = named(spans, "account used up")
    assert (used_up.parent_id, used_up.begin) == (spans[0].span_id, at(3))


def test_two_waits_of_one_moment_are_two_spans() -> None:
    asked_to = {"at": T0 + 2, "phase": "01", "attempt": 1, "tool": "Write", "paths": ("x.py",), "allowed": True}
    judged = [ev.WriteJudged(**asked_to, waited=1, holder=holder) for holder in ("02", "03")]
    spans = named(trace([*opening(MINITABLE[0]), start(0, "01"), *judged, end(4, "01")]), "wait for a lock")
    assert [(one.begin, one.end, one.attributes[names.WAIT_WHOM]) for one in spans] == [
        (at(1), at(2), "02"),
        (at(1), at(2), "03"),
    ]
    assert len({one.span_id for one in spans}) == 2


def test_work_that_comes_home_is_a_merge_and_its_checks() -> None:
    plan = (phase("1 a"), phase("2 b"))
    events = [
        *opening(*plan, isolation="worktree"),
        work(0, "1"),
        work(0, "2"),
        seal(2, "1", "x.py", "y.py"),
        seal(3, "2", "x.py"),
        propose(4, "1"),
        merged(9, "1"),
        clash(10, "2", "both change x.py", "x.py"),
        fail(10, "2", cause=Cause.MERGE, detail="both change x.py"),
    ]
    spans = trace(events)
    first, second = attempt(spans, "1"), attempt(spans, "2")
    [good, refused] = named(spans, names.MERGE_NAME)
    assert (good.parent_id, good.begin, good.end, good.error) == (first.span_id, at(2), at(4), None)
    assert (refused.parent_id, refused.begin, refused.end, refused.error) == (second.span_id, at(3), at(10), "")
    [check] = named(spans, names.CHECK_NAME)
    assert (check.parent_id, check.begin, check.end) == (first.span_id, at(4), at(9))
    assert check.attributes[names.TASK_RESULT] == "success"
    assert first.events[0].attributes == {names.COMMIT: "5ea1ed00", names.FILES_CHANGED: 2}
    assert first.attributes[names.COMMIT] == "d0d0d0d0"
    assert second.attributes[names.BRANCH] == "wavecrew/3f2a/2/1"
    assert [event.name for event in second.events] == [names.SEALED, names.MERGE_REFUSED]
    red = [*events[:7], fail(8, "1", cause=Cause.GATE)]
    assert named(trace(red), names.CHECK_NAME)[0].attributes[names.TASK_RESULT] == "failure"


def test_several_that_are_checked_as_one_tree_say_beside_whom() -> None:
    events = [*opening(phase("1 a"), phase("2 b"), isolation="worktree"), work(0, "1"), work(0, "2"), seal(2, "1")]
    both = [replace(propose(5, name), beside="1") for name in ("1", "2")]
    checks = named(trace([*events, seal(3, "2"), *both, merged(9, "1"), merged(9, "2")]), names.CHECK_NAME)
    assert [one.attributes.get(names.BESIDE) for one in checks] == [None, "1"]


def test_a_question_is_a_wait_of_the_attempt_for_a_person() -> None:
    asking = ev.QuestionAsked(at=T0 + 1, phase="01", attempt=1, question=1, text="Which port?")
    answer = ev.QuestionAnswered(at=T0 + 3, phase="01", question=1, by="ann", text="80")
    asked_for = [*opening(MINITABLE[0]), start(0, "01"), asking]
    spans = trace([*asked_for, answer, end(4, "01")])
    [one] = named(spans, names.QUESTION_NAME)
    assert (one.parent_id, one.begin, one.end) == (attempt(spans, "01").span_id, at(1), at(3))
    told_of = [one.attributes[name] for name in (names.WAIT_FOR, names.WAIT_WHOM, names.WAIT_PEOPLE)]
    assert told_of == ["Which port?", "ann", True]
    [unanswered] = named(trace([*asked_for, fail(2, "01", retry_at=9)], now=T0 + 5, alive=True), names.QUESTION_NAME)
    assert unanswered.attributes[names.OPEN] is True


def test_a_run_that_was_imported_is_the_same_trace() -> None:
    events = good_run()
    first = events[0]
    assert isinstance(first, ev.RunStarted)
    here, there = trace(events), trace([replace(first, imported="run.zip"), *events[1:]])
    assert there[0].attributes[names.IMPORTED] == "run.zip"
    assert [one.span_id for one in here] == [one.span_id for one in there]
    assert here[1:] == there[1:]


def test_kept_phases_are_told() -> None:
    [_, kept] = trace([*opening(*MINITABLE[:2]), keep(0, "01"), start(0, "02")])[0].events
    assert (kept.name, kept.attributes) == (names.PHASE_KEPT, {names.PHASE: "01", names.FROM_RUN: "11aa"})


# -- ids and names --------------------------------------------------------------------------------------------------


def test_ids_name_one_attempt_of_one_run_for_ever() -> None:
    assert traceparent("3f2a", T0, "01", 1) == ("00-99c64b47d67486fde504efc2fcc652a6-ce8d89062434e55e-01")
    trace_ids = {trace_id(run, moment) for run in ("3f2a", "3f2b") for moment in (T0, T0 + 1e-6)}
    spans = {attempt_id(one, name, n) for one in trace_ids for name in ("1", "11", "1\x001", "") for n in (1, 11)}
    assert (len(trace_ids), len(spans)) == (4, 32)
    assert trace(good_run())[0].trace_id == trace_id("3f2a", T0)


def test_names_that_are_not_ours_are_those_of_the_conventions() -> None:
    places = ("attributes", "_incubating.attributes")
    rooms = ("cicd", "error", "gen_ai", "process", "service", "vcs")
    known: set[str] = set()
    for place in places:
        for room in rooms:
            try:
                module = import_module(f"opentelemetry.semconv.{place}.{room}_attributes")
            except ModuleNotFoundError:
                continue
            known |= {value for name, value in inspect.getmembers(module) if isinstance(value, str)}
    foreign = {name for name in _NAMES if "." in name and not name.startswith(("wavecrew.", "http"))}
    assert len(foreign) > 15
    assert foreign <= known
    cicd = import_module("opentelemetry.semconv._incubating.attributes.cicd_attributes")
    results = {one.value for one in cicd.CicdPipelineTaskRunResultValues}
    assert {names.SUCCESS, names.CANCELLATION, *names.BAD} <= results
    assert {one.value for one in cicd.CicdPipelineResultValues} == results
    schemas = import_module("opentelemetry.semconv.schemas").Schemas
    assert names.SCHEMA in {one.value for one in schemas}


# -- foreign words and secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", VECTORS)
def test_hostile_words_stay_words(words: str) -> None:
    spans = spans_of(hostile_report(words))
    text = otlp_of(spans, "1")
    assert not steering(text)
    assert [one.name for one in spans_in(from_json(text))] == [one.name for one in spans]


def test_secrets_stay_here() -> None:
    given, key = "s3cr3t-value", "sk-" + "a" * 30
    events = [
        *opening(phase(f"01 {given}"), settings={"env": ["GIVEN"]}),
        start(0, "01"),
        silence(1, "01", 0, f"{'long ' * 196}{key}"),
        fail(2, "01", detail=f"{given} is wrong, says https://ann:{given}@box.example/"),
    ]
    found = report(events)
    plain_text, text = (otlp_of(one, "1") for one in (spans_of(found), spans_for(found, {"GIVEN": given})))
    assert given in plain_text
    assert "sk-aaa" in plain_text
    assert given not in text
    assert "sk-a" not in text  # although the rest of it is cut off
    assert "01 [hidden GIVEN]" in text


# -- OTLP/JSON ------------------------------------------------------------------------------------------------------


def test_a_file_has_lines_that_a_collector_takes() -> None:
    spans = spans_of(report(big_run(400, good=True)))
    lines = otlp_of(spans, "1.2").splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) < 1024 * 1024
    read = [one for line in lines for one in spans_in(from_json(line))]
    assert [one.span_id.hex() for one in read] == [one.span_id for one in spans]
    assert json.loads(lines[0])["resourceSpans"][0]["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "wavecrew"}},
        {"key": "service.version", "value": {"stringValue": "1.2"}},
    ]
    assert otlp_of((), "1") == ""


# -- sending --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the surroundings of the tests has a say."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def far_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.address)
        yield found


def test_what_is_sent_is_what_is_written(far_end: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_export, "_BATCH", 7)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=ci")
    for events in (bad_run(), held_run(), big_run(200)):
        far_end.got.clear()
        spans = trace(events)
        assert send(spans) == ""
        assert len(far_end.got) == -(-len(spans) // 7)
        assert said(far_end.spans) == said(spans_in(from_json(otlp_of(spans, "1"))))
    assert far_end.headers[-1]["x-team"] == "blue"
    assert far_end.resource["service.name"] == "wavecrew"
    assert far_end.resource["deployment.environment.name"] == "ci"


def test_a_service_may_have_another_name(far_end: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "crew of ann")
    assert send(trace(good_run())) == ""
    assert far_end.resource["service.name"] == "crew of ann"


def test_a_run_with_more_events_than_the_library_keeps_by_itself_is_whole(far_end: Collector) -> None:
    plan = [phase(f"{number:03} x") for number in range(300)]
    spans = trace([*opening(*plan), *(skip(1, one.id) for one in plan), finish(2)])
    assert send(spans) == ""
    assert [len(one.events) for one in far_end.spans] == [301]


@pytest.mark.parametrize(
    ("status", "words"), [(404, "it answered 404 Not Found"), (401, "it answered 401 Unauthorized")]
)
def test_a_collector_that_refuses_is_quoted(
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with collector(status) as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.address + "/")
        assert send(trace(good_run())) == words
        assert len(found.headers) == 1
    assert capfd.readouterr() == ("", "")
    assert not caplog.records  # nor does the library tell anybody else


@pytest.mark.parametrize(
    ("dead", "patience", "words"), [(True, 2.0, "Connection refused"), (False, 1.0, "it does not answer")]
)
def test_nobody_is_waited_for(
    dead: bool, patience: float, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trace_export, "PATIENCE_SECONDS", patience)
    monkeypatch.setattr(trace_export, "_MARGIN_SECONDS", 60.0)
    with collector(status=0) as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1" if dead else found.address)
        assert send(trace(good_run())) == words
    assert capfd.readouterr() == ("", "")


def test_no_request_may_take_longer_than_our_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def request(self: requests.Session, *_: Any, timeout: float, **more: Any) -> None:
        given.append(timeout)
        raise requests.ConnectionError("nobody is there")

    monkeypatch.setattr(requests.Session, "request", request)
    monkeypatch.setattr(trace_export, "PATIENCE_SECONDS", 0.5)
    assert send(trace(good_run())) == "ConnectionError"
    assert given
    assert max(given) <= 0.5


@pytest.mark.parametrize(("moving", "longest"), [(False, 1e9), (True, 0.3)])
def test_a_library_that_hangs_is_left_behind(moving: bool, longest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def work(self: Any) -> None:
        while moving and self.taken < 3000 and not over.wait(0.01):
            self.taken += 1
        over.wait(30)

    monkeypatch.setattr(trace_export._Sending, "work", work)
    monkeypatch.setattr(trace_export, "_MARGIN_SECONDS", 0.1 - trace_export.PATIENCE_SECONDS)
    monkeypatch.setattr(trace_export, "_LONGEST_SECONDS", longest)
    assert send(trace(good_run())) == "it takes too long"
    over.set()


def test_the_switch_of_the_library_counts(far_end: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert send(trace(good_run())) == "OTEL_SDK_DISABLED is set"
    assert not far_end.got


def test_whatever_goes_wrong_at_the_end_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    nowhere: Any = None
    send_run(nowhere, "3f2a", ParallelExecutionConfig(), {}, lines.append)
    assert not lines
    send_run(nowhere, "3f2a", ParallelExecutionConfig(traces="otlp"), {}, lines.append)
    [line] = lines
    assert line.startswith("the trace of this run could not be sent ")
    assert line.endswith("later: wavecrew report 3f2a --send")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is no http or https address"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[x"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no http"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OpenTelemetry is to speak grpc here"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OpenTelemetry is to speak http/json here"),
    ],
)
def test_what_cannot_work_is_said_before(variables: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        require_collector(variables)
    assert refused.value.fix
    require_collector({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"})
    require_collector({})


def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    with pytest.raises(ConfigError, match="without the OpenTelemetry library") as refused:
        require_collector({})
    assert "pip install 'wavecrew[otel]'" in refused.value.fix
    assert refused.value.exit_code == ExitCode.INVALID_INPUT
