"""Plans without numbered headings: bold lines, sections with mere names, numbered lists.

What it does: finds the units of work of a document whose headings carry no numbers: `**Phase 1: Title**` as a line or
list item, `## Database` with `Depends on: Setup` below it, and `2. Import - depends on 1`. Lists and sections count
only if they say what they wait for, so that a recipe or a manual is no plan.
What it does not know: numbered headings (`outline`), tables, and what the parts say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from wavecrew.plans.documents import Document
from wavecrew.plans.fields import read_contents
from wavecrew.plans.labels import Kind, kind_of
from wavecrew.plans.markdown import Block, Heading, Section, Text, plain_text, without_checkbox
from wavecrew.plans.notations import UNITS, Title, clean_name, parse_title, slug, tells_dependency
from wavecrew.plans.parts import Part, know_each_other
from wavecrew.plans.wordlists import words

_NO_PHASES: Final = words(
    "overview introduction summary context background goals goal objectives notes risks appendix references glossary"
    " changelog conclusion"
    " dependencies prerequisites timeline roadmap milestones phases requirements scope architecture status progress"
)


def parts_without_numbers(document: Document) -> list[Part]:
    """The units of work of a document without numbered headings; empty when it is no plan."""
    return _bold_items(document) or _named_sections(document) or _numbered_items(document) or _plain_lines(document)


def _bold_items(document: Document) -> list[Part]:
    """`**Phase 1: Title**` as a line or a list item of its own, with what follows until the next one."""
    row = document.blocks
    starts: list[tuple[int, Text, Title]] = []
    for position, block in enumerate(row):
        if isinstance(block, Text) and block.opens:
            title = _bold_title(block)
            if title is not None and (title.unit or starts or has_box(block)):
                starts.append((position, block, title))
    if len({title.id for _, _, title in starts}) < 2:
        return []
    depth = min(block.depth for _, block, _ in starts)
    starts = [entry for entry in starts if entry[1].depth == depth]
    return [_item_part(document, row, starts, number) for number in range(len(starts))]


def has_box(block: Block) -> bool:
    """Whether a block is a list item with a check box."""
    return isinstance(block, Text) and block.item and without_checkbox(block.text) != block.text


def _item_part(
    document: Document, row: Sequence[Block], starts: Sequence[tuple[int, Text, Title]], number: int
) -> Part:
    position, block, title = starts[number]
    end = starts[number + 1][0] if number + 1 < len(starts) else len(row)
    end = next((at for at in range(position + 1, end) if isinstance(row[at], Heading)), end)
    last_line = row[end].line - 1 if end < len(row) else document.last_line
    return Part(title, Heading(7, block.text, block.line, block.column), position + 1, end, last_line)


def _bold_title(block: Text) -> Title | None:
    """The title in a line that begins with it: `- [ ] **Phase 1: Title** - remarks (depends on Phase 2)`."""
    text = without_checkbox(block.text)
    if text.startswith(("**", "__")):
        bold, _, rest = text[2:].partition(text[:2])
    elif block.item and "**" not in text[:80]:
        bold, rest = text, ""
    else:
        return None
    title = parse_title(bold)
    listed = title is not None and title.unit.isupper() and has_box(block)
    if title is None or not (listed or (title.separated and title.name) or rest.startswith((":", " -", " –", " —"))):
        return None
    name, notes = clean_name(title.name or _SENTENCE_END.split(rest.strip(" :-–—"), maxsplit=1)[0])
    return Title(title.unit, title.id, name, title.suffix, (*title.notes, *notes, *_remarks(rest)))


_SENTENCE_END: Final = re.compile(r"\.?[ ]+[*_]{1,2}\w[^*_]{0,30}[:：]|\.[ ]+(?=[A-Z])")
_CUT: Final = re.compile(r"[(（\[)）\];]|[ ](?:-|–|—)[ ]|\.[ ]")


def _remarks(rest: str) -> tuple[str, ...]:
    """What stands behind a title: `(3h) - depends on 1` is two remarks."""
    pieces = (plain_text(piece.strip(" .:-–—"), keep_code=True) for piece in _CUT.split(rest))
    return tuple(piece for piece in pieces if piece)


def _named_sections(document: Document) -> list[Part]:
    """Sections without numbers that say what they depend on: `## Database`, `Depends on: Setup`."""
    by_level: dict[int, list[Section]] = {}
    for section in document.sections:
        by_level.setdefault(section.heading.level, []).append(section)
    for level in sorted(by_level):
        found = [part for section in by_level[level] if (part := _named_part(document, section)) is not None]
        if len(found) > 1 and know_each_other(document, found, by_name=True):
            return found
    return []


def _named_part(document: Document, section: Section) -> Part | None:
    name, notes = clean_name(section.heading.text)
    unit, colon, named = name.partition(":")
    if colon and unit.strip().casefold() in UNITS:
        name = named.strip()  # `Stage: Collect`
    if not slug(name) or slug(name) in _NO_PHASES or kind_of(name) is not None:
        return None
    part = Part(
        Title("", slug(name), name, "", notes), section.heading, section.start + 1, section.end, section.last_line
    )
    return part if _tells(document, part, {Kind.DEPENDS, Kind.ESTIMATE, Kind.WRITES}) else None


def _tells(document: Document, part: Part, kinds: set[Kind]) -> bool:
    nested = next((at for at in range(part.start, part.end) if isinstance(document.blocks[at], Heading)), part.end)
    head = read_contents(document.blocks, part.start, nested)
    if any(field.kind in kinds and field.entries for field in head.fields):
        return True
    contents = read_contents(document.blocks, part.start, part.end)
    return any(field.kind in kinds and field.heading for field in contents.fields)


def _plain_lines(document: Document) -> list[Part]:
    """`Phase 1: Title` as the first line of a paragraph, as in a mail; only if they say what waits for what."""
    starts: list[tuple[int, Text, Title]] = []
    for position, block in enumerate(document.blocks):
        if isinstance(block, Text) and block.opens and not block.item and len(block.text) < 120:
            title = parse_title(block.text)
            if title is not None and title.unit and title.separated and title.name:
                starts.append((position, block, title))
    if len({title.id for _, _, title in starts}) < 2:
        return []
    parts = [_item_part(document, document.blocks, starts, number) for number in range(len(starts))]
    return parts if know_each_other(document, parts) else []


# -- numbered lists ---------------------------------------------------------------------------------------------

_REST: Final = re.compile(r"[ ](?:-|–|—)[ ]|[:：;](?=[ ])|[.,][ ]|[ ]?[(（\[]")


def _numbered_items(document: Document) -> list[Part]:
    """The items of one numbered list, if they say which of them wait for which."""
    row = document.blocks
    for run in _runs(row):
        starts = [(at, block, _item_title(block)) for at, block in run]
        if len(starts) < 2:
            continue
        parts = [_item_part(document, row, starts, number) for number in range(len(starts))]
        if _some_wait(parts, document) and know_each_other(document, parts):
            return parts
    return []


def _some_wait(parts: Sequence[Part], document: Document) -> bool:
    """Whether dependencies are told at all; most documents have numbered lists, and few of them do."""
    return any(
        any(tells_dependency(note) for note in part.title.notes)
        or any(
            isinstance(block, Text) and block.depth > 1 and "depend" in block.text.casefold()
            for block in document.blocks[part.start : part.end]
        )
        for part in parts
    )


def _runs(row: Sequence[Block]) -> Iterator[list[tuple[int, Text]]]:
    """The outermost items of each numbered list, as (position, item); headings end a list."""
    run: list[tuple[int, Text]] = []
    for position, block in enumerate(row):
        starts_anew = isinstance(block, Text) and block.number == "1" and block.depth == 1
        if isinstance(block, Heading) or starts_anew:
            yield run
            run = []
        if isinstance(block, Text) and block.number and block.depth == 1:
            run.append((position, block))
    yield run


def _item_title(block: Text) -> Title:
    """`**Import** (3h) - depends on 1` as a name with remarks."""
    text = without_checkbox(block.text)
    title = _bold_title(replace(block, text=text))
    if title is not None and title.unit:
        return title
    if text.startswith(("**", "__")):
        name, _, rest = text[2:].partition(text[:2])
    else:
        cut = _REST.search(text)
        name, rest = (text[: cut.start()], text[cut.start() :]) if cut else (text, "")
    return Title("", block.number, clean_name(plain_text(name))[0], "", _remarks(rest))
