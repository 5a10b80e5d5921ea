"""The line of the player on the board, and its keys.

What it does: shows where a play stands, and does to it what a key means; a key that makes no sense says why.
What it does not know: the rest of the board.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from wavecrew.models.events import Event
from wavecrew.tui.player import Player
from wavecrew.tui.rows import Rows
from wavecrew.tui.source import RunSource
from wavecrew.views.board_replay import play_line

KEYS: Final = {
    "plus": "+",
    "equals_sign": "+",
    "minus": "-",
    "comma": ",",
    "full_stop": ".",
    "left": "left",
    "right": "right",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}
"""The keys of a player by their names, and as people write them; `space` means something else on a run that goes on."""
_DEEDS: Final[dict[str, Callable[[Player], object]]] = {
    "space": Player.toggle,
    "+": lambda player: player.change_speed(faster=True),
    "-": lambda player: player.change_speed(faster=False),
    ",": lambda player: player.step(-1),
    ".": lambda player: player.step(1),
    "<": lambda player: player.to_end(-1),
    ">": lambda player: player.to_end(1),
}


class Said(NamedTuple):
    """What is to be said of a key, how (a style), and the phase that it led to, if any."""

    words: str
    style: str = ""
    phase: str = ""


class PlayBar(Rows):
    """One line; it is out of sight where nothing is played."""

    def __init__(self, source: RunSource, *, id: str) -> None:  # noqa: A002 -- textual's word
        super().__init__(id=id, bar=True)
        self.can_focus = False
        self.source = source

    def draw(self) -> None:
        """Where the play stands now."""
        player = self.source.player
        if player is not None:
            count, now, width = len(self.source.events), self.source.now, max(10, self.app.size.width)
            playing, speed = player.playing, player.speed
            self.show([play_line(player.recording, count, now, speed=speed, playing=playing, width=width)])

    @property
    def space_word(self) -> str:
        """What space does to a play; empty where there is none."""
        player = self.source.player
        return "" if player is None else "pause" if player.playing else "play"

    def press(self, key: str) -> Said:
        """Do what a key means."""
        player = self.source.player
        if player is None:
            return Said(f"{key} is a key of a recording; to play this run: `: replay`, or wavecrew ui --replay", "wait")
        if key in ("left", "right"):
            return self._to_note(player, 1 if key == "right" else -1)
        if key not in _DEEDS:
            return Said(f"{key} is off: this is a recording. As it is now: wavecrew ui {self.source.run}", "wait")
        _DEEDS[key](player)
        return Said("")

    def _to_note(self, player: Player, by: int) -> Said:
        number = player.to_note(by)
        if number is None:
            return Said(f"nothing of note {'comes any more' if by > 0 else 'was before'}", "wait")
        event: Event = player.recording.events[number]
        return Said(player.recording.words_of(number), "head", str(getattr(event, "phase", "")))
