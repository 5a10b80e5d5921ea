"""The tier that drives the page with a real browser: `make test-web`.

Without a Chromium nothing here is run, and each test says so loudly. WAVECREW_CHROMIUM names one that is not found by
itself; `make test-web` fetches one where there is none.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from get_browser import cache, chromium
from page_world import Watched, served


def pytest_configure(config: pytest.Config) -> None:
    """CI takes `-m short`."""
    config.addinivalue_line("markers", "short: the strongest tests, one for each promise")


def pytest_report_header() -> str:
    """Which browser is driven."""
    return f"browser: {chromium(cache()) or 'NONE: make test-web fetches one'}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for all tests."""
    program = chromium(cache())
    if program is None:
        pytest.skip("THERE IS NO CHROMIUM, so nothing was seen of the page: make test-web fetches one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = launched(playwright.chromium, program)
        yield found
        found.close()


def launched(kind: Any, program: str) -> Any:
    """A browser in its sandbox; without it for root, and where the kernel lets nobody make one. It is led nowhere but
    to our own page."""
    from playwright.sync_api import Error

    flags = ["--disable-dev-shm-usage"]
    if os.geteuid() != 0:
        with contextlib.suppress(Error):
            return kind.launch(executable_path=program, args=flags)
    return kind.launch(executable_path=program, args=[*flags, "--no-sandbox"])


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Serves a world in this process; ends it."""
    made: list[Watched] = []

    def start(world: Any, **more: Any) -> Watched:
        made.append(served(world, **more))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages in a profile of their own; whatever a page complains about fails the test."""
    contexts, complaints = [], []

    def open_page(url: str, **more: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | more))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.goto(url)
        if more.get("java_script_enabled", True):
            page.wait_for_selector("body[data-live]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
