"""Our own tools, as agent programs are told of them: a server that they start, and who it speaks for.

What it does: writes the entry of the server in the forms of the programs. It stands on a command line or in a settings
folder of ours; the user's own settings stay as they are.
What it does not know: which program it is for, and what the tools do (`mcp_server`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from wavecrew.models.invocation import AttemptContext

NAME: Final = "wavecrew"
TOOLS: Final = ("progress", "ask_human", "lock_request")
PATIENCE_SECONDS: Final = 3700
"""How long a program lets a call wait: longer than any of them does."""

_START_SECONDS: Final = 60


def entry(context: AttemptContext, **more: object) -> dict[str, Any]:
    """The server as Claude Code and Gemini CLI write it, with what else a program wants to know."""
    program, *arguments = context.tools
    return {"command": program, "args": arguments, "env": dict(context.tools_environment), **more}


def toml_entry(context: AttemptContext) -> str:
    """The server as Codex writes it on a command line. Its calls need nobody's approval, and no turn begins without it:
    else it would be there for some turns and not for others."""
    told = entry(context)
    environment = ",".join(f"{name}={_toml(value)}" for name, value in told["env"].items())
    arguments = ",".join(map(_toml, told["args"]))
    limits = f"startup_timeout_sec={_START_SECONDS},tool_timeout_sec={PATIENCE_SECONDS}"
    server = f"command={_toml(told['command'])},args=[{arguments}],env={{{environment}}}"
    return f'mcp_servers.{NAME}={{{server},{limits},required=true,default_tools_approval_mode="approve"}}'


def opencode_entry(context: AttemptContext) -> Mapping[str, Any]:
    """The server as opencode writes it."""
    environment = dict(context.tools_environment)
    patience = PATIENCE_SECONDS * 1000
    told = {"type": "local", "command": list(context.tools), "environment": environment, "timeout": patience}
    return {NAME: {**told, "enabled": True}}


def _toml(text: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
