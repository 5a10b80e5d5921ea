"""Used up accounts, budgets, silent agents and what agents say of their ends: verdicts, decisions and words."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core_builders import PATIENCE, Bench, phase, soon
from wavecrew.core.attempts import Result
from wavecrew.core.oversight import Oversight, OversightRules, silence_words
from wavecrew.core.resource_manager import FileLock
from wavecrew.core.scheduler import Policy, decide
from wavecrew.core.verdicts import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_STALLS,
    MAX_UNREACHABLE,
    Judge,
    RetryRules,
    cancelled,
    closure,
    opens_at,
    reported,
)
from wavecrew.core.watch import Silence
from wavecrew.models import events as ev
from wavecrew.models.accounts import Closure
from wavecrew.models.agent_report import AgentReport, Ending, Judgement, Usage
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve, replay
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.silence import MAX_WORDS, is_question, last_words
from wavecrew.models.usage import Budget, Spent
from wavecrew.views.usage_words import (
    budget_words,
    cost_words,
    held_words,
    money,
    silent_words,
    spent_data,
    spent_words,
    time_of_day,
    token_words,
    tokens,
)

PHASES = tuple(PhaseInfo(name, name) for name in "abc")
OPENING = ev.RunStarted(at=0.0, run="r", plan_name="", plan_path="", plan_digest="", phases=PHASES)


def start(name: str, number: int = 1, at: float = 1.0, agent: str = "claude") -> ev.AttemptStarted:
    return ev.AttemptStarted(at=at, phase=name, attempt=number, agent=agent)


def close(at: float, until: float, account: str = "claude", detail: str = "") -> ev.AccountClosed:
    return ev.AccountClosed(at=at, account=account, until=until, detail=detail)


def at_work(*more: Event) -> ExecutionState:
    return replay([OPENING, start("a"), *more])


# -- verdicts -------------------------------------------------------------------------------------------------------


def judged(
    ending: Ending,
    state: ExecutionState | None = None,
    *,
    now: float = 100.0,
    resets_at: float | None = None,
    rules: RetryRules | None = None,
    result: Result | None = None,
    silent: str = "",
) -> ev.AttemptEnded:
    causes = {Ending.DONE: Cause.NONE, Ending.LIMITED: Cause.QUOTA}
    ok = ending is Ending.DONE
    told = Judgement(ok, causes.get(ending, Cause.AGENT), "" if ok else "its words", ending, resets_at)
    found = result or Result(1, "exit", "claude", "", 0)
    judge = Judge(Path(), rules or RetryRules(retries=3))
    return judge.result(state or at_work(), "a", found, now, told=told, silent=silent)


def test_what_an_agent_says_counts_more_than_its_exit_code() -> None:
    good_exit = Result(0, "", "claude", "", 0)
    assert judged(Ending.DONE, result=good_exit).outcome is Outcome.SUCCEEDED
    found = judged(Ending.FAILED, result=good_exit)
    assert (found.outcome, found.cause, found.detail, found.retry_at) == (
        Outcome.FAILED, Cause.AGENT, "its words", 100.0)  # fmt: skip


def test_a_failed_check_after_a_good_agent_is_a_failed_check() -> None:
    found = judged(Ending.DONE, result=Result(1, "check", "check pytest", "", 0, 2, 2))
    assert (found.outcome, found.cause) == (Outcome.FAILED, Cause.CHECK)


@pytest.mark.parametrize("cause", ["timeout", "stopped"])
def test_whoever_was_ended_from_outside_is_judged_by_that(cause: str) -> None:
    found = judged(Ending.LIMITED, result=Result(-15, cause, "claude", "", 0))
    assert found.cause is Cause(cause)


def test_a_used_up_account_costs_no_retry_and_is_closed_until_it_opens() -> None:
    state = at_work()
    found = judged(Ending.LIMITED, state, resets_at=500.0)
    assert (found.outcome, found.cause, found.retry_at) == (Outcome.STOPPED, Cause.QUOTA, 500.0)
    assert found.detail == "claude is used up: its words"
    (shut,) = closure(state, found)
    assert (shut.account, shut.until, shut.detail) == ("claude", 500.0, found.detail)
    after = evolve(state, shut, found)
    assert (after.phase_states["a"].failures, list(after.queued)) == (0, ["b", "c", "a"])
    assert closure(state, judged(Ending.FAILED, state)) == ()
    assert closure(state, cancelled(found, "ann")) == ()


def test_pauses_double_from_a_minute_to_an_hour() -> None:
    pauses, state, now = [], at_work(), 100.0
    for _ in range(9):
        found = judged(Ending.LIMITED, state, now=now)
        assert found.retry_at is not None
        pauses.append(found.retry_at - now)
        state, now = evolve(state, close(now, found.retry_at)), found.retry_at
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    done = evolve(state, ev.AttemptEnded(at=now, phase="a", attempt=1, outcome=Outcome.SUCCEEDED), start("b", at=now))
    assert opens_at(done.accounts["claude"], None, now) == now + FIRST_PAUSE  # a success ends the row


def test_what_many_find_at_once_is_one_closure() -> None:
    first = evolve(at_work(start("b")), close(100.0, 160.0))
    assert opens_at(first.accounts["claude"], None, 101.0) == 161.0


@pytest.mark.parametrize("nonsense", [None, 0.0, 99.0, 100.0, 1e12])
def test_a_time_that_cannot_be_is_none(nonsense: float | None) -> None:
    assert opens_at(None, nonsense, 100.0) == 160.0


def test_a_model_out_of_reach_is_given_up_after_some_time() -> None:
    state, now = at_work(), 100.0
    for _ in range(MAX_UNREACHABLE):
        found = judged(Ending.UNREACHABLE, state, now=now)
        assert (found.outcome, found.cause) == (Outcome.STOPPED, Cause.QUOTA)
        assert found.detail == "claude cannot reach its model: its words"
        assert found.retry_at is not None
        state, now = evolve(state, close(now, found.retry_at)), found.retry_at
    found = judged(Ending.UNREACHABLE, state, now=now)
    assert (found.outcome, found.cause, found.retry_at) == (Outcome.FAILED, Cause.AGENT, None)
    assert found.detail == "its model could not be reached 6 times in a row: its words"
    assert judged(Ending.LIMITED, state, now=now).outcome is Outcome.STOPPED  # that is waited for as long as it takes


@pytest.mark.parametrize(("ending", "fix"), [(Ending.LOGGED_OUT, "log in to claude"), (Ending.WRONG_MODEL, "model")])
def test_what_only_a_person_can_mend_is_not_tried_again(ending: Ending, fix: str) -> None:
    found = judged(ending)
    assert (found.outcome, found.cause, found.retry_at) == (Outcome.FAILED, Cause.AGENT, None)
    assert fix in found.detail


def test_what_an_agent_told_is_recorded_once() -> None:
    state = at_work()
    report = AgentReport(session="s", usage=Usage(10, None, 5), cost_usd=0.5, tool_calls=3, model="m")
    (told,) = reported(state, "a", report, 9.0)
    assert told == ev.AgentReported(
        at=9.0,
        phase="a",
        attempt=1,
        session="s",
        model="m",
        input_tokens=10,
        cached_tokens=5,
        cost_usd=0.5,
        tool_calls=3,
    )
    assert reported(evolve(state, told), "a", report, 9.0) == ()


# -- silence --------------------------------------------------------------------------------------------------------


def test_a_silent_agent_is_tried_again_twice_and_costs_no_retry() -> None:
    stopped, rules = Result(-15, "stopped", "x", "", 0), RetryRules(restarts_silent=True)
    state = at_work()
    for number in range(MAX_STALLS):
        found = judged(Ending.NONE, state, rules=rules, result=stopped, silent="nothing was heard")
        assert (found.outcome, found.cause, found.detail) == (Outcome.STOPPED, Cause.SILENCE, "nothing was heard")
        state = evolve(state, found_as(found, number + 1), start("a", number + 2))
    found = judged(Ending.NONE, state, rules=rules, result=stopped, silent="nothing was heard")
    assert (found.outcome, found.cause, found.retry_at) == (Outcome.FAILED, Cause.SILENCE, None)


def found_as(ended: ev.AttemptEnded, number: int) -> ev.AttemptEnded:
    assert ended.attempt == number
    return ended


def test_silence_can_be_a_failure_and_success_is_faster_than_its_end() -> None:
    stopped = Result(-15, "stopped", "x", "", 0)
    assert judged(Ending.NONE, result=stopped, silent="why").outcome is Outcome.FAILED
    assert judged(Ending.DONE, result=Result(0, "", "x", "", 0), silent="why").outcome is Outcome.SUCCEEDED


class _Ledger:
    """As much of a ledger as oversight needs."""

    def __init__(self, state: ExecutionState) -> None:
        self.state = state
        self.now = 100.0
        self.told: list[Event] = []

    def clock(self) -> float:
        return self.now

    def stage(self, *events: Event) -> None:
        self.state = evolve(self.state, *events)
        self.told += events


class _Watch:
    def __init__(self, *found: Silence, live: Spent | None = None) -> None:
        self.found = list(found)
        self.live = live or Spent()

    def look(self, now: float, excused: AbstractSet[str]) -> list[Silence]:
        found, self.found = self.found, []
        return found


def overseen(rules: OversightRules, watch: _Watch, *more: Event) -> tuple[list[Event], list[str]]:
    """What a look stages, and whom it ends."""
    ledger, done = _Ledger(at_work(*more)), list[str]()
    fakes: Any = {"ledger": ledger, "watch": watch}
    oversight = Oversight(
        rules,
        **fakes,
        at_work=lambda: {Path("/1"): "z", Path("/2"): "a"},
        end_silent=lambda folder, why: done.append(f"{folder}: {why}"),
        end_all=lambda: done.append("all"),
    )
    oversight.look()
    oversight.look()  # what is known already is not told again
    return ledger.told, done


@pytest.mark.parametrize("stall", ["tell", "restart", "fail"])
def test_a_silence_is_told_and_ended_if_that_is_the_rule(stall: Any) -> None:
    told, done = overseen(OversightRules(5.0, stall), _Watch(Silence("a", 30.0, "Proceed? [y/n]")))
    assert told == [ev.AgentSilence(at=100.0, phase="a", attempt=1, since=30.0, words="Proceed? [y/n]")]
    ended = "/2: nothing was heard of it for 70 s; it seems to ask: Proceed? [y/n]"
    assert done == ([] if stall == "tell" else [ended])
    told, done = overseen(OversightRules(5.0, stall), _Watch(Silence("a", None)))
    assert ([type(event) for event in told], done) == ([ev.AgentSilence], [])


def test_why_an_agent_was_ended_is_told_with_its_last_words() -> None:
    assert silence_words(60.2, "") == "nothing was heard of it for 60 s, and nothing before"
    assert silence_words(60.2, "thinking").endswith("; its last words: thinking")


@pytest.mark.parametrize(
    "words",
    ["Continue? [y/n]", "Proceed (Y/n)", "Password:", "Enter passphrase for key", "press any key", "May I write it?",
     "Press ENTER to continue", "❯", "> ", "Do you trust the files in this folder? ", "(yes/no)"],
)  # fmt: skip
def test_questions_and_prompts_are_told_from_other_lines(words: str) -> None:
    assert is_question(words)


@pytest.mark.parametrize("words", ["", "Reading src/a.py", "3 of 5 done.", "pressed on", "Why not? Because it is so."])
def test_other_lines_are_no_questions(words: str) -> None:
    assert not is_question(words)


def test_the_last_words_are_clean_and_short() -> None:
    assert last_words(b"one\n\x1b[2K\x1b[31mtwo\x1b[0m\n\n \t\n") == "two"
    assert last_words(b"10%\r20%\r\x1b]0;title\x07 30% \x00") == "30%"
    assert last_words(b"") == last_words(b"\n\x1b[0m\n") == ""
    long = last_words(b"x" * 500 + b" Continue? [y/n]")
    assert len(long) <= MAX_WORDS
    assert long.startswith("…")
    assert is_question(long)
    assert last_words("\u202eabc\xff".encode()[:-1]).isprintable()


# -- decisions ------------------------------------------------------------------------------------------------------


def policy(**more: Any) -> Policy:
    return Policy(3, {name: at for at, name in enumerate("abc")}, dict.fromkeys("abc", ()), **more)


ALL_CLAUDE = dict.fromkeys("abc", ("claude",))


def test_nothing_starts_on_a_closed_account_before_its_time() -> None:
    state = replay([OPENING, close(1.0, 500.0)])
    held = decide(state, policy(agents=ALL_CLAUDE), 499.0)
    assert (held.start, held.wake_at, held.finished) == ((), 500.0, False)
    assert decide(state, policy(agents=ALL_CLAUDE), 500.0).start == ("a", "b", "c")


def test_others_go_on_and_the_stand_in_starts() -> None:
    state = replay([OPENING, close(1.0, 500.0), close(1.0, 300.0, "gemini")])
    agents = {"a": ("claude",), "b": ("codex",), "c": ("claude", "codex")}
    rules = policy(agents=agents)
    found = decide(state, rules, 100.0)
    assert (found.start, found.wake_at) == (("b", "c"), 500.0)
    assert [rules.agent_for(state, name, 100.0) for name in "abc"] == [None, "codex", "codex"]
    assert [rules.agent_for(state, name, 500.0) for name in "abc"] == ["claude", "codex", "claude"]
    both = policy(agents=dict.fromkeys("abc", ("claude", "gemini")))
    assert decide(state, both, 100.0).wake_at == 300.0


def test_an_account_that_somebody_opens_is_open_and_its_phase_need_not_wait() -> None:
    limited = ev.AttemptEnded(
        at=2.0, phase="a", attempt=1, outcome=Outcome.STOPPED, cause=Cause.QUOTA, retry_at=500.0)  # fmt: skip
    begun = ev.AttemptStarted(at=1.0, phase="a", attempt=1, agent="claude")
    history = [OPENING, begun, limited, close(2.0, 500.0), close(2.0, 400.0, "codex")]
    assert decide(replay(history), policy(agents=ALL_CLAUDE), 10.0).start == ()
    opened = [*history, ev.AccountReopened(at=10.0, account="claude", by="ann")]
    state = replay(opened)
    assert decide(state, policy(agents=ALL_CLAUDE), 10.0).start == ("a", "b", "c")
    assert (state.accounts["claude"].until, state.accounts["codex"].until) == (10.0, 400.0)
    again = replay([*opened, close(11.0, 600.0)])
    assert again.accounts["claude"] == Closure(600.0, again.accounts["claude"].detail, times=1)
    assert replay([OPENING, ev.AccountReopened(at=1.0, account="x", by="ann")]).accounts == {}


def test_accounts_that_nobody_named_do_not_matter() -> None:
    state = replay([OPENING, close(1.0, 500.0)])
    assert decide(state, policy(), 100.0).start == ("a", "b", "c")
    assert policy().agent_for(state, "a", 100.0) == ""
    assert policy().opens_at(state, "a") == 0.0


def test_who_is_held_by_an_account_keeps_no_lock_from_others() -> None:
    phases = (PhaseInfo("a", "a", outputs=("x",)), PhaseInfo("b", "b", outputs=("x",)))
    state = replay([ev.RunStarted(at=0, run="r", plan_name="", plan_path="", plan_digest="", phases=phases),
                    close(1.0, 500.0)])  # fmt: skip
    rules = Policy(3, {"a": 0, "b": 1}, {one.id: one.claims for one in phases}, agents={"a": ("claude",), "b": ("x",)})
    assert decide(state, rules, 100.0).start == ("b",)


class Speaking:
    """An agent that runs the command of a phase, and whose output says how that ended: `done`, or `limited UNTIL`."""

    name = "speaking"
    summary = "says how it ended"
    exit_meanings: ClassVar[dict[int, Ending]] = {}

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        return ""

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        return Invocation((JobStep(JobStepKind.AGENT, "speaking", phase.command),))

    def reader(self, earlier: AgentReport | None = None) -> Speaking:
        fresh = Speaking()
        fresh.told = AgentReport()
        return fresh

    told = AgentReport()

    def feed(self, line: bytes) -> None:
        word, _, until = line.decode().partition(" ")
        if word in ("done", "limited"):
            self.told = AgentReport(Ending(word), word, resets_at=float(until) if until else None)

    def report(self) -> AgentReport:
        return self.told


def test_who_is_held_by_an_account_gives_up_the_place_in_the_queue_for_a_lock(tmp_path: Path) -> None:
    """`waits` stands in the queue for x when `finds` finds the account used up: a third may have x meanwhile."""
    until = "$(($(date +%s) + 3))"
    finds = f"[ -e again ] && echo done || {{ touch again; sleep 0.5; echo limited {until}; }}"
    bench = Bench(
        tmp_path,
        phase("waits", sh="echo done", locks=("x",), agent="speaking"),
        phase("finds", sh=finds, agent="speaking"),
    )
    rules = {"agents": {"waits": ("speaking",), "finds": ("speaking",)}}

    async def story() -> ExecutionState:
        lock = FileLock("x", workspace=tmp_path, owner="a script").acquire()
        engine = bench.engine(agents={"speaking": Speaking()}, policy=rules)
        task = asyncio.create_task(engine.run())
        await soon(lambda: bench.of(ev.LockAwaited) and bench.of(ev.AccountClosed))
        lock.release()
        with FileLock("x", 1.0, workspace=tmp_path, owner="a third"):  # nobody stands before it
            assert not bench.of(ev.AttemptStarted, "waits")
        return await asyncio.wait_for(task, PATIENCE)

    state = asyncio.run(story())

    assert state.succeeded
    (shut,) = bench.of(ev.AccountClosed)
    (begun,) = bench.of(ev.AttemptStarted, "waits")
    assert begun.at >= shut.until > shut.at
    assert [one.outcome for one in bench.of(ev.AttemptEnded, "finds")] == [Outcome.STOPPED, Outcome.SUCCEEDED]
    assert state.phase_states["finds"].failures == 0


# -- budgets --------------------------------------------------------------------------------------------------------

SPENT = ev.AgentReported(at=2.0, phase="a", attempt=1, input_tokens=900, output_tokens=50, cost_usd=0.9)


def test_a_spent_budget_holds_everything_back_until_nothing_is_at_work() -> None:
    spent = ev.BudgetReached(at=3.0, budget="1usd", cost_usd=1.0, tokens=9)
    state = at_work(spent)
    assert decide(state, policy(), 100.0) == decide(state, policy(), 999.0)
    assert (decide(state, policy(), 100.0).start, decide(state, policy(), 100.0).spent) == ((), False)
    idle = replay([OPENING, spent])
    assert (decide(idle, policy(), 100.0).start, decide(idle, policy(), 100.0).spent) == ((), True)
    done = replay([OPENING, *(ev.PhaseKept(at=1.0, phase=name, from_run="q") for name in "abc"), spent])
    assert decide(done, policy(), 100.0).finished  # all is done: there is nothing left to hold back


@pytest.mark.parametrize("hard", [False, True])
def test_a_budget_counts_what_is_told_while_agents_are_at_work(hard: bool) -> None:
    rules = OversightRules(budget=Budget.parse("1ktok"), hard=hard)
    assert overseen(rules, _Watch(live=Spent(49)), SPENT) == ([], [])
    told, done = overseen(rules, _Watch(live=Spent(50, 0.25)), SPENT)
    assert told == [ev.BudgetReached(at=100.0, budget="1ktok", cost_usd=1.15, tokens=1000)]
    assert done == (["all"] if hard else [])


# -- words ----------------------------------------------------------------------------------------------------------


def test_what_is_unknown_is_never_zero() -> None:
    assert spent_words(Spent(1500, 1.2, 4, 0, 3)) == "cost 1.20 usd + unknown of 3 attempts, tokens 1.5ktok"
    assert cost_words(Spent(attempts=2, unknown_cost=2)) == "unknown"
    assert token_words(Spent(7, attempts=2, unknown_tokens=1)) == "7tok + unknown of 1 attempt"
    assert cost_words(Spent()) == "unknown"
    assert spent_data(Spent(attempts=1, unknown_tokens=1, unknown_cost=1)) == {
        "attempts": 1, "tokens": None, "cost_usd": None, "unknown_tokens": 1, "unknown_cost": 1}  # fmt: skip
    assert spent_data(Spent(5, 0.5, 2, 1, 0))["tokens"] == 5


def test_amounts_are_written_as_budgets_are() -> None:
    assert [tokens(amount) for amount in (0, 950, 1000, 12_345, 2_000_000, 3 * 10**9)] == [
        "0tok", "950tok", "1ktok", "12.3ktok", "2Mtok", "3Gtok"]  # fmt: skip
    assert [money(amount) for amount in (0.0, 0.0012, 0.01, 12.345)] == ["0.00", "0.0012", "0.01", "12.35"]


def test_a_spent_budget_says_that_agents_at_work_may_use_more() -> None:
    assert budget_words("1usd", Spent(9, 1.1, 2, 0, 1)) == (
        "the budget of 1usd is spent (1.10 usd + unknown of 1 attempt): nothing new starts; agents at work may still "
        "use more"
    )
    assert "(9tok)" in budget_words("5tok", Spent(9, 1.1, 2))


def test_held_phases_are_told_with_reason_and_time() -> None:
    now = 1_700_000_000.0  # 22:13:20 UTC
    told = held_words("claude", Closure(now + 1000, "claude is used up: try later"), now)
    assert told == "held: claude is used up until 22:30Z (in 16m40s)"
    told = held_words("claude", Closure(now + 60, "claude cannot reach its model: 500"), now)
    assert told == "held: claude cannot reach its model and is tried again at 22:14Z (in 1m00s)"
    assert held_words("x", Closure(now + 60), now).startswith("held: x is used up until ")
    assert time_of_day(now + 86_400, now) == "2023-11-15 22:13Z"
    assert time_of_day(1e20, now) == "unknown"


def test_silence_is_told_with_the_last_words() -> None:
    assert silent_words(0.0, "", 75.0) == "silent for 1m15s; it has said nothing"
    assert silent_words(0.0, "Go on? [y/n]", 75.0) == "silent for 1m15s; it seems to ask: Go on? [y/n]"
    assert silent_words(0.0, "reading", 5.0) == "silent for 5.0s; its last words: reading"
