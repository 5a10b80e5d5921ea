"""An agent that speaks the Agent Client Protocol and follows a script instead of a model: its prompt.

A line `WRITE PATH[,PATH]: TEXT` asks and then writes; what was refused is tried once more when the next prompt comes.
`ONCE` is the same, but is not tried again. `SNEAK PATH: TEXT` writes without asking. `SHELL COMMAND` asks and runs it,
`SECRET COMMAND` does not say which command it is. `ONLY KIND PATH` asks with options of one kind. `READ PATH`, `SAY
TEXT`, `PLAN TEXT`, `MODE ID`, `COST USD`, `RAW LINE` are messages; `WAIT PATH` and `TOUCH PATH` are for tests. `ERROR
CODE WORDS`, `STOP REASON`, `DIE CODE`, `HANG`, `HUGE BYTES`, `DEAF`, `DAEMON PATH` and `ERR TEXT` are what goes wrong.
Options of the command line say how it behaves beyond the script; see below.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import acp
from acp import schema

options = argparse.ArgumentParser()
options.add_argument("--modes", default="quick=Quick: never asks,careful=Careful: always asks before a change")
options.add_argument("--mode", default="quick", help="the mode that it begins in")
options.add_argument("--settings", action="store_true", help="modes and models are settings of the session")
options.add_argument("--stubborn", default="", help="the mode that it goes into, whatever is chosen")
options.add_argument("--ends", default="", help="the reason with which a refusal ends the turn; without it goes on")
options.add_argument("--login", action="store_true", help="it has no login")
options.add_argument("--speaks", type=int, default=acp.PROTOCOL_VERSION)
options.add_argument("--loads", action="store_true", help="it can take up sessions that it kept in $HOME/sessions")
options.add_argument("--log", default="", help="a file that gets a line for each thing that it was told")
options.add_argument("--name", default="scripted")
GIVEN = options.parse_args()
MODES = dict(one.split("=", 1) for one in GIVEN.modes.split(",") if one)
MODELS = ("small", "large")
DAEMON = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    time.sleep(1)
"""
ALL = ("allow_always", "allow_once", "reject_once", "reject_always")


def note(text: str) -> None:
    if GIVEN.log:
        with open(GIVEN.log, "a", encoding="utf-8") as file:
            file.write(f"{text}\n")


class Ended(Exception):  # noqa: N818 -- a way out
    """The turn is over."""


class ScriptedAgent:
    def __init__(self) -> None:
        self.mode, self.model = GIVEN.mode, MODELS[0]
        self.todo: list[str] = []
        self.refused: list[str] = []
        self.calls = self.turns = 0
        self.cancelled = asyncio.Event()

    def on_connect(self, client: Any) -> None:
        self.client = client

    # -- the protocol

    async def initialize(self, protocol_version: int, **more: Any) -> schema.InitializeResponse:
        told = more["client_capabilities"]
        note(f"offered fs {told.fs.read_text_file} {told.fs.write_text_file} terminal {told.terminal}")
        able = schema.AgentCapabilities(load_session=GIVEN.loads)
        info = schema.Implementation(name=GIVEN.name, version="1.2.3")
        return schema.InitializeResponse(protocol_version=GIVEN.speaks, agent_info=info, agent_capabilities=able)

    async def new_session(self, cwd: str, **more: Any) -> schema.NewSessionResponse:
        if GIVEN.login:
            raise acp.RequestError.auth_required()
        self.session = "s-1"
        note(f"new session in {cwd}")
        if GIVEN.settings:
            return schema.NewSessionResponse(session_id=self.session, config_options=self.settings())
        return schema.NewSessionResponse(session_id=self.session, modes=self.modes())

    async def load_session(self, cwd: str, session_id: str, **more: Any) -> schema.LoadSessionResponse:
        self.session = session_id
        if not Path("~/sessions", session_id).expanduser().exists():
            raise acp.RequestError(-32603, "no such session")
        note(f"loaded {session_id}")
        await self.tell(acp.update_agent_message_text("said long ago"))
        await self.tell(schema.UsageUpdate(session_update="usage_update", used=1, size=9, cost=cost(1.0)))
        return schema.LoadSessionResponse(modes=self.modes())

    async def set_session_mode(self, session_id: str, mode_id: str, **more: Any) -> schema.SetSessionModeResponse:
        note(f"mode {mode_id}")
        if mode_id not in MODES:
            raise acp.RequestError.invalid_params()
        self.mode = GIVEN.stubborn or mode_id
        if GIVEN.stubborn:
            await self.tell(acp.helpers.update_current_mode(self.mode))
        return schema.SetSessionModeResponse()

    async def set_config_option(
        self, config_id: str, session_id: str, value: Any, **more: Any
    ) -> schema.SetSessionConfigOptionResponse:
        note(f"{config_id} {value}")
        if config_id == "mode":
            self.mode = GIVEN.stubborn or value
        else:
            self.model = value
        return schema.SetSessionConfigOptionResponse(config_options=self.settings())

    async def cancel(self, session_id: str, **more: Any) -> None:
        note("cancelled")
        self.cancelled.set()

    async def prompt(self, session_id: str, prompt: list[Any], **more: Any) -> schema.PromptResponse:
        text = prompt[0].text
        self.turns += 1
        note(f"prompt {self.turns}: {' '.join(text.split())}")
        if not self.todo and self.turns == 1:
            self.todo = [line.strip() for line in text.splitlines()]
        else:
            self.todo, self.refused = [*self.refused, *self.todo], []
        work = asyncio.ensure_future(self.work())
        stop = asyncio.ensure_future(self.cancelled.wait())
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        reason = await work if work.done() else "cancelled"
        used = schema.Usage(input_tokens=100, output_tokens=10, cached_read_tokens=20, total_tokens=130)
        return schema.PromptResponse(stop_reason=reason, usage=used)

    def modes(self) -> schema.SessionModeState | None:
        among = [schema.SessionMode(id=name, name=name, description=words) for name, words in MODES.items()]
        return schema.SessionModeState(available_modes=among, current_mode_id=self.mode) if among else None

    def settings(self) -> list[Any]:
        def select(name: str, now: str, among: Any) -> Any:
            values = [schema.SessionConfigSelectOption(value=one, name=words) for one, words in among]
            return schema.SessionConfigOptionSelect(
                id=name, name=name, category=name, type="select", current_value=now, options=values
            )

        return [
            select("mode", self.mode, MODES.items()),
            select("model", self.model, [(name, name) for name in MODELS]),
        ]

    async def tell(self, update: Any) -> None:
        await self.client.session_update(session_id=self.session, update=update)

    # -- the script

    async def work(self) -> str:
        try:
            while self.todo:
                line = self.todo.pop(0)
                word, _, rest = line.partition(" ")
                step = getattr(self, f"do_{word.lower()}", None)
                if step is not None and word.isupper():
                    await step(rest, line)
        except Ended as ended:
            return str(ended)
        return "end_turn"

    async def do_write(self, rest: str, line: str) -> None:
        names, text = rest.split(": ", 1)
        paths = [os.path.join(os.getcwd(), name) for name in names.split(",")]
        parts = [acp.tool_diff_content(path, text) for path in paths]
        allowed = await self.ask("edit", f"Write {names}", parts, [schema.ToolCallLocation(path=one) for one in paths])
        if allowed:
            for path in paths:
                put(path, text)
        else:
            await self.was_refused(line)

    async def do_once(self, rest: str, line: str) -> None:
        await self.do_write(rest, "")

    async def do_shell(self, rest: str, line: str) -> None:
        if await self.ask("execute", "Terminal", [], [], raw_input={"command": rest}):
            subprocess.run(["sh", "-c", rest], check=False)
        else:
            await self.was_refused(line)

    async def do_secret(self, rest: str, line: str) -> None:
        if await self.ask("execute", "A command", [], []):
            subprocess.run(["sh", "-c", rest], check=False)

    async def do_only(self, rest: str, line: str) -> None:
        kind, path = rest.split()
        place = os.path.join(os.getcwd(), path)
        if await self.ask("edit", path, [acp.tool_diff_content(place, "x")], [], kinds=(kind, "reject_always")):
            put(place, "x")

    async def do_sneak(self, rest: str, line: str) -> None:
        path, text = rest.split(": ", 1)
        place = os.path.join(os.getcwd(), path)
        put(place, text)
        self.calls += 1
        where = [schema.ToolCallLocation(path=place)]
        name = f"c{self.calls}"
        await self.tell(acp.start_tool_call(name, path, kind="edit", status="in_progress", locations=where))
        await self.tell(acp.update_tool_call(name, status="completed"))

    async def do_read(self, rest: str, line: str) -> None:
        self.calls += 1
        await self.tell(acp.start_tool_call(f"c{self.calls}", f"Read {rest}", kind="read", status="completed"))

    async def do_switch(self, rest: str, line: str) -> None:
        await self.ask("switch_mode", f"Go on in mode {rest}", [], [])

    async def do_tool(self, rest: str, line: str) -> None:
        """A tool of its own, of which nothing is known but its arguments."""
        name, _, path = rest.partition(" ")
        if await self.ask("other", name, [], [], raw_input={"path": path} if path else {"what": "ever"}):
            put(os.path.join(os.getcwd(), path or "unknown"), name)

    async def do_say(self, rest: str, line: str) -> None:
        await self.tell(acp.update_agent_message_text(rest))

    async def do_think(self, rest: str, line: str) -> None:
        await self.tell(acp.update_agent_thought_text(rest))

    async def do_plan(self, rest: str, line: str) -> None:
        await self.tell(acp.update_plan([acp.plan_entry(rest, status="in_progress")]))

    async def do_mode(self, rest: str, line: str) -> None:
        await self.tell(acp.helpers.update_current_mode(rest))

    async def do_cost(self, rest: str, line: str) -> None:
        told = schema.UsageUpdate(session_update="usage_update", used=1, size=9, cost=cost(float(rest)))
        await self.tell(told)

    async def do_file(self, rest: str, line: str) -> None:
        """Ask for a file over the protocol, which nobody offers."""
        try:
            await self.client.write_text_file(session_id=self.session, path=f"{os.getcwd()}/{rest}", content="x")
        except acp.RequestError as error:
            note(f"no file: {error}")

    async def do_raw(self, rest: str, line: str) -> None:
        os.write(1, f"{rest}\n".encode())

    async def do_err(self, rest: str, line: str) -> None:
        os.write(2, f"{rest}\n".encode())

    async def do_huge(self, rest: str, line: str) -> None:
        text = "x" * int(rest)
        path = f"{os.getcwd()}/huge"
        if await self.ask("edit", "huge", [acp.tool_diff_content(path, text)], [schema.ToolCallLocation(path=path)]):
            put(path, "huge")

    async def do_wait(self, rest: str, line: str) -> None:
        while not os.path.exists(os.path.expandvars(rest)):
            await asyncio.sleep(0.02)

    async def do_touch(self, rest: str, line: str) -> None:
        Path(os.path.expandvars(rest)).touch()

    async def do_hang(self, rest: str, line: str) -> None:
        await asyncio.Event().wait()

    async def do_deaf(self, rest: str, line: str) -> None:
        """Hear nothing any more, not even TERM."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(os.path.expandvars(rest)).touch()
        while True:
            signal.pause()

    async def do_daemon(self, rest: str, line: str) -> None:
        """Leave a process behind that has left the session and ignores TERM. Its pid is in the file."""
        subprocess.Popen([sys.executable, "-c", DAEMON, rest], start_new_session=True)
        await self.do_wait(rest, line)

    async def do_die(self, rest: str, line: str) -> None:
        os._exit(int(rest))

    async def do_stop(self, rest: str, line: str) -> None:
        raise Ended(rest)

    async def do_error(self, rest: str, line: str) -> None:
        code, _, words = rest.partition(" ")
        raise acp.RequestError(int(code), words)

    # -- questions

    async def ask(
        self, kind: str, title: str, content: list[Any], places: list[Any], *, kinds: Any = ALL, **more: Any
    ) -> bool:
        self.calls += 1
        name = f"c{self.calls}"
        call: Any = {"kind": kind, "title": title, "content": content, "locations": places, "status": "pending", **more}
        await self.tell(acp.start_tool_call(name, title, kind=kind, status="pending"))
        offered = [schema.PermissionOption(option_id=f"id-{one}", name=one, kind=one) for one in kinds]
        asked = schema.ToolCallUpdate(tool_call_id=name, **call)
        try:
            answer = await self.client.request_permission(session_id=self.session, tool_call=asked, options=offered)
            chosen = getattr(answer.outcome, "option_id", "") or answer.outcome.outcome
        except acp.RequestError as error:
            chosen = f"error {error}"
        note(f"{title[:80]} -> {chosen}")
        allowed = chosen in ("id-allow_once", "id-allow_always")
        status = "completed" if allowed else "failed"
        await self.tell(acp.update_tool_call(name, status=status))
        return allowed

    async def was_refused(self, line: str) -> None:
        self.refused += [line] if line else []
        if GIVEN.ends:
            raise Ended(GIVEN.ends)


def cost(amount: float) -> schema.Cost:
    return schema.Cost(amount=amount, currency="USD")


def put(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{text}\n")


if __name__ == "__main__":
    sys.stderr.write("scripted agent is up\n")
    asyncio.run(acp.run_agent(ScriptedAgent()))
