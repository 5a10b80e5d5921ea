"""Values of environment variables that must not be written down or shown: their names stand in for them.

What it does: takes the values of the variables that a configuration hands to agents out of texts. What is too short to
be a secret, and what is a path or a plain address, stays.
What it does not know: who wrote a text, and where it goes. Raw logs are none of its concern: only their
owner reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_SHORTEST: Final = 8


class Redaction:
    """Takes out of texts what some variables of an environment hold."""

    def __init__(self, names: Iterable[str] = (), environ: Mapping[str, str] | None = None) -> None:
        values = {(environ or {}).get(name, "").strip(): name for name in names}
        hidden = {value: name for value, name in values.items() if _may_be_secret(value)}
        self._hidden = sorted(hidden.items(), key=lambda pair: -len(pair[0]))  # one may be the beginning of another

    @classmethod
    def for_run(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Redaction:
        """For the texts of a run with these recorded settings, as far as this environment still knows the values."""
        pairs = settings.get("agent_env") or ()
        return cls((*(settings.get("env") or ()), *(str(pair).partition(":")[2] for pair in pairs)), environ)

    def text(self, text: str) -> str:
        """The text with `[NAME]` in the place of each value."""
        for value, name in self._hidden:
            text = text.replace(value, f"[{name}]")
        return text

    def raw(self, piece: bytes) -> bytes:
        """The same for bytes."""
        for value, name in self._hidden:
            piece = piece.replace(value.encode(errors="surrogateescape"), f"[{name}]".encode())
        return piece


NOTHING_HIDDEN: Final = Redaction()
"""For texts of which no variable is known."""


def _may_be_secret(value: str) -> bool:
    address = value.startswith(("http://", "https://")) and "@" not in value and "?" not in value
    return len(value) >= _SHORTEST and not value.startswith("/") and not address
