"""The command line by which an agent asks our gate, for agents that take a shell command as their hook.

What it does: makes a refusal with a reason of whatever can go wrong around the program that is asked. Most agents write
when a hook crashes, is killed, is late or refuses without a word.
What it does not know: which agent it is for, and what the program says (`core/hook`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from math import floor
from typing import Final

_EARLIER: Final = 5
"""Seconds before the agent's patience ends, in which a program that hangs is ended."""
_WORDS: Final = "wavecrew: the gate could not be asked, so nothing was written. Try once more later."


def asking_line(hook: Sequence[str], patience: float) -> str:
    """A command for any shell. 0: go on. 2 and words on standard error: refused. Nothing else, as long as one of the
    shells in it lives, and nothing on standard output, which for some agents counts more than the code. `patience` is
    how long the agent waits, in seconds. The program has an end of its own before that; where there is a command
    `timeout`, it also ends a program that cannot."""
    limit = f"timeout -s KILL {max(1, floor(patience) - _EARLIER)}"
    asked = f"$(command -v timeout >/dev/null && echo {limit}) {shlex.join(hook)} >/dev/null"
    line = f"{asked} || {{ [ $? = 2 ] || echo {shlex.quote(_WORDS)} >&2; exit 2; }}"
    return f"/bin/sh -c {shlex.quote(line)} || exit 2"
