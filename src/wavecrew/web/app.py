"""The page of a workspace as an application: which path gives what.

What it does: finds the run that is meant, lets the views write the answer, and turns errors into clear words.
What it does not know: who may ask (`guard`), sockets and processes (`serve`), and the engine.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from wavecrew.api.report import report_of
from wavecrew.errors import (
    InvalidValueError,
    LockError,
    NotFoundError,
    RunBusyError,
    StoreError,
    UsageError,
    WavecrewError,
)
from wavecrew.views.report_html import html_of, policy
from wavecrew.views.run_status import status_data
from wavecrew.views.terminal_text import clean
from wavecrew.web import phase_data
from wavecrew.web.controls import LookingOnlyError, breach_from, break_lock, fulfil, wish_from
from wavecrew.web.guard import Guard
from wavecrew.web.metrics import CONTENT_TYPE, metrics_text
from wavecrew.web.page import About, run_page
from wavecrew.web.phase_data import json_answer
from wavecrew.web.plain_pages import entry_page, runs_page, trouble_page, waiting_page
from wavecrew.web.site import Shown, Site
from wavecrew.web.stream import EventStream, last_heard

MOST_STREAMS: Final = 32
"""How many may listen at once."""
_ASSETS: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "entry.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_STATUS: Final[tuple[tuple[type[WavecrewError], int], ...]] = (
    (NotFoundError, 404),
    (InvalidValueError, 400),
    (LookingOnlyError, 403),
    (UsageError, 409),
    (LockError, 409),
    (RunBusyError, 503),
    (StoreError, 503),
)
Handler = Callable[["Site", Request], Awaitable[Response]]
_Answer = Callable[[Request], Awaitable[Response]]


def application(site: Site) -> ASGIApp:
    """The application with its guard before it."""
    pages: list[tuple[str, str, Handler]] = [
        ("/", "GET", _first),
        ("/enter", "POST", _enter),
        ("/runs", "GET", _runs),
        ("/run/{run}", "GET", _run),
        ("/run/{run}/report", "GET", _report),
        ("/api/run/{run}", "GET", _snapshot),
        ("/api/run/{run}/events", "GET", _events),
        ("/api/run/{run}/facts", "GET", phase_data.facts),
        ("/api/run/{run}/task", "GET", phase_data.task),
        ("/api/run/{run}/log", "GET", phase_data.log),
        ("/api/run/{run}/diff", "GET", phase_data.diff),
        ("/api/run/{run}/prompt", "GET", phase_data.prompt),
        ("/api/run/{run}/checks", "GET", phase_data.checks),
        ("/api/run/{run}/{verb}", "POST", _control),
        ("/api/locks/break", "POST", _break),
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
            return json_answer({"error": clean(error.reason), "fix": clean(error.fix), "code": error.code}, code)
        except ClientDisconnect:
            return PlainTextResponse("", 400)

    return answer


# -- pages ------------------------------------------------------------------------------------------------------


async def _first(site: Site, request: Request) -> Response:
    if not _may_look(site, request):
        return HTMLResponse(entry_page())
    try:
        shown = await asyncio.to_thread(site.show, site.run)
    except NotFoundError:
        return HTMLResponse(waiting_page(site.run)) if site.run != "latest" else RedirectResponse("/runs", 303)
    return RedirectResponse(f"/run/{shown.watch.row.id}", 303)


def _may_look(site: Site, request: Request) -> bool:
    return site.door.knows(request.headers.get("cookie", ""))


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
    async with site.heavy:
        return HTMLResponse(runs_page(await asyncio.to_thread(site.runs)))


async def _run(site: Site, request: Request) -> Response:
    shown = await asyncio.to_thread(site.show, request.path_params["run"])
    look, scene = await shown.desk.fresh()
    if not look.state.graph.nodes:
        return HTMLResponse(trouble_page("Nothing to show yet", "This run has no phases."))
    analysis = await asyncio.to_thread(shown.watch.analysis)
    return HTMLResponse(run_page(look, scene, analysis, await _about(site, shown)))


async def _about(site: Site, shown: Shown) -> About:
    """What can be done on a page, and whether there is a newer run than the one that it shows."""
    if shown.imported is not None:
        return About("imported: only for looking")
    latest = await asyncio.to_thread(site.row, "latest")
    newer = "" if latest.id == shown.watch.row.id else latest.id
    return About("only for looking" if site.door.read_only else "", newer)


async def _report(site: Site, request: Request) -> Response:
    """The report as `wavecrew report --format html` writes it, made anew. Its policy allows what its file needs by
    digest, and makes it a stranger to the page: it has no cookie and can ask for nothing."""
    shown = await asyncio.to_thread(site.show, request.path_params["run"])
    async with site.heavy:
        made = await asyncio.to_thread(_report_html, shown)
    sheet = made.partition("<style>")[2].partition("</style>")[0]
    told = f"{policy(sheet)}; frame-ancestors 'none'; sandbox allow-scripts"
    return HTMLResponse(made, headers={"content-security-policy": told})


def _report_html(shown: Shown) -> str:
    return html_of(report_of(shown.watch.store, shown.workspace, shown.watch.row.id))


async def _asset(site: Site, request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        return PlainTextResponse("there is no such file\n", 404)
    content = files("wavecrew.web").joinpath("assets", name).read_bytes()
    return Response(content, media_type=_ASSETS[name], headers={"cache-control": "no-cache"})


# -- data -------------------------------------------------------------------------------------------------------


async def _snapshot(site: Site, request: Request) -> Response:
    """The same numbers as `status --json`, and the number of the last event in them."""
    shown = await asyncio.to_thread(site.show, request.path_params["run"])
    look, _ = await shown.desk.fresh()
    return json_answer({"seq": look.seq} | status_data(look.summary))


async def _events(site: Site, request: Request) -> Response:
    if site.listeners >= MOST_STREAMS:
        return PlainTextResponse("too many look at once; close some of these pages\n", 503, {"retry-after": "10"})
    shown = await asyncio.to_thread(site.show, request.path_params["run"])
    after = last_heard(request.headers.get("last-event-id"), request.query_params.get("after"))
    return EventStream(shown.desk.messages(after))  # type: ignore[return-value]  # an answer is what can be called so


async def _metrics(site: Site, request: Request) -> Response:
    shown = await asyncio.to_thread(site.show, site.run)
    look, _ = await shown.desk.fresh()
    return Response(metrics_text(look), media_type=CONTENT_TYPE)


# -- wishes -----------------------------------------------------------------------------------------------------


async def _control(site: Site, request: Request) -> Response:
    wish = wish_from(request.path_params["verb"], await _wanted(site, request))
    shown = await asyncio.to_thread(site.show, request.path_params["run"])
    if shown.imported is not None:
        raise UsageError(f"this run was {shown.imported.words}", fix="do it where the run took place")
    async with site.wishes:
        alive = await asyncio.to_thread(fulfil, site.workspace, shown.watch.row.id, wish)
    return json_answer({"ok": True, "run": shown.watch.row.id, "wish": wish.kind.value, "coordinator": alive})


async def _break(site: Site, request: Request) -> Response:
    """Take a lock of this workspace from an owner that is proven dead, or of whom somebody says so."""
    breach = breach_from(await _wanted(site, request))
    async with site.wishes:
        holder = await asyncio.to_thread(break_lock, site.workspace, breach)
    return json_answer({"ok": True, "fence": breach.fence, "holder": holder})


async def _wanted(site: Site, request: Request) -> object:
    if site.door.read_only:
        raise LookingOnlyError("this page is only for looking", fix="start it without --read-only")
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InvalidValueError("a wish must be JSON") from None
