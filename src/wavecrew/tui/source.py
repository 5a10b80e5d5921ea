"""What the board shows, read from the store of a workspace.

What it does: follows the events of one run; tells cheaply whether anything was recorded since the last look, and gives
the summary, the history and the locks of this moment. It writes nothing.
What it does not know: screens, keys, and the coordinator: it reads what that has recorded, in a process of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wavecrew.api.history import open_run, progress_of, run_is_alive, signs_of
from wavecrew.core.lock_registry import Picture
from wavecrew.core.redaction import Redaction
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.store import Store
from wavecrew.errors import WavecrewError
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.tui.player import Player
from wavecrew.views.lock_text import Broken, Held, Wait, lock_table
from wavecrew.views.phase_rows import Progress, Signs
from wavecrew.views.report_waits import Stretch, stretches
from wavecrew.views.run_history import Attempt, History
from wavecrew.views.run_plain import PlainView
from wavecrew.views.summary import Standing, Summary, summarize

_INTERVAL: Final = "monitoring_update_interval"


class RunSource:
    """One run of a workspace, as it is now. Raises NotFoundError and StoreError when it is opened, and never later:
    what cannot be read any more is told by `trouble`, and the last that was known stays."""

    def __init__(self, store: Store, workspace: Path, reference: str = "latest") -> None:
        self.store = store
        self.workspace = workspace
        self.trouble = ""
        self.player: Player | None = None
        """Who plays what is shown, if it is a recording."""
        self._registry = LockRegistry(store, workspace)
        self._version = self._data_version()
        opened = open_run(store, reference)
        self.run = opened.row.id
        self.events: list[Event] = list(opened.events)
        self.state: ExecutionState = opened.state
        self.alive = opened.alive
        self.hide = Redaction.for_run(opened.state.settings, os.environ)
        self.history = History(opened.events)
        self._plain = PlainView()
        self.event_lines: list[str] = self._plain.event(opened.events, self.state)
        self._waits: Sequence[Stretch] | None = None
        self._locks: Picture | None = None
        self._progress: Progress = opened.progress()
        self._signs: Signs = opened.signs()
        self._summary: Summary | None = None

    @property
    def interval(self) -> float:
        """How often totals are to be drawn, in seconds."""
        found = self.state.settings.get(_INTERVAL)
        return min(60.0, max(0.2, float(found))) if isinstance(found, int | float) else 2.0

    @property
    def summary(self) -> Summary:
        """The run as it was at the last look."""
        if self._summary is None:
            self._summary = summarize(
                self.state,
                self.now,
                alive=self._alive(),
                progress=self._progress,
                history=self.history,
                signs=self._signs,
            )
        return self._summary

    @property
    def now(self) -> float:
        """The moment that is shown, in seconds since 1970."""
        return time.time()

    def _alive(self) -> bool | None:
        return self.alive

    @property
    def waits(self) -> Sequence[Stretch]:
        """Who waited for what, and does."""
        if self._waits is None:
            self._waits = stretches(self.events, self.history)
        return self._waits

    def look(self) -> bool:
        """Take in what was recorded since the last look; tells whether there was anything. Costs microseconds if not:
        the database says by itself whether another process has written to it."""
        try:
            version = self._data_version()
            if version == self._version:
                return False
            news = [event for _, event in self.store.events(self.run, after=len(self.events))]
            self._version, self.trouble = version, ""
            if news:
                self._take(news)
            return bool(news)
        except (WavecrewError, OSError) as error:
            self._tell(error)
            return False

    def tick(self) -> None:
        """A new moment: times, the steps at work, and whether somebody is in charge."""
        self._summary = self._locks = None
        self.look()
        try:
            self._sense()
        except (WavecrewError, OSError) as error:
            self._tell(error)

    def _take(self, news: list[Event]) -> None:
        self.state = evolve(self.state, *news)
        self.events += news
        self.history.add(news)
        self.event_lines += self._plain.event(news, self.state)
        self._waits = self._locks = None
        self._sense()
        self._summary = None

    def _sense(self) -> None:
        """What the events do not tell: who is in charge, and what is seen of the processes at work."""
        self.alive = run_is_alive(self.store.folder, self.run)
        self._progress = progress_of(self.store.folder, self.state)
        self._signs = signs_of(self.store.folder, self.state, alive=self.alive)

    def attempts(self, phase: str) -> list[Attempt]:
        """The attempts of a phase, in order."""
        return [one for one in self.history.attempts if one.phase == phase]

    # -- locks

    def locks(self, width: int) -> tuple[list[str], list[str]]:
        """The locks as lines of text, and for each line the resource that it is about (empty for those that only tell
        something)."""
        found = self._picture
        if found is None:
            return ["the locks cannot be read"], [""]
        held = [Held(lock, owner.word, owner.reason) for lock, owner in found.held]
        waits = [Wait(one.resource, one.label, one.holder, one.since, owner.word) for one, owner in found.waiting]
        waits += self._own_waits
        broken = [Broken(one.fence, one.label, one.at, one.by, one.reason) for one in found.broken]
        lines = lock_table(held, waits, time.time(), broken=broken, width=width).split("\n")
        about = ["", *(one.lock.resource_path for one in held)] if held else []
        return lines, about + [""] * (len(lines) - len(about))

    @property
    def lock_counts(self) -> str:
        """`4 held, 1 waiting`."""
        found = self._picture
        if found is None:
            return "unknown"
        return f"{len(found.held)} held, {len(found.waiting) + len(self._own_waits)} waiting"

    @property
    def _own_waits(self) -> list[Wait]:
        """Phases of this run that wait for each other: they do not stand in the queue of the workspace."""
        queued = {waiter.label for waiter, _ in self._locks.waiting} if self._locks is not None else set()
        return [
            Wait(row.lock.resource, f"phase {row.id}", f"phase {row.lock.holder}", row.lock.since)
            for row in self.summary.of(Standing.WAITING)
            if row.lock is not None and f"phase {row.id}" not in queued
        ]

    @property
    def _picture(self) -> Picture | None:
        """The locks at the last look."""
        if self._locks is None:
            try:
                self._locks = self._registry.picture()
            except (WavecrewError, OSError) as error:
                self._tell(error)
        return self._locks

    # -- reading

    def _data_version(self) -> int:
        """A number that changes when another process has written to the database."""
        return int(self.store.query("PRAGMA data_version")[0][0])

    def _tell(self, error: Exception) -> None:
        self.trouble = getattr(error, "reason", "") or str(error)
