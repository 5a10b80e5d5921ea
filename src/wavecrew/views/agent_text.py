"""The agents as a person or a program reads them: what each is, whether it is installed, and what it can do.

What it does: puts it into text of 80 columns, or into plain values for JSON.
What it does not know: how programs are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from wavecrew.models.agent_programs import Capabilities, InstalledProgram
from wavecrew.models.agent_report import Known
from wavecrew.views.run_words import DOT, wrapped
from wavecrew.views.terminal_text import one_line

WIDTH: Final = 80
_WORDS: Final[Mapping[str, str]] = {
    "resume": "goes on with a session",
    "tokens": "tells tokens",
    "cost": "tells cost",
    "plan": "tells its plan",
    "gate": "asks before it writes",
    "gate_fails_closed": "does not write if the answer fails",
    "gate_covers_subagents": "sub-agents ask, too",
    "gate_covers_shell": "asks before shell commands",
    "gives_up": "ends without a server",
}


@dataclass(frozen=True, slots=True)
class AgentLine:
    """What is shown of one agent; `found` and `capabilities` only where it stands for a program. `tried` is the day on
    which it was seen to ask before a write, or not to (`asks`); empty is never."""

    name: str
    summary: str
    found: InstalledProgram | None = None
    capabilities: Capabilities | None = None
    asks: bool | None = None
    tried: str = ""


def agents_text(lines: list[AgentLine], width: int = WIDTH) -> Iterator[str]:
    """A paragraph for each agent."""
    margin = max(len(one_line(line.name)) for line in lines) + 2
    for line in sorted(lines, key=lambda line: line.name):
        head = f"{one_line(line.name):<{margin}}"
        yield from wrapped(head, one_line(line.summary).split(" "), width, between=" ")
        for label, words in _told(line):
            yield from wrapped(" " * margin + label, words, width, between=DOT if label else " ")


def _told(line: AgentLine) -> Iterator[tuple[str, list[str]]]:
    found = line.found
    if found is None:
        return
    if found.problem:
        yield "", f"cannot be used: {one_line(found.problem)}".split(" ")
    else:
        doubt = f"; {found.doubt}" if found.doubt else ""
        yield "", f"version {found.version}{doubt}; {one_line(found.path)}".split(" ")
    if line.tried:
        seen = "asked before a write" if line.asks else "DID NOT ASK before a write"
        yield "", f"{seen} when it was tried here on {line.tried}".split(" ")
    can = asdict(line.capabilities) if line.capabilities else {}
    for label, known in (("yes: ", Known.YES), ("no: ", Known.NO), ("not known: ", Known.UNKNOWN)):
        if words := [words for name, words in _WORDS.items() if can.get(name) == known]:
            yield label, words


def agents_data(lines: list[AgentLine]) -> dict[str, Any]:
    """The same for programs."""
    return {"agents": [_data(line) for line in sorted(lines, key=lambda line: line.name)]}


def _data(line: AgentLine) -> dict[str, Any]:
    data: dict[str, Any] = {"name": line.name, "summary": line.summary}
    if line.found is not None:
        data["program"] = {**asdict(line.found), "doubt": line.found.doubt}
        data["gate_proof"] = {"asks": line.asks, "tried": line.tried or None}
    if line.capabilities is not None:
        data["capabilities"] = {name: str(known) for name, known in asdict(line.capabilities).items()}
    return data
