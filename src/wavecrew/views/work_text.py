"""What an attempt has changed, for a terminal and as data.

What it does: a heading with where the work stands and whom it met, then the files, their names alone, or the patch in a
light colouring. Whatever could steer a terminal, or show text in another order than it is written, is shown as an
escape: in a difference, hiding it would be a lie.
What it does not know: git; it is given values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from unicodedata import category

from wavecrew.models.results import FileChange, Met, Trail, Work, WorkStage
from wavecrew.views.result_text import file_data
from wavecrew.views.run_words import DOT, in_ascii, label, wrapped
from wavecrew.views.terminal_text import cut, one_line
from wavecrew.views.words import counted

_SHORT: Final = 12
_SHOWN: Final = 12
_HEAD: Final = 11
_STAGES: Final = {
    WorkStage.MERGED: "merged into the result",
    WorkStage.SEALED: "a commit, not in the result",
    WorkStage.UNFINISHED: "ended without success",
    WorkStage.AT_WORK: "still at work",
}
_HUNK: Final = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_BOLD, _RED, _GREEN, _CYAN, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"
_DELETE: Final = 0x7F


def work_text(work: Work, *, stat: bool = False, color: bool = False, width: int = 80, ascii_only: bool = False) -> str:
    """The heading of `wavecrew diff`, with the patch below it, or the files with their numbers of lines (`stat`)."""
    head = "\n".join(_head(work, width))
    head = in_ascii(head) if ascii_only else head
    body = "".join(f" {line}\n" for line in _stat(work.files)) if stat else patch_text(work.patch, color=color)
    return f"{head}\n" + (f"\n{body}" if body else "")


def names_text(work: Work) -> str:
    """The names of all files that changed, one a line, those in no commit included."""
    names = dict.fromkeys([*(visible(one.path) for one in work.files), *(visible(one[3:]) for one in work.uncommitted)])
    return "".join(f"{name}\n" for name in names)


def _head(work: Work, width: int) -> Iterator[str]:
    trail = work.trail
    words = [f"attempt {trail.attempt} of run {one_line(trail.run)}", _STAGES[trail.stage]]
    yield from wrapped(f"phase {cut(label(trail.phase, trail.name), width // 2)}  ", words, width)
    yield from _row("commits", f"{trail.base[:_SHORT]}..{trail.commit[:_SHORT] or trail.branch}", width)
    for one in trail.before[-_SHOWN:]:
        yield from _row("before", one, width)
    yield from _met(trail, width)
    if trail.refused:
        yield from _row("refused", trail.refused, width)
    yield from _uncommitted(work.uncommitted, width)
    added, removed = (sum(getattr(one, side) or 0 for one in work.files) for side in ("added", "removed"))
    yield from _row("changed", f"{counted(len(work.files), 'file')}, +{added:,} -{removed:,}", width)


def _met(trail: Trail, width: int) -> Iterator[str]:
    for one in trail.met[:_SHOWN]:
        both = f"both changed {', '.join(one.both[:3])}" + (" and more" if len(one.both) > 3 else "")
        yield from _row("met", f"{label(one.phase, one.name)}{DOT}{both if one.both else 'no file in common'}", width)
    if len(trail.met) > _SHOWN:
        yield f"{'':{_HEAD}}... and {len(trail.met) - _SHOWN:,} more"


def _uncommitted(entries: tuple[str, ...], width: int) -> Iterator[str]:
    if not entries:
        return
    yield from _row("note", f"{counted(len(entries), 'file')} in no commit yet; those marked ?? are not below:", width)
    for entry in entries[:_SHOWN]:
        yield f"{'':{_HEAD}}{visible(entry)}"
    if len(entries) > _SHOWN:
        yield f"{'':{_HEAD}}... and {len(entries) - _SHOWN:,} more"


def _row(head: str, words: str, width: int) -> Iterator[str]:
    yield from wrapped(f"  {head:<{_HEAD - 2}}", visible(words).split(" "), width, between=" ")


def _stat(files: Iterable[FileChange]) -> Iterator[str]:
    for one in files:
        lines = "binary" if one.added is None else f"+{one.added:,} -{one.removed:,}"
        before = f" (was {visible(one.before)})" if one.before else ""
        yield f"{lines:>13}  {visible(one.path)}{before}"


# -- the patch --------------------------------------------------------------------------------------------------


def patch_text(patch: bytes, *, color: bool = False) -> str:
    """A patch as text that cannot do anything to a terminal."""
    lines = patch.decode("utf-8", "backslashreplace").removesuffix("\n").split("\n") if patch else []
    shown = _colored(lines) if color else map(visible, lines)
    return "".join(f"{line}\n" for line in shown)


def _colored(lines: Iterable[str]) -> Iterator[str]:
    """Lines with colours by what they are; inside of a hunk only its own counts tell where it ends."""
    before = after = 0
    for line in lines:
        hunk = _HUNK.match(line)
        if before <= 0 and after <= 0 and hunk:
            before, after = (1 if number is None else int(number) for number in hunk.groups())
            yield _in(_CYAN, line)
        elif before <= 0 and after <= 0:
            yield visible(line) if line.startswith("\\") else _in(_BOLD, line)
        else:
            before -= line[:1] in (" ", "-", "")
            after -= line[:1] in (" ", "+", "")
            yield _in({"+": _GREEN, "-": _RED}.get(line[:1], ""), line)


def _in(color: str, line: str) -> str:
    return f"{color}{visible(line)}{_PLAIN}" if color and line else visible(line)


def visible(text: str) -> str:
    """A line in which everything that has an effect, and no shape, is written as an escape. Tabs stay."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(sign: str) -> str:
    if sign.isprintable() or sign == "\t" or category(sign) == "Zs":
        return sign
    code = ord(sign)
    if code < 0x20 or code == _DELETE:
        return f"^{chr(code ^ 0x40)}"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


# -- data -------------------------------------------------------------------------------------------------------


def work_data(work: Work, *, with_patch: bool = True) -> Mapping[str, Any]:
    """The work as `wavecrew diff --json` prints it."""
    trail = work.trail
    data: dict[str, Any] = {
        "run": trail.run,
        "phase": trail.phase,
        "name": trail.name,
        "attempt": trail.attempt,
        "stage": trail.stage.value,
        "base": trail.base,
        "branch": trail.branch,
        "commit": trail.commit,
        "met": [_met_data(one) for one in trail.met],
        "refused": trail.refused,
        "before": list(trail.before),
        "files": [file_data(one) for one in work.files],
        "uncommitted": list(work.uncommitted),
    }
    return {**data, "patch": work.patch.decode("utf-8", "backslashreplace")} if with_patch else data


def _met_data(met: Met) -> dict[str, Any]:
    return {"phase": met.phase, "name": met.name, "both_changed": list(met.both)}
