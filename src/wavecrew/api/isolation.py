"""Whether the attempts of a run work alone in git worktrees, and all that they need for it.

What it does: chooses between worktrees and the shared folder, looks at the repository before anything starts, finds the
commit that the result of a new run begins at, and puts worktrees, result and guard together.
What it does not know: plans, and how attempts are carried out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.care import AuditPolicy
from wavecrew.core.git import Git
from wavecrew.core.guard import Guard
from wavecrew.core.homecoming import Isolation
from wavecrew.core.integration import Conflict, Integration
from wavecrew.core.repository import RepositoryFacts, look, require_sound, warnings
from wavecrew.core.store import STATE_FOLDER
from wavecrew.core.worktrees import Worktrees
from wavecrew.errors import PreflightError
from wavecrew.models.execution_state import ExecutionState

WORKTREE: Final = "worktree"
SHARED: Final = "shared"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a new run stands on. `repository` is None in a shared folder; `result` is the commit that an earlier run of
    the plan has come to, if work of it is kept."""

    isolation: str = SHARED
    repository: Git | None = None
    facts: RepositoryFacts | None = None
    result: str = ""
    include_dirty: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """The commit that the user stands at; empty in a shared folder."""
        return self.facts.head if self.facts else ""

    def base(self, workspace: Path, run: str, author: str | None) -> str:
        """The commit that the result of a run begins at: what the user has, with the kept work of the earlier run.

        Objects may be written, but no branch is moved. Raises PreflightError when the two do not merge.
        """
        if self.repository is None:
            return ""
        integration = integration_of(self.repository, workspace, run, author)
        start = integration.snapshot("Work in progress, as the run found it") if self.include_dirty else self.head
        if not self.result or integration.contains(self.result, start):
            return start
        found = integration.propose(start, self.result, "Go on from the result of an earlier run")
        if isinstance(found, Conflict):
            raise PreflightError(
                f"what the earlier run has made does not go together with what is here now: {', '.join(found.paths[:5])}",
                fix="land it first and solve the conflict: wavecrew land; or keep nothing of it: wavecrew run --force",
            )
        return found.commit


def survey(
    folder: Path,
    config: ParallelExecutionConfig,
    *,
    earlier: ExecutionState | None = None,
    exempt: Collection[str] = (),
    include_dirty: bool = False,
    agreed: bool = False,
) -> Ground:
    """Look at the ground before anything starts. `exempt` are files, relative to the repository, whose changes do not
    matter: the plan and the configuration. `agreed` is consent to programs that the repository's own configuration
    names.

    Raises PreflightError, with the way out, for a repository that no run can start from.
    """
    if config.isolation == SHARED:
        return Ground()
    if config.isolation == WORKTREE:
        git = Git.open(folder)
    else:
        found = Git.find(folder)
        if found is None:
            return Ground()
        git = found
    facts = look(git)
    if config.isolation != WORKTREE and not facts.head:
        return Ground(warnings=("this repository has no commits yet, so all agents work in one shared folder",))
    require_sound(facts, include_dirty=include_dirty, exempt=exempt, agreed=agreed)
    result = earlier.result if earlier is not None and earlier.isolation == WORKTREE else ""
    return Ground(WORKTREE, git, facts, result, include_dirty, warnings(facts))


def integration_of(git: Git, workspace: Path, run: str, author: str | None) -> Integration:
    """The result of a run in a repository."""
    return Integration(git, run, author or "", workspace=workspace, state_folder=workspace / STATE_FOLDER)


def isolation_of(
    state: ExecutionState, workspace: Path, config: ParallelExecutionConfig, documents: Iterable[Path] = ()
) -> Isolation | None:
    """What the attempts of a run need to work alone; None for a run in a shared folder. `documents` are watched: no
    agent may change them. Raises PreflightError when the repository is gone."""
    if state.isolation != WORKTREE:
        return None
    git = Git.open(workspace)
    return Isolation(
        worktrees=Worktrees(git, workspace, workspace / STATE_FOLDER, state.run),
        integration=integration_of(git, workspace, state.run, config.author),
        guard=Guard(git.common, documents),
        audit=AuditPolicy(config.audit),
        gate_commands=config.gate_commands,
        teardown=config.teardown,
    )
