"""From a step of a script to a call of one of the tools that a program offers.

What it does: knows the tools of Claude Code, Codex, Gemini CLI and opencode by their names and arguments.
What it does not know: which program is asking, and what becomes of a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from wavecrew.errors import InvalidValueError
from wavecrew.stub_model.dialogue import Json
from wavecrew.stub_model.script import Call, CallKind

Writer = Callable[[Call, str], Json]
"""Makes the arguments of a tool from a call and the last result that a tool gave."""

_AGENT_ID: Final = re.compile(r'"(?:agent_id|id|task_name)"\s*:\s*"([^"]+)"')
_END_OF_TEXT: Final = "END-OF-STUB-TEXT"


def _patch(call: Call, last: str) -> str:
    if call.kind is CallKind.WRITE:
        lines = [f"*** Add File: {call.path}", *(f"+{line}" for line in call.text.split("\n"))]
    else:
        lines = [f"*** Update File: {call.path}", "@@", f"-{call.text}", f"+{call.new}"]
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def _whole_file(path: str) -> Writer:
    return lambda call, last: {path: call.path, "content": call.text}


def _change(path: str, old: str, new: str, **more: str) -> Writer:
    return lambda call, last: {path: call.path, old: call.text, new: call.new, **more}


def _path(name: str) -> Writer:
    return lambda call, last: {name: call.path}


def _command(name: str, **more: str) -> Writer:
    return lambda call, last: {name: call.text, **more}


def _sub_agent(name: str, **more: str) -> Writer:
    return lambda call, last: {name: call.text, **more}


def _join(call: Call, last: str) -> Json:
    found = _AGENT_ID.search(last.replace('\\"', '"'))
    return {"targets": [found[1]] if found else [], "timeout_ms": 60_000}


# fmt: off
_TOOLS: Final[Mapping[CallKind, Mapping[str, Writer]]] = MappingProxyType({
    CallKind.WRITE: {
        "Write": _whole_file("file_path"),
        "write_file": _whole_file("file_path"),
        "write": _whole_file("filePath"),
        "apply_patch": _patch,
    },
    CallKind.EDIT: {
        "Edit": _change("file_path", "old_string", "new_string"),
        "replace": _change("file_path", "old_string", "new_string", instruction="as the script says"),
        "edit": _change("filePath", "oldString", "newString"),
        "apply_patch": _patch,
    },
    CallKind.READ: {
        "Read": _path("file_path"),
        "read_file": _path("file_path"),
        "read": _path("filePath"),
    },
    CallKind.SHELL: {
        "Bash": _command("command", description="a step of the script"),
        "run_shell_command": _command("command"),
        "bash": _command("command", description="a step of the script"),
        "exec_command": _command("cmd"),
        "shell_command": _command("command"),
        "shell": lambda call, last: {"command": ["bash", "-lc", call.text]},
    },
    CallKind.AGENT: {
        "Agent": _sub_agent("prompt", description="a sub-agent", subagent_type="general-purpose"),
        "Task": _sub_agent("prompt", description="a sub-agent", subagent_type="general-purpose"),
        "invoke_agent": _sub_agent("prompt", agent_name="generalist"),
        "task": _sub_agent("prompt", description="a sub-agent", subagent_type="general"),
        "multi_agent_v1/spawn_agent": _sub_agent("message"),
        "collaboration/spawn_agent": _sub_agent("message", task_name="inner"),
    },
    CallKind.JOIN: {
        "multi_agent_v1/wait_agent": _join,
        "collaboration/wait_agent": lambda call, last: {"timeout_ms": 60_000},
    },
})
# fmt: on
_SEARCHING: Final = "tool_search"
_TO_BE_FOUND: Final = frozenset(("multi_agent_v1/spawn_agent", "multi_agent_v1/wait_agent"))
"""Tools that Codex does not name, but lets a model search for; one that knows their names can call them."""
_SCRIPTING: Final = "exec"
"""The one tool of Codex in its code mode. Its argument is a program, in which the others are functions."""
_IN_SCRIPTS: Final = frozenset(("apply_patch", "exec_command"))


def can_call(call: Call, offered: Mapping[str, Json]) -> bool:
    """Whether a call means anything to a program with these tools. Only a wait for a sub-agent may mean nothing: most
    programs wait for it by themselves."""
    return call.kind is not CallKind.JOIN or any(_is_there(name, offered) for name in _TOOLS[CallKind.JOIN])


def _is_there(name: str, offered: Mapping[str, Json]) -> bool:
    return name in offered or (name in _TO_BE_FOUND and _SEARCHING in offered)


def tool_call(call: Call, offered: Mapping[str, Json], last_result: str = "") -> tuple[str, Json]:
    """Name and arguments of the tool that does what a step says. A file for which there is no tool is written or read
    by the shell. Raises InvalidValueError if the program offers nothing that could do it."""
    if call.kind is CallKind.TOOL:
        return call.text, call.arguments
    wanted = _TOOLS[call.kind]
    name = next((name for name in wanted if _is_there(name, offered)), "")
    if name:
        return name, wanted[name](call, last_result)
    if _SCRIPTING in offered and (inner := next((name for name in wanted if name in _IN_SCRIPTS), "")):
        given = wanted[inner](call, last_result)
        return _SCRIPTING, f"text(JSON.stringify(await tools.{inner}({json.dumps(given)})))"
    if call.kind in (CallKind.WRITE, CallKind.EDIT, CallKind.READ):
        return tool_call(Call(CallKind.SHELL, text=_as_command(call)), offered, last_result)
    raise InvalidValueError(f"this program offers no tool for {call.kind}: only {', '.join(offered)}")


def _as_command(call: Call) -> str:
    path = _quoted(call.path)
    if call.kind is CallKind.WRITE:
        return f"cat > {path} <<'{_END_OF_TEXT}'\n{call.text}\n{_END_OF_TEXT}"
    if call.kind is CallKind.READ:
        return f"cat {path}"
    return f"sed -i {_quoted(f's|{call.text}|{call.new}|')} {path}"


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
