"""Whether this machine has room for one more agent.

What it does: looks at the memory that is available, also under the limits of its own control group, and at the load.
What it does not know: what an agent needs, and who asks. Where the system does not tell, there is room.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MIB: Final = 1 << 20
_PROC: Final = Path("/proc")
_GROUPS: Final = Path("/sys/fs/cgroup")


def has_room(min_free_mib: int, max_load: float | None, *, proc: Path = _PROC, groups: Path = _GROUPS) -> bool:
    """Whether at least so many MiB of memory are free, and the load of the last minute per core is not above
    `max_load` (None does not look). `proc` and `groups` are where the system tells about itself."""
    if min_free_mib > 0 and any(free < min_free_mib * _MIB for free in _free_bytes(proc, groups)):
        return False
    return max_load is None or _load_per_core() <= max_load


def _free_bytes(proc: Path, groups: Path) -> list[int]:
    """What is free on the machine and in each control group that we are in and that has a limit."""
    found = [free for group in _own_groups(proc, groups) if (free := _free_in(group)) is not None]
    for line in _lines(proc / "meminfo"):
        name, _, amount = line.partition(":")
        kib = amount.removesuffix("kB").strip()
        if name == "MemAvailable" and kib.isdecimal():
            found.append(int(kib) * 1024)
    return found


def _own_groups(proc: Path, groups: Path) -> list[Path]:
    """Our control group and all that it lies in; the outermost has no limits and is only there in a container."""
    for line in _lines(proc / "self" / "cgroup"):
        if line.startswith("0::/"):
            inner = groups / line.removeprefix("0::/")
            return [inner, *(one for one in inner.parents if one.is_relative_to(groups))]
    return []


def _free_in(group: Path) -> int | None:
    """What a control group may still take, in bytes; its file cache can be had back and counts as free."""
    limit, used = _first(group / "memory.max"), _first(group / "memory.current")
    if not (limit.isdecimal() and used.isdecimal()):  # no limit is written as a word
        return None
    pairs = (line.partition(" ") for line in _lines(group / "memory.stat"))
    cache = sum(
        int(value) for name, _, value in pairs if name in ("inactive_file", "active_file") and value.isdecimal()
    )
    return int(limit) - max(0, int(used) - cache)


def _first(path: Path) -> str:
    return next(iter(_lines(path)), "")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _load_per_core() -> float:
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return 0.0
