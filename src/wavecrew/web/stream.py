"""News of a run for all who look at it: one reader of the store, any number of listeners.

What it does: looks for new events a few times a second while somebody listens, and sends each listener what differs
from what it was told, as server-sent events that are numbered like the events of the store. Who comes back says up to
where it had heard, and is told what happened since, then everything as it is now.
What it does not know: what a scene is made of, and who may listen.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from wavecrew.errors import WavecrewError
from wavecrew.views.terminal_text import safe_json
from wavecrew.web.scene import Sent, scene_of, text
from wavecrew.web.watch import FACTS, Fact, Look, RunWatch

LOOK_SECONDS: Final = 0.2
"""How long an event may stay unseen."""
TICK_SECONDS: Final = 2.0
"""How often is looked at what changes without events: steps, waits, forecasts."""
PING_SECONDS: Final = 15.0
FIRST_FACTS: Final = 60
"""How many facts somebody hears who comes for the first time."""


class Desk:
    """One run with all who look at it."""

    def __init__(self, watch: RunWatch) -> None:
        self.watch = watch
        self.look: Look | None = None
        self.scene: dict[str, Any] = {}
        self.trouble = ""
        self._listeners: set[asyncio.Event] = set()
        self._reader: asyncio.Task[None] | None = None
        self._closed = False
        self._looked_at = float("-inf")

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def close(self) -> None:
        """Let every listener go."""
        self._closed = True
        for bell in self._listeners:
            bell.set()

    async def fresh(self) -> tuple[Look, dict[str, Any]]:
        """The run now. Raises StoreError."""
        look, scene = await asyncio.to_thread(self._see)
        self.look, self.scene, self._looked_at = look, scene, time.monotonic()
        return look, scene

    async def recent(self) -> Look:
        """The run as of its last event; clocks in it may be a moment old. Raises StoreError."""
        new = self._looked_at > time.monotonic() - TICK_SECONDS
        if self.look is not None and new and not await asyncio.to_thread(self.watch.is_stale):
            return self.look
        return (await self.fresh())[0]

    def _see(self) -> tuple[Look, dict[str, Any]]:
        look = self.watch.look()
        return look, scene_of(look)

    async def _read(self) -> None:
        """Look as long as somebody listens."""
        while self._listeners and not self._closed:
            try:
                over = time.monotonic() - self._looked_at > TICK_SECONDS
                if over or await asyncio.to_thread(self.watch.is_stale):
                    await self.fresh()
                    self._tell("")
            except WavecrewError as error:
                self._tell(error.reason)
            await asyncio.sleep(LOOK_SECONDS)
        self._reader = None

    def _tell(self, trouble: str) -> None:
        self.trouble = trouble
        for bell in self._listeners:
            bell.set()

    # -- one listener

    async def messages(self, after: int | None) -> AsyncIterator[bytes]:
        """What one listener hears, until the server goes. `after` is the last event that it has heard of."""
        bell, sent, told = asyncio.Event(), Sent(), after
        self._listeners.add(bell)
        try:
            yield b"retry: 1000\n\n"
            look, _ = await self.fresh()
            if self._reader is None or self._reader.done():
                self._reader = asyncio.create_task(self._read())
            anew = told is None or told > look.seq
            told = None if anew else told
            trouble, last = "", False
            while not last:
                last = self._closed  # the end of a run and that of its page come together: what came last is told
                if last:
                    await self.fresh()
                bell.clear()
                if self.trouble != trouble:
                    trouble = self.trouble
                    yield _message("trouble", {"words": text(trouble)})
                look, scene = self.look or look, self.scene
                most = FIRST_FACTS if told is None else FACTS
                facts = await asyncio.to_thread(self.watch.facts, told, most)  # it may have to wait for a look
                facts = [fact for fact in facts if fact.seq <= look.seq]
                news = sent.news(scene, safe_json)
                if news or facts or anew:
                    news |= {"seq": look.seq, "now": round(look.summary.now, 3), "facts": [_fact(one) for one in facts]}
                    yield _message("news", news | ({"anew": True} if anew else {}), look.seq)
                told, anew = look.seq, False
                if self._closed:
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), PING_SECONDS)
                if not bell.is_set():
                    yield b": here\n\n"
        except WavecrewError as error:
            yield _message("trouble", {"words": text(error.reason)})
        finally:
            self._listeners.discard(bell)


def _fact(fact: Fact) -> list[Any]:
    return [fact.seq, text(fact.text), text(fact.phase)]


def _message(kind: str, data: dict[str, Any], number: int | None = None) -> bytes:
    """One message. JSON holds no line break, so it is one line of data."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {kind}\ndata: {safe_json(data)}\n\n".encode()


class EventStream:
    """An answer that never ends by itself. It ends when the reader goes, or the desk is closed."""

    def __init__(self, messages: AsyncIterator[bytes]) -> None:
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader is gone."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await self._pass_on(send, gone)
        finally:
            gone.cancel()
            aclose = getattr(self._messages, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _pass_on(self, send: Send, gone: asyncio.Future[None]) -> None:
        while True:
            step: asyncio.Future[bytes | None] = asyncio.ensure_future(self._next())
            waiting: set[asyncio.Future[Any]] = {step, gone}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                step.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await step
                return
            piece = step.result()
            await send({"type": "http.response.body", "body": piece or b"", "more_body": piece is not None})
            if piece is None:
                return

    async def _next(self) -> bytes | None:
        return await anext(self._messages, None)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def last_heard(header: str | None, query: str | None) -> int | None:
    """The number that a reader who comes back names; None for one that names none, or nonsense."""
    for given in (header, query):
        if given is not None and given.isascii() and given.isdecimal() and len(given) < 16:
            return int(given)
    return None
