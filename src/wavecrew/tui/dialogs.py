"""Questions and pages over the board: agree or not, some words, a choice of commands, a page of text.

What it does: shows each at the foot or over the whole screen, and gives back what was answered; nothing is ever done by
a key that was pressed too often, because no answer is the one that does no harm.
What it does not know: what comes of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Input

from wavecrew.tui.rows import Rows
from wavecrew.views.board_parts import Line, Piece, folded, plain, plain_text, told
from wavecrew.views.terminal_text import cells

if TYPE_CHECKING:
    from textual import events

_FOOT = """
{name} {{ align: center bottom; }}
{name} > Vertical {{ height: auto; max-height: 90%; width: 100%; background: $background; }}
{name} Rows {{ height: auto; }}
{name} #question-title {{ height: 1; }}
"""


class Question(ModalScreen[str]):
    """A sentence, and keys that answer it. Gives the key, or nothing for `esc`, `n` and whatever else takes it back."""

    DEFAULT_CSS = _FOOT.format(name="Question")
    AUTO_FOCUS = ""

    def __init__(self, title: str, sentence: str, answers: Sequence[tuple[str, str]], command: str = "") -> None:
        super().__init__()
        self._title = title
        self._sentence = sentence
        self._answers = answers
        self._command = command

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Rows(id="question-title", bar=True)
            yield Rows(id="question")

    def on_mount(self) -> None:
        for rows in self.query(Rows):
            rows.can_focus = False
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.app.size.width
        self.query_one("#question-title", Rows).show([plain(f" {self._title}", "head")])
        lines: list[Line] = [*told(" ", self._sentence, width - 2)]
        if self._command:
            lines += told(" $ ", self._command, width - 2, "key")
        lines += _key_rows((*self._answers, ("esc", "back")), width)
        rows = self.query_one("#question", Rows)
        rows.styles.height = len(lines)
        rows.show(lines)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        pressed = event.character if event.character and event.is_printable else event.key
        pressed = "space" if pressed == " " else pressed
        if pressed in [key for key, _ in self._answers]:
            self.dismiss(pressed)
        elif event.key in ("escape", "n", "q", "ctrl+c"):
            self.dismiss("")


def _key_rows(pairs: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """Keys and what they mean, in as many rows as they need: none may be out of sight."""
    rows: list[list[Piece]] = [[Piece(" ")]]
    taken = 1
    for key, word in pairs:
        wide = cells(key) + cells(word) + 4
        if taken + wide > width and taken > 1:
            rows.append([Piece(" ")])
            taken = 1
        rows[-1] += [Piece(key, "key"), Piece(f" {word}   ")]
        taken += wide
    return [tuple(row) for row in rows]


class Words(ModalScreen[str | None]):
    """A line to be filled. Gives the words, or None for `esc`; `changed` hears every letter."""

    DEFAULT_CSS = _FOOT.format(name="Words") + "Words Input { border: none; height: 1; padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", priority=True),
        Binding("ctrl+c", "back", priority=True),
        Binding("up", "earlier(-1)", priority=True),
        Binding("down", "earlier(1)", priority=True),
    ]

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        changed: Callable[[str], None] | None = None,
        earlier: Sequence[str] = (),
        required: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._changed = changed
        self._earlier = [*earlier, value]
        self._place = len(self._earlier) - 1
        self._required = required

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Rows(id="question-title", bar=True)
            field = Input(self._value, id="words", compact=True)
            field.cursor_blink = False
            yield field

    def on_mount(self) -> None:
        self.query_one("#question-title", Rows).can_focus = False
        self._draw()
        self.query_one(Input).focus()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        """What is asked for, in as many rows as it needs, and the keys."""
        width = self.app.size.width
        lines: list[Line] = [plain(f" {row}", "head") for row in folded(self._title, width - 2, at_blanks=True)]
        keys = (Piece("   enter", "key"), Piece(" done   ", "quiet"), Piece("esc", "key"), Piece(" back", "quiet"))
        if cells(plain_text((*lines[-1], *keys))) <= width:
            lines[-1] = (*lines[-1], *keys)
        else:
            lines.append(keys)
        title = self.query_one("#question-title", Rows)
        title.styles.height = len(lines)
        title.show(lines)

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._changed is not None:
            self._changed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip() or not self._required:
            self.dismiss(event.value)

    def action_back(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)

    def action_earlier(self, by: int) -> None:
        """The line that was typed before, or after."""
        if self._changed is None:
            self._place = max(0, min(len(self._earlier) - 1, self._place + by))
            field = self.query_one(Input)
            field.value = self._earlier[self._place]
            field.cursor_position = len(field.value)


class Page(Screen[None]):
    """Some text over the whole screen: help, the graph, what a command says. `lines` makes it for a width."""

    DEFAULT_CSS = "Page #page-title, Page #page-foot { height: 1; } Page #page { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark,g", "back"),
        Binding("ctrl+c", "back", priority=True),
        Binding("y", "copy"),
    ]

    def __init__(
        self, title: str, lines: Callable[[int], Sequence[Line]], *, text: Callable[[], str] | None = None
    ) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._text = text

    def compose(self) -> ComposeResult:
        yield Rows(id="page-title", bar=True)
        yield Rows(id="page")
        yield Rows(id="page-foot")

    def on_mount(self) -> None:
        for name in ("#page-title", "#page-foot"):
            self.query_one(name, Rows).can_focus = False
        copy = (Piece("y", "key"), Piece(" copy  ", "quiet")) if self._text else ()
        foot: Line = (
            Piece("esc", "key"),
            Piece(" back  ", "quiet"),
            Piece("up down", "key"),
            Piece(" move  ", "quiet"),
        )
        self.query_one("#page-foot", Rows).show([(*foot, *copy)])
        self.query_one("#page", Rows).focus()
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self, title: str = "") -> None:
        """Make the text anew, as a command goes on talking; as soon as there is a screen to draw it on."""
        self._title = title or self._title
        if not self.is_mounted:
            return
        self.query_one("#page-title", Rows).show([plain(f" {self._title}", "head")])
        page = self.query_one("#page", Rows)
        page.show(self._lines(max(20, self.app.size.width - 2)))

    def action_back(self) -> None:
        """To the board."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """All of it to the clipboard of the terminal."""
        if self._text is not None:
            self.app.copy_to_clipboard(self._text())
