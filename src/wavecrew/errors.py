"""The one error tree, and the written-down form of a finding.

What it does: names every way in which wavecrew refuses to go on. Each error carries a stable code, the place
(file:line:column), the reason, a fix that a person can try, and the exit code of the process.
What it does not know: how an error is printed (the command line does that, at one place), and phases that fail.
A failing phase is data in the history of a run, never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class ExitCode:
    """Exit codes of the command. They are part of the public interface and do not change."""

    OK = 0
    PHASE_FAILED = 1
    USAGE = 2
    INVALID_INPUT = 3
    NOT_FOUND = 4
    NEEDS_HUMAN = 5
    LIMIT_REACHED = 6
    BUSY = 7
    PREFLIGHT = 8
    UNPROVEN = 9
    INTERNAL = 70
    INTERRUPTED = 130
    TERMINATED = 143


class Severity(StrEnum):
    """How much a finding matters: an error stops a run, a warning asks for a look, an info explains a reading."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in a document something stands. Lines and columns count from 1; 0 means that it is not known."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file or "<input>"]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a plan or a configuration: what, where, why and what to do about it.

    `code` is stable (`WC101`); `wavecrew explain CODE` tells more about it. `phases` names the phases concerned.
    """

    code: str
    severity: Severity
    message: str
    place: Place = Place()
    fix: str = ""
    phases: tuple[str, ...] = ()


class WavecrewError(Exception):
    """Root of all errors. `str(error)` is the reason alone; place and fix stand beside it."""

    code: ClassVar[str] = "WC000"
    exit_code: ClassVar[int] = ExitCode.INTERNAL

    def __init__(self, reason: str, *, place: Place | None = None, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place
        self.fix = fix


# -- the caller asked for something that cannot be --------------------------------------------------------------


class InvalidValueError(WavecrewError, ValueError):
    """A value that a model, a setting or an argument cannot have."""

    code = "WC001"
    exit_code = ExitCode.INVALID_INPUT


class UsageError(WavecrewError):
    """Arguments that do not go together."""

    code = "WC002"
    exit_code = ExitCode.USAGE


class NotFoundError(WavecrewError):
    """No such run, phase, lock or plan, or a selection that selects nothing."""

    code = "WC003"
    exit_code = ExitCode.NOT_FOUND


# -- documents and configuration --------------------------------------------------------------------------------


class PlanError(WavecrewError):
    """A plan that cannot be read or cannot be run. `diagnostics` holds every finding, not only the first."""

    code = "WC100"
    exit_code = ExitCode.INVALID_INPUT

    def __init__(
        self,
        reason: str,
        *,
        place: Place | None = None,
        fix: str = "",
        diagnostics: tuple[Diagnostic, ...] = (),
    ) -> None:
        super().__init__(reason, place=place, fix=fix)
        self.diagnostics = diagnostics


class CycleError(PlanError):
    """Phases that wait for each other. `cycle` is the ring, each phase depending on the next, first = last."""

    code = "WC104"

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(
            f"phases wait for each other: {' -> '.join(cycle)}",
            fix="remove one of these dependencies",
        )
        self.cycle = cycle


class ConfigError(WavecrewError):
    """A configuration file, variable or flag that cannot be used."""

    code = "WC200"
    exit_code = ExitCode.INVALID_INPUT


# -- the world refuses ------------------------------------------------------------------------------------------


class PreflightError(WavecrewError):
    """Something that the run needs is missing: an agent program, disk space, a usable state folder."""

    code = "WC300"
    exit_code = ExitCode.PREFLIGHT


class NeedsHumanError(WavecrewError):
    """A question that only a person may answer, in a place where nobody can be asked."""

    code = "WC301"
    exit_code = ExitCode.NEEDS_HUMAN


class RunBusyError(WavecrewError):
    """Another coordinator is at work on this run; it is named in the reason."""

    code = "WC302"
    exit_code = ExitCode.BUSY


class StoreError(WavecrewError):
    """The state database cannot be opened, read or written."""

    code = "WC303"
    exit_code = ExitCode.PREFLIGHT


class ResultError(WavecrewError):
    """The result of a run does not hold what was merged into it."""

    code = "WC321"
    exit_code = ExitCode.UNPROVEN


class LockError(WavecrewError):
    """A resource lock that cannot be had or is not held."""

    code = "WC310"
    exit_code = ExitCode.PHASE_FAILED


class LockTimeoutError(LockError, TimeoutError):
    """A lock was not granted within the time that its requester wanted to wait. The reason names the holder."""

    code = "WC311"


class LockLostError(LockError):
    """A lock that was granted is no longer held, so the work under it must not be written."""

    code = "WC312"


class GitError(WavecrewError):
    """A call of git that failed. The reason names the verb, and has git's own last words."""

    code = "WC320"
    exit_code = ExitCode.PREFLIGHT


# -- wavecrew is wrong ------------------------------------------------------------------------------------------


class InternalError(WavecrewError):
    """A bug in wavecrew. Nothing was recorded; please report it with the file that the message names."""

    code = "WC900"


class IllegalTransitionError(InternalError):
    """An event that does not fit the state it meets. It is refused before it reaches the disk."""

    code = "WC901"
