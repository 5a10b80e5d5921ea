"""In which session of an agent the next attempt of a phase goes on, if in any.

What it does: says it for each way in which an attempt can end.
What it does not know: whether the files are still as that attempt left them, and what sessions are made of.

A session is worth something as long as what the agent remembers is true. It goes on where the agent was interrupted by
something that is not its fault, and where it ended well and only the look at its work found a lack. In all other cases
(it failed itself, fell silent, ran out of time, died, does not know the session any more) the conversation may be what
went wrong, and a new one begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wavecrew.models.inputs import changes
from wavecrew.models.outcomes import Cause
from wavecrew.models.phase_state import PhaseState

INTERRUPTED: Final = frozenset({Cause.QUOTA, Cause.STOPPED})
"""Its account was used up or its model out of reach, or somebody stopped it: no retry is used, nothing is wrong."""
_FOUND_LACKING: Final = frozenset({Cause.CHECK, Cause.OUTPUTS, Cause.AUDIT})


def session_to_go_on(found: PhaseState, agent: str, inputs: Mapping[str, str], *, puts_back: bool) -> str:
    """The session of the latest attempt, if the next one, by this agent, can go on in it; else empty. `inputs` are what
    that rests on; `puts_back` tells whether it starts from the files as they were before a failed one."""
    if not found.session or found.agent != agent or changes(found.inputs, inputs):
        return ""
    if found.cause in INTERRUPTED or (found.cause in _FOUND_LACKING and not puts_back):
        return found.session
    return ""
