"""What the panel of a phase asks for: its log, events, task, prompt, checks and changes, as text.

What it does: finds the phase and the attempt that are meant, and has the text written; values of variables that agents
were handed stand in none of them.
What it does not know: who may ask, and how it is shown.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from wavecrew.api.attempt_folders import attempt_told
from wavecrew.api.work import work_of
from wavecrew.core.redaction import Redaction
from wavecrew.errors import NotFoundError
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.views.board_phase import AttemptTold
from wavecrew.views.terminal_text import clean, safe_json
from wavecrew.views.work_text import work_text
from wavecrew.web.attempt_text import checks_text, prompt_text
from wavecrew.web.log_pieces import LONGEST, PIECE, read_piece
from wavecrew.web.scene import text
from wavecrew.web.site import Shown, Site
from wavecrew.web.stream import last_heard
from wavecrew.web.watch import Look

_NO_PHASE: Final = "there is no such phase in this run"


def json_answer(data: dict[str, Any], code: int = 200) -> Response:
    """Values as JSON that holds no control character."""
    return Response(safe_json(data), code, media_type="application/json")


async def facts(site: Site, request: Request) -> Response:
    """What happened to a phase, in words."""
    shown = await asyncio.to_thread(site.show, request.path_params["run"])
    await shown.desk.recent()
    found = await asyncio.to_thread(shown.watch.facts, None, phase=request.query_params.get("phase", ""))
    return json_answer({"facts": [[one.seq, text(one.text)] for one in found]})


async def task(site: Site, request: Request) -> Response:
    """What a phase is to do, as its document has it."""
    _, look, info = await _phase(site, request)
    return _plain(look, "\n".join(_task_lines(info)))


def _task_lines(phase: PhaseInfo) -> list[str]:
    lists = (("needs", phase.dependencies), ("writes", phase.outputs), ("reads", phase.reads), ("locks", phase.locks))
    lines = [f"{name:<8}{', '.join(found)}" for name, found in lists if found]
    lines += [f"{'check':<8}{' '.join(check)}" for check in phase.checks]
    lines += [f"{'command':<8}{' '.join(phase.command)}"] if phase.command else []
    return [*lines, "", phase.description or "(its document says no more)"]


async def prompt(site: Site, request: Request) -> Response:
    """What the agent of an attempt was given."""
    shown, look, info = await _phase(site, request)
    found = await asyncio.to_thread(_told, shown, look, info.id, _attempt(request))
    return _plain(look, await asyncio.to_thread(prompt_text, info, found))


async def checks(site: Site, request: Request) -> Response:
    """How far the steps and checks of an attempt are."""
    shown, look, info = await _phase(site, request)
    found = await asyncio.to_thread(_told, shown, look, info.id, _attempt(request))
    number = _attempt(request) or look.summary.by_id[info.id].attempts
    meant = (one for one in look.history.attempts if (one.phase, one.number) == (info.id, number))
    row = look.summary.by_id[info.id]
    return _plain(look, await asyncio.to_thread(checks_text, info, row, found, next(meant, None)))


def _told(shown: Shown, look: Look, phase: str, attempt: int | None) -> AttemptTold | None:
    """None for a phase that has not been started. Raises NotFoundError for an attempt that it has not had."""
    made = look.state.phase_states[phase].attempts
    number = made if attempt is None else attempt
    if not made and attempt is None:
        return None
    if not 1 <= number <= made:
        raise NotFoundError(f"phase {phase} has no attempt {number}; it has had {made}")
    return attempt_told(shown.watch.store.folder, look.row.id, phase, number)


async def log(site: Site, request: Request) -> Response:
    """A piece of a log: its end, or what stands after a place in it."""
    query = request.query_params
    shown = await asyncio.to_thread(site.show, request.path_params["run"])
    opened = await asyncio.to_thread(shown.watch.for_logs, query.get("phase", ""))
    path = opened.log_file(query.get("phase", ""), _attempt(request))
    try:
        most = LONGEST if query.get("long") == "1" else PIECE
        piece = await asyncio.to_thread(read_piece, path, last_heard(query.get("after"), None), most)
    except OSError:
        raise NotFoundError("this attempt has printed nothing yet, or its log was removed") from None
    told = {"x-log-begin": str(piece.begin), "x-log-end": str(piece.end), "x-log-anew": str(int(piece.anew))}
    hide = Redaction.for_run(opened.state.settings, os.environ)
    return PlainTextResponse(hide.text(piece.text), headers=told)


async def diff(site: Site, request: Request) -> Response:
    """What an attempt has changed, as far as it is told at once."""
    shown, look, info = await _phase(site, request)
    async with site.heavy:
        told = await asyncio.to_thread(_changes, shown, info.id, _attempt(request))
    return _plain(look, told)


def _changes(shown: Shown, phase: str, attempt: int | None) -> str:
    told = work_text(work_of(shown.watch.store, shown.workspace, shown.opened(), phase, attempt))
    return told if len(told) <= LONGEST else f"{told[:LONGEST]}\n… (the rest: wavecrew diff)"


async def _phase(site: Site, request: Request) -> tuple[Shown, Look, PhaseInfo]:
    shown = await asyncio.to_thread(site.show, request.path_params["run"])
    look = await shown.desk.recent()
    info = look.state.graph.nodes.get(request.query_params.get("phase", ""))
    if info is None:
        raise NotFoundError(_NO_PHASE)
    return shown, look, info


def _attempt(request: Request) -> int | None:
    return last_heard(request.query_params.get("attempt"), None)


def _plain(look: Look, words: str) -> Response:
    return PlainTextResponse(clean(Redaction.for_run(look.state.settings, os.environ).text(words)))
