"""The plan of a run as a picture for the page: waves as columns, phases as boxes that can be reached by keys.

What it does: draws once what does not change while the plan stays the same; which state a box shows is a class and a
few words in it, so that they can be changed in place. Colours stand in the style sheet of the page.
What it does not know: how places are found (`plan_layout` does), requests, and what a state means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.schedule import Analysis
from wavecrew.views.plan_layout import Edge, lay_out, needed_edges
from wavecrew.views.summary import PhaseRow
from wavecrew.views.svg_parts import cut, safe, text_width
from wavecrew.views.terminal_text import one_line
from wavecrew.web.signs import slug

_WIDTH: Final = (120.0, 190.0)
_HEIGHT: Final = 46.0
_MARGIN: Final = 16.0
_TOP: Final = 44.0
_BAND: Final = 10.0


def graph_svg(analysis: Analysis, rows: Mapping[str, PhaseRow], numbers: Mapping[str, int]) -> str:
    """The picture. `numbers` gives each phase the number that the page knows it by."""
    return "\n".join(_Graph(analysis, rows, numbers).parts())


class _Graph:
    def __init__(self, analysis: Analysis, rows: Mapping[str, PhaseRow], numbers: Mapping[str, int]) -> None:
        self.analysis = analysis
        self.rows = rows
        self.numbers = numbers
        self.graph = analysis.graph
        self.key_edges = frozenset(pairwise(analysis.critical_path))
        self.edges = needed_edges(self.graph, self.key_edges)
        self.contested = {name for conflict in analysis.conflicts for name in conflict.phases}
        widths = [text_width(self.title(phase), 13 * 1.1) + 44 for phase in self.graph.nodes.values()]
        self.wide = min(max((_WIDTH[0], *widths)), _WIDTH[1])
        waves = [wave.phases for wave in analysis.waves]
        self.layout = lay_out(waves, (), self.edges, (), (self.wide, _HEIGHT))

    @staticmethod
    def title(phase: PhaseInfo) -> str:
        """What a box is called."""
        return one_line(phase.id if phase.name == phase.id else f"{phase.id} {phase.name}")

    def parts(self) -> Iterator[str]:
        wide, high = self.layout.width + 2 * _MARGIN + 2 * _BAND, self.layout.height + _TOP + _MARGIN + _BAND
        yield (
            f'<svg id="graph" role="group" aria-label="The plan by waves" width="{whole(wide)}" '
            f'height="{whole(high)}" viewBox="0 0 {whole(wide)} {whole(high)}">'
        )
        yield f'<g transform="translate({whole(_MARGIN + _BAND)} {whole(_TOP)})">'
        yield from self.bands()
        yield from self.lines()
        for wave in self.analysis.waves:
            for name in wave.phases:
                yield self.box(self.graph.nodes[name])
        yield "</g></svg>"

    def bands(self) -> Iterator[str]:
        """A ground for each wave, with its number above."""
        columns = self.layout.columns
        high = whole(self.layout.height + 2 * _BAND)
        for place, column in enumerate(columns):
            if place and columns[place - 1].wave == column.wave:
                continue
            last = max(other.left for other in columns if other.wave == column.wave)
            x, wide = whole(column.left - _BAND), whole(last - column.left + self.wide + 2 * _BAND)
            yield f'<rect class="band" x="{x}" y="{whole(-_BAND)}" width="{wide}" height="{high}" rx="8"/>'
            yield f'<text class="wave" x="{whole(column.left)}" y="-20">wave {column.wave}</text>'

    def lines(self) -> Iterator[str]:
        """Dependencies; those of the critical path last, so that they lie on top."""
        for edge in sorted(self.edges, key=lambda edge: edge in self.key_edges):
            kind = "e k" if edge in self.key_edges else "e"
            yield f'<path class="{kind}" d="{self.curve(edge)}"/>'

    def curve(self, edge: Edge) -> str:
        x, y = self.layout.boxes[edge[0]]
        x += self.wide
        end_x, end_y = self.layout.boxes[edge[1]]
        d = f"M{whole(x)} {whole(y)}"
        for first, last, level in (*self.layout.lanes[edge], (end_x, end_x, end_y)):
            if abs(level - y) < 0.05:
                d += f"H{whole(last)}"
            else:
                middle = whole((x + first) / 2)
                d += f"C{middle} {whole(y)} {middle} {whole(level)} {whole(first)} {whole(level)}"
                d += f"H{whole(last)}" if last != first else ""
            x, y = last, level
        return d

    def box(self, phase: PhaseInfo) -> str:
        """One phase. What it needs stands in it by numbers, for the arrow keys; a button it is only with our module."""
        x, y = self.layout.boxes[phase.id]
        row, place = self.rows[phase.id], self.numbers[phase.id]
        standing = row.standing.value
        critical = self.analysis.is_critical(phase.id)
        needs = " ".join(str(self.numbers[other]) for other in self.graph.dependencies(phase.id))
        marks = f'<use href="#m-path" x="{whole(self.wide - 20)}" y="6"/>' if critical else ""
        if phase.id in self.contested:
            marks += f'<use href="#m-conflict" x="{whole(self.wide - (36 if critical else 20))}" y="6"/>'
        room = self.wide - 20 - 15 * (critical + (phase.id in self.contested))
        return (
            f'<g class="b{" k" if critical else ""} st-{slug(standing)}" id="b{place}" data-needs="{needs}" '
            f'transform="translate({whole(x)} {whole(y - _HEIGHT / 2)})">'
            f'<rect width="{whole(self.wide)}"/>{marks}'
            f'<text x="10" y="19">{safe(cut(self.title(phase), 13 * 1.06, room))}</text>'
            f'<use class="sg" href="#s-{slug(standing)}"/>'
            f'<text class="w" x="28" y="37.5">{standing}</text></g>'
        )


def whole(value: float) -> str:
    """A coordinate in whole pixels: sharp, and short where there are many."""
    return str(round(value))
