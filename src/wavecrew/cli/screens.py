"""The views of a run that is going on in this process: live, plain, JSON lines, or none.

What it does: feeds a view with what was recorded and, at every interval, with the time; prints what it says.
What it does not know: how anything is drawn (`views` does), and the engine: it is only told.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from wavecrew.api.attempt_folders import logs_beside
from wavecrew.api.history import progress_of
from wavecrew.api.runs import PreparedRun
from wavecrew.cli.globals import echo, only_ascii, show
from wavecrew.cli.log_tail import last_lines
from wavecrew.core.redaction import Redaction
from wavecrew.core.store import STATE_FOLDER
from wavecrew.models.events import Cause, Event
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.phase_status import PhaseStatus

_PLAIN_SILENCE = 15
"""Plain output says something at least once in so many intervals."""
_FAILED_LOG_LINES = 20


class Screen(Protocol):
    """What a run needs of a view."""

    def observe(self, events: Sequence[Event], state: ExecutionState) -> None:
        """Something was recorded."""

    def finish(self, state: ExecutionState) -> None:
        """The run is over."""

    def note(self, text: str) -> None:
        """Something to be said that is not part of the history."""


@contextmanager
def screen_for(ui: str, prepared: PreparedRun, *, color: bool) -> Iterator[Screen]:
    """The view that was asked for; `auto` is live on a terminal that can move its cursor, and plain elsewhere."""
    if ui == "auto":
        able = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("WAVECREW_A11Y")
        ui = "live" if able and not os.environ.get("NO_COLOR") else "plain"
    interval = prepared.config.monitoring_update_interval
    match ui:
        case "none":
            yield _Silent()
        case "jsonl":
            yield _Sturdy(_JsonLines(prepared))
        case "live":
            live = _Live(prepared, color=color)
            with live, _ticking(live.tick, min(interval, 1.0)):
                yield _Sturdy(live)
        case _:
            plain = _Plain(prepared)
            with _ticking(plain.tick, interval):
                yield _Sturdy(plain)


@contextmanager
def _ticking(tick: Callable[[], None], interval: float) -> Iterator[None]:
    """Call `tick` from a thread of its own; a view is never the reason for a run to wait."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(interval):
            with _output_may_fail():
                tick()

    thread = threading.Thread(target=work, name="screen", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Sturdy:
    """A view whose reader may go away, or whose disk may be full: the run goes on, and is judged as ever."""

    def __init__(self, inner: Screen) -> None:
        self._inner = inner

    def observe(self, events: Sequence[Event], state: ExecutionState) -> None:
        with _output_may_fail():
            self._inner.observe(events, state)

    def finish(self, state: ExecutionState) -> None:
        with _output_may_fail():
            self._inner.finish(state)

    def note(self, text: str) -> None:
        with _output_may_fail():
            self._inner.note(text)


@contextmanager
def _output_may_fail() -> Iterator[None]:
    try:
        yield
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Silent:
    def observe(self, events: Sequence[Event], state: ExecutionState) -> None:
        """Nothing is shown."""

    def finish(self, state: ExecutionState) -> None:
        """Nothing is shown."""

    def note(self, text: str) -> None:
        """Nothing is shown."""


class _JsonLines:
    """One line per event, numbered as in the store."""

    def __init__(self, prepared: PreparedRun) -> None:
        self._run = prepared.run
        self._next = len(prepared.history) + 1

    def observe(self, events: Sequence[Event], state: ExecutionState) -> None:
        from wavecrew.views.run_jsonl import json_lines

        for line in json_lines(events, self._run, self._next):
            echo(line)
        self._next += len(events)
        sys.stdout.flush()

    def finish(self, state: ExecutionState) -> None:
        """The last event has said it."""

    def note(self, text: str) -> None:
        echo(text, err=True)


class _Plain:
    """A line for each fact, and a sign of life when nothing happens for long."""

    def __init__(self, prepared: PreparedRun) -> None:
        from wavecrew.views.run_plain import PlainView

        self._view = PlainView(prepared.history, ascii_only=only_ascii())
        self._guard = threading.Lock()
        self._prepared = prepared
        self._state = prepared.state
        self._silent = 0

    def observe(self, events: Sequence[Event], state: ExecutionState) -> None:
        with self._guard:
            self._state, self._silent = state, 0
            self._print(self._view.event(events, state))

    def tick(self) -> None:
        with self._guard:
            self._silent += 1
            waits = self._state.running or self._state.paused_by or self._state.needs_you or self._state.accounts
            if self._silent >= _PLAIN_SILENCE and waits:
                self._silent = 0
                self._print([self._view.beat(self._state, time.time())])

    def finish(self, state: ExecutionState) -> None:
        with self._guard:
            self._print(self._view.end(state, time.time(), failed_logs(self._prepared, state)))

    def note(self, text: str) -> None:
        with self._guard:
            self._print([text])

    @staticmethod
    def _print(lines: Sequence[str]) -> None:
        for line in lines:
            show(line)
        sys.stdout.flush()


class _Live:
    """A region that is redrawn; what is finished scrolls up and stays."""

    def __init__(self, prepared: PreparedRun, *, color: bool) -> None:
        from wavecrew.views.run_live import LiveView

        self._prepared = prepared
        self._guard = threading.Lock()
        self._view = LiveView(history=prepared.history, color=color, ascii_only=only_ascii())
        self._state = prepared.state

    def __enter__(self) -> _Live:
        self._view.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._view.stop()

    def observe(self, events: Sequence[Event], state: ExecutionState) -> None:
        with self._guard:
            self._state = state
            self._view.event(events, state)

    def tick(self) -> None:
        with self._guard:
            folder = self._prepared.workspace.folder / STATE_FOLDER
            self._view.tick(time.time(), progress_of(folder, self._state))

    def finish(self, state: ExecutionState) -> None:
        with self._guard:
            self._view.stop()
            lines = self._view.end(failed_logs(self._prepared, state))
        for line in lines:
            show(line)

    def note(self, text: str) -> None:
        with self._guard:
            self._view.note(text)


def failed_logs(prepared: PreparedRun, state: ExecutionState) -> Mapping[str, str]:
    """The last lines of the log of each failed phase."""
    folder, hide = prepared.workspace.folder / STATE_FOLDER, Redaction.for_run(state.settings, os.environ)
    return {
        name: hide.text(last_lines(_telling_log(folder / found.log, found.cause), _FAILED_LOG_LINES))
        for name, found in state.phase_states.items()
        if found.status is PhaseStatus.FAILED and found.log
    }


def _telling_log(log: Path, cause: Cause) -> Path:
    """The log that tells why: that of the agent, or that of the checks in the merged tree."""
    if cause not in (Cause.GATE, Cause.MERGE):
        return log
    checks = [path for _, path in logs_beside(log.parent) if path.parent.name.startswith("gate")]
    return checks[-1] if checks else log
