"""An archive of a run that nobody trusts, read: names, sizes, kinds, sums, versions, and events that fit each other.

What it does: tells what can be told without unpacking first, caps whatever is read, and takes the events for those of a
stranger: all must be known, have numbers that can be reckoned with, and make up one run.
What it does not know: how an archive is made, and where its run goes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from wavecrew.api.archive import (
    EVENTS,
    KIND,
    LOGS,
    MANIFEST,
    MOST_BYTES,
    MOST_EVENT_BYTES,
    MOST_FILES,
    PLAN,
    SCHEMA,
    log_name,
)
from wavecrew.core.attempts import LOG_NAME, attempt_folder
from wavecrew.errors import InvalidValueError, WavecrewError
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import replay
from wavecrew.models.stored_events import EVENT_VERSION, from_record

MOST_MANIFEST_BYTES: Final = 8 * 1024 * 1024
_MOST_NUMBER: Final = 1e15
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LOG: Final = re.compile(rf"{LOGS}/[A-Za-z0-9_-]{{1,80}}/[1-9][0-9]{{0,8}}/(?:[A-Za-z0-9_-]{{1,80}}/)?{LOG_NAME}")
_END: Final = struct.Struct("<4s4H2LH")
"""The last record of an archive without a comment: marks, counts, size and place of its list, length of the comment."""
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,
    struct.error,
)
_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReadRun:
    """What an archive says, checked."""

    run: str
    created: float
    events: tuple[Event, ...]
    logs: Mapping[str, tuple[str, int, str]]
    """The name of each log in the archive, with phase, attempt and what it was beside."""


def refused(name: str, why: str, fix: str = "") -> InvalidValueError:
    """The error that refuses the archive of this name."""
    return InvalidValueError(f"{name} is no archive of a run that can be taken in: {why}", fix=fix)


class ArchiveReader:
    """An archive that nobody trusts."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._name = name
        self._require_small_list(stream)
        with self._sound():
            self._zip = zipfile.ZipFile(stream)
        self._entries = self._checked_entries()

    def read(self) -> ReadRun:
        """All that it says. Raises InvalidValueError for whatever does not fit together."""
        manifest = self._manifest()
        run = manifest.get("run")
        if not isinstance(run, str) or not _RUN.fullmatch(run):
            raise self._wrong("its run has a name that no run can have")
        events = self._events()
        first = events[0] if events else None
        if not isinstance(first, ev.RunStarted) or first.run != run:
            raise self._wrong("its events are not those of its run")
        logs = self._log_places(events)
        return ReadRun(run, first.at, tuple(_at_home(event, run, self._name) for event in events), logs)

    def copy(self, name: str, target: Path) -> None:
        """Write one file of the archive. Raises InvalidValueError if it is not what the manifest says."""
        told, size = hashlib.sha256(), 0
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file, self._sound(), self._zip.open(self._entries[name]) as source:
            while piece := source.read(_BLOCK):
                size += len(piece)
                told.update(piece)
                file.write(piece)
        self._require(name, size, told.hexdigest())

    # -- what can be told without reading a file

    def _require_small_list(self, stream: IO[bytes]) -> None:
        """The list of files is read whole, so its size is looked at first. Ours has no comment and is never in the
        form for huge archives."""
        try:
            stream.seek(-_END.size, os.SEEK_END)
            mark, _, _, _, _, size, _, comment = _END.unpack(stream.read(_END.size))
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _END.size - 20))
            huge = stream.read(4) == b"PK\6\7"
        except (OSError, struct.error):
            raise self._wrong("it is too short") from None
        if mark != b"PK\5\6" or comment or huge:
            raise self._wrong("it is truncated, or was not written by wavecrew")
        if size > MOST_FILES * 512:
            raise self._wrong("it lists too many files")
        stream.seek(0)

    def _checked_entries(self) -> dict[str, zipfile.ZipInfo]:
        entries = self._zip.infolist()
        if len(entries) > MOST_FILES:
            raise self._wrong(f"it holds {len(entries)} files (at most {MOST_FILES})")
        found: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name = entry.orig_filename
            if name not in (MANIFEST, EVENTS, PLAN) and not _LOG.fullmatch(name):
                raise self._wrong(f"it holds {name[:100]!r}, which is no file of a run")
            if name in found:
                raise self._wrong(f"it holds {name!r} twice")
            if not stat.S_ISREG(entry.external_attr >> 16):
                raise self._wrong(f"{name!r} is not a regular file")
            if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._wrong(f"{name!r} is packed in a way that wavecrew never does")
            found[name] = entry
        most = {MANIFEST: MOST_MANIFEST_BYTES, EVENTS: MOST_EVENT_BYTES}
        for name, entry in found.items():
            if entry.file_size > most.get(name, MOST_BYTES):
                raise self._wrong(f"{name!r} would have {entry.file_size} bytes")
        total = sum(entry.file_size for entry in entries)
        if total > MOST_BYTES + MOST_MANIFEST_BYTES:
            raise self._wrong(f"it would have {total} bytes (at most {MOST_BYTES})")
        return found

    # -- the files

    def _manifest(self) -> dict[str, Any]:
        manifest = self._json(self._bytes(MANIFEST), MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
            raise self._wrong("its manifest is not that of a run")
        for key, known in (("schema", SCHEMA), ("event_version", EVENT_VERSION)):
            found = manifest.get(key)
            if type(found) is not int or found < 1:
                raise self._wrong(f"its manifest has no {key}")
            if found > known:
                why = f"it was written by a newer wavecrew ({key} {found}, this one knows {known})"
                raise self._wrong(why, "upgrade wavecrew")
        files = manifest.get("files")
        if not isinstance(files, dict) or {*files, MANIFEST} != set(self._entries):
            raise self._wrong("it does not hold the files that its manifest lists")
        self._files = files
        return manifest

    def _events(self) -> tuple[Event, ...]:
        if EVENTS not in self._entries:
            raise self._wrong("it holds no events")
        data = self._bytes(EVENTS)
        self._require(EVENTS, len(data), hashlib.sha256(data).hexdigest())
        found: list[Event] = []
        for number, line in enumerate(data.splitlines(), start=1):
            record = self._json(line, f"event {number}")
            if not isinstance(record, dict) or not _is_tame(record):
                raise self._wrong(f"event {number} holds what no event can hold")
            try:
                found.append(from_record(record))
            except (InvalidValueError, RecursionError) as error:
                raise self._wrong(f"event {number} cannot be read: {str(error)[:200]}") from None
        try:
            replay(found)
        except (WavecrewError, RecursionError) as error:
            raise self._wrong(f"its events do not fit each other: {str(error)[:200]}") from None
        return tuple(found)

    def _log_places(self, events: Sequence[Event]) -> dict[str, tuple[str, int, str]]:
        attempts = {
            log_name(event.phase, event.attempt): (event.phase, event.attempt)
            for event in events
            if isinstance(event, ev.AttemptStarted)
        }
        places = {}
        for name in self._entries:
            if name.startswith(f"{LOGS}/"):
                parts = name.split("/")
                beside = parts[3] if len(parts) == 5 else ""
                place = attempts.get("/".join((*parts[:3], LOG_NAME)))
                if place is None:
                    raise self._wrong(f"{name!r} is the log of no attempt")
                places[name] = (*place, beside)
        return places

    def _bytes(self, name: str) -> bytes:
        if name not in self._entries:
            raise self._wrong(f"it holds no {name}")
        with self._sound(), self._zip.open(self._entries[name]) as file:
            return file.read()

    def _json(self, data: bytes, what: str) -> Any:
        try:
            return json.loads(data, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise self._wrong(f"{what} is not JSON") from None

    def _require(self, name: str, size: int, digest: str) -> None:
        if self._files[name] != {"size": size, "sha256": digest}:
            raise self._wrong(f"{name!r} is not what its manifest says: it was changed, or is damaged")

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise self._wrong(f"it is damaged ({type(error).__name__})") from None
        except OSError as error:
            if error.errno != errno.EINVAL:  # else it names a place that no file has
                raise
            raise self._wrong("it is damaged") from None

    def _wrong(self, why: str, fix: str = "export it again: wavecrew runs export") -> InvalidValueError:
        return refused(self._name, why, fix)


def _no_number(text: str) -> float:
    raise ValueError(text)


def _is_tame(value: Any) -> bool:
    """Whether all numbers can be reckoned with."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list):
            todo += one
        elif isinstance(one, int | float) and not abs(one) <= _MOST_NUMBER:
            return False
    return True


def _at_home(event: Event, run: str, source: str) -> Event:
    """An event as it stands here: it says where it comes from, and its log is where we put it, whatever place the
    archive names."""
    match event:
        case ev.RunStarted():
            return replace(event, imported=source or "a file")
        case ev.AttemptStarted():
            place = attempt_folder(Path(), run, event.phase, event.attempt) / LOG_NAME
            return replace(event, log=place.as_posix())
        case _:
            return event
