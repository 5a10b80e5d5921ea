"""Where to look for what phases read and have made, and what a new run keeps of an earlier one.

What it does: is the one place that decides between a folder and a commit.
What it does not know: how either is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wavecrew.api.history import OpenedRun
from wavecrew.api.workspace import Workspace
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.inputs import FolderEvidence
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.inputs import Evidence


@dataclass(frozen=True, slots=True)
class Kept:
    """Work of an earlier run that a new one keeps: who did it, the commit that holds it, and what it was made from."""

    from_run: str
    commit: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)


def begin_place(
    workspace: Workspace, config: ParallelExecutionConfig, earlier: OpenedRun | None, kept: Mapping[str, Kept]
) -> tuple[str, str]:
    """How attempts of a new run are kept apart (`shared` or `worktree`), and the commit that its result begins at."""
    return "shared", ""


def evidence_for(workspace: Workspace, state: ExecutionState | None) -> Evidence:
    """Where the files are that phases read and make: those of a run, or of one that is about to begin."""
    return FolderEvidence(workspace.folder)
