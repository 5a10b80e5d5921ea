"""The kernel's limit around an agent, with real processes and real git."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core_builders import PATIENCE
from wavecrew.core import ceiling
from wavecrew.core.gate_socket import hook_argv, write_pass
from wavecrew.core.gate_socket import pass_file as pass_of

KERNEL = ceiling.probe()
limited = pytest.mark.skipif(not KERNEL.available, reason=f"NO CEILING IS TESTED HERE: {KERNEL.reason}")


def below(paths: list[Path], script: str, *arguments: object, cwd: Path, git: bool = False) -> tuple[int, str]:
    """A shell below a ceiling: its code, and all that it said."""
    argv = ceiling.command(map(str, paths), ("/bin/sh", "-c", script, "sh", *map(str, arguments)), git=git)
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def world(tmp_path: Path) -> Path:
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("old")
    return tmp_path


WAYS = {
    "write": 'echo new > "$1/file"',
    "append": 'echo new >> "$1/file"',
    "create": 'echo new > "$1/new"',
    "remove": 'rm "$1/file"',
    "folder": 'mkdir "$1/folder"',
    "link": 'ln -s x "$1/link"',
    "pipe": 'mkfifo "$1/pipe"',
    "rename": 'mv "$1/file" "$1/renamed"',
    "truncate": 'truncate -s 0 "$1/file"',
    "a child": "sh -c \"sh -c 'echo new > $1/file'\"",
    "a daemon": 'setsid sh -c "echo new > $1/file" & wait $!',
    "python": 'exec "$2" -I -S -c "import sys; open(sys.argv[1] + \'/new\', \'w\')" "$1"',
    "truncate by name": 'exec "$2" -I -S -c "import os, sys; os.truncate(sys.argv[1] + \'/file\', 0)" "$1"',
    "move": 'exec "$2" -I -S -c "import os, sys; os.rename(\'../inside/own/file\', sys.argv[1] + \'/new\')" "$1"',
    "through a link": 'ln -s "$1" to; echo new > to/new',
}


@limited
@pytest.mark.parametrize("way", WAYS)
def test_inside_all_goes_and_outside_nothing(world: Path, way: str) -> None:
    if way == "truncate by name" and KERNEL.abi < 3:
        pytest.skip(f"this kernel's Landlock {KERNEL.abi} knows no truncating")
    if way == "move" and KERNEL.abi < 2:
        pytest.skip(f"this kernel's Landlock {KERNEL.abi} lets nothing be moved")
    before = {path.name for path in (world / "outside").iterdir()}
    own = world / "inside" / "own" / "file"
    own.parent.mkdir()
    own.write_text("own")

    code, told = below([world / "inside"], WAYS[way], world / "inside", sys.executable, cwd=world / "inside")
    assert code == 0, told
    (world / "inside" / "to").unlink(missing_ok=True)
    own.write_text("own")
    code, told = below([world / "inside"], WAYS[way], world / "outside", sys.executable, cwd=world / "inside")

    assert code != 0
    assert "ermission denied" in told or "not permitted" in told
    assert {path.name for path in (world / "outside").iterdir()} == before
    assert (world / "outside" / "file").read_text() == "old"


@limited
def test_reading_and_the_usual_devices_are_not_touched(world: Path) -> None:
    script = 'cat "$1/file" > /dev/null && echo x > /dev/null && ls "$1" && test -w /dev/full'
    assert below([world / "inside"], script, world / "outside", cwd=world)[0] == 0


@limited
def test_a_single_file_may_be_written_and_its_folder_not(world: Path) -> None:
    script = 'echo new > "$1/file" && ! touch "$1/other" && ! rm "$1/file"'
    assert below([world / "outside" / "file"], script, world / "outside", cwd=world)[0] == 0
    assert (world / "outside" / "file").read_text() == "new\n"


@limited
def test_a_limit_within_a_limit_only_narrows(world: Path) -> None:
    wider = ceiling.command([str(world)], ("/bin/sh", "-c", 'echo new > "$0/file"', str(world / "outside")))
    code, told = below([world / "inside"], '"$@"', *wider, cwd=world)

    assert code != 0, told
    assert (world / "outside" / "file").read_text() == "old"


@limited
def test_a_path_that_is_not_there_is_passed_over(world: Path) -> None:
    assert below([world / "absent", world / "inside"], "echo new > inside/file", cwd=world)[0] == 0


@limited
def test_what_is_swapped_for_a_link_after_the_question_leads_nowhere(world: Path) -> None:
    """The gate looks at a path before the write; a link that is put there in between is stopped here."""
    script = 'rm inside/file && ln -s "$1/file" inside/file && echo stolen > inside/file'
    assert below([world / "inside"], script, world / "outside", cwd=world)[0] != 0
    assert (world / "outside" / "file").read_text() == "old"


@limited
@pytest.mark.skipif(KERNEL.abi < 6, reason=f"this kernel's Landlock {KERNEL.abi} does not know signals")
def test_processes_outside_cannot_be_stopped_and_its_own_can(world: Path) -> None:
    with subprocess.Popen(["sleep", str(PATIENCE)]) as other:
        script = 'sleep 60 & kill $! && wait $!; ! kill "$1" && ! kill "$2"'
        code, told = below([world], script, other.pid, os.getpid(), cwd=world)
        assert code == 0, told
        assert other.poll() is None
        other.send_signal(signal.SIGKILL)


@limited
def test_a_hook_works_below_a_ceiling(world: Path) -> None:
    """It reads its pass and connects to a socket, which is no write."""
    write_pass(pass_of(world / "run", "r/p/1"), "r/p/1", "token")
    script = 'echo \'{"tool_name": "Write"}\' | "$@"'
    code, told = below([world / "inside"], script, *hook_argv(world / "run", "r/p/1", 1), cwd=world)

    assert code == 2
    assert "nobody is in charge" in told


@limited
def test_the_program_becomes_the_agent(world: Path) -> None:
    """No process stands between the shim and the agent: same pid, same exit code, same input."""
    argv = ceiling.command([str(world)], ("/bin/sh", "-c", "echo $$; cat; exit 7"))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as agent:
        out, _ = agent.communicate("the task", timeout=PATIENCE)
    assert (agent.returncode, out) == (7, f"{agent.pid}\nthe task")


# -- without a limit, no agent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["/tmp"], ["--"], ["/tmp", "--"], ["/tmp", "--", "/no/such/program"]])
def test_what_cannot_be_started_says_so(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ceiling.__file__, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == ceiling.NOT_STARTED
    assert done.stderr.startswith("wavecrew: the agent was not started, because its limits could not be set")


NO_LANDLOCK = """
import sys
sys.path.insert(0, sys.argv[1])
import ceiling
ceiling._call = lambda *arguments: (-1, 38)
ceiling.main(["/tmp", "--", "touch", sys.argv[2]])
"""


def test_a_kernel_that_has_none_starts_no_agent(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_LANDLOCK, Path(ceiling.__file__).parent, tmp_path / "f"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ceiling.NOT_STARTED
    assert "no Landlock" in done.stderr
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("answer", "platform", "available", "words"),
    [
        ((7, 0), "linux", True, "Landlock 7 keeps writing and signals within bounds"),
        ((6, 0), "linux", True, "Landlock 6 keeps writing and signals within bounds"),
        ((5, 0), "linux", True, "Landlock 5 keeps writing within bounds"),
        ((2, 0), "linux", True, "Landlock 2 keeps writing (but not truncating) within bounds"),
        ((1, 0), "linux", True, "Landlock 1 keeps writing (but not truncating) within bounds; no file can be moved"),
        ((-1, errno.ENOSYS), "linux", False, "this kernel has no Landlock"),
        ((-1, errno.EOPNOTSUPP), "linux", False, "Landlock is switched off"),
        ((-1, errno.EPERM), "linux", False, "the kernel refuses Landlock: Operation not permitted"),
        ((7, 0), "darwin", False, "only Linux"),
    ],
)
def test_what_the_kernel_offers(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, int], platform: str, available: bool, words: str
) -> None:
    monkeypatch.setattr(ceiling, "_call", lambda *arguments: answer)
    monkeypatch.setattr(ceiling.sys, "platform", platform)

    found = ceiling.probe()

    assert (found.available, found.abi) == (available, answer[0] if available else 0)
    assert found.reason.startswith(words)


# -- git ----------------------------------------------------------------------------------------------------------


def git(*arguments: str, cwd: Path) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=m@h")
    return subprocess.run(["git", *identity, *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def worktree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A worktree as attempts have them, in a repository with another branch of ours."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "n")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "m@h")
    repository = tmp_path / "repo"
    repository.mkdir()
    git("init", "-q", "-b", "main", cwd=repository)
    (repository / "a").write_text("a\n")
    git("add", ".", cwd=repository)
    git("commit", "-q", "-m", "start", cwd=repository)
    git("branch", "wavecrew/r1/result", cwd=repository)
    git("branch", "wavecrew/r1/q/1", cwd=repository)
    folder = repository / ".wavecrew" / "worktrees" / "r1" / "p-1"
    git("worktree", "add", "-q", "-b", "wavecrew/r1/p/1", str(folder), cwd=repository)
    (folder / "sub").mkdir()
    return folder


@limited
@pytest.mark.parametrize("packed", [False, True])
def test_git_works_in_an_own_worktree(worktree: Path, packed: bool) -> None:
    repository = worktree.parents[3]
    if packed:
        git("pack-refs", "--all", "--prune", cwd=repository)
        git("gc", "-q", cwd=repository)
    script = """set -e
    echo b > b; git add b; git commit -q -m one; git mv b c; git commit -q --amend -m two
    git reset -q --hard HEAD; git checkout -q -- .; git rm -q c; git commit -q -m three; git revert --no-edit HEAD
    touch d; git clean -fdq; git checkout -q --detach; git checkout -q wavecrew/r1/p/1
    git merge -q main; git rebase -q main; git status; git log --oneline; git reflog; git gc --auto
    """
    code, told = below([], script, cwd=worktree / "sub", git=True)

    assert code == 0, told
    assert git("log", "--format=%s", "main..wavecrew/r1/p/1", cwd=repository).split("\n")[-2] == "two"
    assert git("rev-parse", "HEAD", cwd=worktree) == git("rev-parse", "wavecrew/r1/p/1", cwd=repository)
    git("fsck", "--strict", cwd=repository)


@limited
def test_a_cherry_pick_is_made_and_leaves_its_mark(worktree: Path) -> None:
    """Git ends it by deleting a reference, for which it wants a lock on the references of all."""
    script = """set -e
    git checkout -q --detach; echo b > b; git add b; git commit -q -m side; git checkout -q wavecrew/r1/p/1
    git cherry-pick HEAD@{1}; rm "$(git rev-parse --git-path CHERRY_PICK_HEAD)"
    """
    code, told = below([], script, cwd=worktree, git=True)

    assert code == 0, told
    assert "packed-refs.lock" in told
    assert git("log", "--format=%s", "main..wavecrew/r1/p/1", cwd=worktree) == "side\n"


@limited
@pytest.mark.parametrize(
    "command",
    [
        "git config user.name evil",
        "git config core.hooksPath /x",
        "git branch mine",
        "git tag t",
        "git update-ref refs/heads/main $(git commit-tree -m x HEAD^{tree})",
        "git update-ref refs/heads/wavecrew/r1/result $(git commit-tree -m x HEAD^{tree})",
        "git update-ref refs/heads/wavecrew/r1/q/1 $(git commit-tree -m x HEAD^{tree})",
        "git update-ref -d refs/heads/main",
        "git checkout -q -b other",
        "echo x > b && git add b && git stash",
        "git pack-refs --all",
        "git worktree add ../p-2",
        "echo evil > ../../../../.git/hooks/pre-commit",
        "echo evil >> ../../../../.git/config",
        "echo evil > ../../../../.git/info/attributes",
        "echo evil > ../../../../.git/worktrees/other",
        "echo evil > ../../../../a",
        "echo evil > ../../../state.db",
        "mv a ../../../../b",
    ],
)
def test_git_cannot_change_what_belongs_to_others(worktree: Path, command: str) -> None:
    repository = worktree.parents[3]

    def picture() -> list[tuple[str, bytes]]:
        common = [path for path in (repository / ".git").rglob("*") if path.is_file()]
        kept = [path for path in common if not {"objects", "p-1"} & set(path.parts[len(repository.parts) :])]
        return sorted((str(path), path.read_bytes()) for path in [*kept, repository / "a"])

    before = picture()
    code, told = below([], command, cwd=worktree, git=True)

    assert code != 0, told
    assert picture() == before


@limited
def test_without_a_worktree_there_is_none_to_be_had(tmp_path: Path) -> None:
    for folder in (tmp_path / "nothing", tmp_path / "main"):
        folder.mkdir()
    git("init", "-q", cwd=tmp_path / "main")
    for name in ("nothing", "main"):
        code, told = below([], "echo started", cwd=tmp_path / name, git=True)
        assert code == ceiling.NOT_STARTED
        assert "started\n" not in told


@limited
def test_a_folder_that_an_agent_needs_is_made_before_the_limit(world: Path) -> None:
    argv = ceiling.command([f"{world}/home/.agent/", f"{world}/home/file"], ("/bin/sh", "-c", "touch home/.agent/x"))

    done = subprocess.run(argv, cwd=world, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert done.returncode == 0, done.stderr
    assert {path.name for path in (world / "home").iterdir()} == {".agent"}
