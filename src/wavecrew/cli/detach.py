"""A run in the background.

What it does: starts the same command again in a session of its own, without a terminal, and waits until it is in
charge of the run.
What it does not know: what the run does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from wavecrew.cli.globals import show
from wavecrew.cli.log_tail import last_lines
from wavecrew.core.store import STATE_FOLDER
from wavecrew.errors import ExitCode, PreflightError

if TYPE_CHECKING:
    from wavecrew.api.runs import PreparedRun

RUN_ID_VARIABLE: Final = "WAVECREW_RUN_ID"
_PATIENCE_SECONDS: Final = 30.0
_WITH_VALUE: Final = ("-C", "--config", "--color")
"""Options that may stand before the verb, each with a word of its own."""


def detach(prepared: PreparedRun) -> int:
    """Start the background coordinator and say so. Raises PreflightError, with what it said, when it does not come
    up."""
    pid = start_in_background(prepared)
    if pid is None:
        show(f"run {prepared.run} has ended already")
        show("next: wavecrew status")
    else:
        show(f"run {prepared.run} goes on in the background (pid {pid})")
        show("next: wavecrew status --watch · wavecrew cancel")
    return ExitCode.OK


def start_in_background(prepared: PreparedRun) -> int | None:
    """Start the background coordinator. Gives its pid, or None if it has ended already. Raises PreflightError, with
    what it said, when it does not come up."""
    from wavecrew.api.history import run_is_alive

    state = prepared.workspace.folder / STATE_FOLDER
    with prepared.workspace.open_store():
        pass  # make the state folder now, so that its faults are told here
    words = _in_the_foreground(sys.argv[1:], attended=prepared.request.attended)
    log = state / f"coordinator-{prepared.run}.log"
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "wavecrew", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, RUN_ID_VARIABLE: prepared.run},
        )
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and child.poll() is None and not run_is_alive(state, prepared.run):
        time.sleep(0.02)
    left = () if prepared.request.attended else (ExitCode.NEEDS_HUMAN,)  # for approval, with nobody to wait for
    if child.poll() in (ExitCode.OK, ExitCode.PHASE_FAILED, ExitCode.UNPROVEN, *left):
        return None
    if child.poll() is not None:
        raise PreflightError(f"the run ended at once: {last_lines(log, 5)}", fix=f"see {log}")
    return child.pid


def _in_the_foreground(words: list[str], *, attended: bool) -> list[str]:
    """The same command line without the wish for the background, with what a process without a terminal needs."""
    end = words.index("--") if "--" in words else len(words)
    options = [word for word in words[:end] if word != "--detach"]
    for place, word in enumerate(options):  # `resume` is a `run` that has shown first what it takes up
        if word in ("run", "resume") and options[max(0, place - 1)] not in _WITH_VALUE:
            options[place] = "run"
            break
    options += ["--wait-for-approval"] if attended else []  # any terminal can give it
    return [*options, "--ui", "plain", "--no-input", *words[end:]]
