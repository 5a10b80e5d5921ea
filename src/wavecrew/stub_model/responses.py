"""OpenAI Responses, as Codex speaks it, with the free-form tools and the tools in name spaces that it offers.

What it does: understands requests and writes answers.
What it does not know: scripts and sockets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from wavecrew.stub_model.dialogue import Answer, Asked, Json, Piece, Speaker, text_of

_USUAL_SPACE = "functions"
_TO_AGENTS = "agent_message"
"""What an agent says to another one. To a sub-agent, it is the task."""
_RESULTS = ("function_call_output", "custom_tool_call_output")


class OpenAiResponses:
    """POST .../v1/responses"""

    def understand(self, body: Json, path: str) -> Asked:
        said, tools = [], dict(_tools(body.get("tools", [])))
        given = body.get("input", [])
        for item in given if isinstance(given, list) else [{"role": "user", "content": given}]:
            kind = item.get("type", "message")
            if kind in _RESULTS:
                output = item.get("output")
                said.append((Speaker.TOOL, text_of(output) or json.dumps(output)))
            elif kind == _TO_AGENTS or (kind == "message" and item.get("role") == "user"):
                said.append((Speaker.USER, _text(item.get("content"))))
            elif kind == "additional_tools":
                tools |= _tools(item.get("tools", []))
        schema = body.get("text", {}).get("format", {}).get("schema")
        return Asked(str(body.get("model", "")), bool(body.get("stream")), tuple(said), tools, schema)

    def whole(self, answer: Answer) -> Json:
        tokens = answer.tokens
        return {
            "id": f"resp_{answer.id}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "completed",
            "model": answer.model,
            "output": list(_items(answer)),
            "error": None,
            "incomplete_details": None,
            "usage": {
                "input_tokens": tokens.input,
                "input_tokens_details": {"cached_tokens": tokens.cached},
                "output_tokens": tokens.output,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tokens.input + tokens.output,
            },
        }

    def pieces(self, answer: Answer) -> Iterator[Piece]:
        response = self.whole(answer)
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        events: list[Piece] = [("response.created", {"response": begun})]
        for number, item in enumerate(response["output"]):
            events.append(("response.output_item.added", {"output_index": number, "item": _empty(item)}))
            events += _deltas(item, number)
            events.append(("response.output_item.done", {"output_index": number, "item": item}))
        events.append(("response.completed", {"response": response}))
        for number, (kind, data) in enumerate(events):
            yield kind, {"type": kind, "sequence_number": number, **data}

    def failure(self, status: int, words: str) -> Json:
        codes = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
        return {"error": {"message": words, "type": "stub_error", "param": None, "code": codes.get(status, status)}}


def _text(content: Json) -> str:
    """The text of a message; what only a model could read is what our model has written itself."""
    parts = content if isinstance(content, list) else []
    sealed = [part["encrypted_content"] for part in parts if "encrypted_content" in part]
    return "\n".join([text_of(content), *sealed])


def _tools(offered: Json) -> Iterator[tuple[str, Json]]:
    """Names and schemas; those of a name space as SPACE/NAME, but for the usual one."""
    for tool in offered if isinstance(offered, list) else ():
        name = str(tool.get("name") or tool.get("type") or "")
        if "tools" not in tool:
            yield name, tool.get("parameters")
        for inner, schema in _tools(tool.get("tools")):
            yield inner if name == _USUAL_SPACE else f"{name}/{inner}", schema


def _items(answer: Answer) -> Iterator[Json]:
    if answer.text:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        yield {
            "type": "message",
            "id": f"msg_{answer.id}",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
    for call in answer.calls:
        space, _, name = call.name.rpartition("/")
        item = {"id": f"fc_{call.id}", "call_id": f"call_{call.id}", "name": name, "status": "completed"}
        if isinstance(call.given, str):
            item |= {"type": "custom_tool_call", "input": call.given}
        else:
            item |= {"type": "function_call", "arguments": json.dumps(call.given)}
        yield item | ({"namespace": space} if space else {})


def _empty(item: Json) -> Json:
    """An item as it is when it begins."""
    nothing = {"message": ("content", []), "function_call": ("arguments", ""), "custom_tool_call": ("input", "")}
    name, value = nothing[item["type"]]
    return {**item, "status": "in_progress", name: value}


def _deltas(item: Json, number: int) -> Iterator[Piece]:
    where = {"item_id": item["id"], "output_index": number}
    if item["type"] == "message":
        [part] = item["content"]
        text = {**where, "content_index": 0}
        yield "response.content_part.added", {**text, "part": {**part, "text": ""}}
        yield "response.output_text.delta", {**text, "delta": part["text"]}
        yield "response.output_text.done", {**text, "text": part["text"]}
        yield "response.content_part.done", {**text, "part": part}
    elif item["type"] == "function_call":
        yield "response.function_call_arguments.delta", {**where, "delta": item["arguments"]}
        yield "response.function_call_arguments.done", {**where, "arguments": item["arguments"]}
