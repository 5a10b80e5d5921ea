"""Documents from disk: their text, their front matter, and which ones a folder holds.

What it does: finds and reads regular files only, within limits, in any of the usual encodings; splits the front matter
off. Whatever cannot be read becomes a finding.
What it does not know: which documents are phases.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from wavecrew.errors import Place, Severity
from wavecrew.plans.data import MAX_FRONT_MATTER_NODES, DataError, Node, Tree, read_toml, read_yaml
from wavecrew.plans.draft import Findings
from wavecrew.plans.markdown import Block, Fence, Heading, Section, blocks, sections
from wavecrew.plans.notations import natural_key

MAX_BYTES: Final = 5_000_000
MAX_LINES: Final = 100_000
MAX_HEADINGS: Final = 25_000
MAX_DOCUMENTS: Final = 2_000
MAX_DEPTH: Final = 4
MARKDOWN: Final = (".md", ".markdown", ".mdown")
DATA: Final = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}
_SKIPPED_FOLDERS: Final = frozenset(
    {"node_modules", "__pycache__", "venv", "archive", "archived", "completed", "research"}
)


@dataclass(frozen=True, eq=False)  # a document is itself; comparing texts would be slow, and a tree has no hash
class Document:
    """A markdown document. `shown` is its path as people see it; lines count from 1 in the whole file."""

    path: Path
    shown: str
    text: str
    front: Tree | None = None
    front_error: DataError | None = None
    body_line: int = 1
    """The first line behind the front matter."""
    called: str = ""
    """The name by which it is known if its file has an everyday name: that of its folder."""

    @property
    def stem(self) -> str:
        """The file name without its suffix, or the name of the folder that stands for it."""
        return self.called or self.path.stem

    @cached_property
    def lines(self) -> list[str]:
        """All lines, front matter included."""
        return self.text.split("\n")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of the body."""
        return blocks("\n" * (self.body_line - 1) + "\n".join(self.lines[self.body_line - 1 :]))

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The sections of the body."""
        return sections(self.blocks, self.last_line)

    @property
    def last_line(self) -> int:
        """The number of the last line that holds something."""
        return len(self.lines) - (1 if self.lines and not self.lines[-1] else 0) or 1

    @property
    def fields(self) -> dict[str, Node]:
        """The front matter, empty when there is none."""
        return (self.front.root.fields or {}) if self.front is not None else {}

    def excerpt(self, line: int, last_line: int) -> str:
        """Some lines of the document."""
        return "\n".join(self.lines[line - 1 : last_line]).strip("\n")


# -- reading ----------------------------------------------------------------------------------------------------


def shown_path(path: Path) -> str:
    """A path as people see it: relative to the current folder if it lies below it, else as it was given."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def read_text(path: Path, findings: Findings) -> str | None:
    """The text of a regular file, or None (with a finding) if it has none."""
    place = Place(shown_path(path))
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            _refuse(findings, place, "this is no regular file")
            return None
        with open(path, "rb", opener=_without_waiting) as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        _refuse(findings, place, f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return None
    if len(raw) > MAX_BYTES:
        message = f"larger than {MAX_BYTES // 1_000_000} MB; left out"
        findings.add("WC112", Severity.ERROR, message, place, "split the document, or give the plan another folder")
        return None
    return _decoded(raw, place, findings)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refuse(findings: Findings, place: Place, reason: str) -> None:
    findings.add("WC110", Severity.ERROR, reason, place, "make it a readable text file, or take it out of the folder")


def _decoded(raw: bytes, place: Place, findings: Findings) -> str | None:
    encoding = "utf-8"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not raw.startswith(codecs.BOM_UTF32_LE):
        encoding = "utf-16"
    elif b"\0" in raw[:8192]:
        _refuse(findings, place, "this is no text: it holds zero bytes")
        return None
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"byte {raw[error.start]:#04x} is no {encoding.upper()}; it is read as \ufffd"
        findings.add("WC111", Severity.WARNING, message, Place(place.file, line), "save the document as UTF-8")
        text = raw.decode(encoding, errors="replace")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def read_document(path: Path, findings: Findings) -> Document | None:
    """A markdown document with its front matter, or None (with a finding)."""
    text = read_text(path, findings)
    if text is None:
        return None
    text = _within_limits(text, Place(shown_path(path)), findings)
    lines = text.split("\n")
    end = _toml_front_matter_end(lines)
    if end:
        return _with_front(path, text, "\n".join(lines[1:end]), 2, end + 2, kind="toml")
    end = _front_matter_end(lines)
    if end:
        first = next(number for number, line in enumerate(lines) if line.strip() == "---")
        return _with_front(path, text, "\n".join(lines[first + 1 : end]), first + 2, end + 2)
    document = Document(path, shown_path(path), text)
    fenced = _fenced_front_matter(document) if "```y" in text[:4000] else None
    if fenced is None:
        return document
    return _with_front(path, text, fenced.text, fenced.line + 1, fenced.line + fenced.text.count("\n") + 2)


def _within_limits(text: str, place: Place, findings: Findings) -> str:
    """A text without the lines and headings beyond any plan, so that reading takes a moment and no more."""
    lines = text.split("\n")
    last, what = min(len(lines), MAX_LINES), "lines"
    if text.count("#") > MAX_HEADINGS:
        headings = [number for number, line in enumerate(lines) if line.startswith("#")]
        if len(headings) > MAX_HEADINGS and headings[MAX_HEADINGS] < last:
            last, what = headings[MAX_HEADINGS], "headings"
    if last >= len(lines):
        return text
    most = MAX_LINES if what == "lines" else MAX_HEADINGS
    message = f"more than {most:,} {what}; what stands behind line {last} was left out"
    findings.add("WC112", Severity.ERROR, message, Place(place.file, last), "cut the document into several")
    return "\n".join(lines[:last])


def _toml_front_matter_end(lines: Sequence[str]) -> int:
    """The position of the `+++` that closes front matter in TOML; 0 if there is none."""
    if not lines or lines[0].rstrip() != "+++":
        return 0
    return next((number for number in range(1, min(len(lines), 2_000)) if lines[number].rstrip() == "+++"), 0)


def _front_matter_end(lines: Sequence[str]) -> int:
    """The position of the line that closes the front matter; 0 if there is none."""
    first = next((number for number, line in enumerate(lines[:20]) if line.strip()), 0)
    if not lines or lines[first].strip() != "---":
        return 0
    for number in range(first + 1, len(lines)):
        if lines[number].rstrip() in ("---", "..."):
            between = [line for line in lines[first + 1 : number] if line.strip()]
            return number if not between or _looks_like_yaml(between) else 0
    return len(lines) if first + 1 < len(lines) and _looks_like_yaml(lines[first + 1 : first + 2]) else 0


def _looks_like_yaml(lines: Sequence[str]) -> bool:
    first = next((line for line in lines if not line.lstrip().startswith("#")), "")
    key = first.partition(":")[0]
    return (":" in first and not first.startswith(("#", "**", "- ")) and len(key) <= 60) or first.lstrip()[:1] in (
        "{",
        "[",
        "&",
        "*",
        "?",
        "!",
        "%",
    )


def _fenced_front_matter(document: Document) -> Fence | None:
    """A fenced block of YAML below a heading that calls it front matter."""
    for block, following in zip(document.blocks, document.blocks[1:], strict=False):
        if isinstance(block, Heading) and block.text.casefold().replace(" ", "").replace("-", "").startswith(
            "frontmatter"
        ):
            return following if isinstance(following, Fence) and following.info.startswith(("yaml", "yml")) else None
    return None


def _with_front(path: Path, text: str, front: str, first_line: int, body_line: int, *, kind: str = "yaml") -> Document:
    shown = shown_path(path)
    try:
        if kind == "toml":
            tree = read_toml(front, first_line=first_line)
        else:
            tree = read_yaml(front, first_line=first_line, most=MAX_FRONT_MATTER_NODES)
    except DataError as error:
        return Document(path, shown, text, None, error, body_line)
    if tree.root.fields is None and tree.root.text != "":
        return Document(path, shown, text, None, DataError("must be keys and values", first_line), body_line)
    return Document(path, shown, text, tree, None, body_line)


# -- folders ----------------------------------------------------------------------------------------------------


def files_in(folder: Path, suffixes: Sequence[str], findings: Findings, *, deep: bool = False) -> list[Path]:
    """The files of a folder with one of these suffixes, in natural order; with `deep` also those in folders below."""
    found: list[Path] = []
    for path in _walk(folder, MAX_DEPTH if deep else 0, findings):
        if path.suffix.casefold() in suffixes:
            if len(found) == MAX_DOCUMENTS:
                message = f"more than {MAX_DOCUMENTS} documents; the rest was left out"
                findings.add(
                    "WC112", Severity.ERROR, message, Place(shown_path(folder)), "give the plan a folder of its own"
                )
                break
            found.append(path)
    return sorted(found, key=lambda path: (natural_key(str(path.parent)), natural_key(path.stem), path.name))


def _walk(folder: Path, depth: int, findings: Findings) -> Iterator[Path]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        findings.add(
            "WC110",
            Severity.ERROR,
            f"cannot be read: {error.strerror or error}",
            Place(shown_path(folder)),
            "check the permissions",
        )
        return
    for entry in entries:
        if _is_folder(entry):
            if depth and entry.name not in _SKIPPED_FOLDERS and not entry.is_symlink() and entry.name != ".git":
                yield from _walk(Path(entry.path), depth - 1, findings)
        else:
            yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
