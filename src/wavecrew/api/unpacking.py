"""The run of an archive, taken in: all of it or nothing.

What it does: has the archive checked as a whole before anything is written, builds a store of its own beside its place,
and puts it there in one step. What an import that was killed left behind is never seen, and cleared by the next.
What it does not know: what makes an archive sound (`archive_reader` does), and how the run is shown.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from wavecrew.api.archive_reader import ArchiveReader, ReadRun, refused
from wavecrew.api.imports import FOLDER, MARK, NEW, Import
from wavecrew.core.attempts import LOG_NAME, attempt_folder
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import NotFoundError, RunBusyError, StoreError, UsageError

_MOST_ARCHIVE_BYTES: Final = 256 * 1024 * 1024


def import_run(workspace: Path, file: Path) -> Import:
    """Take the run of an archive in, to be looked at.

    Raises NotFoundError and UsageError for a file that cannot be read or a run that is here already, InvalidValueError
    for what is no sound archive of a run, and StoreError when it cannot be written; nothing is left behind then.
    """
    with _opened(file) as stream, Store.open(workspace) as store:
        archive = ArchiveReader(stream, file.name)
        read = archive.read()
        if any(row.id == read.run for row in store.runs()):
            raise UsageError(f"run {read.run} is a run of this workspace", fix=f"see: wavecrew runs show {read.run}")
        home = store.folder / FOLDER
        try:
            home.mkdir(mode=0o700, exist_ok=True)
            with _alone(home):
                return _put(archive, read, home, file.name)
        except OSError as error:
            raise StoreError(f"the run cannot be kept in {home}: {error.strerror}", fix="free some space") from None


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file}") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{file} is no file")
        if found.st_size > _MOST_ARCHIVE_BYTES:
            raise refused(file.name, f"it has {found.st_size} bytes (at most {_MOST_ARCHIVE_BYTES})")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            yield stream
    finally:
        os.close(descriptor)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One import at a time; what an earlier one left half done is cleared away."""
    descriptor = os.open(home / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunBusyError("another run is being imported here right now", fix="wait until that is done") from None
        for left in home.glob(f"{NEW}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


def _put(archive: ArchiveReader, read: ReadRun, home: Path, source: str) -> Import:
    target = home / read.run
    if os.path.lexists(target):
        fix = f"look at it with `wavecrew status {read.run}`, or remove it with `wavecrew runs forget {read.run}`"
        raise UsageError(f"run {read.run} was imported already", fix=fix)
    found = Import(read.run, target, time.time(), source)
    new = Path(tempfile.mkdtemp(prefix=NEW, dir=home))
    try:
        with Store.open(new) as store:
            store.create_run(read.run, at=read.created, plan="imported", digest="", events=read.events)
        state = new / STATE_FOLDER
        for name, (phase, attempt, beside) in read.logs.items():
            path = attempt_folder(state, read.run, phase, attempt) / beside / LOG_NAME
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            archive.copy(name, path)
        (state / MARK).write_text(json.dumps({"at": found.at, "source": source}), encoding="ascii")
        _sync(new)
        new.rename(target)
        _sync_folder(home)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return found


def _sync(folder: Path) -> None:
    """What is there after the last step is whole, whatever happens to the machine."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            _sync_folder(path)
        else:
            with contextlib.suppress(OSError), path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
