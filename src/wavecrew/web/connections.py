"""One connection of a browser: how long it may take to ask, and to read.

What it does: drops a connection whose head of a request does not come, and one that does not read what it was sent, so
that nobody holds memory, or a place among the connections, by doing nothing.
What it does not know: requests and answers; `guard` waits for bodies.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from wavecrew.web.guard import PATIENCE_SECONDS


class Connection(H11Protocol):
    """One that is dropped when it keeps us waiting."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Somebody has come."""
        super().connection_made(transport)
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            with contextlib.suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PATIENCE_SECONDS * 1000))
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Something has come; a head that comes drop by drop gets no more time for that."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The head of the next request may have begun already."""
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(PATIENCE_SECONDS, self._drop)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _drop(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE:
            self.transport.abort()
