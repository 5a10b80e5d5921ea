"""What an agent was given for an attempt, and how far its checks are, as text.

What it does: reads the job that was written for an attempt, its result, and the logs beside its own; writes both as
plain lines. What cannot be read is empty, and a link or a pipe in the place of a file leads nowhere.
What it does not know: who asks, and which values must not be shown.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from wavecrew.core.attempts import attempt_folder, read_progress, read_result
from wavecrew.core.liveness import is_locked
from wavecrew.errors import StoreError
from wavecrew.models.events import Cause
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.views.board_parts import plain_text
from wavecrew.views.board_phase import AttemptTold, StepTold, check_lines, prompt_lines
from wavecrew.views.run_history import Attempt
from wavecrew.views.run_words import reason_of
from wavecrew.views.summary import PhaseRow, Standing
from wavecrew.web.log_pieces import regular

_WIDTH: Final = 400
_JOB_BYTES: Final = 4 * 1024 * 1024
_GIVEN_BYTES: Final = 256 * 1024
_BESIDE_BYTES: Final = 16 * 1024
_BESIDE: Final = 20
_TITLES: Final = {"gate": "checks of the merged tree", "teardown": "teardown"}


def prompt_text(info: PhaseInfo, found: AttemptTold | None) -> str:
    """What the agent was given, step by step; before the first start, what the document says."""
    if found is not None and not found.steps:
        return "What this attempt was given is not kept here."
    return _joined(prompt_lines(info, found, _WIDTH))


def checks_text(info: PhaseInfo, row: PhaseRow, found: AttemptTold | None, attempt: Attempt | None) -> str:
    """Each step with how it ended, outputs, and what checks of the merged tree said. Where a phase stands now is told
    with its latest attempt alone; of one before it, how that ended."""
    if attempt is None or attempt.number == row.attempts:
        return _joined(check_lines(info, row, found, _WIDTH))
    ended = attempt.outcome.value if attempt.outcome is not None else "open"
    why = "" if attempt.cause is Cause.NONE else f": {reason_of(attempt.cause, attempt.detail)}"
    then = PhaseRow(id=row.id, name=row.name, wave=row.wave, status=PhaseStatus.NOT_STARTED, standing=Standing.TO_COME)
    lines = _joined(check_lines(replace(info, outputs=()), then, found, _WIDTH))
    return f"attempt {attempt.number} {ended}{why}\n\n{lines}"


def _joined(lines: Any) -> str:
    return "\n".join(plain_text(line).rstrip() for line in lines)


# -- the folder of an attempt -------------------------------------------------------------------------------------


def attempt_told(state_folder: Path, run: str, phase: str, attempt: int) -> AttemptTold:
    """What the folder of an attempt tells; empty where there is none."""
    folder = attempt_folder(state_folder, run, phase, attempt)
    job: Any = None
    with contextlib.suppress(OSError, ValueError, RecursionError), regular(folder / "job.json") as file:
        job = json.loads(file.read(_JOB_BYTES))
    entries = job.get("steps") if isinstance(job, dict) else None
    steps = tuple(_step(folder, entry) for entry in _list(entries) if isinstance(entry, dict))
    progress, failed, over = read_progress(folder), 0, False
    with contextlib.suppress(StoreError):
        result = read_result(folder)
        if result is not None:
            over, failed = True, max(1, result.step) if result.cause else 0
    at = progress.step if progress is not None and not over and is_locked(folder / "lock") else 0
    return AttemptTold(steps, at, failed, over, tuple(_beside(folder)))


def _step(folder: Path, entry: dict[str, Any]) -> StepTold:
    kind, title = str(entry.get("kind", "")), str(entry.get("title", ""))
    command = tuple(str(word) for word in _list(entry.get("argv")))
    given, name = str(entry.get("text") or ""), entry.get("stdin")
    if isinstance(name, str) and name.startswith("input-") and "/" not in name:
        given = _end(folder / name, _GIVEN_BYTES, begin=True)
    return StepTold(kind, title or str(entry.get("path", "")), command, given)


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _beside(folder: Path) -> list[tuple[str, str]]:
    """What was carried out beside the attempt and has printed something, oldest first."""
    found: list[tuple[float, str, str]] = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*/log"))[-_BESIDE:]:
            title = _TITLES.get(path.parent.name.partition("-")[0], path.parent.name)
            if text := _end(path, _BESIDE_BYTES):
                found.append((path.lstat().st_mtime, title, text))
    return [(title, text) for _, title, text in sorted(found)]


def _end(path: Path, most: int, *, begin: bool = False) -> str:
    """The end of a file, or its beginning."""
    with contextlib.suppress(OSError, ValueError), regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0 if begin else max(0, size - most))
        return file.read(most).decode("utf-8", errors="replace")
    return ""
