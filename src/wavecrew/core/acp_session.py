"""One task given to an agent that speaks the Agent Client Protocol, from its start to its end.

What it does: starts the agent, opens or takes up a session, puts it into a mode that asks before each write, sends the
task, tells it why writes were refused if it has not gone on by itself, judges the end, and leaves no process behind.
What it does not know: what requests are answered (`acp_client`), and who reads our events.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from typing import Any, Final

from acp import PROTOCOL_VERSION, RequestError
from acp.connection import Connection

from wavecrew.core import process_tree
from wavecrew.core.acp_answers import Choice, Trouble, asking_mode, models_of, modes_of, text, trouble_of, used_in
from wavecrew.core.acp_answers import part as part_of
from wavecrew.core.acp_client import Client, Refusal
from wavecrew.core.acp_gate import Gate
from wavecrew.core.acp_pipes import MAX_LINE, NotesHandler, Pipes, Teller, copy_lines
from wavecrew.core.acp_tree import end_tree

AGAIN: Final = 3
"""How often an agent is told why writes were refused."""
DONE, FAILED, NOT_STARTED, STOPPED = 0, 1, 127, 143
_CANCEL_SECONDS: Final = 2.0
_GONE_SECONDS: Final = 5.0
_WITHOUT_SUCCESS: Final = {
    "max_tokens": "its last answer was broken off: it became too long",
    "max_turn_requests": "it used up the steps that it may take in one turn",
    "refusal": "its model refused to go on",
    "cancelled": "its turn was broken off, and not by us",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done: the command of the agent, the folder to work in, and what to ask before each write (program
    and arguments; empty is no gate), `patience` seconds long. `session` is an earlier one to go on with."""

    argv: tuple[str, ...]
    folder: str
    hook: tuple[str, ...] = ()
    patience: float = 600.0
    session: str = ""
    model: str = ""


class Failure(Exception):  # noqa: N818 -- a way out of all steps
    """Why the work ended without success, in words of the agent (`told`) or of ours."""

    def __init__(self, words: str, told: Trouble | None = None) -> None:
        super().__init__(words)
        self.told = told


async def drive(order: Order, task: str) -> int:
    """Do it; gives the exit code. Everything else is told by events on standard output."""
    teller = Teller()
    logging.getLogger().addHandler(NotesHandler(teller))
    process_tree.adopt_orphans()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    teller.tell("start", command=order.argv[0])
    try:
        agent = await asyncio.create_subprocess_exec(
            *order.argv,
            cwd=order.folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
        )
    except OSError as error:
        teller.tell("end", ok=False, words=f"{order.argv[0]} cannot be started: {error.strerror or error}")
        return NOT_STARTED
    try:
        return await _Work(order, teller, agent).until(stop, task)
    finally:
        await end_tree(agent)


class _Work:
    def __init__(self, order: Order, teller: Teller, agent: asyncio.subprocess.Process) -> None:
        if agent.stdin is None or agent.stdout is None or agent.stderr is None:
            raise AssertionError("the agent was started with pipes")
        self._order = order
        self._teller = teller
        self._agent = agent
        self._last_line = b""
        self._listening = asyncio.ensure_future(copy_lines(agent.stderr, self._heard))
        self._gate = Gate(order.hook, order.patience, order.folder)
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._client = Client(self._gate, teller, order.folder, self._break)
        pipes = Pipes(agent.stdout, agent.stdin, lambda words: teller.tell("note", text=words))
        self._connection = Connection(self._client.handle, pipes)
        self._session, self._can_load = "", False
        self._cost_before: float | None = 0.0

    def _heard(self, line: bytes) -> None:
        self._last_line = line
        self._teller.stderr(line)

    def _break(self, words: str) -> None:
        if not self._broken.done():
            self._broken.set_exception(Failure(words))

    async def until(self, stop: asyncio.Event, task: str) -> int:
        """Work until it is done, or until somebody says stop."""
        working = asyncio.ensure_future(self._work(task))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((working, stopping, self._broken), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        try:
            if stop.is_set() and not working.done():
                await self._cancel(working)
                self._teller.tell("stopped")
                return STOPPED
            if self._broken.done():
                await self._cancel(working)
                self._broken.result()
            words = await working
        except Failure as failure:
            if stop.is_set():  # it was told to end, too, and was faster than we are
                self._teller.tell("stopped")
                return STOPPED
            self._failed(failure)
            return FAILED
        else:
            self._teller.tell("end", ok=True, words=words)
            return DONE
        finally:
            self._broken.cancel()
            await self._connection.close()
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _cancel(self, working: asyncio.Future[str]) -> None:
        """Have the agent break off its turn, as the protocol has it."""
        self._client.stopping = True
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                if self._session:
                    await self._connection.send_notification("session/cancel", {"sessionId": self._session})
                    await asyncio.wait((working,))
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    def _failed(self, failure: Failure) -> None:
        self._client.flush()
        told, words = failure.told, str(failure)
        if told is None:
            self._teller.tell("end", ok=False, words=words)
        else:
            self._teller.tell("end", ok=False, words=words, told=True, status=told.status, logged_out=told.logged_out)

    # -- steps

    async def _work(self, task: str) -> str:
        """The last words of the agent. Raises Failure."""
        try:
            await self._initialize()
            opened = await self._open()
            await self._choose_model(opened)
            if self._gate.is_there:
                await self._make_it_ask(opened)
            return await self._turns(task)
        except RequestError as error:
            told = trouble_of(error.code, str(error), error.data)
            raise Failure(told.words, told) from None
        except ConnectionError:
            raise Failure(await self._why_gone()) from None

    async def _request(self, method: str, **params: Any) -> dict[str, Any]:
        return part_of(await self._connection.send_request(method, params))

    async def _initialize(self) -> None:
        nothing = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
        me = {"name": "wavecrew", "version": "1"}
        answer = await self._request(
            "initialize", protocolVersion=PROTOCOL_VERSION, clientCapabilities=nothing, clientInfo=me
        )
        if answer.get("protocolVersion") != PROTOCOL_VERSION:
            spoken = answer.get("protocolVersion")
            raise Failure(f"it speaks version {spoken} of the Agent Client Protocol, and not {PROTOCOL_VERSION}")
        info = part_of(answer, "agentInfo")
        self._client.calls.agent = text(info, "name")
        self._can_load = part_of(answer, "agentCapabilities").get("loadSession") is True
        self._teller.tell("agent", name=text(info, "name"), version=text(info, "version"))

    async def _open(self) -> dict[str, Any]:
        """A session: the earlier one, if it can be taken up, else a new one."""
        place = {"cwd": self._order.folder, "mcpServers": []}
        opened = await self._load(place) if self._order.session and self._can_load else None
        loaded = opened is not None
        if opened is None:
            opened = await self._request("session/new", **place)
            self._session = text(opened, "sessionId")
            if not self._session:
                raise Failure("it opened a session without a name")
        models = models_of(opened)
        self._teller.tell("session", session=self._session, loaded=loaded, model=models.now if models else "")
        return opened

    async def _load(self, place: dict[str, Any]) -> dict[str, Any] | None:
        self._client.replays = True
        try:
            opened = await self._request("session/load", sessionId=self._order.session, **place)
        except RequestError as error:
            self._teller.tell("note", text=f"the session {self._order.session} cannot be taken up: {error}")
            return None
        finally:
            self._client.replays = False
        self._session, self._cost_before = self._order.session, self._client.cost
        return opened

    async def _choose_model(self, opened: dict[str, Any]) -> None:
        wanted, models = self._order.model, models_of(opened)
        if not wanted:
            return
        if models is None:
            raise Failure("nobody can choose a model by this protocol; name it in its command, and leave out `model`")
        if wanted not in models.among:
            known = ", ".join(list(models.among)[:10])
            words = f"the model {wanted} does not exist; it offers {known}"
            raise Failure(words, Trouble(words))
        if models.now != wanted:
            await self._choose(models, "session/set_model", "modelId", wanted)
        self._teller.tell("session", session=self._session, loaded=False, model=wanted)

    async def _choose(self, choice: Choice, method: str, name: str, wanted: str) -> dict[str, Any]:
        if choice.option:
            given = {"configId": choice.option, "value": wanted}
            return await self._request("session/set_config_option", sessionId=self._session, **given)
        return await self._request(method, sessionId=self._session, **{name: wanted})

    async def _make_it_ask(self, opened: dict[str, Any]) -> None:
        """Put it into the mode that says that it asks before each write, and see that it is in it. What cannot be
        proven is said; the first write shows it."""
        modes = modes_of(opened)
        wanted = asking_mode(modes) if modes is not None else ""
        if modes is None or not wanted:
            names = f" ({', '.join(modes.among)})" if modes is not None else ""
            self._teller.tell("gate", asks="unknown", why=f"it offers no mode that says that it asks{names}")
            return
        try:
            answer = await self._choose(modes, "session/set_mode", "modeId", wanted)
        except RequestError as error:
            self._teller.tell("gate", asks="unknown", why=f"its mode {wanted} cannot be chosen: {error}")
            return
        told = modes_of(answer)
        now = self._client.mode or (told.now if told is not None else "") or wanted
        self._client.asking_mode = wanted if now == wanted else ""
        asks, why = ("said", f"mode {wanted}") if now == wanted else ("unknown", f"it stays in mode {now}")
        self._teller.tell("gate", asks=asks, why=why)

    async def _turns(self, task: str) -> str:
        words = ""
        for number in range(AGAIN + 1):
            self._client.last_words = ""
            stop = await self._turn(task)
            words = self._client.last_words.strip() or words
            refused = self._client.take_refusals()
            if stop not in ("end_turn", "cancelled") or not refused:
                break
            if number < AGAIN:
                self._teller.tell("again", reasons=[f"{one.what}: {one.reason}"[:500] for one in refused])
                task = _reasons(refused)
        if stop == "end_turn" and not (refused and self._client.ended_by_refusal):
            return words
        if refused and stop in ("end_turn", "cancelled"):
            raise Failure(f"refusals ended its work, the last of {refused[-1].what}: {refused[-1].reason}")
        raise Failure(_WITHOUT_SUCCESS.get(stop, f"its turn ended with {stop or 'no reason'}"))

    async def _turn(self, task: str) -> str:
        """One prompt, and why its turn ended."""
        self._client.gave_up, self._client.trouble, self._client.ended_by_refusal = False, None, False
        prompt = [{"type": "text", "text": task}]
        try:
            answer = await self._request("session/prompt", sessionId=self._session, prompt=prompt)
        finally:
            self._client.flush()
            self._tell_cost()
        await self._client.settle()
        if self._broken.done():
            self._broken.result()
        used = used_in(answer, self._client.calls.agent)
        stop = text(answer, "stopReason")
        self._teller.tell("turn", stop=stop, input=used.input, output=used.output, cached=used.cached)
        if self._client.gave_up:
            words = self._client.last_words.strip() or "its server failed"
            told = self._client.trouble or Trouble(words)
            raise Failure(told.words, told)
        return stop

    def _tell_cost(self) -> None:
        now, before = self._client.cost, self._cost_before
        if now is not None and before is not None and now >= before:
            self._teller.tell("cost", usd=now - before)

    async def _why_gone(self) -> str:
        """Why there is nobody to talk to any more."""
        try:
            async with asyncio.timeout(_GONE_SECONDS):
                code: int | None = await self._agent.wait()
                await asyncio.wait((self._listening,))
        except TimeoutError:
            code = self._agent.returncode
        how = "closed its output" if code is None else f"ended with {_ending(code)}"
        last = self._last_line[:300].decode(errors="replace").strip()
        return f"it {how} before its work was done{f'; its last words: {last}' if last else ''}"


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _reasons(refused: list[Refusal]) -> str:
    """What an agent is told, because a refusal by the protocol has no words."""
    what = "\n".join(f"- {one.what}: {one.reason}" for one in refused)
    return (
        f"These were refused, and nothing was done there:\n{what}\n\nNobody else will answer. Go on with your task: "
        "heed the reasons, do other work first, read a file again before you change it, and try once more what is "
        "still needed. Then end, and say what is missing."
    )
