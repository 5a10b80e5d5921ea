"""Runs as traces: whether they are wanted, who is told of them, and when they leave.

What it does: checks before a run that its trace could be sent, gives each attempt the variable by which programs that
trace themselves hang below it, and sends the trace at the end, or of any run that is asked for.
What it does not know: what a trace is made of (`views.trace_spans`), and how it is sent (`trace_export`). Nothing heavy
is loaded as long as nobody wants traces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from wavecrew.api.secret_values import named_in, values_to_hide
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.jobs import JobMaker
from wavecrew.core.store import Store
from wavecrew.errors import PreflightError
from wavecrew.models.execution_state import ExecutionState
from wavecrew.views.secrets import Secrets

if TYPE_CHECKING:
    from wavecrew.views.report_facts import Report
    from wavecrew.views.trace_values import Span


def require_traces(config: ParallelExecutionConfig, environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the settings want traces and they could not be sent."""
    if config.traces != "none":
        from wavecrew.api.trace_export import require_collector

        require_collector(environ)


def traced(jobs: JobMaker, config: ParallelExecutionConfig, state: ExecutionState) -> JobMaker:
    """Who makes the jobs of a run, so that each attempt knows its place in the trace, if one is wanted."""
    if config.traces == "none" or state.start_time is None:
        return jobs
    from wavecrew.views.trace_ids import traceparent

    run, started = state.run, state.start_time

    def place(phase: str, attempt: int) -> Mapping[str, str]:
        return {"TRACEPARENT": traceparent(run, started, phase, attempt)}

    return replace(jobs, of_attempt=place)


def send_run(
    store: Store, run: str, config: ParallelExecutionConfig, environ: Mapping[str, str], tell: Callable[[str], None]
) -> None:
    """Send the trace of a run that has come to its end, if one is wanted. Whatever goes wrong is told in one line."""
    if config.traces == "none":
        return
    try:
        problem = _send(_report(store, run), environ)
    except Exception as error:  # the run is over, and nothing that is said of it may change how it ended
        problem = f"{type(error).__name__}: {error}"
    if problem:
        tell(f"the trace of this run could not be sent {problem} · later: wavecrew report {run} --send")


def send_report(report: Report, environ: Mapping[str, str]) -> tuple[int, str]:
    """Send a run as a trace. Gives the number of its spans, and to where.

    Raises ConfigError where traces cannot be sent at all, and PreflightError when they were not taken.
    """
    from wavecrew.api.trace_export import address_of, require_collector

    require_collector(environ)
    problem = _send(report, environ)
    if problem:
        fix = "start a collector there, or name another one: OTEL_EXPORTER_OTLP_ENDPOINT"
        raise PreflightError(f"the trace could not be sent {problem}", fix=fix)
    return len(spans_for(report, environ)), Secrets().hide(address_of(environ))


def otlp_text(report: Report, environ: Mapping[str, str]) -> str:
    """A run as OTLP/JSON, in lines. Needs no library."""
    from wavecrew.views.trace_json import otlp_of

    return otlp_of(spans_for(report, environ), report.version)


def spans_for(report: Report, environ: Mapping[str, str]) -> tuple[Span, ...]:
    """The spans of a run, without the secrets that can be known."""
    from wavecrew.views.trace_spans import spans_of

    return spans_of(report, Secrets(values_to_hide(environ, named_in(report.state.settings))).hide)


def _send(report: Report, environ: Mapping[str, str]) -> str:
    """Gives where it did not arrive and why; empty if it did."""
    from wavecrew.api.trace_export import address_of, send

    problem = send(spans_for(report, environ))
    return Secrets().hide(f"to {address_of(environ)}: {problem}") if problem else ""


def _report(store: Store, run: str) -> Report:
    from wavecrew.api.history import open_run
    from wavecrew.views.report_facts import build_report

    opened = open_run(store, run)
    return build_report(opened.state, opened.events, now=time.time(), alive=False)
