"""A run that stands still where a test wants it, and everything that can watch it, each as a process of its own.

What it does: starts a run whose agents wait for files, a board in a pseudo terminal, `status --watch`, the page and its
listeners; reads from each the numbers that it shows now; waits until all of them show the same ones.
What it does not know: browsers (`tests/web` has one), and what the numbers should be.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from repo import Repo, work
from sandbox import PATIENCE, Running, Sandbox
from terminal_screen import Screen

Numbers = dict[str, Any]
Reader = Callable[[], Numbers]
MONTH = "720h"
"""An estimate whose end does not come nearer while a test looks: `29d23h` for the better part of an hour."""
STANDINGS = ("passed", "skipped", "running", "merging", "waiting", "ready", "to come", "failed", "blocked")
_WORDS = {"waits": "waiting", "needs you": "ready"}


def _held(name: str) -> str:
    return f'while [ ! -e "$HOME/go.{name}" ]; do sleep 0.05; done'


def plan(repo: Repo) -> None:
    """a, b and c could start at once, but b and c want one file; d fails until it is mended, and e needs it."""
    phases = (
        work("a", f"{_held('a')}\necho a > a.txt", writes=["a.txt"]),
        work("b", f"{_held('b')}\necho b > shared.txt", writes=["shared.txt"], estimate=MONTH),
        work("c", f"{_held('c')}\necho c >> shared.txt", writes=["shared.txt"], estimate=MONTH),
        work("d", 'test -e "$HOME/mended" && echo d > d.txt', needs=["a"], writes=["d.txt"]),
        work("e", "echo e > e.txt", needs=["d"], writes=["e.txt"]),
        work("f", f"{_held('f')}\necho f > f.txt", needs=["a"], writes=["f.txt"], estimate=MONTH),
        work("g"),
    )
    repo.box.write(
        "wavecrew.toml", 'monitoring_update_interval = 0.2\nmin_free_memory = 0\nsilent_after_seconds = "none"\n'
    )
    repo.plan(*phases)


RUN = ("run", "plan.json", "--yes", "--wave-delay-seconds", "0", "--gate", "phase", "--wait-for-approval", "-j", "3")


class Terminal:
    """A command in a terminal of its own that is read all the time, so that it never waits for a reader."""

    def __init__(self, box: Sandbox, *arguments: str, columns: int = 200, rows: int = 50) -> None:
        self._screen = Screen(columns, rows)
        self._guard = threading.Lock()
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wavecrew", *arguments],
            cwd=box.folder,
            env=box.environment({"TERM": "xterm-256color", "LANG": "C.UTF-8"}),
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        )
        os.close(side)
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._over.is_set():
            if select.select([self._main], [], [], 0.05)[0]:
                try:
                    piece = os.read(self._main, 65536)
                except OSError:  # nobody has this terminal open any more
                    return
                with self._guard:
                    self._screen.feed(piece)

    @property
    def lines(self) -> list[str]:
        """What the screen shows now."""
        with self._guard:
            return self._screen.lines

    def close(self) -> None:
        """End the command, if it still runs, and the terminal."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._over.set()
        self._reader.join(PATIENCE)
        os.close(self._main)


class Watch:
    """A run, its watchers by name, and how to read each of them."""

    def __init__(self, repo: Repo) -> None:
        self.box = repo.box
        self.readers: dict[str, Reader] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = 0
        self._terminals: list[Terminal] = []
        self.run: subprocess.Popen[bytes] | None = None

    # -- starting

    def start_run(self, ui: str) -> None:
        """The run itself shows numbers, too: as plain lines in a file, or live in a terminal."""
        if ui == "live":
            terminal = self._terminal(*RUN, "--ui", "live")
            self.run, self.readers["run, live"] = terminal.process, lambda: live_numbers(terminal.lines)
        else:
            running = self.box.start(*RUN, "--ui", "plain")
            self.run, self.readers["run, plain"] = running.process, lambda: plain_numbers(running.out)

    def start_board(self, name: str = "board") -> None:
        terminal = self._terminal("ui")
        self.add(name, terminal.process, lambda: board_numbers(terminal.lines))

    def start_status(self, name: str) -> Running:
        running = self.box.start("status", "--watch")
        self.add(name, running.process, lambda: status_numbers(running.out))
        return running

    def start_page(self) -> None:
        """The page, as `wavecrew web` serves it; its link is in `link`."""
        page = self.box.start("--json", "web", "--port", "0")
        until(lambda: "}" in page.out, "the page")
        self.link: str = json.loads(page.out)["link"]
        self.port = int(self.link.partition("127.0.0.1:")[2].partition("/")[0])
        self.add("page", page.process, lambda: json_numbers(self.ask("/api/run/latest")))
        self.readers["metrics"] = lambda: metrics_numbers(self.ask("/metrics"))

    def start_listener(self, name: str) -> None:
        out = self.box.home / f"{name}.json"
        script = Path(__file__).with_name("page_listener.py")
        key = self.box.folder / ".wavecrew/web/token"
        process = subprocess.Popen([sys.executable, str(script), str(self.port), str(key), str(out)])
        self.add(name, process, lambda: listener_numbers(out))

    def ask(self, path: str) -> str:
        """What the page answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            key = self.box.read(".wavecrew/web/token").strip()
            connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
            return connection.getresponse().read().decode()

    def _terminal(self, *arguments: str) -> Terminal:
        self._terminals.append(Terminal(self.box, *arguments))
        return self._terminals[-1]

    def add(self, name: str, process: subprocess.Popen[bytes], read: Reader) -> None:
        """One more watcher: its process, and what it shows now."""
        self.processes[name], self.readers[name] = process, read

    # -- looking

    def all_show(self, left: str, *, needed: int, done: int, **counts: int) -> None:
        """Wait until every watcher shows these numbers: the phases of each standing (`to_come=3`), how many are done of
        the seven, for how many things somebody is needed, and the time left in words. What a view does not tell it need
        not; what it tells must be this."""
        told = {name.replace("_", " "): number for name, number in counts.items()}
        expected: Numbers = dict.fromkeys(STANDINGS, 0) | told
        assert sum(expected.values()) == 7
        expected |= {"done": done, "total": 7, "needs you": needed, "left": left}

        def differ() -> dict[str, Numbers]:
            found = {name: read for name, one in self.readers.items() if (read := _differences(one(), expected))}
            if found:
                return found  # a command costs more than to read what is there, so it is asked last
            read = _differences(json_numbers(self.box.wavecrew("status", "--json").out), expected)
            return {"status --json": read} if read else {}

        over = time.monotonic() + PATIENCE
        while found := differ():
            if time.monotonic() > over:
                raise AssertionError(f"after {PATIENCE:g} s these differ from {expected}:\n{found}")
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """End a watcher as nothing can prevent, and see that the run does not mind."""
        before = self.in_charge()
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        del self.readers[name]
        if name == "page":
            del self.readers["metrics"]
        assert self.run is not None
        assert self.run.poll() is None, f"the run ended with {name}"
        assert self.in_charge() == before

    def in_charge(self) -> tuple[str, str, int]:
        """Status, coordinator, and how many attempts there were."""
        data = self.box.status()
        return data["status"], data["coordinator"], sum(one["attempts"] for one in data["phases"])

    def go(self, *names: str) -> None:
        """Let the agents of some phases end."""
        for name in names:
            (self.box.home / f"go.{name}").touch()

    def close(self) -> None:
        """End every process."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)
        for terminal in self._terminals:
            terminal.close()


def until(condition: Callable[[], Any], what: str) -> None:
    """Look again and again until a condition holds."""
    over = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < over, f"waited {PATIENCE:g} s for {what}"
        time.sleep(0.05)


def _differences(found: Numbers, expected: Mapping[str, Any]) -> Numbers:
    if not found:
        return {"nothing": "is shown yet"}
    return {name: value for name, value in found.items() if value != expected[name]}


# -- reading ----------------------------------------------------------------------------------------------------


def counted(words: list[str]) -> Numbers:
    """`2 of 7 done`, `needs you 1`, `3 running`: what is not named is none. How many passed is not told."""
    found: Numbers = dict.fromkeys(set(STANDINGS) - {"passed"} | {"needs you"}, 0)
    for word in words:
        if hit := re.fullmatch(r"(\d+) of (\d+) done", word):
            found |= {"done": int(hit[1]), "total": int(hit[2])}
        elif hit := re.fullmatch(r"needs you (\d+)", word):
            found["needs you"] = int(hit[1])
        elif hit := re.fullmatch(r"(\d+) ([a-z ]+)", word):
            found[hit[2]] = int(hit[1])
    return found


def _by_standing(rows: list[str]) -> Numbers:
    found = Counter(_WORDS.get(one, one) for one in rows)
    return {name: found[name] for name in STANDINGS}


def board_numbers(lines: list[str]) -> Numbers:
    """The head of the board and the rows of its plan; nothing before both are drawn."""
    hit = re.search(
        r"✓ (\d+) done  ▶ (\d+) at work  ◷ (\d+) waiting  · (\d+) to come  ✗ (\d+) failed(.*)", " ".join(lines[:1])
    )
    words = "passed|skipped|running|merging|waits|needs you|ready|to come|failed|blocked"
    rows = [one[2] for line in lines if (one := re.match(rf"\W*(?:w\d+)?\W+([a-g]) Phase \1 ({words}) ", line[:60]))]
    if hit is None or not rows:
        return {}
    found = _by_standing(rows)
    done, busy, waiting, coming, failed = (int(hit[place]) for place in range(1, 6))
    if (busy, waiting, coming, failed) != (
        found["running"] + found["merging"],
        found["waiting"],
        found["ready"] + found["to come"],
        found["failed"],
    ):
        return {"done": "its head and its rows differ", **found}
    rest = hit[6].split("  ")
    needed = next((int(one.removeprefix("needs you ")) for one in rest if one.startswith("needs you ")), None)
    left = next((one for one in rest if one.endswith(" left") or one.startswith("time left")), "")
    return found | {"done": done, "needs you": needed, "left": left}


def status_numbers(text: str) -> Numbers:
    """The last screen that `status --watch` has printed, if it is whole."""
    begin = max(text.rfind("\nrun ") + 1, 0)
    screen = text[begin:]
    if not screen.startswith("run ") or "\nnext: " not in screen:
        return {}
    head, *rest = screen.split("\n")
    more = [line.strip() for line in rest if line.startswith("        ")]
    words = head.split("  ")[2]
    for line in more:
        if not re.match(r"\d+ ", line):
            break
        words += f" · {line}"
    told = next((line[11:].split("  ")[0] for line in rest if line.startswith("  left     ")), "")
    left = "time left unknown" if told.startswith("unknown") else f"{told} left" if told else ""
    return counted(words.split(" · ")) | {"left": left}


def json_numbers(text: str) -> Numbers:
    """`status --json`, and the same from the page."""
    data = json.loads(text)
    found: Numbers = {name: data["counts"][name] for name in STANDINGS}
    needed = len(data["needs_you"]) + len(data["silent"])
    return found | {"done": data["done"], "total": data["total"], "needs you": needed}


def metrics_numbers(text: str) -> Numbers:
    """What Prometheus is told."""
    states = {hit[1]: int(hit[2]) for hit in re.finditer(r'^wavecrew_phases\{.*state="(.*?)"\} (\d+)$', text, re.M)}
    needed = re.search(r"^wavecrew_needs_you\{.*\} (\d+)$", text, re.M)
    assert needed is not None, text
    return {name: states[name] for name in STANDINGS} | {"needs you": int(needed[1])}


def listener_numbers(out: Path) -> Numbers:
    """What a listener of the page knows by now."""
    if not out.exists():
        return {}
    known = json.loads(out.read_text(encoding="utf-8"))
    head = known["head"]
    found = _by_standing([row["s"] for row in known["rows"].values()])
    told = counted(head["counted"])
    rows_differ = any(told[name] != found[name] for name in STANDINGS if name in told)
    if rows_differ or head["needed"] != len(known["needs"]):
        return {"done": "its head and its rows differ", **found}
    return told | found | {"left": head["left"]}


def plain_numbers(text: str) -> Numbers:
    """The last heartbeat."""
    beats = [line for line in text.splitlines() if " beat   " in line]
    if not beats:
        return {}
    found: Numbers = dict.fromkeys(set(STANDINGS) - {"passed", "skipped"} | {"needs you"}, 0)
    found["left"] = "time left unknown"
    for part in beats[-1].partition(" beat   ")[2].split(" · "):
        if hit := re.fullmatch(r"(\d+)/(\d+) done", part):
            found |= {"done": int(hit[1]), "total": int(hit[2])}
        elif hit := re.match(r"needs you (\d+): ", part):
            found["needs you"] = int(hit[1])
        elif part.endswith(" left"):
            found["left"] = part
        elif hit := re.match(r"(\d+) (running|merging|waiting|ready|to come|failed|blocked)\b", part):
            found[hit[2]] = int(hit[1])
    return found


def live_numbers(lines: list[str]) -> Numbers:
    """The region below the lines that stay: what is at work and waits, how far it is, and for how many it needs you."""
    shown = [line for line in lines if line.strip()]
    bar = re.search(r"(\d+)/(\d+)   \S+(?:   (.*))?$", shown[-1]) if shown else None
    if bar is None:
        return {}
    rows = [hit[1] for line in shown if (hit := re.match(r"  [▶→◷] (running|merging|waits) ", line))]
    found = {name: number for name, number in _by_standing(rows).items() if name in ("running", "merging", "waiting")}
    asked = next((line for line in shown if line.startswith("  ! needs you: ")), "")
    found["needs you"] = len(asked.removeprefix("  ! needs you: ").split(" · ")[0].split(", ")) if asked else 0
    told: Numbers = found | {"done": int(bar[1]), "total": int(bar[2])}
    return told | ({"left": bar[3]} if (bar[3] or "").endswith((" left", "unknown")) else {})
