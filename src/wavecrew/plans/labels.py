"""The words that plans use for their fields: `Depends on`, `预计工期`, `Files to Create`, `Dauer`.

What it does: tells from a label or a heading which kind of field it opens, and finds the labels in a line of text.
What it does not know: how the value behind the label is read.
"""

from __future__ import annotations

import re
from enum import Enum
from itertools import pairwise
from typing import Final

from wavecrew.plans.dependencies import parse_dependencies
from wavecrew.plans.markdown import without_checkbox
from wavecrew.plans.notations import UNITS
from wavecrew.plans.paths import use_of
from wavecrew.plans.wordlists import words


class Kind(Enum):
    """What a field tells about a phase. NEITHER is a field that looks like one of the others and is none."""

    DEPENDS = "depends"
    ESTIMATE = "estimate"
    WRITES = "writes"
    READS = "reads"
    REMOVES = "removes"
    FILES = "files"
    NEITHER = "neither"


_LABELS: Final = {
    Kind.DEPENDS: """
        depends on; depends; depend on; cannot start until; cannot begin until; can start after
        can only start after; can begin after; can start once; depends upon; dependent on; dependency; dependencies
        dep; deps; prerequisite; prerequisites; prereq; prereqs; pre-requisites; pre-requisite; preconditions
        requires; require; required; required phases; requires phases; blocked by; blockers; blocker; blocked on
        needs; after; must come after; start after; starts after; run after; runs after; follows; preceded by
        predecessor; predecessors; waits for; waiting for; wait for; builds on; build on; built on; depends-on
        must follow; depends_on; blocked_by; blocked until; gated by; gated on; contingent on; comes after
        can begin once
        upstream; prior phases; previous phases; required before start; entry criteria
        dependencies & prerequisites; dependencies on other phases; 依赖; 依赖项; 依赖关系; 前置依赖; 前置条件
        前置; 前置任务; 前置阶段; 依赖阶段; 依赖于; 先决条件; 依賴; 前提; 前提条件; 依存; 依存関係; 依存フェーズ
        先行タスク; 前提フェーズ; 의존성; 의존; 의존 관계; 선행 조건; 선행 단계; 선행 작업; 전제 조건; 선행조건
        종속성; abhängig von; abhängigkeit; abhängigkeiten; hängt ab von; voraussetzung; voraussetzungen; benötigt
        afhankelijk van; afhankelijkheden; afhankelijkheid; vereist; vereisten; geblokkeerd door
        baut auf; nach; vorgänger; setzt voraus; erfordert; bedingt durch
        dépend de; dépendance; dépendances; prérequis; pré-requis; après; nécessite
        bloqué par; depende de; dependencia; dependencias; prerrequisito; prerrequisitos; requisitos previos
        requiere; después de; bloqueado por; precede a; dependência; dependências; pré-requisito; pré-requisitos
        requer; depois de; dipende da; dipendenze; prerequisiti; richiede; зависит от; зависимость; зависимости
        требует; требуется; предпосылки; предварительные условия; после; пререквизиты""",
    Kind.ESTIMATE: """
        estimate; estimates; estimated; est; est.; estimated time; estimated duration; estimated effort
        estimated hours; estimated total; estimated work; estimation; time estimate; effort estimate; effort
        duration; time; est time; est. time; est effort; est. effort; est hours; est. hours; est duration
        est. duration; hours; total estimate; total time; total duration; total effort; expected duration
        expected time; time required; time needed; time budget; planned duration; planned effort; planned time
        work estimate; expected effort; eta; timebox; estimated completion time; estimated days; duration estimate
        how long; takes; will take; time to complete; duur; schatting; geschatte tijd; geschatte duur; tijd
        level of effort; loe; time allocation; estimated timeline; timeline; length; 预计工期; 工期; 预计时间
        预估时间; 预计耗时; 估时; 耗时; 时间; 预计; 预估; 工作量; 预估工时; 预计工时; 工时; 估算; 预计用时; 時間
        時程; 預計時間; 예상 시간; 예상 작업량; 예상 기간; 소요 시간; 예상 소요 시간; 작업량; 기간; 예상 공수
        見積もり; 見積り; 見積; 所要時間; 工数; 期間; 予定時間; 想定時間; aufwand; geschätzter aufwand; dauer
        geschätzte dauer; zeitaufwand; schätzung; zeit; geschätzte zeit; durée; durée estimée; estimation du temps
        temps estimé; effort estimé; charge; temps; duración; duración estimada; tiempo estimado; estimación
        esfuerzo; tiempo; esfuerzo estimado; duração; duração estimada; tempo estimado; estimativa; esforço; tempo
        durata; durata stimata; stima; tempo stimato; оценка; длительность; продолжительность; время; срок
        оценка времени; трудозатраты; трудоёмкость; трудоемкость""",
    Kind.WRITES: """
        files to create; files to modify; files to update; files to change; files to edit; files to add
        files to write; files to touch; files to create/modify; files to create or modify
        files to create and modify; files to modify/create; files to create/update; files created; files updated
        files modified; files changed; files added; files touched; files written; files edited; file changes
        new files; modified files; changed files; updated files; file to create; file to modify; create files
        modify files; created files; new file; new/modified files; new and modified files; files; file; file path
        file paths; filepath; path; paths; file location; location; outputs; output; expected outputs; output files
        output file; writes; creates; modifies; artifacts; artefacts; deliverables; deliverable; key deliverables
        deliverable files; files affected; affected files; target files; target file; target; files to deliver
        produced files; produces; result files; key files; implementation files; test files; tests to write
        docs to write; files owned; owned files; owns; scope (files); files in scope; touches; file list
        outputs/deliverables; touched files; impacted files; 文件路径; 文件; 输出; 产出; 产出物; 交付物; 输出文件
        新增文件; 新建文件; 修改文件; 创建文件; 涉及文件; 变更文件; 文件清单; 文件列表; 檔案; 需要创建的文件
        需要修改的文件; 파일; 파일 경로; 생성 파일; 수정 파일; 생성할 파일; 수정할 파일; 변경 파일; 산출물; 출력
        출력 파일; 새 파일; ファイル; 出力; 成果物; 作成ファイル; 変更ファイル; 対象ファイル; ファイルパス
        新規ファイル; 修正ファイル; dateien; datei; ergebnisse; ausgaben; neue dateien; geänderte dateien
        zu erstellende dateien; zu ändernde dateien; betroffene dateien; fichiers; fichier; livrables; sorties
        bestanden; nieuwe bestanden; uitvoer; resultaten
        fichiers à créer; fichiers à modifier; fichiers créés; fichiers modifiés; nouveaux fichiers; archivos
        archivo; entregables; salidas; archivos a crear; archivos a modificar; archivos nuevos; archivos creados
        archivos modificados; arquivos; arquivo; entregáveis; saídas; arquivos a criar; arquivos a modificar
        arquivos criados; novos arquivos; file da creare; файлы; файл; результаты; новые файлы; изменяемые файлы
        создаваемые файлы; файлы для создания; файлы для изменения; артефакты""",
    Kind.READS: """
        files to read; read; reads; reads from; inputs; input; input files; input file; reference files; references
        reference; imports; import; read-only; read only; read-only files; files to reference; context files
        files to review; source files to read; read first; consult; reuse; reuses; uses files; 参考文件; 输入
        输入文件; 需要读取的文件; 참고 파일; 입력; 입력 파일; 参照ファイル; 入力; 入力ファイル; eingaben
        zu lesende dateien; entrées; entradas; входные данные""",
    Kind.REMOVES: """
        files to delete; files to remove; files deleted; files removed; delete files; remove files; deleted files
        removed files; files to retire; 删除文件; 삭제 파일; 削除ファイル; zu löschende dateien
        fichiers à supprimer; archivos a eliminar""",
    Kind.FILES: """
        related code files; related files; relevant files; code files; file structure; files involved
        files & changes; files and changes; context; 相关文件; 관련 파일; 関連ファイル; betroffener code""",
    Kind.NEITHER: """
        enables; blocks; unblocks; unlocks; downstream; required by; needed by; successors; successor; before
        feeds into; feeds; leads to; followed by; next; parallel with; parallel; parallelizable
        can run in parallel with; runs parallel to; in parallel with; can run before; can parallelize with
        concurrent with; soft dependencies; soft depends on; nice to have; optional dependencies; conflicts with
        conflicts; independent of; related to; related; see also; actual; actual time; actual effort
        actual duration; actual hours; time spent; time invested; external dependencies; external
        third-party dependencies; package dependencies; npm dependencies; python dependencies; dependencies to add
        new dependencies; dev dependencies; library dependencies; runtime dependencies; system dependencies
        technical dependencies; core dependencies; 可并行; 后续; 阻塞; 병렬; 후속; 並行; 後続; ermöglicht
        blockiert; parallel zu; permet; bloque; en parallèle avec; habilita; bloquea; paralelo con; блокирует
        параллельно с; 实际工期; 实际用时; 실제 시간; 実績""",
}
_KINDS: Final = {
    " ".join(label.split()): kind
    for kind, text in _LABELS.items()
    for line in text.split("\n")
    for label in line.split(";")
    if label.strip()
}
_FRONT: Final = words(
    "phase task step milestone stage sprint story hard internal key main direct blocking upstream plan total"
    " project expected the this my our"
    " phase's inter-phase cross-phase overall"
)
_JOINED: Final = re.compile(r"[ ]?(?:&|/|\+|,|·)[ ]?|[ ](?:and|or|und|et|y|e|и)[ ]|[和与及]")
_BRACKET: Final = re.compile(r"[ ]*[(（\[][^()（）\[\]]{0,80}[)）\]]$")
_NUMBERING: Final = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){0,3}[.):]?[ ]+)")
_LONGEST: Final = 70


def kind_of(label: str) -> Kind | None:
    """Which field a label opens, or None when it is no label that we know."""
    bare = normal_label(label)
    if not bare or len(bare) > _LONGEST:
        return None
    known = _KINDS.get(bare) or _KINDS.get(_BRACKET.sub("", bare).strip())
    if known:
        return known
    first, _, rest = bare.partition(" ")
    if first in _FRONT and rest:
        return kind_of(rest.lstrip("0123456789. "))
    head, _, last = bare.rpartition(" ")
    if head and last in UNITS:
        return kind_of(head)  # `Prerequisite milestones`
    if not bare.isascii() and (joined := _joined_kind(bare)) is not None:
        return joined
    parts = [_KINDS.get(part.strip()) for part in _JOINED.split(bare)]
    if len(parts) > 1 and parts[0] is not None and Kind.NEITHER not in parts:
        return parts[0]
    return None


_COMPOUNDS: Final = re.compile(
    r"(?P<depends>(?:前置|依赖|依賴|依存|前提|先决|先行|선행|의존)(?:的)?[\u3040-\ud7a3 ]{0,5})"
    r"|(?P<estimate>(?:预计|预估|预期|计划|估计|預計|預估|予定|想定|예상|소요)[ ]?[\u3040-\ud7a3]{0,4}"
    r"(?:时间|工期|工时|耗时|周期|时长|用时|時間|工数|期間|工時|시간|기간|공수|일정))"
)


def _joined_kind(label: str) -> Kind | None:
    """Labels of languages that join their words: `前置任务`, `预计耗时`."""
    found = _COMPOUNDS.fullmatch(label)
    return None if not found else Kind.DEPENDS if found.group("depends") else Kind.ESTIMATE


def normal_label(text: str) -> str:
    """A label without emphasis, emoji, numbering and colon, in small letters."""
    text = text[: _LONGEST * 3].strip().strip("*_`:： ").strip()
    while text and not (text[0].isalnum() or text[0] in "(["):
        text = text[1:]
    return (
        _NUMBERING.sub("", text, count=1).strip("*_`:： ?").casefold()
        if text[:1].isdigit()
        else text.strip("*_`:： ?").casefold()
    )


# -- labels in a line -------------------------------------------------------------------------------------------

_BOLD: Final = re.compile(
    r"(?P<mark>\*\*|__)(?P<label>[^*_\n|]{1,70}?)(?P<inner>[:：]?)[ ]?(?P=mark)[ ]?(?P<outer>[:：]?)"
)
_PLAIN: Final = re.compile(
    r"[^\w(\[]{0,8}[*_]?(?P<label>[^\s:：|*`][^:：|*`]{0,60}?)[*_]?[ ]?(?::(?=[ *_`(\[/]|$|[^\x00-\x7f])(?!//)|：)"
)
_WORDED: Final = re.compile(
    r"(?:(?:this|the) (?:phase|step|task|stage|milestone|sprint|work) )?(?:is )?"
    r"(?:can (?:only )?(?:be )?(?:start(?:ed)?|begin|begun) (?:after|once|when)"
    r"|(?:cannot|can't|can not|must not|may not|do not|don't|should not) (?:be )?(?:start(?:ed)?|begin|begun)"
    r" (?:until|before|unless)"
    r"|builds (?:up)?on|depends (?:up)?on|dependent (?:up)?on|blocked (?:by|on|until)|wait(?:s|ing) (?:for|on)"
    r"|gated (?:by|on)|contingent (?:up)?on|preceded by|requires|prerequisite is|must (?:follow|come after|wait for)"
    r"|(?:comes|starts|begins|runs|follows) (?:directly |immediately |right |only )?after"
    r"|hängt (?:ab )?von|hängt an|baut auf|setzt|benötigt|dépend d[e']|depende d[eo]|dipende da|зависит от|依赖)"
    r"(?:[ ]|(?<=[于赖'])(?=\S))",
    re.IGNORECASE,
)
_AFTER: Final = re.compile(
    r"(?:once|after|when|nach|sobald|après) (?P<value>[^.;:]{1,80}?)"
    r"(?: (?:is|are|has been|have been|has|have|ist|sind|est|sont)(?: all| both| been)?"
    r" (?:merged|completed?|done|finished|shipped|released|landed|closed|over|fertig|abgeschlossen|terminé\w*))?[.]?$",
    re.IGNORECASE,
)
_FREE: Final = re.compile(
    r"(?:(?:this|the) (?:phase|step|task|stage|milestone|sprint) )?(?:has no (?:hard |phase |other )?dependenc(?:y|ies)"
    r"|has no prerequisites|(?:can|may) (?:be )?start(?:ed)?(?: at once| immediately| right away| any ?time| now)"
    r"|no (?:hard |phase |other )?(?:dependencies|prerequisites|blockers)|depends on nothing|(?:is )?independent"
    r"|keine (?:abhängigkeiten|voraussetzungen)|aucune dépendance|sin dependencias|нет зависимостей|无依赖)[.。]?$",
    re.IGNORECASE,
)
_DASHED: Final = re.compile(r"(?P<label>[A-ZÄÖÜÉÀА-Я][^\s:|*`–—-][^:|*`–—-]{0,28}?)[ ](?:-|–|—)[ ](?=\S)")


_NEW_SENTENCE: Final = re.compile(
    r"[.!] (?=(?:This (?:phase|step|task|stage|milestone|sprint) )?(?:depends (?:up)?on|(?:is )?blocked (?:by|on)"
    r"|must (?:follow|come after)|requires (?:the )?(?:completion of )?(?:phases?|steps?|tasks?|stages?|milestones?)\b"
    r"|no dependencies\.?$))",
    re.IGNORECASE,
)


def fields_in(line: str) -> list[tuple[str, str, int]]:
    """The fields in one line as (label, value, position of the label); bold ones count even if unknown."""
    line = line[:4000]
    bare = without_checkbox(line)
    shift = len(line) - len(bare)
    return [
        (label, value, at + shift) for segment, at in _segments(bare) for label, value, at in _field_in(segment, at)
    ]


def _segments(line: str) -> list[tuple[str, int]]:
    """The line cut where a new field begins: at `|` and at every bold label with a colon."""
    cuts = {0}
    if "|" in line or "·" in line or "•" in line:
        cuts.update(
            position + 1
            for position, character in enumerate(line)
            if character in "|·•" and _opens_field(line[position + 1 :])
        )
    if ". " in line and _opens_field(line):
        cuts.update(found.end() for found in _NEW_SENTENCE.finditer(line))
    if "**" in line or "__" in line:
        cuts.update(found.start() for found in _BOLD.finditer(line) if found.group("inner") or found.group("outer"))
    ordered = [*sorted(cuts), len(line)]
    return [(line[start:end], start) for start, end in pairwise(ordered) if line[start:end].strip()][:40]


def _opens_field(text: str) -> bool:
    text = text[:120].lstrip()
    found = _BOLD.match(text) or _PLAIN.match(text)
    return found is not None and kind_of(found.group("label")) is not None


def _field_in(segment: str, start: int) -> list[tuple[str, str, int]]:
    lead = len(segment) - len(segment.lstrip(" >-•"))
    text = segment[lead:]
    bold = _BOLD.search(text[:100])
    if bold and not any(character.isalnum() for character in text[: bold.start()]):
        colon = bold.group("inner") or bold.group("outer")
        value = text[bold.end() :]
        if colon or kind_of(bold.group("label")) is not None:
            return [(bold.group("label"), _value(value), start + lead + bold.start())]
    plain = _PLAIN.match(text)
    if plain and (kind_of(plain.group("label")) or use_of(plain.group("label"))):
        rest = text[plain.end() :]
        return [
            (plain.group("label"), _value(rest[1:] if text[0] in "*_" and rest[:1] == text[0] else rest), start + lead)
        ]
    return _worded(text.strip("*_ ").strip(), start + lead)


def _worded(text: str, at: int) -> list[tuple[str, str, int]]:
    """A field that is written as a sentence: `Must follow 2.`, `After Phase 3 is merged.`, `Dependencies - Phase 1`."""
    if _FREE.match(text):
        return [("dependencies", "none", at)]
    dashed = _DASHED.match(text)
    if dashed and kind_of(dashed.group("label")) in (Kind.DEPENDS, Kind.ESTIMATE):
        return [(dashed.group("label"), _value(text[dashed.end() :]), at)]
    after = _AFTER.match(text)
    if after and _names_phases(after.group("value")):
        return [("depends on", after.group("value"), at)]
    worded = _WORDED.match(text)
    if not worded or (worded.group().casefold().startswith("setzt") and "voraus" not in text):
        return []
    label = worded.group().strip()
    return [(label if kind_of(label) is not None else "requires", _value(text[worded.end() :]), at)]


def _names_phases(text: str) -> bool:
    """Whether a text is nothing but references to phases: `Phase 3`, `phases 1 and 2`, `M3`."""
    meaning = parse_dependencies(text)
    return bool(meaning.references) and all(not reference.named and reference.sure for reference in meaning.references)


def _value(text: str) -> str:
    return text.strip().lstrip(":：").strip().rstrip("|").strip()
