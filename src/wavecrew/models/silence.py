"""The last words of an agent that has fallen silent, and whether they look like a question.

What it does: finds the last line in the end of a log, makes one clean line of it, and tells a question or a prompt from
anything else.
What it does not know: when an agent counts as silent, and what is done about it.
"""

from __future__ import annotations

import re
from typing import Final

MAX_WORDS: Final = 120
"""Longest last words, in characters."""

_SEQUENCES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_QUESTION: Final = re.compile(
    r"\?\W*$|[>:»❯]$|[\[(]\s*y(?:es)?\s*[/|]\s*n(?:o)?\s*[\])]|\bpress\b.*\b(?:enter|return|any key|key)\b"
    r"|\b(?:password|passphrase|passcode)\b|\b(?:allow|approve|confirm|proceed|continue|trust)\b.*\?",
    re.IGNORECASE,
)


def last_words(tail: bytes) -> str:
    """The last line with something to read in the end of a log; empty if there is none. A line that was drawn over
    itself counts as it was left."""
    text = _SEQUENCES.sub("", tail.decode(errors="replace"))
    for line in reversed(re.split(r"[\r\n]+", text)):
        words = clean_words(line)
        if words:
            return words
    return ""


def clean_words(line: str) -> str:
    """One line that steers no terminal, at most MAX_WORDS long; of a longer one the end is kept, where a prompt is."""
    seen = "".join(character if character.isprintable() else " " for character in _SEQUENCES.sub("", line))
    words = " ".join(seen.split())
    return words if len(words) <= MAX_WORDS else "…" + words[-MAX_WORDS + 1 :].lstrip()


def is_question(words: str) -> bool:
    """Whether a line looks as if an answer were awaited."""
    return bool(_QUESTION.search(words.strip()))
