"""The five states of a phase and the arrows between them.

What it does: names the states, one sentence each, and lists in one table which state may follow which.
What it does not know: which event causes an arrow (`execution_state` does) and why a phase failed or waits
(that is a reason beside the status, never a sixth status).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class PhaseStatus(StrEnum):
    """Where a phase stands. The value is the word that people and files see."""

    NOT_STARTED = "NOT_STARTED"
    """At least one of its dependencies is neither completed nor waived."""

    QUEUED = "QUEUED"
    """All dependencies are satisfied; it waits for a free agent, a lock, a quota or a retry time."""

    IN_PROGRESS = "IN_PROGRESS"
    """Exactly one attempt is open. Its agent may be alive, or its end is not yet known."""

    COMPLETED = "COMPLETED"
    """An attempt succeeded: the agent ended well, the checks passed and the declared outputs exist."""

    FAILED = "FAILED"
    """No further attempt will be made unless somebody asks for one."""


_S = PhaseStatus

TRANSITIONS: Final[Mapping[PhaseStatus, frozenset[PhaseStatus]]] = MappingProxyType(
    {
        # its dependencies were satisfied | an earlier run had already completed it, with proof
        _S.NOT_STARTED: frozenset({_S.QUEUED, _S.COMPLETED}),
        # an attempt starts | a dependency was reset | it cannot be started at all | kept from an earlier run
        _S.QUEUED: frozenset({_S.IN_PROGRESS, _S.NOT_STARTED, _S.FAILED, _S.COMPLETED}),
        # proven | given up | lost, stopped or to be tried again
        _S.IN_PROGRESS: frozenset({_S.COMPLETED, _S.FAILED, _S.QUEUED}),
        # somebody asked for it again
        _S.COMPLETED: frozenset({_S.NOT_STARTED}),
        _S.FAILED: frozenset({_S.NOT_STARTED}),
    }
)
"""Every legal step. What is not in the table cannot happen: the one setter refuses it before it is recorded."""
