"""The report as a Chrome trace, to be opened in Perfetto or any other viewer of that format.

What it does: a lane for each agent slot with the attempts on it, waits as slices of their own, arrows for dependencies,
and a counter of agents at work. Times are whole microseconds since the start of the run.
What it does not know: how a viewer draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from wavecrew.models.events import Outcome
from wavecrew.views.report_facts import AttemptFacts, Report
from wavecrew.views.report_waits import Stretch, WaitKind
from wavecrew.views.report_words import KINDS, name_of, outcome_words, wait_words, waiter, why
from wavecrew.views.terminal_text import one_line, safe_json

AGENTS: Final = 1
WAITS: Final = 2
PEOPLE: Final = 3
_PROCESSES: Final = {AGENTS: "agents", WAITS: "waits of phases", PEOPLE: "waits of the run"}
_COLOUR: Final = {
    None: "thread_state_running",
    Outcome.SUCCEEDED: "good",
    Outcome.FAILED: "terrible",
    Outcome.LOST: "terrible",
    Outcome.STOPPED: "bad",
}

Slice = tuple[int, int, int, int]
"""Process, thread, begin, length."""


def trace_of(report: Report) -> str:
    """The whole file, in the form of an object."""
    start = report.summary.started or 0.0
    other = {
        "kind": "wavecrew.trace",
        "run": one_line(report.summary.run),
        "plan": one_line(report.summary.plan_name),
        "start": start,
    }
    events = sorted(_events(report, start), key=lambda event: (event["ph"] != "M", event.get("ts", 0)))
    return safe_json({"otherData": other, "displayTimeUnit": "ms", "traceEvents": events}) + "\n"


def _events(report: Report, start: float) -> Iterator[dict[str, Any]]:
    attempts = {
        (one.attempt.phase, one.attempt.number): (
            AGENTS,
            one.lane + 1,
            _micro(one.attempt.started, start),
            max(1, _micro(one.attempt.started + one.seconds, start) - _micro(one.attempt.started, start)),
        )
        for one in report.attempts
    }
    threads: dict[tuple[int, int], str] = {(AGENTS, one.lane + 1): f"slot {one.lane + 1}" for one in report.attempts}
    for one in report.attempts:
        place = attempts[one.attempt.phase, one.attempt.number]
        yield _slice(place, name_of(report, one.attempt.phase), "attempt", _about(one), _COLOUR[one.attempt.outcome])
    for wait, place in _placed(report, start):
        threads[place[0], place[1]] = "" if place[0] == WAITS else KINDS[wait.kind]
        name = f"{waiter(report, wait)}: {KINDS[wait.kind]}" if wait.phase else wait_words(report, wait)
        about = {"for": wait_words(report, wait), "seconds": round(wait.lasted(report.now), 3)}
        yield _slice(place, name, f"wait,{wait.kind.value}", about, "bad")
    yield from _arrows(report, attempts)
    yield from _counter(attempts.values())
    yield from _names(threads)


def _micro(at: float, start: float) -> int:
    return max(0, round((at - start) * 1e6))


def _slice(place: Slice, name: str, kind: str, about: Mapping[str, Any], colour: str) -> dict[str, Any]:
    process, thread, begin, length = place
    return {
        "ph": "X",
        "name": name,
        "cat": kind,
        "ts": begin,
        "dur": length,
        "pid": process,
        "tid": thread,
        "cname": colour,
        "args": dict(about),
    }


def _about(one: AttemptFacts) -> dict[str, Any]:
    tokens = None if one.spent.unknown_tokens else one.spent.tokens
    return {
        "attempt": one.attempt.number,
        "agent": one_line(one.attempt.agent),
        "outcome": outcome_words(one),
        "reason": why(one) or None,
        "tokens": tokens,
        "cost_usd": None if one.spent.unknown_cost else one.spent.cost_usd,
        "pacing_chain": one.step is not None,
    }


def _placed(report: Report, start: float) -> Iterator[tuple[Stretch, Slice]]:
    """Waits on as few threads as do without overlaps; those of the run have a process of their own."""
    free_at: dict[int, list[int]] = {WAITS: [], PEOPLE: []}
    for wait in report.waits:
        process = WAITS if wait.phase else PEOPLE
        begin = _micro(wait.since, start)
        length = max(1, _micro(min(wait.since + wait.lasted(report.now), report.now), start) - begin)
        lanes = free_at[process]
        lane = next((number for number, at in enumerate(lanes) if at <= begin), len(lanes))
        lanes[lane : lane + 1] = [begin + length]
        yield wait, (process, lane + 1, begin, length)


def _arrows(report: Report, places: Mapping[tuple[str, int], Slice]) -> Iterator[dict[str, Any]]:
    """From the success of a dependency to the first attempt after it, and from the holder of a lock to who waited."""
    done: dict[str, list[tuple[float, int]]] = {}
    for one in report.attempts:
        if one.attempt.outcome is Outcome.SUCCEEDED and one.attempt.ended is not None:
            done.setdefault(one.attempt.phase, []).append((one.attempt.ended, one.attempt.number))
    number = 0
    for one in report.attempts:
        phase, start = one.attempt.phase, one.attempt.started
        wanted = [(name, "dependency") for name in report.state.graph.edges.get(phase, ())]
        wanted += [(wait.whom, "lock") for wait in _locks(report, one)]
        for name, kind in dict.fromkeys(wanted):
            before = [made for ended, made in done.get(name, ()) if ended <= start]
            if before:
                number += 1
                yield from _arrow(places[name, before[-1]], places[phase, one.attempt.number], kind, number)


def _locks(report: Report, one: AttemptFacts) -> Iterable[Stretch]:
    waits = (wait for wait in report.waits if wait.phase == one.attempt.phase and wait.kind is WaitKind.LOCK)
    return [wait for wait in waits if wait.until is not None and wait.since <= one.attempt.started]


def _arrow(first: Slice, last: Slice, kind: str, number: int) -> Iterator[dict[str, Any]]:
    """A flow binds to the slice around its time, so it begins just before the end of the first one."""
    common = {"name": kind, "cat": "flow", "id": number}
    yield common | {"ph": "s", "ts": first[2] + first[3] - 1, "pid": first[0], "tid": first[1]}
    yield common | {"ph": "f", "bp": "e", "ts": last[2], "pid": last[0], "tid": last[1]}


def _counter(places: Iterable[Slice]) -> Iterator[dict[str, Any]]:
    changes: dict[int, int] = {}
    for _, _, begin, length in places:
        changes[begin] = changes.get(begin, 0) + 1
        changes[begin + length] = changes.get(begin + length, 0) - 1
    now = 0
    for at, change in sorted(changes.items()):
        now += change
        yield {"ph": "C", "name": "agents at work", "ts": at, "pid": AGENTS, "tid": 0, "args": {"agents": now}}


def _names(threads: Mapping[tuple[int, int], str]) -> Iterator[dict[str, Any]]:
    for process in sorted({process for process, _ in threads}):
        yield {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": _PROCESSES[process]}}
        yield {"ph": "M", "name": "process_sort_index", "pid": process, "tid": 0, "args": {"sort_index": process}}
    for (process, thread), name in sorted(threads.items()):
        told = name or f"waits {thread}"
        yield {"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": {"name": told}}
        yield {"ph": "M", "name": "thread_sort_index", "pid": process, "tid": thread, "args": {"sort_index": thread}}
