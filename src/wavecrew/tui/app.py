"""The application that shows the board in a terminal.

What it does: sets up textual without anything that could surprise: no mouse unless it is wanted, so that the terminal's
own selection works; no palette, no animation; ends in good order when it is told to.
What it does not know: what is on the board.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import Final

from textual.app import App

from wavecrew.tui.board import Board
from wavecrew.tui.commands import environment
from wavecrew.tui.deeds import Deeds
from wavecrew.tui.palette import THEMES
from wavecrew.tui.source import RunSource

_LOOK_SECONDS: Final = 1.0


class BoardApp(App[None]):
    """One run in one terminal. `theme_name` is one of `palette.THEMES`; `encoding` is what the terminal can show."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: $background; color: $foreground; }
    Question, Words { background: transparent; }
    Rows { background: $background; }
    """

    def __init__(
        self, source: RunSource, *, theme_name: str, encoding: str = "utf-8", prefix: Sequence[str] = ()
    ) -> None:
        no_color = os.environ.pop("NO_COLOR", None)  # our theme without colours is it; textual would make them grey
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.source = source
        self.encoding = encoding
        self.animation_level = "none"
        self.theme = theme_name
        self.fault: Exception | None = None
        """What went wrong in here, for whoever started it: a picture of it on the terminal would help nobody."""
        self._deeds = Deeds(source, environment(no_color), prefix)

    def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        if sys.stdin.isatty():
            self.set_interval(_LOOK_SECONDS, self._leave_if_alone)
        self.push_screen(Board(self.source, self._deeds))

    def _leave_if_alone(self) -> None:
        """End with the terminal. Not everybody whose terminal is gone hears a signal, and whoever goes on would read
        its end without end."""
        there = select.poll()
        there.register(sys.stdin.fileno(), 0)
        if there.poll(0):  # nothing was asked for, so it can only be gone
            self.exit()

    def _handle_exception(self, error: Exception) -> None:
        self.fault = self.fault or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()  # and no picture of what was in memory, which may be foreign words or secrets
