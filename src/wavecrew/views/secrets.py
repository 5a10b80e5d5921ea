"""What must not leave this machine with the words of a run: values of variables that are named as secret, and texts
that look like keys.

What it does: puts a mark in their place, in any text and in records of texts. Linear in the length of a text.
What it does not know: where the values come from, and where a text goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

MARK: Final = "[hidden]"
SHORTEST: Final = 6
"""Shorter values are words like `true` or `en_US`, and would tear any text to pieces."""

_KEYS: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
    r"|\b(?:sk|rk|pk)-[A-Za-z0-9_-]{20,250}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,250}|\bgithub_pat_[A-Za-z0-9_]{30,250}|\bglpat-[A-Za-z0-9_-]{20,250}"
    r"|\bxox[abeprs]-[A-Za-z0-9-]{10,250}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}"
    r"|\beyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{10,4000}"
    r"|(?<=://)[^\s/:@]{1,100}:[^\s/@]{1,200}(?=@)"
    r"|(?i:(?<=authorization: bearer )|(?<=authorization: basic )|(?<=authorization: token ))\S{4,4000}"
)


class Secrets:
    """Hides the `values` of variables, by their names, and what looks like a key. `hidden` counts what was hidden."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.hidden = 0
        self._names: dict[str, str] = {}
        for name, value in (values or {}).items():
            text = value.strip()
            if len(text) >= SHORTEST:
                for form in (text, json.dumps(text)[1:-1]):
                    self._names.setdefault(form, name)
        longest_first = sorted(self._names, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def hide(self, text: str) -> str:
        """The text with a mark for each secret: `[hidden NAME]` where it is the value of a variable."""
        if self._values is not None:
            text = self._values.sub(self._named, text)
        return _KEYS.sub(self._nameless, text)

    def hide_in(self, record: Any) -> Any:
        """The same for every text in a record of dicts, lists, texts and numbers. Keys stay as they are."""
        if isinstance(record, str):
            return self.hide(record)
        if isinstance(record, Mapping):
            return {key: self.hide_in(value) for key, value in record.items()}
        if isinstance(record, list | tuple):
            return [self.hide_in(value) for value in record]
        return record

    def _named(self, found: re.Match[str]) -> str:
        self.hidden += 1
        return f"[hidden {self._names[found.group()]}]"

    def _nameless(self, found: re.Match[str]) -> str:
        self.hidden += 1
        return MARK
