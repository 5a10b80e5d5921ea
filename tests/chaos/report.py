"""Writes the figures of docs/fault-matrix.md: runs the chaos tests and puts what they have measured into its table.

    python tests/chaos/report.py            run the tests (WAVECREW_CHAOS=long for the long form), then write
    python tests/chaos/report.py FIGURES    write from a file of figures that a run has kept

Only the lines between the two marks are touched; the words around them are written by people.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "fault-matrix.md"
BEGIN, END = "<!-- figures: begin (written by tests/chaos/report.py) -->", "<!-- figures: end -->"
_NOT_ADDED = frozenset({"seed", "slowest_to_leave_seconds", "most_grants_between_two_of_the_weakest", "grown_kib"})


def run_tests(figures: Path) -> int:
    environment = {**os.environ, "WAVECREW_CHAOS_FIGURES": str(figures)}
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-n", "auto", str(HERE)], env=environment).returncode


def united(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """One record for each test: the slices of a test are added up."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        name = record.pop("test")
        base, _, parameter = name.partition("[")
        key = base if parameter.rstrip("]").rpartition("-")[2].isdigit() else name
        mine = found.setdefault(key, {})
        for field, value in record.items():
            if isinstance(value, dict):
                mine[field] = dict(Counter(mine.get(field, {})) + Counter(value))
            elif field in _NOT_ADDED or isinstance(value, str):
                mine[field] = max(mine.get(field, value), value)
            else:
                mine[field] = round(mine.get(field, 0) + value, 1)
    return found


def table(figures: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| test | figures | seconds |", "| --- | --- | ---: |"]
    for name in sorted(figures):
        record = figures[name]
        told = ", ".join(
            f"{field.replace('_', ' ')} {_shown(value)}"
            for field, value in record.items()
            if field not in ("seconds", "seed")
        )
        lines.append(f"| `{name}` | {told} | {record['seconds']} |")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key}: {count}" for key, count in sorted(value.items())) + ")"
    return f"{value:,}" if isinstance(value, int) else str(value)


def circumstances() -> str:
    form = "long" if os.environ.get("WAVECREW_CHAOS") == "long" else "short"
    return (
        f"{time.strftime('%Y-%m-%d')}, {form} form, {os.cpu_count()} cores, Linux {platform.release()},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; seconds are added over all slices."
    )


def main(arguments: list[str]) -> int:
    code = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(arguments[0]) if arguments else Path(folder, "figures")
        if not arguments:
            code = run_tests(path)
        records = [json.loads(line) for line in path.read_text().splitlines()]
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    lines = [BEGIN, "", circumstances(), "", *table(united(records)), "", END]
    DOCUMENT.write_text(before + "\n".join(lines) + after)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
