"""Control groups for attempts: real ones where this machine lets us make one, and the rules for finding ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core_builders import PATIENCE, eventually, prepared_attempt, shell, soon
from wavecrew.api import doctor
from wavecrew.api.workspace import open_workspace
from wavecrew.core import process_tree, shim
from wavecrew.core.attempts import Fate, fate_of, read_result, shim_pid
from wavecrew.core.liveness import group_of, marked_processes, start_ticks
from wavecrew.core.process_tree import group_home, group_name, is_populated, members
from wavecrew.core.supervisor import Supervisor, sweep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are a thing of Linux")

ESCAPED = "setsid env -i /bin/sh -c 'echo $$ > daemon.tmp; mv daemon.tmp daemon; exec sleep 300' < /dev/null &"
"""Leaves its session, its group of processes, its parent and its environment."""


@pytest.fixture
def home() -> Iterator[Path]:
    """A real control group of our own with this process in it, as a session of systemd gives one."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    place = next((line.split()[4] for line in mounts if " - cgroup2 " in line), "")
    own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    base = Path(place + own)
    found = base / f"wavecrew-test-{os.getpid()}"
    try:
        if not place:
            raise FileNotFoundError("no cgroup2 is mounted")
        found.mkdir()
        (found / "cgroup.procs").write_text("0")
        (found / "cgroup.kill").stat()
    except OSError as error:
        with contextlib.suppress(OSError):
            found.rmdir()
        pytest.skip(f"no real control group can be made here: {error}")
    yield found
    (base / "cgroup.procs").write_text("0")
    process_tree.empty_group(str(found))
    process_tree.remove_group(str(found))
    assert not found.exists()


def carry_out(folder: Path) -> None:
    """Have an attempt carried out by a nursery, to its end."""

    async def story() -> None:
        ended: list[Path] = []
        supervisor = Supervisor(ended.append)
        supervisor.start(folder)
        await soon(lambda: ended)
        await supervisor.close()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", shim.__file__, str(folder)], start_new_session=True)


def is_alive(pid: int) -> bool:
    return start_ticks(pid) is not None


# -- with real groups -------------------------------------------------------------------------------------------


def test_every_attempt_has_a_group_while_it_lasts(home: Path, tmp_path: Path) -> None:
    folder = prepared_attempt(
        tmp_path / "1", shell("cat /proc/self/cgroup > one"), shell("cat /proc/self/cgroup > two")
    )

    carry_out(folder)

    result = read_result(folder)
    assert result is not None
    assert (result.code, result.cause) == (0, "")
    for name in ("one", "two"):
        assert f"/{home.name}/{group_name(str(folder))}\n" in (tmp_path / "ws" / name).read_text()
    assert [path for path in home.iterdir() if path.is_dir()] == []
    assert json.loads((folder / "started").read_bytes())["group"] == str(home / group_name(str(folder)))


def test_a_daemon_without_a_mark_does_not_outlive_a_killed_shim(home: Path, tmp_path: Path) -> None:
    """Nothing but its group leads to it."""
    folder = prepared_attempt(tmp_path / "1", shell(f"{ESCAPED} exec sleep 300"))
    running = start(folder)
    try:
        pid = int(eventually(lambda: (tmp_path / "ws/daemon").exists() and (tmp_path / "ws/daemon").read_text()))
        running.kill()
        running.wait()
        eventually(lambda: marked_processes(folder) == [pid])
        assert fate_of(folder) is Fate.LOST
        assert is_alive(pid)

        assert asyncio.run(sweep(folder))

        assert not is_alive(pid)
        assert not Path(home / group_name(str(folder))).exists()
        assert marked_processes(folder) == []
    finally:
        running.kill()
        running.wait()


def test_a_tree_that_forks_faster_than_anybody_looks_is_ended_at_once(home: Path, tmp_path: Path) -> None:
    forks = "trap '' TERM; f() { n=$1; [ $n -gt 400 ] && exec sleep 300; (f $((n + 1))) & sleep 300; }; f 0"
    folder = prepared_attempt(tmp_path / "1", shell(forks), timeout=0.3, grace=0.05)

    carry_out(folder)

    result = read_result(folder)
    assert result is not None
    assert result.cause == "timeout"
    assert not (home / group_name(str(folder))).exists()
    assert marked_processes(folder) == []


def test_groups_that_an_agent_made_in_its_own_go_with_it(home: Path, tmp_path: Path) -> None:
    script = f"""
    own={home}/$(sed -n 's,^0::.*/,,p' /proc/self/cgroup)
    mkdir $own/below $own/below/deeper
    {ESCAPED}
    until [ -e daemon ]; do :; done
    cat daemon > $own/below/deeper/cgroup.procs
    """
    folder = prepared_attempt(tmp_path / "1", shell(script))

    carry_out(folder)

    result = read_result(folder)
    assert result is not None
    assert (result.code, result.strays) == (0, 1), (folder / "log").read_text()
    assert not is_alive(int((tmp_path / "ws/daemon").read_text()))
    assert [path for path in home.iterdir() if path.is_dir()] == []


def test_what_entered_the_group_from_outside_is_ended_with_it(home: Path, tmp_path: Path) -> None:
    """Nobody below the shim, and so unknown to it by any other way."""
    folder = prepared_attempt(tmp_path / "1", shell("touch up; until [ -e go ]; do sleep 0.01; done"))
    running, stranger = start(folder), subprocess.Popen(["sleep", "300"])
    try:
        eventually(lambda: (tmp_path / "ws/up").exists())
        group = home / group_name(str(folder))
        (group / "cgroup.procs").write_text(str(stranger.pid))
        assert stranger.pid in members(str(group))
        (tmp_path / "ws/go").touch()

        assert running.wait(PATIENCE) == 0

        assert stranger.wait(PATIENCE) == -signal.SIGKILL
        assert not group.exists()
    finally:
        for one in (running, stranger):
            one.kill()
            one.wait()


def test_a_group_that_was_left_is_neither_used_nor_an_obstacle(home: Path, tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("cat /proc/self/cgroup > one"))
    left = home / group_name(str(folder))
    left.mkdir()

    carry_out(folder)

    result = read_result(folder)
    assert result is not None
    assert result.code == 0
    assert left.name not in (tmp_path / "ws/one").read_text()


def test_a_forged_record_leads_to_no_other_group(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "1"
    folder.mkdir()
    right = home / group_name(str(folder))
    right.mkdir()
    other = tmp_path / right.name
    other.mkdir()
    forged = [str(home), f"{home}/../{home.name}/{right.name}", str(other), 7, None, "", "\0"]
    for text in [json.dumps({"group": one}) for one in forged] + ["[]", "{}", "no json"]:
        (folder / "started").write_text(text)
        assert group_of(folder) == "", text
    (folder / "started").write_text(json.dumps({"group": str(right)}))
    assert group_of(folder) == str(right)


def test_what_is_in_a_group_is_told(home: Path) -> None:
    assert group_home() == str(home)
    assert members(str(home)) == [os.getpid()]
    assert is_populated(str(home))
    empty = home / "empty"
    empty.mkdir()
    assert not is_populated(str(empty))
    assert members(str(empty)) == []


def test_doctor_says_whether_there_are_groups(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> str:
        (found,) = [one for one in doctor.examine(open_workspace(tmp_path)) if one.name == "control groups"]
        assert found.ok, "they are a comfort"
        return found.detail

    assert str(home) in told()
    monkeypatch.setattr(doctor, "group_home", lambda: "")
    assert told().startswith("none")


# -- without ----------------------------------------------------------------------------------------------------


def fake_proc(folder: Path, group: str, *mounts: tuple[str, str, str]) -> str:
    """A FAKE /proc/self: no kernel stands behind it, it shows only which folder would be taken for our group."""
    (folder / "cgroup").write_text(f"4:memory:/elsewhere\n0::{group}\n")
    lines = [f"41 31 0:38 {root} {place} rw,relatime - {kind} cgroup rw\n" for root, place, kind in mounts]
    (folder / "mountinfo").write_text("".join(lines))
    return str(folder)


def fake_group(folder: Path) -> str:
    folder.mkdir(parents=True)
    for name in ("cgroup.procs", "cgroup.kill"):
        (folder / name).touch()
    return str(folder)


def test_fake_our_group_is_found_below_its_mount(tmp_path: Path) -> None:
    proc, mount = tmp_path / "proc", tmp_path / "mount"
    proc.mkdir()
    ours = fake_group(mount / "user.slice/app")
    (mount / "user.slice/cgroup.procs").touch()
    old = ("/", str(tmp_path / "old"), "cgroup")
    assert group_home(fake_proc(proc, "/user.slice/app", old, ("/", str(mount), "cgroup2"))) == ours
    assert group_home(fake_proc(proc, "/out/user.slice/app", ("/out", str(mount), "cgroup2"))) == ours
    assert group_home(fake_proc(proc, "/outer/user.slice/app", ("/out", str(mount), "cgroup2"))) == ""
    assert group_home(fake_proc(proc, "/user.slice", ("/", str(mount), "cgroup2"))) == "", "no cgroup.kill there"
    assert group_home(fake_proc(proc, "/user.slice/app", old)) == ""
    assert group_home(fake_proc(proc, "/gone (deleted)", ("/", str(mount), "cgroup2"))) == ""
    (proc / "cgroup").write_text("4:memory:/elsewhere\n")
    assert group_home(str(proc)) == ""
    assert group_home(str(tmp_path / "no proc")) == ""


@pytest.mark.parametrize("closed", ["", "cgroup.procs"])
def test_fake_a_group_that_belongs_to_somebody_else_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    ours = fake_group(tmp_path / "mount/app")
    proc = tmp_path / "proc"
    proc.mkdir()
    given = fake_proc(proc, "/app", ("/", str(tmp_path / "mount"), "cgroup2"))
    assert group_home(given) == ours
    monkeypatch.setattr(os, "access", lambda path, mode: path != f"{ours}/{closed}".rstrip("/"))
    assert group_home(given) == ""


def test_where_there_is_no_group_nothing_changes(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("echo done"))
    pid = os.fork()
    if pid == 0:
        os._exit(shim.run_attempt(str(folder), home="/no/such/group"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    result = read_result(folder)
    assert result is not None
    assert result.code == 0
    assert shim_pid(folder) is None
    assert group_of(folder) == ""


def test_a_group_that_is_gone_is_no_reason_to_stop() -> None:
    for gone in ("/no/such/group", "/proc/self"):
        process_tree.enter_group(gone)
        process_tree.kill_group(gone)
        process_tree.remove_group("/no/such/group")
        process_tree.empty_group(gone)
        assert members("/no/such/group") == []
        assert not process_tree.make_group("/no/such/group")


def test_the_program_finds_its_other_file_and_leaves_the_path_as_it_was() -> None:
    source = f"import runpy, sys; before = list(sys.path); runpy.run_path({shim.__file__!r}); assert sys.path == before"
    subprocess.run([sys.executable, "-I", "-S", "-c", source], check=True, cwd="/", timeout=PATIENCE)
