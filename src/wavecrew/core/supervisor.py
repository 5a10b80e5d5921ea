"""Starting, watching and ending attempts.

What it does: has shims forked by a nursery process, notices the end of each attempt, also of one that an earlier
coordinator started, and ends attempts on request. It tells what it sees through one callback.
What it does not know: why something is started or ended, retries, and what a result means for a phase.

A shim is not a child of this process, so that it can outlive it. Its end shows on a pidfd where the system has
that, else by looking at its lock; its result is always read from its file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core import process_tree
from wavecrew.core.attempts import Fate, fate_of, shim_pid, strays_of, tidy
from wavecrew.core.liveness import group_of, is_locked

_POLL_SECONDS: Final = 0.1
_SWEEP_SECONDS: Final = 0.05
_SHIM: Final = Path(__file__).with_name("shim.py")  # a program, not a module: it is started, never imported


@dataclass(slots=True)
class _Watched:
    """An attempt that this supervisor looks after."""

    folder: Path
    pidfd: int = -1
    poll: asyncio.Task[None] | None = None
    told_to_stop: int = 0
    """How often a stop was asked for before the shim could be reached."""


class Supervisor:
    """Looks after the attempts of one coordinator. `on_end` is called in the event loop, once for each attempt."""

    def __init__(self, on_end: Callable[[Path], None]) -> None:
        self._on_end = on_end
        self._attempts: dict[Path, _Watched] = {}
        self._nursery: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    # -- starting

    def start(self, folder: Path) -> None:
        """Have the attempt in a prepared folder carried out. Its end is reported however it comes, a start that
        fails included. Raises OSError when not even the nursery can be started."""
        message = os.fsencode(folder)
        try:
            self._open_channel().send(message)
        except OSError:  # the nursery died; what it had been asked for is judged by what it left
            self._nursery_gone()
            self._open_channel().send(message)
        self._attempts[folder] = _Watched(folder)

    def adopt(self, folder: Path) -> None:
        """Look after an attempt that somebody else started and that is still alive, or has just ended."""
        self._attempts[folder] = _Watched(folder)
        self._watch(folder, shim_pid(folder))

    def _open_channel(self) -> socket.socket:
        if self._channel is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                with theirs:
                    self._nursery = subprocess.Popen(
                        [sys.executable, "-I", "-S", str(_SHIM), "--serve"],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        close_fds=True,
                    )
            except OSError:
                ours.close()
                raise
            ours.setblocking(False)
            self._channel = ours
            asyncio.get_running_loop().add_reader(ours.fileno(), self._hear)
        return self._channel

    def _hear(self) -> None:
        """Read what shims say: `PID FOLDER` when one has taken charge, `-CODE FOLDER` when it may not; and the
        nursery: `0 FOLDER` when one has ended."""
        while self._channel is not None:
            try:
                message = self._channel.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._nursery_gone()
                return
            number, _, folder = os.fsdecode(message).partition(" ")
            path = Path(folder)
            if path in self._attempts:
                self._watch(path, int(number) if int(number) > 0 else None)

    def _nursery_gone(self) -> None:
        """Without a nursery nothing new can start late; what it was asked for and did not do is found out."""
        self._close_channel()
        for watched in list(self._attempts.values()):
            if watched.pidfd < 0 and watched.poll is None:
                self._watch(watched.folder, shim_pid(watched.folder))

    def _close_channel(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None
        if self._nursery is not None:
            self._nursery.wait()  # it ends by itself as soon as the channel is closed
            self._nursery = None

    # -- watching

    def _watch(self, folder: Path, pid: int | None) -> None:
        watched = self._attempts[folder]
        if pid is not None and hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                watched.pidfd = os.pidfd_open(pid)
        if not _is_alive(folder):  # it is over already, and the pid may belong to somebody else by now
            self._end(folder)
        elif watched.pidfd >= 0:
            asyncio.get_running_loop().add_reader(watched.pidfd, self._end, folder)
        else:
            watched.poll = asyncio.create_task(self._poll(folder))
        if watched.told_to_stop and folder in self._attempts:
            watched.told_to_stop = 0
            self.stop(folder)

    async def _poll(self, folder: Path) -> None:
        watched = self._attempts[folder]
        while _is_alive(folder):
            if watched.told_to_stop:  # when that was asked for, the shim had not yet said who it is
                watched.told_to_stop = 0
                self.stop(folder)
            await asyncio.sleep(_POLL_SECONDS)
        self._end(folder)

    def _end(self, folder: Path) -> None:
        watched = self._attempts.pop(folder, None)
        if watched is None:
            return
        if watched.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(watched.pidfd)
            os.close(watched.pidfd)
        self._on_end(folder)

    # -- ending

    def stop(self, folder: Path) -> None:
        """Ask the shim to end its whole tree: TERM, and KILL after the grace time of its job."""
        watched = self._attempts.get(folder)
        if watched is None:
            return
        with contextlib.suppress(OSError):
            if watched.pidfd >= 0 and hasattr(signal, "pidfd_send_signal"):
                signal.pidfd_send_signal(watched.pidfd, signal.SIGTERM)
            elif watched.poll is not None and (pid := shim_pid(folder)) is not None and _is_alive(folder):
                os.kill(pid, signal.SIGTERM)
            else:
                watched.told_to_stop += 1  # its shim has not said yet that it has taken charge

    async def close(self) -> None:
        """Let go of everything. Attempts that are still at work go on."""
        self._close_channel()
        for watched in self._attempts.values():
            if watched.pidfd >= 0:
                asyncio.get_running_loop().remove_reader(watched.pidfd)
                os.close(watched.pidfd)
            if watched.poll is not None:
                watched.poll.cancel()
        self._attempts.clear()


def _is_alive(folder: Path) -> bool:
    """Whether the shim of an attempt holds its lock. What cannot be looked at right now is not taken for dead."""
    try:
        return is_locked(folder / "lock")
    except OSError:
        return True


async def sweep(folder: Path, *, patience: float = 5.0) -> bool:
    """Kill what a lost attempt left behind. Tells whether nothing of it is alive any more."""
    tidy(folder)
    group = group_of(folder)
    for _ in range(max(1, int(patience / _SWEEP_SECONDS))):
        if group:
            process_tree.kill_group(group)
        left = strays_of(folder)
        if not left and not (group and process_tree.is_populated(group)):
            if group:
                process_tree.remove_group(group)
            return fate_of(folder) is not Fate.ALIVE
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(_SWEEP_SECONDS)
    return False
