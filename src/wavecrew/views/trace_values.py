"""Spans as plain values.

What it does: holds what a span is made of, ready to be written as JSON or handed to a library.
What it does not know: runs, where spans come from, and where they go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | bool | int | float | tuple[str, ...]
Attributes: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened at a moment, in nanoseconds since 1970."""

    name: str
    at: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span of the same trace."""

    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Ids are hexadecimal; `parent_id` is empty for the root, which is a server span; all others are
    internal. Times are nanoseconds since 1970. `error` says why it failed, as far as that is known; None if it did not.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    begin: int
    end: int
    attributes: Attributes
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    error: str | None = None


def nanoseconds(at: float) -> int:
    """A moment in nanoseconds, as exact as a float of seconds is."""
    return round(at * 1e6) * 1000


def known(found: Mapping[str, Value | None]) -> Attributes:
    """Attributes without those of which nothing is known. Zero and false are known."""
    return {name: value for name, value in found.items() if value is not None and value not in ("", ())}
