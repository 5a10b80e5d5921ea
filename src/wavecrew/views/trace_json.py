"""A trace as OTLP/JSON, one line per export, as the OpenTelemetry file format has it.

What it does: writes spans in lines that a collector takes (its receiver for OTLP/JSON files refuses longer ones).
What it does not know: runs, files, and any library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from wavecrew.views import trace_names as names
from wavecrew.views.terminal_text import safe_json
from wavecrew.views.trace_values import Attributes, Span, Value

_LINE: Final = 512 * 1024
"""Characters of spans in one line, at most, unless a single span has more."""
_INTERNAL: Final = 1
_SERVER: Final = 2
_ERROR: Final = 2


def otlp_of(spans: Sequence[Span], version: str) -> str:
    """All spans in as many lines as they need; nothing for no spans."""
    resource = {names.SERVICE: names.WAVECREW} | ({names.SERVICE_VERSION: version} if version else {})
    head = (
        f'{{"resourceSpans":[{{"resource":{safe_json({"attributes": _attributes(resource)})},"scopeSpans":[{{"scope":'
        f'{safe_json({"name": names.WAVECREW} | ({"version": version} if version else {}))},"spans":['
    )
    schema = safe_json(names.SCHEMA)
    tail = f'],"schemaUrl":{schema}}}],"schemaUrl":{schema}}}]}}\n'
    return "".join(f"{head}{','.join(some)}{tail}" for some in _lines(safe_json(_span(one)) for one in spans))


def _lines(spans: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for text in spans:
        if some and size + len(text) > _LINE:
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield some


def _span(one: Span) -> dict[str, Any]:
    found: dict[str, Any] = {
        "traceId": one.trace_id,
        "spanId": one.span_id,
        "parentSpanId": one.parent_id,
        "name": one.name,
        "kind": _INTERNAL if one.parent_id else _SERVER,
        "startTimeUnixNano": str(one.begin),
        "endTimeUnixNano": str(one.end),
        "attributes": _attributes(one.attributes),
        "events": [
            {"timeUnixNano": str(event.at), "name": event.name, "attributes": _attributes(event.attributes)}
            for event in one.events
        ],
        "links": [
            {"traceId": one.trace_id, "spanId": link.span_id, "attributes": _attributes(link.attributes)}
            for link in one.links
        ],
        "status": {} if one.error is None else {"code": _ERROR, "message": one.error},
    }
    return found


def _attributes(found: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in found.items()]


def _value(value: Value) -> dict[str, Any]:
    """Whole numbers are texts there, because they may be longer than a number of JavaScript can be."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [{"stringValue": text} for text in value]}}
