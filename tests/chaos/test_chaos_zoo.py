"""Agents that behave badly: each once, ended in time, with nothing of it left, and never called a success for it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos_invariants import check, check_finished
from chaos_world import Phase, World, Zygote, until, world_of

from wavecrew.core.process_tree import group_home
from wavecrew.errors import ExitCode
from wavecrew.models.events import AttemptEnded, Outcome

PYTHON_ZOMBIES = """
import os, time
for _ in range(2000):
    if os.fork() == 0:
        os._exit(0)
time.sleep(0.05)
"""


@dataclass(frozen=True)
class Animal:
    """An agent: what it does, how the run ends, and what the log must hold."""

    script: str
    code: int = 0
    log: str = ""
    flags: tuple[str, ...] = ()
    attempts: int = 1


ZOO = {
    "ignores TERM": Animal("trap '' TERM; while :; do sleep 0.05; done", 1, flags=("--timeout", "0.3")),
    "double fork": Animal("(setsid sleep 300 &) ; echo parent", 0, "parent"),
    "daemon that ignores TERM": Animal("(trap '' TERM; setsid sleep 300 &) ; echo parent", 0, "parent"),
    "stops itself": Animal("kill -STOP $$; echo never", 1, flags=("--timeout", "0.3")),
    "closes its output": Animal("echo first; exec 1>&- 2>&-; sleep 0.05", 0, "first"),
    "daemon keeps the output open": Animal("sleep 300 & echo parent", 0, "parent"),
    "reads its input": Animal("cat >/dev/null; read line || echo at the end", 0, "at the end"),
    "many zombies": Animal(f"exec python3 -c '{PYTHON_ZOMBIES}'", 0),
    "exit 1": Animal("exit 1", 1),
    "exit 126": Animal("exit 126", 1),
    "exit 127": Animal("exit 127", 1),
    "exit 255": Animal("exit 255", 1),
    "killed by a signal": Animal("kill -KILL $$", 1),
    "deletes its folder": Animal(
        "mkdir -p gone/below; cd gone/below; rm -r ../../gone; echo still here", 0, "still here"
    ),
    "says nonsense": Animal(r"printf '\377\376\000{\"kind\":\"AttemptEnded\",\"outcome\":\"succeeded\"}'; exit 3", 1),
    "forges its result": Animal('echo \'{"code":0}\' > "$WAVECREW_ATTEMPT/exit"; exit 4', 1),
    "output is missing": Animal('rm -f "$0"; exit 0', 1),
}


def run(world: World, animal: Animal) -> int:
    flags = ("--wave-delay-seconds", "0", "--ui", "none", "--grace", "0.3", *animal.flags)
    return world.start("run", "plan.json", "--yes", *flags).end()


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo(zygote: Zygote, name: str) -> None:
    animal = ZOO[name]
    command = ("/bin/sh", "-c", f'echo here > "$0"\n{animal.script}', "wild.txt")
    with world_of(zygote, [Phase("wild", command=command), Phase("tame", ("wild",), nap=0.01)]) as world:
        began = time.monotonic()
        code = run(world, animal)
        took = time.monotonic() - began
        assert code == animal.code, world.started[-1].told
        assert took < 90, "it ends at all, and does not wait for what never ends by itself"
        check(world)
        until(lambda: not world.processes(), f"nothing of it to be left: {world.processes()}")
        assert animal.log in (world.attempt("wild") / "log").read_text(errors="replace")
        assert bool(world.lines("ran")) is (code == 0), "what depends on a failure does not start"
        if code == 0:
            check_finished(world)


def test_an_agent_that_kills_its_shim_is_lost_and_tried_again(zygote: Zygote) -> None:
    """Three times, then it is given up; a lost attempt is never a success, although its output is there."""
    command = ("/bin/sh", "-c", "echo x > wild.txt; kill -KILL $PPID; sleep 5")
    with world_of(zygote, [Phase("wild", command=command)]) as world:
        assert run(world, Animal("")) == ExitCode.PHASE_FAILED
        history = check(world)
        assert history is not None
        ends = [event.outcome for event in history.events if isinstance(event, AttemptEnded)]
        assert ends == [Outcome.LOST] * 3
        until(lambda: not world.processes(), "nothing of it to be left")


def test_an_agent_that_kills_its_coordinator(zygote: Zygote) -> None:
    command = (
        "/bin/sh",
        "-c",
        'until [ -e victim ]; do sleep 0.01; done; kill -KILL "$(cat victim)"; sleep 0.1; echo x > wild.txt',
    )
    with world_of(zygote, [Phase("wild", command=command), Phase("tame", ("wild",), nap=0.01)]) as world:
        running = world.start()
        victim = world.workspace / "victim"
        victim.with_suffix(".new").write_text(str(running.pid))
        victim.with_suffix(".new").rename(victim)
        assert running.end() == -signal.SIGKILL
        check(world)
        assert world.finish() == 0
        history = check_finished(world)
        assert history.state.phase_states["wild"].attempts == 1


DAEMON = "env -i setsid /bin/sh -c 'echo $$ > pid; exec sleep 300' & until [ -s pid ]; do sleep 0.01; done;"


def test_a_daemon_without_environment_does_not_outlive_a_living_shim(zygote: Zygote) -> None:
    """The shim is its subreaper, so it is found without any mark."""
    command = ("/bin/sh", "-c", f"{DAEMON} echo x > wild.txt")
    with world_of(zygote, [Phase("wild", command=command)]) as world:
        assert run(world, Animal("")) == 0
        pid = int((world.workspace / "pid").read_text())
        until(lambda: not _alive(pid), "the daemon to be ended")
        check_finished(world)


def test_a_daemon_without_environment_outlives_a_killed_shim(zygote: Zygote) -> None:
    """The known escape: shim killed, mark wiped off. It is told here, so that it is noticed when it is closed. Where
    attempts have control groups, it is."""
    command = ("/bin/sh", "-c", f"{DAEMON} [ -e go ] || sleep 300; echo x > wild.txt")
    with world_of(zygote, [Phase("wild", command=command)]) as world:
        running = world.start()
        until(lambda: (world.workspace / "pid").exists() and (world.workspace / "pid").read_text().strip(), "it")
        pid = int((world.workspace / "pid").read_text())
        (world.workspace / "pid").rename(world.workspace / "pid-of-the-first")
        (world.workspace / "go").touch()
        os.kill(world.shims()[0], signal.SIGKILL)
        try:
            assert running.end() == 0, running.told
            closed = group_home() != ""
            assert _alive(pid) is not closed, "this is not what docs/fault-matrix.md says"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_flood_of_output_does_not_reach_the_coordinator(zygote: Zygote, figure: Callable[..., None]) -> None:
    """100 MB in the log, to the byte, and not in the memory of the coordinator."""
    command = ("/bin/sh", "-c", "head -c 100000000 /dev/zero; echo x > wild.txt")
    with world_of(
        zygote, [Phase("calm", nap=0.3), Phase("wild", ("calm",), command=command), Phase("tame", ("wild",), nap=0.3)]
    ) as world:
        running = world.start()
        until(lambda: any(line.startswith("+ calm") for line in world.lines("ran")), "the phase before it")
        before = _memory(running.pid)
        until(lambda: any(line.startswith("+ tame") for line in world.lines("ran")), "the phase after it")
        grown = _memory(running.pid) - before
        assert running.end() == 0
        check_finished(world)
        assert (world.attempt("wild") / "log").stat().st_size == 100_000_000
        figure(grown_kib=grown)
        assert grown < 20_000


def _memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
