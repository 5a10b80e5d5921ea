"""The facts about agents at work: what they told, asked and used, how they asked before a write, and their accounts.

What it does: defines these events; `events` names them with all others.
What it does not know: what they do to a state, and everything that `events` does not know either.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReported:
    """What the stream of an agent told of its work. None is unknown, and never zero."""

    at: float
    phase: str
    attempt: int
    session: str = ""
    """By which the same conversation can be taken up."""
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """How many of the input tokens were read from a cache."""
    cost_usd: float | None = None
    tool_calls: int = 0
    session_input_tokens: int | None = None
    """What its whole session has used, earlier attempts in it included; None where the program does not count so."""
    session_output_tokens: int | None = None
    session_cached_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSilence:
    """Nothing was heard of an agent `since` then, and `words` is the last that it said; None: it is heard again."""

    at: float
    phase: str
    attempt: int
    since: float | None
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressTold:
    """An agent said in a few words how far it is. Only the latest words count."""

    at: float
    phase: str
    attempt: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAsked:
    """An agent asks a person something. `question` counts the questions of its phase, from 1."""

    at: float
    phase: str
    attempt: int
    question: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAnswered:
    """Somebody has answered a question of an agent, which may be at work still, or be started again."""

    at: float
    phase: str
    question: int
    by: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJudged:
    """An agent asked before a write, and was refused, had to wait, or was given locks that it had not declared."""

    at: float
    phase: str
    attempt: int
    tool: str
    paths: tuple[str, ...]
    allowed: bool
    claimed: tuple[str, ...] = ()
    waited: float = 0.0
    holder: str = ""
    reason: str = ""
    """What the agent was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAwaited:
    """An agent waits at the write gate for what somebody else holds, `since` then; told again when that is somebody
    else, or something else. A WriteJudged about the same resource ends it."""

    at: float
    phase: str
    attempt: int
    tool: str
    resource: str
    holder: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountClosed:
    """An account is used up: nothing new starts on it until a moment in time. It opens by itself then."""

    at: float
    account: str
    until: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReopened:
    """Somebody says that a closed account can be used again, before its time."""

    at: float
    account: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReached:
    """What the run may cost is spent; nothing new starts. `budget` is as the user wrote it."""

    at: float
    budget: str
    cost_usd: float
    tokens: int
