"""Runs in worktrees in the hands of others: agents and people who move, remove or break what git and wavecrew keep."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_git_invariants import check, check_finished
from chaos_git_world import CONFIG, GitWorld, git_world
from chaos_world import Phase, Zygote, until
from test_chaos_troubles import _fill, _unmounted

from wavecrew.errors import ExitCode

MEANWHILE = """
. "$HOME/../agent.sh"
touch "$HOME/../here-$P"
until [ -e "$HOME/../go" ]; do sleep 0.01; done
"""
"""The usual agent, that waits at its end until somebody has done something."""


def waiting(name: str, *needs: str) -> Phase:
    """A phase whose agent has made its output, and then waits for the file `go`."""
    needed = [f"{other}.txt" for other in needs]
    arguments = (f"{name}.txt", "-", "0", "no", "no", *needed)
    return Phase(name, needs, command=("/bin/sh", "-c", MEANWHILE, "agent", *arguments))


PLAN = (Phase("a"), waiting("b", "a"), Phase("c", ("b",)))


@pytest.fixture
def world(zygote: Zygote) -> Iterator[GitWorld]:
    with git_world(zygote, PLAN) as found:
        yield found


def at_work(world: GitWorld) -> Path:
    """Wait until `a` is in the result, and the agent of `b` has made its output. Gives the worktree of `b`."""
    until(lambda: (world.base / "here-b").exists(), "the agent of b at work")
    return world.state / "worktrees" / "r1" / "b-1"


def go_on(world: GitWorld) -> None:
    (world.base / "go").touch()


def finish(world: GitWorld) -> None:
    assert world.finish() == 0, world.started[-1].told
    check_finished(world)


# -- the result branch ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["deleted", "behind", "elsewhere"])
def test_a_result_branch_that_somebody_moved_is_no_success_and_can_be_put_back(world: GitWorld, how: str) -> None:
    running = world.start()
    at_work(world)
    tip = world.tip
    world.seen.clear()
    if how == "deleted":
        world.git("update-ref", "-d", world.result)
    else:
        tree = world.git("rev-parse", "HEAD^{tree}").strip()
        other = "HEAD" if how == "behind" else world.git("commit-tree", "-m", "x", tree).strip()
        world.git("update-ref", world.result, other)
    go_on(world)

    code = running.end()

    assert code == ExitCode.UNPROVEN, running.told
    assert "Traceback" not in running.told
    assert f"git branch -f wavecrew/r1/result {tip[:12]}" in running.told, running.told
    assert world.start().end() == ExitCode.UNPROVEN
    world.git("branch", "-f", "wavecrew/r1/result", tip)
    finish(world)
    assert [line.split()[1] for line in world.lines("ran") if line[0] == "+"] == ["a", "b", "c"]


def test_a_result_branch_that_somebody_added_to_is_gone_on_with(world: GitWorld) -> None:
    running = world.start()
    at_work(world)
    tree = world.git("rev-parse", f"{world.tip}^{{tree}}").strip()
    more = world.git("commit-tree", "-m", "mine", "-p", world.tip, tree).strip()
    world.git("update-ref", world.result, more)
    go_on(world)

    assert running.end() == 0, running.told
    check_finished(world)
    assert world.git("merge-base", "--is-ancestor", more, world.result) == ""


# -- the worktree -----------------------------------------------------------------------------------------------------


def remove_entry(world: GitWorld, folder: Path) -> None:
    shutil.rmtree(world.common / "worktrees" / folder.name)


def remove_all_entries(world: GitWorld, folder: Path) -> None:
    shutil.rmtree(world.common / "worktrees")


def break_link(world: GitWorld, folder: Path) -> None:
    (folder / ".git").write_bytes(b"\0" + os.urandom(50))


def point_elsewhere(world: GitWorld, folder: Path) -> None:
    other = world.base / "other"
    world.git("init", "-q", str(other))
    (folder / ".git").write_text(f"gitdir: {other}/.git\n")


def cut_index(world: GitWorld, folder: Path) -> None:
    index = world.common / "worktrees" / folder.name / "index"
    index.write_bytes(index.read_bytes()[:40])


def lock_index(world: GitWorld, folder: Path) -> None:
    (world.common / "worktrees" / folder.name / "index.lock").touch()


def remove_branch(world: GitWorld, folder: Path) -> None:
    world.git("update-ref", "-d", "refs/heads/wavecrew/r1/b/1")


BROKEN: list[Callable[[GitWorld, Path], None]] = [
    remove_entry, remove_all_entries, break_link, point_elsewhere, cut_index, lock_index, remove_branch
]  # fmt: skip


@pytest.mark.parametrize("harm", BROKEN)
def test_a_worktree_that_somebody_broke_loses_nothing(world: GitWorld, harm: Callable[[GitWorld, Path], None]) -> None:
    """Its phase may fail; what the agent has made stays where it is or comes into the result."""
    running = world.start()
    folder = at_work(world)
    harm(world, folder)
    go_on(world)

    code = running.end()

    assert code in (ExitCode.OK, ExitCode.PHASE_FAILED), running.told
    assert "Traceback" not in running.told
    world.seen.clear()
    check(world)
    kept = [folder / "b.txt"]
    assert world.made("b.txt") or any(path.exists() for path in kept), "C3: what b had made is lost"
    world.mine = world.users()
    assert world.finish() == 0, world.started[-1].told
    assert world.made("c.txt")
    assert world.start("verify").end() == 0
    assert world.start("clean", "--yes").end() == 0
    assert world.made("b.txt")


def test_a_worktree_that_is_removed_in_mid_run(world: GitWorld) -> None:
    running = world.start()
    folder = at_work(world)
    shutil.rmtree(folder)
    go_on(world)

    assert running.end() == ExitCode.PHASE_FAILED, running.told
    assert "Traceback" not in running.told
    check(world)
    finish(world)


def test_a_repository_that_is_removed_in_mid_run(world: GitWorld) -> None:
    running = world.start()
    at_work(world)
    world.common.rename(world.base / "moved")
    go_on(world)

    assert running.end() not in (0, ExitCode.INTERNAL), running.told
    assert "Traceback" not in running.told
    (world.base / "moved").rename(world.common)
    world.seen.clear()
    finish(world)


# -- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(zygote: Zygote) -> Iterator[Callable[[int], GitWorld]]:
    """Worlds that lie on a small disk of their own, where the system lets us mount one."""
    mounted: list[GitWorld] = []
    folders: list[Path] = []

    def make(size: int) -> GitWorld:
        with git_world(zygote) as world:
            folder = world.base.with_name(f"{world.base.name}-disk")
        folder.mkdir()
        folders.append(folder)
        options = f"size={size}k,mode=0700,uid={os.getuid()}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "chaos", str(folder)], capture_output=True)
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
        mounted.append(GitWorld(zygote, folder=folder, config=CONFIG))
        return mounted[-1]

    yield make
    for world in mounted:
        for one in world.started:
            one.kill()
        until(lambda world=world: not world.processes(), "everything to have ended")
        until(lambda world=world: _unmounted(world.base), "the disk to be free")
    for folder in folders:
        folder.rmdir()


@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_full_disk_stops_a_run_in_worktrees_and_loses_nothing(
    small_disk: Callable[[int], GitWorld], after: int
) -> None:
    """Repository, worktrees and state are on it. Filled when so many agents have ended; then some room is made."""
    world = small_disk(8192)
    running = world.start()
    until(lambda: sum(line.startswith("-") for line in world.lines("ran")) >= after, f"{after} agents")
    ballast = world.base / "ballast"
    _fill(ballast)
    code = running.end()
    assert code in (ExitCode.OK, ExitCode.PHASE_FAILED, ExitCode.PREFLIGHT, ExitCode.UNPROVEN), running.told
    assert "Traceback" not in running.told
    assert "bug" not in running.told
    check(world)
    ballast.unlink()
    until(lambda: not world.processes(), "the agents to have ended")
    for _ in range(4):
        if world.start().end() == 0:
            break
    check_finished(world, refused=True)
