"""A line as bash has it: which words it has so far, and how the last one goes on.

What it does: cuts a line into words as bash would, without carrying anything out, and writes the rest of a word so that
it is that word and nothing else, whatever its characters mean to bash.
What it does not know: which words could stand there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_BLANKS: Final = " \t\n"
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%")
_IN_DOUBLE_QUOTES: Final = '$`"\\'


@dataclass(frozen=True, slots=True)
class Line:
    """The words before the cursor without their quotes, the one at the cursor last; that one as it stands, and the
    quote that is open in it."""

    words: tuple[str, ...]
    raw: str
    quote: str = ""

    @classmethod
    def of(cls, text: str) -> Line:
        """Cut a line. Nothing in it is expanded: `$HOME` stays five characters."""
        words, word, start, quote, index = [], "", None, "", 0
        while index < len(text):
            sign, follower = text[index], text[index + 1 : index + 2]
            if not quote and sign in _BLANKS:
                if start is not None:
                    words.append(word)
                word, start = "", None
                index += 1
                continue
            start = index if start is None else start
            if quote and sign == quote:
                quote = ""
            elif not quote and sign in "'\"":
                quote = sign
            elif sign == "\\" and quote != "'" and (not quote or follower in _IN_DOUBLE_QUOTES):
                word += follower
                index += 1
            else:
                word += sign
            index += 1
        return cls((*words, word), "" if start is None else text[start:], quote)

    def reply(self, word: str, typed: str) -> str | None:
        """What bash must put in the place of `typed` for the last word to become `word`; None where it cannot."""
        kept = self.raw.removesuffix(typed)
        before = Line.of(kept)
        if not self.raw.endswith(typed) or not word.startswith(before.words[-1]):
            return None
        rest = word.removeprefix(before.words[-1])
        if before.quote != self.quote:  # a quote that is open, but not where bash cuts: nothing here can be sure
            return None
        if self.quote and rest.endswith(
            self.quote
        ):  # bash would take that one for the end, and the line would stay open
            return None
        match self.quote:
            case "'":
                return rest.replace("'", "'\\''")
            case '"':  # between these there is no way to keep ! from recalling an earlier line
                return None if "!" in rest else "".join(f"\\{c}" if c in _IN_DOUBLE_QUOTES else c for c in rest)
            case _:
                return "".join(c if c in _PLAIN or not c.isascii() else f"\\{c}" for c in rest)
