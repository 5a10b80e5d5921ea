"""Answers of tools: bounded JSON or text, and refusals.

What it does: writes both in the form of the protocol, cleaned as for any other view, and leaves out what would be too
much for a conversation, saying how much.
What it does not know: what is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_types import CallToolResult, TextContent

from wavecrew.views.terminal_text import clean, safe_json

MOST: Final = 40_000
"""Characters of an answer."""


def answer_of(data: Mapping[str, Any]) -> CallToolResult:
    """An answer as JSON. Where it is too long, the longest lists are cut, and `left_off` says by how many."""
    return _told(bounded(data))


def text_of(text: str) -> CallToolResult:
    """An answer as text, of which the end counts."""
    text = clean(text)
    left = len(text) - MOST
    return _told(text if left <= 0 else f"[{left:,} characters before this are left off]\n{text[-MOST:]}")


def refusal(words: str) -> CallToolResult:
    """What was not done, and why."""
    return CallToolResult(content=[TextContent(type="text", text=clean(words)[:MOST])], is_error=True)


def bounded(data: Mapping[str, Any], most: int = MOST) -> str:
    """JSON of at most so many characters. Lists keep their beginning."""
    data = dict(data)
    left: dict[str, int] = {}
    while len(text := safe_json(data | ({"left_off": left} if left else {}))) > most:
        lists = {name: value for name, value in data.items() if isinstance(value, list) and value}
        if not lists:
            return safe_json({"text": text[:most], "cut": True})
        name = max(lists, key=lambda one: len(safe_json(lists[one])))
        kept = len(lists[name]) // 2
        left[name] = left.get(name, 0) + len(lists[name]) - kept
        data[name] = lists[name][:kept]
    return text


def _told(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])
