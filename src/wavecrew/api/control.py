"""Control of a run from anywhere, with or without a living coordinator.

What it does: hands a wish to the coordinator and waits for its answer; where nobody is in charge, takes charge just
long enough to fulfil it.
What it does not know: what a wish means (`core.wishes`), and how it is asked for on a command line.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from wavecrew.api.history import open_run, require_own, run_is_alive
from wavecrew.api.isolation import isolation_of
from wavecrew.api.plans import load_agents
from wavecrew.api.rules import by_agent, care_for, recorded_config, retry_rules
from wavecrew.core import wishes
from wavecrew.core.bell import Bell
from wavecrew.core.engine import Engine
from wavecrew.core.jobs import JobMaker
from wavecrew.core.ledger import Observer
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.scheduler import Policy
from wavecrew.core.store import Store
from wavecrew.core.wishes import Wish
from wavecrew.errors import RunBusyError, UsageError

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
            fulfil_alone(store, workspace, run, wish)
        except RunBusyError:
            continue  # somebody took charge in this very moment: ask them
        return False


def _ask_coordinator(store: Store, run: str, wish: Wish) -> bool:
    """Leave a wish and wait for the answer. Tells whether there was one; whoever stops waiting takes the wish back."""
    with store.transaction() as tx:
        number = wishes.put(tx, run, wish)
    answer = None
    try:
        Bell.ring(store.folder, f"run-{run}")
        deadline = time.monotonic() + wishes.PATIENCE_SECONDS
        while answer is None and time.monotonic() < deadline and run_is_alive(store.folder, run):
            time.sleep(_LOOK_AGAIN_SECONDS)
            answer = _look(store, number)
    finally:
        with store.transaction() as tx:
            if answer is None:
                answer = wishes.answer_to(tx, number)  # it may have answered with its last breath
            wishes.withdraw(tx, number)
    if answer is None and run_is_alive(store.folder, run):
        raise RunBusyError(
            f"the coordinator of run {run} does not answer; it may be stopped or very busy",
            fix="see who it is with: wavecrew status",
        )
    if answer:
        reason, _, fix = answer.partition("\n")
        raise UsageError(reason, fix=fix)
    return answer is not None


def _look(store: Store, number: int) -> str | None:
    """The answer, if there is one. Only looking, so that many who wait do not keep the coordinator from writing."""
    with store.reading() as tx:
        return wishes.answer_to(tx, number)


def fulfil_alone(
    store: Store, workspace: Path, run: str, wish: Wish, observe: Observer = lambda events, state: None
) -> None:
    """Take charge with the rules that the run was started with: attempts may have ended that nobody has judged.
    `observe` is told what was recorded, after it was.

    Raises RunBusyError when somebody is in charge, and UsageError for a wish that does not fit.
    """
    state = require_own(open_run(store, run)).state
    config = recorded_config(state.settings)
    keys = ResourceKeys(workspace)
    jobs = JobMaker(
        run=run,
        workspace=workspace,
        state_folder=store.folder,
        agents=load_agents(),  # nothing starts, but what has ended is judged by what it said
        keys=keys,
        default_agent=config.agent,
        passed_on=config.env,  # what it said is recorded without their values
        passed_to=by_agent(config.agent_env),
        environ=dict(os.environ),
    )
    claims = {name: jobs.claims(phase) for name, phase in state.graph.nodes.items()}
    engine = Engine(
        store=store,
        registry=LockRegistry(store, workspace),
        jobs=jobs,
        policy=Policy(agent_limit=0, rank={}, claims=claims),
        retry=retry_rules(config),
        care=care_for(keys, claims, config),
        isolation=isolation_of(state, workspace, config),
        observe=observe,
    )
    asyncio.run(engine.fulfil(wish))
