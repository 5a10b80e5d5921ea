"""One phase on the board: its head, its events, what its agent was told, its steps and checks, and its difference.

What it does: writes each as lines of a width; foreign words are made harmless, and what is not known is said to be so.
What it does not know: how the files of an attempt are read, and git; it is given values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import join
from typing import Final

from wavecrew.models.events import Cause, Event
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.views.board_parts import Line, Piece, fitting, folded, plain, plain_text, sign_of, told
from wavecrew.views.phase_rows import PhaseRow
from wavecrew.views.run_history import Attempt
from wavecrew.views.run_plain import lines_for
from wavecrew.views.run_words import label, reason_of, seconds
from wavecrew.views.summary import AT_WORK, Standing
from wavecrew.views.terminal_text import clean, cut, one_line
from wavecrew.views.usage_words import spent_words

_TEXT_LINES: Final = 2000
_ANSI: Final = {"\x1b[1m": "head", "\x1b[31m": "remove", "\x1b[32m": "add", "\x1b[36m": "key"}
_END: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class StepTold:
    """A step of an attempt as it was written for it: its kind (`run`, `check`, `file`, ...), title, command line, and
    what it was given to read."""

    kind: str
    title: str
    command: tuple[str, ...] = ()
    given: str = ""


@dataclass(frozen=True, slots=True)
class AttemptTold:
    """What the folder of an attempt tells. `at` is the step at work and `failed` the one that failed, both from 1;
    `over` says that all of it has ended."""

    steps: tuple[StepTold, ...] = ()
    at: int = 0
    failed: int = 0
    over: bool = False
    beside: tuple[tuple[str, str], ...] = ()
    """Titles and texts of the logs beside the agent's: checks of the merged tree, teardown."""


# -- the head -----------------------------------------------------------------------------------------------------


def phase_head(row: PhaseRow, attempt: Attempt | None, now: float, width: int) -> Line:
    """`04 html · attempt 1 of 2 · runbook · ▶ running 4.5s`."""
    sign = sign_of(row)
    latest = attempt is None or attempt.number == row.attempts
    parts: list[tuple[int, Line]] = [(0, plain(cut(label(row.id, row.name), max(8, width // 2)), "head"))]
    if attempt is not None:
        of = f" of {row.attempts}" if row.attempts > 1 else ""
        parts.append((1, plain(f"attempt {attempt.number}{of}")))
        parts.append((3, plain(cut(attempt.agent, 20))))
    if latest:
        lasted = row.lock_waited if row.standing is Standing.WAITING else row.elapsed
        words = f"{sign.shape} {sign.word}" + (f" {seconds(lasted)}" if lasted is not None else "")
        parts.append((0, plain(words, sign.style)))
    elif attempt is not None:
        outcome = attempt.outcome.value if attempt.outcome else "open"
        style = "good" if outcome == "succeeded" else "bad"
        parts.append((0, plain(f"{outcome} {seconds(attempt.lasted(now))}", style)))
    return fitting(parts, width)


def phase_note(row: PhaseRow, attempt: Attempt | None, width: int) -> list[Line]:
    """Why it stands where it stands, in at most two rows; nothing if all is well."""
    if attempt is not None and attempt.number != row.attempts:
        words = "" if attempt.cause is Cause.NONE else reason_of(attempt.cause, attempt.detail)
    elif row.silent_since is None and not row.asks and row.progress is not None:
        words = f"step {row.progress[0]}/{row.progress[1]}  {row.progress[2]}"
    else:
        words = row.reason
    if not words:
        return []
    style = {"mark": "wait"}.get(sign_of(row).style, sign_of(row).style)
    lines = list(told("", words, width, style))
    if len(lines) <= 2:
        return lines
    rest = one_line(words)[len(plain_text(lines[0])) :]
    return [lines[0], plain(cut(rest, width), style)]


# -- events -------------------------------------------------------------------------------------------------------


def phase_events(events: Sequence[Event], state: ExecutionState, row: PhaseRow, attempt: int, width: int) -> list[Line]:
    """What the history tells of a phase; of its attempts only the one that is chosen (0 for all)."""
    start = state.start_time or 0.0
    lines: list[Line] = []
    for event in events:
        if row.id not in (getattr(event, "phase", ""), *getattr(event, "suspects", ())):
            continue
        if attempt and getattr(event, "attempt", attempt) != attempt:
            continue
        for text in lines_for(event, state, start):
            lines += [plain(part) for part in folded(text, width)]
    if row.spent.attempts:
        lines.append(plain(cut(f"used: {spent_words(row.spent)}", width), "quiet"))
    return lines or [plain("nothing has happened yet", "quiet")]


# -- what its agent was told --------------------------------------------------------------------------------------


def prompt_lines(info: PhaseInfo, found: AttemptTold | None, width: int) -> list[Line]:
    """Each step with its command and what it was given; before the start, what the document says."""
    lines: list[Line] = []
    if found is None or not found.steps:
        lines += told("", "It has not been started; this is what its document says.", width, "quiet")
        lines += _document(info, width)
        return lines
    for number, step in enumerate(found.steps, start=1):
        lines.append(plain(cut(f"step {number}/{len(found.steps)}  {step.kind}  {step.title}", width), "head"))
        if step.command:
            lines += [plain(part, "key") for part in folded(f"$ {one_line(join(step.command))}", width)]
        lines += _text(step.given, width)
        lines.append(())
    return lines


def _document(info: PhaseInfo, width: int) -> Iterator[Line]:
    facts = {
        "needs": " ".join(info.dependencies),
        "writes": ", ".join(info.outputs),
        "reads": ", ".join(info.reads),
        "locks": ", ".join(info.locks),
        "agent": info.agent,
        "from": f"{info.source.file}:{info.source.line}" if info.source else "",
    }
    for head, words in facts.items():
        if words:
            yield from told(f"{head:<7} ", words, width)
    yield ()
    yield from _text(info.description, width)


def _text(text: str, width: int) -> list[Line]:
    lines = clean(text).expandtabs(4).split("\n") if text else []
    shown = [plain(part) for line in lines[:_TEXT_LINES] for part in folded(line, width, at_blanks=True)]
    more = len(lines) - _TEXT_LINES
    return [*shown, plain(f"... {more:,} more lines", "quiet")] if more > 0 else shown


# -- checks -------------------------------------------------------------------------------------------------------


def check_lines(
    info: PhaseInfo, row: PhaseRow, found: AttemptTold | None, width: int, attempt: Attempt | None = None
) -> list[Line]:
    """Every step with where it stands, the outputs it must leave, and what the checks of the merged tree said. Of an
    `attempt` that is not the latest, how it ended; what the phase came to afterwards does not count."""
    earlier = attempt if attempt is not None and attempt.number != row.attempts else None
    lines: list[Line] = []
    if found is not None and found.steps:
        for number, step in enumerate(found.steps, start=1):
            sign, style = _step_sign(number, found, row)
            lines.append(_row(sign, step.kind, step.title or join(step.command), style, width))
    else:
        lines += [_row("·", "check", join(command), "quiet", width) for command in info.checks]
    for output in info.outputs:
        done = earlier is None and row.standing in (Standing.PASSED, Standing.KEPT)
        lines.append(_row("✓" if done else "·", "output", output, "good" if done else "quiet", width))
    for path in row.undeclared:
        lines.append(_row("!", "undeclared", path, "mark", width))
    if earlier is not None and earlier.cause is not Cause.NONE:
        lines += told("  why     ", reason_of(earlier.cause, earlier.detail), width, "bad")
    elif earlier is None and row.standing is Standing.FAILED:
        lines += told("  why     ", row.reason, width, "bad")
    for title, text in found.beside if found is not None else ():
        lines += [(), plain(cut(title, width), "head"), *_text(text, width)]
    return lines or [plain("it has no checks and no declared outputs", "quiet")]


def _step_sign(number: int, found: AttemptTold, row: PhaseRow) -> tuple[str, str]:
    if found.failed:
        if number == found.failed:
            return "✗", "bad"
        return ("✓", "good") if number < found.failed else ("·", "quiet")
    if found.over:
        return "✓", "good"
    if number < found.at:
        return "✓", "good"
    return ("▶", "busy") if number == found.at and row.standing in AT_WORK else ("·", "quiet")


def _row(sign: str, kind: str, words: str, style: str, width: int) -> Line:
    return Piece(f"{sign} {kind:<8}", style), Piece(f" {cut(words, max(4, width - 11))}")


# -- the difference -----------------------------------------------------------------------------------------------


def diff_lines(text: str, width: int) -> list[Line]:
    """What `wavecrew diff` prints in colours, as lines: its own colours are the only sequences in it."""
    lines: list[Line] = []
    for line in text.rstrip("\n").split("\n")[:_TEXT_LINES]:
        style = next((name for code, name in _ANSI.items() if line.startswith(code)), "")
        words = line.removesuffix(_END)[line.index("m") + 1 :] if style else line
        lines += [plain(part, style) for part in folded(clean(words).expandtabs(4).replace("\n", " "), width)]
    return lines
