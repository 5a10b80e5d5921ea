"""How many phases per second: `wavecrew run` beside GNU make and a bare loop that starts processes.

Every phase is the program `true`, so all that is measured is what a runner adds. Plans are always the same ones:
1,000 phases in 40 layers, each needing two of the layer before, with 3 and with 8 at a time, and a chain of 300. The
runners take turns, so that a busy moment of the machine meets all of them; the medians of the rounds are compared.
wavecrew is the real command in a fresh folder, its start, its database and its proof of every output included.
Run it with `python benchmarks/run.py [--rounds N] [--scale PERCENT]`.
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
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PLAN = "plan.json"
MAKEFILE = "Makefile"


@dataclass(frozen=True)
class Load:
    """What is run: phases with their dependencies, and how many at once."""

    title: str
    needs: dict[str, list[str]]
    slots: int


def layered(count: int, width: int, seed: int = 1) -> dict[str, list[str]]:
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


# -- the runners ------------------------------------------------------------------------------------------------


def with_wavecrew(load: Load, folder: Path) -> None:
    """The real command, without a view."""
    words = ["-m", "wavecrew", "run", PLAN, "--yes", "--no-config", "--ui", "none", "--wave-delay-seconds", "0"]
    _command([sys.executable, *words, "-j", str(load.slots)], folder)


def with_make(load: Load, folder: Path) -> None:
    """GNU make starts simple commands without a shell."""
    _command(["make", "--silent", f"-j{load.slots}", "all"], folder)


def with_loop(load: Load, folder: Path) -> None:
    """As little as can be done: start what is ready, wait for any end. Nothing is written down."""
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


RUNNERS: dict[str, Callable[[Load, Path], None]] = {
    "wavecrew": with_wavecrew,
    "make": with_make,
    "spawn loop": with_loop,
}


def _command(argv: list[str], folder: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "LANG": "C.UTF-8"}
    subprocess.run(argv, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def prepared(load: Load) -> Path:
    """A fresh folder with the plan in the form of each runner."""
    folder = Path(tempfile.mkdtemp(prefix="wavecrew-bench-"))
    (folder / "home").mkdir()
    phases = [{"id": name, "needs": needs, "command": ["true"]} for name, needs in load.needs.items()]
    (folder / PLAN).write_text(json.dumps({"phases": phases}), encoding="utf-8")
    rules = [f"{name}: {' '.join(needs)}\n\t@true\n" for name, needs in load.needs.items()]
    names = " ".join(load.needs)
    (folder / MAKEFILE).write_text(f".PHONY: all {names}\nall: {names}\n{''.join(rules)}", encoding="utf-8")
    return folder


# -- measuring --------------------------------------------------------------------------------------------------


def measure(load: Load, runners: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds of each runner in each round."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(rounds):
        for name in runners[number % len(runners) :] + runners[: number % len(runners)]:
            folder = prepared(load)
            try:
                start = time.perf_counter()
                RUNNERS[name](load, folder)
                times[name].append(time.perf_counter() - start)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return times


def machine() -> str:
    """The machine in words, without its name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    kernel = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    return (
        f"{cores} cores ({platform.machine()}), {kernel}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}"
    )


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description="Phases per second beside make and a bare loop.")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--scale", type=int, default=100, help="size of the plans in percent")
    wanted = parser.parse_args()
    count, long = 10 * wanted.scale, 3 * wanted.scale
    loads = [
        Load(f"{count:,} phases in layers, 3 at a time", layered(count, 25), 3),
        Load(f"{count:,} phases in layers, 8 at a time", layered(count, 25), 8),
        Load(f"a chain of {long}", chain(long), 3),
    ]
    runners = [name for name in RUNNERS if name != "make" or shutil.which("make")]
    print(f"{machine()}; medians of {wanted.rounds} rounds\n")
    print("| plan | runner | seconds | slowest | phases/s | ms/phase |\n| --- | --- | ---: | ---: | ---: | ---: |")
    for load in loads:
        for name, times in measure(load, runners, wanted.rounds).items():
            middle, size = statistics.median(times), len(load.needs)
            cells = f"{middle:.2f} | {max(times):.2f} | {size / middle:,.0f} | {1000 * middle / size:.2f}"
            print(f"| {load.title} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
