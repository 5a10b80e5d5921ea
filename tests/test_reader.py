"""Reading plans: phases and what they wait for, files, times, folders, data, encodings, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wavecrew.errors import NotFoundError, PlanError, Severity
from wavecrew.models.parallel_execution import StepKind
from wavecrew.models.plan import Plan
from wavecrew.plans.codes import READING_CODES
from wavecrew.plans.reader import read_plan


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


def test_headings_in_fences_are_no_phases(tmp_path: Path) -> None:
    plan = single(
        tmp_path, "# Phase 1: real\n\n```md\n# Phase 2: quoted\n**Depends on**: Phase 1\n```\n\n# Phase 3: real\n"
    )
    assert [phase.id for phase in plan.phases] == ["1", "3"]


def test_a_missing_phase_stays_a_dependency_and_other_words_do_not(tmp_path: Path) -> None:
    plan = single(tmp_path, "## Phase 1: a\n**Depends on**: v1.2.0 complete\n## Phase 2: b\n**Depends on**: Phase 9\n")
    assert edges(plan) == {"1": [], "2": ["9"]}
    assert "WC119" in codes(plan)


@pytest.mark.parametrize("name", ["deploy (prod)", "(x)", "$(x)", "none", "all of it", "1 to 3", "a, b"])
def test_an_id_as_it_is_written_is_that_phase_whatever_else_it_could_mean(tmp_path: Path, name: str) -> None:
    phases = [{"id": name, "name": "First"}, {"id": "last", "name": "Last", "needs": [name]}]
    plan = single(tmp_path, json.dumps({"phases": phases}), "plan.json")
    assert edges(plan)["last"] == [name]


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
            "locks: ['port:8080']\nestimate: 30m\nagent: claude\nfallback: codex\nmodel: opus\n"
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
    assert (first.fallback, second.fallback) == ("", "codex")
    assert (first.model, second.model) == ("", "opus")


@pytest.mark.parametrize("word", ["inherit", "default", "Auto", "none"])
def test_a_model_that_a_document_leaves_to_others_is_none(tmp_path: Path, word: str) -> None:
    plan = folder(tmp_path, {"010-a.md": f"---\nid: a\nwrites: [x]\nmodel: {word}\n---\nDo it.\n"})
    assert plan.phases[0].model == ""
    assert plan.diagnostics == ()


@pytest.mark.parametrize("word", ["[a, b]", "-x", "''"])
def test_what_is_no_model_is_told(tmp_path: Path, word: str) -> None:
    plan = folder(tmp_path, {"010-a.md": f"---\nid: a\nwrites: [x]\nmodel: {word}\n---\nDo it.\n"})
    assert plan.phases[0].model == ""
    assert "the name of a model" in plan.diagnostics[0].message


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


@pytest.mark.parametrize(
    ("heading", "odd"),
    [
        ("Phase a/../b", "a/../b"),
        ("Phase 1/../2: Title", "1/../2"),
        ("Phase 2a/2b: Both", "2a/2b"),
        ("Step ..\\up - Title", "..\\up"),
        ("Phase in/out analysis", ""),
        ("Phase 1/2: Half", ""),
        ("References and/or more", ""),
    ],
)
def test_a_path_where_an_id_would_be_is_named_and_never_read_as_another_phase(
    tmp_path: Path, heading: str, odd: str
) -> None:
    (tmp_path / "plan.md").write_text(f"# Plan\n\n## {heading}\n\nDo it.\n\n## Phase 9: Other\n\nDo.\n", "utf-8")
    plan = read_plan(tmp_path / "plan.md")
    told = [one for one in plan.diagnostics if one.code == "WC128"]
    assert [one.message for one in told] == (
        [f"this heading is not read as a phase: {odd} cannot be its id"] * bool(odd)
    )
    assert [one.place.line for one in told] == [3] * bool(odd)
    if odd:
        assert [found.id for found in plan.phases] == ["9"]
