"""What must be true of work in worktrees whatever was killed, read from git itself and from what agents have told.

C1 the commit of each completed phase is in the result, with its outputs; C2 no commit that a branch of a run had is
gone from all branches; C3 what an agent has finished is on its branch, in the result, or still in its folder; C4 the
user's branch, index, files and settings are as they were; C5 nothing is in the result that the gate has not seen;
C6 no lock file of git, no half-made worktree, no job that was left is there at the end, and each completed attempt was
cleared up after; C7 the tree of the result is that of an undisturbed run. I1 to I10 are those of `chaos_invariants`.
"""

from __future__ import annotations

from pathlib import Path

import chaos_invariants
from chaos_git_world import GitWorld
from chaos_invariants import History

from wavecrew.models import events as ev
from wavecrew.models.events import Outcome
from wavecrew.models.phase_status import PhaseStatus

_OURS = "wavecrew.lock"
"""The file that our own git calls wait for each other at: it is never removed, and nobody holds it for long."""
_BRANCH = "refs/heads/wavecrew/"


def check(world: GitWorld) -> History | None:
    """What must hold at every moment, also while nobody is in charge, and while agents are at work."""
    history = chaos_invariants.check(world)
    _users_things(world)
    _branches(world, history)
    if history is not None:
        _conserved(world, history)
        _gated(world, history)
    return history


def check_finished(world: GitWorld, tree: str = "", *, refused: bool = False) -> History:
    """What must hold once a run has come to its green end; `tree` is that of the undisturbed result. `refused`: git or
    the disk has refused something, so that a worktree may have stayed."""
    history = chaos_invariants.check_finished(world)
    check(world)
    _told_work(world)
    _nothing_left(world, history, refused)
    _cleared_up(world, history)
    told = world.start("verify")
    assert told.end() == 0, f"C1: verify says: {told.told}"
    found = world.git("rev-parse", f"{world.result}^{{tree}}").strip()
    assert not tree or found == tree, f"C7: {world.files(found)}"
    return history


def _users_things(world: GitWorld) -> None:
    now = world.users()
    assert now.head == world.mine.head, f"C4: HEAD is {now.head}"
    assert now.branches == world.mine.branches, f"C4: {now.branches}"
    assert now.status == world.mine.status, f"C4: git status: {now.status}"
    other = {path for path in {*now.files, *world.mine.files} if now.files.get(path) != world.mine.files.get(path)}
    assert not other, f"C4: other files than before: {sorted(other)}"


def _branches(world: GitWorld, history: History | None) -> None:
    """All that was ever seen on a branch of a run stays on one, and all that was sealed."""
    for event in () if history is None else history.events:
        if isinstance(event, ev.WorkSealed):
            world.seen.setdefault(event.commit, f"sealed work of {event.phase}, attempt {event.attempt}")
    now = {name: at for name, at in world.refs().items() if name.startswith(_BRANCH)}
    world.seen |= {at: name for name, at in now.items()}
    if world.seen:
        lost = set(world.seen) - world.reachable()
        assert not lost, f"C2: gone from all branches: {[(world.seen[at], at) for at in lost]}"


def _conserved(world: GitWorld, history: History) -> None:
    """C1: by git alone. The result only ever gains, so a history that was read a moment ago can be held against it."""
    done = [(name, found) for name, found in history.state.phase_states.items() if found.commit]
    if not done:
        return
    tip = world.tip
    held = set(world.git("rev-list", tip).split()) if tip else set()
    files = world.files(tip) if tip else {}
    for name, found in done:
        if found.status is PhaseStatus.COMPLETED:
            assert found.commit in held, f"C1: the commit of {name} is not in the result"
            assert found.sealed in held, f"C1: the sealed work of {name} is not in the result"
            lacking = [output for output in world.outputs(name) if output not in files]
            assert not lacking, f"C1: the result lacks {lacking} of {name}"
    ends = [event for event in history.events if isinstance(event, ev.AttemptEnded) and event.commit]
    twice = {event.phase for event in ends if sum(other.phase == event.phase for other in ends) > 1}
    assert not twice, f"I2: completed twice: {twice}"


def _gated(world: GitWorld, history: History) -> None:
    if not world.gated:
        return
    seen = set(world.lines("gated"))
    merges = [event for event in history.events if isinstance(event, ev.MergeProposed)]
    above = {event.onto: event.commit for event in merges if event.beside}
    for name, found in history.state.phase_states.items():
        if found.status is PhaseStatus.COMPLETED:
            top = found.commit
            while top not in seen and top in above:  # several that were checked as one tree
                top = above[top]
            assert top in seen, f"C5: {name} came into the result past the gate"
            world.git("merge-base", "--is-ancestor", top, world.tip)  # it came in with all that it was seen with


def _told_work(world: GitWorld) -> None:
    """C3: an attempt that has told its end has made its output, and that must be somewhere."""
    refs = world.refs()
    for line in world.lines("ran"):
        words = line.split()
        if len(words) != 4 or words[0] != "-" or world.phases[words[1]].command:
            continue
        name, attempt = words[1], words[2]
        branch = f"{_BRANCH}r1/{name}/{attempt}"
        folder = world.state / "worktrees" / "r1" / f"{name}-{attempt}"
        for output in world.outputs(name):
            on_branch = branch in refs and (output in world.files(branch) or _ignored(output))
            assert on_branch or (folder / output).exists(), f"C3: {output} of {name}, attempt {attempt}, is lost"


def _ignored(output: str) -> bool:
    """Whether git ignores it: such a file is kept on a branch only when the work is sealed."""
    return output.startswith("dist/")


def _may_stay(event: ev.Event, refused: bool) -> bool:
    """The worktrees of attempts that failed for good stay, for people to look at."""
    if not isinstance(event, ev.AttemptEnded) or event.outcome is Outcome.SUCCEEDED:
        return False
    return refused or (event.outcome is Outcome.FAILED and event.retry_at is None)


def _nothing_left(world: GitWorld, history: History, refused: bool) -> None:
    locks = [path for path in world.common.rglob("*.lock") if path.name != _OURS]
    assert not locks, f"C6: locks are left: {locks}"
    known = world.worktrees()
    for one in known:
        assert "locked" not in one, f"C6: a half-made worktree: {one}"
        assert "prunable" not in one, f"C6: a worktree without a folder: {one}"
    kept = {Path(one["worktree"].strip()) for one in known}
    folders = set((world.state / "worktrees").glob("*/*"))
    assert kept == folders, f"C6: {kept ^ folders} is in one place only"
    failed = {
        f"{e.phase}-{e.attempt}" for e in history.events if isinstance(e, ev.AttemptEnded) if _may_stay(e, refused)
    }
    surplus = sorted(folder.name for folder in kept if folder.name not in failed)
    assert not surplus, f"C6: worktrees are left: {surplus}"
    if kept:
        told = world.start("clean", "--yes")
        assert told.end() == 0, told.told
        held = set(world.git("rev-list", world.result).split())
        merged = [one["worktree"] for one in world.worktrees() if one["HEAD"].strip() in held]
        assert not merged, f"C6: clean has left {merged}: {told.told}"
    lines = world.git("fsck", "--no-dangling", "--no-progress", "--connectivity-only").splitlines()
    assert not lines, f"C6: git fsck: {lines}"


def _cleared_up(world: GitWorld, history: History) -> None:
    if not world.gated:
        return
    told = set(world.lines("torn-down"))
    for name, found in history.state.phase_states.items():
        if found.status is PhaseStatus.COMPLETED:
            assert f"{name} {found.attempts}" in told, f"C6: nobody has cleared up after {name}"
