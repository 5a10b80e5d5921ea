"""Colours for lines that are written without any.

What it does: colours the words by which our own screens begin a line or tell a status: what went well, what is wrong,
what waits, what comes next. Take the colours out, and the text is what it was.
What it does not know: whether colours are wanted, and where the lines go. Lines that quote something of others (`| `)
stay as they are.
"""

from __future__ import annotations

import re
from typing import Final

_GOOD, _BAD, _WAIT, _BUSY, _QUIET, _BOLD = "32", "31", "33", "36", "2", "1"
_WORDS: Final = {
    _GOOD: "passed pass done succeeded ok proven landed removed read kept keep wrote",
    _BAD: "failed fail FAIL error blocked lost clash ALARM gone interrupted dead unproven lacks",
    _WAIT: "warning waiting wait retry retrying held hold silent stopped stop pause audit suspect merging merge ask",
    _BUSY: "running start adopt resume run info ready open land",
    _QUIET: "skipped skip absent beat reset hint fix look more disk used",
}
_COLOR_OF: Final = {word: color for color, words in _WORDS.items() for word in words.split()}
_ANY: Final = "|".join(sorted(map(re.escape, _COLOR_OF), key=len, reverse=True))
_HEADS: Final = re.compile(rf"(?P<before>(?:\d[\d:.]*\d )? {{0,6}})(?P<word>{_ANY})(?=\[|: | {{2,}}| you\b)")
_EVENTS: Final = re.compile(rf"(?P<before>\d+:\d\d(?::\d\d|\.\d)+ )(?P<word>{_ANY}) ")
_RUN: Final = re.compile(rf"(?P<before>run \S+  )(?P<word>(?i:{_ANY}))\b")
_ROW: Final = re.compile(r"(?P<before>\S+  +)(?P<word>succeeded|failed|running|stopped|interrupted)(?=  )")
_NEXT: Final = re.compile(r"(?P<before>)(?P<word>next:|OUT OF DATE:|needs you:)")
_PHASE: Final = re.compile(rf"(?P<before> +\d+  .*?  )(?P<word>{_ANY})(?= +\d)")
_PATTERNS: Final = (_NEXT, _RUN, _EVENTS, _HEADS, _PHASE, _ROW)


def paint(text: str) -> str:
    """The text with colours in it, for a terminal."""
    return "\n".join(map(_line, text.split("\n")))


def _line(line: str) -> str:
    if line.lstrip().startswith("|") or "\x1b" in line:
        return line
    for pattern in _PATTERNS:
        found = pattern.match(line)
        if found is not None:
            word, end = found["word"], found.end("word")
            color = _BOLD if pattern is _NEXT else _COLOR_OF.get(word, _COLOR_OF.get(word.lower(), _WAIT))
            return f"{line[: found.start('word')]}\x1b[{color}m{word}\x1b[0m{line[end:]}"
    return line
