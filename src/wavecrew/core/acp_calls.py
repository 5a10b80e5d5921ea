"""The tool calls of an agent that speaks the Agent Client Protocol, and what the write gate is asked about them.

What it does: puts together what comes in pieces about a call, and turns it into questions of the form in which hooks
ask: a tool, and its arguments. What cannot be read is asked in a way that the gate refuses.
What it does not know: who answers, pipes, and which of the paths are locked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

WRITING: Final = frozenset(("edit", "delete", "move"))
_READING: Final = frozenset(("read", "search", "think", "fetch"))
_UNTOLD: Final = 'eval "$command_that_was_not_told"'
"""A command that nobody can read: refused where others work in the same folder, as every other one of its kind."""
_TITLE_IS_COMMAND: Final = frozenset(("gemini-cli",))
"""Agents that tell the whole command of a shell call, and tell it as its title alone."""
_FOLDER: Final = re.compile(r"\[(?:current working directory|in) ([^\]\n]+)\]")
_MOST_CALLS: Final = 1_000
_MOST_PATHS: Final = 10_000
_LONGEST_NAME: Final = 120

Question = tuple[str, dict[str, Any]]
"""The name of a tool and its arguments, as hooks tell them."""


@dataclass(slots=True)
class ToolCall:
    """One call, as far as it has been told. `paths` are those that it names as the places of its work."""

    id: str
    kind: str = ""
    title: str = ""
    status: str = ""
    paths: tuple[str, ...] = ()
    changes: bool = False
    """Whether it showed the change of a file."""
    command: str | tuple[str, ...] = ""
    folder: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Its arguments, without long texts."""
    is_new: bool = True
    told: tuple[str, str] = ("", "")
    """What was last told of it: its title and a path."""
    asked: bool = False
    is_over: bool = False

    @property
    def writes(self) -> bool:
        """Whether it writes the files that it names."""
        return self.kind in WRITING or self.changes

    def take(self, told: Mapping[str, Any], agent: str) -> None:
        """Add what one message says of it. What is not there stays as it is."""
        self.kind = _text(told, "kind") or self.kind
        self.title = _text(told, "title") or self.title
        self.status = _text(told, "status") or self.status
        given = told.get("rawInput")
        if isinstance(given, Mapping) and given:
            self.given = given
            self.command = _command(given) or self.command
            self.folder = _text(given, "cwd") or _text(given, "workdir") or self.folder
        content = told.get("content")
        parts = [one for one in content if isinstance(one, Mapping)] if isinstance(content, list) else []
        changed = [_text(one, "path") for one in parts if one.get("type") == "diff"]
        self.changes = self.changes or bool(changed)
        places = told.get("locations")
        named = [_text(one, "path") for one in places if isinstance(one, Mapping)] if isinstance(places, list) else []
        keys = given.get("changes") if isinstance(given, Mapping) else None
        named += [name for name in keys if isinstance(name, str)] if isinstance(keys, Mapping) else []
        self._add([*changed, *named])
        if agent in _TITLE_IS_COMMAND and self.kind == "execute" and not self.command:
            self.command = self.title
            words = " ".join(_text(one["content"], "text") for one in parts if isinstance(one.get("content"), Mapping))
            self.folder = found[1] if (found := _FOLDER.search(words)) else self.folder

    def end(self) -> None:
        """It is over. It is still known, so that what comes late begins no new one."""
        self.is_over, self.given = True, {}

    def _add(self, paths: Iterable[str]) -> None:
        known = dict.fromkeys((*self.paths, *(path for path in paths if path)))
        self.paths = tuple(known)[:_MOST_PATHS]


class ToolCalls:
    """The calls that are under way. How many are kept is bounded: the oldest are forgotten."""

    def __init__(self) -> None:
        self.agent = ""
        """What the agent calls itself."""
        self._calls: dict[str, ToolCall] = {}

    def take(self, told: Mapping[str, Any]) -> ToolCall:
        """The call that a message tells of, with what is new."""
        name = _text(told, "toolCallId")[:_LONGEST_NAME]
        call = self._calls.setdefault(name, ToolCall(name))
        call.take(told, self.agent)
        while len(self._calls) > _MOST_CALLS:
            del self._calls[next(iter(self._calls))]
        return call


def questions(call: ToolCall) -> tuple[Question, ...] | None:
    """What has to be allowed so that this call may be made; nothing for one that only reads. None: it never may."""
    if call.kind == "switch_mode":
        return None
    asked: list[Question] = []
    if call.command:
        given = {"command": call.command if isinstance(call.command, str) else list(call.command)}
        asked.append(("Bash", given | ({"cwd": call.folder} if call.folder else {})))
    elif call.kind == "execute":
        asked.append(("Bash", {"command": _UNTOLD}))
    if call.writes:
        asked.append(("write", {"paths": list(call.paths), "given": _without_texts(call.given)}))
    if not asked and call.kind not in _READING:
        tool = f"acp:{call.title[:_LONGEST_NAME] or call.kind or 'unknown'}"  # never the name of a tool that only reads
        asked.append((tool, {"paths": list(call.paths), "given": _without_texts(call.given)}))
    return tuple(asked)


def after_the_fact(paths: Iterable[str]) -> Question:
    """What is asked when files were written without a question."""
    return "write", {"paths": list(paths)}


def _without_texts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without the texts that were to be written, which may be large and say nothing of places."""
    return {name: value for name, value in given.items() if not (isinstance(value, str) and len(value) > _MOST_PATHS)}


def _command(given: Mapping[str, Any]) -> str | tuple[str, ...]:
    for name in ("command", "cmd"):
        value = given.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            return tuple(value)
    return ""


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""
