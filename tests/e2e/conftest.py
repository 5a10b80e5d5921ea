"""The sandbox of each test: a workspace, an empty home, and the end of every process that a test leaves behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from repo import Repo
from sandbox import Sandbox

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*"]  # they look for processes in /proc


@pytest.fixture
def make_box(tmp_path: Path) -> Iterator[Callable[[str], Sandbox]]:
    """Makes a sandbox whose workspace has a name of the test's choice."""
    made: list[Sandbox] = []

    def make(name: str = "workspace") -> Sandbox:
        folder, home = tmp_path / name, tmp_path / f"home-{len(made)}"
        folder.mkdir()
        home.mkdir()
        made.append(Sandbox(folder, home))
        return made[-1]

    yield make
    for box in made:
        box.close()


@pytest.fixture
def box(make_box: Callable[[str], Sandbox]) -> Sandbox:
    """A sandbox with an ordinary name."""
    return make_box("workspace")


@pytest.fixture
def repo(box: Sandbox) -> Repo:
    """A sandbox that is a git repository with one commit. Some tests have a `repo` of their own, with more in it."""
    found = Repo(box)
    found.begin()
    return found


@pytest.fixture
def claude_repo(repo: Repo) -> Repo:
    """The same, where the program `claude` is one of ours that does what its prompt says."""
    program = repo.box.home / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_claude.py")} "$@"\n')
    program.chmod(0o755)
    repo.box.extra["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    return repo
