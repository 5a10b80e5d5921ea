"""Which model an agent is told to use, which variables it may see, and what of them nobody else gets to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core_builders import Bench, phase
from wavecrew.core.bounds import Bounds
from wavecrew.core.jobs import Desk, JobMaker, Prepared
from wavecrew.core.redaction import Redaction
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.models import events as ev
from wavecrew.models.agent_report import AgentReport, Ending
from wavecrew.models.invocation import AttemptContext, Invocation, JobStep, JobStepKind
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo


class Named:
    """An agent that starts the command of its phase with the model as argument; its output is its last word."""

    summary = ""
    exit_meanings: ClassVar[Mapping[int, Ending]] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        return ""

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        argv = (*(phase.command or ("true",)), context.model)
        return Invocation((JobStep(JobStepKind.AGENT, self.name, argv),))

    def reader(self, earlier: AgentReport | None = None) -> LastWord:
        return LastWord()


class LastWord:
    def __init__(self) -> None:
        self.words = ""

    def feed(self, line: bytes) -> None:
        self.words = line.decode()

    def report(self) -> AgentReport:
        return AgentReport(Ending.FAILED, self.words)


AGENTS = {name: Named(name) for name in ("claude", "codex")}
VALUE = "sk-1234567890"


def maker(tmp_path: Path, **settings: Any) -> JobMaker:
    return JobMaker("r", tmp_path, tmp_path / ".wavecrew", AGENTS, ResourceKeys(tmp_path), "claude", **settings)


def prepared(jobs: JobMaker, one: PhaseInfo, agent: str = "") -> Prepared:
    return jobs.prepare(DependencyGraph.of((one,)), one, 1, agent=agent)


@pytest.mark.parametrize(
    ("own", "models", "for_all", "agent", "expected"),
    [
        ("", {}, "", "", ""),
        ("", {}, "m", "", "m"),
        ("", {"claude": "c", "codex": "x"}, "m", "", "c"),
        ("d", {"claude": "c"}, "m", "", "d"),
        ("d", {"claude": "c"}, "m", "codex", "m"),  # a stand-in does not know the model of another
        ("d", {"claude": "c", "codex": "x"}, "", "codex", "x"),
        ("d", {"claude": "c"}, "", "codex", ""),
    ],
)
def test_the_nearest_model_counts(
    tmp_path: Path, own: str, models: dict[str, str], for_all: str, agent: str, expected: str
) -> None:
    jobs = maker(tmp_path, model=for_all, models=models)
    found = prepared(jobs, PhaseInfo("a", "A", model=own), agent)
    assert found.model == expected
    assert found.job.steps[0].argv[-1] == expected


def test_an_agent_sees_its_own_variables_and_those_for_all(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "ALL": "1", "KEY": VALUE, "OTHER": "2", "UNNAMED": "3"}
    own = {"claude": ("KEY",), "codex": ("OTHER",)}
    jobs = maker(tmp_path, environ=environ, passed_on=("ALL",), passed_to=own)
    seen = prepared(jobs, PhaseInfo("a", "A")).job.environment
    assert {name for name in seen if name in environ} == {"PATH", "ALL", "KEY"}
    other = prepared(jobs, PhaseInfo("a", "A"), "codex").job.environment
    assert {name for name in other if name in environ} == {"PATH", "ALL", "OTHER"}
    found = prepared(jobs, PhaseInfo("a", "A"))
    beside = jobs.beside("a", 1, found.desk, tmp_path, ()).environment
    assert {name for name in beside if name in environ} == {"PATH", "ALL"}  # commands of the project are no agents


def test_what_an_agent_says_of_its_key_is_not_recorded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phase("a", sh="echo wrong key $KEY", agent="claude"))
    environ = {"PATH": "/usr/bin:/bin", "KEY": VALUE}
    bench.run(agents=AGENTS, environ=environ, passed_to={"claude": ("KEY",)})
    (ended,) = bench.of(ev.AttemptEnded)
    assert ended.detail == "wrong key [KEY]"
    assert VALUE.encode() in (bench.attempt("a") / "log").read_bytes()
    assert (bench.attempt("a") / "log").stat().st_mode & 0o077 == 0


def test_names_stand_in_for_values() -> None:
    environ = {"KEY": VALUE, "LONGER": VALUE + "99", "SHORT": "1234567", "UNNAMED": "abcdefghij"}
    hide = Redaction(("KEY", "LONGER", "SHORT", "MISSING"), environ)
    assert hide.text(f"{VALUE}99 {VALUE} 1234567 abcdefghij") == "[LONGER] [KEY] 1234567 abcdefghij"
    assert hide.raw(f"x{VALUE}y".encode() + b"\xff") == b"x[KEY]y\xff"


@pytest.mark.parametrize("value", ["/usr/lib/jvm", "http://127.0.0.1:8080", "https://example.org/api"])
def test_places_are_no_secrets(value: str) -> None:
    assert Redaction(("A",), {"A": value}).text(value) == value


@pytest.mark.parametrize("value", ["https://me:word@example.org", "https://example.org/?key=1"])
def test_addresses_with_a_key_are(value: str) -> None:
    assert Redaction(("A",), {"A": value}).text(value) == "[A]"


class Housed:
    own_paths = ("~/.claude/", "~/.claude.json", "~/.codex/", "~/.gemini/", "~/.config/opencode/", "~/.local/share/x/")


def test_folders_of_an_agent_are_where_its_variables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    agents = {"moved": Housed(), "home": Housed(), "odd": Housed()}
    moved = {"CLAUDE_CONFIG_DIR": "/c/", "CODEX_HOME": "/x", "GEMINI_CLI_HOME": "/g", "XDG_CONFIG_HOME": "/o"}
    bounds = Bounds(agents, tmp_path, environ={"moved": moved, "odd": {"CODEX_HOME": "here", "XDG_CONFIG_HOME": ""}})
    usual = ["/h/.claude", "/h/.codex", "/h/.gemini", "/h/.config/opencode", "/h/.local/share/x"]
    assert list(map(str, bounds.own_folders("home"))) == usual
    assert list(map(str, bounds.own_folders("odd"))) == usual
    assert list(map(str, bounds.own_folders("moved"))) == ["/c", "/x", "/g/.gemini", "/o/opencode", "/h/.local/share/x"]


def test_in_a_worktree_commits_have_an_author_but_what_is_handed_over_counts_more(tmp_path: Path) -> None:
    given = {"GIT_AUTHOR_NAME": "wavecrew", "GIT_AUTHOR_EMAIL": "w@localhost"}
    environ = {"GIT_AUTHOR_NAME": "Ann"}
    jobs = maker(tmp_path, identity=given, environ=environ, passed_on=("GIT_AUTHOR_NAME",))
    one = PhaseInfo("a", "A")
    alone = jobs.prepare(DependencyGraph.of((one,)), one, 1, desk=Desk(tmp_path, 1, base="c0ffee")).job.environment
    assert (alone["GIT_AUTHOR_NAME"], alone["GIT_AUTHOR_EMAIL"]) == ("Ann", "w@localhost")
    assert "GIT_AUTHOR_EMAIL" not in prepared(jobs, one).job.environment


def test_for_a_run_the_names_come_from_its_settings() -> None:
    hide = Redaction.for_run({"env": ["A"], "agent_env": ["claude:B"]}, {"A": "aaaaaaaa", "B": "bbbbbbbb"})
    assert hide.text("aaaaaaaa bbbbbbbb") == "[A] [B]"
    assert Redaction.for_run({}, {"A": "aaaaaaaa"}).text("aaaaaaaa") == "aaaaaaaa"
