"""The `opencode` agent: opencode in its command mode.

What it does: says how the program is started, holds the text of the plug-in that is our gate there, and understands
the events that it prints.
What it does not know: whether the program is installed, and what became of the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Final

from wavecrew.agents.own_tools import opencode_entry
from wavecrew.agents.prompt import prompt_for
from wavecrew.agents.streams import Event, EventReader, ending_of, plus, whole
from wavecrew.models.agent_programs import Capabilities
from wavecrew.models.agent_report import AgentReport, Ending, Known, StreamReader, Usage
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo

_PLUGIN: Final = "wavecrew-gate.js"
_ENVIRONMENT: Final = MappingProxyType(
    {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }
)
_WRITERS: Final = frozenset(("write", "edit", "multiedit"))
_BAD_REASONS: Final = frozenset(("length", "content-filter", "error"))

_GATE: Final = """\
// Asks before each tool call. Whatever goes wrong here is a refusal. The tools that write are denied in the settings
// that come with this plug-in, and it is this plug-in that allows them: where it is not loaded, nothing can be written.
import { spawn } from "node:child_process"

const ASK = __HOOK__
const PATIENCE = __MILLISECONDS__

const answer = (call) =>
  new Promise((resolve) => {
    let words = ""
    const refuse = (why) => resolve(words.trim() || `wavecrew: ${why}`)
    const asked = spawn(ASK[0], ASK.slice(1), { stdio: ["pipe", "ignore", "pipe"] })
    const late = setTimeout(() => {
      asked.kill("SIGKILL")
      refuse("the gate did not answer in time")
    }, PATIENCE)
    asked.stderr.on("data", (piece) => (words = (words + piece).slice(0, 10000)))
    asked.stdin.on("error", () => {})
    asked.on("error", (error) => refuse(`the gate cannot be asked: ${error.message}`))
    asked.on("close", (code) => {
      clearTimeout(late)
      if (code === 0) resolve("")
      else refuse(`the gate ended with ${code}`)
    })
    asked.stdin.end(JSON.stringify(call))
  })

export const WavecrewGate = async ({ directory }) => ({
  config: async (settings) => {
    const there = typeof settings.permission === "object" ? settings.permission : {}
    settings.permission = { ...there, edit: "allow", bash: "allow" }
  },
  "tool.execute.before": async (input, output) => {
    const refused = await answer({
      hook_event_name: "tool.execute.before",
      session_id: input.sessionID,
      tool_name: input.tool,
      tool_input: output.args,
      cwd: directory,
    })
    if (refused) throw new Error(refused)
  },
})
"""


class OpencodeAgent:
    """opencode. It edits files by itself; a gate holds each tool call back until it is answered."""

    name: Final = "opencode"
    summary: Final = "opencode, the program `opencode`; a model is written PROVIDER/MODEL"
    program: Final = "opencode"
    version_argv: Final = ("opencode", "--version")
    oldest: Final = "1.18.33"
    capabilities: Final = Capabilities(
        resume=Known.YES,
        tokens=Known.YES,
        cost=Known.YES,
        plan=Known.YES,
        gate=Known.YES,
        gate_fails_closed=Known.YES,
        gate_covers_subagents=Known.YES,
        gate_covers_shell=Known.YES,
        gives_up=Known.YES,
    )
    environment: Final[Mapping[str, str]] = _ENVIRONMENT
    exit_meanings: Final[Mapping[int, Ending]] = MappingProxyType({})
    takes_tools: Final = True
    own_paths: Final = (
        "~/.cache/opencode/",
        "~/.config/opencode/",
        "~/.local/share/opencode/",
        "~/.local/state/opencode/",
    )

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        """Why this phase cannot be given to it; empty if it can."""
        return "" if phase.description.strip() else "its document says nothing that could be done"

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        """One step; the prompt comes on standard input, because of an argument quotes would become part."""
        argv = [self.program, "run", "--format", "json"]
        if context.model:
            argv += ["-m", context.model]
        # with a title of ours it asks no model for one, of which it tells no tokens
        argv += ["-s", context.session] if context.session else [f"--title=wavecrew: phase {phase.id}"]
        settings: dict[str, object] = {"autoupdate": False, "share": "disabled"}
        if context.tools:
            settings["mcp"] = opencode_entry(context)
        files = {}
        if context.hook:
            files[_PLUGIN] = _GATE.replace("__HOOK__", json.dumps(context.hook)).replace(
                "__MILLISECONDS__", str(ceil(context.hook_timeout * 1000))
            )
            settings["plugin"] = [f"file://{context.files}/{_PLUGIN}"]
            settings["permission"] = {"edit": "deny", "bash": "deny"}
        environment = {**_ENVIRONMENT, "OPENCODE_CONFIG_CONTENT": json.dumps(settings)}
        step = JobStep(JobStepKind.AGENT, "opencode", tuple(argv), prompt_for(phase, context))
        return Invocation((step,), environment, files)

    def reader(self, earlier: AgentReport | None = None) -> StreamReader:
        """A reader for one attempt."""
        return _Reader(earlier)


class _Reader(EventReader):
    """There is no event for the end of all: a step that gives no reason to go on is the last one, until another
    begins. Tokens and cost are told for each step, so their sums are unknown once something was lost on the way, or a
    sub-agent was at work, of which nothing is told."""

    def __init__(self, earlier: AgentReport | None) -> None:
        super().__init__(earlier)
        self._steps = 0

    def take(self, event: Event) -> None:
        if not self.belongs(event.text("sessionID")):
            return
        part = event.part("part")
        match event.text("type"):
            case "step_start":
                self.ending = Ending.NONE
            case "text":
                self.does(part.text("text"))
                self.message = self.activity
            case "tool_use":
                self._used(part)
            case "step_finish":
                self._finished(part)
            case "error":
                told = event.part("error")
                words = told.part("data").text("message") or told.text("name")
                self.end(ending_of(told.part("data").count("statusCode"), f"{told.text('name')} {words}"), words)

    def report(self) -> AgentReport:
        if self.gaps:
            self.usage, self.cost = Usage(), None
        return super().report()

    def _used(self, part: Event) -> None:
        self.tool_calls += 1
        name, state = part.text("tool"), part.part("state")
        given = state.part("input")
        path = given.text("filePath")
        self.does(name, path or given.text("command"))
        self.gaps = self.gaps or name == "task"
        if name in _WRITERS and state.text("status") == "completed":
            self.wrote(path)

    def _finished(self, part: Event) -> None:
        first, tokens = self._steps == 0, part.part("tokens")
        self._steps += 1
        cached = tokens.part("cache").count("read")
        read = whole(tokens.count("input"), cached, tokens.part("cache").count("write"))
        written = whole(tokens.count("output"), tokens.count("reasoning"))
        self.usage = Usage(
            plus(self.usage.input, read, first=first),
            plus(self.usage.output, written, first=first),
            plus(self.usage.cached, cached, first=first),
        )
        cost = part.amount("cost")
        self.cost = cost if first else (None if self.cost is None or cost is None else self.cost + cost)
        reason = part.text("reason")
        if reason in _BAD_REASONS:
            self.end(Ending.FAILED, f"its last answer was broken off: {reason}")
        elif reason and reason != "tool-calls":
            self.end(Ending.DONE, self.message)
