"""A run as one file that can be sent to somebody: its events, its plan and its logs, without secrets.

What it does: says how an archive looks, and writes one: always the same bytes for the same run, closed to others, and
never half. Secrets that can be known are hidden; neither locks nor tokens nor anything of the database go along.
What it does not know: how an archive is read (`imports` does, and trusts none), and where it is sent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from wavecrew import __version__
from wavecrew.api.history import OpenedRun
from wavecrew.api.secret_values import named_in, values_to_hide
from wavecrew.core.attempts import LOG_NAME, attempt_folder, slug_of
from wavecrew.errors import UsageError, WavecrewError
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.models.execution_state import replay
from wavecrew.models.records import plain
from wavecrew.models.stored_events import EVENT_VERSION, from_record, to_record
from wavecrew.views.run_history import History
from wavecrew.views.secrets import Secrets

KIND: Final = "wavecrew run"
SCHEMA: Final = 1
"""Version of what lies in an archive; one that holds a newer one is refused."""
MANIFEST: Final = "manifest.json"
EVENTS: Final = "events.jsonl"
PLAN: Final = "plan.json"
LOGS: Final = "logs"
MOST_FILES: Final = 20_000
MOST_EVENT_BYTES: Final = 128 * 1024 * 1024
MOST_LOG_BYTES: Final = 8 * 1024 * 1024
"""Of a longer log head and tail go along."""
MOST_BYTES: Final = 512 * 1024 * 1024
"""All files of an archive together; logs beyond that are left out."""
_HEAD_BYTES: Final = 1024 * 1024
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_FILE: Final = (stat.S_IFREG | 0o600) << 16
_UNIX: Final = 3


@dataclass(slots=True)
class Exported:
    """What was written. `hidden` counts the secrets that were found, `cut` the logs that were shortened, `left_out`
    those that had no room."""

    path: Path
    run: str
    events: int = 0
    logs: int = 0
    size: int = 0
    hidden: int = 0
    cut: int = 0
    left_out: int = 0
    files: dict[str, dict[str, Any]] = field(default_factory=dict)


def log_name(phase: str, attempt: int, beside: str = "") -> str:
    """Where the log of an attempt lies in an archive; `beside` names what was carried out beside it."""
    return "/".join((LOGS, slug_of(phase), str(attempt), *((beside,) if beside else ()), LOG_NAME))


def export_run(
    opened: OpenedRun, target: Path, environ: Mapping[str, str], *, logs: bool = True, force: bool = False
) -> Exported:
    """Write a run to a file. A run that is at work is written as it stands.

    Raises UsageError for a file that exists (unless `force`) or cannot be written, and for a secret that is part of a
    name in such a way that the events make no sense without it.
    """
    if target.exists() and not (force and target.is_file()):
        fix = "choose another file, or overwrite it with --force" if target.is_file() else "choose another file"
        raise UsageError(f"{target} exists already", fix=fix)
    secrets = Secrets(values_to_hide(environ, named_in(opened.state.settings)))
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", dir=target.parent)  # it is closed to others
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    written = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as archive:
                told = _Writer(archive, Exported(target, opened.row.id), secrets).write(opened, logs=logs)
            file.flush()
            os.fsync(file.fileno())
        told.size = written.stat().st_size
        written.replace(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            written.unlink()
    return told


class _Writer:
    """Puts one file after the other into an archive."""

    def __init__(self, archive: zipfile.ZipFile, told: Exported, secrets: Secrets) -> None:
        self._archive = archive
        self._told = told
        self._secrets = secrets
        self._bytes = 0

    def write(self, opened: OpenedRun, *, logs: bool) -> Exported:
        told = self._told
        self._put(EVENTS, self._events(opened))
        phases = [plain(phase) for phase in opened.state.graph.nodes.values()]
        plan = {"name": opened.state.plan_name, "path": opened.state.plan_path, "phases": phases}
        self._put(PLAN, _json(self._secrets.hide_in(plan)))
        for name, path in _logs(opened, self._secrets) if logs else ():
            self._log(name, path)
        told.hidden = self._secrets.hidden
        manifest = {
            "kind": KIND,
            "schema": SCHEMA,
            "event_version": EVENT_VERSION,
            "wavecrew": __version__,
            "run": told.run,
            "created": opened.row.created,
            "events": told.events,
            "over": opened.state.end_time is not None,
            "secrets_hidden": told.hidden,
            "logs_cut": told.cut,
            "logs_left_out": told.left_out,
            "files": dict(sorted(told.files.items())),
        }
        self._archive.writestr(_entry(MANIFEST), _json(manifest))
        return told

    def _events(self, opened: OpenedRun) -> bytes:
        records = [self._secrets.hide_in(to_record(_anew(event))) for event in opened.events]
        try:
            after = replay(from_record(record) for record in records)
            told_apart = len(after.phase_states) == len(opened.state.phase_states)
        except WavecrewError:
            told_apart = False
        if not told_apart:
            raise UsageError(
                "a secret is part of the name of a phase, and without it the events make no sense",
                fix="unset the variable that holds it, if it is no secret",
            )
        self._told.events = len(records)
        return b"".join(_json(record) for record in records)

    def _log(self, name: str, path: Path) -> None:
        told = self._told
        try:
            data, cut = _head_and_tail(path)
        except OSError:  # it was cleared away meanwhile, or is no file of ours
            told.left_out += 1
            return
        hidden = self._secrets.hide(data.decode("utf-8", errors="surrogateescape"))
        data = hidden.encode("utf-8", errors="surrogateescape")
        if self._bytes + len(data) > MOST_BYTES or len(told.files) >= MOST_FILES - 1:
            told.left_out += 1
            return
        told.cut += cut
        told.logs += 1
        self._put(name, data)

    def _put(self, name: str, data: bytes) -> None:
        self._bytes += len(data)
        self._told.files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self._archive.writestr(_entry(name), data)


def _anew(event: Event) -> Event:
    """An event as it was where the run took place."""
    return replace(event, imported="") if isinstance(event, ev.RunStarted) else event


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = _FILE
    entry.create_system = _UNIX
    return entry


def _json(value: Any) -> bytes:
    """One line of ASCII, so that no text of a run can be anything else than that."""
    return (json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n").encode("ascii")


def _logs(opened: OpenedRun, secrets: Secrets) -> Iterator[tuple[str, Path]]:
    """The logs of all attempts, in the order of their names in the archive, where also phases have no secret names."""
    found: dict[str, Path] = {}
    for attempt in History(opened.events).attempts:
        folder = attempt_folder(opened.state_folder, opened.row.id, attempt.phase, attempt.number)
        phase = secrets.hide(attempt.phase)
        found[log_name(phase, attempt.number)] = folder / LOG_NAME
        with contextlib.suppress(OSError):
            for path in folder.glob(f"*/{LOG_NAME}"):
                found[log_name(phase, attempt.number, path.parent.name)] = path
    yield from sorted((name, path) for name, path in found.items() if path.exists())


def _head_and_tail(path: Path) -> tuple[bytes, bool]:
    """A log, or of a long one its beginning and its end with a line between them; and whether it was cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            if found.st_size <= MOST_LOG_BYTES:
                return file.read(MOST_LOG_BYTES), False
            head = file.read(_HEAD_BYTES)
            left_out = found.st_size - MOST_LOG_BYTES
            file.seek(_HEAD_BYTES + left_out)
            tail = file.read(MOST_LOG_BYTES - _HEAD_BYTES)
    finally:
        os.close(descriptor)
    return head + f"\n[{left_out} bytes were left out]\n".encode() + tail, True
