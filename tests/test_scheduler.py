"""Decisions as histories: what has happened, and what should start now. Plain data in, plain data out."""

from __future__ import annotations

from typing import Any

import pytest

from wavecrew.core.scheduler import Decision, LockWish, Policy, decide
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.parallel_execution import PhaseInfo


def plan(text: str) -> tuple[PhaseInfo, ...]:
    """Lines such as `c < a b : x.py +y.py` are phase c, after a and b, which writes x.py and reads y.py."""
    found = []
    for line in text.strip().splitlines():
        head, _, wanted = line.partition(":")
        name, _, needs = head.partition("<")
        words = wanted.split()
        reads = tuple(word[1:] for word in words if word.startswith("+"))
        outputs = tuple(word for word in words if not word.startswith("+"))
        found.append(PhaseInfo(name.strip(), name.strip(), tuple(needs.split()), outputs, reads=reads))
    return tuple(found)


def after(phases: tuple[PhaseInfo, ...], story: str = "", only: str = "") -> ExecutionState:
    """The state after a story such as `1 start a, 3 done a, 4 start b, 5 fail b, 6 retry c until 9`."""
    events: list[Event] = [
        ev.RunStarted(
            at=0.0, run="r", plan_name="", plan_path="", plan_digest="", phases=phases, selected=tuple(only.split())
        )
    ]
    attempts = dict.fromkeys((found.id for found in phases), 0)
    for part in filter(None, (part.strip() for part in story.split(","))):
        at, verb, *rest = part.split()
        events.append(_event(float(at), verb, rest, attempts))
    return replay(events)


def _event(at: float, verb: str, rest: list[str], attempts: dict[str, int]) -> Event:
    name = rest[0] if rest else ""
    if verb == "start":
        attempts[name] += 1
        return ev.AttemptStarted(at=at, phase=name, attempt=attempts[name], agent="x")
    simple: dict[str, Event] = {
        "skip": ev.PhaseSkipped(at=at, phase=name, by="me", reason="why not"),
        "keep": ev.PhaseKept(at=at, phase=name, from_run="r0"),
        "reset": ev.PhaseReset(at=at, phase=name, by="me"),
        "refuse": ev.PhaseRefused(at=at, phase=name, cause=Cause.LOCK, detail=""),
        "pause": ev.RunPaused(at=at, by="me"),
        "continue": ev.RunContinued(at=at, by="me"),
        "ask": ev.ApprovalAsked(at=at, gate=" ".join(rest)),
        "approve": ev.GateApproved(at=at, gate=" ".join(rest), by="me"),
        "reject": ev.GateRejected(at=at, gate=" ".join(rest), by="me"),
    }
    if verb in simple:
        return simple[verb]
    outcomes = {"done": Outcome.SUCCEEDED, "fail": Outcome.FAILED, "retry": Outcome.FAILED, "stop": Outcome.STOPPED}
    retry_at = float(rest[2]) if verb == "retry" else None
    return ev.AttemptEnded(at=at, phase=name, attempt=attempts[name], outcome=outcomes[verb], retry_at=retry_at)


def policy(phases: tuple[PhaseInfo, ...], agents: int = 3, **rules: Any) -> Policy:
    """Phases are as urgent as they are early in the plan."""
    rank = {found.id: at for at, found in enumerate(phases)}
    return Policy(agents, rank, {found.id: found.claims for found in phases}, **rules)


def decision(
    text: str, story: str = "", *, now: float = 100.0, only: str = "", agents: int = 3, queue: Any = None, **rules: Any
) -> Decision:
    phases = plan(text)
    return decide(after(phases, story, only), policy(phases, agents, **rules), now, **(queue or {}))


def starts(text: str, story: str = "", **options: Any) -> str:
    return " ".join(decision(text, story, **options).start)


CHAIN = "a\nb < a\nc < b"
WIDE = "a\nb\nc\nd\ne"


# -- dependencies and slots -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "story", "expected"),
    [
        (CHAIN, "", "a"),
        (CHAIN, "1 start a", ""),
        (CHAIN, "1 start a, 2 done a", "b"),
        (CHAIN, "1 start a, 2 fail a", ""),
        (CHAIN, "1 start a, 2 stop a", "a"),
        (CHAIN, "1 keep a", "b"),
        (CHAIN, "1 skip a", "b"),
        (CHAIN, "1 start a, 2 fail a, 3 skip a", "b"),
        (CHAIN, "1 start a, 2 done a, 3 reset a", "a"),
        (WIDE, "", "a b c"),
        (WIDE, "1 start d", "a b"),
        (WIDE, "1 start d, 1 start e, 1 start a", ""),
        (WIDE, "1 start a, 2 done a, 3 skip b", "c d e"),
        ("a\nb\nc < a b", "1 start a, 2 done a", "b"),
    ],
)
def test_the_most_urgent_ready_phases_get_the_free_slots(text: str, story: str, expected: str) -> None:
    assert starts(text, story) == expected


def test_rank_decides_and_not_the_order_of_the_plan() -> None:
    phases = plan(WIDE)
    urgency = Policy(2, {"e": 0, "c": 1, "a": 2, "b": 3, "d": 4}, dict.fromkeys("abcde", ()))

    assert decide(after(phases), urgency, 0.0).start == ("e", "c")


def test_the_same_question_has_the_same_answer() -> None:
    phases = plan("a : x\nb : x\nc\nd < a")
    state, rules = after(phases, "1 start c"), policy(phases)

    assert decide(state, rules, 5.0) == decide(state, rules, 5.0)


# -- locks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "story", "expected", "waiting"),
    [
        ("a : x\nb : x", "", "a", "b x a"),
        ("a : +x\nb : +x", "", "a b", ""),
        ("a : src/\nb : src/deep/y.py\nc : other", "", "a c", "b src/ a"),
        ("a : src/*.py\nb : src/y.py", "", "a", "b src/*.py a"),
        ("a : x\nb : x", "1 start b", "", "a x b"),
        ("a : x\nb : x", "1 start a, 2 done a", "b", ""),
        ("a : x\nb : x", "1 start a, 2 retry a until 3", "a", "b x a"),
        # b waits for a and has its word on y: c must not overtake it
        ("a : x\nb : x y\nc : y", "1 start a", "", "b x a/c y b"),
        # ... but what b does not want is free
        ("a : x\nb : x y\nc : z", "1 start a", "c", "b x a"),
        # a waiting writer keeps later readers behind it
        ("a : +x\nb : x\nc : +x", "1 start a", "", "b x a/c x b"),
    ],
)
def test_locks_and_reservations(text: str, story: str, expected: str, waiting: str) -> None:
    found = decision(text, story)

    assert " ".join(found.start) == expected
    assert "/".join(f"{wish.phase} {wish.resource} {wish.holder}" for wish in found.waiting) == waiting


def test_a_phase_in_the_pause_before_its_retry_keeps_nobody_from_its_lock() -> None:
    found = decision("a : x\nb : x", "1 start a, 2 retry a until 200")

    assert (found.start, found.waiting, found.wake_at) == (("b",), (), 200.0)


def test_who_only_waits_for_a_slot_is_not_told_as_waiting_for_a_lock() -> None:
    assert decision("a : x\nb : x\nc", agents=1) == Decision(start=("a",))


# -- locks of others ------------------------------------------------------------------------------------------------


def test_who_waits_for_somebody_outside_takes_no_slot_and_keeps_its_word() -> None:
    found = decision("a : x\nb : x\nc\nd", queue={"elsewhere": {"a"}}, agents=2)

    assert found.start == ("c", "d")
    assert found.waiting == (LockWish("b", "x", "a"),)


def test_who_got_its_locks_after_a_wait_gets_the_next_slot() -> None:
    text = "a\nb\nc : x\nd : x"

    assert starts(text, queue={"granted": {"c"}}, agents=2) == "c a"
    assert starts(text, "1 start a, 1 start b", queue={"granted": {"c"}}, agents=2) == ""
    assert starts(text, "1 start a, 1 start b", queue={"granted": {"c"}}, agents=1) == ""
    assert starts("a : x\nb : y\nc", queue={"granted": {"b", "a"}}, agents=3) == "a b c"


def test_while_somebody_waits_outside_the_run_is_not_finished() -> None:
    assert not decision("a : x", queue={"elsewhere": {"a"}}).finished
    assert decision("a : x", "1 refuse a").finished


# -- the end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "story", "finished"),
    [
        (CHAIN, "", False),
        (CHAIN, "1 start a", False),
        (CHAIN, "1 start a, 2 done a, 3 start b, 4 done b, 5 start c, 6 done c", True),
        (CHAIN, "1 start a, 2 fail a", True),
        ("a\nb", "1 start a, 1 start b, 2 fail a", False),
        (CHAIN, "1 start a, 2 retry a until 200", False),
        (CHAIN, "1 skip a, 2 skip b, 3 skip c", True),
        ("a", "1 start a, 2 done a, 3 reset a", False),
    ],
)
def test_a_run_is_finished_when_nothing_is_at_work_and_nothing_can_start(text: str, story: str, finished: bool) -> None:
    assert decision(text, story).finished is finished


def test_only_what_was_selected_is_done() -> None:
    assert starts(WIDE, only="b e") == "b e"
    assert decision(WIDE, "1 start b, 2 done b", only="b").finished
    assert decision("a\nb < a", only="b").finished  # what it needs is left out, so it can never start


@pytest.mark.parametrize(
    ("story", "expected", "finished"),
    [
        ("1 start a, 1 start b, 2 fail a", "", False),
        ("1 start a, 1 start b, 2 fail a, 3 done b", "", True),
        ("1 start a, 2 retry a until 3", "a b c", False),
        ("1 start a, 2 fail a, 3 skip a", "b c d", False),
        ("1 start a, 2 fail a, 3 reset a", "a b c", False),
    ],
)
def test_after_the_first_failure_nothing_new_starts_if_so_wished(story: str, expected: str, finished: bool) -> None:
    found = decision(WIDE, story, fail_fast=True)

    assert (" ".join(found.start), found.finished) == (expected, finished)


def test_a_pause_starts_nothing_and_ends_nothing() -> None:
    assert decision(WIDE, "1 start a, 2 pause") == Decision()
    assert decision(WIDE, "1 pause, 2 start a, 3 done a") == Decision()
    assert starts(WIDE, "1 pause, 2 continue") == "a b c"
    assert decision("a", "1 start a, 2 pause, 3 done a").finished


# -- time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "expected", "wake"), [(8.9, "", 9.0), (9.0, "a", None), (50.0, "a", None)])
def test_a_retry_waits_for_its_time(now: float, expected: str, wake: float | None) -> None:
    found = decision("a", "1 start a, 2 retry a until 9", now=now)

    assert (" ".join(found.start), found.wake_at, found.finished) == (expected, wake, False)


def test_the_earliest_gate_wakes() -> None:
    story = "1 start a, 1 start b, 2 retry a until 30, 2 retry b until 20"

    assert decision("a\nb", story, now=10).wake_at == 20.0
    assert decision("b\na", story, now=10).wake_at == 20.0


@pytest.mark.parametrize(
    ("story", "now", "expected", "wake"),
    [
        ("1 start a, 2 done a", 5.9, "", 6.0),  # counted from the start of a, not from its end
        ("1 start a, 2 done a", 6.0, "b", None),
        ("1 start a, 50 done a", 50.0, "b", None),
        ("1 keep a", 2.0, "b", None),  # nothing of the wave before has started
        ("1 skip a", 2.0, "b", None),
        ("1 start a, 2 done a, 6 start b, 7 done b", 10.9, "", 11.0),
        # the wave had begun long ago: a phase of it that comes late does not wait again
        ("1 start a, 2 done a, 6 start b, 7 retry b until 8", 8.0, "b", None),
    ],
)
def test_a_wave_delay_counts_from_the_start_of_the_wave_before(
    story: str, now: float, expected: str, wake: float | None
) -> None:
    found = decision(CHAIN, story, now=now, wave_delay_seconds=5.0)

    assert (" ".join(found.start), found.wake_at, found.finished) == (expected, wake, False)


TWO_LANES = "a\nb\nc < a\nd < b\ne < d"


@pytest.mark.parametrize(
    ("story", "now", "expected", "wake"),
    [
        ("1 start a, 1 start b, 2 done a", 50.0, "", None),  # b is still at work
        ("1 start a, 1 start b, 2 done a, 4 done b", 8.9, "", 9.0),
        ("1 start a, 1 start b, 2 done a, 4 done b", 9.0, "c d", None),
        ("1 start a, 1 start b, 2 done a, 4 fail b", 9.0, "c", None),  # what has failed holds up nobody
        ("1 start a, 1 start b, 2 done a, 4 retry b until 60", 50.0, "", 60.0),
        ("1 start a, 2 done a, 3 skip b", 7.0, "c d", None),
        ("1 skip a, 2 skip b", 3.0, "c d", None),
        # d can never come, so the third wave would not wait for it
        ("1 start a, 1 start b, 2 done a, 4 fail b, 9 start c", 50.0, "", None),
    ],
)
def test_a_wave_gate_waits_for_the_end_of_the_wave_before(
    story: str, now: float, expected: str, wake: float | None
) -> None:
    story += ", 5 approve wave 2, 5 approve wave 3"
    found = decision(TWO_LANES, story, now=now, gate="wave", wave_delay_seconds=5.0)

    assert (" ".join(found.start), found.wake_at, found.finished) == (expected, wake, False)


def test_behind_a_gate_what_is_left_out_or_can_never_come_is_not_waited_for() -> None:
    assert starts("a\nb\nc < a", "1 start a, 2 done a, 3 approve wave 2", only="a c", gate="wave") == "c"
    deep = "a\nb\nc < a\nd < b\ne < c"
    story = "1 start a, 1 start b, 2 done a, 2 fail b, 2 approve wave 2, 3 start c, 4 done c, 5 approve wave 3"
    assert starts(deep, story, gate="wave") == "e"


# -- approval ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "ask", "expected"),
    [
        ("", "", "a b"),  # the first wave needs nobody
        ("1 start a, 1 start b, 2 done a", "", ""),  # b is still at work: it is too early to ask
        ("1 start a, 1 start b, 2 done a, 4 done b", "wave 2", ""),
        ("1 start a, 1 start b, 2 done a, 4 done b, 5 ask wave 2", "", ""),
        ("1 start a, 1 start b, 2 done a, 4 done b, 5 ask wave 2, 6 approve wave 2", "", "c d"),
        ("1 approve wave 2, 1 start a, 1 start b, 2 done a, 4 done b", "", "c d"),  # in advance
        ("1 approve wave 2, 1 start a, 1 start b, 2 done a", "", ""),  # ... which opens no barrier
        ("1 start a, 1 start b, 2 done a, 4 done b, 5 skip c, 5 skip d", "wave 3", ""),  # nothing is left in wave 2
        ("1 start a, 1 start b, 2 done a, 4 fail b, 5 approve wave 2, 6 start c, 7 done c", "", ""),
    ],
)
def test_each_wave_but_the_first_needs_the_end_of_the_one_before_and_somebody_who_agrees(
    story: str, ask: str, expected: str
) -> None:
    found = decision(TWO_LANES, story, gate="wave")

    assert (", ".join(found.ask), " ".join(found.start)) == (ask, expected)


@pytest.mark.parametrize(
    ("story", "ask", "expected"),
    [
        ("", "phase a, phase b", ""),
        ("1 ask phase a, 1 ask phase b", "", ""),
        ("1 ask phase a, 1 ask phase b, 2 approve phase b", "", "b"),
        ("1 approve phase a, 1 approve phase b, 2 start a, 3 done a", "phase c", "b"),
        ("1 approve phase a, 1 approve phase b, 2 start a, 3 retry a until 4", "", "a b"),  # once is enough
        ("1 approve phase a, 1 approve phase b, 2 start a, 3 retry a until 200", "", "b"),
    ],
)
def test_each_phase_needs_somebody_who_agrees_once_its_dependencies_are_satisfied(
    story: str, ask: str, expected: str
) -> None:
    found = decision(TWO_LANES, story, gate="phase")

    assert (", ".join(found.ask), " ".join(found.start)) == (ask, expected)


def test_it_is_asked_for_even_while_no_agent_is_free_but_not_while_the_run_is_paused() -> None:
    assert decision("a\nb", "1 approve phase a, 2 start a", agents=1, gate="phase").ask == ("phase b",)
    assert decision("a\nb", "1 pause", gate="phase") == Decision()


def test_a_phase_that_waits_for_approval_keeps_nobody_from_its_lock() -> None:
    found = decision("a : x\nb : x", "1 approve phase b", gate="phase")

    assert (found.start, found.waiting, found.ask) == (("b",), (), ("phase a",))


def test_after_approval_the_pause_before_the_wave_still_counts_from_its_end() -> None:
    story = "1 start a, 2 done a, 3 approve wave 2"
    found = decision(CHAIN, story, now=6.0, gate="wave", wave_delay_seconds=5.0)

    assert (found.start, found.wake_at) == ((), 7.0)


def test_without_a_gate_nobody_is_asked_and_open_questions_hold_up_nothing() -> None:
    assert decision("a\nb", "1 ask phase a") == Decision(start=("a", "b"))


@pytest.mark.parametrize(
    ("story", "gate", "options", "unattended"),
    [
        ("1 ask phase a, 1 ask phase b", "phase", {}, True),
        ("1 ask phase a", "phase", {}, False),  # b is to be asked for first
        ("1 ask phase a, 1 ask phase b", "phase", {"queue": {"elsewhere": {"a"}}}, False),
        ("1 ask phase a, 1 ask phase b", "phase", {"queue": {"granted": {"a"}}, "agents": 0}, False),
        ("1 ask phase a, 2 approve phase b, 3 start b", "phase", {}, False),
        ("1 ask phase a, 2 approve phase b", "phase", {}, False),
        ("1 ask phase a, 1 approve phase b, 2 start b, 3 retry b until 200", "phase", {}, False),
        ("1 ask phase a, 1 ask phase b, 2 pause", "phase", {}, False),
        ("1 ask phase a, 1 reject phase b", "phase", {}, True),
        ("1 reject phase a, 1 reject phase b", "phase", {}, False),
    ],
)
def test_a_run_is_left_when_only_somebody_who_is_not_there_could_let_it_go_on(
    story: str, gate: str, options: dict[str, Any], unattended: bool
) -> None:
    assert decision("a\nb", story, gate=gate, attended=False, **options).unattended is unattended
    assert not decision("a\nb", story, gate=gate, **options).unattended


def test_what_stands_behind_a_rejected_gate_never_starts_whatever_the_rules_are_now() -> None:
    for gate in ("none", "wave", "phase"):
        found = decision("a\nb", "1 reject phase a, 1 approve phase b", gate=gate)
        assert (found.start, found.finished) == (("b",), False)
    assert decision("a\nb < a", "1 reject phase a").finished
    late = "1 start a, 1 start b, 2 done a, 2 fail b, 3 reject wave 2, 4 refuse c, 5 reset b, 6 start b, 7 done b"
    assert decision("a\nb\nc < a\nd < b\ne < d", late, gate="wave").finished  # d came when it was too late


def test_a_wave_does_not_wait_for_what_was_rejected_in_the_one_before() -> None:
    story = "1 start a, 2 done a, 2 reject phase c, 3 start b, 4 done b"
    found = decision("a\nb < a\nc < a\nd < b", story, gate="wave")

    assert (found.ask, found.start) == (("wave 3",), ())


# -- room on the machine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "queue", "expected"),
    [
        ("", {}, "a"),  # one may always be at work, or nothing would ever change
        ("1 start a", {}, ""),
        ("1 start a, 2 done a", {}, "b"),
        ("", {"granted": {"c", "d"}}, "c"),
        ("1 start a", {"granted": {"c"}}, ""),
    ],
)
def test_without_room_nothing_starts_beside_what_is_at_work(story: str, queue: dict[str, Any], expected: str) -> None:
    found = decision(WIDE, story, queue={**queue, "room": False})

    assert (" ".join(found.start), found.finished) == (expected, False)
