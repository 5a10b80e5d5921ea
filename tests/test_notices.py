"""News of a run: what is one and what not, what is told at once, and that no message is harmful or tells a secret."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given

from run_stories import (
    MINITABLE,
    T0,
    approve,
    asked,
    bad_run,
    charge,
    closed,
    end,
    fail,
    finish,
    forbidden,
    good_run,
    histories,
    opening,
    phase,
    reject,
    reset,
    silence,
    skip,
    spent,
    start,
    stop,
)
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.views.notice_words import MOST_BYTES, Message, message_of, terminal_words, trial
from wavecrew.views.notices import Gatherer, Notice, NoticeFold, NoticeKind, by_urgency
from wavecrew.views.secrets import Secrets
from wavecrew.views.summary import summarize

KINDS = NoticeKind


def fold(events: list[Event]) -> tuple[NoticeFold, list[Notice]]:
    made = NoticeFold()
    return made, made.add(list(enumerate(events, start=1)))


def news(*events: Event, **options: Any) -> list[tuple[str, str]]:
    """The kinds and subjects of the news in the small plan with some more events."""
    _, found = fold([*opening(*MINITABLE, **options), *events])
    return [(one.kind.value, one.subject) for one in found]


def message(events: list[Event], notices: list[Notice] | None = None, secrets: Secrets | None = None) -> Message:
    made, found = fold(events)
    summary = summarize(made.state, events[-1].at, history=made.history)
    return message_of(by_urgency(notices or found), summary, secrets or Secrets(), project="table")


# -- what is news -----------------------------------------------------------------------------------------------


def test_a_good_run_has_one_piece_of_news_its_end() -> None:
    _, found = fold(good_run())
    assert [(one.kind, one.event) for one in found] == [(KINDS.FINISHED, len(good_run()))]


def test_a_failure_that_is_tried_again_is_no_news_and_one_for_good_is() -> None:
    _, found = fold(bad_run())
    assert [(one.kind.value, one.subject) for one in found] == [("failed", "05"), ("finished", "")]
    assert found[0].commands == ("wavecrew logs 05", "wavecrew retry 05")
    lost = fail(1, "01", outcome=Outcome.LOST, cause=Cause.LOST, detail="")
    assert news(start(0, "01"), lost) == [("failed", "01")]
    again = [start(0, "01"), *(fail(n, "01", n, retry_at=n) for n in (1,)), start(1, "01", 2), fail(2, "01", 2)]
    assert news(*again) == [("failed", "01")]


def test_what_a_person_has_just_ended_is_no_news_for_people() -> None:
    assert news(start(0, "01"), fail(1, "01", cause=Cause.CANCELLED)) == []
    assert news(start(0, "01"), fail(1, "01", outcome=Outcome.STOPPED, cause=Cause.STOPPED)) == []
    refused = {"at": T0, "phase": "01", "detail": "no"}
    assert news(ev.PhaseRefused(cause=Cause.REJECTED, **refused)) == []
    assert news(ev.PhaseRefused(cause=Cause.LOCK, **refused)) == [("failed", "01")]


def test_a_gate_is_told_once_however_often_it_is_asked_for() -> None:
    assert news(asked(0, "wave 1")) == [("approval", "wave 1")]
    assert news(asked(0, "wave 1"), charge(2, 2), asked(3, "wave 1")) == [("approval", "wave 1")]
    twice = news(asked(0, "wave 1"), reject(1, "wave 1"), asked(2, "wave 1"))
    assert twice == [("approval", "wave 1")] * 2


def test_a_silent_agent_is_told_once_and_once_more_if_it_asks() -> None:
    quiet = [start(0, "01"), silence(9, "01", 1, "Building..."), silence(10, "01", None), silence(30, "01", 20, "hm")]
    assert news(*quiet) == [("silent", "01")]
    asking = silence(50, "01", 40, "Overwrite? [y/n]")
    assert news(*quiet, asking, silence(60, "01", None), silence(90, "01", 80, "Really?")) == [
        ("silent", "01"),
        ("question", "01"),
    ]
    for stall in ("restart", "fail"):
        assert news(*quiet, asking, settings={"stall": stall}) == []


def test_a_closed_account_is_told_when_nobody_stands_in() -> None:
    shut = [start(0, "01"), closed(1, 60)]
    assert news(*shut) == [("account", "runbook")]
    assert news(*shut, settings={"fallback_agent": "other"}) == []
    both = [closed(0, 60, "other"), *shut]
    assert news(*both, settings={"fallback_agent": "other"}) == [("account", "runbook")]
    assert news(closed(1, 60, "nobody wants it")) == []
    assert news(*shut, closed(61, 120), closed(121, 300)) == [("account", "runbook")]
    worked = [*shut, end(70, "01"), start(71, "02"), closed(72, 90)]
    assert news(*worked) == [("account", "runbook")] * 2


def test_the_rest_of_what_a_person_has_to_know() -> None:
    assert news(spent(1)) == [("budget", "1usd")]
    assert news(forbidden(1, ".git/config")) == [("alarm", "")]
    assert news(stop(1)) == [("stopped", "")]
    assert news(start(0, "01"), end(1, "01"), finish(2, unproven=("01",))) == [("unproven", ""), ("finished", "")]
    assert news(start(0, "01")) == []


@given(histories())
def test_news_do_not_depend_on_the_pieces_in_which_events_come(events: list[Event]) -> None:
    whole, found = fold(events)
    single = NoticeFold()
    numbered = list(enumerate(events, start=1))
    pieces = [one for number in numbered for one in single.add([number])]
    assert pieces == found
    assert single.state == whole.state
    assert len({(one.event, one.kind) for one in found}) == len(found)


# -- what still holds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([asked(0, "wave 1")], approve(1, "wave 1")),
        ([start(0, "01"), silence(9, "01", 1, "?")], silence(10, "01", None)),
        ([start(0, "01"), fail(1, "01")], reset(2, "01")),
        ([start(0, "01"), fail(1, "01")], skip(2, "01")),
        ([stop(1)], charge(2, 2)),
        ([forbidden(1, "x")], charge(2, 2)),
        ([spent(1)], charge(2, 2)),
        ([start(0, "01"), fail(1, "01"), finish(2)], charge(3, 2)),
    ],
)
def test_what_was_answered_meanwhile_is_not_told(before: list[Event], after: Event) -> None:
    made, found = fold([*opening(MINITABLE[0]), *before])
    last = found[-1]
    assert made.holds(last, T0 + 3)
    made.add([(99, after)])
    assert not made.holds(last, T0 + 3)


def test_an_account_that_is_open_again_is_not_told() -> None:
    made, (one,) = fold([*opening(*MINITABLE), start(0, "01"), closed(1, 60)])
    assert made.holds(one, T0 + 59)
    assert not made.holds(one, T0 + 61)


# -- told at once -----------------------------------------------------------------------------------------------


def test_what_comes_within_a_few_seconds_is_told_at_once_and_not_for_ever_later() -> None:
    _, found = fold([*opening(*MINITABLE), start(0, "01"), fail(1, "01"), stop(2)])
    gatherer = Gatherer(window=3, longest=10)
    assert gatherer.wait(100) is None
    gatherer.add(found[:1], 100)
    assert gatherer.wait(101) == 2
    gatherer.add([], 102.9)
    assert gatherer.wait(103) == 0
    for now in (102, 104, 106, 108):
        gatherer.add(found[1:], now)
        assert gatherer.wait(now) == min(3, 110 - now)
    assert gatherer.wait(200) == 0
    taken = gatherer.take()
    assert [one.kind for one in taken] == [KINDS.FAILED, *[KINDS.STOPPED] * 4]
    assert gatherer.wait(200) is None
    assert gatherer.take() == []


# -- the message ------------------------------------------------------------------------------------------------


def test_one_piece_of_news_is_its_own_headline() -> None:
    sent = message([*opening(*MINITABLE), asked(0, "wave 1")])
    assert sent.title == "table: run 3f2a: wave 1 waits for your approval"
    assert sent.lines == ('next: wavecrew approve "wave 1"',)
    assert sent.data["needs_you"] is True
    assert sent.data["ended"] is False
    assert sent.data["digest"] is None
    assert sent.data["id"] == "3f2a/3"
    assert json.loads(sent.json) == sent.data


def test_the_end_is_a_digest() -> None:
    sent = message(bad_run())
    assert sent.title == "table: run 3f2a failed after 15.0s: 7 of 10 done, 1 failed, 2 blocked"
    assert any(line.startswith("failed 05 stats: check: exit code 1") for line in sent.lines)
    assert sent.lines[-1].startswith("next: wavecrew logs 05")
    digest = sent.data["digest"]
    assert (digest["passed"], digest["skipped"], digest["blocked"], digest["retries"]) == (6, 1, 2, 1)
    assert [one["phase"] for one in digest["failed"]] == ["05"]
    assert digest["notices"] == 2
    assert [one["kind"] for one in sent.data["notices"]] == ["failed", "finished"]


def test_a_hundred_failures_are_one_short_message() -> None:
    phases = [phase(f"{number:03}") for number in range(100)]
    events: list[Event] = [*opening(*phases, agents=100), *(start(0, one.id) for one in phases)]
    events += [fail(1, one.id, detail="x" * 10_000) for one in phases]
    sent = message([*events, finish(2)])
    assert len(sent.lines) < 25
    assert "and 92 more" in sent.lines
    assert sent.data["more"] == 61
    assert len(sent.json) <= MOST_BYTES
    assert max(map(len, sent.lines)) <= 300


def test_a_message_never_grows_beyond_its_cap() -> None:
    wide = "\u4e2d" * 150
    phases = [phase(f"{number:03} {wide}") for number in range(60)]
    events: list[Event] = [*opening(*phases, agents=60), *(start(0, one.id) for one in phases)]
    events += [fail(1, one.id, detail="\U0001f600" * 999) for one in phases]
    sent = message([*events, finish(2)])
    assert len(sent.json.encode()) <= MOST_BYTES
    assert json.loads(sent.json)["title"] == sent.title


HOSTILE = (
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "\x1b[6n",
    "a\r\nb\x00c",
    "\u202egnp.exe",
    "\x1b\\\x07\x1b]9;x",
    "\x90q\x9c",
    "\udc80",
)


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize(
    "environ",
    [
        {"TERM": "xterm-kitty"},
        {"TERM": "xterm", "TERM_PROGRAM": "iTerm.app"},
        {"TERM": "foot"},
        {"TERM": "xterm"},
    ],
)
def test_foreign_words_steer_nothing(words: str, environ: dict[str, str]) -> None:
    events = [
        *opening(*MINITABLE),
        start(0, "01"),
        silence(9, "01", 1, f"{words} proceed?"),
        fail(10, "01", detail=words + " and;more"),
        finish(11),
    ]
    sent = message(events)
    for text in (*sent.lines, sent.title, *(one["text"] for one in sent.data["notices"])):
        assert text.isprintable(), text
    assert all(sign.isprintable() or sign == "\n" for sign in sent.data["text"])
    sequence = terminal_words(sent, environ)
    inner = sequence.replace("\x1b]99;", "").replace("\x1b]9;", "").replace("\x1b]777;notify;", "")
    inner = inner.replace("\x1b\\", "").removesuffix("\a")
    assert all(sign.isprintable() for sign in inner), repr(sequence)
    sequence.encode()
    json.loads(sent.json.encode())


@given(histories())
def test_no_history_makes_a_message_that_steers_anything(events: list[Event]) -> None:
    made, found = fold(events)
    if found:
        summary = summarize(made.state, events[-1].at, history=made.history)
        sent = message_of(by_urgency(found), summary, Secrets(), project="\x1b[31m")
        texts = "".join((sent.title, *sent.lines))
        assert not [sign for sign in texts if category(sign) in ("Cc", "Cs") or sign in "\u202e\u2028"]
        assert json.loads(sent.json)["run"] == "3f2a"


@pytest.mark.parametrize(
    ("environ", "beginning"),
    [
        ({}, ""),
        ({"TERM": "dumb"}, ""),
        ({"TERM": "xterm-256color"}, "\a"),
        ({"TERM": "linux"}, "\a"),
        ({"TERM": "screen-256color", "KITTY_WINDOW_ID": "1"}, "\a"),
        ({"TERM": "xterm", "TMUX": "/tmp/x", "TERM_PROGRAM": "iTerm.app"}, "\a"),
        ({"TERM": "xterm-kitty"}, "\x1b]99;i=wavecrew:d=0;"),
        ({"TERM": "xterm", "KITTY_WINDOW_ID": "1"}, "\x1b]99;"),
        ({"TERM": "xterm", "TERM_PROGRAM": "iTerm.app"}, "\x1b]9;wavecrew: "),
        ({"TERM": "xterm", "TERM_PROGRAM": "WezTerm"}, "\x1b]777;notify;"),
        ({"TERM": "xterm-ghostty"}, "\x1b]777;notify;"),
        ({"TERM": "rxvt-unicode-256color"}, "\x1b]777;notify;"),
    ],
)
def test_each_terminal_gets_what_it_understands(environ: dict[str, str], beginning: str) -> None:
    words = terminal_words(trial("table"), environ)
    assert words.startswith(beginning)
    assert bool(words) == bool(beginning)


def test_a_title_with_a_semicolon_cannot_end_itself() -> None:
    sent = replace(trial("a"), title="a;b;c")
    assert terminal_words(sent, {"TERM": "foot"}).startswith("\x1b]777;notify;a,b,c;")


# -- secrets ----------------------------------------------------------------------------------------------------


def test_values_of_variables_are_hidden_with_their_names() -> None:
    secrets = Secrets({"TOKEN": "hunter2-hunter2", "LANG": "C", "QUOTED": 'a"b\\c-secret'})
    assert secrets.hide("x hunter2-hunter2 y C") == "x [hidden TOKEN] y C"
    assert "secret" not in secrets.hide(json.dumps({"a": 'a"b\\c-secret'}))
    assert secrets.hidden == 2
    assert secrets.hide_in({"hunter2-hunter2": ["hunter2-hunter2", 3, None, True]}) == {
        "hunter2-hunter2": ["[hidden TOKEN]", 3, None, True]
    }


def test_of_two_values_the_longer_is_hidden_whole() -> None:
    assert Secrets({"A": "secret", "B": "secret-and-more"}).hide("secret-and-more") == "[hidden B]"


_KEYS = (
    "sk-" + "ant-api03-" + "a" * 40,
    "ghp_" + "A1b2" * 9,
    "github_pat_" + "A" * 40,
    "xoxb-" + "1234567890-abcdef",
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "eyJ" + "a" * 20 + "." + "b" * 30 + "." + "c" * 20,
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
)


@pytest.mark.parametrize("key", _KEYS)
def test_what_looks_like_a_key_is_hidden(key: str) -> None:
    assert Secrets().hide(f"the key is {key}, yes") == "the key is [hidden], yes"


def test_passwords_in_addresses_and_headers_are_hidden() -> None:
    assert Secrets().hide("git clone https://me:pass@host/x") == "git clone https://[hidden]@host/x"
    assert Secrets().hide("Authorization: Bearer abcdef123") == "Authorization: Bearer [hidden]"
    assert Secrets().hide("sk-short https://host/x a@b task-force") == "sk-short https://host/x a@b task-force"


def test_no_secret_is_in_a_message() -> None:
    value = "s3cr3t-value-of-a-variable"
    events = [
        *opening(phase(f"01 {value}")),
        start(0, "01"),
        silence(5, "01", 1, f"password {value}?"),
        fail(9, "01", detail=f"it said {value[:9]}\x1b[0m{value[9:]}"),
        stop(10, value),
    ]
    sent = message(events, secrets=Secrets({"TOKEN": value}))
    assert value not in sent.json + sent.text
    assert "[hidden TOKEN]" in sent.text
