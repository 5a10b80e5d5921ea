"""The script of the stub model: what it will ask an agent program to do, as lines of the prompt.

What it does: reads the lines that begin with `stub:` into turns, and says which turn is next.
What it does not know: the tools of any program, and how a model is spoken to.

    stub: write notes.txt: first line\\nsecond line
    stub: edit notes.txt: first => only
    stub: read notes.txt
    stub: shell make test
    stub: agent write inner.txt: by the sub-agent ;; say it is there
    stub: tool update_plan {"plan": []}
    stub: both                  the next two calls come in one answer
    stub: delay 2.5             the next answer comes so many seconds later
    stub: wait NAME             the next answer comes when the owner of the server opens NAME
    stub: fail 429 2            the next answer is this HTTP status, twice; without a number always
    stub: name a                tokens are counted under this name; without a line, under a digest of the script
    stub: say all is done       the last words; without a line: done
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from wavecrew.errors import InvalidValueError

MARK: Final = "stub:"
BETWEEN: Final = ";;"
"""What stands between the steps of a sub-agent."""
ALWAYS: Final = 10**9
_LINE: Final = re.compile(r"^\s*stub:\s*(?P<word>[a-z]+)\b[ \t]*(?P<rest>.*?)\s*$", re.MULTILINE)
_NAME: Final = re.compile(r"^\s*stub:\s*name[ \t]+(\S+)", re.MULTILINE)


class CallKind(StrEnum):
    """What a tool is wanted for."""

    WRITE = "write"
    EDIT = "edit"
    READ = "read"
    SHELL = "shell"
    AGENT = "agent"
    JOIN = "join"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call. `text` is the content of a file, the old text of an edit, the command of a shell, the script of a
    sub-agent or the name of a tool; `new` is the new text of an edit."""

    kind: CallKind
    path: str = ""
    text: str = ""
    new: str = ""
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: its calls (none: it is the last one), and what happens before it. `delay` is in seconds."""

    calls: tuple[Call, ...] = ()
    delay: float = 0.0
    wait: str = ""
    status: int = 0
    times: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """The turns of a dialogue; the last one has no calls."""

    name: str
    turns: tuple[Turn, ...]
    last_words: str = "done"

    def next_turn(self, results: int, able: Callable[[Call], bool] = lambda call: True) -> tuple[int, Turn]:
        """The turn that comes after so many results of tools, and its number. Calls for which the program has no tool
        are passed over."""
        left = results
        for number, turn in enumerate(self.turns[:-1]):
            calls = tuple(call for call in turn.calls if able(call))
            if calls and left < len(calls):
                return number, replace(turn, calls=calls)
            left -= len(calls)
        return len(self.turns) - 1, self.turns[-1]


@dataclass(slots=True)
class _Draft:
    """What was read up to now."""

    name: str = ""
    last_words: str = "done"
    turns: list[Turn] = field(default_factory=list)
    coming: Turn = field(default_factory=Turn)
    together: int = 0

    def add(self, call: Call) -> None:
        if self.together == 1:
            self.turns[-1] = replace(self.turns[-1], calls=(*self.turns[-1].calls, call))
        else:
            self.turns.append(replace(self.coming, calls=(call,)))
            self.coming = Turn()
        self.together = max(0, self.together - 1)
        if call.kind is CallKind.AGENT:
            self.turns.append(Turn((Call(CallKind.JOIN),)))


def has_script(text: str) -> bool:
    """Whether a text holds lines of a script."""
    return _LINE.search(text) is not None


def name_in(text: str) -> str:
    """The name that a script somewhere in a text gives itself; empty if there is none."""
    found = _NAME.search(text)
    return found[1] if found else ""


def read_script(text: str) -> Script:
    """The script in a text; without any line, one that only says `done`. Raises InvalidValueError for a line that
    cannot be read."""
    draft = _Draft()
    lines = list(_LINE.finditer(text))
    for line in lines:
        try:
            _read_line(draft, line["word"], line["rest"])
        except (ValueError, IndexError) as error:
            raise InvalidValueError(f"the stub model cannot read {line[0].strip()!r}: {error}") from None
    name = draft.name or hashlib.sha256("\n".join(line[0].strip() for line in lines).encode()).hexdigest()[:12]
    named = tuple(replace(turn, calls=tuple(_named(call, name) for call in turn.calls)) for turn in draft.turns)
    return Script(name, (*named, draft.coming), draft.last_words)


def _read_line(draft: _Draft, word: str, rest: str) -> None:
    match word:
        case "name":
            draft.name = rest.split()[0]
        case "say":
            draft.last_words = rest
        case "both":
            draft.together = 2
        case "delay":
            draft.coming = replace(draft.coming, delay=float(rest))
        case "wait":
            draft.coming = replace(draft.coming, wait=rest.split()[0])
        case "fail":
            status, times = (*rest.split(), str(ALWAYS))[:2]
            draft.coming = replace(draft.coming, status=int(status), times=int(times))
        case _:
            draft.add(_read_call(word, rest))


def _read_call(word: str, rest: str) -> Call:
    match word:
        case "write":
            path, text = _two(rest, ": ")
            return Call(CallKind.WRITE, path, text.replace("\\n", "\n"))
        case "edit":
            path, change = _two(rest, ": ")
            old, new = _two(change, " => ")
            return Call(CallKind.EDIT, path, old, new)
        case "read":
            return Call(CallKind.READ, rest)
        case "shell":
            return Call(CallKind.SHELL, text=rest)
        case "agent":
            return Call(CallKind.AGENT, text="\n".join(f"{MARK} {step.strip()}" for step in rest.split(BETWEEN)))
        case "tool":
            name, _, arguments = rest.partition(" ")
            return Call(CallKind.TOOL, text=name, arguments=json.loads(arguments or "{}"))
    raise ValueError("there is no such step")


def _two(rest: str, between: str) -> Iterator[str]:
    before, found, after = rest.partition(between)
    if not found:
        raise ValueError(f"{between.strip()!r} is missing")
    yield before.strip()
    yield after


def _named(call: Call, name: str) -> Call:
    """A sub-agent counts for the one that has started it."""
    return replace(call, text=f"{MARK} name {name}\n{call.text}") if call.kind is CallKind.AGENT else call
