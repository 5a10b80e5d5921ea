"""What a runner adds to each phase: `wavecrew run` beside make, ninja, doit, luigi, snakemake and a bare loop.

Every phase is the program `true`, so all that is measured is what a runner adds. Plans are always the same ones:
1,000 phases in layers of 25, each needing two of the layer before, with 3 and with 8 at a time, and a chain of 300.
The runners take turns, so that a busy moment of the machine meets all of them; the medians of the rounds are compared.
A plan of one phase shows the start of each runner, which is taken off before the rest is divided by the phases.
wavecrew is the real command in a fresh folder, its database and its proof of every output included. Runners that are
slow get smaller plans of the same form; those that are not installed are left out, and that is said.
Run it with `python benchmarks/run.py [--rounds N] [--scale PERCENT] [--quick] [--peers BIN_FOLDER]`.
It does not know what the features of a runner are worth: the others keep less, and start cheaper for it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

WIDTH = 25


@dataclass(frozen=True)
class Load:
    """What is run: phases with their dependencies, and how many at once."""

    needs: dict[str, list[str]]
    slots: int


def layered(count: int, width: int = WIDTH, seed: int = 1) -> dict[str, list[str]]:
    """Phases in layers of a width, each needing two of the layer before it."""
    chance = random.Random(seed)
    names = [f"p{number}" for number in range(count)]
    layers = [names[start : start + width] for start in range(0, count, width)]
    needs: dict[str, list[str]] = {name: [] for name in layers[0]}
    for before, layer in pairwise(layers):
        needs.update({name: chance.sample(before, min(2, len(before))) for name in layer})
    return needs


def chain(count: int) -> dict[str, list[str]]:
    """Phases that follow each other."""
    return {f"p{number}": [f"p{number - 1}"] if number else [] for number in range(count)}


# -- plans in the form of each runner ---------------------------------------------------------------------------


def plan_file(load: Load, folder: Path) -> None:
    """For wavecrew."""
    phases = [{"id": name, "needs": needs, "command": ["true"]} for name, needs in load.needs.items()]
    (folder / "plan.json").write_text(json.dumps({"phases": phases}), encoding="utf-8")


def make_file(load: Load, folder: Path) -> None:
    """For GNU make, which starts simple commands without a shell."""
    rules = [f"{name}: {' '.join(needs)}\n\t@true\n" for name, needs in load.needs.items()]
    names = " ".join(load.needs)
    (folder / "Makefile").write_text(f".PHONY: all {names}\nall: {names}\n{''.join(rules)}", encoding="utf-8")


def ninja_file(load: Load, folder: Path) -> None:
    """For ninja, which starts every command with a shell."""
    edges = [f"build {name}: phase {' '.join(needs)}\n" for name, needs in load.needs.items()]
    (folder / "build.ninja").write_text(f"rule phase\n  command = true\n{''.join(edges)}", encoding="utf-8")


def doit_file(load: Load, folder: Path) -> None:
    """For doit: an action that is a list is started without a shell."""
    text = f"""NEEDS = {load.needs!r}

def task_phase():
    for name, needs in NEEDS.items():
        yield {{"name": name, "actions": [["true"]], "task_dep": [f"phase:{{other}}" for other in needs]}}
"""
    (folder / "dodo.py").write_text(text, encoding="utf-8")


def luigi_file(load: Load, folder: Path) -> None:
    """For luigi: a task is done when its file is there. Its worker would sleep a second where others are at work."""
    text = f"""import subprocess
import luigi

NEEDS = {load.needs!r}

class Phase(luigi.Task):
    name = luigi.Parameter()

    def requires(self):
        return [Phase(name=other) for other in NEEDS[self.name]]

    def output(self):
        return luigi.LocalTarget(f"{{self.name}}.done")

    def run(self):
        subprocess.run(["true"], check=True)
        self.output().open("w").close()

class All(luigi.WrapperTask):
    def requires(self):
        return [Phase(name=name) for name in NEEDS]
"""
    (folder / "phases.py").write_text(text, encoding="utf-8")
    settings = "[worker]\nwait_interval=0.01\nwait_jitter=0\n[core]\nlog_level=ERROR\n[retcode]\ntask_failed=1\n"
    (folder / "luigi.cfg").write_text(settings, encoding="utf-8")


def snake_file(load: Load, folder: Path) -> None:
    """For snakemake, which starts every command with bash."""
    text = f"""NEEDS = {load.needs!r}

rule all:
    input: [f"{{name}}.done" for name in NEEDS]

rule phase:
    input: lambda wildcards: [f"{{other}}.done" for other in NEEDS[wildcards.name]]
    output: touch("{{name}}.done")
    shell: "true"
"""
    (folder / "Snakefile").write_text(text, encoding="utf-8")


# -- the runners ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Runner:
    """A program that carries out plans. `words` follow its name, `-j` and the like still without their number."""

    name: str
    program: str
    words: tuple[str, ...]
    write: Callable[[Load, Path], None]
    part: int = 100
    """How much of a plan it gets, in percent."""

    def run(self, load: Load, folder: Path) -> None:
        """Carry out the plan that was written into the folder."""
        words = [word.replace("SLOTS", str(load.slots)) for word in self.words]
        own = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "LANG": "C.UTF-8", "PYTHONPATH": "."}
        done = subprocess.run(
            [self.program, *words], cwd=folder, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if done.returncode:
            raise SystemExit(f"{self.name} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")


class Loop(Runner):
    """As little as can be done: start what is ready, wait for any end. Nothing is written down."""

    def run(self, load: Load, folder: Path) -> None:
        open_needs = {name: len(needs) for name, needs in load.needs.items()}
        dependents: dict[str, list[str]] = {name: [] for name in load.needs}
        for name, needs in load.needs.items():
            for other in needs:
                dependents[other].append(name)
        ready = [name for name, count in open_needs.items() if not count]
        running: dict[int, str] = {}
        while ready or running:
            while ready and len(running) < load.slots:
                running[os.posix_spawnp("true", ["true"], os.environ)] = ready.pop()
            pid, status = os.wait()
            if status:
                raise SystemExit("a phase failed")
            for other in dependents[running.pop(pid)]:
                open_needs[other] -= 1
                if not open_needs[other]:
                    ready.append(other)


WAVECREW = ("-m", "wavecrew", "run", "plan.json", "--yes", "--no-config", "--ui", "none")
FAST = ("--wave-delay-seconds", "0", "-j", "SLOTS")
LUIGI = ("--module", "phases", "All", "--local-scheduler", "--workers", "SLOTS")

RUNNERS = (
    Runner("wavecrew", sys.executable, (*WAVECREW, *FAST), plan_file),
    Runner("wavecrew, no audit", sys.executable, (*WAVECREW, *FAST, "--audit", "off", "--keep"), plan_file),
    Runner("make", "make", ("--silent", "-jSLOTS", "all"), make_file),
    Runner("ninja", "ninja", ("--quiet", "-jSLOTS"), ninja_file),
    Runner("doit", "doit", ("run", "-n", "SLOTS", "-r", "zero"), doit_file),
    Runner("luigi", "luigi", LUIGI, luigi_file, part=20),
    Runner("snakemake", "snakemake", ("--quiet", "all", "--cores", "SLOTS"), snake_file, part=20),
    Loop("spawn loop", sys.executable, (), lambda load, folder: None),
)


def installed(peers: str) -> list[Runner]:
    """The runners that are there, by absolute paths; says which are not."""
    path = os.pathsep.join(filter(None, [peers, os.environ["PATH"]]))
    found = [(runner, shutil.which(runner.program, path=path)) for runner in RUNNERS]
    for runner, program in found:
        if program is None:
            print(f"{runner.name}: not installed")
    return [replace(runner, program=program) for runner, program in found if program is not None]


# -- measuring --------------------------------------------------------------------------------------------------


def measure(loads: list[tuple[Runner, Load]], rounds: int) -> list[list[float]]:
    """Seconds of each runner with its plan, in each round. Every round begins with another one."""
    times: list[list[float]] = [[] for _ in loads]
    for number in range(rounds):
        for step in range(len(loads)):
            position = (number + step) % len(loads)
            times[position].append(once(*loads[position]))
    return times


def once(runner: Runner, load: Load) -> float:
    """Seconds for one plan in a fresh folder."""
    folder = Path(tempfile.mkdtemp(prefix="wavecrew-bench-"))
    try:
        (folder / "home").mkdir()
        runner.write(load, folder)
        start = time.perf_counter()
        runner.run(load, folder)
        return time.perf_counter() - start
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def machine() -> str:
    """The machine in words, without its name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    kernel = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    return (
        f"{cores} cores ({platform.machine()}), {kernel}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}"
    )


@dataclass(frozen=True)
class Wanted:
    """Who is measured, and how often."""

    runners: list[Runner]
    rounds: int


def show(title: str, shape: Callable[[int], dict[str, list[str]]], count: int, slots: int, wanted: Wanted) -> None:
    """Measure one form of plan with every runner, and print a row for each."""
    single = [(runner, Load({"p0": []}, slots)) for runner in wanted.runners]
    whole = [(runner, Load(shape(count * runner.part // 100), slots)) for runner in wanted.runners]
    times = measure(single + whole, wanted.rounds)
    for (runner, load), starts, seconds in zip(whole, times[: len(single)], times[len(single) :], strict=True):
        start, middle, size = statistics.median(starts), statistics.median(seconds), len(load.needs)
        each = 1000 * (middle - start) / max(1, size - 1)
        cells = f"{size:,} | {middle:.2f} | {max(seconds):.2f} | {start:.2f} | {each:.2f}"
        print(f"| {title} | {runner.name} | {cells} |", flush=True)


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description="What a runner adds to each phase.")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--scale", type=int, default=100, help="size of the plans in percent")
    parser.add_argument("--quick", action="store_true", help="a tenth of the phases, one round")
    parser.add_argument("--peers", default="", metavar="BIN_FOLDER", help="where other runners are installed")
    given = parser.parse_args()
    scale, rounds = (10, 1) if given.quick else (given.scale, given.rounds)
    wanted = Wanted(installed(given.peers), rounds)
    print(f"{machine()}; medians of {rounds} rounds\n")
    print("| plan | runner | phases | seconds | slowest | start | ms/phase |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    show("layers, 3 at a time", layered, 10 * scale, 3, wanted)
    show("layers, 8 at a time", layered, 10 * scale, 8, wanted)
    show("chain", chain, 3 * scale, 3, wanted)


if __name__ == "__main__":
    main()
