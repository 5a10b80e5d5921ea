"""Rings in a directed graph: which nodes wait for each other, and one shortest ring through such a knot.

What it does: finds strongly connected components of more than one node in linear time, without recursion.
What it does not know: phases; nodes are names, arrows are mappings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

Arrows = Mapping[str, Sequence[str]]


def knots(arrows: Arrows, reverse: Arrows, among: Iterable[str]) -> Iterator[list[str]]:
    """Strongly connected components of more than one node, looking only at `among` (Kosaraju-Sharir, 1978)."""
    members = dict.fromkeys(among)
    seen: set[str] = set()
    for root in reversed(_by_end_of_search(arrows, members)):
        if root not in seen:
            knot = _flood(root, reverse, members, seen)
            if len(knot) > 1:
                yield knot


def _by_end_of_search(arrows: Arrows, members: Mapping[str, None]) -> list[str]:
    """Nodes in the order in which a depth-first search leaves them."""
    seen: set[str] = set()
    ended: list[str] = []
    for root in members:
        if root in seen:
            continue
        seen.add(root)
        work = [(root, iter(arrows[root]))]
        while work:
            name, targets = work[-1]
            following = next((t for t in targets if t in members and t not in seen), None)
            if following is None:
                work.pop()
                ended.append(name)
            else:
                seen.add(following)
                work.append((following, iter(arrows[following])))
    return ended


def _flood(root: str, arrows: Arrows, members: Mapping[str, None], seen: set[str]) -> list[str]:
    seen.add(root)
    found, stack = [root], [root]
    while stack:
        for target in arrows[stack.pop()]:
            if target in members and target not in seen:
                seen.add(target)
                found.append(target)
                stack.append(target)
    return found


def shortest_ring(arrows: Arrows, knot: Sequence[str]) -> tuple[str, ...]:
    """The shortest ring through the first node of a knot; first and last are the same node."""
    start, inside = knot[0], frozenset(knot)
    came_from: dict[str, str] = {}
    queue = deque([start])
    while start not in came_from:
        name = queue.popleft()
        for target in arrows[name]:
            if target in inside and target not in came_from:
                came_from[target] = name
                queue.append(target)
    ring = [start, came_from[start]]
    while ring[-1] != start:
        ring.append(came_from[ring[-1]])
    return tuple(reversed(ring))
