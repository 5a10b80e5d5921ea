"""How an attempt ended: from what its shim left to the event that is recorded.

What it does: judges a result (exit code, cause, what the agent told of its end, declared outputs), and decides whether
another attempt is due, and for how long an account counts as used up.
What it does not know: processes, locks, the database, and how agents tell of their end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wavecrew.core.attempts import Result
from wavecrew.core.audit import told
from wavecrew.core.outputs import missing_outputs
from wavecrew.models import events as ev
from wavecrew.models.accounts import Closure
from wavecrew.models.agent_report import AgentReport, Ending, Judgement
from wavecrew.models.events import Cause, Outcome
from wavecrew.models.execution_state import ExecutionState

MAX_LOSSES: Final = 3
"""How often a phase may die without a result before it is given up."""
MAX_UNREACHABLE: Final = 5
"""How often in a row the model of an agent may be out of reach before its phase is given up."""
MAX_STALLS: Final = 2
"""How often a phase is tried again whose agent fell silent."""
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3600.0
"""Pauses, in seconds, after which an account that told no time is tried again; each is twice the one before."""
_LATEST_RESET: Final = 35 * 86_400.0  # an account that is to open later than this has told nonsense
_FIXES: Final = {
    Ending.LOGGED_OUT: "log in to {agent}, then run again",
    Ending.WRONG_MODEL: "choose a model that it knows (model, or the configuration of {agent}), then run again",
}
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
    restarts_silent: bool = False
    """Whether a phase is tried again whose agent was ended because nothing was heard of it."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the attempts of one run. `now` is in seconds since 1970 in all its methods."""

    workspace: Path
    rules: RetryRules
    strict: bool = False
    """Whether a phase fails that may have written what it had not claimed."""

    def result(
        self,
        state: ExecutionState,
        name: str,
        result: Result,
        now: float,
        *,
        in_place: bool = True,
        told: Judgement | None = None,
        silent: str = "",
    ) -> ev.AttemptEnded:
        """The end of an attempt that left a result. With `in_place` its outputs must stand in the workspace. `told` is
        the judgement of its agent, if that tells of its end; `silent` is why it was ended, if for silence."""
        if result.cause == "stopped" and silent:
            return self._silent(state, name, now, silent, result.code)
        if result.cause == "stopped":
            return self.end(state, name, now, Outcome.STOPPED, Cause.STOPPED, "stopped", result.code)
        if told is not None and not told.ok and result.cause not in ("timeout", "start"):
            return self._not_done(state, name, told, now, result.code)
        if result.code == 0 and not result.cause:
            return self._success(state, name, now, in_place=in_place)
        cause = _CAUSES.get(result.cause, Cause.EXIT)
        return self.end(state, name, now, Outcome.FAILED, cause, failing_step(result), result.code)

    def _silent(self, state: ExecutionState, name: str, now: float, words: str, code: int) -> ev.AttemptEnded:
        """An agent was ended because nothing was heard of it."""
        if self.rules.restarts_silent and state.phase_states[name].stalls < MAX_STALLS:
            return self.end(state, name, now, Outcome.STOPPED, Cause.SILENCE, words, code)
        return self.end(state, name, now, Outcome.FAILED, Cause.SILENCE, words, code)

    def _not_done(self, state: ExecutionState, name: str, told: Judgement, now: float, code: int) -> ev.AttemptEnded:
        """The agent itself did not succeed. A used up account is nobody's failure and costs no retry; `retry_at` is
        when it opens again then."""
        agent = state.phase_states[name].agent
        before = state.accounts.get(agent)
        if told.ending in _FIXES:
            detail = f"{told.detail}; {_FIXES[told.ending].format(agent=agent)}"
            return replace(self.end(state, name, now, Outcome.FAILED, Cause.AGENT, detail, code), retry_at=None)
        if told.ending is Ending.NO_SESSION:  # once: the next attempt has no session to go on in
            detail = f"{agent} could not go on in its session: {told.detail}"
            return self.end(state, name, now, Outcome.STOPPED, Cause.SESSION, detail, code)
        if told.ending is Ending.UNREACHABLE and before is not None and before.times >= MAX_UNREACHABLE:
            detail = f"its model could not be reached {before.times + 1} times in a row: {told.detail}"
            return replace(self.end(state, name, now, Outcome.FAILED, Cause.AGENT, detail, code), retry_at=None)
        if told.ending not in (Ending.LIMITED, Ending.UNREACHABLE):
            return self.end(state, name, now, Outcome.FAILED, told.cause, told.detail, code)
        what = "is used up" if told.ending is Ending.LIMITED else "cannot reach its model"
        detail = f"{agent} {what}: {told.detail}"
        ended = self.end(state, name, now, Outcome.STOPPED, Cause.QUOTA, detail, code)
        return replace(ended, retry_at=opens_at(before, told.resets_at, now))

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


def opens_at(before: Closure | None, resets_at: float | None, now: float) -> float:
    """When an account that was just found to be used up is to be tried again: when it said itself, else after a pause
    that doubles with each time in a row. One that is closed already was found so by somebody else at the same time."""
    if resets_at is not None and now < resets_at <= now + _LATEST_RESET:
        return resets_at
    times = 0 if before is None else before.times - (before.until > now)
    return now + min(FIRST_PAUSE * 2.0 ** min(max(0, times), 16), LONGEST_PAUSE)


def closure(state: ExecutionState, ended: ev.AttemptEnded) -> tuple[ev.AccountClosed, ...]:
    """What an end says of the account of its agent."""
    if ended.cause is not Cause.QUOTA or ended.retry_at is None:
        return ()
    agent = state.phase_states[ended.phase].agent
    return (ev.AccountClosed(at=ended.at, account=agent, until=ended.retry_at, detail=ended.detail),)


def reported(state: ExecutionState, name: str, report: AgentReport, now: float) -> tuple[ev.AgentReported, ...]:
    """What an agent told of its work, once for each attempt."""
    attempt = state.phase_states[name].attempts
    if state.phase_states[name].reported >= attempt:
        return ()
    return (
        ev.AgentReported(
            at=now,
            phase=name,
            attempt=attempt,
            session=report.session,
            model=report.model,
            input_tokens=report.usage.input,
            output_tokens=report.usage.output,
            cached_tokens=report.usage.cached,
            cost_usd=report.cost_usd,
            tool_calls=report.tool_calls,
            session_input_tokens=report.session_usage.input,
            session_output_tokens=report.session_usage.output,
            session_cached_tokens=report.session_usage.cached,
        ),
    )


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
