"""Process trees as the kernel shows them: descendants, and control groups where we may have our own.

What it does: finds everything below a process; and, where the system lets us (Linux, cgroup v2, our own group
writable), gives the tree of an attempt a control group, which nobody leaves by changing session, parent or environment,
and which the kernel ends as a whole.
What it does not know: attempts and their protocol; `shim` and `liveness` do. Standard library only, because the shim
loads this file by its path, without wavecrew and without site-packages.

A group is a comfort: whatever fails here, the attempt goes on without one, and its tree is followed as ever.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_POLL_SECONDS = 0.002
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int) -> None:
    """Have this process get a signal when its parent ends (Linux)."""
    if _LINUX:
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own (Linux)."""
    if _LINUX:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 if that cannot be told."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


def descendants(pid: int) -> list[int]:
    """All processes below one, orphans that were handed to it included (Linux)."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as children:
                below = [int(text) for text in children.read().split()]
        except OSError:
            below = []
        found += below
        todo += below
    return found


# -- control groups -----------------------------------------------------------------------------------------------


def group_home(proc: str = "/proc/self") -> str:
    """The folder of the control group that this process is in, if we may make groups in it; else nothing.

    The uppermost group has no `cgroup.kill`, so it is never one.
    """
    try:
        with open(proc + "/cgroup") as groups:
            path = next(line[3:].rstrip("\n") for line in groups if line.startswith("0::"))
        with open(proc + "/mountinfo") as mounts:
            places = [line.split() for line in mounts if " - cgroup2 " in line]
    except (OSError, StopIteration):
        return ""
    for fields in places:
        root, place = fields[3].rstrip("/"), fields[4]
        if path == root or path.startswith(root + "/"):
            home = place + path[len(root) :].rstrip("/")
            if _is_ours(home):
                return home
    return ""


def _is_ours(home: str) -> bool:
    writable = os.access(home, os.W_OK) and os.access(home + "/cgroup.procs", os.W_OK)
    return writable and os.path.exists(home + "/cgroup.kill")


def group_name(folder: str) -> str:
    """What the group of an attempt is called. It is made of what only this folder has on this machine, so that a
    record that was copied or forged leads to no group of somebody else."""
    found = os.stat(folder)
    return f"wavecrew-{found.st_dev:x}-{found.st_ino:x}"


def make_group(group: str) -> bool:
    """Make a group; False if that cannot be."""
    try:
        os.mkdir(group)
    except OSError:
        return False
    return True


def enter_group(group: str) -> None:
    """Put this process, and all that it will start, into a group. If that is refused, it stays where it is."""
    try:
        _tell(group + "/cgroup.procs", b"0")
    except OSError:
        pass


def kill_group(group: str) -> None:
    """End all that is in a group and in the groups below it, at one instant."""
    try:
        _tell(group + "/cgroup.kill", b"1")
    except OSError:
        pass


def _tell(file: str, word: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, word)
    finally:
        os.close(descriptor)


def is_populated(group: str) -> bool:
    """Whether anything is alive in a group or below it."""
    try:
        with open(group + "/cgroup.events") as events:
            return "populated 1" in events.read()
    except OSError:
        return False  # it is gone, and so is all that was in it


def members(group: str) -> list[int]:
    """The pids in a group and below it."""
    found: list[int] = []
    for place, _, _ in os.walk(group):
        try:
            with open(place + "/cgroup.procs") as procs:
                found += [int(text) for text in procs.read().split()]
        except OSError:
            continue
    return [pid for pid in found if pid]  # 0 stands for one in a pid namespace that we cannot see into


def empty_group(group: str) -> None:
    """End all that is in a group, and wait until the last of it is gone."""
    while is_populated(group):
        kill_group(group)
        time.sleep(_POLL_SECONDS)


def remove_group(group: str) -> None:
    """Remove an empty group, and those that were made in it. One that is not empty stays."""
    for place, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(place)
        except OSError:
            pass
