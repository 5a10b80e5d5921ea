"""Long lines cut for a screen, so that what somebody may want to copy stays in one piece.

What it does: breaks a text between words, and never inside of a command or of anything in quotes: that stands on one
line, even where the line gets too long for it.
What it does not know: what the text says, and whether its lines go to a screen at all.
"""

from __future__ import annotations

import re
from typing import Final

from wavecrew.views.terminal_text import cells

_PROGRAMS: Final = "wavecrew|git|chmod|pip|npm|python3?"
_END: Final = r"; | · |, |\)"
_WHOLE: Final = re.compile(
    r"`[^`]+`"
    r"|(?<!\w)'[^']*'(?!\w)"
    r'|(?<!\w)"[^"]*"(?!\w)'
    rf"|(?:^|(?<=[:;·] ))(?:{_PROGRAMS}) (?:(?!{_END}).)*"  # as in `see: wavecrew status`
)
_HELD: Final = "\0"


def broken(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """A text on lines of at most `width` columns, as far as its words allow; `first` and `later` stand before its
    first line and before all others."""
    held = _WHOLE.sub(lambda found: found.group().replace(" ", _HELD), text)
    lines: list[str] = []
    line, begun = first, False
    for word in (word.replace(_HELD, " ") for word in held.split(" ")):
        if begun and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line, begun = later, False
        line, begun = f"{line} {word}" if begun else f"{line}{word}", True
    return [*lines, line]
