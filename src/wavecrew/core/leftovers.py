"""What a run has left in a repository once nobody is in charge of it, and what of that can go.

What it does: looks at the branches and worktrees of one run, says of each whether its work is safe elsewhere, and
removes what is.
What it does not know: whether a coordinator is alive (whoever calls holds its lock or has looked), other runs, and the
history. What cannot be proven to be safe stays, with the reason and a way to look at it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wavecrew.core.git import Git
from wavecrew.core.integration import Integration
from wavecrew.core.worktree_state import Listed, is_ancestor, listed, tip_of
from wavecrew.core.worktrees import BRANCHES, Remain, Worktrees
from wavecrew.errors import GitError
from wavecrew.models.results import Fate, Leftover

_STATUS: Final = "wavecrew status "
_OURS: Final = f"{BRANCHES}wavecrew/"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the history says: the phase, the attempt and the first commit of each branch, those that are still at work
    (or wait for the next coordinator), and whether the run is over and needs its result no more. `empty` is the commit
    that the result began at, if nothing was merged into it: whoever goes on with the run begins it again there."""

    run: str
    attempts: Mapping[str, tuple[str, int, str]]
    at_work: frozenset[str]
    over: bool
    empty: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """Something that is left, and what to remove if it can go."""

    told: Leftover
    remain: Remain | None


class Leftovers:
    """What one run has left. `integration` is its result, `worktrees` are its own. All methods raise GitError."""

    def __init__(self, worktrees: Worktrees, integration: Integration, facts: RunFacts) -> None:
        self._git: Git = integration.git
        self._worktrees = worktrees
        self._integration = integration
        self._facts = facts

    def look(self) -> tuple[Leftover, ...]:
        """All that is left, and what could go. Nothing is changed."""
        return tuple(found.told for found in self._all())

    def remove(self) -> tuple[Leftover, ...]:
        """Remove what can go; gives all that was left, with what became of it. What turns out to hold work stays."""
        done = []
        for found in self._all():
            told = found.told
            if told.fate is Fate.REMOVABLE:
                try:
                    self._discard(found)
                    told = replace(told, fate=Fate.REMOVED)
                except GitError as error:
                    told = replace(told, fate=Fate.KEPT, reason=error.reason)
            done.append(told)
        return tuple(done)

    def _discard(self, found: _Found) -> None:
        if found.remain is not None:
            self._worktrees.discard(found.remain)
            return
        with self._git.writing():
            tip, own = self._integration.tip(), self._users_branch()
            if not own or not tip or not is_ancestor(self._git, tip, tip_of(self._git, own)):
                raise GitError("it has gone on, or your branch has", fix="look again: wavecrew clean")
            self._git.run("update-ref", "--no-deref", "-d", self._integration.ref, tip)

    # -- looking

    def _all(self) -> Iterator[_Found]:
        places = listed(self._git)
        tip, own = self._integration.tip(), self._users_branch()
        mine = tip_of(self._git, own or "HEAD")
        for remain in self._worktrees.remains(tip or mine) if tip or mine else ():
            safe = remain.merged or bool(remain.commit and mine and is_ancestor(self._git, remain.commit, mine))
            remain = replace(remain, merged=safe)
            yield _Found(self._judged(remain, places), remain)
        if tip:
            yield _Found(self._result(tip, own, places), None)

    def _users_branch(self) -> str:
        """The branch that is checked out in the workspace, by its full name; empty for none, and for one of ours."""
        ref = self._git.text("symbolic-ref", "--quiet", "HEAD", accept=(0, 1))
        return "" if ref.startswith(_OURS) else ref

    def _judged(self, remain: Remain, places: tuple[Listed, ...]) -> Leftover:
        phase, attempt, _ = self._facts.attempts.get(remain.branch, ("", 0, ""))
        folder = str(remain.folder or "")
        fate, reason, look = self._fate(remain, places)
        by_hand = fate is Fate.KEPT and remain.branch and look and not look.startswith(_STATUS)
        remove = _by_hand(remain.branch, folder) if by_hand else ""
        return Leftover(remain.run, remain.branch, fate, reason, look, remain.size, folder, phase, attempt, remove)

    def _fate(self, remain: Remain, places: tuple[Listed, ...]) -> tuple[Fate, str, str]:
        status = f"git -C {shlex.quote(str(remain.folder))} status"
        elsewhere = _checked_out(places, BRANCHES + remain.branch, remain.folder)
        if not remain.branch:
            return Fate.KEPT, "a folder without a branch; its files may be nowhere else", status
        if remain.branch in self._facts.at_work:
            return Fate.KEPT, "the run goes on with it", f"{_STATUS}{remain.run}"
        if elsewhere:
            return Fate.KEPT, f"checked out in {elsewhere}", ""
        if remain.unsaved:
            return Fate.KEPT, "its folder holds what is in no commit", status
        if not remain.merged:
            return Fate.KEPT, "its work is in no result", self._way_to_look(remain.branch)
        idle = self._facts.attempts.get(remain.branch, ("", 0, ""))[2] == remain.commit
        return Fate.REMOVABLE, "it holds no work of its own" if idle else "its work is merged", ""

    def _way_to_look(self, branch: str) -> str:
        if branch not in self._facts.attempts:
            return f"git log -p {branch}"
        phase, attempt, _ = self._facts.attempts[branch]
        return f"wavecrew diff {shlex.quote(phase)} --attempt {attempt} --run {self._facts.run}"

    def _result(self, tip: str, own: str, places: tuple[Listed, ...]) -> Leftover:
        run, branch = self._facts.run, self._integration.ref.removeprefix(BRANCHES)
        fate, reason, look, remove = Fate.REMOVABLE, f"all of it is in {own.removeprefix(BRANCHES)}", "", ""
        elsewhere = _checked_out(places, self._integration.ref, None)
        if elsewhere:
            fate, reason = Fate.KEPT, f"checked out in {elsewhere}"
        elif own and tip == self._facts.empty and is_ancestor(self._git, tip, tip_of(self._git, own)):
            reason = "it holds no work of its own"
        elif not self._facts.over:
            fate, reason, look = Fate.KEPT, "the run is not over", f"{_STATUS}{run}"
        elif not own:
            fate, reason = Fate.KEPT, "no branch of yours is checked out here"
        elif not is_ancestor(self._git, tip, tip_of(self._git, own)):
            fate, look, remove = Fate.KEPT, f"wavecrew land {run}", _by_hand(branch, "")
            reason = f"it holds work that is not in {own.removeprefix(BRANCHES)}"
        return Leftover(run, branch, fate, reason, look, remove=remove)


def _by_hand(branch: str, folder: str) -> str:
    """By which a person removes a branch and a folder, whatever they hold."""
    commands = [f"git worktree remove --force {shlex.quote(folder)}"] if folder else []
    return " && ".join([*commands, f"git branch -D {shlex.quote(branch)}"])


def _checked_out(places: tuple[Listed, ...], ref: str, folder: Path | None) -> str:
    """Where somebody has a branch checked out, other than in the folder that was made for it."""
    return next((str(one.folder) for one in places if one.branch == ref and one.folder != folder), "")
