"""Gates that a person opens: how they are called, which phases stand behind them, and where each stands.

What it does: knows the two kinds of gates, `wave 2` and `phase ID`, and what events do to them.
What it does not know: when a gate has to be asked for (`core.scheduler`), and what its phases do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wavecrew.models import events as ev
from wavecrew.models.parallel_execution import DependencyGraph

NEEDS_APPROVAL: Final = "needs approval"
"""How the reason of a run begins that was left because nobody was there to open a gate."""
_WAVE: Final = "wave "
_PHASE: Final = "phase "
_DIGITS: Final = 10


class GateStatus(StrEnum):
    """Where a gate stands: somebody has to agree, has agreed, or has refused."""

    ASKED = "asked"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate that a person opens or closes; `at` is when it was asked for, and then when it was answered."""

    status: GateStatus
    at: float
    by: str = ""
    reason: str = ""


def wave_gate(number: int) -> str:
    """The gate before a wave."""
    return f"{_WAVE}{number}"


def phase_gate(phase: str) -> str:
    """The gate before a phase."""
    return f"{_PHASE}{phase}"


def behind(graph: DependencyGraph, gate: str) -> tuple[str, ...]:
    """The phases that a gate holds, in plan order; none for a name that is no gate of this plan."""
    if gate.startswith(_PHASE):
        name = gate.removeprefix(_PHASE)
        return (name,) if name in graph.nodes else ()
    number = wave_number(gate.removeprefix(_WAVE)) if gate.startswith(_WAVE) else 0
    layers = graph.layers()
    return layers[number - 1] if 0 < number <= len(layers) and gate == wave_gate(number) else ()


def wave_number(text: str) -> int:
    """The number of a wave as people write it; 0 for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else 0


def over(graph: DependencyGraph, phase: str) -> tuple[str, str]:
    """The gates that a phase can stand behind: that of its wave, and its own."""
    return wave_gate(graph.wave_of[phase]), phase_gate(phase)


# -- what events do to them -------------------------------------------------------------------------------------


def turned(gates: Mapping[str, Gate], event: ev.ApprovalAsked | ev.GateApproved | ev.GateRejected) -> dict[str, Gate]:
    """The gates after somebody was asked for one, or has answered."""
    match event:
        case ev.ApprovalAsked():
            gate = Gate(GateStatus.ASKED, event.at)
        case ev.GateApproved():
            gate = Gate(GateStatus.APPROVED, event.at, event.by, event.reason)
        case _:
            gate = Gate(GateStatus.REJECTED, event.at, event.by, event.reason)
    return {**gates, event.gate: gate}


def answered(gates: Mapping[str, Gate]) -> dict[str, Gate]:
    """The gates without open questions: who takes charge, or changes the plan, asks for what is needed then."""
    return {name: gate for name, gate in gates.items() if gate.status is not GateStatus.ASKED}


def forgiven(gates: Mapping[str, Gate], graph: DependencyGraph, phase: str) -> Mapping[str, Gate]:
    """The gates once somebody wants a phase again: those before it that were rejected can be asked for again."""
    shut = [name for name in over(graph, phase) if (gate := gates.get(name)) and gate.status is GateStatus.REJECTED]
    return {name: gate for name, gate in gates.items() if name not in shut} if shut else gates
