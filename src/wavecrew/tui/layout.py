"""Where the parts of the board stand: side by side, one of them alone, or, on a small terminal, always only one.

What it does: holds the rules of the layout, and turns the large pane on and off.
What it does not know: what is in a pane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wavecrew.views.board_keys import Pane

if TYPE_CHECKING:
    from wavecrew.tui.board import Board

RULES: Final = """
    Board #head, Board #plan-title, Board #foot { height: 1; }
    Board #alarm, Board #play { height: 1; display: none; }
    Board.playing #play { display: block; }
    Board.alarmed #alarm { display: block; }
    Board #top { height: 1fr; }
    Board #left { width: 45%; min-width: 34; max-width: 96; }
    Board #phase { width: 1fr; margin: 0 0 0 1; }
    Board #lists { height: 34%; min-height: 6; max-height: 24; }
    Board.zoom-plan #phase, Board.zoom-plan #lists { display: none; }
    Board.zoom-plan #left { width: 100%; max-width: 100%; }
    Board.zoom-phase #left, Board.zoom-phase #lists { display: none; }
    Board.zoom-phase #phase { margin: 0; }
    Board.zoom-lists #top { display: none; }
    Board.zoom-lists #lists { height: 1fr; max-height: 100%; }
"""
_LEAST_WIDTH: Final = 60
_LEAST_HEIGHT: Final = 14
_ALL: Final = ("zoom-plan", "zoom-phase", "zoom-lists")
_BY_PANE: Final = {Pane.PLAN: "zoom-plan", Pane.PHASE: "zoom-phase"}


def is_small(board: Board) -> bool:
    """Whether there is room for one pane only."""
    return board.app.size.width < _LEAST_WIDTH or board.app.size.height < _LEAST_HEIGHT


def enlarge(board: Board) -> None:
    """The pane that has the keys alone."""
    name = _BY_PANE.get(board.pane, "zoom-lists")
    if not board.has_class(name):
        board.remove_class(*_ALL)
        board.add_class(name)
        board.call_after_refresh(board.draw)


def side_by_side(board: Board) -> bool:
    """All panes; tells whether one was alone and is so no more."""
    found = any(board.has_class(name) for name in _ALL)
    board.remove_class(*_ALL)
    if found:
        board.call_after_refresh(board.draw)
    return found and not is_small(board)
