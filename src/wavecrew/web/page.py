"""The pages as HTML, complete without JavaScript: the plan as a picture and as a table, locks, what needs a person.

What it does: writes what the first look shows; the module in the page then changes texts and classes in place.
Everything that is foreign goes through `html.escape`; there is no script and no style in the page itself.
What it does not know: requests, and who may see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wavecrew.models.schedule import Analysis
from wavecrew.views.run_words import UNKNOWN, label, moment, seconds
from wavecrew.views.summary import PhaseRow
from wavecrew.web.graph import graph_svg
from wavecrew.web.plain_pages import HEAD, words_of
from wavecrew.web.scene import Scene, text
from wavecrew.web.signs import icon, slug, sprite
from wavecrew.web.watch import Look


@dataclass(frozen=True, slots=True)
class About:
    """What can be done on a page: `only_looking` says why there are no controls, `newer` is the id of the latest run of
    the workspace, if that is another one."""

    only_looking: str = ""
    newer: str = ""


def run_page(look: Look, scene: Scene, analysis: Analysis, about: About) -> str:
    """The page of one run."""
    return "\n".join(_RunPage(look, scene, analysis, about).parts())


class _RunPage:
    def __init__(self, look: Look, scene: Scene, analysis: Analysis, about: About) -> None:
        self.look = look
        self.scene = scene
        self.analysis = analysis
        self.only_looking = about.only_looking
        self.newer = about.newer
        self.summary = look.summary
        self.numbers = {row.id: place for place, row in enumerate(self.summary.rows)}

    def parts(self) -> Iterator[str]:
        summary, head = self.summary, self.scene["head"]
        yield HEAD
        yield f"<title>{head['done']}/{head['total']} {words_of(summary.plan_name)} · wavecrew</title>"
        if not head["over"]:
            yield '<noscript><meta http-equiv="refresh" content="5"></noscript>'
        yield '<script type="module" src="/assets/page.js"></script></head>'
        yield (
            f'<body data-run="{words_of(summary.run)}" data-seq="{self.look.seq}" '
            f'data-digest="{words_of(summary.plan_digest)}"{" data-read-only" if self.only_looking else ""}'
            f"{' data-old' if self.newer else ''}>"
        )
        yield sprite()
        yield '<a class="skip" href="#table">to the table of phases</a>'
        yield from self.header()
        yield '<main><p id="told" class="hidden-words" role="status" aria-live="polite"></p>'
        yield '<p id="trouble" class="alarm" role="alert" hidden></p>'
        yield self.notes()
        yield self.needs()
        yield from self.plan()
        yield _TIME
        yield '<div class="two">'
        yield _PHASE
        yield self.locks()
        yield "</div>"
        yield _FACTS
        yield "</main>"
        yield self.footer()
        yield _DIALOGS
        yield "</body></html>\n"

    def header(self) -> Iterator[str]:
        head = self.scene["head"]
        name, run = words_of(self.summary.title), words_of(self.summary.run)
        yield f'<header><h1>{name} <span class="run">run {run}</span></h1>'
        yield f'<p id="counted" class="status-{slug(head["status"])}"><b id="status">{head["status"]}</b> '
        yield f'<span id="clock" class="num">{seconds(self.summary.elapsed) if self.summary.elapsed else ""}</span> '
        yield f'<span id="counts">{words_of(" · ".join(head["counted"]))}</span></p>'
        left, used = words_of(head["left"]), words_of(head["used"])
        yield f'<p id="about"><span id="left">{left}</span> <span id="used">{"· " if left else ""}{used}</span></p>'
        yield (
            f'<progress id="bar" max="{max(1, head["total"])}" value="{head["done"]}" '
            'aria-label="phases done"></progress>'
        )
        if not self.only_looking:
            yield (
                '<div class="buttons"><button id="pause" type="button" class="js">Pause</button>'
                '<button id="stop" type="button" class="harm js">Stop…</button>'
            )
        else:
            yield f'<div class="buttons"><span class="soft">{words_of(self.only_looking)}</span>'
        yield (
            f'<a class="as-button" href="/run/{run}/report" target="_blank" rel="noopener">Report</a>'
            '<a class="as-button" href="/runs">All runs</a>'
            '<button id="theme" class="js" type="button" aria-label="light, dark or as the system">Theme</button>'
            '<button id="help" class="js" type="button">Keys</button></div>'
        )
        yield "</header>"

    def notes(self) -> str:
        head = self.scene["head"]
        newer = (
            f'<a href="/run/{words_of(self.newer)}">There is a newer run: {words_of(self.newer)}.</a>'
            if self.newer
            else ""
        )
        notes = "".join(f"<p>{words_of(note)}</p>" for note in head["notes"])
        return f'{f"<p class=note>{newer}</p>" if newer else ""}<div id="notes">{notes}</div>'

    def needs(self) -> str:
        entries = "".join(
            f"<li><span><b>{words_of(one['name'])}</b> {words_of(one['words'])}</span> "
            f"<code>{words_of(one['command'])}</code></li>"
            for one in self.scene["needs"]
        )
        hidden = "" if entries else " hidden"
        return (
            f'<section id="needs" aria-labelledby="h-needs"{hidden}><h2 id="h-needs">Needs you</h2>'
            f'<ul id="needed">{entries}</ul></section>'
        )

    def plan(self) -> Iterator[str]:
        yield '<section id="plan" aria-labelledby="h-plan"><h2 id="h-plan">Plan</h2>'
        yield (
            '<p class="tools js"><button id="as-graph" type="button" aria-pressed="true">Graph</button>'
            '<button id="as-table" type="button" aria-pressed="false">Table</button>'
            '<button id="fit" type="button" aria-pressed="false">Fit</button>'
            '<input id="filter" type="search" placeholder="filter: id, name, state" aria-label="filter phases">'
            '<span class="legend"><svg width="12" height="12" class="k"><use href="#m-path"/></svg> critical path '
            '<svg width="12" height="12" class="c"><use href="#m-conflict"/></svg> wants what others want</span></p>'
        )
        rows = {row.id: row for row in self.summary.rows}
        yield '<div id="picture" class="wide">'
        yield graph_svg(self.analysis, rows, self.numbers)
        yield "</div>"
        heads = ("wave", "phase", "state", "tries", "time", "why", "needs")
        columns = "".join(f'<th scope="col">{name}</th>' for name in heads)
        yield (
            f'<div id="list" class="wide"><table id="table"><caption class="hidden-words">All phases by waves</caption>'
            f"<thead><tr>{columns}</tr></thead><tbody>"
        )
        for row in sorted(self.summary.rows, key=lambda row: row.wave):
            yield self.row(row)
        yield "</tbody></table></div></section>"

    def row(self, row: PhaseRow) -> str:
        place = self.numbers[row.id]
        shown = self.scene["rows"][place]
        needs = self.look.state.graph.edges[row.id]
        some = ", ".join(text(name) for name in needs[:8]) + (f" and {len(needs) - 8} more" if len(needs) > 8 else "")
        time = seconds(row.elapsed) if row.elapsed is not None else ""
        return (
            f'<tr id="r{place}" class="st-{slug(row.standing.value)}"><td>{row.wave}</td>'
            f'<th scope="row">{words_of(label(row.id, row.name))}</th>'
            f"<td>{icon(row.standing.value)} <span>{row.standing.value}</span></td><td>{row.attempts or ''}</td>"
            f"<td>{time}</td><td>{words_of(shown.get('why', ''))}</td><td>{words_of(some)}</td></tr>"
        )

    def locks(self) -> str:
        entries = "".join(
            f"<li>{words_of(one['what'])} {one['mode']} {words_of(one['who'])}{_owner(one)}"
            + "".join(f" ← {words_of(waiter['who'])}" for waiter in one.get("waiters", ()))
            + "</li>"
            for one in self.scene["locks"]
        )
        nothing = "" if entries else "<li>No lock is held.</li>"
        return (
            f'<section aria-labelledby="h-locks"><h2 id="h-locks">Locks of this workspace</h2>'
            f'<ul id="locks">{entries}{nothing}</ul></section>'
        )

    def footer(self) -> str:
        head = self.scene["head"]
        commands = "".join(f"<li><code>{words_of(one)}</code></li>" for one in head["next"])
        result = f"<p>Result: {words_of(head['result'])}</p>" if head["result"] else ""
        started = moment(self.summary.started) if self.summary.started is not None else UNKNOWN
        return (
            f'<footer><div id="result">{result}</div><p>The same on a command line:</p><ul id="next">{commands}</ul>'
            f'<p class="soft">started {started} · '
            f'<a href="/api/run/{words_of(self.summary.run)}">as JSON</a></p></footer>'
        )


_TIME: Final = (
    '<section id="time" class="js" aria-labelledby="h-time"><h2 id="h-time">Time</h2><div id="lanes"></div></section>'
)
_FACTS: Final = (
    '<section class="js" aria-labelledby="h-facts"><h2 id="h-facts">Events</h2>'
    '<ol id="facts" tabindex="0"></ol></section>'
)
_PHASE: Final = (
    '<section id="phase" class="js" aria-labelledby="h-phase" hidden><h2 id="h-phase"></h2>'
    '<p id="what"></p><p id="wishes" class="tools"></p>'
    '<p class="tools"><span class="tabs"><button type="button" data-tab="log" aria-pressed="true">Log</button>'
    '<button type="button" data-tab="events" aria-pressed="false">Events</button>'
    '<button type="button" data-tab="task" aria-pressed="false">Task</button>'
    '<button type="button" data-tab="prompt" aria-pressed="false">Prompt</button>'
    '<button type="button" data-tab="checks" aria-pressed="false">Checks</button>'
    '<button type="button" data-tab="diff" aria-pressed="false">Diff</button></span>'
    '<label class="logs">attempt <select id="attempt"></select></label>'
    '<label class="logs"><input id="follow" type="checkbox" checked> follow</label>'
    '<button id="full" class="logs" type="button">Whole window</button></p>'
    '<pre id="text" tabindex="0"></pre></section>'
)
_DIALOGS: Final = (
    '<dialog id="ask" aria-labelledby="h-ask"><form method="dialog"><h2 id="h-ask"></h2><p id="means"></p>'
    '<p id="reasons"><label><span id="asked">Why</span> <input id="reason" autocomplete="off"></label></p>'
    '<p id="surely" hidden><label><input id="sure" type="checkbox"> I have made sure that it is gone</label></p>'
    '<p class="copy"><code id="command"></code> <button id="copy" type="button">Copy</button></p>'
    '<p id="refused" class="alarm" role="alert" hidden></p>'
    '<p class="buttons"><button id="no" value="no" type="submit">Leave it</button>'
    '<button id="yes" type="button"></button></p></form></dialog>'
    '<dialog id="keys" aria-labelledby="h-keys"><form method="dialog"><h2 id="h-keys">Keys</h2><dl id="bindings"></dl>'
    '<p><label><input id="use-keys" type="checkbox" checked> single keys are in use</label></p>'
    '<p class="buttons"><button value="close">Close</button></p></form></dialog>'
)


def _owner(lock: Mapping[str, Any]) -> str:
    """Why an owner may have lost its lock, and what takes it away; nothing for one that is alive."""
    if "owner" not in lock:
        return ""
    force = " --force" if lock["owner"] == "suspect" else ""
    command = f"wavecrew locks break {lock['id']}{force} --reason WHY"
    return f" ({lock['owner']}: {words_of(lock['reason'])}) <code>{command}</code>"
