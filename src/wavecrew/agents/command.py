"""The `command` agent: hands the prompt of a phase to any program.

What it does: fills a command template and adds the prompt, on standard input or as a file.
What it does not know: what the program is. It has done its work when it exits with 0 and the outputs are there.
"""

from __future__ import annotations

from typing import Final

from wavecrew.agents.prompt import prompt_for
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo

PLACEHOLDERS: Final = ("{prompt_file}", "{phase}", "{name}", "{attempt}", "{run}", "{workspace}")


class CommandAgent:
    """Any program. A phase that names its own command gets exactly that; else the configured template is used."""

    name: Final = "command"
    summary: Final = "any program: the argument list of the phase, or the command of the configuration"

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        """Why this phase cannot be handed to a command; empty if it can."""
        if phase.command or command:
            return ""
        return "no command is set: give the phase a command, or set `command` in wavecrew.toml"

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        """One step with the template filled in. Only whole placeholders are replaced, and no shell is involved."""
        template = phase.command or context.command
        values = {
            "{prompt_file}": context.prompt_file,
            "{phase}": phase.id,
            "{name}": phase.name,
            "{attempt}": str(context.attempt),
            "{run}": context.run,
            "{workspace}": context.workspace,
        }
        argv = tuple(_fill(argument, values) for argument in template)
        program = argv[0].rpartition("/")[2]
        title = " ".join((program, *argv[1:]))
        return Invocation((JobStep(JobStepKind.AGENT, title[:80], argv, prompt_for(phase, context)),))


def _fill(argument: str, values: dict[str, str]) -> str:
    """Replace placeholders in one pass, so that a value that looks like a placeholder stays what it is."""
    parts: list[str] = []
    rest = argument
    while rest:
        found = [(rest.find(name), name) for name in values if name in rest]
        if not found:
            parts.append(rest)
            break
        position, name = min(found)
        parts += [rest[:position], values[name]]
        rest = rest[position + len(name) :]
    return "".join(parts)
