"""The formats of the report, held against the rules of those who read them: the schemas of JUnit files, the trace event
format, the limits of Mermaid and of GitHub Actions, CSV by RFC 4180, a terminal of 80 columns without any sign."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from report_stories import VECTORS, big_run, hostile_report, report
from run_stories import bad_run, fail, finish, good_run, held_run, histories, opening, phase, skip, start
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.parallel_execution import Source
from wavecrew.views.report_compare import compare
from wavecrew.views.report_csv import COLUMNS, csv_of
from wavecrew.views.report_github import annotations_of
from wavecrew.views.report_graph import ARROWS, LETTERS, fits_mermaid, mermaid_of
from wavecrew.views.report_junit import junit_of
from wavecrew.views.report_markdown import markdown_of
from wavecrew.views.report_text import text_of
from wavecrew.views.report_trace import trace_of

RUNS = (good_run(), bad_run(), held_run(), big_run(60), big_run(60, seed=2), opening(), opening(phase("a")))

# -- JUnit ----------------------------------------------------------------------------------------------------------

_NUMBERS = {"tests": r"\d+", "failures": r"\d+", "errors": r"\d+", "time": r"\d+\.\d{3}"}
_JUNIT: dict[str, tuple[dict[str, str], dict[str, str], tuple[str, ...]]] = {
    # element: attributes that it must have, that it may have, and its children, in this order
    "testsuites": ({}, {"name": ".*", **_NUMBERS}, ("testsuite",)),
    "testsuite": (
        {"name": ".*", **_NUMBERS},
        {"skipped": r"\d+", "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"},
        ("properties", "testcase", "system-out"),
    ),
    "properties": ({}, {}, ("property",)),
    "property": ({"name": ".+", "value": ".*"}, {}, ()),
    # `file` and `line` are not in the schemas; GitLab, CircleCI and annotators know them, and others pass over them
    "testcase": (
        {"name": ".+", "classname": ".+"},
        {"time": r"\d+\.\d{3}", "file": ".+", "line": r"\d+"},
        ("skipped", "error", "failure", "system-out"),
    ),
    "skipped": ({}, {"message": ".*"}, ()),
    "error": ({"type": ".+"}, {"message": ".*"}, ()),
    "failure": ({"type": ".+"}, {"message": ".*"}, ()),
    "system-out": ({}, {}, ()),
}
_ONCE = {"properties", "skipped", "error", "failure", "system-out"}


def keeps_schema(element: ElementTree.Element) -> None:
    """The rules that the schemas in use have in common."""
    must, may, children = _JUNIT[element.tag]
    assert set(must) <= set(element.attrib) <= set(must) | set(may), element.tag
    for name, value in element.attrib.items():
        assert re.fullmatch((must | may)[name], value, re.DOTALL), (element.tag, name, value)
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places)
    assert all(number == 1 for tag, number in Counter(child.tag for child in element).items() if tag in _ONCE)
    for child in element:
        keeps_schema(child)


@pytest.mark.parametrize("events", RUNS)
def test_junit_keeps_the_schema(events: list[Event]) -> None:
    keeps_schema(ElementTree.fromstring(junit_of(report(events))))  # noqa: S314 -- made here


@settings(max_examples=60, deadline=None)
@given(histories())
def test_junit_of_any_run_keeps_the_schema(events: list[Event]) -> None:
    keeps_schema(ElementTree.fromstring(junit_of(report(events))))  # noqa: S314 -- made here


@pytest.mark.parametrize("words", VECTORS)
def test_junit_with_hostile_words_keeps_the_schema(words: str) -> None:
    keeps_schema(ElementTree.fromstring(junit_of(hostile_report(words))))  # noqa: S314 -- made here


# -- the trace event format ------------------------------------------------------------------------------------------

_COMMON = {"ph", "name", "pid", "tid"}
_KEYS = {
    "X": _COMMON | {"cat", "ts", "dur", "cname", "args"},
    "s": _COMMON | {"cat", "ts", "id"},
    "f": _COMMON | {"cat", "ts", "id", "bp"},
    "C": _COMMON | {"ts", "args"},
    "M": _COMMON | {"args"},
}
_SHADES = {"thread_state_running", "good", "bad", "terrible"}  # of the reserved names of colours
_ABOUT = {"process_name": str, "process_sort_index": int, "thread_name": str, "thread_sort_index": int}


def keeps_trace_format(events: list[dict[str, Any]]) -> None:
    """Each event has what its kind has; an arrow goes forward in time, to where a slice begins."""
    slices = {(one["pid"], one["tid"], one["ts"]) for one in events if one["ph"] == "X"}
    begun: dict[int, dict[str, Any]] = {}
    counted = [one["ts"] for one in events if one["ph"] == "C"]
    assert counted == sorted(set(counted))
    for one in events:
        assert set(one) == _KEYS[one["ph"]]
        if one["ph"] == "M":
            ((key, value),) = one["args"].items()
            assert key == ("name" if one["name"].endswith("_name") else "sort_index")
            assert isinstance(value, _ABOUT[one["name"]])
        elif one["ph"] == "X":
            assert one["cname"] in _SHADES
        elif one["ph"] == "s":
            assert begun.setdefault(one["id"], one) is one
        elif one["ph"] == "f":
            first = begun.pop(one["id"])
            assert (first["name"], first["cat"]) == (one["name"], one["cat"])
            assert first["ts"] <= one["ts"]
            assert one["bp"] == "e"
            assert (one["pid"], one["tid"], one["ts"]) in slices
    assert not begun


@settings(max_examples=60, deadline=None)
@given(histories())
def test_traces_of_any_run_keep_the_format(events: list[Event]) -> None:
    keeps_trace_format(json.loads(trace_of(report(events)))["traceEvents"])


@pytest.mark.parametrize("events", RUNS)
def test_traces_keep_the_format(events: list[Event]) -> None:
    keeps_trace_format(json.loads(trace_of(report(events)))["traceEvents"])


# -- Mermaid ----------------------------------------------------------------------------------------------------------


def dense(size: int, name: str = "") -> list[Event]:
    """A plan in which each phase needs the twelve before it."""
    return opening(
        *(
            phase(f"{place:03} {name}", " ".join(f"{other:03}" for other in range(max(0, place - 12), place)))
            for place in range(size)
        )
    )


def test_a_dense_plan_stays_within_the_limits_of_mermaid() -> None:
    text = mermaid_of(report(dense(100)))
    assert text.count(" --> ") + text.count(" ==> ") == 99
    assert fits_mermaid(text)
    assert "```mermaid" in markdown_of(report(dense(100)))


def fan(wide: int, size: int) -> list[Event]:
    """So many phases that all need the same ones, and want the same file."""
    first = [phase(f"a{place:02}") for place in range(wide)]
    needs = " ".join(one.id for one in first)
    return opening(*first, *(phase(f"b{place:02}", needs, 1, "one.py") for place in range(size)))


def test_conflicts_give_way_to_dependencies() -> None:
    known = report(fan(10, 47))
    assert len(known.conflicts) == 50
    text = mermaid_of(known)
    assert (text.count(" --> "), text.count(" .- ")) == (470, 30)
    assert fits_mermaid(text)
    text = mermaid_of(report(fan(25, 25)))
    assert (text.count(" --> "), text.count(" .- ")) == (625, 0)
    assert not fits_mermaid(text)
    assert "```mermaid" not in markdown_of(report(fan(25, 25)))


def test_a_text_that_mermaid_does_not_read_is_not_pasted() -> None:
    text = mermaid_of(report(dense(90, "!" * 180)))
    assert len(text) > LETTERS
    assert not fits_mermaid(text)
    assert "```mermaid" not in markdown_of(report(dense(90, "!" * 180)))
    assert fits_mermaid(" --> " * ARROWS)
    assert not fits_mermaid(" --> " * (ARROWS + 1))


# -- CSV --------------------------------------------------------------------------------------------------------------

_FIELD = r'(?:[^",\r\n]*|"(?:[^"]|"")*")'


@pytest.mark.parametrize("words", VECTORS)
def test_csv_keeps_its_grammar(words: str) -> None:
    text = csv_of(hostile_report(words))
    record = rf"{_FIELD}(?:,{_FIELD}){{{len(COLUMNS) - 1}}}"
    assert re.fullmatch(rf"(?:{record}\n)+", text)
    assert {len(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)} == {len(COLUMNS)}


# -- GitHub Actions ----------------------------------------------------------------------------------------------------


def test_no_more_annotations_than_a_step_may_have() -> None:
    plan = [phase(f"{place:02}", source=Source(f"plan/{place:02}.md", 4)) for place in range(30)]
    events = opening(*plan, agents=30)
    events += [skip(0, one.id) for one in plan[:10]]
    events += [start(0, one.id) for one in plan[10:]]
    events += [ev.UndeclaredWrites(at=events[0].at + 1, suspects=(one.id,), paths=("x",)) for one in plan[10:]]
    events += [fail(1, one.id) for one in plan[10:]]
    kinds = Counter(
        line.split(" ")[0].split("::")[1] for line in annotations_of(report([*events, finish(2)])).splitlines()
    )
    assert kinds == {"error": 10, "warning": 10, "notice": 10}


# -- a terminal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", RUNS)
def test_the_text_fits_eighty_columns_in_any_encoding(events: list[Event]) -> None:
    known = report(events)
    for plain in (False, True):
        text = text_of(known, compare(known, known), ascii_only=plain)
        assert max(map(len, text.splitlines())) <= 80
        assert text.isascii() or not plain
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", text)
