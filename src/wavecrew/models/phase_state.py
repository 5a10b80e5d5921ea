"""Where one phase stands, and who is at work on it: the values that a run's state is made of.

What it does: holds status, attempts, reasons, waits and waivers of a phase, and the agents at work, as values.
What it does not know: how they change (`execution_state` folds events into them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self

from wavecrew.errors import InvalidValueError
from wavecrew.models.agent_report import Usage
from wavecrew.models.events import (
    AgentReported,
    AttemptEnded,
    AttemptStarted,
    Cause,
    ProgressTold,
    QuestionAnswered,
    QuestionAsked,
    WriteAwaited,
    WriteJudged,
)
from wavecrew.models.experience import Done
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.questions import Question, answered, asked
from wavecrew.models.usage import Spent

NOTHING_USED: Final = Usage(0, 0, 0)
_STILL_ASKS: Final = frozenset({Cause.STOPPED, Cause.QUOTA, Cause.LOST})
"""How an attempt was broken off whose questions stand: the next one will need the answer, too."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """Who let the dependents of a phase go on without it, and why."""

    by: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class LockWait:
    """What a ready phase waits for, who holds it, and since when (seconds since 1970)."""

    resource: str
    holder: str
    since: float


@dataclass(frozen=True, slots=True)
class Merge:
    """Sealed work that is on its way into the result: `commit` is what it would become, put together with `onto`.
    `beside` is the phase beside whose attempt it was checked together with that of others."""

    onto: str
    commit: str
    beside: str = ""


_AFRESH: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("silent_since", "merge", "ended_at", "retry_at", "lock_wait")),
    **dict.fromkeys(("changed", "claimed", "undeclared", "write_waits"), ()),
    **dict.fromkeys(("sealed", "cancelled_by", "last_words", "told"), ""),
    "unattended": 0.0,
}
"""What an attempt that starts leaves behind of the one before."""


@dataclass(frozen=True, slots=True)
class PhaseState:
    """Where one phase stands. Times are in seconds since 1970.

    `attempts` counts all that were started, `failures` only those that use up a retry, `losses` those that died without
    a result, `conflicts` those whose work did not go together with that of others, `stalls` those that were ended
    because nothing was heard of their agent. `cause` and `detail` tell why the latest attempt did not succeed.
    """

    status: PhaseStatus = PhaseStatus.NOT_STARTED
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    conflicts: int = 0
    stalls: int = 0
    cause: Cause = Cause.NONE
    detail: str = ""
    exit_code: int | None = None
    agent: str = ""
    log: str = ""
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    unattended: float = 0.0
    """For how many seconds its latest attempt was over already, with nobody in charge to see it."""
    retry_at: float | None = None
    fence: int = 0
    slot: int = 0
    """The lowest number, from 1, that no other attempt at work had when it started."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """A digest of each thing that its latest attempt rests on, by name."""
    base: str = ""
    """The commit that the worktree of its latest attempt started from."""
    branch: str = ""
    """The branch that holds its work until that is merged, and after a failure."""
    sealed: str = ""
    """The commit that holds the work of its latest attempt, once the agent has ended well."""
    changed: tuple[str, ...] = ()
    """The files that differ in it."""
    merge: Merge | None = None
    """The merge that is being tried."""
    commit: str = ""
    """The commit that brought its work into the result of the run."""
    outputs: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()
    """What was claimed for its latest attempt on the way, because its agent asked for it."""
    undeclared: tuple[str, ...] = ()
    """Files that it may have changed without a claim in its latest attempt."""
    session: str = ""
    """By which the conversation of its latest attempt can be taken up."""
    session_usage: Usage = NOTHING_USED
    """What that session had used in all when it was last told; the next attempt in it is measured from here."""
    resumed: str = ""
    """The session of an earlier attempt in which its latest one goes on; empty if that began afresh."""
    spent: Spent = field(default_factory=Spent)
    """What the agents of all its attempts have used."""
    reported: int = 0
    """The latest attempt whose agent has told what it used."""
    silent_since: float | None = None
    """Since when nothing was heard of its agent."""
    last_words: str = ""
    """What a silent agent said last."""
    told: str = ""
    """What its agent last said of how far it is."""
    questions: tuple[Question, ...] = ()
    """What its agents have asked people, with the answers."""
    cancelled_by: str = ""
    """Who wants the open attempt to end for good."""
    lock_wait: LockWait | None = None
    write_waits: tuple[LockWait, ...] = ()
    """For what its agent waits at the write gate, the longest first."""
    waiver: Waiver | None = None
    kept_from: str = ""

    def fields_but_status(self) -> dict[str, Any]:
        """All that is said of it beside its status, by name."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "status"}

    def begun(self, event: AttemptStarted) -> dict[str, Any]:
        """What an attempt that starts makes of it, by name."""
        told = ("agent", "fence", "log", "slot", "inputs", "base", "branch", "session")
        return {
            **_AFRESH,
            **{name: getattr(event, name) for name in told},
            "attempts": event.attempt,
            "started_at": event.at,
            "resumed": event.session,
            "session_usage": self.session_usage if event.session else NOTHING_USED,
        }

    def asked(self, event: WriteAwaited | WriteJudged) -> Self:
        """With what its agent waits for at the write gate, or has been answered there."""
        if isinstance(event, WriteAwaited):
            others = (wait for wait in self.write_waits if wait.since != event.since)
            wait = LockWait(event.resource, event.holder, event.since)
            return replace(self, write_waits=tuple(sorted((*others, wait), key=lambda one: one.since)))
        waits = tuple(wait for wait in self.write_waits if wait.resource not in event.paths)
        return replace(self, write_waits=waits, claimed=tuple(dict.fromkeys((*self.claimed, *event.claimed))))

    def heard(self, event: AgentReported) -> Self:
        """With what the agent of its latest attempt told. Where it does not tell what its whole session has used, that
        is what was known of it and what is known of this attempt; the next one in it may tell more."""
        session = event.session or self.session
        before = self.session_usage if self.session in ("", session) else NOTHING_USED
        whole = Usage(event.session_input_tokens, event.session_output_tokens, event.session_cached_tokens)
        own = Usage(event.input_tokens, event.output_tokens, event.cached_tokens)
        return replace(
            self,
            session=session,
            session_usage=whole.or_else(before.plus(own)),
            spent=self.spent.plus(event.input_tokens, event.output_tokens, event.cost_usd),
            reported=event.attempt,
        )

    def said(self, event: ProgressTold | QuestionAsked) -> Self:
        """With what its agent said of its progress, or asked."""
        if isinstance(event, ProgressTold):
            return replace(self, told=event.text)
        return replace(self, questions=asked(self.questions, event))

    def answered(self, event: QuestionAnswered) -> Self:
        """With the answer to a question."""
        return replace(self, questions=answered(self.questions, event))

    @property
    def replies(self) -> tuple[tuple[str, str], ...]:
        """Its questions that were answered, each with the answer."""
        return tuple((one.text, one.answer) for one in self.questions if not one.is_open)

    @property
    def asks(self) -> tuple[Question, ...]:
        """The questions that a person has to answer: those of the attempt at work, or of one that was broken off."""
        if self.status is PhaseStatus.IN_PROGRESS:
            waits = not (self.sealed or self.cancelled_by)
        else:
            waits = self.status is PhaseStatus.QUEUED and self.waiver is None and self.cause in _STILL_ASKS
        return tuple(one for one in self.questions if one.is_open and one.attempt == self.attempts) if waits else ()

    @property
    def satisfied(self) -> bool:
        """Whether dependents may go on."""
        return self.status is PhaseStatus.COMPLETED or self.waiver is not None


class AgentStatus(StrEnum):
    """What is known of an agent's process."""

    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """One agent at work on one phase: `agent_id` is unique in a run, `logs` are paths in the state folder."""

    agent_id: str
    assigned_phase: str
    status: AgentStatus = AgentStatus.RUNNING
    logs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.agent_id:
            raise InvalidValueError("an agent needs an id")
        object.__setattr__(self, "status", AgentStatus(self.status))
        object.__setattr__(self, "logs", tuple(self.logs))


def done_in(phase: PhaseInfo, state: PhaseState, event: AttemptEnded) -> Done:
    """How long the attempt took that did a phase; those that failed before tell nothing of the work."""
    began = event.at if state.started_at is None else state.started_at
    estimate = None if phase.estimated_time is None else phase.estimated_time * 3600
    return Done(phase.id, state.agent, max(0.0, event.at - began - event.unattended), estimate)
