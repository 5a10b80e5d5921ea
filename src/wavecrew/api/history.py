"""Runs that exist: found by id, number or `latest`, opened for looking.

What it does: gives the state of a run as its events tell it, with what is known of the processes at work.
What it does not know: how a run is carried out; it changes nothing.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wavecrew.api.imports import import_named
from wavecrew.core.attempts import attempt_folder, last_sign, read_progress
from wavecrew.core.coordinator_lock import is_coordinated
from wavecrew.core.liveness import Liveness
from wavecrew.core.lock_owners import judge_attempt
from wavecrew.core.store import RunRow, Store
from wavecrew.core.watch import read_activity
from wavecrew.errors import NotFoundError, UsageError
from wavecrew.models.events import AttemptStarted, Event, MergeProposed
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.results import Sign


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run at the moment it was opened. `alive` tells whether a coordinator is in charge of it now."""

    row: RunRow
    events: tuple[Event, ...]
    state: ExecutionState
    alive: bool
    state_folder: Path

    def progress(self) -> Mapping[str, tuple[int, int, str]]:
        """The step at work of each running phase, as (step, of how many, title)."""
        return progress_of(self.state_folder, self.state)

    def signs(self) -> Mapping[str, Sign]:
        """What can be seen of the agents of open attempts while nobody is in charge, by phase."""
        return signs_of(self.state_folder, self.state, alive=self.alive)

    def log_file(self, phase: str, attempt: int | None = None) -> Path:
        """The log of an attempt, the latest by default. Raises NotFoundError when there was no such attempt."""
        made = self.state.phase_states[phase].attempts
        wanted = self._number(phase, attempt)
        if not 1 <= wanted <= made:
            had = f"it has had {made}" if made else "it has not been started yet"
            raise NotFoundError(f"phase {phase} has no attempt {wanted}; {had}" if made else f"phase {phase}: {had}")
        return attempt_folder(self.state_folder, self.row.id, phase, wanted) / "log"

    def session_of(self, phase: str, attempt: int | None = None) -> str:
        """The session of an earlier attempt in which an attempt went on, the latest by default; empty for none."""
        wanted = (phase, self._number(phase, attempt))
        starts = (event for event in self.events if isinstance(event, AttemptStarted))
        return next((event.session for event in starts if (event.phase, event.attempt) == wanted), "")

    def checked_with(self, phase: str, attempt: int | None = None) -> str:
        """The phase beside whose attempt the work of this one was checked, as one tree with that of others; empty when
        it was checked by itself."""
        wanted = (phase, self._number(phase, attempt))
        merges = [event for event in self.events if isinstance(event, MergeProposed)]
        last = next((event for event in reversed(merges) if (event.phase, event.attempt) == wanted), None)
        return last.beside if last is not None and last.beside != phase else ""

    def _number(self, phase: str, attempt: int | None) -> int:
        return self.state.phase_states[phase].attempts if attempt is None else attempt


def signs_of(state_folder: Path, state: ExecutionState, *, alive: bool) -> Mapping[str, Sign]:
    """What can be seen of the agents of open attempts while nobody is in charge, by phase; empty while somebody is
    (`alive`), and where they would be on another host. Looking gives nothing up."""
    host = socket.gethostname()
    if alive or state.imported or not state.coordinator.endswith(f" on {host}"):
        return {}
    found = {}
    for name in state.running:
        folder = attempt_folder(state_folder, state.run, name, state.phase_states[name].attempts)
        word = judge_attempt(folder, Liveness.DEAD).word
        found[name] = Sign(word == "alive", last_sign(folder), (folder / "exit").exists())
    return found


def progress_of(state_folder: Path, state: ExecutionState) -> Mapping[str, tuple[int, int, str]]:
    """The step at work of each running phase of a state."""
    found: dict[str, tuple[int, int, str]] = {}
    for name in state.running:
        folder = attempt_folder(state_folder, state.run, name, state.phase_states[name].attempts)
        told = read_progress(folder)
        if told is not None:
            found[name] = (told.step, told.of, told.title)
        heard = read_activity(folder)
        if told is not None and heard is not None and heard.step == told.step:
            found[name] = (told.step, told.of, heard.words or told.title)
    return found


def open_run(store: Store, reference: str = "latest") -> OpenedRun:
    """The run that a reference names: `latest`, its number, or the beginning of its id. Where this workspace has none,
    it is one that was imported. Raises NotFoundError."""
    try:
        row = _find(store.runs(), reference)
    except NotFoundError:
        other = import_named(store.folder, reference)
        if other is None:
            raise
        with Store.open(other.workspace, create=False) as elsewhere:
            return open_run(elsewhere, other.run)
    events = tuple(event for _, event in store.events(row.id))
    return OpenedRun(row, events, replay(events), run_is_alive(store.folder, row.id), store.folder)


@contextmanager
def place_of(workspace: Path, reference: str) -> Iterator[tuple[Path, Store]]:
    """The folder and the store that hold a run: those of a workspace, or those of a run that was imported there.
    Raises like `Store.open`."""
    with Store.open(workspace, create=False) as store:
        try:
            _find(store.runs(), reference)
            other = None
        except NotFoundError:
            other = import_named(store.folder, reference)
        if other is None:
            yield workspace, store
            return
    with Store.open(other.workspace, create=False) as store:
        yield other.workspace, store


def require_own(opened: OpenedRun) -> OpenedRun:
    """The same run. Raises UsageError for one that was imported, with which nothing can be done here."""
    if opened.state.imported:
        raise UsageError(
            f"run {opened.row.id} was imported: it can be looked at, but its work is not here, and nothing can go on",
            fix="do it where the run took place",
        )
    return opened


def _find(rows: list[RunRow], reference: str) -> RunRow:
    if not rows:
        raise NotFoundError("nothing has been run here yet", fix="start with: wavecrew run PLAN")
    if reference == "latest":
        return rows[0]
    exact = [row for row in rows if row.id == reference]
    hits = exact or [row for row in rows if row.id.startswith(reference)]
    if not hits:
        with contextlib.suppress(ValueError):
            hits = [row for row in rows if row.number == int(reference.removeprefix("#"))]
    if len(hits) != 1:
        what = "several runs begin" if hits else "no run begins"
        raise NotFoundError(f"{what} with {reference!r}", fix="see: wavecrew runs list")
    return hits[0]


def run_is_alive(state_folder: Path, run: str) -> bool:
    """Whether a coordinator is in charge of a run right now."""
    return is_coordinated(state_folder / "runs" / run)
