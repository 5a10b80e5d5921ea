"""Which paths a tool call of a coding agent will write, from what the agent says before it makes the call.

What it does: reads the calls of Claude Code, Codex, Gemini CLI and opencode: tools that edit a file, patches, shell
commands, and the scripts of Codex in which tools are called. Of tools that it does not know it takes the arguments
that look like paths.
What it does not know: the file system, locks, and whether the call is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from wavecrew.core.patches import agent_patch, is_patch, unified_diff
from wavecrew.core.shell_state import Write, WriteKind, Writes
from wavecrew.core.shell_writes import shell_writes

_EDITS: Final = frozenset(
    ("Write", "Edit", "MultiEdit", "NotebookEdit", "write_file", "replace", "write", "edit", "multiedit")
)
_TYPING: Final = "write_stdin"  # more input for a command that Codex has started: often a shell
_PATCHES: Final = frozenset(("apply_patch", "patch", "ApplyPatch"))
_SHELLS: Final = frozenset(
    ("Bash", "bash", "shell", "local_shell", "shell_command", "exec_command", "container.exec", "run_shell_command")
)
_SCRIPTS: Final = frozenset(("exec",))
WRITERS: Final = _EDITS | _PATCHES | _SHELLS | _SCRIPTS | {_TYPING}
"""Tools that are known to write files, or to start what does."""
_HARMLESS_IN_SCRIPTS: Final = frozenset(("update_plan", "view_image", "web_search", "wait", "list_mcp_resources"))

_PATH: Final = re.compile(
    r"(file|notebook|target|source|destination|dest|src|dst|new|old|output|absolute)?_?(file_?)?path"
)
_PLACES: Final = frozenset(
    ("file", "filename", "target_file", "source", "destination", "paths", "files", "directory", "folder", "uri")
)
_TEXTS: Final = ("command", "cmd", "input", "patch", "patchtext", "patch_text", "script", "code", "arguments", "chars")
_FOLDERS: Final = ("workdir", "cwd", "dir_path", "directory", "working_directory")
_CALLED: Final = re.compile(r"\btools\s*(?:\.\s*([A-Za-z_$][\w$]*)|\[\s*[\"']([^\"']+)[\"']\s*\])")
_LITERAL: Final = re.compile(
    r"""(?:["']?\b(?P<key>cmd|command|workdir|input|patch)["']?\s*:\s*)?"""
    r"""(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)""",
    re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_ESCAPE: Final = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_DEEPEST: Final = 6


@dataclass(frozen=True, slots=True)
class ToolWrites:
    """What a call writes. `unread`: words of it that write where it cannot be read. `known`: whether we know what the
    tool does; with another one, no paths mean nothing."""

    writes: tuple[Write, ...]
    unread: tuple[str, ...] = ()
    known: bool = True


@dataclass(frozen=True, slots=True)
class _Where:
    """Where a call is made: the absolute folder, the home folder, and what tells whether `cd` can go somewhere."""

    cwd: str
    home: str
    is_folder: Callable[[str], bool]


def tool_writes(
    tool: str, given: object, cwd: str, *, home: str = "", is_folder: Callable[[str], bool] = lambda path: True
) -> ToolWrites:
    """What the tool of this name writes when it is given these arguments by an agent that works in the absolute
    folder `cwd`. Never raises for what an agent sends."""
    here = _Where(cwd, home, is_folder)
    arguments = given if isinstance(given, Mapping) else {"input": given}
    told = Writes()
    if tool in _SHELLS or tool == _TYPING:
        _shell(told, _text(arguments), _in(here, arguments))
    elif tool in _PATCHES:
        _patch(told, _text(arguments), here)
        _add(told, _paths(arguments), here)
    elif tool in _SCRIPTS:
        _script(told, _text(arguments), here)
    else:
        _add(told, _paths(arguments), here)
    edits = tool in _EDITS or tool in _PATCHES
    if edits and not told.found:
        told.unread[tool] = None  # it writes, and does not say where
    known = edits or tool in _SHELLS or tool in _SCRIPTS or tool == _TYPING
    return ToolWrites(tuple(told.found), tuple(told.unread), known)


# -- arguments --------------------------------------------------------------------------------------------------


def _text(arguments: Mapping[Any, Any]) -> str:
    """The command, patch or script among the arguments. A list of words is quoted as a shell would need it."""
    by_name = {str(name).lower(): value for name, value in arguments.items()}
    for name in _TEXTS:
        value = by_name.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            return " ".join(f"'{_escaped(word)}'" for word in value)
    return ""


def _escaped(word: str) -> str:
    return word.replace("'", "'\\''")


def _in(here: _Where, arguments: Mapping[Any, Any]) -> _Where:
    """The folder that the arguments of a shell name, if they do."""
    for name in _FOLDERS:
        value = arguments.get(name)
        if isinstance(value, str) and value:
            return replace(here, cwd=value if value.startswith("/") else f"{here.cwd.rstrip('/')}/{value}")
    return here


def _paths(given: object, depth: int = 0) -> Iterator[str]:
    """Everything among the arguments that stands under the name of a path."""
    if depth > _DEEPEST or not isinstance(given, Mapping | list):
        return
    if isinstance(given, list):
        for value in given:
            yield from _paths(value, depth + 1)
        return
    for name, value in given.items():
        if not _names_a_path(str(name)):
            yield from _paths(value, depth + 1)
        elif isinstance(value, str):
            yield value
        else:
            yield from (one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
            yield from _paths(value, depth + 1)


def _names_a_path(name: str) -> bool:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return snake in _PLACES or _PATH.fullmatch(snake) is not None


def _add(told: Writes, paths: Iterable[str], here: _Where) -> None:
    for path in paths:
        path = path.removeprefix("file://")
        if path.startswith("~/") and here.home:
            path = f"{here.home}{path[1:]}"
        if path:
            told.found[Write(path if path.startswith("/") else f"{here.cwd.rstrip('/')}/{path}", WriteKind.FILE)] = None


# -- kinds of tools ---------------------------------------------------------------------------------------------


def _shell(told: Writes, text: str, here: _Where) -> None:
    found = shell_writes(text, here.cwd, home=here.home, is_folder=here.is_folder)
    told.found.update(found.found)
    told.unread.update(found.unread)


def _patch(told: Writes, text: str, here: _Where) -> None:
    _add(told, agent_patch(text) or unified_diff(text), here)


def _script(told: Writes, text: str, here: _Where) -> None:
    """A script that calls tools: what its literal arguments tell. A tool that writes and is given something else is
    unread."""
    called = {one or other for one, other in _CALLED.findall(text)} - _HARMLESS_IN_SCRIPTS
    literals = [(found["key"] or "", *_value(found["text"])) for found in _LITERAL.finditer(text)]
    patches = [value for _, value, whole in literals if is_patch(value) and whole]
    commands = [value for key, value, whole in literals if key in ("cmd", "command") and whole]
    folders = [value for key, value, _ in literals if key == "workdir"]
    for patch in patches:
        _patch(told, patch, here)
    for command in commands:
        _shell(told, command, _in(here, {"workdir": folders[0]}) if len(set(folders)) == 1 else here)
    understood = (_PATCHES if patches else frozenset()) | (_SHELLS if commands else frozenset())
    for tool in sorted(called - understood):
        told.unread[f"tools.{tool}"] = None
    if not called and text.strip() and ("tools" in text or is_patch(text)):
        told.unread["a script"] = None
    if len(set(folders)) > 1:
        told.unread["workdir"] = None


def _value(literal: str) -> tuple[str, bool]:
    """The value of a literal of a script, and whether it is all there (a template may be filled in later)."""
    if literal[0] == '"':
        try:
            return str(json.loads(literal)), True
        except ValueError:
            pass
    body = literal[1:-1]
    whole = literal[0] != "`" or "${" not in body
    return _ESCAPE.sub(_unescaped, body), whole


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code:
        return chr(min(int(code, 16), 0x10FFFF))
    character: str = found[4]
    return "" if character == "\n" else _ESCAPES.get(character, character)
