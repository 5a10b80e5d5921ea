"""Amounts of work as people write them: `1.5 hours`, `2-3 days`, `1h 30m`, `2 周`.

What it does: turns a short text into hours. A day has 8 hours, a week 40, a month 160; a range counts as its middle.
What it does not know: what the amount is for. Sizes (S, M, L), story points and places in the calendar (`Week 6`) are
no amounts: the answer is None, and None is never taken for zero.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

from wavecrew.plans.wordlists import numbered

HOURS_PER_DAY: Final = 8.0
_HOURS: Final = {
    "second": 1 / 3600,
    "minute": 1 / 60,
    "hour": 1.0,
    "day": HOURS_PER_DAY,
    "week": 5 * HOURS_PER_DAY,
    "month": 20 * HOURS_PER_DAY,
}
_WORDS: Final = {
    "second": "s sec secs second seconds sekunde sekunden 秒 초",
    "minute": "m min mins minute minutes minuten minuto minutos minuti мин минута минуты минут 分 分钟 分鐘 分間 분",
    "hour": "h hr hrs hour hours std stunde stunden personenstunden heure heures hora horas ora ore uur"
    " ч час часа часов 小时 小時 个小时 個小時 钟头 時間 시간",
    "day": "d day days workday workdays tag tage tagen arbeitstag arbeitstage pt jour jours día días dia dias giorno"
    " giorni giornata giornate dagen dag jornada jornadas journée journées pd md"
    " personentag personentage manntag manntage"
    " день дня дней 天 日 个工作日 個工作日 工作日 人天 人日 営業日 일",
    "week": "w wk wks week weeks woche wochen weken semaine semaines semana semanas settimana settimane"
    " нед неделя недели недель"
    " неделю 周 週 週間 个星期 個星期 星期 주 주일",
    "month": "mo month months monat monate maand maanden mois mes meses mês mese mesi месяц месяца месяцев"
    " 个月 個月 月 ヶ月 か月 개월 달",
}
_UNITS: Final = {word: _HOURS[unit] for unit, words in _WORDS.items() for word in words.split()}
_FRACTIONS: Final = {"½": "0.5", "¼": "0.25", "¾": "0.75", "半": "0.5 "}
_COUNTS: Final = (
    ("half an ", "0.5 "),
    ("half a ", "0.5 "),
    ("half ", "0.5 "),
    ("1/2 ", "0.5 "),
    ("mezza ", "0.5 "),
    ("medio ", "0.5 "),
    ("media ", "0.5 "),
    ("meio ", "0.5 "),
    ("une demi-", "0.5 "),
    ("demi-", "0.5 "),
    ("einen halben ", "0.5 "),
    ("ein halber ", "0.5 "),
    ("halber ", "0.5 "),
    ("полдня", "0.5 дня"),
    ("пол", "0.5 "),
    ("один ", "1 "),
    ("a couple of ", "2 "),
    ("an ", "1 "),
    ("a ", "1 "),
    ("un ", "1 "),
    ("une ", "1 "),
    ("una ", "1 "),
    ("ein ", "1 "),
    ("eine ", "1 "),
    ("einen ", "1 "),
    ("uma ", "1 "),
    ("um ", "1 "),
    *((f"{word} ", f"{number} ") for word, number in numbered("one two three four five six seven eight", 1).items()),
)
_ABOUT: Final = re.compile(
    r"(?:~|≈|about|approx(?:imately)?\.?|around|roughly|circa|ca\.?|c\.|est(?:imated)?\.?:?|up to|at most|max\.?"
    r"|etwa|ungefähr|rund|bis zu|environ|unos|unas|cerca de|aproximadamente|около|примерно|约|約|大约|おおよそ|약)[ ]*"
)
_LONGEST: Final = 200
_NUMBER: Final = r"\d{1,6}(?:[.,]\d{1,3})?"
_AMOUNT: Final = re.compile(
    rf"(?<![\w.,/])(?P<low>{_NUMBER})"
    rf"(?:[ ]?(?P<unit0>[^\W\d_]{{1,8}})?[ ]?(?:-|–|—|~|～|〜|to|bis|à|a|至|到|до|and|und)[ ]?(?P<high>{_NUMBER}))?"
    r"[ +]?[ ]?-?(?:(?:person|man|work|working|ideal|engineer|dev|full|business|focused)[ -])?(?P<unit>[^\W\d_]{1,12})"
)
_CLOCK: Final = re.compile(r"(?<![\w.,/:])(\d{1,3})[ ]?h[ ]?(\d{1,2})(?![\w.,:])")  # `2h30`
_ISO: Final = re.compile(r"pt?(?:(\d{1,4})d)?t?(?:(\d{1,4})h)?(?:(\d{1,4})m)?$")
_JOINTS: Final = frozenset({"", ",", "and", "und", "et", "y", "e", "и", "+", "&"})


def parse_duration(text: str, *, bare: str = "") -> float | None:
    """The hours that a short text tells, or None when it tells no amount.

    `bare` names the unit of numbers that carry none (`hour`, when the label or the column says so).
    """
    text = _prepared(text)
    if not text or text.startswith(("-", "−")):
        return None
    iso = _ISO.match(text) if text.startswith("p") else None
    if iso and any(iso.groups()):
        days, hours, minutes = (float(part or 0) for part in iso.groups())
        return days * HOURS_PER_DAY + hours + minutes / 60
    total = _first_amount(_CLOCK.sub(r"\1h \2min", text))
    if total is None and bare:
        total = _bare_amount(text, _HOURS[bare])
    return total if total is None or isfinite(total) else None


def _prepared(text: str) -> str:
    text = text[:_LONGEST].strip().casefold()
    about = _ABOUT.match(text)
    text = text[about.end() :] if about else text
    for mark, number in _FRACTIONS.items():
        text = text.replace(mark, number)
    for words, number in _COUNTS:
        text = text.replace(words, number) if text.startswith(words) else text
    return text


def _first_amount(text: str) -> float | None:
    """The first amount with a unit, and what directly continues it (`1 h 30 min`)."""
    total: float | None = None
    smallest, behind = 0.0, 0
    for found in _AMOUNT.finditer(text):
        unit = _unit(found.group("unit"))
        if unit is None:
            continue
        low = _number(found.group("low"))
        high = _number(found.group("high")) if found.group("high") else low
        first_unit = _unit(found.group("unit0") or "") or unit
        hours = (low * first_unit + high * unit) / 2
        if total is None:
            total = hours
        elif unit < smallest and text[behind : found.start()].strip() in _JOINTS:
            total += hours
        else:
            break
        smallest, behind = unit, found.end()
    return total


def _unit(word: str) -> float | None:
    """Hours in a unit. Where no spaces stand between words, the unit may be the beginning of what follows."""
    if word in _UNITS:
        return _UNITS[word]
    if word.isascii():
        return None
    return next((_UNITS[word[:length]] for length in range(min(len(word), 4), 0, -1) if word[:length] in _UNITS), None)


_BARE: Final = re.compile(rf"({_NUMBER})(?:[ ]?(?:-|–|—|to)[ ]?({_NUMBER}))?(?=$|[ (])")


def _bare_amount(text: str, unit: float) -> float | None:
    found = _BARE.match(text)
    if not found:
        return None
    low = _number(found.group(1))
    return (low + (_number(found.group(2)) if found.group(2) else low)) / 2 * unit


def _number(text: str) -> float:
    return float(text.replace(",", "."))
