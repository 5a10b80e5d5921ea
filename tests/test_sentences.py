"""Fields written as sentences, times in words, the ends of names, and files in drawn trees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.plans.durations import parse_duration
from wavecrew.plans.labels import Kind, fields_in, kind_of
from wavecrew.plans.markdown import Fence
from wavecrew.plans.notations import clean_name, parse_title
from wavecrew.plans.trees import listed_paths


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("Must follow 2.", "2."),
        ("After Phase 3 is merged.", "Phase 3"),
        ("Once Phases 1 and 2 are done", "Phases 1 and 2"),
        ("Do not start before Phase 4", "Phase 4"),
        ("Dependencies - Phase 1", "Phase 1"),
        ("Independent.", "none"),
        ("This phase has no dependencies.", "none"),
        ("Sobald Phase 2 fertig ist", "Phase 2 fertig ist"),
        ("After lunch we meet.", ""),
        ("After Phase 3, revisit the tables", ""),
        ("When Phase 3 is over, we party.", ""),
        ("Can start before Phase 3", ""),
        ("Independent verification is good", ""),
        ("Notes - Phase 1 was hard", ""),
    ],
)
def test_sentences_that_are_fields(line: str, value: str) -> None:
    found = [(text, kind_of(label)) for label, text, _ in fields_in(line)]
    assert found == ([(value, Kind.DEPENDS)] if value else [])


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("about two hours", 2.0),
        ("a week", 40.0),
        ("2h30", 2.5),
        ("ca. 3 Stunden", 3.0),
        ("4h (±1h)", 4.0),
        ("5 PT", 40.0),
        ("3 Personentage", 24.0),
        ("mezza giornata", 4.0),
        ("une demi-journée", 4.0),
        ("полдня", 4.0),
        ("a lot", None),
        ("about right", None),
    ],
)
def test_times_in_words(text: str, hours: float | None) -> None:
    assert parse_duration(text) == hours


@pytest.mark.parametrize(
    ("heading", "name", "notes"),
    [
        ("Base - 2 hours", "Base", ("2 hours",)),
        ("Base | Est: 1 day | Deps: 1, 2", "Base", ("Deps: 1, 2", "Est: 1 day")),
        ("Sign-up (in progress)", "Sign-up", ("in progress",)),
        ("Cut over - 2 databases", "Cut over - 2 databases", ()),
        ("Plug in", "Plug in", ()),
    ],
)
def test_ends_of_names(heading: str, name: str, notes: tuple[str, ...]) -> None:
    assert clean_name(heading) == (name, notes)


@pytest.mark.parametrize("text", ["2.1.0] - 2026-01-03", "[1.0.0]", "2.5 hours later", "1.5 GB of data"])
def test_versions_and_amounts_are_no_numbers_of_phases(text: str) -> None:
    title = parse_title(text)
    assert title is None or (not title.separated and title.id == "1.5")


def test_a_block_with_a_sentence_lists_no_files() -> None:
    assert listed_paths(Fence("", "src/\n  a.py\n  b/\n", 1)) == [(2, "src/a.py"), (3, "src/b/")]
    assert listed_paths(Fence("", "src/a.py\nrun the tests\n", 1)) == []
    assert listed_paths(Fence("python", "a.py\n", 1)) == []


@given(st.text(alphabet="│├└─ /.ab#\n", max_size=200))
def test_trees_are_read_whatever_they_are(text: str) -> None:
    assert all(path for _, path in listed_paths(Fence("", text, 1)))
