"""The lock registry and the states of a run against models that are too simple to be wrong, step by step at random."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from chaos_actors import COVERS
from chaos_sizes import times
from chaos_world import QUICK_DISK
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wavecrew.core.liveness import ProcessIdentity
from wavecrew.core.lock_registry import Grant
from wavecrew.core.lock_table import Owner
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.errors import IllegalTransitionError, LockTimeoutError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import evolve, replay
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus

STEPS = settings(
    max_examples=times(300, 5000),
    stateful_step_count=times(30, 60),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
WANTED = st.lists(st.tuples(st.sampled_from(sorted(COVERS)), st.booleans()), min_size=1, max_size=3)
WHO = st.sampled_from("ABCD")
ME = ProcessIdentity.of()
DEAD = ProcessIdentity(ME.host, ME.boot, ME.namespace, ME.pid, ME.ticks + 1)


def covers(wanted: list[tuple[str, bool]]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for text, exclusive in wanted:
        for name in COVERS[text].split():
            found[name] = found.get(name, False) or exclusive
    return found


def collide(one: dict[str, bool], other: dict[str, bool]) -> bool:
    return any(name in other and (exclusive or other[name]) for name, exclusive in one.items())


class Registry(RuleBasedStateMachine):
    """Owners A to D take and give back; some die. In the model a lock is free, or somebody has it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-model-", dir=QUICK_DISK))
        self.registry = LockRegistry.open(self.folder)
        self.held: dict[int, tuple[str, dict[str, bool], Grant]] = {}
        self.dead: set[str] = set()
        self.last_fence = 0
        self.generation = 0

    def owner(self, who: str) -> Owner:
        return Owner(f"{who} {self.generation}", who, DEAD if who in self.dead else ME)

    @rule(who=WHO, wanted=WANTED)
    def take(self, who: str, wanted: list[tuple[str, bool]]) -> None:
        """It succeeds exactly if nobody who lives has something that collides; the dead are no obstacle."""
        mine, name = covers(wanted), self.owner(who).name
        others = [one for one in self.held.items() if one[1][0] != name and collide(mine, one[1][1])]
        in_the_way = [one for one in others if one[1][0][0] not in self.dead]
        refusal = ""
        try:
            grant = self.registry.acquire(self.owner(who), self._claims(wanted), timeout=0)
        except LockTimeoutError as error:
            refusal = error.reason
        if refusal:
            assert in_the_way
            assert any(f"held by {found[0][0]}" in refusal for _, found in in_the_way)
            self._bury(one[1][0] for one in others)
            return
        assert not in_the_way
        self._bury(one[1][0] for one in others)
        assert grant.fence > self.last_fence
        self.last_fence = grant.fence
        self.held[grant.ticket] = (name, mine, grant)

    def _claims(self, wanted: list[tuple[str, bool]]) -> list[Any]:
        from chaos_actors import claims_of

        return claims_of(self.registry, wanted)

    def _bury(self, names: Any) -> None:
        """What a dead owner has is freed whole, as soon as somebody wants a part of it and it is looked at."""
        gone = {name for name in names if name[0] in self.dead}
        rows = {request.ticket for request in self.registry._requests("1")}
        for ticket, (name, _, _) in list(self.held.items()):
            if name in gone:
                assert ticket not in rows, f"{name} is dead and keeps its lock"
                del self.held[ticket]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.held)))
        _, _, grant = self.held.pop(ticket)
        self.registry.require_held(grant)
        self.registry.release(grant)

    @rule(who=WHO)
    def die(self, who: str) -> None:
        """From now on it is proven dead; whoever comes under its name later is somebody else."""
        if who in self.dead:
            self.dead.discard(who)
            self.generation += 1
            for ticket, (name, _, _) in list(self.held.items()):
                if name[0] == who:
                    self.registry.release(ticket)
                    del self.held[ticket]
            return
        self.dead.add(who)
        with self.registry.store.transaction() as tx:
            tx.execute("UPDATE request SET ticks = ? WHERE owner LIKE ?", (DEAD.ticks, f"{who} %"))

    @invariant()
    def the_table_is_the_model(self) -> None:
        rows = self.registry._requests("1")
        assert {row.ticket for row in rows} == set(self.held)
        assert all(row.granted for row in rows)
        grants = list(self.held.values())
        for position, (name, mine, _) in enumerate(grants):
            assert not any(other != name and collide(mine, theirs) for other, theirs, _ in grants[:position])

    def teardown(self) -> None:
        self.registry.close()
        shutil.rmtree(self.folder)


TestRegistry = Registry.TestCase
TestRegistry.settings = STEPS

# -- the states of a run -------------------------------------------------------------------------------------------

NEEDS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}
PHASES = tuple(PhaseInfo(name, name, needs) for name, needs in NEEDS.items())
DONE, FAILED, WORKING, OPEN = "done", "failed", "working", "open"


class States(RuleBasedStateMachine):
    """In the model a phase is open, working, done or failed, and perhaps waived; the rest is worked out."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Event] = [
            ev.RunStarted(at=0.0, run="r", plan_name="", plan_path="", plan_digest="", phases=PHASES)
        ]
        self.state = replay(self.history)
        self.model = dict.fromkeys(NEEDS, OPEN)
        self.attempts = dict.fromkeys(NEEDS, 0)
        self.waived: set[str] = set()
        self.at = 1.0

    def ready(self, name: str) -> bool:
        return all(self.model[other] == DONE or other in self.waived for other in NEEDS[name])

    def offer(self, event: Event, fits: bool) -> bool:
        """An event is taken exactly if the model says so, and one that is not leaves no trace."""
        self.at += 1
        before = self.state
        try:
            self.state = evolve(self.state, event)
        except IllegalTransitionError:
            assert not fits, f"{event} was refused"
            assert self.state == before
            return False
        assert fits, f"{event} was taken"
        self.history.append(event)
        return True

    @rule(name=st.sampled_from(sorted(NEEDS)), skew=st.sampled_from([1, 1, 1, 0, 2]))
    def start(self, name: str, skew: int) -> None:
        attempt = self.attempts[name] + skew
        fits = self.model[name] == OPEN and self.ready(name) and skew == 1 and name not in self.waived
        event = ev.AttemptStarted(at=self.at, phase=name, attempt=attempt, agent="x")
        if self.offer(event, fits):
            self.model[name], self.attempts[name] = WORKING, attempt

    @rule(name=st.sampled_from(sorted(NEEDS)), outcome=st.sampled_from(Outcome), again=st.booleans())
    def end(self, name: str, outcome: Outcome, again: bool) -> None:
        event = ev.AttemptEnded(
            at=self.at, phase=name, attempt=self.attempts[name], outcome=outcome, retry_at=self.at if again else None
        )
        if self.offer(event, self.model[name] == WORKING):
            given_up = outcome in (Outcome.FAILED, Outcome.LOST) and not again
            self.model[name] = DONE if outcome is Outcome.SUCCEEDED else FAILED if given_up else OPEN

    @rule(name=st.sampled_from(sorted(NEEDS)))
    def refuse(self, name: str) -> None:
        event = ev.PhaseRefused(at=self.at, phase=name, cause=Cause.LOCK, detail="")
        if name not in self.waived and self.offer(event, self.model[name] == OPEN and self.ready(name)):
            self.model[name] = FAILED

    @rule(name=st.sampled_from(sorted(NEEDS)))
    def skip(self, name: str) -> None:
        event = ev.PhaseSkipped(at=self.at, phase=name, by="x", reason="y")
        if self.offer(event, self.model[name] in (OPEN, FAILED) and name not in self.waived):
            self.waived.add(name)

    @rule(name=st.sampled_from(sorted(NEEDS)))
    def reset(self, name: str) -> None:
        event = ev.PhaseReset(at=self.at, phase=name, by="x")
        if self.offer(event, self.model[name] in (DONE, FAILED) or name in self.waived):
            self.waived.discard(name)
            self.model[name] = OPEN

    @invariant()
    def the_state_is_the_model(self) -> None:
        for name, found in self.state.phase_states.items():
            assert found.status is self.expected(name), f"{name} is {found.status}, not {self.expected(name)}"
            assert found.attempts == self.attempts[name]
            assert (found.waiver is not None) == (name in self.waived)
        startable = {n for n in NEEDS if self.expected(n) is PhaseStatus.QUEUED and n not in self.waived}
        assert set(self.state.queued) == startable
        assert set(self.state.running) == {n for n in NEEDS if self.model[n] == WORKING}
        assert replay(self.history) == self.state

    def expected(self, name: str) -> PhaseStatus:
        simple = {DONE: PhaseStatus.COMPLETED, FAILED: PhaseStatus.FAILED, WORKING: PhaseStatus.IN_PROGRESS}
        if self.model[name] in simple:
            return simple[self.model[name]]
        return PhaseStatus.QUEUED if self.ready(name) else PhaseStatus.NOT_STARTED


TestStates = States.TestCase
TestStates.settings = STEPS
