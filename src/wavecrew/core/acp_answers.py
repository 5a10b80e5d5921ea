"""What an agent that speaks the Agent Client Protocol answers: its modes and models, what it used, what went wrong.

What it does: reads answers whatever their shape; says which mode, by its own words, asks before each write, and which
numbers can be believed.
What it does not know: pipes, and whether an agent keeps its word. Only its questions show that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_ASKS: Final = re.compile(r"\b(always ask|asks?|prompts?|approvals?|confirms?|confirmation|permission)\b")
_NOT_ALWAYS: Final = re.compile(
    r"auto|without|never|bypass|skip|yolo|full access|unrestricted|\bonly ask|outside|unsafe|unless|accept|don.t|\bno\b"
)
_USUAL: Final = ("read-only", "default", "ask", "manual")
_LAST_STEP_ONLY: Final = frozenset(("OpenCode",))
"""Agents whose count of tokens is that of the last step alone, so that what a turn used is not known."""
_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that can be chosen in a session: what is chosen now, and each choice with its name and description.
    `option` is the setting of the session by which it is chosen; empty where there is a request of its own for it."""

    now: str
    among: Mapping[str, str]
    option: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one turn. None is unknown. `input` counts those in `cached`, too."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None


def part(found: object, *names: str) -> dict[str, Any]:
    """The object below these names; an empty one if there is none."""
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def text(found: object, name: str) -> str:
    """The text below a name; empty if there is none."""
    value = found.get(name) if isinstance(found, Mapping) else None
    return value if isinstance(value, str) else ""


def parts(found: object, name: str) -> Iterator[dict[str, Any]]:
    """The objects of a list below a name."""
    value = found.get(name) if isinstance(found, Mapping) else None
    yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


# -- what can be chosen -----------------------------------------------------------------------------------------


def modes_of(session: object) -> Choice | None:
    """The modes of a session that was opened, or of an update of its settings; None if it has none."""
    told = part(session, "modes")
    among = {text(one, "id"): _words(one) for one in parts(told, "availableModes") if text(one, "id")}
    if among:
        return Choice(text(told, "currentModeId"), among)
    return _option(session, "mode")


def models_of(session: object) -> Choice | None:
    """The models of a session; None if nobody can choose."""
    found = _option(session, "model")
    if found is not None:
        return found
    told = part(session, "models")
    among = {text(one, "modelId"): _words(one) for one in parts(told, "availableModels") if text(one, "modelId")}
    return Choice(text(told, "currentModelId"), among) if among else None


def _option(session: object, category: str) -> Choice | None:
    for one in parts(session, "configOptions"):
        if text(one, "category") == category and text(one, "id"):
            groups = [one, *parts(one, "options")]  # they may be in groups
            values = {text(at, "value"): _words(at) for group in groups for at in parts(group, "options")}
            return Choice(text(one, "currentValue"), {name: words for name, words in values.items() if name}, one["id"])
    return None


def _words(one: Mapping[str, Any]) -> str:
    return f"{text(one, 'name')}: {text(one, 'description')}"


def asking_mode(modes: Choice) -> str:
    """The mode that asks before each write, as far as its own words tell; empty if none says so."""
    able = [name for name, words in modes.among.items() if _says_that_it_asks(words)]
    usual = [name for name in _USUAL if name in able]
    return (modes.now if modes.now in able else "") or next(iter((*usual, *able)), "")


def _says_that_it_asks(words: str) -> bool:
    words = words.lower()
    return _ASKS.search(words) is not None and _NOT_ALWAYS.search(words) is None


# -- what was used ----------------------------------------------------------------------------------------------


def used_in(answer: object, agent: str) -> Used:
    """The tokens of a turn, from the answer to its prompt. What sub-agents and side calls used stands in a place of
    its own, if anywhere, and counts, too."""
    if agent in _LAST_STEP_ONLY:
        return Used()
    quota = part(answer, "_meta", "quota")
    models = [_counted(part(one, "token_count")) for one in parts(quota, "model_usage")]
    found = _sum(models) if models else Used()
    if found.input is None or found.output is None:
        found = _counted(part(answer, "usage"))
    return found if found.input is not None else _counted(part(quota, "token_count"))


def _counted(told: Mapping[str, Any]) -> Used:
    """Whether cached tokens count as input, too, differs; the total tells."""
    read, written = _count(told, "inputTokens", "input_tokens"), _count(told, "outputTokens", "output_tokens")
    cached = _count(told, "cachedReadTokens", "cachedInputTokens")
    stored = _count(told, "cachedWriteTokens", "cacheWriteInputTokens") or 0
    total, thought = _count(told, "totalTokens"), _count(told, "thoughtTokens", "reasoningOutputTokens") or 0
    if read is None or written is None:
        return Used()
    within = total is None or cached is None or total in (read + written, read + written + thought)
    if within or total is None or cached is None or total < read + written + cached + stored:
        return Used(read, written, cached if cached is None or cached <= read else None)
    return Used(read + cached + stored, total - read - cached - stored, cached)


def _count(told: Mapping[str, Any], *names: str) -> int | None:
    values = (told.get(name) for name in names)
    return next((one for one in values if isinstance(one, int) and not isinstance(one, bool) and one >= 0), None)


def _sum(several: list[Used]) -> Used:
    def added(values: list[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    return Used(
        added([one.input for one in several]),
        added([one.output for one in several]),
        added([one.cached for one in several]),
    )


def cost_in(update: object) -> float | None:
    """What the session has cost up to now, in US dollars; None if that is not told."""
    cost = part(update, "cost")
    amount = cost.get("amount")
    if text(cost, "currency") != "USD" or isinstance(amount, bool) or not isinstance(amount, int | float):
        return None
    return float(amount) if amount >= 0 else None


# -- what went wrong --------------------------------------------------------------------------------------------

AUTH_REQUIRED: Final = -32000
_KINDS: Final = {
    "authentication_failed": 401,
    "billing_error": 429,
    "overloaded": 503,
    "rate_limit": 429,
    "server_error": 500,
    "usage_limit_reached": 429,
}
"""Kinds of errors that the bridge of Claude Code tells in place of a status."""
_NUMBER: Final = re.compile(r"\b[45]\d\d\b")
_LIKE_LOGIN: Final = re.compile(r"authenti|log ?in|api.?key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error of the agent: its words, the HTTP status if it tells one, and whether it says that there is no login."""

    words: str
    status: int | None = None
    logged_out: bool = False


def trouble_of(code: int, message: str, data: object) -> Trouble:
    """What an error of the protocol means. -32000 is the code for a missing login, and that of other errors, too."""
    inner = _json(message)
    words = text(inner.get("error"), "message") or text(inner, "message") or message
    more = data if isinstance(data, str) else text(data, "details") or text(data, "message") or text(data, "error")
    if more and more not in words:
        words = f"{words}: {more}"
    named = [part(inner, "error").get("code"), *(part(data).get(name) for name in ("status", "statusCode"))]
    named += [_KINDS.get(text(data, "errorKind")), code]
    if text(data, "errorName") == "APIError" and (found := _NUMBER.search(words)):  # opencode has words alone
        named.append(int(found[0]))
    status = next((one for one in named if isinstance(one, int) and 400 <= one <= 599), None)
    logged_out = code == AUTH_REQUIRED and _LIKE_LOGIN.search(words) is not None
    return Trouble(words[:_LONGEST], status, logged_out)


def _json(message: str) -> dict[str, Any]:
    if not message.startswith("{"):
        return {}
    try:
        return part(json.loads(message))
    except (ValueError, RecursionError):
        return {}


def codex_trouble(update: object) -> tuple[Trouble | None, bool]:
    """The bridge of Codex ends a turn as if all were well when its server fails, and tells of it beside: an error that
    is being tried again, and whether it has given up."""
    told = part(update, "_meta", "codex")
    gave_up = text(part(told, "threadStatus"), "type") == "systemError"
    error = part(told, "error")
    if not error:
        return None, gave_up
    words = text(error, "additionalDetails") or text(error, "message")
    inner = part(error, "codexErrorInfo").values()
    codes = [one.get("httpStatusCode") for one in inner if isinstance(one, dict)]
    status = next((one for one in codes if isinstance(one, int) and 400 <= one <= 599), None)
    return Trouble(words[:_LONGEST], status), gave_up
