"""Our side of the Agent Client Protocol while an agent works: what it says, and what it asks.

What it does: answers requests for permission from the write gate, for one call at a time and never for good; offers no
files and no terminals; tells as events what the agent does; remembers refusals, because the protocol has no place for
their reasons; notices writes that were not asked about.
What it does not know: how a session is opened and when it ends (`acp_session`), and how the gate judges.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from os.path import normpath
from typing import Any, Final

from acp import RequestError

from wavecrew.core.acp_answers import Trouble, codex_trouble, cost_in, modes_of, part, parts, text
from wavecrew.core.acp_calls import WRITING, ToolCall, ToolCalls, after_the_fact, questions
from wavecrew.core.acp_gate import Gate
from wavecrew.core.acp_pipes import Teller

NO_METHOD: Final = -32601
_FLUSH_SECONDS: Final = 1.0
_FLUSH_TEXT: Final = 1_000
_LAST_TEXT: Final = 2_000
_MOST_REFUSALS: Final = 20
_MOST_WRITTEN: Final = 100
_MOST_NAMES: Final = 5
_ENDED: Final = frozenset(("completed", "failed"))
_STAYS: Final = "the mode in which each write is asked about must not be left"


class Refusal:
    """A call that was refused: what it wanted, seen from the folder in which it works, and why not."""

    def __init__(self, call: ToolCall, reason: str, folder: str) -> None:
        named = call.writes and call.paths
        self.what = _names(call.paths, folder) if named else (call.title or call.kind or "a call")
        self.paths = call.paths if call.writes else ()
        self.reason = reason


class Client:
    """What is answered to one agent in one session. `unasked` is told of a write that no question came before, and for
    which there was no leave."""

    def __init__(self, gate: Gate, teller: Teller, folder: str, unasked: Callable[[str], None]) -> None:
        self._gate = gate
        self._teller = teller
        self._folder = folder.rstrip("/")
        self._unasked = unasked
        self._asking: set[asyncio.Task[None]] = set()
        self._granted: set[str] = set()
        self._refusals: list[Refusal] = []
        self._chunk, self._flushed = "", 0.0
        self._is_known_to_ask: bool | None = None
        self.calls = ToolCalls()
        self.replays = False
        """Whether what comes now is the history of a session."""
        self.stopping = False
        self.mode = ""
        """The mode that the agent said last that it is in."""
        self.asking_mode = ""
        """The mode that it has to stay in."""
        self.cost: float | None = None
        self.last_words = ""
        self.ended_by_refusal = False
        """Whether nothing was heard of its work since the last refusal."""
        self.trouble: Trouble | None = None
        self.gave_up = False

    # -- what comes

    async def handle(self, method: str, params: Any, is_notification: bool) -> Any:
        """Answer one message of the agent. Raises what the library turns into an error for the agent, which then does
        not do what it asked about."""
        if method == "session/update":
            self._update(part(params, "update"))
            return None
        if method == "session/request_permission" and not is_notification:
            return {"outcome": await self._permission(params)}
        if is_notification:
            return None
        raise RequestError(NO_METHOD, f"wavecrew offers no {method}")

    def take_refusals(self) -> list[Refusal]:
        """What was refused since the last time, and not allowed later on."""
        found, self._refusals = self._refusals, []
        return found

    async def settle(self) -> None:
        """Wait until all questions about writes that nobody asked about are answered."""
        await asyncio.gather(*self._asking, return_exceptions=True)

    def flush(self) -> None:
        """Tell what the agent has said and what is not yet told."""
        if self._chunk.strip():
            self._teller.tell("says", text=self._chunk)
        self._chunk, self._flushed = "", time.monotonic()

    # -- permissions

    async def _permission(self, params: Any) -> dict[str, str]:
        call = self.calls.take(part(params, "toolCall"))
        call.asked = True
        self._began(call)
        if self._gate.is_there and call.writes:
            self._knows(asks=True, why=call.title)
        asked = questions(call)
        reason = _STAYS if asked is None else await self._gate.refusal(asked)
        offered = {text(one, "kind"): text(one, "optionId") for one in parts(params, "options")}
        if not reason and not offered.get("allow_once"):
            reason = "it can be allowed for good only, and then nobody would be asked the next time"
        if self.stopping:
            return {"outcome": "cancelled"}
        if not reason:
            self._allowed(call)
            return {"outcome": "selected", "optionId": offered["allow_once"]}
        self._refused(call, reason)
        if offered.get("reject_once"):
            return {"outcome": "selected", "optionId": offered["reject_once"]}
        return {"outcome": "cancelled"}

    def _allowed(self, call: ToolCall) -> None:
        self._granted.update(self._places(call))
        gone = set(call.paths)
        self._refusals = [one for one in self._refusals if not one.paths or not gone.issuperset(one.paths)]
        self._teller.tell("asked", call=call.id, allowed=True)
        self.ended_by_refusal = False

    def _refused(self, call: ToolCall, reason: str) -> None:
        self._refusals = [*self._refusals, Refusal(call, reason, self._folder)][-_MOST_REFUSALS:]
        self._teller.tell("asked", call=call.id, allowed=False, reason=reason)
        self.ended_by_refusal = True

    def _knows(self, *, asks: bool, why: str) -> None:
        if self._is_known_to_ask is not asks and self._is_known_to_ask is not False:
            self._is_known_to_ask = asks
            self._teller.tell("gate", asks="yes" if asks else "no", why=why)

    # -- updates

    def _update(self, update: dict[str, Any]) -> None:
        match text(update, "sessionUpdate"):
            case "usage_update":
                self.cost = cost_in(update) if cost_in(update) is not None else self.cost
            case "current_mode_update":
                self._is_in(text(update, "currentModeId"))
            case "config_option_update":
                modes = modes_of(update)
                self._is_in(modes.now if modes is not None else "")
            case _ if self.replays:
                return
            case "agent_message_chunk":
                self._says(text(part(update, "content"), "text"))
            case "agent_thought_chunk":
                self._thinks()
            case "tool_call" | "tool_call_update":
                self._tool(self.calls.take(update))
            case "plan":
                self._plans(update)
            case "session_info_update":
                self._info(update)

    def _is_in(self, mode: str) -> None:
        self.mode = mode or self.mode
        if self.asking_mode and self.mode != self.asking_mode:
            self._teller.tell("gate", asks="unknown", why=f"it went into the mode {self.mode}")

    def _says(self, words: str) -> None:
        if not words:
            return
        self.ended_by_refusal = False
        self._chunk += words
        self.last_words = f"{self.last_words}{words}"[-_LAST_TEXT:]
        if len(self._chunk) > _FLUSH_TEXT or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def _thinks(self) -> None:
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()
            self._teller.tell("thinks")

    def _plans(self, update: dict[str, Any]) -> None:
        now = [text(one, "content") for one in parts(update, "entries") if one.get("status") == "in_progress"]
        if now:
            self._teller.tell("plan", text=now[0])

    def _info(self, update: dict[str, Any]) -> None:
        trouble, gave_up = codex_trouble(update)
        self.gave_up = self.gave_up or gave_up
        if trouble is not None:
            self.trouble = trouble
            self._teller.tell("trouble", words=trouble.words, status=trouble.status)

    def _began(self, call: ToolCall) -> None:
        """Tell of a call, once; its title may become better later on."""
        self.flush()
        if call.is_new:
            self.last_words = ""
        what = call.paths[0] if call.writes and call.paths else ""
        if call.is_new or call.told != (call.title, what):
            self._teller.tell("tool", call=call.id, new=call.is_new, kind=call.kind, title=call.title, path=what)
        call.is_new, call.told = False, (call.title, what)

    def _tool(self, call: ToolCall) -> None:
        if call.is_over:
            return
        self.ended_by_refusal = self.ended_by_refusal and not call.is_new
        if call.is_new or call.status not in _ENDED:
            self._began(call)
        if call.status not in _ENDED:
            return
        call.end()
        well = call.status == "completed"
        wrote = self._places(call) if call.kind in WRITING else ()
        self._teller.tell("tool_end", call=call.id, well=well)
        for path in wrote[:_MOST_WRITTEN] if well else ():
            self._teller.tell("wrote", path=path)
        if well and self._gate.is_there and not call.asked:
            missed = [path for path in wrote if path not in self._granted and self._is_inside(path)]
            if missed:
                self._ask_late(missed)

    def _places(self, call: ToolCall) -> tuple[str, ...]:
        """The paths that it names, each once, however it spells them."""
        whole = (path if path.startswith("/") else f"{self._folder}/{path}" for path in call.paths)
        return tuple(dict.fromkeys(map(normpath, whole)))

    def _is_inside(self, path: str) -> bool:
        return path.startswith(f"{self._folder}/")

    def _ask_late(self, paths: list[str]) -> None:
        """It wrote without a question. Others must know at least now; and if somebody else holds it, the work ends."""
        self._knows(asks=False, why=f"it wrote {paths[0]} without asking")
        task = asyncio.ensure_future(self._claim(paths))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _claim(self, paths: list[str]) -> None:
        reason = await self._gate.refusal((after_the_fact(paths),))
        if reason:
            what = _names(paths, self._folder)
            self._unasked(f"it wrote {what} without asking, which it had no leave to do: {reason}")
        else:
            self._granted.update(paths)


def _names(paths: Sequence[str], folder: str) -> str:
    return ", ".join(path.removeprefix(f"{folder}/") for path in paths[:_MOST_NAMES])
