"""The head of the board, and the plan by waves below it.

What it does: one line for the run as a whole, which loses the least important part first where it is narrow, and one
row for each phase in the order of the waves: shape, label, word, time, and whether it is on the pacing chain.
What it does not know: which row is chosen, and what else is on the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wavecrew.views.board_parts import PACING, Line, Piece, Sign, fitting, sign_of, sign_of_run
from wavecrew.views.run_forecast import left_words
from wavecrew.views.run_words import UNKNOWN, label, listed, seconds
from wavecrew.views.summary import AT_WORK, DONE, PhaseRow, RunStatus, Standing, Summary
from wavecrew.views.terminal_text import cells, cut, one_line, pad
from wavecrew.views.usage_words import cost_words

_WORD: Final = 9
_WITH_TIME: Final = 44
_WITH_REASON: Final = 72
_COUNTS: Final = (
    (Sign("✓", "done", "good"), tuple(DONE)),
    (Sign("▶", "at work", "busy"), AT_WORK),
    (Sign("◷", "waiting", "wait"), (Standing.WAITING, Standing.HELD, Standing.RETRYING)),
    (Sign("·", "to come", "quiet"), (Standing.READY, Standing.TO_COME)),
    (Sign("✗", "failed", "bad"), (Standing.FAILED,)),
)


# -- the head ---------------------------------------------------------------------------------------------------


def head_line(summary: Summary, width: int) -> Line:
    """`minitable 3f2a  ▶ running 6.5s  ✓2 ▶3 ◷1 ·4 ✗0  needs you 0  about 16.5s left  cost unknown`."""
    sign = sign_of_run(summary.status)
    name = cut(summary.title or "run", max(8, width // 5))
    status = f"{sign.shape} {sign.word}"
    if summary.elapsed is not None and summary.status is not RunStatus.NOT_STARTED:
        status += f" {seconds(summary.elapsed)}"
    parts: list[tuple[int, Line]] = [
        (3, (Piece(name, "head"),)),
        (2, (Piece(one_line(summary.run), "head"),)),
        (0, (Piece(status, sign.style),)),
        *((1, (Piece("paused", "wait"),)) for _ in range(bool(summary.paused_by))),
        (1, tuple(_counts(summary, wide=width >= 120))),
        *(
            (2, (Piece(f"{summary.counts[one]:,} {one.value}", "bad"),))
            for one in (Standing.GONE, Standing.BLOCKED)
            if summary.counts[one]
        ),
        (0 if summary.needed else 1, (Piece(f"needs you {summary.needed}", "mark" if summary.needed else "quiet"),)),
    ]
    if summary.status is RunStatus.RUNNING:
        left = f"{left_words(summary.forecast)} left" if summary.forecast else f"time left {UNKNOWN}"
        parts.append((4, (Piece(left),)))
    cost = f"cost {cost_words(summary.spent)}" if summary.spent.attempts else f"cost {UNKNOWN}"
    parts.append((5, (Piece(cost, "quiet"),)))
    return fitting(parts, width)


def _counts(summary: Summary, *, wide: bool) -> list[Piece]:
    pieces: list[Piece] = []
    for sign, standings in _COUNTS:
        done = standings is _COUNTS[0][1]  # of what this run is to do, as everywhere
        number = summary.done if done else sum(summary.counts[one] for one in standings)
        words = f"{sign.shape} {number:,} {sign.word}" if wide else f"{sign.shape}{number:,}"
        pieces += [Piece("  " if wide else " ")] if pieces else []
        pieces.append(Piece(words, sign.style if number else "quiet"))
    return pieces


def alarm_words(summary: Summary, *, acting: bool = True) -> str:
    """What has to be seen before anything else; empty if there is nothing. Not `acting`, nothing can be done about it:
    it is of a recording."""
    if summary.forbidden:
        return f"ALARM: {listed(summary.forbidden, 3)} was changed, which no agent may change: nothing new starts"
    if summary.budget_reached:
        return f"the budget of {one_line(summary.budget_reached)} is spent: nothing new starts"
    if summary.imported and acting:
        return f"imported from {one_line(summary.imported)}: it can be looked at, and nothing can go on with it"
    if summary.status is RunStatus.INTERRUPTED:
        return "its coordinator is gone; nothing is lost, and `wavecrew run` (G) goes on with it"
    if summary.status is RunStatus.STOPPED:
        why = f" ({one_line(summary.stop_reason)})" if summary.stop_reason else ""
        return f"it was stopped{why}" + ("; `wavecrew run` (G) goes on with it" if acting else "")
    if summary.paused_by and summary.status is RunStatus.RUNNING:
        return f"paused by {one_line(summary.paused_by)}: nothing new starts" + (" (space goes on)" if acting else "")
    if summary.unproven or summary.missing:
        return f"{len(summary.unproven) + len(summary.missing)} results are not where they should be: wavecrew verify"
    return ""


# -- the plan ---------------------------------------------------------------------------------------------------


def chosen_rows(summary: Summary, words: str = "") -> Sequence[PhaseRow]:
    """The rows in the order of the waves; with `words` only those in whose label, word, agent or reason they occur."""
    rows = sorted(summary.rows, key=lambda row: row.wave)  # a stable sort: plan order within a wave
    wanted = words.casefold().split()
    if not wanted:
        return rows
    return [row for row in rows if all(word in _haystack(row) for word in wanted)]


def _haystack(row: PhaseRow) -> str:
    return f"{row.id} {row.name} {sign_of(row).word} wave{row.wave} {row.agent} {row.reason}".casefold()


def plan_lines(summary: Summary, rows: Sequence[PhaseRow], width: int) -> list[Line]:
    """One line for each of some rows."""
    on_chain = {step.phase for step in summary.forecast.chain} if summary.forecast is not None else set()
    digits = max(2, len(str(max((row.wave for row in rows), default=1))) + 1)
    widest = max((cells(label(row.id, row.name)) for row in rows), default=8)
    fixed = digits + 1 + 2 + 1 + _WORD + 2 + (8 if width >= _WITH_TIME else 0)
    room = max(6, min(widest, width - fixed, max(30, width // 3)))
    lines, wave = [], -1
    for row in rows:
        head = f"w{row.wave}" if row.wave != wave else ""
        wave = row.wave
        lines.append(_plan_line(row, head.rjust(digits), room, width, on_chain))
    return lines


def _plan_line(row: PhaseRow, wave: str, room: int, width: int, on_chain: set[str]) -> Line:
    sign = sign_of(row)
    pieces = [
        Piece(f"{wave} ", "quiet"),
        Piece(sign.shape, sign.style),
        Piece(f" {pad(label(row.id, row.name), room)} ", "quiet" if sign.style == "quiet" else ""),
        Piece(sign.word, sign.style),
        Piece(" " * (_WORD - cells(sign.word))),
        Piece(f" {PACING if row.id in on_chain else ' '}", "head"),
    ]
    if width >= _WITH_TIME:
        pieces.append(Piece(f" {_time(row):>6} ", "quiet"))
    taken = sum(cells(piece.text) for piece in pieces)
    if width >= _WITH_REASON and width - taken > 12:
        pieces.append(Piece(f" {cut(beside(row), width - taken - 2)}", "quiet"))
    return tuple(pieces)


def _time(row: PhaseRow) -> str:
    if row.standing is Standing.WAITING:
        return seconds(row.lock_waited)
    return seconds(row.elapsed) if row.elapsed is not None and row.attempts else ""


def beside(row: PhaseRow) -> str:
    """What stands beside a phase where there is room: the step at work, the reason, or what it needs."""
    if row.silent_since is None and not row.asks and row.progress is not None:
        return f"step {row.progress[0]}/{row.progress[1]} {row.progress[2]}"
    if row.standing is Standing.TO_COME:
        return f"← {listed(row.waits_for, 4)}"
    if row.standing is Standing.PASSED:
        return f"attempt {row.attempts}" if row.attempts > 1 else ""
    return row.reason
