"""The lines of a log that come from an agent, and not from the steps around it.

What it does: puts lines together from pieces, and tells by the headings that the shim writes between steps which of
them an agent has printed. What a check prints is not taken for the word of an agent.
What it does not know: where the pieces come from, and what the lines mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

MAX_LINE: Final = 16 * 2**20
"""Longest line that is kept, in bytes; of a longer one only so much is handed on, in which no event can be found."""
CUT: Final = b"[wavecrew: about 1 bytes were cut out here]"
"""What is handed on in place of lines that were lost."""
_AGENT: Final = "agent"


def steps_of(folder: Path) -> tuple[tuple[str, str], ...]:
    """Kind and title of each step of an attempt; nothing if that cannot be read."""
    try:
        found = json.loads((folder / "job.json").read_bytes())
        return tuple((str(step["kind"]), str(step["title"])) for step in found["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


class AgentLines:
    """Takes the pieces of a log and hands on the lines of its agents. `steps` are kind and title of each step."""

    def __init__(self, steps: Sequence[tuple[str, str]], hand_on: Callable[[bytes], None] | None) -> None:
        self._kinds = [kind for kind, _ in steps] or [_AGENT]
        self._hand_on = hand_on
        of = len(steps)
        self._headings = [
            f"-- {number}/{of} {title}".encode(errors="replace") for number, (_, title) in enumerate(steps, 1)
        ]
        self._step = 1 if of <= 1 else 0
        self._pending = bytearray()
        self._too_long = False

    @property
    def last_agent_step(self) -> int:
        """The number of the last step that is an agent, counted from 1; 0 if there is none."""
        return max((number for number, kind in enumerate(self._kinds, 1) if kind == _AGENT), default=0)

    def is_agent(self, step: int) -> bool:
        """Whether a step, counted from 1, is an agent."""
        return 1 <= step <= len(self._kinds) and self._kinds[step - 1] == _AGENT

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the log."""
        if self._hand_on is None:
            return
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._pending += part if not self._too_long else b""
            if not self._too_long:
                self._line(bytes(self._pending))
            self._pending.clear()
            self._too_long = False
        if self._too_long:
            return
        self._pending += rest
        if len(self._pending) > MAX_LINE:
            self._give(bytes(self._pending))
            self._pending.clear()
            self._too_long = True

    def lost(self) -> None:
        """Something is missing here, perhaps also the heading of the agent. A check that is then taken for it knows no
        session of its own to speak for."""
        self._pending.clear()
        self._too_long = False
        if self._hand_on is not None:
            self._hand_on(CUT)
        if not self.is_agent(self._step):
            self._step = max(self._step, self.last_agent_step)

    def end(self) -> None:
        """There is no more; a line without its end is one, too."""
        if self._pending:
            self._line(bytes(self._pending))
            self._pending.clear()

    def _line(self, line: bytes) -> None:
        for number in range(self._step + 1, len(self._headings) + 1 if len(self._headings) > 1 else 0):
            if line.endswith(self._headings[number - 1]):  # the line before it may lack its end
                self._give(line[: -len(self._headings[number - 1])])
                self._step = number
                return
        self._give(line)

    def _give(self, line: bytes) -> None:
        if line and self._hand_on is not None and self.is_agent(self._step):
            self._hand_on(line)
