"""What the work of a phase rests on, as a short digest for each thing, by name.

What it does: says what counts (what the document says, who does it and how, the files that it reads, the work of the
phases before it), and compares what an attempt was made from with how it is now.
What it does not know: where files are (an `Evidence` does), where settings come from, and what follows from a change.

Times, limits and views are no inputs: they change when something is done, not what. A file that some phase of the plan
writes is none either: whoever reads it depends on that phase.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.records import plain
from wavecrew.models.resources import Resource

DOCUMENT: Final = "document"
AGENT: Final = "agent"
SETTING: Final = "setting:"
READS: Final = "reads:"
AFTER: Final = "after:"
ATTEMPT: Final = "attempt"
"""Tells one attempt from every other, so that work that was done again is other work. It never counts as a change."""

_NO_WORK: Final = frozenset({"source", "line", "estimated_time", "timeout_seconds", "retries", "fallback", "model"})
"""Fields of a phase that say where it stands, when it is due, how often it is tried and who stands in. Its model counts
as the setting that it takes the place of."""


class Evidence(Protocol):
    """What can be seen of files: in a folder, or in a commit."""

    def missing(self, outputs: Iterable[str]) -> tuple[str, ...]:
        """Those of some declared outputs that are not there."""

    def contents(self, resource: Resource, without: Callable[[str], bool]) -> Mapping[str, str]:
        """A digest of the content of each file that belongs to a resource, by path; none for the paths that `without`
        names. What cannot be read has a digest that says so; what is not there has none."""


def digest(value: object) -> str:
    """Sixteen hex digits (SHA-256) over plain data: texts, numbers, lists and mappings."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def document_digest(phase: PhaseInfo) -> str:
    """Over all that a document says about the work of a phase."""
    return digest(plain(phase, without=_NO_WORK))


def own_inputs(
    phase: PhaseInfo, agent: str, settings: Mapping[str, object], files: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """What a phase rests on, but for the work of others. `settings` are those that change its work; what is empty
    does not count. `files` gives the contents of each thing that it reads."""
    found = {DOCUMENT: document_digest(phase), AGENT: digest(agent)}
    found |= {SETTING + name: digest(value) for name, value in settings.items() if value}
    return found | {READS + name: digest(dict(contents)) for name, contents in files.items()}


def attempt_digest(run: str, phase: str, attempt: int) -> str:
    """What tells one attempt from every other."""
    return digest([run, phase, attempt])


def work_digest(state: ExecutionState, phase: str) -> str:
    """Over the work that was done for a phase, for those who rest on it: another attempt gives another one, and work
    that was kept the one that it had."""
    found = state.phase_states[phase]
    if found.status is not PhaseStatus.COMPLETED:
        return digest("waived")
    made_from = dict(found.inputs) or (found.kept_from or state.run)  # older histories tell no more than the run
    return digest([made_from, found.commit])


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the inputs that are not what they were, in the order in which people want to hear of them."""
    names = (*now, *(name for name in then if name not in now))
    return tuple(sorted((name for name in names if name != ATTEMPT and then.get(name) != now.get(name)), key=_weight))


_ORDER: Final = (DOCUMENT, AGENT, SETTING, READS, AFTER)


def _weight(name: str) -> tuple[int, str]:
    return next((place for place, start in enumerate(_ORDER) if name.startswith(start)), len(_ORDER)), name


def told(name: str) -> str:
    """What it means that an input is not what it was, for people."""
    start, colon, rest = name.partition(":")
    match start + colon:
        case "document":
            return "its document changed"
        case "agent":
            return "the agent is another one now"
        case "setting:":
            return f"the setting {rest} changed"
        case "reads:":
            return f"it reads {rest}, which changed"
        case "after:":
            return f"phase {rest} was done again since"
        case _:
            return f"{name} changed"
