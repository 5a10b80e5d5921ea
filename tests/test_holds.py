"""What holds a run up that could go on: pauses of people, and the pause before a wave, in the words of the views."""

from __future__ import annotations

import json

import pytest

from run_stories import (
    MINITABLE,
    T0,
    charge,
    end,
    finish,
    go_on,
    opening,
    pause,
    phase,
    start,
    stop,
    wait,
)
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState, evolve, replay
from wavecrew.views.run_next import next_lines
from wavecrew.views.run_plain import PlainView
from wavecrew.views.run_report import report_data, report_text
from wavecrew.views.run_status import status_json, status_text
from wavecrew.views.summary import Standing, summarize


def told(*batches: list[Event]) -> list[str]:
    """The plain lines of events that were recorded in batches."""
    view, state, lines = PlainView(), ExecutionState(), []
    for batch in batches:
        state = evolve(state, *batch)
        lines += view.event(batch, state)
    return lines


def holds(*batches: list[Event]) -> list[str]:
    return [line for line in told(*batches) if line.split()[1] == "hold"]


FIVE = {"wave_delay_seconds": 5}


def test_a_phase_that_only_its_wave_holds_up_is_told_once_for_each_wave() -> None:
    assert holds(
        opening(*MINITABLE, settings=FIVE),
        [start(0, "01")],
        [end(2, "01"), ev.UndeclaredWrites(at=T0 + 2, suspects=("01",), paths=("x",))],
        [ev.UndeclaredWrites(at=T0 + 3, suspects=("01",), paths=("y",))],
        [start(5, "02"), start(5, "03"), start(5, "04")],
        [end(6, "02"), start(6, "05")],
    ) == [
        "00:02.0 hold   wave 2 starts in 3.0s (wave_delay_seconds=5): 02 03 04",
    ]


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, []),
        ({"wave_delay_seconds": 0}, []),
        ({"wave_delay_seconds": 2}, []),
        ({**FIVE, "gate": "wave"}, []),
        (FIVE, [pause(1)]),
    ],
    ids=["no delay", "delay of zero", "over already", "a barrier was asked for", "paused"],
)
def test_what_holds_up_nothing_is_not_told(settings: dict[str, object], more: list[Event]) -> None:
    assert not holds(opening(*MINITABLE, settings=settings), [start(0, "01"), *more], [end(2, "01")])


def test_while_all_agents_are_at_work_the_wave_holds_up_nothing() -> None:
    story = [opening(phase("a"), phase("b"), phase("c", "a"), agents=1, settings=FIVE), [start(0, "a")]]
    assert not holds(*story, [end(1, "a"), start(1, "b")])
    assert holds(*story, [end(1, "a"), start(1, "b")], [end(2, "b")]) == [
        "00:02.0 hold   wave 2 starts in 3.0s (wave_delay_seconds=5): c"
    ]


def test_status_says_when_the_wave_begins() -> None:
    events = [*opening(*MINITABLE, settings=FIVE), start(0, "01"), end(2, "01")]
    text = status_text(summarize(replay(events), T0 + 3))
    assert "ready    02 reader    wave 2 starts in 2.0s\n" in text


def test_a_run_that_is_taken_up_says_that_it_is_paused() -> None:
    assert told([*opening(*MINITABLE), pause(1, "ann b"), stop(2)], [charge(3, 2)])[-1] == (
        '00:03.0 resume 3f2a done=0/10 jobs=3 paused-by="ann b"'
    )
    assert told([*opening(*MINITABLE), stop(2)], [charge(3, 2)])[-1] == "00:03.0 resume 3f2a done=0/10 jobs=3"


def test_a_paused_run_says_how_it_goes_on() -> None:
    events = [*opening(*MINITABLE), start(0, "01"), pause(1)]
    assert next_lines(summarize(replay(events), T0 + 2)) == [
        "next: wavecrew continue · wavecrew logs 01 · wavecrew status --watch"
    ]
    assert "continue" not in next_lines(summarize(replay([*events, go_on(2)]), T0 + 2))[0]


def test_a_phase_of_a_paused_run_waits_for_nobody_else() -> None:
    events = [*opening(phase("a")), wait(0, "a", "f", "somebody outside")]
    assert summarize(replay(events), T0 + 2).by_id["a"].standing is Standing.WAITING
    paused = summarize(replay([*events, pause(1)]), T0 + 2).by_id["a"]
    assert (paused.standing, paused.reason) == (Standing.READY, "the run is paused by ann")
    assert json.loads(status_json(summarize(replay([*events, pause(1)]), T0 + 2)))["paused_by"] == "ann"


@pytest.mark.parametrize(
    ("settings", "found", "words"),
    [
        ({"audit": "warn"}, [], "undeclared writes 0"),
        ({"audit": "fail"}, [("a",), ("a", "b"), ("b",)], "undeclared writes 2"),
        ({}, [("a",)], "undeclared writes 1"),
        ({"audit": "off"}, [], None),
        ({}, [], None),
    ],
)
def test_the_report_counts_undeclared_writes(
    settings: dict[str, object], found: list[tuple[str, ...]], words: str | None
) -> None:
    events = [*opening(phase("x"), phase("y"), settings=settings), start(0, "x"), start(0, "y")]
    events += [ev.UndeclaredWrites(at=T0 + 1, suspects=("x", "y"), paths=paths) for paths in found]
    events += [end(2, "x"), end(2, "y"), finish(2)]
    text = report_text(replay(events), events)
    assert words in text if words else "undeclared" not in text
    data = report_data(replay(events), events)["undeclared_writes"]
    assert data == [{"at": T0 + 1, "suspects": ["x", "y"], "paths": list(paths)} for paths in found]
