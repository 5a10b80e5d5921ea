"""The page in a real browser: live, after a restart, by hand and by keys, without JavaScript, and under attack."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from page_world import PATIENCE, Watched
from sandbox import Sandbox, phase, wait_for

from run_stories import MINITABLE
from test_web import MARKUP, VECTORS, hostile
from wavecrew.cli.main import cli
from wavecrew.core.lock_table import Owner
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.models import events as ev
from wavecrew.models.events import Outcome
from wavecrew.web.entry import entry_of
from web_world import World, busy, many_states, plan

Look = Callable[..., Any]
Serve = Callable[..., Watched]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """02 and 04 are at work, 03 waits for 04, and somebody is in charge."""
    made = World(tmp_path / "work", MINITABLE, age=20)
    made.come_alive()
    made.start("01", 1)
    made.end("01", 3)
    made.start("02", 3)
    made.start("04", 3)
    made.log("04", "$ make html\n")
    made.add(ev.LockAwaited(at=made.begun + 3, phase="03", resource="minitable/registry.py", holder="04"))
    return made


def state_of(page: Any, name: str) -> str:
    text: str = (
        page.locator("#table tbody tr", has=page.locator(f"th:has-text('{name}')")).locator("td").nth(1).inner_text()
    )
    return text.strip()


def until(page: Any, script: str) -> None:
    """Ask the page until something holds; its policy allows no waiting inside of it."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        page.wait_for_timeout(10)


def box(page: Any, name: str) -> Any:
    return page.locator("#graph .b", has_text=name)


@pytest.mark.short
def test_an_event_is_seen_at_once(world: World, serve: Serve, look: Look, record_property: Any) -> None:
    page = look(serve(world).link)
    page.evaluate(
        """() => { window.seen = []; const line = document.querySelector('#graph');
        new MutationObserver(() => { for (const box of line.querySelectorAll('.b.st-passed'))
          if (!window.seen.some(([id]) => id === box.id)) window.seen.push([box.id, Date.now()]); })
        .observe(line, { attributes: true, subtree: true }); }"""
    )
    world.end("02", 19)
    written = [time.time()]
    until(page, "window.seen.some(([id]) => id === 'b1')")
    for name, number in (("04", 3), ("03", 2)):
        if name == "03":
            world.start("03", 19.5)
        world.end(name, 20)
        written.append(time.time())
        until(page, f"window.seen.some(([id]) => id === 'b{number}')")
    seen = dict(page.evaluate("window.seen"))
    took = [seen[f"b{number}"] / 1000 - at for number, at in zip((1, 3, 2), written, strict=True)]
    record_property("seconds_from_event_to_screen", [round(one, 3) for one in took])
    told = f"from event to screen: {', '.join(f'{one * 1000:.0f} ms' for one in took)}\n"
    Path(os.environ.get("WAVECREW_WEB_FIGURES", os.devnull)).write_text(told, encoding="utf-8")


@pytest.mark.short
def test_the_page_comes_back_after_a_restart_of_its_server(world: World, serve: Serve, look: Look) -> None:
    watched = serve(world)
    page = look(watched.link)
    watched.stop()
    world.end("04", 19)
    page.wait_for_selector("#trouble:not([hidden])")
    assert "lost its server" in page.locator("#trouble").inner_text()
    watched.start()
    page.wait_for_selector("#graph .b.st-passed >> text=04 html")
    page.wait_for_selector("#trouble", state="hidden")
    facts = page.locator("#facts li").all_inner_texts()
    assert sum("pass   04 html" in fact for fact in facts) == 1
    assert len(facts) == len(set(facts))


def test_a_page_with_an_old_key_is_told_so(world: World, serve: Serve, look: Look) -> None:
    watched = serve(world)
    page = look(watched.link)
    watched.stop()
    entry_of(world.store.folder, anew=True)
    watched.start()
    page.wait_for_selector("#trouble >> text=another key")


@pytest.mark.short
def test_without_javascript_the_table_and_the_graph_are_there(world: World, serve: Serve, look: Look) -> None:
    watched = serve(world)
    page = look(watched.link, java_script_enabled=False)
    page.fill("#token", watched.link.partition("#key=")[2])
    page.click("button")
    page.wait_for_selector("#table")
    page.wait_for_load_state()  # with the style sheet: without it everything can be seen
    assert page.locator("#table tbody tr").count() == len(MINITABLE)
    assert state_of(page, "04 html") == "running"
    assert "held by 04 html" in page.locator("#table").inner_text()
    assert page.locator("#graph").is_visible()
    for control in ("#pause", "#filter", "#time", "#phase"):
        assert not page.locator(control).is_visible()


def test_the_key_leaves_the_address_bar(world: World, serve: Serve, look: Look) -> None:
    page = look(serve(world).link)
    assert "key" not in page.url
    assert page.evaluate("document.cookie") == ""


def test_a_wrong_key_opens_nothing(world: World, serve: Serve, look: Look) -> None:
    watched = serve(world)
    page = look(watched.link, java_script_enabled=False)
    page.fill("#token", "wrong")
    page.click("button")
    assert "not the key" in page.locator("main").inner_text()
    assert page.goto(f"http://127.0.0.1:{watched.port}/run/{world.run}").status == 401


@pytest.mark.short
def test_a_log_is_followed_and_stays_text(world: World, serve: Serve, look: Look) -> None:
    page = look(serve(world).link)
    box(page, "04 html").click()
    until(page, "document.querySelector('#text').textContent.includes('make html')")
    world.log("04", "<b onclick=alert(1)>bold</b>\x1b[31mred\x1b[0m\n")
    until(page, "document.querySelector('#text').textContent.includes('bold')")
    assert page.locator("#text").inner_text().splitlines()[-1] == "<b onclick=alert(1)>bold</b>red"
    assert page.locator("#text *").count() == 0


def test_attempts_events_and_task_of_a_phase(world: World, serve: Serve, look: Look) -> None:
    world.end("04", 10, Outcome.FAILED, retry_at=world.begun + 10)
    world.start("04", 11)
    world.log("04", "second try\n")
    page = look(serve(world).link)
    box(page, "04 html").click()
    until(page, "document.querySelector('#text').textContent.includes('second try')")
    page.select_option("#attempt", "1")
    until(page, "document.querySelector('#text').textContent.includes('make html')")
    page.click("[data-tab=events]")
    until(page, "document.querySelector('#text').textContent.includes('attempt=2')")
    page.click("[data-tab=task]")
    until(page, "document.querySelector('#text').textContent.includes('minitable/html.py')")
    page.click("[data-tab=diff]")
    until(page, "document.querySelector('#text').textContent.includes('one shared folder')")


def test_what_an_agent_was_given_and_its_checks_are_shown_for_each_attempt(
    world: World, serve: Serve, look: Look
) -> None:
    folder = world.log("04", "at it\n").parent
    steps = [{"kind": "agent", "title": "claude", "argv": ["claude", "-p"], "stdin": "input-0"}]
    (folder / "job.json").write_text(json.dumps({"steps": steps}))
    (folder / "input-0").write_text("Write <b>tables</b>.\n")
    world.end("04", 10, Outcome.FAILED, retry_at=world.begun + 10)
    world.start("04", 11)
    page = look(serve(world).link)
    box(page, "04 html").click()
    page.click("[data-tab=prompt]")
    until(page, "document.querySelector('#text').textContent.includes('not kept here')")
    page.select_option("#attempt", "1")
    until(page, "document.querySelector('#text').textContent.includes('Write <b>tables</b>.')")
    page.keyboard.press("Escape")
    page.click("[data-tab=checks]")
    until(page, "document.querySelector('#text').textContent.startsWith('attempt 1 failed')")
    page.select_option("#attempt", "2")
    until(page, "document.querySelector('#text').textContent.includes('output   minitable/html.py')")


def held_by(world: World, label: str, path: str, **other: Any) -> None:
    """A lock of an owner that is dead, or cannot be seen from here."""
    registry = LockRegistry(world.store, world.folder)
    owner = registry.owner(label)
    with world.store.transaction() as tx:
        gone = Owner(owner.name, label, replace(owner.process, **other), "")
        registry.request(tx, gone, registry.claims([path]))


def test_a_lock_is_broken_after_words(world: World, serve: Serve, look: Look) -> None:
    world.hold("the living", "src/a")
    held_by(world, "the dead", "src/b", boot="before")
    held_by(world, "the far", "src/c", host="elsewhere")
    page = look(serve(world).link)
    page.wait_for_selector("#locks >> text=src/c")
    assert page.locator("#locks button").count() == 2
    page.locator("#locks li", has_text="the dead").locator("button").click()
    assert "the dead is dead" in page.locator("#means").inner_text()
    assert page.locator("#yes").is_disabled()
    page.fill("#reason", "power cut")
    assert page.locator("#command").inner_text().endswith("--reason 'power cut'")
    page.click("#yes")
    until(page, "!document.querySelector('#locks').textContent.includes('the dead')")
    page.locator("#locks li", has_text="the far").locator("button").click()
    page.fill("#reason", "switched off")
    assert page.locator("#yes").is_disabled()
    page.check("#sure")
    assert "--force" in page.locator("#command").inner_text()
    page.click("#yes")
    until(page, "!document.querySelector('#locks').textContent.includes('the far')")
    assert "the living" in page.locator("#locks").inner_text()


def test_a_question_is_shown_and_can_be_answered(world: World, serve: Serve, look: Look) -> None:
    at = world.begun + 4
    world.add(ev.QuestionAsked(at=at, phase="04", attempt=1, question=1, text="tabs or <i>blanks</i>?"))
    page = look(serve(world).link)
    page.wait_for_selector("#needed >> text=asks: tabs or <i>blanks</i>?")
    assert page.title().startswith("(1)")
    page.click("#needed button >> text=Answer")
    assert page.locator("#yes").is_disabled()
    page.fill("#reason", "it's blanks")
    assert page.locator("#command").inner_text() == """wavecrew answer 04 'it'"'"'s blanks'"""


def test_the_report_and_all_runs_are_a_click_away(world: World, serve: Serve, look: Look) -> None:
    watched = serve(world)
    page = look(watched.link)
    with page.context.expect_page() as opened:
        page.click("header >> text=Report")
    report = opened.value
    report.wait_for_selector("#phases")
    report.click("#theme")  # its script runs, and it is a stranger to the page
    assert report.locator("#theme").inner_text() == "Theme: dark"
    asked = "fetch('/api/run/latest', {credentials: 'include'}).then((answer) => answer.status, () => 'refused')"
    assert report.evaluate(asked) == "refused"
    page.click("header >> text=All runs")
    page.wait_for_selector("table.runs >> text=3f2a77")
    page.click("table.runs a")
    page.wait_for_selector("body[data-live]")


def test_all_who_look_see_the_same(world: World, serve: Serve, look: Look) -> None:
    watched = serve(world)
    pages = [look(watched.link), look(watched.link)]
    world.end("04", 19)
    world.start("03", 19.5)
    for page in pages:
        page.wait_for_selector("#graph .b.st-running >> text=03 markdown")
    told = json.loads(CliRunner().invoke(cli, ["-C", str(world.folder), "status", "--json"]).stdout)
    for page in pages:
        assert f"{told['done']} of {told['total']} done" in page.locator("#counts").inner_text()
        for one in told["phases"]:
            assert state_of(page, one["id"] + " ") == one["standing"]
    pages[0].context.close()
    world.end("02", 19.8)
    pages[1].wait_for_selector("#graph .b.st-passed >> text=02 reader")


# -- by hand and by keys, on a run that is really at work ---------------------------------------------------------


def running(box: Sandbox) -> Any:
    """A real run: a works until a file is there, b fails the first time, c needs b."""
    box.plan(
        phase("a", 'while [ ! -e "$WAVECREW_WORKSPACE/go" ]; do sleep 0.05; done'),
        phase("b", 'test -e "$WAVECREW_WORKSPACE/again"'),
        phase("c", needs=["b"]),
    )
    run = box.start_run("--isolation", "shared", "--ui", "plain", "--web=0")
    wait_for(lambda: "fail   b" in run.out, "b to fail")
    address = next(line for line in run.err.splitlines() if line.startswith("web page: ")).split()[2]
    token = (box.folder / ".wavecrew" / "web" / "token").read_text().strip()
    assert token not in run.err + run.out
    return run, f"{address}#key={token}"


@pytest.mark.short
def test_retry_cancel_and_the_end_of_the_page_with_the_run(tmp_path: Path, look: Look) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "h").mkdir()
    sandbox = Sandbox(tmp_path / "w", tmp_path / "h")
    try:
        run, link = running(sandbox)
        page = look(link)
        box(page, "b Phase b").click()
        page.wait_for_selector("#wishes [data-verb=retry]")
        sandbox.write("again", "")
        page.click("#wishes [data-verb=retry]")
        page.fill("#reason", "it was early")
        assert page.locator("#command").inner_text() == "wavecrew retry --reason 'it was early' b"
        page.click("#yes")
        page.wait_for_selector("#graph .b.st-passed >> text=c Phase c")
        box(page, "a Phase a").click()
        page.click("#wishes [data-verb=cancel]")
        assert "is ended for good" in page.locator("#means").inner_text()
        page.click("#yes")
        page.wait_for_selector("#graph .b.st-failed >> text=a Phase a")
        assert run.end().code == 1
        page.wait_for_selector("#trouble >> text=The run is over")  # the page ended with its run
        history = sandbox.wavecrew("report", "--json").out
        assert "web (" in json.dumps(json.loads(history)) or "web (" in run.out
    finally:
        sandbox.close()


def test_pause_and_continue_and_a_refusal_in_words(tmp_path: Path, look: Look) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "h").mkdir()
    sandbox = Sandbox(tmp_path / "w", tmp_path / "h")
    try:
        run, link = running(sandbox)
        page = look(link)
        page.keyboard.press("p")
        page.click("#yes")
        page.wait_for_selector("#status >> text=paused")
        page.wait_for_selector("#pause >> text=Continue")
        page.keyboard.press("p")
        page.click("#yes")
        page.wait_for_selector("#pause >> text=Pause")
        box(page, "b Phase b").click()
        page.click("#wishes [data-verb=skip]")
        assert page.locator("#yes").is_disabled()
        page.fill("#reason", "by hand")
        assert sandbox.wavecrew("skip", "b", "--reason", "first").code == 0
        page.click("#yes")
        page.wait_for_selector("#refused:not([hidden])")
        assert "skipped already" in page.locator("#refused").inner_text()
        page.keyboard.press("Escape")
        sandbox.write("go", "")
        assert run.end().code == 0
    finally:
        sandbox.close()


@pytest.mark.short
def test_everything_can_be_reached_by_keys(world: World, serve: Serve, look: Look) -> None:
    page = look(serve(world).link)
    page.locator("#graph .b").first.focus()
    name = "document.activeElement.querySelector('text').textContent"
    assert page.evaluate(name) == "01 scaffold"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(name) in ("02 reader", "03 markdown", "04 html")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(name) == "01 scaffold"
    page.keyboard.press("End")
    assert page.evaluate(name) == "10 accept"
    page.keyboard.press("Enter")
    page.wait_for_selector("#phase:not([hidden]) >> text=10 accept")
    page.keyboard.press("t")
    assert page.locator("#table").is_visible()
    assert not page.locator("#graph").is_visible()
    page.keyboard.press("g")
    page.keyboard.press("/")
    page.keyboard.type("readme")
    assert page.locator("#table tbody tr:not([hidden])").count() == 1
    page.locator("#filter").blur()
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    page.keyboard.press("Escape")
    page.locator("#table tbody tr").first.evaluate("line => line.querySelector('button').click()")
    page.keyboard.press("f")
    assert "full" in page.locator("body").get_attribute("class")
    page.keyboard.press("Escape")
    assert "full" not in (page.locator("body").get_attribute("class") or "")


@pytest.mark.short
def test_a_page_for_looking_only_has_no_buttons(world: World, serve: Serve, look: Look) -> None:
    page = look(serve(world, read_only=True).link)
    box(page, "04 html").click()
    page.wait_for_selector("#phase:not([hidden])")
    assert page.locator("#pause, #stop, #wishes button").count() == 0
    status = page.evaluate(
        "async (run) => (await fetch(`/api/run/${run}/pause`,"
        " {method: 'POST', headers: {'x-wavecrew': '1'}, body: '{}'})).status",
        world.run,
    )
    assert status == 403


# -- under attack -----------------------------------------------------------------------------------------------


@pytest.mark.short
def test_no_attack_by_words_is_carried_out(tmp_path: Path, serve: Serve, browser: Any) -> None:
    watched = serve(hostile(tmp_path / "work"))
    asked: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    fired: list[str] = []
    page.expose_function("alert", lambda *words: fired.append(str(words)))
    page.on("dialog", lambda dialog: (fired.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: fired.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(watched.link)
    page.wait_for_selector("body[data-live]")
    count = page.locator("#table tbody tr").count()
    for number in range(count):
        page.evaluate("n => document.querySelector(`#r${n} button`).click()", number)
        for tab in ("events", "task", "prompt", "checks", "diff", "log"):
            page.evaluate("tab => document.querySelector(`[data-tab=${tab}]`).click()", tab)
    names = page.locator("#table tbody th").all_inner_texts()
    for vector in MARKUP:
        assert any(" ".join(vector.split()) in " ".join(name.split()) for name in names), vector
    inside = page.evaluate(
        "[...document.querySelectorAll('script, iframe, img, object, embed, video, style, base')].length"
    )
    context.close()
    assert count > len(VECTORS)
    assert inside == 1  # our module
    assert fired == []
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{watched.port}"}


@pytest.mark.short
def test_another_page_can_neither_read_nor_write(world: World, serve: Serve, look: Look) -> None:
    """A page of another origin, in the browser that has our cookie."""
    watched = serve(world)
    page = look(watched.link)
    other = page.context.new_page()
    evil = f"http://localhost:{watched.port}/"
    other.goto(evil)
    target = f"http://127.0.0.1:{watched.port}/api/run/{world.run}"
    outcome = other.evaluate(
        """async (target) => {
          const headers = {'x-wavecrew': '1'}, own = {credentials: 'include'};
          const write = {...own, method: 'POST', body: '{}'};
          const tries = [
            fetch(target, own).then((answer) => answer.text()),
            fetch(target + '/pause', {...write, mode: 'no-cors'}).then((answer) => answer.type),
            fetch(target + '/pause', {...write, headers}).then((answer) => answer.status),
          ];
          return Promise.all(tries.map((one) => one.catch(() => 'refused')));
        }""",
        target,
    )
    assert outcome[0] == outcome[2] == "refused"
    assert world.state.paused_by == ""
    assert not [event for _, event in world.store.events(world.run) if isinstance(event, ev.RunPaused)]


# -- how it looks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 60, 200])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(tmp_path: Path, serve: Serve, look: Look, size: int, width: int) -> None:
    made = World(tmp_path / "work", plan(size), age=900)
    made.come_alive()
    with made.at_once():
        at = busy(made)
    many_states(made, at)
    page = look(serve(made).link, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#as-table")
    assert page.locator("#table tbody tr").count() == size
    page.evaluate("document.querySelector('#table tr.st-running button').click()")
    page.wait_for_selector("#phase [data-tab=checks]")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(page.url.partition("/run/")[0] + "/runs")
    page.wait_for_selector("table.runs")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8").partition("\n")[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_can_be_read(tmp_path: Path, serve: Serve, look: Look, scheme: str) -> None:
    made = World(tmp_path / "work", plan(200), age=900)
    made.come_alive()
    with made.at_once():
        at = busy(made)
    many_states(made, at)
    page = look(serve(made).link, color_scheme=scheme)
    page.evaluate("document.querySelector('#graph .b.st-running').dispatchEvent(new MouseEvent('click'))")
    assert page.evaluate(CONTRAST) == []
    page.click("#as-table")
    assert page.evaluate(CONTRAST) == []


def test_the_theme_can_be_chosen_and_stays(world: World, serve: Serve, look: Look) -> None:
    page = look(serve(world).link, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    page.click("#theme")
    dark = page.evaluate(ground)
    assert light != dark
    page.reload()
    page.wait_for_selector("body[data-live]")
    assert page.evaluate(ground) == dark


def test_who_wants_no_motion_sees_none(world: World, serve: Serve, look: Look) -> None:
    page = look(serve(world).link, reduced_motion="reduce")
    moving = "[...document.querySelectorAll('*')].filter((e) => getComputedStyle(e).animationName !== 'none').length"
    assert page.evaluate(moving) == 0
