"""The board: a run that fills a terminal, and its keys.

What it does: lays out head, plan, phase and lists for any size, draws state changes at once and totals at every
interval, and leads each key to what it means. Leaving it changes nothing: the run is somebody else's process.
What it does not know: how a line is written (`views.board_*`), and how a command is carried out (`deeds`).
"""

from __future__ import annotations

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from wavecrew.tui import layout, looks
from wavecrew.tui.deeds import Deeds
from wavecrew.tui.full_log import COPY_LIMIT
from wavecrew.tui.list_pane import ListPane
from wavecrew.tui.palette import DARK, LIGHT, PLAIN
from wavecrew.tui.phase_pane import PhasePane
from wavecrew.tui.play_bar import KEYS as PLAY_KEYS
from wavecrew.tui.play_bar import PlayBar
from wavecrew.tui.rows import Rows
from wavecrew.tui.source import RunSource
from wavecrew.views.board_actions import Action, actions
from wavecrew.views.board_keys import TAB_KEYS, Pane, footer
from wavecrew.views.board_parts import Line, Piece, plain
from wavecrew.views.board_plan import alarm_words, chosen_rows, head_line, plan_lines
from wavecrew.views.phase_rows import PhaseRow
from wavecrew.views.summary import AT_WORK, Standing
from wavecrew.views.terminal_text import cut

_LOOK_SECONDS: Final = 0.2
"""How often it is asked whether anything was recorded."""
_LOG_LOOKS: Final = 2
"""How many of those looks pass before it is asked what the agent that is shown has printed; over a slow line every
drawing of a log that scrolls counts."""
_SAID_LOOKS: Final = 40
_THEMES: Final = (DARK, LIGHT, PLAIN)


class Board(Screen[None]):
    """The main screen. `ascii_only` leaves out what such a terminal cannot draw."""

    DEFAULT_CSS = layout.RULES
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(int(pane)), f"pane({int(pane)})") for pane in Pane),
        *(Binding(key, f"tab('{key}')") for key in TAB_KEYS),
        *(Binding(key, f"act('{key}')") for key in ("r", "R", "s", "x", "a", "A", "G", "space")),
        *(Binding(name, f"play('{key}')") for name, key in PLAY_KEYS.items()),
        Binding("tab", "next_pane(1)", priority=True),
        Binding("shift+tab", "next_pane(-1)", priority=True),
        Binding("enter", "open"),
        Binding("escape", "back"),
        Binding("left_square_bracket", "attempt(-1)"),
        Binding("right_square_bracket", "attempt(1)"),
        Binding("slash", "find"),
        Binding("colon", "command"),
        Binding("question_mark", "help"),
        Binding("g", "graph"),
        Binding("z", "zoom"),
        Binding("F", "full_log"),
        Binding("o", "pager"),
        Binding("v", "plain"),
        Binding("y", "copy"),
        Binding("T", "theme"),
        Binding("q", "leave"),
        Binding("Q", "ask_stop"),
        Binding("ctrl+c", "ask_stop", priority=True),
    ]

    def __init__(self, source: RunSource, deeds: Deeds) -> None:
        super().__init__()
        self.source = source
        self.deeds = deeds
        self.words = ""
        """Which phases the plan shows; empty for all."""
        self._rows: list[PhaseRow] = []
        self._said: tuple[str, str] = ("", "")
        self._said_left = 0
        self._looks = 0
        self._was_small = False

    def compose(self) -> ComposeResult:
        yield Rows(id="head", bar=True)
        yield PlayBar(self.source, id="play")
        yield Rows(id="alarm")
        with Horizontal(id="top"):
            with Vertical(id="left"):
                yield Rows(id="plan-title", bar=True)
                yield Rows(id="plan", choosing=True)
            yield PhasePane(self.source, id="phase")
        yield ListPane(self.source, id="lists")
        yield Rows(id="foot")

    def on_mount(self) -> None:
        for name in ("#head", "#alarm", "#plan-title", "#foot"):
            self.query_one(name, Rows).can_focus = False
        self.set_class(self.source.player is not None, "playing")
        self.phase_pane.choose(self._first())
        self.plan.focus()
        self.set_interval(_LOOK_SECONDS, self._look)
        self.set_interval(self.source.interval, self._tick)
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        if layout.is_small(self):
            layout.enlarge(self)
        elif self._was_small:
            layout.side_by_side(self)
        self._was_small = layout.is_small(self)
        self.call_after_refresh(self.draw)

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self.draw)

    # -- its parts

    @property
    def plan(self) -> Rows:
        """The rows of the plan."""
        return self.query_one("#plan", Rows)

    @property
    def phase_pane(self) -> PhasePane:
        """The pane of the chosen phase."""
        return self.query_one(PhasePane)

    @property
    def lists(self) -> ListPane:
        """The lower pane."""
        return self.query_one(ListPane)

    @property
    def play_bar(self) -> PlayBar:
        """The line of the player."""
        return self.query_one(PlayBar)

    @property
    def pane(self) -> Pane:
        """The pane that has the keys."""
        if self.phase_pane.body.has_focus:
            return Pane.PHASE
        return self.lists.pane if self.lists.rows.has_focus else Pane.PLAN

    @property
    def row(self) -> PhaseRow | None:
        """The chosen phase."""
        return self.source.summary.by_id.get(self.phase_pane.phase)

    def _first(self) -> str:
        """The phase that is most likely looked for."""
        summary = self.source.summary
        gated = [row for row in summary.of(Standing.READY) if row.gate]
        asking = [row for row in summary.rows if row.asks]
        found = (*asking, *summary.silent, *gated, *summary.of(*AT_WORK), *summary.of(Standing.FAILED), *summary.rows)
        return found[0].id if found else ""

    def valid(self) -> tuple[Action, ...]:
        """What can be done now; nothing about what was."""
        if self.source.player is not None:
            return ()
        gate = self.lists.about.gate if self.pane is Pane.NEEDS_YOU else ""
        return actions(self.source.summary, self.row, gate)

    # -- time

    def _look(self) -> None:
        if not self.is_current:
            return
        self._looks += 1
        if self.source.look():
            self.draw()
        elif self.source.player is not None:
            self.play_bar.draw()
        elif self._looks % _LOG_LOOKS == 0:
            self.phase_pane.draw_log()
        if self._said_left:
            self._said_left -= 1
            if not self._said_left:
                self._foot()

    def _tick(self) -> None:
        if self.is_current:
            self.source.tick()
            self.draw()

    # -- drawing

    def draw(self) -> None:
        """Everything, for this moment."""
        if not self.is_mounted:
            return
        summary = self.source.summary
        self.query_one("#head", Rows).show([(Piece(" "), *head_line(summary, self.size.width - 2))])
        self.play_bar.draw()
        alarm = self.source.trouble or alarm_words(summary, acting=self.source.player is None)
        self.set_class(bool(alarm), "alarmed")
        self.query_one("#alarm", Rows).show([plain(cut(f" ! {alarm}", self.size.width), "mark")])
        self._draw_plan()
        self.phase_pane.draw(self.row)
        self.lists.phase = self.phase_pane.phase
        self.lists.draw()
        self._foot()

    def _draw_plan(self) -> None:
        self._rows = list(chosen_rows(self.source.summary, self.words))
        place = next((n for n, row in enumerate(self._rows) if row.id == self.phase_pane.phase), None)
        if place is None and self._rows:
            place = min(self.plan.place, len(self._rows) - 1)
            self.phase_pane.choose(self._rows[place].id)
        self.plan.show(plan_lines(self.source.summary, self._rows, self.plan.room), place)
        words = f"only: {self.words}" if self.words else f"{len(self._rows)} phases, {self._waves()} waves"
        title: Line = (Piece(" 1 ", "key"), Piece("Plan  ", "head"), Piece(words, "wait" if self.words else ""))
        self.query_one("#plan-title", Rows).show([title])

    def _waves(self) -> int:
        return max((row.wave for row in self.source.summary.rows), default=0)

    def _foot(self) -> None:
        words, style = self._said
        line: Line = footer(self.valid(), self.pane, self.size.width, player=self.play_bar.space_word)
        if self._said_left:
            line = plain(cut(words, self.size.width), style)
        self.query_one("#foot", Rows).show([line])

    def say(self, words: str, style: str = "good") -> None:
        """A sentence at the foot, for some seconds."""
        self._said, self._said_left = (words, style), _SAID_LOOKS if words else 0
        self._foot()

    # -- moving

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        if event.rows is self.plan and event.place < len(self._rows):
            self._choose(self._rows[event.place].id)
        elif self.lists.about.phase:
            self._choose(self.lists.about.phase)
        else:
            self._foot()

    def _choose(self, phase: str) -> None:
        self.phase_pane.choose(phase)
        self.draw()

    def on_descendant_focus(self) -> None:
        if layout.is_small(self):
            layout.enlarge(self)
        self._foot()

    def action_pane(self, number: int) -> None:
        """One of the six panes."""
        pane = Pane(number)
        layout.side_by_side(self)
        if pane is Pane.PLAN:
            self.plan.focus()
        elif pane is Pane.PHASE:
            self.phase_pane.body.focus()
        else:
            self.lists.turn(pane)
            self.lists.rows.focus()
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        if layout.is_small(self):
            layout.enlarge(self)
        self.draw()

    def action_next_pane(self, by: int) -> None:
        """The next pane, in the order of their numbers."""
        self.action_pane((int(self.pane) - 1 + by) % len(Pane) + 1)

    def action_tab(self, key: str) -> None:
        """What the pane of the phase shows."""
        self.phase_pane.turn(TAB_KEYS[key])
        if self.pane is not Pane.PHASE:
            layout.side_by_side(self)
            self.phase_pane.body.focus()
        self.phase_pane.draw(self.row)
        self._foot()

    def action_attempt(self, by: int) -> None:
        """An earlier attempt, or a later one."""
        self.phase_pane.step(by)
        self.phase_pane.draw(self.row)

    def action_open(self) -> None:
        """What enter means for the chosen line."""
        about = self.lists.about
        match self.pane:
            case Pane.LOCKS if about.lock:
                self.deeds.show(self, ["locks", "why", about.lock])
            case Pane.NEEDS_YOU if about.gate or self._asks(about.phase):
                self.action_act("a")
            case Pane.PLAN | Pane.TIMELINE | Pane.NEEDS_YOU if self.row is not None:
                layout.side_by_side(self)
                self.action_tab("l")

    def _asks(self, phase: str) -> bool:
        """Whether a phase waits for an answer; it is chosen then."""
        found = self.source.summary.by_id.get(phase)
        if found is not None and found.asks:
            self._choose(phase)
            return True
        return False

    def action_back(self) -> None:
        """Out of a filter, the large pane, a pane."""
        if self.phase_pane.words or self.words or self.lists.words:
            self.phase_pane.words = self.words = self.lists.words = ""
        elif not layout.side_by_side(self):
            self.plan.focus()
        self._said_left = 0
        self.draw()

    def action_zoom(self) -> None:
        """The pane that has the keys alone, and back."""
        if not layout.side_by_side(self):
            layout.enlarge(self)

    # -- looking

    def action_find(self) -> None:
        """Show only what has some words in it."""
        looks.find(self)

    def action_help(self) -> None:
        """All keys."""
        looks.all_keys(self)

    def action_graph(self) -> None:
        """What needs what."""
        looks.graph(self)

    def action_full_log(self) -> None:
        """The log over the whole screen."""
        looks.full_log(self)

    def action_theme(self) -> None:
        """The next theme."""
        place = _THEMES.index(self.app.theme) if self.app.theme in _THEMES else 0
        self.app.theme = _THEMES[(place + 1) % len(_THEMES)]
        self.draw()

    # -- doing

    def action_act(self, key: str) -> None:
        """An action, if it fits where things stand."""
        if self.source.player is not None:
            self.action_play(key)
            return
        found = next((one for one in self.valid() if one.key == key), None)
        if found is None:
            self.say(f"{key} does nothing here now", "wait")
            return
        self.deeds.do(self, found)

    def action_play(self, key: str) -> None:
        """What a key means to the player of a recording."""
        said = self.play_bar.press(key)
        self.source.tick()
        if said.phase in self.source.summary.by_id:
            self.phase_pane.choose(said.phase)
        self.draw()
        self.say(said.words, said.style)

    def action_ask_stop(self) -> None:
        """Stop the run, or leave it at work."""
        self.deeds.ask_stop(self)

    def action_leave(self) -> None:
        """Out; the run goes on. A recording leads back to the board that it was opened from."""
        if any(isinstance(screen, Board) for screen in self.app.screen_stack[:-1]):
            self.dismiss(None)
        else:
            self.app.exit()

    def action_command(self) -> None:
        """Any command."""
        self.deeds.ask_command(self)

    def action_copy(self) -> None:
        """The command behind an action, or what is shown."""
        row, attempt = self.row, self.phase_pane.attempt
        self.deeds.ask_copy(self, row, attempt.number if attempt else 0, self.phase_pane.shown_text[-COPY_LIMIT:])

    def action_pager(self) -> None:
        """The log in a pager."""
        attempt, row = self.phase_pane.attempt, self.row
        if attempt is not None and row is not None:
            self.deeds.pager(self, row, attempt.number)

    def action_plain(self) -> None:
        """Plain lines instead of the board, for a while."""
        self.deeds.plain_lines(self)
