"""What stands behind the tools of a phase: the desk of the coordinator, who is inside of a phase, and how programs are
told of our server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core_builders import soon
from gate_world import GateWorld, call, gate_world
from run_stories import T0, end, opening, phase, start
from wavecrew.agents.claude import ClaudeAgent
from wavecrew.agents.codex import CodexAgent
from wavecrew.agents.command import CommandAgent
from wavecrew.agents.gemini import GeminiAgent
from wavecrew.agents.opencode import OpencodeAgent
from wavecrew.agents.own_tools import TOOLS
from wavecrew.agents.prompt import prompt_for
from wavecrew.api import preflight
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core import phase_desk
from wavecrew.core.bounds import Bounds
from wavecrew.core.gate_calls import Refused
from wavecrew.core.gate_socket import pass_file
from wavecrew.core.hook import HARMLESS
from wavecrew.core.jobs import JobMaker
from wavecrew.core.phase_desk import PhaseDesk
from wavecrew.core.phase_messages import ASK_HUMAN, LOCK_REQUEST, PROGRESS
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.errors import InvalidValueError, PreflightError, RunBusyError
from wavecrew.mcp_server.answers import MOST, answer_of, bounded, refusal, text_of
from wavecrew.mcp_server.door import say
from wavecrew.mcp_server.verbs import named
from wavecrew.mcp_server.whereabouts import PhasePlace, place_in
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import evolve, replay
from wavecrew.models.invocation import AttemptContext, Invocation
from wavecrew.models.parallel_execution import DependencyGraph

# -- the desk -----------------------------------------------------------------------------------------------------


class Book:
    """A ledger that only folds."""

    def __init__(self) -> None:
        self.state = replay([*opening(phase("a")), start(1, "a")])
        self.events: list[Event] = []

    def clock(self) -> float:
        return T0 + 5

    def record(self, *events: Event) -> None:
        self.state = evolve(self.state, *events)
        self.events += events


def at_desk(
    book: Book, tool: str, given: object, *, desk: PhaseDesk | None = None, attempt: int = 1, here: bool = True
) -> Any:
    made = desk or PhaseDesk(book)  # type: ignore[arg-type]
    return asyncio.run(made.call(tool, "a", attempt, given, lambda: here))


def test_progress_is_recorded_in_its_bounds_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    desk = PhaseDesk(book, lambda text: text.replace("hunter2", "***"))  # type: ignore[arg-type]
    assert at_desk(book, PROGRESS, {"text": "uses hunter2"}, desk=desk) == {"recorded": True}
    assert at_desk(book, PROGRESS, {"text": "uses hunter2"}, desk=desk) == {"recorded": True}  # no news
    assert at_desk(book, PROGRESS, {"text": "next"}, desk=desk)["recorded"] is False  # too soon
    assert [event.text for event in book.events if isinstance(event, ev.ProgressTold)] == ["uses ***"]
    monkeypatch.setattr(phase_desk, "MOST_TOLD", 1)
    with pytest.raises(Refused, match="1 times"):
        at_desk(book, PROGRESS, {"text": "next"}, desk=desk)


def test_who_is_not_at_work_any_more_is_not_heard() -> None:
    book = Book()
    for attempt in (0, 2):
        with pytest.raises(Refused, match="this attempt is over"):
            at_desk(book, PROGRESS, {"text": "x"}, attempt=attempt)
    book.record(end(2, "a"))
    with pytest.raises(Refused, match="this attempt is over"):
        at_desk(book, ASK_HUMAN, {"question": "x"})


def test_what_cannot_be_understood_is_refused() -> None:
    book = Book()
    with pytest.raises(Refused, match="there is no"):
        at_desk(book, "wavecrew:approve", {})
    for given in (None, [], {}, {"question": 3}, {"question": "x" * 2001}, {"question": "x", "wait_seconds": -1}):
        with pytest.raises(InvalidValueError):
            at_desk(book, ASK_HUMAN, given)
    assert book.events == []


def test_so_many_questions_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    desk = PhaseDesk(book)  # type: ignore[arg-type]
    for number in range(phase_desk.MOST_OPEN):
        assert at_desk(book, ASK_HUMAN, {"question": f"{number}?"}, desk=desk)["question"] == number + 1
    with pytest.raises(Refused, match="asked too much"):
        at_desk(book, ASK_HUMAN, {"question": "one more?"}, desk=desk)
    assert at_desk(book, ASK_HUMAN, {"question": "3?"}, desk=desk)["question"] == 4  # the same one
    assert desk.asking == frozenset()


def test_an_answer_that_came_late_is_told_with_the_next_question_and_only_once() -> None:
    book = Book()
    desk = PhaseDesk(book)  # type: ignore[arg-type]
    assert at_desk(book, ASK_HUMAN, {"question": "one?"}, desk=desk) == {"answered": False, "question": 1}
    book.record(ev.QuestionAnswered(at=T0 + 2, phase="a", question=1, by="ann", text="yes"))
    told = at_desk(book, ASK_HUMAN, {"question": "two?"}, desk=desk)
    assert told["earlier"] == [{"question": "one?", "answer": "yes"}]
    assert "earlier" not in at_desk(book, ASK_HUMAN, {"question": "two?"}, desk=desk)
    assert at_desk(book, ASK_HUMAN, {"question": "One? "}, desk=desk)["answer"] == "yes"


def test_who_waits_is_counted_and_let_go_with_its_attempt() -> None:
    async def story() -> None:
        book, here = Book(), [True]
        desk = PhaseDesk(book)  # type: ignore[arg-type]
        given = {"question": "one?", "wait_seconds": 3600}
        waiting = [asyncio.create_task(desk.call(ASK_HUMAN, "a", 1, given, lambda: here[0])) for _ in range(2)]
        await soon(lambda: desk.asking == {"a"})
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        assert desk.asking == {"a"}
        here[0] = False
        with pytest.raises(Refused, match="over"):
            await waiting[1]
        assert desk.asking == frozenset()

    asyncio.run(story())


# -- the socket ---------------------------------------------------------------------------------------------------


def test_the_gate_hands_on_what_is_no_tool_call_and_grants_locks_by_themselves(tmp_path: Path) -> None:
    async def desk(tool: str, owner: str, given: object, is_here: Any) -> dict[str, Any]:
        if given == {"text": "stop"}:
            raise Refused("no more")
        return {"told": [tool, owner, given, is_here()]}

    async def told(world: GateWorld, name: str, tool: str, **given: Any) -> Any:
        place = PhasePlace(
            name, world.owner(name), pass_file(world.run_folder, world.owner(name)), str(world.workspace)
        )
        return await say(place, tool, given, 60)

    async def story() -> None:
        async with gate_world(tmp_path, desk=desk) as world:
            world.admit("a")
            world.admit("b", ["held"])
            answer = await told(world, "a", PROGRESS, text="x")
            assert answer["told"] == [PROGRESS, world.owner("a"), {"text": "x"}, True]
            assert (await told(world, "a", PROGRESS, text="stop"))["reason"] == "no more"
            assert world.decisions == []
            assert (await told(world, "a", LOCK_REQUEST, paths=["x", "src/"]))["verdict"] == "allow"
            assert world.held("a") == {"x", "src/"}
            late = await told(world, "a", LOCK_REQUEST, paths=["held"], wait_seconds=0)
            assert "held by phase b" in late["reason"]
            ring = asyncio.create_task(told(world, "a", LOCK_REQUEST, paths=["held"], wait_seconds=3600))
            await world.waiting()
            refused = await told(world, "b", LOCK_REQUEST, paths=["x"], wait_seconds=3600)
            assert "itself waits for what you hold" in refused["reason"]
            world.end("b")
            assert (await ring)["verdict"] == "allow"
            assert "paths" in (await told(world, "a", LOCK_REQUEST))["reason"]
            assert not (await world.ask("a", call(PROGRESS, {"text": "stop"}, world.workspace))).allowed

    asyncio.run(story())


def test_a_workspace_and_temporary_files_may_lie_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    async def story() -> None:
        async with gate_world(deep, desk=lambda *given: asyncio.sleep(0, {"told": given[0]})) as world:
            world.admit("a")
            place = PhasePlace("a", world.owner("a"), pass_file(world.run_folder, world.owner("a")), "/")
            assert (await say(place, PROGRESS, {}, 60))["told"] == PROGRESS
            assert (await world.ask("a", world.write("x"))).allowed

    asyncio.run(story())


def test_whoever_cannot_reach_a_coordinator_is_told_so(tmp_path: Path) -> None:
    def said(place: PhasePlace) -> str:
        with pytest.raises(RunBusyError) as found:
            asyncio.run(say(place, PROGRESS, {"text": "x"}, 60))
        return found.value.reason

    assert "has no way" in said(PhasePlace("a"))
    assert "has no way" in said(PhasePlace("a", "r/a/1", tmp_path / "missing", "/"))
    token = tmp_path / "pass"
    token.write_text(json.dumps({"owner": "r/a/1", "token": "t"}))
    assert "nobody is in charge" in said(PhasePlace("a", "r/a/1", token, "/"))


# -- who is inside of a phase -------------------------------------------------------------------------------------


def test_the_marks_of_an_attempt_lead_to_its_pass() -> None:
    marks = {"WAVECREW_PHASE": "a/b", "WAVECREW_RUN": "r1", "WAVECREW_ATTEMPT_NUMBER": "2", "WAVECREW_WORKSPACE": "/w"}
    place = place_in({**marks, "WAVECREW_ATTEMPT": "/s/.wavecrew/runs/r1/a-b-12345678/2"})
    assert (place.phase, place.owner, place.cwd) == ("a/b", "r1/a/b/2", "/w")
    assert place.file == pass_file(Path("/s/.wavecrew/runs/r1"), "r1/a/b/2")
    for lacking in ({}, {"WAVECREW_ATTEMPT": "relative"}):
        assert place_in({**marks, **lacking}).file is None
    assert place_in({**marks, "WAVECREW_ATTEMPT": "/x/y/z", "WAVECREW_ATTEMPT_NUMBER": "-"}).file is None


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.parametrize("name", ["WAVECREW_PHASE", "WAVECREW_ATTEMPT"])
def test_a_server_with_an_environment_of_its_own_is_inside_of_the_phase_of_its_parents(name: str) -> None:
    look = "from wavecrew.mcp_server.whereabouts import phase_here; print(phase_here() is not None)"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WAVECREW_")}
    between = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {look!r}], env={{}}, check=True)"
    for marks, inside in (({name: "x"}, "True"), ({}, "False")):
        argv = [sys.executable, "-c", between]
        found = subprocess.run(argv, env=clean | marks, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == inside


# -- answers ------------------------------------------------------------------------------------------------------


def test_answers_are_clean_and_bounded() -> None:
    assert bounded({"a": 1}) == '{"a":1}'
    told = json.loads(bounded({"rows": list(range(1000)), "few": [1], "x": "y"}, 600))
    assert told["rows"] == list(range(len(told["rows"])))
    assert (told["few"], len(told["rows"]) + told["left_off"]["rows"]) == ([1], 1000)
    assert json.loads(bounded({"x": "y" * 1000}, 500))["cut"] is True
    long = text_of("a" * MOST + "\x1b[31mend")
    assert long.content[0].text.startswith("[3 characters before this are left off]\n")
    assert long.content[0].text.endswith("aend")
    assert not answer_of({"a": "\x1b\u202e"}).is_error
    assert (refusal("no\x07").content[0].text, refusal("no").is_error) == ("no", True)
    assert [named(name) for name in ("claude-code", "a) for root (b", "\x1b", "x" * 99)] == [
        *("claude-code", "a for root b", "unnamed", "x" * 60)
    ]


# -- how programs are told ----------------------------------------------------------------------------------------

SERVER = ("/usr/bin/py thon", "-P", "-m", "wavecrew", "mcp")
MARKS = {"WAVECREW_ATTEMPT": '/a "quoted" {folder}/ü', "WAVECREW_PHASE": "1"}


def prepared(agent: Any, tools: tuple[str, ...] = SERVER) -> Invocation:
    context = AttemptContext("r", 1, "/w", "/in", files="/f", launcher=("py", "home.py"), tools=tools)
    context = replace(context, tools_environment=MARKS if tools else {})
    return agent.prepare(phase("a", description="do it"), context)


def test_each_program_is_told_of_our_server_in_its_own_form() -> None:
    wanted = {"command": SERVER[0], "args": list(SERVER[1:]), "env": MARKS}
    argv = prepared(ClaudeAgent()).steps[0].argv
    assert json.loads(argv[argv.index("--mcp-config") + 1]) == {"mcpServers": {"wavecrew": wanted}}
    allowed = argv[argv.index("--allowedTools") + 1].split(",")
    assert {f"mcp__wavecrew__{tool}" for tool in TOOLS} <= {*allowed} & HARMLESS
    [told] = [word for word in prepared(CodexAgent()).steps[0].argv if word.startswith("mcp_servers.")]
    codex = tomllib.loads(told)["mcp_servers"]["wavecrew"]
    assert {name: codex[name] for name in wanted} == wanted
    gemini = json.loads(prepared(GeminiAgent()).files["gemini-settings.json"])["mcpServers"]["wavecrew"]
    assert {name: gemini[name] for name in wanted} == wanted
    settings = json.loads(prepared(OpencodeAgent()).environment["OPENCODE_CONFIG_CONTENT"])
    assert settings["mcp"]["wavecrew"]["command"] == list(SERVER)
    assert settings["mcp"]["wavecrew"]["environment"] == MARKS


@pytest.mark.parametrize("agent", [ClaudeAgent(), CodexAgent(), GeminiAgent(), OpencodeAgent()])
def test_without_tools_nobody_hears_of_them(agent: Any) -> None:
    made = prepared(agent, ())
    assert "mcp" not in str((made.steps[0].argv, made.files, made.environment)).lower()
    assert "ask_human" not in str(made.steps[0].stdin)
    assert "ask_human" in str(prepared(agent).steps[0].stdin)


def test_only_agents_that_can_start_a_server_get_one(tmp_path: Path) -> None:
    agents = {"claude": ClaudeAgent(), "command": CommandAgent()}
    how: dict[str, Any] = {"keys": ResourceKeys(tmp_path), "agents": agents, "command": ("cat",)}
    graph = DependencyGraph.of([phase("a", description="do it")])
    for tools in (True, False):
        bounds = Bounds(agents, tmp_path / "runs", tools=tools)
        assert (bounds.has_door, bounds.is_heard("command")) == (tools, tools)
        for name in agents:
            jobs = JobMaker("r", tmp_path, tmp_path / "s", default_agent=name, bounds=bounds, **how)
            [step] = jobs.prepare(graph, graph.nodes["a"], 1).job.steps
            assert ("--mcp-config" in step.argv) is (tools and name == "claude")
            assert ("ask_human" in str(step.stdin)) is (tools and name == "claude")
            if "--mcp-config" in step.argv:
                told = json.loads(step.argv[step.argv.index("--mcp-config") + 1])
                place = place_in(told["mcpServers"]["wavecrew"]["env"])
                assert place.owner == "r/a/1"
                assert place.file == pass_file(tmp_path / "s" / "runs" / "r", "r/a/1")


def test_the_prompt_says_who_may_be_asked() -> None:
    told = prompt_for(phase("a", description="x"), AttemptContext("r", 1, "/w", "/in", tools=SERVER))
    assert "Nobody can answer questions" not in told
    assert all(f"`{tool}`" in told for tool in TOOLS)
    context = AttemptContext("r", 2, "/w", "/in", previous_failure="stopped", answers=(("Old or new?", "new"),))
    told = prompt_for(phase("a", description="x"), context)
    assert told.endswith("and was answered:\n- Old or new?\n  Answer: new\n")


def test_a_run_with_tools_does_not_begin_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    nobody: Any = None
    with pytest.raises(PreflightError, match="Model Context Protocol") as found:
        preflight.require_programs(nobody, (), ParallelExecutionConfig(phase_tools="on"))
    assert found.value.fix == "pip install 'wavecrew[mcp]'"
