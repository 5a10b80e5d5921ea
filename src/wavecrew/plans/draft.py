"""A phase while it is being read, and the findings on the way.

What it does: collects what several places say about one phase, before the phases of a plan are known and references
can be looked up.
What it does not know: markdown, YAML, and which of the drafts become phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from wavecrew.errors import Diagnostic, Place, Severity
from wavecrew.models.parallel_execution import Source, Step
from wavecrew.plans.dependencies import Dependencies


class Findings:
    """The diagnostics of one reading, in the order of their discovery; at most `MOST` of one code are kept."""

    MOST = 200

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []
        self._counts: dict[str, int] = {}

    def add(
        self, code: str, severity: Severity, message: str, place: Place, fix: str = "", phases: Sequence[str] = ()
    ) -> None:
        """Note a finding. Texts from documents are cut, so that a hostile document cannot flood the screen."""
        self._counts[code] = self._counts.get(code, 0) + 1
        if self._counts[code] <= self.MOST:
            self._found.append(Diagnostic(code, severity, message, place, fix, tuple(phases)))

    def result(self) -> tuple[Diagnostic, ...]:
        """All findings, each once."""
        return tuple(dict.fromkeys(self._found))


def shown(text: str, most: int = 60) -> str:
    """A text from a document as part of a message: one line, visible characters, not too long."""
    text = "".join(character if character.isprintable() else "?" for character in text[: most * 4].strip())
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Statement:
    """One text about dependencies: what it says, its words and its place."""

    meaning: Dependencies
    words: str
    place: Place


@dataclass(slots=True)
class DependencyField:
    """A field about dependencies. Fields of one `container` (a section, a front matter) are read together; a `binding`
    one is the only one that counts."""

    statements: list[Statement]
    container: int = 0
    binding: bool = False
    quiet: bool = False
    """Whether the label is an everyday word (`After`, `Needs`), so that words which name no phase mean nothing."""


_NOWHERE: Final = Place()


@dataclass(slots=True)
class Draft:
    """Everything known about a phase so far. `aliases` are further words by which others may name it."""

    id: str
    name: str = ""
    unit: str = ""
    suffix: str = ""
    group: str = ""
    aliases: list[str] = field(default_factory=list)
    place: Place = _NOWHERE
    source: Source | None = None
    description: str = ""
    dependencies: list[DependencyField] = field(default_factory=list)
    followers: list[Statement] = field(default_factory=list)
    """What is said about phases that wait for this one; it counts only where nothing else tells an order."""
    estimate: float | None = None
    estimate_stated: bool = False
    outputs: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    locks: list[str] = field(default_factory=list)
    checks: list[tuple[str, ...]] = field(default_factory=list)
    command: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)
    agent: str = ""
    fallback: str = ""
    model: str = ""
    timeout: float | None = None
    retries: int | None = None

    def add_paths(self, row: list[str], paths: Sequence[str]) -> None:
        """Enter paths that are not there yet."""
        row[:] = dict.fromkeys((*row, *paths))

    def take_over(self, other: Draft) -> None:
        """Fill what this draft does not know from another place that tells about the same phase."""
        self.name = self.name or other.name
        self.dependencies.extend(other.dependencies)
        self.followers.extend(other.followers)
        if self.estimate is None:
            self.estimate, self.estimate_stated = other.estimate, self.estimate_stated or other.estimate_stated
        self.add_paths(self.outputs, other.outputs)
        self.add_paths(self.reads, other.reads)
        self.add_paths(self.locks, other.locks)
        self.aliases.extend(other.aliases)
        self.steps.extend(other.steps)
