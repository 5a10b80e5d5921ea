"""Flags for settings, made from the one line that defines each setting.

What it does: adds an option to a command for every setting.
What it does not know: what a setting means; name, help and range come with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from wavecrew.config.parallel_config import settings

_F = TypeVar("_F", bound=Callable[..., Any])


def with_settings(command: _F) -> _F:
    """Every setting as a flag; what was not given arrives as None. The plan itself is an argument, not a flag."""
    for name, setting in reversed(tuple(settings().items())):
        if name == "plan":
            continue
        if setting.schema["type"] == "boolean":
            other = {"--fail-fast": "--keep-going", "--put-back": "--keep"}.get(
                setting.flag, f"--no-{setting.flag.removeprefix('--')}"
            )
            option = click.option(f"{setting.flag}/{other}", name, default=None, help=setting.help)
        else:
            names = (setting.flag,) if setting.flag.startswith("--") else (setting.flag, f"--{name.replace('_', '-')}")
            option = click.option(*names, name, default=None, metavar="VALUE", help=setting.help)
        command = option(command)
    return command
