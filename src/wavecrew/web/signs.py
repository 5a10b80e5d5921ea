"""The signs of the page: a shape for each standing, beside its word and its colour.

What it does: holds every sign as a path, because fonts lack glyphs, and gives them as one sprite to be referred to.
What it does not know: phases and runs.
"""

from __future__ import annotations

from typing import Final

from wavecrew.models.phase_status import PhaseStatus
from wavecrew.views.summary import Standing
from wavecrew.views.svg_parts import DIAMOND, EXCLAMATION, SIGNS

_TICK: Final = SIGNS[PhaseStatus.COMPLETED]
_CROSS: Final = SIGNS[PhaseStatus.FAILED]
_HOURGLASS: Final = SIGNS[PhaseStatus.QUEUED]
_RING: Final = SIGNS[PhaseStatus.NOT_STARTED]
_PLAY: Final = SIGNS[PhaseStatus.IN_PROGRESS]

SHAPES: Final = {
    Standing.PASSED: _TICK,
    Standing.KEPT: "M1.5 3h9v2h-9zM1.5 7h9v2h-9z",  # equals
    Standing.SKIPPED: "M1.2 2 6 6 1.2 10zM6 2l4.8 4L6 10z",  # two triangles
    Standing.RUNNING: _PLAY,
    Standing.MERGING: "M2 1.4v2.2c0 2 1.2 3.2 3 3.2h1.6V4.4L11 7.6 6.6 10.8V8.6H5C2 8.6.2 6.6.2 3.6V1.4z",  # arrow in
    Standing.GONE: "M6 1a5 5 0 1 0 .01 0zM5 2.8h2v4H5zM5 7.6h2v1.8H5z",  # exclamation in a disc
    Standing.WAITING: _HOURGLASS,
    Standing.HELD: "M2.2 1.6h2.6v8.8H2.2zM7.2 1.6h2.6v8.8H7.2z",  # two bars
    Standing.RETRYING: "M6 1.2a4.8 4.8 0 1 0 4.8 4.8H9A3 3 0 1 1 6 3v1.8L9.6 2.2 6-.4z",  # round arrow
    Standing.READY: "M6 1.8a4.2 4.2 0 1 0 .01 0zM6 3.4a2.6 2.6 0 1 1-.01 0zM6 4.6a1.4 1.4 0 1 0 .01 0z",  # ring, dot
    Standing.TO_COME: _RING,
    Standing.FAILED: _CROSS,
    Standing.BLOCKED: "M6 1a5 5 0 1 0 .01 0zM2.8 5.2h6.4v1.6H2.8z",  # no entry
    Standing.LEFT_OUT: "M2 5.2h8v1.6H2z",  # dash
}
MARKS: Final = {"path": DIAMOND, "conflict": EXCLAMATION}


def slug(standing: str) -> str:
    """A standing as part of a class or an id."""
    return standing.replace(" ", "-")


def sprite() -> str:
    """All signs, to be put into a page once."""
    paths = [
        f'<path id="s-{slug(standing.value)}" fill-rule="evenodd" d="{shape}"/>' for standing, shape in SHAPES.items()
    ]
    paths += [f'<path id="m-{name}" d="{shape}"/>' for name, shape in MARKS.items()]
    return f'<svg class="sprite" width="0" height="0" aria-hidden="true"><defs>{"".join(paths)}</defs></svg>'


def icon(standing: str) -> str:
    """The sign of a standing for a line of text."""
    return f'<svg class="sg"><use href="#s-{slug(standing)}"/></svg>'
