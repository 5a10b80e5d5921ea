"""Documents in, a plan out: `read_plan(path)`.

What it does: decides what a path is (a folder of phase documents, one document with a section per phase, a data file),
has it read, lets an overview tell what the phases leave open, and gives back a plan with every finding.
What it does not know: notations (the modules beside it do), and whether the plan is sound: the checks come later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wavecrew.errors import NotFoundError, Place, PlanError, Severity
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.plan import Plan
from wavecrew.plans.dataplan import MAX_PHASES, read_data_plan
from wavecrew.plans.documents import DATA, MARKDOWN, Document, files_in, read_document, read_text, shown_path
from wavecrew.plans.draft import DependencyField, Draft, Findings
from wavecrew.plans.folders import draft_of_document, main_documents, plan_order, report_front_matter, sort_out
from wavecrew.plans.index import Index
from wavecrew.plans.markdown import Heading, Table
from wavecrew.plans.notations import clean_name
from wavecrew.plans.outline import drafts_of, parts_of, report_odd_ids
from wavecrew.plans.overview import DIAGRAM, named_rows, remarks, table_rows
from wavecrew.plans.resolution import MAX_DEPENDENCIES, Reading, build, resolve

_FIX: Final = (
    "give a folder with one document per phase (phase-1-setup.md), a document with a heading per phase"
    " (## Phase 1: Setup), or a plan.yaml with a list of `phases`"
)
MAX_FOLLOWED: Final = 5_000
_NOTHING_STATED: Final = "no document states a dependency: all phases can start at once"


@dataclass(slots=True)
class _Raw:
    """What was read, before references are looked up."""

    name: str
    drafts: list[Draft]
    remarks: list[Draft] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read the plan at a path.

    What cannot be read is told in the diagnostics of the plan. Raises NotFoundError when there is nothing at the path,
    and PlanError when nothing there looks like a plan.
    """
    given = os.fspath(path)
    where = Path(given)
    findings = Findings()
    kind = _kind_of(where, given)
    if kind == "folder":
        raw = _read_folder(where, findings)
    elif where.suffix.casefold() in DATA:
        raw = _read_data(where, findings)
    else:
        raw = _read_single(where, findings)
    return _finished(raw, shown_path(where), findings)


def _kind_of(where: Path, given: str) -> str:
    try:
        if where.is_dir():
            return "folder"
        where.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotFoundError(
            f"no plan at {given[:200]!r}: {reason}", fix="check the path; `wavecrew plan FOLDER` reads a folder"
        ) from None
    return "file"


# -- the three shapes of a plan ---------------------------------------------------------------------------------


def _read_data(where: Path, findings: Findings) -> _Raw:
    text = read_text(where, findings)
    if text is None:
        raise _nothing(where, findings)
    plan = read_data_plan(where, text, findings)
    if not plan.drafts:
        raise PlanError(
            "the list of phases is empty",
            place=Place(shown_path(where)),
            fix="add a phase",
            diagnostics=findings.result(),
        )
    return _Raw(plan.name or where.stem, plan.drafts, settings=plan.settings)


def _read_single(where: Path, findings: Findings) -> _Raw:
    document = read_document(where, findings)
    if document is not None:
        report_odd_ids(document, findings)
    raw = _from_document(document, findings) if document is not None else None
    if raw is None:
        raise _nothing(where, findings, document)
    return raw


def _read_folder(where: Path, findings: Findings) -> _Raw:
    documents = _documents(files_in(where, MARKDOWN, findings), findings)
    for document in documents:
        report_odd_ids(document, findings)
    kinds = sort_out(documents, findings)
    if not kinds.phases:
        nested = _documents(files_in(where, MARKDOWN, Findings(), deep=True), Findings())
        deeper = sort_out(nested, Findings(), strict=True)
        if len(deeper.phases) > 1:
            return _from_documents(where, deeper.phases, (), findings)
        if len(folders := main_documents(nested)) > 1:
            return _from_documents(where, folders, documents, findings)
        return _from_folder_file(where, documents, findings)
    if (
        len(kinds.phases) == 1
        and len(whole := _best_document(documents, findings)) == 1
        and whole[0].stem not in (kinds.phases[0].stem,)
    ):
        raw = _from_document(whole[0], findings)
        if raw is not None and len(raw.drafts) > 1:
            return raw
    return _from_documents(where, kinds.phases, kinds.others, findings)


def _documents(paths: Sequence[Path], findings: Findings) -> list[Document]:
    return [document for path in paths if (document := read_document(path, findings)) is not None]


def _from_folder_file(where: Path, documents: Sequence[Document], findings: Findings) -> _Raw:
    """A folder without phase documents may hold one document, or data file, that is the plan."""
    for document in _best_document(documents, findings):
        raw = _from_document(document, findings)
        if raw is not None:
            return raw
    for path in files_in(where, tuple(DATA), Findings()):
        try:
            return _read_data(path, Findings())
        except PlanError:
            continue
    raise _nothing(where, findings)


def _best_document(documents: Sequence[Document], findings: Findings) -> list[Document]:
    """The document with the most phases."""
    counts = {document: len({part.title.id for part in parts_of(document)}) for document in documents}
    best = max(counts, key=lambda document: counts[document], default=None)
    return [best] if best is not None and counts[best] else []


def _nothing(where: Path, findings: Findings, document: Document | None = None) -> PlanError:
    looked = (
        "its headings, lists and tables"
        if document is not None
        else "the documents directly in it and in the folders below"
    )
    if where.is_file() and document is None:
        looked = "the file"
    place = Place(shown_path(where))
    return PlanError(
        f"nothing here looks like a plan (looked at {looked})", place=place, fix=_FIX, diagnostics=findings.result()
    )


def _from_documents(where: Path, phases: Sequence[Document], others: Sequence[Document], findings: Findings) -> _Raw:
    drafts = sorted((draft_of_document(document, findings) for document in phases), key=plan_order)
    said = [remark for document in others for remark in remarks(document.shown, document.blocks)]
    stems = {document.stem.casefold(): document for document in others}
    name = next(
        (_title(stems[stem]) for stem in ("readme", "plan", "overview", "0-overview", "index") if stem in stems), ""
    )
    return _Raw(name or where.absolute().name, drafts, said)


def _from_document(document: Document, findings: Findings) -> _Raw | None:
    parts = parts_of(document)
    name = _title(document) or document.stem
    if not parts:
        drafts = _from_tables(document)
        if len(drafts) > 1:
            return _Raw(name, drafts, remarks(document.shown, document.blocks))
        if (document.fields or document.front_error) and sort_out([document], findings).phases:
            return _Raw(name, [draft_of_document(document, findings)])
        return None
    if len(parts) == 1 and (document.fields or document.front_error):
        return _Raw(name, [draft_of_document(document, findings)])
    report_front_matter(document, "", findings)
    drafts = drafts_of(document, parts[:MAX_PHASES], findings)
    if len(parts) > MAX_PHASES:
        message = f"more than {MAX_PHASES:,} phases; the rest was left out"
        findings.add("WC112", Severity.ERROR, message, Place(document.shown), "cut the plan into several documents")
    said = remarks(document.shown, document.blocks, [(part.start - 1, part.end) for part in parts])
    return _Raw(name, drafts, said)


def _from_tables(document: Document) -> list[Draft]:
    """A plan that is nothing but a table with a row per phase."""
    for block in document.blocks:
        rows = table_rows(document.shown, block) if isinstance(block, Table) else []
        if not rows and isinstance(block, Table):
            rows = named_rows(document.shown, block)
        if len(rows) > 1 and any(draft.dependencies for draft in rows):
            return rows
    return []


def _title(document: Document) -> str:
    heading = next((block for block in document.blocks if isinstance(block, Heading)), None)
    return clean_name(heading.text)[0] if heading is not None and heading.level == 1 else ""


# -- from drafts to phases --------------------------------------------------------------------------------------


def _finished(raw: _Raw, path: str, findings: Findings) -> Plan:
    _tell_suffixes_apart(raw.drafts)
    index = Index.of(raw.drafts)
    extra = _remarks_by_phase(raw, index)
    readings = _readings(raw.drafts, extra, index, findings)
    phases: list[PhaseInfo] = []
    for draft, reading in zip(raw.drafts, readings, strict=True):
        if draft.estimate is None:
            draft.estimate = next(
                (remark.estimate for remark in extra.get(draft.id, ()) if remark.estimate is not None), None
            )
        phase = build(draft, reading.ids, findings)
        if phase is not None:
            phases.append(phase)
    assumed = ""
    if len(phases) > 1 and not any(reading.stated for reading in readings):
        assumed = _NOTHING_STATED
        place = raw.drafts[0].place
        findings.add(
            "WC121",
            Severity.INFO,
            assumed,
            Place(path if Path(path).is_dir() else place.file),
            "add `Depends on:` lines",
        )
    return Plan(raw.name[:200], path, tuple(phases), findings.result(), assumed, raw.settings)


def _tell_suffixes_apart(drafts: Sequence[Draft]) -> None:
    """`Phase 11` and `Phase 11 Polish` are two phases; a lone `Phase 11 Polish` is phase 11."""
    counts: dict[str, int] = {}
    for draft in drafts:
        counts[draft.id] = counts.get(draft.id, 0) + 1
    for draft in drafts:
        if not draft.suffix:
            continue
        if counts[draft.id] > 1:
            draft.id = f"{draft.id}-{draft.suffix}"
        elif draft.name and draft.suffix:
            draft.name = f"{draft.suffix.replace('-', ' ').capitalize()}: {draft.name}"


def _remarks_by_phase(raw: _Raw, index: Index) -> dict[str, list[Draft]]:
    """What overviews say, by the phase that they speak about."""
    found: dict[str, list[Draft]] = {}
    if not raw.remarks:
        return found
    units = {draft.unit for draft in raw.drafts}
    for remark in raw.remarks:
        foreign = bool(remark.unit) and remark.unit not in units and "" not in units
        for name in index.spoken_of(remark, by_number=not foreign)[:1]:
            found.setdefault(name, []).append(remark)
    return found


def _readings(
    drafts: Sequence[Draft], extra: dict[str, list[Draft]], index: Index, findings: Findings
) -> list[Reading]:
    """The dependencies of every phase. Diagrams count only when nothing else in the plan states a dependency."""
    told = {
        name: [part for remark in said for part in remark.dependencies if part.container != DIAGRAM]
        for name, said in extra.items()
    }
    drawn = {
        name: [part for remark in said for part in remark.dependencies if part.container == DIAGRAM]
        for name, said in extra.items()
    }
    readings = _within_limit(
        (resolve(draft, _own_rank(told.get(draft.id, [])), index, findings) for draft in drafts), drafts, findings
    )
    if not any(reading.stated for reading in readings) and any(drawn.values()):
        readings = [resolve(draft, drawn.get(draft.id, []), index, findings) for draft in drafts]
    if not any(reading.ids for reading in readings):
        _turn_round(drafts, readings, index)
    sources: dict[str, Reading] = {}
    for reading in readings:
        if reading.from_overview is not None:
            sources.setdefault(reading.from_overview.place.file, reading)
    for file, reading in sources.items():
        place = reading.from_overview.place if reading.from_overview is not None else Place(file)
        findings.add(
            "WC123",
            Severity.INFO,
            "dependencies that the phases do not state were taken from here",
            place,
            "state them in the phases to be sure",
        )
    return readings


def _turn_round(drafts: Sequence[Draft], readings: Sequence[Reading], index: Index) -> None:
    """Where nobody tells what a phase waits for, `Blocks: Phase 3` tells it from the other end."""
    by_id = {draft.id: reading for draft, reading in zip(drafts, readings, strict=True)}
    for draft in drafts[:MAX_FOLLOWED]:
        for name in (name for statement in draft.followers for name in index.named_in(statement, draft)):
            following = by_id.get(name)
            if following is not None and name != draft.id and draft.id not in following.ids:
                following.ids.append(draft.id)
                following.stated = True


def _within_limit(readings: Iterator[Reading], drafts: Sequence[Draft], findings: Findings) -> list[Reading]:
    """All readings, unless they hold so many dependencies that nobody can have meant them."""
    found: list[Reading] = []
    count = 0
    for draft, reading in zip(drafts, readings, strict=False):
        found.append(reading)
        count += len(reading.ids)
        if count > MAX_DEPENDENCIES:
            message = f"more than {MAX_DEPENDENCIES:,} dependencies; those of the phases from here on were left out"
            findings.add(
                "WC112", Severity.ERROR, message, draft.place, "name only what a phase waits for directly", (draft.id,)
            )
            break
    return found + [Reading() for _ in range(len(drafts) - len(found))]


def _own_rank(parts: list[DependencyField]) -> list[DependencyField]:
    """Tables before sentences."""
    return sorted(parts, key=lambda part: -part.container)
