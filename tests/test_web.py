"""The web page without a browser: who is let in, what is told, that foreign text stays text, and that numbers agree."""

from __future__ import annotations

import asyncio
import errno
import json
import re
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from run_stories import MINITABLE, phase
from wavecrew.cli.main import cli
from wavecrew.errors import InvalidValueError, PreflightError
from wavecrew.models import events as ev
from wavecrew.models.events import Outcome
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.views.summary import Standing
from wavecrew.web import stream
from wavecrew.web.app import MOST_STREAMS, application
from wavecrew.web.controls import wish_from
from wavecrew.web.entry import Entry, entry_of, token_file
from wavecrew.web.guard import Door
from wavecrew.web.log_pieces import read_piece
from wavecrew.web.serve import bind
from wavecrew.web.signs import SHAPES, slug
from wavecrew.web.site import Site
from wavecrew.web.watch import RunWatch
from web_world import World, busy_world, plan

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would like another library for its requests
    from starlette.testclient import TestClient

PORT = 8642
HOME = f"http://127.0.0.1:{PORT}"
ASSETS = Path(stream.__file__).with_name("assets")
PATIENCE = 30.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """02 and 04 are at work, 03 waits for 04; nobody is in charge."""
    made = World(tmp_path, MINITABLE)
    made.start("01", 1)
    made.end("01", 3)
    made.start("02", 3)
    made.start("04", 3)
    made.add(ev.LockAwaited(at=made.begun + 3, phase="03", resource="minitable/registry.py", holder="04"))
    yield made
    made.close()


def site_of(world: World, **more: Any) -> Site:
    return Site(world.folder, world.store, Door(entry_of(world.store.folder), PORT, **more))


def known(site: Site) -> TestClient:
    """Somebody who came in by the link."""
    client = TestClient(application(site), base_url=HOME, follow_redirects=False)
    client.cookies.set(site.door.cookie_name, site.door.entry.cookie)
    return client


OURS = {"origin": HOME, "x-wavecrew": "1"}


# -- the door ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", f"127.0.0.1.evil:{PORT}", ""]
)
def test_a_foreign_host_is_refused_whatever_it_asks_for(world: World, host: str) -> None:
    client = known(site_of(world))
    for path in ("/", "/runs", "/assets/page.js", "/metrics", f"/api/run/{world.run}"):
        assert client.get(path, headers={"host": host}).status_code == 403


@pytest.mark.parametrize("path", ["/runs", "/run/3f2a77", "/api/run/latest", "/api/run/latest/events", "/metrics"])
def test_nothing_of_a_run_is_told_without_key(world: World, path: str) -> None:
    site = site_of(world)
    client = TestClient(application(site), base_url=HOME)
    name = site.door.cookie_name
    wrong: list[dict[str, str]] = [
        {},
        {"cookie": f"{name}={'0' * 64}"},
        {"cookie": f"{name}={site.door.entry.token}"},
        {"authorization": "Bearer x"},
        {"authorization": f"Basic {site.door.entry.token}"},
        {"cookie": f"wavecrew_1={site.door.entry.cookie}"},
    ]
    for headers in wrong:
        assert client.get(path, headers=headers).status_code == 401


def test_the_first_page_says_nothing_of_a_run(world: World) -> None:
    client = TestClient(application(site_of(world)), base_url=HOME)
    text = client.get("/").text
    assert "table tool" not in text
    assert world.run not in text


def test_the_key_is_traded_for_a_cookie_that_scripts_cannot_read(world: World) -> None:
    site = site_of(world)
    client = TestClient(application(site), base_url=HOME, follow_redirects=False)
    assert client.post("/enter", data={"token": "wrong"}, headers={"origin": HOME}).status_code == 403
    done = client.post("/enter", data={"token": site.door.entry.token}, headers={"origin": HOME})
    assert done.status_code == 303
    cookie = done.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert site.door.entry.token.lower() not in cookie
    assert client.get(f"/run/{world.run}").status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 403),
        ({"origin": HOME}, 403),
        ({"x-wavecrew": "1"}, 403),
        ({"origin": "null", "x-wavecrew": "1"}, 403),
        ({"origin": "http://evil.example", "x-wavecrew": "1"}, 403),
        ({"origin": f"http://localhost:{PORT}", "x-wavecrew": "1"}, 403),
        ({"origin": f"http://127.0.0.1:{PORT + 1}", "x-wavecrew": "1"}, 403),
        ({**OURS, "sec-fetch-site": "cross-site"}, 403),
        ({**OURS, "sec-fetch-site": "same-site"}, 403),
        ({**OURS, "x-wavecrew": "2"}, 403),
    ],
)
def test_a_write_that_is_not_from_our_page_changes_nothing(world: World, headers: dict[str, str], code: int) -> None:
    before = len(world.store.events(world.run))
    answer = known(site_of(world)).post(f"/api/run/{world.run}/pause", json={}, headers=headers)
    assert answer.status_code == code
    assert len(world.store.events(world.run)) == before


def test_a_write_with_the_token_alone_is_refused(world: World) -> None:
    site = site_of(world)
    client = TestClient(application(site), base_url=HOME)
    headers = {**OURS, "authorization": f"Bearer {site.door.entry.token}"}
    assert client.post(f"/api/run/{world.run}/pause", json={}, headers=headers).status_code == 401


def test_reading_never_changes_anything(world: World) -> None:
    before = len(world.store.events(world.run))
    client = known(site_of(world))
    for verb in ("retry", "skip", "pause", "continue", "cancel", "approve", "reject"):
        assert client.get(f"/api/run/{world.run}/{verb}").status_code in (404, 405)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert client.request(method, f"/api/run/{world.run}").status_code == 405
    assert len(world.store.events(world.run)) == before


def test_too_much_is_refused(world: World) -> None:
    client = known(site_of(world))
    long = json.dumps({"reason": "x" * 20_000})
    assert client.post(f"/api/run/{world.run}/pause", content=long, headers=OURS).status_code == 413
    pieces = iter([b"{", b" " * 20_000, b"}"])
    assert client.post(f"/api/run/{world.run}/pause", content=pieces, headers=OURS).status_code == 411


def test_every_answer_carries_the_policy(world: World) -> None:
    client = known(site_of(world))
    paths = ("/", "/runs", f"/run/{world.run}", "/run/nothing", "/nothing", "/assets/page.js", "/metrics", "/api/run/x")
    for path in paths:
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_the_page_runs_and_styles_nothing_but_our_files(world: World) -> None:
    page = known(site_of(world)).get(f"/run/{world.run}").text
    found = Parsed(page)
    assert [attributes["src"] for tag, attributes in found.tags if tag == "script"] == ["/assets/page.js"]
    assert not [tag for tag, attributes in found.tags if tag == "style" or "style" in attributes]
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    for file in ASSETS.iterdir():
        outside = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", file.read_text(encoding="utf-8"))
        assert set(outside) <= {"http://www.w3.org/2000/svg"}, file
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", js())


def js() -> str:
    return (ASSETS / "page.js").read_text(encoding="utf-8") + (ASSETS / "entry.js").read_text(encoding="utf-8")


# -- the key ----------------------------------------------------------------------------------------------------


def test_the_key_stays_over_a_restart_and_belongs_to_its_user(tmp_path: Path) -> None:
    first = entry_of(tmp_path)
    file = token_file(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert entry_of(tmp_path) == first
    assert entry_of(tmp_path, anew=True) != first


@pytest.mark.parametrize("fault", ["open", "link", "short", "folder"])
def test_a_key_that_others_may_know_is_replaced(tmp_path: Path, fault: str) -> None:
    old = entry_of(tmp_path).token
    file = token_file(tmp_path)
    if fault == "open":
        file.chmod(0o644)
    elif fault == "link":
        file.rename(file.with_name("elsewhere"))
        file.symlink_to("elsewhere")
    elif fault == "short":
        file.write_text("abc")
    else:
        file.unlink()
        file.mkdir()
    new = entry_of(tmp_path).token
    assert new != old
    assert len(new) == len(old)
    if fault != "folder":
        assert file.stat().st_mode & 0o777 == 0o600
        assert not file.is_symlink()


def test_a_wrong_key_of_any_letters_is_only_wrong() -> None:
    entry = Entry("k" * 43)
    assert not any(entry.is_token(text) or entry.is_cookie(text) for text in ("", "é", "\ud800", "k" * 42))


# -- what is told -----------------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with busy_world(tmp_path, 60) as world:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now)
        monkeypatch.setattr("wavecrew.web.site.RunWatch", partial(RunWatch, clock=time.time))
        page = known(site_of(world)).get("/api/run/latest").json()
        told = json.loads(CliRunner().invoke(cli, ["-C", str(tmp_path), "status", "--json"]).stdout)
        first = hear(site_of(world), until=lambda found: bool(found))[0]
        assert page.pop("seq") == len(world.store.events(world.run))
    told.pop("disk")
    assert page == told
    assert first["head"]["done"] == told["done"]
    assert first["head"]["total"] == told["total"]
    assert [row["s"] for _, row in sorted(first["rows"].items(), key=lambda one: int(one[0]))] == [
        one["standing"] for one in told["phases"]
    ]


def test_the_table_and_the_graph_tell_the_same(tmp_path: Path) -> None:
    with busy_world(tmp_path, 60) as world:
        client = known(site_of(world))
        page = Parsed(client.get(f"/run/{world.run}").text)
        standings = {one["id"]: one["standing"] for one in client.get("/api/run/latest").json()["phases"]}
    boxes = {one["id"][1:]: one for tag, one in page.tags if tag == "g" and "data-needs" in one}
    lines = {one["id"][1:]: one for tag, one in page.tags if tag == "tr" and "id" in one}
    assert len(boxes) == len(lines) == 60
    for number, standing in enumerate(standings.values()):
        assert f"st-{slug(standing)}" in boxes[str(number)]["class"].split()
        assert lines[str(number)]["class"] == f"st-{slug(standing)}"


def test_every_standing_has_a_shape_of_its_own_and_a_colour() -> None:
    assert set(SHAPES) == set(Standing)
    assert len(set(SHAPES.values())) == len(SHAPES)
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    plain = {Standing.TO_COME, Standing.LEFT_OUT}
    assert [one for one in Standing if one not in plain and f".st-{slug(one.value)}" not in style] == []


def test_a_page_of_sixty_phases_is_no_burden(tmp_path: Path) -> None:
    with busy_world(tmp_path, 60) as world:
        site = site_of(world)
        client = known(site)
        weight = sum(
            len(client.get(path).content) for path in ("/assets/page.css", "/assets/page.js", "/assets/icon.svg")
        )
        weight += len(client.get(f"/run/{world.run}").content)
        weight += len(json.dumps(hear(site, until=lambda found: bool(found))[0]))
    assert weight <= 100_000


def test_runs_and_what_is_not_there(world: World) -> None:
    client = known(site_of(world))
    assert client.get("/").headers["location"] == f"/run/{world.run}"
    assert f'href="/run/{world.run}"' in client.get("/runs").text
    for path in ("/run/nothing", "/run/%3Cscript%3E"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "no such run" in answer.text
    assert client.get("/api/run/nothing").json()["error"] == "there is no such run in this workspace"
    for name in ("app.py", "none.js", "..", "page.css/"):
        assert client.get(f"/assets/{name}").status_code in (303, 307, 404)
    assert client.get("/assets/%2e%2e%2fapp.py").status_code == 404


def test_a_run_that_is_about_to_begin_is_waited_for(world: World) -> None:
    site = site_of(world)
    site.run = "abcdef"
    answer = known(site).get("/")
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "abcdef" in answer.text


def test_an_old_run_points_to_the_newer_one(tmp_path: Path) -> None:
    old = World(tmp_path, MINITABLE, run="aaaaaa")
    old.close()
    new = World(tmp_path, MINITABLE, run="bbbbbb")
    client = known(site_of(new))
    assert client.get("/").headers["location"] == "/run/bbbbbb"
    assert 'href="/run/bbbbbb"' in client.get("/run/aaaaaa").text
    assert "newer run" not in client.get("/run/bbbbbb").text
    new.close()


SAMPLE = re.compile(r'^(wavecrew_\w+)\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\} (-?[\d.e+-]+)$')


def test_metrics_say_what_is_known_and_leave_out_what_is_not(world: World) -> None:
    site = site_of(world)
    client = TestClient(application(site), base_url=HOME)
    answer = client.get("/metrics", headers={"authorization": f"Bearer {site.door.entry.token}"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            told = SAMPLE.match(line)
            assert told, line
            found[told[1], told[2]] = float(told[3])
    assert found["wavecrew_phases", f'run="{world.run}",state="passed"'] == 1
    assert found["wavecrew_attempts", f'run="{world.run}",outcome="open"'] == 2
    assert found["wavecrew_lock_wait_seconds_total", f'run="{world.run}"'] > 0
    assert not [name for name, _ in found if name in ("wavecrew_cost_usd_total", "wavecrew_tokens_total")]
    world.add(ev.AgentReported(at=world.begun + 4, phase="02", attempt=1, cost_usd=1.25))
    answer = client.get("/metrics", headers={"authorization": f"Bearer {site.door.entry.token}"})
    assert f'wavecrew_cost_usd_total{{run="{world.run}"}} 1.25' in answer.text


# -- the stream -------------------------------------------------------------------------------------------------


def hear(
    site: Site, *, until: Callable[[list[dict[str, Any]]], bool], headers: dict[str, str] | None = None, query: str = ""
) -> list[dict[str, Any]]:
    """The news that somebody hears until a condition holds, or the stream ends. `seq` is the number of the message."""
    return asyncio.run(_hear(site, until, headers or {}, query))


async def _hear(
    site: Site, until: Callable[[list[dict[str, Any]]], bool], headers: dict[str, str], query: str
) -> list[dict[str, Any]]:
    cookie = f"{site.door.cookie_name}={site.door.entry.cookie}"
    given = {"host": f"127.0.0.1:{PORT}", "cookie": cookie} | headers
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/run/latest/events",
        "raw_path": b"",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "root_path": "",
        "scheme": "http",
    }
    gone, heard, pending = asyncio.Event(), [], [b""]

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pending[0] += message.get("body", b"")
        *whole, pending[0] = pending[0].split(b"\n\n")
        for one in whole:
            lines = dict(line.split(": ", 1) for line in one.decode().splitlines() if not line.startswith(":"))
            if "data" in lines:
                data = json.loads(lines["data"]) | {"kind": lines["event"]}
                assert lines.get("id", str(data.get("seq"))) == str(data.get("seq"))
                heard.append(data)
        if until(heard):
            gone.set()

    async with asyncio.timeout(PATIENCE):
        await application(site)(scope, receive, send)
    return heard


def test_who_comes_first_hears_everything_once(world: World) -> None:
    first = hear(site_of(world), until=lambda found: bool(found))[0]
    assert first["seq"] == len(world.store.events(world.run))
    assert len(first["rows"]) == len(MINITABLE)
    assert first["anew"]
    assert "start  04 html" in " ".join(fact[1] for fact in first["facts"])


def test_news_come_while_somebody_listens_and_only_what_differs(world: World) -> None:
    def until(found: list[dict[str, Any]]) -> bool:
        if len(found) == 1 and world.state.phase_states["04"].status is PhaseStatus.IN_PROGRESS:
            world.end("04", 60)
        return any("04 html" in fact[1] for one in found[1:] for fact in one["facts"])

    heard = hear(site_of(world), until=until)
    later = next(one for one in heard[1:] if one["facts"])
    assert later["seq"] == heard[0]["seq"] + 1
    assert [fact[0] for fact in later["facts"]] == [later["seq"]]
    assert "3" in later["rows"]
    assert later["rows"]["3"]["s"] == "passed"
    assert "9" not in later["rows"]  # 10 needs what 04 does not change
    assert "anew" not in later


@pytest.mark.parametrize("way", ["header", "query"])
def test_who_comes_back_hears_what_happened_since_and_all_as_it_is(world: World, way: str) -> None:
    before = len(world.store.events(world.run))
    world.end("04", 60)
    told = {"last-event-id": str(before)} if way == "header" else {}
    query = f"after={before}" if way == "query" else ""
    first = hear(site_of(world), until=lambda found: bool(found), headers=told, query=query)[0]
    assert [fact[0] for fact in first["facts"]] == [before + 1]
    assert len(first["rows"]) == len(MINITABLE)
    assert "anew" not in first


def test_who_comes_back_after_a_restart_of_the_server_hears_the_same(world: World) -> None:
    before = hear(site_of(world), until=lambda found: bool(found))[0]["seq"]
    world.end("02", 50)
    world.end("04", 60)
    first = hear(site_of(world), until=lambda found: bool(found), headers={"last-event-id": str(before)})[0]
    assert [fact[0] for fact in first["facts"]] == [before + 1, before + 2]


@pytest.mark.parametrize("number", ["999999", "-1", "x", "1e9", "9" * 40, ""])
def test_a_number_that_cannot_be_is_like_none(world: World, number: str) -> None:
    first = hear(site_of(world), until=lambda found: bool(found), headers={"last-event-id": number})[0]
    assert first["anew"]
    assert len(first["rows"]) == len(MINITABLE)


def test_streams_end_when_the_server_does(world: World) -> None:
    site = site_of(world)

    def until(found: list[dict[str, Any]]) -> bool:
        if found:
            site.close()
        return False

    assert hear(site, until=until)  # and it ends by itself
    assert site.listeners == 0


def test_what_came_last_is_told_when_the_server_ends(world: World) -> None:
    site = site_of(world)

    def until(found: list[dict[str, Any]]) -> bool:
        if len(found) == 1 and world.state.phase_states["04"].status is PhaseStatus.IN_PROGRESS:
            world.end("04", 60)
            site.close()
        return False

    heard = hear(site, until=until)
    assert [fact[1].split()[1:4] for one in heard[1:] for fact in one["facts"]] == [["pass", "04", "html"]]


def test_who_goes_is_forgotten(world: World) -> None:
    site = site_of(world)
    hear(site, until=lambda found: bool(found))
    assert site.listeners == 0


def test_no_more_streams_than_can_be_served(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_of(world)
    monkeypatch.setattr(Site, "listeners", property(lambda self: MOST_STREAMS))
    answer = known(site).get("/api/run/latest/events")
    assert answer.status_code == 503
    assert "too many" in answer.text


# -- wishes -----------------------------------------------------------------------------------------------------


def test_a_page_for_looking_only_changes_nothing(world: World) -> None:
    client = known(site_of(world, read_only=True))
    answer = client.post(f"/api/run/{world.run}/pause", json={}, headers=OURS)
    assert answer.status_code == 403
    assert "only for looking" in answer.json()["error"]
    assert 'id="pause"' not in client.get(f"/run/{world.run}").text


def test_a_wish_is_fulfilled_and_on_record(world: World) -> None:
    for name in ("02", "04"):
        world.end(name, 60, Outcome.FAILED)
    world.add(ev.RunStopped(at=world.begun + 61, reason="SIGINT"))
    client = known(site_of(world))
    done = client.post(f"/api/run/{world.run}/retry", json={"phases": ["04"], "reason": "once more"}, headers=OURS)
    assert done.json() == {"ok": True, "run": world.run, "wish": "retry", "coordinator": False}
    found = [event for _, event in world.store.events(world.run) if isinstance(event, ev.PhaseReset)]
    assert [(one.phase, one.reason) for one in found] == [("04", "once more")]
    assert found[0].by.startswith("web (")
    skipped = client.post(f"/api/run/{world.run}/skip", json={"phases": ["02"], "reason": "by hand"}, headers=OURS)
    assert skipped.status_code == 200
    first = hear(site_of(world), until=lambda found: bool(found))[0]
    assert first["rows"]["1"]["s"] == "skipped"
    assert first["rows"]["1"]["why"].endswith(": by hand")


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        ("retry", {"phases": ["05"]}),
        ("retry", {"phases": ["nobody"]}),
        ("skip", {"phases": ["01"], "reason": "x"}),
        ("approve", {"gates": ["wave 9"]}),
        ("reject", {"gates": ["<script>"], "reason": "x"}),
    ],
)
def test_a_wish_that_does_not_fit_is_refused_in_words(world: World, verb: str, data: dict[str, Any]) -> None:
    for name in ("02", "04"):
        world.end(name, 60)
    world.add(ev.RunStopped(at=world.begun + 61, reason="SIGINT"))
    before = [event for _, event in world.store.events(world.run)]
    answer = known(site_of(world)).post(f"/api/run/{world.run}/{verb}", json=data, headers=OURS)
    assert answer.status_code == 409
    assert len(answer.json()["error"]) > 10
    after = [event for _, event in world.store.events(world.run)]
    assert [one for one in after[len(before) :] if not isinstance(one, ev.CoordinatorStarted | ev.RunStopped)] == []


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        ("retry", []),
        ("retry", {}),
        ("retry", {"phases": "04"}),
        ("retry", {"phases": [4]}),
        ("retry", {"phases": ["x"] * 201}),
        ("retry", {"phases": ["x"], "gates": ["wave 1"]}),
        ("retry", {"phases": ["x"], "by": "root"}),
        ("retry", {"phases": ["x"], "hard": "yes"}),
        ("skip", {"phases": ["x"]}),
        ("skip", {"phases": ["x"], "reason": " "}),
        ("skip", {"phases": ["x"], "reason": "x" * 501}),
        ("pause", {"phases": ["x"]}),
        ("approve", {}),
        ("approve", {"phases": ["x"]}),
        ("reject", {"gates": ["wave 1"]}),
        ("landed", {}),
        ("nonsense", {}),
    ],
)
def test_what_is_no_wish_never_reaches_a_run(verb: str, data: object) -> None:
    with pytest.raises(InvalidValueError):
        wish_from(verb, data)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"phases": ["04"]}x'])
def test_a_body_that_is_no_json_is_refused(world: World, body: bytes) -> None:
    answer = known(site_of(world)).post(f"/api/run/{world.run}/retry", content=body, headers=OURS)
    assert answer.status_code == 400


# -- logs -------------------------------------------------------------------------------------------------------


def test_a_log_is_told_from_its_end_and_then_as_it_grows(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    piece = read_piece(log, most=200)
    assert piece.anew
    assert piece.text.startswith("line 99")
    assert piece.text.endswith("line 9999\n")
    with log.open("a") as file:
        file.write("one more\nhalf")
    more = read_piece(log, piece.end, most=200)
    assert (more.text, more.anew) == ("one more\n", False)
    with log.open("a") as file:
        file.write(" a line\n")
    assert read_piece(log, more.end, most=200).text == "half a line\n"
    log.write_text("begun anew\n")
    assert read_piece(log, more.end, most=200) == read_piece(log)


def test_a_log_that_grew_too_fast_is_told_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x\n" * 1000)
    piece = read_piece(log, 10, most=100)
    assert piece.anew
    assert len(piece.text) <= 100


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"y" * 50_000 + b"\nend\n")
    text = read_piece(log, 0).text
    assert len(text) < 20_000
    assert text.endswith("is left out)\nend\n")


def test_progress_bars_show_their_last_state(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"10%\r50%\r100%\r\ndone\n")
    assert read_piece(log).text == "100%\ndone\n"


def test_logs_of_attempts_over_the_wire(world: World) -> None:
    world.log("04", "first\n")
    client = known(site_of(world))
    answer = client.get(f"/api/run/{world.run}/log", params={"phase": "04", "attempt": "1"})
    assert answer.text == "first\n"
    assert answer.headers["content-type"].startswith("text/plain")
    end = answer.headers["x-log-end"]
    world.log("04", "second\n")
    assert client.get(f"/api/run/{world.run}/log", params={"phase": "04", "after": end}).text == "second\n"
    for wrong in ({"phase": "04", "attempt": "2"}, {"phase": "nobody"}, {"phase": "../01"}, {"phase": "07"}, {}):
        assert client.get(f"/api/run/{world.run}/log", params=wrong).status_code == 404


def test_no_log_shows_a_value_that_was_handed_to_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3cret-of-mine")
    made = World(tmp_path / "hidden", MINITABLE, env=["KEY"])
    try:
        made.start("01", 1)
        made.log("01", "I use s3cret-of-mine\n")
        answer = known(site_of(made)).get(f"/api/run/{made.run}/log", params={"phase": "01"})
        assert answer.text == "I use [KEY]\n"
    finally:
        made.close()


def test_changes_that_cannot_be_told_are_so_in_words(world: World) -> None:
    client = known(site_of(world))
    shared = client.get(f"/api/run/{world.run}/diff", params={"phase": "04"})
    assert shared.status_code == 409
    assert "one shared folder" in shared.json()["error"]
    assert client.get(f"/api/run/{world.run}/diff", params={"phase": "nobody"}).status_code == 404


def test_a_task_is_told_as_its_document_has_it(world: World) -> None:
    answer = known(site_of(world)).get(f"/api/run/{world.run}/task", params={"phase": "07"})
    assert answer.text.splitlines()[:2] == ["needs   02, 03, 04", "writes  minitable/cli.py"]


# -- hostile words ----------------------------------------------------------------------------------------------

MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "'><svg onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "</svg><script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<details open ontoggle=alert(1)>",
    "<style>@import'//evil'</style>",
    "<link rel=stylesheet href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example>",
    "<form action=//evil.example><input name=token>",
    "<object data=//evil.example>",
    "<embed src=//evil.example>",
    "<video><source onerror=alert(1)>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "]]><script>alert(1)</script>",
    "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#x3c;img src=x onerror=alert(1)&#x3e;",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "${alert(1)} {{7*7}} #{7*7} <%= 7*7 %>",
    "' onfocus=alert(1) autofocus x='",
    '" onmouseover="alert(1)" x="',
    "` onclick=alert(1) `",
    "javascript:alert(1)//",
    "data:text/html,<script>alert(1)</script>",
    "<dialog open><form method=dialog><button autofocus onfocus=alert(1)>",
]
STEERING = [
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[H",
    "\x1b[6n",
    "\x9b31m",
    "\x90evil\x9c",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1bP+q544e\x1b\\",
    "a\rb",
    "a\nid: 99\nevent: news\ndata: {}\n\n",
    "\u202egnp.exe",
    "\u2066\u2069",
    "\u2028alert(1)\u2029",
    "\x00",
    "\x7f\x08\x08",
    "\ufeff\u200f",
    "\ud800",
]
VECTORS = [*MARKUP, *STEERING]
TAGS = {
    *("html", "head", "meta", "link", "title", "script", "noscript", "body", "main", "header", "footer", "section"),
    *("h1", "h2", "p", "b", "a", "ul", "ol", "li", "div", "span", "code", "pre", "button", "input", "select", "label"),
    *("progress", "table", "caption", "thead", "tbody", "tr", "th", "td", "dialog", "form", "dl"),
    *("svg", "defs", "g", "path", "rect", "text", "use"),
}


class Parsed(HTMLParser):
    """Tags with their attributes, and the text, as a browser would find them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(folder: Path) -> World:
    """A run whose ids, names, reasons, waits and logs are attacks."""
    names = [vector for vector in VECTORS if vector.isprintable()]
    phases = tuple(phase(f"{number:02}", "", 60) for number in range(len(VECTORS)))
    phases += tuple(
        type(phases[0])(f"{vector} id", f"{vector} name", ("00",), (f"out/{number}.txt",), 0.1, description=vector)
        for number, vector in enumerate(names)
    )
    world = World(folder, phases, name='evil" 1\nwavecrew_evil 1\n\x1b[31m\\<script>alert(1)</script>')
    with world.at_once():
        _attack(world)
    return world


def _attack(world: World) -> None:
    for number, vector in enumerate(VECTORS):
        name = f"{number:02}"
        world.start(name, 1 + number)
        world.log(name, f"{vector}\n".encode(errors="surrogatepass"))
        more = {"detail": vector}
        match number % 4:
            case 0:
                world.end(name, 100 + number, Outcome.FAILED, **more)
            case 1:
                world.end(name, 100 + number, Outcome.FAILED, retry_at=world.begun + 5000, **more)
                world.add(ev.LockAwaited(at=world.begun + 101 + number, phase=name, resource=vector, holder=vector))
            case 2:
                world.end(name, 100 + number, Outcome.FAILED, **more)
                world.add(ev.PhaseSkipped(at=world.begun + 102, phase=name, by=vector, reason=vector))
            case _:
                silence = ev.AgentSilence(at=world.begun + 300, phase=name, attempt=1, since=world.begun, words=vector)
                asked = [
                    ev.QuestionAsked(at=world.begun + 2, phase=name, attempt=1, question=n, text=vector) for n in (1, 2)
                ]
                answer = ev.QuestionAnswered(at=world.begun + 3, phase=name, question=1, by=vector, text=vector)
                world.add(silence, *asked, answer)
    world.add(ev.RunPaused(at=world.begun + 400, by=MARKUP[0], reason=MARKUP[1]))
    world.add(ev.ApprovalAsked(at=world.begun + 401, gate=f"phase {MARKUP[2]}"))


def controls(text: str) -> set[str]:
    bad = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
    return set(bad.findall(text))


def test_hostile_words_are_words_in_the_page(tmp_path: Path) -> None:
    assert len(VECTORS) >= 50
    world = hostile(tmp_path)
    answer = known(site_of(world)).get(f"/run/{world.run}")
    found = Parsed(answer.text)
    world.close()
    assert {tag for tag, _ in found.tags} <= TAGS
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on") or name == "style"]
    allowed = re.compile(r"#[\w-]+|/(assets|run|runs|api|enter)[/\w.-]*")
    for _, attributes in found.tags:
        assert all(allowed.fullmatch(attributes[name]) for name in ("href", "src", "action") if name in attributes)
    assert not controls(answer.text)
    for vector in MARKUP:
        assert " ".join(f"{vector} id {vector} name".split()) in found.text


def test_hostile_words_are_words_in_streams_and_metrics(tmp_path: Path) -> None:
    world = hostile(tmp_path)
    site = site_of(world)
    first = hear(site, until=lambda found: bool(found))
    client = known(site)
    texts = [json.dumps(one, ensure_ascii=False) for one in first]
    metrics = client.get("/metrics").text
    assert all(line.startswith("#") or SAMPLE.match(line) for line in metrics.splitlines())
    texts += [client.get(path).text for path in ("/api/run/latest", "/metrics", "/runs", "/api/run/latest/facts")]
    world.close()
    assert len(first) == 1  # nobody could start a message of their own
    assert first[0]["kind"] == "news"
    for text in texts:
        assert not controls(text)


def test_hostile_logs_are_plain_text(tmp_path: Path) -> None:
    world = hostile(tmp_path)
    client = known(site_of(world))
    for number, vector in enumerate(VECTORS):
        answer = client.get(f"/api/run/{world.run}/log", params={"phase": f"{number:02}"})
        assert answer.headers["content-type"].startswith("text/plain")
        assert not controls(answer.text)
        if vector in MARKUP:
            assert answer.text == f"{vector}\n"
        if vector.isprintable():
            task = client.get(f"/api/run/{world.run}/task", params={"phase": f"{vector} id"})
            assert task.headers["content-type"].startswith("text/plain")
            assert vector in task.text
    world.close()


# -- sockets, imports -------------------------------------------------------------------------------------------


def test_a_port_in_use_is_told_with_a_way_out() -> None:
    with bind(0) as first:
        with pytest.raises(PreflightError, match="somebody listens there already") as refused:
            bind(first.getsockname()[1])
        assert "--port 0" in refused.value.fix
        assert first.getsockname()[0] == "127.0.0.1"


def test_without_a_wish_any_port_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with bind(0) as first:
        monkeypatch.setattr("wavecrew.web.serve.DEFAULT_PORT", first.getsockname()[1])
        with bind(None) as second:
            assert second.getsockname()[1] != first.getsockname()[1]


def test_a_port_that_needs_rights_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(PreflightError, match="permission denied"):
        bind(80)


def test_looking_by_other_means_loads_no_server() -> None:
    code = (
        "import sys, wavecrew.cli.main, wavecrew.cli.look_commands, wavecrew.cli.run_commands;"
        "import wavecrew.cli.web_commands;"
        "print({'starlette', 'uvicorn', 'anyio', 'h11', 'wavecrew.web.app'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_large_plan_is_drawn(tmp_path: Path) -> None:
    world = World(tmp_path, plan(200))
    answer = known(site_of(world)).get(f"/run/{world.run}")
    world.close()
    assert answer.status_code == 200
    assert answer.text.count('class="b') >= 200
