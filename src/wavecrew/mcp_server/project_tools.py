"""The tools of an assistant that works with a person in a project: looking at plan and run, and having a say in it.

What it does: turns each call into a command of the command line, so that answers and refusals are the same.
What it does not know: what the verbs mean, and how they are carried out (`verbs`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from wavecrew.mcp_server.answers import answer_of, refusal, text_of
from wavecrew.mcp_server.verbs import Verbs

INSTRUCTIONS: Final = (
    "wavecrew runs a project plan in parallel with coding agents. Look with `plan`, `status`, `logs` and `explain`. "
    "The other tools change a run, and what they do is recorded with your name: call them when the person you work for "
    "wants that. Runs are started by people, with `wavecrew run`."
)
_MOST_LINES: Final = 500
_LINES: Final = 100
_LAST: Final = ("passed", "kept", "to come", "left out")
"""What is told last of a run with many phases, and left off first."""

Phase: TypeAlias = Annotated[str, Field(description="Id or name of a phase.")]
Phases: TypeAlias = Annotated[list[str], Field(min_length=1, max_length=200, description="Ids or names of phases.")]
Gates: TypeAlias = Annotated[
    list[str], Field(min_length=1, max_length=200, description="Gates that wait, such as `wave 2` or `phase 03`.")
]
Why: TypeAlias = Annotated[str, Field(min_length=1, max_length=500, description="Why; it stands in every report.")]
Reason: TypeAlias = Annotated[str, Field(max_length=500, description="Why, for the history.")]
Run: TypeAlias = Annotated[str, Field(description="`latest`, a number, or the beginning of an id.")]
Tool: TypeAlias = Callable[..., Awaitable[CallToolResult]]


class Looking:
    """Tools that change nothing."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All of them."""
        return (self.plan, self.status, self.logs, self.explain)

    async def plan(
        self,
        plan: Annotated[str, Field(description="Folder or file of the plan; empty for the configured one.")] = "",
        agents: Annotated[int | None, Field(ge=1, le=1000, description="Number of agents to plan for.")] = None,
    ) -> CallToolResult:
        """The plan: phases, dependencies, waves, critical path, conflicts, faults, and how many agents help."""
        more = [] if agents is None else ["-j", str(agents)]
        return await self._json("plan", [*more, *_named([plan] if plan else [])])

    async def status(
        self,
        run: Run = "latest",
        phases: Annotated[list[str] | None, Field(description="Only these phases, by their ids.")] = None,
    ) -> CallToolResult:
        """Where a run stands: what is done, at work, waits for whom, failed and why, and who is needed."""
        said = await self._verbs.run("status", _named([run]))
        if said.refused:
            return refusal(said.refused)
        data = json.loads(said.out)
        rows = [row for row in data["phases"] if phases is None or row["id"] in phases]
        data["phases"] = sorted(rows, key=lambda row: row["standing"] in _LAST)
        return answer_of(data)

    async def logs(
        self,
        phase: Phase,
        run: Run = "latest",
        attempt: Annotated[int | None, Field(ge=1, description="Number of the attempt; the latest by default.")] = None,
        lines: Annotated[int, Field(ge=1, le=_MOST_LINES, description="How many lines from the end.")] = _LINES,
    ) -> CallToolResult:
        """The end of what the agent of a phase printed, without control sequences and secrets."""
        which = [] if attempt is None else ["--attempt", str(attempt)]
        words = [f"--run={run}", f"--lines={lines}", *which, *_named([phase])]
        said = await self._verbs.run("logs", words, as_json=False)
        return refusal(said.refused) if said.code else text_of(said.out)

    async def explain(
        self, what: Annotated[str, Field(description="Id or name of a phase, or a code such as WC104.")]
    ) -> CallToolResult:
        """Why a phase is where it is, what it waits for, whether it would be done again; or what a code means."""
        return await self._json("explain", _named([what]))

    async def _json(self, verb: str, words: Sequence[str]) -> CallToolResult:
        said = await self._verbs.run(verb, words)
        return refusal(said.refused) if said.refused else answer_of(json.loads(said.out))


class Asking:
    """Tools that change a run. What they do is recorded with the name of the client."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs

    @property
    def tools(self) -> tuple[tuple[Tool, bool, str], ...]:
        """All of them, each with whether it can undo or end something, and its name."""
        return (
            (self.retry, True, "retry"),
            (self.approve, False, "approve"),
            (self.reject, True, "reject"),
            (self.answer, False, "answer"),
            (self.skip, True, "skip"),
            (self.pause, True, "pause"),
            (self.continue_, False, "continue"),
            (self.cancel, True, "cancel"),
        )

    async def retry(
        self,
        ctx: Context[Any, Any],
        phases: Phases,
        with_downstream: Annotated[bool, Field(description="Also everything ended that depends on them.")] = False,
        reason: Reason = "",
        run: Run = "latest",
    ) -> CallToolResult:
        """Have phases done again that have ended, well or not."""
        more = ["--with-downstream"] if with_downstream else []
        return await self._ask(ctx, "retry", [*more, f"--reason={reason}", f"--run={run}", *_named(phases)])

    async def approve(
        self, ctx: Context[Any, Any], gates: Gates, reason: Reason = "", run: Run = "latest"
    ) -> CallToolResult:
        """Agree to what waits for approval. Only when the person you work for has said so."""
        return await self._ask(ctx, "approve", [f"--reason={reason}", f"--run={run}", *_named(gates)])

    async def reject(self, ctx: Context[Any, Any], gates: Gates, reason: Why, run: Run = "latest") -> CallToolResult:
        """Refuse what waits for approval: the phases behind it are given up."""
        return await self._ask(ctx, "reject", [f"--reason={reason}", f"--run={run}", *_named(gates)])

    async def answer(
        self,
        ctx: Context[Any, Any],
        phase: Phase,
        text: Annotated[str, Field(min_length=1, description="The answer.")],
        question: Annotated[int | None, Field(ge=1, description="Its number, where a phase asks several.")] = None,
        run: Run = "latest",
    ) -> CallToolResult:
        """Answer what the agent of a phase asks, with what the person you work for says."""
        which = [] if question is None else [f"--question={question}"]
        return await self._ask(ctx, "answer", [*which, f"--run={run}", *_named([phase, text])])

    async def skip(self, ctx: Context[Any, Any], phases: Phases, reason: Why, run: Run = "latest") -> CallToolResult:
        """Waive phases: what depends on them may start although they were not done. It stands in every report."""
        return await self._ask(ctx, "skip", [f"--reason={reason}", f"--run={run}", *_named(phases)])

    async def pause(
        self,
        ctx: Context[Any, Any],
        now: Annotated[bool, Field(description="End the agents that are at work, too; they will start again.")] = False,
        reason: Reason = "",
        run: Run = "latest",
    ) -> CallToolResult:
        """Start nothing new. What is at work ends in its own time."""
        return await self._ask(ctx, "pause", [*(["--now"] if now else []), f"--reason={reason}", f"--run={run}"])

    async def continue_(self, ctx: Context[Any, Any], run: Run = "latest") -> CallToolResult:
        """End a pause."""
        return await self._ask(ctx, "continue", [f"--run={run}"])

    async def cancel(
        self,
        ctx: Context[Any, Any],
        phases: Annotated[list[str], Field(max_length=200, description="Ids or names of phases; none with whole_run.")],
        whole_run: Annotated[bool, Field(description="End all agents and the coordinator.")] = False,
        run: Run = "latest",
    ) -> CallToolResult:
        """End the agents of phases for good, or of the whole run, which can be taken up with `wavecrew run`."""
        if whole_run == bool(phases):
            return refusal("name the phases whose agents are to end, or say whole_run, but not both")
        return await self._ask(ctx, "cancel", [f"--run={run}", *_named(phases)])

    async def _ask(self, ctx: Context[Any, Any], verb: str, words: Sequence[str]) -> CallToolResult:
        told = ctx.session.client_params
        said = await self._verbs.run(verb, words, told.client_info.name if told is not None else "")
        return refusal(said.refused) if said.refused else answer_of(json.loads(said.out))


def _named(words: Sequence[str]) -> list[str]:
    """Words that are no options, whatever they begin with."""
    return ["--", *words] if words else []


def server_for(verbs: Verbs, version: str, *, read_only: bool) -> MCPServer[Any]:
    """The server of a project; `read_only` offers only what changes nothing."""
    server: MCPServer[Any] = MCPServer("wavecrew", instructions=INSTRUCTIONS, version=version, log_level="ERROR")
    for tool in Looking(verbs).tools:
        kind = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
        server.add_tool(tool, annotations=kind, structured_output=False)
    for tool, harms, name in () if read_only else Asking(verbs).tools:
        kind = ToolAnnotations(read_only_hint=False, destructive_hint=harms, open_world_hint=False)
        server.add_tool(tool, name=name, annotations=kind, structured_output=False)
    return server
