"""The pane of one phase: its log, events, what its agent was told, difference and checks, for each attempt.

What it does: shows the chosen tab of the chosen attempt, the latest by itself; reads a log from its end, asks git for a
difference beside the drawing.
What it does not know: the other panes, and what a key means.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical

from wavecrew.api.attempt_folders import attempt_told
from wavecrew.api.history import OpenedRun, open_run
from wavecrew.api.work import work_of
from wavecrew.errors import WavecrewError
from wavecrew.tui.log_end import log_path
from wavecrew.tui.log_rows import LogRows
from wavecrew.tui.rows import Rows
from wavecrew.tui.source import RunSource
from wavecrew.views.board_keys import TAB_KEYS, TAB_NAMES, Tab
from wavecrew.views.board_lists import nothing
from wavecrew.views.board_parts import Line, Piece, plain
from wavecrew.views.board_phase import (
    AttemptTold,
    check_lines,
    diff_lines,
    phase_events,
    phase_head,
    phase_note,
    prompt_lines,
)
from wavecrew.views.phase_rows import PhaseRow
from wavecrew.views.run_history import Attempt
from wavecrew.views.terminal_text import cells
from wavecrew.views.work_text import work_text


class PhasePane(Vertical):
    """What is known of one phase."""

    DEFAULT_CSS = """
    PhasePane #phase-title, PhasePane #phase-tabs { height: 1; }
    PhasePane #phase-note { height: auto; max-height: 2; }
    PhasePane #body { height: 1fr; }
    """

    def __init__(self, source: RunSource, *, id: str) -> None:  # noqa: A002 -- textual's word
        super().__init__(id=id)
        self.source = source
        self.phase = ""
        self.tab = Tab.LOG
        self.words = ""
        self.log_rows: LogRows | None = None
        self._chosen = 0  # the attempt that was chosen; 0 for the latest
        self._diff: tuple[tuple[str, int, int], str] = (("", 0, 0), "")
        self._diff_wanted: tuple[str, int, int] | None = None

    def compose(self) -> ComposeResult:
        yield Rows(id="phase-title", bar=True)
        yield Rows(id="phase-tabs")
        yield Rows(id="phase-note")
        yield Rows(id="body")

    def on_mount(self) -> None:
        for name in ("#phase-title", "#phase-tabs", "#phase-note"):
            self.query_one(name, Rows).can_focus = False
        self.body.follow = True

    @property
    def body(self) -> Rows:
        """The rows of the tab."""
        return self.query_one("#body", Rows)

    # -- what is chosen

    def choose(self, phase: str) -> None:
        """Another phase, at its latest attempt."""
        if phase != self.phase:
            self.phase, self._chosen, self.words = phase, 0, ""
            self._open_log()
            self._to_top()

    def turn(self, tab: Tab) -> None:
        """Another tab."""
        if tab is not self.tab:
            self.tab, self.words = tab, ""
            self._to_top()
        elif tab is Tab.DIFF:
            self._diff_wanted, self._diff = None, (("", 0, 0), "")  # once more: ask git again

    def step(self, by: int) -> None:
        """An earlier attempt, or a later one."""
        made = len(self.source.attempts(self.phase))
        self._chosen = max(1, min(made, (self._chosen or made) + by)) if made else 0
        if self._chosen == made:
            self._chosen = 0  # the latest, whichever that will be
        self._open_log()
        self._to_top()

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that is shown, if there was any."""
        made = self.source.attempts(self.phase)
        if not made:
            return None
        return next((one for one in made if one.number == self._chosen), made[-1])

    def _to_top(self) -> None:
        self.body.follow = self.tab is Tab.LOG
        self.body.to_top()

    def _open_log(self) -> None:
        attempt = self.attempt
        path = None
        if attempt is not None:
            path = log_path(self.source.store.folder, self.source.run, self.phase, attempt.number)
        if path is None:
            self.log_rows = None
        elif self.log_rows is None or self.log_rows.end.path != path:
            self.log_rows = LogRows(path, self.source.hide)

    # -- drawing

    def draw(self, row: PhaseRow | None) -> None:
        """Everything, for a new moment."""
        width = max(10, self.size.width)
        if row is None:
            self.query_one("#phase-title", Rows).show([plain(" 2 no phase is chosen", "head")])
            self._note([])
            self.body.show([])
            return
        self._open_log()
        now, attempt = self.source.summary.now, self.attempt
        head = phase_head(row, attempt, now, width - 4)
        self.query_one("#phase-title", Rows).show([(Piece(" 2 ", "key"), *head)])
        self.query_one("#phase-tabs", Rows).show([tabs_line(self.tab, width)])
        note = phase_note(row, attempt, width - 1)
        if self._of_the_end(attempt):
            note = [plain("log and difference are those of its end", "quiet"), *note][:2]
        self._note(note)
        if self.tab is Tab.LOG:
            self.draw_log(always=True)
            return
        self.body.show(self._filtered(self._lines(row, attempt, max(10, width - 1))))

    def draw_log(self, *, always: bool = False) -> None:
        """What the log has become, if it is shown."""
        if self.tab is not Tab.LOG:
            return
        width = max(10, self.size.width - 1)
        if self.log_rows is None:
            self.body.show(nothing("it has not been started yet", width))
        elif self.log_rows.update(width, self.words) or always:
            self.body.show(self.log_rows.rows)

    def _of_the_end(self, attempt: Attempt | None) -> bool:
        """Whether the files of an attempt tell more than was known at the moment that is played."""
        return self.source.player is not None and attempt is not None and attempt.ended is None

    def _note(self, lines: list[Line]) -> None:
        note = self.query_one("#phase-note", Rows)
        if note.styles.height is None or note.styles.height.value != len(lines):
            note.styles.height = len(lines)
        note.show(lines)

    def _lines(self, row: PhaseRow, attempt: Attempt | None, width: int) -> list[Line]:
        source = self.source
        if self.tab is Tab.EVENTS:
            return phase_events(source.events, source.state, row, attempt.number if attempt else 0, width)
        if self.tab is Tab.DIFF:
            return self._diff_lines(attempt, width)
        info = source.state.graph.nodes[row.id]
        told = attempt_told(source.store.folder, source.run, row.id, attempt.number, source.hide) if attempt else None
        if told is not None and self._of_the_end(attempt):
            told = AttemptTold(told.steps)  # how far it was is not recorded
        if self.tab is Tab.PROMPT:
            return prompt_lines(info, told, width)
        return check_lines(info, row, told, width, attempt)

    def _filtered(self, lines: list[Line]) -> list[Line]:
        wanted = self.words.casefold()
        if not wanted:
            return lines
        return [line for line in lines if wanted in "".join(piece.text for piece in line).casefold()]

    # -- the difference

    def _diff_lines(self, attempt: Attempt | None, width: int) -> list[Line]:
        if attempt is None:
            return nothing("it has not been started yet", width)
        key = (self.phase, attempt.number, int(attempt.ended is not None))
        known, text = self._diff
        if known != key and self._diff_wanted != key:
            self._diff_wanted = key
            self._ask_git(key, width)
        if known[:2] != key[:2]:
            return nothing("asking git ...", width)
        return diff_lines(text, width)

    @work(thread=True, exclusive=True, group="diff")
    def _ask_git(self, key: tuple[str, int, int], width: int) -> None:
        """In a thread: a difference may be large, and the board must not stand still for it."""
        phase, attempt, _ = key
        source = self.source
        try:
            opened: OpenedRun = open_run(source.store, source.run)
            found = work_of(source.store, source.workspace, opened, phase, attempt)
            text = work_text(found, color=True, width=width)
        except (WavecrewError, OSError) as error:
            text = getattr(error, "reason", "") or str(error)
        self.app.call_from_thread(self._git_said, key, text)

    def _git_said(self, key: tuple[str, int, int], text: str) -> None:
        self._diff = key, text
        if self.tab is Tab.DIFF and self.phase == key[0]:
            self.draw(self.source.summary.by_id.get(self.phase))

    @property
    def shown_text(self) -> str:
        """What the tab shows, for the clipboard: a log as it was printed, else the lines."""
        if self.tab is Tab.LOG:
            return self.log_rows.text if self.log_rows is not None else ""
        return "\n".join("".join(piece.text for piece in line) for line in self.body.lines)


def tabs_line(chosen: Tab, width: int) -> Line:
    """`[Log] Events e  Prompt p ...`: the one that is shown in brackets, the others with their keys."""
    pieces: list[Piece] = []
    for key, tab in TAB_KEYS.items():
        name = TAB_NAMES[tab]
        pieces += (
            [Piece(f"[{name}]", "tab"), Piece(" ")]
            if tab is chosen
            else [Piece(f"{name} ", ""), Piece(f"{key} ", "key")]
        )
    if sum(cells(piece.text) for piece in pieces) <= width:
        return tuple(pieces)
    return tuple(_short_tabs(chosen))


def _short_tabs(chosen: Tab) -> Sequence[Piece]:
    pieces = []
    for key, tab in TAB_KEYS.items():
        pieces.append(Piece(f"[{TAB_NAMES[tab]}]", "tab") if tab is chosen else Piece(f" {key} ", "key"))
    return pieces
