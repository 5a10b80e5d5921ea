"""The scripted model: its scripts, its tools, and what it says through each of the four APIs."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from wavecrew.errors import InvalidValueError
from wavecrew.stub_model import KEY, NO_MODEL, PROGRAMS, StubModel, Tokens, surroundings
from wavecrew.stub_model.dialogue import value_for
from wavecrew.stub_model.script import CallKind, read_script
from wavecrew.stub_model.tools import can_call, tool_call

# -- scripts --------------------------------------------------------------------------------------------------------


def kinds(text: str) -> list[list[CallKind]]:
    return [[call.kind for call in turn.calls] for turn in read_script(text).turns]


def test_a_script_is_read_out_of_a_prompt() -> None:
    script = read_script(
        "# Phase 1\n\nDo this:\n\n  stub: name p\nstub: write a b.txt: one\\ntwo: three\nstub: delay 2.5\n"
        "stub: edit a.txt: x => y\nnot a stub: read z\nstub: wait go\nstub: fail 503 2\nstub: read a.txt\n"
        'stub: shell make -j 2 | tee log\nstub: tool other {"a": [1]}\nstub: say it is: done\n\nLeave alone: .git\n'
    )

    assert (script.name, script.last_words) == ("p", "it is: done")
    write, edit, read, shell, tool, last = script.turns
    assert (write.calls[0].path, write.calls[0].text) == ("a b.txt", "one\ntwo: three")
    assert (edit.calls[0].path, edit.calls[0].text, edit.calls[0].new, edit.delay) == ("a.txt", "x", "y", 2.5)
    assert (read.calls[0].path, read.wait, read.status, read.times) == ("a.txt", "go", 503, 2)
    assert shell.calls[0].text == "make -j 2 | tee log"
    assert (tool.calls[0].text, tool.calls[0].arguments) == ("other", {"a": [1]})
    assert last.calls == ()


def test_without_a_script_the_model_is_done_at_once() -> None:
    script = read_script("Please write a file.")

    assert script.next_turn(0) == (0, script.turns[0])
    assert (script.turns[0].calls, script.last_words) == ((), "done")


def test_two_calls_come_in_one_answer() -> None:
    assert kinds("stub: both\nstub: read a\nstub: read b\nstub: read c") == [
        [CallKind.READ, CallKind.READ],
        [CallKind.READ],
        [],
    ]


def test_the_place_in_a_script_is_the_number_of_results() -> None:
    script = read_script("stub: read a\nstub: both\nstub: read b\nstub: read c\nstub: read d")

    assert [script.next_turn(results)[0] for results in range(6)] == [0, 1, 1, 2, 3, 3]


def test_a_sub_agent_has_a_script_of_its_own_and_counts_for_its_master() -> None:
    script = read_script("stub: name p\nstub: agent write a: b ;; say x")

    [[agent], [join], []] = [list(turn.calls) for turn in script.turns]
    assert agent.text == "stub: name p\nstub: write a: b\nstub: say x"
    assert join.kind is CallKind.JOIN
    assert script.next_turn(1, lambda call: call.kind is not CallKind.JOIN)[0] == 2  # most programs wait by themselves


def test_a_script_without_a_name_has_the_name_of_its_text() -> None:
    assert read_script("stub: read a").name == read_script("Other words\nstub: read a\n").name
    assert read_script("stub: read a").name != read_script("stub: read b").name


@pytest.mark.parametrize(
    "line", ["write a.txt", "edit a: b", "delay soon", "fail", "fail often", "dance", "tool x {", "wait", "name"]
)
def test_a_line_that_cannot_be_read_is_refused_with_its_words(line: str) -> None:
    with pytest.raises(InvalidValueError, match=f"cannot read 'stub: {line.split()[0]}"):
        read_script(f"stub: {line}")


# -- tools ----------------------------------------------------------------------------------------------------------

OFFERED = {
    "claude": dict.fromkeys(("Agent", "Bash", "Edit", "Read", "Write")),
    "codex": dict.fromkeys(("exec_command", "apply_patch", "tool_search")),
    "gemini": dict.fromkeys(("replace", "invoke_agent", "read_file", "run_shell_command", "write_file")),
    "opencode": dict.fromkeys(("bash", "edit", "read", "task", "write")),
}


def calls(program: str, step: str) -> tuple[str, Any]:
    return tool_call(read_script(f"stub: {step}").turns[0].calls[0], OFFERED[program])


@pytest.mark.parametrize(
    ("program", "name", "given"),
    [
        ("claude", "Write", {"file_path": "a", "content": "x"}),
        ("codex", "apply_patch", "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch"),
        ("gemini", "write_file", {"file_path": "a", "content": "x"}),
        ("opencode", "write", {"filePath": "a", "content": "x"}),
    ],
)
def test_each_program_is_asked_to_write_with_its_own_tool(program: str, name: str, given: object) -> None:
    assert calls(program, "write a: x") == (name, given)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("step", ["edit a: x => y", "read a", "shell true", "agent read a"])
def test_each_program_has_a_tool_for_each_step(program: str, step: str) -> None:
    name, given = calls(program, step)

    assert name in OFFERED[program] or name == "multi_agent_v1/spawn_agent"
    assert given


def test_in_code_mode_the_tools_are_functions_of_a_program() -> None:
    call = read_script("stub: write a: x").turns[0].calls[0]

    name, given = tool_call(call, {"exec": None, "wait": None})

    assert name == "exec"
    assert given.startswith("text(JSON.stringify(await tools.apply_patch(")
    assert "*** Add File: a" in given


def test_a_program_without_a_tool_for_files_is_asked_to_use_its_shell() -> None:
    offered = dict.fromkeys(("shell_command",))
    write, edit, read, _ = (
        turn.calls[0] if turn.calls else None
        for turn in read_script("stub: write it's: x\nstub: edit a: x => y\nstub: read a").turns
    )
    assert write is not None
    assert edit is not None
    assert read is not None
    assert tool_call(write, offered)[1]["command"].startswith("cat > 'it'\\''s' <<'END-OF-STUB-TEXT'\nx\n")
    assert tool_call(edit, offered) == ("shell_command", {"command": "sed -i 's|x|y|' 'a'"})
    assert tool_call(read, offered) == ("shell_command", {"command": "cat 'a'"})


def test_a_program_that_has_no_tool_is_told_so() -> None:
    with pytest.raises(InvalidValueError, match="offers no tool for agent: only other"):
        tool_call(read_script("stub: agent read a").turns[0].calls[0], {"other": None})


def test_a_wait_for_a_sub_agent_names_it() -> None:
    join = read_script("stub: agent read a").turns[1].calls[0]

    assert can_call(join, OFFERED["codex"])
    assert not can_call(join, OFFERED["claude"])
    assert tool_call(join, OFFERED["codex"], '{"agent_id":"a-1","nickname":"x"}')[1]["targets"] == ["a-1"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 1}),
        ({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}, {"a": "words"}),
        ({"enum": ["x", "y"]}, "x"),
        ({"const": 7}, 7),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, False),
        ({"type": ["null", "string"]}, None),
        ({"type": "array", "items": {"type": "number", "minimum": 3}, "minItems": 2}, [3, 3]),
        (None, "words"),
    ],
)
def test_a_value_for_a_schema(schema: object, value: object) -> None:
    assert value_for(schema, "words") == value


# -- the server -----------------------------------------------------------------------------------------------------


@pytest.fixture
def stub() -> Iterator[StubModel]:
    with StubModel() as model:
        yield model


PATHS = {
    "claude": "/v1/messages?beta=true",
    "codex": "/v1/responses",
    "gemini": "/v1beta/models/some-model:generateContent",
    "opencode": "/v1/chat/completions",
}
STREAMED = {**PATHS, "gemini": "/v1beta/models/some-model:streamGenerateContent?alt=sse"}


def body(program: str, prompt: str, results: int = 0, **more: Any) -> dict[str, Any]:
    """A request as the program would send it, after so many results."""
    if program == "claude":
        tools = [{"name": name, "input_schema": {}} for name in OFFERED[program]]
        told = [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": f"result {number}"}]}
            for number in range(results)
        ]
        first = {"role": "user", "content": [{"type": "text", "text": "reminder"}, {"type": "text", "text": prompt}]}
        return {"model": "some-model", "messages": [first, *told], "tools": tools, **more}
    if program == "codex":
        asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}
        outputs = [{"type": "custom_tool_call_output", "call_id": "c", "output": f"result {n}"} for n in range(results)]
        tools = [{"type": "function", "name": name, "parameters": {}} for name in OFFERED[program]]
        return {"model": "some-model", "input": [asked, *outputs], "tools": tools, **more}
    if program == "gemini":
        parts = [{"functionResponse": {"name": "x", "response": {"output": f"result {n}"}}} for n in range(results)]
        contents = [{"role": "user", "parts": [{"text": prompt}]}, {"role": "user", "parts": parts}]
        tools = [{"functionDeclarations": [{"name": name, "parametersJsonSchema": {}} for name in OFFERED[program]]}]
        return {"contents": contents, "tools": tools, **more}
    told = [{"role": "tool", "tool_call_id": "c", "content": f"result {number}"} for number in range(results)]
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in OFFERED[program]]
    return {"model": "some-model", "messages": [{"role": "user", "content": prompt}, *told], "tools": tools, **more}


def ask(
    stub: StubModel, program: str, sent: object, *, stream: bool = False, key: str = KEY
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    header = {"claude": {"x-api-key": key}, "gemini": {"x-goog-api-key": key}}
    headers = header.get(program, {"Authorization": f"Bearer {key}"})
    path = (STREAMED if stream else PATHS)[program]
    text = sent if isinstance(sent, bytes) else json.dumps(sent)
    return post(stub, path, text, headers)


def post(stub: StubModel, path: str, text: object, headers: dict[str, str], **how: Any) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection(urlsplit(stub.url).netloc, timeout=60)
    try:
        connection.request("POST", path, text, headers, **how)  # type: ignore[arg-type]
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def whole(stub: StubModel, program: str, sent: object) -> Any:
    status, _, text = ask(stub, program, sent)
    assert status == 200, text
    return json.loads(text)


def events(text: bytes) -> list[tuple[str, Any]]:
    """Names and data of a stream."""
    found = []
    for block in text.decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        data = fields["data"]
        found.append((fields.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return found


SCRIPT = "stub: name p\nstub: write a.txt: x\nstub: read a.txt\nstub: say all good"


def tool_of(program: str, answer: Any) -> str:
    """The tool that an answer calls; the text, if it calls none."""
    match program:
        case "claude":
            block = answer["content"][0]
            assert answer["stop_reason"] == ("tool_use" if block["type"] == "tool_use" else "end_turn")
            return str(block.get("name") or block["text"])
        case "codex":
            item = answer["output"][0]
            return str(item.get("name") or item["content"][0]["text"])
        case "gemini":
            part = answer["candidates"][0]["content"]["parts"][0]
            return str(part["functionCall"]["name"] if "functionCall" in part else part["text"])
    choice = answer["choices"][0]
    message = choice["message"]
    assert choice["finish_reason"] == ("tool_calls" if "tool_calls" in message else "stop")
    return str(message["tool_calls"][0]["function"]["name"] if "tool_calls" in message else message["content"])


@pytest.mark.parametrize(
    ("program", "tools"),
    [
        ("claude", ["Write", "Read"]),
        ("codex", ["apply_patch", "exec_command"]),
        ("gemini", ["write_file", "read_file"]),
        ("opencode", ["write", "read"]),
    ],
)
def test_a_dialogue_follows_the_script(stub: StubModel, program: str, tools: list[str]) -> None:
    answers = [whole(stub, program, body(program, SCRIPT, results)) for results in range(3)]

    assert [tool_of(program, answer) for answer in answers] == [*tools, "all good"]
    assert [(one.name, one.step, one.model) for one in stub.requests] == [("p", n, "some-model") for n in range(3)]
    assert "result 1" in stub.requests[-1].results[-1]
    assert [one.heard - stub.requests[0].heard for one in stub.requests] == [0, 1, 2]


def counted(program: str, answer: Any) -> Tokens:
    """What an answer says that it cost."""
    match program:
        case "claude":
            usage = answer["usage"]
            cached = usage["cache_read_input_tokens"]
            return Tokens(usage["input_tokens"] + cached, usage["output_tokens"], cached)
        case "codex":
            usage = answer["usage"]
            cached = usage["input_tokens_details"]["cached_tokens"]
            return Tokens(usage["input_tokens"], usage["output_tokens"], cached)
        case "gemini":
            usage = answer["usageMetadata"]
            return Tokens(usage["promptTokenCount"], usage["candidatesTokenCount"], usage["cachedContentTokenCount"])
    usage = answer["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return Tokens(usage["prompt_tokens"], usage["completion_tokens"], cached)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_sums_are_those_of_the_answers(stub: StubModel, program: str) -> None:
    told = [counted(program, whole(stub, program, body(program, SCRIPT, results))) for results in range(3)]

    assert stub.usage == {"p": told[0] + told[1] + told[2]}
    assert len(set(told)) == 3  # so that a sum which lacks one of them is another sum
    assert stub.side_usage == {}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("results", [0, 2])
def test_a_stream_tells_the_same_as_an_answer_in_one_piece(stub: StubModel, program: str, results: int) -> None:
    sent = body(program, SCRIPT, results)
    expected = whole(stub, program, sent)
    status, headers, text = ask(stub, program, {**sent, "stream": True}, stream=True)

    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
    put_together = _joined(program, events(text))
    assert tool_of(program, put_together) == tool_of(program, expected)
    assert counted(program, put_together) == counted(program, expected)
    assert stub.usage["p"] == counted(program, expected) + counted(program, expected)


def _joined(program: str, told: list[tuple[str, Any]]) -> Any:
    """The whole answer, as a client would put it together."""
    if program == "gemini":
        return told[-1][1]
    if program == "codex":
        assert [data["sequence_number"] for _, data in told] == list(range(len(told)))
        items = [data["item"] for name, data in told if name == "response.output_item.done"]
        assert told[-1][1]["response"]["output"] == items
        return told[-1][1]["response"]
    if program == "opencode":
        chunks = [data for _, data in told]
        assert chunks.pop() == "[DONE]"
        choice = {
            "message": chunks[0]["choices"][0]["delta"],
            "finish_reason": chunks[1]["choices"][0]["finish_reason"],
        }
        return {"choices": [choice], "usage": chunks[2]["usage"]}
    start, block, delta, ends, more, end = (data for _, data in told)
    assert [name for name, _ in told] == [data["type"] for _, data in told]
    content = dict(block["content_block"])
    if content["type"] == "text":
        content["text"] += delta["delta"]["text"]
    else:
        content["input"] = json.loads(delta["delta"]["partial_json"])
    assert (ends["type"], end["type"]) == ("content_block_stop", "message_stop")
    usage = {**start["message"]["usage"], **more["usage"]}
    return {**start["message"], "content": [content], "stop_reason": more["delta"]["stop_reason"], "usage": usage}


@pytest.mark.parametrize("program", PROGRAMS)
def test_two_calls_in_one_answer(stub: StubModel, program: str) -> None:
    answer = whole(stub, program, body(program, "stub: both\nstub: read a\nstub: read b"))

    [asked] = stub.requests
    assert len(asked.called) == 2
    assert json.dumps(answer).count('"id"') >= 2
    ids = {
        "claude": lambda: [block["id"] for block in answer["content"]],
        "codex": lambda: [item["call_id"] for item in answer["output"]],
        "gemini": lambda: [part["functionCall"]["id"] for part in answer["candidates"][0]["content"]["parts"]],
        "opencode": lambda: [call["id"] for call in answer["choices"][0]["message"]["tool_calls"]],
    }[program]()
    assert len(set(ids)) == 2


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_failure_is_told_as_often_as_the_script_says(stub: StubModel, program: str) -> None:
    sent = body(program, "stub: name p\nstub: fail 429 2\nstub: read a")

    found = [ask(stub, program, sent) for _ in range(3)]

    assert [status for status, _, _ in found] == [429, 429, 200]
    assert found[0][1]["Retry-After"] == "1"
    assert "error" in json.loads(found[0][2])
    assert [one.status for one in stub.requests] == [429, 429, 200]
    assert stub.usage["p"].input == 1000  # what failed cost nothing


def test_a_failure_without_a_number_is_for_ever_and_of_this_script_alone(stub: StubModel) -> None:
    for _ in range(5):
        assert ask(stub, "claude", body("claude", "stub: name p\nstub: fail 500\nstub: read a"))[0] == 500
    assert ask(stub, "claude", body("claude", "stub: name q\nstub: read a"))[0] == 200


@pytest.mark.parametrize("program", PROGRAMS)
def test_another_key_is_refused(stub: StubModel, program: str) -> None:
    for key in ("", "real-key"):
        status, _, text = ask(stub, program, body(program, SCRIPT), key=key)
        assert status == 401
        assert b"takes its own alone" in text
    assert stub.requests == ()


def test_a_key_may_stand_in_the_address(stub: StubModel) -> None:
    path = f"{PATHS['gemini']}?key={KEY}"

    assert post(stub, path, json.dumps(body("gemini", SCRIPT)), {})[0] == 200


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_model_does_not_exist(stub: StubModel, program: str) -> None:
    sent = json.dumps({**body(program, SCRIPT), "model": NO_MODEL})
    path = PATHS[program].replace("some-model", NO_MODEL)

    status, _, text = post(stub, path, sent, {"x-api-key": KEY})

    assert (status, b"model_not_found" in text) == (404, True)
    assert stub.requests[0].words.startswith(f"The model {NO_MODEL} does not exist")


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_no_script_foresees_is_answered_and_counted_beside(stub: StubModel, program: str) -> None:
    sent = {**body(program, f"Find a title for this:\n{SCRIPT}"), "tools": []}

    answer = whole(stub, program, sent)

    assert tool_of(program, answer) == "stub"
    assert stub.usage == {}
    assert stub.side_usage == {"p": Tokens(300, 7)}
    assert stub.requests[0].side


def test_an_answer_of_a_certain_shape(stub: StubModel) -> None:
    schema = {"type": "object", "properties": {"model": {"enum": ["flash", "pro"]}}, "required": ["model"]}
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    sent = {**body("gemini", SCRIPT), "tools": [], "generationConfig": config}

    assert json.loads(tool_of("gemini", whole(stub, "gemini", sent))) == {"model": "flash"}


def test_a_sub_agent_that_ends_with_a_tool_says_its_words_through_it(stub: StubModel) -> None:
    schema = {"type": "object", "properties": {"response": {"type": "string"}}, "required": ["response"]}
    tools = [{"functionDeclarations": [{"name": "complete_task", "parametersJsonSchema": schema}]}]

    whole(stub, "gemini", {**body("gemini", "stub: say it is there"), "tools": tools})

    assert stub.requests[0].called == (("complete_task", {"response": "it is there"}),)


def test_tools_in_a_name_space_and_tools_that_come_later(stub: StubModel) -> None:
    space = {"type": "namespace", "name": "multi_agent_v1", "tools": [{"type": "function", "name": "spawn_agent"}]}
    more = {"type": "additional_tools", "tools": [space]}
    sent = body("codex", "stub: agent read a")
    answer = whole(stub, "codex", {**sent, "tools": [], "input": [*sent["input"], more]})

    assert (answer["output"][0]["namespace"], answer["output"][0]["name"]) == ("multi_agent_v1", "spawn_agent")
    assert stub.requests[0].offered == ("multi_agent_v1/spawn_agent",)


def test_a_task_that_comes_from_another_agent(stub: StubModel) -> None:
    parts = [{"type": "input_text", "text": "Payload:"}, {"type": "encrypted_content", "encrypted_content": SCRIPT}]
    task = {"type": "agent_message", "author": "/root", "recipient": "/root/inner", "content": parts}
    sent = body("codex", "stub: name master\nstub: read z")

    assert tool_of("codex", whole(stub, "codex", {**sent, "input": [*sent["input"], task]})) == "apply_patch"
    assert stub.requests[0].name == "p"


def test_tools_in_the_usual_name_space_go_by_their_names(stub: StubModel) -> None:
    usual = {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}
    other = {"type": "namespace", "name": "collaboration", "tools": [{"type": "function", "name": "wait_agent"}]}
    sent = body("codex", "stub: write a: x", tools=[usual, other])
    item = whole(stub, "codex", sent)["output"][0]

    assert (item["type"], item["name"], "namespace" in item) == ("custom_tool_call", "exec", False)
    assert stub.requests[0].offered == ("exec", "collaboration/wait_agent")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_script_that_cannot_be_read_is_told_to_the_program(stub: StubModel, program: str) -> None:
    status, _, text = ask(stub, program, body(program, "stub: dance"))

    assert status == 400
    assert b"cannot read 'stub: dance'" in text


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_request_is_refused(stub: StubModel, program: str, sent: bytes) -> None:
    assert ask(stub, program, sent)[0] == 400


@pytest.mark.parametrize(
    ("program", "sent"),
    [
        ("claude", {"messages": [7]}),
        ("claude", {"messages": 7}),
        ("claude", {"tools": "x"}),
        ("codex", {"input": [None]}),
        ("gemini", {"contents": ["x"]}),
        ("opencode", {"messages": [[]]}),
    ],
)
def test_a_request_that_is_not_understood_is_refused_and_the_server_lives(
    stub: StubModel, program: str, sent: object
) -> None:
    assert ask(stub, program, sent)[0] == 400
    assert ask(stub, program, body(program, SCRIPT))[0] == 200


def test_a_body_in_chunks(stub: StubModel) -> None:
    text = json.dumps(body("claude", SCRIPT)).encode()
    pieces = iter([text[:10], text[10:]])

    assert post(stub, PATHS["claude"], pieces, {"x-api-key": KEY}, encode_chunked=True)[0] == 200


def test_other_places(stub: StubModel) -> None:
    assert post(stub, "/v1/messages/count_tokens", "{}", {})[0] == 200
    assert post(stub, "/v1/other", "{}", {})[0] == 404
    connection = http.client.HTTPConnection(urlsplit(stub.url).netloc, timeout=60)
    statuses = []
    for path in ("/v1/models", "/other"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [200, 404]


def test_an_answer_waits_until_it_may_go(stub: StubModel) -> None:
    answers: list[int] = []
    sent = body("claude", "stub: wait go\nstub: read a")
    asking = [threading.Thread(target=lambda: answers.append(ask(stub, "claude", sent)[0])) for _ in range(2)]
    for one in asking:
        one.start()
    _until(lambda: stub.waiting("go") == 2)
    assert (answers, stub.requests) == ([], ())
    stub.open("go")
    for one in asking:
        one.join(60)
    assert answers == [200, 200]
    assert stub.waiting("go") == 0
    assert ask(stub, "claude", sent)[0] == 200  # open is open


def test_who_went_away_while_waiting_has_asked_nothing(stub: StubModel) -> None:
    connection = http.client.HTTPConnection(urlsplit(stub.url).netloc, timeout=60)
    connection.request(
        "POST", PATHS["claude"], json.dumps(body("claude", "stub: wait go\nstub: read a")), {"x-api-key": KEY}
    )
    _until(lambda: stub.waiting("go"))
    connection.close()
    stub.open("go")
    _until(lambda: not stub.waiting("go"))

    assert ask(stub, "claude", body("claude", "stub: name other"))[0] == 200
    assert [one.name for one in stub.requests] == ["other"]


def test_the_end_of_the_server_is_the_end_of_all_waiting() -> None:
    with StubModel() as stub:
        url = stub.url
        sent = body("claude", "stub: delay 3600\nstub: wait never\nstub: read a")
        asking = threading.Thread(target=lambda: _quietly(stub, sent), daemon=True)
        asking.start()
    asking.join(60)
    assert not asking.is_alive()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    with pytest.raises(OSError, match="refused"):
        connection.request("GET", "/v1/models")


def _quietly(stub: StubModel, sent: object) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        ask(stub, "claude", sent)


def _until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_listens_on_loopback_alone(stub: StubModel) -> None:
    assert urlsplit(stub.url).hostname == "127.0.0.1"
    assert stub._server.socket.getsockname()[0] == "127.0.0.1"


# -- surroundings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_that_a_program_needs_points_to_the_stub_and_to_nothing_else(tmp_path: Path, program: str) -> None:
    around = surroundings(program, "http://127.0.0.1:4711")
    around.furnish(tmp_path)

    told = "\n".join([*around.environment.values(), *around.files.values()])
    assert told.count("http://127.0.0.1:4711") == told.count("http://") == 1
    assert KEY in told
    assert around.model
    written = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert written == set(around.files)
    for name, text in around.files.items():
        assert tomllib.loads(text) if name.endswith(".toml") else json.loads(text)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_model_of_a_name_and_no_key(program: str) -> None:
    around = surroundings(program, "http://127.0.0.1:4711", model="m-1", key="")

    assert "m-1" in around.model
    assert KEY not in json.dumps([dict(around.environment), dict(around.files)])
    assert all(around.environment.values())


def test_the_settings_of_codex_are_whole() -> None:
    found = tomllib.loads(surroundings("codex", "http://127.0.0.1:4711").files[".codex/config.toml"])

    assert found["model_providers"]["stub"]["base_url"] == "http://127.0.0.1:4711/v1"
    assert found["features"] == dict.fromkeys(("apps", "plugins", "plugin_sharing", "remote_plugin"), False)


def test_a_program_that_is_not_known() -> None:
    with pytest.raises(InvalidValueError, match="does not know the program 'vi'"):
        surroundings("vi", "http://127.0.0.1:1")


# -- by hand --------------------------------------------------------------------------------------------------------


def test_it_can_be_tried_by_hand(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wavecrew.stub_model", "claude", str(tmp_path / "home")]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert serving.stdout is not None
        told: dict[str, str] = {}
        while "ANTHROPIC_MODEL" not in told:
            line = serving.stdout.readline()
            assert line, "it ended"
            name, value = line.removeprefix("export ").rstrip().split("=", 1)
            told[name] = value
        assert told["HOME"] == str(tmp_path / "home")
        headers = {"x-api-key": told["ANTHROPIC_API_KEY"]}
        connection = http.client.HTTPConnection(urlsplit(told["ANTHROPIC_BASE_URL"]).netloc, timeout=60)
        connection.request("POST", PATHS["claude"], json.dumps(body("claude", SCRIPT)), headers)
        assert connection.getresponse().status == 200
        connection.close()
        serving.send_signal(signal.SIGINT)
        assert serving.wait(60) == 0
    finally:
        serving.kill()
        serving.communicate()


@pytest.mark.parametrize("arguments", [[], ["vi", "home"], ["claude"]])
def test_wrong_words_are_told(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wavecrew.stub_model", *arguments], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "usage: python -m wavecrew.stub_model claude|codex|gemini|opencode HOME" in done.stderr


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "wavecrew.stub_model", "codex", str(tmp_path / "file" / "home")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 8
    assert "cannot be used here" in done.stderr
