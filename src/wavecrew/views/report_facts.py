"""Everything that a report of a run says, as one value: each format is written from it and from nothing else.

What it does: joins the summary, the history, the pacing chain, waits, estimates, usage and what would have been faster,
phase by phase and attempt by attempt.
What it does not know: files, git, the clock, and how any of it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wavecrew.models import events as ev
from wavecrew.models.contention import Conflict
from wavecrew.models.events import Event, Outcome
from wavecrew.models.execution_state import ExecutionState, Gate
from wavecrew.models.parallel_execution import Source
from wavecrew.models.proof import Proof
from wavecrew.models.usage import Spent
from wavecrew.views.phase_rows import NO_SIGNS, Signs
from wavecrew.views.report_faster import Faster, faster
from wavecrew.views.report_waits import FOR_PEOPLE, Stretch, WaitKind, joined, stretches, together
from wavecrew.views.run_history import Attempt, History
from wavecrew.views.run_pacing import PacingStep, pacing_chain
from wavecrew.views.summary import PhaseRow, Standing, Summary, summarize

_LEAST: Final = 0.001
"""Seconds: a shorter estimate is none to compare with."""
_NOBODY: Final = PacingStep(Attempt("", 0, "", 0.0))


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """One attempt. `lane` counts from 0: no two attempts of a lane overlap. `step` is its place in the pacing chain,
    if it has one; `again` tells that another attempt of the phase followed it."""

    attempt: Attempt
    lane: int
    seconds: float
    spent: Spent
    step: PacingStep | None
    again: bool

    @property
    def good(self) -> bool:
        """Whether it succeeded, or may still."""
        return self.attempt.outcome in (None, Outcome.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class PhaseFacts:
    """One phase. Times are in seconds; `estimate` and `actual` (its latest attempt that succeeded) are None when they
    are unknown. `work` is the time of all its attempts."""

    row: PhaseRow
    estimate: float | None
    actual: float | None
    work: float
    waited: float
    attempts: tuple[AttemptFacts, ...]
    spent: Spent
    needs: tuple[str, ...]
    source: Source | None
    waits: tuple[Stretch, ...] = ()

    @property
    def paced(self) -> bool:
        """Whether it lies on the pacing chain."""
        return any(one.step is not None for one in self.attempts)

    @property
    def ratio(self) -> float | None:
        """How many times longer it took than was estimated; None for an estimate of nothing, too."""
        if self.actual is None or self.estimate is None or self.estimate < _LEAST:
            return None
        return self.actual / self.estimate


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the time of a run, in words and seconds; `kind` is one word for styles."""

    kind: str
    words: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run as its report tells it. `logs` are the last lines of the logs of failed phases, by phase. `proof` is None
    when nobody could look; then `proof_problem` says why."""

    state: ExecutionState
    events: Sequence[Event]
    now: float
    alive: bool | None
    signs: Signs
    summary: Summary
    history: History
    chain: tuple[PacingStep, ...]
    phases: tuple[PhaseFacts, ...]
    attempts: tuple[AttemptFacts, ...]
    waits: tuple[Stretch, ...]
    shares: tuple[Share, ...]
    faster: Faster
    spent: Spent
    """Of all attempts: those of which nothing was told count as unknown."""
    undeclared: tuple[ev.UndeclaredWrites, ...]
    audited: bool
    gates: Mapping[str, Gate]
    conflicts: tuple[Conflict, ...] = ()
    more_conflicts: int = 0
    proof: Proof | None = None
    proof_problem: str = ""
    logs: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    def of(self, *standings: Standing) -> tuple[PhaseFacts, ...]:
        """The phases of some standings, in plan order."""
        return tuple(one for one in self.phases if one.row.standing in standings)

    @property
    def vain(self) -> tuple[AttemptFacts, ...]:
        """Attempts after which the phase was tried again."""
        return tuple(one for one in self.attempts if one.again and one.attempt.outcome is not Outcome.SUCCEEDED)

    def waited(self, *kinds: WaitKind) -> float:
        """How long, in seconds, at least one wait of some kinds went on."""
        return together((one for one in self.waits if one.kind in kinds), self.now)

    @property
    def people(self) -> float:
        """How long the run waited for a person."""
        return self.waited(*FOR_PEOPLE)


def build_report(
    state: ExecutionState,
    events: Sequence[Event],
    *,
    now: float | None = None,
    alive: bool | None = None,
    signs: Signs = NO_SIGNS,
    conflicts: tuple[Conflict, ...] = (),
    more_conflicts: int = 0,
    proof: Proof | None = None,
    proof_problem: str = "",
    logs: Mapping[str, str] | None = None,
    version: str = "",
) -> Report:
    """The report of a state and the whole history behind it. Without `now` it is the time of the last event; `signs` is
    what can be seen of open attempts if nobody is in charge."""
    history = History(events)
    at = now if now is not None else (history.last or 0.0)
    summary = summarize(state, at, alive=alive, history=history, signs=signs)
    chain = pacing_chain(state.graph, history, state.agent_limit, state.start_time or 0.0)
    waits = stretches(events, history)
    known = summary.started is not None and summary.elapsed is not None
    until = (summary.started or 0.0) + (summary.elapsed or 0.0) + summary.idle if known else at
    attempts = _attempts(events, history, chain, until, signs)
    return Report(
        state=state,
        events=events,
        now=until,
        alive=alive,
        signs=signs,
        summary=summary,
        history=history,
        chain=chain,
        phases=_phases(state, summary, attempts, waits, until),
        attempts=attempts,
        waits=waits,
        shares=shares(summary, history, chain, waits, until),
        faster=faster(state, history, chain),
        spent=total(one.spent for one in attempts),
        undeclared=tuple(event for event in events if isinstance(event, ev.UndeclaredWrites)),
        audited=state.settings.get("audit") in ("warn", "fail"),
        gates=state.gates,
        conflicts=conflicts,
        more_conflicts=more_conflicts,
        proof=proof,
        proof_problem=proof_problem,
        logs=logs or {},
        version=version,
    )


def total(parts: Iterable[Spent]) -> Spent:
    """The sum of what some attempts used."""
    found = Spent()
    for part in parts:
        found = found.and_(part)
    return found


# -- attempts and phases ----------------------------------------------------------------------------------------


def _attempts(
    events: Sequence[Event], history: History, chain: Sequence[PacingStep], until: float, signs: Signs
) -> tuple[AttemptFacts, ...]:
    steps = {(step.attempt.phase, step.attempt.number): step for step in chain}
    last = {attempt.phase: place for place, attempt in enumerate(history.attempts)}
    lanes = _lanes(events, history)
    ends = {name: sign.at for name, sign in signs.items() if not sign.alive}
    return tuple(
        AttemptFacts(
            attempt,
            lanes[place],
            attempt.lasted(ends.get(attempt.phase, until) or attempt.started),
            _spent(attempt),
            steps.get((attempt.phase, attempt.number)),
            last[attempt.phase] > place,
        )
        for place, attempt in enumerate(history.attempts)
    )


def _spent(attempt: Attempt) -> Spent:
    told = attempt.reported
    if told is None:
        return Spent().plus(None, None, None)
    return Spent().plus(told.input_tokens, told.output_tokens, told.cost_usd)


def _lanes(events: Sequence[Event], history: History) -> list[int]:
    """The slot that each attempt had, or, if that is unknown or taken, the lowest free one."""
    slots = [event.slot for event in events if isinstance(event, ev.AttemptStarted)]
    free_at: list[float] = []
    lanes: list[int] = []
    for place, attempt in enumerate(history.attempts):
        wanted = slots[place] - 1 if place < len(slots) else -1
        lane = wanted if 0 <= wanted < 1000 and (wanted >= len(free_at) or free_at[wanted] <= attempt.started) else -1
        if lane < 0:
            lane = next((n for n, at in enumerate(free_at) if at <= attempt.started), len(free_at))
        free_at += [float("-inf")] * (lane + 1 - len(free_at))
        free_at[lane] = float("inf") if attempt.ended is None else attempt.ended
        lanes.append(lane)
    return lanes


def _phases(
    state: ExecutionState,
    summary: Summary,
    attempts: Sequence[AttemptFacts],
    waits: Sequence[Stretch],
    until: float,
) -> tuple[PhaseFacts, ...]:
    made: dict[str, list[AttemptFacts]] = {}
    for one in attempts:
        made.setdefault(one.attempt.phase, []).append(one)
    waited: dict[str, list[Stretch]] = {}
    for wait in waits:
        waited.setdefault(wait.phase, []).append(wait)
    return tuple(_phase(state, row, made.get(row.id, []), waited.get(row.id, []), until) for row in summary.rows)


def _phase(
    state: ExecutionState, row: PhaseRow, made: Sequence[AttemptFacts], waits: Sequence[Stretch], until: float
) -> PhaseFacts:
    info = state.graph.nodes[row.id]
    good = [one.seconds for one in made if one.attempt.outcome is Outcome.SUCCEEDED]
    return PhaseFacts(
        row=row,
        estimate=None if info.estimated_time is None else info.estimated_time * 3600,
        actual=good[-1] if good else None,
        work=sum(one.seconds for one in made),
        waited=together((one for one in waits if one.kind is WaitKind.LOCK), until),
        attempts=tuple(made),
        spent=total(one.spent for one in made),
        needs=state.graph.dependencies(row.id),
        source=info.source,
        waits=tuple(waits),
    )


# -- where the time went ----------------------------------------------------------------------------------------

_WORDS: Final = {
    "work": "work that counted",
    "vain": "attempts that did not succeed",
    "people": "waiting for a person",
    "account": "an account that was used up",
    "lock": "waiting for a lock",
    "retry": "pauses before another try",
    "pause": "start-up, pauses between waves, agents on their own",
    "open": "after the last phase",
}


def shares(
    summary: Summary, history: History, chain: Sequence[PacingStep], waits: Sequence[Stretch], until: float
) -> tuple[Share, ...]:
    """The time of a run along its pacing chain, by what it was spent on: the parts make up the whole."""
    if summary.started is None or not summary.elapsed:
        return ()
    found = dict.fromkeys(_WORDS, 0.0)
    clock = summary.started
    for step in chain:
        begin = step.attempt.started
        end = begin + step.attempt.lasted(until)
        _gap(found, history, waits, step, clock, begin)
        silent = together(
            (w for w in waits if w.kind is WaitKind.SILENCE and w.phase == step.attempt.phase), until, begin, end
        )
        found["people"] += silent
        found["work" if step.attempt.outcome is Outcome.SUCCEEDED else "vain"] += max(0.0, end - begin - silent)
        clock = max(clock, end)  # its agent was over then, even if nobody was in charge to see it
    if chain:
        found["open"] += max(0.0, summary.elapsed - sum(found.values()))
    else:
        _gap(found, history, waits, _NOBODY, clock, until)
    words = _WORDS if summary.ended is not None else _WORDS | {"open": "since the last end of an attempt"}
    return tuple(Share(kind, words[kind], spent) for kind, spent in found.items() if spent > summary.elapsed * 1e-6)


def _gap(
    found: dict[str, float],
    history: History,
    waits: Sequence[Stretch],
    step: PacingStep,
    since: float,
    until: float,
) -> None:
    """Share out a time in which the chain stood still: each moment goes to the first that explains it."""
    left = max(0.0, until - since - (history.idle_time(until) - history.idle_time(since)))
    mine = [wait for wait in waits if wait.phase in ("", step.attempt.phase)]
    kinds = (
        ("people", frozenset({WaitKind.APPROVAL, WaitKind.PAUSE})),
        ("account", frozenset({WaitKind.ACCOUNT})),
        ("lock", frozenset({WaitKind.LOCK})),
        ("retry", frozenset({WaitKind.RETRY})),
    )
    for name, wanted in kinds:
        taken = min(left, _active(history, [wait for wait in mine if wait.kind in wanted], since, until))
        found[name] += taken
        left -= taken
    found["pause"] += left


def _active(history: History, waits: Sequence[Stretch], since: float, until: float) -> float:
    """How long at least one of some waits went on while somebody was in charge of the run."""
    spans = [(max(w.since, since), min(until if w.until is None else w.until, until)) for w in waits]
    idle = [(max(begin, since), min(end, until)) for begin, end in history.idle]
    both = _length([*spans, *idle])
    return max(0.0, both - _length(idle))


def _length(spans: Iterable[tuple[float, float]]) -> float:
    return sum(end - begin for begin, end in joined(spans))
