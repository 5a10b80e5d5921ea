"""A workspace in which everything may be killed: its plan, its agents, its coordinators and its process table.

What it does: writes the plan of six phases (a diamond, and two phases that want one file), starts, kills and waits for
coordinators, and finds every process that came of them.
What it does not know: what must hold afterwards (`chaos_invariants`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from wavecrew.core import shim

HERE = Path(__file__).parent
STATE = ".wavecrew"
RUN = "r1"
PATIENCE = 60.0
"""Nothing is expected to take so long; whoever waits longer has found a hang."""
QUICK_DISK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

AGENT = """
# agent.sh BASE OUTPUT RESOURCE NAP: works on one phase, and tells on anybody who is here at the same time
B=$1; OUT=$2; RES=$3; NAP=$4; P=$WAVECREW_PHASE; N=$WAVECREW_ATTEMPT_NUMBER
exec 9>>"$B/live/phase-$P"
flock -n 9 || echo "two living trees of phase $P" >> "$B/violations"
if [ "$RES" != - ]; then
  exec 8>>"$B/live/resource-$RES"
  flock -n 8 || echo "two holders of $RES, one is $P" >> "$B/violations"
fi
echo "+ $P $N $(date +%s.%N)" >> "$B/ran"
say() { echo "$1" && echo "$1" >> "$B/said/$P.$N"; }
say "$P $N begins"
sleep $NAP
echo "made by $P" > "$OUT"
say "$P $N ends"
echo "- $P $N $(date +%s.%N)" >> "$B/ran"
"""


@dataclass(frozen=True)
class Phase:
    """A phase of a test plan. `resource` is a lock that it wants beside its output."""

    name: str
    needs: tuple[str, ...] = ()
    resource: str = "-"
    nap: float = 0.05
    command: tuple[str, ...] = ()
    """In place of the usual agent."""
    outputs: tuple[str, ...] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


DIAMOND = (
    Phase("a"),
    Phase("b", ("a",)),
    Phase("c", ("a",), resource="shared.txt"),
    Phase("d", ("b", "c")),
    Phase("e", resource="shared.txt"),
    Phase("f", ("e",)),
)


class Zygote:
    """Forks coordinators; see `chaos_zygote`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "chaos_zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), *sys.path])},
        )

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass
class Coordinator:
    """A process that the zygote forked."""

    zygote: Zygote
    pid: int
    out: Path
    err: Path
    code: int | None = None

    def end(self, seconds: float = PATIENCE) -> int:
        """Its exit code, negative for a signal. A process that does not end is a failure."""
        if self.code is None:
            self.code = self.zygote.ask(wait=self.pid, seconds=seconds)
        if self.code is None:
            stack = _where(self.pid)
            self.kill()
            raise AssertionError(f"it hangs: {stack}\n{self.told}")
        return self.code

    def ended(self) -> bool:
        if self.code is None:
            self.code = self.zygote.ask(wait=self.pid, seconds=0)
        return self.code is not None

    def signal(self, number: int) -> None:
        if not self.ended():
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.code = self.end()

    @property
    def told(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in (self.out, self.err) if path.exists())


class World:
    """One workspace with one plan and one run in it."""

    def __init__(self, zygote: Zygote, phases: Sequence[Phase] = DIAMOND, folder: Path | None = None) -> None:
        self.zygote = zygote
        self.phases = {phase.name: phase for phase in phases}
        self.base = folder or Path(tempfile.mkdtemp(prefix="chaos-", dir=QUICK_DISK))
        self.workspace = self.base / "ws"
        for name in ("ws", "home", "live", "said", "told"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        (self.base / "agent.sh").write_text(AGENT)
        (self.workspace / "plan.json").write_text(json.dumps({"name": "Chaos", "phases": self._entries()}))
        self.started: list[Coordinator] = []

    def _entries(self) -> list[dict[str, Any]]:
        return [
            {
                "id": phase.name,
                "name": f"Phase {phase.name}",
                "needs": list(phase.needs),
                "writes": list(self.outputs(phase.name)),
                "locks": [] if phase.resource == "-" else [phase.resource],
                "command": list(phase.command or self._usual(phase)),
                **phase.more,
            }
            for phase in self.phases.values()
        ]

    def _usual(self, phase: Phase) -> list[str]:
        arguments = (self.base, f"{phase.name}.txt", phase.resource, phase.nap)
        return ["/bin/sh", str(self.base / "agent.sh"), *map(str, arguments)]

    def outputs(self, name: str) -> tuple[str, ...]:
        outputs = self.phases[name].outputs
        return (f"{name}.txt",) if outputs is None else outputs

    def made(self, output: str) -> str | None:
        """A declared output as it is now; None while it is not there."""
        path = self.workspace / output
        return path.read_text() if path.exists() else None

    # -- places

    @property
    def state(self) -> Path:
        return self.workspace / STATE

    @property
    def run_folder(self) -> Path:
        return self.state / "runs" / RUN

    def attempt(self, phase: str, number: int = 1) -> Path:
        return self.run_folder / phase / str(number)

    def lines(self, name: str) -> list[str]:
        path = self.base / name
        return path.read_text().splitlines() if path.exists() else []

    # -- coordinators

    def start(
        self,
        *arguments: Any,
        faults: Mapping[str, str] | None = None,
        prologue: str = "",
        actor: str = "",
        role: str = "coordinator",
        env: Mapping[str, str] | None = None,
    ) -> Coordinator:
        """`wavecrew run` with consent and without pauses, or something else."""
        number = len(self.started)
        out, err = self.base / "told" / f"out-{number}", self.base / "told" / f"err-{number}"
        home = str(self.base / "home")
        environment = {
            "CHAOS_WORLD": str(self.base),
            "HOME": home,
            "XDG_STATE_HOME": f"{home}/state",
            "XDG_CONFIG_HOME": f"{home}/config",
            "TMPDIR": str(self.base / "told"),
            "WAVECREW_RUN_ID": RUN,
            **(env or {}),
        }
        if faults is not None:
            environment |= {"CHAOS_FAULTS": json.dumps(faults), "CHAOS_SHIM": shim.__file__}
        request = {
            "folder": str(self.workspace),
            "env": environment,
            "out": str(out),
            "err": str(err),
            "arguments": list(arguments or RUN_ARGUMENTS),
            "prologue": prologue,
            "actor": actor,
            "role": role,
        }
        self.started.append(Coordinator(self.zygote, self.zygote.ask(spawn=request), out, err))
        return self.started[-1]

    def finish(self) -> int:
        """A clean run until nothing is left to do. A phase that died three times is given up, so it may take two."""
        code = self.start().end()
        return code if code != 1 else self.start().end()

    # -- processes

    def processes(self) -> dict[int, str]:
        """Everything that lives because of this world but its coordinators: nurseries, shims, agents, strays."""
        mine = {one.pid for one in self.started}
        places = (f"CHAOS_WORLD={self.base}", f"WAVECREW_ATTEMPT={self.workspace}", f"HOME={self.base}/home")
        marks = [place.encode() for place in places]
        found = {}
        shims = self.shims()
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) in mine:
                continue
            with contextlib.suppress(OSError):
                environment = Path("/proc", name, "environ").read_bytes()
                # One that is ending has lost its environment while it still holds its files, and so its lock.
                ours = any(mark in environment for mark in marks) or (not environment and int(name) in shims)
                if ours and not _is_zombie(int(name)):
                    words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
                    found[int(name)] = b" ".join(words).decode(errors="replace")[-160:]
        return found

    def shims(self) -> list[int]:
        """Pids of living shims, as they told them."""
        found = []
        for started in self.run_folder.glob("*/*/started"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                record = json.loads(started.read_bytes())
                if shim.start_ticks(record["pid"]) == record["ticks"] and not _is_zombie(record["pid"]):
                    found.append(record["pid"])
        return found

    def close(self) -> None:
        """End and remove everything."""
        for one in self.started:
            if one.code is None:
                one.kill()
        end = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        shutil.rmtree(self.base, ignore_errors=True)


AnyWorld = TypeVar("AnyWorld", bound=World)

RUN_ARGUMENTS = ("run", "plan.json", "--yes", "--wave-delay-seconds", "0", "--ui", "none", "--grace", "0.5")


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something that must come true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"it never came true: {what}"
        time.sleep(0.003)
    return found


@contextlib.contextmanager
def world_of(zygote: Zygote, phases: Sequence[Phase] = DIAMOND, folder: Path | None = None) -> Iterator[World]:
    """A world that ends with the block."""
    with kept_if_wrong(World(zygote, phases, folder)) as world:
        yield world


@contextlib.contextmanager
def kept_if_wrong(world: AnyWorld) -> Iterator[AnyWorld]:
    """End a world with the block; when that fails and CHAOS_KEEP is set, keep and name it."""
    try:
        yield world
    except BaseException:
        if os.environ.get("CHAOS_KEEP"):
            for one in world.started:
                one.kill()
            kept = Path(f"/tmp/kept-{world.base.name}")
            with contextlib.suppress(shutil.Error):  # sockets cannot be copied
                shutil.copytree(world.base, kept, symlinks=True)
            world.base = kept
            sys.stderr.write(f"kept: {world.base}\n")
            shutil.rmtree(world.workspace.parent, ignore_errors=True)
        else:
            world.close()
        raise
    world.close()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _where(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/wchan").read_text() + " " + " ".join(os.listdir(f"/proc/{pid}/fd"))
    return "gone"
