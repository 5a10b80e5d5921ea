"""`notify`: where news of a run go, and a message to try it; and the one who tells them beside a run.

What it does: asks for consent before what a project brings along is used, and prints what became of a trial.
What it does not know: what is news, and how a message leaves.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, with_globals
from wavecrew.errors import ExitCode, NeedsHumanError

if TYPE_CHECKING:
    from wavecrew.api.runs import PreparedRun
    from wavecrew.api.workspace import Workspace
    from wavecrew.cli.screens import Screen
    from wavecrew.models.events import Event
    from wavecrew.models.execution_state import ExecutionState


@contextmanager
def news_of(prepared: PreparedRun, screen: Screen) -> Iterator[Callable[[Sequence[Event], ExecutionState], None]]:
    """An observer for a run, that shows it on a screen and has its news told. Raises ConfigError and PreflightError for
    a way that cannot be used, before anything starts."""
    if not prepared.config.notify:
        yield screen.observe
        return
    from wavecrew.api.notices import teller_for

    workspace = prepared.workspace
    teller = teller_for(
        workspace.loaded,
        workspace.folder,
        prepared.run,
        behind=len(prepared.history),
        environ=os.environ,
        note=screen.note,
    )

    def observe(events: Sequence[Event], state: ExecutionState) -> None:
        teller.observe(events, state)
        screen.observe(events, state)

    with teller:
        yield observe


@click.command()
@click.option("--test", "trial", is_flag=True, help="Send a message that only shows that messages arrive.")
@click.option("--yes", is_flag=True, help="Agree to the program or address that the project's configuration names.")
@with_globals
@pass_globals
def notify(settings: Globals, trial: bool, yes: bool) -> int:
    """Show where news of a run go: what needs you, what failed for good, and how it ended.

    The settings are notify, notify_command, notify_webhook and notify_headers. With --test one message is sent each
    way; exits with 8 if one of them fails.
    """
    from wavecrew.api.channels import channels_for

    workspace = settings.workspace()
    loaded = workspace.loaded
    channels = channels_for(
        loaded.config, workspace.folder, os.environ, from_project=loaded.from_project("notify_command")
    )
    names = [channel.name for channel in channels]
    idle = [name for name in dict.fromkeys(loaded.config.notify) if name not in names]
    if not trial or not names:
        _tell_ways(settings, names, idle)
        return ExitCode.OK
    _require_consent(workspace, settings, yes=yes)
    from wavecrew.api.channels import Post
    from wavecrew.views.notice_words import trial as trial_message

    failed = Post(channels).deliver(trial_message(workspace.folder.name))
    if settings.json:
        echo_json({"sent": [name for name in names if name not in failed], "failed": failed})
    else:
        for name in names:
            echo(f"FAIL  {name:<10}{failed[name]}" if name in failed else f"ok    {name}")
    return ExitCode.PREFLIGHT if failed else ExitCode.OK


def _tell_ways(settings: Globals, names: list[str], idle: list[str]) -> None:
    if settings.json:
        echo_json({"notify": names, "idle": idle})
        return
    if idle:
        echo(f"no terminal here for: {', '.join(idle)}")
    if names:
        echo(f"news of a run go to: {', '.join(names)}")
        echo("next: wavecrew notify --test")
    elif not idle:
        echo("nobody is told news of a run")
        echo("next: wavecrew run --notify terminal · see docs/notifications.md")


def _require_consent(workspace: Workspace, settings: Globals, *, yes: bool) -> None:
    """A program or an address of the project's own configuration is used only after somebody has said so."""
    from wavecrew.api.workspace import Consent
    from wavecrew.views.terminal_text import one_line

    news = workspace.loaded.notices_from_project
    if not news:
        return
    consent, digest = Consent(), hashlib.sha256(repr(news).encode(errors="surrogatepass")).hexdigest()[:32]
    if consent.given(workspace.folder, digest):
        return
    what = " and ".join(map(one_line, news))
    if not yes:
        if not settings.may_ask:
            raise NeedsHumanError(
                f"this project's configuration sends news {what}, and nobody can be asked",
                fix="look at it with `wavecrew config show --origin`, then agree with --yes",
            )
        echo(f"This project's configuration sends news {what}.")
        if not click.confirm("Do it?", default=False):
            raise NeedsHumanError("where the news go was not agreed to")
    consent.give(workspace.folder, digest)
