"""What an agent at work may say to its coordinator beside asking before a write: how far it is, and a question.

What it does: puts what is told on record, within bounds, and lets a question wait for its answer, which comes as an
event from whatever terminal it was given.
What it does not know: sockets and tokens (`write_gate`), locks (`gate_calls`), and who answers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from wavecrew.core.gate_calls import Refused
from wavecrew.core.ledger import Ledger
from wavecrew.core.phase_messages import ASK_HUMAN, PROGRESS, seconds_in, words_in
from wavecrew.models import events as ev
from wavecrew.models.phase_state import PhaseState
from wavecrew.models.questions import Question, same

MOST_WORDS: Final = 300
"""Characters of what is told of progress; more is cut off."""
MOST_QUESTION: Final = 2000
MOST_OPEN: Final = 8
"""How many questions of one attempt may wait at once."""
MOST_ASKED: Final = 100
"""How many questions a phase may have asked in all."""
MOST_TOLD: Final = 500
"""How often progress of one attempt is put on record."""
TELL_SECONDS: Final = 1.0
"""Shortest time between two records of progress."""
_LOOK_SECONDS: Final = 0.2


class PhaseDesk:
    """The desk of one run. All methods are called in the event loop. `redact` takes out of words what nobody may
    read; `is_here` tells whether an attempt is still under way."""

    def __init__(self, ledger: Ledger, redact: Callable[[str], str] = str) -> None:
        self._ledger = ledger
        self._redact = redact
        self._told_at: dict[tuple[str, int], float] = {}
        self._told: Counter[tuple[str, int]] = Counter()
        self._heard: set[tuple[str, int, int]] = set()
        """Answers that an agent has been given, by phase, attempt and number of the question."""
        self._asking: Counter[str] = Counter()

    @property
    def asking(self) -> frozenset[str]:
        """Phases whose agents wait for an answer at this moment, and do nothing else."""
        return frozenset(self._asking)

    async def call(
        self, tool: str, phase: str, attempt: int, given: object, is_here: Callable[[], bool]
    ) -> Mapping[str, Any]:
        """What an agent is answered. Raises Refused, with a sentence for it."""
        arguments = given if isinstance(given, Mapping) else {}
        self._found(phase, attempt)
        if tool == PROGRESS:
            return self._progress(phase, attempt, words_in(arguments, "text", MOST_WORDS, cut=True))
        if tool == ASK_HUMAN:
            text = words_in(arguments, "question", MOST_QUESTION)
            return await self._ask(phase, attempt, text, seconds_in(arguments), is_here)
        raise Refused(f"there is no {tool} here")

    def _found(self, phase: str, attempt: int) -> PhaseState:
        """The state of the phase. Raises Refused for an attempt that is over."""
        state = self._ledger.state
        found = state.phase_states.get(phase)
        if found is None or phase not in state.running or found.attempts != attempt or found.sealed:
            raise Refused("this attempt is over; nothing that it says is recorded any more.")
        return found

    # -- progress

    def _progress(self, phase: str, attempt: int, words: str) -> Mapping[str, Any]:
        key, now = (phase, attempt), time.monotonic()
        words = self._redact(words)
        if self._found(phase, attempt).told == words:
            return {"recorded": True}
        if self._told[key] >= MOST_TOLD:
            raise Refused(f"this attempt has told of its progress {MOST_TOLD} times, which is enough. Go on with it.")
        if now - self._told_at.get(key, float("-inf")) < TELL_SECONDS:
            return {"recorded": False, "reason": "too soon after the last one; tell what is next when it begins"}
        self._told_at[key] = now
        self._told[key] += 1
        self._ledger.record(ev.ProgressTold(at=self._ledger.clock(), phase=phase, attempt=attempt, text=words))
        return {"recorded": True}

    # -- questions

    async def _ask(
        self, phase: str, attempt: int, text: str, patience: float, is_here: Callable[[], bool]
    ) -> Mapping[str, Any]:
        number = self._number(phase, attempt, self._redact(text))
        deadline = time.monotonic() + patience
        self._asking[phase] += 1
        try:
            while (question := self._question(phase, number)).is_open:
                if not is_here():
                    raise Refused("this attempt is over.")
                if time.monotonic() >= deadline:
                    return {"answered": False, "question": number, **self._others(phase, attempt, number)}
                await asyncio.sleep(max(0.0, min(_LOOK_SECONDS, deadline - time.monotonic())))
        finally:
            self._asking[phase] -= 1
            self._asking += Counter()  # without those at zero
        self._heard.add((phase, attempt, number))
        told = {"answered": True, "question": number, "answer": question.answer, "by": question.by}
        return {**told, **self._others(phase, attempt, number)}

    def _number(self, phase: str, attempt: int, text: str) -> int:
        """The number of a question: that of the same one if it was asked before, else a new one, which is recorded.
        What an earlier attempt asked and nobody has answered is asked anew, because it is told as over."""
        found = self._found(phase, attempt)
        known = same(found.questions, text)
        if known is not None and (not known.is_open or known.attempt == attempt):
            return known.number
        if len(found.asks) >= MOST_OPEN or len(found.questions) >= MOST_ASKED:
            raise Refused(
                "this phase has asked too much already. Decide yourself, and say at the end what you decided."
            )
        number = len(found.questions) + 1
        self._ledger.record(
            ev.QuestionAsked(at=self._ledger.clock(), phase=phase, attempt=attempt, question=number, text=text)
        )
        return number

    def _question(self, phase: str, number: int) -> Question:
        found = self._ledger.state.phase_states.get(phase)
        for one in found.questions if found is not None else ():
            if one.number == number:
                return one
        raise Refused("this question is gone: somebody wants the phase to be done again.")

    def _others(self, phase: str, attempt: int, number: int) -> Mapping[str, Any]:
        """Answers to other questions of the phase that this attempt has not been told: they came after their time."""
        found = self._ledger.state.phase_states[phase]
        late = [
            one
            for one in found.questions
            if not one.is_open and one.number != number and (phase, attempt, one.number) not in self._heard
        ]
        self._heard.update((phase, attempt, one.number) for one in late)
        return {"earlier": [{"question": one.text, "answer": one.answer} for one in late]} if late else {}
