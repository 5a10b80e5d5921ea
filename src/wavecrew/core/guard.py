"""Notices when somebody has changed what nobody may change during a run.

What it does: remembers the settings, attributes and hooks of a repository and the documents of a plan, and tells
which of them are others than before. A file is read only when its size, time or inode is another.
What it does not know: who did it, what is done about it, and the work trees of phases. A file that is written in place
with as many bytes, within one tick of the file system's clock after it was read, is not noticed.

Settings that start no program are nobody's business here: agents name themselves with `git config user.name`, and
that writes the file that all work trees share.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.git import program
from wavecrew.core.git_calls import Signature, entries, included_file, own_configuration, printable, signature
from wavecrew.errors import GitError

HARMLESS: Final = re.compile(
    r"(user|author|committer|branch|color|advice|rerere|pull|push|column)\..*"
    r"|remote\..*\.(url|pushurl|fetch|push|tagopt|prune)|submodule\..*\.(url|active)|init\.defaultbranch"
    r"|extensions\.worktreeconfig|core\.(filemode|ignorecase|logallrefupdates|repositoryformatversion)",
    re.DOTALL,
)
"""Keys of settings that start no program, and that agents and ordinary commands of git write."""

_Settings = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was: what tells cheaply that it may be another now, and what tells it for certain. `settings` are
    those of the last time that git could read the file; None for a file that is no configuration."""

    signature: Signature | None = None
    content: str = ""
    settings: _Settings | None = None


class Guard:
    """Watches one repository (`common` is its common git directory, None where there is none) and some documents.
    Not for several threads at once."""

    def __init__(self, common: Path | None, documents: Iterable[Path]) -> None:
        self._common = common
        self._documents = tuple(documents)
        self._program = program()
        self._included: set[Path] = set()
        self._seen: dict[Path, _Seen] = {}
        self.look()

    def look(self) -> tuple[str, ...]:
        """What has changed since the last look, such as `.git/config: filter.x.clean added`, `.git/hooks/pre-commit`
        or `plan/03.md`, without anything that could steer a terminal."""
        told: set[str] = set()
        files = list(dict.fromkeys((*self._watched(), *self._seen)))
        for file in files:
            known = len(self._included)
            told.update(f"{self._name(file)}{change}" for change in self._changes(file))
            if len(self._included) > known:  # a configuration names further files
                files.extend(sorted(self._included - set(files)))
        return tuple(sorted(told))

    def _watched(self) -> Iterator[Path]:
        yield from self._documents
        if self._common is not None:
            yield from own_configuration(self._common)
            yield self._common / "info" / "attributes"
            yield from sorted(path for path in self._hooks.rglob("*") if not path.is_dir())

    @property
    def _hooks(self) -> Path:
        return (self._common or Path()) / "hooks"

    def _changes(self, file: Path) -> Iterator[str]:
        """What is to be said after the name of a file, for each of its changes. What it is now is remembered."""
        before = self._seen.get(file, _Seen())
        now = signature(file)
        if file in self._seen and now == before.signature:
            return
        content = _fingerprint(file, with_mode=self._common is not None and file.is_relative_to(self._hooks))
        self._seen[file] = _Seen(now, content, before.settings)
        if content == before.content:
            return
        if not self._is_configuration(file):
            yield ""
            return
        settings = self._settings(file)
        if settings is None:
            yield ": git cannot read it"
            return
        self._seen[file] = _Seen(now, content, settings)
        yield from _differences(before.settings or {}, settings)

    def _is_configuration(self, file: Path) -> bool:
        return file in self._included or (self._common is not None and file in own_configuration(self._common))

    def _settings(self, file: Path) -> _Settings | None:
        """The settings in a file by key; None where git cannot read it."""
        found: _Settings = {}
        try:
            for entry in entries(self._program or "git", file):
                found[entry.key] = (*found.get(entry.key, ()), entry.value)
                included = included_file(entry)
                if included is not None:
                    self._included.add(included)
        except GitError:
            return None
        return found

    def _name(self, file: Path) -> str:
        roots = [] if self._common is None else [self._common.parent]
        if self._documents:
            roots.append(Path(os.path.commonpath([document.parent for document in self._documents])).parent)
        for root in roots:
            if file.is_relative_to(root):
                return printable(os.fspath(file.relative_to(root)))
        return printable(os.fspath(file))


def _differences(before: _Settings, now: _Settings) -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) == now.get(key) or HARMLESS.fullmatch(key):
            continue
        word = "added" if key not in before else "removed" if key not in now else "changed"
        yield f": {printable(key)} {word}"


def _fingerprint(file: Path, *, with_mode: bool) -> str:
    """What is in a file; empty where there is none. Whether it can be executed counts for hooks only."""
    try:
        if not file.is_file():  # a pipe would be waited for
            return "no file" if file.exists() else ""
        mode = f" {file.stat().st_mode & 0o111:o}" if with_mode else ""
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() + mode
    except OSError as error:
        return f"unreadable: {error.errno}"
