"""The report as one HTML file: it opens anywhere, asks nobody for anything, and needs no script to be read.

What it does: puts the sections together under a strict content policy, which allows the style sheet and the script by
their digests and nothing else.
What it does not know: what the sections say. Foreign text reaches the page through `report_cells` alone.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from wavecrew.views import report_sections as sections
from wavecrew.views.report_bars import PATTERNS, paced, step_of, timeline
from wavecrew.views.report_cells import (
    badge,
    known,
    mark,
    mono,
    name,
    shortened,
    state,
    sums,
    table,
    text,
)
from wavecrew.views.report_compare import Comparison
from wavecrew.views.report_facts import AttemptFacts, PhaseFacts, Report
from wavecrew.views.report_graph import picture_of
from wavecrew.views.report_style import SCRIPT, sheet
from wavecrew.views.report_words import cost_of, name_of, option_words, outcome_words, tokens_of, why
from wavecrew.views.run_words import moment, seconds
from wavecrew.views.words import counted

_BROAD: Final = 1000
"""Dots: a wider picture is printed on a page of its own, turned."""
_Section = tuple[str, str, Callable[[], Iterable[str]]]


def html_of(report: Report, compared: Comparison | None = None) -> str:
    """The whole file."""
    return "\n".join(line for line in _page(report, compared) if line) + "\n"


def policy(style_sheet: str) -> str:
    """The content policy: nothing from anywhere but the two texts of ours."""
    return (
        f"default-src 'none'; style-src '{_digest(style_sheet)}'; script-src '{_digest(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _page(report: Report, compared: Comparison | None) -> Iterator[str]:
    title = f"{report.summary.plan_name}: {report.summary.status.value}"
    wall = report.summary.elapsed or 0.0
    style_sheet = sheet(100 * step_of(wall) / wall if wall > 0 else 0.0)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta name="generator" content="wavecrew {text(report.version)}">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy(style_sheet)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">'
    yield f"<title>{text(title)}</title>\n<style>{style_sheet}</style>\n</head>\n<body>"
    yield PATTERNS
    found = list(_sections(report, compared))
    yield from _header(report, found)
    yield '<main id="main">'
    for key, heading, content in found:
        yield f'<section aria-labelledby="{key}"><h2 id="{key}">{heading}</h2>'
        yield from content()
        yield "</section>"
    yield "</main>"
    yield from _footer(report)
    yield f"<script>{SCRIPT}</script>\n</body>\n</html>"


def _sections(report: Report, compared: Comparison | None) -> Iterator[_Section]:
    trouble = list(sections.attention(report))
    if trouble:
        yield "look", "Needs a look", lambda: trouble
    if compared is not None:
        yield "compared", "Compared with another run", lambda: sections.comparison(compared)
    yield "time", "Where the time went", lambda: sections.time_spent(report)
    yield "faster", "What would have made it faster", lambda: sections.faster(report)
    yield "line", "Time line", lambda: _timeline(report)
    yield "graph", "Graph", lambda: _graph(report)
    yield "phases", "Phases", lambda: _phases(report)
    yield "attempts", "Attempts", lambda: _attempts(report)
    if report.vain:
        yield "again", "Tried again", lambda: sections.tried_again(report)
    yield "waits", "Waits", lambda: sections.waits(report)
    yield "record", "On record", lambda: sections.records(report)
    yield "proof", "Proof of the work", lambda: sections.proof(report)


# -- head and foot ----------------------------------------------------------------------------------------------


def _header(report: Report, found: Iterable[_Section]) -> Iterator[str]:
    summary = report.summary
    yield '<header><a class="skip" href="#main">to the content</a>'
    yield f"<h1>{name(summary.title or 'a plan')}</h1>"
    yield f'<div class="under">{badge(summary.status)}<span>{summary.done:,} of {summary.total:,} phases</span>'
    yield f'<span class="soft">run {mono(summary.run)}</span><span class="soft">{moment(summary.started)}</span>'
    yield '<span class="tools" hidden><button type="button" id="theme">Theme: auto</button></span></div>'
    yield '<dl class="figures">'
    yield from (f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in _figures(report))
    yield "</dl>"
    links = "".join(f'<a href="#{key}">{heading}</a>' for key, heading, _ in found)
    yield f'<nav aria-label="Sections">{links}</nav></header>'


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    summary = report.summary
    yield "time", known(seconds(summary.elapsed))
    speed = f"<small>{summary.ratio:.2f} times as fast as one after another</small>" if summary.ratio else ""
    yield "work", known(seconds(summary.work)) + speed
    busy = f"<small>busy {summary.ratio / summary.agents:.0%}</small>" if summary.ratio and summary.agents else ""
    yield "agents", f"{summary.agents:,}{busy}" if summary.agents else known("unknown")
    yield (
        "attempts",
        f"{len(report.attempts):,}<small>{counted(summary.retries, 'retry').replace('retrys', 'retries')}</small>",
    )
    yield "cost", _sum(cost_of(report.spent))
    yield "tokens", _sum(tokens_of(report.spent))
    yield "waited for people", seconds(report.people)
    best = report.faster.options[0] if report.faster.options else None  # the others are in their own section
    if best is not None:
        yield "could have been", f"{seconds(best.time)}<small>{text(option_words(report, best))}</small>"


def _sum(words: str) -> str:
    """A sum, with its unknown part in smaller letters below."""
    first, plus, rest = words.partition(" + ")
    return known(first) + (f"<small>+ {text(rest)}</small>" if plus else "")


def _footer(report: Report) -> Iterator[str]:
    summary = report.summary
    yield "<footer>"
    yield f"<p>wavecrew {text(report.version)}, plan {mono(summary.plan_path)} ({mono(summary.plan_digest[:12])}), "
    ended = f"to {moment(summary.ended)}" if summary.ended is not None else "and not over at the time of this report"
    yield f"from {moment(summary.started)} {ended}. Estimates are those of the plan; what no agent told is unknown, "
    yield "and never zero.</p></footer>"


# -- drawings and tables ----------------------------------------------------------------------------------------


def _timeline(report: Report) -> Iterator[str]:
    yield (
        '<div class="tools" hidden><label for="filter">Show phases with</label>'
        '<input id="filter" type="search" autocomplete="off"><span id="told" class="soft" role="status"></span></div>'
    )
    yield from timeline(report)


def _graph(report: Report) -> Iterator[str]:
    if not report.phases:
        yield "<p>The plan has no phases.</p>"
        return
    yield '<p class="soft">Waves from left to right. The same as a table: <a href="#phases">phases</a>.</p>'
    picture = picture_of(report)
    broad = " broad" if picture.width > _BROAD else ""
    yield f'<div class="scroll tall wide{broad}" tabindex="0" role="region" aria-label="Graph">'
    yield from picture.parts()
    yield "</div>"


def _phases(report: Report) -> Iterator[str]:
    ratios = sorted(one.ratio for one in report.phases if one.ratio is not None)
    if len(ratios) > 1:
        middle = ratios[len(ratios) // 2]
        yield (
            f"<p>{len(ratios):,} phases had an estimate and passed. The median took {middle:.0%} of it, "
            f"from {ratios[0]:.0%} to {ratios[-1]:.0%}.</p>"
        )
    if report.chain:
        yield '<p class="soft">◆ paced the run</p>'
    yield from table(
        "Phases",
        ["phase", "wave#", "state", "estimated#", "took#", "of estimate#", "tries#", "waited#", "cost#", "tokens#"],
        (_phase(report, one) for one in report.phases),
        classes="sorted filtered count",
        tall=True,
    )


def _phase(report: Report, one: PhaseFacts) -> list[str]:
    made = bool(one.attempts)
    return [
        f"{shortened(name_of(report, one.row.id), 60)}{paced(one)}",
        f"{one.row.wave}",
        state(one.row.standing),
        known(seconds(one.estimate)),
        seconds(one.actual) if one.actual is not None else "-",
        f"{one.ratio:.0%}" if one.ratio is not None else "-",
        f"{len(one.attempts)}",
        seconds(one.waited) if one.waited else "-",
        sums(cost_of(one.spent)) if made else "-",
        sums(tokens_of(one.spent)) if made else "-",
    ]


def _attempts(report: Report) -> Iterator[str]:
    if not report.attempts:
        yield "<p>There were none.</p>"
        return
    yield f"<details><summary>all {counted(len(report.attempts), 'attempt')}</summary>"
    yield from table(
        "Attempts",
        ["phase", "attempt#", "agent", "ended", "took#", "cost#", "tokens#", "reason|"],
        (_attempt(report, one) for one in report.attempts),
        classes="sorted filtered",
        tall=True,
    )
    yield "</details>"


def _attempt(report: Report, one: AttemptFacts) -> list[str]:
    told = one.attempt.reported
    agent = " ".join(filter(None, (one.attempt.agent, told.model if told else "")))
    good = None if one.attempt.outcome is None else one.good
    return [
        shortened(name_of(report, one.attempt.phase), 40),
        f"{one.attempt.number}",
        shortened(agent, 30),
        mark(good, outcome_words(one)),
        seconds(one.seconds),
        sums(cost_of(one.spent)),
        sums(tokens_of(one.spent)),
        shortened(why(one), 120),
    ]
