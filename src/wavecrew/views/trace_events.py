"""What of a history becomes an event on a span: facts with one moment and no length.

What it does: names such a fact and says what stands with it, for the span of the run and for those of attempts.
What it does not know: spans, ids, and facts with a length (waits, merges and attempts are spans).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.views import trace_names as names

Words: TypeAlias = Callable[[str], str]
"""Makes a foreign text fit to be sent."""
Told: TypeAlias = tuple[str, Mapping[str, str | bool | int | float | tuple[str, ...] | None]]
"""The name of an event, and its attributes; those that are None or empty are left out."""


def run_event(event: Event, words: Words) -> Told | None:  # noqa: C901 -- one flat table
    """What an event tells on the span of the run; None for one that tells nothing there."""
    match event:
        case ev.CoordinatorStarted():
            return names.TOOK_CHARGE, {names.EPOCH: event.epoch, names.AGENTS: event.agents}
        case ev.RunStopped():
            return names.STOPPED, {names.REASON: words(event.reason)}
        case ev.ResultLanded():
            return names.LANDED, _by(event.by, words) | {
                names.BRANCH: words(event.branch),
                names.COMMIT: words(event.commit),
            }
        case ev.PlanChanged():
            return names.PLAN_CHANGED, _by(event.by, words)
        case ev.BudgetReached():
            return names.BUDGET_REACHED, {names.BUDGET: words(event.budget)}
        case ev.ForbiddenChange():
            return names.FORBIDDEN, {
                names.PATHS: _all(event.what, words),
                names.SUSPECTS: _all(event.suspects, words),
            }
        case ev.UndeclaredWrites():
            return names.UNDECLARED, {
                names.PATHS: _all(event.paths, words),
                names.SUSPECTS: _all(event.suspects, words),
            }
        case ev.GateRejected():
            return names.GATE_REJECTED, {names.GATE: words(event.gate)} | _by(event.by, words, event.reason)
        case ev.PhaseKept():
            return names.PHASE_KEPT, _phase(event.phase, words) | {names.FROM_RUN: words(event.from_run)}
        case ev.PhaseSkipped():
            return names.PHASE_WAIVED, _phase(event.phase, words) | _by(event.by, words, event.reason)
        case ev.PhaseRefused():
            about = {names.CAUSE: event.cause.value, names.REASON: words(event.detail)}
            return names.PHASE_REFUSED, _phase(event.phase, words) | about
        case ev.PhaseReset():
            return names.PHASE_RESET, _phase(event.phase, words) | _by(event.by, words, event.reason)
        case _:
            return None


def attempt_event(event: Event, words: Words) -> Told | None:
    """What an event tells on the span of its attempt; None for one that tells nothing there."""
    match event:
        case ev.AttemptAdopted():
            return names.ADOPTED, {}
        case ev.AttemptCancelled():
            return names.CANCELLED, _by(event.by, words)
        case ev.WorkSealed():
            return names.SEALED, {names.COMMIT: words(event.commit), names.FILES_CHANGED: len(event.changed)}
        case ev.MergeRefused():
            return names.MERGE_REFUSED, {names.REASON: words(event.detail), names.PATHS: _all(event.paths, words)}
        case ev.WriteJudged(allowed=False):
            return names.WRITE_REFUSED, {
                names.TOOL: words(event.tool),
                names.PATHS: _all(event.paths, words),
                names.WAIT_WHOM: words(event.holder),
                names.REASON: words(event.reason),
            }
        case _:
            return None


def _phase(phase: str, words: Words) -> dict[str, str]:
    return {names.PHASE: words(phase)}


def _by(by: str, words: Words, reason: str = "") -> dict[str, str]:
    return {names.BY: words(by), names.REASON: words(reason)}


def _all(texts: tuple[str, ...], words: Words) -> tuple[str, ...]:
    """Not more than a backend will keep."""
    return tuple(words(text) for text in texts[:100])
