"""The state of a run at one moment, as a value.

What it does: holds where each phase stands, who is in charge, which gates wait for a person, and answers questions
about that.
What it does not know: how it comes about (`execution_state` folds events into it), and what should happen next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from wavecrew.models.accounts import Closure
from wavecrew.models.experience import Experience
from wavecrew.models.gates import NEEDS_APPROVAL, Gate, GateStatus, behind, over
from wavecrew.models.parallel_execution import DependencyGraph, ExecutionWave
from wavecrew.models.phase_state import AgentInfo, AgentStatus, PhaseState
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.questions import NEEDS_ANSWER, Question
from wavecrew.models.usage import BUDGET_SPENT, Spent


@dataclass(frozen=True)
class ExecutionState:
    """A run at one moment.

    `phase_states` tells where each phase stands, `waves` groups them, `start_time` and `end_time` (seconds since
    1970) frame the run. The rest is what the run was started with, and who is in charge of it. Give only `graph` to
    have waves worked out. Never change one: `evolve` makes the next.
    """

    phase_states: Mapping[str, PhaseState] = field(default_factory=dict)
    graph: DependencyGraph = field(default_factory=lambda: DependencyGraph({}, {}))
    start_time: float | None = None
    end_time: float | None = None
    run: str = ""
    plan_name: str = ""
    plan_path: str = ""
    plan_digest: str = ""
    selected: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    isolation: str = "shared"
    base: str = ""
    """The commit that the result of the run begins at."""
    result: str = ""
    """The commit that holds all work that was merged so far."""
    epoch: int = 0
    coordinator: str = ""
    agent_limit: int = 0
    stop_reason: str = ""
    paused_by: str = ""
    """Who wants nothing new to start; empty when the run is not paused."""
    missing_outputs: tuple[str, ...] = ()
    """Outputs of completed phases that were gone when the run finished; such a run has not succeeded."""
    unproven: tuple[str, ...] = ()
    """Completed phases whose commit was not in the result when the run finished; such a run has not succeeded."""
    edited: tuple[str, ...] = ()
    """Phases whose documents were edited before the run finished, which did not see that."""
    gates: Mapping[str, Gate] = field(default_factory=dict)
    """Gates that were asked for, by name."""
    forbidden: tuple[str, ...] = ()
    """What was changed that no agent may change, since the coordinator took charge."""
    accounts: Mapping[str, Closure] = field(default_factory=dict)
    """Accounts that were used up, by name; those whose time has come are open again."""
    spent: Spent = field(default_factory=Spent)
    """What its agents have used."""
    budget_reached: str = ""
    """The budget that is spent, as it was written, since the coordinator took charge."""
    experience: Experience = field(default_factory=Experience)
    """How long phases took, in earlier runs and in this one."""
    imported: str = ""
    """The name of the file that this copy of a history came in: it is only looked at."""
    waits_for_room: bool = False
    """Whether the machine had no room for one more agent; until the next starts."""
    landed_on: str = ""
    """The branch of the user that was moved to the result last."""
    queued: Mapping[str, None] = field(default_factory=dict)
    """Ids of the QUEUED phases."""
    running: Mapping[str, None] = field(default_factory=dict)
    """Ids of the IN_PROGRESS phases, in the order of their starts."""
    open_dependencies: Mapping[str, int] = field(default_factory=dict)
    """How many dependencies of each phase are not satisfied yet."""
    wave_starts: Mapping[int, float] = field(default_factory=dict)
    """When the first phase of each wave started."""
    retired: Mapping[str, int] = field(default_factory=dict)
    """How many attempts those phases had that an edit took out of the plan: should one come back, its next attempt
    must not be taken for an earlier one."""

    def __post_init__(self) -> None:
        for name in (
            "phase_states",
            "settings",
            "queued",
            "running",
            "open_dependencies",
            "wave_starts",
            "gates",
            "accounts",
            "retired",
        ):
            found = getattr(self, name)
            if not isinstance(found, MappingProxyType):  # a view made by evolve is nobody else's any more
                object.__setattr__(self, name, MappingProxyType(dict(found)))

    @cached_property
    def waves(self) -> tuple[ExecutionWave, ...]:
        """The waves of the plan, each with the status that follows from its phases and the time it first started."""
        statuses = {name: state.status for name, state in self.phase_states.items()}
        return tuple(
            replace(wave.with_statuses(statuses), start_time=self.wave_starts.get(wave.wave_number))
            for wave in self.graph.waves()
        )

    @cached_property
    def agents(self) -> tuple[AgentInfo, ...]:
        """The agents that are at work."""
        return tuple(
            AgentInfo(f"{state.agent}/{name}.{state.attempts}", name, AgentStatus.RUNNING, (state.log,))
            for name in self.running
            if (state := self.phase_states[name])
        )

    @property
    def needs_you(self) -> tuple[str, ...]:
        """The gates that wait for a person. One behind which nothing is ready any more waits for nobody."""
        return tuple(
            name
            for name, gate in self.gates.items()
            if gate.status is GateStatus.ASKED
            and any(phase in self.queued and self.to_do(phase) for phase in behind(self.graph, name))
        )

    @property
    def asks(self) -> tuple[tuple[str, Question], ...]:
        """The questions of agents that wait for a person, each with its phase."""
        names = (*self.running, *self.queued)
        return tuple((name, one) for name in names for one in self.phase_states[name].asks)

    @property
    def needs(self) -> str:
        """For what a person is needed, as the reason of a run that is left for that; empty if for nothing."""
        gates, asking = self.needs_you, dict.fromkeys(name for name, _ in self.asks)
        approval = f"{NEEDS_APPROVAL}: {', '.join(gates)}" if gates else ""
        answer = f"{NEEDS_ANSWER}: {', '.join(f'phase {name}' for name in asking)}" if asking else ""
        return "; ".join(filter(None, (approval, answer)))

    @property
    def left_for_approval(self) -> bool:
        """Whether the coordinator left because a gate or a question waits for a person, and it still does."""
        return self.stop_reason.startswith((NEEDS_APPROVAL, NEEDS_ANSWER)) and bool(self.needs)

    @property
    def left_for_budget(self) -> bool:
        """Whether the coordinator left because the budget of the run is spent."""
        return bool(self.budget_reached) and self.stop_reason.startswith(BUDGET_SPENT)

    def rejected(self, phase: str) -> str:
        """The gate that somebody has closed for good before a phase which has not started; empty if there is none."""
        if self.status_of(phase) not in (PhaseStatus.NOT_STARTED, PhaseStatus.QUEUED):
            return ""
        found = ((name, self.gates.get(name)) for name in over(self.graph, phase))
        return next((name for name, gate in found if gate and gate.status is GateStatus.REJECTED), "")

    @property
    def silent(self) -> tuple[str, ...]:
        """Phases at work of whose agents nothing is heard."""
        return tuple(name for name in self.running if self.phase_states[name].silent_since is not None)

    def status_of(self, phase: str) -> PhaseStatus:
        """The status of a phase. Raises KeyError for an unknown id."""
        return self.phase_states[phase].status

    def to_do(self, phase: str) -> bool:
        """Whether this run is meant to do this phase."""
        return not self.selected or phase in self.selected

    def blockers(self, phase: str) -> tuple[str, ...]:
        """The phases that keep a phase from ever starting: they failed, stand behind a gate that was rejected, or are
        left out by this run."""
        return tuple(name for name in self.graph.nodes if name in self.graph.ancestors(phase) and self._dead_end(name))

    def _dead_end(self, name: str) -> bool:
        state = self.phase_states[name]
        given_up = state.status is PhaseStatus.FAILED or not self.to_do(name) or bool(self.rejected(name))
        return given_up and not state.satisfied

    def count(self, status: PhaseStatus) -> int:
        """How many phases have this status."""
        return sum(state.status is status for state in self.phase_states.values())

    @property
    def lacks_proof(self) -> bool:
        """Whether the run came to its end in worktrees, and completed work was not in the result then."""
        gone = bool(self.missing_outputs or self.unproven)
        return gone and self.isolation == "worktree" and self.end_time is not None

    @property
    def succeeded(self) -> bool:
        """Whether everything that this run is to do is completed or waived."""
        return not (self.missing_outputs or self.unproven) and all(
            state.satisfied for name, state in self.phase_states.items() if self.to_do(name)
        )
