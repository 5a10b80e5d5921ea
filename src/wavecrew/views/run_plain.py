"""A run as plain lines: one line for one fact, nothing redrawn. The reference for all other views.

What it does: writes each event as `time verb phase words`, a heartbeat, and at the end what failed with the last lines
of its log and what to do next.
What it does not know: where lines are printed and when a heartbeat is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from wavecrew.models import events as ev
from wavecrew.models.accounts import Closure
from wavecrew.models.events import Event, Outcome
from wavecrew.models.execution_state import ExecutionState, PhaseState
from wavecrew.models.outcomes import FREE_CAUSES
from wavecrew.views.question_words import said_words
from wavecrew.views.run_forecast import WaveRules, held_by_wave, left_words
from wavecrew.views.run_history import History
from wavecrew.views.run_next import (
    edited_words,
    forbidden_words,
    kept_lines,
    missing_lines,
    needed_words,
    needs_you_words,
    next_lines,
    result_words,
)
from wavecrew.views.run_words import (
    DOT,
    ROOM_WORDS,
    clock,
    in_ascii,
    label,
    label_in,
    listed,
    reason_of,
    seconds,
    short,
    wrapped,
)
from wavecrew.views.summary import AT_WORK, PhaseRow, Standing, Summary, summarize
from wavecrew.views.terminal_text import cells, one_line, tail
from wavecrew.views.usage_words import budget_words, held_words, silent_words, spent_at, spent_words

TAIL_LINES = 20
"""How many log lines of a failed phase are shown at the end."""
_TAILS = 10
_KEPT_LINES = 10
_WIDTH = 80
_SESSION = 8
"""As many characters of a session as tell it from others; `explain` shows all."""
_NOBODY = PhaseState()
"""Stands for a phase that has left the plan since."""


class PlainView:
    """Plain lines of a run that is being watched. `history` are the events from before, if it is taken up.

    Times count from the first event that is shown; a run that is taken up starts at zero again.
    """

    def __init__(self, history: Iterable[Event] = (), *, ascii_only: bool = False) -> None:
        self._history = History(history)
        self._ascii_only = ascii_only
        self._started_at: float | None = None
        self._held: set[int] = set()

    def event(self, events: Sequence[Event], state: ExecutionState) -> list[str]:
        """The lines of some events; `state` is the one after them."""
        self._history.add(events)
        if events and self._started_at is None:
            self._started_at = events[0].at
        start = self._started_at or 0.0
        kept = [event for event in events if isinstance(event, ev.PhaseKept)]
        if len(kept) > _KEPT_LINES:  # a line for each would push what matters off the screen
            events = [event for event in events if not isinstance(event, ev.PhaseKept)]
        lines = [line for event in events for line in lines_for(event, state, start, history=self._history)]
        if len(kept) > _KEPT_LINES:
            runs = listed(tuple(dict.fromkeys(event.from_run for event in kept)))
            lines.append(f"{clock(kept[0].at - start)} {'keep':<6} {len(kept)} phases from={runs}")
        return lines + (self._hold(state, events[-1].at, start) if events else [])

    def _hold(self, state: ExecutionState, now: float, start: float) -> list[str]:
        """What only the pause before its wave holds up, told once for each wave: else an idle run would look stuck."""
        held = held_by_wave(state, now)
        lines = [
            f"{clock(now - start)} {'hold':<6} wave {wave} starts in {seconds(opens - now)}"
            f" (wave_delay_seconds={WaveRules.of(state.settings).delay:g}): {listed(names)}"
            for wave, (opens, names) in held.items()
            if wave not in self._held
        ]
        self._held.update(held)
        return lines

    def beat(self, state: ExecutionState, now: float) -> str:
        """The heartbeat."""
        start = now if self._started_at is None else self._started_at
        line = heartbeat(summarize(state, now, alive=True, history=self._history), start)
        return in_ascii(line) if self._ascii_only else line

    def end(self, state: ExecutionState, now: float, logs: Mapping[str, str]) -> list[str]:
        """The final block; `logs` are the ends of the logs of failed phases."""
        lines = final_lines(summarize(state, now, history=self._history), logs)
        return [in_ascii(line) for line in lines] if self._ascii_only else lines


# -- one event --------------------------------------------------------------------------------------------------


def lines_for(event: Event, state: ExecutionState, started_at: float, *, history: History | None = None) -> list[str]:
    """The lines of one event; `state` is one that has taken it in. With a history the totals count earlier attempts."""
    told = _run_words(event, state, history) or _attempt_words(event, state) or _phase_words(event, state)
    told = told or _gate_words(event) or _merge_words(event, state) or _agent_words(event, state)
    told = told or _rare_words(event) or said_words(event, state)
    if told is None:
        return []
    verb, words = told
    moment = clock(event.at - started_at)
    line = f"{moment} {verb:<6} {words}".rstrip()
    counts, wall, times = line.partition(" wall=")
    if wall and cells(line) > _WIDTH:  # many counts: the times get a line of their own
        return [counts, f"{moment} {'time':<6}{wall}{times}"]
    return [line]


def _run_words(event: Event, state: ExecutionState, history: History | None) -> tuple[str, str] | None:
    match event:
        case ev.RunStarted():
            return "run", _opening(event)
        case ev.CoordinatorStarted() if event.epoch > 1:
            done = sum(found.satisfied for found in state.phase_states.values())
            paused = f" paused-by={_value(state.paused_by)}" if state.paused_by else ""
            return "resume", f"{one_line(state.run)} done={done}/{len(state.phase_states)} jobs={event.agents}{paused}"
        case ev.RunPaused():
            return "pause", f"run by={_value(event.by)} {one_line(event.reason)}"
        case ev.RunContinued():
            return "resume", f"run by={_value(event.by)}"
        case ev.UndeclaredWrites():
            who = listed(event.suspects) or "nobody at work"
            return "audit", f"{who} undeclared={_value(listed(event.paths))}"
        case ev.RunStopped():
            totals = _totals(summarize(state, event.at, history=history))
            return "stop", f"run reason={_value(event.reason)} {totals}"
        case ev.RunFinished():
            return "done", _totals(summarize(state, event.at, history=history))
        case _:
            return None


def _opening(event: ev.RunStarted) -> str:
    words = [one_line(event.run), f"plan={event.plan_digest[:7]}", f"phases={len(event.phases)}"]
    if event.selected:
        words.append(f"selected={len(event.selected)}")
    for key, name in (("jobs", "max_parallel_agents"), ("agent", "agent")):
        if name in event.settings:
            words.append(f"{key}={_value(str(event.settings[name]))}")
    return " ".join(words)


def _attempt_words(event: Event, state: ExecutionState) -> tuple[str, str] | None:
    match event:
        case ev.AttemptStarted():
            default = state.settings.get("agent", event.agent)
            other = "" if event.agent == default else f" agent={_value(event.agent)}"
            on = f" session={_value(event.session[:_SESSION])}" if event.session else ""
            return "start", f"{label_in(state, event.phase)} attempt={event.attempt}{other}{on}"
        case ev.AttemptAdopted():
            return "adopt", f"{label_in(state, event.phase)} attempt={event.attempt}"
        case ev.AttemptCancelled():
            return "cancel", f"{label_in(state, event.phase)} by={_value(event.by)}"
        case ev.AttemptEnded():
            return _ending(event, state)
        case _:
            return None


def _ending(event: ev.AttemptEnded, state: ExecutionState) -> tuple[str, str]:
    found = state.phase_states.get(event.phase, _NOBODY)
    same = found.attempts == event.attempt and found.started_at is not None
    worked = event.at - (found.started_at or 0.0) - event.unattended
    lasted = f" {seconds(worked)}" if same else ""
    head = f"{label_in(state, event.phase)}{lasted}"
    if event.outcome is Outcome.SUCCEEDED:
        files = f" files={len(event.outputs)}" if event.outputs else ""
        return "pass", head + files + (f" commit={one_line(event.commit[:7])}" if event.commit else "")
    if event.outcome is Outcome.STOPPED and event.cause in FREE_CAUSES:
        opens = f" next in={seconds(event.retry_at - event.at)}" if event.retry_at is not None else ""
        return "stop", f"{head}{opens} costs no retry: {one_line(event.detail)}"
    if event.outcome is Outcome.STOPPED:
        return "stop", f"{head} starts again when the run goes on"
    why = one_line(reason_of(event.cause, event.detail))
    if event.retry_at is None:
        return "fail", f"{head} {why}"
    verb = "lost" if event.outcome is Outcome.LOST else "retry"
    return verb, f"{head} next={event.attempt + 1} in={seconds(event.retry_at - event.at)} {why}"


def _phase_words(event: Event, state: ExecutionState) -> tuple[str, str] | None:
    match event:
        case ev.LockAwaited(phase=phase):
            words = f"lock={_value(event.resource)} holder={_value(event.holder)}"
            return "wait", f"{label_in(state, phase)} {words}"
        case ev.PhaseRefused(phase=phase):
            return "fail", f"{label_in(state, phase)} not started: {one_line(reason_of(event.cause, event.detail))}"
        case ev.PhaseKept(phase=phase):
            return "keep", f"{label_in(state, phase)} from={_value(event.from_run)}"
        case ev.PhaseSkipped(phase=phase):
            return "skip", f"{label_in(state, phase)} by={_value(event.by)} {one_line(event.reason)}"
        case ev.PhaseReset(phase=phase):
            return "reset", f"{label_in(state, phase)} by={_value(event.by)} {one_line(event.reason)}"
        case _:
            return None


def _gate_words(event: Event) -> tuple[str, str] | None:
    match event:
        case ev.ApprovalAsked():
            return "ask", f"needs you: {DOT.join(needs_you_words((event.gate,)))}"
        case ev.GateApproved():
            return "open", f"{one_line(event.gate)} by={_value(event.by)} {one_line(event.reason)}"
        case ev.GateRejected():
            return "reject", f"{one_line(event.gate)} by={_value(event.by)} {one_line(event.reason)}"
        case _:
            return None


def _merge_words(event: Event, state: ExecutionState) -> tuple[str, str] | None:
    """The way of work into the result; the line of its end follows and says whether it is tried again."""
    match event:
        case ev.WorkSealed(phase=phase):
            return "merge", f"{label_in(state, phase)} files={len(event.changed)}"
        case ev.MergeProposed(phase=phase) if event.beside not in ("", phase):
            return "merge", f"{label_in(state, phase)} with={_value(event.beside)}"
        case ev.MergeRefused(phase=phase):
            kept = state.phase_states.get(phase, _NOBODY).branch
            where = f" kept={_value(kept)}" if kept else ""
            paths = f" paths={_value(listed(event.paths))}" if event.paths else ""
            return "clash", f"{label_in(state, phase)} {one_line(event.detail)}{paths}{where}"
        case _:
            return None


def _agent_words(event: Event, state: ExecutionState) -> tuple[str, str] | None:
    match event:
        case ev.AgentSilence(phase=phase, since=None):
            return "heard", f"{label_in(state, phase)} is heard again"
        case ev.AccountReopened():
            return "open", f"{one_line(event.account)} by={_value(event.by)} {one_line(event.reason)}"
        case ev.AgentSilence(phase=phase, since=since) if since is not None:
            return "silent", f"{label_in(state, phase)} {one_line(silent_words(since, event.words, event.at))}"
        case ev.WriteAwaited(phase=phase):
            words = f"write={_value(event.resource)} holder={_value(event.holder)}"
            return "wait", f"{label_in(state, phase)} {words}"
        case ev.WriteJudged(phase=phase) if event.waited:
            words = f"write={_value(listed(event.paths))} waited={seconds(event.waited)}"
            told = "" if event.allowed else f" refused: {one_line(event.reason)}"
            return "write", f"{label_in(state, phase)} {words}{told}"
        case ev.AccountClosed():
            held = held_words(event.account, Closure(event.until, event.detail), event.at)
            return "held", one_line(held.removeprefix("held: "))
        case ev.RoomAwaited():
            return "room", ROOM_WORDS
        case ev.BudgetReached():
            return "budget", budget_words(event.budget, spent_at(event, state.spent))
        case _:
            return None


def _rare_words(event: Event) -> tuple[str, str] | None:
    match event:
        case ev.PlanChanged():
            return (
                "plan",
                f"changed by={_value(event.by)} plan={one_line(event.plan_digest[:7])} phases={len(event.phases)}",
            )
        case ev.ForbiddenChange():
            return "ALARM", forbidden_words(event.what, event.suspects)
        case ev.ResultLanded():
            return "land", f"{_value(event.branch)} commit={one_line(event.commit[:7])} by={_value(event.by)}"
        case _:
            return None


def _value(text: str) -> str:
    """A value after an equals sign; in quotes if it holds blanks, so that a line can be taken apart again."""
    line = one_line(text)
    return f'"{line}"' if " " in line or not line else line


_OPEN = (*AT_WORK, Standing.GONE, Standing.WAITING, Standing.RETRYING, Standing.READY, Standing.TO_COME)
"""What goes on when the run does; what is held is counted by itself."""


def _totals(summary: Summary) -> str:
    counts = summary.counts
    words = [
        f"passed={counts[Standing.PASSED]}",
        f"failed={counts[Standing.FAILED]}",
    ]
    left = sum(counts[standing] for standing in _OPEN)
    others = {
        "blocked": counts[Standing.BLOCKED],
        "kept": counts[Standing.KEPT],
        "skipped": counts[Standing.SKIPPED],
        "open": left,
    }
    words += [f"{word}={number}" for word, number in others.items() if number]
    words += [f"missing={len(summary.missing)}"] if summary.missing else []
    words += [f"unproven={len(summary.unproven)}"] if summary.unproven else []
    words += [f"held={counts[Standing.HELD]}"] if counts[Standing.HELD] else []
    words += [f"needs-you={summary.needed}"] if summary.needed else []
    words += [f"retries={summary.retries}"] if summary.retries else []
    words += [f"wall={seconds(summary.elapsed)}", f"work={seconds(summary.work)}"]
    if summary.ratio is not None:
        words.append(f"ratio={summary.ratio:.2f}")
    return " ".join(words)


# -- heartbeat and end ------------------------------------------------------------------------------------------


def heartbeat(summary: Summary, started_at: float) -> str:
    """One line that tells what is going on: done, at work, waiting for whom."""
    parts = [f"{summary.done}/{summary.total} done"]
    if summary.paused_by:
        parts.append(f"paused by {one_line(summary.paused_by)}")
    if summary.needed:
        parts.append(f"needs you {summary.needed}: {', '.join(map(one_line, summary.needed_names[:4]))}")
    running = tuple(row.id for row in summary.of(Standing.RUNNING))
    parts.append(f"{len(running)} running" + (f": {listed(running)}" if running else ""))
    merging = tuple(row.id for row in summary.of(Standing.MERGING))
    parts += [f"{len(merging)} merging: {listed(merging)}"] if merging else []
    waiting = summary.of(Standing.WAITING)
    if waiting:
        more = f" +{len(waiting) - 4}" if len(waiting) > 4 else ""
        parts.append(f"{len(waiting)} waiting: " + ", ".join(_waiter(row) for row in waiting[:4]) + more)
    held = summary.of(Standing.HELD)
    parts += [f"{len(held)} {one_line(held[0].reason)}"] if held else []
    parts += [f"budget of {one_line(summary.budget_reached)} spent"] if summary.budget_reached else []
    for standing in (Standing.RETRYING, Standing.READY, Standing.TO_COME, Standing.FAILED, Standing.BLOCKED):
        if number := summary.counts[standing]:
            parts.append(f"{number} {'to retry' if standing is Standing.RETRYING else standing.value}")
    if summary.forecast is not None:
        parts.append(f"{left_words(summary.forecast)} left")
    return f"{clock(summary.now - started_at)} {'beat':<6} {' · '.join(parts)}"


def _waiter(row: PhaseRow) -> str:
    if row.lock is None:
        return one_line(row.id)
    return f"{one_line(row.id)} on {short(row.lock.resource)} ({one_line(row.lock.holder)})"


def final_lines(summary: Summary, logs: Mapping[str, str], *, width: int | None = None) -> list[str]:
    """After the end: each failed phase with why and the last lines of its log, then what to do next."""
    return [*_failures(summary, logs, width), *_ways_on(summary, width)]


def _ways_on(summary: Summary, width: int | None) -> Iterator[str]:
    if result := result_words(summary):
        yield f"result: {result}"
    if summary.forbidden:
        yield f"ALARM: {forbidden_words(summary.forbidden)}"
    if told := edited_words(summary):
        yield from wrapped("", told.split(" "), width or _WIDTH, between=" ")
    if summary.needed:
        yield f"needs you: {DOT.join(needed_words(summary))}"
    if summary.budget_reached:
        yield budget_words(summary.budget_reached, summary.spent)
    if summary.spent.attempts:
        yield f"used: {spent_words(summary.spent)}"
    yield from next_lines(summary, width)


def _failures(summary: Summary, logs: Mapping[str, str], width: int | None) -> Iterator[str]:
    failed = summary.of(Standing.FAILED)
    for row in failed[:_TAILS]:
        yield ""
        yield f"failed {label(row.id, row.name)}: {one_line(row.reason)}"
        shown = tail(logs.get(row.id, ""), TAIL_LINES, None if width is None else width - 4)
        yield from (f"  | {line}".rstrip() for line in shown)
        if not shown:
            yield "  (its log is empty)" if row.attempts else "  (it was never started, so it has no log)"
        yield from kept_lines(row, summary.result_branch)
    if len(failed) > _TAILS:
        yield ""
        yield f"... and {len(failed) - _TAILS} more failed phases"
    yield from missing_lines(summary)
    blocked = summary.of(Standing.BLOCKED)
    for why, found in (
        ("a failure", [row.id for row in blocked if not row.gate]),
        ("a rejected gate", [row.id for row in blocked if row.gate]),
    ):
        if found:
            yield ""
            yield f"not started because of {why}: {listed(tuple(found), 12)}"
