"""Who waits at the write gate, as the state of a run and as its views tell it."""

from __future__ import annotations

import pytest

from wavecrew.errors import IllegalTransitionError
from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.execution_state import replay
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_state import LockWait
from wavecrew.views.run_plain import lines_for
from wavecrew.views.summary import summarize

PHASES = (PhaseInfo("a", "A"), PhaseInfo("b", "B"))
BEGUN: list[Event] = [
    ev.RunStarted(at=0.0, run="r", plan_name="", plan_path="", plan_digest="", phases=PHASES),
    ev.CoordinatorStarted(at=0.0, epoch=1, pid=1, host="h", agents=2),
    ev.AttemptStarted(at=1.0, phase="b", attempt=1, agent="claude"),
]


def awaits(resource: str = "x", holder: str = "phase a", since: float = 2.0, attempt: int = 1) -> ev.WriteAwaited:
    return ev.WriteAwaited(
        at=since, phase="b", attempt=attempt, tool="Write", resource=resource, holder=holder, since=since
    )


def judged(*paths: str, allowed: bool = True, claimed: tuple[str, ...] = ()) -> ev.WriteJudged:
    return ev.WriteJudged(
        at=9.0,
        phase="b",
        attempt=1,
        tool="Write",
        paths=paths,
        allowed=allowed,
        claimed=claimed,
        waited=7.0,
        reason="" if allowed else "it is held for too long",
    )


def waits(*events: Event) -> list[tuple[str, str]]:
    found = replay([*BEGUN, *events]).phase_states["b"].write_waits
    return [(wait.resource, wait.holder) for wait in found]


def test_who_waits_is_told_until_it_is_answered() -> None:
    assert waits(awaits()) == [("x", "phase a")]
    assert waits(awaits(), judged("x")) == []
    assert waits(awaits(), judged("x", allowed=False)) == []
    assert waits(awaits(), judged("y")) == [("x", "phase a")]  # one of its sub-agents wrote something else


def test_somebody_else_in_the_way_takes_the_place_of_the_first() -> None:
    assert waits(awaits(), awaits(holder="phase c")) == [("x", "phase c")]
    assert waits(awaits(), awaits("y", "phase c")) == [("y", "phase c")]  # the same call wants both
    assert waits(awaits("y", since=5.0), awaits("x", since=2.0)) == [("x", "phase a"), ("y", "phase a")]


def test_what_was_claimed_is_kept_with_the_answer() -> None:
    found = replay([*BEGUN, awaits(), judged("x", "y", claimed=("x", "y")), judged("y", claimed=("y",))])
    assert found.phase_states["b"].claimed == ("x", "y")


def test_no_wait_outlives_its_coordinator_or_its_attempt() -> None:
    assert waits(awaits(), ev.CoordinatorStarted(at=3.0, epoch=2, pid=1, host="h", agents=2)) == []
    assert waits(awaits(), ev.AttemptEnded(at=3.0, phase="b", attempt=1, outcome=Outcome.STOPPED)) == []


def test_a_wait_belongs_to_the_attempt_that_is_open() -> None:
    with pytest.raises(IllegalTransitionError):
        replay([*BEGUN, awaits(attempt=2)])


def test_the_views_tell_what_is_waited_for_and_who_has_it() -> None:
    state = replay([*BEGUN, awaits()])
    row = summarize(state, 5.0, alive=True, progress={"b": (1, 1, "claude")}).by_id["b"]
    assert row.reason == "waits to write x, held by phase a"
    assert (row.lock, row.lock_waited, row.progress) == (LockWait("x", "phase a", 2.0), 3.0, None)
    assert lines_for(awaits(), state, 0.0) == ['00:02.0 wait   b B write=x holder="phase a"']
    assert lines_for(judged("x"), state, 0.0) == ["00:09.0 write  b B write=x waited=7.0s"]
    (refused,) = lines_for(judged("x", allowed=False), state, 0.0)
    assert refused.endswith("waited=7.0s refused: it is held for too long")


def test_an_answer_without_a_wait_is_no_news() -> None:
    told = ev.WriteJudged(at=9.0, phase="b", attempt=1, tool="Write", paths=("x",), allowed=True, claimed=("x",))
    assert lines_for(told, replay([*BEGUN, told]), 0.0) == []
