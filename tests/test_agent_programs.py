"""Which agent programs are installed: looking for them, asking them, remembering, and telling."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from core_builders import eventually
from wavecrew.agents.claude import ClaudeAgent
from wavecrew.agents.codex import CodexAgent
from wavecrew.agents.command import CommandAgent
from wavecrew.api.agent_programs import ask_logins, look_for, program_of
from wavecrew.api.plans import load_agents
from wavecrew.models.agent_programs import Capabilities, InstalledProgram, is_older
from wavecrew.models.agent_report import Known
from wavecrew.views.agent_text import AgentLine, agents_data, agents_text
from wavecrew.views.terminal_text import cells


def agent(name: str = "tool", **more: Any) -> Any:
    given = {"program": name, "version_argv": (name, "--version"), "oldest": "1.2", "environment": {"QUIET": "1"}}
    return SimpleNamespace(name=name, summary="a tool", capabilities=Capabilities(), **(given | more))


class Machine:
    """A folder on PATH, and a cache folder."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.cache = folder / "bin", folder / "cache"
        self.bin.mkdir()

    def install(self, name: str, script: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def look(self, *agents: Any, patience: float = 10.0) -> Mapping[str, InstalledProgram]:
        known = {one.name: one for one in agents or (agent(),)}
        return look_for(known, {"PATH": f"{self.bin}:/usr/bin:/bin", "SECRET": "s"}, patience)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(made.cache))
    return made


def test_a_program_tells_its_version(machine: Machine) -> None:
    path = machine.install("tool", 'echo "tool v1.20.3 (build 9)"')
    assert machine.look() == {"tool": InstalledProgram("tool", "1.2", str(path), "1.20.3", "")}


def test_it_is_asked_in_a_clean_place(machine: Machine, tmp_path: Path) -> None:
    machine.install(
        "tool", f'env > {tmp_path}/env; pwd > {tmp_path}/pwd; ls -A "$HOME" > {tmp_path}/home; cat; echo 1.0'
    )
    assert machine.look()["tool"].version == "1.0"
    found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert found["QUIET"] == "1"
    assert found["HOME"] != os.environ.get("HOME")
    assert "SECRET" not in found
    assert (tmp_path / "pwd").read_text().strip() == found["HOME"]
    assert (tmp_path / "home").read_text() == ""
    assert not Path(found["HOME"]).exists()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 3", "tool --version ended with 3"),
        ("kill -9 $$", "tool --version ended with -9"),
        ("echo hello", "tool --version told no version"),
        ("head -c 1000000 /dev/zero; echo 1.0", "tool --version told no version"),
    ],
)
def test_what_can_be_wrong(machine: Machine, script: str, problem: str) -> None:
    machine.install("tool", script)
    assert (machine.look()["tool"].problem, machine.look()["tool"].version) == (problem, "")


def test_a_program_that_is_none(machine: Machine) -> None:
    assert machine.look()["tool"].problem == "there is no program tool on PATH"
    machine.install("tool", "").write_bytes(b"\x7fELF rubbish")
    assert "tool cannot be started: " in machine.look()["tool"].problem


def test_a_program_that_never_answers_is_ended_with_all_it_started(machine: Machine, tmp_path: Path) -> None:
    machine.install("tool", f"sleep 600 & echo $! > {tmp_path}/child; wait")
    before = time.monotonic()
    assert machine.look(patience=0.5)["tool"].problem == "tool --version did not answer within 0.5 s"
    assert time.monotonic() - before < 60
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes())


def test_an_answer_is_kept_until_the_program_changes(machine: Machine, tmp_path: Path) -> None:
    script = f"echo asked >> {tmp_path}/log; echo 1.%d"
    machine.install("tool", script % 5)
    assert [machine.look()["tool"].version for _ in range(3)] == ["1.5"] * 3
    assert (tmp_path / "log").read_text() == "asked\n"
    machine.install("real", script % 6)
    (machine.bin / "tool").unlink()
    (machine.bin / "tool").symlink_to("real")
    assert machine.look()["tool"].version == "1.6"
    os.utime(machine.bin / "real", ns=(1, 1))
    assert machine.look()["tool"].version == "1.6"
    assert (tmp_path / "log").read_text() == "asked\n" * 3


@pytest.mark.parametrize(
    ("script", "works"),
    [
        ("read line; echo nothing; echo '{\"gate\": true}'; sleep 600", True),
        ("read line; echo '{\"gate\": false}'", False),
        ("exit 1", None),
        ("sleep 600", None),
    ],
)
def test_some_can_tell_whether_they_would_ask_our_gate(machine: Machine, script: str, works: bool | None) -> None:
    machine.install("tool", f'[ "$1" != gate ] && echo 1.5 && exit\n{script}')
    answers = {b'{"gate": true}': True, b'{"gate": false}': False}
    one = agent(
        gate_question=lambda: (("tool", "gate"), "a line\n"),
        gate_answer=lambda output: next((answers[line] for line in output.splitlines() if line in answers), None),
    )
    found = [machine.look(one, patience=0.5 if works is None else 30.0)["tool"] for _ in range(2)]
    assert [(one.version, one.gate_works) for one in found] == [("1.5", works)] * 2
    assert found[0].doubt == ("" if works is not False else "this version would write without asking our gate")


def test_what_a_program_leaves_behind_is_not_waited_for(machine: Machine, tmp_path: Path) -> None:
    leaves = f"(trap '' TERM; setsid sh -c 'echo $$ > {tmp_path}/left; exec sleep 600' &)"
    machine.install("tool", f"{leaves}; until [ -s {tmp_path}/left ]; do :; done; echo 1.5")
    try:
        assert machine.look()["tool"].version == "1.5"
    finally:
        os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"PATH": 3}', '{"PATH": [[], "1.0"]}', '{"PATH": [["STAMP"], 7, null]}']
)
def test_a_broken_memory_is_none(machine: Machine, text: str) -> None:
    path = machine.install("tool", "echo 1.5")
    machine.cache.mkdir()
    (machine.cache / "agent-programs.json").write_text(text.replace("PATH", str(path)))
    assert machine.look()["tool"].version == "1.5"


def test_a_memory_that_says_nonsense_is_not_shown(machine: Machine) -> None:
    path = machine.install("tool", "echo 1.5")
    machine.look()
    file = machine.cache / "agent-programs.json"
    known = json.loads(file.read_text())
    known[str(path)][1] = "\x1b[31m"
    file.write_text(json.dumps(known))
    assert machine.look()["tool"].version == "1.5"
    assert [found.name for found in machine.cache.iterdir()] == [file.name]


def test_a_memory_that_cannot_be_kept_does_no_harm(machine: Machine) -> None:
    machine.install("tool", "echo 1.5")
    machine.cache.write_text("a file")
    assert machine.look()["tool"].version == "1.5"


def test_an_agent_that_is_no_program_is_not_looked_for(machine: Machine) -> None:
    assert machine.look(CommandAgent()) == {}
    assert program_of(CommandAgent()) is None


def test_ours_are_programs() -> None:
    names = {name for name, one in load_agents().items() if program_of(one)}
    assert names == {"acp", "claude", "codex", "gemini", "opencode"}


@pytest.mark.parametrize(
    ("version", "other", "older"),
    [("1.2.3", "1.2.3", False), ("1.2", "1.2.1", True), ("1.10", "1.9", False), ("0.9", "1", True), ("", "1", True)],
)
def test_which_version_is_older(version: str, other: str, older: bool) -> None:
    assert is_older(version, other) is older


def test_a_doubt() -> None:
    assert InstalledProgram("t", "1.2", "/t", "1.1").doubt == "older than 1.2, the oldest version that was tried"
    assert InstalledProgram("t", "1.2", "/t", "1.2").doubt == ""
    assert InstalledProgram("t", "1.2", problem="not there").doubt == ""


LINES = [
    AgentLine("zeta", "does\x1b[31m it " * 12),
    AgentLine(
        "alpha",
        "a tool",
        InstalledProgram("tool", "1.2", "/usr/bin/" + "tool" * 30, "1.1"),
        Capabilities(resume=Known.YES, cost=Known.NO, gate=Known.YES),
    ),
    AgentLine("beta", "another", InstalledProgram("b", "1", problem="there is no program b on PATH"), Capabilities()),
]


def test_the_list_fits_the_terminal() -> None:
    text = list(agents_text(LINES))
    assert max(map(cells, text)) <= 80
    assert not any("\x1b" in line for line in text)
    assert text[0] == "alpha  a tool"
    assert text[1].startswith("       version 1.1; older than 1.2, the oldest version that was tried;")
    assert "       yes: goes on with a session · asks before it writes" in text
    assert "       no: tells cost" in text
    assert "       cannot be used: there is no program b on PATH" in text


def test_the_list_for_programs() -> None:
    data = agents_data(LINES)["agents"]
    assert [one["name"] for one in data] == ["alpha", "beta", "zeta"]
    assert data[0]["program"]["doubt"] == "older than 1.2, the oldest version that was tried"
    assert data[0]["capabilities"]["resume"] == "yes"
    assert data[1]["capabilities"]["gate"] == "unknown"
    assert set(data[2]) == {"name", "summary"}
    json.dumps(data)


def test_nothing_of_an_agent_can_be_changed() -> None:
    for one in load_agents().values():
        program = program_of(one)
        if program is not None:
            assert isinstance(program.environment, MappingProxyType)
            assert isinstance(program.exit_meanings, MappingProxyType)


# -- logins


ALONE = (
    '{"loggedIn": false, "authMethod": "none", "apiProvider": "firstParty"}',
    '{"loggedIn": false, "authMethod": "none", "apiProvider": "bedrock"}',
)


@pytest.mark.parametrize(
    ("code", "said", "known"),
    [
        (0, '{"loggedIn": true, "authMethod": "api_key"}\n', Known.YES),
        (1, ALONE[0], Known.NO),
        (1, ALONE[1], None),
        (0, ALONE[0], None),
        (1, '{"loggedIn": false, "authMethod": "helper", "apiProvider": "firstParty"}', None),
        (1, "error: unknown command 'auth'", None),
        (0, "", None),
        (1, "[1]", None),
    ],
)
def test_claude_tells_whether_somebody_is_logged_in(code: int, said: str, known: Known | None) -> None:
    assert ClaudeAgent().login_answer(code, said.encode()) is known


def test_codex_does_not_know_of_keys_that_its_settings_name() -> None:
    answers = {code: CodexAgent().login_answer(code, b"") for code in (0, 1, 2, None)}

    assert answers == {0: Known.YES, 1: Known.UNKNOWN, 2: None, None: None}


def test_a_login_is_asked_in_the_environment_that_the_agent_sees(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    yes = '{"loggedIn": true}'
    program.write_text(
        f"#!/bin/sh\n[ \"$*\" = 'auth status' ] || exit 9\n"
        f"if [ -n \"$KEY\" ]; then echo '{yes}'; else echo '{ALONE[0]}'; exit 1; fi\n"
    )
    program.chmod(0o755)
    agents = {"claude": ClaudeAgent(), "command": CommandAgent()}
    found = {"claude": InstalledProgram("claude", "1", str(program))}
    path = {"PATH": os.environ["PATH"]}

    assert ask_logins(agents, found, lambda name: {**path, "KEY": name}) == {"claude": Known.YES}
    assert ask_logins(agents, found, lambda name: path) == {"claude": Known.NO}
    program.unlink()
    assert ask_logins(agents, found, lambda name: path) == {}
