"""A plan as a picture: one SVG file without scripts, fonts or anything from elsewhere.

What it does: draws waves as columns, phases as boxes and dependencies as curves; makes the critical path and
conflicts stand out by weight, shape and colour together; shows states of a run if it is given some. The same plan
always gives the same bytes.
What it does not know: how places and lines are found (`plan_layout` and `plan_lines` do), and how the file gets to its
reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis
from wavecrew.views.plan_layout import lay_out
from wavecrew.views.plan_lines import Lines
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
_BAND: Final = 14.0  # by how much a band is wider than its boxes
_BOX_WIDTH: Final = (124.0, 196.0)
_BOX_HEIGHT: Final = 48.0
STATE_HEIGHT: Final = 22.0
"""How much higher a box is that shows where its phase stands."""
_LEAST_WIDTH: Final = 460.0
_LINE: Final = 16.0
_NAME: Final = 13 * 1.1  # bold letters of 13 are about as wide


@dataclass(frozen=True, slots=True)
class Shown:
    """What a picture shows beside the plan: where each phase stands (`statuses`; None for a plan alone), in which
    `words` (by phase; without them those of the status, which the legend then explains), what its heavy line is called,
    and further words for the legend."""

    statuses: Mapping[str, PhaseStatus] | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    chain: str = "critical path"
    legend: tuple[str, ...] = ()


def plan_svg(
    plan: Plan, analysis: Analysis, *, statuses: Mapping[str, PhaseStatus] | None = None, shown: Shown | None = None
) -> str:
    """The whole file. With `statuses` each box also shows where its phase stands; `shown` can say more of that."""
    return "\n".join(Drawing(plan, analysis, shown or Shown(statuses)).parts()) + "\n"


class Drawing(Lines):
    """A picture in parts, so that a page can put the same boxes and lines down in its own way."""

    top = 108.0
    """Room for the title, the summary and the names of the waves."""

    def __init__(self, plan: Plan, analysis: Analysis, shown: Shown) -> None:
        super().__init__(analysis)
        self.plan = plan
        self.shown = shown
        self.statuses = shown.statuses
        self.box_width = self._box_width()
        self.names = {phase.id: self._name_lines(phase) for phase in self.graph.nodes.values()}
        self.upper = _BOX_HEIGHT + _LINE * (max(map(len, self.names.values()), default=1) - 1)
        box = self.box_width, self.upper + (STATE_HEIGHT if self.statuses is not None else 0.0)
        self.layout = lay_out([wave.phases for wave in analysis.waves], self.rest, self.edges, self.links, box)
        self.legend_rows = self._legend_rows()
        self.mark = f"wc-{plan.digest}"
        self.width = max(self.layout.width + 2 * _EDGE_OF_PAGE, _LEAST_WIDTH)
        self.height = self.top + self.layout.height + 46 + 22 * len(self.legend_rows)

    def _box_width(self) -> float:
        phases = self.graph.nodes.values()
        widths = [max(text_width(phase.name, _NAME), 50) + max(54, 28 + self._marks(phase)) for phase in phases]
        widths += [text_width(phase.id, 11.5) + 80 for phase in phases]
        return min(max((_BOX_WIDTH[0], *widths)), _BOX_WIDTH[1])

    def _marks(self, phase: PhaseInfo) -> float:
        """How much of a box's first line the signs take."""
        return 17.0 * self.analysis.is_critical(phase.id) + 15.0 * (phase.id in self.contested)

    def _name_lines(self, phase: PhaseInfo) -> list[str]:
        return in_lines(phase.name, _NAME, self.box_width - 26 - self._marks(phase), 2)

    def parts(self) -> Iterator[str]:
        """Everything, in the order of drawing."""
        yield from self.opening()
        yield f'<g transform="translate({number(_EDGE_OF_PAGE)} {number(self.top)})">'
        yield from self.bands()
        yield from self.lines()
        for phase in self.graph.nodes.values():
            yield from self.box(phase)
        yield from self.conflicts()
        yield from self.rings()
        yield "</g>"
        yield from self.legend()
        yield "</svg>"

    def opening(self) -> Iterator[str]:
        """All that comes before the first wave."""
        size = f"{number(self.width)} {number(self.height)}"
        wide, high = number(self.width), number(self.height)
        mark = self.mark
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
        chain = self.shown.chain.capitalize()
        return " ".join([f"{self.summary()}.", *waves, *([f"{chain}: {path}."] if path else [])])

    def head(self) -> Iterator[str]:
        """The name and the facts."""
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
        for edge, kind, d in self.curves():
            yield f'<path class="{kind}" data-from="{safe(edge[0])}" data-to="{safe(edge[1])}" d="{d}"/>'
        yield from (f'<path class="{kind}" d="{d}"/>' for kind, d in self.tips())

    # -- boxes

    def status(self, name: str) -> PhaseStatus | None:
        """Where a phase stands, if that is to be shown."""
        return self.statuses.get(name, PhaseStatus.NOT_STARTED) if self.statuses is not None else None

    def kinds(self, phase: PhaseInfo) -> list[str]:
        """What a box is besides a box."""
        critical, status = self.analysis.is_critical(phase.id), self.status(phase.id)
        held = ["held"] if phase.id in self.rest else []
        return [*(["critical"] if critical else []), *held, *([status.value] if status else [])]

    def box(self, phase: PhaseInfo) -> Iterator[str]:
        """One phase, with all that did not fit as a title."""
        x, y = self.layout.boxes[phase.id]
        wide, high = self.layout.box_width, self.layout.box_height
        status = self.status(phase.id)
        state = f' data-status="{status.value}"' if status else ""
        yield (
            f'<g class="{" ".join(["phase", *self.kinds(phase)])}" data-phase="{safe(phase.id)}"{state} '
            f'transform="translate({number(x)} {number(y - high / 2)})">'
        )
        yield f"<title>{safe(self._title(phase))}</title>"
        yield f'<rect class="box" width="{number(wide)}" height="{number(high)}" rx="8"/>'
        yield f'<g clip-path="url(#{self.mark}-clip)">'
        yield from self._inside(phase, status)
        yield "</g></g>"

    def _inside(self, phase: PhaseInfo, status: PhaseStatus | None) -> Iterator[str]:
        yield from (sign(shape, x, y, kind, scale) for shape, x, y, kind, scale in self.signs(phase))
        for kind, x, y, words in self.texts(phase):
            end = ' text-anchor="end"' if x > self.box_width / 2 else ""
            yield f'<text class="{kind}" x="{number(x)}" y="{number(y)}"{end}>{safe(words)}</text>'
        if status:
            y = self.upper
            high = number(STATE_HEIGHT + 2)
            yield f'<rect class="foot" y="{number(y - 2)}" width="{number(self.box_width)}" height="{high}"/>'
            yield sign(SIGNS[status], 12, y + 3, "state")
            yield f'<text class="small state" x="30" y="{number(y + 13)}">{safe(self.state_words(phase.id))}</text>'

    def _shift(self, phase: PhaseInfo) -> float:
        """By how much a short name stands lower, in the middle."""
        return (self.upper - _BOX_HEIGHT - _LINE * (len(self.names[phase.id]) - 1)) / 2

    def signs(self, phase: PhaseInfo) -> Iterator[tuple[str, float, float, str, float]]:
        """The signs in a box: shape, place, class and scale."""
        right, shift = self.box_width - 21, self._shift(phase)
        if self.analysis.is_critical(phase.id):
            yield DIAMOND, right, 9 + shift, "diamond", 1.0
            right -= 17
        if phase.id in self.contested:
            yield EXCLAMATION, right, 7 + shift, "clash", 1.3

    def texts(self, phase: PhaseInfo) -> Iterator[tuple[str, float, float, str]]:
        """The words in a box: class, place, text. What stands in its right half ends there."""
        shift = self._shift(phase)
        for place, line in enumerate(self.names[phase.id]):
            yield "name", 12, 20 + shift + _LINE * place, line
        time = duration(phase.estimated_time, unknown="")
        low = self.upper - 11 - shift
        if phase.name != phase.id:
            room = self.box_width - 30 - text_width(time, 11.5)
            yield "small", 12, low, cut(phase.id, 11.5, room)
        if time:
            yield "small", self.box_width - 12, low, time

    def state_words(self, name: str) -> str:
        """What stands at the foot of a box."""
        status = self.status(name)
        return self.shown.words.get(name) or (words_of(status) if status else "")

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
        drawn = self.clashes()
        yield from (f'<path class="link" d="{d}"/>' for d, _, _ in drawn)
        for _, x, y in drawn:
            yield f'<circle class="seal" cx="{number(x)}" cy="{number(y)}" r="7.5"/>'
            yield sign(EXCLAMATION, x - 6, y - 6, "clash")

    def rings(self) -> Iterator[str]:
        """Dependencies among phases that wait for each other, at the right of their column."""
        held = set(self.rest)
        for name in self.rest:
            for other in self.graph.dependencies(name):
                if other in held and self.layout.boxes[other][0] == self.layout.boxes[name][0]:
                    quarter = self.layout.box_height / 4
                    x, top = self.port(other, right=True, shift=quarter)
                    bottom = self.layout.boxes[name][1] - quarter
                    yield f'<path class="ring" d="{self.arc(x, top, bottom, min(16 + abs(bottom - top) / 12, 34))}"/>'
                    tip = f"M{number(x + 9)} {number(bottom - 4)}L{number(x)} {number(bottom)}"
                    yield f'<path class="tip ring" d="{tip}L{number(x + 9)} {number(bottom + 4)}z"/>'

    # -- the legend

    def _legend_rows(self) -> list[list[tuple[str, str, float]]]:
        """Entries as (drawing, words, width), in rows that fit."""
        entries: list[tuple[str, str]] = []
        if any(map(self.analysis.is_critical, self.analysis.critical_path)):
            entries.append(('<path class="edge key" d="M0 6H30"/>' + sign(DIAMOND, 9, 0, "diamond"), self.shown.chain))
        if self.analysis.conflicts:
            seal = '<path class="link" d="M0 6H30"/><circle class="seal" cx="15" cy="6" r="7.5"/>'
            entries.append((seal + sign(EXCLAMATION, 9, 0, "clash"), "want the same resource, no order between them"))
        if self.statuses is not None and not self.shown.words:
            entries += [
                (f'<g class="{status.value}">{sign(SIGNS[status], 18, 0, "state")}</g>', words_of(status))
                for status in PhaseStatus
            ]
        entries += [("", words) for words in self.shown.legend]
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
        """What lines, signs and colours mean."""
        y = self.height - 22 * len(self.legend_rows) - 8
        for row in self.legend_rows:
            x = _EDGE_OF_PAGE - _BAND
            for drawing, words, wide in row:
                yield f'<g transform="translate({number(x)} {number(y)})">{drawing}'
                yield f'<text class="small" x="{38 if drawing else 0}" y="10">{safe(words)}</text></g>'
                x += wide
            y += 22
