"""The demo: a real tool, built in parallel and in sequence, with equal results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sandbox import PATIENCE, STATE, Sandbox


def test_demo(box: Sandbox) -> None:
    kept, temporary = box.folder / "kept", box.folder / "temporary"
    temporary.mkdir()
    done = box.wavecrew("demo", "--keep", str(kept), env={"TMPDIR": str(temporary)})
    assert done.code == 0, done
    assert "the same, byte for byte" in done.out
    assert "Jupiter" in done.out
    assert list(temporary.iterdir()) == []
    wide = [line for line in done.out.splitlines() if len(line) > 80]
    assert not wide, "\n".join(wide)
    (parallel,), (serial,) = kept.glob("with-3-agents"), kept.glob("with-1-agent")
    assert _tree(parallel)
    assert _tree(parallel) == _tree(serial)
    used = subprocess.run(
        [sys.executable, str(parallel / "dist" / "minitable.pyz"), str(kept / "planets.csv")],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert used.returncode == 0
    assert b"Jupiter" in used.stdout
    history = subprocess.run(
        ["git", "log", "--format=%(trailers:key=Wavecrew-Phase,valueonly)"],
        cwd=parallel,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(set(history.stdout.split())) == 10  # all of it is on the user's branch


def _tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not {STATE, ".git"} & {*path.parts})
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
