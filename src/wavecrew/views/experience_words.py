"""How good the estimates of a plan were so far, for people and for programs.

What it does: puts it into a sentence, or into plain values.
What it does not know: where it comes from, and what follows from it.
"""

from __future__ import annotations

from wavecrew.models.experience import ENOUGH, Experience
from wavecrew.views.words import counted

_ALL = ""


def estimates_were(experience: Experience) -> str:
    """A sentence; empty if no phase with an estimate was done yet."""
    if not experience.estimated:
        return ""
    factors = experience.factors(_ALL)
    if factors is None:
        return (
            f"so far {counted(experience.estimated, 'phase')} with an estimate done; from {ENOUGH} on they are compared"
        )
    low, likely, high = (_times(factor) for factor in (factors.low, factors.likely, factors.high))
    what = f"so far half of {experience.estimated:,} phases took {low} to {high} times their estimate"
    return f"{what}, typically {likely}"


def estimates_data(experience: Experience) -> dict[str, object]:
    """How many phases with an estimate were done, and by what estimates have to be multiplied: null with too few."""
    factors = experience.factors(_ALL)
    told = None if factors is None else {"low": factors.low, "typical": factors.likely, "high": factors.high}
    return {"phases": experience.estimated, "factor": told}


def _times(factor: float) -> str:
    """Two digits that count."""
    return f"{factor:.0f}" if factor >= 10 else f"{factor:.2g}" if factor >= 0.001 else "less than 0.001"
