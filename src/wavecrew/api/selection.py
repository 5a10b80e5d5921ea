"""Phases by what people call them.

What it does: turns words (an id, a name, a pattern) into phases, and `--only`, `--from` and `--until` into a set.
What it does not know: documents and runs; a graph is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from wavecrew.errors import NotFoundError
from wavecrew.models.parallel_execution import DependencyGraph


def select(
    graph: DependencyGraph, only: Sequence[str] = (), start: Sequence[str] = (), until: Sequence[str] = ()
) -> frozenset[str]:
    """The phases that all given conditions allow; empty when there is no condition.

    `only` names phases, `start` adds what depends on them, `until` what they depend on. Each word is an id, a name or
    a pattern. Raises NotFoundError for a word, or a combination, that selects nothing.
    """
    chosen: list[set[str]] = []
    if only:
        chosen.append(_matching(graph, only))
    if start:
        roots = _matching(graph, start)
        chosen.append(roots.union(*(graph.descendants(name) for name in roots)))
    if until:
        ends = _matching(graph, until)
        chosen.append(ends.union(*(graph.ancestors(name) for name in ends)))
    if not chosen:
        return frozenset()
    both = frozenset(set.intersection(*chosen))
    if not both:
        raise NotFoundError("no phase fulfils all of --only, --from and --until", fix="see: wavecrew plan")
    return both


def _matching(graph: DependencyGraph, words: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for word in words:
        hits = {word} & graph.nodes.keys() or {
            name
            for name, phase in graph.nodes.items()
            if fnmatchcase(name, word) or fnmatchcase(phase.name.casefold(), word.casefold())
        }
        if not hits:
            raise NotFoundError(f"no phase is called {word!r}", fix=_nearest(graph, word))
        found |= hits
    return found


def _nearest(graph: DependencyGraph, word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, [*graph.nodes, *(phase.name for phase in graph.nodes.values())], n=1)
    return f"did you mean {near[0]!r}?" if near else "see the ids with: wavecrew plan"


def phase_named(graph: DependencyGraph, word: str) -> str:
    """The one phase that a word names. Raises NotFoundError for none and for several."""
    hits = sorted(_matching(graph, [word]))
    if len(hits) > 1:
        raise NotFoundError(f"{word!r} fits several phases: {', '.join(hits[:8])}", fix="name one of them")
    return hits[0]
