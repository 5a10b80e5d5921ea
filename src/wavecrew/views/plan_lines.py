"""The lines of a plan as a picture: dependencies, links between rivals, and their paths.

What it does: finds which dependencies and conflicts are drawn, and writes the way of each as the path of an SVG.
What it does not know: where boxes stand (`plan_layout` tells), and how a line looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from wavecrew.models.schedule import Analysis
from wavecrew.views.plan_layout import Edge, Layout, needed_edges
from wavecrew.views.svg_parts import number

_LINKS: Final = 200


class Lines:
    """Those of one plan. `layout` is set by who knows how large a box is."""

    layout: Layout

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.graph = analysis.graph
        self.key_edges = frozenset(pairwise(analysis.critical_path))
        self.contested = {name for conflict in analysis.conflicts for name in conflict.phases}
        self.rest = tuple(name for name in self.graph.nodes if name not in analysis.wave_of)
        self.edges = needed_edges(self.graph, self.key_edges)
        self.implied = sum(len(self.graph.dependencies(name)) for name in analysis.wave_of) - len(self.edges)
        self.edges += [
            (other, name) for name in self.rest for other in self.graph.dependencies(name) if other in analysis.wave_of
        ]
        self.rivals = self._rivals()
        self.links = list(dict.fromkeys(pair for names in self.rivals for pair in pairwise(names)))[:_LINKS]

    def _rivals(self) -> list[list[str]]:
        """For each contested resource its phases by wave; neighbours in these rows are linked."""
        wanted: dict[str, dict[str, None]] = {}
        for conflict in self.analysis.conflicts:
            wanted.setdefault(conflict.resource, {}).update(dict.fromkeys(conflict.phases))
        return [sorted(names, key=lambda name: self.analysis.wave_of[name]) for names in wanted.values()]

    def curves(self) -> Iterator[tuple[Edge, str, str]]:
        """Each dependency with its class and its path."""
        for edge in sorted(self.edges, key=lambda edge: edge in self.key_edges):
            start, end = self.port(edge[0], right=True), self.port(edge[1], right=False)
            kind = "edge key" if edge in self.key_edges else "edge"
            yield edge, kind, self.curve(edge, start, (end[0] - 7, end[1]))

    def tips(self) -> Iterator[tuple[str, str]]:
        """One tip for each phase that depends on others, with its class."""
        tips: dict[str, bool] = {}
        for edge in sorted(self.edges, key=lambda edge: edge in self.key_edges):
            tips[edge[1]] = edge in self.key_edges or tips.get(edge[1], False)
        for name, key in tips.items():
            x, y = self.port(name, right=False)
            half = 5.5 if key else 4.2
            d = f"M{number(x - 9)} {number(y - half)}L{number(x)} {number(y)}L{number(x - 9)} {number(y + half)}z"
            yield ("tip key" if key else "tip"), d

    def port(self, name: str, *, right: bool, shift: float = 0.0) -> tuple[float, float]:
        """Where lines leave a box or reach it."""
        x, y = self.layout.boxes[name]
        return x + (self.layout.box_width if right else 0.0), y + shift

    def curve(self, edge: Edge, start: tuple[float, float], end: tuple[float, float]) -> str:
        x, y = start
        d = f"M{number(x)} {number(y)}"
        for first, last, level in (*self.layout.lanes[edge], (end[0], end[0], end[1])):
            if abs(level - y) < 0.05:
                d += f"H{number(last)}"
            else:
                middle = number((x + first) / 2)
                d += f"C{middle} {number(y)} {middle} {number(level)} {number(first)} {number(level)}"
                d += f"H{number(last)}" if last != first else ""
            x, y = last, level
        return d

    def clashes(self) -> list[tuple[str, float, float]]:
        """The links, and where their signs stand."""
        return [self._link(link) for link in self.links if link in self.layout.lanes] + self._arcs()

    def _link(self, link: Edge) -> tuple[str, float, float]:
        quarter = self.layout.box_height / 4
        start, end = self.port(link[0], right=True, shift=quarter), self.port(link[1], right=False, shift=quarter)
        first = (*self.layout.lanes[link], (end[0], end[0], end[1]))[0]
        return self.curve(link, start, end), (start[0] + first[0]) / 2, (start[1] + first[2]) / 2

    def _arcs(self) -> list[tuple[str, float, float]]:
        """Links between neighbours in one column, the longer ones farther out."""
        pairs: dict[Edge, None] = {}
        for names in self.rivals:
            placed = sorted(names, key=lambda name: self.layout.boxes[name])
            pairs.update(
                (pair, None)
                for pair in pairwise(placed)
                if self.layout.boxes[pair[0]][0] == self.layout.boxes[pair[1]][0]
            )
        taken: list[tuple[float, int, float, float]] = []
        arcs: list[tuple[str, float, float]] = []
        for upper, lower in sorted(pairs, key=self._distance)[:_LINKS]:
            quarter = self.layout.box_height / 4
            (x, top), bottom = self.port(upper, right=False, shift=quarter), self.layout.boxes[lower][1] - quarter
            busy = {level for at, level, a, b in taken if at == x and a < bottom and top < b}
            level = next(level for level in range(len(busy) + 1) if level not in busy)
            taken.append((x, level, top, bottom))
            out = min(14.0 + 10.0 * level, 34.0)
            arcs.append((self.arc(x, top, bottom, -out), x - out, (top + bottom) / 2))
        return arcs

    def _distance(self, pair: Edge) -> float:
        return self.layout.boxes[pair[1]][1] - self.layout.boxes[pair[0]][1]

    @staticmethod
    def arc(x: float, top: float, bottom: float, out: float) -> str:
        """From one height to another at the side of a column; `out` is how far, to the left if negative."""
        bend = min(10.0, abs(bottom - top) / 2) * (1 if bottom > top else -1)
        side = number(x + out)
        return (
            f"M{number(x)} {number(top)}H{number(x + out * 0.4)}Q{side} {number(top)} {side} {number(top + bend)}"
            f"V{number(bottom - bend)}Q{side} {number(bottom)} {number(x + out * 0.4)} {number(bottom)}H{number(x)}"
        )
