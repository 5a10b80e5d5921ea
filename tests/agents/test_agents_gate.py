"""Real agents at the gate: they wait, are refused, go on, and write nothing when anything about the gate is broken."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_world import World, chosen, holder, task, unknown_tools
from broken_hooks import WAYS, broken_package
from sandbox import wait_for

from wavecrew.core.ceiling import probe

MakeWorld = Callable[..., World]
SHARED = ("--isolation", "shared")
SHORT = ("is killed",)


def test_who_writes_what_is_held_waits_and_writes_when_it_is_free(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    steps = ("read x.txt", "wait held", "write y.txt: y", "edit x.txt: first => second", "say written")
    world.repo.plan(holder("x.txt", text="first"), task("p", agent, *steps))
    world.box.write("x.txt", "first\n")
    world.repo.commit()
    running = world.start("--isolation", "worktree")
    world.up()
    world.stub.open("held")
    world.until(world.waiters, "it stands in the queue", running)
    [place] = world.folder.glob(".wavecrew/worktrees/*/p-1")
    assert (place / "y.txt").exists()
    assert (place / "x.txt").read_text() == "first\n"
    world.release()
    done = running.end()

    assert done.code == 0, (done, world.told())
    [judged] = [one for one in world.events("WriteJudged", "p") if one["paths"] == ["x.txt"]]
    assert (judged["allowed"], judged["holder"]) == (True, "phase holder")
    assert judged["waited"] > 0
    assert world.repo.text("x.txt") == "second\n"
    assert world.repo.text("y.txt").strip() == "y"


def test_what_is_refused_is_not_written_and_the_turn_goes_on(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    world.repo.plan(
        holder("x.txt"),
        task(
            "p", agent, "wait held", "write x.txt: stolen", "shell echo stolen > x.txt", "write y.txt: y", "say went on"
        ),
    )
    running = world.start(*SHARED, "--lock-timeout-seconds", "1")
    world.up()
    world.stub.open("held")
    world.until(lambda: world.events("AttemptEnded", "p"), "the agent ends", running)
    assert not world.path("x.txt").exists()
    assert world.read("y.txt").strip() == "y"
    world.release()
    done = running.end()

    assert done.code == 0, (done, world.told())
    refused = [one for one in world.events("WriteJudged", "p") if not one["allowed"]]
    assert [(one["paths"], one["holder"]) for one in refused] == [(["x.txt"], "phase holder")] * 2
    told = world.results("p")
    assert all("phase holder" in one for one in told[:2]), told  # the model reads who holds it


def test_what_was_changed_while_it_waited_is_refused_once(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    steps = ("read x.txt", "wait held", "write x.txt: mine", "read x.txt", "write x.txt: theirs and mine")
    world.repo.plan(holder("x.txt"), task("p", agent, *steps))
    world.box.write("x.txt", "first\n")
    world.repo.commit()
    running = world.start(*SHARED)
    world.up()
    world.stub.open("held")
    world.until(world.waiters, "it stands in the queue", running)
    assert world.read("x.txt") == "first\n"
    world.release()
    done = running.end()

    assert done.code == 0, (done, world.told())
    told = world.results("p")
    assert "read it again" in told[1].lower(), told
    assert "by the holder" in told[2]  # the work of the other one was there to be read
    assert world.read("x.txt").strip() == "theirs and mine"
    first, *_ = world.events("WriteJudged", "p")
    assert (first["allowed"], first["holder"]) == (False, "phase holder")


@pytest.mark.skipif(not probe().available, reason=f"NO CEILING ON THIS KERNEL: {probe().reason}")
def test_what_a_program_of_a_shell_writes_outside_is_refused_by_the_kernel(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    outside = world.base / "outside"
    inner = world.base / "code.py"
    inner.write_text("import sys; open(sys.argv[1], 'w').write('x')")
    steps = (f"shell python3 {inner} {outside}", f"shell python3 {inner} inside", "write a.txt: a")
    world.repo.plan(task("p", agent, *steps, writes=["a.txt"]))

    done = world.run()

    assert done.code == 0, (done, world.told())
    assert not outside.exists()
    assert "Permission denied" in world.results("p")[0]
    assert world.repo.files() >= {"inside", "a.txt"}


# -- broken gates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [way if way in SHORT else pytest.param(way, marks=pytest.mark.long) for way in WAYS])
def test_nothing_is_written_when_the_hook(agent: str, make_world: MakeWorld, way: str) -> None:
    world = make_world(agent)
    world.box.extra |= broken_package(world.base / "broken", way)
    world.repo.plan(task("p", agent, "write x.txt: x", "say went on"))

    done = world.run(*SHARED, "--lock-timeout-seconds", "0")

    assert not world.path("x.txt").exists(), (world.results("p"), world.told())
    asked = [one.step for one in world.stub.requests if one.name == "p"]
    if (agent, way) == ("opencode", "is killed with what started it"):
        assert (asked, done.code) == ([0], 1)  # that was opencode itself
    else:
        assert asked[-1] == 1, (done, world.told())
        assert world.results("p")


def test_nothing_is_written_when_a_waiting_hook_is_killed(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    world.repo.plan(holder("x.txt"), task("p", agent, "wait held", "write x.txt: stolen", "write y.txt: y"))
    running = world.start(*SHARED)
    world.up()
    world.stub.open("held")
    world.until(world.waiters, "it stands in the queue", running)
    hooks = [pid for pid in world.of_command("/core/hook.py") if "python" in world.program(pid)]
    assert hooks
    world.kill(hooks)
    world.until(lambda: world.events("AttemptEnded", "p"), "the agent ends", running)

    assert not world.path("x.txt").exists(), world.told()
    assert world.read("y.txt").strip() == "y"
    world.release()
    assert running.end().code == 0


def test_nothing_is_written_while_the_coordinator_hangs(agent: str, make_world: MakeWorld) -> None:
    world = make_world(agent)
    world.repo.plan(task("p", agent, "wait frozen", "write x.txt: x", "say went on"))
    running = world.start(*SHARED, "--lock-timeout-seconds", "0")
    world.until(lambda: world.stub.waiting("frozen"), "it is at work", running)
    running.send(signal.SIGSTOP)
    try:
        world.stub.open("frozen")
        wait_for(lambda: world.results("p"), "the model is told")
        assert not world.path("x.txt").exists()
        assert "no answer within" in world.results("p")[0]
    finally:
        running.send(signal.SIGCONT)
    assert running.end().code == 0
    assert not world.path("x.txt").exists()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nobody"),
        pytest.param(b"%% garbage \xff", id="garbage"),
        pytest.param(b'{"verdict": "maybe"}', id="no verdict", marks=pytest.mark.long),
        pytest.param(b'{"verdict": "allow"', id="half a verdict", marks=pytest.mark.long),
    ],
)
def test_nothing_is_written_when_somebody_else_answers(agent: str, make_world: MakeWorld, answer: bytes) -> None:
    """The coordinator is dead, and what listens at its door talks garbage, or nobody does at all."""
    world = make_world(agent)
    world.repo.plan(task("p", agent, "wait dead", "write x.txt: x", "say went on"))
    running = world.start(*SHARED)
    world.until(lambda: world.stub.waiting("dead"), "it is at work", running)
    running.kill()
    with _impostor(world, answer) if answer else contextlib.nullcontext():
        world.stub.open("dead")
        wait_for(lambda: not world.box.alive(), "the agent ends")

    assert world.results("p"), world.told()
    assert not world.path("x.txt").exists()
    done = world.run(*SHARED)
    assert done.code == 0, (done, world.told())
    assert len(world.events("AttemptStarted")) == 1
    assert world.events("WriteJudged") == []


@contextlib.contextmanager
def _impostor(world: World, answer: bytes) -> Iterator[None]:
    """Listens where the coordinator did, and says always the same."""
    [door] = world.folder.glob(".wavecrew/runs/*/.gate")
    listening = socket.socket(socket.AF_UNIX)
    (door / "socket").unlink()
    here = Path.cwd()
    os.chdir(door)  # the name of a socket must be short
    try:
        listening.bind("socket")
    finally:
        os.chdir(here)
    listening.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listening.accept()
                with caller:
                    caller.recv(65536)
                    caller.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.mark.skipif("codex" not in chosen(), reason="codex is not tried")
def test_a_gate_that_is_not_trusted_is_found_before_anything_starts(make_world: MakeWorld) -> None:
    """Codex passes over a hook that it does not trust, in silence. Here another version writes its hooks down."""
    world = make_world("codex")
    fake = world.base / "bin"
    fake.mkdir()
    real = world.box.extra["PATH"].split(os.pathsep)[0]
    (fake / "codex").write_text(f"#!/bin/sh\nexec {real}/codex \"$@\" -c 'hooks.state={{}}'\n")
    (fake / "codex").chmod(0o755)
    world.box.extra["PATH"] = f"{fake}{os.pathsep}{world.box.extra['PATH']}"
    world.repo.plan(task("p", "codex", "write x.txt: x"))

    refused = world.run()

    assert refused.code == 8, refused
    assert "would not ask before it writes" in refused.err
    assert world.stub.requests == ()


@pytest.mark.skipif("codex" not in chosen(), reason="codex is not tried")
@pytest.mark.parametrize(
    ("model", "sub_agents"),
    [("gpt-6.1-sol", True), pytest.param("gpt-5.6-sol", True, marks=pytest.mark.long), ("a-model-of-tomorrow", False)],
)
def test_codex_asks_with_models_for_which_it_has_other_tools(
    make_world: MakeWorld, model: str, sub_agents: bool
) -> None:
    """Some of them write by programs that call tools, and for one that Codex does not know there is only a shell."""
    world = make_world("codex", model=model)
    inner = ("agent write x.txt: stolen ;; write s.txt: s",) if sub_agents else ()
    steps = ("write x.txt: stolen", "write y.txt: y", "edit y.txt: y => z", "shell touch w.txt", *inner)
    world.repo.plan(holder("x.txt"), task("p", "codex", "wait held", *steps))
    running = world.start(*SHARED, "--lock-timeout-seconds", "0")
    world.up()
    world.stub.open("held")
    world.until(lambda: world.events("AttemptEnded", "p"), "the agent ends", running)
    assert not world.path("x.txt").exists()
    world.release()
    done = running.end()

    assert done.code == 0, (done, world.told())
    assert world.read("y.txt").strip() == "z"
    assert world.path("w.txt").exists()
    assert world.read("s.txt").strip() == ("s" if sub_agents else "")
    judged = [(one["paths"], one["allowed"]) for one in world.events("WriteJudged", "p")]
    own = [(["x.txt"], False), (["y.txt"], True), (["w.txt"], True)]
    assert judged == [*own, *([(["x.txt"], False), (["s.txt"], True)] if sub_agents else [])]
    assert world.events("UndeclaredWrites") == []


@pytest.mark.skipif("codex" not in chosen(), reason="codex is not tried")
def test_all_tools_of_the_newer_models_of_codex_are_known_to_the_gate(make_world: MakeWorld) -> None:
    world = make_world("codex", model="gpt-6.1-sol")
    world.repo.plan(task("p", "codex", "shell true"))

    assert world.run().code == 0, world.told()
    assert unknown_tools(world) == set()
