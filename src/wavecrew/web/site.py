"""One workspace that is shown: its own runs and those that were imported, and who looks at which.

What it does: finds the run that a path names, opens the store of one that was imported, and keeps a desk for each run
that is looked at.
What it does not know: requests, and what is written of a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wavecrew.api.history import OpenedRun, open_run
from wavecrew.api.imports import Import, imports_in
from wavecrew.core.store import RunRow, Store
from wavecrew.errors import NotFoundError, WavecrewError
from wavecrew.views.run_history import History
from wavecrew.views.summary import Summary, summarize
from wavecrew.web.guard import Door
from wavecrew.web.stream import Desk
from wavecrew.web.watch import RunWatch

MOST_RUNS: Final = 200
"""How many runs the list has; all of them: `wavecrew runs list`."""
_DESKS: Final = 16
_MOST_FILES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Shown:
    """A run that is looked at: where it lies, and from which import it came, if it did."""

    desk: Desk
    workspace: Path
    imported: Import | None = None

    @property
    def watch(self) -> RunWatch:
        """What reads it."""
        return self.desk.watch

    def opened(self) -> OpenedRun:
        """The run with all its events. Raises like `open_run`."""
        return open_run(self.watch.store, self.watch.row.id)


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in the list of all: what is known of it, or why nothing is. `size` is what its logs take, in bytes; None
    when there were too many files to count."""

    run: str
    summary: Summary | None
    size: int | None = None
    trouble: str = ""
    imported: bool = False


@dataclass
class Site:
    """One workspace that is shown. `run` is what `/` leads to: an id, or `latest`."""

    workspace: Path
    store: Store
    door: Door
    run: str = "latest"
    shown: dict[str, Shown] = field(default_factory=dict)
    wishes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Wishes wait for a coordinator, each in a thread; so do reports for git. The others are for those who look."""
    heavy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """What asks git or reads whole histories."""
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def row(self, reference: str) -> RunRow:
        """The run of this workspace that is meant. Raises NotFoundError."""
        for row in self.store.runs():
            if reference in ("latest", row.id):
                return row
        raise NotFoundError("there is no such run in this workspace", fix="all runs stand below")

    def show(self, reference: str) -> Shown:
        """A run with its desk, made at the first call. Desks that nobody looks at any more make room for others.

        Raises NotFoundError, and StoreError for an imported run that cannot be read.
        """
        try:
            run, found = self.row(reference).id, None
        except NotFoundError:
            found = next((one for one in imports_in(self.store.folder) if one.run == reference), None)
            if found is None:
                raise
            run = found.run
        with self._guard:
            if run not in self.shown:
                self._make_room()
                self.shown[run] = self._opened(found) if found else self._own(run)
            return self.shown[run]

    def _own(self, run: str) -> Shown:
        return Shown(Desk(RunWatch(self.store, self.row(run))), self.workspace)

    def _opened(self, found: Import) -> Shown:
        store = Store.open(found.workspace, create=False)
        try:
            row = next((row for row in store.runs() if row.id == found.run), None)
            if row is None:
                raise NotFoundError(f"the imported run {found.run} is not whole", fix="import it once more")
        except WavecrewError:
            store.close()
            raise
        return Shown(Desk(RunWatch(store, row)), found.workspace, found)

    def _make_room(self) -> None:
        """An imported run keeps its store open until the server ends: somebody may be reading it right now."""
        idle = [name for name, one in self.shown.items() if not one.desk.listeners and one.imported is None]
        for name in idle[: max(0, len(self.shown) - _DESKS + 1)]:
            del self.shown[name]

    @property
    def listeners(self) -> int:
        """How many listen to any run."""
        return sum(one.desk.listeners for one in list(self.shown.values()))  # threads may add to them

    def close(self) -> None:
        """Let all listeners go, so that the server can end."""
        for one in list(self.shown.values()):
            one.desk.close()

    def release(self) -> None:
        """Close what was opened to be looked at; nobody reads it any more."""
        for one in self.shown.values():
            if one.imported is not None:
                one.watch.store.close()

    # -- all runs

    def runs(self) -> list[Listed]:
        """All runs: those of this workspace newest first, then those that were imported. One that cannot be read is in
        the list, with the reason."""
        left = [_MOST_FILES]
        found = [_listed(self.store, row.id, left) for row in self.store.runs()[:MOST_RUNS]]
        for one in imports_in(self.store.folder)[:MOST_RUNS]:
            try:
                with Store.open(one.workspace, create=False) as store:
                    found.append(_listed(store, one.run, left, imported=True))
            except WavecrewError as error:
                found.append(Listed(one.run, None, None, error.reason, imported=True))
        return found


def _listed(store: Store, run: str, left: list[int], *, imported: bool = False) -> Listed:
    try:
        one = open_run(store, run)
        summary = summarize(one.state, time.time(), alive=one.alive, history=History(one.events), signs=one.signs())
    except WavecrewError as error:
        return Listed(run, None, None, error.reason, imported)
    return Listed(run, summary, _bytes_below(store.folder / "runs" / run, left), imported=imported)


def _bytes_below(folder: Path, left: list[int]) -> int | None:
    """The bytes of all files below a folder; None once more than may be `left` were looked at."""
    total = 0
    for path in _files(folder):
        left[0] -= 1
        if left[0] <= 0:
            return None
        with contextlib.suppress(OSError):
            total += path.stat(follow_symlinks=False).st_size
    return total


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    todo = [os.fspath(folder)]
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                else:
                    yield entry
