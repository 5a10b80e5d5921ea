"""What runs have left in the repository, and the removal of what is safe elsewhere.

What it does: goes through the runs of a workspace, and leaves alone those that somebody is in charge of.
What it does not know: how it is decided what can go (`core.leftovers`), and how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wavecrew.api.history import OpenedRun, open_run, require_own
from wavecrew.api.isolation import WORKTREE, integration_of
from wavecrew.api.rules import recorded_config
from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.git import Git
from wavecrew.core.leftovers import Leftovers, RunFacts
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.core.worktrees import BRANCHES, Worktrees
from wavecrew.errors import RunBusyError
from wavecrew.models import events as ev
from wavecrew.models.results import Fate, Leftover


def clean(store: Store, workspace: Path, reference: str = "", *, remove: bool = False) -> tuple[Leftover, ...]:
    """What the runs of this workspace (or the one that is named) have left, and with `remove` what became of it.

    Only what is merged and clean is removed. A run that somebody is in charge of is left alone as a whole. Raises
    NotFoundError for an unknown run, NotFoundError and PreflightError where there is no repository, GitError when git
    refuses.
    """
    names = [require_own(open_run(store, reference)).row.id] if reference else [row.id for row in store.runs()]
    runs = [opened for opened in (open_run(store, name) for name in names) if opened.state.isolation == WORKTREE]
    if not runs and reference:
        return ()
    git = Git.open(workspace) if runs else Git.find(workspace)
    if git is None:
        return ()
    found: list[Leftover] = []
    newest = {row.plan: row.id for row in reversed(store.runs())}
    for opened in runs:
        superseded = newest.get(opened.row.plan) != opened.row.id  # nobody goes on with it
        found += _of_run(store, git, workspace, opened, superseded, remove=remove)
    if not reference:
        found += _of_strangers(git, workspace, {row.id for row in store.runs()})
    return tuple(found)


def _of_run(
    store: Store, git: Git, workspace: Path, opened: OpenedRun, superseded: bool, *, remove: bool
) -> tuple[Leftover, ...]:
    run = opened.row.id
    busy = Leftover(run, "", Fate.KEPT, "a coordinator is in charge of it", f"wavecrew status {run}")
    if opened.alive:
        return (busy,)
    if not remove:
        return _leftovers(git, workspace, opened, superseded).look()
    try:
        with CoordinatorLock(store.folder / "runs" / run):  # nobody goes on with it meanwhile
            return _leftovers(git, workspace, open_run(store, run), superseded).remove()
    except RunBusyError:
        return (busy,)


def _leftovers(git: Git, workspace: Path, opened: OpenedRun, superseded: bool) -> Leftovers:
    run, state = opened.row.id, opened.state
    started = [event for event in opened.events if isinstance(event, ev.AttemptStarted)]
    facts = RunFacts(
        run=run,
        attempts={event.branch: (event.phase, event.attempt, event.base) for event in started},
        at_work=frozenset(state.phase_states[name].branch for name in state.running),
        over=superseded or (state.end_time is not None and state.succeeded),
        empty=state.base if state.result == state.base else "",
    )
    author = recorded_config(state.settings).author
    worktrees = Worktrees(git, workspace, workspace / STATE_FOLDER, run)
    return Leftovers(worktrees, integration_of(git, workspace, run, author), facts)


def _of_strangers(git: Git, workspace: Path, known: set[str]) -> Iterator[Leftover]:
    """Branches and folders of runs that are in no history here. Whoever is at work on them, it is not seen from here,
    so they are only named."""
    names = git.text("for-each-ref", "--format=%(refname)", f"{BRANCHES}wavecrew/").splitlines()
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.removeprefix(BRANCHES).split("/")[1], f"git log {name.removeprefix(BRANCHES)}")
    folders = workspace / STATE_FOLDER / "worktrees"
    for folder in sorted(folders.iterdir()) if folders.is_dir() else ():
        found.setdefault(folder.name, "git worktree list")
    for run, look in found.items():
        if run not in known:
            yield Leftover(run, "", Fate.KEPT, "this run is in no history here", look)
