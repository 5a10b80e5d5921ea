"""The order of nodes within columns, so that few lines cross (Sugiyama's second step).

What it does: median sweeps over a layered graph, then swaps of neighbours, keeping the best order seen; crossings are
counted with a tree of sums in O(E log V).
What it does not know: what a node is, how large it is, and where it will stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_SWEEPS: Final = 24
_PATIENCE: Final = 6
_SWAPPABLE: Final = 2_500  # nodes; swapping neighbours looks at every pair of them again and again
_LARGE: Final = 20_000


class ColumnOrder:
    """Columns of numbered nodes. `left[n]` and `right[n]` are the neighbours of n in the columns beside it."""

    def __init__(
        self, columns: Sequence[Sequence[int]], left: Sequence[Sequence[int]], right: Sequence[Sequence[int]]
    ) -> None:
        self.columns = [list(column) for column in columns]
        self._left = left
        self._right = right
        self._place = [0] * len(left)
        for column in self.columns:
            self._number(column)

    def improve(self) -> list[list[int]]:
        """The order with the fewest crossings that was found; deterministic."""
        best, fewest = self._copy(), self.crossings()
        sweeps = _SWEEPS if len(self._place) < _LARGE else 4
        idle = 0
        for turn in range(sweeps):
            if fewest == 0 or idle >= _PATIENCE:
                break
            self._sweep(rightwards=turn % 2 == 0)
            if len(self._place) <= _SWAPPABLE:
                self._swap_neighbours()
            found = self.crossings()
            idle += 1
            if found < fewest:
                best, fewest, idle = self._copy(), found, 0
        return best

    def crossings(self) -> int:
        """How many pairs of lines between adjacent columns cross."""
        return sum(self._crossings_after(column) for column in self.columns)

    def _crossings_after(self, column: Sequence[int]) -> int:
        ends = [sorted(self._place[other] for other in self._right[node]) for node in column]
        size = max((places[-1] for places in ends if places), default=-1) + 1
        sums = [0] * (size + 1)
        seen = found = 0
        for places in ends:
            for place in places:
                below = place + 1
                while below:  # lines so far that end at or above this one
                    found -= sums[below]
                    below &= below - 1
                found += seen
            for place in places:
                at = place + 1
                while at <= size:
                    sums[at] += 1
                    at += at & -at
            seen += len(places)
        return found

    def _copy(self) -> list[list[int]]:
        return [list(column) for column in self.columns]

    def _number(self, column: Sequence[int]) -> None:
        for place, node in enumerate(column):
            self._place[node] = place

    def _sweep(self, *, rightwards: bool) -> None:
        neighbours = self._left if rightwards else self._right
        for column in self.columns if rightwards else reversed(self.columns):
            self._sort(column, neighbours)

    def _sort(self, column: list[int], neighbours: Sequence[Sequence[int]]) -> None:
        """Nodes by the middle of their neighbours; those without neighbours keep their seats."""
        movable = [node for node in column if neighbours[node]]
        middles = {node: self._middle(neighbours[node]) for node in movable}
        movable.sort(key=middles.__getitem__)
        following = iter(movable)
        column[:] = [next(following) if neighbours[node] else node for node in column]
        self._number(column)

    def _middle(self, nodes: Sequence[int]) -> tuple[float, float]:
        places = sorted(self._place[node] for node in nodes)
        half = len(places) // 2
        median = places[half] if len(places) % 2 else (places[half - 1] + places[half]) / 2
        return median, sum(places) / len(places)

    def _swap_neighbours(self) -> None:
        for column in self.columns:
            swapped = True
            rounds = 0
            while swapped and rounds < 4:
                swapped = False
                rounds += 1
                for place in range(len(column) - 1):
                    upper, lower = column[place], column[place + 1]
                    if self._gain(upper, lower) > 0:
                        column[place], column[place + 1] = lower, upper
                        self._place[upper], self._place[lower] = place + 1, place
                        swapped = True

    def _gain(self, upper: int, lower: int) -> int:
        """By how many crossings two neighbours would do better in each other's seats."""
        gain = 0
        for neighbours in (self._left, self._right):
            above, below = neighbours[upper], neighbours[lower]
            if above and below:
                first = [self._place[node] for node in above]
                second = [self._place[node] for node in below]
                gain += sum((a > b) - (a < b) for a in first for b in second)
        return gain
