"""A sandbox that is a git repository, and phases whose agents work in it.

What it does: makes the repository, tells what its result holds, and leaves traces outside of it, so that looking at
what ran changes nothing that git sees.
What it does not know: how wavecrew brings work into the result.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox import Outcome, Sandbox

RAN = 'echo "$WAVECREW_PHASE $WAVECREW_ATTEMPT_NUMBER" >> "$HOME/ran"'


def work(
    name: str, script: str = "true", *, needs: Sequence[str] = (), writes: Sequence[str] = (), **keys: Any
) -> dict[str, Any]:
    """A phase whose agent is a shell script in its worktree. Its prompt is kept in `$HOME/prompt-NAME-ATTEMPT`."""
    entry = {"id": name, "name": f"Phase {name}", "needs": list(needs), "writes": list(writes)}
    keep = 'cat > "$HOME/prompt-$WAVECREW_PHASE-$WAVECREW_ATTEMPT_NUMBER"'
    return {**entry, "command": ["sh", "-c", f"{RAN}\n{keep}\n{script}"], **keys}


@dataclass(slots=True)
class Repo:
    """The user's repository and the command in it."""

    box: Sandbox

    def git(self, *arguments: str, check: bool = True) -> str:
        """Git as the user would call it. Gives its output."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.box.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.box.home), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(done.stderr)
        return done.stdout

    def begin(self, files: Mapping[str, str] | None = None) -> None:
        """Make the repository, with a first commit of some files."""
        identity = "[user]\n\tname = Somebody\n\temail = somebody@example.org\n[init]\n\tdefaultBranch = main\n"
        (self.box.home / ".gitconfig").write_text(identity)
        self.git("init", "-q")
        for path, text in (files or {"README.md": "# Here\n"}).items():
            self.box.write(path, text)
        self.commit("begin")

    def commit(self, message: str = "more") -> str:
        """Commit all that the user has. Gives the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def plan(self, *phases: Mapping[str, Any]) -> None:
        """Write a data plan and commit it."""
        self.box.plan(*phases)
        self.commit("plan")

    def run(self, *flags: str, **options: Any) -> Outcome:
        return self.box.run(*flags, **options)

    # -- what came of it

    @property
    def result(self) -> str:
        """The branch of the latest result."""
        found = self.git("for-each-ref", "--sort=-committerdate", "--format=%(refname)", "refs/heads/wavecrew/*/result")
        return found.split()[0]

    def files(self, commit: str = "") -> set[str]:
        """The files of a commit, the result by default."""
        listed = self.git("ls-tree", "-r", "--name-only", "-z", commit or self.result)
        return {name for name in listed.split("\0") if name}

    def text(self, path: str, commit: str = "") -> str:
        """A file of a commit, the result by default."""
        return self.git("show", f"{commit or self.result}:{path}")

    def branches(self) -> set[str]:
        """All branches of wavecrew."""
        return set(self.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/wavecrew").split())

    def worktrees(self) -> int:
        """How many worktrees there are beside the user's own."""
        return self.git("worktree", "list", "--porcelain").count("worktree ") - 1

    def ran(self) -> list[str]:
        """Phase and attempt of each agent that worked, in order: `a 1`."""
        trace = self.box.home / "ran"
        return trace.read_text().splitlines() if trace.exists() else []

    def prompt(self, phase: str, attempt: int = 1) -> str:
        """What an agent was told."""
        return (self.box.home / f"prompt-{phase}-{attempt}").read_text()

    def phase(self, name: str) -> dict[str, Any]:
        """A phase as `status --json` tells of it."""
        found: dict[str, Any] = next(one for one in self.box.status()["phases"] if one["id"] == name)
        return found

    def branch(self, phase: str) -> str:
        """The branch of the latest attempt of a phase."""
        return str([one["branch"] for one in self.events("AttemptStarted") if one["phase"] == phase][-1])

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The recorded events of one kind, oldest first."""
        with sqlite3.connect(f"file:{self.box.folder}/.wavecrew/state.db?mode=ro", uri=True) as database:
            query = "SELECT record FROM event JOIN run ON run.id = event.run ORDER BY run.number, seq"
            rows = database.execute(query).fetchall()
        found = [json.loads(row[0]) for row in rows]
        return [record for record in found if record["kind"] == kind]
