"""What is known of agent programs: what they can do, and whether they are installed here.

What it does: names it, and compares versions.
What it does not know: any particular program (the translators do), and how one is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wavecrew.models.agent_report import AgentReport, Ending, Known, StreamReader


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What is known of an agent program. Nothing in here was taken from what a vendor says: it was tried."""

    resume: Known = Known.UNKNOWN
    """It goes on with an earlier session when an attempt is repeated."""
    tokens: Known = Known.UNKNOWN
    cost: Known = Known.UNKNOWN
    plan: Known = Known.UNKNOWN
    """It tells the steps that it has in mind."""
    gate: Known = Known.UNKNOWN
    """It asks before each write, and waits for the answer."""
    gate_fails_closed: Known = Known.UNKNOWN
    """It does not write when the program that it asks crashes, is killed, or is too late."""
    gate_covers_subagents: Known = Known.UNKNOWN
    gate_covers_shell: Known = Known.UNKNOWN
    """It asks before shell commands. Which files those write can only be guessed; a kernel limit closes that hole."""
    gives_up: Known = Known.UNKNOWN
    """It ends by itself when there is no server."""


class AgentProgram(Protocol):
    """What an agent tells of itself if it stands for a program that has to be installed."""

    @property
    def program(self) -> str:
        """The name of its executable."""

    @property
    def version_argv(self) -> tuple[str, ...]:
        """The command that prints its version."""

    @property
    def oldest(self) -> str:
        """The oldest version that is known to keep what `capabilities` says."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that keep it quiet: no telemetry, no updates."""

    @property
    def exit_meanings(self) -> Mapping[int, Ending]:
        """Exit codes that tell a cause; see `judge`."""

    @property
    def own_paths(self) -> tuple[str, ...]:
        """What it has to be able to write beside its work, below the home folder (`~/...`). What ends in / is a folder,
        which has to be there before the kernel can let the program write into it."""

    def reader(self, earlier: AgentReport | None = None) -> StreamReader:
        """A reader for one attempt; `earlier` is the report of the attempt whose session goes on."""


@runtime_checkable
class NeedsLibrary(Protocol):
    """An agent that is driven by a library of Python, and stands for no program of its own."""

    @property
    def library(self) -> str:
        """The name under which it is installed."""

    @property
    def extra(self) -> str:
        """The extra of wavecrew that brings it along."""


@runtime_checkable
class AnswersForItsGate(Protocol):
    """A program that can be asked whether it would use our gate."""

    def gate_question(self) -> tuple[tuple[str, ...], str]:
        """A command, and what it gets on standard input."""

    def gate_answer(self, output: bytes) -> bool | None:
        """What it has told up to now; None is nothing yet."""


@runtime_checkable
class AnswersForItsLogin(Protocol):
    """A program that can be asked whether somebody is logged in. No model is called, and no key is read by us."""

    @property
    def login_argv(self) -> tuple[str, ...]:
        """A command."""

    @property
    def login_fix(self) -> str:
        """What a person can do about it."""

    def login_answer(self, code: int | None, output: bytes) -> Known | None:
        """What its exit code (None: it had to be ended) and standard output tell; None is nothing at all."""


@dataclass(frozen=True, slots=True)
class InstalledProgram:
    """What was found of the program of an agent. `problem` is empty if it can be used."""

    program: str
    oldest: str
    path: str = ""
    version: str = ""
    problem: str = ""
    gate_works: bool | None = None
    """Whether it said that it would ask our gate; None where it was not asked."""

    @property
    def doubt(self) -> str:
        """Why it may not do what is said of it; empty if there is no reason."""
        if self.gate_works is False:
            return "this version would write without asking our gate"
        if self.version and is_older(self.version, self.oldest):
            return f"older than {self.oldest}, the oldest version that was tried"
        return ""


def is_older(version: str, other: str) -> bool:
    """Whether a version comes before another one. Only numbers count."""
    return _numbers(version) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d{1,9}", version)]
