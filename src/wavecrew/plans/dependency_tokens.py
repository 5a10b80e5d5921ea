"""Texts about dependencies cut into pieces: units, numbers, versions, spans, words.

What it does: tells `Phase`, `2B`, `T012`, `v1.2`, `-` between two numbers and everything else apart.
What it does not know: which of the numbers are references (`dependencies` decides).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from wavecrew.plans.notations import UNITS

_UNIT_PATTERN: Final = "|".join(sorted((re.escape(word) for word in UNITS), key=len, reverse=True))
_CJK_UNIT_PATTERN: Final = "|".join(
    sorted((re.escape(word) for word in UNITS if ord(word[0]) > 0x2E7F), key=len, reverse=True)
)
VERSION: Final = re.compile(
    r"v\d+(?:\.[\dx]+)*(?!\w)|\d+\.\d+\.\d+(?:\+|-\w+)?|\d+(?:\.\d+)*\+|[<>=~^]=?[ ]?\d[\d.]*", re.IGNORECASE
)
TOKEN: Final = re.compile(
    rf"(?P<unit>(?:(?<!\w)(?:user |work )?(?:{_UNIT_PATTERN})(?!\w)|{_CJK_UNIT_PATTERN}))"
    rf"|(?P<version>(?<![\w.])(?:v\d+(?:\.[\dx]+)*(?!\w)|\d+(?:\.\d+)*\+(?!\w)|[<>=~^]=?[ ]?\d[\d.]*))"
    rf"|(?P<compact>(?:(?<![\w.])|(?<=\.\.))(?:#?step-|#?phase-|#?task-)?[A-Z]{{1,4}}-?\d{{1,6}}(?:\.\d{{1,4}})*[a-z]?(?![\w]))"
    rf"|(?P<slug>(?<![\w.-])#[a-z]+(?:-\w+){{1,8}})"
    rf"|(?P<id>(?:(?<![A-Za-z0-9_.])|(?<=\.\.))#?(?:\d{{2,4}}-\d{{2,4}}[a-z]?(?!\w)"
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


def tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """The pieces of a short text as (kind, words, position)."""
    for found in TOKEN.finditer(text):
        kind, value = found.lastgroup or "other", found.group()
        if kind == "compact" and not _CAPITALS.match(value) and "-" not in value[:6]:
            kind = "word"
        if kind == "compact" and value.casefold().startswith(
            ("#step-", "#phase-", "#task-", "step-", "phase-", "task-")
        ):
            kind = "slug"
        yield kind, value, found.start()


_PLAIN: Final = re.compile(r"([A-Za-z]{3,16}) (\d{1,6}(?:\.\d{1,4})?)")


def listed_phases(text: str) -> list[tuple[str, str]] | None:
    """`Phase 1, Phase 2` as (unit, number): what most texts are, and found without the pattern for all of them."""
    if len(text) > 200:
        return None
    found: list[tuple[str, str]] = []
    for piece in text.split(", "):
        match = _PLAIN.fullmatch(piece)
        unit = UNITS.get(match.group(1).casefold()) if match else None
        if match is None or unit is None:
            return None
        if (unit, match.group(2)) not in found:
            found.append((unit, match.group(2)))
    return found
