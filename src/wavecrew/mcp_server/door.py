"""The way from inside of a phase to its coordinator: the socket of the gate, the only one that is open below a ceiling.

What it does: says one message and waits for the answer, in the same words as the hooks of agents.
What it does not know: what is said.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from wavecrew.core.hook import SOCKET
from wavecrew.errors import RunBusyError
from wavecrew.mcp_server.whereabouts import PhasePlace

_LATER: Final = "Go on with your work; call this again later if it matters."
_NO_DOOR: Final = (
    "this phase has no way to its coordinator: the attempt is over, or its run has neither a write gate nor phase_tools"
)
_MOST_BYTES: Final = 1 << 20


async def say(place: PhasePlace, tool: str, given: Mapping[str, Any], patience: float) -> Mapping[str, Any]:
    """The answer of the coordinator, which is made to wait at most `patience` seconds for it. Raises RunBusyError, in
    words for a model, when there is nobody, or none comes."""
    try:
        async with asyncio.timeout(patience):
            return await _answer(place, tool, given)
    except TimeoutError:
        raise RunBusyError(f"the coordinator of this run does not answer. {_LATER}") from None
    except OSError as error:
        raise RunBusyError(f"nobody is in charge of this run at the moment ({error.strerror}). {_LATER}") from None
    except ValueError:
        raise RunBusyError(f"the coordinator went away before it had answered. {_LATER}") from None


async def _answer(place: PhasePlace, tool: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if place.file is None:
        raise RunBusyError(_NO_DOOR)
    try:
        token = json.loads(place.file.read_bytes())["token"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunBusyError(_NO_DOOR) from None
    message = {"owner": place.owner, "token": token, "tool": tool, "input": dict(given), "cwd": place.cwd}
    text = json.dumps(message).encode()
    reader, writer = await asyncio.open_unix_connection(sock=_connected(place.file.parent), limit=_MOST_BYTES)
    try:
        writer.write(len(text).to_bytes(4, "big") + text)
        await writer.drain()
        answer = json.loads(await reader.read())
    finally:
        writer.close()
    if not isinstance(answer, dict):
        raise ValueError("no object")
    return answer


def _connected(folder: Path) -> socket.socket:
    """A connection from inside of the folder, because the name of a socket must be short. Nobody else looks at a
    relative path meanwhile. Raises OSError."""
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.chdir(folder)
        channel.connect(SOCKET)
        channel.setblocking(False)
    except BaseException:
        channel.close()
        raise
    finally:
        os.fchdir(here)
        os.close(here)
    return channel
