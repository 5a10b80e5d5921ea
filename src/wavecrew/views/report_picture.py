"""The graph of a run as a part of the HTML report: the same picture as the file, put down in far fewer letters.

What it does: draws what all boxes of a status share once and refers to it, joins lines of one kind into one path, and
writes paths in whole numbers, each counted from the one before.
What it does not know: where boxes and lines go (`plan_svg` knows), and the style sheet of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.views.plan_svg import STATE_HEIGHT, Drawing
from wavecrew.views.svg_parts import DIAMOND, EXCLAMATION, SIGNS, number, safe
from wavecrew.views.words import duration

_PART: Final = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_STATE_SIGN: Final = (12, 3)


class PagePicture(Drawing):
    """The picture within the page; there is one on a page, so its ids are short."""

    top = 50.0

    def opening(self) -> Iterator[str]:
        """No title: the page has one. The table of phases says the same in words."""
        wide, high = whole(self.width), whole(self.height)
        room = f'width={wide} height={high} viewBox="0 0 {wide} {high}"'
        yield f'<svg class="wavecrew-plan" role="img" aria-label="{safe(self.summary())}" {room}>'
        yield "<defs>" + "".join(self._shared()) + "</defs>"

    def _shared(self) -> Iterator[str]:
        """What is referred to. Colours come by inheritance from where it is used."""
        wide, high, foot = number(self.box_width), number(self.layout.box_height), number(self.upper - 2)
        yield f'<clipPath id=gc><rect width="{wide}" height="{high}" rx=8 /></clipPath>'
        yield f'<path id=gd fill="var(--key)" d="{DIAMOND}"/>'
        yield f'<path id=gx fill="var(--clash)" transform="scale(1.3)" d="{EXCLAMATION}"/>'
        yield '<g id=gs><circle cx=6 cy=6 r=7.5 fill="var(--bg)" stroke="var(--clash)" stroke-width=1.4 />'
        yield f'<path fill="var(--clash)" d="{EXCLAMATION}"/></g>'
        yield f'<rect id=gb width="{wide}" height="{high}" rx=8 fill="var(--box)" stroke="var(--line)" '
        yield 'stroke-width="var(--thick)"/>'
        for status in dict.fromkeys(filter(None, map(self.status, self.graph.nodes))):
            x, y = _STATE_SIGN
            yield f'<g id={_frame(status)} fill="var(--now)"><use href=#gb /><g clip-path=url(#gc)>'
            yield f'<rect opacity=.1 y="{foot}" width="{wide}" height="{number(STATE_HEIGHT + 2)}"/></g>'
            yield f'<path transform="translate({x} {number(self.upper + y)})" d="{SIGNS[status]}"/></g>'

    # -- lines

    def lines(self) -> Iterator[str]:
        """All lines of a kind as one path, those of the chain on top."""
        for kind in ("edge", "edge key"):
            yield _path(kind, (d for _, found, d in self.curves() if found == kind))
        for kind in ("tip", "tip key"):
            yield _path(kind, (d for found, d in self.tips() if found == kind))

    def conflicts(self) -> Iterator[str]:
        """Links as one path, and their signs."""
        drawn = self.clashes()
        yield _path("link", (d for d, _, _ in drawn))
        yield from (f"<use href=#gs x={whole(x - 6)} y={whole(y - 6)} />" for _, x, y in drawn)

    # -- boxes

    def box(self, phase: PhaseInfo) -> Iterator[str]:
        """One phase; its title has what is not in the box."""
        x, y = self.layout.boxes[phase.id]
        status = self.status(phase.id)
        place = f"{whole(x)} {whole(y - self.layout.box_height / 2)}"
        parts = [f'<g class="{" ".join(self.kinds(phase))}" transform="translate({place})">']
        title = "; ".join(self._hidden(phase))
        parts += [f"<title>{safe(title)}</title>"] if title else []
        parts.append(f"<use href=#{_frame(status)} />")
        parts += [
            f"<use href=#{'gd' if shape == DIAMOND else 'gx'} x={whole(x)} y={whole(y)} />"
            for shape, x, y, _, _ in self.signs(phase)
        ]
        parts += ["<g clip-path=url(#gc)>", *self._words(phase), "</g></g>"]
        yield "".join(parts)

    def _words(self, phase: PhaseInfo) -> Iterator[str]:
        texts = list(self.texts(phase))
        if self.status(phase.id):
            texts.append(("state", 30.0, self.upper + 13, self.state_words(phase.id)))
        for kind, x, y, words in texts:
            classes = kind if kind != "small" else "r" if x > self.box_width / 2 else ""
            yield f"<text{f' class={classes}' if classes else ''} x={whole(x)} y={whole(y)}>{safe(words)}</text>"

    def _hidden(self, phase: PhaseInfo) -> Iterator[str]:
        if any(line.endswith("…") for line in self.names[phase.id]):
            yield phase.name
        if phase.dependencies:
            yield f"needs {', '.join(phase.dependencies[:12])}"
        if phase.outputs:
            yield f"writes {', '.join(phase.outputs[:12])}"
        if phase.estimated_time is not None:
            yield f"slack {duration(self.analysis.hours(self.analysis.slack.get(phase.id)))}"


def _frame(status: PhaseStatus | None) -> str:
    """The id of the box with the sign of a status."""
    return "gb" if status is None else f"g{list(SIGNS).index(status)}"


def whole(value: float) -> str:
    """A coordinate as a whole number: on a screen nobody sees less."""
    return f"{value:.0f}".replace("-0", "0") if abs(value) < 0.5 else f"{value:.0f}"


def _path(kind: str, parts: Iterable[str]) -> str:
    d = "".join(map(shorter, parts))
    return f'<path class="{kind}" d="{d}"/>' if d else ""


def shorter(d: str) -> str:
    """A path of absolute steps (M, L, H, V, C, Q, z) in whole numbers and steps from where it stands."""
    out: list[str] = []
    x = y = 0
    for letter, told in _PART.findall(d):
        values = [round(float(value)) for value in told.split()]
        if letter == "M":
            x, y = values
            out.append(f"M{_joined(values)}")
        elif letter in "HV":
            step = values[0] - (x if letter == "H" else y)
            x, y = (x + step, y) if letter == "H" else (x, y + step)
            out += [f"{letter.lower()}{step}"] if step else []
        elif letter in "LCQ":
            steps = [value - (y if place % 2 else x) for place, value in enumerate(values)]
            out.append(letter.lower() + _joined(steps))
            x, y = values[-2:]
        else:
            out.append("z")
    return "".join(out)


def _joined(values: Iterable[int]) -> str:
    """Numbers with as little as keeps them apart: a minus does."""
    return " ".join(map(str, values)).replace(" -", "-")
