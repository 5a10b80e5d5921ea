"""The page where something is wrong: runs that cannot be read, imported ones, locks, reports, odd requests, clients
that keep us waiting, and files that an agent has put where ours should be."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "web"))

from page_world import Watched, served
from starlette.websockets import WebSocketDisconnect

from run_stories import MINITABLE
from test_web import HOME, MARKUP, OURS, PATIENCE, PORT, VECTORS, Parsed, controls, hostile, known, site_of
from wavecrew.api.archive import export_run
from wavecrew.api.history import open_run
from wavecrew.api.imports import imports_in
from wavecrew.api.unpacking import import_run
from wavecrew.core.attempts import attempt_folder
from wavecrew.core.lock_table import Owner
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.errors import InvalidValueError
from wavecrew.models.events import Outcome
from wavecrew.web import connections, guard
from wavecrew.web.controls import breach_from, wish_from
from web_world import World, finished, plan


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """02 and 04 are at work; nobody is in charge."""
    made = World(tmp_path / "work", MINITABLE)
    made.start("01", 1)
    made.end("01", 3)
    made.start("02", 3)
    made.start("04", 3)
    yield made
    made.close()


def taken_in(world: World, tmp_path: Path, file: str = "theirs.zip", run: str = "bbbbbb", **more: Any) -> str:
    """Take a finished run of another workspace in; gives its id."""
    other = World(tmp_path / f"of-{run}", MINITABLE, run=run, **more)
    for phase in ("01", "02"):
        other.start(phase, 1)
        other.log(phase, f"made {phase}\n")
        other.end(phase, 2)
    finished(other)
    export_run(open_run(other.store, run), tmp_path / file, {})
    other.close()
    import_run(world.folder, tmp_path / file)
    return run


# -- all runs ---------------------------------------------------------------------------------------------------


def test_all_runs_stand_in_the_list_also_those_that_cannot_be_read(world: World, tmp_path: Path) -> None:
    newer = World(world.folder, MINITABLE, run="cccccc")
    newer.close()
    taken_in(world, tmp_path)
    for run in ("dddddd", "eeeeee"):
        taken_in(world, tmp_path, f"{run}.zip", run)
    with sqlite3.connect(world.store.folder / "state.db") as database:
        database.execute("UPDATE event SET version = 999 WHERE run = 'cccccc' AND seq = 2")
    database.close()
    broken = {one.run: one.workspace / ".wavecrew" for one in imports_in(world.store.folder)}
    (broken["dddddd"] / "state.db").unlink()  # half of it was removed
    (broken["eeeeee"] / "state.db").write_bytes(b"no database at all" * 100)
    client = known(site_of(world))
    page = client.get("/runs")
    assert page.status_code == 200
    for run in (world.run, "bbbbbb", "cccccc", "dddddd", "eeeeee"):
        assert f'href="/run/{run}"' in page.text
    assert "written by a newer wavecrew" in page.text
    assert "from theirs.zip" in page.text
    assert page.text.count("it cannot be read") == 3
    for run, code in (("cccccc", 503), ("dddddd", 404), ("eeeeee", 503), ("nothing", 404)):
        for path in (f"/run/{run}", f"/run/{run}/report", f"/api/run/{run}", f"/api/run/{run}/prompt?phase=01"):
            answer = client.get(path)
            assert answer.status_code == code, path
            assert "Traceback" not in answer.text
    assert client.get(f"/run/{world.run}").status_code == 200


def test_an_imported_run_is_shown_without_controls_and_says_why(world: World, tmp_path: Path) -> None:
    run = taken_in(world, tmp_path)
    site = site_of(world)
    client = known(site)
    page = client.get(f"/run/{run}").text
    assert "imported: only for looking" in page
    assert "imported from theirs.zip" in page
    assert "newer run" not in page
    assert " data-read-only" in page
    for control in ("pause", "stop"):
        assert f'id="{control}"' not in page
    site.run = run
    assert client.get("/").headers["location"] == f"/run/{run}"  # wavecrew web RUN
    assert client.get(f"/api/run/{run}/log", params={"phase": "01"}).text == "made 01\n"
    assert client.get(f"/api/run/{run}/prompt", params={"phase": "01"}).text == (
        "What this attempt was given is not kept here."
    )
    assert client.get(f"/run/{run}/report").status_code == 200
    for verb, data in (("pause", {}), ("retry", {"phases": ["01"]})):
        answer = client.post(f"/api/run/{run}/{verb}", json=data, headers=OURS)
        assert answer.status_code == 409
        assert "imported from theirs.zip" in answer.json()["error"]
    site.close()
    site.release()


# -- the report -------------------------------------------------------------------------------------------------


def test_the_report_is_made_when_it_is_asked_for_under_its_own_policy(world: World) -> None:
    world.log("02", f"{MARKUP[0]}\n")
    world.end("02", 9, Outcome.FAILED)
    client = known(site_of(world))
    answer = client.get(f"/run/{world.run}/report")
    assert answer.status_code == 200
    told = {
        one.partition(" ")[0]: one.partition(" ")[2] for one in answer.headers["content-security-policy"].split("; ")
    }
    assert told["default-src"] == "'none'"
    assert told["frame-ancestors"] == "'none'"
    assert told["sandbox"] == "allow-scripts"  # it is nobody's page: no cookie of ours goes with what it asks for
    assert "connect-src" not in told
    for kind in ("style-src", "script-src"):
        assert told[kind].startswith("'sha256-")
        assert told[kind] in answer.text.replace("&#x27;", "'")  # the same as in the file itself
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert MARKUP[0] not in answer.text
    assert f'href="/run/{world.run}/report"' in client.get(f"/run/{world.run}").text
    world.end("04", 9)
    assert "failed" in answer.text
    assert client.get(f"/run/{world.run}/report").text != answer.text


def test_the_report_is_behind_the_same_door(world: World) -> None:
    site = site_of(world)
    client = known(site)
    path = f"/run/{world.run}/report"
    assert client.get(path, headers={"host": "evil.example"}).status_code == 403
    assert client.get(path, headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 403
    client.cookies.clear()
    assert client.get(path).status_code == 401


# -- locks ------------------------------------------------------------------------------------------------------


def held_by(world: World, label: str, kind: str, path: str) -> int:
    """Locks of an owner that is alive, dead, or on another host; gives their number."""
    registry = LockRegistry(world.store, world.folder)
    owner = registry.owner(label)
    me = owner.process
    other = {"alive": me, "dead": replace(me, boot="before"), "suspect": replace(me, host="elsewhere")}[kind]
    owner = Owner(owner.name, label, other, "")
    with world.store.transaction() as tx:
        registry.request(tx, owner, registry.claims([path]))
    return next(lock.fence for lock, _ in registry.picture().held if lock.owner_phase == label)


def test_a_lock_is_broken_where_the_command_line_would_do_it(world: World) -> None:
    numbers = {kind: held_by(world, f"the {kind} one", kind, f"src/{kind}") for kind in ("alive", "dead", "suspect")}
    client = known(site_of(world))

    def try_it(kind: str, **more: Any) -> Any:
        wish = {"fence": numbers[kind], "reason": "it is gone", **more}
        return client.post("/api/locks/break", json=wish, headers=OURS)

    for force in (False, True):
        refused = try_it("alive", force=force)
        assert refused.status_code == 409
        assert "is alive and keeps its lock" in refused.json()["error"]
    refused = try_it("suspect")
    assert refused.status_code == 409
    assert "cannot be told from here" in refused.json()["error"]
    assert try_it("suspect", force=True).status_code == 200
    assert try_it("dead").json()["holder"] == "the dead one"
    assert try_it("dead").status_code == 404  # nobody holds it any more
    registry = LockRegistry(world.store, world.folder)
    assert [lock.owner_phase for lock, _ in registry.picture().held] == ["the alive one"]
    assert {one.label for one in registry.picture().broken} == {"the dead one", "the suspect one"}
    assert all(one.by.startswith("web (") and one.reason == "it is gone" for one in registry.picture().broken)


def test_no_lock_is_broken_by_others_or_on_a_page_for_looking(world: World) -> None:
    wish = {"fence": held_by(world, "the dead one", "dead", "src/x"), "reason": "it is gone"}
    looking = known(site_of(world, read_only=True)).post("/api/locks/break", json=wish, headers=OURS)
    assert (looking.status_code, "only for looking" in looking.json()["error"]) == (403, True)
    client = known(site_of(world))
    for headers in ({}, {"x-wavecrew": "1"}, {"origin": HOME}, {**OURS, "origin": "null"}):
        assert client.post("/api/locks/break", json=wish, headers=headers).status_code == 403
    client.cookies.clear()
    assert client.post("/api/locks/break", json=wish, headers=OURS).status_code == 401
    assert len(LockRegistry(world.store, world.folder).picture().held) == 1


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"reason": "x"},
        {"fence": 1},
        {"fence": 1, "reason": " "},
        {"fence": 1, "reason": "x" * 501},
        {"fence": 1, "reason": "\ud800"},
        {"fence": "1", "reason": "x"},
        {"fence": True, "reason": "x"},
        {"fence": -1, "reason": "x"},
        {"fence": 2**70, "reason": "x"},
        {"fence": 1, "reason": "x", "force": 1},
        {"fence": 1, "reason": "x", "by": "root"},
    ],
)
def test_what_is_no_wish_to_break_a_lock_is_refused(data: object) -> None:
    with pytest.raises(InvalidValueError):
        breach_from(data)


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        ("retry", {"phases": ["\ud800"]}),
        ("skip", {"phases": ["04"], "reason": "\udfff"}),
        ("retry", {"phases": ["04"], "text": "x"}),
        ("retry", {"phases": ["04"], "question": 1}),
        ("answer", {"phases": ["04"]}),
        ("answer", {"phases": ["04"], "text": " "}),
        ("answer", {"text": "x"}),
        ("answer", {"phases": ["04"], "text": "x" * 4001}),
        ("answer", {"phases": ["04"], "text": "x", "question": "1"}),
        ("answer", {"phases": ["04"], "text": "x", "question": True}),
    ],
)
def test_words_that_cannot_be_written_down_never_reach_a_run(verb: str, data: object) -> None:
    with pytest.raises(InvalidValueError):
        wish_from(verb, data)


# -- prompt and checks ------------------------------------------------------------------------------------------


def job(world: World, phase: str, steps: list[dict[str, Any]], **files: str) -> Path:
    folder = attempt_folder(world.store.folder, world.run, phase, 1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps({"steps": steps}))
    for name, text in files.items():
        (folder / name.replace("_", "-")).write_text(text)
    return folder


def test_what_an_agent_was_given_and_how_its_checks_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        {"kind": "agent", "title": "claude", "argv": ["claude", "-p"], "stdin": "input-0"},
        {"kind": "check", "title": "check make test", "argv": ["make", "test"]},
    ]
    folder = job(world, "04", steps, input_0="Write the table.\n\x1b[31mAnd mind the rows.\n")
    result = {"code": 2, "cause": "check", "title": "", "detail": "", "strays": 0, "step": 1, "of": 2, "at": 1.0}
    (folder / "exit").write_text(json.dumps(result))
    (folder / "gate-1").mkdir()
    (folder / "gate-1" / "log").write_text("two tests fail\n")
    client = known(site_of(world))

    def tab(name: str, phase: str = "04", **more: str) -> Any:
        return client.get(f"/api/run/{world.run}/{name}", params={"phase": phase, **more})

    prompt = tab("prompt", attempt="1")
    assert prompt.headers["content-type"].startswith("text/plain")
    assert "$ claude -p" in prompt.text
    assert "Write the table.\nAnd mind the rows." in prompt.text
    checks = tab("checks").text
    assert "✓ agent    claude" in checks
    assert "✗ check    check make test" in checks
    assert "two tests fail" in checks
    world.end("04", 9, Outcome.FAILED, retry_at=world.begun + 9)
    world.start("04", 12)
    assert tab("checks", attempt="1").text.startswith("attempt 1 failed")
    assert "minitable/html.py" in tab("prompt", phase="10").text or "has not been started" in tab("prompt", "10").text
    for name in ("prompt", "checks"):
        for wrong in ({"phase": "04", "attempt": "3"}, {"phase": "nobody"}, {"phase": "04", "attempt": "0"}):
            assert tab(name, **wrong).status_code == 404


def test_no_tab_shows_a_value_that_was_handed_to_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3cret-of-mine")
    made = World(tmp_path / "hidden", MINITABLE, env=["KEY"])
    made.start("01", 1)
    step = {"kind": "agent", "title": "s3cret-of-mine", "argv": ["x", "s3cret-of-mine"], "stdin": "input-0"}
    job(made, "01", [step], input_0="use s3cret-of-mine")
    client = known(site_of(made))
    for name in ("prompt", "checks"):
        told = client.get(f"/api/run/{made.run}/{name}", params={"phase": "01"}).text
        assert "s3cret-of-mine" not in told
        assert "[KEY]" in told
    made.close()


def test_files_that_an_agent_put_where_ours_should_be_lead_nowhere(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"steps": [{"kind": "run", "title": "of somebody else"}]}')
    folder = job(world, "04", [{"kind": "run", "title": "x", "argv": ["x"], "stdin": "input-0"}])
    (folder / "input-0").symlink_to(secret)
    (folder / "log").symlink_to(secret)
    (folder / "gate-1").mkdir()
    os.mkfifo(folder / "gate-1" / "log")
    other = attempt_folder(world.store.folder, world.run, "02", 1)
    other.mkdir(parents=True)
    os.mkfifo(other / "log")
    (other / "job.json").symlink_to(secret)
    client = known(site_of(world))
    for phase in ("02", "04"):
        for name in ("log", "prompt", "checks"):
            answer = client.get(f"/api/run/{world.run}/{name}", params={"phase": phase})
            assert answer.status_code == (404 if name == "log" else 200)
            assert "of somebody else" not in answer.text
    step = {"kind": "run", "title": "x", "argv": ["x"], "stdin": os.path.relpath(secret, folder)}
    job(world, "04", [step, "x", None, {"argv": 7, "kind": [], "title": {}}])  # type: ignore[list-item]
    answer = client.get(f"/api/run/{world.run}/prompt", params={"phase": "04"})
    assert answer.status_code == 200
    assert "$ x" in answer.text
    assert "of somebody else" not in answer.text


def test_hostile_words_stay_words_in_every_tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles and commands of steps, prompts, logs beside, and what git says: commit messages and file names."""
    world = hostile(tmp_path / "work")
    said = iter(VECTORS)
    monkeypatch.setattr("wavecrew.web.phase_data.work_of", lambda *_: None)
    monkeypatch.setattr("wavecrew.web.phase_data.work_text", lambda _: f"commit 1\n\n    {next(said)}\n")
    client = known(site_of(world))
    for number, vector in enumerate(VECTORS):
        phase = f"{number:02}"
        word = vector.replace("\0", "").encode(errors="replace").decode()
        folder = job(world, phase, [{"kind": word, "title": word, "argv": [word], "stdin": "input-0"}])
        (folder / "input-0").write_bytes(vector.encode(errors="surrogatepass"))
        (folder / "gate-1").mkdir()
        (folder / "gate-1" / "log").write_bytes(vector.encode(errors="surrogatepass"))
        for name in ("prompt", "checks", "diff"):
            answer = client.get(f"/api/run/{world.run}/{name}", params={"phase": phase})
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert not controls(answer.text)
            if vector in MARKUP:
                assert vector in answer.text  # it is shown as it is
    world.close()


ELSEWHERE = ["<img src=x onerror=alert(1)>", "'><svg onload=alert(1)>", '" onmouseover="alert(1)" x="']


@pytest.mark.parametrize("vector", ELSEWHERE)
def test_hostile_words_from_elsewhere_stay_words(tmp_path: Path, vector: str) -> None:
    """The name of the file that a run was imported from, and that of its plan."""
    world = World(tmp_path / "work", MINITABLE)
    run = taken_in(world, tmp_path, f"{vector[:80]}.zip", name=vector)
    site = site_of(world)
    client = known(site)
    for path in ("/runs", f"/run/{run}", f"/run/{run}/report"):
        found = Parsed(client.get(path).text)
        assert " ".join(vector[:40].split()) in " ".join(found.text.split())
        assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
        assert not {tag for tag, _ in found.tags} & {"iframe", "img", "object", "embed", "video", "base", "math"}
    site.release()
    world.close()


# -- requests ---------------------------------------------------------------------------------------------------


def test_cookies_of_others_beside_ours_do_not_matter(world: World) -> None:
    site = site_of(world)
    client = known(site)
    client.cookies.clear()
    ours = f"{site.door.cookie_name}={site.door.entry.cookie}"
    name = site.door.cookie_name
    for text in (
        f"a=[1]; {ours}",
        f'x="{{"; {ours}',
        f"{name}=evil; {ours}",
        f"{ours}; {name}=evil",
        f"=;;\u00e9; {ours};",
    ):
        headers = {"cookie": text.encode()}
        assert client.get(f"/run/{world.run}", headers=headers).status_code == 200, text
        assert client.get("/", headers=headers).status_code == 303, text
    for text in (f"{name}=", f"x{ours}", f"{name} = {site.door.entry.cookie}", f"{ours}0", ours.upper()):
        assert client.get(f"/run/{world.run}", headers={"cookie": text}).status_code == 401, text


def test_there_is_no_other_way_in(world: World) -> None:
    """A socket of another page, and a form of another page that would log somebody in."""
    site = site_of(world)
    client = known(site)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"/api/run/{world.run}/events"):
        pass
    asked = {"upgrade": "websocket", "connection": "upgrade", "origin": "http://evil.example"}
    assert client.get("/runs", headers={**asked, "sec-fetch-site": "cross-site"}).status_code == 403
    for origin in ("http://evil.example", "null", f"http://localhost:{PORT}", ""):
        answer = client.post("/enter", data={"token": site.door.entry.token}, headers={"origin": origin})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_a_stream_is_for_those_who_read(world: World) -> None:
    client = known(site_of(world))
    assert client.head(f"/api/run/{world.run}/events").status_code == 405


@pytest.fixture
def watched(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A real server with little patience."""
    for module in (connections, guard):
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 1.0)
    made = served(world)
    yield made
    made.stop()


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def connected(watched: Watched, text: bytes) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    made.settimeout(PATIENCE)
    made.connect(("127.0.0.1", watched.port))
    made.sendall(text)
    return made


def head(watched: Watched, path: str, method: str = "GET") -> bytes:
    door = known(site_of(watched.world)).cookies  # the key is that of the workspace, the name that of the port
    cookie = f"wavecrew_{watched.port}={next(iter(door.values()))}"
    host = f"127.0.0.1:{watched.port}"
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {cookie}\r\n".encode()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel drops who does not read, by an option that Linux has")
def test_who_does_not_ask_or_read_holds_nothing(watched: Watched) -> None:
    state = watched.server.server_state
    wall = World(watched.world.folder, plan(200), run="aaaaaa")
    wall.close()
    lazy = [
        connected(watched, b""),
        connected(watched, b"GET / HTTP/1.1\r\nHo"),
        connected(watched, head(watched, "/enter", "POST") + b"Content-Length: 100\r\n\r\ntoken=x"),
        connected(watched, head(watched, "/run/aaaaaa") + b"\r\n"),
        connected(watched, head(watched, "/api/run/aaaaaa/events") + b"\r\n"),
    ]
    other = connected(watched, head(watched, "/runs") + b"Connection: close\r\n\r\n")
    with other.makefile("rb") as file:
        assert b"200 OK" in file.readline()  # others are served meanwhile
        file.read()
    other.close()
    until(lambda: not state.tasks and len(state.connections) <= 1, f"{len(state.connections)} are held")
    for one in lazy:
        one.close()


def test_a_request_that_is_too_large_is_refused_at_once(watched: Watched) -> None:
    for text, answer in (
        (b"GET /" + b"x" * 100_000, b"400"),
        (head(watched, "/") + b"X: " + b"x" * 100_000, b"400"),
        (head(watched, "/api/run/latest/pause", "POST") + b"X-Wavecrew: 1\r\nContent-Length: 9999999\r\n\r\n", b"413"),
    ):
        with connected(watched, text) as asked, asked.makefile("rb") as file:
            assert answer in file.readline()
