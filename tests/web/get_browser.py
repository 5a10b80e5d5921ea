"""Finds a Chromium for `make test-web`, and fetches one with npm where there is none.

What it does: takes the one that WAVECREW_CHROMIUM names, else one that is installed and starts, else the one in a cache
folder. Into that goes, if need be, the headless Chromium of the package `@sparticuz/chromium` in the version and with
the digest of package-lock.json: it brings the libraries and the font that it needs, so no rights are asked for.
What it does not know: where npm gets it from; that is a setting of the user's npm.

Usage: `get_browser.py FOLDER`. It ends with 0 when there is a browser, with 3 when there is none and it cannot be
fetched, and says so loudly.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = "@sparticuz/chromium"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NOT_THERE: Final = 3
_PATIENCE: Final = 900
_CAREFULLY: Final[dict[str, Any]] = (
    {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
)  # not in 3.11.0 to 3.11.3
_HERE: Final = Path(__file__).parent
_PACKED: Final = ("al2023", "fonts", "swiftshader")
_UNPACK: Final = (
    "const [from, to] = process.argv.slice(1), fs = require('fs');"
    "fs.createReadStream(from).pipe(require('zlib').createBrotliDecompress()).pipe(fs.createWriteStream(to));"
)
_START: Final = """\
#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH="$here/lib" FONTCONFIG_FILE="$here/fonts.conf" exec "$here/chromium" "$@"
"""
_FONTS: Final = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""


def pinned() -> str:
    """The version of the Chromium that is fetched."""
    version: str = json.loads((_HERE / "package.json").read_text())["dependencies"][PACKAGE]
    return version


def cache() -> Path:
    """Where the fetched Chromium lies."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("WAVECREW_BROWSER") or f"{home}/wavecrew/browser")


def chromium(folder: Path) -> str | None:
    """The browser that is to be driven."""
    named = os.environ.get("WAVECREW_CHROMIUM")
    if named:
        return named
    installed = (path for name in NAMES if (path := shutil.which(name)) and _starts(path))
    fetched = folder / pinned() / "start"
    return next(installed, str(fetched) if fetched.exists() else None)


def _starts(program: str) -> bool:
    """Some systems have a program of that name which only says where to get the real one."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return told.returncode == 0


def fetch(folder: Path) -> str:
    """Have npm fetch the Chromium, and unpack it. Gives what went wrong, or nothing."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"there is one for Linux on x86_64 only, and not for {sys.platform} on {platform.machine()}"
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return "there is no npm on PATH"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as new:
        try:
            problem = _install(npm, Path(new)) or _unpack(node, Path(new))
            if not problem and not (folder / pinned()).exists():
                (Path(new) / "browser").rename(folder / pinned())  # whole, or not at all
        except (OSError, tarfile.TarError) as error:
            problem = f"it cannot be unpacked: {error}"
    return problem


def _install(npm: str, new: Path) -> str:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_HERE / name, new / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    return _run(command, new)


def _unpack(node: str, new: Path) -> str:
    packed, browser = new / "node_modules" / PACKAGE / "bin", new / "browser"
    (browser / "lib").mkdir(parents=True)
    for name, goal in (("chromium.br", browser / "chromium"), *((f"{one}.tar.br", new / one) for one in _PACKED)):
        if problem := _run([node, "-e", _UNPACK, str(packed / name), str(goal)], new):
            return problem
    for name, goal in zip(_PACKED, (browser, browser, browser / "lib"), strict=True):
        with tarfile.open(new / name) as archive:
            archive.extractall(goal, **_CAREFULLY)  # noqa: S202  # its digest is pinned
    for path, text in ((browser / "fonts.conf", _FONTS), (browser / "start", _START)):
        path.write_text(text)
    shutil.copy(packed.parent / "LICENSE", browser / "LICENSE")
    (browser / "chromium").chmod(0o755)
    (browser / "start").chmod(0o755)
    return "" if _starts(str(browser / "start")) else "what was fetched does not start here"


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"{Path(command[0]).name} was not done within {_PATIENCE} s"
    said = " ".join(done.stderr.split())[:600]
    return f"{Path(command[0]).name} ended with {done.returncode}: {said}" if done.returncode else ""


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0]).resolve()
    if chromium(folder):
        return 0
    sys.stderr.write(f"there is no Chromium here: fetching {PACKAGE} {pinned()} (70 MB) with npm\n")
    if problem := fetch(folder):
        line = "*" * 100
        sys.stderr.write(f"{line}\nTHERE IS NO BROWSER: {problem}\n{line}\n")
        return NOT_THERE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
