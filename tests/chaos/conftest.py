"""Worlds for chaos: the zygote of each worker, and where figures are kept (WAVECREW_CHAOS_FIGURES names a file)."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_sizes import LONG, PART
from chaos_world import Zygote

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*"]  # they look for processes in /proc


def pytest_report_header() -> str:
    """Which form this is."""
    return "chaos: long form" if LONG else f"chaos: short form, failpoints of third {PART} (WAVECREW_CHAOS_PART)"


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """The process that forks coordinators for one worker."""
    found = Zygote()
    yield found
    found.close()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keeps what a test has measured, for the fault matrix."""
    began = time.monotonic()

    def keep(**figures: Any) -> None:
        path = os.environ.get("WAVECREW_CHAOS_FIGURES")
        record = {"test": request.node.name, "seconds": round(time.monotonic() - began, 1), **figures}
        sys.stderr.write(f"{record}\n")
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    return keep
