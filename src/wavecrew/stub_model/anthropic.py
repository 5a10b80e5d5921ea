"""Anthropic Messages, as Claude Code speaks it.

What it does: understands requests and writes answers.
What it does not know: scripts and sockets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from wavecrew.stub_model.dialogue import Answer, Asked, Json, Piece, Speaker, text_of

_KINDS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class AnthropicMessages:
    """POST .../v1/messages"""

    def understand(self, body: Json, path: str) -> Asked:
        said = []
        for message in body.get("messages", []):
            content = message.get("content", "")
            for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
                if part.get("type") == "tool_result":
                    said.append((Speaker.TOOL, text_of(part.get("content"))))
                elif part.get("type") == "text" and message.get("role") == "user":
                    said.append((Speaker.USER, part.get("text", "")))
        tools = {tool.get("name", ""): tool.get("input_schema") for tool in body.get("tools", [])}
        schema = body.get("output_config", {}).get("format", {}).get("schema")
        return Asked(str(body.get("model", "")), bool(body.get("stream")), tuple(said), tools, schema)

    def whole(self, answer: Answer) -> Json:
        tokens = answer.tokens
        return {
            "id": f"msg_{answer.id}",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": list(self._blocks(answer)),
            "stop_reason": "tool_use" if answer.calls else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": tokens.input - tokens.cached,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": tokens.cached,
                "output_tokens": tokens.output,
            },
        }

    def pieces(self, answer: Answer) -> Iterator[Piece]:
        message = self.whole(answer)
        usage = {**message["usage"], "output_tokens": 1}
        yield _piece("message_start", message={**message, "content": [], "stop_reason": None, "usage": usage})
        for number, block in enumerate(message["content"]):
            if block["type"] == "text":
                begun, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
            else:
                begun, text = {**block, "input": {}}, json.dumps(block["input"])
                delta = {"type": "input_json_delta", "partial_json": text}
            yield _piece("content_block_start", index=number, content_block=begun)
            yield _piece("content_block_delta", index=number, delta=delta)
            yield _piece("content_block_stop", index=number)
        ends = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        yield _piece("message_delta", delta=ends, usage={"output_tokens": answer.tokens.output})
        yield _piece("message_stop")

    def failure(self, status: int, words: str) -> Json:
        return {"type": "error", "error": {"type": _KINDS.get(status, "api_error"), "message": words}}

    def _blocks(self, answer: Answer) -> Iterator[Json]:
        if answer.text:
            yield {"type": "text", "text": answer.text}
        for call in answer.calls:
            yield {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": call.given}


def _piece(kind: str, **data: Json) -> Piece:
    return kind, {"type": kind, **data}
