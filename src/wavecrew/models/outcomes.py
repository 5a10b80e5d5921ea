"""How attempts end, and at which gate they fail: the words that events and states share.

What it does: names them; the values are stored for ever.
What it does not know: events, and what follows from an end.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    """The agent ended well, the checks passed and the declared outputs exist."""
    FAILED = "failed"
    """It ended, and not well; `cause` tells at which gate."""
    LOST = "lost"
    """It died without leaving a result; a missing result is never a success."""
    STOPPED = "stopped"
    """Somebody stopped it; it will be tried again and costs no retry."""


class Cause(StrEnum):
    """At which gate an attempt or a phase failed."""

    NONE = ""
    START = "start"
    EXIT = "exit"
    CHECK = "check"
    OUTPUTS = "outputs"
    TIMEOUT = "timeout"
    LOCK = "lock"
    LOST = "lost"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    AUDIT = "audit"
    GIT = "git"
    """What the agent left cannot be taken as it is: its history does not hold what it started from, for instance."""
    MERGE = "merge"
    """Its work and that of others do not go together."""
    GATE = "gate"
    """Its work was merged, and the merged tree failed the checks."""
    REJECTED = "rejected"
    AGENT = "agent"
    """The agent itself says that it did not succeed, whatever its exit code."""
    QUOTA = "quota"
    """The account of the agent is used up for now; that is nobody's failure."""
    SILENCE = "silence"
    """Nothing was heard of its agent for too long, and it was ended for that."""
    SESSION = "session"
    """Its agent does not know the session any more in which it should have gone on."""


FREE_CAUSES: Final = frozenset({Cause.QUOTA, Cause.SILENCE, Cause.SESSION})
"""Why a stopped attempt is made again by itself, without costing a retry."""
