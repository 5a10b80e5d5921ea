"""Behaviours of the facts about a repository, each by a real repository in that state."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import git_world
from wavecrew.core.git import Git
from wavecrew.core.repository import RepositoryFacts, look, require_sound, warnings
from wavecrew.errors import ExitCode, PreflightError

SOUND = RepositoryFacts(
    head="1" * 40, branch="main", operation="", dirty=(), shallow=False, lfs=False, submodules=(), dangerous=()
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    git_world.home(folder, monkeypatch)
    return folder


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with three commits on `main` and one that collides with the last on `side`."""
    place = tmp_path_factory.mktemp("pattern")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place))
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "Someone")
            patch.setenv(f"GIT_{role}_EMAIL", "someone@example.org")
        git(place, "init", "-q", "-b", "main")
        for text in ("one", "two", "three"):
            commit(place, text)
        git(place, "checkout", "-q", "-b", "side", "main~1")
        commit(place, "other")
        git(place, "checkout", "-q", "main")
    return place


@pytest.fixture
def folder(pattern: Path, tmp_path: Path) -> Path:
    """One's own copy of it."""
    place = tmp_path / "project"
    shutil.copytree(pattern, place)
    return place


def commit(folder: Path, text: str) -> None:
    folder.joinpath("a.txt").write_text(f"{text}\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", text)


def git(folder: Path, *arguments: str, fails: bool = False) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert bool(done.returncode) is fails, done.stderr
    return done.stdout.strip()


def facts_of(folder: Path) -> RepositoryFacts:
    return look(Git.open(folder))


# -- looking ----------------------------------------------------------------------------------------------------


def test_a_sound_repository(folder: Path) -> None:
    assert facts_of(folder) == replace(SOUND, head=git(folder, "rev-parse", "HEAD"))


def test_a_repository_without_a_commit_has_no_head(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk", "new")
    facts = facts_of(tmp_path / "new")
    assert (facts.head, facts.branch) == ("", "trunk")


def test_a_detached_head_has_no_branch(folder: Path) -> None:
    git(folder, "checkout", "-q", "--detach")
    facts = facts_of(folder)
    assert (facts.head, facts.branch) == (git(folder, "rev-parse", "HEAD"), "")


def in_a_merge(folder: Path) -> None:
    git(folder, "merge", "side", fails=True)


def in_a_rebase(folder: Path) -> None:
    git(folder, "rebase", "side", fails=True)


def in_an_old_rebase(folder: Path) -> None:
    git(folder, "rebase", "--apply", "side", fails=True)


def in_a_cherry_pick(folder: Path) -> None:
    git(folder, "cherry-pick", "side", fails=True)


def in_a_revert(folder: Path) -> None:
    git(folder, "revert", "--no-edit", "HEAD~1", fails=True)


def in_a_bisect(folder: Path) -> None:
    git(folder, "bisect", "start")


def in_an_am(folder: Path) -> None:
    folder.joinpath("..", "patch").write_text(git(folder, "format-patch", "--stdout", "-1", "side") + "\n")
    git(folder, "am", "../patch", fails=True)


@pytest.mark.parametrize(
    ("begin", "operation"),
    [
        (in_a_merge, "merge"),
        (in_a_rebase, "rebase"),
        (in_an_old_rebase, "rebase"),
        (in_a_cherry_pick, "cherry-pick"),
        (in_a_revert, "revert"),
        (in_a_bisect, "bisect"),
        (in_an_am, "am"),
    ],
)
def test_operations_in_progress_belong_to_their_work_tree(
    folder: Path, tmp_path: Path, begin: object, operation: str
) -> None:
    assert callable(begin)
    begin(folder)
    assert facts_of(folder).operation == operation
    with pytest.raises(PreflightError, match=f"{operation} is in progress") as caught:
        require_sound(replace(facts_of(folder), dirty=()), include_dirty=False)
    assert operation in caught.value.fix or operation == "merge"
    git(folder, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"), "main")
    assert facts_of(tmp_path / "tree").operation == ""
    begin(tmp_path / "tree") if operation == "merge" else None
    assert facts_of(tmp_path / "tree").operation == ("merge" if operation == "merge" else "")


def test_dirty_are_staged_changed_removed_renamed_and_unknown_files_but_not_ignored_ones(folder: Path) -> None:
    for name in ("changed", "removed", "moved", "kept", ".gitignore"):
        folder.joinpath(name).write_text(f"{name}\nignored\n" * 9)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "files")
    folder.joinpath("changed").write_text("x")
    folder.joinpath("removed").unlink()
    git(folder, "mv", "moved", "moved to")
    folder.joinpath("staged").write_text("x")
    git(folder, "add", "staged")
    folder.joinpath("deep").mkdir()
    folder.joinpath("deep", "new\nline").write_text("x")
    folder.joinpath("ignored").write_text("x")
    with open(os.fsencode(folder) + b"/caf\xe9", "wb"):
        pass
    expected = {"changed", "removed", "moved", "moved to", "staged", "deep/new\nline", "caf\udce9"}
    assert set(facts_of(folder).dirty) == expected


def test_a_conflict_is_dirty(folder: Path) -> None:
    git(folder, "merge", "side", fails=True)
    assert facts_of(folder).dirty == ("a.txt",)


def test_settings_for_status_of_the_user_hide_nothing(folder: Path, home: Path) -> None:
    with home.joinpath(".gitconfig").open("a") as config:
        config.write("[status]\n\tshowUntrackedFiles = no\n\tbranch = false\n\trenames = copies\n")
    folder.joinpath("new").write_text("x")
    assert facts_of(folder).dirty == ("new",)


def test_a_shallow_clone(folder: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{folder}", "shallow")
    assert facts_of(tmp_path / "shallow").shallow


@pytest.mark.parametrize("where", [".gitattributes", "deep/.gitattributes", ".git/info/attributes"])
def test_lfs_is_seen_wherever_its_attribute_stands(folder: Path, where: str) -> None:
    file = folder / where
    file.parent.mkdir(exist_ok=True)
    file.write_text("# *.bin filter=lfs\n*.txt text\n")
    git(folder, "add", "-A")
    assert not facts_of(folder).lfs
    file.write_text("*.txt text\n*.bin filter=lfs diff=lfs merge=lfs -text\n")
    assert facts_of(folder).lfs


def test_submodules_are_named(folder: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(folder), "library")
    git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / "library"), "my lib")
    git(folder, "commit", "-qm", "library")
    facts = facts_of(folder)
    assert facts.submodules == ("my lib",)
    assert facts.dangerous == ()


DANGEROUS = {
    "core.fsmonitor": "./evil",
    "core.hooksPath": ".hooks",
    "core.sshCommand": "evil",
    "core.editor": "evil",
    "core.pager": "evil",
    "core.askPass": "evil",
    "core.gitProxy": "evil",
    "core.alternateRefsCommand": "evil",
    "sequence.editor": "evil",
    "diff.external": "evil",
    "interactive.diffFilter": "evil",
    "uploadpack.packObjectsHook": "evil",
    "init.templateDir": "evil",
    "pager.log": "evil",
    "filter.x.clean": "evil",
    "filter.x.smudge": "evil",
    "filter.x.process": "evil",
    "filter.lfs.clean": "git-lfs clean -- %f; evil",
    "merge.x.driver": "evil",
    "diff.x.command": "evil",
    "diff.x.textconv": "evil",
    "alias.x": "!evil",
    "credential.helper": "!evil",
    "credential.https://example.org.helper": "/evil",
    "gpg.program": "evil",
    "gpg.ssh.program": "evil",
    "gpg.ssh.defaultKeyCommand": "evil",
    "remote.x.uploadpack": "evil",
    "remote.x.receivepack": "evil",
    "remote.x.vcs": "evil",
    "remote.x.url": "ext::evil",
    "trailer.x.command": "evil",
    "trailer.x.cmd": "evil",
    "hook.x.command": "evil",
    "submodule.x.update": "!evil",
    "url.ext::evil.insteadOf": "https://",
    "protocol.ext.allow": "always",
    "mergetool.x.cmd": "evil",
    "include.path": "/etc/evil",
    "includeIf.onbranch:x.path": "../evil",
}


@pytest.mark.parametrize("key", DANGEROUS)
def test_settings_that_start_a_program_are_named(folder: Path, key: str) -> None:
    opened = Git.open(folder)
    git(folder, "config", key, DANGEROUS[key])
    (told,) = look(opened).dangerous
    assert told.lower() == f"{key} = {DANGEROUS[key]}".lower()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("core.fsmonitor", "true"),
        ("core.fsmonitor", "false"),
        ("pager.log", "false"),
        ("filter.lfs.clean", "git-lfs clean -- %f"),
        ("filter.lfs.process", "git-lfs filter-process"),
        ("credential.helper", "cache"),
        ("alias.st", "status"),
        ("user.name", "x"),
        ("remote.origin.url", "https://example.org/x"),
        ("url.https://example.org/.insteadOf", "ex:"),
        ("submodule.x.update", "rebase"),
        ("protocol.ext.allow", "never"),
        ("include.path", "more"),
    ],
)
def test_harmless_settings_are_not(folder: Path, key: str, value: str) -> None:
    git(folder, "config", key, value)
    assert facts_of(folder).dangerous == ()


def test_settings_of_work_trees_and_of_included_files_count_and_those_of_the_user_do_not(
    folder: Path, tmp_path: Path, home: Path
) -> None:
    with home.joinpath(".gitconfig").open("a") as config:
        config.write("[core]\n\teditor = vi\n\thooksPath = ~/hooks\n")
    assert facts_of(folder).dangerous == ()
    git(folder, "config", "extensions.worktreeConfig", "true")
    git(folder, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(tmp_path / "tree", "config", "--worktree", "core.editor", "evil")
    git(folder, "config", "include.path", "more")
    folder.joinpath(".git", "more").write_text('[filter "x"]\n\tclean = "evil\\n\x1b[31m"\n')
    assert facts_of(folder).dangerous == ("core.editor = evil", "filter.x.clean = evil\\n\\x1b[31m")


def test_long_values_are_cut(folder: Path) -> None:
    git(folder, "config", "core.editor", "x" * 1000)
    assert len(facts_of(folder).dangerous[0]) < 120


# -- judging ----------------------------------------------------------------------------------------------------


def test_a_sound_repository_is_let_through_and_warns_of_nothing() -> None:
    require_sound(SOUND, include_dirty=False)
    assert warnings(SOUND) == ()


@pytest.mark.parametrize(
    ("change", "reason", "fix"),
    [
        ({"head": ""}, "no commit yet", "git commit"),
        ({"operation": "rebase"}, "a rebase is in progress", "git rebase --abort"),
        ({"operation": "am"}, "am is in progress", "git am --abort"),
        ({"operation": "bisect"}, "a bisect is in progress", "git bisect reset"),
        ({"dirty": ("a\x1b", "b")}, r"not committed: a\\x1b, b$", "--include-dirty"),
        ({"dirty": tuple("abcdefg")}, "a, b, c, d, e and 2 more", "--include-dirty"),
        (
            {"dangerous": ("filter.x = y.clean = evil", "core.pager = x")},
            "start programs: filter.x = y.clean = evil, core.pager = x",
            "--yes",
        ),
    ],
)
def test_what_is_not_sound_is_refused_with_a_way_out(change: dict[str, str], reason: str, fix: str) -> None:
    with pytest.raises(PreflightError, match=reason) as caught:
        require_sound(replace(SOUND, **change), include_dirty=False)
    assert fix in caught.value.fix
    assert caught.value.exit_code == ExitCode.PREFLIGHT


def test_changes_can_be_taken_along_or_be_exempt_and_settings_agreed_to() -> None:
    dirty = replace(SOUND, dirty=("plan/01.md", "a"))
    require_sound(dirty, include_dirty=True)
    require_sound(dirty, include_dirty=False, exempt={"plan/01.md", "a"})
    with pytest.raises(PreflightError, match=r"not committed: a$"):
        require_sound(dirty, include_dirty=False, exempt={"plan/01.md"})
    require_sound(replace(SOUND, dangerous=("core.editor = x",)), include_dirty=False, agreed=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"branch": ""}, "HEAD is detached at 111111111111:"),
        ({"lfs": True}, "pointers"),
        ({"shallow": True}, "shallow"),
        ({"submodules": ("lib\x1b",)}, "stay empty in a phase: lib\\x1b"),
    ],
)
def test_what_a_person_should_know_is_a_warning(change: dict[str, str], words: str) -> None:
    facts = replace(SOUND, **change)
    require_sound(facts, include_dirty=False)
    (told,) = warnings(facts)
    assert words in told


# -- a place for what a run makes -------------------------------------------------------------------------------------


def test_a_branch_that_bears_our_name_is_in_the_way_loose_or_packed(folder: Path) -> None:
    git(folder, "branch", "wavecrew/of/mine")
    assert look(Git.open(folder)).in_the_way == ""
    git(folder, "branch", "-D", "wavecrew/of/mine")
    git(folder, "branch", "wavecrew")

    for pack in (False, True):
        if pack:
            git(folder, "pack-refs", "--all")
        with pytest.raises(PreflightError, match="named wavecrew") as refused:
            require_sound(look(Git.open(folder)), include_dirty=True, agreed=True)
        assert "git branch -m wavecrew" in refused.value.fix


@pytest.mark.parametrize("name", [".", "objects", "refs/heads", "objects/00"])
def test_a_folder_of_git_that_cannot_be_written_in_is_told(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = folder / ".git" / name
    locked.mkdir(exist_ok=True)
    honest = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked and honest(path, mode))

    facts = look(Git.open(folder))

    assert facts.unwritable == str(locked)
    with pytest.raises(PreflightError, match="cannot be written"):
        require_sound(facts, include_dirty=True, agreed=True)


def test_what_is_sound_has_room_for_a_run(folder: Path) -> None:
    facts = look(Git.open(folder))
    assert (facts.unwritable, facts.in_the_way) == ("", "")
