"""The demo plan: what its documents say as a plan, and what its blocks may do. Building it is tested end to end."""

from __future__ import annotations

import ast
import re
from importlib.resources import files
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from wavecrew.agents.runbook import RunbookAgent
from wavecrew.models.parallel_execution import PhaseInfo, Step, StepKind
from wavecrew.models.resources import meets, parse_resource
from wavecrew.models.schedule import Analysis, analyse
from wavecrew.models.simulation import Schedule
from wavecrew.plans.checks import check
from wavecrew.plans.conflicts import conflicts
from wavecrew.plans.reader import read_plan

FOLDER = Path(str(files("wavecrew") / "demo_plan" / "minitable" / "plan"))
PLAN = read_plan(FOLDER)
PHASES = {phase.id: phase for phase in PLAN.phases}
STEPS = [pytest.param(phase, step, id=f"{phase.id}:{step.line}") for phase in PLAN.phases for step in phase.steps]
NEEDS = {
    "01": "",
    "02": "01",
    "03": "01",
    "04": "01",
    "05": "02",
    "06": "02",
    "07": "02 03 04",
    "08": "07",
    "09": "05 07",
    "10": "06 08 09",
}
MADE_BY_SCRIPTS = {"03": {"minitable/registry.py"}, "04": {"minitable/registry.py"}, "09": {"BENCH.md"}}
MADE_BY_SCRIPTS |= {"10": {"dist/minitable.pyz"}}


def analysis(agents: int = 3) -> Analysis:
    return analyse(PLAN.graph, conflicts(PLAN.graph), agents)


def minutes(hours: float | None) -> int:
    assert hours is not None
    assert hours * 60 == pytest.approx(round(hours * 60))
    return round(hours * 60)


def file_steps(phase: PhaseInfo) -> dict[str, Step]:
    return {step.path: step for step in phase.steps if step.kind is StepKind.FILE}


# -- as a plan --------------------------------------------------------------------------------------------------


def test_the_graph_is_the_intended_one() -> None:
    assert {phase.id: set(phase.dependencies) for phase in PLAN.phases} == {
        name: set(needs.split()) for name, needs in NEEDS.items()
    }
    names = " ".join(phase.name for phase in PLAN.phases)
    assert names == "scaffold reader markdown html stats fuzz cli readme bench accept"
    assert PLAN.name == "minitable"
    assert not PLAN.assumed_order


def test_five_waves() -> None:
    assert [wave.phases for wave in PLAN.graph.waves()] == [
        ("01",),
        ("02", "03", "04"),
        ("05", "06", "07"),
        ("08", "09"),
        ("10",),
    ]


def test_the_registry_is_the_only_conflict() -> None:
    (conflict,) = conflicts(PLAN.graph)
    assert (conflict.phases, conflict.resource, conflict.same_wave) == (("03", "04"), "minitable/registry.py", True)


def test_the_turn_taking_is_the_only_finding() -> None:
    assert PLAN.diagnostics == ()
    assert [finding.code for finding in check(PLAN, agents={"runbook"})] == ["WC105"]


def test_estimates_make_the_lock_part_of_the_pacing_chain() -> None:
    found = analysis()
    assert minutes(found.serial_time) == 40
    assert (found.critical_path, minutes(found.critical_time)) == (("01", "02", "05", "09", "10"), 23)
    assert isinstance(found.schedule, Schedule)
    assert (minutes(found.makespans[3]), minutes(found.makespans[2])) == (24, 24)
    assert {"03", "04"} <= {step.phase for step in found.pacing_chain}


def test_the_overview_tells_the_figures_of_the_plan() -> None:
    text = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    found = analysis()
    assert f"takes {minutes(found.critical_time)} minutes, with this turn-taking {minutes(found.makespans[3])}:" in text


# -- what the blocks do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", PLAN.phases, ids=lambda phase: phase.id)
def test_a_phase_declares_what_it_writes_and_nothing_else(phase: PhaseInfo) -> None:
    written = set(file_steps(phase)) | MADE_BY_SCRIPTS.get(phase.id, set())
    assert written == set(phase.outputs)


@pytest.mark.parametrize("phase", PLAN.phases, ids=lambda phase: phase.id)
def test_a_phase_ends_with_checks_of_all_that_came_before(phase: PhaseInfo) -> None:
    kinds = [step.kind for step in phase.steps]
    assert set(kinds[kinds.index(StepKind.CHECK) :]) == {StepKind.CHECK}


@pytest.mark.parametrize("phase", PLAN.phases, ids=lambda phase: phase.id)
def test_a_phase_claims_and_awaits_the_modules_that_it_imports(phase: PhaseInfo) -> None:
    """An import from a phase that is not awaited works by luck, and one without a claim may see half a file."""
    before = PLAN.graph.ancestors(phase.id)
    wanted = {path for step in file_steps(phase).values() if step.path.endswith(".py") for path in _imports(step)}
    for path in wanted - set(phase.outputs):
        makers = {other.id for other in PLAN.phases if path in other.outputs}
        claimed = [parse_resource(resource) for resource in phase.reads]
        if (phase.id, path) == ("07", "minitable/stats.py"):
            continue  # imported only for --stats, which phase 07 does not call: its document says so
        assert makers & before, f"{phase.id} imports {path} without awaiting a phase that makes it"
        assert any(meets(parse_resource(path), resource) for resource in claimed), f"{phase.id} does not claim {path}"


def _imports(step: Step) -> set[str]:
    """Files of the project that a module imports directly."""
    modules = [
        f"{node.module}.{name.name}" if node.module in ("tools", "minitable") else f"{node.module}"
        for node in ast.walk(ast.parse(step.text))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]
    paths = {f"{module.replace('.', '/')}.py" for module in modules}
    known = {output for phase in PLAN.phases for output in phase.outputs}
    return paths & known


@pytest.mark.parametrize(("phase", "step"), STEPS)
def test_python_is_that_of_python_3_9(phase: PhaseInfo, step: Step) -> None:
    if step.language == "python":
        ast.parse(step.text, f"{phase.id}:{step.line}", feature_version=(3, 9))
    assert step.language in ({"python", "sh"} if step.kind is not StepKind.FILE else {"python", "toml", "markdown"})


@pytest.mark.parametrize(("phase", "step"), STEPS)
def test_scripts_do_real_work_and_leave_no_compiled_files(phase: PhaseInfo, step: Step) -> None:
    assert not re.search(r"\bsleep\b", step.text)
    if step.kind is not StepKind.FILE and step.language == "sh":
        assert len(re.findall(r"\bpython3\b", step.text)) == step.text.count("python3 -B ")


@pytest.mark.parametrize(("phase", "step"), STEPS)
def test_no_file_can_hold_the_time_of_day(phase: PhaseInfo, step: Step) -> None:
    """Two runs are compared byte for byte. A stop watch is fine, as long as nothing of it is written."""
    assert not re.search(
        r"\b(datetime|strftime|gmtime|localtime|getmtime|st_mtime|zipapp\.)\b|\btime\.time\b", step.text
    )


def test_the_registry_is_the_same_in_any_order_and_loses_a_line_when_edits_overlap() -> None:
    scaffold = file_steps(PHASES["01"])
    tool: dict[str, Any] = {"__name__": "register", "__file__": str(FOLDER / "register.py")}
    exec(compile(scaffold["tools/register.py"].text, "register", "exec", dont_inherit=True), tool)  # noqa: S102 (our own document)
    edit, empty = tool["with_format"], scaffold["minitable/registry.py"].text
    entries = [_registration(PHASES[name]) for name in ("03", "04")]
    results = set()
    for order in permutations(entries):
        source = empty
        for name, target in order:
            source = edit(source, name, target)
        results.add(source)
    (result,) = results
    assert all(f'"{name}": "{target}",' in result for name, target in entries)
    for name, target in entries:
        assert edit(empty, name, target) != result


def _registration(phase: PhaseInfo) -> tuple[str, str]:
    (script,) = (step.text for step in phase.steps if step.kind is StepKind.RUN)
    found = re.match(r"python3 -B -m tools\.register (\w+) (\S+)\n", script)
    assert found
    return found[1], found[2]


def test_long_tests_are_work_and_the_checks_are_short() -> None:
    """Checks are repeated on merged trees, so nothing that takes long may be one."""
    for phase in PLAN.phases:
        for step in phase.steps:
            assert step.kind is not StepKind.CHECK or "LONG=" not in step.text
    long = {
        phase.id
        for phase in PLAN.phases
        if any(step.text.startswith("LONG=1") or "\nLONG=1" in step.text for step in phase.steps)
    }
    assert long == {"02", "03", "04", "05", "06"}


@pytest.mark.parametrize("phase", PLAN.phases, ids=lambda phase: phase.id)
def test_the_runbook_agent_takes_every_phase(phase: PhaseInfo) -> None:
    assert RunbookAgent().problem(phase, ()) == ""
    assert phase.agent in ("", "runbook")
