"""Findings as text, JSON, workflow annotations and SARIF."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from wavecrew.errors import Diagnostic, Place, Severity
from wavecrew.views import findings

ERROR = Diagnostic("WC102", Severity.ERROR, 'phase 07 needs "x"', Place("plan/07.md", 5, 3), "did you mean y?", ("07",))
WARNING = Diagnostic("WC105", Severity.WARNING, "a file for two", Place("plan/03.md", 2))
INFO = Diagnostic("WC108", Severity.INFO, "nothing proves it")

any_finding = st.builds(
    Diagnostic,
    st.sampled_from(["WC101", "WC102", "WC108"]),
    st.sampled_from(Severity),
    st.text(max_size=60),
    st.builds(Place, st.text(max_size=20), st.integers(0, 9), st.integers(0, 9)),
    st.text(max_size=30),
)


def test_text_tells_what_where_and_the_way_out() -> None:
    assert findings.text([ERROR]) == (
        'error[WC102]: phase 07 needs "x"\n'
        "  plan/07.md:5:3\n"
        "  hint: did you mean y?\n"
        "  more: wavecrew explain WC102\n"
        "\n"
        "1 error\n"
    )


def test_text_puts_errors_first_and_groups_a_code() -> None:
    printed = findings.text([INFO, WARNING, ERROR, *[INFO] * 7])
    assert re.findall(r"^(error|warning|info)\[", printed, re.MULTILINE) == ["error", "warning", "info", "info"]
    assert "and 6 more of WC108" in printed
    assert printed.count("explain WC108") == 1
    assert printed.endswith("1 error, 1 warning, 8 remarks\n")


def test_a_hint_that_all_share_is_given_once() -> None:
    same = [Diagnostic("WC1", Severity.ERROR, f"no {number}", fix="the same") for number in range(3)]
    assert findings.text(same).count("the same") == 1
    assert findings.text([*same, Diagnostic("WC1", Severity.ERROR, "x", fix="other")]).count("hint:") == 4


def test_no_findings_are_said_in_words() -> None:
    assert findings.text([]) == "no findings\n"


@given(st.lists(any_finding, max_size=8))
def test_text_is_harmless_on_a_terminal(found: list[Diagnostic]) -> None:
    assert all(line.isprintable() for line in findings.text(found).split("\n"))


def test_json_has_the_published_keys_and_null_for_unknown() -> None:
    data = json.loads(findings.as_json([ERROR, INFO]))
    assert data["counts"] == {"error": 1, "warning": 0, "info": 1}
    assert data["diagnostics"][0] == {
        "code": "WC102",
        "severity": "error",
        "file": "plan/07.md",
        "line": 5,
        "column": 3,
        "message": 'phase 07 needs "x"',
        "fix": "did you mean y?",
        "phases": ["07"],
    }
    assert [data["diagnostics"][1][key] for key in ("file", "line", "column", "fix")] == [None] * 4


def test_annotations_point_at_the_line() -> None:
    assert findings.github([ERROR, INFO]) == (
        '::error file=plan/07.md,line=5,col=3,title=WC102::phase 07 needs "x". did you mean y?\n'
        "::notice title=WC108::nothing proves it\n"
    )


def test_annotations_are_escaped() -> None:
    nasty = Diagnostic("WC1", Severity.ERROR, "50%\n::error::x\r", Place("a,b:c%.md", 1))
    assert findings.github([nasty]) == "::error file=a%2Cb%3Ac%25.md,line=1,title=WC1::50%25%0A::error::x%0D\n"


def test_annotations_are_nine_of_a_kind_and_a_count() -> None:
    lines = findings.github([*[ERROR] * 30, *[WARNING] * 9]).splitlines()
    assert len(lines) == 9 + 1 + 9
    assert lines[9].startswith("::error::21 more")


@given(st.lists(any_finding, max_size=30))
def test_annotations_are_one_command_on_each_line(found: list[Diagnostic]) -> None:
    lines = findings.github(found).split("\n")[:-1]
    assert len(lines) <= 30
    for line in lines:
        assert re.match(r"::(error|warning|notice)( [^:]*)?::", line)


@given(st.lists(any_finding, max_size=8))
def test_sarif_holds_together(found: list[Diagnostic]) -> None:
    log = json.loads(findings.sarif(found, {"WC104": ("a ring", "a longer text")}))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"] == "wavecrew"
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert any(rule["shortDescription"] == {"text": "a ring"} for rule in rules)
    assert len(run["results"]) == len(found)
    for result, finding in zip(run["results"], found, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.code
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"].startswith(finding.message)
        for place in result.get("locations", []):
            physical = place["physicalLocation"]
            assert unquote(physical["artifactLocation"]["uri"]) == finding.place.file
            assert physical.get("region", {"startLine": 1})["startLine"] >= 1
