"""A run and all that is known of it, gathered for its report.

What it does: opens the run, asks for the proof of its work, reads the ends of the logs of what failed, and finds the
conflicts of its plan; then makes the one value that all formats are written from.
What it does not know: formats, and where a report goes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wavecrew import __version__
from wavecrew.api.history import OpenedRun, open_run
from wavecrew.api.results import verify
from wavecrew.core.redaction import Redaction
from wavecrew.core.store import Store
from wavecrew.errors import WavecrewError
from wavecrew.models.events import Cause
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.proof import Proof
from wavecrew.plans.conflicts import find_conflicts
from wavecrew.views.report_compare import Comparison, compare
from wavecrew.views.report_facts import Report, build_report
from wavecrew.views.terminal_text import tail

_LINES: Final = 40
_BYTES: Final = 32 * 1024
_LOGS: Final = 200
"""Of how many failed phases the end of the log is read."""
_CONFLICTS: Final = 200


def report_of(store: Store, workspace: Path, reference: str = "latest", *, with_proof: bool = True) -> Report:
    """The report of the run that a reference names. Without the proof no call of git is made.

    Raises NotFoundError. Whatever else cannot be found out is said in the report.
    """
    opened = open_run(store, reference)
    proof, problem = _proof(opened, workspace) if with_proof else (None, "")
    found = find_conflicts(opened.state.graph, _CONFLICTS)
    return build_report(
        opened.state,
        opened.events,
        now=time.time(),
        alive=opened.alive,
        signs=opened.signs(),
        conflicts=found.found,
        more_conflicts=found.more,
        proof=proof,
        proof_problem=problem,
        logs=_logs(opened),
        version=__version__,
    )


def compared_with(store: Store, workspace: Path, reference: str, report: Report) -> Comparison:
    """A report beside the run that a reference names. Raises NotFoundError."""
    return compare(report_of(store, workspace, reference, with_proof=False), report)


def _proof(opened: OpenedRun, workspace: Path) -> tuple[Proof | None, str]:
    try:
        return verify(opened, workspace), ""
    except WavecrewError as error:
        return None, error.reason
    except OSError as error:
        return None, error.strerror or str(error)


def _logs(opened: OpenedRun) -> Mapping[str, str]:
    """The last lines of the log of each failed phase, clean for any terminal, without the values of variables that
    agents were handed by name."""
    hide = Redaction.for_run(opened.state.settings, os.environ)
    failed = [
        (name, found)
        for name, found in opened.state.phase_states.items()
        if found.status is PhaseStatus.FAILED and found.log
    ]
    return {
        name: "\n".join(tail(hide.text(_end(_telling(opened.state_folder / found.log, found.cause))), _LINES, 400))
        for name, found in failed[:_LOGS]
    }


def _telling(log: Path, cause: Cause) -> Path:
    """The log that tells why: that of the agent, or that of the checks in the merged tree."""
    if cause in (Cause.GATE, Cause.MERGE):
        beside = [path for path in log.parent.glob("gate*/log") if path.is_file() and path.stat().st_size]
        return max(beside, key=lambda path: path.stat().st_mtime, default=log)
    return log


def _end(log: Path) -> str:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _BYTES))
            read = file.read(_BYTES)
            whole = read if size <= _BYTES else read.partition(b"\n")[2] or read  # half a line is half a secret
            return whole.decode("utf-8", errors="replace")
    except OSError:
        return ""
