"""YAML, JSON and TOML as trees in which every value knows its line.

What it does: reads front matter and data plans. Every scalar stays the text that was written (`010` stays `010`,
`yes` stays `yes`). Anchors, tags, deep nesting and floods of values are refused, keys that stand twice are noted.
What it does not know: what the keys mean.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import yaml

MAX_DEPTH: Final = 50
MAX_NODES: Final = 2_000_000
MAX_FRONT_MATTER_NODES: Final = 20_000

Value: TypeAlias = str | list["Node"] | dict[str, "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place; `quoted` tells a text that was written as one from a number or a word. 0 is no line."""

    value: Value
    line: int = 0
    column: int = 0
    quoted: bool = False

    @property
    def text(self) -> str | None:
        """The value if it is a scalar."""
        return self.value if isinstance(self.value, str) else None

    @property
    def items(self) -> list[Node] | None:
        """The entries if it is a list."""
        return self.value if isinstance(self.value, list) else None

    def shifted(self, lines: int) -> Node:
        """The same value some lines further down."""
        value = self.value
        if isinstance(value, list):
            value = [entry.shifted(lines) for entry in value]
        elif isinstance(value, dict):
            value = {key: entry.shifted(lines) for key, entry in value.items()}
        return replace(self, value=value, line=self.line + lines if self.line else 0)

    @property
    def fields(self) -> dict[str, Node] | None:
        """The entries if it is a mapping."""
        return self.value if isinstance(self.value, dict) else None


@dataclass(slots=True)
class Tree:
    """What was read: the root, and keys that stand twice as (key, line, column)."""

    root: Node
    repeated: list[tuple[str, int, int]] = field(default_factory=list)


class DataError(Exception):
    """Text that is no YAML, JSON or TOML, or more of it than is good."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column


def read_data(text: str, kind: str) -> Tree:
    """Read a whole document. `kind` is `yaml`, `json` or `toml`. Raises DataError."""
    readers: dict[str, Callable[[str], Tree]] = {"yaml": read_yaml, "json": _read_json, "toml": read_toml}
    return readers[kind](text)


# -- YAML -------------------------------------------------------------------------------------------------------

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str, *, first_line: int = 1, most: int = MAX_NODES) -> Tree:
    """Read YAML whose first line is `first_line` of its document. Raises DataError."""
    try:
        return _Composer(first_line, most).compose(yaml.parse(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "this is no YAML"
        line = (mark.line + first_line) if mark else first_line
        raise DataError(str(problem), line, mark.column + 1 if mark else 0) from None
    except RecursionError:
        raise DataError("nested too deeply", first_line) from None


@dataclass(slots=True)
class _Open:
    node: Node
    key: Node | None = None


@dataclass(slots=True)
class _Composer:
    first_line: int
    most: int
    count: int = 0
    stack: list[_Open] = field(default_factory=list)
    root: Node | None = None
    tree: Tree = field(default_factory=lambda: Tree(Node("")))

    def compose(self, events: Iterator[yaml.Event]) -> Tree:
        for event in events:
            self._event(event)
        self.tree.root = self.root or Node({}, self.first_line)
        return self.tree

    def _event(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise self._refusal("a second document begins here; only one is read", event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refusal("anchors and aliases (&, *) are not allowed here", event)
        if isinstance(event, yaml.CollectionEndEvent):
            self.stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _node(self, event: yaml.NodeEvent) -> None:
        self.count += 1
        if self.count > self.most:
            raise self._refusal(f"more than {self.most} values", event)
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            raise self._refusal(f"tags such as {str(tag)[:60]} are not allowed here", event)
        line, column = self._position(event)
        if isinstance(event, yaml.ScalarEvent):
            self._place(Node(self._scalar(event), line, column, quoted=event.style is not None))
            return
        node = Node([] if isinstance(event, yaml.SequenceStartEvent) else {}, line, column)
        self._place(node)
        if len(self.stack) >= MAX_DEPTH:
            raise self._refusal(f"nested more than {MAX_DEPTH} deep", event)
        self.stack.append(_Open(node))

    @staticmethod
    def _scalar(event: yaml.ScalarEvent) -> str:
        value = str(event.value)
        return "" if event.style is None and value in ("null", "~", "Null", "NULL") else value

    def _place(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if isinstance(top.node.value, list):
            top.node.value.append(node)
        elif top.key is None:
            top.key = Node(node.text or "?", node.line, node.column)
        elif isinstance(top.node.value, dict):
            key = top.key.text or "?"
            if key in top.node.value:
                self.tree.repeated.append((key, top.key.line, top.key.column))
            top.node.value[key] = node
            top.key = None

    def _refusal(self, reason: str, event: yaml.Event) -> DataError:
        return DataError(reason, *self._position(event))

    def _position(self, event: yaml.Event) -> tuple[int, int]:
        mark = event.start_mark
        return (mark.line + self.first_line, mark.column + 1) if mark is not None else (self.first_line, 0)


# -- JSON and TOML ----------------------------------------------------------------------------------------------


def _read_json(text: str) -> Tree:
    tree = Tree(Node(""))

    def pairs(entries: list[tuple[str, object]]) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in entries:
            if key in result:
                tree.repeated.append((key, 0, 0))
            result[key] = value
        return result

    try:
        loaded = json.loads(text, object_pairs_hook=pairs, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise DataError(error.msg, error.lineno, error.colno) from None
    except RecursionError:
        raise DataError("nested too deeply", 1) from None
    tree.root = _Wrapper(_id_lines(text)).wrap(loaded, 0)
    return tree


def read_toml(text: str, *, first_line: int = 1) -> Tree:
    """Read TOML whose first line is `first_line` of its document. Raises DataError."""
    try:
        loaded = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        reason, _, place = message.partition(" (at line ")
        line = place.partition(",")[0]
        raise DataError(reason, int(line) + first_line - 1 if line.isdigit() else 0) from None
    except (RecursionError, ValueError) as error:
        raise DataError(str(error)[:100] or "nested too deeply", first_line) from None
    return Tree(_Wrapper(_id_lines(text)).wrap(loaded, 0))


def _id_lines(text: str) -> Iterator[tuple[str, int]]:
    """The lines that hold an `id`, with the id as written: enough to find the line of a phase."""
    for number, line in enumerate(text.split("\n"), start=1):
        position = line.find("id")
        if position < 0 or line[position + 2 : position + 3] not in ('"', " ", "="):
            continue
        if position > 0 and line[position - 1] not in "\"' \t{,":
            continue
        value = line[position + 2 :].lstrip('" \t:=')
        yield value.partition(",")[0].strip().strip("\"'}] "), number


@dataclass(slots=True)
class _Wrapper:
    """Plain values as nodes. A mapping with an `id` gets the line of the next `id` of that text."""

    id_lines: Iterator[tuple[str, int]]
    count: int = 0

    def wrap(self, value: object, depth: int) -> Node:
        self.count += 1
        if depth > MAX_DEPTH:
            raise DataError(f"nested more than {MAX_DEPTH} deep")
        if self.count > MAX_NODES:
            raise DataError(f"more than {MAX_NODES} values")
        if isinstance(value, dict):
            line = self._line_of(str(value["id"])) if "id" in value and isinstance(value["id"], str | int) else 0
            return Node({str(key): self.wrap(entry, depth + 1) for key, entry in value.items()}, line)
        if isinstance(value, list):
            return Node([self.wrap(entry, depth + 1) for entry in value])
        if value is None:
            return Node("")
        if isinstance(value, bool):
            return Node("true" if value else "false")
        return Node(str(value), quoted=isinstance(value, str))

    def _line_of(self, wanted: str) -> int:
        for written, line in self.id_lines:
            if written == wanted:
                return line
        return 0
