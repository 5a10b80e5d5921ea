"""The fields of a section: labels with their values, wrapped lines and lists.

What it does: walks over the blocks of one section and groups them: `**Files to create:**` with the list below it,
`## Dependencies` with its bullets, a table with its rows; and tells which of them stand inside of a numbered part
(`### Task 1.2`) of the section.
What it does not know: what the values mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from wavecrew.plans.labels import Kind, fields_in, kind_of
from wavecrew.plans.markdown import Block, Fence, Heading, Table, Text, without_checkbox
from wavecrew.plans.notations import parse_title
from wavecrew.plans.paths import Use, use_of
from wavecrew.plans.trees import listed_paths

_FILE_KINDS: Final = (Kind.WRITES, Kind.FILES, Kind.READS, Kind.REMOVES)
_BARE_KINDS: Final = (Kind.DEPENDS, Kind.ESTIMATE, Kind.WRITES)
_LONGEST_BARE: Final = 30
MAX_ENTRIES: Final = 5_000
_USE_KINDS = {Use.WRITES: Kind.WRITES, Use.READS: Kind.READS, Use.REMOVES: Kind.REMOVES}


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a field: a line behind the label, or a list item below it."""

    text: str
    line: int
    column: int
    depth: int = 0


@dataclass(slots=True)
class Field:
    """A label that we know, with its values. `inner` tells that it belongs to a numbered part of the section,
    `heading` that the label is a heading; `container` is the number of the heading it stands under."""

    kind: Kind
    label: str
    line: int
    column: int
    entries: list[Entry] = field(default_factory=list)
    inner: bool = False
    heading: bool = False
    container: int = 0
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """What a section holds."""

    fields: tuple[Field, ...]
    tables: tuple[Table, ...]
    fences: tuple[Fence, ...]
    tasks: tuple[Entry, ...] = ()
    """List items that no field took: what is to be done."""
    cut: bool = False
    """Whether there was more than one section can sensibly hold."""


def read_contents(row: Sequence[Block], start: int, end: int) -> Contents:
    """Group the blocks from `start` to `end` (the heading of the section itself not included)."""
    walk = _Walk()
    for position in range(start, end):
        walk.take(row[position], position)
        if walk.count > MAX_ENTRIES:
            return walk.contents(cut=True)
    return walk.contents(cut=False)


@dataclass(slots=True)
class _Walk:
    found: list[Field] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    tasks: list[Entry] = field(default_factory=list)
    current: Field | None = None
    section: Field | None = None
    """The field that the heading above opened; lists below it belong to it unless another field takes them."""
    container: int = 0
    inner_level: int = 0
    count: int = 0

    def contents(self, *, cut: bool) -> Contents:
        return Contents(tuple(self.found), tuple(self.tables), tuple(self.fences), tuple(self.tasks), cut)

    def take(self, block: Block, position: int) -> None:
        if isinstance(block, Heading):
            self._heading(block, position)
        elif isinstance(block, Text):
            self._text(block)
        elif isinstance(block, Fence):
            self._fence(block)
        else:
            self.tables.append(block)
            self.current = self.section

    def _fence(self, fence: Fence) -> None:
        """A fence is an entry of its own below a label for files that has no other entries: a tree or a list."""
        self.fences.append(fence)
        field_ = self.current
        if field_ is not None and field_.kind in _FILE_KINDS and not field_.entries:
            for offset, path in listed_paths(fence):
                field_.entries.append(Entry(f"`{path}`", fence.line + offset, 1, field_.depth))
                self.count += 1

    def _heading(self, heading: Heading, position: int) -> None:
        self.container = position
        if self.inner_level and heading.level <= self.inner_level:
            self.inner_level = 0
        title = parse_title(heading.text)
        self.current = self.section = None
        label, _, value = heading.text.partition(":") if ":" in heading.text else heading.text.partition("：")
        kind = kind_of(label)
        if kind is not None and not (title and title.unit):
            self.section = self._open(kind, label, heading.line, heading.column)
            self.section.heading = True
            if value.strip():
                self.section.entries.append(Entry(value.strip(), heading.line, heading.column + len(label) + 1))
            self.current = self.section
        elif title is not None and title.unit and title.separated and not self.inner_level:
            self.inner_level = heading.level

    def _open(self, kind: Kind, label: str, line: int, column: int, depth: int = 0) -> Field:
        self.count += 1
        opened = Field(kind, label, line, column, [], bool(self.inner_level), False, self.container, depth)
        self.found.append(opened)
        return opened

    def _text(self, text: Text) -> None:
        if not text.opens and self._continues(text):
            return
        labelled = [(label, value, at, self._kind(label)) for label, value, at in fields_in(text.text)]
        if not labelled and text.item and text.text[:1].isupper() and len(text.text) <= _LONGEST_BARE:
            kind = kind_of(text.text)  # `- Dependencies` with the values in a list below it
            labelled = [(text.text, "", 0, kind)] if kind in _BARE_KINDS else []
        if any(kind is not None for *_, kind in labelled):
            self._fields(text, labelled)
        elif self.current is not None and self._belongs(text, labelled):
            self.current.entries.append(Entry(text.text, text.line, text.column, text.depth))
            self.count += 1
        elif text.item:
            if without_checkbox(text.text) != text.text:
                self.tasks.append(Entry(text.text, text.line, text.column, text.depth))
                self.count += 1
        else:
            self.current = None if labelled or text.opens else self.current
            if self.section is not None and text.opens and not labelled:
                self.current = self.section

    def _kind(self, label: str) -> Kind | None:
        kind = kind_of(label)
        if kind is not None:
            return kind
        current = self.current
        if current is not None and current.kind in _FILE_KINDS and not _is_whole(current):
            return None  # `Create: x` below a list of files stays an entry, its verb is read with it
        use = use_of(label) if len(label.split()) <= 3 else None
        return _USE_KINDS[use] if use else None

    def _fields(self, text: Text, labelled: Sequence[tuple[str, str, int, Kind | None]]) -> None:
        for label, value, at, kind in labelled:
            if kind is None:
                self.current = None
                continue
            self.current = self._open(kind, label, text.line, text.column + at, text.depth)
            if value:
                self.current.entries.append(Entry(value, text.line, text.column + at, text.depth))

    def _continues(self, text: Text) -> bool:
        """A wrapped line goes on with the entry above it, unless it opens a field of its own."""
        if self.current is None or not self.current.entries or fields_in(text.text):
            return False
        last = self.current.entries[-1]
        if last.line < text.line - 12:
            return False
        self.current.entries[-1] = Entry(f"{last.text} {text.text}"[:4000], last.line, last.column, last.depth)
        return True

    def _belongs(self, text: Text, labelled: Sequence[object]) -> bool:
        field_ = self.current
        if field_ is None or _is_whole(field_):
            return False
        if text.item or text.depth > field_.depth:
            return text.depth > field_.depth or field_ is self.section
        if not field_.heading or labelled:
            return not field_.entries and not labelled and not text.opens
        return True


def _is_whole(field_: Field) -> bool:
    """A value on the line of its label is the whole value; a list below it is about something else."""
    return bool(field_.entries) and field_.entries[0].line == field_.line


def entries_of(field_: Field) -> Iterator[Entry]:
    """The entries of a field without remarks below them: a deeper list belongs to the item above it."""
    depth = min((entry.depth for entry in field_.entries if entry.depth > field_.depth), default=0)
    for entry in field_.entries:
        if entry.depth <= max(depth, field_.depth):
            yield entry


def bare(entry: Entry) -> str:
    """The text of an entry without its check box."""
    return without_checkbox(entry.text)
