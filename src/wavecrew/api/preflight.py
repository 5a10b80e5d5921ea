"""Whether the programs that a run needs are there, before anything is started.

What it does: looks for the agent programs of the phases that are to be done, and refuses what is missing, or would pass
over our gate in silence.
What it does not know: how programs are asked (`agent_programs`), and repositories (`isolation` looks at those).
"""

from __future__ import annotations

from collections.abc import Iterable

from wavecrew.api.agent_programs import look_for, program_of
from wavecrew.core.jobs import JobMaker
from wavecrew.errors import PreflightError
from wavecrew.models.parallel_execution import PhaseInfo


def require_programs(jobs: JobMaker, phases: Iterable[PhaseInfo]) -> None:
    """Raise PreflightError for a phase whose agent program is not installed, cannot be started, or would write without
    asking although it has to ask."""
    first: dict[str, PhaseInfo] = {}
    for phase in phases:
        first.setdefault(jobs.agent_of(phase), phase)
    used = {name: jobs.agents[name] for name in first if program_of(jobs.agents[name]) is not None}
    for name, found in (look_for(used, jobs.environ) if used else {}).items():
        if found.problem:
            raise PreflightError(
                f"phase {first[name].id} is to be done by {name}, but {found.problem}",
                fix=f"install {found.program}, or choose another agent; see: wavecrew agents list",
            )
        if found.gate_works is False and jobs.bounds is not None and jobs.bounds.is_gated(name):
            raise PreflightError(
                f"{name} {found.version} would not ask before it writes: it does not trust our hook",
                fix="use a version that is known to (wavecrew agents list), or let it work without: --write-gate off",
            )
