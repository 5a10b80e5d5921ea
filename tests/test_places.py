"""Which folder counts as the workspace of somebody who stands in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavecrew.api.places import find_workspace
from wavecrew.config.config_files import is_public
from wavecrew.config.sources import load_config
from wavecrew.errors import NotFoundError


@pytest.mark.parametrize("mark", [".wavecrew", "wavecrew.toml", ".git/HEAD"])
def test_the_nearest_folder_above_with_a_mark_is_the_workspace(tmp_path: Path, mark: str) -> None:
    below = tmp_path / "project" / "a" / "b"
    below.mkdir(parents=True)
    marked = tmp_path / "project" / mark
    marked.parent.mkdir(exist_ok=True)
    marked.write_text("")
    assert find_workspace(below) == tmp_path / "project"
    (below / ".git").write_text("gitdir: elsewhere\n")
    assert find_workspace(below) == below, "a worktree is a project of its own"


def test_an_empty_folder_that_a_sandbox_left_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "wavecrew.toml").write_text("")
    below = tmp_path / "a"
    (below / ".git").mkdir(parents=True)
    assert find_workspace(below) == tmp_path


def test_a_repository_of_dot_files_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("")
    (tmp_path / "a").mkdir()
    assert find_workspace(tmp_path / "a") == tmp_path / "a"
    assert find_workspace(tmp_path) == tmp_path
    with pytest.raises(NotFoundError):
        find_workspace(tmp_path / "nowhere")


def _retries(folder: Path) -> int:
    return load_config(folder, flags={}, environ={}).config.retries


def test_what_lies_in_a_folder_for_everybody_is_nobodys_project(tmp_path: Path) -> None:
    everybody = tmp_path / "everybody"
    below = everybody / "mine"
    below.mkdir(parents=True)
    (everybody / ".wavecrew").mkdir()
    (everybody / "wavecrew.toml").write_text("retries = 9\n")
    everybody.chmod(0o1777)

    assert find_workspace(below) == below
    assert _retries(below) == 0
    assert find_workspace(everybody) == everybody, "who stands there means it"
    assert _retries(everybody) == 9

    everybody.chmod(0o755)
    assert find_workspace(below) == everybody
    assert _retries(below) == 9


def test_a_folder_that_cannot_be_looked_at_is_passed_over(tmp_path: Path) -> None:
    assert not is_public(tmp_path / "nowhere")
