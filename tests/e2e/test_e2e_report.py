"""`wavecrew report` as a user types it: formats, files, comparison, GitHub Actions, and refusals."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sandbox import Sandbox, phase, wait_for

_ALL = "text,html,md,json,junit,csv,trace,mermaid,svg"
_HOSTILE = "<img src=x onerror=alert(1)> | `x`"


@pytest.fixture
def ran(box: Sandbox) -> Sandbox:
    """A sandbox with a run that has something done, something tried again, something failed and something blocked."""
    box.plan(
        phase("a", "touch one.py", writes=["one.py"], estimate="1m") | {"name": _HOSTILE},
        phase("b", "printf '\\033[31m<b>boom</b>\\n'; exit 3", needs=["a"], retries=1),
        phase("c", needs=["b"]),
    )
    assert box.run().code == 1
    return box


def test_all_formats_go_into_a_folder_and_are_renewed_there(ran: Sandbox) -> None:
    done = ran.wavecrew("report", "--format", _ALL, "-o", "out/report")
    assert (done.code, done.out) == (0, "")
    names = {
        "report.txt",
        "index.html",
        "summary.md",
        "report.json",
        "junit.xml",
        "attempts.csv",
        "trace.json",
        "graph.mmd",
        "graph.svg",
    }
    assert set(os.listdir(ran.folder / "out/report")) == names
    assert {line.rpartition("/")[2] for line in done.err.splitlines()} == names
    page = ran.read("out/report/index.html")
    assert "<img" not in page
    assert "\x1b" not in page
    assert "&lt;b&gt;boom&lt;/b&gt;" in page
    root = ElementTree.fromstring(ran.read("out/report/junit.xml"))  # noqa: S314 -- made here
    assert (root.attrib["tests"], root.attrib["failures"]) == ("3", "1")
    assert "boom" in (root.findtext("testsuite/testcase[2]/system-out") or "")
    data = json.loads(ran.read("out/report/report.json"))
    assert data["proof"]["proven"] is True
    assert len(json.loads(ran.read("out/report/trace.json"))["traceEvents"]) > 3
    again = ran.wavecrew("report", "--format", _ALL, "-o", "out/report/", "-q")
    assert (again.code, again.err) == (0, "")
    assert set(os.listdir(ran.folder / "out/report")) == names


def test_one_format_goes_to_standard_output_or_into_a_file(ran: Sandbox) -> None:
    printed = ran.wavecrew("report", "--format", "csv")
    assert printed.out.startswith("run,phase,name,")
    assert len(printed.out.splitlines()) == 4
    assert ran.wavecrew("report", "--format", "csv", "-o", "rows.csv").code == 0
    assert ran.read("rows.csv") == printed.out
    assert ran.wavecrew("report", "--json").json["kind"] == "wavecrew.report"


def test_a_foreign_file_is_kept_until_somebody_says_otherwise(ran: Sandbox) -> None:
    ran.write("keep/index.html", "<p>mine</p>")
    refused = ran.wavecrew("report", "--format", "md,html", "-o", "keep")
    assert refused.code == 2
    assert "no html report of wavecrew" in refused.err
    assert os.listdir(ran.folder / "keep") == ["index.html"]
    assert ran.wavecrew("report", "--format", "md,html", "-o", "keep", "--force").code == 0
    assert ran.read("keep/index.html").startswith("<!doctype html>")
    target = ran.write("elsewhere", "mine too")
    (ran.folder / "link.md").symlink_to(target)
    assert ran.wavecrew("report", "--format", "md", "-o", "link.md").code == 2
    assert ran.read("elsewhere") == "mine too"


_REFUSED = [
    (["--format", "html,pdf"], 2, "pdf is no format"),
    (["--format", ","], 2, "nothing is no format"),
    (["--format", "html,md"], 2, "several formats need a folder"),
    (["--format", "html,md", "-o", "plan.json"], 2, "plan.json is a file"),
    (["-o", "no/such/folder/x.txt"], 2, "cannot be written"),
    (["--json", "--format", "md"], 2, "do not go together"),
    (["--format", "csv", "--compare", "latest"], 2, "shows in none of csv"),
    (["--compare", "zzz"], 4, "no run begins with 'zzz'"),
]


def test_refusals_say_why(ran: Sandbox) -> None:
    for arguments, code, words in _REFUSED:
        found = ran.wavecrew("report", *arguments)
        assert (found.code, found.out) == (code, ""), arguments
        assert words in found.err


def test_two_runs_are_compared(ran: Sandbox) -> None:
    first = ran.status()["run"]
    assert ran.run("--force").code == 1
    text = ran.wavecrew("report", "--compare", first).out
    assert f"compared with {first}" in text
    data = ran.wavecrew("report", "--format", "json", "--compare", first).json["compared"]
    assert data["before"] == first
    assert [one["id"] for one in data["phases"]] == ["a", "b", "c"]
    assert data["phases"][2]["seconds_more"] is None


def test_in_github_actions_there_are_annotations_and_a_summary(ran: Sandbox, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    there = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    found = ran.wavecrew("report", env=there)
    assert re.search(r"^::error file=plan\.json,line=\d+,title=b[^:]*::b .*exit code 3$", found.out, re.MULTILINE)
    assert summary.read_text().startswith("before\n<!-- wavecrew report -->\n")
    assert "\x1b" not in summary.read_text()
    beside = ran.wavecrew("report", "--json", env=there)
    assert beside.json["kind"] == "wavecrew.report"
    assert "::error " in beside.err
    assert "::" not in ran.wavecrew("report", "--no-github", env=there).out
    gone = ran.wavecrew("report", "--github", env={"GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "folder")})
    assert gone.code == 0
    assert "the step summary cannot be written" in gone.err
    assert "::error " in gone.out


def test_a_run_in_progress_has_a_report(box: Sandbox) -> None:
    box.plan(phase("w", "while ! test -e go; do sleep 0.05; done"))
    running = box.start_run()
    wait_for(lambda: "w" in box.read("ran"), "the phase to begin")
    found = box.wavecrew("report", "--format", "md")
    assert found.code == 0
    assert "running, 0 of 1 phases" in found.out
    assert "the run is not over" in found.out
    box.write("go", "")
    assert running.end().code == 0
