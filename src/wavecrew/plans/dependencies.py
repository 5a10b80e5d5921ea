"""What a phase waits for, as people write it: `Phase 1 (models), Phases 3-5`, `All previous phases`, `None`.

What it does: finds the references in a short text (numbers, ids, ranges, "all previous"), and tells them from remarks
in brackets, from what is *not* waited for ("not on US1", "can run before Phase 8") and from mere wishes ("ideally
after"). What names no phase is handed back as text.
What it does not know: which phases exist; a reference is only what the words say (`resolution` looks it up).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from wavecrew.plans.markdown import link_targets, plain_text
from wavecrew.plans.notations import UNITS
from wavecrew.plans.wordlists import numbered, words


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
_NONE: Final = re.compile(
    r"(?:none|nothing|n/?a|nil|null|no one|not applicable|no (?:phase |task |hard |prior |previous |other |blocking "
    r"|upstream )*"
    r"(?:dependenc(?:y|ies)|prerequisites?|blockers?|phases?|tasks?|requirements)|independent|standalone|self-contained"
    r"|(?:can )?start(?:s)? (?:immediately|anytime|right away|now)|immediately|first phase|无|無|没有|沒有|不依赖"
    r"|없음|없다|무|なし|ナシ|特になし"
    r"|keine?(?:r|n)?|aucune?|rien|ningun[oa]?|nada|nenhuma?|nessun[oa]?|нет|отсутствуют|ничего|unabhängig"
    r"|\[\])(?![\w/]|[ ]?\d)",
    re.IGNORECASE,
)
_DASH_ONLY: Final = frozenset({"-", "–", "—", "--", "---", "[]", "∅", "ø", "✗", "❌", "x"})
_ALL: Final = re.compile(
    r"\b(?:all|every|each|everything|any)\b(?=[^,;]{0,40}\b(?:previous|prior|preceding|earlier|above|before|foregoing"
    r"|phases?|stages?"
    r"|milestones?|steps?|tasks?|stories|sprints?|epics?|story)\b)(?![^,;]{0,16}\bfiles?\b)"
    r"|\b(?:previous|prior|preceding|earlier|above) (?:phases|stages|milestones|steps|tasks|stories|sprints|parts)\b"
    r"|\b(?:the|desired|targeted) (?:user )?stories\b"
    r"|\beverything above\b|\ball of the above\b"
    r"|(?:所有|全部|前面|之前)[^,，;；]{0,6}(?:阶段|階段|步骤|任务)|모든 ?(?:이전 )?(?:단계|작업)|이전 ?모든|이전"
    r" 단계 ?(?:모두|전체)|이전 단계들|(?:すべて|全て|全)の?(?:前の?)?(?:フェーズ|段階|タスク|ステップ)"
    r"|\balle(?:n|r)? (?:vorherigen|vorigen|vorangehenden|bisherigen|früheren|phasen|etappen|schritte)|\btoutes? les"
    r" (?:phases|étapes)"
    r"|\btod[oa]s l?[oa]s (?:fases|etapas|pasos|passos)|\bвсе(?:х)? (?:предыдущ|этап|фаз|шаг)",
    re.IGNORECASE,
)
_PREVIOUS: Final = re.compile(
    r"\b(?:the )?(?:previous|prior|preceding) (?:phase|stage|milestone|step|task|sprint|part)\b|上一?个?(?:阶段|步骤)"
    r"|이전 단계|前の?フェーズ"
    r"|\b(?:vorherige|vorige)[nr]? (?:phase|etappe|schritt)|\b(?:phase|étape) précédente|\bпредыдущ(?:ий|его|ая|ей)"
    r" (?:этап|фаз|шаг)",
    re.IGNORECASE,
)
_OFF: Final = re.compile(
    r"\b(?:not|no|nor|without|independent(?:ly)? (?:of|from)|in parallel|parallel(?:i[sz]able)? (?:with|to)|parallel"
    r"|concurrent(?:ly)?|alongside"
    r"|before|precedes?|blocks|enables|unblocks|unlocks|required by|needed by|feeds|prerequisite (?:for|of|to)"
    r"|except(?: for)?|excluding"
    r"|nicht|keine|unabhängig|vor|ohne|sauf|sans|avant|indépendante?|sin|antes|excepto|independiente|sem|exceto|кроме"
    r"|без|до|независим\w*|не)\b"
    r"|不依赖|无需|独立|并行|之前可|除了?|병렬|독립|並行|独立|以外",
    re.IGNORECASE,
)
_EXCEPT: Final = re.compile(r"(?:except|excluding|sauf|excepto|exceto|кроме|除|以外)", re.IGNORECASE)
_SOFT: Final = re.compile(
    r"\b(?:ideally|preferabl[ye]|pointless before|optional(?:ly)?|nice to have|recommended|soft|if possible|benefits?"
    r" from|helpful"
    r"|better after|idealerweise|empfohlen|optionnel\w*|idéalement|opcional\w*|idealmente|желательно)\b|可选|建议"
    r"|最好|선택|권장|任意|推奨",
    re.IGNORECASE,
)


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
    text = _prepared(text[:_LONGEST])
    found = _Found()
    if text.strip() in _DASH_ONLY:
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
    return bool(bare) and not any(character in " \t,;()" for character in bare) and not _NONE.fullmatch(bare)


def _identified(text: str) -> Dependencies:
    text = text.removeprefix("#")
    if _VERSION.fullmatch(text):
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
        elif _SOFT.match(inside.strip()):
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
    """Whether a text is nothing but references: `1-4`, `Phase 2`, `#3, #5`."""
    rest = _TOKEN.sub(
        lambda found: "" if found.lastgroup in ("unit", "id", "compact", "version") else found.group(), text
    )
    return rest != text and not _LISTING_WORDS.sub("", rest) and not _VERSION.search(text)


def _ends_with_reference(text: str) -> bool:
    clause = re.split(r"[,;，；、]", text)[-1]
    return any(kind == "id" for kind, _, _ in _tokens(clause))


_CLAUSE: Final = re.compile(
    r"[;；。\n]|\.[ ]|[ ](?:but|however|although|aber|mais|pero|mas|но)[ ]"
    r"|[ ](?:[–-](?![ ]*(?:[^\W\d_]{3,12}[ ])?#?\d)|—|--)[ ]|，但|→|=>"
)


def _clauses(text: str) -> Iterator[str]:
    for clause in _CLAUSE.split(text):
        clause = clause.strip(" \t,:：")
        if clause:
            yield clause


# -- tokens -----------------------------------------------------------------------------------------------------

_UNIT_PATTERN: Final = "|".join(sorted((re.escape(word) for word in UNITS), key=len, reverse=True))
_CJK_UNIT_PATTERN: Final = "|".join(
    sorted((re.escape(word) for word in UNITS if ord(word[0]) > 0x2E7F), key=len, reverse=True)
)
_VERSION: Final = re.compile(
    r"v\d+(?:\.[\dx]+)*(?!\w)|\d+\.\d+\.\d+(?:\+|-\w+)?|\d+(?:\.\d+)*\+|[<>=~^]=?[ ]?\d[\d.]*", re.IGNORECASE
)
_TOKEN: Final = re.compile(
    rf"(?P<unit>(?:(?<!\w)(?:user |work )?(?:{_UNIT_PATTERN})(?!\w)|{_CJK_UNIT_PATTERN}))"
    rf"|(?P<version>(?<![\w.])(?:v\d+(?:\.[\dx]+)*(?!\w)|\d+(?:\.\d+)*\+(?!\w)|[<>=~^]=?[ ]?\d[\d.]*))"
    rf"|(?P<compact>(?<![\w.])(?:#?step-|#?phase-|#?task-)?[A-Z]{{1,4}}-?\d{{1,6}}(?:\.\d{{1,4}})*[a-z]?(?![\w]))"
    rf"|(?P<slug>(?<![\w.-])#[a-z]+(?:-\w+){{1,8}})"
    rf"|(?P<id>(?<![A-Za-z0-9_.])#?(?:\d{{2,4}}-\d{{2,4}}[a-z]?(?!\w)"
    rf"|\d{{1,9}}(?:\.\d{{1,9}}){{0,5}}(?:[a-zA-Z](?!\w))?(?!\d)(?![a-zA-Z]{{2}})"
    rf"|[〇一二三四五六七八九十]{{1,2}}(?=阶段|階段|步|(?:[和、,，]|$))|(?:(?<=阶段)|(?<=階段)|(?<=步骤))[〇一二三四五六七八九十]{{1,2}}))"
    rf"|(?P<span>(?:[ ]?(?:-|–|—|~|～|〜|\.\.\.?|…)[ ]?|[ ](?:to|through|thru|until|bis|à|a|hasta|até|по|до|至|到)[ ]"
    rf"|[至到])(?=(?:(?:{_UNIT_PATTERN})[ ]?)?#?[A-Z]{{0,4}}-?\d))"
    r"|(?P<joint>[ ]?(?:,|/|&|\+|、|，|·|\|)[ ]?(?:(?:and|or|und|oder|et|ou|y|e|и)[ ])?|[ ](?:and|or|und|oder|et|ou|y"
    r"|e|и|as well as)[ ]|[和与및과와と])"
    r"|(?P<word>[^\W\d_\u2e80-\uffff]+|[\u2e80-\ufaff]|_)|(?P<other>[^\s])",
    re.IGNORECASE,
)
_CAPITALS: Final = re.compile(r"#?[A-Z]")


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    for found in _TOKEN.finditer(text):
        kind, value = found.lastgroup or "other", found.group()
        if kind == "compact" and not _CAPITALS.match(value) and "-" not in value[:6]:
            kind = "word"
        if kind == "compact" and value.casefold().startswith(
            ("#step-", "#phase-", "#task-", "step-", "phase-", "task-")
        ):
            kind = "slug"
        yield kind, value, found.start()


# -- one clause -------------------------------------------------------------------------------------------------

_NUMERALS: Final = {character: str(number) for number, character in enumerate("〇一二三四五六七八九十")}
_LETTER_ID: Final = re.compile(r"(?:[A-Z]|[IVX]{1,5})$")
_NUMBER_WORDS: Final = numbered("zero one two three four five six seven eight nine ten")
_FILLERS: Final = frozenset(
    {"both", "beide", "beiden", "deux", "ambas", "ambos", "id", "ids", "no", "number", "nr", "第"}
)


_ASIDE: Final = re.compile(
    r"\b(?:(?:is|are|remains?|stays?) (?:un|in|not|parallel|optional|separate)"
    r"|(?:can|may|will|could) (?:run|start|proceed|follow|begin|be))",
    re.IGNORECASE,
)


def _read_clause(clause: str, found: _Found, *, is_first: bool) -> None:
    if _NONE.match(clause):
        found.none = True
    verb = _VERBS.match(clause)
    clause = clause[verb.end() :] if verb else clause
    before = len(found.references) + len(found.soft) + len(found.excepted)
    switches = _switches(clause)
    if not is_first and _ASIDE.search(clause):
        return
    first_switch = switches[0][0] if switches else len(clause)
    scan = _Scan(found, _is_pure(clause))
    for kind, value, start in _tokens(clause):
        while switches and switches[0][0] <= start:
            scan.turn(switches.pop(0)[1])
        scan.take(kind, value)
    scan.flush()
    if len(found.references) + len(found.soft) + len(found.excepted) == before or found.excepted:
        _read_words(clause, clause[:first_switch], found)
    elif not _is_pure(clause):
        _read_names_beside(clause[:first_switch], found)


def _switches(clause: str) -> list[tuple[int, _Mode]]:
    """Where the meaning of the clause turns: from "not", "before", "ideally" on, references do not count as usual."""
    marks = [
        (match.start(), _Mode.EXCEPT if _EXCEPT.match(match.group()) else _Mode.OFF) for match in _OFF.finditer(clause)
    ]
    marks += [(match.start(), _Mode.SOFT) for match in _SOFT.finditer(clause)]
    marks += [(position, _Mode.HARD) for position in _comma_ends(clause, bool(marks))]
    return sorted(marks, key=lambda mark: mark[0])


_NEW_THOUGHT: Final = re.compile(
    r"[,，][ ]*(?:and |und )?(?:then |also )?(?:depends?|requires?|needs?|after|blocked|must|benötigt|nach)\b",
    re.IGNORECASE,
)


def _comma_ends(clause: str, marked: bool) -> Iterator[int]:
    if marked:
        yield from (match.end() for match in _NEW_THOUGHT.finditer(clause))


def _is_pure(clause: str) -> bool:
    """Whether a clause is a bare list of ids: `1, 2 and 4`."""
    return all(
        kind in ("unit", "id", "compact", "joint", "span", "slug") or value == _SOFT_MARK
        for kind, value, _ in _tokens(clause)
    )


_AMOUNTS: Final = words(
    "week weeks day days hour hours min minutes month months percent people times users items files"
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
        if folded in _AMOUNTS:
            self.pending = None
        self.spanning = False
        self.listing = folded in _FILLERS or value == "第"

    def _soften(self) -> None:
        if self.pending is not None and not self.bare:
            self.found.put(_Mode.SOFT, self.pending)
        self.pending = None


def _is_letter_id(value: str) -> bool:
    return _LETTER_ID.match(value) is not None or value.casefold() in _NUMBER_WORDS


_VERBS: Final = re.compile(
    r"(?:depends? (?:up)?on|requires?|needs?|after|blocked by|builds on|waits for|follows|completion of|complete"
    r"|finish|hängt ab von|nach)[ :]+",
    re.IGNORECASE,
)
_NO_NAMES: Final = re.compile(
    r"(?:can|may|might|must|should|is|are|runs?|starts?|this|it|to be|tbd|kann|peut|puede)\b", re.IGNORECASE
)


def _read_names_beside(head: str, found: _Found) -> None:
    """Names in a list that also holds numbers: `Setup and Phase 3`."""
    pieces = _PIECE.split(_VERBS.sub("", head, count=1))
    for piece in pieces if len(pieces) > 1 else ():
        name = piece.strip(" .").removeprefix("on ")
        if name and len(name.split()) <= 4 and not _NO_NAMES.match(name) and _is_all_words(name):
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
    if _ALL.search(head):
        found.all_previous = True
    elif _PREVIOUS.search(head):
        found.previous = True
    elif not _NONE.match(clause):
        mode = _Mode.HARD
        if not head and _SOFT.match(clause):
            head, mode = _SOFT.sub("", clause, count=1), _Mode.SOFT
        words = _VERBS.sub("", head, count=1).strip(f" .,:{_SOFT_MARK}")
        if words and not _NO_NAMES.match(words):
            found.put(mode, Reference(words, named=True, sure=False))
