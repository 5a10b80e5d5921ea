"""The phases of one document: which of its sections, list items or table rows are the units of the plan.

What it does: chooses among the numbered headings of a document (phases, and perhaps tasks in them), unites headings
that name the same phase twice, and falls back to bold items, plain named sections and tables when nothing is numbered.
What it does not know: folders, and how references between phases are looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from wavecrew.errors import Place
from wavecrew.models.parallel_execution import Source
from wavecrew.plans.documents import Document
from wavecrew.plans.draft import Draft, Findings
from wavecrew.plans.fields import Contents, read_contents
from wavecrew.plans.labels import Kind, kind_of
from wavecrew.plans.markdown import Block, Heading, Section, Text, without_checkbox
from wavecrew.plans.notations import Title, clean_name, parse_title, slug
from wavecrew.plans.sections import fill, take_notes
from wavecrew.plans.wordlists import words

_NO_PHASES: Final = words(
    "overview introduction summary context background goals goal objectives notes risks appendix references glossary"
    " changelog conclusion"
    " dependencies prerequisites timeline roadmap milestones phases requirements scope architecture status progress"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a document that tells about one unit of work: its title and its blocks."""

    title: Title
    heading: Heading
    start: int
    end: int
    last_line: int


def parts_of(document: Document) -> list[Part]:
    """The units of work of a document, in order; several may tell about the same phase."""
    numbered = _numbered_sections(document)
    return _chosen(document, numbered) or _bold_items(document) or _named_sections(document)


def drafts_of(document: Document, parts: Iterable[Part], findings: Findings) -> list[Draft]:
    """One draft for each phase, in the order of first mention; later sections of a phase add what is not known yet."""
    drafts: dict[str, Draft] = {}
    for part in parts:
        draft = draft_of(document, part, findings)
        known = drafts.get(f"{draft.id}\n{draft.suffix}")
        if known is None:
            drafts[f"{draft.id}\n{draft.suffix}"] = draft
        else:
            known.take_over(draft)
    return list(drafts.values())


def draft_of(document: Document, part: Part, findings: Findings) -> Draft:
    """A draft with everything that one part says."""
    line = part.heading.line
    draft = Draft(
        part.title.id,
        part.title.name,
        part.title.unit,
        part.title.suffix,
        place=Place(document.shown, line, part.heading.column),
    )
    last = _last_line(document, line, part.last_line)
    draft.source = Source(document.shown, line, last)
    draft.description = document.excerpt(line, last)
    fill(draft, read_contents(document.blocks, part.start, part.end), findings)
    take_notes(draft, part.title.notes)
    return draft


def _last_line(document: Document, first: int, last: int) -> int:
    """The last line that holds something, so that empty lines and a rule before the next heading do not count."""
    while last > first and not document.lines[last - 1].strip(" \t-*_"):
        last -= 1
    return last


# -- numbered headings ------------------------------------------------------------------------------------------


def _numbered_sections(document: Document) -> list[Part]:
    found: list[Part] = []
    for section in document.sections:
        title = parse_title(section.heading.text)
        if title is not None:
            found.append(Part(title, section.heading, section.start + 1, section.end, section.last_line))
    return found


def _chosen(document: Document, parts: Sequence[Part]) -> list[Part]:
    """The headings of the unit that the plan is made of."""
    units: dict[str, list[Part]] = {}
    for part in parts:
        units.setdefault(part.title.unit, []).append(part)
    candidates = [
        _outermost(unit_parts) for unit, unit_parts in units.items() if unit and not _is_note_only(unit_parts)
    ]
    candidates = [found for found in candidates if found and (_is_set_apart(found) or _weight(document, found)[0])]
    if candidates:
        return max(candidates, key=lambda found: (_weight(document, found), -found[0].heading.level))
    plain = _outermost(units.get("", []))
    if len(plain) > 1 and _ids(plain) > 1 and (_weight(document, plain)[0] or _are_task_lists(document, plain)):
        return plain
    return []


def _are_task_lists(document: Document, parts: Sequence[Part]) -> bool:
    """Whether most of these sections hold items with a check box: work to do, and no mere numbered chapters."""
    with_boxes = sum(any(_has_box(block) for block in document.blocks[part.start : part.end]) for part in parts)
    return 2 * with_boxes > len(parts)


def _ids(parts: Sequence[Part]) -> int:
    return len({(part.title.id, part.title.suffix) for part in parts})


def _is_set_apart(parts: Sequence[Part]) -> bool:
    """Whether these headings say by their form that they are units: `Phase 1`, or `T1: Title` with a colon."""
    return not parts[0].title.unit.isupper() or any(part.title.separated for part in parts)


def _is_note_only(parts: Sequence[Part]) -> bool:
    """Whether no heading of a unit sets its name apart: `Phase 5 notes`, `H2 results`."""
    return not any(part.title.separated for part in parts) and len(parts) == 1


def _outermost(parts: Sequence[Part]) -> list[Part]:
    """Headings that do not lie inside of another one of their unit; those inside a lone one count instead of it."""
    outer: list[Part] = []
    end = -1
    for part in parts:
        if part.start >= end:
            outer.append(part)
            end = part.end
    if _ids(outer) == 1 and _ids(parts) > 2:
        return _outermost([part for part in parts if part not in outer])
    if not any(part.title.separated for part in outer):
        return outer
    named = {(part.title.id) for part in outer if part.title.separated}
    return [part for part in outer if part.title.separated or part.title.id in named or part.title.unit]


def _weight(document: Document, parts: Sequence[Part]) -> tuple[int, int, int]:
    """How much these parts look like the units of a plan: fields of their own, files or times, and how many."""
    depends = told = 0
    unit = parts[0].title.unit if parts else ""
    telling = {Kind.DEPENDS, Kind.ESTIMATE} | ({Kind.WRITES} if unit and not unit.isupper() else set())
    for part in parts[:400]:
        contents = _own_contents(document, part)
        kinds = {field.kind for field in contents.fields if not field.inner and (field.entries or field.heading)}
        depends += Kind.DEPENDS in kinds
        told += bool(kinds & telling)
    several = 1 if _ids(parts) > 1 else 0
    return (2 if depends else 1 if told else 0) if several or depends else 0, several, 0


def _own_contents(document: Document, part: Part) -> Contents:
    return read_contents(document.blocks, part.start, part.end)


# -- without numbered headings ----------------------------------------------------------------------------------


def _bold_items(document: Document) -> list[Part]:
    """`**Phase 1: Title**` as a line or a list item of its own, with what follows until the next one."""
    row = document.blocks
    starts: list[tuple[int, Text, Title]] = []
    for position, block in enumerate(row):
        if isinstance(block, Text) and block.opens:
            title = _bold_title(block)
            if title is not None and (title.unit or starts or _has_box(block)):
                starts.append((position, block, title))
    if len({title.id for _, _, title in starts}) < 2:
        return []
    depth = min(block.depth for _, block, _ in starts)
    starts = [entry for entry in starts if entry[1].depth == depth]
    return [_item_part(document, row, starts, number) for number in range(len(starts))]


def _has_box(block: Block) -> bool:
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
    listed = title is not None and title.unit.isupper() and _has_box(block)
    if title is None or not (listed or (title.separated and title.name) or rest.startswith((":", " -", " –", " —"))):
        return None
    name, notes = clean_name(title.name or rest.strip(" :-–—"))
    remarks = tuple(part.rstrip(")") for part in rest.split("(")[1:])
    remarks += (rest.strip(" :-–—"),) if "depend" in rest.casefold() and not remarks else ()
    return Title(title.unit, title.id, name, title.suffix, (*title.notes, *notes, *remarks))


def _named_sections(document: Document) -> list[Part]:
    """Sections without numbers that say what they depend on: `## Database`, `Depends on: Setup`."""
    by_level: dict[int, list[Section]] = {}
    for section in document.sections:
        by_level.setdefault(section.heading.level, []).append(section)
    for level in sorted(by_level):
        found = [part for section in by_level[level] if (part := _named_part(document, section)) is not None]
        if len(found) > 1 and any(_tells(document, part, {Kind.DEPENDS}) for part in found):
            return found
    return []


def _named_part(document: Document, section: Section) -> Part | None:
    name, notes = clean_name(section.heading.text)
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
