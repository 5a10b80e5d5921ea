"""Options that every command understands, before or after the verb, and how output reaches the terminal.

What it does: collects them in one place, opens the workspace with them, and prints.
What it does not know: any command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from wavecrew.api.workspace import Workspace
    from wavecrew.models.plan import Plan

_NARROWEST, _USUAL, _WIDEST = 30, 80, 100
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(slots=True)
class Globals:
    """What the user said about where and how, whatever the command is."""

    directory: Path = field(default_factory=Path)
    config_file: Path | None = None
    use_files: bool = True
    json: bool = False
    quiet: bool = False
    color: str = "auto"
    no_input: bool = False

    def workspace(self, *, document: Mapping[str, object] | None = None, **flags: object) -> Workspace:
        """The workspace for this place, with flags that set settings (None means not given) and what a plan sets."""
        from wavecrew.api.workspace import open_workspace

        return open_workspace(
            self.directory,
            flags=flags,
            config_file=self.config_file,
            use_files=self.use_files,
            document=document,
        )

    def plan(self, workspace: Workspace, given: str | None) -> Plan:
        """The plan that was named, counted from where the user stands, or the configured one, from there or from the
        workspace."""
        from wavecrew.api.plans import load_plan

        if given:
            return load_plan(self.directory / given)
        default = workspace.loaded.plan_path
        from_above = workspace.folder / workspace.loaded.config.plan
        return load_plan(shortened(from_above if from_above.exists() and not default.exists() else default))

    @property
    def may_ask(self) -> bool:
        """Whether there is somebody who can answer a question."""
        return self.allows_questions and sys.stdin.isatty()

    @property
    def allows_questions(self) -> bool:
        """Whether questions are wanted at all, here or elsewhere."""
        return not self.no_input and not os.environ.get("WAVECREW_NO_INPUT")

    def wants_color(self, stream: Any = None) -> bool:
        """`--color` beats NO_COLOR beats FORCE_COLOR beats what the stream is."""
        return _colored(self.color, sys.stdout if stream is None else stream)


def _colored(choice: str, stream: Any) -> bool:
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR", "")
    if forced:
        return forced.lower() not in ("0", "false")
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


_last_choice = "auto"
"""What `--color` said last, for what is printed after the command is over."""


def shortened(path: Path) -> Path:
    """A path relative to the current folder if it lies below it."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> Any:
        found = context.find_root().ensure_object(Globals)
        if value is not None and value != () and value is not False:
            setattr(found, name, value)
        return value

    return keep


def _color(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    global _last_choice
    if value is not None:
        context.find_root().ensure_object(Globals).color = _last_choice = value
    return value


def _directory(context: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    if value is not None:
        context.find_root().ensure_object(Globals).directory = value
    return value


def _no_config(context: click.Context, _: click.Parameter, value: bool) -> bool:
    if value:
        context.find_root().ensure_object(Globals).use_files = False
    return value


_OPTIONS = (
    click.option(
        "-C",
        "directory",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Work in DIR.",
        callback=_directory,
        expose_value=False,
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read this configuration file only.",
        callback=_store("config_file"),
        expose_value=False,
    ),
    click.option(
        "--no-config", is_flag=True, help="Read no configuration file.", callback=_no_config, expose_value=False
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON.", callback=_store("json"), expose_value=False),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        help="Print only what was asked for.",
        callback=_store("quiet"),
        expose_value=False,
    ),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        help="When to use colour.",
        callback=_color,
        expose_value=False,
    ),
    click.option(
        "--no-input",
        is_flag=True,
        help="Never ask a question; exit with 5 instead.",
        callback=_store("no_input"),
        expose_value=False,
    ),
)


def with_globals(command: _F) -> _F:
    """Give a command the options of this module."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


pass_globals = click.make_pass_decorator(Globals, ensure=True)


def echo(text: str = "", *, err: bool = False, end: str = "\n", color: bool = False) -> None:
    """Print text; characters that the terminal cannot show are replaced rather than fatal. With `color`, colours that
    are in it reach also what is no terminal."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if not text.isascii() and only_ascii(stream):
        from wavecrew.views.run_words import in_ascii

        text = in_ascii(text)
    shown = f"{text}{end}".encode(encoding, errors="replace").decode(encoding, errors="replace")
    click.echo(shown, err=err, nl=False, color=color or None)


def show(text: str = "", *, err: bool = False, end: str = "\n") -> None:
    """Print text of our own screens, in colours where these are wanted."""
    if _colored(_last_choice, sys.stderr if err else sys.stdout):
        from wavecrew.views.paint import paint

        echo(paint(text), err=err, end=end, color=True)
    else:
        echo(text, err=err, end=end)


def echo_json(data: Mapping[str, Any] | list[Any]) -> None:
    """Print JSON that any terminal can show and any program can read."""
    echo(json.dumps(data, indent=2))


def only_ascii(stream: Any = None) -> bool:
    """Whether a stream, standard output by default, cannot show more than ASCII."""
    stream = sys.stdout if stream is None else stream
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return encoding not in ("utf8", "utf16", "utf32", "gb18030") or _is_plain_locale()


def _is_plain_locale() -> bool:
    """Whether somebody has asked for the locale C. Python takes UTF-8 there all the same, for files and names; but the
    terminal of whoever says so may have nothing to show our signs with."""
    asked = os.environ.get("LC_ALL") or os.environ.get("LANG")
    return bool(sys.flags.utf8_mode) and asked in ("C", "POSIX") and os.environ.get("PYTHONUTF8") != "1"


def columns(stream: Any) -> int | None:
    """How wide lines for people may be on a stream; None where nothing is to be broken, because a program reads it."""
    if not stream.isatty():
        return None
    asked = os.environ.get("COLUMNS", "")
    try:
        found = int(asked) if asked.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        found = 0
    return max(_NARROWEST, min(found, _WIDEST)) if found else _USUAL


def write_or_print(text: str, output: Path | None, *, screen: bool = False) -> None:
    """To a file if one was named, else to standard output; a `screen` of ours in colours where these are wanted. Raises
    UsageError for a file that cannot be written."""
    from wavecrew.errors import UsageError

    if output is None or str(output) == "-":
        (show if screen else echo)(text.rstrip("\n"))
        return
    try:
        output.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from None
