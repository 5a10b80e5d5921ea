"""wavecrew runs a plan in parallel with coding agents. This module is its public face, on one screen.

Names are loaded when they are first used, so that a command that needs none of them starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wavecrew.config.parallel_config import ParallelExecutionConfig as ParallelExecutionConfig
    from wavecrew.core.resource_manager import FileLock as FileLock
    from wavecrew.core.resource_manager import LockRegistry as LockRegistry
    from wavecrew.errors import WavecrewError as WavecrewError
    from wavecrew.models.execution_state import AgentInfo as AgentInfo
    from wavecrew.models.execution_state import ExecutionState as ExecutionState
    from wavecrew.models.execution_state import PhaseStatus as PhaseStatus
    from wavecrew.models.parallel_execution import DependencyGraph as DependencyGraph
    from wavecrew.models.parallel_execution import ExecutionWave as ExecutionWave
    from wavecrew.models.parallel_execution import LockType as LockType
    from wavecrew.models.parallel_execution import PhaseInfo as PhaseInfo
    from wavecrew.models.parallel_execution import ResourceLock as ResourceLock
    from wavecrew.models.plan import Plan as Plan
    from wavecrew.plans.reader import read_plan as read_plan

_HOME = {
    "AgentInfo": "models.execution_state",
    "DependencyGraph": "models.parallel_execution",
    "ExecutionState": "models.execution_state",
    "ExecutionWave": "models.parallel_execution",
    "FileLock": "core.resource_manager",
    "LockRegistry": "core.resource_manager",
    "LockType": "models.parallel_execution",
    "ParallelExecutionConfig": "config.parallel_config",
    "PhaseInfo": "models.parallel_execution",
    "PhaseStatus": "models.execution_state",
    "Plan": "models.plan",
    "ResourceLock": "models.parallel_execution",
    "WavecrewError": "errors",
    "read_plan": "plans.reader",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
