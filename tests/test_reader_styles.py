"""Plans in many styles, each written here or in `plans/`: what phases they have and what waits for what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wavecrew.errors import PlanError
from wavecrew.plans.reader import read_plan

_PLANS = Path(__file__).parent / "plans"
_ORDINARY = Path(__file__).parent / "ordinary"

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
    (tmp_path / "plan.md").write_text(text, encoding="utf-8")
    plan = read_plan(tmp_path / "plan.md")
    assert {phase.id: sorted(phase.dependencies) for phase in plan.phases} == expected
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
