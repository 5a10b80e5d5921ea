"""`python -m wavecrew.stub_model PROGRAM HOME`: try a set-up by hand, without a key.

What it does: starts the model, makes a home folder in which the program uses it, prints what to set in a shell, and
serves until it is interrupted.
What it does not know: whether the program is installed.
"""

from __future__ import annotations

import shlex
import sys
import threading
from pathlib import Path

from wavecrew.errors import ExitCode, WavecrewError
from wavecrew.stub_model import PROGRAMS, StubModel, surroundings


def main(arguments: list[str]) -> int:
    """Serve; gives the exit code."""
    if len(arguments) != 2 or arguments[0] not in PROGRAMS:
        sys.stderr.write(f"usage: python -m wavecrew.stub_model {'|'.join(PROGRAMS)} HOME\n")
        return ExitCode.USAGE
    program, home = arguments[0], Path(arguments[1]).absolute()
    try:
        with StubModel() as stub:
            around = surroundings(program, stub.url)
            around.furnish(home)
            for name, value in {"HOME": str(home), **around.environment}.items():
                sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
            sys.stdout.flush()
            threading.Event().wait()
    except KeyboardInterrupt:
        return ExitCode.OK
    except (OSError, WavecrewError) as error:
        sys.stderr.write(f"the stub model cannot be used here: {error}\n")
        return ExitCode.PREFLIGHT
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
