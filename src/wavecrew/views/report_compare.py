"""Two runs side by side: what each phase took, cost and tried, and by how much that differs.

What it does: matches phases by their ids and works out differences; what is not known in one of the runs is not known
in the difference either.
What it does not know: which of the two runs is the better one, and how the comparison is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wavecrew.models.usage import Spent
from wavecrew.views.report_facts import PhaseFacts, Report
from wavecrew.views.usage_words import spent_data


@dataclass(frozen=True, slots=True)
class Side:
    """What one run tells of a phase, or of itself. `seconds` is the time of all attempts, or of the whole run; None is
    unknown. `standing` is in words."""

    standing: str
    seconds: float | None
    attempts: int
    spent: Spent

    @property
    def cost(self) -> float | None:
        """What it cost, unless a part of that is unknown."""
        return None if self.spent.unknown_cost or not self.spent.attempts else self.spent.cost_usd

    @property
    def tokens(self) -> int | None:
        """The tokens it took, unless a part of them is unknown."""
        return None if self.spent.unknown_tokens or not self.spent.attempts else self.spent.tokens


@dataclass(frozen=True, slots=True)
class Pair:
    """The same phase in both runs; None where a run does not have it."""

    id: str
    name: str
    before: Side | None
    after: Side | None

    @property
    def seconds(self) -> float | None:
        """By how many seconds it took longer; negative if it was faster."""
        if self.before is None or self.after is None or self.before.seconds is None or self.after.seconds is None:
            return None
        return self.after.seconds - self.before.seconds

    @property
    def cost(self) -> float | None:
        """By how many dollars it cost more."""
        if self.before is None or self.after is None or self.before.cost is None or self.after.cost is None:
            return None
        return self.after.cost - self.before.cost

    @property
    def attempts(self) -> int | None:
        """How many more attempts it took."""
        return None if self.before is None or self.after is None else self.after.attempts - self.before.attempts


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run (`after`) and the one that it is compared with (`before`). `whole` compares the runs, `work` the time of
    all their attempts together."""

    before: str
    after: str
    whole: Pair
    work: Pair
    phases: tuple[Pair, ...]


def compare(before: Report, after: Report) -> Comparison:
    """Compare two runs, also of different plans."""
    old = {one.row.id: one for one in before.phases}
    new = {one.row.id: one for one in after.phases}
    names = [*new, *(name for name in old if name not in new)]
    return Comparison(
        before.summary.run,
        after.summary.run,
        Pair("", "the whole run", _whole(before), _whole(after)),
        Pair("", "all attempts together", _work(before), _work(after)),
        tuple(
            Pair(name, (new.get(name) or old[name]).row.name, _side(old.get(name)), _side(new.get(name)))
            for name in names
        ),
    )


def _side(found: PhaseFacts | None) -> Side | None:
    if found is None:
        return None
    seconds = found.work if found.attempts else None
    return Side(found.row.standing.value, seconds, len(found.attempts), found.spent)


def _whole(report: Report) -> Side:
    return Side(report.summary.status.value, report.summary.elapsed, len(report.attempts), report.spent)


def _work(report: Report) -> Side:
    return Side(report.summary.status.value, report.summary.work, len(report.attempts), report.spent)


def compared_data(found: Comparison) -> dict[str, Any]:
    """The comparison for JSON; what is not known is null."""
    return {
        "before": found.before,
        "after": found.after,
        "wall": _pair_data(found.whole),
        "work": _pair_data(found.work),
        "phases": [{"id": one.id, "name": one.name, **_pair_data(one)} for one in found.phases],
    }


def _pair_data(pair: Pair) -> dict[str, Any]:
    return {
        "before": _side_data(pair.before),
        "after": _side_data(pair.after),
        "seconds_more": pair.seconds,
        "cost_usd_more": None if pair.cost is None else round(pair.cost, 6),
        "attempts_more": pair.attempts,
    }


def _side_data(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "standing": side.standing,
        "seconds": side.seconds,
        "attempts": side.attempts,
        "usage": spent_data(side.spent),
    }
