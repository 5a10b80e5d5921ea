"""Behaviours of the guard: what an agent changes behind our back is told once, and what is harmless is not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from wavecrew.core.guard import Guard


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    git(place, "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "first")
    place.joinpath("plan").mkdir()
    for name in ("01.md", "02.md"):
        place.joinpath("plan", name).write_text(f"# {name}\n")
    return place


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def guard_of(folder: Path) -> Guard:
    return Guard(folder / ".git", sorted((folder / "plan").iterdir()))


def test_a_quiet_repository_tells_nothing(folder: Path) -> None:
    guard = guard_of(folder)
    assert guard.look() == ()
    assert guard.look() == ()


def test_a_setting_that_starts_a_program_is_told_once(folder: Path) -> None:
    guard = guard_of(folder)
    git(folder, "config", "filter.evil.clean", "x")
    assert guard.look() == (".git/config: filter.evil.clean added",)
    assert guard.look() == ()
    git(folder, "config", "filter.evil.clean", "y")
    assert guard.look() == (".git/config: filter.evil.clean changed",)
    git(folder, "config", "--unset", "filter.evil.clean")
    assert guard.look() == (".git/config: filter.evil.clean removed",)


def test_a_second_value_of_a_key_is_a_change(folder: Path) -> None:
    git(folder, "config", "credential.helper", "store")
    guard = guard_of(folder)
    git(folder, "config", "--add", "credential.helper", "!evil")
    assert guard.look() == (".git/config: credential.helper changed",)


@pytest.mark.parametrize(
    "words",
    [
        ("config", "user.name", "Agent"),
        ("config", "branch.main.remote", "origin"),
        ("remote", "add", "origin", "https://example.org/x"),
        ("config", "core.logAllRefUpdates", "true"),
        ("config", "push.default", "simple"),
    ],
)
def test_harmless_settings_are_not_told(folder: Path, words: tuple[str, ...]) -> None:
    guard = guard_of(folder)
    before = folder.joinpath(".git", "config").read_bytes()
    git(folder, *words)
    assert folder.joinpath(".git", "config").read_bytes() != before
    assert guard.look() == ()


@pytest.mark.parametrize(
    "key",
    ["core.hooksPath", "core.worktree", "remote.origin.uploadpack", "include.path", "init.templateDir", "alias.st"],
)
def test_others_are(folder: Path, key: str) -> None:
    guard = guard_of(folder)
    git(folder, "config", key, "x")
    assert guard.look() == (f".git/config: {key.lower()} added",)


def test_a_harmless_setting_does_not_hide_another_in_the_same_write(folder: Path) -> None:
    guard = guard_of(folder)
    with folder.joinpath(".git", "config").open("a") as config:
        config.write('[user]\n\tname = x\n[diff "a\x1b[31m"]\n\ttextconv = evil\n')
    assert guard.look() == (".git/config: diff.a\\x1b[31m.textconv added",)


def test_files_that_the_settings_include_are_watched_too(folder: Path) -> None:
    folder.joinpath("more").write_text("[user]\n\tname = x\n")
    git(folder, "config", "include.path", "../more")
    guard = guard_of(folder)
    folder.joinpath("more").write_text("[core]\n\teditor = evil\n")
    told = guard.look()
    assert len(told) == 1
    assert told[0].endswith("more: core.editor added")


def test_an_include_that_is_added_is_read_at_once(folder: Path) -> None:
    guard = guard_of(folder)
    folder.joinpath("more").write_text("[core]\n\teditor = evil\n")
    git(folder, "config", "include.path", "../more")
    assert [change.partition(": ")[2] for change in guard.look()] == ["core.editor added", "include.path added"]


def test_settings_of_single_work_trees_are_watched(folder: Path, tmp_path: Path) -> None:
    git(folder, "config", "extensions.worktreeConfig", "true")
    guard = guard_of(folder)
    git(folder, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(tmp_path / "tree", "config", "--worktree", "core.fsmonitor", "evil")
    git(folder, "config", "--worktree", "core.editor", "evil")
    assert guard.look() == (
        ".git/config.worktree: core.editor added",
        ".git/worktrees/tree/config.worktree: core.fsmonitor added",
    )


def test_broken_settings_are_told_and_what_they_become_is_compared_with_before(folder: Path) -> None:
    guard = guard_of(folder)
    config = folder / ".git" / "config"
    whole = config.read_text()
    config.write_text(whole + "[unfinished\n")
    assert guard.look() == (".git/config: git cannot read it",)
    config.write_text(whole + "[core]\n\tpager = evil\n")
    assert guard.look() == (".git/config: core.pager added",)


def test_hooks_are_told_when_they_come_change_become_executable_and_go(folder: Path) -> None:
    guard = guard_of(folder)
    hook = folder / ".git" / "hooks" / "pre-commit"
    for change in (
        lambda: hook.write_text("#!/bin/sh\n"),
        lambda: hook.write_text("#!/bin/sh\ntrue\n"),
        lambda: hook.chmod(0o755),
        hook.unlink,
    ):
        change()
        assert guard.look() == (".git/hooks/pre-commit",)
        assert guard.look() == ()


def test_attributes_of_the_repository_are_told(folder: Path) -> None:
    guard = guard_of(folder)
    folder.joinpath(".git", "info", "attributes").write_text("* filter=evil\n")
    assert guard.look() == (".git/info/attributes",)


def test_documents_are_told_by_their_place_when_they_change_or_go(folder: Path) -> None:
    guard = guard_of(folder)
    folder.joinpath("plan", "01.md").write_text("# other\n")
    folder.joinpath("plan", "02.md").unlink()
    assert guard.look() == ("plan/01.md", "plan/02.md")
    assert guard.look() == ()


def test_equal_content_is_no_change(folder: Path) -> None:
    guard = guard_of(folder)
    for file in (folder / "plan" / "01.md", folder / ".git" / "config"):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
        file.chmod(0o755)
    assert guard.look() == ()


def test_documents_are_watched_without_a_repository(folder: Path) -> None:
    guard = Guard(None, [folder / "plan" / "01.md"])
    folder.joinpath("plan", "01.md").write_text("# other\n")
    git(folder, "config", "core.editor", "evil")
    assert guard.look() == ("plan/01.md",)
    assert Guard(None, []).look() == ()


def test_a_pipe_in_the_place_of_a_document_is_told_and_not_waited_for(folder: Path) -> None:
    guard = guard_of(folder)
    folder.joinpath("plan", "01.md").unlink()
    os.mkfifo(folder / "plan" / "01.md")
    assert guard.look() == ("plan/01.md",)


def test_without_git_the_file_is_told_without_its_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    guard = guard_of(folder)
    folder.joinpath(".git", "config").write_text("[core]\n\teditor = evil\n")
    assert guard.look() == (".git/config: git cannot read it",)
