"""Answers to shells: click finds the command and the parameter at the cursor, and this writes down what fits there.

What it does: reads the line as each shell hands it over, and tells each shell the words in its own form. Whatever
cannot be shown on one line is not offered. Nothing that goes wrong is told: who presses a key wants no error.
What it does not know: which words there are (`completion_table`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import click
from click.shell_completion import CompletionItem, ShellComplete

from wavecrew.cli.completion_line import Line
from wavecrew.cli.completion_scripts import LINE, PATIENCE, SCRIPTS, SEPARATOR, TYPED, VARIABLE, WORDS
from wavecrew.cli.completion_table import equip

_LONGEST_SECONDS: Final = 2.0
_ABOUT: Final = 72
_VALUE: Final = 36
MOST: Final = 2_000
"""How many words are told to a shell; more help nobody."""

_Item = CompletionItem[Any]


class _Shell(ShellComplete):
    """What the three have in common."""

    def source(self) -> str:
        return SCRIPTS[self.name]

    def complete(self) -> str:
        args, typed = self.get_completion_args()
        items = self.get_completions(args, typed)
        head = f"{typed.partition('=')[0]}=" if typed.startswith("-") and "=" in typed else ""
        files = [item for item in items if item.type != "plain"]
        words = [item for item in items if item.type == "plain" and str(item.value).isprintable()][:MOST]
        lines = [f"{item.type}\t" for item in files] if not words else self.told(words, head)
        return "".join(f"{line}\n" for line in lines)

    def told(self, items: Sequence[_Item], head: str) -> list[str]:
        """The lines for some words; `head` stands before each of them on the line."""
        raise NotImplementedError


class _Bash(_Shell):
    name: ClassVar[str] = "bash"

    def get_completion_args(self) -> tuple[list[str], str]:
        self._line = Line.of(os.environ[LINE])
        return list(self._line.words[1:-1]), self._line.words[-1]

    def told(self, items: Sequence[_Item], head: str) -> list[str]:
        typed, words = os.environ.get(TYPED, ""), [f"{head}{item.value}" for item in items]
        begun = self._line.words[-1]
        if (
            len(words) > 1
        ):  # bash takes what words have in common for what was meant, and nothing shorter may replace it
            words = [word for word in words if word.startswith(begun)]
        replies = (self._line.reply(word, typed) for word in words)
        return [f"word\t{reply}" for reply in replies if reply is not None]


class _Zsh(_Shell):
    name: ClassVar[str] = "zsh"

    def get_completion_args(self) -> tuple[list[str], str]:
        words = os.environ[WORDS].split(SEPARATOR)
        return words[1:-1], words[-1]

    def told(self, items: Sequence[_Item], head: str) -> list[str]:
        from wavecrew.views.terminal_text import cells

        wide = min(_VALUE, max(cells(item.value) for item in items))
        lines = []
        for item in items:
            about, gap = _about(item), " " * (wide - cells(item.value))
            shown = f"{item.value}{gap}  -- {about}" if about else item.value
            lines.append(f"word\t{head}{item.value}\t{shown}")
        return lines


class _Fish(_Shell):
    name: ClassVar[str] = "fish"

    def get_completion_args(self) -> tuple[list[str], str]:
        words = os.environ[WORDS].split(SEPARATOR)
        return words[1:-1], Line.of(words[-1]).words[-1]

    def told(self, items: Sequence[_Item], head: str) -> list[str]:
        return [f"word\t{head}{item.value}\t{_about(item)}" for item in items]


def _about(item: _Item) -> str:
    """What a word is, on one line that no terminal is steered by."""
    from wavecrew.views.terminal_text import cut

    return cut(item.help or "", _ABOUT) if item.help else ""


_SHELLS: Final[dict[str, type[_Shell]]] = {shell.name: shell for shell in (_Bash, _Zsh, _Fish)}


def answer(cli: click.Command) -> int:
    """Print what a shell has asked for by variables. Gives the exit code; there is no other sign of trouble, and
    nothing at all comes when it takes longer than somebody would wait."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, float(os.environ.get(PATIENCE, _LONGEST_SECONDS)))
    shell, _, step = os.environ[VARIABLE].partition("_")
    if shell not in _SHELLS or step not in ("source", "complete"):
        return 1
    try:
        equip(cli, ())
        asked = _SHELLS[shell](cli, {}, "wavecrew", VARIABLE)
        text = asked.source() if step == "source" else asked.complete()
        sys.stdout.buffer.write(text.encode("utf-8", errors="replace"))
        sys.stdout.flush()
    except (Exception, SystemExit):
        return 0
    return 0
