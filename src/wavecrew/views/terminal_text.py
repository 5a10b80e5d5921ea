"""The one cleaner between foreign text and a terminal.

What it does: takes away from the words of documents, agents and logs whatever could steer a terminal or show text in
another order than it is written, and cuts them by the columns that they take. Log tails and JSON go through here too.
What it does not know: where a text comes from, colours, and what stands beside it on the screen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final
from unicodedata import category, east_asian_width

_STRING: Final = r"[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
_SEQUENCES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, screen
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])"
    + _STRING  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    + r"|\x1b[ -/]*[0-~]?"  # what is left: character sets, save, restore, reset
)
"""Control sequences with what belongs to them. A string that is never ended hides no more than the rest of its line."""

_BIDI: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN: Final = re.compile(
    f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{_BIDI}\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_BREAKS: Final = re.compile("\r\n|[\r\u2028\u2029]")
_SPACES: Final = re.compile(r"[\t\n]+")
_TAB: Final = 8
_WIDE_PICTURE: Final = "\ufe0f"


def clean(text: str) -> str:
    """A text in which tab and newline are the only controls. Whatever else breaks a line becomes a newline."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub("", _BREAKS.sub("\n", _SEQUENCES.sub("", text)))


def one_line(text: str) -> str:
    """A clean text on one line."""
    return _SPACES.sub(" ", clean(text)).strip()


def cells(text: str) -> int:
    """How many columns a clean text takes on one line."""
    if text.isascii():
        return len(text)
    return sum(_widths(text))


def _widths(text: str) -> Iterator[int]:
    narrow_sign = False
    for character in text:
        if character == _WIDE_PICTURE:  # it makes a picture, two columns wide, of the sign before it
            width = 1 if narrow_sign else 0
        elif character.isascii():
            width = 1
        elif category(character) in ("Mn", "Me", "Cf") or "\u1160" <= character <= "\u11ff":
            width = 0
        else:
            width = 2 if east_asian_width(character) in "WF" else 1
        yield width
        narrow_sign = width == 1 and not character.isascii() and character != _WIDE_PICTURE


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """A text on one line that takes at most `width` columns; where something is missing, the ellipsis tells."""
    line = one_line(text)
    if cells(line) <= width:
        return line
    room = width - cells(ellipsis)
    if room < 0:
        return ""
    kept, taken = 0, 0
    for width_of_one in _widths(line):
        taken += width_of_one
        if taken > room:
            break
        kept += 1
    return line[:kept].rstrip() + ellipsis


def pad(text: str, width: int, ellipsis: str = "…") -> str:
    """The same, filled up with blanks to exactly that width."""
    line = cut(text, width, ellipsis)
    return line + " " * (width - cells(line))


def tail(log: str, lines: int = 20, width: int | None = None) -> list[str]:
    """The last lines of a log as a terminal would leave them: what a line overwrites of itself is gone."""
    last = log.replace("\r\n", "\n").rstrip().split("\n")[-lines:]
    shown = [clean(line.rstrip("\r").rpartition("\r")[2]).expandtabs(_TAB).replace("\n", " ").rstrip() for line in last]
    found = shown if any(shown) else []
    return found if width is None else [line if cells(line) <= width else _cut_end(line, width) for line in found]


def _cut_end(line: str, width: int) -> str:
    """Like `cut`, but what a line is indented by stays."""
    indent = len(line) - len(line.lstrip())
    return line[:indent] + cut(line[indent:], max(1, width - indent)) if indent < width else cut(line, width)


def encodable(text: str, encoding: str) -> str:
    """A text with a question mark for every character that an encoding does not have."""
    return text.encode(encoding, errors="replace").decode(encoding)


def safe_json(value: object, *, indent: int | None = None) -> str:
    """JSON that is as harmless on a terminal as in a file: what could steer it is written as an escape."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, separators=separators)
    return _UNSEEN.sub(_escaped, text).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found.group())[1:-1]
