"""What a run has come to: the proof of it, and the way to a branch of the user.

What it does: proves any run, living or long over, and lands its result, with a record of that in its history.
What it does not know: how work came into the result, and how a proof or a landing is shown.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.api.control import ask
from wavecrew.api.history import OpenedRun, open_run, require_own
from wavecrew.api.isolation import WORKTREE, integration_of
from wavecrew.api.rules import recorded_config
from wavecrew.core.commits import RUN, with_trailers
from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.differences import changed_files, new_commits
from wavecrew.core.git import Git
from wavecrew.core.integration import Integration
from wavecrew.core.proof import prove, prove_shared
from wavecrew.core.store import Store
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.core.worktree_state import tip_of
from wavecrew.core.worktrees import BRANCHES
from wavecrew.errors import NotFoundError, PreflightError, RunBusyError, UsageError, WavecrewError
from wavecrew.models import events as ev
from wavecrew.models.proof import Proof
from wavecrew.models.results import Landed

_OURS: Final = "wavecrew/"
_TOLD: Final = 6


def result_of(opened: OpenedRun, workspace: Path) -> Integration:
    """The result of a run in worktrees. Raises UsageError for a run in a shared folder, NotFoundError and
    PreflightError when its repository cannot be found or opened."""
    state = require_own(opened).state
    if state.isolation != WORKTREE:
        raise UsageError(
            f"run {opened.row.id} worked in one shared folder: its work is there, on no branch of its own",
            fix="the next run can keep it apart: wavecrew run --isolation worktree",
        )
    return integration_of(Git.open(workspace), workspace, opened.row.id, recorded_config(state.settings).author)


def verify(opened: OpenedRun, workspace: Path) -> Proof:
    """The proof of a run. In a shared folder it says no more than that the outputs exist. Raises like `result_of`."""
    if require_own(opened).state.isolation != WORKTREE:
        return prove_shared(workspace, opened.state)
    return prove(result_of(opened, workspace), opened.state)


# -- landing ----------------------------------------------------------------------------------------------------


def land(
    store: Store,
    workspace: Path,
    reference: str = "latest",
    *,
    by: str,
    into: str = "",
    partial: bool = False,
    exempt: Collection[Path] = (),
) -> Landed:
    """Bring the result of a run to a branch of the user: `into`, or the one that is checked out in the workspace. It is
    moved there or merged, and what is checked out follows. `partial` lands what is merged so far. `exempt` are files,
    such as the configuration, that may stay uncommitted; the documents of the plan always may, as for a run.

    Raises PreflightError for a run that is not proven or not over, GitError when there are uncommitted changes that are
    not in the result, or the two do not merge, NotFoundError for a branch that does not exist; nothing is changed then.
    Raises UsageError for a run in a shared folder.
    """
    while True:
        opened = open_run(store, reference)
        result = result_of(opened, workspace)
        branch = landing_branch(result.git, into)
        way = _Way(result, branch, (*exempt, *_documents(opened, workspace)))
        if opened.alive:
            return _land_beside(store, workspace, opened, way, by=by, partial=partial)
        try:
            lock = CoordinatorLock(store.folder / "runs" / opened.row.id)
            with lock:  # so that nobody else goes on with the run meanwhile
                return _land_alone(store, opened.row.id, way, by=by, partial=partial)
        except RunBusyError:
            continue  # somebody took charge in this very moment


def _documents(opened: OpenedRun, workspace: Path) -> Iterator[Path]:
    """The files that the plan of a run was read from."""
    plan, named = workspace / opened.row.plan, Path(opened.state.plan_path)
    if plan.is_file():
        yield plan.resolve()
    for phase in opened.state.graph.nodes.values():
        file = Path(phase.source.file) if phase.source else named
        if file != named and file.is_relative_to(named):
            yield (plan / file.relative_to(named)).resolve()


@dataclass(frozen=True, slots=True)
class _Way:
    """From a result to a branch; `exempt` are files that may stay uncommitted."""

    result: Integration
    branch: str
    exempt: tuple[Path, ...]


def _land_alone(store: Store, run: str, way: _Way, *, by: str, partial: bool) -> Landed:
    epoch = store.take_charge(run)  # first: where nothing can be recorded, nothing is moved
    opened = open_run(store, run)
    landed = _move(opened, way, partial=partial)
    if _is_news(opened, landed):
        event = ev.ResultLanded(at=time.time(), by=by, branch=way.branch, commit=landed.after)
        with store.transaction() as tx:
            store.append(tx, run, [event], epoch=epoch)
    return landed


def _land_beside(store: Store, workspace: Path, opened: OpenedRun, way: _Way, *, by: str, partial: bool) -> Landed:
    """With a coordinator at work: it goes on meanwhile, and is told what was landed."""
    run = opened.row.id
    if not partial:
        raise PreflightError(
            f"run {run} is still at work",
            fix=f"wait for it: wavecrew status --wait; or land what is merged so far: wavecrew land {run} --partial",
        )
    landed, branch = _move(opened, way, partial=True), way.branch
    if _is_news(opened, landed):
        wish = Wish(kind=WishKind.LANDED, by=by, branch=branch, commit=landed.after)
        try:
            ask(store, workspace, run, wish)
        except WavecrewError as error:
            raise RunBusyError(
                f"{branch} has the result now, but this is not on record: {error.reason}",
                fix=f"have it recorded later: wavecrew land {run} --partial --into {branch}",
            ) from None
    return landed


def _is_news(opened: OpenedRun, landed: Landed) -> bool:
    return not landed.already or opened.state.landed_on != landed.branch


def require_landing(workspace: Path, isolation: str, into: str) -> None:
    """Raise, before the work begins, what would keep its result from a branch at the end: UsageError for a run in a
    shared folder, NotFoundError for a branch that does not exist."""
    if isolation != WORKTREE:
        raise UsageError(
            "all work is done in one shared folder, so there is no result to bring to a branch",
            fix="leave out --into, or keep the work apart: --isolation worktree",
        )
    landing_branch(Git.open(workspace), into)


def landing_branch(git: Git, into: str) -> str:
    """The short name of the branch to land on, the one that is checked out by default."""
    wanted = into.removeprefix(BRANCHES)
    if not wanted:
        wanted = git.text("symbolic-ref", "--quiet", "HEAD", accept=(0, 1)).removeprefix(BRANCHES)
        if not wanted:
            raise PreflightError("no branch is checked out here", fix="name one: wavecrew land --into BRANCH")
    if wanted.startswith(_OURS):
        raise UsageError(f"{wanted} is a branch of wavecrew", fix="name one of yours: wavecrew land --into BRANCH")
    if git.run("show-ref", "--verify", "--quiet", BRANCHES + wanted, accept=(0, 1, 128)).code:
        raise NotFoundError(f"there is no branch {wanted}", fix="make it with git branch, or name one that exists")
    return wanted


def _move(opened: OpenedRun, way: _Way, *, partial: bool) -> Landed:
    run, result, branch, git = opened.row.id, way.result, way.branch, way.result.git
    proof = prove(result, opened.state)
    _require_proven(proof)
    if proof.open and not partial:
        names = ", ".join(proof.open[:_TOLD]) + (", ..." if len(proof.open) > _TOLD else "")
        raise PreflightError(
            f"run {run} is not over: {names} not done",
            fix=f"go on with it: wavecrew run; or land what is merged so far: wavecrew land {run} --partial",
        )
    before = tip_of(git, BRANCHES + branch)
    message = with_trailers(f"Land the result of run {run}", {RUN: run})
    after = result.land(BRANCHES + branch, proof.tip, message, start=opened.state.base, exempt=way.exempt)
    news = {phase for _, phase in result.closing_commits(after, before)}
    return Landed(
        run=run,
        branch=branch,
        before=before,
        after=after,
        result=proof.tip,
        phases=tuple(found.phase for found in proof.phases if found.phase in news),
        commits=new_commits(git, before, after),
        files=changed_files(git, before, after),
        open=proof.open,
    )


def _require_proven(proof: Proof) -> None:
    if proof.holds and proof.tip:
        return
    bad = [found for found in proof.phases if found.lacks]
    why = proof.lacks[0].what if proof.lacks else "it has no result yet"
    if bad and not proof.lacks:
        why = f"phase {bad[0].phase}: {bad[0].lacks[0].what}"
    raise PreflightError(
        f"run {proof.run} is not proven, so it is not landed: {why}",
        fix=f"see what is missing and what brings it back: wavecrew verify {proof.run}",
    )
