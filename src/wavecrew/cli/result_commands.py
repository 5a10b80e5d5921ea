"""`verify`, `diff`, `land` and `clean`: what a run has come to, and what becomes of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from wavecrew.api.places import find_workspace
from wavecrew.cli.globals import Globals, echo, echo_json, only_ascii, pass_globals, show, with_globals
from wavecrew.core.store import Store
from wavecrew.errors import ExitCode, UsageError


@contextmanager
def _opened(settings: Globals) -> Iterator[tuple[Store, Path]]:
    folder = find_workspace(settings.directory)
    with Store.open(folder, create=False) as store:
        yield store, folder


@click.command()
@click.argument("run", default="latest")
@with_globals
@pass_globals
def verify(settings: Globals, run: str) -> int:
    """Prove from git alone that the work of all completed phases of RUN is in its result, living or long over.

    Of each phase its commit is in the result, the commit that closed it is found there by its trailers, and its
    declared outputs exist. What is not there is named, with what would bring it back; the exit code is 9 then. For a
    run in a shared folder it can only be seen whether the outputs exist.
    """
    from wavecrew.api.history import open_run
    from wavecrew.api.results import verify as proof_of
    from wavecrew.views.result_text import proof_data, proof_text

    with _opened(settings) as (store, folder):
        proof = proof_of(open_run(store, run), folder)
    if settings.json:
        echo_json(proof_data(proof))
    else:
        show(proof_text(proof, ascii_only=only_ascii()), end="")
    return ExitCode.OK if proof.holds else ExitCode.UNPROVEN


@click.command()
@click.argument("phase")
@click.option("--attempt", type=int, metavar="N", help="The attempt to look at; the latest by default.")
@click.option("--run", default="latest", show_default=True, metavar="RUN", help="The run to look at.")
@click.option("--stat", is_flag=True, help="Only the files, with their numbers of lines.")
@click.option("--name-only", is_flag=True, help="Only the names of the files.")
@click.option("--raw", is_flag=True, help="Only the patch, every byte as it is, for other programs.")
@with_globals
@pass_globals
def diff(settings: Globals, phase: str, attempt: int | None, run: str, stat: bool, name_only: bool, raw: bool) -> int:
    """Show what PHASE has changed, where its work stands, and which other phases it met when it was merged.

    Of an attempt that is still at work, or that failed, what stands in its worktree or on its branch.
    """
    from wavecrew.api.history import open_run
    from wavecrew.api.selection import phase_named
    from wavecrew.api.work import work_of
    from wavecrew.views.work_text import names_text, work_data, work_text

    if stat + name_only + raw + settings.json > 1 and not (settings.json and stat + name_only == 1):
        raise UsageError("--stat, --name-only, --raw and --json do not go together", fix="say one of them")
    with _opened(settings) as (store, folder):
        opened = open_run(store, run)
        work = work_of(store, folder, opened, phase_named(opened.state.graph, phase), attempt)
    if settings.json:
        echo_json(work_data(work, with_patch=not (stat or name_only)))
    elif raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(work.patch)
    elif name_only:
        echo(names_text(work), end="")
    else:
        color = settings.wants_color()
        echo(work_text(work, stat=stat, color=color, ascii_only=only_ascii()), end="", color=color)
    return ExitCode.OK


@click.command()
@click.argument("run", default="latest")
@click.option("--into", default="", metavar="BRANCH", help="The branch to land on, if not the one checked out here.")
@click.option("--partial", is_flag=True, help="Land what is merged so far, although phases are not done.")
@with_globals
@pass_globals
def land(settings: Globals, run: str, into: str, partial: bool) -> int:
    """Bring the result of RUN to a branch of yours: it is moved there, or merged if it has gone on.

    Where that branch is checked out, its files follow. Uncommitted changes that the run took in with --include-dirty
    are no obstacle, nor are documents of the plan and the configuration. Nothing is changed, and the exit code is 8,
    when the run is not proven or not over, when there are other uncommitted changes, or when the two do not merge.
    """
    from wavecrew.api.results import land as land_result
    from wavecrew.api.users import who
    from wavecrew.views.result_text import landed_data, landed_text

    with _opened(settings) as (store, folder):
        config = tuple(file.path.resolve() for file in settings.workspace().loaded.files if file.read)
        landed = land_result(store, folder, run, by=who(), into=into, partial=partial, exempt=config)
    if settings.json:
        echo_json(landed_data(landed))
    else:
        show(landed_text(landed, ascii_only=only_ascii()), end="")
    return ExitCode.OK


@click.command()
@click.argument("run", default="")
@click.option("--yes", is_flag=True, help="Remove what can go; without it, only look.")
@with_globals
@pass_globals
def clean(settings: Globals, run: str, yes: bool) -> int:
    """Show the worktrees and branches that runs have left (all, or RUN), and remove what is safe elsewhere.

    With --yes, what is merged into the result or your branch and has no uncommitted files goes; also the result of a
    run that is over, if your branch has it or nothing came into it. Everything else stays, with the reason, a command
    to look at it, and the git commands by which you let go of it. A run that a coordinator is in charge of is left
    alone.
    """
    from wavecrew.api.leftovers import clean as clean_up
    from wavecrew.views.result_text import leftovers_data, leftovers_text

    with _opened(settings) as (store, folder):
        found = clean_up(store, folder, run, remove=yes)
    if settings.json:
        echo_json(leftovers_data(found, removed=yes))
    else:
        show(leftovers_text(found, removed=yes, ascii_only=only_ascii()), end="")
    return ExitCode.OK
