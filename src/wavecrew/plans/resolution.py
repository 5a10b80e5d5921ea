"""References looked up: drafts become phases whose dependencies are ids.

What it does: finds the phase that a reference means (by id, number, range, name or document), decides which of several
statements counts, and builds the final values. A reference to a phase that does not exist is kept, so that the checks
can report it; words that name no phase are told as external prerequisites.
What it does not know: whether the result is sound (duplicates, cycles and missing phases are found by the checks).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from wavecrew.errors import InvalidValueError, Severity
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.plans.dependencies import Dependencies, Reference
from wavecrew.plans.draft import DependencyField, Draft, Findings, Statement, shown
from wavecrew.plans.notations import ROMAN, loose_id, natural_key, parse_title, slug
from wavecrew.plans.wordlists import words

MAX_RANGE: Final = 500
MAX_DEPENDENCIES: Final = 1_000_000
_MAX_SAME: Final = 8  # phases of one name are ambiguous long before


@dataclass
class Index:
    """The phases of a plan by everything they may be called."""

    drafts: Sequence[Draft]
    unit: str = ""
    exact: dict[str, list[str]] = field(default_factory=dict)
    loose: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, list[str]] = field(default_factory=dict)
    short: dict[str, list[str]] = field(default_factory=dict)
    """Numbers with the first letters of their unit: `P1` for phase 1 of a plan whose ids are mere numbers."""
    letters: set[str] = field(default_factory=set)
    positions: dict[str, int] = field(default_factory=dict)
    stories: set[str] = field(default_factory=set)
    ordered: list[tuple[tuple[tuple[int, int, str], ...], str]] = field(default_factory=list)
    keys: list[tuple[tuple[int, int, str], ...]] = field(default_factory=list)
    whole: set[int] = field(default_factory=set)
    """The whole numbers that some id begins with."""

    @classmethod
    def of(cls, drafts: Sequence[Draft]) -> Index:
        """Enter all phases."""
        units = {draft.unit for draft in drafts}
        index = cls(drafts, units.pop() if len(units) == 1 else "")
        for position, draft in enumerate(drafts):
            index._enter(draft, position)
        index.ordered = sorted((natural_key(name), name) for name in index.exact)
        index.keys = [key for key, _ in index.ordered]
        index.whole = {key[0][1] for key in index.keys if key and key[0][0] == 0}
        return index

    def _enter(self, draft: Draft, position: int) -> None:
        self.positions.setdefault(draft.id, position)
        runs = loose_id(draft.id).split("-")
        entries = [(self.exact, draft.id), (self.loose, loose_id(draft.id)), (self.names, slug(draft.name))]
        digits = [run for run in runs if run.isdigit()]
        if digits and not runs[0].isdigit():
            entries.append((self.numbers, "-".join(digits)))
            self.letters.add(runs[0])
        elif len(runs) > 1 and not runs[1].isdigit():
            entries.append((self.numbers, runs[0]))
        for alias in draft.aliases:
            entries += [(self.names, slug(alias)), (self.loose, loose_id(alias))]
        for cut in ("(", " - ", ":", " — "):
            head = draft.name.partition(cut)[0].strip() if cut in draft.name else ""
            entries += [(self.names, slug(head))] if len(head) > 3 else []
        if runs[0].isdigit():
            entries += [(self.short, loose_id(f"{letters}{draft.id}")) for letters in _SHORT_UNITS.get(draft.unit, ())]
        title = parse_title(draft.name)
        if title is not None and title.unit:
            self.stories |= {draft.id} if title.unit == "story" else set()
            entries += [
                (self.names, f"{title.unit}-{title.id.casefold()}"),
                (self.loose, loose_id(_short(title.unit, title.id))),
            ]
        for row, key in entries:
            same = row.setdefault(key, []) if key else []
            if key and len(same) < _MAX_SAME and draft.id not in same:
                same.append(draft.id)

    @cached_property
    def beginnings(self) -> dict[str, list[str]]:
        """The first two or more words of every name (and whole names), where they are those of one phase only."""
        found: dict[str, list[str]] = {}
        for draft in self.drafts:
            words = slug(draft.name).split("-")
            for length in range(min(2, len(words)), min(len(words), 6) + 1):
                same = found.setdefault("-".join(words[:length]), [])
                if draft.id not in same[:2]:
                    same.append(draft.id)
        return {key: same for key, same in found.items() if key and len(same) == 1}

    # -- looking up

    def find(self, reference: Reference, draft: Draft) -> list[str]:
        """The ids that a reference means; empty when it means none."""
        if reference.named:
            return self._by_name(reference.text)
        if reference.last:
            whole = f"{reference.text}-{reference.last}"
            return self.exact.get(whole) or self._whole_if_paired(whole) or self._span(reference, draft)
        if self._of_other_kind(reference):
            return self._parts_of(reference)
        return self._single(reference, draft)

    def _of_other_kind(self, reference: Reference) -> bool:
        return bool(reference.unit and self.unit and reference.unit != self.unit and not self.unit.isupper())

    def _parts_of(self, reference: Reference) -> list[str]:
        """A larger unit than those of the plan: `Phase 1` means all tasks `1.x`; a story named in a title."""
        named = self.names.get(f"{reference.unit}-{reference.text.casefold()}")
        if named:
            return named
        start = f"{reference.text}."
        return (
            [name for name in self.exact if name.startswith(start)]
            if reference.unit in ("phase", "milestone", "epic", "stage")
            else []
        )

    def _single(self, reference: Reference, draft: Draft) -> list[str]:
        text = reference.text
        if reference.following:
            found = self.exact.get(f"{text}-{reference.following}")
            if found:
                return found
        if text in self.exact:
            return [text]
        if draft.group:
            found = self.loose.get(loose_id(f"{draft.group}-{text}"))
            if found:
                return found
        text = ROMAN.get(text, text)
        found = self.loose.get(loose_id(text)) or self.names.get(slug(text.removesuffix(".md")))
        if found:
            return found
        if reference.unit or text.isdigit():
            found = self.numbers.get(loose_id(text), [])
            return found if len(found) == 1 else []
        return self.short.get(loose_id(text), []) or self._by_file(text)

    def _by_file(self, text: str) -> list[str]:
        title = parse_title(text.removesuffix(".md").replace("_", " ").replace("-", " ", 1))
        return self.loose.get(loose_id(title.id), []) if title is not None and title.unit else []

    def _whole_if_paired(self, whole: str) -> list[str]:
        """`01-02` is an id, and no range, where the ids of the plan are such pairs."""
        found = self.loose.get(loose_id(whole), [])
        return found if len(found) == 1 and len(natural_key(found[0])) == len(natural_key(whole)) else []

    def _span(self, reference: Reference, draft: Draft) -> list[str]:
        first, last = reference.text, reference.last
        if not any(character.isalpha() for character in last):  # `T001-003`
            last = f"{''.join(c for c in first if c.isalpha())}{last}" if first[:1].isalpha() else last
        if natural_key(last) < natural_key(first):
            first, last = last, first
        low, high = natural_key(first), natural_key(last)
        start, end = bisect_left(self.keys, low), bisect_right(self.keys, high)
        found = [name for _, name in self.ordered[start:end] if name != draft.id]
        if first.isdigit() and last.isdigit() and int(last) - int(first) <= MAX_RANGE:
            found += [str(n) for n in range(int(first), int(last) + 1) if n not in self.whole and str(n) != draft.id]
        elif found or reference.sure:
            found += [end for end in (first, last) if loose_id(end) not in self.loose]
        return found

    def _by_name(self, words: str) -> list[str]:
        found = self._named(words)
        if found:
            return found
        for separator in (",", ";", "、", "，", " and ", " und ", " et ", " y ", " & ", " + ", "/"):
            parts = [part for part in words.split(separator) if part.strip()]
            if len(parts) > 1:
                together = [name for part in parts[:50] for name in self._by_name(part.strip())]
                if together:
                    return list(dict.fromkeys(together))
        return []

    def _named(self, words: str) -> list[str]:
        key = slug(words)
        for _ in range(3):
            found = self.names.get(key) or self.loose.get(loose_id(words) if key == slug(words) else "") or []
            if found:
                return found if len(found) == 1 else []
            head, _, tail = key.rpartition("-")
            if tail not in _TRAILING:
                break
            key = head
        return self.beginnings.get(slug(words).removeprefix("the-"), [])

    def spoken_of(self, remark: Draft, *, by_number: bool) -> list[str]:
        """The phase that a remark in an overview is about: by its number, else by the words it is called by."""
        if by_number and remark.id in self.exact:
            return [remark.id]
        numbered = self.loose.get(loose_id(remark.id), []) if by_number else []
        if numbered:
            return numbered
        return next((found for alias in remark.aliases if (found := self._by_name(alias))), [])

    def has_letters_of(self, reference: Reference) -> bool:
        """Whether the plan has ids with the same letters, so that `T099` can only be one of its tasks."""
        runs = loose_id(reference.text).split("-")
        return len(runs) > 1 and runs[0] in self.letters

    def named_in(self, statement: Statement, draft: Draft) -> list[str]:
        """The phases that a text names, each once."""
        found = (name for reference in statement.meaning.references for name in self.find(reference, draft))
        return list(dict.fromkeys(found))

    def before(self, draft: Draft) -> list[str]:
        """Every phase before this one, in plan order."""
        position = self.positions[draft.id]
        return list(dict.fromkeys(other.id for other in self.drafts[:position] if other.id != draft.id))


_TRAILING: Final = words(
    "complete completed completion done finished phase phases ready first milestone stage step task section only"
    " alone approved merged 完成 완료 完了 fertig"
)


_SHORT_UNITS: Final = {
    "phase": ("P", "Ph", "Phase"), "milestone": ("M", "MS"), "stage": ("S",), "step": ("S",), "task": ("T",),
    "sprint": ("S", "SP"), "epic": ("E",), "wave": ("W",), "workstream": ("WS",), "package": ("WP", "AP"),
    "iteration": ("I", "IT"), "story": ("US",), "part": ("P",), "increment": ("I",), "batch": ("B",),
}  # fmt: skip


def _short(unit: str, number: str) -> str:
    return f"US{number}" if unit == "story" else f"{unit}{number}"


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
    if meaning.none or meaning.all_previous or meaning.previous:
        return True
    return any(_means(reference, index, draft) for reference in (*meaning.references, *meaning.soft))


def _means(reference: Reference, index: Index, draft: Draft) -> bool:
    return bool(index.find(reference, draft)) or _is_missing(reference, index)


def _is_missing(reference: Reference, index: Index) -> bool:
    """Whether words that were not found can only mean a phase of this plan."""
    if reference.named:
        return reference.sure
    if index._of_other_kind(reference):
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
    meaning = statement.meaning
    excepted = {name for reference in meaning.excepted for name in index.find(reference, draft)}
    for reference in meaning.references:
        found = [name for name in index.find(reference, draft) if name not in excepted]
        if not found and not excepted and _is_missing(reference, index):
            yield reference.text if not reference.last else f"{reference.text}-{reference.last}"
        if len(found) > 1 and not reference.last and not reference.named and not index._of_other_kind(reference):
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
            "WC120", Severity.INFO, message, statement.place, "write `Depends on:` if it must wait", (draft.id,)
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
                findings.add("WC119", Severity.INFO, message, statement.place, "", (draft.id,))


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
