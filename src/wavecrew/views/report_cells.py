"""Small parts of the HTML report: foreign text made harmless, signs of states, tables.

What it does: escapes whatever comes from documents, agents and logs, at this one place; writes tables that scroll in a
box of their own and tell their figures to the script that sorts them.
What it does not know: what stands in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from wavecrew.views.run_words import UNKNOWN
from wavecrew.views.summary import RunStatus, Standing
from wavecrew.views.terminal_text import cells, clean, cut, one_line

_TICK: Final = "M1.2 6.4 2.8 4.8 4.8 6.8 9.6 2 11.2 3.6 4.8 10z"
_CROSS: Final = "M2.8 1.4 6 4.6 9.2 1.4 10.6 2.8 7.4 6l3.2 3.2-1.4 1.4L6 7.4 2.8 10.6 1.4 9.2 4.6 6 1.4 2.8z"
_RING: Final = "M6 1.8a4.2 4.2 0 1 0 .01 0zM6 3.4a2.6 2.6 0 1 1-.01 0z"
_PLAY: Final = "M3 1.4 10.4 6 3 10.6z"
_GLASS: Final = "M2 1h8v1.6L7.2 6 10 9.4V11H2V9.4L4.8 6 2 2.6z"
_BAR: Final = "M1.5 4.8h9v2.4h-9z"
_OVER: Final = "M1.6 2 6 6 1.6 10zM6 2l4.4 4L6 10z"
SHAPES: Final = {
    "tick": (_TICK, "done"),
    "cross": (_CROSS, "fail"),
    "bar": (_BAR, "fail"),
    "play": (_PLAY, "work"),
    "glass": (_GLASS, "wait"),
    "over": (_OVER, "wait"),
    "ring": (_RING, "soft"),
}
"""The signs of states, by the class that an element gets for one: its shape, and the name of its colour. The style
sheet cuts them out, because fonts may lack any glyph."""
_STANDINGS: Final = {
    Standing.PASSED: "tick",
    Standing.KEPT: "tick",
    Standing.SKIPPED: "over",
    Standing.RUNNING: "play",
    Standing.MERGING: "play",
    Standing.GONE: "bar",
    Standing.WAITING: "glass",
    Standing.HELD: "glass",
    Standing.RETRYING: "glass",
    Standing.FAILED: "cross",
    Standing.BLOCKED: "bar",
}
_RUNS: Final = {
    RunStatus.SUCCEEDED: "tick",
    RunStatus.FAILED: "cross",
    RunStatus.RUNNING: "play",
    RunStatus.STOPPED: "glass",
    RunStatus.INTERRUPTED: "glass",
}


def text(foreign: str) -> str:
    """Foreign text on one line, without anything that steers, for content and quoted attributes."""
    return escape(one_line(foreign), quote=True)


def lines(foreign: str) -> str:
    """The same for text of several lines, in a `pre`."""
    return escape(clean(foreign), quote=True)


def name(foreign: str) -> str:
    """Foreign words within a sentence; letters that run the other way stay among themselves."""
    return f"<bdi>{text(foreign)}</bdi>"


def mono(foreign: str) -> str:
    """The same for paths and commands."""
    return f'<bdi class="c">{text(foreign)}</bdi>'


def known(words: str) -> str:
    """Our own words; where they say unknown, that stands out as no figure."""
    return f"<i>{UNKNOWN}</i>" if words == UNKNOWN else text(words)


def badge(status: RunStatus) -> str:
    """The status of a run: shape, word and colour."""
    return f'<b class="badge {_RUNS.get(status, "ring")}">{status.value}</b>'


def state(standing: Standing) -> str:
    """The standing of a phase."""
    return f"<b class={_STANDINGS.get(standing, 'ring')}>{standing.value}</b>"


def mark(good: bool | None, words: str) -> str:
    """Words with a tick, a cross, or a triangle for what is still open."""
    shape = "play" if good is None else "tick" if good else "cross"
    return f"<b class={shape}>{text(words)}</b>"


def sums(words: str) -> str:
    """A figure that may have an unknown part: how large that is stands in its title."""
    first, plus, rest = words.partition(" + ")
    return f'{text(first)} <small title="{text(rest)}">+ unknown</small>' if plus else known(words)


def table(
    label: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, classes: str = "", tall: bool = False
) -> Iterator[str]:
    """A table in a scrolling box. The first cell of each row is its head. `head` names are ours; those that end in `#`
    stand over figures, with `~` over bars, which a narrow screen has no room for, and with `|` over long texts. What a
    column is stands in the class of the table, once for all its cells (`COLUMNS` has what it may be)."""
    box = "scroll tall" if tall else "scroll"
    kinds = [f"{_KINDS[title[-1]]}{place}" for place, title in enumerate(head, 1) if title[-1] in _KINDS]
    yield f'<div class="{box}" tabindex="0" role="region" aria-label="{text(label)}">'
    yield f'<table class="{" ".join([*classes.split(), *kinds])}"><thead><tr>'
    yield "".join(f"<th scope=col>{title.rstrip('#~|')}</th>" for title in head)
    yield "</tr></thead><tbody>"
    for first, *rest in rows:
        yield f"<tr><th>{first}{''.join(f'<td>{cell}' for cell in rest)}"  # HTML needs no end of a cell or row
    yield "</tbody></table></div>"


_KINDS: Final = {"#": "n", "~": "b", "|": "w"}
COLUMNS: Final = {kind: tuple(f".{kind}{place} tr>:nth-child({place})" for place in range(2, 11)) for kind in "nbw"}
"""The selectors of columns of figures, bars and long texts."""


def shortened(foreign: str, width: int) -> str:
    """Foreign text that is cut, with the whole of it as a title."""
    line = one_line(foreign)
    if cells(line) <= width:
        return text(line)
    return f'<span title="{text(cut(line, 2000))}">{text(cut(line, width))}</span>'
