"""The door before every request: who asks, from where, how much.

What it does: refuses foreign hosts (a name that was bound to this machine), requests that another page sent, writes
without our header, bodies that are too long, and whoever has neither token nor cookie; adds the headers that keep a
browser from running anything but our own files.
What it does not know: what is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wavecrew.web.entry import Entry

_OPEN_PATHS: Final = ("/", "/enter")
_OPEN_FOLDER: Final = "/assets/"
"""What needs no token: the way in, and files that stand in every installation. None of them says anything of a run."""
OUR_HEADER: Final = "x-wavecrew"
LONGEST_BODY: Final = 16_384
"""How many bytes somebody may send us."""
PATIENCE_SECONDS: Final = 20.0
"""How long we wait for the rest of a request, or for somebody to read an answer."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer a form would send `Origin: null`
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True, slots=True)
class Door:
    """What is let in at one address."""

    entry: Entry
    port: int
    read_only: bool = False

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names under which this page may be asked for."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    @property
    def cookie_name(self) -> str:
        """Cookies do not know ports, so the name does: pages of several workspaces do not throw each other out."""
        return f"wavecrew_{self.port}"

    def knows(self, cookies: str) -> bool:
        """Whether our cookie is among those of a request. Servers at other ports may have left any cookies beside it,
        of any form, also one of its name."""
        pairs = (one.strip().partition("=") for one in cookies.split(";"))
        return any(name == self.cookie_name and self.entry.is_cookie(value) for name, _, value in pairs)


class Guard:
    """Stands before an application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = _Asked(scope, self._door)
        refusal = request.refusal()
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        await self._app(scope, _bounded(receive), _with_headers(send))


class _Asked:
    """One request and what is wrong with it."""

    def __init__(self, scope: Scope, door: Door) -> None:
        self.door = door
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: list[tuple[str, str]] = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ]

    def one(self, name: str) -> str:
        """The value of a header; empty if it is missing or given more than once."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else ""

    def refusal(self) -> Response | None:
        """The answer to what is not let in; None for what is."""
        if self.one("host") not in self.door.hosts:
            return _no(403, f"this page is only served under http://{self.door.hosts[0]}/")
        if self.method not in ("GET", "POST"):
            return _no(405, "only GET and POST are understood")
        if self.comes_from_elsewhere():
            return _no(403, "this was asked for by a page of somebody else")
        if self.method == "POST" and (wrong := self.wrong_post()):
            return wrong
        if self.path in _OPEN_PATHS or self.path.startswith(_OPEN_FOLDER) or self.is_known():
            return None
        return _no(401, "open the link that `wavecrew web` prints; it holds the key to this page")

    def comes_from_elsewhere(self) -> bool:
        """Browsers tell whose page a request comes from; a link to our first page may stand anywhere."""
        site, mode = self.one("sec-fetch-site"), self.one("sec-fetch-mode")
        if site in ("", "same-origin", "none"):
            return False
        return not (self.path == "/" and self.method == "GET" and mode == "navigate")

    def wrong_post(self) -> Response | None:
        """What is wrong with a write. Our own pages name their origin and send a header that no form can send."""
        if self.one("origin") != f"http://{self.one('host')}":  # and that name is ours
            return _no(403, "only this page itself may ask for that")
        if self.path != "/enter" and self.one(OUR_HEADER) != "1":
            return _no(403, f"the header {OUR_HEADER} is missing")
        length = self.one("content-length")
        if not (length.isascii() and length.isdigit()):
            return _no(411, "how long is it?")
        return _no(413, "that is too long") if int(length) > LONGEST_BODY else None

    def is_known(self) -> bool:
        """Whether somebody has the cookie, or for programs the token itself."""
        kind, _, token = self.one("authorization").partition(" ")
        if kind.casefold() == "bearer" and self.method == "GET":
            return self.door.entry.is_token(token.strip())
        return self.door.knows(self.one("cookie"))


def _no(code: int, why: str) -> Response:
    return PlainTextResponse(f"{why}\n", code)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            have = {name.lower() for name, _ in given}
            message["headers"] = given + [one for one in _HEADERS if one[0] not in have]
        await send(message)

    return sending


def _bounded(receive: Receive) -> Receive:
    """A body that is longer than it said it would be, or does not come, ends the request."""
    taken, whole = 0, False

    async def receiving() -> MutableMapping[str, Any]:
        nonlocal taken, whole
        try:
            message = await asyncio.wait_for(receive(), None if whole else PATIENCE_SECONDS)
        except TimeoutError:
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
        return message if taken <= LONGEST_BODY else {"type": "http.disconnect"}

    return receiving
