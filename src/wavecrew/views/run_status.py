"""Where a run stands, on one screen and as JSON; a list of runs; one run in full.

What it does: tells of everything that does not just work why it does not: who waits for whom, what failed, what that
holds up, what was waived, and which command comes next.
What it does not know: how a summary is made, and how often it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from wavecrew.models.results import DiskUse
from wavecrew.views.question_words import question_data
from wavecrew.views.result_text import disk_words
from wavecrew.views.run_forecast import left_words, pacing_words
from wavecrew.views.run_next import (
    edited_words,
    forbidden_words,
    missing_lines,
    needs_you_lines,
    next_lines,
    result_words,
)
from wavecrew.views.run_words import UNKNOWN, in_ascii, label, moment, seconds, wrapped
from wavecrew.views.summary import PhaseRow, RunStatus, Standing, Summary
from wavecrew.views.terminal_text import cells, cut, one_line, pad, safe_json
from wavecrew.views.usage_words import budget_words, held_words, spent_data, spent_words

SHOWN: Final = 12
"""How many phases of one standing the text shows."""
REASON_LINES: Final = 3
"""How many lines a reason may take."""


def status_text(summary: Summary, *, width: int = 80, ascii_only: bool = False, disk: DiskUse | None = None) -> str:
    """The screen of `wavecrew status`. `disk` is what the state of the workspace takes, if that was counted."""
    return _joined(_Screen(summary, width, disk).lines(), ascii_only)


def _joined(lines: Iterable[str], ascii_only: bool) -> str:
    text = "\n".join(lines) + "\n"
    return in_ascii(text) if ascii_only else text


class _Screen:
    def __init__(self, summary: Summary, width: int, disk: DiskUse | None) -> None:
        self.summary = summary
        self.disk = disk_words(disk) if disk else ""
        self.width = max(width, 40)
        shown = [row for standing in _SECTIONS for row in summary.of(standing)[:SHOWN]]
        shown += [row for row in summary.rows if row.undeclared][:SHOWN]
        widest = max((cells(label(row.id, row.name)) for row in shown), default=0)
        self.label_width = min(widest, max(10, self.width // 3))

    def lines(self) -> Iterator[str]:
        yield from self.head()
        yield from self.note()
        for standing, (word, tell) in _SECTIONS.items():
            yield from self.section(self.summary.of(standing), word, tell or self.waiting)
        yield from self.section([row for row in self.summary.rows if row.undeclared], "audit", undeclared_words)
        yield from self.used()
        yield from self.pace()
        if result := result_words(self.summary):
            yield from wrapped(f"  {'result':<8} ", result.split(" "), self.width, between=" ")
        if self.disk:
            yield from wrapped(f"  {'disk':<8} ", [self.disk], self.width)
        yield from next_lines(self.summary, self.width)

    def head(self) -> Iterator[str]:
        summary = self.summary
        run = f"run {one_line(summary.run)}" if summary.run else "no run"
        first = f"{run}  {status_word(summary)}"
        if summary.elapsed is not None and summary.status is not RunStatus.NOT_STARTED:
            first += f" {seconds(summary.elapsed)}" if summary.status is RunStatus.RUNNING else ""
            first += "" if summary.status is RunStatus.RUNNING else f" after {seconds(summary.elapsed)}"
        yield from wrapped(f"{first}  ", counted_words(summary), self.width)

    def note(self) -> Iterator[str]:
        summary = self.summary
        if summary.imported:
            source = one_line(summary.imported)
            yield from self.told(f"it was imported from {source}: it can be looked at, and nothing can go on with it")
        elif summary.status is RunStatus.INTERRUPTED:
            who = f" ({one_line(summary.coordinator)})" if summary.coordinator else ""
            yield from self.told(f"its coordinator{who} is gone; nothing is lost, and `wavecrew run` goes on with it")
        elif summary.status is RunStatus.STOPPED:
            was = f"it was stopped ({one_line(summary.stop_reason)})"
            was = was if summary.stop_reason else "it had ended, and what was asked for since is still to be done"
            yield from self.told(f"{was}; `wavecrew run` goes on with it")
        elif summary.paused_by and summary.status is RunStatus.RUNNING:
            who = one_line(summary.paused_by)
            yield from self.told(f"it was paused by {who}: nothing new starts, what is at work goes on")
        if summary.budget_reached:
            yield from self.told(budget_words(summary.budget_reached, summary.spent))
        if summary.forbidden:
            yield from self.told(f"ALARM: {forbidden_words(summary.forbidden)}")
        if told := edited_words(summary):
            yield from self.told(told)
        yield from needs_you_lines(summary, self.width, "  ")
        yield from (f"  {line}" for line in missing_lines(summary, width=self.width - 2))

    def told(self, words: str) -> Iterator[str]:
        yield from wrapped("  ", words.split(" "), self.width, between=" ")

    def section(self, rows: Sequence[PhaseRow], word: str, tell: Callable[[PhaseRow], str]) -> Iterator[str]:
        for row in rows[:SHOWN]:
            head = f"  {word:<8} {pad(label(row.id, row.name), self.label_width)}  "
            lines = list(wrapped(head, one_line(tell(row)).split(" "), self.width, between=" "))
            yield from lines[:REASON_LINES]
            if len(lines) > REASON_LINES:
                yield " " * cells(head) + "…"
        if len(rows) > SHOWN:
            yield f"  {word:<8} ... and {len(rows) - SHOWN:,} more; --json has all"

    def waiting(self, row: PhaseRow) -> str:
        """For what and whom a phase waits, since when, and when that one may be done."""
        words = f"{seconds(row.lock_waited)}  {row.reason}"
        holder = self.summary.by_id.get(row.lock.holder) if row.lock else None
        if holder is not None and holder.left is not None:
            words += f"; free in about {seconds(holder.left)}"
        return words

    def used(self) -> Iterator[str]:
        """What agents have used, of which budget, and accounts that hold nobody up, too."""
        summary = self.summary
        words = [spent_words(summary.spent)] if summary.spent.attempts else []
        words += [f"budget {one_line(summary.budget)}"] if summary.budget else []
        if words:
            yield from wrapped("  used     ", words, self.width)
        for name, found in summary.accounts.items():
            if not any(row.held_by == name for row in summary.rows):
                told = one_line(held_words(name, found, summary.now)).removeprefix("held: ")
                yield from wrapped("  account  ", told.split(" "), self.width, between=" ")

    def pace(self) -> Iterator[str]:
        summary = self.summary
        if summary.status is not RunStatus.RUNNING:
            return
        if summary.forecast is None:
            why = f"{UNKNOWN} (what is left has no estimate, or has used it up)"
            yield from wrapped("  left     ", [why], self.width)
            return
        told = summary.forecast
        words = [left_words(told), f"pacing: {pacing_words(told)}"]
        yield from wrapped("  left     ", words, self.width, between="  ")


def status_word(summary: Summary) -> str:
    """Where a run stands, in a word or two: one that had ended and is wanted again was stopped by nobody."""
    reopened = summary.status is RunStatus.STOPPED and not summary.stop_reason
    return "open again" if reopened else summary.status.value


def _running(row: PhaseRow) -> str:
    words = seconds(row.elapsed)
    if row.reason:
        words += f"  {row.reason}"
    elif row.progress is not None:
        words += f"  step {row.progress[0]}/{row.progress[1]}  {row.progress[2]}"
    return words + (f"  (attempt {row.attempts})" if row.attempts > 1 else "")


def undeclared_words(row: PhaseRow) -> str:
    """Which files a phase has changed without a claim; in a shared folder nobody can say for certain who did it."""
    more = f" and {len(row.undeclared) - 3} more" if len(row.undeclared) > 3 else ""
    return f"{'' if row.branch else 'may have '}changed, undeclared: {', '.join(row.undeclared[:3])}{more}"


def _failed(row: PhaseRow) -> str:
    return row.reason + (f"  (attempt {row.attempts})" if row.attempts > 1 else "")


_SECTIONS: Final[dict[Standing, tuple[str, Callable[[PhaseRow], str] | None]]] = {
    Standing.FAILED: ("failed", _failed),
    Standing.BLOCKED: ("blocked", lambda row: row.reason.removeprefix("blocked ")),
    Standing.RUNNING: ("running", _running),
    Standing.MERGING: ("merging", _running),
    Standing.GONE: ("gone", _running),
    Standing.WAITING: ("waiting", None),
    Standing.HELD: ("held", lambda row: row.reason.removeprefix("held: ")),
    Standing.RETRYING: ("retry", lambda row: row.reason),
    Standing.READY: ("ready", lambda row: row.reason),
    Standing.SKIPPED: ("skipped", lambda row: row.reason.removeprefix("skipped ")),
}


def counted_words(summary: Summary) -> list[str]:
    """`2 done`, `3 running`, ...: what there is, and always done and failed."""
    counts = summary.counts
    order = (
        Standing.RUNNING,
        Standing.MERGING,
        Standing.GONE,
        Standing.WAITING,
        Standing.HELD,
        Standing.RETRYING,
        Standing.READY,
        Standing.TO_COME,
        Standing.FAILED,
        Standing.BLOCKED,
    )
    words = [f"{summary.done:,} of {summary.total:,} done"]
    words += [f"needs you {summary.needed:,}"] if summary.needed else []
    words += [f"{counts[it]:,} {_COUNTED.get(it, it.value)}" for it in order if counts[it] or it is Standing.FAILED]
    words += [f"{counts[it]:,} {it.value}" for it in (Standing.KEPT, Standing.SKIPPED, Standing.LEFT_OUT) if counts[it]]
    return words


_COUNTED: Final = {Standing.RETRYING: "to retry"}


# -- JSON -------------------------------------------------------------------------------------------------------


def status_data(summary: Summary) -> dict[str, Any]:
    """The summary as plain values. The keys `run`, `status`, `phases` and in them `id`, `status`, `reason`,
    `attempts` are published and stay; what is not known, or does not apply, is null."""
    return {
        "run": summary.run,
        "status": summary.status.value,
        "phases": [_phase_data(row) for row in summary.rows],
        "plan": {"name": summary.plan_name, "path": summary.plan_path, "digest": summary.plan_digest},
        "done": summary.done,
        "total": summary.total,
        "counts": {standing.value: number for standing, number in summary.counts.items()},
        "started": summary.started,
        "ended": summary.ended,
        "elapsed_seconds": _rounded(summary.elapsed),
        "work_seconds": _rounded(summary.work),
        "left_seconds": _rounded(summary.left),
        "left_range_seconds": [_rounded(told.soonest), _rounded(told.latest)] if (told := summary.forecast) else None,
        "pacing": [step.phase for step in summary.forecast.chain] if summary.forecast else [],
        "agents": summary.agents,
        "coordinator": summary.coordinator or None,
        "stop_reason": summary.stop_reason or None,
        "paused_by": summary.paused_by or None,
        "needs_you": list(summary.needs_you),
        "questions": [question_data(row.id, one) for row in summary.rows for one in row.asks],
        "silent": [row.id for row in summary.silent],
        "accounts": {
            name: {"closed_until": found.until, "detail": found.detail or None}
            for name, found in summary.accounts.items()
        },
        "usage": spent_data(summary.spent),
        "budget": summary.budget or None,
        "budget_reached": summary.budget_reached or None,
        "missing_outputs": list(summary.missing),
        "unproven": list(summary.unproven),
        "edited": list(summary.edited),
        "forbidden": list(summary.forbidden),
        "isolation": summary.isolation,
        "result_branch": summary.result_branch or None,
        "result_commit": summary.result or None,
        "landed_on": summary.landed_on or None,
        "imported": summary.imported or None,
        "retries": summary.retries,
    }


def status_json(summary: Summary, disk: DiskUse | None = None) -> str:
    """The same as text."""
    return safe_json(status_data(summary) | ({"disk": asdict(disk)} if disk else {}), indent=2) + "\n"


def _phase_data(row: PhaseRow) -> dict[str, Any]:
    step = dict(zip(("step", "of", "title"), row.progress, strict=True)) if row.progress else None
    lock = {"resource": row.lock.resource, "holder": row.lock.holder, "since": row.lock.since} if row.lock else None
    waiver = {"by": row.waiver.by, "reason": row.waiver.reason, "at": row.waiver.at} if row.waiver else None
    return {
        "id": row.id,
        "status": row.status.value,
        "reason": row.reason or None,
        "attempts": row.attempts,
        "name": row.name,
        "wave": row.wave,
        "standing": row.standing.value,
        "elapsed_seconds": _rounded(row.elapsed),
        "agent": row.agent or None,
        "log": row.log or None,
        "waits_for": list(row.waits_for),
        "blocked_by": list(row.blocked_by),
        "lock": lock,
        "retry_at": row.retry_at,
        "progress": step,
        "waiver": waiver,
        "kept_from": row.kept_from or None,
        "undeclared": list(row.undeclared),
        "usage": spent_data(row.spent),
        "silent_since": row.silent_since,
        "last_words": row.last_words or None,
        "held_by": row.held_by or None,
        "held_until": row.held_until,
        "gate": row.gate or None,
        "branch": row.branch or None,
        "commit": row.commit or None,
    }


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 3)


# -- several runs, and one in full ------------------------------------------------------------------------------


def runs_table(summaries: Sequence[Summary], *, width: int = 80, ascii_only: bool = False) -> str:
    """The table of `wavecrew runs list`, in the order given."""
    if not summaries:
        return "no runs yet\nnext: wavecrew run\n"
    heads = ("RUN", "STATUS", "DONE", "FAILED", "STARTED", "TOOK", "PLAN")
    rows = [heads, *map(_run_cells, summaries)]
    widths = [max(cells(row[place]) for row in rows) for place in range(len(heads) - 1)]
    lines = []
    for row in rows:
        head = "  ".join(pad(text, wide) for text, wide in zip(row, widths, strict=False))
        lines.append(f"{head}  {cut(row[-1], max(8, width - cells(head) - 2))}".rstrip())
    return _joined(lines, ascii_only)


def _run_cells(summary: Summary) -> tuple[str, ...]:
    return (
        cut(summary.run, 16),
        status_word(summary),
        f"{summary.done:,}/{summary.total:,}",
        f"{summary.counts[Standing.FAILED]:,}",
        moment(summary.started)[:16] + "Z" if summary.started is not None else UNKNOWN,
        "-" if summary.status is RunStatus.NOT_STARTED else seconds(summary.elapsed),
        one_line(summary.title),
    )


def run_text(summary: Summary, *, width: int = 80, ascii_only: bool = False) -> str:
    """The screen of `wavecrew runs show`: the status, then what the run was made of, phase by phase."""
    width = max(width, 60)
    facts = (
        ("plan", f"{summary.plan_name} ({summary.plan_path}) digest {summary.plan_digest[:7]}"),
        ("started", moment(summary.started)),
        ("ended", moment(summary.ended) if summary.ended is not None else "-"),
        ("took", f"{seconds(summary.elapsed)}" + (f", idle {seconds(summary.idle)}" if summary.idle else "")),
        ("work", f"{seconds(summary.work)}" + (f", {summary.ratio:.2f}x" if summary.ratio is not None else "")),
        ("agents", f"{summary.agents}" if summary.agents else UNKNOWN),
        ("in charge", _in_charge(summary)),
        ("isolation", summary.isolation + (f", branch {summary.result_branch}" if summary.result_branch else "")),
    )
    lines = list(wrapped(f"run {one_line(summary.run)}  {status_word(summary)}  ", counted_words(summary), width))
    lines += ["  " + cut(f"{name:<10}{words}", width - 2) for name, words in facts]
    lines += ["", *_phase_table(summary, width), ""]
    return _joined([*lines, *next_lines(summary, width)], ascii_only)


def _in_charge(summary: Summary) -> str:
    if not summary.coordinator:
        return "nobody yet"
    if summary.status is RunStatus.RUNNING:
        return summary.coordinator
    return f"nobody any more; last {summary.coordinator}"


def _phase_table(summary: Summary, width: int) -> Iterator[str]:
    wide = max([cells(label(row.id, row.name)) for row in summary.rows] + [5])
    wide = min(wide, width // 3, width - 42)  # the other columns take 36, and the word "reason" needs a place
    yield f"  wave  {pad('phase', wide)}  {'standing':<9} {'tries':>5} {'time':>8}  reason"
    for row in sorted(summary.rows, key=lambda row: row.wave):
        time = seconds(row.elapsed) if row.elapsed is not None else "-"
        head = f"  {row.wave:>4}  {pad(label(row.id, row.name), wide)}  {row.standing.value:<9} {row.attempts:>5} "
        head += f"{time:>8}  "
        yield from (line.rstrip() for line in wrapped(head, one_line(row.reason).split(" "), width, between=" "))
