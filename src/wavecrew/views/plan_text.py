"""A plan on a terminal: waves, who needs and writes what, what paces it, and what to do next.

What it does: writes one screen that fits a width, in Unicode or in ASCII; of large plans the first waves and all
totals.
What it does not know: colours, how any of it was worked out, and what is running.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final

from wavecrew.errors import Diagnostic, Severity
from wavecrew.models.experience import Experience
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.plan import Plan
from wavecrew.models.schedule import Analysis
from wavecrew.models.simulation import ChainStep, Wait
from wavecrew.views.experience_words import estimates_were
from wavecrew.views.words import columns, counted, duration, fit, printable

ALL_ROWS: Final = 100
"""Plans up to this size are shown whole; of larger ones FIRST_ROWS phases."""
FIRST_ROWS: Final = 60
_CONFLICTS: Final = 5
_CHAIN: Final = 16
_GLUE: Final = "\u00a0"  # keeps words on one line


@dataclass(frozen=True, slots=True)
class _Signs:
    """The few characters that ASCII has no match for."""

    dot: str = "·"
    ellipsis: str = "…"
    critical: str = "◆"
    arrow: str = "→"
    waits: str = "⇢"


_ASCII: Final = _Signs(dot="|", ellipsis="..", critical="*", arrow="->", waits="~")


def plan_text(
    plan: Plan,
    analysis: Analysis,
    diagnostics: Sequence[Diagnostic] = (),
    *,
    experience: Experience | None = None,
    width: int = 80,
    ascii_only: bool = False,
) -> str:
    """The whole screen, without a trailing blank line. `experience` tells how good estimates were so far."""
    signs = _ASCII if ascii_only else _Signs()
    text = _PlanText(plan, analysis, diagnostics, max(width, 60), signs)
    text.experience = experience or text.experience
    lines = [line.replace(_GLUE, " ").rstrip() for line in text.lines()]
    return "\n".join(lines) + "\n"


class _PlanText:
    def __init__(
        self, plan: Plan, analysis: Analysis, diagnostics: Sequence[Diagnostic], width: int, signs: _Signs
    ) -> None:
        self.plan = plan
        self.analysis = analysis
        self.width = width
        self.signs = signs
        self.errors = sum(finding.severity is Severity.ERROR for finding in diagnostics)
        self.experience = Experience()
        self.contested = {name for conflict in analysis.conflicts for name in conflict.phases}

    def lines(self) -> Iterator[str]:
        yield from self.header()
        yield from self.table()
        yield from self.critical_path()
        yield from self.conflicts()
        yield from self.pacing_chain()
        yield from self.forecast()
        yield from self.estimates()
        yield from self.next_step()

    # -- the parts, top to bottom

    def header(self) -> Iterator[str]:
        count = len(self.analysis.conflicts) + self.analysis.more_conflicts
        parts = [
            counted(len(self.plan.phases), "phase"),
            counted(len(self.analysis.waves), "wave"),
            counted(count, "conflict"),
            f"plan {self.plan.digest[:7]}",
        ]
        if self.errors:
            parts.insert(0, counted(self.errors, "error"))
        tail = f" {self.signs.dot} ".join(parts)
        room = max(12, self.width - len(tail) - 2)
        yield f"{self.cut(self.plan.name, room)}  {tail}"
        if self.plan.assumed_order:
            yield from self.paragraph("order assumed: ", self.plan.assumed_order)

    def table(self) -> Iterator[str]:
        rows = sorted(
            self.plan.phases, key=lambda phase: self.analysis.wave_of.get(phase.id, len(self.analysis.waves) + 1)
        )
        shown = rows if len(rows) <= ALL_ROWS else rows[:FIRST_ROWS]
        yield from _Table(self, shown).lines()
        if len(shown) < len(rows):
            yield f"  {self.signs.ellipsis} {len(rows) - len(shown):,} more; --format json has all"
        if self.analysis.cyclic:
            held = len(self.analysis.graph.nodes) - len(self.analysis.wave_of)
            yield f"  ? {counted(held, 'phase')} in or behind a ring of dependencies: no wave"

    def critical_path(self) -> Iterator[str]:
        if not any(map(self.analysis.is_critical, self.analysis.critical_path)):
            return
        steps = [ChainStep(name, Wait.DEPENDENCY) for name in self.analysis.critical_path]
        time = self.time(self.analysis.critical_time)
        yield from self.paragraph(f"{self.signs.critical} critical path  ", f"{self.chain(steps)}  {time}")

    def conflicts(self) -> Iterator[str]:
        by_resource: dict[str, dict[str, None]] = {}
        apart = set()
        for conflict in self.analysis.conflicts:
            by_resource.setdefault(conflict.resource, {}).update(dict.fromkeys(conflict.phases))
            if not conflict.same_wave:
                apart.add(conflict.resource)
        for resource, names in list(by_resource.items())[:_CONFLICTS]:
            who = self.some(list(names))
            where = "no order between them" if resource in apart else "same wave, no order between them"
            yield from self.paragraph("! conflict       ", f"{self.cut(resource, 40)}: {who}, {where}")
        if len(by_resource) > _CONFLICTS:
            yield f"                   and {len(by_resource) - _CONFLICTS:,} more resources"
        if by_resource:
            yield from self.paragraph(" " * 17, "they will take turns; a dependency or a split file avoids it")

    def pacing_chain(self) -> Iterator[str]:
        schedule, steps = self.analysis.schedule, self.analysis.pacing_chain
        if schedule is None:
            return
        who = counted(schedule.agents, "agent")
        if all(step.waited_for in (Wait.NOTHING, Wait.DEPENDENCY) for step in steps):
            words = f"the critical path: neither locks nor {who} hold it up"
            yield from self.paragraph("pacing chain     ", words)
            return
        late = schedule.makespan - (self.analysis.critical_time or 0.0)
        time = f"{self.time(schedule.makespan)} (+{self.time(late)}) with {who}".replace(" ", _GLUE)
        yield from self.paragraph("pacing chain     ", f"{self.chain(steps)}  {time}")

    def forecast(self) -> Iterator[str]:
        times = self.analysis.makespans
        if not times:
            return
        useful = self.analysis.useful_agents
        last = max(self.analysis.agents, (useful or 0) + 1)
        listed = [agents for agents in times if 1 < agents <= last]
        if len(listed) > 4:
            wanted = {*listed[:2], self.analysis.agents, useful}
            listed = [agents for agents in listed if agents in wanted]
        parts = [f"serial {self.time(times[1])}"]
        parts += [f"{counted(agents, 'agent')} {self.time(times[agents])}" for agents in listed]
        words = f"{_GLUE}{self.signs.dot} ".join(part.replace(" ", _GLUE) for part in parts)
        if useful is not None:
            gain = f"more than {counted(useful, 'agent')} gain nothing" if useful > 1 else "one agent is enough"
            words += f"   {gain.replace(' ', _GLUE)}"
        yield from self.paragraph("", words)

    def estimates(self) -> Iterator[str]:
        found = self.analysis.estimates
        total = len(self.analysis.graph.nodes)
        if not total:
            return
        if not found.timed:
            words = "none, so times are unknown; chains are counted in phases"
        elif found.assumed:
            missing = f"the other {len(found.assumed):,} count {duration(found.median)} each, their median"
            words = f"{total - len(found.assumed):,} of {total:,} phases; {missing}"
        else:
            words = f"all {total:,} phases"
        yield from self.paragraph("estimates: ", words)
        if was := estimates_were(self.experience):
            yield from self.paragraph("           ", was)

    def next_step(self) -> Iterator[str]:
        path = quote(printable(self.plan.path))
        if self.errors or self.analysis.cyclic:
            yield f"next: wavecrew check {path}"
            return
        useful = self.analysis.useful_agents
        agents = self.analysis.agents if useful is None else min(useful, self.analysis.agents)
        step, others = f"next: wavecrew run {path} -j{agents}", "other views: --format json|mermaid|dot|svg"
        if columns(step) + 6 + columns(others) <= self.width:
            yield f"{step}      {others}"
        else:
            yield step
            yield others

    # -- words

    def time(self, amount: float | None) -> str:
        """A time in hours, or in phases if there are no estimates."""
        if amount is not None and not self.analysis.estimates.timed:
            return counted(round(amount), "phase")
        return duration(amount)

    def cut(self, text: str, room: int) -> str:
        return fit(text, room, self.signs.ellipsis).rstrip()

    def some(self, names: Sequence[str]) -> str:
        shown = [self.cut(name, 24) for name in names[:4]]
        if len(names) > len(shown):
            return f"{', '.join(shown)} and {len(names) - len(shown):,} more"
        return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))

    def chain(self, steps: Sequence[ChainStep]) -> str:
        """Phases in a row with what each waited for; of a long row the beginning and the end."""
        signs = self.signs
        arrows = {Wait.DEPENDENCY: signs.arrow, Wait.LOCK: f"{signs.waits}lock", Wait.AGENT: f"{signs.waits}agent"}
        words: list[str] = []
        for place, step in enumerate(steps):
            if len(steps) > _CHAIN and _CHAIN // 2 <= place < len(steps) - _CHAIN // 2:
                if place == _CHAIN // 2:
                    words.append(f"{signs.arrow} {signs.ellipsis} {len(steps) - _CHAIN:,} more {signs.ellipsis}")
                continue
            arrow = f"{arrows.get(step.waited_for, '')} " if place else ""
            words.append(arrow + self.cut(step.phase, 24))
        return " ".join(words)

    def paragraph(self, head: str, words: str) -> Iterator[str]:
        """Words after a heading, broken between them so that an arrow stays with what it points to."""
        margin = 2 + columns(head)
        line = "  " + head
        empty = True
        for word in _glued(words, self.signs):
            if not empty and columns(line) + 1 + columns(word) > self.width:
                yield line
                line, empty = " " * margin, True
            line += word if empty else f" {word}"
            empty = False
        yield line


def _glued(words: str, signs: _Signs) -> Iterator[str]:
    held = ""
    for word in words.split(" "):
        if word.startswith((signs.arrow, signs.waits)):
            held = f"{word} "
        else:
            yield held + word
            held = ""
    if held:
        yield held.rstrip()


class _Table:
    """The phases by wave. The columns share what the width leaves, by need; those that would be empty are left out."""

    def __init__(self, text: _PlanText, phases: Sequence[PhaseInfo]) -> None:
        self.text = text
        self.phases = phases
        self.timed = text.analysis.estimates.timed
        self.writes = [_writes(phase) for phase in phases]
        wishes = [
            max((columns(label(phase)) for phase in phases), default=5),
            max((columns(" ".join(phase.dependencies)) for phase in phases), default=5),
            max((columns(path + more) for path, more in self.writes), default=6)
            if any(phase.outputs for phase in phases)
            else 0,
        ]
        room = text.width - (30 if self.timed else 16)
        self.widths = _share(room, wishes, least=(14, 5, 10 if wishes[2] > 1 else 0))

    def lines(self) -> Iterator[str]:
        wide, needs, writes = self.widths
        times = "   est  slack" if self.timed else ""
        made = f"  {'writes':<{writes}}" if writes else ""
        yield f"  wave  {'phase':<{wide}}  {'needs':<{needs}}{made}{times}"
        before: object = None
        for place, phase in enumerate(self.phases):
            wave = self.text.analysis.wave_of.get(phase.id)
            number = f"{wave or '?':<4}" if place == 0 or wave != before else "    "
            before = wave
            yield f"  {number}  {self._cells(place, phase)}"

    def _cells(self, place: int, phase: PhaseInfo) -> str:
        wide, needs, writes = self.widths
        analysis, sign = self.text.analysis, self.text.signs.ellipsis
        cells = f"{fit(label(phase), wide, sign)}  {self._needs(phase, needs)}"
        if writes:
            path, more = self.writes[place]
            cells += f"  {fit(_tail(path, writes - len(more), sign) + more, writes)}"
        if self.timed:
            slack = duration(analysis.hours(analysis.slack.get(phase.id)))
            cells += f" {duration(phase.estimated_time):>5}  {slack:>5}"
        critical = self.text.signs.critical if analysis.is_critical(phase.id) else " "
        return f"{cells}  {critical}{' !' if phase.id in self.text.contested else ''}"

    def _needs(self, phase: PhaseInfo, room: int) -> str:
        """As many ids as fit, then the number of the others."""
        names = [printable(name) for name in phase.dependencies]
        for shown in range(len(names), 0, -1):
            rest = f" +{len(names) - shown}" if shown < len(names) else ""
            words = " ".join(names[:shown]) + rest
            if columns(words) <= room:
                return fit(words, room)
        if not names:
            return fit("-", room)
        rest = f" +{len(names) - 1}" if len(names) > 1 else ""
        return fit(names[0], room - len(rest), self.text.signs.ellipsis) + rest


def label(phase: PhaseInfo) -> str:
    """Id and name in one line; the id alone if the name says no more."""
    return printable(phase.id if phase.name == phase.id else f"{phase.id} {phase.name}")


def _writes(phase: PhaseInfo) -> tuple[str, str]:
    """The first path and how many more there are."""
    if not phase.outputs:
        return "-", ""
    more = len(phase.outputs) - 1
    return printable(phase.outputs[0]), f" +{more}" if more else ""


def _tail(path: str, room: int, ellipsis: str) -> str:
    """A path that fits; its end says more than its beginning."""
    if columns(path) <= room:
        return path
    kept = path
    while kept and columns(ellipsis + kept) > room:
        kept = kept[1:]
    return ellipsis + kept


def _share(room: int, wishes: Sequence[int], least: Sequence[int]) -> list[int]:
    """Widths that fill a room: what each wishes if possible, else the greediest give way first."""
    widths = [max(wish, small) for wish, small in zip(wishes, least, strict=True)]
    while sum(widths) > room:
        place = max(range(len(widths)), key=lambda place: (widths[place] - least[place]) / (place != 1 or 0.5))
        if widths[place] <= least[place]:
            break
        widths[place] -= 1
    return widths
