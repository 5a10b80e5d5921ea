"""A little world that plays a plan second by second: it writes what happened as the events of a run, and keeps a book
of its own, from which the truth about any second can be read.

What it does: retries, locks, silence, gates, pauses, waivers, and time in which nobody is in charge.
What it does not know: the code of any view. It shares no line with what it is to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from run_stories import T0, approve, asked, charge, end, fail, finish, go_on, opening, pause, phase, silence, skip
from run_stories import start as started
from run_stories import wait as awaited
from wavecrew.models import events as ev
from wavecrew.models.events import Event

FILE = "shared.py"
FOREVER = 10**6
Span = tuple[int, int]


@dataclass(frozen=True)
class Job:
    """One phase as the world plays it: the length of each of its attempts, of which only the last succeeds."""

    needs: tuple[str, ...] = ()
    lasts: tuple[int, ...] = (2,)
    shares: bool = False
    rests: int = 0
    """How long it waits before another try."""
    quiet: bool = False
    estimate: int | None = None
    waived: bool = False


@dataclass(frozen=True)
class Script:
    """What happens to the run as a whole. `away` is (after how many starts, for how long)."""

    jobs: Mapping[str, Job]
    agents: int = 2
    gate: int = 0
    pause: Span | None = None
    away: tuple[int, int] | None = None


@dataclass
class Try:
    """An attempt as it really was; `known` is when somebody saw that it was over."""

    phase: str
    number: int
    since: int
    over: int
    good: bool
    known: int = FOREVER


@dataclass
class Book:
    """What happened, second by second."""

    events: list[Event]
    tries: list[Try] = field(default_factory=list)
    people: list[Span] = field(default_factory=list)
    quiet: dict[str, list[Span]] = field(default_factory=dict)
    locks: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    rests: dict[str, list[Span]] = field(default_factory=dict)
    away: Span = (FOREVER, FOREVER)
    ended: int = 0

    def idle(self, second: int) -> bool:
        """Whether nobody was at work on the run: nobody in charge, and all agents over."""
        return self.away[0] <= second < self.away[1] and not any(one.since <= second < one.over for one in self.tries)

    def lasted(self, since: int, until: int) -> int:
        return sum(not self.idle(second) for second in range(since, until))


def play(script: Script) -> Book:
    return _World(script).book


class _World:
    def __init__(self, script: Script) -> None:
        self.script = script
        phases = [
            phase(name, " ".join(job.needs), job.estimate, f"{name}.py", *([FILE] if job.shares else []))
            for name, job in script.jobs.items()
        ]
        self.book = Book(opening(*phases, agents=script.agents))
        self.done = {name for name, job in script.jobs.items() if job.waived}
        self.open: dict[str, Try] = {}
        self.made: dict[str, int] = {}
        self.due: dict[str, int] = {}
        self.waits: dict[str, tuple[int, str]] = {}
        self.starts = 0
        self.now = 0
        self.run()

    def tell(self, *events: Event) -> None:
        self.book.events += events

    def run(self) -> None:
        script, book = self.script, self.book
        self.tell(*(skip(0, name) for name in script.jobs if name in self.done))
        if script.gate:
            book.people.append((0, script.gate))
            self.tell(asked(0, "wave 1"))
        while len(self.done) < len(script.jobs):
            if self.now == self.book.away[1]:
                self.tell(charge(self.now, 2, script.agents))
                self.tell(
                    *(
                        ev.AttemptAdopted(at=T0 + self.now, phase=one.phase, attempt=one.number)
                        for one in self.open.values()
                        if one.over > self.now
                    )
                )
            if not book.away[0] <= self.now < book.away[1]:
                self.second()
            self.now += 1
        book.ended = self.now
        self.tell(finish(self.now))

    def second(self) -> None:
        """What is recorded at one moment: silence, ends, answers, starts."""
        for one in list(self.open.values()):
            self.hush(one)
            if one.over <= self.now:
                self.end(one)
        script = self.script
        if script.gate and self.now == script.gate:
            self.tell(approve(self.now, "wave 1"))
        if script.pause and self.now == script.pause[0]:
            self.tell(pause(self.now))
            self.book.people.append(script.pause)
        if script.pause and self.now == script.pause[1]:
            self.tell(go_on(self.now))
        if self.now >= script.gate and not any(a <= self.now < b for a, b in self.book.people):
            self.start_what_can()

    def hush(self, one: Try) -> None:
        if not self.script.jobs[one.phase].quiet or one.over - one.since < 4:
            return
        if self.now == one.since + 2:
            self.tell(silence(self.now, one.phase, one.since + 1, "ok?", one.number))
            self.book.quiet.setdefault(one.phase, []).append((one.since + 1, one.since + 3))
        if self.now == one.since + 3:
            self.tell(silence(self.now, one.phase, None, "", one.number))

    def end(self, one: Try) -> None:
        job = self.script.jobs[one.phase]
        del self.open[one.phase]
        one.known = self.now
        late = float(self.now - one.over)
        for name, (since, holder) in list(self.waits.items()):
            if holder == one.phase:
                self.book.locks.setdefault(name, []).append((since, self.now, holder))
                del self.waits[name]
        if one.good:
            self.done.add(one.phase)
            told = end(self.now, one.phase, one.number, f"{one.phase}.py")
        else:
            self.due[one.phase] = self.now + job.rests
            self.book.rests.setdefault(one.phase, []).append((self.now, self.now + job.rests))
            told = fail(self.now, one.phase, one.number, retry_at=self.now + job.rests)
        assert isinstance(told, ev.AttemptEnded)
        self.tell(replace(told, unattended=late))

    def start_what_can(self) -> None:
        for name, job in self.script.jobs.items():
            if len(self.open) == self.script.agents:
                return
            if name in self.done or name in self.open or not set(job.needs) <= self.done:
                continue
            if self.due.get(name, 0) > self.now:
                continue
            holder = next((one for one in self.open if job.shares and self.script.jobs[one].shares), "")
            if not holder:
                self.start(name, job)
            elif name not in self.waits:
                self.waits[name] = self.now, holder
                self.tell(awaited(self.now, name, FILE, holder))

    def start(self, name: str, job: Job) -> None:
        number = self.made[name] = self.made.get(name, 0) + 1
        found = Try(name, number, self.now, self.now + job.lasts[number - 1], number == len(job.lasts))
        self.book.tries.append(found)
        self.open[name] = found
        self.tell(started(self.now, name, number))
        self.starts += 1
        if self.script.away and self.starts == self.script.away[0]:
            self.book.away = self.now, self.now + self.script.away[1]


# -- scripts --------------------------------------------------------------------------------------------------------

_TRIES = st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple)


@st.composite
def scripts(draw: st.DrawFn, /, *, plain: bool = False, agents: int = 0, shares: bool = True) -> Script:
    """Any little run; a `plain` one has no tries in vain, and nothing happens to it."""
    names = [f"p{number}" for number in range(1, draw(st.integers(2, 7)))]
    jobs: dict[str, Job] = {}
    for place, name in enumerate(names):
        needs = draw(st.sets(st.sampled_from(names[:place]), max_size=2)) if place else set()
        lasts = (draw(st.integers(1, 7)),) if plain else draw(_TRIES)
        jobs[name] = Job(
            tuple(sorted(needs)),
            lasts,
            draw(st.booleans()) if shares else False,
            0 if plain else draw(st.integers(0, 4)),
            False if plain else draw(st.booleans()),
            draw(st.sampled_from([None, 1, 5])),
            False if plain else draw(st.integers(0, 9)) == 0,
        )
    agents = agents or draw(st.integers(1, 3))
    if plain:
        return Script(jobs, agents)
    begin = draw(st.integers(1, 12))
    paused = draw(st.sampled_from([None, (begin, begin + draw(st.integers(1, 9)))]))
    away = draw(st.sampled_from([None, (draw(st.integers(1, 5)), draw(st.integers(1, 12)))]))
    quiet = {name: replace(job, quiet=False) for name, job in jobs.items()}  # nobody listens while nobody is in charge
    return Script(quiet if away else jobs, agents, draw(st.integers(0, 5)), None if away else paused, away)
