"""What phases rest on: which digests there are, what changes them, and what follows for work that was done."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from run_stories import end, fail, opening, phase, reset, skip, start
from wavecrew.core.inputs import NO_FILE, UNREADABLE, FolderEvidence, InputReader
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.inputs import AFTER, ATTEMPT, changes, document_digest, own_inputs, told, work_digest
from wavecrew.models.keeping import Verdict, standing, worth_keeping
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo, Source
from wavecrew.models.resources import Resource, parse_resource

CHAIN = (phase("1 one", "", None, "one"), phase("2 two", "1", None, "two"), phase("3 three", "2", None, "three"))


class Seen:
    """A look at a world that is told: contents of files by path, outputs that are gone, one agent."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.gone: set[str] = set()
        self.agent = "runbook"
        self.settings: dict[str, object] = {}

    def own(self, graph: DependencyGraph, phase: PhaseInfo) -> Mapping[str, str]:
        files = {text: {text: self.files[text]} for text in phase.reads}
        return own_inputs(phase, self.agent, self.settings, files)

    def missing(self, outputs: Iterable[str]) -> tuple[str, ...]:
        return tuple(output for output in outputs if output in self.gone)

    def inputs(self, state: ExecutionState, name: str) -> Mapping[str, str]:
        """As the engine records them."""
        after = {AFTER + other: work_digest(state, other) for other in state.graph.dependencies(name)}
        number = state.phase_states[name].attempts + 1
        return {**self.own(state.graph, state.graph.nodes[name]), **after, ATTEMPT: f"{state.run} {name} {number}"}


def begun(events: list[Event], look: Seen, name: str, attempt: int = 1) -> list[Event]:
    """The history, with an attempt that wrote down what it was made from."""
    started = start(attempt, name, attempt)
    assert isinstance(started, ev.AttemptStarted)
    return [*events, replace(started, inputs=look.inputs(replay(events), name))]


def done(events: list[Event], look: Seen, *names: str, attempt: int = 1) -> list[Event]:
    for name in names:
        events = [*begun(events, look, name, attempt), end(attempt, name, attempt)]
    return events


def edited(phases: Iterable[PhaseInfo], name: str, **changed: Any) -> DependencyGraph:
    return DependencyGraph.of([replace(one, **changed) if one.id == name else one for one in phases])


def reasons(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    return {name: verdict.reason for name, verdict in verdicts.items() if verdict.reason}


# -- digests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"description": "other"},
        {"name": "other"},
        {"outputs": ("other",)},
        {"reads": ("other",)},
        {"checks": (("true",),)},
        {"command": ("true",)},
        {"agent": "other"},
    ],
)
def test_what_a_document_says_about_the_work_changes_its_digest(changed: dict[str, Any]) -> None:
    one = CHAIN[0]
    assert document_digest(replace(one, **changed)) != document_digest(one)


@pytest.mark.parametrize(
    "changed",
    [{"estimated_time": 7.0}, {"timeout_seconds": 3.0}, {"retries": 2}, {"source": Source("elsewhere.md", 7)}],
)
def test_when_where_and_how_often_do_not(changed: dict[str, Any]) -> None:
    one = CHAIN[0]
    assert document_digest(replace(one, **changed)) == document_digest(one)


def test_every_input_has_a_name_and_a_short_digest() -> None:
    found = own_inputs(CHAIN[0], "runbook", {"setup": ["make"], "command": []}, {"src/": {"src/a": "1"}})
    assert list(found) == ["document", "agent", "setting:setup", "reads:src/"]
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in found.values())


def test_an_attempt_is_no_change_and_the_document_comes_first() -> None:
    then = {"reads:b": "1", "document": "1", "attempt": "1", "after:1": "1", "agent": "1", "setting:x": "1"}
    assert changes(then, {**then, "attempt": "2"}) == ()
    assert changes(then, {}) == ("document", "agent", "setting:x", "reads:b", "after:1")
    assert changes({}, {"reads:b": "1", "reads:a": "1"}) == ("reads:a", "reads:b")


def test_each_change_has_words() -> None:
    names = ["document", "agent", "setting:setup", "reads:a:b", "after:2", "weather"]
    assert [told(name) for name in names] == [
        "its document changed",
        "the agent is another one now",
        "the setting setup changed",
        "it reads a:b, which changed",
        "phase 2 was done again since",
        "weather changed",
    ]
    assert changes({"weather": "1"}, {}) == ("weather",), "of a newer version: it changed, whatever it is"


def test_work_that_is_kept_is_the_same_work_and_work_done_again_is_not() -> None:
    look = Seen()
    first = replay(done(opening(*CHAIN), look, "1"))
    inputs = first.phase_states["1"].inputs
    events = [
        replace(event, run="next") if isinstance(event, ev.RunStarted) else event for event in opening(*CHAIN)[:1]
    ]
    kept = replay([*events, ev.PhaseKept(at=1, phase="1", from_run="3f2a", inputs=inputs)])
    assert work_digest(kept, "1") == work_digest(first, "1")
    again = replay(done([*done(opening(*CHAIN), look, "1"), reset(2, "1")], look, "1", attempt=2))
    assert work_digest(again, "1") != work_digest(first, "1")
    old = replay([*opening(*CHAIN), start(1, "1"), end(2, "1")])
    kept_old = replay([*events, ev.PhaseKept(at=1, phase="1", from_run="3f2a")])
    assert work_digest(old, "1") == work_digest(kept_old, "1") != work_digest(first, "1")


def test_work_in_another_commit_is_other_work_and_a_waiver_is_none() -> None:
    state = replay([*opening(*CHAIN), start(1, "1"), end(2, "1")])
    merged_end = end(2, "1")
    assert isinstance(merged_end, ev.AttemptEnded)
    merged_end = replace(merged_end, commit="c0ffee")
    merged = replay([*opening(*CHAIN), start(1, "1"), merged_end])
    waived = replay([*opening(*CHAIN), skip(1, "1")])
    assert len({work_digest(one, "1") for one in (state, merged, waived)}) == 3


# -- a run that goes on -----------------------------------------------------------------------------------------


def test_all_stands_while_nothing_changes() -> None:
    look = Seen()
    state = replay(done(opening(*CHAIN), look, "1", "2", "3"))
    assert reasons(standing(state.graph, state, look)) == {}
    assert reasons(worth_keeping(state.graph, state, look)) == {}


@pytest.mark.parametrize("judged", [standing, worth_keeping])
def test_a_change_is_followed_to_all_that_rests_on_it(
    judged: Callable[[DependencyGraph, ExecutionState, Seen], Mapping[str, Verdict]],
) -> None:
    look = Seen()
    state = replay(done(opening(*CHAIN), look, "1", "2", "3"))
    verdicts = judged(edited(CHAIN, "2", description="new"), state, look)
    assert reasons(verdicts) == {"2": "its document changed", "3": "phase 2 is done again"}
    assert verdicts["2"].changed == ("document",)
    assert verdicts["3"].changed == ()
    look.gone.add("one")
    assert reasons(judged(state.graph, state, look)) == {
        "1": "its output one is gone",
        "2": "phase 1 is done again",
        "3": "phase 2 is done again",
    }


def test_another_agent_and_another_setting_change_everything() -> None:
    look = Seen()
    state = replay(done(opening(*CHAIN), look, "1", "2", "3"))
    look.agent = "other"
    look.settings["setup"] = ["make"]
    verdicts = standing(state.graph, state, look)
    assert set(reasons(verdicts).values()) == {"the agent is another one now"}
    assert verdicts["1"].changed == ("agent", "setting:setup")


def test_a_file_that_is_read_changes_its_readers_alone() -> None:
    look = Seen()
    look.files["src"] = "1"
    phases = (phase("1 one"), phase("2 two", reads=("src",)), phase("3 three", "2"))
    state = replay(done(opening(*phases), look, "1", "2", "3"))
    look.files["src"] = "2"
    assert reasons(standing(state.graph, state, look)) == {
        "2": "it reads src, which changed",
        "3": "phase 2 is done again",
    }
    look.files["src"] = "1"
    assert reasons(standing(state.graph, state, look)) == {}


def test_histories_without_inputs_are_judged_by_their_documents() -> None:
    look = Seen()
    state = replay([*opening(*CHAIN), start(1, "1"), end(2, "1"), start(2, "2"), end(3, "2")])
    look.agent = "other"
    for judged in (standing, worth_keeping):
        assert "2" not in reasons(judged(state.graph, state, look))
        assert reasons(judged(edited(CHAIN, "1", description="new"), state, look))["1"] == "its document changed"


def test_what_was_asked_for_alone_is_no_reason_for_the_rest_while_the_run_goes_on() -> None:
    look = Seen()
    events = [*done(opening(*CHAIN), look, "1", "2", "3"), reset(4, "1")]
    state = replay(events)
    assert reasons(standing(state.graph, state, look)) == {}
    state = replay(done(events, look, "1", attempt=2))
    assert reasons(standing(state.graph, state, look)) == {}
    verdicts = worth_keeping(state.graph, state, look)
    assert reasons(verdicts) == {"2": "phase 1 was done again since", "3": "phase 2 is done again"}
    assert verdicts["2"].changed == ("after:1",)


def test_agents_at_work_on_what_was_edited_are_told_apart_from_the_others() -> None:
    look = Seen()
    two = (phase("1 one"), phase("2 two"))
    state = replay(begun(begun(opening(*two), look, "1"), look, "2"))
    verdicts = standing(edited(two, "2", description="new"), state, look)
    assert [verdict.moved for verdict in verdicts.values()] == [False, True]


def test_a_failure_moves_nothing_and_says_so() -> None:
    look = Seen()
    state = replay([*begun(opening(*CHAIN), look, "1"), fail(2, "1")])
    verdict = standing(state.graph, state, look)["1"]
    assert (verdict.reason, verdict.moved) == ("it failed", False)
    verdict = standing(edited(CHAIN, "1", description="new"), state, look)["1"]
    assert (verdict.reason, verdict.moved) == ("its document changed", True)


def test_a_waived_phase_stays_waived_and_a_new_one_is_new() -> None:
    look = Seen()
    state = replay([*opening(*CHAIN), skip(1, "1")])
    graph = DependencyGraph.of([*edited(CHAIN, "1", description="new").nodes.values(), phase("4 four", "3")])
    verdicts = standing(graph, state, look)
    assert reasons(verdicts) == {"4": "it is new"}
    assert not verdicts["4"].moved


# -- a new run --------------------------------------------------------------------------------------------------


def test_a_new_run_does_what_was_not_done_and_what_rests_on_it() -> None:
    look = Seen()
    phases = (*CHAIN, phase("4 four"), phase("5 five", "4"))
    events = done([*done(opening(*phases), look, "1"), skip(2, "2")], look, "3")
    state = replay([*begun(events, look, "4"), fail(3, "4")])
    graph = DependencyGraph.of([*phases, phase("6 six"), replace(phase("7 seven"), dependencies=("6",))])
    assert reasons(worth_keeping(graph, state, look)) == {
        "2": "it was waived by ann: done by hand; that held for its run alone",
        "3": "phase 2 is done only now",
        "4": "it failed",
        "5": "it was not done",
        "6": "it is new",
        "7": "it is new",
    }


def test_force_does_again_what_stands() -> None:
    look = Seen()
    state = replay(done(opening(*CHAIN), look, "1", "2", "3"))
    assert reasons(worth_keeping(state.graph, state, look, forced=("2",))) == {
        "2": "it was asked for",
        "3": "phase 2 is done again",
    }


# -- a plan that changes while its run goes on ------------------------------------------------------------------


def test_a_phase_that_comes_back_does_not_take_the_number_of_an_old_attempt() -> None:
    def plan(*phases: PhaseInfo) -> Event:
        return ev.PlanChanged(at=9, by="ann", plan_digest="x", phases=phases)

    history = [*opening(*CHAIN), start(1, "1"), end(2, "1"), start(2, "2"), end(3, "2")]
    without = replay([*history, plan(CHAIN[0])])
    assert list(without.phase_states) == ["1"]
    back = replay([*history, plan(CHAIN[0]), plan(CHAIN[0], phase("9 new")), plan(*CHAIN)])
    assert back.phase_states["2"].attempts == 1
    assert back.phase_states["1"].attempts == 1
    assert back.phase_states["3"].attempts == 0


# -- a folder ---------------------------------------------------------------------------------------------------


def contents(folder: Path, text: str, *without: str) -> Mapping[str, str]:
    return FolderEvidence(folder).contents(parse_resource(text), without.__contains__)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("src/a.py", "src/deep/b.py", "src/deep/c.txt", "src/.git/x", "src/__pycache__/a.pyc", "top"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_files_folders_and_patterns(tree: Path) -> None:
    assert list(contents(tree, "top")) == ["top"]
    assert sorted(contents(tree, "src/")) == ["src/a.py", "src/deep/b.py", "src/deep/c.txt"]
    assert sorted(contents(tree, "src")) == sorted(contents(tree, "src/")), "what is a folder is one, slash or not"
    assert sorted(contents(tree, "src/**/*.py")) == ["src/a.py", "src/deep/b.py"]
    assert sorted(contents(tree, "./")) == ["src/a.py", "src/deep/b.py", "src/deep/c.txt", "top"]
    assert sorted(contents(tree, "src/", "src/a.py")) == ["src/deep/b.py", "src/deep/c.txt"]
    assert contents(tree, "nothing") == contents(tree, "nothing/") == contents(tree, "no/*.py") == {}
    assert contents(tree, "port:80") == {}


def test_the_digest_of_a_file_is_what_git_calls_it(tree: Path) -> None:
    told = subprocess.run(["git", "hash-object", "top"], cwd=tree, capture_output=True, text=True, check=True)
    assert contents(tree, "top")["top"] == told.stdout.strip()


def test_content_counts_and_times_do_not(tree: Path) -> None:
    before = contents(tree, "src/")
    os.utime(tree / "src" / "a.py", (1, 1))
    assert contents(tree, "src/") == before
    (tree / "src" / "a.py").write_text("src/A.py")
    assert contents(tree, "src/") != before


def test_links_are_what_they_point_to_and_are_not_followed(tree: Path) -> None:
    (tree / "src" / "link").symlink_to("/nowhere")
    (tree / "src" / "up").symlink_to("..")
    found = contents(tree, "src/")
    assert {"src/link", "src/up"} <= found.keys()
    assert not any(name.startswith("src/up/") for name in found)
    (tree / "src" / "link").unlink()
    (tree / "src" / "link").symlink_to("/elsewhere")
    assert contents(tree, "src/")["src/link"] != found["src/link"]


def test_what_cannot_be_read_says_so(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "src" / "pipe")
    assert contents(tree, "src/pipe") == {"src/pipe": NO_FILE}
    (tree / "ring").symlink_to("ring")
    assert contents(tree, "ring") == {"ring": UNREADABLE}
    assert contents(tree, "top/below") == {}, "below a file there is nothing"
    look = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "closed to us", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert contents(tree, "src/")["src/deep"] == UNREADABLE


# -- a reader ---------------------------------------------------------------------------------------------------


class Counted(FolderEvidence):
    """Evidence that knows what it was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[str] = []

    def contents(self, resource: Resource, without: Callable[[str], bool]) -> Mapping[str, str]:
        self.asked.append(str(resource))
        return super().contents(resource, without)


def reader(folder: Path, evidence: FolderEvidence | None = None) -> InputReader:
    keys = ResourceKeys(folder)
    return InputReader(
        evidence or FolderEvidence(folder),
        claims=lambda phase: tuple(keys.claim(claim) for claim in phase.claims),
        key=keys.key,
        agent=lambda phase: phase.agent or "runbook",
        settings=lambda phase: {},
    )


def test_what_phases_of_the_plan_write_is_left_to_their_dependents(tree: Path) -> None:
    phases = (
        phase("1 one", "", None, "src/a.py"),
        phase("2 two", "1", None, "src/deep/", reads=("src/", "src/a.py")),
        phase("3 three", "", None, "other", locks=("top",), reads=("port:80",)),
    )
    state = replay(opening(*phases))
    look = reader(tree)
    before = look.inputs(state, phases[1])
    assert sorted(before) == ["after:1", "agent", "attempt", "document", "reads:src/", "reads:src/a.py"]
    (tree / "src" / "a.py").write_text("made by phase 1")
    (tree / "src" / "deep" / "b.py").write_text("made by itself")
    assert look.inputs(state, phases[1]) == before
    (tree / "src" / "mine.py").write_text("made by hand")
    assert changes(before, look.inputs(state, phases[1])) == ("reads:src/",)
    assert sorted(look.inputs(state, phases[2])) == ["agent", "attempt", "document"]


def test_another_plan_writes_other_files(tree: Path) -> None:
    reads = phase("1 one", "", None, reads=("src/a.py",))
    alone, with_writer = DependencyGraph.of([reads]), DependencyGraph.of([reads, phase("2 two", "", None, "src/")])
    look = reader(tree)
    assert look.own(alone, reads) != look.own(with_writer, reads)
    assert look.own(alone, reads) == look.own(alone, reads)


def test_nothing_is_looked_at_for_phases_that_read_nothing(tree: Path) -> None:
    evidence = Counted(tree)
    state = replay(opening(*CHAIN))
    reader(tree, evidence).inputs(state, CHAIN[0])
    assert evidence.asked == []


def test_each_attempt_is_another_one_and_work_done_again_is_seen(tree: Path) -> None:
    look = reader(tree)
    history = [*opening(*CHAIN), start(1, "1"), end(2, "1")]
    first, again = replay(history), replay([*history, reset(3, "1"), start(4, "1", 2), end(5, "1", 2)])
    told = [look.inputs(state, CHAIN[1])["after:1"] for state in (first, first, again)]
    assert told[0] == told[1] == told[2], "older histories know only the run"
    numbered = [replay(done(opening(*CHAIN), Seen(), "1")), replay(history[:2])]
    assert look.inputs(numbered[0], CHAIN[1])["after:1"] != told[0]
    assert look.inputs(numbered[1], CHAIN[0])["attempt"] != look.inputs(first, CHAIN[0])["attempt"]
