"""Colours for our own screens: the right word has one, nothing of others has, and the text is the same without them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_stories import MINITABLE, T0, bad_run, good_run
from wavecrew.models.execution_state import replay
from wavecrew.views.paint import paint
from wavecrew.views.run_plain import lines_for
from wavecrew.views.run_status import run_text, runs_table, status_text
from wavecrew.views.summary import summarize

assert MINITABLE


def bare(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text)


@given(st.text(alphabet=st.characters(exclude_characters="\x1b")))
def test_without_its_colours_a_text_is_what_it_was(text: str) -> None:
    assert bare(paint(text)) == text


@pytest.mark.parametrize(
    ("line", "word", "color"),
    [
        ("error[WC100]: a cycle", "error", 31),
        ("warning[WC110]: no estimate", "warning", 33),
        ("run 3f2a  succeeded after 4.0s  2 of 2 done", "succeeded", 32),
        ("run 3f2a  FAILED 1/2  wall 3s", "FAILED", 31),
        ("  failed   02 reader  exit code 1", "failed", 31),
        ("00:03.8 pass   1 A 3.6s", "pass", 32),
        ("01:00:03.8 fail   1 A 3.6s", "fail", 31),
        ("next: wavecrew run", "next:", 1),
        ("OUT OF DATE: 1 A was edited", "OUT OF DATE:", 1),
        ("ok    python         3.11.7", "ok", 32),
        ("FAIL  python         2.7", "FAIL", 31),
        ("  removed  wavecrew/r1/a/1", "removed", 32),
        ("     1  a Alpha  gone          1     0.0s  dead", "gone", 31),
        ("6a6ab8  interrupted  0/2   0", "interrupted", 31),
    ],
)
def test_the_word_that_matters_has_a_colour(line: str, word: str, color: int) -> None:
    assert paint(line) == line.replace(word, f"\x1b[{color}m{word}\x1b[0m", 1)


@pytest.mark.parametrize(
    "line",
    ["  | error: of somebody else", "a failed phase", "\x1b[32mpass\x1b[0m  x", "errors of many", "", "  running"],
)
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert paint(line) == line


@pytest.mark.parametrize("story", [good_run(), bad_run()])
def test_our_screens_are_painted_and_say_the_same(story: list) -> None:  # type: ignore[type-arg]
    state = replay(story)
    summary = summarize(state, T0 + 99)
    plain = "\n".join(line for event in story for line in lines_for(event, state, T0))
    for text in (status_text(summary), run_text(summary), runs_table([summary]), plain):
        assert "\x1b[" in paint(text)
        assert bare(paint(text)) == text
