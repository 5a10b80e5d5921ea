"""One call of git, and what every call is told so that no program starts because a repository says so.

What it does: builds the environment of git from nothing, turns every setting that names a program into one that starts
none, reads the lines of configuration files, starts git and puts its failures into words.
What it does not know: repositories and work trees; whoever calls has the folder and knows which files are read there.

Settings are overridden through the environment, because the programs that git starts itself inherit it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.errors import GitError

_LINES_TOLD: Final = 4

LOCKED: Final = re.compile(r"\.lock': File exists|could not lock config file .*: File exists")
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
    "GIT_NO_REPLACE_OBJECTS": "1",  # a history is what its commits say, not what somebody put in their place
    "GIT_GRAFT_FILE": "/dev/null",
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
    "i18n.commitEncoding": "UTF-8",
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
    "advice.detachedHead": "false",
    "advice.graftFileDeprecated": "false",
}

_TEXTS_ONLY: Final = ("--no-ext-diff", "--no-textconv")
_OUTSIDE_ONLY: Final = ("--ignore-submodules=dirty",)
FLAGS: Final[dict[str, tuple[str, ...]]] = {
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


Signature = tuple[int, int, int, int]
Files = dict[Path, Signature | None]
"""Configuration files, and what they looked like before they were read; None: not there."""


# -- calling ----------------------------------------------------------------------------------------------------


def call(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    given: bytes | None = None,
    descriptors: tuple[int, ...] = (),
) -> Answer:
    """Start git in a folder and wait for its end. It also gets these open descriptors. Raises GitError when it cannot
    be started."""
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


def failure(verb: str, answer: Answer) -> GitError:
    """What to raise for this answer to `git VERB`."""
    if LOCKED.search(answer.err):
        fix = "wait for the other git; if none is running any more, remove the file"
        words = next(line for line in answer.err.splitlines() if LOCKED.search(line))
        return GitError(f"git {verb}: another git holds a lock: {printable(words)}", fix=fix)
    if answer.code < 0:
        return GitError(f"git {verb} was ended by signal {-answer.code}")
    return GitError(f"git {verb} failed with exit code {answer.code}: {last_lines(answer.err) or 'it said nothing'}")


def last_lines(text: str) -> str:
    """The end of what git complained about, on one line."""
    lines = [line for line in map(printable, text.splitlines()) if line.strip()]
    return "; ".join(lines[-_LINES_TOLD:])


def printable(text: str) -> str:
    """A foreign text for a message: on one line, and whatever is not to be seen is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# -- the configuration ------------------------------------------------------------------------------------------


def own_configuration(common: Path) -> tuple[Path, ...]:
    """The configuration files of a repository itself: the shared one, and those of its work trees."""
    return (common / "config", common / "config.worktree", *sorted(common.glob("worktrees/*/config.worktree")))


def entries(program: str, file: Path) -> tuple[Entry, ...]:
    """The lines of one configuration file without what it includes; none where there is no such file. Raises GitError
    for a file that git cannot read."""
    if not file.is_file():  # a pipe would be waited for
        return ()
    command = [program, "config", "--file", os.fspath(file), "--no-includes", "--null", "--list"]
    answer = call(command, Path("/"), disarmed_by(()))
    if answer.code:
        raise failure("config", answer)
    lines = (line.partition("\n") for line in answer.out.decode("utf-8", "surrogateescape").split("\0") if line)
    return tuple(Entry(key, value, file) for key, _, value in lines)


def read_with_includes(program: str, file: Path, files: Files, found: list[Entry]) -> None:
    """Add a file and all that it includes to `files`, and their lines to `found`. Conditions are taken as met: they
    can hold in one work tree and not in another. Raises GitError for a file that git cannot read."""
    if file in files:
        return
    files[file] = signature(file)  # before it is read: what changes meanwhile is seen next time
    for entry in entries(program, file):
        found.append(entry)
        included = included_file(entry)
        if included is not None:
            read_with_includes(program, included, files, found)


def included_file(entry: Entry) -> Path | None:
    """The file that this line includes, if it is such a line."""
    section, _, name = entry.key.partition(".")
    if section not in ("include", "includeif") or name.rpartition(".")[2] != "path" or not entry.value:
        return None
    return entry.file.parent / os.path.expanduser(entry.value)  # noqa: PTH111 - an unknown user is no error here


def configuration_of_the_user() -> tuple[Path, ...]:
    """The files that git reads before those of a repository, in its order."""
    home = os.environ.get("HOME", "")
    folder = os.environ.get("XDG_CONFIG_HOME", "") or (f"{home}/.config" if home else "")
    files = [f"{folder}/git/config"] if folder else []
    return tuple(Path(file) for file in (*files, *([f"{home}/.gitconfig"] if home else [])))


def signature(file: Path) -> Signature | None:
    """What tells cheaply whether a file is another one than before; None where there is none."""
    try:
        seen = file.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


# -- the environment --------------------------------------------------------------------------------------------


def disarmed_by(configuration: Iterable[Entry]) -> dict[str, str]:
    """The whole environment of git, where these are the lines of all configuration files that it will read."""
    settings = dict(_ALWAYS)
    for entry in configuration:
        settings.update(_answers_to(entry.key))
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {**_ENVIRONMENT, "PATH": search_path(), "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


def _answers_to(key: str) -> dict[str, str]:
    """What is set because this key is set somewhere."""
    section, _, rest = key.partition(".")
    if section == "alias":
        return {key: "!false"}
    name, dot, variable = rest.rpartition(".")
    if not dot:
        return {key: ""} if key == "diff.external" else {}
    start = f"{section}.{name}."
    match section, variable:
        case "filter", "clean" | "smudge" | "process":
            return {key: "", f"{start}required": "false"}
        case "merge", _:
            return {f"{start}driver": _TEXT_MERGE}
        case "diff", "textconv":
            return {key: "cat"}
        case ("diff", "command") | ("trailer", "command" | "cmd") | ("remote", "vcs"):
            return {key: ""}
        case "remote", "uploadpack" | "receivepack":
            return {"protocol.file.allow": "never"}  # the first value counts there, so ours would not
        case "submodule", "update":
            return {key: "none"}
        case "hook", _:
            return {f"{start}enabled": "false"}
    return {}


def search_path() -> str:
    """PATH without folders that are meant from where one stands: that can be a folder of the repository."""
    return os.pathsep.join(part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part[:1] == "/")
