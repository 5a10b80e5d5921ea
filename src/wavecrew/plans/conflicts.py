"""Which phases want the same resource although nothing orders them.

What it does: finds every pair of phases that cannot work at the same time (two writers of one file, a writer and a
reader of it) and of which neither has to wait for the other anyway. Fast enough for plans of 100,000 phases, because
only phases that touch a contested resource are compared, many at once, as bits of one number.
What it does not know: the disk (claims are compared as they are written), who goes first, and whether a conflict is
meant. Phases that a cycle holds up have no order to speak of and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wavecrew.models.contention import ClaimTable, Conflict
from wavecrew.models.parallel_execution import DependencyGraph

LIMIT: Final = 10_000
_SHARE: Final = 4
"""No resource takes more than one part in so many of the list, so that one README does not hide the others."""
_BLOCK: Final = 4096


@dataclass(frozen=True, slots=True)
class Conflicts:
    """The conflicts that were listed, and how many more there are."""

    found: tuple[Conflict, ...]
    more: int = 0


def conflicts(graph: DependencyGraph) -> tuple[Conflict, ...]:
    """All conflicts of a plan, at most LIMIT of them, in plan order."""
    return find_conflicts(graph).found


def find_conflicts(graph: DependencyGraph, limit: int = LIMIT) -> Conflicts:
    """The conflicts of a plan, one for each pair of phases and resource, and how many were too many to list."""
    order = [name for layer in graph.layers() for name in layer]
    search = _Search(graph, order, ClaimTable.of(graph.nodes[name] for name in order))
    found: dict[tuple[str, str, str], Conflict] = {}
    listed: dict[int, int] = {}
    more = 0
    for first in range(0, len(order), _BLOCK):
        for phase, resource, other, partners in search.block(first):
            count = partners.bit_count()
            taken = max(0, min(count, limit - len(found), max(1, limit // _SHARE) - listed.get(resource, 0)))
            listed[resource] = listed.get(resource, 0) + taken
            more += count - taken
            for bit in _bits(partners, taken):
                conflict = search.conflict(first + bit, phase, resource, other)
                found.setdefault((*conflict.phases, conflict.resource), conflict)
    place = {name: number for number, name in enumerate(graph.nodes)}
    ordered = sorted(found.values(), key=lambda c: (place[c.phases[0]], place[c.phases[1]], c.resource))
    return Conflicts(tuple(ordered), more)


def _bits(number: int, most: int) -> Iterator[int]:
    """Places of the lowest bits that are set."""
    while number and most > 0:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
        most -= 1


class _Search:
    """Phases are numbered in topological order, so that an earlier one can be an ancestor but never a descendant."""

    def __init__(self, graph: DependencyGraph, order: Sequence[str], table: ClaimTable) -> None:
        self._order = order
        self._table = table
        self._place = {name: number for number, name in enumerate(graph.nodes)}
        number = {name: place for place, name in enumerate(order)}
        self._dependencies = [tuple(number[other] for other in graph.dependencies(name)) for name in order]
        self._layer = {name: depth for depth, layer in enumerate(graph.layers()) for name in layer}
        self._contested = _contested(table)
        self._candidates = [
            phase
            for phase, claims in enumerate(table.claims)
            if any(resource in self._contested for resource, _ in claims)
        ]

    def block(self, first: int) -> Iterator[tuple[int, int, int, int]]:
        """Each phase with those of one block before it that it collides with, as (phase, its resource, their
        resource, bits of the others counted from `first`)."""
        masks = self._masks(first)
        if not masks:
            return
        ancestors = self._ancestors(first)
        for phase in self._candidates:
            if phase <= first:
                continue
            earlier = (1 << min(phase - first, _BLOCK)) - 1
            allowed = earlier & ~ancestors[phase - first]
            for resource, exclusive in self._table.claims[phase]:
                for other in self._contested.get(resource, ()):
                    partners = masks.get(other, (0, 0))[0 if exclusive else 1] & allowed
                    if partners:
                        yield phase, resource, other, partners

    def _masks(self, first: int) -> Mapping[int, tuple[int, int]]:
        """For each contested resource the phases of a block that want it: all of them, and those that write."""
        masks: dict[int, tuple[int, int]] = {}
        for phase in self._candidates:
            if first <= phase < first + _BLOCK:
                bit = 1 << (phase - first)
                for resource, exclusive in self._table.claims[phase]:
                    if resource in self._contested:
                        everyone, writers = masks.get(resource, (0, 0))
                        masks[resource] = (everyone | bit, writers | bit if exclusive else writers)
        return masks

    def _ancestors(self, first: int) -> list[int]:
        """Which phases of a block each later phase has to wait for, itself included."""
        reach: list[int] = []
        last = self._candidates[-1]
        for phase in range(first, last + 1):
            found = 1 << (phase - first) if phase < first + _BLOCK else 0
            for dependency in self._dependencies[phase]:
                if dependency >= first:
                    found |= reach[dependency - first]
            reach.append(found)
        return reach

    def conflict(self, earlier: int, later: int, resource: int, other: int) -> Conflict:
        """Put a finding into words, both phases in plan order."""
        a, b = sorted((self._order[earlier], self._order[later]), key=self._place.__getitem__)
        return Conflict((a, b), self._table.meeting_point(resource, other), self._layer[a] == self._layer[b])


def _contested(table: ClaimTable) -> Mapping[int, tuple[int, ...]]:
    """Resources that several phases could fight over, each with the resources it meets."""
    wanted = [0] * len(table.resources)
    written = [False] * len(table.resources)
    for claims in table.claims:
        for resource, exclusive in claims:
            wanted[resource] += 1
            written[resource] |= exclusive
    return {
        resource: meeting
        for resource, meeting in enumerate(table.meeting)
        if (wanted[resource] > 1 or len(meeting) > 1) and any(written[other] for other in meeting)
    }
