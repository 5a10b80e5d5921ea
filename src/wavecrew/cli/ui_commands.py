"""`ui`, and `run --ui tui`: the board of a run in this terminal, while the run goes on in a process of its own; or of a
recorded run, played again."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from wavecrew.api.history import open_run, place_of
from wavecrew.api.places import find_workspace
from wavecrew.cli.globals import Globals, echo, only_ascii, pass_globals, with_globals
from wavecrew.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from wavecrew.api.runs import PreparedRun

_SPEED: Final = 10.0


@click.command()
@click.argument("run", default="latest")
@click.option("--replay", is_flag=True, help="Play the run again from what was recorded.")
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 1_000_000),
    metavar="N",
    help="With --replay: how many times as fast as the run was (default: 10).",
)
@click.option("--theme", type=click.Choice(["auto", "dark", "light", "plain"]), default="auto", show_default=True)
@click.option("--mouse", is_flag=True, help="Let the board have the mouse; selecting text then needs shift.")
@with_globals
@pass_globals
def ui(settings: Globals, run: str, replay: bool, speed: float | None, theme: str, mouse: bool) -> int:
    """Watch RUN in a board that fills the terminal, and act on it.

    The board only reads; leaving it (q) changes nothing, and there may be any number of them. `?` shows all keys. It
    shows plan and states, the log, events, prompt, difference and checks of each attempt, the timeline, locks, and what
    needs you. Without a terminal: `wavecrew status --watch`.

    With --replay it shows a run, also one that was imported, as it went: pause, step, change the speed, go to any
    moment. Nothing can be done to the run there.
    """
    if speed is not None and not replay:
        raise UsageError("--speed is of use only with --replay", fix=f"wavecrew ui --replay --speed {speed:g}")
    require_terminal()
    open_board(settings, run, theme=theme, mouse=mouse, speed=(speed or _SPEED) if replay else None)
    return ExitCode.OK


def require_terminal() -> None:
    """Raise UsageError where a board cannot be drawn."""
    lacking = [name for name in ("stdin", "stdout", "stderr") if not getattr(sys, name).isatty()]
    if lacking:
        what = f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} none"
        raise UsageError(
            f"the terminal UI needs a terminal, and {what}",
            fix="watch it with: wavecrew status --watch; or run with: --ui plain",
        )
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        raise UsageError(
            "this terminal cannot move its cursor (TERM is not set, or is dumb)",
            fix="watch it with: wavecrew status --watch; or run with: --ui plain",
        )


def run_under_board(prepared: PreparedRun, settings: Globals) -> int:
    """Carry a prepared run out in the background, with the board here. Gives the exit code of the run if it is over
    when the board is left, else 0. Raises PreflightError when the run does not come up."""
    from wavecrew.cli.detach import start_in_background
    from wavecrew.cli.run_commands import exit_code

    start_in_background(prepared)
    open_board(settings, prepared.run)
    with prepared.workspace.open_store() as store:
        opened = open_run(store, prepared.run)
    return ExitCode.OK if opened.alive else exit_code(opened.state)


def open_board(
    settings: Globals, run: str, *, theme: str = "auto", mouse: bool = False, speed: float | None = None
) -> None:
    """Show the board until it is left, and then where the run stands; with a `speed`, as a recording. Raises
    NotFoundError and StoreError for what cannot be opened."""
    from wavecrew.views.run_status import status_text

    folder = find_workspace(settings.directory)
    with place_of(folder, run) as (folder, store):
        open_run(store, run)  # what is wrong with it is told before anything heavy is loaded
        from wavecrew.tui.app import BoardApp
        from wavecrew.tui.palette import NAMES, theme_for
        from wavecrew.tui.played_source import PlayedSource
        from wavecrew.tui.source import RunSource

        source = RunSource(store, folder, run) if speed is None else PlayedSource(store, folder, run, speed=speed)
        chosen = NAMES.get(theme) or theme_for(os.environ, color=settings.wants_color())
        encoding = "ascii" if only_ascii() else "utf-8"
        app = BoardApp(source, theme_name=chosen, encoding=encoding, prefix=_prefix(settings))
        app.run(mouse=mouse)
        if app.fault is not None:
            raise app.fault
        if source.player is not None:
            echo(f"run {source.run} was played; as it is now: wavecrew status {source.run}")
            return
        source.tick()
    echo(status_text(source.summary, ascii_only=only_ascii()).rstrip())
    if source.alive:
        echo(f"run {source.run} goes on without this board; back to it: wavecrew ui")


def _prefix(settings: Globals) -> tuple[str, ...]:
    """What was said about settings here holds for the commands of the board, too."""
    chosen = ("--config", str(settings.config_file.absolute())) if settings.config_file is not None else ()
    return (*chosen, *(() if settings.use_files else ("--no-config",)))
