"""What kind of file system a folder lies on, whether locks can be trusted there, and whether it is full.

What it does: looks the folder up in the mount table, and asks how much room is left.
What it does not know: the state folder; whoever keeps locks or a database somewhere asks first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs"}
)
"""Types on which kernel locks and shared memory of databases do not reach every host, or do not work at all."""

_FULL_BYTES: Final = 1 << 20


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system of a folder, as the mount table names it; empty where that cannot be told."""
    path, best, kind = str(folder.resolve()), "", ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        where = fields[1].encode().decode("unicode_escape")  # a blank in a path is written as \040
        if (path == where or path.startswith(f"{where.rstrip('/')}/")) and len(where) >= len(best):
            best, kind = where, fields[2]
    return kind


def is_network(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether a folder lies on a file system that is known to be shared across hosts."""
    return file_system_of(folder, mounts) in NETWORK


def is_full(folder: Path) -> bool:
    """Whether there is next to no room (1 MiB): then that is why work could not be written, and it may be fine."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _FULL_BYTES
