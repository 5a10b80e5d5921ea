"""What the board opens over itself to look at: all keys, the graph, a log over the whole screen, a search.

What it does: makes each from what is chosen on the board.
What it does not know: how any of it is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wavecrew.tui.dialogs import Page, Words
from wavecrew.tui.full_log import FullLog
from wavecrew.views.board_graph import graph_lines
from wavecrew.views.board_keys import Pane, help_lines
from wavecrew.views.run_words import label

if TYPE_CHECKING:
    from wavecrew.tui.board import Board
    from wavecrew.tui.list_pane import ListPane
    from wavecrew.tui.phase_pane import PhasePane


def all_keys(board: Board) -> None:
    """The page behind `?`."""
    board.app.push_screen(Page("keys", lambda width: list(help_lines(width))))


def graph(board: Board) -> None:
    """What needs what."""
    source, chosen = board.source, board.phase_pane.phase
    board.app.push_screen(
        Page("what needs what", lambda width: graph_lines(source.summary, source.state.graph, chosen, width))
    )


def full_log(board: Board) -> None:
    """The log over the whole screen."""
    attempt, row, rows = board.phase_pane.attempt, board.row, board.phase_pane.log_rows
    if attempt is None or row is None or rows is None:
        board.say("it has not been started yet, so it has no log", "wait")
        return
    title = f"{label(row.id, row.name)} attempt {attempt.number}"
    board.app.push_screen(FullLog(rows, title, board.action_pager))


def find(board: Board) -> None:
    """Show only what has some words in it, in the pane that has the keys, while they are typed."""
    target: Board | PhasePane | ListPane = board
    if board.pane is not Pane.PLAN:
        target = board.phase_pane if board.pane is Pane.PHASE else board.lists
    before = target.words

    def changed(words: str) -> None:
        target.words = words.strip()
        board.draw()

    board.app.push_screen(
        Words("show only what has these words in it", before, changed=changed),
        lambda found: changed(before if found is None else found),
    )
