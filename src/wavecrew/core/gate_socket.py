"""The door of the write gate on the disk: a folder of the run with a socket, and a pass for each attempt.

What it does: puts the socket where every hook of the run finds it, whoever is in charge; writes and reads the passes
(who an attempt is, and the token that proves it); gives the command that an agent starts as its hook.
What it does not know: what is said through the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from wavecrew.core.hook import SOCKET

HOOK_MARGIN_SECONDS: Final = 15.0
"""How much longer than the gate a hook is patient; an agent has to be as much more patient than its hook."""
_HOOK: Final = Path(__file__).with_name("hook.py")  # a program: agents start it
_FOLDER: Final = ".gate"  # no phase has a folder of such a name
_LONGEST_NAME: Final = 100
_LONGEST_HOME: Final = 70
_BACKLOG: Final = 512


def pass_file(folder: Path, owner: str) -> Path:
    """Where the pass of an attempt lies, for a run with this folder. Nothing is made."""
    return folder / _FOLDER / hashlib.sha256(owner.encode(errors="surrogatepass")).hexdigest()[:32]


def hook_argv(folder: Path, owner: str, wait_seconds: float) -> tuple[str, ...]:
    """The hook of an attempt as a program and its arguments, for a gate that lets an agent wait so long."""
    seconds = f"{wait_seconds + HOOK_MARGIN_SECONDS:g}"
    return (sys.executable, "-I", "-S", str(_HOOK), str(pass_file(folder, owner)), seconds)


def agent_timeout(wait_seconds: float) -> float:
    """How long an agent has to be patient with its hook, in seconds."""
    return wait_seconds + 2 * HOOK_MARGIN_SECONDS


# -- passes -----------------------------------------------------------------------------------------------------


def read_pass(file: Path, owner: str) -> str:
    """The token in a pass, if it is one for this owner; else nothing."""
    try:
        found = json.loads(file.read_bytes())
        return str(found["token"]) if found["owner"] == owner else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def write_pass(file: Path, owner: str, token: str) -> None:
    """Make a pass: there as a whole or not at all, and for nobody else to read. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = file.with_suffix(".new")
    made.unlink(missing_ok=True)
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as text:
        json.dump({"owner": owner, "token": token}, text)
    made.rename(file)


# -- the socket -------------------------------------------------------------------------------------------------


class GateSocket:
    """A socket that listens. `open` makes one."""

    def __init__(self, path: Path, server: asyncio.Server) -> None:
        self._path = path
        self._server = server
        self._inode = path.stat().st_ino

    @classmethod
    async def open(
        cls, folder: Path, connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
    ) -> GateSocket:
        """Listen at the door of a run, in place of whoever did before. Raises OSError."""
        place = folder / _FOLDER
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.chmod(0o700)
        made, path = place / f"{SOCKET}.new", place / SOCKET
        made.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(place) as name:
                listening.bind(f"{name}/{made.name}")
            listening.listen(_BACKLOG)
            listening.setblocking(False)
            made.rename(path)  # at no moment there is none
            server = await asyncio.start_unix_server(connected, sock=listening, backlog=_BACKLOG)
        except BaseException:
            listening.close()
            raise
        return cls(path, server)

    def close(self) -> None:
        """Listen no more. The socket of somebody who has taken over stays."""
        self._server.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def _short_home() -> str:
    """A folder for temporary files in which such a name is short enough; the usual one may be as deep as any other."""
    usual = tempfile.gettempdir()
    places = (usual, "/tmp", "/var/tmp")  # noqa: S108 -- a folder of our own is made in it
    able = (place for place in places if len(os.fsencode(place)) < _LONGEST_HOME and os.access(place, os.W_OK))
    return next(able, usual)


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A name for a folder under which the name of a socket stays within the 104 bytes that every system allows."""
    if len(os.fsencode(folder)) < _LONGEST_NAME - len(SOCKET) - len("/.new"):
        yield str(folder)
        return
    with tempfile.TemporaryDirectory(prefix="wc", dir=_short_home()) as short:
        link = Path(short) / "d"
        link.symlink_to(folder, target_is_directory=True)
        yield str(link)
