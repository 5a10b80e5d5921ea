"""The lower pane: the timeline, the locks, who needs you, or the events.

What it does: shows the list that is chosen and knows what each of its lines is about: a phase, a gate, a lock.
What it does not know: what is done about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical

from wavecrew.tui.rows import Rows
from wavecrew.tui.source import RunSource
from wavecrew.views.board_keys import PANE_NAMES, Pane
from wavecrew.views.board_lists import event_line, needs, next_rows, nothing
from wavecrew.views.board_parts import Line, Piece, plain, plain_text
from wavecrew.views.board_time import legend, now_line, time_rows
from wavecrew.views.terminal_text import cells

_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class About:
    """What a line is about; all empty for a line that only tells something."""

    phase: str = ""
    gate: str = ""
    lock: str = ""


class ListPane(Vertical):
    """One of the lists at a time."""

    DEFAULT_CSS = "ListPane #list-title { height: 1; } ListPane #list { height: 1fr; }"

    def __init__(self, source: RunSource, *, id: str) -> None:  # noqa: A002 -- textual's word
        super().__init__(id=id)
        self.source = source
        self.pane = Pane.TIMELINE
        self.words = ""
        self.phase = ""
        """The phase that is chosen elsewhere; its bar is pointed at."""
        self._about: list[About] = []

    def compose(self) -> ComposeResult:
        yield Rows(id="list-title", bar=True)
        yield Rows(id="list", choosing=True)

    def on_mount(self) -> None:
        self.query_one("#list-title", Rows).can_focus = False

    @property
    def rows(self) -> Rows:
        """The rows."""
        return self.query_one("#list", Rows)

    @property
    def about(self) -> About:
        """What the chosen line is about."""
        place = self.rows.place
        return self._about[place] if 0 <= place < len(self._about) else About()

    def turn(self, pane: Pane) -> None:
        """Another list, from its beginning; events from their end."""
        if pane is not self.pane:
            self.pane, self.words = pane, ""
            self.rows.choosing = pane is not Pane.EVENTS
            self.rows.follow = pane is Pane.EVENTS
            self.rows.to_top()

    def draw(self) -> None:
        """The list as it is now."""
        width = max(20, self.size.width - 3)
        before = self.about
        found = self._found(width)
        if self.words and self.pane is not Pane.EVENTS:
            wanted = self.words.casefold()
            found = [one for one in found if wanted in "".join(piece.text for piece in one[0]).casefold()]
        self._about = [about for _, about in found]
        place = self.rows.place
        if self.pane is Pane.TIMELINE and not self.rows.has_focus:
            before = About(phase=self.phase)
        if before != About() and before in self._about:
            place = self._about.index(before)
        self.rows.show([line for line, _ in found], place)
        self.query_one("#list-title", Rows).show([self._title(width + 2)])

    def _found(self, width: int) -> list[tuple[Line, About]]:
        source = self.source
        summary = source.summary
        if self.pane is Pane.TIMELINE:
            rows = time_rows(summary, source.history, source.waits, width)
            return [(row.line, About(phase=row.phase)) for row in rows] or _told("nothing has been started yet", width)
        if self.pane is Pane.LOCKS:
            lines, resources = source.locks(width)
            pairs = zip(lines, resources, strict=True)
            return [(plain(line, "" if lock else "quiet"), About(lock=lock)) for line, lock in pairs]
        if self.pane is Pane.NEEDS_YOU:
            found = [
                (one.line, About(phase=one.phase, gate=one.gate))
                for one in needs(summary, width, keys=source.player is None)
            ]
            found = found or _told("nobody is needed", width)
            after = next_rows(summary, width) if source.player is None else []
            return [*found, *((line, About()) for line in after)]
        return [(event_line(text, width + 2), About()) for text in self._event_lines()]

    def _event_lines(self) -> list[str]:
        """The last events; those with certain words are looked for in all of each line."""
        lines, wanted = self.source.event_lines, self.words.casefold()
        return [line for line in lines if wanted in line.casefold()][-_EVENTS:] if wanted else lines[-_EVENTS:]

    def _title(self, width: int) -> Line:
        pieces = self._names(lambda pane, name: f"{name}{self._count(pane)}")
        if cells(plain_text(tuple(pieces))) > width:
            pieces = self._names(lambda pane, name: name if pane is self.pane else name.split()[0])
        if cells(plain_text(tuple(pieces))) > width:
            pieces = self._names(lambda pane, name: name if pane is self.pane else "")
        if self.pane is Pane.TIMELINE and width >= 110:
            pieces += [Piece("  "), *now_line(self.source.summary, 30), Piece("   "), *legend(width - 92)]
        return tuple(pieces)

    def _names(self, words: Callable[[Pane, str], str]) -> list[Piece]:
        pieces: list[Piece] = [Piece(" ")]
        for pane, name in PANE_NAMES.items():
            said = words(pane, name)
            pieces.append(Piece(f"{int(pane)} ", "key"))
            pieces.append(Piece(f"[{said}]", "tab") if pane is self.pane else Piece(f" {said} " if said else ""))
            pieces.append(Piece(" "))
        return pieces

    def _count(self, pane: Pane) -> str:
        if pane is Pane.NEEDS_YOU:
            return f" {self.source.summary.needed}"
        return f" {self.source.lock_counts}" if pane is Pane.LOCKS else ""


def _told(words: str, width: int) -> list[tuple[Line, About]]:
    return [(line, About()) for line in nothing(words, width)]
