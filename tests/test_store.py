"""The database: opened safely, written by one coordinator, and whole after whatever goes wrong."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core_builders import PATIENCE, phase, python
from wavecrew.core.store import SCHEMA_VERSION, STATE_FOLDER, Store
from wavecrew.errors import NotFoundError, RunBusyError, StoreError
from wavecrew.models import events as ev
from wavecrew.models.events import Event


def stopped(reason: str = "x") -> Event:
    return ev.RunStopped(at=1.0, reason=reason)


def with_run(workspace: Path, *events: Event) -> Store:
    store = Store.open(workspace)
    store.create_run("r1", at=1.0, plan="p", digest="d")
    with store.transaction() as tx:
        store.append(tx, "r1", events)
    return store


# -- opening ----------------------------------------------------------------------------------------------------


def test_a_new_state_is_closed_to_others_and_ignored_by_git(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with with_run(tmp_path):
            folder = tmp_path / STATE_FOLDER
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    finally:
        assert os.umask(before) == 0  # opening a database changes nothing for other threads

    assert modes.pop(STATE_FOLDER) == 0o700
    assert modes.pop(".gitignore") is not None
    assert set(modes.values()) == {0o600}
    assert (folder / ".gitignore").read_text() == "*\n"


def test_opening_again_finds_what_was_written(tmp_path: Path) -> None:
    with_run(tmp_path, stopped("first")).close()

    with Store.open(tmp_path, create=False) as store:
        assert store.events("r1") == [(1, stopped("first"))]
        assert [(row.id, row.number, row.plan, row.epoch) for row in store.runs()] == [("r1", 1, "p", 0)]


def test_a_relative_workspace_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of an attempt is its name, so it must not depend on where somebody stands."""
    monkeypatch.chdir(tmp_path)

    with Store.open(Path()) as store:
        assert store.folder == tmp_path / STATE_FOLDER


def test_looking_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing has been run"):
        Store.open(tmp_path, create=False)

    assert list(tmp_path.iterdir()) == []


def _link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


def _dangling(folder: Path) -> None:
    folder.symlink_to("nowhere")


def _file(folder: Path) -> None:
    folder.touch()


def _wide(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)


def _fifo(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir(mode=0o700)
        os.mkfifo(folder / name)

    return make


def _linked_database(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "state.db").symlink_to("/etc/passwd")


def _dangling_database(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "state.db").symlink_to(folder.parent / "victim")


def _garbage(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "state.db").write_bytes(b"not a database at all " * 100)


def _foreign(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with sqlite3.connect(folder / "state.db") as database:
        database.execute("CREATE TABLE somebody(elses)")
    database.close()


def _marked_foreign(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with sqlite3.connect(folder / "state.db") as database:
        database.execute("PRAGMA user_version = 7")
    database.close()


def _newer(folder: Path) -> None:
    Store.open(folder.parent).close()
    with sqlite3.connect(folder / "state.db") as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()


@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (_link, "is not a folder"),
        (_dangling, "is not a folder"),
        (_file, "is not a folder"),
        (_wide, "open to other users"),
        (_fifo("state.db"), "not a regular file"),
        (_fifo("state.db-journal"), "not a regular file"),
        (_linked_database, "not a regular file"),
        (_dangling_database, "not a regular file"),
        (_garbage, "not a database that can be read"),
        (_foreign, "database of another program"),
        (_marked_foreign, "database of another program"),
        (_newer, "written by a newer wavecrew"),
    ],
)
def test_a_state_that_is_not_ours_is_refused_and_not_changed(
    tmp_path: Path, plant: Callable[[Path], None], reason: str
) -> None:
    plant(tmp_path / STATE_FOLDER)
    before = _picture(tmp_path)

    with pytest.raises(StoreError, match=reason) as caught:
        Store.open(tmp_path)

    assert caught.value.fix
    assert {name: text for name, text in _picture(tmp_path).items() if not name.endswith(".gitignore")} == before


def _picture(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith(".gitignore")
    }


def test_a_planted_link_in_place_of_the_ignore_file_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / STATE_FOLDER
    folder.mkdir(mode=0o700)
    (folder / ".gitignore").symlink_to(tmp_path / "victim")

    Store.open(tmp_path).close()

    assert not (tmp_path / "victim").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / STATE_FOLDER).mkdir(mode=0o700)
    os.chown(tmp_path / STATE_FOLDER, 65534, 65534)

    with pytest.raises(StoreError, match="belongs to another user"):
        Store.open(tmp_path)


def test_a_workspace_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be made: No such file"):
        Store.open(tmp_path / "missing")


def test_a_state_of_an_earlier_version_is_brought_up_to_this_one_and_keeps_what_it_holds(tmp_path: Path) -> None:
    with_run(tmp_path, stopped()).close()
    with sqlite3.connect(tmp_path / STATE_FOLDER / "state.db") as database:  # as the first version left it
        database.execute("DROP TABLE lock_break")
        database.execute("UPDATE counter SET value = 41")
        database.execute("PRAGMA user_version = 1")
    database.close()

    for _ in range(2):
        with Store.open(tmp_path) as store:
            assert store.events("r1") == [(1, stopped())]
            assert store.query("SELECT * FROM lock_break") == []
            assert store.query("SELECT value FROM counter WHERE name = 'fence'") == [(41,)]
            assert store.query("PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_on_a_read_only_disk_the_history_can_still_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_run(tmp_path, stopped()).close()
    connect = sqlite3.connect

    def refuse(target: object, **options: Any) -> sqlite3.Connection:
        if not options.get("uri"):
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return connect(target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)

    with Store.open(tmp_path) as store:
        assert store.events("r1") == [(1, stopped())]
        with pytest.raises(StoreError, match="can only be read"), store.transaction():
            pass


@pytest.mark.parametrize("writable", [True, False])
def test_a_database_that_cannot_be_opened_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    def refuse(*_: object, **__: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: writable)

    with pytest.raises(StoreError, match="cannot be opened: unable"):
        Store.open(tmp_path)


def test_another_process_may_make_the_schema_while_we_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two looks at a new database, somebody else finishes making it."""
    connect = sqlite3.connect
    for moment in range(8):
        workspace = tmp_path / str(moment)
        workspace.mkdir()
        looks: list[str] = []

        class Slow(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
                found = super().execute(sql, *values)
                looks.append(sql)  # noqa: B023
                if len(looks) == moment + 1 and not self.in_transaction:  # noqa: B023 -- used within the round
                    found = _Fetched(found.fetchone())  # type: ignore[assignment]
                    monkeypatch.setattr(sqlite3, "connect", connect)
                    Store.open(workspace).close()  # noqa: B023
                return found

        monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: connect(*a, factory=Slow, **o))
        with Store.open(workspace) as store:
            store.create_run("r1", at=1.0, plan="p", digest="d")
        assert len(looks) > moment


class _Fetched:
    """The row of a statement that has been read to its end."""

    def __init__(self, row: object) -> None:
        self._row = row

    def fetchone(self) -> object:
        return self._row


OPENER = """
import sys
from pathlib import Path
from wavecrew.core.store import Store
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    workspace = Path(sys.argv[1]) / str(number)
    with Store.open(workspace) as store:
        store.create_run(sys.argv[2], at=1.0, plan="p", digest="d")
"""


def test_processes_that_open_a_new_state_at_once_share_it(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).mkdir()
    with python(OPENER, tmp_path, "a") as one, python(OPENER, tmp_path, "b") as two:
        for other in (one, two):
            assert other.stdout is not None
            other.stdout.readline()
        for other in (one, two):
            assert other.stdin is not None
            other.stdin.write("\n")
            other.stdin.flush()
        assert [one.wait(PATIENCE), two.wait(PATIENCE)] == [0, 0]

    for number in range(10):
        with Store.open(tmp_path / str(number)) as store:
            assert sorted(row.id for row in store.runs()) == ["a", "b"]
            assert sorted(row.number for row in store.runs()) == [1, 2]


# -- transactions -----------------------------------------------------------------------------------------------


def test_what_fails_in_the_middle_has_not_happened(tmp_path: Path) -> None:
    with with_run(tmp_path) as store:
        with pytest.raises(KeyError), store.transaction() as tx:  # noqa: PT012
            store.append(tx, "r1", [stopped()])
            raise KeyError

        assert store.events("r1") == []
        with store.transaction() as tx:
            store.append(tx, "r1", [stopped("later")])
        assert store.events("r1") == [(1, stopped("later"))]


def test_a_database_that_was_removed_is_noticed_before_anything_is_written(tmp_path: Path) -> None:
    with with_run(tmp_path) as store:
        (tmp_path / STATE_FOLDER / "state.db").unlink()
        with pytest.raises(StoreError, match="removed or replaced"), store.transaction():
            pytest.fail("it began to write into the void")

        Store.open(tmp_path).close()
        with pytest.raises(StoreError, match="removed or replaced"):
            store.create_run("r2", at=1.0, plan="p", digest="d")


FULL = """
import resource, sys
from pathlib import Path
from wavecrew.core.store import Store
from wavecrew.errors import StoreError
from wavecrew.models import events as ev
workspace = Path(sys.argv[1])
store = Store.open(workspace)
store.create_run("r1", at=1.0, plan="p", digest="d")
size = (workspace / ".wavecrew" / "state.db").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 16384, resource.RLIM_INFINITY))
written = 0
try:
    while True:
        with store.transaction() as tx:
            store.append(tx, "r1", [ev.RunStopped(at=1.0, reason="x" * 1000)] * 3)
        written += 3
except StoreError as error:
    print(error)
print(written, len(store.events("r1")))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with store.transaction() as tx:
    store.append(tx, "r1", [ev.RunStopped(at=1.0, reason="again")])
print(len(store.events("r1")))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_loses_nothing_and_says_why(tmp_path: Path) -> None:
    with python(FULL, tmp_path) as program:
        output, _ = program.communicate(timeout=PATIENCE)

    reason, counts, later = output.splitlines()
    written, kept = map(int, counts.split())
    assert "could not be written" in reason
    assert "full" in reason or "I/O" in reason
    assert written == kept > 0
    assert int(later) == kept + 1


def test_a_damaged_database_is_told_in_our_words(tmp_path: Path) -> None:
    store = with_run(tmp_path, *[stopped("x" * 3000)] * 20)
    store.close()
    file = tmp_path / STATE_FOLDER / "state.db"
    content = bytearray(file.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    file.write_bytes(content)

    with pytest.raises(StoreError), Store.open(tmp_path) as damaged:
        damaged.events("r1")


# -- runs and events ----------------------------------------------------------------------------------------------


def test_events_come_back_as_they_went_in_numbered_without_gaps(tmp_path: Path) -> None:
    events: list[Event] = [
        ev.RunStarted(at=1.5, run="r1", plan_name="Ümlaut", plan_path="p", plan_digest="d", phases=(phase("a"),)),
        ev.CoordinatorStarted(at=2.0, epoch=1, pid=3, host="h", agents=4),
        ev.LockAwaited(at=2.0, phase="a", resource="x", holder="\udc80 undecodable"),
        ev.AttemptStarted(at=2.5, phase="a", attempt=1, agent="command", fence=7, log="l"),
        ev.AttemptEnded(at=3.0, phase="a", attempt=1, outcome=ev.Outcome.FAILED, cause=ev.Cause.EXIT, exit_code=-9),
    ]
    with with_run(tmp_path, *events[:2]) as store, Store.open(tmp_path) as watcher:
        with store.transaction() as tx:
            store.append(tx, "r1", events[2:])

        assert watcher.events("r1") == list(enumerate(events, start=1))
        assert watcher.events("r1", after=3) == list(enumerate(events, start=1))[3:]
        assert watcher.events("r2") == []


def test_runs_are_numbered_and_listed_newest_first(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for name in "abc":
            store.create_run(name, at=1.0, plan="p", digest="d")

        assert [(row.id, row.number) for row in store.runs()] == [("c", 3), ("b", 2), ("a", 1)]
        with pytest.raises(StoreError):
            store.create_run("a", at=1.0, plan="p", digest="d")


def test_only_the_latest_coordinator_may_record(tmp_path: Path) -> None:
    with with_run(tmp_path) as first, Store.open(tmp_path) as second:
        early = first.take_charge("r1")
        late = second.take_charge("r1")
        assert late > early

        with pytest.raises(RunBusyError, match="taken over"), first.transaction() as tx:
            first.append(tx, "r1", [stopped("too late")], epoch=early)
        with second.transaction() as tx:
            second.append(tx, "r1", [stopped("mine")], epoch=late)

        assert first.events("r1") == [(1, stopped("mine"))]
        with pytest.raises(NotFoundError, match="no run 'nope'"):
            first.take_charge("nope")


@pytest.mark.parametrize(
    ("version", "record", "reason"),
    [
        (99, "{}", "newer wavecrew"),
        (1, "{torn", "event 1 of run r1 cannot be read"),
        (1, '{"kind": "Unheard"}', "unknown event"),
        (1, '{"kind": "RunStopped", "nonsense": 1}', "cannot be read"),
    ],
)
def test_an_event_that_cannot_be_read_is_an_error_with_its_place(
    tmp_path: Path, version: int, record: str, reason: str
) -> None:
    with with_run(tmp_path) as store:
        with store.transaction() as tx:
            tx.execute("INSERT INTO event VALUES('r1', 1, ?, ?)", (version, record))

        with pytest.raises(StoreError, match=reason):
            store.events("r1")


def test_a_newer_sqlite_uses_a_write_ahead_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, mode in (((3, 51, 2), "persist"), ((3, 51, 3), "wal")):
        monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
        (tmp_path / mode).mkdir()
        with Store.open(tmp_path / mode) as store:
            assert store.query("PRAGMA journal_mode")[0][0] == mode
            assert store.query("PRAGMA synchronous")[0][0] == 2


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavecrew.core.store.is_network", lambda folder: True)
    with pytest.raises(StoreError, match="network file system") as refused:
        Store.open(tmp_path)
    assert "local disk" in refused.value.fix
    assert not (tmp_path / ".wavecrew").exists()
