"""The phases of a plan by everything they may be called: ids, numbers, short forms, names, documents.

What it does: finds the phases that a reference means.
What it does not know: which of several statements counts (`resolution` decides), and whether a phase that was not
found is a fault.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from wavecrew.plans.dependencies import Reference
from wavecrew.plans.draft import Draft, Statement
from wavecrew.plans.notations import ROMAN, loose_id, natural_key, parse_title, slug
from wavecrew.plans.wordlists import words

MAX_RANGE: Final = 500
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
            entries += [(self.short, f"{letters}-{'-'.join(runs)}") for letters in _SHORT_UNITS.get(draft.unit, ())]
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
        if self.of_other_kind(reference):
            return self._parts_of(reference)
        return self._single(reference, draft)

    def of_other_kind(self, reference: Reference) -> bool:
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
            return found if len(found) == 1 else self._inside(reference)
        return self.short.get(loose_id(text), []) or self._by_file(text)

    def _inside(self, reference: Reference) -> list[str]:
        """`Phase 1` where there is none, but phases 1.1 and 1.2, or 1a and 1b: all of them."""
        if not reference.unit or not reference.text.isdigit():
            return []
        number = int(reference.text)
        start, end = bisect_left(self.keys, ((0, number, ""),)), bisect_left(self.keys, ((0, number + 1, ""),))
        return [name for _, name in self.ordered[start:end]] if end - start <= MAX_RANGE else []

    def _by_file(self, text: str) -> list[str]:
        title = parse_title(text.removesuffix(".md").replace("_", " ").replace("-", " ", 1))
        return self.loose.get(loose_id(title.id), []) if title is not None and title.unit else []

    def _whole_if_paired(self, whole: str) -> list[str]:
        """`01-02` is an id, and no range, where the ids of the plan are such pairs."""
        found = self.loose.get(loose_id(whole), [])
        return found if len(found) == 1 and len(natural_key(found[0])) == len(natural_key(whole)) else []

    def _spelled(self, text: str) -> str:
        """`P1` as the id that it stands for, if it is none itself."""
        return text if loose_id(text) in self.loose else self.short.get(loose_id(text), [text])[0]

    def _span(self, reference: Reference, draft: Draft) -> list[str]:
        first, last = (self._spelled(end) for end in (reference.text, reference.last))
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
    "phase": ("p", "ph", "phase"), "milestone": ("m", "ms"), "stage": ("s",), "step": ("s",), "task": ("t",),
    "sprint": ("s", "sp"), "epic": ("e",), "wave": ("w",), "workstream": ("ws",), "package": ("wp", "ap"),
    "iteration": ("i", "it"), "story": ("us",), "part": ("p",), "increment": ("i",), "batch": ("b",),
}  # fmt: skip


def _short(unit: str, number: str) -> str:
    return f"US{number}" if unit == "story" else f"{unit}{number}"
