"""The prompt of a phase: what an agent is told.

What it does: joins the task with what it must produce, what it may only read and how it will be checked.
What it does not know: which agent reads it.
"""

from __future__ import annotations

import shlex

from wavecrew.models.invocation import AttemptContext
from wavecrew.models.parallel_execution import PhaseInfo


def prompt_for(phase: PhaseInfo, context: AttemptContext) -> str:
    """The prompt as text, always ending in a newline. A failed attempt before this one is told at the end."""
    parts = [f"# Phase {phase.id}: {phase.name}", phase.description.strip()]
    parts.append(_listing("Produce these files; the phase counts as done only when they exist", phase.outputs))
    parts.append(_listing("Read these, and do not change them", phase.reads))
    made = tuple(f"{path} (from phase {name})" for name, paths in context.produced.items() for path in paths)
    parts.append(_listing("Already made by earlier phases", made))
    checks = tuple(shlex.join(check) for check in phase.checks)
    parts.append(_listing("These commands must succeed afterwards", checks))
    if phase.outputs:
        parts.append("Other phases are at work in the same project. Do not change any other file.")
    if context.previous_failure:
        parts.append(f"An earlier attempt failed: {context.previous_failure}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _listing(title: str, entries: tuple[str, ...]) -> str:
    return "\n".join([f"{title}:", *(f"- {entry}" for entry in entries)]) if entries else ""
