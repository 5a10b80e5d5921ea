"""Locks on files, folders, patterns and names, for every thread and process that works in a workspace.

What it does: `FileLock` is one lock with the manners of a context manager; `LockRegistry` (from `lock_registry`) shows
all of them and grants whole sets.
What it does not know: phases and runs, and how a lock is granted.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import TypeVar

from wavecrew.core.lock_registry import DEFAULT_TIMEOUT_SECONDS, Grant, LockRegistry
from wavecrew.errors import InvalidValueError, LockError
from wavecrew.models.parallel_execution import LockType

__all__ = ["FileLock", "LockRegistry"]

_T = TypeVar("_T")


class FileLock:
    """One lock on a file, folder (`src/`), pattern or name, between threads and processes of a workspace.

    `with FileLock("src/app.py"): ...` or `async with`, which waits without holding up the event loop. `timeout` is
    the longest wait in seconds; LockTimeoutError names the holder. A lock object is used by one owner at a time and
    cannot be taken twice; its path is relative to `workspace` (the current folder by default).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        lock_type: LockType = LockType.EXCLUSIVE,
        *,
        workspace: str | os.PathLike[str] = ".",
        registry: LockRegistry | None = None,
        owner: str = "",
    ) -> None:
        if not timeout >= 0:  # this way round it refuses NaN as well
            raise InvalidValueError(f"a timeout of {timeout} seconds cannot be waited for")
        self.path = os.fspath(path)
        self.timeout = timeout
        self.lock_type = LockType(lock_type)
        self._label = owner or f"pid {os.getpid()}"
        self._workspace = workspace
        self._given_registry = registry
        self._own_registry: LockRegistry | None = None
        self._grant: Grant | None = None

    @property
    def locked(self) -> bool:
        """Whether this object holds its lock."""
        return self._grant is not None

    @property
    def fence(self) -> int:
        """The number of this grant. Raises LockError when the lock is not held."""
        return self._held().fence

    def acquire(self, timeout: float | None = None) -> FileLock:
        """Take the lock, waiting at most `timeout` seconds (the one of the lock by default).

        Raises LockTimeoutError, InvalidValueError for a path outside the workspace, and LockError if it is held.
        """
        return self._take(self.timeout if timeout is None else timeout, lambda: False)

    def _take(self, timeout: float, abandoned: Callable[[], bool]) -> FileLock:
        if self._grant is not None:
            raise LockError(
                f"this lock on {self.path} is already held", fix="make a second FileLock, or release it first"
            )
        registry = self._registry()
        try:
            claims = registry.claims([self.path], self.lock_type)
            owner = registry.owner(self._label)
            self._grant = registry.acquire(owner, claims, timeout=timeout, abandoned=abandoned)
        except BaseException:
            self._close_own_registry()
            raise
        return self

    def release(self) -> None:
        """Give the lock back. Raises LockError if it is not held."""
        self._registry().release(self._held())
        self._grant = None
        self._close_own_registry()

    def _close_own_registry(self) -> None:
        if self._own_registry is not None:
            self._own_registry.close()
            self._own_registry = None

    def require_held(self) -> None:
        """Raise LockLostError unless the lock is still in force, so that a later write is safe."""
        self._registry().require_held(self._held())

    def _held(self) -> Grant:
        if self._grant is None:
            raise LockError(f"the lock on {self.path} is not held")
        return self._grant

    def _registry(self) -> LockRegistry:
        if self._given_registry is not None:
            return self._given_registry
        if self._own_registry is None:
            self._own_registry = LockRegistry.open(self._workspace)
        return self._own_registry

    def __enter__(self) -> FileLock:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    async def __aenter__(self) -> FileLock:
        abandoned = threading.Event()
        waiting = _in_a_thread(partial(self._take, self.timeout, abandoned.is_set))
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            abandoned.set()
            waiting.add_done_callback(self._give_back)
            raise

    def _give_back(self, waiting: asyncio.Future[FileLock]) -> None:
        """A lock that was granted to a task which had been cancelled by then belongs to nobody."""
        if waiting.exception() is None:
            self.release()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(_in_a_thread(self.release))


def _in_a_thread(work: Callable[[], _T]) -> asyncio.Future[_T]:
    """Start work in a thread of its own. In a shared pool, those who wait for a lock could keep its holder from
    ever giving it back."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wavecrew-lock")
    try:
        return asyncio.get_running_loop().run_in_executor(executor, work)
    finally:
        executor.shutdown(wait=False)
