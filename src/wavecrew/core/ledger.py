"""What a coordinator has written down: the state of its run, and the one way in which that changes.

What it does: folds events into the state, and makes them true in one commit together with the locks that they free,
the starts that those locks allow, and the step of the result that they tell of.
What it does not know: why something is recorded, processes and git (a step of the result is a function that it calls).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from wavecrew.core.jobs import Prepared
from wavecrew.core.lock_queue import LockQueue
from wavecrew.core.store import Store
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState, evolve, replay

Observer: TypeAlias = Callable[[Sequence[Event], ExecutionState], None]


class Ledger:
    """The history of one run in the hands of its coordinator. `observe` is told what was recorded, after it was."""

    def __init__(
        self, run: str, store: Store, locks: LockQueue, *, observe: Observer, clock: Callable[[], float] = time.time
    ) -> None:
        self.run = run
        self.state = ExecutionState()
        self.clock = clock
        self._store = store
        self._locks = locks
        self._observe = observe
        self._epoch: int | None = None
        self._staged: list[Event] = []
        self._unattended: dict[tuple[str, int], float] = {}

    def take_charge(self) -> int:
        """Become the only writer, and start from the history as it is now. Gives the epoch, which rises each time."""
        self._epoch = self._store.take_charge(self.run)
        self.state = replay(event for _, event in self._store.events(self.run))
        return self._epoch

    @property
    def has_news(self) -> bool:
        """Whether something is staged that no commit has made true yet."""
        return bool(self._staged)

    def stage(self, *events: Event) -> None:
        """Take events into the state that the next commit will make true. Folded first, so that one which does not
        fit never reaches the disk."""
        events = tuple(self._dated(event) if isinstance(event, ev.AttemptEnded) else event for event in events)
        self.state = evolve(self.state, *events)
        self._staged += events

    def found_over(self, phase: str, attempt: int, since: float | None) -> None:
        """An attempt was over `since` then (None: since its start) when we took charge. Its end will say so."""
        now, started = self.clock(), self.state.phase_states[phase].started_at or 0.0
        self._unattended[phase, attempt] = max(0.0, now - max(started, started if since is None else since))

    def _dated(self, ended: ev.AttemptEnded) -> ev.AttemptEnded:
        seconds = self._unattended.get((ended.phase, ended.attempt), 0.0)
        return replace(ended, unattended=seconds) if seconds else ended

    def record(self, *events: Event, step: Callable[[], None] | None = None) -> None:
        """Events that must be on the disk before anything else happens. `step` is taken inside of the same
        transaction, after it is certain that we are still in charge; what it raises takes everything back but what was
        staged before."""
        if step is None:
            self.stage(*events)
            self.commit()
            return
        if self._staged:
            self.commit()
        before = self.state
        self.stage(*events)
        try:
            self.commit(step=step)
        except BaseException:
            self.state, self._staged = before, []
            raise

    def commit(
        self,
        prepared: Sequence[Prepared] = (),
        waits: Sequence[Event] = (),
        step: Callable[[], None] = lambda: None,
    ) -> list[Prepared]:
        """Make everything staged true at once, with the locks that it frees, and the starts whose locks that allows.

        Gives the attempts that may be started now; the others stand in the queue of the lock table.
        """
        if not self._staged and not waits and not prepared:
            return []
        now = self.clock()
        ready: list[Prepared] = []
        starts: list[Event] = []
        queued: dict[str, int] = {}
        with self._store.transaction() as tx:
            ends = [event for event in self._staged if isinstance(event, ev.AttemptEnded)]
            freed = [ticket for ended in ends for ticket in self._locks.free(tx, ended)]
            for one in prepared:
                grant = self._locks.take(tx, one)
                if isinstance(grant, int):
                    queued[one.phase.id] = grant
                else:
                    ready.append(one)
                    starts.append(one.started(now, grant.fence, self._store.folder))
            self.stage(*starts, *waits)
            self._store.append(tx, self.run, self._staged, epoch=self._epoch)
            step()
        told, self._staged = self._staged, []
        self._locks.settle((one.phase.id for one in ready), queued)
        self._locks.ring(freed)
        if told:
            self._observe(told, self.state)
        return ready
