"""Words that the formats of a report share: waits, steps of the chain, savings, differences.

What it does: says in plain sentences what the facts of a report mean. Foreign words in them are on one line and clean,
and not yet escaped for any format.
What it does not know: HTML, Markdown, XML, and what stands around its words.
"""

from __future__ import annotations

from typing import Final

from wavecrew.models.proof import SHARED, Proof
from wavecrew.models.usage import Spent
from wavecrew.views.report_compare import Pair
from wavecrew.views.report_facts import AttemptFacts, Report
from wavecrew.views.report_faster import Change, Option
from wavecrew.views.report_waits import Stretch, WaitKind
from wavecrew.views.run_pacing import PacingStep, Waited
from wavecrew.views.run_words import UNKNOWN, label_in, reason_of, seconds
from wavecrew.views.summary import Standing
from wavecrew.views.terminal_text import cut, one_line
from wavecrew.views.usage_words import cost_words, money, token_words, tokens
from wavecrew.views.words import counted

LONGEST: Final = 240
"""Columns that foreign words take in a report, at most; reasons may be as long as a log."""
_NAMED: Final = 8
SIGNS: Final = {
    Standing.PASSED: "✓",
    Standing.KEPT: "✓",
    Standing.SKIPPED: "↷",
    Standing.FAILED: "✗",
    Standing.BLOCKED: "⊘",
    Standing.RUNNING: "▶",
    Standing.MERGING: "▶",
}
"""A sign beside the word of a state, where fonts are known to have it; all others have a dot."""


def sign_of(standing: Standing) -> str:
    """The sign of a standing."""
    return SIGNS.get(standing, "·")


def short(text: str, width: int = LONGEST) -> str:
    """Foreign words on one clean line of a bearable length."""
    return cut(text, width)


def name_of(report: Report, phase: str) -> str:
    """Id and name of a phase, on one line."""
    return short(label_in(report.state, phase), 120)


def agents_words(number: int) -> str:
    """`1 agent`, `3 agents`."""
    return counted(number, "agent")


# -- attempts ---------------------------------------------------------------------------------------------------


def outcome_words(one: AttemptFacts) -> str:
    """`succeeded`, `failed`, or that it is still at work."""
    return one.attempt.outcome.value if one.attempt.outcome is not None else "at work"


def why(one: AttemptFacts) -> str:
    """Why an attempt did not succeed; empty if it did, or may still."""
    return "" if one.good else short(reason_of(one.attempt.cause, one.attempt.detail))


def cost_of(spent: Spent) -> str:
    """What was paid; unknown is never zero."""
    return UNKNOWN if not spent.attempts else short(cost_words(spent))


def tokens_of(spent: Spent) -> str:
    """The tokens that were used; unknown is never zero."""
    return UNKNOWN if not spent.attempts else token_words(spent)


# -- the chain --------------------------------------------------------------------------------------------------


def step_words(report: Report, step: PacingStep) -> str:
    """For what the start of a step waited."""
    match step.waited_for:
        case Waited.DEPENDENCY:
            return "needed the phase before it"
        case Waited.LOCK:
            return f"waited for {short(step.resource, 80)}, which the phase before it held"
        case Waited.AGENT:
            return f"waited for a free agent ({agents_words(report.summary.agents)})"
        case Waited.RETRY:
            return "was tried again"
        case _:
            return "started when it could"


# -- waits ------------------------------------------------------------------------------------------------------

KINDS: Final = {
    WaitKind.LOCK: "a lock",
    WaitKind.APPROVAL: "approval",
    WaitKind.PAUSE: "a pause",
    WaitKind.SILENCE: "a silent agent",
    WaitKind.ACCOUNT: "an account",
    WaitKind.RETRY: "the next try",
}


def waiter(report: Report, wait: Stretch) -> str:
    """Who waited."""
    return name_of(report, wait.phase) if wait.phase else "the run"


def wait_words(report: Report, wait: Stretch) -> str:
    """For what, and who had it or answered."""
    what, whom = short(wait.what, 100), short(wait.whom, 60)
    match wait.kind:
        case WaitKind.LOCK:
            holder = name_of(report, wait.whom) if wait.whom in report.state.graph.nodes else whom
            return f"{what}, held by {holder}" if holder else what
        case WaitKind.APPROVAL:
            return f"approval of {what}" + (f", answered by {whom}" if whom else ", not answered")
        case WaitKind.PAUSE:
            return f"{what} by {whom}" if whom else what
        case WaitKind.SILENCE:
            return f"its agent said nothing; its last words: {what}" if what else "its agent said nothing"
        case WaitKind.ACCOUNT:
            return f"the account {what} was used up"
        case _:
            return what


def holders(report: Report) -> list[tuple[str, float, int]]:
    """Who held others up longest: (words, seconds, how many waits), the longest first."""
    found: dict[str, tuple[float, int]] = {}
    for wait in report.waits:
        if wait.kind is WaitKind.LOCK:
            time, number = found.get(wait_words(report, wait), (0.0, 0))
            found[wait_words(report, wait)] = (time + wait.lasted(report.now), number + 1)
    return sorted(((words, *rest) for words, rest in found.items()), key=lambda row: -row[1])


# -- what would be faster ---------------------------------------------------------------------------------------


def option_words(report: Report, option: Option) -> str:
    """What to do otherwise."""
    match option.change:
        case Change.SPLIT:
            return f"split {short(option.what, 100)}, so that nobody waits for it"
        case Change.AGENT:
            return f"one more agent ({option.what} in all)"
        case Change.DROP:
            return f"let {name_of(report, option.phase)} not depend on {name_of(report, option.what)}"
        case _:
            return f"cut {name_of(report, option.phase)} in half"


def saving_words(option: Option, base: float) -> str:
    """`2.0s (9%)`."""
    return f"{seconds(option.saving)} ({option.saving / base:.0%})" if base > 0 else seconds(option.saving)


def vain_words(report: Report) -> list[str]:
    """What was tried and brings nothing."""
    found = [f"{option_words(report, one)}: no gain" for one in report.faster.in_vain]
    if report.faster.fewer is not None:
        found.append(f"{agents_words(report.faster.fewer)} would have done as well")
    return found


def lost_words(report: Report) -> str:
    """How much longer than on paper the run took; empty if that is not worth telling."""
    base = report.faster.as_it_was
    lost = (report.summary.elapsed or 0.0) - base if base is not None else 0.0
    if base is None or lost <= max(base * 0.05, 0.5):
        return ""
    return (
        f"the run took {seconds(lost)} longer than on paper: pauses, start-up, waits for people, further tries, "
        "or another order of starts"
    )


# -- the proof --------------------------------------------------------------------------------------------------


def proof_words(proof: Proof | None, problem: str) -> str:
    """The verdict on the work of a run, in one sentence."""
    if proof is None:
        return f"could not be looked at: {short(problem)}" if problem else "was not looked at"
    done = len(proof.phases)
    if not proof.holds:
        bad = done if proof.lacks else sum(bool(one.lacks) for one in proof.phases)
        return f"NOT PROVEN: the work of {bad:,} of {counted(done, 'completed phase')} was not found"
    if not done:
        return "nothing to prove: no phase is completed"
    if proof.isolation == SHARED:
        return f"the declared outputs of {counted(done, 'completed phase')} are there (all worked in one shared folder)"
    where = f"{short(proof.branch, 80)} ({one_line(proof.tip[:12])})"
    return f"proven: the work of {counted(done, 'completed phase')} is in {where}"


# -- differences ------------------------------------------------------------------------------------------------


def more_seconds(amount: float | None) -> str:
    """A difference with its sign: `+2.0s`, `-1m05s`; None is unknown."""
    if amount is None:
        return UNKNOWN
    return f"{'-' if amount < -0.05 else '+' if amount > 0.05 else ''}{seconds(abs(amount))}"


def more_money(amount: float | None) -> str:
    """A difference in dollars with its sign."""
    if amount is None:
        return UNKNOWN
    return f"{'-' if amount < 0 else '+'}{money(abs(amount))} usd"


def more_attempts(amount: int | None) -> str:
    """A difference in attempts with its sign."""
    return UNKNOWN if amount is None else f"{amount:+d}" if amount else "0"


def tokens_or_unknown(amount: int | None) -> str:
    """Tokens of one attempt."""
    return UNKNOWN if amount is None else tokens(amount)


def more_words(pair: Pair) -> tuple[str, str, str]:
    """By how much two runs differ in a phase: in time, attempts, cost; nothing where one lacks it."""
    if pair.before is None or pair.after is None:
        return "-", "-", "-"
    return more_seconds(pair.seconds), more_attempts(pair.attempts), more_money(pair.cost)


# -- what is blocked --------------------------------------------------------------------------------------------


def blocked(report: Report) -> list[tuple[str, str, str]]:
    """Phases that can never start, those together that the same keeps from it: how many, why, and which."""
    behind: dict[str, list[str]] = {}
    for one in report.of(Standing.BLOCKED):
        behind.setdefault(short(one.row.reason) or "blocked", []).append(one.row.id)
    return [
        (
            counted(len(names), "phase"),
            reason,
            ", ".join(name_of(report, name) for name in names[:_NAMED]) + _more(names),
        )
        for reason, names in behind.items()
    ]


def _more(names: list[str]) -> str:
    return f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
