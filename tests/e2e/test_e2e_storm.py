"""Storms: big random plans on real git, eight agents at once, and not one line may be lost.

Plans come from a seed. In one kind all phases commute, so the result has to be the very tree that the same plan makes
when its phases follow each other. In the other they write to the same lines without saying so: what is COMPLETED has to
be in the result whole, and what is FAILED on its branch. WAVECREW_CHAOS=long goes through ten seeds of each kind.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from repo import Repo, work
from sandbox import Sandbox

LONG = os.environ.get("WAVECREW_CHAOS") == "long"
SEEDS = range(10)
CALM_SEEDS, CLASH_SEEDS = (SEEDS, SEEDS) if LONG else ((3,), (3, 4))
PHASES, AGENTS = 30, 8
APART = 12
"""Lines between two places of the wide file, so that no edit is in the context of another."""

Make = Callable[[str], Sandbox]


def _repo(box: Sandbox) -> Repo:
    repo = Repo(box)
    wide = "".join(f"line {number}\n" for number in range(PHASES * APART))
    hot = "".join(f"hot {number}:\n" for number in range(6))
    shared = {f"shared/{number}.txt": "" for number in range(4)}
    old = {f"old/p{number}": f"old {number}\n" * 20 for number in range(PHASES)}
    repo.begin({"wide.txt": wide, "hot.txt": hot, **shared, **old})
    return repo


def _needs(chance: random.Random, number: int) -> list[str]:
    earlier = range(max(0, number - 12), number)
    return [f"p{one}" for one in sorted(chance.sample(earlier, min(len(earlier), chance.choice((0, 0, 1, 1, 2)))))]


# -- phases that commute ----------------------------------------------------------------------------------------------


def _commuting(seed: int) -> list[dict[str, Any]]:
    """Phases that change the same files, and for which no order is better than another. A line that goes into a file
    which others claim, too, goes to its place in the order of the alphabet; the wide file is claimed by nobody."""
    chance = random.Random(seed)
    made = []
    for number in range(PHASES):
        name = f"p{number}"
        first, lines, writes = f"set -e; mkdir -p new; echo {name} > new/{name}", [""], [f"new/{name}"]
        for shared in chance.sample(range(4), chance.choice((0, 0, 1, 2))):
            file = f"shared/{shared}.txt"
            lines.append(f"echo {name} >> {file}; LC_ALL=C sort -o {file} {file}")
            writes.append(file)
        if chance.random() < 0.5:
            lines.append(f"sed -i '{number * APART + 5}s/$/ by {name}/' wide.txt")
        if chance.random() < 0.3:
            lines.append(chance.choice(_DEEDS).format(n=number))
        if chance.random() < 0.3:
            lines.append(f"git add -A; git commit -q -m 'words of {name}'; echo more >> new/{name}")
        chance.shuffle(lines)
        lines.insert(chance.randrange(len(lines) + 1), f"sleep {chance.choice((0, 0, 0.05, 0.2))}")
        made.append(work(name, "\n".join((first, *lines)), needs=_needs(chance, number)))
        made[-1]["writes"] = writes
    return made


_DEEDS = (
    "git rm -q old/p{n}",
    "mkdir -p moved; git mv old/p{n} moved/p{n}",
    "chmod +x old/p{n}",
    "rm old/p{n}; ln -s ../README old/p{n}",
    "rm old/p{n}; mkdir old/p{n}; echo {n} > old/p{n}/file",
    "printf 'a\\0b\\377{n}' > old/p{n}",
)


def _tree_of(repo: Repo, phases: Sequence[dict[str, Any]], agents: int) -> str:
    repo.plan(*phases)
    done = repo.run("-j", str(agents))
    assert done.code == 0, done
    assert set(repo.box.statuses().values()) == {"COMPLETED"}
    assert repo.worktrees() == 0
    assert repo.git("status", "--porcelain") == ""
    return repo.git("rev-parse", f"{repo.result}^{{tree}}")


@pytest.mark.parametrize("seed", CALM_SEEDS)
def test_a_storm_of_phases_that_commute_makes_the_tree_that_they_make_one_by_one(make_box: Make, seed: int) -> None:
    phases = _commuting(seed)
    storm, calm = _repo(make_box("storm")), _repo(make_box("calm"))

    tree = _tree_of(storm, phases, AGENTS)

    assert tree == _tree_of(calm, phases, 1)
    lines = storm.text("wide.txt").splitlines()
    edits = {one["id"] for one in phases if "wide.txt" in one["command"][2]}
    assert {line.split(" by ")[1] for line in lines if " by " in line} == edits
    _has_all_completed(storm)


# -- phases that do not ------------------------------------------------------------------------------------------------


def _clashing(seed: int) -> list[dict[str, Any]]:
    """Phases that put their names to the ends of the same few lines without claiming the file. Some fail anyway."""
    chance = random.Random(1000 + seed)
    made = []
    for number in range(PHASES):
        name = f"p{number}"
        lines = [f"mkdir -p new; echo {name} > new/{name}"]
        hot = chance.sample(range(1, 7), chance.choice((0, 1, 1, 2)))
        lines += [f"sed -i '{line}s/$/ {name}/' hot.txt" for line in hot]
        lines.append(f"sleep {chance.choice((0, 0.1, 0.4))}")
        if chance.random() < 0.3:
            lines.append(f"git add -A; git commit -q -m 'words of {name}'")
        if chance.random() < 0.07:
            lines.append("exit 1")
        made.append(work(name, "\n".join(lines), needs=_needs(chance, number), writes=[f"new/{name}"]))
    return made


@pytest.mark.parametrize("seed", CLASH_SEEDS)
def test_a_storm_of_phases_that_clash_loses_nothing(box: Sandbox, seed: int) -> None:
    phases, repo = _clashing(seed), _repo(box)
    repo.plan(*phases)

    done = repo.run("-j", str(AGENTS), "--conflict-retry-attempts", str(seed % 3), "--retries", "0")

    statuses = box.statuses()
    assert len(statuses) == PHASES
    completed = {name for name, status in statuses.items() if status == "COMPLETED"}
    failed = {name for name, status in statuses.items() if status == "FAILED"}
    assert repo.events("MergeRefused") or seed % 3, "the plan is to clash"
    assert done.code == (0 if completed == set(statuses) else 1), done
    _has_all_completed(repo)
    _result_is_what_completed_phases_made(repo, phases, completed)
    for name in failed:
        branch = repo.branch(name)
        assert repo.text(f"new/{name}", branch) == f"{name}\n"
        for line, marks in enumerate(_marks(repo, branch)):
            assert (name in marks) == (line in _lines_of(phases, name)), (name, line)
    assert box.wavecrew("verify").code == 0


def _has_all_completed(repo: Repo) -> None:
    """From git alone: every commit that ended a phase is in the result, and its closing commit is found by its name."""
    tip = repo.result
    told = repo.git("log", "--format=%(trailers:key=Wavecrew-Phase,valueonly)", tip).split()
    ends = {one["phase"]: one["commit"] for one in repo.events("AttemptEnded") if one["outcome"] == "succeeded"}
    statuses = repo.box.statuses()
    assert set(ends) == {name for name, status in statuses.items() if status == "COMPLETED"}
    for name, commit in ends.items():
        repo.git("merge-base", "--is-ancestor", commit, tip)  # raises when it is not
        assert name in told


def _result_is_what_completed_phases_made(repo: Repo, phases: Sequence[dict[str, Any]], completed: set[str]) -> None:
    assert {path.removeprefix("new/") for path in repo.files() if path.startswith("new/")} == completed
    for line, marks in enumerate(_marks(repo, repo.result)):
        assert sorted(marks) == sorted(name for name in completed if line in _lines_of(phases, name)), line


def _marks(repo: Repo, commit: str) -> list[list[str]]:
    """The names at the end of each line of the hot file; a name that stands there twice is there twice."""
    return [line.partition(":")[2].split() for line in repo.text("hot.txt", commit).splitlines()]


def _lines_of(phases: Sequence[dict[str, Any]], name: str) -> set[int]:
    script = next(one["command"][2] for one in phases if one["id"] == name)
    return {line for line in range(6) if f"'{line + 1}s/$/" in script}


# -- many at once ------------------------------------------------------------------------------------------------------


def test_fifty_worktrees_start_at_once(box: Sandbox) -> None:
    count, repo = 50, _repo(box)
    (box.home / "here").mkdir()
    wait = f"while [ $(ls $HOME/here | wc -l) -lt {count} ]; do sleep 0.2; done"
    script = f"touch $HOME/here/$WAVECREW_PHASE; {wait}; pwd > $WAVECREW_PHASE"
    repo.plan(*(work(f"p{number}", script, writes=[f"p{number}"]) for number in range(count)))

    done = repo.run("-j", str(count))

    assert done.code == 0, done
    assert sorted(repo.ran()) == sorted(f"p{number} 1" for number in range(count))
    assert len({repo.text(f"p{number}") for number in range(count)}) == count
    assert repo.worktrees() == 0
