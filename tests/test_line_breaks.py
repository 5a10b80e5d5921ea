"""Lines for a screen: as wide as it is, and what can be copied stays in one piece. In a pipe they stay whole."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.views.line_breaks import broken
from wavecrew.views.terminal_text import cells

FIX = "leave out --into, and later: wavecrew status --wait; wavecrew land --into main"


@pytest.mark.parametrize(
    "whole",
    [
        "`wavecrew plan FOLDER`",
        "'a name of five words'",
        '"a name of five words"',
        "wavecrew run --isolation worktree",
        "git -C /some/where worktree list",
    ],
)
@pytest.mark.parametrize("width", range(8, 70, 3))
def test_what_can_be_copied_is_never_broken(whole: str, width: int) -> None:
    text = f"nothing of it is here, so look for it with: {whole}; then think again about all of it"
    lines = broken(text, width, "  fix: ", "       ")
    assert any(whole in line for line in lines)
    assert all(cells(line) <= width or len(line.split(maxsplit=1)[1:]) == 0 or whole in line for line in lines[1:])


def test_two_commands_may_stand_on_two_lines() -> None:
    assert broken(FIX, 60, "  fix: ", "       ") == [
        "  fix: leave out --into, and later: wavecrew status --wait;",
        "       wavecrew land --into main",
    ]
    assert broken(FIX, 100, "  fix: ", "       ") == [f"  fix: {FIX}"]


@pytest.mark.parametrize("width", range(30, 110))
def test_each_of_several_commands_is_whole(width: int) -> None:
    lines = "\n".join(broken(FIX, width, "  fix: ", "       "))
    assert "wavecrew status --wait;" in lines
    assert "wavecrew land --into main" in lines


def test_an_apostrophe_begins_no_quotation() -> None:
    lines = broken("the owner's folder isn't there, and the other's isn't either", 24)
    assert len(lines) == 3
    assert max(map(len, lines)) <= 24


@given(st.text(alphabet="ab `'\":;,)wavecrew git漢", max_size=200), st.integers(5, 90))
def test_no_word_is_lost(text: str, width: int) -> None:
    assert " ".join(broken(text, width)) == text


# -- on a screen ------------------------------------------------------------------------------------------------

_HERE = {"PATH": os.environ["PATH"], "NO_COLOR": "1"}


def _on_a_screen(folder: Path, columns: int, *words: str, **more: str) -> list[str]:
    """What a command prints on a terminal of so many columns."""
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "wavecrew", *words]
    env = {**_HERE, "HOME": str(folder), "TERM": "xterm", **more}
    with subprocess.Popen(command, cwd=folder, env=env, stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        said = b""
        try:
            while piece := os.read(main, 65536):
                said += piece
        except OSError:  # the other end is closed
            pass
        process.wait(60)
    os.close(main)
    return said.decode().replace("\r\n", "\n").splitlines()


def _in_a_pipe(folder: Path, *words: str, **more: str) -> str:
    command = [sys.executable, "-m", "wavecrew", *words]
    env = {**_HERE, "HOME": str(folder), **more}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=120, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "plan.json").write_text('{"phases": [{"id": "a", "command": ["true"]}]}', encoding="utf-8")
    return tmp_path


LANDING = ("run", "plan.json", "--yes", "--into", "main", "--detach")


def test_an_error_is_as_wide_as_the_screen(project: Path) -> None:
    narrow = _on_a_screen(project, 60, *LANDING)
    assert narrow == [
        "error[WC002]: --into and --detach do not go together: nobody",
        "    would be here at the end to land the result",
        "  fix: leave out --into, and later: wavecrew status --wait;",
        "       wavecrew land --into main",
    ]
    usage = _on_a_screen(project, 60, "report", "--format", "pdf")
    assert usage[0] == "Usage: wavecrew report [OPTIONS] [RUN]"
    assert max(map(len, usage)) <= 60
    assert _on_a_screen(project, 0, *LANDING) == _on_a_screen(project, 80, *LANDING)  # a terminal that cannot tell
    assert _on_a_screen(project, 60, *LANDING, COLUMNS="70") != narrow


def test_an_error_in_a_pipe_stays_whole(project: Path) -> None:
    first, second = _in_a_pipe(project, *LANDING, COLUMNS="40").splitlines()
    assert first.endswith("nobody would be here at the end to land the result")
    assert second == f"  fix: {FIX}"


@pytest.mark.parametrize("more", [{"LC_ALL": "C"}, {"LANG": "C"}, {"LANG": "POSIX"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_place_without_our_signs_gets_others(project: Path, more: dict[str, str]) -> None:
    assert "·" in _in_a_pipe(project, LC_ALL="C.UTF-8")
    for words in ((), ("plan", "plan.json"), ("notify",), ("agents", "list")):
        said = _in_a_pipe(project, *words, **more)
        assert said.isascii(), said
        assert not re.search(r" \? |\?$", said, re.MULTILINE), said


def test_names_of_others_are_as_they_are_also_in_the_locale_c(project: Path) -> None:
    (project / "plan.json").write_text('{"phases": [{"id": "ä", "name": "Käse", "command": ["true"]}]}', "utf-8")
    assert "Käse" in _in_a_pipe(project, "plan", "plan.json", LC_ALL="C")


def test_help_calls_numbers_by_words_people_know(tmp_path: Path) -> None:
    said = _in_a_pipe(tmp_path, "lock", "--help")
    assert "--timeout NUMBER" in said
    assert "0 to 604800]" in said
    assert "-j N " in _in_a_pipe(tmp_path, "demo", "--help")
    assert "Settings" not in _in_a_pipe(tmp_path, "init", "--help")
    narrow = [len(line) for line in _in_a_pipe(tmp_path, "run", "--help", COLUMNS="60").splitlines()]
    assert max(narrow) <= 60
