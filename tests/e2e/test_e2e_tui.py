"""The board in a real terminal: it draws, is left, dies, and the run goes on."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sandbox import PATIENCE, Sandbox, phase, wait_for

HELD = "while ! test -e go; do sleep 0.05; done"
_SEQUENCES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")


class Terminal:
    """A command in a terminal of its own. `said` is every byte that it has written to it."""

    def __init__(
        self,
        box: Sandbox,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] = (80, 24),
        hears: bool = True,
    ) -> None:
        """With `hears` the terminal is that of its session, so that its end is told by a signal."""
        self.said = b""
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wavecrew", *arguments],
            cwd=box.folder,
            env=box.environment({"TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}),
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if hears else None,
        )
        os.close(side)

    def listen(self) -> None:
        """Take in what is there."""
        while select.select([self._main], [], [], 0)[0]:
            try:
                piece = os.read(self._main, 65536)
            except OSError:
                return
            if not piece:
                return
            self.said += piece

    @property
    def words(self) -> str:
        """What was written, without any sequence."""
        return _SEQUENCES.sub(b"", self.said).decode("utf-8", "replace")

    def until(self, condition: Callable[[str], bool], what: str) -> None:
        """Wait until what was written so far fulfils a condition."""
        over = time.monotonic() + PATIENCE
        while not condition(self.words):
            assert time.monotonic() < over, f"waited {PATIENCE:g} s for {what}; it said:\n{self.words[-3000:]}"
            select.select([self._main], [], [], 0.05)
            self.listen()

    def press(self, keys: str) -> None:
        os.write(self._main, keys.encode())

    def end(self) -> int:
        """Wait for its end."""
        over = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < over, f"it did not end; it said:\n{self.words[-3000:]}"
            self.listen()
            time.sleep(0.01)
        self.listen()
        return int(self.process.returncode)

    def hang_up(self) -> None:
        """Close the terminal, as when its window is closed or the line breaks."""
        os.close(self._main)
        self._main = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        if self._main >= 0:
            os.close(self._main)


@pytest.fixture
def open_terminal(box: Sandbox) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals with a command of wavecrew in the sandbox; a run that they leave at work is ended."""
    made: list[Terminal] = []

    def make(*arguments: str, **options: Any) -> Terminal:
        made.append(Terminal(box, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
    box.write("go", "")
    with contextlib.suppress(AssertionError, KeyError):
        wait_for(lambda: not _coordinators(box), "the end of the run")


def _coordinators(box: Sandbox) -> list[Path]:
    """Runs of which somebody is in charge."""
    found = []
    for lock in box.folder.glob(".wavecrew/runs/*/coordinator"):
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(lock)
    return found


@pytest.fixture
def held(box: Sandbox) -> Sandbox:
    """A plan whose first phase ends when somebody says so."""
    box.plan(phase("a", f"echo at work; {HELD}", writes=["go.a"], checks=[]), phase("b", "echo done", needs=["a"]))
    box.write("go.a", "")
    return box


RUN = ("run", "plan.json", "--yes", "--wave-delay-seconds", "0", "--ui", "tui")


def test_a_run_under_the_board_goes_on_when_it_is_left(held: Sandbox, open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal(*RUN)
    terminal.until(lambda words: "1 Plan" in words and "running" in words and "at work" in words, "the board")
    terminal.press("q")
    assert terminal.end() == 0
    assert "goes on without this board; back to it: wavecrew ui" in terminal.words
    assert b"\x1b[?1049l" in terminal.said
    assert held.statuses() == {"a": "IN_PROGRESS", "b": "NOT_STARTED"}
    held.write("go", "")
    assert held.wavecrew("status", "--wait", "--exit-status").code == 0
    assert set(held.statuses().values()) == {"COMPLETED"}


def test_the_exit_code_is_that_of_a_run_that_ended_meanwhile(
    box: Sandbox, open_terminal: Callable[..., Terminal]
) -> None:
    box.plan(phase("a", "exit 3"))
    terminal = open_terminal(*RUN)
    terminal.until(lambda words: "1 Plan" in words, "the board")
    wait_for(lambda: box.statuses() == {"a": "FAILED"} and not _coordinators(box), "the end")
    terminal.press("q")
    assert terminal.end() == 1
    assert "next: wavecrew logs a" in terminal.words


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, None])
def test_a_board_that_dies_harms_no_run(
    held: Sandbox, open_terminal: Callable[..., Terminal], how: signal.Signals | None
) -> None:
    terminal = open_terminal(*RUN)
    terminal.until(lambda words: "1 Plan" in words and "running" in words, "the board")
    if how is None:
        terminal.hang_up()
        wait_for(lambda: terminal.process.poll() is not None, "the end of a board without a terminal")
    else:
        terminal.process.send_signal(how)
        terminal.end()
    assert held.status()["status"] == "running"
    held.write("go", "")
    assert held.wavecrew("status", "--wait", "--exit-status").code == 0


def test_a_board_whose_terminal_goes_without_a_word_ends_as_well(
    box: Sandbox, open_terminal: Callable[..., Terminal]
) -> None:
    box.plan(phase("a"))
    assert box.run().code == 0
    terminal = open_terminal("ui", hears=False)
    terminal.until(lambda words: "1 Plan" in words, "the board")
    terminal.hang_up()
    wait_for(lambda: terminal.process.poll() is not None, "its end")


def test_ctrl_c_asks_and_can_stop_the_run(held: Sandbox, open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal(*RUN)
    terminal.until(lambda words: "1 Plan" in words and "at work" in words, "the board")
    terminal.press("\x03")
    terminal.until(lambda words: "leave or stop?" in words, "the question")
    assert held.status()["status"] == "running"
    terminal.press("s")
    wait_for(lambda: not _coordinators(held), "the end of the run")
    terminal.until(lambda words: "stopped" in words, "the news")
    terminal.press("q")
    terminal.end()
    assert held.status()["status"] == "stopped"
    assert held.alive() == []


def test_a_board_on_a_run_that_is_over_and_plain_lines(box: Sandbox, open_terminal: Callable[..., Terminal]) -> None:
    box.plan(phase("a", "printf '\\033]0;owned\\007\\033[2J[b]x[/b]\\n'; exit 3"))
    assert box.run().code == 1
    terminal = open_terminal("ui")
    terminal.until(lambda words: "[b]x[/b]" in words, "the log")
    assert b"owned" not in terminal.said
    terminal.press("v")
    terminal.until(lambda words: "-- enter: back to the board" in words, "plain lines")
    assert "fail   a Phase a" in terminal.words
    terminal.press("\r")
    seen = len(terminal.said)
    terminal.until(lambda words: b"1 Plan" in _SEQUENCES.sub(b"", terminal.said[seen:]), "the board again")
    terminal.press("q")
    assert terminal.end() == 0


def test_without_a_terminal_it_says_so(held: Sandbox) -> None:
    for command in (("ui",), ("ui", "--replay"), RUN):
        done = held.wavecrew(*command)
        assert done.code == 2
        assert "the terminal UI needs a terminal" in done.err
        assert "wavecrew status --watch" in done.err
    assert held.ran() == []
    assert not (held.folder / ".wavecrew").exists()


def test_what_cannot_be_opened_is_told_in_words(box: Sandbox, open_terminal: Callable[..., Terminal]) -> None:
    box.plan(phase("a"))
    assert box.run().code == 0
    for words, arguments, env in (
        ("no run begins with 'zzz'", ("ui", "zzz"), {}),
        ("cannot move its cursor", ("ui",), {"TERM": "dumb"}),
    ):
        terminal = open_terminal(*arguments, env=env)
        assert terminal.end() in (2, 4)
        assert words in terminal.words
        assert "Traceback" not in terminal.words
        assert b"\x1b[?1049h" not in terminal.said


def test_without_utf8_and_colour_all_is_ascii(held: Sandbox, open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal(*RUN, env={"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"})
    terminal.until(lambda words: "1 Plan" in words and "> running" in words, "the board")
    terminal.press("q")
    terminal.end()
    drawn = terminal.said[terminal.said.index(b"\x1b[?1049h") :]
    assert drawn.isascii()
    assert not re.search(rb"\x1b\[[0-9;]*(?:3[0-8]|4[0-8])[;m]", drawn)


def test_an_imported_run_is_shown_and_played(
    box: Sandbox, make_box: Callable[[str], Sandbox], open_terminal: Callable[..., Terminal]
) -> None:
    other = make_box("other")
    other.plan(phase("a", "echo from elsewhere"), phase("b", "exit 3", needs=["a"]))
    assert other.run().code == 1
    run = other.status()["run"]
    assert other.wavecrew("runs", "export", "-o", str(box.folder / "run.zip")).code == 0
    assert box.wavecrew("runs", "import", "run.zip").code == 0

    terminal = open_terminal("ui", run, size=(40, 10))
    terminal.until(lambda words: "1 Plan" in words and "imported from" in words, "the board")
    terminal.press("x")
    terminal.until(lambda words: "x does nothing here now" in words, "the refusal")
    terminal.press("q")
    assert terminal.end() == 0

    terminal = open_terminal(
        "ui", "--replay", run, "--speed", "0.01", env={"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}
    )
    terminal.until(lambda words: "REPLAY" in words and "> x0.01" in words, "the play")
    terminal.press("r")
    terminal.until(lambda words: "r is off: this is a recording" in words, "the refusal")
    terminal.press(">")
    terminal.until(lambda words: "at the end, x0.01" in words and "x b Phase b" in words, "the end of the play")
    terminal.press("q")
    assert terminal.end() == 0
    assert f"run {run} was played" in terminal.words
    assert terminal.said[terminal.said.index(b"\x1b[?1049h") :].isascii()
    assert not list(box.folder.glob(".wavecrew/runs/*"))


def test_a_run_that_is_at_work_is_played_as_far_as_it_is(held: Sandbox, open_terminal: Callable[..., Terminal]) -> None:
    assert held.wavecrew(*RUN[:-2], "--detach").code == 0
    wait_for(lambda: held.statuses()["a"] == "IN_PROGRESS", "the start of a")
    terminal = open_terminal("ui", "--replay", "--speed", "100000")
    terminal.until(lambda words: "at the end, x100000" in words, "the end of what is recorded")
    terminal.press("\x03")
    assert terminal.end() == 0
    assert held.statuses()["a"] == "IN_PROGRESS"
