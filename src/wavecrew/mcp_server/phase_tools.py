"""The tools of an agent inside of a phase: to tell how far it is, to ask a person, to ask for locks.

What it does: hands each call to the coordinator and puts its answer into words for a model.
What it does not know: sockets (`door`), and what the coordinator does. Nothing here can approve, retry or cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from mcp.server import MCPServer
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from wavecrew.core.phase_messages import ASK_HUMAN, LOCK_REQUEST, LONGEST_WAIT, MOST_PATHS, PROGRESS
from wavecrew.errors import RunBusyError
from wavecrew.mcp_server.answers import answer_of, refusal
from wavecrew.mcp_server.door import say
from wavecrew.mcp_server.whereabouts import PhasePlace

INSTRUCTIONS: Final = (
    "You work on one phase of a plan under wavecrew, while others work on other phases. Say with `progress` how far "
    "you are at each larger step. Ask a person with `ask_human` only what you cannot find out or decide yourself. "
    "Before larger changes to files that others may want, ask for them with `lock_request`."
)
_MARGIN_SECONDS: Final = 15.0
_WAITS: Final = 45.0
"""Seconds: clients that say nothing else give up after sixty."""
_NO_ANSWER: Final = (
    "Nobody has answered yet; the question stands, and people see it. Go on with what does not depend on it, and call "
    "ask_human again with the same words to find the answer. If nothing else is left and no answer comes, decide "
    "yourself, and say in your last message what you decided."
)
Seconds = Annotated[float, Field(ge=0, le=LONGEST_WAIT, description="How long to wait for that, in seconds.")]


class PhaseTools:
    """The tools of one attempt."""

    def __init__(self, place: PhasePlace) -> None:
        self._place = place

    async def progress(
        self,
        text: Annotated[str, Field(description="What you do now, in a few words: one line, at most 300 characters.")],
    ) -> CallToolResult:
        """Tell the people who watch the run how far you are."""
        return await self._call(PROGRESS, {"text": text}, 0.0)

    async def ask_human(
        self,
        question: Annotated[str, Field(description="The question, with all that is needed to answer it.")],
        wait_seconds: Seconds = _WAITS,
    ) -> CallToolResult:
        """Ask a person, and wait for the answer. If none comes in time, the question stands: call this again with the
        same words later to find the answer. Nobody may be there, so ask only what you cannot decide yourself."""
        return await self._call(ASK_HUMAN, {"question": question, "wait_seconds": wait_seconds}, wait_seconds)

    async def lock_request(
        self,
        paths: Annotated[
            list[str],
            Field(
                min_length=1,
                max_length=MOST_PATHS,
                description="Files, folders (with a slash at the end) or patterns, relative to where you work.",
            ),
        ],
        wait_seconds: Seconds = _WAITS,
    ) -> CallToolResult:
        """Ask for the right to write files before you change them. What is free, or becomes free in time, is yours
        until your phase ends; else you are told who holds it."""
        return await self._call(LOCK_REQUEST, {"paths": paths, "wait_seconds": wait_seconds}, wait_seconds)

    async def _call(self, tool: str, given: Mapping[str, Any], wait: float) -> CallToolResult:
        try:
            answer = await say(self._place, tool, given, wait + _MARGIN_SECONDS)
        except RunBusyError as error:
            return refusal(error.reason)
        granted = answer.get("verdict") == "allow"
        if tool == LOCK_REQUEST:
            told = {"granted": granted} | ({} if granted else {"reason": str(answer.get("reason"))})
            return answer_of(told)
        if not granted:
            return refusal(str(answer.get("reason")))
        told = {name: value for name, value in answer.items() if name not in ("verdict", "reason")}
        told |= {"reason": answer["reason"]} if answer.get("reason") else {}
        return answer_of(told | ({"what_now": _NO_ANSWER} if told.get("answered") is False else {}))


def server_in(place: PhasePlace, version: str) -> MCPServer[Any]:
    """The server of an attempt."""
    server: MCPServer[Any] = MCPServer("wavecrew", instructions=INSTRUCTIONS, version=version, log_level="ERROR")
    tools = PhaseTools(place)
    kinds = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    for tool in (tools.progress, tools.ask_human, tools.lock_request):
        server.add_tool(tool, annotations=kinds, structured_output=False)
    return server
