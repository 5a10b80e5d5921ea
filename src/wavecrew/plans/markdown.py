"""Markdown text as a flat row of blocks with line numbers.

What it does: reads the block structure of a document in one pass over its lines: headings, lines of text, list items,
fenced blocks and tables, each with the line where it stands. It follows CommonMark where plans can tell the
difference, in time linear in the text whatever the text is: a full CommonMark parser needs many seconds for a
megabyte of list items, and plans come from strangers.
What it does not know: emphasis and links (`plain_text` takes away the little that matters), phases, dependencies and
files; what a heading or a label means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; `level` counts from 1."""

    level: int
    text: str
    line: int
    column: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """One line of a paragraph.

    `depth` is 0 outside of lists, else how deep the list is nested. `opens` tells that a paragraph begins here,
    `item` that a list item does, `number` is the number in front of it if the list is numbered.
    """

    text: str
    line: int
    column: int = 1
    depth: int = 0
    item: bool = False
    opens: bool = True
    number: str = ""


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: its info string, its text, and the line of the opening fence."""

    info: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table."""

    cells: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `header` may hold empty cells."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    line: int


Block: TypeAlias = Heading | Text | Fence | Table

_MAX_NESTING: Final = 20
_HEADING: Final = re.compile(r"(#{1,6})(?:[ ]|$)")
_ITEM: Final = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?=[ ]|$)")
_CODE_INDENT: Final = 4
_SUMMARY: Final = re.compile(r"<summary>([^\n]*?)</summary>", re.IGNORECASE)
_TAG: Final = re.compile(r"</?[a-z][^<>]{0,100}>", re.IGNORECASE)
_TAGS: Final = ("</", "<details", "<summary", "<div", "<br", "<hr", "<img", "<p>", "<p ")


def blocks(text: str) -> tuple[Block, ...]:
    """The blocks of a document, in order. What is quoted (`>`) is read like the rest; comments are left out."""
    return tuple(_Scanner(text.split("\n")).scan())


@dataclass(slots=True)
class _OpenFence:
    info: str
    mark: str
    line: int
    indent: int
    container: int
    quotes: int
    content: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Scanner:
    """The state of one pass. `items` holds the list items that are open, as (indent of the marker, of the content)."""

    lines: Sequence[str]
    found: list[Block] = field(default_factory=list)
    items: list[tuple[int, int]] = field(default_factory=list)
    paragraph: int = -1
    """Position in `found` where the open paragraph begins; -1 when none is open."""

    def scan(self) -> list[Block]:
        number = 0
        while number < len(self.lines):
            number = self._line(number)
        return self.found

    def _line(self, number: int) -> int:
        """Read the line at `number` (and what belongs to it); the number of the next line to read."""
        raw = self.lines[number]
        line, quotes = _unquoted(raw.expandtabs(4) if "\t" in raw else raw)
        content = line.lstrip(" ")
        if not content:
            self.paragraph = -1
            return number + 1
        indent = len(line) - len(content)
        self._leave_items(indent, content)
        if self._is_code(indent, content):
            return number + 1
        if content.startswith("<!--"):
            return self._skip_comment(number)
        if content.startswith(_TAGS):
            return self._tag(number, content)
        return self._block(number, content, indent, quotes, item=False)

    def _leave_items(self, indent: int, content: str) -> None:
        marked = _ITEM.match(content) is not None
        if self.paragraph >= 0 and not marked and not _starts_block(content):
            return  # a lazy continuation of the paragraph above
        while self.items and indent < (self.items[-1][0] + 2 if marked else self.items[-1][1]):
            self.items.pop()
            self.paragraph = -1

    def _is_code(self, indent: int, content: str) -> bool:
        inside = self.items[-1][1] if self.items else 0
        if self.paragraph >= 0 or indent - inside < _CODE_INDENT:
            return False
        return not (self.items and _ITEM.match(content))

    def _tag(self, number: int, content: str) -> int:
        """Pass over a line of HTML; the title of a folded part (`<summary>Title</summary>`) is read as a bold line."""
        self.paragraph = -1
        title = _SUMMARY.search(content[:_LONGEST])
        text = _TAG.sub("", title.group(1)).strip().strip("*_") if title else ""
        if text:
            self.found.append(Text(f"**{text}**", number + 1, self._column(number, text)))
        return number + 1

    def _skip_comment(self, number: int) -> int:
        self.paragraph = -1
        while number < len(self.lines) and "-->" not in self.lines[number]:
            number += 1
        return number + 1

    def _block(self, number: int, content: str, indent: int, quotes: int, *, item: bool) -> int:
        """Read one block whose first line is `content`, at `indent`."""
        marker = _ITEM.match(content)
        if marker and not _is_rule(content) and self._may_begin_item(marker.group()):
            return self._item(number, content, indent, quotes, marker.end())
        heading = _HEADING.match(content)
        if heading:
            self.paragraph = -1
            text = content[heading.end() :].strip()
            bare = text.rstrip("#")
            if bare != text and (not bare or bare.endswith(" ")):
                text = bare.rstrip()
            self.found.append(Heading(heading.end(1), text, number + 1, self._column(number, text)))
            return number + 1
        if content.startswith(("```", "~~~")) and not ("`" in content.lstrip("`") and content[0] == "`"):
            return self._fence(number, content, indent, quotes)
        if self._underline(content) or (_is_rule(content) and not item):
            self.paragraph = -1
            return number + 1
        if "|" in content and number + 1 < len(self.lines) and _is_delimiter(self.lines[number + 1], content):
            return self._table(number, content)
        self._text(number, content, item=item)
        return number + 1

    def _may_begin_item(self, marker: str) -> bool:
        """A number in the middle of a paragraph begins a list only if it is 1, or inside of a list."""
        return self.paragraph < 0 or marker in "-*+" or marker[:-1] == "1" or bool(self.items)

    def _item(self, number: int, content: str, indent: int, quotes: int, width: int) -> int:
        while self.items and indent < self.items[-1][0] + 2:
            self.items.pop()
        rest = content[width:].lstrip(" ")
        gap = len(content) - width - len(rest)
        self.items.append((indent, indent + width + (gap if 1 <= gap <= _CODE_INDENT else 1)))
        self.paragraph = -1
        if not rest:
            return number + 1
        if len(self.items) > _MAX_NESTING:
            self._text(number, rest, item=True)
            return number + 1
        before = len(self.found)
        following = self._block(number, rest, indent + width + gap, quotes, item=True)
        if content[0].isdigit() and len(self.found) > before and isinstance(opened := self.found[before], Text):
            self.found[before] = replace(opened, number=content[: width - 1])
        return following

    def _text(self, number: int, content: str, *, item: bool) -> None:
        opens = self.paragraph < 0
        if opens:
            self.paragraph = len(self.found)
        content = content.rstrip()
        column = self._column(number, content)
        self.found.append(Text(content, number + 1, column, min(len(self.items), _MAX_NESTING), item, opens))

    def _column(self, number: int, content: str) -> int:
        return max(self.lines[number].find(content[:40]), 0) + 1

    def _underline(self, content: str) -> bool:
        """Make a heading of the paragraph above if this line is its underline.

        `---` below a sentence or a field is a rule that its author forgot to set apart, and no underline.
        """
        bare = content.rstrip()
        if self.paragraph < 0 or bare[0] not in "=-" or bare.strip(bare[0]) or len(bare) < 2 or self.items:
            return False
        paragraph = [block for block in self.found[self.paragraph :] if isinstance(block, Text)]
        text = " ".join(part.text for part in paragraph)
        if bare[0] == "-" and (len(paragraph) > 1 or text.endswith((".", "。")) or _looks_like_field(text)):
            return False
        del self.found[self.paragraph :]
        level = 1 if bare[0] == "=" else 2
        self.found.append(Heading(level, text, paragraph[0].line, paragraph[0].column))
        return True

    def _fence(self, number: int, content: str, indent: int, quotes: int) -> int:
        self.paragraph = -1
        mark = content[: len(content) - len(content.lstrip(content[0]))]
        container = self.items[-1][1] if self.items else 0
        fence = _OpenFence(content[len(mark) :].strip(), mark, number + 1, indent, container, quotes)
        following = self._fence_end(number + 1, fence)
        self.found.append(Fence(fence.info, "".join(f"{line}\n" for line in fence.content), fence.line))
        return following

    def _fence_end(self, number: int, fence: _OpenFence) -> int:
        """Take lines into the fence; the number of the first line behind it. A fence ends with what it stands in."""
        while number < len(self.lines):
            line, quotes = _unquoted(self.lines[number], at_most=fence.quotes)
            content = line.lstrip(" \t")
            indent = len(line) - len(content)
            if quotes < fence.quotes or (content and indent < fence.container and not content.startswith(fence.mark)):
                return number
            if content.startswith(fence.mark) and not content.strip().strip(fence.mark[0]):
                return number + 1
            fence.content.append(line[min(indent, fence.indent) :])
            number += 1
        return number

    def _table(self, number: int, content: str) -> int:
        self.paragraph = -1
        header, first = _cells(content), number + 1
        rows: list[Row] = []
        number += 2
        while number < len(self.lines) and "|" in self.lines[number]:
            rows.append(Row(_cells(_unquoted(self.lines[number])[0]), number + 1))
            number += 1
        self.found.append(Table(header, tuple(rows), first))
        return number


def _unquoted(line: str, at_most: int = _MAX_NESTING) -> tuple[str, int]:
    """A line without its quote marks, and how many there were."""
    quotes = 0
    while quotes < at_most:
        content = line.lstrip(" ")
        if not content.startswith(">") or len(line) - len(content) >= _CODE_INDENT:
            break
        line = content[2:] if content[1:2] == " " else content[1:]
        quotes += 1
    return line, quotes


def _starts_block(content: str) -> bool:
    return content.startswith(("#", "```", "~~~", "<!--", "|")) or _is_rule(content)


def _is_rule(content: str) -> bool:
    if content[0] not in "-_*":
        return False
    bare = content.replace(" ", "")
    return len(bare) >= 3 and not bare.strip(bare[0])


def _looks_like_field(text: str) -> bool:
    return text.startswith("**") and ":" in text


def _is_delimiter(line: str, header: str) -> bool:
    line = _unquoted(line)[0].strip()
    if line.strip("|:- \t") or "-" not in line:
        return False
    cells = _cells(line)
    return all(cell.strip(":") and not cell.strip(":-") for cell in cells) and len(cells) == len(_cells(header))


def _cells(line: str) -> tuple[str, ...]:
    line = line.strip()
    line = line[1:] if line.startswith("|") else line
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    if "\\|" not in line:
        return tuple(cell.strip() for cell in line.split("|"))
    return tuple(cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").split("|"))


# -- short texts ------------------------------------------------------------------------------------------------

_MARKED: Final = re.compile(r"[\[*_~`]")
_EMPHASIS: Final = re.compile(r"\*{1,3}|(?<![\w/.])_{1,3}(?=\w)|(?<=\w)_{1,3}(?![\w/.])")
_STRUCK: Final = re.compile(r"~~[^~]{0,300}~~")
_CHECKBOX: Final = re.compile(r"\[[ xX~/✓✔-]?\][ ]+")
_LINK: Final = re.compile(r"!?\[([^\[\]]{0,300})\]\(([^()\s]{0,500})[^()]{0,100}\)")
_LONGEST: Final = 4000


def plain_text(text: str, *, keep_code: bool = False) -> str:
    """A short text without emphasis, code marks, link targets, check boxes and what is struck out."""
    text = text[:_LONGEST].strip()
    if not _MARKED.search(text):
        return text
    text = without_checkbox(text)
    if "[" in text:
        text = _LINK.sub(r"\1", text)
    if "~~" in text:
        text = _STRUCK.sub("", text)
    text = _EMPHASIS.sub("", text).strip()
    return text if keep_code else text.replace("`", "")


def without_checkbox(text: str) -> str:
    """A list item without its check box."""
    found = _CHECKBOX.match(text)
    return text[found.end() :] if found else text


def link_targets(text: str) -> tuple[str, ...]:
    """Where the links of a short text lead to."""
    return tuple(found.group(2) for found in _LINK.finditer(text[:_LONGEST])) if "](" in text else ()


# -- sections ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with all that stands below it, down to the next heading of its level or above.

    `start` and `end` are positions in the row of blocks (the heading itself is at `start`); `last_line` is the last
    line of the section in its document.
    """

    heading: Heading
    start: int
    end: int
    last_line: int


def sections(row: Sequence[Block], last_line: int) -> tuple[Section, ...]:
    """Every section of a document, in order, nested ones included."""
    done: dict[int, Section] = {}
    open_ones: list[tuple[Heading, int]] = []

    def close(level: int, end: int, line: int) -> None:
        while open_ones and open_ones[-1][0].level >= level:
            heading, start = open_ones.pop()
            done[start] = Section(heading, start, end, line)

    for position, block in enumerate(row):
        if isinstance(block, Heading):
            close(block.level, position, block.line - 1)
            open_ones.append((block, position))
    close(0, len(row), last_line)
    return tuple(done[start] for start in sorted(done))
