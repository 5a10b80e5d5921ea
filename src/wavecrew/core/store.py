"""The one database of a workspace: who may write, what has happened, and transactions.

What it does: opens `.wavecrew/state.db` safely (own folder, own user, known schema), appends events of runs and reads
them back, and gives other rooms of `core` transactions in which a fact and its effects become true together.
What it does not know: what events mean, how locks are granted (`resource_manager` keeps its tables here), agents.

Durability: every commit is on the disk when it returns. SQLite before 3.51.3 can corrupt a database in write-ahead
mode when two connections write and checkpoint at once, so older versions use a rollback journal. It is kept between
transactions, with its head overwritten, because that is as safe as cutting it off and costs the disk less.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Final

from wavecrew.core.file_system import file_system_of, is_network
from wavecrew.errors import InvalidValueError, NotFoundError, RunBusyError, StoreError
from wavecrew.models.events import Event
from wavecrew.models.stored_events import EVENT_VERSION, from_record, to_record

STATE_FOLDER: Final = ".wavecrew"
_APPLICATION_ID: Final = 0x57435257  # "WCRW", so that a foreign database is recognised
_BUSY_SECONDS: Final = 30.0
_WAL_SAFE_SINCE: Final = (3, 51, 3)

_FIRST_SCHEMA: Final = """
CREATE TABLE run(
    id TEXT PRIMARY KEY, number INTEGER NOT NULL, created REAL NOT NULL, plan TEXT NOT NULL, digest TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE event(
    run TEXT NOT NULL, seq INTEGER NOT NULL, version INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY(run, seq)
) WITHOUT ROWID;
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE request(
    ticket INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, label TEXT NOT NULL,
    host TEXT NOT NULL, boot TEXT NOT NULL, namespace TEXT NOT NULL, pid INTEGER NOT NULL, ticks INTEGER NOT NULL,
    attempt TEXT NOT NULL DEFAULT '', granted INTEGER NOT NULL DEFAULT 0, fence INTEGER NOT NULL DEFAULT 0,
    asked REAL NOT NULL, since REAL
);
CREATE INDEX request_owner ON request(owner);
CREATE INDEX request_waiting ON request(ticket) WHERE granted = 0;
CREATE TABLE claim(
    key TEXT NOT NULL, kind TEXT NOT NULL, exclusive INTEGER NOT NULL, ticket INTEGER NOT NULL, prefix TEXT NOT NULL,
    PRIMARY KEY(ticket, key, kind)
) WITHOUT ROWID;
CREATE INDEX claim_prefix ON claim(prefix);
CREATE TABLE wish(
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, asked REAL NOT NULL, record TEXT NOT NULL, answer TEXT
);
INSERT INTO counter VALUES('fence', 0)
"""
_BROKEN_LOCKS: Final = """
CREATE TABLE lock_break(
    ticket INTEGER PRIMARY KEY, fence INTEGER NOT NULL, owner TEXT NOT NULL, label TEXT NOT NULL,
    resources TEXT NOT NULL, at REAL NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL
)
"""
_SCHEMA_STEPS: Final = (_FIRST_SCHEMA, _BROKEN_LOCKS)
"""What makes each version of the schema out of the one before it. Steps are added at the end and never changed."""
SCHEMA_VERSION: Final = len(_SCHEMA_STEPS)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One line of the list of runs. `number` counts the runs of a workspace from 1; `created` is in seconds."""

    id: str
    number: int
    created: float
    plan: str
    digest: str
    epoch: int


class Store:
    """A connection to the state of a workspace. Threads may share it; a process that forks must open its own."""

    def __init__(self, folder: Path, database: sqlite3.Connection, *, read_only: bool) -> None:
        self.folder = folder
        self._database = database
        self._read_only = read_only
        self._guard = RLock()
        self._file = (folder / "state.db").stat()

    @classmethod
    def open(cls, workspace: Path, *, create: bool = True) -> Store:
        """Open the state of a workspace, making it first if need be.

        Raises NotFoundError when there is none and none shall be made, StoreError for a state folder that is a link,
        somebody else's, open to others, on a network file system, no database of ours, or written by a newer
        wavecrew.
        """
        folder = workspace.resolve() / STATE_FOLDER
        if not create and not (folder / "state.db").exists():
            raise NotFoundError(f"nothing has been run in {workspace} yet", fix="start with: wavecrew run PLAN")
        _refuse_network(folder.parent)
        _own_folder(folder)
        file = folder / "state.db"
        _refuse_odd_file(file)
        try:
            return cls(folder, _connect(file), read_only=False)
        except sqlite3.OperationalError as error:
            return cls(folder, _connect_read_only(file, error), read_only=True)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{file} is not a database that can be read: {error}",
                fix="move it away to start with an empty state; nothing was changed",
            ) from None

    def close(self) -> None:
        """Close the connection. Locks and runs are not touched."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- transactions

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything done inside is one commit, on the disk when the block ends, or did not happen at all.

        Raises StoreError when the database is read only, full, busy for too long, or was removed meanwhile.
        """
        with self._guard:
            self._require_our_file()
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                except BaseException:
                    if self._database.in_transaction:  # a full disk ends it without being asked
                        self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise StoreError(
                    f"the state in {self.folder} could not be written: {error}",
                    fix="free some space, or look for a process that keeps the database locked",
                ) from error

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Read some rows, outside of any transaction of this thread or inside the one that is open."""
        with self.reading() as database:
            return database.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for several reads in a row; other threads wait meanwhile. It is no snapshot."""
        with self._guard:
            if not self._read_only:
                self._require_same_file()
            try:
                yield self._database
            except sqlite3.Error as error:
                raise StoreError(f"the state in {self.folder} could not be read: {error}") from error

    def is_gone(self) -> bool:
        """Whether the database was removed or replaced since it was opened."""
        try:
            now = (self.folder / "state.db").stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        return (now.st_ino, now.st_dev) != (self._file.st_ino, self._file.st_dev)

    def _require_our_file(self) -> None:
        if self._read_only:
            raise StoreError(f"the state in {self.folder} can only be read", fix="make the folder writable")
        self._require_same_file()

    def _require_same_file(self) -> None:
        """An unlinked database accepts writes into the void; better to stop."""
        if self.is_gone():
            raise StoreError(
                f"{self.folder / 'state.db'} was removed or replaced while it was in use",
                fix="stop every wavecrew in this folder; what was recorded after the removal is lost",
            )

    # -- runs and events

    def create_run(
        self, run: str, *, at: float, plan: str, digest: str, events: Iterable[Event] = (), after: str | None = None
    ) -> None:
        """Enter a run into the list, together with its first events. Raises StoreError if the id is taken.

        With `after`, the id of the newest run of this plan that the caller knows of (empty for none), raises
        RunBusyError when somebody has begun another one meanwhile.
        """
        with self.transaction() as tx:
            newest = tx.execute("SELECT id FROM run WHERE plan = ? ORDER BY number DESC LIMIT 1", (plan,)).fetchone()
            if after is not None and after != (newest[0] if newest else ""):
                raise RunBusyError(
                    f"somebody else has just begun run {newest[0] if newest else '(removed)'} of this plan",
                    fix="watch it with: wavecrew status --watch",
                )
            number = tx.execute("SELECT coalesce(max(number), 0) + 1 FROM run").fetchone()[0]
            tx.execute(
                "INSERT INTO run(id, number, created, plan, digest) VALUES(?,?,?,?,?)", (run, number, at, plan, digest)
            )
            self.append(tx, run, events)

    def runs(self) -> list[RunRow]:
        """All runs of this workspace, newest first."""
        rows = self.query("SELECT id, number, created, plan, digest, epoch FROM run ORDER BY number DESC")
        return [RunRow(*row) for row in rows]

    def take_charge(self, run: str) -> int:
        """Become the one coordinator of a run; every earlier one can no longer record anything. Gives the epoch."""
        with self.transaction() as tx:
            tx.execute("UPDATE run SET epoch = epoch + 1 WHERE id = ?", (run,))
            row = tx.execute("SELECT epoch FROM run WHERE id = ?", (run,)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no run {run!r}", fix="see: wavecrew runs list")
        epoch: int = row[0]
        return epoch

    def append(self, tx: sqlite3.Connection, run: str, events: Iterable[Event], *, epoch: int | None = None) -> None:
        """Record events inside a transaction. With an epoch, raises RunBusyError when another one is in charge."""
        if epoch is not None:
            (current,) = tx.execute("SELECT epoch FROM run WHERE id = ?", (run,)).fetchone()
            if current != epoch:
                raise RunBusyError(f"another coordinator has taken over run {run}; this one stops")
        (last,) = tx.execute("SELECT coalesce(max(seq), 0) FROM event WHERE run = ?", (run,)).fetchone()
        tx.executemany(
            "INSERT INTO event(run, seq, version, record) VALUES(?,?,?,?)",
            [
                (run, last + position, EVENT_VERSION, json.dumps(to_record(event), separators=(",", ":")))
                for position, event in enumerate(events, start=1)
            ],
        )

    def events(self, run: str, *, after: int = 0) -> list[tuple[int, Event]]:
        """The events of a run with their sequence numbers, from 1, without gaps.

        Raises StoreError for an event that this version cannot read.
        """
        rows = self.query("SELECT seq, version, record FROM event WHERE run = ? AND seq > ? ORDER BY seq", run, after)
        return [(row[0], self._decode(run, row)) for row in rows]

    def _decode(self, run: str, row: sqlite3.Row) -> Event:
        seq, version, text = row
        try:
            record: Mapping[str, Any] = json.loads(text)
            if version > EVENT_VERSION:
                raise InvalidValueError(f"it was written by a newer wavecrew (format {version})", fix="upgrade")
            return from_record(record)
        except (ValueError, InvalidValueError) as error:
            raise StoreError(f"event {seq} of run {run} cannot be read: {error}") from None


# -- opening ----------------------------------------------------------------------------------------------------


def _own_folder(folder: Path) -> None:
    """Make the state folder, or see that the one that is there is a real folder, ours, and closed to others."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise StoreError(f"{folder} is not a folder", fix="move it away; wavecrew keeps its state there") from None
        if found.st_uid != os.getuid():
            raise StoreError(f"{folder} belongs to another user", fix="move it away or run as its owner") from None
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise StoreError(f"{folder} is open to other users", fix=f"chmod 700 {folder}") from None
    except OSError as error:
        raise StoreError(f"the state folder {folder} cannot be made: {error.strerror}") from None
    with contextlib.suppress(OSError), (folder / ".gitignore").open("x", encoding="ascii") as ignore:
        ignore.write("*\n")  # a comfort: whether anything can be written here will show at the database


def _refuse_network(workspace: Path) -> None:
    if is_network(workspace):
        raise StoreError(
            f"{workspace} is on a network file system ({file_system_of(workspace)}), where locks cannot be trusted",
            fix="work in a copy on a local disk",
        )


def _refuse_odd_file(file: Path) -> None:
    for found in (file, *(file.with_name(file.name + suffix) for suffix in ("-journal", "-wal", "-shm"))):
        if found.is_symlink() or (found.exists() and not found.is_file()):
            raise StoreError(f"{found} is not a regular file", fix="move it away; nothing was changed")


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if file.stat().st_size == 0:  # new, or nobody's; changing the umask instead would hit other threads
            file.chmod(0o600)
        database.execute("PRAGMA trusted_schema = OFF")
        mode = "WAL" if sqlite3.sqlite_version_info >= _WAL_SAFE_SINCE else "PERSIST"
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        _prepare_schema(database, file)
    except BaseException:
        database.close()
        raise
    return database


def _prepare_schema(database: sqlite3.Connection, file: Path) -> None:
    if _schema_version(database, file) == SCHEMA_VERSION:
        return
    database.execute("BEGIN IMMEDIATE")  # two processes may meet here; the second finds the work done
    try:
        for step in _SCHEMA_STEPS[_schema_version(database, file) :]:
            for statement in step.split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise


def _schema_version(database: sqlite3.Connection, file: Path) -> int:
    """0 for a new database. Refuses what is not ours and what a newer wavecrew has written."""
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    # last, because another process may be making the schema right now: whoever sees it unmarked has seen it empty
    (application,) = database.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID and (application, version, tables) != (0, 0, 0):
        raise StoreError(f"{file} is the database of another program", fix="move it away; nothing was changed")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{file} was written by a newer wavecrew (schema {version}, this one knows {SCHEMA_VERSION})",
            fix="upgrade wavecrew; nothing was changed",
        )
    return int(version)


def _connect_read_only(file: Path, cause: sqlite3.OperationalError) -> sqlite3.Connection:
    """On a read-only disk the history can still be looked at."""
    if os.access(file, os.W_OK) and os.access(file.parent, os.W_OK):
        raise StoreError(f"the state in {file.parent} cannot be opened: {cause}") from None
    try:
        database = sqlite3.connect(
            f"{file.absolute().as_uri()}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        _schema_version(database, file)
    except sqlite3.Error as error:
        raise StoreError(f"the state in {file.parent} cannot be opened: {error}") from None
    return database
