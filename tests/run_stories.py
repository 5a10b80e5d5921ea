"""Histories of runs as plain data: what the tests of all run views tell each other about.

What it does: writes events in a short form and knows one small plan with a lock that two phases want.
What it does not know: how anything is shown.
"""

from __future__ import annotations

from typing import Any

from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.parallel_execution import PhaseInfo

T0 = 1_700_000_000.0
"""Every story begins here."""
REGISTRY = "minitable/registry.py"


def phase(name: str, needs: str = "", seconds: float | None = None, *outputs: str, **more: Any) -> PhaseInfo:
    """`phase("02 reader", "01", 4, "reader.py")`."""
    number, _, title = name.partition(" ")
    hours = None if seconds is None else seconds / 3600
    return PhaseInfo(number, title or number, tuple(needs.split()), outputs, hours, **more)


MINITABLE = (
    phase("01 scaffold", "", 2, "pyproject.toml"),
    phase("02 reader", "01", 4, "minitable/reader.py"),
    phase("03 markdown", "01", 3, "minitable/markdown.py", REGISTRY),
    phase("04 html", "01", 5, "minitable/html.py", REGISTRY),
    phase("05 stats", "02", 6, "minitable/stats.py"),
    phase("06 fuzz", "02", 5, "tests/test_fuzz.py"),
    phase("07 cli", "02 03 04", 4, "minitable/cli.py"),
    phase("08 readme", "07", 2, "README.md"),
    phase("09 bench", "05 07", 5, "BENCH.md"),
    phase("10 accept", "06 08 09", 4, "dist/minitable.pyz"),
)


def opening(
    *phases: PhaseInfo, agents: int = 3, selected: tuple[str, ...] = (), settings: dict[str, Any] | None = None
) -> list[Event]:
    """A run starts and somebody takes charge of it."""
    return [
        ev.RunStarted(
            at=T0,
            run="3f2a",
            plan_name="minitable",
            plan_path="plan",
            plan_digest="7c1f9a2b",
            phases=phases,
            selected=selected,
            settings={"max_parallel_agents": agents, "agent": "runbook"} | (settings or {}),
        ),
        charge(0, agents=agents),
    ]


def charge(at: float, epoch: int = 1, agents: int = 3) -> Event:
    return ev.CoordinatorStarted(at=T0 + at, epoch=epoch, pid=4711, host="box", agents=agents)


def start(at: float, name: str, attempt: int = 1, agent: str = "runbook") -> Event:
    log = f"runs/3f2a/{name}.{attempt}/log"
    return ev.AttemptStarted(at=T0 + at, phase=name, attempt=attempt, agent=agent, log=log)


def end(at: float, name: str, attempt: int = 1, *outputs: str) -> Event:
    return ev.AttemptEnded(at=T0 + at, phase=name, attempt=attempt, outcome=Outcome.SUCCEEDED, outputs=outputs)


def fail(
    at: float,
    name: str,
    attempt: int = 1,
    *,
    retry_at: float | None = None,
    cause: Cause = Cause.CHECK,
    detail: str = "exit code 1 from: check python -m unittest",
    outcome: Outcome = Outcome.FAILED,
) -> Event:
    return ev.AttemptEnded(
        at=T0 + at,
        phase=name,
        attempt=attempt,
        outcome=outcome,
        cause=cause,
        detail=detail,
        exit_code=1,
        retry_at=None if retry_at is None else T0 + retry_at,
    )


def wait(at: float, name: str, resource: str, holder: str) -> Event:
    return ev.LockAwaited(at=T0 + at, phase=name, resource=resource, holder=holder)


def skip(at: float, name: str, by: str = "ann", reason: str = "done by hand") -> Event:
    return ev.PhaseSkipped(at=T0 + at, phase=name, by=by, reason=reason)


def keep(at: float, name: str, run: str = "11aa") -> Event:
    return ev.PhaseKept(at=T0 + at, phase=name, from_run=run)


def reset(at: float, name: str, by: str = "ann", reason: str = "") -> Event:
    return ev.PhaseReset(at=T0 + at, phase=name, by=by, reason=reason)


def stop(at: float, reason: str = "SIGINT") -> Event:
    return ev.RunStopped(at=T0 + at, reason=reason)


def finish(at: float) -> Event:
    return ev.RunFinished(at=T0 + at)


def until(events: list[Event], at: float) -> list[Event]:
    """What was known at a moment."""
    return [event for event in events if event.at <= T0 + at]


def state_at(events: list[Event], at: float) -> ExecutionState:
    return replay(until(events, at))


def good_run() -> list[Event]:
    """The small plan with three agents; 03 waits for the file that 04 writes. Takes 23 s."""
    return [
        *opening(*MINITABLE),
        start(0, "01"),
        end(2, "01", 1, "pyproject.toml"),
        start(2, "02"),
        start(2, "04"),
        wait(2, "03", REGISTRY, "04"),
        end(6, "02", 1, "minitable/reader.py"),
        start(6, "05"),
        start(6, "06"),
        end(7, "04", 1, "minitable/html.py", REGISTRY),
        start(7, "03"),
        end(10, "03", 1, "minitable/markdown.py", REGISTRY),
        start(10, "07"),
        end(11, "06", 1, "tests/test_fuzz.py"),
        end(12, "05", 1, "minitable/stats.py"),
        end(14, "07", 1, "minitable/cli.py"),
        start(14, "09"),
        start(14, "08"),
        end(16, "08", 1, "README.md"),
        end(19, "09", 1, "BENCH.md"),
        start(19, "10"),
        end(23, "10", 1, "dist/minitable.pyz"),
        finish(23),
    ]


def bad_run() -> list[Event]:
    """05 fails once and for all, 06 only the first time, 03 is skipped; 09 and 10 are never started."""
    return [
        *opening(*MINITABLE),
        start(0, "01"),
        end(2, "01", 1, "pyproject.toml"),
        start(2, "02"),
        start(2, "04"),
        wait(2, "03", REGISTRY, "04"),
        skip(3, "03"),
        end(6, "02", 1, "minitable/reader.py"),
        start(6, "05"),
        start(6, "06"),
        end(7, "04", 1, "minitable/html.py", REGISTRY),
        fail(7.2, "05"),
        fail(8, "06", retry_at=10, cause=Cause.TIMEOUT, detail="its time limit passed during: run fuzz"),
        start(8, "07"),
        start(10, "06", 2),
        end(12, "07", 1, "minitable/cli.py"),
        start(12, "08"),
        end(14, "08", 1, "README.md"),
        end(15, "06", 2, "tests/test_fuzz.py"),
        finish(15),
    ]
