"""Reading what agent programs print: one JSON event a line, between lines of anything else.

What it does: finds the events in lines that may be torn, huge, foreign or hostile, looks into them without trusting
their shape, and keeps what all programs tell alike. Nothing that comes raises, and what is kept is bounded.
What it does not know: what the events of a program are called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final

from wavecrew.models.agent_report import AgentReport, Ending, Usage

MAX_LINE: Final = 16 * 2**20
"""Longest line that is looked at, in bytes. A longer one is passed over, and what is summed up is unknown then."""
MAX_FILES: Final = 1_000
_MAX_PENDING: Final = 256
_MAX_PATH: Final = 4_096
_MAX_TEXT: Final = 240
_MAX_WORD: Final = 120
_MOST: Final = 2**53

_CUT: Final = re.compile(rb"\[wavecrew: about \d+ bytes were cut out here\]")
_COMPLAINT: Final = re.compile(rb"(?:\x1b\[[0-9;]*m)*(?:(?i:error|fatal)\b|E[A-Z]{4,}: )")
"""How a program begins to say, outside of its events, that it cannot start."""
_SEQUENCES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_SESSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
"""It will stand among the arguments of the next start, so it must not look like an option."""
_SPACES: Final = re.compile(r"\s+")

_STATUS: Final = re.compile(r"\b(?:status|code|error)\b\W{0,4}([45]\d\d)\b")
_MEANINGS: Final = (
    (Ending.LIMITED, re.compile(r"rate.?limit|usage limit|too many requests|quota|resource_exhausted")),
    (
        Ending.WRONG_MODEL,
        re.compile(r"model_?not_?found|\bmodels?\b.*\b(?:not found|not exist|not supported|no access)"),
    ),
    (
        Ending.LOGGED_OUT,
        re.compile(r"unauthori[sz]ed|authenticat|api.?key|not logged in|log in|missing environment variable"),
    ),
    (
        Ending.UNREACHABLE,
        re.compile(
            r"overloaded|high demand|unavailable|internal server error|unable to connect|cannot connect|connection|"
            r"waiting for network|econnrefused|enotfound|fetch failed|sending request|timed out"
        ),
    ),
)


def one_line(text: str, limit: int = _MAX_TEXT) -> str:
    """Foreign text as one line that steers no terminal, at most `limit` characters long."""
    text = _SEQUENCES.sub("", text[: limit * 8])
    seen = "".join(character if character.isprintable() else " " for character in text)
    line = _SPACES.sub(" ", seen).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def ending_of(status: int | None, words: str) -> Ending:
    """What an error means, by its HTTP status where there is one, else by its words."""
    text = words.lower()
    if status is None and (found := _STATUS.search(text)):
        status = int(found[1])
    if status == 429:
        return Ending.LIMITED
    if status in (401, 403):
        return Ending.LOGGED_OUT
    if status is not None and 500 <= status <= 599:
        return Ending.UNREACHABLE
    return next((meaning for meaning, words_of in _MEANINGS if words_of.search(text)), Ending.FAILED)


class Event:
    """One JSON object, or what stands in its place. Whatever is not there, or of another kind, is empty or None."""

    __slots__ = ("_found",)

    def __init__(self, found: object) -> None:
        self._found: Mapping[str, Any] = found if isinstance(found, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def has(self, name: str) -> bool:
        """Whether there is something of this name, of whatever kind."""
        return name in self._found

    def text(self, name: str) -> str:
        """A text, as it was sent."""
        found = self._found.get(name)
        return found if isinstance(found, str) else ""

    def first_text(self, name: str) -> str:
        """The first text of a list."""
        found = self._found.get(name)
        return next((entry for entry in found if isinstance(entry, str)), "") if isinstance(found, list) else ""

    def count(self, name: str) -> int | None:
        """A whole number that is not negative and not absurd."""
        found = self._found.get(name)
        return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _MOST else None

    def amount(self, name: str) -> float | None:
        """A number that is not negative and not absurd."""
        found = self._found.get(name)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return None
        return float(found) if 0 <= found < _MOST and isfinite(found) else None

    def true(self, name: str) -> bool:
        """Whether it says true, and nothing that only looks like it."""
        return self._found.get(name) is True

    def part(self, name: str) -> Event:
        """What is below a name."""
        return Event(self._found.get(name))

    def parts(self, name: str) -> Iterator[Event]:
        """The objects of a list."""
        found = self._found.get(name)
        return map(Event, found if isinstance(found, list) else ())

    def values(self) -> Iterator[Event]:
        """What is below each name."""
        return map(Event, self._found.values())


def event_in(line: bytes) -> Event:
    """The event that a line holds; an empty one if it holds none."""
    line = line.strip()
    if not line.startswith(b"{") or not line.endswith(b"}"):
        return Event(None)
    try:
        return Event(json.loads(line))
    except (ValueError, RecursionError):
        return Event(None)


class EventReader:
    """Keeps what all programs tell. What belongs to one program is in `take` of its own reader."""

    def __init__(self, earlier: AgentReport | None = None) -> None:
        self.earlier = earlier
        self.ending = Ending.NONE
        self.message = ""
        self.trouble = Ending.NONE
        self.resets_at: float | None = None
        self.session = ""
        self.usage = Usage()
        self.session_usage = Usage()
        self.cost: float | None = None
        self.tool_calls = 0
        self.model = ""
        self.version = ""
        self.activity = ""
        self.gaps = False
        """Whether something was lost on the way, so that no sum over events is known any more."""
        self._files: dict[str, None] = {}
        self._pending: dict[str, str] = {}
        self._complaint = ""

    def feed(self, line: bytes) -> None:
        """Take one line, with or without its end."""
        if len(line) > MAX_LINE or _CUT.search(line[:80]):
            self.gaps = True
        elif event := event_in(line):
            self.take(event)
        elif self.ending is Ending.NONE and _COMPLAINT.match(line[:80]):
            self._complaint = one_line(line[:4096].decode(errors="replace"))

    def take(self, event: Event) -> None:
        """Understand one event; each program has its own way."""
        raise NotImplementedError

    def report(self) -> AgentReport:
        """What was told up to now."""
        return AgentReport(
            ending=self.ending,
            message=self.message or (self._complaint if self.ending is Ending.NONE else ""),
            trouble=self.trouble,
            resets_at=self.resets_at,
            session=self.session,
            usage=self.usage,
            session_usage=self.session_usage,
            cost_usd=self.cost,
            tool_calls=self.tool_calls,
            files=tuple(self._files),
            model=self.model,
            version=self.version,
            last_activity=self.activity,
        )

    # -- what readers of programs call ------------------------------------------------------------------------------

    def belongs(self, session: str) -> bool:
        """Whether an event is one of this session. The first session that is named is ours; a program of the agent
        that prints events of its own, or a file with such events, brings another one."""
        if not self.session and _SESSION.fullmatch(session):
            self.session = session
        return bool(session) and session == self.session

    def does(self, *words: str) -> None:
        """What it does now. It goes on, so there is no trouble any more."""
        line = one_line(" ".join(word for word in words if word), _MAX_WORD)
        if line:
            self.activity = line
        self.trouble = Ending.NONE

    def troubled(self, trouble: Ending, words: str) -> None:
        """Something keeps it from going on, and it tries again by itself."""
        self.trouble = trouble
        self.message = self.activity = one_line(words)

    def end(self, ending: Ending, words: str) -> None:
        """It told how its work ended. A later word counts more than an earlier one."""
        self.ending = ending
        self.trouble = Ending.NONE
        self.message = one_line(words)

    def begins(self, call: str, path: str) -> None:
        """A call that will have written a path, if it goes well."""
        if path and len(self._pending) < _MAX_PENDING:
            self._pending[call[:_MAX_WORD]] = path[:_MAX_PATH]

    def ends(self, call: str, *, well: bool) -> None:
        """The end of such a call."""
        path = self._pending.pop(call[:_MAX_WORD], "")
        if well:
            self.wrote(path)

    def wrote(self, path: str) -> None:
        """A file that it says it wrote."""
        if path and len(self._files) < MAX_FILES:
            self._files[one_line(path, _MAX_PATH)] = None


def plus(total: int | None, more: int | None, *, first: bool) -> int | None:
    """A sum of counts: unknown as soon as one of them is."""
    if first:
        return more
    return None if total is None or more is None else total + more


def whole(*counts: int | None) -> int | None:
    """A sum of parts of one count; unknown if one of them is."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
