"""`retry`, `skip`, `pause`, `continue` and `cancel`: wishes about a run, from any terminal."""

from __future__ import annotations

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, with_globals
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import ExitCode, UsageError

_RUN = click.option("--run", default="latest", show_default=True, metavar="RUN", help="The run that is meant.")


@click.command()
@click.argument("phases", nargs=-1, required=True, metavar="PHASE...")
@click.option("--with-downstream", is_flag=True, help="Also everything ended that depends on them.")
@click.option("--reason", default="", help="Why, for the history.")
@_RUN
@with_globals
@pass_globals
def retry(settings: Globals, phases: tuple[str, ...], with_downstream: bool, reason: str, run: str) -> int:
    """Have phases done again that have ended, well or not."""
    return _wish(settings, run, WishKind.RETRY, phases, reason=reason, hard=with_downstream)


@click.command()
@click.argument("phases", nargs=-1, required=True, metavar="PHASE...")
@click.option("--reason", required=True, help="Why; it stands in every report.")
@_RUN
@with_globals
@pass_globals
def skip(settings: Globals, phases: tuple[str, ...], reason: str, run: str) -> int:
    """Waive phases: what depends on them may start although they were not done. This is kept on record."""
    return _wish(settings, run, WishKind.SKIP, phases, reason=reason)


@click.command()
@click.option("--now", is_flag=True, help="End the agents that are at work, too; they will start again.")
@click.option("--reason", default="", help="Why, for the history.")
@_RUN
@with_globals
@pass_globals
def pause(settings: Globals, now: bool, reason: str, run: str) -> int:
    """Start nothing new. What is at work ends in its own time."""
    return _wish(settings, run, WishKind.PAUSE, (), reason=reason, hard=now)


@click.command("continue")
@_RUN
@with_globals
@pass_globals
def continue_(settings: Globals, run: str) -> int:
    """End a pause."""
    return _wish(settings, run, WishKind.CONTINUE, ())


@click.command()
@click.argument("phases", nargs=-1, metavar="[PHASE...]")
@_RUN
@with_globals
@pass_globals
def cancel(settings: Globals, phases: tuple[str, ...], run: str) -> int:
    """End the agents of PHASES for good, or, without PHASES, all agents and the coordinator.

    A run that was cancelled as a whole can be taken up with `wavecrew run`.
    """
    return _wish(settings, run, WishKind.CANCEL, phases)


def _wish(
    settings: Globals, run: str, kind: WishKind, words: tuple[str, ...], *, reason: str = "", hard: bool = False
) -> int:
    from wavecrew.api.control import ask
    from wavecrew.api.history import open_run
    from wavecrew.api.places import find_workspace
    from wavecrew.api.selection import phase_named
    from wavecrew.api.users import who
    from wavecrew.core.store import Store

    folder = find_workspace(settings.directory)
    with Store.open(folder, create=False) as store:
        opened = open_run(store, run)
        names = tuple(dict.fromkeys(phase_named(opened.state.graph, word) for word in words))
        wish = Wish(kind=kind, by=who(), phases=names, reason=reason, hard=hard)
        if not opened.state.graph.nodes:
            raise UsageError(f"run {opened.row.id} has no phases")
        live = ask(store, folder, opened.row.id, wish)
    if settings.json:
        echo_json({"run": opened.row.id, "wish": kind.value, "phases": list(names), "coordinator": live})
        return ExitCode.OK
    what = f" {', '.join(names)}" if names else ""
    echo(f"{kind.value}{what}: done, run {opened.row.id}")
    if not live and kind in (WishKind.RETRY, WishKind.SKIP, WishKind.CONTINUE):
        echo("next: wavecrew run (nobody is at work on it)")
    return ExitCode.OK
