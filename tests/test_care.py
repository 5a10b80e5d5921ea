"""The files of a shared workspace: what changed without a claim, and what is put back before an attempt is repeated."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import phase
from wavecrew.core import restore
from wavecrew.core.attempts import Job, attempt_folder, write_job
from wavecrew.core.audit import Audit, told
from wavecrew.core.care import AuditPolicy, Care
from wavecrew.core.jobs import Desk as Place
from wavecrew.core.jobs import Prepared
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.models import events as ev
from wavecrew.models.events import Outcome
from wavecrew.models.resources import Claim, parse_resource


def claims(text: str) -> tuple[Claim, ...]:
    """`a.py +b.py`: a.py exclusive, b.py shared."""
    return tuple(Claim(parse_resource(word.lstrip("+")), not word.startswith("+")) for word in text.split())


def write(folder: Path, **files: str) -> None:
    """`write(ws, a="text")`; two underscores stand for a slash."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def picture(folder: Path) -> dict[str, object]:
    """Everything below a folder: text, mode or link of each file, and that there is a folder."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (path.read_text(), path.stat().st_mode)
        else:
            found[name] = "folder" if path.is_dir() else "pipe"
    return found


# -- audit ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ws(tmp_path: Path) -> Path:
    (tmp_path / "ws").mkdir()
    return tmp_path / "ws"


@pytest.fixture
def audit(ws: Path) -> Audit:
    write(ws, known="k", src__a="a", src__deep__b="b")
    found = Audit(ResourceKeys(ws))
    assert found.look({"x": ()}) is None, "nothing is known of the time before the first look"
    return found


@pytest.mark.parametrize(
    ("claimed", "change", "undeclared"),
    [
        ("", "known", ["known"]),
        ("known", "known", []),
        ("+known", "known", ["known"]),
        ("other", "known", ["known"]),
        ("src/", "src/a", []),
        ("src/", "src/new/c", []),
        ("src/", "src2", ["src2"]),
        ("src/*", "src/new", []),
        ("src/*", "src/deep/b", ["src/deep/b"]),
        ("src/**", "src/deep/b", []),
        ("./", "any/where", []),
        ("port:8080", "known", ["known"]),
        ("slot:gpu/2", "known", ["known"]),
    ],
)
def test_a_change_is_held_against_the_claims(
    ws: Path, audit: Audit, claimed: str, change: str, undeclared: list[str]
) -> None:
    write(ws, **{change.replace("/", "__"): "changed"})
    found = audit.look({"x": claims(claimed)})
    assert (list(found.paths) if found else []) == undeclared
    assert audit.look({"x": ()}) is None, "a change is told once"


def test_a_file_that_is_gone_was_changed(ws: Path, audit: Audit) -> None:
    (ws / "known").unlink()
    (ws / "src/a").unlink()
    found = audit.look({"x": claims("src/a")})
    assert found is not None
    assert found.paths == ("known",)


def test_a_link_that_leads_elsewhere_was_changed(ws: Path, audit: Audit) -> None:
    (ws / "link").symlink_to("known")
    audit.look({})
    (ws / "link").unlink()
    (ws / "link").symlink_to("src/deep")
    found = audit.look({"x": ()})
    assert found is not None
    assert found.paths == ("link",)


def test_everybody_who_was_at_work_is_suspected(ws: Path, audit: Audit) -> None:
    write(ws, known="!", other="!")
    found = audit.look({"x": claims("other"), "y": claims("mine")})
    assert found is not None
    assert found.suspects == ("x", "y")
    assert found.paths == ("known",)


def test_what_changes_while_nobody_is_at_work_is_nobodys(ws: Path, audit: Audit) -> None:
    write(ws, known="by hand")
    assert audit.look({}) is None
    assert audit.look({"x": ()}) is None


@pytest.mark.parametrize("name", [".git/index", "src/__pycache__/a.pyc", "node_modules/x.js", ".wavecrew/state.db"])
def test_what_tools_keep_for_themselves_is_not_looked_at(ws: Path, audit: Audit, name: str) -> None:
    write(ws, **{name.replace("__pycache__", "PY").replace("/", "__"): "x"})
    if (ws / "src/PY").exists():
        (ws / "src/PY").rename(ws / "src/__pycache__")
    assert audit.look({"x": ()}) is None


def test_a_file_on_its_way_into_place_is_not_looked_at(ws: Path, audit: Audit) -> None:
    write(ws, **{"src__.a.wavecrew": "half"})
    assert audit.look({"x": claims("src/a")}) is None
    (ws / "src/.a.wavecrew").rename(ws / "src/a")
    assert audit.look({"x": claims("src/a")}) is None


def test_a_file_name_that_is_no_text_is_told(ws: Path, audit: Audit) -> None:
    (ws / os.fsdecode(b"odd-\xff\n")).write_text("x")
    found = audit.look({"x": claims("src/")})
    assert found is not None
    assert found.paths == ("odd-\udcff\n",)


def test_only_some_of_many_paths_are_told() -> None:
    assert told(("a", "b")) == "a, b"
    assert told(tuple("abcdefg")) == "a, b, c, d, e and 2 more"


# -- what is put back -------------------------------------------------------------------------------------------


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    (tmp_path / "attempt").mkdir()
    return tmp_path / "attempt"


def _rewrite(ws: Path) -> None:
    (ws / "src/a").write_text("!")


def _same_size_and_time(ws: Path) -> None:
    before = (ws / "src/a").stat()
    (ws / "src/a").write_text("b")
    os.utime(ws / "src/a", ns=(before.st_atime_ns, before.st_mtime_ns))


def _folder_for_file(ws: Path) -> None:
    (ws / "src/a").unlink()
    (ws / "src/a").mkdir()
    (ws / "src/a/inner").write_text("x")


def _file_for_folder(ws: Path) -> None:
    (ws / "src/deep/b").unlink()
    (ws / "src/deep").rmdir()
    (ws / "src/deep").write_text("x")


def _link_for_folder(ws: Path) -> None:
    (ws / "src/deep/b").unlink()
    (ws / "src/deep").rmdir()
    (ws / "src/deep").symlink_to(ws / "elsewhere")


def _link_for_file(ws: Path) -> None:
    (ws / "src/a").unlink()
    (ws / "src/a").symlink_to("deep")


def _other_link(ws: Path) -> None:
    (ws / "src/link").unlink()
    (ws / "src/link").symlink_to("b")


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": _rewrite,
    "same size and time": _same_size_and_time,
    "removed": lambda ws: (ws / "src/a").unlink(),
    "new": lambda ws: write(ws, src__new="x"),
    "new folder": lambda ws: write(ws, src__more__deep__new="x"),
    "new empty folder": lambda ws: (ws / "src/more").mkdir(),
    "empty folder removed": lambda ws: (ws / "src/empty").rmdir(),
    "mode": lambda ws: (ws / "src/a").chmod(0o755),
    "other link": _other_link,
    "link for file": _link_for_file,
    "new link to a folder": lambda ws: (ws / "src/way").symlink_to("deep"),
    "new pipe": lambda ws: os.mkfifo(ws / "src/pipe2"),
    "folder for file": _folder_for_file,
    "file for folder": _file_for_folder,
    "link for folder": _link_for_folder,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("claimed", ["src/", "./"])
def test_a_claimed_folder_is_put_back(ws: Path, attempt: Path, change: str, claimed: str) -> None:
    write(ws, src__a="a", src__deep__b="b", elsewhere__b="not yours", beside="x")
    (ws / "src/empty").mkdir()
    (ws / "src/link").symlink_to("a")
    os.mkfifo(ws / "src/pipe")
    before = picture(ws)
    assert restore.keep(ws, attempt, claims(claimed))

    CHANGES[change](ws)
    assert picture(ws) != before or change == "same size and time"

    assert restore.put_back(ws, attempt, claims(claimed)) is not None
    assert picture(ws) == before
    assert restore.put_back(ws, attempt, claims(claimed)) == (), "twice is the same as once"
    assert picture(ws) == before


def test_a_claimed_folder_that_was_not_there_is_gone_again(ws: Path, attempt: Path) -> None:
    write(ws, beside="x")
    before = picture(ws)
    restore.keep(ws, attempt, claims("build/"))
    write(ws, build__out__a="x")
    restore.put_back(ws, attempt, claims("build/"))
    assert picture(ws) == before


@pytest.mark.parametrize("claimed", ["src/a src/new", "src/[an]*"])
def test_beside_claimed_files_nothing_is_touched(ws: Path, attempt: Path, claimed: str) -> None:
    write(ws, src__a="a", src__other="o")
    restore.keep(ws, attempt, claims(claimed))
    write(ws, src__a="!", src__new="!", src__other="work of somebody else", src__more__x="of somebody else, too")
    (ws / "src/empty").mkdir()

    assert restore.put_back(ws, attempt, claims(claimed)) == ("src/new", "src/a")

    assert (ws / "src/a").read_text() == "a"
    assert not (ws / "src/new").exists()
    assert (ws / "src/other").read_text() == "work of somebody else"
    assert (ws / "src/more/x").exists()
    assert (ws / "src/empty").is_dir()


def test_what_is_only_read_or_is_no_file_is_left_alone(ws: Path, attempt: Path) -> None:
    write(ws, a="a")
    wanted = claims("+a port:80 slot:gpu/2")
    assert restore.keep(ws, attempt, wanted)
    write(ws, a="!")
    assert restore.put_back(ws, attempt, wanted) == ()
    assert (ws / "a").read_text() == "!"


def test_a_repository_inside_a_claimed_folder_is_left_alone(ws: Path, attempt: Path) -> None:
    write(ws, **{"src__a": "a", "src__.git__HEAD": "one"})
    restore.keep(ws, attempt, claims("src/"))
    write(ws, **{"src__a": "!", "src__.git__HEAD": "two", "src__.git__new": "x", "src__sub__.git__HEAD": "x"})
    restore.put_back(ws, attempt, claims("src/"))
    assert (ws / "src/.git/HEAD").read_text() == "two"
    assert (ws / "src/.git/new").exists()
    assert (ws / "src/sub/.git/HEAD").exists()
    assert (ws / "src/a").read_text() == "a"


@pytest.mark.parametrize("claimed", ["src/a src/b", "src/*", "src/"])
def test_nothing_is_reached_through_a_link_that_an_agent_made(
    tmp_path: Path, ws: Path, attempt: Path, claimed: str
) -> None:
    write(ws, src__a="a")
    write(tmp_path, outside__a="not yours", outside__b="not yours")
    restore.keep(ws, attempt, claims(claimed))
    (ws / "src").rename(ws / "gone")
    (ws / "src").symlink_to(tmp_path / "outside")

    restore.put_back(ws, attempt, claims(claimed))

    assert picture(tmp_path / "outside").keys() == {"a", "b"}
    assert (tmp_path / "outside/a").read_text() == "not yours"
    assert (ws / "src").is_symlink() is (claimed != "src/"), "a claimed folder is put back in the place of the link"


def test_writing_back_does_not_follow_a_planted_link(tmp_path: Path, ws: Path, attempt: Path) -> None:
    write(ws, a="a")
    write(tmp_path, victim="not yours")
    restore.keep(ws, attempt, claims("a"))
    write(ws, a="!")
    (ws / ".a.wavecrew").symlink_to(tmp_path / "victim")
    restore.put_back(ws, attempt, claims("a"))
    assert (tmp_path / "victim").read_text() == "not yours"
    assert (ws / "a").read_text() == "a"
    assert not os.path.lexists(ws / ".a.wavecrew")


def test_more_than_the_limit_is_not_kept_and_nothing_of_it_is_put_back(
    ws: Path, attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "LIMIT_BYTES", 10)
    write(ws, a="12345", b="67890")
    assert restore.keep(ws, attempt, claims("a b")), "the limit itself is allowed"
    restore.forget(attempt)
    write(ws, b="678901")
    assert not restore.keep(ws, attempt, claims("a b"))
    write(ws, a="!")
    assert restore.put_back(ws, attempt, claims("a b")) is None
    assert (ws / "a").read_text() == "!"


def test_what_cannot_be_read_is_not_kept(ws: Path, attempt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(ws, a="a", b="b")
    copy = shutil.copy2

    def refuse(source: Path, *rest: Any, **more: Any) -> Any:
        if source.name == "b":
            raise PermissionError(13, "Permission denied")
        return copy(source, *rest, **more)

    monkeypatch.setattr(shutil, "copy2", refuse)
    assert not restore.keep(ws, attempt, claims("a b"))
    assert picture(attempt) == {}
    assert restore.put_back(ws, attempt, claims("a b")) is None


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("after", range(4))
def test_who_is_killed_while_putting_back_is_followed_by_one_who_ends_it(
    ws: Path, attempt: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write(ws, src__a="a", src__b="b")
    (ws / "src/l").symlink_to("a")
    before = picture(ws)
    restore.keep(ws, attempt, claims("src/"))
    write(ws, src__a="!", src__b="!", src__new="!")
    (ws / "src/l").unlink()
    (ws / "src/l").symlink_to("b")
    done: list[str] = []
    copy = shutil.copy2

    def kill(*arguments: Any, **more: Any) -> None:
        if len(done) == after:
            raise Killed
        done.append("")
        copy(*arguments, **more)
        if len(done) == after:
            raise Killed  # the copy stands beside its place

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", kill)
        with pytest.raises(Killed):
            restore.put_back(ws, attempt, claims("src/"))
    restore.put_back(ws, attempt, claims("src/"))
    assert picture(ws) == before


def test_a_file_that_cannot_be_put_back_does_not_keep_the_others_from_it(ws: Path, attempt: Path) -> None:
    write(ws, a="a", b="b")
    restore.keep(ws, attempt, claims("a b"))
    (ws / "a").unlink()
    write(ws, a__inner="a claim on a file is none on what is in a folder of that name", b="!")
    with pytest.raises(OSError, match="a"):
        restore.put_back(ws, attempt, claims("a b"))
    assert (ws / "b").read_text() == "b"
    assert (ws / "a/inner").exists()


@pytest.mark.parametrize("torn", ["", "{", '{"files": ["a"]'])
def test_a_torn_index_is_none(ws: Path, attempt: Path, torn: str) -> None:
    write(ws, a="a")
    restore.keep(ws, attempt, claims("a"))
    (attempt / "before.json").write_text(torn)
    write(ws, a="!")
    assert restore.put_back(ws, attempt, claims("a")) is None


_STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "remove", "link", "folder"]), st.sampled_from(["a", "b", "d/a", "d/e/a", "d"])),
    max_size=6,
)


def _do(ws: Path, steps: list[tuple[str, str]], text: str) -> None:
    for what, name in steps:
        path = ws / "src" / name
        try:
            if what == "remove":
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            elif what == "link":
                path.symlink_to("a")
            elif what == "folder":
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        except OSError:
            continue  # not every step is possible in every state


@settings(max_examples=60, deadline=None)
@given(before=_STEPS, after=_STEPS)
def test_whatever_an_agent_does_in_its_folder_is_put_back(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    base = tmp_path_factory.mktemp("any")
    (base / "ws/src").mkdir(parents=True)
    (base / "attempt").mkdir()
    _do(base / "ws", before, "before")
    then = picture(base / "ws")
    restore.keep(base / "ws", base / "attempt", claims("src/"))
    _do(base / "ws", after, "after")
    restore.put_back(base / "ws", base / "attempt", claims("src/"))
    assert picture(base / "ws") == then


# -- the care of a coordinator ----------------------------------------------------------------------------------


class Desk:
    """A coordinator's care for one phase that claims `f` and `d/`, and the attempts of it."""

    def __init__(self, base: Path, audit: AuditPolicy = AuditPolicy.WARN, *, put_back: bool = True) -> None:
        self.base, self.ws = base, base / "ws"
        self.claims = claims("f d/")
        self.care = Care(ResourceKeys(self.ws), {"p": self.claims, "q": claims("f")}, audit, put_back=put_back)

    def start(self, number: int) -> Path:
        folder = attempt_folder(self.base, "r", "p", number)
        job = Job(str(self.ws), (), {}, None, 1.0)
        write_job(folder, job)
        prepared = Prepared(phase("p"), number, "command", folder, job, self.claims, Place(self.ws))
        self.care.before_start(self.base, "r", prepared)
        return folder

    def end(self, number: int, outcome: Outcome, *, again: bool = False) -> None:
        folder = attempt_folder(self.base, "r", "p", number)
        retry_at = 1.0 if again else None
        self.care.after_end(
            folder, ev.AttemptEnded(at=0.0, phase="p", attempt=number, outcome=outcome, retry_at=retry_at)
        )

    @property
    def f(self) -> str:
        return (self.ws / "f").read_text()


@pytest.fixture
def desk(tmp_path: Path, ws: Path) -> Desk:
    write(ws, f="as it was")
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("outcome", "again", "left"),
    [
        (Outcome.SUCCEEDED, False, "of the attempt"),
        (Outcome.FAILED, True, "as it was"),
        (Outcome.FAILED, False, "of the attempt"),
        (Outcome.LOST, True, "as it was"),
        (Outcome.LOST, False, "of the attempt"),
        (Outcome.STOPPED, False, "as it was"),
    ],
)
def test_files_are_put_back_exactly_when_the_attempt_is_repeated(
    desk: Desk, outcome: Outcome, again: bool, left: str
) -> None:
    desk.start(1)
    write(desk.ws, f="of the attempt")
    desk.end(1, outcome, again=again)
    assert desk.f == left


def test_who_does_not_want_it_has_nothing_put_back(tmp_path: Path, ws: Path) -> None:
    desk = Desk(tmp_path, put_back=False)
    write(ws, f="as it was")
    folder = desk.start(1)
    write(ws, f="of the attempt")
    desk.end(1, Outcome.FAILED, again=True)
    desk.start(2)
    assert desk.f == "of the attempt"
    assert not (folder / "before.json").exists()


def test_a_failure_for_good_is_put_back_when_somebody_wants_another_attempt(desk: Desk) -> None:
    desk.start(1)
    write(desk.ws, f="first", d__new="first")
    desk.end(1, Outcome.FAILED)
    assert desk.f == "first", "the failure can be looked at"
    desk.start(2)
    assert desk.f == "as it was"
    assert not (desk.ws / "d").exists()
    write(desk.ws, f="second")
    desk.end(2, Outcome.FAILED)
    desk.start(3)
    assert desk.f == "as it was", "and again"


def test_a_file_that_somebody_mended_meanwhile_is_not_undone(desk: Desk) -> None:
    desk.start(1)
    write(desk.ws, f="first", d__new="first")
    desk.end(1, Outcome.FAILED)
    write(desk.ws, d__new="mended by hand")
    desk.start(2)
    assert desk.f == "first"
    assert (desk.ws / "d/new").read_text() == "mended by hand"
    write(desk.ws, f="second")
    desk.end(2, Outcome.FAILED, again=True)
    assert desk.f == "first", "the second attempt is put back to where it began"


def test_the_work_of_another_phase_in_a_shared_file_is_not_undone(desk: Desk) -> None:
    desk.start(1)
    write(desk.ws, f="of p")
    desk.end(1, Outcome.FAILED, again=True)
    write(desk.ws, f="of q")  # its turn came while p was waiting for its retry
    desk.start(2)
    assert desk.f == "of q"
    desk.end(2, Outcome.FAILED)
    write(desk.ws, f="of q again")
    desk.start(3)
    assert desk.f == "of q again"


def test_a_finished_phase_that_is_done_again_starts_from_what_it_made(desk: Desk) -> None:
    desk.start(1)
    write(desk.ws, f="made")
    desk.end(1, Outcome.SUCCEEDED)
    assert not list(desk.base.rglob("before*")), "its copies are of no use any more"
    desk.start(2)
    assert desk.f == "made"


def test_who_is_killed_while_putting_back_for_another_attempt_is_followed_by_one_who_ends_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(desk.ws, d__x="as it was")
    desk.start(1)
    write(desk.ws, f="first", d__x="first")
    desk.end(1, Outcome.FAILED)
    replace = restore._replace

    def kill(workspace: Path, copy: Path, name: str) -> bool:
        if name == "f":
            raise Killed
        return replace(workspace, copy, name)

    with monkeypatch.context() as patch:
        patch.setattr(restore, "_replace", kill)
        with pytest.raises(Killed):
            desk.start(2)
    assert ((desk.ws / "d/x").read_text(), desk.f) == ("as it was", "first")
    desk.end(2, Outcome.LOST, again=True)
    assert desk.f == "as it was"
    desk.start(3)
    assert desk.f == "as it was"


def test_what_was_put_back_is_nobodys_undeclared_write_and_hides_none(desk: Desk) -> None:
    desk.care.look({}, 0.0)
    desk.start(1)
    write(desk.ws, f="of the attempt", d__new="of the attempt")
    assert desk.care.look({"p": (), "z": ()}, 0.0) == []
    write(desk.ws, stray="of z")  # after the look, before the files are put back
    desk.end(1, Outcome.FAILED, again=True)
    (found,) = desk.care.look({"z": ()}, 5.0)
    assert found == ev.UndeclaredWrites(at=5.0, suspects=("z",), paths=("stray",))


def test_what_was_claimed_on_the_way_is_no_undeclared_write(desk: Desk) -> None:
    desk.care.look({}, 0.0)
    write(desk.ws, given="x", stray="x")
    (found,) = desk.care.look({"p": ("given",)}, 5.0)
    assert found == ev.UndeclaredWrites(at=5.0, suspects=("p",), paths=("stray",))


def test_without_an_audit_nothing_is_looked_at(tmp_path: Path, ws: Path) -> None:
    desk = Desk(tmp_path, AuditPolicy.OFF)
    desk.care.look({"p": ()}, 0.0)
    write(ws, stray="x")
    assert desk.care.look({"p": ()}, 0.0) == []
