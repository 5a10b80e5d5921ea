"""Asking the write gate on behalf of an agent that speaks the Agent Client Protocol.

What it does: starts the hook program for each question, as other agents do themselves, and takes its word. Whatever
goes wrong is a refusal. Without a gate everything is allowed.
What it does not know: what is asked, and the protocol of the gate.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable

from wavecrew.core.acp_calls import Question

_LONGEST_REASON = 2_000
_KILL_SECONDS = 5.0


class Gate:
    """`hook` is the program to ask, with its arguments; empty is no gate. `patience` is in seconds."""

    def __init__(self, hook: tuple[str, ...], patience: float, folder: str) -> None:
        self._hook = hook
        self._patience = patience
        self._folder = folder

    @property
    def is_there(self) -> bool:
        """Whether anything is asked at all."""
        return bool(self._hook)

    async def refusal(self, asked: Iterable[Question]) -> str:
        """Why not all of this may be done; empty if it may."""
        if not self._hook:
            return ""
        for tool, given in asked:
            try:
                reason = await self._ask(tool, given)
            except (OSError, ValueError, RecursionError) as error:
                reason = f"the gate cannot be asked: {error}"
            if reason:
                return reason[:_LONGEST_REASON]
        return ""

    async def _ask(self, tool: str, given: dict[str, object]) -> str:
        call = json.dumps({"tool_name": tool, "tool_input": given, "cwd": self._folder}).encode()
        hook = await asyncio.create_subprocess_exec(
            *self._hook,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self._patience):
                _, told = await hook.communicate(call)
        except TimeoutError:
            return "the gate did not answer in time"
        finally:
            if hook.returncode is None:
                await _kill(hook)
        if hook.returncode == 0:
            return ""
        words = told.decode(errors="replace").strip().removeprefix("wavecrew: ")
        return words or f"the gate ended with {hook.returncode}"


async def _kill(hook: asyncio.subprocess.Process) -> None:
    """End it, and close its pipes."""
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        hook.kill()
        async with asyncio.timeout(_KILL_SECONDS):
            await hook.communicate()
