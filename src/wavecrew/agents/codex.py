"""The `codex` agent: Codex in its command mode.

What it does: says how the program is started and how it comes to trust our hook, and understands the events that it
prints.
What it does not know: whether the program is installed, and what became of the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Final

from wavecrew.agents.asking import asking_line
from wavecrew.agents.own_tools import toml_entry
from wavecrew.agents.prompt import prompt_for
from wavecrew.agents.streams import Event, EventReader, ending_of, event_in
from wavecrew.models.agent_programs import Capabilities
from wavecrew.models.agent_report import AgentReport, Ending, Known, StreamReader, Usage
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo

_QUIET: Final = (
    "analytics.enabled=false",
    "check_for_update_on_startup=false",
    "feedback.enabled=false",
    'otel.exporter="none"',
    "features.apps=false",
    "features.plugin_sharing=false",
    "features.plugins=false",
    "features.remote_plugin=false",
)
"""No telemetry, and no features that look for servers of their own."""
_MATCHER: Final = ".*"
_HOOK_KEY: Final = "/<session-flags>/config.toml:pre_tool_use:0:0"
"""How the program calls the first hook that came on its command line."""


class CodexAgent:
    """Codex. It edits files by itself; a gate holds each tool call back until it is answered."""

    name: Final = "codex"
    summary: Final = "Codex, the program `codex`"
    program: Final = "codex"
    version_argv: Final = ("codex", "--version")
    oldest: Final = "0.169.0"
    capabilities: Final = Capabilities(
        resume=Known.YES,
        tokens=Known.YES,
        cost=Known.NO,
        plan=Known.NO,
        gate=Known.YES,
        gate_fails_closed=Known.NO,
        gate_covers_subagents=Known.YES,
        gate_covers_shell=Known.YES,
        gives_up=Known.NO,
    )
    environment: Final[Mapping[str, str]] = MappingProxyType({})
    exit_meanings: Final[Mapping[int, Ending]] = MappingProxyType({})
    takes_tools: Final = True
    own_paths: Final = ("~/.codex/",)

    login_argv: Final = ("codex", "login", "status")
    login_fix: Final = "log in with `codex login`, unless its settings name a provider with a key"

    def login_answer(self, code: int | None, output: bytes) -> Known | None:
        """What its exit code says. It knows nothing of keys that its settings name, so a no is none yet."""
        return {0: Known.YES, 1: Known.UNKNOWN}.get(-1 if code is None else code)

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        """Why this phase cannot be given to it; empty if it can."""
        return "" if phase.description.strip() else "its document says nothing that could be done"

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        """One step; the prompt comes on standard input."""
        sandbox = "danger-full-access" if context.ceiling else "workspace-write"
        settings = ['approval_policy="never"', f'sandbox_mode="{sandbox}"', *_QUIET, *gate_settings(context)]
        settings += [toml_entry(context)] if context.tools else []
        argv = [self.program, "exec", "--json", "--skip-git-repo-check"]
        argv += [argument for setting in settings for argument in ("-c", setting)]
        if context.model:
            argv += ["-m", context.model]
        argv += ["resume", context.session, "-"] if context.session else ["-"]
        return Invocation((JobStep(JobStepKind.AGENT, "codex", tuple(argv), prompt_for(phase, context)),))

    def reader(self, earlier: AgentReport | None = None) -> StreamReader:
        """A reader for one attempt."""
        return _Reader(earlier)

    def gate_question(self) -> tuple[tuple[str, ...], str]:
        """A command and its input that make the program tell whether it would ask our gate. No model is called."""
        context = AttemptContext("", 1, "/", "", hook=("wavecrew-gate",))
        settings = (argument for setting in gate_settings(context) for argument in ("-c", setting))
        asked = (
            {"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "wavecrew", "version": "1"}}},
            {"method": "initialized"},
            {"id": 2, "method": "hooks/list", "params": {"cwds": ["/"]}},
        )
        return (self.program, "app-server", *settings), "".join(json.dumps(one) + "\n" for one in asked)

    def gate_answer(self, output: bytes) -> bool | None:
        """What that command has told; None as long as it has told nothing of it."""
        for line in output.splitlines():
            event = event_in(line)
            if event.count("id") == 2:
                hooks = (hook for place in event.part("result").parts("data") for hook in place.parts("hooks"))
                ours = [hook for hook in hooks if hook.text("key") == _HOOK_KEY]
                return any(hook.text("trustStatus") == "trusted" and hook.true("enabled") for hook in ours)
        return None


def gate_settings(context: AttemptContext) -> list[str]:
    """Settings with our hook, and with the trust of the user in exactly this hook, for this run alone.

    A hook that nobody trusts is passed over in silence, and the switch that trusts all would also start those that
    stand in the repository. Trust is a digest of the hook as the program writes it down for itself.
    """
    if not context.hook:
        return []
    command, timeout = asking_line(context.hook, context.hook_timeout), ceil(context.hook_timeout)
    handler = {"async": False, "command": command, "timeout": timeout, "type": "command"}
    identity = {"event_name": "pre_tool_use", "hooks": [handler], "matcher": _MATCHER}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
    told = f'{{type="command",command={_toml(command)},timeout={timeout}}}'
    return [
        "features.hooks=true",
        f"hooks.PreToolUse=[{{matcher={_toml(_MATCHER)},hooks=[{told}]}}]",
        f'hooks.state={{{_toml(_HOOK_KEY)}={{trusted_hash="sha256:{digest}"}}}}',
    ]


def _toml(text: str) -> str:
    """A text as TOML writes it; all but letters, digits and common signs as escapes."""
    plain = json.dumps(text, ensure_ascii=False)
    return plain.replace("\x7f", "\\u007f")


class _Reader(EventReader):
    """Tokens are counted over the whole session, so those of an earlier attempt in it are taken off. Nobody tells those
    of sub-agents: with one of them, the sum is unknown."""

    def __init__(self, earlier: AgentReport | None) -> None:
        super().__init__(earlier)
        self._alone = True

    def take(self, event: Event) -> None:
        match event.text("type"):
            case "thread.started":
                self.belongs(event.text("thread_id"))
            case "item.started" | "item.updated":
                self._item(event.part("item"), ended=False)
            case "item.completed":
                self._item(event.part("item"), ended=True)
            case "error":
                words = event.text("message")
                self.troubled(ending_of(None, words), words)
            case "turn.completed":
                self._count(event.part("usage"))
                self.end(Ending.DONE, self.message)
            case "turn.failed":
                words = event.part("error").text("message")
                self.end(ending_of(None, words), words)

    def _item(self, item: Event, *, ended: bool) -> None:
        kind = item.text("type")
        if kind == "agent_message" and ended:
            self.does(item.text("text"))
            self.message = self.activity
        elif kind == "file_change":
            paths = [change.text("path") for change in item.parts("changes")]
            self.does("edit", ", ".join(paths))
            if ended and item.text("status") == "completed":
                for path in paths:
                    self.wrote(path)
        elif kind == "collab_tool_call":
            self.does(item.text("tool"))
            self._alone = False  # with some models only the wait for a sub-agent is told, and not its start
        elif kind in ("command_execution", "mcp_tool_call", "web_search"):
            self.does(item.text("command") or item.text("tool") or item.text("query") or kind)
        if ended and kind in ("file_change", "command_execution", "mcp_tool_call", "web_search", "collab_tool_call"):
            self.tool_calls += 1

    def _count(self, told: Event) -> None:
        self.session_usage = Usage(
            told.count("input_tokens"), told.count("output_tokens"), told.count("cached_input_tokens")
        )
        goes_on = self.earlier is not None and self.earlier.session in ("", self.session)
        self.usage = self.session_usage
        if self.earlier is not None and goes_on:
            self.usage = self.session_usage.since(self.earlier.session_usage)
        if not self._alone:
            self.usage = Usage()
