"""What is there to be named: phases, runs, locks, gates, accounts, agents, codes, branches.

What it does: looks it up without leaving a trace. The state is opened for reading only, by a connection that makes no
file and waits for nobody; plans are read as always; branches are read from the files of git, and git is not started.
What it does not know: what was typed, but where that decides which names are worth telling; and shells.

Whatever cannot be had raises, with any error there is: whoever asks tells nothing then.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from wavecrew.cli.globals import Globals
from wavecrew.errors import NotFoundError, StoreError

if TYPE_CHECKING:
    import sqlite3

    from wavecrew.core.store import RunRow, Store
    from wavecrew.models.execution_state import ExecutionState
    from wavecrew.models.parallel_execution import PhaseInfo
    from wavecrew.models.phase_state import PhaseState

Word: TypeAlias = tuple[str, str]
"""What can stand on the line, and what it is."""

_BUSY_SECONDS: Final = 0.2
_WAL: Final = 2
_RUNS: Final = 100
_OVER: Final = {"RunFinished": "over", "RunStopped": "stopped"}


# -- the state --------------------------------------------------------------------------------------------------


@contextmanager
def _store(workspace: Path) -> Iterator[Store]:
    from wavecrew.core.store import STATE_FOLDER, Store

    folder = workspace.resolve() / STATE_FOLDER
    database = _connect(folder)
    try:
        yield Store(folder, database, read_only=True)
    finally:
        database.close()


def _connect(folder: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even what a journal of somebody who died would ask for."""
    import sqlite3

    from wavecrew.core.file_system import is_network
    from wavecrew.core.store import SCHEMA_VERSION

    file, found = folder / "state.db", folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077
    if not private or not stat.S_ISREG(file.lstat().st_mode) or is_network(folder):
        raise StoreError(f"{folder} is not what it should be")
    with file.open("rb") as head:
        ahead = head.read(19)[18:] == bytes([_WAL])
    log = file.with_name(f"{file.name}-wal")
    at_rest = ahead and not (log.exists() and log.stat().st_size)
    how = "immutable=1" if at_rest else "readonly_shm=1"  # else the shared memory beside a log would be made anew
    uri = f"{file.absolute().as_uri()}?mode=ro&{how}"
    database = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    database.execute("PRAGMA trusted_schema = OFF")
    if database.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
        raise StoreError("another version has written this")
    return database


@contextmanager
def _state(settings: Globals) -> Iterator[Store]:
    from wavecrew.api.places import find_workspace

    with _store(find_workspace(settings.directory)) as store:
        yield store


def _replayed(settings: Globals, run: str) -> ExecutionState:
    from wavecrew.api.imports import import_named
    from wavecrew.models.execution_state import replay

    with _state(settings) as store:
        row = _row(store.runs(), run)
        if row is not None:
            return replay(event for _, event in store.events(row.id))
        other = import_named(store.folder, run)
    if other is None:
        raise NotFoundError(f"there is no run {run}")
    with _store(other.workspace) as store:
        return replay(event for _, event in store.events(other.run))


def _row(rows: list[RunRow], run: str) -> RunRow | None:
    if run == "latest":
        return rows[0] if rows else None
    hits = [row for row in rows if row.id == run] or [row for row in rows if row.id.startswith(run)]
    hits = hits or [row for row in rows if str(row.number) == run.removeprefix("#")]
    return hits[0] if len(hits) == 1 else None


def runs(settings: Globals, typed: str) -> Iterable[Word]:
    """Runs, the newest first: `latest`, ids, and numbers once one begins to type them."""
    with _state(settings) as store:
        rows = store.runs()
        words = [
            (row.id, f"run {row.number} of {row.plan}, {_day(row.created)}, {_stage(store, row.id)}")
            for row in rows[:_RUNS]
        ]
        imported = list(_imported(store))
    numbers = [(str(row.number), words[at][1]) for at, row in enumerate(rows[:_RUNS])] if typed else []
    free = [one for one in numbers if not any(word.startswith(one[0]) for word, _ in words)]
    return [("latest", words[0][1])] * bool(words) + words + imported + free


def imported_runs(settings: Globals) -> Iterable[Word]:
    """Runs that came from elsewhere."""
    with _state(settings) as store:
        return list(_imported(store))


def _imported(store: Store) -> Iterator[Word]:
    from wavecrew.api.imports import imports_in

    return ((one.run, f"imported from {one.source}, {_day(one.at)}") for one in imports_in(store.folder))


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(at))


def _stage(store: Store, run: str) -> str:
    import json

    last = store.query("SELECT record FROM event WHERE run = ? ORDER BY seq DESC LIMIT 1", run)
    return _OVER.get(json.loads(last[0][0])["kind"], "not over") if last else "not over"


# -- what is in a run -------------------------------------------------------------------------------------------


def phases_of_run(settings: Globals, run: str, kind: str, typed: str) -> Iterable[Word]:
    """Phases of a run that are `ended`, `undone` (what is not satisfied yet), `under way` (at work or about to be),
    `started` (they have had an attempt), or `asking` (their agents wait for an answer)."""
    from wavecrew.models.phase_status import PhaseStatus

    state = _replayed(settings, run)
    ended = (PhaseStatus.COMPLETED, PhaseStatus.FAILED)
    kinds: dict[str, Callable[[PhaseState], bool]] = {
        "ended": lambda found: found.status in ended,
        "undone": lambda found: not found.satisfied,
        "under way": lambda found: found.status in (PhaseStatus.QUEUED, PhaseStatus.IN_PROGRESS),
        "started": lambda found: found.attempts > 0,
        "asking": lambda found: bool(found.asks),
    }
    chosen = {name: found for name, found in state.phase_states.items() if kinds[kind](found)}
    words = {name: found.status.value.replace("_", " ").lower() for name, found in chosen.items()}
    return _phases([state.graph.nodes[name] for name in chosen], typed, words)


def gates(settings: Globals, run: str, kind: str) -> Iterable[Word]:
    """Gates that are `open` for an answer, or also those that were rejected (`open or rejected`)."""
    from wavecrew.models.gates import GateStatus, behind

    state = _replayed(settings, run)
    refused = [name for name, gate in state.gates.items() if gate.status is GateStatus.REJECTED]
    found = dict.fromkeys((*state.needs_you, *(refused if kind == "open or rejected" else ())))
    names = {gate: [state.graph.nodes[phase].name for phase in behind(state.graph, gate)] for gate in found}
    return [(gate, f"{'rejected: ' if gate in refused else ''}{', '.join(names[gate])}") for gate in found]


def accounts(settings: Globals, run: str) -> Iterable[Word]:
    """Accounts that are closed at this moment."""
    now, found = time.time(), _replayed(settings, run).accounts
    return [(name, f"closed until {_day(one.until)}") for name, one in found.items() if one.until > now]


def fences(settings: Globals) -> Iterable[Word]:
    """The numbers of locks that are held, with their holders."""
    with _state(settings) as store:
        held = store.query("SELECT fence, label, ticket FROM request WHERE granted = 1 ORDER BY fence")
        keys = [
            [row[0] for row in store.query("SELECT key FROM claim WHERE ticket = ?", ticket)] for *_, ticket in held
        ]
    return [(str(fence), f"{label}: {', '.join(of)}") for (fence, label, _), of in zip(held, keys, strict=True)]


def resources(settings: Globals) -> Iterable[Word]:
    """What is locked or waited for."""
    with _state(settings) as store:
        rows = store.query("SELECT DISTINCT key, label FROM claim JOIN request USING(ticket) ORDER BY key")
    return [(key, label) for key, label in rows]


# -- plans ------------------------------------------------------------------------------------------------------


def phases_of_plan(settings: Globals, plan: str | None, typed: str) -> Iterable[Word]:
    """Phases of the plan that was named, or of the configured one."""
    from wavecrew.plans.reader import read_plan

    return _phases(read_plan(_place(settings.directory, plan) if plan else _plan(settings)).phases, typed, {})


def _phases(phases: Iterable[PhaseInfo], typed: str, words: dict[str, str]) -> list[Word]:
    """Ids, and names once one begins to type them, as far as a name means one phase and is no pattern."""
    found, names = [], []
    for phase in phases:
        stage = f" ({words[phase.id]})" if phase.id in words else ""
        found.append((phase.id, f"{phase.name}{stage}"))
        names.append((phase.name, f"phase {phase.id}{stage}"))
    counts: dict[str, int] = {}
    for name, _ in names:
        counts[name.casefold()] = counts.get(name.casefold(), 0) + 1
    ids = {one for one, _ in found}
    plain = [
        one for one in names if counts[one[0].casefold()] == 1 and one[0] not in ids and not set("*?[") & set(one[0])
    ]
    return found + (plain if typed else [])


def _plan(settings: Globals) -> Path:
    """Where the configured plan is: as `load_config` finds it, but without the weight of all that it checks."""
    from wavecrew.config.config_files import ConfigFile, read_project_files, read_user_files

    start = settings.directory.absolute()
    if os.environ.get("WAVECREW_PLAN", "").strip():
        return _place(start, os.environ["WAVECREW_PLAN"].strip())
    files: list[ConfigFile] = []
    if settings.config_file is not None:
        files = [ConfigFile.look_at(start / settings.config_file, "file", start)]
    elif settings.use_files:
        files = [*read_user_files(start), *read_project_files(start)]
    root = next((file.path.parent for file in files if file.read and file.kind == "project"), start)
    plan = next((str(file.values["plan"]) for file in reversed(files) if "plan" in file.values), "plan")
    if not (root / plan).exists():
        from wavecrew.api.places import find_workspace

        root = find_workspace(start)
    return root / plan


def as_expanded(text: str) -> Path:
    """A path as the shell will expand it: this is about words that it has not yet."""
    return Path(os.path.expandvars(text)).expanduser()


def _place(start: Path, text: str) -> Path:
    """A path as the shell would have expanded it, counted from a folder."""
    return start / as_expanded(text)


# -- what is there anyway ---------------------------------------------------------------------------------------


def agents() -> Iterable[Word]:
    """The agents that are installed."""
    from importlib.metadata import entry_points

    return [(entry.name, "") for entry in sorted(entry_points(group="wavecrew.agents"), key=lambda entry: entry.name)]


def codes() -> Iterable[Word]:
    """Every code that `explain` knows."""
    from wavecrew.api.codes import explanations

    return [(code, title) for code, (title, _) in explanations().items()]


def branches(settings: Globals) -> Iterable[Word]:
    """Branches of the repository here, without those of runs."""
    from wavecrew.api.places import find_workspace

    git = find_workspace(settings.directory) / ".git"
    if git.is_file():  # a worktree: its file names a folder, which names the one that all worktrees share
        git = (git.parent / git.read_text("utf-8").removeprefix("gitdir:").strip()).resolve()
    with suppress(FileNotFoundError):
        git = (git / (git / "commondir").read_text("utf-8").strip()).resolve()
    found: set[str] = set()
    heads = git / "refs" / "heads"
    for folder, _, files in os.walk(heads):
        found.update(os.path.relpath(f"{folder}/{name}", heads) for name in files)
    with suppress(FileNotFoundError):
        lines = (git / "packed-refs").read_text("utf-8", errors="replace").splitlines()
        found.update(line.partition(" refs/heads/")[2] for line in lines if " refs/heads/" in line)
    return [
        (name, "branch") for name in sorted(found) if not name.startswith("wavecrew/") and not name.endswith(".lock")
    ]
