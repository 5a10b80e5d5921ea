"""Where to look for what phases read and have made, and what a new run keeps of an earlier one.

What it does: is the one place that decides between a folder and a commit.
What it does not know: how either is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wavecrew.api.isolation import WORKTREE, integration_of, prefix_of
from wavecrew.api.workspace import Workspace
from wavecrew.core.commit_evidence import CommitEvidence
from wavecrew.core.git import Git
from wavecrew.core.inputs import FolderEvidence
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.inputs import Evidence


@dataclass(frozen=True, slots=True)
class Kept:
    """Work of an earlier run that a new one keeps: who did it, the commit that holds it, and what it was made from."""

    from_run: str
    commit: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)


def evidence_for(workspace: Workspace, state: ExecutionState | None) -> Evidence:
    """Where the files are that phases read and make: those of a run, or of one that is about to begin.

    For a run in worktrees that is not over, all is in its result. When it is over, what it has made is still there,
    but what phases read is what the user has by now: a new run would begin from that.
    """
    if state is None or state.isolation != WORKTREE:
        return FolderEvidence(workspace.folder)
    git = Git.open(workspace.folder)
    integration = integration_of(git, workspace.folder, state.run, None)
    over = state.succeeded and state.end_time is not None

    def head() -> str:
        return git.text("rev-parse", "HEAD")

    def result() -> str:
        return integration.tip() or state.result or head()

    return CommitEvidence(
        git, prefix_of(git, workspace.folder), outputs_at=result, contents_at=head if over else result
    )
