"""The folder of an attempt: names, jobs, results, and the judgement of what has become of it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import living, prepared_attempt, shell
from wavecrew.core import shim
from wavecrew.core.attempts import (
    Fate,
    Progress,
    Result,
    attempt_folder,
    fate_of,
    read_progress,
    read_result,
    shim_pid,
)
from wavecrew.errors import StoreError
from wavecrew.models.invocation import JobStep, JobStepKind


def name_of(phase: str) -> str:
    return attempt_folder(Path("/s"), "r", phase, 1).parent.name


def test_a_plain_id_is_its_own_folder() -> None:
    assert attempt_folder(Path("/s"), "r1", "P1-a_b", 3) == Path("/s/runs/r1/P1-a_b/3")


@pytest.mark.parametrize("phase", ["..", ".", "/etc", "a/b", "a b", "-", "é", "x" * 200, "a\\b", "~", "con:", "\ud800"])
def test_any_id_makes_a_short_harmless_folder(phase: str) -> None:
    name = name_of(phase)

    assert len(name) <= 50
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert name != phase


@given(st.lists(st.text("aA-_ ./é", min_size=1, max_size=45), min_size=2, max_size=8, unique=True))
def test_no_two_ids_share_a_folder(phases: list[str]) -> None:
    assert len({name_of(phase) for phase in phases}) == len(phases)


def test_no_id_can_be_made_up_that_shares_the_folder_of_another() -> None:
    assert name_of(name_of("a b")) != name_of("a b")


# -- jobs -------------------------------------------------------------------------------------------------------


def test_a_job_is_readable_for_us_alone(tmp_path: Path) -> None:
    file = JobStep(JobStepKind.FILE, "write x", path="x", text="t")
    folder = prepared_attempt(tmp_path / "1", shell("true", stdin="in\udcff"), file, env={"ONLY_MINE": "s"})

    job = json.loads((folder / "job.json").read_text())
    assert [step["kind"] for step in job["steps"]] == ["run", "file"]
    assert (folder / job["steps"][0]["stdin"]).read_bytes() == b"in\xff"
    assert json.loads((folder / "env.json").read_text())["ONLY_MINE"] == "s"
    assert "ONLY_MINE" not in (folder / "job.json").read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_job_is_not_written_through_a_planted_link(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "env.json").symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match=r"symbolic links|File exists"):
        prepared_attempt(tmp_path / "1", shell("true"))

    assert not (tmp_path / "victim").exists()


# -- what the shim left -------------------------------------------------------------------------------------------

GOOD = {"code": -9, "cause": "timeout", "title": "t", "detail": "d", "strays": 2, "at": 1.0}


def test_a_result_is_read_back(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    shim.publish(str(tmp_path), "exit", GOOD, sync=True)

    assert read_result(tmp_path) == Result(-9, "timeout", "t", "d", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["exit"]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"0", b"[]", b"null", b"{", b'{"code": 0', b'{"code": 0}', b"\xff\xfe", b'{"code": "x", "cause": ""}'),
        *(json.dumps({**GOOD, field: wrong}).encode() for field, wrong in (("code", None), ("strays", []))),
    ],
)
def test_a_torn_or_foreign_result_is_never_an_end(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "exit").write_bytes(content)

    with pytest.raises(StoreError):
        read_result(tmp_path)


@given(cut=st.integers(0, len(json.dumps(GOOD)) - 1))
def test_a_result_cut_anywhere_is_never_an_end(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cut")
    (folder / "exit").write_text(json.dumps(GOOD)[:cut])

    with pytest.raises(StoreError):
        read_result(folder)


def test_a_result_that_is_a_folder_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "exit").mkdir()

    with pytest.raises(StoreError, match="cannot be read"):
        read_result(tmp_path)


def test_progress_is_for_people_and_never_an_error(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    (tmp_path / "progress").write_text("{torn")
    assert read_progress(tmp_path) is None
    (tmp_path / "progress").write_text('{"step": 1}')
    assert read_progress(tmp_path) is None
    (tmp_path / "progress").write_text('{"step": 1, "of": 2, "title": "t"}')
    assert read_progress(tmp_path) == Progress(1, 2, "t")


def test_the_pid_of_a_shim(tmp_path: Path) -> None:
    assert shim_pid(tmp_path) is None
    for content in ("{}", "{torn", '{"pid": "x", "ticks": 1}', '{"pid": 1, "ticks": []}'):
        (tmp_path / "started").write_text(content)
        assert shim_pid(tmp_path) is None
    me = living()
    for ticks, found in ((me.ticks, me.pid), (me.ticks + 1, None)):  # the other one had the pid before us
        (tmp_path / "started").write_text(json.dumps({"pid": me.pid, "ticks": ticks}))
        assert shim_pid(tmp_path) == found


# -- fates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "locked", "fate"),
    [
        ((), True, Fate.ALIVE),
        (("started",), True, Fate.ALIVE),
        (("started", "exit"), True, Fate.ALIVE),  # its shim is about to end
        (("started", "exit"), False, Fate.ENDED),
        (("started",), False, Fate.LOST),
        ((), False, Fate.NEVER_STARTED),
        (("aborted",), False, Fate.NEVER_STARTED),
    ],
)
def test_the_fate_of_an_attempt(tmp_path: Path, files: tuple[str, ...], locked: bool, fate: Fate) -> None:
    import fcntl

    for name in files:
        (tmp_path / name).touch()
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    if locked:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert [fate_of(tmp_path), fate_of(tmp_path)] == [fate, fate]  # asking twice changes nothing
        assert (tmp_path / "aborted").exists() is (fate is Fate.NEVER_STARTED)
    finally:
        os.close(descriptor)


def test_an_attempt_without_a_folder_never_started(tmp_path: Path) -> None:
    assert fate_of(tmp_path / "r1" / "p" / "1") is Fate.NEVER_STARTED
    assert (tmp_path / "r1" / "p" / "1" / "aborted").exists()


def test_giving_up_removes_the_environment_and_shuts_out_a_late_shim(tmp_path: Path) -> None:
    folder = prepared_attempt(tmp_path / "1", shell("touch ran"), env={"ONLY_MINE": "s"})

    assert fate_of(folder) is Fate.NEVER_STARTED

    assert not (folder / "env.json").exists()
    assert shim.run_attempt(str(folder)) == shim.REFUSED
    assert not (tmp_path / "ws" / "ran").exists()
    assert not (folder / "started").exists()


@pytest.mark.parametrize("faster", ["it holds the lock", "it has been and gone"])
def test_a_shim_that_is_faster_than_giving_up_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faster: str
) -> None:
    """Between the look at the lock and the attempt to take it, the shim takes it, and perhaps ends."""
    import fcntl

    from wavecrew.core import attempts

    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)

    def look(path: Path) -> bool:
        (tmp_path / "started").touch()
        if faster == "it holds the lock":
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        return False

    monkeypatch.setattr(attempts, "is_locked", look)
    try:
        assert fate_of(tmp_path) is Fate.ALIVE
        assert not (tmp_path / "aborted").exists()
    finally:
        os.close(descriptor)
