"""Control of a run from anywhere, with or without a living coordinator.

What it does: hands a wish to the coordinator and waits for its answer; where nobody is in charge, takes charge just
long enough to fulfil it.
What it does not know: what a wish means (`core.wishes`), and how it is asked for on a command line.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from wavecrew.api.history import run_is_alive
from wavecrew.core import wishes
from wavecrew.core.bell import Bell
from wavecrew.core.engine import Engine
from wavecrew.core.jobs import JobMaker
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.scheduler import Policy
from wavecrew.core.store import Store
from wavecrew.core.verdicts import RetryRules
from wavecrew.core.wishes import Wish
from wavecrew.errors import RunBusyError, UsageError

_PATIENCE_SECONDS: Final = 15.0
_LOOK_AGAIN_SECONDS: Final = 0.02


def ask(store: Store, workspace: Path, run: str, wish: Wish) -> bool:
    """Have a wish fulfilled. Tells whether a living coordinator did it.

    Raises UsageError, with the coordinator's reason, for a wish that does not fit where the run stands, and
    RunBusyError when a coordinator is in charge but does not answer.
    """
    while True:
        if run_is_alive(store.folder, run):
            answered = _ask_coordinator(store, run, wish)
            if answered:
                return True
            continue  # it left before it answered
        try:
            _fulfil_alone(store, workspace, run, wish)
        except RunBusyError:
            continue  # somebody took charge in this very moment: ask them
        return False


def _ask_coordinator(store: Store, run: str, wish: Wish) -> bool:
    with store.transaction() as tx:
        number = wishes.put(tx, run, wish)
    Bell.ring(store.folder, f"run-{run}")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with store.transaction() as tx:
            answer = wishes.take_answer(tx, number)
        if answer is not None:
            if answer:
                raise UsageError(answer)
            return True
        if not run_is_alive(store.folder, run):
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
    with store.transaction() as tx:
        answer = wishes.take_answer(tx, number)  # it may have answered with its last breath
        wishes.withdraw(tx, number)
    if answer is None and run_is_alive(store.folder, run):
        raise RunBusyError(
            f"the coordinator of run {run} does not answer; it may be stopped or very busy",
            fix="see who it is with: wavecrew status",
        )
    if answer:
        raise UsageError(answer)
    return answer is not None


def _fulfil_alone(store: Store, workspace: Path, run: str, wish: Wish) -> None:
    jobs = JobMaker(
        run=run,
        workspace=workspace,
        state_folder=store.folder,
        agents={},
        keys=ResourceKeys(workspace),
        default_agent="",
    )
    engine = Engine(
        store=store,
        registry=LockRegistry(store, workspace),
        jobs=jobs,
        policy=Policy(agent_limit=0, rank={}, claims={}),
        retry=RetryRules(),
    )
    asyncio.run(engine.fulfil(wish))
