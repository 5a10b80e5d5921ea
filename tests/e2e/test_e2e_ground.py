"""Bad ground: repositories that no run can begin in, and odd ones in which it can.

A refusal comes before any agent, says the way out, has its exit code, and leaves branches, index and files alone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from repo import Repo, work
from sandbox import PATIENCE, STATE, Outcome, Sandbox

PROGRAMS = ("sh", "cat", "echo", "env", "ls", "mkdir")


@pytest.fixture
def repo(box: Sandbox) -> Repo:
    found = Repo(box)
    found.begin()
    found.plan(work("a", "echo a > a", writes=["a"]), work("b", "cat a > b", needs=["a"], writes=["b"]))
    return found


def _kept(repo: Repo) -> tuple[str, ...]:
    """All that a user could lose: references, index, files, and what is in the middle of being done."""
    refs = repo.git("for-each-ref") + repo.git("status", "--porcelain=v2", "--branch", "--untracked-files=all")
    files = [path for path in repo.box.folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    texts = [f"{path}: {path.read_bytes()!r}" for path in sorted(files) if STATE not in path.parts]
    return refs, repo.git("ls-files", "--stage"), *texts


def _refused(repo: Repo, *flags: str, code: int = 8, **options: object) -> str:
    """What a run is refused with; nothing has begun, and nothing is lost."""
    before = _kept(repo)
    done = repo.run(*flags, **options)
    assert done.code == code, done
    assert repo.ran() == []
    assert _kept(repo) == before
    assert not (repo.box.folder / STATE).exists(), "a run that never began has no history"
    assert "fix:" in done.err
    return " ".join(done.err.split())


def _could_begin(repo: Repo) -> None:
    """The way out that was told is one."""
    done = repo.run("--dry-run")
    assert done.code == 0, done


def _green(repo: Repo, *flags: str) -> Outcome:
    done = repo.run(*flags)
    assert done.code == 0, done
    assert repo.ran() == ["a 1", "b 1"]
    assert repo.text("b") == "a\n"
    assert repo.worktrees() == 0
    assert repo.box.wavecrew("verify").code == 0
    return done


# -- no repository to work in -----------------------------------------------------------------------------------------


def test_worktrees_are_refused_outside_of_a_repository(box: Sandbox) -> None:
    box.plan(work("a"))

    done = box.run("--isolation", "worktree")

    assert done.code == 4
    assert "not in a git repository" in done.err
    assert "git init" in done.err
    assert not (box.folder / STATE).exists()


def test_worktrees_are_refused_before_the_first_commit(box: Sandbox) -> None:
    repo = Repo(box)
    repo.git("init", "-q")
    box.plan(work("a"))

    said = _refused(repo, "--isolation", "worktree")

    assert "no commit yet" in said
    assert "git commit" in said


def test_a_branch_that_is_not_born_is_like_no_commit(repo: Repo) -> None:
    repo.git("checkout", "-q", "--orphan", "fresh")

    assert "no commit yet" in _refused(repo, "--isolation", "worktree")


def test_a_bare_repository_is_refused(make_box: Callable[[str], Sandbox]) -> None:
    first = Repo(make_box("first"))
    first.begin()
    bare = make_box("bare")
    first.git("clone", "-q", "--bare", str(first.box.folder), str(bare.folder))
    bare.plan(work("a"))

    for flags in ((), ("--isolation", "worktree")):
        done = bare.run(*flags)
        assert done.code == 8, done
        assert "no work tree" in done.err
        assert "not bare" in done.err
    assert not (bare.folder / STATE).exists()


# -- git itself -------------------------------------------------------------------------------------------------------


def _path_with(box: Sandbox, git: str) -> dict[str, str]:
    """A PATH with a few programs, and a git of this content; none if it is empty."""
    folder = box.home / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    if git:
        (folder / "git").write_text(f"#!/bin/sh\n{git}\n")
        (folder / "git").chmod(0o755)
    return {"PATH": str(folder)}


@pytest.mark.parametrize("flags", [(), ("--isolation", "worktree")])
def test_a_repository_without_git_is_refused_and_not_quietly_shared(repo: Repo, flags: tuple[str, ...]) -> None:
    said = _refused(repo, *flags, env=_path_with(repo.box, ""))

    assert "git was not found" in said
    assert "install git" in said


def test_one_can_go_without_git_by_saying_so(repo: Repo) -> None:
    done = repo.run("--isolation", "shared", env=_path_with(repo.box, ""))

    assert done.code == 0, done
    assert repo.box.read("b") == "a\n"


def test_where_there_is_no_repository_nobody_misses_git(box: Sandbox) -> None:
    box.plan(work("a", "echo a > a", writes=["a"]))

    done = box.run(env=_path_with(box, ""))

    assert done.code == 0, done
    assert "git" not in done.err


def test_an_old_git_is_refused(repo: Repo) -> None:
    said = _refused(repo, env=_path_with(repo.box, "echo git version 2.20.1"))

    assert "2.20.1 is too old" in said
    assert "2.38" in said


def test_a_git_that_does_not_work_is_refused(repo: Repo) -> None:
    said = _refused(repo, env=_path_with(repo.box, "exit 3"))

    assert "exit code 3" in said


# -- in the middle of something ---------------------------------------------------------------------------------------


def _begin_merge(repo: Repo) -> None:
    repo.git("merge", "side", check=False)


def _begin_rebase(repo: Repo) -> None:
    repo.git("rebase", "side", check=False)


def _begin_cherry_pick(repo: Repo) -> None:
    repo.git("cherry-pick", "side", check=False)


def _begin_revert(repo: Repo) -> None:
    repo.git("revert", "--no-edit", "HEAD~1", check=False)


def _begin_bisect(repo: Repo) -> None:
    repo.git("bisect", "start")


def _begin_am(repo: Repo) -> None:
    patch = repo.git("format-patch", "-1", "side", "--stdout")
    (repo.box.home / "patch").write_text(patch)
    repo.git("am", str(repo.box.home / "patch"), check=False)


@pytest.mark.parametrize(
    ("begin", "what", "way_out"),
    [
        (_begin_merge, "a merge", "git merge --abort"),
        (_begin_rebase, "a rebase", "git rebase --abort"),
        (_begin_cherry_pick, "a cherry-pick", "git cherry-pick --abort"),
        (_begin_revert, "a revert", "git revert --abort"),
        (_begin_am, "an am", "git am --abort"),
        (_begin_bisect, "a bisect", "git bisect reset"),
    ],
)
def test_in_the_middle_of_something_no_run_begins(
    repo: Repo, begin: Callable[[Repo], None], what: str, way_out: str
) -> None:
    repo.git("checkout", "-q", "-b", "side")
    repo.box.write("README.md", "side\n")
    repo.commit()
    repo.git("checkout", "-q", "main")
    for text in ("one\n", "two\n"):
        repo.box.write("README.md", text)
        repo.commit()
    begin(repo)

    for flags in ((), ("--include-dirty",)):
        said = _refused(repo, *flags)
        assert f"{what} is in progress" in said
        assert way_out in said

    repo.git(*way_out.split()[1:])
    _could_begin(repo)


# -- uncommitted work -------------------------------------------------------------------------------------------------


def test_uncommitted_work_of_every_kind_is_refused_or_taken_along(repo: Repo) -> None:
    repo.box.write("staged", "1\n")
    repo.git("add", "staged")
    repo.box.write("README.md", "changed\n")
    repo.box.write("new/er", "2\n")
    repo.box.write(".gitignore", "ignored\n")
    repo.box.write("ignored", "3\n")

    said = _refused(repo)
    assert all(name in said for name in ("README.md", "new/er", "staged", "--include-dirty"))
    assert "ignored," not in said
    before = _kept(repo)[1:]

    _green(repo, "--include-dirty")

    assert repo.files() >= {"staged", "new/er", ".gitignore"}
    assert "ignored" not in repo.files()
    assert repo.text("README.md") == "changed\n"
    assert _kept(repo)[1:] == before


def test_a_deleted_and_a_renamed_file_are_taken_along_as_such(repo: Repo) -> None:
    repo.box.write("gone", "1\n")
    repo.box.write("old", "2\n")
    repo.commit()
    (repo.box.folder / "gone").unlink()
    repo.git("mv", "old", "renamed")

    assert "gone" in _refused(repo)
    _green(repo, "--include-dirty")

    assert repo.files() >= {"renamed"}
    assert not repo.files() & {"gone", "old"}


# -- no room for what a run makes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("standing_on_it", [False, True])
def test_a_branch_named_like_ours_is_in_the_way(repo: Repo, packed: bool, standing_on_it: bool) -> None:
    repo.git("branch", "wavecrew")
    if packed:
        repo.git("pack-refs", "--all")
    if standing_on_it:
        repo.git("checkout", "-q", "wavecrew")

    said = _refused(repo)

    assert "git branch -m wavecrew" in said
    repo.git("branch", "-m", "wavecrew", "mine")
    _could_begin(repo)


def _obey_permissions() -> None:
    """Root may write everywhere; without these two capabilities the program that comes next may not."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize("part", [".", "objects", "refs"])
def test_a_git_folder_that_cannot_be_written_in_is_told_before_any_work(repo: Repo, part: str) -> None:
    top = repo.box.folder / ".git" / part
    folders = [top, *(path for path in top.rglob("*") if path.is_dir())]
    before = _kept(repo)
    for folder in folders:
        folder.chmod(0o500)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "wavecrew", "run", "plan.json", "--yes", "--wave-delay-seconds", "0"],
            cwd=repo.box.folder,
            env=repo.box.environment(),
            capture_output=True,
            timeout=PATIENCE,
            text=True,
            check=False,
            preexec_fn=_obey_permissions if os.geteuid() == 0 else None,
        )
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert done.returncode == 8, done
    assert str(top) in done.stderr.replace("\n", " ")
    assert "cannot be written" in done.stderr
    assert "fix:" in done.stderr
    assert repo.ran() == []
    assert _kept(repo) == before
    _could_begin(repo)


# -- odd, and good enough ---------------------------------------------------------------------------------------------


def test_a_detached_head_is_told_and_works(repo: Repo) -> None:
    repo.git("checkout", "-q", "--detach")
    head = repo.git("rev-parse", "HEAD")

    done = _green(repo)

    assert "HEAD is detached" in done.err
    assert repo.git("rev-parse", "HEAD") == head
    assert repo.git("symbolic-ref", "-q", "HEAD", check=False) == ""


def test_a_linked_worktree_of_the_user_is_a_workspace_like_any(repo: Repo, make_box: Callable[[str], Sandbox]) -> None:
    linked = make_box("linked")
    linked.home = repo.box.home
    linked.folder.rmdir()
    repo.git("worktree", "add", "-q", str(linked.folder), "-b", "side")
    inner = Repo(linked)
    head = repo.git("rev-parse", "main")

    done = linked.run()

    assert done.code == 0, done
    assert inner.text("b") == "a\n"
    assert inner.worktrees() == 1, "that of the user"
    assert (linked.folder / STATE).is_dir()
    assert not (repo.box.folder / STATE).exists()
    assert linked.wavecrew("land").code == 0
    assert linked.read("b") == "a\n"
    assert repo.git("rev-parse", "main") == head
    assert repo.git("status", "--porcelain") == ""
    assert linked.wavecrew("clean", "--yes").code == 0
    assert inner.worktrees() == 1


def test_runs_in_two_worktrees_of_one_repository_keep_out_of_each_others_way(
    repo: Repo, make_box: Callable[[str], Sandbox]
) -> None:
    linked = make_box("linked")
    linked.home = repo.box.home
    linked.folder.rmdir()
    repo.git("worktree", "add", "-q", str(linked.folder), "-b", "side")

    both = [repo.box.start_run(), linked.start_run()]

    assert [one.end().code for one in both] == [0, 0]
    assert sorted(repo.ran()) == ["a 1", "a 1", "b 1", "b 1"]
    assert repo.worktrees() == 1
    results = [branch for branch in repo.branches() if branch.endswith("/result")]
    assert len(results) == 2
    assert all(repo.text("b", branch) == "a\n" for branch in results)


def test_a_shallow_clone_works_with_a_warning(repo: Repo, make_box: Callable[[str], Sandbox]) -> None:
    repo.commit("one")
    repo.commit("two")
    shallow = make_box("shallow")
    shallow.home = repo.box.home
    repo.git("clone", "-q", "--depth", "1", repo.box.folder.as_uri(), str(shallow.folder))

    done = _green(Repo(shallow))

    assert "shallow" in done.err


def test_a_folder_below_the_top_is_no_workspace_of_its_own_without_a_mark(repo: Repo) -> None:
    below = repo.box.folder / "sub" / "deep"
    below.mkdir(parents=True)
    shutil.copy(repo.box.folder / "plan.json", below / "mine.json")
    repo.commit()

    done = repo.box.wavecrew("run", "mine.json", "--yes", "--wave-delay-seconds", "0", cwd=below)

    assert done.code == 0, done
    assert repo.text("b") == "a\n"
    assert not (below / STATE).exists()


def test_a_workspace_that_git_ignores_or_holds_nothing_of_works(box: Sandbox) -> None:
    repo = Repo(box)
    repo.begin({".gitignore": "/work\n"})
    inner = Sandbox(box.folder / "work", box.home)
    inner.write("wavecrew.toml", "")
    inner.plan(work("a", "pwd > $HOME/where; echo a > a", writes=["a"]))
    try:
        done = inner.run()
    finally:
        inner.close()

    assert done.code == 0, done
    assert repo.text("work/a") == "a\n", "declared outputs are in the result, ignored or not"
    assert (box.home / "where").read_text().rstrip().endswith("/work")


def test_names_that_differ_in_case_alone_are_different_files(box: Sandbox) -> None:
    repo = Repo(box)
    repo.begin({"name.txt": "small\n", "Name.txt": "big\n"})
    repo.plan(
        work("a", "echo a >> name.txt", writes=["name.txt"]),
        work("A", "echo A >> Name.txt; echo N > NAME.txt", writes=["Name.txt", "NAME.txt"]),
    )

    done = repo.run()

    assert done.code == 0, done
    assert [repo.text(name) for name in ("name.txt", "Name.txt", "NAME.txt")] == ["small\na\n", "big\nA\n", "N\n"]


def test_ten_thousand_files(box: Sandbox) -> None:
    repo = Repo(box)
    repo.begin({f"d{number % 100}/e{number % 7}/f{number}": f"{number}\n" for number in range(10_000)})
    repo.plan(
        work("a", "echo a > a; echo x >> d1/e1/f1", writes=["a", "d1/e1/f1"]),
        work("b", "ls d*/e*/f* | wc -l > b", needs=["a"], writes=["b"]),
    )

    done = repo.run()

    assert done.code == 0, done
    assert repo.text("b").strip() == "10000"
    assert len(repo.files()) == 10_003
    assert repo.text("d1/e1/f1") == "1\nx\n"
    assert repo.worktrees() == 0


def test_a_repository_whose_git_folder_lies_elsewhere_works(repo: Repo, tmp_path: Path) -> None:
    repo.git("init", "-q", "--separate-git-dir", str(tmp_path / "elsewhere.git"))
    assert (repo.box.folder / ".git").is_file()

    _green(repo)


def test_a_workspace_behind_a_link_and_with_an_awkward_name_works(make_box: Callable[[str], Sandbox]) -> None:
    real = make_box("näme with 'quotes\" and $HOME; -x")
    link = make_box("link")
    link.folder.rmdir()
    link.folder.symlink_to(real.folder)
    repo = Repo(link)
    repo.begin()
    repo.plan(work("a", "echo a > a", writes=["a"]), work("b", "cat a > b", needs=["a"], writes=["b"]))

    _green(repo)

    assert link.wavecrew("land").code == 0
    assert real.read("b") == "a\n"


def test_a_run_is_not_taken_up_with_settings_that_start_programs_and_were_not_there_before(repo: Repo) -> None:
    """What was agreed to when the run began says nothing about what somebody has set since."""
    box = repo.box
    repo.plan(work("a", "[ -e $HOME/mended ]"))
    assert repo.run().code == 1
    (box.home / "mended").touch()
    repo.git("config", "filter.new.clean", "touch ran")
    refused = box.wavecrew("run", "plan.json", "--wave-delay-seconds", "0")
    assert refused.code == 8, refused
    assert "the settings of this repository start programs: filter.new.clean = touch ran" in refused.err
    assert repo.ran() == ["a 1"]
    assert repo.run("--dry-run").code == 0
    assert repo.run().code == 0, "it was agreed to with --yes"
