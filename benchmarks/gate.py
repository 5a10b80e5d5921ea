"""What the write gate costs an agent: the hook before each tool call, from its start to its end.

Real hooks ask a real gate in this process. Beside each case stands a bare interpreter, started the same way, because it
is most of the time; the cases take turns, and medians count. The processor time is that of the hook alone.
Run it with `python benchmarks/gate.py [--rounds N]`.
It does not know what an agent adds around its hook, and how long anybody waits for a lock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from wavecrew.core.attempts import attempt_folder
from wavecrew.core.gate_socket import hook_argv
from wavecrew.core.lock_registry import LockRegistry
from wavecrew.core.workplace import Workplace
from wavecrew.core.write_gate import WriteGate

RUN, AT_ONCE = "r1", 50


async def timed(argv: Sequence[str], payload: object) -> tuple[float, float]:
    """Milliseconds until the end, and of processor time."""
    before, began = os.times(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE)
    await process.communicate(json.dumps(payload).encode())
    assert process.returncode == 0
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return (time.perf_counter() - began) * 1e3, spent * 1e3


async def measure(folder: Path, rounds: int) -> None:
    registry = LockRegistry.open(folder)
    registry.store.create_run(RUN, at=0.0, plan="plan", digest="")
    runs = registry.store.folder / "runs" / RUN
    gate = WriteGate(registry, runs)
    await gate.start(registry.store.take_charge(RUN))
    owners = [f"{RUN}/p{number}/1" for number in range(AT_ONCE)]
    for owner in owners:
        gate.admit(owner, owner, attempt_folder(registry.store.folder, RUN, owner, 1), Workplace(folder, folder))
    registry.acquire(registry.owner("p0", name=owners[0]), registry.claims(["held"]))

    def write(path: str) -> dict[str, object]:
        return {"tool_name": "Write", "tool_input": {"file_path": path, "content": "x" * 2000}, "cwd": str(folder)}

    hook = hook_argv(runs, owners[0], 60)
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for name, argv, payload in (
            ("bare interpreter", (sys.executable, "-I", "-S", "-c", "pass"), None),
            ("a tool that reads", hook, {"tool_name": "Read"}),
            ("a write to what is held", hook, write("held")),
            ("a shell command", hook, {**write(""), "tool_name": "Bash", "tool_input": {"command": "make >held"}}),
            ("a write to what is free", hook, write(f"free{number}")),
        ):
            found.setdefault(name, []).append(await timed(argv, payload))
    print(f"{'case':30} {'median ms':>10} {'best ms':>10} {'processor ms':>13}")
    for name, times in found.items():
        walls, spent = zip(*times, strict=True)
        print(f"{name:30} {statistics.median(walls):10.1f} {min(walls):10.1f} {statistics.mean(spent):13.1f}")
    began = time.perf_counter()
    await asyncio.gather(*(timed(hook_argv(runs, owner, 60), write(owner.replace("/", "-"))) for owner in owners))
    print(f"{AT_ONCE} agents at once, each claiming a file: {(time.perf_counter() - began) * 1e3:.0f} ms in all")
    await gate.close()
    registry.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=40)
    rounds = arguments.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), rounds))


if __name__ == "__main__":
    main()
