"""The tier that runs the real agent programs against the stub model: `make test-agents`.

Without the programs nothing here is run, and each test says why. WAVECREW_AGENTS names the folder that holds them,
WAVECREW_TEST_AGENTS the agents to try.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from agent_world import World, chosen, new_world, programs_folder, what_is_known_of_programs
from install import missing

from wavecrew.stub_model import StubModel

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*"]  # they look for processes in /proc


def pytest_configure(config: pytest.Config) -> None:
    """CI takes `-m short`: each promise once, and not each way in which it could be broken."""
    config.addinivalue_line("markers", "long: a further case of something that another test shows, too")
    config.addinivalue_line("markers", "short: everything else")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is not long is short."""
    for item in items:
        if item.get_closest_marker("long") is None:
            item.add_marker("short")


def pytest_report_header() -> str:
    """Which programs are tried."""
    return f"agents: {', '.join(chosen())} of {programs_folder()}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that wants an agent is run with each of them."""
    if "agent" in metafunc.fixturenames:
        metafunc.parametrize("agent", chosen())


@pytest.fixture(scope="session", autouse=True)
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs are there, in the versions that are pinned; what wavecrew has found out of them, once for all tests:
    asking each of them before each run takes long, and under load longer than a run has patience."""
    lacking = missing(programs_folder(), chosen())
    if lacking:
        pytest.skip(f"AGENT PROGRAMS ARE NOT INSTALLED ({'; '.join(lacking)}): make test-agents installs them")
    return what_is_known_of_programs(tmp_path_factory.mktemp("known"))


@pytest.fixture
def stub() -> Iterator[StubModel]:
    """The model of one test."""
    with StubModel() as model:
        yield model


@pytest.fixture
def make_world(stub: StubModel, programs: Path) -> Iterator[Callable[..., World]]:
    """Makes workspaces whose user has some agents."""
    made: list[World] = []

    def make(*agents: str, **how: Any) -> World:
        made.append(new_world(stub, agents or chosen(), known=programs, **how))
        return made[-1]

    yield make
    for world in made:
        world.close(keep=bool(os.environ.get("WAVECREW_KEEP_WORLDS")))
