"""What a run has come to, for a terminal and as data: its proof, its landing, what it has left over.

What it does: one heading that says it all, a row for each thing that is not as it should be with what would mend it,
and what comes next.
What it does not know: git and the disk; it is given values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from wavecrew.models.proof import SHARED, Lack, Proof
from wavecrew.models.results import DiskUse, Fate, FileChange, Landed, Leftover
from wavecrew.views.run_words import DOT, in_ascii, label, wrapped
from wavecrew.views.terminal_text import cut, one_line
from wavecrew.views.words import counted

SHOWN: Final = 12
"""How many rows of one sort the text shows."""
_SHORT: Final = 12
_HEAD: Final = 11
_LONGEST: Final = 24
"""Columns that a name takes in a heading, at most."""
_WORTH_TELLING: Final = 1_000_000
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


# -- the proof --------------------------------------------------------------------------------------------------


def proof_text(proof: Proof, *, width: int = 80, ascii_only: bool = False) -> str:
    """The screen of `wavecrew verify`."""
    return _joined(_proof_lines(proof, width), ascii_only)


def _proof_lines(proof: Proof, width: int) -> Iterator[str]:
    yield from wrapped(f"run {cut(proof.run, _LONGEST)}  ", _verdict(proof).split(" "), width, between=" ")
    if proof.isolation == SHARED:
        words = "it worked in one shared folder: that outputs exist is all that can be proven there"
        yield from _row("", words, width)
    yield from _lack_rows("result", "", proof.lacks, width)
    bad = [one for one in proof.phases if one.lacks]
    for found in bad[:SHOWN]:
        yield from _lack_rows("lost", label(found.phase, found.name), found.lacks, width)
    yield from _more(bad)
    good = [one for one in proof.phases if not one.lacks and not proof.lacks]
    for found in good[:SHOWN]:
        origin = f"made by run {one_line(found.kept_from)}" if found.kept_from else ""
        facts = [found.commit[:_SHORT], counted(len(found.outputs), "output") if found.outputs else "", origin]
        words = DOT.join([label(found.phase, found.name), *filter(None, facts)])
        yield from _row("kept" if found.kept_from else "proven", words, width)
    yield from _more(good)
    for one in proof.waived[:SHOWN]:
        yield from _row("waived", f"{label(one.phase, one.name)}{DOT}by {one_line(one.by)}: {one.reason}", width)
    yield from _more(proof.waived)
    if proof.open:
        yield from _row("not done", _names(proof.open), width)


def _verdict(proof: Proof) -> str:
    done = len(proof.phases)
    what = "the outputs of " if proof.isolation == SHARED else ""
    where = "the workspace" if proof.isolation == SHARED else f"{one_line(proof.branch)} ({proof.tip[:_SHORT]})"
    if not proof.holds:
        bad = done if proof.lacks else sum(bool(found.lacks) for found in proof.phases)
        return f"NOT PROVEN: {what}{bad:,} of {counted(done, 'completed phase')}"
    if not done:
        return "nothing to prove: no phase is completed"
    return f"proven: {what}{counted(done, 'phase')} in {where}"


def _lack_rows(head: str, name: str, lacks: Sequence[Lack], width: int) -> Iterator[str]:
    """What is missing in words that are wrapped, what to do on a line that is not, so that it can be copied."""
    for lack in lacks[:SHOWN]:
        yield from _row(head, DOT.join(filter(None, (name, lack.what))), width)
        yield f"{'':{_HEAD}}fix: {one_line(lack.fix)}"
    yield from _more(lacks)


def proof_data(proof: Proof) -> Mapping[str, Any]:
    """The proof as `wavecrew verify --json` prints it."""
    return {
        "run": proof.run,
        "proven": proof.holds,
        "isolation": proof.isolation,
        "branch": proof.branch,
        "commit": proof.tip,
        "lacks": [_lack_data(lack) for lack in proof.lacks],
        "phases": [
            {
                "id": found.phase,
                "name": found.name,
                "proven": not found.lacks and not proof.lacks,
                "commit": found.commit,
                "kept_from": found.kept_from,
                "outputs": list(found.outputs),
                "lacks": [_lack_data(lack) for lack in found.lacks],
            }
            for found in proof.phases
        ],
        "waived": [{"id": one.phase, "name": one.name, "by": one.by, "reason": one.reason} for one in proof.waived],
        "not_done": list(proof.open),
    }


def _lack_data(lack: Lack) -> dict[str, str]:
    return {"kind": lack.kind.value, "what": lack.what, "fix": lack.fix, "about": lack.about}


# -- landing ----------------------------------------------------------------------------------------------------


def landed_text(landed: Landed, *, width: int = 80, ascii_only: bool = False) -> str:
    """What `wavecrew land` says."""
    return _joined(_landed_lines(landed, width), ascii_only)


def _landed_lines(landed: Landed, width: int) -> Iterator[str]:
    branch, run = cut(landed.branch, _LONGEST), cut(landed.run, _LONGEST)
    span = f"{landed.before[:_SHORT]}..{landed.after[:_SHORT]}"
    if landed.already:
        yield from wrapped("", [f"{branch} has all of run {run} already"], width)
    else:
        yield from wrapped(f"landed run {run} on {branch}: ", _amounts(landed), width, between=", ")
        how = "moved to the result" if landed.fast_forward else "merged with what it had"
        yield from _row("commits", f"{span}{DOT}{how}", width)
        if landed.phases:
            yield from _row("phases", _names(landed.phases), width)
    if landed.open:
        yield from _row("not done", _names(landed.open), width)
    if not landed.already:
        yield from wrapped("next: ", [f"git log --oneline {span}", f"wavecrew clean {one_line(landed.run)}"], width)


def _amounts(landed: Landed) -> list[str]:
    lines = f"+{sum(one.added or 0 for one in landed.files):,} -{sum(one.removed or 0 for one in landed.files):,}"
    return [
        counted(len(landed.phases), "phase"),
        counted(landed.commits, "commit"),
        f"{counted(len(landed.files), 'file')} ({lines})",
    ]


def landed_data(landed: Landed) -> Mapping[str, Any]:
    """The landing as `wavecrew land --json` prints it."""
    return {
        "run": landed.run,
        "branch": landed.branch,
        "before": landed.before,
        "after": landed.after,
        "result": landed.result,
        "already": landed.already,
        "fast_forward": landed.fast_forward,
        "phases": list(landed.phases),
        "commits": landed.commits,
        "files": [file_data(one) for one in landed.files],
        "not_done": list(landed.open),
    }


def file_data(file: FileChange) -> Mapping[str, Any]:
    """A file that changed, as data. `added` and `removed` are null for what is no text."""
    return {**asdict(file), "binary": file.added is None}


# -- leftovers --------------------------------------------------------------------------------------------------

_WORDS: Final = {Fate.KEPT: "keep", Fate.REMOVABLE: "can go", Fate.REMOVED: "removed"}


def leftovers_text(found: Sequence[Leftover], *, removed: bool, width: int = 80, ascii_only: bool = False) -> str:
    """What `wavecrew clean` says. `removed`: it was asked to remove what can go."""
    return _joined(_leftover_lines(found, removed, width), ascii_only)


def _leftover_lines(found: Sequence[Leftover], removed: bool, width: int) -> Iterator[str]:
    if not found:
        yield "nothing is left over"
        return
    for fate in (Fate.KEPT, Fate.REMOVABLE, Fate.REMOVED):
        group = [one for one in found if one.fate is fate]
        for one in group[:SHOWN]:
            yield from _row(_WORDS[fate], DOT.join(_leftover_words(one)), width)
            if one.look:
                yield f"{'':{_HEAD}}look: {one_line(one.look)}"
            if one.remove:
                yield f"{'':{_HEAD}}let go of it: {one_line(one.remove)}"
        yield from _more(group)
    gone = [one for one in found if one.fate is (Fate.REMOVED if removed else Fate.REMOVABLE)]
    amount = f"{len(gone):,} of {len(found):,}, {size_words(sum(one.size for one in gone))}"
    if removed:
        yield f"removed {amount}"
    else:
        yield f"nothing was removed; can go: {amount}" + ("; next: wavecrew clean --yes" if gone else "")


def _leftover_words(one: Leftover) -> Iterator[str]:
    yield one_line(one.branch or one.folder or f"run {one.run}")
    if one.phase:
        yield f"phase {one_line(one.phase)}"
    if one.size:
        yield size_words(one.size)
    yield one_line(one.reason)


def leftovers_data(found: Sequence[Leftover], *, removed: bool) -> Mapping[str, Any]:
    """What is left over, as `wavecrew clean --json` prints it."""
    return {"removed": removed, "leftovers": [{**asdict(one), "fate": one.fate.value} for one in found]}


def size_words(size: int) -> str:
    """Bytes in the unit that people would take: `0 B`, `12 KB`, `3.4 MB`."""
    amount, unit = float(size), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit and amount < 9.95 else f"{amount:.0f} {_UNITS[unit]}"


def disk_words(use: DiskUse) -> str:
    """What the state of a workspace takes: `worktrees 340 MB · logs 12 MB`; empty below a megabyte."""
    if use.whole and use.worktrees + use.logs < _WORTH_TELLING:
        return ""
    parts = [f"worktrees {size_words(use.worktrees)}"] if use.worktrees else []
    parts.append(f"logs {size_words(use.logs)}")
    return DOT.join(parts) + ("" if use.whole else f"{DOT}and more that was not counted")


# -- rows -------------------------------------------------------------------------------------------------------


def _joined(lines: Iterable[str], ascii_only: bool) -> str:
    text = "\n".join(lines) + "\n"
    return in_ascii(text) if ascii_only else text


def _row(head: str, words: str, width: int) -> Iterator[str]:
    yield from wrapped(f"  {head:<{_HEAD - 2}}", one_line(words).split(" "), width, between=" ")


def _more(rows: Sequence[object]) -> Iterator[str]:
    if len(rows) > SHOWN:
        yield f"{'':{_HEAD}}... and {len(rows) - SHOWN:,} more; --json has all"


def _names(names: Sequence[str]) -> str:
    more = f" ... and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return " ".join(one_line(name) for name in names[:SHOWN]) + more
