"""How long a run stands still when its coordinator is killed: from the next `wavecrew run` to its first new start.

A run of 1,000 phases is brought to where 300 are completed and 24 agents are at work. Then the coordinator is killed
with SIGKILL; while nobody is in charge, two agents end well and the processes of two others are killed. The clock runs
from the start of the interpreter that takes the run up to what it says on its standard output (`--ui jsonl`): that it
is in charge, that the 20 living agents are adopted (its first decision), and that a phase is started anew.
Every process is ended by its own pid. Run it with `python benchmarks/recovery.py [--rounds N] [--phases N]`.
It does not know how a run is taken up, and it checks only that each agent was adopted, and none started twice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

QUICK, AGENTS = 300, 24
ENDED, KILLED = ("a0", "a1"), ("a2", "a3")
ADOPTED = AGENTS - len(ENDED) - len(KILLED)
GOAL_SECONDS = 2.0
STEPS = {
    "in charge": "it is in charge",
    "first decision": "its first decision (agents adopted)",
    "first new start": "its first new start",
    "cpu": "its first new start, computing time alone",
}
OPTIONS = "--yes --no-config --ui jsonl --wave-delay-seconds 0 --grace 1".split()  # noqa: SIM905 -- as one would type it


def write_plan(folder: Path, count: int) -> None:
    """Quick phases, then agents that wait at a pipe, then the rest, which depends on the agents. All slots are taken by
    agents only when every quick phase has been completed, because some agent waits for it."""
    quick = [f"q{number}" for number in range(QUICK)]
    agents = [f"a{number}" for number in range(AGENTS)]
    phases: list[dict[str, Any]] = [{"id": name, "command": ["true"]} for name in quick]
    for number, name in enumerate(agents):
        os.mkfifo(folder / f"{name}.pipe")
        wait = ["/bin/sh", "-c", f"read line < {name}.pipe"]
        phases.append({"id": name, "needs": quick[number::AGENTS], "command": wait})
    rest = range(count - QUICK - AGENTS)
    phases += [{"id": f"r{number}", "needs": [agents[number % AGENTS]], "command": ["true"]} for number in rest]
    (folder / "plan.json").write_text(json.dumps({"phases": phases}), encoding="utf-8")


def coordinator(folder: Path) -> subprocess.Popen[str]:
    """The real command."""
    words = [sys.executable, "-m", "wavecrew", "run", "plan.json", *OPTIONS, "-j", str(AGENTS)]
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def events(program: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What a coordinator has recorded, as soon as it says so."""
    assert program.stdout is not None
    for line in program.stdout:
        yield json.loads(line)
    raise SystemExit("the coordinator ended too early")


def shims(folder: Path) -> dict[str, int]:
    """The pids of the processes beside the agents, by phase, read from what they left when they started."""
    found = {}
    for started in folder.glob(".wavecrew/runs/*/a*/1/started"):
        found[started.parent.parent.name] = int(json.loads(started.read_text())["pid"])
    return found


def until(condition: Any, what: str) -> None:
    """Wait until something is true."""
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"it never came true: {what}")
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, zombies left out."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    """The computing time of a process so far: what is left of the time when nothing else is at work."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def break_off(folder: Path) -> dict[str, int]:
    """Bring a run to its middle and kill its coordinator; let some agents end and some die. Gives all agents."""
    with coordinator(folder) as program:
        try:
            at_work: set[str] = set()
            for event in events(program):
                if event["kind"] == "AttemptStarted" and event["phase"].startswith("a"):
                    at_work.add(event["phase"])
                if len(at_work) == AGENTS:
                    break
            until(lambda: len(shims(folder)) == AGENTS, "all agents are at work")
        finally:
            program.kill()
    agents = shims(folder)
    for name in ENDED:
        (folder / f"{name}.pipe").write_text("go on\n", encoding="ascii")
    for name in KILLED:
        os.kill(agents[name], signal.SIGKILL)
    until(lambda: not any(is_alive(agents[name]) for name in (*ENDED, *KILLED)), "some agents are gone")
    return agents


def take_up(folder: Path) -> dict[str, float]:
    """Seconds from the start of the next coordinator to each step. It is stopped afterwards, with all agents."""
    seconds: dict[str, float] = {}
    adopted: set[str] = set()
    start = time.perf_counter()
    with coordinator(folder) as program:
        try:
            for event in events(program):
                now, kind = time.perf_counter() - start, event["kind"]
                if kind == "CoordinatorStarted":
                    seconds["in charge"] = now
                elif kind == "AttemptAdopted":
                    adopted.add(event["phase"])
                    seconds["first decision"] = now
                elif kind == "AttemptStarted" and event["phase"] not in adopted:
                    seconds["first new start"] = now
                    seconds["cpu"] = cpu_seconds(program.pid)
                    break
        finally:
            program.terminate()
            program.communicate()
    if len(adopted) != ADOPTED:
        raise SystemExit(f"{len(adopted)} agents were adopted, not {ADOPTED}")
    return seconds


def one_round(count: int) -> dict[str, float]:
    """One run, broken off and taken up, in a fresh folder."""
    folder = Path(tempfile.mkdtemp(prefix="wavecrew-recovery-"))
    agents: dict[str, int] = {}
    try:
        write_plan(folder, count)
        agents = break_off(folder)
        return take_up(folder)
    finally:
        for pid in (agents or shims(folder)).values():
            if is_alive(pid) and str(folder).encode() in Path(f"/proc/{pid}/cwd").readlink().as_posix().encode():
                os.kill(pid, signal.SIGKILL)  # only when something above went wrong
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure some rounds and print one table."""
    parser = argparse.ArgumentParser(description="How long a killed run stands still.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--phases", type=int, default=1000)
    wanted = parser.parse_args()
    rounds = [one_round(wanted.phases) for _ in range(wanted.rounds)]
    print(f"{wanted.phases:,} phases, {QUICK} completed, {ADOPTED} agents alive; {wanted.rounds} rounds\n")
    print("| from the start of `wavecrew run` to | median s | most s |\n| --- | ---: | ---: |")
    for step, words in STEPS.items():
        times = [seconds[step] for seconds in rounds]
        print(f"| {words} | {statistics.median(times):.2f} | {max(times):.2f} |")
    late = max(seconds["first new start"] for seconds in rounds) > GOAL_SECONDS
    print(f"\nThe goal of {GOAL_SECONDS:g} s is {'not ' if late else ''}met in every round.")


if __name__ == "__main__":
    main()
