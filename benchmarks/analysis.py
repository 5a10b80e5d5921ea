"""How long the analysis of a plan takes, by size.

Random layered plans, always the same ones: about the square root of their phases stands in each layer, every phase
needs one to three earlier ones, writes a file of its own, and every tenth also writes a file that others write.
Run it with `python benchmarks/analysis.py [phases ...]`; times are seconds, the best of three runs (of one for plans
of more than 20,000 phases).
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Estimates, analyse, critical_path, priorities
from wavecrew.models.simulation import Workload, simulate
from wavecrew.plans.checks import check
from wavecrew.plans.conflicts import find_conflicts
from wavecrew.views.plan_json import plan_json
from wavecrew.views.plan_svg import plan_svg
from wavecrew.views.plan_text import plan_text

_T = TypeVar("_T")
SIZES = (1_000, 10_000, 100_000)
LARGEST_PICTURE = 2_000


def layered_plan(count: int, seed: int = 1) -> list[PhaseInfo]:
    """A random plan in layers."""
    chance = random.Random(seed)
    width = max(1, int(count**0.5))
    phases: list[PhaseInfo] = []
    for number in range(count):
        layer = number // width
        needs: dict[str, None] = {}
        if layer:
            needs[str(chance.randrange((layer - 1) * width, layer * width))] = None
            for _ in range(chance.randrange(3)):
                needs[str(chance.randrange(max(0, layer - 3) * width, layer * width))] = None
        outputs = [f"src/part{number % 97}/file{number}.py"]
        if chance.random() < 0.1:
            outputs.append(f"src/shared{chance.randrange(max(1, count // 50))}.py")
        hours = chance.choice((0.5, 1.0, 2.0, 3.0, 4.0, 8.0))
        phases.append(PhaseInfo(str(number), f"phase {number}", tuple(needs), tuple(outputs), hours))
    return phases


def timed(work: Callable[[], _T], times: int) -> tuple[float, _T]:
    """The best time of several, and the result."""
    best = float("inf")
    for _ in range(times):
        start = perf_counter()
        result = work()
        best = min(best, perf_counter() - start)
    return best, result


def measure(count: int) -> dict[str, float]:
    """Seconds by step."""
    times = 3 if count <= 20_000 else 1
    phases = layered_plan(count)
    one_file = [PhaseInfo(str(number), "x", outputs=("README.md",)) for number in range(count)]
    found: dict[str, float] = {}
    found["graph"], graph = timed(lambda: DependencyGraph.of(phases), times)
    found["layers"], _ = timed(lambda: DependencyGraph.of(phases).layers(), times)
    found["layers"] = max(0.0, found["layers"] - found["graph"])
    estimates = Estimates.of(graph)
    found["critical path"], urgency = timed(lambda: priorities(graph, estimates.durations), times)
    critical_path(graph, urgency)
    names = list(graph.nodes)
    durations, ranks = [estimates.durations[name] for name in names], [urgency[name] for name in names]
    found["claims"], load = timed(lambda: Workload.of(graph, durations, ranks), times)
    found["simulation, 8 agents"], _ = timed(lambda: simulate(load, 8), times)
    found["analyse, all agents"], analysis = timed(lambda: analyse(graph, agents=8), times)
    found["conflicts"], conflicts = timed(lambda: find_conflicts(graph), times)
    found["conflicts, one file"], _ = timed(lambda: find_conflicts(DependencyGraph.of(one_file)), times)
    plan = Plan("benchmark", "plan", tuple(phases))
    found["check, conflicts known"], _ = timed(lambda: check(plan, None, conflicts), times)
    found["text"], _ = timed(lambda: plan_text(plan, analysis), times)
    found["json"], _ = timed(lambda: plan_json(plan, analysis), times)
    if count <= LARGEST_PICTURE:
        found["svg"], _ = timed(lambda: plan_svg(plan, analysis), times)
    return found


def main() -> None:
    """Print the table."""
    sizes = [int(argument) for argument in sys.argv[1:]] or list(SIZES)
    table = {size: measure(size) for size in sizes}
    print(f"{'seconds':24}" + "".join(f"{size:>12,}" for size in sizes))
    for step in dict.fromkeys(step for found in table.values() for step in found):
        cells = (f"{found[step]:12.3f}" if step in found else f"{'-':>12}" for found in table.values())
        print(f"{step:24}" + "".join(cells))


if __name__ == "__main__":
    main()
