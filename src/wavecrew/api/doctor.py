"""Whether this machine and this folder have what a run needs.

What it does: looks, and tells a fix for what is missing.
What it does not know: a particular plan.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wavecrew.api.agent_programs import look_for, program_of
from wavecrew.api.plans import load_agents
from wavecrew.api.workspace import Workspace
from wavecrew.core.ceiling import probe
from wavecrew.core.file_system import NETWORK, file_system_of
from wavecrew.core.process_tree import group_home
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import WavecrewError

_NEEDED_SPACE: Final = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def examine(workspace: Workspace) -> list[Finding]:
    """All findings, in the order in which they matter."""
    return [
        _platform(),
        Finding("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or later"),
        Finding("sqlite", sqlite3.sqlite_version_info >= (3, 35), sqlite3.sqlite_version, "SQLite 3.35 or later"),
        _state(workspace),
        _file_system(workspace),
        _space(workspace),
        _groups(),
        _ceiling(),
        _agent(workspace),
    ]


def try_gates(tell: Callable[[str], None] = lambda words: None) -> list[Finding]:
    """Have every installed agent that can ask before it writes tried. `tell` is told what takes its time."""
    from wavecrew.api.gate_proof import prove_gates

    known = load_agents()
    proofs = prove_gates(known, look_for(known), tell=tell)
    fix = "use a version that asks (wavecrew agents list), or let it work without: --write-gate off"
    found = [
        Finding(f"gate of {name}", proof.holds is True, f"{proof.version}: {proof.reason}", fix)
        for name, proof in sorted(proofs.items())
    ]
    nothing = Finding("gates", True, "no agent that could ask before it writes is installed")
    return found or [nothing]


def _platform() -> Finding:
    system = platform.system()
    if system == "Linux":
        return Finding("platform", True, "Linux")
    detail = f"{system}: agents that detach themselves cannot be found after a crash"
    return Finding("platform", os.name == "posix", detail, "use Linux, macOS or WSL")


def _state(workspace: Workspace) -> Finding:
    folder = workspace.folder / STATE_FOLDER
    if not (folder / "state.db").exists():
        writable = os.access(workspace.folder, os.W_OK)
        return Finding("state", writable, f"none yet in {workspace.folder}", "make the folder writable")
    try:
        Store.open(workspace.folder, create=False).close()
    except WavecrewError as error:
        return Finding("state", False, error.reason, error.fix)
    return Finding("state", True, str(folder))


def _file_system(workspace: Workspace) -> Finding:
    """Locks of the kernel are not to be trusted across a network."""
    found = file_system_of(workspace.folder)
    return Finding(
        "file system",
        found not in NETWORK,
        found or "unknown",
        "work on a local disk: locks and the state database cannot be trusted on a network file system",
    )


def _groups() -> Finding:
    """A comfort: without it, trees are followed by parents, sessions and a mark."""
    home = group_home()
    there = f"each attempt has its own below {home}"
    return Finding(
        "control groups", True, there if home else "none of our own (cgroup v2); trees are followed one by one"
    )


def _space(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.folder).free
    return Finding("disk space", free >= _NEEDED_SPACE, f"{free / 2**30:.1f} GiB free", "free at least 50 MiB")


def _agent(workspace: Workspace) -> Finding:
    config = workspace.loaded.config
    known = load_agents()
    if config.agent not in known:
        return Finding(
            "agent", False, f"there is no agent {config.agent!r}", f"choose from: {', '.join(sorted(known))}"
        )
    program = config.command[0] if config.agent == "command" and config.command else ""
    if program and shutil.which(program) is None:
        return Finding("agent", False, f"the program {program!r} is not found", "install it, or change `command`")
    if program_of(known[config.agent]) is not None:
        found = look_for({config.agent: known[config.agent]})[config.agent]
        told = found.problem or "; ".join(filter(None, (f"{config.agent} {found.version}", found.doubt)))
        fix = "install it, or choose another agent: wavecrew agents list"
        return Finding("agent", not found.problem and found.gate_works is not False, told, fix)
    return Finding("agent", True, f"{config.agent}: {known[config.agent].summary}")


def _ceiling() -> Finding:
    """A comfort: without it, the gate, the audit and worktrees stand alone."""
    return Finding("ceiling", True, probe().reason)
