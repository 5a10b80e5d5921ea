"""The composition root: the only floor that knows how the rooms below fit together.

A Python program and the command line call the same functions: `load_plan`, `analyse_plan`, `open_workspace`,
`prepare_run`, `open_run`.
"""

from wavecrew.api.history import OpenedRun, open_run, run_is_alive
from wavecrew.api.plans import analyse_plan, load_agents, load_plan, select
from wavecrew.api.runs import PreparedRun, RunRequest, prepare_run
from wavecrew.api.workspace import Workspace, open_workspace

__all__ = [
    "OpenedRun",
    "PreparedRun",
    "RunRequest",
    "Workspace",
    "analyse_plan",
    "load_agents",
    "load_plan",
    "open_run",
    "open_workspace",
    "prepare_run",
    "run_is_alive",
    "select",
]
