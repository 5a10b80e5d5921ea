"""`check`, `plan` and `explain`: what can be said before anything runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wavecrew.cli.globals import (
    Globals,
    columns,
    echo,
    echo_json,
    only_ascii,
    pass_globals,
    show,
    with_globals,
    write_or_print,
)
from wavecrew.errors import ExitCode, NotFoundError, Severity


@click.command()
@click.argument("plan", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="For people, programs, workflow annotations or code scanners.",
)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file.")
@with_globals
@pass_globals
def check(settings: Globals, plan: str | None, form: str, strict: bool, output: Path | None) -> int:
    """Look for faults: cycles, unknown dependencies, two phases with one output, outputs outside the workspace.

    Exits with 3 when the plan cannot be run.
    """
    from wavecrew.api.codes import explanations
    from wavecrew.views import findings

    found = settings.plan(settings.workspace(), plan)
    match "json" if settings.json else form:
        case "json":
            text = findings.as_json(found.diagnostics)
        case "github":
            text = findings.github(found.diagnostics)
        case "sarif":
            text = findings.sarif(found.diagnostics, explanations())
        case _:
            width = None if output else columns(sys.stdout)
            text = findings.text(found.diagnostics, width=min(width or 80, 80))
    write_or_print(text, output, screen=form == "text" and not settings.json)
    warned = strict and any(finding.severity is Severity.WARNING for finding in found.diagnostics)
    return ExitCode.INVALID_INPUT if found.faulty or warned else ExitCode.OK


@click.command()
@click.argument("plan", required=False)
@click.option("-j", "agents", type=int, metavar="N", help="Number of agents to plan for.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "mermaid", "dot", "svg"]),
    default="text",
    show_default=True,
    help="For people, programs, or as a graph.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file.")
@with_globals
@pass_globals
def plan(settings: Globals, plan: str | None, agents: int | None, form: str, output: Path | None) -> int:
    """Show waves, dependencies, estimates, slack, conflicts, the critical path and the pacing chain.

    A faulty plan is shown as far as it could be read, and the exit code is 3.
    """
    from wavecrew.api.experience import experience_for
    from wavecrew.api.plans import analyse_plan

    workspace = settings.workspace(max_parallel_agents=agents)
    found = settings.plan(workspace, plan)
    analysis = analyse_plan(found, workspace.loaded.config.max_parallel_agents)
    match "json" if settings.json else form:
        case "json":
            from wavecrew.views.plan_json import plan_json

            text = plan_json(found, analysis, found.diagnostics, experience_for(workspace, found))
        case "mermaid":
            from wavecrew.views.plan_graph import mermaid

            text = mermaid(found, analysis)
        case "dot":
            from wavecrew.views.plan_graph import dot

            text = dot(found, analysis)
        case "svg":
            from wavecrew.views.plan_svg import plan_svg

            text = plan_svg(found, analysis)
        case _:
            from wavecrew.views.plan_text import plan_text

            experience = experience_for(workspace, found)
            text = plan_text(found, analysis, found.diagnostics, experience=experience, ascii_only=only_ascii())
    write_or_print(text, output, screen=form == "text" and not settings.json)
    if found.faulty:
        show("error[WC100]: this plan cannot be run\n  fix: see what is wrong with: wavecrew check", err=True)
    return ExitCode.INVALID_INPUT if found.faulty else ExitCode.OK


@click.command()
@click.argument("what")
@click.option("--plan", "plan_path", metavar="PLAN", help="The plan that a phase belongs to.")
@with_globals
@pass_globals
def explain(settings: Globals, what: str, plan_path: str | None) -> int:
    """Explain WHAT: a code such as WC104, or a phase: why it is where it is, what it waits for, and whether
    the next run would do it again, with the input that changed."""
    from wavecrew.api.codes import explanations

    code = what.upper()
    if code.startswith("WC") and code[2:].isdigit():
        known = explanations()
        if code not in known:
            raise NotFoundError(f"there is no code {code}", fix=f"known are {min(known)} to {max(known)}")
        title, text = known[code]
        if settings.json:
            echo_json({"code": code, "title": title, "text": text})
        else:
            echo(f"{code}: {title}\n\n{text}")
        return ExitCode.OK
    from wavecrew.cli.explain_phase import explain_phase

    (echo if settings.json else show)(explain_phase(settings, what, plan_path))
    return ExitCode.OK
