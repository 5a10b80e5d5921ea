"""What a person can do about a run: who is needed, where the work is, and which commands are likely to come next.

What it does: tells of gates that wait for an answer, of work that is not where it should be, of the branch that holds
the result, and of the way out of a conflict. A command is never cut, for a part of one is of no use.
What it does not know: how a summary is made, and what stands around its lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from shlex import quote
from typing import Final

from wavecrew.views.question_words import answer_command, asks_words
from wavecrew.views.run_words import label, listed, wrapped
from wavecrew.views.summary import AT_WORK, PhaseRow, RunStatus, Standing, Summary
from wavecrew.views.terminal_text import cells, cut, one_line

_GATES: Final = 4
_PLAIN_WORDS: Final = re.compile(r"[\w .:/@+-]+")


# -- who is needed ------------------------------------------------------------------------------------------------


def approve_command(gates: tuple[str, ...]) -> str:
    """The command that opens some gates."""
    return f"wavecrew approve {_quoted(gates[0])}" if len(gates) == 1 else "wavecrew approve --all"


def needed_words(summary: Summary) -> list[str]:
    """All that a person is needed for, and how to answer: gates and questions that wait, and agents that are silent."""
    words = needs_you_words(summary.needs_you) if summary.needs_you else []
    asking = [(row, one) for row in summary.rows for one in row.asks]
    for row, one in asking[:_GATES]:
        words += [f"{one_line(row.id)} {asks_words(one)}", f"answer with: {answer_command(row.id, one, row.asks)}"]
    words += [f"{len(asking) - _GATES} more questions"] if len(asking) > _GATES else []
    for row in summary.silent[:_GATES]:
        words += [f"{one_line(row.id)} {one_line(row.reason)}", f"look: wavecrew logs {argument(row.id)}"]
    more = len(summary.silent) - _GATES
    return [*words, f"{more} more silent agents"] if more > 0 else words


def needs_you_words(gates: tuple[str, ...]) -> list[str]:
    """`wave 2`, `approve with: wavecrew approve "wave 2"`: what waits for a person, and how to answer."""
    more = f" +{len(gates) - _GATES}" if len(gates) > _GATES else ""
    names = ", ".join(one_line(gate) for gate in gates[:_GATES]) + more
    return [names, f"approve with: {approve_command(gates)}"]


def needs_you_lines(summary: Summary, width: int, indent: str = "") -> Iterator[str]:
    """The same as lines of a width, if somebody is needed."""
    if summary.needed:
        yield from wrapped(f"{indent}needs you: ", needed_words(summary), width)


def forbidden_words(what: tuple[str, ...], suspects: tuple[str, ...] = ()) -> str:
    """What was changed that no agent may change, and what to do about it."""
    who = f" by {listed(suspects)} or somebody outside" if suspects else ""
    changed = f"{', '.join(map(one_line, what[:3]))}{f' and {len(what) - 3} more' if len(what) > 3 else ''}"
    were = "was" if len(what) == 1 else "were"
    return f"{changed} {were} changed{who}: nothing new starts; look at it, then go on with: wavecrew run"


def edited_words(summary: Summary, shown: int = 6) -> str:
    """That phases were done from an older text of their documents than there is now; empty if none was."""
    names = [label(name, row.name) if (row := summary.by_id.get(name)) else one_line(name) for name in summary.edited]
    if not names:
        return ""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    was = "was" if len(names) == 1 else "were"
    told = f"{', '.join(names[:shown])}{more} {was} edited while the run was at work from the older text"
    return f"OUT OF DATE: {told}; `wavecrew run` does again what that changes"


# -- where the work is --------------------------------------------------------------------------------------------


def missing_lines(summary: Summary, shown: int = 10, width: int | None = None) -> Iterator[str]:
    """The outputs that were there when their phases ended and were gone when the run did, and the phases whose work
    is not in the result."""
    unproven = tuple(label(row.id, row.name) for row in (summary.by_id[name] for name in summary.unproven))
    yield from _column("gone at the end: ", summary.missing, shown, width)
    yield from _column("not in the result: ", unproven, shown, width)


def _column(head: str, entries: tuple[str, ...], shown: int, width: int | None) -> Iterator[str]:
    for place, entry in enumerate(entries[:shown]):
        words = one_line(entry) if width is None else cut(entry, width - len(head))
        yield (head if place == 0 else " " * len(head)) + words
    if len(entries) > shown:
        yield " " * len(head) + f"... and {len(entries) - shown} more"


def result_words(summary: Summary) -> str:
    """Where the merged work is, once there is some."""
    if not (summary.result_branch and summary.result):
        return ""
    landed = f", landed on {one_line(summary.landed_on)}" if summary.landed_on else ""
    return f"branch {one_line(summary.result_branch)} ({one_line(summary.result[:7])}){landed}"


def kept_lines(row: PhaseRow, result: str) -> Iterator[str]:
    """Where the work of a failed phase is kept, and what can be done with it; `result` is the branch of the run."""
    if not row.branch:
        return
    branch, name = quote(one_line(row.branch)), argument(row.id)
    yield f"  its work is kept on the branch {branch}"
    yield f"  see it:            wavecrew diff {name}"
    if row.conflict:
        yield f"  do it again:       wavecrew retry {name}   (it starts from what was merged since)"
        yield f"  go on without it:  wavecrew skip {name} --reason '...'"
        yield f"  merge it by hand:  git switch {quote(one_line(result))} && git merge {branch}"
        yield f"                     wavecrew skip {name} --reason 'merged by hand' && wavecrew run"


# -- what comes next ----------------------------------------------------------------------------------------------


def next_lines(summary: Summary, width: int | None = None) -> list[str]:
    """The commands that are likely to come next. None is ever cut."""
    commands = list(_commands(summary))
    lines = [f"next: {commands[0]}"]
    for command in commands[1:]:
        if width is not None and cells(lines[-1]) + 3 + cells(command) > width:
            lines.append(f"      {command}")
        else:
            lines[-1] += f" · {command}"
    return lines


def _commands(summary: Summary) -> Iterator[str]:
    if summary.imported:
        yield f"wavecrew report {quote(one_line(summary.run))}"
        return
    if summary.needs_you:
        yield approve_command(summary.needs_you)
    yield from (answer_command(row.id, row.asks[0], row.asks) for row in summary.rows if row.asks)
    failed = [row for row in summary.of(Standing.FAILED) if row.attempts]
    yield from (f"wavecrew logs {argument(row.id)}" for row in (*summary.silent[:1], *failed[:1]))
    rejected = next((row.gate for row in summary.of(Standing.BLOCKED) if row.gate), "")
    if rejected and not summary.needs_you:
        yield approve_command((rejected,))
    if summary.unproven:
        yield "wavecrew verify"
    yield from _ways_on(summary)


def _ways_on(summary: Summary) -> Iterator[str]:
    match summary.status:
        case RunStatus.STOPPED if summary.budget_reached:
            yield "wavecrew run --budget MORE"
        case RunStatus.FAILED | RunStatus.STOPPED | RunStatus.INTERRUPTED | RunStatus.NOT_STARTED:
            if summary.paused_by:
                yield "wavecrew continue"
            yield "wavecrew run"
        case RunStatus.RUNNING:
            if summary.paused_by:
                yield "wavecrew continue"
            at_work = () if summary.silent else summary.of(*AT_WORK)[:1]
            yield from (f"wavecrew logs {argument(row.id)}" for row in at_work)
            yield "wavecrew status --watch"
        case RunStatus.SUCCEEDED:
            if summary.edited:
                yield "wavecrew run"
            if summary.result_branch and not summary.landed_on:
                yield "wavecrew land"
                yield f"git merge {summary.result_branch}"
            yield "wavecrew report"


def argument(phase: str) -> str:
    """The id of a phase as an argument of a command."""
    word = quote(one_line(phase))
    return f"-- {word}" if phase.startswith("-") else word


def _quoted(gate: str) -> str:
    word = one_line(gate)
    return f'"{word}"' if _PLAIN_WORDS.fullmatch(word) else quote(word)
