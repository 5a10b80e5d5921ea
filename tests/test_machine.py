"""Whether the machine has room: memory of the machine, of our control groups, and the load."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wavecrew.core.machine import has_room

MIB = 1 << 20


class Machine:
    """A system that tells what a test wants."""

    def __init__(self, root: Path) -> None:
        self.proc, self.groups = root / "proc", root / "groups"

    def write(self, path: str, text: str) -> Machine:
        target = self.proc.parent / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return self

    def free(self, mib: int) -> Machine:
        return self.write("proc/meminfo", f"MemTotal: 9999999 kB\nMemFree: 0 kB\nMemAvailable:   {mib * 1024} kB\n")

    def group(self, path: str, limit: str, used: int, cache: int = 0) -> Machine:
        self.write("proc/self/cgroup", f"1:name=systemd:/old\n0::/{path}\n")
        self.write(f"groups/{path}/memory.max", f"{limit}\n")
        self.write(
            f"groups/{path}/memory.stat", f"anon 7\nactive_file {cache // 2}\ninactive_file {cache - cache // 2}\n"
        )
        return self.write(f"groups/{path}/memory.current", f"{used}\n")

    def has_room(self, mib: int, load: float | None = None) -> bool:
        return has_room(mib, load, proc=self.proc, groups=self.groups)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_memory_of_the_machine(machine: Machine) -> None:
    machine.free(256)
    assert [machine.has_room(wanted) for wanted in (0, 255, 256, 257)] == [True, True, True, False]


def test_a_system_that_does_not_tell_has_room(machine: Machine) -> None:
    assert machine.has_room(10**9, None)
    machine.write("proc/meminfo", "MemAvailable: lots\nHugePages_Total: 0\n")
    machine.write("proc/self/cgroup", "5:memory:/old/style\n")
    assert machine.has_room(10**9, None)


def test_a_limit_of_our_own_group_counts_and_its_file_cache_is_free(machine: Machine) -> None:
    machine.free(4096).group("work", str(512 * MIB), used=400 * MIB)
    assert (machine.has_room(112), machine.has_room(113)) == (True, False)
    machine.group("work", str(512 * MIB), used=400 * MIB, cache=300 * MIB)
    assert (machine.has_room(412), machine.has_room(413)) == (True, False)
    machine.group("work", str(512 * MIB), used=400 * MIB, cache=500 * MIB)
    assert (machine.has_room(512), machine.has_room(513)) == (True, False)


def test_a_group_without_a_limit_says_nothing(machine: Machine) -> None:
    machine.free(4096).group("work", "max", used=4000 * MIB)
    assert machine.has_room(4096)


def test_limits_of_the_groups_around_ours_count(machine: Machine) -> None:
    machine.free(4096).group("outer", str(100 * MIB), used=50 * MIB)
    machine.group("outer/inner", "max", used=10 * MIB)
    assert (machine.has_room(50), machine.has_room(51)) == (True, False)
    machine.group("outer/inner", str(30 * MIB), used=10 * MIB)
    assert (machine.has_room(20), machine.has_room(21)) == (True, False)


def test_the_group_of_a_container_is_the_root_that_it_sees(machine: Machine) -> None:
    machine.free(4096).group("", str(64 * MIB), used=0)
    assert (machine.has_room(64), machine.has_room(65)) == (True, False)


def test_the_load_counts_per_core(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert [machine.has_room(0, limit) for limit in (None, 1.4, 1.5, 2)] == [True, False, True, True]
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert not machine.has_room(0, 5.9)


def test_a_system_without_a_load_has_room(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("no load here")

    monkeypatch.setattr(os, "getloadavg", refuse)
    assert machine.has_room(0, 0.1)


def test_this_machine_has_room_for_something() -> None:
    assert has_room(0, None)
    assert has_room(1, 10_000.0)
