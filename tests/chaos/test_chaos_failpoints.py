"""Every call by which coordinator, nursery, shim or step touches the world, failing or fatal, one by one."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import chaos_faults
import pytest
from chaos_invariants import check, check_finished
from chaos_sizes import LONG, PART, PARTS
from chaos_world import DIAMOND, Phase, World, Zygote, until, world_of

PLAN = tuple(Phase(one.name, one.needs, one.resource, 0.01) for one in DIAMOND)
SLICES = 8
NAMES = [f"{'long' if LONG else f'third {PART}'}-{number}" for number in range(SLICES)]
"""The form stands in the name of each test, because a header is not shown by quiet runs on several cores."""
GOOD_CODES = {0, 1, 3, 8, -9}
"""Done; a phase failed; no plan, no state; killed. Never 70: that would be a bug of ours."""


def traced(world: World, name: str) -> list[str]:
    return list(dict.fromkeys(world.lines(name)))


def chosen(keys: Sequence[str]) -> list[str]:
    """The long form takes every point. The short form takes a third of the distinct ones: the first and the last
    time that each line is passed, and of the six shims, which are alike, those of two phases."""
    if LONG:
        return list(keys)
    last = {key.rpartition("|")[0]: key for key in keys}
    edges = [key for key in keys if key.endswith("|1") or last[key.rpartition("|")[0]] == key]
    alike = ("shim b", "shim d", "shim e", "shim f")
    return [key for key in edges if not key.startswith(alike) and zlib.crc32(key.encode()) // SLICES % PARTS == PART]


def of_slice(keys: Iterable[str], number: int) -> list[str]:
    """By the name of a point and not by its place, so that all workers agree whatever each of them has seen."""
    return [key for key in keys if zlib.crc32(key.encode()) % SLICES == number]


class Bench:
    """Tries points and keeps what went wrong."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote = zygote
        self.wrong: list[str] = []
        self.codes: Counter[int] = Counter()
        self.fired = 0
        self.tried = 0

    def attempt(self, key: str, kind: str, run: Callable[[World, dict[str, str]], int]) -> None:
        self.tried += 1
        try:
            with world_of(self.zygote, PLAN) as world:
                fired = world.base / "fired"
                code = run(world, {"key": key, "kind": kind, "fired": str(fired)})
                self.codes[code] += 1
                self.fired += fired.exists()
                told = "".join(one.told for one in world.started)
                assert code in GOOD_CODES, f"exit code {code}: {told}"
                assert "Traceback" not in told, told
                check(world)
                code = world.finish()
                assert code == 0, f"it did not finish: {code} {world.started[-1].told}"
                check_finished(world)
        except Exception as error:  # any failure is one of the point: all are tried, then all are told
            told = "".join(one.told for one in world.started if one.told)
            self.wrong.append(f"{key} {kind}: {error!r:.1500} {told if 'traceback' in told else ''}")

    def report(self, figure: Callable[..., None]) -> None:
        figure(points=self.tried, fired=self.fired, wrong=len(self.wrong), codes=dict(self.codes))
        again = "" if LONG else f"; again with WAVECREW_CHAOS_PART={PART}"
        assert not self.wrong, f"{len(self.wrong)} of {self.tried}{again}:\n" + "\n".join(self.wrong)
        # how often somebody looks for wishes or messages differs from run to run, so some last times never come
        assert self.fired >= self.tried * 0.5, f"only {self.fired} of {self.tried} points were reached{again}"


def start_with(world: World, faults: dict[str, str]) -> int:
    return world.start(faults=faults).end()


@pytest.fixture(scope="session")
def points(zygote: Zygote) -> list[str]:
    """The points of an undisturbed run."""
    with world_of(zygote, PLAN) as world:
        assert world.start(faults={"trace": str(world.base / "trace")}).end() == 0
        check_finished(world)
        return traced(world, "trace")


@pytest.mark.parametrize("number", range(SLICES), ids=NAMES)
def test_at_every_point_of_a_run(zygote: Zygote, points: list[str], number: int, figure: Callable[..., None]) -> None:
    bench = Bench(zygote)
    for key in of_slice(chosen(points), number):
        for kind in chaos_faults.kinds_of(key):
            bench.attempt(key, kind, start_with)
    bench.report(figure)


def test_the_enumeration_finds_every_kind_of_place(points: list[str]) -> None:
    """A fault that is put where nobody passes tests nothing."""
    found = {(key.split("|")[0].split()[0].partition(".")[0], key.split("|")[1].split()[0]) for key in points}
    assert {
        ("coordinator", "sql:COMMIT"),
        ("coordinator", "Popen"),
        ("coordinator", "send"),
        ("coordinator", "fdopen.write"),
        ("nursery", "fork"),
        ("shim", "rename"),
        ("shim", "fsync"),
        ("shim", "fork"),
    } <= found


# -- again, while a run that was left is taken up -----------------------------------------------------------------


def leave_in_the_middle(world: World) -> None:
    """A coordinator that is killed when some phases are done and others at work; one shim is killed as well."""
    first = world.start()
    until(lambda: sum(line.startswith("-") for line in world.lines("ran")) >= 2, "two phases done")
    first.kill()


@pytest.fixture(scope="session")
def recovery_points(zygote: Zygote) -> list[str]:
    """The points of a coordinator that takes a run up, from several runs, because each is left elsewhere."""
    found: dict[str, None] = {}
    for _ in range(3):
        with world_of(zygote, PLAN) as world:
            leave_in_the_middle(world)
            world.start(faults={"trace": str(world.base / "trace")}, role="recovery").end()
            found |= dict.fromkeys(key for key in traced(world, "trace") if key.startswith("recovery"))
    return list(found)


def recover_with(world: World, faults: dict[str, str]) -> int:
    leave_in_the_middle(world)
    check(world)
    code = world.start(faults=faults, role="recovery").end()
    check(world)
    if code == -9:  # killed in the middle of recovery: recover again, and be killed again a moment later
        again = world.start()
        again.kill()
        check(world)
    return code


@pytest.mark.skipif(not LONG and PART != 0, reason="long form, or the first third")
@pytest.mark.parametrize("number", range(SLICES), ids=NAMES)
def test_at_every_point_of_a_recovery(
    zygote: Zygote, recovery_points: list[str], number: int, figure: Callable[..., None]
) -> None:
    bench = Bench(zygote)
    keys = of_slice(chosen(recovery_points), number)
    for key in keys if LONG else keys[:3]:
        for kind in chaos_faults.kinds_of(key):
            bench.attempt(key, kind, recover_with)
    if bench.tried:
        figure(points=bench.tried, fired=bench.fired, wrong=len(bench.wrong), codes=dict(bench.codes))
    assert not bench.wrong, "\n".join(bench.wrong)


def test_the_checker_can_fail(zygote: Zygote, tmp_path: Path) -> None:
    """Each thing that must never be, made by hand: the checker has to see it."""
    with world_of(zygote, PLAN) as world:
        assert world.finish() == 0
        check_finished(world)
        ran = (world.base / "ran").read_text()
        spoilt = {
            "I2": lambda: (world.base / "ran").write_text(ran + "+ a 1 1.0\n"),
            "I6": lambda: (world.base / "ran").write_text(ran.replace("+ d 1 1", "+ d 1 0")),
            "I3": lambda: (world.base / "violations").write_text("two living trees of phase a\n"),
            "I7": lambda: (world.base / "said" / "a.1").write_text("never written\n"),
            "I8": lambda: (world.attempt("a") / "exit").unlink(),
            "I10": lambda: (world.workspace / "d.txt").write_text("made by nobody\n"),
        }
        kept = {path: path.read_bytes() for path in world.base.rglob("*") if path.is_file()}
        for name, spoil in spoilt.items():
            spoil()
            with pytest.raises(AssertionError, match=name):
                check_finished(world)
            (world.base / "violations").unlink(missing_ok=True)
            for path, content in kept.items():
                path.write_bytes(content)
        check_finished(world)
