"""A result that lands where uncommitted files stand: what is no loss follows, what would be lost stops it as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_world import Killed, World, home
from wavecrew.core.git import Git
from wavecrew.errors import GitError

ODD = "we ird/\u00e4*[x].txt"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    home(tmp_path, monkeypatch)
    return World(tmp_path)


def user_changes(world: World) -> None:
    """Changed, staged, new, odd, and gone: all that a run takes in with the dirty files."""
    world.write({"a.txt": "mine\n", "new.txt": "new\n", ODD: "odd\n", "staged.txt": "staged\n"}, world.top)
    world.sh("git", "add", "staged.txt")
    (world.top / "b.txt").unlink()


def result_of(world: World, **files: str) -> tuple[str, str]:
    """A run that took in what stands there, and whose only phase wrote some files: its start and its result."""
    start = world.integration().snapshot("as it was found")
    place = world.opened("p", base=start)
    world.write(files, place.folder)
    return start, world.integration().seal(place, start, "p", ()).commit


def looks(world: World) -> tuple[str, str, dict[str, bytes]]:
    files = {str(path): path.read_bytes() for path in world.top.rglob("*") if _counts(path)}
    return world.branch("main"), world.sh("git", "status", "--porcelain"), files


def _counts(path: Path) -> bool:
    return path.is_file() and not {".git", ".wavecrew"} & {*path.parts}


def test_what_the_run_took_in_follows_the_result(world: World) -> None:
    """Also where a phase went on from it: what stood there is in the history of the result, one commit below."""
    user_changes(world)
    start, result = result_of(world, **{"a.txt": "mine\nand theirs\n", "made.txt": "made\n"})

    assert world.integration().land("refs/heads/main", result, "m", start=start) == result

    assert world.branch("main") == result
    assert world.sh("git", "status", "--porcelain") == ""
    assert (world.top / "a.txt").read_text() == "mine\nand theirs\n"
    assert (world.top / ODD).read_text() == "odd\n"
    assert (world.top / "made.txt").exists()
    assert not (world.top / "b.txt").exists()


def test_a_branch_that_went_on_meanwhile_gets_a_merge_of_both(world: World) -> None:
    user_changes(world)
    start, result = result_of(world, **{"made.txt": "made\n"})
    world.write({"dir/c.txt": "own\n"}, world.top)
    world.sh("git", "commit", "-q", "-m", "own", "--only", "dir/c.txt")

    landed = world.integration().land("refs/heads/main", result, "m", start=start)

    assert world.branch("main") == landed
    assert world.sh("git", "status", "--porcelain") == ""
    assert (world.top / "dir/c.txt").read_text() == "own\n"
    assert (world.top / "a.txt").read_text() == "mine\n"


def test_what_was_changed_since_is_nowhere_else_and_stops_it(world: World) -> None:
    user_changes(world)
    start, result = result_of(world, **{"a.txt": "theirs\n"})
    world.write({"a.txt": "mine, and more\n", "new.txt": "new, and more\n"}, world.top)
    before = looks(world)

    with pytest.raises(GitError, match=r"not in the result: a\.txt, new\.txt$") as refusal:
        world.integration().land("refs/heads/main", result, "m", start=start)

    assert looks(world) == before
    assert "git stash push -u -- a.txt new.txt && wavecrew land r1 && git stash pop" in refusal.value.fix


def test_what_is_only_in_the_index_is_nowhere_else_either(world: World) -> None:
    world.write({"a.txt": "staged\n"}, world.top)
    world.sh("git", "add", "a.txt")
    world.write({"a.txt": "mine\n"}, world.top)
    start, result = result_of(world, **{"made.txt": "made\n"})
    before = looks(world)
    with pytest.raises(GitError, match=r"not in the result: a\.txt$"):
        world.integration().land("refs/heads/main", result, "m", start=start)
    assert looks(world) == before


def test_where_a_start_is_in_the_branch_a_file_that_looks_like_it_is_a_change(world: World) -> None:
    """Somebody has put a file back to how it was, and has not committed that: it must not go unnoticed."""
    start, result = result_of(world, **{"made.txt": "made\n"})
    assert start == world.start
    world.commit(world.top, "own", **{"a.txt": "own\n"})
    world.write({"a.txt": "one\n"}, world.top)
    with pytest.raises(GitError, match=r"not in the result: a\.txt$"):
        world.integration().land("refs/heads/main", result, "m", start=start)


def test_documents_of_the_plan_stay_as_they_are(world: World) -> None:
    """As they may for a run; unless the result changes them, too."""
    _, result = result_of(world, **{"made.txt": "made\n"})
    world.write({"a.txt": "edited\n"}, world.top)
    exempt = [world.top.resolve() / "a.txt", Path("/elsewhere/a.txt")]

    assert world.integration().land("refs/heads/main", result, "m", exempt=exempt) == result
    assert world.sh("git", "status", "--porcelain") == " M a.txt"
    assert (world.top / "a.txt").read_text() == "edited\n"

    place = world.opened("q", base=result)
    world.write({"a.txt": "theirs\n"}, place.folder)
    second = world.integration().seal(place, result, "q", ()).commit
    before = looks(world)
    with pytest.raises(GitError, match=r"not in the result: a\.txt$"):
        world.integration().land("refs/heads/main", second, "m", exempt=exempt)
    assert looks(world) == before


def test_when_git_refuses_in_the_end_all_is_as_it_was(world: World) -> None:
    """An ignored file stands where the result has one: git sees that only when the dirty files are out of its way."""
    user_changes(world)
    start = world.integration().snapshot("as it was found")
    place = world.opened("p", base=start)
    world.write({"ignored/out": "made\n", "a.txt": "theirs\n"}, place.folder)
    result = world.integration().seal(place, start, "p", ("ignored/out",)).commit
    world.write({"ignored/out": "mine\n"}, world.top)
    before = looks(world)

    with pytest.raises(GitError):
        world.integration().land("refs/heads/main", result, "m", start=start)

    assert looks(world) == before


def test_whoever_is_killed_in_it_can_land_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, monkeypatch)
    for last in range(1, 60, 3):
        folder = tmp_path / str(last)
        folder.mkdir()
        world = World(folder)
        user_changes(world)
        start, result = result_of(world, **{"a.txt": "mine\nand theirs\n"})
        git: Git = world.mortal(last)
        try:
            world.integration(git).land("refs/heads/main", result, "m", start=start)
        except Killed:
            assert world.integration().land("refs/heads/main", result, "m", start=start) == result
        else:
            break
        assert world.sh("git", "status", "--porcelain") == ""
        assert (world.top / "a.txt").read_text() == "mine\nand theirs\n"
    else:
        pytest.fail("it never came to its end")
