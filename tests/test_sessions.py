"""Going on in a session: when, with which files, and how what it used is counted once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core_builders import Bench, phase
from wavecrew.core import restore
from wavecrew.core.attempts import Job, Result, attempt_folder, write_job
from wavecrew.core.care import Care
from wavecrew.core.jobs import Desk, Prepared
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.verdicts import Judge, RetryRules
from wavecrew.core.watch import Watch
from wavecrew.models import events as ev
from wavecrew.models.agent_programs import Capabilities
from wavecrew.models.agent_report import AgentReport, Ending, Judgement, Known, Usage
from wavecrew.models.events import Cause, Outcome
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.inputs import ATTEMPT
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_state import PhaseState
from wavecrew.models.resources import Claim, parse_resource
from wavecrew.models.sessions import session_to_go_on

OPENING = ev.RunStarted(
    at=0.0, run="r", plan_name="", plan_path="", plan_digest="", phases=(PhaseInfo("a", "A", outputs=("f",)),)
)


def started(attempt: int = 1, session: str = "", base: str = "") -> ev.AttemptStarted:
    return ev.AttemptStarted(at=1.0, phase="a", attempt=attempt, agent="codex", session=session, base=base)


def reported(attempt: int = 1, session: str = "s", **used: Any) -> ev.AgentReported:
    return ev.AgentReported(at=2.0, phase="a", attempt=attempt, session=session, **used)


def held(attempt: int = 1) -> ev.AttemptEnded:
    return ev.AttemptEnded(at=3.0, phase="a", attempt=attempt, outcome=Outcome.STOPPED, cause=Cause.QUOTA, retry_at=4.0)


# -- when -----------------------------------------------------------------------------------------------------------

GOES_ON = {Cause.QUOTA, Cause.STOPPED}
ONLY_WITH_ITS_FILES = {Cause.CHECK, Cause.OUTPUTS, Cause.AUDIT}


@pytest.mark.parametrize("cause", list(Cause))
def test_a_session_goes_on_where_the_conversation_is_not_what_went_wrong(cause: Cause) -> None:
    found = PhaseState(session="s", agent="codex", cause=cause)
    assert session_to_go_on(found, "codex", {}, puts_back=True) == ("s" if cause in GOES_ON else "")
    free = GOES_ON | ONLY_WITH_ITS_FILES
    assert session_to_go_on(found, "codex", {}, puts_back=False) == ("s" if cause in free else "")


def test_another_agent_and_other_inputs_begin_anew() -> None:
    found = PhaseState(session="s", agent="codex", cause=Cause.QUOTA, inputs={"document": "1", ATTEMPT: "x"})
    assert session_to_go_on(found, "codex", {"document": "1", ATTEMPT: "y"}, puts_back=True) == "s"
    assert session_to_go_on(found, "claude", {"document": "1"}, puts_back=True) == ""
    assert session_to_go_on(found, "codex", {"document": "2"}, puts_back=True) == ""
    assert session_to_go_on(found, "codex", {"document": "1", "setting:model": "m"}, puts_back=True) == ""


# -- what it has used -------------------------------------------------------------------------------------------


def test_a_new_session_begins_with_nothing_used_and_one_that_goes_on_where_it_was() -> None:
    counts: dict[str, Any] = {"session_input_tokens": 100, "session_output_tokens": 10, "session_cached_tokens": 5}
    first = replay([OPENING, started(), reported(input_tokens=100, output_tokens=10, **counts), held()])
    assert first.phase_states["a"].session_usage == Usage(100, 10, 5)
    on = replay([OPENING, started(), reported(**counts), held(), started(2, "s")]).phase_states["a"]
    assert (on.session, on.resumed, on.session_usage) == ("s", "s", Usage(100, 10, 5))
    anew = replay([OPENING, started(), reported(**counts), held(), started(2)]).phase_states["a"]
    assert (anew.session, anew.resumed, anew.session_usage) == ("", "", Usage(0, 0, 0))


def test_what_was_not_told_is_left_to_the_next_attempt_in_the_session() -> None:
    history: list[ev.Event] = [OPENING, started(), reported(), held(), started(2, "s")]
    assert replay(history).phase_states["a"].session_usage == Usage(0, 0, 0)


def test_a_program_or_history_that_tells_no_whole_is_summed_up() -> None:
    one: list[ev.Event] = [OPENING, started(), reported(input_tokens=7, output_tokens=2), held(), started(2, "s")]
    assert replay(one).phase_states["a"].session_usage == Usage(7, 2, 0)
    two: list[ev.Event] = [*one, reported(2, input_tokens=5, cached_tokens=1)]
    assert replay(two).phase_states["a"].session_usage == Usage(12, 2, 1)


def test_another_session_than_the_one_that_should_go_on_counts_for_itself() -> None:
    history: list[ev.Event] = [
        OPENING,
        started(),
        reported(input_tokens=7),
        held(),
        started(2, "s"),
        reported(2, "t", input_tokens=1),
    ]
    found = replay(history).phase_states["a"]
    assert (found.session, found.session_usage) == ("t", Usage(1, 0, 0))


def test_a_session_that_is_not_known_whole_is_not_known_in_a_sum() -> None:
    assert Usage(None, None, None).plus(Usage(1, None, None)) == Usage(1, None, None)


# -- a session that is gone ---------------------------------------------------------------------------------------


class Teller:
    exit_meanings: ClassVar[Mapping[int, Ending]] = {}

    def __init__(self, *sessions: str) -> None:
        self.sessions = sessions
        self.earlier: AgentReport | None = None

    def reader(self, earlier: AgentReport | None = None) -> Teller:
        self.earlier = earlier
        return self

    def feed(self, line: bytes) -> None:
        """Nothing is to be told."""

    def report(self) -> AgentReport:
        return AgentReport(session=self.sessions[0] if self.sessions else "")


@pytest.mark.parametrize(
    ("sessions", "earlier", "ending"),
    [
        ((), "s", Ending.NO_SESSION),
        (("t",), "s", Ending.NO_SESSION),
        (("s",), "s", Ending.FAILED),
        ((), "", Ending.FAILED),
    ],
)
def test_who_fails_before_it_has_taken_its_session_up_does_not_know_it(
    tmp_path: Path, sessions: tuple[str, ...], earlier: str, ending: Ending
) -> None:
    folder, agent, watch = tmp_path / "a", Teller(*sessions), Watch()
    write_job(folder, Job(str(folder), (JobStep(JobStepKind.AGENT, "x", ("true",)),), {}, None, 1.0))
    before = AgentReport(session=earlier, session_usage=Usage(1, 2, 3)) if earlier else None
    watch.open(folder, "a", agent, 0.0, before)
    told = watch.told(folder, Result(1, "exit", "x", "", 0, 1, 1))
    assert agent.earlier == before
    assert told is not None
    assert told.judgement is not None
    assert told.judgement.ending is ending


def test_a_lost_session_costs_no_retry_and_does_not_come_again() -> None:
    state = replay([OPENING, started(), reported(), held(), started(2, "s")])
    judge = Judge(Path("/nowhere"), RetryRules())
    told = Judgement(False, Cause.EXIT, "No conversation found", Ending.NO_SESSION)
    ended = judge.result(state, "a", Result(1, "exit", "x", "", 0, 1, 1), 9.0, told=told)
    assert (ended.outcome, ended.cause, ended.retry_at) == (Outcome.STOPPED, Cause.SESSION, None)
    assert ended.detail == "codex could not go on in its session: No conversation found"
    after = replay([OPENING, started(), reported(), held(), started(2, "s"), ended])
    assert after.phase_states["a"].failures == 0
    assert session_to_go_on(after.phase_states["a"], "codex", {}, puts_back=False) == ""


# -- the files ------------------------------------------------------------------------------------------------------


class Place:
    """A shared workspace, and the attempts of phase `a` in it, which claims `src/`."""

    claims = (Claim(parse_resource("src/")),)

    def __init__(self, folder: Path, *, put_back: bool = True) -> None:
        self.workspace, self.state_folder = folder / "ws", folder / "state"
        (self.workspace / "src").mkdir(parents=True)
        self.file = self.workspace / "src" / "f"
        self.file.write_text("begin")
        self.care = Care(ResourceKeys(self.workspace), {"a": self.claims}, put_back=put_back)

    def folder(self, number: int) -> Path:
        return attempt_folder(self.state_folder, "r", "a", number)

    def start(self, number: int, session: str = "") -> None:
        folder = self.folder(number)
        folder.mkdir(parents=True)
        job: Any = None
        one = Prepared(
            PhaseInfo("a", "A"), number, "codex", folder, job, self.claims, Desk(self.workspace), session=session
        )
        self.care.before_start(self.state_folder, "r", one)

    def hold(self, number: int) -> None:
        self.care.after_end(self.folder(number), held(number), may_go_on=True)

    def session(self, **state: Any) -> str:
        found = replay([OPENING, started(**state), reported(), held()])
        return self.care.session_for(found, self.state_folder, "a", "codex", {})


def test_between_the_attempts_the_files_are_as_before_and_then_as_they_were_left(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.start(1)
    place.file.write_text("half")
    place.hold(1)
    assert place.file.read_text() == "begin"
    assert place.session() == "s"
    assert place.session(base="c0ffee") == ""  # in a worktree the next one works elsewhere

    place.start(2, "s")

    assert place.file.read_text() == "half"
    assert not restore.has(place.folder(1), restore.ASIDE)
    place.file.write_text("more")
    place.hold(2)
    assert place.file.read_text() == "begin"
    place.start(3)
    assert place.file.read_text() == "begin"  # a new session begins where the first one did
    assert not restore.has(place.folder(2), restore.ASIDE)


def test_who_is_killed_while_putting_back_has_lost_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.start(1)
    place.file.write_text("half")
    restore.keep(place.workspace, place.folder(1), place.claims, restore.ASIDE)
    restore.put_back(place.workspace, place.folder(1), place.claims)
    place.hold(1)  # by the next coordinator
    place.start(2, "s")
    assert place.file.read_text() == "half"


def test_a_session_does_not_go_on_over_the_work_of_others(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.start(1)
    place.file.write_text("half")
    place.hold(1)
    place.file.write_text("mine")
    assert place.session() == ""
    place.start(2)
    assert place.file.read_text() == "mine"


def test_without_copies_a_session_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    place.start(1)
    monkeypatch.setattr(restore, "LIMIT_BYTES", 3)
    place.file.write_text("half")
    place.hold(1)
    assert place.session() == ""
    assert place.file.read_text() == "begin"


def test_a_disk_that_refuses_copies_keeps_nothing_from_being_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.start(1)
    place.file.write_text("half")

    def full(*given: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restore, "keep", full)
    place.hold(1)
    assert place.file.read_text() == "begin"
    assert place.session() == ""


def test_where_nothing_is_put_back_the_files_are_simply_there(tmp_path: Path) -> None:
    place = Place(tmp_path, put_back=False)
    place.start(1)
    place.file.write_text("half")
    place.hold(1)
    assert (place.file.read_text(), place.session()) == ("half", "s")


# -- an engine ------------------------------------------------------------------------------------------------------


class Counting:
    """An agent whose output is `SESSION ENDING TOTAL`, with a total over its whole session, as some programs count."""

    name = "counting"
    summary = "counts over its session"
    exit_meanings: ClassVar[Mapping[int, Ending]] = {}

    def __init__(self, resume: Known = Known.YES) -> None:
        self.capabilities = Capabilities(resume=resume)

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        return ""

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        argv = ("/bin/sh", "-c", phase.command[-1], "sh", context.session)
        return Invocation((JobStep(JobStepKind.AGENT, "counting", argv),))

    def reader(self, earlier: AgentReport | None = None) -> CountReader:
        return CountReader(earlier)


class CountReader:
    def __init__(self, earlier: AgentReport | None) -> None:
        self.earlier, self.told = earlier, AgentReport()

    def feed(self, line: bytes) -> None:
        session, ending, total = line.decode().split()
        whole = Usage(int(total), int(total), 0)
        own = whole.since(self.earlier.session_usage) if self.earlier is not None else whole
        self.told = AgentReport(Ending(ending), session=session, usage=own, session_usage=whole, resets_at=1.0)

    def report(self) -> AgentReport:
        return self.told


SCRIPT = 'if [ -n "$1" ]; then echo "$1 done 30"; else echo "s limited 10"; fi'


def test_what_a_session_has_used_in_all_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavecrew.core.verdicts.FIRST_PAUSE", 0.01)
    bench = Bench(tmp_path, phase("a", sh=SCRIPT, agent="counting"))
    state: ExecutionState = bench.run(agents={"counting": Counting()}, policy={"agents": {"a": ("counting",)}})
    assert state.succeeded
    assert [one.session for one in bench.of(ev.AttemptStarted)] == ["", "s"]
    assert [one.input_tokens for one in bench.of(ev.AgentReported)] == [10, 20]
    assert state.spent.tokens == 60


def test_an_agent_that_is_not_known_to_go_on_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavecrew.core.verdicts.FIRST_PAUSE", 0.01)
    script = "if [ -e again ]; then echo 't done 5'; else touch again; echo 's limited 10'; fi"
    bench = Bench(tmp_path, phase("a", sh=script, agent="counting"))
    agent = Counting(Known.UNKNOWN)
    state = bench.run(agents={"counting": agent}, policy={"agents": {"a": ("counting",)}})
    assert state.succeeded
    assert [one.session for one in bench.of(ev.AttemptStarted)] == ["", ""]
    assert state.spent.tokens == 30
