"""What the output of an agent program told about its work, and the judgement of its end.

What it does: gives all agent programs one form: how it ended, what it used, what it wrote, what it does now. `judge`
puts the end that was told and the exit code together, because neither of them is enough.
What it does not know: how any program writes (the translators do), processes, and whether the work is good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from wavecrew.models.outcomes import Cause


class Ending(StrEnum):
    """How the work of an agent program ended, as it told itself."""

    NONE = "none"
    """Nothing was told about an end: it is still at work, or it was cut off."""
    DONE = "done"
    FAILED = "failed"
    LIMITED = "limited"
    """Its account has used up what it may use for now."""
    UNREACHABLE = "unreachable"
    """Its model cannot be reached, or has trouble of its own."""
    LOGGED_OUT = "logged_out"
    WRONG_MODEL = "wrong_model"
    NO_SESSION = "no_session"
    """It does not know the session any more in which it should have gone on."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were used. None is unknown, and never stands for 0. `input` counts those in `cached` too."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None

    def or_else(self, known: Usage) -> Usage:
        """With another count in the place of what is not known."""
        return Usage(
            known.input if self.input is None else self.input,
            known.output if self.output is None else self.output,
            known.cached if self.cached is None else self.cached,
        )

    def plus(self, more: Usage) -> Usage:
        """The sum with what is known of another count."""
        return Usage(_sum(self.input, more.input), _sum(self.output, more.output), _sum(self.cached, more.cached))

    def since(self, earlier: Usage) -> Usage:
        """What came on top of an earlier count. What is not known on both sides is not known."""
        return Usage(
            _difference(self.input, earlier.input),
            _difference(self.output, earlier.output),
            _difference(self.cached, earlier.cached),
        )


def _sum(known: int | None, more: int | None) -> int | None:
    return known if more is None else more + (known or 0)


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None or now < before else now - before


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What a stream told so far. All texts are one clean line, made for people."""

    ending: Ending = Ending.NONE
    message: str = ""
    """The last word of the agent, or of what went wrong."""
    trouble: Ending = Ending.NONE
    """What kept it from going on when it was last heard of, although it had not given up."""
    resets_at: float | None = None
    """When a limited account may be used again, in seconds since 1970; None is unknown."""
    session: str = ""
    usage: Usage = Usage()
    """Of this attempt alone."""
    session_usage: Usage = Usage()
    """Of the whole session, where a program counts so; what the next attempt in this session is measured from."""
    cost_usd: float | None = None
    tool_calls: int = 0
    files: tuple[str, ...] = ()
    """Files that it says it wrote, in the order of the first time. Shell commands write without being told here."""
    model: str = ""
    version: str = ""
    last_activity: str = ""
    """What it does now."""


class StreamReader(Protocol):
    """Reads the output of one attempt. Nothing that comes can break it, and its memory is bounded."""

    def feed(self, line: bytes) -> None:
        """Take one line, with or without its end. What is no event of the program is passed over."""

    def report(self) -> AgentReport:
        """What was told up to now."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the agent did its part, and if not, at which gate it failed and why, in one line.

    `ending` is what came out of the stream and the exit code together; it is never NONE, and DONE exactly if it is
    `ok`. The cause is QUOTA for a limited account, EXIT where only the exit code tells of a failure, and else AGENT.
    """

    ok: bool
    cause: Cause = Cause.NONE
    detail: str = ""
    ending: Ending = Ending.DONE
    resets_at: float | None = None


def judge(report: AgentReport, exit_code: int, meanings: Mapping[int, Ending] | None = None) -> Judgement:
    """Judge an end by what was told and by the exit code (negative for a signal) of the program itself.

    `meanings` are the exit codes of a program that tell more; they count where the stream gives no reason.
    """
    code = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    meant = (meanings or {}).get(exit_code, Ending.FAILED)
    if report.ending is Ending.DONE and exit_code == 0:
        return Judgement(True)
    if report.ending is Ending.DONE:
        ending, detail = Ending.FAILED, f"it told of success, but ended with {code}"
    elif report.ending is not Ending.NONE:
        ending = meant if report.ending is Ending.FAILED else report.ending
        detail = report.message or f"it told that it failed ({code})"
    elif report.trouble is not Ending.NONE:
        ending, detail = report.trouble, f"{report.message} ({code})"
    else:
        said = f"; its last words: {report.message}" if report.message else ""
        ending, detail = meant, f"it ended with {code}, without telling how its work ended{said}"
    by_code_alone = report.ending is Ending.DONE or (report.ending is Ending.NONE and exit_code != 0)
    cause = Cause.QUOTA if ending is Ending.LIMITED else Cause.EXIT if by_code_alone else Cause.AGENT
    return Judgement(False, cause, detail, ending, report.resets_at)


class Known(StrEnum):
    """Whether an agent program can do something, as far as it was tried."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
