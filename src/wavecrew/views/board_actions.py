"""What a person can do about a run right now, and with which command.

What it does: lists the actions that fit where the run and the chosen phase stand: key, word, command, and the sentence
that has to be agreed to before anything is ended or done again. Each is a verb of the command line; none is more.
What it does not know: how keys arrive, and how a command is carried out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote

from wavecrew.models.phase_status import PhaseStatus
from wavecrew.views.question_words import asks_words
from wavecrew.views.run_words import label
from wavecrew.views.summary import AT_WORK, DONE, PhaseRow, RunStatus, Standing, Summary
from wavecrew.views.terminal_text import one_line


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. `arguments` follow `wavecrew`; `confirm` is the sentence to be agreed to, empty where no harm
    can be done; `wants_reason` that the command needs words of the user's own, and `wants_answer` that it ends with
    them."""

    key: str
    word: str
    arguments: tuple[str, ...]
    confirm: str = ""
    wants_reason: bool = False
    wants_answer: bool = False

    @property
    def wants_words(self) -> bool:
        """Whether the user has to say something."""
        return self.wants_reason or self.wants_answer

    def with_words(self, words: str) -> Action:
        """The same with the words of the user."""
        if self.wants_answer:
            return Action(self.key, self.word, (*self.arguments, words), self.confirm)
        return self._with_reason(words)

    def _with_reason(self, reason: str) -> Action:
        verb, *rest = self.arguments
        return Action(self.key, self.word, (verb, "--reason", reason, *rest), self.confirm)

    @property
    def command(self) -> str:
        """As it is typed in a shell. A reason that is still wanted is shown as a place to fill."""
        verb, *rest = self.arguments
        words = [quote(one_line(word)) for word in rest]
        wanted = ["--reason", "'...'"] if self.wants_reason else []
        return " ".join(["wavecrew", verb, *wanted, *words, *(["'...'"] if self.wants_answer else [])])


def actions(summary: Summary, row: PhaseRow | None = None, gate: str = "") -> tuple[Action, ...]:
    """What fits now, in the order of the footer. `gate` is the one that is chosen, if any is."""
    if summary.imported:
        return ()  # it can be looked at, and nothing can go on with it
    found = [*_of_questions(summary, row)] if row is not None and not gate else []
    found += [one for one in _of_gates(summary, row, gate) if one.key not in [other.key for other in found]]
    if row is not None:
        found += _of_phase(summary, row)
    return (*found, *_of_run(summary))


def stop_action(summary: Summary) -> Action | None:
    """What ends the whole run, if somebody is at work on it."""
    if summary.status is not RunStatus.RUNNING:
        return None
    agents = len(summary.of(*AT_WORK))
    what = f"{agents} agent{'s' * (agents != 1)} at work {'are' if agents != 1 else 'is'} ended, and the coordinator"
    sentence = (
        f"Stop run {one_line(summary.run)}: {what}. What is finished stays; `wavecrew run` goes on with the rest."
    )
    return Action("Q", "stop", ("cancel", "--run", summary.run), sentence)


def look_commands(summary: Summary, row: PhaseRow | None, attempt: int = 0) -> tuple[Action, ...]:
    """The commands behind what the board shows, for whoever wants to go on in a shell."""
    run = ("--run", summary.run)
    found = []
    if row is not None:
        of = ("--attempt", str(attempt)) if attempt else ()
        found.append(Action("l", "log", ("logs", *run, *of, *_named(row.id))))
        if row.branch or row.commit:
            found.append(Action("d", "diff", ("diff", *run, *of, *_named(row.id))))
    return (*found, Action("t", "status", ("status", summary.run)), Action("4", "locks", ("locks", "list")))


def _of_gates(summary: Summary, row: PhaseRow | None, gate: str) -> Iterator[Action]:
    wanted = gate or (row.gate if row is not None and row.gate else "")
    if not wanted and summary.needs_you:
        wanted = summary.needs_you[0]
    if not wanted or summary.status in (RunStatus.SUCCEEDED, RunStatus.FAILED):
        return
    run = ("--run", summary.run)
    yield Action("a", f"approve {one_line(wanted)}", ("approve", *run, wanted))
    if wanted in summary.needs_you:
        sentence = f"Reject {one_line(wanted)}: the phases behind it are given up."
        yield Action("A", "reject", ("reject", *run, wanted), sentence, wants_reason=True)


def _of_questions(summary: Summary, row: PhaseRow) -> Iterator[Action]:
    """The answer to the first question of a phase."""
    if row.asks:
        first = row.asks[0]
        which = ("--question", str(first.number)) if len(row.asks) > 1 else ()
        words = ("answer", "--run", summary.run, *which, "--", row.id)
        yield Action("a", "answer", words, f"{label(row.id, row.name)} {asks_words(first)}", wants_answer=True)


def _of_phase(summary: Summary, row: PhaseRow) -> Iterator[Action]:
    name, run = label(row.id, row.name), ("--run", summary.run)
    named = _named(row.id)
    if row.standing in AT_WORK and summary.status is RunStatus.RUNNING:
        sentence = f"Cancel {name}: its agent is ended, and attempt {row.attempts} has failed."
        yield Action("x", "cancel", ("cancel", *run, *named), sentence)
    ended = row.status in (PhaseStatus.COMPLETED, PhaseStatus.FAILED) or row.standing is Standing.SKIPPED
    if ended:
        again = f"Do {name} again: it is done already, and is done once more." if row.standing in DONE else ""
        yield Action("r", "retry", ("retry", *run, *named), again)
        downstream = f"Do {name} again, and everything ended that depends on it."
        yield Action("R", "retry+", ("retry", "--with-downstream", *run, *named), downstream)
    if row.standing not in (*AT_WORK, *DONE):
        sentence = f"Skip {name}: what depends on it may start although it was not done. It stands in every report."
        yield Action("s", "skip", ("skip", *run, *named), sentence, wants_reason=True)


def _of_run(summary: Summary) -> Iterator[Action]:
    run = ("--run", summary.run)
    if summary.paused_by:
        yield Action("space", "continue", ("continue", *run))
    elif summary.status is RunStatus.RUNNING:
        yield Action("space", "pause", ("pause", *run))
    if summary.status in (RunStatus.STOPPED, RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.NOT_STARTED):
        sentence = f"Go on with run {one_line(summary.run)} in the background: what is open or has failed starts."
        yield Action("G", "go on", ("run", "--detach", "--", summary.plan_path), sentence)


def _named(phase: str) -> tuple[str, ...]:
    return ("--", phase) if phase.startswith("-") else (phase,)
