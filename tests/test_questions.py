"""What agents say to people: as events, in the state, in what starts next, in wishes, and in every view."""

from __future__ import annotations

from typing import Any

import pytest

from report_stories import report
from run_stories import T0, approve, asked, charge, end, fail, opening, phase, reset, skip, start, stop
from wavecrew.core import wishes
from wavecrew.core.phase_messages import paths_in, seconds_in, words_in
from wavecrew.core.scheduler import Decision, Policy, decide
from wavecrew.core.shell_state import Write, WriteKind
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import IllegalTransitionError, InvalidValueError, UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve, replay
from wavecrew.models.questions import same
from wavecrew.models.stored_events import from_record, to_record
from wavecrew.views.notices import NoticeFold, NoticeKind
from wavecrew.views.question_words import answer_command, question_words
from wavecrew.views.report_markdown import markdown_of
from wavecrew.views.report_sections import attention
from wavecrew.views.run_next import needed_words, next_lines
from wavecrew.views.run_plain import heartbeat, lines_for
from wavecrew.views.run_report import report_data, report_text
from wavecrew.views.run_status import status_data, status_text
from wavecrew.views.summary import Summary, summarize

PLAN = (phase("a Alpha"), phase("b Beta"), phase("c Gamma", "a"))


def told(at: float, name: str, text: str, attempt: int = 1) -> Event:
    return ev.ProgressTold(at=T0 + at, phase=name, attempt=attempt, text=text)


def question(at: float, name: str, text: str = "Old or new?", number: int = 1, attempt: int = 1) -> ev.QuestionAsked:
    return ev.QuestionAsked(at=T0 + at, phase=name, attempt=attempt, question=number, text=text)


def answer(at: float, name: str, text: str = "new", number: int = 1) -> ev.QuestionAnswered:
    return ev.QuestionAnswered(at=T0 + at, phase=name, question=number, by="ann", text=text)


def broken_off(at: float, name: str, cause: Cause = Cause.STOPPED, outcome: Outcome = Outcome.STOPPED) -> Event:
    retry_at = T0 + at if outcome is not Outcome.STOPPED else None
    return ev.AttemptEnded(at=T0 + at, phase=name, attempt=1, outcome=outcome, cause=cause, retry_at=retry_at)


def after(*events: Event) -> ExecutionState:
    return replay([*opening(*PLAN), *events])


def asks(*events: Event) -> list[tuple[str, int]]:
    return [(name, one.number) for name, one in after(start(1, "a"), start(1, "b"), *events).asks]


def seen(*events: Event, alive: bool = True) -> Summary:
    return summarize(after(start(1, "a"), start(1, "b"), *events), T0 + 60, alive=alive, progress={"a": (1, 2, "sh")})


# -- state --------------------------------------------------------------------------------------------------------


def test_a_question_waits_for_a_person_until_it_is_answered() -> None:
    both = (question(2, "a"), question(3, "a", "Which one?", 2))
    assert asks() == []
    assert asks(*both, question(4, "b")) == [("a", 1), ("a", 2), ("b", 1)]
    assert asks(*both, answer(5, "a", number=2)) == [("a", 1)]
    found = after(start(1, "a"), *both, answer(5, "a", number=2)).phase_states["a"].questions[1]
    assert (found.answer, found.by, found.answered_at, found.is_open) == ("new", "ann", T0 + 5, False)
    state = after(start(1, "a"), *both, answer(5, "a", number=2)).phase_states["a"]
    assert state.replies == (("Which one?", "new"),)


@pytest.mark.parametrize(
    ("ends", "stands"),
    [
        ([end(3, "a")], False),
        ([fail(3, "a")], False),
        ([broken_off(3, "a")], True),
        ([broken_off(3, "a", Cause.QUOTA)], True),
        ([broken_off(3, "a", Cause.LOST, Outcome.LOST)], True),
        ([broken_off(3, "a", Cause.SILENCE)], False),
        ([broken_off(3, "a"), start(4, "a", 2)], False),  # the next attempt asks for itself
        ([broken_off(3, "a"), skip(4, "a")], False),
        ([charge(3, epoch=2)], True),
        ([ev.AttemptCancelled(at=T0 + 3, phase="a", attempt=1, by="ann")], False),
        ([ev.WorkSealed(at=T0 + 3, phase="a", attempt=1, commit="c")], False),
    ],
)
def test_a_question_stands_as_long_as_somebody_can_use_the_answer(ends: list[Event], stands: bool) -> None:
    assert asks(question(2, "a"), *ends) == ([("a", 1)] if stands else [])


def test_what_is_done_again_asks_anew() -> None:
    state = after(start(1, "a"), question(2, "a"), answer(3, "a"), end(4, "a"), reset(5, "a"), start(6, "a", 2))
    assert state.phase_states["a"].questions == ()


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([question(2, "a", number=2)], "question 2 after 0"),
        ([question(2, "a", attempt=2)], "QuestionAsked for attempt 2"),
        ([question(2, "c")], "which is NOT_STARTED"),
        ([told(2, "a", "x", attempt=2)], "ProgressTold for attempt 2"),
        ([answer(2, "a")], "question 1 was never asked"),
        ([question(2, "a"), answer(3, "a"), answer(4, "a")], "question 1 was answered already"),
        ([answer(2, "z")], "not in the run"),
    ],
)
def test_what_does_not_fit_never_reaches_the_disk(events: list[Event], words: str) -> None:
    with pytest.raises(IllegalTransitionError, match=words):
        after(start(1, "a"), *events)


def test_the_latest_progress_counts_and_ends_with_its_attempt() -> None:
    state = after(start(1, "a"), told(2, "a", "begun"), told(3, "a", "half way"))
    assert state.phase_states["a"].told == "half way"
    again = evolve(state, broken_off(4, "a"), start(5, "a", 2))
    assert again.phase_states["a"].told == ""


def test_the_same_question_is_found_by_its_words() -> None:
    found = after(start(1, "a"), question(2, "a", "Old  or\nNEW?"), question(3, "a", "old or new?", 2))
    questions = found.phase_states["a"].questions
    assert same(questions, " old or new? ") == questions[1]
    assert same(questions, "new or old?") is None


def test_the_events_are_stored_and_read_again() -> None:
    for event in (told(1, "a", "x"), question(1, "a"), answer(1, "a")):
        assert from_record(to_record(event)) == event


def test_a_run_that_is_left_for_an_answer_says_so() -> None:
    left = [start(1, "a"), question(2, "a"), broken_off(3, "a")]
    state = after(*left)
    assert state.needs == "needs an answer: phase a"
    assert not state.left_for_approval
    stopped = evolve(state, stop(4, state.needs))
    assert stopped.left_for_approval
    assert not evolve(stopped, answer(5, "a")).left_for_approval
    both = after(*left, asked(4, "phase b"))
    assert both.needs == "needs approval: phase b; needs an answer: phase a"
    assert after(asked(4, "phase b"), approve(5, "phase b")).needs == ""


# -- what starts next ---------------------------------------------------------------------------------------------


def decision(
    *events: Event, attended: bool = False, asking: tuple[str, ...] = (), agent_limit: int = 2, **options: Any
) -> Decision:
    rank = {name: place for place, name in enumerate("abc")}
    policy = Policy(agent_limit=agent_limit, rank=rank, claims=dict.fromkeys(rank, ()), attended=attended, **options)
    return decide(after(*events), policy, T0 + 100, asking=frozenset(asking))


def test_a_run_that_nobody_attends_is_left_once_all_who_are_at_work_wait_for_answers() -> None:
    one, both = [start(1, "a"), question(2, "a")], [start(1, "a"), start(1, "b"), question(2, "a"), question(2, "b")]
    assert decision(*one, asking=("a",)).start == ("b",)  # another one can begin
    assert not decision(*one, asking=("a",)).unattended
    assert not decision(*both, asking=("a",)).unattended
    assert decision(*both, asking=("a", "b")).unattended
    assert not decision(*both, asking=("a", "b"), attended=True).unattended
    assert decision(*one, asking=("a",), agent_limit=1) == Decision(unattended=True)  # there is no slot for another one
    assert decision(*one, agent_limit=1) == Decision()
    done = [*one, start(1, "b"), end(3, "b")]
    assert decision(*done, asking=("a",)) == Decision(unattended=True)  # nothing else is ready
    assert decision(*done).unattended is False  # it goes on without the answer
    spent = ev.BudgetReached(at=T0 + 3, budget="1usd", cost_usd=1, tokens=0)
    assert decision(*one, spent, asking=("a",)) == Decision(unattended=True)
    failed = [*one, start(1, "b"), fail(3, "b")]
    assert decision(*failed, asking=("a",), fail_fast=True) == Decision(unattended=True)


def test_who_would_only_ask_again_is_not_started_where_nobody_is() -> None:
    left = [start(1, "a"), question(2, "a"), broken_off(3, "a"), start(3, "b"), end(4, "b")]
    assert decision(*left) == Decision(unattended=True)
    assert decision(*left, attended=True).start == ("a",)
    assert decision(*left, answer(5, "a")).start == ("a",)


# -- wishes -------------------------------------------------------------------------------------------------------


def wish(number: int = 0, name: str = "a") -> Wish:
    return Wish(kind=WishKind.ANSWER, by="ann", phases=(name,), text="new", question=number)


def test_an_answer_is_recorded_for_the_question_that_is_open() -> None:
    state = after(start(1, "a"), question(2, "a"))
    assert wishes.events_for(wish(), state, T0 + 5) == (answer(5, "a"),)
    two = evolve(state, question(3, "a", "And then?", 2))
    assert wishes.events_for(wish(2), two, T0 + 5) == (answer(5, "a", number=2),)


def test_an_answer_to_nothing_or_to_several_is_refused() -> None:
    state = after(start(1, "a"), question(2, "a"), question(3, "a", "And then?", 2))
    with pytest.raises(UsageError, match="phase b asks nothing"):
        wishes.events_for(wish(name="b"), state, T0)
    with pytest.raises(UsageError, match="2 questions that are open") as found:
        wishes.events_for(wish(), state, T0)
    assert found.value.fix == "say --question N; open are: 1, 2"
    with pytest.raises(UsageError, match="no question 3 that is open"):
        wishes.events_for(wish(3), state, T0)


# -- views --------------------------------------------------------------------------------------------------------


def test_every_view_counts_a_question_and_tells_how_it_is_answered() -> None:
    summary = seen(question(2, "a", "Old\x1b[31m or\nnew?"), question(3, "a", "And then?", 2), told(3, "a", "half way"))
    assert (summary.needed, summary.needed_names) == (2, ("a asks", "a asks"))
    row = summary.by_id["a"]
    assert (row.reason, row.progress) == ("asks: Old or new?", (1, 2, "half way · sh"))
    first, second = "wavecrew answer --question 1 a '...'", "wavecrew answer --question 2 a '...'"
    assert needed_words(summary) == [
        "a asks: Old or new?",
        f"answer with: {first}",
        "a asks: And then?",
        f"answer with: {second}",
    ]
    assert next_lines(summary)[0].startswith(f"next: {first}")
    assert "needs you 2: a asks, a asks" in heartbeat(summary, T0)
    assert "\x1b" not in status_text(summary)
    data = status_data(summary)
    assert [(one["phase"], one["question"], one["asked_at"]) for one in data["questions"]] == [
        ("a", 1, T0 + 2),
        ("a", 2, T0 + 3),
    ]
    many = seen(*(question(2, "a", f"{number}?", number) for number in range(1, 8)))
    assert needed_words(many)[-1] == "3 more questions"


def test_a_question_of_what_was_broken_off_is_told_until_the_run_is_over() -> None:
    left = [question(2, "a"), broken_off(3, "a"), end(3, "b")]
    assert seen(*left, stop(4, "ctrl-c"), alive=False).by_id["a"].reason == "asks: Old or new?"
    over = ev.RunFinished(at=T0 + 5)
    assert seen(*left, over, alive=False).needed == 0


def test_reports_tell_of_questions_that_stand() -> None:
    text = "Old\x1b[31m <b>or</b>\nnew?"
    history = [*opening(*PLAN), start(1, "a"), question(2, "a", text), broken_off(3, "a"), stop(4, "x")]
    found = report(history)
    assert "`a` `asks: Old <b>or</b> new?`" in markdown_of(found)
    shown = "".join(attention(found))
    assert "asks: Old &lt;b&gt;or&lt;/b&gt; new?" in shown
    assert "\x1b" not in shown
    [told] = report_data(replay(history), history)["questions"]
    assert (told["phase"], told["question"]) == ("a", 1)
    assert "needs you" in report_text(replay(history), history)


def test_progress_is_shown_also_where_nothing_else_is_known() -> None:
    assert seen(told(2, "b", "half way")).by_id["b"].progress == (1, 1, "half way")


def test_plain_lines_tell_all_three() -> None:
    state = after(start(1, "a"), question(2, "a", "Old\nor new?"))
    [line] = lines_for(question(2, "a", "Old\nor new?"), state, T0)
    assert line == "00:02.0 ask    a Alpha needs you: Old or new? · answer with: wavecrew answer a '...'"
    [line] = lines_for(answer(3, "a"), state, T0)
    assert line == "00:03.0 answer a Alpha by=ann new"
    two = ev.QuestionAnswered(at=T0, phase="a", question=1, by="mcp (x) for ann", text="new")
    assert 'by="mcp (x) for ann" new' in lines_for(two, state, T0)[0]
    assert lines_for(told(4, "a", "half\tway"), state, T0) == ["00:04.0 tell   a Alpha half way"]
    gone = lines_for(question(2, "gone"), state, T0)
    assert gone[0].endswith("wavecrew answer gone '...'")  # it has left the plan since


def test_words_for_odd_names_and_for_answers() -> None:
    [(_, found)] = after(start(1, "a"), question(2, "a")).asks
    assert answer_command("-x y", found) == "wavecrew answer -- '-x y' '...'"
    assert question_words(found) == "Old or new? (nobody has answered)"
    done = after(start(1, "a"), question(2, "a"), answer(3, "a")).phase_states["a"].questions[0]
    assert question_words(done) == "Old or new? (ann answered: new)"


def test_a_question_is_news_as_long_as_it_stands() -> None:
    made = NoticeFold()
    history = [*opening(*PLAN), start(1, "a"), question(2, "a")]
    [notice] = made.add(list(enumerate(history, start=1)))
    assert (notice.kind, notice.subject) == (NoticeKind.ASKED, "a")
    assert (notice.text, notice.commands) == ("a Alpha asks: Old or new?", ("wavecrew answer a '...'",))
    assert made.holds(notice, T0 + 3)
    made.add([(99, answer(3, "a"))])
    assert not made.holds(notice, T0 + 4)


# -- messages -----------------------------------------------------------------------------------------------------


def test_words_lose_what_steers_a_terminal_and_stay_within_bounds() -> None:
    assert words_in({"text": " a\x1b[2J\tb\u202e\nc\x00 "}, "text", 50) == "a[2J b\nc"
    assert words_in({"text": "x" * 9}, "text", 3, cut=True) == "xxx"
    for wrong in ({}, {"text": 1}, {"text": " \x07 "}):
        with pytest.raises(InvalidValueError, match="text has to be"):
            words_in(wrong, "text", 9)
    with pytest.raises(InvalidValueError, match="longer than 3"):
        words_in({"text": "x" * 4}, "text", 3)


def test_a_time_to_wait_is_a_number_within_bounds() -> None:
    assert (seconds_in({}), seconds_in({"wait_seconds": 3600})) == (0.0, 3600.0)
    for wrong in (True, "1", -1, 3601, float("nan"), None):
        with pytest.raises(InvalidValueError, match="wait_seconds"):
            seconds_in({"wait_seconds": wrong})


def test_paths_are_files_folders_and_patterns() -> None:
    given = {"paths": ["a", "b/", "c/*.py", "/d", "a", "/"]}
    assert paths_in(given, "/w/") == (
        Write("/w/a"),
        Write("/w/b", WriteKind.TREE),
        Write("/w/c/*.py", WriteKind.GLOB),
        Write("/d"),
        Write("/", WriteKind.TREE),
    )
    for wrong in (
        None,
        [],
        {"paths": []},
        {"paths": "a"},
        {"paths": ["a", " "]},
        {"paths": [1]},
        {"paths": ["a"] * 101},
    ):
        with pytest.raises(InvalidValueError, match="path"):
            paths_in(wrong, "/w")
