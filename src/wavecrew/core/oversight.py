"""What is done about agents that fall silent, and about a budget.

What it does: asks the watch what it hears, has it recorded whom nothing is heard of, ends such agents if that is the
rule, and tells when the run has used what it may use.
What it does not know: how logs are read, how attempts are ended and judged, and what starts next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wavecrew.core.ledger import Ledger
from wavecrew.core.watch import Silence, Watch
from wavecrew.models import events as ev
from wavecrew.models.silence import is_question
from wavecrew.models.usage import Budget, Spent


@dataclass(frozen=True, slots=True)
class OversightRules:
    """`silent_after` is in seconds, None does not look. `stall` is what a silence leads to: it is told, or the agent is
    ended and tried again, or its phase fails. With `hard` a spent budget ends agents that are at work, too."""

    silent_after: float | None = None
    stall: Literal["tell", "restart", "fail"] = "tell"
    budget: Budget | None = None
    hard: bool = False


class Oversight:
    """Looks after the agents of one coordinator. `end_silent` ends the agent of an attempt and keeps why; `end_all`
    ends all of them; `excused` are phases whose agents have to be silent, because we let them wait."""

    def __init__(
        self,
        rules: OversightRules,
        *,
        ledger: Ledger,
        watch: Watch,
        at_work: Callable[[], Mapping[Path, str]],
        end_silent: Callable[[Path, str], None],
        end_all: Callable[[], None],
        excused: Callable[[], AbstractSet[str]] = frozenset,
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._watch = watch
        self._at_work = at_work
        self._end_silent = end_silent
        self._end_all = end_all
        self._excused = excused

    def look(self) -> None:
        """Listen once more. What is found is staged, for the next commit."""
        now = self._ledger.clock()
        for found in self._watch.look(now, self._excused()):
            self._hear(found, now)
        self._count(now)

    def _hear(self, found: Silence, now: float) -> None:
        state = self._ledger.state.phase_states[found.phase]
        told = ev.AgentSilence(at=now, phase=found.phase, attempt=state.attempts, since=found.since, words=found.words)
        self._ledger.stage(told)
        if found.since is None or self._rules.stall == "tell":
            return
        folder = next(folder for folder, name in self._at_work().items() if name == found.phase)
        self._end_silent(folder, silence_words(now - found.since, found.words))

    # -- the budget

    @property
    def spent(self) -> Spent:
        """What the run has used, with what agents at work have told so far."""
        return self._ledger.state.spent.and_(self._watch.live)

    def _count(self, now: float) -> None:
        budget, state = self._rules.budget, self._ledger.state
        if budget is None or state.budget_reached or not budget.is_spent(spent := self.spent):
            return
        reached = ev.BudgetReached(at=now, budget=budget.text, cost_usd=spent.cost_usd, tokens=spent.tokens)
        self._ledger.stage(reached)
        if self._rules.hard:
            self._end_all()


def silence_words(lasted: float, words: str) -> str:
    """Why an agent was ended of which nothing was heard, and the last that was."""
    told = f"nothing was heard of it for {lasted:.0f} s"
    if not words:
        return f"{told}, and nothing before"
    return f"{told}; {'it seems to ask' if is_question(words) else 'its last words'}: {words}"
