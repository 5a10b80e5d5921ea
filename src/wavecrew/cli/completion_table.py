"""What can stand in the place of each parameter: one table, by command and name.

What it does: gives every parameter of a command the words it can have, and turns facts into words that fit what was
typed.
What it does not know: shells, and where facts come from (`completion_facts`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click
from click.shell_completion import CompletionItem

from wavecrew.cli import completion_facts as facts
from wavecrew.cli.globals import Globals

if TYPE_CHECKING:
    from wavecrew.config.settings import Setting

_Item: TypeAlias = "CompletionItem[Any]"
_ALTERNATIVES: Final = re.compile(r"\^\(([a-z|]+)\)\$")
_Words: TypeAlias = Callable[[click.Context, str], "Iterable[facts.Word] | list[_Item]"]


def _settings(context: click.Context) -> Globals:
    found = context.find_root().ensure_object(Globals)
    found.directory = facts.as_expanded(str(found.directory))
    return found


def _run(context: click.Context) -> str:
    """The run that was named so far."""
    return str(context.params.get("run") or "latest")


def _phases(kind: str) -> _Words:
    return lambda context, typed: facts.phases_of_run(_settings(context), _run(context), kind, typed)


def _gates(kind: str) -> _Words:
    return lambda context, _: facts.gates(_settings(context), _run(context), kind)


def _planned(context: click.Context, typed: str) -> Iterable[facts.Word]:
    plan = context.params.get("plan") or context.params.get("plan_path")
    if not plan and any(param.name == "plan" for param in context.command.params):
        plan = next(iter(context.args), None)  # click gives arguments no names before an option that lacks its value
    return facts.phases_of_plan(_settings(context), plan, typed)


def _explained(context: click.Context, typed: str) -> Iterable[facts.Word]:
    codes = facts.codes() if typed[:1] in ("W", "w") else ()
    return [one for one in codes if one[0].startswith(typed.upper())] or _planned(context, typed)


def _files(_: click.Context, typed: str) -> list[_Item]:
    return [CompletionItem(typed, type="file")]


def _plans(context: click.Context, typed: str) -> list[_Item]:
    """Shells complete files from where they stand, which is not where `-C` counts from."""
    return _files(context, typed) if str(_settings(context).directory) == "." else []


def _folders(_: click.Context, typed: str) -> list[_Item]:
    return [CompletionItem(typed, type="dir")]


def _resources(context: click.Context, typed: str) -> Iterable[facts.Word] | list[_Item]:
    held = [word for word in facts.resources(_settings(context)) if word[0].startswith(typed)]
    return held or _files(context, typed)


def _listed(names: Iterable[str], typed: str) -> Iterable[facts.Word]:
    """Names in a list with commas: what stands in it already is not offered again."""
    before, comma, _ = typed.rpartition(",")
    given = before.split(",")
    return [(f"{before}{comma}{name}", "") for name in names if name not in given]


def _formats(_: click.Context, typed: str) -> Iterable[facts.Word]:
    from wavecrew.cli.report_files import FILES

    return _listed(FILES, typed)


def _nothing(_: click.Context, __: str) -> Iterable[facts.Word]:
    return ()


def _value(told: Setting, _: click.Context, typed: str) -> Iterable[facts.Word]:
    """What a setting can be, where there are only so many values."""
    schema = told.schema
    names = _ALTERNATIVES.fullmatch(schema.get("items", {}).get("pattern", ""))
    if names is not None:
        return _listed(names[1].split("|"), typed)
    return [(one, "") for one in (*schema.get("enum", ()), *(("none",) if told.optional else ()))]


def _of(words: Callable[[Globals], Iterable[facts.Word]]) -> _Words:
    return lambda context, _: words(_settings(context))


_BY_NAME: Final[Mapping[str, _Words]] = {
    "run": lambda context, typed: facts.runs(_settings(context), typed),
    "other": lambda context, typed: facts.runs(_settings(context), typed),
    "plan": _plans,
    "plan_path": _plans,
    "only": _planned,
    "start": _planned,
    "until": _planned,
    "what": _explained,
    "into": _of(facts.branches),
    "agent": lambda _, __: facts.agents(),
    "fallback_agent": lambda _, __: (*facts.agents(), ("none", "")),
    "forms": _formats,
    "path": _resources,
    "words": _files,
    "prompt_template": _files,
    "directory": _folders,
    "keep": _folders,
    "web": _nothing,
    "reason": _nothing,
}
_BY_COMMAND: Final[Mapping[tuple[str, ...], _Words]] = {
    ("retry", "phases"): _phases("ended"),
    ("skip", "phases"): _phases("undone"),
    ("cancel", "phases"): _phases("under way"),
    ("logs", "phase"): _phases("started"),
    ("diff", "phase"): _phases("started"),
    ("answer", "phase"): _phases("asking"),
    ("approve", "gates"): _gates("open or rejected"),
    ("reject", "gates"): _gates("open"),
    ("locks", "break", "number"): _of(facts.fences),
    ("agents", "reopen", "accounts"): lambda context, _: facts.accounts(_settings(context), _run(context)),
    ("runs", "forget", "run"): _of(facts.imported_runs),
}


def words_for(path: tuple[str, ...], param: click.Parameter) -> _Words | None:
    """Where the words of a parameter of the command at `path` come from; None where click knows them (choices, files)
    or where any number or text may stand."""
    own = _BY_COMMAND.get((*path, str(param.name))) or _BY_NAME.get(str(param.name))
    if own is not None or path[:1] not in (("run",), ("resume",)):
        return own
    from wavecrew.config.parallel_config import settings  # these two commands have loaded it anyway

    told = settings().get(str(param.name))
    return None if told is None else partial(_value, told)


def equip(command: click.Command, path: tuple[str, ...]) -> None:
    """Give the parameters of a command, and of those below it that are loaded, the words that they can have."""
    for param in command.params:
        words = words_for(path, param)
        if words is not None:
            param.shell_complete = partial(_fitting, words, param)  # type: ignore[method-assign]
    for name, below in command.commands.items() if isinstance(command, click.Group) else ():
        equip(below, (*path, name))


def _fitting(words: _Words, param: click.Parameter, context: click.Context, typed: str) -> list[_Item]:
    """The words that go on as was typed and do not stand there yet; if there are none, those that differ in case. One
    that would be read as an option is told only to somebody who has begun it himself, after `--`."""
    given = context.params.get(str(param.name)) or ()
    used = given if isinstance(given, tuple) else ()
    items = [one if isinstance(one, CompletionItem) else _item(*one) for one in words(context, typed)]
    items = [one for one in items if one.type != "plain" or one.value not in used]
    items = [one for one in items if typed[:1] == "-" or not one.value.startswith("-")]
    exact = [one for one in items if one.value.startswith(typed)]
    return exact or [one for one in items if one.value.casefold().startswith(typed.casefold())]


def _item(word: str, about: str) -> _Item:
    return CompletionItem(word, help=about or None)
