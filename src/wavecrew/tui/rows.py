"""Lines of text with a cursor: the one way in which words reach the terminal.

What it does: draws those of its lines that can be seen, lets a cursor or the whole list move, follows the end of what
grows, and takes from every piece whatever is no printable character, wherever it came from.
What it does not know: what the lines are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from wavecrew.tui.palette import style_of
from wavecrew.views.board_parts import Line, shown
from wavecrew.views.terminal_text import one_line

if TYPE_CHECKING:
    from textual import events

_AROUND: Final = 3
"""How many lines before and after the chosen one stay in sight."""


class Rows(ScrollView, can_focus=True):
    """A list of lines. With `choosing` one of them is chosen, else it only scrolls. `follow` keeps its end in sight."""

    class Chosen(Message):
        """Another line was chosen by the user."""

        def __init__(self, rows: Rows, place: int) -> None:
            super().__init__()
            self.rows = rows
            self.place = place

    def __init__(self, *, id: str, choosing: bool = False, bar: bool = False) -> None:  # noqa: A002 -- textual's word
        super().__init__(id=id)
        self.lines: Sequence[Line] = ()
        self.place = 0
        self.follow = False
        self.choosing = choosing
        self._bar = bar

    # -- what it shows

    def show(self, lines: Sequence[Line], place: int | None = None) -> None:
        """Show these lines; with `place`, that one is chosen."""
        self.lines = lines
        if place is not None:
            self.place = place
        self.place = max(0, min(self.place, len(lines) - 1))
        height = len(lines)
        if self.virtual_size.height != height:
            self.virtual_size = Size(self.size.width, height)
        if self.follow:
            self.to_end()
        elif self.choosing:
            self._keep_in_sight()
        elif self.scroll_offset.y > max(0, height - self.size.height):
            self.scroll_to(y=max(0, height - self.size.height), animate=False, immediate=True)
        self.refresh()

    def to_end(self) -> None:
        """The last lines."""
        self.scroll_to(y=max(0, len(self.lines) - self.size.height), animate=False, immediate=True)

    @property
    def room(self) -> int:
        """How many columns a line has."""
        return max(1, self.size.width - (2 if self.choosing else 0))

    def _keep_in_sight(self) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height)
        around = min(_AROUND, (height - 1) // 2)
        last = max(0, len(self.lines) - height)
        if self.place < top + around:
            self.scroll_to(y=max(0, self.place - around), animate=False, immediate=True)
        elif self.place >= top + height - around:
            self.scroll_to(y=min(last, self.place - height + 1 + around), animate=False, immediate=True)
        if self.has_focus:
            self.app.cursor_position = self.region.offset + Offset(0, self.place - self.scroll_offset.y)

    # -- moving

    def move(self, by: int) -> None:
        """Choose another line, or scroll where none is chosen."""
        if self.choosing:
            place = max(0, min(len(self.lines) - 1, self.place + by))
            if place != self.place and self.lines:
                self.place = place
                self._keep_in_sight()
                self.refresh()
                self.post_message(self.Chosen(self, place))
            return
        last = max(0, len(self.lines) - self.size.height)
        target = max(0, min(last, self.scroll_offset.y + by))
        self.scroll_to(y=target, animate=False, immediate=True)
        self.refresh()

    def on_key(self, event: events.Key) -> None:
        page = max(1, self.size.height - 1)
        far = len(self.lines)
        steps = {"up": -1, "down": 1, "pageup": -page, "pagedown": page, "home": -far, "end": far}
        by = steps.get(event.key)
        if by is None:
            return
        event.stop()
        event.prevent_default()
        if not self.choosing:
            self.follow = event.key == "end" or (self.follow and by > 0)
        self.move(by)

    def on_focus(self) -> None:
        self._keep_in_sight()
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    # -- drawing

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        place = y + self.scroll_offset.y
        base = self.rich_style
        theme = self.app.theme
        if self._bar:
            base += style_of(theme, "bar")
        if place >= len(self.lines):
            return Strip.blank(width, base)
        chosen = self.choosing and place == self.place
        over = style_of(theme, "chosen" if self.has_focus else "chosen-far") if chosen else None
        segments = [self._segment("> " if chosen else "  ", base, "", over)] if self.choosing else []
        segments += [self._segment(piece.text, base, piece.style, over) for piece in self.lines[place] if piece.text]
        return Strip(segments).adjust_cell_length(width, base + over if over else base)

    def _segment(self, text: str, base: Style, name: str, over: Style | None) -> Segment:
        style = base if over is None else base + over
        if name:
            style += style_of(self.app.theme, name)
        return Segment(safe(text, getattr(self.app, "encoding", "utf-8")), style)


def safe(text: str, encoding: str) -> str:
    """The last look at a text before it goes to a terminal: nothing in it can steer one, and all can be written."""
    if not text.isprintable():
        body = one_line(text)
        lead = len(text) - len(text.lstrip(" "))
        text = " " * lead + "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in body)
    return shown(text, encoding)
