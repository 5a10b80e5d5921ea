"""The page of a workspace as an application: which path gives what.

What it does: finds the run that is meant, lets the views write the answer, and turns errors into clear words.
What it does not know: who may ask (`guard`), sockets and processes (`serve`), and the engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial, wraps
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from wavecrew.api.history import open_run
from wavecrew.api.work import work_of
from wavecrew.core.redaction import Redaction
from wavecrew.core.store import RunRow, Store
from wavecrew.errors import InvalidValueError, NotFoundError, RunBusyError, StoreError, UsageError, WavecrewError
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.views.run_history import History
from wavecrew.views.run_status import status_data
from wavecrew.views.summary import Summary, summarize
from wavecrew.views.terminal_text import clean, safe_json
from wavecrew.views.work_text import work_text
from wavecrew.web.controls import fulfil, wish_from
from wavecrew.web.guard import Door, Guard
from wavecrew.web.log_pieces import LONGEST, PIECE, read_piece
from wavecrew.web.metrics import CONTENT_TYPE, metrics_text
from wavecrew.web.page import entry_page, run_page, runs_page, trouble_page, waiting_page
from wavecrew.web.scene import text
from wavecrew.web.stream import Desk, EventStream, last_heard
from wavecrew.web.watch import RunWatch

MOST_STREAMS: Final = 32
"""How many may listen at once."""
_RUNS_SHOWN: Final = 200
_DESKS: Final = 16
_ASSETS: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "entry.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_STATUS: Final[tuple[tuple[type[WavecrewError], int], ...]] = (
    (NotFoundError, 404),
    (InvalidValueError, 400),
    (UsageError, 409),
    (RunBusyError, 503),
    (StoreError, 503),
)
Handler = Callable[["Site", Request], Awaitable[Response]]
_Answer = Callable[[Request], Awaitable[Response]]


@dataclass
class Site:
    """One workspace that is shown. `run` is what `/` leads to: an id, or `latest`."""

    workspace: Path
    store: Store
    door: Door
    run: str = "latest"
    desks: dict[str, Desk] = field(default_factory=dict)
    wishes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    def row(self, reference: str) -> RunRow:
        """The run that is meant. Raises NotFoundError."""
        for row in self.store.runs():
            if reference in ("latest", row.id):
                return row
        raise NotFoundError("there is no such run in this workspace", fix="all runs stand below")

    def desk(self, reference: str) -> Desk:
        """The desk of a run, made at its first call. Those that nobody looks at any more make room for others."""
        row = self.row(reference)
        if row.id not in self.desks:
            for name in [one for one, desk in self.desks.items() if not desk.listeners][: len(self.desks) - _DESKS + 1]:
                del self.desks[name]
            self.desks[row.id] = Desk(RunWatch(self.store, row))
        return self.desks[row.id]

    @property
    def listeners(self) -> int:
        """How many listen to any run."""
        return sum(desk.listeners for desk in self.desks.values())

    def close(self) -> None:
        """Let all listeners go, so that the server can end."""
        for desk in self.desks.values():
            desk.close()


def application(site: Site) -> ASGIApp:
    """The application with its guard before it."""
    pages: list[tuple[str, str, Handler]] = [
        ("/", "GET", _first),
        ("/enter", "POST", _enter),
        ("/runs", "GET", _runs),
        ("/run/{run}", "GET", _run),
        ("/api/run/{run}", "GET", _snapshot),
        ("/api/run/{run}/events", "GET", _events),
        ("/api/run/{run}/facts", "GET", _facts),
        ("/api/run/{run}/task", "GET", _task),
        ("/api/run/{run}/log", "GET", _log),
        ("/api/run/{run}/diff", "GET", _diff),
        ("/api/run/{run}/{verb}", "POST", _control),
        ("/metrics", "GET", _metrics),
        ("/assets/{name}", "GET", _asset),
    ]
    routes = [Route(path, _answering(partial(handler, site), path), methods=[verb]) for path, verb, handler in pages]
    return Guard(Starlette(routes=routes), site.door)


def _answering(handler: _Answer, path: str) -> _Answer:
    """Errors in words: as a page for people, else as JSON."""
    for_people = not path.startswith(("/api", "/metrics"))

    @wraps(handler, assigned=())
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except WavecrewError as error:
            code = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            if for_people:
                return HTMLResponse(trouble_page("This cannot be shown", error.reason, error.fix), code)
            return _json({"error": clean(error.reason), "fix": clean(error.fix), "code": error.code}, code)
        except ClientDisconnect:
            return PlainTextResponse("", 400)

    return answer


def _json(data: dict[str, Any], code: int = 200) -> Response:
    return Response(safe_json(data), code, media_type="application/json")


# -- pages ------------------------------------------------------------------------------------------------------


async def _first(site: Site, request: Request) -> Response:
    if not _may_look(site, request):
        return HTMLResponse(entry_page())
    try:
        row = await asyncio.to_thread(site.row, site.run)
    except NotFoundError:
        return HTMLResponse(waiting_page(site.run)) if site.run != "latest" else RedirectResponse("/runs", 303)
    return RedirectResponse(f"/run/{row.id}", 303)


def _may_look(site: Site, request: Request) -> bool:
    return site.door.entry.is_cookie(request.cookies.get(site.door.cookie_name, ""))


async def _enter(site: Site, request: Request) -> Response:
    """Give the cookie to whoever has the token. Our script asks with our header, a form without one."""
    form = parse_qs((await request.body()).decode("utf-8", errors="replace"))
    token = (form.get("token") or [""])[0].strip()
    if not site.door.entry.is_token(token):
        return HTMLResponse(entry_page("That is not the key to this page."), 403)
    scripted = request.headers.get("x-wavecrew") == "1"
    answer: Response = JSONResponse({"ok": True}) if scripted else RedirectResponse("/", 303)
    answer.set_cookie(site.door.cookie_name, site.door.entry.cookie, httponly=True, samesite="strict", path="/")
    return answer


async def _runs(site: Site, request: Request) -> Response:
    return HTMLResponse(runs_page(await asyncio.to_thread(_summaries, site)))


def _summaries(site: Site) -> list[Summary]:
    opened = [open_run(site.store, row.id) for row in site.store.runs()[:_RUNS_SHOWN]]
    now = time.time()
    return [
        summarize(one.state, now, alive=one.alive, history=History(one.events), signs=one.signs()) for one in opened
    ]


async def _run(site: Site, request: Request) -> Response:
    desk = await asyncio.to_thread(site.desk, request.path_params["run"])
    look, scene = await desk.fresh()
    if not look.state.graph.nodes:
        return HTMLResponse(trouble_page("Nothing to show yet", "This run has no phases."))
    analysis = await asyncio.to_thread(desk.watch.analysis)
    latest = await asyncio.to_thread(site.row, "latest")
    newer = "" if latest.id == look.row.id else latest.id
    return HTMLResponse(run_page(look, scene, analysis, read_only=site.door.read_only, newer=newer))


async def _asset(site: Site, request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        return PlainTextResponse("there is no such file\n", 404)
    content = files("wavecrew.web").joinpath("assets", name).read_bytes()
    return Response(content, media_type=_ASSETS[name], headers={"cache-control": "no-cache"})


# -- data -------------------------------------------------------------------------------------------------------


async def _snapshot(site: Site, request: Request) -> Response:
    """The same numbers as `status --json`, and the number of the last event in them."""
    desk = await asyncio.to_thread(site.desk, request.path_params["run"])
    look, _ = await desk.fresh()
    return _json({"seq": look.seq} | status_data(look.summary))


async def _events(site: Site, request: Request) -> Response:
    if site.listeners >= MOST_STREAMS:
        return PlainTextResponse("too many look at once; close some of these pages\n", 503, {"retry-after": "10"})
    desk = await asyncio.to_thread(site.desk, request.path_params["run"])
    after = last_heard(request.headers.get("last-event-id"), request.query_params.get("after"))
    return EventStream(desk.messages(after))  # type: ignore[return-value]  # an answer is what can be called so


async def _facts(site: Site, request: Request) -> Response:
    desk = await asyncio.to_thread(site.desk, request.path_params["run"])
    await desk.fresh()
    found = await asyncio.to_thread(desk.watch.facts, None, phase=request.query_params.get("phase", ""))
    return _json({"facts": [[one.seq, text(one.text)] for one in found]})


async def _task(site: Site, request: Request) -> Response:
    """What a phase is to do, as text."""
    desk = await asyncio.to_thread(site.desk, request.path_params["run"])
    look, _ = await desk.fresh()
    phase = look.state.graph.nodes.get(request.query_params.get("phase", ""))
    if phase is None:
        raise NotFoundError("there is no such phase in this run")
    return PlainTextResponse(clean("\n".join(_task_lines(phase))))


def _task_lines(phase: PhaseInfo) -> list[str]:
    lists = (("needs", phase.dependencies), ("writes", phase.outputs), ("reads", phase.reads), ("locks", phase.locks))
    lines = [f"{name:<8}{', '.join(found)}" for name, found in lists if found]
    lines += [f"{'check':<8}{' '.join(check)}" for check in phase.checks]
    lines += [f"{'command':<8}{' '.join(phase.command)}"] if phase.command else []
    return [*lines, "", phase.description or "(its document says no more)"]


async def _log(site: Site, request: Request) -> Response:
    """A piece of a log: its end, or what stands after a place in it."""
    query = request.query_params
    desk = await asyncio.to_thread(site.desk, request.path_params["run"])
    attempt = last_heard(query.get("attempt"), None)
    opened = await asyncio.to_thread(desk.watch.for_logs, query.get("phase", ""))
    path = opened.log_file(query.get("phase", ""), attempt)
    try:
        most = LONGEST if query.get("long") == "1" else PIECE
        piece = await asyncio.to_thread(read_piece, path, last_heard(query.get("after"), None), most)
    except OSError:
        raise NotFoundError("this attempt has printed nothing yet, or its log was removed") from None
    told = {"x-log-begin": str(piece.begin), "x-log-end": str(piece.end), "x-log-anew": str(int(piece.anew))}
    hide = Redaction.for_run(opened.state.settings, os.environ)
    return PlainTextResponse(hide.text(piece.text), headers=told)


async def _diff(site: Site, request: Request) -> Response:
    """What an attempt has changed, as far as it is told at once."""
    query = request.query_params
    run, phase, attempt = request.path_params["run"], query.get("phase", ""), last_heard(query.get("attempt"), None)
    return PlainTextResponse(clean(await asyncio.to_thread(_changes, site, run, phase, attempt)))


def _changes(site: Site, run: str, phase: str, attempt: int | None) -> str:
    opened = open_run(site.store, site.row(run).id)
    if phase not in opened.state.phase_states:
        raise NotFoundError("there is no such phase in this run")
    told = work_text(work_of(site.store, site.workspace, opened, phase, attempt))
    return told if len(told) <= LONGEST else f"{told[:LONGEST]}\n… (the rest: wavecrew diff)"


async def _metrics(site: Site, request: Request) -> Response:
    desk = await asyncio.to_thread(site.desk, site.run)
    look, _ = await desk.fresh()
    return Response(metrics_text(look), media_type=CONTENT_TYPE)


# -- wishes -----------------------------------------------------------------------------------------------------


async def _control(site: Site, request: Request) -> Response:
    if site.door.read_only:
        return _json({"error": "this page is only for looking", "fix": "start it without --read-only"}, 403)
    try:
        data = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InvalidValueError("a wish must be JSON") from None
    wish = wish_from(request.path_params["verb"], data)
    row = await asyncio.to_thread(site.row, request.path_params["run"])
    async with site.wishes:
        alive = await asyncio.to_thread(fulfil, site.workspace, row.id, wish)
    return _json({"ok": True, "run": row.id, "wish": wish.kind.value, "coordinator": alive})
