"""A run at one moment, as every view shows it.

What it does: folds the state of a run, with the time and what is known of its processes, into rows and totals: what is
at work, what waits for whom, what a failure holds up, how long the rest may take.
What it does not know: widths, signs, colours, and where the state comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from wavecrew.models.accounts import Closure
from wavecrew.models.events import Outcome
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.outcomes import FREE_CAUSES
from wavecrew.models.usage import Spent
from wavecrew.views.phase_rows import (
    AT_WORK,
    DONE,
    NO_PROGRESS,
    NO_SIGNS,
    NOTHING,
    PhaseRow,
    Progress,
    Signs,
    Standing,
    phase_rows,
)
from wavecrew.views.run_forecast import Forecast, forecast
from wavecrew.views.run_history import History

__all__ = ["AT_WORK", "DONE", "PhaseRow", "Progress", "RunStatus", "Standing", "Summary", "summarize"]


class RunStatus(StrEnum):
    """Where a run stands as a whole."""

    NOT_STARTED = "not started"
    RUNNING = "running"
    STOPPED = "stopped"
    """Its coordinator left in good order; the run can be continued."""
    INTERRUPTED = "interrupted"
    """The events say that it runs, but nobody is in charge; the run can be continued."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything that a view of a run shows. Times are in seconds; None is unknown and never zero.

    `done` counts passed, kept and skipped phases among the `total` that this run is to do. `work` is the time of all
    attempts together, `ratio` how many times longer that is than the run took. Without a history `work` knows only
    the latest attempt of each phase and is None if there were earlier ones.
    """

    run: str
    plan_name: str
    plan_path: str
    plan_digest: str
    status: RunStatus
    now: float
    started: float | None
    ended: float | None
    elapsed: float | None
    idle: float
    """How long nobody was at work on it, as far as a history tells; not part of `elapsed`."""
    rows: tuple[PhaseRow, ...]
    counts: Mapping[Standing, int]
    done: int
    total: int
    agents: int
    coordinator: str
    stop_reason: str
    paused_by: str
    """Who wants nothing new to start; empty when the run is not paused."""
    missing: tuple[str, ...]
    """Outputs that were gone when the run finished."""
    unproven: tuple[str, ...] = ()
    """Completed phases whose commit was not in the result when the run finished."""
    edited: tuple[str, ...] = ()
    """Phases whose documents were edited while the run was at work, which did not see that."""
    imported: str = ""
    """The file that it came in, if it took place elsewhere: it can only be looked at."""
    needs_you: tuple[str, ...] = ()
    """The gates that wait for a person."""
    spent: Spent = NOTHING
    """What the agents of all its attempts have told to have used."""
    budget: str = ""
    """What the run may use, as it was written; empty without a limit."""
    budget_reached: str = ""
    """The budget that is spent; nothing new starts then."""
    accounts: Mapping[str, Closure] = field(default_factory=dict)
    """Accounts that are used up now."""
    forbidden: tuple[str, ...] = ()
    """What was changed that no agent may change; nothing new starts then."""
    isolation: str = "shared"
    result: str = ""
    """The commit that holds all work that was merged; empty while there is none."""
    landed_on: str = ""
    """The branch of the user that was moved to the result last."""
    retries: int
    work: float | None
    ratio: float | None
    forecast: Forecast | None

    def of(self, *standings: Standing) -> tuple[PhaseRow, ...]:
        """The rows of some standings, in plan order."""
        return tuple(row for row in self.rows if row.standing in standings)

    @property
    def silent(self) -> tuple[PhaseRow, ...]:
        """Phases at work of whose agents nothing is heard: a person has to look."""
        return tuple(row for row in self.rows if row.silent_since is not None)

    @property
    def needed(self) -> int:
        """For how many things a person is needed: gates and questions that wait, and agents that are silent."""
        return len(self.needed_names)

    @property
    def needed_names(self) -> tuple[str, ...]:
        """What they are, in few words each."""
        asking = (f"{row.id} asks" for row in self.rows for _ in row.asks)
        return (*self.needs_you, *asking, *(f"{row.id} is silent" for row in self.silent))

    @property
    def by_id(self) -> Mapping[str, PhaseRow]:
        """The rows by the ids of their phases."""
        return {row.id: row for row in self.rows}

    @property
    def title(self) -> str:
        """The name of its plan, as it stands at the head of a view."""
        return f"{self.plan_name} (imported)".strip() if self.imported else self.plan_name

    @property
    def result_branch(self) -> str:
        """The branch that holds all work that was merged; empty where all work in one folder."""
        return f"wavecrew/{self.run}/result" if self.isolation == "worktree" else ""

    @property
    def left(self) -> float | None:
        """About how long the rest will take."""
        return self.forecast.left if self.forecast else None


def summarize(
    state: ExecutionState,
    now: float,
    *,
    alive: bool | None = None,
    progress: Progress = NO_PROGRESS,
    history: History | None = None,
    signs: Signs = NO_SIGNS,
) -> Summary:
    """The summary of a state at a moment. `alive` tells whether a coordinator is in charge of the run, if known, and
    `signs` what can be seen of open attempts if none is."""
    status = _status(state, alive, history)
    going_on, over = status is RunStatus.RUNNING, status in (RunStatus.SUCCEEDED, RunStatus.FAILED)
    rows = phase_rows(state, now, going_on=going_on, over=over, progress=progress, signs=signs)
    counts = dict.fromkeys(Standing, 0)
    for row in rows:
        counts[row.standing] += 1
    until = now if going_on else (_last(state, history, now, signs) if state.end_time is None else state.end_time)
    idle = history.idle_time(until) if history is not None and until is not None else 0.0
    elapsed = max(0.0, until - state.start_time - idle) if until is not None and state.start_time is not None else None
    work = history.work(until, signs) if history is not None and until is not None else _work(rows)
    return Summary(
        run=state.run,
        plan_name=state.plan_name,
        plan_path=state.plan_path,
        plan_digest=state.plan_digest,
        status=status,
        now=now,
        started=state.start_time,
        ended=state.end_time,
        elapsed=elapsed,
        idle=idle,
        rows=rows,
        counts=MappingProxyType(counts),
        done=sum(row.standing in DONE and state.to_do(row.id) for row in rows),
        total=sum(state.to_do(row.id) for row in rows),
        agents=state.agent_limit,
        coordinator=state.coordinator,
        stop_reason=state.stop_reason,
        paused_by=state.paused_by,
        missing=state.missing_outputs,
        unproven=state.unproven,
        edited=state.edited,
        imported=state.imported,
        needs_you=state.needs_you if status not in (RunStatus.SUCCEEDED, RunStatus.FAILED) else (),
        spent=state.spent,
        budget=state.budget_reached or str(state.settings.get("budget") or ""),
        budget_reached=state.budget_reached,
        accounts={name: found for name, found in state.accounts.items() if found.until > now},
        forbidden=state.forbidden,
        isolation=state.isolation,
        result=state.result if state.result != state.base else "",
        landed_on=state.landed_on,
        retries=_retries(rows, history),
        work=work,
        ratio=work / elapsed if work and elapsed else None,
        forecast=forecast(state, now) if going_on else None,
    )


def _status(state: ExecutionState, alive: bool | None, history: History | None) -> RunStatus:
    if state.start_time is None or (state.epoch == 0 and not alive):
        return RunStatus.NOT_STARTED
    if state.end_time is not None:
        return RunStatus.SUCCEEDED if state.succeeded else RunStatus.FAILED
    if state.stop_reason or (history is not None and not history.in_charge and not alive):
        return RunStatus.STOPPED
    return RunStatus.INTERRUPTED if alive is False else RunStatus.RUNNING


def _last(state: ExecutionState, history: History | None, now: float, signs: Signs) -> float | None:
    """The last moment that anything is known of."""
    times = [now if sign.alive else sign.at for sign in signs.values()]
    if history is not None and history.last is not None:
        times.append(history.last if history.left_at is None else history.left_at)  # what came then were wishes
    else:
        times += [time for found in state.phase_states.values() for time in (found.started_at, found.ended_at)]
    return max((time for time in times if time is not None), default=state.start_time)


def _retries(rows: Iterable[PhaseRow], history: History | None) -> int:
    """How often phases were tried again. An attempt that ended because its account was used up, or its agent silent,
    costs none, as far as a history tells."""
    made = {row.id: row.attempts for row in rows}
    free = (
        attempt.number < made.get(attempt.phase, 0)
        for attempt in (history.attempts if history is not None else ())
        if attempt.outcome is Outcome.STOPPED and attempt.cause in FREE_CAUSES
    )
    return sum(max(0, number - 1) for number in made.values()) - sum(free)


def _work(rows: Iterable[PhaseRow]) -> float | None:
    work = 0.0
    for row in rows:
        if row.attempts > 1:
            return None
        work += row.elapsed or 0.0
    return work
