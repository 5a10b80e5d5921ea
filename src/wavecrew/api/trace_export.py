"""Sending spans: plain values become spans of the OpenTelemetry library, whose exporter speaks OTLP over HTTP.

What it does: is the one module that imports that library, and only when something is sent. It waits for a collector
that takes what it is given, not for one that is dead, and says in words what went wrong.
What it does not know: runs, and which spans there are.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from wavecrew import __version__
from wavecrew.errors import ConfigError
from wavecrew.views import trace_names as names
from wavecrew.views.trace_values import Span

if TYPE_CHECKING:
    import requests
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PLUG_INS: Final = tuple(f"OTEL_PYTHON_EXPORTER_OTLP_HTTP_{signal}CREDENTIAL_PROVIDER" for signal in ("", "TRACES_"))
_DEFAULT: Final = "http://localhost:4318"
_BATCH: Final = 256
"""Spans in one request."""
PATIENCE_SECONDS: Final = 4.0
"""How long a collector has for one request, further tries included."""
_MARGIN_SECONDS: Final = 3.0
"""How much longer the library has to keep to that."""
_LONGEST_SECONDS: Final = 30.0
"""How long a collector has that takes one request after the other."""


def address_of(environ: Mapping[str, str]) -> str:
    """Where traces go, as the variables of OpenTelemetry say."""
    return environ.get(TRACES_ENDPOINT) or f"{(environ.get(ENDPOINT) or _DEFAULT).removesuffix('/')}/v1/traces"


def require_collector(environ: Mapping[str, str]) -> None:
    """Raise ConfigError where traces cannot be sent at all: without the library, to no address, or by a protocol that
    we do not speak. Whether anybody listens is not asked."""
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace  # noqa: F401 -- are they there?
    except ImportError as error:
        raise ConfigError(
            f"traces cannot be sent without the OpenTelemetry library ({error})",
            fix="pip install 'wavecrew[otel]', or set traces to none",
        ) from None
    variable = TRACES_ENDPOINT if environ.get(TRACES_ENDPOINT) else ENDPOINT
    try:
        parts = urlsplit(address_of(environ))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{variable} is no http or https address", fix=f"set it like {ENDPOINT}={_DEFAULT}")
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise ConfigError(
            f"OpenTelemetry is to speak {protocol} here, and traces are sent by http/protobuf",
            fix=f"set {_PROTOCOLS[0]}=http/protobuf, and {TRACES_ENDPOINT} to an address that takes it",
        )


def send(spans: Sequence[Span]) -> str:
    """Send spans to the collector. Gives what went wrong, in words; empty if all were taken. A dead collector costs a
    few seconds. Ctrl-C ends the waiting."""
    sending = _Sending(spans)
    thread = threading.Thread(target=sending.work, name="traces", daemon=True)
    end = time.monotonic() + _LONGEST_SECONDS
    thread.start()
    while thread.is_alive() and time.monotonic() < end:
        before = sending.taken
        try:
            thread.join(PATIENCE_SECONDS + _MARGIN_SECONDS)
        except KeyboardInterrupt:
            return "interrupted"
        if thread.is_alive() and sending.taken == before:
            break
    return (sending.words or ["it takes too long"])[-1] if thread.is_alive() else sending.problem


class _Sending:
    """Hands spans to the exporter, batch by batch, and gives up at the first that is not taken."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self.taken = 0
        self.problem = ""
        self.words: list[str] = []
        """What went wrong with single requests."""

    def work(self) -> None:
        with _in_silence():
            try:
                self._send()
            except Exception as error:  # whatever a library does: it is no reason to fail
                self.problem = f"{type(error).__name__}: {error}"

    def _send(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult

        found = readable(self._spans)
        if not found:
            self.problem = "OTEL_SDK_DISABLED is set"
            return
        exporter: SpanExporter = OTLPSpanExporter(timeout=PATIENCE_SECONDS, session=_session(self.words))
        for place in range(0, len(found), _BATCH):
            if exporter.export(found[place : place + _BATCH]) is not SpanExportResult.SUCCESS:
                self.problem = (self.words or ["it was not taken"])[-1]
                return
            self.taken += 1
        exporter.shutdown()


def readable(spans: Sequence[Span]) -> list[ReadableSpan]:
    """The same spans as the library has them, with the attributes of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    class Ids(IdGenerator):
        """The ids of the span that is made next."""

        span: Span

        def generate_trace_id(self) -> int:
            return int(self.span.trace_id, 16)

        def generate_span_id(self) -> int:
            return int(self.span.span_id, 16)

    class Made(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            made.append(span)

    def context(one: Span, span_id: str) -> trace.SpanContext:
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        return trace.SpanContext(int(one.trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)

    ids, made = Ids(), list[ReadableSpan]()
    resource = Resource({names.SERVICE: names.WAVECREW, names.SERVICE_VERSION: __version__}, names.SCHEMA)
    resource = resource.merge(OTELResourceDetector().detect())
    most = 1_000_000
    limits = SpanLimits(most, most, most, most, most, most)
    provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=ids, span_limits=limits)
    provider.add_span_processor(Made())
    tracer = provider.get_tracer(names.WAVECREW, __version__, names.SCHEMA)
    for one in spans:
        ids.span = one
        above = trace.set_span_in_context(
            trace.NonRecordingSpan(context(one, one.parent_id)) if one.parent_id else trace.INVALID_SPAN
        )
        links = [trace.Link(context(one, link.span_id), dict(link.attributes)) for link in one.links]
        kind = trace.SpanKind.INTERNAL if one.parent_id else trace.SpanKind.SERVER
        span = tracer.start_span(one.name, above, kind, dict(one.attributes), links, start_time=one.begin)
        for event in one.events:
            span.add_event(event.name, dict(event.attributes), event.at)
        if one.error is not None:
            span.set_status(trace.StatusCode.ERROR, one.error)
        span.end(one.end)
    return made


@contextmanager
def _in_silence() -> Iterator[None]:
    """The library prints nothing meanwhile: what is to be said is said by us."""
    nothing = logging.NullHandler()
    loggers = [logging.getLogger(name) for name in ("opentelemetry", "urllib3")]
    before = [one.propagate for one in loggers]
    for one in loggers:
        one.addHandler(nothing)
        one.propagate = False
    try:
        yield
    finally:
        for one, was in zip(loggers, before, strict=True):
            one.removeHandler(nothing)
            one.propagate = was


def _session(words: list[str]) -> requests.Session | None:
    """Connections that write down what went wrong; None where the user has a plug-in of the library for them."""
    import requests

    class Telling(requests.Session):
        def request(self, *args: Any, **options: Any) -> requests.Response:
            try:
                answer = super().request(*args, **options)
            except requests.RequestException as error:
                words.append(_reason(error))
                raise
            if answer.status_code >= 400:
                words.append(f"it answered {answer.status_code} {answer.reason}".rstrip())
            return answer

    return None if any(os.environ.get(name) for name in _PLUG_INS) else Telling()


def _reason(error: requests.RequestException) -> str:
    """The error of the system behind an error of the library."""
    import requests

    if isinstance(error, requests.Timeout):
        return "it does not answer"
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return type(error).__name__
