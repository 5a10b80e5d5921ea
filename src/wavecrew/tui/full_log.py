"""A log over the whole screen, without a frame: what is selected with the terminal's own means is the log and nothing
else.

What it does: follows the end of the log until somebody moves up, shows only lines with certain words, copies.
What it does not know: how a log is read and folded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from wavecrew.tui.dialogs import Words
from wavecrew.tui.log_rows import LogRows
from wavecrew.tui.rows import Rows
from wavecrew.views.board_parts import Line, Piece, fitting, plain

COPY_LIMIT: Final = 70_000
"""How many characters are copied at most; terminals drop longer ones."""
_LOOK_SECONDS: Final = 0.4


class FullLog(Screen[None]):
    """The log of one attempt."""

    DEFAULT_CSS = """
    FullLog #full { height: 1fr; }
    FullLog #full-foot { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back"),
        Binding("q,F", "leave"),
        Binding("ctrl+c", "leave", priority=True),
        Binding("y", "copy"),
        Binding("slash", "find"),
        Binding("o", "pager"),
    ]

    def __init__(self, log: LogRows, title: str, pager: Callable[[], None]) -> None:
        super().__init__()
        self._log = log
        self._title = title
        self._pager = pager
        self._words = ""

    def compose(self) -> ComposeResult:
        yield Rows(id="full", bare=True)
        yield Rows(id="full-foot")

    def on_mount(self) -> None:
        rows = self.query_one("#full", Rows)
        rows.follow = True
        rows.focus()
        self.query_one("#full-foot", Rows).can_focus = False
        self._draw(always=True)
        self.set_interval(_LOOK_SECONDS, self._draw)

    def on_resize(self) -> None:
        self._draw(always=True)

    def _draw(self, *, always: bool = False) -> None:
        rows = self.query_one("#full", Rows)
        if self._log.update(max(10, self.app.size.width), self._words) or always:
            rows.show(self._log.rows)
        keys = (("esc", "back"), ("/", "find"), ("y", "copy"), ("o", "pager"), ("end", "follow"))
        last = min(len(rows.lines), rows.top + rows.size.height)
        foot: list[tuple[int, Line]] = [
            (1, plain(self._title, "head")),
            (0, plain("following" if rows.follow else f"row {last:,} of {len(rows.lines):,}", "good")),
            *((1, plain(f"only lines with: {self._words}", "wait")) for _ in range(bool(self._words))),
            *((2, (Piece(key, "key"), Piece(f" {word}", "quiet"))) for key, word in keys),
        ]
        self.query_one("#full-foot", Rows).show([fitting(foot, self.app.size.width)])

    def action_back(self) -> None:
        """First out of the search, then to the board."""
        if self._words:
            self._words = ""
            self._draw(always=True)
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """To the board."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """The log, or those of its lines that are shown, to the clipboard of the terminal."""
        wanted = self._words.casefold()
        lines = [line for line in self._log.end.lines if wanted in line.casefold()]
        self.app.copy_to_clipboard("\n".join(lines)[-COPY_LIMIT:])

    def action_find(self) -> None:
        """Show only the lines with some words."""

        def changed(words: str) -> None:
            self._words = words
            self._draw(always=True)

        before = self._words
        self.app.push_screen(
            Words("only lines with", before, changed=changed), lambda found: changed(before if found is None else found)
        )

    def action_pager(self) -> None:
        """The whole log in a pager."""
        self._pager()
