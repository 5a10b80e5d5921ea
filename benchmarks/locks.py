"""How fast, how fair and how quick after a death: wavecrew's locks beside flock, filelock, fasteners and portalocker.

Every lock guards one file of one folder on a real disk; each is used as its own documentation shows, with its default
pauses. wavecrew's state is synced at every commit. In contention each holder keeps the lock for a millisecond and asks
again at once. The locks take turns, three rounds, medians count. Run it with `python benchmarks/locks.py [seconds]`;
what is not installed is said and left out (`pip install filelock fasteners portalocker`).
"""

from __future__ import annotations

import fcntl
import importlib
import multiprocessing
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOLD_SECONDS = 0.001
ROUNDS = 3
KILLS = 7
PATIENCE = 20.0
_FORK = multiprocessing.get_context("fork")

Pair = tuple[Callable[[], object], Callable[[], object]]
"""How a process that has prepared itself acquires and releases."""


def wavecrew_lock(folder: Path) -> Pair:
    from wavecrew.core.lock_registry import Grant
    from wavecrew.core.resource_manager import LockRegistry

    registry = LockRegistry.open(folder)
    owner, claims = registry.owner(f"pid {os.getpid()}"), registry.claims(["file"])
    held: list[Grant] = []
    return (
        lambda: held.append(registry.acquire(owner, claims, timeout=PATIENCE)),
        lambda: registry.release(held.pop()),
    )


def flock(folder: Path) -> Pair:
    descriptor = os.open(folder / "file", os.O_RDWR | os.O_CREAT)
    return lambda: fcntl.flock(descriptor, fcntl.LOCK_EX), lambda: fcntl.flock(descriptor, fcntl.LOCK_UN)


def filelock(folder: Path) -> Pair:
    lock: Any = importlib.import_module("filelock").FileLock(folder / "file", timeout=PATIENCE)
    return lock.acquire, lock.release


def fasteners(folder: Path) -> Pair:
    lock: Any = importlib.import_module("fasteners").InterProcessLock(str(folder / "file"))
    return lock.acquire, lock.release


def portalocker(folder: Path) -> Pair:
    lock: Any = importlib.import_module("portalocker").Lock(str(folder / "file"), timeout=PATIENCE)
    return lock.acquire, lock.release


KINDS: dict[str, Callable[[Path], Pair]] = {
    "wavecrew": wavecrew_lock,
    "flock": flock,
    "filelock": filelock,
    "fasteners": fasteners,
    "portalocker": portalocker,
}


def installed(name: str) -> bool:
    try:
        return name == "flock" or bool(importlib.import_module(name))
    except ImportError:
        return False


@dataclass
class Figures:
    """What was measured of one lock, one entry for each round (or kill)."""

    alone: list[float] = field(default_factory=list)
    shared: dict[int, list[float]] = field(default_factory=dict)
    waits: dict[int, list[float]] = field(default_factory=dict)
    jain: dict[int, list[float]] = field(default_factory=dict)
    least: dict[int, list[float]] = field(default_factory=dict)
    after_death: list[float] = field(default_factory=list)


def alone(make: Callable[[Path], Pair], folder: Path, seconds: float) -> float:
    """Acquire and release, over and over, with nobody else there: times per second."""
    acquire, release = make(folder)
    count, begin = 0, time.perf_counter()
    while time.perf_counter() < begin + seconds:
        acquire()
        release()
        count += 1
    return count / (time.perf_counter() - begin)


def _contender(make: Callable[[Path], Pair], folder: Path, begin: float, seconds: float, out: Any) -> None:
    acquire, release = make(folder)
    waits: list[float] = []
    time.sleep(max(0.0, begin - time.time()))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        asked = time.perf_counter()
        try:
            acquire()
        except Exception:  # its patience is over; that is a result too
            break
        waits.append(time.perf_counter() - asked)
        time.sleep(HOLD_SECONDS)
        release()
    out.send(waits)


def together(make: Callable[[Path], Pair], folder: Path, seconds: float, processes: int) -> list[list[float]]:
    """The waits of each process."""
    begin = time.time() + 0.5
    pipes = [_FORK.Pipe(duplex=False) for _ in range(processes)]
    workers = [_FORK.Process(target=_contender, args=(make, folder, begin, seconds, out)) for _, out in pipes]
    for worker in workers:
        worker.start()
    waits: list[list[float]] = [inbox.recv() for inbox, _ in pipes]
    for worker in workers:
        worker.join()
    return waits


def jain(counts: list[int]) -> float:
    """Jain's index: 1 when all have the same, 1/n when one has everything."""
    squares = sum(count * count for count in counts)
    return sum(counts) ** 2 / (len(counts) * squares) if squares else 0.0


def _hold_for_ever(make: Callable[[Path], Pair], folder: Path, out: Any) -> None:
    acquire, _release = make(folder)  # kept, because some locks are given back with the object
    acquire()
    out.send(None)
    time.sleep(600)


def _take_once(make: Callable[[Path], Pair], folder: Path, out: Any) -> None:
    acquire, release = make(folder)
    out.send(None)
    acquire()
    out.send(time.monotonic())
    release()


def after_death(make: Callable[[Path], Pair], folder: Path) -> float:
    """Seconds from the kill -9 of a holder to the moment at which the one who waits has the lock."""
    hears, tells = _FORK.Pipe(duplex=False)
    holder = _FORK.Process(target=_hold_for_ever, args=(make, folder, tells))
    holder.start()
    hears.recv()
    waiter = _FORK.Process(target=_take_once, args=(make, folder, tells))
    waiter.start()
    hears.recv()
    time.sleep(0.3)  # it waits by now
    assert holder.pid is not None
    killed = time.monotonic()
    os.kill(holder.pid, signal.SIGKILL)
    got = float(hears.recv()) if hears.poll(PATIENCE) else float("inf")
    holder.join()
    waiter.kill()
    waiter.join()
    return got - killed


def measure(names: list[str], base: Path, seconds: float) -> dict[str, Figures]:
    found = {name: Figures() for name in names}
    for round_number in range(ROUNDS):
        for name in names:
            folder = base / f"{name}-{round_number}"
            folder.mkdir()
            figures, make = found[name], KINDS[name]
            figures.alone.append(alone(make, folder, seconds))
            for processes in (2, 8):
                waits = together(make, folder, seconds, processes)
                counts = [len(one) for one in waits]
                figures.shared.setdefault(processes, []).append(sum(counts) / seconds)
                figures.waits.setdefault(processes, []).extend(wait for one in waits for wait in one)
                figures.jain.setdefault(processes, []).append(jain(counts))
                figures.least.setdefault(processes, []).append(min(counts) / (sum(counts) / processes or 1))
    for _ in range(KILLS):
        for name in names:
            found[name].after_death.append(after_death(KINDS[name], base / f"{name}-0"))
    return found


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def row(name: str, figures: Figures) -> str:
    cells = [name, f"{statistics.median(figures.alone):,.0f}"]
    for processes in (2, 8):
        waits = figures.waits[processes]
        cells.append(f"{statistics.median(figures.shared[processes]):,.0f}")
        cells.append(f"{_quantile(waits, 0.5) * 1e3:.1f} / {_quantile(waits, 0.99) * 1e3:.0f}")
    cells.append(f"{statistics.median(figures.jain[8]):.2f}")
    cells.append(f"{statistics.median(figures.least[8]):.2f}")
    cells.append(f"{statistics.median(figures.after_death) * 1e3:.0f}")
    return f"| {' | '.join(cells)} |"


HEAD = """\
| lock | alone /s | 2 processes /s | wait p50 / p99 ms | 8 processes /s | wait p50 / p99 ms | Jain (8) | least share | \
kill -9 to next, ms |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    names = [name for name in KINDS if installed(name)]
    for name in KINDS.keys() - set(names):
        print(f"{name}: not installed")
    base = Path(tempfile.mkdtemp(prefix="locks-", dir=Path.cwd()))
    try:
        found = measure(names, base, seconds)
    finally:
        shutil.rmtree(base)
    print(HEAD)
    for name in names:
        print(row(name, found[name]))


if __name__ == "__main__":
    main()
