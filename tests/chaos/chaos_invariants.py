"""What must be true whatever was killed: one checker over the history, the workspace and the process table.

I1 each phase in one legal state, none lost; I2 no completed phase runs again; I3 one living tree per phase; I4 every
held lock has an open attempt, and no incompatible grants overlap; I5 fences rise; I6 nothing starts before its
dependencies; I7 the log has all that the agent wrote; I8 no success without evidence; I10 the result is that of an
undisturbed run, and nothing is left lying about. (I9, recovery again and again, is what the tests do.)
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from chaos_world import RUN, World, until

from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.resources import Claim, Resource, ResourceKind
from wavecrew.models.stored_events import from_record


@dataclass(frozen=True)
class History:
    """What the database says, read without wavecrew's store: by a connection of our own."""

    events: tuple[Event, ...]
    state: ExecutionState
    requests: tuple[tuple[int, str, int, int], ...]
    """ticket, owner, granted, fence"""
    claims: dict[int, tuple[Claim, ...]]

    def succeeded(self, phase: str) -> int | None:
        """The attempt that completed a phase, if it stands."""
        if self.state.status_of(phase) is not PhaseStatus.COMPLETED:
            return None
        return self.state.phase_states[phase].attempts


def read(world: World) -> History | None:
    """The history as it stands; None before there is one. Folding it event by event is part of I1."""
    file = world.state / "state.db"
    if not file.exists():
        return None
    database = sqlite3.connect(file, timeout=30, isolation_level=None)
    try:
        database.execute("BEGIN")  # one moment: a coordinator that has survived writes on meanwhile
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'event'").fetchone():
            return None
        rows = database.execute("SELECT seq, record FROM event WHERE run = ? ORDER BY seq", (RUN,)).fetchall()
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "I1: a gap in the history"
        events = tuple(from_record(json.loads(row[1])) for row in rows)
        requests = tuple(database.execute("SELECT ticket, owner, granted, fence FROM request ORDER BY ticket"))
        claims: dict[int, tuple[Claim, ...]] = {}
        for ticket, kind, key, exclusive in database.execute("SELECT ticket, kind, key, exclusive FROM claim"):
            claim = Claim(Resource(ResourceKind(kind), key), bool(exclusive))
            claims[ticket] = (*claims.get(ticket, ()), claim)
    finally:
        database.close()
    return History(events, evolve(ExecutionState(), *events), requests, claims)


def check(world: World) -> History | None:
    """What must hold at every moment, also while nobody is in charge."""
    history = read(world)
    if history is None or not history.events:
        return None
    _states(world, history)
    _order(history)
    _locks(world, history)
    _executions(world, history)
    _evidence(world, history)
    return history


def check_finished(world: World, *, done: bool = True) -> History:
    """What must hold once a run has come to its end: all of `check`, the result, and nothing left behind (I10)."""
    history = check(world)
    assert history is not None, "I1: there is no history"
    if done:
        states = history.state.phase_states
        statuses = {name: str(found.status) for name, found in states.items()}
        assert all(found.satisfied for found in states.values()), f"I10: {statuses}"
        assert history.state.end_time is not None, "I10: the end of the run is not on record"
        for name in (name for name in world.phases if statuses[name] == "COMPLETED"):
            for output in world.outputs(name):
                made = world.made(output)
                assert made is not None, f"I10: {output} of phase {name} is not there"
                if not world.phases[name].command:
                    assert made == f"made by {name}\n", f"I10: {output} is not what it should be"
    assert not history.requests, f"I10: locks were left: {history.requests}"
    until(lambda: not world.processes(), f"I10: processes are left: {world.processes()}")
    left = [path for path in world.state.rglob("*") if _is_litter(path)]
    in_charge = [event.pid for event in history.events if isinstance(event, ev.CoordinatorStarted)]
    if world.started[-1].pid != in_charge[-1]:  # it had nothing to do, so the bell of one that was killed still hangs
        left = [path for path in left if path.parent.name != "bells"]
    assert not left, f"I10: left behind: {left}"
    wishes = sqlite3.connect(world.state / "state.db")
    assert wishes.execute("SELECT count(*) FROM wish WHERE answer IS NULL").fetchone() == (0,), "I10: a wish was left"
    wishes.close()
    return history


_HOT_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""How a journal of SQLite begins that has still to be rolled back."""


def _is_litter(path: Path) -> bool:
    if path.name == "state.db-journal":  # what has been carried out has its head overwritten
        return path.read_bytes()[:8] == _HOT_JOURNAL
    return path.is_socket() or path.suffix == ".tmp" or path.name == "env.json"


def _states(world: World, history: History) -> None:
    found = history.state.phase_states
    assert set(found) == set(world.phases), f"I1: phases {sorted(found)} instead of {sorted(world.phases)}"
    for name, phase in found.items():
        ready = all(found[other].satisfied for other in world.phases[name].needs)
        if phase.status is PhaseStatus.NOT_STARTED:
            assert not ready, f"I1: {name} is NOT_STARTED, but nothing is open"
        if phase.status is PhaseStatus.QUEUED:
            assert ready, f"I1: {name} is QUEUED, but its dependencies are open"


def _order(history: History) -> None:
    state, fences = ExecutionState(), [0]
    for event in history.events:
        if isinstance(event, ev.AttemptStarted):
            needs = state.graph.dependencies(event.phase)
            unready = [name for name in needs if not state.phase_states[name].satisfied]
            assert not unready, f"I6: {event.phase} started before {unready}"
            if event.fence:
                fences.append(event.fence)
        if isinstance(event, ev.PhaseReset) and event.by != "tester":
            status = state.status_of(event.phase)
            assert status is not PhaseStatus.COMPLETED, f"I2: {event.phase} was completed, then reset: {event.reason}"
        state = evolve(state, event)
    assert fences == sorted(set(fences)), f"I5: fences {fences}"


def _locks(world: World, history: History) -> None:
    granted = [(ticket, owner) for ticket, owner, held, _ in history.requests if held]
    for ticket, owner in granted:
        run, phase, attempt = owner.split("/")
        assert run == RUN, f"I4: {owner}"
        state = history.state.phase_states[phase]
        at_work = state.status is PhaseStatus.IN_PROGRESS and int(attempt) == state.attempts
        next_up = state.status is PhaseStatus.QUEUED and int(attempt) == state.attempts + 1
        assert at_work or next_up, f"I4: ticket {ticket} of {owner}, which is {state.status} at {state.attempts}"
    for position, (one, _) in enumerate(granted):
        for other, _ in granted[:position]:
            both = [(x, y) for x in history.claims[one] for y in history.claims[other] if x.collides(y)]
            assert not both, f"I4: tickets {one} and {other} overlap: {both[:1]}"
    in_use = [fence for *_, held, fence in history.requests if held]
    assert len(set(in_use)) == len(in_use), f"I5: one fence twice: {in_use}"


def _executions(world: World, history: History) -> None:
    """I2, I3, I4, I6 as the agents saw them."""
    assert not world.lines("violations"), f"I3/I4: {world.lines('violations')}"
    starts: Counter[tuple[str, int]] = Counter()
    begun: dict[str, list[tuple[int, float]]] = {}
    ended: dict[tuple[str, int], float] = {}
    for line in world.lines("ran"):
        words = line.split()
        if len(words) < 3:
            continue  # the last words of one that was killed
        sign, phase, attempt = words[0], words[1], int(words[2])
        unknown = math.inf if sign == "+" else -math.inf  # only the program that tells the time was killed
        at = float(words[3]) if len(words) > 3 else unknown
        if sign == "+":
            starts[phase, attempt] += 1
            begun.setdefault(phase, []).append((attempt, at))
        else:
            ended[phase, attempt] = at
    twice = [key for key, count in starts.items() if count > 1]
    assert not twice, f"I2: one attempt ran twice: {twice}"
    for phase, runs in begun.items():
        proven = history.succeeded(phase)
        late = [attempt for attempt, _ in runs if proven is not None and attempt > proven]
        assert not late, f"I2: {phase} ran again after attempt {proven} had completed it: {late}"
        for other in world.phases[phase].needs:
            done = [at for (name, _), at in ended.items() if name == other]
            if not world.phases[other].command and history.state.phase_states[other].waiver is None:
                assert done, f"I6: {phase} ran, but {other} never ended"
                assert min(at for _, at in runs) >= min(done), f"I6: {phase} ran before {other} had ended"


def _evidence(world: World, history: History) -> None:
    for said in sorted((world.base / "said").iterdir()):
        phase, _, attempt = said.name.rpartition(".")
        told = said.read_bytes().splitlines()  # before the log, because the agent may be at work right now
        log = world.attempt(phase, int(attempt)) / "log"
        text = log.read_bytes() if log.exists() else b""
        lines = iter(text.splitlines())  # a shell may remark between them that somebody killed its child
        lost = [line for line in told if line not in lines]
        assert not lost, f"I7: the log of {said.name} lacks {lost}: {text!r}"
    for event in history.events:
        if isinstance(event, ev.AttemptEnded) and event.outcome is Outcome.SUCCEEDED:
            exit_file = world.attempt(event.phase, event.attempt) / "exit"
            assert exit_file.exists(), f"I8: {event.phase} succeeded without a record of its end"
            record = json.loads(exit_file.read_bytes())
            assert (record["code"], record["cause"]) == (0, ""), f"I8: {event.phase} succeeded with {record}"
            if not world.phases[event.phase].command:
                ran = f"- {event.phase} {event.attempt} "
                assert any(line.startswith(ran) for line in world.lines("ran")), f"I8: {event.phase} never ended"
