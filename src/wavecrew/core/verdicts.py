"""How an attempt ended: from what its shim left to the event that is recorded.

What it does: judges a result (exit code, cause, declared outputs), and decides whether another attempt is due.
What it does not know: processes, locks and the database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wavecrew.core.attempts import Result
from wavecrew.core.audit import told
from wavecrew.core.outputs import missing_outputs
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Outcome
from wavecrew.models.execution_state import ExecutionState

MAX_LOSSES: Final = 3
"""How often a phase may die without a result before it is given up."""
_TITLE_WIDTH: Final = 32
_CAUSES: Final = {cause.value: cause for cause in Cause}


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often and when a phase is tried again, and how long it may wait for a lock. Times are in seconds."""

    retries: int = 0
    delay: float = 0.0
    lock_timeout: float = 300.0
    lock_patience: int = 3
    """How many times in a row the lock timeout may pass before the phase is given up."""
    conflicts: int = 3
    """How often a phase is tried again whose work did not go together with that of others."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the attempts of one run. `now` is in seconds since 1970 in all its methods."""

    workspace: Path
    rules: RetryRules
    strict: bool = False
    """Whether a phase fails that may have written what it had not claimed."""

    def result(
        self, state: ExecutionState, name: str, result: Result, now: float, *, in_place: bool = True
    ) -> ev.AttemptEnded:
        """The end of an attempt that left a result. With `in_place` its outputs must stand in the workspace."""
        if result.cause == "stopped":
            return self.end(state, name, now, Outcome.STOPPED, Cause.STOPPED, "stopped", result.code)
        if result.code == 0 and not result.cause:
            return self._success(state, name, now, in_place=in_place)
        cause = _CAUSES.get(result.cause, Cause.EXIT)
        return self.end(state, name, now, Outcome.FAILED, cause, failing_step(result), result.code)

    def _success(self, state: ExecutionState, name: str, now: float, *, in_place: bool) -> ev.AttemptEnded:
        """A good exit is half of the proof; the other half are the outputs."""
        outputs = state.graph.nodes[name].outputs
        missing = missing_outputs(self.workspace, outputs) if in_place else ()
        if missing:
            detail = f"declared outputs are missing: {told(missing)}"
            return self.end(state, name, now, Outcome.FAILED, Cause.OUTPUTS, detail, 0)
        undeclared = state.phase_states[name].undeclared
        if undeclared and self.strict:
            detail = f"files changed outside its claims while it was at work: {told(undeclared)}"
            return self.end(state, name, now, Outcome.FAILED, Cause.AUDIT, detail, 0)
        return ev.AttemptEnded(
            at=now,
            phase=name,
            attempt=state.phase_states[name].attempts,
            outcome=Outcome.SUCCEEDED,
            exit_code=0,
            outputs=outputs,
        )

    def end(
        self,
        state: ExecutionState,
        name: str,
        now: float,
        outcome: Outcome,
        cause: Cause,
        detail: str,
        code: int | None = None,
    ) -> ev.AttemptEnded:
        """An end that is no success, with the time of the next attempt if one is due."""
        return ev.AttemptEnded(
            at=now,
            phase=name,
            attempt=state.phase_states[name].attempts,
            outcome=outcome,
            cause=cause,
            detail=detail,
            exit_code=code,
            retry_at=self._retry_at(state, name, now, outcome, cause),
        )

    def _retry_at(self, state: ExecutionState, name: str, now: float, outcome: Outcome, cause: Cause) -> float | None:
        found, own = state.phase_states[name], state.graph.nodes[name].retries
        if outcome is Outcome.LOST:
            return now if found.losses + 1 < MAX_LOSSES else None
        if cause is Cause.MERGE:  # the others' work is in the result by now, so the next try starts from another base
            return now if found.conflicts < self.rules.conflicts else None
        retries = self.rules.retries if own is None else own
        if outcome is Outcome.FAILED and found.failures < retries:
            return now + self.rules.delay
        return None

    def vanished(self, state: ExecutionState) -> tuple[str, ...]:
        """The proof of the whole run: what completed phases had made must still be there, whoever came after them."""
        made = {path: None for found in state.phase_states.values() for path in found.outputs}
        return missing_outputs(self.workspace, made)


def cancelled(ended: ev.AttemptEnded, by: str) -> ev.AttemptEnded:
    """The end of an attempt, if somebody (`by`) had cancelled it: unless it was faster and good, it is for good,
    however it came. An agent that fails, or dies, in the instant of being ended is not tried again either."""
    if not by or ended.outcome is Outcome.SUCCEEDED:
        return ended
    detail = f"cancelled by {by}"
    return replace(ended, outcome=Outcome.FAILED, cause=Cause.CANCELLED, detail=detail, retry_at=None)


def failing_step(result: Result) -> str:
    """Why an attempt failed, in one line for people."""
    if result.cause == "timeout":
        return f"its time limit passed during: {_cut(result.title)}"
    if result.cause == "start":
        return result.detail
    code = f"signal {-result.code}" if result.code < 0 else f"exit code {result.code}"
    if result.of <= 1:
        return code
    return f"{code} in step {result.step} of {result.of}: {_cut(result.title)}"


def _cut(title: str) -> str:
    return title if len(title) <= _TITLE_WIDTH else f"{title[: _TITLE_WIDTH - 1]}…"
