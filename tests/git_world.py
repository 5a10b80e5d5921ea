"""A git repository with a run in it, for tests: real git, a home of its own, and a git that can die at any call."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from wavecrew.core.git import Answer, Git
from wavecrew.core.integration import Integration
from wavecrew.core.worktrees import Place, Worktrees


class Killed(BaseException):
    """The process was killed at a call of git."""


class MortalGit(Git):
    """Git that dies at its call number `last` (counted from 1), before the call or right after it."""

    last = 0
    after = False
    calls = 0

    def run(
        self,
        *arguments: str,
        cwd: Path | None = None,
        given: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (0,),
    ) -> Answer:
        self.calls += 1
        dies = self.calls == self.last
        if dies and not self.after:
            raise Killed
        answer = super().run(*arguments, cwd=cwd, given=given, environment=environment, accept=accept)
        if dies:
            raise Killed
        return answer


class World:
    """The user's repository `top`, with the workspace at `prefix` in it, and the state folder of wavecrew there."""

    def __init__(self, folder: Path, prefix: str = "", run: str = "r1") -> None:
        self.top = folder / "repo"
        self.top.mkdir()
        self.workspace = self.top / prefix
        self.state = self.workspace / ".wavecrew"
        self.run = run
        self.sh("git", "init", "-q", "-b", "main")
        self.write({".gitignore": "ignored/\n*.tmp\n", "a.txt": "one\n", "b.txt": "b\n", "dir/c.txt": "c\n"}, self.top)
        self.state.mkdir(parents=True)
        self.write({".gitignore": "*\n"}, self.state)
        self.start = self.commit(self.top, "start")

    def sh(self, *words: str | bytes, cwd: Path | None = None, check: bool = True) -> str:
        """What the user or an agent does, with a git of its own."""
        done = subprocess.run(words, cwd=cwd or self.top, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return os.fsdecode(done.stdout).removesuffix("\n")

    def write(self, files: Mapping[str, str], folder: Path) -> None:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, folder: Path, message: str, **files: str) -> str:
        """A commit as an agent makes it."""
        self.write(files, folder)
        self.sh("git", "add", "-A", cwd=folder)
        self.sh("git", "commit", "-q", "--allow-empty", "-m", message, cwd=folder)
        return self.sh("git", "rev-parse", "HEAD", cwd=folder)

    def git(self) -> Git:
        return Git.open(self.top)

    def mortal(self, last: int = 0, *, after: bool = False) -> MortalGit:
        git = MortalGit.open(self.top)
        assert isinstance(git, MortalGit)
        git.last, git.after, git.calls = last, after, 0
        return git

    def worktrees(self, git: Git | None = None) -> Worktrees:
        return Worktrees(git or self.git(), self.workspace, self.state, self.run)

    def integration(self, git: Git | None = None, author: str = "") -> Integration:
        return Integration(git or self.git(), self.run, author, workspace=self.workspace, state_folder=self.state)

    def opened(self, phase: str = "p", attempt: int = 1, base: str = "") -> Place:
        """A place where an agent can begin."""
        trees = self.worktrees()
        place = trees.place(phase, attempt)
        trees.open(place, base or self.start)
        return place

    def branch(self, name: str) -> str:
        return self.sh("git", "rev-parse", "--verify", "--quiet", f"refs/heads/{name}^{{commit}}", check=False)

    def files(self, commit: str) -> list[str]:
        return [name for name in self.sh("git", "ls-tree", "-r", "-z", "--name-only", commit).split("\0") if name]

    def text(self, commit: str, path: str) -> str:
        return self.sh("git", "show", f"{commit}:{path}")

    def holds(self, holder: str, commit: str) -> bool:
        done = subprocess.run(["git", "merge-base", "--is-ancestor", commit, holder], cwd=self.top, check=False)
        return done.returncode == 0


def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder for git, with a name in it, and nothing of the machine."""
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_")) and name != "GIT_CONFIG_NOSYSTEM"]:
        monkeypatch.delenv(name)
    (folder / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
