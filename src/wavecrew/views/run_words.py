"""The words and times that all views of a run share.

What it does: writes seconds and clock times, tells why an attempt failed, names phases, and finds
stand-ins for our signs where an encoding lacks them.
What it does not know: what is written about, and how wide a screen is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from wavecrew.models.events import Cause
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.simulation import ChainStep, Wait
from wavecrew.views.terminal_text import cells, cut, encodable, one_line

UNKNOWN: Final = "unknown"


_ASCII: Final = str.maketrans("✓✗▶◷↻·…→⇢←━─█▒░×", "+x>~r|.>~<#-#=-x")
"""For each sign of these views one that every terminal has, of the same width, so that no layout changes."""


def in_ascii(text: str) -> str:
    """A text with our signs in ASCII; foreign words stay as they are."""
    return text.translate(_ASCII)


def for_encoding(text: str, encoding: str | None) -> str:
    """A text in what an encoding can write: our signs by their stand-ins, and a question mark for anything else."""
    wanted = encoding or "ascii"
    try:
        text.encode(wanted)
    except UnicodeEncodeError:
        return encodable(text.translate(_ASCII), wanted)
    except LookupError:
        return encodable(text.translate(_ASCII), "ascii")
    return text


DOT: Final = " · "
_ROOM: Final = 8  # columns beside a heading, at least

_PLAIN: Final = {
    Cause.NONE: "no reason was recorded",
    Cause.START: "it could not be started",
    Cause.EXIT: "it ended with an error",
    Cause.CHECK: "a check failed",
    Cause.OUTPUTS: "declared outputs are missing",
    Cause.TIMEOUT: "its time limit passed",
    Cause.LOCK: "a lock could not be had",
    Cause.LOST: "it died without leaving a result",
    Cause.STOPPED: "stopped",
    Cause.CANCELLED: "cancelled",
    Cause.AUDIT: "it changed what it had not declared",
    Cause.GIT: "what it left cannot be taken as it is",
    Cause.MERGE: "its work and that of others do not go together",
    Cause.GATE: "the merged tree failed the checks",
    Cause.REJECTED: "somebody rejected its start",
    Cause.AGENT: "its agent says that it did not succeed",
    Cause.QUOTA: "the account of its agent is used up",
    Cause.SILENCE: "nothing was heard of its agent",
    Cause.SESSION: "its agent does not know its session any more",
}


def seconds(amount: float | None) -> str:
    """A length of time in at most two units: `4.5s`, `2m05s`, `1h02m`, `3d04h`. None is unknown and never zero."""
    if amount is None:
        return UNKNOWN
    if amount < 59.95:
        return f"{max(0.0, amount):.1f}s"
    whole = round(amount)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


def clock(amount: float) -> str:
    """Time since the start, as a log writes it: `00:02.0`, `59:59.9`, `1:02:03.4`."""
    tenths = round(max(0.0, amount) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    small = f"{minutes:02d}:{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{small}" if hours else small


def moment(at: float | None) -> str:
    """A time of day with its date, in UTC, so that it reads the same everywhere."""
    if at is None:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return UNKNOWN


ROOM_WORDS: Final = "this machine has no room for one more agent (min_free_memory, max_load)"
"""Why something that could start does not."""


def reason_of(cause: Cause, detail: str) -> str:
    """Why an attempt did not succeed. A detail speaks for itself, but for a check, which fails like any command."""
    if not detail:
        return _PLAIN.get(cause, cause.value)
    return f"check: {detail.replace('from: check ', 'from: ', 1)}" if cause is Cause.CHECK else detail


def label(phase: str, name: str) -> str:
    """Id and name on one line; the id alone if the name says no more."""
    return one_line(phase if name in ("", phase) else f"{phase} {name}")


def label_in(state: ExecutionState, phase: str) -> str:
    """The label of a phase of a run; the id alone if it has left the plan."""
    found = state.graph.nodes.get(phase)
    return label(phase, found.name if found else "")


def short(resource: str) -> str:
    """The last part of a path, for lists that have no room for all of it."""
    return one_line(resource.rstrip("/").rpartition("/")[2] or resource)


def listed(names: tuple[str, ...], shown: int = 6) -> str:
    """Some ids in a row, and how many more there are."""
    more = f" +{len(names) - shown}" if len(names) > shown else ""
    return " ".join(one_line(name) for name in names[:shown]) + more


def chain_words(steps: Sequence[ChainStep], shown: int = 10) -> str:
    """Phases in a row with what each waited for; of a long row the beginning and the end."""
    words: list[str] = []
    for place, step in enumerate(steps):
        if len(steps) > shown and shown // 2 <= place < len(steps) - shown // 2:
            if place == shown // 2:
                words.append(f"→ … {len(steps) - shown:,} more")
            continue
        arrow = "→" if step.waited_for is Wait.DEPENDENCY else "⇢"
        words.append((f"{arrow} " if place else "") + one_line(step.phase))
    return " ".join(words)


def wrapped(head: str, words: Sequence[str], width: int, between: str = DOT) -> Iterator[str]:
    """Words after a heading, in as many lines as they need, each under the first. A word that is too long for a line
    is broken where it has blanks, and cut where it has none."""
    if width - cells(head) < _ROOM:  # a heading this long has a line of its own
        yield head.rstrip()
        head = "    "
    margin = cells(head)
    room = max(8, width - margin)
    line = ""
    for word in words:
        first, *more = _broken(word, room)
        if line and cells(line) + cells(between) + cells(first) <= room:
            line += between + first
        else:
            if line:
                yield (head + line).rstrip()
                head = " " * margin
            line = first
        for piece in more:
            yield (head + line).rstrip()
            head, line = " " * margin, piece
    yield (head + line).rstrip()


def _broken(word: str, room: int) -> list[str]:
    if cells(word) <= room:
        return [word]
    lines = [""]
    for part in word.split(" "):
        short_enough = cut(part, room)
        if lines[-1] and cells(lines[-1]) + 1 + cells(short_enough) > room:
            lines.append(short_enough)
        else:
            lines[-1] += f" {short_enough}" if lines[-1] else short_enough
    return lines
