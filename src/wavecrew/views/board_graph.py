"""What needs what, as text: the way to one phase and on from it, then the whole plan by waves.

What it does: one row for each phase with what it needs and who needs it, and the chain that paces the rest.
What it does not know: pictures; `plan_svg` draws them.
"""

from __future__ import annotations

from collections.abc import Iterator

from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.views.board_parts import Line, Piece, plain, sign_of, told
from wavecrew.views.board_plan import chosen_rows
from wavecrew.views.run_forecast import pacing_words
from wavecrew.views.run_words import label, listed
from wavecrew.views.summary import PhaseRow, Summary
from wavecrew.views.terminal_text import cells, cut, pad

_SHOWN = 12


def graph_lines(summary: Summary, graph: DependencyGraph, chosen: str, width: int) -> list[Line]:
    """The page behind `g`."""
    lines: list[Line] = []
    if summary.forecast is not None:
        lines += told("paces the rest  ", pacing_words(summary.forecast), width, "head")
        lines.append(())
    if chosen in graph.nodes:
        lines += _around(summary, graph, chosen, width)
        lines.append(())
    wave = 0
    widest = max((cells(label(row.id, row.name)) for row in summary.rows), default=8)
    for row in chosen_rows(summary):
        if row.wave != wave:
            wave = row.wave
            lines.append(plain(f"wave {wave}", "quiet"))
        lines.append(_row(row, graph, min(widest, width // 3), width))
    return lines


def _around(summary: Summary, graph: DependencyGraph, name: str, width: int) -> Iterator[Line]:
    row = summary.by_id[name]
    sign = sign_of(row)
    head = Piece(f" {label(name, row.name)}  ", "head")
    yield Piece(sign.shape, sign.style), head, Piece(sign.word, sign.style)
    before = [one for one in graph.nodes if one in graph.ancestors(name)]
    direct = set(graph.edges[name])
    yield from told("  needs      ", listed(tuple(graph.edges[name]), _SHOWN) or "nothing", width)
    further = tuple(one for one in before if one not in direct)
    if further:
        yield from told("  and before ", listed(further, _SHOWN), width)
    after = tuple(graph.dependents(name))
    yield from told("  needed by  ", listed(after, _SHOWN) or "nothing", width)
    if row.blocked_by:
        yield from told("  held up by ", listed(row.blocked_by, _SHOWN), width, "bad")


def _row(row: PhaseRow, graph: DependencyGraph, room: int, width: int) -> Line:
    sign = sign_of(row)
    needs, after = listed(tuple(graph.edges[row.id]), 6), listed(tuple(graph.dependents(row.id)), 6)
    words = "   ".join(part for part in (f"← {needs}" if needs else "", f"→ {after}" if after else "") if part)
    return (
        Piece("  "),
        Piece(sign.shape, sign.style),
        Piece(" "),
        Piece(pad(label(row.id, row.name), room)),
        Piece(f"  {cut(words, max(4, width - room - 7))}", "quiet"),
    )
