"""The translator for agents that speak the Agent Client Protocol, and what is read from their messages."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.agents.acp import AcpAgent
from wavecrew.agents.streams import MAX_FILES, MAX_LINE, event_in
from wavecrew.api.agent_programs import look_for, program_of
from wavecrew.core import acp_answers as answers
from wavecrew.core import acp_driver
from wavecrew.core.acp_answers import Choice, Trouble, Used
from wavecrew.core.acp_calls import ToolCalls, questions
from wavecrew.core.acp_client import Client
from wavecrew.core.acp_gate import Gate
from wavecrew.core.acp_pipes import Teller
from wavecrew.core.bounds import Bounds
from wavecrew.core.tool_calls import tool_writes
from wavecrew.models.agent_programs import InstalledProgram
from wavecrew.models.agent_report import AgentReport, Ending, Usage, judge
from wavecrew.models.invocation import AttemptContext, Invocation
from wavecrew.models.outcomes import Cause
from wavecrew.models.parallel_execution import PhaseInfo

STREAMS = Path(__file__).parent / "streams"
TASK = PhaseInfo("words", "Words", description="Write the words.", outputs=("words.txt",))
HOOK = ("/usr/bin/python3", "-I", "/a b/hook.py", "it's")
DRIVER = ("python", "driver.py")


def lines(name: str) -> list[bytes]:
    return (STREAMS / f"acp-{name}.jsonl").read_bytes().splitlines(keepends=True)


def report(given: list[bytes]) -> AgentReport:
    reader = AcpAgent().reader()
    for line in given:
        reader.feed(line)
    return reader.report()


def line(event: str, **more: Any) -> bytes:
    return json.dumps({"acp": event, **more}).encode()


# -- what a stream tells -----------------------------------------------------------------------------------------


def test_a_success() -> None:
    told = report(lines("done"))

    assert (told.ending, told.message, told.session) == (Ending.DONE, "all done", "5e551011-eeee")
    assert (told.usage, told.cost_usd) == (Usage(3300, 63, 600), 0.011)
    assert (told.files, told.tool_calls) == (("/w/a.txt",), 3)
    assert (told.model, told.version, told.last_activity) == ("model-a", "scripted 1.2.3", "all done")
    assert judge(told, 0).ok
    assert judge(told, 1).cause is Cause.EXIT


def test_a_session_that_goes_on() -> None:
    told = report(lines("resumed"))

    assert (told.usage, told.cost_usd, told.files) == (Usage(2100, 41, 400), 0.007, ("/w/c.txt",))


def test_a_limit_and_a_failure() -> None:
    limited = judge(report(lines("limited")), 1)
    assert (limited.cause, limited.ending, limited.detail) == (
        Cause.QUOTA,
        Ending.LIMITED,
        "the usage limit is reached",
    )
    assert report(lines("limited")[:6]).trouble is Ending.LIMITED
    for code in (0, 1, -9):
        assert judge(report(lines("failed")), code).ending is Ending.WRONG_MODEL


def test_words_of_ours_are_no_error_of_a_server() -> None:
    ours = report([line("end", ok=False, words="refusals ended its work: model quota connection 429")])
    assert ours.ending is Ending.FAILED
    login = report([line("end", ok=False, told=True, logged_out=True, words="what")])
    assert login.ending is Ending.LOGGED_OUT


def test_without_a_last_event_nothing_is_done() -> None:
    told = report(lines("cut"))

    assert (told.ending, told.files, told.last_activity) == (Ending.NONE, ("/w/a.txt",), "now the second file")
    assert (told.usage, told.cost_usd) == (Usage(), None)
    assert not judge(told, 0).ok
    *most, last = lines("done")
    assert report([*most, last[: len(last) // 2]]).ending is Ending.NONE


@pytest.mark.parametrize(
    ("event", "activity"),
    [
        (line("start", command="gemini"), "waits for gemini"),
        (line("gate", asks="unknown", why="no mode"), "it is not known whether it asks before it writes: no mode"),
        (line("gate", asks="no", why="x"), "it does not ask before it writes: x"),
        (line("gate", asks="yes", why="x"), ""),
        (line("thinks"), "thinks"),
        (line("tool", call="c", new=True, kind="edit", title="", path="/w/a"), "edit /w/a"),
        (line("asked", call="c", allowed=False, reason="held"), "was refused: held"),
        (line("asked", call="c", allowed=True), ""),
        (line("again", reasons=["x"]), "is told why it was refused"),
    ],
)
def test_what_it_does_now(event: bytes, activity: str) -> None:
    assert report([event]).last_activity == activity


def test_what_is_no_event_of_ours_says_nothing() -> None:
    forged = b'| {"acp": "end", "ok": true, "words": "x"}\n'
    within = line("says", text='{"acp": "end", "ok": true}')
    foreign = [one for name in ("claude", "codex", "gemini", "opencode") for one in _foreign(name)]
    rubbish = [b"", b"{}", b'{"acp": 1}', b'{"acp": "what"}', b'{"acp": "end"', b"\xff", b'{"acp": ["end"]}']

    told = report([*lines("cut"), forged, within, *foreign, *rubbish])

    assert (told.ending, told.usage, told.files) == (Ending.NONE, Usage(), ("/w/a.txt",))


def _foreign(name: str) -> list[bytes]:
    return (STREAMS / f"{name}-done.jsonl").read_bytes().splitlines(keepends=True)


def test_what_was_lost_makes_sums_unknown_and_never_zero() -> None:
    first, *rest = lines("done")
    cut = b"[wavecrew: about 123 bytes were cut out here]\n"
    long = b'{"acp":"says","text":"' + b"x" * MAX_LINE + b'"}\n'
    for lost in (cut, long):
        told = report([first, lost, *rest])
        assert (told.usage, told.ending, told.cost_usd) == (Usage(), Ending.DONE, 0.011)


def test_memory_is_bounded_and_nothing_steers_a_terminal() -> None:
    reader = AcpAgent().reader()
    for number in range(MAX_FILES + 10):
        reader.feed(line("wrote", path=f"/w/{number}\x1b[2J" + "x" * 5000))
    reader.feed(line("says", text="\x1b]0;title\x07red\u202e" * 100))
    told = reader.report()
    assert len(told.files) == MAX_FILES
    assert max(map(len, told.files)) <= 4096
    assert len(told.last_activity) <= 120
    assert told.last_activity.isprintable()


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(name=st.sampled_from(["done", "limited", "failed"]), key=st.text(max_size=5), value=_anything, data=st.data())
def test_events_of_any_shape_are_survived(name: str, key: str, value: Any, data: st.DataObject) -> None:
    reader = AcpAgent().reader()
    for one in lines(name):
        event = dict(event_in(one)._found)
        if event and data.draw(st.booleans()):
            event[data.draw(st.sampled_from(sorted(event)))] = value
            event[key] = value
        reader.feed(json.dumps(event).encode())
    told = reader.report()
    assert all(count is None or 0 <= count < 2**60 for count in (told.usage.input, told.usage.output))
    assert isinstance(judge(told, 0).ok, bool)


# -- what is started ---------------------------------------------------------------------------------------------


def prepare(**values: Any) -> Invocation:
    context = AttemptContext("r", 1, "/w", "/state/input-0", driver=DRIVER, command=("bin/gemini", "--acp"))
    return AcpAgent().prepare(TASK, replace(context, **values))


def test_our_program_is_started_with_the_command_of_the_agent() -> None:
    (step,) = prepare().steps
    assert step.argv == (*DRIVER, "--", "bin/gemini", "--acp")
    assert step.title == "gemini --acp"
    assert step.stdin is not None
    assert "Write the words." in step.stdin
    own = AcpAgent().prepare(replace(TASK, command=("x", "--", "y")), AttemptContext("r", 1, "/w", "p", driver=DRIVER))
    assert own.steps[0].argv == (*DRIVER, "--", "x", "--", "y")


def test_session_model_and_gate_are_handed_on() -> None:
    argv = prepare(session="s-1", model="m/x", hook=HOOK, hook_timeout=7.2).steps[0].argv
    assert argv[: argv.index("--")] == (
        *DRIVER, "--session", "s-1", "--model", "m/x", "--patience", "8", "--hook", json.dumps(HOOK))  # fmt: skip


def test_opencode_is_made_to_ask_by_its_settings_and_only_with_a_gate() -> None:
    opencode = {"command": ("/x/opencode", "acp")}
    settings = json.loads(prepare(hook=HOOK, **opencode).environment["OPENCODE_CONFIG_CONTENT"])
    assert settings["permission"] == {"edit": "ask", "bash": "ask"}
    assert "OPENCODE_CONFIG_CONTENT" not in prepare(**opencode).environment
    assert "OPENCODE_CONFIG_CONTENT" not in prepare(hook=HOOK).environment


def test_what_it_cannot_do() -> None:
    agent = AcpAgent()
    assert agent.problem(TASK, ("gemini",)) == ""
    assert agent.problem(replace(TASK, command=("x",)), ()) == ""
    assert "no command is set" in agent.problem(TASK, ())
    assert "says nothing" in agent.problem(PhaseInfo("a", "A", description=" \n"), ("gemini",))


def test_it_asks_as_far_as_anybody_knows_so_the_gate_is_there_for_it() -> None:
    agents = {"acp": AcpAgent(), "mute": object()}
    assert Bounds(agents, Path("/runs"), 5.0).is_gated("acp")
    assert not Bounds(agents, Path("/runs")).is_gated("acp")
    assert not Bounds(agents, Path("/runs"), 5.0).is_gated("mute")
    assert not Bounds(agents, Path("/runs"), 5.0, ceiling=True).is_limited("acp")  # what it needs is not known


def test_its_library_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
    assert program_of(AcpAgent()) is not None
    found = look_for({"acp": AcpAgent()}, {"PATH": "/nowhere"})["acp"]
    assert (found.problem, found.doubt, found.program) == ("", "", "agent-client-protocol")
    assert found.version

    def none(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", none)
    assert look_for({"acp": AcpAgent()}, {})["acp"] == InstalledProgram(
        "agent-client-protocol",
        "0.12.1",
        problem='the library agent-client-protocol is not installed: pip install "wavecrew[acp]"',
    )


# -- tool calls --------------------------------------------------------------------------------------------------


def asked(*told: dict[str, Any], agent: str = "") -> Any:
    calls = ToolCalls()
    calls.agent = agent
    for one in told:
        call = calls.take({"toolCallId": "c", **one})
    return questions(call)


def writes(*told: dict[str, Any], agent: str = "") -> list[str]:
    """The paths that the gate reads from the questions."""
    found = [tool_writes(tool, given, "/w") for tool, given in asked(*told, agent=agent)]
    return [write.path for one in found for write in one.writes]


def diff(path: str) -> dict[str, Any]:
    return {"type": "diff", "path": path, "oldText": None, "newText": "x"}


def test_all_that_a_call_names_is_asked_about() -> None:
    assert writes({"kind": "edit", "locations": [{"path": "/w/a"}, {"path": "b"}]}) == ["/w/a", "/w/b"]
    assert writes({"kind": "edit", "content": [diff("/w/c")], "locations": []}) == ["/w/c"]
    assert writes({"kind": "move", "rawInput": {"from_path": "/w/d", "file_path": "/w/e"}}) == ["/w/e"]
    assert writes({"kind": "edit", "rawInput": {"changes": {"/w/f": {}, "g": {}}}}) == ["/w/f", "/w/g"]
    early = {"kind": "edit", "locations": [{"path": "/w/h"}], "status": "pending"}
    assert writes(early, {"title": "Edit"}) == ["/w/h"]  # told before the question
    assert writes({"kind": "read", "content": [diff("/w/i")]}) == ["/w/i"]  # whatever it calls itself


def test_an_edit_without_a_place_is_one_that_the_gate_refuses() -> None:
    ((tool, given),) = asked({"kind": "edit", "title": "Edit"})
    assert tool_writes(tool, given, "/w").unread


def test_commands_are_read_wherever_they_stand() -> None:
    assert writes({"kind": "execute", "rawInput": {"command": "echo > x"}}) == ["/w/x"]
    assert writes({"kind": "execute", "rawInput": {"command": ["sh", "-c", "echo > x"], "cwd": "/w/y"}}) == ["/w/y/x"]
    assert writes({"kind": "read", "rawInput": {"command": "cat a > x"}}) == ["/w/x"]
    ((tool, given),) = asked({"kind": "execute", "title": "echo > x"})
    assert tool_writes(tool, given, "/w").unread  # a title is no command
    where = {"content": [{"type": "content", "content": {"type": "text", "text": "[current working directory /w/z]"}}]}
    assert writes({"kind": "execute", "title": "echo > x", **where}, agent="gemini-cli") == ["/w/z/x"]


def test_what_only_reads_is_not_asked_about() -> None:
    for kind in ("read", "search", "think", "fetch"):
        assert asked({"kind": kind, "rawInput": {"file_path": "/w/a"}}) == ()
    assert asked({"kind": "switch_mode"}) is None


def test_a_tool_that_nobody_knows_is_never_taken_for_one_that_reads() -> None:
    for told in ({"title": "Read"}, {"kind": "other", "title": "Read"}, {"kind": 7}):
        ((tool, given),) = asked(told)
        found = tool_writes(tool, given, "/w")
        assert not found.known
        assert not found.writes
        assert tool.startswith("acp:")
    assert writes({"kind": "other", "rawInput": {"path": "/w/a"}}) == ["/w/a"]


_told = st.dictionaries(
    st.sampled_from(["kind", "title", "status", "rawInput", "content", "locations"]), _anything, max_size=6
)


@given(told=st.lists(_told, max_size=3))
def test_calls_of_any_shape_are_survived(told: list[dict[str, Any]]) -> None:
    for tool, arguments in asked(*told, {}) or ():
        tool_writes(tool, arguments, "/w")


def test_a_file_is_told_once_however_it_is_spelt(tmp_path: Path) -> None:
    """And a call is told once, whatever comes after its end."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        gate = Gate((), 1.0, "/w")
        client = Client(gate, Teller(file.fileno()), "/w/", lambda words: None)
        places = [{"path": path} for path in ("a", "/w/a", "./b/../a")]
        told = {"sessionUpdate": "tool_call", "toolCallId": "c", "kind": "edit", "title": "E", "locations": places}
        for status in ("pending", "pending", "completed", "completed", "failed"):
            asyncio.run(client.handle("session/update", {"update": {**told, "status": status}}, True))
    events = [json.loads(one) for one in log.read_text().splitlines()]
    assert [one["acp"] for one in events] == ["tool", "tool_end", "wrote"]
    assert events[-1]["path"] == "/w/a"


def test_calls_are_forgotten_at_some_time() -> None:
    calls = ToolCalls()
    for number in range(3000):
        calls.take({"toolCallId": str(number), "title": "x"})
    assert len(calls._calls) == 1000


# -- the gate ----------------------------------------------------------------------------------------------------

WRITE = (("write", {"paths": ["a"]}),)


def refusal(script: str, patience: float = 60.0, asked: Any = WRITE) -> str:
    """What a gate answers whose hook is a shell script."""
    return asyncio.run(Gate(("/bin/sh", "-c", script), patience, "/w").refusal(asked))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", ""),
        ("echo 'wavecrew: held by b' >&2; exit 2", "held by b"),
        ("echo words >&2; exit 1", "words"),
        ("exit 2", "the gate ended with 2"),
        ("kill -9 $$", "the gate ended with -9"),
        ("exec sleep 1000", "the gate did not answer in time"),
    ],
)
def test_only_the_word_of_the_hook_is_leave(script: str, reason: str) -> None:
    assert refusal(script, 1.0 if "sleep" in script else 60.0) == reason


def test_without_a_hook_program_nothing_is_allowed_and_without_a_gate_everything() -> None:
    assert "cannot be asked" in asyncio.run(Gate(("/nowhere/hook",), 60.0, "/w").refusal(WRITE))
    assert asyncio.run(Gate((), 60.0, "/w").refusal(WRITE)) == ""


def test_all_questions_have_to_be_answered_well_and_the_hook_hears_each(tmp_path: Path) -> None:
    asked = (("Bash", {"command": "x"}), ("write", {"paths": ["a"]}), ("write", {"paths": ["b"]}))
    script = f'cat >> {tmp_path}/heard; echo >> {tmp_path}/heard; test "$(grep -c . {tmp_path}/heard)" -lt 2'
    assert refusal(script, asked=asked) == "the gate ended with 1"
    assert [json.loads(one) for one in (tmp_path / "heard").read_text().splitlines()] == [
        {"tool_name": tool, "tool_input": arguments, "cwd": "/w"} for tool, arguments in asked[:2]
    ]


# -- the program -------------------------------------------------------------------------------------------------


def test_without_its_library_the_program_says_how_to_get_it() -> None:
    done = subprocess.run(  # -S: without any library
        [sys.executable, "-S", "-E", "-P", acp_driver.__file__, "--", "gemini"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    told = report(done.stdout.splitlines())
    assert (done.returncode, told.ending) == (8, Ending.FAILED)
    assert 'pip install "wavecrew[acp]"' in told.message


@pytest.mark.parametrize("arguments", [[], ["--hook", "{}", "--", "x"], ["--hook", "no", "--", "x"], ["--what", "--"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        acp_driver.main(arguments)
    assert ended.value.code == 2


# -- answers -----------------------------------------------------------------------------------------------------

CLAUDE = {
    "default": "Manual: Always ask before making changes",
    "acceptEdits": "Accept edits: Automatically accept",
    "plan": "Plan: Create a plan before making changes",
    "dontAsk": "Quiet: Don't ask for permission",
}
CODEX = {
    "read-only": "Read-only: Requires approval to edit files",
    "agent": "Auto review: Only ask for unsafe actions",
    "workspace-write": "Workspace: Edit files; ask before writing outside the workspace",
}
GEMINI = {"default": "Default: Prompts for approval", "yolo": "YOLO: Auto-approves all tools"}


@pytest.mark.parametrize(
    ("now", "among", "wanted"),
    [
        ("default", CLAUDE, "default"),
        ("acceptEdits", CLAUDE, "default"),
        ("agent", CODEX, "read-only"),
        ("yolo", GEMINI, "default"),
        ("build", {"build": "build: does it", "plan": "plan: thinks"}, ""),
        ("b", {"a": "A: confirms each write", "b": "B: asks always"}, "b"),
        ("c", {"a": "A: confirms each write", "c": "C"}, "a"),
    ],
)
def test_the_mode_that_asks(now: str, among: dict[str, str], wanted: str) -> None:
    assert answers.asking_mode(Choice(now, among)) == wanted


def test_what_can_be_chosen() -> None:
    grouped = {"group": "g", "options": [{"value": "big", "name": "Big"}]}
    option = {"id": "m", "category": "model", "currentValue": "small", "options": [{"value": "small"}, grouped]}
    found = answers.models_of({"configOptions": [7, {"category": "mode"}, option]})
    assert found == Choice("small", {"small": ": ", "big": "Big: "}, "m")
    old = {"models": {"currentModelId": "a", "availableModels": [{"modelId": "a", "name": "A"}, {}]}}
    assert answers.models_of(old) == Choice("a", {"a": "A: "})
    assert answers.models_of({}) is None
    assert answers.modes_of(None) is None


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"inputTokens": 60, "outputTokens": 11, "cachedReadTokens": 10, "totalTokens": 81}, Used(70, 11, 10)),
        ({"inputTokens": 60, "outputTokens": 11, "cachedReadTokens": 10, "totalTokens": 71}, Used(60, 11, 10)),
        ({"inputTokens": 60, "outputTokens": 11, "thoughtTokens": 5, "totalTokens": 76}, Used(60, 11, None)),
        ({"inputTokens": 60, "outputTokens": 11}, Used(60, 11, None)),
        ({"inputTokens": 5, "outputTokens": 1, "cachedReadTokens": 9}, Used(5, 1, None)),
        ({"inputTokens": True, "outputTokens": 11}, Used()),
        ({"inputTokens": -1, "outputTokens": 11}, Used()),
        (None, Used()),
    ],
)
def test_tokens(usage: Any, used: Used) -> None:
    assert answers.used_in({"usage": usage}, "x") == used
    assert answers.used_in({"usage": usage}, "OpenCode") == Used()


def test_tokens_of_sub_agents_and_side_calls_count_too() -> None:
    count = {"inputTokens": 60, "outputTokens": 11, "cachedInputTokens": 10, "totalTokens": 81}
    quota = {"token_count": {"input_tokens": 1, "output_tokens": 1}, "model_usage": [{"token_count": count}] * 2}
    assert answers.used_in({"usage": count, "_meta": {"quota": quota}}, "") == Used(140, 22, 20)
    alone = {"token_count": {"input_tokens": 6, "output_tokens": 1}, "model_usage": []}
    assert answers.used_in({"_meta": {"quota": alone}}, "") == Used(6, 1, None)


def test_cost() -> None:
    assert answers.cost_in({"cost": {"amount": 1, "currency": "USD"}}) == 1.0
    assert answers.cost_in({"cost": {"amount": 1, "currency": "EUR"}}) is None
    for amount in ("1", -1, True, None):
        assert answers.cost_in({"cost": {"amount": amount, "currency": "USD"}}) is None
    assert answers.cost_in({"cost": 7}) is None


@pytest.mark.parametrize(
    ("code", "message", "data", "trouble"),
    [
        (-32000, "Authentication required", None, Trouble("Authentication required", None, True)),
        (-32000, "the disk is full", None, Trouble("the disk is full")),
        (429, '{"error":{"code":429,"message":"slow"}}', None, Trouble("slow", 429)),
        (-32603, "Internal error", {"details": "no server"}, Trouble("Internal error: no server")),
        (-32603, "Internal error", {"statusCode": 503}, Trouble("Internal error", 503)),
        (500, '{"error":{"code":404,"message":"no model"}}', None, Trouble("no model", 404)),
        (-32603, "Internal error: failure 429", {"errorName": "APIError"}, Trouble("Internal error: failure 429", 429)),
        (-32603, "Internal error: line 429", {"errorName": "Other"}, Trouble("Internal error: line 429")),
        (-32603, "rejected", {"errorKind": "usage_limit_reached"}, Trouble("rejected", 429)),
        (-32603, "strange", {"errorKind": "strange"}, Trouble("strange")),
        (-32603, "{broken", "x", Trouble("{broken: x")),
        (200, "[1]", [1], Trouble("[1]")),
    ],
)
def test_errors(code: int, message: str, data: Any, trouble: Trouble) -> None:
    assert answers.trouble_of(code, message, data) == trouble


@given(told=_anything)
def test_answers_of_any_shape_are_survived(told: Any) -> None:
    answers.modes_of(told)
    answers.models_of({"configOptions": told, "models": told})
    answers.used_in({"usage": told, "_meta": {"quota": {"model_usage": [told], "token_count": told}}}, "")
    answers.cost_in(told)
    answers.trouble_of(0, "{}", told)
    answers.codex_trouble({"_meta": {"codex": {"error": told, "threadStatus": told}}})
    answers.codex_trouble({"_meta": {"codex": {"error": {"codexErrorInfo": told, "message": told}}}})
