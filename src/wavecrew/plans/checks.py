"""Everything that can be said against a plan before it runs.

What it does: collects the findings of the reader and its own (WC101 to WC108), each with its place and a way out.
What it does not know: how documents are read, how findings are printed, and what is on the disk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

from wavecrew.errors import Diagnostic, InvalidValueError, Place, Severity
from wavecrew.models.contention import Conflict, claims_of
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo, StepKind
from wavecrew.models.plan import Plan
from wavecrew.models.resources import meets, parse_resource
from wavecrew.plans.check_codes import CHECK_CODES as CHECK_CODES
from wavecrew.plans.conflicts import Conflicts, find_conflicts

_GUESSES: Final = 25  # names that are looked up by likeness, which costs time
_LIKENESS_POOL: Final = 5_000
_NAMED: Final = 4  # phases that one message lists by id


def check(
    plan: Plan, agents: Collection[str] | None = None, conflicts: Conflicts | None = None
) -> tuple[Diagnostic, ...]:
    """All findings about a plan, by file and line; those of the reader come first where they share a place.

    `agents` are the names of the agents that are installed; None leaves them unchecked. `conflicts` saves searching
    for them again.
    """
    found = [
        *plan.diagnostics,
        *_repeated_ids(plan.phases),
        *_missing_dependencies(plan.phases),
        *_rings(plan.graph),
        *_unordered(plan.graph, find_conflicts(plan.graph) if conflicts is None else conflicts),
        *_unreadable_resources(plan.phases),
        *_unknown_agents(plan.phases, agents),
        *_unproven(plan.phases),
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: finding.place))


def _place(phase: PhaseInfo) -> Place:
    return Place(phase.source.file, phase.source.line) if phase.source else Place()


def _some(names: Sequence[str]) -> str:
    """Names as in a sentence; after the first few only their number."""
    shown, rest = list(names[:_NAMED]), len(names) - _NAMED
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


# -- ids and dependencies ---------------------------------------------------------------------------------------


def _repeated_ids(phases: Iterable[PhaseInfo]) -> Iterator[Diagnostic]:
    first: dict[str, PhaseInfo] = {}
    for phase in phases:
        original = first.setdefault(phase.id, phase)
        if original is phase:
            continue
        where = f" at {_place(original)}" if original.source else ""
        yield Diagnostic(
            "WC101",
            Severity.ERROR,
            f'phase id "{phase.id}" is used twice: "{original.name}"{where} and here "{phase.name}"',
            _place(phase),
            "give one of them another id",
            (phase.id,),
        )


def _missing_dependencies(phases: Sequence[PhaseInfo]) -> Iterator[Diagnostic]:
    guesses = _Guesses(phases)
    for phase in phases:
        for wanted in dict.fromkeys(phase.dependencies):
            if wanted not in guesses.by_id:
                yield Diagnostic(
                    "WC102",
                    Severity.ERROR,
                    f'phase {phase.id} needs "{wanted}", which does not exist',
                    _place(phase),
                    guesses.fix(wanted),
                    (phase.id,),
                )


class _Guesses:
    """Which phase somebody may have meant by a name that does not exist."""

    def __init__(self, phases: Sequence[PhaseInfo]) -> None:
        self.by_id: Mapping[str, PhaseInfo] = {phase.id: phase for phase in reversed(phases)}
        self._by_word: dict[str, PhaseInfo] = {}
        for text in ("id", "name"):
            for phase in phases:
                self._by_word.setdefault(_word(getattr(phase, text)), phase)
        self._left = _GUESSES if len(phases) <= _LIKENESS_POOL else 0
        self._known: dict[str, str] = {}

    def fix(self, wanted: str) -> str:
        """The hint for one missing name."""
        if wanted not in self._known:
            meant = self._meant(_word(wanted))
            self._known[wanted] = (
                _did_you_mean(meant) if meant else "correct the id, add such a phase, or remove the dependency"
            )
        return self._known[wanted]

    def _meant(self, word: str) -> PhaseInfo | None:
        if word in self._by_word or self._left <= 0:
            return self._by_word.get(word)
        self._left -= 1
        near = get_close_matches(word, self._by_word, n=1)
        return self._by_word[near[0]] if near else None


def _did_you_mean(phase: PhaseInfo) -> str:
    name = "" if phase.name == phase.id else f' "{phase.name}"'
    where = f" ({phase.source.file})" if phase.source else ""
    return f'did you mean "{phase.id}"{name}{where}?'


def _word(text: str) -> str:
    """A name without the things that people write differently: case, separators, leading zeros."""
    words = "".join(letter if letter.isalnum() else " " for letter in text.casefold()).split()
    return "-".join(word.lstrip("0") or "0" for word in words)


def _rings(graph: DependencyGraph) -> Iterator[Diagnostic]:
    for ring in graph.cycles():
        first = graph.nodes[ring[0]]
        if len(ring) == 2:
            yield Diagnostic(
                "WC103",
                Severity.ERROR,
                f"phase {first.id} depends on itself",
                _place(first),
                "remove its own id from its dependencies",
                (first.id,),
            )
            continue
        yield Diagnostic(
            "WC104",
            Severity.ERROR,
            f"phases wait for each other: {_path(ring)}",
            _place(first),
            "remove one of these dependencies",
            ring[:-1],
        )


def _path(ring: Sequence[str]) -> str:
    if len(ring) > 12:
        ring = (*ring[:6], f"... {len(ring) - 11} more ...", *ring[-5:])
    return " -> ".join(ring)


# -- resources --------------------------------------------------------------------------------------------------


def _unordered(graph: DependencyGraph, conflicts: Conflicts) -> Iterator[Diagnostic]:
    by_resource: dict[str, list[Conflict]] = {}
    for conflict in conflicts.found:
        by_resource.setdefault(conflict.resource, []).append(conflict)
    place = {name: number for number, name in enumerate(graph.nodes)}
    for resource, found in by_resource.items():
        names = sorted({name for conflict in found for name in conflict.phases}, key=place.__getitem__)
        yield Diagnostic(
            "WC105",
            Severity.WARNING,
            f"{resource}: {_wishes(graph, resource, names)}, with no order between them; they will take turns",
            _place(graph.nodes[names[1]]),
            "add a dependency between them, or split the file so that each has its own",
            tuple(names),
        )


def _wishes(graph: DependencyGraph, resource: str, names: Sequence[str]) -> str:
    """Who writes and who only reads."""
    target = parse_resource(resource)
    writers: list[str] = []
    readers: list[str] = []
    for name in names:
        writes = any(claim.exclusive and meets(claim.resource, target) for claim in claims_of(graph.nodes[name]))
        (writers if writes else readers).append(name)
    if not writers:
        return f"wanted by {_some(names)}"
    return f"written by {_some(writers)}" + (f", read by {_some(readers)}" if readers else "")


def _unreadable_resources(phases: Iterable[PhaseInfo]) -> Iterator[Diagnostic]:
    for phase in phases:
        for kind, texts in (("output", phase.outputs), ("read", phase.reads), ("lock", phase.locks)):
            for text in texts:
                try:
                    parse_resource(text)
                except InvalidValueError as error:
                    yield Diagnostic(
                        "WC106",
                        Severity.ERROR,
                        f"phase {phase.id}: {kind} {error.reason}",
                        _place(phase),
                        error.fix or "write a shorter path inside the workspace",
                        (phase.id,),
                    )


# -- agents and proof -------------------------------------------------------------------------------------------


def _unknown_agents(phases: Iterable[PhaseInfo], agents: Collection[str] | None) -> Iterator[Diagnostic]:
    if agents is None:
        return
    known = ", ".join(islice(sorted(agents), 12)) or "none"
    asked = ((phase, name) for phase in phases for name in (phase.agent, phase.fallback))
    for phase, name in asked:
        if name and name not in agents:
            near = get_close_matches(name, agents, n=1)
            meant = f'did you mean "{near[0]}"? ' if near else ""
            yield Diagnostic(
                "WC107",
                Severity.ERROR,
                f'phase {phase.id} asks for the agent "{name}", which is not known',
                _place(phase),
                f"{meant}known agents: {known}",
                (phase.id,),
            )


def _unproven(phases: Iterable[PhaseInfo]) -> Iterator[Diagnostic]:
    for phase in phases:
        checked = phase.checks or any(step.kind is StepKind.CHECK for step in phase.steps)
        if not phase.outputs and not checked:
            yield Diagnostic(
                "WC108",
                Severity.INFO,
                f"phase {phase.id} declares no outputs and no checks, so only its agent says that it is done",
                _place(phase),
                "list the files it writes, or add a check",
                (phase.id,),
            )
