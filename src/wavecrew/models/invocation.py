"""What is to be carried out for one attempt: an ordered list of steps, told without starting anything.

What it does: is the common tongue of agents (who make it), of the dry run (which prints it) and of the supervisor
(which hands it to the shim).
What it does not know: processes, files on a disk, and which agent made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from wavecrew.errors import InvalidValueError

INTERPRETERS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("sh", "shell", ""), ("/bin/sh", "-eu")),
    "bash": ("bash", "-eu", "-o", "pipefail"),
    **dict.fromkeys(("python", "py", "python3"), ("python3", "-")),
}
"""What reads a block of a document, by the language of the block."""
_TITLE_WIDTH: Final = 60


class JobStepKind(StrEnum):
    """What a step is: the agent itself, a script of a runbook, a check of the result, a file to be written, or what
    makes its place ready and clears it up."""

    SETUP = "setup"
    TEARDOWN = "teardown"
    AGENT = "agent"
    RUN = "run"
    CHECK = "check"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class JobStep:
    """One step. A `file` step writes `text` to `path`; the others start `argv` with `stdin` as their input."""

    kind: JobStepKind
    title: str
    argv: tuple[str, ...] = ()
    stdin: str | None = None
    path: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        if (self.kind is JobStepKind.FILE) == bool(self.argv):
            raise InvalidValueError(f"step {self.title!r}: a file step has no command, and every other one has")
        if any("\0" in argument for argument in self.argv):
            raise InvalidValueError(f"step {self.title!r}: no argument can hold a NUL character")


def script_step(kind: JobStepKind, language: str, text: str) -> JobStep:
    """A block of a document as a step: it comes on standard input, so that its length does not matter. Raises KeyError
    for a language that is not in INTERPRETERS."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    title = first if len(first) <= _TITLE_WIDTH else f"{first[: _TITLE_WIDTH - 1]}…"
    return JobStep(kind, f"{kind.value} {title}", INTERPRETERS[language], text)


@dataclass(frozen=True, slots=True)
class Invocation:
    """The steps of an attempt in order, with the environment variables that the agent needs beside the usual ones."""

    steps: tuple[JobStep, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Text files that the agent program reads, by their names below `AttemptContext.files`. They lie beside the work
    and are no part of it."""

    def __post_init__(self) -> None:
        for name in self.files:
            if not name or any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
                raise InvalidValueError(f"a file beside the work cannot be called {name!r}")


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """What an agent may know about the attempt that it prepares. `prompt_file` is where the prompt will lie."""

    run: str
    attempt: int
    workspace: str
    prompt_file: str
    command: tuple[str, ...] = ()
    """The command template of the configuration, for agents that use one."""
    prompt_by_file: bool = False
    """Whether the prompt is handed over as a file instead of on standard input."""
    produced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Outputs of the direct dependencies, by phase id."""
    previous_failure: str = ""
    """Why the attempt before this one did not succeed."""
    earlier_branch: str = ""
    """The branch that holds what that attempt left, if there is one."""
    answers: tuple[tuple[str, str], ...] = ()
    """What earlier attempts asked people, and the answers."""
    session: str = ""
    """The session of that attempt, if the agent shall go on in it: only where the folder is still the same."""
    model: str = ""
    """The model to use, as the agent program calls it; empty leaves the choice to the program."""
    template: str = ""
    """The text that the prompt is made from; empty takes the usual one."""
    files: str = ""
    """The folder in which the files of the invocation will lie."""
    launcher: tuple[str, ...] = ()
    """Program and arguments that give a program a home folder of its own; see `core/agent_home`."""
    driver: tuple[str, ...] = ()
    """Program and arguments that speak the Agent Client Protocol with an agent; see `core/acp_driver`."""
    hook: tuple[str, ...] = ()
    """Program and arguments that an agent has to ask before each tool call; empty is no gate."""
    hook_timeout: float = 600.0
    """How long the agent must wait for an answer, in seconds; the hook itself has to be faster."""
    tools: tuple[str, ...] = ()
    """Program and arguments of a server of tools that the agent may start (docs/mcp.md); empty is none."""
    tools_environment: Mapping[str, str] = field(default_factory=dict)
    """The variables that tell that server for whom it speaks; programs hand their servers few of their own."""
    ceiling: bool = False
    """Whether the kernel keeps writes within what the phase may write, so that no sandbox of the agent is needed."""
