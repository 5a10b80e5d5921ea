"""The words of the live view: lines that stay when something ends, and the region below them that is redrawn.

What it does: lays out both for a width and a height as lines of styled pieces. Every line begins with a sign and a
word, so that nothing is told by colour alone; what does not fit is counted.
What it does not know: terminals, and when a region is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from wavecrew.models import events as ev
from wavecrew.models.accounts import Closure
from wavecrew.models.events import Event, Outcome
from wavecrew.models.execution_state import ExecutionState, PhaseState
from wavecrew.models.outcomes import FREE_CAUSES
from wavecrew.views.run_forecast import left_words, pacing_words
from wavecrew.views.run_next import forbidden_words, needed_words
from wavecrew.views.run_words import ROOM_WORDS, UNKNOWN, label, label_in, listed, reason_of, seconds, short, wrapped
from wavecrew.views.summary import AT_WORK, PhaseRow, Standing, Summary
from wavecrew.views.terminal_text import cells, cut, one_line, pad
from wavecrew.views.usage_words import budget_words, held_words, silent_words, spent_at


class Piece(NamedTuple):
    """Some text and how it is meant: a name of the table of styles of whoever draws it."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]

_WORD: Final = 7
_FOLD: Final = 3  # more kept or skipped phases than this share one line


def plain_text(line: Line) -> str:
    """A line without its styles."""
    return "".join(piece.text for piece in line).rstrip()


class Region:
    """Lays out lines of a width. `labels` are those of the whole plan, so that columns stay where they are."""

    def __init__(self, labels: Iterable[str], width: int) -> None:
        self.width = max(width, 30)
        widest = max(map(cells, labels), default=8)
        self.label_width = max(6, min(widest, self.width * 3 // 10))

    def line(self, sign: str, word: str, name: str, rest: str, style: str) -> Line:
        """`  ✓ passed  02 reader     4.0s  2 files`."""
        head = f"  {sign} {word:<{_WORD}} "
        body = f"{pad(name, self.label_width)}  " if name else ""
        room = self.width - cells(head) - cells(body)
        return (Piece(head, style), Piece(body), Piece(cut(rest, room)))

    # -- lines that stay

    def header(self, state: ExecutionState) -> Line:
        agents = state.agent_limit or state.settings.get("max_parallel_agents", 0)
        who = f"{agents} agent{'' if agents == 1 else 's'}" if agents else "agents"
        kind = state.settings.get("agent")
        named = f"{who} ({kind})" if isinstance(kind, str) and kind else who
        words = f"{state.plan_name} · run {state.run} · {named} · Ctrl-C stops cleanly and keeps state"
        return (Piece(cut(words, self.width), "head"),)

    def news(self, events: Sequence[Event], state: ExecutionState) -> Iterator[Line]:
        """The lines of events; `state` is one that has taken them in. Starts and waits show in the region alone."""
        kept: dict[str, list[str]] = {}
        skipped: dict[str, list[str]] = {}
        for event in events:
            if isinstance(event, ev.PhaseKept):
                kept.setdefault(f"from run {event.from_run}", []).append(event.phase)
            elif isinstance(event, ev.PhaseSkipped):
                skipped.setdefault(f"by {event.by}: {event.reason}", []).append(event.phase)
        yield from self._folded("=", "kept", kept, state)
        yield from self._folded("-", "skipped", skipped, state)
        for event in events:
            yield from self._one(event, state)

    def _folded(self, sign: str, word: str, groups: dict[str, list[str]], state: ExecutionState) -> Iterator[Line]:
        for why, names in groups.items():
            if len(names) > _FOLD:
                yield self.line(sign, word, "", f"{len(names):,} phases {why}: {listed(tuple(names))}", "quiet")
            else:
                yield from (self.line(sign, word, label_in(state, name), why, "quiet") for name in names)

    def _one(self, event: Event, state: ExecutionState) -> Iterator[Line]:  # noqa: C901 -- one flat table of events
        match event:
            case ev.AttemptEnded():
                yield self._ended(event, state)
            case ev.PhaseRefused():
                told = f"not started: {reason_of(event.cause, event.detail)}"
                yield self.line("✗", "failed", label_in(state, event.phase), told, "bad")
            case ev.PhaseReset():
                told = f"by {event.by}{_because(event.reason)}"
                yield self.line("↻", "again", label_in(state, event.phase), told, "quiet")
            case ev.AttemptAdopted():
                told = f"attempt {event.attempt} is still at work and is looked after again"
                yield self.line("▶", "adopted", label_in(state, event.phase), told, "quiet")
            case ev.UndeclaredWrites():
                who = f"{listed(event.suspects)} or " if event.suspects else ""
                yield self.line("!", "audit", "", f"{who}somebody outside changed: {listed(event.paths)}", "bad")
            case ev.MergeRefused():
                kept = state.phase_states.get(event.phase, PhaseState()).branch
                told = event.detail + (f"; kept on {kept}" if kept else "")
                yield self.line("↻", "clash", label_in(state, event.phase), told, "wait")
            case ev.GateApproved():
                yield self.line("✓", "open", event.gate, f"approved by {event.by}{_because(event.reason)}", "good")
            case ev.GateRejected():
                yield self.line("✗", "shut", event.gate, f"rejected by {event.by}{_because(event.reason)}", "bad")
            case ev.ForbiddenChange():
                told = forbidden_words(event.what, event.suspects)
                yield from ((Piece(line, "bad"),) for line in wrapped("  ! ALARM   ", told.split(" "), self.width, " "))
            case ev.AgentSilence(since=since):
                told = "is heard again" if since is None else silent_words(since, event.words, event.at)
                style = "quiet" if since is None else "wait"
                yield self.line("!", "silent", label_in(state, event.phase), told, style)
            case ev.AccountClosed():
                told = held_words(event.account, Closure(event.until, event.detail), event.at)
                yield self.line("·", "held", "", told.removeprefix("held: "), "wait")
            case ev.AccountReopened():
                yield self.line("✓", "open", event.account, f"opened by {event.by}{_because(event.reason)}", "good")
            case ev.RoomAwaited():
                yield self.line("·", "room", "", ROOM_WORDS, "wait")
            case ev.BudgetReached():
                told = budget_words(event.budget, spent_at(event, state.spent))
                yield self.line("·", "budget", "", told, "wait")
            case ev.PlanChanged():
                yield self.line("↻", "plan", "", f"changed by {event.by}: {len(event.phases):,} phases", "quiet")
            case ev.RunPaused():
                yield self.line("·", "paused", "", f"by {event.by}: nothing new starts until it is continued", "wait")
            case ev.RunContinued():
                yield self.line("▶", "goes on", "", f"continued by {event.by}", "quiet")
            case ev.CoordinatorStarted() if event.epoch > 1:
                yield self.line("↻", "resumed", "", f"run {state.run}", "quiet")

    def _ended(self, event: ev.AttemptEnded, state: ExecutionState) -> Line:
        found, name = state.phase_states.get(event.phase, PhaseState()), label_in(state, event.phase)
        known = found.attempts == event.attempt and found.started_at is not None
        lasted = f"{seconds(event.at - (found.started_at or 0.0) - event.unattended) if known else '':<5}  "
        why = reason_of(event.cause, event.detail)
        if event.outcome is Outcome.SUCCEEDED:
            files = f"{len(event.outputs)} file{'' if len(event.outputs) == 1 else 's'}" if event.outputs else ""
            return self.line("✓", "passed", name, lasted + files, "good")
        if event.outcome is Outcome.STOPPED and event.cause in FREE_CAUSES:
            return self.line("↻", "stopped", name, f"{lasted}{why}; costs no retry", "wait")
        if event.outcome is Outcome.STOPPED:
            return self.line("-", "stopped", name, f"{lasted}starts again when the run goes on", "quiet")
        if event.retry_at is None:
            return self.line("✗", "failed", name, lasted + why, "bad")
        word = "lost" if event.outcome is Outcome.LOST else "retry"
        again = seconds(event.retry_at - event.at)
        return self.line("↻", word, name, f"{lasted}again in {again}: {why}", "wait")

    # -- the region

    def region(self, summary: Summary, height: int) -> list[Line]:
        """At most `height` lines (at least one): what is at work, what waits for whom, what is to come, how far."""
        foot = [*self._needs_you(summary), self.bar(summary)][-max(1, height) :]
        pacing = list(self._pacing(summary))
        others = [*self._held(summary), *self._ready(summary), *self._blocked(summary), *self._to_come(summary)]
        room = max(1, height) - len(foot)
        running = [self._running(row) for row in summary.of(*AT_WORK)]
        waiting = [self._waiting(row) for row in summary.of(Standing.WAITING, Standing.RETRYING)]
        if room > len(pacing) + min(2, len(running) + len(waiting)):
            foot, room = pacing + foot, room - len(pacing)
        others = others[: max(0, room - min(len(running) + len(waiting), max(2, room // 2)))]
        rows = self._fold(running, waiting, room - len(others))
        return [*rows, *others, *foot]

    def _fold(self, running: list[Line], waiting: list[Line], room: int) -> list[Line]:
        """Both lists in so many lines; waiting phases get a third of them if there are too many of both."""
        if len(running) + len(waiting) <= room:
            return [*running, *waiting]
        for_waiting = min(len(waiting), max(room // 3, room - len(running)))
        return [
            *self._first(running, room - for_waiting, "running"),
            *self._first(waiting, for_waiting, "waiting"),
        ]

    def _first(self, lines: list[Line], room: int, word: str) -> list[Line]:
        if len(lines) <= room:
            return lines
        if room <= 0:
            return []
        hidden = len(lines) - room + 1
        return [*lines[: room - 1], (Piece(f"  + {hidden:,} more {word}", "quiet"),)]

    def _running(self, row: PhaseRow) -> Line:
        words = f"{seconds(row.elapsed):<5}  "
        if row.attempts > 1:
            words += f"attempt {row.attempts}  "
        if row.silent_since is not None:
            words += row.reason
        elif row.progress is not None:
            words += f"step {row.progress[0]}/{row.progress[1]}  {row.progress[2]}"
        else:
            words += row.reason
        return self.line("▶", row.standing.value, label(row.id, row.name), words, "busy")

    def _waiting(self, row: PhaseRow) -> Line:
        name = label(row.id, row.name)
        if row.lock is None:
            return self.line("↻", "retry", name, row.reason, "wait")
        since = f"{seconds(row.lock_waited):<5}  "
        room = self.width - _WORD - 5 - self.label_width - 2
        told = since + row.reason.removeprefix("waits ")
        if cells(one_line(told)) + 2 > room:  # the holder is what matters most, so the path gives way
            told = f"{since}for {short(row.lock.resource)} ({row.lock.holder})"
        return self.line("◷", "waits", name, told, "wait")

    def _held(self, summary: Summary) -> Iterator[Line]:
        groups: dict[str, list[str]] = {}
        for row in summary.of(Standing.HELD):
            groups.setdefault(row.reason.removeprefix("held: "), []).append(row.id)
        for reason, names in groups.items():
            yield self.line("◷", "held", "", f"{listed(tuple(names), 6)}  {reason}", "wait")

    def _ready(self, summary: Summary) -> Iterator[Line]:
        ready = summary.of(Standing.READY)
        if ready:
            groups: dict[str, list[str]] = {}
            for row in ready:
                groups.setdefault(row.reason.partition("; before:")[0], []).append(row.id)
            words = (f"{listed(tuple(names), 6)}  {reason}" for reason, names in groups.items())
            yield self.line("·", "ready", "", " · ".join(words), "quiet")

    def _blocked(self, summary: Summary) -> Iterator[Line]:
        blocked = summary.of(Standing.BLOCKED)
        if blocked:
            causes = tuple(dict.fromkeys(name for row in blocked for name in row.blocked_by))
            gates = tuple(dict.fromkeys(row.gate for row in blocked if row.gate))
            why = [f"by {listed(causes, 4)}"] if causes else []
            why += [f"rejected: {', '.join(gates[:3])}"] if gates else []
            words = f"{listed(tuple(row.id for row in blocked), 8)}  {' · '.join(why)}"
            yield self.line("✗", "blocked", "", words, "bad")

    def _to_come(self, summary: Summary) -> Iterator[Line]:
        rows = summary.of(Standing.TO_COME)
        if not rows:
            return
        room = self.width - _WORD - 5
        shown = [f"{label(row.id, row.name)} ← {listed(row.waits_for, 3)}" for row in rows]
        words = ""
        for place, text in enumerate(shown):
            left = len(shown) - place - 1
            more = f"   +{left} more" if left else ""
            longer = f"{words}   {text}" if words else text
            if cells(longer) + cells(more) > room and words:
                words += f"   +{left + 1} more"
                break
            words = longer
        yield (Piece(f"  · {'to come':<{_WORD}} ", "quiet"), Piece(_kept_within(words, room), "quiet"))

    def _pacing(self, summary: Summary) -> Iterator[Line]:
        told = summary.forecast
        if told is None:
            return
        yield self.line("⇢", "pacing", "", pacing_words(told), "quiet")

    def _needs_you(self, summary: Summary) -> Iterator[Line]:
        """Who is needed and how to answer; on a narrow screen in several lines, for a command is never cut."""
        if summary.needed:
            lines = wrapped("  ! needs you: ", needed_words(summary), self.width)
            yield from ((Piece(line, "head"),) for line in lines)

    def bar(self, summary: Summary) -> Line:
        """How far, for how long, and about how long still."""
        if summary.paused_by:
            return self._bar(summary, "paused")
        if summary.done == summary.total:
            return self._bar(summary, "")
        if summary.needed and not summary.of(*AT_WORK):
            return self._bar(summary, f"needs you {summary.needed:,}")
        left = f"{left_words(summary.forecast)} left" if summary.forecast else f"time left {UNKNOWN}"
        return self._bar(summary, left)

    def _bar(self, summary: Summary, left: str) -> Line:
        told = f"  {summary.done:,}/{summary.total:,}   {seconds(summary.elapsed)}   {left}".rstrip()
        room = self.width - 2 - cells(told)
        if room < 5:
            return (Piece("  "), Piece(cut(told, self.width - 2)))
        done = room if summary.total == 0 else room * summary.done // summary.total
        return (Piece("  "), Piece("━" * done, "good"), Piece("─" * (room - done), "quiet"), Piece(told))

    def ending(self, summary: Summary) -> list[Line]:
        """What stays when the view is over."""
        counts = summary.counts
        words = [f"{summary.done:,}/{summary.total:,} done"]
        of = (Standing.FAILED, Standing.BLOCKED, Standing.SKIPPED)
        words += [f"{counts[standing]:,} {standing.value}" for standing in of if counts[standing]]
        words += [f"needs you {summary.needed:,}"] if summary.needed else []
        words += [f"budget of {one_line(summary.budget_reached)} spent"] if summary.budget_reached else []
        words += [f"{len(summary.missing):,} outputs gone"] if summary.missing else []
        words += [f"{len(summary.unproven):,} not in the result"] if summary.unproven else []
        words += [f"wall {seconds(summary.elapsed)}", f"work {seconds(summary.work)}"]
        words += [f"{summary.ratio:.2f}x"] if summary.ratio is not None else []
        return [(Piece(line, "head"),) for line in wrapped(f"{summary.status}  ", words, self.width)]


def _kept_within(words: str, room: int) -> str:
    """Cut without losing the gaps between entries."""
    return words if cells(words) <= room else cut(words, room)


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
