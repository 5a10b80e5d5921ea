"""What looking at a run costs: start-up, the way of an event to each screen, processor time of all who watch, reports.

Real runs and the real command, in folders of its own: a run of many agents that print, watched by nobody, by a board,
and by a board, a page and `status --watch` together, with processor time as the kernel counts it; then histories of
many phases that are written down at once, for reports and the weight of the page.
Run it with `python benchmarks/views.py [--part start,watch,report,page] [--agents N] [--seconds S] [--rounds N]`, on
Linux. It does not know what a terminal or a browser does with what it is sent: `make test-web` measures one of those.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gzip
import http.client
import json
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.store import Store
from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.parallel_execution import PhaseInfo

WAVECREW = (sys.executable, "-m", "wavecrew")
PRINTS = 'i=0; while :; do i=$((i+1)); echo "$WAVECREW_PHASE says in line $i what it does right now"; sleep 0.2; done'
TICKS = os.sysconf("SC_CLK_TCK")
FORMATS = ("text", "html", "md", "json", "junit", "csv", "trace", "otlp", "mermaid", "svg")
PATIENCE = 120.0
RUN = "be0c4a"


def spent(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Watcher:
    """A command that is listened to all the time. `wrote` is how many bytes it has written."""

    def __init__(self, folder: Path, *arguments: str, size: tuple[int, int] | None = None) -> None:
        environment = {**os.environ, "TERM": "xterm-256color"}
        self._main, side = pty.openpty() if size else os.pipe()
        if size:
            fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [*WAVECREW, *arguments],
            cwd=folder,
            env=environment,
            stdin=side if size else subprocess.DEVNULL,
            stdout=side,
            stderr=side if size else subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(side)
        self.wrote = 0
        self._last = b""
        self._wanted: bytes | None = None
        self._at: float | None = None
        self._guard = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _listen(self) -> None:
        while select.select([self._main], [], [])[0]:
            try:
                piece = os.read(self._main, 65536)
            except OSError:
                return
            if not piece:
                return
            with self._guard:
                self.wrote += len(piece)
                self._last = (self._last + piece)[-200_000:]
                self._look()

    def _look(self) -> None:
        if self._wanted and self._at is None and self._wanted in self._last:
            self._at = time.time()
            self._guard.notify_all()

    def expect(self, words: bytes, *, anew: bool = True) -> None:
        """Look out for words: in what is written from now on, or in all of it."""
        with self._guard:
            self._wanted, self._at = words, None
            self._last = b"" if anew else self._last
            self._look()

    def seen(self) -> float:
        """When they were written. Raises TimeoutError."""
        with self._guard:
            if not self._guard.wait_for(lambda: self._at is not None, PATIENCE):
                raise TimeoutError(f"{self.process.args!r} did not write {self._wanted!r}")
            assert self._at is not None
            return self._at

    @property
    def said(self) -> str:
        """The last that it has written."""
        with self._guard:
            return self._last.decode(errors="replace")

    def end(self) -> None:
        """End it and what it has open."""
        self.process.kill()
        self.process.wait(PATIENCE)


class Page(Watcher):
    """`wavecrew web` with one listener, as an open browser is one. What the listener hears counts as written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--json", "web", "--port", "0")
        self.expect(b"}", anew=False)
        self.ready = self.seen()
        self.port = int(self.said.partition("127.0.0.1:")[2].partition("/")[0])
        self._key = (folder / ".wavecrew" / "web" / "token").read_text().strip()

    def ask(self, path: str) -> http.client.HTTPResponse:
        """An answer to a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path, headers={"authorization": f"Bearer {self._key}"})
        return connection.getresponse()

    def listen(self) -> None:
        """Take what is told to the page until the server goes."""
        threading.Thread(target=self._hear, args=(self.ask("/api/run/latest/events"),), daemon=True).start()

    def _hear(self, answer: http.client.HTTPResponse) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            for line in answer:
                with self._guard:
                    self.wrote += len(line)
                    self._last = line[-200_000:]
                    self._look()


# -- start-up ---------------------------------------------------------------------------------------------------


def starts(folder: Path, rounds: int) -> None:
    """From the start of the interpreter until the command has ended, or shows its picture."""
    print(f"{'start-up':<34}{'median s':>10}{'most s':>10}{'cpu s':>10}")
    commands: dict[str, Callable[[], tuple[float, float]]] = {
        "wavecrew --version": lambda: _ended(folder, "--version"),
        "wavecrew status": lambda: _ended(folder, "status"),
        "wavecrew ui, first picture": lambda: _shown(folder, "ui", words=b"Plan", size=(80, 24)),
        "wavecrew web, its link": lambda: _shown(folder, "--json", "web", "--port", "0", words=b"}"),
    }
    for name, measure in commands.items():
        times = [measure() for _ in range(rounds)]
        clock, processor = zip(*times, strict=True)
        middle = statistics.median(clock)
        print(f"{name:<34}{middle:>10.2f}{max(clock):>10.2f}{statistics.median(processor):>10.2f}")


def _ended(folder: Path, *arguments: str) -> tuple[float, float]:
    begun, before = time.monotonic(), os.times()
    subprocess.run([*WAVECREW, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - begun, used


def _shown(folder: Path, *arguments: str, words: bytes, size: tuple[int, int] | None = None) -> tuple[float, float]:
    begun = time.time()
    watcher = Watcher(folder, *arguments, size=size)
    watcher.expect(words, anew=False)
    took = watcher.seen() - begun
    used = spent(watcher.pid)
    watcher.end()
    return took, used


# -- watching ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def busy_run(agents: int) -> Iterator[tuple[Path, int]]:
    """A run whose agents all print, and the process of its coordinator."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wavecrew.toml").write_text("wave_delay_seconds = 0\nmin_free_memory = 0\n")
        phases = [
            {"id": f"p{number:02}", "name": f"Part {number}", "writes": [f"w{number}"], "command": ["sh", "-c", PRINTS]}
            for number in range(agents)
        ]
        (folder / "plan.json").write_text(json.dumps({"name": "many", "phases": phases}))
        flags = ("--yes", "--detach", "-j", str(agents))
        subprocess.run([*WAVECREW, "run", "plan.json", *flags], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        try:
            while _at_work(folder) < agents:
                time.sleep(0.5)
            lock = next(folder.glob(".wavecrew/runs/*/coordinator"))
            found = re.search(r"pid (\d+)", lock.read_text())
            assert found is not None
            yield folder, int(found[1])
        finally:
            subprocess.run([*WAVECREW, "cancel"], cwd=folder, check=False, stdout=subprocess.DEVNULL)
            subprocess.run([*WAVECREW, "status", "--wait"], cwd=folder, check=False, stdout=subprocess.DEVNULL)


def _at_work(folder: Path) -> int:
    with Store.open(folder, create=False) as store:
        return sum(isinstance(event, ev.AttemptStarted) for _, event in store.events(store.runs()[0].id))


def watching(agents: int, seconds: float, rounds: int) -> None:
    """The coordinator with 0, 1 and 3 watchers, each of those, and how long an event takes to each."""
    with busy_run(agents) as (folder, coordinator):
        print(f"\n{'watching, ' + str(agents) + ' agents that print':<34}{'of a core':>10}{'kB/s':>10}")
        _cost("coordinator, nobody watches", {"coordinator": coordinator}, {}, seconds)
        board = _board(folder, (80, 24))
        _cost("coordinator and a board, 80x24", {"coordinator": coordinator}, {"board": board}, seconds)
        board.end()
        watchers: dict[str, Watcher] = {"board, 200x60": _board(folder, (200, 60))}
        page = watchers["page with one listener"] = Page(folder)
        page.listen()
        status = watchers["status --watch"] = Watcher(folder, "status", "--watch")
        status.expect(b"next: ", anew=False)
        status.seen()
        time.sleep(3)
        _cost("coordinator and three watchers", {"coordinator": coordinator}, watchers, seconds)
        _to_the_screens(folder, watchers, rounds)
        for one in watchers.values():
            one.end()


def _board(folder: Path, size: tuple[int, int]) -> Watcher:
    board = Watcher(folder, "ui", size=size)
    board.expect(b"Plan", anew=False)
    board.seen()
    time.sleep(3)
    return board


def _cost(title: str, processes: dict[str, int], watchers: dict[str, Watcher], seconds: float) -> None:
    pids = processes | {name: one.pid for name, one in watchers.items()}
    before = {name: spent(pid) for name, pid in pids.items()}
    wrote = {name: one.wrote for name, one in watchers.items()}
    time.sleep(seconds)
    print(title)
    for name, pid in pids.items():
        said = f"{(watchers[name].wrote - wrote[name]) / seconds / 1000:>10.1f}" if name in watchers else ""
        print(f"  {name:<32}{(spent(pid) - before[name]) / seconds:>10.2%}{said}")


def _to_the_screens(folder: Path, watchers: dict[str, Watcher], rounds: int) -> None:
    """How long a pause takes from its record in the store to each of them, all at once."""
    times: dict[str, list[float]] = {name: [] for name in watchers}
    with Store.open(folder, create=False) as store:
        run = store.runs()[0].id
        for _ in range(rounds):
            for one in watchers.values():
                one.expect(b"paused by")
            subprocess.run([*WAVECREW, "pause"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            seen = {name: one.seen() for name, one in watchers.items()}
            at = [event.at for _, event in store.events(run) if isinstance(event, ev.RunPaused)][-1]
            for name, moment in seen.items():
                times[name].append(moment - at)
            subprocess.run([*WAVECREW, "continue"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            time.sleep(2)
    print(f"\n{'from an event to the screen':<34}{'median s':>10}{'most s':>10}")
    for name, found in times.items():
        print(f"  {name:<32}{statistics.median(found):>10.2f}{max(found):>10.2f}")


# -- reports and the page ---------------------------------------------------------------------------------------


def history(size: int, *, over: bool) -> list[Event]:
    """A run in layers of 25, eight at a time, that is over, or whose last tenth is still to come."""
    begun = time.time() - 4 * size
    phases = tuple(
        PhaseInfo(
            f"{number:04}",
            f"part {number}",
            tuple(f"{one:04}" for one in (number - 25, number - 25 + number % 3) if one >= 0),
            (f"src/part_{number}.py",),
            0.008,
        )
        for number in range(size)
    )
    settings = {"max_parallel_agents": 8, "agent": "runbook", "wave_delay_seconds": 0}
    made: list[Event] = [
        ev.RunStarted(
            at=begun,
            run=RUN,
            plan_name="parts",
            plan_path="plan",
            plan_digest="7c1f9a2b",
            phases=phases,
            settings=settings,
        ),
        ev.CoordinatorStarted(at=begun, epoch=1, pid=1, host="box", agents=8),
    ]
    done = size if over else size * 9 // 10
    for first in range(0, done, 8):
        group, at = phases[first : min(first + 8, done)], begun + 4 * first
        made += [
            ev.AttemptStarted(at=at, phase=one.id, attempt=1, agent="runbook", log=f"{one.id}/log") for one in group
        ]
        for place, one in enumerate(group):
            end = at + 24 + place
            told = ev.AgentReported(at=end, phase=one.id, attempt=1, input_tokens=900, output_tokens=90, cost_usd=0.01)
            good = ev.AttemptEnded(at=end, phase=one.id, attempt=1, outcome=Outcome.SUCCEEDED, outputs=one.outputs)
            made += [told, good]
    return [*made, ev.RunFinished(at=made[-1].at)] if over else made


@contextlib.contextmanager
def written(size: int, *, over: bool) -> Iterator[Path]:
    """A workspace with such a run; somebody seems to be in charge of one that is not over."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        with Store.open(folder) as store:
            store.create_run(RUN, at=time.time(), plan="plan", digest="7c1f9a2b", events=history(size, over=over))
            if not over:
                stack.enter_context(CoordinatorLock(store.folder / "runs" / RUN))
        yield folder


def reports(size: int, rounds: int) -> None:
    """Each format of a long run, from the start of the command to the file."""
    print(f"\n{'report of ' + format(size, ',') + ' phases':<34}{'median s':>10}{'most s':>10}{'cpu s':>10}{'kB':>10}")
    with written(size, over=True) as folder:
        for kind in FORMATS:
            times = [
                _ended(folder, "-q", "report", "--format", kind, "-o", f"report.{kind}", "--force")
                for _ in range(rounds)
            ]
            clock, processor = zip(*times, strict=True)
            weight = (folder / f"report.{kind}").stat().st_size / 1000
            middle = statistics.median(clock)
            print(f"{kind:<34}{middle:>10.2f}{max(clock):>10.2f}{statistics.median(processor):>10.2f}{weight:>10,.0f}")


def page_weight(size: int) -> None:
    """What a browser is sent until the page stands, logs left out."""
    with written(size, over=False) as folder:
        page = Page(folder)
        html = page.ask("/run/latest")
        if html.status == 303:
            html = page.ask(html.headers["location"])
        names = ("page.css", "page.js", "icon.svg")
        parts = {"page": html.read()} | {name: page.ask(f"/assets/{name}").read() for name in names}
        news = page.ask("/api/run/latest/events")
        parts["first news"] = next(line for line in news if line.startswith(b"data: "))
        page.end()
    print(f"\n{'page of ' + str(size) + ' phases':<34}{'kB':>10}{'gzip kB':>10}")
    for name, content in parts.items():
        print(f"  {name:<32}{len(content) / 1000:>10.1f}{len(gzip.compress(content)) / 1000:>10.1f}")
    whole = sum(map(len, parts.values())), sum(len(gzip.compress(one)) for one in parts.values())
    print(f"  {'all':<32}{whole[0] / 1000:>10.1f}{whole[1] / 1000:>10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="start,watch,report,page")
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    chosen = options.part.split(",")
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if "start" in chosen:
        with written(60, over=True) as folder:
            starts(folder, options.rounds)
    if "watch" in chosen:
        watching(options.agents, options.seconds, options.rounds)
    if "report" in chosen:
        reports(1000, max(1, options.rounds // 3))
    if "page" in chosen:
        page_weight(60)
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
