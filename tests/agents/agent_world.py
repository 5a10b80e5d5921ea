"""A workspace whose user has the real agent programs, and no other model than ours.

What it does: finds the programs, makes a home folder in which all of them use a stub model, writes plans whose
documents are scripts for that model, and runs the real command. What is started is ended, by pid.
What it does not know: how wavecrew drives a program.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sandbox
from repo import Repo
from sandbox import Outcome, Running, Sandbox, wait_for

from wavecrew.core.hook import HARMLESS
from wavecrew.core.tool_calls import tool_writes
from wavecrew.stub_model import PROGRAMS, StubModel, Tokens, surroundings

sandbox.PATIENCE = 300.0  # eight programs, of which two need 0.8 GB each, on two processors
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


def holder(*writes: str, name: str = "holder", text: str = "by the holder") -> dict[str, Any]:
    """A phase without a model that holds files until the test calls `World.release`, and writes them then."""
    written = "".join(f"\necho '{text}' > {path}" for path in writes)
    script = f'touch "$HOME/{name}.up"\nuntil [ -e "$HOME/{name}.go" ]; do sleep 0.05; done{written}'
    return {"id": name, "name": name, "writes": list(writes), "needs": [], "command": ["sh", "-c", script]}


def task(
    name: str, agent: str, *steps: str, writes: Sequence[str] = (), needs: Sequence[str] = (), **keys: Any
) -> dict[str, Any]:
    """A phase whose document is a script for the model."""
    lines = "\n".join(f"stub: {step}" for step in (f"name {name}", *steps))
    entry = {"id": name, "name": f"Phase {name}", "agent": agent, "description": f"Follow the script.\n\n{lines}\n"}
    return {**entry, "writes": list(writes), "needs": list(needs), **keys}


def unknown_tools(world: World) -> set[str]:
    """The tools that a program offered to the model and our gate does not know, as the program calls them to it."""
    offered = {name.replace("/", "") for one in world.stub.requests for name in one.offered}
    assert offered
    return {name for name in offered if name not in HARMLESS and not tool_writes(name, {}, "/").known}


@dataclass(slots=True)
class World:
    """One workspace, its user, and the model."""

    base: Path
    stub: StubModel
    repo: Repo

    @property
    def box(self) -> Sandbox:
        return self.repo.box

    @property
    def folder(self) -> Path:
        """The workspace."""
        return self.repo.box.folder

    @property
    def home(self) -> Path:
        return self.repo.box.home

    def path(self, name: str) -> Path:
        """A file of the workspace, whether it is there or not."""
        return self.folder / name

    def read(self, name: str) -> str:
        """A file of the workspace; empty if there is none."""
        return self.repo.box.read(name)

    # -- runs

    def first_start(self) -> None:
        """Have opencode make its database. Several that find none make it at once, and one of them may fail at that."""
        if "opencode" in chosen():
            environment = self.box.environment()
            program = shutil.which("opencode", path=environment["PATH"]) or "opencode"
            subprocess.run([program, "session", "list"], cwd=self.folder, env=environment, check=True, timeout=300)

    def run(self, *flags: str) -> Outcome:
        """The whole run, to its end."""
        return self.start(*flags).end()

    def start(self, *flags: str) -> Running:
        """The run in the background."""
        return self.repo.box.start_run(*flags)

    def up(self, name: str = "holder") -> None:
        """Wait until a holder holds what it wants."""
        wait_for(lambda: (self.home / f"{name}.up").exists(), f"{name} is up")

    def release(self, name: str = "holder") -> None:
        """Let a holder go on."""
        (self.home / f"{name}.go").touch()

    def until(self, condition: Callable[[], Any], what: str, running: Running | None = None) -> Any:
        """Wait for a condition; an early end of the run is told with its words."""

        def look() -> Any:
            found = condition()
            if not found and running is not None and running.process.poll() is not None:
                raise AssertionError(f"the run ended before {what}:\n{running.out}\n{running.err}\n{self.told()}")
            return found

        return wait_for(look, what)

    def waiters(self) -> list[Any]:
        """Who waits for a lock."""
        found: list[Any] = self.box.wavecrew("locks", "list", "--json").json["waiters"]
        return found

    # -- what came of it

    def events(self, kind: str, phase: str = "") -> list[dict[str, Any]]:
        """The recorded events of one kind, of one phase or of all, oldest first."""
        try:
            found = self.repo.events(kind)
        except sqlite3.OperationalError:  # there is no database yet
            return []
        return [one for one in found if not phase or one["phase"] == phase]

    def told(self) -> str:
        """What the model was asked and the programs printed, for messages of failed tests."""
        asked = "\n".join(str(one)[:400] for one in self.stub.requests)
        logs = self.folder.glob(".wavecrew/runs/*/*/*/log")
        return f"{asked}\n" + "\n".join(log.read_text(errors="replace")[-3000:] for log in sorted(logs))

    def results(self, name: str) -> list[str]:
        """What tools told the model of one script, in order."""
        return list(max((one.results for one in self.stub.requests if one.name == name), key=len, default=()))

    def spent(self, name: str) -> Tokens:
        """All tokens of one script."""
        return self.stub.usage.get(name, Tokens()) + self.stub.side_usage.get(name, Tokens())

    # -- processes

    def agent_pids(self) -> list[int]:
        """The agent programs themselves: what the shims have started."""
        return [pid for shim in self.shim_pids() for pid in _children(shim)]

    def shim_pids(self) -> list[int]:
        """The living shims."""
        return self.box._shims()

    def mark(self, pid: int) -> str:
        """The attempt that a process belongs to, as its environment tells."""
        return sandbox._attempt_of(pid).decode()

    def program(self, pid: int) -> str:
        """The file of the program that a process is; empty if it is gone."""
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/exe")
        return ""

    def of_command(self, mark: str) -> list[int]:
        """Living processes of the attempts with these words in their command line."""
        return [pid for pid in self.box.alive() if mark in _command(pid)]

    def kill(self, pids: Iterable[int]) -> None:
        """kill -9."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self, *, keep: bool = False) -> None:
        self.repo.box.close()
        if not keep:
            shutil.rmtree(self.base, ignore_errors=True)


_KNOWN = ".cache/wavecrew"


def what_is_known_of_programs(folder: Path) -> Path:
    """Have wavecrew ask the programs for their versions until all of them have answered. Gives the folder in which it
    keeps the answers."""
    box = Sandbox(folder / "work", folder / "home")
    box.folder.mkdir()
    box.home.mkdir()
    box.extra["PATH"] = _path()

    def asked() -> bool:
        listed = box.wavecrew("agents", "list", "--json").json["agents"]
        found = {one["name"]: one["program"] for one in listed if one["name"] in chosen()}
        trusts = "codex" not in found or found["codex"]["gate_works"] is not None
        return trusts and len(found) == len(chosen()) and all(one["version"] for one in found.values())

    wait_for(asked, "the versions of the programs")
    return box.home / _KNOWN


def _path() -> str:
    return f"{programs_folder() / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"


def new_world(stub: StubModel, agents: Iterable[str], known: Path, **how: Any) -> World:
    """A repository with one commit, whose user has these agents. `how` goes to `surroundings`, `url` included."""
    base = Path(tempfile.mkdtemp(prefix="wavecrew-agents-", dir=GROUND))
    home, folder, temporary = base / "home", base / "work", base / "tmp"
    for place in (home, folder, temporary):
        place.mkdir()
    box = Sandbox(folder, home)
    box.extra["PATH"] = _path()
    shutil.copytree(known, home / _KNOWN)
    box.extra["TMPDIR"] = str(temporary)
    url = how.pop("url", stub.url)
    names: list[str] = []
    for agent in agents:
        around = surroundings(agent, url, **how)
        around.furnish(home)
        box.extra |= around.environment
        names += around.environment
    world = World(base, stub, Repo(box))
    world.repo.begin({"README.md": "# Here\n", "wavecrew.toml": f"env = {json.dumps(names)}\n"})
    return world


def _children(pid: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = Path(f"/proc/{name}/stat").read_text()
                if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(name))
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
