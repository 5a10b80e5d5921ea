"""The end of an agent that speaks the Agent Client Protocol, and of everything that came of it.

What it does: closes its input, waits, and ends whatever is left below this process, orphans included.
What it does not know: why it has to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import Final

from wavecrew.core import process_tree

_LEAVE_SECONDS: Final = 2.0
_TERM_SECONDS: Final = 3.0
_KILL_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02


async def end_tree(agent: asyncio.subprocess.Process) -> None:
    """End the agent, and everything that came of it: its input closes, then TERM, then KILL."""
    if agent.stdin is not None:
        agent.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LEAVE_SECONDS):
            await agent.wait()
    for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        end = time.monotonic() + seconds
        _signal_all(agent, number)
        while _is_alive(agent) and time.monotonic() < end:
            await asyncio.sleep(_POLL_SECONDS)
            if number == signal.SIGKILL:
                _signal_all(agent, number)


def _signal_all(agent: asyncio.subprocess.Process, number: int) -> None:
    if agent.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            agent.send_signal(number)
    for pid in process_tree.descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _is_alive(agent: asyncio.subprocess.Process) -> bool:
    """Whether anything is left. Orphans are ours, and it is for us to reap them."""
    left = process_tree.descendants(os.getpid())
    for pid in left:
        if pid != agent.pid:
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
    return agent.returncode is None or bool(process_tree.descendants(os.getpid()))
