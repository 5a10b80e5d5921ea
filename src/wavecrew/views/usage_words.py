"""Words about what agents have used, which accounts are used up, and who has fallen silent.

What it does: tells sums with their unknown parts beside them, never as zero; until when an account is closed; and since
when an agent says nothing, with its last words.
What it does not know: how usage is measured, and what stands around its words.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from wavecrew.errors import InvalidValueError
from wavecrew.models.accounts import Closure
from wavecrew.models.events import AgentReported, BudgetReached
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.silence import is_question
from wavecrew.models.usage import Budget, Spent
from wavecrew.views.run_words import UNKNOWN, seconds
from wavecrew.views.terminal_text import one_line

_DAY: Final = 86_400.0
UNITS: Final = ((10**9, "Gtok"), (10**6, "Mtok"), (10**3, "ktok"))


# -- usage ------------------------------------------------------------------------------------------------------


def spent_words(spent: Spent) -> str:
    """`cost 1.20 usd + unknown of 3 attempts, 12.3ktok`: both sums, and how many attempts did not tell."""
    return f"cost {cost_words(spent)}, tokens {token_words(spent)}"


def cost_words(spent: Spent) -> str:
    """`1.20 usd`, `1.20 usd + unknown of 3 attempts`, or `unknown` where nobody told."""
    return _with_unknown(f"{money(spent.cost_usd)} usd", spent.unknown_cost, spent.attempts)


def token_words(spent: Spent) -> str:
    """`12.3ktok`, `12.3ktok + unknown of 3 attempts`, or `unknown` where nobody told."""
    return _with_unknown(tokens(spent.tokens), spent.unknown_tokens, spent.attempts)


def _with_unknown(known: str, unknown: int, of: int) -> str:
    if unknown >= of:
        return UNKNOWN
    return f"{known} + {UNKNOWN} of {unknown} attempt{'s' * (unknown != 1)}" if unknown else known


def money(amount: float) -> str:
    """An amount with two places; a small one with as many as it needs not to look like nothing."""
    return f"{amount:.4f}" if 0 < amount < 0.01 else f"{amount:.2f}"


def tokens(amount: int) -> str:
    """`950tok`, `12.3ktok`, `2Mtok`: as budgets are written."""
    for factor, unit in UNITS:
        if amount >= factor:
            return f"{amount / factor:.1f}".removesuffix(".0") + unit
    return f"{amount}tok"


def spent_data(spent: Spent) -> dict[str, Any]:
    """A sum for JSON. What nobody told is null; `unknown_...` count the attempts that are missing in a sum."""
    return {
        "attempts": spent.attempts,
        "tokens": spent.tokens if spent.attempts > spent.unknown_tokens else None,
        "cost_usd": round(spent.cost_usd, 6) if spent.attempts > spent.unknown_cost else None,
        "unknown_tokens": spent.unknown_tokens,
        "unknown_cost": spent.unknown_cost,
    }


def usage_data(told: AgentReported | None) -> dict[str, Any] | None:
    """What one attempt told, for JSON; null for an agent that tells nothing."""
    if told is None:
        return None
    return {
        "model": told.model or None,
        "session": told.session or None,
        "input_tokens": told.input_tokens,
        "output_tokens": told.output_tokens,
        "cached_tokens": told.cached_tokens,
        "cost_usd": told.cost_usd,
        "tool_calls": told.tool_calls,
    }


def spent_at(event: BudgetReached, spent: Spent) -> Spent:
    """What was spent when a budget was reached, with what was told by agents that had not ended then."""
    return replace(spent, tokens=event.tokens, cost_usd=event.cost_usd, attempts=spent.attempts + 1)


def budget_words(budget: str, spent: Spent) -> str:
    """That nothing new starts, and that what is at work may go beyond."""
    used = spent_words(spent)
    with suppress(InvalidValueError):  # another version of wavecrew may write it otherwise
        used = token_words(spent) if Budget.parse(budget).cost_usd is None else cost_words(spent)
    return f"the budget of {one_line(budget)} is spent ({used}): nothing new starts; agents at work may still use more"


# -- accounts ---------------------------------------------------------------------------------------------------


def agent_of(state: ExecutionState, phase: str) -> str:
    """The agent that is wanted for a phase."""
    info = state.graph.nodes[phase]
    return info.agent or ("command" if info.command else str(state.settings.get("agent") or ""))


def holding(state: ExecutionState, phase: str, now: float) -> tuple[str, Closure] | None:
    """The account that holds a ready phase up: that of its agent, unless the one of its stand-in is open."""
    own = agent_of(state, phase)
    other = state.graph.nodes[phase].fallback or str(state.settings.get("fallback_agent") or "")
    found = state.accounts.get(own)
    if found is None or found.until <= now:
        return None
    stand_in = state.accounts.get(other)
    if other in ("", own) or (stand_in is not None and stand_in.until > now):
        return own, found
    return None


def held_words(account: str, closure: Closure, now: float) -> str:
    """`held: claude is used up until 14:30Z (in 5m00s)`; the date stands with it if it is not today's."""
    what = closure.detail.partition(": ")[0] or f"{account} is used up"
    until = "until" if what.endswith("used up") else "and is tried again at"
    return f"held: {what} {until} {time_of_day(closure.until, now)} (in {seconds(closure.until - now)})"


def time_of_day(at: float, now: float) -> str:
    """`14:30Z`, with the date if that is another day."""
    try:
        told, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
    return told.strftime("%H:%MZ" if told.date() == today.date() else "%Y-%m-%d %H:%MZ")


# -- silence ----------------------------------------------------------------------------------------------------


def silent_words(since: float, words: str, now: float) -> str:
    """`silent for 1m15s; it seems to ask: Continue? [y/n]`."""
    told = f"silent for {seconds(now - since)}"
    if not words:
        return f"{told}; it has said nothing"
    return f"{told}; {'it seems to ask' if is_question(words) else 'its last words'}: {words}"
