"""The prompt of a phase, the text that it is made from, and the files that lie beside the work."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import shell
from wavecrew.agents.prompt import PLACEHOLDERS, TEMPLATE, check_template, prompt_for
from wavecrew.core import agent_home
from wavecrew.core.attempts import Job, files_folder, write_job
from wavecrew.errors import ConfigError, InvalidValueError
from wavecrew.models.invocation import AttemptContext, Invocation
from wavecrew.models.parallel_execution import PhaseInfo

PHASE = PhaseInfo(
    "words",
    "The words",
    description="Write the words.",
    outputs=("words.txt",),
    reads=("model.txt",),
    checks=(("grep", "-q", "a b", "words.txt"),),
)


def context(**values: Any) -> AttemptContext:
    return AttemptContext("run-1", 2, "/w", "/p", **values)


def test_everything_that_an_agent_needs_to_know() -> None:
    prompt = prompt_for(PHASE, context(produced={"model": ("model.txt",)}))
    assert prompt.startswith("# Phase words: The words\n\nWrite the words.\n\n")
    assert "counts as done only when they exist:\n- words.txt\n" in prompt
    assert "do not change them:\n- model.txt\n" in prompt
    assert "- model.txt (from phase model)\n" in prompt
    assert "- grep -q 'a b' words.txt\n" in prompt
    assert "Leave alone: the documents of the plan" in prompt
    assert "Do not change any other file." in prompt
    assert "Nobody can answer questions" in prompt
    assert "\n\n\n" not in prompt
    assert "earlier attempt" not in prompt
    assert prompt.endswith("which is not.\n")


def test_a_gate_is_told_and_then_other_files_may_be_asked_for() -> None:
    prompt = prompt_for(PHASE, context(hook=("hook",)))
    assert "Each write is asked about before it happens." in prompt
    assert "Do not change any other file" not in prompt
    assert "Do not change any other file" not in prompt_for(PhaseInfo("a", "A", description="x"), context())


def test_what_went_wrong_and_where_it_is() -> None:
    prompt = prompt_for(PHASE, context(previous_failure="exit code 2", earlier_branch="wavecrew/r/words/1"))
    first, second = prompt.rstrip().splitlines()[-2:]
    assert first == "An earlier attempt failed: exit code 2"
    assert second.startswith("What it left is on the branch wavecrew/r/words/1. Look at it first (git diff HEAD...")
    assert "branch wavecrew" not in prompt_for(PHASE, context(earlier_branch="wavecrew/r/words/1"))


def test_who_goes_on_in_its_session_is_told_so_and_of_no_branch() -> None:
    told = {"session": "s-1", "earlier_branch": "wavecrew/r/words/1"}
    last = prompt_for(PHASE, context(previous_failure="claude is used up", **told)).rstrip().splitlines()[-1]
    assert last.startswith("You have worked on this phase before, in this conversation")
    assert "claude is used up. The files are as you left them" in last
    assert "branch wavecrew" not in last
    assert "it was broken off." in prompt_for(PHASE, context(**told))


def test_a_template_of_the_user() -> None:
    text = 'Do {phase} ({attempt} of {run} in {workspace}): {task}\n{made}\n{{task}} {"json": {x y}}\n\n\n\n'
    text += "{failure}\nEnd {T}"
    assert check_template(text, "p.md") == text
    assert prompt_for(PHASE, context(template=text)) == (
        'Do words (2 of run-1 in /w): Write the words.\n{task} {"json": {x y}}\n\nEnd {T}\n'
    )


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    phase = PhaseInfo("a", "{task}", description="{name} {failure} {{phase}}")
    assert prompt_for(phase, context(template="{name}: {task}")) == "{task}: {name} {failure} {{phase}}\n"


def test_ours_names_only_what_there_is() -> None:
    assert check_template(TEMPLATE, "ours") == TEMPLATE
    by_others = ("phase", "name", "attempt", "run", "workspace")
    assert all(f"{{{name}}}" in TEMPLATE for name in PLACEHOLDERS if name not in by_others)


def test_a_heading_is_not_said_twice() -> None:
    headed = PhaseInfo("3", "Report", description="# Phase 3: Report\n\nWrite it.")
    assert prompt_for(headed, context()).startswith("# Phase 3: Report\n\nWrite it.\n\n")


@pytest.mark.parametrize(
    ("text", "reason", "place", "fix"),
    [
        ("a\nb {taks} {x}", "there is no placeholder {taks}", "p.md:2:3", "did you mean task?"),
        ("{zzzzzz}", "there is no placeholder {zzzzzz}", "p.md:1:1", f"choose from: {', '.join(PLACEHOLDERS)}"),
        (" \n", "the template of the prompt is empty", "p.md", "write {task} into it"),
    ],
)
def test_a_template_with_a_mistake_is_refused_with_its_place(text: str, reason: str, place: str, fix: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_template(text, "p.md")
    assert (refused.value.reason, str(refused.value.place), refused.value.fix) == (reason, place, fix)


@given(st.text(), st.text(st.sampled_from("{}atsk_ \n")))
def test_any_text_and_any_template_give_a_prompt(task: str, template: str) -> None:
    assert prompt_for(PhaseInfo("a", "A", description=task), context(template=template)).endswith("\n")


# -- files beside the work --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../x", "a//b", "./a", "a/", "a\0b"])
def test_files_of_an_agent_lie_in_their_folder(name: str) -> None:
    with pytest.raises(InvalidValueError, match="a file beside the work cannot be called"):
        Invocation((), files={name: ""})


def test_files_of_an_agent_are_written_with_its_job(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    made = Invocation((shell("true"),), files={"gate.js": "x\n", "home/deep/s.json": "é"})
    write_job(folder, Job("/w", made.steps, {}, None, 1.0, files=made.files))
    assert (files_folder(folder) / "gate.js").read_text() == "x\n"
    assert (files_folder(folder) / "home/deep/s.json").read_text(encoding="utf-8") == "é"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((files_folder(folder) / "gate.js").stat().st_mode) == 0o600


# -- a home folder of its own -----------------------------------------------------------------------------------


class Place:
    """A user's home with a settings folder, and what `agent_home` makes of it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.own, self.added = folder / "user", folder / "own", folder / "added.json"
        self.theirs = self.home / ".tool"
        self.theirs.mkdir(parents=True)
        self.added.write_text('{"hooks": {"Before": [{"n": 2}]}, "auth": {"a": "ours"}}')

    def start(self, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-I", "-S", agent_home.__file__]
        arguments = ["TOOL_HOME", ".tool", str(self.own), str(self.added), *argv]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), **environ}
        return subprocess.run([*program, *arguments], env=env, capture_output=True, text=True, check=False)

    @property
    def merged(self) -> Any:
        return json.loads((self.own / ".tool/settings.json").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_our_settings_on_top_of_theirs(place: Place) -> None:
    text = (
        '{ // mine\n "hooks": {"Before": [{"n": 1}], "x": 1}, /* no */ "auth": {"a": "theirs", "b": "http://c/*d*/"}}'
    )
    (place.theirs / "settings.json").write_text(text)
    (place.theirs / "login.json").write_text("secret")
    done = place.start("sh", "-c", 'echo "$TOOL_HOME $1"', "sh", "an argument")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{place.own} an argument\n", "")
    assert place.merged == {
        "hooks": {"Before": [{"n": 1}, {"n": 2}], "x": 1},
        "auth": {"a": "ours", "b": "http://c/*d*/"},
    }
    assert (place.theirs / "settings.json").read_text() == text
    ours = place.own / ".tool"
    assert {path.name: path.is_symlink() for path in ours.iterdir()} == {
        "settings.json": False, "login.json": True, "tmp": True, "history": True}  # fmt: skip
    (ours / "login.json").write_text("renewed")
    assert (place.theirs / "login.json").read_text() == "renewed"
    assert stat.S_IMODE((ours / "settings.json").stat().st_mode) == 0o600


def test_a_user_without_settings(place: Place) -> None:
    assert place.start("true").returncode == 0
    assert place.merged == {"hooks": {"Before": [{"n": 2}]}, "auth": {"a": "ours"}}


def test_a_home_that_the_user_chose(place: Place, tmp_path: Path) -> None:
    (tmp_path / "other/.tool").mkdir(parents=True)
    (tmp_path / "other/.tool/settings.json").write_text('{"mine": 1}')
    assert place.start("true", TOOL_HOME=str(tmp_path / "other")).returncode == 0
    assert place.merged["mine"] == 1


@pytest.mark.parametrize("text", ["[]", "{", "\udcff"])
def test_without_settings_that_can_be_read_it_does_not_start(place: Place, text: str) -> None:
    (place.theirs / "settings.json").write_bytes(text.encode(errors="surrogateescape"))
    done = place.start("touch", str(place.home / "started"))
    assert done.returncode == agent_home.REFUSED
    assert done.stderr.startswith("wavecrew: touch cannot be started with settings of its own: ")
    assert not (place.home / "started").exists()


def test_a_home_that_is_there_already_is_not_trusted(place: Place) -> None:
    assert place.start("true").returncode == 0
    assert place.start("true").returncode == agent_home.REFUSED


def test_a_program_that_is_not_there(place: Place) -> None:
    assert place.start("no-such-program").returncode == agent_home.REFUSED
