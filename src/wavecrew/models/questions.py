"""Questions of agents at work to people, and the answers.

What it does: keeps the questions of a phase as values, with the answer once there is one, and finds one again by its
words, because an agent that asks once more means the same question.
What it does not know: how a question reaches anybody, and when a phase still waits for an answer (`phase_state`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from wavecrew.errors import IllegalTransitionError
from wavecrew.models import events as ev

NEEDS_ANSWER: Final = "needs an answer"
"""How the reason of a run begins that was left because nobody was there to answer a question."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of an attempt, the `number`-th of its phase; `at` and `answered_at` are in seconds since 1970."""

    number: int
    attempt: int
    text: str
    at: float
    answer: str = ""
    by: str = ""
    answered_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody has answered it yet."""
        return self.answered_at is None


def asked(questions: tuple[Question, ...], event: ev.QuestionAsked) -> tuple[Question, ...]:
    """With one question more. Raises IllegalTransitionError for a number that is not the next."""
    if event.question != len(questions) + 1:
        raise IllegalTransitionError(f"phase {event.phase}: question {event.question} after {len(questions)}")
    return (*questions, Question(event.question, event.attempt, event.text, event.at))


def answered(questions: tuple[Question, ...], event: ev.QuestionAnswered) -> tuple[Question, ...]:
    """With the answer to one of them. Raises IllegalTransitionError where there is none, or it was answered before."""
    found = next((one for one in questions if one.number == event.question), None)
    if found is None or not found.is_open:
        why = "was never asked" if found is None else "was answered already"
        raise IllegalTransitionError(f"phase {event.phase}: question {event.question} {why}")
    told = replace(found, answer=event.text, by=event.by, answered_at=event.at)
    return tuple(told if one is found else one for one in questions)


def same(questions: Iterable[Question], text: str) -> Question | None:
    """The latest question with the same words, however they are spaced; None if there is none."""
    wanted = _plain(text)
    found = [one for one in questions if _plain(one.text) == wanted]
    return found[-1] if found else None


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
