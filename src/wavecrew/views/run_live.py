"""A run on a terminal: a region that is redrawn, above which finished lines scroll up and stay.

What it does: draws what `run_region` lays out, in the terminal's size, encoding and colours; `NO_COLOR` is respected.
What it does not know: what the lines say, and when something happens: whoever owns it calls `event` and `tick`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState
from wavecrew.views.phase_rows import NO_PROGRESS
from wavecrew.views.run_history import History
from wavecrew.views.run_plain import final_lines
from wavecrew.views.run_region import Line, Region
from wavecrew.views.run_words import for_encoding, label
from wavecrew.views.summary import Progress, Summary, summarize

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_SMALL: Final = 200  # phases; up to here every event is drawn at once
_PAUSE: Final = 0.1  # seconds between two drawings of a large plan that nobody asked for
_STYLES: Final = {
    "good": "green",
    "bad": "bold red",
    "busy": "cyan",
    "wait": "yellow",
    "quiet": "dim",
    "head": "bold",
    "": "",
}


class LiveView:
    """The live region of one run. `start` it, tell it events and ticks, and `stop` it, whatever happens.

    `history` are the events from before, if the run is taken up. `color` None leaves the choice to the terminal;
    where its encoding lacks a sign of ours, ASCII takes its place.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        history: Iterable[Event] = (),
        color: bool | None = None,
        ascii_only: bool = False,
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._color = color
        self._encoding = "ascii" if ascii_only else getattr(self._stream, "encoding", None)
        self._history = History(history)
        self._state: ExecutionState | None = None
        self._labels: list[str] = []
        self._now = 0.0
        self._drawn_at = float("-inf")
        self._progress: Progress = NO_PROGRESS
        self._console: Console | None = None
        self._live: Live | None = None

    def start(self) -> None:
        """Take the lower part of the terminal."""
        from rich.console import Console
        from rich.live import Live

        self._console = Console(
            file=self._stream,
            force_terminal=True,
            no_color=None if self._color is None else not self._color,
            markup=False,
            highlight=False,
            emoji=False,
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def event(self, events: Sequence[Event], state: ExecutionState) -> None:
        """Show what happened; `state` is the one after it. The region of a large plan does not follow a
        flood of events, but shows at the next tick what came of it."""
        if not events:
            return
        self._history.add(events)
        lines: list[Line] = []
        if self._state is None:
            self._labels = [label(name, phase.name) for name, phase in state.graph.nodes.items()]
            lines.append(self._region().header(state))
        self._state = state
        self._now = max(self._now, events[-1].at)
        lines += self._region().news(events, state)
        self._print(lines)
        if len(self._labels) <= _SMALL or self._now - self._drawn_at >= _PAUSE:
            self._draw()

    def tick(self, now: float, progress: Progress = NO_PROGRESS) -> None:
        """Redraw with the time and the steps of running phases."""
        self._now, self._progress = now, progress
        self._draw()

    def note(self, text: str) -> None:
        """Print a line above the region."""
        if self._console is not None:
            self._console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        """Give the terminal back; one line that sums up the run stays. May be called twice, and without `start`."""
        if self._live is None:
            return
        live, self._live = self._live, None
        try:
            if self._state is not None:
                summary = summarize(self._state, self._now, alive=False, history=self._history)
                live.update(self._text(self._region().ending(summary)))
        finally:
            live.stop()

    def end(self, logs: Mapping[str, str]) -> list[str]:
        """After `stop`: what failed, with the ends of the logs, and what to do next, as plain lines."""
        if self._state is None:
            return []
        lines = final_lines(summarize(self._state, self._now, alive=False, history=self._history), logs)
        return [for_encoding(line, self._encoding) for line in lines]

    # -- drawing

    def _region(self) -> Region:
        return Region(self._labels, self._console.size.width if self._console else 80)

    def _print(self, lines: list[Line]) -> None:
        if lines and self._console is not None:
            self._console.print(self._text(lines), no_wrap=True, overflow="crop", crop=True)

    def _draw(self) -> None:
        if self._live is None or self._console is None or self._state is None:
            return
        self._drawn_at = self._now
        summary: Summary = summarize(self._state, self._now, alive=True, progress=self._progress, history=self._history)
        lines = self._region().region(summary, self._console.size.height - 1)
        self._live.update(self._text(lines), refresh=True)

    def _text(self, lines: list[Line]) -> Text:
        from rich.text import Text

        text = Text(no_wrap=True, overflow="crop", end="")
        for place, line in enumerate(lines):
            if place:
                text.append("\n")
            for piece in line:
                text.append(for_encoding(piece.text, self._encoding), _STYLES[piece.style])
        return text
