"""Which folder counts as the workspace of somebody who stands in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavecrew.api.places import find_workspace
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
