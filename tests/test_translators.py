"""One contract for all translators of agent programs: what they start, what they understand, and how they judge.

The streams in `tests/streams` have the form of what the programs print, and words of ours.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.agents.asking import asking_line
from wavecrew.agents.claude import ClaudeAgent
from wavecrew.agents.codex import CodexAgent
from wavecrew.agents.gemini import GeminiAgent
from wavecrew.agents.opencode import OpencodeAgent
from wavecrew.agents.streams import MAX_FILES, MAX_LINE, Event, ending_of, event_in, one_line
from wavecrew.models.agent_report import AgentReport, Ending, Judgement, Usage, judge
from wavecrew.models.invocation import AttemptContext, Invocation, JobStepKind
from wavecrew.models.outcomes import Cause
from wavecrew.models.parallel_execution import PhaseInfo

STREAMS = Path(__file__).parent / "streams"
TASK = PhaseInfo("words", "Words", description="Write the words.", outputs=("words.txt",))


@dataclass(frozen=True)
class Case:
    """A translator, and what its streams hold."""

    agent: Any
    session: str
    usage: Usage
    cost: float | None
    resumed: Usage
    resumed_cost: float | None
    failed: Ending
    resets_at: float | None = None
    version: str = ""
    limit_code: int = 1
    summed: bool = False
    """Whether tokens are told piece by piece."""

    def lines(self, name: str) -> list[bytes]:
        return (STREAMS / f"{self.agent.name}-{name}.jsonl").read_bytes().splitlines(keepends=True)

    def report(self, lines: Iterable[bytes], earlier: AgentReport | None = None) -> AgentReport:
        reader = self.agent.reader(earlier)
        for line in lines:
            reader.feed(line)
        report: AgentReport = reader.report()
        return report

    def told(self, name: str) -> AgentReport:
        return self.report(self.lines(name))

    def judged(self, name: str, code: int) -> Judgement:
        return judge(self.told(name), code, self.agent.exit_meanings)

    def prepare(self, **values: Any) -> Invocation:
        context = AttemptContext("r", 1, "/w", "/state/input-0", files="/state/agent", launcher=("python", "home.py"))
        made: Invocation = self.agent.prepare(TASK, replace(context, **values))
        return made


CASES = {
    "claude": Case(
        ClaudeAgent(), "5e551011-aaaa", Usage(3900, 63, 600), 0.011, Usage(2500, 41, 400), 0.007,
        Ending.WRONG_MODEL, 1795360000.0, "2.1.330"),
    "codex": Case(
        CodexAgent(), "5e551011-bbbb", Usage(3300, 63, 600), None, Usage(2100, 41, 400), None, Ending.WRONG_MODEL),
    "gemini": Case(
        GeminiAgent(), "5e551011-cccc", Usage(3300, 63, 600), None, Usage(2100, 41, 400), None, Ending.WRONG_MODEL,
        limit_code=173),
    "opencode": Case(
        OpencodeAgent(), "ses_dddd", Usage(3300, 63, 600), 0.009, Usage(2100, 41, 400), 0.0057, Ending.WRONG_MODEL,
        summed=True),
}  # fmt: skip


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def near(amount: float | None) -> Any:
    return None if amount is None else pytest.approx(amount)


SUB_AGENTS = {
    "codex": b'{"type":"item.completed","item":{"id":"i","type":"collab_tool_call","tool":"spawn_agent"}}',
    "opencode": b'{"type":"tool_use","sessionID":"ses_dddd","part":{"tool":"task","state":{"status":"completed"}}}',
}


# -- what a stream tells ----------------------------------------------------------------------------------------


def test_a_success(case: Case) -> None:
    told = case.told("done")
    assert (told.ending, told.message, told.session) == (Ending.DONE, "all done", case.session)
    assert (told.usage, told.cost_usd) == (case.usage, near(case.cost))
    assert told.files == ("/w/a.txt",)  # b.txt was refused, and c.txt was written by a shell
    assert told.tool_calls == 3
    assert told.last_activity == "all done"
    assert (told.resets_at, told.trouble, told.version) == (None, Ending.NONE, case.version)
    assert told.model == ("model-a" if case.agent.name in ("claude", "gemini") else "")
    assert case.judged("done", 0) == Judgement(True, Cause.NONE, "", Ending.DONE, None)


def test_a_success_that_ends_with_a_bad_code_is_none(case: Case) -> None:
    for code, words in ((1, "exit code 1"), (-15, "signal 15"), (143, "exit code 143")):
        found = case.judged("done", code)
        assert found == Judgement(False, Cause.EXIT, f"it told of success, but ended with {words}", Ending.FAILED)


def test_a_session_that_goes_on_is_counted_alone(case: Case) -> None:
    earlier = case.told("done")
    told = case.report(case.lines("resumed"), earlier)
    assert (told.usage, told.cost_usd) == (case.resumed, near(case.resumed_cost))
    assert (told.session, told.files, told.message) == (case.session, ("/w/c.txt",), "went on")


def test_codex_tells_tokens_of_the_whole_session() -> None:
    codex = CASES["codex"]
    unknown = codex.report(codex.lines("resumed"), codex.told("cut"))
    assert (unknown.usage, unknown.session_usage) == (Usage(), Usage(5400, 104, 1000))
    other = codex.report(codex.lines("resumed"), AgentReport(session="another"))
    assert other.usage == other.session_usage


def test_a_limit(case: Case) -> None:
    told, found = case.told("limited"), case.judged("limited", case.limit_code)
    assert told.resets_at == case.resets_at
    assert found == Judgement(False, Cause.QUOTA, told.message, Ending.LIMITED, case.resets_at)
    assert told.message


def test_a_failure_is_one_whatever_the_code(case: Case) -> None:
    for code in (0, 1, -9):
        found = case.judged("failed", code)
        assert (found.ok, found.cause, found.ending) == (False, Cause.AGENT, case.failed)
        assert "model" in found.detail


def test_without_a_last_event_nothing_is_done(case: Case) -> None:
    told = case.told("cut")
    assert (told.ending, told.files, told.last_activity) == (Ending.NONE, ("/w/a.txt",), "now the second file")
    if not case.summed:
        assert told.usage == Usage()
        assert told.cost_usd is None
    for code, cause in ((0, Cause.AGENT), (143, Cause.EXIT), (-15, Cause.EXIT)):
        found = case.judged("cut", code)
        assert (found.ok, found.cause, found.ending) == (False, cause, Ending.FAILED)
        assert "without telling how its work ended" in found.detail


def test_an_empty_stream(case: Case) -> None:
    assert case.report([]) == AgentReport()
    assert not judge(AgentReport(), 0, case.agent.exit_meanings).ok


def test_a_torn_last_line_is_no_end(case: Case) -> None:
    *lines, last = case.lines("done")
    for torn in (last[: len(last) // 2], last.rstrip()[:-1], b""):
        assert case.report([*lines, torn]).ending is Ending.NONE
    assert case.report([*lines, last.rstrip()]).ending is Ending.DONE


def test_a_server_that_is_not_there_is_told_while_the_program_still_tries() -> None:
    codex = CASES["codex"]
    told = codex.told("unreachable")
    assert (told.ending, told.trouble) == (Ending.NONE, Ending.UNREACHABLE)
    assert told.last_activity == "waiting for network (error sending request)"
    found = codex.judged("unreachable", -9)
    assert (found.cause, found.ending) == (Cause.EXIT, Ending.UNREACHABLE)
    assert found.detail == "waiting for network (error sending request) (signal 9)"
    assert codex.report([*codex.lines("unreachable"), *codex.lines("cut")]).trouble is Ending.NONE


def test_claude_tells_of_tries() -> None:
    claude = CASES["claude"]
    told = claude.report(claude.lines("limited")[:2])
    assert (told.trouble, told.last_activity) == (Ending.LIMITED, "rate_limit; it tries again")
    lost = {"type": "system", "subtype": "api_retry", "error_status": None, "error": "unknown", "session_id": "s"}
    gone = claude.report([json.dumps(lost).encode()])
    assert (gone.trouble, gone.message) == (Ending.UNREACHABLE, "its server cannot be reached; it tries again")


def test_claude_ends_once_for_each_turn() -> None:
    """Something in the background may bring about one more turn; its tokens come on top."""
    claude = CASES["claude"]
    *lines, last = claude.lines("done")
    again = claude.report([*lines, last, last])
    assert (again.usage, again.cost_usd, again.ending) == (Usage(7800, 126, 1200), near(0.022), Ending.DONE)
    bare = json.loads(last)
    del bare["model_usage_since_last_result"]
    alone = claude.report([*lines, json.dumps(bare).encode()])
    assert (alone.usage, alone.cost_usd) == (Usage(3900, 63, 600), None)
    assert claude.report([*lines, last, json.dumps(bare).encode()]).usage == Usage()
    unknown = last.replace(b'"costBasis":"list"', b'"costBasis":"unknown"')
    assert claude.report([*lines, unknown]).cost_usd is None
    broken = json.loads(last) | {"subtype": "error_during_execution", "result": None, "errors": [1, "no such session"]}
    assert claude.report([json.dumps(broken).encode()]).message == "no such session"


def test_what_claude_may_also_say() -> None:
    claude = CASES["claude"]
    lines = claude.lines("limited")
    fine = lines[2].replace(b'"rejected"', b'"allowed"')
    assert claude.report([*lines[:2], fine, *lines[3:]]).resets_at is None
    late = json.loads(lines[-1]) | {"rate_limit_info": {"resetsAt": 7}}
    assert claude.report([*lines[:2], *lines[3:-1], json.dumps(late).encode()]).resets_at == 7.0
    other = json.loads(lines[0]) | {"subtype": "something new"}
    thinks = json.loads(claude.lines("cut")[-1])
    thinks["message"]["content"][0]["type"] = "thinking"
    assert claude.report([lines[0], json.dumps(other).encode(), json.dumps(thinks).encode()]).last_activity == ""


def test_gemini_may_tell_of_an_error_and_go_on() -> None:
    gemini = CASES["gemini"]
    line = b'{"type":"error","severity":"warning","message":"fetch failed"}'
    told = gemini.report([*gemini.lines("cut"), line])
    assert (told.ending, told.trouble, told.last_activity) == (Ending.NONE, Ending.UNREACHABLE, "fetch failed")
    assert "home.py" not in gemini.prepare(launcher=()).steps[0].argv
    assert gemini.prepare(launcher=()).files == {}


def test_opencode_ends_with_a_step_that_has_no_reason_to_go_on() -> None:
    opencode = CASES["opencode"]
    lines = opencode.lines("done")
    assert opencode.report([*lines, lines[0]]).ending is Ending.NONE
    broken = lines[-1].replace(b'"stop"', b'"length"')
    assert (opencode.report([broken]).ending, opencode.report([broken]).message) == (
        Ending.FAILED, "its last answer was broken off: length")  # fmt: skip


def test_gemini_ends_with_codes_that_tell_more() -> None:
    gemini = CASES["gemini"]
    assert gemini.told("limited").ending is Ending.FAILED  # its words say nothing of a limit
    for code, ending in ((41, Ending.LOGGED_OUT), (145, Ending.LOGGED_OUT), (173, Ending.LIMITED),
                         (244, Ending.UNREACHABLE), (1, Ending.FAILED)):  # fmt: skip
        assert judge(AgentReport(), code, gemini.agent.exit_meanings).ending is ending
        assert gemini.judged("limited", code).ending is ending


def test_what_a_program_says_when_it_cannot_even_start(case: Case) -> None:
    told = case.report([b"hello\n", b"\x1b[91m\x1b[1mError: \x1b[0mno such session\n", b"bye\n"])
    assert (told.ending, told.message) == (Ending.NONE, "Error: no such session")
    assert judge(told, 1, {}).detail.endswith("; its last words: Error: no such session")
    assert case.report([*case.lines("done"), b"Error: late\n"]).message == "all done"


# -- what comes between -----------------------------------------------------------------------------------------

RUBBISH = [
    b"",
    b"\n",
    b"\0" * 40,
    b"\xff\xfe{\x00",
    b"plain words",
    b"{}",
    b"{not json}",
    b"[1, 2]",
    b'"result"',
    b"null",
    b"{" * 100_000 + b"}" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"type": 1, "session_id": [], "part": 7, "item": null, "stats": "x", "message": {"content": {"a": 1}}}',
    b'{"type": "result"}',
    b'{"type": "system", "subtype": {"a": []}}',
    b'{"type": ' + b"9" * 5000 + b"}",
    b"-- 2/3 check make test",
    b"[wavecrew: this is not one of ours]",
    b'{"kind": "attempt_ended", "outcome": "succeeded", "phase": "words", "attempt": 1}',
    b'{"event": "PhaseCompleted", "at": 1.0, "phase": "words"}',
]


def test_rubbish_changes_nothing(case: Case) -> None:
    bare = [line for line in RUBBISH if line != b'{"type": "result"}' or case.agent.name != "gemini"]
    lines = case.lines("done")
    wanted = case.told("done")
    assert case.report(bare) == AgentReport()
    assert case.report([*bare, *(part for line in lines for part in (line, *bare))]) == wanted


@pytest.mark.parametrize("name", ["claude", "opencode"])
def test_events_of_another_session_are_not_ours(name: str) -> None:
    """A check, or an agent within the agent, prints events, too. (The last events of the others carry no session.)"""
    case = CASES[name]
    own, foreign = case.session.encode(), b"another-session"
    lies = [line.replace(own, foreign) for line in [*case.lines("failed"), *case.lines("done")]]
    assert case.report([*case.lines("cut"), *lies]) == case.told("cut")
    assert case.report([*case.lines("done"), *lies]) == case.told("done")


def test_a_session_that_looks_like_an_option_is_none(case: Case) -> None:
    for evil in ("--yolo", "a b", "", "x" * 200, "a\nb"):
        written = json.dumps(evil)[1:-1].encode()
        lines = [line.replace(case.session.encode(), written) for line in case.lines("done")]
        assert case.report(lines).session == ""


def test_events_of_other_programs_say_nothing(case: Case) -> None:
    others = [line for other in CASES.values() if other is not case for line in other.lines("done")]
    told = case.report([*case.lines("cut"), *others])
    if case.agent.name == "gemini":  # claude's last event has its name, but not its word for success
        assert told.ending is Ending.FAILED
    else:
        assert told == case.told("cut")


def test_a_line_that_is_too_long_is_passed_over(case: Case) -> None:
    lines = case.lines("done")
    long = b'{"type":"result","subtype":"success","text":"' + b"x" * 20_000_000 + b'"}\n'
    assert len(long) > MAX_LINE
    told = case.report([lines[0], long, *lines[1:]])
    wanted = case.told("done")
    if case.summed:
        wanted = replace(wanted, usage=Usage(), cost_usd=None)
    assert told == wanted


@pytest.mark.parametrize("name", SUB_AGENTS)
def test_sums_without_those_of_a_sub_agent_are_not_all_and_so_unknown(name: str) -> None:
    case = CASES[name]
    first, *rest = case.lines("done")
    told = case.report([first, SUB_AGENTS[name], *rest])
    wanted = case.told("done")
    assert told == replace(wanted, usage=Usage(), cost_usd=None, tool_calls=wanted.tool_calls + 1)


def test_opencode_asks_no_model_for_a_title_of_its_session() -> None:
    new, resumed = (CASES["opencode"].prepare(session=session).steps[0].argv for session in ("", "s-1"))
    assert f"--title=wavecrew: phase {TASK.id}" in new
    assert not [argument for argument in resumed if argument.startswith("--title")]


def test_what_the_log_lost_is_not_taken_for_zero(case: Case) -> None:
    first, *rest = case.lines("done")
    told = case.report([first, b"[wavecrew: about 123 bytes were cut out here]\n", *rest])
    assert told.usage == (Usage() if case.summed else case.usage)
    assert told.ending is Ending.DONE


def test_nothing_steers_a_terminal(case: Case) -> None:
    evil = "\x1b]0;title\x07\x1b[2Jred\u202ewords\x9b1m\r\n\ud800\u2028more"
    lines = [
        json.dumps(_spoilt(json.loads(line), evil)).encode() if line.startswith(b"{") else line
        for line in case.lines("done")
    ]
    told = case.report(lines)
    texts = [told.message, told.session, told.model, told.version, told.last_activity, *told.files]
    assert all(text.isprintable() for text in texts)
    told.message.encode()
    assert "red" in told.message


SEEN = ("text", "result", "content", "message", "file_path", "filePath", "path", "model", "command")


def _spoilt(found: Any, evil: str, name: str = "") -> Any:
    """The same event with something evil behind each text that somebody may see."""
    match found:
        case dict():
            return {key: _spoilt(value, evil, key) for key, value in found.items()}
        case list():
            return [_spoilt(value, evil, name) for value in found]
        case str() if name in SEEN:
            return found + evil
    return found


def test_memory_is_bounded(case: Case) -> None:
    first, *rest = case.lines("cut")
    reader = case.agent.reader()
    reader.feed(first)
    for number in range(MAX_FILES + 300):
        name = b"%d" % number + b"x" * (5000 if number < 9 else 9)
        for line in rest:
            reader.feed(_as_call(number, line).replace(b"a.txt", name))
    for number in range(2000):  # calls that never end
        for line in rest:
            if b"result" not in line and b"status" not in line:
                reader.feed(_as_call(9000 + number, line))
    told = reader.report()
    assert len(told.files) == MAX_FILES
    assert max(map(len, told.files)) == 4096
    assert len(reader._pending) <= 256
    assert len(told.last_activity) <= 120


def _as_call(number: int, line: bytes) -> bytes:
    """The same event, of another call."""
    return line.replace(b'"t1"', b'"t%d"' % number).replace(b'"w0"', b'"w%d"' % number)


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(name=st.sampled_from(sorted(CASES)), data=st.data())
def test_events_of_any_shape_are_survived(name: str, data: st.DataObject) -> None:
    case = CASES[name]
    reader = case.agent.reader()
    for line in case.lines(data.draw(st.sampled_from(["done", "limited", "failed"]))):
        event = event_in(line)._found
        if event:
            event = _shaken(dict(event), data)
        reader.feed(json.dumps(event).encode())
    told = reader.report()
    counts = [told.usage.input, told.usage.output, told.usage.cached, told.tool_calls]
    assert all(count is None or (type(count) is int and 0 <= count < 2**60) for count in counts)
    assert told.cost_usd is None or 0 <= told.cost_usd < 2**60
    assert isinstance(judge(told, 0, case.agent.exit_meanings), Judgement)


def _shaken(event: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """An event in which one thing, at any depth, is something else."""
    key = data.draw(st.sampled_from(sorted(event)))
    value = event[key]
    deeper = value[0] if isinstance(value, list) and value else value
    if isinstance(deeper, dict) and deeper and data.draw(st.booleans()):
        inner = _shaken(dict(deeper), data)
        return event | {key: [inner] if isinstance(value, list) else inner}
    return event | {key: data.draw(_anything)}


# -- words and numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words", "ending"),
    [
        (429, "", Ending.LIMITED),
        (401, "", Ending.LOGGED_OUT),
        (403, "", Ending.LOGGED_OUT),
        (500, "", Ending.UNREACHABLE),
        (529, "rate limit", Ending.UNREACHABLE),
        (404, "The model `x` does not exist", Ending.WRONG_MODEL),
        (404, "no such page", Ending.FAILED),
        (None, "given up, last status: 429", Ending.LIMITED),
        (None, '{"code":401}', Ending.LOGGED_OUT),
        (None, "API Error: 503 oh", Ending.UNREACHABLE),
        (None, "You have hit your usage limit", Ending.LIMITED),
        (None, "Not logged in", Ending.LOGGED_OUT),
        (None, "ECONNREFUSED", Ending.UNREACHABLE),
        (None, "it took 500 ms and 429 files", Ending.FAILED),
        (None, "", Ending.FAILED),
    ],
)
def test_what_an_error_means(status: int | None, words: str, ending: Ending) -> None:
    assert ending_of(status, words) is ending


def test_numbers_that_are_none() -> None:
    event = Event({"t": True, "neg": -1, "big": 10**30, "nan": float("nan"), "inf": float("inf"), "s": "1", "f": 1.5})
    assert [event.count(name) for name in ("t", "neg", "big", "s", "f", "not there")] == [None] * 6
    assert [event.amount(name) for name in ("t", "neg", "big", "nan", "inf", "s", "not there")] == [None] * 7
    assert (event.amount("f"), Event({"n": 0}).count("n"), Event({"n": 0}).amount("n")) == (1.5, 0, 0.0)


def test_one_line() -> None:
    assert one_line("a\n\tb\x1b[31m c\x07") == "a b c"
    assert one_line("x" * 300) == "x" * 239 + "…"
    assert one_line("\x1b]8;;http://x\x1b\\link") == "link"


def test_usage_since() -> None:
    assert Usage(5, 4, None).since(Usage(2, None, 1)) == Usage(3, None, None)
    assert Usage(5, 4, 3).since(Usage(9, 4, 3)) == Usage(None, 0, 0)  # it can only grow


def test_judge_without_a_word() -> None:
    assert judge(AgentReport(ending=Ending.FAILED), -6).detail == "it told that it failed (signal 6)"
    limited = judge(AgentReport(ending=Ending.LIMITED, message="later", resets_at=5.0), 1)
    assert limited == Judgement(False, Cause.QUOTA, "later", Ending.LIMITED, 5.0)
    assert judge(AgentReport(), 173, {173: Ending.LIMITED}).cause is Cause.QUOTA


# -- what is started --------------------------------------------------------------------------------------------


def test_one_step_with_the_prompt_on_standard_input(case: Case) -> None:
    made = case.prepare()
    (step,) = made.steps
    assert step.kind is JobStepKind.AGENT
    assert case.agent.program in step.argv
    assert step.stdin is not None
    assert "Write the words." in step.stdin
    assert not any("Write the words" in argument for argument in step.argv)
    assert case.agent.version_argv[0] == case.agent.program


def test_model_and_session_are_named_only_if_they_are_known(case: Case) -> None:
    bare = case.prepare().steps[0].argv
    full = case.prepare(model="m/x", session="s-1").steps[0].argv
    assert "m/x" not in bare
    assert "s-1" not in bare
    resume = {"claude": ("--resume", "s-1"), "codex": ("resume", "s-1", "-"), "gemini": ("--resume", "s-1"),
              "opencode": ("-s", "s-1")}[case.agent.name]  # fmt: skip
    assert _stand_together(full, resume)
    assert _stand_together(full, ("--model" if case.agent.name == "claude" else "-m", "m/x"))


def _stand_together(argv: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return any(argv[at : at + len(wanted)] == wanted for at in range(len(argv)))


HOOK = ("/usr/bin/python3", "-I", "/a b/hook.py", "it's")


def test_the_gate_is_installed_and_only_if_there_is_one(case: Case) -> None:
    bare, gated = case.prepare(), case.prepare(hook=HOOK, hook_timeout=7.2)
    assert "hook.py" not in repr(bare)
    assert "hook.py" in repr(gated)
    assert all("hook.py" not in (step.stdin or "") for step in gated.steps)


def test_the_gate_of_claude() -> None:
    argv = CASES["claude"].prepare(hook=HOOK, hook_timeout=7.2).steps[0].argv
    settings = json.loads(argv[argv.index("--settings") + 1])
    assert settings["disableAllHooks"] is False
    (entry,) = settings["hooks"]["PreToolUse"]
    assert entry["matcher"] == "*"
    assert entry["hooks"] == [
        {"type": "command", "command": asking_line(HOOK, 7.2), "timeout": 8, "onFailure": "block"}
    ]


def test_the_gate_of_codex_is_trusted_and_nothing_else_is() -> None:
    argv = CASES["codex"].prepare(hook=HOOK, hook_timeout=7.2).steps[0].argv
    assert "--dangerously-bypass-hook-trust" not in argv
    settings: dict[str, Any] = {}
    for flag, value in itertools.pairwise(argv):
        if flag == "-c":
            name, _, text = value.partition("=")
            settings[name] = tomllib.loads(f"x = {text}")["x"]
    (entry,) = settings["hooks.PreToolUse"]
    command = asking_line(HOOK, 7.2)
    assert entry == {"matcher": ".*", "hooks": [{"type": "command", "command": command, "timeout": 8}]}
    ((key, state),) = settings["hooks.state"].items()
    assert key == "/<session-flags>/config.toml:pre_tool_use:0:0"
    handler = f'{{"async":false,"command":{json.dumps(command)},"timeout":8,"type":"command"}}'
    text = f'{{"event_name":"pre_tool_use","hooks":[{handler}],"matcher":".*"}}'
    assert state == {"trusted_hash": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}
    assert settings["features.hooks"] is True


def test_codex_can_be_asked_whether_it_trusts_our_gate() -> None:
    codex = CodexAgent()
    argv, text = codex.gate_question()
    assert argv[:2] == ("codex", "app-server")
    assert sum(argument.startswith(("hooks.PreToolUse=", "hooks.state=")) for argument in argv) == 2
    assert [json.loads(line).get("method") for line in text.splitlines()] == ["initialize", "initialized", "hooks/list"]
    key = "/<session-flags>/config.toml:pre_tool_use:0:0"

    def answer(*hooks: dict[str, Any]) -> bool | None:
        told = {"id": 2, "result": {"data": [{"cwd": "/", "hooks": list(hooks)}]}}
        return codex.gate_answer(b'{"id":1,"result":{}}\nnoise\n' + json.dumps(told).encode() + b"\n")

    trusted = {"key": key, "trustStatus": "trusted", "enabled": True}
    assert answer({"key": "another", "trustStatus": "untrusted"}, trusted) is True
    assert answer(trusted | {"trustStatus": "untrusted"}) is False
    assert answer(trusted | {"enabled": False}) is False
    assert answer({**trusted, "key": "another"}) is False
    assert answer() is False
    assert codex.gate_answer(b'{"id":1}\n{"id":2,"res') is None
    assert codex.gate_answer(b'{"id":2,"error":{"code":-32601}}\n') is False


def test_codex_has_a_sandbox_unless_the_kernel_is_one() -> None:
    codex = CASES["codex"]
    assert 'sandbox_mode="workspace-write"' in codex.prepare().steps[0].argv
    assert 'sandbox_mode="danger-full-access"' in codex.prepare(ceiling=True).steps[0].argv
    assert codex.prepare(session="s").steps[0].argv[-3:] == ("resume", "s", "-")


def test_the_gate_of_gemini_lies_beside_the_work() -> None:
    made = CASES["gemini"].prepare(hook=HOOK, hook_timeout=7.2)
    assert made.steps[0].argv[:7] == (
        "python", "home.py", "GEMINI_CLI_HOME", ".gemini", "/state/agent/home", "/state/agent/gemini-settings.json",
        "gemini")  # fmt: skip
    settings = json.loads(made.files["gemini-settings.json"])
    assert settings["hooksConfig"]["enabled"] is True
    (entry,) = settings["hooks"]["BeforeTool"]
    assert entry["matcher"] == ".*"
    assert entry["hooks"][0]["timeout"] == 7200
    assert entry["hooks"][0]["command"] == asking_line(HOOK, 7.2)
    assert "hooks" not in json.loads(CASES["gemini"].prepare().files["gemini-settings.json"])
    assert made.environment["GEMINI_CLI_NO_RELAUNCH"] == "true"


def test_the_gate_of_opencode_gives_what_is_denied_without_it() -> None:
    made = CASES["opencode"].prepare(hook=HOOK, hook_timeout=7.2)
    settings = json.loads(made.environment["OPENCODE_CONFIG_CONTENT"])
    assert settings["plugin"] == ["file:///state/agent/wavecrew-gate.js"]
    assert settings["permission"] == {"edit": "deny", "bash": "deny"}
    plugin = made.files["wavecrew-gate.js"]
    assert f"const ASK = {json.dumps(list(HOOK))}" in plugin
    assert "const PATIENCE = 7200" in plugin
    assert "__" not in plugin
    bare = json.loads(CASES["opencode"].prepare().environment["OPENCODE_CONFIG_CONTENT"])
    assert set(bare) == {"autoupdate", "share"}


def test_nothing_is_sent_home(case: Case) -> None:
    made = case.prepare()
    told = repr((made.environment, made.steps[0].argv, dict(made.files)))
    wanted = {
        "claude": ("DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING", "DISABLE_AUTOUPDATER", "NONESSENTIAL_TRAFFIC"),
        "codex": ("analytics.enabled=false", "check_for_update_on_startup=false", "feedback.enabled=false", "otel"),
        "gemini": ("GEMINI_TELEMETRY_ENABLED", "usageStatisticsEnabled", "enableAutoUpdate"),
        "opencode": ("DISABLE_AUTOUPDATE", "DISABLE_MODELS_FETCH", "DISABLE_LSP_DOWNLOAD", "share"),
    }[case.agent.name]
    assert [word for word in wanted if word not in told] == []


def test_a_phase_without_a_task_is_refused(case: Case) -> None:
    assert case.agent.problem(TASK, ()) == ""
    blank = PhaseInfo("a", "A", description=" \n")
    assert case.agent.problem(blank, ()) == "its document says nothing that could be done"
