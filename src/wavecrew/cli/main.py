"""The entry of the command line: which commands there are, and the one place where errors are printed.

What it does: loads a command only when it is used, turns every error into words and an exit code, and writes a crash
file for what is a bug.
What it does not know: what the commands do.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import tempfile
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any, NoReturn

import click

from wavecrew.cli.completion_scripts import VARIABLE
from wavecrew.cli.globals import Globals, columns, echo, show, with_globals
from wavecrew.cli.help_layout import lay_out, list_all
from wavecrew.errors import ExitCode, PlanError, PreflightError, WavecrewError

_COMMANDS = {
    "init": ("setup", "Write a first plan and a configuration."),
    "check": ("plan", "Look for faults in a plan."),
    "plan": ("plan", "Show waves, critical path, conflicts, and how many agents help."),
    "explain": ("plan", "Explain a phase or a code such as WC104."),
    "run": ("run", "Run a plan with agents in parallel, or take a run up again."),
    "resume": ("run", "Take a run up again, after showing what that means."),
    "retry": ("control", "Have phases done again."),
    "skip": ("control", "Waive phases, on record."),
    "pause": ("control", "Start nothing new for a while."),
    "continue": ("control", "End a pause."),
    "cancel": ("control", "End agents, or the whole run."),
    "approve": ("control", "Agree to what waits for approval."),
    "reject": ("control", "Refuse what waits for approval."),
    "answer": ("control", "Answer what an agent asks."),
    "status": ("look", "Show where a run stands."),
    "web": ("web", "Show a run on a web page, live."),
    "ui": ("ui", "Watch a run in a board that fills the terminal, and act on it."),
    "logs": ("look", "Show what the agent of a phase printed."),
    "report": ("report", "Show where the time of a run went, in any of ten formats."),
    "runs": ("look", "List runs, show one, or send one to somebody as a file."),
    "verify": ("result", "Prove that the work of a run is in its result."),
    "diff": ("result", "Show what a phase has changed."),
    "land": ("result", "Bring the result of a run to a branch of yours."),
    "clean": ("result", "Remove what runs have left and is safe elsewhere."),
    "locks": ("locks", "Show who holds which lock, and why; take one away."),
    "lock": ("locks", "Hold locks while a command runs."),
    "agents": ("setup", "List the agents; open an account again that was used up."),
    "config": ("setup", "Show, check and describe the configuration."),
    "doctor": ("setup", "Check that this machine has what a run needs."),
    "notify": ("notice", "Show where news of a run go, and try it."),
    "completion": ("completion", "Print what makes a shell complete what you type."),
    "mcp": ("mcp", "Serve tools to an assistant, or to an agent inside of a phase."),
    "demo": ("demo", "Build a small real project in parallel and prove the result."),
}
"""Each command with the module of this package that holds it, so that `--help` loads none of them."""

_NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT))
_NO_BUGS = _NO_SPACE | {
    errno.EIO,
    errno.EROFS,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOLCK,
    errno.ENOMEM,
    errno.ENOBUFS,
    errno.EAGAIN,
}
"""What the machine may refuse at any moment; all other errors of the system that get this far are ours."""


class _Commands(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = import_module(f"wavecrew.cli.{_COMMANDS[name][0]}_commands")
        command: click.Command = getattr(module, f"{name}_" if iskeyword(name) else name)
        lay_out(command)
        if context.resilient_parsing:  # a shell wants to know what could stand on its line
            from wavecrew.cli.completion_table import equip

            equip(command, (name,))
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], _COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see: wavecrew --help"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(context, args)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[Any]:
        """The commands without loading any of them, and the options."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=told) for name, (_, told) in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return found or click.Command.shell_complete(self, context, incomplete)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        list_all(_COMMANDS, formatter)


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from wavecrew import __version__

        echo(f"wavecrew {__version__}")
        context.exit()


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@with_globals
@click.pass_context
def cli(context: click.Context) -> None:
    """Run a plan in parallel with coding agents: nothing lost, nothing done twice, nobody trampled on.

    PLAN is a folder of phase documents or a single file; the default is the folder plan/. RUN is `latest`, a number
    or the beginning of an id. PHASE is an id or a name.
    """
    if context.invoked_subcommand is None:
        from wavecrew.cli.look_commands import overview

        overview(context.ensure_object(Globals))


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    _fill_standard_streams()
    if VARIABLE in os.environ:
        from wavecrew.cli.completion_shells import answer

        sys.exit(answer(cli))
    sys.exit(_run())


def _fill_standard_streams() -> None:
    """Whoever started us may have closed some of 0 to 2; nothing else that we open may become one of them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _run() -> int:
    try:
        outcome = cli.main(standalone_mode=False, prog_name="wavecrew")
        return outcome if isinstance(outcome, int) else ExitCode.OK
    except WavecrewError as error:
        _print(error)
        return error.exit_code
    except click.ClickException as error:
        _print_usage(error)
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has enough; let the interpreter find nothing left to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except OSError as error:
        if error.errno not in _NO_BUGS:
            return _crash(error)
        if error.errno in _NO_SPACE:  # what is left to flush may be what has no room
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fix = (
            "free some space"
            if error.errno in _NO_SPACE
            else "look at the disk and at the limits (ulimit -a), then go on"
        )
        _print(PreflightError(f"{error.strerror}{f': {error.filename}' if error.filename else ''}", fix=fix))
        return ExitCode.PREFLIGHT
    except Exception as error:
        return _crash(error)


def _print(error: WavecrewError) -> None:
    from wavecrew.views.line_breaks import broken

    width = columns(sys.stderr)
    if isinstance(error, PlanError) and error.diagnostics:
        from wavecrew.views import findings

        show(findings.text(error.diagnostics, width=min(width or 80, 80)), err=True)
    wide = width or sys.maxsize  # a program, or a file that is read later, gets whole lines
    lines = broken(f"error[{error.code}]: {_visible(error.reason)}", wide, "", "    ")
    if error.place is not None:
        lines.append(f"  {_visible(str(error.place))}")
    if error.fix:
        lines += broken(_visible(error.fix), wide, "  fix: ", "       ")
    show("\n".join(lines), err=True)


def _print_usage(error: click.ClickException) -> None:
    """What click says of a line that it does not understand; it breaks all but the reason itself."""
    from wavecrew.views.line_breaks import broken

    said, width = io.StringIO(), columns(sys.stderr) or sys.maxsize
    error.show(said)
    for line in said.getvalue().splitlines():
        show("\n".join(broken(line, width, "", "    ") if line.startswith("Error: ") else [line]), err=True)


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _crash(error: Exception) -> int:
    """A bug: one line for the user, everything else into a file of its own."""
    import traceback

    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="wavecrew-crash-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"{' '.join(sys.argv)}\nPython {sys.version}\n\n{text}")
    summary = _visible(str(error)) or type(error).__name__
    show(f"error[WC900]: a bug in wavecrew: {summary}\n  details are in {Path(file.name)}; please report it", err=True)
    return ExitCode.INTERNAL
