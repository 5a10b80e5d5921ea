"""Runs in worktrees: at every start of git, and at every other call of the coordinator, it dies or the call fails."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import chaos_faults
import chaos_git_faults
import pytest
from chaos_git_faults import is_git, is_inside
from chaos_git_invariants import check, check_finished
from chaos_git_world import GitWorld, git_world
from chaos_sizes import LONG, PART, PARTS
from chaos_world import Zygote, until
from test_chaos_failpoints import GOOD_CODES, SLICES, of_slice, traced

from wavecrew.errors import ExitCode

SHARE = 16
"""The short form tries one of sixteen faults of its third."""
NAMES = [f"{'long' if LONG else f'third {PART}'}-{number}" for number in range(SLICES)]
Fault = tuple[str, str]


def kinds_of(key: str) -> tuple[str, ...]:
    """What can go wrong at a point. The pipe by which threads wake the event loop is no business of ours: it only dies
    with the process."""
    if key.split("|")[1] in ("send", "recv") and "|runs.py:" in key:
        return chaos_faults.KINDS[:2]
    return chaos_git_faults.KINDS if is_git(key) else chaos_faults.kinds_of(key)


def faults_at(keys: Sequence[str]) -> list[Fault]:
    """The faults of a coordinator: at each start of git in the long form, and at the first and the last time that each
    line is passed, which the other calls have in both forms, because runs in one folder meet all of those."""
    mine = [key for key in keys if key.startswith(("coordinator|", "recovery|")) and not is_inside(key)]
    last = {key.rpartition("|")[0]: key for key in mine}
    edges = {key for key in mine if key.endswith("|1") or last[key.rpartition("|")[0]] == key}
    found = [(key, kind) for key in mine if key in edges or (LONG and is_git(key)) for kind in kinds_of(key)]
    return found if LONG else [one for one in found if _lot(one) % PARTS == PART]


def _lot(fault: Fault) -> int:
    return zlib.crc32(" ".join(fault).encode()) // SLICES


def share(faults: Iterable[Fault], by: int) -> list[Fault]:
    """A part of the faults; those at git, which the other tests of points do not have, are twice as likely in it."""
    return [one for one in faults if _lot(one) // PARTS % (by if is_git(one[0]) else 2 * by) == 0]


class Bench:
    """Tries faults and keeps what went wrong."""

    def __init__(self, zygote: Zygote, tree: str) -> None:
        self.zygote = zygote
        self.tree = tree
        self.wrong: list[str] = []
        self.codes: Counter[int] = Counter()
        self.fired = self.git = self.tried = 0

    def attempt(self, fault: Fault, run: Callable[[GitWorld, dict[str, str]], int]) -> None:
        self.tried += 1
        key, kind = fault
        world = None
        try:
            with git_world(self.zygote) as world:
                fired = world.base / "fired"
                code = run(world, {"key": key, "kind": kind, "fired": str(fired)})
                self.codes[code] += 1
                self.fired += fired.exists()
                self.git += fired.exists() and is_git(key)
                told = "".join(one.told for one in world.started)
                assert code in {*GOOD_CODES, ExitCode.UNPROVEN}, f"exit code {code}: {told}"
                assert "Traceback" not in told, told
                check(world)
                code = world.finish()
                assert code == 0, f"it did not finish: {code} {world.started[-1].told}"
                check_finished(world, self.tree, refused=kind in ("ENOSPC", "EIO"))
        except Exception as error:  # any failure is one of the point: all are tried, then all are told
            told = "".join(one.told for one in world.started if one.told) if world else ""
            self.wrong.append(f"{key} {kind}: {error!r:.1500} {told if 'traceback' in told else ''}")

    def report(self, figure: Callable[..., None]) -> None:
        figure(points=self.tried, fired=self.fired, at_git=self.git, wrong=len(self.wrong), codes=dict(self.codes))
        again = "" if LONG else f"; again with WAVECREW_CHAOS_PART={PART}"
        assert not self.wrong, f"{len(self.wrong)} of {self.tried}{again}:\n" + "\n".join(self.wrong)


@pytest.fixture(scope="session")
def undisturbed(zygote: Zygote) -> tuple[list[str], str]:
    """The points of an undisturbed run, and the tree that it comes to."""
    with git_world(zygote) as world:
        assert world.start(faults={"trace": str(world.base / "trace")}).end() == 0
        check_finished(world)
        return traced(world, "trace"), world.git("rev-parse", f"{world.result}^{{tree}}").strip()


@pytest.mark.parametrize("number", range(SLICES), ids=NAMES)
def test_at_every_point_of_a_run_in_worktrees(
    zygote: Zygote, undisturbed: tuple[list[str], str], number: int, figure: Callable[..., None]
) -> None:
    keys, tree = undisturbed
    bench = Bench(zygote, tree)
    faults = faults_at(of_slice(keys, number))
    for fault in faults if LONG else share(faults, SHARE):
        bench.attempt(fault, lambda world, faults: world.start(faults=faults).end())
    bench.report(figure)


def test_the_enumeration_finds_every_step_on_the_way_home(undisturbed: tuple[list[str], str]) -> None:
    """A fault that is put where nobody passes tests nothing."""
    verbs = {key.split("|")[1] for key in undisturbed[0] if is_git(key)}
    steps = {"worktree", "read-tree", "add", "write-tree", "commit-tree", "merge-tree", "update-ref", "checkout"}
    assert {f"git:{verb}" for verb in steps} <= verbs
    assert any(key.split("|")[1] == "flock" and "git.py" in key for key in undisturbed[0])


# -- again, while a run that was left is taken up -----------------------------------------------------------------


def leave_in_the_middle(world: GitWorld) -> None:
    """A coordinator that is killed when the work of some phases is in the result, and that of others on its way."""
    first = world.start()
    until(lambda: sum(line.startswith("-") for line in world.lines("ran")) >= 4, "four phases done")
    first.kill()


@pytest.fixture(scope="session")
def recovery(zygote: Zygote) -> list[str]:
    """The points of a coordinator that takes a run up, from several runs, because each is left elsewhere."""
    found: dict[str, None] = {}
    for _ in range(3):
        with git_world(zygote) as world:
            leave_in_the_middle(world)
            world.start(faults={"trace": str(world.base / "trace")}, role="recovery").end()
            found |= dict.fromkeys(key for key in traced(world, "trace") if key.startswith("recovery"))
    return list(found)


def recover_with(world: GitWorld, faults: dict[str, str]) -> int:
    leave_in_the_middle(world)
    check(world)
    code = world.start(faults=faults, role="recovery").end()
    check(world)
    if code == -9:  # killed in the middle of recovery: recover again, and be killed again a moment later
        again = world.start()
        again.kill()
        check(world)
    return code


@pytest.mark.skipif(not LONG and PART != 1, reason="long form, or the second third")
@pytest.mark.parametrize("number", range(SLICES), ids=NAMES)
def test_at_every_point_of_a_recovery_in_worktrees(
    zygote: Zygote, undisturbed: tuple[list[str], str], recovery: list[str], number: int, figure: Callable[..., None]
) -> None:
    bench = Bench(zygote, undisturbed[1])
    faults = faults_at(of_slice(recovery, number))
    for fault in faults if LONG else share(faults, 2 * SHARE):
        bench.attempt(fault, recover_with)
    bench.report(figure)
