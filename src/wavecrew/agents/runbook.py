"""The `runbook` agent: carries out the blocks of a phase document that are marked for it. No model is called.

What it does: turns blocks marked `run`, `check` and `file=PATH` into steps, in the order of the document.
What it does not know: how blocks are found (the reader does that) and how steps are started.
"""

from __future__ import annotations

from typing import Final

from wavecrew.models.invocation import INTERPRETERS, AttemptContext, Invocation, JobStep, JobStepKind, script_step
from wavecrew.models.parallel_execution import PhaseInfo, Step, StepKind


class RunbookAgent:
    """Runs what the document itself says. Languages: sh, bash, python."""

    name: Final = "runbook"
    summary: Final = "runs the blocks marked run, check or file= of a phase document; calls no model"

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        """Why this phase cannot be done by a runbook; empty if it can."""
        if not any(step.kind is not StepKind.CHECK for step in phase.steps):
            return "it has no block marked run or file= (```sh run), so there is nothing to carry out"
        strange = [step for step in phase.steps if step.kind is not StepKind.FILE and step.language not in INTERPRETERS]
        if strange:
            return f"line {strange[0].line}: a runbook cannot run {strange[0].language!r} (sh, bash and python it can)"
        return ""

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        """The steps of the document."""
        return Invocation(tuple(_job_step(step) for step in phase.steps))


def _job_step(step: Step) -> JobStep:
    if step.kind is StepKind.FILE:
        return JobStep(JobStepKind.FILE, f"write {step.path}", path=step.path, text=step.text)
    kind = JobStepKind.CHECK if step.kind is StepKind.CHECK else JobStepKind.RUN
    return script_step(kind, step.language, step.text)
