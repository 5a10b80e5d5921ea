"""What a plan that was run before means now: the run goes on, or a new one begins; which work stands, and why not.

What it does: finds the latest run of a plan, and judges each of its phases by what it was made from.
What it does not know: what is written down for it (`opening` does), and how anything is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from wavecrew.api.evidence import Kept
from wavecrew.api.history import OpenedRun, open_run
from wavecrew.api.parts import input_reader, job_maker, session_ahead
from wavecrew.api.workspace import Workspace
from wavecrew.core.store import STATE_FOLDER
from wavecrew.errors import WavecrewError
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.inputs import AFTER, document_digest, work_digest
from wavecrew.models.keeping import Look, Verdict, standing, worth_keeping
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.plan import Plan
from wavecrew.plans.reader import read_plan


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of the latest run of a plan. `goes_on` tells whether it is taken up; else a new one begins."""

    run: OpenedRun
    goes_on: bool
    verdicts: Mapping[str, Verdict]

    @property
    def kept(self) -> Mapping[str, Kept]:
        """What a new run keeps of it."""
        state = self.run.state
        return {
            name: Kept(found.kept_from or state.run, found.commit, found.inputs)
            for name, verdict in self.verdicts.items()
            if not verdict.reason and (found := state.phase_states[name])
        }


@dataclass(frozen=True, slots=True)
class Explained:
    """What becomes of one phase when the plan is run again. `then` and `now` are the digests of what it rests on."""

    judged: Judged
    verdict: Verdict
    then: Mapping[str, str]
    now: Mapping[str, str]
    session: str = ""
    """The session of its agent in which its next attempt would go on."""


def plan_key(workspace: Workspace, plan: Plan) -> str:
    """The path of a plan in a form that does not depend on where the user stands."""
    path = Path(plan.path).resolve()
    return str(path.relative_to(workspace.folder)) if path.is_relative_to(workspace.folder) else str(path)


def latest_run(workspace: Workspace, plan: Plan) -> OpenedRun | None:
    """The newest run of the plan at this path, if there is one."""
    if not (workspace.folder / STATE_FOLDER / "state.db").exists():
        return None
    with workspace.open_store(create=False) as store:
        for row in store.runs():
            if row.plan == plan_key(workspace, plan):
                return open_run(store, row.id)
    return None


def judge(plan: Plan, run: OpenedRun, look: Look, *, anew: bool = False, forced: Collection[str] = ()) -> Judged:
    """What becomes of a run. It is not taken up when somebody wants a new one (`anew`); what is `forced` is not kept.

    One that was narrowed down to some phases and came to its end is over, because the whole plan is more than that.
    One that has done all it was to do is over as soon as something that it was made from has changed; as long as there
    is something left to do, a run goes on with whatever the plan has become.
    """
    state, graph = run.state, plan.graph
    narrowed_out = state.selected and (state.end_time is not None or not state.selected & graph.nodes.keys())
    if not anew and not narrowed_out and graph.nodes.keys() & state.graph.nodes.keys():
        verdicts = standing(graph, state, look)
        done = state.succeeded and state.end_time is not None
        changed = plan.digest != state.plan_digest or any(verdict.changed for verdict in verdicts.values())
        if not (done and changed):
            return Judged(run, True, verdicts)
    return Judged(run, False, worth_keeping(graph, state, look, forced))


def edited_since(path: str, state: ExecutionState) -> tuple[str, ...]:
    """The phases that the documents at this path say something else of than what a run works from: edited, new, or
    gone. All, where there is nothing to read any more."""
    then = state.graph.nodes
    try:
        now = read_plan(path).graph.nodes
    except WavecrewError:
        now = {}
    names = (name for name in dict.fromkeys((*then, *now)) if state.to_do(name))
    both = ((name, then.get(name), now.get(name)) for name in names)
    return tuple(
        name for name, old, new in both if old is None or new is None or document_digest(old) != document_digest(new)
    )


def explain_again(workspace: Workspace, plan: Plan, name: str) -> Explained | None:
    """What would become of a phase if the plan were run now; None as long as the plan has not been run."""
    run = latest_run(workspace, plan)
    if run is None or plan.faulty:
        return None
    jobs = job_maker(workspace, run.row.id)
    look = input_reader(workspace, run.state, jobs)
    judged = judge(plan, run, look)
    found = run.state.phase_states.get(name)
    then = dict(found.inputs) if found else {}
    now = dict(look.own(plan.graph, plan.graph.nodes[name]))
    known = (other for other in plan.graph.dependencies(name) if other in run.state.phase_states)
    now |= {AFTER + other: work_digest(run.state, other) for other in known}
    waits = found is not None and judged.goes_on and found.status is PhaseStatus.QUEUED
    session = session_ahead(run.state, plan.graph.nodes[name], jobs, workspace.loaded.config, now) if waits else ""
    return Explained(judged, judged.verdicts[name], then, now, session)
