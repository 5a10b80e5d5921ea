"""The pipes between our program and an agent that speaks the Agent Client Protocol.

What it does: reads one JSON object a line, passes over what is none, refuses requests that are too long to be read, and
copies what the agent says beside the protocol. `Teller` prints our own events, which nobody else can print there.
What it does not know: what messages mean.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable
from typing import Any, Final

MAX_LINE: Final = 2**24
"""Longest message that is read, in bytes."""
_HEAD_BYTES: Final = 4096
_LONGEST_TEXT: Final = 4_000
_LONGEST_LINE: Final = 2_000
_ID: Final = re.compile(rb'"id"\s*:\s*(\d+|"[^"\\]{1,80}")')
_METHOD: Final = re.compile(rb'"method"\s*:\s*"')
_LOST_LINES: Final = 20

Note = Callable[[str], None]


class Teller:
    """Prints our events, each in a line of its own. Texts of the agent are always within one of their strings."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor

    def tell(self, event: str, **more: object) -> None:
        """Print one. Long texts are cut; a log that cannot be written is the loss of the log alone."""
        short = {name: text[:_LONGEST_TEXT] if isinstance(text, str) else text for name, text in more.items()}
        self.line(json.dumps({"acp": event, **short}))

    def stderr(self, line: bytes) -> None:
        """A line of what the agent says beside the protocol: marked, so that it is never taken for an event."""
        self.line(f"| {line[:_LONGEST_LINE].decode(errors='replace').rstrip()}".replace("\n", " "))

    def line(self, text: str) -> None:
        rest = f"{text}\n".encode(errors="replace")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            pass


class NotesHandler(logging.Handler):
    """What libraries log, as events of ours: it may hold anything that the agent has said."""

    def __init__(self, teller: Teller) -> None:
        super().__init__(logging.WARNING)
        self._teller = teller

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, without its traceback."""
        error = record.exc_info[1] if record.exc_info else None
        self._teller.tell("note", text=f"{record.getMessage()}{f': {error}' if error else ''}")


class Pipes:
    """Messages over the standard streams of an agent, as a transport of the library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Note) -> None:
        self._reader = reader
        self._writer = writer
        self._note = note
        self._foreign = 0

    async def send(self, message: dict[str, Any]) -> None:
        """Send one. Raises ConnectionError when the agent is gone."""
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        await self._writer.drain()

    async def receive(self) -> dict[str, Any] | None:
        """The next one; None when there will be none."""
        while True:
            line, whole = await self._line()
            if not line:
                return None
            if not whole:
                self._note(f"the agent sent a line of more than {MAX_LINE} bytes; it was passed over")
                if (found := _too_long(line)) is not None:
                    return found
                continue
            if (found := _object(line)) is not None:
                return found
            if line.strip():
                self._foreign += 1
                if self._foreign <= _LOST_LINES:
                    self._note(f"no message: {line[:200].decode(errors='replace').strip()}")

    async def close(self) -> None:
        """Nothing is closed here: the agent is ended by whoever started it."""

    async def _line(self) -> tuple[bytes, bool]:
        """The next line, or the head of one that is too long. An empty one is the end."""
        try:
            return await self._reader.readuntil(b"\n"), True
        except asyncio.IncompleteReadError as end:
            return end.partial, True
        except asyncio.LimitOverrunError as long:
            head = (await self._reader.readexactly(long.consumed))[:_HEAD_BYTES]
        while True:
            try:
                await self._reader.readuntil(b"\n")
                return head, False
            except asyncio.IncompleteReadError:
                return head, False
            except asyncio.LimitOverrunError as long:
                await self._reader.readexactly(long.consumed)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("method", ""), str):
        return None
    return found if isinstance(found.get("id"), str | int | None) else None


def _too_long(head: bytes) -> dict[str, Any] | None:
    """A request in place of one that cannot be read: nobody serves it, so that the agent gets an error for it."""
    found = _ID.search(head)
    if found is None or _METHOD.search(head) is None:
        return None
    return {"jsonrpc": "2.0", "id": json.loads(found[1]), "method": "too_long", "params": {}}


async def copy_lines(reader: asyncio.StreamReader, take: Callable[[bytes], None]) -> None:
    """Hand on each line until the end; of one that is too long its head alone."""
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            if end.partial.strip():
                take(end.partial)
            return
        except asyncio.LimitOverrunError as long:
            line = await reader.readexactly(long.consumed)
        if line.strip():
            take(line)
