"""What it costs to work alone: a worktree for each phase beside one shared folder, in a repository of 10,000 files.

Three tables. Steps: what each way station of one attempt takes by itself (worktree made, work sealed, merge proposed,
result moved, worktree closed), with its calls of git. Phases: the real `wavecrew run`, in worktrees and in the shared
folder, with phases that do nothing and phases that write ten files, in a chain and side by side; a plan of one phase is
taken off. Work: a plan of 30 phases with one second of work each, 8 agents at once and one at a time.
Run it with `python benchmarks/worktree.py [--files N] [--rounds N] [--quick]`. It does not know what a worktree saves:
a phase that meets half of another's work fails for reasons that are not its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from run import chain, layered, machine

from wavecrew.core.git import Git
from wavecrew.core.git_calls import Answer
from wavecrew.core.integration import Integration, Proposal
from wavecrew.core.worktrees import Worktrees

_T = TypeVar("_T")

NOTHING = "true"
TEN_FILES = "mkdir -p made/$WAVECREW_PHASE; for n in 0 1 2 3 4 5 6 7 8 9; do echo $n > made/$WAVECREW_PHASE/$n; done"
A_SECOND = f"{TEN_FILES}; sleep 1"
AGENTS = 8
SETTINGS = "[user]\n\tname = Bench\n\temail = bench@example.org\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n"


# -- repositories -----------------------------------------------------------------------------------------------


class Ground:
    """A folder with a home of its own, and one repository that others are copied from."""

    def __init__(self, folder: Path, files: int) -> None:
        self._folder = folder
        self._count = 0
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / ".gitconfig").write_text(SETTINGS)
        self.own = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}
        self._first = folder / "first"
        for number in range(files):
            path = self._first / f"part{number % 100}" / f"more{number % 7}" / f"file{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number}\n" * 20)
        self.git(self._first, "init", "-q")
        self.commit(self._first)
        self.git(self._first, "gc", "-q")

    def git(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(exist_ok=True)
        subprocess.run(["git", *arguments], cwd=folder, env=self.own, check=True)

    def commit(self, folder: Path) -> None:
        self.git(folder, "add", "-A")
        self.git(folder, "commit", "-q", "--allow-empty", "-m", "more")

    @contextmanager
    def copy(self) -> Any:
        """A repository for one measurement."""
        self._count += 1
        folder = self._folder / f"copy{self._count}"
        shutil.copytree(self._first, folder)
        self.git(folder, "status", "-s")  # the copied files are known to the index again
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


# -- one step after the other -----------------------------------------------------------------------------------


class CountingGit(Git):
    """Git that counts what it is asked."""

    calls = 0

    def run(
        self,
        *arguments: str,
        cwd: Path | None = None,
        given: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (0,),
    ) -> Answer:
        self.calls += 1
        return super().run(*arguments, cwd=cwd, given=given, environment=environment, accept=accept)


def steps(ground: Ground, rounds: int) -> None:
    """Print what each way station takes. All attempts begin at the same commit, so all but the first are merged."""
    times: dict[str, list[tuple[float, float, int]]] = {}
    with ground.copy() as folder:
        state = folder / ".wavecrew"
        state.mkdir()
        (state / ".gitignore").write_text("*\n")
        found = Git.open(folder)
        git = CountingGit(found.program, found.root, found.common)
        worktrees, integration = Worktrees(git, folder, state, "bench"), Integration(git, "bench")

        def timed(what: str, do: Callable[..., _T], *words: Any, **named: Any) -> _T:
            begin, busy, calls = time.perf_counter(), computing(), git.calls
            answer = do(*words, **named)
            spans = time.perf_counter() - begin, computing() - busy
            times.setdefault(what, []).append((*spans, git.calls - calls))
            return answer

        start = tip = integration.begin(git.text("rev-parse", "HEAD"))
        for number in range(rounds):
            place, outputs = worktrees.place(f"p{number}", 1), [f"made/{number}/"]
            timed("make the worktree", worktrees.open, place, start)
            made = place.workspace / "made" / str(number)
            made.mkdir(parents=True)
            for one in range(10):
                (made / str(one)).write_text("1\n")
            sealed = timed("seal the work", integration.seal, place, start, "x", outputs)
            proposal = timed("propose the merge", integration.propose, tip, sealed.commit, "x")
            assert isinstance(proposal, Proposal)
            timed("look for its outputs", integration.missing_outputs, proposal.commit, outputs)
            timed("move the result", integration.advance, tip, proposal.commit)
            tip = proposal.commit
            assert timed("close the worktree", worktrees.close, place)
    print("| step | median ms | slowest ms | computing ms | calls of git |\n| --- |" + " ---: |" * 4)
    sums = [0.0, 0.0, 0]
    for what, measured in times.items():
        spans, busy, calls = zip(*measured, strict=True)
        row = [statistics.median(spans), statistics.median(busy), calls[-1]]
        sums = [one + more for one, more in zip(sums, row, strict=True)]
        print(f"| {what} | {1000 * row[0]:.0f} | {1000 * max(spans):.0f} | {1000 * row[1]:.0f} | {row[2]} |")
    print(f"| all | {1000 * sums[0]:.0f} | | {1000 * sums[1]:.0f} | {sums[2]} |\n", flush=True)


def computing() -> float:
    """Seconds of the processor that this process and those that it has waited for have taken so far. On a machine with
    other work this says more than the clock."""
    return sum(os.times()[:4])


# -- whole runs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """What is run: phases with their dependencies, the shell of each, and how many at once."""

    needs: dict[str, list[str]]
    script: str
    agents: int
    isolation: str


def once(ground: Ground, load: Load) -> float:
    """Seconds of one run in a fresh repository."""
    with ground.copy() as folder:
        writes = [] if load.script == NOTHING else ["made/{name}/"]
        phases = [
            {
                "id": name,
                "needs": needs,
                "writes": [one.format(name=name) for one in writes],
                "command": ["sh", "-c", load.script],
            }
            for name, needs in load.needs.items()
        ]
        (folder / "plan.json").write_text(json.dumps({"phases": phases}), encoding="utf-8")
        ground.commit(folder)
        words = ["run", "plan.json", "--yes", "--no-config", "--ui", "none", "--wave-delay-seconds", "0"]
        words += ["-j", str(load.agents), "--isolation", load.isolation]
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "wavecrew", *words], cwd=folder, env=ground.own, capture_output=True, check=False
        )
        seconds = time.perf_counter() - begin
        if done.returncode:
            raise SystemExit(f"a run failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
        return seconds


def phases(ground: Ground, count: int, rounds: int) -> None:
    """Print what a phase takes in worktrees and in the shared folder, beyond a run of one phase."""
    wide: dict[str, list[str]] = {f"p{number}": [] for number in range(count)}
    print("| plan | phase | where | phases | seconds | start | ms/phase |\n| --- | --- | --- |" + " ---: |" * 4)
    for title, needs, agents in (("chain", chain(count), 1), (f"wide, {AGENTS} at a time", wide, AGENTS)):
        for what, script in (("does nothing", NOTHING), ("writes 10 files", TEN_FILES)):
            times: dict[str, list[tuple[float, float]]] = {"shared": [], "worktree": []}
            for _ in range(rounds):  # in turns, so that a busy moment of the machine meets both
                for where, found in times.items():
                    single = once(ground, Load({"p0": []}, script, agents, where))
                    found.append((single, once(ground, Load(needs, script, agents, where))))
            for where, found in times.items():
                start, whole = (statistics.median(column) for column in zip(*found, strict=True))
                each = 1000 * (whole - start) / (count - 1)
                row = f"{title} | {what} | {where} | {count} | {whole:.2f} | {start:.2f} | {each:.0f}"
                print(f"| {row} |", flush=True)
    print()


def work(ground: Ground, count: int, rounds: int) -> None:
    """Print how long a plan takes whose phases work for a second."""
    needs = layered(count, AGENTS)
    alone = statistics.median(once(ground, Load(needs, A_SECOND, 1, "worktree")) for _ in range(rounds))
    together = statistics.median(once(ground, Load(needs, A_SECOND, AGENTS, "worktree")) for _ in range(rounds))
    shared = statistics.median(once(ground, Load(needs, A_SECOND, AGENTS, "shared")) for _ in range(rounds))
    print("| 1 s of work each | phases | seconds | times as fast |\n| --- | ---: | ---: | ---: |")
    print(f"| one at a time, worktrees | {count} | {alone:.1f} | 1.0 |")
    print(f"| {AGENTS} at a time, worktrees | {count} | {together:.1f} | {alone / together:.1f} |")
    print(f"| {AGENTS} at a time, shared folder | {count} | {shared:.1f} | {alone / shared:.1f} |", flush=True)


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description="What isolation in worktrees costs.")
    parser.add_argument("--files", type=int, default=10_000, help="how many files the repository has")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parts = ("steps", "work", "phases")
    parser.add_argument("--part", action="append", choices=parts, help="only this table; can be given twice")
    parser.add_argument("--quick", action="store_true", help="a tenth of the files, one round")
    given = parser.parse_args()
    files, rounds = (given.files // 10, 1) if given.quick else (given.files, given.rounds)
    given.part = given.part or parts
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    git = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{machine()}, {git}; {files:,} files; medians of {rounds} rounds; load at the start {load}\n")
    folder = Path(tempfile.mkdtemp(prefix="wavecrew-bench-"))
    try:
        ground = Ground(folder, files)
        os.environ.update(HOME=str(ground.home), GIT_CONFIG_NOSYSTEM="1")  # the steps are measured in this process
        if "steps" in given.part:
            steps(ground, 5 * rounds)
        if "phases" in given.part:
            phases(ground, 12, rounds)
        if "work" in given.part:
            work(ground, 30, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nload at the end {'/'.join(f'{one:.1f}' for one in os.getloadavg())}")


if __name__ == "__main__":
    main()
