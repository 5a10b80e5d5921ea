"""What is said about phases outside of them: summary tables, sentences, diagrams.

What it does: reads, in an overview document or around the sections of a plan, tables with a row per phase, sentences
such as `Phase 3 depends on Phase 2`, mermaid graphs and rows of arrows.
What it does not know: which phases exist; it hands back drafts that name the phases they speak about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from wavecrew.errors import Place
from wavecrew.plans.dependencies import Dependencies, Reference, parse_dependencies
from wavecrew.plans.draft import DependencyField, Draft, Statement
from wavecrew.plans.durations import parse_duration
from wavecrew.plans.labels import Kind, kind_of, normal_label
from wavecrew.plans.markdown import Block, Fence, Heading, Table, Text, plain_text
from wavecrew.plans.notations import UNITS, Title, clean_name, parse_title, slug
from wavecrew.plans.paths import read_paths
from wavecrew.plans.wordlists import words

TABLE: Final = -10
SENTENCE: Final = -11
DIAGRAM: Final = -12
_ID_COLUMNS: Final = frozenset(
    {"#", "no", "no.", "nr", "id", "number", "序号", "번호", "num", "№", "wbs", "key", "ref", "code", ""}
)
_NAME_COLUMNS: Final = words(
    "name title activity work item description focus goal summary deliverable what 名称 标题 내용 이름 内容 目标 titel"
    " nom nombre"
)
_WORKING_UNITS: Final = frozenset(
    word for word, unit in UNITS.items() if unit in ("phase", "milestone", "stage", "step", "task", "sprint", "epic")
)
_LONGEST: Final = 500


_MAX_ROWS: Final = 5_000


def remarks(file: str, row: Sequence[Block], skip: Iterable[tuple[int, int]] = ()) -> list[Draft]:
    """Everything that blocks outside of `skip` (ranges of positions) say about phases."""
    hidden = {position for start, end in skip for position in range(start, end)}
    found: list[Draft] = []
    for position, block in enumerate(_joined(row)):
        if isinstance(block, Table):
            found.extend(table_rows(file, block))
        elif position in hidden or isinstance(block, Heading):
            continue
        elif isinstance(block, Fence):
            found.extend(_fence(file, block))
        else:
            line = row[position]
            said = list(_sentence(file, block)) if block.text else []
            found.extend(said)
            if not said and isinstance(line, Text) and _TEXT_ARROW.search(line.text[:_LONGEST]):
                found.extend(_arrows(file, [line.text], line.line))
    return found


def _joined(row: Sequence[Block]) -> Iterator[Block]:
    """The blocks with every paragraph as one text; wrapped lines leave an empty one, so that positions stay."""
    waiting: list[Block] = []
    for block in row:
        if isinstance(block, Text) and not block.opens and waiting and isinstance(waiting[0], Text):
            first = waiting[0]
            if len(first.text) < _LONGEST:
                waiting[0] = replace(first, text=f"{first.text} {block.text}")
            waiting.append(replace(block, text=""))
            continue
        yield from waiting
        waiting = [block]
    yield from waiting


# -- tables -----------------------------------------------------------------------------------------------------


def table_rows(file: str, table: Table) -> list[Draft]:
    """A draft for each row that names a phase; empty when the table is about something else."""
    labels = [normal_label(plain_text(cell)) for cell in table.header]
    key = next((column for column, label in enumerate(labels) if _is_key(label)), None)
    if key is None:
        return []
    kinds = {column: kind_of(plain_text(cell)) for column, cell in enumerate(table.header) if column != key}
    name = next(
        (at for at, label in enumerate(labels) if at != key and (label in _NAME_COLUMNS or label in UNITS)), None
    )
    found = []
    for row in table.rows[:_MAX_ROWS]:
        draft = _row_draft(Place(file, row.line, 1), row.cells, key, labels[key], name)
        if draft is not None:
            _row_values(draft, row.cells, kinds, table.header)
            found.append(draft)
    return found


def named_rows(file: str, table: Table) -> list[Draft]:
    """Rows that name their phases by words alone, in a table that also says what each waits for."""
    labels = [normal_label(plain_text(cell)) for cell in table.header]
    key = next((column for column, label in enumerate(labels) if label in _WORKING_UNITS), None)
    kinds = {column: kind_of(plain_text(cell)) for column, cell in enumerate(table.header) if column != key}
    if key is None or Kind.DEPENDS not in kinds.values():
        return []
    found = []
    for row in table.rows[:_MAX_ROWS]:
        name = clean_name(plain_text(row.cells[key]))[0] if key < len(row.cells) else ""
        if slug(name):
            draft = Draft(slug(name), name, place=Place(file, row.line, 1))
            _row_values(draft, row.cells, kinds, table.header)
            found.append(draft)
    names = {draft.id for draft in found}
    return found if any(_names_one_of(draft, names) for draft in found) else []


def _names_one_of(draft: Draft, names: set[str]) -> bool:
    statements = (statement for part in draft.dependencies for statement in part.statements)
    references = (reference for statement in statements for reference in statement.meaning.references)
    return any(slug(piece) in names for reference in references for piece in reference.text.split(","))


def _is_key(label: str) -> bool:
    return label in _ID_COLUMNS or (UNITS.get(label.partition(" ")[0]) is not None and kind_of(label) is None)


def _row_draft(place: Place, cells: Sequence[str], key: int, label: str, name: int | None) -> Draft | None:
    cell = plain_text(cells[key]) if key < len(cells) else ""
    title = parse_title(cell) or _bare_id(cell)
    if title is None:
        return None
    unit = title.unit or UNITS.get(label.partition(" ")[0], "")
    given = clean_name(plain_text(cells[name]))[0] if name is not None and name < len(cells) else ""
    return Draft(title.id, title.name or given, unit, place=place)


_BARE_ID: Final = re.compile(r"\d{1,6}(?:\.\d{1,4}){0,3}[a-z]?$|[A-Z]{1,3}-?\d{1,4}$")


def _bare_id(cell: str) -> Title | None:
    if _BARE_ID.match(cell):
        return Title("", cell, "")
    number, _, name = cell.partition(" ")
    return Title("", number.rstrip("."), name) if _BARE_ID.match(number.rstrip(".")) and len(cell) < 100 else None


def _row_values(draft: Draft, cells: Sequence[str], kinds: dict[int, Kind | None], header: Sequence[str]) -> None:
    for column, kind in kinds.items():
        text = plain_text(cells[column]) if column < len(cells) else ""
        if kind is Kind.DEPENDS and text:
            meaning = parse_dependencies(cells[column])
            draft.dependencies.append(DependencyField([Statement(meaning, text, draft.place)], TABLE))
        elif kind is Kind.WRITES and text:
            draft.add_paths(draft.outputs, read_paths(cells[column]).paths)
        elif kind is Kind.ESTIMATE and draft.estimate is None:
            title = header[column].casefold()
            bare = (
                "hour"
                if any(word in title for word in ("hour", "hrs", "(h)", "工时", "時間"))
                else "day"
                if "days" in title
                else ""
            )
            draft.estimate = parse_duration(text, bare=bare)


# -- sentences --------------------------------------------------------------------------------------------------

_VERB: Final = re.compile(
    r"(?:\b(?:depends? (?:up)?on|requires?|needs|is blocked by|blocked by|(?:should|must|can|to) (?:come|start|run"
    r"|begin|follow|only start)s?(?: only)?(?: after)?"
    r"|comes? after|starts? after|follows|builds on|waits for|after|independent|no dependenc(?:y|ies)|hängt ab von"
    r"|benötigt|dépend de|depende de|зависит от)\b"
    r"|依赖(?:于)?|需要|의존|に依存)",
    re.IGNORECASE,
)
_MARKERS: Final = re.compile(r"[^\w(\[（第]*")


def _sentence(file: str, text: Text) -> Iterator[Draft]:
    for sentence in text.text[:_LONGEST].split(". "):
        yield from _subject_and_verb(file, plain_text(sentence), Place(file, text.line, text.column))


def _subject_and_verb(file: str, sentence: str, place: Place) -> Iterator[Draft]:
    verb = _VERB.search(sentence)
    if not verb or verb.start() == 0:
        return
    subject = sentence[: verb.start()]
    references = _subjects(subject) if len(subject) <= 120 else []
    if len(references) > 1 and verb.group().casefold() == "independent":
        return  # they are independent of each other
    meaning = parse_dependencies(sentence[verb.start() :])
    if not references or not (meaning.stated or any(item.named for item in meaning.references)):
        return
    for reference in references:
        yield Draft(
            reference.text,
            unit=reference.unit,
            place=place,
            aliases=_words_of(subject) if len(references) == 1 else [],
            dependencies=[DependencyField([Statement(meaning, sentence, place)], SENTENCE)],
        )


def _subjects(text: str) -> list[Reference]:
    """The phases that a sentence begins with: `Phase 3 (API)`, `**Foundational (Phase 2)**:`, `Phases 3-5: all`."""
    start = _MARKERS.match(text)
    text = text[start.end() :] if start else text
    meaning = parse_dependencies(text.split("←")[0].split("<-")[0].rstrip(" :-–—,("))
    numbered = [reference for reference in meaning.references if not reference.named]
    certain = [reference for reference in numbered if reference.unit and reference.sure] or numbered
    if certain:
        return [single for reference in certain for single in _singles(reference)]
    named = [reference for reference in meaning.references if len(reference.text) < 60]
    return named if len(named) == 1 else []


def _singles(reference: Reference) -> list[Reference]:
    """A range of numbers as single references."""
    first, last = reference.text, reference.last
    if not last:
        return [reference]
    if not (first.isdigit() and last.isdigit() and int(last) - int(first) < 100):
        return []
    return [Reference(str(number), unit=reference.unit) for number in range(int(first), int(last) + 1)]


def _words_of(subject: str) -> list[str]:
    bare = subject.strip(" :-–—*").split("(")[0].strip()
    return [bare] if bare else []


# -- diagrams ---------------------------------------------------------------------------------------------------

_PROSE_FENCES: Final = frozenset({"", "text", "txt", "ascii", "plain", "plaintext", "diagram", "mermaid", "graph"})


def _fence(file: str, fence: Fence) -> Iterator[Draft]:
    words = fence.info.casefold().split()
    if (words[0] if words else "") not in _PROSE_FENCES or len(fence.text) > 100_000:
        return
    lines = fence.text.split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    if (words and words[0] == "mermaid") or first.startswith(("graph ", "flowchart ")):
        yield from _mermaid(file, lines, fence.line)
        return
    sentences = [
        found
        for offset, line in enumerate(lines)
        for found in _subject_and_verb(file, line.strip(), Place(file, fence.line + offset + 1))
    ]
    yield from sentences
    if not sentences:
        yield from _arrows(file, lines, fence.line + 1)


_ARROW: Final = re.compile(r"[ ]*(?:-{2,}>|={2,}>|-\.{1,3}->|--[^->|\n]{1,40}-->|-{3,})[ ]*(?:\|[^|\n]{0,60}\|[ ]*)?")
_NODE: Final = re.compile(
    r"(?P<id>[\w.-]{1,60})[ ]*(?:[\[({>]{1,3}\"?(?P<label>[^\])}\"\n]{0,200})\"?[\])}]{1,3})?(?::::\w+)?[ ;]*$"
)


def _mermaid(file: str, lines: Sequence[str], first_line: int) -> Iterator[Draft]:
    labels: dict[str, str] = {}
    edges: list[tuple[str, str, int]] = []
    for offset, line in enumerate(lines):
        parts = [[_node(name, labels) for name in part.split("&")] for part in _ARROW.split(line.strip()[:_LONGEST])]
        for sources, targets in pairwise(parts):
            if "-." in line:
                continue  # a dotted arrow is a remark
            edges += [
                (source, target, first_line + offset + 1)
                for source in sources
                for target in targets
                if source and target
            ]
    for source, target, line_number in edges[:5000]:
        before, after = _named_node(source, labels), _named_node(target, labels)
        if before is not None and after is not None:
            yield _edge(file, before, after, line_number)


def _node(text: str, labels: dict[str, str]) -> str:
    found = _NODE.match(text.strip())
    if not found:
        return ""
    if found.group("label"):
        labels.setdefault(found.group("id"), found.group("label").replace("<br/>", " ").replace("<br>", " "))
    return found.group("id")


def _named_node(name: str, labels: dict[str, str]) -> Reference | None:
    for text in filter(None, (labels.get(name), name)):
        title = parse_title(text)
        if title is not None and title.unit:
            return Reference(title.id, unit="" if title.unit.isupper() else title.unit)
    label = labels.get(name, "")
    return Reference(label or name, named=True, sure=False)


def _edge(file: str, before: Reference, after: Reference, line: int) -> Draft:
    place = Place(file, line, 1)
    statement = Statement(Dependencies((before,)), f"{before} -> {after}", place)
    return Draft(
        after.text,
        unit=after.unit,
        place=place,
        aliases=[after.text],
        dependencies=[DependencyField([statement], DIAGRAM)],
    )


_TEXT_ARROW: Final = re.compile(r"[ ]*(?:[-─—═=]{1,6}[>►▶→]|→|⟶|⇒|➜|➔|▶|►)[ ]*")
_DOWN: Final = frozenset("↓▼|│┃v V⬇")


def _arrows(file: str, lines: Sequence[str], first_line: int) -> Iterator[Draft]:
    """`Phase 1 -> Phase 2`, and phases above each other with arrows down between them."""
    above: Reference | None = None
    arrow = False
    for offset, line in enumerate(lines):
        bare = line.strip()
        if bare and not set(bare) - _DOWN:
            arrow = True
            continue
        groups = [_references(part) for part in _TEXT_ARROW.split(bare[:_LONGEST])]
        for sources, targets in pairwise(groups):
            for source in sources:
                yield from (_edge(file, source, target, first_line + offset) for target in targets)
        single = groups[0][0] if len(groups) == 1 and len(groups[0]) == 1 else None
        if single is not None and above is not None and arrow:
            yield _edge(file, above, single, first_line + offset)
        if bare:
            above, arrow = single, False


def _references(text: str) -> list[Reference]:
    bare = text.strip(" │|├└┌┐─[]")
    found = (
        parse_dependencies(bare).references or parse_dependencies(text.replace("(", " ").replace(")", " ")).references
    )
    return [reference for reference in found if not reference.named and reference.unit and not reference.last]
