"""Gemini generateContent, as Gemini CLI speaks it.

What it does: understands requests and writes answers.
What it does not know: scripts and sockets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from wavecrew.stub_model.dialogue import Answer, Asked, Json, Piece, Speaker

_MODEL = re.compile(r"/models/([^:/]+):")
_KINDS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


class GeminiGenerateContent:
    """POST .../v1beta/models/MODEL:generateContent and :streamGenerateContent"""

    def understand(self, body: Json, path: str) -> Asked:
        said = []
        for content in body.get("contents", []):
            for part in content.get("parts", []):
                if "functionResponse" in part:
                    said.append((Speaker.TOOL, json.dumps(part["functionResponse"].get("response"))))
                elif content.get("role") == "user" and "text" in part:
                    said.append((Speaker.USER, part["text"]))
        offered = [one for tool in body.get("tools") or [] for one in tool.get("functionDeclarations", [])]
        tools = {one.get("name", ""): one.get("parametersJsonSchema") or one.get("parameters") for one in offered}
        config = body.get("generationConfig", {})
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        found = _MODEL.search(path)
        return Asked(found[1] if found else "", ":streamGenerateContent" in path, tuple(said), tools, schema)

    def whole(self, answer: Answer) -> Json:
        parts: list[Json] = [{"text": answer.text}] if answer.text else []
        parts += [{"functionCall": {"id": call.id, "name": call.name, "args": call.given}} for call in answer.calls]
        tokens = answer.tokens
        return {
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {
                "promptTokenCount": tokens.input,
                "candidatesTokenCount": tokens.output,
                "totalTokenCount": tokens.input + tokens.output,
                "cachedContentTokenCount": tokens.cached,
            },
            "modelVersion": answer.model,
            "responseId": answer.id,
        }

    def pieces(self, answer: Answer) -> Iterator[Piece]:
        yield "", self.whole(answer)

    def failure(self, status: int, words: str) -> Json:
        return {"error": {"code": status, "message": words, "status": _KINDS.get(status, "INTERNAL")}}
