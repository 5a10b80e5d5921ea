"""OpenAI Chat Completions, as opencode speaks it with its provider for compatible servers.

What it does: understands requests and writes answers.
What it does not know: scripts and sockets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from wavecrew.stub_model.dialogue import Answer, Asked, Json, Piece, Speaker, text_of

_SPEAKERS = {"user": Speaker.USER, "tool": Speaker.TOOL}


class ChatCompletions:
    """POST .../v1/chat/completions"""

    def understand(self, body: Json, path: str) -> Asked:
        said = tuple(
            (_SPEAKERS[message["role"]], text_of(message.get("content")))
            for message in body.get("messages", [])
            if message.get("role") in _SPEAKERS
        )
        offered = [tool.get("function", {}) for tool in body.get("tools") or []]
        tools = {tool.get("name", ""): tool.get("parameters") for tool in offered}
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        return Asked(str(body.get("model", "")), bool(body.get("stream")), said, tools, schema)

    def whole(self, answer: Answer) -> Json:
        tokens = answer.tokens
        return {
            **_head(answer, "chat.completion"),
            "choices": [{"index": 0, "message": _message(answer), "finish_reason": _reason(answer)}],
            "usage": {
                "prompt_tokens": tokens.input,
                "completion_tokens": tokens.output,
                "total_tokens": tokens.input + tokens.output,
                "prompt_tokens_details": {"cached_tokens": tokens.cached},
            },
        }

    def pieces(self, answer: Answer) -> Iterator[Piece]:
        head = _head(answer, "chat.completion.chunk")
        yield "", {**head, "choices": [{"index": 0, "delta": _message(answer), "finish_reason": None}]}
        yield "", {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _reason(answer)}]}
        yield "", {**head, "choices": [], "usage": self.whole(answer)["usage"]}
        yield "", "[DONE]"

    def failure(self, status: int, words: str) -> Json:
        codes = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
        return {"error": {"message": words, "type": "stub_error", "code": codes.get(status, status)}}


def _head(answer: Answer, kind: str) -> Json:
    return {"id": f"chatcmpl-{answer.id}", "object": kind, "created": int(time.time()), "model": answer.model}


def _message(answer: Answer) -> Json:
    message: dict[str, Json] = {"role": "assistant", "content": answer.text or None}
    if answer.calls:
        message["tool_calls"] = [
            {
                "index": number,
                "id": f"call_{call.id}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(_object(call.given))},
            }
            for number, call in enumerate(answer.calls)
        ]
    return message


def _object(given: Json) -> Json:
    """There are no tools that take free text here."""
    return {"input": given} if isinstance(given, str) else given


def _reason(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"
