"""What watching costs: a run with many agents that print, with and without a board in front of it.

A real run in a folder of its own, a real board in a pseudo terminal. Processor time is taken from the kernel, of the
coordinator and of the board; what the board writes to its terminal is counted. Then events are recorded beside it, and
it is asked how long they take to the screen.
Run it with `python benchmarks/board.py [--agents N] [--seconds S]`, on Linux.
It does not know what a terminal does with what it is sent.
"""

from __future__ import annotations

import argparse
import fcntl
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
import time
from pathlib import Path

from wavecrew.core.store import Store

WAVECREW = (sys.executable, "-m", "wavecrew")
PRINTS = 'i=0; while :; do i=$((i+1)); echo "$WAVECREW_PHASE says in line $i what it does right now"; sleep 0.2; done'
ROUNDS = 9
TICKS = os.sysconf("SC_CLK_TCK")


class Board:
    """A board in a pseudo terminal of a size; `said` is how many bytes it has written."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self.said = 0
        self.last = b""
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*WAVECREW, "ui"], cwd=folder, env=environment, stdin=side, stdout=side, stderr=side, start_new_session=True
        )
        os.close(side)

    def listen(self, seconds: float, until: bytes = b"") -> bool:
        """Take in what it writes for so long, or until that is written; tells whether it was."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._main], [], [], 0.005)[0]:
                piece = os.read(self._main, 65536)
                self.said += len(piece)
                self.last = (self.last + piece)[-200_000:]
            if until and until in self.last:
                return True
        return False

    def press(self, keys: str) -> None:
        self.last = b""
        os.write(self._main, keys.encode())

    def leave(self) -> None:
        os.write(self._main, b"q")
        self.process.wait(30)
        os.close(self._main)


def spent(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(folder: Path, seconds: float) -> None:
    lock = next(folder.glob(".wavecrew/runs/*/coordinator"))
    found = re.search(r"pid (\d+)", lock.read_text())
    assert found is not None
    coordinator = int(found[1])
    before = spent(coordinator)
    time.sleep(seconds)
    print(f"coordinator, nobody watches      {(spent(coordinator) - before) / seconds:6.2%} of a core")
    for columns, rows in ((80, 24), (200, 60)):
        board = Board(folder, columns, rows)
        board.listen(60, until=b"Plan")
        started = spent(board.process.pid)
        board.listen(3)
        of_run, of_board, said = spent(coordinator), spent(board.process.pid), board.said
        board.listen(seconds)
        shares = [(spent(coordinator) - of_run) / seconds, (spent(board.process.pid) - of_board) / seconds]
        size = f"{columns}x{rows}"
        print(f"coordinator, board of {size:<9}  {shares[0]:6.2%} of a core")
        sent = (board.said - said) / seconds / 1000
        print(f"board of {size:<9}               {shares[1]:6.2%} of a core, {sent:.1f} kB/s")
        print(f"its start                        {started:6.2f} s of processor time")
        if columns == 80:
            print(f"from an event to the screen      {to_the_screen(board, folder):6.2f} s (median of {ROUNDS})")
        board.leave()


def to_the_screen(board: Board, folder: Path) -> float:
    """How long a pause takes from its record in the store to the terminal."""
    times = []
    with Store.open(folder, create=False) as store:
        run = store.runs()[0].id
        for _ in range(ROUNDS):
            board.last = b""
            asking = subprocess.Popen([*WAVECREW, "pause"], cwd=folder, stdout=subprocess.DEVNULL)
            assert board.listen(30, until=b"paused by")
            times.append(time.time() - store.events(run)[-1][1].at)
            asking.wait()
            subprocess.run([*WAVECREW, "continue"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            board.listen(1)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wavecrew.toml").write_text("wave_delay_seconds = 0\nmin_free_memory = 0\n")
        phases = [
            {"id": f"p{number:02}", "name": f"Part {number}", "writes": [f"w{number}"], "command": ["sh", "-c", PRINTS]}
            for number in range(options.agents)
        ]
        (folder / "plan.json").write_text(json.dumps({"name": "many", "phases": phases}))
        flags = ("--yes", "--detach", "-j", str(options.agents))
        subprocess.run([*WAVECREW, "run", "plan.json", *flags], cwd=folder, check=True)
        try:
            time.sleep(5)
            measure(folder, options.seconds)
        finally:
            subprocess.run([*WAVECREW, "cancel"], cwd=folder, check=False, stdout=subprocess.DEVNULL)
            subprocess.run([*WAVECREW, "status", "--wait"], cwd=folder, check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
