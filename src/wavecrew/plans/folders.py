"""Which documents of a folder are phases, and what is made of each.

What it does: tells phases from overviews, trackers and reports by file name, heading and front matter, and turns a
phase document into a draft.
What it does not know: plans in one document, and how references are looked up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from wavecrew.errors import Place, Severity
from wavecrew.models.parallel_execution import Source
from wavecrew.plans.documents import Document
from wavecrew.plans.draft import Draft, Findings, shown
from wavecrew.plans.fields import read_contents
from wavecrew.plans.filenames import parse_file_name
from wavecrew.plans.markdown import Heading
from wavecrew.plans.notations import Title, clean_name, loose_id, natural_key, parse_title
from wavecrew.plans.records import declares_outputs, fill_from, id_in, is_mark
from wavecrew.plans.sections import fill, take_notes
from wavecrew.plans.wordlists import words

_OTHERS: Final = words(
    "readme overview index tracker todo todos closeout progress summary status changelog template templates notes"
    " retrospective context"
    " research verification verify uat analysis epic plan plans roadmap mapping prd spec brainstorm discussion"
    " decisions state project"
    " requirements glossary contributing license agents claude master timeline review report learnings handoff"
    " discovery validation objective objectives goal goals"
)
_REPORTS: Final = words(
    "completed complete completion done report summary progress closeout retrospective finished results status"
)
_FIX_NAME: Final = "if it is one, call it for example phase-4-title.md"
_NEUTRAL: Final = frozenset(
    {"phase", "phases", "plan", "project", "the", "of", "prd", "github", "issue", "task", "tasks", "implementation"}
)


@dataclass(frozen=True, slots=True)
class Kinds:
    """The documents of a folder by what they are."""

    phases: tuple[Document, ...]
    others: tuple[Document, ...]


def sort_out(documents: Sequence[Document], findings: Findings, *, strict: bool = False) -> Kinds:
    """Tell phases from other documents. With `strict` a mere number in front of a file name is not enough."""
    phases = [document for document in documents if _is_phase(document, strict=strict)]
    ids = [loose_id(id_of(document)) for document in phases]
    kept: list[Document] = []
    for document, number in zip(phases, ids, strict=True):
        if _is_report(document) and ids.count(number) > 1:
            message = f"taken for a report on phase {shown(id_of(document))}, which has another document; left out"
            findings.add(
                "WC122", Severity.WARNING, message, Place(document.shown, 1), "rename it if it is a phase of its own"
            )
        else:
            kept.append(document)
    others = [document for document in documents if document not in kept]
    for document in others:
        if document not in phases and parse_file_name(document.stem) is not None and not strict:
            findings.add("WC122", Severity.INFO, "no phase, by its name; left out", Place(document.shown, 1), _FIX_NAME)
    return Kinds(tuple(kept), tuple(others))


_MAIN: Final = words("readme plan index phase spec prd task tasks prompt")


def main_documents(documents: Sequence[Document]) -> list[Document]:
    """One document of each folder that is numbered like a phase (`01-setup/plan.md`), known by its folder's name."""
    found: dict[str, Document] = {}
    for document in sorted(documents, key=lambda document: document.path.stem.casefold() == "readme"):
        parent = document.path.parent
        if document.stem.casefold() in _MAIN and parse_file_name(parent.name) is not None:
            found.setdefault(str(parent), replace(document, called=parent.name))
    above = {str(document.path.parent.parent) for document in found.values()}
    return list(found.values()) if len(above) == 1 else []


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_\d]+", text.casefold()) if word]


def _is_phase(document: Document, *, strict: bool) -> bool:
    marks = {key.casefold().replace("-", "_").replace(" ", "_") for key in document.fields if is_mark(key)}
    named = parse_file_name(document.stem)
    rest = [
        word
        for word in _words(named.name if named is not None and not named.unit else document.stem)
        if word not in _NEUTRAL
    ]
    is_other = len(rest) <= 1 and all(word in _OTHERS for word in rest) and (bool(rest) or named is None)
    if named is not None and named.unit:
        return True
    if _is_decision(document):
        return False
    if is_other and not (document.fields.keys() & {"id", "needs", "writes"}):
        return False
    if strict:
        return bool(marks & {"id", "needs", "depends_on", "dependencies"})
    if named is not None and (named.id[0].isdigit() or marks):
        return True
    return bool(marks) or _is_phase_heading(document)


def _is_decision(document: Document) -> bool:
    """Whether a document is a decision record: those are numbered as well."""
    heads = {block.text.strip().casefold() for block in document.blocks if isinstance(block, Heading)}
    return {"status", "context"} <= heads and bool(heads & {"decision", "consequences", "decision outcome"})


def _is_phase_heading(document: Document) -> bool:
    heading = _first_heading(document)
    title = parse_title(heading.text) if heading is not None and heading.level == 1 else None
    if title is None or not title.unit or not title.separated:
        return False
    same = [
        section for section in document.sections if section.heading.level == 1 and parse_title(section.heading.text)
    ]
    return len(same) == 1


def _is_report(document: Document) -> bool:
    words = _words(document.stem)
    return len(words) > 1 and words[-1] in _REPORTS and len([word for word in words if word not in _NEUTRAL]) == 1


def _first_heading(document: Document) -> Heading | None:
    return next((block for block in document.blocks if isinstance(block, Heading)), None)


def _heading_title(document: Document) -> Title | None:
    heading = _first_heading(document)
    title = parse_title(heading.text) if heading is not None and heading.level <= 2 else None
    return title if title is not None and (title.unit or title.separated) else None


def id_of(document: Document) -> str:
    """The id of a phase document: front matter, heading or file name, whichever speaks first."""
    given = document.fields.get("id")
    if given is not None and given.text and given.text.strip():
        return given.text.strip()
    named = parse_file_name(document.stem)
    if named is not None and (named.unit == "plan" or re.fullmatch(r"\d+[a-z]?", document.stem)):
        return named.id
    from_front = id_in(document.fields)
    if from_front and loose_id(from_front):
        return from_front
    title = _heading_title(document)
    if title is not None and title.unit:
        return title.id
    return named.id if named is not None else (title.id if title is not None else document.stem)


def draft_of_document(document: Document, findings: Findings) -> Draft:
    """A draft with everything that a phase document says."""
    heading, title, named = _first_heading(document), _heading_title(document), parse_file_name(document.stem)
    line = heading.line if heading is not None else document.body_line
    draft = Draft(id_of(document), place=Place(document.shown, min(line, max(document.last_line, 1)), 1))
    draft.unit = (title.unit if title is not None else "") or (named.unit if named is not None else "")
    if title is not None and loose_id(title.id) == loose_id(draft.id):
        draft.suffix = title.suffix
    draft.aliases = [document.stem, document.path.name]
    if named is not None and "-" in draft.id and named.unit == "plan":
        draft.group = draft.id.rpartition("-")[0]
    draft.source = Source(document.shown, min(document.body_line, document.last_line), document.last_line)
    report_front_matter(document, draft.id, findings)
    fill_from(draft, document.fields, findings)
    declared = list(draft.outputs) if declares_outputs(document.fields) else None
    start = document.blocks.index(heading) + 1 if heading is not None and document.blocks[0] is heading else 0
    fill(draft, read_contents(document.blocks, start, len(document.blocks)), findings)
    draft.outputs = draft.outputs if declared is None else declared
    draft.name = draft.name or _name_of(document, heading, title, named)
    draft.description = draft.description or document.excerpt(document.body_line, document.last_line)
    take_notes(draft, title.notes if title is not None else ())
    return draft


def _name_of(document: Document, heading: Heading | None, title: Title | None, named: Title | None) -> str:
    if title is not None and title.name:
        return title.name
    objective = _objective(document)
    if objective:
        return objective
    if heading is not None and heading.text.strip().casefold() not in _OTHERS:
        return clean_name(heading.text)[0]
    return named.name if named is not None else ""


def _objective(document: Document) -> str:
    """The first line of an `<objective>`, which some documents have in place of a title."""
    lines = document.lines[document.body_line - 1 : document.body_line + 60]
    for line, following in pairwise([*lines, ""]):
        if line.strip().startswith("<objective>"):
            return (line.strip().removeprefix("<objective>").removesuffix("</objective>").strip() or following.strip())[
                :200
            ]
    return ""


def report_front_matter(document: Document, phase: str, findings: Findings) -> None:
    """Say what is wrong with the front matter of a document."""
    phases = (phase,) if phase else ()
    error = document.front_error
    if error is not None:
        place = Place(document.shown, error.line, error.column)
        fix = "correct the YAML between the two `---` lines; quote texts that hold `: ` or `#`"
        findings.add(
            "WC113",
            Severity.ERROR,
            f"the front matter cannot be read: {shown(error.reason, 120)}",
            place,
            fix,
            phases,
        )
    for key, line, column in document.front.repeated if document.front is not None else ():
        place = Place(document.shown, line, column)
        findings.add(
            "WC114",
            Severity.WARNING,
            f"the key {shown(key)!r} stands twice; the last one counts",
            place,
            "take one of them out",
            phases,
        )


def plan_order(draft: Draft) -> tuple[object, ...]:
    """Where a phase of a folder stands among the others: by id, numbers counting as numbers."""
    return (natural_key(draft.id), draft.suffix, draft.place.file)
