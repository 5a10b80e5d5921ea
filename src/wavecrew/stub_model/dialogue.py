"""What is said between an agent program and a model, whatever the API: requests as they were understood, and answers.

What it does: holds these values, and makes up a value for a schema.
What it does not know: scripts, and how the APIs write all this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

Json = Any
"""What JSON can hold."""
Piece = tuple[str, Json]
"""One event of a stream: its name, empty where the API names none, and its data; text is sent as it is."""


class Speaker(StrEnum):
    """Who said something: the user, or a tool."""

    USER = "user"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `said` is the dialogue up to now without the words of the model; `tools` are the names of the tools
    that the program offers, with the schemas of their arguments; `schema` is that of the answer, if one is wanted."""

    model: str
    stream: bool
    said: tuple[tuple[Speaker, str], ...]
    tools: Mapping[str, Json]
    schema: Json = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one answer or of many; `cached` are a part of `input`."""

    input: int = 0
    output: int = 0
    cached: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.input + other.input, self.output + other.output, self.cached + other.cached)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by its own name. A tool that takes free text is given a text, any other one an object."""

    id: str
    name: str
    given: Json


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says; `id` is new for each answer."""

    id: str
    model: str
    tokens: Tokens
    text: str = ""
    calls: tuple[ToolCall, ...] = field(default=())


class Api(Protocol):
    """One way to speak to a model. Requests are read without trust: what is not there is empty."""

    def understand(self, body: Json, path: str) -> Asked:
        """The request in a body that was sent to a path."""

    def whole(self, answer: Answer) -> Json:
        """An answer in one piece."""

    def pieces(self, answer: Answer) -> Iterator[Piece]:
        """An answer as a stream."""

    def failure(self, status: int, words: str) -> Json:
        """The body of an error."""


def text_of(content: Json) -> str:
    """The text in what the APIs call content: a text, or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(part if isinstance(part, str) else str(part.get("text") or "") for part in content)


def value_for(schema: Json, words: str) -> Json:
    """The smallest value that a JSON schema allows, as far as programs use schemas; `words` stands for free text."""
    schema = schema if isinstance(schema, dict) else {}
    if "const" in schema:
        return schema["const"]
    if choice := schema.get("enum"):
        return choice[0]
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return value_for(several[0], words)
    kind = schema.get("type")
    match str(kind[0] if isinstance(kind, list) and kind else kind).lower():
        case "object":
            known = schema.get("properties", {})
            return {name: value_for(known.get(name), words) for name in schema.get("required", known)}
        case "array":
            return [value_for(schema.get("items"), words)] * int(schema.get("minItems", 0))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "null":
            return None
    return words
