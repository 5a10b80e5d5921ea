"""References looked up: drafts become phases whose dependencies are ids.

What it does: has the phases found that references mean, decides which of several statements counts, and builds the
final values. A reference to a phase that does not exist is kept, so that the checks
can report it; words that name no phase are told as external prerequisites.
What it does not know: whether the result is sound (duplicates, cycles and missing phases are found by the checks).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from wavecrew.errors import InvalidValueError, Severity
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.plans.dependencies import Dependencies, Reference
from wavecrew.plans.draft import DependencyField, Draft, Findings, Statement, shown
from wavecrew.plans.index import Index

_FIX_EXTERNAL: Final = "if it is a phase, name it by its number or id, such as `Phase 2`"
MAX_DEPENDENCIES: Final = 1_000_000


# -- what counts ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reading:
    """What the statements of one phase come to."""

    ids: list[str] = field(default_factory=list)
    stated: bool = False
    from_overview: Statement | None = None


def resolve(draft: Draft, extra: Sequence[DependencyField], index: Index, findings: Findings) -> Reading:
    """The dependencies of a phase: its own statements first, else those of an overview (`extra`)."""
    own = [part for part in draft.dependencies if part.binding] or draft.dependencies
    chosen = _choose(own, index, draft)
    if not chosen and extra:
        chosen = _choose(extra, index, draft)
        if chosen:
            reading = _read(chosen, index, draft, findings)
            reading.from_overview = chosen[0].statements[0]
            return reading
    if not chosen:
        _tell_externals(own[:1], index, draft, findings)
        return Reading()
    return _read(chosen, index, draft, findings)


def _choose(fields: Sequence[DependencyField], index: Index, draft: Draft) -> list[DependencyField]:
    """The first field that says something about phases, and its neighbours in the same section."""
    speaking = [
        part
        for part in fields
        if part.binding or any(_speaks(statement, index, draft) for statement in part.statements)
    ]
    return [part for part in speaking if part.container in (speaking[0].container, -1)]


def _speaks(statement: Statement, index: Index, draft: Draft) -> bool:
    meaning = statement.meaning
    if statement.words in index.exact:
        return True
    if meaning.none or meaning.all_previous or meaning.previous:
        return True
    return any(_means(reference, index, draft) for reference in (*meaning.references, *meaning.soft))


def _means(reference: Reference, index: Index, draft: Draft) -> bool:
    return bool(index.find(reference, draft)) or _is_missing(reference, index)


def _is_missing(reference: Reference, index: Index) -> bool:
    """Whether words that were not found can only mean a phase of this plan."""
    if reference.named:
        return reference.sure
    if index.of_other_kind(reference):
        return False
    return reference.sure or index.has_letters_of(reference)


def _read(fields: Iterable[DependencyField], index: Index, draft: Draft, findings: Findings) -> Reading:
    reading = Reading(stated=True)
    for part in fields:
        for statement in part.statements:
            reading.ids.extend(_ids(statement, index, draft, findings))
        _tell_externals([part], index, draft, findings)
    reading.ids = list(dict.fromkeys(reading.ids))
    return reading


def _ids(statement: Statement, index: Index, draft: Draft, findings: Findings) -> Iterator[str]:
    if statement.words in index.exact:  # an id as it is written, whatever else its words could mean
        yield statement.words
        return
    meaning = statement.meaning
    excepted = {name for reference in meaning.excepted for name in index.find(reference, draft)}
    for reference in meaning.references:
        found = [name for name in index.find(reference, draft) if name not in excepted]
        if not found and not excepted and _is_missing(reference, index):
            yield reference.text if not reference.last else f"{reference.text}-{reference.last}"
        if len(found) > 1 and not reference.last and not reference.named and not index.of_other_kind(reference):
            message = f"{shown(str(reference))!r} may mean {', '.join(found[:5])}; all of them are waited for"
            findings.add(
                "WC126", Severity.WARNING, message, statement.place, "name the phase by its full id", (draft.id,)
            )
        yield from found
    if meaning.all_previous:
        only = index.stories if "stor" in statement.words.casefold() else set()
        yield from (name for name in index.before(draft) if name not in excepted and (not only or name in only))
    if meaning.previous:
        yield from index.before(draft)[-1:]
    _tell_soft(meaning, statement, index, draft, findings)


def _tell_soft(meaning: Dependencies, statement: Statement, index: Index, draft: Draft, findings: Findings) -> None:
    wished = [name for reference in meaning.soft for name in index.find(reference, draft)]
    if wished:
        named = ", ".join(wished[:5])
        message = f"{shown(statement.words)!r} is a wish and no dependency; phase {draft.id} does not wait for {named}"
        findings.add(
            "WC120",
            Severity.INFO,
            message,
            statement.place,
            "if it must wait, leave out words such as `ideally`",
            (draft.id,),
        )


def _tell_externals(fields: Iterable[DependencyField], index: Index, draft: Draft, findings: Findings) -> None:
    for part in fields:
        for statement in () if part.quiet else part.statements:
            if (
                statement.words
                and not _speaks(statement, index, draft)
                and (statement.meaning.references or statement.meaning.external)
            ):
                message = f"{shown(statement.words)!r} names no phase; it is shown as an external prerequisite"
                findings.add("WC119", Severity.INFO, message, statement.place, _FIX_EXTERNAL, (draft.id,))


# -- phases -----------------------------------------------------------------------------------------------------


def build(draft: Draft, dependencies: Sequence[str], findings: Findings) -> PhaseInfo | None:
    """The phase, or None (with a finding) when its values are impossible."""
    name = "".join(character if character.isprintable() else " " for character in draft.name).strip()[:200].strip()
    if name != draft.name.strip()[:200].strip():
        message = "the name holds characters that cannot be seen; they were taken out"
        findings.add("WC117", Severity.WARNING, message, draft.place, "type the name anew", (shown(draft.id),))
    try:
        return PhaseInfo(
            id=draft.id,
            name=name or f"{(draft.unit or 'phase').capitalize()} {draft.id}"[:200],
            dependencies=tuple(dependencies),
            outputs=tuple(draft.outputs),
            estimated_time=draft.estimate,
            description=draft.description,
            reads=tuple(path for path in draft.reads if path not in draft.outputs),
            locks=tuple(draft.locks),
            checks=tuple(draft.checks),
            command=draft.command,
            steps=tuple(draft.steps),
            agent=draft.agent,
            fallback=draft.fallback,
            model=draft.model,
            timeout_seconds=draft.timeout,
            retries=draft.retries,
            source=draft.source,
        )
    except InvalidValueError as error:
        message = f"this phase was left out: {shown(error.reason, 160)}"
        findings.add(
            "WC117", Severity.ERROR, message, draft.place, error.fix or "correct the value", (shown(draft.id),)
        )
        return None
