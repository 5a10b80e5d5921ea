"""Runs as files: the same run comes out that went in, without its secrets; no archive reaches further than it may, and
whatever is wrong with one, nothing is left behind."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import random
import stat
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from run_stories import MINITABLE, T0, asked, bad_run, end, fail, good_run, histories, opening, phase, start, work
from wavecrew.api import archive_reader, unpacking
from wavecrew.api.archive import MOST_FILES, MOST_LOG_BYTES, export_run
from wavecrew.api.history import OpenedRun, open_run, place_of, require_own
from wavecrew.api.imports import Import, forget, import_named, imports_in
from wavecrew.api.report import report_of
from wavecrew.api.unpacking import import_run
from wavecrew.core.attempts import LOG_NAME, attempt_folder
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import InvalidValueError, NotFoundError, RunBusyError, StoreError, UsageError, WavecrewError
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.stored_events import to_record
from wavecrew.views.board_plan import head_line
from wavecrew.views.report_html import html_of
from wavecrew.views.report_markdown import markdown_of
from wavecrew.views.report_text import text_of
from wavecrew.views.run_history import History
from wavecrew.views.run_status import run_text, runs_table, status_data, status_text
from wavecrew.views.summary import Summary, summarize

Logs = dict[tuple[str, int, str], bytes]


def record(folder: Path, events: list[Event], logs: Logs | None = None) -> None:
    """A workspace with one run."""
    folder.mkdir(exist_ok=True)
    with Store.open(folder) as store:
        store.create_run("3f2a", at=T0, plan="plan", digest="x", events=events)
    for (name, attempt, beside), text in (logs or {}).items():
        path = attempt_folder(folder / STATE_FOLDER, "3f2a", name, attempt) / beside / LOG_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def opened(folder: Path, reference: str = "latest") -> OpenedRun:
    with Store.open(folder, create=False) as store:
        return open_run(store, reference)


def exported(folder: Path, target: Path | None = None, **options: Any) -> Path:
    found = target or folder.parent / f"{folder.name}.zip"
    export_run(opened(folder), found, options.pop("environ", {}), **options)
    return found


def summary(run: OpenedRun) -> Summary:
    history, signs = History(run.events), run.signs()
    return summarize(run.state, T0 + 9000, alive=run.alive, history=history, signs=signs)


LOGS: Logs = {
    ("01", 1, ""): b"built\n",
    ("05", 1, ""): b"\x1b[31mred\xff\x00\n",
    ("05", 1, "gate-1"): b"checks\n",
    ("06", 1, ""): b"first\n",
    ("06", 2, ""): b"second\n",
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    record(tmp_path / "here", bad_run(), LOGS)
    return tmp_path / "here"


@pytest.fixture
def archive(here: Path) -> Path:
    return exported(here)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


def left(workspace: Path) -> list[str]:
    """What lies among the imports of a workspace."""
    folder = workspace / STATE_FOLDER / "imports"
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.exists() else []


# -- there and back ---------------------------------------------------------------------------------------------


def test_a_run_comes_out_as_it_went_in(here: Path, archive: Path, there: Path) -> None:
    found = import_run(there, archive)
    assert (found.run, found.source) == ("3f2a", "here.zip")
    before, after = opened(here), opened(there)
    assert after.state.imported == "here.zip"
    assert summary(after) == replace(summary(before), imported="here.zip", rows=summary(after).rows)
    assert [replace(row, log="") for row in summary(after).rows] == [
        replace(row, log="") for row in summary(before).rows
    ]
    for (name, attempt, beside), text in LOGS.items():
        log = after.log_file(name, attempt)
        assert (log.parent / beside / LOG_NAME if beside else log).read_bytes() == text
    assert left(there) == ["3f2a"]


def test_it_is_found_by_name_and_marked_wherever_it_is_shown(archive: Path, there: Path) -> None:
    import_run(there, archive)
    for reference in ("latest", "3f2a", "3f"):
        assert opened(there, reference).state.imported == "here.zip"
        with place_of(there, reference) as (folder, store):
            assert folder == there / STATE_FOLDER / "imports" / "3f2a"
            assert open_run(store).row.id == "3f2a"
    shown = summary(opened(there))
    assert "it was imported from here.zip" in status_text(shown)
    assert "next: wavecrew report 3f2a" in status_text(shown)
    assert "next: wavecrew report 3f2a" in run_text(shown)
    assert "minitable (imported)" in runs_table([shown])
    assert status_data(shown)["imported"] == "here.zip"


def test_reports_and_the_board_say_that_it_was_imported(archive: Path, there: Path) -> None:
    import_run(there, archive)
    with Store.open(there) as store:
        report = report_of(store, there)
    assert "minitable (imported)" in html_of(report, None)
    assert "minitable (imported)" in markdown_of(report, None)
    assert "run 3f2a was imported" in " ".join(text_of(report, None).split())
    assert "minitable (imported)" in "".join(piece.text for piece in head_line(summary(opened(there)), 200))


def test_a_run_of_this_workspace_comes_before_an_imported_one(archive: Path, there: Path) -> None:
    import_run(there, archive)
    with Store.open(there) as store:
        begun = replace(opening(*MINITABLE)[0], run="9999")
        store.create_run("9999", at=T0, plan="plan", digest="x", events=[begun])
        assert open_run(store).row.id == "9999"
        assert open_run(store, "3f2a").state.imported
        with pytest.raises(NotFoundError):
            open_run(store, "77")
        with pytest.raises(NotFoundError), place_of(there, "77") as (_, same):
            open_run(same, "77")


def test_nothing_can_go_on_with_it(archive: Path, there: Path) -> None:
    import_run(there, archive)
    with pytest.raises(UsageError, match="run 3f2a was imported"):
        require_own(opened(there))


def test_an_unfinished_run_can_be_sent_and_its_agents_are_not_looked_for_here(tmp_path: Path, there: Path) -> None:
    record(tmp_path / "here", [*opening(*MINITABLE), start(0, "01")])
    import_run(there, exported(tmp_path / "here"))
    run = opened(there)
    assert run.signs() == {}
    assert not run.alive
    text = status_text(summary(run))
    assert "imported from here.zip" in text
    assert "`wavecrew run` goes on with it" not in text


def test_an_imported_run_can_be_sent_on(archive: Path, there: Path, tmp_path: Path) -> None:
    import_run(there, archive)
    again = exported(there, tmp_path / "again.zip")
    other = tmp_path / "other"
    other.mkdir()
    assert import_run(other, again).source == "again.zip"
    assert opened(other).state.imported == "again.zip"


@settings(max_examples=20)
@given(histories())
def test_any_history_survives_the_way(events: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        record(root / "here", events)
        (root / "there").mkdir()
        import_run(root / "there", exported(root / "here"))
        back = [_unlogged(event) for event in opened(root / "there").events]
        assert back == [_unlogged(event) for event in events]


def _unlogged(event: Event) -> Event:
    if isinstance(event, ev.AttemptStarted):
        return replace(event, log="")
    return replace(event, imported="") if isinstance(event, ev.RunStarted) else event


# -- what is in a file ------------------------------------------------------------------------------------------


def test_the_same_run_is_always_the_same_bytes(here: Path, archive: Path, tmp_path: Path) -> None:
    assert exported(here, tmp_path / "second.zip").read_bytes() == archive.read_bytes()


def test_an_archive_is_closed_to_others_and_so_is_what_is_made_of_it(archive: Path, there: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    home = import_run(there, archive).workspace
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    state = home / STATE_FOLDER
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o022 == 0 for path in home.rglob("*"))


def test_neither_locks_nor_the_database_go_along(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
    assert names == [
        "events.jsonl",
        "plan.json",
        "logs/01/1/log",
        "logs/05/1/gate-1/log",
        "logs/05/1/log",
        "logs/06/1/log",
        "logs/06/2/log",
        "manifest.json",
    ]


def test_logs_can_stay_at_home(here: Path, there: Path, tmp_path: Path) -> None:
    import_run(there, exported(here, tmp_path / "small.zip", logs=False))
    assert not opened(there).log_file("01").exists()


def test_of_a_long_log_head_and_tail_go_along(tmp_path: Path, there: Path) -> None:
    long = b"begin\n" + b"x" * (MOST_LOG_BYTES + 1000) + b"\nend\n"
    record(tmp_path / "here", [*opening(*MINITABLE), start(0, "01")], {("01", 1, ""): long})
    target = tmp_path / "a.zip"
    told = export_run(opened(tmp_path / "here"), target, {})
    assert (told.cut, told.logs, told.left_out) == (1, 1, 0)
    import_run(there, target)
    kept = opened(there).log_file("01").read_bytes()
    assert kept.startswith(b"begin\n")
    assert kept.endswith(b"\nend\n")
    assert b"\n[1011 bytes were left out]\n" in kept


def test_a_log_that_is_a_link_or_a_pipe_stays_at_home(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret of another place")
    record(tmp_path / "here", [*opening(phase("1"), phase("2")), start(0, "1"), start(0, "2")])
    for name in ("1", "2"):
        folder = attempt_folder(tmp_path / "here" / STATE_FOLDER, "3f2a", name, 1)
        folder.mkdir(parents=True)
        if name == "1":
            (folder / LOG_NAME).symlink_to(canary)
        else:
            os.mkfifo(folder / LOG_NAME)
    told = export_run(opened(tmp_path / "here"), tmp_path / "a.zip", {})
    assert (told.logs, told.left_out) == (0, 2)
    assert b"another place" not in (tmp_path / "a.zip").read_bytes()


def test_secrets_stay_at_home_wherever_they_were_written(tmp_path: Path, there: Path) -> None:
    value, named = "hunter2-hunter2-hunter2", "named-by-the-settings"
    events = [
        *opening(phase(f"{value} {named}"), settings={"env": ["GIVEN"], "agent_env": ["claude:OTHER"]}),
        start(0, value),
        fail(1, value, detail=f"it said {named} and ghp_{'a' * 40} and other-other"),
    ]
    record(tmp_path / "here", events, {(value, 1, ""): f"\x1b[1m{value}\nAuthorization: Bearer abcdef\n".encode()})
    environ = {"MY_API_KEY": value, "GIVEN": named, "OTHER": "other-other", "PATH": "/bin", "LANG": "en_US.UTF-8"}
    target = tmp_path / "a.zip"
    told = export_run(opened(tmp_path / "here"), target, environ)
    assert told.hidden >= 6
    with zipfile.ZipFile(target) as file:
        whole = b"".join(file.read(name) for name in file.namelist()) + "".join(file.namelist()).encode()
    for secret in (value, named, "other-other", "abcdef", "a" * 40):
        assert secret.encode() not in whole
    import_run(there, target)
    run = opened(there)
    assert list(run.state.graph.nodes) == ["[hidden MY_API_KEY]"]
    assert b"[hidden MY_API_KEY]" in run.log_file("[hidden MY_API_KEY]").read_bytes()


def test_a_secret_that_two_names_differ_in_is_told(tmp_path: Path) -> None:
    first, second = "sk-" + "a" * 30, "sk-" + "b" * 30
    record(tmp_path / "here", [*opening(phase(first), phase(second))])
    with pytest.raises(UsageError, match="a secret is part of the name of a phase"):
        export_run(opened(tmp_path / "here"), tmp_path / "a.zip", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]


def test_a_file_is_not_overwritten_unasked(here: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        exported(here, target)
    assert target.read_text() == "mine"
    exported(here, target, force=True)
    assert zipfile.is_zipfile(target)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        exported(here, tmp_path / "folder", force=True)
    with pytest.raises(UsageError, match="cannot be written"):
        exported(here, tmp_path / "none" / "a.zip")


# -- what is no sound archive -----------------------------------------------------------------------------------


class Forge:
    """An archive that a stranger makes of a sound one. The manifest fits, unless a test says otherwise."""

    def __init__(self, archive: Path) -> None:
        with zipfile.ZipFile(archive) as file:
            self.files = {name: file.read(name) for name in file.namelist()}
        self.manifest: dict[str, Any] = json.loads(self.files.pop("manifest.json"))
        self.honest = True
        self.edit: Callable[[zipfile.ZipInfo], None] = lambda entry: None

    def events(self, *events: Event) -> None:
        self.lines(*(json.dumps(to_record(event)) for event in events))

    def lines(self, *lines: str) -> None:
        self.files["events.jsonl"] = "".join(line + "\n" for line in lines).encode()

    def write(self, target: Path) -> Path:
        if self.honest:
            self.manifest["files"] = {
                name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for name, data in self.files.items()
            }
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in (*self.files.items(), ("manifest.json", json.dumps(self.manifest).encode())):
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (stat.S_IFREG | 0o600) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                self.edit(entry)
                file.writestr(entry, data)
        return target


@pytest.fixture
def forge(archive: Path) -> Forge:
    return Forge(archive)


def refused(there: Path, file: Path, why: str = "no archive of a run") -> None:
    """It is not taken in, for a reason in words, and nothing is left of it."""
    with pytest.raises(InvalidValueError, match=why) as error:
        import_run(there, file)
    assert error.value.reason.isprintable()
    assert left(there) == []
    with Store.open(there) as store:
        assert store.runs() == []


def test_a_forged_archive_that_is_sound_is_taken_in(forge: Forge, there: Path, tmp_path: Path) -> None:
    assert import_run(there, forge.write(tmp_path / "f.zip")).run == "3f2a"


_NAMES = (
    "../evil",
    "/etc/evil",
    "logs/../../evil",
    "logs/01/1/../../../evil",
    "logs/01/1/log/../../x",
    "logs\\01\\1\\log",
    "C:\\evil",
    "logs/01/1/",
    "logs/01/0/log",
    "logs/01/1/a/b/log",
    "logs/01/1/lo\ng",
    "logs/01/1/..//log",
    "state.db",
    "locks.json",
    "imported.json",
    ".wavecrew/state.db",
    "Events.jsonl",
    "logs/01/1/job.json",
    "logs/\u202e/1/log",
    "x" * 5000,
)


@pytest.mark.parametrize("name", _NAMES)
def test_names_that_lead_anywhere_else_are_refused(forge: Forge, there: Path, tmp_path: Path, name: str) -> None:
    forge.files[name] = b"evil"
    refused(there, forge.write(tmp_path / "f.zip"), "which is no file of a run")
    assert not list(tmp_path.rglob("evil"))


def test_a_name_that_only_begins_well_is_refused(forge: Forge, there: Path, tmp_path: Path) -> None:
    forge.files["logs/01/1/logX../../evil"] = b"evil"
    file = forge.write(tmp_path / "f.zip")
    file.write_bytes(file.read_bytes().replace(b"logs/01/1/logX", b"logs/01/1/log\0"))
    refused(there, file)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, 0])
def test_only_regular_files_are_taken(forge: Forge, there: Path, tmp_path: Path, kind: int) -> None:
    forge.files["logs/01/1/log"] = b"/etc/passwd"

    def edit(entry: zipfile.ZipInfo) -> None:
        if entry.filename == "logs/01/1/log":
            entry.external_attr = (kind | 0o777) << 16
            entry.create_system = 3

    forge.edit = edit
    refused(there, forge.write(tmp_path / "f.zip"), "is not a regular file")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(forge: Forge, there: Path, tmp_path: Path, method: int) -> None:
    forge.edit = lambda entry: setattr(entry, "compress_type", method)
    refused(there, forge.write(tmp_path / "f.zip"), "packed in a way")


def test_a_file_that_is_there_twice_is_refused(forge: Forge, there: Path, tmp_path: Path) -> None:
    file = forge.write(tmp_path / "f.zip")
    entry = zipfile.ZipInfo("events.jsonl")
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    with zipfile.ZipFile(file, "a") as more, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more.writestr(entry, b"{}")
    refused(there, file, "twice")


def _declared(data: bytes, name: bytes, size: int) -> bytes:
    """The list of an archive with another size for one file."""
    place = data.rindex(b"PK\1\2", 0, data.rindex(name))
    return data[: place + 24] + size.to_bytes(4, "little") + data[place + 28 :]


@pytest.mark.parametrize("size", [2**31, 600 * 2**20, 3])
def test_a_bomb_is_refused_whether_it_says_so_or_not(forge: Forge, there: Path, tmp_path: Path, size: int) -> None:
    forge.files["logs/01/1/log"] = b"\0" * 2_000_000
    file = forge.write(tmp_path / "f.zip")
    file.write_bytes(_declared(file.read_bytes(), b"logs/01/1/log", size))
    refused(there, file)


def test_many_files_that_would_be_too_much_together_are_refused(
    forge: Forge, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_reader, "MOST_BYTES", 10_000)
    monkeypatch.setattr(archive_reader, "MOST_MANIFEST_BYTES", 10_000)
    forge.files["logs/01/1/log"] = forge.files["logs/06/1/log"] = forge.files["logs/06/2/log"] = b"\0" * 9_000
    refused(there, forge.write(tmp_path / "f.zip"), "it would have")


def test_a_list_that_is_too_long_is_refused_before_it_is_read(there: Path, tmp_path: Path) -> None:
    file = tmp_path / "f.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(MOST_FILES + 1):
            archive.writestr(f"logs/01/{number}/log", b"")
    refused(there, file, "at most|too many files")


def test_an_archive_that_is_too_large_is_refused(archive: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_MOST_ARCHIVE_BYTES", 100)
    refused(there, archive, "at most 100")


def test_whatever_is_cut_off_or_changed_is_seen(archive: Path, there: Path, tmp_path: Path) -> None:
    data, file = archive.read_bytes(), tmp_path / "f.zip"
    for length in (0, 1, 21, 22, *range(30, len(data), max(1, len(data) // 40)), len(data) - 1):
        file.write_bytes(data[:length])
        refused(there, file)
    for more in (b"\0", b"x" * 70_000):
        file.write_bytes(data + more)
        refused(there, file)


def test_any_byte_that_is_turned_is_seen_or_does_not_matter(archive: Path, there: Path, tmp_path: Path) -> None:
    data, file, chance = archive.read_bytes(), tmp_path / "f.zip", random.Random(7)
    for _ in range(150):
        place = chance.randrange(len(data))
        file.write_bytes(data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :])
        try:
            found = import_run(there, file)
        except InvalidValueError:
            assert left(there) == []
            continue
        assert summary(opened(there)).done == 7
        with Store.open(there) as store:
            forget(store, found.run)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x1f\x8b" + b"\0" * 50, b"PK\5\6" + b"\0" * 18, b"hello" * 100])
def test_what_is_no_archive_is_refused(there: Path, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    refused(there, tmp_path / "f")


def test_the_form_for_huge_archives_is_refused(archive: Path, there: Path, tmp_path: Path) -> None:
    data = archive.read_bytes()
    file = tmp_path / "f.zip"
    file.write_bytes(data[:-22] + b"PK\6\7" + b"\0" * 16 + data[-22:])
    refused(there, file, "was not written by wavecrew")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "else"}, "not that of a run"),
        ({"schema": 2}, "newer wavecrew .schema 2"),
        ({"event_version": 99}, "newer wavecrew .event_version 99"),
        ({"schema": True}, "has no schema"),
        ({"schema": "1"}, "has no schema"),
        ({"schema": 0}, "has no schema"),
        ({"event_version": None}, "has no event_version"),
        ({"run": "../evil"}, "no run can have"),
        ({"run": ""}, "no run can have"),
        ({"run": "a/b"}, "no run can have"),
        ({"run": ".new-x"}, "no run can have"),
        ({"run": 3}, "no run can have"),
        ({"run": "x" * 65}, "no run can have"),
        ({"run": "a\n"}, "no run can have"),
        ({"run": "other"}, "not those of its run"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    forge: Forge, there: Path, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    forge.manifest |= change
    refused(there, forge.write(tmp_path / "f.zip"), why)


def test_what_the_manifest_does_not_list_or_lists_otherwise_is_refused(
    forge: Forge, there: Path, tmp_path: Path
) -> None:
    forge.honest = False
    lost = dict(forge.manifest["files"])
    for files in ([], {}, {"events.jsonl": lost["events.jsonl"]}, {**lost, "logs/01/2/log": lost["logs/01/1/log"]}):
        forge.manifest["files"] = files
        refused(there, forge.write(tmp_path / "f.zip"), "the files that its manifest lists")
    for name in ("events.jsonl", "logs/06/2/log"):
        for told in (None, {}, {"size": 1, "sha256": "0" * 64}, {**lost[name], "sha256": "0" * 64}):
            forge.manifest["files"] = {**lost, name: told}
            refused(there, forge.write(tmp_path / "f.zip"), "is not what its manifest says")


def test_a_manifest_that_is_missing_or_no_json_is_refused(forge: Forge, there: Path, tmp_path: Path) -> None:
    for data in (None, b"", b"[]", b"{", b"[" * 100_000, b"\xff", b'{"kind": NaN}'):
        file = tmp_path / "f.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (*forge.files.items(), *((("manifest.json", data),) if data is not None else ())):
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (stat.S_IFREG | 0o600) << 16
                archive.writestr(entry, content)
        refused(there, file)


_BEGIN = json.dumps(to_record(opening(*MINITABLE)[0]))
_CHARGE = json.dumps(to_record(opening(*MINITABLE)[1]))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ((), "not those of its run"),
        (("{}",), "event 1 cannot be read"),
        (("[]",), "event 1 holds what no event can hold"),
        (("not json",), "event 1 is not JSON"),
        (("[" * 50_000,), "event 1 is not JSON"),
        ((_CHARGE,), "do not fit|not those of its run"),
        ((_BEGIN, _BEGIN), "do not fit each other"),
        ((_BEGIN, '{"kind":"Unheard","at":1}'), "event 2 cannot be read: unknown event"),
        ((_BEGIN, '{"kind":"RunPaused","at":NaN,"by":"x"}'), "event 2 is not JSON"),
        ((_BEGIN, '{"kind":"RunPaused","at":1e999,"by":"x"}'), "event 2 holds what no event can hold"),
        ((_BEGIN, '{"kind":"RunPaused","at":-1e300,"by":"x"}'), "event 2 holds what no event can hold"),
        ((_BEGIN, '{"kind":"RunPaused","at":' + "9" * 400 + ',"by":"x"}'), "event 2 holds what no event can hold"),
        ((_BEGIN, '{"kind":"RunPaused","at":1,"by":"x","more":1}'), "event 2 cannot be read"),
        ((_BEGIN, '{"kind":"RunPaused","at":"1","by":"x"}'), "event 2 cannot be read"),
        ((_BEGIN, _CHARGE, json.dumps(to_record(end(1, "01")))), "do not fit each other"),
        ((_BEGIN.replace('"3f2a"', '"beef"'),), "not those of its run"),
    ],
)
def test_events_that_make_no_sense_are_refused(
    forge: Forge, there: Path, tmp_path: Path, lines: tuple[str, ...], why: str
) -> None:
    forge.files = {"plan.json": b"{}"}
    forge.lines(*lines)
    refused(there, forge.write(tmp_path / "f.zip"), why)


def test_an_archive_without_events_is_refused(forge: Forge, there: Path, tmp_path: Path) -> None:
    del forge.files["events.jsonl"]
    refused(there, forge.write(tmp_path / "f.zip"), "it holds no events")


def test_a_log_of_no_attempt_is_refused(forge: Forge, there: Path, tmp_path: Path) -> None:
    forge.files["logs/06/3/log"] = b"x"
    refused(there, forge.write(tmp_path / "f.zip"), "is the log of no attempt")


def test_a_log_is_where_we_put_it_whatever_the_events_say(forge: Forge, there: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("not yours")
    events = [
        replace(event, log=f"../../../../{canary}") if isinstance(event, ev.AttemptStarted) else event
        for event in bad_run()
    ]
    forge.events(*events)
    import_run(there, forge.write(tmp_path / "f.zip"))
    run = opened(there)
    for found in run.state.phase_states.values():
        assert not found.log or found.log.startswith("runs/3f2a/")
    assert "not yours" not in (run.state_folder / run.state.phase_states["05"].log).read_text(errors="replace")


def test_a_stranger_cannot_pass_a_run_off_as_ours(forge: Forge, there: Path, tmp_path: Path) -> None:
    events = [replace(event, imported="") if isinstance(event, ev.RunStarted) else event for event in good_run()]
    forge.files = {"plan.json": b"{}"}
    forge.events(*events)
    import_run(there, forge.write(tmp_path / "f.zip"))
    assert opened(there).state.imported == "f.zip"


# -- all or nothing ---------------------------------------------------------------------------------------------


def test_a_run_that_is_here_already_is_refused(here: Path, archive: Path, there: Path) -> None:
    with pytest.raises(UsageError, match="is a run of this workspace"):
        import_run(here, archive)
    import_run(there, archive)
    with pytest.raises(UsageError, match="was imported already"):
        import_run(there, archive)
    assert left(there) == ["3f2a"]


def test_what_cannot_be_written_leaves_nothing_behind(
    archive: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = unpacking.ArchiveReader.copy

    def full(self: Any, name: str, target: Path) -> None:
        if name.startswith("logs/06"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, name, target)

    monkeypatch.setattr(unpacking.ArchiveReader, "copy", full)
    with pytest.raises(StoreError, match="No space left on device"):
        import_run(there, archive)
    assert left(there) == []
    monkeypatch.undo()
    assert import_run(there, archive).run == "3f2a"


def test_what_a_killed_import_left_is_never_seen_and_cleared_by_the_next(archive: Path, there: Path) -> None:
    with Store.open(there) as store:
        half = store.folder / "imports" / ".new-abc" / STATE_FOLDER
        half.mkdir(parents=True)
        (half / "imported.json").write_text("{}")
        assert imports_in(store.folder) == []
        assert import_named(store.folder, ".new") is None
    import_run(there, archive)
    assert left(there) == ["3f2a"]


def test_two_imports_at_once_do_not_meet(archive: Path, there: Path) -> None:
    with Store.open(there) as store:
        home = store.folder / "imports"
        home.mkdir(mode=0o700)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunBusyError, match="another run is being imported"):
            import_run(there, archive)
    assert left(there) == []


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused_and_never_waited_for(there: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "f"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises((NotFoundError, UsageError)):
        import_run(there, path)


def test_only_imported_runs_are_forgotten(here: Path, archive: Path, there: Path) -> None:
    import_run(there, archive)
    with Store.open(there) as store:
        assert isinstance(forget(store, "3f"), Import)
        assert left(there) == []
        with pytest.raises(NotFoundError):
            forget(store, "3f")
    with Store.open(here) as store, pytest.raises(UsageError, match="one of this workspace"):
        forget(store, "3f2a")


def test_an_import_whose_mark_is_damaged_is_still_no_run_of_ours(archive: Path, there: Path) -> None:
    found = import_run(there, archive)
    for text in ("", "[]", '{"at": "x"}'):
        (found.workspace / STATE_FOLDER / "imported.json").write_text(text)
        assert [one.run for one in imports_in(there / STATE_FOLDER)] == ["3f2a"]
        assert opened(there).state.imported
    (found.workspace / STATE_FOLDER / "state.db").unlink()
    with pytest.raises(WavecrewError):
        opened(there)


def test_hostile_words_in_an_archive_steer_no_screen(forge: Forge, there: Path, tmp_path: Path) -> None:
    forge.files = {"plan.json": b"{}"}
    forge.events(
        *opening(phase("01 evil")),
        start(0, "01"),
        fail(1, "01", detail="\x1b]52;c;eA==\x07\x9b2J"),
        asked(2, "\x1b[31m"),
    )
    file = forge.write(tmp_path / "\x1b[31mf.zip")
    import_run(there, file)
    text = status_text(summary(opened(there)))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_run_in_worktrees_can_be_sent(tmp_path: Path, there: Path) -> None:
    record(tmp_path / "here", [*opening(*MINITABLE, isolation="worktree"), work(0, "01")], {("01", 1, ""): b"x"})
    import_run(there, exported(tmp_path / "here"))
    assert opened(there).log_file("01").read_bytes() == b"x"
