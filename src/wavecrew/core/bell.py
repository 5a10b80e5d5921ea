"""Waking up those who wait.

What it does: gives a waiter a socket that others can ring, and lets it sleep until then, or until a process that is
in its way has ended. A missed ring costs time and nothing else, because every waiter also looks by itself.
What it does not know: locks and runs; a bell has a name.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path


class Bell:
    """A datagram socket with a name, such as a ticket, so that whoever hands over can wake its owner at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "bells"
        self._socket: socket.socket | None = None
        self._path = Path()

    def __enter__(self) -> Bell:
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def hang(self, name: int | str) -> None:
        """Make the bell known under a name, such as a ticket; do it before others can see the ticket."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._path = self._folder / str(name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._path.unlink(missing_ok=True)  # of a requester that was killed before its ticket was committed
        with contextlib.suppress(OSError), _short(self._path) as name:  # without a bell it polls
            self._socket.bind(name)

    def wait(self, seconds: float, holders: list[int]) -> None:
        """Until it rings, a holder's process ends, or the time is over."""
        watched: list[int] = []
        for pid in holders:
            if pid != os.getpid() and hasattr(os, "pidfd_open"):
                with contextlib.suppress(OSError):
                    watched.append(os.pidfd_open(pid))
        try:
            sources = select.poll()  # not select, which fails for descriptors above 1023
            for descriptor in (*watched, *([] if self._socket is None else [self._socket.fileno()])):
                sources.register(descriptor, select.POLLIN)
            sources.poll(max(0.0, seconds) * 1000)
            if self._socket is not None:
                with contextlib.suppress(BlockingIOError):
                    self._socket.recv(16)
        finally:
            for descriptor in watched:
                os.close(descriptor)

    def fileno(self) -> int:
        """The descriptor that becomes readable when it rings. Raises ValueError for a bell that does not hang."""
        if self._socket is None:
            raise ValueError("this bell does not hang")
        return self._socket.fileno()

    def hush(self) -> None:
        """Forget that it rang."""
        if self._socket is not None:
            with contextlib.suppress(BlockingIOError):
                while self._socket.recv(16):
                    pass

    @staticmethod
    def remove_dead(folder: Path) -> None:
        """Remove the bells that killed waiters left hanging: nobody listens any more."""
        for path in (folder / "bells").glob("*"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
                try:
                    with _short(path) as name:
                        sender.connect(name)
                except ConnectionRefusedError:
                    path.unlink()

    @staticmethod
    def ring(folder: Path, name: int | str) -> None:
        """Wake whoever hung a bell of this name, if anybody did."""
        path = folder / "bells" / str(name)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.setblocking(False)
            with _short(path) as name:
                sender.sendto(b"granted", name)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for a socket that fits into the 107 bytes which the system allows, however deep the folder lies."""
    if len(os.fsencode(path)) < 100 or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
