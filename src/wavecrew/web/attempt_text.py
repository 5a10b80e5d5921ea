"""What an agent was given for an attempt, and how far its checks are, as plain lines.

What it does: writes down what the folder of an attempt tells.
What it does not know: how that is read (`api.attempt_folders`), and who asks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from wavecrew.models.events import Cause
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.views.board_parts import plain_text
from wavecrew.views.board_phase import AttemptTold, check_lines, prompt_lines
from wavecrew.views.run_history import Attempt
from wavecrew.views.run_words import reason_of
from wavecrew.views.summary import PhaseRow, Standing

_WIDTH: Final = 400


def prompt_text(info: PhaseInfo, found: AttemptTold | None) -> str:
    """What the agent was given, step by step; before the first start, what the document says."""
    if found is not None and not found.steps:
        return "What this attempt was given is not kept here."
    return _joined(prompt_lines(info, found, _WIDTH))


def checks_text(info: PhaseInfo, row: PhaseRow, found: AttemptTold | None, attempt: Attempt | None) -> str:
    """Each step with how it ended, outputs, and what checks of the merged tree said. Where a phase stands now is told
    with its latest attempt alone; of one before it, how that ended."""
    if attempt is None or attempt.number == row.attempts:
        return _joined(check_lines(info, row, found, _WIDTH))
    ended = attempt.outcome.value if attempt.outcome is not None else "open"
    why = "" if attempt.cause is Cause.NONE else f": {reason_of(attempt.cause, attempt.detail)}"
    then = PhaseRow(id=row.id, name=row.name, wave=row.wave, status=PhaseStatus.NOT_STARTED, standing=Standing.TO_COME)
    lines = _joined(check_lines(replace(info, outputs=()), then, found, _WIDTH))
    return f"attempt {attempt.number} {ended}{why}\n\n{lines}"


def _joined(lines: Any) -> str:
    return "\n".join(plain_text(line).rstrip() for line in lines)
