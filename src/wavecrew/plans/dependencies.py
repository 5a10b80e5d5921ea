"""What a phase waits for, as people write it: `Phase 1 (models), Phases 3-5`, `All previous phases`, `None`.

What it does: finds the references in a short text (numbers, ids, ranges, "all previous"), and tells them from remarks
in brackets, from what is *not* waited for ("not on US1", "can run before Phase 8") and from mere wishes ("ideally
after"). What names no phase is handed back as text.
What it does not know: which phases exist; a reference is only what the words say (`resolution` looks it up).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from wavecrew.plans.dependency_tokens import TOKEN, VERSION, listed_phases, tokens
from wavecrew.plans.dependency_words import (
    ALL,
    AMOUNTS,
    ASIDE,
    DASH_ONLY,
    EXCEPT,
    FILLERS,
    NEW_THOUGHT,
    NO_NAMES,
    NONE,
    OFF,
    PREVIOUS,
    SOFT,
    VERBS,
)
from wavecrew.plans.markdown import link_targets, plain_text
from wavecrew.plans.notations import UNITS
from wavecrew.plans.wordlists import numbered


@dataclass(frozen=True, slots=True)
class Reference:
    """A phase as it is named: by number or id (`text`), by a range (`text` to `last`), or by words (`named`).

    `unit` is the canonical unit that was written with it (empty: none). `following` is the word behind it, because
    `Phase 11 Polish` may be a phase of its own. `sure` tells that these words can only mean a phase: if there is no
    such phase, the plan is faulty; otherwise the words mean something else.
    """

    text: str
    last: str = ""
    unit: str = ""
    following: str = ""
    named: bool = False
    sure: bool = True

    def __str__(self) -> str:
        span = f"{self.text}-{self.last}" if self.last else self.text
        return f"{self.unit} {span}".strip() if not self.named else self.text


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What one text says about dependencies. `stated` tells that it says something about phases (`None` included)."""

    references: tuple[Reference, ...] = ()
    all_previous: bool = False
    previous: bool = False
    excepted: tuple[Reference, ...] = ()
    soft: tuple[Reference, ...] = ()
    none: bool = False
    external: tuple[str, ...] = ()

    @property
    def stated(self) -> bool:
        """Whether the text names phases or says that there are none."""
        sure = any(not reference.named for reference in self.references)
        return sure or self.all_previous or self.previous or self.none or bool(self.soft)


_LONGEST: Final = 2000


class _Mode(Enum):
    HARD = auto()
    SOFT = auto()
    OFF = auto()
    EXCEPT = auto()


@dataclass(slots=True)
class _Found:
    references: list[Reference] = field(default_factory=list)
    soft: list[Reference] = field(default_factory=list)
    excepted: list[Reference] = field(default_factory=list)
    external: list[str] = field(default_factory=list)
    all_previous: bool = False
    previous: bool = False
    none: bool = False

    def put(self, mode: _Mode, reference: Reference) -> None:
        row = {_Mode.HARD: self.references, _Mode.SOFT: self.soft, _Mode.EXCEPT: self.excepted}.get(mode)
        if row is not None and reference not in row:
            row.append(reference)


def parse_dependencies(text: str, *, identifiers: bool = False) -> Dependencies:
    """What a short text says. With `identifiers` (an entry of a list in front matter) a single word is an id."""
    if (plain := listed_phases(text)) is not None:
        return Dependencies(tuple(Reference(number, unit=unit) for unit, number in plain))
    text = _prepared(text[:_LONGEST])
    found = _Found()
    if text.strip() in DASH_ONLY and not (identifiers and text.strip() == "x"):  # a phase may well be called x
        return Dependencies(none=True)
    if _is_identifier(text) and (identifiers or text.casefold().endswith(".md")):
        return _identified(text.strip())
    text = _GLUED.sub(r"\1 \2", text)
    for number, clause in enumerate(_clauses(_without_remarks(text))):
        _read_clause(clause, found, is_first=number == 0)
    none = found.none and not found.references and not found.all_previous
    return Dependencies(
        tuple(found.references),
        found.all_previous,
        found.previous,
        tuple(found.excepted),
        tuple(found.soft),
        none,
        tuple(found.external),
    )


def _prepared(text: str) -> str:
    """Links give their words if these carry a number, else the document that they lead to."""
    targets = link_targets(text)
    words = plain_text(text)
    if (
        len(targets) == 1
        and not any(character.isdigit() for character in words)
        and targets[0].casefold().endswith(".md")
    ):
        return f"{targets[0].rpartition('/')[2]}"
    return words.strip().rstrip(".")


_GLUED: Final = re.compile(r"(?<!\w)(phase|milestone|stage|step|task|sprint|story|part)[_-]?(?=\d)(\d)", re.IGNORECASE)


def _is_identifier(text: str) -> bool:
    bare = text.strip()
    return bool(bare) and not any(character in " \t,;()" for character in bare) and not NONE.fullmatch(bare)


def _identified(text: str) -> Dependencies:
    text = text.removeprefix("#")
    if VERSION.fullmatch(text):
        return Dependencies(external=(text,))
    return Dependencies((Reference(text, named=not any(character.isdigit() for character in text)),))


# -- brackets and clauses ---------------------------------------------------------------------------------------

_OPENING: Final = {"(": ")", "（": "）", "[": "]"}
_LISTING_WORDS: Final = re.compile(r"(?:all|only|see|i\.e\.|and|und|or|to|through|bis|[\s,;/&+~–—-]|#)+", re.IGNORECASE)
_SOFT_MARK: Final = "\x01"


def _without_remarks(text: str) -> str:
    """The text without what stands in brackets, unless the brackets hold the list itself."""
    if not any(opening in text for opening in _OPENING):
        return text
    kept: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character not in _OPENING:
            kept.append(character)
            position += 1
            continue
        end = _closing(text, position)
        inside = text[position + 1 : end]
        if character == "[" and not "".join(kept).strip():
            kept.append(inside)
        elif _holds_list(inside) and not _ends_with_reference("".join(kept)):
            kept.append(f" {inside} ")
        elif SOFT.match(inside.strip()):
            kept.append(_SOFT_MARK)
        position = end + 1
    return "".join(kept)


def _closing(text: str, start: int) -> int:
    """Where the bracket opened at `start` ends; the end of the text if it does not."""
    opening, closing = text[start], _OPENING[text[start]]
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == opening) - (text[position] == closing)
        if depth == 0:
            return position
    return len(text)


def _holds_list(text: str) -> bool:
    """Whether a (not too long) text is nothing but references: `1-4`, `Phase 2`, `#3, #5`."""
    text = text[:400] if text.strip("([（ ") else ""
    rest = TOKEN.sub(
        lambda found: "" if found.lastgroup in ("unit", "id", "compact", "version") else found.group(), text
    )
    return rest != text and not _LISTING_WORDS.sub("", rest) and not VERSION.search(text)


def _ends_with_reference(text: str) -> bool:
    clause = re.split(r"[,;，；、]", text)[-1]
    return any(kind == "id" for kind, _, _ in tokens(clause))


_CLAUSE: Final = re.compile(
    r"[;；。\n]|\.[ ]|[ ](?:but|however|although|aber|mais|pero|mas|но)[ ]"
    r"|[ ](?:[–-](?![ ]*(?:[^\W\d_]{3,12}[ ])?#?\d)|—|--)[ ]|，但|→|=>"
)


def _clauses(text: str) -> Iterator[str]:
    for clause in _CLAUSE.split(text):
        clause = clause.strip(" \t,:：")
        if clause:
            yield clause


# -- one clause -------------------------------------------------------------------------------------------------

_NUMERALS: Final = {character: str(number) for number, character in enumerate("〇一二三四五六七八九十")}
_LETTER_ID: Final = re.compile(r"(?:[A-Z]|[IVX]{1,5})$")
_NUMBER_WORDS: Final = numbered("zero one two three four five six seven eight nine ten")


def _read_clause(clause: str, found: _Found, *, is_first: bool) -> None:
    if NONE.match(clause):
        found.none = True
    verb = VERBS.match(clause)
    clause = clause[verb.end() :] if verb else clause
    before = len(found.references) + len(found.soft) + len(found.excepted)
    switches = _switches(clause)
    if not is_first and ASIDE.search(clause):
        return
    first_switch = switches[0][0] if switches else len(clause)
    pieces = list(tokens(clause))
    pure = _is_pure(pieces)
    scan = _Scan(found, pure)
    for kind, value, start in pieces:
        while switches and switches[0][0] <= start:
            scan.turn(switches.pop(0)[1])
        scan.take(kind, value)
    scan.flush()
    if len(found.references) + len(found.soft) + len(found.excepted) == before or found.excepted:
        _read_words(clause, clause[:first_switch], found)
    elif not pure:
        _read_names_beside(clause[:first_switch], found)


def _switches(clause: str) -> list[tuple[int, _Mode]]:
    """Where the meaning of the clause turns: from "not", "before", "ideally" on, references do not count as usual."""
    marks = [
        (match.start(), _Mode.EXCEPT if EXCEPT.match(match.group()) else _Mode.OFF) for match in OFF.finditer(clause)
    ]
    marks += [(match.start(), _Mode.SOFT) for match in SOFT.finditer(clause)]
    marks += [(position, _Mode.HARD) for position in _comma_ends(clause, bool(marks))]
    return sorted(marks, key=lambda mark: mark[0])


def _comma_ends(clause: str, marked: bool) -> Iterator[int]:
    if marked:
        yield from (match.end() for match in NEW_THOUGHT.finditer(clause))


def _is_pure(pieces: Sequence[tuple[str, str, int]]) -> bool:
    """Whether a clause is a bare list of ids: `1, 2 and 4`."""
    return all(
        kind in ("unit", "id", "compact", "joint", "span", "slug") or value == _SOFT_MARK for kind, value, _ in pieces
    )


@dataclass(slots=True)
class _Scan:
    """A walk over the tokens of a clause. `listing` tells that numbers are ids here; `unit` is the one last named.

    `pending` is the last reference, which a range, a unit behind it or a following word may still change; while it is
    `bare` (a number with no unit) it counts only if the unit follows: `3단계`.
    """

    found: _Found
    pure: bool
    mode: _Mode = _Mode.HARD
    unit: str = ""
    listing: bool = False
    spanning: bool = False
    bare: bool = False
    pending: Reference | None = None

    def turn(self, mode: _Mode) -> None:
        """From here on references count differently."""
        self.flush()
        self.mode = mode

    def take(self, kind: str, value: str) -> None:
        if kind == "unit":
            self._unit(value)
        elif kind in ("id", "compact", "slug"):
            self._id(kind, value)
        elif kind == "span":
            self.spanning = self.pending is not None
        elif kind == "word":
            self._word(value)
        elif kind == "joint" and self.listing and not self.bare:
            self.flush()
        elif value == _SOFT_MARK:
            self._soften()
        elif kind == "version" or (kind == "other" and value not in "#:'\"第"):
            self.listing = self.spanning = False

    def flush(self) -> None:
        if self.pending is not None and not self.bare:
            self.found.put(self.mode, self.pending)
        self.pending, self.bare = None, False

    def _unit(self, value: str) -> None:
        canonical = UNITS.get(value.casefold().removeprefix("user ").removeprefix("work "), "")
        if self.bare and self.pending is not None and ord(value[0]) > 0x2E7F:
            self.pending, self.bare = Reference(self.pending.text, self.pending.last, canonical), False
        elif not self.spanning:
            self.flush()
        self.unit, self.listing = canonical, True

    def _id(self, kind: str, value: str) -> None:
        value = _NUMERALS.get(value.removeprefix("#"), value.removeprefix("#"))
        if self.spanning and self.pending is not None:
            self.pending = Reference(self.pending.text, value, self.pending.unit, sure=self.pending.sure)
            self.spanning = False
            return
        self.flush()
        known = self.listing or self.pure
        self.bare = kind == "id" and not known
        self.pending = Reference(value, unit=self.unit if self.listing else "", sure=known and kind != "compact")
        self.listing = known

    def _word(self, value: str) -> None:
        folded = value.casefold()
        if self.listing and (self.pending is None or folded in _NUMBER_WORDS) and _is_letter_id(value):
            self.flush()
            self.pending = Reference(_NUMBER_WORDS.get(folded, value), unit=self.unit, sure=False)
            return
        if self.pending is not None and not self.pending.following and not self.pending.last:
            self.pending = Reference(self.pending.text, "", self.pending.unit, folded, sure=self.pending.sure)
        if folded in AMOUNTS:
            self.pending = None
        self.spanning = False
        self.listing = folded in FILLERS or value == "第"

    def _soften(self) -> None:
        if self.pending is not None and not self.bare:
            self.found.put(_Mode.SOFT, self.pending)
        self.pending = None


def _is_letter_id(value: str) -> bool:
    return _LETTER_ID.match(value) is not None or value.casefold() in _NUMBER_WORDS


def _read_names_beside(head: str, found: _Found) -> None:
    """Names in a list that also holds numbers: `Setup and Phase 3`."""
    pieces = _PIECE.split(VERBS.sub("", head, count=1))
    for piece in pieces if len(pieces) > 1 else ():
        name = piece.strip(" .").removeprefix("on ")
        if name and len(name.split()) <= 4 and not NO_NAMES.match(name) and _is_all_words(name):
            found.put(_Mode.HARD, Reference(name, named=True, sure=False))


def _is_all_words(text: str) -> bool:
    """Whether a text holds neither numbers nor units, so that it can only be a name."""
    if any(character.isdigit() for character in text):
        return False
    return not any(word.casefold() in UNITS or _is_letter_id(word) for word in text.split())


_PIECE: Final = re.compile(r"[,，、]|[ ](?:and|und|et|y|e|и|&)[ ]", re.IGNORECASE)


def _read_words(clause: str, head: str, found: _Found) -> None:
    """A clause without any number: all previous phases, none, the name of a phase, or something else.

    `head` is the clause up to where it turns ("not", "before", "ideally").
    """
    if ALL.search(head):
        found.all_previous = True
    elif PREVIOUS.search(head):
        found.previous = True
    elif not NONE.match(clause):
        mode = _Mode.HARD
        if not head and SOFT.match(clause):
            head, mode = SOFT.sub("", clause, count=1), _Mode.SOFT
        words = VERBS.sub("", head, count=1).strip(f" .,:{_SOFT_MARK}")
        if words and not NO_NAMES.match(words):
            found.put(mode, Reference(words, named=True, sure=False))
