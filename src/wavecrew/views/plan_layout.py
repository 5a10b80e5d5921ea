"""Where the boxes and lines of a plan go: waves from left to right, in numbers only.

What it does: puts each phase into the column of its wave (a tall wave gets several columns side by side), leads lines
that skip columns through free lanes, and shares a lane between lines that leave one phase or reach one phase.
Dependencies that follow from others can be left out first.
What it does not know: letters, colours and SVG.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Final

from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.views.layout_order import ColumnOrder
from wavecrew.views.layout_places import Places, Pull

TALLEST: Final = 18
"""A wave with more phases is split into columns of its own."""
_BOX_MARGIN: Final = 16.0
_LANE_MARGIN: Final = 8.0
_GAP: Final = (54.0, 150.0)  # least and widest room between columns, where the curves are

Edge = tuple[str, str]
"""From a phase to one that depends on it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of boxes: its wave (0 for phases without one) and its left edge."""

    wave: int
    left: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes by the middle of their left edge, and for each line the lanes it takes: (from x, to x, y)."""

    columns: tuple[Column, ...]
    boxes: Mapping[str, tuple[float, float]]
    lanes: Mapping[Edge, tuple[tuple[float, float, float], ...]]
    box_width: float
    box_height: float
    width: float
    height: float


def needed_edges(graph: DependencyGraph, keep: Iterable[Edge] = ()) -> list[Edge]:
    """The dependencies that do not follow from others (transitive reduction), and those to be kept anyway."""
    kept = set(keep)
    order = [name for layer in graph.layers() for name in layer]
    bit = {name: 1 << number for number, name in enumerate(order)}
    above: dict[str, int] = {}
    edges: list[Edge] = []
    for name in order:
        dependencies = graph.dependencies(name)
        behind = 0
        for dependency in dependencies:
            behind |= above[dependency]
        above[name] = behind
        for dependency in dependencies:
            above[name] |= bit[dependency]
            if not behind & bit[dependency] or (dependency, name) in kept:
                edges.append((dependency, name))
    return edges


def lay_out(
    waves: Sequence[Sequence[str]],
    rest: Sequence[str],
    edges: Sequence[Edge],
    links: Sequence[Edge],
    box: tuple[float, float],
) -> Layout:
    """Place everything. `rest` are phases without a wave; they stand in a last column. `links` are led like edges but
    share no lanes. `box` is the width and height of a box. Lines within a column have no lanes."""
    work = _Work(edges, links, box)
    for number, wave in enumerate(waves, start=1):
        work.add_wave(number, wave)
    if rest:
        work.add_wave(0, rest)
    work.connect()
    return work.finish()


class _Work:
    """The graph in the making. Nodes are numbers; a node is a box or a lane (a line's way through a column)."""

    def __init__(self, edges: Sequence[Edge], links: Sequence[Edge], box: tuple[float, float]) -> None:
        self._edges = edges
        self._links = links
        self._size = box
        self._waves: list[int] = []
        self._columns: list[list[int]] = []
        self._node: dict[str, int] = {}
        self._names: list[str] = []
        self._column_of: dict[str, int] = {}
        self._lanes: dict[tuple[str, str, int], int] = {}
        self._left: list[list[int]] = []
        self._right: list[list[int]] = []
        self._joined: set[tuple[int, int]] = set()
        self._steps: dict[Edge, list[int]] = {}

    # -- building

    def add_wave(self, number: int, phases: Sequence[str]) -> None:
        """One or more columns for the phases of a wave, as evenly filled as can be."""
        parts = max(1, ceil(len(phases) / TALLEST))
        share = ceil(len(phases) / parts)
        for first in range(0, len(phases), share):
            self._waves.append(number)
            self._columns.append([])
            for name in phases[first : first + share]:
                self._column_of[name] = len(self._columns) - 1
                self._node[name] = self._new_node(len(self._columns) - 1)
                self._names.append(name)

    def _new_node(self, column: int) -> int:
        self._left.append([])
        self._right.append([])
        self._columns[column].append(len(self._left) - 1)
        return len(self._left) - 1

    def connect(self) -> None:
        """Lead every line from column to column."""
        leaving: dict[str, int] = {}
        arriving: dict[str, int] = {}
        for start, end in self._edges:
            leaving[start] = leaving.get(start, 0) + 1
            arriving[end] = arriving.get(end, 0) + 1
        for start, end in self._edges:
            self._lead((start, end), ("to", end) if arriving[end] > leaving[start] else ("from", start))
        for number, link in enumerate(self._links):
            if link not in self._steps:
                self._lead(link, ("link", str(number)))

    def _lead(self, edge: Edge, shared: tuple[str, str]) -> None:
        """Lead one line over the lanes that it shares; a step that another line has made already is not made twice."""
        first, last = (self._column_of[name] for name in edge)
        if first >= last:
            return
        steps = [self._lane((*shared, column)) for column in range(first + 1, last)]
        self._steps[edge] = steps
        for before, after in pairwise([self._node[edge[0]], *steps, self._node[edge[1]]]):
            if (before, after) not in self._joined:
                self._joined.add((before, after))
                self._right[before].append(after)
                self._left[after].append(before)

    def _lane(self, key: tuple[str, str, int]) -> int:
        if key not in self._lanes:
            self._lanes[key] = self._new_node(key[2])
        return self._lanes[key]

    # -- placing

    def finish(self) -> Layout:
        """Order, place and measure."""
        width, height = self._size
        columns = ColumnOrder(self._columns, self._left, self._right).improve()
        boxes = len(self._names)
        is_box = self._boxes()
        places = Places(
            columns,
            [height if box else 0.0 for box in is_box],
            [_BOX_MARGIN if box else _LANE_MARGIN for box in is_box],
            [self._pulls(node, is_box) for node in range(len(is_box))],
        )
        middle = places.settle(self._chains()) if boxes else []
        top = min((middle[node] - (height / 2 if box else 0) for node, box in enumerate(is_box)), default=0.0)
        bottom = max((middle[node] + (height / 2 if box else 0) for node, box in enumerate(is_box)), default=0.0)
        lefts = self._lefts(columns)
        return Layout(
            tuple(Column(wave, left) for wave, left in zip(self._waves, lefts, strict=True)),
            {name: (lefts[self._column_of[name]], middle[self._node[name]] - top) for name in self._names},
            {edge: self._route(edge, lefts, middle, top) for edge in self._steps},
            width,
            height,
            lefts[-1] + width if lefts else 0.0,
            bottom - top,
        )

    def _boxes(self) -> list[bool]:
        is_box = [False] * len(self._left)
        for node in self._node.values():
            is_box[node] = True
        return is_box

    def _pulls(self, node: int, is_box: Sequence[bool]) -> list[Pull]:
        """Lines between lanes want to be straight most of all, those between boxes least."""
        strength = (1.0, 2.0, 8.0)
        return [
            Pull(other, strength[(not is_box[node]) + (not is_box[other])])
            for other in (*self._left[node], *self._right[node])
        ]

    def _chains(self) -> list[list[int]]:
        """The lanes of each shared line, from left to right; the longest lines first."""
        chains: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for (kind, name, column), node in self._lanes.items():
            chains.setdefault((kind, name), []).append((column, node))
        rows = [[node for _, node in sorted(chain)] for chain in chains.values()]
        return sorted(rows, key=lambda row: -len(row))

    def _lefts(self, columns: Sequence[Sequence[int]]) -> list[float]:
        """Left edges of the columns; the more lines between two of them, the more room."""
        left, lefts = 0.0, []
        for column in columns:
            lefts.append(left)
            lines = sum(len(self._right[node]) for node in column)
            left += self._size[0] + min(_GAP[1], _GAP[0] + 1.5 * lines)
        return lefts

    def _route(
        self, edge: Edge, lefts: Sequence[float], middle: Sequence[float], top: float
    ) -> tuple[tuple[float, float, float], ...]:
        first = self._column_of[edge[0]] + 1
        return tuple(
            (lefts[first + number], lefts[first + number] + self._size[0], middle[node] - top)
            for number, node in enumerate(self._steps[edge])
        )
