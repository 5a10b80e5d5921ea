"""News of a run that are worth a person's while: one for each change that somebody has to know of or answer.

What it does: folds events into notices; says which of them still hold later on; and gathers those that come close
together, so that they are told at once. A failure that is tried again by itself is no news.
What it does not know: who is told and how (`notice_words` writes a message), clocks, and what was told already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.silence import is_question
from wavecrew.views.question_words import answer_command, asks_words
from wavecrew.views.run_history import History
from wavecrew.views.run_next import approve_command, argument, forbidden_words
from wavecrew.views.run_words import label_in, listed, reason_of
from wavecrew.views.usage_words import budget_words, held_words, holding, silent_words, spent_at

WINDOW_SECONDS: Final = 3.0
"""What comes within so many seconds of each other is told at once."""
LONGEST_SECONDS: Final = 10.0
"""But nobody waits longer than this for news, however many more come."""
_BY_A_PERSON: Final = (Cause.CANCELLED, Cause.REJECTED)


class NoticeKind(StrEnum):
    """What a notice is about, the most urgent first."""

    ALARM = "alarm"
    """Something was changed that no agent may change; nothing new starts."""
    APPROVAL = "approval"
    ASKED = "asked"
    """An agent asks a person something, and waits for the answer."""
    QUESTION = "question"
    """An agent says nothing more, and its last words look like a question."""
    SILENT = "silent"
    UNPROVEN = "unproven"
    """The run is over, and finished work is not where it has to be."""
    FAILED = "failed"
    """A phase has failed and will not be tried again by itself."""
    ACCOUNT = "account"
    """An account is used up, and no other agent stands in."""
    BUDGET = "budget"
    STOPPED = "stopped"
    """The coordinator has left before the plan was done."""
    FINISHED = "finished"


NEEDS_YOU: Final = (NoticeKind.ALARM, NoticeKind.APPROVAL, NoticeKind.ASKED, NoticeKind.QUESTION, NoticeKind.SILENT)
END: Final = (NoticeKind.FINISHED, NoticeKind.STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One piece of news: that of event number `event` of the run. `text` is one sentence for people and may hold
    foreign words that were not cleaned; `subject` is the phase, gate or account that it is about."""

    event: int
    at: float
    kind: NoticeKind
    subject: str = ""
    text: str = ""
    commands: tuple[str, ...] = ()
    """What a person would type next."""
    since: float = 0.0
    """Of a silence or a question: since when."""


class NoticeFold:
    """The news of one run. Give it all events from the first one on, in order, in pieces of any size."""

    def __init__(self) -> None:
        self.state = ExecutionState()
        self.history = History()
        self._silent: set[tuple[str, int, bool]] = set()
        self._accounts: set[str] = set()
        self._asked: set[str] = set()

    def add(self, numbered: Sequence[tuple[int, Event]]) -> list[Notice]:
        """Take in further events with their numbers, and give the news in them."""
        found: list[Notice] = []
        waiting: list[Event] = []
        for number, event in numbered:
            waiting.append(event)
            if isinstance(event, _WORTH_A_LOOK):  # the state is made anew only where it is looked at
                self._take(waiting)
                waiting = []
                found += self._news(number, event)
        self._take(waiting)
        return found

    def holds(self, notice: Notice, now: float) -> bool:
        """Whether a notice is still true: a gate may be open by now, and a silent agent heard again."""
        state, subject = self.state, notice.subject
        phase = state.phase_states.get(subject)
        match notice.kind:
            case NoticeKind.ALARM:
                return bool(state.forbidden)
            case NoticeKind.APPROVAL:
                return subject in state.needs_you
            case NoticeKind.ASKED:
                return phase is not None and any(one.at == notice.since for one in phase.asks)
            case NoticeKind.QUESTION | NoticeKind.SILENT:
                return phase is not None and subject in state.running and phase.silent_since == notice.since
            case NoticeKind.FAILED:
                return phase is not None and phase.status is PhaseStatus.FAILED and phase.waiver is None
            case NoticeKind.ACCOUNT:
                return subject in state.accounts and state.accounts[subject].until > now
            case NoticeKind.BUDGET:
                return bool(state.budget_reached)
            case NoticeKind.UNPROVEN | NoticeKind.FINISHED:
                return state.end_time == notice.at
            case NoticeKind.STOPPED:
                return bool(state.stop_reason)

    def _take(self, events: list[Event]) -> None:
        if events:
            self.state = evolve(self.state, *events)
            self.history.add(events)
        for event in events:
            if isinstance(event, ev.GateApproved | ev.GateRejected):
                self._asked.discard(event.gate)
        if self._accounts:  # after a success on an account its next closure is news
            self._accounts = {name for name in self._accounts if self.state.accounts[name].times}

    # -- one event

    def _news(self, number: int, event: Event) -> Iterator[Notice]:
        match event:
            case ev.ApprovalAsked():
                yield from self._approval(number, event)
            case ev.QuestionAsked():
                yield self._question(number, event)
            case ev.AgentSilence(since=since) if since is not None:
                yield from self._silence(number, event, since)
            case ev.AttemptEnded() | ev.PhaseRefused():
                yield from self._failure(number, event)
            case ev.AccountClosed():
                yield from self._account(number, event)
            case ev.BudgetReached(budget=budget):
                words = budget_words(budget, spent_at(event, self.state.spent))
                yield _notice(number, event, NoticeKind.BUDGET, budget, words, "wavecrew run --budget MORE")
            case ev.ForbiddenChange():
                words = forbidden_words(event.what, event.suspects)
                yield _notice(number, event, NoticeKind.ALARM, "", words, "wavecrew status")
            case ev.RunStopped(reason=reason):
                words = f"it was stopped ({reason}) and can be taken up"
                yield _notice(number, event, NoticeKind.STOPPED, "", words, "wavecrew run")
            case ev.RunFinished():
                yield from self._finished(number, event)

    def _approval(self, number: int, event: ev.ApprovalAsked) -> Iterator[Notice]:
        """Whoever takes a run up asks again for what nobody has answered; that is no news."""
        gate = event.gate
        if gate not in self._asked:
            self._asked.add(gate)
            command = approve_command((gate,))
            yield _notice(number, event, NoticeKind.APPROVAL, gate, f"{gate} waits for your approval", command)

    def _question(self, number: int, event: ev.QuestionAsked) -> Notice:
        asks = self.state.phase_states[event.phase].asks
        words = f"{label_in(self.state, event.phase)} {asks_words(asks[-1])}"
        command = answer_command(event.phase, asks[-1], asks)
        return _notice(number, event, NoticeKind.ASKED, event.phase, words, command, since=event.at)

    def _silence(self, number: int, event: ev.AgentSilence, since: float) -> Iterator[Notice]:
        """Where a silent agent is ended without being asked, nobody is needed. Once for each attempt, and once more if
        it turns out to ask something."""
        if self.state.settings.get("stall", "tell") != "tell":
            return
        asks = is_question(event.words)
        key = (event.phase, event.attempt, asks)
        if key in self._silent:
            return
        self._silent.add(key)
        words = f"{label_in(self.state, event.phase)} is {silent_words(since, event.words, event.at)}"
        kind = NoticeKind.QUESTION if asks else NoticeKind.SILENT
        command = f"wavecrew logs {argument(event.phase)}"
        yield _notice(number, event, kind, event.phase, words, command, since=since)

    def _failure(self, number: int, event: ev.AttemptEnded | ev.PhaseRefused) -> Iterator[Notice]:
        """What is tried again by itself is no news, nor is what a person has just ended."""
        how, made = "could not be started", False
        if isinstance(event, ev.AttemptEnded):
            if event.outcome not in (Outcome.FAILED, Outcome.LOST) or event.retry_at is not None:
                return
            how, made = "failed", True
        if event.cause in _BY_A_PERSON:
            return
        words = f"{label_in(self.state, event.phase)} {how}: {reason_of(event.cause, event.detail)}"
        name = argument(event.phase)
        commands = (*((f"wavecrew logs {name}",) if made else ()), f"wavecrew retry {name}")
        yield _notice(number, event, NoticeKind.FAILED, event.phase, words, *commands)

    def _account(self, number: int, event: ev.AccountClosed) -> Iterator[Notice]:
        """Told when it closes, and not each time that it is found to be closed still."""
        name, state = event.account, self.state
        if name in self._accounts:
            return
        waiting = tuple(
            phase
            for phase, found in state.phase_states.items()
            if state.to_do(phase) and not found.satisfied and found.status is not PhaseStatus.FAILED
            if (held := holding(state, phase, event.at)) is not None and held[0] == name
        )
        if not waiting:
            return
        self._accounts.add(name)
        told = held_words(name, state.accounts[name], event.at).removeprefix("held: ")
        words = f"{told}; no other agent stands in for {listed(waiting)}"
        yield _notice(number, event, NoticeKind.ACCOUNT, name, words, "wavecrew status")

    def _finished(self, number: int, event: ev.RunFinished) -> Iterator[Notice]:
        lacking = (*event.missing, *event.unproven)
        if lacking:
            words = f"finished work is not where it has to be: {listed(lacking)}"
            yield _notice(number, event, NoticeKind.UNPROVEN, "", words, "wavecrew verify")
        good = self.state.succeeded
        words = "all is done" if good else "it is over, and not all is done"
        yield _notice(number, event, NoticeKind.FINISHED, "", words, "wavecrew report" if good else "wavecrew run")


_WORTH_A_LOOK: Final = (
    ev.ApprovalAsked,
    ev.QuestionAsked,
    ev.AgentSilence,
    ev.AttemptEnded,
    ev.PhaseRefused,
    ev.AccountClosed,
    ev.BudgetReached,
    ev.ForbiddenChange,
    ev.RunStopped,
    ev.RunFinished,
)


def _notice(
    number: int, event: Event, kind: NoticeKind, subject: str, text: str, *commands: str, since: float = 0.0
) -> Notice:
    return Notice(event=number, at=event.at, kind=kind, subject=subject, text=text, commands=commands, since=since)


def by_urgency(notices: Iterable[Notice]) -> list[Notice]:
    """The most urgent first; of one kind, in the order in which they came."""
    order = {kind: place for place, kind in enumerate(NoticeKind)}
    return sorted(notices, key=lambda notice: (order[notice.kind], notice.event))


class Gatherer:
    """Keeps news until nothing more comes for a moment. It is told the time, in seconds of any clock."""

    def __init__(self, window: float = WINDOW_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._window = window
        self._longest = longest
        self._kept: list[Notice] = []
        self._first = self._last = 0.0

    def add(self, notices: Iterable[Notice], now: float) -> None:
        """Keep some more."""
        before = len(self._kept)
        self._kept += notices
        if len(self._kept) > before:
            self._last = now
            self._first = self._first if before else now

    def wait(self, now: float) -> float | None:
        """For how long nothing has to be told; 0 if something has to be now, None as long as there is nothing."""
        if not self._kept:
            return None
        return max(0.0, min(self._last + self._window, self._first + self._longest) - now)

    def take(self) -> list[Notice]:
        """All that was kept, the most urgent first; nothing is kept any more."""
        taken, self._kept = self._kept, []
        return by_urgency(taken)
