"""The one door to git: every call is disarmed, so that no program starts because a repository says so.

What it does: finds the repository of a folder, runs git with hooks, filters, drivers, editors, helpers and prompts off,
says why a call failed, and keeps our own writes one after the other.
What it does not know: why somebody calls, what a repository looks like, and what an agent's own git does.

Settings are overridden through the environment, because the programs that git starts itself inherit it. Which filters
and drivers there are is read again as soon as one of the configuration files is another than before: an agent can add
one at any time. The user's own configuration is read (ignored files, attributes), that of the machine is not.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.errors import GitError, InternalError, NotFoundError, PreflightError

OLDEST: Final = (2, 38)
"""The first git that can merge without a work tree (`merge-tree --write-tree`)."""

_LOCK_FILE: Final = "wavecrew.lock"
_TRIES: Final = 6
_PAUSE_SECONDS: Final = 0.1
_LINES_TOLD: Final = 4

_LOCKED: Final = re.compile(r"\.lock': File exists|could not lock config file .*: File exists")
_TEXT_MERGE: Final = "git merge-file --marker-size=%L -L ours -L base -L theirs %A %O %B"
"""What git does itself with texts. An empty command would not do: it would take our side and call it merged."""

_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",  # empty is "none", and core.askPass is not asked any more
    "GIT_EDITOR": ":",
    "GIT_SEQUENCE_EDITOR": ":",
    "GIT_PAGER": "cat",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_SSH_VARIANT": "ssh",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ADVICE": "0",
    "LC_ALL": "C",
}
_INHERITED: Final = ("HOME", "XDG_CONFIG_HOME", "TMPDIR")

_ALWAYS: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": ":",
    "core.pager": "cat",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "tag.forceSignAnnotated": "false",
    "merge.verifySignatures": "false",
    "log.showSignature": "false",
    "gpg.program": "false",
    "gpg.x509.program": "false",
    "gpg.ssh.program": "false",
    "gpg.ssh.defaultKeyCommand": "false",
    "credential.helper": "",  # an empty one forgets all that were named before
    "protocol.ext.allow": "never",
    "protocol.git.allow": "never",  # core.gitProxy is a program
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
    "diff.ignoreSubmodules": "dirty",  # git would start git inside of them, without what is said here
    "diff.submodule": "short",
    "status.submoduleSummary": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "rerere.enabled": "false",  # conflicts are answered by nobody's memory
    "branch.autoSetupMerge": "false",  # each new branch would write into the shared configuration
    "commit.verbose": "false",
    "color.ui": "false",
    "core.commentChar": "#",
    "advice.detachedHead": "false",
}

_TEXTS_ONLY: Final = ("--no-ext-diff", "--no-textconv")
_OUTSIDE_ONLY: Final = ("--ignore-submodules=dirty",)
_FLAGS: Final[dict[str, tuple[str, ...]]] = {
    "status": _OUTSIDE_ONLY,
    "diff": _TEXTS_ONLY + _OUTSIDE_ONLY,
    "diff-files": _TEXTS_ONLY + _OUTSIDE_ONLY,
    "diff-index": _TEXTS_ONLY + _OUTSIDE_ONLY,
    "diff-tree": _TEXTS_ONLY,
    "format-patch": _TEXTS_ONLY,
    "log": _TEXTS_ONLY,
    "show": _TEXTS_ONLY,
}
"""What a verb is told besides, where a setting cannot say it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said: its exit code, its output as bytes, its complaints."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """The output without its last newline. Bytes that are no UTF-8 are kept (surrogateescape)."""
        return self.out.decode("utf-8", "surrogateescape").removesuffix("\n")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a configuration file: `filter.lfs.clean` (section and name in small letters), value, and file."""

    key: str
    value: str
    file: Path


_Signature = tuple[int, int, int, int]
_Files = dict[Path, _Signature | None]
"""Configuration files, and what they looked like before they were read; None: not there."""

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
        self._program = program
        self._known: tuple[_Files, Mapping[str, str]] = ({}, {})

    # -- finding ------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path) -> Git:
        """The repository that a folder lies in.

        Raises PreflightError when git is missing, too old, does not trust the folder, or when the repository has no
        work tree, and NotFoundError when there is no repository.
        """
        program = _program()
        if program is None:
            raise PreflightError("git was not found", fix=f"install git {_dotted(OLDEST)} or newer")
        _require_version(program)
        root = _ask_where(program, folder, "--show-toplevel")
        return cls(program, root, _ask_where(program, root, "--git-common-dir"))

    @classmethod
    def find(cls, folder: Path) -> Git | None:
        """The same, and None where there is no repository or no git at all. Raises PreflightError like `open`."""
        if _program() is None:
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
        """Run `git VERB ...` in the top level or in `cwd`, with `given` as its input.

        `environment` may say more (GIT_INDEX_FILE, GIT_AUTHOR_NAME), but arms nothing again. Where another git holds
        a lock file, the call is made again a few times. Raises GitError for an exit code that is not accepted, and
        when `cwd` does not belong to this repository (any more).
        """
        if not arguments or arguments[0].startswith("-"):
            raise InternalError("the first word for git is a verb: settings are the business of this module")
        verb, *rest = arguments
        folder = self.root if cwd is None else cwd
        self._require_ours(folder, verb)
        command = [self._program, verb, *_FLAGS.get(verb, ()), *rest]
        whole = {**(environment or {}), **self._disarmed()}
        for attempt in range(_TRIES):
            answer = _call(command, folder, whole, given, self._lock_to_pass())
            if answer.code in accept:
                return answer
            if not _LOCKED.search(answer.err):
                break
            if attempt + 1 < _TRIES:
                time.sleep(_PAUSE_SECONDS)
        raise _failure(verb, answer)

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
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            mine[path] = descriptor
            yield
        finally:
            mine.pop(path, None)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing would not do, should something we started live on
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

    def _read(self) -> tuple[_Files, tuple[Entry, ...]]:
        files: _Files = {}
        found: list[Entry] = []
        for file in self._first_files():
            _read_with_includes(self._program, file, files, found)
        return files, tuple(found)

    def _first_files(self) -> tuple[Path, ...]:
        return (*_files_of_the_user(), *own_configuration(self.common))

    def _disarmed(self) -> Mapping[str, str]:
        """The environment for the configuration as it is now."""
        files, environment = self._known
        current = all(_signature(file) == seen for file, seen in files.items())
        if not current or not files.keys() >= set(self._first_files()):
            files, entries = self._read()
            environment = _environment(entries)
            self._known = files, environment  # one assignment: another thread sees the one or the other
        return environment

    # -- staying inside -----------------------------------------------------------------------------------------

    def _require_ours(self, folder: Path, verb: str) -> None:
        """An agent can put another repository, with other settings, in the place of its work tree."""
        reason = _why_foreign(folder, self.common)
        if reason:
            raise GitError(f"git {verb} was not run: {printable(os.fspath(folder))} {reason}")


# -- the configuration ------------------------------------------------------------------------------------------


def own_configuration(common: Path) -> tuple[Path, ...]:
    """The configuration files of a repository itself: the shared one, and those of its work trees."""
    return (common / "config", common / "config.worktree", *sorted(common.glob("worktrees/*/config.worktree")))


def entries(program: str, file: Path) -> tuple[Entry, ...]:
    """The lines of one configuration file without what it includes; none where there is no such file. Raises GitError
    for a file that git cannot read."""
    if not file.exists():
        return ()
    command = [program, "config", "--file", os.fspath(file), "--no-includes", "--null", "--list"]
    answer = _call(command, Path("/"), _environment(()), None, ())
    if answer.code:
        raise _failure("config", answer)
    lines = (line.partition("\n") for line in answer.out.decode("utf-8", "surrogateescape").split("\0") if line)
    return tuple(Entry(key, value, file) for key, _, value in lines)


def _read_with_includes(program: str, file: Path, files: _Files, found: list[Entry]) -> None:
    if file in files:
        return
    files[file] = _signature(file)  # before it is read: what changes meanwhile is seen next time
    for entry in entries(program, file):
        found.append(entry)
        included = included_file(entry)
        if included is not None:
            _read_with_includes(program, included, files, found)


def included_file(entry: Entry) -> Path | None:
    """The file that this line includes, if it is such a line."""
    section, _, name = entry.key.partition(".")
    if section not in ("include", "includeif") or name.rpartition(".")[2] != "path" or not entry.value:
        return None
    return entry.file.parent / os.path.expanduser(entry.value)  # noqa: PTH111 - an unknown user is no error here


def _files_of_the_user() -> tuple[Path, ...]:
    home = os.environ.get("HOME", "")
    folder = os.environ.get("XDG_CONFIG_HOME", "") or (f"{home}/.config" if home else "")
    files = [f"{folder}/git/config"] if folder else []
    return tuple(Path(file) for file in (*files, *([f"{home}/.gitconfig"] if home else [])))


def _signature(file: Path) -> _Signature | None:
    try:
        seen = file.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _environment(configuration: Iterable[Entry]) -> dict[str, str]:
    settings = dict(_ALWAYS)
    for entry in configuration:
        settings.update(_answers_to(entry.key))
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {**_ENVIRONMENT, "PATH": _search_path(), "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


def _answers_to(key: str) -> dict[str, str]:
    """What is set because this key is set somewhere."""
    section, _, rest = key.partition(".")
    name, dot, variable = rest.rpartition(".")
    if not dot:
        return {key: ""} if key == "diff.external" else {}
    start = f"{section}.{name}."
    match section, variable:
        case "filter", "clean" | "smudge" | "process":
            return {key: "", f"{start}required": "false"}
        case "merge", "driver":
            return {key: _TEXT_MERGE}
        case "diff", "textconv":
            return {key: "cat"}
        case ("diff", "command") | ("trailer", "command" | "cmd") | ("remote", "vcs"):
            return {key: ""}
        case "remote", "uploadpack" | "receivepack":
            return {key: f"git-{variable[:-4]}-pack"}
        case "submodule", "update":
            return {key: "none"}
        case "hook", _:
            return {f"{start}enabled": "false"}
    return {}


# -- the program ------------------------------------------------------------------------------------------------


def _search_path() -> str:
    """PATH without folders that are meant from where one stands: that can be a folder of the repository."""
    return os.pathsep.join(part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part[:1] == "/")


def _program() -> str | None:
    return shutil.which("git", path=_search_path())


def _require_version(program: str) -> None:
    said = _call([program, "version"], Path("/"), _environment(()), None, ()).text
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
    answer = _call(command, folder, _environment(()), None, ())
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
    raise PreflightError(f"git cannot open the repository of {folder}: {_last_lines(answer.err)}")


def _call(
    command: list[str], folder: Path, environment: Mapping[str, str], given: bytes | None, descriptors: tuple[int, ...]
) -> Answer:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            pass_fds=descriptors,
            start_new_session=True,  # no terminal to ask at, and Ctrl-C does not end a write halfway
            check=False,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise GitError(f"git cannot be started in {printable(os.fspath(folder))}: {reason}") from None
    return Answer(done.returncode, done.stdout, done.stderr.decode("utf-8", "surrogateescape"))


def _failure(verb: str, answer: Answer) -> GitError:
    if _LOCKED.search(answer.err):
        fix = "wait for the other git; if none is running any more, remove the file"
        return GitError(f"git {verb}: another git holds a lock: {_last_lines(answer.err)}", fix=fix)
    if answer.code < 0:
        return GitError(f"git {verb} was ended by signal {-answer.code}")
    return GitError(f"git {verb} failed with exit code {answer.code}: {_last_lines(answer.err) or 'it said nothing'}")


def _last_lines(text: str) -> str:
    lines = [line for line in map(printable, text.splitlines()) if line.strip()]
    return "; ".join(lines[-_LINES_TOLD:])


def printable(text: str) -> str:
    """A foreign text for a message: on one line, and whatever is not to be seen is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# -- whose repository a folder belongs to -----------------------------------------------------------------------


def _why_foreign(folder: Path, common: Path) -> str:
    """Why git would find another repository from this folder; empty where it would not."""
    real = Path(os.path.realpath(folder))
    for place in (real, *real.parents):
        link = place / ".git"
        try:
            if link.is_dir():
                directory = link
            elif link.is_file():
                directory = place / link.read_text("utf-8", "surrogateescape").removeprefix("gitdir:").strip()
            else:
                continue
            if directory.parent.name == "worktrees":
                directory = directory / (directory / "commondir").read_text("utf-8", "surrogateescape").strip()
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return "" if os.path.realpath(directory) == os.fspath(common) else "belongs to another repository"
    return "is not in a repository"
