"""What processes of a test do beside running wavecrew: prologues that bend the world, and actors of their own."""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wavecrew.core import lock_registry, lock_table
from wavecrew.core.engine import Engine
from wavecrew.core.liveness import Liveness
from wavecrew.core.lock_registry import Grant
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.store import Store
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import LockError, LockTimeoutError, WavecrewError
from wavecrew.models.resources import Claim, parse_resource

# -- those who take locks -----------------------------------------------------------------------------------------

COVERS = {
    "a/": "a/x.py a/y.txt a/b/x.py a/b/z.md",
    "a/x.py": "a/x.py",
    "a/b/": "a/b/x.py a/b/z.md",
    "a/b/x.py": "a/b/x.py",
    "a/b/z.md": "a/b/z.md",
    "a/*.py": "a/x.py",
    "**/x.py": "a/x.py a/b/x.py x.py",
    "x.py": "x.py",
    "port:1": "port:1",
}
"""Every claim that is asked for, with all that it covers in a world of five files and a port. It is the test's own
word on what collides."""


class Diary:
    """What a taker of locks has to say, line by line, in one write each, so that a kill cannot tear it."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, sign: str, wanted: Iterable[tuple[str, bool]], grant: Grant) -> None:
        line = [sign, time.monotonic(), grant.ticket, grant.fence, [list(one) for one in wanted]]
        os.write(self._descriptor, (json.dumps(line) + "\n").encode())


def claims_of(registry: LockRegistry, wanted: Iterable[tuple[str, bool]]) -> list[Claim]:
    return [Claim(registry.keys.key(text), exclusive) for text, exclusive in wanted]


def take_at_random(workspace: str, diary: str, seed: int, seconds: float) -> None:
    """Random sets, shared and exclusive, held for a moment."""
    chance, note, registry = random.Random(seed), Diary(diary), LockRegistry.open(workspace)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        wanted = [(text, chance.random() < 0.5) for text in chance.sample(sorted(COVERS), chance.randint(1, 3))]
        grant = registry.acquire(registry.owner("taker"), claims_of(registry, wanted), timeout=60)
        note.note("+", wanted, grant)
        time.sleep(chance.random() * 0.004)
        note.note("-", wanted, grant)
        registry.release(grant)
        if chance.random() < 0.2:
            time.sleep(chance.random() * 0.02)


def take_in_turns(workspace: str, diary: str, wanted: list[tuple[str, bool]], times: int, begin: str) -> None:
    """The same set again and again, as soon as the file `begin` is there."""
    note, registry = Diary(diary), LockRegistry.open(workspace)
    while not os.path.exists(begin):
        time.sleep(0.002)
    for _ in range(times):
        grant = registry.acquire(registry.owner("taker"), claims_of(registry, wanted), timeout=60)
        note.note("+", wanted, grant)
        time.sleep(0.001)
        note.note("-", wanted, grant)
        registry.release(grant)


def take_more(workspace: str, diary: str, seed: int, rounds: int, begin: str) -> None:
    """Take one, then another while holding it, as deadlocks are made; when refused, give up all and try again."""
    chance, registry = random.Random(seed), LockRegistry.open(workspace)
    refused = done = 0
    while not os.path.exists(begin):
        time.sleep(0.002)
    while done < rounds:
        owner, held = registry.owner(f"taker {seed}"), []
        try:
            for name in chance.sample("abc", 2):
                held.append(registry.acquire(owner, [Claim(parse_resource(name), chance.random() < 0.8)], timeout=60))
                time.sleep(0.002)
            done += 1
        except LockTimeoutError:
            break
        except LockError:
            refused += 1
        for grant in held:
            registry.release(grant)
    with open(diary, "w", encoding="ascii") as file:
        json.dump({"done": done, "refused": refused}, file)


def wish_for(workspace: str, kind: str, phases: list[str], hard: bool) -> None:
    """Want something of the run, as a user in another terminal would."""
    from wavecrew.api.control import ask

    folder = Path(workspace)
    with Store.open(folder) as store:
        wish = Wish(kind=WishKind(kind), by="tester", phases=tuple(phases), reason="chaos", hard=hard)
        try:
            ask(store, folder, "r1", wish)
        except WavecrewError as error:
            sys.stderr.write(f"{error.reason}\n")
            sys.exit(error.exit_code)


# -- a world with less room, or another time ------------------------------------------------------------------------


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def very_few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))


def small_files() -> None:
    """No file may grow beyond CHAOS_LIMIT bytes: for the database that is a full disk."""
    limit = int(os.environ["CHAOS_LIMIT"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def jumping_clock() -> None:
    """The clock is put by CHAOS_JUMP seconds as soon as the file CHAOS_JUMP_AT exists."""
    jump, at, real = float(os.environ["CHAOS_JUMP"]), os.environ["CHAOS_JUMP_AT"], time.time

    def clock() -> float:
        return real() + (jump if os.path.exists(at) else 0.0)

    time.time = clock
    Engine.__init__.__kwdefaults__["clock"] = clock


# -- wavecrew, broken on purpose: whoever checks must see it --------------------------------------------------------


def _filtered(keep: Any) -> None:
    near = lock_table._near

    def broken(tx: Any, resource: Any, ticket: int, owner: str) -> Any:
        mine = lock_table._prefix(resource)
        return [row for row in near(tx, resource, ticket, owner) if keep(mine, row)]

    lock_table._near = broken


def _prefix_of(row: Any) -> str:
    return lock_table._prefix(parse_resource(row[5]))


def without_ancestors() -> None:
    _filtered(lambda mine, row: not mine.startswith(f"{_prefix_of(row)}/"))


def without_subtrees() -> None:
    _filtered(lambda mine, row: not _prefix_of(row).startswith(f"{mine}/"))


def with_everybody_dead() -> None:
    lock_registry.owner_liveness = lambda owner: Liveness.DEAD


def without_a_queue() -> None:
    _filtered(lambda mine, row: row[3] == 1)


def without_ring_check() -> None:
    lock_table.closes_a_ring = lambda tx, ticket: None
