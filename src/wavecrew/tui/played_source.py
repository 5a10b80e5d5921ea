"""What the board shows of a recorded run: each moment of it as if it were now.

What it does: gives the same as `RunSource`, for the moment at which a player stands; goes on from one moment to a later
one event by event, and makes any other anew.
What it does not know: screens and keys. What was not recorded is not made up: locks as they were held, and what an
agent had printed by then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from wavecrew.core.store import Store
from wavecrew.errors import NotFoundError
from wavecrew.models.execution_state import evolve
from wavecrew.tui.player import SPEED, Player
from wavecrew.tui.source import RunSource
from wavecrew.views.lock_text import lock_table
from wavecrew.views.replay import LONGEST_PAUSE
from wavecrew.views.run_history import History

_INTERVAL: Final = 0.5


class PlayedSource(RunSource):
    """A run as it was. Raises NotFoundError for one that has recorded nothing, and like `RunSource`."""

    def __init__(
        self,
        store: Store,
        workspace: Path,
        reference: str = "latest",
        *,
        speed: float = SPEED,
        longest: float = LONGEST_PAUSE,
    ) -> None:
        super().__init__(store, workspace, reference)
        if not self.events:
            raise NotFoundError(f"run {self.run} has no events to play")
        self._player = self.player = Player(self.events, speed, longest)
        self._shown = -1
        self._moment = self.events[0].at
        self.alive, self._progress, self._signs = False, {}, {}
        self._go()

    @property
    def interval(self) -> float:
        """How often times are drawn, in seconds."""
        return _INTERVAL

    def look(self) -> bool:
        """Go on with the play; tells whether anything has happened in it."""
        return self._go()

    def tick(self) -> None:
        """A new moment."""
        self.look()

    def _go(self) -> bool:
        found = self._player.moment
        self._moment, self._summary = found.now, None
        before = self._shown
        if found.events == before:
            return False
        recording, self._shown = self._player.recording, found.events
        news = recording.events[max(0, before) : found.events]
        if found.events > before >= 0 and len(news) <= len(recording.events) // 8:
            self.state = evolve(self.state, *news)
            self.events += news
            self.history.add(news)
        else:
            self.state = recording.state(found.events)
            self.events = list(recording.events[: found.events])
            self.history = History(self.events)
        self.event_lines = recording.lines_after(found.events)
        self._waits = None
        return True

    # -- what was not recorded

    @property
    def now(self) -> float:
        """The moment at which the player stands."""
        return self._moment

    def _alive(self) -> bool | None:
        return None  # as the events tell it

    def locks(self, width: int) -> tuple[list[str], list[str]]:
        """Who waited for what at this moment."""
        *lines, _ = lock_table([], self._own_waits, self._moment, width=width).split("\n")
        lines.append("which locks were held is not recorded; whoever waited is here"[:width])
        return lines, [""] * len(lines)

    @property
    def lock_counts(self) -> str:
        """`1 waiting`."""
        return f"{len(self._own_waits)} waiting"
