"""The program that runs beside an agent that speaks the Agent Client Protocol, and speaks for us. It needs the library
`agent-client-protocol`, so it is started by the interpreter that wavecrew itself runs with.

What it does: reads its order from its arguments and the task from standard input, and hands both to `acp_session`.
What it does not know: runs, phases and locks.

Usage: `acp_driver.py [--session ID] [--model NAME] [--patience SECONDS] [--hook JSON] -- PROGRAM [ARGUMENT...]`. The
folder to work in is the current one. JSON is the list of the program and arguments that is asked before each write, as
hooks are; without it nobody is asked. It prints one event a line. It ends with 0 if the agent did its task, 1 if not,
127 if there is no such agent, 143 if it was told to stop, and 8 without the library.
"""

from __future__ import annotations

import sys
from pathlib import Path

NO_LIBRARY = 8
INSTALL = 'pip install "wavecrew[acp]"'


def main(arguments: list[str]) -> int:
    """Do what the arguments say; gives the exit code."""
    import argparse
    import json

    ours, agent = arguments, []
    if "--" in arguments:
        cut = arguments.index("--")
        ours, agent = arguments[:cut], arguments[cut + 1 :]
    parser = argparse.ArgumentParser(prog="acp_driver.py", allow_abbrev=False)
    parser.add_argument("--session", default="")
    parser.add_argument("--model", default="")
    parser.add_argument("--patience", type=float, default=600.0)
    parser.add_argument("--hook", type=_words, default=())
    given = parser.parse_args(ours)
    if not agent:
        parser.error("no program was named after --")
    try:
        import acp  # noqa: F401 -- is it there?
    except ImportError as error:
        words = f"the library agent-client-protocol cannot be used ({error}): {INSTALL}"
        sys.stdout.write(f"{json.dumps({'acp': 'end', 'ok': False, 'words': words})}\n")
        return NO_LIBRARY
    import asyncio

    from wavecrew.core.acp_session import Order, drive

    order = Order(tuple(agent), str(Path.cwd()), given.hook, given.patience, given.session, given.model)
    task = sys.stdin.buffer.read().decode(errors="replace")
    return asyncio.run(drive(order, task))


def _words(text: str) -> tuple[str, ...]:
    import json

    found = json.loads(text)
    if not isinstance(found, list) or not found or not all(isinstance(word, str) for word in found):
        raise ValueError("a list of words is needed")
    return tuple(found)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the wavecrew that started us, wherever it lies
    sys.exit(main(sys.argv[1:]))
