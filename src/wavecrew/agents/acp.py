"""The `acp` agent: any program that speaks the Agent Client Protocol.

What it does: says how our own program is started that speaks with the agent, and understands the events which that
program prints. What the agent itself says stands within texts of these events, and is never taken for one.
What it does not know: which agent it is, what it can do, and the protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Final

from wavecrew.agents.prompt import prompt_for
from wavecrew.agents.streams import Event, EventReader, ending_of, one_line, plus
from wavecrew.models.agent_programs import Capabilities
from wavecrew.models.agent_report import AgentReport, Ending, StreamReader, Usage
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo

_ENVIRONMENT: Final = MappingProxyType(
    {
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "4",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
        "GEMINI_CLI_NO_RELAUNCH": "true",  # else a child does the work, and is left behind
        "GEMINI_TELEMETRY_ENABLED": "false",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }
)
"""What keeps agents quiet that are known to speak the protocol; for others it means nothing."""
_OPENCODE_ASKS: Final = json.dumps(
    {
        "permission": {"edit": "ask", "bash": "ask"},
        "experimental": {"continue_loop_on_deny": True},
    }
)
"""It has no mode that asks, and its settings allow everything unless they say otherwise."""
_UNASKED: Final = MappingProxyType(
    {
        "unknown": "it is not known whether it asks before it writes:",
        "no": "it does not ask before it writes:",
    }
)


class AcpAgent:
    """Any agent that speaks the protocol. Whether it asks before it writes is seen when it works."""

    name: Final = "acp"
    summary: Final = (
        "any program that speaks the Agent Client Protocol: the command of the phase or of the configuration"
    )
    library: Final = "agent-client-protocol"
    extra: Final = "acp"
    program: Final = "agent-client-protocol"
    version_argv: Final = ("agent-client-protocol",)
    oldest: Final = "0.12.1"
    capabilities: Final = Capabilities()
    environment: Final[Mapping[str, str]] = _ENVIRONMENT
    exit_meanings: Final[Mapping[int, Ending]] = MappingProxyType({})

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        """Why this phase cannot be given to it; empty if it can."""
        if not (phase.command or command):
            return 'no command is set: give the phase a command, or set `command`, to one like ["gemini", "--acp"]'
        return "" if phase.description.strip() else "its document says nothing that could be done"

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        """One step: our program, which starts the agent and reads the prompt from standard input."""
        agent = phase.command or context.command
        argv = [*context.driver]
        if context.session:
            argv += ["--session", context.session]
        if context.model:
            argv += ["--model", context.model]
        environment = dict(_ENVIRONMENT)
        program = agent[0].rpartition("/")[2]
        if context.hook:
            argv += ["--patience", str(ceil(context.hook_timeout)), "--hook", json.dumps(context.hook)]
            environment |= {"OPENCODE_CONFIG_CONTENT": _OPENCODE_ASKS} if program == "opencode" else {}
        title = " ".join((program, *agent[1:]))[:80]
        step = JobStep(JobStepKind.AGENT, title, (*argv, "--", *agent), prompt_for(phase, context))
        return Invocation((step,), environment)

    def reader(self, earlier: AgentReport | None = None) -> StreamReader:
        """A reader for one attempt."""
        return _Reader(earlier)


class _Reader(EventReader):
    """Tokens are told for each turn, so their sum is unknown once something was lost on the way."""

    def __init__(self, earlier: AgentReport | None) -> None:
        super().__init__(earlier)
        self._turns = 0

    def report(self) -> AgentReport:
        if self.gaps:
            self.usage = Usage()
        return super().report()

    def take(self, event: Event) -> None:
        match event.text("acp"):
            case "agent":
                self.version = one_line(f"{event.text('name')} {event.text('version')}")
            case "session":
                self.belongs(event.text("session"))
                self.model = one_line(event.text("model")) or self.model
            case "wrote":
                self.wrote(event.text("path"))
            case "trouble":
                self.troubled(self._meaning(event), event.text("words"))
            case "turn":
                self._turn(event)
            case "cost":
                self.cost = event.amount("usd")
            case "end":
                self._ends(event)
            case other:
                self._goes_on(other, event)

    def _goes_on(self, what: str, event: Event) -> None:
        match what:
            case "start":
                self.does("waits for", event.text("command"))
            case "gate" if event.text("asks") in _UNASKED:
                self.does(_UNASKED[event.text("asks")], event.text("why"))
            case "says" | "plan":
                self.does(event.text("text"))
            case "thinks":
                self.does("thinks")
            case "tool":
                self.tool_calls += event.true("new")
                self.does(event.text("title") or event.text("kind"), event.text("path"))
            case "asked" if not event.true("allowed"):
                self.does("was refused:", event.text("reason"))
            case "again":
                self.does("is told why it was refused")

    def _turn(self, event: Event) -> None:
        first = self._turns == 0
        self._turns += 1
        self.usage = Usage(
            plus(self.usage.input, event.count("input"), first=first),
            plus(self.usage.output, event.count("output"), first=first),
            plus(self.usage.cached, event.count("cached"), first=first),
        )

    def _ends(self, event: Event) -> None:
        if event.true("ok"):
            self.end(Ending.DONE, event.text("words"))
            self.does(event.text("words"))
        elif event.true("told"):
            self.end(self._meaning(event), event.text("words"))
        else:  # words of ours, which are no error of a server whatever they name
            self.end(Ending.FAILED, event.text("words"))

    def _meaning(self, event: Event) -> Ending:
        if event.true("logged_out"):
            return Ending.LOGGED_OUT
        return ending_of(event.count("status"), event.text("words"))
