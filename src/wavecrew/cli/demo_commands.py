"""`demo`: a small real project, built in parallel and in sequence, compared, and used."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import click

from wavecrew.api.plans import analyse_plan, load_plan
from wavecrew.api.results import land
from wavecrew.api.runs import RunRequest, prepare_run
from wavecrew.api.users import who
from wavecrew.api.workspace import open_workspace
from wavecrew.cli.globals import Globals, echo, only_ascii, pass_globals, with_globals
from wavecrew.cli.run_commands import execute
from wavecrew.core.git import Git
from wavecrew.core.store import STATE_FOLDER
from wavecrew.errors import ExitCode, PreflightError
from wavecrew.views.plan_text import plan_text
from wavecrew.views.result_text import landed_text

_NO_RESULT: Final = frozenset({STATE_FOLDER, ".git"})
_TABLE: Final = """\
planet,moons,radius km
Mercury,0,2440
Earth,1,6371
Jupiter,115,69911
"""


@click.command()
@click.option("-j", "agents", type=click.IntRange(2, 64), default=3, show_default=True, help="Agents of the first run.")
@click.option("--keep", type=click.Path(path_type=Path), metavar="DIR", help="Build in DIR and leave everything there.")
@with_globals
@pass_globals
def demo(settings: Globals, agents: int, keep: Path | None) -> int:
    """Build a real little tool from ten phase documents: with several agents, then with one, and compare the results.

    No model is called, nothing is downloaded, no key is needed.
    """
    folder = keep or Path(tempfile.mkdtemp(prefix="wavecrew-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _demo(folder.resolve(), agents, settings)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _demo(folder: Path, agents: int, settings: Globals) -> int:
    echo("No model is called. The phases of this plan already contain their commands, so")
    echo("this shows planning, locks, parallel work and proof, not code generation.")
    times: dict[int, float] = {}
    for number in (agents, 1):
        workspace = folder / f"with-{number}-agent{'s' if number > 1 else ''}"
        _copy_plan(workspace)
        if number == agents:
            _show_plan(workspace, agents)
        _headline(f"{'In parallel' if number > 1 else 'The same in sequence'}: wavecrew run -j{number}")
        began = time.perf_counter()
        code = _build(workspace, number, settings)
        times[number] = time.perf_counter() - began
        if code != ExitCode.OK:
            echo(f"the demo failed; everything is in {folder}", err=True)
            return code
    return _compare_and_use(folder, agents, times)


def _copy_plan(workspace: Path) -> None:
    with as_file(files("wavecrew") / "demo_plan" / "minitable" / "plan") as plan:
        shutil.copytree(plan, workspace / "plan", ignore=shutil.ignore_patterns("__pycache__"))
    _make_repository(workspace)


def _make_repository(workspace: Path) -> None:
    """Begin as most projects do: with the plan as the first commit. Without a git of today, all work in one folder."""
    git = shutil.which("git")
    if git is None:
        return
    person = ("user.name=demo", "user.email=demo@localhost", "init.defaultBranch=main")
    quiet = ("commit.gpgSign=false", f"core.hooksPath={os.devnull}")
    options = [part for setting in (*person, *quiet) for part in ("-c", setting)]
    for words in ("init --quiet", "add plan", "commit --quiet --message Plan"):
        subprocess.run([git, *options, *words.split()], cwd=workspace, check=True, timeout=60)
    try:
        Git.open(workspace)
    except PreflightError:
        shutil.rmtree(workspace / ".git")


def _show_plan(workspace: Path, agents: int) -> None:
    plan = load_plan(workspace / "plan")
    _headline("The plan: wavecrew plan")
    text = plan_text(plan, analyse_plan(plan, agents), plan.diagnostics, ascii_only=only_ascii())
    echo(text.partition("\nnext:")[0].rstrip())  # the demo goes on by itself


def _build(workspace: Path, agents: int, settings: Globals) -> int:
    """One run of the plan, by the same calls that `wavecrew run` makes. Its own documents need no consent."""
    flags = {"max_parallel_agents": agents, "wave_delay_seconds": 0, "agent": "runbook"}
    place = open_workspace(workspace, flags=flags, use_files=False)
    prepared = prepare_run(place, RunRequest(load_plan(workspace / "plan")))
    code = execute(prepared, settings)
    if code == ExitCode.OK and prepared.ground.repository is not None:
        with place.open_store() as store:
            landed = land(store, workspace, prepared.run, by=who())
        echo(landed_text(landed, ascii_only=only_ascii()).partition("\nnext:")[0])
    return code


def _compare_and_use(folder: Path, agents: int, times: Mapping[int, float]) -> int:
    parallel, serial = folder / f"with-{agents}-agents", folder / "with-1-agent"
    trees = [_tree(parallel), _tree(serial)]
    _headline("What came out")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gain = f"{times[1] / times[agents]:.2f} times as fast, on {cores} cores"
    echo(f"  {agents} agents {times[agents]:.1f} s    1 agent {times[1]:.1f} s    {gain}")
    if trees[0] != trees[1]:
        different = sorted(dict(trees[0].items() ^ trees[1].items()))
        echo(f"  the two results differ: {', '.join(different[:5])}", err=True)
        return ExitCode.PHASE_FAILED
    size = sum((parallel / name).stat().st_size for name in trees[0])
    echo(f"  the two trees are the same, byte for byte: {len(trees[0])} files, {size:,} bytes")
    echo()
    echo("The tool that was built, at work:")
    (folder / "planets.csv").write_text(_TABLE, encoding="utf-8")
    command = [sys.executable, str(parallel / "dist" / "minitable.pyz"), str(folder / "planets.csv")]
    used = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    for line in (used.stdout or used.stderr).splitlines():
        echo(f"  {line}")
    if used.returncode == ExitCode.OK:
        echo()
        echo("next: wavecrew init my-project · wavecrew plan · wavecrew run")
    return ExitCode.OK if used.returncode == 0 else ExitCode.PHASE_FAILED


def _tree(folder: Path) -> dict[str, str]:
    """Every file of a workspace with the hash of its content; neither state nor history are part of the result."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _NO_RESULT & {*path.relative_to(folder).parts}
    }


def _headline(text: str) -> None:
    echo()
    echo(text)
    echo("-" * len(text) if only_ascii() else "─" * len(text))
