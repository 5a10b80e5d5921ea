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
SYMBOLS: Final = "".join(
    f'<symbol id="s-{name}" viewBox="0 0 12 12"><path d="{shape}"/></symbol>'
    for name, shape in (
        ("tick", _TICK),
        ("cross", _CROSS),
        ("ring", _RING),
        ("play", _PLAY),
        ("glass", _GLASS),
        ("bar", _BAR),
        ("over", _OVER),
    )
)
"""The signs of states, drawn once; fonts may lack any glyph."""
_STANDINGS: Final = {
    Standing.PASSED: ("good", "tick"),
    Standing.KEPT: ("good", "tick"),
    Standing.SKIPPED: ("hold", "over"),
    Standing.RUNNING: ("now", "play"),
    Standing.MERGING: ("now", "play"),
    Standing.WAITING: ("hold", "glass"),
    Standing.HELD: ("hold", "glass"),
    Standing.RETRYING: ("hold", "glass"),
    Standing.FAILED: ("bad", "cross"),
    Standing.BLOCKED: ("bad", "bar"),
}
_RUNS: Final = {
    RunStatus.SUCCEEDED: ("good", "tick"),
    RunStatus.FAILED: ("bad", "cross"),
    RunStatus.RUNNING: ("now", "play"),
    RunStatus.STOPPED: ("hold", "glass"),
    RunStatus.INTERRUPTED: ("hold", "glass"),
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
    return f'<span class="u">{UNKNOWN}</span>' if words == UNKNOWN else text(words)


def badge(status: RunStatus) -> str:
    """The status of a run: shape, word and colour."""
    kind, shape = _RUNS.get(status, ("calm", "ring"))
    return f'<span class="badge {kind}">{_shape(shape)}{status.value}</span>'


def state(standing: Standing) -> str:
    """The standing of a phase."""
    kind, shape = _STANDINGS.get(standing, ("calm", "ring"))
    return f'<span class="st {kind}">{_shape(shape)}{standing.value}</span>'


def mark(good: bool | None, words: str) -> str:
    """Words with a tick, a cross, or a triangle for what is still open."""
    kind, shape = ("now", "play") if good is None else ("good", "tick") if good else ("bad", "cross")
    return f'<span class="st {kind}">{_shape(shape)}{text(words)}</span>'


def _shape(name: str) -> str:
    return f'<svg aria-hidden="true"><use href="#s-{name}"/></svg>'


class Cell(str):
    """A cell that is markup already. `kind` is its class, `value` what it is sorted by."""

    kind: str
    value: float | None

    def __new__(cls, markup: str, kind: str = "", value: float | None = None) -> Cell:
        """Markup, class and value."""
        found = super().__new__(cls, markup)
        found.kind, found.value = kind, value
        return found


def figure(words: str, value: float | None) -> Cell:
    """A cell with a figure at its right; unknown ones are sorted to the end."""
    return Cell(known(words), "n", None if value is None or words == f"{value:g}" else value)


def sums(words: str, value: float | None) -> Cell:
    """The same for a sum that may have an unknown part: how large that is stands in its title."""
    first, plus, rest = words.partition(" + ")
    if not plus:
        return figure(words, value)
    return Cell(f'{text(first)} <small title="{text(rest)}">+ unknown</small>', "n", value)


def table(
    label: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, classes: str = "", tall: bool = False
) -> Iterator[str]:
    """A table in a scrolling box. The first cell of each row is its head; `head` names are ours, and those that end in
    `#` stand over figures, with `~` over bars, which a narrow screen has no room for."""
    box = "scroll tall" if tall else "scroll"
    yield f'<div class="{box}" tabindex="0" role="region" aria-label="{text(label)}">'
    yield f'<table class="{classes}"><thead><tr>'
    kinds = {"#": "n", "~": "b"}
    yield "".join(f"<th scope=col{_class(kinds.get(title[-1:], ''))}>{title.rstrip('#~')}</th>" for title in head)
    yield "</tr></thead><tbody>"
    for first, *rest in rows:
        yield f"<tr><th scope=row>{first}</th>{''.join(map(_cell, rest))}</tr>"
    yield "</tbody></table></div>"


def _cell(cell: str) -> str:
    kind = cell.kind if isinstance(cell, Cell) else ""
    value = f" data-v={cell.value:.6g}" if isinstance(cell, Cell) and cell.value is not None else ""
    return f"<td{_class(kind)}{value}>{cell}</td>"


def _class(kind: str) -> str:
    return f" class={kind}" if kind else ""


def shortened(foreign: str, width: int) -> str:
    """Foreign text that is cut, with the whole of it as a title."""
    line = one_line(foreign)
    if cells(line) <= width:
        return text(line)
    return f'<span title="{text(cut(line, 2000))}">{text(cut(line, width))}</span>'
