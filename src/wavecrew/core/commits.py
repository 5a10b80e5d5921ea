"""Commits as wavecrew makes and reads them.

What it does: makes commits in the name of the user, writes and reads their trailers, tells which files a commit has
and which declared outputs it lacks, and what changed between two trees.
What it does not know: branches, worktrees, and why a commit is made.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from wavecrew.core.git import Git
from wavecrew.errors import InvalidValueError
from wavecrew.models.resources import Resource, ResourceKind, literal_prefix, meets, parse_resource

RUN: Final = "Wavecrew-Run"
PHASE: Final = "Wavecrew-Phase"
ATTEMPT: Final = "Wavecrew-Attempt"

_LINK: Final = "120000"
_REPOSITORY: Final = "160000"
_MOST_LINKS: Final = 40
_TRAILER: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*): (.*)")


# -- making -----------------------------------------------------------------------------------------------------


def identity(git: Git, author: str) -> dict[str, str]:
    """The environment that makes commits under a name (`Name <mail>`). Empty: the user's own name in git, and
    `wavecrew` where git knows none. Raises InvalidValueError for a name of another form."""
    name, mail = "wavecrew", "wavecrew@localhost"
    if author:
        parts = re.fullmatch(r"\s*([^<>\n]*[^<>\s])\s*<([^<>\s]+)>\s*", author)
        if parts is None:
            raise InvalidValueError(f"{author!r} is no author", fix="write it as: Name <mail@example.org>")
        name, mail = parts[1], parts[2]
    elif all(git.text("config", "--get", key, accept=(0, 1)).strip() for key in ("user.name", "user.email")):
        return {}
    return {
        f"GIT_{role}_{what}": v for role in ("AUTHOR", "COMMITTER") for what, v in (("NAME", name), ("EMAIL", mail))
    }


def make_commit(git: Git, tree: str, parents: Iterable[str], message: str, name: Mapping[str, str]) -> str:
    """A commit that no reference holds yet. `name` comes from `identity`."""
    given = message.replace("\0", "").strip().encode(errors="replace") or b"wavecrew"
    options = [word for parent in parents for word in ("-p", parent)]
    return git.text("commit-tree", tree, *options, given=given + b"\n", environment=name)


def with_trailers(message: str, trailers: Mapping[str, str]) -> str:
    """A message that ends in trailers, each on one line, whatever its value holds."""
    lines = (f"{name}: {_on_one_line(value)}" for name, value in trailers.items())
    return f"{message.strip() or 'wavecrew'}\n\n" + "\n".join(lines)


def _on_one_line(value: str) -> str:
    plain = value.isprintable() and value.strip() == value != "" and not value.startswith('"')
    return value if plain else json.dumps(value)


# -- reading ----------------------------------------------------------------------------------------------------


def trailers_of(message: str) -> dict[str, str]:
    """The trailers of a message: its last paragraph, if that has nothing else in it."""
    lines = message.strip("\n").rpartition("\n\n")[2].split("\n")
    found = [_TRAILER.fullmatch(line) for line in lines]
    return {pair[1]: _read_value(pair[2]) for pair in found if pair} if all(found) else {}


def _read_value(value: str) -> str:
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value


def message_of(git: Git, commit: str) -> str:
    """The message of a commit."""
    return git.text("log", "-1", "--encoding=UTF-8", "--format=%B", commit)


def closing_commits(git: Git, within: str, since: str = "") -> dict[tuple[str, str], tuple[str, ...]]:
    """The commits that closed a phase, by (run, phase), the oldest first: those with our trailers, in everything that
    `within` holds (and `since` does not). Git alone is asked."""
    span = (within, f"^{since}") if since else (within,)
    options = ("-z", "--encoding=UTF-8", "--topo-order", "--reverse", "--format=%H%n%B", f"--grep=^{PHASE}: ")
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for record in git.text("log", *options, *span, "--").split("\0"):
        commit, _, message = record.partition("\n")
        trailers = trailers_of(message)
        if {RUN, PHASE, ATTEMPT} <= trailers.keys():
            key = trailers[RUN], trailers[PHASE]
            found[key] = (*found.get(key, ()), commit)
    return found


@dataclass(frozen=True, slots=True)
class Changes:
    """What is other in a tree than in the one before: paths from the top, both sides of a renaming, and the paths
    where another repository came to be."""

    paths: tuple[str, ...]
    repositories: tuple[str, ...]


def changes(git: Git, before: str, after: str) -> Changes:
    """What is other in `after`. Names of any bytes are kept (surrogateescape)."""
    fields = git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", before, after).out.split(b"\0")
    paths, repositories = [], []
    for entry, path in zip(fields[::2], fields[1::2], strict=False):
        old, new = entry.decode().lstrip(":").split(" ")[:2]
        paths.append(os.fsdecode(path))
        if new == _REPOSITORY != old:
            repositories.append(paths[-1])
    return Changes(tuple(paths), tuple(repositories))


def seen_from(prefix: str, path: str) -> str:
    """A path from the top of the repository as it is seen from the workspace: `../x` for one outside of it."""
    return posixpath.relpath(f"/{path}", f"/{prefix}")


# -- declared outputs -------------------------------------------------------------------------------------------


def matches(pattern: Resource, path: str) -> bool:
    """Whether a file is meant by a pattern, judged by the same rule as lock conflicts. A file can be named `*` itself:
    it is the file of that name, and not every file."""
    return meets(pattern, Resource(ResourceKind.FILE, re.sub(r"[*?\[]", r"[\g<0>]", path)))


class Contents:
    """The files of one commit or tree, and which declared outputs are among them. Outputs are meant from `prefix`, the
    workspace. Links are followed inside of the tree; what lies outside of it is not there."""

    def __init__(self, git: Git, tree: str, prefix: str) -> None:
        self._git = git
        self._start = f"{prefix}/" if prefix else ""
        self._files: dict[str, tuple[str, str]] = {}  # path -> mode and object
        for line in git.run("ls-tree", "-r", "-z", "--full-tree", tree).out.split(b"\0"):
            if line:
                entry, _, path = line.partition(b"\t")
                mode, _, name = entry.decode().split(" ")
                self._files[os.fsdecode(path)] = mode, name

    def missing(self, outputs: Iterable[str]) -> tuple[str, ...]:
        """Those of the outputs that are not there."""
        return tuple(output for output in outputs if not self._has(parse_resource(output)))

    def lacks(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of the paths, from the top of the repository, that are no files here."""
        return tuple(path for path in paths if path not in self._files)

    def _has(self, resource: Resource) -> bool:
        match resource.kind:
            case ResourceKind.NAME:
                return True
            case ResourceKind.GLOB:
                return self._any_match(resource)
            case ResourceKind.TREE:
                path = self._resolve(self._start + resource.key)
                return path is not None and self._is_folder(path)
            case _:
                return self._exists(self._start + resource.key)

    def _exists(self, path: str) -> bool:
        real = self._resolve(path)
        return real is not None and (real in self._files or self._is_folder(real))

    def _is_folder(self, path: str) -> bool:
        start = f"{path}/" if path else ""
        return any(file.startswith(start) for file in self._files)

    def _any_match(self, pattern: Resource) -> bool:
        start = self._start + literal_prefix(pattern.key)
        for path in self._files:
            if path.startswith(start) and path.startswith(self._start):
                key = path.removeprefix(self._start)
                if matches(pattern, key) and self._exists(path):
                    return True
        return False

    def _resolve(self, path: str) -> str | None:
        """The path without links; None for one that leads out of the tree or in a circle."""
        done: list[str] = []
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part == ".." and not done:
                return None
            if part == "..":
                done.pop()
            elif part not in ("", "."):
                done.append(part)
                mode, name = self._files.get("/".join(done), ("", ""))
                if mode == _LINK:
                    done.pop()
                    links += 1
                    target = os.fsdecode(self._git.run("cat-file", "blob", name).out)
                    if target.startswith("/") or links > _MOST_LINKS:
                        return None
                    todo += target.split("/")[::-1]
        return "/".join(done)
