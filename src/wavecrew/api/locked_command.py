"""A command of a user that runs under locks.

What it does: takes the locks, runs the command to its end whatever signal comes meanwhile, and gives the locks back
only then.
What it does not know: how the command is asked for, and what it does. What it leaves behind in the background when it
ends is its own business.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from wavecrew.core.lock_table import Break, Obstacle
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.errors import PreflightError
from wavecrew.models.resources import Claim

_PR_SET_PDEATHSIG: Final = 1


class _EndedError(BaseException):
    """A signal came while the command was not yet running; like KeyboardInterrupt it is nobody's to catch."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _PassOn:
    """Hands signals to the command, so that it can end in good order while its locks are held."""

    def __init__(self) -> None:
        self.starting = False
        self.came = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, _frame: object) -> None:
        if not self.starting:
            raise _EndedError(number)
        self.came = number
        if self._process is not None:
            self._send()

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        self.starting = True
        self._process = subprocess.Popen(command, preexec_fn=_ends_with_us())
        if self.came:
            self._send()
        return self._process

    def _send(self) -> None:
        if self.came != signal.SIGINT and self._process is not None:  # a terminal sends that to the command itself
            self._process.send_signal(self.came)


def run_locked(
    registry: LockRegistry,
    claims: Sequence[Claim],
    command: Sequence[str],
    *,
    timeout: float,
    on_wait: Callable[[Obstacle], None],
    on_broken: Callable[[Break], None] = lambda _: None,
) -> int:
    """Run a command under locks. Gives its exit code, or as a shell does 128 and the number of the signal it died of.

    `on_wait` is called once with what is in the way; `on_broken` when the command has ended and its locks had been
    taken away meanwhile, so that its work may have been trampled on.

    TERM and HUP are passed on to it. If this process is killed, so is the command, because its locks are free then
    (Linux only). Raises LockTimeoutError, and PreflightError for a command that cannot be started.
    """
    pass_on = _PassOn()
    owner = registry.owner(f"command {command[0]}")
    with _handled(pass_on):
        try:
            grant = registry.acquire(owner, claims, timeout=timeout, on_wait=on_wait)
            try:
                code = pass_on.start(command).wait()
            except OSError as error:
                raise PreflightError(f"{command[0]} cannot be started: {error.strerror}") from None
            finally:
                registry.release(grant)
            broken = registry.broken(grant.ticket)
            if broken is not None:
                on_broken(broken)
        except _EndedError as ended:
            return 128 + ended.number
    return code if code >= 0 else 128 - code


@contextmanager
def _handled(pass_on: _PassOn) -> Iterator[None]:
    """Handle the signals that would end us; those that whoever started us wants ignored stay so."""
    handled = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, pass_on) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ends_with_us() -> Callable[[], None] | None:
    """What the command does just before it begins: see to it that the kernel ends it if we are killed."""
    if sys.platform != "linux":
        return None
    libc, us = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != us:
            os._exit(128 + signal.SIGKILL)

    return ask
