"""What the name of a document tells: `phase-1-x.md`, `01-title.md`, `PHASE_2.md`, `10.1-01-PLAN.md`.

What it does: finds the unit, the id and the words in a file name.
What it does not know: whether the document is a phase (`folders` decides).
"""

from __future__ import annotations

import re
from typing import Final

from wavecrew.plans.notations import UNITS, Title

_FILE_UNIT: Final = re.compile(
    r"(?:^|[-_. ])(?P<unit>[^\W\d_]{3,16})[-_ ]?(?P<id>\d{1,6}(?:\.\d{1,4})*[a-z]?)(?=[-_. ]|$)"
)
_FILE_NUMBER: Final = re.compile(r"(?P<id>\d{1,9}(?:\.\d{1,4})*[a-z]?|[a-z]{1,3}\d{1,6})(?=[-_. ]|$)")
_FILE_PAIR: Final = re.compile(r"(?P<id>\d{1,4}(?:\.\d{1,4})*-\d{1,4}[a-z]?)(?=[-_. ]|$)")


def parse_file_name(stem: str) -> Title | None:
    """What the name of a document (without `.md`) tells: `phase-1-x`, `01-title`, `PHASE_2`, `10.1-01-PLAN`."""
    lowered = stem.casefold()
    for found in _FILE_UNIT.finditer(lowered):
        unit = UNITS.get(found.group("unit"))
        if unit:
            number = found.group("id")
            return Title(unit, re.sub(r"^0+(?=\d)", "", number), _spoken(stem[found.end() :]))
    pair = _FILE_PAIR.match(lowered)
    if pair and lowered[pair.end() :].lstrip("-_. ").startswith("plan"):
        return Title("plan", pair.group("id"), "")
    number_first = _FILE_NUMBER.match(lowered)
    if number_first and len(re.sub(r"\D", "", number_first.group("id"))) <= 5:
        return Title("", number_first.group("id"), _spoken(stem[number_first.end() :]))
    return None


def _spoken(text: str) -> str:
    return " ".join(re.split(r"[-_ ]+", text.strip("-_. ")))
