"""A process that has everything imported and forks coordinators: `wavecrew` as it is, without its start-up time.

What it does: reads one JSON request per line. `{"spawn": {...}}` forks a process that becomes the command line of
wavecrew (or a function of `chaos_actors`) and answers with its pid; `{"wait": pid, "seconds": s}` answers with its
exit code, negative for a signal, or null.
What it does not know: plans, faults and what is tested.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import chaos_faults

_MODULES = [
    "api.control",
    "api.history",
    "api.plans",
    "api.runs",
    "api.workspace",
    "cli.main",
    "cli.run_commands",
    "cli.screens",
    "cli.look_commands",
    "cli.control_commands",
    "cli.locks_commands",
    "cli.setting_flags",
    "plans.dataplan",
    "views.run_plain",
    "core.engine",
    "core.homecoming",
    "core.merge_queue",
    "core.way_home",
    "core.shim",
]


def _become(request: dict[str, Any]) -> NoReturn:
    code = 70
    try:
        os.setsid()
        os.chdir(request["folder"])
        os.environ.update(request["env"])
        for name, descriptor in (("/dev/null", 0), (request["out"], 1), (request["err"], 2)):
            opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        if request["env"].get("CHAOS_SHIM"):
            from wavecrew.core import supervisor

            supervisor._SHIM = Path(__file__).with_name("chaos_shim.py")
        if request.get("prologue"):
            getattr(importlib.import_module("chaos_actors"), request["prologue"])()
        faults = chaos_faults.from_environment(request.get("role", "coordinator"))
        if faults is not None and faults.settings.get("git"):
            importlib.import_module("chaos_git_faults").stand_before_git(faults)
        code = _work(request)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _work(request: dict[str, Any]) -> int:
    if request.get("actor"):
        getattr(importlib.import_module("chaos_actors"), request["actor"])(*request["arguments"])
        return 0
    from wavecrew.cli import main

    sys.argv = ["wavecrew", *request["arguments"]]
    return main._run()


def _wait(pid: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(0.004)


def main() -> None:
    for name in _MODULES:
        importlib.import_module(f"wavecrew.{name}")
    importlib.import_module("chaos_actors")
    from wavecrew.api.plans import load_agents

    load_agents()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer: Any = _wait(request["wait"], request["seconds"])
        else:
            answer = os.fork()
            if answer == 0:
                _become(request["spawn"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
