"""Whether a worktree lacks what came into the result, with real git."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_world import World, home
from wavecrew.core.catching_up import lacking
from wavecrew.errors import GitError

RESULT = "wavecrew/r1/result"


@pytest.mark.parametrize("prefix", ["", "dir"])
def test_only_what_is_newer_elsewhere_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    home(tmp_path, monkeypatch)
    world = World(tmp_path, prefix)
    place = world.opened()
    other = world.opened("q")
    world.commit(other.workspace, "theirs", **{"both.txt": "theirs", "odd[1].txt": "x", "sub/deep.txt": "d"})
    world.sh("git", "branch", RESULT, "wavecrew/r1/q/1")
    look = lacking(world.git(), place, RESULT)
    start = f"{prefix}/" if prefix else ""

    told = look(("a.txt", "both.txt"))
    assert told.startswith(f"{start}both.txt was changed by others")
    assert f"`git merge {RESULT}`" in told
    assert look(("odd[1].txt", "odd*")).startswith(f"{start}odd[1].txt was changed")
    assert look(("sub/",)).startswith(f"{start}sub/deep.txt was changed")
    assert look(("a.txt", "*.txt", "new.txt", ":(top)both.txt")) == ""

    world.commit(place.workspace, "mine", **{"mine.txt": "mine"})
    assert look(("both.txt", "mine.txt")).startswith(f"{start}both.txt was changed")
    world.sh("git", "merge", "-q", RESULT, "-m", "catch up", cwd=place.folder)
    assert look(("both.txt", "mine.txt")) == ""


def test_a_result_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, monkeypatch)
    world = World(tmp_path)
    with pytest.raises(GitError):
        lacking(world.git(), world.opened(), "no/such/branch")(("a.txt",))
