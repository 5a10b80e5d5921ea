"""What the times of earlier phases say about those to come."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.models.experience import MOST, Done, Experience, Span, quantile


def cases(*ratios: float, agent: str = "claude", estimate: float | None = 100.0) -> Experience:
    return Experience(tuple(Done(f"p{number}", agent, ratio * 100, estimate) for number, ratio in enumerate(ratios)))


def test_without_cases_an_estimate_stands_for_itself_and_nothing_stands_for_nothing() -> None:
    assert Experience().expect("a", "claude", 60) == Span(60, 60, 60)
    assert Experience().expect("a", "claude", None) is None
    assert cases(2, 3).expect("a", "claude", 60) == Span(60, 60, 60)  # two are not enough


def test_estimates_are_corrected_by_what_they_were_worth() -> None:
    found = cases(1, 2, 3, 4, 5)

    assert found.factors("claude") == Span(2, 3, 4)
    assert found.expect("a", "claude", 60) == Span(120, 180, 240)
    assert found.estimated == 5


def test_an_agent_with_few_cases_is_judged_by_all() -> None:
    found = cases(1, 1, 1).with_more([Done("x", "codex", 1000, 100)])

    assert found.factors("codex") == found.factors("nobody") == Span(1, 1, 3.25)
    assert found.factors("claude") == Span(1, 1, 1)


def test_a_phase_that_was_done_before_tells_more_than_its_estimate() -> None:
    found = cases(1, 2, 3).with_more([Done("again", "claude", 40, None), Done("again", "claude", 80, None)])

    assert found.expect("again", "claude", 1000) == Span(40, 60, 80)
    assert found.expect("again", "codex", 1000) != Span(40, 60, 80)


def test_a_phase_that_was_done_once_is_as_uncertain_as_others() -> None:
    found = cases(1, 2, 4).with_more([Done("again", "claude", 100, None)])

    assert found.expect("again", "claude", None) == Span(75, 100, 150)


def test_a_phase_that_was_done_before_and_nothing_to_compare_it_with() -> None:
    found = Experience((Done("a", "claude", 7), Done("a", "claude", 9)))

    assert found.expect("a", "claude", None) == Span(7, 8, 9)


def test_cases_that_took_no_time_give_no_spread() -> None:
    found = cases(0, 0, 0).with_more([Done("a", "claude", 5, None)])

    assert found.expect("a", "claude", None) == Span(5, 5, 5)


def test_without_an_estimate_the_agent_is_what_is_known() -> None:
    found = cases(1, 2, 3, estimate=None)

    assert found.expect("a", "claude", None) == Span(150, 200, 250)
    assert found.expect("a", "codex", None) is None
    assert found.estimated == 0


def test_only_the_newest_are_kept() -> None:
    found = Experience().with_more(Done(str(number), "claude", number) for number in range(MOST + 5))

    assert len(found.done) == MOST
    assert found.done[0].phase == "5"


@given(st.lists(st.floats(0, 1e6), min_size=2), st.sampled_from([0.25, 0.5, 0.75]))
def test_a_quantile_is_that_of_the_standard_library(values: list[float], share: float) -> None:
    wanted = statistics.quantiles(values, n=4, method="inclusive")[int(share * 4) - 1]

    assert quantile(values, share) == pytest.approx(wanted)


@given(st.floats(0, 1e6))
def test_one_value_is_every_quantile(value: float) -> None:
    assert quantile([value], 0.75) == value


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.floats(0, 1e5), st.floats(0.1, 1e5))),
    st.sampled_from("abc"),
    st.floats(0.1, 1e5),
)
def test_a_span_is_in_order(done: list[tuple[str, str, float, float]], phase: str, estimate: float) -> None:
    span = Experience(tuple(Done(*one) for one in done)).expect(phase, "x", estimate)

    assert span is not None
    assert 0 <= span.low <= span.likely * (1 + 1e-9)
    assert span.likely <= span.high * (1 + 1e-9)
