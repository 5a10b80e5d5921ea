"""`report`: what a run has come to, in as many formats as are wanted.

What it does: asks for the report once, has each format written from it, and puts them on standard output or into files.
What it does not know: what stands in a report, and how a file is written safely (`report_files` does).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wavecrew.api.places import find_workspace
from wavecrew.cli.globals import Globals, echo, only_ascii, pass_globals, show, with_globals
from wavecrew.cli.report_files import FILES, put, targets
from wavecrew.core.store import Store
from wavecrew.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from wavecrew.views.report_compare import Comparison
    from wavecrew.views.report_facts import Report

_COMPARED: Final = ("text", "html", "md", "json")
_PROVEN: Final = ("text", "html", "md", "json", "junit")


def _formats(context: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Formats in a list with commas."""
    if value is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    wrong = [name for name in names if name not in FILES]
    if wrong or not names:
        told = f"{', '.join(wrong) or 'nothing'} is no format; there are: {', '.join(FILES)}"
        raise click.BadParameter(told, context, param)
    return names


@click.command()
@click.argument("run", default="latest")
@click.option(
    "--format", "forms", callback=_formats, metavar="FORMAT[,FORMAT...]", help=f"One or more of {', '.join(FILES)}."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write to this file, or several formats into this folder.",
)
@click.option("--compare", "other", metavar="RUN", help="Show the differences to this run as well.")
@click.option("--force", is_flag=True, help="Overwrite files that are no reports of wavecrew.")
@click.option("--send", is_flag=True, help="Send the run as a trace to the collector of OTEL_EXPORTER_OTLP_ENDPOINT.")
@click.option(
    "--github/--no-github",
    "github",
    default=None,
    help="Annotations and a step summary for GitHub Actions; by default when run there.",
)
@with_globals
@pass_globals
def report(
    settings: Globals,
    run: str,
    forms: tuple[str, ...] | None,
    output: Path | None,
    other: str | None,
    force: bool,
    send: bool,
    github: bool | None,
) -> int:
    """Show where the time of a run went, what paced it, what would have made it faster, and what was waived.

    html is one file that works offline; md is for a pull request; json, csv and junit are for programs; trace opens in
    Perfetto; otlp is an OpenTelemetry trace; mermaid and svg are the graph. Several formats need -o. With --send alone
    nothing is written.
    """
    default = ("json",) if settings.json else () if send and output is None and not other else ("text",)
    names = forms or default
    if settings.json and names != ("json",):
        raise UsageError("--json and --format do not go together", fix="say --format json, or one of them")
    if other and not set(names) & set(_COMPARED):
        raise UsageError(f"--compare shows in none of {', '.join(names)}", fix=f"use: {', '.join(_COMPARED)}")
    places = targets(names, output)
    in_actions = os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github
    folder = find_workspace(settings.directory)
    with Store.open(folder, create=False) as store:
        from wavecrew.api.report import compared_with, report_of

        found = report_of(store, folder, run, with_proof=in_actions or bool(set(names) & set(_PROVEN)))
        compared = compared_with(store, folder, other, found) if other else None
    if send:
        _send(found, settings)
    texts = {name: written(name, found, compared) for name in names}
    if places is None:
        for name, text in texts.items():
            _print(name, text, in_actions=in_actions)
    else:
        folder_of = output if output not in places.values() else None
        files = {places[name]: (name, text) for name, text in texts.items()}
        for path in put(files, folder=folder_of, force=force):
            if not settings.quiet:
                echo(f"wrote {path}", err=True)
    if in_actions and names:
        _tell_actions(found, compared, aside=places is None and names != ("text",))
    return ExitCode.OK


def _send(found: Report, settings: Globals) -> None:
    from wavecrew.api.traces import send_report

    number, address = send_report(found, os.environ)
    if not settings.quiet:
        echo(f"sent run {found.summary.run} as a trace of {number} spans to {address}", err=True)


def _print(name: str, text: str, *, in_actions: bool) -> None:
    if name != "text":
        echo(text.rstrip("\n"))
    elif in_actions:
        from wavecrew.views.report_github import harmless

        echo(harmless(text).rstrip("\n"))
    else:
        show(text.rstrip("\n"))


def written(name: str, found: Report, compared: Comparison | None) -> str:
    """One format of a report."""
    return _WRITERS[name](found, compared)


def _text(found: Report, compared: Comparison | None) -> str:
    from wavecrew.views.report_text import text_of

    return text_of(found, compared, ascii_only=only_ascii())


def _json(found: Report, compared: Comparison | None) -> str:
    from wavecrew.views.report_json import json_of

    return json_of(found, compared)


def _csv(found: Report, _: Comparison | None) -> str:
    from wavecrew.views.report_csv import csv_of

    return csv_of(found)


def _html(found: Report, compared: Comparison | None) -> str:
    from wavecrew.views.report_html import html_of

    return html_of(found, compared)


def _markdown(found: Report, compared: Comparison | None) -> str:
    from wavecrew.views.report_markdown import markdown_of

    return markdown_of(found, compared)


def _junit(found: Report, _: Comparison | None) -> str:
    from wavecrew.views.report_junit import junit_of

    return junit_of(found)


def _trace(found: Report, _: Comparison | None) -> str:
    from wavecrew.views.report_trace import trace_of

    return trace_of(found)


def _otlp(found: Report, _: Comparison | None) -> str:
    from wavecrew.api.traces import otlp_text

    return otlp_text(found, os.environ)


def _mermaid(found: Report, _: Comparison | None) -> str:
    from wavecrew.views.report_graph import mermaid_of

    return mermaid_of(found)


def _svg(found: Report, _: Comparison | None) -> str:
    from wavecrew.views.report_graph import svg_of

    return svg_of(found)


_WRITERS: Final[dict[str, Callable[[Report, Comparison | None], str]]] = {
    "text": _text,
    "html": _html,
    "md": _markdown,
    "json": _json,
    "junit": _junit,
    "csv": _csv,
    "trace": _trace,
    "otlp": _otlp,
    "mermaid": _mermaid,
    "svg": _svg,
}


def _tell_actions(found: Report, compared: Comparison | None, *, aside: bool) -> None:
    """Annotations, and the summary of the step. With `aside` standard output belongs to a document, and they go to
    standard error, where a runner reads them as well."""
    from wavecrew.views.report_github import annotations_of, step_summary

    echo(annotations_of(found), err=aside, end="")
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            room = max(0, 1024 * 1024 - file.tell())
            file.write(step_summary(found, compared, room))
    except OSError as error:
        echo(f"the step summary cannot be written: {error.strerror}", err=True)
