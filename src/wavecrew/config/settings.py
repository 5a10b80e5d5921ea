"""What one setting is, derived from its line in the configuration: range, names, and its form as text.

What it does: turns the JSON Schema of a field into a `Setting` that knows its environment variable, its flag, the
sentence that tells what is allowed, and how its values are read from and written as text.
What it does not know: which settings exist (`parallel_config`), and which source wins (`sources`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

ENVIRONMENT_PREFIX: Final = "WAVECREW_"
NOTHING: Final = "none"  # how "no limit" and "an empty list" are written where there is no null

_SWITCH: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_SHOWN: Final = 60  # characters of a refused value that a message repeats


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as people meet it. `flag` is how the command line spells it, `schema` its JSON Schema."""

    name: str
    default: object
    description: str
    flag: str
    optional: bool
    schema: Mapping[str, Any]
    allowed: str
    """What a value can be, as the end of "must be ..."."""

    @classmethod
    def of(cls, name: str, default: object, told: Mapping[str, Any]) -> Setting:
        """Read a setting from the property `told` of the configuration's JSON Schema."""
        kinds = [kind for kind in told.get("anyOf", [told]) if kind.get("type") != "null"]
        optional = len(kinds) < len(told.get("anyOf", kinds))
        flag = told.get("flag", "--" + name.replace("_", "-"))
        allowed = told.get("form") or _allowed(kinds[0])
        if optional:
            allowed = f"{allowed}, or {NOTHING}"
        return cls(name, default, told["description"], flag, optional, kinds[0], allowed)

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def help(self) -> str:
        """Meaning, range and default in one line, for a flag or a table."""
        return f"{self.description} Allowed: {self.allowed}. Default: {self.text(self.default)}."

    def refusal(self, value: object) -> str:
        """The sentence that refuses a value."""
        return f"{self.name} must be {self.allowed}, not {_short(value)}"

    def parse(self, text: str) -> object:
        """Read a value from text, as an environment variable or a flag holds it. Ranges are not judged here.

        Raises ValueError for text that cannot be a value of this type.
        """
        text = text.strip()
        if self._empty_is_possible and text.casefold() == NOTHING:
            return None if self.optional else ()
        match self.schema["type"]:
            case "boolean":
                if text.casefold() not in _SWITCH:
                    raise ValueError(text)
                return _SWITCH[text.casefold()]
            case "integer":
                return int(text)
            case "number":
                return _number(text)
            case "array":
                return tuple(_names(text) if self._holds_names else shlex.split(text))
            case _:
                return text

    def text(self, value: Any) -> str:
        """A value as text that `parse` reads back."""
        if value is None or value == ():
            return NOTHING
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, tuple):
            joined = ",".join(value) if self._holds_names else shlex.join(value)
            if joined.casefold() == NOTHING:  # a list of this one word, told apart from the empty list
                return f"{joined}," if self._holds_names else f"'{joined}'"
            return joined
        return str(value)

    @property
    def _empty_is_possible(self) -> bool:
        return self.optional or self.schema["type"] == "array"

    @property
    def _holds_names(self) -> bool:
        """A list of names is written with commas; a list of arguments as a shell would read it."""
        return "pattern" in self.schema["items"]


def did_you_mean(wrong: str, known: Sequence[str], otherwise: str, *, prefix: str = "") -> str:
    """The fix for a misspelt name: the nearest known one, or what else helps. All names begin with `prefix`."""
    wrong, known = wrong.removeprefix(prefix), [name.removeprefix(prefix) for name in known]
    near = get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"did you mean {prefix}{near[0]}?" if near else otherwise


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    words = {"boolean": "true or false", "integer": "a whole number", "number": "a number"}
    return words[schema["type"]] + _range(schema)


def _range(schema: Mapping[str, Any]) -> str:
    lowest, above, highest = (schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if above is not None:
        return f" above {above}" + (f" and up to {highest}" if highest is not None else "")
    if lowest is not None:
        return f" from {lowest} to {highest}" if highest is not None else f" of at least {lowest}"
    return f" of at most {highest}" if highest is not None else ""


def _short(value: object) -> str:
    try:
        shown = repr(value)
    except ValueError:  # a number with thousands of digits has no text
        return f"this {type(value).__name__}"
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _names(text: str) -> list[str]:
    return [name for name in re.split(r"[\s,]+", text) if name]
