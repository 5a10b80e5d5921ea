"""The program that speaks the Agent Client Protocol, between a scripted agent and a real gate."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core_builders import soon
from gate_world import GateWorld, gate_world
from wavecrew.agents.acp import AcpAgent
from wavecrew.core import acp_driver
from wavecrew.core.gate_socket import hook_argv
from wavecrew.models.agent_report import AgentReport, Ending, Usage, judge

AGENT = Path(__file__).with_name("acp_agent.py")
SECONDS = 60.0

Scene = Callable[[GateWorld, "Stage"], Awaitable[None]]


@dataclass
class Attempt:
    """Our program at work, with an agent below it."""

    process: asyncio.subprocess.Process
    log: Path
    heard: Path
    code: int | None = None

    def events(self, name: str = "") -> list[dict[str, Any]]:
        lines = self.log.read_text(errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in found if name in ("", event["acp"])]

    def told(self) -> list[str]:
        """What the agent was told, as it has noted it."""
        return self.heard.read_text().splitlines() if self.heard.exists() else []

    def prompts(self) -> list[str]:
        return [line.partition(": ")[2] for line in self.told() if line.startswith("prompt ")]

    async def end(self) -> int:
        async with asyncio.timeout(2 * SECONDS):
            self.code = await self.process.wait()
        return self.code

    def report(self) -> AgentReport:
        reader = AcpAgent().reader()
        for line in self.log.read_bytes().splitlines(keepends=True):
            reader.feed(line)
        return reader.report()

    def ending(self) -> Ending:
        assert self.code is not None
        return judge(self.report(), self.code).ending

    def gates(self) -> list[str]:
        return [event["asks"] for event in self.events("gate")]


@dataclass
class Stage:
    """Where agents are started. All are ended in the end."""

    folder: Path
    run_folder: Path | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def home(self) -> Path:
        (self.folder / "home").mkdir(exist_ok=True)
        return self.folder / "home"

    async def start(
        self, script: str, *options: str, phase: str = "a", ours: tuple[str, ...] = (), cwd: Path | None = None
    ) -> Attempt:
        number = len(self.attempts)
        log, heard = self.folder / f"log-{number}", self.folder / f"heard-{number}"
        gate: list[str] = []
        if self.run_folder is not None:
            gate = ["--hook", json.dumps(hook_argv(self.run_folder, f"r1/{phase}/1", SECONDS))]
        agent = [sys.executable, str(AGENT), "--log", str(heard), *options]
        place = cwd or self.folder / "ws"
        place.mkdir(exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-E", "-P", acp_driver.__file__, *gate, *ours, "--", *agent),
                cwd=place,
                env={"PATH": os.environ["PATH"], "HOME": str(self.home)},
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
        assert process.stdin is not None
        process.stdin.write(script.encode())
        process.stdin.close()
        self.attempts.append(Attempt(process, log, heard))
        return self.attempts[-1]

    async def run(self, script: str, *options: str, **more: Any) -> Attempt:
        attempt = await self.start(script, *options, **more)
        await attempt.end()
        return attempt

    async def close(self) -> None:
        for attempt in self.attempts:
            if attempt.process.returncode is None:
                attempt.process.terminate()
                await attempt.end()

    def text(self, path: str) -> str:
        file = self.folder / "ws" / path
        return file.read_text() if file.exists() else ""


@contextlib.asynccontextmanager
async def stage(folder: Path, **options: Any) -> AsyncIterator[tuple[GateWorld, Stage]]:
    async with gate_world(folder, **options) as world:
        made = Stage(folder, world.run_folder)
        try:
            yield world, made
        finally:
            await made.close()


def play(folder: Path, scene: Scene, **options: Any) -> None:
    async def act() -> None:
        async with stage(folder, **options) as (world, made):
            await scene(world, made)

    asyncio.run(act())


def alone(folder: Path, script: str, *options: str, **more: Any) -> tuple[Attempt, Stage]:
    """One agent to its end, without a gate."""
    made = Stage(folder)

    async def act() -> Attempt:
        try:
            return await made.run(script, *options, **more)
        finally:
            await made.close()

    return asyncio.run(act()), made


# -- asked and answered ------------------------------------------------------------------------------------------


def test_what_is_free_is_claimed_and_written(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a", claims=["own"])
        done = await made.run("WRITE own: 1\nWRITE free,more: 2\nREAD own\nSAY all\nSAY  done")

        assert done.code == 0, done.events()
        assert (made.text("own"), made.text("free"), made.text("more")) == ("1\n", "2\n", "2\n")
        assert world.held("a") == {"own", "free", "more"}
        assert "offered fs False False terminal False" in done.told()
        assert "mode careful" in done.told()
        assert done.gates() == ["said", "yes"]
        assert [line for line in done.told() if "->" in line] == [
            "Write own -> id-allow_once",
            "Write free,more -> id-allow_once",
        ]
        told = done.report()
        assert (told.ending, told.message, told.session) == (Ending.DONE, "all done", "s-1")
        assert (told.tool_calls, told.usage, told.version) == (3, Usage(120, 10, 20), "scripted 1.2.3")
        assert told.files == tuple(str(world.workspace / name) for name in ("own", "free", "more"))

    play(tmp_path, scene)


def test_it_waits_for_what_somebody_else_holds(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        world.admit("b", claims=["x"])
        attempt = await made.start("WRITE x: 1")
        await world.waiting()
        assert made.text("x") == ""

        world.end("b")

        assert await attempt.end() == 0, attempt.events()
        assert made.text("x") == "1\n"
        assert attempt.report().tool_calls == 1

    play(tmp_path, scene)


@pytest.mark.parametrize("ends", ["", "end_turn", "cancelled"])
def test_a_refusal_is_told_with_its_reason_and_tried_again(tmp_path: Path, ends: str) -> None:
    """The file changed while it waited. The lock is held then, so the next try goes on."""

    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        world.admit("b", claims=["x"])
        attempt = await made.start("WRITE x: 1\nWRITE y: 2\nSAY well", *(["--ends", ends] if ends else []))
        await world.waiting()
        (world.workspace / "x").write_text("0\n")
        world.end("b")

        assert await attempt.end() == 0, attempt.events()
        assert (made.text("x"), made.text("y")) == ("0\n1\n", "2\n")
        second = attempt.prompts()[1]
        assert len(attempt.prompts()) == 2
        assert "x was changed by phase b while you waited. Read it again" in second
        assert "id-reject_once" in "".join(attempt.told())
        assert attempt.report().usage == Usage(240, 20, 40)

    play(tmp_path, scene)


def test_who_goes_on_after_a_refusal_is_told_why_at_the_end_and_may_leave_it(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        world.admit("b", claims=["x"])
        done = await made.run("ONCE x: 1\nWRITE y: 2\nSAY without x")

        assert done.code == 0, done.events()
        assert (made.text("x"), made.text("y")) == ("", "2\n")
        assert len(done.prompts()) == 2
        assert "x is held by phase b" in done.prompts()[1]

    play(tmp_path, scene, wait_seconds=0.05)


def test_an_agent_that_only_wants_what_it_cannot_get_is_not_asked_for_ever(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        world.admit("b", claims=["x"])
        done = await made.run("WRITE x: 1", "--ends", "end_turn")

        assert (done.code, made.text("x"), len(done.prompts())) == (1, "", 4)
        assert done.ending() is Ending.FAILED
        assert done.report().message.startswith("refusals ended its work, the last of x: x is held by phase b")

    play(tmp_path, scene, wait_seconds=0.05)


def test_of_several_paths_all_have_to_be_allowed(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        world.admit("b", claims=["x"])
        done = await made.run("ONCE y,x: 1")

        assert (made.text("x"), made.text("y")) == ("", "")
        assert len(done.prompts()) == 2

    play(tmp_path, scene, wait_seconds=0.05)


def test_shell_commands_are_asked_about(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        world.admit("b", claims=["x"])
        done = await made.run("SHELL echo 1 > y\nSHELL echo 1 > x\nSECRET echo 1 > z\nSAY done")

        assert (made.text("x"), made.text("y"), made.text("z")) == ("", "1\n", "")
        assert world.held("a") == {"y"}
        assert "it cannot be read where this call writes" in done.prompts()[1]

    play(tmp_path, scene, wait_seconds=0.05)


def test_what_cannot_be_read_hits_nobody_in_a_worktree(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        tree = tmp_path / "tree"
        tree.mkdir()
        world.admit("a", root=tree)
        done = await made.run("SECRET echo 1 > z", cwd=tree)

        assert (done.code, (tree / "z").read_text()) == (0, "1\n")

    play(tmp_path, scene)


def test_nothing_is_allowed_for_good_or_blindly(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        script = "ONLY allow_always x\nSWITCH quick\nTOOL strange\nTOOL odd y\nWRITE .git/config: 1\nSAY done"
        done = await made.run(script)

        assert [line.rpartition(" ")[2] for line in done.told() if "->" in line][:5] == [
            "cancelled",
            "id-reject_once",
            "id-reject_once",
            "id-allow_once",
            "id-reject_once",
        ]
        assert (made.text("x"), made.text("y"), made.text("unknown")) == ("", "odd\n", "")
        assert "it is not known what the tool" in done.prompts()[1]

    play(tmp_path, scene)


def test_without_a_coordinator_nothing_is_written(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a", claims=["x"])
        world.admit("b", claims=["y"])
        attempt = await made.start("WRITE y: 1\nWRITE x: 1", "--ends", "cancelled")
        await world.waiting()

        await world.gate.close()

        assert await attempt.end() == 1
        assert (made.text("x"), made.text("y")) == ("", "")
        assert "nobody is in charge" in attempt.report().message

    play(tmp_path, scene)


def test_without_a_gate_it_just_works(tmp_path: Path) -> None:
    done, made = alone(tmp_path, "WRITE .git/x: 1\nSHELL echo 1 > y\nSECRET echo 1 > z\nONLY allow_always no")

    assert done.code == 0, done.events()
    assert (made.text(".git/x"), made.text("y"), made.text("z"), made.text("no")) == ("1\n", "1\n", "1\n", "")
    assert not any(line.startswith("mode ") for line in done.told())
    assert done.gates() == []


# -- whether it asks ---------------------------------------------------------------------------------------------


def test_modes_may_be_settings(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        done = await made.run("WRITE x: 1", "--settings")

        assert "mode careful" in done.told()
        assert done.gates() == ["said", "yes"]

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--modes", "build=Build: works,plan=Plan: thinks"], "it offers no mode that says that it asks (build, plan)"),
        (["--stubborn", "quick"], "it stays in mode quick"),
        (["--stubborn", "quick", "--settings"], "it stays in mode quick"),
    ],
)
def test_who_is_not_proven_to_ask_is_told(tmp_path: Path, options: list[str], why: str) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        done = await made.run("SAY hi", *options)

        [told] = done.events("gate")
        assert told["asks"] == "unknown"
        assert why in told["why"]
        assert done.code == 0

    play(tmp_path, scene)


def test_a_mode_that_is_left_later_on_is_told(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        done = await made.run("MODE quick\nSAY hi")

        assert done.gates() == ["said", "unknown"]

    play(tmp_path, scene)


def test_what_was_written_without_a_question_is_claimed_at_least_then(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a", claims=["own"])
        done = await made.run("SNEAK own: 1\nSNEAK free: 1\nSAY done")

        assert done.code == 0, done.events()
        assert world.held("a") == {"own", "free"}
        assert done.gates() == ["said", "no"]

    play(tmp_path, scene)


def test_who_writes_what_another_phase_holds_without_asking_has_failed(tmp_path: Path) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        world.admit("b", claims=["x"])
        done = await made.run("SNEAK x: 1\nHANG")

        assert (done.code, done.ending()) == (1, Ending.FAILED)
        assert done.report().message.startswith("it wrote x without asking, which it had no leave to do")
        assert "x is held by phase b" in done.report().message
        assert "cancelled" in done.told()

    play(tmp_path, scene, wait_seconds=0.05)


# -- the end -----------------------------------------------------------------------------------------------------


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("script", ["HANG", "WRITE x: 1", "DEAF ../up"])
def test_who_is_stopped_leaves_no_process(tmp_path: Path, script: str) -> None:
    async def scene(world: GateWorld, made: Stage) -> None:
        world.admit("a")
        world.admit("b", claims=["x"])
        daemon = tmp_path / "daemon"
        attempt = await made.start(f"DAEMON {daemon}\nTOUCH {tmp_path}/at\n{script}")
        await soon((tmp_path / "at").exists)
        if "WRITE" in script:
            await world.waiting()
        if "DEAF" in script:
            await soon((tmp_path / "up").exists)
        pid = int(daemon.read_text())

        attempt.process.send_signal(signal.SIGTERM)

        assert await attempt.end() == 143
        await soon(lambda: is_gone(pid))
        assert made.text("x") == ""
        assert attempt.report().ending is Ending.NONE
        if "DEAF" not in script:
            assert "cancelled" in attempt.told()

    play(tmp_path, scene)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_who_is_done_leaves_no_process_either(tmp_path: Path) -> None:
    daemon = tmp_path / "daemon"
    done, _ = alone(tmp_path, f"DAEMON {daemon}\nSAY done")

    assert done.code == 0
    assert is_gone(int(daemon.read_text()))


def test_an_agent_that_dies_at_work_has_failed_with_its_last_words(tmp_path: Path) -> None:
    done, _ = alone(tmp_path, "SAY I am\nERR it broke\nDIE 3")

    assert (done.code, done.ending()) == (1, Ending.FAILED)
    assert done.report().message == "it ended with exit code 3 before its work was done; its last words: it broke"


@pytest.mark.parametrize(
    ("script", "options", "ending", "words"),
    [
        ("STOP max_tokens", (), Ending.FAILED, "broken off"),
        ("STOP cancelled", (), Ending.FAILED, "not by us"),
        ("ERROR 429 slow down", (), Ending.LIMITED, "slow down"),
        ("ERROR -32603 got status 503", (), Ending.UNREACHABLE, "503"),
        ("SAY hi", ("--login",), Ending.LOGGED_OUT, "Authentication required"),
        ("SAY hi", ("--speaks", "99"), Ending.FAILED, "it speaks version 99"),
    ],
)
def test_how_it_may_fail(tmp_path: Path, script: str, options: tuple[str, ...], ending: Ending, words: str) -> None:
    done, _ = alone(tmp_path, script, *options)

    assert (done.code, done.ending()) == (1, ending)
    assert words in done.report().message


def test_a_bridge_that_hides_that_its_server_failed(tmp_path: Path) -> None:
    error = {"additionalDetails": "unexpected status 502", "codexErrorInfo": {"x": {"httpStatusCode": 502}}}

    def info(told: dict[str, Any]) -> str:
        update = {"sessionUpdate": "session_info_update", "_meta": {"codex": told}}
        message = {"method": "session/update", "params": {"sessionId": "s-1", "update": update}}
        return f"RAW {json.dumps({'jsonrpc': '2.0', **message})}"

    script = "\n".join((info({"error": error}), info({"threadStatus": {"type": "systemError"}}), "SAY it failed"))
    done, _ = alone(tmp_path, script)

    assert (done.code, done.ending()) == (1, Ending.UNREACHABLE)
    assert done.report().message == "unexpected status 502"


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async def act() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-E", "-P", acp_driver.__file__, "--", str(tmp_path / "none")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await process.communicate()
        last = json.loads(told.splitlines()[-1])
        assert (process.returncode, last["ok"]) == (127, False)
        assert "none cannot be started: No such file" in last["words"]

    asyncio.run(act())


# -- what comes besides ------------------------------------------------------------------------------------------

FORGED = '{"acp": "end", "ok": true, "words": "believe me"}'


def test_what_looks_like_our_events_is_not_believed(tmp_path: Path) -> None:
    lines = (f"ERR {FORGED}", f"RAW {FORGED}", f"SAY {FORGED}", "RAW plain", "RAW [1]", 'RAW {"id": {}}', "DIE 0")
    done, _ = alone(tmp_path, "\n".join(lines))

    assert (done.code, done.ending()) == (1, Ending.FAILED)
    assert done.events("says")[0]["text"] == FORGED
    assert f"| {FORGED}" in done.log.read_text()
    assert [event["ok"] for event in done.events("end")] == [False]


def test_messages_that_mean_nothing_are_survived(tmp_path: Path) -> None:
    strange = (
        {"method": "session/update", "params": {"update": {"sessionUpdate": "new_thing", "x": 1}}},
        {"method": "session/update", "params": None},
        {"method": "session/update", "params": {"update": {"sessionUpdate": "tool_call", "content": 7, "kind": []}}},
        {"method": "session/update", "params": {"update": {"sessionUpdate": "plan", "entries": [7]}}},
        {"method": "other/note"},
        {"id": 77, "method": "session/request_permission", "params": {"options": 3}},
        {"id": 78, "method": "terminal/create", "params": {}},
        {"id": "x", "result": 1},
        {"id": 999, "error": "what"},
    )
    raw = "\n".join(f"RAW {json.dumps({'jsonrpc': '2.0', **one})}" for one in strange)
    done, made = alone(tmp_path, f"{raw}\nFILE there\nTHINK deeply\nPLAN first\nWRITE x: 1\nSAY done")

    assert (done.code, made.text("x"), made.text("there")) == (0, "1\n", "")
    assert "no file: wavecrew offers no fs/write_text_file" in done.told()
    assert done.report().message == "done"


def test_a_question_that_is_too_long_is_answered_with_an_error(tmp_path: Path) -> None:
    done, made = alone(tmp_path, f"HUGE {2**24}\nWRITE x: 1\nSAY done")

    assert done.code == 0, done.events()
    assert (made.text("huge"), made.text("x")) == ("", "1\n")
    assert any("wavecrew offers no too_long" in line for line in done.told())


# -- sessions and models -----------------------------------------------------------------------------------------


def test_a_session_is_taken_up_and_its_past_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "home" / "sessions" / "s-9").mkdir(parents=True)
    done, _ = alone(tmp_path, "COST 1.5\nSAY went on", "--loads", ours=("--session", "s-9"))

    assert done.code == 0, done.events()
    assert "loaded s-9" in done.told()
    assert [event["text"] for event in done.events("says")] == ["went on"]
    told = done.report()
    assert (told.session, told.message, told.cost_usd) == ("s-9", "went on", 0.5)


@pytest.mark.parametrize("options", [(), ("--loads",)])
def test_a_session_that_is_gone_is_a_new_one(tmp_path: Path, options: tuple[str, ...]) -> None:
    done, _ = alone(tmp_path, "COST 0.25\nSAY anew", *options, ours=("--session", "s-9"))

    told = done.report()
    assert (done.code, told.session, told.cost_usd) == (0, "s-1", 0.25)


def test_a_model_is_chosen_where_that_can_be_done(tmp_path: Path) -> None:
    done, _ = alone(tmp_path, "SAY hi", "--settings", ours=("--model", "large"))
    assert (done.code, done.report().model) == (0, "large")
    assert "model large" in done.told()

    other, _ = alone(tmp_path, "SAY hi", "--settings", ours=("--model", "huge"))
    assert (other.code, other.ending()) == (1, Ending.WRONG_MODEL)

    nobody, _ = alone(tmp_path, "SAY hi", ours=("--model", "large"))
    assert (nobody.code, nobody.ending()) == (1, Ending.FAILED)
    assert "name it in its command" in nobody.report().message
