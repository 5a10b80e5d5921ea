"""The report of a run: where the time went, what paced it, what was waived, tried again or kept.

What it does: draws each phase as a bar over the time of the run, names the pacing chain of what really happened, and
writes the same as JSON for programs.
What it does not know: how the chain is found (`run_pacing`) and what would have been faster (`run_advice`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wavecrew.models.events import Cause, Event, Outcome, UndeclaredWrites
from wavecrew.models.execution_state import ExecutionState, Gate, GateStatus
from wavecrew.views.phase_rows import NO_SIGNS, Signs
from wavecrew.views.question_words import question_data
from wavecrew.views.run_advice import Advice, advice
from wavecrew.views.run_forecast import WaveRules
from wavecrew.views.run_history import Attempt, History, LockStretch
from wavecrew.views.run_next import edited_words, forbidden_words, needed_words, result_words
from wavecrew.views.run_pacing import PacingStep, Waited, pacing_chain
from wavecrew.views.run_status import undeclared_words
from wavecrew.views.run_timeline import timeline
from wavecrew.views.run_words import in_ascii, label, listed, moment, reason_of, seconds, wrapped
from wavecrew.views.summary import PhaseRow, Standing, Summary, summarize
from wavecrew.views.terminal_text import cut, one_line
from wavecrew.views.usage_words import budget_words, held_words, spent_data, spent_words, usage_data

FORMAT: Final = 1
"""Version of the JSON report; it rises when a key changes its meaning or goes away."""
_SHOWN: Final = 10
_WORTH: Final = 0.01  # a share of the run below which a gain is no gain, and a pause no pause


@dataclass(frozen=True, slots=True)
class _Findings:
    summary: Summary
    history: History
    chain: tuple[PacingStep, ...]
    advice: Advice | None
    audited: bool
    """Whether somebody looked for undeclared writes."""
    undeclared: tuple[UndeclaredWrites, ...]
    gates: Mapping[str, Gate]


def _findings(
    state: ExecutionState, events: Sequence[Event], now: float | None, alive: bool | None, signs: Signs
) -> _Findings:
    history = History(events)
    at = now if now is not None else (history.last or 0.0)
    summary = summarize(state, at, alive=alive, history=history, signs=signs)
    chain = pacing_chain(state.graph, history, state.agent_limit, state.start_time or 0.0)
    undeclared = tuple(event for event in events if isinstance(event, UndeclaredWrites))
    audited = state.settings.get("audit") in ("warn", "fail")
    return _Findings(summary, history, chain, advice(state, history, chain), audited, undeclared, state.gates)


# -- text -------------------------------------------------------------------------------------------------------


def report_text(
    state: ExecutionState,
    events: Sequence[Event],
    *,
    now: float | None = None,
    alive: bool | None = None,
    signs: Signs = NO_SIGNS,
    width: int = 80,
    ascii_only: bool = False,
) -> str:
    """The screen of `wavecrew report`. `events` is the whole history of the run; `now` matters while it goes on, and
    is else the time of its last event. `signs` is what can be seen of open attempts if nobody is in charge."""
    found = _findings(state, events, now, alive, signs)
    width = max(width, 40)
    parts = (
        _head(found, width),
        _bars(found, width),
        _pacing(found, width),
        _faster(found, WaveRules.of(state.settings), width),
        _whole_run(found, width),
        _notes(found, width),
    )
    text = "\n".join(line for part in parts for line in part) + "\n"
    return in_ascii(text) if ascii_only else text


def _head(found: _Findings, width: int) -> Iterator[str]:
    summary = found.summary
    words = [f"wall {seconds(summary.elapsed)}", f"work {seconds(summary.work)}"]
    if summary.ratio is not None:
        words.append(f"{summary.ratio:.2f}x")
        if summary.agents:
            words.append(f"agents busy {summary.ratio / summary.agents:.0%}")
    words += [f"needs you {summary.needed:,}"] if summary.needed else []
    words += [spent_words(summary.spent)] if summary.spent.attempts else []
    words.append(f"retries {summary.retries}")
    conflicts = _conflicts(found)
    words += [f"conflicts {conflicts}"] if conflicts or summary.result_branch else []
    if found.undeclared or found.audited:
        words.append(f"undeclared writes {len({path for one in found.undeclared for path in one.paths}):,}")
    if summary.idle:
        words.append(f"idle {seconds(summary.idle)} left out")
    status = summary.status.value.upper()
    yield from wrapped(f"run {one_line(summary.run)}  {status} {summary.done:,}/{summary.total:,}  ", words, width)


def _bars(found: _Findings, width: int) -> Iterator[str]:
    summary = found.summary
    if summary.started is None or not summary.elapsed or not (found.history.attempts or found.history.waits):
        yield "  no phase has been started"
        return
    names = (*(one.phase for one in found.history.attempts), *(one.phase for one in found.history.waits))
    labels = {name: f"{one_line(name)} (left)" for name in names} | {
        row.id: label(row.id, row.name) for row in summary.rows
    }
    pacing = {(step.attempt.phase, step.attempt.number) for step in found.chain}
    yield from timeline(found.history, labels, pacing, summary.started, summary.elapsed, width)


def _pacing(found: _Findings, width: int) -> Iterator[str]:
    if found.chain:
        head = "pacing chain" if found.summary.ended is not None else "paced so far"
        yield from wrapped(f"  {head}  ", _steps(found.chain, found.summary.elapsed or 0.0), width, between=" ")


def _steps(chain: Sequence[PacingStep], wall: float) -> list[str]:
    """The steps in words; of a long chain the beginning and the end."""
    words: list[str] = []
    for place, step in enumerate(chain):
        if len(chain) > 2 * _SHOWN and _SHOWN <= place < len(chain) - _SHOWN:
            if place == _SHOWN:
                words.append(f"→ … {len(chain) - 2 * _SHOWN:,} more")
            continue
        arrow = f"{_ARROWS[step.waited_for]} " if place else ""
        gap = f" (after a pause of {seconds(step.gap)})" if step.gap > max(wall * _WORTH, 0.05) else ""
        words.append(f"{arrow}{one_line(step.attempt.phase)}{gap}")
    return words


_ARROWS: Final = {
    Waited.NOTHING: "…",
    Waited.DEPENDENCY: "→",
    Waited.LOCK: "⇢lock",
    Waited.AGENT: "⇢agent",
    Waited.RETRY: "↻",
}


def _faster(found: _Findings, rules: WaveRules, width: int) -> Iterator[str]:
    """What the simulation says, with what it says of the run as it was beside it, so that the figures compare."""
    told = found.advice
    if told is None or told.as_it_was <= 0:
        return
    base = told.as_it_was
    words = [f"on paper, with the times measured here: {seconds(base)}"]
    words += [f"if nobody waits for {cut(name, 30)}: {_gain(time, base)}" for name, time in told.without.items()]
    words.append(f"{told.agents + 1} agents: {_gain(told.one_more, base)}")
    if told.one_less is not None and told.one_less <= base * (1 + _WORTH):
        words.append(f"{told.agents - 1} {'agents' if told.agents > 2 else 'agent'} would do as well")
    lost = (found.summary.elapsed or 0.0) - base
    if lost > max(base * 0.05, 0.5):
        pause = f" (wave_delay_seconds is {rules.delay:g})" if rules.delay else ""
        words.append(f"pauses, start-up and retries took {seconds(lost)} more{pause}")
    yield from wrapped("  to go faster  ", words, width)


def _gain(time: float, base: float) -> str:
    return f"{seconds(time)}" if time < base * (1 - _WORTH) else "no gain"


def _whole_run(found: _Findings, width: int) -> Iterator[str]:
    """What is to be said of the run itself, and not of single phases."""
    summary = found.summary
    if summary.missing:
        yield from wrapped(f"  {'gone':<14}", [cut(path, width - 16) for path in summary.missing[:_SHOWN]], width)
    if summary.unproven:
        yield from wrapped(f"  {'not in result':<14}", [listed(summary.unproven, 12)], width)
    if summary.forbidden:
        yield from wrapped(f"  {'ALARM':<14}", forbidden_words(summary.forbidden).split(" "), width, between=" ")
    if told := edited_words(summary).removeprefix("OUT OF DATE: "):
        yield from wrapped(f"  {'OUT OF DATE':<14}", told.split(" "), width, between=" ")
    if summary.needed:
        yield from wrapped(f"  {'needs you':<14}", needed_words(summary), width)
    if summary.budget_reached:
        told = budget_words(summary.budget_reached, summary.spent)
        yield from wrapped(f"  {'budget':<14}", told.split(" "), width, between=" ")
    for name, closed in summary.accounts.items():
        told = one_line(held_words(name, closed, summary.now)).removeprefix("held: ")
        yield from wrapped(f"  {'account':<14}", told.split(" "), width, between=" ")
    answered = [(name, gate) for name, gate in found.gates.items() if gate.status is not GateStatus.ASKED]
    yield from (line for name, gate in answered[:_SHOWN] for line in _gate_note(name, gate, width))
    if len(answered) > _SHOWN:
        yield f"  {'gates':<14}... and {len(answered) - _SHOWN:,} more; --json has all"
    if result := result_words(summary):
        yield from wrapped(f"  {'result':<14}", result.split(" "), width, between=" ")


def _notes(found: _Findings, width: int) -> Iterator[str]:
    summary = found.summary
    for row in summary.of(Standing.FAILED)[:_SHOWN]:
        yield from _note("failed", row, row.reason, width)
    blocked = tuple(row.id for row in summary.of(Standing.BLOCKED))
    if blocked:
        yield from wrapped(f"  {'blocked':<14}", [listed(blocked, 12)], width)
    for attempt in _vain(found)[:_SHOWN]:
        row = summary.by_id[attempt.phase]
        why = f"attempt {attempt.number} {attempt.outcome} after {seconds(attempt.lasted(attempt.started))}: "
        yield from _note("tried again", row, why + reason_of(attempt.cause, attempt.detail), width)
    for row in [row for row in summary.rows if row.undeclared][:_SHOWN]:
        yield from _note("audit", row, undeclared_words(row), width)
    for row in summary.of(Standing.SKIPPED)[:_SHOWN]:
        yield from _note("waived", row, row.reason.removeprefix("skipped "), width)
    kept: dict[str, list[str]] = {}
    for row in summary.of(Standing.KEPT):
        kept.setdefault(row.kept_from, []).append(row.id)
    for run, names in kept.items():
        words = [listed(tuple(names), 12), f"from run {one_line(run)}"]
        yield from wrapped(f"  {'kept':<14}", words, width, between=" ")


def _gate_note(name: str, gate: Gate, width: int) -> Iterator[str]:
    why = f": {gate.reason}" if gate.reason else ""
    words = one_line(f"{name} by {gate.by} {moment(gate.at)}{why}").split(" ")
    yield from list(wrapped(f"  {gate.status:<14}", words, width, between=" "))[:3]


def _conflicts(found: _Findings) -> int:
    return sum(attempt.cause is Cause.MERGE for attempt in found.history.attempts)


def _note(word: str, row: PhaseRow, told: str, width: int) -> Iterator[str]:
    head = f"  {word:<14}{cut(label(row.id, row.name), min(30, width // 3))}  "
    yield from list(wrapped(head, one_line(told).split(" "), width, between=" "))[:3]


def _vain(found: _Findings) -> list[Attempt]:
    """Attempts after which the phase was tried again."""
    last = {attempt.phase: attempt.number for attempt in found.history.attempts}
    vain = [a for a in found.history.attempts if a.number < last[a.phase] and a.outcome is not Outcome.SUCCEEDED]
    return [attempt for attempt in vain if attempt.phase in found.summary.by_id]


# -- JSON -------------------------------------------------------------------------------------------------------


def report_data(
    state: ExecutionState,
    events: Sequence[Event],
    *,
    now: float | None = None,
    alive: bool | None = None,
    signs: Signs = NO_SIGNS,
) -> dict[str, Any]:
    """The report as plain values. Times are seconds since 1970, lengths are seconds; what is not known is null."""
    found = _findings(state, events, now, alive, signs)
    summary = found.summary
    attempts: dict[str, list[dict[str, Any]]] = {row.id: [] for row in summary.rows}
    waits: dict[str, list[dict[str, Any]]] = {row.id: [] for row in summary.rows}
    for attempt in found.history.attempts:
        attempts.setdefault(attempt.phase, []).append(_attempt_data(attempt))
    for wait in found.history.waits:
        waits.setdefault(wait.phase, []).append(_wait_data(wait))
    return {
        "format": FORMAT,
        "run": summary.run,
        "status": summary.status.value,
        "plan": {"name": summary.plan_name, "path": summary.plan_path, "digest": summary.plan_digest},
        "started": summary.started,
        "ended": summary.ended,
        "missing_outputs": list(summary.missing),
        "unproven": list(summary.unproven),
        "edited": list(summary.edited),
        "needs_you": list(summary.needs_you),
        "questions": [question_data(row.id, one) for row in summary.rows for one in row.asks],
        "silent": [row.id for row in summary.silent],
        "budget": summary.budget or None,
        "budget_reached": summary.budget_reached or None,
        "usage": spent_data(summary.spent),
        "gates": [_gate_data(name, gate) for name, gate in found.gates.items()],
        "forbidden": list(summary.forbidden),
        "isolation": summary.isolation,
        "result_branch": summary.result_branch or None,
        "result_commit": summary.result or None,
        "landed_on": summary.landed_on or None,
        "totals": _totals(found),
        "undeclared_writes": [
            {"at": one.at, "suspects": list(one.suspects), "paths": list(one.paths)} for one in found.undeclared
        ],
        "pacing_chain": [_step_data(step) for step in found.chain],
        "advice": _advice_data(found.advice),
        "idle": [{"since": since, "until": until} for since, until in found.history.idle],
        "phases": [_phase_data(state, row, attempts[row.id], waits[row.id]) for row in summary.rows],
        "left_the_plan": {name: made for name, made in attempts.items() if name not in summary.by_id},
    }


def _totals(found: _Findings) -> dict[str, Any]:
    summary = found.summary
    waited = sum(wait.until - wait.since for wait in found.history.waits if wait.until is not None)
    return {
        "phases": len(summary.rows),
        "to_do": summary.total,
        "done": summary.done,
        "counts": {standing.value: number for standing, number in summary.counts.items()},
        "wall_seconds": summary.elapsed,
        "work_seconds": summary.work,
        "idle_seconds": summary.idle,
        "lock_wait_seconds": waited,
        "ratio": summary.ratio,
        "agents": summary.agents or None,
        "attempts": len(found.history.attempts),
        "retries": summary.retries,
        "conflicts": _conflicts(found),
    }


def _gate_data(name: str, gate: Gate) -> dict[str, Any]:
    return {
        "gate": name,
        "status": gate.status.value,
        "at": gate.at,
        "by": gate.by or None,
        "reason": gate.reason or None,
    }


def _phase_data(
    state: ExecutionState, row: PhaseRow, attempts: list[dict[str, Any]], waits: list[dict[str, Any]]
) -> dict[str, Any]:
    waiver = {"by": row.waiver.by, "reason": row.waiver.reason, "at": row.waiver.at} if row.waiver else None
    hours = state.graph.nodes[row.id].estimated_time
    return {
        "id": row.id,
        "name": row.name,
        "wave": row.wave,
        "dependencies": list(state.graph.dependencies(row.id)),
        "status": row.status.value,
        "standing": row.standing.value,
        "reason": row.reason or None,
        "estimated_seconds": None if hours is None else round(hours * 3600, 3),
        "attempts": attempts,
        "usage": spent_data(row.spent),
        "waits": waits,
        "outputs": list(state.phase_states[row.id].outputs),
        "blocked_by": list(row.blocked_by),
        "waiver": waiver,
        "kept_from": row.kept_from or None,
        "undeclared": list(row.undeclared),
        "gate": row.gate or None,
        "branch": row.branch or None,
        "commit": row.commit or None,
    }


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "agent": attempt.agent,
        "started": attempt.started,
        "ended": attempt.ended,
        "unattended_seconds": attempt.unattended,
        "outcome": attempt.outcome.value if attempt.outcome else None,
        "cause": attempt.cause.value or None,
        "detail": attempt.detail or None,
        "exit_code": attempt.exit_code,
        "log": attempt.log or None,
        "usage": usage_data(attempt.reported),
    }


def _wait_data(wait: LockStretch) -> dict[str, Any]:
    return {"resource": wait.resource, "holder": wait.holder, "since": wait.since, "until": wait.until}


def _step_data(step: PacingStep) -> dict[str, Any]:
    return {
        "phase": step.attempt.phase,
        "attempt": step.attempt.number,
        "waited_for": step.waited_for.value,
        "resource": step.resource or None,
        "gap_seconds": step.gap,
    }


def _advice_data(told: Advice | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {
        "agents": told.agents,
        "on_paper_seconds": told.as_it_was,
        "one_agent_more_seconds": told.one_more,
        "one_agent_less_seconds": told.one_less,
        "without_turns_seconds": dict(told.without),
    }
