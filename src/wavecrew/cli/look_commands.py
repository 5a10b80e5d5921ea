"""`status`, `logs` and `runs`: looking at what is going on and at what was."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wavecrew.api.history import open_run, run_is_alive
from wavecrew.api.places import find_workspace
from wavecrew.cli.archive_commands import runs_export, runs_forget, runs_import
from wavecrew.cli.globals import Globals, echo, echo_json, only_ascii, pass_globals, show, with_globals
from wavecrew.cli.replay_commands import runs_replay
from wavecrew.core.redaction import Redaction
from wavecrew.core.store import Store
from wavecrew.errors import ExitCode, NotFoundError, UsageError, WavecrewError

if TYPE_CHECKING:
    from wavecrew.api.history import OpenedRun
    from wavecrew.views.summary import Summary

_MOST_FILES = 50_000
"""How many files `status` looks at to say what they take: about a quarter of a second."""


@contextmanager
def _store(settings: Globals) -> Iterator[Store]:
    """The state of the workspace, without loading any setting: looking must be quick."""
    with Store.open(find_workspace(settings.directory), create=False) as store:
        yield store


def overview(settings: Globals) -> None:
    """What `wavecrew` alone prints: where things stand, and the likeliest next commands."""
    try:
        with _store(settings) as store:
            _print_status(settings, store, "latest")
    except NotFoundError:
        show("nothing has been run here yet")
        show("next: wavecrew init · wavecrew plan · wavecrew run      all commands: wavecrew --help")


@click.command()
@click.argument("run", default="latest")
@click.option("--watch", is_flag=True, help="Print it again whenever something has changed, until the run is over.")
@click.option("--wait", is_flag=True, help="Print it once nobody is at work on the run any more.")
@click.option(
    "--exit-status",
    is_flag=True,
    help="Exit as `run` does: 0 if all is done, 5 if left for approval, 6 for its budget, 9 if unproven, else 1.",
)
@with_globals
@pass_globals
def status(settings: Globals, run: str, watch: bool, wait: bool, exit_status: bool) -> int:
    """Show where a run stands: what is done, what is at work, who waits for whom, what failed and why."""
    with _store(settings) as store:
        opened = open_run(store, run)
        while wait and opened.alive:
            opened = _wait_for_news(store, opened)
        opened = _print_status(settings, store, opened.row.id)
        while watch and opened.alive:
            opened = _wait_for_news(store, opened)
            _print_status(settings, store, opened.row.id)
    if not exit_status:
        return ExitCode.OK
    if opened.state.left_for_approval and not opened.alive:
        return ExitCode.NEEDS_HUMAN
    if opened.state.left_for_budget and not opened.alive:
        return ExitCode.LIMIT_REACHED
    done = opened.state.end_time is not None and opened.state.succeeded
    if opened.state.lacks_proof:
        return ExitCode.UNPROVEN
    return ExitCode.OK if done else ExitCode.PHASE_FAILED


def _wait_for_news(store: Store, opened: OpenedRun) -> OpenedRun:
    """The run once something was recorded, or nobody is at work on it any more. Nothing is read again before."""
    run, known = opened.row.id, len(opened.events)
    while True:
        time.sleep(0.5)
        ((last,),) = store.query("SELECT coalesce(max(seq), 0) FROM event WHERE run = ?", run)
        if last != known or not run_is_alive(store.folder, run):
            return open_run(store, run)


def _print_status(settings: Globals, store: Store, reference: str) -> OpenedRun:
    from wavecrew.api.disk import disk_use
    from wavecrew.views.run_status import status_json, status_text

    opened = open_run(store, reference)
    summary, disk = _summary(opened), disk_use(store.folder.parent, _MOST_FILES)
    if settings.json:
        echo(status_json(summary, disk).rstrip())
    else:
        show(status_text(summary, ascii_only=only_ascii(), disk=disk).rstrip())
    sys.stdout.flush()
    return opened


def _summary(opened: OpenedRun) -> Summary:
    from wavecrew.views.run_history import History
    from wavecrew.views.summary import summarize

    history, progress, signs = History(opened.events), opened.progress(), opened.signs()
    return summarize(opened.state, time.time(), alive=opened.alive, progress=progress, history=history, signs=signs)


@click.command()
@click.argument("phase", required=False)
@click.option("--run", default="latest", show_default=True, metavar="RUN", help="The run to look at.")
@click.option("--attempt", type=int, metavar="N", help="The attempt to look at; the latest by default.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the attempt has ended.")
@click.option("-n", "--lines", type=int, metavar="N", help="Only the last N lines.")
@click.option("--failed", is_flag=True, help="The logs of all failed phases.")
@click.option("--raw", is_flag=True, help="Every byte as it is, terminal control sequences included.")
@with_globals
@pass_globals
def logs(
    settings: Globals,
    phase: str | None,
    run: str,
    attempt: int | None,
    follow: bool,
    lines: int | None,
    failed: bool,
    raw: bool,
) -> int:
    """Show what the agent of PHASE printed, and then the checks of the merged tree and the teardown, if there were any.
    Control sequences, and the values of variables that agents were handed by name, are taken out unless --raw is
    given, which shows the agent alone.
    """
    from wavecrew.api.attempt_folders import logs_beside
    from wavecrew.api.selection import phase_named
    from wavecrew.models.phase_status import PhaseStatus

    with _store(settings) as store:
        opened = open_run(store, run)
        if bool(phase) == failed:
            raise UsageError("name a phase, or say --failed", fix="see the phases with: wavecrew status")
        if phase:
            names = [phase_named(opened.state.graph, phase)]
        else:
            names = [
                name for name, s in opened.state.phase_states.items() if s.status is PhaseStatus.FAILED and s.attempts
            ]
            if not names:
                show("no phase has failed")
        for name in names:
            if failed:
                echo(f"== {name} {opened.state.graph.nodes[name].name}")
            path = opened.log_file(name, attempt)
            if not raw and (session := opened.session_of(name, attempt)):
                echo(f"-- goes on with session {session}")
            hide = Redaction() if raw else Redaction.for_run(opened.state.settings, os.environ)
            if follow:
                _follow(path, hide, raw=raw)
            else:
                _show(path, lines, hide, raw=raw)
            for title, beside in () if raw else logs_beside(path.parent):
                echo(f"-- {title}")
                _show(beside, lines, hide, raw=False)
            if not raw and (other := opened.checked_with(name, attempt)):
                echo(f"-- its merged tree was checked in one tree with others: wavecrew logs {other}")
    return ExitCode.OK


def _show(path: Path, lines: int | None, hide: Redaction, *, raw: bool) -> None:
    from wavecrew.cli.log_tail import follow, last_lines
    from wavecrew.views.terminal_text import clean

    if lines is not None and not raw:
        echo(clean(hide.text(last_lines(path, lines))))
        return
    for piece in follow(path, lambda: True):
        _write(hide.raw(piece), raw=raw)


def _follow(path: Path, hide: Redaction, *, raw: bool) -> None:
    from wavecrew.cli.log_tail import follow
    from wavecrew.core.liveness import is_locked

    for piece in follow(path, lambda: not is_locked(path.parent / "lock")):
        _write(hide.raw(piece), raw=raw)
        sys.stdout.flush()


def _write(piece: bytes, *, raw: bool) -> None:
    from wavecrew.views.terminal_text import clean

    if raw:
        sys.stdout.buffer.write(piece)
    else:
        echo(clean(piece.decode("utf-8", errors="replace")), end="")


@click.group()
def runs() -> None:
    """The runs of this workspace."""


@runs.command("list")
@with_globals
@pass_globals
def runs_list(settings: Globals) -> int:
    """List all runs, newest first."""
    from wavecrew.api.imports import imports_in
    from wavecrew.views.run_status import runs_table

    with _store(settings) as store:
        opened = [open_run(store, row.id) for row in store.runs()]
        for one in imports_in(store.folder):
            try:
                opened.append(open_run(store, one.run))
            except WavecrewError as error:  # somebody has been at its folder; that is no trouble of the others
                echo(f"the imported run {one.run} cannot be read: {error.reason}", err=True)
    found = [_summary(one) for one in opened]
    if settings.json:
        echo_json({"runs": [_run_data(one, summary) for one, summary in zip(opened, found, strict=True)]})
    else:
        show(runs_table(found, ascii_only=only_ascii()).rstrip())
    return ExitCode.OK


def _run_data(opened: OpenedRun, summary: Summary) -> dict[str, object]:
    return {
        "run": opened.row.id,
        "number": opened.row.number,
        "status": summary.status.value,
        "plan": summary.plan_path,
        "done": summary.done,
        "total": summary.total,
        "started": summary.started,
        "ended": summary.ended,
        "imported": summary.imported or None,
    }


for _command in (runs_export, runs_import, runs_forget, runs_replay):
    runs.add_command(_command)


@runs.command("show")
@click.argument("run", default="latest")
@with_globals
@pass_globals
def runs_show(settings: Globals, run: str) -> int:
    """Show one run with every phase."""
    from wavecrew.views.run_status import run_text, status_json

    with _store(settings) as store:
        summary = _summary(open_run(store, run))
    if settings.json:
        echo(status_json(summary))
    else:
        show(run_text(summary, ascii_only=only_ascii()).rstrip())
    return ExitCode.OK
