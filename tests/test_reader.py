"""Plans in many styles, each written here: what phases they have and what waits for what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wavecrew.errors import NotFoundError, PlanError, Severity
from wavecrew.models.parallel_execution import StepKind
from wavecrew.models.plan import Plan
from wavecrew.plans.codes import READING_CODES
from wavecrew.plans.reader import read_plan

_PLANS = Path(__file__).parent / "plans"
_ORDINARY = Path(__file__).parent / "ordinary"


def single(tmp_path: Path, text: str, name: str = "plan.md") -> Plan:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_plan(path)


def folder(tmp_path: Path, documents: dict[str, str]) -> Plan:
    for name, text in documents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return read_plan(tmp_path)


def edges(plan: Plan) -> dict[str, list[str]]:
    return {phase.id: sorted(phase.dependencies) for phase in plan.phases}


def codes(plan: Plan) -> set[str]:
    return {finding.code for finding in plan.diagnostics}


# -- one document, many styles: (text, expected dependencies)

STYLES: dict[str, tuple[str, dict[str, list[str]]]] = {
    "bold fields": (
        "# Shop\n\n## Phase 1: Database\n**Depends on**: None\n**Estimate**: 2h\n\n## Phase 2: API\n**Depends on**:"
        " Phase 1\n\n"
        "## Phase 3: Web\n**Depends on**: Phase 1, Phase 2\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "colon inside bold, two fields in a line": (
        "## Stage 1 - Parser\n**Effort:** 1 day | **Prerequisites:** none\n\n## Stage 2 - Printer\n**Effort:** 3h | "
        "**Prerequisites:** Stage 1\n",
        {"1": [], "2": ["1"]},
    ),
    "dependency headings with bullets": (
        "## Step 1: Schema\n### Dependencies\n- None\n## Step 2: Import\n### Dependencies\n- Step 1 (tables)\n"
        "- PostgreSQL 16\n"
        "## Step 3: Export\n### Dependencies\n- Steps 1-2\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "german": (
        "# Umzug\n## Etappe 1: Kisten packen\n**Abhängig von:** keine\n**Dauer:** 2 Tage\n## Etappe 2: Möbel tragen\n"
        "**Abhängig von:** Etappe 1\n**Dauer:** 4-6 Stunden\n## Etappe 3: Putzen\n**Voraussetzungen:** Etappen 1 und"
        " 2\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "chinese": (
        "## 第一阶段：数据模型\n**依赖**：无\n## 第二阶段：接口\n**前置条件**：第一阶段完成\n## 第三阶段：页面\n"
        "**依赖**：阶段1、阶段2\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "korean": (
        "## 1단계: 설계\n**의존성**: 없음\n## 2단계: 구현\n**선행 조건**: 1단계 완료\n## 3단계: 배포\n**의존성**:"
        " 1단계, 2단계\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "japanese": (
        "## フェーズ1：設計\n**依存関係**：なし\n## フェーズ2：実装\n**前提条件**：フェーズ1\n**見積もり**：3時間\n",
        {"1": [], "2": ["1"]},
    ),
    "french": (
        "## Étape 1 : Socle\n**Dépendances :** Aucune\n## Étape 2 : API\n**Dépendances :** Étape 1\n## Étape 3 :"
        " Web\n**Prérequis :** Étapes 1 à 2\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "spanish and russian": (
        "## Fase 1: Base\n**Dependencias:** Ninguna\n## Fase 2: Servicio\n**Depende de:** Fase 1\n## Фаза 3: Отчёт\n"
        "**Зависит от:** Фаза 2\n",
        {"1": [], "2": ["1"], "3": ["2"]},
    ),
    "plain lines": (
        "## Milestone 0: Ground\nDepends on: nothing\n\n## Milestone 1: Walls\nDepends on: Milestone 0\n\n"
        "## Milestone 2: Roof\nBlocked by: Milestone 1\n",
        {"0": [], "1": ["0"], "2": ["1"]},
    ),
    "names instead of numbers": (
        "# Blog\n## Storage\nDepends on: none\n\n## Rendering\nDepends on: Storage\n\n## Publishing\nDepends on:"
        " Storage, Rendering\n",
        {"storage": [], "rendering": ["storage"], "publishing": ["rendering", "storage"]},
    ),
    "roman numerals and number words": (
        "## Phase I: Survey\n**Depends on:** nothing\n## Phase II: Digging\n**Depends on:** Phase I\n## Phase Three:"
        " Filling\n**Depends on:** Phases I and II\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "letters": (
        "## Part A: Read\nRequires: none\n## Part B: Write\nRequires: Part A\n## Part C: Both\nRequires: Part A, Part"
        " B\n",
        {"A": [], "B": ["A"], "C": ["A", "B"]},
    ),
    "short ids": (
        "### T1: Parse\n**Deps:** -\n### T2: Check\n**Deps:** T1\n### T3: Print\n**Deps:** T1, T2\n",
        {"T1": [], "T2": ["T1"], "T3": ["T1", "T2"]},
    ),
    "a table and nothing else": (
        "# Release\n\n| Phase | Name | Depends on | Estimate |\n|---|---|---|---|\n| 1 | Freeze | - | 1h |\n| 2 |"
        " Build | 1 | 2h |\n| 3 | Ship | 1, 2 | 30m |\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "a table of pairs in each phase": (
        "## Phase 1: Pull\n| Field | Value |\n|---|---|\n| Depends on | None |\n| Duration | 2 hours |\n\n## Phase 2:"
        " Push\n| Field | Value |\n|---|---|\n"
        "| Depends on | Phase 1 |\n| Duration | 45 min |\n",
        {"1": [], "2": ["1"]},
    ),
    "bold list items": (
        "# Todo\n\n- [ ] **Phase 1: Wires** - pull them\n  - Depends on: none\n- [ ] **Phase 2: Lamps** - hang them\n"
        "  - Depends on: Phase 1\n"
        "- [ ] **Phase 3: Light** (depends on Phase 1, Phase 2)\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "dependency in the heading": (
        "## Phase 1: Core\n\nText.\n\n## Phase 2: Shell (depends on Phase 1)\n\nText.\n\n## Phase 3: Docs (after"
        " Phases 1-2)\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "mermaid alone": (
        "## Phase 1: Ore\n\n## Phase 2: Iron\n\n## Phase 3: Coal\n\n## Phase 4: Steel\n\n## Order\n```mermaid\ngraph"
        " TD\n  A[Phase 1: Ore] --> B[Phase 2: Iron]\n"
        "  B & C[Phase 3: Coal] --> D[Phase 4: Steel]\n```\n",
        {"1": [], "2": ["1"], "3": [], "4": ["2", "3"]},
    ),
    "arrows alone": (
        "## Phase 1: a\n\n## Phase 2: b\n\n## Phase 3: c\n\n## Order\n```\nPhase 1 → Phase 2 → Phase 3\n```\n",
        {"1": [], "2": ["1"], "3": ["2"]},
    ),
    "sentences below": (
        "## Phase 1: a\n\n## Phase 2: b\n\n## Phase 3: c\n\n## Dependencies\n\n- Phase 2 depends on Phase 1.\n- Phase"
        " 3 depends on both 1 and 2.\n",
        {"1": [], "2": ["1"], "3": ["1", "2"]},
    ),
    "setext headings": (
        "Phase 1: Sow\n============\n\nDepends on: None\n\nPhase 2: Reap\n=============\n\nDepends on: Phase 1\n",
        {"1": [], "2": ["1"]},
    ),
    "quoted fields": (
        "## Phase 1: a\n> **Depends on:** none\n\n## Phase 2: b\n> **Depends on:** Phase 1\n",
        {"1": [], "2": ["1"]},
    ),
    "tasks inside of phases": (
        "## Phase 1: Base\n### Task 1.1: Tables\n**Dependencies**: None\n### Task 1.2: Seeds\n**Dependencies**: Task"
        " 1.1\n"
        "## Phase 2: API\n### Task 2.1: Routes\n**Dependencies**: Task 1.1, Task 1.2\n",
        {"1.1": [], "1.2": ["1.1"], "2.1": ["1.1", "1.2"]},
    ),
    "all previous": (
        "## Phase 1: a\n**Depends on**: None\n## Phase 2: b\n**Depends on**: None\n## Phase 3: c\n**Depends on**: All"
        " previous phases\n",
        {"1": [], "2": [], "3": ["1", "2"]},
    ),
    "repeated in a roadmap": (
        "## Phase 1: a\n**Depends on**: none\n## Phase 2: b\n**Depends on**: Phase 1\n## Roadmap\n### Phase 1: a"
        " (Week 1)\n### Phase 2: b (Week 2)\n",
        {"1": [], "2": ["1"]},
    ),
    "what it enables is no dependency": (
        "## Phase 1: a\n**Blocks**: Phase 2\n**Depends on**: none\n## Phase 2: b\n**Depends on**: Phase 1\n**Enables"
        "**: Phase 3\n"
        "## Phase 3: c\n**Depends on**: Phase 2 (can run before Phase 4)\n**Parallel with**: Phase 4\n## Phase 4: d\n"
        "**Depends on**: Phase 2, not on Phase 3\n",
        {"1": [], "2": ["1"], "3": ["2"], "4": ["2"]},
    ),
    "a list below a value is no part of it": (
        "## Phase 1: a\n**Depends on**: none\n\n- [ ] T1 like Phase 2\n\n## Phase 2: b\n**Depends on**: Phase 1\n\n"
        "- [ ] T2 see Phase 3\n\n## Phase 3: c\n",
        {"1": [], "2": ["1"], "3": []},
    ),
    "fields of inner steps are theirs": (
        "## Phase 1: a\n**Depends on**: none\n### Step 1: x\n**Depends on**: Step 9\n## Phase 2: b\n### Step 1: y\n"
        "**Requires**: Step 3\n### Dependencies\n- Phase 1\n",
        {"1": [], "2": ["1"]},
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_styles(tmp_path: Path, style: str) -> None:
    text, expected = STYLES[style]
    plan = single(tmp_path, text)
    assert edges(plan) == expected
    assert not plan.faulty


_EXPECTED = json.loads((_PLANS / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", _EXPECTED)
def test_documents_beside_the_tests(name: str) -> None:
    plan = read_plan(_PLANS / name)
    found = {
        phase.id: {
            "needs": list(phase.dependencies),
            "hours": phase.estimated_time and round(phase.estimated_time, 3),
            "writes": list(phase.outputs),
        }
        for phase in plan.phases
    }
    assert found == _EXPECTED[name]
    assert not plan.faulty


def test_every_document_beside_the_tests_is_tried() -> None:
    assert {path.name for path in _PLANS.iterdir()} == {*_EXPECTED, "expected.json"}


@pytest.mark.parametrize("name", sorted(path.name for path in _ORDINARY.iterdir()))
def test_ordinary_documents_are_no_plans(name: str) -> None:
    with pytest.raises(PlanError):
        read_plan(_ORDINARY / name)


def test_headings_in_fences_are_no_phases(tmp_path: Path) -> None:
    plan = single(
        tmp_path, "# Phase 1: real\n\n```md\n# Phase 2: quoted\n**Depends on**: Phase 1\n```\n\n# Phase 3: real\n"
    )
    assert [phase.id for phase in plan.phases] == ["1", "3"]


def test_a_missing_phase_stays_a_dependency_and_other_words_do_not(tmp_path: Path) -> None:
    plan = single(tmp_path, "## Phase 1: a\n**Depends on**: v1.2.0 complete\n## Phase 2: b\n**Depends on**: Phase 9\n")
    assert edges(plan) == {"1": [], "2": ["9"]}
    assert "WC119" in codes(plan)


def test_wishes_are_told_and_not_waited_for(tmp_path: Path) -> None:
    plan = single(
        tmp_path, "## Phase 1: a\n**Depends on**: none\n## Phase 2: b\n**Depends on**: ideally after Phase 1\n"
    )
    assert edges(plan)["2"] == []
    assert "WC120" in codes(plan)


def test_nothing_stated_is_said(tmp_path: Path) -> None:
    plan = single(tmp_path, "## Phase 1: a\n\n## Phase 2: b\n")
    assert plan.assumed_order
    assert "WC121" in codes(plan)
    stated = single(tmp_path, "## Phase 1: a\n**Depends on**: none\n## Phase 2: b\n")
    assert not stated.assumed_order


def test_a_phase_knows_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "plan.md").write_text("# P\n\n## Phase 1: a\nfirst\n\nlast\n\n---\n\n## Phase 2: b\nmore\n")
    plan = read_plan("docs/plan.md")
    one, two = plan.phases
    assert one.source is not None
    assert (one.source.file, one.source.line, one.source.last_line) == ("docs/plan.md", 3, 6)
    assert one.description == "## Phase 1: a\nfirst\n\nlast"
    assert two.source is not None
    assert (two.source.line, two.source.last_line) == (10, 11)


# -- files


def test_files_written_read_and_removed(tmp_path: Path) -> None:
    plan = single(
        tmp_path,
        "## Phase 1: a\n**Depends on**: none\n\n### Files to Create:\n1. `/src/a.py` - the parser\n2. `./src/b.py`"
        " (new)\n\n"
        "**Files to modify**:\n- `src/c.py:12` - imports\n- All other files\n\n## Related files\n"
        "## Phase 2: b\n### Related Code Files\n- Create: `lib/x.ts`\n- Modify: `lib/y.ts` (exports)\n- Reference:"
        " `lib/z.ts`\n"
        "- Delete: `lib/old.ts`\n- `lib/unclear.ts`\n\nWe may also look at `lib/prose.ts`.\n",
    )
    one, two = plan.phases
    assert one.outputs == ("src/a.py", "src/b.py", "src/c.py")
    assert two.outputs == ("lib/x.ts", "lib/y.ts")
    assert two.reads == ("lib/z.ts",)
    assert two.locks == ("lib/old.ts",)


def test_file_tables(tmp_path: Path) -> None:
    plan = single(
        tmp_path,
        "## Phase 1: a\n| File | Action |\n|---|---|\n| `src/a.py` | Create |\n| `src/b.py` | Read |\n\n## Phase 2: b\n"
        "| # | Fix | Files |\n|---|---|---|\n| 1 | this | `src/c.py`, `src/d.py` |\n",
    )
    assert plan.phases[0].outputs == ("src/a.py",)
    assert plan.phases[0].reads == ("src/b.py",)
    assert plan.phases[1].outputs == ("src/c.py", "src/d.py")


# -- times


def test_estimates_from_fields_headings_brackets_and_tables(tmp_path: Path) -> None:
    plan = single(
        tmp_path,
        "## Phase 1: a\n**Estimated Effort:** 2-3 hours depending on luck\n**Actual Effort:** 9 hours\n## Phase 2: b"
        " (1.5 hrs)\n"
        "## Phase 3: c\n### Estimated Time: 90 min\n## Phase 4: d\n**Duration**: Week 6\n## Phase 5: e\n\n## Summary\n"
        "| Phase | Est. Time |\n|---|---|\n| 5 | 2 days |\n",
    )
    assert [phase.estimated_time for phase in plan.phases] == [2.5, 1.5, 1.5, None, 16.0]
    assert [finding.phases for finding in plan.diagnostics if finding.code == "WC118"] == [("4",)]


# -- folders


def test_a_folder_of_phases(tmp_path: Path) -> None:
    plan = folder(
        tmp_path,
        {
            "README.md": "# Great plan\n\n| Phase | Estimate |\n|---|---|\n| Phase 10 | 3h |\n",
            "phase-1-start.md": "# Phase 1: Start\n\n## Dependencies: None\n",
            "phase-2-middle.md": "# Phase 2: Middle\n\n## Dependencies: Phase 1 (start)\n",
            "phase-10-end.md": "# Phase 10: End\n\n## Dependencies: All previous phases\n",
            "0-Overview.md": "# Overview\n- **Dependencies**: None\n",
            "progress.md": "# Progress\n",
        },
    )
    assert plan.name == "Great plan"
    assert [phase.id for phase in plan.phases] == ["1", "2", "10"]
    assert edges(plan)["10"] == ["1", "2"]
    assert plan.phases[2].estimated_time == 3.0


def test_front_matter(tmp_path: Path) -> None:
    plan = folder(
        tmp_path,
        {
            "010-a.md": "---\nid: 010\nname: First\nneeds: []\nwrites: [src/a.py]\n---\nDo it.\n",
            "020-b.md": "---\nid: 020\nname: Second\nneeds: [010]\nreads:\n  - src/a.py\n"
            "locks: ['port:8080']\nestimate: 30m\nagent: claude\n"
            "timeout: 20m\nretries: 2\nchecks:\n  - make test\n  - [true, it]\ncommand: [make, all]\n---\n"
            "# Whatever\nDo it too.\n",
        },
    )
    first, second = plan.phases
    assert (first.id, first.name, first.outputs, first.description) == ("010", "First", ("src/a.py",), "Do it.")
    assert second.dependencies == ("010",)
    assert second.checks == (("sh", "-euc", "make test"), ("true", "it"))
    assert (second.command, second.agent, second.retries, second.timeout_seconds) == (
        ("make", "all"),
        "claude",
        2,
        1200.0,
    )
    assert (second.reads, second.locks, second.estimated_time) == (("src/a.py",), ("port:8080",), 0.5)


def test_front_matter_slips_are_told_with_their_line(tmp_path: Path) -> None:
    plan = folder(
        tmp_path,
        {
            "phase-1.md": "---\nid: 1\ndepend_on: [2]\nstatus: open\ncommand: make all\n---\n# Phase 1: a\n",
            "phase-2.md": "# Phase 2: b\n",
        },
    )
    slips = {finding.code: finding for finding in plan.diagnostics}
    assert slips["WC115"].place.line == 3
    assert "depends_on" in slips["WC115"].fix
    assert slips["WC116"].place.line == 5
    assert plan.faulty


def test_runbook_blocks(tmp_path: Path) -> None:
    plan = folder(
        tmp_path,
        {
            "phase-1.md": "# Phase 1: a\n\n```sh run\nmake\n```\n\n"
            "```python file=src/x.py\nprint(1)\n```\n\n```sh check\ntest -f src/x.py\n```\n\n```sh\nrm -rf /\n```\n",
            "phase-2.md": "# Phase 2: b\n",
        },
    )
    steps = plan.phases[0].steps
    assert [(step.kind, step.path, step.line) for step in steps] == [
        (StepKind.RUN, "", 3),
        (StepKind.FILE, "src/x.py", 7),
        (StepKind.CHECK, "", 11),
    ]
    assert steps[1].text == "print(1)\n"


def test_two_documents_of_one_number_are_both_there(tmp_path: Path) -> None:
    plan = folder(
        tmp_path, {"phase-1-a.md": "# Phase 1: a\n", "phase-1-b.md": "# Phase 1: b\n", "phase-2.md": "# Phase 2: c\n"}
    )
    assert [phase.id for phase in plan.phases] == ["1", "1", "2"]


def test_a_suffix_makes_a_phase_of_its_own(tmp_path: Path) -> None:
    plan = folder(
        tmp_path,
        {"phase-3.md": "# Phase 3: Build\n", "phase-3-polish.md": "# Phase 3 Polish: Rub\n\nDepends on: Phase 3\n"},
    )
    assert edges(plan) == {"3": [], "3-polish": ["3"]}


def test_a_completion_report_beside_its_phase_is_left_out(tmp_path: Path) -> None:
    plan = folder(
        tmp_path,
        {
            "phase-1-a.md": "# Phase 1: a\n",
            "phase-2-b.md": "# Phase 2: b\n",
            "PHASE-2-COMPLETED.md": "# Phase 2: b - COMPLETED\n",
        },
    )
    assert [phase.name for phase in plan.phases] == ["a", "b"]
    assert "WC122" in codes(plan)


def test_nested_phase_folders(tmp_path: Path) -> None:
    plan = folder(
        tmp_path,
        {
            "phases/01-base/01-01-PLAN.md": "---\nphase: 01-base\nplan: 01\ndepends_on: []\n"
            "files_modified: [a.py]\n---\n# x\n",
            "phases/01-base/01-02-PLAN.md": "---\nphase: 01-base\nplan: 02\ndepends_on: [1]\n---\n# y\n",
            "phases/01-base/01-02-SUMMARY.md": "# done\n",
        },
    )
    assert edges(plan) == {"01-01": [], "01-02": ["01-01"]}


def test_a_folder_with_one_plan_document(tmp_path: Path) -> None:
    plan = folder(
        tmp_path, {"notes.md": "# Notes\n", "ROADMAP.md": "# R\n## Phase 1: a\n## Phase 2: b\nDepends on: Phase 1\n"}
    )
    assert edges(plan) == {"1": [], "2": ["1"]}


# -- data


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "plan.json",
            '{"name": "P", "phases": [\n{"id": "1", "name": "a", "outputs": ["x.py"], "estimated_time": 1.5},\n'
            '{"id": "2", "name": "b", "dependencies": ["1"]}\n]}',
        ),
        (
            "plan.yaml",
            "name: P\nphases:\n- {id: 1, name: a, outputs: [x.py], estimated_time: 1.5}\n- id: 2\n  name: b\n "
            " dependencies: [1]\n",
        ),
        (
            "plan.toml",
            'name = "P"\n[[phases]]\nid = "1"\nname = "a"\noutputs = ["x.py"]\nestimated_time = 1.5\n'
            '[[phases]]\nid = "2"\nname = "b"\ndependencies = ["1"]\n',
        ),
    ],
)
def test_data_plans(tmp_path: Path, name: str, text: str) -> None:
    plan = single(tmp_path, text, name)
    assert plan.name == "P"
    assert edges(plan) == {"1": [], "2": ["1"]}
    assert plan.phases[0].outputs == ("x.py",)
    assert plan.phases[0].estimated_time == 1.5
    assert plan.phases[1].source is not None
    assert plan.phases[1].source.line > 1


def test_settings_of_a_data_plan(tmp_path: Path) -> None:
    plan = single(tmp_path, "phases: [{id: a, name: A}]\nmax_parallel_agents: 5\n", "p.yml")
    assert dict(plan.settings) == {"max_parallel_agents": "5"}


# -- encodings


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "plan.md"
    text = "## Phase 1: größer\r\n**Depends on**: none\r\n## Phase 2: b\r\n**Depends on**: Phase 1\r\n"
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    path.write_bytes((mark + text).encode(encoding))
    plan = read_plan(path)
    assert plan.phases[0].name == "größer"
    assert edges(plan) == {"1": [], "2": ["1"]}


def test_invalid_bytes_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "plan.md"
    path.write_bytes(b"## Phase 1: a\n\n\xff\n## Phase 2: b\n")
    plan = read_plan(path)
    assert next((finding.code, finding.place.line, finding.severity) for finding in plan.diagnostics) == (
        "WC111",
        3,
        Severity.WARNING,
    )


# -- refusals


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_plan(tmp_path / "nowhere")


def test_nothing_that_looks_like_a_plan(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Hello\n\nJust words.\n")
    with pytest.raises(PlanError) as caught:
        read_plan(tmp_path)
    assert "phase" in caught.value.fix


def test_every_code_has_a_title(tmp_path: Path) -> None:
    used = {
        word
        for path in Path("src/wavecrew/plans").glob("*.py")
        for word in path.read_text().split('"')
        if word.startswith("WC1") and len(word) == 5
    }
    assert {code for code in used if code >= "WC110"} <= set(READING_CODES)
    assert all("WC110" <= code <= "WC149" for code in READING_CODES)
