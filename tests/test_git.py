"""Behaviours of the one door to git, with real git and a repository that would start a program wherever it can."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import git_world
from wavecrew.core.git import Git
from wavecrew.core.git_calls import printable
from wavecrew.core.liveness import is_locked
from wavecrew.errors import ExitCode, GitError, InternalError, NotFoundError, PreflightError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any configuration but a name."""
    folder = tmp_path / "home"
    folder.mkdir()
    git_world.home(folder, monkeypatch)
    return folder


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit on `main`."""
    place = tmp_path_factory.mktemp("pattern")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place))
        plain(place, "init", "-q", "-b", "main")
        place.joinpath("a.txt").write_text("one\n")
        plain(place, "add", "-A")
        plain(place, "-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "first")
    return place


@pytest.fixture
def folder(pattern: Path, tmp_path: Path) -> Path:
    """One's own copy of it."""
    place = tmp_path / "project"
    shutil.copytree(pattern, place)
    return place


def plain(folder: Path, *arguments: str, check: bool = True) -> str:
    """Git as everybody calls it: nothing is disarmed."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"git {arguments}: {done.stderr}")
    return done.stdout


# -- finding ----------------------------------------------------------------------------------------------------


def test_a_repository_is_found_from_any_folder_in_it_and_from_every_work_tree(folder: Path, tmp_path: Path) -> None:
    inside = folder / "deep" / "inside"
    inside.mkdir(parents=True)
    git = Git.open(inside)
    assert (git.root, git.common) == (folder, folder / ".git")
    git.run("worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    linked = Git.open(tmp_path / "tree")
    assert (linked.root, linked.common) == (tmp_path / "tree", folder / ".git")


def test_a_folder_without_a_repository_is_told_and_find_says_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not in a git repository") as caught:
        Git.open(tmp_path)
    assert "git init" in caught.value.fix
    assert Git.find(tmp_path) is None
    with pytest.raises(NotFoundError, match="no folder"):
        Git.open(tmp_path / "nowhere")


def test_without_git_open_refuses_and_find_says_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent:.:")
    assert Git.find(folder) is None
    with pytest.raises(PreflightError, match="git was not found") as caught:
        Git.open(folder)
    assert "2.38" in caught.value.fix


def test_an_old_git_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{fake_git(tmp_path, 'echo git version 2.37.9')}:{os.environ['PATH']}")
    with pytest.raises(PreflightError, match=r"git version 2\.37\.9 is too old"):
        Git.find(folder)


def fake_git(tmp_path: Path, lines: str) -> Path:
    """A program in the place of git; returns its folder."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    return program.parent


def test_a_repository_of_another_user_is_refused_with_the_way_to_trust_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        'test "$1" = version && echo git version 2.54.0 && exit\necho "fatal: detected dubious ownership" >&2\nexit 128'
    )
    monkeypatch.setenv("PATH", f"{fake_git(tmp_path, lines)}:{os.environ['PATH']}")
    with pytest.raises(PreflightError, match="belongs to another user") as caught:
        Git.open(folder)
    assert f"safe.directory {folder}" in caught.value.fix


def test_a_git_that_is_killed_or_says_nothing_is_told(folder: Path, tmp_path: Path) -> None:
    program = fake_git(tmp_path, 'test "$1" = config && exit\ntest "$1" = status && kill -9 $$\nexit 3') / "git"
    git = Git(str(program), folder, folder / ".git")
    with pytest.raises(GitError, match="git status was ended by signal 9"):
        git.run("status")
    with pytest.raises(GitError, match="git log failed with exit code 3: it said nothing"):
        git.run("log")


def test_a_bare_repository_is_refused_also_from_inside(folder: Path, tmp_path: Path) -> None:
    plain(tmp_path, "clone", "-q", "--bare", str(folder), "bare.git")
    for place in (tmp_path / "bare.git", tmp_path / "bare.git" / "refs", folder / ".git"):
        with pytest.raises(PreflightError, match="no work tree"):
            Git.open(place)


def test_a_program_named_git_in_the_repository_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "git"
    program.write_text("#!/bin/sh\ntouch taken\necho git version 9.0\n")
    program.chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert Git.open(folder).text("rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert not folder.joinpath("taken").exists()


# -- calling ----------------------------------------------------------------------------------------------------


def test_a_failure_tells_the_verb_and_the_last_words_of_git_without_controls(folder: Path) -> None:
    git = Git.open(folder)
    with pytest.raises(GitError) as caught:
        git.run("checkout", "no\x1b[31mbranch")
    assert caught.value.reason.startswith("git checkout failed with exit code 1: ")
    assert "branch" in caught.value.reason
    assert "\x1b" not in caught.value.reason
    assert (caught.value.code, caught.value.exit_code) == ("WC320", ExitCode.PREFLIGHT)


def test_messages_have_one_line_and_nothing_unseen() -> None:
    assert printable("a\x1b]0;t\x07\n\u202eb\udcff") == "a\\x1b]0;t\\x07\\n\\u202eb\\udcff"


def test_exit_codes_that_are_accepted_are_answers(folder: Path) -> None:
    git = Git.open(folder)
    folder.joinpath("a.txt").write_text("two\n")
    answer = git.run("diff", "--quiet", accept=(0, 1))
    assert answer.code == 1
    with pytest.raises(GitError):
        git.run("diff", "--quiet")


def test_input_output_and_names_are_bytes(folder: Path) -> None:
    git = Git.open(folder)
    assert git.text("hash-object", "--stdin", given=b"\x00\xff") == plain_hash(b"\x00\xff")
    name = b"caf\xe9\n.txt"
    with open(os.fsencode(folder) + b"/" + name, "wb"):
        pass
    told = git.text("ls-files", "-z", "--others")
    assert os.fsencode(told.rstrip("\0")) == name


def plain_hash(content: bytes) -> str:
    done = subprocess.run(["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_only_verbs_are_taken_so_that_nobody_arms_git_again(folder: Path) -> None:
    git = Git.open(folder)
    for words in ((), ("-c", "core.hooksPath=x", "status"), ("--exec-path=/tmp", "status")):
        with pytest.raises(InternalError):
            git.run(*words)


def test_the_caller_can_name_the_author_and_the_index(folder: Path, tmp_path: Path) -> None:
    git = Git.open(folder)
    index = str(tmp_path / "index")
    git.run("read-tree", "HEAD", environment={"GIT_INDEX_FILE": index})
    folder.joinpath("b.txt").write_text("b\n")
    git.run("add", "b.txt", environment={"GIT_INDEX_FILE": index})
    assert git.text("diff", "--cached", "--name-only") == ""
    assert git.text("diff", "--cached", "--name-only", environment={"GIT_INDEX_FILE": index}) == "b.txt"
    author = {"GIT_AUTHOR_NAME": "Phase 3", "GIT_AUTHOR_EMAIL": "p3@example.org"}
    git.run("commit", "-q", "--allow-empty", "-m", "x", environment=author)
    assert git.text("log", "-1", "--format=%an %cn") == "Phase 3 Ada"


def test_what_the_caller_adds_does_not_arm_git_again(hostile: Path, canary: Path) -> None:
    Git.open(hostile).run("status", environment={"GIT_CONFIG_COUNT": "0", "PATH": "/tmp", "LC_ALL": "C.UTF-8"})
    assert touched(canary) == set()


def test_a_lock_of_another_git_is_waited_for(folder: Path) -> None:
    git = Git.open(folder)
    lock = folder / ".git" / "index.lock"
    lock.touch()
    timer = threading.Timer(0.15, lock.unlink)
    timer.start()
    folder.joinpath("b.txt").write_text("b\n")
    git.run("add", "b.txt")
    timer.join()
    assert git.text("diff", "--cached", "--name-only") == "b.txt"


def test_a_lock_that_stays_is_told_and_never_removed(folder: Path) -> None:
    git = Git.open(folder)
    for lock, words in (
        (folder / ".git" / "index.lock", ("add", "-A")),
        (folder / ".git" / "config.lock", ("config", "a.b", "c")),
    ):
        lock.touch()
        with pytest.raises(GitError, match="another git holds a lock") as caught:
            git.run(*words)
        assert "remove the file" in caught.value.fix
        assert lock.exists()
        lock.unlink()


def test_a_work_tree_that_an_agent_made_its_own_repository_is_not_entered(folder: Path, tmp_path: Path) -> None:
    git = Git.open(folder)
    tree = tmp_path / "tree"
    git.run("worktree", "add", "-q", "-b", "other", str(tree))
    assert git.text("rev-parse", "--abbrev-ref", "HEAD", cwd=tree) == "other"
    tree.joinpath(".git").rename(tmp_path / "link")
    plain(tree, "init", "-q")
    with pytest.raises(GitError, match="belongs to another repository"):
        git.run("status", cwd=tree)


@pytest.mark.parametrize("link", [None, "gitdir: /nonexistent\n", "", "gitdir: \0\n"])
def test_a_work_tree_without_its_link_is_not_taken_for_the_one_around_it(folder: Path, link: str | None) -> None:
    git = Git.open(folder)
    tree = folder / "trees" / "one"
    git.run("worktree", "add", "-q", "-b", "other", str(tree))
    tree.joinpath(".git").unlink()
    if link is not None:
        tree.joinpath(".git").write_text(link)
    with pytest.raises(GitError, match=r"is no work tree|belongs to another"):
        git.run("add", "-A", cwd=tree)


def test_a_work_tree_that_is_gone_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="is no work tree"):
        Git.open(folder).run("status", cwd=tmp_path / "gone")


# -- nothing is started -----------------------------------------------------------------------------------------


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A folder in which every program that the hostile repository names leaves a file with its own name."""
    place = tmp_path / "canary"
    place.mkdir()
    return place


def touched(canary: Path) -> set[str]:
    return {file.name for file in canary.iterdir()}


HOOKS = [
    "pre-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "post-checkout",
    "post-merge",
    "pre-merge-commit",
    "post-index-change",
    "reference-transaction",
    "pre-auto-gc",
    "post-rewrite",
    "applypatch-msg",
    "pre-rebase",
    "pre-push",
]

EXECUTING = {
    "core.fsmonitor": "fsmonitor",
    "core.editor": "editor",
    "sequence.editor": "sequence",
    "core.pager": "pager",
    "pager.log": "pager-log",
    "core.askPass": "askpass",
    "core.sshCommand": "ssh",
    "core.gitProxy": "proxy",
    "core.alternateRefsCommand": "alternates",
    "filter.evil.clean": "clean",
    "filter.evil.smudge": "smudge",
    "filter.long.process": "process",
    "merge.evil.driver": "merge-driver",
    "diff.external": "diff-external",
    "diff.evil.command": "diff-command",
    "diff.seen.textconv": "textconv",
    "gpg.program": "gpg",
    "credential.helper": "!credential",
    "credential.https://example.org.helper": "!credential-url",
    "alias.status": "!alias-status",
    "alias.evil": "!alias",
    "trailer.evil.command": "trailer",
    "interactive.diffFilter": "diff-filter",
    "uploadpack.packObjectsHook": "pack-objects",
    "remote.origin.uploadpack": "uploadpack",
    "hook.evil.command": "config-hook",
    "submodule.evil.update": "!submodule",
}
SETTINGS = {
    "merge.default": "evil",
    "commit.gpgSign": "true",
    "tag.gpgSign": "true",
    "log.showSignature": "true",
    "commit.verbose": "true",
    "filter.evil.required": "true",
    "filter.long.required": "true",
    "hook.evil.event": "pre-commit",
    "trailer.evil.key": "Evil",
}


@pytest.fixture
def hostile(folder: Path, canary: Path, tmp_path: Path) -> Path:
    """A repository that starts a program wherever git can be told to."""
    programs = tmp_path / "programs"
    programs.mkdir()

    def program(name: str) -> str:
        path = programs / name
        path.write_text(f"#!/bin/sh\ntouch '{canary}/{name}'\ncat 2>/dev/null\nexit 0\n")
        path.chmod(0o755)
        return str(path)

    write_files(folder)
    settings = dict(SETTINGS)
    for key, value in EXECUTING.items():
        settings[key] = f"{'!' * value.startswith('!')}{program(value.strip('!'))}"
    for key, value in settings.items():
        section, _, rest = key.partition(".")
        name, dot, variable = rest.rpartition(".")
        append(
            folder / ".git" / "config",
            f"[{section}{f' {chr(34)}{name}{chr(34)}' * bool(dot)}]\n\t{variable} = {value}\n",
        )
    for name in HOOKS:
        hook = folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{canary}/hook-{name}'\n")
        hook.chmod(0o755)
    assert set(plain(folder, "config", "--list", "--name-only").split()) >= {key.lower() for key in settings}
    assert touched(canary) == set()
    return folder


def write_files(folder: Path) -> None:
    """Commit a file for each driver on `main` and on `side`."""
    attributes = "*.flt filter=evil\n*.lng filter=long\n*.mrg merge=evil\n*.dif diff=evil\n*.see diff=seen\n"
    folder.joinpath(".gitattributes").write_text(attributes)
    for ending in ("flt", "lng", "mrg", "dif", "see", "txt"):
        folder.joinpath(f"file.{ending}").write_text("".join(f"{number}\n" for number in range(9)))
    plain(folder, "add", "-A")
    plain(folder, "commit", "-qm", "attributes")
    plain(folder, "branch", "side")


def edit(folder: Path, line: int, text: str) -> None:
    """Change one line of every file."""
    for file in folder.glob("file.*"):
        lines = file.read_text().splitlines()
        lines[line] = text
        file.write_text("\n".join(lines) + "\n")


def test_nothing_that_a_repository_names_is_started_by_any_of_our_verbs(
    hostile: Path, canary: Path, tmp_path: Path
) -> None:
    git = Git.open(hostile)
    tree = tmp_path / "tree"
    edit(hostile, 1, "ours")
    git.run("status", "--porcelain=v2", "-z", "--untracked-files=all")
    git.run("diff")
    git.run("add", "-A")
    git.run("diff", "--cached")
    git.run("commit", "-m", "ours")
    git.run("worktree", "add", "-b", "work", str(tree), "side")
    edit(tree, 7, "theirs")
    git.run("add", "-A", cwd=tree)
    git.run("commit", "-m", "theirs", cwd=tree)
    git.run("log", "-p", "-1", cwd=tree)
    git.run("show", cwd=tree)
    git.run("merge-tree", "--write-tree", "main", "work")
    git.run("rebase", "side", cwd=tree)
    git.run("cherry-pick", "--no-commit", "main", cwd=tree)
    git.run("reset", "-q", "--hard", cwd=tree)
    git.run("merge", "-m", "both", "main", cwd=tree)
    git.run("checkout", "-q", "--detach", "side", cwd=tree)
    git.run("checkout", "-q", "work", cwd=tree)
    git.run("diff-tree", "-p", "main", "work")
    git.run("diff-index", "-p", "side")
    edit(hostile, 3, "more")
    git.run("diff-files", "-p")
    git.run("format-patch", "--stdout", "side..work")
    git.run("stash", "push")
    git.run("stash", "show", "-p")
    git.run("blame", "file.see")
    git.run("grep", "ours")
    git.run("tag", "-m", "tag", "v1")
    git.run("update-ref", "refs/heads/other", "work")
    git.run("branch", "-D", "other")
    git.run("interpret-trailers", given=b"text\n\nEvil: x\n")
    git.run("archive", "--output", str(tmp_path / "out.tar"), "work")
    git.run("config", "--get", "user.name")
    git.run("fetch", "-q", "origin", accept=(128,))
    git.run("gc", "-q")
    git.run("worktree", "remove", "--force", str(tree))
    assert touched(canary) == set()


EACH = {
    "core.fsmonitor": ("status",),
    "core.editor": ("commit", "--allow-empty"),
    "filter.evil.clean": ("add", "file.flt"),
    "filter.evil.smudge": ("checkout", "-q", "-f", "side", "--", "file.flt"),
    "filter.long.process": ("add", "file.lng"),
    "merge.evil.driver": ("merge-tree", "--write-tree", "left", "right"),
    "diff.external": ("diff",),
    "diff.evil.command": ("diff", "file.dif"),
    "diff.seen.textconv": ("log", "-p"),
    "gpg.program": ("commit", "-S", "--allow-empty", "-m", "x"),
    "core.sshCommand": ("ls-remote", "ssh://example.invalid/x"),
    "core.gitProxy": ("ls-remote", "git://example.invalid/x"),
    "remote.origin.uploadpack": ("ls-remote", "origin"),
    "alias.evil": ("evil",),
    "credential.helper": ("credential", "fill"),
    "core.askPass": ("credential", "fill"),
    "trailer.evil.command": ("interpret-trailers",),
    "hook:pre-commit": ("commit", "--allow-empty", "-m", "x"),
    "hook:post-checkout": ("checkout", "-q", "side"),
    "hook:post-merge": ("merge", "-q", "left"),
    "hook:reference-transaction": ("update-ref", "refs/heads/x", "HEAD"),
    "hook:post-index-change": ("add", "file.txt"),
}


@pytest.mark.parametrize("key", EACH)
def test_what_plain_git_starts_is_not_started_by_us(folder: Path, tmp_path: Path, key: str) -> None:
    """So that the test above can fail: plain git does start each of these."""
    left_a_trace, program = tmp_path / "trace", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{left_a_trace}'\nexit 1\n")
    program.chmod(0o755)
    write_files(folder)
    edit(folder, 1, "zero")
    plain(folder, "commit", "-qam", "more")
    for branch, line in (("left", 2), ("right", 7)):
        plain(folder, "checkout", "-qb", branch, "side")
        edit(folder, line, branch)
        plain(folder, "commit", "-qam", branch)
    plain(folder, "checkout", "-q", "-b", "work", "side")
    edit(folder, 4, "work")
    plain(folder, "config", "remote.origin.url", str(folder))
    plain(folder, "config", "trailer.evil.key", "Evil")
    if key.startswith("hook:"):
        plain(folder, "restore", ".")
        if "index" in key:
            edit(folder, 4, "work")
        program.rename(folder / ".git" / "hooks" / key.removeprefix("hook:"))
    else:
        plain(folder, "config", key, f"!{program}" if key[:5] in ("alias", "crede") else str(program))
    given = b"Evil: x\n" if key.startswith("trailer") else b"protocol=https\nhost=example.org\n\n"
    shutil.copytree(folder, tmp_path / "copy")
    with contextlib.suppress(GitError):
        Git.open(folder).run(*EACH[key], given=given)
    assert not left_a_trace.exists()
    subprocess.run(["git", *EACH[key]], cwd=tmp_path / "copy", input=given, capture_output=True, check=False)
    assert left_a_trace.exists()


def test_merges_with_a_foreign_driver_are_those_of_git_itself(hostile: Path) -> None:
    git = Git.open(hostile)
    edit(hostile, 1, "ours")
    git.run("commit", "-qam", "ours")
    git.run("checkout", "-q", "side")
    edit(hostile, 7, "theirs")
    git.run("commit", "-qam", "theirs")
    tree = git.text("merge-tree", "--write-tree", "main", "side")
    assert git.text("show", f"{tree}:file.mrg").split() == ["0", "ours", "2", "3", "4", "5", "6", "theirs", "8"]
    edit(hostile, 1, "other")
    git.run("commit", "-qam", "conflict")
    answer = git.run("merge-tree", "--write-tree", "main", "side", accept=(0, 1))
    assert answer.code == 1
    told = git.text("show", f"{answer.text.splitlines()[0]}:file.mrg")
    assert "<<<<<<< ours\nours\n" in told.replace("||||||| base\n1\n", "")
    assert ">>>>>>> theirs" in told


def test_binary_files_with_a_foreign_driver_are_a_conflict(hostile: Path) -> None:
    git = Git.open(hostile)
    hostile.joinpath("b.mrg").write_bytes(b"\0one")
    git.run("add", "-A")
    git.run("commit", "-qm", "binary")
    git.run("checkout", "-q", "-b", "left")
    hostile.joinpath("b.mrg").write_bytes(b"\0two")
    git.run("commit", "-qam", "left")
    git.run("checkout", "-q", "main")
    hostile.joinpath("b.mrg").write_bytes(b"\0three")
    git.run("commit", "-qam", "right")
    assert git.run("merge-tree", "--write-tree", "left", "main", accept=(0, 1)).code == 1


def test_diffs_are_those_of_git_itself(hostile: Path) -> None:
    git = Git.open(hostile)
    edit(hostile, 1, "ours")
    told = git.text("diff", "--", "file.dif", "file.see", "file.flt")
    assert told.count("\n+ours") == 3


@pytest.mark.parametrize("where", ["shared", "include", "conditional", "worktree", "user", "nested"])
def test_a_filter_that_is_added_in_mid_run_is_seen(
    folder: Path, canary: Path, tmp_path: Path, home: Path, where: str
) -> None:
    git = Git.open(folder)
    tree = tmp_path / "tree"
    git.run("worktree", "add", "-q", "-b", "other", str(tree))
    tree.joinpath(".gitattributes").write_text("*.txt filter=evil\n")
    git.run("add", "-A", cwd=tree)  # the settings have been read now
    lines = f'[filter "evil"]\n\tclean = touch {canary}/clean; cat\n\trequired = true\n'
    more = tmp_path / "more"
    config = folder / ".git" / "config"
    if where == "shared":
        append(config, lines)
    elif where == "include":
        append(config, "[include]\n\tpath = ../more\n")
        folder.joinpath("more").write_text(lines)
    elif where == "conditional":
        append(config, f'[includeIf "onbranch:other"]\n\tpath = {more}\n')
        more.write_text(lines)
    elif where == "nested":
        append(config, f"[include]\n\tpath = {more}\n")
        more.write_text("[include]\n\tpath = ~/further\n")
        git.run("status")
        home.joinpath("further").write_text(lines)
    elif where == "worktree":
        plain(folder, "config", "extensions.worktreeConfig", "true")
        git.run("status")
        append(Path(plain(tree, "rev-parse", "--git-dir").strip()) / "config.worktree", lines)
    else:
        append(home / ".gitconfig", lines)
    tree.joinpath("new.txt").write_text("x\n")
    git.run("add", "new.txt", cwd=tree)
    assert touched(canary) == set()
    tree.joinpath("new.txt").write_text("y\n")
    plain(tree, "add", "new.txt")
    assert touched(canary) == {"clean"}


def append(file: Path, lines: str) -> None:
    with file.open("a") as end:
        end.write(lines)


def test_includes_that_include_each_other_end(folder: Path) -> None:
    folder.joinpath("loop").write_text("[include]\n\tpath = loop\n")
    append(folder / ".git" / "config", '[includeIf "onbranch:never"]\n\tpath = ../loop\n')
    entries = Git.open(folder).configuration()
    assert [entry.key for entry in entries if entry.file.name == "loop"] == ["include.path"]


def test_a_configuration_that_cannot_be_read_is_told(folder: Path) -> None:
    append(folder / ".git" / "config", "[unfinished\n")
    with pytest.raises((GitError, PreflightError), match="bad config line"):
        Git.open(folder).run("status")


def test_large_files_are_taken_as_they_are(folder: Path, home: Path) -> None:
    """The filter of git-lfs in the user's configuration is off too, though it is required there."""
    append(home / ".gitconfig", '[filter "lfs"]\n\tclean = false\n\tsmudge = false\n\tprocess = false\n\trequired\n')
    folder.joinpath(".gitattributes").write_text("*.bin filter=lfs -text\n")
    folder.joinpath("x.bin").write_text("large")
    git = Git.open(folder)
    git.run("add", "-A")
    assert git.text("cat-file", "-p", ":x.bin") == "large"


def test_variables_of_the_caller_lead_nowhere(
    folder: Path, canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(tmp_path, "init", "-q", "elsewhere")
    poison = {
        "GIT_DIR": str(tmp_path / "elsewhere" / ".git"),
        "GIT_WORK_TREE": str(tmp_path / "elsewhere"),
        "GIT_INDEX_FILE": str(tmp_path / "elsewhere" / "index"),
        "GIT_COMMON_DIR": str(tmp_path / "elsewhere" / ".git"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "elsewhere" / ".git" / "objects"),
        "GIT_EXTERNAL_DIFF": f"touch {canary}/diff",
        "GIT_SSH_COMMAND": f"touch {canary}/ssh",
        "GIT_EDITOR": f"touch {canary}/editor",
        "GIT_PAGER": f"touch {canary}/pager",
        "GIT_ASKPASS": f"touch {canary}/askpass",
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor'='touch {canary}/fsmonitor'",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(tmp_path),
        "GIT_NAMESPACE": "other",
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "GIT_TRACE": str(canary / "trace"),
        "LC_ALL": "de_DE.UTF-8",
    }
    for name, value in poison.items():
        monkeypatch.setenv(name, value)
    git = Git.open(folder)
    folder.joinpath("a.txt").write_text("two\n")
    assert git.root == folder
    assert git.text("diff", "--name-only") == "a.txt"
    git.run("diff")
    git.run("commit", "-aqm", "second")
    assert git.text("log", "--format=%s").split() == ["second", "first"]
    assert touched(canary) == set()


def test_git_is_not_started_inside_of_submodules(folder: Path, canary: Path, tmp_path: Path) -> None:
    """Git clears the environment for them, so what is said here would not hold there."""
    plain(tmp_path, "clone", "-q", str(folder), "library")
    plain(folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    plain(folder, "commit", "-qm", "library")
    plain(folder / "lib", "config", "core.fsmonitor", f"touch {canary}/fsmonitor; false")
    git = Git.open(folder)
    plain(folder, "config", "submodule.lib.ignore", "none")
    folder.joinpath("lib", "a.txt").write_text("changed\n")
    git.run("status")
    git.run("diff")
    git.run("diff-index", "HEAD")
    git.run("diff-files")
    git.run("add", "-A")
    git.run("commit", "-q", "--allow-empty", "-m", "more")
    assert touched(canary) == set()
    plain(folder, "status")
    assert touched(canary) == {"fsmonitor"}


# -- one at a time ----------------------------------------------------------------------------------------------


def _count_alone(folder: Path, rounds: int) -> None:
    git = Git.open(folder)
    counter = folder / "counter"
    for _ in range(rounds):
        with git.writing():
            number = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(number + 1))


def test_writers_in_several_processes_and_threads_exclude_each_other(folder: Path) -> None:
    folder.joinpath("counter").write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count_alone, args=(folder, 40)) for _ in range(2)]
    threads = [threading.Thread(target=_count_alone, args=(folder, 40)) for _ in range(3)]
    for worker in (*processes, *threads):
        worker.start()
    for worker in (*processes, *threads):
        worker.join()
    assert folder.joinpath("counter").read_text() == "200"


def test_a_thread_that_writes_can_enter_again_and_another_waits(folder: Path) -> None:
    git, same = Git.open(folder), Git.open(folder)
    entered = threading.Event()

    def enter() -> None:
        with same.writing():
            entered.set()

    with git.writing():
        with same.writing():
            git.run("status")
        other = threading.Thread(target=enter)
        other.start()
        assert not entered.wait(0.2)
    other.join()
    assert entered.is_set()


def test_the_lock_goes_with_the_git_that_was_started_under_it(folder: Path, tmp_path: Path) -> None:
    """Who is killed in the middle of a write does not let others in before that git has ended."""
    pipe, lock = tmp_path / "pipe", folder / ".git" / "wavecrew.lock"
    os.mkfifo(pipe)
    program = f"""
from pathlib import Path
from wavecrew.core.git import Git
git = Git.open(Path({str(folder)!r}))
with git.writing():
    git.run("hash-object", "--no-filters", {str(pipe)!r})
"""
    writer = subprocess.Popen([sys.executable, "-c", program])
    with pipe.open("wb"):  # opens as soon as git reads
        writer.kill()
        writer.wait()
        assert is_locked(lock)
    until(lambda: not is_locked(lock))
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lock_that_cannot_be_written_is_told(folder: Path) -> None:
    git = Git.open(folder)
    folder.joinpath(".git", "wavecrew.lock").symlink_to("elsewhere")
    with pytest.raises(GitError, match="cannot be written"), git.writing():
        pass


def test_many_work_trees_at_once_all_succeed(folder: Path, tmp_path: Path) -> None:
    git = Git.open(folder)
    failures: list[Exception] = []

    def add(number: int) -> None:
        try:
            with git.writing():
                git.run("worktree", "add", "-q", "-b", f"b{number}", str(tmp_path / f"t{number}"))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(git.text("branch", "--list", "b*").splitlines()) == 13
