"""`web`: the page of a run, and the same page beside `run --web`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, with_globals
from wavecrew.errors import ExitCode, PreflightError, UsageError, WavecrewError

if TYPE_CHECKING:
    from wavecrew.api.runs import PreparedRun

_ANY: Final = "any"
_MOST_PORT: Final = 65_535
_PATIENCE_SECONDS: Final = 5.0


@click.command()
@click.argument("run", default="latest")
@click.option(
    "--port",
    type=click.IntRange(0, _MOST_PORT),
    metavar="PORT",
    help="Listen at this port; 0 takes any that is free. Default: 8642, or any if that is taken.",
)
@click.option("--open", "show", is_flag=True, help="Open it in your browser.")
@click.option("--read-only", is_flag=True, help="Only for looking: nobody can retry, cancel or approve on this page.")
@click.option("--new-key", is_flag=True, help="Make a new key; pages that are open need the new link.")
@click.option("--leash", is_flag=True, hidden=True, help="Beside a run: end with standard input.")
@with_globals
@pass_globals
def web(settings: Globals, run: str, port: int | None, show: bool, read_only: bool, new_key: bool, leash: bool) -> int:
    """Show a run on a web page, live, until Ctrl-C. Any number may look; closing a page never stops a run.

    The page is served to this machine only, and opens with the key in the link that is printed. It has the plan as a
    graph and as a table, time, logs, locks, what needs you, and the verbs of the command line. For Prometheus there is
    /metrics.
    """
    try:
        return _serve(settings, run, port, show=show, read_only=read_only, new_key=new_key, leash=leash)
    except WavecrewError as error:
        if not leash:
            raise
        echo(json.dumps({"error": error.reason, "fix": error.fix}))
        return error.exit_code


def _serve(
    settings: Globals, run: str, port: int | None, *, show: bool, read_only: bool, new_key: bool, leash: bool
) -> int:
    from wavecrew.api.history import open_run
    from wavecrew.api.places import find_workspace
    from wavecrew.core.store import Store
    from wavecrew.web.entry import entry_of
    from wavecrew.web.guard import Door
    from wavecrew.web.serve import bind, serve
    from wavecrew.web.site import Site

    folder = find_workspace(settings.directory)
    with Store.open(folder, create=False) as store:
        if run != "latest" and not leash:
            run = open_run(store, run).row.id
        listener = bind(port)
        number = listener.getsockname()[1]
        door = Door(entry_of(store.folder, anew=new_key), number, read_only)
        link = f"http://127.0.0.1:{number}/#key={door.entry.token}"
        site = Site(folder, store, door, run)
        with _opened_by(store.folder, number, link) if show else contextlib.nullcontext(lambda: None) as in_browser:

            def ready() -> None:
                _tell(settings, link, leash=leash)
                in_browser()

            serve(site, listener, ready=ready, leash=sys.stdin.fileno() if leash else None)
    return ExitCode.OK


def _tell(settings: Globals, link: str, *, leash: bool) -> None:
    if leash:
        echo(json.dumps({"link": link}))
    elif settings.json:
        echo_json({"link": link})
    else:
        echo(f"web page: {link}")
        if not settings.quiet:
            echo("Whoever has this link can control the run. Ctrl-C ends the page, not the run.")
    sys.stdout.flush()


@contextlib.contextmanager
def _opened_by(state_folder: Path, port: int, link: str) -> Iterator[Any]:
    """What opens the page in a browser. The link goes through a file that only we can read, because the arguments of a
    program can be read by everybody on the machine."""
    import webbrowser
    from html import escape

    way = state_folder / "web" / f"open-{port}.html"

    def show() -> None:
        with contextlib.suppress(OSError):
            way.parent.mkdir(mode=0o700, exist_ok=True)
            way.unlink(missing_ok=True)
            text = f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(link)}">wavecrew'
            with os.fdopen(os.open(way, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(text)
            if not webbrowser.open(way.as_uri()):
                echo("no browser could be opened; open the link yourself", err=True)

    try:
        yield show
    finally:
        way.unlink(missing_ok=True)


# -- beside a run -----------------------------------------------------------------------------------------------


class CommandWithPage(click.Command):
    """A command whose `--web` may stand alone: only `--web=PORT` has a value, so that a plan after it stays a plan."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As every command, after the bare option was given its value."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(
            ctx, [f"--web={_ANY}" if word == "--web" else word for word in args[:end]] + args[end:]
        )


def _port(_: click.Context, option: click.Parameter, value: str | None) -> int | None:
    """-1 for any port, None for no page."""
    if value is None or value == _ANY:
        return None if value is None else -1
    if not (value.isascii() and value.isdecimal() and int(value) <= _MOST_PORT):
        raise click.BadParameter(f"{value!r} is no port; write --web or --web=8642", param=option)
    return int(value)


def with_page(command: Any) -> Any:
    """Give a command `--web` and `--keep-web`."""
    command = click.option(
        "--keep-web", is_flag=True, help="With --web: keep the page open after the run, until Ctrl-C."
    )(command)
    return click.option("--web", metavar="[=PORT]", callback=_port, help="Show the run on a web page, too.")(command)


def require_page(port: int | None, *, keep: bool, detach: bool) -> None:
    """Raises UsageError for options that do not go together."""
    if keep and port is None:
        raise UsageError("--keep-web goes with --web")
    if detach and port is not None:
        raise UsageError(
            "--web and --detach do not go together: the page ends with the process that started it",
            fix="leave out --web, and later: wavecrew web",
        )


@contextlib.contextmanager
def page_beside(prepared: PreparedRun, port: int | None, *, keep: bool) -> Iterator[None]:
    """A page in a process of its own, so that it can neither block nor harm the coordinator. It ends with this block,
    however that is left, or with this process; to `keep` it, Ctrl-C.

    Raises PreflightError, before anything is run, if there cannot be one.
    """
    if port is None:
        yield
        return
    with prepared.workspace.open_store():
        pass  # make the state folder now, for the page looks into it before the run begins
    words = ["-C", str(prepared.workspace.folder), "web", prepared.run, "--leash"]
    words += ["--port", str(port)] if port >= 0 else []
    with subprocess.Popen(
        [sys.executable, "-m", "wavecrew", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the run, which needs a moment to end; the page shows that, too
    ) as child:
        try:
            _announce(_first_words(child))
            yield
            if keep:
                echo("the page stays open; Ctrl-C ends it", err=True)
                with contextlib.suppress(KeyboardInterrupt):
                    child.wait()
        finally:
            with contextlib.suppress(OSError):
                child.stdin.close()  # type: ignore[union-attr]  # it is a pipe
            _end(child)


def _first_words(child: subprocess.Popen[bytes]) -> str:
    """The link of the page. Raises PreflightError with its reason if it does not come up."""
    line = child.stdout.readline() if child.stdout else b""
    try:
        told = json.loads(line)
    except ValueError:
        told = {"error": "the web page did not come up", "fix": "see why with: wavecrew web"}
    if "link" not in told:
        raise PreflightError(str(told.get("error")), fix=str(told.get("fix", "")).replace("--port ", "--web="))
    return str(told["link"])


def _announce(link: str) -> None:
    """The key is for a person at a terminal, and not for a file that others may read."""
    if sys.stderr.isatty():
        echo(f"web page: {link}", err=True)
    else:
        echo(f"web page: {link.partition('#')[0]} (its key is in .wavecrew/web/token)", err=True)


def _end(child: subprocess.Popen[bytes]) -> None:
    stops: tuple[Callable[[], object], ...] = (lambda: None, child.terminate, child.kill)
    for stop in stops:
        stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE_SECONDS)
            return
