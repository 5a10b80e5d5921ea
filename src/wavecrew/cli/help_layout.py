"""How the help of a command is laid out: what is its own first, then settings, then what every command understands.

What it does: sorts options into sections and lists commands with their whole summaries.
What it does not know: any command, and how options are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MethodType
from typing import Final

import click

_EVERYWHERE: Final = frozenset(
    ("directory", "config", "no_config", "as_json", "quiet", "color", "no_input", "help", "version")
)
_SECTIONS: Final = ("Options", "Settings, for this time (see: wavecrew config reference)", "For every command")
GROUPS: Final[Mapping[str, str]] = {
    "init": "Plan",
    "plan": "Plan",
    "run": "Run",
    "control": "Have a say in a run",
    "look": "Look at a run",
    "web": "Look at a run",
    "ui": "Look at a run",
    "report": "Look at a run",
    "result": "Its result",
    "locks": "Locks",
}
"""The section of the list of all commands that a command, or those of a module, stand in; others stand in the last."""
LAST: Final = "Around it"
_LONGEST: Final = 200
_NARROW, _NAMES = 70, 30
_NUMBERS: Final = ((re.compile(r" INTEGER( RANGE)?$"), " N"), (re.compile(r" FLOAT( RANGE)?$"), " NUMBER"))
_RANGE: Final = re.compile(r"\b(\d+(?:\.\d+)?)<=x<=(\d+?)(?:\.0)?(?=[];])")


def lay_out(command: click.Command) -> None:
    """Give a command, and those below it, this layout."""
    command.format_options = MethodType(_options, command)  # type: ignore[method-assign]
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        lay_out(below)


def _options(command: click.Command, context: click.Context, formatter: click.HelpFormatter) -> None:
    rows: dict[str, list[tuple[str, str]]] = {title: [] for title in _SECTIONS}
    from wavecrew.config.parallel_config import settings  # only where help is shown: it takes its time

    named = {param.name for param in command.params}
    known = set(settings()) if named >= settings().keys() - {"plan"} else set()  # one alone is an option like others
    own, setting, everywhere = _SECTIONS
    for option in command.get_params(context):
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None:
            name = "help" if "--help" in option.opts else option.name or ""
            rows[everywhere if name in _EVERYWHERE else setting if name in known else own].append(_in_words(record))
    if not rows[own] or len(rows[everywhere]) == 1:
        rows = {own: [*rows[own], *rows[everywhere]]}
    for title, records in rows.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records, col_max=_NAMES if formatter.width >= _NARROW else _NAMES // 2)
    if isinstance(command, click.Group):
        with formatter.section("Commands"):
            below = [(name, command.commands[name]) for name in command.list_commands(context)]
            formatter.write_dl([(name, one.get_short_help_str(_LONGEST)) for name, one in below if not one.hidden])


def _in_words(record: tuple[str, str]) -> tuple[str, str]:
    """A row without the names that programmers have for numbers and their ranges."""
    names, told = record
    for types, word in _NUMBERS:
        names = types.sub(word, names)
    return names, _RANGE.sub(lambda found: f"{found[1]} to {found[2]}", told)


def list_all(commands: Mapping[str, tuple[str, str]], formatter: click.HelpFormatter) -> None:
    """The list of all commands, in sections. `commands` gives module and summary by name."""
    widest = max(map(len, commands))
    for title in (*dict.fromkeys(GROUPS.values()), LAST):
        here = [name for name, (module, _) in commands.items() if _group(name, module) == title]
        with formatter.section(title):
            formatter.write_dl([(name.ljust(widest), commands[name][1]) for name in here])


def _group(name: str, module: str) -> str:
    return GROUPS.get(name) or GROUPS.get(module, LAST)
