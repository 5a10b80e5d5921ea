"""What keeps an agent within what its phase may write: the gate that it asks, and the ceiling that the kernel keeps.

What it does: says for each agent which of the two it gets, and adds them to its steps. An agent that cannot ask is not
pretended to be gated; claims, the audit and its worktree stand alone then.
What it does not know: who keeps the gate (`gate_keeping`), what the kernel does (`ceiling`), and what agents are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from wavecrew.core import ceiling
from wavecrew.core.attempts import files_folder, owner_name
from wavecrew.core.gate_socket import agent_timeout, hook_argv
from wavecrew.models.invocation import JobStep, JobStepKind

_NO_GATE_SECONDS: Final = 600.0
_MOVES: Final = {
    "~/.claude/": ("CLAUDE_CONFIG_DIR", ""),
    "~/.codex/": ("CODEX_HOME", ""),
    "~/.gemini/": ("GEMINI_CLI_HOME", ".gemini/"),
    "~/.cache/": ("XDG_CACHE_HOME", ""),
    "~/.config/": ("XDG_CONFIG_HOME", ""),
    "~/.local/share/": ("XDG_DATA_HOME", ""),
    "~/.local/state/": ("XDG_STATE_HOME", ""),
}
"""Folders of a home that a variable moves, with what stands below the folder that it names."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which bounds the agents of a run get. `gate_seconds` is how long an agent is made to wait at the gate; None is no
    gate. `agents` are all that there are, by name, and `runs` is the folder with the folders of all runs."""

    agents: Mapping[str, object]
    runs: Path
    gate_seconds: float | None = None
    ceiling: bool = False
    harmless: tuple[str, ...] = ()
    """Patterns of names of tools that write no file."""
    environ: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What each agent sees of the variables that a configuration hands to it by name."""
    tools: bool = False
    """Whether agents get tools by which they tell and ask something at the gate beside their writes."""

    def is_gated(self, agent: str) -> bool:
        """Whether this agent asks before it writes, or may: of some it is seen only when they work."""
        able = getattr(getattr(self.agents.get(agent), "capabilities", None), "gate", "")
        return self.gate_seconds is not None and able in ("yes", "unknown")

    @property
    def has_door(self) -> bool:
        """Whether any agent may come to the gate, for whatever reason."""
        return self.gate_seconds is not None or self.tools

    def is_heard(self, agent: str) -> bool:
        """Whether the attempts of this agent may come to the gate: to ask before they write, or to say something."""
        return self.tools or self.is_gated(agent)

    def is_limited(self, agent: str) -> bool:
        """Whether the kernel keeps this agent below a ceiling: it must be known what it needs beside its work."""
        return self.ceiling and hasattr(self.agents.get(agent), "own_paths")

    def hook(self, agent: str, run: str, phase: str, attempt: int) -> tuple[str, ...]:
        """Program and arguments that an attempt has to ask; empty is no gate."""
        if self.gate_seconds is None or not self.is_gated(agent):
            return ()
        return hook_argv(self.runs / run, owner_name(run, phase, attempt), self.gate_seconds)

    def _own_paths(self, agent: str) -> list[str]:
        environ = self.environ.get(agent, {})
        return [_moved(path, environ) for path in getattr(self.agents[agent], "own_paths", ())]

    def own_folders(self, agent: str) -> list[Path]:
        """Folders that an agent writes for itself, beside its work."""
        return [Path(path) for path in self._own_paths(agent) if path.endswith("/")]

    def environment(self, agent: str) -> Mapping[str, str]:
        """What a limited agent has to know: programs would look for temporary files elsewhere."""
        return {"TMPDIR": tempfile.gettempdir()} if self.is_limited(agent) else {}

    @property
    def hook_timeout(self) -> float:
        """How long an agent must wait for the answer, in seconds."""
        return _NO_GATE_SECONDS if self.gate_seconds is None else agent_timeout(self.gate_seconds)

    def limited(
        self, agent: str, steps: Sequence[JobStep], folder: Path, workspace: Path, *, git: bool
    ) -> tuple[JobStep, ...]:
        """The steps of an attempt, with the agent itself below its ceiling. `git`: it has a worktree of its own."""
        if not self.is_limited(agent):
            return tuple(steps)
        own = self._own_paths(agent)
        paths = [str(workspace), str(files_folder(folder)), tempfile.gettempdir(), *own]
        return tuple(
            replace(step, argv=ceiling.command(paths, step.argv, git=git)) if step.kind is JobStepKind.AGENT else step
            for step in steps
        )


def _moved(path: str, environ: Mapping[str, str]) -> str:
    """A path below the home folder (`~/...`), where an agent that sees these variables looks for it."""
    for folder, (name, below) in _MOVES.items():
        moved = environ.get(name, "")
        if path.startswith(folder) and moved.startswith("/"):
            return f"{moved.rstrip('/')}/{below}{path[len(folder) :]}"
    return path.replace("~", str(Path.home()), 1)
