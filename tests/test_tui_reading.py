"""What the board reads and writes, without a terminal: lines, actions, logs from their end, commands."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_stories import (
    MINITABLE,
    T0,
    bad_run,
    forbidden,
    good_run,
    held_run,
    histories,
    opening,
    pause,
    start,
    state_at,
    stop,
    until,
)
from tui_world import big_run, gated_run
from wavecrew.api.attempt_folders import attempt_told
from wavecrew.core.redaction import Redaction
from wavecrew.errors import UsageError
from wavecrew.models.events import Event
from wavecrew.models.execution_state import replay
from wavecrew.tui.commands import parsed
from wavecrew.tui.log_end import LINES, LogEnd
from wavecrew.tui.log_rows import LogRows
from wavecrew.tui.palette import DARK, LIGHT, PLAIN, STYLES, theme_for
from wavecrew.tui.rows import safe
from wavecrew.views import board_parts
from wavecrew.views.board_actions import actions, look_commands, stop_action
from wavecrew.views.board_graph import graph_lines
from wavecrew.views.board_keys import HELP, Pane, footer, help_lines
from wavecrew.views.board_lists import LINE_LIMIT, event_line, log_line, log_rows, needs
from wavecrew.views.board_parts import Line, folded, plain_text, shown
from wavecrew.views.board_phase import AttemptTold, StepTold, check_lines, diff_lines, phase_events, phase_head
from wavecrew.views.board_plan import alarm_words, chosen_rows, head_line, plan_lines
from wavecrew.views.board_time import time_rows
from wavecrew.views.report_waits import stretches
from wavecrew.views.run_history import History
from wavecrew.views.summary import DONE, Standing, Summary, summarize
from wavecrew.views.terminal_text import cells

HALF = until(good_run(), 6.5)


def summary_of(events: list[Event], at: float = 6.5, *, alive: bool | None = True) -> Summary:
    return summarize(replay(events), T0 + at, alive=alive, history=History(events))


def text_of(lines: list[Line]) -> str:
    return "\n".join(plain_text(line) for line in lines)


# -- lines --------------------------------------------------------------------------------------------------------


def test_the_head_loses_the_least_important_first() -> None:
    summary = summary_of(HALF)
    assert plain_text(head_line(summary, 100)) == (
        "minitable  3f2a  ▶ running 6.5s  ✓2 ▶3 ◷1 ·4 ✗0  needs you 0  about 16.5s left  cost unknown"
    )
    assert plain_text(head_line(summary, 60)) == "minitable  3f2a  ▶ running 6.5s  ✓2 ▶3 ◷1 ·4 ✗0  needs you 0"
    assert plain_text(head_line(summary, 50)) == "3f2a  ▶ running 6.5s  ✓2 ▶3 ◷1 ·4 ✗0  needs you 0"
    assert plain_text(head_line(summary, 20)) == "▶ running 6.5s"
    assert plain_text(head_line(summary, 8)) == "▶ runni…"


@pytest.mark.parametrize("width", [36, 45, 80])
def test_the_plan_has_shape_word_and_label(width: int) -> None:
    summary = summary_of(HALF)
    lines = plan_lines(summary, chosen_rows(summary), width)
    assert [plain_text(line)[:23].rstrip() for line in lines[:3]] == [
        "w1 ✓ 01 scaffold passed",
        "w2 ✓ 02 reader   passed",
        "   ◷ 03 markdown waits",
    ]
    assert all(cells(plain_text(line)) <= width for line in lines)
    assert "◆" in plain_text(lines[3])


def test_the_plan_says_why_where_there_is_room() -> None:
    summary = summary_of(HALF)
    lines = text_of(plan_lines(summary, chosen_rows(summary), 100))
    assert "waits for minitable/registry.py, held by 04 html" in lines
    assert "← 03 04" in lines


def test_the_plan_is_filtered_by_words() -> None:
    summary = summary_of(HALF)
    assert [row.id for row in chosen_rows(summary, "wave3 running")] == ["05", "06"]
    assert [row.id for row in chosen_rows(summary, "REGISTRY")] == ["03"]
    assert chosen_rows(summary, "nothing like it") == []


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (pause(6), "paused by ann: nothing new starts"),
        (forbidden(6, ".git/config"), "ALARM: .git/config was changed"),
        (stop(6), "it was stopped (SIGINT)"),
    ],
)
def test_what_has_to_be_seen_first(event: Event, words: str) -> None:
    events = opening(*MINITABLE) if "stopped" in words else HALF
    assert words in alarm_words(summary_of([*events, event], 7, alive="stopped" not in words))


def test_the_bars_of_a_run_that_goes_on() -> None:
    events = [*until(good_run(), 6.5)]
    summary, history = summary_of(events), History(events)
    rows = time_rows(summary, history, stretches(events, history), 60)
    drawn = {row.phase: plain_text(row.line) for row in rows}
    assert list(drawn) == ["04", "05", "06", "03", "02", "01"]  # what goes on stands first
    assert drawn["03"].split() == ["03", "markdown", "·" * len(drawn["03"].split()[2]), "◷", "4.5s"]
    assert "█" in drawn["01"]
    assert "▒" in drawn["04"]
    assert all(cells(line) <= 60 for line in drawn.values())


def test_waits_for_people_are_drawn() -> None:
    events = gated_run()
    summary, history = summary_of(events, 100), History(events)
    lines = [plain_text(row.line) for row in time_rows(summary, history, stretches(events, history), 70)]
    assert any(line.startswith("wave 3 ") and "????" in line for line in lines)
    events = held_run()
    summary, history = summary_of(events, 30), History(events)
    lines = [plain_text(row.line) for row in time_rows(summary, history, stretches(events, history), 70)]
    assert any(line.startswith("04 ") and "?" in line for line in lines)
    assert any(line.startswith("runbook ") and "~" in line for line in lines)


def test_who_needs_you_and_how_to_answer() -> None:
    lines = text_of([one.line for one in needs(summary_of(gated_run(), 90), 80)])
    assert "wave 3 waits for approval: 1 ready behind it   a approve   A reject" in lines
    found = needs(summary_of(held_run(), 20), 100)
    assert [one.phase for one in found] == ["04"]
    assert "Overwrite html.py? [y/n]" in plain_text(found[0].line)


def test_the_head_and_events_of_a_phase() -> None:
    events = bad_run()
    state, history = replay(events), History(events)
    row = summary_of(events, 16).by_id["06"]
    first, second = [one for one in history.attempts if one.phase == "06"]
    assert plain_text(phase_head(row, second, T0, 80)) == "06 fuzz  attempt 2 of 2  runbook  ✓ passed 5.0s"
    assert plain_text(phase_head(row, first, T0, 80)) == "06 fuzz  attempt 1 of 2  runbook  failed 2.0s"
    told = text_of(phase_events(events, state, row, 1, 80))
    assert "retry" in told
    assert "attempt=2" not in told


def test_the_steps_tell_where_they_stand() -> None:
    summary = summary_of(HALF)
    info, row = replay(HALF).graph.nodes["04"], summary.by_id["04"]
    steps = (StepTold("run", "one"), StepTold("run", "two"), StepTold("check", "three"))
    at_work = text_of(check_lines(info, row, AttemptTold(steps, at=2), 60))
    assert [line[0] for line in at_work.splitlines()[:3]] == ["✓", "▶", "·"]
    failed = text_of(check_lines(info, row, AttemptTold(steps, failed=2, over=True), 60))
    assert [line[0] for line in failed.splitlines()[:3]] == ["✓", "✗", "·"]
    over = text_of(check_lines(info, row, AttemptTold(steps, over=True), 60))
    assert [line[0] for line in over.splitlines()[:3]] == ["✓", "✓", "✓"]


def test_a_difference_keeps_only_our_colours() -> None:
    lines = diff_lines("head\n\x1b[32m+added \x1b[31mx\x1b[0m\n\x1b[31m-gone\x1b[0m\n \x1b[2Jplain\n", 80)
    assert [(piece.text, piece.style) for (piece,) in lines] == [
        ("head", ""),
        ("+added x", "add"),
        ("-gone", "remove"),
        (" plain", ""),
    ]


def test_the_graph_in_words() -> None:
    state = state_at(good_run(), 6.5)
    lines = text_of(graph_lines(summary_of(HALF), state.graph, "07", 80))
    assert "paces the rest  04 ⇢ 03 → 07 → 09 → 10" in lines
    assert "  needs      02 03 04" in lines
    assert "  and before 01" in lines
    assert "  needed by  08 09" in lines
    assert "← 05 07   → 10" in lines


@given(histories(), st.integers(20, 220))
def test_no_history_breaks_a_line(events: list[Event], width: int) -> None:
    """Whatever happened, with any words in it: lines are harmless and fit, and every action is a command."""
    summary = summarize(replay(events), events[-1].at + 5, alive=True, history=History(events))
    history = History(events)
    rows = chosen_rows(summary)
    lines = [head_line(summary, width), *plan_lines(summary, rows, max(36, width))]
    lines += [row.line for row in time_rows(summary, history, stretches(events, history), max(40, width))]
    lines += [one.line for one in needs(summary, width)]
    for line in lines:
        text = plain_text(line)
        assert cells(text) <= max(40, width), text
        assert all(piece.style in board_parts.STYLES for piece in line)
        assert "\x1b" not in text
        assert "\n" not in text
    for row in (None, *rows):
        found = actions(summary, row)
        assert len({one.key for one in found}) == len(found)
        for action in (*found, *look_commands(summary, row, 1)):
            assert action.command.startswith("wavecrew ")


# -- actions and keys ---------------------------------------------------------------------------------------------


def keys(summary: Summary, phase: str) -> str:
    return " ".join(one.key for one in actions(summary, summary.by_id[phase]))


def test_which_actions_fit() -> None:
    half = summary_of(HALF)
    assert keys(half, "04") == "x space"
    assert keys(half, "01") == "r R space"
    assert keys(half, "10") == "s space"
    over = summary_of(bad_run(), 16)
    assert keys(over, "05") == "r R s G"
    assert keys(summary_of(good_run(), 24), "05") == "r R"
    assert keys(summary_of(gated_run(), 90), "03") == "a A s space"
    assert stop_action(over) is None
    assert stop_action(half) is not None


def test_an_imported_run_can_only_be_looked_at() -> None:
    summary = replace(summary_of(bad_run(), 16), imported="box")
    assert actions(summary, summary.by_id["05"]) == ()
    assert "imported from box" in alarm_words(summary)


def test_only_what_does_harm_is_asked_about() -> None:
    half = summary_of(HALF)
    asked = {one.key: bool(one.confirm) for name in ("01", "04", "10") for one in actions(half, half.by_id[name])}
    assert asked == {"x": True, "r": True, "R": True, "s": True, "space": False}
    assert not next(one for one in actions(summary_of(bad_run(), 16), summary_of(bad_run(), 16).by_id["05"])).confirm


def test_odd_ids_are_arguments_still() -> None:
    from run_stories import phase

    events = [*opening(phase("-x y", "", 5)), start(0, "-x")]
    summary = summary_of(events, 1)
    found = next(one for one in actions(summary, summary.by_id["-x"]) if one.key == "x")
    assert found.arguments == ("cancel", "--run", "3f2a", "--", "-x")
    assert found.command == "wavecrew cancel --run 3f2a -- -x"


def test_the_foot_keeps_help_and_leave() -> None:
    found = actions(summary_of(HALF), summary_of(HALF).by_id["04"])
    for width in (40, 80, 200):
        for pane in Pane:
            text = plain_text(footer(found, pane, width))
            assert cells(text) <= width
            assert text.endswith("q leave")
            assert "? help" in text
    assert "x cancel" in plain_text(footer(found, Pane.PLAN, 80))


def test_every_key_is_on_the_page_behind_help() -> None:
    text = text_of(list(help_lines(80)))
    assert all(cells(line) <= 80 for line in text.splitlines())
    for key, words in HELP:
        assert not words or key in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("locks list", ["locks", "list"]),
        ("wavecrew retry '04 html'", ["retry", "04 html"]),
        ("run", ["run", "--detach"]),
        ("run --dry-run", ["run", "--dry-run"]),
    ],
)
def test_command_lines(line: str, words: list[str]) -> None:
    assert parsed(line) == words


@pytest.mark.parametrize("line", ["", "wavecrew", "ui", "resume", "retry 'x"])
def test_command_lines_that_make_no_sense_here(line: str) -> None:
    with pytest.raises(UsageError):
        parsed(line)


# -- words on a terminal ------------------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_nothing_but_characters_reaches_the_terminal(text: str) -> None:
    for encoding in ("utf-8", "ascii", "latin-1"):
        found = safe(text, encoding)
        assert found.isprintable()
        found.encode(encoding)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=80), st.integers(4, 30))
def test_folding_loses_nothing(text: str, width: int) -> None:
    rows = list(folded(text, width))
    assert "".join(rows) == text
    assert all(cells(row) <= width for row in rows)


def test_folding_at_blanks() -> None:
    assert list(folded("two words and more", 10, at_blanks=True)) == ["two words", "and more"]
    assert list(folded("    indented words", 12, at_blanks=True)) == ["    indented", "words"]
    assert list(folded("onelongwordonly x", 8, at_blanks=True)) == ["onelongw", "ordonly", "x"]


def test_a_line_of_a_log_is_what_a_terminal_would_leave() -> None:
    assert log_line("10%\r50%\rdone\r\n") == "done"
    assert log_line("\x1b[31mred\x1b[0m\tx \x1b]52;c;ZXZpbA==\x07y") == "red     x y"
    assert log_line("x" * (LINE_LIMIT + 5)).endswith(" ... 5 more characters")


def test_what_was_searched_for_is_marked() -> None:
    (line,) = log_rows("An Error, another error", 80, "error")
    assert [(piece.text, piece.style) for piece in line if piece.style] == [("Error", "mark"), ("error", "mark")]


def test_every_standing_has_a_sign_and_is_counted_at_the_head() -> None:
    row = summary_of(HALF).by_id["07"]
    words = [board_parts.sign_of(replace(row, standing=standing)).word for standing in Standing]
    assert len(set(words)) == len(words)
    for standing in set(Standing) - {Standing.LEFT_OUT}:
        counts = dict.fromkeys(Standing, 0) | {standing: 7}
        done = 7 if standing in DONE else 0
        assert "7" in plain_text(head_line(replace(summary_of(HALF, 1), counts=counts, done=done), 300)), standing


def test_signs_have_a_stand_in() -> None:
    assert shown("◆ ✓ ▶ │ ↵ 你", "ascii") == "* + > | < ?"
    assert shown("plain", "ascii") == "plain"
    assert shown("◆ ✓", "utf-8") == "◆ ✓"


def test_events_have_the_colour_of_their_verb() -> None:
    styles = {text: event_line(f"00:01.0 {text} 04 html")[1].style for text in ("pass", "fail", "wait", "start")}
    assert styles == {"pass": "good", "fail": "bad", "wait": "wait", "start": "busy"}
    assert plain_text(event_line("no time at all")) == "no time at all"


def test_themes() -> None:
    assert theme_for({}, color=True) == DARK
    assert theme_for({"COLORFGBG": "15;0"}, color=True) == DARK
    assert theme_for({"COLORFGBG": "0;15"}, color=True) == LIGHT
    assert theme_for({"COLORFGBG": "0;15"}, color=False) == PLAIN
    assert all(style.color is None and style.bgcolor is None for style in STYLES[PLAIN].values())


@pytest.mark.parametrize(("theme", "background"), [(DARK, "#0d1117"), (LIGHT, "#ffffff")])
def test_every_colour_can_be_read(theme: str, background: str) -> None:
    from rich.color import Color

    def light(color: Color) -> float:
        parts = [part / 255 for part in color.get_truecolor()]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for name, style in STYLES[theme].items():
        fore = light(style.color) if style.color else None
        back = light(style.bgcolor or Color.parse(background))
        if fore is not None:
            contrast = (max(fore, back) + 0.05) / (min(fore, back) + 0.05)
            assert contrast >= 4.5, (name, contrast)


# -- logs ---------------------------------------------------------------------------------------------------------


def test_a_log_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    end = LogEnd(path)
    assert not end.read()
    path.write_bytes(b"one\ntw")
    assert end.read()
    assert end.lines == ["one", "tw"]
    assert not end.read()
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert end.read()
    assert end.lines == ["one", "two", "three"]
    assert not end.cut


def test_a_log_shows_no_value_that_was_handed_to_agents(tmp_path: Path) -> None:
    path = tmp_path / "log"
    rows = LogRows(path, Redaction(("KEY",), {"KEY": "s3cret-of-mine"}))
    path.write_bytes(b"I use s3cret-of-mine\nand s3cret-of-mi")
    rows.update(80)
    assert rows.text == "I use [KEY]\nand s3cret-of-mi"
    with path.open("ab") as file:
        file.write(b"ne again")
    rows.update(80)
    assert rows.text == "I use [KEY]\nand [KEY] again"


def test_only_the_end_of_a_large_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %07d\n" % number for number in range(200_000)))
    end = LogEnd(path)
    end.read()
    assert end.cut
    assert end.lines[-1] == "line 0199999"
    assert all(len(line) == 12 for line in end.lines)
    assert len(end.lines) < 25_000
    with path.open("ab") as file:  # more than is read at once: the end is what counts
        file.write(b"".join(b"more %07d\n" % number for number in range(100_000)))
    assert end.read()
    assert end.lines[-1] == "more 0099999"
    assert all(line.startswith("more") for line in end.lines)


def test_a_log_that_becomes_shorter_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\nb\nc\n")
    end = LogEnd(path)
    end.read()
    path.write_bytes(b"a\n")
    assert end.read()
    assert end.lines == ["a"]


def test_no_more_lines_are_kept_than_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    end = LogEnd(path)
    for _ in range(20):
        with path.open("ab") as file:
            file.write(b"x\n" * 1000)
        end.read()
    assert LINES <= len(end.lines) <= LINES * 6 // 5
    assert end.cut


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_file_is_no_log(tmp_path: Path, kind: str) -> None:
    path, secret = tmp_path / "log", tmp_path / "secret"
    secret.write_text("secret\n")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(secret)
    else:
        path.mkdir()
    end = LogEnd(path)
    assert not end.read()
    assert end.lines == []


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30), max_size=8))
def test_rows_that_grow_are_those_of_the_whole(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    grown = LogRows(path)
    grown.update(20)
    for line in lines:
        with path.open("a", encoding="utf-8") as file:
            file.write(line[: len(line) // 2])
        grown.update(20)
        with path.open("a", encoding="utf-8") as file:
            file.write(line[len(line) // 2 :] + "\n")
        grown.update(20)
    whole = LogRows(path)
    whole.update(20)
    assert text_of(grown.rows) == text_of(whole.rows)


def test_the_folder_of_an_attempt_may_hold_anything(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "3f2a" / "04" / "1"
    folder.mkdir(parents=True)
    assert attempt_told(tmp_path, "3f2a", "04", 1) == AttemptTold()
    for text in ("[]", "{", '{"steps": 3}', '{"steps": [1, {"stdin": "../../x", "argv": 7}]}', "null"):
        (folder / "job.json").write_text(text)
        attempt_told(tmp_path, "3f2a", "04", 1)


# -- what is not loaded -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["status"], ["run", "--help"], ["ui", "--help"]])
def test_nothing_loads_the_terminal_ui_before_it_is_wanted(tmp_path: Path, words: list[str]) -> None:
    code = (
        "import sys; sys.argv[0] = 'wavecrew'; from wavecrew.cli.main import _run; _run();"
        "print([name for name in ('textual', 'rich', 'wavecrew.tui') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=tmp_path, env=os.environ
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_big_runs_have_all_states() -> None:
    for count in (60, 200):
        summary = summary_of(big_run(count), 5000)
        assert sum(bool(number) for number in summary.counts.values()) >= 8
