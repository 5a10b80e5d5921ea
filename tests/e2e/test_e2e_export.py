"""A real run sent from one workspace to another, and every command that shows runs there."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox import STATE, Sandbox, phase, wait_for


@pytest.fixture
def sent(box: Sandbox, tmp_path: Path) -> Path:
    """A run with a success, a retry and a failure, as a file."""
    box.extra |= {"MY_TOKEN": "s3cr3t-value-of-a-token"}
    box.plan(
        phase("a", 'echo "made a"; echo "$MY_TOKEN"; echo 1 > a', writes=["a"]),
        phase("b", "test -e again || { touch again; exit 1; }", needs=["a"], retries=1),
        phase("c", "echo it breaks; exit 3", needs=["a"]),
    )
    assert box.run("--env", "MY_TOKEN").code == 1
    file = tmp_path / "run.zip"
    told = box.wavecrew("runs", "export", "-o", str(file), "--json")
    assert told.code == 0, told
    assert told.json["logs"] == 4
    assert told.json["secrets_hidden"] >= 1
    return file


@pytest.fixture
def other(make_box: Callable[[str], Sandbox], sent: Path) -> Sandbox:
    """Another workspace, with the run taken in."""
    made = make_box("other")
    told = made.wavecrew("runs", "import", str(sent), "--json")
    assert told.code == 0, told
    return made


def test_every_view_works_on_an_imported_run(box: Sandbox, other: Sandbox) -> None:
    run = box.status()["run"]
    here, there = box.status(), other.status()
    assert there["imported"] == "run.zip"
    assert {one["id"]: one["standing"] for one in there["phases"]} == {"a": "passed", "b": "passed", "c": "failed"}
    assert there["counts"] == here["counts"]
    assert there["elapsed_seconds"] == here["elapsed_seconds"]
    assert "imported from run.zip" in other.wavecrew("status", run[:4]).out
    assert "made a" in other.wavecrew("logs", "a").out
    assert "it breaks" in other.wavecrew("logs", "--failed", "--run", run).out
    assert other.wavecrew("logs", "b", "--attempt", "1").code == 0
    assert [one["run"] for one in other.wavecrew("runs", "list", "--json").json["runs"]] == [run]
    assert "(imported)" in other.wavecrew("runs", "list").out
    assert "c Phase c" in other.wavecrew("runs", "show", run).out
    for form in ("text", "html", "md", "json", "junit", "csv", "trace", "mermaid", "svg"):
        made = other.wavecrew("report", run, "--format", form)
        assert made.code == 0, made
        assert made.out
    played = other.wavecrew("runs", "replay", run, "--speed", "1000")
    assert played.code == 0
    assert "pass   a Phase a" in played.out
    assert "it breaks" in played.out


def test_no_secret_is_in_the_file_or_in_what_is_made_of_it(sent: Path, other: Sandbox) -> None:
    with zipfile.ZipFile(sent) as archive:
        assert not [name for name in archive.namelist() if b"s3cr3t-value" in archive.read(name)]
    assert "[hidden MY_TOKEN]" in other.wavecrew("logs", "a").out


def test_nothing_goes_on_with_an_imported_run(box: Sandbox, other: Sandbox) -> None:
    run = other.status()["run"]
    before = other.status()
    for words in (
        ("retry", "c"),
        ("skip", "c", "--reason", "x"),
        ("pause",),
        ("cancel",),
        ("land",),
        ("verify",),
        ("diff", "a"),
        ("clean", run),
    ):
        done = other.wavecrew(*words)
        assert done.code in (2, 4, 8), (words, done)
    inside = other.folder / STATE / "imports" / run
    assert other.wavecrew("retry", "c", cwd=inside).code == 2
    assert other.status() == before
    other.write("plan.json", box.read("plan.json"))
    other.write("again", "")
    assert other.run("--force", "--only", "a").code == 0
    assert other.ran() == ["a"]
    own = other.status()
    assert own["run"] != run
    assert own["imported"] is None
    assert other.wavecrew("status", run, "--json").json == before | {"disk": other.status()["disk"]}
    assert other.wavecrew("runs", "forget", run).code == 0
    assert other.wavecrew("status", run).code == 4


def test_an_archive_that_is_damaged_is_told_in_words_and_leaves_nothing(
    sent: Path, make_box: Callable[[str], Sandbox]
) -> None:
    fresh = make_box("fresh")
    broken = sent.with_name("broken.zip")
    broken.write_bytes(sent.read_bytes()[:-200])
    refused = fresh.wavecrew("runs", "import", str(broken))
    assert refused.code == 3
    assert "broken.zip is no archive of a run that can be taken in: it is truncated" in refused.err
    assert fresh.wavecrew("status").code == 4
    assert "no runs yet" in fresh.wavecrew("runs", "list").out
    assert fresh.wavecrew("runs", "import", "nowhere.zip").code == 4


def test_an_import_that_is_killed_is_never_half_seen(sent: Path, make_box: Callable[[str], Sandbox]) -> None:
    fresh = make_box("fresh")
    imports = fresh.folder / STATE / "imports"
    for _ in range(3):
        running = fresh.start("runs", "import", str(sent))
        wait_for(lambda: list(imports.glob(".new-*")) or running.process.poll() is not None, "its beginning")  # noqa: B023
        running.kill()
        shown = fresh.wavecrew("runs", "list", "--json")
        assert shown.code == 0
        if shown.json["runs"]:  # it was quicker
            assert fresh.wavecrew("logs", "a").code == 0
            assert fresh.wavecrew("runs", "forget", shown.json["runs"][0]["run"]).code == 0
    assert fresh.wavecrew("runs", "import", str(sent)).code == 0
    assert [path.name for path in imports.iterdir() if path.name.startswith(".new")] == []
    assert "made a" in fresh.wavecrew("logs", "a").out


def test_a_file_is_not_overwritten_and_an_unknown_run_not_written(box: Sandbox, sent: Path) -> None:
    before = sent.read_bytes()
    assert box.wavecrew("runs", "export", "-o", str(sent)).code == 2
    assert sent.read_bytes() == before
    assert box.wavecrew("runs", "export", "zzzz", "-o", str(sent) + "2").code == 4
    assert not Path(str(sent) + "2").exists()
    assert box.wavecrew("runs", "export").code == 0
    (made,) = box.folder.glob("wavecrew-*.zip")
    assert json.loads(zipfile.ZipFile(made).read("manifest.json"))["schema"] == 1
