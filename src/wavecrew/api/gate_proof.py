"""Whether an agent program really asks before it writes: it is made to write what somebody else holds.

What it does: carries out a run of one phase in a folder of its own, with the real program, our gate, a scripted model
on this machine and a lock on a file that the model wants written; then looks at what became of the file. The program
sees neither the user's home folder nor a key. An answer is kept until the program, or what we install into it, changes.
What it does not know: what a program does with the user's own settings, and what a real model would do.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from wavecrew.api.agent_programs import program_of
from wavecrew.api.history import open_run
from wavecrew.api.program_cache import ProgramCache, cache_folder
from wavecrew.core import gate_socket, hook
from wavecrew.core.jobs import Agent
from wavecrew.core.store import Store
from wavecrew.errors import WavecrewError
from wavecrew.models.agent_programs import InstalledProgram
from wavecrew.models.agent_report import Known
from wavecrew.models.events import WriteJudged
from wavecrew.stub_model.server import StubModel
from wavecrew.stub_model.surroundings import PROGRAMS, Surroundings, surroundings

PATIENCE: Final = 120.0
"""Seconds that a program has for its two writes."""
_SLACK: Final = 30.0
_HELD, _FREE = "held.txt", "free.txt"
_SCRIPT: Final = f"stub: write {_HELD}: written without a lock\nstub: write {_FREE}: written with one\nstub: say done\n"


@dataclass(frozen=True, slots=True)
class GateProof:
    """What was seen. `holds` is None where nothing could be seen; `reason` says why, or what it was. `proven_at` is in
    seconds since the epoch."""

    agent: str
    version: str
    holds: bool | None
    reason: str
    proven_at: float = 0.0

    @property
    def day(self) -> str:
        """When it was tried, as a date in UTC; empty if it was not."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.proven_at)) if self.proven_at else ""


def can_be_proven(name: str, agent: Agent) -> bool:
    """Whether an agent stands for a program that asks, and that the scripted model can talk to."""
    program = program_of(agent)
    return program is not None and program.program in PROGRAMS and program.capabilities.gate is Known.YES


def kept_proofs(agents: Mapping[str, Agent], found: Mapping[str, InstalledProgram]) -> dict[str, GateProof]:
    """What was proven before, and still stands, by the names of agents. Nothing is started."""
    cache = ProgramCache("gate-proofs")
    proofs = {}
    for name, agent in agents.items():
        one = found.get(name)
        if one is not None and can_be_proven(name, agent):
            match cache.found(one.path):
                case [str() as ours, bool() as holds, str() as reason, float() as at] if ours == _ours(agent):
                    proofs[name] = GateProof(name, one.version, holds, reason, at)
    return proofs


def prove_gates(
    agents: Mapping[str, Agent],
    found: Mapping[str, InstalledProgram],
    *,
    patience: float = PATIENCE,
    tell: Callable[[str], None] = lambda words: None,
) -> dict[str, GateProof]:
    """Prove all of these that can be proven and are installed, by their names. `tell` is told what takes its time."""
    wanted = {
        name: found[name]
        for name, agent in agents.items()
        if name in found and not found[name].problem and can_be_proven(name, agent)
    }
    for name, one in wanted.items():
        tell(f"trying whether {name} {one.version} asks before it writes (once for each version)")
    with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as crew:
        proofs = list(crew.map(lambda name: _prove(name, agents[name], wanted[name], patience), wanted))
    cache = ProgramCache("gate-proofs")
    for proof in proofs:
        if proof.holds is not None:
            kept = _ours(agents[proof.agent]), proof.holds, proof.reason, proof.proven_at
            cache.keep(wanted[proof.agent].path, *kept)
    cache.save()
    return {proof.agent: proof for proof in proofs}


def _ours(agent: Agent) -> str:
    """What changes when we ask in another way: a digest of the translator, and of what it installs."""
    digest = hashlib.sha256()
    for module in (inspect.getmodule(type(agent)), hook, gate_socket):
        with suppress(OSError, TypeError):
            digest.update(inspect.getsource(module).encode() if module else b"")
    return digest.hexdigest()


def _prove(name: str, agent: Agent, found: InstalledProgram, patience: float) -> GateProof:
    blank = GateProof(name, found.version, None, "")
    try:
        cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        # not below the folder for temporary files: Codex does without its helpers there
        with tempfile.TemporaryDirectory(prefix="proof-", dir=cache_folder(), ignore_cleanup_errors=True) as base:
            return _try(blank, Path(base), program_of(agent).program, found.path, patience)  # type: ignore[union-attr]
    except (OSError, subprocess.SubprocessError, WavecrewError) as error:
        return replace(blank, reason=f"it could not be tried: {error}")


def _try(proof: GateProof, base: Path, program: str, path: str, patience: float) -> GateProof:
    home, work = base / "home", base / "work"
    home.mkdir()
    work.mkdir()
    with StubModel() as stub:
        place = surroundings(program, stub.url)
        place.furnish(home)
        environment = _environment(home, path, place)
        _write_plan(work, proof.agent, place, patience)
        with _holder(work, environment):
            said = _run(work, environment, patience)
        spoken = [call for request in stub.requests for call in request.called]
    judged = [
        event
        for event in _events(work)
        if isinstance(event, WriteJudged) and any(Path(path).name == _HELD for path in event.paths)
    ]
    if (work / _HELD).exists():
        return replace(proof, holds=False, reason="it wrote a file that somebody else held", proven_at=time.time())
    if any(not event.allowed for event in judged):
        why = "it asked for a file that somebody else held, and left it alone"
        return replace(proof, holds=True, reason=why, proven_at=time.time())
    why = "it asked for nothing" if spoken else "it did not speak to our model"
    return replace(proof, reason=f"it could not be tried: {why}{said and f' ({said})'}")


def _environment(home: Path, path: str, place: Surroundings) -> dict[str, str]:
    """What the run, and so the program, sees: nothing of the user but PATH."""
    search = f"{Path(path).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": search, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb", **place.environment}


def _write_plan(work: Path, agent: str, place: Surroundings, patience: float) -> None:
    settings = {
        "agent": agent,
        "model": place.model,
        "env": sorted(place.environment),
        "isolation": "shared",
        "audit": "off",
        "ceiling": "off",  # it is the gate alone that has to hold
        "gate_proof": "off",
        "lock_timeout_seconds": 1,
        "phase_timeout_seconds": patience,
        "conflict_retry_attempts": 0,
        "wave_delay_seconds": 0,
        "grace_seconds": 2,
    }
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
    (work / "wavecrew.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    phase = {"id": "proof", "name": "Two writes", "description": _SCRIPT, "writes": [_FREE]}
    (work / "plan.json").write_text(json.dumps({"phases": [phase]}), encoding="utf-8")


@contextmanager
def _holder(work: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Somebody who holds the file for as long as this lasts."""
    argv = [sys.executable, "-m", "wavecrew", "lock", _HELD, "--", "sh", "-c", "echo held; exec cat"]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(argv, cwd=work, env=dict(environment), **pipes) as holder:
        try:
            if holder.stdout is None or holder.stdout.readline() != b"held\n":
                raise OSError("no lock was to be had in an empty folder")
            yield
        finally:
            holder.communicate(timeout=_SLACK)


def _run(work: Path, environment: Mapping[str, str], patience: float) -> str:
    """The run. Gives what it said last, if it did not end well."""
    argv = [sys.executable, "-m", "wavecrew", "run", "plan.json", "--yes", "--ui", "plain"]
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(
            argv, cwd=work, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            running.wait(patience + _SLACK)
        except subprocess.TimeoutExpired:
            running.terminate()  # it ends its agents
            running.wait(_SLACK)
        finally:
            running.kill()
            running.wait()
        output.seek(0)
        lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if "FAILED" in line or "failed" in line or line.startswith("error")]
    return "" if running.returncode == 0 else (told or lines or [""])[0]


def _events(work: Path) -> tuple[object, ...]:
    store = Store.open(work, create=False)
    try:
        return open_run(store).events
    finally:
        store.close()
