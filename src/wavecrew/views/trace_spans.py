"""A run as a trace: its spans as plain values, to be written or sent by somebody else.

What it does: makes the run the root span and its attempts the children, with links to the attempts that they rest on;
waits, merges, checks of merged trees and times without a coordinator are spans where the history has both ends, and
all else that is worth telling is an event. What is not known is left out.
What it does not know: OpenTelemetry's library, how a span is called (`trace_names`), JSON, and where a trace goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from wavecrew.models import events as ev
from wavecrew.models.events import Outcome
from wavecrew.views import trace_names as names
from wavecrew.views.report_facts import AttemptFacts, Report
from wavecrew.views.report_waits import FOR_PEOPLE, Stretch
from wavecrew.views.run_words import label_in, reason_of
from wavecrew.views.summary import RunStatus
from wavecrew.views.terminal_text import cut
from wavecrew.views.trace_events import Told, Words, attempt_event, run_event
from wavecrew.views.trace_ids import attempt_id, span_id, trace_id
from wavecrew.views.trace_merges import Asking, Merging, askings, mergings
from wavecrew.views.trace_values import Span, SpanEvent, SpanLink, Value, known, nanoseconds

LONGEST: Final = 1000
"""Columns that a foreign text takes, at most."""


def spans_of(report: Report, hide: Callable[[str], str] = lambda text: text) -> tuple[Span, ...]:
    """The spans of a run, the root first and the others in the order of their beginnings; of the same history always
    the same. None of a run that has no history. `hide` takes secrets out of a text."""
    if report.state.start_time is None:
        return ()
    trace = _Trace(report, trace_id(report.state.run, report.state.start_time), _words(hide))
    root, *others = trace.spans()
    return (root, *sorted(others, key=lambda one: (one.begin, one.end)))


def _words(hide: Callable[[str], str]) -> Words:
    """A foreign text without secrets; what would be cut off has been looked at, too."""
    return lambda text: cut(hide(text), LONGEST)


@dataclass(slots=True)
class _Trace:
    """Makes the spans of one report."""

    report: Report
    id: str
    words: Words
    _seen: Counter[tuple[str, ...]] = field(default_factory=Counter)
    _facts: dict[str, list[AttemptFacts]] = field(default_factory=dict)
    _events: dict[tuple[str, int], list[ev.Event]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.report.attempts:
            self._facts.setdefault(one.attempt.phase, []).append(one)
        for event in self.report.events:
            phase, number = getattr(event, "phase", None), getattr(event, "attempt", None)
            if phase is not None and number is not None:
                self._events.setdefault((phase, number), []).append(event)

    @property
    def root_id(self) -> str:
        return span_id(self.id)

    def spans(self) -> Iterator[Span]:
        yield self._run()
        for one in self.report.attempts:
            yield self._attempt(one)
        for wait in self.report.waits:
            yield self._wait(wait)
        for begin, end in self.report.history.idle:
            yield self._part(self.root_id, names.IDLE_NAME, begin, end, {names.SPAN: names.IDLE_SPAN})
        yield from map(self._merging, mergings(self.report.events))
        yield from map(self._asking, askings(self.report.events))

    # -- the run

    def _run(self) -> Span:
        report, state, summary = self.report, self.report.state, self.report.summary
        result, error = self._result()
        spent, open_run = report.spent, summary.status in (RunStatus.RUNNING, RunStatus.INTERRUPTED)
        plan = self.words(state.plan_name)
        attributes = known(
            {
                names.PIPELINE: plan,
                names.ACTION: names.RUN_ACTION,
                names.RUN_ID: self.words(state.run),
                names.RUN_RESULT: result,
                names.RUN_STATE: names.EXECUTING if summary.status is RunStatus.RUNNING else None,
                names.OPEN: True if open_run else None,
                names.ERROR: error,
                names.STOP_REASON: self.words(state.stop_reason),
                names.IMPORTED: self.words(state.imported),
                names.ISOLATION: state.isolation,
                names.BASE_COMMIT: self.words(state.base),
                names.COMMIT: self.words(summary.result),
                names.AGENTS: state.agent_limit or None,
                names.PHASES: summary.total,
                names.PHASES_DONE: summary.done,
                names.TOKENS: spent.tokens if spent.attempts and not spent.unknown_tokens else None,
                names.COST: round(spent.cost_usd, 6) if spent.attempts and not spent.unknown_cost else None,
            }
        )
        begin = nanoseconds(state.start_time or 0.0)
        end = max(begin, nanoseconds(report.now))
        events = tuple(self._event(one, told) for one in report.events if (told := run_event(one, self.words)))
        name = f"{names.RUN_ACTION} {plan}".rstrip()
        return Span(self.id, self.root_id, "", name, begin, end, attributes, events, error=self._why_failed(result))

    def _result(self) -> tuple[str, str]:
        """The result of the run and the kind of its failure; both empty for one that may still go on by itself or by
        an approval."""
        state, status = self.report.state, self.report.summary.status
        if status is RunStatus.SUCCEEDED:
            return names.SUCCESS, ""
        if status is RunStatus.FAILED:
            return names.FAILURE, names.UNPROVEN if state.missing_outputs or state.unproven else names.PHASE_FAILED
        if status is not RunStatus.STOPPED or state.left_for_approval:
            return "", ""
        return (names.FAILURE, names.FORBIDDEN_CHANGE) if state.forbidden else (names.CANCELLATION, "")

    def _why_failed(self, result: str) -> str | None:
        if result not in names.BAD:
            return None
        state = self.report.state
        if state.forbidden and self.report.summary.status is RunStatus.STOPPED:
            return self.words(f"changed what no agent may change: {', '.join(state.forbidden)}")
        missing = self.report.summary.total - self.report.summary.done
        lacks = f", {len(state.missing_outputs) + len(state.unproven)} without proof" if state.lacks_proof else ""
        return f"{missing} of {self.report.summary.total} phases are not done{lacks}"

    # -- attempts

    def _attempt(self, one: AttemptFacts) -> Span:
        attempt, report = one.attempt, self.report
        phase, told = self.words(attempt.phase), attempt.reported
        label = self.words(label_in(report.state, attempt.phase))
        result = names.result_of(attempt.outcome, attempt.cause)
        failed = result in names.BAD
        attributes = known(
            {
                names.TASK: label,
                names.TASK_RUN_ID: f"{self.words(report.state.run)}/{phase}/{attempt.number}",
                names.TASK_RESULT: result,
                names.RUN_ID: self.words(report.state.run),
                names.ERROR: (attempt.cause.value or names.OTHER_ERROR) if failed else None,
                names.WORKER: str(one.lane + 1),
                names.AGENT: self.words(attempt.agent),
                names.MODEL: self.words(told.model) if told else None,
                names.INPUT_TOKENS: told.input_tokens if told else None,
                names.OUTPUT_TOKENS: told.output_tokens if told else None,
                names.CACHED_TOKENS: told.cached_tokens if told else None,
                names.COST: told.cost_usd if told else None,
                names.PHASE: phase,
                names.WAVE: report.state.graph.wave_of.get(attempt.phase),
                names.ATTEMPT: attempt.number,
                names.OUTCOME: attempt.outcome.value if attempt.outcome else None,
                names.CAUSE: attempt.cause.value,
                names.DETAIL: self.words(attempt.detail),
                names.EXIT_CODE: attempt.exit_code,
                names.PACING: one.step is not None,
                names.UNATTENDED: attempt.unattended or None,
                names.OPEN: True if attempt.outcome is None else None,
                **self._places(attempt.phase, attempt.number),
            }
        )
        begin = nanoseconds(attempt.started)
        return Span(
            self.id,
            attempt_id(self.id, attempt.phase, attempt.number),
            self.root_id,
            label,
            begin,
            max(begin, nanoseconds(attempt.started + one.seconds)),
            attributes,
            self._attempt_events(attempt.phase, attempt.number),
            self._links(one),
            self.words(reason_of(attempt.cause, attempt.detail)) if failed else None,
        )

    def _places(self, phase: str, number: int) -> dict[str, Value | None]:
        """The branch of an attempt, and the commit that brought its work home."""
        found: dict[str, Value | None] = {}
        for event in self._events.get((phase, number), ()):
            if isinstance(event, ev.AttemptStarted):
                found[names.BRANCH] = self.words(event.branch)
            elif isinstance(event, ev.AttemptEnded):
                found[names.COMMIT] = self.words(event.commit)
        return found

    def _attempt_events(self, phase: str, number: int) -> tuple[SpanEvent, ...]:
        found = self._events.get((phase, number), ())
        return tuple(self._event(event, told) for event in found if (told := attempt_event(event, self.words)))

    def _event(self, event: ev.Event, told: Told) -> SpanEvent:
        name, about = told
        return SpanEvent(name, nanoseconds(event.at), known(about))

    def _links(self, one: AttemptFacts) -> tuple[SpanLink, ...]:
        """To the latest success of each dependency that this attempt could rest on."""
        return tuple(
            SpanLink(attempt_id(self.id, name, number), {names.LINK: names.DEPENDENCY, names.PHASE: self.words(name)})
            for name in self.report.state.graph.edges.get(one.attempt.phase, ())
            if (number := self._success_before(name, one.attempt.started))
        )

    def _success_before(self, phase: str, at: float) -> int:
        """The number of the latest attempt of a phase that had succeeded by then; 0 for none."""
        made = (one.attempt for one in self._facts.get(phase, ()) if one.attempt.outcome is Outcome.SUCCEEDED)
        return max((one.number for one in made if one.ended is not None and one.ended <= at), default=0)

    # -- all that takes time beside them

    def _wait(self, wait: Stretch) -> Span:
        attributes: dict[str, Value | None] = {
            names.SPAN: names.WAIT_SPAN,
            names.WAIT_KIND: wait.kind.value,
            names.WAIT_FOR: self.words(wait.what),
            names.WAIT_WHOM: self.words(wait.whom),
            names.WAIT_PEOPLE: wait.kind in FOR_PEOPLE,
            names.PHASE: self.words(wait.phase),
        }
        name = names.WAITS.get(wait.kind, f"wait for {wait.kind.value}")
        key = (wait.kind.value, wait.phase, wait.what)
        return self._part(self._at_work(wait), name, wait.since, wait.until, attributes, *key)

    def _merging(self, one: Merging) -> Span:
        attributes: dict[str, Value | None] = {
            names.SPAN: one.kind,
            names.PHASE: self.words(one.phase),
            names.TASK_RESULT: one.result,
            names.BESIDE: self.words(one.beside),
        }
        name = names.MERGE_NAME if one.kind == names.MERGE_SPAN else names.CHECK_NAME
        parent = attempt_id(self.id, one.phase, one.attempt)
        return self._part(parent, name, one.since, one.until, attributes, bad=one.result in names.BAD)

    def _asking(self, one: Asking) -> Span:
        attributes: dict[str, Value | None] = {
            names.SPAN: names.WAIT_SPAN,
            names.WAIT_KIND: names.QUESTION,
            names.WAIT_FOR: self.words(one.text),
            names.WAIT_WHOM: self.words(one.by),
            names.WAIT_PEOPLE: True,
            names.PHASE: self.words(one.phase),
        }
        return self._part(self._at_work(one), names.QUESTION_NAME, one.since, one.until, attributes, one.phase)

    def _at_work(self, wait: Stretch | Asking) -> str:
        """The span of the attempt that all of a wait was part of, or that of the run."""
        for one in self._facts.get(wait.phase, ()):
            begin, end = one.attempt.started, one.attempt.started + one.seconds
            if begin <= wait.since < end and (wait.until or 0.0) <= end:
                return attempt_id(self.id, one.attempt.phase, one.attempt.number)
        return self.root_id

    def _part(
        self,
        parent: str,
        name: str,
        since: float,
        until: float | None,
        attributes: Mapping[str, Value | None],
        *key: str,
        bad: bool = False,
    ) -> Span:
        """A span below another one. What happened twice at one moment is told apart by its place."""
        now = self.report.now
        begin, end = nanoseconds(since), nanoseconds(now if until is None else min(until, now))
        what = (parent, name, str(begin), *key)
        self._seen[what] += 1
        made = span_id(self.id, *what, str(self._seen[what]))
        about: dict[str, Value | None] = {
            **attributes,
            names.OPEN: True if until is None else None,
            names.ERROR: names.FAILURE if bad else None,
        }
        return Span(self.id, made, parent, name, begin, max(begin, end), known(about), error="" if bad else None)
