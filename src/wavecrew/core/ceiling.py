"""The program that lets an agent write below some folders only, and then becomes the agent. Standard library only; run
with `-I -S`. Linux, by Landlock; no rights are needed for it.

What it does: has the kernel refuse every write elsewhere, to itself and to all processes that come from it, which
nobody can undo. Reading is not touched. Also, on newer kernels: truncating, and signals to processes outside.
What it does not know: locks. The limit is fixed when the agent starts; which file may be written when is the gate's.

Usage: `ceiling.py [--git] PATH... -- PROGRAM [ARGUMENT...]`. A path that is not there is passed over, but for one that
ends with a slash: that is a folder, and made. With `--git`, the worktree that the current folder belongs to is
writable, and of its repository what a commit on its own branch writes: objects, the branch and its log, and the
private folder of the worktree. Not the settings, hooks and other branches.
It ends with 126 when the limit cannot be set or the program cannot be started: an agent without its limit never runs.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NoReturn

NOT_STARTED = 126
ALWAYS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/shm")  # noqa: S108
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_NO_NEW_PRIVILEGES = 38
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_SINCE_1 = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # removing and making of every kind
_REFER = 1 << 13
_SIGNALS = 1 << 1


class Ceiling:
    """What the kernel offers: whether there is a limit to be had, the version of Landlock (0 for none), and in words
    what it keeps from being done, or why there is none."""

    def __init__(self, available: bool, abi: int, reason: str) -> None:
        self.available = available
        self.abi = abi
        self.reason = reason


def probe() -> Ceiling:
    """Ask the kernel; nothing is restricted."""
    if sys.platform != "linux":
        return Ceiling(False, 0, "only Linux can limit the writes of a program from outside")
    abi, error = _call(_CREATE, None, 0, 1)
    if abi > 0:
        return Ceiling(True, abi, f"Landlock {abi} keeps {_words(abi)}")
    why = {38: "this kernel has no Landlock", 95: "Landlock is switched off in this kernel"}
    return Ceiling(False, 0, why.get(error, f"the kernel refuses Landlock: {os.strerror(error)}"))


def command(paths: Iterable[str], argv: tuple[str, ...], *, git: bool = False) -> tuple[str, ...]:
    """The program and arguments that start an agent below a ceiling."""
    option = ("--git",) if git else ()
    return (sys.executable, "-I", "-S", os.path.abspath(__file__), *option, *paths, "--", *argv)


def _words(abi: int) -> str:
    kept = "writing" if abi >= 3 else "writing (but not truncating)"
    moved = "" if abi >= 2 else "; no file can be moved to another folder"
    return f"{kept}{' and signals' if abi >= 6 else ''} within bounds{moved}"


def limit(paths: Iterable[str]) -> None:
    """Let this process write below these paths only. Raises OSError when the kernel refuses."""
    abi, error = _call(_CREATE, None, 0, 1)
    if abi < 1:
        raise OSError(error, f"no Landlock: {os.strerror(error)}")
    of_files = _WRITE_FILE | (_TRUNCATE if abi >= 3 else 0)
    everything = _SINCE_1 | of_files | (_REFER if abi >= 2 else 0)
    attributes = struct.pack("QQQ", everything, 0, _SIGNALS) if abi >= 6 else struct.pack("Q", everything)
    rules = _checked(_CREATE, attributes, len(attributes), 0)
    for path in paths:
        try:
            descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
        except OSError:
            continue  # not there
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rule = struct.pack("=Qi", everything if is_folder else of_files, descriptor)
        _checked(_ADD, rules, 1, rule, 0)
        os.close(descriptor)
    if _libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs is refused")
    _checked(_RESTRICT, rules, 0)
    os.close(rules)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> tuple[int, int]:
    """A system call: its result, and the number of its error."""
    libc = _libc()
    libc.syscall.restype = ctypes.c_long
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return int(libc.syscall(ctypes.c_long(number), *passed)), ctypes.get_errno()


def _checked(number: int, *arguments: object) -> int:
    result, error = _call(number, *arguments)
    if result < 0:
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result


# -- git --------------------------------------------------------------------------------------------------------


def git_paths(folder: str) -> Iterator[str]:
    """The worktree that a folder belongs to, and what a commit there writes elsewhere. Raises OSError where there is
    no worktree: in a main work tree, all that git has lies within it."""
    top = folder
    while not os.path.lexists(f"{top}/.git"):
        if top == "/":
            raise OSError(0, f"{folder} is in no worktree of git")
        top = os.path.dirname(top)
    yield top
    private = os.path.join(top, _line(f"{top}/.git").removeprefix("gitdir: "))
    yield private
    common = os.path.normpath(os.path.join(private, _line(f"{private}/commondir")))
    yield f"{common}/objects"
    branch = _line(f"{private}/HEAD").removeprefix("ref: ")
    if branch.startswith("refs/heads/"):
        for place in (os.path.dirname(branch), f"logs/{os.path.dirname(branch)}"):
            if place.count("/") > place.startswith("logs/") + 1:  # never that of all branches
                os.makedirs(f"{common}/{place}", exist_ok=True)  # git takes it away when it packs its references
                yield f"{common}/{place}"


def _line(file: str) -> str:
    with open(file, encoding="utf-8", errors="surrogateescape") as text:
        return text.readline().rstrip("\n")


# -- the program ------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> NoReturn:
    try:
        cut = arguments.index("--")
        paths, argv = arguments[:cut], arguments[cut + 1 :]
        if paths[:1] == ["--git"]:
            paths = [*git_paths(os.getcwd()), *paths[1:]]
        for folder in (path for path in paths if path.endswith("/")):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        limit([*paths, *ALWAYS])
        os.execvp(argv[0], argv)
    except (OSError, ValueError, IndexError) as error:
        why = error.strerror or error if isinstance(error, OSError) else error
        os.write(2, f"wavecrew: the agent was not started, because its limits could not be set: {why}\n".encode())
    sys.exit(NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
