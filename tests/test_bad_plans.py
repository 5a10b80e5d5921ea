"""Malformed plans: each gives a WavecrewError or findings, and never another exception, a hang or a flood."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavecrew.errors import Diagnostic, NotFoundError, PlanError, WavecrewError
from wavecrew.models.plan import Plan
from wavecrew.plans.reader import read_plan

BOMB = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(8))
DEEP = "[" * 5000 + "]" * 5000

#: (file name, content, code or class that must come of it)
SINGLE: list[tuple[str, str, str | bytes, str]] = [
    ("empty document", "plan.md", "", "PlanError"),
    ("only spaces", "plan.md", " \n\t\n", "PlanError"),
    ("prose alone", "plan.md", "# Title\n\nJust a story about phases.\n", "PlanError"),
    ("binary file", "plan.md", bytes(range(256)) * 8, "PlanError"),
    ("zero bytes", "plan.md", b"# Phase 1: a\n\0\0\0", "PlanError"),
    ("odd utf-16", "plan.md", b"\xff\xfe#\0 \0P", "PlanError"),
    ("invalid utf-8", "plan.md", b"# Phase 1: \xc3\x28\n\n# Phase 2: b\n", "WC111"),
    ("aliases in front matter", "phase-1.md", f"---\n{BOMB}---\n# Phase 1: a\n", "WC113"),
    ("tag in front matter", "phase-1.md", "---\nid: !!python/object:os.system 1\n---\n# Phase 1: a\n", "WC113"),
    ("broken front matter", "phase-1.md", "---\nid: [1\nname: x\n---\n# Phase 1: a\n", "WC113"),
    ("front matter without an end", "phase-1.md", "---\nid: 1\nname: {\n# Phase 1: a\n", "WC113"),
    ("front matter that is a list", "phase-1.md", "---\n[a, b]\n---\n# Phase 1: a\n", "WC113"),
    ("deep front matter", "phase-1.md", f"---\nneeds: {DEEP}\n---\n# Phase 1: a\n", "WC113"),
    ("tab in front matter", "phase-1.md", "---\nid: 1\n\tname: x\n---\n# Phase 1: a\n", "WC113"),
    ("key twice in front matter", "phase-1.md", "---\nid: 1\nid: 2\n---\n# Phase 1: a\n", "WC114"),
    ("command as a text", "phase-1.md", "---\nid: 1\ncommand: make\n---\n# a\n", "WC116"),
    ("negative retries", "phase-1.md", "---\nid: 1\nretries: -1\n---\n# a\n", "WC116"),
    ("timeout that is none", "phase-1.md", "---\nid: 1\ntimeout: soon\n---\n# a\n", "WC116"),
    ("infinite timeout", "phase-1.md", "---\nid: 1\ntimeout: .inf\n---\n# a\n", "WC116"),
    ("needs that is a mapping", "phase-1.md", "---\nid: 1\nneeds: {a: b}\n---\n# a\n", "WC116"),
    ("agent that is a list", "phase-1.md", "---\nid: 1\nagent: [a]\n---\n# a\n", "WC116"),
    ("estimate that is none", "phase-1.md", "---\nid: 1\nestimate: .nan\n---\n# a\n", "WC118"),
    ("negative estimate", "phase-1.md", "---\nid: 1\nestimate: -2 hours\n---\n# a\n", "WC118"),
    ("endless id", "phase-1.md", f"---\nid: {'x' * 100_000}\n---\n# a\n", "WC117"),
    ("control characters in a name", "plan.md", "## Phase 1: a\x1b[31mred\x07\n\n## Phase 2: b\n", "WC117"),
    ("step with two marks", "phase-1.md", "---\nid: 1\n---\n```sh run check\nls\n```\n", "WC124"),
    ("file step without a path", "phase-1.md", "---\nid: 1\n---\n```py file=\nx\n```\n", "WC124"),
    ("json that is none", "plan.json", '{"phases": [', "PlanError"),
    ("json of the wrong shape", "plan.json", '{"phases": 3}', "PlanError"),
    ("json that is a number", "plan.json", "12", "PlanError"),
    ("json without phases", "plan.json", '{"a": 1}', "PlanError"),
    ("json with no phase", "plan.json", '{"phases": []}', "PlanError"),
    ("json with a text for a phase", "plan.json", '{"phases": ["a", {"id": "1", "name": "x"}]}', "WC116"),
    ("json with numbers for texts", "plan.json", '{"phases": [{"id": 1, "name": ["x"], "outputs": [[1]]}]}', "WC116"),
    ("json estimate NaN", "plan.json", '{"phases": [{"id": "1", "name": "x", "estimated_time": NaN}]}', "WC118"),
    ("json with a key twice", "plan.json", '{"phases": [{"id": "1", "id": "2", "name": "x"}]}', "WC114"),
    ("json without ids", "plan.json", '{"phases": [{"name": "x"}, {"name": "y"}]}', "WC121"),
    ("deep json", "plan.json", f'{{"phases": {DEEP}}}', "PlanError"),
    ("yaml bomb", "plan.yaml", BOMB, "PlanError"),
    ("yaml with two documents", "plan.yaml", "phases: []\n---\nphases: []\n", "PlanError"),
    ("yaml that is a text", "plan.yaml", "hello", "PlanError"),
    ("deep yaml", "plan.yaml", f"phases: {DEEP}\n", "PlanError"),
    ("broken toml", "plan.toml", "[[phases]\n", "PlanError"),
    ("toml date for an id", "plan.toml", "[[phases]]\nid = 2020-01-01\nname = 'x'\nestimate = 'long'\n", "WC118"),
]


@pytest.mark.parametrize(
    ("name", "content", "expected"), [entry[1:] for entry in SINGLE], ids=[entry[0] for entry in SINGLE]
)
def test_one_bad_document(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if expected == "PlanError":
        with pytest.raises(PlanError) as caught:
            read_plan(path)
        assert caught.value.fix
        return
    found = {finding.code: finding for finding in read_or_findings(path)}
    assert expected in found
    assert found[expected].place.file
    assert len(found[expected].message) < 300


def read_or_findings(path: Path) -> tuple[Diagnostic, ...]:
    try:
        return read_plan(path).diagnostics
    except PlanError as error:
        return error.diagnostics


def test_a_finding_names_the_line_of_the_yaml(tmp_path: Path) -> None:
    (tmp_path / "phase-1.md").write_text("---\nid: 1\nname: [\n---\n# Phase 1: a\n")
    finding = next(found for found in read_plan(tmp_path / "phase-1.md").diagnostics if found.code == "WC113")
    assert finding.place.line in (3, 4)


# -- plans that are sound to read; what is wrong with them is for the checks


@pytest.mark.parametrize(
    ("text", "dependencies"),
    [
        ("## Phase 1: a\nDepends on: Phase 2\n## Phase 2: b\nDepends on: Phase 1\n", {"1": ("2",), "2": ("1",)}),
        ("## Phase 1: a\nDepends on: Phase 1\n## Phase 2: b\n", {"1": ("1",), "2": ()}),
        ("## Phase 1: a\nDepends on: Phase 77\n## Phase 2: b\n", {"1": ("77",), "2": ()}),
        ("## Phase 1: a\nDepends on: Phases 1-99999999\n## Phase 2: b\n", {"1": ("2", "99999999"), "2": ()}),
        (
            "## Phase 1: a\nDepends on: Phases 9-2\n## Phase 2: b\n",
            {"1": ("2", "3", "4", "5", "6", "7", "8", "9"), "2": ()},
        ),
    ],
)
def test_faults_of_order_are_kept_for_the_checks(
    tmp_path: Path, text: str, dependencies: dict[str, tuple[str, ...]]
) -> None:
    (tmp_path / "plan.md").write_text(text)
    assert {phase.id: phase.dependencies for phase in read_plan(tmp_path / "plan.md").phases} == dependencies


def test_outputs_that_leave_the_workspace_are_kept_for_the_checks(tmp_path: Path) -> None:
    (tmp_path / "phase-1.md").write_text("---\nid: 1\nwrites: [../x.py, /etc/passwd]\n---\n# a\n")
    assert read_plan(tmp_path / "phase-1.md").phases[0].outputs == ("../x.py", "/etc/passwd")


# -- what a disk can hold


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "phase-9.md")


def _loop(folder: Path) -> None:
    (folder / "phase-9.md").symlink_to(folder / "phase-9.md")


def _folder_with_suffix(folder: Path) -> None:
    (folder / "phase-9.md").mkdir()


def _dangling(folder: Path) -> None:
    (folder / "phase-9.md").symlink_to(folder / "nowhere")


def _device(folder: Path) -> None:
    (folder / "phase-9.md").symlink_to("/dev/zero")


def _huge(folder: Path) -> None:
    with (folder / "phase-9.md").open("wb") as file:
        file.truncate(6_000_000)


def _folder_loop(folder: Path) -> None:
    (folder / "deeper").symlink_to(folder)


@pytest.mark.parametrize("trouble", [_fifo, _loop, _folder_with_suffix, _dangling, _device, _huge, _folder_loop])
def test_strange_files_do_not_stop_the_reading_of_others(tmp_path: Path, trouble: Callable[[Path], None]) -> None:
    (tmp_path / "phase-1.md").write_text("# Phase 1: a\n")
    (tmp_path / "phase-2.md").write_text("# Phase 2: b\n\nDepends on: Phase 1\n")
    trouble(tmp_path)
    plan = read_plan(tmp_path)
    assert [phase.id for phase in plan.phases] == ["1", "2"]
    if trouble not in (_folder_with_suffix, _folder_loop):
        assert any(
            finding.code in ("WC110", "WC112") and "phase-9" in finding.place.file for finding in plan.diagnostics
        )


@pytest.mark.parametrize("trouble", [_fifo, _loop, _dangling, _device])
def test_a_strange_file_as_the_plan_is_refused(tmp_path: Path, trouble: Callable[[Path], None]) -> None:
    trouble(tmp_path)
    with pytest.raises((PlanError, NotFoundError)):
        read_plan(tmp_path / "phase-9.md")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser can read everything")
def test_an_unreadable_document(tmp_path: Path) -> None:
    (tmp_path / "phase-1.md").write_text("# Phase 1: a\n")
    (tmp_path / "phase-1.md").chmod(0)
    with pytest.raises(WavecrewError):
        read_plan(tmp_path)
    (tmp_path / "phase-1.md").chmod(stat.S_IRUSR | stat.S_IWUSR)


@pytest.mark.parametrize("path", ["", "no\0where", "x" * 5000, "nowhere/at/all", "~/nowhere"])
def test_paths_that_lead_nowhere(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((NotFoundError, PlanError)):
        read_plan(path)


def test_a_folder_with_a_readme_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Readme\n")
    (tmp_path / "overview.md").write_text("# Overview\n\n- one\n")
    with pytest.raises(PlanError):
        read_plan(tmp_path)


def test_too_many_documents_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavecrew.plans.documents.MAX_DOCUMENTS", 3)
    for number in range(5):
        (tmp_path / f"phase-{number}.md").write_text(f"# Phase {number}: a\n")
    plan = read_plan(tmp_path)
    assert len(plan.phases) == 3
    assert "WC112" in {finding.code for finding in plan.diagnostics}


# -- anything at all

_PIECES = st.sampled_from(
    [
        "# ",
        "## Phase 1: ",
        "## Phase 2",
        "\n",
        "\n\n",
        "**Depends on**: ",
        "Phase 1",
        "1-",
        "(",
        ")",
        "[",
        "](",
        "`",
        "```\n",
        "---\n",
        "| a | b |\n",
        "|---|---|\n",
        "- ",
        "  ",
        "    ",
        "1. ",
        ">",
        "id: ",
        ": ",
        "{",
        "}",
        "&a ",
        "*a",
        "阶段",
        "第",
        "Estimate: ",
        "2h",
        "Files to create:",
        "src/a.py",
        "all previous",
        "\t",
        "\x00",
        "\ufeff",
        "é",
        "🎯",
        "-->",
        "<!--",
        "~~",
        "**",
        "#",
        "99999999999999999999",
        "½",
        "٣",
        "一",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(_PIECES, st.text(max_size=12)), max_size=60), st.sampled_from([".md", ".json", ".yaml", ".toml"])
)
def test_any_text_gives_a_plan_or_an_error(tmp_path: Path, pieces: list[str], suffix: str) -> None:
    path = tmp_path / f"phase-1{suffix}"
    path.write_text("".join(pieces), encoding="utf-8", errors="surrogatepass")
    try:
        plan = read_plan(path)
    except WavecrewError:
        return
    assert isinstance(plan, Plan)


# -- hostile megabytes: what is asserted is that they are read to the end and stay small

MEGABYTE = 1_000_000
HOSTILE = {
    "quotes": ">" * MEGABYTE,
    "quoted lines": (">" * 200 + " x\n") * (MEGABYTE // 203),
    "dashes": "- " * (MEGABYTE // 2),
    "brackets": "[" * MEGABYTE,
    "one line": "a" * MEGABYTE,
    "headings": "".join(f"# Phase {number}\n" for number in range(20_000)),
    "a table": "|a|b|\n|-|-|\n" + "|x|y|\n" * (MEGABYTE // 6),
    "nested lists": "".join("  " * depth + "- a\n" for depth in range(1000)),
    "a long list of dependencies": "# Phase 1: a\n**Depends on**: " + "Phase 1, " * (MEGABYTE // 9),
    "open brackets": "# Phase 1: a\n**Depends on**: " + "(" * MEGABYTE,
    "digits": "# Phase 1: a\n**Estimate**: " + "1" * MEGABYTE,
    "stars": "# Phase 1: a\n" + "**" * (MEGABYTE // 2),
    "files": "# Phase 1: a\n## Files to create\n" + "- `a/b.py`\n" * (MEGABYTE // 11),
    "emoji": "# " + "✅" * 300_000 + " Phase 1",
    "unclosed front matter": "---\nneeds: " + "[" * MEGABYTE + "\n---\n# Phase 1: a\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_megabytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "phase-1.md"
    path.write_text(HOSTILE[name])
    found = read_or_findings(path)
    assert all(len(finding.message) < 400 for finding in found)
    assert len(found) < 1000
