"""The server of the stub model: HTTP on 127.0.0.1, for the four APIs at once.

What it does: takes requests, has them understood and answered, streams answers, keeps a list of what was asked, and
holds answers back for as long as its owner wants.
What it does not know: scripts, and the programs that ask. It is reached from this machine alone, and refuses every key
but its own, so that a program that found a real one is told so.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

from wavecrew.errors import InvalidValueError
from wavecrew.stub_model.anthropic import AnthropicMessages
from wavecrew.stub_model.chat import ChatCompletions
from wavecrew.stub_model.dialogue import Answer, Api, Asked, Json, Tokens
from wavecrew.stub_model.gemini import GeminiGenerateContent
from wavecrew.stub_model.model import Model, Plan
from wavecrew.stub_model.responses import OpenAiResponses

KEY: Final = "stub-key"
"""The only key that the server takes. It is worth nothing anywhere else."""
NO_MODEL: Final = "no-such-model"
"""A model of this name does not exist here; any other one does."""
_MOST: Final = 64 << 20
_RETRY_AFTER: Final = 1
_KEY_HEADERS: Final = ("x-api-key", "x-goog-api-key")
_APIS: Final[Mapping[str, Api]] = {
    "/messages": AnthropicMessages(),
    "/responses": OpenAiResponses(),
    "/chat/completions": ChatCompletions(),
    "enerateContent": GeminiGenerateContent(),
}
"""By the end of the path."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was answered. `status` is that of HTTP; `name` and `step` are those of the script; `called` are
    the tools of the answer; `results` is what tools had told since the script began; `side` was not in the script;
    `heard` counts all that users and tools had said, so that a session which goes on is seen."""

    path: str
    model: str
    name: str
    step: int
    status: int
    called: tuple[tuple[str, Json], ...] = ()
    results: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    side: bool = False
    words: str = ""
    heard: int = 0


class StubModel:
    """A scripted model on loopback: `with StubModel() as stub: stub.url`. Once closed, it answers nobody any more."""

    def __init__(self, *, key: str = KEY, port: int = 0) -> None:
        self._model = Model()
        self._lock = threading.Condition()
        self._requests: list[Request] = []
        self._waiting: defaultdict[str, int] = defaultdict(int)
        self._open: set[str] = set()
        self._closed = threading.Event()
        self._key = key
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it is: `http://127.0.0.1:PORT`, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def usage(self) -> Mapping[str, Tokens]:
        """The tokens of all answers that were given, by the names of scripts."""
        return self._model.spent()

    @property
    def side_usage(self) -> Mapping[str, Tokens]:
        """The tokens of answers that are no part of a script: titles and the like."""
        return self._model.spent(beside=True)

    @property
    def requests(self) -> tuple[Request, ...]:
        """All that was asked, oldest first."""
        with self._lock:
            return tuple(self._requests)

    def waiting(self, name: str) -> int:
        """How many answers are held back by `stub: wait NAME` now."""
        with self._lock:
            return self._waiting[name]

    def open(self, name: str) -> None:
        """Let all answers go that wait for this name, now and later."""
        with self._lock:
            self._open.add(name)
            self._lock.notify_all()

    def __enter__(self) -> StubModel:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed.set()
        with self._lock:
            self._lock.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what a request does

    def answer(self, asked: Asked, path: str, gone: Callable[[], bool]) -> tuple[int, Plan | None, str]:
        """The status, what to say, and the words of an error. Waits as long as the script says; a program that is
        `gone` then has asked nothing, and the status is 0."""
        if asked.model == NO_MODEL:
            return self._refuse(404, f"The model {NO_MODEL} does not exist: model_not_found", asked, path)
        try:
            plan = self._model.plan(asked)
        except InvalidValueError as error:
            return self._refuse(400, str(error), asked, path)
        if plan.turn.delay or plan.turn.wait:
            self._closed.wait(plan.turn.delay)
            self._wait(plan.turn.wait)
            if gone():
                return 0, None, ""
        status = plan.turn.status if self._model.fails(plan) else 200
        called = tuple((call.name, call.given) for call in plan.answer.calls) if status == 200 else ()
        offered = tuple(asked.tools)
        told = (plan.name, plan.step, status, called, plan.results, offered, plan.side)
        self._note(Request(path, asked.model, *told, heard=len(asked.said)))
        if status == 200:
            self._model.spend(plan)
        return status, plan, f"the script says {status} here"

    def knows(self, key: str) -> bool:
        """Whether this is the right key."""
        return key == self._key

    def _refuse(self, status: int, words: str, asked: Asked, path: str) -> tuple[int, None, str]:
        self._note(Request(path, asked.model, "", -1, status, offered=tuple(asked.tools), words=words))
        return status, None, words

    def _note(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def _wait(self, name: str) -> None:
        if not name:
            return
        with self._lock:
            self._waiting[name] += 1
            self._lock.wait_for(lambda: name in self._open or self._closed.is_set())
            self._waiting[name] -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client may keep its connection
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], stub: StubModel) -> None:
        super().__init__(address, _Handler)
        self.stub = stub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of our business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is given
        """Nothing on standard error."""

    @property
    def stub(self) -> StubModel:
        return cast(_Server, self.server).stub

    def do_GET(self) -> None:
        """Lists of models, for programs that look before they ask."""
        one = {"id": "stub-model", "object": "model", "type": "model", "display_name": "stub"}
        if urlsplit(self.path).path.endswith("/models"):
            self._send(200, {"object": "list", "data": [one], "models": [], "has_more": False})
        else:
            self._send(404, {"error": {"message": "the stub model has nothing here", "type": "not_found_error"}})

    def do_POST(self) -> None:
        """A request to the model."""
        path = urlsplit(self.path).path
        body = self._body()
        api = next((api for end, api in _APIS.items() if path.endswith(end)), None)
        if path.endswith(("/count_tokens", ":countTokens")):
            self._send(200, {"input_tokens": 1000, "totalTokens": 1000})
        elif api is None:
            self._send(404, {"error": {"message": "the stub model has nothing here", "type": "not_found_error"}})
        elif not isinstance(body, dict):
            self._send(400, api.failure(400, "the request is no JSON object"))
        elif not self.stub.knows(self._key()):
            self._send(401, api.failure(401, "invalid API key: the stub model takes its own alone"))
        else:
            self._answer(api, body, path)

    def _answer(self, api: Api, body: Json, path: str) -> None:
        try:
            asked = api.understand(body, path)
        except (AttributeError, TypeError, ValueError) as error:
            self._send(400, api.failure(400, f"the request cannot be understood: {error}"))
            return
        status, plan, words = self.stub.answer(asked, path, self._gone)
        if status == 0:
            self.close_connection = True
        elif plan is None or status != 200:
            self._send(status, api.failure(status, words), {"Retry-After": str(_RETRY_AFTER)} if status == 429 else {})
        elif asked.stream:
            self._stream(api, plan.answer)
        else:
            self._send(200, api.whole(plan.answer))

    def _gone(self) -> bool:
        """Whether nobody is at the other end any more."""
        try:
            found: bytes = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not found

    def _key(self) -> str:
        """The key, wherever the APIs put it."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        in_headers = (self.headers.get(name, "") for name in _KEY_HEADERS)
        in_query = parse_qs(urlsplit(self.path).query).get("key", [""])[0]
        return next(filter(None, in_headers), "") or (token if scheme.lower() == "bearer" else "") or in_query

    def _body(self) -> Json:
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        text = b"".join(self._chunks()) if chunked else self.rfile.read(self._length())
        try:
            return json.loads(text)
        except ValueError:
            return None

    def _length(self) -> int:
        told = self.headers.get("Content-Length", "0")
        return min(int(told), _MOST) if told.isdecimal() else 0

    def _chunks(self) -> Iterator[bytes]:
        left = _MOST
        while (size := int(self.rfile.readline().split(b";")[0].strip() or b"0", 16)) and size <= left:
            left -= size
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _stream(self, api: Api, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for name, data in api.pieces(answer):
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"{f'event: {name}{chr(10)}' if name else ''}data: {text}\n\n".encode())
        self.wfile.flush()
