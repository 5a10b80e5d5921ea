"""Real shells in a terminal of their own: what Tab puts on the line is what the command gets, and nothing happens on
the way there. And which words each verb has while a run is under way."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import PATIENCE, Sandbox, phase, wait_for

import wavecrew
from wavecrew.cli.completion_scripts import PATIENCE as TAKE_YOUR_TIME
from wavecrew.cli.completion_scripts import SEPARATOR, VARIABLE, WORDS

_READY = "rea" + "dy> "
_RECORD = 'printf \'%s\\0\' "$@" > "$OUT.new"; command mv "$OUT.new" "$OUT"'
_BEGIN = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        f"source <(command wavecrew completion bash); wavecrew() {{ {_RECORD}; }}; PS1='rea''dy> '\n",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "autoload -U compinit; compinit -D -u; source <(command wavecrew completion zsh); "
        f"wavecrew() {{ {_RECORD}; }}; PS1='rea''dy> '\n",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "command wavecrew completion fish | source; "
        "function wavecrew; printf '%s\\0' $argv > $OUT.new; command mv $OUT.new $OUT; end; "
        "function fish_prompt; echo -n rea''dy'> '; end\n",
    ),
}
_NAMES = {
    "$(touch x)": "\\$",
    "a;touch x": "a\\;",
    "b`touch x`": "b\\`",
    "it's": "it",
    'say "hi"': "say",
    "back\\slash": "back",
    "with space": "with\\ s",
    "!!": "\\!",
    "~home": "\\~",
    "k=v": "k=",
    "p:q": "p:",
    "=ls": "\\=",
    "<in": "\\<",
    "c&touch x": "'c",
    "d|touch x": '"d',
}
"""Ids of phases, with how each is begun on the line."""


class Shell:
    """A shell with a terminal. The command is a function in it, which writes down what it was given: only Tab starts
    the real one."""

    def __init__(self, name: str, box: Sandbox) -> None:
        command = box.home / "bin" / "wavecrew"
        command.parent.mkdir()
        source = Path(wavecrew.__file__).parents[1]
        command.write_text(f'#!/bin/sh\nPYTHONPATH="{source}" exec "{sys.executable}" -P -m wavecrew "$@"\n')
        command.chmod(0o755)
        self._out = box.home / "given"
        # a terminal that can do little sends little; fish does not start on one that can do nothing
        terminal = "xterm" if name == "fish" else "dumb"
        more = {"OUT": str(self._out), "TERM": terminal, "LC_ALL": "C.UTF-8", TAKE_YOUR_TIME: "60", "HISTFILE": ""}
        environment = box.environment(more)
        environment["PATH"] = f"{command.parent}:{environment['PATH']}"
        self._seen = b""
        argv, begin = _BEGIN[name]
        self.pid, self._terminal = os.forkpty()
        if self.pid == 0:
            os.chdir(box.folder)
            os.execvpe(argv[0], argv, environment)  # noqa: S606 -- it is a shell
        self._type(begin)
        self._wait_for_prompt()

    def given(self, line: str) -> list[str]:
        """What the command is given after Tab and Enter."""
        self._out.unlink(missing_ok=True)
        self._seen = b""
        self._type(f"{line}\t\r")
        self._read_until(self._out.exists)
        words = self._out.read_bytes().decode().split("\0")[:-1]
        self._wait_for_prompt()
        return words

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self.pid, 0)

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _wait_for_prompt(self) -> None:
        self._read_until(lambda: _READY.encode() in self._seen)

    def _read_until(self, condition: object) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < end, self._seen
            if select.select([self._terminal], [], [], 0.05)[0]:
                self._seen += os.read(self._terminal, 65536)


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, box: Sandbox) -> Iterator[Shell]:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"NO {name.upper()} HERE: completion was not tried in it (Debian: apt-get install {name})")
    box.plan(*map(phase, _NAMES))
    found = Shell(name, box)
    yield found
    found.close()


def test_tab_puts_on_the_line_what_the_command_gets(shell: Shell, box: Sandbox) -> None:
    before = sorted(box.folder.iterdir())
    for name, begun in _NAMES.items():
        assert shell.given(f"wavecrew explain --plan plan.json {begun}") == ["explain", "--plan", "plan.json", name]
    assert shell.given("wavecrew explain --plan plan.json 'Phase =")[3:] == ["Phase =ls"]
    assert shell.given("wavecrew explain --plan pl") == ["explain", "--plan", "plan.json"]
    assert shell.given("wavecrew run --gate=w") == ["run", "--gate=wave"]
    assert shell.given("wavecrew runs repl") == ["runs", "replay"]
    assert shell.given("wavecrew retry --with-d") == ["retry", "--with-downstream"]
    assert shell.given("wavecrew status zzz") == ["status", "zzz"]
    assert sorted(box.folder.iterdir()) == before


# -- while a run is under way -----------------------------------------------------------------------------------


def _told(box: Sandbox, *words: str) -> dict[str, str]:
    line = {VARIABLE: "fish_complete", WORDS: SEPARATOR.join(("wavecrew", *words)), TAKE_YOUR_TIME: "60"}
    done = box.wavecrew(env=line)
    assert (done.code, done.err) == (0, "")
    lines = [line.split("\t") for line in done.out.splitlines()]
    return {line[1]: line[2] for line in lines if line[0] == "word"}


def _statuses(box: Sandbox) -> dict[str, str]:
    """Phase -> status; empty while there is no run."""
    found = box.wavecrew("status", "--json")
    return {one["id"]: one["status"] for one in found.json["phases"]} if found.code == 0 else {}


def test_each_verb_has_the_words_that_make_sense(box: Sandbox) -> None:
    box.plan(
        phase("good"),
        phase("bad", "exit 3"),
        phase("long", "until test -e go; do sleep 0.05; done; touch 'a file.txt'", writes=["a file.txt"]),
        phase("last", needs=["long"]),
    )
    run = box.start_run("--gate", "wave", "--wait-for-approval")
    wait_for(lambda: set(_statuses(box).items()) >= {("good", "COMPLETED"), ("bad", "FAILED"), ("long", "IN_PROGRESS")})
    assert _told(box, "retry", "") == {"good": "Phase good (completed)", "bad": "Phase bad (failed)"}
    assert list(_told(box, "retry", "good", "")) == ["bad"]
    assert list(_told(box, "skip", "")) == ["bad", "long", "last"]
    assert list(_told(box, "cancel", "")) == ["long"]
    assert list(_told(box, "logs", "")) == ["good", "bad", "long"]
    assert list(_told(box, "locks", "why", "a")) == ["a file.txt"]
    (number,) = _told(box, "locks", "break", "")
    assert _told(box, "locks", "break", "")[number].endswith(": a file.txt")
    identity = box.status()["run"]
    told = _told(box, "diff", "long", "--run", "")
    assert list(told) == ["latest", identity]
    assert told["latest"].startswith("run 1 of plan.json, ")
    assert told["latest"].endswith(", not over")
    assert _told(box, "approve", "") == {}
    box.write("go", "")
    wait_for(lambda: _told(box, "approve", ""), box.wavecrew("status").out)
    assert _told(box, "approve", "") == {"wave 2": "Phase last"}
    assert _told(box, "reject", "--reason", "x", "--run", identity, "w") == {"wave 2": "Phase last"}
    assert box.wavecrew("approve", "--all").code == 0
    assert run.end().code == 1
    assert _told(box, "status", "1")["1" if not identity.startswith("1") else identity].endswith(", over")
