"""The words around references: none, all previous, not, ideally, depends on.

What it does: holds, in the languages of plans, the patterns that turn the meaning of a text about dependencies.
What it does not know: how a text is read with them (`dependencies` does).
"""

from __future__ import annotations

import re
from typing import Final

from wavecrew.plans.wordlists import words

NONE: Final = re.compile(
    r"(?:none|nothing|n/?a|nil|null|no one|not applicable|no (?:phase |task |hard |prior |previous |other |blocking "
    r"|upstream )*"
    r"(?:dependenc(?:y|ies)|prerequisites?|blockers?|phases?|tasks?|requirements)|independent|standalone|self-contained"
    r"|(?:can )?start(?:s)? (?:immediately|anytime|right away|now)|immediately|first phase|无|無|没有|沒有|不依赖"
    r"|없음|없다|무|なし|ナシ|特になし"
    r"|keine?(?:r|n)?|geen|niets|aucune?|rien|ningun[oa]?|nada|nenhuma?|nessun[oa]?|нет|отсутствуют|ничего|unabhängig"
    r"|\[\])(?![\w/]|[ ]?\d)",
    re.IGNORECASE,
)
DASH_ONLY: Final = frozenset({"-", "–", "—", "--", "---", "[]", "∅", "ø", "✗", "❌", "x"})
ALL: Final = re.compile(
    r"\b(?:all|every|each|everything|any)\b(?=[^,;]{0,40}\b(?:previous|prior|preceding|earlier|above|before|foregoing"
    r"|phases?|stages?"
    r"|milestones?|steps?|tasks?|stories|sprints?|epics?|story)\b)(?![^,;]{0,16}\bfiles?\b)"
    r"|\b(?:previous|prior|preceding|earlier|above) (?:phases|stages|milestones|steps|tasks|stories|sprints|parts)\b"
    r"|\b(?:the|desired|targeted) (?:user )?stories\b"
    r"|\beverything (?:above|before|so far|else)\b|\ball of (?:the above|them|these)\b|\ball (?:the )?above\b"
    r"|\b(?:alles|alle) (?:davor|vorher|bisherige|obigen?)\b|\btout ce qui précède\b|\btodo lo anterior\b|\bвсё выше"
    r"|(?:所有|全部|前面|之前)[^,，;；]{0,6}(?:阶段|階段|步骤|任务)|모든 ?(?:이전 )?(?:단계|작업)|이전 ?모든|이전"
    r" 단계 ?(?:모두|전체)|이전 단계들|(?:すべて|全て|全)の?(?:前の?)?(?:フェーズ|段階|タスク|ステップ)"
    r"|\balle(?:n|r)? (?:vorherigen|vorigen|vorangehenden|bisherigen|früheren|phasen|etappen|schritte)|\btoutes? les"
    r" (?:phases|étapes)"
    r"|\btod[oa]s l?[oa]s (?:fases|etapas|pasos|passos)|\bвсе(?:х)? (?:предыдущ|этап|фаз|шаг)",
    re.IGNORECASE,
)
PREVIOUS: Final = re.compile(
    r"\b(?:the )?(?:previous|prior|preceding) (?:phase|stage|milestone|step|task|sprint|part)\b|上一?个?(?:阶段|步骤)"
    r"|이전 단계|前の?フェーズ"
    r"|\b(?:vorherige|vorige)[nr]? (?:phase|etappe|schritt)|\b(?:phase|étape) précédente|\bпредыдущ(?:ий|его|ая|ей)"
    r" (?:этап|фаз|шаг)",
    re.IGNORECASE,
)
OFF: Final = re.compile(
    r"\b(?:not|no|nor|without|independent(?:ly)? (?:of|from)|in parallel|parallel(?:i[sz]able)? (?:with|to)|parallel"
    r"|concurrent(?:ly)?|alongside"
    r"|(?<!everything )(?<!anything )before(?! (?:this|it)\b)|see|cf"
    r"|precedes?|blocks|enables|unblocks|unlocks|required by|needed by|feeds|prerequisite (?:for|of|to)"
    r"|except(?: for)?|excluding"
    r"|nicht|keine|unabhängig|vor|ohne|sauf|sans|avant|indépendante?|sin|antes|excepto|independiente|sem|exceto|кроме"
    r"|без|до|независим\w*|не)\b"
    r"|不依赖|无需|独立|并行|之前可|除了?|병렬|독립|並行|独立|以外",
    re.IGNORECASE,
)
EXCEPT: Final = re.compile(r"(?:except|excluding|sauf|excepto|exceto|кроме|除|以外)", re.IGNORECASE)
SOFT: Final = re.compile(
    r"\b(?:ideally|preferabl[ye]|pointless before|optional(?:ly)?|nice to have|recommended|soft|if possible|benefits?"
    r" from|helpful"
    r"|better after|idealerweise|empfohlen|optionnel\w*|idéalement|opcional\w*|idealmente|желательно)\b|可选|建议"
    r"|最好|선택|권장|任意|推奨",
    re.IGNORECASE,
)
NEW_THOUGHT: Final = re.compile(
    r"[,，][ ]*(?:and |und )?(?:then |also )?(?:depends?|requires?|needs?|after|blocked|must|benötigt|nach)\b",
    re.IGNORECASE,
)
ASIDE: Final = re.compile(
    r"\b(?:(?:is|are|remains?|stays?) (?:un|in|not|parallel|optional|separate)"
    r"|(?:can|may|will|could) (?:run|start|proceed|follow|begin|be))",
    re.IGNORECASE,
)
VERBS: Final = re.compile(
    r"(?:(?:(?:depends?|dependent|contingent) (?:up)?on|deps?|depends?|dependenc(?:y|ies)|prereq(?:uisite)?s?|requires?"
    r"|needs?|after|blocked (?:by|on)|builds on|waits (?:for|on)|follows|the completion of|completion of|complete"
    r"|finish|hängt ab von|nach|benötigt|braucht)(?:[ :]+|(?=#)))+",
    re.IGNORECASE,
)
NO_NAMES: Final = re.compile(
    r"(?:can|may|might|must|should|is|are|runs?|starts?|this|it|to be|tbd|kann|peut|puede)\b", re.IGNORECASE
)
AMOUNTS: Final = words("week weeks day days hour hours min minutes month months percent people times users items files")
FILLERS: Final = frozenset(
    {"both", "beide", "beiden", "deux", "ambas", "ambos", "id", "ids", "no", "number", "nr", "第"}
)
