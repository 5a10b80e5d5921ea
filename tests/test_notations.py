"""Short notations: dependency lists, durations, paths, titles and labels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavecrew.plans.dependencies import parse_dependencies
from wavecrew.plans.durations import parse_duration
from wavecrew.plans.filenames import parse_file_name
from wavecrew.plans.labels import Kind, fields_in, kind_of
from wavecrew.plans.notations import clean_name, loose_id, natural_key, parse_title, slug
from wavecrew.plans.paths import Use, read_paths


def said(text: str) -> list[str]:
    return [
        f"{reference.text}-{reference.last}" if reference.last else reference.text
        for reference in parse_dependencies(text).references
    ]


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("Phase 1", ["1"]),
        ("Phase 1 (models), Phase 2 (x)", ["1", "2"]),
        ("Phases 1-4", ["1-4"]),
        ("Phases 1–4", ["1-4"]),
        ("Phase 1 – 3", ["1-3"]),
        ("Phases 1 through 4", ["1-4"]),
        ("Phases 1 to Phase 3", ["1-3"]),
        ("Phase 1-3 completed (inventory, audit)", ["1-3"]),
        ("Phases 1, 2, and 3 completed", ["1", "2", "3"]),
        ("All previous phases (1-4)", ["1-4"]),
        ("Phase 7 (can run before Phase 8/9/10)", ["7"]),
        ("Phase 20 (no direct dependency, but it should be stable)", ["20"]),
        ("Required from Phase 1: `models.py`", ["1"]),
        ("Foundation (Phase 2)", ["2"]),
        ("both 2 and 3 being stable", ["2", "3"]),
        ("1, 3-5", ["1", "3-5"]),
        ("#4, #7", ["4", "7"]),
        ("Task 1.2, Task 1.3", ["1.2", "1.3"]),
        ("9a", ["9a"]),
        ("Phase 2B", ["2B"]),
        ("W0", ["W0"]),
        ("01-02", ["01-02"]),
        ("T001, T004-T006", ["T001", "T004-T006"]),
        ("Phase II and Phase III", ["II", "III"]),
        ("Phases I and II", ["I", "II"]),
        ("phases one and two", ["1", "2"]),
        ("[Phase 1](phase-1.md), [Phase 2](phase-2.md)", ["1", "2"]),
        ("~~Phase 1~~ Phase 2", ["2"]),
        ("Phase 1, not Phase 2", ["1"]),
        ("Phase 1, can run in parallel with Phase 3", ["1"]),
        ("Blocked by Phase 1, blocks Phase 4", ["1"]),
        ("Phase 3 must be complete before Phase 4", ["3"]),
        ("第一阶段和第二阶段", ["1", "2"]),
        ("阶段1、阶段2 完成", ["1", "2"]),
        ("1단계, 2단계 완료", ["1", "2"]),
        ("フェーズ1とフェーズ2", ["1", "2"]),
        ("Phasen 1 und 2", ["1", "2"]),
        ("Étapes 1 à 3", ["1-3"]),
        ("Этап 1, Этап 2", ["1", "2"]),
        ("phase-1, phase-2", ["1", "2"]),
        ("#step-12a", ["12a"]),
    ],
)
def test_references(text: str, references: list[str]) -> None:
    assert said(text) == references
    assert parse_dependencies(text).stated


@pytest.mark.parametrize(
    "text",
    [
        "None",
        "none.",
        "Nothing (first phase)",
        "N/A",
        "-",
        "—",
        "[]",
        "No dependencies on other phases",
        "None (already installed)",
        "Can start immediately",
        "无",
        "없음",
        "なし",
        "keine",
        "Aucune",
        "Ninguna",
        "Нет",
        "none; can run in parallel with Phase 2",
    ],
)
def test_none(text: str) -> None:
    found = parse_dependencies(text)
    assert found.none
    assert not found.references


@pytest.mark.parametrize(
    "text",
    [
        "All previous phases",
        "All previous phases completed",
        "all prior stages",
        "everything above",
        "Every earlier milestone",
        "所有之前的阶段",
        "모든 이전 단계",
        "Alle vorherigen Phasen",
        "toutes les étapes précédentes",
        "Все предыдущие этапы",
    ],
)
def test_all_previous(text: str) -> None:
    assert parse_dependencies(text).all_previous


@pytest.mark.parametrize(
    "text",
    [
        "Python 3.6+",
        "Node 20",
        "v1.2.0 complete",
        "All existing command files",
        "PostgreSQL 16, Redis >= 7",
        "24/7 support",
        "`pathlib`, `os`",
        "Parallel with Phase 2",
    ],
)
def test_what_names_no_phase(text: str) -> None:
    found = parse_dependencies(text)
    assert not found.stated
    assert not found.all_previous


def test_wishes_and_exceptions() -> None:
    assert [reference.text for reference in parse_dependencies("ideally after Phase 3").soft] == ["3"]
    assert [reference.text for reference in parse_dependencies("Phase 2 (optional), Phase 1").soft] == ["2"]
    assert [reference.text for reference in parse_dependencies("All phases except Phase 3").excepted] == ["3"]


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("1.5 hours", 1.5),
        ("2-3 hours depending on luck", 2.5),
        ("30m", 0.5),
        ("45 min", 0.75),
        ("1h 30m", 1.5),
        ("0.5 day", 4),
        ("2 周", 80),
        ("2-3시간", 2.5),
        ("30-35 hours total (split)", 32.5),
        ("1-2 weeks", 60),
        ("half a day", 4),
        ("an hour", 1),
        ("~2h", 2),
        ("between 2 and 3 hours", 2.5),
        ("2 person-days", 16),
        ("PT1H30M", 1.5),
        ("1 day 4 hours", 12),
        ("1,5 Stunden", 1.5),
        ("3 jours", 24),
        ("4 часа", 4),
        ("3時間", 3),
        ("1h-2h", 1.5),
        ("Week 1 (40 hours)", 40),
        ("0 hours", 0),
    ],
)
def test_durations(text: str, hours: float) -> None:
    assert parse_duration(text) == pytest.approx(hours)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Week 6",
        "Week 2-3",
        "S",
        "XL",
        "5 points",
        "3 story points",
        "2026-01-26",
        "nan",
        "inf",
        "-2 hours",
        "TBD",
        "Q3",
        "12",
        "1e9 hours",
    ],
)
def test_no_durations(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "paths", "use"),
    [
        ("`src/a.py` (new)", ("src/a.py",), None),
        ("Create: `/src/a.py`", ("src/a.py",), Use.WRITES),
        ("- [x] `./src/a.py` with tests", (), None),
        ("[x] `./src/a.py` with tests", ("src/a.py",), None),
        ("Update `a.py` and `b.py` to use it", ("a.py", "b.py"), Use.WRITES),
        ("Import: `@scope/package`", (), Use.READS),
        ("Read-only reference: `src/r.ts` (unchanged)", ("src/r.ts",), Use.READS),
        ("`src/r.ts` (unchanged)", ("src/r.ts",), Use.READS),
        ("Delete: `old.py`", ("old.py",), Use.REMOVES),
        ("`src/{a,b}.ts`", ("src/a.ts", "src/b.ts"), None),
        ("tests/test_*.py", ("tests/test_*.py",), None),
        ("src/app/ (folder)", ("src/app/",), None),
        ("app/(auth)/[id]/page.tsx", ("app/(auth)/[id]/page.tsx",), None),
        ("src/a.py:12-20 - fix", ("src/a.py",), None),
        ("[`src/a.py`](../src/a.py)", ("src/a.py",), None),
        ("Makefile", ("Makefile",), None),
        ("../secret.txt", ("../secret.txt",), None),
        ("All files above", (), None),
        ("and/or", (), None),
        ("Update `/prd` command to save to `${ROOT}/docs`", (), Use.WRITES),
        ("`foo.bar()`", (), None),
        ("https://example.org/a.py", (), None),
        ("numpy, pandas", (), None),
    ],
)
def test_paths(text: str, paths: tuple[str, ...], use: Use | None) -> None:
    found = read_paths(text)
    assert found.paths == paths
    if paths:
        assert found.use == use


@pytest.mark.parametrize(
    ("text", "unit", "number", "name"),
    [
        ("Phase 1: Base", "phase", "1", "Base"),
        ("✅ **Phase 1: Base** (COMPLETED)", "phase", "1", "Base"),
        ("Phase 1: Base (Week 1-2)", "phase", "1", "Base"),
        ("🎯 Step 12a — Wire", "step", "12a", "Wire"),
        ("Phase 6.1: Icons (INSERTED)", "phase", "6.1", "Icons (INSERTED)"),
        ("Phase 2 of 6 - Half", "phase", "2", "Half"),
        ("第1阶段：名称", "phase", "1", "名称"),
        ("第二阶段：名称", "phase", "2", "名称"),
        ("1단계: 설계", "phase", "1", "설계"),
        ("2. Etappe: Bauen", "stage", "2", "Bauen"),
        ("T012: Parse", "T", "T012", "Parse"),
        ("1. Setup", "", "1", "Setup"),
        ("Phase IV: Four", "phase", "4", "Four"),
        ("Phase One: First", "phase", "1", "First"),
        ("Phase 4: End - COMPLETED ✅", "phase", "4", "End"),
        ("PHASE 3 — RELEASE", "phase", "3", "RELEASE"),
        ("Phase 1 (Foundation)", "phase", "1", "Foundation"),
    ],
)
def test_titles(text: str, unit: str, number: str, name: str) -> None:
    title = parse_title(text)
    assert title is not None
    assert (title.unit, title.id, title.name) == (unit, number, name)


@pytest.mark.parametrize(
    "text",
    [
        "Phase Metadata",
        "Phase Dependency Graph",
        "Task Group 1: Core",
        "Step by step",
        "Phase I/O design",
        "2025 goals",
        "Week 1: x",
        "Overview",
        "API v2",
    ],
)
def test_no_titles(text: str) -> None:
    assert parse_title(text) is None


def test_words_between_number_and_colon_are_a_suffix() -> None:
    title = parse_title("Phase 11 Polish：收尾")
    assert title is not None
    assert (title.id, title.suffix, title.name) == ("11", "polish", "收尾")


@pytest.mark.parametrize(
    ("stem", "number"),
    [
        ("phase-1-x", "1"),
        ("phase_1", "1"),
        ("01-title", "01"),
        ("PHASE-01", "1"),
        ("260821-phase-1-x", "1"),
        ("10.1-01-PLAN", "10.1-01"),
        ("005a-title", "005a"),
        ("001", "001"),
    ],
)
def test_file_names(stem: str, number: str) -> None:
    title = parse_file_name(stem)
    assert title is not None
    assert title.id == number


@pytest.mark.parametrize("stem", ["README", "overview", "260810-2237-x", "todo"])
def test_file_names_without_a_number(stem: str) -> None:
    assert parse_file_name(stem) is None


def test_natural_order() -> None:
    ids = ["10", "9b", "11-polish", "9", "9a", "11", "10.1", "1"]
    assert sorted(ids, key=natural_key) == ["1", "9", "9a", "9b", "10", "10.1", "11", "11-polish"]
    assert loose_id("01") == loose_id("1")
    assert slug("**Set up** the `API`!") == "set-up-the-api"


def test_names_lose_only_remarks() -> None:
    assert clean_name("Core (2h) ✅") == ("Core", ("2h",))
    assert clean_name("Bulk (Modified Scope)") == ("Bulk (Modified Scope)", ())


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("Depends on", Kind.DEPENDS),
        ("🔗 Dependencies", Kind.DEPENDS),
        ("1. Prerequisites", Kind.DEPENDS),
        ("前置依赖", Kind.DEPENDS),
        ("Phase 2 Dependencies", Kind.DEPENDS),
        ("External Dependencies", Kind.NEITHER),
        ("Enables", Kind.NEITHER),
        ("Actual Effort", Kind.NEITHER),
        ("Est. Time", Kind.ESTIMATE),
        ("Files to Create/Modify", Kind.WRITES),
        ("Phase Technical Requirements", None),
        ("Requirements", None),
        ("Status", None),
    ],
)
def test_labels(label: str, kind: Kind | None) -> None:
    assert kind_of(label) is kind


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("**Depends on**: Phase 1", [("Depends on", "Phase 1")]),
        ("- **Depends on:** Phase 1", [("Depends on", "Phase 1")]),
        ("Priority: P1 | Prerequisites: Phase 2 | Effort: 2h", [("Prerequisites", "Phase 2"), ("Effort", "2h")]),
        ("**Effort:** 2h **Depends on:** Phase 1", [("Effort", "2h"), ("Depends on", "Phase 1")]),
        ("Depends on Phase 1 and more", [("Depends on", "Phase 1 and more")]),
        ("We said: nothing depends on: this", []),
        ("https://example.org", []),
    ],
)
def test_fields_in_a_line(line: str, fields: list[tuple[str, str]]) -> None:
    assert [(label, value) for label, value, _ in fields_in(line) if kind_of(label)] == fields


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_text_is_too_strange(text: str) -> None:
    parse_dependencies(text)
    parse_dependencies(text, identifiers=True)
    hours = parse_duration(text, bare="hour")
    assert hours is None or hours >= 0
    parse_title(text)
    parse_file_name(text)
    assert all(read_paths(text).paths)
    fields_in(text)
