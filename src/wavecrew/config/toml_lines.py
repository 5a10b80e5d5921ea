"""On which line of a TOML text a key stands, which the parser of the standard library does not tell.

What it does: cuts a text into statements (headers and assignments) and reads the keys in front of each value.
What it does not know: values. It skips them, and it relies on a text that `tomllib` has accepted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"""
    (?P<blank> [ \t\r]+ | \#[^\n]* )
  | (?P<text>
        \"{3} (?: \\. | (?!\"{3})[^\\] )* \"{3,5}     # quotes may stand right before the closing ones
      | '{3} (?: (?!'{3}). )* '{3,5}
      | " (?: \\. | [^"\\] )* "
      | ' [^']* '
    )
  | (?P<open> [\[{] ) | (?P<close> [\]}] ) | (?P<end> \n )
  | (?P<other> [=.,] | [^\s\#"'\[\]{}=.,]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class KeyLines:
    """The lines on which the keys directly inside one table stand; `table` is the path of that table."""

    def __init__(self, text: str, table: tuple[str, ...] = ()) -> None:
        self._lines: dict[str, int] = {}
        self._table = 0  # where the table itself is named: the line of every key of `table = { ... }`
        header: tuple[str, ...] = ()
        for line, tokens in _statements(text):
            if tokens[0] == "[":
                header = path = _path([part for part in tokens if part not in "[]"])
            else:
                path = header + _path(tokens[: tokens.index("=")])
            self._enter(path, line, table)

    def _enter(self, path: tuple[str, ...], line: int, table: tuple[str, ...]) -> None:
        if path[: len(table)] == table:
            if len(path) > len(table):
                self._lines.setdefault(path[len(table)], line)
            else:
                self._table = self._table or line

    def __getitem__(self, key: str) -> int:
        """The line of a key, counted from 1; of its table where the key has no line; else 0."""
        return self._lines.get(key, self._table)


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each statement as its first line and its tokens; a value may go on over several lines."""
    tokens: list[str] = []
    line = first = 1
    depth = 0
    for match in _TOKEN.finditer(text + "\n"):
        token, kind = match.group(), match.lastgroup
        if kind == "end" and depth == 0:
            if tokens:
                yield first, tokens
            tokens = []
        elif kind not in ("blank", "end"):
            first = first if tokens else line
            depth += (kind == "open") - (kind == "close")
            tokens.append(token)
        line += token.count("\n")


def _path(tokens: list[str]) -> tuple[str, ...]:
    """The names in a dotted key; the parser itself takes the quotes off."""
    names: list[str] = []
    found: object = tomllib.loads("".join(tokens) + "=0")
    while isinstance(found, dict):
        ((name, found),) = found.items()
        names.append(name)
    return tuple(names)
