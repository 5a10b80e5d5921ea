"""The phases of one document: which of its sections, list items or table rows are the units of the plan.

What it does: chooses among the numbered headings of a document (phases, and perhaps tasks in them) and unites headings
that name the same phase twice.
What it does not know: plans without such headings (`unnumbered`), folders, and how references are looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from wavecrew.errors import Place, Severity
from wavecrew.models.parallel_execution import Source
from wavecrew.plans.datablocks import enter_data_block
from wavecrew.plans.documents import Document
from wavecrew.plans.draft import Draft, Findings, shown
from wavecrew.plans.labels import Kind
from wavecrew.plans.notations import parse_title, path_as_id
from wavecrew.plans.parts import Part, contents_of, know_each_other
from wavecrew.plans.sections import fill, take_notes
from wavecrew.plans.unnumbered import has_box, parts_without_numbers


def parts_of(document: Document) -> list[Part]:
    """The units of work of a document, in order; several may tell about the same phase."""
    numbered = _numbered_sections(document)
    return _chosen(document, numbered) or parts_without_numbers(document)


def report_odd_ids(document: Document, findings: Findings) -> None:
    """Name the headings that begin as those of units do, and have a path where an id would be: without a word, their
    work would be lost."""
    for section in document.sections:
        odd = path_as_id(section.heading.text)
        if odd:
            findings.add(
                "WC128",
                Severity.WARNING,
                f"this heading is not read as a phase: {shown(odd)} cannot be its id",
                Place(document.shown, section.heading.line, section.heading.column),
                "give it a number or a word as its id: `Phase 3: Title`",
            )


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
    contents = contents_of(document, part)
    enter_data_block(draft, contents.fences, findings)
    fill(draft, contents, findings)
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
        _outermost(unit_parts)
        for unit, unit_parts in _united(document, units)
        if unit and not _is_note_only(unit_parts)
    ]
    candidates = [found for found in candidates if found and (_is_set_apart(found) or _weight(document, found)[0])]
    if candidates:
        return max(candidates, key=lambda found: (_weight(document, found), -found[0].heading.level))
    plain = _outermost(units.get("", []))
    if len(plain) > 1 and _ids(plain) > 1 and (_is_told(document, plain) or _are_task_lists(document, plain)):
        return plain
    return []


def _is_told(document: Document, parts: Sequence[Part]) -> bool:
    """Whether mere numbered sections speak about each other, or most of them tell a time."""
    return know_each_other(document, parts) or 2 * _fields_told(document, parts)[2] > len(parts[:_MOST_LOOKED_AT])


def _united(document: Document, units: dict[str, list[Part]]) -> Iterator[tuple[str, list[Part]]]:
    """The units, in which ids of several letters side by side (`FE-1`, `BE-2`) are one if each tells what it needs."""
    lettered: dict[int, list[str]] = {}
    for unit, parts in units.items():
        if unit.isupper() and _fields_told(document, parts)[0]:
            lettered.setdefault(parts[0].heading.level, []).append(unit)
    together = {level: names for level, names in lettered.items() if len(names) > 1}
    single = {name for names in together.values() for name in names}
    yield from ((unit, parts) for unit, parts in units.items() if unit not in single)
    for names in together.values():
        yield names[0], sorted((part for name in names for part in units[name]), key=lambda part: part.start)


def _are_task_lists(document: Document, parts: Sequence[Part]) -> bool:
    """Whether most of these sections hold items with a check box: work to do, and no mere numbered chapters."""
    with_boxes = sum(any(has_box(block) for block in document.blocks[part.start : part.end]) for part in parts)
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


_MOST_LOOKED_AT: Final = 400


def _weight(document: Document, parts: Sequence[Part]) -> tuple[int, int]:
    """How much these parts look like the units of a plan: fields of their own, files or times, and how many."""
    depends, told, _ = _fields_told(document, parts)
    several = 1 if _ids(parts) > 1 else 0
    return (2 if depends else 1 if told else 0) if several or depends else 0, several


def _fields_told(document: Document, parts: Sequence[Part]) -> tuple[int, int, int]:
    """How many parts have a field about dependencies, how many one that phases have, and how many one about time."""
    depends = told = timed = 0
    unit = parts[0].title.unit if parts else ""
    telling = {Kind.DEPENDS, Kind.ESTIMATE} | ({Kind.WRITES} if unit and not unit.isupper() else set())
    for part in parts[:_MOST_LOOKED_AT]:
        contents = contents_of(document, part)
        kinds = {field.kind for field in contents.fields if not field.inner and (field.entries or field.heading)}
        depends += Kind.DEPENDS in kinds
        told += bool(kinds & telling)
        timed += Kind.ESTIMATE in kinds
    return depends, told, timed
