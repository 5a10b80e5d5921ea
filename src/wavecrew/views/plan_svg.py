"""A plan as a picture: one SVG file without scripts, fonts or anything from elsewhere.

What it does: draws waves as columns, phases as boxes and dependencies as curves; makes the critical path and
conflicts stand out by weight, shape and colour together; shows states of a run if it is given some. The same plan
always gives the same bytes.
What it does not know: how places are found (`plan_layout` does), and how the file gets to its reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis
from wavecrew.views.plan_layout import Edge, Layout, lay_out, needed_edges
from wavecrew.views.svg_parts import (
    DIAMOND,
    EXCLAMATION,
    SIGNS,
    cut,
    in_lines,
    number,
    safe,
    sign,
    style,
    text_width,
    words_of,
)
from wavecrew.views.words import counted, duration

_SCOPE: Final = "wavecrew-plan"
_EDGE_OF_PAGE: Final = 40.0
_TOP: Final = 108.0  # title, summary and the names of the waves
_BAND: Final = 14.0  # by how much a band is wider than its boxes
_BOX_WIDTH: Final = (124.0, 196.0)
_BOX_HEIGHT: Final = 48.0
_STATE_HEIGHT: Final = 22.0
_LEAST_WIDTH: Final = 460.0
_LINKS: Final = 200
_LINE: Final = 16.0
_NAME: Final = 13 * 1.1  # bold letters of 13 are about as wide


def plan_svg(plan: Plan, analysis: Analysis, *, statuses: Mapping[str, PhaseStatus] | None = None) -> str:
    """The whole file. With `statuses` each box also shows where its phase stands."""
    return "\n".join(_Drawing(plan, analysis, statuses).parts()) + "\n"


class _Drawing:
    def __init__(self, plan: Plan, analysis: Analysis, statuses: Mapping[str, PhaseStatus] | None) -> None:
        self.plan = plan
        self.analysis = analysis
        self.statuses = statuses
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
        self.box_width = self._box_width()
        self.names = {phase.id: self._name_lines(phase) for phase in self.graph.nodes.values()}
        self.upper = _BOX_HEIGHT + _LINE * (max(map(len, self.names.values()), default=1) - 1)
        box = self.box_width, self.upper + (_STATE_HEIGHT if statuses is not None else 0.0)
        self.layout: Layout = lay_out([wave.phases for wave in analysis.waves], self.rest, self.edges, self.links, box)
        self.legend_rows = self._legend_rows()
        self.width = max(self.layout.width + 2 * _EDGE_OF_PAGE, _LEAST_WIDTH)
        self.height = _TOP + self.layout.height + 46 + 22 * len(self.legend_rows)

    def _rivals(self) -> list[list[str]]:
        """For each contested resource its phases by wave; neighbours in these rows are linked."""
        wanted: dict[str, dict[str, None]] = {}
        for conflict in self.analysis.conflicts:
            wanted.setdefault(conflict.resource, {}).update(dict.fromkeys(conflict.phases))
        return [sorted(names, key=lambda name: self.analysis.wave_of[name]) for names in wanted.values()]

    def _box_width(self) -> float:
        widths = [max(text_width(phase.name, _NAME), 50) + 54 for phase in self.graph.nodes.values()]
        widths += [text_width(phase.id, 11.5) + 80 for phase in self.graph.nodes.values()]
        return min(max((_BOX_WIDTH[0], *widths)), _BOX_WIDTH[1])

    def _marks(self, phase: PhaseInfo) -> float:
        """How much of a box's first line the signs take."""
        return 17.0 * self.analysis.is_critical(phase.id) + 15.0 * (phase.id in self.contested)

    def _name_lines(self, phase: PhaseInfo) -> list[str]:
        return in_lines(phase.name, _NAME, self.box_width - 26 - self._marks(phase), 2)

    def parts(self) -> Iterator[str]:
        size = f"{number(self.width)} {number(self.height)}"
        wide, high = number(self.width), number(self.height)
        mark = f"wc-{self.plan.digest}"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{_SCOPE}" role="img" viewBox="0 0 {size}" width="{wide}" '
            f'height="{high}" aria-labelledby="{mark}-title {mark}-desc">'
        )
        yield f'<title id="{mark}-title">{safe(self.plan.name)}</title>'
        yield f'<desc id="{mark}-desc">{safe(self.described())}</desc>'
        yield style(_SCOPE)
        room = f'width="{number(self.layout.box_width)}" height="{number(self.layout.box_height)}"'
        yield f'<clipPath id="{mark}-clip"><rect {room} rx="8"/></clipPath>'
        yield f'<rect class="ground" width="{wide}" height="{high}"/>'
        yield from self.head()
        yield f'<g transform="translate({number(_EDGE_OF_PAGE)} {number(_TOP)})">'
        yield from self.bands()
        yield from self.lines()
        for phase in self.graph.nodes.values():
            yield from self.box(phase, f"{mark}-clip")
        yield from self.conflicts()
        yield from self.rings()
        yield "</g>"
        yield from self.legend()
        yield "</svg>"

    # -- words

    def summary(self) -> str:
        """The facts of the plan in one line."""
        parts = [counted(len(self.plan.phases), "phase"), counted(len(self.analysis.waves), "wave")]
        hours = self.analysis.hours(self.analysis.critical_time)
        if hours is not None:
            parts.append(f"critical path {duration(hours)}")
        if self.analysis.conflicts:
            count = len(self.analysis.conflicts) + self.analysis.more_conflicts
            parts.append(counted(count, "conflict"))
        return " · ".join(parts)

    def described(self) -> str:
        """The picture in words, for those who cannot see it."""
        waves = [f"Wave {wave.wave_number}: {', '.join(wave.phases[:20])}." for wave in self.analysis.waves[:20]]
        path = ", ".join(self.analysis.critical_path[:40])
        return " ".join([f"{self.summary()}.", *waves, *([f"Critical path: {path}."] if path else [])])

    def head(self) -> Iterator[str]:
        room = self.width - 2 * _EDGE_OF_PAGE
        x = number(_EDGE_OF_PAGE - _BAND)
        yield f'<text class="title" x="{x}" y="38">{safe(cut(self.plan.name, 18, room))}</text>'
        yield f'<text class="about" x="{x}" y="59">{safe(cut(self.summary(), 13, room))}</text>'

    # -- columns and lines

    def bands(self) -> Iterator[str]:
        """A ground for each wave, all its columns included, with its number above."""
        columns = self.layout.columns
        for place, column in enumerate(columns):
            if place and columns[place - 1].wave == column.wave:
                continue
            last = max(other.left for other in columns if other.wave == column.wave)
            wide = last - column.left + self.layout.box_width + 2 * _BAND
            high = self.layout.height + 2 * _BAND
            x = column.left - _BAND
            yield (
                f'<rect class="band" x="{number(x)}" y="{number(-_BAND)}" width="{number(wide)}" '
                f'height="{number(high)}" rx="12"/>'
            )
            words = f"WAVE {column.wave}" if column.wave else "IN A RING"
            yield f'<text class="wave" x="{number(column.left)}" y="-22">{words}</text>'

    def lines(self) -> Iterator[str]:
        """Dependencies; those of the critical path last, so that they lie on top."""
        tips: dict[str, bool] = {}
        for edge in sorted(self.edges, key=lambda edge: edge in self.key_edges):
            key = edge in self.key_edges
            tips[edge[1]] = key or tips.get(edge[1], False)
            start, end = self._port(edge[0], right=True), self._port(edge[1], right=False)
            kind = "edge key" if key else "edge"
            ends = f'data-from="{safe(edge[0])}" data-to="{safe(edge[1])}"'
            yield f'<path class="{kind}" {ends} d="{self._curve(edge, start, (end[0] - 7, end[1]))}"/>'
        for name, key in tips.items():
            x, y = self._port(name, right=False)
            half = 5.5 if key else 4.2
            d = f"M{number(x - 9)} {number(y - half)}L{number(x)} {number(y)}L{number(x - 9)} {number(y + half)}z"
            yield f'<path class="{"tip key" if key else "tip"}" d="{d}"/>'

    def _port(self, name: str, *, right: bool, shift: float = 0.0) -> tuple[float, float]:
        x, y = self.layout.boxes[name]
        return x + (self.layout.box_width if right else 0.0), y + shift

    def _curve(self, edge: Edge, start: tuple[float, float], end: tuple[float, float]) -> str:
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

    # -- boxes

    def box(self, phase: PhaseInfo, clip: str) -> Iterator[str]:
        """One phase, with all that did not fit as a title."""
        x, y = self.layout.boxes[phase.id]
        wide, high = self.layout.box_width, self.layout.box_height
        critical = self.analysis.is_critical(phase.id)
        status = self.statuses.get(phase.id, PhaseStatus.NOT_STARTED) if self.statuses is not None else None
        kinds = ["phase", *(["critical"] if critical else []), *(["held"] if phase.id in self.rest else [])]
        kinds += [status.value] if status else []
        state = f' data-status="{status.value}"' if status else ""
        yield (
            f'<g class="{" ".join(kinds)}" data-phase="{safe(phase.id)}"{state} '
            f'transform="translate({number(x)} {number(y - high / 2)})">'
        )
        yield f"<title>{safe(self._title(phase))}</title>"
        yield f'<rect class="box" width="{number(wide)}" height="{number(high)}" rx="8"/>'
        yield f'<g clip-path="url(#{clip})">'
        yield from self._inside(phase, status)
        yield "</g></g>"

    def _inside(self, phase: PhaseInfo, status: PhaseStatus | None) -> Iterator[str]:
        lines = self.names[phase.id]
        shift = (self.upper - _BOX_HEIGHT - _LINE * (len(lines) - 1)) / 2  # a short name stands in the middle
        right = self.box_width - 10
        if self.analysis.is_critical(phase.id):
            yield sign(DIAMOND, right - 11, 9 + shift, "diamond")
            right -= 17
        if phase.id in self.contested:
            yield sign(EXCLAMATION, right - 11, 7 + shift, "clash", 1.3)
        for place, line in enumerate(lines):
            yield f'<text class="name" x="12" y="{number(20 + shift + _LINE * place)}">{safe(line)}</text>'
        time = duration(phase.estimated_time, unknown="")
        low = number(self.upper - 11 - shift)
        if phase.name != phase.id:
            room = self.box_width - 30 - text_width(time, 11.5)
            yield f'<text class="small" x="12" y="{low}">{safe(cut(phase.id, 11.5, room))}</text>'
        if time:
            yield f'<text class="small" x="{number(self.box_width - 12)}" y="{low}" text-anchor="end">{time}</text>'
        if status:
            y = self.upper
            high = number(_STATE_HEIGHT + 2)
            yield f'<rect class="foot" y="{number(y - 2)}" width="{number(self.box_width)}" height="{high}"/>'
            yield sign(SIGNS[status], 12, y + 3, "state")
            yield f'<text class="small state" x="30" y="{number(y + 13)}">{words_of(status)}</text>'

    def _title(self, phase: PhaseInfo) -> str:
        parts = [phase.id if phase.name == phase.id else f"{phase.id} {phase.name}"]
        if phase.dependencies:
            parts.append(f"needs {', '.join(phase.dependencies[:12])}")
        if phase.outputs:
            parts.append(f"writes {', '.join(phase.outputs[:12])}")
        if phase.estimated_time is not None:
            slack = self.analysis.slack.get(phase.id)
            parts.append(f"takes {duration(phase.estimated_time)}, slack {duration(self.analysis.hours(slack))}")
        return "; ".join(parts)

    # -- conflicts and rings

    def conflicts(self) -> Iterator[str]:
        """Dashed links with a sign in the middle."""
        drawn = [self._link(link) for link in self.links if link in self.layout.lanes] + self._arcs()
        yield from (f'<path class="link" d="{d}"/>' for d, _, _ in drawn)
        for _, x, y in drawn:
            yield f'<circle class="seal" cx="{number(x)}" cy="{number(y)}" r="7.5"/>'
            yield sign(EXCLAMATION, x - 6, y - 6, "clash")

    def _link(self, link: Edge) -> tuple[str, float, float]:
        quarter = self.layout.box_height / 4
        start, end = self._port(link[0], right=True, shift=quarter), self._port(link[1], right=False, shift=quarter)
        first = (*self.layout.lanes[link], (end[0], end[0], end[1]))[0]
        return self._curve(link, start, end), (start[0] + first[0]) / 2, (start[1] + first[2]) / 2

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
            (x, top), bottom = self._port(upper, right=False, shift=quarter), self.layout.boxes[lower][1] - quarter
            busy = {level for at, level, a, b in taken if at == x and a < bottom and top < b}
            level = next(level for level in range(len(busy) + 1) if level not in busy)
            taken.append((x, level, top, bottom))
            out = min(14.0 + 10.0 * level, 34.0)
            arcs.append((self._arc(x, top, bottom, -out), x - out, (top + bottom) / 2))
        return arcs

    def _distance(self, pair: Edge) -> float:
        return self.layout.boxes[pair[1]][1] - self.layout.boxes[pair[0]][1]

    @staticmethod
    def _arc(x: float, top: float, bottom: float, out: float) -> str:
        """From one height to another at the side of a column; `out` is how far, to the left if negative."""
        bend = min(10.0, abs(bottom - top) / 2) * (1 if bottom > top else -1)
        side = number(x + out)
        return (
            f"M{number(x)} {number(top)}H{number(x + out * 0.4)}Q{side} {number(top)} {side} {number(top + bend)}"
            f"V{number(bottom - bend)}Q{side} {number(bottom)} {number(x + out * 0.4)} {number(bottom)}H{number(x)}"
        )

    def rings(self) -> Iterator[str]:
        """Dependencies among phases that wait for each other, at the right of their column."""
        held = set(self.rest)
        for name in self.rest:
            for other in self.graph.dependencies(name):
                if other in held and self.layout.boxes[other][0] == self.layout.boxes[name][0]:
                    quarter = self.layout.box_height / 4
                    x, top = self._port(other, right=True, shift=quarter)
                    bottom = self.layout.boxes[name][1] - quarter
                    yield f'<path class="ring" d="{self._arc(x, top, bottom, min(16 + abs(bottom - top) / 12, 34))}"/>'
                    tip = f"M{number(x + 9)} {number(bottom - 4)}L{number(x)} {number(bottom)}"
                    yield f'<path class="tip ring" d="{tip}L{number(x + 9)} {number(bottom + 4)}z"/>'

    # -- the legend

    def _legend_rows(self) -> list[list[tuple[str, str, float]]]:
        """Entries as (drawing, words, width), in rows that fit."""
        entries: list[tuple[str, str]] = []
        if any(map(self.analysis.is_critical, self.analysis.critical_path)):
            entries.append(('<path class="edge key" d="M0 6H30"/>' + sign(DIAMOND, 9, 0, "diamond"), "critical path"))
        if self.analysis.conflicts:
            seal = '<path class="link" d="M0 6H30"/><circle class="seal" cx="15" cy="6" r="7.5"/>'
            entries.append((seal + sign(EXCLAMATION, 9, 0, "clash"), "want the same resource, no order between them"))
        if self.statuses is not None:
            entries += [
                (f'<g class="{status.value}">{sign(SIGNS[status], 18, 0, "state")}</g>', words_of(status))
                for status in PhaseStatus
            ]
        if self.implied > 0:
            verb = "follows" if self.implied == 1 else "follow"
            words = f"{self.implied:,} more dependenc{'y' if self.implied == 1 else 'ies'} {verb} from those drawn"
            entries.append(("", words))
        room = max(self.layout.width + 2 * _EDGE_OF_PAGE, _LEAST_WIDTH) - 2 * _EDGE_OF_PAGE
        rows: list[list[tuple[str, str, float]]] = [[]]
        for drawing, words in entries:
            wide = (38 if drawing else 0) + text_width(words, 12) + 22
            if rows[-1] and sum(entry[2] for entry in rows[-1]) + wide > room:
                rows.append([])
            rows[-1].append((drawing, words, wide))
        return [row for row in rows if row]

    def legend(self) -> Iterator[str]:
        y = self.height - 22 * len(self.legend_rows) - 8
        for row in self.legend_rows:
            x = _EDGE_OF_PAGE - _BAND
            for drawing, words, wide in row:
                yield f'<g transform="translate({number(x)} {number(y)})">{drawing}'
                yield f'<text class="small" x="{38 if drawing else 0}" y="10">{safe(words)}</text></g>'
                x += wide
            y += 22
