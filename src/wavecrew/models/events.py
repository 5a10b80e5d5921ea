"""Every fact that a run can record, defined once.

What it does: lists the events as one closed set of values. Events are in the past tense; what they do to the state is
told in `execution_state`.
What it does not know: their stored form, where they are kept, and the output of agents, which goes to log files.
Stored names stay readable for ever: a field is only ever added, with a default, and a changed meaning gets a new name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from wavecrew.models.agent_events import AccountClosed as AccountClosed
from wavecrew.models.agent_events import AccountReopened as AccountReopened
from wavecrew.models.agent_events import AgentReported as AgentReported
from wavecrew.models.agent_events import AgentSilence as AgentSilence
from wavecrew.models.agent_events import BudgetReached as BudgetReached
from wavecrew.models.agent_events import ProgressTold as ProgressTold
from wavecrew.models.agent_events import QuestionAnswered as QuestionAnswered
from wavecrew.models.agent_events import QuestionAsked as QuestionAsked
from wavecrew.models.agent_events import WriteAwaited as WriteAwaited
from wavecrew.models.agent_events import WriteJudged as WriteJudged
from wavecrew.models.experience import Done
from wavecrew.models.outcomes import Cause as Cause
from wavecrew.models.outcomes import Outcome as Outcome
from wavecrew.models.parallel_execution import PhaseInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run began; the plan is frozen in it, so that its history can be read without any document."""

    at: float
    run: str
    plan_name: str
    plan_path: str
    plan_digest: str
    phases: tuple[PhaseInfo, ...]
    selected: tuple[str, ...] = ()
    """Ids that this run is to do; empty means all."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    isolation: str = "shared"
    """`shared`: all attempts work in one folder; `worktree`: each in a checkout of its own."""
    base: str = ""
    """The commit that the result of the run begins at; empty in a shared folder."""
    experience: tuple[Done, ...] = ()
    """How long phases of earlier runs took, oldest first."""
    imported: str = ""
    """The name of the file that this copy of a history came in; empty where the run took place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChanged:
    """The documents of an unfinished run were edited, and it goes on with them. Phases of the same id keep where they
    stand; those that are to be done again have been reset before, or are after."""

    at: float
    by: str
    plan_digest: str
    phases: tuple[PhaseInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorStarted:
    """A process took charge of the run. `epoch` rises with each; only the latest may record anything."""

    at: float
    epoch: int
    pid: int
    host: str
    agents: int
    """How many attempts it may have open at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseKept:
    """A phase was already completed by an earlier run and nothing that it rests on has changed since."""

    at: float
    phase: str
    from_run: str
    commit: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAwaited:
    """A phase that could start waits for a resource that somebody else holds."""

    at: float
    phase: str
    resource: str
    holder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """An attempt was decided, its locks granted and its intent written down; only then is a process started."""

    at: float
    phase: str
    attempt: int
    agent: str
    fence: int = 0
    log: str = ""
    """Path of its log file, relative to the state folder."""
    slot: int = 0
    """The lowest number, from 1, that no other attempt at work has: for ports and the like."""
    base: str = ""
    """The commit that its worktree starts from."""
    branch: str = ""
    """The branch that holds its work until that is merged, and after a failure."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """A digest of each thing that its work rests on."""
    session: str = ""
    """The session of the attempt before, if its agent goes on in that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAdopted:
    """A new coordinator found the agent of an earlier one alive and looks after it from now on."""

    at: float
    phase: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCancelled:
    """Somebody wants this attempt to end for good; unless it succeeds before it can be ended, its phase has failed."""

    at: float
    phase: str
    attempt: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeclaredWrites:
    """Files changed that no phase at work had claimed for writing. One of the suspects did it, or somebody outside."""

    at: float
    suspects: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSealed:
    """An agent ended well in its worktree; its files were looked at and are a commit on the branch of the attempt."""

    at: float
    phase: str
    attempt: int
    commit: str
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeProposed:
    """Sealed work and the result of the run were put together as `commit`, which is not yet the result."""

    at: float
    phase: str
    attempt: int
    onto: str
    commit: str
    beside: str = ""
    """The phase beside whose attempt this and the work of others are checked as one tree; empty when it goes alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRefused:
    """Sealed work and the result do not go together: they touch the same places (`paths`), or the merged tree fails its
    checks. The work stays on its branch."""

    at: float
    phase: str
    attempt: int
    onto: str
    detail: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """An attempt is over, and its locks are free. `detail` is one line for people; it is tried again at `retry_at`, if
    that is set."""

    at: float
    phase: str
    attempt: int
    outcome: Outcome
    cause: Cause = Cause.NONE
    detail: str = ""
    exit_code: int | None = None
    retry_at: float | None = None
    outputs: tuple[str, ...] = ()
    """Declared outputs that were found to exist."""
    commit: str = ""
    """The commit that brought its work into the result of the run."""
    unattended: float = 0.0
    """For how many seconds before `at` its agent was over already, with nobody in charge to see it; no work is that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRefused:
    """A phase that was ready could not be started at all and is given up without an attempt."""

    at: float
    phase: str
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSkipped:
    """Somebody waived a phase: its dependents may start although it was not done."""

    at: float
    phase: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReset:
    """Somebody asked for a finished phase again; its earlier attempts stay in the history."""

    at: float
    phase: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    """Somebody wants nothing new to start until the run is continued."""

    at: float
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContinued:
    """Somebody ended a pause."""

    at: float
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomAwaited:
    """Something could start, and this machine has too little memory free for one more agent, or too much to do."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked:
    """Somebody has to agree before a gate opens: `wave 2`, or `phase ID`."""

    at: float
    gate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateApproved:
    """Somebody has opened a gate."""

    at: float
    gate: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRejected:
    """Somebody has closed a gate for good: the phases behind it that have not started are given up."""

    at: float
    gate: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForbiddenChange:
    """What no agent may change was changed: configuration or hooks of the repository, or the plan. Nothing starts after
    it."""

    at: float
    what: tuple[str, ...]
    suspects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLanded:
    """A branch of the user was moved to the result of the run."""

    at: float
    by: str
    branch: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopped:
    """The coordinator left before the plan was done; the run can be continued."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """Nothing is left that could be started: everything is completed, failed, waived or held up by a failure."""

    at: float
    missing: tuple[str, ...] = ()
    """Declared outputs of completed phases that are not there any more; one is enough for the run to have failed."""
    unproven: tuple[str, ...] = ()
    """Completed phases whose commit is not in the result of the run; one is enough, too."""
    edited: tuple[str, ...] = ()
    """Phases whose documents say something else than what the run worked from: what was done of them is out of date."""


Event: TypeAlias = (
    RunStarted
    | PlanChanged
    | CoordinatorStarted
    | PhaseKept
    | LockAwaited
    | AttemptStarted
    | AttemptAdopted
    | AttemptCancelled
    | UndeclaredWrites
    | WorkSealed
    | MergeProposed
    | MergeRefused
    | AttemptEnded
    | PhaseRefused
    | PhaseSkipped
    | PhaseReset
    | RunPaused
    | RunContinued
    | AgentReported
    | AgentSilence
    | ProgressTold
    | QuestionAsked
    | QuestionAnswered
    | WriteAwaited
    | WriteJudged
    | AccountClosed
    | AccountReopened
    | BudgetReached
    | RoomAwaited
    | ApprovalAsked
    | GateApproved
    | GateRejected
    | ForbiddenChange
    | ResultLanded
    | RunStopped
    | RunFinished
)
