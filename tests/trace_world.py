"""A collector of traces for tests: it takes OTLP over HTTP on 127.0.0.1 and keeps what came, decoded.

What it does: answers with the status that it is told to, or not at all; reads OTLP/JSON as the schema has it.
What it does not know: what should be in a trace.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass
class Collector:
    """What came in. With `status` 0 it never answers."""

    address: str = ""
    status: int = 200
    got: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)

    @property
    def spans(self) -> list[Any]:
        return [span for request in self.got for span in spans_in(request)]

    @property
    def resource(self) -> dict[str, Any]:
        return plain(self.got[-1].resource_spans[0].resource.attributes)


@contextmanager
def collector(status: int = 200) -> Iterator[Collector]:
    found = Collector(status=status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            found.headers.append(dict(self.headers))
            if not found.status:
                found.silent.wait(60)
                return
            if found.status < 300:
                found.got.append(ExportTraceServiceRequest.FromString(body))
            with contextlib.suppress(OSError):
                self.send_response(found.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        found.silent.set()
        server.shutdown()
        server.server_close()


def spans_in(request: ExportTraceServiceRequest) -> list[Any]:
    return [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]


def plain(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one) for one in attributes}


def _value(one: KeyValue) -> Any:
    kind = one.value.WhichOneof("value")
    if kind == "array_value":
        return tuple(value.string_value for value in one.value.array_value.values)
    return getattr(one.value, str(kind))


def from_json(line: str) -> ExportTraceServiceRequest:
    """A line of an OTLP/JSON file. Its ids are hexadecimal, where other JSON of this kind has base64."""
    found = json.loads(line)
    for one in found["resourceSpans"]:
        for scope in one["scopeSpans"]:
            for span in scope["spans"]:
                for part in (span, *span["links"]):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if part.get(key):
                            part[key] = base64.b64encode(bytes.fromhex(part[key])).decode()
    request: ExportTraceServiceRequest = ParseDict(found, ExportTraceServiceRequest())
    return request


def told(spans: list[Any]) -> list[Any]:
    """What spans say, in the order of their ids, for comparing: flags say how they were sent."""
    return sorted(
        (
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.name,
            span.kind,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            plain(span.attributes),
            [(one.name, one.time_unix_nano, plain(one.attributes)) for one in span.events],
            [(one.trace_id.hex(), one.span_id.hex(), plain(one.attributes)) for one in span.links],
            (span.status.code, span.status.message),
        )
        for span in spans
    )
