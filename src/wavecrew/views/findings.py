"""Findings about a plan, for people, for programs, for workflow annotations and for code scanners.

What it does: renders diagnostics as text, JSON, GitHub workflow commands or SARIF 2.1.0.
What it does not know: how findings are made, and what they mean for the exit code.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from wavecrew.errors import Diagnostic, Severity
from wavecrew.views.line_breaks import broken
from wavecrew.views.words import counted, printable

SHOWN: Final = 5
"""How many findings of one code the text shows in full; of remarks fewer."""
_REMARKS: Final = 2
ANNOTATIONS: Final = 9
"""How many annotations of one kind are written; of more than ten a workflow would silently drop the rest."""

_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def counts(findings: Iterable[Diagnostic]) -> dict[str, int]:
    """How many findings there are of each severity, zeros included."""
    found = Counter(finding.severity for finding in findings)
    return {severity.value: found[severity] for severity in _ORDER}


# -- text -------------------------------------------------------------------------------------------------------


def text(findings: Sequence[Diagnostic], *, shown: int = SHOWN, width: int = 80) -> str:
    """Findings grouped by code, the worst first, a few of each, and a line with the totals. Nothing that could be
    copied is broken at `width`."""
    groups: dict[tuple[Severity, str], list[Diagnostic]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    lines: list[str] = []
    for (severity, code), group in sorted(groups.items(), key=lambda item: (_ORDER.index(item[0][0]), item[0][1])):
        hints = {finding.fix for finding in group}
        most = min(shown, _REMARKS) if severity is Severity.INFO else shown
        for finding in group[:most]:
            lines += _entry(finding, width)
            lines += _hint(finding.fix, width) if len(hints) > 1 else []
        if len(group) > most:
            lines.append(f"  ... and {len(group) - most:,} more of {code}; --format json has all")
        lines += _hint(group[0].fix, width) if len(hints) == 1 else []
        lines += [f"  more: wavecrew explain {code}", ""]
    return "\n".join([*lines, _totals(findings)]) + "\n"


def _entry(finding: Diagnostic, width: int) -> list[str]:
    head = f"{finding.severity.value}[{finding.code}]: {printable(finding.message)}"
    lines = broken(head, width, "", "    ")
    if finding.place.file or finding.place.line:
        lines.append(f"  {printable(str(finding.place))}")
    return lines


def _hint(fix: str, width: int) -> list[str]:
    return broken(printable(fix), width, "  hint: ", "        ") if fix else []


def _totals(findings: Sequence[Diagnostic]) -> str:
    if not findings:
        return "no findings"
    names = {"error": "error", "warning": "warning", "info": "remark"}
    return ", ".join(counted(number, names[severity]) for severity, number in counts(findings).items() if number)


# -- JSON -------------------------------------------------------------------------------------------------------


def as_data(finding: Diagnostic) -> dict[str, object]:
    """One finding as it stands in JSON. Lines and columns that are not known are null."""
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "file": finding.place.file or None,
        "line": finding.place.line or None,
        "column": finding.place.column or None,
        "message": finding.message,
        "fix": finding.fix or None,
        "phases": list(finding.phases),
    }


def as_json(findings: Sequence[Diagnostic]) -> str:
    """All findings and their counts."""
    data = {"diagnostics": [as_data(finding) for finding in findings], "counts": counts(findings)}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


# -- workflow annotations ---------------------------------------------------------------------------------------

_COMMAND: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def github(findings: Sequence[Diagnostic]) -> str:
    """GitHub workflow commands, at most nine of a kind, then one that counts the rest."""
    lines: list[str] = []
    for severity in _ORDER:
        group = [finding for finding in findings if finding.severity is severity]
        lines += [_annotation(finding) for finding in group[:ANNOTATIONS]]
        if len(group) > ANNOTATIONS:
            lines.append(f"::{_COMMAND[severity]}::{len(group) - ANNOTATIONS:,} more; wavecrew check lists all of them")
    return "".join(f"{line}\n" for line in lines)


def _annotation(finding: Diagnostic) -> str:
    place = finding.place
    known = {"file": place.file, "line": place.line, "col": place.column, "title": finding.code}
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in known.items() if value)
    message = f"{finding.message}. {finding.fix}" if finding.fix else finding.message
    return f"::{_COMMAND[finding.severity]} {properties}::{_message(message)}"


def _message(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _message(words).replace(":", "%3A").replace(",", "%2C")


# -- SARIF ------------------------------------------------------------------------------------------------------

_LEVEL: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def sarif(findings: Sequence[Diagnostic], explanations: Mapping[str, tuple[str, str]] | None = None) -> str:
    """SARIF 2.1.0, one run. `explanations` maps a code to its title and its text."""
    codes = sorted({finding.code for finding in findings} | set(explanations or {}))
    index = {code: number for number, code in enumerate(codes)}
    log = {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "wavecrew",
                        "rules": [_rule(code, (explanations or {}).get(code, (code, code))) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, index[finding.code]) for finding in findings],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _rule(code: str, explanation: tuple[str, str]) -> dict[str, object]:
    title, long_text = explanation
    return {
        "id": code,
        "shortDescription": {"text": title},
        "fullDescription": {"text": long_text},
        "help": {"text": f"wavecrew explain {code}"},
    }


def _result(finding: Diagnostic, rule: int) -> dict[str, object]:
    message = f"{finding.message} ({finding.fix})" if finding.fix else finding.message
    result: dict[str, object] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": _LEVEL[finding.severity],
        "message": {"text": message},
    }
    if finding.place.file:
        place: dict[str, object] = {"artifactLocation": {"uri": quote(finding.place.file)}}
        if finding.place.line:
            region = {"startLine": finding.place.line}
            if finding.place.column:
                region["startColumn"] = finding.place.column
            place["region"] = region
        result["locations"] = [{"physicalLocation": place}]
    return result
