"""The hook program by itself: what goes wrong is a refusal, and what only reads is never held up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core_builders import PATIENCE, eventually
from wavecrew.core import hook
from wavecrew.core.gate_socket import agent_timeout, hook_argv, pass_file, write_pass

WRITE = {"tool_name": "Write", "tool_input": {"file_path": "f"}, "cwd": "/w"}
Talk = Callable[[socket.socket], None]


def argv(folder: Path, seconds: float = PATIENCE) -> list[str]:
    return [*hook_argv(folder, "r/p/1", 0)[:-1], str(seconds)]


def ask(folder: Path, payload: object, seconds: float = PATIENCE) -> subprocess.CompletedProcess[bytes]:
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return subprocess.run(argv(folder, seconds), input=text, capture_output=True, timeout=PATIENCE, check=False)


def refusal(done: subprocess.CompletedProcess[bytes]) -> str:
    """The sentence for the model."""
    assert done.returncode == 2, done
    assert done.stdout == b""
    told = done.stderr.decode()
    assert told.startswith("wavecrew: ")
    assert told.count("\n") == 1
    return told


def with_pass(folder: Path) -> Path:
    write_pass(pass_file(folder, "r/p/1"), "r/p/1", "the token")
    return folder


@contextlib.contextmanager
def server(folder: Path, talk: Talk) -> Iterator[None]:
    """Somebody who listens where the coordinator would, and answers one connection."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = with_pass(folder) / ".gate"
    previous = Path.cwd()
    os.chdir(place)
    listening.bind("socket")
    os.chdir(previous)
    listening.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            channel = listening.accept()[0]
            with channel:
                talk(channel)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(PATIENCE)


def heard(channel: socket.socket) -> dict[str, object]:
    size = int.from_bytes(channel.recv(4, socket.MSG_WAITALL), "big")
    found: dict[str, object] = json.loads(channel.recv(size, socket.MSG_WAITALL))
    return found


# -- what is said, and what it means -----------------------------------------------------------------------------


def test_the_call_is_sent_with_the_pass_and_the_answer_is_taken(tmp_path: Path) -> None:
    said: list[dict[str, object]] = []

    def allow(channel: socket.socket) -> None:
        said.append(heard(channel))
        channel.sendall(b'{"verdict": "allow"}')

    with server(tmp_path, allow):
        done = ask(tmp_path, {**WRITE, "hook_event_name": "PreToolUse"})

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert said == [
        {"owner": "r/p/1", "token": "the token", "tool": "Write", "input": {"file_path": "f"}, "cwd": "/w"}
    ]  # fmt: skip


def test_without_a_folder_in_the_call_it_is_that_of_the_hook(tmp_path: Path) -> None:
    said: list[object] = []

    def allow(channel: socket.socket) -> None:
        said.append(heard(channel)["cwd"])
        channel.sendall(b'{"verdict": "allow"}')

    with server(tmp_path, allow):
        ask(tmp_path, {"tool_name": "Write", "tool_input": {}, "cwd": "."})

    assert said == [os.getcwd()]


def test_the_reason_of_a_refusal_reaches_the_model(tmp_path: Path) -> None:
    reason = "caf\u00e9 is held by phase a"

    def refuse(channel: socket.socket) -> None:
        heard(channel)
        channel.sendall(json.dumps({"verdict": "refuse", "reason": reason}).encode())

    with server(tmp_path, refuse):
        assert refusal(ask(tmp_path, WRITE)) == f"wavecrew: {reason}\n"


@pytest.mark.parametrize(
    "tool",
    [
        "Read",
        "Task",
        "ListAgents",
        "view_image",
        "collaborationspawn_agent",
        "tool_search",
        "read_file",
        "update_topic",
        "read",
    ],
)
def test_tools_that_only_read_need_nobody(tmp_path: Path, tool: str) -> None:
    done = ask(tmp_path / "nowhere", {"tool_name": tool, "tool_input": {}})

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# -- whatever goes wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [b"", b"no json", b"[]", b"null", b"{}", b"\xff\xfe", b'{"tool_name": ["Read"]}', b"[" * 100_000, b'"Read"'],
)
def test_a_call_that_cannot_be_read_is_refused(tmp_path: Path, payload: bytes) -> None:
    assert "cannot be read" in refusal(ask(with_pass(tmp_path), payload))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"allow",
        b"{",
        b"[]",
        b'"allow"',
        b"{}",
        b'{"verdict": "Allow"}',
        b'{"verdict": ["allow"]}',
        b'{"verdict": true}',
        b"\xff" * 100_000,
        b"[" * 100_000,
    ],
)
def test_an_answer_that_is_none_is_a_refusal(tmp_path: Path, answer: bytes) -> None:
    def garble(channel: socket.socket) -> None:
        heard(channel)
        channel.sendall(answer)

    with server(tmp_path, garble):
        refusal(ask(tmp_path, WRITE))


def test_nobody_there(tmp_path: Path) -> None:
    assert "nobody is in charge" in refusal(ask(tmp_path / "no folder", WRITE))
    assert "nobody is in charge" in refusal(ask(with_pass(tmp_path), WRITE))
    with server(tmp_path, lambda channel: None):
        pass
    assert "nobody is in charge" in refusal(ask(tmp_path, WRITE)), "only the socket is left"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"owner": "x"}', "no json"])
def test_a_pass_that_is_none(tmp_path: Path, text: str) -> None:
    pass_file(with_pass(tmp_path), "r/p/1").write_text(text)

    assert "could not be asked about" in refusal(ask(tmp_path, WRITE))


@pytest.mark.parametrize("arguments", [[], ["one"], ["one", "never"], ["one", "1", "2"], ["one", "-1"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", hook.__file__, *arguments],
        input=json.dumps(WRITE).encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    refusal(done)


def test_a_coordinator_that_hangs_is_not_waited_for_longer_than_told(tmp_path: Path) -> None:
    done = threading.Event()
    with server(tmp_path, lambda channel: (heard(channel), done.wait(PATIENCE))[0] and None):
        told = refusal(ask(tmp_path, WRITE, seconds=0.3))
        done.set()

    assert "no answer within 0.3 s" in told


def test_an_agent_that_never_says_what_it_wants_to_do(tmp_path: Path) -> None:
    program = subprocess.Popen(argv(tmp_path, 0.3), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.wait(PATIENCE) == 2
    program.communicate()


def test_a_call_that_is_too_large(tmp_path: Path) -> None:
    payload = b'{"tool_name": "Write", "tool_input": "' + b"x" * hook.MAX_BYTES + b'"}'

    assert "too large" in refusal(ask(with_pass(tmp_path), payload))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM])
def test_a_signal_is_a_refusal(tmp_path: Path, number: signal.Signals) -> None:
    arrived, done = threading.Event(), threading.Event()

    def hang(channel: socket.socket) -> None:
        heard(channel)
        arrived.set()
        done.wait(PATIENCE)

    with server(tmp_path, hang):
        program = subprocess.Popen(argv(tmp_path), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert program.stdin is not None
        program.stdin.write(json.dumps(WRITE).encode())
        program.stdin.close()
        eventually(arrived.is_set)
        program.send_signal(number)
        assert program.wait(PATIENCE) == 2
        done.set()
    assert program.stderr is not None
    with program.stderr:
        assert b"Nothing was written" in program.stderr.read()


def test_a_hook_that_is_killed_is_a_refusal_of_the_command_around_it(tmp_path: Path) -> None:
    arrived, done = threading.Event(), threading.Event()

    def hang(channel: socket.socket) -> None:
        heard(channel)
        arrived.set()
        done.wait(PATIENCE)

    pid = tmp_path / "pid"
    line = f'sh -c \'echo $$ > "$0"; exec "$@"\' "{pid}" "$@" || exit 2'  # the hook tells its pid, and is itself
    with server(tmp_path, hang):
        program = subprocess.Popen(["/bin/sh", "-c", line, "sh", *argv(tmp_path)], stdin=subprocess.PIPE)
        assert program.stdin is not None
        program.stdin.write(json.dumps(WRITE).encode())
        program.stdin.close()
        eventually(arrived.is_set)
        os.kill(int(pid.read_text()), signal.SIGKILL)
        assert program.wait(PATIENCE) == 2
        done.set()


def test_a_closed_standard_error_changes_no_code(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" 2>&- >&-', "sh", *argv(tmp_path)],
        input=json.dumps(WRITE).encode(),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2


# -- the command -------------------------------------------------------------------------------------------------


def test_the_hook_is_more_patient_than_the_gate_and_the_agent_more_than_the_hook(tmp_path: Path) -> None:
    assert 300 < float(hook_argv(tmp_path, "r/p/1", 300)[-1]) < agent_timeout(300)


def test_every_attempt_has_a_pass_of_its_own(tmp_path: Path) -> None:
    owners = ["r/p/1", "r/p/2", "r/P/1", "r/../p/1", "r/\u00e9/1", "r/e\u0301/1", "r/\ud800/1"]

    assert len({pass_file(tmp_path, owner) for owner in owners}) == len(owners)
    assert {pass_file(tmp_path, owner).parent for owner in owners} == {tmp_path / ".gate"}


def test_it_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """The start of an interpreter is most of what a tool call pays; `socket` or `pathlib` would double it."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", *argv(tmp_path)[3:]],
        input=json.dumps(WRITE).encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    loaded = {line.rpartition(b"|")[2].strip() for line in done.stderr.splitlines() if line.startswith(b"import time:")}
    assert b"json" in loaded
    assert not loaded & {b"socket", b"pathlib", b"typing", b"subprocess", b"asyncio", b"wavecrew", b"site"}
