"""The program that runs beside an agent and outlives the coordinator. Standard library only; run with `-I -S`.

What it does: carries out the steps of one attempt, one after another, each in a process group of its own whose whole
tree is ended before the next begins; watches the time limit; and leaves a result that is on the disk or absent.
What it does not know: plans, locks, databases and what an agent's output means. It imports nothing of wavecrew.

The attempt folder is the protocol. Files that the coordinator makes before the start:
  job.json   cwd, steps, time limit, grace (seconds), limit of the log (bytes)
  env.json   the environment; removed as soon as it has been read, because it may hold secrets
Files that the shim makes:
  lock       held with flock for the shim's whole life (and not by its children): proof of life without any pid
  started    pid, start time, and the control group if there can be one; an attempt that has this file is never
             started again
  progress   the step at work, for people
  log        output of all steps, written by the descriptors of the processes themselves
  exit       the result; written to a temporary name, synced, renamed, folder synced. Absent means lost.
Files that others make:
  aborted    written by whoever gave the attempt up while it held `lock`; a late shim then refuses to start
A log that grows beyond its limit keeps its head and its tail, with the cut marked; it may be larger for an instant.
A SIGTERM to the shim ends the attempt: TERM to the step's group, KILL to everything below after the grace time.
A second SIGTERM cuts the grace time short.

Two ways to start it: `shim.py ATTEMPT_FOLDER`, or `shim.py --serve`, a nursery that forks one shim per line
that it reads from the socket on its standard input. Forking costs a fraction of starting an interpreter.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from wavecrew.core import process_tree
else:  # by its path, because nothing of wavecrew can be imported here
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    process_tree = __import__("process_tree")
    del sys.path[0]

LOCKED, REFUSED, BROKEN = 111, 112, 70
_LINUX = sys.platform == "linux"
_TAIL_POLL_SECONDS = 0.02
_LOCK_TRIES = 25
_LOG_POLL_SECONDS = 0.1
start_ticks = process_tree.start_ticks


def publish(folder: str, name: str, record: dict[str, Any], *, sync: bool) -> None:
    """Write a file so that it is there whole or not at all; with `sync`, also across a power cut."""
    temporary, final = f"{folder}/{name}.tmp", f"{folder}/{name}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(record).encode())
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, final)
    if sync:
        directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class Attempt:
    """One attempt, from its lock to its result."""

    def __init__(self, folder: str, group: str = "") -> None:
        self.folder = folder
        self.group = group
        with open(folder + "/job.json", "rb") as job:
            self.job: dict[str, Any] = json.load(job)
        with open(folder + "/env.json", "rb") as environment:
            self.environment: dict[str, str] = json.load(environment)
        os.unlink(folder + "/env.json")
        self.deadline: float | None = None
        self.cause = ""  # "timeout" or "stopped" once the attempt is being ended from outside
        self.log_limit: int | None = self.job.get("log_limit")
        self.cut = 0  # bytes taken out of the log so far
        self.hurry = False
        self.strays = 0

    def run(self) -> None:
        """Carry out the steps and publish the result."""
        limit = self.job["timeout"]
        self.deadline = time.monotonic() + limit if limit is not None else None
        result: dict[str, Any] = {"code": 0, "cause": "", "step": -1, "title": "", "detail": ""}
        steps = self.job["steps"]
        for number, step in enumerate(steps):
            publish(self.folder, "progress", {"step": number + 1, "of": len(steps), "title": step["title"]}, sync=False)
            result = self._step(number, step)
            if result["code"] != 0 or result["cause"]:
                break
        if self.group:
            process_tree.remove_group(self.group)
        result.update(strays=self.strays, of=len(steps), at=time.time())
        publish(self.folder, "exit", result, sync=True)

    def _step(self, number: int, step: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {"code": 0, "cause": "", "detail": ""}
        result.update(step=number, title=step["title"], kind=step["kind"])
        log = os.open(
            self.folder + "/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            if len(self.job["steps"]) > 1:
                os.write(log, f"-- {number + 1}/{len(self.job['steps'])} {step['title']}\n".encode())
            if step["kind"] == "file":
                self._write_file(step)
            else:
                result["code"] = self._command(step, log)
        except OSError as error:
            reason = f"{step['title']}: {error.strerror or error}"
            os.write(log, f"wavecrew: {reason}\n".encode(errors="replace"))
            result.update(code=127, cause="start", detail=reason)
        finally:
            os.close(log)
        if self.cause:
            result["cause"] = self.cause
        elif result["code"] != 0 and not result["cause"]:
            result["cause"] = "check" if step["kind"] == "check" else "exit"
        return result

    def _write_file(self, step: dict[str, Any]) -> None:
        """Put a file of a runbook in its place: whole or not at all, and never through a link."""
        path = os.path.join(self.job["cwd"], step["path"])
        parent = os.path.dirname(path)
        inside = os.path.realpath(self.job["cwd"]) + "/"
        if not (os.path.realpath(parent) + "/").startswith(inside):  # before any folder is made out there
            raise PermissionError(0, f"{step['path']} leads out of the workspace through a link")
        os.makedirs(parent, exist_ok=True)
        temporary = f"{parent}/.{os.path.basename(path)}.wavecrew"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            rest = memoryview(step["text"].encode(errors="surrogateescape"))
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        os.rename(temporary, path)

    def _command(self, step: dict[str, Any], log: int) -> int:
        """Start one program and wait until nothing of its tree is left. Gives its exit code, negative for a signal."""
        source = self.folder + "/" + step["stdin"] if step.get("stdin") else os.devnull
        stdin = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        ready, told = os.pipe2(os.O_CLOEXEC) if _LINUX else os.pipe()
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(step["argv"], stdin, log, told, me)
        os.close(stdin)
        os.close(told)
        with os.fdopen(ready, "rb") as failure:
            problem = failure.read()  # empty as soon as exec has succeeded, because the pipe closes on exec
        if problem:
            os.waitpid(pid, 0)
            raise OSError(int(problem), f"{step['argv'][0]!r} cannot be started: {os.strerror(int(problem))}")
        return self._wait(pid)

    def _become(self, argv: list[str], stdin: int, log: int, told: int, shim: int) -> NoReturn:
        """In the child: become the program. Never returns."""
        try:
            os.setpgid(0, 0)
            process_tree.die_with_parent(signal.SIGKILL)
            if os.getppid() != shim:
                os._exit(113)  # the shim died between fork and prctl
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.dup2(stdin, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self.job["cwd"])
            if self.group:
                process_tree.enter_group(self.group)
            os.execvpe(argv[0], argv, self.environment)
        except OSError as error:
            os.write(told, str(error.errno or 1).encode())
        finally:
            os._exit(127)

    def _wait(self, agent: int) -> int:
        """Reap until nothing below is alive. An ending, however it came, is TERM first and KILL after the grace."""
        status: int | None = None
        kill_at: float | None = None
        while True:
            try:
                while True:
                    pid, found = os.waitpid(-1, os.WNOHANG)  # the program, and every orphan that it left to us
                    if pid == 0:
                        break
                    if pid == agent:
                        status = found
            except ChildProcessError:
                break
            now = time.monotonic()
            if not self.cause and status is None and self.deadline is not None and now >= self.deadline:
                self.cause = "timeout"
            if kill_at is None and (status is not None or self.cause):
                kill_at = now + self.job["grace"]
                self.strays += len(process_tree.descendants(os.getpid())) if status is not None else 0
                self._signal(agent, signal.SIGTERM)
            if kill_at is not None and (self.hurry or now >= kill_at):
                self._signal(agent, signal.SIGKILL)
            self._trim_log()
            self._sleep(kill_at, now)
        if self.group:
            process_tree.empty_group(self.group)
        self._trim_log()
        return os.waitstatus_to_exitcode(status) if status is not None else -signal.SIGKILL

    def _trim_log(self) -> None:
        """Cut the middle out of a log that has grown too large. The agent appends to the same file meanwhile; what it
        writes in that very instant may fall into the cut. An agent that takes its log away has none, and goes on."""
        if self.log_limit is None:
            return
        try:
            log = os.open(self.folder + "/log", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            self._cut_out_middle(log, self.log_limit)
        except OSError:
            pass  # a full disk: the head is there
        finally:
            os.close(log)

    def _cut_out_middle(self, log: int, limit: int) -> None:
        size = os.fstat(log).st_size
        if size <= limit:
            return
        head, tail = limit // 2, limit // 4
        end = os.pread(log, tail, size - tail)
        os.ftruncate(log, head)
        self.cut += size - head - len(end)
        os.write(log, f"\n[wavecrew: about {self.cut} bytes were cut out here]\n".encode() + end)

    def _signal(self, agent: int, number: int) -> None:
        """To the step's process group, and to those below that left the group."""
        if self.group and number == signal.SIGKILL:  # all at one instant, which no fork outruns
            process_tree.kill_group(self.group)
        try:
            os.killpg(agent, number)
        except OSError:
            pass
        for pid in process_tree.descendants(os.getpid()):
            try:
                os.kill(pid, number)
            except OSError:
                pass

    def _sleep(self, kill_at: float | None, now: float) -> None:
        """Until a child ends, somebody sends TERM, or the next moment at which something is due."""
        if kill_at is not None and (self.hurry or now >= kill_at):
            pause = _TAIL_POLL_SECONDS
        else:
            due = [moment for moment in (kill_at, None if self.cause else self.deadline) if moment is not None]
            pause = max(0.0, min(due) - now) if due else 3600.0
            pause = min(pause, _LOG_POLL_SECONDS) if self.log_limit is not None else pause
        if _wait_signal(pause) == signal.SIGTERM:
            self.hurry = bool(self.cause)
            self.cause = self.cause or "stopped"


def _wait_signal(seconds: float) -> int | None:
    """The signal that came (SIGCHLD or SIGTERM), or None after some seconds."""
    if hasattr(signal, "sigtimedwait"):
        found = signal.sigtimedwait([signal.SIGCHLD, signal.SIGTERM], seconds)
        return found.si_signo if found else None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for number in (signal.SIGTERM, signal.SIGCHLD):
            if number in signal.sigpending():
                return signal.sigwait([number])
        time.sleep(_TAIL_POLL_SECONDS)
    return None


def run_attempt(folder: str, tell: Callable[[str], None] | None = None, home: str = "") -> int:
    """Own the attempt, or leave with a code that says why not. `tell` gets one line: the pid of the owner, or minus
    the code, and the folder. `home` is the control group in which one for the attempt may be made, if there is one."""
    lock = os.open(folder + "/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if not _flock(lock):
        return _refuse(folder, LOCKED, tell)
    if any(os.path.lexists(f"{folder}/{name}") for name in ("aborted", "started")):
        return _refuse(folder, REFUSED, tell)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])
    if os.getsid(0) != os.getpid():
        os.setsid()
    process_tree.adopt_orphans()
    group = f"{home}/{process_tree.group_name(folder)}" if home else ""
    record = {"pid": os.getpid(), "ticks": start_ticks(os.getpid()), "group": group}
    publish(folder, "started", record, sync=False)  # before the group is made, so that it is found whenever we die
    if tell is not None:
        tell(f"{os.getpid()} {folder}")
    Attempt(folder, group if group and process_tree.make_group(group) else "").run()
    return 0


def _flock(lock: int) -> bool:
    """Take the lock. Somebody who only looks whether it is held has it for an instant; a living shim keeps it."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_TAIL_POLL_SECONDS)
    return False


def _refuse(folder: str, code: int, tell: Callable[[str], None] | None) -> int:
    if tell is not None:
        tell(f"-{code} {folder}")
    return code


def serve(channel: socket.socket) -> None:
    """The nursery: fork a shim for each attempt folder that arrives, until the coordinator's end is closed."""
    shims: dict[int, bytes] = {}
    home = process_tree.group_home()
    signal.signal(signal.SIGCHLD, lambda *_: _reap_shims(shims, channel))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message = channel.recv(65536)
        if not message:
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # so that no shim ends before it is known
        pid = os.fork()
        if pid:
            shims[pid] = message
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        else:
            code = BROKEN
            try:
                code = run_attempt(os.fsdecode(message), partial(_tell, channel), home)
            finally:
                if code == BROKEN:  # a full disk, say; nothing is told twice, because the first word closes the channel
                    _tell(channel, f"-{BROKEN} {os.fsdecode(message)}")
                os._exit(code)


def _reap_shims(shims: dict[int, bytes], channel: socket.socket) -> None:
    """Say of each shim that it has ended: one that was killed may not have told that it had begun."""
    try:
        while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            channel.send(b"0 " + shims.pop(ended))
    except OSError:
        pass  # no more children; or the coordinator is gone


def _tell(channel: socket.socket, text: str) -> None:
    """To the coordinator, who may be gone by now; then let go of the channel, so that its end can be noticed."""
    try:
        channel.send(os.fsencode(text))
        channel.close()
    except OSError:
        pass


def main(arguments: list[str]) -> int:
    if arguments == ["--serve"]:
        os.setsid()
        channel = socket.socket(fileno=os.dup(0))
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # 0 to 2 stay taken: a log that became descriptor 0 would be lost to the agent's input
        os.close(null)
        serve(channel)
        return 0
    (folder,) = arguments
    return run_attempt(folder, home=process_tree.group_home())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
