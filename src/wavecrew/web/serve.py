"""The server of the page: a socket on this machine only, and an orderly end.

What it does: binds 127.0.0.1, serves until it is told to end, and lets go of open streams then. It ends by Ctrl-C, by
TERM, or when the pipe of whoever started it is closed.
What it does not know: what is served, and who started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from wavecrew.errors import PreflightError
from wavecrew.web.app import application
from wavecrew.web.connections import Connection
from wavecrew.web.site import Site

ADDRESS: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8642
_MOST_CONNECTIONS: Final = 128
_GRACE_SECONDS: Final = 3
_LONGEST_HEAD: Final = 32 * 1024


def bind(port: int | None) -> socket.socket:
    """A listening socket. Without a port the usual one, or any that is free; 0 is any that is free.

    Raises PreflightError for a port that was named and cannot be had.
    """
    try:
        return _listen(DEFAULT_PORT if port is None else port)
    except OSError as error:
        if port is None:
            return _listen(0)
        taken = error.errno == errno.EADDRINUSE
        why = "somebody listens there already" if taken else str(error.strerror).lower()
        raise PreflightError(
            f"port {port} cannot be had: {why}",
            fix="take any that is free: --port 0" if taken else "name a port between 1024 and 65535",
        ) from None


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """One that lets go of streams before it waits for connections, and takes signals without passing them on. `ready`
    is called once a signal would end it in good order."""

    def __init__(self, config: uvicorn.Config, site: Site, leash: int | None, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._site = site
        self._leash = leash
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread: somebody else ends it
            for number in numbers:
                loop.add_signal_handler(number, self._end)
        if self._leash is not None:
            loop.add_reader(self._leash, self._tug)
        self._ready()
        try:
            yield
        finally:
            if self._leash is not None:
                loop.remove_reader(self._leash)

    def _tug(self) -> None:
        with contextlib.suppress(OSError):
            if os.read(self._leash or 0, 64):
                return
        asyncio.get_running_loop().remove_reader(self._leash or 0)
        self._end()

    def _end(self) -> None:
        self.should_exit = True
        self._site.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._site.close()
        await super().shutdown(sockets)
        self._site.release()


def server_of(site: Site, *, leash: int | None = None, ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """The server of a site, not started. `leash` is a descriptor whose end of file ends it; see `serve` for `ready`."""
    config = uvicorn.Config(
        application(site),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        http=Connection,
        loop="asyncio",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
    )
    return _Server(config, site, leash, ready)


def serve(site: Site, listener: socket.socket, *, ready: Callable[[], None], leash: int | None = None) -> None:
    """Serve until it is told to end. `ready` is called once connections are taken: the socket listens already, so
    whoever comes then waits for a moment and is served."""
    with listener:
        asyncio.run(server_of(site, leash=leash, ready=ready).serve(sockets=[listener]))
