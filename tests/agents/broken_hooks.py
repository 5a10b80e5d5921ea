"""Copies of wavecrew whose hook program is broken in one way.

What it does: copies the package, has its hook do something else in the end, and tells the variable that makes the
command use the copy.
What it does not know: how agents take it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import wavecrew

_BEGIN = 'if __name__ == "__main__":'
WAYS: Mapping[str, str] = {
    "crashes": "raise RuntimeError('broken on purpose')",
    "is killed": "import os; os.kill(os.getpid(), 9)",
    "is killed with what started it": "import os; os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)",
    "prints garbage": "print('{\"decision\": \\x00 garbage' * 1000); sys.exit(1)",
    "prints that all is allowed": 'print(\'{"decision": "allow", "continue": true}\'); sys.exit(3)',
    "hangs": "import time\n    while True: time.sleep(1)",
}


def broken_package(folder: Path, way: str) -> dict[str, str]:
    """Make such a copy in a folder. Gives the environment in which `python -m wavecrew` is that copy."""
    source = Path(wavecrew.__file__).parent
    shutil.copytree(source, folder / "wavecrew", ignore=shutil.ignore_patterns("__pycache__"))
    hook = folder / "wavecrew" / "core" / "hook.py"
    head, found, _ = hook.read_text().partition(_BEGIN)
    assert found, "the hook begins in another way now"
    hook.write_text(f"{head}{_BEGIN}\n    {WAYS[way]}\n")
    return {"PYTHONPATH": str(folder)}
