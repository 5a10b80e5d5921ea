"""`locks` and `lock`: who holds what, why it is not to be had, and locks for scripts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, with_globals
from wavecrew.errors import ExitCode, NotFoundError

if TYPE_CHECKING:
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
    """List the locks that are held, and everybody who waits for one."""
    from wavecrew.views.lock_text import lock_table

    with _registry(settings) as registry:
        held, waiting = registry.locks(), registry.waiters()
    if settings.json:
        echo_json({"locks": [_lock_data(lock) for lock in held], "waiters": [asdict(one) for one in waiting]})
    else:
        waits = [(one.resource, one.label, one.holder, one.since) for one in waiting]
        echo(lock_table(held, waits, time.time()))
    return ExitCode.OK


@locks.command("why")
@click.argument("path")
@with_globals
@pass_globals
def locks_why(settings: Globals, path: str) -> int:
    """Tell why PATH (or a folder, pattern or name) cannot be had right now."""
    from wavecrew.views.lock_text import lock_table

    with _registry(settings) as registry:
        claims = registry.claims([path])
        in_the_way = registry.conflicts(claims)
    if settings.json:
        echo_json({"resource": path, "free": not in_the_way, "held_by": [_lock_data(lock) for lock in in_the_way]})
    elif in_the_way:
        echo(f"{path} is not free:")
        echo(lock_table(in_the_way, [], time.time()))
    else:
        echo(f"{path} is free")
    return ExitCode.OK


@locks.command("break")
@click.argument("fence", type=int)
@click.option("--force", is_flag=True, help="Also from an owner on another host, which you know to be gone.")
@with_globals
@pass_globals
def locks_break(settings: Globals, fence: int, force: bool) -> int:
    """Take the locks that were granted with the number FENCE away, but only from the dead.

    A living owner keeps them: end its phase with `wavecrew cancel`, or its process, first.
    """
    with _registry(settings) as registry:
        holder = registry.break_lock(fence, though_unknown=force)
    if holder is None:
        raise NotFoundError(f"no lock has the number {fence}", fix="see: wavecrew locks list")
    echo(f"took the lock {fence} from {holder}")
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
    with _registry(settings, create=True) as registry:
        return run_locked(
            registry,
            registry.claims(paths, LockType.SHARED if shared else LockType.EXCLUSIVE),
            command,
            timeout=timeout,
            on_wait=lambda found: (
                None if settings.quiet else echo(f"waiting for {', '.join(paths)}: held by {found.label}", err=True)
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
