"""Faults at exact places: the calls by which a process touches the disk, other processes and the database.

What it does: puts itself between a process and the functions it calls, gives each call a name that is the same in
every run (who, what, from which line, for how many times), writes the names down, and at one of them kills the
process before or after the call, or lets the call fail as a full or broken disk would.
What it does not know: what the process does. Standard library only, because the shim loads it without site-packages.

It is told what to do by the environment variable CHAOS_FAULTS (JSON): `trace` (a file for the names), `key` (the name
to act at), `kind` (kill-before, kill-after, ENOSPC, EIO), `fired` (a file that is made when it acted: once is enough).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from typing import Any

VARIABLE = "CHAOS_FAULTS"
KINDS = ("kill-before", "kill-after", "ENOSPC", "EIO")
_WATCHED = ("/wavecrew/core/", "/wavecrew/api/")
_OS = [
    "open",
    "write",
    "fsync",
    "rename",
    "replace",
    "unlink",
    "mkdir",
    "ftruncate",
    "chmod",
    "kill",
    "killpg",
    "fork",
    "setpgid",
    "setsid",
    "dup2",
    "execvpe",
    "pipe2",
    "pidfd_open",
]
_DISK = frozenset(
    ["open", "write", "fsync", "rename", "replace", "unlink", "mkdir", "ftruncate", "chmod", "fdopen.write"]
)
_OTHER_ERROR = {"fork": errno.EAGAIN, "Popen": errno.EAGAIN, "flock": errno.ENOLCK, "kill": errno.EPERM}

_kill, _getpid, _open, _write, _close, _fdopen, _fork = (
    os.kill,
    os.getpid,
    os.open,
    os.write,
    os.close,
    os.fdopen,
    os.fork,
)


class Faults:
    """The faults of one process and of those that it forks."""

    def __init__(self, role: str, settings: dict[str, str]) -> None:
        self.role = role
        self.settings = settings
        self.seen: Counter[str] = Counter()

    def become(self, role: str) -> None:
        """After a fork: another process, whose calls are counted from the beginning."""
        self.role = role
        self.seen.clear()

    def call(self, what: str, function: Any, *arguments: Any, **options: Any) -> Any:
        """Do a call, unless this is the place."""
        line = _line()
        if line is None:
            return function(*arguments, **options)
        kind = self.at(what, line)
        if not kind:
            return function(*arguments, **options)
        if kind == "kill-before":
            _kill(_getpid(), signal.SIGKILL)
        if kind == "kill-after":
            result = function(*arguments, **options)
            _kill(_getpid(), signal.SIGKILL)
            return result
        raise _error(what, kind)

    def at(self, what: str, line: str) -> str:
        """Somebody is at this place: what is to go wrong there; empty for nothing."""
        place = f"{self.role}|{what}|{line}"
        self.seen[place] += 1
        key = f"{place}|{self.seen[place]}"
        if self.settings.get("trace"):
            self._note(self.settings["trace"], key)
        return self.settings["kind"] if key == self.settings.get("key") and self._first() else ""

    def _first(self) -> bool:
        try:
            _close(_open(self.settings["fired"], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def _note(self, path: str, key: str) -> None:
        descriptor = _open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        _write(descriptor, f"{key}\n".encode())
        _close(descriptor)

    def install(self) -> None:
        """Stand between this process and the system."""
        for name in _OS:
            if hasattr(os, name):
                setattr(os, name, self._wrapped(name, getattr(os, name)))
        os.fdopen = self._open_file
        fcntl.flock = self._wrapped("flock", fcntl.flock)
        signal.pidfd_send_signal = self._wrapped("kill", signal.pidfd_send_signal)
        subprocess.Popen = self._wrapped("Popen", subprocess.Popen)  # type: ignore[misc,assignment]
        socket.socket = _socket_of(self, socket.socket)  # type: ignore[misc]
        connect, connection = sqlite3.connect, _connection_of(self)
        sqlite3.connect = lambda *given, **options: connect(*given, factory=connection, **options)

    def _wrapped(self, name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            result = self.call(name, function, *arguments, **options)
            if name == "fork" and result == 0:
                self.become(f"{self.role}>child")
            return result

        return call

    def _open_file(self, descriptor: int, mode: str = "r", *rest: Any, **options: Any) -> Any:
        file = _fdopen(descriptor, mode, *rest, **options)
        return _File(self, file) if "w" in mode else file


class _File:
    """A file that is written through us."""

    def __init__(self, faults: Faults, file: Any) -> None:
        self._faults, self._file = faults, file

    def write(self, text: Any) -> Any:
        return self._faults.call("fdopen.write", self._file.write, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _wakes() -> bool:
    """Whether an event loop wakes itself up: by a pair of sockets of its own, which no full disk reaches."""
    return sys._getframe(2).f_code.co_name in ("_read_from_self", "_write_to_self")


def _socket_of(faults: Faults, base: Any) -> Any:
    class Socket(base):  # type: ignore[misc]
        def send(self, *arguments: Any) -> Any:
            return super().send(*arguments) if _wakes() else faults.call("send", super().send, *arguments)

        def sendto(self, *arguments: Any) -> Any:
            return faults.call("sendto", super().sendto, *arguments)

        def recv(self, *arguments: Any) -> Any:
            return super().recv(*arguments) if _wakes() else faults.call("recv", super().recv, *arguments)

        def bind(self, *arguments: Any) -> Any:
            return faults.call("bind", super().bind, *arguments)

    return Socket


def _connection_of(faults: Faults) -> Any:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> Any:
            return faults.call(_sql(sql), super().execute, sql, *arguments)

        def executemany(self, sql: str, *arguments: Any) -> Any:
            return faults.call(_sql(sql), super().executemany, sql, *arguments)

    return Connection


def _sql(text: str) -> str:
    return "sql:" + " ".join(text.split()[:3]).split("(")[0]


def _line() -> str | None:
    """The line of wavecrew that a call comes from; None for calls that are none of ours."""
    frame = sys._getframe(2)
    for _ in range(10):
        if frame is None:
            return None
        file = frame.f_code.co_filename
        if any(part in file for part in _WATCHED):
            return f"{file.rpartition('/')[2]}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


def kinds_of(key: str) -> tuple[str, ...]:
    """What can go wrong at a place: everything at the disk and the database, death and one error elsewhere."""
    what = key.split("|")[1]
    return KINDS if what in _DISK or what.startswith("sql:") else KINDS[:3]


def _error(what: str, kind: str) -> Exception:
    if what.startswith("sql:"):
        text = "database or disk is full" if kind == "ENOSPC" else "disk I/O error"
        return sqlite3.OperationalError(text)
    number = getattr(errno, kind) if what in _DISK else _OTHER_ERROR.get(what, errno.ENOBUFS)
    return OSError(number, os.strerror(number))


def from_environment(role: str) -> Faults | None:
    """The faults that the environment asks for, in place; None when it asks for none."""
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    faults = Faults(role, json.loads(text))
    faults.install()
    return faults
