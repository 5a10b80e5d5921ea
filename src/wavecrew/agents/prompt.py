"""The prompt of a phase: what an agent is told.

What it does: joins the task with what it must produce, what it may only read, what it must leave alone, how it will be
checked, and what went wrong last time; from a text that the user can replace.
What it does not know: which agent reads it, and where such a text lies.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

from wavecrew.config.settings import did_you_mean
from wavecrew.errors import ConfigError, Place
from wavecrew.models.invocation import AttemptContext
from wavecrew.models.parallel_execution import PhaseInfo

TEMPLATE: Final = """\
{heading}

{task}

{outputs}

{reads}

{made}

{checks}

{limits}

{more}

{ending}

{failure}
"""

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "phase": "id of the phase",
    "name": "its name",
    "heading": "both as a heading; empty if its document begins with one",
    "task": "the text of its document",
    "outputs": "the files that it must produce",
    "reads": "the files that it may read and not change",
    "made": "what the phases that it depends on have produced",
    "checks": "the commands that must succeed afterwards",
    "limits": "what it must leave alone",
    "more": "how to write further files",
    "ending": "how to end",
    "failure": "why the attempt before this one failed, and where its work is; or how to go on in its session; answers",
    "attempt": "number of the attempt, from 1",
    "run": "id of the run",
    "workspace": "the folder to work in",
}
_PLACEHOLDER: Final = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")
_GAP: Final = re.compile(r"\n{3,}")

_LIMITS: Final = (
    "Leave alone: the documents of the plan, the folder .wavecrew, and what lies below .git. Do not push, and do not "
    "switch branches."
)
_ASK_ON_WRITE: Final = (
    "Each write is asked about before it happens. If you need a file that is not named here, try to write it: you get "
    "it as soon as nobody else has it. If a write is refused, nothing was written: read why, go on with other work, "
    "read the file again and try once more later."
)
_NEVER: Final = "Other phases are at work in the same project. Do not change any other file."
_ENDING: Final = (
    "Do the whole task before you end. Nobody can answer questions: decide yourself, and say in your last message what "
    "you decided, what you did, and what is missing. Do not say that something is done which is not."
)
_ENDING_WITH_TOOLS: Final = (
    "Do the whole task before you end. You have three tools of wavecrew. At each larger step, say with `progress` what "
    "you do now. With `lock_request` you can have files before you change them. With `ask_human` you can ask a person: "
    "only what you cannot find out, and whose answer changes what you do. If no answer comes, go on with what does not "
    "depend on it, ask again with the same words later, and in the end decide yourself. Say in your last message what "
    "you decided, what you did, and what is missing. Do not say that something is done which is not."
)


def prompt_for(phase: PhaseInfo, context: AttemptContext) -> str:
    """The prompt as text, always ending in a newline. Lines of a template that come out empty are left out."""
    values = _values(phase, context)
    lines = []
    for line in (context.template or TEMPLATE).splitlines():
        filled = _PLACEHOLDER.sub(lambda found: f"{{{found[1]}}}" if found[1] else values.get(found[2], found[0]), line)
        if filled.strip() or not line.strip():
            lines.append(filled)
    return _GAP.sub("\n\n", "\n".join(lines)).strip() + "\n"


def check_template(text: str, file: str) -> str:
    """The same text, if each of its placeholders is known. `{{name}}` stands for the word itself, and all other braces
    for themselves. Raises ConfigError with file, line and column of the first one that is not."""
    for number, line in enumerate(text.splitlines(), start=1):
        for found in _PLACEHOLDER.finditer(line):
            name = found[2]
            if name and name not in PLACEHOLDERS:
                raise ConfigError(
                    f"there is no placeholder {{{name}}}",
                    place=Place(file, number, found.start() + 1),
                    fix=did_you_mean(name, tuple(PLACEHOLDERS), f"choose from: {', '.join(PLACEHOLDERS)}"),
                )
    if not text.strip():
        raise ConfigError("the template of the prompt is empty", place=Place(file), fix="write {task} into it")
    return text


def _values(phase: PhaseInfo, context: AttemptContext) -> dict[str, str]:
    made = tuple(f"{path} (from phase {name})" for name, paths in context.produced.items() for path in paths)
    checks = tuple(shlex.join(check) for check in phase.checks)
    task = phase.description.strip()
    return {
        "phase": phase.id,
        "name": phase.name,
        "heading": "" if task.startswith("#") else f"# Phase {phase.id}: {phase.name}",
        "task": task,
        "outputs": _listing("Produce these files; the phase counts as done only when they exist", phase.outputs),
        "reads": _listing("Read these, and do not change them", phase.reads),
        "made": _listing("Already made by earlier phases", made),
        "checks": _listing("These commands must succeed afterwards", checks),
        "limits": _LIMITS,
        "more": _ASK_ON_WRITE if context.hook else (_NEVER if phase.outputs else ""),
        "ending": _ENDING_WITH_TOOLS if context.tools else _ENDING,
        "failure": "\n\n".join(filter(None, (_failure(context), _answers(context)))),
        "attempt": str(context.attempt),
        "run": context.run,
        "workspace": context.workspace,
    }


def _failure(context: AttemptContext) -> str:
    if context.session:
        return (
            "You have worked on this phase before, in this conversation, and that did not come to a good end: "
            f"{context.previous_failure or 'it was broken off'}. The files are as you left them, as far as nobody else "
            "had to change them: look at them first, and go on from there."
        )
    if not context.previous_failure:
        return ""
    parts = [f"An earlier attempt failed: {context.previous_failure}"]
    if context.earlier_branch:
        branch = context.earlier_branch
        parts.append(
            f"What it left is on the branch {branch}. Look at it first (git diff {shlex.quote(f'HEAD...{branch}')}), "
            "and take over what is good (git restore --source)."
        )
    return "\n".join(parts)


def _answers(context: AttemptContext) -> str:
    entries = tuple(f"{question}\n  Answer: {answer}" for question, answer in context.answers)
    return _listing("An earlier attempt has asked people, and was answered", entries)


def _listing(title: str, entries: tuple[str, ...]) -> str:
    return "\n".join([f"{title}:", *(f"- {entry}" for entry in entries)]) if entries else ""
