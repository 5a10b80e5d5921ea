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
from wavecrew.core.audit import told
from wavecrew.core.care import AuditPolicy
from wavecrew.core.git import Git, program
from wavecrew.core.guard import Guard
from wavecrew.core.integration import Conflict, Integration
from wavecrew.core.jobs import Desk
from wavecrew.core.repository import RepositoryFacts, look, require_no_programs, require_sound, warnings
from wavecrew.core.store import STATE_FOLDER
from wavecrew.core.way_home import Isolation
from wavecrew.core.worktrees import Worktrees
from wavecrew.errors import PreflightError
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.plan import Plan

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
                f"what the earlier run made does not go together with what is here now: {told(found.paths)}",
                fix="land it first (wavecrew land), or keep nothing of it (wavecrew run --force)",
            )
        return found.commit


def survey(
    folder: Path,
    config: ParallelExecutionConfig,
    *,
    result: str = "",
    exempt: Collection[Path] = (),
    include_dirty: bool = False,
    agreed: bool = False,
) -> Ground:
    """Look at the ground before anything starts. `result` is what the earlier run of the plan has come to, if some of
    it is kept. `exempt` are files whose changes do not matter: the plan and the configuration. `agreed` is consent to
    programs that the repository's own configuration names.

    Raises PreflightError, with the way out, for a repository that no run can start from.
    """
    if config.isolation == SHARED:
        return Ground()
    if config.isolation == WORKTREE:
        git = Git.open(folder)
    else:
        found = Git.find(folder)
        if found is None:
            _require_no_repository(folder)
            return Ground()
        git = found
    facts = look(git)
    if config.isolation != WORKTREE and not facts.head:
        return Ground(warnings=("this repository has no commits yet, so all agents work in one shared folder",))
    root = git.root.resolve()
    own = {path.relative_to(root).as_posix() for path in exempt if path.is_relative_to(root)}
    require_sound(facts, include_dirty=include_dirty, exempt=own, agreed=agreed)
    return Ground(WORKTREE, git, facts, result, include_dirty, warnings(facts))


def survey_again(folder: Path, state: ExecutionState, *, agreed: bool = False) -> None:
    """Look once more at the repository of a run that is taken up: somebody may have changed its settings since. Raises
    PreflightError like `survey` for settings that start programs, unless somebody has `agreed`."""
    if state.isolation == WORKTREE and not agreed:
        require_no_programs(Git.open(folder))


def _require_no_repository(folder: Path) -> None:
    """Where git is missing, nobody may find his own files changed because of that alone."""
    if program() is None and any((one / ".git").exists() for one in (folder, *folder.parents)):
        raise PreflightError(
            "this is a git repository, but git was not found",
            fix="install git, or let all agents work in this one folder: --isolation shared",
        )


def prefix_of(git: Git, workspace: Path) -> str:
    """The workspace as seen from the top of its repository; empty when it is the top."""
    prefix = workspace.resolve().relative_to(git.root.resolve()).as_posix()
    return "" if prefix == "." else prefix


def documents_of(plan: Plan) -> tuple[Path, ...]:
    """The files that a plan was read from."""
    named = {Path(plan.path)} | {Path(phase.source.file) for phase in plan.phases if phase.source}
    return tuple(sorted(path.resolve() for path in named if path.is_file()))


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


def next_desk(state: ExecutionState, workspace: Path, phase: str, run: str) -> Desk:
    """Where the next attempt of a phase would work if it were started alone and now. Nothing is made."""
    if state.isolation != WORKTREE:
        return Desk(workspace)
    worktrees, attempt = (
        Worktrees(Git.open(workspace), workspace, workspace / STATE_FOLDER, run),
        state.phase_states[phase].attempts + 1,
    )
    place = worktrees.place(phase, attempt)
    earlier = worktrees.earlier_branch(phase, attempt, state.result) if state.result else ""
    return Desk(place.workspace, 1, state.result, place.branch, earlier)
