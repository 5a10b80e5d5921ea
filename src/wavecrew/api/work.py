"""What the attempts of a phase have changed.

What it does: finds in the history where an attempt began, where its work stands and which other phases came home
meanwhile, and asks git for the difference.
What it does not know: how a difference is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wavecrew.api.history import OpenedRun, open_run
from wavecrew.api.results import result_of
from wavecrew.core.differences import changed_files, patch, uncommitted
from wavecrew.core.git import Git
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.core.worktree_state import tip_of
from wavecrew.core.worktrees import BRANCHES, Worktrees
from wavecrew.errors import GitError, NotFoundError
from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.models.results import Met, Trail, Work, WorkStage
from wavecrew.views.earlier import earlier_attempts


def work_of(store: Store, workspace: Path, opened: OpenedRun, phase: str, attempt: int | None = None) -> Work:
    """What an attempt of a phase has changed, the latest by default. Of a phase that was kept from an earlier run, what
    it changed there.

    Raises NotFoundError when there was no such attempt or its work is not there any more, and UsageError for a run in a
    shared folder.
    """
    result = result_of(opened, workspace)
    found = opened.state.phase_states[phase]
    if found.kept_from and attempt is None:
        earlier = _earlier(store, found.kept_from, phase)
        return work_of(store, workspace, earlier, phase)
    opened.log_file(phase, attempt)  # raises when there was no such attempt
    number = attempt or found.attempts
    trail = trail_of(opened.events, opened.state.graph, phase, number)
    trail = replace(trail, before=earlier_attempts(opened.events, phase, number))
    if not trail.commit:
        place = Worktrees(result.git, workspace, workspace / STATE_FOLDER, opened.row.id).place(phase, trail.attempt)
        with contextlib.suppress(GitError):  # else it is gone, or somebody's who has put something in its place
            return _in_folder(result.git, trail, place.folder)
    return _in_commits(result.git, trail)


def _earlier(store: Store, run: str, phase: str) -> OpenedRun:
    try:
        earlier = open_run(store, run)
        if phase in earlier.state.phase_states:
            return earlier
    except NotFoundError:
        pass
    raise NotFoundError(f"phase {phase} was kept from run {run}, whose history is not here")


def _in_folder(git: Git, trail: Trail, folder: Path) -> Work:
    """What stands in the folder of an attempt that is not sealed: its commits, and what is in none yet."""
    files = changed_files(git, trail.base, folder=folder)
    return Work(trail, files, uncommitted(git, folder), patch(git, trail.base, folder=folder))


def _in_commits(git: Git, trail: Trail) -> Work:
    commit = trail.commit or tip_of(git, BRANCHES + trail.branch)
    if not commit:
        raise NotFoundError(
            f"the branch of attempt {trail.attempt} of phase {trail.phase} is gone: {trail.branch}",
            fix="nothing of it was merged, so there is nothing to show",
        )
    try:
        files, text = changed_files(git, trail.base, commit), patch(git, trail.base, commit)
    except GitError as error:
        raise NotFoundError(
            f"the work of attempt {trail.attempt} of phase {trail.phase} cannot be read: {error.reason}",
            fix=f"see what is left of the run: wavecrew verify {trail.run}",
        ) from None
    return Work(replace(trail, commit=commit), files, (), text)


# -- the history ------------------------------------------------------------------------------------------------


def trail_of(events: Sequence[Event], graph: DependencyGraph, phase: str, attempt: int) -> Trail:
    """Where the work of an attempt began and what became of it."""
    info = graph.nodes[phase]
    trail = Trail("", phase, info.name, attempt, "", "", WorkStage.AT_WORK)
    changed: dict[str, tuple[str, ...]] = {}
    own: frozenset[str] = frozenset()
    homes: list[str] = []  # phases that came home, since this attempt began
    over = False
    for event in events:
        match event:
            case ev.RunStarted(run=run):
                trail = replace(trail, run=run)
            case ev.WorkSealed(phase=other):
                changed[other] = event.changed
            case _:
                pass
        if _is_about(event, phase, attempt):
            homes = [] if isinstance(event, ev.AttemptStarted) else homes
            trail, over = _step(trail, event), over or isinstance(event, ev.AttemptEnded)
            if isinstance(event, ev.WorkSealed):
                own = frozenset(event.changed)
        elif isinstance(event, ev.AttemptEnded) and event.commit and not over:
            homes.append(event.phase)
    if not trail.commit:
        return trail
    names = {name: found.name for name, found in graph.nodes.items()}  # a plan can have lost phases meanwhile
    met = (Met(one, names.get(one, one), tuple(p for p in changed.get(one, ()) if p in own)) for one in homes)
    return replace(trail, met=tuple(met))


def _is_about(event: Event, phase: str, attempt: int) -> bool:
    return getattr(event, "phase", None) == phase and getattr(event, "attempt", None) == attempt


def _step(trail: Trail, event: Event) -> Trail:
    match event:
        case ev.AttemptStarted():
            return replace(trail, base=event.base, branch=event.branch)
        case ev.WorkSealed():
            return replace(trail, commit=event.commit, stage=WorkStage.SEALED)
        case ev.MergeRefused():
            return replace(trail, refused=event.detail)
        case ev.AttemptEnded(outcome=Outcome.SUCCEEDED):
            return replace(trail, stage=WorkStage.MERGED, refused="")
        case ev.AttemptEnded() if not trail.commit:
            return replace(trail, stage=WorkStage.UNFINISHED)
        case _:
            return trail
