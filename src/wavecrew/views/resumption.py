"""What taking up a run means, phase by phase, before it happens.

What it does: groups phases by what will become of them, with the reason of each.
What it does not know: processes; the fate of open attempts is told to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wavecrew.models.events import AttemptEnded, Event, PhaseReset, PlanChanged
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.views.run_words import label
from wavecrew.views.terminal_text import one_line
from wavecrew.views.words import counted

_FATES = {
    "alive": ("adopt", "its agent is still at work"),
    "ended": ("take", "its agent has ended meanwhile"),
    "lost": ("again", "its agent died without a result"),
    "never started": ("again", "its agent had not been started yet"),
}


def resumption_text(state: ExecutionState, events: Sequence[Event], fates: Mapping[str, str]) -> str:
    """One line for each phase that is not simply kept or to come, and the counts of those."""
    again = {event.phase: event.reason for event in events if isinstance(event, PhaseReset)}
    kept = sum(found.satisfied for found in state.phase_states.values())
    edited = any(isinstance(event, PlanChanged) for event in events)
    ended = {event.phase for event in events if isinstance(event, AttemptEnded)}
    lines = [f"run {state.run}: {counted(kept, 'phase')} kept{', the plan was edited' if edited else ''}"]
    for name, phase in state.graph.nodes.items():
        if name in fates:
            verb, reason = _FATES[fates[name]]
        elif name in again:
            verb, reason = "again", one_line(again[name]) + ("; its agent is ended" if name in ended else "")
        else:
            continue
        lines.append(f"  {verb:<6} {label(name, phase.name)}  {reason}")
    to_come = sum(
        found.status in (PhaseStatus.NOT_STARTED, PhaseStatus.QUEUED) and name not in again and not found.waiver
        for name, found in state.phase_states.items()
    )
    lines.append(f"  {counted(to_come, 'phase')} to come")
    return "\n".join(lines)
