"""`locks`: who holds what, and who waits."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, with_globals
from wavecrew.errors import ExitCode

if TYPE_CHECKING:
    from wavecrew.models.parallel_execution import ResourceLock


@click.command()
@click.argument("what", type=click.Choice(["list"]), default="list")
@with_globals
@pass_globals
def locks(settings: Globals, what: str) -> int:
    """List the locks that are held in this workspace, and everybody who waits for one."""
    from wavecrew.core.resource_manager import LockRegistry
    from wavecrew.views.lock_text import lock_table

    workspace = settings.workspace()
    with workspace.open_store(create=False) as store:
        registry = LockRegistry(store, workspace.folder)
        held, waiting = registry.locks(), registry.waiters()
    if settings.json:
        echo_json({"locks": [_lock_data(lock) for lock in held], "waiters": [asdict(one) for one in waiting]})
    else:
        waits = [(one.resource, one.label, one.holder, one.since) for one in waiting]
        echo(lock_table(held, waits, time.time()))
    return ExitCode.OK


def _lock_data(lock: ResourceLock) -> dict[str, object]:
    return {
        "resource": lock.resource_path,
        "type": lock.lock_type.value,
        "holder": lock.owner_phase,
        "since": lock.lock_time,
        "fence": lock.fence,
    }
