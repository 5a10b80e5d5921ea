"""`runs export`, `runs import` and `runs forget`: a run as a file that can be sent to somebody."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, with_globals
from wavecrew.errors import ExitCode


@click.command("export")
@click.argument("run", default="latest")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: wavecrew-RUN.zip, here."
)
@click.option("--no-logs", is_flag=True, help="Leave out what agents printed.")
@click.option("--force", is_flag=True, help="Overwrite a file.")
@with_globals
@pass_globals
def runs_export(settings: Globals, run: str, output: Path | None, no_logs: bool, force: bool) -> int:
    """Write RUN to a file that can be looked at elsewhere: its events, its plan and its logs.

    Values of variables that agents were given, those of variables with secret names, and what looks like a key are
    hidden. Host, user and file names stay. Neither locks nor tokens go along.
    """
    from wavecrew.api.archive import export_run
    from wavecrew.api.history import open_run
    from wavecrew.api.places import find_workspace
    from wavecrew.core.store import Store

    with Store.open(find_workspace(settings.directory), create=False) as store:
        opened = open_run(store, run)
        target = output or settings.directory / f"wavecrew-{opened.row.id}.zip"
        told = export_run(opened, target, os.environ, logs=not no_logs, force=force)
    if settings.json:
        counts = {"events": told.events, "logs": told.logs, "bytes": told.size}
        lacks = {"secrets_hidden": told.hidden, "logs_cut": told.cut, "logs_left_out": told.left_out}
        echo_json({"run": told.run, "file": str(told.path), **counts, **lacks})
        return ExitCode.OK
    echo(f"wrote {target}: run {told.run}, {told.events} events, {told.logs} logs, {told.size:,} bytes")
    if told.hidden:
        echo(
            f"{told.hidden} secret{'s' * (told.hidden != 1)} hidden; look at it before you send it: no list is complete"
        )
    if told.cut or told.left_out:
        echo(f"{told.cut} long logs were shortened, {told.left_out} left out")
    echo("next, elsewhere: wavecrew runs import FILE")
    return ExitCode.OK


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@with_globals
@pass_globals
def runs_import(settings: Globals, file: Path) -> int:
    """Take in a run that was exported elsewhere, to look at it with every command that shows runs.

    Nothing can go on with it, and no plan ever takes it for its own. `wavecrew runs forget RUN` removes it.
    """
    from wavecrew.api.places import find_workspace
    from wavecrew.api.unpacking import import_run

    found = import_run(find_workspace(settings.directory), settings.directory / file)
    if settings.json:
        echo_json({"run": found.run, "folder": str(found.workspace)})
        return ExitCode.OK
    echo(f"imported run {found.run}")
    echo(f"next: wavecrew status {found.run} · wavecrew report {found.run} · wavecrew logs PHASE --run {found.run}")
    return ExitCode.OK


@click.command("forget")
@click.argument("run")
@with_globals
@pass_globals
def runs_forget(settings: Globals, run: str) -> int:
    """Remove a run that was imported. Runs of this workspace stay."""
    from wavecrew.api.imports import forget
    from wavecrew.api.places import find_workspace
    from wavecrew.core.store import Store

    with Store.open(find_workspace(settings.directory), create=False) as store:
        gone = forget(store, run)
    if settings.json:
        echo_json({"forgotten": gone.run})
    else:
        echo(f"run {gone.run} is forgotten")
    return ExitCode.OK
