"""Opening a board on what cannot be shown: clear words, the right exit code, no traceback; and on what can."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from run_stories import T0, good_run
from tui_world import World
from wavecrew.api.imports import FOLDER, MARK, NEW
from wavecrew.cli import ui_commands
from wavecrew.cli.main import _run
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import ExitCode
from wavecrew.tui.app import BoardApp
from wavecrew.tui.palette import PLAIN

Ui = Callable[..., tuple[int, str]]


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[BoardApp]:
    """Every board that would have been drawn; it is left at once."""
    found: list[BoardApp] = []
    monkeypatch.setattr(ui_commands, "require_terminal", lambda: None)
    monkeypatch.setattr(BoardApp, "run", lambda app, **_: found.append(app))
    return found


@pytest.fixture
def ui(
    tmp_path: Path, boards: list[BoardApp], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ui:
    """Runs `wavecrew ui ...` in a folder, and gives its exit code with all that it said."""

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["wavecrew", "-C", str(tmp_path), "ui", *arguments])
        code = _run()
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return code, said.err + said.out

    return call


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A run that is over."""
    found = World(tmp_path, good_run(), alive=False)
    yield found
    found.close()


def imported(world: World, name: str, *, mark: bool = True) -> Path:
    """A folder such as an import leaves, with an empty store in it. Gives its state folder."""
    folder = world.store.folder / FOLDER / name
    folder.mkdir(parents=True)
    with Store.open(folder) as store:
        store.create_run("beef01", at=T0, plan="imported", digest="", events=[])
    if mark:
        (folder / STATE_FOLDER / MARK).write_text(json.dumps({"at": T0, "source": "run.zip"}))
    return folder / STATE_FOLDER


@pytest.mark.parametrize("replay", [(), ("--replay",)])
def test_a_run_that_is_there_is_shown(world: World, ui: Ui, boards: list[BoardApp], replay: tuple[str, ...]) -> None:
    for reference in ((), ("3f2a",), ("1",), ("latest",)):
        code, said = ui(*reference, *replay)
        assert code == ExitCode.OK
        assert ("10 of 10 done" in said) != bool(replay)
        assert ("was played; as it is now: wavecrew status 3f2a" in said) == bool(replay)
    assert [bool(app.source.player) for app in boards] == [bool(replay)] * 4


def test_the_speed_of_a_replay(world: World, ui: Ui, boards: list[BoardApp]) -> None:
    assert ui("--replay", "--speed", "25")[0] == ExitCode.OK
    assert ui("--replay")[0] == ExitCode.OK
    assert [app.source.player.speed for app in boards if app.source.player] == [25, 10]
    code, said = ui("--speed", "25")
    assert code == ExitCode.USAGE
    assert "--speed is of use only with --replay\n  fix: wavecrew ui --replay --speed 25" in said
    assert ui("--replay", "--speed", "0")[0] == ExitCode.USAGE


@pytest.mark.parametrize("replay", [(), ("--replay",)])
def test_what_is_not_there_is_told(world: World, ui: Ui, boards: list[BoardApp], replay: tuple[str, ...]) -> None:
    world.store.create_run("3f99", at=T0 + 1, plan="plan", digest="7c1f", events=good_run()[:2])
    for reference, words in (("zzz", "no run begins with 'zzz'"), ("3f", "several runs begin with '3f'")):
        code, said = ui(reference, *replay)
        assert code == ExitCode.NOT_FOUND
        assert words in said
        assert "wavecrew runs list" in said
    assert boards == []


def test_where_nothing_was_run_nothing_is_made(tmp_path: Path, ui: Ui, boards: list[BoardApp]) -> None:
    code, said = ui()
    assert code == ExitCode.NOT_FOUND
    assert "wavecrew run" in said
    assert list(tmp_path.iterdir()) == []
    assert boards == []


def test_what_a_newer_version_has_written_is_told(world: World, ui: Ui, boards: list[BoardApp]) -> None:
    with world.store.transaction() as tx:
        record = json.dumps({"kind": "from the future"})
        tx.execute("INSERT INTO event(run, seq, version, record) VALUES('3f2a', 99, 99, ?)", (record,))
    code, said = ui("--replay")
    assert code == ExitCode.PREFLIGHT
    assert "newer wavecrew" in said
    with world.store.transaction() as tx:
        tx.execute("PRAGMA user_version = 99")
    code, said = ui()
    assert code == ExitCode.PREFLIGHT
    assert "newer wavecrew" in said
    assert boards == []


def test_an_import_that_is_not_whole_is_not_there(world: World, ui: Ui, boards: list[BoardApp]) -> None:
    imported(world, f"{NEW}beef01")
    imported(world, "beef01", mark=False)
    for replay in ((), ("--replay",)):
        code, said = ui("beef01", *replay)
        assert code == ExitCode.NOT_FOUND
        assert "no run begins with 'beef01'" in said
    assert boards == []


def test_an_import_that_is_damaged_is_told(world: World, ui: Ui, boards: list[BoardApp]) -> None:
    folder = imported(world, "beef01")
    for file in folder.glob("state.db*"):
        file.write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    code, said = ui("beef01")
    assert code not in (ExitCode.OK, ExitCode.INTERNAL)
    assert "beef01" in said
    assert boards == []


def test_a_run_that_has_recorded_nothing_yet(world: World, ui: Ui, boards: list[BoardApp]) -> None:
    world.store.create_run("beef01", at=T0 + 1, plan="plan", digest="7c1f", events=[])
    code, said = ui("beef01", "--replay")
    assert code == ExitCode.NOT_FOUND
    assert "run beef01 has no events to play" in said
    assert ui("beef01")[0] == ExitCode.OK
    assert len(boards) == 1


def test_a_run_that_is_being_written_is_played_as_far_as_it_is(tmp_path: Path, ui: Ui, boards: list[BoardApp]) -> None:
    world = World(tmp_path, good_run()[:9])
    try:
        assert ui("--replay")[0] == ExitCode.OK
        world.tell(*good_run()[9:12])
        assert ui("--replay")[0] == ExitCode.OK
        assert [len(app.source.player.recording.events) for app in boards if app.source.player] == [9, 12]
    finally:
        world.close()


def test_no_colour_and_no_utf8_are_asked_for(
    world: World, ui: Ui, boards: list[BoardApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert ui("--replay")[0] == ExitCode.OK
    assert [(app.theme, app.encoding) for app in boards] == [(PLAIN, "utf-8")]
    monkeypatch.setattr(ui_commands, "only_ascii", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    code, said = ui("--theme", "light")
    assert code == ExitCode.OK
    assert said.isascii()
    assert boards[-1].encoding == "ascii"
