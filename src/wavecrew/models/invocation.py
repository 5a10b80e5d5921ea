"""What is to be carried out for one attempt: an ordered list of steps, told without starting anything.

What it does: is the common tongue of agents (who make it), of the dry run (which prints it) and of the supervisor
(which hands it to the shim).
What it does not know: processes, files on a disk, and which agent made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wavecrew.errors import InvalidValueError


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


@dataclass(frozen=True, slots=True)
class Invocation:
    """The steps of an attempt in order, with the environment variables that the agent needs beside the usual ones."""

    steps: tuple[JobStep, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


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
