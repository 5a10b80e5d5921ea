"""Where nodes stand in their columns, so that lines run straight (Sugiyama's third step).

What it does: moves nodes towards their neighbours without changing their order or coming too close, and within the
height that the fullest column needs anyway. Each column is solved exactly (weighted least squares under order and
bounds: pool adjacent violators); at the end long lines are laid level.
What it does not know: what a node is, and the other axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_ROUNDS: Final = 24
_LARGE: Final = 20_000
_SLACK: Final = 1.1  # how much taller than its fullest column a drawing may get, for straighter lines
_GRAVITY: Final = 2.0  # draws full columns to the middle; those with room are hardly touched


@dataclass(frozen=True, slots=True)
class Pull:
    """A neighbour of a node and how strongly the line between them wants to be level."""

    other: int
    weight: float


class Places:
    """One coordinate per node, its middle. `heights[n]` and `margins[n]` keep nodes of one column apart."""

    def __init__(
        self,
        columns: Sequence[Sequence[int]],
        heights: Sequence[float],
        margins: Sequence[float],
        pulls: Sequence[Sequence[Pull]],
    ) -> None:
        self._columns = columns
        self._pulls = pulls
        self.middle = [0.0] * len(heights)
        self._offsets: list[list[float]] = []
        self._seat: dict[int, tuple[int, int]] = {}
        for number, column in enumerate(columns):
            offsets = [0.0]
            for above, below in pairwise(column):
                gap = max(margins[above], margins[below])
                offsets.append(offsets[-1] + (heights[above] + heights[below]) / 2 + gap)
            self._offsets.append(offsets)
            for place, node in enumerate(column):
                self.middle[node] = offsets[place] - offsets[len(column) - 1] / 2
                self._seat[node] = (number, place)
        tallest = max((offsets[-1] for offsets in self._offsets), default=0.0)
        self._half = tallest * _SLACK / 2
        self._gravity = [_GRAVITY * (offsets[-1] / (tallest or 1.0)) ** 6 for offsets in self._offsets]

    def settle(self, chains: Sequence[Sequence[int]]) -> list[float]:
        """Middles of all nodes, the topmost at its place from 0 on. `chains` are lines that should be level."""
        rounds = _ROUNDS if len(self.middle) < _LARGE else 4
        for turn in range(rounds):
            numbers = range(len(self._columns))
            for number in numbers if turn % 2 == 0 else reversed(numbers):
                self._solve(number)
        for _ in range(3):
            for chain in chains:
                self._level(chain)
            for column in self._columns:
                for node in column:
                    self._snap(node)
        for chain in chains:
            self._level(chain)
        return self.middle

    def _solve(self, number: int) -> None:
        """Put one column where its neighbours want it, as far as order and distances allow."""
        column, offsets = self._columns[number], self._offsets[number]
        blocks: list[tuple[float, float, int]] = []  # weighted mean, weight, nodes
        for place, node in enumerate(column):
            wish, weight = self._wish(node)
            mean, count = wish - offsets[place], 1
            while blocks and blocks[-1][0] >= mean:
                other, mass, nodes = blocks.pop()
                mean = (mean * weight + other * mass) / (weight + mass)
                weight, count = weight + mass, count + nodes
            blocks.append((mean, weight, count))
        low, high = -self._half, self._half - offsets[-1]
        place = 0
        for mean, _, count in blocks:
            for _ in range(count):
                self.middle[column[place]] = min(max(mean, low), high) + offsets[place]
                place += 1

    def _wish(self, node: int) -> tuple[float, float]:
        pulls = self._pulls[node]
        gravity = self._gravity[self._seat[node][0]]
        weight = sum(pull.weight for pull in pulls) + gravity
        if not weight:
            return self.middle[node], 0.1
        return sum(self.middle[pull.other] * pull.weight for pull in pulls) / weight, weight

    # -- the finish: level lines

    def _room(self, node: int) -> tuple[float, float]:
        """How far a node can move while all others stay."""
        number, place = self._seat[node]
        column, offsets = self._columns[number], self._offsets[number]
        low, high = -self._half, self._half
        if place:
            low = self.middle[column[place - 1]] + offsets[place] - offsets[place - 1]
        if place + 1 < len(column):
            high = self.middle[column[place + 1]] - offsets[place + 1] + offsets[place]
        return low, high

    def _level(self, chain: Sequence[int]) -> None:
        """Give a whole line one height, if its surroundings leave one; most willingly that of one of its ends."""
        rooms = [self._room(node) for node in chain]
        low, high = max(room[0] for room in rooms), min(room[1] for room in rooms)
        if low > high:
            half = len(chain) // 2
            if half:
                self._level(chain[:half])
                self._level(chain[half:])
            return
        inside = set(chain)
        ends = [pull.other for node in (chain[0], chain[-1]) for pull in self._pulls[node] if pull.other not in inside]
        wishes = [self.middle[node] for node in ends if low <= self.middle[node] <= high]
        mean = sum(self.middle[node] for node in chain) / len(chain)
        height = min(max(mean, low), high)
        if wishes:
            height = min(wishes, key=lambda wish: (abs(wish - mean), wish))
        for node in chain:
            self.middle[node] = height

    def _snap(self, node: int) -> None:
        """Level a node with the neighbour that it is nearly level with."""
        low, high = self._room(node)
        here = self.middle[node]
        near = [
            self.middle[pull.other]
            for pull in self._pulls[node]
            if low <= self.middle[pull.other] <= high and abs(self.middle[pull.other] - here) < 24
        ]
        if near and here not in near:
            self.middle[node] = min(near, key=lambda wish: (abs(wish - here), wish))
