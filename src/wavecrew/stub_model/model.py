"""The stub model itself: what it answers to a request, and how many tokens that was.

What it does: finds the script in the newest words of the user, counts the results since, and answers with the turn that
comes next. It keeps no dialogue, so one serves any number of programs at a time; only failures that end are counted.
What it does not know: sockets, and how the APIs write all this.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from wavecrew.stub_model.dialogue import Answer, Asked, Speaker, Tokens, ToolCall, value_for
from wavecrew.stub_model.script import Script, Turn, has_script, name_in, read_script
from wavecrew.stub_model.tools import can_call, tool_call

_ENDING_TOOL = "complete_task"
"""The tool by which a sub-agent of Gemini CLI says its last words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about a request: `turn` tells what comes before the answer. `side` requests are those that no
    script foresees: a title, a choice of a model. They count for the script that they speak of, if it has a name."""

    name: str
    step: int
    turn: Turn
    answer: Answer
    side: bool
    results: tuple[str, ...] = ()


class Model:
    """Answers requests. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: Counter[tuple[str, int]] = Counter()
        self._spent: defaultdict[str, Tokens] = defaultdict(Tokens)
        self._beside: defaultdict[str, Tokens] = defaultdict(Tokens)

    def plan(self, asked: Asked) -> Plan:
        """What to answer. Raises InvalidValueError for a script that cannot be read or carried out."""
        if not asked.tools:
            return self._beside_the_script(asked)
        script, results = _newest(asked)
        number, turn = script.next_turn(len(results), lambda call: can_call(call, asked.tools))
        last = results[-1] if results else ""
        calls = tuple(ToolCall(_new(), *tool_call(call, asked.tools, last)) for call in turn.calls)
        text = "" if calls else script.last_words
        if not calls and _ENDING_TOOL in asked.tools:
            calls = (ToolCall(_new(), _ENDING_TOOL, value_for(asked.tools[_ENDING_TOOL], text)),)
        tokens = Tokens(1000 + 100 * len(results), 20 + len(results), 200)
        return Plan(script.name, number, turn, Answer(_new(), asked.model, tokens, text, calls), False, results)

    def fails(self, plan: Plan) -> bool:
        """Whether this time the answer is a failure; it is counted."""
        if not plan.turn.status:
            return False
        with self._lock:
            self._failures[plan.name, plan.step] += 1
            return self._failures[plan.name, plan.step] <= plan.turn.times

    def spend(self, plan: Plan) -> None:
        """An answer is given: its tokens count."""
        with self._lock:
            sums = self._beside if plan.side else self._spent
            sums[plan.name] += plan.answer.tokens

    def spent(self, *, beside: bool = False) -> Mapping[str, Tokens]:
        """Tokens by the names of scripts; `beside` are those of side requests."""
        with self._lock:
            return dict(self._beside if beside else self._spent)

    def _beside_the_script(self, asked: Asked) -> Plan:
        name = next((found for _, text in asked.said if (found := name_in(text))), "")
        text = "stub" if asked.schema is None else json.dumps(value_for(asked.schema, "stub"))
        return Plan(name, -1, Turn(), Answer(_new(), asked.model, Tokens(300, 7), text), True)


def _newest(asked: Asked) -> tuple[Script, tuple[str, ...]]:
    """The newest script, and the results that came after it."""
    text = ""
    results: list[str] = []
    for speaker, words in asked.said:
        if speaker is Speaker.USER and has_script(words):
            text, results = words, []
        elif speaker is Speaker.TOOL:
            results.append(words)
    return read_script(text), tuple(results)


def _new() -> str:
    return uuid.uuid4().hex[:20]
