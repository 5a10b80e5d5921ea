"""A run in numbers for Prometheus.

What it does: writes totals of one look in the text format. What is not known is left out, and never zero.
What it does not know: requests, and how often somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from wavecrew.models.events import Outcome
from wavecrew.web.watch import Look

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Sample = tuple[Mapping[str, str], float]


def metrics_text(look: Look) -> str:
    """All metrics of a run; each has the label `run`."""
    return "\n".join(line for metric in _metrics(look) for line in _lines(look.summary.run, *metric)) + "\n"


def _metrics(look: Look) -> Iterator[tuple[str, str, str, list[_Sample]]]:
    """Name, kind, help and samples of each."""
    summary, history = look.summary, look.history
    about = {"plan": summary.plan_name, "status": summary.status.value}
    yield "run_info", "gauge", "The run that is told of.", [(about, 1)]
    yield "coordinator_up", "gauge", "Whether somebody is in charge of the run.", [({}, look.alive)]
    states: list[_Sample] = [({"state": standing.value}, number) for standing, number in summary.counts.items()]
    yield "phases", "gauge", "Phases by where they stand.", states
    yield "needs_you", "gauge", "Gates and silent agents that wait for a person.", [({}, summary.needed)]
    ended = Counter(one.outcome.value if one.outcome else "open" for one in history.attempts)
    outcomes: list[_Sample] = [({"outcome": name}, ended[name]) for name in ("open", *(one.value for one in Outcome))]
    yield "attempts", "gauge", "Attempts by how they ended.", outcomes
    yield "retries_total", "counter", "How often phases were tried again.", [({}, summary.retries)]
    waited = sum((one.until or summary.now) - one.since for one in history.waits)
    yield "lock_wait_seconds_total", "counter", "Time that phases waited for locks.", [({}, max(0.0, waited))]
    asked = sum((one.until or summary.now) - one.since for one in look.gate_waits)
    yield "human_wait_seconds_total", "counter", "Time that gates waited for a person.", [({}, max(0.0, asked))]
    yield "locks_held", "gauge", "Locks that are held in the workspace.", [({}, len(look.locks.held))]
    yield "lock_waiters", "gauge", "Requests that wait for a lock.", [({}, len(look.locks.waiting))]
    yield from _known("elapsed_seconds", "How long the run has taken, idle time left out.", summary.elapsed)
    yield from _known("left_seconds", "About how long the rest will take.", summary.left)
    yield from _known("work_seconds_total", "Time of all attempts together.", summary.work, "counter")
    spent = summary.spent
    cost = spent.cost_usd if spent.attempts > spent.unknown_cost else None
    yield from _known("cost_usd_total", "What agents told that they cost.", cost, "counter")
    tokens = spent.tokens if spent.attempts > spent.unknown_tokens else None
    yield from _known("tokens_total", "Tokens that agents told that they used.", tokens, "counter")
    yield "cost_unknown_attempts", "gauge", "Attempts whose cost nobody told.", [({}, spent.unknown_cost)]
    yield "tokens_unknown_attempts", "gauge", "Attempts whose tokens nobody told.", [({}, spent.unknown_tokens)]
    yield "last_event", "counter", "The number of the last event.", [({}, look.seq)]


def _known(
    name: str, meaning: str, value: float | None, kind: str = "gauge"
) -> Iterator[tuple[str, str, str, list[_Sample]]]:
    if value is not None:
        yield name, kind, meaning, [({}, value)]


def _lines(run: str, name: str, kind: str, meaning: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP wavecrew_{name} {meaning}"
    yield f"# TYPE wavecrew_{name} {kind}"
    for labels, value in samples:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in ({"run": run} | dict(labels)).items())
        yield (
            f"wavecrew_{name}{{{told}}} {float(value):g}"
            if value < 1e6
            else (f"wavecrew_{name}{{{told}}} {float(value):.3f}")
        )


def _escaped(text: str) -> str:
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"')
