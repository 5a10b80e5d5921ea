"""Listening to agents: their logs as they grow, are cut, or fall silent, and what is made of their ends."""

from __future__ import annotations

import asyncio
import json
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.agents.claude import ClaudeAgent
from wavecrew.agents.command import CommandAgent
from wavecrew.core import watch as module
from wavecrew.core.attempts import Job, Result, write_job
from wavecrew.core.log_lines import CUT, AgentLines, steps_of
from wavecrew.core.watch import Silence, TellingAgent, Watch, read_activity
from wavecrew.models.agent_report import AgentReport, Ending
from wavecrew.models.invocation import JobStep, JobStepKind
from wavecrew.models.usage import Spent

T0 = 1_000_000_000.0
"""Long before any file of a test was written, so that a log counts as heard of now."""


class Words:
    """A reader that keeps what it is fed."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def feed(self, line: bytes) -> None:
        self.lines.append(line)

    def report(self) -> AgentReport:
        return AgentReport(last_activity=self.lines[-1].decode() if self.lines else "")


class Teller:
    """An agent whose readers can be looked into."""

    def __init__(self) -> None:
        self.exit_meanings: dict[int, Ending] = {}
        self.words = Words()

    def reader(self, earlier: AgentReport | None = None) -> Words:
        return self.words


def attempt(folder: Path, *kinds: str) -> Path:
    """The folder of an attempt whose steps are of some kinds."""
    steps = tuple(JobStep(JobStepKind(kind), f"{kind} it", ("true",)) for kind in kinds or ("agent",))
    write_job(folder, Job(str(folder), steps, {}, None, 1.0))
    return folder


def at_step(folder: Path, step: int, of: int = 1) -> None:
    (folder / "progress").write_text(json.dumps({"step": step, "of": of, "title": "t"}))


def say(folder: Path, text: str | bytes, at: float | None = None) -> None:
    with (folder / "log").open("ab") as log:
        log.write(text if isinstance(text, bytes) else text.encode())
    if at is not None:
        os.utime(folder / "log", (at, at))


def ended(code: int = 0, cause: str = "", step: int = 1, of: int = 1) -> Result:
    return Result(code, cause, "t", "", 0, step, of)


def read_all(watch: Watch, folder: Path) -> None:
    for _ in watch.rest(folder):
        pass


# -- which lines an agent has printed -------------------------------------------------------------------------------


def _lines(steps: list[tuple[str, str]], *pieces: bytes) -> list[bytes]:
    found: list[bytes] = []
    lines = AgentLines(steps, found.append)
    for piece in pieces:
        lines.feed(piece)
    lines.end()
    return found


THREE = [("setup", "setup npm ci"), ("agent", "claude"), ("check", "check pytest -q")]
LOG = b"-- 1/3 setup npm ci\nadded 3\n-- 2/3 claude\none\ntwo\n-- 3/3 check pytest -q\n{}\n"


def test_only_what_the_agent_printed_is_handed_on() -> None:
    assert _lines(THREE, LOG) == [b"one", b"two"]
    assert _lines([("agent", "claude")], b"-- 1/1 claude\nx\n") == [b"-- 1/1 claude", b"x"]
    assert _lines([], b"a\n\nb") == [b"a", b"b"]


def test_a_heading_after_a_line_without_an_end_is_a_heading() -> None:
    assert _lines(THREE, b"-- 2/3 claude\none\ntwo-- 3/3 check pytest -q\nno\n") == [b"one", b"two"]


def test_headings_only_lead_on() -> None:
    assert _lines(THREE, b"-- 2/3 claude\n-- 1/3 setup npm ci\nx\n-- 2/3 claude\ny\n") == [
        b"-- 1/3 setup npm ci", b"x", b"-- 2/3 claude", b"y"]  # fmt: skip


@given(st.lists(st.integers(0, len(LOG)), max_size=6))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(LOG)]
    pieces = [LOG[a:b] for a, b in pairwise(places)]
    assert _lines(THREE, *pieces) == [b"one", b"two"]


def test_of_a_line_without_end_only_so_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavecrew.core.log_lines.MAX_LINE", 10)
    assert _lines([], b"1234567", b"89012", b"345", b"6\nnext\n") == [b"123456789012", b"next"]


def test_after_a_loss_the_reader_is_told_and_the_agent_is_listened_to() -> None:
    found: list[bytes] = []
    lines = AgentLines(THREE, found.append)
    lines.feed(b"-- 1/3 setup npm ci\nhalf a li")
    lines.lost()
    lines.feed(b"ne\nword\n-- 3/3 check pytest -q\nno\n")
    assert found == [CUT, b"ne", b"word"]
    assert lines.last_agent_step == 2
    assert [lines.is_agent(step) for step in range(5)] == [False, False, True, False, False]


def test_nobody_listens_to_an_agent_without_a_reader() -> None:
    lines = AgentLines([("agent", "x")], None)
    lines.feed(b"a\nb")
    lines.lost()
    lines.end()
    assert AgentLines([("run", "x")], None).last_agent_step == 0


def test_steps_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    assert steps_of(tmp_path) == ()
    (tmp_path / "job.json").write_text('{"steps": [{"kind": "agent"}]}')
    assert steps_of(tmp_path) == ()


# -- reading a log as it grows --------------------------------------------------------------------------------------


def watched(folder: Path, silent_after: float | None = None, agent: object = None) -> tuple[Watch, Words]:
    teller = Teller()
    watch = Watch(silent_after)
    watch.open(folder, "p", teller if agent is None else agent, T0)
    return watch, teller.words


def test_a_log_is_read_as_it_grows_and_to_its_end(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    watch, words = watched(folder)
    assert watch.look(T0) == []  # there is no log yet
    say(folder, "one\ntw")
    assert watch.look(T0 + 0.5) == []
    assert words.lines == []  # looks that come too fast are none
    watch.look(T0 + 1)
    assert words.lines == [b"one"]
    say(folder, "o\nthree")
    watch.look(T0 + 2)
    assert words.lines == [b"one", b"two"]
    read_all(watch, folder)
    assert words.lines == [b"one", b"two", b"three"]


def test_a_huge_log_is_read_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_BYTES", 100)
    folder = attempt(tmp_path / "a")
    watch, words = watched(folder)
    lines = [f"line {number}".encode() for number in range(200)]
    say(folder, b"\n".join(lines) + b"\n")
    watch.look(T0 + 1)
    first = len(words.lines)
    assert 0 < first < 20
    watch.look(T0 + 2)  # it has not grown, but is not read yet either
    assert first < len(words.lines) < 40
    steps = sum(1 for _ in watch.rest(folder))
    assert steps > 10
    assert words.lines == lines


def test_a_new_coordinator_reads_a_log_from_its_beginning(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    say(folder, "one\ntwo\n")
    for _ in range(2):
        watch, words = watched(folder)
        watch.look(T0 + 1)
        assert words.lines == [b"one", b"two"]


def test_a_log_that_cannot_be_read_breaks_nothing(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    watch, words = watched(folder)
    say(folder, "one\n")
    watch.look(T0 + 1)
    (folder / "log").unlink()
    watch.look(T0 + 2)
    (folder / "log").symlink_to("/dev/zero")
    watch.look(T0 + 3)
    read_all(watch, folder)
    assert words.lines == [b"one"]
    watch.drop(folder)
    watch.drop(folder)
    read_all(watch, folder)
    assert watch.told(folder, None) is None


# -- a log whose middle is cut out ----------------------------------------------------------------------------------


def cut_out(folder: Path, head: int, tail: int, count: int = 7) -> None:
    """What a shim does with a log that has grown too large."""
    old = (folder / "log").read_bytes()
    mark = f"\n[wavecrew: about {count} bytes were cut out here]\n".encode()
    (folder / "log").write_bytes(old[:head] + mark + old[len(old) - tail :])


def test_after_a_cut_reading_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    watch, words = watched(folder)
    lines = [f"line {number:04}".encode() for number in range(400)]
    say(folder, b"\n".join(lines[:300]) + b"\n")
    watch.look(T0 + 1)
    say(folder, b"\n".join(lines[300:350]) + b"\n")
    cut_out(folder, 500, 1500)
    watch.look(T0 + 2)
    say(folder, b"\n".join(lines[350:]) + b"\n")
    watch.look(T0 + 3)
    read_all(watch, folder)
    assert words.lines == lines  # nothing lost, nothing twice


def test_what_was_cut_out_before_it_was_read_is_told(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    watch, words = watched(folder)
    lines = [f"line {number:04}".encode() for number in range(400)]
    say(folder, b"\n".join(lines[:200]) + b"\n")
    watch.look(T0 + 1)
    say(folder, b"\n".join(lines[200:]) + b"\n")
    cut_out(folder, 500, 300)
    watch.look(T0 + 2)
    read_all(watch, folder)
    assert words.lines[:200] == lines[:200]
    assert CUT in words.lines[200:202]
    assert words.lines[-29:] == lines[-29:]
    assert not set(lines[200:360]) & set(words.lines)


def test_a_log_that_was_cut_before_anybody_looked_is_read_with_its_mark(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    say(folder, b"\n".join(b"line %04d" % number for number in range(100)) + b"\n")
    cut_out(folder, 200, 200)
    watch, words = watched(folder)
    watch.look(T0 + 1)
    assert sum(line.startswith(b"[wavecrew: about ") for line in words.lines) == 1
    assert words.lines[-1] == b"line 0099"


def test_a_log_that_somebody_began_anew_is_read_anew(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    watch, words = watched(folder)
    say(folder, "a long first line\n")
    watch.look(T0 + 1)
    (folder / "log").write_bytes(b"other\n")
    watch.look(T0 + 2)
    read_all(watch, folder)
    assert words.lines == [b"a long first line", CUT, b"other"]


# -- silence --------------------------------------------------------------------------------------------------------


def test_an_agent_that_says_nothing_is_named_once_and_heard_again(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    at_step(folder, 1)
    watch, _ = watched(folder, 60.0, CommandAgent())
    say(folder, "Working…\n\x1b[33mContinue? [y/n]\x1b[0m ", at=T0 + 10)
    assert watch.look(T0 + 69) == []
    assert watch.look(T0 + 70) == [Silence("p", T0 + 10, "Continue? [y/n]")]
    assert watch.look(T0 + 200) == []
    say(folder, "y\n", at=T0 + 205)
    assert watch.look(T0 + 206) == [Silence("p", None)]
    assert watch.look(T0 + 265) == [Silence("p", T0 + 205, "Continue? [y/n] y")]


def test_an_agent_that_never_said_anything_is_silent_since_its_start(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    at_step(folder, 1)
    watch, _ = watched(folder, 5.0, CommandAgent())
    assert watch.look(T0 + 4.9) == []
    assert watch.look(T0 + 6) == [Silence("p", T0, "")]


def test_the_last_words_of_an_agent_with_a_stream_are_its_activity(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    at_step(folder, 1)
    watch, _ = watched(folder, 5.0)
    say(folder, "May I?\n", at=T0)
    assert watch.look(T0 + 6) == [Silence("p", T0, "May I?")]


def test_a_check_may_be_quiet(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a", "agent", "check")
    at_step(folder, 2, 2)
    watch, _ = watched(folder, 5.0)
    assert watch.look(T0 + 6) == []
    at_step(folder, 1, 2)
    assert watch.look(T0 + 10) == []  # counted from when it was seen to be none of an agent
    assert watch.look(T0 + 12) == [Silence("p", T0 + 6, "")]


def test_who_waits_for_us_is_excused(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    at_step(folder, 1)
    watch, _ = watched(folder, 5.0)
    assert watch.look(T0 + 6, {"p"}) == []
    assert watch.look(T0 + 12, {"q"}) == [Silence("p", T0 + 6, "")]
    assert watch.look(T0 + 14, {"p"}) == [Silence("p", None)]


def test_nobody_looks_for_silence_without_a_limit(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    at_step(folder, 1)
    watch, _ = watched(folder, None)
    assert watch.look(T0 + 1e6) == []


def test_a_step_that_is_not_known_is_no_silent_agent(tmp_path: Path) -> None:
    watch, _ = watched(attempt(tmp_path / "a"), 5.0)
    assert watch.look(T0 + 10) == []


# -- ends -----------------------------------------------------------------------------------------------------------


def claude(*events: dict[str, Any]) -> str:
    return "".join(json.dumps({"session_id": "s", **event}) + "\n" for event in events)


GOOD = {"type": "result", "subtype": "success", "is_error": False, "result": "done"}
COSTS = {"m": {"inputTokens": 90, "outputTokens": 10, "cacheReadInputTokens": 0, "cacheCreationInputTokens": 0,
               "costUSD": 0.5}}  # fmt: skip


def end_of(folder: Path, log: str, result: Result | None, *kinds: str) -> Any:
    attempt(folder, *kinds)
    say(folder, log)
    watch, _ = watched(folder, None, ClaudeAgent())
    read_all(watch, folder)
    return watch.told(folder, result)


def test_final_event_and_exit_code_together_are_the_end(tmp_path: Path) -> None:
    good = claude(GOOD | {"model_usage_since_last_result": COSTS})
    told = end_of(tmp_path / "1", good, ended())
    assert told.judgement.ok
    assert (told.report.usage.input, told.report.usage.output, told.report.cost_usd) == (90, 10, 0.5)
    assert not end_of(tmp_path / "2", good, ended(1)).judgement.ok
    assert not end_of(tmp_path / "3", "it is all well\n", ended()).judgement.ok  # no event is no success
    assert not end_of(tmp_path / "4", claude(GOOD | {"is_error": True}), ended()).judgement.ok


def test_a_check_after_the_agent_says_nothing_for_it(tmp_path: Path) -> None:
    head, tail = "-- 1/2 agent it\n", "-- 2/2 check it\n"
    two = ("agent", "check")
    told = end_of(tmp_path / "1", head + claude(GOOD) + tail, ended(1, "check", 2, 2), *two)
    assert told.judgement.ok  # the check failed, and not the agent
    told = end_of(tmp_path / "2", head + tail + claude(GOOD), ended(0, "", 2, 2), *two)
    assert not told.judgement.ok


def test_an_agent_that_was_never_started_is_not_judged(tmp_path: Path) -> None:
    setup = ("setup", "agent")
    assert end_of(tmp_path / "1", "-- 1/2 setup it\n", ended(1, "exit", 1, 2), *setup).judgement is None
    assert end_of(tmp_path / "2", "", ended(127, "start")).judgement is None
    assert end_of(tmp_path / "3", "", None).judgement is None


def test_agents_that_tell_nothing_are_not_judged_by_it(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a")
    watch, _ = watched(folder, None, CommandAgent())
    assert watch.told(folder, ended()) is None
    assert watch.live == Spent()
    assert not isinstance(CommandAgent(), TellingAgent)
    assert isinstance(ClaudeAgent(), TellingAgent)


# -- what views are told --------------------------------------------------------------------------------------------


def test_what_an_agent_does_lies_in_its_folder_and_counts_at_once(tmp_path: Path) -> None:
    folder = attempt(tmp_path / "a", "agent", "check")
    watch, _ = watched(folder, None, ClaudeAgent())
    assert read_activity(folder) is None
    tool = {"type": "tool_use", "id": "1", "name": "Write", "input": {"file_path": "a.txt"}}
    say(folder, "-- 1/2 agent it\n" + claude({"type": "assistant", "message": {"content": [tool]}}))
    watch.look(T0 + 1)
    found = read_activity(folder)
    assert found is not None
    assert (found.words, found.step, found.tokens, found.cost_usd) == ("Write a.txt", 1, None, None)
    assert watch.live == Spent(attempts=1, unknown_tokens=1, unknown_cost=1)
    say(folder, claude(GOOD | {"model_usage_since_last_result": COSTS}))
    watch.look(T0 + 2)
    assert read_activity(folder) == found  # not written again so soon
    watch.look(T0 + 3.5)
    assert (now := read_activity(folder)) is not None
    assert (now.tokens, now.cost_usd) == (100, 0.5)
    assert watch.live == Spent(tokens=100, cost_usd=0.5, attempts=1)
    (folder / "activity.tmp").touch()  # half written by a coordinator that was killed
    watch.drop(folder)
    assert watch.live == Spent()
    assert not list(folder.glob("activity*"))


def test_what_is_no_activity_of_ours_is_none(tmp_path: Path) -> None:
    for text in ("", "[]", "{", '{"activity": "x"}', '{"activity":"x","step":"y","input_tokens":1,"output_tokens":1}'):
        (tmp_path / "activity").write_text(text)
        assert read_activity(tmp_path) is None


def test_fifty_agents_cost_next_to_nothing(tmp_path: Path) -> None:
    """Each says something every second. A look at all of them takes far less than the second between two."""
    watch = Watch(60.0)
    folders = [attempt(tmp_path / str(number)) for number in range(50)]
    for folder in folders:
        watch.open(folder, folder.name, ClaudeAgent(), T0)
    text = {"type": "assistant", "message": {"content": [{"type": "text", "text": "words " * 50}]}}
    spent = 0.0
    for second in range(10):
        for folder in folders:
            say(folder, claude(text))
        began = time.process_time()
        watch.look(T0 + second * 2)
        spent += time.process_time() - began
    assert spent < 20 * 0.02 * 5, "five times what it may cost on a machine that does nothing else"


def test_reading_a_log_to_its_end_lets_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_BYTES", 1000)
    folder = attempt(tmp_path / "a")
    say(folder, b"x" * 99 + b"\n" + b"y" * 50_000)
    watch, words = watched(folder)
    turns = 0

    async def read() -> None:
        nonlocal turns
        for _ in watch.rest(folder):
            turns += 1
            await asyncio.sleep(0)

    asyncio.run(read())
    assert turns >= 50
    assert len(words.lines) == 2
