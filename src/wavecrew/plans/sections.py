"""One phase out of one section: its fields, tables and runbook blocks become parts of a draft.

What it does: reads what the fields of a section mean (dependencies, estimate, files) and which fenced blocks are to be
carried out.
What it does not know: other phases, and how the section was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from wavecrew.errors import Place, Severity
from wavecrew.models.parallel_execution import Step, StepKind
from wavecrew.plans.dependencies import parse_dependencies
from wavecrew.plans.draft import DependencyField, Draft, Findings, Statement, shown
from wavecrew.plans.durations import parse_duration
from wavecrew.plans.fields import Contents, Entry, Field, bare, entries_of
from wavecrew.plans.labels import Kind, fields_in, kind_of, normal_label
from wavecrew.plans.markdown import Fence, Table, plain_text
from wavecrew.plans.notations import tells_dependency
from wavecrew.plans.paths import Use, read_paths, use_of
from wavecrew.plans.wordlists import words

_WEAK_LABELS: Final = words("requires require required needs after follows nach uses blockers blocker timeline")
_ACTIONS: Final = words("action change type operation mode status access kind 操作 작업 類型 类型 aktion")
_FORWARD: Final = words(
    "blocks unblocks enables unlocks required-by needed-by successors successor feeds-into feeds leads-to followed-by"
    " blockiert ermöglicht bloque permet bloquea habilita блокирует 后续 阻塞 후속 後続"
)
"""Labels that name what waits for this phase."""
_MAX_PATHS: Final = 2000  # of one field or table; more is no plan of one phase


def fill(draft: Draft, contents: Contents, findings: Findings) -> None:
    """Enter what the fields, tables and fences of a section say."""
    file = draft.place.file
    if contents.cut:
        message = "more fields and list items than one phase can have; the rest was left out"
        findings.add("WC112", Severity.WARNING, message, draft.place, "cut the phase into several", (draft.id,))
    for field in contents.fields:
        _add_field(draft, field, file)
    for table in contents.tables:
        _add_table(draft, table, file)
    if not draft.outputs:
        _add_tasks(draft, contents.tasks)
    for fence in contents.fences:
        _add_step(draft, fence, findings)
    if draft.estimate is None and draft.estimate_stated:
        _complain_about_estimate(draft, contents, findings)


# -- dependencies -----------------------------------------------------------------------------------------------


def _add_field(draft: Draft, field: Field, file: str) -> None:
    """Enter one field; what a task inside of the phase waits for, or how long it takes, is not said of the phase."""
    if field.kind in _DEFAULT_USES:
        _add_files(draft, field.kind, _file_entries(field))
    elif field.inner:
        return
    elif field.kind is Kind.DEPENDS:
        _add_dependencies(draft, field, file)
    elif field.kind is Kind.ESTIMATE:
        _add_estimate(draft, field)
    else:
        _add_followers(draft, field, file)


def _add_dependencies(draft: Draft, field: Field, file: str) -> None:
    statements = [_statement(entry, file) for entry in entries_of(field) if plain_text(entry.text)]
    weak = normal_label(field.label) in _WEAK_LABELS or (not field.heading and field.depth > 0)
    if statements:
        draft.dependencies.append(DependencyField(statements, field.container, quiet=weak))


def _add_followers(draft: Draft, field: Field, file: str) -> None:
    if normal_label(field.label).replace(" ", "-") in _FORWARD:
        draft.followers += [_statement(entry, file) for entry in entries_of(field) if plain_text(entry.text)]


def _statement(entry: Entry, file: str) -> Statement:
    return Statement(parse_dependencies(bare(entry)), plain_text(entry.text), Place(file, entry.line, entry.column))


_PIECES: Final = re.compile(r"[;|·•]|,(?=[ ]*(?:dep|req|need|after|block|est|~|\d{1,3}[ ]?(?:h|d|m)))", re.IGNORECASE)


def take_notes(draft: Draft, notes: Iterable[str]) -> None:
    """Enter what stands in brackets behind the name of a phase: `(2h)`, `(depends on Phase 1)`."""
    for note in (piece for whole in notes for piece in _PIECES.split(whole)):
        for label, value, _ in fields_in(note):
            if kind_of(label) is Kind.WRITES:
                _put(draft, Use.WRITES, read_paths(value).paths)
        hours = parse_duration(note)
        meaning = parse_dependencies(note)
        if hours is not None and draft.estimate is None:
            draft.estimate = hours
        elif tells_dependency(note) and meaning.stated and not meaning.none:
            draft.dependencies.append(DependencyField([Statement(meaning, note, draft.place)], -1))


# -- estimates --------------------------------------------------------------------------------------------------


def _add_estimate(draft: Draft, field: Field) -> None:
    entries = list(entries_of(field))
    if draft.estimate is not None or not entries:
        return
    unit = _unit_of(field.label)
    totals = [entry for entry in entries if "total" in entry.text.casefold()]
    for entry in (*totals, *entries[:20]):
        draft.estimate = parse_duration(plain_text(entry.text), bare=unit)
        if draft.estimate is None and ":" in entry.text[:60]:
            draft.estimate = parse_duration(plain_text(entry.text).partition(":")[2], bare=unit)
        if draft.estimate is not None:
            break
    draft.estimate_stated = True


def _unit_of(label: str) -> str:
    """The unit that a label names: `Estimated hours`, `Time (min)`."""
    words = label.casefold().replace("(", " ").replace(")", " ").split()
    for unit, names in {
        "hour": ("hours", "hrs", "h", "工时", "工時"),
        "day": ("days", "d"),
        "minute": ("minutes", "min", "mins"),
    }.items():
        if any(word in names for word in words):
            return unit
    return ""


def _complain_about_estimate(draft: Draft, contents: Contents, findings: Findings) -> None:
    for field in contents.fields:
        if (
            field.kind is Kind.ESTIMATE
            and not field.inner
            and field.entries
            and normal_label(field.label) not in _WEAK_LABELS
        ):
            entry = field.entries[0]
            place = Place(draft.place.file, entry.line, entry.column)
            report_estimate(findings, plain_text(entry.text), place, draft.id)
            return


def report_estimate(findings: Findings, text: str, place: Place, phase: str) -> None:
    """Say that an estimate is not understood."""
    findings.add(
        "WC118",
        Severity.INFO,
        f"{shown(text)!r} is no amount of time; the estimate stays unknown",
        place,
        "write hours or days, such as `2h`, `1-2 days` or `90 min`",
        (phase,),
    )


# -- files ------------------------------------------------------------------------------------------------------


def _file_entries(field: Field) -> Iterable[Entry]:
    """The entries that may name files; below an item that names none (`Backend:`) the inner list counts."""
    barren_depth = 0
    shallow = min((other.depth for other in field.entries if other.depth > field.depth), default=0)
    for entry in field.entries:
        if entry.depth <= max(shallow, field.depth) or (barren_depth and entry.depth == barren_depth + 1):
            yield entry
            if not read_paths(entry.text).paths:
                barren_depth = entry.depth
            elif entry.depth == shallow:
                barren_depth = 0


_DEFAULT_USES: Final = {Kind.WRITES: Use.WRITES, Kind.READS: Use.READS, Kind.REMOVES: Use.REMOVES, Kind.FILES: None}


def _add_files(draft: Draft, kind: Kind, entries: Iterable[Entry]) -> None:
    found: dict[Use | None, list[str]] = {}
    for entry in entries:
        mention = read_paths(entry.text)
        use = _DEFAULT_USES[kind]
        if kind in (Kind.WRITES, Kind.FILES):
            use = mention.use or use
        found.setdefault(use, []).extend(mention.paths)
    for use, paths in found.items():
        _put(draft, use, tuple(paths[:_MAX_PATHS]))


def _put(draft: Draft, use: Use | None, paths: tuple[str, ...]) -> None:
    rows = {Use.WRITES: draft.outputs, Use.READS: draft.reads, Use.REMOVES: draft.locks}
    if use is not None and len(rows[use]) < _MAX_PATHS:
        draft.add_paths(rows[use], paths)


def _add_tasks(draft: Draft, tasks: Iterable[Entry]) -> None:
    """`- [ ] Create `src/a.py``: where no list of files is given, what is to be created or changed is told so."""
    for task in tasks:
        mention = read_paths(task.text)
        if mention.use is Use.WRITES:
            _put(draft, Use.WRITES, mention.paths)


# -- tables -----------------------------------------------------------------------------------------------------


def _add_table(draft: Draft, table: Table, file: str) -> None:
    kinds = [kind_of(cell) for cell in table.header]
    files = [column for column, kind in enumerate(kinds) if kind in (Kind.WRITES, Kind.READS, Kind.REMOVES)]
    if len(table.header) == 2 and not _is_file_table(table, files):
        _add_pairs(draft, table, file)
        return
    action = next((column for column, cell in enumerate(table.header) if normal_label(cell) in _ACTIONS), None)
    for row in table.rows[:_MAX_PATHS]:
        told = use_of(plain_text(row.cells[action])) if action is not None and action < len(row.cells) else None
        for column in files:
            if column < len(row.cells):
                mention = read_paths(row.cells[column])
                _put(draft, told or mention.use or _DEFAULT_USES[kinds[column] or Kind.WRITES], mention.paths)


def _is_file_table(table: Table, files: list[int]) -> bool:
    return bool(files) and any(
        read_paths(row.cells[files[0]]).paths for row in table.rows[:20] if files[0] < len(row.cells)
    )


def _add_pairs(draft: Draft, table: Table, file: str) -> None:
    """A table of two columns in which each row is a field: `| Depends on | Phase 1 |`."""
    rows = ((table.header, table.line), *((row.cells, row.line) for row in table.rows[:200]))
    for cells, line in rows:
        kind = kind_of(plain_text(cells[0])) if len(cells) == 2 else None
        if kind is None or kind is Kind.NEITHER or not cells[1]:
            continue
        field = Field(kind, cells[0], line, 1, [Entry(cells[1], line, 1)], container=-2)
        if kind is Kind.DEPENDS:
            _add_dependencies(draft, field, file)
        elif kind is Kind.ESTIMATE:
            _add_estimate(draft, field)
        else:
            _add_files(draft, kind, field.entries)


# -- runbook blocks ---------------------------------------------------------------------------------------------


def _add_step(draft: Draft, fence: Fence, findings: Findings) -> None:
    words = fence.info.split()
    marks = [word for word in words[1:] if word in ("run", "check") or word.startswith("file=")]
    if not marks:
        return
    place = Place(draft.place.file, fence.line, 1)
    path = marks[0].removeprefix("file=").strip("\"'") if marks[0].startswith("file=") else ""
    if len(marks) > 1 or (marks[0].startswith("file=") and not path):
        reason = "more than one of run, check and file=" if len(marks) > 1 else "no path behind file="
        findings.add(
            "WC124",
            Severity.ERROR,
            f"a runbook block has {reason}",
            place,
            "keep one of them, for example ```sh run",
            (draft.id,),
        )
        return
    kind = StepKind.FILE if path else StepKind(marks[0])
    draft.steps.append(Step(kind, fence.text, words[0], path, fence.line))
