"""`runs replay`: a run played again in this terminal, from what was recorded.

What it does: feeds a live or plain view with the steps of a tape and with the time of the run, and waits in between.
What it does not know: how a play is cut into steps, and how anything is drawn.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import click

from wavecrew.cli.globals import Globals, echo, only_ascii, pass_globals, with_globals
from wavecrew.errors import ExitCode, NotFoundError

if TYPE_CHECKING:
    from wavecrew.api.history import OpenedRun
    from wavecrew.models.events import Event
    from wavecrew.models.execution_state import ExecutionState
    from wavecrew.views.replay import Tape

_FRAME_SECONDS: Final = 0.25
_LOG_LINES: Final = 20


class _View(Protocol):
    """What a play needs of a screen."""

    def event(self, events: Sequence[Event], state: ExecutionState) -> None:
        """Something happened."""

    def tick(self, now: float) -> None:
        """Time went on."""


@click.command("replay")
@click.argument("run", default="latest")
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 1_000_000),
    default=10.0,
    show_default=True,
    help="How many times as fast as the run was.",
)
@click.option(
    "--longest-pause",
    type=click.FloatRange(0, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Longer pauses are cut to this.",
)
@click.option("--ui", type=click.Choice(["auto", "live", "plain"]), default="auto", show_default=True)
@with_globals
@pass_globals
def runs_replay(settings: Globals, run: str, speed: float, longest_pause: float, ui: str) -> int:
    """Play RUN again from what was recorded. Nothing is started, and Ctrl-C ends it.

    A run that was imported can be played like any other. On the board, to pause and go to any moment: wavecrew ui
    --replay RUN
    """
    from wavecrew.api.history import open_run
    from wavecrew.api.places import find_workspace
    from wavecrew.core.store import Store
    from wavecrew.views.replay import Tape

    with Store.open(find_workspace(settings.directory), create=False) as store:
        opened = open_run(store, run)
    if not opened.events:
        raise NotFoundError(f"run {opened.row.id} has no events to play")
    tape = Tape(opened.events, speed, longest_pause)
    if ui == "auto":
        able = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("WAVECREW_A11Y")
        ui = "live" if able else "plain"
    lines = (_play_live if ui == "live" else _play_plain)(tape, settings, _failed_logs(opened))
    for line in lines:
        echo(line)
    return ExitCode.OK


def _failed_logs(opened: OpenedRun) -> Mapping[str, str]:
    """The last lines of the log of each phase that failed in the end."""
    from wavecrew.cli.log_tail import last_lines
    from wavecrew.core.redaction import Redaction
    from wavecrew.models.phase_status import PhaseStatus

    hide, states = Redaction.for_run(opened.state.settings, os.environ), opened.state.phase_states
    failed = [name for name, found in states.items() if found.status is PhaseStatus.FAILED and found.attempts]
    return {name: hide.text(last_lines(opened.log_file(name), _LOG_LINES)) for name in failed}


def _play_plain(tape: Tape, _: Globals, logs: Mapping[str, str]) -> list[str]:
    from wavecrew.views.run_plain import PlainView

    view = PlainView(ascii_only=only_ascii())

    class Lines:
        def event(self, events: Sequence[Event], state: ExecutionState) -> None:
            for line in view.event(events, state):
                echo(line)
            sys.stdout.flush()

        def tick(self, now: float) -> None:
            """A pause of a play needs no sign of life."""

    state = play(tape, Lines())
    return view.end(state, tape.events[-1].at, logs)


def _play_live(tape: Tape, settings: Globals, logs: Mapping[str, str]) -> list[str]:
    from wavecrew.views.run_live import LiveView

    view = LiveView(color=settings.wants_color(), ascii_only=only_ascii())
    view.start()
    try:
        play(tape, view)
    finally:
        view.stop()
    return view.end(logs)


def play(
    tape: Tape,
    view: _View,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> ExecutionState:
    """Play a tape to its end, in the time that `clock` tells. Gives the last state. A machine that is too slow leaves
    out frames and never events."""
    from wavecrew.models.execution_state import ExecutionState, evolve

    began, shown, state = clock(), 0, ExecutionState()
    while True:
        played = clock() - began
        moment = tape.moment(played)
        while shown < moment.events:  # what was recorded together is shown together
            at = tape.events[shown].at
            upto = next((n for n in range(shown, moment.events) if tape.events[n].at != at), moment.events)
            state = evolve(state, *tape.events[shown:upto])
            view.event(tape.events[shown:upto], state)
            shown = upto
        later = tape.next_step(played)
        if later is None:
            return state
        view.tick(moment.now)
        wait(max(0.0, min(_FRAME_SECONDS, later - (clock() - began))))
