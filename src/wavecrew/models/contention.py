"""Which phases get in each other's way: the claims of many phases as a table of small numbers.

What it does: reads the claims of every phase once, numbers their resources, and works out which resources can touch
one another, so that simulations and conflict searches compare numbers and not texts. Also holds `Conflict`, one
finding of such a search.
What it does not know: the order of phases, time, and locks that are really held.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wavecrew.errors import InvalidValueError
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.resources import Claim, ClaimIndex, Resource, ResourceKind


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two phases that want one resource although no dependency orders them, so they will have to take turns.

    `phases` stand in plan order. `resource` is the narrower of both wishes (the file, not the folder around it).
    """

    phases: tuple[str, str]
    resource: str
    same_wave: bool = True


def claims_of(phase: PhaseInfo) -> tuple[Claim, ...]:
    """The claims of a phase; none if one of them cannot be read, because such a phase will not be run anyway."""
    try:
        return phase.claims
    except InvalidValueError:
        return ()


def narrower(a: Resource, b: Resource) -> Resource:
    """Of two resources that meet, the one that says more exactly where."""
    return min(a, b, key=_vagueness)


_VAGUENESS = {ResourceKind.NAME: 0, ResourceKind.FILE: 0, ResourceKind.GLOB: 1, ResourceKind.TREE: 2}


def _vagueness(resource: Resource) -> tuple[int, int, str]:
    return _VAGUENESS[resource.kind], -len(resource.key), resource.key


@dataclass(frozen=True, slots=True)
class ClaimTable:
    """Claims as numbers. Phases and resources are numbered from 0, phases in the order they were given.

    `claims[p]` lists (resource, exclusive) of phase p; `meeting[r]` lists the resources that can touch r, itself
    first. Two phases get along in a pool of several places, so it does not meet itself: on paper its places are not
    counted.
    """

    resources: tuple[Resource, ...]
    claims: tuple[tuple[tuple[int, bool], ...], ...]
    meeting: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, phases: Iterable[PhaseInfo]) -> ClaimTable:
        """Read and number the claims of some phases."""
        numbers: dict[tuple[ResourceKind, str], int] = {}
        resources: list[Resource] = []
        claims: list[tuple[tuple[int, bool], ...]] = []
        for phase in phases:
            row = []
            for claim in claims_of(phase):
                resource = claim.resource
                number = numbers.setdefault((resource.kind, resource.key), len(resources))
                if number == len(resources):
                    resources.append(resource)
                row.append((number, claim.exclusive))
            claims.append(tuple(row))
        return cls(tuple(resources), tuple(claims), _meeting(resources))

    def meeting_point(self, a: int, b: int) -> str:
        """How to call the place where two resources meet."""
        narrow = narrower(self.resources[a], self.resources[b])
        return str(narrow) if narrow.key else "./"


def _meeting(resources: list[Resource]) -> tuple[tuple[int, ...], ...]:
    """For each resource all those that it can touch.

    Folders come before what lies in them and patterns come last: so nobody but a pattern has to look below itself.
    """
    alone = [Claim(resource) for resource in resources]
    meeting = [[number] if claim.collides(claim) else [] for number, claim in enumerate(alone)]
    index: ClaimIndex[int] = ClaimIndex()
    for number in sorted(range(len(resources)), key=lambda number: _outside_in(resources[number])):
        claims = (Claim(resources[number]),)
        for other, _, _ in index.in_the_way(number, claims):
            meeting[number].append(other)
            meeting[other].append(number)
        index.add(number, claims)
    return tuple(map(tuple, meeting))


def _outside_in(resource: Resource) -> tuple[bool, bool, int]:
    kind = resource.kind
    return kind is ResourceKind.GLOB, kind is not ResourceKind.TREE, resource.key.count("/") + bool(resource.key)
