"""Who is alive: the identity of a process, and proof of the death of an attempt.

What it does: names a process so that a reused pid is never taken for it, and tells whether an attempt (a shim with
its agent's whole process tree) is certainly gone. The three answers are alive, dead and "cannot tell from here",
and whoever cannot tell never takes anything away from an owner.
What it does not know: locks, phases and databases.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Final

from wavecrew.core import process_tree
from wavecrew.core.file_system import file_system_of

ATTEMPT_MARK: Final = "WAVECREW_ATTEMPT"
"""Environment variable that every process of an attempt inherits; its value is the attempt's folder."""

_LINUX: Final = sys.platform == "linux"


class Liveness(Enum):
    """What can be said for certain about an owner."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process for good: host, boot and pid namespace say where the pid means anything, the start time (clock ticks
    since boot, 0 where the system does not tell) tells it from a later process with the same pid."""

    host: str
    boot: str
    namespace: str
    pid: int
    ticks: int

    @classmethod
    def of(cls, pid: int | None = None) -> ProcessIdentity:
        """The identity of a living process, this one by default."""
        pid = os.getpid() if pid is None else pid
        return cls(*_here(), pid, start_ticks(pid) or 0)

    def liveness(self) -> Liveness:
        """Alive, dead, or unknown when it belongs to another host or pid namespace."""
        host, boot, namespace = _here()
        if self.host != host:
            return Liveness.UNKNOWN
        if self.boot != boot:
            return Liveness.DEAD  # this machine has been restarted since
        if self.namespace != namespace:
            return Liveness.UNKNOWN
        ticks = start_ticks(self.pid)
        return Liveness.DEAD if ticks is None or (self.ticks and ticks != self.ticks) else Liveness.ALIVE


@lru_cache(maxsize=1)
def _here() -> tuple[str, str, str]:
    if not _LINUX:
        return socket.gethostname(), "", ""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname(), boot, str(Path("/proc/self/ns/pid").readlink())


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it is gone or a zombie, which holds nothing any
    more. Where the system does not tell, 0 for every process that exists."""
    if not _LINUX:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return 0
        return 0
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(b")")[2].split()  # the program's name may hold spaces and brackets
    return None if fields[0] in b"ZX" else int(fields[19])


def is_locked(path: Path) -> bool:
    """Whether some process holds the kernel lock on this file. A file that does not exist is not locked.

    The look itself is a shared lock for an instant: those who look do not see each other, and a shim or coordinator
    that meets one tries again.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def group_of(attempt: Path) -> str:
    """The control group of an attempt, if its shim said that it would make one and it is there; else nothing.

    Agents can write what a shim said, so it is believed only for a group that has the name of this very folder.
    """
    try:
        group = json.loads((attempt / "started").read_bytes())["group"]
        named = Path(group).name == process_tree.group_name(str(attempt)) and group == os.path.normpath(group)
        return group if named and file_system_of(Path(group)) == "cgroup2" else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def marked_processes(attempt: Path) -> list[int]:
    """Pids of living processes of an attempt, found by its control group, if it has one, and by the mark in their
    environment (Linux only).

    Without a group, a process that was started with an empty environment escapes this search.
    """
    if not _LINUX:
        return []
    group = group_of(attempt)
    found = {pid for pid in process_tree.members(group) if start_ticks(pid) is not None} if group else set()
    return sorted(found | _with_mark(f"{ATTEMPT_MARK}={attempt}".encode()))


def _with_mark(mark: bytes) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue  # ended meanwhile, or somebody else's
            if mark in environment.split(b"\0") and start_ticks(int(entry.name)) is not None:
                found.add(int(entry.name))
    return found
