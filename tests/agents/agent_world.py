"""A workspace whose user has the real agent programs, and no other model than ours.

What it does: finds the programs, makes a home folder in which all four use a stub model, writes plans whose documents
are scripts for that model, and runs the real command. What is started is ended, by pid.
What it does not know: how wavecrew drives a program.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sandbox
from repo import Repo
from sandbox import Outcome, Running, Sandbox

from wavecrew.stub_model import PROGRAMS, StubModel, surroundings

sandbox.PATIENCE = 300.0  # eight programs of 0.8 GB each, on two processors
HERE = Path(__file__).parent
GROUND = "/var/tmp"
"""Where workspaces lie: below the folder for temporary files, Codex would not find its own programs."""


def programs_folder() -> Path:
    """The folder with the programs. Variable WAVECREW_AGENTS, else below the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("WAVECREW_AGENTS") or f"{cache}/wavecrew/agent-programs")


def chosen() -> tuple[str, ...]:
    """The agents that are tried. Variable WAVECREW_TEST_AGENTS names some, else all."""
    names = os.environ.get("WAVECREW_TEST_AGENTS", "").replace(",", " ").split()
    unknown = set(names) - set(PROGRAMS)
    if unknown:
        raise SystemExit(f"WAVECREW_TEST_AGENTS: there is no agent {', '.join(sorted(unknown))}")
    return tuple(name for name in PROGRAMS if name in names or not names)


@dataclass(slots=True)
class World:
    """One workspace, its user, and the model."""

    base: Path
    stub: StubModel
    repo: Repo
    sums: dict[str, str] = field(default_factory=dict)

    @property
    def box(self) -> Sandbox:
        return self.repo.box

    @property
    def folder(self) -> Path:
        """The workspace."""
        return self.repo.box.folder

    def plan(self, *tasks: Mapping[str, Any]) -> None:
        """Write and commit a plan."""
        self.repo.plan(*tasks)

    def run(self, *flags: str) -> Outcome:
        """The whole run, to its end."""
        return self.repo.box.start_run(*flags).end()

    def start(self, *flags: str) -> Running:
        """The run in the background."""
        return self.repo.box.start_run(*flags)

    def text(self, path: str) -> str:
        """A file of the workspace; empty if there is none."""
        return self.repo.box.read(path)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The recorded events of one kind, oldest first."""
        return self.repo.events(kind)

    def log(self, phase: str, attempt: int = 1) -> str:
        """What the program printed."""
        logs = sorted(self.folder.glob(f".wavecrew/runs/*/{phase}/{attempt}/*log*"))
        return "\n".join(log.read_text(errors="replace") for log in logs if log.is_file())

    def close(self) -> None:
        self.repo.box.close()
        shutil.rmtree(self.base, ignore_errors=True)


def new_world(stub: StubModel, agents: Iterable[str] = PROGRAMS, **how: Any) -> World:
    """A repository with one commit, whose user has these agents. `how` goes to `surroundings`."""
    base = Path(tempfile.mkdtemp(prefix="wavecrew-agents-", dir=GROUND))
    home, folder, temporary = base / "home", base / "work", base / "tmp"
    for place in (home, folder, temporary):
        place.mkdir()
    box = Sandbox(folder, home)
    box.extra["PATH"] = f"{programs_folder() / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"
    box.extra["TMPDIR"] = str(temporary)
    names: list[str] = []
    for agent in agents:
        around = surroundings(agent, how.pop("url", stub.url), **how)
        around.furnish(home)
        box.extra |= around.environment
        names += around.environment
    world = World(base, stub, Repo(box))
    world.repo.begin({"README.md": "# Here\n", "wavecrew.toml": f"env = {json.dumps(names)}\n"})
    return world


def task(
    name: str, agent: str, *steps: str, writes: Sequence[str] = (), needs: Sequence[str] = (), **keys: Any
) -> dict[str, Any]:
    """A phase whose document is a script."""
    lines = "\n".join(f"stub: {step}" for step in (f"name {name}", *steps))
    entry = {"id": name, "name": f"Phase {name}", "agent": agent, "description": f"Follow the script.\n\n{lines}\n"}
    return {**entry, "writes": list(writes), "needs": list(needs), **keys}
