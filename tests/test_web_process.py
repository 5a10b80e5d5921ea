"""The page as a process: beside a run, on its leash, killed, ended with streams open, and where it cannot be."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "e2e"))

from sandbox import PATIENCE, Running, Sandbox, phase, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
WAITS = 'while [ ! -e "$WAVECREW_WORKSPACE/go" ]; do sleep 0.05; done'


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    """A workspace with a plan of two phases; the first waits for a file."""
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    made = Sandbox(tmp_path / "work", tmp_path / "home")
    made.plan(phase("a", WAITS), phase("b", needs=["a"]))
    yield made
    made.close()


def run_with_page(box: Sandbox, *flags: str) -> tuple[Running, int]:
    """A run with its page, and the port of that."""
    run = box.start_run("--isolation", "shared", "--ui", "plain", *flags)
    line = wait_for(lambda: next((one for one in run.err.splitlines() if one.startswith("web page: ")), ""), "the page")
    return run, int(line.partition("127.0.0.1:")[2].partition("/")[0])


def page_alone(box: Sandbox, *flags: str) -> tuple[Running, int]:
    """`wavecrew web`, and its port."""
    page = box.start("--json", "web", "--port", "0", *flags)
    wait_for(lambda: "}" in page.out, "the page")
    return page, int(json.loads(page.out)["link"].partition("127.0.0.1:")[2].partition("/")[0])


def token(box: Sandbox) -> str:
    return box.read(".wavecrew/web/token").strip()


def ask(box: Sandbox, port: int, path: str = "/metrics") -> tuple[int, bytes]:
    """Status and body of an answer. Raises OSError where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"authorization": f"Bearer {token(box)}"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
        return True
    return False


@contextlib.contextmanager
def streaming(box: Sandbox, port: int) -> Iterator[Any]:
    """An open stream of news, of which something was heard."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        headers = {"authorization": f"Bearer {token(box)}"}
        connection.request("GET", "/api/run/latest/events", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.readline().startswith(b"retry")
        yield answer


def test_the_page_ends_with_its_run_and_tells_what_came_last(box: Sandbox) -> None:
    run, port = run_with_page(box, "--web=0")
    wait_for(lambda: b'state="running"} 1' in ask(box, port)[1], "a to run")
    with streaming(box, port) as answer:
        box.write("go", "")
        rest = answer.read().decode()
    assert run.end().code == 0
    assert "done   passed=2" in rest
    assert not listens(port)
    assert token(box) not in run.out + run.err
    assert not [
        path
        for path in box.folder.glob(".wavecrew/**/*")
        if path.is_file() and path.name != "token" and token(box).encode() in path.read_bytes()
    ]


def test_the_page_does_not_outlive_a_coordinator_that_is_killed(box: Sandbox) -> None:
    run, port = run_with_page(box, "--web")
    wait_for(lambda: ask(box, port)[0] == 200, "the page to answer")
    run.kill()
    wait_for(lambda: not listens(port), "the page to end")


def test_a_run_does_not_mind_the_end_of_its_page(box: Sandbox) -> None:
    run, port = run_with_page(box, "--web=0")
    wait_for(lambda: b'state="running"} 1' in ask(box, port)[1], "a to run")
    os.kill(page_of(run), signal.SIGKILL)
    wait_for(lambda: not listens(port), "the page to end")
    box.write("go", "")
    assert run.end().code == 0
    assert set(box.statuses().values()) == {"COMPLETED"}


def page_of(run: Running) -> int:
    """The process of the page beside a run."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    found = [pid for pid in children if b"--leash" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    assert len(found) == 1
    return int(found[0])


def test_a_page_that_is_kept_stays_until_ctrl_c(box: Sandbox) -> None:
    box.write("go", "")
    run, port = run_with_page(box, "--web=0", "--keep-web")
    wait_for(lambda: "the page stays open" in run.err, "the end of the run")
    assert b'state="passed"} 2' in ask(box, port)[1]
    run.send(signal.SIGINT)
    assert run.end().code == 0
    assert not listens(port)


def test_a_key_is_in_no_argument_of_a_process(box: Sandbox) -> None:
    run, _ = run_with_page(box, "--web=0")
    line = Path(f"/proc/{page_of(run)}/cmdline").read_bytes()
    assert token(box).encode() not in line
    box.write("go", "")
    assert run.end().code == 0


def test_a_port_in_use_is_told_before_anything_is_run(box: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = box.run(f"--web={port}", "--isolation", "shared")
        alone = box.wavecrew("web", "--port", str(port))
    assert refused.code == 8
    assert "somebody listens there already" in refused.err
    assert "--web=0" in refused.err
    assert box.ran() == []
    assert box.wavecrew("--json", "runs", "list").json["runs"] == []
    assert alone.code == 8
    assert "--port 0" in alone.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_ends_in_good_order_with_streams_open(box: Sandbox, number: signal.Signals) -> None:
    box.write("go", "")
    assert box.run("--isolation", "shared").code == 0
    page, port = page_alone(box)
    with streaming(box, port) as answer:
        page.send(number)
        assert b"news" in answer.read()
    assert page.end().code == 0
    assert page.err == ""


def test_a_page_of_a_run_that_is_over_survives_a_restart_with_its_key(box: Sandbox) -> None:
    box.write("go", "")
    assert box.run("--isolation", "shared").code == 0
    first, port = page_alone(box)
    before = token(box)
    first.send(signal.SIGTERM)
    assert first.end().code == 0
    again = box.start("--json", "web", "latest", "--port", str(port))
    wait_for(lambda: "}" in again.out, "the page")
    assert json.loads(again.out)["link"].endswith(f"#key={before}")
    assert ask(box, port, "/api/run/latest")[0] == 200
    anew = box.start("--json", "web", "--port", "0", "--new-key")
    wait_for(lambda: "}" in anew.out, "the page")
    assert token(box) != before


def test_what_cannot_be_shown_is_told_in_words(box: Sandbox) -> None:
    nothing = box.wavecrew("web", "--port", "0")
    assert nothing.code == 4
    assert "nothing has been run" in nothing.err
    box.write("go", "")
    assert box.run("--isolation", "shared").code == 0
    unknown = box.wavecrew("web", "zzz", "--port", "0")
    assert unknown.code == 4
    assert "no run begins with 'zzz'" in unknown.err
    for flags, words in ((["--web", "--detach"], "do not go together"), (["--keep-web"], "goes with --web")):
        refused = box.run(*flags)
        assert refused.code == 2
        assert words in refused.err
    assert box.run("--web=port").code == 2
    assert box.wavecrew("run", "--web", "plan.json", "--dry-run").code == 0  # the plan is no port


def test_a_page_of_a_newer_store_says_so(box: Sandbox) -> None:
    import sqlite3

    box.write("go", "")
    assert box.run("--isolation", "shared").code == 0
    _, port = page_alone(box)
    database = sqlite3.connect(box.folder / ".wavecrew" / "state.db")
    with contextlib.closing(database), database:
        database.execute("UPDATE event SET version = 999 WHERE seq = 2")
    status, body = ask(box, port, "/run/latest")
    assert status == 503
    assert b"written by a newer wavecrew" in body
    assert b"Traceback" not in body
