"""Keys: two spellings that can mean one file get one key, and what leaves the workspace gets none."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.core.resource_keys import ResourceKeys, is_temporary
from wavecrew.errors import InvalidValueError
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.resources import ResourceKind


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """src/deep, with `lnk` leading to it; `out` leads away, `ring` and `gnir` to each other."""
    folder = tmp_path / "ws"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "lnk").symlink_to("src/deep")
    (folder / "out").symlink_to(tmp_path)
    (folder / "dangling").symlink_to("src/not-yet.py")
    (folder / "ring").symlink_to("gnir")
    (folder / "gnir").symlink_to("ring")
    return folder


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("src/a.py", "src/a.py"),
        ("./src//x/../a.py", "src/a.py"),
        ("src", "src/"),
        ("src/", "src/"),
        (".", "./"),
        ("lnk", "src/deep/"),
        ("lnk/", "src/deep/"),
        ("lnk/new/x.py", "src/deep/new/x.py"),
        ("dangling", "src/not-yet.py"),
        ("lnk/../x.py", "src/x.py"),
        ("lnk/*.py", "src/deep/*.py"),
        ("lnk/../*.py", "src/*.py"),
        ("*.py", "*.py"),
        ("src/**/", "src/**/**"),
        ("port:8080", "port:8080"),
    ],
)
def test_a_text_becomes_the_key_that_the_file_system_means(workspace: Path, text: str, key: str) -> None:
    keys = ResourceKeys(workspace)

    assert str(keys.key(text)) == key
    if text != "port:8080":
        assert keys.key(f"{workspace}/{text}") == keys.key(text)


def test_kinds_are_told_apart(workspace: Path) -> None:
    keys = ResourceKeys(workspace)

    kinds = [keys.key(text).kind for text in ("new.py", "src", "src/*", "git:main")]

    assert kinds == [ResourceKind.FILE, ResourceKind.TREE, ResourceKind.GLOB, ResourceKind.NAME]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("out/x", "leads out of the workspace through a link"),
        ("out/*.py", "leads out of the workspace through a link"),
        ("out", "leads out of the workspace through a link"),
        ("ring", "ring of links"),
        ("../x", "leaves the workspace"),
        ("lnk/../../../x", "leaves the workspace"),
        ("/etc/passwd", "outside the workspace"),
        ("n" * 300, "cannot be a path here"),
    ],
)
def test_what_leaves_the_workspace_or_can_be_no_path_is_refused(workspace: Path, text: str, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        ResourceKeys(workspace).key(text)


def test_a_neighbour_whose_name_begins_like_the_workspace_is_outside(workspace: Path) -> None:
    (workspace.parent / "ws-other").mkdir()

    with pytest.raises(InvalidValueError, match="outside"):
        ResourceKeys(workspace).key(str(workspace.parent / "ws-other" / "x"))


def test_an_absolute_path_may_come_through_a_link_to_the_workspace(workspace: Path) -> None:
    (workspace.parent / "door").symlink_to(workspace)
    keys = ResourceKeys(workspace.parent / "door")

    assert keys.workspace == workspace
    assert str(keys.key(str(workspace.parent / "door" / "src" / "a.py"))) == "src/a.py"
    assert str(keys.key(f"{workspace.parent}/door/src/")) == "src/"
    assert str(keys.key(f"{workspace.parent}/door")) == "./"
    assert str(keys.key(f"{workspace}/")) == "./"


def test_both_unicode_forms_of_a_name_are_one_key(workspace: Path) -> None:
    keys = ResourceKeys(workspace)

    composed, taken_apart = (unicodedata.normalize(form, "src/né.py") for form in ("NFC", "NFD"))

    assert composed != taken_apart
    assert keys.key(composed) == keys.key(taken_apart)


def test_letter_case_counts_exactly_where_the_file_system_counts_it(workspace: Path) -> None:
    folding = ResourceKeys(workspace, fold_case=True)
    exact = ResourceKeys(workspace, fold_case=False)

    assert folding.key("Src2/A.PY") == folding.key("src2/a.py")
    assert folding.key("Src2/*.PY") == folding.key("src2/*.py")
    assert exact.key("Src2/A.PY") != exact.key("src2/a.py")


@pytest.mark.parametrize("state_folder", [True, False])
def test_whether_case_counts_is_found_out_by_looking(workspace: Path, state_folder: bool) -> None:
    if state_folder:
        (workspace / ".wavecrew").mkdir()
    probe = workspace / "Probe"
    probe.touch()

    found = ResourceKeys(workspace)

    assert (found.key("a") == found.key("A")) is (workspace / "pROBE").exists()


def test_a_file_system_that_folds_case_is_recognised(workspace: Path) -> None:
    (workspace / ".wavecrew").mkdir()
    (workspace / ".WAVECREW").symlink_to(".wavecrew")  # both spellings lead to the same folder

    assert ResourceKeys(workspace).key("A.py") == ResourceKeys(workspace).key("a.py")


def test_a_folder_whose_name_has_no_case_counts_as_exact(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()

    assert ResourceKeys(tmp_path / "1").key("A") != ResourceKeys(tmp_path / "1").key("a")


def test_claims_of_a_phase_are_resolved_with_their_mode(workspace: Path) -> None:
    declared = PhaseInfo("p", "P", outputs=("lnk/o.py",), reads=("lnk",)).claims

    found = {str(claim.resource): claim.exclusive for claim in map(ResourceKeys(workspace).claim, declared)}

    assert found == {"src/deep/o.py": True, "src/deep/": False}


def test_files_that_are_on_the_way_to_their_place_are_known() -> None:
    assert is_temporary(".x.py.wavecrew")
    assert not any(map(is_temporary, ("x.py.wavecrew", ".wavecrew/x", ".x.py")))


_SEGMENTS = st.lists(st.sampled_from(["a", "b", ".", "..", "to-a", "up", "new"]), min_size=1, max_size=6)


@given(segments=_SEGMENTS)
def test_a_key_is_where_a_write_would_land(segments: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """The one truth about a path is what the system does with it."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "up").symlink_to("..")
    (folder / "to-a").symlink_to("a/b")
    text = "/".join(segments)
    try:
        key = ResourceKeys(folder).key(text).key
    except InvalidValueError:
        return  # a text that climbs out, be it only on the way, may be refused
    assert os.path.realpath(folder / text) == os.path.normpath(folder / key)
