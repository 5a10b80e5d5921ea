"""A world in which phases work in worktrees: a repository, agents whose traces lie outside of it, and its git.

What it does: makes the repository from a template, tells what a run has put into it, and remembers how the user had
left it. The plan is a diamond and a pair; two phases change the same undeclared file, so one of them is tried again.
What it does not know: what must hold (`chaos_git_invariants`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos_world import RUN, Coordinator, Phase, World, Zygote, kept_if_wrong

AGENT = """
# agent.sh OUTPUT RESOURCE NAP COMMON OWN NEEDS...: works on one phase in the folder where it stands
B=$HOME/..; OUT=$1; RES=$2; NAP=$3; COMMON=$4; OWN=$5; P=$WAVECREW_PHASE; N=$WAVECREW_ATTEMPT_NUMBER; shift 5
exec 9>>"$B/live/phase-$P"
flock -n 9 || echo "two living trees of phase $P" >> "$B/violations"
if [ "$RES" != - ]; then
  exec 8>>"$B/live/resource-$RES"
  flock -n 8 || echo "two holders of $RES, one is $P" >> "$B/violations"
fi
echo "+ $P $N $(date +%s.%N)" >> "$B/ran"
for need in "$@"; do [ -e "$need" ] || echo "I6: $P $N began without $need" >> "$B/violations"; done
say() { echo "$1" && echo "$1" >> "$B/said/$P.$N"; }
say "$P $N begins"
sleep $NAP
mkdir -p "$(dirname "$OUT")"
echo "made by $P" > "$OUT"
if [ $COMMON = yes ]; then { cat common; echo $P; } | sort -u > common.new && mv common.new common; fi
if [ $OWN = yes ]; then git add -A; git commit -qm "own words of $P"; fi
say "$P $N ends"
echo "- $P $N $(date +%s.%N)" >> "$B/ran"
"""

GATE = """
# gate.sh: the check of the merged tree; never two at once, and it writes down what it has seen
B=$HOME/..
exec 7>>"$B/live/gate"
flock -n 7 || echo "two at the gate, one is $WAVECREW_PHASE" >> "$B/violations"
[ -e base.txt ] || exit 1
echo "$WAVECREW_PHASE" >> report
sleep ${GATE_NAP:-0.01}
git rev-parse HEAD >> "$B/gated"
"""

CONFIG = """gate_commands = ['sh -c ". $HOME/../gate.sh"']
teardown = ['sh -c "echo $WAVECREW_PHASE $WAVECREW_ATTEMPT_NUMBER >> $HOME/../torn-down"']
"""

PLAN = (
    Phase("a", nap=0.01, more={"common": True}),
    Phase("b", ("a",), nap=0.01, more={"own": True}),
    Phase("c", ("a",), nap=0.01, resource="shared.txt"),
    Phase("d", ("b", "c"), nap=0.01, outputs=("dist/d.txt",)),
    Phase("e", nap=0.01, more={"common": True}),
    Phase("f", ("e",), nap=0.01, resource="shared.txt"),
)
"""`a` and `e` start from the same commit and both change `common`; `dist/` is ignored by git."""

_IDENTITY = "[user]\n\tname = Somebody\n\temail = somebody@example.org\n[init]\n\tdefaultBranch = main\n"
_HANDS_OFF = ("HEAD", "index", "config", "packed-refs", "info/exclude")


@dataclass(frozen=True)
class Mine:
    """All that is the user's: what git says of it, and a digest of each file."""

    head: str
    status: str
    branches: str
    files: Mapping[str, str]


class GitWorld(World):
    """One repository with one plan and one run in it. `folder` is where it shall lie."""

    def __init__(
        self, zygote: Zygote, phases: Sequence[Phase] = PLAN, folder: Path | None = None, config: str = CONFIG
    ) -> None:
        super().__init__(zygote, phases, folder)
        (self.base / "agent.sh").write_text(AGENT)
        (self.base / "gate.sh").write_text(GATE)
        (self.base / "home" / ".gitconfig").write_text(_IDENTITY)
        for name, text in {
            "wavecrew.toml": config,
            ".gitignore": "dist/\n",
            "common": "0\n",
            "base.txt": "x\n",
        }.items():
            (self.workspace / name).write_text(text)
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "begin")
        self.git("branch", "other")
        (self.workspace / "dist").mkdir()
        (self.workspace / "dist" / "own.txt").write_text("ignored\n")
        self.git("status")  # writes the index as it will stay
        self.mine = self.users()
        self.seen: dict[str, str] = {}
        """Every commit that a branch of wavecrew was seen at, and that branch."""
        self.gated = config == CONFIG

    def _entries(self) -> list[dict[str, Any]]:
        entries = super()._entries()
        return [{key: value for key, value in one.items() if key not in ("common", "own")} for one in entries]

    def _usual(self, phase: Phase) -> list[str]:
        """The same in every world, so that each begins at the same tree."""
        flags = ["yes" if phase.more.get(flag) else "no" for flag in ("common", "own")]
        needs = [path for other in phase.needs for path in self.outputs(other)]
        [output] = self.outputs(phase.name)
        arguments = (output, phase.resource, str(phase.nap), *flags, *needs)
        return ["/bin/sh", "-c", '. "$HOME/../agent.sh"', "agent", *arguments]

    # -- git

    def git(self, *arguments: str, check: bool = True, cwd: Path | None = None) -> str:
        """Git as the user would call it, and without writing the index by the way. Gives its output."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.base / "home"), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
        lasting = {} if arguments[0] in ("status", "add", "commit") else {"GIT_OPTIONAL_LOCKS": "0"}
        done = subprocess.run(
            ["git", *arguments], cwd=cwd or self.workspace, env={**own, **lasting}, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout

    @property
    def common(self) -> Path:
        """The git directory."""
        return self.workspace / ".git"

    @property
    def result(self) -> str:
        """The full name of the branch that all work comes to."""
        return f"refs/heads/wavecrew/{RUN}/result"

    @property
    def tip(self) -> str:
        """Where the result stands; empty before it has begun."""
        return self.git("rev-parse", "-q", "--verify", self.result, check=False).strip()

    def refs(self) -> dict[str, str]:
        """Every reference and its commit."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)

    def files(self, commit: str) -> dict[str, str]:
        """The files of a commit and their objects."""
        lines = self.git("ls-tree", "-r", commit).splitlines()
        return {line.partition("\t")[2]: line.split()[2] for line in lines}

    def reachable(self) -> set[str]:
        """All commits that a branch holds."""
        return set(self.git("rev-list", "--branches").split())

    def worktrees(self) -> list[dict[str, str]]:
        """What git knows of worktrees beside the user's own."""
        blocks = self.git("worktree", "list", "--porcelain").strip().split("\n\n")[1:]
        return [dict((line + " ").split(" ", 1) for line in block.splitlines()) for block in blocks]

    def users(self) -> Mine:
        """The user's own things as they are now."""
        theirs = []
        for folder, names, files in os.walk(self.workspace):
            names[:] = [name for name in names if name not in (".git", ".wavecrew")]
            theirs += [Path(folder, name) for name in files]
        theirs += [path for name in _HANDS_OFF if (path := self.common / name).exists()]
        theirs += [path for path in (self.common / "hooks").rglob("*") if path.is_file()]
        digests = {str(p.relative_to(self.workspace)): hashlib.sha256(p.read_bytes()).hexdigest() for p in theirs}
        branches = "\n".join(f"{name} {at}" for name, at in self.refs().items() if "/wavecrew/" not in name)
        status = self.git("--no-optional-locks", "status", "--porcelain")
        return Mine((self.common / "HEAD").read_text(), status, branches, digests)

    # -- what the checker of all worlds asks for

    def made(self, output: str) -> str | None:
        """A declared output as it is in the result."""
        found = self.git("show", f"{self.result}:{output}", check=False)
        return found or None

    def start(self, *arguments: Any, faults: Mapping[str, str] | None = None, **options: Any) -> Coordinator:
        return super().start(
            *arguments,
            faults=None if faults is None else {**faults, "git": "yes"},
            **options,
        )


@contextlib.contextmanager
def git_world(
    zygote: Zygote, phases: Sequence[Phase] = PLAN, folder: Path | None = None, config: str = CONFIG
) -> Iterator[GitWorld]:
    """A world with a repository that ends with the block."""
    with kept_if_wrong(GitWorld(zygote, phases, folder, config)) as world:
        yield world
