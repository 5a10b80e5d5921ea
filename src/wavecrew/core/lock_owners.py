"""What can be said of the owners of locks: proof of death for those who want a lock, and words for people.

What it does: judges an owner (a process, or the process tree of an attempt) by what can be seen of it from here.
What it does not know: who waits for whom, and what is done with a judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wavecrew.core.attempts import Fate, fate_of
from wavecrew.core.coordinator_lock import is_coordinated
from wavecrew.core.liveness import Liveness, ProcessIdentity, is_locked, marked_processes
from wavecrew.core.lock_table import Owner


@dataclass(frozen=True, slots=True)
class Judgement:
    """What people are told of an owner: `alive`, `suspect` (no sign of life, but no proof of death either) or `dead`,
    and why."""

    word: str
    reason: str


def owner_liveness(owner: Owner) -> Liveness:
    """Whether an owner can still write: itself, or the process tree of its attempt.

    While somebody is in charge of its run, an attempt is not dead before its end is recorded, which frees its locks.
    Else it is dead when its shim's kernel lock is free, no process carries its mark, and no shim can start late. It
    had started before; or the coordinator that would start it is dead, and it is given up here and now, because a
    nursery outlives its coordinator for a moment.
    """
    process = owner.process.liveness()
    if not owner.attempt or process is Liveness.UNKNOWN:
        return process
    folder = Path(owner.attempt)
    if is_coordinated(folder.parent.parent):
        return Liveness.ALIVE
    if process is Liveness.ALIVE and not (folder / "started").exists():  # asked first: a shim locks, then says so
        return Liveness.ALIVE
    alive = fate_of(folder) is Fate.ALIVE or marked_processes(folder)
    return Liveness.ALIVE if alive else Liveness.DEAD


def judge(owner: Owner) -> Judgement:
    """The same for people. It only looks, and so gives nothing up: a late start may prove it wrong."""
    process = owner.process.liveness()
    if process is Liveness.UNKNOWN:
        return Judgement("suspect", f"it is {_whereabouts(owner.process)}, which cannot be seen from here")
    if not owner.attempt:
        return _process(owner.process, process)
    return judge_attempt(Path(owner.attempt), process)


def _whereabouts(process: ProcessIdentity) -> str:
    if process.host != ProcessIdentity.of().host:
        return f"on host {process.host}"
    return "in another container of this host"


def _process(process: ProcessIdentity, liveness: Liveness) -> Judgement:
    if liveness is Liveness.ALIVE:
        return Judgement("alive", f"process {process.pid} is there")
    restarted = process.boot != ProcessIdentity.of().boot
    return Judgement("dead", "the machine was restarted" if restarted else f"process {process.pid} has ended")


def judge_attempt(folder: Path, coordinator: Liveness) -> Judgement:
    """The same of an attempt on this host, by its folder; `coordinator` is what is known of who has started it."""
    started = (folder / "started").exists()  # asked first: a shim that starts right now locks, and then says so
    in_charge = is_coordinated(folder.parent.parent)
    if is_locked(folder / "lock"):
        return Judgement("alive", "it is at work" if in_charge else "it is at work, with nobody in charge of its run")
    left = marked_processes(folder)
    if left:
        return Judgement("alive", f"process {left[0]} of its tree is still there")
    if started and in_charge:
        return Judgement("suspect", "nothing of its tree is left, but its run has not yet recorded its end")
    if not started and (in_charge or coordinator is Liveness.ALIVE):
        return Judgement("alive", "it is about to start")
    return Judgement("dead", "nothing of its tree is left, and nobody is in charge of its run")
