"""What the page shows of a run, as plain values: parts that are compared, and sent only where they differ.

What it does: turns one look at a run into texts and numbers for the page. Every foreign text is cleaned here, so that
nothing that could steer a terminal or turn a line around reaches a screen by copying. Moments are given as such, so
that the page can let clocks run without asking.
What it does not know: HTML, requests and who looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from wavecrew.models.events import Outcome
from wavecrew.models.execution_state import PhaseStatus
from wavecrew.views.question_words import answer_command, asks_words
from wavecrew.views.run_forecast import left_words, pacing_words
from wavecrew.views.run_next import (
    approve_command,
    argument,
    edited_words,
    forbidden_words,
    missing_lines,
    next_lines,
    result_words,
)
from wavecrew.views.run_status import counted_words
from wavecrew.views.run_words import UNKNOWN, seconds
from wavecrew.views.summary import AT_WORK, DONE, PhaseRow, RunStatus, Summary
from wavecrew.views.terminal_text import cut
from wavecrew.views.usage_words import budget_words, cost_words, held_words, spent_words
from wavecrew.web.watch import Look

Scene = Mapping[str, Any]
"""`head`, `needs`, `locks` as they are; `rows` and `lanes` by their numbers."""

_WIDEST: Final = 600
"""How many columns of a foreign text reach the page."""
_LOCKS: Final = 300
_ENDED: Final = (PhaseStatus.COMPLETED, PhaseStatus.FAILED)


def scene_of(look: Look) -> dict[str, Any]:
    """Everything that the page shows and that can change while it is open."""
    numbers = {row.id: place for place, row in enumerate(look.summary.rows)}
    return {
        "head": _head(look.summary, alive=look.alive),
        "needs": list(_needs(look.summary, numbers)),
        "locks": _locks(look),
        "rows": [_row(row, look) for row in look.summary.rows],
        "lanes": _lanes(look, numbers),
    }


def text(words: str) -> str:
    """A foreign text for the page."""
    return cut(words, _WIDEST)


# -- the head ---------------------------------------------------------------------------------------------------


def _head(summary: Summary, *, alive: bool) -> dict[str, Any]:
    ticking = summary.status is RunStatus.RUNNING
    elapsed = summary.elapsed
    return {
        "run": text(summary.run),
        "digest": summary.plan_digest,
        "status": summary.status.value,
        "counted": counted_words(summary),
        "done": summary.done,
        "total": summary.total,
        "needed": summary.needed,
        "since": round(summary.now - elapsed, 1) if ticking and elapsed is not None else None,
        "took": seconds(elapsed) if not ticking and elapsed is not None else "",
        "left": _left(summary),
        "pacing": text(pacing_words(summary.forecast)) if summary.forecast else "",
        "used": spent_words(summary.spent) if summary.spent.attempts else f"cost {UNKNOWN}",
        "budget": text(summary.budget),
        "result": result_words(summary),
        "notes": [text(note) for note in _notes(summary)],
        "next": [line.removeprefix("next: ").strip() for line in next_lines(summary, 1)],
        "paused": bool(summary.paused_by),
        "alive": alive,
        "over": summary.status in (RunStatus.SUCCEEDED, RunStatus.FAILED) or bool(summary.imported),
        "agents": summary.agents,
        "at_work": sum(summary.counts[one] for one in AT_WORK),
    }


def _left(summary: Summary) -> str:
    if summary.status is not RunStatus.RUNNING:
        return ""
    return f"{left_words(summary.forecast)} left" if summary.forecast else f"time left {UNKNOWN}"


def _notes(summary: Summary) -> Iterator[str]:
    """What is to be said of the run as a whole."""
    if summary.imported:
        yield f"It was imported from {summary.imported}: it can be looked at, and nothing can go on with it."
    elif summary.status is RunStatus.INTERRUPTED:
        yield "Its coordinator is gone; nothing is lost, and `wavecrew run` goes on with it."
    elif summary.status is RunStatus.STOPPED:
        was = f"It was stopped ({summary.stop_reason})"
        was = was if summary.stop_reason else "It had ended, and what was asked for since is still to be done"
        yield f"{was}; `wavecrew run` goes on with it."
    elif summary.paused_by and summary.status is RunStatus.RUNNING:
        yield f"It was paused by {summary.paused_by}: nothing new starts, what is at work goes on."
    if summary.budget_reached:
        yield budget_words(summary.budget_reached, summary.spent)
    if summary.forbidden:
        yield f"ALARM: {forbidden_words(summary.forbidden)}"
    if told := edited_words(summary):
        yield told
    for name, closed in summary.accounts.items():
        yield held_words(name, closed, summary.now)
    yield from (line.strip() for line in missing_lines(summary))


# -- who is needed ----------------------------------------------------------------------------------------------


def _needs(summary: Summary, numbers: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for gate in summary.needs_you:
        behind = [text(row.id) for row in summary.rows if row.gate == gate]
        yield {
            "gate": gate,
            "name": text(gate),
            "words": f"holds {', '.join(behind[:6])}" + (f" and {len(behind) - 6} more" if len(behind) > 6 else ""),
            "command": approve_command((gate,)),
        }
    for row in summary.rows:
        for one in row.asks:
            command = answer_command(row.id, one, row.asks)
            told = {"n": numbers[row.id], "name": text(row.id), "words": text(asks_words(one)), "command": command}
            yield told if summary.imported else told | {"question": one.number}
    for row in summary.silent:
        yield {
            "n": numbers[row.id],
            "name": text(row.id),
            "words": text(row.reason),
            "command": f"wavecrew logs {argument(row.id)}",
        }


# -- phases -----------------------------------------------------------------------------------------------------


def _row(row: PhaseRow, look: Look) -> dict[str, Any]:
    """One phase; what is empty is left out, and what never changes stands in the page already."""
    ticking = row.standing in AT_WORK and look.summary.status is RunStatus.RUNNING
    elapsed, word = row.elapsed, argument(row.id)
    told: dict[str, Any] = {
        "why": _why(row),
        "tries": row.attempts,
        "from": round(look.summary.now - elapsed, 1) if ticking and elapsed is not None else None,
        "took": seconds(elapsed) if not ticking and elapsed is not None else "",
        "waits": round(row.lock.since, 1) if row.lock is not None else None,
        "agent": text(row.agent),
        "cost": cost_words(row.spent) if row.spent.attempts > row.spent.unknown_cost else "",
        "branch": text(row.branch),
        "undeclared": [text(path) for path in row.undeclared[:5]],
        "can": _can(row, look),
        "arg": word if word != row.id else "",
    }
    return {"id": row.id, "s": row.standing.value} | {name: value for name, value in told.items() if value}


def _why(row: PhaseRow) -> str:
    if row.progress is not None and row.silent_since is None:
        return text(f"step {row.progress[0]}/{row.progress[1]}  {row.progress[2]}")
    return text(row.reason)


def _can(row: PhaseRow, look: Look) -> str:
    """Which wishes fit where a phase stands: r(etry), s(kip), c(ancel). The coordinator has the last word."""
    if look.summary.imported:
        return ""
    ended = row.status in _ENDED or row.waiver is not None
    wishes = "r" if ended and look.state.to_do(row.id) else ""
    if row.standing not in DONE and row.status is not PhaseStatus.IN_PROGRESS:
        wishes += "s"
    return wishes + ("c" if row.status in (PhaseStatus.IN_PROGRESS, PhaseStatus.QUEUED) and not row.waiver else "")


# -- time -------------------------------------------------------------------------------------------------------


def _lanes(look: Look, numbers: Mapping[str, int]) -> dict[str, list[list[Any]]]:
    """Bars by the number of their phase, or the name of their gate: begin and end in seconds of the run (an end that
    is null goes on), kind, attempt, and words for what did not succeed."""
    lanes: dict[str, list[list[Any]]] = {}
    history, start = look.history, look.summary.started or 0.0

    def place(moment: float) -> float:
        return round(max(0.0, history.active(moment, start)), 1)

    def span(since: float, until: float | None) -> list[Any]:
        if until is None:  # it goes on, or nobody knows how long it did
            return [place(since), None if _goes_on(look) else max(place(since), round(look.summary.elapsed or 0.0, 1))]
        return [place(since), place(until)]

    for wait in history.waits:
        words = text(f"waited for {wait.resource}, held by {wait.holder}")
        _put(lanes, numbers, wait.phase, [*span(wait.since, wait.until), "lock", 0, words])
    for attempt in history.attempts:
        good = attempt.outcome in (None, Outcome.SUCCEEDED)
        kind = ("pacing" if (attempt.phase, attempt.number) in look.pacing else "work") if good else "vain"
        until = None if attempt.ended is None else attempt.ended - attempt.unattended
        bar = [*span(attempt.started, until), kind, attempt.number]
        _put(lanes, numbers, attempt.phase, bar if good else [*bar, text(attempt.detail or str(attempt.outcome))])
    for asked in look.gate_waits:
        lanes.setdefault(f"gate {text(asked.gate)}", []).append([*span(asked.since, asked.until), "human", 0])
    return {name: sorted(bars, key=lambda bar: (bar[0], bar[2] != "lock")) for name, bars in lanes.items()}


def _goes_on(look: Look) -> bool:
    return look.summary.status is RunStatus.RUNNING


def _put(lanes: dict[str, list[list[Any]]], numbers: Mapping[str, int], phase: str, bar: list[Any]) -> None:
    if phase in numbers:  # else it has left the plan
        lanes.setdefault(str(numbers[phase]), []).append(bar)


# -- locks ------------------------------------------------------------------------------------------------------


def _locks(look: Look) -> list[dict[str, Any]]:
    """What is held in the workspace, by whom, and who waits for it."""
    waiters: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for waiter, owner in look.locks.waiting:
        told = {"who": text(waiter.label), "since": round(waiter.since, 1)}
        told |= {"owner": owner.word} if owner.word != "alive" else {}
        waiters.setdefault((waiter.resource, waiter.holder), []).append(told)
    found = []
    for lock, owner in look.locks.held[:_LOCKS]:
        one: dict[str, Any] = {
            "what": text(lock.resource_path),
            "mode": lock.lock_type.value,
            "who": text(lock.owner_phase),
            "since": round(lock.lock_time, 1),
            "id": lock.fence,
        }
        if owner.word != "alive":
            one |= {"owner": owner.word, "reason": text(owner.reason)}
        if waiting := waiters.pop((lock.resource_path, lock.owner_phase), None):
            one["waiters"] = waiting
        found.append(one)
    for (resource, holder), waiting in waiters.items():  # they stand behind somebody who waits, or want a part of it
        found.append({"what": text(resource), "mode": "", "who": text(holder), "since": None, "waiters": waiting})
    return found


# -- what differs -----------------------------------------------------------------------------------------------


class Sent:
    """What one reader has been told, so that it is told only what differs."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}

    def news(self, scene: Scene, encode: Any) -> dict[str, Any]:
        """The parts of a scene that are new to the reader. `encode` makes a text of a value."""
        new: dict[str, Any] = {}
        for name in ("head", "needs", "locks"):
            if self._differs(name, encode(scene[name])):
                new[name] = scene[name]
        rows = {str(place): row for place, row in enumerate(scene["rows"]) if self._differs(f"r{place}", encode(row))}
        lanes = {name: bars for name, bars in scene["lanes"].items() if self._differs(f"l{name}", encode(bars))}
        return new | ({"rows": rows} if rows else {}) | ({"lanes": lanes} if lanes else {})

    def _differs(self, name: str, value: str) -> bool:
        if self._parts.get(name) == value:
            return False
        self._parts[name] = value
        return True
