"""A plan as it was read: its phases, what was assumed, and what is wrong with it.

What it does: holds the result of reading documents, with a digest that changes whenever the meaning changes.
What it does not know: how documents are read, and whether a finding stops a run (its severity says so).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from wavecrew.errors import Diagnostic, Severity
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.records import plain

_NO_MEANING: Final = frozenset({"source", "line"})


@dataclass(frozen=True)
class Plan:
    """What was found at `path` (a file or a folder, as the user named it).

    `phases` holds every phase as read, in plan order, two of the same id included. `settings` are keys that a
    document sets for the whole run. `assumed_order` tells why phases follow each other although no document says so;
    it is empty when nothing was assumed.
    """

    name: str
    path: str
    phases: tuple[PhaseInfo, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    assumed_order: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def graph(self) -> DependencyGraph:
        """The dependency graph; phases of one id are united."""
        return DependencyGraph.of(self.phases)

    @property
    def faulty(self) -> bool:
        """Whether at least one finding forbids running this plan."""
        return any(finding.severity is Severity.ERROR for finding in self.diagnostics)

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits over all that a phase means; where it stands in a file does not count."""
        return digest_of(*self.phases)


def digest_of(*phases: PhaseInfo) -> str:
    """Sixteen hex digits (SHA-256) over the meaning of some phases, in order."""
    digest = hashlib.sha256()
    for phase in phases:
        digest.update(json.dumps(plain(phase, without=_NO_MEANING), sort_keys=True).encode())
    return digest.hexdigest()[:16]
