"""What agents at work say: their logs are read as they grow, a bounded step at a time.

What it does: feeds what an agent prints to the reader of its stream, keeps what that tells, finds out of whom nothing
is heard any more, and leaves the latest in the folder of the attempt, where views in any process find it.
What it does not know: what is done about an end, a silence or a budget, and what the events of a program mean.

A log is the whole truth: a new coordinator reads it from its beginning again. Its middle may be gone (a log limit keeps
head and tail); what was lost is told to the reader, so that no sum over it counts as known.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from wavecrew.core.attempts import LOG_NAME, Result, read_progress
from wavecrew.core.log_lines import AgentLines, steps_of
from wavecrew.models.agent_report import AgentReport, Ending, Judgement, StreamReader, judge
from wavecrew.models.silence import clean_words, last_words
from wavecrew.models.usage import Spent

ACTIVITY_NAME: Final = "activity"
STEP_BYTES: Final = 1 << 20
"""How much of one log is read at once."""
LOOK_SECONDS: Final = 1.0
"""Shortest time between two looks at all logs."""
_TELL_SECONDS: Final = 2.0
_TAIL_BYTES: Final = 4096
_MEMORY: Final = 512


@runtime_checkable
class TellingAgent(Protocol):
    """An agent whose output can be understood."""

    @property
    def exit_meanings(self) -> Mapping[int, Ending]:
        """Exit codes that tell a cause."""

    def reader(self, earlier: AgentReport | None = None) -> StreamReader:
        """A reader for one attempt."""


@dataclass(frozen=True, slots=True)
class Silence:
    """An attempt of which nothing was heard `since` then, with the last that was; None: it is heard again."""

    phase: str
    since: float | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What an attempt told in the end. `judgement` is None where the agent was never started."""

    report: AgentReport
    judgement: Judgement | None = None


@dataclass(slots=True)
class _Watched:
    phase: str
    agent: TellingAgent | None
    earlier: AgentReport | None
    reader: StreamReader | None
    lines: AgentLines
    heard: float
    position: int = 0
    memory: bytes = b""
    """The last that was read, to know the place again after a cut."""
    seen: tuple[int, int] = (-1, -1)
    silent: bool = False
    told: dict[str, Any] = field(default_factory=dict)
    told_at: float = float("-inf")


class Watch:
    """Watches the open attempts of one coordinator. All times are in seconds since 1970. `silent_after` is how long
    nothing may be heard of an agent; None does not look for that. `redact` takes out of words what nobody may read."""

    def __init__(self, silent_after: float | None = None, redact: Callable[[str], str] = str) -> None:
        self._silent_after = silent_after
        self._redact = redact
        self._open: dict[Path, _Watched] = {}
        self._looked = float("-inf")

    def open(self, folder: Path, phase: str, agent: object, since: float, earlier: AgentReport | None = None) -> None:
        """Watch an attempt that was started `since` then, or has been found. `earlier` is what was told of the session
        in which it goes on, if it does."""
        telling = agent if isinstance(agent, TellingAgent) else None
        reader = telling.reader(earlier) if telling is not None else None
        lines = AgentLines(steps_of(folder), reader.feed if reader is not None else None)
        self._open[folder] = _Watched(phase, telling, earlier, reader, lines, since)

    def drop(self, folder: Path) -> None:
        """Watch it no longer. What was left for views goes, and what a coordinator that was killed had half written."""
        one = self._open.pop(folder, None)
        if one is not None and one.reader is not None:
            for left in (folder / ACTIVITY_NAME, _temporary(folder / ACTIVITY_NAME)):
                with contextlib.suppress(OSError):
                    left.unlink()

    @property
    def live(self) -> Spent:
        """What the attempts that are open have used up to now, as far as they have told."""
        spent = Spent()
        for one in self._open.values():
            if one.reader is not None:
                report = one.reader.report()
                spent = spent.plus(report.usage.input, report.usage.output, report.cost_usd)
        return spent

    def look(self, now: float, excused: AbstractSet[str] = frozenset()) -> list[Silence]:
        """Read what has come since, and tell who has fallen silent or is heard again; phases that are `excused` never
        are silent. Looks that come faster than LOOK_SECONDS after each other are no looks."""
        if 0.0 <= now - self._looked < LOOK_SECONDS:
            return []
        self._looked = now
        for one in self._open.values():
            if one.phase in excused:
                one.heard = now
        return [found for folder, one in self._open.items() for found in self._look_at(folder, one, now)]

    def _look_at(self, folder: Path, one: _Watched, now: float) -> Iterator[Silence]:
        grown = self._has_grown(folder, one, now)
        if one.reader is not None:
            if grown or self._is_behind(one):
                self._read(folder, one)
            self._tell(folder, one, now)
        if one.silent and (grown or one.heard == now):
            one.silent = False
            yield Silence(one.phase, None)
        elif not one.silent and self._silent_after is not None and now - one.heard >= self._silent_after:
            if not self._agent_is_at_work(folder, one):
                one.heard = now
                return
            one.silent = True
            yield Silence(one.phase, one.heard, self._redact(self._words(folder, one)))

    def _has_grown(self, folder: Path, one: _Watched, now: float) -> bool:
        try:
            found = (folder / LOG_NAME).lstat()
        except OSError:
            return False
        seen = (found.st_size, found.st_mtime_ns)
        if seen == one.seen:
            return False
        one.seen = seen
        one.heard = max(one.heard, min(now, found.st_mtime))
        return True

    @staticmethod
    def _is_behind(one: _Watched) -> bool:
        return one.seen[0] != one.position

    def _agent_is_at_work(self, folder: Path, one: _Watched) -> bool:
        """Whether the step at work is an agent. A check or a script of a runbook may be quiet; their limit is the
        time limit."""
        progress = read_progress(folder)
        return progress is not None and one.lines.is_agent(progress.step)

    def _words(self, folder: Path, one: _Watched) -> str:
        if one.reader is not None:  # its last line is an event, which is nothing to read
            report = one.reader.report()
            return clean_words(report.last_activity or report.message)
        with contextlib.suppress(OSError), _opened(folder / LOG_NAME) as log:
            size = os.fstat(log).st_size
            return last_words(os.pread(log, _TAIL_BYTES, max(0, size - _TAIL_BYTES)))
        return ""

    # -- reading

    def _read(self, folder: Path, one: _Watched) -> bool:
        """Read one step of a log on. Tells whether there may be more."""
        try:
            with _opened(folder / LOG_NAME) as log:
                back = len(one.memory)
                found = os.pread(log, STEP_BYTES + back, one.position - back)
                if found[:back] != one.memory:
                    return self._find_again(log, one)
        except OSError:  # it took its log away
            return False
        new = found[back:]
        self._take(one, new)
        one.position += len(new)
        return len(new) == STEP_BYTES

    @staticmethod
    def _take(one: _Watched, new: bytes) -> None:
        one.lines.feed(new)
        one.memory = (one.memory + new)[-_MEMORY:]

    @staticmethod
    def _find_again(log: int, one: _Watched) -> bool:
        """The middle was cut out of the log. What follows the cut was read already up to where the memory ends; if that
        is not there, something was lost."""
        size = os.fstat(log).st_size
        start, overlap = 0, b""
        while start < size:
            found = overlap + os.pread(log, STEP_BYTES, start)
            place = found.rfind(one.memory)
            if place >= 0:
                one.position = start - len(overlap) + place + len(one.memory)
                return True
            start += len(found) - len(overlap)
            overlap = found[-_MEMORY:]
            if len(found) <= len(overlap):
                break
        mark = _mark_in(log, size)
        one.lines.lost()
        one.position, one.memory = mark, b""
        return mark < size

    # -- ends

    def rest(self, folder: Path) -> Iterator[None]:
        """Read a log to its end, a step each time that this is asked to go on."""
        one = self._open.get(folder)
        if one is None or one.reader is None:
            return
        while self._read(folder, one):
            yield
        one.lines.end()

    def told(self, folder: Path, result: Result | None) -> Told | None:
        """What an attempt told, and how that and its exit code together are judged; None for an agent that tells
        nothing. Its `rest` has been read before."""
        one = self._open.get(folder)
        if one is None or one.reader is None or one.agent is None:
            return None
        report = one.reader.report()
        last = one.lines.last_agent_step
        if result is None or result.step < last or (result.step == last and result.cause == "start"):
            return Told(report)
        code = result.code if result.step == last else 0
        judged = judge(report, code, one.agent.exit_meanings)
        judged = replace(judged, detail=self._redact(judged.detail))
        if judged.ending is Ending.FAILED and one.earlier is not None and report.session != one.earlier.session:
            judged = replace(judged, ending=Ending.NO_SESSION)  # it failed before it had taken the session up
        return Told(report, judged)

    # -- for views

    def _tell(self, folder: Path, one: _Watched, now: float) -> None:
        """Leave what is known in the folder of the attempt. It is for people only and may be lost."""
        if one.reader is None or 0.0 <= now - one.told_at < _TELL_SECONDS:
            return
        report = one.reader.report()
        words = {
            "step": one.lines.last_agent_step,
            "activity": self._redact(report.last_activity),
            "input_tokens": report.usage.input,
            "output_tokens": report.usage.output,
            "cost_usd": report.cost_usd,
        }
        if words == one.told:
            return
        one.told, one.told_at = words, now
        with contextlib.suppress(OSError):
            _publish(folder / ACTIVITY_NAME, words)


@dataclass(frozen=True, slots=True)
class Activity:
    """What an agent at work does, in which step, and what it has used up to now. None is unknown."""

    words: str
    step: int = 1
    tokens: int | None = None
    cost_usd: float | None = None


def read_activity(folder: Path) -> Activity | None:
    """The latest that was heard of the agent of an attempt; None if nothing was."""
    try:
        found = json.loads((folder / ACTIVITY_NAME).read_bytes())
        used = (found["input_tokens"], found["output_tokens"])
        tokens = None if None in used else sum(map(int, used))
        cost = found["cost_usd"]
        return Activity(str(found["activity"]), int(found["step"]), tokens, None if cost is None else float(cost))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _publish(path: Path, record: dict[str, Any]) -> None:
    temporary = _temporary(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        os.write(descriptor, json.dumps(record).encode())
    finally:
        os.close(descriptor)
    temporary.replace(path)


def _temporary(path: Path) -> Path:
    return path.with_suffix(".tmp")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _mark_in(log: int, size: int) -> int:
    """Where the mark of a cut stands, or the beginning of the log if there is none."""
    mark = b"\n[wavecrew: about "
    start = 0
    while start < size:
        found = os.pread(log, STEP_BYTES + len(mark), start)
        place = found.find(mark)
        if place >= 0:
            return start + place + 1
        start += STEP_BYTES
    return 0
