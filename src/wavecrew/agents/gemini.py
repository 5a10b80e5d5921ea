"""The `gemini` agent: Gemini CLI in its command mode.

What it does: says how the program is started, with a settings folder of its own that holds our gate, and understands
the events that it prints.
What it does not know: whether the program is installed, what the user's own settings are, and what became of the
files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Final

from wavecrew.agents.asking import asking_line
from wavecrew.agents.own_tools import NAME, PATIENCE_SECONDS, entry
from wavecrew.agents.prompt import prompt_for
from wavecrew.agents.streams import Event, EventReader, ending_of, one_line
from wavecrew.models.agent_programs import Capabilities
from wavecrew.models.agent_report import AgentReport, Ending, Known, StreamReader, Usage
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo

_SETTINGS: Final = "gemini-settings.json"
_HOME: Final = "home"
_ENVIRONMENT: Final = MappingProxyType(
    {
        "GEMINI_CLI_NO_RELAUNCH": "true",  # else a child does the work, and the program does not end on TERM
        "GEMINI_TELEMETRY_ENABLED": "false",
    }
)
_WRITERS: Final = frozenset(("write_file", "replace"))


class GeminiAgent:
    """Gemini CLI. It edits files by itself; a gate holds each tool call back until it is answered."""

    name: Final = "gemini"
    summary: Final = "Gemini CLI, the program `gemini`"
    program: Final = "gemini"
    version_argv: Final = ("gemini", "--version")
    oldest: Final = "0.61.0"
    capabilities: Final = Capabilities(
        resume=Known.YES,
        tokens=Known.YES,
        cost=Known.NO,
        plan=Known.YES,
        gate=Known.YES,
        gate_fails_closed=Known.NO,
        gate_covers_subagents=Known.YES,
        gate_covers_shell=Known.YES,
        gives_up=Known.YES,
    )
    environment: Final[Mapping[str, str]] = _ENVIRONMENT
    exit_meanings: Final[Mapping[int, Ending]] = MappingProxyType(
        {
            41: Ending.LOGGED_OUT,
            # beyond these it ends with the HTTP status modulo 256
            401 % 256: Ending.LOGGED_OUT,
            403 % 256: Ending.LOGGED_OUT,
            429 % 256: Ending.LIMITED,
            500 % 256: Ending.UNREACHABLE,
            502 % 256: Ending.UNREACHABLE,
            503 % 256: Ending.UNREACHABLE,
            504 % 256: Ending.UNREACHABLE,
        }
    )
    takes_tools: Final = True
    own_paths: Final = ("~/.gemini/",)

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        """Why this phase cannot be given to it; empty if it can."""
        return "" if phase.description.strip() else "its document says nothing that could be done"

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        """One step; the prompt comes on standard input. The launcher makes a home folder beside the work whose settings
        are the user's and ours; all else in it leads to the user's. Without a launcher there can be no gate."""
        argv = [self.program, "--output-format", "stream-json", "--approval-mode", "yolo", "--skip-trust"]
        if context.model:
            argv += ["-m", context.model]
        if context.session:
            argv += ["--resume", context.session]
        files = {}
        if context.launcher:
            files[_SETTINGS] = json.dumps(_settings(context), indent=1)
            own, added = f"{context.files}/{_HOME}", f"{context.files}/{_SETTINGS}"
            argv = [*context.launcher, "GEMINI_CLI_HOME", ".gemini", own, added, *argv]
        step = JobStep(JobStepKind.AGENT, "gemini", tuple(argv), prompt_for(phase, context))
        return Invocation((step,), _ENVIRONMENT, files)

    def reader(self, earlier: AgentReport | None = None) -> StreamReader:
        """A reader for one attempt."""
        return _Reader(earlier)


def _settings(context: AttemptContext) -> dict[str, object]:
    """What is put on top of the user's settings: no telemetry and updates, a sooner word about limits, and the gate."""
    settings: dict[str, object] = {
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False, "maxAttempts": 4},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    if context.tools:
        settings["mcpServers"] = {NAME: entry(context, timeout=PATIENCE_SECONDS * 1000, trust=True)}
    if context.hook:
        hook = {
            "type": "command",
            "name": "wavecrew",
            "command": asking_line(context.hook, context.hook_timeout),
            "timeout": ceil(context.hook_timeout * 1000),  # milliseconds
        }
        settings["hooksConfig"] = {"enabled": True, "notifications": False}
        settings["hooks"] = {"BeforeTool": [{"matcher": ".*", "hooks": [hook]}]}
    return settings


class _Reader(EventReader):
    """Its last events carry no session, so the first `init` begins and the last `result` ends it."""

    def take(self, event: Event) -> None:
        match event.text("type"):
            case "init" if self.belongs(event.text("session_id")):
                self.model = one_line(event.text("model"))
            case "message" if event.text("role") == "assistant":
                self._says(event)
            case "tool_use":
                self._begins(event)
            case "tool_result":
                self.ends(event.text("tool_id"), well=event.text("status") == "success")
            case "error":
                words = event.text("message")
                self.troubled(ending_of(None, words), words)
            case "result":
                self._result(event)

    def _says(self, event: Event) -> None:
        self.does(event.text("content"))
        self.message = self.activity

    def _begins(self, event: Event) -> None:
        self.tool_calls += 1
        name, given = event.text("tool_name"), event.part("parameters")
        path = given.text("file_path")
        self.does(name, path or given.text("command"))
        if name in _WRITERS:
            self.begins(event.text("tool_id"), path)

    def _result(self, event: Event) -> None:
        told = event.part("stats")
        self.usage = Usage(told.count("input_tokens"), told.count("output_tokens"), told.count("cached"))
        if event.text("status") == "success":
            self.end(Ending.DONE, self.message)
            return
        words = event.part("error").text("message")
        self.end(ending_of(None, words), words)
