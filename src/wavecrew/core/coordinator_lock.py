"""The one coordinator of a run.

What it does: holds a kernel lock on a file of the run for as long as this process is in charge, with its name in it.
What it does not know: the run. That a replaced coordinator can no longer write is the store's business (the epoch).
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Final

from wavecrew.core.liveness import is_locked
from wavecrew.errors import RunBusyError, StoreError

_TRIES: Final = 10
_PAUSE_SECONDS: Final = 0.02


class CoordinatorLock:
    """`with CoordinatorLock(folder_of_the_run):` raises RunBusyError, naming the holder, if somebody is in charge,
    and StoreError where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> CoordinatorLock:
        path = self._folder / "coordinator"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}", fix="make the folder writable") from None
        if not self._flock():
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise RunBusyError(
                f"another wavecrew is at work on run {self._folder.name}: {holder or 'it has not said who it is'}",
                fix="watch it with: wavecrew status --watch",
            )
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"pid {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
        return self

    def _flock(self) -> bool:
        """Take the lock; those who only look whether it is held have it for an instant."""
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(_PAUSE_SECONDS)
        return False

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)  # the kernel drops the lock with the last descriptor, also when we are killed


def is_coordinated(folder: Path) -> bool:
    """Whether some process is in charge of the run in this folder."""
    return is_locked(folder / "coordinator")
