"""One run, watched by everything at once: all show the same numbers, and the run minds the death of none of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from repo import Repo
from watchers import Watch, plan, until

UNKNOWN = "time left unknown"
TWO_MONTHS = "about 59d23h left"


@pytest.fixture
def watch(repo: Repo) -> Iterator[Watch]:
    """A run to be watched; every process is ended."""
    plan(repo)
    found = Watch(repo)
    yield found
    found.close()


def good(watch: Watch, *arguments: str) -> None:
    done = watch.box.wavecrew(*arguments)
    assert done.code == 0, done


def gates(watch: Watch) -> set[str]:
    return set(watch.box.status()["needs_you"])


def stand_still_at_the_start(watch: Watch) -> None:
    watch.all_show(UNKNOWN, done=0, needed=4, ready=4, to_come=3)


def stand_still_at_work(watch: Watch) -> None:
    good(watch, "approve", "phase a", "phase b", "phase c")
    watch.all_show(UNKNOWN, done=0, needed=1, running=2, waiting=1, ready=1, to_come=3)


def stand_still_after_a_failure(watch: Watch) -> None:
    watch.go("a")
    until(lambda: gates(watch) == {"phase d", "phase f", "phase g"}, "the gates behind a")
    good(watch, "approve", "phase d")
    good(watch, "skip", "g", "--reason", "not now")
    shows_the_failure(watch)


def shows_the_failure(watch: Watch) -> None:
    counts = {"passed": 1, "skipped": 1, "running": 1, "waiting": 1, "ready": 1, "failed": 1, "blocked": 1}
    watch.all_show(TWO_MONTHS, done=2, needed=1, **counts)


def come_to_the_end(watch: Watch) -> None:
    """What failed is mended and done again; everything else is let go."""
    (watch.box.home / "mended").touch()
    good(watch, "retry", "d")
    until(lambda: gates(watch) == {"phase e", "phase f"}, "the gate behind d")
    good(watch, "approve", "--all")
    watch.go("b", "c", "f")
    assert watch.run is not None
    assert watch.run.wait(120) == 0
    watch.readers = {name: read for name, read in watch.readers.items() if not name.startswith("run")}
    watch.all_show("", done=7, needed=0, passed=6, skipped=1)
    good(watch, "verify")
    data = watch.box.status()
    assert data["status"] == "succeeded"
    assert {one["attempts"] for one in data["phases"] if one["id"] in "abcef"} == {1}


@pytest.mark.parametrize("ui", ["plain", "live"])
def test_all_who_watch_a_run_show_the_same_and_none_can_harm_it(watch: Watch, ui: str) -> None:
    watch.start_run(ui)
    until(lambda: (watch.box.folder / ".wavecrew/state.db").exists(), "the state")
    until(lambda: watch.box.wavecrew("status", "--json").code == 0 and len(gates(watch)) == 4, "the first gates")
    watch.start_page()
    watch.start_board()
    stays = watch.start_status("status that stays")
    watch.start_status("status")
    for name in ("listener", "listener of this page"):
        watch.start_listener(name)

    stand_still_at_the_start(watch)
    stand_still_at_work(watch)
    stand_still_after_a_failure(watch)

    for name in ("listener", "board", "status", "listener of this page", "page"):
        watch.kill(name)
    watch.start_page()
    watch.start_board()
    watch.start_listener("listener of another page")
    shows_the_failure(watch)

    come_to_the_end(watch)
    assert stays.end().code == 0
