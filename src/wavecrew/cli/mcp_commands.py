"""`mcp`: wavecrew as a server of tools, for an assistant in the project or an agent inside of a phase."""

from __future__ import annotations

import click

from wavecrew.cli.globals import Globals, pass_globals, with_globals
from wavecrew.errors import ExitCode, PreflightError, UsageError


@click.command()
@click.option(
    "--read-only", is_flag=True, help="Only tools for looking: nobody can retry, cancel or approve with them."
)
@with_globals
@pass_globals
def mcp(settings: Globals, read_only: bool) -> int:
    """Serve tools to an assistant by the Model Context Protocol, on standard input and output.

    Assistants start this by themselves; docs/mcp.md has the lines for their settings. In a project the tools are plan,
    status, logs, explain, and the verbs that have a say in a run. Inside of a phase, however it is started, there are
    only progress, ask_human and lock_request, by which an agent speaks with its coordinator.
    """
    try:
        import mcp as _  # noqa: F401 -- only to see whether it is there
    except ImportError:
        raise PreflightError(
            "the library for the Model Context Protocol is not installed", fix="pip install 'wavecrew[mcp]'"
        ) from None
    from wavecrew import __version__
    from wavecrew.mcp_server.whereabouts import phase_here

    place = phase_here()
    if place is not None:
        from wavecrew.mcp_server.phase_tools import server_in

        server_in(place, __version__).run("stdio")
        return ExitCode.OK
    if not settings.directory.is_dir():
        raise UsageError(f"there is no folder {settings.directory}", fix="say -C with the folder of the project")
    from wavecrew.mcp_server.project_tools import server_for
    from wavecrew.mcp_server.verbs import Verbs

    server_for(Verbs(settings.directory, _prefix(settings)), __version__, read_only=read_only).run("stdio")
    return ExitCode.OK


def _prefix(settings: Globals) -> tuple[str, ...]:
    """What was said about settings here holds for each call."""
    chosen = ("--config", str(settings.config_file.absolute())) if settings.config_file is not None else ()
    return (*chosen, *(() if settings.use_files else ("--no-config",)))
