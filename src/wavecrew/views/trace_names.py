"""Every name that a trace of a run has: of spans, events, attributes and values.

What it does: is the one place to edit when the OpenTelemetry conventions for CI/CD change; they are in the making.
Names that begin with `wavecrew.` are our own, for what the conventions have no name.
What it does not know: what stands behind the names, and how spans are made.
"""

from __future__ import annotations

from typing import Final

from wavecrew.models.events import Cause, Outcome
from wavecrew.views.report_waits import WaitKind

SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the conventions that these names are taken from."""

SERVICE: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
WAVECREW: Final = "wavecrew"
"""Name of the service and of the scope."""

# -- the run: a pipeline run ------------------------------------------------------------------------------------

PIPELINE: Final = "cicd.pipeline.name"
ACTION: Final = "cicd.pipeline.action.name"
RUN_ACTION: Final = "RUN"
RUN_ID: Final = "cicd.pipeline.run.id"
RUN_STATE: Final = "cicd.pipeline.run.state"
EXECUTING: Final = "executing"
RUN_RESULT: Final = "cicd.pipeline.result"
BASE_COMMIT: Final = "vcs.ref.base.revision"
COMMIT: Final = "vcs.ref.head.revision"
BRANCH: Final = "vcs.ref.head.name"
IMPORTED: Final = "wavecrew.run.imported_from"
STOP_REASON: Final = "wavecrew.run.stop_reason"
ISOLATION: Final = "wavecrew.run.isolation"
AGENTS: Final = "wavecrew.run.agents"
PHASES: Final = "wavecrew.run.phases"
PHASES_DONE: Final = "wavecrew.run.phases_done"

# -- attempts: task runs ----------------------------------------------------------------------------------------

TASK: Final = "cicd.pipeline.task.name"
TASK_RUN_ID: Final = "cicd.pipeline.task.run.id"
TASK_RESULT: Final = "cicd.pipeline.task.run.result"
WORKER: Final = "cicd.worker.id"
EXIT_CODE: Final = "process.exit.code"
ERROR: Final = "error.type"
AGENT: Final = "gen_ai.agent.name"
MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
TOKENS: Final = "wavecrew.usage.tokens"
COST: Final = "wavecrew.usage.cost_usd"
PHASE: Final = "wavecrew.phase.id"
WAVE: Final = "wavecrew.phase.wave"
ATTEMPT: Final = "wavecrew.attempt.number"
OUTCOME: Final = "wavecrew.attempt.outcome"
CAUSE: Final = "wavecrew.attempt.cause"
DETAIL: Final = "wavecrew.attempt.detail"
PACING: Final = "wavecrew.attempt.on_pacing_chain"
UNATTENDED: Final = "wavecrew.attempt.unattended_seconds"
OPEN: Final = "wavecrew.open"
"""It had not ended when the trace was written."""
LINK: Final = "wavecrew.link.kind"
DEPENDENCY: Final = "dependency"

# -- other spans ------------------------------------------------------------------------------------------------

SPAN: Final = "wavecrew.span.kind"
WAIT_SPAN: Final = "wait"
IDLE_SPAN: Final = "idle"
MERGE_SPAN: Final = "merge"
CHECK_SPAN: Final = "merged_tree_check"
QUESTION: Final = "question"
QUESTION_NAME: Final = "question to a person"
BESIDE: Final = "wavecrew.merge.checked_beside"
"""The phase beside whose attempt several merges were checked as one tree."""
IDLE_NAME: Final = "nobody in charge"
MERGE_NAME: Final = "merge"
CHECK_NAME: Final = "check the merged tree"
WAIT_KIND: Final = "wavecrew.wait.kind"
WAIT_FOR: Final = "wavecrew.wait.for"
WAIT_WHOM: Final = "wavecrew.wait.whom"
WAIT_PEOPLE: Final = "wavecrew.wait.for_a_person"
WAITS: Final = {
    WaitKind.LOCK: "wait for a lock",
    WaitKind.APPROVAL: "wait for approval",
    WaitKind.PAUSE: "paused",
    WaitKind.SILENCE: "silent agent",
    WaitKind.ACCOUNT: "account used up",
    WaitKind.RETRY: "wait for the next try",
}
"""The name of the span of each kind of wait."""

# -- span events ------------------------------------------------------------------------------------------------

TOOK_CHARGE: Final = "wavecrew.run.coordinator_started"
STOPPED: Final = "wavecrew.run.stopped"
LANDED: Final = "wavecrew.run.landed"
PLAN_CHANGED: Final = "wavecrew.run.plan_changed"
BUDGET_REACHED: Final = "wavecrew.run.budget_reached"
FORBIDDEN: Final = "wavecrew.run.forbidden_change"
UNDECLARED: Final = "wavecrew.run.undeclared_writes"
GATE_REJECTED: Final = "wavecrew.run.gate_rejected"
PHASE_KEPT: Final = "wavecrew.phase.kept"
PHASE_WAIVED: Final = "wavecrew.phase.waived"
PHASE_REFUSED: Final = "wavecrew.phase.refused"
PHASE_RESET: Final = "wavecrew.phase.reset"
ADOPTED: Final = "wavecrew.attempt.adopted"
CANCELLED: Final = "wavecrew.attempt.cancelled"
SEALED: Final = "wavecrew.work.sealed"
MERGE_REFUSED: Final = "wavecrew.merge.refused"
WRITE_REFUSED: Final = "wavecrew.write.refused"
BY: Final = "wavecrew.by"
REASON: Final = "wavecrew.reason"
PATHS: Final = "wavecrew.paths"
SUSPECTS: Final = "wavecrew.suspects"
FILES_CHANGED: Final = "wavecrew.files_changed"
EPOCH: Final = "wavecrew.coordinator.epoch"
FROM_RUN: Final = "wavecrew.from_run"
BUDGET: Final = "wavecrew.budget"
GATE: Final = "wavecrew.gate"
TOOL: Final = "gen_ai.tool.name"

# -- results ----------------------------------------------------------------------------------------------------

SUCCESS: Final = "success"
FAILURE: Final = "failure"
SYSTEM_ERROR: Final = "error"
TIMEOUT: Final = "timeout"
CANCELLATION: Final = "cancellation"
BAD: Final = frozenset({FAILURE, SYSTEM_ERROR, TIMEOUT})
"""Results that make a span an error; being cancelled is none."""

_BY_OUTCOME: Final = {
    Outcome.SUCCEEDED: SUCCESS,
    Outcome.FAILED: FAILURE,
    Outcome.LOST: SYSTEM_ERROR,
    Outcome.STOPPED: CANCELLATION,
}
_BY_CAUSE: Final = {
    Cause.TIMEOUT: TIMEOUT,
    Cause.SILENCE: TIMEOUT,
    Cause.CANCELLED: CANCELLATION,
    Cause.START: SYSTEM_ERROR,
    Cause.LOST: SYSTEM_ERROR,
    Cause.QUOTA: SYSTEM_ERROR,
    Cause.SESSION: SYSTEM_ERROR,
}


def result_of(outcome: Outcome | None, cause: Cause) -> str:
    """The result of an attempt in the words of the conventions; empty while it has none."""
    if outcome is None:
        return ""
    return SUCCESS if outcome is Outcome.SUCCEEDED else _BY_CAUSE.get(cause, _BY_OUTCOME[outcome])


UNPROVEN: Final = "unproven"
PHASE_FAILED: Final = "phase_failed"
FORBIDDEN_CHANGE: Final = "forbidden_change"
OTHER_ERROR: Final = "_OTHER"
