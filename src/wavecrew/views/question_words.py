"""The words for what agents say to people: questions, answers, and how far they are.

What it does: writes the sentence of each, and the command that answers a question. Foreign words are made harmless.
What it does not know: who is shown them, and how a screen is laid out.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Any, Final

from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.questions import Question
from wavecrew.views.run_words import DOT, label_in
from wavecrew.views.terminal_text import cut, one_line

_WIDEST: Final = 400
"""Columns of a question or an answer; all of it stands in `wavecrew explain` and in JSON."""


def asks_words(question: Question) -> str:
    """`asks: which of the two is meant?`"""
    return f"asks: {cut(question.text, _WIDEST)}"


def question_words(question: Question) -> str:
    """A question with its answer, all of it, for people."""
    told = "nobody has answered" if question.is_open else f"{question.by} answered: {question.answer}"
    return f"{question.text} ({told})"


def answer_command(phase: str, question: Question, beside: Sequence[Question] = ()) -> str:
    """The command that answers a question; `beside` are all that are open in its phase."""
    name = quote(one_line(phase))
    which = f"--question {question.number} " if len(beside) > 1 else ""
    return f"wavecrew answer {which}{'-- ' if phase.startswith('-') else ''}{name} '...'"


def question_data(phase: str, question: Question) -> dict[str, Any]:
    """A question that waits for a person, as plain values."""
    return {"phase": phase, "question": question.number, "text": question.text, "asked_at": question.at}


def said_words(event: Event, state: ExecutionState) -> tuple[str, str] | None:
    """Verb and words of a plain line, for what agents say to people and are answered; None for all else."""
    match event:
        case ev.ProgressTold(phase=phase):
            return "tell", f"{label_in(state, phase)} {cut(event.text, _WIDEST)}"
        case ev.QuestionAsked(phase=phase):
            question = Question(event.question, event.attempt, event.text, event.at)
            found = state.phase_states.get(phase)
            command = answer_command(phase, question, found.asks if found is not None else ())
            words = f"needs you: {cut(event.text, _WIDEST)}{DOT}answer with: {command}"
            return "ask", f"{label_in(state, phase)} {words}"
        case ev.QuestionAnswered(phase=phase):
            by = one_line(event.by)
            by = f'"{by}"' if " " in by else by
            return "answer", f"{label_in(state, phase)} by={by} {cut(event.text, _WIDEST)}"
        case _:
            return None


def with_told(progress: tuple[int, int, str] | None, told: str) -> tuple[int, int, str] | None:
    """The step at work, with what its agent said of how far it is before what is seen of it."""
    if not told:
        return progress
    step, of, title = progress or (1, 1, "")
    return step, of, f"{told}{DOT}{title}" if title else told
