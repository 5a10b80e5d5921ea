"""What the report of a run says, held against runs of which everything is known: where the time went is asked again for
each second, the pacing chain is walked, and each saving is tried with a changed plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report_stories import report
from report_world import Book, Script, Span, Try, play, scripts
from wavecrew.models.parallel_execution import DependencyGraph
from wavecrew.models.schedule import Estimates, priorities
from wavecrew.views.report_facts import Report
from wavecrew.views.report_faster import Change, Option
from wavecrew.views.run_pacing import PacingStep, Waited

# -- the book, asked second by second --------------------------------------------------------------------------------


def steps_of(book: Book, known: Report) -> list[tuple[PacingStep, Try]]:
    by_name = {(one.phase, one.number): one for one in book.tries}
    return [(step, by_name[step.attempt.phase, step.attempt.number]) for step in known.chain]


def within(spans: list[Span], second: int) -> bool:
    return any(since <= second < until for since, until in spans)


def kind_of(book: Book, chain: list[Try], second: int) -> str:
    """What the run spent a second on, by looking at that second alone."""
    one = next((one for one in chain if one.since <= second < one.over), None)
    if one is not None:
        silent = within(book.quiet.get(one.phase, []), second)
        return "people" if silent else "work" if one.good else "vain"
    coming = next((one for one in chain if one.since > second), None)
    if coming is None:
        return "open"
    if within(book.people, second):
        return "people"
    if any(since <= second < until for since, until, _ in book.locks.get(coming.phase, [])):
        return "lock"
    return "retry" if within(book.rests.get(coming.phase, []), second) else "pause"


@settings(max_examples=120, deadline=None)
@given(scripts())
def test_where_the_time_went_second_by_second(script: Script) -> None:
    book = play(script)
    known = report(book.events)
    chain = [one for _, one in steps_of(book, known)]
    found: dict[str, float] = {}
    for second in range(book.ended):
        if not book.idle(second):
            kind = kind_of(book, chain, second)
            found[kind] = found.get(kind, 0.0) + 1
    assert {one.kind: round(one.seconds, 6) for one in known.shares} == found
    assert known.summary.elapsed == book.lasted(0, book.ended) == sum(found.values())


@settings(max_examples=120, deadline=None)
@given(scripts())
def test_the_sums_of_a_run_and_of_each_phase(script: Script) -> None:
    book = play(script)
    known = report(book.events)
    assert known.summary.work == sum(one.over - one.since for one in book.tries)
    assert known.summary.retries == sum(one.number > 1 for one in book.tries)
    spans = [*book.people, *(span for found in book.quiet.values() for span in found)]
    assert known.people == sum(within(spans, second) for second in range(book.ended))
    for one in known.phases:
        mine = [made for made in book.tries if made.phase == one.row.id]
        job = script.jobs[one.row.id]
        locks = [(since, until) for since, until, _ in book.locks.get(one.row.id, [])]
        assert one.waited == sum(until - since for since, until in locks)
        assert one.work == sum(made.over - made.since for made in mine)
        lasted = mine[-1].over - mine[-1].since if mine else None
        assert one.actual == lasted
        assert one.ratio == (pytest.approx(lasted / job.estimate) if lasted and job.estimate else None)


@settings(max_examples=120, deadline=None)
@given(scripts())
def test_the_pacing_chain_is_one(script: Script) -> None:
    book = play(script)
    steps = steps_of(book, report(book.events))
    assert steps[-1][1].over == max(one.over for one in book.tries) if steps else not book.tries
    for (_, before), (step, one) in pairwise(steps):
        assert before.known <= one.since
        assert step.gap == book.lasted(before.over, one.since)
        assert_waited(script, book, step, before, one)
    if steps:
        assert steps[0][0].gap == book.lasted(0, steps[0][1].since)
        assert not rivals(script, book, steps[0][1])


def rivals(script: Script, book: Book, one: Try) -> list[tuple[Waited, Try]]:
    """All that the start of an attempt had to wait for, but for agents."""
    over = [other for other in book.tries if other.known <= one.since]
    needs = script.jobs[one.phase].needs
    holders = {(holder, until) for _, until, holder in book.locks.get(one.phase, []) if until <= one.since}
    found = [(Waited.DEPENDENCY, other) for other in over if other.phase in needs and other.good]
    found += [(Waited.RETRY, other) for other in over if other.phase == one.phase]
    return found + [(Waited.LOCK, other) for other in over if (other.phase, other.known) in holders]


def assert_waited(script: Script, book: Book, step: PacingStep, before: Try, one: Try) -> None:
    """That an attempt did wait for the one before it, and for nothing that came later."""
    known = rivals(script, book, one)
    assert all(other.over <= before.over for _, other in known)
    if step.waited_for is Waited.AGENT:
        at_work = [other for other in book.tries if other.since < before.over <= other.over]
        assert len(at_work) == script.agents
    else:
        assert (step.waited_for, before) in known


@settings(max_examples=100, deadline=None)
@given(scripts(plain=True, agents=9, shares=False), st.data())
def test_a_run_takes_longer_by_what_a_phase_of_the_chain_takes_longer(script: Script, data: st.DataObject) -> None:
    book = play(script)
    name = data.draw(st.sampled_from([step.attempt.phase for step in report(book.events).chain]))
    job = script.jobs[name]
    slower = replace(script, jobs={**script.jobs, name: replace(job, lasts=(job.lasts[0] + 3,))})
    assert play(slower).ended == book.ended + 3


# -- what would have made it faster, tried ----------------------------------------------------------------------------


def on_paper(script: Script, lasts: Mapping[str, float], rank: list[str], agents: int) -> float:
    """The length of a run in which whoever can start does, by `rank`; nobody overtakes who waits for the file."""
    now, done, running = 0.0, set[str](), dict[str, float]()
    while len(done) < len(rank):
        line = False
        for name in rank:
            job = script.jobs[name]
            if name in done or name in running or not set(job.needs) <= done or len(running) == agents:
                continue
            if job.shares and (line or any(script.jobs[other].shares for other in running)):
                line = True
                continue
            running[name] = now + lasts[name]
        now = min(running.values())
        for name in [name for name, until in running.items() if until == now]:
            done.add(name)
            del running[name]
    return now


def changed(script: Script, lasts: dict[str, float], option: Option) -> tuple[Script, Mapping[str, float], int]:
    """The script as the option wants it."""
    jobs, agents = dict(script.jobs), script.agents
    if option.change is Change.SPLIT:
        jobs = {name: replace(job, shares=False) for name, job in jobs.items()}
    elif option.change is Change.AGENT:
        agents = int(option.what)
    elif option.change is Change.DROP:
        needs = tuple(one for one in jobs[option.phase].needs if one != option.what)
        jobs[option.phase] = replace(jobs[option.phase], needs=needs)
    else:
        lasts = {**lasts, option.phase: lasts[option.phase] / 2}
    return replace(script, jobs=jobs), lasts, agents


@settings(max_examples=120, deadline=None)
@given(scripts())
def test_each_saving_is_what_the_changed_plan_saves(script: Script) -> None:
    book = play(script)
    known = report(book.events).faster
    if not book.tries:
        assert known.why_not
        return
    graph: DependencyGraph = report(book.events).state.graph
    urgency = priorities(graph, Estimates.of(graph).durations)
    rank = sorted(graph.nodes, key=lambda name: -urgency[name])
    lasts = dict.fromkeys(graph.nodes, 0.0) | {one.phase: float(one.over - one.since) for one in book.tries if one.good}
    base = on_paper(script, lasts, rank, script.agents)
    assert known.as_it_was == base
    for option in (*known.options, *known.in_vain):
        plan, times, agents = changed(script, lasts, option)
        assert option.time == on_paper(plan, times, rank, agents), option
        assert option.saving == base - option.time
    assert all(option.saving > base * 0.01 for option in known.options)
    if known.fewer is not None:
        assert on_paper(script, lasts, rank, known.fewer) <= base * 1.01
