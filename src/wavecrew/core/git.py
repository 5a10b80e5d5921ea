"""The one door to git: every call is disarmed, so that no program starts because a repository says so.

What it does: finds the repository of a folder, runs git with hooks, filters, drivers, editors, helpers and prompts off,
says why a call failed, and keeps our own writes one after the other.
What it does not know: why somebody calls, what a repository looks like, and what an agent's own git does.

Which filters and drivers there are is read again as soon as one of the configuration files is another than before: an
agent can add one at any time. The user's own configuration is read (identity, ignored files), that of the machine not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wavecrew.core.git_calls import (
    FLAGS,
    LOCKED,
    Answer,
    Entry,
    Files,
    call,
    configuration_of_the_user,
    disarmed_by,
    failure,
    last_lines,
    own_configuration,
    printable,
    read_with_includes,
    search_path,
    signature,
)
from wavecrew.errors import GitError, InternalError, NotFoundError, PreflightError

OLDEST: Final = (2, 38)
"""The first git that can merge without a work tree (`merge-tree --write-tree`)."""

_LOCK_FILE: Final = "wavecrew.lock"
_TRIES: Final = 6
_PAUSE_SECONDS: Final = 0.1
_held = threading.local()


def _held_here() -> dict[Path, int]:
    """The lock files that this thread holds, with their descriptors."""
    if not hasattr(_held, "files"):
        _held.files = {}
    files: dict[Path, int] = _held.files
    return files


class Git:
    """One repository, seen from one of its work trees: `root` is its top level, `common` the git directory that all
    work trees share. Calls block; several threads may make them at once."""

    def __init__(self, program: str, root: Path, common: Path) -> None:
        self.root = root
        self.common = common
        self.program = program
        self._known: tuple[Files, Mapping[str, str]] = ({}, {})

    # -- finding ------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path) -> Git:
        """The repository that a folder lies in.

        Raises PreflightError when git is missing, too old, does not trust the folder, or when the repository has no
        work tree, and NotFoundError when there is no repository.
        """
        found = program()
        if found is None:
            raise PreflightError("git was not found", fix=f"install git {_dotted(OLDEST)} or newer")
        _require_version(found)
        root = _ask_where(found, folder, "--show-toplevel")
        return cls(found, root, _ask_where(found, root, "--git-common-dir"))

    @classmethod
    def find(cls, folder: Path) -> Git | None:
        """The same, and None where there is no repository or no git at all. Raises PreflightError like `open`."""
        if program() is None:
            return None
        try:
            return cls.open(folder)
        except NotFoundError:
            return None

    # -- calling ------------------------------------------------------------------------------------------------

    def run(
        self,
        *arguments: str,
        cwd: Path | None = None,
        given: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (0,),
    ) -> Answer:
        """Run `git VERB ...` in `root` or in `cwd`, the top level of another work tree of this repository, with
        `given` as its input.

        `environment` says what only the caller knows (GIT_INDEX_FILE, GIT_AUTHOR_NAME); what is set here wins. Where
        another git holds a lock file, the call is made again a few times. Raises GitError for an exit code that is
        not accepted, and when `cwd` is no work tree of this repository (any more).
        """
        if not arguments or arguments[0].startswith("-"):
            raise InternalError("the first word for git is a verb: settings are the business of this module")
        verb, *rest = arguments
        folder = self.root if cwd is None else cwd
        foreign = _why_foreign(folder, self.common)
        if foreign:
            raise GitError(f"git {verb} was not run: {printable(os.fspath(folder))} {foreign}")
        command = [self.program, verb, *FLAGS.get(verb, ()), *rest]
        whole = {**(environment or {}), **self._disarmed()}
        for attempt in range(_TRIES):
            answer = call(command, folder, whole, given, self._lock_to_pass())
            if answer.code in accept:
                return answer
            if not LOCKED.search(answer.err):
                break
            if attempt + 1 < _TRIES:
                time.sleep(_PAUSE_SECONDS)
        raise failure(verb, answer)

    def text(
        self,
        *arguments: str,
        cwd: Path | None = None,
        given: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (0,),
    ) -> str:
        """Like `run`; the output as text without its last newline."""
        return self.run(*arguments, cwd=cwd, given=given, environment=environment, accept=accept).text

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold this around every write to references and work trees: one at a time, in all threads and processes.

        Waits as long as it must. A thread that has it can enter again. The git that is started inside has a share in
        the lock, so that after a kill of this process nobody comes in before that git has ended. Raises GitError
        where the lock file cannot be written.
        """
        mine, path = _held_here(), self.common / _LOCK_FILE
        if path in mine:
            yield
            return
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise GitError(f"{path} cannot be written: {error.strerror}", fix="make the folder writable") from None
        try:
            _lock(descriptor, path)
            mine[path] = descriptor
            yield
        finally:
            mine.pop(path, None)
            with contextlib.suppress(OSError):  # closing would not do, should something we started live on
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _lock_to_pass(self) -> tuple[int, ...]:
        descriptor = _held_here().get(self.common / _LOCK_FILE)
        return () if descriptor is None else (descriptor,)

    # -- disarming ----------------------------------------------------------------------------------------------

    def configuration(self) -> tuple[Entry, ...]:
        """Every line of every configuration file that git reads here for any work tree, in the order of the files:
        the user's, the shared one, those of single work trees, each followed by what it includes, whether the
        condition of the include holds now or not. Raises GitError for a file that git cannot read."""
        return self._read()[1]

    def _read(self) -> tuple[Files, tuple[Entry, ...]]:
        files: Files = {}
        found: list[Entry] = []
        for file in self._first_files():
            read_with_includes(self.program, file, files, found)
        return files, tuple(found)

    def _first_files(self) -> tuple[Path, ...]:
        return (*configuration_of_the_user(), *own_configuration(self.common))

    def _disarmed(self) -> Mapping[str, str]:
        """The environment for the configuration as it is now."""
        files, environment = self._known
        current = all(signature(file) == seen for file, seen in files.items())
        if not current or not files.keys() >= set(self._first_files()):
            files, entries = self._read()
            environment = disarmed_by(entries)
            self._known = files, environment  # one assignment: another thread sees the one or the other
        return environment


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise GitError(f"{path} cannot be locked: {error.strerror}", fix="see whether locks work there") from None


# -- the program ------------------------------------------------------------------------------------------------


def program() -> str | None:
    """Where git is; None where there is none."""
    return shutil.which("git", path=search_path())


def _require_version(program: str) -> None:
    said = call([program, "version"], Path("/"), disarmed_by(())).text
    numbers = re.match(r"git version (\d+)\.(\d+)", said)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise PreflightError(f"{said} is too old", fix=f"install git {_dotted(OLDEST)} or newer")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _ask_where(program: str, folder: Path, what: str) -> Path:
    """One of the places of the repository of a folder, absolute."""
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}", fix="name a folder of a git repository")
    command = [program, "rev-parse", "--path-format=absolute", what]
    answer = call(command, folder, disarmed_by(()))
    if not answer.code:
        return Path(os.path.realpath(answer.text))
    complaint = printable(answer.err.strip())
    if "not a git repository" in complaint:
        raise NotFoundError(f"{folder} is not in a git repository", fix="make one with: git init")
    if "must be run in a work tree" in complaint or "safe.bareRepository" in complaint:
        raise PreflightError(f"the git repository of {folder} has no work tree", fix="use a clone that is not bare")
    if "dubious ownership" in complaint:
        fix = f"if you trust it: git config --global --add safe.directory {folder}"
        raise PreflightError(f"git does not trust {folder}: it belongs to another user", fix=fix)
    said = last_lines(answer.err) or f"it ends with exit code {answer.code} and says nothing"
    raise PreflightError(
        f"git cannot open the repository of {folder}: {said}", fix=f"see what it says: git -C {folder} status"
    )


# -- whose work tree a folder is --------------------------------------------------------------------------------


def _why_foreign(folder: Path, common: Path) -> str:
    """Why this is not the top level of a work tree of ours; empty if it is. An agent can put another repository, with
    other settings, in that place, and where a `.git` is missing git would take the work tree around it."""
    link = folder / ".git"
    try:
        directory = Path(os.path.realpath(link if link.is_dir() else _pointed_at(link)))
        if directory.parent.name == "worktrees":
            directory = Path(os.path.realpath(_pointed_at(directory / "commondir")))
    except (OSError, ValueError):
        return "is no work tree"
    return "" if directory == common else "belongs to another repository"


def _pointed_at(file: Path) -> Path:
    return file.parent / file.read_text("utf-8", "surrogateescape").removeprefix("gitdir:").strip()
