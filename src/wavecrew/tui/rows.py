"""Lines of text with a cursor: the one way in which words reach the terminal.

What it does: draws those of its lines that are in sight, and only those of them that have changed; lets a cursor or the
whole list move, follows the end of what grows, and takes from every piece whatever is no printable character, wherever
it came from.
What it does not know: what the lines are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset, Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from wavecrew.tui.palette import style_of
from wavecrew.views.board_parts import Line, shown
from wavecrew.views.terminal_text import one_line

if TYPE_CHECKING:
    from textual import events
    from textual.app import RenderResult

_AROUND: Final = 3
"""How many lines before and after the chosen one stay in sight."""
_THUMB: Final = "│"
_WHEEL: Final = 3


class Rows(Widget, can_focus=True):
    """A list of lines. With `choosing` one of them is chosen, else it only scrolls. `follow` keeps its end in sight.
    A `bar` is a heading on a ground of its own. At its right edge stands a mark of what is in sight, but for bars and
    where it would be selected together with the text (`bare`)."""

    class Chosen(Message):
        """Another line was chosen by the user."""

        def __init__(self, rows: Rows, place: int) -> None:
            super().__init__()
            self.rows = rows
            self.place = place

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 -- textual's word
        choosing: bool = False,
        bar: bool = False,
        bare: bool = False,
    ) -> None:
        super().__init__(id=id)
        self.lines: Sequence[Line] = ()
        self.place = 0
        self.top = 0
        self.follow = False
        self.choosing = choosing
        self._bar = bar
        self._bare = bar or bare

    # -- what it shows

    def show(self, lines: Sequence[Line], place: int | None = None) -> None:
        """Show these lines; with `place`, that one is chosen. Only what differs is drawn anew."""
        before, top, chosen = self.lines, self.top, self.place
        self.lines = tuple(lines)
        if place is not None:
            self.place = place
        self.place = max(0, min(self.place, len(lines) - 1))
        self._settle()
        if self.top != top or len(before) != len(lines):
            self.refresh()
            return
        for y in range(self.size.height):
            one = top + y
            old, new = before[one : one + 1], self.lines[one : one + 1]
            moved = self.choosing and chosen != self.place and one in (chosen, self.place)
            if old != new or moved:
                self.refresh(Region(0, y, self.size.width, 1))

    @property
    def room(self) -> int:
        """How many columns a line has."""
        return max(1, self.size.width - (2 if self.choosing else 0) - (0 if self._bare else 1))

    @property
    def _last_top(self) -> int:
        return max(0, len(self.lines) - max(1, self.size.height))

    def _settle(self) -> None:
        """Put what matters in sight: the end, the chosen line, or at least no emptiness."""
        height = max(1, self.size.height)
        if self.follow:
            self.top = self._last_top
        elif self.choosing:
            around = min(_AROUND, (height - 1) // 2)
            if self.place < self.top + around:
                self.top = self.place - around
            elif self.place >= self.top + height - around:
                self.top = self.place - height + 1 + around
        self.top = max(0, min(self._last_top, self.top))
        if self.choosing and self.has_focus:
            self.app.cursor_position = self.region.offset + Offset(0, self.place - self.top)

    # -- moving

    def to_top(self) -> None:
        """The first lines."""
        self.place = self.top = 0
        self.refresh()

    def move(self, by: int) -> None:
        """Choose another line, or scroll where none is chosen."""
        if not self.choosing:
            self.top = max(0, min(self._last_top, self.top + by))
            self.refresh()
            return
        place = max(0, min(len(self.lines) - 1, self.place + by))
        if place != self.place and self.lines:
            self.place = place
            self._settle()
            self.refresh()
            self.post_message(self.Chosen(self, place))

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

    def on_mouse_scroll_down(self) -> None:
        self.move(_WHEEL)

    def on_mouse_scroll_up(self) -> None:
        self.follow = False
        self.move(-_WHEEL)

    def on_click(self, event: events.Click) -> None:
        if self.choosing:
            self.move(self.top + event.y - self.place)

    def on_focus(self) -> None:
        self._settle()
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        self._settle()
        self.refresh()

    # -- drawing

    def render(self) -> RenderResult:
        """Nothing: lines are drawn one by one."""
        return ""

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        base = self.rich_style
        if self._bar:
            base += style_of(self.app.theme, "bar")
        if self._bare:
            return self._strip(y, width, base)
        mark = Segment(safe(_THUMB, self._encoding), base + style_of(self.app.theme, "quiet"))
        last = mark if self._is_in_sight(y) else Segment(" ", base)
        return Strip.join((self._strip(y, width - 1, base), Strip([last], 1)))

    def _strip(self, y: int, width: int, base: Style) -> Strip:
        place = y + self.top
        if place >= len(self.lines):
            return Strip.blank(width, base)
        chosen = self.choosing and place == self.place
        over = style_of(self.app.theme, "chosen" if self.has_focus else "chosen-far") if chosen else None
        segments = [self._segment("> " if chosen else "  ", base, "", over)] if self.choosing else []
        segments += [self._segment(piece.text, base, piece.style, over) for piece in self.lines[place] if piece.text]
        return Strip(segments).adjust_cell_length(width, base + over if over else base)

    def _is_in_sight(self, y: int) -> bool:
        """Whether the mark of what is in sight covers this line; there is none where all is."""
        height, count = self.size.height, len(self.lines)
        if count <= height:
            return False
        length = max(1, height * height // count)
        first = round(self.top / max(1, self._last_top) * (height - length))
        return first <= y < first + length

    def _segment(self, text: str, base: Style, name: str, over: Style | None) -> Segment:
        style = base if over is None else base + over
        if name:
            style += style_of(self.app.theme, name)
        return Segment(safe(text, self._encoding), style)

    @property
    def _encoding(self) -> str:
        return str(getattr(self.app, "encoding", "utf-8"))


def safe(text: str, encoding: str) -> str:
    """The last look at a text before it goes to a terminal: nothing in it can steer one, and all can be written."""
    if not text.isprintable():
        body = one_line(text)
        lead = len(text) - len(text.lstrip(" "))
        text = " " * lead + "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in body)
    return shown(text, encoding)
