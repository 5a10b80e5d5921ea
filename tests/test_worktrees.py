"""Worktrees of attempts: opened by many at once, after any crash, and closed only when nothing is lost."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_world import Killed, World, home
from wavecrew.core.attempts import slug_of
from wavecrew.core.git import Git
from wavecrew.core.git_calls import Answer
from wavecrew.core.worktrees import Worktrees
from wavecrew.errors import GitError

MARK = "wavecrew fills it"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    home(tmp_path, monkeypatch)
    return World(tmp_path)


# -- names ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "..",
    "-rf",
    "a b",
    "x\ny",
    "result",
    "RESULT",
    "a.lock",
    "é" * 90,
    "/etc/passwd",
    "@{-1}",
    "~^:?*[\\",
    "\udcff",
    "%",
]


def test_a_place_is_named_by_run_phase_and_attempt(world: World) -> None:
    place = world.worktrees().place("P1", 3)

    assert place.branch == "wavecrew/r1/P1/3"
    assert place.ref == "refs/heads/wavecrew/r1/P1/3"
    assert place.folder == world.state / "worktrees" / "r1" / "P1-3"
    assert place.workspace == place.folder
    assert place.prefix == ""
    assert not place.folder.exists()


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1)), min_size=1, max_size=6, unique=True))
def test_every_phase_has_a_harmless_name_of_its_own(phases: list[str]) -> None:
    slugs = [slug_of(phase) for phase in phases]

    assert len(set(slugs)) == len(slugs)
    for slug in slugs:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,48}", slug)
        assert slug.lower() != "result"
        assert slug_of(slug) == slug or re.search(r"-[0-9a-f]{8}$", slug)


@pytest.mark.parametrize("phase", HOSTILE)
def test_a_hostile_phase_works_like_any_other(world: World, phase: str) -> None:
    world.integration().begin(world.start)
    place = world.opened(phase)

    assert (place.folder / "a.txt").read_text() == "one\n"
    assert world.worktrees().close(place)
    assert world.branch(place.branch) == world.start


# -- opening ----------------------------------------------------------------------------------------------------


def test_a_worktree_has_all_files_of_its_base_and_a_branch_without_upstream(world: World) -> None:
    later = world.commit(world.top, "later", **{"new.txt": "n"})
    place = world.opened(base=later)

    assert (place.folder / "new.txt").read_text() == "n"
    assert world.sh("git", "status", "--porcelain", cwd=place.folder) == ""
    assert world.sh("git", "symbolic-ref", "HEAD", cwd=place.folder) == place.ref
    assert world.branch(place.branch) == later
    assert world.sh("git", "config", "--get-regexp", "^branch", check=False) == ""
    assert "locked" not in world.sh("git", "worktree", "list", "--porcelain")
    assert world.sh("git", "status", "--porcelain") == ""


def test_the_workspace_can_be_a_folder_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, monkeypatch)
    world = World(tmp_path, prefix="not tracked/yet")
    place = world.opened()

    assert place.prefix == "not tracked/yet"
    assert place.workspace == place.folder / "not tracked" / "yet"
    assert place.workspace.is_dir()
    assert (place.folder / "a.txt").exists()


def test_a_workspace_that_is_a_link_out_of_the_worktree_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home(tmp_path, monkeypatch)
    world = World(tmp_path, prefix="sub")
    base = world.start
    world.sh("git", "switch", "-q", "-c", "evil")
    world.sh("rm", "-rf", "sub")
    (world.top / "sub").symlink_to(tmp_path)
    evil = world.commit(world.top, "evil")
    world.sh("git", "switch", "-q", "--detach", base)
    world.state.mkdir(parents=True)

    with pytest.raises(GitError, match="leads out of the worktree"):
        world.opened(base=evil)


def test_a_storm_of_openings_fails_nowhere(world: World) -> None:
    """Bare git fails here: of 50 times `git worktree add -b` at once, 28 ended with "failed to read .git/worktrees/.../
    commondir", and from a tracking branch 34 with "could not lock config file" (git 2.39, two cores)."""
    git = world.git()
    trees = world.worktrees(git)
    places = [trees.place(f"phase {number}", 1) for number in range(50)]

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda place: trees.open(place, world.start), places))

    assert world.sh("git", "fsck", "--connectivity-only") == ""
    for place in places:
        assert (place.folder / "dir" / "c.txt").read_text() == "c\n"
        assert world.branch(place.branch) == world.start
    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(trees.close, places))
    assert world.sh("git", "worktree", "list").count("\n") == 0


def test_some_open_and_close_while_others_look(world: World) -> None:
    world.integration().begin(world.start)

    def come_and_go(number: int) -> bool:
        trees = world.worktrees()
        done = []
        for attempt in range(1, 4):
            place = trees.place(f"p{number}", attempt)
            trees.open(place, world.start)
            trees.remains(world.start)
            done.append(trees.close(place))
        return all(done)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(come_and_go, range(8)))
    assert len(world.worktrees().remains(world.start)) == 24


@pytest.mark.parametrize("after", [False, True])
def test_an_opening_that_dies_at_any_call_is_taken_up(world: World, after: bool) -> None:
    alive = world.mortal()
    world.worktrees(alive).open(world.worktrees().place("whole", 1), world.start)
    assert alive.calls > 4

    for last in range(1, alive.calls + 1):
        place = world.worktrees().place("p", last)
        with pytest.raises(Killed):
            world.worktrees(world.mortal(last, after=after)).open(place, world.start)
        for again in range(1, 12):  # and dies again, wherever the second time takes it
            try:
                world.worktrees(world.mortal(again)).open(place, world.start)
                break
            except Killed:
                continue
        assert world.sh("git", "status", "--porcelain", cwd=place.folder) == ""
        assert (place.folder / "a.txt").read_text() == "one\n"
        assert MARK not in world.sh("git", "worktree", "list", "--porcelain")


def test_an_opening_is_taken_up_where_git_itself_was_killed(world: World) -> None:
    place = world.worktrees().place("p", 1)
    world.opened("other")
    for leave in ("files", "no link", "empty", "no folder"):
        world.sh(
            "git", "worktree", "add", "-q", "--lock", "--reason", "initializing", "-B", place.branch, str(place.folder)
        )
        if leave != "files":
            (place.folder / ".git").unlink()
        if leave == "empty":
            world.sh("find", str(place.folder), "-mindepth", "1", "-delete")
        if leave == "no folder":
            world.sh("rm", "-rf", str(place.folder))
        (place.folder.parent / "p-1" / "a.txt").unlink(missing_ok=True)

        world.worktrees().open(place, world.start)

        assert world.sh("git", "status", "--porcelain", cwd=place.folder) == ""
        assert world.worktrees().close(place)


@pytest.mark.parametrize("verb", ["read-tree", "unlock"])
def test_an_opening_that_fails_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    place, run = world.worktrees().place("p", 1), Git.run

    def failing(self: Git, *arguments: str, **options: Any) -> Answer:
        if verb in arguments[:2]:
            raise GitError("No space left on device")
        return run(self, *arguments, **options)

    monkeypatch.setattr(Git, "run", failing)
    with pytest.raises(GitError, match="No space left"):
        world.worktrees().open(place, world.start)

    assert not place.folder.exists()
    assert str(place.folder) not in world.sh("git", "worktree", "list", "--porcelain")
    monkeypatch.undo()
    world.worktrees().open(place, world.start)
    assert (place.folder / "a.txt").exists()


def test_a_folder_with_nothing_but_a_dead_link_is_taken(world: World) -> None:
    place = world.worktrees().place("p", 1)
    place.folder.mkdir(parents=True)
    (place.folder / ".git").write_text("gitdir: /nowhere\n")

    world.worktrees().open(place, world.start)

    assert (place.folder / "a.txt").exists()


def test_opening_an_untouched_place_again_changes_nothing(world: World) -> None:
    place = world.opened()
    world.write({"ignored/cache": "x"}, place.folder)
    world.worktrees().open(place, world.start)

    assert (place.folder / "ignored" / "cache").exists()


def test_a_branch_without_folder_is_used_and_brought_forward(world: World) -> None:
    later = world.commit(world.top, "later", **{"new.txt": "n"})
    place = world.worktrees().place("p", 1)
    world.sh("git", "branch", place.branch, world.start)

    world.worktrees().open(place, later)

    assert world.branch(place.branch) == later
    assert (place.folder / "new.txt").exists()


def test_a_registered_folder_that_is_gone_is_made_anew(world: World) -> None:
    place = world.opened()
    world.sh("rm", "-rf", str(place.folder))

    world.worktrees().open(place, world.start)

    assert world.sh("git", "status", "--porcelain", cwd=place.folder) == ""


def test_the_worktree_of_others_that_is_gone_stays_registered(world: World, tmp_path: Path) -> None:
    world.sh("git", "worktree", "add", "-q", "-b", "theirs", str(tmp_path / "usb"))
    world.sh("mv", str(tmp_path / "usb"), str(tmp_path / "unplugged"))
    place = world.opened()
    world.sh("rm", "-rf", str(place.folder))
    world.worktrees().open(place, world.start)
    world.worktrees().close(place)

    assert str(tmp_path / "usb") in world.sh("git", "worktree", "list")


WORK = {
    "an uncommitted file": lambda world, place: world.write({"new.txt": "n"}, place.folder),
    "a commit": lambda world, place: world.commit(place.folder, "work", **{"new.txt": "n"}),
    "a hidden change": lambda world, place: (
        world.sh("git", "update-index", "--assume-unchanged", "a.txt", cwd=place.folder),
        world.write({"a.txt": "changed"}, place.folder),
    ),
    "a skipped change": lambda world, place: (
        world.sh("git", "update-index", "--skip-worktree", "a.txt", cwd=place.folder),
        world.write({"a.txt": "changed"}, place.folder),
    ),
    "another repository": lambda world, place: (
        world.sh("git", "init", "-q", "inner", cwd=place.folder),
        world.commit(place.folder / "inner", "x", x="x"),
        world.sh("git", "add", "inner", cwd=place.folder),
    ),
    "no link": lambda world, place: (place.folder / ".git").unlink(),
    "a repository of its own": lambda world, place: (
        (place.folder / ".git").unlink(),
        world.sh("git", "init", "-q", cwd=place.folder),
    ),
}


@pytest.mark.parametrize("what", WORK)
def test_work_at_a_place_is_neither_opened_over_nor_closed(world: World, what: str) -> None:
    place = world.opened()
    WORK[what](world, place)
    before = {p: p.read_bytes() for p in place.folder.rglob("*") if p.is_file() and ".git" not in p.parts}

    with pytest.raises(GitError) as caught:
        world.worktrees().open(place, world.start)
    assert caught.value.fix
    assert what == "a commit" or not world.worktrees().close(place)

    for path, content in before.items():
        assert what == "a commit" or path.read_bytes() == content


def test_a_branch_with_work_is_never_reset(world: World) -> None:
    place = world.opened()
    work = world.commit(place.folder, "work", **{"new.txt": "n"})
    assert world.worktrees().close(place)

    with pytest.raises(GitError, match="holds work that is not in its start") as caught:
        world.worktrees().open(place, world.start)

    assert work[:12] in caught.value.fix
    assert world.branch(place.branch) == work


def test_a_detached_commit_of_a_folder_that_is_gone_is_not_forgotten(world: World) -> None:
    place = world.opened()
    world.sh("git", "switch", "-q", "--detach", cwd=place.folder)
    work = world.commit(place.folder, "work", **{"new.txt": "n"})
    world.sh("rm", "-rf", str(place.folder))

    with pytest.raises(GitError, match=work[:12]):
        world.worktrees().open(place, world.start)
    assert not world.worktrees().close(place)
    assert work in world.sh("git", "worktree", "list", "--porcelain")


def test_a_foreign_folder_at_the_place_is_refused(world: World) -> None:
    place = world.worktrees().place("p", 1)
    world.write({"theirs.txt": "t"}, place.folder)

    with pytest.raises(GitError, match="not empty"):
        world.worktrees().open(place, world.start)

    assert (place.folder / "theirs.txt").read_text() == "t"
    assert not world.worktrees().close(place)


@pytest.mark.parametrize("which", ["worktrees", "worktrees/r1", "worktrees/r1/p-1"])
def test_a_planted_link_is_refused(world: World, tmp_path: Path, which: str) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (world.state / which).parent.mkdir(parents=True, exist_ok=True)
    (world.state / which).symlink_to(target)

    with pytest.raises(GitError):
        world.opened()

    assert list(target.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_refused(world: World) -> None:
    (world.state / "worktrees").write_text("")

    with pytest.raises(GitError, match="cannot be made"):
        world.opened()


def test_a_folder_of_somebody_else_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(GitError, match="somebody else"):
        world.worktrees().open(world.worktrees().place("p", 1), world.start)


# -- closing ----------------------------------------------------------------------------------------------------


def test_closing_removes_ignored_files_and_keeps_the_branch(world: World) -> None:
    place = world.opened()
    world.write({"ignored/cache": "x", "y.tmp": ""}, place.folder)
    (place.folder / "ignored").chmod(0o500)
    work = world.commit(place.folder, "work", **{"new.txt": "n"})

    assert world.worktrees().close(place)
    assert world.worktrees().close(place)

    assert not place.folder.exists()
    assert not place.folder.parent.exists()
    assert world.branch(place.branch) == work


def test_a_detached_head_is_closed_only_when_a_branch_holds_it(world: World) -> None:
    place = world.opened()
    world.sh("git", "switch", "-q", "--detach", cwd=place.folder)
    work = world.commit(place.folder, "work", **{"new.txt": "n"})

    assert not world.worktrees().close(place)
    world.sh("git", "branch", "saved", work)
    assert world.worktrees().close(place)


def test_what_others_have_changed_in_the_result_is_told_as_git_shows_it(world: World) -> None:
    place = world.opened()
    tip = world.commit(world.top, "theirs", **{"a.txt": "theirs\n"})
    files = [str(place.folder / "a.txt"), str(place.folder / "b.txt"), "/elsewhere/a.txt"]

    (found,) = world.worktrees().moved_on(place, world.start, tip, files)

    assert world.sh("git", "show", found) == "theirs"
    assert world.worktrees().moved_on(place, tip, tip, files) == ()
    assert world.worktrees().moved_on(place, world.start, tip, files[1:]) == ()


def test_the_branch_of_an_earlier_attempt_is_told_if_it_holds_something(world: World) -> None:
    place = world.opened()
    assert world.worktrees().earlier_branch("p", 2, world.start) == ""
    work = world.commit(place.folder, "work", **{"new.txt": "n"})
    assert world.worktrees().earlier_branch(place.phase, place.attempt + 1, world.start) == place.branch
    assert world.worktrees().earlier_branch(place.phase, place.attempt + 2, world.start) == place.branch
    assert world.worktrees().earlier_branch(place.phase, place.attempt, world.start) == ""
    assert world.worktrees().earlier_branch(place.phase, place.attempt + 1, work) == ""


def test_a_half_done_rebase_is_not_closed_although_it_looks_clean(world: World) -> None:
    place = world.opened()
    world.commit(place.folder, "work", **{"new.txt": "n"})
    world.sh("git", "-c", "sequence.editor=sed -i 1ibreak", "rebase", "-q", "-i", "HEAD~1", cwd=place.folder)

    assert world.sh("git", "status", "--porcelain", cwd=place.folder) == ""
    assert not world.worktrees().close(place)


def test_a_worktree_that_the_user_locked_is_not_closed(world: World) -> None:
    place = world.opened()
    world.sh("git", "worktree", "lock", "--reason", "mine", str(place.folder))

    assert not world.worktrees().close(place)
    assert place.folder.exists()


@pytest.mark.parametrize("after", [False, True])
def test_a_closing_that_dies_at_any_call_is_taken_up(world: World, after: bool) -> None:
    alive = world.mortal()
    assert world.worktrees(alive).close(world.opened("whole"))

    for last in range(1, alive.calls + 1):
        place = world.opened("p", last)
        with pytest.raises(Killed):
            world.worktrees(world.mortal(last, after=after)).close(place)
        assert world.worktrees().close(place)
        assert not place.folder.exists()


def test_a_closing_that_died_while_it_deleted_is_taken_up(world: World) -> None:
    place = world.opened()
    world.sh("git", "worktree", "lock", "--reason", "wavecrew removes it", str(place.folder))
    (place.folder / "a.txt").unlink()
    (place.folder / ".git").unlink()

    assert world.worktrees().close(place)
    world.worktrees().open(place, world.start)
    assert (place.folder / "a.txt").exists()


def test_what_a_failure_has_left_half_done_is_tidied_up_and_nothing_else(world: World) -> None:
    half, done, dirty = world.opened("half"), world.opened("done"), world.opened("dirty")
    world.sh("git", "worktree", "lock", "--reason", "wavecrew removes it", str(half.folder))
    world.sh("rm", "-rf", str(half.folder))
    theirs, gone, alone = world.opened("theirs"), world.opened("gone"), world.opened("alone")
    world.sh("git", "worktree", "lock", "--reason", "mine", str(theirs.folder))
    world.write({"new": "x"}, dirty.folder)
    world.sh("git", "checkout", "-q", "--detach", cwd=alone.folder)
    world.commit(alone.folder, "on no branch", new="x")
    world.sh("rm", "-rf", str(gone.folder), str(alone.folder))
    other = Worktrees(world.git(), world.workspace, world.state, "r2").place("p", 1)
    world.sh("mkdir", "-p", str(other.folder.parent))
    world.sh("git", "worktree", "add", "-q", "--lock", "--reason", MARK, "-b", other.branch, str(other.folder))

    world.worktrees().tidy()

    left = world.sh("git", "worktree", "list", "--porcelain")
    assert [str(place.folder) in left for place in (half, gone)] == [False, False]
    assert [str(place.folder) in left for place in (done, dirty, theirs, alone, other)] == [True] * 5


# -- what is left -----------------------------------------------------------------------------------------------


def test_remains_tell_what_is_merged_and_what_would_be_lost(world: World) -> None:
    world.integration().begin(world.start)
    done, open_, dirty = world.opened("done"), world.opened("open"), world.opened("dirty")
    merged = world.commit(done.folder, "done", **{"done.txt": "d"})
    world.commit(open_.folder, "open", **{"open.txt": "o"})
    world.write({"dirty.txt": "x" * 100_000}, dirty.folder)
    world.worktrees().close(open_)
    world.write({"x": "y"}, done.folder.parent / "stray")
    world.run = "r2"
    world.opened("elsewhere")
    world.run = "r1"

    remains = {(one.branch or str(one.folder)): one for one in world.worktrees().remains(merged)}

    assert set(remains) == {done.branch, open_.branch, dirty.branch, str(done.folder.parent / "stray")}
    first = remains[done.branch]
    assert (first.run, first.commit, first.folder, first.merged, first.unsaved) == (
        "r1",
        merged,
        done.folder,
        True,
        False,
    )
    assert (remains[open_.branch].folder, remains[open_.branch].merged) == (None, False)
    assert remains[open_.branch].size == 0
    assert remains[dirty.branch].merged
    assert remains[dirty.branch].unsaved
    assert remains[dirty.branch].size >= 100_000
    assert remains[str(done.folder.parent / "stray")].unsaved
    assert "wavecrew/r2/elsewhere/1" in [one.branch for one in world.worktrees().remains(merged, everywhere=True)]


def test_only_what_is_merged_and_held_elsewhere_is_discarded(world: World) -> None:
    world.integration().begin(world.start)
    done, open_ = world.opened("done"), world.opened("open")
    merged = world.commit(done.folder, "done", **{"done.txt": "d"})
    lone = world.commit(open_.folder, "open", **{"open.txt": "o"})
    trees = world.worktrees()

    for remain in trees.remains(merged):  # nothing but its own branch holds what `done` made
        with pytest.raises(GitError, match=r"no other branch|nowhere else"):
            trees.discard(remain)
    world.sh("git", "merge", "-q", "--ff-only", merged)
    by_name = {remain.branch: remain for remain in trees.remains("main")}
    trees.discard(by_name[done.branch])
    with pytest.raises(GitError, match="nowhere else"):
        trees.discard(by_name[open_.branch])

    assert world.branch(done.branch) == ""
    assert not done.folder.exists()
    assert world.branch(open_.branch) == lone
    assert open_.folder.exists()


def test_what_was_done_after_the_look_is_not_discarded(world: World) -> None:
    world.integration().begin(world.start)
    place = world.opened()
    trees = world.worktrees()
    remain = trees.remains("main")[0]
    work = world.commit(place.folder, "late", **{"late.txt": "l"})
    world.write({"later.txt": "l"}, place.folder)

    with pytest.raises(GitError, match="nowhere else"):
        trees.discard(remain)
    (place.folder / "later.txt").unlink()
    with pytest.raises(GitError):
        trees.discard(remain)

    assert world.branch(place.branch) == work


def test_an_unfinished_opening_can_be_discarded(world: World) -> None:
    world.integration().begin(world.start)
    place = world.worktrees().place("p", 1)
    alive = world.mortal()
    world.worktrees(alive).open(world.worktrees().place("whole", 1), world.start)
    with pytest.raises(Killed):
        world.worktrees(world.mortal(alive.calls)).open(place, world.start)

    for remain in world.worktrees().remains("main"):
        world.worktrees().discard(remain)

    assert world.worktrees().remains("main") == ()
    assert (
        subprocess.run(["git", "worktree", "list"], cwd=world.top, capture_output=True, check=True).stdout.count(b"\n")
        == 1
    )
