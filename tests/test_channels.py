"""Messages leave by every way that is set, by none that is not, and nothing that goes wrong reaches the run."""

from __future__ import annotations

import json
import os
import pty
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from run_stories import MINITABLE, T0, asked, charge, fail, finish, opening, phase, start
from wavecrew.api.channels import Command, NotSentError, Post, Terminal, Webhook, channels_for, secret_variables
from wavecrew.api.notices import Teller
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import ConfigError, PreflightError
from wavecrew.models.events import Event
from wavecrew.views.notice_words import Message, trial
from wavecrew.views.notices import Gatherer

PATIENCE = 30.0
MESSAGE = trial("table")


def wait_for(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s for {what}"
        time.sleep(0.01)


# -- a program --------------------------------------------------------------------------------------------------


def program(folder: Path, text: str, timeout: float = PATIENCE) -> Command:
    return Command((sys.executable, "-c", text), folder, {"PATH": os.environ["PATH"], "A": "b"}, timeout)


def test_a_program_gets_json_on_standard_input_in_the_workspace(tmp_path: Path) -> None:
    tell = "import json, os, sys; json.dump([json.load(sys.stdin), dict(os.environ)], open('told', 'w'))"
    program(tmp_path, tell).send(MESSAGE)
    told, environ = json.loads((tmp_path / "told").read_text())
    assert told == MESSAGE.data
    assert environ["A"] == "b"
    assert "HOME" not in environ


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise SystemExit(3)", "it ended with 3"),
        ("import os; os.kill(os.getpid(), 9)", "it ended with -9"),
        ("import sys; sys.stdin.close(); print('x' * 10**6); sys.exit(1)", "it ended with 1"),
    ],
)
def test_a_program_that_fails_is_told(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(NotSentError) as refused:
        program(tmp_path, text).send(MESSAGE)
    assert str(refused.value) == why
    assert not refused.value.hiccup


def test_a_program_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    text = (
        "import os, subprocess, time; p = subprocess.Popen(['sleep', '600']);"
        "open('pid.new', 'w').write(str(p.pid)); os.rename('pid.new', 'pid'); time.sleep(600)"
    )
    with pytest.raises(NotSentError, match="it took longer than"):
        program(tmp_path, text, timeout=3).send(MESSAGE)
    if (tmp_path / "pid").exists():  # on a very slow machine it did not even get that far
        wait_for(lambda: not _is_alive(int((tmp_path / "pid").read_text())), "the end of a grandchild")


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("argv", [("/nowhere/at/all",), ("a\0b",), ("/",)])
def test_a_program_that_cannot_be_started_is_told(tmp_path: Path, argv: tuple[str, ...]) -> None:
    with pytest.raises(NotSentError, match="it cannot be started"):
        Command(argv, tmp_path, {}).send(MESSAGE)


# -- a web address ----------------------------------------------------------------------------------------------


@dataclass
class Server:
    """What came in, and what is answered: codes one after the other, the last for ever. 0 answers nothing at all."""

    codes: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=b"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told.got.append((self.path, dict(self.headers), body))
            code = told.codes.pop(0) if len(told.codes) > 1 else told.codes[0]
            if code == 0:
                told.over.wait(PATIENCE)
                return
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", f"http://127.0.0.1:{told.port}/elsewhere")
            self.end_headers()
            self.wfile.write(b"x" * 100_000)

        do_GET = do_POST  # noqa: N815 -- the name that the base class looks for

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    told.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield told
    told.over.set()
    http.shutdown()
    http.server_close()


def test_a_message_is_posted_as_json_with_headers(server: Server) -> None:
    Webhook(server.address, {"Authorization": "Bearer abc"}).send(MESSAGE)
    ((path, headers, body),) = server.got
    assert path == "/hook?a=b"
    assert headers["Authorization"] == "Bearer abc"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("wavecrew/")
    assert json.loads(body) == MESSAGE.data


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_an_address_is_not_followed_elsewhere(server: Server, code: int) -> None:
    server.codes = [code]
    with pytest.raises(NotSentError, match=f"it answered {code} .it is not followed elsewhere"):
        Webhook(server.address, {"Authorization": "x"}).send(MESSAGE)
    assert [path for path, _, _ in server.got] == ["/hook?a=b"]


def test_a_hiccup_is_tried_once_more_and_a_refusal_is_not(server: Server) -> None:
    server.codes = [503, 204]
    assert Post([Webhook(server.address)]).deliver(MESSAGE, PATIENCE) == {}
    assert len(server.got) == 2
    server.codes = [403, 204]
    assert Post([Webhook(server.address)]).deliver(MESSAGE, PATIENCE) == {"webhook": "it answered 403"}
    assert len(server.got) == 3


def test_an_address_that_never_answers_costs_its_time_and_no_more(server: Server) -> None:
    server.codes = [0]
    with pytest.raises(NotSentError, match=r"it did not answer|it cannot be reached"):
        Webhook(server.address, timeout=0.3).send(MESSAGE)


def test_nobody_at_an_address_is_told(server: Server) -> None:
    with pytest.raises(NotSentError, match="it cannot be reached: Connection refused"):
        Webhook("http://127.0.0.1:1/").send(MESSAGE)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\u4e2d"])
def test_a_header_cannot_bring_others_along_and_is_not_shown(server: Server, value: str) -> None:
    with pytest.raises(NotSentError) as refused:
        Webhook(server.address, {"X-Token": value}).send(MESSAGE)
    assert str(refused.value) == "the address or a header holds what HTTP cannot carry"
    assert server.got == []
    assert value not in repr(Webhook(server.address, {"X-Token": value}))


# -- the terminal -----------------------------------------------------------------------------------------------


def test_a_terminal_is_told_at_once_and_never_waited_for() -> None:
    master, slave = pty.openpty()
    try:
        path = os.ttyname(slave)
        Terminal(path, {"TERM": "xterm-kitty"}).send(MESSAGE)
        assert os.read(master, 4096).startswith(b"\x1b]99;i=wavecrew:d=0;")
        Terminal(path, {"TERM": "xterm-kitty"}, bell=True).send(MESSAGE)
        assert os.read(master, 4096) == b"\a"
        Terminal(path, {"TERM": "dumb"}).send(MESSAGE)
        for _ in range(10_000):  # nobody reads, as after Ctrl-S
            try:
                Terminal(path, {"TERM": "xterm-kitty"}).send(MESSAGE)
            except NotSentError:
                break
        else:
            raise AssertionError("a terminal that nobody reads took everything")
    finally:
        os.close(master)
        os.close(slave)


def test_a_terminal_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotSentError):
        Terminal(str(tmp_path / "none"), {"TERM": "xterm"}).send(MESSAGE)


# -- from settings ----------------------------------------------------------------------------------------------


def config(**values: Any) -> ParallelExecutionConfig:
    return ParallelExecutionConfig(**values)


def test_the_channels_that_settings_ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavecrew.api.channels.our_terminal", lambda: "/dev/pts/99")
    wanted = config(
        notify=("webhook", "bell", "command", "terminal", "bell"),
        notify_command=("tell",),
        notify_webhook="$HOOK",
        notify_headers=("Authorization=TOKEN",),
        env=("MINE",),
    )
    environ = {"HOOK": " https://host/x ", "TOKEN": "Bearer abc", "PATH": "/bin", "OTHER": "1"}
    hook, bell, command, terminal = channels_for(wanted, tmp_path, environ)
    assert hook == Webhook("https://host/x", {"Authorization": "Bearer abc"})
    assert (bell.name, terminal.name) == ("bell", "terminal")
    assert isinstance(command, Command)
    assert command.environ == environ
    (_, _, strange, _) = channels_for(wanted, tmp_path, environ, from_project=True)
    assert isinstance(strange, Command)
    assert strange.environ == {"PATH": "/bin"}
    assert secret_variables(wanted) == ("MINE", "TOKEN", "HOOK")
    monkeypatch.setattr("wavecrew.api.channels.our_terminal", lambda: "")
    assert [one.name for one in channels_for(wanted, tmp_path, environ)] == ["webhook", "command"]
    assert channels_for(config(), tmp_path, {}) == ()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"notify": ("command",)}, "notify has command, but notify_command is not set"),
        ({"notify": ("webhook",)}, "notify has webhook, but notify_webhook is not set"),
    ],
)
def test_a_way_without_an_address_is_refused(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        channels_for(config(**values), tmp_path, {})


@pytest.mark.parametrize(
    "environ",
    [{}, {"HOOK": ""}, {"HOOK": "file:///etc/passwd"}, {"HOOK": "https://a:b@host"}, {"HOOK": "https://h\n/x y"}],
)
def test_a_variable_that_holds_no_address_is_refused_without_being_shown(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(PreflightError, match="HOOK") as refused:
        channels_for(config(notify=("webhook",), notify_webhook="$HOOK"), tmp_path, environ)
    assert not environ.get("HOOK") or environ["HOOK"] not in str(refused.value)


# -- delivering -------------------------------------------------------------------------------------------------


@dataclass
class Fake:
    """A channel that keeps what it gets. It waits for `gate` if there is one, and fails with `why`."""

    name: str = "fake"
    why: str = ""
    gate: threading.Event | None = None
    got: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        if self.gate is not None:
            self.gate.wait(PATIENCE)
        if self.why:
            raise NotSentError(self.why)
        self.got.append(message)


class Broken(Fake):
    def send(self, message: Message) -> None:
        raise RuntimeError("a bug")


def test_one_channel_that_is_stuck_holds_up_no_other_and_is_left_alone() -> None:
    stuck, good = Fake("stuck", gate=threading.Event()), Fake("good")
    post = Post([stuck, good])
    assert post.deliver(MESSAGE, 0.2) == {"stuck": "it took longer than 0.2 s"}
    assert post.deliver(MESSAGE, 0.2) == {"stuck": "the message before is still on its way"}
    wait_for(lambda: len(good.got) == 2, "the other channel")
    assert stuck.gate is not None
    stuck.gate.set()
    wait_for(lambda: stuck.got, "the message that was stuck")
    wait_for(lambda: post.deliver(MESSAGE, PATIENCE) == {}, "a channel that works again")


def test_a_bug_in_a_channel_does_not_pass_for_success() -> None:
    assert Post([Broken("broken"), Fake("bad", why="no")]).deliver(MESSAGE, PATIENCE) == {
        "broken": "RuntimeError",
        "bad": "no",
    }


# -- the teller -------------------------------------------------------------------------------------------------


class World:
    """A workspace with one run, to which a test adds events as a coordinator would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(folder)
        self.channel = Fake()
        self.notes: list[str] = []
        self.count = 0

    def record(self, *events: Event) -> None:
        if self.count == 0:
            self.store.create_run("3f2a", at=T0, plan="plan", digest="x", events=events)
        else:
            with self.store.transaction() as tx:
                self.store.append(tx, "3f2a", events)
        self.count += len(events)

    def teller(self, *channels: Fake, window: float = 0.0) -> Teller:
        made = Gatherer(window, window)
        behind = self.count
        shown = channels or (self.channel,)
        return Teller(self.folder, "3f2a", shown, behind=behind, note=self.notes.append, gatherer=made)

    def told(self) -> list[str]:
        return [one["kind"] for message in self.channel.got for one in message.data["notices"]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def ring(teller: Teller) -> None:
    from wavecrew.models.execution_state import ExecutionState

    teller.observe((), ExecutionState())


def test_news_are_told_while_the_run_goes_on_and_at_its_end(world: World) -> None:
    with world.teller() as teller:
        world.record(*opening(*MINITABLE), start(0, "01"), fail(1, "01"))
        ring(teller)
        wait_for(world.told, "the first message")
        world.record(finish(2))
    assert world.told() == ["failed", "finished"]
    assert world.channel.got[-1].data["digest"]["notices"] == 2
    assert world.notes == []


def test_what_comes_close_together_is_one_message(world: World) -> None:
    with world.teller(window=PATIENCE) as teller:
        world.record(*opening(*MINITABLE[:1]), start(0, "01"), fail(1, "01"))
        ring(teller)
        world.record(finish(2))
        ring(teller)
    assert len(world.channel.got) == 1
    assert world.told() == ["failed", "finished"]


def test_a_run_that_is_taken_up_tells_nothing_twice_and_what_a_dead_coordinator_could_not(world: World) -> None:
    with world.teller() as teller:
        world.record(*opening(phase("01"), phase("02")), start(0, "01"), fail(1, "01"))
        ring(teller)
        wait_for(world.told, "the first message")
    world.record(asked(3, "phase 01"), asked(3, "phase 02"))  # and then it was killed, before it told this
    with world.teller() as teller:
        ring(teller)
        wait_for(lambda: len(world.told()) >= 2, "what was not told")
        world.record(charge(9, 2))
    assert world.told() == ["failed", "approval"]
    (one,) = world.channel.got[-1].data["notices"]
    assert one["subject"] == "phase 02"  # the other gate holds nothing up any more


def test_what_happened_before_anybody_wanted_news_is_none(world: World) -> None:
    world.record(*opening(*MINITABLE), start(0, "01"), fail(1, "01"))
    with world.teller() as teller:
        ring(teller)
        world.record(asked(2, "phase 02"), finish(3))
    assert world.told() == ["finished"]


def test_a_failure_is_said_once_for_each_channel_and_counted(world: World) -> None:
    bad = Fake("bad", why="it is closed")
    with world.teller(bad, world.channel) as teller:
        world.record(*opening(*MINITABLE), start(0, "01"), fail(1, "01"))
        ring(teller)
        wait_for(world.told, "the first message")
        world.record(finish(2))
    assert world.told() == ["failed", "finished"]
    assert world.notes == [
        "news of this run could not be sent by bad: it is closed",
        "2 of 2 messages could not be sent by bad",
    ]


def test_what_it_remembers_is_closed_to_others_and_a_broken_memory_is_none(world: World) -> None:
    world.record(*opening(*MINITABLE))
    file = world.folder / STATE_FOLDER / "runs" / "3f2a" / "news.json"
    for text in ("", "[]", '{"told": "x"}', '{"told": null}', "\x00"):
        with world.teller() as teller:
            ring(teller)
        assert json.loads(file.read_text()) == {"told": 2}
        assert file.stat().st_mode & 0o077 == 0
        file.write_text(text)


def test_a_state_that_is_gone_ends_the_telling_with_a_word_and_nothing_else(world: World) -> None:
    with world.teller() as teller:
        world.record(*opening(*MINITABLE))
        ring(teller)
        wait_for(lambda: (world.folder / STATE_FOLDER / "runs" / "3f2a" / "news.json").exists(), "its beginning")
        (world.folder / STATE_FOLDER / "state.db").unlink()
        ring(teller)
    assert [note.partition(":")[0] for note in world.notes] == ["no more news of this run can be told"]


def test_a_run_that_never_began_has_no_news(tmp_path: Path) -> None:
    notes: list[str] = []
    with Teller(tmp_path, "3f2a", [Fake()], note=notes.append):
        pass
    assert notes == []
    assert not (tmp_path / STATE_FOLDER).exists()


def _replaced(teller: Teller, before: Callable[[], None]) -> None:
    """A coordinator that is not in charge, or not any more."""
    with teller:
        before()
        raise RuntimeError("another one is in charge")


def test_who_never_came_into_charge_tells_nothing_of_what_another_does(world: World) -> None:
    world.record(*opening(*MINITABLE), start(0, "01"))
    with pytest.raises(RuntimeError):
        _replaced(world.teller(), lambda: world.record(fail(1, "01")))
    assert world.told() == []
    assert not (world.folder / STATE_FOLDER / "runs").exists()


def test_who_was_replaced_tells_no_more_than_was_seen_until_then(world: World) -> None:
    teller = world.teller(window=PATIENCE)

    def before() -> None:
        world.record(*opening(*MINITABLE), start(0, "01"), fail(1, "01"))
        ring(teller)
        wait_for(lambda: teller._seen == 4, "the first look")
        world.record(finish(2))

    with pytest.raises(RuntimeError):
        _replaced(teller, before)
    assert world.told() == ["failed"]


def test_without_channels_nothing_is_started(tmp_path: Path) -> None:
    before = threading.active_count()
    with Teller(tmp_path, "3f2a", []) as teller:
        ring(teller)
        assert threading.active_count() == before
