"""Where the server was started: beside a project, or inside of a phase.

What it does: looks for the marks of an attempt in the environment of this process and of those that it comes from.
Clients hand their servers only a few variables, so that its own environment proves nothing; and an agent that was
taken for a person could approve its own work.
What it does not know: what is offered where.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.attempts import owner_name
from wavecrew.core.gate_socket import pass_file
from wavecrew.core.liveness import ATTEMPT_MARK

_PHASE: Final = "WAVECREW_PHASE"
_MOST_PARENTS: Final = 100


@dataclass(frozen=True, slots=True)
class PhasePlace:
    """The attempt inside of which somebody is at work. `file` is its pass to the gate, empty if the marks do not say
    enough; `cwd` is what relative paths are counted from."""

    phase: str
    owner: str = ""
    file: Path | None = None
    cwd: str = ""


def phase_here() -> PhasePlace | None:
    """The attempt that this process belongs to; None outside of any."""
    for environ in _environments():
        if ATTEMPT_MARK in environ or _PHASE in environ:
            return place_in(environ)
    return None


def place_in(environ: Mapping[str, str]) -> PhasePlace:
    """The attempt that an environment with a mark belongs to."""
    phase, run, number = (environ.get(name, "") for name in (_PHASE, "WAVECREW_RUN", "WAVECREW_ATTEMPT_NUMBER"))
    mark = environ.get(ATTEMPT_MARK, "")
    if not (phase and run and number.isdecimal() and mark.startswith("/")):
        return PhasePlace(phase)
    owner = owner_name(run, phase, int(number))
    folder = Path(mark).parent.parent  # the attempt, the phase, the run
    return PhasePlace(phase, owner, pass_file(folder, owner), environ.get("WAVECREW_WORKSPACE", "") or str(Path.cwd()))


def _environments() -> Iterator[Mapping[str, str]]:
    """That of this process, then of its parents as far as they can be seen."""
    yield os.environ
    pid = os.getppid()
    for _ in range(_MOST_PARENTS):
        if pid <= 1:
            return
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            yield dict(os.fsdecode(one).split("=", 1) for one in entries if b"=" in one)
        except OSError:  # somebody else's, or a system without such files
            pass
        pid = _parent_of(pid)


def _parent_of(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[1])  # a name may hold anything
    except (OSError, ValueError, IndexError):
        return 0
