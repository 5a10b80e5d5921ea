"""One run, one set of numbers: every view of a history shows the counts of its summary.

What it does: takes runs that happened by chance, with or without somebody in charge, reads the numbers back from what
each view has written, and compares them with `summarize`. A view that shows a number must show that one.
What it does not know: how any view looks beside its numbers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report_stories import big_run, report
from run_stories import (
    MINITABLE,
    T0,
    asked,
    bad_run,
    charge,
    end,
    fail,
    finish,
    good_run,
    held_run,
    histories,
    keep,
    opening,
    phase,
    reject,
    reset,
    seal,
    silence,
    skip,
    start,
    stop,
    until,
    wait,
    work,
)
from wavecrew.api.plans import analyse_plan
from wavecrew.core.lock_registry import Picture
from wavecrew.core.store import RunRow
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import replay
from wavecrew.models.plan import Plan
from wavecrew.models.results import Sign
from wavecrew.views.board_lists import needs
from wavecrew.views.board_parts import plain_text
from wavecrew.views.board_plan import chosen_rows, head_line, plan_lines
from wavecrew.views.notice_words import message_of
from wavecrew.views.notices import Notice, NoticeKind
from wavecrew.views.report_facts import Report
from wavecrew.views.report_github import annotations_of
from wavecrew.views.report_html import html_of
from wavecrew.views.report_json import json_of
from wavecrew.views.report_junit import junit_of
from wavecrew.views.report_markdown import markdown_of
from wavecrew.views.report_text import text_of
from wavecrew.views.run_forecast import left_words
from wavecrew.views.run_history import History
from wavecrew.views.run_plain import heartbeat, lines_for
from wavecrew.views.run_region import Region
from wavecrew.views.run_status import run_text, runs_table, status_json, status_text
from wavecrew.views.run_words import UNKNOWN, label
from wavecrew.views.secrets import Secrets
from wavecrew.views.summary import AT_WORK, RunStatus, Standing, Summary, summarize
from wavecrew.web.metrics import metrics_text
from wavecrew.web.page import About, run_page
from wavecrew.web.plain_pages import runs_page
from wavecrew.web.scene import scene_of
from wavecrew.web.site import Listed
from wavecrew.web.watch import Look

WIDE = 100_000
"""Columns: as wide as never to fold a line or leave a part of it out."""
Numbers = dict[str, Any]


@dataclass
class Run:
    """A history at a moment, as every view is given it."""

    events: list[Event] = field(repr=False)
    now: float
    alive: bool
    signs: dict[str, Sign] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = replay(self.events)
        self.history = History(self.events)
        self.summary: Summary = summarize(
            self.state, self.now, alive=self.alive, history=self.history, signs=self.signs
        )

    @property
    def look(self) -> Look:
        row = RunRow(self.state.run, 1, T0, "plan", "7c1f", 1)
        none: Picture = Picture((), (), ())
        return Look(len(self.events), row, self.state, self.summary, self.history, (), frozenset(), none, self.alive)

    @property
    def report(self) -> Report:
        return report(self.events, now=self.now, alive=self.alive, signs=self.signs)

    @property
    def expected(self) -> Numbers:
        """What the views may say, by its name: each standing, and what they add up."""
        summary, counts = self.summary, self.summary.counts
        running = summary.status is RunStatus.RUNNING
        told = f"{left_words(summary.forecast)} left" if summary.forecast else f"time left {UNKNOWN}"
        return {standing.value: number for standing, number in counts.items()} | {
            "done": summary.done,
            "total": summary.total,
            "needs you": summary.needed,
            "at work": sum(counts[one] for one in AT_WORK),
            "any wait": counts[Standing.WAITING] + counts[Standing.HELD] + counts[Standing.RETRYING],
            "not begun": counts[Standing.READY] + counts[Standing.TO_COME],
            "left": told if running else "",
            "left_seconds": None if summary.left is None else round(summary.left, 3),
        }


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A history by chance, seen at its end or later; of agents that nobody looks after some are seen to be dead."""
    events = draw(histories())
    now = events[-1].at + draw(st.sampled_from([0.0, 0.3, 61.0, 100_000.0]))
    alive = draw(st.booleans())
    signs: dict[str, Sign] = {}
    if not alive:
        for name in replay(events).running:
            signs[name] = Sign(draw(st.booleans()), draw(st.sampled_from([None, now - 1])), draw(st.booleans()))
    return Run(events, now, alive, signs)


# -- reading the views ------------------------------------------------------------------------------------------

_STANDINGS = {one.value for one in Standing}
_WORDS = {"to retry": "retrying", "waiting": "waiting"}


def number(text: str) -> int:
    return int(text.replace(",", ""))


def counted(words: list[str], *, all_of: bool = True) -> Numbers:
    """`2 of 10 done`, `needs you 1`, `3 running`: what is not named is none, but in views that leave things out."""
    found: Numbers = dict.fromkeys(_STANDINGS - {"passed"} | {"needs you"}, 0) if all_of else {}
    for word in words:
        if hit := re.fullmatch(r"([\d,]+) of ([\d,]+) done", word):
            found |= {"done": number(hit[1]), "total": number(hit[2])}
        elif hit := re.fullmatch(r"needs you ([\d,]+)", word):
            found["needs you"] = number(hit[1])
        elif hit := re.fullmatch(r"([\d,]+) ([a-z ]+)", word):
            found[_WORDS.get(hit[2], hit[2])] = number(hit[1])
        else:
            raise AssertionError(f"no count: {word!r} in {words}")
    return found


def of_status(run: Run) -> Numbers:
    text = status_text(run.summary, width=WIDE)
    found = counted(text.splitlines()[0].split("  ")[2].split(" · "))
    head = "  left     "
    words = "".join(line.removeprefix(head).split("  ")[0] for line in text.splitlines() if line.startswith(head))
    told = f"time left {UNKNOWN}" if words.startswith(UNKNOWN) else f"{words} left" if words else ""
    return found | {"left": told}


def of_runs_show(run: Run) -> Numbers:
    return counted(run_text(run.summary, width=WIDE).splitlines()[0].split("  ")[2].split(" · "))


def of_runs_list(run: Run) -> Numbers:
    cells = re.split("  +", runs_table([run.summary], width=WIDE).splitlines()[1])
    done, total = map(number, cells[2].split("/"))
    return {"done": done, "total": total, "failed": number(cells[3])}


def of_json(run: Run) -> Numbers:
    data = json.loads(status_json(run.summary))
    rows = Counter(one["standing"] for one in data["phases"])
    assert data["counts"] == {name: rows[name] for name in data["counts"]}
    needed = len(data["needs_you"]) + len(data["silent"]) + len(data["questions"])
    counts: Numbers = data["counts"]
    return counts | {
        "done": data["done"],
        "total": data["total"],
        "needs you": needed,
        "left_seconds": data["left_seconds"],
    }


def of_board(run: Run) -> Numbers:
    head = plain_text(head_line(run.summary, WIDE))
    names = ("done", "at work", "any wait", "not begun", "failed")
    hit = re.search(
        r"  ✓ ([\d,]+) done  ▶ ([\d,]+) at work  ◷ ([\d,]+) waiting  · ([\d,]+) to come  ✗ ([\d,]+) failed", head
    )
    assert hit is not None, head
    found: Numbers = dict(zip(names, map(number, hit.groups()), strict=True))
    rest = head[hit.end() :].split("  ")
    for word in ("blocked", "gone"):
        found[word] = next((number(one.split()[0]) for one in rest if one.endswith(f" {word}")), 0)
    found["needs you"] = next(number(one.removeprefix("needs you ")) for one in rest if one.startswith("needs you "))
    return found | {"left": next((one for one in rest if one.endswith(" left") or one.startswith("time left")), "")}


_BOARD_WORDS = {"waits": "waiting", "retry": "retrying"}


def of_board_rows(run: Run) -> Numbers:
    """The words of the rows; those that need somebody say so instead of where they stand."""
    lines = plan_lines(run.summary, chosen_rows(run.summary), 200)
    words = Counter(_BOARD_WORDS.get(line[3].text, line[3].text) for line in lines)
    behind = sum(row.gate != "" for row in run.summary.of(Standing.READY))
    if not run.summary.needs_you:
        assert words["needs you"] == 0
    assert words.pop("needs you", 0) in (0, behind)
    if run.summary.needs_you:
        words["ready"] += behind
    asking = [row for row in run.summary.rows if row.asks and not (row.gate and row.standing is Standing.READY)]
    assert words.pop("asks", 0) == len(asking)
    words.update(row.standing.value for row in asking)
    words["running"] += words.pop("silent", 0)
    listed = needs(run.summary, 200)
    failed = sum(bool(one.phase) and "  r retry" in plain_text(one.line) for one in listed)
    assert len(listed) - len(run.summary.of(Standing.FAILED)) == run.summary.needed
    assert failed <= len(run.summary.of(Standing.FAILED))
    return {name: words[name] for name in _STANDINGS}


def of_page(run: Run) -> Numbers:
    look = run.look
    scene = scene_of(look)
    plan = Plan(run.state.plan_name, run.state.plan_path, tuple(run.state.graph.nodes.values()))
    html = run_page(look, scene, analyse_plan(plan, max(1, run.state.agent_limit)), About())
    counts = re.search(r'<span id="counts">(.*?)</span>', html)
    assert counts is not None
    found = counted(unescape(counts[1]).split(" · "))
    table = html[html.index("<tbody>") : html.index("</tbody>")]
    states = Counter(re.findall(r"</svg> <span>([a-z ]+)</span></td>", table))
    rows = Counter(re.findall(r'<tr id="r\d+" class="st-([a-z-]+)">', table))
    assert {name.replace(" ", "-"): many for name, many in states.items()} == rows
    bar = re.search(r'<progress id="bar" max="(\d+)" value="(\d+)"', html)
    assert bar is not None
    assert (int(bar[1]), int(bar[2])) == (max(1, found["total"]), found["done"])
    assert f"<title>{found['done']}/{found['total']} " in html
    assert html.count("<li><span><b>") == found["needs you"]
    found["passed"] = states["passed"]
    assert {name: states[name] for name in _STANDINGS} == {name: found[name] for name in _STANDINGS}
    left = re.search(r'<span id="left">(.*?)</span>', html)
    assert left is not None
    return found | {"left": unescape(left[1])}


def of_scene(run: Run) -> Numbers:
    """What goes to the live page."""
    scene = scene_of(run.look)
    head = scene["head"]
    rows = Counter(row["s"] for row in scene["rows"])
    found = counted(head["counted"]) | {"passed": rows["passed"]}
    assert {name: rows[name] for name in _STANDINGS} == {name: found[name] for name in _STANDINGS}
    assert (head["done"], head["total"]) == (found["done"], found["total"])
    assert len(scene["needs"]) == head["needed"] == found["needs you"]
    return found | {"at work": head["at_work"], "left": head["left"]}


def of_runs_page(run: Run) -> Numbers:
    page = runs_page([Listed(run.summary.run, run.summary)])
    hit = re.search(r'<td class="num">(\d+) of (\d+)(?:, \d+ failed)?</td>', page)
    assert hit is not None
    return {"done": int(hit[1]), "total": int(hit[2])}


def of_metrics(run: Run) -> Numbers:
    text = metrics_text(run.look)
    found: Numbers = {
        hit[1]: int(hit[2]) for hit in re.finditer(r'^wavecrew_phases\{.*,state="([a-z ]+)"\} (\d+)$', text, re.M)
    }
    needed = re.search(r"^wavecrew_needs_you\{.*\} (\d+)$", text, re.M)
    left = re.search(r"^wavecrew_left_seconds\{.*\} (\S+)$", text, re.M)
    assert needed is not None
    if left is not None and run.summary.left is not None:
        assert float(left[1]) == pytest.approx(run.summary.left, rel=1e-5)
    assert (left is None) == (run.summary.left is None)
    return found | {"needs you": int(needed[1])}


def of_heartbeat(run: Run) -> Numbers:
    """It is written by who is in charge, and names only what there is."""
    parts = heartbeat(run.summary, T0).partition(" beat   ")[2].split(" · ")
    found: Numbers = dict.fromkeys(("needs you", "waiting", "held", "merging", "blocked", "failed", "ready"), 0)
    found |= {"retrying": 0, "to come": 0, "left": ""}
    for part in parts:
        if hit := re.match(r"([\d,]+)/([\d,]+) done$", part):
            found |= {"done": number(hit[1]), "total": number(hit[2])}
        elif hit := re.match(r"needs you ([\d,]+): ", part):
            found["needs you"] = number(hit[1])
        elif hit := re.match(r"([\d,]+) held: ", part):
            found["held"] = number(hit[1])
        elif hit := re.match(r"([\d,]+) (running|merging|waiting|ready|failed|blocked|to retry|to come)\b", part):
            found[_WORDS.get(hit[2], hit[2])] = number(hit[1])
        elif part.endswith(" left"):
            found["left"] = part
    if run.summary.forecast is None:
        del found["left"]  # where nothing is known it says nothing
    return found


def of_live_end(run: Run) -> Numbers:
    """The line that stays of the live view."""
    rows = Region([label(row.id, row.name) for row in run.summary.rows], WIDE).ending(run.summary)
    words = plain_text(rows[0]).split("  ")[1].split(" · ")
    found: Numbers = dict.fromkeys(("failed", "blocked", "skipped", "needs you"), 0)
    for word in words:
        if hit := re.fullmatch(r"([\d,]+)/([\d,]+) done", word):
            found |= {"done": number(hit[1]), "total": number(hit[2])}
        elif hit := re.fullmatch(r"([\d,]+) (failed|blocked|skipped)", word):
            found[hit[2]] = number(hit[1])
        elif hit := re.fullmatch(r"needs you ([\d,]+)", word):
            found["needs you"] = number(hit[1])
    return found


def of_live(run: Run) -> Numbers:
    """The region that is redrawn, where it has room for all: a line for each phase that is at work or waits."""
    rows = Region([label(row.id, row.name) for row in run.summary.rows], 400).region(run.summary, 1000)
    bar = re.search(r"([\d,]+)/([\d,]+)   ", plain_text(rows[-1]) + "   ")
    assert bar is not None
    words = Counter(
        hit[1] for row in rows if (hit := re.match(r"  \S (running|merging|waits|retry) ", plain_text(row)))
    )
    found = {_BOARD_WORDS.get(word, word): words[word] for word in ("running", "merging", "waits", "retry")}
    return found | {"done": number(bar[1]), "total": number(bar[2])}


def of_last_line(run: Run) -> Numbers:
    """What plain lines say when who is in charge leaves, at that moment."""
    event = ev.RunStopped(at=run.now, reason="SIGINT")
    words = lines_for(event, run.state, T0, history=run.history)
    told = {hit[1]: hit[2] for hit in re.finditer(r"\b([a-z-]+)=(\d+)\b", " ".join(words))}
    names = {"passed": "passed", "failed": "failed", "blocked": "blocked", "kept": "kept", "skipped": "skipped"}
    found: Numbers = {name: int(told.get(word, 0)) for word, name in names.items()}
    return found | {"held": int(told.get("held", 0)), "needs you": int(told.get("needs-you", 0))}


def of_report_text(run: Run) -> Numbers:
    text = text_of(run.report, width=WIDE)
    hit = re.match(r"run \S+  [A-Z ]+ ([\d,]+)/([\d,]+)  (.*)", text)
    assert hit is not None
    needed = re.search(r" · needs you ([\d,]+)", hit[3])
    return {"done": number(hit[1]), "total": number(hit[2]), "needs you": number(needed[1]) if needed else 0}


def of_report_json(run: Run) -> Numbers:
    data = json.loads(json_of(run.report))
    totals = data["totals"]
    rows = Counter(one["standing"] for one in data["phases"])
    assert totals["counts"] == {name: rows[name] for name in totals["counts"]}
    assert totals["phases"] == len(data["phases"])
    counts: Numbers = totals["counts"]
    return counts | {"done": totals["done"], "total": totals["to_do"]}


def of_markdown(run: Run) -> Numbers:
    text = markdown_of(run.report)
    hit = re.search(r"^## .*: [a-z ]+, ([\d,]+) of ([\d,]+) phases$", text, re.M)
    assert hit is not None
    rows = Counter(hit[1] for hit in re.finditer(r"^\|.*\| [✓↷✗⊘▶·] ([a-z ]+) \|", text, re.M))
    alarms = len(re.findall(r"^- `.*` \*\*failed\*\*: ", text, re.M))
    assert alarms == rows["failed"]
    needed = len(re.findall(r"^- .*`.*` (?:waits for approval|is silent|asks: `.*`)$", text, re.M))
    return {name: rows[name] for name in _STANDINGS} | {
        "done": number(hit[1]),
        "total": number(hit[2]),
        "needs you": needed,
    }


def of_html(run: Run) -> Numbers:
    text = html_of(run.report)
    hit = re.search(r'<div class="under">.*?<span>([\d,]+) of ([\d,]+) phases</span>', text)
    assert hit is not None
    table = text[text.index('<h2 id="phases">') :] if '<h2 id="phases">' in text else ""
    table = table[: table.index("</table>")] if "</table>" in table else ""
    cells = [row.split("<td")[2] for row in table.split("<tr")[2:]]
    states = Counter(re.sub("<[^>]*>", "", f"<td{cell}").strip() for cell in cells)
    needed = len(re.findall(r"<li>(?:waits for approval|its agent is silent|its agent asks): ", text))
    assert len(re.findall(r'<div class="?card\b', text)) == states["failed"]
    return {name: states[name] for name in _STANDINGS} | {
        "done": number(hit[1]),
        "total": number(hit[2]),
        "needs you": needed,
    }


def of_junit(run: Run) -> Numbers:
    suite = ElementTree.fromstring(junit_of(run.report))[0]  # noqa: S314 - our own
    cases = suite.findall("testcase")
    bad = [one for one in cases if one.find("failure") is not None or one.find("error") is not None]
    assert int(suite.attrib["failures"]) + int(suite.attrib["errors"]) == len(bad)
    assert int(suite.attrib["tests"]) == len(cases) == len(run.summary.rows)
    good = len(cases) - len(bad) - int(suite.attrib["skipped"])
    assert good == run.summary.counts[Standing.PASSED] + run.summary.counts[Standing.KEPT]
    return {"failed": len(bad)}


def of_github(run: Run) -> Numbers:
    lines = annotations_of(run.report).splitlines()
    told = sum(line.startswith("::error") and "%3A failed::" in line for line in lines)
    more = next((number(line.split("::")[2].split()[0]) for line in lines if re.match("::error::[0-9]", line)), 0)
    return {"failed": told + more}


def of_message(run: Run) -> Numbers:
    notice = Notice(event=1, at=run.now, kind=NoticeKind.STOPPED, text="x")
    message = message_of([notice], run.summary, Secrets(), project="box")
    data: Any = message.data["summary"]
    digest: Any = message.data["digest"]
    said = counted(message.title.partition(": run 3f2a ")[2].partition(": ")[2].split(", "), all_of=False)
    assert said["failed"] == data["failed"]
    assert said.get("needs you", 0) == data["needs_you"]
    return (
        {"done": data["done"], "total": data["total"], "failed": data["failed"], "needs you": data["needs_you"]}
        | {name: digest[name] for name in ("passed", "kept", "skipped", "blocked")}
        | {name: data[name] for name in ("running", "merging", "left_seconds")}
    )


VIEWS: dict[str, Callable[[Run], Numbers]] = {
    "status": of_status,
    "status --json": of_json,
    "runs show": of_runs_show,
    "runs list": of_runs_list,
    "board": of_board,
    "rows of the board": of_board_rows,
    "page": of_page,
    "scene of the page": of_scene,
    "list of runs on the page": of_runs_page,
    "metrics": of_metrics,
    "last live line": of_live_end,
    "report": of_report_text,
    "report as JSON": of_report_json,
    "report as Markdown": of_markdown,
    "report as HTML": of_html,
    "report as JUnit": of_junit,
    "message": of_message,
}
OF_THE_COORDINATOR: dict[str, Callable[[Run], Numbers]] = {
    "heartbeat": of_heartbeat,
    "live": of_live,
    "last plain line": of_last_line,
}


def same(name: str, read: Callable[[Run], Numbers], run: Run) -> None:
    found, expected = read(run), run.expected
    assert found, name
    assert found == {key: expected[key] for key in found}, name


@pytest.mark.parametrize("name", VIEWS)
@settings(max_examples=40)
@given(runs())
def test_each_view_shows_the_numbers_of_the_summary(name: str, run: Run) -> None:
    same(name, VIEWS[name], run)


@pytest.mark.parametrize("name", OF_THE_COORDINATOR)
@settings(max_examples=40)
@given(runs())
def test_so_does_who_is_in_charge(name: str, run: Run) -> None:
    same(name, OF_THE_COORDINATOR[name], Run(run.events, run.now, alive=True))


# -- what chance may not find -----------------------------------------------------------------------------------


def question(moment: float, name: str, number: int = 1) -> Event:
    return ev.QuestionAsked(at=T0 + moment, phase=name, attempt=1, question=number, text="Old or new?")


def at(events: list[Event], moment: float, **more: Any) -> Run:
    return Run(until(events, moment), T0 + moment, **{"alive": True} | more)


_GATES = [
    *opening(phase("a"), phase("b"), phase("c", "b"), phase("d"), settings={"gate": "phase"}),
    *(asked(0, f"phase {name}") for name in "abd"),
    reject(1, "phase b"),
]
_CHOSEN = [*opening(phase("a"), phase("b"), phase("c", "b"), selected=("c",)), keep(0, "b"), start(1, "c")]
_SEALED = [*opening(*MINITABLE, isolation="worktree"), work(0, "01"), seal(2, "01", "a.py")]
_ASKING = [
    *opening(phase("a"), phase("b"), phase("c")),
    *(start(0, name) for name in "ab"),
    *(question(place, "a", number=place) for place in (1, 2)),
    question(3, "b"),
    silence(70, "b", 5, "well?"),
]
_STORIES: dict[str, Run] = {
    "before anything": at(opening(*MINITABLE), 0),
    "one waits for another": at(good_run(), 6.5),
    "all is done": at(good_run(), 23, alive=False),
    "failed, blocked, skipped, tried again": at(bad_run(), 9),
    "over, and not all is done": at(bad_run(), 15, alive=False),
    "wanted again": at([*bad_run(), reset(16, "05")], 17, alive=False),
    "an account is closed, an agent asks": at(held_run(), 23),
    "gates that wait, and one that was rejected": at(_GATES, 2),
    "gates of a run that was left": at([*_GATES, stop(2, "needs approval: phase a, phase d")], 3, alive=False),
    "one of three, which needs one that was kept": at(_CHOSEN, 2),
    "what nobody chose was done before": at([*_CHOSEN[:-1], skip(1, "a"), start(1, "c")], 2),
    "on the way into the result": at(_SEALED, 3),
    "stopped": at([*_SEALED[:2], skip(1, "02"), stop(3)], 4, alive=False),
    "its agent is gone": at(
        [*_SEALED[:3], charge(2, 2)], 9, alive=False, signs={"01": Sign(alive=False, at=T0 + 4, result=False)}
    ),
    "six wait for one file": at(
        [
            *opening(*(phase(name) for name in "abcdefg")),
            start(0, "a"),
            *(wait(1, name, "x.py", "a") for name in "bcdefg"),
        ],
        2,
    ),
    "two agents are silent": at(
        [*opening(phase("a"), phase("b")), *(start(0, n) for n in "ab"), *(silence(70, n, 5, "ok?") for n in "ab")], 75
    ),
    "an agent asks two things, another one asks and is silent": at(_ASKING, 75),
    "questions of a run that was left": at([*_ASKING, charge(80, 2)], 90, alive=False),
    "questions of a run that is over": at(
        [
            *opening(phase("a"), phase("b")),
            start(0, "a"),
            question(1, "a"),
            end(2, "a"),
            start(2, "b"),
            fail(3, "b"),
            finish(4),
        ],
        5,
        alive=False,
    ),
    "what was done is not in the result": at(
        [*opening(phase("a"), isolation="worktree"), work(0, "a"), end(1, "a"), finish(2, ("a",))], 3, alive=False
    ),
    "many phases": at(big_run(150, seed=3), 4000),
    "many phases at the end": at(big_run(150, seed=3), 1e6, alive=False),
}


@pytest.mark.parametrize("story", _STORIES)
def test_all_views_show_them_in_every_story(story: str) -> None:
    run = _STORIES[story]
    for name, read in (VIEWS | (OF_THE_COORDINATOR if run.alive else {})).items():
        same(name, read, run)


def test_the_stories_stand_wherever_a_phase_can_stand() -> None:
    """A story for each standing; without one the test above would be blind there."""
    assert {row.standing for run in _STORIES.values() for row in run.summary.rows} == set(Standing)
    assert {run.summary.status for run in _STORIES.values()} >= set(RunStatus) - {RunStatus.NOT_STARTED}
    assert any(run.summary.silent for run in _STORIES.values())
    assert any(run.summary.needs_you for run in _STORIES.values())
    assert any(run.summary.forecast and run.summary.needed for run in _STORIES.values())
