"""What earlier runs in this folder tell about how long phases take.

What it does: takes it from the newest run of a plan, which carries on what those before it told; for a plan that was
never run, from the newest run of any.
What it does not know: what follows from it (`models/experience`).
"""

from __future__ import annotations

from contextlib import suppress

from wavecrew.api.again import latest_run
from wavecrew.api.history import OpenedRun, open_run
from wavecrew.api.workspace import Workspace
from wavecrew.core.store import STATE_FOLDER
from wavecrew.errors import WavecrewError
from wavecrew.models.experience import Experience
from wavecrew.models.plan import Plan


def experience_for(workspace: Workspace, plan: Plan, latest: OpenedRun | None = None) -> Experience:
    """What is known for a plan; `latest` is its newest run, if that is at hand. It is a comfort: where no run can be
    read, nothing is known."""
    with suppress(WavecrewError):
        found = latest or latest_run(workspace, plan) or _newest(workspace)
        if found is not None:
            return found.state.experience
    return Experience()


def _newest(workspace: Workspace) -> OpenedRun | None:
    if not (workspace.folder / STATE_FOLDER / "state.db").exists():
        return None
    with workspace.open_store(create=False) as store:
        return open_run(store) if store.runs() else None
