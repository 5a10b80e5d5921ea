"""Real plans of other people: at least nine of ten must be read as their facts say, in waves and dependencies."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).parents[1] / "benchmarks" / "corpus.py"
_SPEC = importlib.util.spec_from_file_location("corpus_benchmark", _PROGRAM)
assert _SPEC is not None
assert _SPEC.loader is not None
corpus = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = corpus
_SPEC.loader.exec_module(corpus)

FOLDER = corpus.corpus_folder()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="no corpus of plans here; set WAVECREW_CORPUS to its folder")


@pytest.mark.parametrize("formats", ["AB", "C", "D", "E", "F", "G"])
def test_plans_are_read_as_their_facts_say(formats: str) -> None:
    scores = [corpus.score(root, plan) for root, plan in corpus.plans(FOLDER, formats)]
    wrong = [score for score in scores if not score.good]
    report = "\n".join(f"{score.plan_id}: {line}" for score in wrong for line in score.differences[:3])
    allowed = 0.1 if formats != "C" else 0.2
    assert scores
    assert len(wrong) <= allowed * len(scores), report


@pytest.mark.parametrize(("measure", "share"), [("names", 0.95), ("hours", 0.98), ("outputs", 0.95)])
def test_names_times_and_files_of_phase_documents(measure: str, share: float) -> None:
    scores = [corpus.score(root, plan) for root, plan in corpus.plans(FOLDER, "AB")]
    right = sum(score.counts[measure][0] for score in scores)
    total = sum(score.counts[measure][1] for score in scores)
    assert right >= share * total


def test_faults_made_by_hand_are_seen(tmp_path: Path) -> None:
    """The corpus names small changes to real documents, each of which closes a ring of dependencies."""
    seen = 0
    for root, plan in corpus.plans(FOLDER, "AB"):
        for number, mutation in enumerate(plan.get("mutations", [])):
            copy = tmp_path / f"{plan['plan_id']}-{number}"
            for path in plan["source"]["paths"]:
                target = copy / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((root / path).read_bytes())
            changed = copy / mutation["file"]
            text = changed.read_text(encoding="utf-8")
            assert mutation["find"] in text
            changed.write_text(text.replace(mutation["find"], mutation["replace"], 1), encoding="utf-8")
            found = corpus.read_plan(corpus.path_of(copy, plan)).graph.cycles()
            cycles = [sorted(set(ring)) for ring in found]
            for ring in mutation["expected"].get("cycles", []):
                assert any(set(cycle) <= set(ring) for cycle in cycles), plan["plan_id"]
                seen += 1
    assert seen
