"""The `claude` agent: Claude Code in its command mode.

What it does: says how the program is started, and understands the events that it prints.
What it does not know: whether the program is installed, and what became of the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Final

from wavecrew.agents.asking import asking_line
from wavecrew.agents.own_tools import NAME, TOOLS, entry
from wavecrew.agents.prompt import prompt_for
from wavecrew.agents.streams import Event, EventReader, ending_of, event_in, one_line, plus, whole
from wavecrew.models.agent_programs import Capabilities
from wavecrew.models.agent_report import AgentReport, Ending, Known, StreamReader, Usage
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo

_ENVIRONMENT: Final = MappingProxyType(
    {
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "4",  # ten would be three minutes of silence before a limit is told
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
    }
)
_ALLOWED: Final = "Bash,Write,Edit,MultiEdit,NotebookEdit"
_TAKEN_AWAY: Final = "EnterWorktree,ExitWorktree,CronCreate,ScheduleWakeup"
"""Tools that would leave the workspace, or go on when the work has ended."""
_WRITERS: Final = frozenset(("Write", "Edit", "MultiEdit", "NotebookEdit"))
_ERRORS: Final = MappingProxyType(
    {
        "authentication_failed": Ending.LOGGED_OUT,
        "billing_error": Ending.LIMITED,
        "model_not_found": Ending.WRONG_MODEL,
        "overloaded": Ending.UNREACHABLE,
        "rate_limit": Ending.LIMITED,
        "server_error": Ending.UNREACHABLE,
        "usage_limit_reached": Ending.LIMITED,
    }
)


class ClaudeAgent:
    """Claude Code. It edits files by itself; a gate holds each tool call back until it is answered."""

    name: Final = "claude"
    summary: Final = "Claude Code, the program `claude`"
    program: Final = "claude"
    version_argv: Final = ("claude", "--version")
    oldest: Final = "2.1.295"
    capabilities: Final = Capabilities(
        resume=Known.YES,
        tokens=Known.YES,
        cost=Known.YES,
        plan=Known.NO,
        gate=Known.YES,
        gate_fails_closed=Known.YES,
        gate_covers_subagents=Known.YES,
        gate_covers_shell=Known.YES,
        gives_up=Known.YES,
    )
    environment: Final[Mapping[str, str]] = _ENVIRONMENT
    exit_meanings: Final[Mapping[int, Ending]] = MappingProxyType({})
    takes_tools: Final = True
    own_paths: Final = ("~/.claude/", "~/.claude.json")

    login_argv: Final = ("claude", "auth", "status")
    login_fix: Final = 'log in with `claude auth login`, or name a variable with a key: env = ["ANTHROPIC_API_KEY"]'

    def login_answer(self, code: int | None, output: bytes) -> Known | None:
        """What it says of its login: an object in JSON. Accounts of other clouds are not judged."""
        told = event_in(output)
        if told.true("loggedIn"):
            return Known.YES
        ours = told.text("apiProvider") == "firstParty" and code == 1
        return Known.NO if ours and told.text("authMethod") == "none" else None

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        """Why this phase cannot be given to it; empty if it can."""
        return "" if phase.description.strip() else "its document says nothing that could be done"

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        """One step; the prompt comes on standard input."""
        allowed = ",".join((_ALLOWED, *(f"mcp__{NAME}__{tool}" for tool in TOOLS if context.tools)))
        argv = [self.program, "-p", "--output-format", "stream-json", "--verbose"]
        argv += ["--permission-mode", "acceptEdits", "--allowedTools", allowed, "--disallowedTools", _TAKEN_AWAY]
        if context.model:
            argv += ["--model", context.model]
        if context.session:
            argv += ["--resume", context.session]
        if context.tools:  # beside the user's own servers
            argv += ["--mcp-config", json.dumps({"mcpServers": {NAME: entry(context)}})]
        if context.hook:
            argv += ["--settings", _gate(context)]
        step = JobStep(JobStepKind.AGENT, "claude", tuple(argv), prompt_for(phase, context))
        return Invocation((step,), _ENVIRONMENT)

    def reader(self, earlier: AgentReport | None = None) -> StreamReader:
        """A reader for one attempt."""
        return _Reader(earlier)


def _gate(context: AttemptContext) -> str:
    """Settings with our hook alone. They count more than those of the user and of the repository, which could
    otherwise switch all hooks off; hooks of theirs stay."""
    hook = {
        "type": "command",
        "command": asking_line(context.hook, context.hook_timeout),
        "timeout": ceil(context.hook_timeout),
        "onFailure": "block",
    }
    return json.dumps({"disableAllHooks": False, "hooks": {"PreToolUse": [{"matcher": "*", "hooks": [hook]}]}})


class _Reader(EventReader):
    def __init__(self, earlier: AgentReport | None) -> None:
        super().__init__(earlier)
        self._results = 0
        self._error = ""

    def take(self, event: Event) -> None:
        if not self.belongs(event.text("session_id")):
            return
        match event.text("type"):
            case "system":
                self._system(event)
            case "rate_limit_event":
                self._limit(event.part("rate_limit_info"))
            case "assistant" if event.true("is_api_error_message"):
                self._error = event.text("error")
            case "assistant":
                self._says(event.part("message"))
            case "user":
                for part in event.part("message").parts("content"):
                    if part.text("type") == "tool_result":
                        self.ends(part.text("tool_use_id"), well=not part.true("is_error"))
            case "result":
                self._result(event)

    def _system(self, event: Event) -> None:
        if event.text("subtype") == "init":
            self.model = one_line(event.text("model"))
            self.version = one_line(event.text("claude_code_version"))
        elif event.text("subtype") == "api_retry":
            status, error = event.count("error_status"), event.text("error")
            cause = _ERRORS.get(error) or ending_of(status, error)
            words = error if status else "its server cannot be reached"
            self.troubled(Ending.UNREACHABLE if cause is Ending.FAILED else cause, f"{words}; it tries again")

    def _limit(self, told: Event) -> None:
        if told.text("status") == "rejected":
            self.resets_at = told.amount("resetsAt")

    def _says(self, message: Event) -> None:
        for part in message.parts("content"):
            if part.text("type") == "text":
                self.does(part.text("text"))
            elif part.text("type") == "tool_use":
                self.tool_calls += 1
                name, given = part.text("name"), part.part("input")
                path = given.text("file_path") or given.text("notebook_path")
                self.does(name, path or given.text("command") or given.text("description"))
                if name in _WRITERS:
                    self.begins(part.text("id"), path)

    def _result(self, event: Event) -> None:
        """The end of a turn. There is one more for each turn that something in the background brought about."""
        self._count(event)
        words = event.text("result") or event.first_text("errors")
        if event.text("subtype") == "success" and not event.true("is_error"):
            self.end(Ending.DONE, words)
            return
        cause = _ERRORS.get(self._error) or ending_of(event.count("api_error_status"), words)
        self.end(cause, words or event.text("subtype"))
        if cause is Ending.LIMITED and self.resets_at is None:
            self.resets_at = event.part("rate_limit_info").amount("resetsAt")

    def _count(self, event: Event) -> None:
        """Tokens and cost of this attempt: from `model_usage_since_last_result`, because after a resume the cost that
        stands beside it is that of the whole session."""
        first, cost = self._results == 0, None
        self._results += 1
        if event.has("model_usage_since_last_result"):
            told, cost = _of_models(event.part("model_usage_since_last_result"))
        else:
            told = _of_turn(event.part("usage")) if first else Usage()
        self.usage = Usage(
            plus(self.usage.input, told.input, first=first),
            plus(self.usage.output, told.output, first=first),
            plus(self.usage.cached, told.cached, first=first),
        )
        self.cost = cost if first else (None if self.cost is None or cost is None else self.cost + cost)


def _of_turn(told: Event) -> Usage:
    cached = told.count("cache_read_input_tokens")
    fresh = (told.count("input_tokens"), told.count("cache_creation_input_tokens"))
    return Usage(whole(*fresh, cached), told.count("output_tokens"), cached)


def _of_models(told: Event) -> tuple[Usage, float | None]:
    """The sums over all models, sub-agents included. A cost whose basis the program does not know is unknown."""
    models = list(told.values())
    cached = [model.count("cacheReadInputTokens") for model in models]
    fresh = [model.count(name) for model in models for name in ("inputTokens", "cacheCreationInputTokens")]
    written = [model.count("outputTokens") for model in models]
    costs = [model.amount("costUSD") for model in models if model.text("costBasis") != "unknown"]
    known = [cost for cost in costs if cost is not None]
    usage = Usage(whole(*fresh, *cached), whole(*written), whole(*cached))
    return usage, sum(known) if len(known) == len(models) else None
