"""The program that starts an agent in a home folder of its own. Standard library only; run with `-I -S`.

What it does: makes a settings folder in which everything leads to the user's own, but for the settings file: that holds
the user's settings with ours on top. So an agent gets our gate although it has no flag for one, the user's files stay
as they are, and nothing of it lies in the workspace.
What it does not know: what the settings mean. It imports nothing of wavecrew.

Usage: `agent_home.py VARIABLE FOLDER HOME ADDED PROGRAM [ARGUMENT...]`. FOLDER is the name of the settings folder
(`.gemini`); it is looked for in the folder that VARIABLE names, else in the home folder. HOME is where ours is made,
and what VARIABLE names for PROGRAM. ADDED is a file with our settings. Objects are put together, lists are joined,
and other values of ours count more.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any, NoReturn

SETTINGS = "settings.json"
SHARED = ("tmp", "history")
"""Folders of sessions: made if need be, so that a later attempt finds the session of an earlier one."""
REFUSED = 78
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def settings_in(path: str) -> dict[str, Any]:
    """The settings in a file, comments allowed; none if there is no file. Raises ValueError for what is no object."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.loads(_COMMENT.sub(lambda match: match[1] or " ", file.read()))
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise ValueError("it holds no object")
    return found


def put_on_top(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both together."""
    joined = dict(below)
    for name, value in above.items():
        there = joined.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            joined[name] = put_on_top(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            joined[name] = there + value
        else:
            joined[name] = value
    return joined


def make_home(theirs: str, ours: str, added: str) -> None:
    """Make our settings folder. Raises OSError and ValueError; an agent without our settings must not start."""
    merged = put_on_top(settings_in(f"{theirs}/{SETTINGS}"), settings_in(added))
    for name in SHARED:
        os.makedirs(f"{theirs}/{name}", mode=0o700, exist_ok=True)
    os.makedirs(ours, mode=0o700, exist_ok=True)
    for name in os.listdir(theirs):
        if name != SETTINGS and not os.path.lexists(f"{ours}/{name}"):
            os.symlink(f"{theirs}/{name}", f"{ours}/{name}")
    descriptor = os.open(f"{ours}/{SETTINGS}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(merged, file)


def main(arguments: list[str]) -> NoReturn:
    variable, folder, home, added, *argv = arguments
    try:
        above = os.environ.get(variable) or os.path.expanduser("~")
        make_home(os.path.abspath(f"{above}/{folder}"), f"{home}/{folder}", added)
        os.environ[variable] = home
        os.execvp(argv[0], argv)
    except (OSError, ValueError) as error:
        sys.exit(_refuse(f"wavecrew: {argv[0]} cannot be started with settings of its own: {error}"))


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return REFUSED


if __name__ == "__main__":
    main(sys.argv[1:])
