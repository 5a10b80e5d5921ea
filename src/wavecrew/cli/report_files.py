"""Files that reports go to: their names, and writing them so that nothing is ever half there or lost.

What it does: decides where each format goes, refuses to overwrite a file that is no report of ours, and replaces one
that is in a single step.
What it does not know: what stands in a report.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Final

from wavecrew.errors import UsageError

FILES: Final = {
    "text": "report.txt",
    "html": "index.html",
    "md": "summary.md",
    "json": "report.json",
    "junit": "junit.xml",
    "csv": "attempts.csv",
    "trace": "trace.json",
    "otlp": "otlp.jsonl",
    "mermaid": "graph.mmd",
    "svg": "graph.svg",
}
"""Each format with the name that its file has in a folder."""
_OURS: Final = {
    "text": r"run \S.* {2}[A-Z ]+ [\d,]+/[\d,]+",
    "html": r'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="generator" content="wave',
    "md": r"<!-- wavecrew report",
    "json": r'\{\s+("kind": "wavecrew.report"|"format": 1,\s+"run")',
    "junit": r"<\?xml[^>]*\?>\n<testsuites name=\"wavecrew",
    "csv": r"run,phase,name,wave,attempt,",
    "trace": r'\{"otherData":\{"kind":"wavecrew.trace"',
    "otlp": r'\{"resourceSpans":\[\{"resource":\{"attributes":\[\{"key":"service.name","value":\{"stringValue":"wavec',
    "mermaid": r"%% wavecrew report",
    "svg": r'<svg [^>]*class="wavecrew-plan"',
}
"""How the files begin that we write: only such a file is overwritten without a word."""
_ENOUGH: Final = 4096


def targets(names: tuple[str, ...], output: Path | None) -> Mapping[str, Path] | None:
    """Where each format goes; None for standard output. Raises UsageError when several would go to one place."""
    if output is None or str(output) == "-":
        if len(names) > 1:
            raise UsageError("several formats need a folder to go to", fix="name one: -o DIR")
        return None
    if len(names) == 1 and not output.is_dir() and not str(output).endswith(os.sep):
        return {names[0]: output}
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; several formats need a folder", fix="name another one: -o DIR")
    return {name: output / FILES[name] for name in names}


def put(files: Mapping[Path, tuple[str, str]], *, folder: Path | None, force: bool) -> Iterator[Path]:
    """Write files (path -> format and text), each as a whole or not at all, and tell each as it is there. A `folder`
    that they are to lie in is made if need be.

    Raises UsageError before anything is written if one of them exists and is no report, unless `force` is given; and
    for a place that cannot be written.
    """
    if not force:
        for path, (name, _) in files.items():
            _require_ours(path, name)
    for path, (_, text) in files.items():
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            _write(path, text.encode("utf-8", errors="replace"))
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", fix="name another place: -o PATH") from None
        yield path


def _require_ours(path: Path, name: str) -> None:
    try:
        if not S_ISREG(path.stat().st_mode):
            return  # a pipe or a terminal has nothing to lose
        with path.open("rb") as file:
            head = file.read(_ENOUGH).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", fix="name another place: -o PATH") from None
    if head and not re.match(_OURS[name], head):
        raise UsageError(
            f"{path} exists and is no {name} report of wavecrew",
            fix="name another place with -o, or overwrite it with --force",
        )


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step, with the permissions of a new one; write into what is no file as it is."""
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            stream.write(data)
        return
    number, name = tempfile.mkstemp(prefix=f".{path.name[:80]}-", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
