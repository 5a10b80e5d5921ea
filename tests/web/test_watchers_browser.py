"""One run in a real browser beside everything else that can watch it: all show the same numbers at every standstill.

The browser is one of its own that is ended with SIGKILL in mid-run, and the run does not mind.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from get_browser import cache, chromium
from repo import Repo
from sandbox import Sandbox
from test_e2e_watchers import (
    come_to_the_end,
    gates,
    shows_the_failure,
    stand_still_after_a_failure,
    stand_still_at_the_start,
    stand_still_at_work,
)
from watchers import STANDINGS, Numbers, Watch, counted, plan, until


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """A run to be watched, in a git repository; every process is ended."""
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    box = Sandbox(tmp_path / "work", tmp_path / "home")
    repo = Repo(box)
    repo.begin()
    plan(repo)
    found = Watch(repo)
    yield found
    found.close()
    box.close()


class Browser:
    """A Chromium in a process that the test may kill, with the page open in it."""

    def __init__(self, kind: Any, home: Path, link: str) -> None:
        program = chromium(cache())
        assert program is not None
        profile = home / "profile"
        flags = ["--headless=new", "--remote-debugging-port=0", "--disable-dev-shm-usage", "--no-first-run"]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        with (home / "browser").open("wb") as out:
            self.process = subprocess.Popen(
                [program, *flags, f"--user-data-dir={profile}", "about:blank"], stdout=out, stderr=out
            )
        told = profile / "DevToolsActivePort"
        until(lambda: told.exists() and len(told.read_text().split()) == 2, "the browser to listen")
        self._browser = kind.connect_over_cdp(f"http://127.0.0.1:{told.read_text().split()[0]}", timeout=60_000)
        self.page = self._browser.contexts[0].new_page()
        self.page.set_default_timeout(60_000)
        self.page.goto(link)
        self.page.wait_for_selector("body[data-live]")

    def numbers(self) -> Numbers:
        """What the page shows: its head, its table, its title and its list of what needs somebody."""
        page = self.page
        rows = Counter(page.locator("#table tbody td:nth-of-type(2) span").all_text_contents())
        told = counted(page.locator("#counts").text_content().split(" · "))
        found = {name: rows[name] for name in STANDINGS}
        title = re.match(r"(?:\((\d+)\) )?(\d+)/(\d+) ", page.title())
        if title is None or any(told[name] != found[name] for name in STANDINGS if name in told):
            return {"done": "its head and its rows differ", **found}
        shown = (int(title[1] or 0), int(title[2]), int(title[3]))
        if (
            shown != (told["needs you"], told["done"], told["total"])
            or shown[0] != page.locator("#needed > li").count()
        ):
            return {"done": f"its title says {page.title()}", **told}
        return told | found | {"left": page.locator("#left").text_content().split(" · pacing")[0]}


def test_a_browser_shows_what_all_others_show_and_its_death_harms_nobody(watch: Watch, browser: Any) -> None:
    watch.start_run("live")
    until(lambda: (watch.box.folder / ".wavecrew/state.db").exists(), "the state")
    until(lambda: watch.box.wavecrew("status", "--json").code == 0 and len(gates(watch)) == 4, "the first gates")
    watch.start_page()
    watch.start_board()
    watch.start_status("status")
    watch.start_listener("listener")
    own = Browser(browser.browser_type, watch.box.home, watch.link)
    watch.add("browser", own.process, own.numbers)
    other = browser.new_context().new_page()
    other.goto(watch.link)
    other.wait_for_selector("body[data-live]")

    stand_still_at_the_start(watch)
    stand_still_at_work(watch)
    stand_still_after_a_failure(watch)

    watch.kill("browser")
    watch.kill("status")
    shows_the_failure(watch)
    come_to_the_end(watch)
    other.wait_for_selector("#counts:has-text('7 of 7 done')")
