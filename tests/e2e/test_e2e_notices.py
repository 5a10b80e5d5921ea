"""News of real runs: one message for each change worth a person, whoever is killed, and none without consent."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sandbox import STATE, Sandbox, phase, wait_for

_TELL = "import sys; open('{}', 'a').write(sys.stdin.read())"


def _notify(box: Sandbox, *ways: str) -> list[str]:
    """Flags by which a program of the user keeps all messages."""
    text = _TELL.format(box.home / "news")
    words = " ".join((sys.executable, "-c", f'"{text}"'))
    return ["--notify", ",".join(("command", *ways)), "--notify-command", words]


def _news(box: Sandbox) -> list[dict[str, Any]]:
    file = box.home / "news"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _kinds(box: Sandbox) -> list[str]:
    return [one["kind"] for message in _news(box) for one in message["notices"]]


def test_retries_are_no_news_and_the_end_is_a_digest(box: Sandbox) -> None:
    box.plan(
        phase("a", "test -e again || { touch again; exit 1; }", retries=1),
        phase("b", "echo no; exit 3"),
        phase("c", needs=["b"]),
    )
    done = box.run(*_notify(box))
    assert done.code == 1
    assert sorted(box.ran()) == ["a", "a", "b"]
    assert _kinds(box) == ["failed", "finished"]
    last = _news(box)[-1]
    assert last["ended"] is True
    assert [one["phase"] for one in last["digest"]["failed"]] == ["b"]
    assert (last["digest"]["passed"], last["digest"]["blocked"]) == (1, 1)
    assert last["project"] == box.folder.name


def test_a_coordinator_that_was_killed_is_followed_by_one_that_tells_nothing_twice(box: Sandbox) -> None:
    box.plan(
        phase("a", "test -e again || { touch again; exit 1; }"), phase("b", "while ! test -e go; do sleep 0.1; done")
    )
    running = box.start_run(*_notify(box))
    wait_for(lambda: _kinds(box) == ["failed"], "the first message")
    memory = next(box.folder.glob(f"{STATE}/runs/*/news.json"))
    wait_for(lambda: json.loads(memory.read_text())["told"] > 2, "its memory of that")
    running.kill()
    box.write("go", "")
    assert box.run(*_notify(box)).code == 0
    assert _kinds(box) == ["failed", "finished"]
    assert _news(box)[-1]["digest"]["passed"] == 2


def test_a_gate_is_news(box: Sandbox) -> None:
    box.plan(phase("a"), phase("b", needs=["a"]))
    left = box.run("--gate", "wave", *_notify(box))
    assert left.code == 5
    assert _kinds(box) == ["approval", "stopped"]
    assert _news(box)[0]["needs_you"] is True
    assert box.wavecrew("approve", "wave 2").code == 0
    assert box.run(*_notify(box)).code == 0
    assert _kinds(box) == ["approval", "stopped", "finished"]


@pytest.fixture
def address() -> Iterator[tuple[str, list[tuple[str | None, dict[str, Any]]]]]:
    """A web address on this machine, and what came in: the header `Authorization` and the body."""
    got: list[tuple[str | None, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.headers["Authorization"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", got
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_the_news_and_its_secrets_stay_where_they_are(
    box: Sandbox, address: tuple[str, list[tuple[str | None, dict[str, Any]]]]
) -> None:
    url, got = address
    secret = {"HOOK": f"{url}s3cr3t-path", "AUTH": "Bearer s3cr3t-token", "GIVEN": "s3cr3t-given"}
    box.extra |= secret
    box.plan(phase("a", 'echo "$GIVEN" > a; exit 1', check=["sh", "-c", "true"]), phase("s3cr3t-given"))
    way = ["--notify", "webhook", "--notify-webhook", "$HOOK", "--notify-headers", "Authorization=AUTH"]
    done = box.run(*way, "--env", "GIVEN")
    assert done.code == 1
    assert got
    assert {header for header, _ in got} == {"Bearer s3cr3t-token"}
    assert "s3cr3t" not in json.dumps([body for _, body in got])
    kept = [path for path in box.folder.glob(f"{STATE}/**/*") if path.is_file() and path.suffix != ".json"]
    assert kept
    assert not [path for path in kept if b"s3cr3t-token" in path.read_bytes() or b"s3cr3t-path" in path.read_bytes()]


def test_an_address_that_is_dead_does_not_change_how_a_run_ends(box: Sandbox) -> None:
    box.plan(phase("a"))
    done = box.run("--notify", "webhook", "--notify-webhook", "http://127.0.0.1:1/")
    assert done.code == 0
    assert "news of this run could not be sent by webhook: it cannot be reached: Connection refused" in done.out


def test_a_terminal_that_understands_notifications_gets_one(box: Sandbox) -> None:
    box.plan(phase("a", "exit 1"))
    master, slave = pty.openpty()
    seen = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # the last one has closed it
            while data := os.read(master, 4096):
                seen.extend(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    words = ["run", "plan.json", "--yes", "--wave-delay-seconds", "0", "--ui", "plain", "--notify", "terminal"]
    done = subprocess.run(
        [sys.executable, "-m", "wavecrew", *words],
        cwd=box.folder,
        env=box.environment({"TERM": "xterm-kitty"}),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    try:
        wait_for(lambda: b"\x1b]99;i=wavecrew:p=body;" in seen, "the notification")
    finally:
        os.close(slave)
        reader.join(30)  # nobody has it open any more, so reading ends
        os.close(master)
    assert b"failed after" in seen.partition(b"\x1b]99;i=wavecrew:d=0;")[2]


def test_what_cannot_be_used_is_told_before_anything_starts(box: Sandbox) -> None:
    box.plan(phase("a"))
    assert box.run("--notify", "webhook").code == 3
    assert box.run("--notify", "webhook", "--notify-webhook", "$NOWHERE").code == 8
    assert box.run("--notify", "pigeon").code == 3
    assert box.ran() == []


def test_a_project_cannot_send_news_anywhere_by_itself(
    box: Sandbox, address: tuple[str, list[tuple[str | None, dict[str, Any]]]]
) -> None:
    url, got = address
    box.write("plan/1.md", "# Phase 1: A\n\n```sh run\ntrue\n```\n")
    box.write(
        "wavecrew.toml",
        'notify = ["command", "webhook"]\nnotify_command = ["touch", "pwned"]\n'
        f'notify_webhook = "{url}"\nnotify_headers = ["Authorization=AUTH"]\n',
    )
    box.extra["AUTH"] = "mine"
    asked = box.wavecrew("run", "plan", "--wave-delay-seconds", "0")
    assert asked.code == 5
    assert "touch pwned" in asked.err
    assert f"{url} with the variables AUTH" in asked.err
    tried = box.wavecrew("notify", "--test", text="y\n")
    assert tried.code == 5
    assert got == []
    assert not (box.folder / "pwned").exists()
    assert box.wavecrew("notify", "--test", "--yes").code == 0
    assert [header for header, _ in got] == ["mine"]
    assert (box.folder / "pwned").exists()
    assert box.wavecrew("notify", "--test", "--json").json == {"sent": ["command", "webhook"], "failed": {}}
    box.write("wavecrew.toml", 'notify = ["command"]\nnotify_command = ["touch", "pwned2"]\n')
    assert box.wavecrew("notify", "--test").code == 5
    assert not (box.folder / "pwned2").exists()


def test_who_is_told_is_shown(box: Sandbox) -> None:
    assert "nobody is told" in box.wavecrew("notify").out
    box.extra["WAVECREW_NOTIFY"] = "terminal,command"
    box.extra["WAVECREW_NOTIFY_COMMAND"] = "false"
    shown = box.wavecrew("notify")
    assert "news of a run go to: command" in shown.out
    assert "no terminal here for: terminal" in shown.out
    tried = box.wavecrew("notify", "--test")
    assert tried.code == 8
    assert "FAIL  command   it ended with 1" in tried.out
