"""What a repository is like before a run starts in it.

What it does: reads where it stands, what is not committed, what is in progress, and which of its own settings would
start a program; says which of that stops a run, and which a person should know.
What it does not know: how a phase works in it. It only reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.git import Git
from wavecrew.core.git_calls import Entry, included_file, own_configuration, printable, read_with_includes
from wavecrew.errors import PreflightError

_SHOWN: Final = 5
_LONGEST_VALUE: Final = 80

_OUR_NAME: Final = "wavecrew"
_OUR_REF: Final = f"refs/heads/{_OUR_NAME}"

_OPERATIONS: Final = (
    ("rebase-merge", "rebase"),
    ("rebase-apply/applying", "am"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
)
"""What git leaves in the folder of a work tree, and what it means; the first that is there counts."""
_WAYS_OUT: Final = {
    "merge": "finish it with `git commit`, or leave it with `git merge --abort`",
    "bisect": "leave it with `git bisect reset`",
}

_PROGRAMS: Final = re.compile(
    r"core\.(fsmonitor|hookspath|sshcommand|editor|pager|askpass|gitproxy|alternaterefscommand)"
    r"|sequence\.editor|diff\.external|interactive\.difffilter|uploadpack\.packobjectshook|init\.templatedir"
    r"|filter\..*\.(clean|smudge|process)|merge\..*\.driver|diff\..*\.(command|textconv)|pager\..*"
    r"|credential\.(.*\.)?helper|gpg\.(.*\.)?program|gpg\.ssh\.defaultkeycommand|hook\..*\.command"
    r"|remote\..*\.(uploadpack|receivepack|vcs)|trailer\..*\.(command|cmd)|(merge|diff)tool\..*\.(cmd|path)"
    r"|(man|browser|guitool|sendemail)\..*cmd|protocol\.(ext\.)?allow",
    re.DOTALL,
)
"""Keys whose value is a program, or the place of one, or lets one in."""
_HARMLESS: Final = frozenset(
    {
        ("filter.lfs.clean", "git-lfs clean -- %f"),
        ("filter.lfs.smudge", "git-lfs smudge -- %f"),
        ("filter.lfs.smudge", "git-lfs smudge --skip -- %f"),
        ("filter.lfs.process", "git-lfs filter-process"),
        ("filter.lfs.process", "git-lfs filter-process --skip"),
        ("credential.helper", ""),
        ("credential.helper", "store"),
        ("credential.helper", "cache"),
        ("credential.helper", "osxkeychain"),
        ("credential.helper", "manager"),
        ("credential.helper", "libsecret"),
    }
)
_SWITCH: Final = frozenset({"", "true", "false", "yes", "no", "on", "off", "0", "1", "never", "user"})
_SWITCHES: Final = re.compile(r"core\.fsmonitor|pager\..*|protocol\.(ext\.)?allow", re.DOTALL)
"""Keys that also take a word that is no program."""


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """A repository, seen from one work tree. Paths are relative to its top level; bytes that are no UTF-8 are kept."""

    head: str
    """The commit; empty before the first one."""
    branch: str
    """Empty when HEAD is detached."""
    operation: str
    """rebase, am, merge, cherry-pick, revert, bisect, or empty."""
    dirty: tuple[str, ...]
    """Staged, changed, and untracked files that are not ignored."""
    shallow: bool
    lfs: bool
    submodules: tuple[str, ...]
    dangerous: tuple[str, ...]
    """Settings of the repository's own that start a program, as `key = value`, fit for a terminal."""
    unwritable: str = ""
    """A folder of git's own that we may not write in; empty if we may write in all of them."""
    in_the_way: str = ""
    """A branch with whose name there can be none of ours; empty if there is none."""


# -- looking ----------------------------------------------------------------------------------------------------


def look(git: Git) -> RepositoryFacts:
    """The facts as they are now. Raises GitError when git cannot tell them."""
    state = _Status(git)
    attributes = git.text("ls-files", "-z", "--", ".gitattributes", "*/.gitattributes")
    return RepositoryFacts(
        head=state.head,
        branch=state.branch,
        operation=_operation(git),
        dirty=tuple(state.dirty),
        shallow=git.text("rev-parse", "--is-shallow-repository") == "true",
        lfs=_uses_lfs(git, attributes),
        submodules=_submodules(git),
        dangerous=tuple(sorted(set(_dangerous(git)))),
        unwritable=_unwritable(git),
        in_the_way="" if git.run("show-ref", "--verify", "--quiet", _OUR_REF, accept=(0, 1)).code else _OUR_NAME,
    )


class _Status:
    """`git status` in its second form for programs, with NUL between the records."""

    def __init__(self, git: Git) -> None:
        self.head = self.branch = ""
        self.dirty: list[str] = []
        form = ("--porcelain=v2", "-z", "--branch", "--untracked-files=all", "--no-renames")
        for record in git.text("status", *form).split("\0"):
            kind, _, rest = record.partition(" ")
            if kind == "#":
                self._take_header(*rest.split(" ")[:2])
            elif kind in _FIELDS:
                self.dirty.append(rest.split(" ", _FIELDS[kind])[-1])

    def _take_header(self, name: str, value: str) -> None:
        if name == "branch.oid" and value != "(initial)":
            self.head = value
        elif name == "branch.head" and value != "(detached)":
            self.branch = value


_FIELDS: Final = {"1": 7, "u": 9, "?": 0}
"""How many fields stand before the path in each kind of record."""


def _operation(git: Git) -> str:
    directory = Path(git.text("rev-parse", "--absolute-git-dir"))  # that of this work tree
    return next((operation for name, operation in _OPERATIONS if (directory / name).exists()), "")


def _unwritable(git: Git) -> str:
    """Work that no object can be made of would only be missed when it has been done."""
    common, heads = git.common, git.common / "refs" / "heads"
    folders = (common, common / "objects", common / "refs", heads, heads / _OUR_NAME, common / "worktrees")
    spread = (common / "objects" / f"{number:02x}" for number in range(256))
    refused = (folder for folder in (*folders, *spread) if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK))
    return next(map(os.fspath, refused), "")


def _uses_lfs(git: Git, attributes: str) -> bool:
    """Whether a file with attributes names the filter of git-lfs. No file is asked which attributes it has: there can
    be a million."""
    names = [git.root / name for name in attributes.split("\0") if name]
    files = [*names, git.root / ".gitattributes", git.common / "info" / "attributes"]
    return any(re.search(rb"^[^#\n]*\sfilter=lfs(\s|$)", _content(file), re.MULTILINE) for file in files)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.is_file() else b""
    except OSError:
        return b""


def _submodules(git: Git) -> tuple[str, ...]:
    staged = git.text("ls-files", "-z", "--stage").split("\0")
    return tuple(record.partition("\t")[2] for record in staged if record.startswith("160000 "))


def _dangerous(git: Git) -> Iterator[str]:
    entries: list[Entry] = []
    for file in own_configuration(git.common):
        read_with_includes(git.program, file, {}, entries)
    for entry in entries:
        if _starts_a_program(entry) or _leads_out(entry, git.common):
            value = printable(entry.value)
            shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}..."
            yield f"{printable(entry.key)} = {shown}"


def _starts_a_program(entry: Entry) -> bool:
    key, value = entry.key, entry.value
    if key.startswith("alias.") or re.fullmatch(r"submodule\..*\.update", key, re.DOTALL):
        return value.lstrip().startswith("!")
    if re.fullmatch(r"url\..*\.(push)?insteadof", key, re.DOTALL):
        return "ext::" in key
    if re.fullmatch(r"remote\..*\.(push)?url", key, re.DOTALL):
        return value.startswith("ext::")
    if not _PROGRAMS.fullmatch(key) or (key, value) in _HARMLESS:
        return False
    return not (_SWITCHES.fullmatch(key) and value.lower() in _SWITCH)


def _leads_out(entry: Entry, common: Path) -> bool:
    """Whether this line includes a file that does not lie in the git directory."""
    included = included_file(entry)
    return included is not None and not included.resolve().is_relative_to(common)


# -- judging ----------------------------------------------------------------------------------------------------


def require_sound(
    facts: RepositoryFacts, *, include_dirty: bool, exempt: Collection[str] = (), agreed: bool = False
) -> None:
    """Raise PreflightError, with a way out, for a repository that no run can start in: without a commit, with no place
    for what we make, in the middle of an operation, with changes that are not committed (unless they are
    `include_dirty` or `exempt` paths), or with settings of its own that start programs (unless a person has `agreed`).
    """
    if not facts.head:
        raise PreflightError("the repository has no commit yet", fix="commit something first: git commit")
    if facts.unwritable:
        folder = printable(facts.unwritable)
        raise PreflightError(f"git's folder {folder} cannot be written in", fix="make it writable for you")
    if facts.in_the_way:
        name = facts.in_the_way
        reason = f"a branch is named {name}, so there can be none named {name}/..., as the branches of a run are"
        raise PreflightError(reason, fix=f"give it another name: git branch -m {name} NAME")
    if facts.operation:
        way_out = _WAYS_OUT.get(facts.operation, f"finish it, or leave it with `git {facts.operation} --abort`")
        article = "an" if facts.operation == "am" else "a"
        raise PreflightError(f"{article} {facts.operation} is in progress in the repository", fix=way_out)
    dirty = [] if include_dirty else [path for path in facts.dirty if path not in exempt]
    if dirty:
        fix = "commit them, or take them along with --include-dirty"
        raise PreflightError(f"there are changes that are not committed: {_some(dirty)}", fix=fix)
    if not agreed:
        _require_no_programs(facts.dangerous)


def require_no_programs(git: Git) -> None:
    """Raise PreflightError if the settings of a repository start programs now, whatever they did when a run began."""
    _require_no_programs(tuple(sorted(set(_dangerous(git)))))


def _require_no_programs(dangerous: tuple[str, ...]) -> None:
    if dangerous:
        key = dangerous[0].partition(" = ")[0]
        raise PreflightError(
            f"the settings of this repository start programs: {_some(dangerous)}",
            fix=f"remove what you do not know (git config --unset-all {key}), or agree with --yes",
        )


def warnings(facts: RepositoryFacts) -> tuple[str, ...]:
    """What a person should know about a run in this repository."""
    told = []
    if not facts.branch and facts.head:
        told.append(f"HEAD is detached at {facts.head[:12]}: the result gets a branch of its own")
    if facts.lfs:
        told.append("files under git-lfs are pointers in a phase, and what a phase writes there is committed whole")
    if facts.submodules:
        told.append(f"submodules stay empty in a phase: {_some(facts.submodules)}")
    if facts.shallow:
        told.append("the clone is shallow: a merge may lack its common ancestor (git fetch --unshallow)")
    return tuple(told)


def _some(names: Collection[str]) -> str:
    shown = ", ".join(printable(name) for name in list(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
