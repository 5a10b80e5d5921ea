"""The sections of the HTML report that are about the whole run.

What it does: what needs a look, where the time went, what would have been faster, who waited for whom, what is on
record, the proof, a comparison.
What it does not know: the page around them, its style, and how time is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from wavecrew.models.proof import Lack
from wavecrew.views.question_words import asks_words
from wavecrew.views.report_bars import legend, part, shares_bar
from wavecrew.views.report_cells import known, lines, mark, mono, name, shortened, state, table, text
from wavecrew.views.report_compare import Comparison, Pair, Side
from wavecrew.views.report_facts import PhaseFacts, Report
from wavecrew.views.report_faster import Change, Option
from wavecrew.views.report_waits import FOR_PEOPLE, WaitKind
from wavecrew.views.report_words import (
    KINDS,
    blocked,
    cost_of,
    holders,
    lost_words,
    more_words,
    name_of,
    option_words,
    outcome_words,
    proof_words,
    saving_words,
    short,
    step_words,
    vain_words,
    wait_words,
    waiter,
    why,
)
from wavecrew.views.run_next import edited_words, next_lines
from wavecrew.views.run_words import UNKNOWN, moment, seconds
from wavecrew.views.summary import Standing
from wavecrew.views.words import counted

_CARDS: Final = 40


def attention(report: Report) -> Iterator[str]:
    """What somebody should look at; nothing for a run that is as it should be."""
    summary = report.summary
    for one in report.of(Standing.FAILED)[:_CARDS]:
        yield from _failed(report, one)
    facts = [f"changed although no agent may: {mono(path)}" for path in summary.forbidden]
    facts += [f"a declared output is gone: {mono(path)}" for path in summary.missing]
    facts += [f"completed, and not in the result: {name(name_of(report, one))}" for one in summary.unproven]
    facts += [name(edited_words(summary))] if summary.edited else []
    facts += [f"waits for approval: {name(gate)}" for gate in summary.needs_you]
    facts += [f"{name(name_of(report, row.id))} {name(asks_words(one))}" for row in summary.rows for one in row.asks]
    asked = [(row.id, one) for row in summary.rows for one in row.asks]
    facts += [f"its agent asks: {name(name_of(report, phase))}: {name(short(one.text))}" for phase, one in asked]
    facts += [f"its agent is silent: {name(name_of(report, row.id))}" for row in summary.silent]
    facts += [f"the budget of {name(summary.budget_reached)} is spent"] if summary.budget_reached else []
    facts += [f"{number} {name(reason)}: {name(which)}" for number, reason, which in blocked(report)[:_CARDS]]
    yield from _list(facts)
    if summary.status.value != "succeeded":
        commands = [line.removeprefix("next:").strip() for line in next_lines(summary)]
        yield from _list([f"next: {mono(line)}" for line in commands if line])


def _failed(report: Report, one: PhaseFacts) -> Iterator[str]:
    where = f"{one.source.file}:{one.source.line}" if one.source else ""
    yield f'<div class="card cross">{state(Standing.FAILED)} <strong>{name(name_of(report, one.row.id))}</strong>'
    tries = counted(len(one.attempts), "attempt")
    yield f"<p>{text(short(one.row.reason))} <small>{tries}{f', {mono(where)}' if where else ''}</small></p>"
    log = report.logs.get(one.row.id, "")
    if log:
        yield f"<details><summary>the end of its log</summary><pre tabindex=0>{lines(log)}</pre></details>"
    yield "</div>"


def _list(facts: Iterable[str]) -> Iterator[str]:
    found = list(facts)
    if found:
        yield f'<ul class="plain">{"".join(f"<li>{fact}</li>" for fact in found)}</ul>'


# -- time -------------------------------------------------------------------------------------------------------


def time_spent(report: Report) -> Iterator[str]:
    """The time along the pacing chain, by kinds, and the chain itself."""
    if not report.shares:
        yield "<p>No phase has been started.</p>"
        return
    wall = sum(one.seconds for one in report.shares)
    yield shares_bar(report.shares)
    yield legend((one.kind, f"{one.words}: {seconds(one.seconds)} ({one.seconds / wall:.0%})") for one in report.shares)
    if report.summary.idle:
        yield f"<p><small>Nobody was in charge for {seconds(report.summary.idle)}; that is left out.</small></p>"
    yield "<h3>The pacing chain</h3>"
    yield '<p class="soft">Without each of these, the run would have been shorter.</p>'
    yield from table(
        "Pacing chain",
        ["phase", "took#", "of the run~", "before its start it|", "pause#"],
        (_step(report, place, wall) for place in range(len(report.chain))),
        classes="chain",
        tall=True,
    )


def _step(report: Report, place: int, wall: float) -> list[str]:
    step = report.chain[place]
    lasted = step.attempt.lasted(report.now)
    good = step.attempt.outcome is None or step.attempt.outcome.value == "succeeded"
    tries = f" <small>attempt {step.attempt.number}</small>" if step.attempt.number > 1 else ""
    return [
        name(name_of(report, step.attempt.phase)) + tries,
        seconds(lasted),
        part(lasted, wall, "chain" if good else "vain"),
        text(step_words(report, step)),
        seconds(step.gap) if step.gap > 0.05 else "",
    ]


def faster(report: Report) -> Iterator[str]:
    """Each change with its saving."""
    told = report.faster
    if told.as_it_was is None:
        yield f"<p>Nothing can be said: {text(told.why_not)}.</p>"
        return
    base = told.as_it_was
    yield (
        f"<p>The plan was run again on paper, each phase as long as it really took: {seconds(base)}. "
        "Each row changes one thing.</p>"
    )
    if told.options:
        yield from table(
            "What would have made it faster",
            ["change", "then it takes#", "saves#", "of the run~"],
            (
                [
                    text(option_words(report, one)),
                    seconds(one.time),
                    saving_words(one, base),
                    part(one.saving, base),
                ]
                for one in _best(told.options)
            ),
            classes="chain",
        )
    words = [*vain_words(report), lost_words(report)]
    yield from _list(text(one[:1].upper() + one[1:]) + "." for one in words if one)


def _best(options: Sequence[Option], each: int = 4) -> Iterator[Option]:
    """The best of each kind, so that no kind hides the others."""
    shown: dict[Change, int] = {}
    for one in options:
        shown[one.change] = shown.get(one.change, 0) + 1
        if shown[one.change] <= each:
            yield one


# -- waits and records ------------------------------------------------------------------------------------------


def waits(report: Report) -> Iterator[str]:
    """Who waited, for whom, how long."""
    if not report.waits:
        yield "<p>Nothing waited for a lock, a person or an account.</p>"
        return
    sums = [
        ("for people", report.waited(*FOR_PEOPLE)),
        ("for locks", report.waited(WaitKind.LOCK)),
        ("for accounts", report.waited(WaitKind.ACCOUNT)),
    ]
    words = [f"{label} {seconds(amount)}" for label, amount in sums if amount > 0]
    worst = holders(report)[:1]
    if worst and worst[0][2] > 1:
        words.append(f"longest together for {worst[0][0]}: {seconds(worst[0][1])} in {worst[0][2]:,} waits")
    yield f"<p>At least one wait went on {text('; '.join(words))}.</p>" if words else ""
    yield from table(
        "Waits",
        ["who", "waited for", "what, and who had it|", "how long#", "since#"],
        (
            [
                shortened(waiter(report, wait), 60),
                text(KINDS[wait.kind]),
                shortened(wait_words(report, wait), 140),
                seconds(wait.lasted(report.now)),
                _since(report, wait.since),
            ]
            for wait in report.waits
        ),
        classes="sorted",
        tall=True,
    )


def _since(report: Report, at: float) -> str:
    return seconds(at - report.summary.started) if report.summary.started is not None else moment(at)


def tried_again(report: Report) -> Iterator[str]:
    """Attempts in vain, with reasons."""
    yield from table(
        "Tried again",
        ["phase", "attempt#", "ended", "after#", "reason|"],
        (
            [
                shortened(name_of(report, one.attempt.phase), 60),
                f"{one.attempt.number}",
                mark(one.good, outcome_words(one)),
                seconds(one.seconds),
                shortened(why(one), 200),
            ]
            for one in report.vain
        ),
        classes="sorted",
        tall=True,
    )


def records(report: Report) -> Iterator[str]:
    """Waivers, answers at gates, undeclared writes."""
    found = [
        f"{name(name_of(report, one.row.id))} was waived by {name(waiver.by)} on {moment(waiver.at)}"
        + (f": {name(short(waiver.reason))}" if waiver.reason else "")
        for one in report.phases
        if (waiver := one.row.waiver) is not None
    ]
    found += [
        f"{name(short(gate, 80))}: {known(found_gate.status.value)}"
        + (f" by {name(found_gate.by)} on {moment(found_gate.at)}" if found_gate.by else "")
        + (f": {name(short(found_gate.reason))}" if found_gate.reason else "")
        for gate, found_gate in report.gates.items()
    ]
    kept: dict[str, int] = {}
    for one in report.of(Standing.KEPT):
        kept[one.row.kept_from] = kept.get(one.row.kept_from, 0) + 1
    found += [f"{counted(number, 'phase')} kept from run {mono(run)}" for run, number in kept.items()]
    yield from _list(found or ["No phase was waived, and nobody was asked."])
    yield "<h3>Undeclared writes</h3>"
    if not report.undeclared:
        yield f"<p>{'None were found.' if report.audited else 'Nobody looked for them (audit is off).'}</p>"
        return
    yield from table(
        "Undeclared writes",
        ["files", "one of these did it, or somebody outside"],
        (
            [mono(short(", ".join(one.paths), 400)), name(", ".join(name_of(report, who) for who in one.suspects[:8]))]
            for one in report.undeclared
        ),
        tall=True,
    )


# -- the proof --------------------------------------------------------------------------------------------------


def proof(report: Report) -> Iterator[str]:
    """What was found of the work of each completed phase."""
    found = report.proof
    holds = None if found is None else found.holds
    yield f"<p>{mark(holds, proof_words(found, report.proof_problem))}</p>"
    if found is None:
        return
    yield from _list(_lack(lack) for lack in found.lacks)
    bad = [one for one in found.phases if one.lacks]
    for one in bad[:_CARDS]:
        yield f'<div class="card cross"><strong>{name(name_of(report, one.phase))}</strong>'
        yield from _list(_lack(lack) for lack in one.lacks)
        yield "</div>"
    good = [one for one in found.phases if not one.lacks and not found.lacks]
    if good:
        yield f"<details><summary>{counted(len(good), 'phase')} with the work found</summary>"
        yield from table(
            "Work that was found",
            ["phase", "commit", "outputs|"],
            (
                [
                    shortened(name_of(report, one.phase), 60),
                    mono(one.commit[:12]) if one.commit else '<span class="soft">in the folder</span>',
                    shortened(", ".join(one.outputs), 160),
                ]
                for one in good
            ),
            tall=True,
        )
        yield "</details>"
    open_ones = ", ".join(found.open[:40])
    yield f"<p>Not done: {name(open_ones)}</p>" if open_ones else ""
    yield "<p><small>Prove it again at any time: <code>wavecrew verify</code></small></p>"


def _lack(lack: Lack) -> str:
    return f"{name(lack.what)} <small>fix: {mono(lack.fix)}</small>"


# -- two runs ---------------------------------------------------------------------------------------------------


def comparison(found: Comparison) -> Iterator[str]:
    """Before, after and the difference, for the whole and for each phase."""
    yield (
        f"<p>This run ({mono(found.after)}) beside run {mono(found.before)}. "
        "A difference is unknown where one of the two is.</p>"
    )
    rows = [("the whole run", found.whole), ("all attempts together", found.work)]
    rows += [(f"{one.id} {one.name}" if one.id != one.name else one.id, one) for one in found.phases]
    yield from table(
        "Comparison",
        ["phase", "before#", "after#", "time#", "attempts#", "cost#", "state before", "state after"],
        (_pair(label, one) for label, one in rows),
        classes="sorted",
        tall=True,
    )


def _pair(label: str, one: Pair) -> list[str]:
    return [
        shortened(label, 60),
        _side(one.before),
        _side(one.after),
        *map(known, more_words(one)),
        text(one.before.standing if one.before else "not in it"),
        text(one.after.standing if one.after else "not in it"),
    ]


def _side(side: Side | None) -> str:
    if side is None or side.seconds is None:
        return "-"
    cost = cost_of(side.spent)
    small = f" <small>{text(cost)}</small>" if cost != UNKNOWN else ""
    return seconds(side.seconds) + small
