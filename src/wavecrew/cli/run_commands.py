"""`run`: the main job, and its dry run."""

from __future__ import annotations

import shlex
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, show, with_globals
from wavecrew.cli.setting_flags import with_settings
from wavecrew.cli.web_commands import CommandWithPage, page_beside, require_page, with_page
from wavecrew.errors import ExitCode, NeedsHumanError, NotFoundError, Severity, UsageError

if TYPE_CHECKING:
    from wavecrew.api.runs import PreparedRun
    from wavecrew.api.workspace import Workspace
    from wavecrew.cli.screens import Screen
    from wavecrew.core.jobs import Prepared
    from wavecrew.models.execution_state import ExecutionState
    from wavecrew.models.plan import Plan

_SHOWN_PROMPT = 12
_PROMPT = "          | "


@click.command(cls=CommandWithPage, context_settings={"max_content_width": 100})
@click.argument("plan", required=False)
@click.option("--only", multiple=True, metavar="PHASE", help="Run only this phase (an id, a name or a pattern).")
@click.option("--from", "start", multiple=True, metavar="PHASE", help="Run this phase and what depends on it.")
@click.option("--until", multiple=True, metavar="PHASE", help="Run this phase and what it depends on.")
@click.option("--force", is_flag=True, help="Begin a new run; do again what was chosen, or all.")
@click.option("--include-dirty", is_flag=True, help="Take uncommitted work along, as the first commit of the result.")
@click.option("--into", default="", metavar="BRANCH", help="At a green end, bring the result to this branch of yours.")
@click.option("--dry-run", is_flag=True, help="Show exactly what would be started, and start nothing.")
@click.option("--yes", is_flag=True, help="Agree to the commands that the plan would run.")
@click.option("--detach", is_flag=True, help="Go on in the background; look with `wavecrew status`.")
@click.option("--wait-for-approval", is_flag=True, help="Wait for it even if nobody can be asked here.")
@with_page
@with_settings
@with_globals
@pass_globals
def run(
    settings: Globals,
    /,
    plan: str | None,
    only: tuple[str, ...],
    start: tuple[str, ...],
    until: tuple[str, ...],
    force: bool,
    include_dirty: bool,
    into: str,
    dry_run: bool,
    yes: bool,
    detach: bool,
    wait_for_approval: bool,
    web: int | None,
    keep_web: bool,
    **flags: Any,
) -> int:
    """Run PLAN with agents in parallel.

    A run that was interrupted or has failed phases is taken up where it stands: finished work is kept, agents that
    are still alive are adopted, failed phases are tried again. Finished work that is not as it was (its document, its
    agent, a file that it reads, its outputs, or something it depends on) is done again. Ctrl-C ends all agents and
    keeps the state; a second Ctrl-C does not wait for them. Where a person has to agree (gate), any terminal will do:
    `wavecrew approve`.
    """
    from wavecrew.api.runs import RunRequest, prepare_run

    workspace, found = _workspace_and_plan(settings, plan, flags)
    attended = wait_for_approval or (settings.allows_questions if detach else settings.may_ask)
    request = RunRequest(
        found, only, start, until, force, attended=attended, include_dirty=include_dirty, agreed=yes or dry_run
    )
    prepared = prepare_run(workspace, request)
    require_page(web, keep=keep_web, detach=detach)
    in_board = prepared.config.ui == "tui" and not (detach or dry_run)
    if in_board:
        _require_terminal()
    if into:
        _require_landing(prepared, into, alone="--detach" if detach else "--ui tui" if in_board else "")
    if not prepared.taken_up and not settings.quiet:
        told = [f"[{one.code}]: {one.message}" for one in found.diagnostics if one.severity is Severity.WARNING]
        again = [f"phase {name} is to be done: {prepared.again[name]}" for name in prepared.waived]
        for text in (*told, *(f": {one}" for one in (*prepared.ground.warnings, *prepared.budget_warnings, *again))):
            show(fill(f"warning{text}", 80, subsequent_indent="  "), err=True)
    if dry_run:
        show_jobs(prepared, as_json=settings.json)
        return ExitCode.OK
    if prepared.nothing_to_do:
        done = f"nothing to do: run {prepared.newest} of this plan has done it"
        show(f"{done} · start afresh with: wavecrew run --force", err=_for_programs(prepared, settings))
        return _land(prepared.newest, into) if into else ExitCode.OK
    require_consent(prepared, settings, yes=yes)
    if detach:
        from wavecrew.cli.detach import detach as into_background

        return into_background(prepared)
    with page_beside(prepared, web, keep=keep_web):
        code = execute(prepared, settings)
    return _land(prepared.run, into) if into and code == ExitCode.OK else code


def _require_terminal() -> None:
    """What would keep the board from this terminal is told before anything starts."""
    from wavecrew.cli.ui_commands import require_terminal

    require_terminal()


def _require_landing(prepared: PreparedRun, into: str, *, alone: str) -> None:
    """What would keep the result from its branch is told before hours of work, and not after them. `alone` is the flag
    that lets the run go on without this process."""
    from wavecrew.api.results import require_landing

    if alone:
        raise UsageError(
            f"--into and {alone} do not go together: nobody would be here at the end to land the result",
            fix=f"leave out --into, and later: wavecrew status --wait; wavecrew land --into {into}",
        )
    require_landing(prepared.workspace.folder, prepared.state.isolation, into)


def _land(run: str, into: str) -> int:
    from wavecrew.cli.result_commands import land

    return int(click.get_current_context().invoke(land, run=run, into=into, partial=False))


@click.command()
@click.argument("plan", required=False)
@click.option("--yes", is_flag=True, help="Agree to the commands that the plan would run.")
@with_settings
@with_globals
@pass_globals
def resume(settings: Globals, /, plan: str | None, yes: bool, **flags: Any) -> int:
    """Take up the latest run of PLAN, after showing what is kept, adopted and done again.

    It is what `wavecrew run` does anyway; this command refuses when there is nothing to take up.
    """
    from wavecrew.api.runs import RunRequest, prepare_run
    from wavecrew.views.resumption import resumption_text

    workspace, found = _workspace_and_plan(settings, plan, flags)
    prepared = prepare_run(workspace, RunRequest(found, attended=settings.may_ask, agreed=yes))
    if not prepared.taken_up:
        raise NotFoundError(
            "there is no run of this plan, as it is now, to take up", fix="start one with: wavecrew run"
        )
    if not settings.quiet:
        fates = {name: fate.value for name, fate in prepared.fates().items()}
        show(resumption_text(prepared.state, prepared.events, fates), err=_for_programs(prepared, settings))
    if prepared.nothing_to_do:
        return ExitCode.OK
    if prepared.config.ui == "tui":
        _require_terminal()
    require_consent(prepared, settings, yes=yes)
    return execute(prepared, settings)


def _workspace_and_plan(settings: Globals, plan: str | None, flags: dict[str, Any]) -> tuple[Workspace, Plan]:
    """A plan may bring settings along; flags beat them."""
    workspace = settings.workspace(**flags)
    found = settings.plan(workspace, plan)
    return (settings.workspace(document=found.settings, **flags) if found.settings else workspace), found


def execute(prepared: PreparedRun, settings: Globals) -> int:
    """Carry a prepared run out under the view that fits the terminal. Gives the exit code."""
    if prepared.config.ui == "tui":
        from wavecrew.cli.ui_commands import run_under_board

        return run_under_board(prepared, settings)
    from wavecrew.cli.notice_commands import news_of
    from wavecrew.cli.screens import screen_for

    jsonl = prepared.config.ui == "auto" and _for_programs(prepared, settings)
    ui, color = "jsonl" if jsonl else prepared.config.ui, settings.wants_color()
    with screen_for(ui, prepared, color=color) as screen, news_of(prepared, screen) as observe:
        state = prepared.execute(observe, partial(_tell_stop, prepared, screen), screen.note)
        screen.finish(state)
    return exit_code(state)


def _for_programs(prepared: PreparedRun, settings: Globals) -> bool:
    """Whether standard output belongs to a program, so that words for people go elsewhere."""
    return settings.json or prepared.config.ui == "jsonl"


def _tell_stop(prepared: PreparedRun, screen: Screen, name: str) -> None:
    """Ending takes a moment; say so, or people will press harder."""
    cause = "Ctrl-C" if name == "SIGINT" else name
    screen.note(f"stopping ({cause}): agents have {prepared.config.grace_seconds:g} s; once more ends them at once")


def exit_code(state: ExecutionState) -> int:
    """What the end of a run means for a script."""
    if state.left_for_approval or (state.forbidden and state.stop_reason):
        return ExitCode.NEEDS_HUMAN
    if state.left_for_budget:
        return ExitCode.LIMIT_REACHED
    if state.stop_reason:
        return ExitCode.TERMINATED if state.stop_reason == "SIGTERM" else ExitCode.INTERRUPTED
    if state.lacks_proof:
        return ExitCode.UNPROVEN
    return ExitCode.OK if state.succeeded else ExitCode.PHASE_FAILED


def require_consent(prepared: PreparedRun, settings: Globals, *, yes: bool) -> None:
    """Commands that a document brings are run only after somebody has said so, once for each content of the plan."""
    from wavecrew.api.workspace import Consent
    from wavecrew.views.terminal_text import one_line

    count = prepared.commands
    consent = Consent()
    folder, digest = prepared.workspace.folder, prepared.consent_digest
    if not prepared.needs_consent or consent.given(folder, digest):
        return
    documents = len({phase.source.file for phase in prepared.open_phases if phase.source and _brings_commands(phase)})
    places = [f"{documents} document{'s' * (documents != 1)}"] if documents else []
    places += ["the configuration"] if prepared.workspace.loaded.commands_from_project else []
    what = f"{count} command{'s' * (count != 1)} from {' and '.join(places) or 'the plan'}"
    shown = prepared.variables_from_project
    if shown:
        what += f" and show agents the variables {', '.join(shown)}"
    news = prepared.workspace.loaded.notices_from_project
    if news:
        what += f" and send news of the run {' and '.join(map(one_line, news))}"
    if not yes:
        if not settings.may_ask:
            raise NeedsHumanError(
                f"this plan would run {what}, and nobody can be asked",
                fix="look at them with `wavecrew run --dry-run`, then agree with --yes",
            )
        echo(f"This plan runs {what} on this machine. See them with: wavecrew run --dry-run")
        if not click.confirm("Run them?", default=False):
            raise NeedsHumanError("the commands of the plan were not agreed to")
    consent.give(folder, digest)


def _brings_commands(phase: Any) -> bool:
    return bool(phase.command or phase.checks or phase.steps)


# -- the dry run ------------------------------------------------------------------------------------------------


def show_jobs(prepared: PreparedRun, *, as_json: bool) -> None:
    """Print what the run would start, in the order of urgency; made by the same code that makes the real jobs."""
    state, rank = prepared.state, prepared.policy.rank
    phases = sorted(prepared.open_phases, key=lambda phase: (state.graph.wave_of[phase.id], rank[phase.id]))
    jobs = [prepared.preview(phase) for phase in phases]
    if as_json:
        data = [_job_data(job) | {"reason": prepared.again.get(job.phase.id, "")} for job in jobs]
        echo_json({"run": prepared.run, "taken_up": bool(prepared.taken_up), "jobs": data})
        return
    kept = sum(found.satisfied for found in state.phase_states.values())
    limit = prepared.policy.agent_limit
    echo(f"dry run: {len(jobs)} to start, {kept} done already, {limit} at a time; nothing was started")
    for job in jobs:
        echo()
        _show_job(job, state.graph.wave_of[job.phase.id], prepared.again.get(job.phase.id, ""))


_WITHOUT_MODEL = ("command", "runbook")


def _show_job(job: Prepared, wave: int, reason: str) -> None:
    shared = " (shared)"
    locks = ", ".join(f"{claim.resource}{'' if claim.exclusive else shared}" for claim in job.claims)
    limit = f"{job.job.timeout:g}s" if job.job.timeout is not None else "none"
    model = f", model {job.model}" if job.model and job.agent not in _WITHOUT_MODEL else ""
    echo(f"{job.phase.id}  {job.phase.name}   wave {wave}, attempt {job.attempt}, agent {job.agent}{model}")
    from wavecrew.views.run_words import wrapped
    from wavecrew.views.terminal_text import one_line

    if reason:
        for line in wrapped("  again   ", one_line(reason).split(" "), 80, between=" "):
            echo(line)
    if job.session:
        echo(f"  session goes on with session {one_line(job.session)}")
    echo(f"  cwd     {job.job.workspace}")
    for line in wrapped("  env     ", sorted(job.job.environment), 80, between=" "):
        echo(line)
    echo(f"  locks   {locks or 'none'}")
    echo(f"  limit   {limit}")
    for step in job.job.steps:
        command = f"write {step.path}" if not step.argv else shlex.join(step.argv)
        echo(f"  {step.kind.value:<6}  {command}")
        text = (step.stdin if step.argv else step.text) or ""
        lines = text.splitlines()
        for line in lines[:_SHOWN_PROMPT]:
            echo(fill(line, 80, initial_indent=_PROMPT, subsequent_indent=_PROMPT) or _PROMPT)
        if len(lines) > _SHOWN_PROMPT:
            echo(f"          | … {len(lines) - _SHOWN_PROMPT} more lines; --json shows all")


def _job_data(job: Prepared) -> dict[str, Any]:
    return {
        "phase": job.phase.id,
        "attempt": job.attempt,
        "agent": job.agent,
        "model": job.model or None,
        "session": job.session or None,
        "cwd": job.job.workspace,
        "environment": sorted(job.job.environment),
        "locks": [
            {"resource": str(claim.resource), "type": "exclusive" if claim.exclusive else "shared"}
            for claim in job.claims
        ],
        "timeout": job.job.timeout,
        "steps": [
            {
                "kind": step.kind.value,
                "argv": list(step.argv),
                "stdin": step.stdin,
                "path": step.path or None,
                "text": step.text or None,
            }
            for step in job.job.steps
        ],
    }
