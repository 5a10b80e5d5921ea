"""What agents have used: tokens and money, with what is not known kept apart from zero.

What it does: adds up what attempts report, reads a budget, and says whether it is spent.
What it does not know: prices, agents and events.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from wavecrew.errors import InvalidValueError

_BUDGET: Final = re.compile(r"(?P<amount>\d+(?:\.\d+)?) ?(?P<unit>usd|[kMG]?tok)", re.ASCII)
_FACTORS: Final = {"tok": 1, "ktok": 10**3, "Mtok": 10**6, "Gtok": 10**9}


@dataclass(frozen=True, slots=True)
class Spent:
    """A sum over attempts. Tokens are those in and out together; `unknown_tokens` and `unknown_cost` count the attempts
    that did not tell, so that a sum with unknown parts is never taken for the whole."""

    tokens: int = 0
    cost_usd: float = 0.0
    attempts: int = 0
    unknown_tokens: int = 0
    unknown_cost: int = 0

    def plus(self, input_tokens: int | None, output_tokens: int | None, cost_usd: float | None) -> Self:
        """With one more attempt."""
        known = input_tokens is not None and output_tokens is not None
        return replace(
            self,
            tokens=self.tokens + (input_tokens or 0) + (output_tokens or 0),
            cost_usd=self.cost_usd + (cost_usd or 0.0),
            attempts=self.attempts + 1,
            unknown_tokens=self.unknown_tokens + (not known),
            unknown_cost=self.unknown_cost + (cost_usd is None),
        )

    def and_(self, other: Spent) -> Self:
        """The sum of both."""
        return replace(
            self,
            tokens=self.tokens + other.tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            attempts=self.attempts + other.attempts,
            unknown_tokens=self.unknown_tokens + other.unknown_tokens,
            unknown_cost=self.unknown_cost + other.unknown_cost,
        )


BUDGET_SPENT: Final = "its budget of "
"""How the reason begins for which a run stops when its budget is spent."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may use: money or tokens, whichever is not None."""

    text: str
    cost_usd: float | None = None
    tokens: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `5usd`, `0.50usd`, `200ktok`, `2Mtok`. Raises InvalidValueError."""
        found = _BUDGET.fullmatch(text.strip())
        if found is None or float(found["amount"]) == 0:
            raise InvalidValueError(f"{text!r} is no budget", fix="write it like 5usd, 200ktok or 2Mtok")
        amount, text = float(found["amount"]), text.strip()
        if found["unit"] == "usd":
            return cls(text, cost_usd=amount)
        return cls(text, tokens=round(amount * _FACTORS[found["unit"]]))

    def is_spent(self, spent: Spent) -> bool:
        """Whether nothing is left, as far as it is known."""
        if self.cost_usd is not None:
            return spent.cost_usd >= self.cost_usd
        return self.tokens is not None and spent.tokens >= self.tokens
