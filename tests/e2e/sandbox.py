"""A workspace in a temporary folder and the real command in it, as a user would type it.

What it does: writes plans, starts `python -m wavecrew` in an environment of its own, waits for conditions, and ends
every process that came of it, by pid.
What it does not know: anything of wavecrew's inside but the files that an attempt leaves.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")

PATIENCE = 60.0
"""No condition is waited for longer, whatever the machine; reaching it is a failure."""
MARK = 'echo "$WAVECREW_PHASE" >> "$WAVECREW_WORKSPACE/ran"'
"""A line of shell by which an agent leaves a trace of having worked."""
STATE = ".wavecrew"


def wait_for(condition: Callable[[], _T], what: str = "") -> _T:
    """Look again and again until a condition holds; gives what it gave."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE:g} s for {what or condition}")
        time.sleep(0.01)
    return found


def phase(
    name: str, script: str = "true", *, needs: Sequence[str] = (), writes: Sequence[str] = (), **keys: Any
) -> dict[str, Any]:
    """A phase of a data plan whose agent is a shell script. It leaves a trace before anything else."""
    entry = {"id": name, "name": f"Phase {name}", "needs": list(needs), "writes": list(writes)}
    return {**entry, "command": ["sh", "-c", f"{MARK}\n{script}"], **keys}


def intervals(text: str) -> dict[str, tuple[float, float]]:
    """Lines `+ NAME SECONDS` and `- NAME SECONDS` that agents wrote, as spans of time."""
    begun: dict[str, float] = {}
    spans: dict[str, tuple[float, float]] = {}
    for line in text.splitlines():
        sign, name, at = line.split()
        if sign == "+":
            begun[name] = float(at)
        else:
            spans[name] = (begun[name], float(at))
    return spans


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left: its exit code and its words."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass(slots=True)
class Running:
    """A command that is at work in the background; its output goes to files, so it never waits for a reader."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def out(self) -> str:
        return self.out_file.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self.err_file.read_text(encoding="utf-8")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Outcome:
        """Wait for its end."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; it said:\n{self.out}\n{self.err}") from None
        return _sane(Outcome(code, self.out, self.err))

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait(PATIENCE)


@dataclass(slots=True)
class Sandbox:
    """One workspace and its user, who has an empty home."""

    folder: Path
    home: Path
    extra: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)

    # -- writing

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def read(self, path: str) -> str:
        """A file of the workspace; empty as long as it does not exist."""
        target = self.folder / path
        return target.read_text(encoding="utf-8") if target.exists() else ""

    def plan(self, *phases: Mapping[str, Any], path: str = "plan.json") -> None:
        """Write a data plan, whole or not at all."""
        self.write(path, json.dumps({"name": "A plan", "phases": list(phases)}, indent=1, ensure_ascii=False))

    def ran(self) -> list[str]:
        """The phases whose agents left a trace, in order."""
        return self.read("ran").split()

    # -- the command

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        places = {name: str(self.home / folder) for name, folder in _PLACES.items()}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "WAVECREW_GATE_PROOF": "off",  # the agents of tests speak to no model
            **places,
            **self.extra,
            **(more or {}),
        }

    def wavecrew(
        self, *arguments: str, text: str = "", env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Outcome:
        """Run the command to its end. No command may ever show a traceback or claim a bug in itself."""
        done = subprocess.run(
            [sys.executable, "-m", "wavecrew", *arguments],
            cwd=cwd or self.folder,
            env=self.environment(env),
            input=text.encode(),
            capture_output=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        return _sane(Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")))

    def run(self, *flags: str, plan: str = "plan.json", **options: Any) -> Outcome:
        """`wavecrew run` with consent and without pauses."""
        return self.wavecrew("run", plan, *_QUICK, *flags, **options)

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> Running:
        """Start the command in the background, in a session of its own as a terminal would."""
        number = len(self.started)
        out, err = self.home / f"out-{number}", self.home / f"err-{number}"
        with out.open("wb") as out_stream, err.open("wb") as err_stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "wavecrew", *arguments],
                cwd=self.folder,
                env=self.environment(env),
                stdin=subprocess.DEVNULL,
                stdout=out_stream,
                stderr=err_stream,
                start_new_session=True,
            )
        running = Running(process, out, err)
        self.started.append(running)
        return running

    def start_run(self, *flags: str, plan: str = "plan.json") -> Running:
        """`run` in the background."""
        return self.start("run", plan, *_QUICK, *flags)

    def status(self) -> dict[str, Any]:
        """`wavecrew status --json`."""
        found = self.wavecrew("status", "--json")
        assert found.code == 0, found
        data: dict[str, Any] = found.json
        return data

    def statuses(self) -> dict[str, str]:
        """Phase -> status."""
        return {one["id"]: one["status"] for one in self.status()["phases"]}

    # -- processes

    def alive(self) -> list[int]:
        """Every living process of an attempt in this workspace: shims that hold their lock, and what they started."""
        mark = os.fsencode(self.folder / STATE)
        return sorted({*self._shims(), *(pid for pid in _processes() if mark in _attempt_of(pid))})

    def _shims(self) -> list[int]:
        found = []
        for lock in self.folder.glob(f"{STATE}/runs/*/*/*/lock"):
            with lock.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    with contextlib.suppress(OSError, ValueError, KeyError):
                        found.append(int(json.loads((lock.parent / "started").read_bytes())["pid"]))
        return found

    def close(self) -> None:
        """End whatever is left."""
        for running in self.started:
            if running.process.poll() is None:
                running.kill()
        for _ in range(200):
            left = self.alive()
            if not left:
                return
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


_QUICK = ("--yes", "--wave-delay-seconds", "0")
_PLACES = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_STATE_HOME": ".local/state",
    "XDG_DATA_HOME": ".local/share",
    "XDG_CACHE_HOME": ".cache",
}


def _sane(outcome: Outcome) -> Outcome:
    assert "Traceback" not in outcome.err + outcome.out, outcome.err + outcome.out
    assert outcome.code != 70, outcome.err
    return outcome


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _attempt_of(pid: int) -> bytes:
    """The mark that every process of an attempt inherits; empty for a zombie and for what is not ours."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            entries = environ.read().split(b"\0")
    except OSError:
        return b""
    return next((entry for entry in entries if entry.startswith(b"WAVECREW_ATTEMPT=")), b"")
