"""How views write numbers, times and foreign text.

What it does: hours as people say them, counted nouns, names made harmless and cut to a width in terminal columns.
What it does not know: what is written about, and where.
"""

from __future__ import annotations

from unicodedata import combining, east_asian_width


def counted(number: int, noun: str) -> str:
    """`1 phase`, `2 phases`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(hours: float | None, unknown: str = "-") -> str:
    """Hours in at most two units: `45s`, `30m`, `1h30`, `7h`, `34h`. None is unknown and never zero."""
    if hours is None:
        return unknown
    seconds = round(hours * 3600)
    if seconds < 60:
        return f"{seconds}s" if seconds else "0"
    if seconds < 3600:
        minutes, rest = divmod(seconds, 60)
        return f"{minutes}m{rest:02d}" if rest else f"{minutes}m"
    minutes = round(seconds / 60)
    whole, rest = divmod(minutes, 60)
    return f"{whole:,}h{rest:02d}" if rest else f"{whole:,}h"


def printable(text: str) -> str:
    """Foreign text on one line: whatever could move the cursor or hide something becomes a visible escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\r\t" else f"\\u{ord(c):04x}" for c in text)


def columns(text: str) -> int:
    """How many terminal columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """A text cut to a number of columns, and padded with blanks to exactly that number."""
    clean = printable(text)
    if columns(clean) > width:
        kept = ""
        for character in clean:
            if columns(kept + character + ellipsis) > width:
                break
            kept += character
        clean = kept + ellipsis if width >= columns(ellipsis) else ""
    return clean + " " * (width - columns(clean))
