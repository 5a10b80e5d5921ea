"""How well real plans are read: scores per plan against facts that people wrote down.

What it does: reads every plan of a corpus (`facts.json` files beside the documents) and counts which phases,
dependencies, waves, names, estimates and outputs agree with the facts. `python benchmarks/corpus.py A B -v`.
What it does not know: how plans are read.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wavecrew.errors import WavecrewError
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.plan import Plan
from wavecrew.plans.reader import read_plan

MEASURES = ("ids", "deps", "waves", "names", "hours", "outputs")


@dataclass
class Score:
    """What agrees with the facts of one plan; counted measures are (right, all)."""

    plan_id: str
    right: dict[str, bool] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether waves and dependencies are those of the facts."""
        return self.right.get("deps", False) and self.right.get("waves", False)


def corpus_folder() -> Path | None:
    """The corpus: the folder in WAVECREW_CORPUS, else `../shared/corpus` beside the checkout, if there is one."""
    named = os.environ.get("WAVECREW_CORPUS")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "corpus"
    return folder if folder.is_dir() else None


def plans(folder: Path, formats: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every plan of the formats (letters) with the folder that its paths are relative to."""
    for facts in sorted(folder.glob("*/*/facts.json")):
        for plan in json.loads(facts.read_text(encoding="utf-8"))["plans"]:
            if plan["format"][0] in formats:
                yield facts.parent, plan


def path_of(root: Path, plan: dict[str, Any]) -> Path:
    """The document or folder that a plan is read from."""
    files = sorted({item.get("file") or plan["source"]["paths"][0] for item in plan["items"]})
    if len(files) == 1:
        return root / str(files[0])
    return root / str(os.path.commonpath([os.path.dirname(file) for file in files]))


def score(root: Path, plan: dict[str, Any]) -> Score:
    """Read one plan and compare it with its facts."""
    result = Score(plan["plan_id"])
    started = time.perf_counter()
    try:
        read = read_plan(path_of(root, plan))
    except WavecrewError as error:
        result.differences.append(f"not read: {error}")
        result.right = dict.fromkeys(MEASURES, False)
        return result
    result.seconds = time.perf_counter() - started
    _compare(result, plan, read)
    return result


def _compare(result: Score, plan: dict[str, Any], read: Plan) -> None:
    items, expected = plan["items"], plan["expected"]
    have = {phase.id for phase in read.phases}
    want = {item["id"] for item in items}
    result.right["ids"] = have == want
    if have != want:
        result.differences.append(f"ids: missing {sorted(want - have)[:12]}, extra {sorted(have - want)[:12]}")
    waves = [sorted(layer) for layer in read.graph.layers()]
    accepted = [expected.get("waves")] + [other["waves"] for other in expected.get("accepted_alternatives", [])]
    result.right["waves"] = waves in [
        sorted_waves for option in accepted if option for sorted_waves in [[sorted(wave) for wave in option]]
    ]
    if not result.right["waves"]:
        result.differences.append(f"waves: {waves} instead of {accepted[0]}")
    _compare_dependencies(result, items, read, read.graph.layers(), expected)
    pairs = list(_pairs(items, read.phases))
    _count(
        result,
        "names",
        [_same_name(item, phase) for item, phase in pairs],
        [f"{item['name']!r} / {phase.name!r}" for item, phase in pairs],
    )
    _count_hours(result, pairs)
    _count_outputs(result, pairs)


def _compare_dependencies(
    result: Score, items: list[dict[str, Any]], read: Plan, layers: Any, expected: dict[str, Any]
) -> None:
    want: dict[str, set[str]] = {}
    for item in items:
        want.setdefault(item["id"], set()).update(item["depends_on"])
    have: dict[str, set[str]] = {}
    for phase in read.phases:
        have.setdefault(phase.id, set()).update(phase.dependencies)
    wrong = [
        f"{name}: {sorted(have.get(name, ()))} instead of {sorted(found)}"
        for name, found in want.items()
        if have.get(name, set()) != found
    ]
    other_reading = [sorted(wave) for wave in layers] in [
        [sorted(w) for w in o["waves"]] for o in expected.get("accepted_alternatives", [])
    ]
    result.right["deps"] = not wrong or other_reading
    if not result.right["deps"]:
        result.differences.append("deps: " + "; ".join(wrong[:8]))


def _pairs(items: list[dict[str, Any]], phases: tuple[PhaseInfo, ...]) -> Iterator[tuple[dict[str, Any], PhaseInfo]]:
    left = list(phases)
    for item in items:
        fitting = [phase for phase in left if phase.id == item["id"]]
        if fitting:
            best = next(
                (phase for phase in fitting if phase.source and phase.source.file.endswith(item.get("file") or "\n")),
                fitting[0],
            )
            left.remove(best)
            yield item, best


def _same_name(item: dict[str, Any], phase: PhaseInfo) -> bool:
    return phase.name.strip() in [name.strip() for name in (item["name"], *item.get("name_alternatives", []))]


def _count_hours(result: Score, pairs: list[tuple[dict[str, Any], PhaseInfo]]) -> None:
    right, words = [], []
    for item, phase in pairs:
        low, high = item.get("hours_min"), item.get("hours_max")
        middle = None if low is None else (low + high) / 2
        right.append(
            phase.estimated_time == middle
            if middle is None or phase.estimated_time is None
            else abs(phase.estimated_time - middle) < 1e-6
        )
        words.append(f"{item['id']}: {phase.estimated_time} instead of {middle} ({item.get('estimate_raw')})")
    _count(result, "hours", right, words)


def _count_outputs(result: Score, pairs: list[tuple[dict[str, Any], PhaseInfo]]) -> None:
    right, words = [], []
    for item, phase in pairs:
        if item["outputs"] is None if "outputs" in item else True:
            continue
        want = {_plain_path(path) for path in item["outputs"]}
        have = {*phase.outputs}
        right.append(have == want)
        words.append(f"{item['id']}: missing {sorted(want - have)[:5]} extra {sorted(have - want)[:5]}")
    _count(result, "outputs", right, words)


def _plain_path(path: str) -> str:
    return path.removesuffix(" (new)").removeprefix("./").lstrip("/")


def _count(result: Score, measure: str, right: list[bool], words: list[str]) -> None:
    result.counts[measure] = (sum(right), len(right))
    result.differences.extend(f"{measure}: {word}" for ok, word in zip(right, words, strict=True) if not ok)


def main(arguments: list[str]) -> int:
    """Print a line per plan and the totals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=["A", "B"])
    parser.add_argument("-v", "--verbose", action="store_true", help="show every difference")
    parser.add_argument("-p", "--plan", default="", help="only plans whose id contains this")
    options = parser.parse_args(arguments)
    folder = corpus_folder()
    if folder is None:
        print("no corpus here; set WAVECREW_CORPUS")
        return 4
    scores = [
        score(root, plan) for root, plan in plans(folder, "".join(options.formats)) if options.plan in plan["plan_id"]
    ]
    for found in scores:
        marks = " ".join(
            f"{measure}:{'ok' if found.right.get(measure) else '--'}" for measure in ("ids", "deps", "waves")
        )
        counted = " ".join(f"{measure}:{right}/{total}" for measure, (right, total) in found.counts.items())
        print(f"{'ok ' if found.good else 'BAD'} {found.plan_id:38} {marks} {counted} {found.seconds * 1000:.0f} ms")
        if options.verbose:
            for line in found.differences:
                print(f"      {line}")
    good = sum(found.good for found in scores)
    print(f"{good} of {len(scores)} plans right in waves and dependencies")
    for measure in ("names", "hours", "outputs"):
        right = sum(found.counts.get(measure, (0, 0))[0] for found in scores)
        total = sum(found.counts.get(measure, (0, 0))[1] for found in scores)
        print(f"  {measure}: {right} of {total}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
