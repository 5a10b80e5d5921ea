"""Plain lines of a run on a terminal that the board has left for a while.

What it does: prints the events that were recorded, and further ones as they come, until enter is pressed.
What it does not know: the board.
"""

from __future__ import annotations

import select
import sys
from typing import Final

from wavecrew.tui.rows import safe
from wavecrew.tui.source import RunSource

_LAST: Final = 200
_LOOK_SECONDS: Final = 0.2


def follow_plain(source: RunSource) -> str:
    """Print until enter is pressed, ctrl+c, or the input ends. Gives nothing to be said afterwards."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"

    def tell(lines: list[str]) -> None:
        for line in lines:
            sys.stdout.write(safe(line, encoding) + "\n")
        sys.stdout.flush()

    seen = len(source.event_lines)
    try:
        tell([*source.event_lines[-_LAST:], "-- enter: back to the board"])
        while not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
            source.look()
            tell(source.event_lines[seen:])
            seen = len(source.event_lines)
        sys.stdin.readline()
    except KeyboardInterrupt:
        pass  # back to the board, too
    return ""
