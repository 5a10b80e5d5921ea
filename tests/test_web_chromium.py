"""Which browser the tests of the page take, and what is said where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "web" / "get_browser.py"


def program(folder: Path, name: str, code: int) -> Path:
    folder.mkdir(exist_ok=True)
    made = folder / name
    made.write_text(f"#!/bin/sh\necho it fails for a test >&2\nexit {code}\n")
    made.chmod(0o755)
    return made


def get(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "cache")],
        env={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_that_is_installed_and_starts_is_taken(tmp_path: Path) -> None:
    program(tmp_path / "bin", "chromium", 0)
    found = get(tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert not (tmp_path / "cache").exists()


def test_one_that_was_fetched_before_is_taken(tmp_path: Path) -> None:
    from json import loads

    version = loads(SCRIPT.with_name("package.json").read_text())["dependencies"]["@sparticuz/chromium"]
    (tmp_path / "cache").mkdir()
    program(tmp_path / "cache" / version, "start", 0)
    assert get(tmp_path).returncode == 0


@pytest.mark.parametrize("npm", [False, True])
def test_without_one_and_without_help_of_npm_it_says_so_loudly(tmp_path: Path, npm: bool) -> None:
    program(tmp_path / "bin", "chromium-browser", 1)  # it only tells where to get the real one
    if npm:
        program(tmp_path / "bin", "npm", 7)
        program(tmp_path / "bin", "node", 0)
    found = get(tmp_path)
    assert found.returncode == 3
    assert "*" * 100 in found.stderr
    assert "THERE IS NO BROWSER: " in found.stderr
    if sys.platform == "linux":
        assert ("npm ended with 7: it fails for a test" in found.stderr) == npm
    assert [one.name for one in (tmp_path / "cache").glob("*")] == []
