"""A plan as text, JSON, Mermaid, Graphviz and SVG: what must be there, and that no name can break it."""

from __future__ import annotations

import json
import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plan_strategies import hostile_text, sound_plans
from wavecrew.errors import Diagnostic, Severity
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo, Source
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis, analyse
from wavecrew.plans.conflicts import find_conflicts
from wavecrew.views.layout_order import ColumnOrder
from wavecrew.views.plan_graph import dot, mermaid
from wavecrew.views.plan_json import plan_json
from wavecrew.views.plan_layout import lay_out, needed_edges
from wavecrew.views.plan_svg import plan_svg
from wavecrew.views.plan_text import plan_text
from wavecrew.views.words import columns, duration, fit

SVG = "{http://www.w3.org/2000/svg}"


def phase(name: str, needs: str = "", hours: float | None = 1.0, writes: str = "", title: str = "") -> PhaseInfo:
    return PhaseInfo(
        name, title or name, tuple(needs.split()), tuple(writes.split()), hours, source=Source(f"{name}.md", 3)
    )


def seen(*phases: PhaseInfo, agents: int = 3, name: str = "demo") -> tuple[Plan, Analysis]:
    plan = Plan(name, "plan", phases)
    found = find_conflicts(plan.graph)
    return plan, analyse(plan.graph, found.found, agents, more_conflicts=found.more)


@pytest.fixture
def small() -> tuple[Plan, Analysis]:
    return seen(
        phase("01", title="scaffold"),
        phase("02", "01", 2, "x.py", title="reader"),
        phase("03", "01", 3, "x.py README.md", title="writer"),
        phase("04", "02 03", 0.5, title="join"),
    )


# -- words


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (None, "-"),
        (0, "0"),
        (10 / 3600, "10s"),
        (0.5, "30m"),
        (0.025, "1m30"),
        (1, "1h"),
        (1.5, "1h30"),
        (34, "34h"),
        (1234.25, "1,234h15"),
        (0.99999, "1h"),
        (1.9999, "2h"),
    ],
)
def test_hours_as_people_say_them(hours: float | None, words: str) -> None:
    assert duration(hours) == words


@given(st.text(max_size=40), st.integers(0, 30))
def test_a_fitted_text_has_exactly_its_width(text: str, width: int) -> None:
    assert columns(fit(text, width)) == width


# -- text


def test_the_text_shows_waves_paths_conflicts_and_the_next_step(small: tuple[Plan, Analysis]) -> None:
    printed = plan_text(*small)
    assert printed.splitlines()[0].startswith("demo  4 phases · 3 waves · 1 conflict · plan ")
    assert re.search(r"^  2     02 reader +01 +x\.py +2h +1h +!$", printed, re.MULTILINE)
    assert re.search(r"^        03 writer +01 +x\.py \+1 +3h +0 +◆ !$", printed, re.MULTILINE)
    assert "critical path  01 → 03 → 04  4h30" in printed
    assert "x.py: 02 and 03, same wave, no order between them" in printed
    assert "01 → 03 ⇢lock 02 → 04" in printed
    assert "6h30 (+2h) with 3 agents" in printed
    assert "one agent is enough" in printed
    assert "estimates: all 4 phases" in printed
    assert printed.splitlines()[-1].startswith("next: wavecrew run plan -j1 ")


def test_without_estimates_no_times_are_claimed() -> None:
    printed = plan_text(*seen(phase("a", hours=None), phase("b", "a", hours=None)))
    assert "estimates: none, so times are unknown" in printed
    assert not re.search(r"\d+[hms]\b", printed)


def test_assumed_estimates_are_told() -> None:
    printed = plan_text(*seen(phase("a", hours=2), phase("b", hours=None)))
    assert "estimates: 1 of 2 phases; the other 1 count 2h each, their median" in printed


def test_a_faulty_plan_is_shown_and_sends_to_check() -> None:
    plan, analysis = seen(phase("a", "b"), phase("b", "a"), phase("c"))
    printed = plan_text(plan, analysis, [Diagnostic("WC104", Severity.ERROR, "a ring")])
    assert "1 error" in printed
    assert re.search(r"^  \?     a +b ", printed, re.MULTILINE)
    assert "2 phases in or behind a ring" in printed
    assert printed.splitlines()[-1] == "next: wavecrew check plan"


def test_of_a_large_plan_the_first_phases_and_all_totals_are_shown() -> None:
    printed = plan_text(*seen(*(phase(f"p{number}") for number in range(500))))
    assert "440 more; --format json has all" in printed
    assert printed.splitlines()[0].startswith("demo  500 phases · 1 wave")
    assert len(printed.splitlines()) < 80


def test_a_path_with_blanks_can_be_pasted() -> None:
    plan = Plan("x", "my plan", (phase("a"),))
    assert "wavecrew run 'my plan'" in plan_text(plan, analyse(plan.graph))


@given(sound_plans(), st.integers(60, 120), st.booleans())
def test_the_text_keeps_its_width_and_its_alphabet(phases: list[PhaseInfo], width: int, ascii_only: bool) -> None:
    plan, analysis = seen(*phases, agents=2)
    printed = plan_text(plan, analysis, width=width, ascii_only=ascii_only)
    assert all(columns(line) <= width for line in printed.splitlines())
    assert printed.isascii() or not ascii_only


@given(st.lists(st.tuples(hostile_text, hostile_text), min_size=1, max_size=5, unique_by=lambda pair: pair[0]))
def test_strange_names_do_not_break_the_lines(names: list[tuple[str, str]]) -> None:
    phases = [PhaseInfo(name, title, (names[0][0],), (title,)) for name, title in names]
    plan, analysis = seen(*phases, name="\x1b[31m\n")
    printed = plan_text(plan, analysis)
    assert all(line.isprintable() for line in printed.split("\n"))


# -- JSON


def test_the_json_has_the_published_keys(small: tuple[Plan, Analysis]) -> None:
    plan, analysis = small
    data = json.loads(plan_json(plan, analysis, [Diagnostic("WC108", Severity.INFO, "m")]))
    assert data["plan"] == {"name": "demo", "digest": plan.digest}
    first = data["phases"][2]
    wanted = {"id", "name", "dependencies", "outputs", "estimated_time", "wave", "slack", "source"}
    assert {key: first[key] for key in wanted} == {
        "id": "03",
        "name": "writer",
        "dependencies": ["01"],
        "outputs": ["x.py", "README.md"],
        "estimated_time": 3,
        "wave": 2,
        "slack": 0,
        "source": {"file": "03.md", "line": 3},
    }
    assert data["waves"][1] == {"wave_number": 2, "phases": ["02", "03"]}
    assert data["critical_path"] == ["01", "03", "04"]
    assert data["pacing_chain"] == ["01", "03", "02", "04"]
    assert [(found["phases"], found["resource"]) for found in data["conflicts"]] == [(["02", "03"], "x.py")]
    assert set(data["diagnostics"][0]) >= {"code", "severity", "file", "line", "column", "message", "fix"}
    assert data["makespan"] == {"agents": 3, "hours": 6.5}


def test_the_json_of_a_faulty_plan_has_all_phases_as_read() -> None:
    plan, analysis = seen(phase("a", "b"), phase("b", "a"), phase("c"), phase("c", "nowhere", title="again"))
    data = json.loads(plan_json(plan, analysis))
    assert [(found["id"], found["wave"]) for found in data["phases"]] == [("a", None), ("b", None), ("c", 1), ("c", 1)]
    assert data["phases"][3]["dependencies"] == ["nowhere"]
    assert (data["critical_path"], data["makespan"]["hours"]) == ([], None)


def test_the_json_of_a_plan_without_estimates_has_no_zeros() -> None:
    data = json.loads(plan_json(*seen(phase("a", hours=None))))
    assert (data["phases"][0]["slack"], data["makespan"]["hours"], data["critical_path_hours"]) == (None, None, None)


# -- text for other programs

LABEL = r'"[^"`<>{}|]*(?:<br/>[^"`<>{}|]*)?"'
MERMAID = re.compile(
    "|".join(
        (
            r"flowchart LR",
            r"  accTitle:[^\n]*",
            r'  subgraph w\d+\["wave \d+"\]',
            r"    direction TB",
            r"  end",
            rf" {{2,4}}p\d+\[{LABEL}\]",
            r"  p\d+ (==>|-->) p\d+",
            rf"  p\d+ -\. {LABEL} \.- p\d+",
            r"  classDef critical [\w:-]+",
            r"  class [p\d,]+ critical",
        )
    )
)
DOT_TEXT = r'"(?:[^"\\\n]|\\["\\n])*"'
DOT = re.compile(
    rf"digraph plan {{|}}|  graph \[rankdir=LR, label={DOT_TEXT}, labelloc=t, fontname=sans\]|  node \[[^\]]*\]"
    rf"|  {{ rank=same // wave \d+|  }}| {{2,4}}p\d+ \[label={DOT_TEXT}(?:, penwidth=3)?\]"
    rf"|  p\d+ -> p\d+(?: \[penwidth=3\]| \[dir=none, style=dashed, constraint=false, label={DOT_TEXT}\])?"
)
strange_paths = st.lists(st.text("x\"`<>[]|\\'&#;\n", min_size=1).filter(str.strip), max_size=2)
strange_plans = st.lists(
    st.builds(PhaseInfo, hostile_text, hostile_text, st.lists(hostile_text, max_size=2), strange_paths), max_size=6
)


def test_mermaid_and_dot_show_waves_the_critical_path_and_conflicts(small: tuple[Plan, Analysis]) -> None:
    chart = mermaid(*small)
    assert 'p1["02 reader<br/>2h"]' in chart
    assert "p0 ==> p2" in chart
    assert "p0 --> p1" in chart
    assert 'p1 -. "! x.py" .- p2' in chart
    graph = dot(*small)
    assert "p0 -> p2 [penwidth=3]" in graph
    assert 'label="! x.py"' in graph


def test_a_label_does_not_become_a_list() -> None:
    assert 'p0["1#46; first<br/>1h"]' in mermaid(*seen(phase("1. first")))


@given(strange_plans, st.text())
def test_no_name_leaves_its_quotes(phases: list[PhaseInfo], name: str) -> None:
    plan, analysis = seen(*phases, name=name)
    for line in mermaid(plan, analysis).split("\n")[:-1]:
        assert MERMAID.fullmatch(line), line
    for line in dot(plan, analysis).split("\n")[:-1]:
        assert DOT.fullmatch(line), line


# -- the picture


def boxes(svg: str) -> dict[str, ElementTree.Element]:
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own drawing
    return {box.attrib["data-phase"]: box for box in root.iter(f"{SVG}g") if "data-phase" in box.attrib}


@given(strange_plans, st.text())
def test_the_picture_is_well_formed_whatever_the_names(phases: list[PhaseInfo], name: str) -> None:
    plan, analysis = seen(*phases, name=name)
    found = boxes(plan_svg(plan, analysis, statuses={phase.id: PhaseStatus.FAILED for phase in phases}))
    assert set(found) == {phase.id for phase in phases}


def test_the_picture_needs_nothing_from_elsewhere_and_runs_nothing(small: tuple[Plan, Analysis]) -> None:
    svg = plan_svg(*small)
    assert set(re.findall(r"https?://[^\"' ]*", svg)) == {"http://www.w3.org/2000/svg"}
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own drawing
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "desc", "style", "clipPath", "rect", "text", "g", "path", "circle"),
    }
    assert not any(key.startswith("on") or "href" in key for element in root.iter() for key in element.attrib)


def test_the_picture_can_be_read_aloud(small: tuple[Plan, Analysis]) -> None:
    root = ElementTree.fromstring(plan_svg(*small))  # noqa: S314 - our own drawing
    assert root.attrib["role"] == "img"
    labels = root.attrib["aria-labelledby"].split()
    words = {element.attrib["id"]: element.text or "" for element in root.iter() if "id" in element.attrib}
    assert words[labels[0]] == "demo"
    assert "Critical path: 01, 03, 04." in words[labels[1]]


def test_the_picture_marks_the_critical_path_conflicts_and_states(small: tuple[Plan, Analysis]) -> None:
    svg = plan_svg(*small, statuses={"01": PhaseStatus.COMPLETED})
    found = boxes(svg)
    assert [name for name, box in found.items() if "critical" in box.attrib["class"]] == ["01", "03", "04"]
    assert svg.count('class="edge key" data-from') == 2
    assert svg.count('<path class="link" d="M1') + svg.count('<path class="link" d="M2') == 1
    assert found["01"].attrib["data-status"] == "COMPLETED"
    texts = [element.text for element in found["04"].iter(f"{SVG}text")]
    assert texts == ["join", "04", "30m", "not started"]
    assert "prefers-color-scheme:dark" in svg


def test_the_picture_of_a_ring_is_drawn_and_marked() -> None:
    svg = plan_svg(*seen(phase("a"), phase("b", "a c"), phase("c", "b")))
    assert "held" in boxes(svg)["b"].attrib["class"]
    assert svg.count('class="ring"') == 2


@given(sound_plans())
def test_the_same_plan_gives_the_same_bytes(phases: list[PhaseInfo]) -> None:
    assert plan_svg(*seen(*phases)) == plan_svg(*seen(*phases))


@given(sound_plans(most=25))
def test_boxes_do_not_overlap_and_lines_run_through_free_lanes(phases: list[PhaseInfo]) -> None:
    graph = DependencyGraph.of(phases)
    edges = needed_edges(graph)
    layout = lay_out(graph.layers(), (), edges, (), (100.0, 40.0))
    for (_, (x, y)), (_, (u, v)) in combinations(layout.boxes.items(), 2):
        assert abs(x - u) >= 100 or abs(y - v) >= 40
    for (start, end), lanes in layout.lanes.items():
        assert layout.boxes[start][0] + 100 < layout.boxes[end][0]
        for first, last, level in lanes:
            inside = [y for x, y in layout.boxes.values() if x + 100 > first and x < last]
            assert all(abs(level - y) >= 20 for y in inside)
    assert all(20 - 1e-6 <= y <= layout.height - 20 + 1e-6 for _, y in layout.boxes.values())


def test_a_tall_wave_gets_columns_side_by_side() -> None:
    graph = DependencyGraph.of(phase(f"p{number}") for number in range(40))
    layout = lay_out(graph.layers(), (), [], (), (100.0, 40.0))
    assert [column.wave for column in layout.columns] == [1, 1, 1]


@given(sound_plans(most=20, claims=False))
def test_leaving_out_what_follows_keeps_who_waits_for_whom(phases: list[PhaseInfo]) -> None:
    graph = DependencyGraph.of(phases)
    edges = needed_edges(graph)
    thin = {name: tuple(a for a, b in edges if b == name) for name in graph.nodes}
    reduced = DependencyGraph(graph.nodes, thin)
    assert all(reduced.ancestors(name) == graph.ancestors(name) for name in graph.nodes)
    for a, b in edges:
        less = {**thin, b: tuple(other for other in thin[b] if other != a)}
        assert a not in DependencyGraph(graph.nodes, less).ancestors(b)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), unique=True, max_size=16))
def test_crossings_are_counted_right_and_never_get_more(pairs: list[tuple[int, int]]) -> None:
    left: list[list[int]] = [[] for _ in range(12)]
    right: list[list[int]] = [[] for _ in range(12)]
    for a, b in pairs:
        right[a].append(b + 6)
        left[b + 6].append(a)
    order = ColumnOrder([range(6), range(6, 12)], left, right)
    before = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pairs, 2))
    assert order.crossings() == before
    better = order.improve()
    assert [sorted(column) for column in better] == [list(range(6)), list(range(6, 12))]
    place = {node: number for column in better for number, node in enumerate(column)}
    after = sum((place[a] - place[c]) * (place[b + 6] - place[d + 6]) < 0 for (a, b), (c, d) in combinations(pairs, 2))
    assert after <= before
