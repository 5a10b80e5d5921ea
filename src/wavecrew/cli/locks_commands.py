"""`locks` and `lock`: who holds what, why it is not to be had, and locks for scripts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, show, with_globals
from wavecrew.errors import ExitCode, NotFoundError

if TYPE_CHECKING:
    from wavecrew.core.lock_registry import Picture
    from wavecrew.core.resource_manager import LockRegistry
    from wavecrew.models.parallel_execution import ResourceLock


_WEEK = 7 * 86_400.0


@contextmanager
def _registry(settings: Globals, *, create: bool = False) -> Iterator[LockRegistry]:
    from wavecrew.api.places import find_workspace
    from wavecrew.core.resource_manager import LockRegistry
    from wavecrew.core.store import Store

    folder = find_workspace(settings.directory)
    with Store.open(folder, create=create) as store:
        yield LockRegistry(store, folder)


@click.group(invoke_without_command=True)
@click.pass_context
def locks(context: click.Context) -> None:
    """The locks of this workspace."""
    if context.invoked_subcommand is None:
        context.invoke(locks_list)


@locks.command("list")
@with_globals
@pass_globals
def locks_list(settings: Globals) -> int:
    """List the locks that are held, and everybody who waits.

    An owner is alive; or suspect: there is no sign of life, but no proof of death either; or dead, and loses its locks
    as soon as somebody wants them. Below stand the locks that were broken last, by whom and why.
    """
    with _registry(settings) as registry:
        found = registry.picture()
    if settings.json:
        echo_json(_picture_data(found))
    else:
        show(_picture_text(found))
    return ExitCode.OK


def _picture_text(found: Picture) -> str:
    from wavecrew.views.lock_text import Broken, Held, Wait, lock_table

    return lock_table(
        [Held(lock, owner.word, owner.reason) for lock, owner in found.held],
        [Wait(one.resource, one.label, one.holder, one.since, owner.word) for one, owner in found.waiting],
        time.time(),
        broken=[Broken(one.fence, one.label, one.at, one.by, one.reason) for one in found.broken],
    )


def _picture_data(found: Picture) -> dict[str, object]:
    """An owner is `alive`, `suspect` or `dead`."""
    return {
        "locks": [
            {**_lock_data(lock), "owner": owner.word, "owner_reason": owner.reason} for lock, owner in found.held
        ],
        "waiters": [{**asdict(one), "owner": owner.word, "owner_reason": owner.reason} for one, owner in found.waiting],
        "broken": [
            {
                "fence": one.fence,
                "holder": one.label,
                "resources": list(one.resources),
                "at": one.at,
                "by": one.by,
                "reason": one.reason,
            }
            for one in found.broken
        ],
    }


@locks.command("why")
@click.argument("path")
@with_globals
@pass_globals
def locks_why(settings: Globals, path: str) -> int:
    """Tell why PATH cannot be had right now, and who waits for it.

    PATH may also be a folder, a pattern or a name.
    """
    from wavecrew.models.resources import meets, parse_resource
    from wavecrew.views.lock_text import Held, Wait, lock_table

    with _registry(settings) as registry:
        wanted = registry.claims([path])
        colliding, picture = set(registry.conflicts(wanted)), registry.picture()
        in_the_way = [(lock, owner) for lock, owner in picture.held if lock in colliding]
        waiting = [
            (one, owner)
            for one, owner in picture.waiting
            if any(meets(parse_resource(one.resource), claim.resource) for claim in wanted)
        ]
    if settings.json:
        held_by = [{**_lock_data(lock), "owner": one.word, "owner_reason": one.reason} for lock, one in in_the_way]
        asked_by = [{**asdict(one), "owner": owner.word, "owner_reason": owner.reason} for one, owner in waiting]
        echo_json({"resource": path, "free": not in_the_way, "held_by": held_by, "asked_by": asked_by})
    elif in_the_way:
        echo(f"{path} is not free:")
        held = [Held(lock, one.word, one.reason) for lock, one in in_the_way]
        waits = [Wait(one.resource, one.label, one.holder, one.since, owner.word) for one, owner in waiting]
        show(lock_table(held, waits, time.time()))
    else:
        echo(f"{path} is free")
    return ExitCode.OK


@locks.command("break")
@click.argument("number", type=int, metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why; `locks list` shows it from now on.")
@click.option("--force", is_flag=True, help="Also from a suspect owner, which you know to be gone.")
@with_globals
@pass_globals
def locks_break(settings: Globals, number: int, reason: str, force: bool) -> int:
    """Take locks away, but only from the dead.

    ID is their number; see `locks list`.

    Who did it and why is kept. A living owner keeps its locks: end its phase with `wavecrew cancel`, or its process,
    first. If a suspect owner turns out to be alive after --force, it is told at its next look that its lock is gone.
    """
    from wavecrew.api.users import who

    with _registry(settings) as registry:
        done = registry.break_lock(number, by=who(), reason=reason, though_unknown=force)
    if done is None:
        raise NotFoundError(f"no lock has the number {number}", fix="see: wavecrew locks list")
    if settings.json:
        echo_json({"fence": done.fence, "holder": done.label, "by": done.by, "reason": done.reason})
    else:
        echo(f"took the lock {number} from {done.label}")
    return ExitCode.OK


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, required=True, metavar="PATH... -- COMMAND...", type=click.UNPROCESSED)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=_WEEK),
    default=300.0,
    show_default=True,
    help="Longest wait in seconds.",
)
@click.option("--shared", is_flag=True, help="Read locks: others may read as well.")
@with_globals
@pass_globals
def lock(settings: Globals, words: tuple[str, ...], timeout: float, shared: bool) -> int:
    """Run COMMAND while holding locks on every PATH, all or none. Gives the exit code of COMMAND."""
    from wavecrew.api.locked_command import run_locked
    from wavecrew.models.parallel_execution import LockType

    if "--" not in words or not words[: words.index("--")] or not words[words.index("--") + 1 :]:
        raise click.UsageError("write it as: wavecrew lock PATH... -- COMMAND...")
    if timeout != timeout:  # what is not a number is in no range, and out of none
        raise click.BadParameter("nan is no time", param_hint="--timeout")
    paths, command = words[: words.index("--")], words[words.index("--") + 1 :]
    options = [word for word in paths if word.startswith("-")]
    if options:
        raise click.UsageError(
            f"{options[0]} is no option here: options stand before the first PATH (a file of this name: ./{options[0]})"
        )
    with _registry(settings, create=True) as registry:
        return run_locked(
            registry,
            registry.claims(paths, LockType.SHARED if shared else LockType.EXCLUSIVE),
            command,
            timeout=timeout,
            on_wait=lambda found: (
                None if settings.quiet else echo(f"waiting for {', '.join(paths)}: held by {found.label}", err=True)
            ),
            on_broken=lambda done: echo(
                f"the lock was broken by {done.by} while the command ran: {done.reason}", err=True
            ),
        )


def _lock_data(lock: ResourceLock) -> dict[str, object]:
    return {
        "resource": lock.resource_path,
        "type": lock.lock_type.value,
        "holder": lock.owner_phase,
        "since": lock.lock_time,
        "fence": lock.fence,
    }
