"""From what an agent left in a worktree to the result of a run: nothing lost, nothing dropped, found again by git."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_world import Killed, World, home
from wavecrew.core.commits import trailers_of, with_trailers
from wavecrew.core.integration import Conflict, Proposal, UnsoundWorkError
from wavecrew.core.worktrees import Place
from wavecrew.errors import GitError, InvalidValueError


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    home(tmp_path, monkeypatch)
    return World(tmp_path)


def sealed(world: World, phase: str, base: str, change: Callable[[Path], object], outputs: tuple[str, ...] = ()) -> str:
    """The closing commit of a phase that changed something."""
    place = world.opened(phase, base=base)
    change(place.folder)
    return world.integration().seal(place, base, phase, outputs).commit


def merged(world: World, tip: str, commit: str) -> str:
    proposal = world.integration().propose(tip, commit, "merge", {"Wavecrew-Run": world.run})
    assert isinstance(proposal, Proposal)
    world.integration().advance(tip, proposal.commit)
    return proposal.commit


def writes(name: str, text: str = "x\n") -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return change


# -- the branch of the result -----------------------------------------------------------------------------------


def test_the_result_begins_once_and_moves_only_from_where_it_is(world: World) -> None:
    integration = world.integration()
    assert integration.ref == "refs/heads/wavecrew/r1/result"
    assert integration.tip() == ""
    assert not integration.contains(world.start)

    assert integration.begin(world.start) == world.start
    assert integration.begin(world.start) == world.start
    later = world.commit(world.top, "later")
    with pytest.raises(GitError, match="is there already"):
        integration.begin(later)
    integration.advance(world.start, later)
    with pytest.raises(GitError, match="has moved"):
        integration.advance(world.start, later)

    assert integration.tip() == later
    assert integration.contains(world.start)
    assert not integration.contains(later, within=world.start)


def test_the_result_never_moves_to_a_commit_that_lacks_something(world: World) -> None:
    later = world.commit(world.top, "later")
    world.integration().begin(later)

    with pytest.raises(GitError, match="does not hold"):
        world.integration().advance(later, world.start)

    assert world.integration().tip() == later


def test_of_many_that_advance_at_once_one_succeeds(world: World) -> None:
    world.integration().begin(world.start)
    commits = [sealed(world, f"p{number}", world.start, writes(f"{number}.txt")) for number in range(6)]
    done: list[str] = []

    def advance(commit: str) -> None:
        try:
            world.integration().advance(world.start, commit)
            done.append(commit)
        except GitError:
            pass

    threads = [threading.Thread(target=advance, args=(commit,)) for commit in commits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [world.integration().tip()] == done


# -- sealing ----------------------------------------------------------------------------------------------------


def test_everything_that_stands_there_is_sealed_on_top_of_the_agents_commits(world: World) -> None:
    place = world.opened("P 1")
    own = world.commit(place.folder, "the agent's own", **{"own.txt": "o"})
    world.write({"new.txt": "n", "ignored/cache": "c", "a.txt": "two\n"}, place.folder)
    (place.folder / "b.txt").rename(place.folder / "moved.txt")

    found = world.integration().seal(place, world.start, "P 1: words", ["new.txt"], trailers={"Reviewed-by": "Bo"})

    assert found.base == world.start
    assert found.missing == ()
    assert sorted(found.changed) == ["a.txt", "b.txt", "moved.txt", "new.txt", "own.txt"]
    assert world.branch(place.branch) == found.commit
    assert world.sh("git", "rev-parse", f"{found.commit}^") == own
    assert "ignored/cache" not in world.files(found.commit)
    assert world.sh("git", "log", "-1", "--format=%an <%ae>%n%B", found.commit).splitlines() == [
        *("Ada <ada@example.org>", "P 1: words", "", "Reviewed-by: Bo"),
        *("Wavecrew-Run: r1", "Wavecrew-Phase: P 1", "Wavecrew-Attempt: 1"),
    ]
    assert world.worktrees().close(place)


def test_a_phase_that_changed_nothing_has_a_closing_commit_all_the_same(world: World) -> None:
    place = world.opened()
    found = world.integration().seal(place, world.start, "p", ["never.txt", "port:80", "a.txt"])

    assert found.commit != world.start
    assert found.changed == ()
    assert found.missing == ("never.txt",)
    assert world.integration().closing_commits(found.commit) == {("r1", "p"): (found.commit,)}


def test_sealing_again_gives_the_same_commit_until_something_changes(world: World) -> None:
    place = world.opened()
    world.write({"new.txt": "n"}, place.folder)
    first = world.integration().seal(place, world.start, "p", ["new.txt"])

    assert world.integration().seal(place, world.start, "p", ["new.txt"]) == first
    world.write({"new.txt": "more"}, place.folder)
    second = world.integration().seal(place, world.start, "p", ["new.txt"])

    assert world.sh("git", "rev-parse", f"{second.commit}^") == first.commit
    assert world.integration().closing_commits(second.commit) == {("r1", "p"): (first.commit, second.commit)}


def test_declared_outputs_are_sealed_although_they_are_ignored(world: World) -> None:
    place = world.opened()
    os.mkfifo(place.folder / "pipe.tmp")
    world.write(
        {"ignored/a/x.bin": "", "ignored/b.tmp": "", "ignored/c": "", "o.tmp": "", "*.tmp": "", "dir/keep.tmp": ""},
        place.folder,
    )

    found = world.integration().seal(
        place, world.start, "p", ["ignored/a/", "o.tmp", "ignored/*.tmp", "dir/", "no/", "pi*"]
    )

    new = set(world.files(found.commit)) - set(world.files(world.start))
    assert new == {"ignored/a/x.bin", "ignored/b.tmp", "o.tmp"}
    assert found.missing == ("no/", "pi*")


def test_outputs_are_meant_from_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, monkeypatch)
    world = World(tmp_path, prefix="sub/here")
    place = world.opened()
    world.write({"o.tmp": "", "in.txt": "", "deep/x.md": ""}, place.workspace)
    world.write({"out.txt": ""}, place.folder)

    found = world.integration().seal(place, world.start, "p", ["o.tmp", "in.txt", "**/*.md", "a.txt", "./"])

    assert set(found.changed) == {"o.tmp", "in.txt", "deep/x.md", "../../out.txt"}
    assert found.missing == ("a.txt",)
    assert world.integration().missing_outputs(found.commit, ["o.tmp", "a.txt", "deep/"]) == ("a.txt",)


def test_links_that_lead_out_are_no_outputs(world: World, tmp_path: Path) -> None:
    place = world.opened()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    links = {
        "good": "a.txt", "chain": "good", "in-dir": "dir", "dir/up": "../b.txt",
        "abs": str(outside / "f"), "climb": "../../../../../outside/f", "out-dir": str(outside),
        "loop": "loop", "dangling": "nowhere", "at-ignored": "ignored/x",
    }  # fmt: skip
    for name, target in links.items():
        (place.folder / name).symlink_to(target)
    world.write({"ignored/x": ""}, place.folder)
    good = ["good", "chain", "in-dir", "in-dir/", "in-dir/c.txt", "dir/up", "ch*n"]
    bad = ["abs", "climb", "out-dir", "out-dir/", "out-dir/f", "loop", "dangling", "at-ignored", "ab?", "out-dir/*"]

    found = world.integration().seal(place, world.start, "p", good + bad)

    assert found.missing == tuple(bad)
    assert set(links) <= set(world.files(found.commit))


def test_nothing_of_gits_own_is_an_output(world: World) -> None:
    place = world.opened()
    world.write({".wavecrew/x": ""}, place.folder)
    outputs = [".git", ".git/config", ".wavecrew/y"]

    assert world.integration().seal(place, world.start, "p", outputs).missing == tuple(outputs)


HOSTILE_NAMES = [
    b"-rf",
    b"a b",
    b"new\nline",
    b"tab\t",
    b"\xff\xfe",
    "ü".encode(),
    b"*",
    b":(top)x",
    b'"q"',
    b"\\",
    b"#c",
]


def test_files_may_have_any_name(world: World) -> None:
    place = world.opened()
    folder = os.fsencode(place.folder)
    for name in HOSTILE_NAMES:
        os.makedirs(os.path.join(folder, b"dir " + name))
        for where in (name, b"dir " + name + b"/" + name, b"ignored/" + name):
            os.makedirs(os.path.dirname(os.path.join(folder, where)), exist_ok=True)
            with open(os.path.join(folder, where), "wb") as file:
                file.write(name)

    found = world.integration().seal(place, world.start, "p", ["ignored/"])

    names = {os.fsdecode(name) for name in HOSTILE_NAMES}
    assert set(found.changed) == {
        *names,
        *(f"dir {name}/{name}" for name in names),
        *(f"ignored/{name}" for name in names),
    }
    assert world.worktrees().close(place)


@pytest.mark.parametrize(
    "phase", ["-rf", "a\nWavecrew-Run: other", "ü", "\udcff", " x ", '"q', "'", "x" * 500, "a: b", "\0"]
)
def test_a_phase_of_any_name_is_found_again_by_its_commit(world: World, phase: str) -> None:
    commit = sealed(world, phase, world.start, writes("x"))

    assert world.integration().closing_commits(commit) == {("r1", phase): (commit,)}
    assert world.integration().closing_commits(commit, since=commit) == {}


@given(st.dictionaries(st.from_regex(r"[A-Z][a-z]+(-[A-Z][a-z]+)?", fullmatch=True), st.text(), min_size=1), st.text())
def test_trailers_are_read_back(trailers: dict[str, str], message: str) -> None:
    assert trailers_of(with_trailers(message, trailers)) == trailers


def test_a_text_that_speaks_of_trailers_is_no_closing_commit(world: World) -> None:
    world.commit(world.top, "Wavecrew-Run: r1\nWavecrew-Phase: p\nWavecrew-Attempt: 1\nand so on")
    head = world.commit(world.top, 'x\n\nWavecrew-Phase: "broken\nWavecrew-Run: r1')

    assert world.integration().closing_commits(head) == {}


def test_a_change_that_the_index_hides_is_sealed(world: World) -> None:
    place = world.opened()
    world.sh("git", "update-index", "--assume-unchanged", "a.txt", cwd=place.folder)
    world.sh("git", "update-index", "--skip-worktree", "b.txt", cwd=place.folder)
    world.write({"a.txt": "two", "b.txt": "two"}, place.folder)

    assert set(world.integration().seal(place, world.start, "p", []).changed) == {"a.txt", "b.txt"}


def test_locks_of_a_git_that_was_killed_with_its_attempt_are_freed(world: World) -> None:
    place = world.opened()
    world.write({"new.txt": "n"}, place.folder)
    for lock in ("index.lock", "HEAD.lock"):
        Path(world.sh("git", "rev-parse", "--git-path", lock, cwd=place.folder)).touch()
    (world.top / ".git" / f"{place.ref}.lock").touch()

    assert world.integration().seal(place, world.start, "p", []).changed == ("new.txt",)


# -- what agents do with git ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [["switch", "-c", "feature"], ["switch", "--detach"], ["branch", "-m", "renamed"]])
def test_an_agent_that_left_its_branch_is_followed(world: World, how: list[str]) -> None:
    place = world.opened()
    world.commit(place.folder, "before", **{"before.txt": "b"})
    world.sh("git", *how, "-q" if how[0] == "switch" else "elsewhere", cwd=place.folder, check=False)
    after = world.commit(place.folder, "after", **{"after.txt": "a"})
    world.write({"rest.txt": "r"}, place.folder)

    found = world.integration().seal(place, world.start, "p", [])

    assert set(found.changed) == {"before.txt", "after.txt", "rest.txt"}
    assert world.branch(place.branch) == found.commit
    assert world.holds(found.commit, after)
    assert world.sh("git", "symbolic-ref", "HEAD", cwd=place.folder) == place.ref
    assert world.worktrees().close(place)


def test_an_agent_that_left_commits_behind_is_refused_and_both_are_kept(world: World) -> None:
    place = world.opened()
    left = world.commit(place.folder, "left behind", **{"left.txt": "l"})
    world.sh("git", "switch", "-q", "--detach", world.start, cwd=place.folder)
    other = world.commit(place.folder, "other", **{"other.txt": "o"})
    world.write({"rest.txt": "r"}, place.folder)

    with pytest.raises(UnsoundWorkError, match="lacks what that holds"):
        world.integration().seal(place, world.start, "p", [])
    assert world.branch(place.branch) == left
    kept = world.integration().keep(place, world.start, "unfinished")

    assert world.branch(place.branch) == kept
    assert world.holds(kept, left)
    assert world.holds(kept, other)
    assert "rest.txt" in world.files(kept)
    assert world.worktrees().close(place)


def test_an_agent_that_rewrote_where_it_started_is_refused(world: World) -> None:
    base = world.commit(world.top, "finished work of others", **{"theirs.txt": "t"})
    place = world.opened(base=base)
    world.sh("git", "reset", "-q", "--hard", world.start, cwd=place.folder)
    mine = world.commit(place.folder, "mine", **{"mine.txt": "m"})

    with pytest.raises(UnsoundWorkError, match="no longer holds the commit that it was started from") as caught:
        world.integration().seal(place, base, "p", [])

    assert "rebase" in caught.value.fix
    assert world.branch(place.branch) == mine
    assert world.integration().keep(place, base, "unfinished") == mine


def conflict_of(world: World, place: Place, begin: list[str]) -> None:
    """Leave an operation of git half done, in conflict."""
    world.commit(place.folder, "mine", **{"a.txt": "mine\n"})
    elsewhere = world.top.parent / "elsewhere"
    world.sh("git", "worktree", "add", "-q", "-b", "other", str(elsewhere), world.start)
    world.commit(elsewhere, "theirs", **{"a.txt": "theirs\n"})
    world.sh("git", *begin, cwd=place.folder, check=False)


STEPS = {
    "merge": ["merge", "other"],
    "rebase": ["rebase", "other"],
    "apply": ["rebase", "--apply", "other"],
    "pick": ["cherry-pick", "other"],
    "revert": ["revert", "--no-edit", "HEAD~0"],
    "bisect": ["bisect", "start"],
}


@pytest.mark.parametrize("step", STEPS)
def test_a_half_done_operation_is_refused_and_kept(world: World, step: str) -> None:
    place = world.opened()
    conflict_of(world, place, STEPS[step])
    if step == "revert":
        world.commit(place.folder, "again", **{"a.txt": "again\n"})
        world.sh("git", "revert", "--no-edit", "HEAD~1", cwd=place.folder, check=False)
    mine = world.branch(place.branch)
    world.write({"rest.txt": "r"}, place.folder)
    text = (place.folder / "a.txt").read_text()

    with pytest.raises(UnsoundWorkError, match="was begun in"):
        world.integration().seal(place, world.start, "p", [])
    assert world.branch(place.branch) == mine
    kept = world.integration().keep(place, world.start, "unfinished")

    assert world.branch(place.branch) == kept
    assert world.holds(kept, mine)
    assert world.text(kept, "a.txt") == text.removesuffix("\n")
    assert "rest.txt" in world.files(kept)
    assert world.worktrees().close(place)


@pytest.mark.parametrize("mark", ["CHERRY_PICK_HEAD", "REVERT_HEAD"])
def test_the_mark_of_an_operation_that_is_over_is_no_half_done_work(world: World, mark: str) -> None:
    place = world.opened()
    mine = world.commit(place.folder, "mine", **{"a.txt": "mine\n"})
    private = Path(world.sh("git", "rev-parse", "--absolute-git-dir", cwd=place.folder))
    (private / mark).write_text(f"{mine}\n")

    sealed = world.integration().seal(place, world.start, "p", [])

    assert world.holds(sealed.commit, mine)
    assert not (private / mark).exists()
    assert world.worktrees().close(place)


def test_a_pick_whose_conflict_was_solved_and_not_committed_is_sealed_whole(world: World) -> None:
    place = world.opened()
    conflict_of(world, place, ["cherry-pick", "other"])
    world.write({"a.txt": "both\n"}, place.folder)
    world.sh("git", "add", "a.txt", cwd=place.folder)

    sealed = world.integration().seal(place, world.start, "p", [])

    assert world.text(sealed.commit, "a.txt") == "both"
    assert world.worktrees().close(place)


def test_what_a_rebase_had_set_aside_is_kept(world: World) -> None:
    place = world.opened()
    conflict_of(world, place, ["status"])
    world.write({"b.txt": "set aside\n"}, place.folder)
    world.sh("git", "rebase", "-q", "--autostash", "other", cwd=place.folder, check=False)
    assert (place.folder / "b.txt").read_text() == "b\n"

    kept = world.integration().keep(place, world.start, "unfinished")

    parents = world.sh("git", "log", "-1", "--format=%P", kept).split()
    assert "set aside" in [world.text(parent, "b.txt") for parent in parents]


def test_files_in_conflict_are_refused_without_an_operation(world: World) -> None:
    place = world.opened()
    world.write({"a.txt": "stashed\n"}, place.folder)
    world.sh("git", "stash", "-q", cwd=place.folder)
    world.commit(place.folder, "mine", **{"a.txt": "mine\n"})
    world.sh("git", "stash", "pop", "-q", cwd=place.folder, check=False)

    with pytest.raises(UnsoundWorkError, match=r"in conflict: a\.txt"):
        world.integration().seal(place, world.start, "p", [])
    assert "<<<<" in world.text(world.integration().keep(place, world.start, "u"), "a.txt")


def test_a_head_without_commit_is_refused_and_kept(world: World) -> None:
    place = world.opened()
    work = world.commit(place.folder, "work", **{"new.txt": "n"})
    world.sh("git", "switch", "-q", "--orphan", "nothing", cwd=place.folder)
    world.write({"orphan.txt": "o"}, place.folder)

    with pytest.raises(UnsoundWorkError):
        world.integration().seal(place, world.start, "p", [])
    kept = world.integration().keep(place, world.start, "unfinished")

    assert world.holds(kept, work)
    assert world.text(kept, "orphan.txt") == "o"


@pytest.mark.parametrize("entered", [False, True], ids=["untracked", "committed"])
@pytest.mark.parametrize("commits", [False, True], ids=["empty", "with commits"])
def test_a_repository_inside_is_refused_by_name_and_never_removed(world: World, commits: bool, entered: bool) -> None:
    place = world.opened()
    world.sh("git", "init", "-q", "-b", "main", "new lib", cwd=place.folder)
    world.write({"file": "precious"}, place.folder / "new lib")
    if commits:
        world.commit(place.folder / "new lib", "inner")
    if entered:
        world.sh("git", "add", "-A", cwd=place.folder, check=False)
        world.sh("git", "commit", "-q", "-m", "all", "--allow-empty", cwd=place.folder)

    with pytest.raises(UnsoundWorkError, match="new lib"):
        world.integration().seal(place, world.start, "p", [])
    world.write({"beside.txt": "b"}, place.folder)
    kept = world.integration().keep(place, world.start, "unfinished")

    assert world.text(kept, "beside.txt") == "b"
    assert not world.worktrees().close(place)
    assert (place.folder / "new lib" / "file").read_text() == "precious"


def test_an_ignored_repository_does_no_harm_until_it_is_declared(world: World) -> None:
    place = world.opened()
    world.sh("git", "init", "-q", "ignored/lib", cwd=place.folder)
    world.commit(place.folder / "ignored" / "lib", "inner", f="f")

    assert world.integration().seal(place, world.start, "p", []).changed == ()
    for output in ("ignored/lib/f", "ignored/"):
        with pytest.raises(UnsoundWorkError, match="ignored/lib"):
            world.integration().seal(place, world.start, "p", [output])


@pytest.mark.parametrize("inited", [False, True])
def test_a_worktree_without_its_link_never_leads_to_the_users_files(world: World, inited: bool) -> None:
    place = world.opened()
    (place.folder / ".git").unlink()
    if inited:
        world.sh("git", "init", "-q", cwd=place.folder)
    world.write({"mine.txt": "user's"}, world.top)

    with pytest.raises(UnsoundWorkError):
        world.integration().seal(place, world.start, "p", [])
    with pytest.raises(UnsoundWorkError):
        world.integration().keep(place, world.start, "p")

    assert world.sh("git", "status", "--porcelain") == "?? mine.txt"
    assert world.branch("main") == world.start


def test_a_folder_of_git_files_that_became_a_repository_is_still_sealed(world: World) -> None:
    place = world.opened()
    world.sh("git", "init", "-q", "dir", cwd=place.folder)
    world.write({"dir/new.txt": "n", "dir/c.txt": "changed"}, place.folder)

    assert set(world.integration().seal(place, world.start, "p", []).changed) == {"dir/c.txt", "dir/new.txt"}


@pytest.mark.parametrize("detached", [False, True])
def test_a_sealing_that_dies_at_any_call_is_taken_up(world: World, detached: bool) -> None:
    def prepared(number: int) -> Place:
        place = world.opened("p", number)
        if detached:
            world.sh("git", "switch", "-q", "--detach", cwd=place.folder)
        world.commit(place.folder, "own", **{"own.txt": "o"})
        world.write({"new.txt": "n", "o.tmp": "ignored"}, place.folder)
        return place

    alive = world.mortal()
    world.integration(alive).seal(prepared(0), world.start, "p", ["o.tmp"])

    for last in range(1, alive.calls + 1):
        place = prepared(last)
        with pytest.raises(Killed):
            world.integration(world.mortal(last)).seal(place, world.start, "p", ["o.tmp"])
        found = world.integration().seal(place, world.start, "p", ["o.tmp"])
        assert set(found.changed) == {"own.txt", "new.txt", "o.tmp"}
        assert found.missing == ()
        assert len(world.integration().closing_commits(found.commit, since=world.start)[("r1", "p")]) == 1
        assert world.worktrees().close(place)


def test_a_keeping_that_dies_at_any_call_is_taken_up(world: World) -> None:
    alive, number = world.mortal(), 0
    place = world.opened("whole")
    world.write({"new.txt": "n"}, place.folder)
    assert world.integration(alive).keep(place, world.start, "u")

    for number in range(1, alive.calls + 1):
        place = world.opened("p", number)
        world.write({"new.txt": "n"}, place.folder)
        with pytest.raises(Killed):
            world.integration(world.mortal(number)).keep(place, world.start, "u")
        assert world.text(world.integration().keep(place, world.start, "u"), "new.txt") == "n"
        assert world.worktrees().close(place)


def test_nothing_is_kept_where_nothing_was_done(world: World) -> None:
    place = world.opened()
    world.write({"ignored/x": ""}, place.folder)

    assert world.integration().keep(place, world.start, "u") == ""
    assert world.branch(place.branch) == world.start


def test_kept_work_closes_no_phase(world: World) -> None:
    place = world.opened()
    world.write({"new.txt": "n"}, place.folder)
    kept = world.integration().keep(place, world.start, "unfinished")

    assert world.integration().closing_commits(kept) == {}
    assert world.integration().keep(place, world.start, "unfinished") == kept


# -- in whose name ----------------------------------------------------------------------------------------------


def author_of(world: World, commit: str) -> str:
    return world.sh("git", "log", "-1", "--format=%an <%ae> %cn <%ce>", commit)


def test_commits_bear_the_name_that_was_asked_for(world: World) -> None:
    place = world.opened()
    commit = world.integration(author="Bo Ü <bo@x.org>").seal(place, world.start, "p", []).commit

    assert author_of(world, commit) == "Bo Ü <bo@x.org> Bo Ü <bo@x.org>"


def test_where_git_knows_no_name_commits_bear_ours(world: World, tmp_path: Path) -> None:
    place = world.opened()
    (tmp_path / ".gitconfig").unlink()
    commit = world.integration().seal(place, world.start, "p", []).commit

    assert author_of(world, commit) == "wavecrew <wavecrew@localhost> wavecrew <wavecrew@localhost>"


@pytest.mark.parametrize("author", ["Bo", "<x@y>", "Bo <>", "Bo <a b>", "Bo\nx <a@b>"])
def test_an_author_of_another_form_is_refused(world: World, author: str) -> None:
    with pytest.raises(InvalidValueError, match="is no author"):
        world.integration(author=author).seal(world.opened(), world.start, "p", [])


# -- the user's own work ----------------------------------------------------------------------------------------


def test_a_snapshot_has_the_users_work_and_touches_nothing(world: World) -> None:
    world.write({"new.txt": "n", "a.txt": "staged", "ignored/x": "", "forced.tmp": "f", "dir/d.txt": ""}, world.top)
    world.write({"secret.db": "s"}, world.state)
    world.sh("git", "add", "a.txt")
    world.sh("git", "add", "-f", "forced.tmp")
    world.write({"a.txt": "two\n"}, world.top)
    (world.top / "b.txt").unlink()
    (world.state / ".gitignore").unlink()
    world.sh("git", "init", "-q", "nested")
    before = world.sh("git", "status", "--porcelain"), (world.top / ".git" / "index").read_bytes()

    commit = world.integration().snapshot("as it was")

    assert world.files(commit) == [".gitignore", "a.txt", "dir/c.txt", "dir/d.txt", "forced.tmp", "new.txt"]
    assert world.text(commit, "a.txt") == "two"
    assert world.sh("git", "rev-parse", f"{commit}^") == world.start
    assert (world.sh("git", "status", "--porcelain"), (world.top / ".git" / "index").read_bytes()) == before
    assert world.branch("main") == world.start


def test_a_change_in_the_instant_after_the_index_was_written_is_in_the_snapshot(world: World) -> None:
    world.sh("git", "config", "core.trustctime", "false")
    index, file = world.top / ".git" / "index", world.top / "a.txt"
    before = file.stat().st_mtime_ns - 10**10
    os.utime(file, ns=(before, before))
    world.sh("git", "update-index", "--refresh")
    file.write_text("two\n")  # as long as it was, and with its old time: git can tell by the time of the index alone
    os.utime(file, ns=(before, before))
    os.utime(index, ns=(before, before))

    assert world.text(world.integration().snapshot("x"), "a.txt") == "two"


def test_without_uncommitted_work_the_snapshot_is_head(world: World) -> None:
    assert world.integration().snapshot("x") == world.start
    (world.top / ".git" / "index").unlink()
    assert world.integration().snapshot("x") == world.start


def test_a_snapshot_needs_a_commit_and_no_conflicts(world: World) -> None:
    world.write({"a.txt": "mine\n"}, world.top)
    world.sh("git", "stash", "-q")
    world.commit(world.top, "other", **{"a.txt": "other\n"})
    world.sh("git", "stash", "pop", check=False)
    with pytest.raises(GitError, match="in conflict"):
        world.integration().snapshot("x")

    world.sh("git", "switch", "-q", "-f", "--orphan", "new")
    with pytest.raises(GitError, match="no commit yet"):
        world.integration().snapshot("x")


# -- merging ----------------------------------------------------------------------------------------------------


def test_a_diamond_ends_in_a_base_that_holds_all(world: World) -> None:
    integration = world.integration()
    tip = integration.begin(world.start)
    top = sealed(world, "top", tip, writes("top.txt"))
    tip = merged(world, tip, top)
    assert tip == top  # nobody was faster
    sides = [sealed(world, name, tip, writes(f"{name}.txt")) for name in ("left", "right", "third")]
    for side in sides:
        tip = merged(world, tip, side)
    last = world.opened("last", base=tip)

    assert {"top.txt", "left.txt", "right.txt", "third.txt"} <= {path.name for path in last.folder.iterdir()}
    for side in (top, *sides):
        assert integration.contains(side)
    assert set(integration.closing_commits(tip, since=world.start)) == {
        ("r1", name) for name in ("top", "left", "right", "third")
    }


def test_a_proposal_tells_whether_its_files_were_seen_together(world: World) -> None:
    integration = world.integration()
    left = sealed(world, "left", world.start, writes("left.txt"))
    right = sealed(world, "right", world.start, writes("right.txt"))
    same = sealed(world, "same", world.start, lambda folder: None)

    assert integration.propose(world.start, left, "m") == Proposal(left, fast_forward=True, tree_is_new=False)
    assert integration.propose(left, left, "m") == Proposal(left, fast_forward=True, tree_is_new=False)
    joined = integration.propose(left, right, "m", {"Wavecrew-Run": "r1"})
    assert isinstance(joined, Proposal)
    assert (joined.fast_forward, joined.tree_is_new) == (False, True)
    assert world.sh("git", "log", "-1", "--format=%P", joined.commit).split() == [left, right]
    assert world.sh("git", "log", "-1", "--format=%B", joined.commit).split("\n\n")[1].strip() == "Wavecrew-Run: r1"
    assert integration.propose(joined.commit, right, "m") == Proposal(
        joined.commit, fast_forward=True, tree_is_new=True
    )
    plain = integration.propose(same, left, "m")
    assert isinstance(plain, Proposal)
    assert not plain.tree_is_new


def test_a_stale_branch_never_takes_back_what_others_merged(world: World) -> None:
    stale = world.opened("stale")
    tip = world.integration().begin(world.start)
    tip = merged(world, tip, sealed(world, "fast", tip, writes("a.txt", "fast\n")))
    (stale.folder / "b.txt").write_text("stale\n")

    tip = merged(world, tip, world.integration().seal(stale, world.start, "stale", []).commit)

    assert (world.text(tip, "a.txt"), world.text(tip, "b.txt")) == ("fast", "stale")


def replace_by_link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def _move(folder: Path, name: str) -> None:
    (folder / "a.txt").rename(folder / name)


CONFLICTS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object], set[str]]] = {
    "content": (writes("a.txt", "1\n"), writes("a.txt", "2\n"), {"a.txt"}),
    "both add": (writes("n.txt", "1\n"), writes("n.txt", "2\n"), {"n.txt"}),
    "delete and modify": (lambda f: (f / "a.txt").unlink(), writes("a.txt", "2\n"), {"a.txt"}),
    "modify and delete": (writes("a.txt", "2\n"), lambda f: (f / "a.txt").unlink(), {"a.txt"}),
    "two renamings": (lambda f: _move(f, "x.txt"), lambda f: _move(f, "y.txt"), {"a.txt", "x.txt", "y.txt"}),
    "rename and delete": (lambda f: _move(f, "x.txt"), lambda f: (f / "a.txt").unlink(), {"a.txt", "x.txt"}),
    "file and folder": (writes("n", "1\n"), writes("n/x", "2\n"), {"n"}),
    "binary": (writes("n.bin", "\0one"), writes("n.bin", "\0two"), {"n.bin"}),
    "links": (lambda f: (f / "l").symlink_to("a.txt"), lambda f: (f / "l").symlink_to("b.txt"), {"l"}),
    "file and link": (lambda f: replace_by_link(f / "a.txt", "b.txt"), writes("a.txt", "2\n"), {"a.txt"}),
    "mode": (
        lambda f: (writes("x.sh", "1\n")(f), (f / "x.sh").chmod(0o755)),
        writes("x.sh", "1\n"),
        {"x.sh"},
    ),
    "odd name": (writes("-n\n ü", "1\n"), writes("-n\n ü", "2\n"), {"-n\n ü"}),
}


@pytest.mark.parametrize("kind", CONFLICTS)
def test_what_does_not_merge_is_a_conflict_with_its_files(world: World, kind: str) -> None:
    one, two, paths = CONFLICTS[kind]
    left, right = sealed(world, "left", world.start, one), sealed(world, "right", world.start, two)

    for tip, commit in ((left, right), (right, left)):
        found = world.integration().propose(tip, commit, "m")
        assert isinstance(found, Conflict)
        assert paths <= set(found.paths)
        assert "CONFLICT" in found.detail


def test_a_conflict_is_seen_from_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, monkeypatch)
    world = World(tmp_path, prefix="sub")
    left = sealed(world, "left", world.start, writes("sub/x", "1\n"))
    right = sealed(world, "right", world.start, lambda f: (writes("sub/x", "2\n")(f), writes("a.txt", "2\n")(f)))
    top = sealed(world, "top", world.start, writes("a.txt", "1\n"))

    assert getattr(world.integration().propose(left, right, "m"), "paths", None) == ("x",)
    assert getattr(world.integration().propose(top, right, "m"), "paths", None) == ("../a.txt",)


def test_histories_that_have_nothing_in_common_are_not_joined(world: World) -> None:
    world.sh("git", "switch", "-q", "--orphan", "alien")
    alien = world.commit(world.top, "alien", **{"alien.txt": "x"})

    with pytest.raises(GitError, match="unrelated histories"):
        world.integration().propose(world.start, alien, "m")


# -- checks on a proposal ---------------------------------------------------------------------------------------


def test_a_proposal_is_checked_in_the_worktree_of_its_attempt(world: World) -> None:
    integration = world.integration()
    left = sealed(world, "left", world.start, writes("left.txt"))
    place = world.opened("right")
    world.write({"right.txt": "r", "ignored/cache": "c"}, place.folder)
    right = integration.seal(place, world.start, "right", [])
    proposal = integration.propose(left, right.commit, "m")
    assert isinstance(proposal, Proposal)

    for _ in range(2):  # with what the checks leave in between
        integration.check_out(place, proposal.commit)
        assert (place.folder / "left.txt").exists()
        assert (place.folder / "ignored" / "cache").read_text() == "c"
        assert world.sh("git", "status", "--porcelain", cwd=place.folder) == ""
        assert world.branch(place.branch) == right.commit
        world.write({"left.txt": "by a check", "report.xml": "x", "more/x": ""}, place.folder)
        assert integration.seal(place, world.start, "right", []) == right
    integration.check_out(place, right.commit)
    assert not (place.folder / "left.txt").exists()
    assert integration.seal(place, world.start, "right", []) == right
    assert world.worktrees().close(place)


def test_only_sealed_work_gives_way_to_a_proposal(world: World) -> None:
    place = world.opened()
    world.write({"new.txt": "n"}, place.folder)
    with pytest.raises(GitError, match="is not sealed"):
        world.integration().check_out(place, world.start)
    world.integration().seal(place, world.start, "p", [])
    world.write({"late.txt": "l"}, place.folder)
    with pytest.raises(GitError, match="changed after it was sealed"):
        world.integration().check_out(place, world.start)

    assert (place.folder / "late.txt").read_text() == "l"


def test_work_that_failed_its_checks_is_kept_with_the_merge(world: World) -> None:
    integration = world.integration()
    left = sealed(world, "left", world.start, writes("left.txt"))
    place = world.opened("right")
    right = integration.seal(place, world.start, "right", [])
    proposal = integration.propose(left, right.commit, "m")
    assert isinstance(proposal, Proposal)
    integration.check_out(place, proposal.commit)
    assert not world.worktrees().close(place)  # no branch holds the proposal

    assert integration.keep(place, world.start, "failed its checks") == proposal.commit
    assert world.worktrees().close(place)


# -- landing ----------------------------------------------------------------------------------------------------


def test_the_result_lands_on_the_branch_with_its_files(world: World) -> None:
    commit = sealed(world, "p", world.start, lambda f: (writes("new.txt")(f), (f / "b.txt").unlink()))
    world.write({"beside.txt": "mine"}, world.top)

    assert world.integration().land("refs/heads/main", commit, "m") == commit
    assert world.integration().land("refs/heads/main", commit, "m") == commit

    assert world.branch("main") == commit
    assert world.sh("git", "status", "--porcelain") == "?? beside.txt"
    assert (world.top / "new.txt").exists()
    assert not (world.top / "b.txt").exists()


def test_a_branch_that_went_on_gets_a_merge(world: World) -> None:
    commit = sealed(world, "p", world.start, writes("new.txt"))
    own = world.commit(world.top, "own", **{"own.txt": "o"})

    landed = world.integration().land("refs/heads/main", commit, "bring it home")

    assert world.branch("main") == landed
    assert world.sh("git", "log", "-1", "--format=%s %P", landed) == f"bring it home {own} {commit}"
    assert (world.top / "new.txt").exists()
    assert world.sh("git", "status", "--porcelain") == ""


def test_a_branch_that_is_nowhere_checked_out_just_moves(world: World) -> None:
    commit = sealed(world, "p", world.start, writes("new.txt"))
    world.sh("git", "branch", "other")

    assert world.integration().land("refs/heads/other", commit, "m") == commit
    assert (world.branch("other"), world.branch("main")) == (commit, world.start)


def dirty(world: World) -> None:
    world.write({"a.txt": "mine"}, world.top)


def staged(world: World) -> None:
    world.write({"staged.txt": "mine"}, world.top)
    world.sh("git", "add", "staged.txt")


def in_the_way(world: World) -> None:
    world.write({"new.txt": "mine"}, world.top)


def ignored_in_the_way(world: World) -> None:
    world.write({"ignored/out": "mine"}, world.top)


def conflicting(world: World) -> None:
    world.commit(world.top, "own", **{"new.txt": "mine"})


def twice(world: World) -> None:
    world.sh("git", "worktree", "add", "-q", "-f", str(world.top.parent / "second"), "main")


@pytest.mark.parametrize("trouble", [dirty, staged, in_the_way, ignored_in_the_way, conflicting, twice])
def test_where_it_cannot_land_nothing_is_half_done(world: World, trouble: Callable[[World], None]) -> None:
    change = lambda f: (writes("new.txt")(f), writes("ignored/out")(f), writes("a.txt", "theirs\n")(f))  # noqa: E731
    commit = sealed(world, "p", world.start, change, ("ignored/out",))
    trouble(world)
    files = {path: path.read_bytes() for path in world.top.rglob("*") if path.is_file() and ".git" not in path.parts}
    before = world.branch("main"), world.sh("git", "status", "--porcelain"), files

    with pytest.raises(GitError):
        world.integration().land("refs/heads/main", commit, "m")

    files = {path: path.read_bytes() for path in world.top.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert (world.branch("main"), world.sh("git", "status", "--porcelain"), files) == before


def test_the_users_settings_for_merges_do_not_bend_a_landing(world: World) -> None:
    world.sh("git", "config", "branch.main.mergeOptions", "--squash")
    world.sh("git", "config", "merge.ff", "false")
    world.sh("git", "config", "merge.autoStash", "true")
    world.write({"post-merge": "#!/bin/sh\ntouch hooked\n"}, world.top / ".git" / "hooks")
    (world.top / ".git" / "hooks" / "post-merge").chmod(0o755)
    commit = sealed(world, "p", world.start, writes("new.txt"))

    world.integration().land("refs/heads/main", commit, "m")

    assert world.branch("main") == commit
    assert not (world.top / "hooked").exists()


@pytest.mark.parametrize("ref", ["refs/heads/nope", "main", "refs/tags/v1"])
def test_it_lands_on_branches_only(world: World, ref: str) -> None:
    world.sh("git", "tag", "v1")
    with pytest.raises(GitError, match="there is no branch"):
        world.integration().land(ref, world.start, "m")


def test_a_run_of_hostile_files_ends_with_all_of_them(world: World) -> None:
    tip = world.integration().begin(world.start)
    for number, name in enumerate(HOSTILE_NAMES):
        path = os.fsdecode(name)
        commit = sealed(world, path, world.start, writes(f"{number}/{path}", path.encode(errors="replace").decode()))
        tip = merged(world, tip, commit)

    assert {f"{number}/{os.fsdecode(name)}" for number, name in enumerate(HOSTILE_NAMES)} <= set(world.files(tip))
    assert len(world.integration().closing_commits(tip)) == len(HOSTILE_NAMES)
