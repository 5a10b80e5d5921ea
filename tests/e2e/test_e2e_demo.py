"""The demo: a real tool, built in parallel and in sequence, with equal results."""

from __future__ import annotations

import subprocess
import sys

from sandbox import PATIENCE, Sandbox


def test_demo(box: Sandbox) -> None:
    done = box.wavecrew("demo", "--keep", str(box.folder / "kept"))
    assert done.code == 0, done
    assert "the same, byte for byte" in done.out
    assert "Jupiter" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines()), done.out
    (parallel,) = (box.folder / "kept").glob("with-3-agents")
    (serial,) = (box.folder / "kept").glob("with-1-agent")
    files = sorted(path.relative_to(parallel) for path in parallel.rglob("*") if _counts(path.relative_to(parallel)))
    assert files
    for path in files:
        if (parallel / path).is_file():
            assert (parallel / path).read_bytes() == (serial / path).read_bytes(), path
    tool = parallel / "dist" / "minitable.pyz"
    used = subprocess.run(
        [sys.executable, str(tool)], input=b"a,b\n1,2\n", capture_output=True, timeout=PATIENCE, check=False
    )
    assert b"Traceback" not in used.stderr


def _counts(path: object) -> bool:
    return ".wavecrew" not in str(path)


def test_demo_leaves_nothing_behind(box: Sandbox) -> None:
    done = box.wavecrew("demo", "-j2", env={"TMPDIR": str(box.folder)})
    assert done.code == 0, done
    assert list(box.folder.iterdir()) == []
