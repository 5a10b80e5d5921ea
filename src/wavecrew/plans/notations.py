"""How phases are named and numbered: `## Phase 2B: Title (COMPLETED)`, `第3阶段：…`, `phase-11-polish.md`.

What it does: tells from a heading or a file name whether it names a unit of work, and which id and name it gives;
compares ids as people do (`phase-10` after `phase-9`, `01` is `1`).
What it does not know: documents, and which of the units of a document (phases, or the tasks in them) are the plan.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from wavecrew.plans.durations import parse_duration
from wavecrew.plans.markdown import plain_text
from wavecrew.plans.wordlists import numbered, words

_UNIT_WORDS: Final = {
    "phase": "phase phases phasen fase fases fasen fasi phaze fáze faza фаза фазы фазу 阶段 階段 阶段性 단계 페이즈"
    " フェーズ フェイズ",
    "milestone": "milestone milestones meilenstein meilensteine jalon jalons hito hitos marco marcos веха 里程碑"
    " 마일스톤 マイルストーン",
    "stage": "stage stages etappe etappen étape étapes etape etapes etapa etapas этап этапы этапа этапу этапов этапом"
    " 段階",
    "step": "step steps schritt schritte schritten paso pasos passo passos шаг шаги шага 步骤 步驟 스텝 ステップ 手順",
    "task": "task tasks aufgabe aufgaben tâche tâches tarea tareas tarefa tarefas задача задачи задачу задач 任务"
    " 任務 작업 태스크 タスク",
    "part": "part parts teil teile partie parties parte partes часть части 部分 파트 パート",
    "sprint": "sprint sprints спринт 冲刺 스프린트 スプリント",
    "wave": "wave waves welle wellen vague vagues",
    "iteration": "iteration iterations iterationen itération iteración iteração итерация 迭代 イテレーション",
    "epic": "epic epics",
    "story": "story stories",
    "module": "module modules modul",
    "increment": "increment increments inkrement",
    "package": "package packages workpackage arbeitspaket lot",
    "ticket": "ticket tickets issue issues",
    "block": "block blocks",
    "track": "track tracks",
    "plan": "plan plans",
    "batch": "batch batches",
    "workstream": "workstream workstreams",
}
UNITS: Final = {word: unit for unit, words in _UNIT_WORDS.items() for word in words.split()}
_CJK_UNITS: Final = tuple(sorted((word for word in UNITS if ord(word[0]) > 0x2E7F), key=len, reverse=True))

NUMBER: Final = r"\d{1,9}(?:\.\d{1,9}){0,5}[a-z]?(?![\w])|\d{1,9}(?:\.\d{1,9}){0,5}[A-Z](?!\w)"
_WORD_NUMBERS: Final = {
    **numbered("zero one two three four five six seven eight nine ten eleven twelve"),
    **numbered("〇 一 二 三 四 五 六 七 八 九 十 十一 十二"),
}
ROMAN: Final = numbered("I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX", 1)
_SEPARATORS: Final = ":：.)）]-–—|·•>→=、"
_LONGEST: Final = 400


@dataclass(frozen=True, slots=True)
class Title:
    """What a heading names. `unit` is canonical (`phase`), empty for a mere number and in capitals for ids such as
    `T012`. `suffix` are words between number and colon (`11 Polish: …`); `notes` are the brackets that were taken off
    the name. `separated` tells that a colon or dash stands between id and name."""

    unit: str
    id: str
    name: str
    suffix: str = ""
    notes: tuple[str, ...] = ()
    separated: bool = True


_LEADING_UNIT: Final = re.compile(
    r"\[?(?P<unit>[^\W\d_]{2,16})(?P<gap>[ ]?[-–—:_][ ]?|[ ]*[#№]?(?:[Nn][°ºo]\.?)?[ ]?)(?P<rest>.*)", re.DOTALL
)
_ID: Final = re.compile(
    rf"(?P<id>\d{{2,4}}-\d{{1,4}}[a-z]?(?!\w)|{NUMBER}|[A-Za-z]{{1,9}}(?!\w))(?:[ ]?(?:/|of|von"
    rf"|de)[ ]?\d{{1,4}}(?![\w.]))?"
)
_ORDINAL: Final = re.compile(
    r"第?[ ]?(?P<id>\d{1,4}|[〇一二三四五六七八九十]{1,3})[ ]?(?:[.个個つ]|st|nd|rd|th)?[ ]?(?P<rest>.*)", re.DOTALL
)
_COMPACT: Final = re.compile(
    r"(?P<letters>[A-Z]{1,4})-?(?P<number>\d{1,6}(?:\.\d{1,4}){0,3}[a-z]?)(?P<rest>[ ]?[:：.)\]–—|-].*|[ ]+[^ ].*|$)",
    re.DOTALL,
)
_NUMBERED: Final = re.compile(
    rf"(?P<id>\d{{2,4}}-\d{{2,4}}|{NUMBER})(?!\.\d)(?P<rest>[ ]?[.)：:–—|-][ ]?.*|[ ]+\S.*)", re.DOTALL
)


@lru_cache(maxsize=4096)  # headings are looked at more than once
def parse_title(text: str) -> Title | None:
    """What a heading or a table cell names, or None when it names no numbered unit of work."""
    text = _trimmed(plain_text(text[:_LONGEST], keep_code=True), keep="#[第(")
    bare = text.lstrip("#[( ")
    if not _may_be_title(bare):
        return None
    return _unit_first(bare) or _ordinal(bare) or _compact(bare) or _numbered(bare)


_PATH_AS_ID: Final = re.compile(
    r"[#\[( ]{0,4}(?P<unit>[^\W\d_]{2,16})[-–—:_#№ ]{1,4}(?P<id>[^\s/\\:：]*[/\\][^\s:：]*)"
    r"(?:[ ]?[:：]|[ ][-–—]|[ ]?$)"
)


def path_as_id(text: str) -> str:
    """What stands in a heading where the id of a unit would, and is a path: `Phase a/../b: Title`. Else nothing."""
    found = _PATH_AS_ID.match(text[:_LONGEST]) if ("/" in text or "\\" in text) else None
    if found is None or found["unit"].casefold() not in UNITS or parse_title(text) is not None:
        return ""
    return str(found["id"])


def _may_be_title(text: str) -> bool:
    """A quick look that spares most texts the patterns: a title has a number, or begins with the word of a unit."""
    if any(character.isdigit() for character in text[:60]):
        return True
    first = text.partition(" ")[0].rstrip(":：-–—")
    return first.casefold() in UNITS or (
        not text.isascii() and (text.startswith(_CJK_UNITS) or text[:1] in "第一二三四五六七八九十")
    )


def _unit_first(text: str) -> Title | None:
    for word in () if text[:1].isascii() else _CJK_UNITS:
        if text.startswith(word):
            return _with_id(UNITS[word], text[len(word) :].lstrip(" #"))
    if text.casefold().startswith(("user story ", "work package ")):
        text = text.partition(" ")[2]
    found = _LEADING_UNIT.match(text)
    unit = UNITS.get(found.group("unit").casefold()) if found else None
    if not found or unit is None or not (found.group("gap") or found.group("rest")[:1].isdigit()):
        return None
    return _with_id(unit, found.group("rest"))


def _with_id(unit: str, text: str) -> Title | None:
    found = _ID.match(text)
    if not found:
        return _with_numeral(unit, text)
    written = str(found.group("id"))
    rest = text[found.end() :]
    if rest.startswith(("/", "\\")):  # a path, and no id with something behind it
        return None
    if not written[0].isdigit():
        closed = not rest.strip() or rest.lstrip()[:1] in _SEPARATORS + "("
        written = (_letters_as_id(written) if closed else None) or ""
        if not written:
            return None
    return _titled(unit, written, rest)


def _letters_as_id(text: str) -> str | None:
    if text in ROMAN:
        return ROMAN[text] if len(text) > 1 or text in "IVX" else text
    if len(text) == 1 and text.isupper():
        return text
    return _WORD_NUMBERS.get(text.casefold())


def _with_numeral(unit: str, text: str) -> Title | None:
    """`阶段一：…`: a number written in Chinese characters."""
    for length in (2, 1):
        if text[:length] in _WORD_NUMBERS:
            return _titled(unit, _WORD_NUMBERS[text[:length]], text[length:])
    return None


def _ordinal(text: str) -> Title | None:
    """`第1阶段：…`, `1단계: …`, `2. Etappe: …`, `第二阶段`."""
    found = _ORDINAL.match(text)
    if not found:
        return None
    rest = found.group("rest")
    word = next((unit for unit in _CJK_UNITS if rest.startswith(unit)), "")
    if not word:
        first = _LEADING_UNIT.match(rest)
        word = first.group("unit") if first else ""
        if UNITS.get(word.casefold()) not in ("phase", "stage", "step", "milestone", "part", "task"):
            return None
        behind = rest[len(word) :].lstrip()
        if behind and behind[0] not in _SEPARATORS:
            return None
    number = found.group("id")
    return _titled(UNITS[word.casefold()], _WORD_NUMBERS.get(number, number), rest[len(word) :])


def _compact(text: str) -> Title | None:
    """`T012 Title`, `P1: Title`, `M2 - Title`, `US-3: Title`."""
    found = _COMPACT.match(text)
    if not found or not found.group("number"):
        return None
    letters, rest = found.group("letters"), found.group("rest")
    dash = "-" if text[len(letters)] == "-" else ""
    separated = rest.lstrip()[:1] in _SEPARATORS and bool(rest.strip())
    title = _titled(letters, f"{letters}{dash}{found.group('number')}", rest)
    return Title(title.unit, title.id, title.name, "", title.notes, separated or not rest.strip())


def _numbered(text: str) -> Title | None:
    """`1. Title`, `2) Title`, `3 - Title`, `01-02: Title`."""
    found = _NUMBERED.match(text)
    if not found:
        return None
    rest = found.group("rest")
    if not rest.strip(f" {_SEPARATORS}"):
        return None
    if rest.lstrip()[:1] not in _SEPARATORS:
        name, notes = clean_name(rest.strip())
        return Title("", found.group("id"), name, "", notes, separated=False) if _is_outline(found) else None
    inner = _unit_first(rest.lstrip(f" {_SEPARATORS}"))
    if inner is not None and inner.separated and inner.name:
        return inner
    title = _titled("", found.group("id"), rest)
    return Title("", title.id, title.name, "", title.notes)


def _is_outline(found: re.Match[str]) -> bool:
    """Whether a number without a dot or colon behind it is one of an outline: `1.2 Title`, `1.1.2 Title`."""
    number = found.group("id")
    return "." in number and len(number) <= 12 and parse_duration(found.group()[:40]) is None


def _titled(unit: str, written: str, rest: str) -> Title:
    rest = rest.strip()
    if rest[:1] and rest[0] in _SEPARATORS:
        name, notes = clean_name(rest.lstrip(f" {_SEPARATORS}"))
        return Title(unit, written, name, "", notes)
    head, colon, tail = _split_colon(rest)
    if colon and head.startswith("(") and head.endswith(")"):
        name, notes = clean_name(tail)
        return Title(unit, written, name, "", (*notes, head[1:-1]))
    if colon and len(head.split()) <= 2 and head.replace(" ", "").isascii() and head.replace(" ", "").isalnum():
        name, notes = clean_name(tail)
        return Title(unit, written, name, "-".join(head.casefold().split()), notes)
    name, notes = clean_name(rest)
    if not name and notes and not _is_status(notes[0]) and len(notes) == 1 and not _is_note(notes[0]):
        name, notes = notes[0], ()
    return Title(unit, written, name, "", notes, separated=not rest)


def _split_colon(text: str) -> tuple[str, str, str]:
    for colon in (":", "：", " - ", " – ", " — "):
        head, found, tail = text.partition(colon)
        if found and len(head) <= 40:
            return head.strip(), found, tail.strip()
    return text, "", ""


# -- names ------------------------------------------------------------------------------------------------------

_STATUS: Final = words(
    "completed complete done finished in-progress wip pending todo not-started planned ready blocked next"
    " current"
    " partial partially skipped cancelled canceled deferred shipped merged optional mvp draft approved active new"
    " 已完成 完成 进行中 未开始 待办 완료 진행중 예정 完了 進行中 未着手 erledigt fertig offen terminé fait"
    " completado hecho concluído"
    " выполнено готово завершено"
)
_CALENDAR: Final = re.compile(
    r"(?:weeks?|wks?|days?|sprints?|months?|woche|wochen|tag|semaine|semana|неделя|第|q[1-4]|kw|w"
    r"|d)[ ]?[\d一二三四五六七八九十].{0,24}$",
    re.IGNORECASE,
)
_LABELLED: Final = re.compile(r"[^\W\d_][\w ]{1,20}[:：]")
_DEPENDING: Final = re.compile(
    r"(?:(?:no )?dependenc(?:y|ies)|deps?|depends?|dependent|requires?|needs?|after|blocked (?:by|on)|prereq\w*|follows"
    r"|parallel|independent$|依赖|依存|의존|nach|braucht|benötigt)\b",
    re.IGNORECASE,
)
_PRIORITY: Final = re.compile(r"p[0-5]$|(?:high|medium|low|critical)(?: priority| risk)?$", re.IGNORECASE)


def clean_name(text: str) -> tuple[str, tuple[str, ...]]:
    """A name without emoji, status marks, times and other remarks at its end; and what stood in those brackets."""
    name, notes = _trimmed(text[:_LONGEST]), []
    while True:
        opening, note = _last_remark(name)
        if opening < 0 or (not (_is_status(note) or _is_note(note)) and opening > 0):
            break
        notes.append(note)
        name = _trimmed(name[:opening])
    return _without_status(name), tuple(notes)


_AMOUNT_TAIL: Final = re.compile(
    r"[ ](?:-|–|—|//|·|@|[\u2300-\u27bf\U0001f300-\U0001faff]\ufe0f?)[ ]?(?P<note>[~≈]?[ ]?\d{1,4}(?:[.,]\d{1,2})?"
    r"(?:[ ]?[-–][ ]?\d{1,4}(?:[.,]\d{1,2})?)?[ ]?[^\W\d_]{1,9})$"
)


def _last_remark(name: str) -> tuple[int, str]:
    """Where the last remark of a name begins and what it says: `Title (2h)`, `Title | Est: 2h`, `Title - 2h`."""
    opening = _opening_bracket(name)
    if opening >= 0:
        return opening, name[opening + 1 : -1].strip()
    head, bar, note = name.rpartition("|")
    if bar and head and _is_note(note):
        return len(head), note.strip()
    tail = _AMOUNT_TAIL.search(name[-40:])
    if tail and _is_note(tail.group("note")):
        return len(name) - len(tail.group()), tail.group("note").strip()
    return -1, ""


def tells_dependency(note: str) -> bool:
    """Whether a remark in brackets begins like a dependency: `depends on Phase 1`, `after 2`."""
    return _DEPENDING.match(note.strip()) is not None


def _trimmed(text: str, keep: str = "") -> str:
    """A text without the emoji, arrows and spaces around it."""
    start, end = 0, len(text)
    while start < end and _is_decoration(text[start]) and text[start] not in keep:
        start += 1
    while end > start and (_is_decoration(text[end - 1]) or text[end - 1] in ":："):
        end -= 1
    return text[start:end]


def _is_decoration(character: str) -> bool:
    if character in " \t*_~|":
        return True
    return unicodedata.category(character) in ("So", "Sk", "Cf", "Mn", "Me") or character in "✓✔✗→←•·"


def _opening_bracket(text: str) -> int:
    """Where the bracket that closes at the end of the text was opened; -1 if there is none."""
    pairs = {")": "(", "）": "（", "]": "["}
    if not text or text[-1] not in pairs:
        return -1
    depth, closing, opening = 0, text[-1], pairs[text[-1]]
    for position in range(len(text) - 1, -1, -1):
        depth += (text[position] == closing) - (text[position] == opening)
        if depth == 0:
            return position
    return -1


def _is_status(text: str) -> bool:
    text = _trimmed(text).casefold()
    return text.replace(" ", "-") in _STATUS or (
        text.partition(" ")[0].rstrip(",;:-") in ("completed", "done", "complete")
        and len(text) < 40
        and not any(UNITS.get(word) for word in text.split())
    )


def _is_note(text: str) -> bool:
    bare = _trimmed(text).lstrip("~≈ ")
    if _CALENDAR.match(bare) or _PRIORITY.match(bare) or _LABELLED.match(bare) or _DEPENDING.match(bare):
        return True
    return len(bare) < 60 and bare[:1].isdigit() and parse_duration(bare) is not None


def _without_status(name: str) -> str:
    for dash in (" - ", " – ", " — "):
        head, found, tail = name.rpartition(dash)
        if found and head and _is_status(tail):
            return _trimmed(head)
    return name


# -- ids --------------------------------------------------------------------------------------------------------

_RUNS: Final = re.compile(r"\d+|[^\d\W_]+")


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sorting key in which numbers count as numbers: 9, 9a, 9b, 10, 10.1, 11, 11-polish."""
    if text.isascii() and text.isdigit() and len(text) < 20:
        return ((0, int(text), ""),)
    runs = _RUNS.findall(text.casefold()[:200])
    return tuple((0, int(run), "") if run.isdigit() and run.isascii() else (1, 0, run) for run in runs)


def loose_id(text: str) -> str:
    """An id for comparing: case, leading zeros, and the kind of separator do not count."""
    if text.isascii() and text.isdigit():
        return text[:200].lstrip("0") or "0"
    runs = _RUNS.findall(text.casefold()[:200])
    return "-".join((run.lstrip("0") or "0") if run.isdigit() else run for run in runs)


def slug(text: str) -> str:
    """An id made of a name: `Set up the API` -> `set-up-the-api`."""
    words = re.findall(r"\w+", plain_text(text[:_LONGEST]).casefold())
    return "-".join(words)[:80]
